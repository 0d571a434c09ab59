"""Confidence intervals that keep their coverage with few images and with results near 0 % or 100 %.

Each returns `(low, high)`. The tests and `benchmarks/evaluation.py` check the coverage by simulation.
"""

import math

import numpy as np

from graft.watch.statistics import proportion, z_value
from pipeline.evaluation.calibration import BINS, bin_numbers

CHUNK = 1_000_000       # numbers drawn at a time


def exact_low(hits: np.ndarray, images: np.ndarray, confidence: float) -> np.ndarray:
    """The lower end of the exact one-sided interval of shares (Clopper and Pearson 1934).

    Args:
        hits, images: int `(shares,)`; at least one image each.
        confidence: 0 to 1.

    Returns:
        float `(shares,)`: the true share is at least this with the confidence, or more.
    """
    from scipy.special import betaincinv

    return np.where(hits > 0, betaincinv(np.maximum(hits, 1), images - hits + 1, 1 - confidence), 0.0)


def images_to_exclude(floor: float, share: float, confidence: float) -> int:
    """The fewest images for which the interval of `proportion` lies below a floor, if the share stays as it is.

    Wilson's interval ends where |share - end| = z √(end (1 - end) / images); this is solved for the images.

    Args:
        floor: above `share`, at most 1.
        share, confidence: see `proportion`.
    """
    return math.floor(z_value(confidence) ** 2 * floor * (1 - floor) / (floor - share) ** 2) + 1


