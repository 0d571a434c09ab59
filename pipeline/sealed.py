"""Files of `.graft` that notice damage: each ends with a sha256 of its name and its contents.

A disk that changes a bit, or a copy that stops halfway, must not decide what a network learns. What is kept there can
be made again: a file that is not as it was written counts as missing, is removed, and is said in one line.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from graft.machine.files import whole

SEAL_BYTES = 73         # a line of its own, "sha256 …"
BLOCK_BYTES = 1 << 20


@contextmanager
def sealed(path: Path) -> Iterator[Path]:
    """Like `graft.machine.files.whole`, durable; what was written is sealed when the block ends."""
    with whole(path, durable=True) as unfinished:
        yield unfinished
        with open(unfinished, "r+b") as file:
            seal = _seal(file, path.name, unfinished.stat().st_size)
            file.seek(0, 2)
            file.write(seal)


def is_sound(path: Path) -> bool:
    """Whether a file is as it was written. If it is there and is not, it is removed, and that is said."""
    try:
        with open(path, "rb") as file:
            size = path.stat().st_size - SEAL_BYTES
            if size >= 0 and _seal(file, path.name, size) == file.read():
                return True
    except FileNotFoundError:
        return False
    except OSError:
        pass
    discard(path)
    return False


def discard(path: Path) -> None:
    """Remove a file that cannot be used, and say so."""
    print(f"{path}: damaged, so it is made again", flush=True)
    with suppress(OSError):             # of a cache that may only be read
        path.unlink()


def read(path: Path) -> bytes | None:
    """The contents of a file; None if it is missing or damaged."""
    return path.read_bytes()[:-SEAL_BYTES] if is_sound(path) else None


def digest(*parts: object) -> str:
    """A sha256 of what is kept together elsewhere than in a file of its own, such as a row of a table."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode(errors="surrogateescape")
        hasher.update(b"%d:" % len(data) + data)
    return hasher.hexdigest()


def _seal(file: BinaryIO, name: str, size: int) -> bytes:
    """The seal of a file's first bytes, which are read."""
    hasher = hashlib.sha256(name.encode())
    for start in range(0, size, BLOCK_BYTES):
        hasher.update(file.read(min(BLOCK_BYTES, size - start)))
    return f"\nsha256 {hasher.hexdigest()}\n".encode()
