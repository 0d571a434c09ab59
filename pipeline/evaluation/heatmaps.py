"""What a model looked at, found through the published bundle itself: no gradient is needed.

A patch of the image's mean colour is slid over the image (Zeiler & Fergus 2014, "Visualizing and Understanding
Convolutional Networks"). Where hiding a part makes the model less sure of its answer, the part mattered.
"""

import numpy as np
from PIL import Image

from graft.model.classifier import Classifier

STEPS = 8           # positions along each side: 64 images are predicted for one heat map
PATCH = 0.25        # side of the patch, as a share of the image's


def occlusion(classifier: Classifier, image: np.ndarray, batch_size: int = 25) -> np.ndarray:
    """How much each place speaks for the model's answer.

    Args:
        image: uint8 `(height, width, 3)` of the model's size.

    Returns:
        float `(STEPS, STEPS)`: the loss of log-odds of the answer when the patch about this place is hidden; below 0
        where hiding makes the model surer.
    """
    answer = int(classifier.run(image[None])[0].argmax())
    windows = _windows(image.shape[:2])
    hidden = np.repeat(image[None], len(windows), axis=0)
    for each, (rows, columns) in zip(hidden, windows):
        each[rows, columns] = image.mean(axis=(0, 1)).round().astype(np.uint8)
    batches = [hidden[start:start + batch_size] for start in range(0, len(hidden), batch_size)]
    logits = np.concatenate([classifier.run(batch)[0] for batch in batches])
    drops = _log_odds(classifier.run(image[None])[0], answer) - _log_odds(logits, answer)
    return drops.reshape(STEPS, STEPS)


def overlay(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """The picture, grey and dim where nothing speaks for the answer, red where most does."""
    strength = np.clip(heat, 0, None) / max(float(heat.max()), 1e-12)
    smooth = Image.fromarray(np.uint8(255 * strength)).resize(image.size, Image.Resampling.BICUBIC)
    share = np.asarray(smooth, dtype=float)[..., None] / 255
    pixels = np.asarray(image, dtype=float)
    grey = pixels.mean(axis=2, keepdims=True)
    base = (0.35 + 0.65 * share) * (grey + share * (pixels - grey))
    return Image.fromarray(np.uint8(np.clip(base + share**2 * np.array([90.0, 10.0, 0.0]), 0, 255)))


def _windows(size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """The patches, row by row; those at the edges reach over it."""
    sides = []
    for length in size:
        half = max(round(PATCH * length / 2), 1)
        centres = (np.arange(STEPS) + 0.5) * length / STEPS
        sides.append([slice(max(round(centre) - half, 0), round(centre) + half) for centre in centres])
    return [(rows, columns) for rows in sides[0] for columns in sides[1]]


def _log_odds(logits: np.ndarray, answer: int) -> np.ndarray:
    """float64 `(batch,)`: the answer against all others together; unlike a probability it never saturates."""
    logits = logits.astype(np.float64)
    others = np.delete(logits, answer, axis=1)
    highest = others.max(axis=1, keepdims=True)
    return logits[:, answer] - highest[:, 0] - np.log(np.exp(others - highest).sum(axis=1))
