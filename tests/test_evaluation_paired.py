import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.evaluation import paired


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (12, 3), (3, 12), (60, 40)])
def test_chance_is_the_exact_sign_test(wins, losses):
    expected = binomtest(wins, wins + losses, alternative="greater").pvalue if wins + losses else 1.0
    assert paired.chance_of(wins, losses) == pytest.approx(expected, abs=1e-12)


def test_interval_of_a_hand_made_case():
    # 12 won, 4 lost of 98: (13 - 5) / 100 ± 1.96 · sqrt((0.13 + 0.05 - 0.08²) / 100)
    low, high = paired.difference_interval(12, 4, 98, 0.95)
    assert (low, high) == pytest.approx((0.08 - 1.959964 * 0.0416653, 0.08 + 1.959964 * 0.0416653), abs=1e-6)


@pytest.mark.parametrize("shares", [(0.05, 0.02), (0.1, 0.1), (0.01, 0.01)])
def test_coverage_of_the_difference(shares):
    counts = np.random.default_rng(1).multinomial(500, [*shares, 1 - sum(shares)], 1000)
    found = [paired.difference_interval(wins, losses, 500, 0.95) for wins, losses, _ in counts]
    assert 0.93 <= np.mean([low <= shares[0] - shares[1] <= high for low, high in found]) <= 0.99


def test_no_image_and_no_disagreement_leave_an_interval():
    assert paired.difference_interval(0, 0, 0, 0.95) == (-1, 1)
    low, high = paired.difference_interval(0, 0, 100, 0.95)
    assert -0.05 < low < 0 < high < 0.05
