"""The exact gradient of implicit steps is exact, however stiff the problem is."""

import numpy as np
import pytest

from tinyode import grad, odeint
from tinyode.solvers import NewtonFailed
from tinyode.solvers.tableaus import TABLEAUS

IMPLICIT = [name for name, tableau in TABLEAUS.items() if tableau.implicit]


def stability(tableau, z):
    """R(z) of one step for y' = lambda y, z = h lambda, in longdouble and by stages."""
    a, b = tableau.a.astype(np.longdouble), tableau.b.astype(np.longdouble)
    matrix = np.eye(len(b), dtype=np.longdouble) - z * a
    k = np.ones(len(b), np.longdouble)
    for i in range(len(b)):  # Gauss, without exchanges: NumPy has no solve of longdouble
        for j in range(i + 1, len(b)):
            factor = matrix[j, i] / matrix[i, i]
            matrix[j], k[j] = matrix[j] - factor * matrix[i], k[j] - factor * k[i]
    for i in reversed(range(len(b))):
        k[i] = (k[i] - matrix[i, i + 1 :] @ k[i + 1 :]) / matrix[i, i]
    return 1 + z * (b @ k)


@pytest.mark.parametrize("checkpoints", [None, 2])
@pytest.mark.parametrize("h", [0.06, 1.0, 6.0])
@pytest.mark.parametrize("rate", [1e2, 1e5, 1e8])
@pytest.mark.parametrize("method", IMPLICIT)
def test_gradients_of_initial_states(method, rate, h, checkpoints):
    """y' = A (y - c), A symmetric with rates from 0.3 to ``rate``: the derivative is R(h A)^n."""
    rates = -np.array([rate, rate / 3, 1.0, 0.3])
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    A, w = (Q * rates) @ Q.T, np.array([1.0, 2.0, 3.0, 4.0])
    R = np.array([stability(TABLEAUS[method], h * rate) for rate in rates]).astype(float)
    end = lambda y0: odeint(
        lambda t, y: A @ (y - w),
        y0,
        np.array([0.0, 2 * h]),
        method=method,
        step_size=h,
        gradient="discrete",
        checkpoints=checkpoints,
    )[-1]
    found, exact = grad(lambda y0: np.sum(w * end(y0)))(1.01 * w), Q @ (R**2 * (Q.T @ w))
    np.testing.assert_allclose(found, exact, atol=1e-15 * h * rate + 1e-12 * np.max(np.abs(w)))


@pytest.mark.parametrize("gradient", ["discrete", "interpolated", "forward"])
@pytest.mark.parametrize("first_step", [1e-8, 1.0])
@pytest.mark.parametrize("method", ["trbdf2", "kvaerno3", "kvaerno5"])
def test_long_first_steps(method, first_step, gradient):
    """From where the fast component already is, first steps may be long."""
    f = lambda t, y, k: np.stack([-1e8 * (y[0] - y[1]) - k * y[1], -k * y[1]])
    end = lambda k, y1: odeint(
        f,
        np.stack([y1, y1]),
        [0, 3.0],
        k,
        method=method,
        gradient=gradient,
        first_step=first_step,
        rtol=1e-5,
    )[-1, 0]
    of_k, of_y1 = grad(end, (0, 1))(0.5, 2.0)
    assert abs(of_k + 6 * np.exp(-1.5)) < 1e-4 and abs(of_y1 - np.exp(-1.5)) < 1e-4


@pytest.mark.parametrize("checkpoints", [None, 3])
def test_a_step_that_is_solved_again_comes_to_the_same_state_or_says_so(checkpoints):
    """y' = -c y log|y| with long steps of sdirk2: some equations have several solutions."""
    said = 0
    for c in np.logspace(0, 6, 25):
        f = lambda t, y, c=c: -c * y * np.log(np.abs(y) + 1e-300)
        end = lambda y0, f=f: odeint(
            f,
            y0,
            [0, 4.6],
            method="sdirk2",
            step_size=1.15,
            gradient="discrete",
            checkpoints=checkpoints,
        )[-1, 0]
        for y0 in np.array([[0.27], [3.0]]):
            try:
                found = grad(end)(y0)[0]
            except NewtonFailed as error:
                said += "came to another solution" in str(error)
                continue
            steps = y0[0] * np.array([1e-4, 1e-5, 1e-6])
            slopes = np.array([(end(y0 + h) - end(y0 - h)) / (2 * h) for h in steps])
            if np.ptp(slopes) < 1e-4 * abs(slopes[1]):  # the state does not jump here
                assert abs(found - slopes[1]) < 1e-3 * abs(slopes[1])
    assert said > 0
