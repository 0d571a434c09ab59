"""Two-sample tests and intervals with NumPy alone, for figures of which only counts are kept."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

TERMS = 100             # of Kolmogorov's series; with so many it is exact to 1e-12 from LEAST on
CONFIDENCE = 0.95       # of the intervals of shares
LEAST = 0.2             # below, the series converges slowly, and its sum is 1 to within 1e-12


@dataclass(frozen=True)
class Share:
    """A share, 0 to 1, with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


def z_value(confidence: float) -> float:
    """The standard normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def proportion(share: float, images: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927).

    Args:
        share: 0 to 1.
        images: how many the share was observed on; 0 gives the interval 0 to 1. May be fractional.
        confidence: 0 to 1.
    """
    if images == 0:
        return 0.0, 1.0
    z = z_value(confidence)
    centre = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * np.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


def share(hits: int, images: int) -> Share:
    """A share with Wilson's interval."""
    value = hits / max(images, 1)
    return Share(value, *proportion(value, images, CONFIDENCE))


def largest_gap(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The Kolmogorov-Smirnov statistic of two histograms with the same bins: the largest gap between their sums.

    It is at most that of the values themselves, so that a test by it raises no more false alarms.

    Args:
        ours, theirs: int `(bins,)`, each with at least one value.

    Returns:
        0 to 1.
    """
    return float(np.abs(ours.cumsum() / ours.sum() - theirs.cumsum() / theirs.sum()).max())


def kolmogorov_smirnov(gap: float, ours: int, theirs: int) -> float:
    """The probability of a gap of this size or larger between two samples of one distribution.

    By Kolmogorov's series for large samples, with the correction for small ones of Stephens (1970).

    Args:
        gap: see `largest_gap`.
        ours, theirs: the sizes of the samples, 1 or more.
    """
    root = np.sqrt(ours * theirs / (ours + theirs))
    return kolmogorov((root + 0.12 + 0.11 / root) * gap)


def kolmogorov(distance: float) -> float:
    """The survival function of Kolmogorov's distribution (Kolmogorov 1933), for a distance from 0."""
    if distance < LEAST:
        return 1.0
    terms = np.arange(1, TERMS + 1)
    return float(np.clip(2 * ((-1.0) ** (terms - 1) * np.exp(-2 * (terms * distance) ** 2)).sum(), 0, 1))


def fisher(hits: int, images: int, other_hits: int, other_images: int) -> float:
    """The two-sided p of Fisher's exact test that two shares are the same (Fisher 1935).

    Args:
        hits, images: of the one sample; `hits` is at most `images`.
        other_hits, other_images: of the other one.
    """
    both, all_images = hits + other_hits, images + other_images
    logs = np.concatenate([[0.0], np.log(np.arange(1, all_images + 1)).cumsum()])      # of factorials

    def log_choose(of: int, some: np.ndarray) -> np.ndarray:
        return logs[of] - logs[some] - logs[of - some]

    possible = np.arange(max(0, both - other_images), min(both, images) + 1)
    chances = np.exp(log_choose(images, possible) + log_choose(other_images, both - possible)
                     - log_choose(all_images, np.array(both)))
    seen = chances[hits - possible[0]]
    return float(min(chances[chances <= seen * (1 + 1e-7)].sum(), 1.0))
