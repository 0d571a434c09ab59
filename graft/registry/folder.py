"""A version as a folder on this machine: made whole, checked, and put in the place of another."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from graft.errors import GraftError
from graft.machine.files import whole
from graft.model.bundle import DESCRIPTION
from graft.registry.manifest import MANIFEST, File, Manifest, decode, describe
from graft.registry.transfer import download
from graft.store import Damaged, Store


def build(folder: Path, store: Store, files: dict[str, File], texts: dict[str, bytes | None], incoming: Path) -> int:
    """Make `folder` hold these files and small texts, fetching only what is missing; the bytes transferred.

    A folder that is not there appears when it is whole. Files on their way stay in `incoming` when this is killed.
    """
    target = folder if folder.exists() else folder.with_name(f".{folder.name}.new")
    missing = {path: file for path, file in files.items() if not _is(target / path, file)}
    transferred = download(store, missing.values(), incoming)
    placed: dict[str, Path] = {}
    for path, file in missing.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        if file.sha256 in placed:
            shutil.copyfile(placed[file.sha256], target / path)
        else:
            placed[file.sha256] = (incoming / file.sha256).replace(target / path)
    for name, text in texts.items():
        if text is not None:
            _write(target / name, text, incoming)
    if target != folder:
        target.rename(folder)
    return transferred


def is_whole(folder: Path, files: dict[str, File]) -> bool:
    """Whether each of these files is there, byte for byte."""
    return all(_is(folder / path, file) for path, file in files.items())


def read_folder(folder: Path, name: str, number: int, digest: str) -> Manifest:
    """The manifest of a pulled version. Raises `Damaged` when it is not the one that was pulled."""
    path = folder / MANIFEST
    data = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise Damaged(f"{path} is not as it was pulled. Pull {name}@{number} again without --offline.")
    return decode(data, name, number, str(path))


def replace_folder(source: Path, to: Path) -> Path:
    """Copy a pulled version to `to`. What stood there before stays until the copy is whole, then goes.

    Raises:
        GraftError: when `to` holds anything but a model.
    """
    to = to.expanduser().resolve()
    fresh, old = to.with_name(f".{to.name}.new"), to.with_name(f".{to.name}.old")
    if old.exists() and not to.exists():
        old.rename(to)              # an earlier exchange was killed half-way
    if to.exists() and not (to.is_dir() and (not any(to.iterdir()) or (to / DESCRIPTION).is_file())):
        raise GraftError(f"{to} is there and is no model, so it is left alone. Name another folder.")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    if _same(source, to):
        return to
    shutil.copytree(source, fresh)
    if to.exists():
        _exchange(fresh, to, old)
        shutil.rmtree(old)
    else:
        fresh.rename(to)
    return to


def _write(path: Path, data: bytes, incoming: Path) -> None:
    """Whole or not at all, and only when it is another text: somebody may be reading it."""
    if not path.exists() or path.read_bytes() != data:
        with whole(path, folder=incoming) as unfinished:        # what a kill leaves there is not taken for the model's
            unfinished.write_bytes(data)


def _is(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes and describe(path) == file


def _same(one: Path, other: Path) -> bool:
    def contents(folder: Path) -> dict[str, File]:
        return {path.relative_to(folder).as_posix(): describe(path) for path in folder.rglob("*") if path.is_file()}

    return other.is_dir() and contents(one) == contents(other)


def _exchange(fresh: Path, to: Path, old: Path) -> None:
    """Let `fresh` be `to` and what was `to` be `old`. On Linux there is never a moment without `to`."""
    if sys.platform == "linux" and _swap(fresh, to):
        fresh.rename(old)
        return
    to.rename(old)
    fresh.rename(to)


def _swap(one: Path, other: Path) -> bool:
    """Exchange two names at once, by renameat2(2); False where the file system cannot."""
    import ctypes

    at_working_folder, exchange = -100, 2           # AT_FDCWD, RENAME_EXCHANGE of <fcntl.h> and <linux/fs.h>
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    names = at_working_folder, os.fsencode(one), at_working_folder, os.fsencode(other)
    return bool(rename) and rename(*names, exchange) == 0
