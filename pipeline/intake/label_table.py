"""Read a label table beside the images: labels.csv or labels.parquet with path, label, and optionally group and split.
"""

import csv
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from graft.errors import GraftError, did_you_mean
from pipeline.intake.files import SPLITS, File, printable, split_of

COLUMNS = ("path", "label", "group", "split")
REQUIRED = ("path", "label")
SHOWN = 10      # mistakes listed in the error

Row = tuple[str, list[str]]     # its place in the file, and its values in the order of the columns


def read_label_table(path: Path) -> list[File]:
    """Read and check a whole label table.

    Returns:
        A file per distinct row, in the order of the table.

    Raises:
        GraftError: with every mistake and its line (in a CSV file) or row (in a Parquet file).
    """
    columns, rows = _read(path)
    _require_columns(path, columns)
    files, mistakes = [], []
    for where, values in rows:
        file = _file(path.parent, dict(zip(columns, values)))
        files.append((where, file))
        mistakes += [f"{where}: {mistake}" for mistake in [*_surplus(columns, values), *_mistakes(file)]]
    mistakes += _contradictions(files) if files else ["the table has no rows"]
    if mistakes:
        more = [f"… and {len(mistakes) - SHOWN} more"] if len(mistakes) > SHOWN else []
        plural = "s" * (len(mistakes) > 1)
        raise GraftError(f"{path}: {len(mistakes)} mistake{plural}:\n  " + "\n  ".join(mistakes[:SHOWN] + more))
    return list(dict.fromkeys(file for _, file in files))


def _read(path: Path) -> tuple[list[str], list[Row]]:
    try:
        columns, rows = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
        return [name.strip().lower() for name in columns], rows
    except (OSError, ValueError, csv.Error) as error:       # UnicodeDecodeError and pyarrow's errors are ValueErrors
        raise GraftError(f"{path} cannot be read: {error}. Expected a table with the columns path and label: a CSV "
                         "file in UTF-8, or a Parquet file.") from None


def _read_csv(path: Path) -> tuple[list[str], list[Row]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True, strict=True)
        columns = next(reader, [])
        return columns, [(f"line {reader.line_num}", values) for values in reader if any(map(str.strip, values))]


def _read_parquet(path: Path) -> tuple[list[str], list[Row]]:
    table = pd.read_parquet(path).convert_dtypes()      # else whole numbers in a column with gaps would read 7.0
    if nested := [str(name) for name in table if table[name].map(pd.api.types.is_list_like).any()]:
        raise ValueError(f"column {', '.join(nested)} contains lists, not single values")
    cells = table.astype(object).where(table.notna(), "").astype(str)
    return [*map(str, table.columns)], [(f"row {row}", [*values]) for row, values in enumerate(cells.to_numpy(), 1)]


def _require_columns(path: Path, columns: list[str]) -> None:
    if missing := [name for name in REQUIRED if name not in columns]:
        hints = "".join(did_you_mean(name, columns) for name in missing)
        raise GraftError(
            f"{path}: column {' and '.join(missing)} is missing. Expected path, label and optionally group and split, "
            f"separated by commas; found {', '.join(map(repr, columns)) or 'nothing'}.{hints}"
        )
    if twice := [name for name in COLUMNS if columns.count(name) > 1]:
        raise GraftError(f"{path}: column {' and '.join(twice)} occurs more than once. Keep one.")


def _file(folder: Path, row: dict[str, str]) -> File:
    path, label, group, split = (row.get(name, "").strip() for name in COLUMNS)
    path = str(PurePosixPath(path.replace("\\", "/"))) if path else ""      # ./a//b.jpg is a/b.jpg
    return File(_spelled_as_on_disk(folder, path), unicodedata.normalize("NFC", label), group,
                split_of(split) or split)


def _spelled_as_on_disk(folder: Path, path: str) -> str:
    """The path in the Unicode normalization in which the file exists: é may be one code point or two."""
    for normalization in ("NFC", "NFD"):
        spelled = unicodedata.normalize(normalization, path)
        if spelled != path and not (folder / path).exists() and (folder / spelled).exists():
            return spelled
    return path


def _surplus(columns: list[str], values: list[str]) -> list[str]:
    """Report values beyond the last column, except for commas at the end of a line."""
    if not any(map(str.strip, values[len(columns):])):
        return []
    return [f"{len(values)} values for {len(columns)} columns; quote a value that contains a comma"]


def _mistakes(file: File) -> list[str]:
    mistakes = []
    if not file.path:
        mistakes.append("the path is empty; expected one relative to the folder")
    elif PurePosixPath(file.path).is_absolute() or PureWindowsPath(file.path).drive or ".." in file.path.split("/"):
        mistakes.append(f"path '{file.path}' leads out of the folder; expected one relative to the folder")
    if not file.label:
        mistakes.append(f"the label of '{file.path}' is empty")
    if file.split not in ("", *SPLITS):
        mistakes.append(f"the split is '{file.split}'; expected train, val, test or nothing")
    mistakes += [f"'{printable(text)}' contains control characters"
                 for text in (file.path, file.label, file.group) if text != printable(text)]
    return mistakes


def _contradictions(files: list[tuple[str, File]]) -> list[str]:
    """Report every path that has two different rows."""
    first, mistakes = {}, []
    for where, file in files:
        earlier, known = first.setdefault(file.path, (where, file))
        if known != file and file.path:
            mistakes.append(f"{where}: '{file.path}' is also on {earlier}, with another label, group or split")
    return mistakes
