"""Every file of an image folder, and the label it stands under: by its folders, or by a labels.csv beside them.

Nothing is opened here but the label file. What is listed is `File`s to read and `stray` files with the reason why they
are left out, so that every file is accounted for.
"""

import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from graft.errors import GraftError, did_you_mean
from graft.images import NOT_REGULAR

LABEL_FILES = ("labels.csv", "labels.parquet")
SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}
SYSTEM_NAMES = (        # made by macOS, Synology, Windows and Linux, in small letters
    "__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "ehthumbs.db",
    "desktop.ini",
)


@dataclass(frozen=True, slots=True)
class File:
    """One file that should be an image."""

    path: str           # relative to the image folder, with /
    label: str
    group: str = ""     # given by the user, for instance a patient: never parted by the split
    split: str = ""     # given by the user: train, val, test or ""


@dataclass
class Listing:
    files: list[File] = field(default_factory=list)         # sorted by path
    stray: dict[str, str] = field(default_factory=dict)     # path of a file or folder -> why it is left out
    class_names: set[str] = field(default_factory=set)      # of the innermost folders, or in the label file


def list_files(images: Path, labels_from: str = "path", split_folders: bool = False) -> Listing:
    """List the image folder.

    Args:
        images: a folder of class folders, or a folder with a label file.
        labels_from: which part of `Fruit/Apple/Pink-Lady` is the class: the whole `path`, the `first` or the `last`.
        split_folders: the topmost folders are train, val and test, the class folders stand in them.

    Raises:
        GraftError: there is no such folder, it holds no file, or its label file has mistakes.
    """
    _require_folder(images)
    listing = Listing()
    paths, folders = _walk(images, listing.stray)
    if label_files := [name for name in LABEL_FILES if name in paths]:
        _label_by_table(images, label_files, paths, listing)
    else:
        _label_by_folder(images, paths, folders, listing, labels_from, split_folders)
    if not listing.files and not listing.class_names:
        raise GraftError(
            f"params.yaml: data.images: no class folder with images in '{images}'. Expected {images}/CLASS/*.jpg, "
            f"or a labels.csv with the columns path and label in it."
        )
    listing.files.sort(key=lambda file: file.path)
    return listing


def _require_folder(images: Path) -> None:
    if not images.exists():
        near = did_you_mean(images.name, [p.name for p in images.parent.iterdir()]) if images.parent.is_dir() else ""
        raise GraftError(
            f"params.yaml: data.images: the folder '{images}' does not exist.{near} Expected a folder of class "
            f"folders; if DVC tracks it, `dvc pull {images}` fetches it."
        )
    if not images.is_dir():
        raise GraftError(f"params.yaml: data.images: '{images}' is a file. Expected a folder of class folders.")
    if not os.access(images, os.R_OK | os.X_OK):
        raise GraftError(f"params.yaml: data.images: permission denied to read the folder '{images}'.")


def _walk(root: Path, stray: dict[str, str]) -> tuple[list[str], list[str]]:
    """Relative paths of the files to look at, and of the folders without a subfolder. Links are followed, loops not.

    A folder that cannot be opened stands among the files, as `folder/`: reading it will tell why.
    """
    files, leaves = [], []
    stack = [("", ((root.stat().st_dev, root.stat().st_ino),))]
    while stack:
        folder, ancestors = stack.pop()
        subfolders = 0
        for entry in _entries(root / folder, folder, files):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if reason := _why_stray(entry):
                stray[printable(path)] = reason + _how_many(entry)
            elif entry.is_dir():
                status = Path(entry.path).stat()        # Windows leaves both numbers out of `entry.stat()`
                identity = (status.st_dev, status.st_ino)
                if identity in ancestors:
                    stray[path] = "a link to a folder above it"
                    continue
                subfolders += 1
                stack.append((path, (*ancestors, identity)))
            else:
                files.append(path)
        if folder and not subfolders:
            leaves.append(folder)
    return sorted(files), sorted(leaves)


def _entries(path: Path, folder: str, files: list[str]) -> list[os.DirEntry]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        files.append(f"{folder}/")
        return []


