"""Copies are found however they were made, and pictures that differ are not taken for copies."""

import io
import random

import imagehash
import numpy as np
import pytest
from intake_images import jpeg, picture
from PIL import Image
from scipy.fft import dctn

from pipeline.intake.duplicates import find_groups, find_near_pairs, turn_image, turn_view, turns
from pipeline.intake.fingerprint import GREY_PX, VIEWS, describe, take_fingerprint

SIZE = (240, 180)


def crop(image: Image.Image, share: float, seed: int) -> Image.Image:
    draw = random.Random(seed)
    width, height = int(image.width * share), int(image.height * share)
    left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


T = Image.Transpose
CHANGES = {
    "half the size": lambda image, seed: image.resize((120, 90)),
    "another shape": lambda image, seed: image.resize((180, 180)),
    "a tenth cropped": lambda image, seed: crop(image, 0.9, seed),
    "grey": lambda image, seed: image.convert("L"),
    "cropped, mirrored and turned": lambda image, seed: crop(image, 0.9, seed).transpose(T.TRANSVERSE),
} | {turn.name.lower(): lambda image, seed, turn=turn: image.transpose(turn) for turn in T}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return [fingerprint_of(picture(seed, *SIZE), tmp_path_factory.mktemp("image")) for seed in range(20)]


def fingerprint_of(image, folder, **options):
    (folder / "image.jpg").write_bytes(jpeg(image, **({"quality": 50} | options)))
    return take_fingerprint(folder / "image.jpg")


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found(change, originals, tmp_path):
    """At quality 50, too. 20 pictures, one miss allowed: 95 %."""
    copies = [fingerprint_of(CHANGES[change](picture(seed, *SIZE), seed), tmp_path) for seed in range(20)]
    pairs = set(find_near_pairs(originals + copies))
    expected = {(seed, 20 + seed) for seed in range(20)}
    assert len(expected - pairs) <= 1
    assert not pairs - expected


def test_a_group_is_named_by_its_smallest_hash_and_includes_copies_of_copies(tmp_path):
    image = picture(3, *SIZE)
    first, exact = fingerprint_of(image, tmp_path, quality=90), fingerprint_of(image, tmp_path, quality=90)
    turned = fingerprint_of(image.transpose(T.ROTATE_90), tmp_path)
    other = fingerprint_of(picture(4, *SIZE), tmp_path)
    groups = find_groups([first, other, exact, turned])
    assert groups[0] == groups[2] == groups[3] == min(first.sha256, turned.sha256)
    assert groups[1] == other.sha256


def test_blank_pictures_are_copies_only_when_their_bytes_are_equal(tmp_path):
    blank = [fingerprint_of(Image.new("RGB", SIZE, (shade, shade, shade)), tmp_path) for shade in (10, 128, 240, 128)]
    assert find_near_pairs(blank) == []
    groups = find_groups(blank)
    assert groups[1] == groups[3] and len(set(groups)) == 3


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one(count, originals):
    assert find_groups(originals[:count]) == [each.sha256 for each in originals[:count]]


def test_pictures_of_the_same_kind_are_no_copies(tmp_path):
    """One object on one background, in other places and sizes: like, but not the same."""
    fingerprints = []
    for seed in range(30):
        draw = random.Random(seed)
        image = picture(1000, *SIZE).point(lambda value: value // 4 + 180)
        size = draw.randint(40, 90)
        image.paste(picture(seed, size, size), (draw.randint(10, 140), draw.randint(10, 80)))
        fingerprints.append(fingerprint_of(image, tmp_path))
    assert find_near_pairs(fingerprints) == []


def test_the_description_is_the_discrete_cosine_transform_of_each_view():
    grey = picture(5, *SIZE).convert("L").resize((GREY_PX, GREY_PX))
    found = describe(np.asarray(grey, np.float32))
    weights = np.add.outer(np.arange(6) ** 2, np.arange(6) ** 2) ** 0.25
    for view, (left, top, side) in enumerate(VIEWS):
        box = [left * GREY_PX, top * GREY_PX, (left + side) * GREY_PX, (top + side) * GREY_PX]
        cropped = np.asarray(grey.resize((GREY_PX, GREY_PX), Image.Resampling.BILINEAR, box=box), float)
        expected = dctn(cropped)[:6, :6] * weights
        assert np.corrcoef(found[view].ravel(), expected.ravel())[0, 1] > 0.9995


def test_turning_the_description_is_turning_the_picture():
    grey = np.asarray(picture(5, *SIZE).convert("L").resize((GREY_PX, GREY_PX)), np.float32)
    turned = list(turns(describe(grey)[None]))
    assert len(turned) == 8
    for turn in range(8):
        np.testing.assert_allclose(
            turned[turn][0, 0], describe(turn_image(grey, turn))[0], atol=0.05 * np.abs(turned[turn]).max()
        )


def test_turning_a_view_follows_its_content():
    for turn in range(8):
        for left, top, side in VIEWS:
            marked = np.zeros((100, 100))
            marked[round(top * 100) : round((top + side) * 100), round(left * 100) : round((left + side) * 100)] = 1
            rows, columns = np.nonzero(turn_image(marked, turn))
            expected = (columns.min() / 100, rows.min() / 100, (columns.max() + 1 - columns.min()) / 100)
            assert turn_view((left, top, side), turn) == pytest.approx(expected, abs=0.011)


def test_the_perceptual_hash_is_imagehash_s(tmp_path):
    image = picture(8, *SIZE)
    found = fingerprint_of(image, tmp_path, quality=95)
    assert found.perceptual_hash == str(imagehash.dhash(Image.fromarray(found.grey)))
    assert imagehash.hex_to_hash(found.perceptual_hash) - imagehash.dhash(image) <= 6


def test_measures_are_those_of_the_file(tmp_path):
    data = jpeg(picture(8, 333, 222), quality=90)
    (tmp_path / "a.jpg").write_bytes(data)
    found = take_fingerprint(tmp_path / "a.jpg")
    assert (found.width_px, found.height_px, found.size_bytes, found.mode, found.format) == (
        333,
        222,
        len(data),
        "RGB",
        "JPEG",
    )
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("L").resize((GREY_PX, GREY_PX), Image.Resampling.BOX)
        assert found.contrast == pytest.approx(np.asarray(small).std(), rel=0.15)
