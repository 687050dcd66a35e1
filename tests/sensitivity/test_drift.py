"""What the way back of Algorithm 2 says where z does not come back to what it was."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from tinyode import grad, odeint, odeint_event, solve
from tinyode.solvers import SolverError

WAYS = r"use gradient='discrete' or 'interpolated'"


def lorenz(t, y, s, r, b):
    return np.stack([s * (y[1] - y[0]), y[0] * (r - y[2]) - y[1], y[0] * y[1] - b * y[2]])


def relaxation(t, y, k):
    """A stable equilibrium that moves; backwards in time, errors grow by exp(k t)."""
    return -k * (y - np.cos(t))


def van_der_pol(t, y, mu):
    return np.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


UNSTABLE = {
    "lorenz": (lorenz, np.ones(3), 10.0, (10.0, 28.0, 8 / 3), {}),
    "relaxation": (relaxation, np.zeros(2), 2.0, (50.0,), {}),
    "relaxation, fixed steps": (relaxation, np.zeros(2), 2.0, (50.0,), {"method": "midpoint"}),
    "van der Pol": (van_der_pol, np.array([2.0, 0.0]), 20.0, (5.0,), {}),
}


@pytest.mark.parametrize("name", UNSTABLE)
def test_a_way_back_that_is_lost_stops_soon(name):
    """It takes fewer evaluations than the forward solve, where its way to the end took many more.

    There is no such way to a wrong gradient by `odeint_event` or by a second derivative, either.
    """
    f, y0, end, args, options = UNSTABLE[name]
    calls = []

    def counted(t, y, *args):
        calls.append(t)
        return f(t, y, *args)

    if options.get("method") == "midpoint":
        options = options | {"step_size": 0.005}
    solve(counted, y0, [0.0, end], *args, **options)
    forward = len(calls)
    last = lambda y0: np.sum(odeint(counted, y0, [0.0, end], *args, **options)[-1])
    at_event = lambda y0: odeint_event(
        counted, y0, 0.0, *args, event=lambda t, y, *args: t - 0.9 * end, t_end=end, **options
    )[0]
    for function, most in ((last, 2.5), (at_event, 5.0), (lambda y0: np.sum(grad(last)(y0)), 4.5)):
        calls.clear()
        with pytest.raises(SolverError, match=f"component . of the state has come to .*{WAYS}"):
            grad(function)(y0)
        assert len(calls) < most * forward


@pytest.mark.parametrize(
    "f, y0, end, options",
    [
        # all steps end where the solution is zero or nearly so
        (lambda t, y, k: k * np.cos(t), 0.0, np.pi, {"first_step": np.pi, "rtol": 1e-2}),
        (lambda t, y, k: k * np.cos(t), 0.0, 40 * np.pi, {"method": "dop853", "rtol": 1e-2}),
        # the way back takes a hundred times the steps of the forward solve
        (lambda t, y, k: -k * y, 1.0, 5.0, {"adjoint_rtol": 1e-10, "rtol": 1e-2}),
        (lambda t, y, k: -k * y, 1.0, 1.0, {"adjoint_method": "bosh3", "adjoint_rtol": 1e-9}),
        # z stands still, and a does not
        (lambda t, y, k: -500 * k * (y - 1), 1.0, 1.0, {}),
        # a component is zero, but for rounding
        (lambda t, y, k: np.stack([-k * y[0], 0.0 * y[0]]), np.array([1.0, 0.0]), 5.0, {}),
        # it comes from large values to small ones, and the other way round
        (lambda t, y, k: -k * y, 1e6, 8.0, {"atol": 1e-3}),
        (lambda t, y, k: k * y, 1e-6, 12.0, {}),
    ],
)
def test_a_way_back_to_where_z_was_is_neither_stopped_nor_warned_of(f, y0, end, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slope = grad(lambda k: np.sum(odeint(f, y0, [0.0, end], k, **options)[-1]))(1.0)
    options = {"rtol": 1e-10, "gradient": "discrete"}
    exact = grad(lambda k: np.sum(odeint(f, y0, [0.0, end], k, **options)[-1]))(1.0)
    assert np.isfinite(slope) and abs(slope - exact) < 0.1 * abs(exact) + 0.05


@pytest.mark.parametrize("k", [8.0, 10.0])
def test_a_state_that_the_loss_has_forgotten_may_come_back_larger(k):
    """y' = -k (y - cos t): where z is off by exp(k t), a has become exp(-k t)."""
    end = lambda k, **o: odeint(relaxation, 0.0, [0.0, 2.0], k, atol=1e-8, **o)[-1]
    with pytest.warns(RuntimeWarning, match="so the gradient may be wrong"):
        slope = grad(end)(k)
    assert abs(slope / grad(lambda k: end(k, gradient="discrete"))(k) - 1) < 1e-4


def said(function, *args):
    """Return what a gradient warns of."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        gradients = grad(function, tuple(range(len(args))))(*args)
    return gradients, " ".join(str(warning.message) for warning in found)


def test_the_warning_says_which_gradient_is_off():
    """Of a linear equation dL/dy0 does not depend on z, and dL/dk may. The other way round, the
    slope of a_theta may depend on a alone.
    """
    end = lambda f, y0, *args: np.sum(odeint(f, y0, [0.0, 1.0], *args)[-1])
    linear = lambda t, y, k: np.stack([-12 * (y[0] - np.cos(t)), k * y[0]])
    _, words = said(lambda y0, k: end(linear, y0, k), np.zeros(2), 1.0)
    assert "dL/dtheta may be off by" in words and "dL/dy0" not in words
    _, words = said(lambda y0: end(relaxation, y0, 9.0), 0.0)
    assert "so the gradient may be wrong" in words  # z is off by much
    _, words = said(lambda y0: end(relaxation, y0, 6.0), 0.0)
    assert words == ""  # z is off by less, and dL/dy0 is right
    cubic = lambda t, y, k: 16 * (y**3 / 3 - y) + k
    _, words = said(lambda y0: end(cubic, y0, 0.0), 1.0)
    assert "dL/dy0 may be off by" in words and "dL/dtheta" not in words


@settings(max_examples=25)
@given(seed=seeds)
def test_the_estimate_is_near_the_error(seed):
    """Of fields of neurons that forget where they came from; where it warns, and where not."""
    rng = np.random.default_rng(seed)
    W, y0, weights = 2 * rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)
    f = lambda t, y, W: np.tanh(W @ y) - 2.5 * y
    loss = lambda y0, W, **o: weights @ odeint(f, y0, [0.0, 4.0], W, **o)[-1]
    try:
        found, words = said(loss, y0, W)
    except SolverError:
        return
    exact = grad(lambda *p: loss(*p, rtol=1e-11, atol=1e-13, gradient="discrete"), (0, 1))(y0, W)
    for name, g, e in zip(("dL/dy0", "dL/dtheta"), found, exact):
        error = np.linalg.norm(g - e) / np.linalg.norm(e)
        estimate = words.split(f"{name} may be off by ")[1:]
        if estimate:
            assert error / 100 < float(estimate[0].split()[0]) < 30 * error
        elif not words:
            assert error < 1e-2
