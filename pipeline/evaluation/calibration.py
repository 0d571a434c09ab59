"""Measure how well a model's probabilities are calibrated, and fit the one number that improves them."""

from dataclasses import dataclass

import numpy as np

from pipeline.losses import log_losses

BINS = 15       # of equal width, as in Guo et al. 2017, "On Calibration of Modern Neural Networks"
PRIOR = 0.25    # standard deviation of log temperature. In simulations, 0.5 and no prior lose more than they gain


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature by which logits are divided for a low log loss (Guo et al. 2017), with a prior near 1.

    Without the prior, 60 images that are all answered right would get the smallest temperature allowed, and the first
    mistake would then cost more than was gained. The prior weighs as much as a few images.

    Args:
        logits: float `(images, classes)`, of images that the model was not trained on.
        labels: int `(images,)`, the true classes.

    Returns:
        A number between 0.05 and 20; 1.0 if the gain is within its own standard error. The log loss never increases on
        these images, and rarely on others.
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, dtype=np.float64)

    def loss(log_temperature: float) -> float:      # on a logarithmic scale, half and double are equally far from 1
        prior = (log_temperature / PRIOR) ** 2 / (2 * len(labels))
        return log_losses(logits / np.exp(log_temperature), labels).mean() + prior

    bounds = np.log(0.05), np.log(20)
    temperature = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))
    gains = log_losses(logits, labels) - log_losses(logits / temperature, labels)
    return temperature if gains.mean() > gains.std() / np.sqrt(len(gains)) else 1.0


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The negative log-probability of each true class.

    Args:
        probabilities: float64 `(images, classes)`. As in scikit-learn, 0 counts as the machine epsilon.
        labels: int `(images,)`, the true classes.

    Returns:
        float64 `(images,)`, at most 36.04.
    """
    own = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.maximum(own, np.finfo(np.float64).eps))


def uncalibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities before `temperature` was applied, float64 `(images, classes)`.

    This needs no logits: up to a constant, they are the temperature times the log-probabilities.

    Args:
        probabilities: float64 `(images, classes)`, calibrated.
        temperature: see `fit_temperature`.
    """
    return softmax(temperature * np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probabilities that logits stand for, float64 `(images, classes)`."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Reliability:
    """The images binned by the probability of their predicted class; each array is `(BINS,)`.

    Attributes:
        images: int, the number of images in each bin.
        confidence: float, the mean probability of the predicted class; NaN in an empty bin.
        accuracy: float, the share of right answers; NaN in an empty bin.
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
    """The expected calibration error, 0 to 1: the mean gap between confidence and accuracy, weighted by images per bin.

    Args:
        confidences, is_right: see `reliability`.
    """
    bins = reliability(confidences, is_right)
    filled = bins.images > 0
    gaps = np.abs(bins.confidence - bins.accuracy)[filled]
    return float(gaps @ bins.images[filled] / bins.images.sum())
