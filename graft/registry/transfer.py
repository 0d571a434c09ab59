"""Transfer files: upload those that are missing; download in parallel parts, resumable, and check their sha256."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from graft.errors import GraftError
from graft.machine.threads import InThreads
from graft.registry import blobs
from graft.registry.manifest import File, describe
from graft.store import Damaged, Store, StoreError

PART_BYTES = 8 << 20                # of a file, in one request
PARTS_AT_ONCE = 8
GRACE = timedelta(hours=24)         # longer than any upload: `gc` leaves what unfinished ones have stored


def upload(store: Store, files: dict[File, Path]) -> None:
    """Store the files that are missing.

    Args:
        files: the files to store -> their paths.

    Raises:
        GraftError: if a file changes meanwhile.
    """
    from tqdm import tqdm

    total = sum(file.size_bytes for file in files)
    with tqdm(total=total, unit="B", unit_scale=True, desc="publish", leave=False, disable=None) as bar:
        for file, path in files.items():
            created = blobs.put(store, file, path)
            if describe(path) != file:
                _take_back(store, created)
                raise GraftError(f"{path} changed during publishing. Publish again when nothing writes to it.")
            bar.update(file.size_bytes)


def _take_back(store: Store, created: str | None) -> None:
    """Remove what was just stored with wrong contents, if that is allowed; nobody may rely on it meanwhile."""
    if created:
        blobs.give_up(store, created)
        with contextlib.suppress(StoreError):       # publishers may lack the permission to delete
            store.delete(created)


def download(store: Store, files: Iterable[File], folder: Path) -> int:
    """Complete `folder/<sha256>` for each file, from wherever an earlier attempt was killed; the bytes transferred.

    Raises:
        Damaged: when what is stored is not what it is called; its part file is removed.
    """
    files = list(dict.fromkeys(files))
    if not files:
        return 0
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    parts = [part for file in files for part in _missing_parts(file, folder / file.sha256)]
    missing_bytes = sum(part.length for part in parts)
    _check_room(folder, missing_bytes)
    with (tqdm(total=missing_bytes, unit="B", unit_scale=True, desc="pull", leave=False, disable=None) as bar,
          InThreads(partial(_read, store), parts, PARTS_AT_ONCE, ahead=PARTS_AT_ONCE) as received):
        for file in files:
            _complete(store, file, folder / file.sha256, received, bar.update)
    return missing_bytes


class _Part(NamedTuple):
    file: File
    start: int
    length: int


def _missing_parts(file: File, path: Path) -> list[_Part]:
    done = path.stat().st_size if path.exists() else 0
    if done > file.size_bytes:
        path.unlink()
        done = 0
    return [_Part(file, start, min(PART_BYTES, file.size_bytes - start))
            for start in range(done, file.size_bytes, PART_BYTES)]


def _read(store: Store, part: _Part) -> bytes:
    """Read a part. At the end of the file, ask for one more byte, to detect a longer object."""
    at_end = part.start + part.length == part.file.size_bytes
    data = blobs.of_first_copy(store, part.file, lambda key: store.read(key, part.start, part.length + at_end))
    if data is None:
        raise Damaged(f"{store.address}/{part.file.key} is missing. Publish the model again.")
    if len(data) != part.length:
        expected = f"expected {part.file.size_bytes:,} bytes"
        raise Damaged(f"{store.address}/{part.file.key} has the wrong size: {expected}. Publish the model again.")
    return data


def _complete(store: Store, file: File, path: Path, received: Iterator, progress: Callable[[int], None]) -> None:
    """Append the file's missing parts, and check the whole file."""
    hasher = hashlib.sha256()
    try:
        with open(path, "a+b") as target:
            target.seek(0)
            while chunk := target.read(1 << 20):
                hasher.update(chunk)
            while target.tell() < file.size_bytes:
                data = next(received)
                target.write(data)
                hasher.update(data)
                progress(len(data))
        if hasher.hexdigest() != file.sha256:
            raise Damaged(
                f"{store.address}/{file.key} is damaged: its sha256 is {hasher.hexdigest()}. It was discarded. "
                "Pull again; if that fails too, remove this object and publish the model again."
            )
    except Damaged:
        path.unlink()
        raise


def _check_room(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise GraftError(f"{folder}: {needed_bytes:,} bytes are needed, {free:,} are free. Make room on this disk.")
