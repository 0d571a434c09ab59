"""The tables of the report as plain rows of text, for whoever shows them elsewhere: the flow, a terminal."""

import csv
from collections.abc import Iterable
from pathlib import Path

from pipeline.evaluation.render import number, percent, words


def metric_rows(metrics: dict) -> list[dict[str, str]]:
    """A row per metric of metrics.json: metric, value, interval, images."""
    rows = []
    for name, metric in metrics.items():
        said = number if "loss" in name else percent
        rows.append({"metric": words(name), "value": said(metric["value"]),
                     "interval": f"{said(metric['low'])} to {said(metric['high'])}", "images": str(metric["images"])})
    return rows


def class_rows(classes_csv: Path) -> list[dict[str, str]]:
    """A row per class of classes.csv: class, images, predicted, then each metric with its interval in brackets."""
    with open(classes_csv, encoding="utf-8", newline="") as file:
        return [_class_row(row) for row in csv.DictReader(file)]


def confusion_rows(confusion_csv: Path) -> list[dict[str, str]]:
    """A row per label of plots/confusion.csv: how many of its images were called what."""
    with open(confusion_csv, encoding="utf-8", newline="") as file:
        pairs = [(row["actual"], row["predicted"]) for row in csv.DictReader(file)]
    names = sorted({name for pair in pairs for name in pair})
    return [{"label": label} | {f"called {name}": str(pairs.count((label, name))) for name in names} for label in names]


def markdown(rows: Iterable[dict[str, str]]) -> str:
    """The rows as a Markdown table; `|` and line breaks in a cell do not break it."""
    rows = list(rows)
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _class_row(row: dict[str, str]) -> dict[str, str]:
    found = {"class": row["class"], "images": row["images"], "predicted": row["predicted"]}
    for name in ("precision", "recall", "f1", "roc_auc", "average_precision"):
        # an undefined metric is an empty cell
        value, low, high = (percent(float(row[f"{name}{end}"] or "nan")) for end in ("", "_low", "_high"))
        found[words(name)] = value if value == percent(None) else f"{value} ({low} to {high})"
    return found


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
