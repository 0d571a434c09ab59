"""Conditional reads and writes of whole objects: the little that a registry needs, over a local folder or over S3.

Keys are relative, with `/` between their parts. An object appears whole or not at all, and `create` never replaces one:
on that one promise rests everything that two writers at once must agree on.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from graft.errors import GraftError


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
