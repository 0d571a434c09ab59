"""Fingerprint every listed file, on all cores or a Ray cluster. Files that have not changed are not opened again.

On this machine, processes of their own read the files: one whose decoding does not end is ended, and its file is named.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

from graft.decoding.kinds import EMPTY, NO_IMAGE, is_named_as_image
from graft.errors import GraftError
from graft.images import UnreadableImage
from graft.machine.cores import cpu_count
from graft.machine.guarded import Ended, Guarded, processor_time
from graft.machine.progress import shown
from graft.machine.threads import InThreads
from graft.predict.decoders import ENDED, PROCESS_BYTES, PROCESSOR_S
from pipeline.cluster.links import Link
from pipeline.cluster.ray_cluster import content, on_cluster, sendable, spread
from pipeline.image_folder import S3_READERS, S3Path
from pipeline.intake.files import File
from pipeline.intake.fingerprint import Fingerprint, take_fingerprint
from pipeline.intake.listing import Listing
from pipeline.intake.scan_cache import ScanCache, columns_of, restore

FEW = 64            # up to this many files are read by one process: starting others takes longer
CHUNK = 16          # files sent to a worker at a time
S3_CHUNK = 4        # the same, with their contents
MAX_WORKERS = 16    # each needs about 100 MB
NO_PICTURE = (NO_IMAGE, EMPTY, "larger than")      # reasons that are fine for notes.txt


@dataclass
class Scan:
    """What was read of an image folder.

    Attributes:
        fingerprints: of the readable images, in the order of the listing.
        unreadable: file that should be an image -> why it cannot be read.
        stray: path of an ignored file -> the reason.
        class_names: also of classes without an image.
        read: how many files were opened, not taken from the cache.
        settled: sha256 of the images that the user has looked at and wants to use, see `deciding`.
    """

    fingerprints: dict[File, Fingerprint] = field(default_factory=dict)
    unreadable: dict[File, str] = field(default_factory=dict)
    stray: dict[str, str] = field(default_factory=dict)
    class_names: set[str] = field(default_factory=set)
    read: int = 0
    settled: Set[str] = frozenset()


def scan(images: Path | S3Path, listing: Listing, cache: ScanCache) -> Scan:
    """Read the files that have changed, and take the rest from the cache.

    Raises:
        GraftError: if a process that reads images is killed.
    """
    known = cache.look_up([file.path for file in listing.files])
    unknown = [file.path for file in listing.files if file.path not in known]
    try:
        with _reader(images, unknown) as chunks:
            results = shown(chain.from_iterable(chunks), len(unknown), "reading images", "image")
            for path, result in zip(unknown, results):
                cache.store(path, result)
                known[path] = result
    except Ended:
        first = next(path for path in unknown if path not in known)
        raise GraftError(f"a process that read images was killed, most likely because memory ran out, at '{first}' or "
                         "one of the files after it. Files read before are kept: run it again.") from None
    finally:
        cache.commit()
    return _sort_out(listing, known, read=len(unknown))


def _reader(images: Path | S3Path, paths: list[str]) -> AbstractContextManager[Iterator[list]]:
    """Open an iterator over the files' fingerprints, or the reasons against them, in chunks and in their order."""
    if not paths:
        return nullcontext(iter(()))
    files = [images / path for path in paths]
    if on_cluster() and len(files) > FEW:
        return spread(_open_reader, ([sendable(file) for file in chunk] for chunk in _chunks(files, CHUNK)))
    return _in_guarded_processes(files, 1 if len(files) <= FEW else min(MAX_WORKERS, cpu_count()))


def _chunks(files: Iterable, size: int) -> Iterator[list]:
    files = iter(files)
    return iter(lambda: list(islice(files, size)), [])


@contextmanager
def _in_guarded_processes(files: list, processes: int) -> Iterator[Iterator[list]]:
    guarded = Guarded(_read_packed, processes, CHUNK * PROCESSOR_S, PROCESS_BYTES)
    try:
        with (_contents(files) as chunks,
              InThreads(partial(_read_guarded, guarded), chunks, processes, ahead=2 * processes) as results):
            yield results
    finally:
        guarded.close()


def _contents(files: list) -> AbstractContextManager[Iterator[list]]:
    """What the processes are given: paths, or the contents of objects, of which this one reads many at once."""
    if not isinstance(files[0], S3Path):
        return nullcontext(_chunks(files, CHUNK))
    return InThreads(content, files, S3_READERS, ahead=S3_READERS).then(partial(_chunks, size=S3_CHUNK))


def _read_guarded(guarded: Guarded, chunk: list[Path]) -> list[Fingerprint | str]:
    """What a process makes of some files. If one of them ends it, each is read alone, to find which."""
    try:
        answer = guarded(chunk, PROCESSOR_S)
    except Ended as ended:
        if ended.is_killed:
            raise
        return [ENDED] if len(chunk) == 1 else [_read_guarded(guarded, [each])[0] for each in chunk]
    return [restore(*map(_as_bytes, columns)) for columns in json.loads(answer)]


def _read_packed(chunk: list[Path], processor_s: float) -> bytes:
    """In a process: what the cache keeps of some files, as JSON, each read within the limit for one image."""
    packed = []
    for file in chunk:
        with processor_time(processor_s):
            packed.append([_as_text(column) for column in columns_of(_read(file))])
    return json.dumps(packed).encode()


def _as_text(value: str | bytes | None) -> str | list[str] | None:
    return [base64.b64encode(value).decode()] if isinstance(value, bytes) else value


def _as_bytes(value: str | list[str] | None) -> str | bytes | None:
    return base64.b64decode(value[0]) if isinstance(value, list) else value


def _open_reader() -> Callable:
    return _read_chunk


def _read_chunk(files: list) -> list[Fingerprint | str]:
    if not isinstance(files[0], Link):
        return [_read(each) for each in files]
    with InThreads(content, files, S3_READERS, ahead=len(files)) as contents:
        return [_read(each) for each in contents]


def _read(source: Path | bytes | UnreadableImage) -> Fingerprint | str:
    try:
        return take_fingerprint(source)
    except UnreadableImage as error:
        return str(error)


def _sort_out(listing: Listing, results: dict, read: int) -> Scan:
    found = Scan(stray=dict(listing.stray), read=read)
    for file in listing.files:
        result = results[file.path]
        if isinstance(result, Fingerprint):
            found.fingerprints[file] = result
        elif result.startswith(NO_PICTURE) and not is_named_as_image(file.path):
            found.stray[file.path] = result
        else:
            found.unreadable[file] = result
    found.class_names = listing.class_names | {file.label for file in [*found.fingerprints, *found.unreadable]}
    return found
