"""How far a model's probabilities can be believed, and the one number that mends them."""

from dataclasses import dataclass

import numpy as np

BINS = 15       # of equal width, as in Guo et al. 2017, "On Calibration of Modern Neural Networks"


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which logits are divided for the lowest log loss (Guo et al. 2017).

    Args:
        logits: float `(images, classes)` of images that the model was not trained on.
        labels: int `(images,)`, the true classes.

    Returns:
        A number between 0.05 and 20; 1.0 where no other is better: the log loss on these images never gets worse.
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, dtype=np.float64)
    best = minimize_scalar(
        # on a logarithmic scale half and double are equally far; the loss is unimodal in the inverse temperature
        lambda log_temperature: log_loss_of_logits(logits / np.exp(log_temperature), labels),
        bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-6},
    )
    better = best.fun < log_loss_of_logits(logits, labels)
    return float(np.exp(best.x)) if better else 1.0


def log_loss_of_logits(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability of the true class, without going through probabilities that round to 0."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_normalizer = np.log(np.exp(shifted).sum(axis=1))
    return float((log_normalizer - shifted[np.arange(len(labels)), labels]).mean())


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
