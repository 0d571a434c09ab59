"""Populations of answers whose every true metric is known, to draw test sets from."""

import numpy as np

from pipeline.evaluation.predictions import Answers


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def draw(rng, images: int, classes: int, signal: float, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of a model that sees the true class `signal` standard deviations above the others.

    With a `sharpness` of 1 its probabilities are exactly true; above, it is surer than it should be.
    """
    labels = rng.integers(0, classes, images)
    evidence = rng.normal(size=(images, classes))
    evidence[np.arange(images), labels] += signal
    return softmax(sharpness * signal * evidence), labels


def answers(probabilities: np.ndarray, labels: np.ndarray) -> Answers:
    """What such a model would have answered; nothing is unknown to it."""
    return Answers(
        class_names=[f"class {index}" for index in range(probabilities.shape[1])],
        paths=np.array([f"{index:05}.png" for index in range(len(labels))]), labels=labels,
        predicted=probabilities.argmax(axis=1), probabilities=probabilities,
        unknown_scores=np.ones(len(labels)), is_unknown=np.zeros(len(labels), dtype=bool),
    )
