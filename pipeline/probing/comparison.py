"""Compare two models on images that neither was trained on, nor stopped by.

Every loss here is the one after temperature scaling (Guo et al. 2017), as `export` scales what it publishes: training
on makes a network more certain before it makes it better, which its raw log loss would count against it.
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.losses import log_losses

TEMPERATURES = np.geomspace(0.5, 10, 33)
DECISIVE, HOPELESS = 0.0233, 0.5       # chances at the first of two looks; see `chance_at_second_look`
DRAWS, SEED = 9999, 1       # of the permutation test; its probabilities are multiples of 1 / (DRAWS + 1)
MOST_VALUES = 4_000_000     # signs that are held in memory at once
DIVERGED = 1e6              # loss of an answer that is no number: a training that diverges is worse than any other


def scaled_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log losses at every temperature, float64 `(temperatures, images)`, finite whatever the logits are.

    Args:
        logits: float `(images, classes)`.
        labels: int `(images,)`.
    """
    losses = np.stack([log_losses(logits.astype(np.float64) / temperature, labels) for temperature in TEMPERATURES])
    return np.nan_to_num(losses, nan=DIVERGED, posinf=DIVERGED)


def scaled_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """The mean log loss at the best temperature."""
    return float(scaled_losses(logits, labels).mean(axis=1).min())


def losses_by_others(logits: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The loss on each image at the temperature that the other folds' images chose, float64 `(images,)`.

    What is chosen by the images that it is judged on looks better than it is.

    Args:
        logits: float `(images, classes)`.
        labels: int `(images,)`.
        folds: int `(images,)`. If there is but one fold, its own images choose.
    """
    losses, chosen = scaled_losses(logits, labels), np.empty(len(labels))
    for fold in np.unique(folds):
        own = folds == fold
        others = ~own if np.any(~own) else own
        chosen[own] = losses[losses[:, others].mean(axis=1).argmin(), own]
    return chosen


def chance_at_second_look(first: float, second: float) -> float:
    """One probability for two tests on different images, if there is no second one where the first settles it.

    The two-stage test of Bauer and Köhne (1994), whose table has `DECISIVE` and `HOPELESS` for a level of 0.05; as a
    probability (Brannath, Posch and Bauer 2002, section 2). Of equally good models it is at most 0.05 in 5 % of cases.

    Args:
        first: the first test's probability, above `DECISIVE` and below `HOPELESS`.
        second: the second test's.
    """
    product = first * second
    if product <= DECISIVE:
        return DECISIVE + product * math.log(HOPELESS / DECISIVE)
    return product * (1 + math.log(HOPELESS / product))


def chance_of_gain(gains: np.ndarray, rivals: Sequence[np.ndarray] = ()) -> float:
    """The probability of a mean gain as high as this if the sign of each were a coin toss.

    A one-sided permutation test of paired differences (Fisher 1935); its draws are seeded. The best of several settings
    is judged by how often the best of them would be as good by chance (Westfall and Young 1993).

    Args:
        gains: float `(images,)`, by how much the loss on each image is lower.
        rivals: likewise, of each setting among which it was chosen.
    """
    rows = np.stack([gains, *rivals])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    random, rest, hits = np.random.default_rng(SEED), DRAWS, 0
    while rest:
        draws = min(rest, max(1, MOST_VALUES // rows.shape[1]))
        signs = 2.0 * random.integers(0, 2, (draws, rows.shape[1]), dtype=np.int8) - 1
        hits += int(((signs @ rows.T).max(axis=1) >= rows[0].sum() - 1e-12).sum())
        rest -= draws
    return (hits + 1) / (DRAWS + 1)
