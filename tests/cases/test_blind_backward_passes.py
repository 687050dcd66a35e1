"""What the forward solve has seen, no gradient steps over in silence."""

import inspect
import warnings

import numpy as np
import pytest

from tinyode import grad, odeint, odeint_batch, odeint_event, solve, value_and_grad
from tinyode.sensitivity.odeint import GRADIENTS
from tinyode.solvers import SolverError

W = 0.01
AREA = W * np.sqrt(np.pi)


def pulse(t):
    """A bump of width 0.01 at t = 5, whose integral is `AREA`."""
    return np.exp(-(((t - 5) / W) ** 2))


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3", "dop853", "kvaerno5"])
@pytest.mark.parametrize("backwards", [False, True])
def test_events_after_a_pulse(gradient, method, backwards):
    """y' = -1 + a pulse reaches zero at y0 + a AREA; so dt/da = AREA, in both directions."""
    s = -1.0 if backwards else 1.0
    when = lambda a: odeint_event(
        lambda t, y, a: s * (a * pulse(s * t) - 1),
        8.0,
        0.0,
        a,
        event=lambda t, y, a: y,
        t_end=s * 20.0,
        max_step=0.02,
        method=method,
        gradient=gradient,
    )[0]
    value, slope = value_and_grad(when)(1.0)
    assert abs(s * value - 8 - AREA) < 3e-5 and abs(s * slope - AREA) < 3e-5


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_states_after_a_pulse(gradient):
    end = lambda a, **options: odeint(
        lambda t, y, a: a * pulse(t), 0.0, [0, 10.0], a, gradient=gradient, **options
    )[-1]
    value, slope = value_and_grad(end)(2.0, max_step=0.02)
    assert abs(value - 2 * AREA) < 1e-6 and abs(slope - AREA) < 1e-6
    assert end(2.0) == 0.0  # without max_step the forward solve misses it, too


def test_batches_after_a_pulse():
    f = lambda t, y, a: a * pulse(t)
    end = lambda a: np.sum(odeint_batch(f, np.zeros((2, 1)), [0, 10.0], a, max_step=0.02)[-1])
    value, slope = value_and_grad(end)(2.0)
    assert abs(value - 4 * AREA) < 1e-6 and abs(slope - 2 * AREA) < 1e-6


def test_every_public_function_takes_max_step():
    for function in (solve, odeint, odeint_event, odeint_batch):
        assert inspect.signature(function).parameters["max_step"].default is None
    with pytest.raises(
        ValueError, match=r"max_step=0\.1 has no meaning where the steps are of fixed"
    ):
        odeint(lambda t, y: -y, 1.0, [0, 1.0], method="rk4", max_step=0.1)
    with pytest.raises(ValueError, match=r"max_step=-0\.1 must be a positive number"):
        odeint(lambda t, y: -y, 1.0, [0, 1.0], max_step=-0.1)


def infusion(t, y, rate, frequency):
    """A drug, given between t = 5 and 5.2, that leaves at a rate of 1, beside an oscillator."""
    on = 0.25 * (1 + np.tanh(200 * (t - 5))) * (1 - np.tanh(200 * (t - 5.2)))
    return np.stack([rate * on - y[0], frequency * y[2], -frequency * y[1]])


@pytest.mark.parametrize(
    "adjoint",
    [
        {},
        {"adjoint_rtol": 1e-2},
        {"adjoint_rtol": 1e-10},
        {"adjoint_method": "dop853"},
        {"adjoint_method": "kvaerno3"},
    ],
)
def test_interpolated_takes_no_longer_steps_than_the_forward_solve(adjoint, frequency=30.0):
    """The gradient of y[0](6) in the rate of the infusion is y[0](6) itself, with the rate one."""
    y0 = np.array([0.0, 1.0, 0.0])
    end = lambda rate: odeint(
        infusion, y0, [0, 6.0], rate, frequency, gradient="interpolated", **adjoint
    )[-1, 0]
    value, slope = value_and_grad(end)(1.0)
    exact = solve(infusion, y0, [0, 6.0], 1.0, frequency, max_step=0.002, rtol=1e-9).y[-1, 0]
    assert abs(value - exact) < 1e-4  # about 0.08: the forward solve has seen it
    assert abs(slope - exact) < (5e-3 if adjoint.get("adjoint_rtol", 0) > 1e-3 else 1e-4)


@pytest.mark.parametrize("end", [8.0, 10.0])
@pytest.mark.parametrize("adjoint_rtol", [1e-3, None, 1e-10])
def test_an_infusion_with_sharp_edges(end, adjoint_rtol):
    """Between them the adjoint of the drug is smooth, and its steps would be long."""

    def f(t, y, rate):
        return np.stack([rate * (5 < t < 5.2) - 0.1 * y[0], 30 * y[2], -30 * y[1]])

    slope = grad(
        lambda rate: odeint(
            f,
            np.array([0, 1.0, 0]),
            [0, end],
            rate,
            gradient="interpolated",
            adjoint_rtol=adjoint_rtol,
        )[-1, 0]
    )
    exact = 10 * (np.exp(-0.1 * (end - 5.2)) - np.exp(-0.1 * (end - 5)))
    assert abs(slope(1.0) - exact) < 1e-3 * exact


