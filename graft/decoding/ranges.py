"""What the numbers of a picture mean: bring files of more than 8 bits per channel, or of floating point, to 8 bits.

A camera of 10 or 12 bits writes its values into files of 16 or 32 bits, whose own range would turn them black. The
range of a picture depends on its file alone, so that it is the same in training and in prediction:

    1. what the file declares: TIFF's BitsPerSample or MaxSampleValue, PNG's sBIT;
    2. else, in floating point, 0 to 1 if all values lie within;
    3. else the smallest of 8, 10, 12, 14 and 16 bits that holds all values of this picture.
"""

import io
import math
import re
import sys
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from graft.decoding.budget import bands, loaded_bytes, require_memory
from graft.errors import UnreadableImage

BITS = (8, 10, 12, 14, 16)
GREY_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")      # Pillow's modes that 8 bits cannot hold
# Pillow's layouts of 16-bit colours, of which it keeps the upper byte
SIXTEEN_BIT_COLOURS = re.compile(r"(RGB|RGBX|RGBA|CMYK);16[BLN]|LA;16B")
UNIT = "0 to 1"
ROUNDING = 1e-3         # floating point after resampling: how far values of 0 to 1 may lie outside
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLES, MAX_SAMPLE_VALUE = 258, 262, 277, 281        # tags of TIFF 6.0
PLANES, EXTRA_SAMPLES, SAMPLE_FORMAT = 284, 338, 339
SAMPLE_FORMATS = {None: "whole numbers", 1: "whole numbers", 2: "signed numbers", 3: "floating-point numbers"}
PNG_CHUNKS = 64         # sBIT is among the first


def to_eight_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """Load an image and bring its values to 8 bits; most images have 8 bits and are returned as they are.

    A fourth channel of a TIFF counts as opacity only if the file says so.

    Returns:
        An image that Pillow can convert to RGB; and the range of the file's values, such as `10 bits` or `0 to 1`,
        empty for a file of 8 bits.

    Raises:
        UnreadableImage: if the values have no known range.
    """
    if image.mode in GREY_MODES:
        return _grey(image)
    layout, tags = _layout(image), _tags(image)
    if tags.get(PLANES) == 2 and (_first(tags.get(BITS_PER_SAMPLE)) or 0) > 8:      # Pillow mixes up their bytes
        raise UnreadableImage("16-bit colours in separate planes are not supported; save the image with 8 bits, or "
                              "with its channels interleaved (PlanarConfiguration 1)")
    if isinstance(image, ImageFile.ImageFile) and SIXTEEN_BIT_COLOURS.fullmatch(layout):
        return _colours(image, layout)
    image.load()
    return _with_known_opacity(image, image), ""


def tiff_layout(data: bytes) -> str | None:
    """The channels of a TIFF that Pillow refuses, in words; None if its directory cannot be read."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file = io.BytesIO(data)
    try:
        tags = ImageFileDirectory_v2(data[:16] if b"+" in data[2:4] else data[:8])
        file.seek(tags.next)
        with warnings.catch_warnings(action="ignore"):
            tags.load(file)
        bits = _first(tags[BITS_PER_SAMPLE])
    except Exception:           # what Pillow raises on broken directories, as in `graft.images`
        return None
    kind = SAMPLE_FORMATS.get(_first(tags.get(SAMPLE_FORMAT)), "numbers")
    channels, meaning = tags.get(SAMPLES, 1), tags.get(PHOTOMETRIC)
    return f"{channels} channels of {bits}-bit {kind} (PhotometricInterpretation {meaning})"


def _layout(image: Image.Image) -> str:
    """Pillow's name of the layout that it will decode; empty if the image is decoded already."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    return arguments if isinstance(arguments, str) else str(arguments[0]) if arguments else ""


def _grey(image: Image.Image) -> tuple[Image.Image, str]:
    require_memory(image, 2 * loaded_bytes(image) + 3)
    declared = _declared_bits(image)
    image.load()
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    is_unit = image.mode == "F" and low >= -ROUNDING and high <= 1 + ROUNDING
    if not is_unit:
        _require_known_range(low, high)
    bits = _bits_for(high, declared)
    grey = np.empty(values.shape, np.uint8)
    for _, top, _, bottom in bands(image.size):
        grey[top:bottom] = _to_grey(values[top:bottom], None if is_unit else bits)
    if _tags(image).get(PHOTOMETRIC) == 0:      # white is zero; Pillow inverts only 8 bits
        np.subtract(255, grey, out=grey)
    return _like(image, Image.frombytes("L", image.size, grey.tobytes())), UNIT if is_unit else f"{bits} bits"


def _to_grey(values: np.ndarray, bits: int | None) -> np.ndarray:
    """Values of that many bits, or of 0 to 1, in 8 bits."""
    if bits is None:
        return np.rint(values.clip(0, 1) * 255)
    whole = np.rint(values) if values.dtype.kind == "f" else values
    return whole.astype(np.uint16, copy=False) >> (bits - 8)


