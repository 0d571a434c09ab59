"""List every file of an image folder with its label, which comes from its folders or from a labels.csv beside them.

Only the label table is opened here. The listing accounts for every file: it is either a `File` to read, or ignored for
a reason.
"""

import os
import shlex
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from graft.decoding.kinds import is_named_as_image, why_ignored
from graft.errors import GraftError, did_you_mean, printable
from graft.images import NOT_REGULAR
from pipeline.arguments import WrongArgument
from pipeline.image_folder import S3Path
from pipeline.intake.files import File
from pipeline.intake.label_table import read_label_table
from pipeline.intake.layout import Folder, Layout, find_layout, shorten
from pipeline.intake.other_tables import LABEL_TABLES, class_folders, explain_no_classes, find_tables, note_tables
from pipeline.intake.variants import refuse_variants


@dataclass
class Listing:
    """The contents of an image folder.

    Attributes:
        files: the files to read, sorted by path.
        stray: path of an ignored file or folder -> the reason.
        class_names: from the innermost folders and those with images, or from the label table; also of classes without
            an image.
        notes: what the user should know of a table that is not read, and of files that are elsewhere.
    """

    files: list[File] = field(default_factory=list)
    stray: dict[str, str] = field(default_factory=dict)
    class_names: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def list_files(
    images: Path | S3Path, labels_from: str = "path", split_folders: bool = False, check_folders: bool = True
) -> Listing:
    """List the image folder.

    Args:
        images: a folder of class folders, or a folder with a label table; or such a prefix in S3.
        labels_from: which part of `Fruit/Apple/Pink-Lady` is the class: the whole `path`, the `first` or the `last`.
        split_folders: one level of the folders, mostly the topmost, is train, val and test.
        check_folders: refuse folders that look like splits or variants of classes, but would be taken for classes.

    Raises:
        WrongArgument: if there is no such folder, or it contains no class or linked folders, or its folders do not fit
            `split_folders` or are refused by `check_folders`.
        GraftError: if the label table has mistakes, or has another name.
    """
    listing = Listing()
    if isinstance(images, S3Path):
        paths, folders, linked = *_sort_keys(images, listing.stray), []
    else:
        _require_folder(images)
        paths, folders, linked = _walk(images, listing.stray)
    if tables := [path for path in paths if path.lower() in LABEL_TABLES]:
        _label_by_table(images, tables, paths, listing)
    else:
        leaves = {tuple(folder.split("/")) for folder in folders}
        others = find_tables(paths)
        if len(class_folders(leaves, check_folders)) < (2 if others else 1):
            raise WrongArgument({"images": explain_no_classes(images, leaves, paths, others)})
        layout = find_layout(images, leaves, labels_from, split_folders, check_folders)
        if check_folders and labels_from == "path":
            refuse_variants(images, {layout.class_folder(folder) for folder in leaves})
        _label_by_folder(layout, paths, leaves, listing)
        listing.notes = note_tables(others)
    listing.notes += _note_links(images, linked)
    listing.files.sort(key=lambda file: file.path)
    return listing


def _require_folder(images: Path) -> None:
    if problem := _why_no_folder(images):
        raise WrongArgument({"images": problem})


def _why_no_folder(images: Path) -> str | None:
    if not images.exists():
        near = did_you_mean(images.name, [p.name for p in images.parent.iterdir()]) if images.parent.is_dir() else ""
        return (f"the folder '{images}' does not exist.{near} Expected a folder of class folders; if DVC tracks it, "
                f"fetch it with `dvc pull {shlex.quote(str(images))}`.")
    if not images.is_dir():
        return f"'{images}' is a file. Expected a folder of class folders."
    if not os.access(images, os.R_OK | os.X_OK):
        return f"permission denied for the folder '{images}'. Allow this user to read it."
    return None


