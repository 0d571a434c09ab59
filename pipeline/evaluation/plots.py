"""The plots of an evaluation, as pictures for people and as tables for `dvc plots`."""

import warnings

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from pipeline.evaluation import calibration
from pipeline.evaluation.intervals import proportion
from pipeline.evaluation.metrics import confusion
from pipeline.evaluation.predictions import Answers
from pipeline.evaluation.render import short

GRID = np.linspace(0, 1, 101)
MAX_CURVES = 10         # more lines in one picture cannot be told apart: then only the mean is drawn
BLUE, ORANGE, GREY = "#2563a8", "#d9730d", "#8a8f98"


def training_table(histories: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The histories of the stages, one under the other; `step` counts epochs through all of them."""
    tables = [history.assign(stage=stage) for stage, history in histories.items()]
    table = pd.concat(tables, ignore_index=True)
    columns = ["step", "stage", "epoch", "accuracy", "val_accuracy", "loss", "val_loss", "learning_rate"]
    return table.assign(step=np.arange(1, len(table) + 1))[columns]


def confusion_table(answers: Answers) -> pd.DataFrame:
    """actual, predicted: a row per image, as DVC's template `confusion` wants it."""
    names = np.array(answers.class_names)
    return pd.DataFrame({"actual": names[answers.labels], "predicted": names[answers.predicted]})


def roc_table(answers: Answers) -> pd.DataFrame:
    """The mean ROC curve of all classes on a grid, which two revisions can be compared by."""
    curves = [np.interp(GRID, *_roc(answers, index)) for index in _drawn(answers)]
    return pd.DataFrame({"false_positive_rate": GRID, "true_positive_rate": _mean(curves)}).round(6)


def precision_recall_table(answers: Answers) -> pd.DataFrame:
    """The mean precision-recall curve of all classes on a grid: at each recall the best precision that is had at it or
    at a higher one, as in COCO's 101 points (Lin et al. 2014)."""
    curves = []
    for index in _drawn(answers):
        recall, precision = _precision_recall(answers, index)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        curves.append(best[np.searchsorted(recall, GRID - 1e-12)])
    return pd.DataFrame({"recall": GRID, "precision": _mean(curves)}).round(6)


def reliability_table(answers: Answers, temperature: float) -> pd.DataFrame:
    """A row per bin: images, confidence and accuracy, after and `_before` calibration; empty cells for empty bins."""
    after = calibration.reliability(answers.confidences, answers.is_right)
    raw = calibration.uncalibrated(answers.probabilities, temperature)
    before = calibration.reliability(raw[np.arange(len(raw)), answers.predicted], answers.is_right)
    upper = np.arange(1, calibration.BINS + 1) / calibration.BINS
    return pd.DataFrame({
        "up_to": upper, "images": after.images, "confidence": after.confidence, "accuracy": after.accuracy,
        "images_before": before.images, "confidence_before": before.confidence, "accuracy_before": before.accuracy,
    }).round(6)


def draw_training(table: pd.DataFrame) -> Figure:
    """Accuracy and loss of training and validation over the epochs of both stages."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss")):
        for stage, rows in table.groupby("stage", sort=False):      # a line each: between two stages there is no epoch
            axes.plot(rows["step"], rows[name], color=BLUE, marker=".")
            axes.plot(rows["step"], rows[f"val_{name}"], color=ORANGE, marker=".")
            start = rows["step"].iloc[0] - 0.5
            axes.axvline(start, color=GREY, linewidth=0.8, linestyle=":")
            axes.text(start, 1.01, f" {stage}", transform=axes.get_xaxis_transform(), color=GREY, fontsize=8)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.lines:
            axes.legend(axes.lines[:2], ["training", "validation"], frameon=False)
    return figure


def draw_confusion(answers: Answers) -> Figure:
    """Shares of each class's images; the numbers are counts."""
    matrix, names = confusion(answers), answers.class_names
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(3.2, 1.2 + 0.55 * len(names)), 14)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= 25:
        for row, column in np.argwhere(matrix):         # zeros would hide the rest
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, matrix[row, column], ha="center", va="center", color=colour)
    labels, is_crowded = [short(name) for name in names], len(names) > 6 or max(map(len, names)) > 10
    axes.set_xticks(range(len(names)), labels, rotation=90 if is_crowded else 0)
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(labelsize=9 if len(names) <= 50 else max(3, 450 / len(names)))
    axes.set(xlabel="predicted", ylabel="label")
    return figure


