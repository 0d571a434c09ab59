"""Decode image files to RGB arrays, and explain why a file cannot be decoded.

Training, evaluation, prediction and serving all read images here, so that an image is always decoded in the same way.
"""

import io
import os
import re
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import ExifTags, Image, ImageOps

from graft.decoding.bombs import header_fault
from graft.decoding.budget import SHRINK, bands, bmp_fault, bytes_as_rgb, loaded_bytes, require_memory, tiff_fault
from graft.decoding.heif import open_heif
from graft.decoding.jpeg import TRUNCATED, jpeg_fault
from graft.decoding.kinds import EMPTY, FORMATS, START_BYTES, UNSUPPORTED, kind_of, why_unsupported
from graft.decoding.ranges import tiff_layout, to_eight_bits
from graft.errors import UnreadableImage

MAX_PIXELS = 100_000_000        # 100 megapixels are 300 MB as RGB; larger images are refused
MAX_BYTES = 100_000_000         # of one file
GIT_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
OUT_OF_MEMORY = "not enough memory to decode it"
NOT_REGULAR = "not a regular file (a pipe, socket or device)"
TOO_MANY_PIXELS = "{} pixels, more than the limit of " + f"{MAX_PIXELS:,}: {SHRINK}"
BOMB_IN_TEXT = "decompression bomb: its metadata decompresses to more than Pillow accepts"
PNG_END = b"IEND\xaeB`\x82"        # the last chunk of every PNG, with its checksum
DNG_VERSION, SUBFILE_TYPE, SUBFILES = 50706, 254, 330      # TIFF tags: the first picture of a camera raw is a thumbnail


class Remote(Protocol):
    """A file elsewhere, such as an object in S3, which reads itself."""

    def read_start(self, length: int) -> bytes:
        """What `read_start` returns and raises; and any other error if it cannot be reached."""


def read_image(source: str | Path | bytes | Remote, image_size: tuple[int, int]) -> np.ndarray:
    """Decode and resize one image.

    Args:
        source: a path, the contents of an image file, or a file elsewhere.
        image_size: `(height, width)` in pixels.

    Returns:
        uint8 `(height, width, 3)`, RGB in 0 to 255. The whole image is resized, without keeping its aspect ratio.

    Raises:
        UnreadableImage: with the reason.
    """
    return resize(decode(read_bytes(source), at_least=image_size), image_size)


