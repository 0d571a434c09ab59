"""Write rows as text for people, JSON lines, CSV or Parquet. For a row, see `graft.predict.rows`."""

import csv
import json
import re
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TextIO

from graft.errors import GraftError, printable

COLUMNS = ("source", "label", "probability", "is_unknown", "is_unsure", "unknown_score", "error")
_FORMULA = re.compile(r"(^|;)(\s*)(?=[=+@＝＋－＠-](?!$))")        # a semicolon begins a cell for some spreadsheets
_NAMES = "\n" + "".join(map(chr, range(0xDC80, 0xDD00)))     # which may have line breaks and bytes that are not UTF-8


def flat(row: dict, class_names: tuple[str, ...]) -> dict:
    """A row of a table: `COLUMNS`, then `probability_CLASS` for every class; None where a row has no value."""
    shares = row.get("probabilities", {})
    return {name: row.get(name) for name in COLUMNS} | {column(name): shares.get(name) for name in class_names}


def column(class_name: str) -> str:
    """The name of a class's column."""
    return f"probability_{class_name}"


def text_writer(stream: TextIO, class_names: tuple[str, ...]) -> Callable[[dict], None]:
    """A function that writes one row as a line for people."""
    return lambda row: print(_line(row), file=stream, flush=True)


def json_writer(stream: TextIO, class_names: tuple[str, ...]) -> Callable[[dict], None]:
    """A function that writes one row as a line with a JSON object; numbers keep their full precision."""
    return lambda row: print(json.dumps(row), file=stream, flush=True)


def csv_writer(stream: TextIO, class_names: tuple[str, ...]) -> Callable[[dict], None]:
    """Write the header of a CSV file; returns a function that writes one row. For the columns, see `flat`.

    A text that a spreadsheet would take for a formula gets an apostrophe before it; control characters are escaped.
    """
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(map(cell, [*COLUMNS, *map(column, class_names)]))
    return lambda row: table.writerow(map(cell, flat(row, class_names).values()))


def cell(value: object) -> object:
    """A value as a cell of CSV that no spreadsheet takes for a formula and no terminal obeys."""
    return _FORMULA.sub(r"\1\2'", printable(value, _NAMES)) if isinstance(value, str) else value


def write_csv(path: Path, class_names: tuple[str, ...], parts: Iterable[list[dict]]) -> None:
    """Write lists of rows to one CSV file."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write = csv_writer(file, class_names)
        for row in chain.from_iterable(parts):
            write(row)


def write_parquet(path: Path, class_names: tuple[str, ...], parts: Iterable[list[dict]]) -> None:
    """Write lists of rows to one Parquet file, each list as a row group.

    Raises:
        GraftError: if pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise GraftError("Parquet needs the package pyarrow: install it, or name a file that ends in .csv.") from error
    text, number = pyarrow.string(), pyarrow.float64()
    kinds = dict(zip(COLUMNS, (text, text, number, pyarrow.bool_(), pyarrow.bool_(), number, text)))
    schema = pyarrow.schema(kinds | {column(name): number for name in class_names})
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for part in parts:
            writer.write_table(pyarrow.Table.from_pylist([flat(row, class_names) for row in part], schema))


WRITERS = {"text": text_writer, "json": json_writer, "csv": csv_writer}


def _line(row: dict) -> str:
    if "error" in row:
        return printable(f"{row['source']}: error: {row['error']}")
    shares = ", ".join(f"{name} {share:.1%}" for name, share in row["probabilities"].items())
    return printable(f"{row['source']}: {hedge(row)}{shares}")


def hedge(row: dict) -> str:
    """What stands before the label of an answer that is not to be relied on; nothing before another's."""
    if row["is_unknown"]:
        return "unknown, most similar to "
    return "unsure, most likely " if row["is_unsure"] else ""
