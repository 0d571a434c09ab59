"""The parts of a batch prediction: shards, whose names take little memory, and chunks, which are sent to workers."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graft.model.classifier import BATCH_SIZE

CLUSTER_CHUNK = 2 * BATCH_SIZE      # images sent to a worker at a time, which gives the same batches as on this machine


@dataclass(frozen=True)
class Shard:
    """Consecutive images that are predicted together.

    Attributes:
        number: from 1.
        packed: the names of the images, relative to the source, compressed: a list of them takes far more memory.
        part: the file that has their rows once they are predicted.
    """

    number: int
    packed: bytes
    part: Path

    @property
    def names(self) -> list[str]:
        """The names of the images."""
        return zlib.decompress(self.packed).decode(errors="surrogateescape").split("\0")


def shard_of(parts: Path, number: int, images: list[tuple[str, str]], origin: str) -> Shard:
    """The shard of some images, whose part in the folder `parts` is named after them and their origin.

    Args:
        images: name and mark of each; the mark changes with its contents.
        origin: digests of the model and the folder: rows contain the path.
    """
    digest = hashlib.sha256(origin.encode(errors="surrogateescape"))
    for name, mark in images:
        digest.update(f"{name}\0{mark}\0".encode(errors="surrogateescape"))
    names = "\0".join(name for name, _ in images).encode(errors="surrogateescape")
    return Shard(number, zlib.compress(names), parts / f"{number:06}-{digest.hexdigest()[:16]}.jsonl")


def chunks(shards: list[Shard], contents: Iterator) -> Iterator[dict]:
    """Name -> content of the images that are sent to a worker at once: those of one shard, as on this machine."""
    for shard in shards:
        names = shard.names
        for start in range(0, len(names), CLUSTER_CHUNK):
            yield dict(zip(names[start : start + CLUSTER_CHUNK], contents))
