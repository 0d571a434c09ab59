"""The segments of a JPEG file (ITU-T T.81, annex B): what is lost, and what its scans cost.

libjpeg silently fills missing or broken parts with grey, and draws the pixels as often as a file asks.
"""

import re

from PIL import Image

from graft.decoding.budget import MAX_VISITS, TOO_MUCH_WORK, memory_fault

TRUNCATED = "truncated: the file ends before the image does"
# the next marker within the pixels of a JPEG: not FF00 (a pixel byte), FFD0 to FFD7 (restarts) or FFFF (fill bytes)
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
SCAN, END = 0xDA, 0xD9
BETWEEN_SCANS = {0xC4, SCAN, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
ALONE = {bytes([code]) for code in (0, 1, *range(0xD0, 0xD9), 0xFF)}        # markers without a length
MAX_SCANS = 1000                # a progressive JPEG has about ten, with a table before each
MAX_SEGMENTS = 10_000           # before the pixels: a profile of 16 MB takes 256; fill bytes count, too
MAX_EXIF = 64                   # of them with EXIF, 4 MB: Pillow copies all earlier ones for each
EXIF = b"\xff\xe1", b"Exif\0\0"
COEFFICIENT_BYTES = 2           # of each sample, where libjpeg keeps them until the last scan
ARITHMETIC = 10                 # how much longer a scan takes in arithmetic coding
ARITHMETIC_FRAMES = re.compile(rb"\xff[\xc9-\xcb\xcd-\xcf]")


def first_scan(data: bytes) -> int | None:
    """The offset of the first scan's header, 0 if there is none, None if too many segments lie before it.

    Those segments are skipped by length, with any thumbnail in them.
    """
    at, exif = 2, 0
    for _ in range(MAX_SEGMENTS):
        marker = data[at : at + 2]
        if len(marker) < 2 or marker[0] != 0xFF:
            return 0
        if marker[1:] in ALONE:
            at += 1 if marker == b"\xff\xff" else 2       # the first of these two is a fill byte
            continue
        if marker[1] == SCAN:
            return at + 2
        exif += (marker, data[at + 4 : at + 10]) == EXIF
        if exif > MAX_EXIF:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def jpeg_fault(image: Image.Image, data: bytes) -> str | None:
    """What is wrong after the header of an opened JPEG file, or why its scans cost too much; None if it may be decoded.

    Changed bytes that still decode to something are not detected.
    """
    samples, at, marker, visits, scans = _samples(image), first_scan(data), SCAN, 0, 0
    price = ARITHMETIC if ARITHMETIC_FRAMES.search(data, 0, at or 0) else 1
    for _ in range(MAX_SCANS):
        if marker == SCAN and at:
            visits, scans = visits + price * _drawn(data, at, samples), scans + 1
        found = MARKER.search(data, at + int.from_bytes(data[at : at + 2])) if at else None
        if found is None:
            return TRUNCATED
        marker, at = found.group()[1], found.end()
        if marker == END:       # anything may follow
            return memory_fault(COEFFICIENT_BYTES * sum(samples.values())) if scans > 1 else None
        if marker not in BETWEEN_SCANS:
            return f"broken image data (marker {marker:02X} within the pixels of a JPEG)"
        if visits > MAX_VISITS:
            return TOO_MUCH_WORK
    return f"decompression bomb: more than {MAX_SCANS} segments in one JPEG"


def _samples(image: Image.Image) -> dict[int, int]:
    """The number of samples of each component, by its identifier: colours are often kept at a half or a quarter."""
    layers = image.layer        # type: ignore[attr-defined]
    across, down = (max((layer[side] for layer in layers), default=1) or 1 for side in (1, 2))
    return {name: 64 * _blocks(image.width * wide, across) * _blocks(image.height * high, down)
            for name, wide, high, _ in layers}


def _blocks(pixels: int, share: int) -> int:
    return -(-pixels // (8 * share))


def _drawn(data: bytes, at: int, samples: dict[int, int]) -> int:
    """How many samples a scan draws, by its header; one that names no component of the image draws all."""
    names = data[at + 3 : at + 3 + 2 * data[at + 2] : 2]
    return sum(samples.get(name, sum(samples.values())) for name in names)
