"""From bytes to pixels: every fault has its reason, every odd file its colours, and no size is taken on trust."""

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from intake_faults import FAULTS, ODD, PICTURE, encode
from PIL import Image

from graft.images import UnreadableImage, decode, identify, read_bytes, read_image, resize

REAL = Path(os.environ.get("GRAFT_REAL_DATA", "../shared/data"))


def test_the_suite_is_as_large_as_it_claims():
    assert len(FAULTS) >= 40 and len(ODD) >= 30


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_reason(name):
    data, reason = FAULTS[name]
    with pytest.raises(UnreadableImage) as raised:
        decode(data)
    assert reason in str(raised.value)
    assert len(str(raised.value)) < 200 and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_in_a_reduced_decoding_too(name):
    with pytest.raises(UnreadableImage):
        decode(FAULTS[name][0], at_least=(16, 16))


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_with_their_right_colours(name):
    data, colour = ODD[name]
    image = decode(data)
    assert image.mode == "RGB"
    np.testing.assert_allclose(image.getpixel((0, 0)), colour, atol=3)


@pytest.mark.parametrize(
    "orientation, corner", [(1, "tl"), (2, "tr"), (3, "br"), (4, "bl"), (5, "tl"), (6, "tr"), (7, "br"), (8, "bl")]
)
def test_all_eight_orientations_turn_upright(orientation, corner):
    """A red corner at the top left of what the sensor saw; where it belongs is the EXIF standard's table."""
    image = Image.new("RGB", (96, 64), "blue")
    image.paste((255, 0, 0), (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = decode(encode(image, "JPEG", exif=exif, quality=95))
    assert upright.size == ((96, 64) if orientation < 5 else (64, 96))
    x = 8 if corner[1] == "l" else upright.width - 8
    y = 8 if corner[0] == "t" else upright.height - 8
    np.testing.assert_allclose(upright.getpixel((x, y)), (255, 0, 0), atol=6)


def test_a_broken_exif_block_does_not_lose_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(PICTURE, "JPEG", exif=exif)
    at = data.index(b"Exif\0\0") + 10
    assert decode(data[:at] + b"\xff" * 8 + data[at + 8 :]).size in (PICTURE.size, PICTURE.size[::-1])


def test_sixteen_bit_grey_keeps_its_scale():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    read = np.asarray(decode(encode(Image.fromarray(ramp), "PNG")))[..., 0]
    np.testing.assert_array_equal(read, ramp >> 8)


def test_reading_resizes_as_pillow_does_and_takes_paths_and_bytes(tmp_path):
    data = encode(PICTURE, "PNG")
    (tmp_path / "a.png").write_bytes(data)
    expected = np.asarray(PICTURE.resize((50, 40), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_image(data, (40, 50)), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", (40, 50)), expected)
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png"), (40, 50)), resize(PICTURE, (40, 50)))


def test_a_reduced_decoding_is_nearly_the_same_picture():
    large = PICTURE.resize((1280, 960), Image.Resampling.BICUBIC)
    data = encode(large, "JPEG", quality=95)
    reduced = decode(data, at_least=(96, 96))
    assert reduced.width < large.width and min(reduced.size) >= 2 * 96
    difference = np.abs(read_image(data, (96, 96)).astype(int) - np.asarray(resize(decode(data), (96, 96))).astype(int))
    assert difference.mean() < 2


def test_identify_reads_the_header_only():
    header = identify(encode(PICTURE, "JPEG"))
    assert (header.format, header.size, header.mode) == ("JPEG", (320, 240), "RGB")


@pytest.mark.parametrize("path, reason", [("none.jpg", "no such file"), (".", "is a directory")])
def test_what_cannot_be_opened(tmp_path, path, reason):
    with pytest.raises(UnreadableImage, match=reason):
        read_bytes(tmp_path / path)


def test_a_file_over_the_limit_is_not_read_whole(tmp_path):
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(3_000_000_000)  # sparse: takes no disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableImage, match="larger than 100 MB"):
        read_bytes(tmp_path / "huge.jpg")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes


@pytest.mark.parametrize("start, reason", [
    (encode(PICTURE, "JPEG"), "^a file larger than 100 MB: resize"), (b"text", "^larger than 100 MB$"),
    (b"\0\0\0\x18ftypqt  ", "^not an image, but a video$"), (b"\0\0\0\x18ftypavif", "^unsupported format AVIF"),
])
def test_a_file_over_the_limit_is_told_what_it_is(tmp_path, start, reason):
    with open(tmp_path / "huge", "wb") as file:
        file.write(start)
        file.truncate(100_000_001)  # sparse: takes no disk
    with pytest.raises(UnreadableImage, match=reason):
        read_bytes(tmp_path / "huge")


def test_bombs_are_refused_before_memory_is_taken(tmp_path):
    """All of them in a process that may not grow by more than 200 MB."""
    bombs = [name for name in FAULTS if name.startswith("bomb")]
    for name in bombs:
        (tmp_path / name).write_bytes(FAULTS[name][0])
    code = """
import resource, sys
from graft.images import UnreadableImage, decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        decode(open(path, "rb").read())
        sys.exit(path)
    except UnreadableImage:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, *(tmp_path / name for name in bombs)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 200_000  # kilobytes


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real photographs in {REAL}: set GRAFT_REAL_DATA")
def test_all_real_photographs_are_read():
    paths = [path for path in sorted(REAL.glob("*/*/*")) if path.is_file()]
    assert len(paths) >= 1000
    for path in paths:
        with Image.open(path) as image:
            size = image.size
        assert sorted(decode(path.read_bytes()).size) == sorted(size)


def test_reading_is_deterministic():
    data = encode(PICTURE, "JPEG")
    assert np.array_equal(read_image(data, (64, 64)), read_image(io.BytesIO(data).getvalue(), (64, 64)))
