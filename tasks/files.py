"""How the files between stages are written, whole or not at all, and read: CSV, arrays, JSON and text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from graft.errors import GraftError
from graft.machine.files import whole

if TYPE_CHECKING:               # the stage `code` needs neither, and takes half as long without them
    import numpy as np
    import pandas as pd


def write_table(path: Path, table: pd.DataFrame, columns: dict) -> None:
    """Write a table as CSV, whole or not at all.

    Args:
        path: the file; its folder is created if necessary.
        table: has at least `columns`; others are left out.
        columns: name -> dtype, in the file's order.
    """
    write_text(path, table[list(columns)].to_csv(index=False, lineterminator="\n"))


def read_table(path: Path, columns: dict) -> pd.DataFrame:
    """Read what `write_table` wrote.

    Raises:
        GraftError: if the file is missing or damaged, or lacks one of the columns.
    """
    import pandas as pd

    missing_values = {name: [""] for name, kind in columns.items() if kind is not str}     # a label may be called "NA"
    try:
        table = pd.read_csv(path, dtype=columns, keep_default_na=False, na_values=missing_values)
    except FileNotFoundError:
        raise GraftError(f"{path} is missing: run `dvc repro {path.parent.name}` first.") from None
    except ValueError as error:
        raise GraftError(f"{path} is damaged: {error}. Run `dvc repro --force {path.parent.name}`.") from None
    if missing := [name for name in columns if name not in table.columns]:
        raise GraftError(f"{path}: column {', '.join(missing)} is missing. Run `dvc repro --force {path.parent.name}`.")
    return table[list(columns)]


def write_arrays(path: Path, arrays: list) -> None:
    """Write arrays as `.npz`, whole or not at all; the same arrays give the same bytes."""
    import numpy as np

    with whole(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, *arrays)


def read_arrays(path: Path) -> list[np.ndarray]:
    """Read what `write_arrays` wrote, in the same order. Raises `GraftError` if the file is missing."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
    except FileNotFoundError:
        raise GraftError(f"{path} is missing: run `dvc repro {path.parent.name}` first.") from None


def write_json(path: Path, content) -> None:
    """Write JSON with sorted keys, whole or not at all. Raises `ValueError` for NaN and infinity."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path):
    """Read what `write_json` wrote. Raises `GraftError` if the file is missing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GraftError(f"{path} is missing: run `dvc repro {path.parent.name}` first.") from None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a half-written file never has the final name."""
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="")
