"""Find duplicates: images with the same bytes, and near-duplicates, which show the same picture resized, re-encoded,
rotated by quarter turns, mirrored or slightly cropped.

*Search* correlates the low frequencies of each image, in eight orientations, with those of every other image; a matrix
product does so for 25,000 images in seconds. *Confirm* aligns the small grey pictures of each candidate pair (enhanced
correlation coefficient, Evangelidis and Psarakis 2008), which must then agree in brightness and in fine detail. No two
different photographs do.
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

# `python -m benchmarks.intake copies` counts what these thresholds find and what they confuse, on real photographs.
SEARCHED_VIEWS = (0, 5)     # the whole picture and its middle are compared with all other images
SEARCH_SIMILARITY = 0.75    # 99 % of crops by one tenth exceed it, and 0.1 % of pairs of different photographs
VIEW_SIMILARITY = 0.87      # the same for the best of all six views
# (iterations of the alignment, correlation reached by then): stopping below it loses no duplicate, and ends most pairs
# of different photographs early, which would need all iterations.
ALIGNMENT = ((5, 0.9), (10, 0.93), (45, 0.93))
ALIGNED_SIMILARITY = 0.94   # correlation of brightness after alignment
DETAIL_SIMILARITY = 0.95    # correlation of fine detail after alignment; different photographs stay below 0.8
MIN_CONTRAST = 4.0          # 0 to 128; a picture with less has no content to compare
NEAREST = 32                # how many of the most similar images are compared in all views
CONFIRMED = 4               # how many of those are aligned
PAIRS_AHEAD = 64            # aligned while the results before them are taken
MARGIN_PX = 9               # twice the reach of the blur in `_detail`
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
    """The duplicate group of each image: the smallest sha256 among all its duplicates."""
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
    """Find near-duplicates.

    Returns:
        Sorted pairs of indices into `fingerprints` that show the same picture in different bytes.
    """
    first_of = {fingerprint.sha256: index for index, fingerprint in reversed(list(enumerate(fingerprints)))}
    distinct = sorted(index for index in first_of.values() if fingerprints[index].contrast >= MIN_CONTRAST)
    if len(distinct) < 2:
        return []
    candidates = search(np.stack([fingerprints[index].views for index in distinct]))
    greys = [fingerprints[index].grey for index in distinct]
    cv2.setNumThreads(1)        # there are many small pairs: one thread each
    with InThreads(lambda c: confirm(greys[c.first], greys[c.second], c), candidates, ahead=PAIRS_AHEAD) as confirmed:
        bar = tqdm(confirmed, "comparing images", len(candidates), unit="pair", disable=None, leave=False)
        same = [sorted((distinct[c.first], distinct[c.second])) for c, agree in zip(candidates, bar) if agree]
    return sorted(map(tuple, same))


def search(views: np.ndarray) -> list[Candidate]:
    """Find pairs that may be near-duplicates, each in the orientation and crop in which they are most similar.

    Args:
        views: float32 `(images, views, 6, 6)`, see `fingerprint.describe`.
    """
    whole = _unit(views[:, 0])
    others = [_unit(turned[:, view]) for turned in turns(views) for view in SEARCHED_VIEWS]
    pairs = []
    product = np.empty((BLOCK, len(whole)), np.float32)     # allocating it for each block costs more than the product
    for start in tqdm(range(0, len(whole), BLOCK), "searching duplicates", unit="block", disable=None, leave=False):
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
    """Transform pixels `(height, width)` to orientation number `turn` of `turns`."""
    image = image.T if turn & 4 else image
    image = image[:, ::-1] if turn & 2 else image
    return np.ascontiguousarray(image[::-1] if turn & 1 else image)


def turn_view(view: tuple[float, float, float], turn: int) -> tuple[float, float, float]:
    """Where a view (left, top, side) is after `turn_image`."""
    left, top, side = view
    left, top = (top, left) if turn & 4 else (left, top)
    return (1 - left - side if turn & 2 else left), (1 - top - side if turn & 1 else top), side


def confirm(first: np.ndarray, second: np.ndarray, candidate: Candidate) -> bool:
    """Whether two grey pictures, uint8 `(64, 64)`, show the same once they are aligned."""
    plain, other = first, turn_image(second, candidate.turn)
    left, top, side = turn_view(VIEWS[candidate.view], candidate.turn)
    # maps a pixel of the plain picture to the corresponding pixel of the other
    warp = np.array([[side, 0, left * GREY_PX], [0, side, top * GREY_PX]], np.float32)
    for iterations, promising in ALIGNMENT:
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, 1e-5)
        try:
            similarity, warp = cv2.findTransformECC(plain, other, warp, cv2.MOTION_AFFINE, stop, None, 5)
        except cv2.error:       # does not converge: they have nothing in common
            return False
        if similarity < promising:
            return False
    return _agree(plain, other, warp)


def _agree(plain: np.ndarray, other: np.ndarray, warp: np.ndarray) -> bool:
    size = (GREY_PX, GREY_PX)
    aligned = cv2.warpAffine(other, warp, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                             borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.warpAffine(np.ones_like(other), warp, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    covered = cv2.erode(covered, np.ones((MARGIN_PX, MARGIN_PX), np.uint8), borderValue=1).astype(bool)
    return bool(
        covered.mean() >= 0.6
        and _correlation(plain[covered], aligned[covered]) >= ALIGNED_SIMILARITY
        and _correlation(_detail(plain)[covered], _detail(aligned)[covered]) >= DETAIL_SIMILARITY
    )


def _detail(image: np.ndarray) -> np.ndarray:
    """Keep structures of about one to four pixels."""
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
