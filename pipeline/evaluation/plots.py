"""The plots of an evaluation, as pictures, and as tables for `dvc plots`."""

import warnings

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation import calibration
from pipeline.evaluation.intervals import proportion
from pipeline.evaluation.metrics import confusion
from pipeline.evaluation.predictions import Answers
from pipeline.pages import short

GRID = np.linspace(0, 1, 101)
MAX_CURVES = 10         # of more classes, whose lines would be indistinguishable, only the mean is drawn
BLUE, ORANGE, GREY = "#2563a8", "#d9730d", "#8a8f98"


def training_table(histories: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the histories of the stages; `step` counts the epochs through all of them, from 1.

    Args:
        histories: name of a stage -> its history, see `tasks.artifacts.HISTORY_COLUMNS`.
    """
    tables = [history.assign(stage=stage) for stage, history in histories.items()]
    table = pd.concat(tables, ignore_index=True)
    columns = ["step", "stage", "epoch", "accuracy", "val_accuracy", "loss", "val_loss", "learning_rate"]
    return table.assign(step=np.arange(1, len(table) + 1))[columns]


def confusion_table(answers: Answers) -> pd.DataFrame:
    """A row per image with the columns actual and predicted, as DVC's template `confusion` expects them."""
    names = np.array(answers.class_names)
    return pd.DataFrame({"actual": names[answers.labels], "predicted": names[answers.predicted]})


def roc_table(answers: Answers) -> pd.DataFrame:
    """The mean ROC curve of all classes, on a fixed grid so that revisions can be compared.

    Returns:
        `false_positive_rate` and `true_positive_rate`, 0 to 1; NaN if no class has a curve.
    """
    curves = [np.interp(GRID, *_roc(answers, index)) for index in _drawn(answers)]
    return pd.DataFrame({"false_positive_rate": GRID, "true_positive_rate": _mean(curves)}).round(6)


def precision_recall_table(answers: Answers) -> pd.DataFrame:
    """The mean precision-recall curve of all classes, on a fixed grid so that revisions can be compared.

    The precision at each recall is the best one at this or a higher recall, as in COCO's 101 points (Lin et al. 2014).

    Returns:
        `recall` and `precision`, 0 to 1; NaN if no class has a curve.
    """
    curves = []
    for index in _drawn(answers):
        recall, precision = _precision_recall(answers, index)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        curves.append(best[np.searchsorted(recall, GRID - 1e-12)])
    return pd.DataFrame({"recall": GRID, "precision": _mean(curves)}).round(6)


def reliability_table(answers: Answers, temperature: float) -> pd.DataFrame:
    """A row per bin: images, confidence and accuracy, after and `_before` calibration; NaN in empty bins.

    Args:
        answers: with calibrated probabilities.
        temperature: of the model.
    """
    after = calibration.reliability(answers.confidences, answers.is_right)
    raw = calibration.uncalibrated(answers.probabilities, temperature)
    before = calibration.reliability(raw[np.arange(len(raw)), answers.predicted], answers.is_right)
    upper = np.arange(1, calibration.BINS + 1) / calibration.BINS
    return pd.DataFrame({
        "up_to": upper, "images": after.images, "confidence": after.confidence, "accuracy": after.accuracy,
        "images_before": before.images, "confidence_before": before.confidence, "accuracy_before": before.accuracy,
    }).round(6)


def draw_training(table: pd.DataFrame) -> Figure:
    """Draw accuracy and loss over the epochs of both stages, from a `training_table`."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss")):
        for stage, rows in table.groupby("stage", sort=False):      # a line each, interrupted between the stages
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
    """Draw the confusion matrix: colours are shares of a label's images, numbers are counts."""
    matrix, names = confusion(answers), answers.class_names
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(3.2, 1.2 + 0.55 * len(names)), 14)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= 25:
        for row, column in np.argwhere(matrix):         # zeros would hide the other numbers
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, matrix[row, column], ha="center", va="center", color=colour)
    labels, is_crowded = [short(name) for name in names], len(names) > 6 or max(map(len, names)) > 10
    axes.set_xticks(range(len(names)), labels, rotation=90 if is_crowded else 0)
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(labelsize=9 if len(names) <= 50 else max(3, 450 / len(names)))
    axes.set(xlabel="predicted", ylabel="label")
    return figure


