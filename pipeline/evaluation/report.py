"""One self-contained HTML file that says what a model can be trusted with; it opens offline, alone."""

import base64
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from graft.model.classifier import Classifier
from pipeline.evaluation import heatmaps, pictures, suspects
from pipeline.evaluation.metrics import confusion
from pipeline.evaluation.predictions import Answers
from pipeline.evaluation.render import render

GALLERY = 24            # pictures in a gallery
HEATMAPS = 12
CONFUSIONS = 12         # pairs of classes that are named


@dataclass(frozen=True)
class Sources:
    """What a report is made of.

    Attributes:
        classifier: the bundle that was scored.
        answers: what it said.
        images: the folder of the images.
        metrics, classes: as `pipeline.evaluation.metrics` gives them.
        splits: path, label, split of every image.
        plots: a folder with the PNGs.
        stages: stage name -> what it reports of itself.
        findings: of the data, as `validate` wrote them; None when it wrote none.
        confidence: of the intervals.
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


def write_report(sources: Sources) -> str:
    """The text of the report."""
    answers = sources.answers
    galleries = {
        "mistakes": pictures.surest_mistakes(answers, GALLERY),
        "unsure": pictures.least_sure(answers, GALLERY),
        "suspects": suspects.label_suspects(answers)[:GALLERY],
        "strange": pictures.strangest(answers, GALLERY),
    }
    cells, matrix = pictures.cells(answers), confusion(answers)
    shown = pictures.thumbnails(answers, chain(*galleries.values(), *cells.values()), sources.images)
    return render(
        "report.html",
        names=answers.class_names, metrics=sources.metrics, classes=sources.classes.to_dict("records"),
        confidence=sources.confidence, description=sources.classifier.description, stages=sources.stages,
        findings=sources.findings, counts=_counts(sources.splits), galleries=_lists(galleries),
        matrix=matrix.tolist(), cells=_lists(cells), confusions=_confusions(matrix),
        pictures={index: _picture(answers, index, url) for index, url in shown.items()},
        heatmaps=_heatmaps(sources), plots={path.stem: _png(path) for path in sorted(sources.plots.glob("*.png"))},
        images=len(answers.labels), mistakes=int((~answers.is_right).sum()),
    )


def _counts(splits: pd.DataFrame) -> list[dict]:
    """A row per class: how many images of it stand in each split."""
    table = pd.crosstab(splits["label"], splits["split"]).reindex(columns=["train", "val", "test"], fill_value=0)
    return [{"class": name, **row} for name, row in table.to_dict("index").items()]


def _confusions(matrix: np.ndarray) -> list[tuple[int, int]]:
    """Label and answer of the most frequent mistakes, the most frequent first."""
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:min(CONFUSIONS, np.count_nonzero(wrong))]
    return [tuple(map(int, np.unravel_index(each, matrix.shape))) for each in order]


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
