"""Several functions at once, whose minima are known."""

import numpy as np
from scipy.optimize import minimize as by_scipy

from pipeline.probing import lbfgs


def test_the_minima_of_quadratics_are_found_whatever_their_scales():
    random = np.random.default_rng(1)
    roots = random.normal(size=(3, 8, 8))
    curvatures = np.einsum("fij,fkj->fik", roots, roots) * np.array([1e-3, 1, 1e3])[:, None, None] + 1e-3 * np.eye(8)
    wanted = random.normal(size=(3, 8))
    found = lbfgs.minimize(lambda points: np.einsum("fij,fj->fi", curvatures, points - wanted), np.zeros((3, 8)),
                           np.full(3, 1e-9))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_function_that_is_no_quadratic_ends_where_that_of_scipy_does():
    """The sum of cosh(x - a) + x²/2 rises so fast that a step of the gradient's length goes too far."""
    wanted = np.array([[6.0, -3.0, 1.0]])
    found = lbfgs.minimize(lambda points: np.sinh(points - wanted) + points, np.zeros((1, 3)), np.full(1, 1e-10))
    theirs = by_scipy(lambda point: (np.cosh(point - wanted[0]) + point**2 / 2).sum(), np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(found[0], theirs, atol=1e-5)


def test_one_that_is_done_waits_for_the_others_where_it_is():
    start = np.array([[2.0], [50.0]])
    found = lbfgs.minimize(lambda points: points - np.array([[2.0], [3.0]]), start, np.full(2, 1e-6))
    assert found[0, 0] == 2.0
    assert abs(found[1, 0] - 3) < 1e-6
