"""The tests of `graft watch` beside SciPy's, and how often they err."""

import numpy as np
import pytest
from scipy import stats

from graft.watch.statistics import fisher, kolmogorov, kolmogorov_smirnov, largest_gap


def test_kolmogorovs_series_is_scipys():
    for distance in (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.36, 2.5, 6.0):
        assert kolmogorov(distance) == pytest.approx(stats.kstwobign.sf(distance), abs=1e-12)


@pytest.mark.parametrize("ours, theirs", [(1000, 300), (100, 60), (150, 4000)])
def test_the_gap_and_its_p_are_those_of_scipys_exact_test(ours, theirs):
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 128, ours), (rng.random(theirs) ** 1.2 * 128).astype(int)
    gap = largest_gap(np.bincount(one, minlength=128), np.bincount(other, minlength=128))
    exact = stats.ks_2samp(one, other)
    assert gap == pytest.approx(exact.statistic, abs=1e-12)
    assert kolmogorov_smirnov(gap, ours, theirs) == pytest.approx(exact.pvalue, rel=0.15, abs=0.002)


@pytest.mark.parametrize("hits, images, others, other_images", [
    (0, 10, 0, 20), (3, 10, 1, 20), (10, 10, 0, 5), (120, 1000, 9, 150), (1, 1000, 0, 3), (400, 1000, 30, 300)])
def test_fishers_test_is_scipys(hits, images, others, other_images):
    table = [[hits, images - hits], [others, other_images - others]]
    assert fisher(hits, images, others, other_images) == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9)


def test_samples_of_one_distribution_are_rarely_found_different():
    """Counting in bins makes the test raise fewer false alarms, not more."""
    rng = np.random.default_rng(2)
    draws = [largest_gap(*(np.bincount((rng.random(size) ** 4 * 32).astype(int), minlength=32) for size in (500, 200)))
             for _ in range(1000)]
    alarms = np.mean([kolmogorov_smirnov(gap, 500, 200) < 0.05 for gap in draws])
    assert 0.01 < alarms < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
