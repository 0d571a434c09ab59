"""Find broken pixels in a JPEG file: libjpeg only warns and fills them in, and Pillow hides the warning."""

import re

import numpy as np
import simplejpeg

from graft.images import UnreadableImage

CORRUPT = ("Corrupt JPEG data", "Premature end of JPEG file", "Unsupported marker type")     # libjpeg's jerror.h
SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
PADDING = (b"\x00", b"\xff", b" ")      # some cameras pad the end with these


def decode_strictly(data: bytes, mode: str, at_least_px: int) -> np.ndarray | None:
    """Decode a JPEG file at n/8 of its size, reading every compressed byte.

    Args:
        data: the bytes of the file.
        mode: Pillow's name of its colour mode; L and RGB have a brightness to return.
        at_least_px: how long each side stays at least.

    Returns:
        The brightness, uint8 `(height, width)`; None if the mode has none, or if this decoder refuses the file for
        another reason.

    Raises:
        UnreadableImage: if pixels are missing or invalid. Changed bytes that are still valid go unnoticed.
    """
    has_grey = mode in ("L", "RGB")
    try:
        pixels = simplejpeg.decode_jpeg(data, "GRAY" if has_grey else "CMYK", fastdct=True, fastupsample=True,
                                        min_height=at_least_px, min_width=at_least_px)
    except ValueError as error:
        if str(error).startswith(CORRUPT) and not _is_padded(data, str(error)):
            raise UnreadableImage(f"broken image data ({error})") from error
        return None         # an unusual header, for instance: Pillow decides
    return pixels[..., 0] if has_grey else None


def _is_padded(data: bytes, warning: str) -> bool:
    """Whether the surplus bytes are only padding at the end of a whole picture."""
    surplus = SURPLUS.search(warning)
    return bool(surplus) and any(byte * int(surplus[1]) + b"\xff\xd9" in data for byte in PADDING)
