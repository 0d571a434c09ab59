"""What an image costs is known before it is decoded: a file that costs too much is refused, and no other one is."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from fresh import run
from intake_faults import chunk, encode
from PIL import Image
from tiff_files import tiff

from graft.decoding import budget
from graft.images import UnreadableImage, decode, identify

SQUARE = np.zeros((64, 64, 3), np.uint8)


def grey_png(width: int, height: int, colour_type: int = 0, bits: int = 8, bytes_per_pixel: int = 1) -> bytes:
    packer, rows = zlib.compressobj(9), bytes(1 + width * bytes_per_pixel) * 10
    pixels = b"".join(packer.compress(rows) for _ in range(height // 10)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def with_side(data: bytes, side: int, sof: bytes = b"\xff\xc2") -> bytes:
    """A progressive JPEG that says that it has this many pixels a side."""
    at = data.index(b"\xff\xc2")
    return data[:at] + sof + data[at + 2 : at + 5] + struct.pack(">HH", side, side) + data[at + 9 :]


def colour_scans(side: int) -> bytes:
    return with_side(encode(Image.new("RGB", (16, 16)), "JPEG", progressive=True, subsampling=0), side)


def scans(times: int, side: int, sof: bytes = b"\xff\xc2") -> bytes:
    """`with_side`, its last scan drawn that often."""
    data = encode(Image.new("L", (64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return with_side(data[:last] + data[last:-2] * times + b"\xff\xd9", side, sof)


def rle_bmp(width: int, height: int, data: bytes) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + head + bytes(1024) + data


def gif_with(more: bytes) -> bytes:
    data = encode(Image.new("P", (8, 8)), "GIF")
    at = data.index(b",", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    return data[:at] + more + data[at:]


def turned(mode: str, side: int, form: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(Image.new(mode, (side, side)), form, exif=exif)


MEMORY, WORK, BOMB = "MB of memory, more than the limit of 500: resize", "draws its pixels too often", "bomb: more than"
TOO_COSTLY = {
    "a tile of 1.6 GB": (tiff(SQUARE, t259=8, t322=32768, t323=16384, t324=8, t325=100), MEMORY),
    "tiles that each cover the image": (tiff(SQUARE, t322=32768, t323=16384, t324=[8] * 10, t325=[100] * 10), WORK),
    "tiles of the same 65,000 bytes": (
        tiff(SQUARE, t322=16, t323=16, t324=[8] * 40_000, t325=[65_000] * 40_000), WORK),
    "100 scans of a JPEG": (scans(100, 6000), WORK),
    "3 scans in arithmetic coding": (scans(3, 9900, b"\xff\xca"), WORK),
    "coefficients of 300 million samples": (colour_scans(9900), MEMORY),
    "EXIF that is copied over and over": (
        (jpeg := encode(Image.new("L", (8, 8)), "JPEG"))[:2] + b"\xff\xe1\0\x0aExif\0\0ab" * 100 + jpeg[2:], BOMB),
    "opacity": (grey_png(8000, 8000, 6, 8, 4), MEMORY),
    "16 bits": (grey_png(10_000, 10_000, 0, 16, 2), MEMORY),
    "a frame of WebP": (encode(Image.new("L", (6000, 6000)), "WEBP", quality=0, method=0), MEMORY),
    "a compressed BMP that skips rows": (rle_bmp(40_000_000, 2, b"\0\2\0\xff" * 4), MEMORY),
    "a compressed BMP of 12 MB": (rle_bmp(100, 100, b"\1\1" * 6_000_000), "BMP of more than 10 MB"),
    "empty comments of a GIF": (gif_with(b"!\xfe\0" * 250_000), BOMB),
    "bytes that mean nothing in a GIF": (gif_with(b"\1" * 250_000), BOMB),
    "a turned picture": (turned("L", 9600, "PNG"), MEMORY),
}

@pytest.mark.parametrize("name", TOO_COSTLY)
def test_a_file_that_costs_too_much_is_refused(name):
    data, reason = TOO_COSTLY[name]
    with pytest.raises(UnreadableImage, match=reason):
        decode(data)


@pytest.mark.parametrize("data", [
    grey_png(10_000, 10_000), grey_png(8000, 8000, 2, 8, 3), scans(10, 9900), encode(Image.new("RGB", (4, 4)), "TIFF"),
    tiff(SQUARE, t322=64, t323=64, t324=[8, 8, 8], t325=[100, 100, 100]), gif_with(b"!\xfe\x04abcd\0" * 100),
    rle_bmp(100, 100, b"\x64\1" * 100 + b"\0\1"),
], ids=["grey", "colours", "scans", "strip", "tiles", "comments", "bmp"])
def test_an_honest_file_is_not(data):
    identify(data)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's count is in /proc")
def test_the_largest_images_stay_within_the_budget(tmp_path):
    """Each in a process of its own, the oracle being the kernel's count of its memory (on Linux)."""
    (tmp_path / "grey").write_bytes(grey_png(10_000, 10_000))
    (tmp_path / "opacity").write_bytes(grey_png(7000, 7000, 6, 8, 4))
    program = """
import sys
from graft.images import read_image
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
data = open(sys.argv[1], "rb").read()
before = peak()
read_image(data, (224, 224))
print(1024 * (peak() - before))
"""
    for name in ("grey", "opacity"):
        assert int(run(program, tmp_path / name)) < 1.1 * budget.MEMORY_BYTES


@pytest.mark.parametrize("name", ["RGBA", "P", "16 bits", "10 bits of colours", "float"])
def test_bands_give_the_pixels_of_the_whole(name, monkeypatch):
    noise = np.random.default_rng(1).integers(0, 256, (61, 37, 4), np.uint8)
    colours = noise[..., :3].astype(np.uint16) * 4
    data = {"RGBA": lambda: encode(Image.fromarray(noise), "PNG"),
            "P": lambda: encode(Image.fromarray(noise).convert("RGB").quantize(9), "PNG", transparency=2),
            "16 bits": lambda: encode(Image.fromarray(noise[..., 0].astype(np.uint16) * 256), "PNG"),
            "10 bits of colours": lambda: tiff(colours), "float": lambda: tiff(noise[..., 0].astype(np.float32) / 255),
            }[name]()
    whole = np.asarray(decode(data))
    monkeypatch.setattr(budget, "BAND_PIXELS", 300)
    np.testing.assert_array_equal(np.asarray(decode(data)), whole)
    assert len(budget.bands((37, 61))) == 8 and Image.open(io.BytesIO(data)).size == (37, 61)
