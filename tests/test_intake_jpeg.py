"""A JPEG whose pixels are broken differs from one that is only unusual."""

import numpy as np
import pytest
from intake_faults import BROKEN_PIXELS
from intake_images import jpeg, picture
from PIL import Image

from graft.images import UnreadableImage, decode, identify
from pipeline.intake.jpeg import decode_strictly

IMAGE = picture(5, 333, 251)


def strictly(data, at_least_px=72):
    return decode_strictly(data, identify(data).mode, at_least_px)


@pytest.mark.parametrize("name", BROKEN_PIXELS)
def test_broken_pixels_are_found_that_pillow_does_not_tell_of(name):
    data, reason = BROKEN_PIXELS[name]
    decode(data)
    with pytest.raises(UnreadableImage) as raised:
        strictly(data)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:1:1"}, {"restart_marker_rows": 1}])
def test_the_pixels_are_pillow_s(options):
    data = jpeg(IMAGE, quality=90, **options)
    found = strictly(data, at_least_px=1000)
    assert found.shape == (251, 333, 3) and found.dtype == np.uint8
    brightness = [np.asarray(image.convert("L"), float) for image in (Image.fromarray(found), decode(data))]
    assert np.abs(brightness[0] - brightness[1]).mean() < 1
    assert min(strictly(data).shape[:2]) < 160


@pytest.mark.parametrize("padding", [b"\0" * 5, b"\0" * 5000, b"\xff" * 100, b" " * 100, b""])
def test_padding_before_the_end_is_no_fault(padding):
    strictly(jpeg(IMAGE)[:-2] + padding + b"\xff\xd9")


def test_other_bytes_before_the_end_are_one():
    with pytest.raises(UnreadableImage, match="extraneous bytes"):
        strictly(jpeg(IMAGE)[:-2] + bytes(range(1, 101)) + b"\xff\xd9")


def test_an_unusual_header_is_left_to_pillow():
    data = bytearray(jpeg(IMAGE))
    data[data.index(b"JFIF\0") + 5] = 9      # a revision that does not exist
    assert strictly(bytes(data)) is None


def test_inks_are_checked_and_have_no_brightness():
    assert strictly(jpeg(IMAGE.convert("CMYK"))) is None
