"""Multinomial logistic regression with an L2 penalty, fitted to its optimum.

The loss is convex, so there is no learning rate, no number of epochs and no seed. Two changes of coordinates, which
leave the optimum as it is, let L-BFGS reach it in some tens of iterations, where raw features take thousands: features
are written along their principal axes, and each axis is scaled by its bound on the curvature (Böhning 1992,
"Multinomial logistic regression algorithm").
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.losses import log_softmax
from pipeline.probing import lbfgs

MOST_AXES, ITERATIONS = 512, 3
SMALLEST_SHARE = 1e-3       # of the largest variance: what lies along other axes decides on no answer, and takes time
EXACT, ROUGH = 1e-6, 1e-5   # largest gradient of the final fit; and where fits are only compared
MOST_COLUMNS = 64           # fits × classes that are computed together: more are no faster, and take memory

# for a function that multiplies matrices: the same bits on any number of cores, and no thread spins for a busy core
one_thread = threadpool_limits.wrap(limits=1)


@dataclass(frozen=True)
class Head:
    """A linear classifier of features.

    Attributes:
        kernel: float32 `(units, classes)`.
        bias: float32 `(classes,)`.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """float64 `(rows, classes)`, from float `(rows, units)`."""
        return features.astype(np.float64) @ self.kernel + self.bias


@dataclass(frozen=True)
class Axes:
    """The principal axes of standardized features.

    Attributes:
        mean, scale: float64 `(units,)`, of each feature; a constant feature has the scale 1.
        directions: float64 `(units, axes)`, orthonormal.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray

    def project(self, features: np.ndarray, kind: type = np.float64) -> np.ndarray:
        """Standardize features, float `(rows, units)`, and write them along the axes, `(rows, axes)`, of one type."""
        mean, scale, directions = (each.astype(kind) for each in (self.mean, self.scale, self.directions))
        return ((features - mean) / scale) @ directions

    def head(self, coefficients: np.ndarray) -> Head:
        """The classifier of raw features that equals one of projected features; see `fit`."""
        kernel = self.directions @ coefficients[:-1] / self.scale[:, None]
        return Head(kernel.astype(np.float32), (coefficients[-1] - self.mean @ kernel).astype(np.float32))


@one_thread
def principal_axes(features: np.ndarray) -> Axes:
    """Find the leading axes of float `(rows, units)`, at most `MOST_AXES`; they use no label."""
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 1e-6, deviation, 1)
    standardized = ((features - mean) / scale).astype(np.float32)
    if len(standardized) >= standardized.shape[1]:
        return Axes(mean, scale, _leading(standardized.T @ standardized)[1])
    variances, rows = _leading(standardized @ standardized.T)
    return Axes(mean, scale, standardized.T.astype(np.float64) @ rows / np.sqrt(variances))


def _leading(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of a symmetric matrix, and their eigenvectors in columns, float64.

    Subspace iteration from a random start (Halko et al. 2011): far faster than a whole decomposition, and exact enough,
    as any basis of nearly the same subspace serves.
    """
    basis = np.random.default_rng(0).normal(size=(len(matrix), min(MOST_AXES, len(matrix)))).astype(np.float32)
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(matrix @ basis)
    values, vectors = np.linalg.eigh((basis.T @ matrix @ basis).astype(np.float64))
    kept = values > SMALLEST_SHARE * max(values.max(), 1e-12)
    return values[kept], basis.astype(np.float64) @ vectors[:, kept]


