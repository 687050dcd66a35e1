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
    "van der Pol": (van_der_pol, np.array([2.0, 0.0]), 20.0, (5.0,), {}),
}


@pytest.mark.parametrize("name", UNSTABLE)
def test_a_way_back_that_is_lost_stops_soon(name):
    """It takes the evaluations of a few forward solves, where its way to the end took many more.

    There is no such way to a wrong gradient by `odeint_event` or by a second derivative, either.
    """
    f, y0, end, args, options = UNSTABLE[name]
    calls = []

    def counted(t, y, *args):
        calls.append(t)
        return f(t, y, *args)

    event = lambda t, y, *args: t - 0.9 * end + 0.001 * y[0]
    solve(counted, y0, [0.0, end], *args, **options)
    forward = len(calls)
    last = lambda y0: np.sum(odeint(counted, y0, [0.0, end], *args, **options)[-1])
    at_event = lambda y0: odeint_event(counted, y0, 0.0, *args, event=event, t_end=end, **options)[
        0
    ]
    for function, most in ((last, 4.5), (at_event, 6.0), (lambda y0: np.sum(grad(last)(y0)), 4.5)):
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


KINETICS = lambda t, y, k: np.stack([-k * y[0], k * y[0] - 5 * k * y[1], 5 * k * y[1]])
RIGHT = {  # z comes apart backwards, and the gradient is right: f, y0, times, k, weights of y
    "forgotten": (relaxation, np.zeros(1), [0.0, 2.0], 10.0, [[0], [1]]),
    "forgotten long ago": (relaxation, np.zeros(1), [0.0, 5.0], 10.0, [[0], [1]]),
    "never felt": (
        lambda t, y, k: np.stack([-5 * (y[0] - np.sin(3 * t)), -k * y[1]]),
        np.array([0.0, 1.0]),
        [0.0, 5.0],
        0.3,
        [[0, 0], [0, 1]],
    ),
    "kinetics": (KINETICS, np.array([1.0, 0, 0]), [0.0, 10.0], 1.0, [[0, 0, 0], [0, 1, 1]]),
    "two speeds": (
        lambda t, y, k: np.stack([-k * (y[0] - y[1]), -0.3 * y[1]]),
        np.ones(2),
        [0.0, 5.0],
        5.0,
        [[0, 0], [1, 0]],
    ),
    "times after the last that counts": (
        relaxation,
        np.zeros(1),
        [0.0, 1.0, 8.0],
        5.0,
        [[0], [1], [0]],
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_is_not_refused_because_z_comes_apart(name):
    """What a component has become does not matter where L does not feel it any more."""
    f, y0, t, k, weights = RIGHT[name]
    loss = lambda k, **o: np.sum(np.array(weights) * odeint(f, y0, t, k, **o))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slope = grad(loss)(k)
    exact = grad(lambda k: loss(k, gradient="interpolated", rtol=1e-10, atol=1e-13))(k)
    assert abs(slope / exact - 1) < 3e-4


@pytest.mark.parametrize("options", [{}, {"method": "midpoint", "step_size": 0.005}])
def test_what_is_lost_and_unfelt_is_stopped_where_it_costs_more_than_forward(options):
    """Of y' = -50 (y - cos t), z is off by exp(50 t) where a has become exp(-50 t)."""
    last = lambda y0: np.sum(odeint(relaxation, y0, [0.0, 2.0], 50.0, **options)[-1])
    if options:  # as many steps as forward
        with pytest.warns(RuntimeWarning, match="is off by .*, so the gradient may be wrong"):
            slope = grad(last)(np.zeros(1))
        np.testing.assert_allclose(slope, (1 - 0.25 + 0.25**2 / 2) ** 400, rtol=1e-6)
        return
    with pytest.raises(SolverError, match="at most, and it takes 2 times the steps of that solve"):
        grad(last)(np.zeros(1))


def test_a_small_state_that_grows_is_looked_at_by_its_own_size():
    """Gompertz' growth, y' = -y log y, from 1e-5 to 1: dy(T)/dy0 = exp(-T) y(T) / y0."""
    gompertz = lambda t, y: -y * np.log(y)
    for y0, T in ((1e-5, 20.0), (1e-8, 16.0), (1e-5, 16.0)):
        with pytest.warns(RuntimeWarning, match="dL/dy0 may be off by"):
            grad(lambda y0, T=T: np.sum(odeint(gompertz, y0, [0.0, T])[-1]))(np.array([y0]))


def test_one_warning_for_a_gradient_with_many_times():
    """It speaks of the gradient, and not of the a that it had on the way; it points at the user."""
    t = np.array([0.0, 0.5, 10.5])
    early = lambda mu: (lambda y: np.sum(y[1]) + 1e-6 * np.sum(y[2]))(
        odeint(van_der_pol, np.array([2.0, 0.0]), t, mu)
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        grad(early)(1.0)
        grad(lambda k: np.sum(odeint(relaxation, 0.0, np.linspace(0, 5, 6), k)))(9.0)
    assert len(found) <= 2 and all([warning.filename == __file__ for warning in found])
    assert not [warning for warning in found[:1] if "may be off" in str(warning.message)]


def test_a_derivative_by_time_is_called_that():
    end = lambda t: np.sum(odeint(van_der_pol, np.array([2.0, 0.0]), t, 1.0)[-1])
    with pytest.warns(RuntimeWarning, match="dL/dt may be off") as found:
        grad(end)(np.array([0.0, 10.0]))
    assert "dL/dy0" not in str(found[0].message)


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
    sizes = {"a thousandth": 1e-3, "a hundredth": 1e-2, "a tenth": 0.1, "all": 1.0}
    exact = grad(lambda *p: loss(*p, rtol=1e-11, atol=1e-13, gradient="discrete"), (0, 1))(y0, W)
    for name, g, e in zip(("dL/dy0", "dL/dtheta"), found, exact):
        error = np.linalg.norm(g - e) / np.linalg.norm(e)
        estimate = words.split(f"{name} may be off by ")[1:]
        if estimate:
            assert error / 100 < sizes[estimate[0].split(" of itself")[0]] < 30 * error
        elif not words:
            assert error < 1e-2
