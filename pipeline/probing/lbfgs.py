"""L-BFGS for several convex functions at once: the same arithmetic on all of them costs less than each by itself.

Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization". No values are needed: a step is
short enough if the function does not rise much at its end, which the gradient tells without the rounding of a value.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

PAIRS = 8               # last steps that are remembered
MOST_RISE = 0.9         # of the slope at the end of a step, as a share of that at its start
LEAST_CUT = 0.1         # of a step that went too far, what is tried next, at least
MOST_STEPS = 5000


def minimize(gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Find where each gradient is about zero.

    Args:
        gradient: of all functions, float64 `(functions, values)`, at points of that shape, one for each.
        start: the points to begin with. Steps of the gradient's own length should be about right.
        limits: float `(functions,)`; a function is done when no value of its gradient is larger.

    Returns:
        The points, float64 `(functions, values)`.
    """
    points, slopes, memory, lengths = start, gradient(start), _Memory(len(start)), np.ones(len(start))
    for _ in range(MOST_STEPS):
        is_open = np.abs(slopes).max(axis=1) > limits
        if not is_open.any():
            break
        steps = -(lengths * is_open)[:, None] * memory.divide(slopes)
        ends = gradient(points + steps)
        falling, rising = -_products(slopes, steps), _products(ends, steps)
        is_short = rising <= MOST_RISE * falling
        to_zero = falling / np.maximum(falling + rising, 1e-300)       # the share of a step after which its slope is 0
        lengths = np.where(is_short, 1, lengths * np.maximum(to_zero, LEAST_CUT))
        steps *= is_short[:, None]
        memory.add(steps, (ends - slopes) * is_short[:, None])
        points, slopes = points + steps, np.where(is_short[:, None], ends, slopes)
    return points


class _Memory:
    """What the last steps have told about the curvature of each function."""

    def __init__(self, functions: int):
        self._pairs: deque = deque(maxlen=PAIRS)
        self._scale = np.ones(functions)

    def add(self, steps: np.ndarray, turns: np.ndarray) -> None:
        """Remember steps, and by how much they changed the gradients; zeros tell nothing."""
        products = _products(steps, turns)
        is_told = products > 0
        self._scale = np.where(is_told, products / np.maximum(_products(turns, turns), 1e-300), self._scale)
        self._pairs.append((steps, turns, np.divide(1, products, out=np.zeros_like(products), where=is_told)))

    def divide(self, gradients: np.ndarray) -> np.ndarray:
        """Gradients by the curvature: the two loops of the method."""
        found, weights = gradients.copy(), []
        for steps, turns, inverse in reversed(self._pairs):
            weights.append(inverse * _products(steps, found))
            found -= weights[-1][:, None] * turns
        found *= self._scale[:, None]
        for (steps, turns, inverse), weight in zip(self._pairs, reversed(weights)):
            found += (weight - inverse * _products(turns, found))[:, None] * steps
        return found


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", left, right)
