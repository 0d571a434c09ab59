"""Keep the measurements of each file in an SQLite file outside the stages' outputs. It may be deleted at any time.

A file counts as unchanged while its path, size, inode, and times of modification and change are the same; `touch -d`
can set back the first time, but not the second. An object in S3 does while its key, size and ETag are the same. A
digest of the code that measures is part of the SQLite file's name, so that other code, or another version of Pillow,
starts afresh. A row whose seal is broken counts as missing.
"""

import contextlib
import errno
import json
import os
import sqlite3
from dataclasses import fields
from pathlib import Path

import numpy as np

from graft.errors import GraftError
from graft.images import OUT_OF_MEMORY, UnreadableImage
from graft.machine.progress import shown
from graft.machine.threads import InThreads
from pipeline import sealed
from pipeline.code import digest_of
from pipeline.image_folder import S3Path, readers_of
from pipeline.intake.fingerprint import (
    COEFFICIENTS,
    COLOUR_PX,
    GREY_PX,
    VIEWS,
    Fingerprint,
    take_remains,
    take_thumbnail,
)

SCHEMA = """
    CREATE TABLE IF NOT EXISTS scans (
        root TEXT, path TEXT, state TEXT, reason TEXT, measured TEXT, grey BLOB, colour BLOB, views BLOB,
        seal TEXT, PRIMARY KEY (root, path));
    CREATE TABLE IF NOT EXISTS thumbnails (
        root TEXT, path TEXT, state TEXT, jpeg BLOB, seal TEXT, PRIMARY KEY (root, path));
"""
MEASUREMENTS = "reason, measured, grey, colour, views"
MEASURED = [field.name for field in fields(Fingerprint) if field.name not in ("grey", "colour", "views")]
PASSING = {OUT_OF_MEMORY} | {       # reasons that say nothing of the file itself
    os.strerror(code).lower() for code in (errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ETIMEDOUT)
}
COMMIT_EVERY = 2000     # files: the most that a killed scan loses
AHEAD = 64              # thumbnails that are made while the results before them are kept


