"""Show which parts of an image matter for the answer, using only the published bundle, without gradients.

A patch of the image's mean colour slides over the image (Zeiler and Fergus 2014, "Visualizing and Understanding
Convolutional Networks"). A part matters if hiding it makes the model less confident of its answer.
"""

import numpy as np
from PIL import Image

from graft.model.classifier import Classifier

STEPS = 8           # positions along each side: one heat map takes 64 predictions
PATCH = 0.25        # side of the patch, as a share of the image's side


def occlusion(classifier: Classifier, image: np.ndarray, batch_size: int = 25) -> np.ndarray:
    """Measure how much each part of an image supports the model's answer.

    Args:
        classifier: the bundle that answers.
        image: uint8 `(height, width, 3)`, of the model's size.
        batch_size: images predicted at a time.

    Returns:
        See `heat_of`.
    """
    images = hide_parts(image)
    batches = [images[start:start + batch_size] for start in range(0, len(images), batch_size)]
    return heat_of(np.concatenate([classifier.run(batch)[0] for batch in batches]))


def hide_parts(image: np.ndarray) -> np.ndarray:
    """The image, then the image with each part hidden, row by row: uint8 `(1 + STEPS², height, width, 3)`."""
    windows = _windows(image.shape[:2])
    images = np.repeat(image[None], 1 + len(windows), axis=0)
    for each, (rows, columns) in zip(images[1:], windows):
        each[rows, columns] = image.mean(axis=(0, 1)).round().astype(np.uint8)
    return images


def heat_of(logits: np.ndarray) -> np.ndarray:
    """How much each part supports the answer.

    Args:
        logits: of the images of `hide_parts`, float `(1 + STEPS², classes)`; or the logarithms of their probabilities.

    Returns:
        float64 `(STEPS, STEPS)`: how much the log-odds of the answer drop if this part is hidden; negative where hiding
        it makes the model more confident.
    """
    odds = _log_odds(logits, int(logits[0].argmax()))
    return (odds[0] - odds[1:]).reshape(STEPS, STEPS)


def overlay(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Colour a picture by its heat map: grey and dim where the answer has no support, red where it has most.

    Args:
        image: RGB, of any size.
        heat: see `occlusion`.
    """
    strength = np.clip(heat, 0, None) / max(float(heat.max()), 1e-12)
    smooth = Image.fromarray(np.uint8(255 * strength)).resize(image.size, Image.Resampling.BICUBIC)
    share = np.asarray(smooth, dtype=float)[..., None] / 255
    pixels = np.asarray(image, dtype=float)
    grey = pixels.mean(axis=2, keepdims=True)
    base = (0.35 + 0.65 * share) * (grey + share * (pixels - grey))
    return Image.fromarray(np.uint8(np.clip(base + share**2 * np.array([90.0, 10.0, 0.0]), 0, 255)))


def _windows(size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """The patches, row by row; those at an edge are cut off there."""
    sides = []
    for length in size:
        half = max(round(PATCH * length / 2), 1)
        centres = (np.arange(STEPS) + 0.5) * length / STEPS
        sides.append([slice(max(round(centre) - half, 0), round(centre) + half) for centre in centres])
    return [(rows, columns) for rows in sides[0] for columns in sides[1]]


def _log_odds(logits: np.ndarray, answer: int) -> np.ndarray:
    """float64 `(batch,)`: the answer against all other classes together; unlike a probability, it never saturates."""
    logits = logits.astype(np.float64)
    others = np.delete(logits, answer, axis=1)
    highest = others.max(axis=1, keepdims=True)
    return logits[:, answer] - highest[:, 0] - np.log(np.exp(others - highest).sum(axis=1))
