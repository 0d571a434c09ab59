"""Names that others chose, such as those of stored objects: which may become a path, and where it may lead."""

import re
from pathlib import Path

from graft.errors import GraftError

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?")      # no folder, drive or hidden file
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)      # on Windows


def is_plain(name: object) -> bool:
    """Whether a file of this name can be created in a folder, and only there, on every operating system."""
    return isinstance(name, str) and bool(_PLAIN.fullmatch(name)) and not _DEVICE.fullmatch(name)


def inside(folder: Path, name: str) -> Path:
    """The path of a file in `folder`; `name` may have folders before it, separated by `/`.

    The folder itself may be reached through a link, but nothing below it may lead out of it.

    Raises:
        GraftError: if a part of the name is not plain, or a link leads out of the folder.
    """
    path = folder.joinpath(*name.split("/")) if all(map(is_plain, name.split("/"))) else None
    if path is None or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise GraftError(f"{name[:200]!r} is not a file name that {folder} may hold. Expected letters, digits, '.', "
                         "'_' and '-', in folders that no link leads out of. Ask who wrote it, and remove it there.")
    return path
