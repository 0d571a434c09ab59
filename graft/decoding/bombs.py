"""Find files that cost far more to open than they are worth, before Pillow opens them.

Pillow refuses none of these: it walks through headers segment by segment in Python, which takes minutes where a file
of 100 MB consists of nothing else.
"""

import re
import struct

from graft.decoding.kinds import Kind

TRUNCATED = "truncated: the file ends before the image does"
# the next marker within the pixels of a JPEG: not FF00 (a pixel byte), FFD0 to FFD7 (restarts) or FFFF (fill bytes)
JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
JPEG_BETWEEN_SCANS = {0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
JPEG_ALONE = {bytes([code]) for code in (0, 1, *range(0xD0, 0xD9), 0xFF)}       # markers without a length
MAX_SCANS = 1000                # a progressive JPEG has about ten, with a table before each
MAX_SEGMENTS = 10_000           # before the pixels of a JPEG: a profile of 16 MB takes 256; fill bytes count, too
MAX_CHUNKS = 200_000            # of a PNG: its pixels come in chunks of 8 KB or more, at most 13,000 in 100 MB
MAX_STRIPS = 1_000_000          # of a TIFF: 100 megapixels in tiles of 16 × 16 are 390,000
STRIP_TAGS = (273, 324)         # StripOffsets, TileOffsets


def header_fault(data: bytes, kind: Kind | None) -> str | None:
    """Why a file must not be opened, by the number of parts in its header; None if it may be."""
    name = kind.name if kind else ""
    if name == "JPEG" and _first_scan(data) is None:
        return f"decompression bomb: more than {MAX_SEGMENTS:,} segments before the pixels of a JPEG"
    if name == "PNG" and _has_too_many_chunks(data):
        return f"decompression bomb: more than {MAX_CHUNKS:,} chunks in one PNG"
    if name == "TIFF" and _has_too_many_strips(data):
        return f"decompression bomb: more than {MAX_STRIPS:,} strips or tiles in one TIFF"
    return None


def jpeg_fault(data: bytes) -> str | None:
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
    """The offset of the pixels, 0 if there are none, None if they lie behind more than `MAX_SEGMENTS`.

    Segments before them are skipped by length, with any thumbnail in them.
    """
    at = 2
    for _ in range(MAX_SEGMENTS):
        marker = data[at:at + 2]
        if not marker or marker[0] != 0xFF:
            return 0
        if marker[1:] in JPEG_ALONE:
            at += 1 if marker == b"\xff\xff" else 2       # the first of these two is a fill byte
            continue
        at += 2 + int.from_bytes(data[at + 2:at + 4])
        if marker == b"\xff\xda":
            return at
    return None


def _has_too_many_chunks(data: bytes) -> bool:
    if len(data) < 12 * MAX_CHUNKS:         # a chunk has 12 bytes or more
        return False
    at = 8
    for _ in range(MAX_CHUNKS):
        at += 12 + int.from_bytes(data[at:at + 4])
        if at >= len(data):
            return False
    return True


def _has_too_many_strips(data: bytes) -> bool:
    """Whether the first directory of a TIFF names more than `MAX_STRIPS`. (TIFF 6.0; BigTIFF)"""
    order = "<" if data.startswith(b"II") else ">"
    first, count, entry, size = ("Q", "Q", "HHQ8s", 20) if b"+" in data[2:4] else ("I", "H", "HHI4s", 12)
    try:
        [at] = struct.unpack_from(order + first, data, 8 if first == "Q" else 4)
        [entries] = struct.unpack_from(order + count, data, at)
    except struct.error:
        return False            # Pillow says what is wrong
    start = at + struct.calcsize(order + count)
    table = data[start : start + size * min(entries, 65_536)]
    fields = struct.iter_unpack(order + entry, table[: len(table) // size * size])
    return any(tag in STRIP_TAGS and values > MAX_STRIPS for tag, _, values, _ in fields)
