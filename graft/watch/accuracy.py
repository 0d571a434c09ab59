"""The accuracy to expect of answers whose true classes nobody knows, from their probabilities."""

import numpy as np

from graft.watch.figures import Figures, middles
from graft.watch.reference import Reference
from graft.watch.statistics import CONFIDENCE, Share, share, z_value


def expected_accuracy(reference: Reference, now: Figures) -> Share | None:
    """The share of right answers to expect among those that are not "unknown"; None if there are no such answers.

    It is the accuracy in test, changed by as much as the mean probability of the answers has changed (difference of
    confidences, Guillory et al. 2021). Its interval joins Wilson's in test and the chance in use (MOVER, Zou and Donner
    2008). Images that have changed make a model less accurate than less sure (Garg et al. 2022): the interval reaches
    down by the drop once more. `benchmarks/watch.py` compares it with the truth.
    """
    before = reference.figures
    if not now.known or not before.known:
        return None
    in_test = share(int(reference.right.sum()), before.known)
    drop = before.confidences @ middles() / before.known - now.confidences @ middles() / now.known
    chance = z_value(CONFIDENCE) ** 2 * (now.confidences @ (middles() * (1 - middles()))) / now.known**2
    value = in_test.value - drop
    low = value - np.hypot(in_test.value - in_test.low, np.sqrt(chance)) - max(drop, 0)
    high = value + np.hypot(in_test.high - in_test.value, np.sqrt(chance))
    return Share(*(float(np.clip(each, 0, 1)) for each in (value, low, high)))
