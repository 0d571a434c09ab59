"""The three sentences for somebody who decides, and what certainty costs: against counts made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from populations import answers
from scipy import stats

from pipeline.evaluation import coverage, metrics
from pipeline.evaluation.verdict import chance_of_as_many, give_verdict


def make(rights, confidences=None, names=2):
    """Answers to images of class 0 and 1 in turn, right where `rights` says so."""
    labels = np.arange(len(rights)) % names
    predicted = np.where(rights, labels, (labels + 1) % names)
    sure = np.full(len(rights), 0.9) if confidences is None else np.asarray(confidences)
    probabilities = np.full((len(rights), names), ((1 - sure) / (names - 1))[:, None])
    probabilities[np.arange(len(rights)), predicted] = sure
    return answers(probabilities, labels)


def sentences(given, suspects=0, twice=None):
    overall, classes = metrics.measure(given, 1.0, 0.95, 100, 1)
    return list(give_verdict(given, overall["accuracy"], classes, suspects, twice).values())


def test_the_first_sentence_counts_wrong_answers_in_a_hundred():
    may, not_for, helps = sentences(make(np.arange(1000) >= 30))
    assert may == ("Only where about 3 wrong answers in 100 do no harm: of 100 new images like these, it would answer "
                   "about 97 right (between 96 and 98).")
    assert not_for.startswith("Not for images of anything but its 2 classes") and "none is proven" in not_for
    assert helps.startswith("More images of class 0 and class 1")


def test_what_guessing_reaches_is_no_use():
    may = sentences(make(np.arange(60) % 4 < 2))[0]
    assert may.startswith("No: of 100") and "always answering “class 0”" in may


def test_a_class_below_the_others_beyond_chance_is_named():
    rights = np.arange(300) % 3 > 0             # every image of class 0 is wrong
    assert sentences(make(rights, names=3))[1].startswith(
        "Not where class 0 must be recognised: 0 of these 100 test images were, which is less often than the others")


def test_one_mistake_makes_no_class_weak_nor_asks_for_its_images():
    _, not_for, helps = sentences(make(np.arange(300) > 0, names=10))
    assert "none is proven to be weaker" in not_for
    assert helps.startswith("Little: it made 1 mistake in 300 test images.")


@pytest.mark.parametrize("images, suspects, gain, words", [
    (20, 0, 0.1, "More images, for the test split too: 20 test images"), (1000, 20, 0.1, "20 of the test images seem"),
    (1000, 0, 0.03, "twice as many would bring about 3 points of accuracy, most for a, b and c."),
    (1000, 0, 0.01, "about 1 point of accuracy, most for a, b and c."),
    (1000, 0, 0.001, "More images of class 0")])
def test_the_largest_gain_is_advised(images, suspects, gain, words):
    twice = {"all": {"value": 0.9 + gain, "accuracy": 0.9}, "classes": [{"class": name} for name in "abc"]}
    assert words in sentences(make(np.arange(images) >= images // 20), suspects, twice)[2]


def test_one_label_that_looks_wrong_is_one():
    assert "1 of the test images seems to have a wrong one" in sentences(make(np.arange(1000) >= 3), suspects=1)[2]


def test_the_probability_for_a_target_keeps_as_many_answers_as_reach_it():
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 400).round(2)            # with equal ones
    given = make(rng.random(400) < sure, sure)
    for row in coverage.costs(given, 0.95):
        for least in np.unique(sure):
            kept = sure >= least
            if kept.sum() >= coverage.LEAST_KEPT and kept.mean() > (row["kept"] or 0) + 1e-9:
                assert given.is_right[kept].mean() < row["target"]
        if row["kept"]:
            kept = sure >= row["least"]
            assert row["kept"] == kept.mean() and row["right"]["value"] == given.is_right[kept].mean() >= row["target"]


def test_unknown_answers_are_left_to_a_person_first():
    given = make([True] * 16 + [False] * 4, [0.6] * 16 + [0.99] * 4)
    assert coverage.costs(replace(given, is_unknown=np.arange(20) > 15), 0.95)[-1]["kept"] == 0.8


def test_the_curve_can_be_drawn_without_a_mistake_and_with_nothing_else():
    for right in (True, False):
        assert coverage.draw_coverage(make([right] * 12), 0.95).axes


def test_a_report_with_a_class_without_test_images_has_a_verdict():
    given = answers(np.eye(3)[[0, 1] * 20], np.array([0, 1] * 20))
    assert all(sentences(given)) and isinstance(metrics.measure(given, 1.0, 0.95, 100, 1)[1], pd.DataFrame)


def test_the_chance_of_as_many_mistakes_in_a_class_is_scipys():
    for wrong, mistakes, images, everything in ((0, 3, 10, 40), (3, 3, 10, 40), (2, 9, 5, 12), (40, 60, 200, 3000)):
        assert chance_of_as_many(wrong, mistakes, images, everything) == pytest.approx(
            stats.hypergeom.sf(wrong - 1, everything, mistakes, images), rel=1e-9)