def _require_known_range(low: float, high: float) -> None:
    if not math.isfinite(low + high):
        raise UnreadableImage("grey values that are infinite or not a number; replace them and save it as 8 or 16 bits")
    if low < 0 or high > 65535:
        raise UnreadableImage(f"unsupported grey values from {low:g} to {high:g}; supported range: 0 to 65535, or 0 to "
                              "1 in floating point. Scale them and save the image as 8 or 16 bits")


def _colours(image: ImageFile.ImageFile, layout: str) -> tuple[Image.Image, str]:
    """Pillow keeps the upper bytes of 16-bit colours. They decide the range; if it is less, the lower ones count."""
    declared, again = _declared_bits(image), _opened_again(image)
    image.load()
    highest = 256 * np.array(image.getextrema())[:, 1] + 255
    colours, opacity = np.split(highest, [3 if image.mode == "RGBA" else len(highest)])
    bits = _bits_for(colours.max(), declared)
    if bits == 16:
        return _with_known_opacity(image, image), "16 bits"
    each = np.array([bits] * len(colours) + [_bits_for(value, None) for value in opacity], np.uint8)
    require_memory(image, 3 * loaded_bytes(image))
    made = Image.new(image.mode, image.size)
    again.tile = [tile._replace(args=_other_bytes(tile.args, layout)) for tile in again.tile]
    for box in bands(image.size):
        upper, lower = _both_bytes(image.crop(box), again.crop(box), layout)
        band = upper << (16 - each) | lower >> (each - 8)
        made.paste(Image.frombytes(image.mode, (image.width, len(band)), band.tobytes()), box)
    return _with_known_opacity(_like(image, made), image), f"{bits} bits"


def _opened_again(image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    """The same frame of the same file, not yet loaded."""
    file = image.fp
    assert file and image.format, "loaded already"
    at = file.tell()
    file.seek(0)
    again = Image.open(io.BytesIO(file.read()), formats=(image.format,))
    file.seek(at)
    again.seek(image.tell())
    return again


def _other_bytes(arguments: Any, layout: str) -> Any:
    """The arguments with which Pillow's decoder keeps the lower bytes: the order of the bytes is swapped."""
    if layout == "LA;16B":
        return "RGBA"           # grey, grey, opacity, opacity
    order = layout[-1] if layout[-1] != "N" else "L" if sys.byteorder == "little" else "B"
    other = layout[:-1] + ("B" if order == "L" else "L")
    return other if isinstance(arguments, str) else (other, *(arguments or ())[1:])


def _both_bytes(image: Image.Image, again: Image.Image, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """The upper and lower bytes, uint8 `(height, width, channels)`, of an image and its `_other_bytes`."""
    values = np.asarray(again)
    if layout == "LA;16B":
        return values[..., [0, 0, 0, 2]], values[..., [1, 1, 1, 3]]
    return np.asarray(image), values


def _like(image: Image.Image, made: Image.Image) -> Image.Image:
    """An image of 8 bits with the other's orientation, but not its transparent colour, which is a 16-bit value."""
    made.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return made


def _with_known_opacity(image: Image.Image, opened: Image.Image) -> Image.Image:
    """Pillow takes a fourth channel for opacity even where a TIFF does not say what it is: it may be near infrared."""
    is_unknown = opened.format == "TIFF" and opened.mode == "RGBA" and not _tags(opened).get(EXTRA_SAMPLES)
    return image.convert("RGB") if is_unknown else image


def _bits_for(highest: float, declared: int | None) -> int:
    if declared and highest < 1 << declared:
        return max(declared, BITS[0])
    return next(bits for bits in BITS if highest < 1 << bits)


def _declared_bits(image: Image.Image) -> int | None:
    """The number of bits that an opened file says its values have; None if it only says how large its container is."""
    tags = _tags(image)
    if not tags:
        return _significant_bits(image) if image.format == "PNG" else None
    bits, highest = (_first(tags.get(tag)) for tag in (BITS_PER_SAMPLE, MAX_SAMPLE_VALUE))
    if bits not in (None, 8, 16, 32, 64):
        return bits
    # the tag is also used for the brightest value of this picture, which is no range
    return {(1 << bits) - 1: bits for bits in range(8, 17)}.get(highest or 0)


def _significant_bits(image: Image.Image) -> int | None:
    """The largest number in PNG's chunk sBIT, without that of the opacity. (PNG, 11.3.2.7)"""
    file = getattr(image, "fp", None)
    if file is None:            # loaded already
        return None
    before = file.tell()
    file.seek(8)
    try:
        for _ in range(PNG_CHUNKS):
            length, name = int.from_bytes(file.read(4)), file.read(4)
            if name == b"sBIT":
                return max(file.read(min(length, 4))[: 3 if length > 2 else 1], default=None)
            if name in (b"IDAT", b""):
                return None
            file.seek(length + 4, io.SEEK_CUR)
        return None
    finally:
        file.seek(before)


def _tags(image: Image.Image) -> dict:
    return getattr(image, "tag_v2", {})


def _first(value: object) -> int | None:
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else None
