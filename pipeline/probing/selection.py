"""Choose the levels and the penalty of the convex head by cross-validation.

A level is the pooled output of the network at the end of a block. Standardization and principal axes come from all
images, since they use no label; coefficients never come from the images that they are judged on.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.losses import log_losses
from pipeline.probing.levels import Index
from pipeline.probing.logistic import Axes, Head, fit, fit_each, one_thread, principal_axes

PENALTIES = tuple(float(10**exponent) for exponent in np.arange(3.5, -0.6, -0.5))      # 3162 to 0.3, from high to low
TIED = 0.5                      # a loss that is higher by at most so many standard errors counts as equal
RISES = 2                       # the path of penalties ends after so many that make the loss higher


@dataclass(frozen=True)
class Features:
    """Pooled outputs of labelled images.

    Attributes:
        plain: float32 `(images, units)`.
        mirrored: likewise, of the mirrored images.
        labels: int `(images,)` in 0 to `classes` - 1.
        folds: int `(images,)`, see `pipeline.probing.folds`.
        may_mirror: whether a head may learn from mirrored images.
    """

    plain: np.ndarray
    mirrored: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    classes: int
    may_mirror: bool = True

    def units(self, chosen: np.ndarray) -> "Features":
        """The same images with some of the units, bool `(units,)` or int."""
        return replace(self, plain=self.plain[:, chosen], mirrored=self.mirrored[:, chosen])

    def images(self, chosen: np.ndarray) -> "Features":
        """Some of the images, bool `(images,)`."""
        arrays = ("plain", "mirrored", "labels", "folds")
        return replace(self, **{name: getattr(self, name)[chosen] for name in arrays})


@dataclass(frozen=True)
class Candidate:
    """A head on some levels, with the answers that it is compared by.

    Attributes:
        levels: their names, from first to last.
        axes: of their features.
        penalty: see `pipeline.probing.logistic.fit`.
        is_mirrored: whether mirrored images are trained on, too.
        logits: float64 `(images, classes)`, of each plain image by the head that was fitted without its fold.
        log_loss, accuracy: of these answers.
    """

    levels: list[str]
    axes: Axes
    penalty: float
    is_mirrored: bool
    logits: np.ndarray
    log_loss: float
    accuracy: float


def compare_sets(features: Features, index: Index, sets: list[list[str]]) -> list[Candidate]:
    """`compare` each set of levels; the penalties of the first tell where to look for those of the others."""
    compared: list[Candidate] = []
    for levels in sets:
        compared.append(compare(features, levels, index.columns(levels), compared[-1].penalty if compared else None))
    return compared


@one_thread
def compare(features: Features, levels: list[str], columns: np.ndarray, near: float | None = None) -> Candidate:
    """Choose the penalty, then whether mirrored images help, if they may; both by the mean log loss out of fold.

    Args:
        features: of all levels.
        levels: the names of those that the head reads.
        columns: their columns of the features, int.
        near: the penalty of other levels of the same images, from about which fewer have to be tried.
    """
    chosen = features.units(columns)
    axes = principal_axes(chosen.plain)
    plain, mirrored = (axes.project(each, np.float32) for each in (chosen.plain, chosen.mirrored))
    penalty, logits = _best_penalty(chosen, plain, near)
    both = _out_of_fold(chosen, [plain, mirrored], penalty)[0] if chosen.may_mirror else logits
    if is_mirrored := _loss(both, chosen) < _loss(logits, chosen):
        logits = both
    accuracy = float((logits.argmax(axis=1) == chosen.labels).mean())
    return Candidate(levels, axes, penalty, is_mirrored, logits, _loss(logits, chosen), accuracy)


def fit_head(features: Features, penalty: float, is_mirrored: bool, axes: Axes | None = None) -> Head:
    """Fit the head to all images, to its optimum; the two views of an image weigh one half each.

    Args:
        axes: of the features, where they are known.
    """
    axes = axes or principal_axes(features.plain)
    views = (features.plain, features.mirrored) if is_mirrored else (features.plain,)
    rows, labels = np.concatenate([axes.project(each) for each in views]), np.tile(features.labels, len(views))
    weights = np.full(len(rows), 1 / len(views))
    return axes.head(fit(rows, labels, features.classes, penalty, weights=weights))


@one_thread
def answers_out_of_fold(features: Features, penalty: float, is_mirrored: bool, parts: list[np.ndarray]
                        ) -> list[np.ndarray]:
    """The answers to each image by heads that learnt from a part of the images of the other folds.

    Args:
        parts: bool `(images,)` each, which images may be learnt from.

    Returns:
        Logits for each part, float64 `(images, classes)`.
    """
    axes = principal_axes(features.plain)
    views = [features.plain, features.mirrored] if is_mirrored else [features.plain]
    rows = [axes.project(each, np.float32) for each in views]
    return [_out_of_fold(features, rows, penalty, learnt=part)[0] for part in parts]


def _best_penalty(features: Features, rows: np.ndarray, near: float | None = None) -> tuple[float, np.ndarray]:
    """The highest penalty whose loss is about the lowest, and its logits.

    Each fit starts from that of the penalty before; the first penalty is the one above `near`.
    """
    tried, starts, first = [], None, max(0, PENALTIES.index(near) - 1) if near else 0
    for penalty in PENALTIES[first:]:
        logits, starts = _out_of_fold(features, [rows], penalty, starts)
        tried.append((penalty, logits, log_losses(logits, features.labels)))
        means = [losses.mean() for _, _, losses in tried]
        if len(means) - 1 - np.argmin(means) == RISES:
            break
    if first and np.argmin(means) == 0:         # the best one may be higher
        return _best_penalty(features, rows)
    lowest = tried[np.argmin(means)][2]
    gaps = [losses - lowest for _, _, losses in tried]
    is_tied = [gap.mean() <= TIED * gap.std() / np.sqrt(len(gap)) for gap in gaps]
    return tried[np.argmax(is_tied)][:2]


def _out_of_fold(features: Features, views: list[np.ndarray], penalty: float, starts: np.ndarray | None = None,
                 learnt: np.ndarray | bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the first view of each image from a fit without its fold, and the coefficients of each fold's fit.

    Args:
        views: of all images, float `(images, axes)` each, on principal axes.
        starts: the coefficients to start from.
        learnt: bool `(images,)`, the images that may be learnt from.
    """
    logits, folds = np.empty((len(features.labels), features.classes)), np.unique(features.folds)
    weights = ((features.folds != folds[:, None]) & learnt) / len(views)
    found = fit_each(np.concatenate(views), np.tile(features.labels, len(views)), features.classes, penalty,
                     np.tile(weights, len(views)), starts)
    for fold, coefficients in zip(folds, found):
        held_out = features.folds == fold
        logits[held_out] = views[0][held_out] @ coefficients[:-1] + coefficients[-1]
    return logits, found


def _loss(logits: np.ndarray, features: Features) -> float:
    return float(log_losses(logits, features.labels).mean())
