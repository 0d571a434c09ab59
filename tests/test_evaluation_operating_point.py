import numpy as np
import populations
import pytest
from scipy.stats import binomtest

from pipeline.evaluation import operating_point
from pipeline.evaluation.intervals import exact_low
from tasks import export


def test_the_exact_interval_is_scipys():
    hits, images = np.array([0, 1, 9, 59, 300]), np.array([5, 1, 10, 59, 317])
    expected = [binomtest(hit, count, alternative="greater").proportion_ci(0.95, method="exact").low
                for hit, count in zip(hits, images)]
    assert exact_low(hits, images, 0.95) == pytest.approx(expected)


def test_by_hand():
    """59 right answers in a row prove 95 % (0.95^59 < 5 %), and 58 do not."""
    confidences, is_right = np.linspace(0.99, 0.41, 59), np.ones(59, dtype=bool)
    assert operating_point.find(confidences, is_right, 0.95) == 0
    assert operating_point.find(confidences[:58], is_right[:58], 0.95) == 1
    with_a_mistake = np.append(confidences, 0.3), np.append(is_right, False)
    assert operating_point.find(*with_a_mistake, 0.95) == 0.3
    assert operating_point.find(*with_a_mistake, 0.0) == 0


def test_equal_confidences_are_not_torn_apart():
    confidences, is_right = np.array([0.9] * 59 + [0.9, 0.2]), np.array([True] * 59 + [False, False])
    assert operating_point.find(confidences, is_right, 0.95) == 1
    assert operating_point.find(confidences, is_right, 0.92) == 0.2


@pytest.mark.parametrize("wanted", [0.9, 0.97])
def test_answers_above_the_point_reach_the_precision(wanted):
    rng = np.random.default_rng(1)
    everyone = populations.answers(*populations.draw(rng, 200_000, 4, 2.2))
    reached, shares = 0, []
    for _ in range(200):
        some = rng.integers(0, len(everyone.labels), 500)
        point = operating_point.find(everyone.confidences[some], everyone.is_right[some], wanted)
        sure = everyone.confidences > point
        reached += not sure.any() or everyone.is_right[sure].mean() >= wanted
        shares.append(sure.mean())
    assert reached >= 0.92 * 200 and np.median(shares) > 0.4


def test_export_tells_what_it_found(capsys):
    logits, labels = np.array([[3.0, 0.0]] * 60 + [[0.1, 0.0]]), np.array([0] * 60 + [1])
    assert export.operating_point(logits, labels, 1.0, 0.0) is None
    assert export.operating_point(logits, labels, 2.0, 0.95) == pytest.approx(1 / (1 + np.exp(-0.05)))
    assert "98.4% of 61 held-out answers are surer than 51.2%" in capsys.readouterr().out
    assert export.operating_point(logits, labels, 1.0, 0.99) == 1
    assert "every answer will be unsure" in capsys.readouterr().out
