"""Measure one image file, once: identity, form, contrast, and a description that finds its duplicates.

Light enough for every worker process to import.
"""

import functools
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from graft.decoding.kinds import FORMATS
from graft.decoding.ranges import GREY_MODES
from graft.images import UnreadableImage, identify, read_bytes, upright_rgb, upright_rgb_and_range
from pipeline.intake.jpeg import decode_strictly

DECODED_PX = 72         # a JPEG is decoded at a size of n/8 that leaves both sides at least this long
GREY_PX = 64            # both sides of the grey picture that is measured
THUMBNAIL_PX = 96       # the longer side of the thumbnails in reports
VISIBLE = 3             # of 255: what lies nearer to black or white is not seen
COLOUR_PX = 32          # both sides of the picture's colours: cameras and JPEG files keep them coarser than brightness
COEFFICIENTS = 6        # how many of the lowest frequencies are kept in each direction
# (left, top, side) as shares of the picture: every crop by one tenth is within a twentieth of one of these views
VIEWS = ((0, 0, 1), (0, 0, 0.9), (0.1, 0, 0.9), (0, 0.1, 0.9), (0.1, 0.1, 0.9), (0.05, 0.05, 0.9))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is measured of one image file."""

    sha256: str             # of the file's bytes
    width_px: int           # as declared, before EXIF rotation
    height_px: int
    mode: str               # Pillow's name of the pixel layout in the file
    format: str
    value_range: str        # of files deeper than 8 bits: `10 bits`, `0 to 1`; see `graft.decoding.ranges`
    size_bytes: int
    contrast: float         # standard deviation of `grey`, 0 to 128; 0 for a blank picture
    perceptual_hash: str    # 64-bit difference hash, hexadecimal
    grey: np.ndarray        # uint8 (64, 64), brightness
    colour: np.ndarray      # uint8 (32, 32, 2): Cb and Cr, 128 for grey
    views: np.ndarray       # float32 (6, 6, 6): VIEWS, vertical and horizontal frequency


def take_fingerprint(source: Path | bytes) -> Fingerprint:
    """Read a file once and measure it.

    Raises:
        UnreadableImage: with the reason, if it is not a whole image, or nothing can be seen on it.
    """
    data = read_bytes(source)
    image = identify(data)
    form = {"width_px": image.width, "height_px": image.height, "mode": image.mode, "format": image.format}
    small, value_range = _decode_small(data, image)
    grey = small.convert("L").resize((GREY_PX, GREY_PX), Image.Resampling.BILINEAR, reducing_gap=2)
    colour = small.resize((COLOUR_PX, COLOUR_PX), Image.Resampling.BOX).convert("YCbCr")
    values = np.asarray(grey)
    if values.max() <= 2 * VISIBLE or values.min() >= 255 - 2 * VISIBLE:
        _refuse_empty(data)
    pixels = values.astype(np.float32)
    variance = float((pixels * pixels).mean() - pixels.mean() ** 2)
    return Fingerprint(
        sha256=hashlib.sha256(data).hexdigest(),
        **form,
        value_range=value_range,
        size_bytes=len(data),
        contrast=round(max(0.0, variance) ** 0.5, 1),
        perceptual_hash=_difference_hash(grey),
        grey=values,
        colour=np.asarray(colour)[..., 1:].copy(),
        views=describe(pixels),
    )


def _difference_hash(grey: Image.Image) -> str:
    """Whether each of 8 × 8 pixels is darker than the one to its right, as `imagehash.dhash` computes it, as text."""
    pixels = np.asarray(grey.resize((9, 8), Image.Resampling.LANCZOS))
    return np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes().hex()


def _decode_small(data: bytes, image: Image.Image) -> tuple[Image.Image, str]:
    """The opened picture, upright, and the range of its values.

    A JPEG is decoded at a reduced size, and strictly, to find damaged pixels.
    """
    pixels = decode_strictly(data, image.mode, DECODED_PX) if image.format in ("JPEG", "MPO") else None
    if pixels is None:
        image.draft(None, (DECODED_PX, DECODED_PX))
        return upright_rgb_and_range(image)
    small = Image.fromarray(pixels)
    small.info.update(image.info)       # the orientation
    return upright_rgb_and_range(small)


def _refuse_empty(data: bytes) -> None:
    """Refuse a picture that is black, white or transparent in every pixel, by all of its pixels."""
    opened = identify(data)
    picture, value_range = upright_rgb_and_range(opened)
    lowest, highest = np.array(picture.getextrema()).T
    if highest.max() <= VISIBLE:
        shown = "black"
    elif lowest.min() >= 255 - VISIBLE:
        shown = "transparent" if _is_clear(opened) else "white"
    else:
        return
    in_range = f" in the range of its values, {value_range}: save it with 8 bits" if value_range else ""
    raise UnreadableImage(f"every pixel is {shown}{in_range}")


def _is_clear(loaded: Image.Image) -> bool:
    has_opacity = loaded.has_transparency_data and loaded.mode not in GREY_MODES
    return has_opacity and loaded.convert("RGBA").getextrema()[3][1] == 0


def take_thumbnail(path: Path) -> bytes:
    """A small JPEG of a file, upright and RGB, for reports. Raises `UnreadableImage`."""
    return _thumbnail(identify(read_bytes(path)))


def take_remains(path: Path) -> bytes:
    """A small JPEG of what remains of a broken picture, with the rest grey or black; b"" if nothing remains.

    Do not call it for an image of too many pixels, which it would decode.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return _thumbnail(Image.open(io.BytesIO(read_bytes(path)), formats=FORMATS))
    except Exception:       # what Pillow's decoders raise, see `graft.images`
        return b""
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _thumbnail(image: Image.Image) -> bytes:
    image.draft(None, (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
    image = upright_rgb(image)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def describe(pixels: np.ndarray) -> np.ndarray:
    """The low frequencies of the picture and of five crops of it: the numbers that pHash reduces to bits.

    Bits hardly distinguish a cropped duplicate from another photograph; the numbers do (see benchmarks/intake.py). Each
    is weighted by the root of its frequency, because the amplitudes of photographs fall as 1 / frequency (Field 1987),
    and the lowest would otherwise outweigh all others.

    Args:
        pixels: float32 `(64, 64)`, grey.

    Returns:
        float32 `(views, 6, 6)`, by vertical and horizontal frequency. The mean grey, at frequency 0, is 0.
    """
    rows, columns = _waves()
    products = (rows @ pixels @ columns).reshape(len(VIEWS), COEFFICIENTS, len(VIEWS), COEFFICIENTS)
    each = np.arange(len(VIEWS))
    return products[each, :, each] * _weights()         # rows and columns of the same view


@functools.cache
def _waves() -> tuple[np.ndarray, np.ndarray]:
    """The cosines of all views: float32 `(views · 6, 64)` for the picture's rows, `(64, views · 6)` for its columns."""
    rows = np.concatenate([_cosines(top, side) for _, top, side in VIEWS])
    return rows, np.concatenate([_cosines(left, side) for left, _, side in VIEWS]).T.copy()


def _cosines(start: float, side: float) -> np.ndarray:
    """float32 `(6, 64)`: half waves from `start` over a length of `side`, as shares of the picture; 0 outside."""
    position = ((np.arange(GREY_PX) + 0.5) / GREY_PX - start) / side
    # a pixel on the edge counts partly
    covered = np.clip(np.minimum(position, 1 - position) * side * GREY_PX + 0.5, 0, 1)
    waves = np.cos(np.pi * np.arange(COEFFICIENTS)[:, None] * position) * covered / side
    waves[1:] -= waves[1:].mean(axis=1, keepdims=True) * covered / covered.mean()       # keeps the mean grey out
    return waves.astype(np.float32)


@functools.cache
def _weights() -> np.ndarray:
    squares = np.arange(COEFFICIENTS) ** 2
    return (np.add.outer(squares, squares) ** 0.25).astype(np.float32)
