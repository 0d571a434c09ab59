"""The learning curve of the head, and what it says about more images."""

from dataclasses import dataclass

import numpy as np

from pipeline.losses import log_losses
from pipeline.probing.selection import Features, answers_out_of_fold

PARTS = (4, 2, 1)           # the curve has a point for a quarter, for half and for all of the images
DRAWS, SEED = 1000, 1       # of the bootstrap
CONFIDENCE = 0.9
STEEPEST = -1.0             # of log error over log images: an error that falls faster than 1 / images is taken for luck


@dataclass(frozen=True)
class Curve:
    """How well each image is answered by heads that learnt from a quarter, half and all of the other images.

    Attributes:
        images: int `(3,)`, how many the heads learnt from.
        right: float `(3, images)`, the share of the heads that are right: four heads, two, one.
        losses: float `(3, images)`, their mean log loss.
    """

    images: np.ndarray
    right: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Forecast:
    """The accuracy with twice the images, 0 to 1, and its interval."""

    value: float
    low: float
    high: float


def learning_curve(features: Features, penalty: float, is_mirrored: bool, full: np.ndarray | None = None) -> Curve:
    """Fit heads to parts of the images, which are disjoint, and answer the images of each fold by heads without it.

    Args:
        full: float `(images, classes)`, the logits of heads that learnt from all of the other folds, where they are
            known.
    """
    order = np.argsort(features.folds, kind="stable")
    place = np.empty(len(order), int)
    for label in range(features.classes):       # the parts have equal shares of every class and fold
        members = order[features.labels[order] == label]
        place[members] = np.arange(len(members))
    known = [] if full is None else [full]
    learnt = [place % parts == part for parts in PARTS[: len(PARTS) - len(known)] for part in range(parts)]
    every = iter(answers_out_of_fold(features, penalty, is_mirrored, learnt) + known)
    right, losses = [], []
    for parts in PARTS:
        answers = [next(every) for _ in range(parts)]
        right.append(np.mean([each.argmax(axis=1) == features.labels for each in answers], axis=0))
        losses.append(np.mean([log_losses(each, features.labels) for each in answers], axis=0))
    others = len(order) * (1 - 1 / len(np.unique(features.folds)))
    return Curve(np.array([round(others / parts) for parts in PARTS]), np.array(right), np.array(losses))


def forecast(right: np.ndarray) -> Forecast:
    """Extrapolate the accuracy to twice the images, as a power law of the error.

    Errors fall with the number of images as a power of it (Hestness et al. 2017). The exponent comes from three points;
    the interval from a bootstrap over the images.

    Args:
        right: see `Curve`, of all images or of those of one class.
    """
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, right.shape[1], (DRAWS, right.shape[1]))
    errors = np.stack([1 - each[drawn].mean(axis=1) for each in right])
    tails = (1 - CONFIDENCE) / 2
    low, high = np.quantile(1 - _with_twice(errors, right.shape[1]), [tails, 1 - tails])
    value = float(1 - _with_twice(1 - right.mean(axis=1, keepdims=True), right.shape[1])[0])
    return Forecast(value, float(min(low, value)), float(max(high, value)))


def _with_twice(errors: np.ndarray, images: int) -> np.ndarray:
    """The error with twice the images, `(tries,)`, from float `(3, tries)`; half a mistake is added, against zeros."""
    logs = np.log2((errors * images + 0.5) / (images + 1))
    slopes = np.clip((logs[2] - logs[0]) / 2, STEEPEST, 0)
    return 2 ** (logs.mean(axis=0) + 2 * slopes)
