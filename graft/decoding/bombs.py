"""Find files that cost far more to open than they are worth, before Pillow opens them.

Pillow refuses none of these: it walks through headers segment by segment in Python, which takes minutes where a file
of 100 MB consists of nothing else.
"""

import struct

from graft.decoding.heif import heif_fault
from graft.decoding.jpeg import MAX_EXIF, MAX_SEGMENTS, first_scan
from graft.decoding.kinds import Kind

MAX_CHUNKS = 200_000            # of a PNG: its pixels come in chunks of 8 KB or more, at most 13,000 in 100 MB
MAX_STRIPS = 400_000            # of a TIFF: 100 megapixels in tiles of 16 × 16 are 390,000
STRIP_TAGS = (273, 324)         # StripOffsets, TileOffsets


def header_fault(data: bytes, kind: Kind | None) -> str | None:
    """Why a file must not be opened, by the number of parts in its header, or their size; None if it may be."""
    name = kind.name if kind else ""
    if kind and kind.is_heif and kind.is_supported:
        return heif_fault(data)
    if name == "JPEG" and first_scan(data) is None:
        return (f"decompression bomb: more than {MAX_SEGMENTS:,} segments, or {MAX_EXIF} of EXIF, before the pixels of "
                "a JPEG")
    if name == "PNG" and _has_too_many_chunks(data):
        return f"decompression bomb: more than {MAX_CHUNKS:,} chunks in one PNG"
    if name == "GIF" and _has_too_many_blocks(data):
        return f"decompression bomb: more than {MAX_CHUNKS:,} blocks before the pixels of a GIF"
    if name == "TIFF" and _has_too_many_strips(data):
        return f"decompression bomb: more than {MAX_STRIPS:,} strips or tiles in one TIFF"
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


def _has_too_many_blocks(data: bytes) -> bool:
    """Whether more than `MAX_CHUNKS` blocks, or bytes that begin none, lie before a GIF's first picture. (GIF89a)"""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10:11] >= b"\x80" else 0)      # behind the palette
    within = False              # an extension, whose blocks begin with their length and end with an empty one
    for _ in range(MAX_CHUNKS):
        byte = data[at : at + 1]
        if byte in (b"", b"," if not within else b"", b";" if not within else b""):
            return False
        if within:
            within, at = byte != b"\0", at + 1 + byte[0]
        else:
            within, at = byte == b"!", at + (2 if byte == b"!" else 1)
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
