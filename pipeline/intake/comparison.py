"""Compare the images of two runs.

Each run is an images.csv, a folder with one, or a published version, which has it attached. An image is identified by
its bytes: one that was only renamed is neither new nor gone.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from graft.errors import GraftError

SHOWN = 5       # images listed for each kind of change
MEASURES = ("width_px", "height_px", "size_bytes", "contrast")
COLUMNS = ("path", "label", "sha256", *MEASURES)


def read_images(source: str | Path) -> pd.DataFrame:
    """Read an images.csv.

    Args:
        source: the file, a folder that contains it, or NAME@VERSION of a published model.

    Returns:
        One row per image with `COLUMNS`; the measures are float.

    Raises:
        GraftError: if it cannot be found or read.
    """
    path = _find(source)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if missing := [name for name in COLUMNS if name not in table.columns]:
            raise ValueError(f"column {', '.join(missing)} is missing")
        return table[list(COLUMNS)].astype(dict.fromkeys(MEASURES, float))
    except (OSError, ValueError) as error:
        raise GraftError(f"{path} cannot be read: {error}. Expected the images.csv written by `validate`.") from None


def _find(source: str | Path) -> Path:
    path = Path(source)
    if not path.exists() and path.suffix != ".csv":
        from graft import registry

        path = registry.pull(str(source), attachments=True).folder
    inside = [path / "images.csv", path / "attachments" / "images.csv"]        # of a run, of a pulled model
    return next((file for file in inside if file.is_file()), inside[0]) if path.is_dir() else path


def compare(old: pd.DataFrame, new: pd.DataFrame) -> dict:
    """Describe what has changed from `old` to `new`, as plain data.

    Args:
        old, new: see `read_images`.

    Returns:
        `images`, the counts; the `new`, `gone`, `renamed` and `relabelled` images, sorted; `classes`, the counts of
        each; `class_shift`, from 0 to 1, the total variation distance of the class shares; and `measures`, the medians
        of each with their `shift`, from 0 to 1, the Kolmogorov-Smirnov distance of the two distributions.
    """
    old_labels, new_labels = _labels(old), _labels(new)
    both = old_labels.keys() & new_labels.keys()
    old_paths, new_paths = _first_paths(old), _first_paths(new)
    return {
        "images": {"old": len(old), "new": len(new)},
        "new": sorted(new["path"][~new["sha256"].isin(old_labels)]),
        "gone": sorted(old["path"][~old["sha256"].isin(new_labels)]),
        "renamed": sorted([old_paths[key], new_paths[key]] for key in both if old_paths[key] != new_paths[key]),
        "relabelled": sorted(
            [new_paths[key], old_labels[key], new_labels[key]] for key in both if old_labels[key] != new_labels[key]
        ),
        "classes": _classes(old, new),
        "class_shift": _class_shift(old, new),
        "measures": {name: _measure(old[name], new[name]) for name in MEASURES},
    }


def _labels(images: pd.DataFrame) -> dict[str, str]:
    """sha256 -> label; "cat and dog" for bytes that have both."""
    return images.groupby("sha256")["label"].agg(lambda labels: " and ".join(sorted(set(labels)))).to_dict()


def _first_paths(images: pd.DataFrame) -> dict[str, str]:
    return images.groupby("sha256")["path"].min().to_dict()


def _classes(old: pd.DataFrame, new: pd.DataFrame) -> dict:
    counts = [table["label"].value_counts() for table in (old, new)]
    names = sorted(set(counts[0].index) | set(counts[1].index))
    return {name: {"old": int(counts[0].get(name, 0)), "new": int(counts[1].get(name, 0))} for name in names}


def _class_shift(old: pd.DataFrame, new: pd.DataFrame) -> float:
    shares = [table["label"].value_counts(normalize=True) for table in (old, new)]
    return round(float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2), 4)


def _measure(old: pd.Series, new: pd.Series) -> dict:
    if old.empty or new.empty:
        return {"old": None, "new": None, "shift": None}
    steps = np.concatenate([old, new])
    below = [np.searchsorted(np.sort(values), steps, side="right") / len(values) for values in (old, new)]
    shift = float(np.abs(below[0] - below[1]).max())
    return {"old": float(old.median()), "new": float(new.median()), "shift": round(shift, 4)}


def as_text(comparison: dict, quote: Callable[[str], str] = str) -> str:
    """Format a comparison as Markdown that also reads well in a terminal.

    Args:
        quote: makes the names of files and classes harmless where the text is shown.
    """
    images = comparison["images"]
    lines = [f"{images['old']} images before, {images['new']} now: "
             + ", ".join(f"{len(comparison[what])} {what}" for what in ("new", "gone", "renamed", "relabelled"))]
    for what in ("new", "gone"):
        lines += _named(what, map(quote, comparison[what]))
    lines += _named("renamed", map(quote, [f"{before} → {now}" for before, now in comparison["renamed"]]))
    moved = [f"{path}: {before} → {now}" for path, before, now in comparison["relabelled"]]
    lines += _named("relabelled", map(quote, moved))
    lines += ["", "| class | before | now |", "|---|---:|---:|"]
    lines += [f"| {quote(name)} | {count['old']} | {count['new']} |" for name, count in comparison["classes"].items()]
    lines += ["", f"Class shares shifted by {comparison['class_shift']:.1%} (0 % equal, 100 % nothing in common).", "",
              "| measure | median before | median now | shift (0 to 1) |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {_number(each['old'])} | {_number(each['new'])} | {_number(each['shift'])} |"
              for name, each in comparison["measures"].items()]
    return "\n".join(lines)


def _named(what: str, entries: Iterable[str]) -> list[str]:
    entries = list(entries)
    more = [f"- … and {len(entries) - SHOWN} more"] if len(entries) > SHOWN else []
    return [f"- {what}: {entry}" for entry in entries[:SHOWN]] + more


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"
