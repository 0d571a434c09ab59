"""What is alike is not the same: a colour or a small place tells two pictures apart, and a chain is no group."""

import io
import random
from itertools import combinations

import numpy as np
import pytest
from intake_images import jpeg, picture
from look_alikes import PAIRS, photograph
from PIL import Image

from pipeline.intake.duplicates import find_groups, find_near_pairs
from pipeline.intake.fingerprint import take_fingerprint
from pipeline.intake.grouping import group_alike


def fingerprint_of(image: Image.Image, quality: int = 90):
    return take_fingerprint(jpeg(image, quality=quality))


@pytest.mark.parametrize("name", PAIRS)
def test_classes_that_differ_in_little_share_no_group(name):
    photographs = [[fingerprint_of(photograph(name, state, seed)) for seed in range(6)] for state in (0, 1)]
    groups = find_groups([*photographs[0], *photographs[1]])
    assert not set(groups[:6]) & set(groups[6:])


@pytest.mark.parametrize("name", PAIRS)
def test_a_copy_of_each_is_found(name):
    image = photograph(name, 0, 0)
    assert find_near_pairs([fingerprint_of(image), fingerprint_of(image, quality=50)]) == [(0, 1)]


def turn_hue(image: Image.Image, degrees: int) -> Image.Image:
    hue, *others = image.convert("HSV").split()
    turned = hue.point(lambda value: (value + degrees * 256 // 360) % 256)
    return Image.merge("HSV", (turned, *others)).convert("RGB")


def test_another_hue_is_another_picture_and_black_and_white_is_a_copy():
    images = [picture(seed, 240, 180) for seed in range(5)]
    for change, expected in ((lambda image: turn_hue(image, 120), 0), (lambda image: image.convert("L"), 5)):
        fingerprints = [fingerprint_of(image) for image in (*images, *map(change, images))]
        assert len(find_near_pairs(fingerprints)) == expected


def test_a_panning_camera_makes_no_group_whose_ends_have_nothing_in_common():
    """Each view overlaps the next by 95 %, the first and the last by nothing, in any order of the files."""
    wide = picture(11, 800, 180)
    views = [fingerprint_of(wide.crop((12 * step, 0, 12 * step + 240, 180))) for step in range(24)]
    groups = find_groups(views)
    assert 1 < len(set(groups)) < len(views)
    for name in set(groups):
        steps = [step for step, group in enumerate(groups) if group == name]
        assert max(steps) - min(steps) <= 4
    order = random.Random(1).sample(range(len(views)), len(views))
    assert find_groups([views[step] for step in order]) == [groups[step] for step in order]


def test_a_chain_is_divided_and_a_set_of_copies_is_not():
    """Pictures are numbers, alike if they differ by one; then all numbers are alike, and few of the pairs are known."""
    chain = [(number, number + 1) for number in range(6)]
    for seed in range(5):
        shuffled = [random.Random(seed).choice((pair, pair[::-1])) for pair in random.Random(seed).sample(chain, 6)]
        groups = group_alike(shuffled, lambda one, others: all(abs(one - other) == 1 for other in others))
        assert groups == [[1, 0], [2, 3], [4, 5]]
    copies = [(number, (number + 1) % 50) for number in range(50)]
    assert sorted(group_alike(copies, lambda one, others: True)[0]) == list(range(50))


def test_no_two_members_of_a_small_group_are_unlike():
    rng = np.random.default_rng(3)
    places = rng.random(120)

    def alike(one, others):
        return all(abs(places[one] - places[other]) < 0.05 for other in others)

    groups = group_alike([pair for pair in combinations(range(120), 2) if alike(pair[0], pair[1:])], alike)
    assert groups and all(alike(one, [other]) for group in groups for one, other in combinations(group[:9], 2))


def test_pictures_of_one_shade_are_no_copies_of_each_other():
    blank = [Image.new("RGB", (240, 180), shade) for shade in ("#141414", "#161616", "#e0e0e0", "#e2e2e2")]
    noisy = [Image.fromarray(np.random.default_rng(seed).integers(16, 20, (180, 240, 3), np.uint8))
             for seed in range(4)]
    assert len(set(find_groups([fingerprint_of(image) for image in (*blank, *noisy)]))) == 8
    saved = io.BytesIO()
    blank[0].save(saved, "PNG")
    assert len(set(find_groups([take_fingerprint(saved.getvalue())] * 2))) == 1
