"""What a model answers, and how good the answers are."""

import keras
import numpy as np

from pipeline.probing.comparison import scaled_loss
from pipeline.training import backend
from pipeline.training.batches import full


def predict(model: keras.Model, examples, batch_size: int = 32) -> np.ndarray:
    """The model's outputs for the first view of each example, float32 `(len(examples), units)`."""
    outputs = []
    for start in range(0, len(examples), batch_size):
        indices = list(range(start, min(start + batch_size, len(examples))))
        batch = backend.shared(model, as_float32(examples.batch(np.array(full(indices, batch_size)), 0)))
        outputs.append(np.asarray(model.predict_on_batch(batch))[: len(indices)])
    return np.concatenate(outputs)


def score(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Compute the accuracy, and the log loss at the best temperature: training that makes surer is not yet worse.

    Args:
        logits: float `(images, classes)`.
        labels: int `(images,)`, the true classes.
    """
    return float((logits.argmax(axis=1) == labels).mean()), scaled_loss(logits, labels)


def as_float32(inputs: np.ndarray) -> np.ndarray:
    """The inputs as models take them."""
    return inputs.astype(np.float32, copy=False)
