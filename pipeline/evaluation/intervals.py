"""Confidence intervals that stay honest with few images and with results near 0 % or 100 %.

Each returns `(low, high)`. Their coverage is checked by simulation in tests and in `benchmarks/evaluation.py`.
"""

from statistics import NormalDist

import numpy as np

from pipeline.evaluation.calibration import BINS, bin_numbers

CHUNK = 1_000_000       # numbers drawn at once


def z_value(confidence: float) -> float:
    """The standard normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def proportion(share: float, images: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); the whole of 0 to 1 when there are no images."""
    if images == 0:
        return 0.0, 1.0
    z = z_value(confidence)
    centre = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * np.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


def f1(share: float, images: float, confidence: float) -> tuple[float, float]:
    """Interval of F1 from the share of right answers among the images that are of the class or were called so.

    This share j = TP / (TP + FP + FN) is a proportion, and F1 = 2 j / (1 + j) rises with it.
    """
    low, high = proportion(share, images, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_of(values, lows, highs, correlation=None) -> tuple[float, float]:
    """Interval of the plain mean of several estimates with intervals of their own (MOVER, Zou & Donner 2008).

    Args:
        values, lows, highs: float `(estimates,)`.
        correlation: float `(estimates, estimates)` of the estimates; independent by default.
    """
    values, lows, highs = (np.asarray(each, dtype=float) for each in (values, lows, highs))
    correlation = np.eye(len(values)) if correlation is None else correlation
    below, above = (values - lows) / len(values), (highs - values) / len(values)
    mean = values.mean()
    return (max(mean - np.sqrt(max(below @ correlation @ below, 0)), lows.min()),
            min(mean + np.sqrt(max(above @ correlation @ above, 0)), highs.max()))


def mean_share(values, lows, highs, variance: float, confidence: float, correlation=None) -> tuple[float, float]:
    """Interval of the plain mean of shares: what `mean_of` gives, or Wilson's where that reaches further.

    Of many classes with few images each, most are at 100 % and have no room above, so that `mean_of` alone ends too
    low. Wilson's interval is that of one share with the same variance as the mean.

    Args:
        values, lows, highs, correlation: as in `mean_of`.
        variance: of the mean.
    """
    mean, edges = float(np.mean(values)), mean_of(values, lows, highs, correlation)
    if variance < 1e-12 or not 0 < mean < 1:
        return edges
    low, high = proportion(mean, mean * (1 - mean) / variance, confidence)
    return min(low, edges[0]), max(high, edges[1])


def roc_variance(area: float, positives: int, negatives: int) -> float:
    """The variance of a ROC area, for scores of the usual spread (Hanley & McNeil 1982, as in Newcombe 2006)."""
    extra = (positives + negatives) / 2 - 1
    spread = 1 + extra * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * spread / (positives * negatives)


def roc_area(area: float, positives: int, negatives: int, ratio: float, confidence: float) -> tuple[float, float]:
    """Newcombe's interval of the area under a ROC curve (2006, method 5): of use at an area of exactly 1, too.

    It holds the areas that are at most z standard errors away, each with the error that *it* would have. `ratio` is
    this model's variance over the usual one.
    """
    z = z_value(confidence)

    def is_within(other: float) -> bool:
        return abs(area - other) <= z * np.sqrt(ratio * roc_variance(other, positives, negatives))

    return _edge(is_within, area, 0.0), _edge(is_within, area, 1.0)


def _edge(is_within, inside: float, outside: float) -> float:
    """Bisect for where `is_within` ends between a point that is within and one that need not be."""
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_within(middle) else (inside, middle)
    return inside


def mean_loss(losses: np.ndarray, confidence: float, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap-t interval of a mean (Efron & Tibshirani 1993, 12.5): few images carry most of a log loss, which the
    percentile bootstrap does not see."""
    mean, error = losses.mean(), losses.std() / np.sqrt(len(losses))
    if error < 1e-12:
        return float(mean), float(mean)
    ratios = np.concatenate([
        _bootstrap_ratios(losses, error, size, rng) for size in _chunks(draws, max(1, CHUNK // len(losses)))
    ])
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(max(mean - max(high, 0) * error, 0.0)), float(mean - min(low, 0) * error)


def _bootstrap_ratios(losses: np.ndarray, error: float, draws: int, rng) -> np.ndarray:
    """How many standard errors of its own each draw's mean is away, float `(draws,)`."""
    samples = losses[rng.integers(0, len(losses), (draws, len(losses)))]
    own = samples.std(axis=1) / np.sqrt(len(losses))
    # a draw of equal losses has no error of its own: the floor keeps the interval finite
    return (samples.mean(axis=1) - losses.mean()) / np.maximum(own, 0.1 * error)


def _chunks(total: int, size: int) -> list[int]:
    """`total` in parts of at most `size`: so much is held in memory at once."""
    return [min(size, total - start) for start in range(0, total, size)]


def calibration_error(confidences, is_right, confidence: float, draws: int, rng) -> tuple[float, float]:
    """Interval of the expected calibration error, which chance alone makes larger than it is.

    It holds the errors t that could well have given the one seen: each bin's gap is taken t times as large as it was
    seen, normal noise of the bin's own size is added, and the one seen must not be among the rarest results.
    """
    bins = bin_numbers(confidences)
    gaps = np.bincount(bins, confidences - is_right, BINS) / len(bins)
    counts, sums = np.maximum(np.bincount(bins, minlength=BINS), 1), gaps * len(bins)
    # within a bin the variance that its confidences claim, or the one seen where that is larger …
    claimed = np.bincount(bins, confidences * (1 - confidences), BINS)
    seen = np.bincount(bins, (confidences - is_right) ** 2, BINS) - sums**2 / counts
    # … and that of how many images fall into it
    variance = np.maximum(claimed, seen) + sums**2 * (1 / counts - 1 / len(bins))
    noise = rng.normal(size=(draws, BINS)) * np.sqrt(variance) / len(bins)
    error = np.abs(gaps).sum()

    def largest(quantile: float) -> float:
        """The multiple of the gaps at which this quantile of the results is the error that was seen."""
        def too_small(multiple):
            return np.quantile(np.abs(multiple * gaps + noise).sum(axis=1), quantile) <= error

        return _edge(too_small, 0.0, 4.0) if too_small(0.0) else 0.0

    low, high = largest((1 + confidence) / 2), largest((1 - confidence) / 2)
    return float(min(low, 1.0) * error), float(max(high, 1.0) * error)
