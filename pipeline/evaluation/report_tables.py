"""The tables of the report as plain rows of text, to be shown elsewhere: by the flow, or in a terminal."""

import csv
from collections.abc import Iterable
from pathlib import Path

from pipeline.pages import number, percent, words

MATRIX_CLASSES = 50     # a confusion matrix of more classes is neither legible nor small


def metric_rows(metrics: dict) -> list[dict[str, str]]:
    """A row per metric of metrics.json, with the columns metric, value, interval and images."""
    rows = []
    for name, metric in metrics.items():
        text = number if "loss" in name else percent
        rows.append({"metric": words(name), "value": text(metric["value"]),
                     "interval": f"{text(metric['low'])} to {text(metric['high'])}", "images": str(metric["images"])})
    return rows


def class_rows(classes_csv: Path) -> list[dict[str, str]]:
    """A row per class of classes.csv, the lowest recall first: class, images, predicted, metrics with intervals."""
    with open(classes_csv, encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["recall"] or 1))
    return [_class_row(row) for row in rows]


def markdown(rows: Iterable[dict[str, str]]) -> str:
    """Format the rows as a Markdown table; `|` and line breaks in a cell do not break it."""
    rows = list(rows)
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _class_row(row: dict[str, str]) -> dict[str, str]:
    texts = {"class": row["class"], "images": row["images"], "predicted": row["predicted"]}
    for name in ("precision", "recall", "f1", "roc_auc", "average_precision"):
        # an undefined metric is an empty cell
        value, low, high = (percent(float(row[f"{name}{end}"] or "nan")) for end in ("", "_low", "_high"))
        texts[words(name)] = value if value == percent(None) else f"{value} ({low} to {high})"
    return texts


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
