"""Areas under ROC and precision-recall curves, with intervals that allow for how this model's scores are spread."""

import numpy as np

from pipeline.evaluation import intervals

DRAWS = 100             # enough for a variance; these intervals take no quantile of the draws
# of the variance: a bootstrap of few mistakes understates it. By simulation of nine populations, 60 to 2,000 images
LEAST_ROC_RATIO, LEAST_PRECISION_RATIO = 0.3, 0.15
CHUNK = 4_000_000       # numbers held at once


def areas(scores: np.ndarray, own: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """ROC area and average precision, float `(2, draws)`, of images that occur as often as `counts` says.

    Args:
        scores: float `(images,)`, higher for the class.
        own: bool `(images,)`: the image is of the class.
        counts: int `(draws, images)`. NaN for a draw in which the class, or all else, does not occur.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)       # equal scores are one threshold
    hits = np.cumsum(counts[:, order] * own[order], axis=1)[:, ends].astype(float)
    false = np.cumsum(counts[:, order] * ~own[order], axis=1)[:, ends].astype(float)
    more_hits, more_false = np.diff(hits, axis=1, prepend=0), np.diff(false, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        roc = (more_false * (hits - more_hits / 2)).sum(axis=1) / (hits[:, -1] * false[:, -1])
        precision = (more_hits * hits / np.maximum(hits + false, 1)).sum(axis=1) / hits[:, -1]
    return np.stack([roc, precision])


def class_areas(probabilities: np.ndarray, labels: np.ndarray, confidence: float, rng) -> tuple[list[dict], dict]:
    """Each class against all others, and the mean of the classes.

    Returns:
        A row per class with `roc_auc`, `average_precision` and their `_low` and `_high`, NaN where undefined; and
        metric -> (value, low, high) of the mean over the classes where they are defined, empty when there is none.
    """
    draws = _draw(probabilities, labels, rng)       # (classes, 2, draws)
    rows, kept = [], []
    for index in range(probabilities.shape[1]):
        own = labels == index
        if own.any() and not own.all():
            rows.append(_with_intervals(probabilities[:, index], own, draws[index], confidence))
            kept.append(index)
        else:
            rows.append({f"{name}{end}": np.nan for name in ("roc_auc", "average_precision") for end in _ENDS})
    return rows, {
        name: _mean([rows[index] for index in kept], name, draws[kept, metric], confidence)
        for metric, name in enumerate(("roc_auc", "average_precision")) if kept
    }


_ENDS = ("", "_low", "_high")


def _draw(probabilities: np.ndarray, labels: np.ndarray, rng) -> np.ndarray:
    """Both areas of every class in bootstrap draws of the images, float `(classes, 2, draws)`."""
    images, chunk = len(labels), max(1, min(DRAWS, CHUNK // len(labels)))
    found = []
    for start in range(0, DRAWS, chunk):
        counts = rng.multinomial(images, np.full(images, 1 / images), min(chunk, DRAWS - start)).astype(np.int32)
        found.append([areas(scores, labels == index, counts) for index, scores in enumerate(probabilities.T)])
    return np.concatenate(found, axis=2)


def _with_intervals(scores: np.ndarray, own: np.ndarray, draws: np.ndarray, confidence: float) -> dict:
    from sklearn.metrics import average_precision_score, roc_auc_score

    positives, negatives = int(own.sum()), int((~own).sum())
    roc, precision = float(roc_auc_score(own, scores)), float(average_precision_score(own, scores))
    roc_ratio = _ratio(draws[0], intervals.roc_variance(roc, positives, negatives), LEAST_ROC_RATIO)
    precision_ratio = _ratio(draws[1], precision * (1 - precision) / positives, LEAST_PRECISION_RATIO)
    edges = (*intervals.roc_area(roc, positives, negatives, roc_ratio, confidence),
             # as a proportion of the class's own images (Boyd et al. 2013)
             *intervals.proportion(precision, positives / precision_ratio, confidence))
    return {"roc_auc": roc, "roc_auc_low": edges[0], "roc_auc_high": edges[1], "average_precision": precision,
            "average_precision_low": edges[2], "average_precision_high": edges[3]}


def _ratio(draws: np.ndarray, expected: float, least: float) -> float:
    """The variance of the draws over the textbook one, which knows nothing of how the scores are spread."""
    seen = np.nanvar(draws)
    return float(max(seen / expected, least)) if expected > 1e-12 and seen > 0 else 1.0


def _mean(rows: list[dict], name: str, draws: np.ndarray, confidence: float) -> tuple[float, float, float]:
    values, lows, highs = (np.array([row[f"{name}{end}"] for row in rows]) for end in _ENDS)
    filled = np.where(np.isnan(draws), values[:, None], draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        # an area that never varies says nothing of what it goes with: taken to go with all others
        correlation = np.nan_to_num(np.atleast_2d(np.corrcoef(filled)), nan=1.0)
    variance = filled.mean(axis=0).var()
    return (float(values.mean()), *intervals.mean_share(values, lows, highs, variance, confidence, correlation))
