"""Choose the test images that a report shows, and make their thumbnails."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from graft.images import decode, read_bytes
from graft.machine.progress import shown
from graft.machine.threads import InThreads
from pipeline.evaluation.predictions import Answers
from pipeline.image_folder import readers_of

SIDE_PX = 112           # the longer side of a thumbnail, which is about 3 KB as JPEG
MAX_PICTURES = 1200     # behind the cells of a report: about 5 MB
AHEAD = 64              # pictures that are drawn meanwhile


def cells(answers: Answers) -> dict[tuple[int, int], np.ndarray]:
    """Sort the images into the cells of the confusion matrix, the most informative first.

    Returns:
        (label, predicted) -> int `(images,)`, the indices of its images, for each cell that has any: the most confident
        first if the answer is wrong, the least confident first if it is right.
    """
    surest_last = np.where(answers.is_right, answers.confidences, -answers.confidences)
    order = np.lexsort((surest_last, answers.predicted, answers.labels))
    pairs = np.stack([answers.labels, answers.predicted], axis=1)[order]
    starts = np.flatnonzero(np.diff(pairs, axis=0, prepend=-1).any(axis=1))
    return {(int(label), int(predicted)): indices
            for (label, predicted), indices in zip(pairs[starts], np.split(order, starts[1:]))}


def limit_cells(cells: dict[tuple[int, int], np.ndarray], at_most: int) -> dict[tuple[int, int], np.ndarray]:
    """Keep at most this many images in all: the first of the largest cells, and no more cells than images."""
    limit = _limit([len(indices) for indices in cells.values()], at_most)
    largest = sorted(cells, key=lambda cell: -len(cells[cell]))[:at_most]
    return {cell: cells[cell][:limit] for cell in sorted(largest)}


def _limit(counts: list[int], at_most: int) -> int:
    """The largest number of images per cell with which all cells together have at most `at_most`; at least 1."""
    limit = max(counts, default=1)
    while limit > 1 and sum(min(count, limit) for count in counts) > at_most:
        limit -= max(1, limit // 50)
    return limit


def surest_mistakes(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of wrong answers, the most confident first."""
    wrong = np.flatnonzero(~answers.is_right)
    return wrong[np.argsort(-answers.confidences[wrong], kind="stable")][:at_most]


def least_sure(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of the answers with the smallest lead over the second most probable class, the smallest lead first."""
    ordered = np.sort(answers.probabilities, axis=1)
    return np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")[:at_most]


def strangest(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of the images answered "unknown", those with the highest score first."""
    unknown = np.flatnonzero(answers.is_unknown)
    return unknown[np.argsort(-answers.unknown_scores[unknown], kind="stable")][:at_most]


def examples(answers: Answers, at_most: int) -> np.ndarray:
    """Indices of the most confident wrong answers, up to half, and of right answers spread over the test set."""
    wrong = surest_mistakes(answers, at_most // 2)
    right = np.flatnonzero(answers.is_right)
    count = min(at_most - len(wrong), len(right))
    return np.concatenate([wrong, right[np.linspace(0, len(right) - 1, count).astype(int)] if count else right[:0]])


def thumbnails(answers: Answers, indices, images: Path) -> dict[int, str]:
    """index -> a thumbnail as a `data:` URL, each image once.

    Args:
        indices: of images, in any order.
        images: the folder that `answers.paths` are relative to.
    """
    wanted = sorted(set(map(int, indices)))
    paths = [images / answers.paths[index] for index in wanted]
    with InThreads(lambda path: data_url(thumbnail(path)), paths, readers_of(images), ahead=AHEAD) as drawn:
        return dict(zip(wanted, shown(drawn, len(wanted), "drawing pictures", "image")))


def thumbnail(path: Path) -> Image.Image:
    """The whole picture in its own aspect ratio, its longer side at most `SIDE_PX`. Raises `UnreadableImage`."""
    picture = decode(read_bytes(path), at_least=(SIDE_PX, SIDE_PX))
    picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return picture


def data_url(picture: Image.Image) -> str:
    """The picture as a JPEG in a `data:` URL."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=72)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
