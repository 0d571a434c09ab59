"""The interface of a store: conditional reads and writes of whole objects, in a local folder or on S3.

Keys are relative, with `/` between their parts. An object appears whole or not at all, and `create` never replaces one.
Concurrent writers rely on that guarantee alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from graft.errors import GraftError


class StoreError(GraftError):
    """The store cannot be used: it is missing, denies access, does not answer, or does not keep its guarantees."""


class Damaged(GraftError):
    """A stored object is not what was written, so none of it may be used."""


class Missing(Exception):
    """There is no object with this key."""


class Stored(NamedTuple):
    """What a store lists about an object."""

    key: str
    size_bytes: int
    modified: datetime              # by the store's clock, like `Store.now`
    etag: str = ""                  # on S3: changes with the contents


class Store(ABC):
    """The operations of every store. Each raises `StoreError` if the store cannot be used."""

    address: str                    # s3://bucket/prefix, or the folder as the user wrote it

    @abstractmethod
    def create(self, key: str, data: bytes | Path) -> bool:
        """Write bytes or the contents of a file as a new object; if the key exists, change nothing and return False."""

    @abstractmethod
    def replace(self, key: str, data: bytes | Path) -> None:
        """Write bytes or the contents of a file as an object, replacing any object with this key."""

    @abstractmethod
    def read(self, key: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from offset `start`; fewer at the end of the object. Raises `Missing`."""

    @abstractmethod
    def stat(self, key: str) -> Stored | None:
        """The object with this key, or None."""

    @abstractmethod
    def scan(self, prefix: str) -> Iterator[Stored]:
        """All objects whose key starts with `prefix`, a folder ending in `/` or empty, sorted by key."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """The sorted names of the folders directly below the folder `prefix` that contain objects."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; a missing one is not an error."""

    @abstractmethod
    def now(self) -> datetime:
        """The time of the store's clock, with its zone, so that writers with wrong clocks still agree."""

    def link(self, key: str, media_type: str) -> str | None:
        """A URL that shows an object in a browser, on S3 one that anyone can open for a week; None if there is none."""
        return None

    def sweep(self, before: datetime) -> int:
        """Remove what killed writers left behind before this time; returns the number of files."""
        return 0

    def read_whole(self, key: str, limit_bytes: int) -> bytes:
        """A whole small object. Raises `Missing`, and `Damaged` if it is larger than `limit_bytes`."""
        data = self.read(key, 0, limit_bytes + 1)
        if len(data) > limit_bytes:
            raise Damaged(f"{self.address}/{key} is larger than {limit_bytes:,} bytes: Graft did not write it.")
        return data
