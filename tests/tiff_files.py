"""TIFF files that Pillow cannot write: any number of channels and bits, with whatever tags."""

import struct

import numpy as np

KINDS = {np.dtype(np.uint8): 1, np.dtype(np.uint16): 1, np.dtype(np.int16): 2, np.dtype(np.uint32): 1,
         np.dtype(np.float32): 3, np.dtype(np.float64): 3}       # SampleFormat


def tiff(values: np.ndarray, photometric: int | None = None, order: str = "<", **tags: int) -> bytes:
    """A TIFF of one strip, not compressed, with interleaved channels.

    Args:
        values: `(height, width)` or `(height, width, channels)`.
        photometric: by default black-is-zero for one channel, else RGB.
        order: `<` or `>`, the order of the bytes.
        tags: short values by the tag's number, such as `t338=2`.
    """
    values = values if values.ndim == 3 else values[..., None]
    height, width, channels = values.shape
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    shorts = {258: [8 * values.itemsize] * channels, 259: [1], 262: [photometric or 2 * (channels > 2)
              + (channels < 3 and photometric is None)], 277: [channels], 284: [1],
              339: [KINDS[values.dtype]] * channels}
    shorts |= {int(name[1:]): value if isinstance(value, list) else [value] for name, value in tags.items()}
    longs = {256: width, 257: height, 273: 0, 278: height, 279: len(pixels)}
    numbers = sorted(shorts.keys() | longs.keys())
    tail = 8 + 2 + 12 * len(numbers) + 4
    entries, extra = b"", b""
    for number in numbers:
        if number in longs:
            value = b"%s" % struct.pack(order + "I", longs[number])
            entries += struct.pack(order + "HHI", number, 4, 1) + (b"STRP" if number == 273 else value)
            continue
        packed = struct.pack(f"{order}{len(shorts[number])}H", *shorts[number])
        where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(order + "I", tail + len(extra))
        extra += packed if len(packed) > 4 else b""
        entries += struct.pack(order + "HHI", number, 3, len(shorts[number])) + where
    entries = entries.replace(b"STRP", struct.pack(order + "I", tail + len(extra)))
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(numbers))
    return start + entries + bytes(4) + extra + pixels
