"""Read a label table beside the images: labels.csv or labels.parquet with path, label, and optionally group and split.
"""

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from graft.decoding.kinds import why_ignored
from graft.errors import GraftError, printable
from pipeline.image_folder import S3Path
from pipeline.intake.files import SPLITS, File, split_of
from pipeline.intake.label_columns import (
    COLUMNS,
    REQUIRED,
    explain_names,
    explain_unknown,
    require_columns,
    suggest_names,
)
from pipeline.intake.layout import shorten
from pipeline.intake.path_mismatch import Place, explain

SEPARATORS = (",", ";", "\t", "|")      # spreadsheets and databases write the others
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}       # the first bytes of a file -> its encoding
FEW = 3             # mistakes of one kind that are all described

Row = tuple[str, list[str]]     # its place in the file, and its values in the order of the columns
Mistake = tuple[str, str, str]  # its kind, its place and its description


@dataclass
class LabelTable:
    """The contents of a label table.

    Attributes:
        files: a file per distinct row, in the order of the table.
        mistakes: a line per kind of mistake; with any, the table must not be used.
    """

    files: list[File]
    mistakes: list[str] = field(default_factory=list)


def read_label_table(path: Path, present: Collection[str]) -> LabelTable:
    """Read and check a whole label table.

    Args:
        path: the table, in the image folder.
        present: the files in the image folder, relative to it.

    Raises:
        GraftError: with every kind of mistake, and its lines (in a CSV file) or rows (in a Parquet file).
    """
    try:
        table = check_label_table(path, present)
    except GraftError as error:
        raise GraftError(f"{error} If it is not meant to label the images, rename it.") from None
    if table.mistakes:
        separator = "\n  " if len(table.mistakes) > 1 else " "
        raise GraftError(f"{path}:{separator}" + separator.join(table.mistakes))
    return table


def check_label_table(path: Path, present: Collection[str]) -> LabelTable:
    """Check a label table under any name. For the arguments, see `read_label_table`.

    Raises:
        GraftError: if the file cannot be read as a table, or a column is missing for which no other one can stand.
    """
    columns, rows = _read(path)
    if columns and not rows:
        return LabelTable([], ["the table has no rows"])
    suggested = suggest_names(columns)
    try:
        require_columns(columns, suggested)
    except GraftError as error:
        raise GraftError(f"{path}: {error}") from None
    meant = {other: name for other, name in suggested.items() if name in REQUIRED}      # to find all other mistakes
    named = [meant.get(name, name) for name in columns]
    known = set(present)
    places = [(where, _file(path.parent, known, dict(zip(named, values)))) for where, values in rows]
    mistakes = [(kind, where, text) for (where, values), (_, file) in zip(rows, places)
                for kind, text in [*_surplus(columns, values), *_mistakes(file)]] + _contradictions(places)
    lines = [*explain_names(suggested), *explain_unknown(columns, suggested), *_by_kind(mistakes),
             *_wrong_paths(path, places, known)]
    return LabelTable(list(dict.fromkeys(file for _, file in places)), lines)


def _by_kind(mistakes: list[Mistake]) -> list[str]:
    """All mistakes of a kind if they are few, or else a line with the first of them and the places of some others."""
    kinds = defaultdict(list)
    for kind, where, text in mistakes:
        kinds[kind].append((where, text))
    lines = []
    for kind, found in kinds.items():
        if len(found) > FEW:
            (where, text), places = found[0], shorten([where for where, _ in found])
            lines.append(f"{where}: {text} ({len(found)} {kind}: {places})")
        else:
            lines += [f"{where}: {text}" for where, text in found]
    return lines


def _wrong_paths(table: Path, places: list[tuple[str, File]], known: set[str]) -> list[str]:
    """Explain the paths that lead out of the folder or name no file in it.

    A few that merely have no file are left to the reading of the images, which counts them as unreadable.
    """
    paths = [(where, file.path) for where, file in places if file.path]
    missing = [(where, path) for where, path in paths
               if path not in known and (_leads_out(path) or _is_missing(table.parent, known, path))]
    unnamed = sorted(path for path in known - {path for _, path in paths} - {table.name} if not why_ignored(path))
    causes, unexplained = explain(missing, unnamed, len(places))
    outside = [("such paths", where, f"path '{path}' leads out of the folder; expected one relative to the folder")
               for where, path in unexplained if _leads_out(path)]
    gone = [place for place in unexplained if not _leads_out(place[1])]
    if gone and (causes or len(gone) == len(places)):
        causes.append(_without_file(gone, unnamed, len(places)))
    lines = [*causes, *_by_kind(outside)]
    return [*lines, f"Correct the paths in the table: they are relative to {table.parent}"] if causes else lines


def _without_file(gone: list[Place], unnamed: list[str], rows: int) -> str:
    where, path = gone[0]
    count = f"all {rows}" if len(gone) == rows else f"{len(gone)} of {rows}"
    others = f"the files without a row are {shorten(unnamed)}" if unnamed else "every file has a row"
    verb = "has" if len(gone) == 1 else "have"
    return f"{count} paths {verb} no file: {where} is '{path}', and {others}"


