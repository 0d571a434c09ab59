"""Find what DVC cannot hash: files in the image folder that would end its run, or make it wait for ever.

DVC hashes the whole image folder before a stage reads it, also hidden files and those that are no images.
"""

import os
import stat
from collections import defaultdict
from pathlib import Path

from graft.errors import printable
from pipeline.arguments import WrongArgument
from pipeline.image_folder import S3Path
from pipeline.intake.layout import shorten

SKIPPED = (".git", ".hg", ".dvc")       # folders that DVC does not enter
SHOWN = 10
GONE = "links to files that do not exist"
LOOP = "links that lead back to themselves"
PIPE = "pipes, sockets or devices, for which DVC would wait"
LOCKED = "files that this user may not read"
CLOSED = "folders that this user may not open"
NAME = "names that are not UTF-8"
IGNORE = ".dvcignore files, which DVC allows only above the image folder"
ADVICE = {
    GONE: "restore the files, or remove the links",
    LOOP: "remove them",
    PIPE: "remove them",
    LOCKED: "allow it, for example by `chmod u+r`",
    CLOSED: "allow it, for example by `chmod u+rx`",
    NAME: "rename the files or folders",
    IGNORE: "move their lines to the project's .dvcignore",
}


def refuse_obstacles(images: Path | S3Path) -> None:
    """Check every file in the image folder without opening it. Of objects in S3, DVC only reads the listing.

    Raises:
        WrongArgument: with the files that DVC cannot hash, by reason.
    """
    if not isinstance(images, S3Path) and images.is_dir() and (obstacles := _find(images)):
        lines = [f"\n  {reason}: {shorten(paths, SHOWN)}; {ADVICE[reason]}" for reason, paths in obstacles.items()]
        raise WrongArgument({"images": f"DVC cannot hash all of '{images}', because it contains{''.join(lines)}"})


def _find(images: Path) -> dict[str, list[str]]:
    """Reason -> the paths of the obstacles, relative to the image folder."""
    obstacles = defaultdict(list)

    def add(reason: str, path: str) -> None:
        obstacles[reason].append(printable(os.path.relpath(path, images)))

    for folder, folders, files in os.walk(images, onerror=lambda error: add(CLOSED, error.filename)):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        if not os.access(folder, os.X_OK):
            add(CLOSED, folder)
            continue
        for name in folders:
            if not _is_utf8(name):
                add(NAME, f"{folder}/{name}")
        for name in sorted(files):
            if reason := _why_not(folder, name):
                add(reason, f"{folder}/{name}")
    return obstacles


def _is_utf8(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _why_not(folder: str, name: str) -> str | None:
    """Why DVC cannot hash a file; None if it can."""
    if name == ".dvcignore":
        return IGNORE
    if not _is_utf8(name):
        return NAME
    path = Path(folder, name)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return GONE
    except PermissionError:
        return LOCKED
    except OSError:
        return LOOP
    if not stat.S_ISREG(mode):
        return PIPE
    return None if os.access(path, os.R_OK) else LOCKED