def _walk(root: Path, stray: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """Relative paths of the files to look at, of the folders without a subfolder, and of those files that are links.

    A folder that cannot be opened is listed among the files, as `folder/`: reading it will find the reason.
    """
    files, leaves, links, linked, stack = [], [], [], [], [""]
    while stack:
        folder = stack.pop()
        found = []
        for entry in _entries(root / folder, folder, files):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if reason := _why_stray(entry, root / folder):
                stray[printable(path)] = reason + _how_many(entry)
            elif entry.is_dir():
                (links if entry.is_symlink() else found).append(path)
            else:
                files.append(path)
                linked += [path] * entry.is_symlink()
        stack += found
        if folder and not found:
            leaves.append(folder)
    _refuse_links(root, sorted(links))
    return sorted(files), sorted(leaves), sorted(linked)


def _sort_keys(root: S3Path, stray: dict[str, str]) -> tuple[list[str], list[str]]:
    """`_walk` of a prefix in S3, which has no links. An object whose key ends with / stands for a folder."""
    files, folders = [], set()
    for key in root.objects:
        if reason := _why_stray_key(key.removesuffix("/")):
            stray[printable(key)] = reason
            continue
        folder, _, name = key.rpartition("/")
        files += [key] * bool(name)
        folders |= {PurePosixPath(folder), *PurePosixPath(folder).parents}
    if not folders:
        raise WrongArgument({"images": f"there is no image below '{root}'. Expected objects such as "
                                       f"{root}/cat/1.jpg: check the address."})
    leaves = folders - {folder.parent for folder in folders}
    return sorted(files), sorted(map(str, leaves))


def _why_stray_key(key: str) -> str | None:
    if key != printable(key):
        return "its key contains control characters: rename it"
    if {"", ".", ".."} & set(key.split("/")):
        return "its key is no path of a file: rename it"
    return why_ignored(key)


def _note_links(root: Path, linked: list[str]) -> list[str]:
    """A note about files that are elsewhere, or none."""
    outside = [path for path in linked if not (root / path).resolve().is_relative_to(root.resolve())]
    targets = [f"{path} -> {(root / path).resolve()}" for path in outside]
    return [f"links to files out of the folder: {shorten(targets)}. The files are read there."] if targets else []


def _refuse_links(root: Path, links: list[str]) -> None:
    """DVC hashes linked files, but nothing in linked folders: it would never notice that they have changed."""
    if links:
        targets = [f"{link} -> {(root / link).readlink()}" for link in links]
        plural = "s are links" if len(links) > 1 else " is a link"
        raise WrongArgument({"images": f"in '{root}', {len(links)} folder{plural}: {shorten(targets)}. DVC follows no "
                                       "linked folder, so it would not notice new or changed images there. Copy the "
                                       "folders (`cp -rL`), import them with `dvc import-url`, or set data.images to "
                                       "the folder that really contains them."})


def _entries(path: Path, folder: str, files: list[str]) -> list[os.DirEntry]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        files.append(f"{folder}/")
        return []


def _why_stray(entry: os.DirEntry, folder: Path) -> str | None:
    """Why an entry is ignored without a look inside; None if it is not."""
    if entry.name != printable(entry.name):
        return "its name is not valid UTF-8 or contains control characters: rename it"
    if ignored := why_ignored(entry.name):
        return ignored
    try:
        mode = entry.stat().st_mode
        if entry.is_symlink() and stat.S_ISDIR(mode) and folder.resolve().is_relative_to(Path(entry.path).resolve()):
            return "a link to a folder above it"
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


def _label_by_folder(layout: Layout, paths: list[str], leaves: set[Folder], listing: Listing) -> None:
    for path in paths:
        split, label = _normal(layout.split_and_label(tuple(path.split("/")[:-1])))
        if label:
            listing.files.append(File(path, label, split=split))
        else:
            listing.stray[path] = "not in a class folder"
    named = {_normal(layout.split_and_label(folder))[1] for folder in leaves} - {""}
    listing.class_names = named | {file.label for file in listing.files if is_named_as_image(file.path)}


def _normal(split_and_label: tuple[str, str]) -> tuple[str, str]:
    split, label = split_and_label
    return split, unicodedata.normalize("NFC", label)       # macOS spells é in two code points, Linux in one


def _label_by_table(images: Path | S3Path, tables: list[str], paths: list[str], listing: Listing) -> None:
    if len(tables) > 1:
        raise GraftError(f"{images}: found {' and '.join(tables)}, expected only one. Remove the others.")
    objects = images.objects if isinstance(images, S3Path) else ()      # hidden ones, too
    listing.files = read_label_table(images / tables[0], {*paths, *objects}).files
    listing.class_names = {file.label for file in listing.files}
    listed = {file.path for file in listing.files}
    for path in listed & listing.stray.keys():      # a hidden file, for instance, that the table names
        del listing.stray[path]
    for path in paths:
        if path not in listed and path != tables[0]:
            listing.stray[path] = f"not in {tables[0]}"
