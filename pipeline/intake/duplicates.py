"""Find duplicates: images with the same bytes, and near-duplicates, which show the same picture resized, re-encoded,
rotated by quarter turns, mirrored or slightly cropped.

*Search* correlates the low frequencies of each image, in eight orientations, with those of every other image; a matrix
product does so for 25,000 images in seconds. *Confirm* aligns the small grey pictures of each candidate pair (enhanced
correlation coefficient, Evangelidis and Psarakis 2008), which must then agree, see `likeness`. *Group* joins only
pictures that are all alike, see `grouping`.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from graft.machine.progress import shown
from graft.machine.threads import InThreads
from pipeline.intake.fingerprint import GREY_PX, VIEWS, Fingerprint
from pipeline.intake.grouping import group_alike
from pipeline.intake.likeness import Picture, agree, detail_similarity

# `python -m benchmarks.intake copies` counts what these thresholds find and what they confuse, on real photographs.
SEARCHED_VIEWS = (0, 5)     # the whole picture and its middle are compared with all other images
SEARCH_SIMILARITY = 0.75    # 99 % of crops by one tenth exceed it, and 0.1 % of pairs of different photographs
VIEW_SIMILARITY = 0.87      # the same for the best of all six views
# (iterations of the alignment; correlation of brightness, and of fine detail, reached by then): stopping below it loses
# hardly a duplicate, and ends most pairs of different pictures early, which would need all iterations. Of 18,288
# changed copies of 1,867 photographs, the detail of one correlated by less than 0.5 after 5 iterations; of 14,665, it
# did by 0.878 or more after 15.
ALIGNMENT = ((5, 0.9, 0.5), (10, 0.93, 0.8), (45, 0.93, 0.0))
MIN_CONTRAST = 4.0          # 0 to 128; a picture with less has no content to compare
NEAREST = 32                # how many of the most similar images are compared in all views
CONFIRMED = 4               # how many of those are aligned
PAIRS_AHEAD = 64            # aligned while the results before them are taken
BLOCK = 256                 # images compared with all others at a time
ALTERNATE = np.where(np.arange(6) % 2, -1, 1).astype(np.float32)    # mirroring flips the sign of every odd frequency


@dataclass(frozen=True, slots=True)
class Candidate:
    """Image `second`, in orientation `turn` and cropped to `view`, resembles image `first`.

    Attributes:
        first, second: indices of images.
        turn: 0 to 7, see `turns`.
        view: an index of `fingerprint.VIEWS`.
    """

    first: int
    second: int
    turn: int
    view: int


def find_groups(fingerprints: list[Fingerprint]) -> list[str]:
    """The duplicate group of each image: the smallest sha256 among its duplicates, which are all alike."""
    pictures = _distinct(fingerprints)
    groups = group_alike(_search_and_confirm(pictures), lambda one, others: _are_alike(pictures, one, others))
    named = {pictures[member].sha256: pictures[min(group)].sha256 for group in groups for member in group}
    return [named.get(each.sha256, each.sha256) for each in fingerprints]


def find_near_pairs(fingerprints: list[Fingerprint]) -> list[tuple[int, int]]:
    """Find near-duplicates.

    Returns:
        Sorted pairs of indices into `fingerprints` that show the same picture in different bytes.
    """
    index_of = {each.sha256: index for index, each in reversed(list(enumerate(fingerprints)))}
    pictures = _distinct(fingerprints)
    pairs = [[index_of[pictures[each].sha256] for each in pair] for pair in _search_and_confirm(pictures)]
    return sorted((min(pair), max(pair)) for pair in pairs)


def _distinct(fingerprints: list[Fingerprint]) -> list[Fingerprint]:
    """One of each content, sorted so that the order of the files does not matter, without blank pictures."""
    first_of = {each.sha256: each for each in reversed(fingerprints)}
    return [first_of[key] for key in sorted(first_of) if first_of[key].contrast >= MIN_CONTRAST]


def _search_and_confirm(pictures: list[Fingerprint]) -> list[tuple[int, int]]:
    """Pairs of pictures that are alike; of many that are alike, each with a few of the others."""
    if len(pictures) < 2:
        return []
    candidates = search(np.stack([each.views for each in pictures]))
    cv2.setNumThreads(1)        # there are many small pairs: one thread each
    with InThreads(lambda each: _confirm(pictures, each), candidates, ahead=PAIRS_AHEAD) as confirmed:
        bar = shown(confirmed, len(candidates), "comparing images", "pair")
        return [(each.first, each.second) for each, agreed in zip(candidates, bar) if agreed]


def _are_alike(pictures: list[Fingerprint], one: int, others: list[int]) -> bool:
    """Whether a picture shows the same as each of some others."""
    compared = [pictures[each] for each in (one, *others)]
    pairs = np.array([(0, number) for number in range(1, len(compared))])
    candidates = _best_candidates(np.stack([each.views for each in compared]), pairs)
    return len(candidates) == len(others) and all(_confirm(compared, each) for each in candidates)


def search(views: np.ndarray) -> list[Candidate]:
    """Find pairs that may be near-duplicates, each in the orientation and crop in which they are most similar.

    Args:
        views: float32 `(images, views, 6, 6)`, see `fingerprint.describe`.
    """
    whole = _unit(views[:, 0])
    others = [_unit(turned[:, view]) for turned in turns(views) for view in SEARCHED_VIEWS]
    pairs = []
    product = np.empty((BLOCK, len(whole)), np.float32)     # allocating it for each block costs more than the product
    starts = range(0, len(whole), BLOCK)
    for start in shown(starts, len(starts), "searching duplicates", "block"):
        rows = whole[start:start + BLOCK]
        similarity = np.full((len(rows), len(whole)), -1, np.float32)
        for other in others:
            np.maximum(similarity, np.matmul(rows, other.T, out=product[:len(rows)]), out=similarity)
        similarity[np.arange(len(rows)), start + np.arange(len(rows))] = -1     # not with itself
        row, column = np.nonzero(similarity >= SEARCH_SIMILARITY)
        nearest = _highest(row, similarity[row, column], NEAREST)
        pairs.append(np.stack([row + start, column], axis=1)[nearest])
    return _best_candidates(views, np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0))


def _best_candidates(views: np.ndarray, pairs: np.ndarray) -> list[Candidate]:
    """Find which image of each pair, int `(pairs, 2)`, is the crop, its view and its orientation.

    Keeps only the most similar pairs of each image.
    """
    ordered = np.concatenate([pairs, pairs[:, ::-1]])
    whole = _unit(views[:, 0])[ordered[:, 0]]
    best, value = np.zeros(len(ordered), int), np.full(len(ordered), -1, np.float32)
    for number, (turned, view) in enumerate((turned, view) for turned in turns(views) for view in range(len(VIEWS))):
        similarity = np.einsum("ij,ij->i", whole, _unit(turned[:, view])[ordered[:, 1]])
        better = similarity > value
        best[better], value[better] = number, similarity[better]
    swap = value[len(pairs):] > value[:len(pairs)]
    rows = np.arange(len(pairs)) + np.where(swap, len(pairs), 0)
    rows = rows[value[rows] >= VIEW_SIMILARITY]
    # otherwise every pair within a set of look-alikes would be aligned
    rows = rows[_highest(ordered[rows, 0], value[rows], CONFIRMED) | _highest(ordered[rows, 1], value[rows], CONFIRMED)]
    return [Candidate(*map(int, ordered[row]), *divmod(int(best[row]), len(VIEWS))) for row in rows]


def _highest(key: np.ndarray, value: np.ndarray, count: int) -> np.ndarray:
    """bool `(entries,)`: whether an entry has one of the `count` highest values of its key."""
    order = np.argsort(-value, kind="stable")
    rank = pd.Series(key[order]).groupby(key[order]).cumcount().to_numpy()
    highest = np.zeros(len(key), bool)
    highest[order[rank < count]] = True
    return highest


def turns(views: np.ndarray):
    """Describe the same images in all eight orientations, exactly, without transforming any image.

    Args:
        views: float32 `(images, views, 6, 6)`, see `fingerprint.describe`.

    Yields:
        The descriptions in orientations 0 to 7, each of the same shape.
    """
    for transposed in (views, views.swapaxes(-1, -2)):
        for horizontal in (1, ALTERNATE):
            for vertical in (1, ALTERNATE[:, None]):
                yield transposed * horizontal * vertical


def turn_image(image: np.ndarray, turn: int) -> np.ndarray:
    """Transform pixels `(height, width)` or `(height, width, channels)` to orientation number `turn` of `turns`."""
    image = image.swapaxes(0, 1) if turn & 4 else image
    image = image[:, ::-1] if turn & 2 else image
    return np.ascontiguousarray(image[::-1] if turn & 1 else image)


def turn_view(view: tuple[float, float, float], turn: int) -> tuple[float, float, float]:
    """Where a view (left, top, side) is after `turn_image`."""
    left, top, side = view
    left, top = (top, left) if turn & 4 else (left, top)
    return (1 - left - side if turn & 2 else left), (1 - top - side if turn & 1 else top), side


def _confirm(pictures: list[Fingerprint], candidate: Candidate) -> bool:
    """Whether the two pictures of a candidate agree once they are aligned."""
    first, second = pictures[candidate.first], pictures[candidate.second]
    other = Picture(turn_image(second.grey, candidate.turn), turn_image(second.colour, candidate.turn))
    warp = _align(first.grey, other.grey, turn_view(VIEWS[candidate.view], candidate.turn))
    return warp is not None and agree(Picture(first.grey, first.colour), other, warp)


def _align(plain: np.ndarray, other: np.ndarray, view: tuple[float, float, float]) -> np.ndarray | None:
    """Find what maps a pixel of `plain` to that of `other`, both uint8 `(64, 64)`, if it shows `view` of the other.

    Returns:
        float32 `(2, 3)`, an affine transformation; None if the pictures have too little in common.
    """
    left, top, side = view
    warp = np.array([[side, 0, left * GREY_PX], [0, side, top * GREY_PX]], np.float32)
    for iterations, promising, detailed in ALIGNMENT:
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, 1e-5)
        try:
            similarity, warp = cv2.findTransformECC(plain, other, warp, cv2.MOTION_AFFINE, stop, None, 5)
        except cv2.error:       # does not converge: they have nothing in common
            return None
        if similarity < promising or detailed and detail_similarity(plain, other, warp) < detailed:
            return None
    return warp


def _unit(frequencies: np.ndarray) -> np.ndarray:
    flat = frequencies.reshape(len(frequencies), -1)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)
