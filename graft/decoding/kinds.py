"""What a file is, by its first bytes and its name: an image that Graft reads, one that it does not, or no image at all.

Every command that takes a folder or an S3 prefix asks here, so that training and prediction take the same files.
"""

import re
from typing import NamedTuple

from graft.decoding import heif

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")      # Pillow's names of the formats that are read
SUFFIXES = (        # of files that are meant to be images, whether or not Graft reads their format
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo",
    ".heic", ".heif", ".hif", ".avif", ".svg", ".jp2", ".jxl", ".ico", ".tga", ".psd", ".raw", ".dng", ".cr2", ".cr3",
    ".nef", ".arw", ".dcm",
)
SYSTEM_NAMES = (        # created by macOS, Synology, Windows and Linux, in lower case
    "__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "ehthumbs.db",
    "desktop.ini",
)
START_BYTES = 4096      # as much of a file as `kind_of` looks at
CONVERT = "convert it to JPEG or PNG, for example with `magick FILE FILE.jpg`"
UNSUPPORTED = "unsupported format {}; " + CONVERT
NO_EXTRA = "unsupported format {}; install the extra `heif` (pip install 'graft[heif]'), or " + CONVERT
NO_IMAGE = "not an image"
EMPTY = "empty file"


class Kind(NamedTuple):
    """What a file is.

    Attributes:
        name: such as `JPEG`, `HEIF (HEIC)` or `a video`.
        is_image: whether it is an image of any format, also of one that Graft does not read.
    """

    name: str
    is_image: bool = True

    @property
    def is_supported(self) -> bool:
        """Whether Graft reads this format here."""
        return self.name in FORMATS or (self.is_heif and heif.is_read())

    @property
    def is_heif(self) -> bool:
        """Whether it is HEIF, of which HEIC is the kind that phones take."""
        return self.name.startswith("HEIF")


SIGNATURES = (          # the bytes, their offset, and what a file is that has them there
    (b"\xff\xd8\xff", 0, Kind("JPEG")),
    (b"\x89PNG", 0, Kind("PNG")),
    (b"WEBP", 8, Kind("WEBP")),
    (b"GIF8", 0, Kind("GIF")),
    (b"II*\0\x10\0\0\0CR", 0, Kind("CR2")),
    *((start, 0, Kind("TIFF")) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *((start, 0, Kind("JPEG 2000")) for start in (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
    *((start, 0, Kind("JPEG XL")) for start in (b"\0\0\0\x0cJXL ", b"\xff\x0a")),
    (b"II\xbc", 0, Kind("JPEG XR")),
    (b"8BPS", 0, Kind("PSD")),
    (b"\0\0\1\0", 0, Kind("ICO")),
    (b"qoif", 0, Kind("QOI")),
    (b"DDS ", 0, Kind("DDS")),
    (b"icns", 0, Kind("ICNS")),
    (b"gimp xcf", 0, Kind("XCF")),
    (b"\x76\x2f\x31\x01", 0, Kind("OpenEXR")),
    (b"#?RADIANCE", 0, Kind("Radiance HDR")),
    (b"SIMPLE  =", 0, Kind("FITS")),
    (b"DICM", 128, Kind("DICOM")),
    (b"%PDF", 0, Kind("a PDF document", False)),
    (b"PK\3\4", 0, Kind("a ZIP archive", False)),
    (b"\x1f\x8b", 0, Kind("a gzip archive", False)),
    (b"\x1a\x45\xdf\xa3", 0, Kind("a video", False)),
    (b"\0\0\1\xba", 0, Kind("a video", False)),
    (b"AVI ", 8, Kind("a video", False)),
    (b"WAVE", 8, Kind("a sound", False)),
)
PNM = re.compile(rb"P[1-6]\s+(#[^\n]*\s+)?\d+\s+\d+\s")       # two letters alone also begin many a text
BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)        # bytes
BRANDS = (              # of files that begin with `ftyp` (ISO/IEC 14496-12); the first line that has one decides
    ({b"avif", b"avis", b"avio"}, Kind("AVIF")),
    ({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}, Kind("HEIF (HEIC)")),
    ({b"j2ki", b"j2is", b"jpeg", b"jpgs", b"avci", b"avcs", b"vvic", b"vvis", b"mif1", b"mif2", b"mif3", b"msf1",
      b"miaf"}, Kind("HEIF")),
    ({b"crx "}, Kind("CR3")),
)
CONTAINERS = {b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"}     # brands that leave the codec to the other brands
VIDEO = Kind("a video", False)


def kind_of(start: bytes) -> Kind | None:
    """What a file is by its first `START_BYTES`; None for text and everything else that is not known."""
    if start[4:8] == b"ftyp":
        return _by_brand(start)
    if start.startswith(b"BM") and int.from_bytes(start[14:18], "little") in BMP_HEADERS:
        return Kind("BMP")
    if PNM.match(start, 0, 256):
        return Kind("PNM")
    for signature, offset, kind in SIGNATURES:
        if start.startswith(signature, offset):
            return kind
    return _by_text(start[:START_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower())


def why_unsupported(kind: Kind | None) -> str:
    """Why a file of this kind cannot be read, and for an image how to convert it."""
    if kind is None:
        return NO_IMAGE
    said = NO_EXTRA if kind.is_heif else UNSUPPORTED
    return said.format(kind.name) if kind.is_image else f"{NO_IMAGE}, but {kind.name}"


def is_named_as_image(name: str) -> bool:
    """Whether a file is meant to be an image by its suffix, whatever it contains."""
    return name.lower().endswith(SUFFIXES)


def why_ignored(path: str) -> str | None:
    """Why a file or folder is ignored without a look inside, by the names in its path; None if it is not."""
    for name in path.split("/"):
        if name.startswith("."):
            return "hidden"
        if name.lower() in SYSTEM_NAMES:
            return "created by the operating system"
    return None


def why_no_image(start: bytes) -> str | None:
    """Why a file is no image of any format, by its first `START_BYTES`; None if it is one."""
    kind = kind_of(start)
    if kind and kind.is_image:
        return None
    return why_unsupported(kind) if start else EMPTY


def _by_brand(start: bytes) -> Kind:
    """By the major brand, or where that names a container, by the compatible ones as well."""
    length = min(int.from_bytes(start[:4]), START_BYTES)
    major, compatible = start[8:12], {start[at : at + 4] for at in range(16, length - 3, 4)}
    for brands in ({major} - CONTAINERS, compatible | {major}):
        for known, kind in BRANDS:
            if brands & known:
                return kind
    return VIDEO


def _by_text(text: bytes) -> Kind | None:
    """By what a text begins with, in lower case."""
    if text.startswith((b"<!doctype html", b"<html")):
        return Kind("a web page", False)
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in text):
        return Kind("SVG")
    return Kind("an XML document", False) if text.startswith(b"<?xml") else None
