"""Find broken pixels in a JPEG file: libjpeg only warns and fills them in, and Pillow hides the warning."""

import re

import numpy as np
import simplejpeg

from graft.images import UnreadableImage

CORRUPT = ("Corrupt JPEG data", "Premature end of JPEG file", "Unsupported marker type")     # libjpeg's jerror.h
SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
SPACES = {"L": "GRAY", "RGB": "RGB"}     # Pillow's mode -> simplejpeg's name
PADDING = (b"\x00", b"\xff", b" ")      # some cameras pad the end with these


def decode_strictly(data: bytes, mode: str, at_least_px: int) -> np.ndarray | None:
    """Decode a JPEG file at n/8 of its size, reading every compressed byte.

    Args:
        data: the bytes of the file.
        mode: Pillow's name of its colour mode.
        at_least_px: how long each side stays at least.

    Returns:
        The pixels, uint8: `(height, width)` for L, `(height, width, 3)` for RGB; None for another mode, or if this
        decoder refuses the file for another reason.

    Raises:
        UnreadableImage: if pixels are missing or invalid. Changed bytes that are still valid go unnoticed.
    """
    try:
        pixels = simplejpeg.decode_jpeg(data, SPACES.get(mode, "CMYK"), fastdct=True, fastupsample=True,
                                        min_height=at_least_px, min_width=at_least_px)
    except ValueError as error:
        if str(error).startswith(CORRUPT) and not _is_padded(data, str(error)):
            raise UnreadableImage(f"broken image data ({error})") from error
        return None         # an unusual header, for instance: Pillow decides
    return pixels.squeeze(axis=2) if mode == "L" else pixels if mode == "RGB" else None


def _is_padded(data: bytes, warning: str) -> bool:
    """Whether the surplus bytes are only padding at the end of a whole picture."""
    surplus = SURPLUS.search(warning)
    return bool(surplus) and any(byte * int(surplus[1]) + b"\xff\xd9" in data for byte in PADDING)
