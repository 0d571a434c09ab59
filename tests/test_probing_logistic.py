"""The optimum against scikit-learn's, which finds it by another method."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.losses import log_softmax
from pipeline.probing import logistic


def sample(rows, units, classes, seed=1):
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    features = random.normal(size=(classes, units))[labels] * 0.5 + random.normal(size=(rows, units))
    return (features * random.uniform(0.01, 100, units) + 5).astype(np.float32), labels


@pytest.mark.parametrize("rows,units,classes,penalty", [(90, 200, 3, 10.0), (300, 20, 4, 1.0), (60, 30, 3, 0.1)])
def test_the_optimum_is_that_of_scikit_learn(rows, units, classes, penalty):
    features, labels = sample(rows, units, classes)
    axes = logistic.principal_axes(features)
    projected = axes.project(features)
    weights = np.random.default_rng(2).uniform(0.2, 1, rows)
    found = axes.head(logistic.fit(projected, labels, classes, penalty, weights=weights)).logits(features)
    theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000)
    expected = theirs.fit(projected, labels, sample_weight=weights).predict_log_proba(projected)
    assert np.abs(log_softmax(found) - expected).max() < 2e-3


def test_the_start_and_the_order_of_the_rows_do_not_move_the_optimum():
    features, labels = sample(80, 30, 4)
    rows = logistic.principal_axes(features).project(features)
    found = logistic.fit(rows, labels, 4, 3.0)
    order = np.random.default_rng(3).permutation(80)
    other = logistic.fit(rows[order], labels[order], 4, 3.0, start=np.ones_like(found))
    one, same = (log_softmax(rows @ each[:-1] + each[-1]) for each in (found, other))
    np.testing.assert_allclose(one, same, atol=1e-3)


def test_a_constant_feature_and_an_absent_class_do_no_harm():
    features, labels = sample(40, 40, 2)
    features[:, 3] = 7
    axes = logistic.principal_axes(features)
    logits = axes.head(logistic.fit(axes.project(features), labels, 3, 1.0)).logits(features)
    assert np.isfinite(logits).all()
    assert (logits.argmax(axis=1) == labels).mean() > 0.9


def test_a_weight_counts_as_so_many_rows():
    features, labels = sample(40, 10, 3)
    rows = logistic.principal_axes(features).project(features)
    twice = logistic.fit(np.repeat(rows, 2, axis=0), np.repeat(labels, 2), 3, 2.0, weights=np.full(80, 0.5))
    np.testing.assert_allclose(twice, logistic.fit(rows, labels, 3, 2.0), atol=1e-3)


@pytest.mark.parametrize("columns", [64, 4])
def test_fits_that_are_computed_together_are_those_of_each(columns, monkeypatch):
    """All three at once, or one after the other, with rows that are left out of one, of two, or of all."""
    monkeypatch.setattr(logistic, "MOST_COLUMNS", columns)
    features, labels = sample(90, 30, 4)
    rows = logistic.principal_axes(features).project(features)
    weights = np.stack([np.arange(90) % 9 > left_out for left_out in (1, 2, 0)]) / 2
    found = logistic.fit_each(rows, labels, 4, 3.0, weights, starts=np.ones((3, rows.shape[1] + 1, 4)), tolerance=1e-7)
    assert len(found) == 3
    for one, own in zip(found, weights):
        expected = logistic.fit(rows, labels, 4, 3.0, weights=own)
        same, theirs = (log_softmax(rows @ each[:-1] + each[-1]) for each in (one, expected))
        np.testing.assert_allclose(same, theirs, atol=2e-3)


def test_the_axes_are_those_of_a_full_decomposition():
    features, _ = sample(200, 60, 3)
    axes = logistic.principal_axes(features)
    standardized = (features.astype(np.float64) - axes.mean) / axes.scale
    np.testing.assert_allclose(axes.directions.T @ axes.directions, np.eye(axes.directions.shape[1]), atol=1e-5)
    expected = np.linalg.svd(standardized, compute_uv=False)
    found = np.sort(np.linalg.norm(standardized @ axes.directions, axis=0))[::-1]
    np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-4)