def draw_roc(answers: Answers) -> Figure:
    figure, axes = _square("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=0.8)
    _draw_curves(axes, answers, _roc, roc_table(answers))
    return figure


def draw_precision_recall(answers: Answers) -> Figure:
    figure, axes = _square("recall", "precision")
    _draw_curves(axes, answers, _precision_recall, precision_recall_table(answers), drawstyle="steps-pre")
    return figure


def draw_reliability(table: pd.DataFrame) -> Figure:
    """Accuracy over confidence before and after calibration: on the diagonal, probabilities mean what they say.

    The bars are 95 % intervals: a bin of few images proves little.
    """
    figure, axes = _square("probability of the answer", "share of right answers")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=0.8)
    for suffix, colour, label in (("_before", ORANGE, "before"), ("", BLUE, "after calibration")):
        filled = table[table[f"images{suffix}"] > 0]
        points = filled[f"confidence{suffix}"], filled[f"accuracy{suffix}"]
        sizes = 10 + 150 * filled[f"images{suffix}"] / filled[f"images{suffix}"].sum()
        edges = np.array([proportion(*each, 0.95) for each in zip(points[1], filled[f"images{suffix}"])]).reshape(-1, 2)
        axes.vlines(points[0], *edges.T, color=colour, linewidth=1, alpha=0.6)
        axes.scatter(*points, s=sizes, color=colour, label=label, alpha=0.7)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def draw_unknown(answers: Answers, threshold: float) -> Figure:
    """How strange the test images are to the model, and where "unknown" begins."""
    figure = Figure(figsize=(4.4, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.hist(answers.unknown_scores, bins=40, color=BLUE)
    axes.axvline(threshold, color=ORANGE)
    axes.text(threshold, 1.01, "unknown →", transform=axes.get_xaxis_transform(), color=ORANGE, fontsize=8)
    axes.set(xlabel="unknown score of test images", ylabel="images")
    return figure


def save_png(figure: Figure, path) -> None:
    """Write a picture whose bytes depend on what is drawn alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")       # of a name in a script that no font here has: a box
        figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def _square(xlabel: str, ylabel: str):
    figure = Figure(figsize=(4.4, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_box_aspect(1)
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _draw_curves(axes, answers: Answers, curve, mean: pd.DataFrame, drawstyle: str = "default") -> None:
    drawn = _drawn(answers)
    if len(drawn) <= MAX_CURVES:
        for index in drawn:
            name = short(answers.class_names[index])
            axes.plot(*curve(answers, index), linewidth=1.2, drawstyle=drawstyle, label=name)
    axes.plot(*mean.to_numpy().T, color="black", linewidth=1, linestyle="--", label="mean of the classes")
    axes.figure.set_size_inches(4.4, 4.2 + 0.1 * len(drawn) * (len(drawn) <= MAX_CURVES))
    axes.figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _drawn(answers: Answers) -> list[int]:
    """The classes that have a curve: some test images are of it and some are not."""
    return [index for index in np.unique(answers.labels) if (answers.labels != index).any()]


def _roc(answers: Answers, index: int) -> tuple[np.ndarray, np.ndarray]:
    return roc_curve(answers.labels == index, answers.probabilities[:, index])[:2]


def _precision_recall(answers: Answers, index: int) -> tuple[np.ndarray, np.ndarray]:
    precision, recall, _ = precision_recall_curve(answers.labels == index, answers.probabilities[:, index])
    return recall[::-1], precision[::-1]


def _mean(curves: list[np.ndarray]) -> np.ndarray:
    return np.mean(curves, axis=0) if curves else np.full(len(GRID), np.nan)
