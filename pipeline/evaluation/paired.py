"""Compare two models on the same images by their disagreements."""

from statistics import NormalDist

import numpy as np


def chance_of(wins: int, losses: int) -> float:
    """The probability of at least this many wins among the disagreements if both models were equally good.

    This is McNemar's test, exact and one-sided: each image that only one model answers right is a coin toss. Images
    that both answer right, or both wrong, carry no information about which is better.

    Args:
        wins, losses: images that only the one, or only the other, model answers right.
    """
    if not wins:
        return 1.0
    from scipy.special import betainc  # the binomial's upper tail; scipy.stats takes a second to import

    return float(betainc(wins, losses + 1, 0.5))


def difference_interval(wins: int, losses: int, images: int, confidence: float) -> tuple[float, float]:
    """Interval of the difference between two accuracies on the same images (Bonett and Price 2012).

    It is a normal interval with one win and one loss added, which keeps its coverage with few disagreements or none.

    Args:
        wins, losses: see `chance_of`.
        images: all images, including those that both models answer right or wrong.
        confidence: 0 to 1.

    Returns:
        `(low, high)`, each -1 to 1.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    win, loss = (wins + 1) / (images + 2), (losses + 1) / (images + 2)
    half = z * np.sqrt((win + loss - (win - loss) ** 2) / (images + 2))
    return float(max(win - loss - half, -1.0)), float(min(win - loss + half, 1.0))
