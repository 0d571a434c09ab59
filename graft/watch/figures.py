"""The figures of many answers: counts alone, from which no picture can be told.

Probabilities are counted by their log-odds, because most are close to 0 or 1, and a change there is a change, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from graft.model.classifier import Prediction

BINS = 128
LOG_ODDS = 16.0         # a probability is counted between log-odds of -16 and 16, which are 1e-7 and 1 - 1e-7
OCTAVES = 4.0           # an unknown score is counted between 2⁻⁴ and 2⁴; images like the training images have about 1


def bins_of(probabilities: np.ndarray) -> np.ndarray:
    """The bin of each probability, int of the same shape in 0 to `BINS` - 1."""
    with np.errstate(divide="ignore"):
        log_odds = np.log(probabilities) - np.log1p(-probabilities)
    return _bins(log_odds, LOG_ODDS)


def bins_of_scores(scores: np.ndarray) -> np.ndarray:
    """The bin of each unknown score, int of the same shape in 0 to `BINS` - 1."""
    with np.errstate(divide="ignore"):
        return _bins(np.log2(scores), OCTAVES)


def bins_of_brightness(brightness: np.ndarray) -> np.ndarray:
    """The bin of each brightness, int of the same shape in 0 to `BINS` - 1."""
    return (brightness * BINS / 256).astype(int)


def _bins(values: np.ndarray, end: float) -> np.ndarray:
    return (np.clip((values + end) / (2 * end), 0, 1) * BINS).clip(max=BINS - 1).astype(int)


def middles() -> np.ndarray:
    """The probability in the middle of each bin, float `(BINS,)`."""
    log_odds = (np.arange(BINS) + 0.5) / BINS * 2 * LOG_ODDS - LOG_ODDS
    return 1 / (1 + np.exp(-log_odds))


@dataclass
class Figures:
    """What is counted of answers; every array is int64.

    Attributes:
        class_names: the classes in the model's order.
        images: all that were answered.
        unknown, unsure: how many of them were answered "unknown", and how many "unsure" but not "unknown".
        answers: `(classes,)`, how often each class was the answer, "unknown" left out.
        confidences: `(BINS,)`, the probability of the answer, "unknown" left out.
        probabilities: `(classes, BINS)`, the probability of each class, for all images.
        unknown_scores: `(BINS,)`, for all images.
        brightness: `(BINS,)`, for the images of which it is known.
    """

    class_names: tuple[str, ...]
    images: int
    unknown: int
    unsure: int
    answers: np.ndarray
    confidences: np.ndarray
    probabilities: np.ndarray
    unknown_scores: np.ndarray
    brightness: np.ndarray

    @classmethod
    def none(cls, class_names: tuple[str, ...]) -> "Figures":
        """The figures of no answer."""
        shapes = cls.shapes(len(class_names)).values()
        return cls(class_names, 0, 0, 0, *(np.zeros(shape, np.int64) for shape in shapes))

    @staticmethod
    def shapes(classes: int) -> dict[str, tuple[int, ...]]:
        """The shape of each array, for a number of classes, in the order of the attributes."""
        return {"answers": (classes,), "confidences": (BINS,), "probabilities": (classes, BINS),
                "unknown_scores": (BINS,), "brightness": (BINS,)}

    @property
    def known(self) -> int:
        """How many images were answered by a class, not by "unknown"."""
        return self.images - self.unknown

    def add(self, prediction: Prediction) -> None:
        """Count one answer."""
        shares = np.array([[prediction.probabilities[name] for name in self.class_names]])
        self.count(shares, *(np.array([each]) for each in (
            prediction.unknown_score, prediction.is_unknown, prediction.is_unsure)))
        if prediction.brightness is not None:
            self.count_brightness(np.array([prediction.brightness]))

    def count(self, probabilities: np.ndarray, scores: np.ndarray, is_unknown: np.ndarray, is_unsure: np.ndarray,
              ) -> None:
        """Count many answers.

        Args:
            probabilities: float `(images, classes)`, 0 to 1.
            scores: float `(images,)`, the unknown scores.
            is_unknown, is_unsure: bool `(images,)`.
        """
        classes = np.broadcast_to(np.arange(len(self.class_names)), probabilities.shape)
        self.images += len(probabilities)
        self.unknown += int(is_unknown.sum())
        self.unsure += int((is_unsure & ~is_unknown).sum())
        np.add.at(self.probabilities, (classes, bins_of(probabilities)), 1)
        np.add.at(self.unknown_scores, bins_of_scores(scores), 1)
        known = probabilities[~is_unknown]
        np.add.at(self.answers, known.argmax(axis=1), 1)
        np.add.at(self.confidences, bins_of(known.max(axis=1)), 1)

    def count_brightness(self, brightness: np.ndarray) -> None:
        """Count the brightness of many images, float `(images,)`, 0 to 255."""
        np.add.at(self.brightness, bins_of_brightness(brightness), 1)


def added(many: Iterable[Figures]) -> Figures:
    """The sum of figures of one model; at least one."""
    first, *others = many
    return Figures(first.class_names, *(sum((getattr(each, item.name) for each in others), getattr(first, item.name))
                                        for item in fields(Figures)[1:]))
