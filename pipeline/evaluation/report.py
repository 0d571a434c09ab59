"""The model report: one self-contained HTML file that opens offline and shows what a model can be trusted with."""

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from graft.machine.cores import cpu_count
from graft.machine.progress import shown
from graft.model import heatmaps
from graft.model.classifier import Classifier
from graft.pages import SCRIPTED
from pipeline.evaluation import coverage, pictures
from pipeline.evaluation.predictions import Answers
from pipeline.evaluation.report_tables import MATRIX_CLASSES
from pipeline.evaluation.stamp import CANDIDATE, GATE
from pipeline.evaluation.verdict import weakest
from pipeline.pages import render

GALLERY = 24            # pictures in a gallery
HEATMAPS = 12
CONFUSIONS = 12         # of a class
WORST = 40              # classes with the lowest recall whose confusions are shown, if there is no confusion matrix


@dataclass(frozen=True)
class Sources:
    """What a report is made of.

    Attributes:
        model: its name.
        classifier: the bundle that was scored.
        answers: its answers to the test images.
        images: the folder of the images.
        metrics, classes: see `pipeline.evaluation.metrics.measure`.
        splits: a table with the columns path, label and split, of every image.
        plots: a folder with the plots as PNG files.
        stages: name of a stage that trains -> its summary.
        findings: of the data, see `pipeline.intake.findings.collect`; None if there are none.
        confidence: of the intervals, 0 to 1.
        verdict: question -> answer, see `pipeline.evaluation.verdict`.
        suspects: indices of test images whose label may be wrong, the most probable mistake first.
        heatmaps: see `heatmaps_meanwhile`.
        settled: how many more there are, whose label somebody has decided on.
        copies: how many test images are not among the answers, because they are copies of others.
        chosen: how the model was chosen: the content of choice.json as `choice`, the rows of trials.csv and
            candidates.csv as `trials` and `candidates`, and the summary of finetune as `finetune`.
    """

    model: str
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
    verdict: dict[str, str]
    suspects: np.ndarray
    heatmaps: Sequence[Future] = ()
    settled: int = 0
    copies: int = 0
    chosen: dict | None = None


def write_report(sources: Sources) -> str:
    """Render the HTML of the report. The same inputs give the same page; `stamp.stamp` adds what is known later."""
    answers = sources.answers
    galleries = {
        "mistakes": pictures.surest_mistakes(answers, GALLERY), "unsure": pictures.least_sure(answers, GALLERY),
        "suspects": sources.suspects[:GALLERY], "strange": pictures.strangest(answers, GALLERY),
    }
    mistakes = _mistakes(answers, sources.classes)
    thumbnails = pictures.thumbnails(answers, chain(*galleries.values(), *mistakes["cells"].values()), sources.images)
    return render(
        Path(__file__).with_name("report.html"), f"{sources.model}: model report", policy=SCRIPTED,
        names=answers.class_names, metrics=sources.metrics, classes=_classes(sources), candidate=CANDIDATE, gate=GATE,
        verdict=sources.verdict,
        costs=coverage.costs(answers, sources.confidence), data=sources.images.as_posix(),
        all_images=len(sources.splits), confidence=sources.confidence, description=sources.classifier.description,
        stages=sources.stages, findings=sources.findings, galleries=_lists(galleries),
        **mistakes | {"cells": _lists(mistakes["cells"])},
        pictures={index: _picture(answers, index, url) for index, url in thumbnails.items()},
        heatmaps=[each.result() for each in shown(sources.heatmaps, len(sources.heatmaps), "heat maps", "image")],
        plots={path.stem: _png(path) for path in sorted(sources.plots.glob("*.png"))},
        chosen=sources.chosen, copies=sources.copies, settled=sources.settled, images=len(answers.labels),
        mistakes=int((~answers.is_right).sum()),
    )


def _mistakes(answers: Answers, classes: pd.DataFrame) -> dict:
    """What the section on mistakes shows: a confusion matrix, or what the weakest classes are taken for.

    Returns:
        `has_matrix`; `counts`, (label, predicted) -> images; `taken_for`, label -> the most frequent pairs, of the
        weakest classes if there is no matrix; and `cells`, the images behind the pairs that are shown.
    """
    cells, has_matrix = pictures.cells(answers), len(answers.class_names) <= MATRIX_CLASSES
    counts, at_most = {cell: len(indices) for cell, indices in cells.items()}, pictures.MAX_PICTURES
    worst = [] if has_matrix else weakest(classes[classes["recall"] < 1], WORST).index
    taken_for = {label: _confusions({cell: counts[cell] for cell in counts if cell[0] == label}, CONFUSIONS)
                 for label in worst}
    if not has_matrix:
        cells = {cell: cells[cell] for cell in chain.from_iterable(taken_for.values())}
        at_most //= 2               # long tables take the other half
    return {"has_matrix": has_matrix, "counts": counts, "taken_for": taken_for,
            "cells": pictures.limit_cells(cells, at_most)}


def _confusions(counts: dict[tuple[int, int], int], at_most: int) -> list[tuple[int, int]]:
    """(label, predicted) of the most frequent mistakes, the most frequent first."""
    wrong = [cell for cell in counts if cell[0] != cell[1]]
    return sorted(wrong, key=lambda cell: (-counts[cell], cell))[:at_most]


def _classes(sources: Sources) -> list[dict]:
    """The rows of all classes, the weakest first, with their `index` and how many images were learnt from."""
    learnt = sources.splits[sources.splits["split"] != "test"]["label"].value_counts()
    return [{**row, "index": index, "learnt": int(learnt.get(row["class"], 0))}
            for index, row in weakest(sources.classes, len(sources.classes)).iterrows()]


def _lists(groups: dict) -> dict:
    return {name: np.asarray(indices).tolist() for name, indices in groups.items()}


def _picture(answers: Answers, index: int, url: str) -> dict:
    names = answers.class_names
    return {
        "url": url, "path": str(answers.paths[index]), "label": names[answers.labels[index]],
        "predicted": names[answers.predicted[index]], "probability": round(float(answers.confidences[index]), 4),
        "unknown": bool(answers.is_unknown[index]),
    }


@contextmanager
def heatmaps_meanwhile(classifier: Classifier, answers: Answers, images: Path) -> Iterator[list[Future]]:
    """Draw the heat maps of a report in threads while the block does something else: its `Sources.heatmaps`.

    They take half of the time that an evaluation takes. For the arguments, see `Sources`.
    """
    alone = Classifier(classifier.folder, threads=1)        # a picture per core: none waits for another
    pool = ThreadPoolExecutor(cpu_count())
    try:
        yield [pool.submit(_heatmap, alone, answers, images, index) for index in pictures.examples(answers, HEATMAPS)]
    finally:
        pool.shutdown(cancel_futures=True)


def _heatmap(classifier: Classifier, answers: Answers, images: Path, index: int) -> dict:
    path = images / answers.paths[index]
    heat, picture = heatmaps.occlusion(classifier, classifier.read(path)), pictures.thumbnail(path)
    return {"heat": pictures.data_url(heatmaps.overlay(picture, heat)),
            **_picture(answers, index, pictures.data_url(picture))}


def _png(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
