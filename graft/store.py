"""Conditional reads and writes of whole objects: the little that a registry needs, over a local folder or over S3.

Keys are relative, with `/` between their parts. An object appears whole or not at all, and `create` never replaces one:
on that one promise rests everything that two writers at once must agree on.
"""

import contextlib
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from graft.errors import GraftError

TEMPORARY = ".incoming"             # a local store's unfinished writes; never listed


class StoreError(GraftError):
    """The store cannot be used: not there, not allowed, not answering, or not keeping its promises."""


class Damaged(GraftError):
    """Something stored is not what was written: nothing of it may be used."""


class Missing(Exception):
    """There is no object under this key."""


class Stored(NamedTuple):
    """What a store says of one object."""

    key: str
    size_bytes: int
    modified: datetime              # by the store's own clock, as `Store.now` is


class Store(ABC):
    """What both stores can do. Everything raises `StoreError` when the store cannot be used."""

    address: str                    # as a person would write it: s3://bucket/prefix or the folder

    @abstractmethod
    def create(self, key: str, data: bytes | Path) -> bool:
        """Write an object, or the contents of a file; when the key is taken, change nothing and return False."""

    @abstractmethod
    def replace(self, key: str, data: bytes | Path) -> None:
        """Write an object, or the contents of a file, whatever stands there."""

    @abstractmethod
    def read(self, key: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from offset `start` on; fewer when the object ends. Raises `Missing`."""

    @abstractmethod
    def stat(self, key: str) -> Stored | None:
        """What is stored under this key, or None."""

    @abstractmethod
    def scan(self, prefix: str) -> Iterator[Stored]:
        """All objects whose key starts with `prefix`, a folder ending in `/`, in the order of their keys."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """The names directly below the folder `prefix` that have objects below them, sorted."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    @abstractmethod
    def now(self) -> datetime:
        """The store's own clock, so that writers with wrong clocks still agree."""

    @abstractmethod
    def link(self, key: str, media_type: str) -> str:
        """An address at which a browser shows an object: a file's, or on S3 one that lets anybody in for a week."""

    def sweep(self, before: datetime) -> int:
        """Remove what killed writers left behind before this moment; how many there were."""
        return 0

    def read_whole(self, key: str, limit_bytes: int) -> bytes:
        """A small object whole. Raises `Missing`, and `Damaged` when it is larger than `limit_bytes`."""
        data = self.read(key, 0, limit_bytes + 1)
        if len(data) > limit_bytes:
            raise Damaged(f"{self.address}/{key} is larger than {limit_bytes:,} bytes: graft never wrote this.")
        return data


def identity(registry: str) -> str:
    """Tells apart what is different in truth: a folder in full, and the endpoint that an s3:// address is asked at."""
    if not registry.startswith("s3://"):
        return str(Path(registry).expanduser().resolve())
    return f"{registry} at {endpoint()}"


def endpoint_url() -> str | None:
    """Where S3 is when it is not AWS, from AWS's own variables."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def endpoint() -> str:
    """The same for people and for files: without a user name or password that it may hold."""
    if not (url := endpoint_url()):
        return "AWS"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def open_store(registry: str) -> Store:
    """The store of a registry's address, `s3://bucket/prefix` or a folder. Touches nothing yet."""
    if registry.startswith("s3://"):
        from graft.s3 import S3Store

        return S3Store(registry)
    return LocalStore(registry)


class LocalStore(Store):
    """A folder. Writers race on `os.link`, which is atomic and refuses a name that is taken."""

    def __init__(self, folder: str | Path):
        self._root = Path(folder).expanduser().absolute()
        self.address = str(folder)

    def create(self, key: str, data: bytes | Path) -> bool:
        with _explained(self.address):
            path, temporary = self._path(key), self._write_temporary(data)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(temporary, path)
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            return True

    def link(self, key: str, media_type: str) -> str:
        return self._path(key).as_uri()

    def replace(self, key: str, data: bytes | Path) -> None:
        with _explained(self.address):
            path, temporary = self._path(key), self._write_temporary(data)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def read(self, key: str, start: int, length: int) -> bytes:
        with _explained(self.address), open(self._path(key), "rb") as file:
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
            found = [self.stat(f"{folder}/{name}".removeprefix(f"{self._root}/"))
                     for folder, folders, names in os.walk(self._path(prefix)) for name in names
                     if not folder.endswith(TEMPORARY)]
        return iter(sorted(stored for stored in found if stored))      # None: removed meanwhile

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
            files = list((self._root / TEMPORARY).glob("*"))
            old = [path for path in files if path.stat().st_mtime < before.timestamp()]
            for path in old:
                path.unlink(missing_ok=True)
        return len(old)

    def _path(self, key: str) -> Path:
        return self._root / key

    def _stored(self, path: Path) -> Stored:
        status = path.stat()
        key = path.relative_to(self._root).as_posix()
        return Stored(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def _write_temporary(self, data: bytes | Path) -> Path:
        """Written and on the disk before it gets its name; on the same file system, so that it can be linked."""
        folder = self._root / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / secrets.token_hex(8)
        try:
            with open(temporary, "xb") as file:
                _copy(data, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary


def _copy(data: bytes | Path, file) -> None:
    if isinstance(data, bytes):
        file.write(data)
        return
    with open(data, "rb") as source:
        shutil.copyfileobj(source, file, 1 << 20)


@contextlib.contextmanager
def _explained(address: str):
    """Turn the file system's errors into `Missing` and `StoreError`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise Missing(str(error)) from error
    except OSError as error:
        raise StoreError(
            f"registry {address}: {error.strerror or error} ({error.filename or 'while writing'}). "
            "Expected a folder that you may read and write, on a disk with room and hard links."
        ) from error