@pytest.mark.parametrize("gradient", ["adjoint", "forward"])
@pytest.mark.parametrize("decay", [0.1, 1.0])
def test_a_solve_that_is_repeated_and_misses_a_pulse_says_so(gradient, decay):
    """In the first solve f has a pulse, in those after it none: as if they had stepped over it."""
    calls = []

    def f(t, y, a):
        return -decay * y + a * 100 * (pulse(t) if not calls else 0.0)

    def loss(a):
        y = odeint(f, 1.0, [0, 10.0], a, max_step=0.02, gradient=gradient)[-1]
        calls.append(1)
        return y

    with pytest.warns(RuntimeWarning, match=r"component 0 of the state at t = .* give max_step"):
        grad(loss)(1.0)


def test_an_event_whose_solve_misses_a_pulse_says_so():
    calls = []

    def f(t, y, a):
        return a * 100 * (pulse(t) if not calls else 0.0) - 1

    def loss(a):
        t, _ = odeint_event(f, 8.0, 0.0, a, event=lambda t, y, a: y, t_end=20.0, max_step=0.02)
        calls.append(1)
        return t

    with pytest.raises(SolverError, match="solved again for the derivative, component 0"):
        grad(loss)(1.0)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "dop853", "kvaerno5"])
def test_a_ball_that_comes_back_is_no_drift(gradient, rtol, method):
    """With friction, thrown up from zero: at the event its height is zero, as at first."""
    fall = lambda t, y, c: np.stack([y[1], -9.8 - c * y[1]])
    when = lambda v: odeint_event(
        fall,
        np.stack([0.0, v]),
        0.0,
        0.1,
        event=lambda t, y, c: y[0],
        t_end=10.0,
        method=method,
        rtol=rtol,
        atol=1e-3 * rtol,
        gradient=gradient,
    )[0]
    tight = lambda v: odeint_event(
        fall, np.stack([0.0, v]), 0.0, 0.1, event=lambda t, y, c: y[0], t_end=10.0, rtol=1e-10
    )[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the adjoint, to which a height of zero has no size
        value, slope = value_and_grad(when)(10.0)
    exact, exact_slope = value_and_grad(tight)(10.0)
    assert abs(value / exact - 1) < 30 * rtol and abs(slope / exact_slope - 1) < 100 * rtol


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_second_derivatives_with_max_step(gradient):
    end = lambda a: odeint(
        lambda t, y, a: a * a * pulse(t), 0.0, [0, 10.0], a, max_step=0.02, gradient=gradient
    )[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert abs(grad(grad(end))(1.5) - 2 * AREA) < 1e-5


def test_a_switch_of_the_state_in_two_pieces():
    """y' = -y above 1/2, -2 y below; y(1) = 2 exp(-2) y0^2, so the derivative at one is 4 exp(-2).

    In one piece the jump of f is not seen, by any way; `odeint`'s docstring says so.
    """
    exact = 4 * np.exp(-2)
    for gradient in GRADIENTS:
        options = {"rtol": 1e-8, "gradient": gradient}
        switch = lambda t, y: np.where(y > 0.5, -y, -2 * y)
        whole = lambda y0, options=options: odeint(switch, y0, [0, 1.0], **options)[-1]

        def pieces(y0, options=options):
            at_half = {"event": lambda t, y: y - 0.5, "t_end": 1.0}
            t, y = odeint_event(lambda t, y: -y, y0, 0.0, **at_half, **options)
            return odeint(lambda t, y: -2 * y, y, np.stack([t, 1.0]), **options)[-1]

        assert abs(pieces(1.0) - 2 * np.exp(-2)) < 1e-6
        assert abs(grad(pieces)(1.0) - exact) < 1e-6
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert abs(grad(whole)(1.0) - exact / 2) < 1e-3
    assert "odeint_event" in odeint.__doc__
    assert "A switch that depends on the state" in odeint.__doc__


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("order", [1, 2])
def test_a_switch_at_a_fixed_time_stays_where_it_is(gradient, order):
    """y' = -y until 0.4, then -3 y: y(1) is exp(t0 - 2.2), and so is each derivative in t0."""

    def f(t, y):
        return np.where(t < 0.4, -1.0, -3.0) * y

    end = lambda t0: odeint(f, 1.0, np.stack([t0, 0.7, 1.0]), rtol=1e-8, gradient=gradient)[-1]
    for _ in range(order):
        end = grad(end)
    assert abs(end(0.1) - np.exp(0.1 - 2.2)) < 1e-4
