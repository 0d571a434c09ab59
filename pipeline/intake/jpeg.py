"""Find the broken pixels of a JPEG file: libjpeg warns of them and fills them up, and Pillow hides the warning."""

import re

import numpy as np
import simplejpeg

from graft.images import UnreadableImage

CORRUPT = ("Corrupt JPEG data", "Premature end of JPEG file", "Unsupported marker type")     # libjpeg's jerror.h
SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
PADDING = (b"\x00", b"\xff", b" ")      # what some cameras fill up the end with


def decode_strictly(data: bytes, mode: str, at_least_px: int) -> np.ndarray | None:
    """Decode a JPEG file at some eighths of its size, but in full: no compressed byte is left unread.

    Args:
        mode: Pillow's; in L and RGB there is a brightness to return.
        at_least_px: what each side keeps.

    Returns:
        uint8 `(height, width)`, the brightness; None where there is none, or where this decoder has nothing to say.

    Raises:
        UnreadableImage: pixels are missing or mean nothing. Changed bytes that still mean something are not seen.
    """
    has_grey = mode in ("L", "RGB")
    try:
        pixels = simplejpeg.decode_jpeg(data, "GRAY" if has_grey else "CMYK", fastdct=True, fastupsample=True,
                                        min_height=at_least_px, min_width=at_least_px)
    except ValueError as error:
        if str(error).startswith(CORRUPT) and not _is_padded(data, str(error)):
            raise UnreadableImage(f"broken image data ({error})") from error
        return None         # a header of unusual content, say: Pillow decides
    return pixels[..., 0] if has_grey else None


def _is_padded(data: bytes, warning: str) -> bool:
    """Whether the surplus at the end of the pixels is mere padding, after a whole picture."""
    surplus = SURPLUS.search(warning)
    return bool(surplus) and any(byte * int(surplus[1]) + b"\xff\xd9" in data for byte in PADDING)
