"""Copy checkpoints to the DVC remote, so that another host can continue when a spot host is lost.

They are only copies: without them, a run trains from the beginning and ends with the same model.
"""

import threading
from contextlib import contextmanager
from pathlib import Path

from graft.errors import GraftError
from graft.machine.files import whole
from graft.machine.names import inside
from graft.store import Missing, Store, Stored, open_store
from tasks.artifacts import CACHE

EVERY_S = 120           # between two copies
FOLDER = "checkpoints"  # beside DVC's own `files` and `runs`
LARGEST_BYTES = 4 << 30 # of a checkpoint; the optimizer's state of the largest backbone takes about half
PART_BYTES = 8 << 20    # of a checkpoint, in one request
PATTERNS = "*/[!.]*.npz", "*/*/[!.]*.npz"       # below .graft, by stage and cut; see pipeline.training.checkpoints


@contextmanager
def mirrored(remote: str, warn, every_s: float = EVERY_S):
    """Fetch the checkpoints of other hosts, then copy this host's while the block runs and when it ends.

    Args:
        remote: the address of the DVC remote, s3://bucket/prefix or a folder.
        warn: called with a message, and an error to format into it, if copying fails; the training goes on.
        every_s: seconds between two copies.
    """
    mirror = _Mirror(open_store(f"{remote}/{FOLDER}"), warn)
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
    def __init__(self, store: Store, warn):
        self.store, self.warn = store, warn
        self.known: dict[str, float] = {}       # key -> modification time of the copy in the store

    def fetch(self) -> None:
        """An empty object marks a training that has ended: the worker's role may write, but not delete.

        Whoever may write to the remote chooses the keys: one that is no checkpoint's is named, and not fetched.
        """
        with self._warning():
            for stored in self.store.scan(""):
                with self._warning():
                    self._fetch(stored)

    def _fetch(self, stored: Stored) -> None:
        path = _path(stored)
        if stored.size_bytes and not path.exists():
            with whole(path) as unfinished, open(unfinished, "wb") as file:
                for start in range(0, stored.size_bytes, PART_BYTES):
                    file.write(self.store.read(stored.key, start, min(PART_BYTES, stored.size_bytes - start)))
            self.known[stored.key] = path.stat().st_mtime

    def push(self) -> None:
        """Copy new and changed checkpoints, and mark those whose training has ended."""
        with self._warning():
            here = {path.relative_to(CACHE).as_posix(): path for pattern in PATTERNS for path in CACHE.glob(pattern)}
            for key, path in here.items():
                if (changed := path.stat().st_mtime) != self.known.get(key):
                    self.store.replace(key, path)
                    self.known[key] = changed
            for key in set(self.known) - set(here):
                self.store.replace(key, b"")
                del self.known[key]

    @contextmanager
    def _warning(self):
        try:
            yield
        except (GraftError, Missing, OSError) as error:     # OSError: the training has just removed a checkpoint
            self.warn("the copies of the checkpoints are not up to date: %s", error)


def _path(stored: Stored) -> Path:
    """Where a checkpoint belongs: STAGE/NAME.npz or STAGE/CUT/NAME.npz below .graft.

    Raises:
        GraftError: for any other object.
    """
    stage, _, name = stored.key.partition("/")
    path = inside(inside(CACHE, stage), name)           # the stage's folder may be a link to the worker's
    if CACHE not in path.parents[1:3] or path.suffix != ".npz" or stored.size_bytes > LARGEST_BYTES:
        raise GraftError(f"{stored.key[:200]!r} ({stored.size_bytes:,} bytes) is no checkpoint. Expected "
                         f"STAGE/NAME.npz or STAGE/CUT/NAME.npz of at most {LARGEST_BYTES:,} bytes. Ask who wrote it, "
                         "and remove it there.")
    return path
