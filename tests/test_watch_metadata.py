"""What is left of a file: its pixels, to the bit, and its orientation; the oracle is Pillow."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from graft.watch.metadata import without_metadata

SECRETS = (b"SECRET", b"GPS51", b"Jane Doe")
FORMATS = {"JPEG": {"quality": 90}, "JPEG progressive": {"progressive": True}, "JPEG cmyk": {}, "PNG": {},
           "PNG palette": {}, "WEBP": {"lossless": True}, "WEBP lossy": {"quality": 70}, "BMP": {}}


def picture(kind: str) -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 256, (37, 53, 3), np.uint8)
    mode = {"JPEG cmyk": "CMYK", "PNG palette": "P"}.get(kind, "RGB")
    return Image.fromarray(noise).convert(mode)


def with_secrets(kind: str, orientation: int) -> bytes:
    """A file that tells who made it and where, in each place that its format has for it."""
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x010F], exif[0x013B], exif[0x0112] = "GPS51", "Jane Doe", orientation
    options = dict(FORMATS[kind])
    if kind != "BMP":
        options |= {"exif": exif.tobytes(), "xmp": b"<x:xmpmeta>SECRET</x:xmpmeta>"}
    if kind.startswith("JPEG"):
        options |= {"comment": b"SECRET"}
    if kind.startswith("PNG"):
        options.pop("xmp")
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Author", "Jane Doe")
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", "SECRET")
    picture(kind).save(stream, kind.split()[0], **options)
    return stream.getvalue() + b"SECRET after the end" * (kind != "BMP")


def seen(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_keeps_its_picture_and_loses_the_rest(kind, orientation):
    data = with_secrets(kind, orientation)
    stripped = without_metadata(data)
    assert (seen(stripped) == seen(data)).all()
    assert Image.open(io.BytesIO(stripped)).format == kind.split()[0]
    assert not [secret for secret in SECRETS if secret in stripped]
    if kind != "BMP":
        assert [secret for secret in SECRETS if secret in data]
    assert without_metadata(stripped) == stripped


def test_no_pixel_is_decoded_not_even_to_look_for_an_orientation_behind_them(monkeypatch):
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded"))
    data = with_secrets("PNG", 6)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start:start + 4])
    behind = data.index(b"IEND") - 4
    moved = data[:start] + data[end:behind] + data[start:end] + data[behind:]
    assert without_metadata(moved) == without_metadata(data)
    assert b"eXIf" not in without_metadata(with_secrets("PNG", 1))


def test_a_profile_of_colours_stays():
    stream, profile = io.BytesIO(), b"p" * 200
    picture("JPEG").save(stream, "JPEG", icc_profile=profile)
    assert Image.open(io.BytesIO(without_metadata(stream.getvalue()))).info["icc_profile"] == profile


def test_a_format_that_it_does_not_know_is_left_alone_and_a_broken_file_is_refused():
    stream = io.BytesIO()
    picture("GIF").save(stream, "GIF")
    assert without_metadata(stream.getvalue()) is None
    for kind in ("JPEG", "PNG", "WEBP"):
        with pytest.raises(ValueError):
            without_metadata(with_secrets(kind, 1)[:600])
