"""odeint_event and integral losses, against closed forms and finite differences, in every mode."""

import numpy as np
import pytest

from tinyode import (
    Event,
    SolverError,
    grad,
    hessian,
    odeint,
    odeint_event,
    value_and_grad,
    with_integral,
)
from tinyode.sensitivity.odeint import GRADIENTS
from tinyode.testing import central_difference

ACCURATE = {"rtol": 1e-10, "atol": 1e-12}


def fall(t, y, g, floor):
    return np.array([y[1], -g])


def above(t, y, g, floor):
    return y[0] - floor


def bounces(p, n, **options):
    """Return the time and speed of a ball after n bounces.

    It is dropped from p[0] at the time p[4], with gravity p[1], on a floor at p[2] that returns the
    share p[3] of its speed.
    """
    height, g, floor, e, t = p
    y = np.array([height, 0.0 * height])
    for _ in range(n):
        t, y = odeint_event(
            fall,
            y,
            t,
            g,
            floor,
            event=Event(above, direction=-1),
            t_end=50.0,
            **ACCURATE,
            **options,
        )
        y = np.array([y[0], -e * y[1]])
    return t, y[1]


BALL = np.array([1.0, 9.81, 0.1, 0.8, 0.2])


def closed_form(p, n):
    height, g, floor, e, t = p
    first = np.sqrt(2 * (height - floor) / g)
    return t + first * (1 + 2 * sum(e**k for k in range(1, n))), e**n * g * first


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("n", [1, 4])
def test_bouncing_balls_in_sequence(gradient, n):
    """Time and speed have the derivatives of the closed form.

    These are in height, gravity, floor (on which only the event depends), restitution and first
    time.
    """
    for which in (0, 1):
        value = lambda p, which=which: bounces(p, n, gradient=gradient)[which]
        exact = lambda p, which=which: closed_form(p, n)[which]
        np.testing.assert_allclose(value(BALL), exact(BALL), rtol=1e-9)
        np.testing.assert_allclose(grad(value)(BALL), grad(exact)(BALL), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("gradient", ["adjoint", "discrete"])
def test_second_derivatives_of_an_event(gradient):
    H = hessian(lambda p: sum(bounces(p, 2, gradient=gradient)))(BALL)
    np.testing.assert_allclose(
        H, hessian(lambda p: sum(closed_form(p, 2)))(BALL), rtol=1e-6, atol=1e-7
    )


def test_events_of_containers_and_backwards_in_time():
    """A swing y = cos(t) reaches k at arccos(k), and backwards in time at -arccos(k)."""
    f = lambda t, y, k: {"q": y["p"] * 1.0, "p": -y["q"]}
    when = lambda k, t_end: odeint_event(
        f,
        {"q": np.ones(1), "p": np.zeros(1)},
        0.0,
        k,
        event=lambda t, y, k: y["q"][0] - k,
        t_end=t_end,
        **ACCURATE,
    )
    for t_end in (3.0, -3.0):
        t, y = when(0.3, t_end)
        np.testing.assert_allclose(
            [t, y["q"][0]], [np.sign(t_end) * np.arccos(0.3), 0.3], atol=1e-9
        )
        of_time = grad(lambda k, t_end: when(k, t_end)[0])
        of_state = grad(lambda k, t_end: when(k, t_end)[1]["q"][0])
        np.testing.assert_allclose(
            of_time(0.3, t_end), -np.sign(t_end) / np.sqrt(1 - 0.09), rtol=1e-8
        )
        # it is where k is, whatever k
        np.testing.assert_allclose(of_state(0.3, t_end), 1.0, rtol=1e-8)


def test_what_has_no_event_or_no_derivative_says_so():
    f = lambda t, y: np.array([y[1], -y[0]])
    with pytest.raises(
        SolverError, match=r"odeint_event: the event has not happened until t_end=1.0"
    ):
        odeint_event(f, np.array([1.0, 0.0]), 0.0, event=lambda t, y: y[0], t_end=1.0)
    with pytest.raises(
        ValueError, match="the event only grazes zero, so its time has no derivative"
    ):
        grad(
            lambda y0: odeint_event(
                lambda t, y: np.array([0.0 * y[0], 1.0]),
                y0,
                0.0,
                t_end=2.0,
                event=lambda t, y: np.maximum(y[0] - t, 0.0) + 0 * y[1],
            )[0]
        )(np.array([1.0, 0.0]))
    swing = lambda t, y: np.array([y[1], -y[0]])
    start = np.array([1.0, 0.0])
    down = lambda t, y: y[0]
    for wrong, message in (
        ({"event": [down, down]}, "odeint_event is until one event; got 2 of them"),
        ({"event": None}, "got 0 of them"),
        ({"event": down, "gradient": "none"}, "gradient='none' is not known"),
        (
            {"event": down, "gradient": "discrete", "adjoint_rtol": 1.0},
            "adjoint_rtol=1.0 has no meaning",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            odeint_event(swing, start, 0.0, t_end=3.0, **wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'rtoll'"):
        odeint_event(swing, start, 0.0, event=down, t_end=3.0, rtoll=1e-3)
    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(
            lambda k: odeint_event(
                f, np.array([1.0, 0.0]), 0.0, event=lambda t, y: y[0] - k, t_end=3.0
            )[0]
        )(0.3)


@pytest.mark.parametrize("v", [10.0, 7.0, 3.0, 1.0])
def test_the_top_of_a_throw(v):
    """It is at the time v / 10.

    The time at which a throw reaches the height of its top has no derivative: with less speed it is
    never reached.
    """
    f = lambda t, y: np.array([y[1], -10.0 + 0 * y[1]])
    when = lambda v, event: odeint_event(f, np.stack([0.0 * v, v]), 0.0, event=event, t_end=2.0)[0]
    np.testing.assert_allclose(grad(lambda v: when(v, lambda t, y: y[1]))(v), 0.1, rtol=1e-6)
    with pytest.raises(
        ValueError, match="as far as the tolerances can tell the event only grazes zero"
    ):
        grad(lambda w: when(w, lambda t, y: y[0] - 0.05 * v * v * (1 - 1e-12)))(v)
    with pytest.raises(ValueError, match="grazes zero"), np.errstate(all="ignore"):
        grad(lambda v: when(v, lambda t, y: np.cbrt(y[1])))(v)


def test_events_of_one_number_in_an_array_and_the_nth():
    f = lambda t, y: np.array([y[1], -y[0]])
    for event in (lambda t, y: y[:1], lambda t, y: y[0], lambda t, y: y[None, :1]):
        t, slope = value_and_grad(
            lambda y0, event=event: odeint_event(f, y0, 0.0, event=event, t_end=3.0, **ACCURATE)[0]
        )(np.array([1.0, 0.0]))
        np.testing.assert_allclose([t, *slope], [np.pi / 2, 0.0, 1.0], atol=1e-8)
    third = lambda y0: odeint_event(
        f, y0, 0.0, event=Event(lambda t, y: y[0], terminal=3), t_end=30.0, **ACCURATE
    )[0]
    np.testing.assert_allclose(third(np.array([1.0, 0.0])), 5 * np.pi / 2)
    np.testing.assert_allclose(grad(third)(np.array([1.0, 0.0])), [0, 1], atol=1e-8)
    with pytest.raises(SolverError, match=r"has not happened until t_end=6.0 3 times"):
        odeint_event(
            f, np.array([1.0, 0.0]), 0.0, event=Event(lambda t, y: y[0], terminal=3), t_end=6.0
        )


def test_a_short_event_is_found_with_a_max_step():
    bump = lambda t, y: 1 - 2 * np.exp(-(((t - 20) / 0.01) ** 2))
    when = lambda **options: odeint_event(
        lambda t, y: 0 * y, 1.0, 0.0, event=bump, t_end=50.0, **options
    )[0]
    with pytest.raises(SolverError, match="so short that it needs a max_step"):
        when()
    assert abs(when(max_step=0.02) - (20 - 0.01 * np.sqrt(np.log(2)))) < 1e-9


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_integral_losses(gradient):
    """int_0^T y^2 dt + y(T) of y = exp(-k t): its value, and its derivatives in k and T."""
    field = with_integral(lambda t, y, k: -k * y, lambda t, y, k: np.sum(y * y))

    def loss(k, T):
        y, q = odeint(field, (np.ones(1), 0.0), [0.0, T], k, gradient=gradient, **ACCURATE)
        return q[-1] + y[-1, 0]

    exact = lambda k, T: (1 - np.exp(-2 * k * T)) / (2 * k) + np.exp(-k * T)
    np.testing.assert_allclose(loss(0.7, 1.5), exact(0.7, 1.5), rtol=1e-8)
    np.testing.assert_allclose(
        grad(loss, (0, 1))(0.7, 1.5), grad(exact, (0, 1))(0.7, 1.5), rtol=1e-6
    )
    expected = central_difference(grad(loss), (0.7, 1.5), (1.0, 0.0), h=1e-3)
    np.testing.assert_allclose(grad(grad(loss))(0.7, 1.5), expected, rtol=1e-5)


def test_an_event_that_depends_on_time():
    """exp(-k t) meets t at t = exp(-k t): dt/dk = -t^2 / (k t + 1)."""
    when = lambda k: odeint_event(
        lambda t, y, k: -k * y,
        np.ones(1),
        0.0,
        k,
        event=lambda t, y, k: y[0] - t,
        t_end=3.0,
        **ACCURATE,
    )
    for part in (lambda k: when(k)[0], lambda k: when(k)[1][0]):  # y = t there
        t = part(0.7)
        np.testing.assert_allclose(t, np.exp(-0.7 * t), rtol=1e-9)
        np.testing.assert_allclose(grad(part)(0.7), -(t**2) / (0.7 * t + 1), rtol=1e-8)


def test_the_direction_of_an_event_counts():
    """sin t falls through 1/2 at 5 pi / 6, after it has risen through it."""
    f, down = lambda t, y, k: np.array([y[1], -y[0]]), Event(lambda t, y, k: y[0] - k, direction=-1)
    when = lambda k: odeint_event(
        f, np.array([0.0, 1.0]), 0.0, k, event=down, t_end=6.0, **ACCURATE
    )[0]
    np.testing.assert_allclose(when(0.5), 5 * np.pi / 6, rtol=1e-8)
    np.testing.assert_allclose(grad(when)(0.5), 1 / np.cos(5 * np.pi / 6), rtol=1e-8)


def test_whole_numbers_as_the_state():
    t, y = odeint_event(
        lambda t, y: np.array([y[1], -9.81]),
        np.array([1, 0]),
        0,
        event=lambda t, y: y[0] - 0.1,
        t_end=9,
    )
    np.testing.assert_allclose([t, *y], [np.sqrt(1.8 / 9.81), 0.1, -np.sqrt(1.8 * 9.81)], rtol=1e-6)


def test_the_gradient_asked_for_is_the_one_taken():
    """The discrete one is the derivative of the numbers computed, however rough they are.

    In steps of Euler's method z(t) = (1 - k h)^(t / h).
    """
    when = lambda k, **options: odeint_event(
        lambda t, y, k: -k * y,
        np.ones(1),
        0.0,
        k,
        event=lambda t, y, k: y[0] - (1 - k / 8) ** 4,
        t_end=1.0,
        method="euler",
        step_size=0.125,
        **options,
    )[0]
    slopes = [
        grad(lambda k, way=way: when(k, gradient=way))(2.0) for way in ("discrete", "interpolated")
    ]
    assert abs(slopes[0] - slopes[1]) > 1e-3


def test_events_far_from_the_origin_and_at_fixed_steps_are_none_that_graze():
    R = 6.371e6
    drop = lambda g: odeint_event(
        lambda t, y, g: np.stack([y[1], -g + 0 * y[1]]),
        np.array([R + 1.0, 0.0]),
        0.0,
        g,
        event=lambda t, y, g: y[0] - R,
        t_end=10.0,
    )[0]
    np.testing.assert_allclose(grad(drop)(9.81), -0.5 * np.sqrt(2 / 9.81**3), rtol=1e-6)
    late = lambda k: odeint_event(
        lambda t, y, k: -k * y,
        1.0,
        0.0,
        k,
        event=lambda t, y, k: y - 1e-10,
        t_end=100.0,
        method="rk4",
        step_size=0.01,
    )[0]
    np.testing.assert_allclose(grad(late)(1.0), -10 * np.log(10), rtol=1e-6)
    with pytest.raises(
        ValueError, match="only grazes zero"
    ):  # at the default tolerances it is anywhere
        grad(
            lambda k: odeint_event(
                lambda t, y, k: -k * y, 1.0, 0.0, k, event=lambda t, y, k: y - 1e-9, t_end=100.0
            )[0]
        )(1.0)
