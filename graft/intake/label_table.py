"""A table of labels beside the images: labels.csv or labels.parquet with path, label and perhaps group and split."""

import unicodedata
from pathlib import Path, PurePosixPath

import pandas as pd

from graft.errors import GraftError, did_you_mean
from graft.intake.listing import SPLIT_FOLDERS, File

COLUMNS = ("path", "label", "group", "split")
REQUIRED = ("path", "label")
SHOWN = 10      # mistakes of one kind that are spelled out


def read_label_table(path: Path) -> list[File]:
    """Read and check the whole table.

    Raises:
        GraftError: with every mistake in it, each with its line.
    """
    table = _read(path)
    if missing := [name for name in REQUIRED if name not in table.columns]:
        hints = "".join(did_you_mean(name, table.columns) for name in missing)
        raise GraftError(
            f"{path}: column {' and '.join(missing)} is missing. Expected path, label and optionally group and split, "
            f"separated by commas; found {', '.join(map(repr, table.columns))}.{hints}"
        )
    rows = [_row(values) for values in table.reindex(columns=COLUMNS, fill_value="").itertuples(index=False)]
    if mistakes := _mistakes(rows):
        more = [f"… and {len(mistakes) - SHOWN} more"] if len(mistakes) > SHOWN else []
        raise GraftError(f"{path}: {len(mistakes)} mistakes:\n  " + "\n  ".join(mistakes[:SHOWN] + more))
    return [_spelled_as_on_disk(path.parent, file) for file in dict.fromkeys(rows)]


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            return table.astype(object).where(table.notna(), "").astype(str).rename(columns=str)
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
        return table.fillna("")      # of a row that ends early
    except (OSError, ValueError) as error:      # pandas' parser errors and UnicodeDecodeError are ValueErrors
        raise GraftError(f"{path} cannot be read: {error}. Expected a table with the columns path and label.") from None


def _row(values) -> File:
    path, label, group, split = (str(value).strip() for value in values)
    path = path.replace("\\", "/").removeprefix("./")
    return File(path, unicodedata.normalize("NFC", label), group, SPLIT_FOLDERS.get(split.lower(), split))


def _mistakes(rows: list[File]) -> list[str]:
    mistakes, first = [], {}
    for line, row in enumerate(rows, start=2):      # line 1 is the header
        where = f"line {line}: "
        if not row.path:
            mistakes.append(where + "the path is empty")
        elif PurePosixPath(row.path).is_absolute() or ".." in PurePosixPath(row.path).parts:
            mistakes.append(where + f"path '{row.path}' leads out of the folder; expected a path relative to it")
        if not row.label:
            mistakes.append(where + f"the label of '{row.path}' is empty")
        if row.split not in ("", *SPLIT_FOLDERS.values()):
            mistakes.append(where + f"split '{row.split}'; expected train, val, test or nothing")
        earlier = first.setdefault(row.path, (line, row))
        if earlier[1] != row:
            mistakes.append(where + f"'{row.path}' stands on line {earlier[0]} already, with another label or split")
    if not rows:
        mistakes.append("there is no row")
    return mistakes


def _spelled_as_on_disk(folder: Path, file: File) -> File:
    """The path in the Unicode form in which the file exists: table and disk may spell é in one code point or two."""
    for form in ("NFC", "NFD"):
        path = unicodedata.normalize(form, file.path)
        if path != file.path and not (folder / file.path).exists() and (folder / path).exists():
            return File(path, file.label, file.group, file.split)
    return file
