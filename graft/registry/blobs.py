"""The files of all versions, by the sha256 of their contents. Whatever is written here is never written again.

    blobs/sha256/ab/<hex>           a file
    blobs/sha256/ab/<hex>.gone      empty: `gc` may remove that file, now or at any later time
    blobs/sha256/ab/<hex>.1         its next copy, stored by a publisher that found the first one given up; and so on

A request to remove a file may be done long after it was sent, when another publisher needs the same file again. So `gc`
first gives the key up, by an object that is never removed, then looks again which files are needed. A publisher first
stores a file under a key that is not given up and writes its manifest, then looks again whether the key was given up.
Whoever comes second sees the other: `gc` keeps the file, or the publisher stores the next copy.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from graft.registry.manifest import File
from graft.store import Damaged, Missing, Store

COPIES = 100                    # of one file, each given up by `gc` before the next was stored
KEY = "blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})(?:[.][1-9][0-9]?)?"
GONE = ".gone"
_KEY = re.compile(KEY)
Result = TypeVar("Result")


def sha256_of(key: str) -> str | None:
    """What the contents of the object with this key must have; None if it is no file."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


def give_up(store: Store, key: str) -> None:
    """Let no publisher rely on this key from now on."""
    store.create(key + GONE, b"")


def key_to_store(store: Store, file: File) -> str:
    """The key of the first copy that is not given up."""
    for key in _keys(file):
        if not store.stat(key + GONE):
            return key
    raise Damaged(f"{store.address}/{file.key}: {COPIES} copies were given up. Remove the objects that begin with this "
                  "name, when nobody publishes.")


def of_first_copy(store: Store, file: File, action: Callable[[str], Result | None]) -> Result | None:
    """What `action` makes of the key of the first copy that is there; None if it makes None, or `Missing`, of all."""
    for key in _keys(file):
        try:
            if (found := action(key)) is not None:
                return found
        except Missing:
            pass
        if not store.stat(key + GONE):
            return None
    return None


def put(store: Store, file: File, path: Path) -> str | None:
    """Store a file, unless it is there and not given up. Returns the key that was written, if one was."""
    key = key_to_store(store, file)
    found = store.stat(key)
    if found and found.size_bytes == file.size_bytes:
        return None
    store.replace(key, path) if found else store.create(key, path)
    return key


def _keys(file: File) -> Iterator[str]:
    yield file.key
    yield from (f"{file.key}.{number}" for number in range(1, COPIES))
