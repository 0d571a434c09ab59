"""The learning curve and its extrapolation, on errors whose law is known."""

import numpy as np
import pytest

from pipeline.probing import curve, selection
from pipeline.probing.folds import assign_folds


def test_a_power_law_is_continued():
    """Errors of 32, 16 and 8 of 100 images halve with each doubling."""
    right = np.array([np.arange(100) >= wrong for wrong in (32, 16, 8)], float)
    found = curve.forecast(right)
    assert abs(found.value - 0.96) < 0.01
    assert found.low < found.value < found.high


def test_more_images_are_never_said_to_harm_and_an_error_is_not_said_to_vanish():
    worse = np.array([np.arange(50) >= wrong for wrong in (5, 10, 15)], float)
    assert curve.forecast(worse).value <= 0.9
    assert curve.forecast(np.ones((3, 20))).value < 1


def test_the_interval_holds_the_accuracy_with_twice_the_images_in_most_tries():
    """Images are answered right by a law of the error: 0.4, 0.3, 0.225, and with twice the images 0.169."""
    random, held = np.random.default_rng(2), 0
    for _ in range(100):
        difficulty = random.uniform(size=150)
        right = np.array([difficulty > error for error in (0.4, 0.3, 0.225)], float)
        found = curve.forecast(right)
        held += found.low <= 1 - 0.16875 <= found.high
    assert held >= 80


def test_a_curve_rises_with_the_images_and_ends_with_all_of_them():
    random = np.random.default_rng(1)
    labels = np.arange(160) % 4
    plain = (random.normal(size=(4, 40))[labels] * 0.7 + random.normal(size=(160, 40))).astype(np.float32)
    folds = assign_folds(labels, np.arange(160).astype(str), 5)
    features = selection.Features(plain, plain, labels, folds, 4)
    found = curve.learning_curve(features, 10.0, False)
    assert found.images.tolist() == [32, 64, 128]
    assert found.right.mean(axis=1)[0] < found.right.mean(axis=1)[2]
    given = curve.learning_curve(features, 10.0, False, np.eye(4)[labels])      # of heads that are always right
    assert np.array_equal(given.losses[:2], found.losses[:2]) and given.right[2].all()
    [everything] = selection.answers_out_of_fold(features, 10.0, False, [np.ones(160, bool)])
    assert np.array_equal(found.right[2], everything.argmax(axis=1) == labels)


@pytest.mark.parametrize("images", [2, 3, 4, 6])
def test_a_head_that_learnt_from_no_image_answers_all_alike(images):
    """Of so few images in a class, a quarter lies in one fold, without which there is nothing to learn from."""
    labels = np.repeat([0, 1], images)
    plain = np.random.default_rng(1).normal(size=(len(labels), 8)).astype(np.float32)
    folds = assign_folds(labels, np.arange(len(labels)).astype(str), 5)
    found = curve.learning_curve(selection.Features(plain, plain, labels, folds, 2), 10.0, False)
    assert np.isfinite(found.losses).all()
