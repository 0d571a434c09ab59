"""Detect unknown images: a score, from the model's pooled features, of how unlike the training images an image is.

The features are scaled to length 1, and each class is a Gaussian around its mean. All classes share one covariance,
that of probabilistic PCA (Tipping & Bishop 1999): separate variances along the leading directions of the within-class
scatter, and one small variance along all other directions. The score is the squared Mahalanobis distance to the nearest
class mean (Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"), divided by its
mean over the training images: about 1 for an image like them. Unknown images differ mostly along the *other*
directions, which is why those are kept.

An image whose score exceeds a threshold fitted on val is unknown. `benchmarks/evaluation.py` compares this score with
others.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

DIRECTIONS = 32
MIN_REST = 0.1      # share of the mean variance: with few images, some directions would have a variance of 0


@dataclass(frozen=True)
class Reference:
    """The distribution of the training images' features.

    Attributes:
        class_means: float32 `(classes, units)`, means of features scaled to length 1.
        directions: float32 `(units, directions)`, orthonormal.
        variances: float32 `(directions,)`, above 0.
        rest_variance: float32 `()`, above 0, the variance along each of the other directions.
        usual: float32 `()`, above 0, the mean squared distance of the training images.
    """

    class_means: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest_variance: np.ndarray
    usual: np.ndarray


def fit(features: np.ndarray, labels: np.ndarray, classes: int) -> Reference:
    """Fit the reference to training images.

    Args:
        features: float `(images, units)`, the model's pooled features.
        labels: int `(images,)` in 0 to `classes` - 1; every class occurs.
    """
    features = _to_length_1(features.astype(np.float64))
    means = np.stack([features[labels == label].mean(axis=0) for label in range(classes)])
    variance, directions = _principal_directions(features - means[labels])
    units, kept = features.shape[1], directions.shape[1]
    least = max(MIN_REST * variance.sum() / units, 1e-12)
    rest = max(variance[kept:].sum() / max(units - kept, 1), least)
    arrays = means, directions, np.maximum(variance[:kept], rest), np.float64(rest), np.float64(1)
    reference = Reference(*(np.asarray(array, np.float32) for array in arrays))
    usual = max(score(features, reference).mean(), 1e-12)
    return replace(reference, usual=np.asarray(usual, np.float32))


def score(features: np.ndarray, reference: Reference) -> np.ndarray:
    """The unknown scores of images: the squared distance to the nearest class mean, divided by `reference.usual`.

    Args:
        features: float `(images, units)`, the model's pooled features.

    Returns:
        float64 `(images,)`, from 0; the higher, the less an image is like the training images.
    """
    features = _to_length_1(features.astype(np.float64))
    return _squared_distances(features, reference).min(axis=1) / float(reference.usual)


def spread(reference: Reference) -> float:
    """How far the features of two images of one class are apart: the root of their mean squared distance.

    That is twice the variance of the class; features have the length 1.
    """
    units, kept = reference.directions.shape
    return float(np.sqrt(2 * (reference.variances.sum() + (units - kept) * reference.rest_variance)))


def threshold(scores: np.ndarray, acceptance: float) -> float:
    """The score that a new image of the known classes does not exceed with a probability of at least `acceptance`.

    It is the `(n + 1) · acceptance`-th smallest of the n scores, as in split conformal prediction; their plain quantile
    would accept too few new images. With too few scores it is the largest one.

    Args:
        scores: float `(images,)`, the scores of val images.
        acceptance: in 0 to 1.
    """
    rank = int(np.ceil((len(scores) + 1) * acceptance - 1e-9))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def save(path: str | Path, reference: Reference) -> None:
    """Write an `.npz` file; the same reference always gives the same bytes (NumPy stores no time in it)."""
    np.savez(path, **vars(reference))


def load(path: str | Path) -> Reference:
    """Read what `save` wrote. Raises `OSError`, `ValueError` or `KeyError` if the file contains no reference."""
    with np.load(Path(path), allow_pickle=False) as arrays:
        found = Reference(**{name: arrays[name] for name in Reference.__dataclass_fields__})
    units, kept = (*found.directions.shape, 0, 0)[:2]
    shapes = {"class_means": (max(len(found.class_means), 1), units), "directions": (units, kept), "variances": (kept,),
              "rest_variance": (), "usual": ()}
    for name, shape in shapes.items():
        array = getattr(found, name)
        if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers in the shape {shape}")
    if min(found.variances.min(initial=1), found.rest_variance, found.usual) <= 0:
        raise ValueError("expected variances above 0")
    return found


def _principal_directions(scatter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decompose the covariance of centred rows, float64 `(images, units)`.

    Fewer images than units are decomposed by the products of the images instead: they have the same eigenvalues above
    0, and a matrix of 300 images takes a thirtieth of the time of one of 1,280 units.

    Returns:
        The variances along all directions that have any, in descending order; and the first `DIRECTIONS` of these
        directions, orthonormal `(units, directions)`.
    """
    images, units = scatter.shape
    products = scatter @ scatter.T if images < units else scatter.T @ scatter
    variance, vectors = (each[..., ::-1] for each in np.linalg.eigh(products / images))
    kept = min(DIRECTIONS, int((variance > 1e-9 * variance[0]).sum()))
    directions = scatter.T @ vectors[:, :kept] if images < units else vectors[:, :kept]
    return variance.clip(0), directions / np.linalg.norm(directions, axis=0)


def _to_length_1(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _squared_distances(features: np.ndarray, reference: Reference) -> np.ndarray:
    """Squared distances to every class mean, `(images, classes)`, without forming a units × units matrix."""
    means = reference.class_means.astype(np.float64)
    projected, projected_means = (_product(each, reference.directions) for each in (features, means))
    along = (projected[:, None] - projected_means) ** 2
    squares = (features**2).sum(axis=1)[:, None] + (means**2).sum(axis=1)
    rest = np.maximum(squares - 2 * _product(features, means.T) - along.sum(axis=2), 0)
    return (along / reference.variances).sum(axis=2) + rest / reference.rest_variance


def _product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`one @ other` in this thread: OpenBLAS would keep its threads spinning for 20 ms after each small product."""
    return np.einsum("ij,jk->ik", one, other)
