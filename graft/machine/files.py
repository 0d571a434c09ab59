"""Files that are whole or not there: no half-written file ever has the good name."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from graft.errors import GraftError


@contextmanager
def whole(path: str | Path, durable: bool = False, folder: Path | None = None) -> Iterator[Path]:
    """Give a path to write to, which replaces `path` when the block ends; after an error `path` stays as it was.

    Args:
        durable: the bytes are on the disk before they get their name: a power cut cannot leave half of them.
        folder: where to write, on the file system of `path`; beside it unless given.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(folder or path.parent) as temporary:
        try:
            yield temporary
            if durable:
                flush(temporary)
            temporary.replace(path)
        except OSError as error:        # names the file that the user knows
            if error.filename in (None, str(temporary), temporary):
                error.filename = str(path)
            raise


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """Give a path in `folder`, which is made; what is left there when the block ends is removed.

    No other process or thread is given the same path, so that two that write one file do not disturb each other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{os.getpid()}-{secrets.token_hex(6)}.tmp"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def expanded(path: str | Path, or_else: str = "write the path in full") -> Path:
    """The absolute path, with a folder instead of a leading `~` or `~user`.

    Args:
        or_else: what a user without a home folder can do instead.

    Raises:
        GraftError: if that user has no home folder; in a container, the current user may have neither it nor HOME.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise GraftError(f"{path}: this machine knows no home folder of this user. Set HOME to a folder that you can "
                         f"write to, or {or_else}.") from None


def flush(path: Path) -> None:
    """Wait until the disk has the file's bytes."""
    with open(path, "r+b") as file:         # Windows flushes no file that was opened to be read
        os.fsync(file.fileno())


def lock(file: IO) -> None:
    """Wait until no other process holds an open file, and hold it until it is closed or the process ends."""
    try:
        import fcntl
    except ImportError:                 # Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX)
