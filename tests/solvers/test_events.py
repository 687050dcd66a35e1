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
    """All of them, of either direction, as near as the solution is; g at the state is zero to rounding."""
    order = TABLEAUS[method].order
    options = {"step_size": 0.02} if TABLEAUS[method].e is None else {"rtol": 1e-7, "atol": 1e-9}
    event = solve(circle, Y0, [0, 10.0], method=method, event=first, **options).event
    np.testing.assert_allclose(event.t, np.pi * np.array([0.5, 1.5, 2.5]), atol={1: 0.2, 2: 3e-3}.get(order, 3e-5))
    np.testing.assert_allclose(event.y[:, 0], 0, atol=1e-14)
    assert event.index.tolist() == [0, 0, 0] and event.y.shape == (3, 2)


@given(st.integers(5, 11), st.booleans())
def test_events_are_as_right_as_the_tolerance(digits, backwards):
    t = [10.0, 0.0] if backwards else [0.0, 10.0]
    y0 = np.array([np.cos(t[0]), -np.sin(t[0])])
    event = solve(circle, y0, t, rtol=10.0**-digits, atol=10.0**-digits, event=first).event
    np.testing.assert_allclose(event.t, np.pi * np.array([0.5, 1.5, 2.5])[::-1 if backwards else 1], atol=100 * 10.0**-digits)


@pytest.mark.parametrize("direction, expected", [(1, [1.5, 3.5]), (-1, [0.5, 2.5]), (0, [0.5, 1.5, 2.5, 3.5])])
def test_direction(direction, expected):
    event = Event(first, direction=direction)
    np.testing.assert_allclose(solve(circle, Y0, [0, 12.0], event=event, **ACCURATE).event.t, np.pi * np.array(expected), atol=1e-8)
    back = solve(circle, np.array([np.cos(12.0), -np.sin(12.0)]), [12.0, 0], event=event, **ACCURATE).event.t  # seen backwards it falls
    falling = {1: [2.5, 0.5], -1: [3.5, 1.5], 0: [3.5, 2.5, 1.5, 0.5]}[direction]
    np.testing.assert_allclose(back, np.pi * np.array(falling), atol=1e-8)


def test_attributes_as_scipy_has_them():
    def event(t, y):
        return y[0]

    event.terminal, event.direction = True, 1
    solution = solve(circle, Y0, [0, 12.0], event=event, **ACCURATE)
    np.testing.assert_allclose(solution.t, [0, 1.5 * np.pi], atol=1e-8)


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "dop853", "bosh3", "rk4", "kvaerno3", "radau_iia5"])
def test_a_terminal_event_ends_the_solution(method):
    options = {"step_size": 0.01} if TABLEAUS[method].e is None else {"rtol": 1e-8, "atol": 1e-10}
    times = np.array([0, 1.0, 2.0, 3.0, 11.0])
    solution = solve(circle, Y0, times, method=method, event=Event(first, terminal=True), **options)
    np.testing.assert_allclose(solution.t, [0, 1.0, np.pi / 2], atol=1e-5)
    np.testing.assert_allclose(solution.y, np.stack([np.cos(solution.t), -np.sin(solution.t)], -1), atol=1e-5)
    np.testing.assert_array_equal(solution.y[-1], solution.event.y[-1])
    np.testing.assert_allclose(solution(1.5), [np.cos(1.5), -np.sin(1.5)], atol=1e-5)
    np.testing.assert_array_equal(solution(solution.t[-1]), solution.y[-1])
    with pytest.raises(ValueError, match="lies outside the interval"):
        solution(1.6)
    second = solve(circle, Y0, times, method=method, event=[lambda t, y: y[1] - 0.5, Event(first, terminal=2)], **options)
    np.testing.assert_allclose(second.event.t, [0.5 * np.pi, 7 / 6 * np.pi, 1.5 * np.pi], atol=1e-5)
    assert second.event.index.tolist() == [1, 0, 1] and second.t[-1] == second.event.t[-1] and len(second.t) == 5


def test_several_events_in_one_step_come_in_their_order():
    ramp = lambda t, y: np.ones(1)
    events = [lambda t, y: y[0] - 3, lambda t, y: y[0] - 2.5, lambda t, y: (y[0] - 5) * (y[0] - 5.1)]
    solution = solve(ramp, np.zeros(1), [0, 10.0], event=events, first_step=10.0)
    assert solution.stats.accepted == 1
    np.testing.assert_allclose(solution.event.t, [2.5, 3, 5, 5.1], atol=1e-12)
    assert solution.event.index.tolist() == [1, 0, 2, 2]
    stopped = solve(ramp, np.zeros(1), [0, 10.0], event=[events[0], Event(events[1], terminal=True)], first_step=10.0)
    assert stopped.event.index.tolist() == [1] and stopped.t.tolist() == [0, 2.5]
    backwards = solve(lambda t, y: np.ones(1), np.full(1, 10.0), [10.0, 0], event=events, first_step=10.0)
    np.testing.assert_allclose(backwards.event.t, [5.1, 5, 3, 2.5], atol=1e-12)


