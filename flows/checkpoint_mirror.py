"""Checkpoints in the DVC remote: a spot host that is taken away does not come back, its successor goes on.

Only copies: a run without them trains from the beginning and ends with the same model.
"""

import threading
from contextlib import contextmanager

from graft.errors import GraftError
from graft.machine.files import whole
from graft.store import Missing, Store, open_store
from tasks.artifacts import CACHE

EVERY_S = 120           # between two looks for a newer checkpoint
FOLDER = "checkpoints"  # beside DVC's own `files` and `runs`
PATTERN = "*/[!.]*.npz" # below .graft; pipeline.training.checkpoints names them by all that decides on the training


@contextmanager
def mirrored(remote: str, tell, every_s: float = EVERY_S):
    """Fetch what other hosts left, and leave there what this one has, while the block runs and when it ends.

    Args:
        remote: the address of the DVC remote, s3://bucket/prefix or a folder.
        tell: hears of what went wrong; a store that does not answer stops no training.
    """
    mirror = _Mirror(open_store(f"{remote}/{FOLDER}"), tell)
    mirror.fetch()
    ended = threading.Event()
    thread = threading.Thread(target=lambda: [mirror.push() for _ in iter(lambda: ended.wait(every_s), True)])
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        mirror.push()


class _Mirror:
    def __init__(self, store: Store, tell):
        self.store, self.tell = store, tell
        self.known: dict[str, float] = {}       # key -> time of change of the copy that is in the store

    def fetch(self) -> None:
        """An empty object is a training that has ended: the worker's role may write and not delete."""
        with self._told():
            for stored in self.store.scan(""):
                path = CACHE / stored.key
                if stored.size_bytes and not path.exists():
                    with whole(path) as unfinished:
                        unfinished.write_bytes(self.store.read(stored.key, 0, stored.size_bytes))
                    self.known[stored.key] = path.stat().st_mtime

    def push(self) -> None:
        with self._told():
            here = {path.relative_to(CACHE).as_posix(): path for path in CACHE.glob(PATTERN)}
            for key, path in here.items():
                if (changed := path.stat().st_mtime) != self.known.get(key):
                    self.store.replace(key, path)
                    self.known[key] = changed
            for key in set(self.known) - set(here):
                self.store.replace(key, b"")
                del self.known[key]

    @contextmanager
    def _told(self):
        try:
            yield
        except (GraftError, Missing, OSError) as error:     # OSError: its training has just removed a checkpoint
            self.tell("the copies of checkpoints are not up to date: %s", error)
