"""HEIC files; the oracle is the picture that was encoded, or what the file was changed to say."""

import io
import re
import struct
from functools import cache

import numpy as np
import pillow_heif
import pytest
from fresh import run
from intake_images import picture
from PIL import ExifTags, Image

from graft.decoding import heif
from graft.images import UnreadableImage, decode, identify, read_image
from graft.predict.decoders import Decoders
from graft.server.batching import Batcher
from graft.server.lanes import HEIF_OFF
from pipeline.intake.fingerprint import take_fingerprint

QUICK = {"quality": 95, "chroma": 444, "enc_params": {"preset": "ultrafast"}}
ISPE = re.compile(rb"ispe\0\0\0\0(.{8})", re.DOTALL)


def heic(image: Image.Image, **options) -> bytes:
    """A HEIC file, nearly without losses unless `quality` says otherwise."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **QUICK | options)
    return buffer.getvalue()


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, int) - np.asarray(other, int)).mean())


@pytest.mark.parametrize("options", [{}, {"chroma": 420}, {"tile_size": 64}])
def test_a_picture_is_what_was_encoded_also_in_tiles_and_of_odd_sides(options):
    image = picture(1, 201, 131).convert("L").convert("RGB")       # colours may have half the resolution
    assert distance(decode(heic(image, **options)), image) < 2


def test_opacity_is_on_white():
    image = picture(1)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert distance(decode(heic(image)), expected) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_once_though_phones_say_it_twice(orientation):
    """libheif's box and EXIF's tag both say it, as in a phone's file; the oracle is Pillow's reading of a PNG."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image, png = picture(1), io.BytesIO()
    image.save(png, "PNG", exif=exif)
    data = heic(image, exif=exif.tobytes())
    assert b"Exif" in data and (b"irot" in data or b"imir" in data) == (orientation > 1)
    assert distance(decode(data), decode(png.getvalue())) < 2


def test_of_ten_bits_the_upper_eight_are_kept():
    values = np.repeat(np.arange(1024, dtype=np.uint16)[None], 64, axis=0)
    samples = np.repeat(values[..., None] << 6, 3, axis=2)
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (1024, 64), samples.tobytes()).save(buffer, **QUICK | {"quality": -1})
    found = np.asarray(decode(buffer.getvalue()), int)
    assert pillow_heif.open_heif(buffer.getvalue()).info["bit_depth"] == 10
    assert np.abs(found - (values[..., None] >> 2)).max() <= 1      # the codec's colours are rounded


def test_a_thumbnail_in_the_file_is_never_read_in_place_of_the_picture():
    image = picture(1, 800, 600)
    images = pillow_heif.from_pillow(image)
    images[0].info["thumbnails"] = [256]
    buffer = io.BytesIO()
    images.save(buffer, **QUICK)
    small = read_image(buffer.getvalue(), (60, 80))
    assert len(ISPE.findall(buffer.getvalue())) == 2
    assert np.abs(small.astype(int) - np.asarray(image.resize((80, 60), Image.Resampling.BILINEAR))).mean() < 2


def test_training_and_prediction_read_the_same(tmp_path):
    """The intake, the guarded processes of predict and serve, and the reading of training."""
    data = heic(picture(1, 640, 480), chroma=420)
    (tmp_path / "IMG_1.HEIC").write_bytes(data)
    known = take_fingerprint(tmp_path / "IMG_1.HEIC")
    assert (known.format, known.width_px, known.height_px) == ("HEIF", 640, 480)
    with Decoders(processes=1) as decoders:
        there = decoders.read(data, (96, 96))
    assert np.array_equal(there, read_image(tmp_path / "IMG_1.HEIC", (96, 96)))


def test_a_picture_of_a_large_phone_is_read_within_the_limits_and_a_larger_one_is_refused_by_its_header():
    data = heic(Image.new("RGB", (8064, 6048), "red"), quality=30, chroma=420)
    with Decoders(processes=1) as decoders:
        assert (decoders.read(data, (8, 8)) == (254, 0, 0)).all()
    larger = ISPE.sub(lambda found: b"ispe\0\0\0\0" + struct.pack(">II", 8064, 6300), data, count=1)
    with pytest.raises(UnreadableImage, match=r"^needs 508 MB of memory, more than the limit of 500"):
        identify(larger)


def changed(data: bytes, box: bytes, *values: int) -> bytes:
    """The file with other numbers at the beginning of a box's content."""
    at = data.index(box) + len(box)
    return data[:at] + struct.pack(f">{len(values)}I", *values) + data[at + 4 * len(values):]


@cache
def hostile() -> dict[str, tuple[bytes, str]]:
    small, large = heic(picture(1)), heic(Image.new("RGB", (4096, 4096)), quality=1, chroma=420)
    odd = heic(picture(1, 201, 131), chroma=420)
    return {
        "less is declared than coded": (changed(large, b"ispe", 0, 64, 64), "Security limit exceeded"),
        "more is declared than coded": (changed(small, b"ispe", 0, 4096, 4096), "size"),
        "cropped to little": (changed(changed(odd, b"ispe", 0, 9000, 9000), b"clap", 16, 1, 16, 1), "needs 810 MB"),
        "a grid of much": (heic(picture(1, 256, 256), tile_size=64).replace(
            struct.pack(">HH", 256, 256), struct.pack(">HH", 60000, 60000), 1), "Security limit exceeded"),
        "no size": (small.replace(b"ispe", b"free"), "no still picture"),
        "no end": (small[:-200], "truncated"), "the header alone": (small[:60], "HEIF header"),
        "noise": (small[:-400] + np.random.default_rng(1).bytes(400), ""),
        "a box without end": (small.replace(b"meta", b"mets") + b"\xff" * 5000, "no still picture"),
    }


@pytest.mark.parametrize("name", hostile())
def test_what_is_broken_or_hostile_is_named_in_one_line(name):
    data, reason = hostile()[name]
    try:
        decode(data)
        assert not reason, "it was read"
    except UnreadableImage as error:
        assert reason in str(error) and "\n" not in str(error)


def test_serving_reads_it_only_if_asked():
    data, classifier = heic(picture(1)), type("Sized", (), {"image_size": (8, 8)})
    for asked in (False, True):
        batcher = Batcher(heif=asked)
        answer = batcher.read(classifier, data).result(60)
        batcher.close()
        assert isinstance(answer, np.ndarray) if asked else str(answer) == HEIF_OFF.format("HEIF (HEIC)")


def test_without_the_extra_the_message_names_it_beside_conversion(tmp_path, monkeypatch):
    (tmp_path / "photo").write_bytes(heic(picture(1)))
    said = run("""
import sys
sys.modules["pillow_heif"] = None       # as if it were not installed
from graft.images import UnreadableImage, read_image
try:
    read_image(sys.argv[1], (8, 8))
except UnreadableImage as error:
    print(error)
""", tmp_path / "photo")
    assert said.startswith("unsupported format HEIF (HEIC); install the extra `heif` (pip install 'graft[heif]'), or ")
    assert "convert it to JPEG" in said
    monkeypatch.setattr(pillow_heif, "libheif_version", lambda: "1.22.9")
    heif._library.cache_clear()
    assert not heif.is_read()
    heif._library.cache_clear()
