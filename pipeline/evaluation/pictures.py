"""Which test images a report shows, and their thumbnails."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from graft.images import decode, read_bytes
from pipeline.evaluation.predictions import Answers

SIDE_PX = 112           # of a thumbnail's longer side; about 3 KB as JPEG
MAX_PICTURES = 1200     # about 5 MB of a report


def cells(answers: Answers) -> dict[tuple[int, int], np.ndarray]:
    """The images behind each cell (label, predicted) of the confusion matrix, in the order in which they tell most.

    Wrong answers: the surest first. Right ones: the least sure first. When there are more than `MAX_PICTURES` in all,
    the fullest cells are cut; when there are more cells than that, the emptiest are left out.
    """
    found = {}
    for label, predicted in sorted(set(zip(answers.labels.tolist(), answers.predicted.tolist()))):
        indices = np.flatnonzero((answers.labels == label) & (answers.predicted == predicted))
        sureness = answers.confidences[indices] if label == predicted else -answers.confidences[indices]
        found[label, predicted] = indices[np.argsort(sureness, kind="stable")]
    limit = _limit([len(indices) for indices in found.values()])
    fullest = sorted(found, key=lambda cell: -len(found[cell]))[:MAX_PICTURES]
    return {cell: found[cell][:limit] for cell in sorted(fullest)}


def _limit(counts: list[int]) -> int:
    """The largest number of images per cell for which all cells together hold at most `MAX_PICTURES`; at least 1."""
    limit = max(counts, default=1)
    while limit > 1 and sum(min(count, limit) for count in counts) > MAX_PICTURES:
        limit -= max(1, limit // 50)
    return limit


def surest_mistakes(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of wrong answers, the surest first."""
    wrong = np.flatnonzero(~answers.is_right)
    return wrong[np.argsort(-answers.confidences[wrong], kind="stable")][:at_most]


def least_sure(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of the answers with the smallest lead over the second most probable class."""
    ordered = np.sort(answers.probabilities, axis=1)
    return np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")[:at_most]


def strangest(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of the images called unknown, the strangest first."""
    unknown = np.flatnonzero(answers.is_unknown)
    return unknown[np.argsort(-answers.unknown_scores[unknown], kind="stable")][:at_most]


def examples(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of some wrong answers (the surest) and as many right ones, spread over the test set."""
    wrong = surest_mistakes(answers, at_most // 2)
    right = np.flatnonzero(answers.is_right)
    count = min(at_most - len(wrong), len(right))
    return np.concatenate([wrong, right[np.linspace(0, len(right) - 1, count).astype(int)] if count else right[:0]])


def thumbnails(answers: Answers, indices, images: Path) -> dict[int, str]:
    """index -> a small JPEG as a `data:` address."""
    progress = tqdm(sorted(set(map(int, indices))), desc="pictures", unit="image", disable=None)
    return {index: data_url(thumbnail(images / answers.paths[index])) for index in progress}


def thumbnail(path: Path) -> Image.Image:
    """The whole picture at its own aspect ratio, `SIDE_PX` long at the most."""
    picture = decode(read_bytes(path), at_least=(SIDE_PX, SIDE_PX))
    picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return picture


def data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=72)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