@one_thread
def fit(rows: np.ndarray, labels: np.ndarray, classes: int, penalty: float, *, weights: np.ndarray | None = None,
        start: np.ndarray | None = None, tolerance: float = EXACT) -> np.ndarray:
    """Minimize the sum of weight × log loss, plus penalty / 2 × the sum of squared coefficients, without the biases.

    Args:
        rows: float `(rows, axes)`, from `Axes.project`; they are computed with in their own type.
        labels: int `(rows,)` in 0 to `classes` - 1; a class may be absent.
        penalty: above 0; scikit-learn's `C` is its inverse.
        weights: float `(rows,)`; 1 each by default.
        start: coefficients to begin with; the optimum does not depend on them.
        tolerance: of the largest gradient, with a weight of 1 in all.

    Returns:
        Coefficients, float64 `(axes + 1, classes)`, the biases last.
    """
    from scipy.optimize import minimize

    weights = np.ones(len(rows)) if weights is None else weights
    inputs = np.column_stack([rows, np.ones(len(rows), rows.dtype)])
    penalties = np.append(np.full(rows.shape[1], float(penalty)), 0)[:, None]
    bound = (weights[:, None] * inputs.astype(np.float64) ** 2).sum(axis=0)[:, None] * (1 - 1 / classes) / 2
    scale = 1 / np.sqrt(bound + penalties)
    inputs, one_hot = inputs * scale[:, 0].astype(rows.dtype), np.eye(classes)[labels]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = flat.reshape(-1, classes)
        log_probabilities = log_softmax((inputs @ coefficients.astype(rows.dtype)).astype(np.float64))
        residuals = weights[:, None] * (np.exp(log_probabilities) - one_hot)
        shrink = penalties * scale**2 * coefficients
        loss = -(weights * log_probabilities[np.arange(len(labels)), labels]).sum() + (shrink * coefficients).sum() / 2
        return loss, ((inputs.T @ residuals.astype(rows.dtype)) + shrink).astype(np.float64).ravel()

    begin = np.zeros((rows.shape[1] + 1) * classes) if start is None else (start / scale).ravel()
    options = {"gtol": tolerance * np.sqrt(weights.sum()), "ftol": 1e-15, "maxiter": 5000, "maxcor": 20}
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options).x
    return found.reshape(-1, classes) * scale


@one_thread
def fit_each(rows: np.ndarray, labels: np.ndarray, classes: int, penalty: float, weights: np.ndarray,
             starts: np.ndarray | None = None, tolerance: float = ROUGH) -> np.ndarray:
    """`fit` for several weightings of the same rows, to be compared: together they take half of the time.

    Args:
        weights: float `(fits, rows)`; 0 leaves a row out.
        starts: float `(fits, axes + 1, classes)`.

    Returns:
        float64 `(fits, axes + 1, classes)`.
    """
    step, found = max(1, MOST_COLUMNS // classes), []
    for begin in range(0, len(weights), step):
        some = slice(begin, begin + step)
        used = weights[some].any(axis=0)
        found.append(_fit_together(rows[used], labels[used], classes, penalty, weights[some][:, used],
                                   None if starts is None else starts[some], tolerance))
    return np.concatenate(found)


def _fit_together(rows, labels, classes, penalty, weights, starts, tolerance) -> np.ndarray:
    """See `fit_each`; here, coefficients are `(fits, classes, axes + 1)`, and logits `(fits, classes, rows)`."""
    inputs = np.column_stack([rows, np.ones(len(rows), rows.dtype)])
    penalties = np.append(np.full(rows.shape[1], float(penalty)), 0)
    bounds = weights @ inputs.astype(np.float64) ** 2 * (1 - 1 / classes) / 2
    scale = 1 / np.sqrt(np.maximum(bounds + penalties, 1e-12))[:, None]        # a fit may have no rows at all
    shape, shrink = (len(weights), classes, inputs.shape[1]), penalties * scale**2
    columns, one_hot = np.ascontiguousarray(inputs.T), np.eye(classes, dtype=rows.dtype)[:, labels]
    weights = weights.astype(rows.dtype)

    def gradient(flat: np.ndarray) -> np.ndarray:
        coefficients = flat.reshape(shape)
        logits = (coefficients * scale).astype(rows.dtype).reshape(-1, shape[2]) @ columns
        residuals = _softmax(logits.reshape(*shape[:2], -1)) - one_hot
        residuals *= weights[:, None]
        sums = (residuals.reshape(shape[0] * shape[1], -1) @ inputs).reshape(shape)
        return (sums * scale + shrink * coefficients).reshape(len(flat), -1)

    begin = np.zeros(shape) if starts is None else starts.transpose(0, 2, 1) / scale
    found = lbfgs.minimize(gradient, begin.reshape(len(begin), -1), tolerance * np.sqrt(weights.sum(axis=1)))
    return (found.reshape(shape) * scale).transpose(0, 2, 1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities in place of logits, `(fits, classes, rows)`."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
