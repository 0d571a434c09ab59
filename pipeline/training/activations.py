"""The frozen part as a function of (image, view): computed once, kept on disk, read ever after.

The frozen part never trains, so its output at the cut stays the same for the same picture. The cache is *where* this
function is evaluated, never another function: what is not on disk is computed when it is asked for.
"""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from graft.errors import GraftError
from graft.images import UnreadableImage, read_bytes
from graft.machine.threads import InThreads
from pipeline.cluster.ray_cluster import on_cluster, sendable, spread
from pipeline.code import digest_of
from pipeline.image_folder import readers_of
from pipeline.shards import Shards
from pipeline.training import backbones, pace
from pipeline.training.batches import full
from pipeline.training.engines import Engine
from pipeline.training.frozen import FrozenPart
from pipeline.training.interruption import leave, sigterm_as_flag
from pipeline.training.room import Room
from pipeline.views import View

BATCH_SIZE = 32                 # always full: the same row comes out of a network whatever its neighbours are
SHARD_BYTES = 16_000_000        # a killed run may lose the one that is written and the one that is computed
CLUSTER_CHUNK = 2 * BATCH_SIZE  # views sent to a worker at once, with the bytes of their images


class Activations:
    """float16 activations at the cut, of any view of any image.

    Args:
        part: see `FrozenPart`.
        weights: the backbone's weights file.
        images: the folder that the views' paths are relative to.
        cache: a folder; may be empty or partly filled.
        cache_gigabytes: the cache never grows larger; see `Room`.
    """

    def __init__(self, part: FrozenPart, weights: Path, images: Path, cache: Path, cache_gigabytes: float):
        self.part, self.images, self.weights = part, images, weights
        self.cache, self.cache_gigabytes = cache, cache_gigabytes
        code = digest_of("pipeline.training.frozen", "pipeline.shards")
        folder = cache / _digest(part.name, part.alpha, part.image_size, part.weights_sha256, part.cut,
                                 part.precision, part.engine, code)
        self._room, self.shards = Room(folder, cache_gigabytes * 1e9), Shards(folder)
        self.augmentation = _digest(part.augmentation, part.seed)
        self._opened: Engine | None = None
        self._sent: dict[str, bytes | UnreadableImage] = {}     # what a worker has instead of the images' folder

    def at(self, cut: str) -> "Activations":
        """The same images at another cut."""
        return Activations(replace(self.part, cut=cut), self.weights, self.images, self.cache, self.cache_gigabytes)

    def fill(self, views: list[View]) -> int:
        """Compute what is not on disk yet, if there is room for it; say so if not. Returns how many were written."""
        if self.part.cut == backbones.IMAGES:
            print("activations: the whole network is trained (extract.backbone.cut: images), so that nothing is cached")
            return 0
        missing = [view for view in views if view.key(self.augmentation) not in self.shards]
        try:
            if self._has_room(views, missing):
                self._write(missing)
        except _Uncached as reason:
            print(f"activations: {reason}. What is not cached is computed each time it is needed", flush=True)
        return sum(view.key(self.augmentation) in self.shards for view in missing)

    def batch(self, views: list[View]) -> np.ndarray:
        """float16 `(views, rows, columns, channels)`: from disk, or computed now."""
        keys = [view.key(self.augmentation) for view in views]
        return self.shards.read(keys) if self.shards.hold(keys) else self._compute(views)

    def _write(self, missing: list[View]) -> None:
        """Compute views and put them into shards; a thread writes one while the next is computed."""
        per_shard = max(1, SHARD_BYTES // self._view_bytes() // BATCH_SIZE) * BATCH_SIZE
        rows, done, written = [], 0, None
        with (sigterm_as_flag() as terminated, self._inputs(missing) as inputs, ThreadPoolExecutor(1) as writer,
              tqdm(total=len(missing), unit="view", desc="activations", disable=None) as progress):
            for batch in _batches(inputs) if on_cluster() else self._run_all(inputs, len(missing)):
                rows += list(batch)
                done += len(batch)
                progress.update(len(batch))
                if len(rows) == per_shard or done == len(missing) or terminated.is_set():
                    if written:
                        _finish(written)
                    keys = [view.key(self.augmentation) for view in missing[done - len(rows) : done]]
                    written, rows = writer.submit(self.shards.write, keys, rows), []
                if terminated.is_set():
                    leave()
            _finish(written)

    def _inputs(self, views: list[View]) -> AbstractContextManager[Iterator]:
        """To be opened by `with`: the views' activations in chunks from a Ray cluster, or else their images."""
        where = " on the Ray cluster" if on_cluster() else ""
        print(f"activations: {len(views):,} views to compute{where}", flush=True)
        return self._from_cluster(views) if on_cluster() else self._rendered(views)

    def _run_all(self, images: Iterator[list[np.ndarray]], views: int) -> Iterator[np.ndarray]:
        """The activations of all images in batches. Prints how long they will take, and what set the pace."""
        watch, streams = pace.Pace(), self._engine().streams
        for number, rows in enumerate(self._run(watch.inputs(_batches(images))), 1):
            if number == streams:               # the first round has compiled the network
                began = time.perf_counter()
            if number == 2 * streams:
                total_s = (time.perf_counter() - began) * views / BATCH_SIZE / streams
                print(f"activations: about {pace.duration(total_s)} for all", flush=True)
            yield rows
        print(f"activations: {watch.report(views, 'views')}", flush=True)

    def _from_cluster(self, views: list[View]) -> AbstractContextManager[Iterator[np.ndarray]]:
        """Workers run the same code on the same bytes; this process alone writes to the cache."""
        chunks = (views[start : start + CLUSTER_CHUNK] for start in range(0, len(views), CLUSTER_CHUNK))
        work = ((chunk, {view.path: sendable(self.images / view.path) for view in chunk}) for chunk in chunks)
        open_worker = partial(_open_worker, self.part, self.weights.read_bytes(), self.images)
        return spread(open_worker, work, whole_machine=True, gpu=True)

    def _compute_sent(self, work: tuple[list[View], dict]) -> np.ndarray:
        views, self._sent = work
        return self._compute(views)

    def _compute(self, views: list[View]) -> np.ndarray:
        with self._rendered(views) as images:
            return np.concatenate(list(self._run(_batches(images))))

    def _run(self, batches: Iterable[list[np.ndarray]]) -> Iterator[np.ndarray]:
        """The activations of batches of images, of which the last may be smaller than the others."""
        sizes: deque[int] = deque()

        def filled(batch: list[np.ndarray]) -> np.ndarray:
            sizes.append(len(batch))
            return np.stack(full(batch, BATCH_SIZE))

        return (rows[: sizes.popleft()] for rows in self._engine().run(map(filled, batches)))

    def _rendered(self, views: list[View]) -> InThreads:
        """The views' images in order; while the network runs, threads decode the next ones, each image once."""
        same_image = (list(group) for _, group in groupby(views, key=lambda view: view.sha256))
        return InThreads(self.images_of, same_image, readers_of(self.images),
                         ahead=(1 + self._engine().streams) * BATCH_SIZE)

    def images_of(self, views: list[View]) -> list[np.ndarray]:
        """Some views of one image, uint8 `(height, width, 3)` each. Decodes the file once."""
        path = self.images / views[0].path
        try:
            data = read_bytes(self._sent.get(views[0].path, path))
            images = self.part.render(data, views)
        except UnreadableImage as reason:
            raise GraftError(f"{path} could be read when the data were validated, but not now: {reason}.") from None
        if hashlib.sha256(data).hexdigest() != views[0].sha256:
            raise GraftError(f"{path} has changed since the data were validated: run `dvc repro` from there.")
        return images

    def _engine(self) -> Engine:
        if self._opened is None:
            self._opened = self.part.opened(self.weights)
        return self._opened

    def _view_bytes(self) -> int:
        return 2 * int(np.prod(self._engine().shape))

    def _has_room(self, views: list[View], missing: list[View]) -> bool:
        """Whether there is anything to write and room for it, once what is not in use is removed.

        Raises:
            _Uncached: if there is no room.
        """
        with _cache_errors():
            kept = self.shards.use([view.key(self.augmentation) for view in views])
            if not missing or self._room.make(len(missing) * self._view_bytes(), kept):
                return bool(missing)
        gigabytes = len(missing) * self._view_bytes() / 1e9
        raise _Uncached(
            f"{len(missing):,} views ({gigabytes:.2g} GB) do not fit beside what is in use: extract.cache_gigabytes is "
            f"{self._room.limit_bytes / 1e9:g}, and {self._room.free_bytes() / 1e9:.2g} GB of the disk are free")


class _Uncached(Exception):
    """Why activations are not cached."""


def _finish(written: Future) -> None:
    with _cache_errors():
        written.result()


@contextmanager
def _cache_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Uncached(f"{error.filename}: {error.strerror}, so caching ends") from error


def _batches(chunks: Iterable) -> Iterator[list[np.ndarray]]:
    """The rows of all chunks, as many at a time as the network takes."""
    rows = chain.from_iterable(chunks)
    return iter(lambda: list(islice(rows, BATCH_SIZE)), [])


def _open_worker(part: FrozenPart, weights: bytes, images: Path) -> Callable:
    """In a worker, which has no file of this project: the network, loaded once."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "backbone.weights.h5")
        file.write_bytes(weights)
        worker = Activations(part, file, images, Path(folder), cache_gigabytes=0)
        worker._engine()
    return worker._compute_sent


def _digest(*parts) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
