"""Every metric of a model, computed from its stored predictions, with its interval."""

import numpy as np
import pandas as pd

from pipeline.evaluation import calibration, intervals
from pipeline.evaluation.areas import class_areas
from pipeline.evaluation.predictions import Answers


def measure(answers: Answers, temperature: float, confidence: float, bootstrap_draws: int, seed: int
            ) -> tuple[dict, pd.DataFrame]:
    """Compute all metrics of the model, and those of each class.

    Args:
        answers: to the test images.
        temperature: of the model; the `_uncalibrated` metrics are those without it.
        confidence: of the intervals, 0 to 1.
        bootstrap_draws: draws behind every interval that is bootstrapped: areas, log loss, calibration error.
        seed: of the draws.

    Returns:
        metric -> `{"value", "low", "high", "images"}`, without metrics that the test images leave undefined, such as
        the ROC area if they are all of one class; and a row per class with its images, precision, recall, F1, ROC area
        and average precision, with `_low` and `_high`, NaN where undefined, such as the precision of a class that was
        never predicted.
    """
    rng = np.random.default_rng(seed)
    rows, means = class_areas(answers.probabilities, answers.labels, confidence, bootstrap_draws, rng)
    classes = pd.DataFrame([_class(answers, index, confidence) | row for index, row in enumerate(rows)])
    areas = {name: _metric(value, edges, len(answers.labels)) for name, (value, *edges) in means.items()}
    return _overall(answers, temperature, areas, (confidence, bootstrap_draws, rng)), classes


def _overall(answers: Answers, temperature: float, areas: dict, bootstrap: tuple) -> dict:
    confidence = bootstrap[0]
    before = calibration.uncalibrated(answers.probabilities, temperature)
    confidences_before = before[np.arange(len(before)), answers.predicted]
    return {
        "accuracy": share(answers.is_right, confidence),
        "balanced_accuracy": _balanced_accuracy(answers, confidence),
        **areas,
        "log_loss": _mean_loss(answers.losses, *bootstrap),
        "log_loss_uncalibrated": _mean_loss(calibration.losses(before, answers.labels), *bootstrap),
        "calibration_error": _calibration_error(answers.confidences, answers.is_right, *bootstrap),
        "calibration_error_uncalibrated": _calibration_error(confidences_before, answers.is_right, *bootstrap),
        "unknown_share": share(answers.is_unknown, confidence),
    }


def _class(answers: Answers, index: int, confidence: float) -> dict:
    own, predicted = answers.labels == index, answers.predicted == index
    hits = int((own & predicted).sum())
    row = {"class": answers.class_names[index], "images": int(own.sum()), "predicted": int(predicted.sum())}
    row |= _ranged("precision", hits, predicted.sum(), intervals.proportion, confidence)
    row |= _ranged("recall", hits, own.sum(), intervals.proportion, confidence)
    row |= _ranged("f1", hits, (own | predicted).sum(), intervals.f1, confidence)
    return row | {"f1": 2 * row["f1"] / (1 + row["f1"])}        # from the share that `intervals.f1` describes


def confusion(answers: Answers) -> np.ndarray:
    """The confusion matrix, int `(classes, classes)`: images with the row's label that were predicted as the column."""
    matrix = np.zeros((len(answers.class_names),) * 2, dtype=int)
    np.add.at(matrix, (answers.labels, answers.predicted), 1)
    return matrix


def _metric(value: float, interval: tuple[float, float], images: int) -> dict:
    return {"value": float(value), "low": float(interval[0]), "high": float(interval[1]), "images": int(images)}


def share(flags: np.ndarray, confidence: float) -> dict:
    """The share of images whose flag is set, bool `(images,)`, as a metric with its interval."""
    return _metric(flags.mean(), intervals.proportion(flags.mean(), len(flags), confidence), len(flags))


def _balanced_accuracy(answers: Answers, confidence: float) -> dict:
    counts = np.bincount(answers.labels, minlength=len(answers.class_names))
    hits = np.bincount(answers.labels, answers.is_right, len(answers.class_names))
    recalls, counts = hits[counts > 0] / counts[counts > 0], counts[counts > 0]
    edges = np.array([intervals.proportion(*each, confidence) for each in zip(recalls, counts)])
    shrunk = (recalls * counts + recalls.mean()) / (counts + 1)         # 2 of 2 right is not certainty
    variance = (shrunk * (1 - shrunk) / counts).sum() / len(counts) ** 2
    interval = intervals.mean_share(recalls, *edges.T, variance, confidence)
    return _metric(recalls.mean(), interval, len(answers.labels))


def _mean_loss(losses: np.ndarray, confidence: float, draws: int, rng) -> dict:
    return _metric(losses.mean(), intervals.mean_loss(losses, confidence, draws, rng), len(losses))


def _calibration_error(confidences, is_right, confidence: float, draws: int, rng) -> dict:
    interval = intervals.calibration_error(confidences, is_right, confidence, draws, rng)
    return _metric(calibration.calibration_error(confidences, is_right), interval, len(is_right))


def _ranged(name: str, hits: int, images: int, interval, confidence: float) -> dict:
    if images == 0:
        return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
    low, high = interval(hits / images, int(images), confidence)
    return {name: hits / images, f"{name}_low": low, f"{name}_high": high}