@pytest.mark.parametrize("depth", [1e-2, 1e-4, 1e-6, 1e-8])
def test_grazing_contact(depth):
    """cos t - (1 - depth) is above zero for a moment around 2 pi, much shorter than a step, and never if depth is negative."""
    solution = solve(circle, Y0, [0, 10.0], event=lambda t, y: y[0] - (1 - depth), rtol=1e-11, atol=1e-13, method="dop853")
    half = np.arccos(1 - depth)
    assert len(solution.event.t) == 3 and (depth > 1e-4 or 10 / solution.stats.accepted > 10 * half)
    np.testing.assert_allclose(solution.event.t[1:], 2 * np.pi + half * np.array([-1, 1]), atol=0.02 * half + 1e-6)
    assert len(solve(circle, Y0, [0, 10.0], event=lambda t, y: y[0] - (1 + depth), **ACCURATE).event.t) == 0
    assert len(solve(lambda t, y: np.ones(1), np.zeros(1), [0, 2.0], event=lambda t, y: (t - 1) ** 2).event.t) == 0


def test_an_event_at_the_ends():
    """At the first time it is none, whichever way g then goes; at the last it is one."""
    ramp = lambda t, y: np.ones(1)
    for offset in (0.0, 1e-17, -1e-17):
        assert solve(lambda t, y: np.array([y[1], 0]), np.array([offset, 1.0]), [0, 1.0], event=first).event.t.size == 0
    for events in (lambda t, y: t, [lambda t, y: -t, lambda t, y: t * (t - 0.5)]):
        event = solve(ramp, np.zeros(1), [0, 1.0], event=events).event
        np.testing.assert_allclose(event.t, [] if callable(events) else [0.5])
    event = solve(ramp, np.zeros(1), [0, 1.0], event=[lambda t, y: t - 1, Event(lambda t, y: t - 1, direction=-1)]).event
    assert event.t.tolist() == [1.0] and event.index.tolist() == [0]
    assert solve(circle, Y0, [0, 0.1], event=first).event.t.size == 0


def test_a_ball_bounces():
    """A bounce starts where the last ended, and does not meet its own start: times are those of the geometric series."""
    g, e, t, y, times = 9.81, 0.8, 0.0, np.array([1.0, 0.0]), []
    for _ in range(8):
        solution = solve(lambda t, y: np.array([y[1], -g]), y, [t, t + 5], event=Event(first, terminal=True), **ACCURATE)
        t, y = solution.t[-1], solution.y[-1] * [1, -e]
        times.append(t)
    fall = np.sqrt(2 / g)
    np.testing.assert_allclose(times, fall * (1 + 2 * np.cumsum([0, *e ** np.arange(1, 8)])), atol=1e-8)


def test_containers_args_and_float32():
    event = lambda t, y, k: y["q"][0] * k
    solution = solve(lambda t, y, k: {"q": y["p"] * 1.0, "p": -y["q"]}, {"q": np.ones(1), "p": np.zeros(1)}, [0, 4.0], 2.0, event=event)
    assert solution.event.y["q"].shape == (1, 1) and abs(solution.event.t[0] - np.pi / 2) < 1e-4
    single = solve(circle, Y0.astype(np.float32), [0, 4.0], event=first, rtol=1e-4)
    assert single.event.y.dtype == np.float32 and abs(single.event.t[0] - np.pi / 2) < 1e-3
    assert solve(circle, Y0, [0, 1.0]).event is None and solve(circle, Y0, [0, 1.0], event=[]).event is None
    none = solve(circle, Y0, [0, 1.0], event=first).event
    assert none.t.shape == (0,) and none.y.shape == (0, 2)


@pytest.mark.parametrize("method", [name for name, tableau in TABLEAUS.items() if tableau.e is not None])
def test_events_do_not_change_the_steps_and_are_counted(method):
    calls = []
    f = lambda t, y: calls.append(t) or circle(t, y)
    with_event = solve(f, Y0, [0, 5.0], method=method, event=first)
    assert len(calls) == with_event.stats.nfev + with_event.stats.jacobians
    without = solve(circle, Y0, [0, 5.0], method=method)
    np.testing.assert_array_equal(with_event.y, without.y)
    assert with_event.stats.accepted == without.stats.accepted


@pytest.mark.parametrize("event, error, message", [
    (1.0, TypeError, "event must be a function"), ([first, "y"], TypeError, "event must be a function"),
    (Event(first, terminal=-1), ValueError, "terminal=-1 of an event"), (Event(first, terminal=0.5), ValueError, "terminal=0.5"),
    (Event(first, direction="up"), ValueError, "direction='up' of an event"),
    (lambda t, y: y, ValueError, "event returned array.*; it must return one real number"),
    (lambda t, y: None, ValueError, "event returned None"), (lambda t, y: np.nan, ValueError, "event returned nan at t = 0.0"),
])
def test_events_are_refused_by_name(event, error, message):
    with pytest.raises(error, match=message):
        solve(circle, Y0, [0, 1.0], event=event)


def test_a_closure_over_a_differentiated_value_is_found():
    with pytest.raises(TypeError, match="event returned a traced value although its arguments are plain"):
        grad(lambda c: solve(circle, Y0, [0, 4.0], event=lambda t, y: y[0] - c).event.t[0])(0.1)


def test_an_event_cannot_write_into_the_state():
    def greedy(t, y):
        y *= 2
        return y[0]

    with pytest.raises(ValueError, match="read-only"):
        solve(circle, Y0, [0, 1.0], event=greedy)
