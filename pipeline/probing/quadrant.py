"""Where data stand in the classic advice for transfer learning: few or many, like or unlike the backbone's own."""

from dataclasses import dataclass

import numpy as np

from pipeline.probing.comparison import chance_of_gain
from pipeline.probing.curve import Curve

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
    def is_few_and_alike(self) -> bool:
        """Whether the head has all there is to learn, so that no training is worth a try."""
        return self.is_alike and not self.is_many

    @property
    def name(self) -> str:
        """Such as `few and alike`."""
        return f"{'many' if self.is_many else 'few'} and {'alike' if self.is_alike else 'unlike'}"


def find_quadrant(last: np.ndarray, everything: np.ndarray, curve: Curve) -> Quadrant:
    """Measure similarity and size.

    Args:
        last, everything: float `(images,)`, the log losses out of fold on the last level, and on all of them.
        curve: of the head.
    """
    gains = last - everything
    half, full = curve.losses[1:].mean(axis=1)
    return Quadrant(float(gains.mean()), chance_of_gain(gains), float(1 - full / half), curve)
