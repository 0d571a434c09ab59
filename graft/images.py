"""Decode image files to RGB arrays, and explain why a file cannot be decoded.

Training, evaluation, prediction and serving all read images here, so that an image is always decoded in the same way.
"""

import io
import os
import re
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo")
MAX_PIXELS = 100_000_000        # 100 megapixels are 300 MB as RGB; larger images are refused
MAX_BYTES = 100_000_000         # of one file
GIT_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
OUT_OF_MEMORY = "not enough memory to decode it"
NOT_REGULAR = "not a regular file (a pipe, socket or device)"
BOMB_IN_TEXT = "decompression bomb: its metadata decompresses to more than Pillow accepts"
TRUNCATED = "truncated: the file ends before the image does"
UNSUPPORTED = "unsupported format {}; supported formats: " + ", ".join(FORMATS)
SIGNATURES = (          # the bytes, their offset, and what a file is that Pillow cannot open
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG", 0, "PNG"),
    (b"WEBP", 8, "WEBP"),
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"ftypheic", 4, UNSUPPORTED.format("HEIF")),
    (b"ftypheix", 4, UNSUPPORTED.format("HEIF")),
    (b"ftypmif1", 4, UNSUPPORTED.format("HEIF")),
    (b"ftypavif", 4, UNSUPPORTED.format("AVIF")),
    (b"ftyp", 4, "not an image, but a video"),
    (b"\0\0\0\x0cjP  ", 0, UNSUPPORTED.format("JPEG 2000")),
    (b"\xff\x4f\xff\x51", 0, UNSUPPORTED.format("JPEG 2000")),
    (b"\0\0\0\x0cJXL ", 0, UNSUPPORTED.format("JPEG XL")),
    (b"\xff\x0a", 0, UNSUPPORTED.format("JPEG XL")),
    (b"8BPS", 0, UNSUPPORTED.format("PSD")),
    (b"\0\0\1\0", 0, UNSUPPORTED.format("ICO")),
    (b"qoif", 0, UNSUPPORTED.format("QOI")),
    (b"DDS ", 0, UNSUPPORTED.format("DDS")),
    (b"<svg", 0, UNSUPPORTED.format("SVG")),
    (b"<?xml", 0, "not an image, but an XML document (SVG is not supported)"),
    (b"<!doctype html", 0, "not an image, but a web page"),
    (b"<html", 0, "not an image, but a web page"),
    (b"%PDF", 0, "not an image, but a PDF document"),
    (b"PK\3\4", 0, "not an image, but a ZIP archive"),
    (b"\x1f\x8b", 0, "not an image, but a gzip archive"),
)
# the next marker within the pixels of a JPEG: not FF00 (a pixel byte), FFD0 to FFD7 (restarts) or FFFF (fill bytes)
JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
PNG_END = b"IEND\xaeB`\x82"        # the last chunk of every PNG, with its checksum
JPEG_BETWEEN_SCANS = {0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
MAX_SCANS = 1000                # a progressive JPEG has about ten, with a table before each


class UnreadableImage(ValueError):
    """A file or its bytes cannot be read as an image; the message is the reason, in a few words."""


def read_image(source: str | Path | bytes, image_size: tuple[int, int]) -> np.ndarray:
    """Decode and resize one image.

    Args:
        source: a path, or the contents of an image file.
        image_size: `(height, width)` in pixels.

    Returns:
        uint8 `(height, width, 3)`, RGB in 0 to 255. The whole image is resized, without keeping its aspect ratio.

    Raises:
        UnreadableImage: with the reason.
    """
    return resize(decode(read_bytes(source), at_least=image_size), image_size)


def read_bytes(source: str | Path | bytes | UnreadableImage) -> bytes:
    """The contents of a file; bytes are returned unchanged.

    Raises:
        UnreadableImage: if the file cannot be read or is larger than `MAX_BYTES`; or `source` itself, if it is one.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, UnreadableImage):     # a worker on another machine tried to read the file and failed
        raise source
    try:
        with open(source, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableImage(NOT_REGULAR)
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableImage((error.strerror or str(error)).lower()) from error
    if len(data) > MAX_BYTES:
        raise UnreadableImage(f"larger than {MAX_BYTES // 1_000_000} MB")
    return data


def _open_at_once(path: str, flags: int) -> int:
    """Open without blocking: opening a pipe that has no writer would otherwise wait forever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode the first frame to RGB, rotated according to its EXIF orientation, transparency on white.

    Args:
        data: the contents of an image file, which alone decide its format.
        at_least: `(height, width)` in pixels that the caller needs. A large JPEG is then decoded at 1/2, 1/4 or 1/8 of
            its size, but to no less than twice `at_least`.

    Raises:
        UnreadableImage: with the reason.
    """
    image = identify(data)
    if at_least:
        image.draft(None, (2 * max(at_least), 2 * max(at_least)))
    return upright_rgb(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """The pixels of an opened image as RGB, rotated according to its EXIF orientation, transparency on white.

    Raises:
        UnreadableImage: with the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            return _to_rgb(_upright(image))
    except UnreadableImage:
        raise
    except Exception as error:      # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, EOFError …
        raise UnreadableImage(_why_undecodable(error)) from error


def identify(data: bytes) -> Image.Image:
    """Read the header only: format, size and mode are known, but no pixel is decoded yet.

    Raises:
        UnreadableImage: if the data are empty, not an image, in an unsupported format, incomplete, or declare more than
            `MAX_PIXELS`.
    """
    if not data:
        raise UnreadableImage("empty file")
    if data.startswith(GIT_LFS_POINTER):
        raise UnreadableImage("Git LFS pointer instead of the image: run `git lfs pull`")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:      # UnidentifiedImageError, DecompressionBombError, a plugin's ValueError …
        raise UnreadableImage(_why_unidentified(data, error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImage(
            f"decompression bomb: declares {image.width} × {image.height} pixels; the limit is {MAX_PIXELS:,}"
        )
    if image.format in ("JPEG", "MPO") and (fault := _jpeg_fault(data)):
        raise UnreadableImage(fault)
    if image.format == "PNG" and PNG_END not in data:
        raise UnreadableImage(TRUNCATED)
    return image


def resize(image: Image.Image, image_size: tuple[int, int]) -> np.ndarray:
    """Resize to `(height, width)` in pixels with an antialiased bilinear filter; uint8 `(height, width, 3)`."""
    height, width = image_size
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image      # copies the image even if it is upright
    except Exception:               # an image with a broken EXIF block can still be used
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.mode in ("F", "LAB"):
        raise UnreadableImage(f"unsupported colour mode {image.mode}; supported modes: grey, palette, RGB and CMYK")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """16-bit grey as uint8. Pillow would clip at 255, although white is 65535."""
    if grey.min() < 0 or grey.max() > 65535:
        raise UnreadableImage(f"unsupported grey values from {grey.min()} to {grey.max()}; supported range: 0 to 65535")
    return (grey >> 8).astype(np.uint8)


def _jpeg_fault(data: bytes) -> str | None:
    """What is wrong after the header of a JPEG file, or None. libjpeg silently fills missing or broken parts with grey.

    Changed bytes that still decode to something are not detected. (Markers: ITU-T T.81, annex B)
    """
    at = _first_scan(data)
    for _ in range(MAX_SCANS):
        found = JPEG_MARKER.search(data, at) if at else None
        if found is None:
            return TRUNCATED
        marker = found.group()[1]
        if marker == 0xD9:      # end of the image; anything may follow
            return None
        if marker not in JPEG_BETWEEN_SCANS:
            return f"broken image data (marker {marker:02X} within the pixels of a JPEG)"
        at = found.end() + int.from_bytes(data[found.end():found.end() + 2])
    return f"decompression bomb: more than {MAX_SCANS} segments in one JPEG"


def _first_scan(data: bytes) -> int | None:
    """The offset of the pixels. Segments before them are skipped by length, with any thumbnail in them."""
    at = 2
    while (marker := data[at:at + 2]) and marker[0] == 0xFF:
        if marker == b"\xff\xff":         # a fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2:at + 4])
        if marker == b"\xff\xda":
            return at
    return None


def _why_unidentified(data: bytes, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        declared = int("".join(re.findall(r"\((\d+) pixels", str(error))) or 0)
        return f"decompression bomb: declares {declared:,} pixels; the limit is {MAX_PIXELS:,}"
    if "too large" in str(error):       # compressed text or a colour profile in a PNG
        return BOMB_IN_TEXT
    start = data[:512].lstrip().lower()
    for signature, offset, kind in SIGNATURES:
        if data[offset:].startswith(signature) or (offset == 0 and start.startswith(signature)):
            if kind == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
                return TRUNCATED
            return f"broken or truncated {kind} header" if kind in FORMATS else kind
    return "not an image"


def _why_undecodable(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    if "too large" in str(error):
        return BOMB_IN_TEXT
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return TRUNCATED
    return f"broken image data ({error})"
