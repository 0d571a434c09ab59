"""Two models on the same images: what their disagreements prove, and what they do not."""

from statistics import NormalDist

import numpy as np


def chance_of(wins: int, losses: int) -> float:
    """The probability of at least so many wins among the disagreements if both models were equally good.

    McNemar's test, exact and one-sided: each image that only one of the two answers right is a coin toss. Images that
    both answer alike say nothing about which is better.
    """
    from scipy.stats import binom

    return float(binom.sf(wins - 1, wins + losses, 0.5))


def chance_of_so_few(hits: int, images: int, share: float) -> float:
    """The probability of at most so many right answers if the true share of them were `share`: exact, binomial."""
    from scipy.stats import binom

    return float(binom.cdf(hits, images, share))


def difference_interval(wins: int, losses: int, images: int, confidence: float) -> tuple[float, float]:
    """Interval of the difference of two accuracies on the same images (Bonett & Price 2012).

    A normal interval after one win and one loss were added, which keeps it honest with few disagreements or none.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    win, loss = (wins + 1) / (images + 2), (losses + 1) / (images + 2)
    half = z * np.sqrt((win + loss - (win - loss) ** 2) / (images + 2))
    return float(max(win - loss - half, -1.0)), float(min(win - loss + half, 1.0))
