"""How far a model's probabilities can be believed, and the one number that mends them."""

from dataclasses import dataclass

import numpy as np

BINS = 15       # of equal width, as in Guo et al. 2017, "On Calibration of Modern Neural Networks"
PRIOR = 0.25    # standard deviation of a temperature's logarithm. By simulation: 0.5 and none lose more than they gain


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which logits are divided for a low log loss (Guo et al. 2017), kept near 1 by a prior.

    Where all of 60 images are answered right, the lowest log loss of all has the smallest temperature of all, and the
    first mistake costs more than was ever gained. The prior is worth a few images.

    Args:
        logits: float `(images, classes)` of images that the model was not trained on.
        labels: int `(images,)`, the true classes.

    Returns:
        A number between 0.05 and 20; 1.0 where the gain is within its own standard error: the log loss on these images
        never gets worse, and on others rarely.
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, dtype=np.float64)

    def loss(log_temperature: float) -> float:      # on a logarithmic scale half and double are equally far
        prior = (log_temperature / PRIOR) ** 2 / (2 * len(labels))
        return log_loss_of_logits(logits / np.exp(log_temperature), labels) + prior

    bounds = np.log(0.05), np.log(20)
    temperature = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))
    gains = _losses_of_logits(logits, labels) - _losses_of_logits(logits / temperature, labels)
    return temperature if gains.mean() > gains.std() / np.sqrt(len(gains)) else 1.0


def log_loss_of_logits(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability of the true class, without going through probabilities that round to 0."""
    return float(_losses_of_logits(logits, labels).mean())


def _losses_of_logits(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The negative log-probability of each true class, float64 `(images,)`; at most 36, as in scikit-learn: a
    probability of 0 counts as the smallest difference from 1."""
    own = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.maximum(own, np.finfo(np.float64).eps))


def uncalibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What the probabilities were before `temperature` was applied; float64 `(images, classes)`.

    The logits are not needed for it: up to a constant they are the temperature times the log-probabilities.
    """
    logits = temperature * np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Reliability:
    """The images binned by the probability of their predicted class; each array is `(BINS,)`.

    Attributes:
        images: int, how many fall into each bin.
        confidence: mean probability of the predicted class; NaN in an empty bin.
        accuracy: share of right answers; NaN in an empty bin.
    """

    images: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(confidences: np.ndarray, is_right: np.ndarray) -> Reliability:
    """Bin images by confidence, float `(images,)` in 0 to 1; `is_right` is bool `(images,)`."""
    bins = bin_numbers(confidences)
    images = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            images=images,
            confidence=np.bincount(bins, weights=confidences, minlength=BINS) / images,
            accuracy=np.bincount(bins, weights=is_right.astype(float), minlength=BINS) / images,
        )


def bin_numbers(confidences: np.ndarray) -> np.ndarray:
    """The bin of each confidence, int `(images,)`: (0, 1/15] is bin 0, (14/15, 1] the last."""
    return np.clip(np.ceil(np.asarray(confidences) * BINS).astype(int) - 1, 0, BINS - 1)


def calibration_error(confidences: np.ndarray, is_right: np.ndarray) -> float:
    """Expected calibration error: mean distance of confidence and accuracy, each bin weighted by its images."""
    bins = reliability(confidences, is_right)
    filled = bins.images > 0
    gaps = np.abs(bins.confidence - bins.accuracy)[filled]
    return float(gaps @ bins.images[filled] / bins.images.sum())
