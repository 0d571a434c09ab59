"""Room in the cache of activations, which runs with other data, parameters, code or libraries fill, too.

The cache has a folder for each frozen part. A process locks the folder that it uses, so that no other removes anything
there. What was used least recently is removed first: the time of modification of a shard's keys says when that was.
"""

import os
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import disk_usage

try:
    import fcntl
except ImportError:         # Windows: without locks nothing is known to be out of use, so that nothing is removed
    fcntl = None            # type: ignore[assignment]

LOCK = "lock"
FREE_SHARE = 0.9            # of the free disk: others write there, too


class Room:
    """What this process may write into one folder of the cache. Two that begin to write at once may exceed the limit.

    Args:
        folder: of one frozen part, in the cache; need not exist.
        limit_bytes: of the whole cache.
    """

    def __init__(self, folder: Path, limit_bytes: float):
        self.folder, self.limit_bytes = folder, limit_bytes
        self._lock: int | None = None
        if folder.exists():
            with suppress(OSError):         # of a cache that may only be read
                self._hold()

    def make(self, needed_bytes: int, kept: Collection[str]) -> bool:
        """Remove what was used least recently until so many bytes fit. If they cannot, remove nothing.

        Args:
            needed_bytes: that are to be written.
            kept: names of shards in the folder that stay.

        Returns:
            Whether they fit.
        """
        self._hold()
        with _only_process(self.folder.parent):
            used_bytes = sum(_size(file) for file in self.folder.parent.glob("*/*"))
            missing_bytes = max(used_bytes + needed_bytes - self.limit_bytes,
                                needed_bytes / FREE_SHARE - self.free_bytes())
            removed = []
            for file in sorted(self._removable(kept), key=_last_use):
                if missing_bytes > 0:
                    missing_bytes -= _size(file)
                    removed.append(file)
            if missing_bytes <= 0:
                self._remove(removed)
            return missing_bytes <= 0

    def free_bytes(self) -> int:
        """Of the disk."""
        return disk_usage(self.folder).free

    def _hold(self) -> None:
        """Keep other processes from removing anything in the folder while this object lives."""
        with _only_process(self.folder.parent):
            self.folder.mkdir(exist_ok=True)
            if self._lock is None and fcntl:
                self._lock = _open_lock(self.folder)
                weakref.finalize(self, os.close, self._lock)
                fcntl.flock(self._lock, fcntl.LOCK_SH)

    def _remove(self, files: list[Path]) -> None:
        """Remove shards, the keys of each first: without them it is only bytes. The last one takes its folder along."""
        for file in files:
            file.with_suffix(".json").unlink(missing_ok=True)
            file.unlink()
        for folder in {file.parent for file in files} - {self.folder}:
            if [each.name for each in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()

    def _removable(self, kept: Collection[str]) -> Iterator[Path]:
        """The shards that no process uses, and what killed processes left unfinished."""
        for folder in self.folder.parent.iterdir():
            if folder.is_dir() and self._is_free(folder):
                yield from (file for file in folder.iterdir()
                            if file.suffix in (".npy", ".tmp") and (folder != self.folder or file.stem not in kept))

    def _is_free(self, folder: Path) -> bool:
        """Whether no other process uses a folder, as far as this one can tell."""
        if self._lock is None:
            return False
        if folder == self.folder:
            is_free = _try_to_lock(self._lock)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            return is_free
        with suppress(OSError), _opened_lock(folder) as lock:
            return _try_to_lock(lock)
        return False


@contextmanager
def _only_process(cache: Path) -> Iterator[None]:
    """One process at a time changes which folders are in use, and removes what is not."""
    cache.mkdir(parents=True, exist_ok=True)
    with _opened_lock(cache) as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened_lock(folder: Path) -> Iterator[int]:
    lock = _open_lock(folder)
    try:
        yield lock
    finally:
        os.close(lock)


def _open_lock(folder: Path) -> int:
    return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)


def _try_to_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _last_use(file: Path) -> float:
    keys = file.with_suffix(".json")
    return (keys if keys.exists() else file).stat().st_mtime


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:           # another process has given it its name meanwhile
        return 0
