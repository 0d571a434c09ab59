"""A copy of a pulled version in a folder that the user names: written whole, and only such a copy is ever replaced."""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from graft.errors import GraftError
from graft.machine.files import expanded
from graft.registry.manifest import MANIFEST, SIGNATURE, File, decode, describe, from_json
from graft.store import Damaged


def replace_folder(source: Path, to: Path, files: Iterable[str]) -> Path:
    """Copy a pulled version to `to` and return its absolute path. A copy there is replaced by a complete one.

    Args:
        source: the version's folder.
        files: paths in it of what to copy, beside its manifest and signature.

    Raises:
        GraftError: if `to` exists and holds anything but an unchanged copy of a version. Nothing is changed then.
    """
    to = expanded(to).resolve()
    if not to.name:
        raise GraftError(f"{to} exists and is not a model that was pulled: it was not replaced. Name another folder.")
    fresh, old = to.with_name(f".{to.name}.new"), to.with_name(f".{to.name}.old")
    if old.exists() and not to.exists() and not _strangers(old):
        old.rename(to)              # an earlier exchange was killed halfway
    _check(to)
    for leftover in (fresh, old):
        _remove(leftover)
    names = [MANIFEST, *files, *[SIGNATURE] * (source / SIGNATURE).is_file()]       # the manifest names all else
    if to.exists() and {name: describe(source / name) for name in names} == _contents(to):
        return to
    for name in names:
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, fresh / name)
    if to.exists():
        _exchange(fresh, to, old)
        _remove(old)
    else:
        fresh.rename(to)
    return to


def _check(to: Path) -> None:
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return
    if not to.is_dir() or not _files(to):
        raise GraftError(f"{to} exists and is not a model that was pulled: it was not replaced. Name another folder.")
    changed = [name for name, file in _files(to).items() if (to / name).is_file() and describe(to / name) != file]
    if mine := sorted([*_strangers(to), *changed]):
        shown = ", ".join(mine[:10]) + ", …" * (len(mine) > 10)
        raise GraftError(f"{to} holds files that were added or changed since it was pulled: {shown}. Nothing was "
                         "replaced. Move them away, or name another folder.")


def _files(folder: Path) -> dict[str, File]:
    """The files of the version that a folder is a copy of, by its manifest; none if it has no sound manifest."""
    try:
        data = (folder / MANIFEST).read_bytes()
        content = from_json(data, folder.name)
        return decode(data, content.get("name", ""), content.get("number", 0), folder.name).all_files
    except (OSError, Damaged):
        return {}


def _strangers(folder: Path) -> list[str]:
    """What is in a folder that is no part of a copy of a version, as paths within it."""
    known = {MANIFEST, SIGNATURE} | _files(folder).keys()
    known |= {name.rpartition("/")[0] for name in known}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return [name for name, path in found.items() if name not in known or path.is_symlink()]


def _remove(folder: Path) -> None:
    """Remove what a pull wrote to a folder, the manifest last, and the folder. Raises `GraftError` if more is there."""
    if not folder.is_dir():
        return
    if strangers := _strangers(folder):
        raise GraftError(f"{folder} holds files that Graft did not write: {', '.join(strangers[:10])}. Move them away.")
    found = sorted(folder.rglob("*"), key=lambda path: (path.name == MANIFEST, path.is_dir()))
    for path in found:
        if not path.is_dir():
            path.unlink()
    for path in (*[path for path in found if path.is_dir()], folder):
        path.rmdir()


def _contents(folder: Path) -> dict[str, File]:
    return {path.relative_to(folder).as_posix(): describe(path) for path in folder.rglob("*") if path.is_file()}


def _exchange(fresh: Path, to: Path, old: Path) -> None:
    """Move `to` to `old` and `fresh` to `to`. On Linux `to` exists at every moment."""
    if sys.platform == "linux" and _swap(fresh, to):
        fresh.rename(old)
        return
    to.rename(old)
    fresh.rename(to)


def _swap(one: Path, other: Path) -> bool:
    """Exchange two paths atomically with renameat2(2); returns False if the file system cannot."""
    import ctypes

    at_working_folder, exchange = -100, 2           # AT_FDCWD, RENAME_EXCHANGE of <fcntl.h> and <linux/fs.h>
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    names = at_working_folder, os.fsencode(one), at_working_folder, os.fsencode(other)
    return rename is not None and rename(*names, exchange) == 0
