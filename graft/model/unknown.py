"""How unlike the training images an image is: a score from the model's own pooled features.

The features are scaled to length 1 and each class is a Gaussian about its own mean. All share one covariance, that of
probabilistic PCA (Tipping & Bishop 1999): own variances along the leading directions of the scatter within the classes,
one small variance along all others. The score is the squared Mahalanobis distance to the nearest class mean (Lee et al.
2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples") over what is usual: about 1 for an image
like those trained on. What makes a wall strange is mostly what it has along *all other* directions: those are kept.

An image whose score exceeds a threshold fitted on val is answered "unknown". `benchmarks/evaluation.py` compares this
score with others.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

DIRECTIONS = 32
MIN_REST = 0.1      # of the mean variance: few images leave directions unseen, whose variance would seem to be 0


@dataclass(frozen=True)
class Reference:
    """What the images of the known classes look like.

    Attributes:
        class_means: float32 `(classes, units)`, of features scaled to length 1.
        directions: float32 `(units, directions)`, orthonormal.
        variances: float32 `(directions,)`, above 0.
        rest_variance: float32 `()`, above 0, along each of the other directions.
        usual: float32 `()`, the mean squared distance of the images it was learnt from.
    """

    class_means: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest_variance: np.ndarray
    usual: np.ndarray


def fit(features: np.ndarray, labels: np.ndarray, classes: int) -> Reference:
    """Learn the reference from training images.

    Args:
        features: float `(images, units)`.
        labels: int `(images,)` in 0 to `classes` - 1; each class occurs.
    """
    features = _to_length_1(features.astype(np.float64))
    means = np.stack([features[labels == label].mean(axis=0) for label in range(classes)])
    scatter = features - means[labels]
    variance, directions = np.linalg.eigh(scatter.T @ scatter / len(features))
    variance, directions = variance[::-1].clip(0), directions[:, ::-1]      # the leading ones first
    units, kept = features.shape[1], min(DIRECTIONS, features.shape[1])
    least = max(MIN_REST * variance.mean(), 1e-12)
    rest = max(variance[kept:].sum() / max(units - kept, 1), least)
    arrays = means, directions[:, :kept], np.maximum(variance[:kept], rest), np.float64(rest), np.float64(1)
    reference = Reference(*(array.astype(np.float32) for array in arrays))
    usual = max(score(features, reference).mean(), 1e-12)
    return Reference(**{**vars(reference), "usual": np.float32(usual)})


def score(features: np.ndarray, reference: Reference) -> np.ndarray:
    """Squared distance to the nearest class mean over the usual one; float64 `(images,)`, higher is stranger."""
    features = _to_length_1(features.astype(np.float64))
    return _squared_distances(features, reference).min(axis=1) / float(reference.usual)


def threshold(scores: np.ndarray, acceptance: float) -> float:
    """The score below which a new image like these stays with a probability of at least `acceptance`.

    The `(n + 1) · acceptance`-th smallest of n scores, as in split conformal prediction: the quantile of the scores
    themselves would accept too few new images. The largest score when there are too few to tell.
    """
    rank = int(np.ceil((len(scores) + 1) * acceptance - 1e-9))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def save(path, reference: Reference) -> None:
    """Write an `.npz` whose bytes depend on the reference alone (NumPy's own carries no clock time)."""
    np.savez(path, **vars(reference))


def load(path) -> Reference:
    """Raises `OSError`, `ValueError` or `KeyError` when the file holds no reference."""
    with np.load(Path(path), allow_pickle=False) as arrays:
        return Reference(**{name: arrays[name] for name in Reference.__dataclass_fields__})


def _to_length_1(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _squared_distances(features: np.ndarray, reference: Reference) -> np.ndarray:
    """`(images, units)` -> `(images, classes)` from each class mean, without ever forming a units × units matrix."""
    means = reference.class_means.astype(np.float64)
    projected, projected_means = (_product(each, reference.directions) for each in (features, means))
    along = (projected[:, None] - projected_means) ** 2
    squares = (features**2).sum(axis=1)[:, None] + (means**2).sum(axis=1)
    rest = np.maximum(squares - 2 * _product(features, means.T) - along.sum(axis=2), 0)
    return (along / reference.variances).sum(axis=2) + rest / reference.rest_variance


def _product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`one @ other` in this thread: OpenBLAS would keep its own threads busy for 20 ms after each small product."""
    return np.einsum("ij,jk->ik", one, other)