def _why_stray(entry: os.DirEntry) -> str | None:
    """Why an entry is not even looked into; None when it is."""
    if entry.name != printable(entry.name):
        return "its name is not valid UTF-8 or holds control characters: rename it"
    if entry.name.startswith("."):
        return "hidden"
    if entry.name.lower() in SYSTEM_NAMES:
        return "made by the operating system"
    try:
        mode = entry.stat().st_mode
    except FileNotFoundError:
        return "a link to a file that does not exist"
    except PermissionError:
        return None         # reading it will tell
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None if stat.S_ISDIR(mode) or stat.S_ISREG(mode) else NOT_REGULAR


def _how_many(entry: os.DirEntry) -> str:
    """How many files are left out together with a folder."""
    if not entry.is_dir(follow_symlinks=False):
        return ""
    return f", with {sum(len(files) for _, _, files in os.walk(entry.path))} files in it"


def printable(name: str) -> str:
    """The name with everything escaped that no text file could hold."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if unicodedata.category(c) != "Cc" else f"\\x{ord(c):02x}" for c in text)


def _label_by_folder(images: Path, paths, folders, listing: Listing, labels_from: str, split_folders: bool) -> None:
    tops = {path.split("/")[0] for path in [*folders, *paths] if path in folders or "/" in path}
    if split_folders:
        _require_split_folders(images, tops)
    else:
        _refuse_split_folders(images, tops)
    for path in paths:
        split, label = _split_and_label(path.split("/")[:-1], labels_from, split_folders)
        if label:
            listing.files.append(File(path, label, split=split))
        else:
            listing.stray[path] = "in no class folder"
    labels = {_split_and_label(folder.split("/"), labels_from, split_folders)[1] for folder in folders}
    listing.class_names = labels - {""}


def _require_split_folders(images: Path, tops: set[str]) -> None:
    if others := sorted(top for top in tops if top.lower() not in SPLIT_FOLDERS):
        raise GraftError(
            f"params.yaml: validate.split_folders is true, but '{images}' holds {', '.join(others[:5])}. Expected only "
            f"the folders train, val and test, with the class folders in them."
        )


def _refuse_split_folders(images: Path, tops: set[str]) -> None:
    """One class may be called train, a vehicle, or test; two such names are splits."""
    named = sorted(top for top in tops if top.lower() in SPLIT_FOLDERS)
    if len({SPLIT_FOLDERS[top.lower()] for top in named}) > 1 or (named and len(named) == len(tops)):
        raise GraftError(
            f"params.yaml: validate.split_folders: '{images}' holds the folders {', '.join(named)}, which name splits, "
            f"not classes. Set validate.split_folders to true, and take other folders out."
        )


def _split_and_label(folders: list[str], labels_from: str, split_folders: bool) -> tuple[str, str]:
    """`["train", "Fruit", "Apple"]` -> `("train", "Fruit/Apple")`; label "" when the file stands in no class folder."""
    split = ""
    if split_folders and folders:
        split, folders = SPLIT_FOLDERS[folders[0].lower()], folders[1:]
    if not folders:
        return split, ""
    label = {"path": "/".join(folders), "first": folders[0], "last": folders[-1]}[labels_from]
    return split, unicodedata.normalize("NFC", label)       # macOS spells é in two code points, Linux in one


def _label_by_table(images: Path, label_files: list[str], paths: list[str], listing: Listing) -> None:
    from pipeline.intake.label_table import read_label_table  # pandas, only where there is such a table

    if len(label_files) > 1:
        raise GraftError(f"{images}: found {' and '.join(label_files)}. Expected one of them: remove the other.")
    listing.files = read_label_table(images / label_files[0])
    listing.class_names = {file.label for file in listing.files}
    listed = {file.path for file in listing.files}
    for path in listed & listing.stray.keys():      # hidden, say, and still asked for
        del listing.stray[path]
    for path in paths:
        if path not in listed and path != label_files[0]:
            listing.stray[path] = f"not in {label_files[0]}"
