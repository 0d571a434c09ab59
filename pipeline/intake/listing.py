"""List every file of an image folder with its label, which comes from its folders or from a labels.csv beside them.

Only the label table is opened here. The listing accounts for every file: it is either a `File` to read, or ignored for
a reason.
"""

import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from graft.errors import GraftError, did_you_mean
from graft.images import NOT_REGULAR
from pipeline.arguments import WrongArgument
from pipeline.intake.files import SPLIT_FOLDERS, File, printable

LABEL_TABLES = ("labels.csv", "labels.parquet")
SYSTEM_NAMES = (        # created by macOS, Synology, Windows and Linux, in lower case
    "__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "ehthumbs.db",
    "desktop.ini",
)


@dataclass
class Listing:
    """The contents of an image folder.

    Attributes:
        files: the files to read, sorted by path.
        stray: path of an ignored file or folder -> the reason.
        class_names: from the innermost folders, or from the label table; also of classes without an image.
    """

    files: list[File] = field(default_factory=list)
    stray: dict[str, str] = field(default_factory=dict)
    class_names: set[str] = field(default_factory=set)


def list_files(images: Path, labels_from: str = "path", split_folders: bool = False) -> Listing:
    """List the image folder.

    Args:
        images: a folder of class folders, or a folder with a label table.
        labels_from: which part of `Fruit/Apple/Pink-Lady` is the class: the whole `path`, the `first` or the `last`.
        split_folders: the top folders are train, val and test, and contain the class folders.

    Raises:
        WrongArgument: if there is no such folder, it contains no class, or its top folders do not fit `split_folders`.
        GraftError: if the label table has mistakes.
    """
    _require_folder(images)
    listing = Listing()
    paths, folders = _walk(images, listing.stray)
    if tables := [name for name in LABEL_TABLES if name in paths]:
        _label_by_table(images, tables, paths, listing)
    else:
        _label_by_folder(images, paths, folders, listing, labels_from, split_folders)
    if not listing.files and not listing.class_names:
        raise WrongArgument({"images": f"'{images}' contains no class folder with images. Expected "
                                       f"{images}/CLASS/*.jpg, or a labels.csv with the columns path and label."})
    listing.files.sort(key=lambda file: file.path)
    return listing


def _require_folder(images: Path) -> None:
    if problem := _why_no_folder(images):
        raise WrongArgument({"images": problem})


def _why_no_folder(images: Path) -> str | None:
    if not images.exists():
        near = did_you_mean(images.name, [p.name for p in images.parent.iterdir()]) if images.parent.is_dir() else ""
        return (f"the folder '{images}' does not exist.{near} Expected a folder of class folders; if DVC tracks it, "
                f"fetch it with `dvc pull {images}`.")
    if not images.is_dir():
        return f"'{images}' is a file. Expected a folder of class folders."
    if not os.access(images, os.R_OK | os.X_OK):
        return f"permission denied for the folder '{images}'. Allow this user to read it."
    return None


def _walk(root: Path, stray: dict[str, str]) -> tuple[list[str], list[str]]:
    """Relative paths of the files to look at, and of the folders without a subfolder. Follows links, but not loops.

    A folder that cannot be opened is listed among the files, as `folder/`: reading it will find the reason.
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
    """Why an entry is ignored without a look inside; None if it is not."""
    if entry.name != printable(entry.name):
        return "its name is not valid UTF-8 or contains control characters: rename it"
    if entry.name.startswith("."):
        return "hidden"
    if entry.name.lower() in SYSTEM_NAMES:
        return "created by the operating system"
    try:
        mode = entry.stat().st_mode
    except FileNotFoundError:
        return "a link to a file that does not exist"
    except PermissionError:
        return None         # reading it will find the reason
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None if stat.S_ISDIR(mode) or stat.S_ISREG(mode) else NOT_REGULAR


def _how_many(entry: os.DirEntry) -> str:
    """How many files are ignored together with a folder."""
    if not entry.is_dir(follow_symlinks=False):
        return ""
    return f", with {sum(len(files) for _, _, files in os.walk(entry.path))} files inside"


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
            listing.stray[path] = "not in a class folder"
    labels = {_split_and_label(folder.split("/"), labels_from, split_folders)[1] for folder in folders}
    listing.class_names = labels - {""}


def _require_split_folders(images: Path, tops: set[str]) -> None:
    if others := sorted(top for top in tops if top.lower() not in SPLIT_FOLDERS):
        raise WrongArgument({"split_folders": f"true, but '{images}' contains {', '.join(others[:5])}. Expected "
                                              "only the folders train, val and test, with the class folders inside."})


def _refuse_split_folders(images: Path, tops: set[str]) -> None:
    """One class may be called "train" (the vehicle) or "test"; two such names are splits."""
    named = sorted(top for top in tops if top.lower() in SPLIT_FOLDERS)
    if len({SPLIT_FOLDERS[top.lower()] for top in named}) > 1 or (named and len(named) == len(tops)):
        raise WrongArgument({"split_folders": f"'{images}' contains the folders {', '.join(named)}, which are names of "
                                              "splits, not of classes. Set it to true, and move other folders out."})


def _split_and_label(folders: list[str], labels_from: str, split_folders: bool) -> tuple[str, str]:
    """`["train", "Fruit", "Apple"]` -> `("train", "Fruit/Apple")`; the label of a file in no class folder is ""."""
    split = ""
    if split_folders and folders:
        split, folders = SPLIT_FOLDERS[folders[0].lower()], folders[1:]
    if not folders:
        return split, ""
    label = {"path": "/".join(folders), "first": folders[0], "last": folders[-1]}[labels_from]
    return split, unicodedata.normalize("NFC", label)       # macOS spells é in two code points, Linux in one


def _label_by_table(images: Path, tables: list[str], paths: list[str], listing: Listing) -> None:
    from pipeline.intake.label_table import read_label_table  # pandas, only if there is a table

    if len(tables) > 1:
        raise GraftError(f"{images}: found {' and '.join(tables)}, expected only one. Remove the other.")
    listing.files = read_label_table(images / tables[0])
    listing.class_names = {file.label for file in listing.files}
    listed = {file.path for file in listing.files}
    for path in listed & listing.stray.keys():      # a hidden file, for instance, that the table names
        del listing.stray[path]
    for path in paths:
        if path not in listed and path != tables[0]:
            listing.stray[path] = f"not in {tables[0]}"