def _leads_out(path: str) -> bool:
    is_absolute = PurePosixPath(path).is_absolute() or bool(PureWindowsPath(path).drive)
    return is_absolute or path.startswith("~") or ".." in path.split("/")


def _is_missing(folder: Path | S3Path, known: set[str], path: str) -> bool:
    """Whether there is no such file. One that may not be looked at is there: reading it will find the reason."""
    if path in known or isinstance(folder, S3Path):     # in S3, those that are known are all that there are
        return path not in known
    try:
        (folder / path).stat()
    except PermissionError:
        return False
    except (OSError, ValueError):
        return True
    return False


def _read(path: Path) -> tuple[list[str], list[Row]]:
    try:
        columns, rows = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
        return [name.strip().lower() for name in columns], rows
    except UnicodeDecodeError as error:
        raise GraftError(f"{path} cannot be read: it is not in UTF-8 (byte 0x{error.object[error.start]:02x} at "
                         f"{error.start}). Save it as CSV in UTF-8, or convert it, for example by "
                         "`iconv -f WINDOWS-1252 -t UTF-8`.") from None
    except (OSError, ValueError) as error:      # pyarrow's errors are ValueErrors
        raise GraftError(f"{path} cannot be read: {error}. Expected a table with the columns path and label: a CSV "
                         "file in UTF-8, or a Parquet file.") from None


def _read_csv(path: Path) -> tuple[list[str], list[Row]]:
    content = path.read_bytes()
    text = content.decode(ENCODINGS.get(content[:2], "utf-8-sig"))
    if "\0" in text.partition("\n")[0]:
        raise ValueError("its first line contains null characters, as another encoding or a file of another kind does")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text), skipinitialspace=True, strict=True)
    try:
        columns = next(reader, [])
        return columns, [(f"line {reader.line_num}", values) for values in reader if any(map(str.strip, values))]
    except csv.Error as error:
        raise ValueError(f"{error} (line {reader.line_num}: a quotation mark there or above lacks its pair)") from None


def separator_of(text: str) -> str:
    """What separates the names of the columns, which are the first line."""
    return max(SEPARATORS, key=text.partition("\n")[0].count)


def _read_parquet(path: Path) -> tuple[list[str], list[Row]]:
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(path.read_bytes()))
    table = table.convert_dtypes()      # else whole numbers in a column with gaps would read 7.0
    if nested := [str(name) for name in table if table[name].map(pd.api.types.is_list_like).any()]:
        raise ValueError(f"column {', '.join(nested)} contains lists, not single values")
    cells = table.astype(object).where(table.notna(), "").astype(str)
    return [*map(str, table.columns)], [(f"row {row}", [*values]) for row, values in enumerate(cells.to_numpy(), 1)]


def _file(folder: Path, known: set[str], row: dict[str, str]) -> File:
    path, label, group, split = (row.get(name, "").strip() for name in COLUMNS)
    path = str(PurePosixPath(path.replace("\\", "/"))) if path else ""      # ./a//b.jpg is a/b.jpg
    label, group = (unicodedata.normalize("NFC", each) for each in (label, group))
    return File(_spelled_as_in(folder, known, path), label, group, split_of(split) or split)


def _spelled_as_in(folder: Path, known: set[str], path: str) -> str:
    """The path in the Unicode normalization in which the file exists: é may be one code point or two."""
    for normalization in ("NFC", "NFD"):
        spelled = unicodedata.normalize(normalization, path)
        if spelled != path and _is_missing(folder, known, path) and not _is_missing(folder, known, spelled):
            return spelled
    return path


def _surplus(columns: list[str], values: list[str]) -> list[tuple[str, str]]:
    """Report values beyond the last column, except for commas at the end of a line."""
    if not any(map(str.strip, values[len(columns):])):
        return []
    found = f"{len(values)} values for {len(columns)} columns"
    return [("such rows", f"{found}; quote a value that contains the separator")]


def _mistakes(file: File) -> list[tuple[str, str]]:
    """The kind and the description of each mistake in a row, apart from what `_wrong_paths` finds."""
    mistakes = []
    if not file.path:
        mistakes.append(("empty paths", "the path is empty; expected one relative to the folder"))
    if not file.label:
        mistakes.append(("empty labels", f"the label of '{file.path}' is empty"))
    if file.split not in ("", *SPLITS):
        mistakes.append(("such splits", f"the split is '{file.split}'; expected train, val, test or nothing"))
    mistakes += [("such values", f"'{printable(text)}' contains control characters")
                 for text in (file.path, file.label, file.group) if text != printable(text)]
    return mistakes


def _contradictions(files: list[tuple[str, File]]) -> list[Mistake]:
    """Report every path that has two different rows."""
    first, mistakes = {}, []
    for where, file in files:
        earlier, known = first.setdefault(file.path, (where, file))
        if known != file and file.path:
            mistakes.append(("contradictions", where,
                             f"'{file.path}' is also on {earlier}, with another label, group or split"))
    return mistakes
