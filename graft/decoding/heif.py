"""HEIC and HEIF, the pictures of phones: read by pillow-heif where it is installed, which `graft[heif]` does.

Orientation and cropping are part of the format, so the decoder applies them; EXIF's orientation has no effect. Of 10
bits and more the upper 8 are kept.
"""

import io
import re
from functools import cache
from types import ModuleType

from PIL import Image

from graft.decoding.budget import memory_fault

LEAST_LIBHEIF = (1, 23)     # seen to refuse a coded frame larger than declared before decoding it (libheif#1220)
BYTES_PER_PIXEL = 10        # measured: the coded planes and RGB in libheif, and the picture in Pillow
MAX_BOXES = 1000
# the size of each part: the picture, its tiles, thumbnails (ISO/IEC 23008-12, 6.5.3); a match may begin within another
PART_SIZE = re.compile(rb"(?=ispe.{4}(.{4})(.{4}))", re.DOTALL)
NO_SIZE = "broken or truncated HEIF header, or no still picture in it"


def is_read() -> bool:
    """Whether HEIC and HEIF files can be read here."""
    return _library() is not None


def open_heif(data: bytes) -> Image.Image:
    """Read the header; pixels are decoded when they are needed, from the main picture, never from a thumbnail.

    Raises:
        SyntaxError: with libheif's reason.
    """
    from pillow_heif.as_plugin import HeifImageFile

    return HeifImageFile(io.BytesIO(data))


def heif_fault(data: bytes) -> str | None:
    """Why a file must not be opened, by the largest part that it declares, which may be larger than the picture."""
    sizes = [int.from_bytes(width) * int.from_bytes(height)
             for start, end in _meta_boxes(data) for width, height in PART_SIZE.findall(data[start:end])]
    return memory_fault(max(sizes) * BYTES_PER_PIXEL) if sizes else NO_SIZE


@cache
def _library() -> ModuleType | None:
    try:
        import pillow_heif
        from pillow_heif import options
    except ImportError:
        return None
    if tuple(map(int, pillow_heif.libheif_version().split(".")[:2])) < LEAST_LIBHEIF:
        return None
    options.DECODE_THREADS = 1          # one file's cost is held to one core
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return pillow_heif


def _meta_boxes(data: bytes) -> list[tuple[int, int]]:
    """Where the boxes begin and end in which a file says what it holds. (ISO/IEC 14496-12, 4.2)"""
    found, at = [], 0
    for _ in range(MAX_BOXES):
        length = int.from_bytes(data[at : at + 4])
        length = int.from_bytes(data[at + 8 : at + 16]) if length == 1 else length or len(data)
        if data[at + 4 : at + 8] == b"meta":
            found.append((at, at + length))
        at += max(length, 8)
    return found
