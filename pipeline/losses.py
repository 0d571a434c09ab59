"""Log losses of logits, without probabilities that round to 0 on the way."""

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of logits, float `(rows, classes)`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The negative log-probability of each true class.

    Args:
        logits: float `(rows, classes)`.
        labels: int `(rows,)`, the true classes.

    Returns:
        float `(rows,)`.
    """
    return -log_softmax(logits)[np.arange(len(labels)), labels]
