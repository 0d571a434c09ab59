"""Log losses of logits against SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from pipeline import losses

LOGITS, LABELS = np.random.default_rng(2).normal(0, 3, (4000, 3)), np.random.default_rng(3).integers(0, 3, 4000)


def test_log_softmax_is_that_of_scipy():
    np.testing.assert_allclose(losses.log_softmax(LOGITS), log_softmax(LOGITS, axis=1), atol=1e-12)


def test_the_mean_is_the_log_loss_of_scikit_learn():
    expected = log_loss(LABELS, softmax(LOGITS, axis=1))
    assert losses.log_losses(LOGITS, LABELS).mean() == pytest.approx(expected, abs=1e-12)


def test_a_hopeless_answer_costs_much_and_not_infinitely():
    assert losses.log_losses(np.array([[0.0, 5000.0]]), np.array([0])) == [5000.0]
