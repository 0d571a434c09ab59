"""Take out of an image file what is no part of the picture, such as place and camera; the pixels stay as coded.

Kept are the pixels, the tables and profiles that say what they mean, and the orientation. Everything else goes, so
that what is not known goes, too: also what follows the end of the picture.
"""

import io
from collections.abc import Callable, Iterator

from PIL import ExifTags, Image

from graft.decoding.jpeg import ALONE, END, MARKER, SCAN
from graft.decoding.kinds import kind_of

PROFILE, ADOBE = b"ICC_PROFILE\0", b"Adobe"
EXIF = b"Exif\0\0"
OF_PNG = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP"}
OF_WEBP = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"}
WEBP_EXIF, WEBP_XMP = 0x08, 0x04        # bits of the flags in VP8X


def without_metadata(data: bytes) -> bytes | None:
    """The same picture as a file without metadata; None if its format is none of JPEG, PNG, WebP and BMP.

    Args:
        data: a file that has been decoded before, so that its header is known to be harmless.

    Raises:
        ValueError: if the file's parts do not follow each other as they should.
    """
    kind = kind_of(data)
    strip = _STRIP.get(kind.name if kind else "")
    if strip is None:
        return None
    try:
        return strip(data, _orientation(data))
    except (IndexError, OSError, AttributeError) as error:
        raise ValueError(f"its parts do not follow each other: {error}") from error


def _orientation(data: bytes) -> bytes:
    """An EXIF block with nothing but the orientation, as in a PNG; empty if the picture is upright."""
    with Image.open(io.BytesIO(data)) as image:
        if image.format == "PNG":       # or Pillow decodes the pixels, here and without limits, to look behind them
            image.info.setdefault("exif", _exif_of_png(data))
        turned = image.getexif().get(ExifTags.Base.Orientation, 1)
    if turned not in range(2, 9):
        return b""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    return exif.tobytes().removeprefix(EXIF)


def _jpeg(data: bytes, exif: bytes) -> bytes:
    parts, at = [data[:2]], 2
    if exif:
        parts.append(b"\xff\xe1" + (len(EXIF + exif) + 2).to_bytes(2) + EXIF + exif)
    while data[at + 1] != END:
        if data[at] != 0xFF:
            raise ValueError("a marker is missing")
        if data[at + 1 : at + 2] in ALONE:
            at += 1 if data[at + 1] == 0xFF else 2      # the first of two FF is a fill byte
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == SCAN:
            end = MARKER.search(data, end).start()      # type: ignore[union-attr]
        if _shows(data[at + 1], data[at + 4 : at + 16]):
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, data[at : at + 2]])


def _shows(marker: int, start: bytes) -> bool:
    """Whether a segment of a JPEG says what the pixels are, by its marker and its first bytes."""
    if marker == 0xE2:
        return start.startswith(PROFILE)
    if marker == 0xEE:
        return start.startswith(ADOBE)
    return marker != 0xFE and marker not in range(0xE0, 0xF0)


def _png(data: bytes, exif: bytes) -> bytes:
    import zlib

    parts = [data[:8]]
    for name, start, end in _png_chunks(data):
        if name in OF_PNG:
            parts.append(data[start:end])
        if name == b"IHDR" and exif:
            body = b"eXIf" + exif
            parts.append(len(exif).to_bytes(4) + body + zlib.crc32(body).to_bytes(4))
        if name == b"IEND":
            return b"".join(parts)
    raise ValueError("it has no end")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    return _chunks(data, 8, lambda at: (data[at + 4 : at + 8], data[at : at + 4], 12), "big")


def _exif_of_png(data: bytes) -> bytes:
    found = (EXIF + data[start + 8 : end - 4] for name, start, end in _png_chunks(data) if name == b"eXIf")
    return next(found, b"")


def _webp(data: bytes, exif: bytes) -> bytes:
    whole = data[: 8 + int.from_bytes(data[4:8], "little")]
    parts = []
    for name, start, end in _chunks(whole, 12, lambda at: (whole[at : at + 4], whole[at + 4 : at + 8], 8), "little"):
        part = whole[start:end] + b"\0" * ((end - start) % 2)
        if name == b"VP8X":
            flags = part[8] & ~(WEBP_EXIF | WEBP_XMP) | (WEBP_EXIF if exif else 0)
            part = part[:8] + bytes([flags]) + part[9:]
        if name in OF_WEBP:
            parts.append(part)
    if exif:
        parts.append(b"EXIF" + len(exif).to_bytes(4, "little") + exif + b"\0" * (len(exif) % 2))
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _chunks(data: bytes, at: int, head: Callable, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk; `head` gives the name, the bytes of the length, and what it leaves out."""
    while at < len(data):
        name, length, more = head(at)
        end = at + more + int.from_bytes(length, order)         # type: ignore[arg-type]
        if end > len(data):
            raise ValueError("a part ends after the file")
        yield name, at, end
        at = end + (end - at) % 2 * (order == "little")


_STRIP: dict[str, Callable[[bytes, bytes], bytes]] = {
    "JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "BMP": lambda data, exif: data,
}
