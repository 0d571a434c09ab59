"""Files with one fault each, and odd files without one: what `graft.images` must say of them.

`FAULTS` maps a file name to its bytes and a part of the reason, `BROKEN_PIXELS` those that only the intake finds;
`ODD` maps a file name to its bytes and the colour that its top left corner must have.
"""

import io
import struct
import zlib

import numpy as np
from intake_images import jpeg, picture
from PIL import Image

PICTURE = picture(1, 320, 240)
TOO_LARGE = "more than the limit of 100,000,000: resize the image"
RED, BLUE, WHITE, GREY = (255, 0, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)


def encode(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that declares its size, with whatever chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def changed(data: bytes, at: float, new: bytes) -> bytes:
    """`data` with `new` written over it, `at` a share of its length."""
    start = int(len(data) * at)
    return data[:start] + new + data[start + len(new) :]


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header declares another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _truncated() -> dict[str, tuple[bytes, str]]:
    files = {
        "baseline.jpg": encode(PICTURE, "JPEG"),
        "progressive.jpg": encode(PICTURE, "JPEG", progressive=True),
        "photo.png": encode(PICTURE, "PNG"),
        "photo.webp": encode(PICTURE, "WEBP"),
        "lossless.webp": encode(PICTURE, "WEBP", lossless=True),
        "photo.gif": encode(PICTURE, "GIF"),
        "photo.bmp": encode(PICTURE, "BMP"),
        "photo.tif": encode(PICTURE, "TIFF"),
        "deflated.tif": encode(PICTURE, "TIFF", compression="tiff_deflate"),
    }
    return {f"half_{name}": (data[: len(data) // 2], "truncated") for name, data in files.items()} | {
        "one_byte_short.jpg": (files["baseline.jpg"][:-1], "truncated"),
        "zeros_at_the_end.jpg": (
            files["baseline.jpg"][:20_000] + bytes(len(files["baseline.jpg"]) - 20_000),
            "truncated",
        ),
        "header_only.jpg": (files["baseline.jpg"][:200], "truncated"),
        "begin_of_a_marker.jpg": (b"\xff\xd8\xff", "broken or truncated JPEG header"),
        "header_only.png": (files["photo.png"][:33], "truncated"),
        "without_its_end.png": (files["photo.png"][:-12], "truncated"),
        "cut_before_its_thumbnail_ends.jpg": (_with_thumbnail()[:3000], "truncated"),
    }


def _with_thumbnail() -> bytes:
    """A JPEG with a whole smaller one, end marker and all, in the segments before its pixels."""
    small = encode(PICTURE.resize((80, 60)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(small) + 8) + b"Exif\0\0" + small
    return b"\xff\xd8" + segment + encode(PICTURE, "JPEG")[2:]


def _broken() -> dict[str, tuple[bytes, str]]:
    noise = np.random.default_rng(0).bytes(3000)
    return {
        "noise_in_the_middle.jpg": (changed(encode(PICTURE, "JPEG"), 0.5, noise), "broken image data"),
        "noise_in_progressive.jpg": (
            changed(encode(PICTURE, "JPEG", progressive=True), 0.5, noise),
            "broken image data",
        ),
        "noise_in_the_middle.png": (changed(encode(PICTURE, "PNG"), 0.5, noise), "broken image data"),
        "one_bit.png": (changed(encode(PICTURE, "PNG"), 0.5, b"\x55"), "broken image data"),
        "noise_in_the_middle.gif": (changed(encode(PICTURE, "GIF"), 0.5, noise), "broken image data"),
        "noise_in_lzw.tif": (changed(encode(PICTURE, "TIFF", compression="tiff_lzw"), 0.3, noise), "broken image data"),
        "no_pixels.png": (png(64, 64, chunk(b"IEND", b"")), "broken image data"),
        "line_ends_changed.png": (encode(PICTURE, "PNG").replace(b"\n", b"\r\n"), "broken or truncated PNG header"),
        "taken_for_text.jpg": (encode(PICTURE, "JPEG").decode("latin-1").encode(), "not an image"),
        "first_bytes_lost.jpg": (encode(PICTURE, "JPEG")[1:], "not an image"),
        "not_a_number.tif": (
            encode(Image.fromarray(np.full((48, 48), np.nan, np.float32)), "TIFF"),
            "not a number",
        ),
        "thirty_two_bits.tif": (
            encode(Image.fromarray(np.full((48, 48), 70_000, np.int32)), "TIFF"),
            "unsupported grey values from 70000 to 70000",
        ),
        "lab.tif": (encode(Image.new("LAB", (64, 64)), "TIFF"), "unsupported colour mode LAB"),
    }


def _bombs() -> dict[str, tuple[bytes, str]]:
    zeros = chunk(b"IDAT", zlib.compress(bytes(10_000)))
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000)))
    return {
        "bomb_40_gigapixels.png": (png(200_000, 200_000, zeros), TOO_LARGE),
        "bomb_110_megapixels.png": (png(11_000, 10_000, zeros), TOO_LARGE),
        "bomb_long.png": (png(2_000_000_000, 1, zeros), TOO_LARGE),
        "bomb_65535.jpg": (with_size(encode(PICTURE, "JPEG"), 65_500, 65_500), TOO_LARGE),
        "bomb.gif": (
            b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + encode(PICTURE, "GIF")[10:],
            TOO_LARGE,
        ),
        "bomb.bmp": (
            encode(PICTURE, "BMP")[:18] + struct.pack("<ii", 60_000, 60_000) + encode(PICTURE, "BMP")[26:],
            TOO_LARGE,
        ),
        "bomb_in_text.png": (png(64, 64, text, zeros), "decompression bomb"),
        "bomb_in_text_at_the_end.png": (
            png(64, 64, chunk(b"IDAT", zlib.compress(bytes(64 * 193))), text, chunk(b"IEND", b"")),
            "decompression bomb",
        ),
        "bomb.tif": (encode(Image.new("1", (12_000, 12_000)), "TIFF", compression="group4"), TOO_LARGE),
        "bomb_of_fill_bytes.jpg": (_with_header(b"\xff" * 1_000_000), "decompression bomb"),
        "bomb_of_segments.jpg": (_with_header(b"\xff\xfe\0\2" * 100_000), "decompression bomb"),
        "bomb_of_restarts.jpg": (_with_header(b"\xff\xd0" * 100_000), "decompression bomb"),
        "bomb_of_chunks.png": (png(64, 64, chunk(b"abCd", b"") * 250_000, zeros), "decompression bomb"),
        "bomb_of_strips.tif": (_many_strips(), "decompression bomb"),
        "bomb_of_scans.jpg": (_many_scans(), "decompression bomb"),
    }


def _with_header(more: bytes) -> bytes:
    """A JPEG with more before its first segment."""
    data = encode(PICTURE, "JPEG")
    return data[:2] + more + data[2:]


def _many_strips() -> bytes:
    """A TIFF that names four million strips: as many objects in memory."""
    data = encode(PICTURE, "TIFF")
    at = data.index(struct.pack("<H", 273), 4)
    return data[: at + 4] + struct.pack("<II", 4_000_000, 8) + data[at + 12 :] + bytes(16_000_000)


def _many_scans() -> bytes:
    """One scan of a progressive JPEG repeated 5,000 times: hours of work in a small file."""
    data = encode(Image.new("L", (64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 5000 + b"\xff\xd9"


def _others() -> dict[str, tuple[bytes, str]]:
    avif = b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100)
    return {
        "empty.jpg": (b"", "empty file"),
        "pointer.jpg": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 123\n",
            "Git LFS pointer",
        ),
        "text.jpg": (b"this is no picture\n", "not an image"),
        "zeros.jpg": (bytes(5000), "not an image"),
        "page.jpg": (b"\n<!DOCTYPE html><html><body>404 Not Found</body></html>", "a web page"),
        "paper.jpg": (b"%PDF-1.7\n" + bytes(100), "a PDF document"),
        "archive.png": (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        "clip.jpg": (b"\0\0\0\x18ftypisom" + bytes(100), "a video"),
        "phone.jpg": (avif, "unsupported format AVIF"),
        "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported format SVG"),
        "icon.png": (encode(PICTURE.resize((32, 32)), "ICO"), "unsupported format ICO"),
        "photo.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "unsupported format JPEG 2000"),
        "layers.jpg": (b"8BPS\0\1" + bytes(50), "unsupported format PSD"),
    }


def _pixels_of_jpeg() -> dict[str, tuple[bytes, str]]:
    """Whole by their markers: libjpeg fills up what is missing, and only warns."""
    data, progressive = encode(PICTURE, "JPEG", quality=90), encode(PICTURE, "JPEG", progressive=True)
    end, half = b"\xff\xd9", len(data) // 2
    files = {
        "half_and_an_end.jpg": data[:half] + end,
        "half_and_an_end_progressive.jpg": progressive[: len(progressive) // 2] + end,
        "zeros_in_the_middle.jpg": changed(data, 0.5, bytes(1000)),
        "bytes_cut_out.jpg": data[:half] + data[half + 1000 :],
        "ink_half.jpg": (ink := encode(PICTURE.convert("CMYK"), "JPEG"))[: len(ink) // 2] + end,
    }
    return {name: (content, "broken image data (Corrupt JPEG data") for name, content in files.items()}


BROKEN_PIXELS = _pixels_of_jpeg()       # a decoder that does not tell of warnings reads them
FAULTS = _truncated() | _broken() | _bombs() | _others()


def _sixteen_bit() -> Image.Image:
    return Image.fromarray(np.full((48, 48), 0x80FF, np.uint16))


def _palette_with_transparency() -> bytes:
    image = Image.new("P", (48, 48), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    return encode(image, "PNG", transparency=1)


def _turned(orientation: int) -> bytes:
    """Red above blue, as the camera stored it; upright the red side is elsewhere."""
    image = Image.new("RGB", (64, 64), BLUE)
    image.paste(RED, (0, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, "JPEG", exif=exif, quality=95)


def _animation(form: str) -> bytes:
    return encode(
        Image.new("RGB", (48, 48), RED),
        form,
        save_all=True,
        append_images=[Image.new("RGB", (48, 48), BLUE)] * 3,
        duration=50,
        **({"lossless": True} if form == "WEBP" else {}),
    )


def _solid(mode: str, colour) -> Image.Image:
    return Image.new(mode, (48, 48), colour)


ODD = {
    "grey.jpg": (encode(_solid("L", 128), "JPEG"), GREY),
    "grey_alpha.png": (encode(_solid("LA", (128, 0)), "PNG"), WHITE),
    "one_bit.png": (encode(_solid("1", 1), "PNG"), WHITE),
    "one_bit.tif": (encode(_solid("1", 1), "TIFF", compression="group4"), WHITE),
    "palette.png": (encode(_solid("RGB", RED).quantize(4), "PNG"), RED),
    "palette_transparent.png": (_palette_with_transparency(), WHITE),
    "palette.gif": (encode(_solid("RGB", RED), "GIF"), RED),
    "palette.bmp": (encode(_solid("RGB", RED).quantize(4), "BMP"), RED),
    "alpha.png": (encode(_solid("RGBA", (255, 0, 0, 0)), "PNG"), WHITE),
    "alpha_half.png": (encode(_solid("RGBA", (0, 0, 255, 128)), "PNG"), (127, 127, 255)),
    "alpha.webp": (encode(_solid("RGBA", (255, 0, 0, 0)), "WEBP", lossless=True), WHITE),
    "transparent_colour.png": (encode(_solid("RGB", RED), "PNG", transparency=RED), WHITE),
    "ink.jpg": (encode(_solid("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), RED),
    "ink.tif": (encode(_solid("CMYK", (0, 255, 255, 0)), "TIFF"), RED),
    "sixteen_bit.png": (encode(_sixteen_bit(), "PNG"), GREY),
    "sixteen_bit.tif": (encode(_sixteen_bit(), "TIFF"), GREY),
    "float.tif": (encode(Image.new("F", (48, 48), 0.5), "TIFF"), GREY),
    "animated.gif": (_animation("GIF"), RED),
    "animated.webp": (_animation("WEBP"), RED),
    "animated.png": (_animation("PNG"), RED),
    "pages.tif": (_animation("TIFF"), RED),
    "turned_180.jpg": (_turned(3), BLUE),
    "mirrored.jpg": (_turned(4), BLUE),
    "upright.jpg": (_turned(1), RED),
    "turned_nowhere.jpg": (_turned(99), RED),
    "webp_named.jpg": (encode(_solid("RGB", RED), "WEBP", lossless=True), RED),
    "png_named.JPG": (encode(_solid("RGB", RED), "PNG"), RED),
    "no_suffix": (encode(_solid("RGB", RED), "PNG"), RED),
    "bytes_after_the_end.jpg": (jpeg(_solid("RGB", RED), quality=95) + b"\xff\xda trailer of a phone" * 50, RED),
    "restarts.jpg": (jpeg(_solid("RGB", RED), quality=95, restart_marker_blocks=1), RED),
    "one_pixel.png": (encode(Image.new("RGB", (1, 1), RED), "PNG"), RED),
    "one_row.png": (encode(Image.new("RGB", (5000, 1), RED), "PNG"), RED),
    "über räume 图.png": (encode(_solid("RGB", RED), "PNG"), RED),
}
