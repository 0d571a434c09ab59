"""Decide whether two aligned pictures are the same: alike in brightness, in fine detail, in colour, and in every place.

A lamp, a scratch or a signature changes a few pixels, which no correlation of whole pictures notices. So the largest
local difference counts, beside what re-encoding, resizing and imperfect alignment do to the rest of the same picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.intake.fingerprint import GREY_PX

# `python -m benchmarks.intake copies` counts what these thresholds find and what they confuse, on real photographs;
# tests/look_alikes.py makes pictures that differ in little.
ALIGNED_SIMILARITY = 0.94   # correlation of brightness
DETAIL_SIMILARITY = 0.95    # correlation of fine detail; different photographs stay below 0.8
COVERED_SHARE = 0.6         # of the picture that the other one must show too
MARGIN_PX = 9               # twice the reach of the blur in `_detail`
BORDER_PX = 2               # resizing changes the outermost pixels
EXCUSED = 8                 # a difference, 0 to 255, that is one unit in an even place …
EXCUSED_EDGE = 0.25         # … and what is added to it, as a share of the steps around the place
COLOUR_DIFFERENCE = 3.2     # units of Cb and Cr; copies stay below 2.7
LOCAL_DIFFERENCE = 3.6      # units of brightness, over those of the rest; copies stay below 2.4
REST = 0.95                 # the quantile of the differences that stands for the rest …
NOISE = 0.1                 # … to which the camera's noise is added
MISFIT = 0.55               # the most that counts as the rest; copies stay below 0.5
COLOURLESS = 2              # largest distance from grey in a picture that is black and white
WHITE = 250                 # brightness from which the camera may have cut something off
NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels in one orientation: `grey`, uint8 `(64, 64)`, and `colour`, uint8 `(32, 32, 2)`, see `Fingerprint`."""

    grey: np.ndarray
    colour: np.ndarray


def agree(plain: Picture, other: Picture, warp: np.ndarray) -> bool:
    """Whether two pictures show the same.

    Args:
        plain, other: the pictures.
        warp: float32 `(2, 3)`, maps a pixel of `plain.grey` to the corresponding pixel of `other.grey`.
    """
    aligned, covered = _overlaid(other.grey, warp)
    inside = np.zeros_like(covered)
    inside[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = covered[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    return bool(
        covered.mean() >= COVERED_SHARE
        and _correlation(plain.grey[covered], aligned[covered]) >= ALIGNED_SIMILARITY
        and _correlation(_detail(plain.grey)[covered], _detail(aligned)[covered]) >= DETAIL_SIMILARITY
        and not _differ_in_colour(plain.colour, other.colour, warp, inside)
        and not _differ_in_place(plain.grey, aligned, inside)
    )


def detail_similarity(plain: np.ndarray, other: np.ndarray, warp: np.ndarray) -> float:
    """The correlation of fine detail of two grey pictures, uint8 `(64, 64)`, where both show something; else 0."""
    aligned, covered = _overlaid(other, warp)
    return _correlation(_detail(plain)[covered], _detail(aligned)[covered]) if covered.any() else 0.0


def _overlaid(other: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The aligned picture, and where it shows something beyond a margin, bool `(64, 64)`."""
    covered = _align(np.ones_like(other), warp, cv2.BORDER_CONSTANT, cv2.INTER_NEAREST)
    covered = cv2.erode(covered, np.ones((MARGIN_PX, MARGIN_PX), np.uint8), borderValue=1).astype(bool)
    return _align(other, warp, cv2.BORDER_REPLICATE), covered


def _align(image: np.ndarray, warp: np.ndarray, border: int, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    return cv2.warpAffine(image, warp, (GREY_PX, GREY_PX), flags=interpolation | cv2.WARP_INVERSE_MAP,
                          borderMode=border)


def _detail(image: np.ndarray) -> np.ndarray:
    """Keep structures of about one to four pixels."""
    fine = _blur(image.astype(np.float32), 0.7)
    return fine - _blur(fine, 2)


def _differ_in_colour(plain: np.ndarray, other: np.ndarray, warp: np.ndarray, covered: np.ndarray) -> bool:
    """Whether some place has another hue, or more or less of it; a black and white copy has none to compare."""
    if any(np.abs(each - 128.0).max() <= COLOURLESS for each in (plain, other)):
        return False
    first, second = (cv2.resize(each, (GREY_PX, GREY_PX)).astype(np.float32) for each in (plain, other))
    aligned = _align(second, warp, cv2.BORDER_REPLICATE)
    return bool(_difference(first, aligned)[covered].max() > COLOUR_DIFFERENCE)


def _differ_in_place(plain: np.ndarray, aligned: np.ndarray, covered: np.ndarray) -> bool:
    """Whether brightness differs in some place by far more than in the rest, once both are equally bright overall."""
    first, second = plain.astype(np.float32), aligned.astype(np.float32)
    lit = (second - second[covered].mean()) * (first[covered].std() / second[covered].std()) + first[covered].mean()
    overexposed = (plain >= WHITE) & (lit > first) | (aligned >= WHITE) & (lit < first)
    difference = _difference(first, np.where(overexposed, first, lit))[covered]
    rest = min(np.quantile(difference, REST), MISFIT)
    return bool(difference.max() > LOCAL_DIFFERENCE * (rest + NOISE))


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How much two pictures differ around each pixel, in units of what is excused.

    Args:
        first, second: float32 `(64, 64)` or `(64, 64, channels)`.

    Returns:
        float32 `(64, 64)`.
    """
    edge = np.maximum(_range(first), _range(second))
    return _length(_blur(first - second, 1)) / (EXCUSED + EXCUSED_EDGE * _length(edge))


def _range(image: np.ndarray) -> np.ndarray:
    """How much each channel varies around each pixel."""
    smooth = _blur(image, 0.7)
    return cv2.dilate(smooth, NEIGHBOURS) - cv2.erode(smooth, NEIGHBOURS)


def _length(image: np.ndarray) -> np.ndarray:
    return np.linalg.norm(image.reshape(GREY_PX, GREY_PX, -1), axis=2)


def _blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma_px)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))
