"""Areas under ROC and precision-recall curves, with intervals that reflect how this model's scores are spread."""

import numpy as np

from pipeline.evaluation import intervals

METRICS = ("roc_auc", "average_precision")
ENDS = ("", "_low", "_high")
# A bootstrap of few mistakes understates the variance: it counts as at least this share of the textbook variance. From
# simulations of nine populations with 60 to 2,000 images.
LEAST_ROC_RATIO, LEAST_PRECISION_RATIO = 0.3, 0.15
CHUNK = 4_000_000       # counts held in memory at a time


def areas(scores: np.ndarray, own: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Compute the ROC area and the average precision of weighted images, one pair per draw.

    Args:
        scores: float `(images,)`, higher for the class.
        own: bool `(images,)`, whether an image is of the class.
        counts: int `(draws, images)`, how often each image occurs; fastest in Fortran order.

    Returns:
        float64 `(2, draws)`; NaN for a draw without the class, or with nothing else.
    """
    order, segments = _segments(scores, own)
    is_own = own[order]
    hits = _sums(segments[is_own], order[is_own], segments[-1] + 1, counts)         # (segments, draws)
    false = _sums(segments[~is_own], order[~is_own], segments[-1] + 1, counts)
    all_hits, all_false = hits.cumsum(axis=0), false.cumsum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        roc = (false * (all_hits - hits / 2)).sum(axis=0) / (all_hits[-1] * all_false[-1])
        precision = (hits * all_hits / np.maximum(all_hits + all_false, 1)).sum(axis=0) / all_hits[-1]
    return np.stack([roc, precision])


def _segments(scores: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image indices by falling score, and the segment of each: equal scores, or a run without an image of the class.

    Neither area depends on the order within a segment.
    """
    order = np.argsort(-scores, kind="stable")
    groups = np.cumsum(np.append(0, np.diff(scores[order]) != 0))       # of equal scores
    has_own = np.bincount(groups, own[order]) > 0
    return order, np.cumsum(np.append(0, has_own[1:] | has_own[:-1]))[groups]


def _sums(segments: np.ndarray, images: np.ndarray, count: int, counts: np.ndarray) -> np.ndarray:
    """How often images of each segment occur in each draw, float64 `(count, draws)`."""
    from scipy.sparse import csr_array  # who writes a card imports this module, too

    ones = np.ones(len(images), counts.dtype)
    return (csr_array((ones, (segments, images)), shape=(count, counts.shape[1])) @ counts.T).astype(float)


def class_areas(probabilities: np.ndarray, labels: np.ndarray, confidence: float, draws: int,
                rng: np.random.Generator) -> tuple[list[dict], dict]:
    """Compute the areas of each class against all others, and their means over the classes.

    Args:
        probabilities: float `(images, classes)`.
        labels: int `(images,)`, the true classes.
        confidence: of the intervals, 0 to 1.
        draws: how many bootstrap draws of the images estimate the variances.

    Returns:
        A row per class with `roc_auc`, `average_precision` and their `_low` and `_high`, NaN where undefined; and
        metric -> (value, low, high), the mean over the classes that define it, empty if none does.
    """
    drawn = _draw(probabilities, labels, draws, rng)        # (classes, 2, draws)
    rows, kept = [], []
    for index in range(probabilities.shape[1]):
        own = labels == index
        if own.any() and not own.all():
            rows.append(_with_intervals(probabilities[:, index], own, drawn[index], confidence))
            kept.append(index)
        else:
            rows.append({f"{name}{end}": np.nan for name in METRICS for end in ENDS})
    return rows, {
        name: _mean([rows[index] for index in kept], name, drawn[kept, metric], confidence)
        for metric, name in enumerate(METRICS) if kept
    }


def _draw(probabilities: np.ndarray, labels: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Both areas of every class in bootstrap draws of the images, float64 `(classes, 2, draws)`."""
    images, chunk = len(labels), max(1, min(draws, CHUNK // len(labels)))
    found = []
    for start in range(0, draws, chunk):
        counts = rng.multinomial(images, np.full(images, 1 / images), min(chunk, draws - start))
        counts = np.asfortranarray(counts, np.int32)
        found.append([areas(scores, labels == index, counts) for index, scores in enumerate(probabilities.T)])
    return np.concatenate(found, axis=2)


def _with_intervals(scores: np.ndarray, own: np.ndarray, drawn: np.ndarray, confidence: float) -> dict:
    positives, negatives = int(own.sum()), int((~own).sum())
    roc, precision = areas(scores, own, np.ones((1, len(own)), np.int32))[:, 0].tolist()
    roc_ratio = _ratio(drawn[0], intervals.roc_variance(roc, positives, negatives), LEAST_ROC_RATIO)
    precision_ratio = _ratio(drawn[1], precision * (1 - precision) / positives, LEAST_PRECISION_RATIO)
    edges = (*intervals.roc_area(roc, positives, negatives, roc_ratio, confidence),
             # as a proportion of the images of the class (Boyd et al. 2013)
             *intervals.proportion(precision, positives / precision_ratio, confidence))
    return {"roc_auc": roc, "roc_auc_low": edges[0], "roc_auc_high": edges[1], "average_precision": precision,
            "average_precision_low": edges[2], "average_precision_high": edges[3]}


def _ratio(drawn: np.ndarray, expected: float, least: float) -> float:
    """The variance of the draws over the textbook variance, which ignores how the scores are spread."""
    seen = np.nanvar(drawn)
    return float(max(seen / expected, least)) if expected > 1e-12 and seen > 0 else 1.0


def _mean(rows: list[dict], name: str, drawn: np.ndarray, confidence: float) -> tuple[float, float, float]:
    values, lows, highs = (np.array([row[f"{name}{end}"] for row in rows]) for end in ENDS)
    filled = np.where(np.isnan(drawn), values[:, None], drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        # an area that never varies has no correlation: assuming 1 gives the widest interval
        correlation = np.nan_to_num(np.atleast_2d(np.corrcoef(filled)), nan=1.0)
    variance = filled.mean(axis=0).var()
    return (float(values.mean()), *intervals.mean_share(values, lows, highs, variance, confidence, correlation))
