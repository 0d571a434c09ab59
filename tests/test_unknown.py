import zipfile

import numpy as np
import pytest

from graft.model import unknown


def clouds(rng, images=60, units=40, classes=3):
    """Features about one mean a class, all in the same four directions; labels."""
    means = rng.normal(0, 3, (classes, units))
    labels = np.repeat(np.arange(classes), images)
    return means[labels] + rng.normal(0, 1, (len(labels), 4)) @ rng.normal(0, 1, (4, units)) + 0, labels


def test_distance_is_mahalanobis_under_the_full_covariance():
    rng = np.random.default_rng(1)
    features, labels = clouds(rng, units=6)
    reference = unknown.fit(features, labels, 3)
    # six units are all kept as directions: the covariance is that of the scatter within the classes itself
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    means = np.stack([unit[labels == label].mean(axis=0) for label in range(3)])
    variance, rows = np.linalg.eigh(np.cov((unit - means[labels]).T, bias=True))
    variance = np.maximum(variance, float(reference.rest_variance))
    inverse = rows @ np.diag(1 / variance) @ rows.T
    expected = np.min([np.einsum("ij,jk,ik->i", unit - mean, inverse, unit - mean) for mean in means], axis=0)
    np.testing.assert_allclose(unknown.score(features, reference), expected / expected.mean(), rtol=1e-3)


def test_the_images_it_was_learnt_from_score_1_on_average():
    features, labels = clouds(np.random.default_rng(2))
    assert unknown.score(features, unknown.fit(features, labels, 3)).mean() == pytest.approx(1, rel=1e-5)


def test_what_lies_outside_the_known_directions_is_stranger_than_anything_known():
    rng = np.random.default_rng(3)
    features, labels = clouds(rng)
    reference = unknown.fit(features, labels, 3)
    strange = features.mean(axis=0) + rng.normal(0, 3, (50, features.shape[1]))
    assert unknown.score(strange, reference).min() > unknown.score(features, reference).max()


def test_brightness_of_the_features_does_not_matter():
    features, labels = clouds(np.random.default_rng(4))
    reference = unknown.fit(features, labels, 3)
    np.testing.assert_allclose(unknown.score(7 * features, reference), unknown.score(features, reference), rtol=1e-9)


@pytest.mark.parametrize("change", [
    {"class_means": np.ones(40, np.float32)}, {"class_means": np.ones((0, 40), np.float32)}, {"usual": np.float32(0)},
    {"variances": np.ones(5, np.float32)}, {"usual": np.float32(np.nan)}, {"rest_variance": np.array("x")}])
def test_a_file_whose_arrays_do_not_fit_is_no_reference(change, tmp_path):
    reference = unknown.fit(*clouds(np.random.default_rng(1)), 3)
    np.savez(tmp_path / "unknown.npz", **(vars(reference) | change))
    with pytest.raises(ValueError, match="expected"):
        unknown.load(tmp_path / "unknown.npz")


@pytest.mark.parametrize("images", [1, 2, 3])
def test_few_images_give_finite_scores(images):
    features, labels = clouds(np.random.default_rng(5), images=images)
    reference = unknown.fit(features, labels, 3)
    assert np.isfinite(unknown.score(np.vstack([features, np.zeros((1, 40))]), reference)).all()


@pytest.mark.parametrize("acceptance", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("images", [30, 150])
def test_threshold_accepts_its_share_of_new_images(acceptance, images):
    rng = np.random.default_rng(6)
    accepted = [(rng.exponential(size=200) <= unknown.threshold(rng.exponential(size=images), acceptance)).mean()
                for _ in range(1500)]
    # known: the mean is between acceptance and acceptance + 1 / (images + 1)
    assert acceptance - 0.003 <= np.mean(accepted) <= acceptance + 1 / (images + 1) + 0.003


def test_threshold_of_few_scores_or_of_all_is_the_largest():
    assert unknown.threshold(np.array([3.0, 1.0, 2.0]), 0.95) == 3
    assert unknown.threshold(np.arange(100.0), 1.0) == 99


def test_saved_is_what_is_loaded_and_its_bytes_do_not_change(tmp_path):
    features, labels = clouds(np.random.default_rng(7))
    reference = unknown.fit(features, labels, 3)
    unknown.save(tmp_path / "a.npz", reference)
    unknown.save(tmp_path / "b.npz", reference)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}, "a clock time"
    np.testing.assert_array_equal(
        unknown.score(features, unknown.load(tmp_path / "a.npz")), unknown.score(features, reference)
    )


def test_fewer_images_than_units_give_the_covariance_of_all_units():
    """The oracle decomposes the covariance of the units; `fit` decomposes the products of the images."""
    features, labels = clouds(np.random.default_rng(8), images=12, units=90)
    reference = unknown.fit(features, labels, 3)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    scatter = unit - np.stack([unit[labels == label].mean(axis=0) for label in range(3)])[labels]
    variance, directions = np.linalg.eigh(np.cov(scatter.T, bias=True))
    kept = reference.directions.shape[1]
    assert kept == 7        # `clouds` varies in four directions, and scaling to length 1 adds each class's mean
    np.testing.assert_allclose(reference.variances, variance[::-1][:kept].clip(reference.rest_variance), rtol=1e-4)
    np.testing.assert_allclose(abs(reference.directions.T @ directions[:, ::-1][:, :kept]), np.eye(kept), atol=1e-4)
