"""Find the copies of a picture: the same bytes, or resized, re-encoded, turned, mirrored or lightly cropped.

In two steps. *Search*: the low frequencies of each image, in eight orientations, are correlated with those of every
other one; a matrix product does it for 25,000 images in seconds. *Confirm*: the small grey pictures of each candidate
pair are laid over each other as exactly as they can be (enhanced correlation coefficient; Evangelidis and Psarakis,
2008) and must then agree in their brightness and in their fine detail, which no two different photographs do.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from graft.machine.threads import InThreads
from pipeline.intake.fingerprint import GREY_PX, VIEWS, Fingerprint

SEARCHED_VIEWS = (0, 5)     # the whole picture and its middle are compared with all others
SEARCH_SIMILARITY = 0.75    # 99 % of crops by one tenth have more, and 0.1 % of different photographs
VIEW_SIMILARITY = 0.87      # the same with the best of all six views
# Iterations of the alignment, and the correlation reached by then: no copy is lost by stopping below it, and most pairs
# of different photographs, which would take all iterations, go no further.
ALIGNMENT = ((5, 0.9), (10, 0.93), (45, 0.93))
ALIGNED_SIMILARITY = 0.94   # correlation of brightness after alignment
DETAIL_SIMILARITY = 0.95    # correlation of fine detail after alignment; different photographs stay below 0.8
MIN_CONTRAST = 4.0          # of 128: an emptier picture has no content to compare
NEAREST = 32                # most similar others of an image that are looked at more closely
CONFIRMED = 4               # of them, those that are laid over each other
PAIRS_AHEAD = 64            # laid over each other while the results before them are taken
MARGIN_PX = 9               # twice what the blur of `_detail` reaches
BLOCK = 256                 # images compared with all others at once
ALTERNATE = np.where(np.arange(6) % 2, -1, 1).astype(np.float32)    # mirroring turns the sign of every odd frequency


@dataclass(frozen=True, slots=True)
class Candidate:
    """Image `second`, turned by `turn` and cropped to `view`, resembles image `first`."""

    first: int
    second: int
    turn: int
    view: int


def find_groups(fingerprints: list[Fingerprint]) -> list[str]:
    """The duplicate group of each image: the smallest sha256 among all that are copies of each other."""
    pairs = [*_equal_bytes(fingerprints), *find_near_pairs(fingerprints)]
    count = len(fingerprints)
    rows, columns = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    smallest: dict[int, str] = {}
    for number, fingerprint in zip(component, fingerprints):
        smallest[number] = min(smallest.get(number, fingerprint.sha256), fingerprint.sha256)
    return [smallest[number] for number in component]


def find_near_pairs(fingerprints: list[Fingerprint]) -> list[tuple[int, int]]:
    """Pairs of indices of images that show the same picture in different bytes."""
    first_of = {fingerprint.sha256: index for index, fingerprint in reversed(list(enumerate(fingerprints)))}
    distinct = sorted(index for index in first_of.values() if fingerprints[index].contrast >= MIN_CONTRAST)
    if len(distinct) < 2:
        return []
    candidates = search(np.stack([fingerprints[index].views for index in distinct]))
    greys = [fingerprints[index].grey for index in distinct]
    cv2.setNumThreads(1)        # the pairs are many and small: one thread each
    with InThreads(lambda c: confirm(greys[c.first], greys[c.second], c), candidates, ahead=PAIRS_AHEAD) as confirmed:
        bar = tqdm(confirmed, "comparing images", len(candidates), unit="pair", disable=None, leave=False)
        same = [sorted((distinct[c.first], distinct[c.second])) for c, agree in zip(candidates, bar) if agree]
    return sorted(map(tuple, same))


def search(views: np.ndarray) -> list[Candidate]:
    """Pairs that may be copies, each with the orientation and crop in which they are most alike.

    Args:
        views: float32 `(images, views, 6, 6)` of `fingerprint.describe`.
    """
    whole = _unit(views[:, 0])
    others = [_unit(turned[:, view]) for turned in turns(views) for view in SEARCHED_VIEWS]
    pairs = []
    product = np.empty((BLOCK, len(whole)), np.float32)     # fresh memory for each block costs more than the sums
    for start in tqdm(range(0, len(whole), BLOCK), "searching copies", unit="block", disable=None, leave=False):
        rows = whole[start:start + BLOCK]
        similarity = np.full((len(rows), len(whole)), -1, np.float32)
        for other in others:
            np.maximum(similarity, np.matmul(rows, other.T, out=product[:len(rows)]), out=similarity)
        similarity[np.arange(len(rows)), start + np.arange(len(rows))] = -1     # an image is no copy of itself
        row, column = np.nonzero(similarity >= SEARCH_SIMILARITY)
        nearest = _highest(row, similarity[row, column], NEAREST)
        pairs.append(np.stack([row + start, column], axis=1)[nearest])
    return _best_candidates(views, np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0))


def _best_candidates(views: np.ndarray, pairs: np.ndarray) -> list[Candidate]:
    """For each pair `(pairs, 2)`: which is the crop, of which view, how turned; only the most alike of each image."""
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
    # sets of look-alikes would else be laid over each other, each with each
    rows = rows[_highest(ordered[rows, 0], value[rows], CONFIRMED) | _highest(ordered[rows, 1], value[rows], CONFIRMED)]
    return [Candidate(*map(int, ordered[row]), *divmod(int(best[row]), len(VIEWS))) for row in rows]


def _highest(key: np.ndarray, value: np.ndarray, count: int) -> np.ndarray:
    """Which entries have one of the `count` highest values of their key."""
    order = np.argsort(-value, kind="stable")
    rank = pd.Series(key[order]).groupby(key[order]).cumcount().to_numpy()
    highest = np.zeros(len(key), bool)
    highest[order[rank < count]] = True
    return highest


def turns(views: np.ndarray):
    """The description of the same images in the eight orientations: exact, no image is turned for it."""
    for transposed in (views, views.swapaxes(-1, -2)):
        for horizontal in (1, ALTERNATE):
            for vertical in (1, ALTERNATE[:, None]):
                yield transposed * horizontal * vertical


def turn_image(image: np.ndarray, turn: int) -> np.ndarray:
    """The orientation number `turn` of `turns`, for pixels `(height, width)`."""
    image = image.T if turn & 4 else image
    image = image[:, ::-1] if turn & 2 else image
    return np.ascontiguousarray(image[::-1] if turn & 1 else image)


def turn_view(view: tuple[float, float, float], turn: int) -> tuple[float, float, float]:
    """Where a view (left, top, side) lies after `turn_image`."""
    left, top, side = view
    left, top = (top, left) if turn & 4 else (left, top)
    return (1 - left - side if turn & 2 else left), (1 - top - side if turn & 1 else top), side


def confirm(first: np.ndarray, second: np.ndarray, candidate: Candidate) -> bool:
    """Do two pictures `(64, 64)` uint8 show the same, once they are laid over each other?"""
    plain, other = first, turn_image(second, candidate.turn)
    left, top, side = turn_view(VIEWS[candidate.view], candidate.turn)
    # from a pixel of the plain picture to the pixel of the other that shows the same
    warp = np.array([[side, 0, left * GREY_PX], [0, side, top * GREY_PX]], np.float32)
    for iterations, promising in ALIGNMENT:
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, 1e-5)
        try:
            similarity, warp = cv2.findTransformECC(plain, other, warp, cv2.MOTION_AFFINE, stop, None, 5)
        except cv2.error:       # does not converge: nothing in common
            return False
        if similarity < promising:
            return False
    return _agree(plain, other, warp)


def _agree(plain: np.ndarray, other: np.ndarray, warp: np.ndarray) -> bool:
    size = (GREY_PX, GREY_PX)
    laid_over = cv2.warpAffine(other, warp, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                               borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.warpAffine(np.ones_like(other), warp, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    covered = cv2.erode(covered, np.ones((MARGIN_PX, MARGIN_PX), np.uint8), borderValue=1).astype(bool)
    return bool(
        covered.mean() >= 0.6
        and _correlation(plain[covered], laid_over[covered]) >= ALIGNED_SIMILARITY
        and _correlation(_detail(plain)[covered], _detail(laid_over)[covered]) >= DETAIL_SIMILARITY
    )


def _detail(image: np.ndarray) -> np.ndarray:
    """Structures of about one to four pixels."""
    fine = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.7)
    return fine - cv2.GaussianBlur(fine, (0, 0), 2)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))


def _unit(frequencies: np.ndarray) -> np.ndarray:
    flat = frequencies.reshape(len(frequencies), -1)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)


def _equal_bytes(fingerprints: list[Fingerprint]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    return [(first.setdefault(each.sha256, index), index) for index, each in enumerate(fingerprints)]
