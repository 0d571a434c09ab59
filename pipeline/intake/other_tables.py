"""Image folders whose folders name no classes, and tables that are not read because they have another name.

A table such as train.csv may hold the labels, or something else: only the user knows. So it is never read for its
labels, but the message says what to change for it to be.
"""

from pathlib import Path, PurePosixPath

from graft.errors import GraftError
from pipeline.intake.files import split_of
from pipeline.intake.label_table import check_label_table
from pipeline.intake.layout import Folder, named_like_splits, shorten

LABEL_TABLES = ("labels.csv", "labels.parquet")
READABLE = (".csv", ".tsv", ".parquet")
TABLES = (*READABLE, ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".feather")
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
NO_LABELS = "submission"        # in the name of a table: Kaggle's template for answers


def find_tables(paths: list[str]) -> list[str]:
    """Find the tables in the image folder and right below it. A text file counts if its name speaks of labels."""
    found = []
    for path in paths:
        name = PurePosixPath(path.lower())
        is_table = name.suffix in TABLES or name.suffix == ".txt" and "label" in name.stem
        if is_table and path.count("/") < 2 and NO_LABELS not in name.stem:
            found.append(path)
    return found


def note_tables(tables: list[str]) -> list[str]:
    """A note about tables in the image folder that are not read, or none: the folders name the classes."""
    beside = [table for table in tables if "/" not in table]
    if not beside:
        return []
    return [f"not read: {shorten(beside)}. The folders name the classes; to name them by a table instead, call it "
            "labels.csv, with the columns path, label and optionally group and split."]


def class_folders(leaves: set[Folder], check_folders: bool) -> set[Folder]:
    """The folders that name a class. If they are checked, splits do not; but one class may be called "train"."""
    named = {leaf for leaf in leaves if not all(map(split_of, leaf))}
    splits = {split_of(leaf[-1]) for leaf in leaves - named}
    return leaves if not check_folders or named and len(splits) == 1 else named


def explain_no_classes(images: Path, leaves: set[Folder], paths: list[str], tables: list[str]) -> str:
    """Say that the folders name no classes, or one only, and what to do with what is there instead."""
    names = sorted({leaf[0] for leaf in leaves})
    splits = [name for name in names if split_of(name)]
    place = f"{images}/{splits[-1]}/CLASS/*.jpg with split_folders: true" if splits else f"{images}/CLASS/*.jpg"
    lines = [
        f"'{images}' contains {_instead(names, splits, paths)}. Expected {place}, or a labels.csv with the columns "
        "path, label and optionally group and split.",
        *[_how_to_use(images, table, paths) for table in tables],
        *[f"unpack {path} first" for path in paths if PurePosixPath(path.lower()).suffix in ARCHIVES],
    ]
    if (above := images.parent / LABEL_TABLES[0]).is_file():
        lines.append(f"to use {above}, set images to '{images.parent}': its paths are relative to that folder")
    if splits:
        lines.append("if these are classes, set check_folders and split_folders to false")
    return "\n  ".join(lines)


def _instead(names: list[str], splits: list[str], paths: list[str]) -> str:
    if splits:
        return f"{named_like_splits(splits)}, without class folders inside"
    if names:
        return f"only one class folder, {names[0]}"
    return f"no class folder, but {len(paths)} files outside folders" if paths else "no class folder"


def _how_to_use(images: Path, table: str, paths: list[str]) -> str:
    """What has to change for a table to be read as the label table."""
    suffix, folder = PurePosixPath(table.lower()).suffix, str(PurePosixPath(table).parent)
    new = LABEL_TABLES[suffix == ".parquet"]
    verb = "rename it to" if suffix in READABLE else "save it as CSV with the columns path and label, in"
    steps = [] if PurePosixPath(table).name == new else [f"{verb} {new}"]
    if folder != ".":
        steps.append(f"set images to '{images / folder}'")
    advice = f"to label the images by {table}, {' and '.join(steps)}"
    changes = "".join(f"\n    {mistake}" for mistake in _mistakes(images, table, folder, paths))
    return f"{advice}{'. In the table:' if changes else ''}{changes}"


def _mistakes(images: Path, table: str, folder: str, paths: list[str]) -> list[str]:
    if PurePosixPath(table.lower()).suffix not in READABLE:
        return []
    inside = "" if folder == "." else f"{folder}/"
    present = [path.removeprefix(inside) for path in paths if path.startswith(inside) and path != table]
    try:
        return check_label_table(images / table, present).mistakes
    except GraftError as error:
        return [str(error).removeprefix(f"{images / table}: ")]
