"""Events: where they are, in which order, which of them count, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import Event, grad, solve
from tinyode.solvers.tableaus import TABLEAUS

Y0 = np.array([1.0, 0.0])
ACCURATE = {"rtol": 1e-10, "atol": 1e-12}


def circle(t, y):
    return np.array([y[1], -y[0]])


def first(t, y):
    return y[0]


@pytest.mark.parametrize("method", TABLEAUS)
def test_zeros_of_cos(method):
    """All are found, of either direction, as near as the solution is.

    g at the state is zero to rounding.
    """
    order = TABLEAUS[method].order
    options = {"step_size": 0.02} if TABLEAUS[method].e is None else {"rtol": 1e-7, "atol": 1e-9}
    event = solve(circle, Y0, [0, 10.0], method=method, event=first, **options).event
    np.testing.assert_allclose(
        event.t, np.pi * np.array([0.5, 1.5, 2.5]), atol={1: 0.2, 2: 3e-3}.get(order, 3e-5)
    )
    np.testing.assert_allclose(event.y[:, 0], 0, atol=1e-14)
    assert event.index.tolist() == [0, 0, 0] and event.y.shape == (3, 2)


@given(st.integers(5, 11), st.booleans())
def test_events_are_as_right_as_the_tolerance(digits, backwards):
    t = [10.0, 0.0] if backwards else [0.0, 10.0]
    y0 = np.array([np.cos(t[0]), -np.sin(t[0])])
    event = solve(circle, y0, t, rtol=10.0**-digits, atol=10.0**-digits, event=first).event
    np.testing.assert_allclose(
        event.t,
        np.pi * np.array([0.5, 1.5, 2.5])[:: -1 if backwards else 1],
        atol=100 * 10.0**-digits,
    )


@pytest.mark.parametrize(
    "direction, expected", [(1, [1.5, 3.5]), (-1, [0.5, 2.5]), (0, [0.5, 1.5, 2.5, 3.5])]
)
def test_direction(direction, expected):
    event = Event(first, direction=direction)
    np.testing.assert_allclose(
        solve(circle, Y0, [0, 12.0], event=event, **ACCURATE).event.t,
        np.pi * np.array(expected),
        atol=1e-8,
    )
    back = solve(
        circle, np.array([np.cos(12.0), -np.sin(12.0)]), [12.0, 0], event=event, **ACCURATE
    ).event.t  # seen backwards it falls
    falling = {1: [2.5, 0.5], -1: [3.5, 1.5], 0: [3.5, 2.5, 1.5, 0.5]}[direction]
    np.testing.assert_allclose(back, np.pi * np.array(falling), atol=1e-8)


def test_attributes_as_scipy_has_them():
    def event(t, y):
        return y[0]

    event.terminal, event.direction = True, 1
    solution = solve(circle, Y0, [0, 12.0], event=event, **ACCURATE)
    np.testing.assert_allclose(solution.t, [0, 1.5 * np.pi], atol=1e-8)


@pytest.mark.parametrize(
    "method", ["dopri5", "tsit5", "dop853", "bosh3", "rk4", "kvaerno3", "radau_iia5"]
)
def test_a_terminal_event_ends_the_solution(method):
    options = {"step_size": 0.01} if TABLEAUS[method].e is None else {"rtol": 1e-8, "atol": 1e-10}
    times = np.array([0, 1.0, 2.0, 3.0, 11.0])
    solution = solve(circle, Y0, times, method=method, event=Event(first, terminal=True), **options)
    np.testing.assert_allclose(solution.t, [0, 1.0, np.pi / 2], atol=1e-5)
    np.testing.assert_allclose(
        solution.y, np.stack([np.cos(solution.t), -np.sin(solution.t)], -1), atol=1e-5
    )
    np.testing.assert_array_equal(solution.y[-1], solution.event.y[-1])
    np.testing.assert_allclose(solution(1.5), [np.cos(1.5), -np.sin(1.5)], atol=1e-5)
    np.testing.assert_array_equal(solution(solution.t[-1]), solution.y[-1])
    with pytest.raises(ValueError, match="lies outside the interval"):
        solution(1.6)
    second = solve(
        circle,
        Y0,
        times,
        method=method,
        event=[lambda t, y: y[1] - 0.5, Event(first, terminal=2)],
        **options,
    )
    np.testing.assert_allclose(second.event.t, [0.5 * np.pi, 7 / 6 * np.pi, 1.5 * np.pi], atol=1e-5)
    assert (
        second.event.index.tolist() == [1, 0, 1]
        and second.t[-1] == second.event.t[-1]
        and len(second.t) == 5
    )


def test_several_events_in_one_step_come_in_their_order():
    ramp = lambda t, y: np.ones(1)
    events = [
        lambda t, y: y[0] - 3,
        lambda t, y: y[0] - 2.5,
        lambda t, y: (y[0] - 5) * (y[0] - 5.1),
    ]
    solution = solve(ramp, np.zeros(1), [0, 10.0], event=events, first_step=10.0)
    assert solution.stats.accepted == 1
    np.testing.assert_allclose(solution.event.t, [2.5, 3, 5, 5.1], atol=1e-12)
    assert solution.event.index.tolist() == [1, 0, 2, 2]
    stopped = solve(
        ramp,
        np.zeros(1),
        [0, 10.0],
        event=[events[0], Event(events[1], terminal=True)],
        first_step=10.0,
    )
    assert stopped.event.index.tolist() == [1] and abs(stopped.t[-1] - 2.5) < 1e-12
    backwards = solve(
        lambda t, y: np.ones(1), np.full(1, 10.0), [10.0, 0], event=events, first_step=10.0
    )
    np.testing.assert_allclose(backwards.event.t, [5.1, 5, 3, 2.5], atol=1e-12)


@pytest.mark.parametrize("depth", [1e-2, 1e-4, 1e-6, 1e-8])
def test_grazing_contact(depth):
    """cos t - (1 - depth) is above zero for a moment around 2 pi, much shorter than a step.

    It never is if depth is negative.
    """
    solution = solve(
        circle,
        Y0,
        [0, 10.0],
        event=lambda t, y: y[0] - (1 - depth),
        rtol=1e-11,
        atol=1e-13,
        method="dop853",
    )
    half = np.arccos(1 - depth)
    assert len(solution.event.t) == 3 and (depth > 1e-4 or 10 / solution.stats.accepted > 10 * half)
    np.testing.assert_allclose(
        solution.event.t[1:], 2 * np.pi + half * np.array([-1, 1]), atol=0.02 * half + 1e-6
    )
    assert (
        len(solve(circle, Y0, [0, 10.0], event=lambda t, y: y[0] - (1 + depth), **ACCURATE).event.t)
        == 0
    )
    assert (
        len(
            solve(
                lambda t, y: np.ones(1), np.zeros(1), [0, 2.0], event=lambda t, y: (t - 1) ** 2
            ).event.t
        )
        == 0
    )


def test_an_event_at_the_ends():
    """At the first time it is none, whichever way g then goes; at the last it is one."""
    ramp = lambda t, y: np.ones(1)
    for offset in (0.0, 1e-17, -1e-17):
        assert (
            solve(
                lambda t, y: np.array([y[1], 0]), np.array([offset, 1.0]), [0, 1.0], event=first
            ).event.t.size
            == 0
        )
    for events in (lambda t, y: t, [lambda t, y: -t, lambda t, y: t * (t - 0.5)]):
        event = solve(ramp, np.zeros(1), [0, 1.0], event=events).event
        np.testing.assert_allclose(event.t, [] if callable(events) else [0.5])
    event = solve(
        ramp,
        np.zeros(1),
        [0, 1.0],
        event=[lambda t, y: t - 1, Event(lambda t, y: t - 1, direction=-1)],
    ).event
    assert event.t.tolist() == [1.0] and event.index.tolist() == [0]
    assert solve(circle, Y0, [0, 0.1], event=first).event.t.size == 0


def test_a_ball_bounces():
    """A bounce starts where the last ended, and does not meet its own start.

    The times are those of the geometric series.
    """
    g, e, t, y, times = 9.81, 0.8, 0.0, np.array([1.0, 0.0]), []
    for _ in range(8):
        solution = solve(
            lambda t, y: np.array([y[1], -g]),
            y,
            [t, t + 5],
            event=Event(first, terminal=True),
            **ACCURATE,
        )
        t, y = solution.t[-1], solution.y[-1] * [1, -e]
        times.append(t)
    fall = np.sqrt(2 / g)
    np.testing.assert_allclose(
        times, fall * (1 + 2 * np.cumsum([0, *e ** np.arange(1, 8)])), atol=1e-8
    )


def test_containers_args_and_float32():
    event = lambda t, y, k: y["q"][0] * k
    solution = solve(
        lambda t, y, k: {"q": y["p"] * 1.0, "p": -y["q"]},
        {"q": np.ones(1), "p": np.zeros(1)},
        [0, 4.0],
        2.0,
        event=event,
    )
    assert solution.event.y["q"].shape == (1, 1) and abs(solution.event.t[0] - np.pi / 2) < 1e-4
    single = solve(circle, Y0.astype(np.float32), [0, 4.0], event=first, rtol=1e-4)
    assert single.event.y.dtype == np.float32 and abs(single.event.t[0] - np.pi / 2) < 1e-3
    assert (
        solve(circle, Y0, [0, 1.0]).event is None
        and solve(circle, Y0, [0, 1.0], event=[]).event is None
    )
    none = solve(circle, Y0, [0, 1.0], event=first).event
    assert none.t.shape == (0,) and none.y.shape == (0, 2)


@pytest.mark.parametrize(
    "method", [name for name, tableau in TABLEAUS.items() if tableau.e is not None]
)
def test_events_do_not_change_the_steps_and_are_counted(method):
    calls = []
    f = lambda t, y: calls.append(t) or circle(t, y)
    with_event = solve(f, Y0, [0, 5.0], method=method, event=first)
    assert len(calls) == with_event.stats.nfev + 3 * with_event.stats.jacobians
    without = solve(circle, Y0, [0, 5.0], method=method)
    np.testing.assert_array_equal(with_event.y, without.y)
    assert with_event.stats.accepted == without.stats.accepted


@pytest.mark.parametrize(
    "event, error, message",
    [
        (1.0, TypeError, "event must be a function"),
        ([first, "y"], TypeError, "event must be a function"),
        (Event(first, terminal=-1), ValueError, "terminal=-1 of an event"),
        (Event(first, terminal=0.5), ValueError, "terminal=0.5"),
        (Event(first, direction="up"), ValueError, "direction='up' of an event"),
        (lambda t, y: y, ValueError, "event returned array.*; it must return one real number"),
        (lambda t, y: None, ValueError, "event returned None"),
        (lambda t, y: np.nan, ValueError, "event returned nan at t = 0.0"),
    ],
)
def test_events_are_refused_by_name(event, error, message):
    with pytest.raises(error, match=message):
        solve(circle, Y0, [0, 1.0], event=event)


def test_a_closure_over_a_differentiated_value_is_found():
    with pytest.raises(
        TypeError, match="event returned a traced value although its arguments are plain"
    ):
        grad(lambda c: solve(circle, Y0, [0, 4.0], event=lambda t, y: y[0] - c).event.t[0])(0.1)


def test_an_event_cannot_write_into_the_state():
    def greedy(t, y):
        y *= 2
        return y[0]

    with pytest.raises(ValueError, match="read-only"):
        solve(circle, Y0, [0, 1.0], event=greedy)


@pytest.mark.parametrize(
    "g",
    [
        lambda t, y: t,
        lambda t, y: t**3,
        lambda t, y: 1e-200 * t,
        lambda t, y: max(t, -1e-20),
        lambda t, y: t**7,
        lambda t, y: 1.0 if t > 0 else -1.0,
        lambda t, y: np.inf if t > 0 else -1.0,
    ],
)
def test_crossings_that_are_hard_to_locate(g):
    """Zeros at t = 0, where there are ever smaller numbers, and of strange functions.

    They are tiny, flat, one-sided, discontinuous or infinite.
    """
    calls = []
    event = solve(
        lambda t, y: np.ones(1),
        np.zeros(1),
        [-1.0, 1.7],
        event=lambda t, y: calls.append(t) or g(t, y),
    ).event
    np.testing.assert_allclose(event.t, [0.0], atol=1e-15)
    assert len(calls) < 400


def test_the_first_zero_of_a_function_that_stays_zero():
    """Once, where it arrives."""
    for end in (5.0, 2.0):
        dead = solve(
            circle,
            Y0,
            [0, end],
            event=lambda t, y: np.sign(y[0]) * max(abs(y[0]) - 0.5, 0),
            **ACCURATE,
        )
        np.testing.assert_allclose(dead.event.t[:1], np.pi / 3, atol=1e-8)
    np.testing.assert_allclose(
        solve(circle, Y0, [0, 5.0], event=lambda t, y: max(1 - t, 0.0)).event.t, [1.0], atol=1e-12
    )


@pytest.mark.parametrize(
    "options", [{"method": "rk4", "step_size": 0.1}, {}, {"method": "kvaerno5"}]
)
def test_an_excursion_from_the_start_is_seen(options):
    """A ball thrown up from the ground comes back within a fraction of the first step."""
    fall = lambda t, y: np.array([y[1], -9.81])
    for y0, v in (([0.0, 0.1], 0.1), ([0.0, 1e-4], 1e-4)):
        if v < 0.01 and "step_size" in options:
            continue
        event = solve(
            fall, np.array(y0), [0, 1.0], event=Event(first, direction=-1), **options
        ).event
        np.testing.assert_allclose(event.t, [2 * v / 9.81], rtol=1e-6)


def test_events_of_a_state_that_hardly_moves():
    for options in ({"method": "rk4", "step_size": 2.0}, {"first_step": 2.0}):
        assert (
            len(
                solve(
                    lambda t, y: 0 * y, np.ones(1), [0, 2.0], event=lambda t, y: t - 1.3, **options
                ).event.t
            )
            == 1
        )
        large = solve(
            lambda t, y: np.array([0.0, 1.0]),
            np.array([1e15, 0]),
            [0, 4.0],
            event=lambda t, y: y[1] - 1,
            **options,
        ).event
        np.testing.assert_allclose(large.t, [1.0], atol=1e-9)


def test_two_dips_in_one_step_and_zeros_on_the_ends_of_steps():
    g = lambda t, y: ((t - 0.27) ** 2 - 1e-4) * ((t - 0.74) ** 2 - 1e-4)
    found = solve(lambda t, y: np.ones(1), np.zeros(1), [0, 1.0], first_step=1.0, event=g).event
    np.testing.assert_allclose(found.t, [0.26, 0.28, 0.73, 0.75], atol=1e-9)
    on_end = solve(
        lambda t, y: np.ones(1),
        np.zeros(1),
        [0, 0.5, 1.0],
        method="rk4",
        step_size=0.25,
        event=Event(lambda t, y: t - 0.5, True),
    )
    assert on_end.event.t.tolist() == [0.5] and on_end.t.tolist() == [0, 0.5]


def test_what_lies_beyond_a_terminal_event_does_not_matter():
    """Neither an f nor another event that is not a number there."""
    with np.errstate(invalid="ignore"):
        solution = solve(
            lambda t, y: np.array([-1.0]),
            np.array([1.0]),
            [0, 3.0],
            event=[Event(first, terminal=True), lambda t, y: np.sqrt(y[0]) - 0.5],
        )
    np.testing.assert_allclose(solution.event.t, [0.75, 1.0], atol=1e-9)
    f = lambda t, y: np.ones(1) if t <= 1 else np.full(1, np.nan)
    assert solve(
        f,
        np.zeros(1),
        [0, 2.0],
        method="euler",
        step_size=0.25,
        event=Event(lambda t, y: y[0] - 1, True),
    ).t.tolist() == [0, 1.0]


def test_times_inside_the_step_that_an_event_cuts_off():
    for method in ("bosh3", "dopri5", "heun_euler", "kvaerno3"):
        solution = solve(
            circle,
            Y0,
            np.linspace(0, 3, 61),
            method=method,
            rtol=1e-4,
            event=Event(first, terminal=True),
        )
        np.testing.assert_allclose(solution.y[:, 0], np.cos(solution.t), atol=5e-3)
        assert 30 < len(solution.t) < 34


def test_dense_output_of_an_f_that_has_changed_is_refused():
    k = [1.0]
    solution = solve(lambda t, y: -k[0] * y, np.ones(1), [0, 2.0])
    np.testing.assert_allclose(solution(1.0), np.exp(-1), rtol=1e-5)
    k[0] = 5.0
    with pytest.raises(RuntimeError, match="f does not return what it did during the solve"):
        solution(1.0)


def test_short_events_are_found_as_often_with_long_steps_as_with_short_ones():
    """An event of length 1 at random times, on an oscillator of period 314.

    The steps of dopri5 are about 10 long, those of dop853 43. With ``max_step`` all are found.
    """
    slow = lambda t, y: np.array([y[1], -4e-4 * y[0]])
    times = np.random.default_rng(0).uniform(50, 950, 60)
    short = [lambda t, y, of=of: 0.5 - np.exp(-(((t - of) / 0.6) ** 2)) for of in times]

    def found(**options):
        event = solve(slow, Y0, [0, 1000.0], event=short, **options).event
        return np.count_nonzero(np.bincount(event.index) == 2)

    by_dopri5, by_dop853 = found(method="dopri5"), found(method="dop853")
    assert 15 < by_dopri5 < 45 and by_dop853 > 0.8 * by_dopri5
    assert found(method="dop853", max_step=1.0) == 60