class ScanCache:
    """The measurements and thumbnails of the unchanged files of one image folder."""

    def __init__(self, folder: Path, images: Path | S3Path):
        self.images = images
        self.root = str(images if isinstance(images, S3Path) else images.resolve())
        self.path = folder / f"scans-{digest_of('pipeline.intake.fingerprint', 'pipeline.sealed')}.sqlite"
        self.pending = 0
        self._before: dict[str, str | None] = {}        # path -> its state before it was read
        self.connection = None
        try:
            self.connection = _open(self.path)
        except (OSError, sqlite3.OperationalError) as error:
            self._keep_nothing(error)

    def look_up(self, paths: list[str]) -> dict[str, Fingerprint | str]:
        """The fingerprint of each unchanged file among `paths`, or the reason why it is unreadable."""
        self._before = {path: self._state(path) for path in paths}
        known = {path: content for path, state, *content in self._select("scans", "path, state, seal, " + MEASUREMENTS)
                 if state == self._before.get(path)}
        sound = {path: content for path, (seal, *content) in known.items() if seal == sealed.digest(path, *content)}
        if broken := len(known) - len(sound):
            print(f"{self.path}: measurements of {broken} files are damaged, so they are made again", flush=True)
        return {path: restore(*content) for path, content in sound.items()}

    def store(self, path: str, result: Fingerprint | str) -> None:
        """Keep the fingerprint of a file that was looked up, or why it is unreadable unless that may pass."""
        state = None if isinstance(result, str) and result in PASSING else self._before.get(path)
        if state:           # else the file was not there, or may not be read: try again next time
            content = columns_of(result)
            self._put("REPLACE INTO scans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self.root, path, state, *content,
                      sealed.digest(path, *content))

    def thumbnail(self, path: str, is_broken: bool = False) -> bytes:
        """A small JPEG of a file, read only if the file has changed.

        Args:
            path: relative to the image folder.
            is_broken: show what remains of a broken file; b"" if nothing does.

        Raises:
            GraftError: if `is_broken` is False and the file, which was measured, cannot be read any more.
        """
        if (jpeg := self._kept(path)) is None:
            jpeg = take_remains(self.images / path) if is_broken else self._make(path)
            self._keep(path, jpeg)
        return jpeg

    def make_thumbnails(self, paths: list[str]) -> None:
        """Make the thumbnails that are not kept yet, on all cores; see `thumbnail`."""
        missing = [path for path in paths if self._kept(path) is None]
        with InThreads(self._make, missing, readers_of(self.images), AHEAD) as made:
            for path, jpeg in zip(missing, shown(made, len(missing), "making thumbnails", "image")):
                self._keep(path, jpeg)

    def commit(self) -> None:
        """Write what was stored to the disk."""
        try:
            self.connection.commit()
        except sqlite3.DatabaseError as error:
            self._keep_nothing(error)

    def _make(self, path: str) -> bytes:
        try:
            return take_thumbnail(self.images / path)
        except UnreadableImage as error:
            raise GraftError(f"{self.images / path}: {error}. It could be read before: the images have changed during "
                             "this run. Run it again.") from None

    def _kept(self, path: str) -> bytes | None:
        """The thumbnail of an unchanged file."""
        wanted = path, self._state(path)
        kept = self._select("thumbnails", "jpeg, seal", "AND path = ? AND state = ?", *wanted)
        return next((jpeg for jpeg, seal in kept if seal == sealed.digest(path, jpeg)), None)

    def _keep(self, path: str, jpeg: bytes) -> None:
        self._put("REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?)", self.root, path, self._state(path), jpeg,
                  sealed.digest(path, jpeg))

    def _select(self, table: str, columns: str, further: str = "", *values) -> list[tuple]:
        """Rows of this image folder. A file in which SQLite cannot find them is made anew."""
        query = f"SELECT {columns} FROM {table} WHERE root = ? {further}"
        try:
            return self.connection.execute(query, (self.root, *values)).fetchall()
        except sqlite3.OperationalError as error:       # another process writes: the file is not damaged
            self._keep_nothing(error)
            return []
        except sqlite3.DatabaseError:
            self.connection.close()
            sealed.discard(self.path)
            self.connection = _connect(self.path)
            return []

    def _put(self, statement: str, *values) -> None:
        try:
            self.connection.execute(statement, values)
        except sqlite3.DatabaseError as error:
            self._keep_nothing(error)
        self.pending += 1
        if self.pending % COMMIT_EVERY == 0:
            self.commit()

    def _keep_nothing(self, error: Exception) -> None:
        """Say that the file takes no more, and go on without it; a damaged one is removed, for the next run's sake."""
        if self.connection:             # it may hold a lock for which the next run would wait
            self.connection.close()
        if not isinstance(error, sqlite3.OperationalError):
            sealed.discard(self.path)
        print(f"{self.path}: {error}: measurements are not kept, so the next run makes them again", flush=True)
        self.connection = _connect(":memory:")

    def _state(self, path: str) -> str | None:
        if isinstance(self.images, S3Path):
            return self.images.objects.get(path)
        file = self.images / path
        with contextlib.suppress(OSError):
            found = file.stat()
            if os.access(file, os.R_OK):
                return f"{found.st_size} {found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"
        return None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    for outdated in path.parent.glob("scans-*.sqlite"):
        if outdated != path:
            outdated.unlink()
    try:
        return _connect(path)
    except sqlite3.OperationalError:    # the disk, or another process that writes
        raise
    except sqlite3.DatabaseError:
        sealed.discard(path)
        return _connect(path)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60)
    connection.executescript(SCHEMA)
    return connection


def columns_of(result: Fingerprint | str) -> tuple:
    """The columns `MEASUREMENTS` of a fingerprint, or of the reason why a file is unreadable."""
    if isinstance(result, str):
        return result, None, None, None, None
    measured = {name: getattr(result, name) for name in MEASURED}
    return None, json.dumps(measured), result.grey.tobytes(), result.colour.tobytes(), result.views.tobytes()


def restore(reason, measured, grey, colour, views) -> Fingerprint | str:
    """What `columns_of` was given."""
    if reason is not None:
        return reason
    return Fingerprint(
        **json.loads(measured),
        grey=np.frombuffer(grey, np.uint8).reshape(GREY_PX, GREY_PX),
        colour=np.frombuffer(colour, np.uint8).reshape(COLOUR_PX, COLOUR_PX, 2),
        views=np.frombuffer(views, np.float32).reshape(len(VIEWS), COEFFICIENTS, COEFFICIENTS),
    )