def f1(share: float, images: float, confidence: float) -> tuple[float, float]:
    """Interval of F1, from the share of right answers among the images labelled or predicted as the class.

    This share j = TP / (TP + FP + FN) is a proportion, and F1 = 2 j / (1 + j) increases with it.

    Args:
        share, images, confidence: see `proportion`.
    """
    low, high = proportion(share, images, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_of(values, lows, highs, correlation=None) -> tuple[float, float]:
    """Interval of the unweighted mean of estimates that have their own intervals (MOVER, Zou and Donner 2008).

    Args:
        values, lows, highs: float `(estimates,)`.
        correlation: float `(estimates, estimates)`; the estimates are independent by default.
    """
    values, lows, highs = (np.asarray(each, dtype=float) for each in (values, lows, highs))
    correlation = np.eye(len(values)) if correlation is None else correlation
    below, above = (values - lows) / len(values), (highs - values) / len(values)
    mean = values.mean()
    return (max(mean - np.sqrt(max(below @ correlation @ below, 0)), lows.min()),
            min(mean + np.sqrt(max(above @ correlation @ above, 0)), highs.max()))


def mean_share(values, lows, highs, variance: float, confidence: float, correlation=None) -> tuple[float, float]:
    """Interval of the unweighted mean of shares: that of `mean_of`, extended to Wilson's.

    If there are many classes with few images each, most are at 100 % and have no room above, so that `mean_of` alone
    ends too low. Wilson's interval is that of a single share with the same variance as the mean.

    Args:
        values, lows, highs, correlation: see `mean_of`.
        variance: of the mean.
        confidence: 0 to 1.
    """
    mean, edges = float(np.mean(values)), mean_of(values, lows, highs, correlation)
    if variance < 1e-12 or not 0 < mean < 1:
        return edges
    low, high = proportion(mean, mean * (1 - mean) / variance, confidence)
    return min(low, edges[0]), max(high, edges[1])


def roc_variance(area: float, positives: int, negatives: int) -> float:
    """The textbook variance of a ROC area (Hanley and McNeil 1982, as in Newcombe 2006).

    Args:
        area: 0 to 1.
        positives, negatives: images of the class, and other images; at least 1 each.
    """
    extra = (positives + negatives) / 2 - 1
    spread = 1 + extra * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * spread / (positives * negatives)


def roc_area(area: float, positives: int, negatives: int, ratio: float, confidence: float) -> tuple[float, float]:
    """Newcombe's interval of a ROC area (Newcombe 2006, method 5), which works for an area of exactly 1, too.

    It contains the areas at most z standard errors away, where the standard error is that of the other area.

    Args:
        area, positives, negatives: see `roc_variance`.
        ratio: this model's variance over the textbook variance.
        confidence: 0 to 1.
    """
    z = z_value(confidence)

    def is_within(other: float) -> bool:
        return abs(area - other) <= z * np.sqrt(ratio * roc_variance(other, positives, negatives))

    return _edge(is_within, area, 0.0), _edge(is_within, area, 1.0)


def _edge(is_within, inside: float, outside: float) -> float:
    """Bisect for the point where `is_within` ends, between a point within and one that may be outside."""
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_within(middle) else (inside, middle)
    return inside


def mean_loss(losses: np.ndarray, confidence: float, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap-t interval of a mean loss (Efron and Tibshirani 1993, section 12.5).

    A few images carry most of a log loss; the percentile bootstrap ignores that.

    Args:
        losses: float `(images,)`, 0 or more.
        confidence: 0 to 1.
        draws: how many bootstrap draws.
    """
    mean, error = losses.mean(), losses.std() / np.sqrt(len(losses))
    if error < 1e-12:
        return float(mean), float(mean)
    ratios = np.concatenate([
        _bootstrap_ratios(losses, error, size, rng) for size in _chunks(draws, max(1, CHUNK // len(losses)))
    ])
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(max(mean - max(high, 0) * error, 0.0)), float(mean - min(low, 0) * error)


def _bootstrap_ratios(losses: np.ndarray, error: float, draws: int, rng) -> np.ndarray:
    """How far each draw's mean is from the observed mean, in its own standard errors, float `(draws,)`."""
    samples = losses[rng.integers(0, len(losses), (draws, len(losses)))]
    own = samples.std(axis=1) / np.sqrt(len(losses))
    # a draw of equal losses has a standard error of 0: the floor keeps the interval finite
    return (samples.mean(axis=1) - losses.mean()) / np.maximum(own, 0.1 * error)


def _chunks(total: int, size: int) -> list[int]:
    """Split `total` into parts of at most `size`, which bounds the memory in use."""
    return [min(size, total - start) for start in range(0, total, size)]


def calibration_error(confidences, is_right, confidence: float, draws: int, rng) -> tuple[float, float]:
    """Interval of the expected calibration error, which chance alone makes appear larger than it is.

    It contains the true errors that could plausibly produce the observed one. For each multiple of the observed gaps,
    normal noise of each bin's own variance is added; the observed error must not be among the rarest results.

    Args:
        confidences: float `(images,)`, the probability of each answer, 0 to 1.
        is_right: bool `(images,)`.
        confidence: of the interval, 0 to 1.
        draws: how many draws of the noise.
    """
    bins = bin_numbers(confidences)
    gaps = np.bincount(bins, confidences - is_right, BINS) / len(bins)
    counts, sums = np.maximum(np.bincount(bins, minlength=BINS), 1), gaps * len(bins)
    # within a bin: the variance that its confidences imply, or the observed one if that is larger …
    claimed = np.bincount(bins, confidences * (1 - confidences), BINS)
    seen = np.bincount(bins, (confidences - is_right) ** 2, BINS) - sums**2 / counts
    # … plus the variance of the number of images in it
    variance = np.maximum(claimed, seen) + sums**2 * (1 / counts - 1 / len(bins))
    noise = rng.normal(size=(draws, BINS)) * np.sqrt(variance) / len(bins)
    error = np.abs(gaps).sum()

    def largest(quantile: float) -> float:
        """The multiple of the gaps for which this quantile of the results equals the observed error."""
        def too_small(multiple):
            return np.quantile(np.abs(multiple * gaps + noise).sum(axis=1), quantile) <= error

        return _edge(too_small, 0.0, 4.0) if too_small(0.0) else 0.0

    low, high = largest((1 + confidence) / 2), largest((1 - confidence) / 2)
    return float(min(low, 1.0) * error), float(max(high, 1.0) * error)
