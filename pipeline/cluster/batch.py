"""Predict a whole folder or S3 prefix into one CSV or Parquet file, in shards, so that a killed run can continue.

If there is a Ray cluster (`pipeline.cluster.ray_cluster`), it predicts, and this machine writes the shards. It sends
the images of a folder; those of a store the workers read themselves, by signed links.

    OUTPUT              appears complete, when every image has its row; rows are in the order of the images' names
    OUTPUT.parts/       until then, a file per finished shard, named after its contents and the model

A shard whose images or model have changed gets another name, and is predicted again.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path

from graft.decoding.kinds import FORMATS, START_BYTES
from graft.errors import GraftError
from graft.images import MAX_BYTES, read_bytes, refuse_too_large
from graft.machine.files import whole
from graft.machine.threads import InThreads
from graft.model import bundle
from graft.model.classifier import Classifier
from graft.predict.decoders import Decoders
from graft.predict.rows import answer_of, rows
from graft.predict.sources import files_below, name_others, sort_out
from graft.predict.writers import write_csv, write_parquet
from graft.store import open_store
from graft.watch.recorder import Notes
from pipeline import sealed
from pipeline.cluster import batch_worker
from pipeline.cluster.links import Link
from pipeline.cluster.ray_cluster import content, on_cluster, spread
from pipeline.cluster.shards import CLUSTER_CHUNK, Shard, chunks, shard_of
from pipeline.image_folder import S3_READERS, read_object

SHARD_SIZE = 1000
PAGE = 1000         # objects whose kind is found at once


@dataclass
class Summary:
    """Counts of the images by their answer.

    Attributes:
        images: all of them.
        others: files that are no images and have no row.
        unreadable, unknown: how many are unreadable, or answered "unknown".
        labels: label -> images, including those answered "unknown".
    """

    images: int = 0
    others: int = 0
    unreadable: int = 0
    unknown: int = 0
    labels: Counter = field(default_factory=Counter)

    def count(self, row: dict) -> None:
        """Count an image by its row, see `graft.predict.rows`."""
        self.images += 1
        self.unreadable += "error" in row
        self.unknown += bool(row.get("is_unknown"))
        if "label" in row:
            self.labels[row["label"]] += 1


class Batch:
    """All images to predict, and the progress so far."""

    def __init__(self, source: str, output: str | Path, model: Path, shard_size: int = SHARD_SIZE):
        """List the images to predict, and in `others` the files that are none, with the reason.

        Args:
            source: a folder, or `s3://bucket/prefix`.
            output: a file whose name ends in .csv or .parquet.
            model: a bundle's folder.
            shard_size: images per shard, 1 or more.

        Raises:
            GraftError: if there is no image or no model, or the output cannot be written there.
        """
        self.source, self.output, self.model = source.rstrip("/"), Path(output), model
        self.classifier = Classifier(model)
        if self.output.suffix not in (".csv", ".parquet"):
            raise GraftError(f"output '{output}': expected a name that ends in .csv or .parquet")
        if not self.output.absolute().parent.is_dir():
            raise GraftError(f"output '{output}': the folder {self.output.absolute().parent} does not exist. Create it "
                             "first.")
        self.parts = self.output.with_name(self.output.name + ".parts")
        if shard_size < 1:
            raise GraftError(f"shard_size: expected 1 or more, received {shard_size}")
        self.others: dict[str, str] = {}
        images = self._images()
        groups = iter(lambda: list(islice(images, shard_size)), [])
        self.shards = [shard_of(self.parts, number, group, f"{self._model_digest} {self.source}")
                       for number, group in enumerate(groups, start=1)]
        if not self.shards:
            raise GraftError(f"source '{source}' contains no images. Expected a folder or s3://bucket/prefix with "
                             f"images of these formats: {', '.join(FORMATS)}. {name_others(self.others)}".rstrip())

    @property
    def pending(self) -> list[Shard]:
        """The shards that are not predicted yet."""
        return [shard for shard in self.shards if not sealed.is_sound(shard.part)]

    @contextmanager
    def predict(self, shards: list[Shard]) -> Iterator[Iterator[Shard]]:
        """Open an iterator that predicts shards lazily, and gives each when its part is written.

        Raises:
            GraftError: from the iterator, if the source cannot be reached any more.
        """
        if not on_cluster():
            with Decoders() as decoders:
                yield map(partial(self._predict_here, decoders), shards)
            return
        names = chain.from_iterable(shard.names for shard in shards)
        open_worker = partial(batch_worker.open_worker, {path.name: path.read_bytes() for path in self._model_files})
        with (self._sendable(names) as contents,
              spread(open_worker, chunks(shards, contents), whole_machine=True) as answers):
            answers = chain.from_iterable(answers)
            yield (self._write(shard, islice(answers, len(shard.names))) for shard in shards)

    def _sendable(self, names: Iterable[str]):
        """What is sent to a worker: the content of a file, or an object's link, signed as late as possible."""
        if self._store:
            return nullcontext(Link(self._store.link(name, "application/octet-stream")) for name in names)
        return InThreads(partial(content, read=self._read), names, ahead=CLUSTER_CHUNK)

    def _predict_here(self, decoders: Decoders, shard: Shard) -> Shard:
        with rows(self.classifier, shard.names, read=self._locate, readers=self._readers, decoders=decoders) as answers:
            return self._write(shard, answers)

    def _write(self, shard: Shard, answers: Iterable[dict]) -> Shard:
        with sealed.sealed(shard.part) as unfinished, open(unfinished, "w", encoding="utf-8") as file:
            for each in answers:
                file.write(json.dumps(each | {"source": f"{self.source}/{each['source']}"}) + "\n")
        return shard

    def finish(self, notes: Notes | None = None) -> Summary:
        """Write the output from all parts, and remove them; `notes` takes down all answers."""
        summary = Summary(others=len(self.others))
        write = write_csv if self.output.suffix == ".csv" else write_parquet
        with whole(self.output) as unfinished:
            write(unfinished, self.classifier.class_names, self._read_parts(summary, notes))
        shutil.rmtree(self.parts)
        if notes:
            notes.close()
        return summary

    @cached_property
    def _store(self):
        return open_store(self.source, "source") if self.source.startswith("s3://") else None

    @property
    def _readers(self) -> int | None:
        return S3_READERS if self._store else None

    def _images(self) -> Iterator[tuple[str, str]]:
        """Every image's name with a mark that changes with its contents, by name; `others` gets the other files.

        In S3, one request for a thousand names, and one for each object that is not named as an image.
        """
        if not self._store:
            yield from self._files()
            return
        start_of = partial(read_object, self._store, length=START_BYTES)
        objects = self._store.scan("")
        while page := list(islice(objects, PAGE)):
            found = sort_out([each.key for each in page], start_of, self._readers)
            self.others |= found.others
            yield from ((each.key, f"{each.size_bytes} {each.modified.timestamp()}") for each in page
                        if each.key not in found.others)

    def _files(self) -> Iterator[tuple[str, str]]:
        found = files_below(self.source)
        self.others |= {Path(path).relative_to(self.source).as_posix(): why for path, why in found.others.items()}
        for path in found.images:
            yield Path(path).relative_to(self.source).as_posix(), _mark(Path(path))

    @cached_property
    def _model_digest(self) -> str:
        return " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in self._model_files)

    @property
    def _model_files(self) -> list[Path]:
        return [path for path in sorted(self.model.iterdir())
                if path.name in (bundle.MODEL, bundle.DESCRIPTION, bundle.UNKNOWN)]

    def _locate(self, name: str) -> str | bytes:
        """What a decoder reads: the path of an image, or the contents of an object."""
        return self._read(name) if self._store else str(Path(self.source, name))

    def _read(self, name: str) -> bytes:
        if not self._store:
            return read_bytes(Path(self.source, name))
        data = read_object(self._store, name, MAX_BYTES + 1)
        refuse_too_large(data)
        return data

    def _read_parts(self, summary: Summary, notes: Notes | None) -> Iterator[list[dict]]:
        """The rows of each part, counted and taken down on the way."""
        for shard in self.shards:
            content = sealed.read(shard.part)
            if content is None:
                raise GraftError(f"{shard.part} was lost meanwhile. Run it again.")
            part = [json.loads(line) for line in content.splitlines()]
            for name, row in zip(shard.names, part):
                summary.count(row)
                if notes and "label" in row:
                    notes.add(answer_of(row), partial(self._read, name))
            yield part


def _mark(path: Path) -> str:
    try:
        return f"{path.stat().st_size} {path.stat().st_mtime_ns}"
    except OSError:
        return "unreadable"
