"""The model report: one self-contained HTML file that opens offline and shows what a model can be trusted with."""

import base64
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from graft.model.classifier import Classifier
from pipeline.evaluation import heatmaps, pictures, suspects
from pipeline.evaluation.predictions import Answers
from pipeline.evaluation.render import render
from pipeline.evaluation.report_tables import MATRIX_CLASSES

GALLERY = 24            # pictures in a gallery
HEATMAPS = 12
CONFUSIONS = 12         # of the most frequent confusions, beside a confusion matrix …
MANY_CONFUSIONS = 50    # … and in place of one
WORST = 20              # classes with the lowest recall, in place of a confusion matrix


@dataclass(frozen=True)
class Sources:
    """What a report is made of.

    Attributes:
        classifier: the bundle that was scored.
        answers: its answers to the test images.
        images: the folder of the images.
        metrics, classes: see `pipeline.evaluation.metrics.measure`.
        splits: a table with the columns path, label and split, of every image.
        plots: a folder with the plots as PNG files.
        stages: name of a stage that trains -> its summary.
        findings: of the data, see `pipeline.intake.findings.collect`; None if there are none.
        confidence: of the intervals, 0 to 1.
        copies: how many test images are not among the answers, because they are copies of others.
        chosen: how the model was chosen: the content of choice.json as `choice`, the rows of trials.csv and
            candidates.csv as `trials` and `candidates`, and the summary of finetune as `finetune`.
    """

    classifier: Classifier
    answers: Answers
    images: Path
    metrics: dict
    classes: pd.DataFrame
    splits: pd.DataFrame
    plots: Path
    stages: dict
    findings: dict | None
    confidence: float
    copies: int = 0
    chosen: dict | None = None


def write_report(sources: Sources) -> str:
    """Render the HTML of the report."""
    answers = sources.answers
    galleries = {
        "mistakes": pictures.surest_mistakes(answers, GALLERY),
        "unsure": pictures.least_sure(answers, GALLERY),
        "suspects": suspects.label_suspects(answers)[:GALLERY],
        "strange": pictures.strangest(answers, GALLERY),
    }
    mistakes = _mistakes(answers, sources.classes)
    shown = pictures.thumbnails(answers, chain(*galleries.values(), *mistakes["cells"].values()), sources.images)
    return render(
        "report.html",
        names=answers.class_names, metrics=sources.metrics, classes=sources.classes.to_dict("records"),
        confidence=sources.confidence, description=sources.classifier.description, stages=sources.stages,
        findings=sources.findings, split_counts=_split_counts(sources.splits), galleries=_lists(galleries),
        **mistakes | {"cells": _lists(mistakes["cells"])},
        pictures={index: _picture(answers, index, url) for index, url in shown.items()},
        heatmaps=_heatmaps(sources), plots={path.stem: _png(path) for path in sorted(sources.plots.glob("*.png"))},
        chosen=sources.chosen, copies=sources.copies, images=len(answers.labels),
        mistakes=int((~answers.is_right).sum()),
    )


def _mistakes(answers: Answers, classes: pd.DataFrame) -> dict:
    """What the section on mistakes shows: a confusion matrix, or the worst classes if it would be too large.

    Returns:
        `has_matrix`; `counts`, (label, predicted) -> images; `confusions`, the most frequent pairs; `worst`, see
        `_worst`; and `cells`, the images behind the pairs that are shown.
    """
    cells, has_matrix = pictures.cells(answers), len(answers.class_names) <= MATRIX_CLASSES
    counts = {cell: len(indices) for cell, indices in cells.items()}
    confusions = _confusions(counts, CONFUSIONS if has_matrix else MANY_CONFUSIONS)
    worst = [] if has_matrix else _worst(classes, counts)
    at_most = pictures.MAX_PICTURES
    if not has_matrix:
        named = {*confusions, *chain.from_iterable(row["confusions"] for row in worst)}
        cells, at_most = {cell: cells[cell] for cell in named}, at_most // 2        # long tables take the other half
    return {"has_matrix": has_matrix, "counts": counts, "confusions": confusions, "worst": worst,
            "cells": pictures.limit_cells(cells, at_most)}


def _confusions(counts: dict[tuple[int, int], int], at_most: int) -> list[tuple[int, int]]:
    """(label, predicted) of the most frequent mistakes, the most frequent first."""
    wrong = [cell for cell in counts if cell[0] != cell[1]]
    return sorted(wrong, key=lambda cell: (-counts[cell], cell))[:at_most]


def _worst(classes: pd.DataFrame, counts: dict[tuple[int, int], int]) -> list[dict]:
    """The rows of the classes with the lowest recall, each with its most frequent `confusions`."""
    lowest = classes[classes["recall"] < 1].sort_values(["recall", "images"], ascending=[True, False], kind="stable")
    return [{**classes.loc[label], "index": label,
             "confusions": _confusions({cell: counts[cell] for cell in counts if cell[0] == label}, CONFUSIONS)}
            for label in lowest.index[:WORST]]


def _split_counts(splits: pd.DataFrame) -> list[dict]:
    """A row per class with the number of its images in each split."""
    table = pd.crosstab(splits["label"], splits["split"]).reindex(columns=["train", "val", "test"], fill_value=0)
    return [{"class": name, **row} for name, row in table.to_dict("index").items()]


def _lists(groups: dict) -> dict:
    return {name: np.asarray(indices).tolist() for name, indices in groups.items()}


def _picture(answers: Answers, index: int, url: str) -> dict:
    names = answers.class_names
    return {
        "url": url, "path": str(answers.paths[index]), "label": names[answers.labels[index]],
        "predicted": names[answers.predicted[index]], "probability": round(float(answers.confidences[index]), 4),
        "unknown": bool(answers.is_unknown[index]),
    }


def _heatmaps(sources: Sources) -> list[dict]:
    answers, shown = sources.answers, []
    for index in tqdm(pictures.examples(answers, HEATMAPS), desc="heat maps", unit="image", disable=None):
        path = sources.images / answers.paths[index]
        heat = heatmaps.occlusion(sources.classifier, sources.classifier.read(path))
        picture = pictures.thumbnail(path)
        overlaid = pictures.data_url(heatmaps.overlay(picture, heat))
        shown.append({"heat": overlaid, **_picture(answers, index, pictures.data_url(picture))})
    return shown


def _png(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
