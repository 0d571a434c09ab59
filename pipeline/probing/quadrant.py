"""Where data stand in the classic advice for transfer learning: few or many, like or unlike the backbone's own."""

from dataclasses import dataclass

import numpy as np

from pipeline.losses import log_losses
from pipeline.probing.comparison import chance_of_gain
from pipeline.probing.curve import Curve, learning_curve
from pipeline.probing.selection import Features, compare

SIGNIFICANCE = 0.05         # chance of calling data unlike that are alike
SMALLEST_GAIN = 0.15        # data are few where their second half lowers the log loss by this share of it, or more


@dataclass(frozen=True)
class Quadrant:
    """The two measurements, and what they say.

    Attributes:
        gain: by how much the log loss is lower on all levels than on the last, in nats: earlier levels know what the
            last has forgotten.
        chance: of such a gain if the levels were equally good, 0 to 1.
        halving: by which share the log loss is lower than with half of the images.
        curve: see `pipeline.probing.curve`.
    """

    gain: float
    chance: float
    halving: float
    curve: Curve

    @property
    def is_alike(self) -> bool:
        """Whether the backbone's own images were like these: the last level tells the classes as well as all."""
        return self.chance > SIGNIFICANCE

    @property
    def is_many(self) -> bool:
        """Whether there are enough images for the head: half of them would do nearly as well."""
        return self.halving < SMALLEST_GAIN

    @property
    def name(self) -> str:
        """Such as `few and alike`."""
        return f"{'many' if self.is_many else 'few'} and {'alike' if self.is_alike else 'unlike'}"


def find_quadrant(features: Features, last: np.ndarray, chosen: np.ndarray) -> Quadrant:
    """Measure similarity and size.

    Args:
        features: of all levels.
        last: the columns of the last level, int.
        chosen: the columns that the head reads.
    """
    everything = compare(features, ["all"], np.arange(features.plain.shape[1]))
    narrow = compare(features, ["last"], last, everything.penalty)
    gains = log_losses(narrow.logits, features.labels) - log_losses(everything.logits, features.labels)
    head = compare(features, ["chosen"], chosen, everything.penalty)
    curve = learning_curve(features.units(chosen), head.penalty, head.is_mirrored)
    half, full = curve.losses[1:].mean(axis=1)
    return Quadrant(float(gains.mean()), chance_of_gain(gains), float(1 - full / half), curve)