def read_bytes(source: str | Path | bytes | Remote | UnreadableImage) -> bytes:
    """The contents of a file; bytes are returned unchanged.

    Raises:
        UnreadableImage: if the file cannot be read or is larger than `MAX_BYTES`; or as `source` says, if it is one.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, UnreadableImage):     # a worker on another machine tried to read the file and failed
        raise UnreadableImage(*source.args)     # not itself: it would keep the frames that it passes
    data = read_start(source, MAX_BYTES + 1)
    refuse_too_large(data)
    return data


def read_start(path: str | Path | Remote, length: int = START_BYTES) -> bytes:
    """Up to `length` bytes from the beginning of a file.

    Raises:
        UnreadableImage: if the file cannot be read, or is a folder, pipe, socket or device.
    """
    if not isinstance(path, str | Path):
        return path.read_start(length)
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableImage(NOT_REGULAR)
            return file.read(length)
    except OSError as error:
        raise UnreadableImage((error.strerror or str(error)).lower()) from error


def refuse_too_large(data: bytes) -> None:
    """Refuse the contents of a file of which more than `MAX_BYTES` were read.

    Raises:
        UnreadableImage: with what to do, if it is an image.
    """
    if len(data) > MAX_BYTES:
        kind, limit = kind_of(data), f"larger than {MAX_BYTES // 1_000_000} MB"
        if kind is None:
            raise UnreadableImage(limit)
        raise UnreadableImage(f"a file {limit}: resize the image or compress it more" if kind.is_supported
                              else why_unsupported(kind))


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
    return upright_rgb_and_range(image)[0]


def upright_rgb_and_range(image: Image.Image) -> tuple[Image.Image, str]:
    """`upright_rgb`, and the range of the values in the file: see `graft.decoding.ranges.to_eight_bits`."""
    try:
        require_memory(image, bytes_as_rgb(image))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded, value_range = to_eight_bits(image)
            return _to_rgb(_upright(loaded)), value_range
    except UnreadableImage:
        raise
    except Exception as error:      # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, EOFError …
        raise UnreadableImage(_why_undecodable(error)) from error


def identify(data: bytes) -> Image.Image:
    """Read the header only: format, size and mode are known, but no pixel is decoded yet.

    Raises:
        UnreadableImage: if the data are empty, not an image, in an unsupported format, incomplete, declare more than
            `MAX_PIXELS`, or would cost too much to decode (`graft.decoding.budget`).
    """
    if not data:
        raise UnreadableImage(EMPTY)
    if data.startswith(GIT_LFS_POINTER):
        raise UnreadableImage("Git LFS pointer instead of the image: run `git lfs pull`")
    kind = kind_of(data)
    if fault := header_fault(data, kind):
        raise UnreadableImage(fault)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = (open_heif(data) if kind and kind.is_heif and kind.is_supported
                     else Image.open(io.BytesIO(data), formats=FORMATS))
    except Exception as error:      # UnidentifiedImageError, DecompressionBombError, a plugin's ValueError …
        raise UnreadableImage(_why_unidentified(data, error)) from error
    if fault := _fault(image, data):
        raise UnreadableImage(fault)
    return image


def _fault(image: Any, data: bytes) -> str | None:
    """Why an opened image must not be decoded, or None."""
    if image.width * image.height > MAX_PIXELS:
        return TOO_MANY_PIXELS.format(f"{image.width:,} × {image.height:,}")
    if image.format in ("JPEG", "MPO"):
        return jpeg_fault(image, data)
    if image.format == "PNG" and PNG_END not in data:
        return TRUNCATED
    if image.format == "BMP":
        return bmp_fault(image, data)
    if image.format == "TIFF":
        return UNSUPPORTED.format("camera raw") if _is_camera_raw(image.tag_v2) else tiff_fault(image, data)
    return None


def _is_camera_raw(tags: Mapping) -> bool:
    return DNG_VERSION in tags or (tags.get(SUBFILE_TYPE) == 1 and SUBFILES in tags)


def resize(image: Image.Image, image_size: tuple[int, int]) -> np.ndarray:
    """Resize to `(height, width)` in pixels with an antialiased bilinear filter; uint8 `(height, width, 3)`."""
    height, width = image_size
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        if not turned:              # `exif_transpose` copies the image even if it is upright
            return image
        require_memory(image, loaded_bytes(image) + bytes_as_rgb(image))
        return ImageOps.exif_transpose(image)
    except UnreadableImage:
        raise
    except Exception:               # an image with a broken EXIF block can still be used
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        raise UnreadableImage("unsupported colour mode LAB; save the image as RGB, CMYK or grey")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    boxes = bands(image.size)
    if len(boxes) == 1:
        return _on_white(image)
    rgb = Image.new("RGB", image.size)
    for box in boxes:
        rgb.paste(_on_white(image.crop(box)), box)
    return rgb


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def _why_unidentified(data: bytes, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        declared = int("".join(re.findall(r"\((\d+) pixels", str(error))) or 0)
        return TOO_MANY_PIXELS.format(f"{declared:,}")
    if "too large" in str(error):       # compressed text or a colour profile in a PNG
        return BOMB_IN_TEXT
    kind = kind_of(data)
    if kind is None or not kind.is_supported:
        return why_unsupported(kind)
    if kind.name == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return TRUNCATED
    if kind.name == "TIFF" and (layout := tiff_layout(data)):
        return f"unsupported TIFF with {layout}; save it as grey or RGB with 8 or 16 bits"
    return f"broken or truncated {kind.name} header"


def _why_undecodable(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    if "too large" in str(error):
        return BOMB_IN_TEXT
    reason = " ".join(str(error).split())
    if "truncated" in reason.lower() or "end of file" in reason or isinstance(error, EOFError):
        return TRUNCATED
    return f"broken image data ({reason})"