def draw_roc(answers: Answers) -> Figure:
    """Draw the ROC curve of each class against all others, and their mean."""
    figure, axes = square("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=0.8)
    _draw_curves(axes, answers, _roc, roc_table(answers))
    return figure


def draw_precision_recall(answers: Answers) -> Figure:
    """Draw the precision-recall curve of each class against all others, and their mean."""
    figure, axes = square("recall", "precision")
    _draw_curves(axes, answers, _precision_recall, precision_recall_table(answers), drawstyle="steps-pre")
    return figure


def draw_reliability(table: pd.DataFrame) -> Figure:
    """Draw accuracy over confidence, before and after calibration, from a `reliability_table`.

    A calibrated model is on the diagonal. The bars are 95 % intervals, because a bin of few images proves little.
    """
    figure, axes = square("probability of the answer", "share of right answers")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=0.8)
    for suffix, colour, label in (("_before", ORANGE, "before calibration"), ("", BLUE, "after")):
        filled = table[table[f"images{suffix}"] > 0]
        points = filled[f"confidence{suffix}"], filled[f"accuracy{suffix}"]
        sizes = 10 + 150 * filled[f"images{suffix}"] / filled[f"images{suffix}"].sum()
        edges = np.array([proportion(*each, 0.95) for each in zip(points[1], filled[f"images{suffix}"])]).reshape(-1, 2)
        axes.vlines(points[0], *edges.T, color=colour, linewidth=1, alpha=0.6)
        axes.scatter(*points, s=sizes, color=colour, label=label, alpha=0.7)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def draw_unknown(answers: Answers, threshold: float) -> Figure:
    """Draw the unknown scores of the test images, and the threshold above which the answer is "unknown"."""
    figure = Figure(figsize=(4.4, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.hist(answers.unknown_scores, bins=40, color=BLUE)
    axes.axvline(threshold, color=ORANGE)
    axes.text(threshold, 1.01, "unknown →", transform=axes.get_xaxis_transform(), color=ORANGE, fontsize=8)
    axes.set(xlabel="unknown score of test images", ylabel="images")
    return figure


def square(xlabel: str, ylabel: str):
    """A figure with square axes from 0 to 1, and the axes."""
    figure = Figure(figsize=(4.4, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_box_aspect(1)
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def save_png(figure: Figure, path) -> None:
    """Write a picture whose bytes depend only on what is drawn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")       # a name in a script without a font here: a box
        figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


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
    """The indices of the classes that have a curve: some test images are of the class, and some are not."""
    return [index for index in np.unique(answers.labels) if (answers.labels != index).any()]


def _roc(answers: Answers, index: int) -> tuple[np.ndarray, np.ndarray]:
    hits, false = _accepted(answers, index)
    return np.append(0, false / false[-1]), np.append(0, hits / hits[-1])


def _precision_recall(answers: Answers, index: int) -> tuple[np.ndarray, np.ndarray]:
    hits, false = _accepted(answers, index)
    return np.append(0, hits / hits[-1]), np.append(1, hits / (hits + false))


def _accepted(answers: Answers, index: int) -> tuple[np.ndarray, np.ndarray]:
    """How many images of a class, and how many others, have at least each of its probabilities, the highest first."""
    own, scores = answers.labels == index, answers.probabilities[:, index]
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)         # of images with the same probability
    return own[order].cumsum()[last], (~own[order]).cumsum()[last]


def _mean(curves: list[np.ndarray]) -> np.ndarray:
    return np.mean(curves, axis=0) if curves else np.full(len(GRID), np.nan)
