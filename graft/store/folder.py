"""A store in a folder on this machine, or on a shared file system with hard links."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from graft.machine.files import expanded, flush, unfinished, whole
from graft.store.contract import Damaged, Missing, Store, Stored, StoreError

TEMPORARY = ".incoming"             # unfinished writes; never listed


class LocalStore(Store):
    """A store in a folder. Concurrent writers use `os.link`, which is atomic and refuses an existing name."""

    def __init__(self, folder: str | Path):
        self._root = expanded(folder)
        self._incoming = self._root / TEMPORARY         # on the same file system as the objects, which are linked
        self.address = str(folder)

    def create(self, key: str, data: bytes | Path) -> bool:
        with _explained(self.address, writes=True), unfinished(self._incoming) as temporary:
            _write(data, temporary)
            flush(temporary)
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            return True

    def replace(self, key: str, data: bytes | Path) -> None:
        with (_explained(self.address, writes=True),
              whole(self._path(key), durable=True, folder=self._incoming) as temporary):
            _write(data, temporary)

    def read(self, key: str, start: int, length: int) -> bytes:
        with _explained(self.address), open(self._path(key), "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Damaged(f"{self.address}/{key} is no file, but a pipe or a device: Graft did not write it.")
            file.seek(start)
            return file.read(length)

    def stat(self, key: str) -> Stored | None:
        with _explained(self.address):
            try:
                return self._stored(self._path(key))
            except FileNotFoundError:
                return None

    def scan(self, prefix: str) -> Iterator[Stored]:
        with _explained(self.address):
            found = [self.stat(Path(folder, name).relative_to(self._root).as_posix())
                     for folder, _, names in os.walk(self._path(prefix), onerror=_unless_gone) for name in names
                     if not folder.endswith(TEMPORARY)]
        return iter(sorted(stored for stored in found if stored))      # None: removed in the meantime

    def folders(self, prefix: str) -> list[str]:
        with _explained(self.address):
            parent = self._path(prefix)
            names = [path.name for path in parent.iterdir()] if parent.is_dir() else []
        return sorted(name for name in names if next(self.scan(f"{prefix}{name}/"), None))

    def delete(self, key: str) -> None:
        with _explained(self.address):
            self._path(key).unlink(missing_ok=True)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sweep(self, before: datetime) -> int:
        with _explained(self.address):
            found = {path: self.stat(f"{TEMPORARY}/{path.name}") for path in list(self._incoming.glob("*"))}
            old = [path for path, each in found.items() if each and each.modified < before]
            for path in old:
                path.unlink(missing_ok=True)
        return len(old)

    def _path(self, key: str) -> Path:
        return self._root / key

    def _stored(self, path: Path) -> Stored:
        status = path.stat()
        key = path.relative_to(self._root).as_posix()
        return Stored(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a pipe, which has no writer, too, instead of waiting for one."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _write(data: bytes | Path, path: Path) -> None:
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        shutil.copyfile(data, path)


def _unless_gone(error: OSError) -> None:
    """Raise the error of a folder that cannot be listed: it is not an empty one."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextlib.contextmanager
def _explained(address: str, writes: bool = False) -> Iterator[None]:
    """Turn errors of the file system into `Missing`, unless this writes, and `StoreError`."""
    try:
        yield
    except OSError as error:
        if not writes and isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            raise Missing(str(error)) from error
        raise StoreError(
            f"registry {address}: {error.strerror or error} ({error.filename or 'while writing'}). "
            "Expected a folder that you can read and write, on a disk with free space and support for hard links."
        ) from error
