import numpy as np
import pytest
from populations import draw
from scipy.stats import binomtest

from pipeline.evaluation import calibration, intervals

DRAWS = 1000


@pytest.mark.parametrize(("hits", "images"), [(0, 7), (7, 7), (3, 10), (97, 100), (1990, 2000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_proportion_is_wilsons_interval_of_scipy(hits, images, confidence):
    expected = binomtest(hits, images).proportion_ci(confidence, method="wilson")
    assert intervals.proportion(hits / images, images, confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_no_images_say_nothing():
    assert intervals.proportion(0.0, 0, 0.95) == (0, 1)


@pytest.mark.parametrize(("share", "images"), [(0.98, 150), (0.9, 400), (0.5, 60)])
def test_coverage_of_a_proportion(share, images):
    hits = np.random.default_rng(1).binomial(images, share, DRAWS)
    assert 0.93 <= covered((intervals.proportion(each / images, images, 0.95) for each in hits), share) <= 0.98


@pytest.mark.parametrize(("hits", "images", "floor"), [(0, 2, 0.3), (4, 9, 0.6), (79, 100, 0.8), (1, 2, 0.999)])
def test_so_many_images_put_the_interval_below_a_floor_and_one_fewer_does_not(hits, images, floor):
    needed = intervals.images_to_exclude(floor, hits / images, 0.95)
    ends = [intervals.proportion(hits / images, number, 0.95)[1] for number in (needed - 1, needed)]
    assert ends[1] < floor <= ends[0]


def test_f1_is_the_interval_of_its_share():
    # 30 hits, 4 misses, 6 false alarms: F1 = 60 / 70
    low, high = intervals.f1(30 / 40, 40, 0.95)
    assert low < 60 / 70 < high
    wilson = binomtest(30, 40).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((2 * wilson.low / (1 + wilson.low), 2 * wilson.high / (1 + wilson.high)))


def test_coverage_of_f1():
    rng = np.random.default_rng(2)
    cells = rng.multinomial(300, [0.3, 0.05, 0.03, 0.62], DRAWS)        # hits, misses, false alarms, rest
    found = (intervals.f1(hits / (hits + misses + alarms), hits + misses + alarms, 0.95)
             for hits, misses, alarms, _ in cells)
    assert 0.93 <= covered(found, 2 * 0.3 / (2 * 0.3 + 0.05 + 0.03)) <= 0.97


def test_coverage_of_a_mean_of_proportions():
    rng, shares, images = np.random.default_rng(3), np.array([0.95, 0.8, 0.6]), np.array([40, 90, 60])
    found = []
    for hits in rng.binomial(images, shares, (DRAWS, 3)):
        edges = np.array([intervals.proportion(*each, 0.95) for each in zip(hits / images, images)])
        found.append(intervals.mean_of(hits / images, *edges.T))
    assert 0.93 <= covered(found, shares.mean()) <= 0.97


@pytest.mark.parametrize(("share", "classes", "images"), [(0.95, 24, 10), (0.97, 60, 4), (0.9, 2, 100)])
def test_coverage_of_a_mean_share_of_many_small_classes(share, classes, images):
    found = []
    for hits in np.random.default_rng(9).binomial(images, share, (DRAWS, classes)) / images:
        edges = np.array([intervals.proportion(each, images, 0.95) for each in hits])
        shrunk = (hits * images + hits.mean()) / (images + 1)
        variance = (shrunk * (1 - shrunk) / images).sum() / classes**2
        found.append(intervals.mean_share(hits, *edges.T, variance, 0.95))
    assert 0.93 <= covered(found, share) <= 0.97


def test_mean_of_estimates_that_go_together_is_no_surer_than_one_of_them():
    together = np.ones((3, 3))
    assert intervals.mean_of([0.5] * 3, [0.4] * 3, [0.7] * 3, together) == pytest.approx((0.4, 0.7))
    low, high = intervals.mean_of([0.5] * 3, [0.4] * 3, [0.7] * 3)
    assert (low, high) == pytest.approx((0.5 - 0.1 / 3**0.5, 0.5 + 0.2 / 3**0.5))


def test_roc_area_of_a_perfect_ranking_is_not_certain():
    low, high = intervals.roc_area(1.0, 20, 30, 1.0, 0.95)
    assert 0.8 < low < 1 and high == 1
    # its edge solves (1 - edge)² = z² · variance(edge)
    assert (1 - low) ** 2 == pytest.approx(1.959964**2 * intervals.roc_variance(low, 20, 30), rel=1e-5)


@pytest.mark.parametrize(("images", "classes", "signal"), [(200, 2, 2.9), (300, 5, 2.5)])
def test_coverage_of_log_loss(images, classes, signal):
    rng = np.random.default_rng(4)
    true = calibration.losses(*draw(rng, 1_000_000, classes, signal)).mean()
    found = [intervals.mean_loss(calibration.losses(*draw(rng, images, classes, signal)), 0.95, 200, rng)
             for _ in range(DRAWS)]
    assert 0.91 <= covered(found, true) <= 0.97       # 98 % right: four mistakes carry it


def test_log_loss_of_equal_losses_and_of_one_mistake_stays_finite():
    rng = np.random.default_rng(5)
    assert intervals.mean_loss(np.full(9, 0.25), 0.95, 100, rng) == (0.25, 0.25)
    low, high = intervals.mean_loss(np.array([0.0] * 19 + [3.0]), 0.95, 1000, rng)
    assert 0 <= low < 0.15 < high < 10


@pytest.mark.parametrize("sharpness", [2.5, 0.6])
def test_coverage_of_the_calibration_error(sharpness):
    rng = np.random.default_rng(6)

    def sample(images):
        probabilities, labels = draw(rng, images, 3, 1.8, sharpness)
        return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels

    true = calibration.calibration_error(*sample(1_000_000))
    assert true > 0.02
    found = [intervals.calibration_error(*sample(400), 0.95, 500, rng) for _ in range(300)]
    assert 0.92 <= covered(found, true) <= 0.99


def test_the_calibration_error_of_a_perfect_model_may_be_nothing_but_chance():
    rng = np.random.default_rng(7)
    lows = []
    for _ in range(200):
        probabilities, labels = draw(rng, 300, 3, 1.8)
        is_right = probabilities.argmax(axis=1) == labels
        lows.append(intervals.calibration_error(probabilities.max(axis=1), is_right, 0.95, 200, rng)[0])
    assert np.mean(np.array(lows) == 0) >= 0.93     # the plain estimate is never 0


def covered(found, true: float) -> float:
    """The share of intervals that hold the true value."""
    return float(np.mean([low <= true <= high for low, high in found]))
