"""The range that a file means; the oracle is a picture of 8 bits, spread over the range of which files are written."""

import struct
import zlib

import numpy as np
import pytest
from intake_faults import chunk, encode
from intake_images import picture
from PIL import Image
from tiff_files import tiff

from graft.images import UnreadableImage, decode, identify, upright_rgb, upright_rgb_and_range

COLOURS = np.asarray(picture(3, 40, 30))
GREY = np.asarray(picture(3, 40, 30).convert("L"))
GREY = (GREY.astype(int) - GREY.min()) * 255 // np.ptp(GREY)        # from 0 to 255
COLOURS = (COLOURS.astype(int) - COLOURS.min()) * 255 // np.ptp(COLOURS)
ORDERS = pytest.mark.parametrize("order", "<>")


def spread(values: np.ndarray, bits: int) -> np.ndarray:
    """0 to 255 as the upper 8 of `bits` bits, the others filled with noise; int64."""
    noise = np.random.default_rng(0).integers(0, 1 << (bits - 8), values.shape)
    return (values << (bits - 8)) + noise


def read(data: bytes) -> tuple[np.ndarray, str]:
    image, value_range = upright_rgb_and_range(identify(data))
    return np.asarray(image), value_range


def assert_grey(data: bytes, value_range: str) -> None:
    pixels, found = read(data)
    np.testing.assert_array_equal(pixels, np.stack([GREY] * 3, 2))
    assert found == value_range


ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def png16(values: np.ndarray, colour_type: int, *chunks: bytes, is_interlaced: bool = False) -> bytes:
    """A PNG with 16 bits per channel; 0 is grey, 2 RGB, 4 grey with opacity, 6 RGB with opacity."""
    height, width = values.shape[:2]
    passes = ADAM7 if is_interlaced else [(0, 0, 1, 1)]
    rows = (row for top, left, down, right in passes for row in values.astype(">u2")[top::down, left::right])
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, is_interlaced))
    return b"\x89PNG\r\n\x1a\n" + b"".join([header, *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")])


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("write", [
    lambda v: encode(Image.fromarray(v.astype(np.uint16)), "PNG"),
    lambda v: encode(Image.fromarray(v.astype(np.uint16)), "TIFF"),
    lambda v: encode(Image.fromarray(v.astype(np.uint16)), "TIFF", compression="tiff_deflate"),
    lambda v: encode(Image.fromarray(v.astype(np.int32)), "TIFF"),
    lambda v: encode(Image.fromarray(v.astype(np.float32)), "TIFF"),
    lambda v: tiff(v.astype(np.uint16), order=">"),
    lambda v: tiff(v.astype(np.uint32), order="<"),
    lambda v: tiff(v.astype(np.uint16), order="<", t281=65000),     # the brightest value "used", not a range
    lambda v: png16(v, 0, chunk(b"gAMA", struct.pack(">I", 45455))),
], ids=["png", "tiff", "deflated", "int32", "float", "big-endian", "uint32", "brightest", "chunks"])
def test_grey_values_have_the_smallest_range_that_holds_them(bits, write):
    assert_grey(write(spread(GREY, bits)), f"{bits} bits")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("write", [
    lambda v: tiff(v, order="<"), lambda v: tiff(v, order=">"), lambda v: png16(v, 2),
    lambda v: png16(v, 2, is_interlaced=True), lambda v: tiff(np.dstack([v, v[..., 0]]), t338=0),
], ids=["little-endian", "big-endian", "png", "interlaced", "fourth"])
def test_colours_of_16_bits_keep_their_lower_byte(bits, write):
    values = spread(COLOURS, bits).astype(np.uint16)
    pixels, value_range = read(write(values))
    np.testing.assert_array_equal(pixels, COLOURS)
    assert value_range == f"{bits} bits"


def test_a_deflated_tiff_of_16_bit_colours_keeps_its_lower_byte():
    """Compressed files take another way through Pillow."""
    values = spread(COLOURS, 12).astype(np.uint16)
    plain = tiff(values, t259=8)
    pixels = zlib.compress(values.astype("<u2").tobytes())
    counts = struct.pack("<HHII", 279, 4, 1, values.nbytes)
    data = plain[: -values.nbytes].replace(counts, struct.pack("<HHII", 279, 4, 1, len(pixels))) + pixels
    np.testing.assert_array_equal(read(data)[0], COLOURS)


@pytest.mark.parametrize("highest, bits", [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14),
                                           (16_383, 14), (16_384, 16), (65_535, 16)])
def test_the_range_changes_at_powers_of_two(highest, bits):
    grey, colours = np.zeros((8, 8), np.uint16), np.zeros((8, 8, 3), np.uint16)
    grey[0, 0] = colours[0, 0, 1] = highest
    for data in (tiff(grey), tiff(colours), png16(grey, 0), png16(colours, 2)):
        pixels, value_range = read(data)
        assert (pixels.max(), value_range) == (highest >> (bits - 8), f"{bits} bits")


@ORDERS
def test_what_a_file_declares_comes_before_its_values(order):
    dark = spread(GREY, 12).astype(np.uint16) // 8          # would fit in 10 bits
    expected = np.stack([dark >> 4] * 3, 2)
    for data in (tiff(dark, order=order, t281=4095), png16(dark, 0, chunk(b"sBIT", b"\x0c"))):
        pixels, value_range = read(data)
        np.testing.assert_array_equal(pixels, expected)
        assert value_range == "12 bits"


def test_fifteen_declared_bits_are_fifteen_in_grey_and_in_colours():
    grey, colours = spread(GREY, 15), spread(COLOURS, 15)
    assert_grey(png16(grey, 0, chunk(b"sBIT", b"\x0f")), "15 bits")
    pixels, value_range = read(png16(colours, 2, chunk(b"sBIT", b"\x0f\x0f\x0f")))
    np.testing.assert_array_equal(pixels, COLOURS)
    assert value_range == "15 bits"


def test_a_declaration_that_the_values_exceed_does_not_count():
    """PNG asks that 12 bits be scaled up to 16: sBIT then says how many of them are meant."""
    scaled = spread(GREY, 12) << 4
    assert_grey(png16(scaled, 0, chunk(b"sBIT", b"\x0c")), "16 bits")
    assert_grey(tiff(scaled.astype(np.uint16), t281=4095), "16 bits")


def test_twelve_bits_that_a_tiff_packs_are_twelve():
    values = np.zeros((4, 8), np.uint16)
    values[0, 0] = 1000
    packed = bytes(b for a, c in values.reshape(-1, 2).tolist() for b in (a >> 4, (a & 15) << 4 | c >> 8, c & 255))
    data = tiff(values, t258=12)[: -values.nbytes] + packed
    data = data.replace(struct.pack("<HHII", 279, 4, 1, values.nbytes), struct.pack("<HHII", 279, 4, 1, len(packed)))
    pixels, value_range = read(data)
    assert (pixels[0, 0, 0], value_range) == (1000 >> 4, "12 bits")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_where_white_is_zero_all_depths_are_inverted(dtype):
    values = (255 - GREY).astype(dtype) * (257 if dtype == np.uint16 else 1)
    np.testing.assert_array_equal(read(tiff(values, photometric=0, t262=0))[0][..., 0], GREY)


@pytest.mark.parametrize("low, high", [(0, 1), (0, 0.5), (-1e-6, 1.0000001)])
def test_floating_point_from_0_to_1(low, high):
    values = (low + GREY / 255 * (high - low)).astype(np.float32)
    pixels, value_range = read(encode(Image.fromarray(values), "TIFF"))
    np.testing.assert_allclose(pixels[..., 0], values.clip(0, 1) * 255, atol=0.5)
    assert value_range == "0 to 1"


@pytest.mark.parametrize("values, said", [
    ([0.5, np.nan], "infinite or not a number"), ([0.5, np.inf], "infinite or not a number"),
    ([-0.5, 1], "from -0.5 to 1"), ([0, 70_000], "from 0 to 70000"),
])
def test_floating_point_without_a_known_range_is_refused(values, said):
    data = encode(Image.fromarray(np.asarray([values], np.float32)), "TIFF")
    with pytest.raises(UnreadableImage, match=said):
        decode(data)


def test_negative_whole_numbers_are_refused():
    with pytest.raises(UnreadableImage, match="from -3 to 5; supported range: 0 to 65535"):
        decode(tiff(np.array([[-3, 5]], np.int16)))


@pytest.mark.parametrize("extra, is_opacity", [(None, False), (0, False), (1, True), (2, True)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_fourth_channel_is_opacity_only_where_the_file_says_so(extra, is_opacity, dtype):
    """The fourth channel is zero: as opacity, it leaves nothing but white."""
    scale = 257 if dtype == np.uint16 else 1
    values = np.dstack([COLOURS, 0 * GREY]).astype(dtype) * dtype(scale)
    pixels, _ = read(tiff(values, **({} if extra is None else {"t338": extra})))
    np.testing.assert_array_equal(pixels, 255 if is_opacity else COLOURS)


@pytest.mark.parametrize("bits", [10, 12])
def test_opacity_has_a_range_of_its_own(bits):
    colours, grey = spread(COLOURS, bits), spread(GREY, bits)
    full = np.full_like(GREY, 65535)
    for values, kind, expected in ((np.dstack([colours, full]), 6, COLOURS), (np.dstack([grey, full]), 4, GREY)):
        pixels, value_range = read(png16(values, kind))
        np.testing.assert_array_equal(pixels, expected if expected.ndim == 3 else np.stack([expected] * 3, 2))
        assert value_range == f"{bits} bits"
    hidden = np.dstack([colours, 0 * GREY])
    assert (read(png16(hidden, 6))[0] == 255).all()


def test_a_tiff_of_many_channels_is_named_by_them():
    with pytest.raises(UnreadableImage, match="5 channels of 16-bit whole numbers") as error:
        decode(tiff(np.zeros((4, 4, 5), np.uint16), t338=[0, 0]))
    assert "save it as grey or RGB" in str(error.value)


def test_sixteen_bit_planes_are_refused():
    """Pillow would read their bytes in the wrong places."""
    with pytest.raises(UnreadableImage, match="separate planes"):
        decode(tiff(spread(COLOURS, 16).astype(np.uint16), t284=2))


def test_the_orientation_of_a_deep_picture_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(spread(GREY, 12).astype(np.uint16)), "PNG", exif=exif)
    np.testing.assert_array_equal(read(data)[0][..., 0], np.rot90(GREY, -1))


def test_an_image_that_pillow_opened_is_read_like_its_file(tmp_path):
    for name, data in (("a.png", png16(spread(COLOURS, 12), 2)), ("a.tif", tiff(spread(COLOURS, 10).astype(np.uint16))),
                       ("b.png", png16(spread(GREY, 12), 0, chunk(b"sBIT", b"\x0c")))):
        (tmp_path / name).write_bytes(data)
        with Image.open(tmp_path / name) as image:
            np.testing.assert_array_equal(np.asarray(upright_rgb(image)), read(data)[0])


def test_most_files_have_no_range_to_tell():
    for form in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"):
        assert read(encode(picture(1, 32, 32), form))[1] == ""
