"""Add images to an image folder: each into the folder of its class, or into the label table where one holds the labels.

What is added has a name of its own, a hash of its bytes, so it is found again wherever it was put.
"""

import csv
import hashlib
import io
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from graft.errors import GraftError
from graft.machine.files import whole
from graft.machine.names import is_plain
from pipeline.intake.files import split_of
from pipeline.intake.label_table import ENCODINGS, separator_of
from pipeline.intake.listing import Listing
from pipeline.intake.other_tables import LABEL_TABLES

FOLDER = "collected"        # of what is added where a table holds the labels
_CLASS = re.compile(r"\w(?:[\w .,&'()+-]{0,98}[\w)+])?")


class Adding:
    """Puts images into an image folder, and takes them out again."""

    def __init__(self, images: Path, listing: Listing):
        """Look where the images of each class are. Raises `GraftError` for a table to which nothing can be added."""
        self._images, self._folders = images, defaultdict(Counter)
        self._table = next((path for path in sorted(images.iterdir()) if path.name.lower() in LABEL_TABLES), None)
        if self._table and self._table.suffix.lower() != ".csv":
            raise GraftError(f"{self._table}: no row can be added to a Parquet file. Save it as labels.csv.")
        self._has_splits = any(each.split for each in listing.files)
        for each in listing.files:
            if each.split in ("", "train"):
                self._folders[each.label][each.path.rpartition("/")[0]] += 1

    def path_of(self, label: str, name: str) -> str:
        """Where an image of a class belongs, relative to the image folder."""
        return f"{FOLDER if self._table else self._folder(label)}/{name}"

    @contextmanager
    def placed(self, wanted: Mapping[Path, str], before: Collection[str]) -> Iterator[None]:
        """Put images where they belong; once the block has ended, remove them where they no longer do.

        If the block fails, everything is as it was. Only files with the image's own name and bytes are removed.

        Args:
            wanted: the image's file elsewhere -> its class, or "" if it is to be in none.
            before: classes in which they may be.

        Raises:
            GraftError: if a file is not what its name says.
        """
        made, table = [], self._table.read_bytes() if self._table else b""
        places = {file: self._images / self.path_of(label, file.name) for file, label in wanted.items() if label}
        try:
            for file, target in places.items():
                made += [target] * _copied(file, target, self._images)
            self._write_rows(table, {file.name: label for file, label in wanted.items()})
            yield
        except BaseException:
            for target in made:
                target.unlink(missing_ok=True)
            self._restore(table)
            raise
        for file in wanted:
            for target in self._everywhere(file.name, before) - {places.get(file)}:
                _remove(target, file)

    def _folder(self, label: str) -> str:
        known = self._folders.get(label)
        if known:
            return max(sorted(known), key=known.__getitem__)
        return f"{self._prefix()}{label}"

    def _prefix(self) -> str:
        """What stands before the class in the paths of a folder with splits, with its slash."""
        if self._has_splits:
            for label, folders in sorted(self._folders.items()):
                for folder in sorted(folders):
                    before, found, _ = f"/{unicodedata.normalize('NFC', folder)}/".rpartition(f"/{label}/")
                    if found:
                        return f"{before}/"[1:]
        return ""

    def _everywhere(self, name: str, before: Collection[str]) -> set[Path]:
        folders = {folder for known in self._folders.values() for folder in known} | {
            self.path_of(label, name).rpartition("/")[0] for label in before}
        return {path for folder in folders if (path := self._images / folder / name).is_file()}

    def _write_rows(self, content: bytes, wanted: Mapping[str, str]) -> None:
        """Write a row of the table for each image, in place of the one that it has."""
        if self._table and (changed := _with_rows(content, {
                self.path_of(label, name): label for name, label in wanted.items()})) != content:
            self._restore(changed)

    def _restore(self, content: bytes) -> None:
        if self._table and self._table.read_bytes() != content:
            with whole(self._table, durable=True) as unfinished:
                unfinished.write_bytes(content)


def class_fault(name: str, class_names: Collection[str]) -> str:
    """Why a new class cannot have this name, in words; "" if it can."""
    if not _CLASS.fullmatch(name) or not is_plain(re.sub(r"[^A-Za-z0-9_.-]", "_", name)):
        return "a class is a folder: expected up to 100 letters, digits, spaces and . , & ' ( ) + - _"
    if split_of(name):
        return "that is the name of a split"
    if same := [each for each in class_names if each.casefold() == name.casefold() and each != name]:
        return f"it differs from the class '{same[0]}' only in upper and lower case"
    return ""


def _with_rows(content: bytes, labels: Mapping[str, str]) -> bytes:
    """A table with a row for each path that has a label, and none for the others, in the table's own form."""
    encoding = ENCODINGS.get(content[:2], "utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "utf-8")
    text = content.decode(encoding)
    end = "\r\n" if "\r\n" in text else "\n"
    kept = [line for line in text.splitlines(keepends=True) if not any(path in line for path in labels)]
    if kept and not kept[-1].endswith(("\n", "\r")):
        kept[-1] += end
    rows = io.StringIO()
    writer = csv.writer(rows, delimiter=separator_of(text), lineterminator=end)
    columns = [name.strip().strip('"').lower() for name in text.splitlines()[0].split(separator_of(text))]
    writer.writerows([{"path": path, "label": label}.get(name, "") for name in columns]
                     for path, label in labels.items() if label)
    return ("".join(kept) + rows.getvalue()).encode(encoding)


def _copied(file: Path, target: Path, images: Path) -> bool:
    """Copy a file whose name begins with the sha256 of its bytes, unless it is there; whether it was copied."""
    if not target.parent.resolve().is_relative_to(images.resolve()):
        raise GraftError(f"{target.parent} is a link out of {images}: nothing is copied there. Remove the link.")
    if target.exists():
        return False
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != file.stem:
        raise GraftError(f"{file} is damaged: remove it, and start the review again.")
    with whole(target, durable=True) as unfinished:
        unfinished.write_bytes(data)
    return True


def _remove(target: Path, file: Path) -> None:
    """Remove a copy of a file, of which nothing else remains than the file; and its folder, if it is left empty."""
    if file.is_file() and target.read_bytes() == file.read_bytes():
        target.unlink()
        if not any(target.parent.iterdir()):
            target.parent.rmdir()
