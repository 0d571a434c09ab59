import numpy as np
import pytest
from populations import draw
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.evaluation import areas


@pytest.mark.parametrize("digits", [1, 2, 12])      # few digits: many equal scores
def test_areas_of_counted_images_are_those_of_scikit_learn(digits):
    rng = np.random.default_rng(1)
    own = rng.random(60) < 0.3
    scores = (rng.normal(size=60) + own).round(digits)
    counts = np.vstack([np.ones(60, dtype=int), rng.multinomial(60, np.full(60, 1 / 60), 20)])
    roc, precision = areas.areas(scores, own, counts)
    assert roc == pytest.approx([roc_auc_score(own, scores, sample_weight=each) for each in counts], abs=1e-12)
    expected = [average_precision_score(own, scores, sample_weight=each) for each in counts]
    assert precision == pytest.approx(expected, abs=1e-12)


def test_a_draw_without_the_class_is_undefined():
    roc, _ = areas.areas(np.array([0.1, 0.9]), np.array([True, False]), np.array([[0, 2]]))
    assert np.isnan(roc).all()


def test_classes_that_do_not_occur_are_undefined_and_left_out_of_the_mean():
    probabilities, labels = draw(np.random.default_rng(2), 80, 4, 1.5)
    labels[labels == 3] = 0
    rows, means = areas.class_areas(probabilities, labels, 0.95, 100, np.random.default_rng(3))
    assert np.isnan(rows[3]["roc_auc"]) and np.isnan(rows[3]["average_precision_high"])
    assert means["roc_auc"][0] == pytest.approx(np.mean([row["roc_auc"] for row in rows[:3]]))


def test_one_class_alone_has_no_area():
    rows, means = areas.class_areas(np.full((5, 2), 0.5), np.zeros(5, dtype=int), 0.95, 100, np.random.default_rng(4))
    assert means == {} and np.isnan(rows[0]["roc_auc"])


def test_a_perfect_model_is_not_certain():
    labels = np.arange(40) % 2
    probabilities = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
    _, means = areas.class_areas(probabilities, labels, 0.95, 100, np.random.default_rng(5))
    for value, low, high in means.values():
        assert value == high == 1 and 0.7 < low < 0.99


@pytest.mark.parametrize(("classes", "images", "signal"), [(2, 200, 1.2), (3, 300, 2.2)])
def test_coverage(classes, images, signal):
    rng = np.random.default_rng(6)
    large = areas.class_areas(*draw(rng, 40_000, classes, signal), 0.95, 100, rng)
    covered = {"roc_auc": [], "average_precision": []}
    for _ in range(150):
        rows, means = areas.class_areas(*draw(rng, images, classes, signal), 0.95, 100, rng)
        for name, flags in covered.items():
            flags.append(rows[0][f"{name}_low"] <= large[0][0][name] <= rows[0][f"{name}_high"])
            flags.append(means[name][1] <= large[1][name][0] <= means[name][2])
    for name, flags in covered.items():
        assert 0.92 <= np.mean(flags) <= 0.99, name
