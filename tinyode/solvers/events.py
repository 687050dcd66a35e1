"""Events: the times at which a function of the solution reaches zero, or passes it, found on the
dense output.

After each accepted step an event's function g(t, y) is computed at three times within the step and
at its end, and where a parabola through three of these comes near to zero, at the bottom of its
dip. Where the sign has changed, the first time at which it is no longer what it was is located by
Ridders's method, to the rounding of time; how right that is depends on the dense output (`solve`
says of which order that is), and so on the tolerances.

Two changes of sign between two of these times are not seen: where events are short, or steps long,
give `solve` a ``max_step``.

A zero at the first time is no event, nor is one before time and state have moved by more than
rounding (of the largest component): the sign of g there is the one that it takes on next. So a
solution may be continued from an event, with another state, without meeting it again. Where g
touches zero and turns back the least change makes it two events or none: it counts if a computed
value of g is exactly zero.
"""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .dense import evaluate, polynomial

PARTS = 4  # of a step, at whose ends the event functions are computed


@dataclass(frozen=True)
class Event:
    """A function whose changes of sign are to be found.

    Attributes
    ----------
    function : function
        ``function(t, y, *args)`` returns a number.
    terminal : bool or int
        Whether the solve ends there: True at the first time, a number n at the n-th.
    direction : int
        Above 0 only changes from minus to plus, in the direction of the solve, are events; below 0
        only those from plus to minus.
    """

    function: Callable
    terminal: bool | int = False
    direction: float = 0


class Events(NamedTuple):
    """The events of a solution, in their order: times (E,), states (E, *y0.shape) or a container of
    such, and which event each was (E,).
    """

    t: np.ndarray
    y: Any
    index: np.ndarray


def check_events(event):
    """Return what a user gives, None, one or several, functions (with SciPy's attributes, if any)
    or `Event`, as a list of `Event`.
    """
    events = []
    if event is None:
        return events
    for each in event if isinstance(event, (list, tuple)) else [event]:
        if not isinstance(each, Event):
            each = Event(each, getattr(each, "terminal", False), getattr(each, "direction", 0))
        function, terminal, direction = each.function, each.terminal, each.direction
        if not callable(function):
            raise TypeError(
                "event must be a function (t, y, *args), an Event, or a list of such; got"
                f" {function!r:.60}"
            )
        terminal = False if terminal is None else terminal
        if not isinstance(terminal, (bool, int, np.bool_, np.integer)) or terminal < 0:
            raise ValueError(
                f"terminal={terminal!r} of an event must be True, False or how many times it"
                " happens until the end"
            )
        if (
            np.ndim(direction)
            or np.asarray(direction).dtype.kind not in "fiu"
            or math.isnan(direction)
        ):
            raise ValueError(
                f"direction={direction!r} of an event must be a number: above 0, 0 or below 0"
            )
        events.append(Event(function, int(terminal), float(direction)))
    return events


def watch(walk, events, g, f, tableau, stats, found):
    """Yield the steps with their polynomials, adding the events in them to ``found``; a terminal
    one cuts its step off and ends the walk.

    Parameters
    ----------
    walk : iterable of Step
    events : list of Event
    g : function
        ``g(event, t, y)`` computes an event's function at a flat state. It may be NaN only beyond a
        terminal event.
    f, tableau, stats
        For the dense output.
    found : list
        Of (time, state, index of the event).

    Yields
    ------
    Step
    """
    signs, left, values = [0] * len(events), [event.terminal for event in events], None
    for step in walk:
        step = step._replace(Q=polynomial(f, tableau, step, stats))
        at = functools.partial(evaluate, step, step.Q)
        times = [step.t + j / PARTS * (step.t1 - step.t) for j in range(1, PARTS)] + [step.t1]
        states = evaluate(step, step.Q, np.array(times)[:, None])
        first, values = values is None, values or [g(event, step.t, step.y) for event in events]
        here, undefined = [], math.inf  # how far into the step a function is defined
        for i, event in enumerate(events):
            along = functools.partial(_along, g, event, at)
            samples = [
                (step.t, values[i]),
                *[(time, g(event, time, state)) for time, state in zip(times, states)],
            ]
            undefined = min(
                [undefined, *[abs(time - step.t) for time, value in samples if math.isnan(value)]]
            )
            values[i] = samples[-1][1]
            samples = _with_dips(
                along, list(itertools.takewhile(lambda sample: not math.isnan(sample[1]), samples))
            )
            if first and len(samples) > 1:  # what it takes on next is seen soon
                soon = step.t + 1e-6 * (step.t1 - step.t)
                samples.insert(1, (soon, along(soon)))
            zeros, signs[i] = _zeros(along, samples, signs[i])
            here += [
                (time, i)
                for time, sign in zeros
                if event.direction * sign <= 0 and not (first and _unmoved(step, time, at(time)))
            ]
        for time, i in sorted(here, key=lambda zero: abs(zero[0] - step.t)):
            if abs(time - step.t) > undefined:
                break
            found.append((time, at(time), i))
            left[i] -= 1
            if left[i] == 0:
                yield step._replace(t1=time, y1=found[-1][1])
                return
        if undefined < math.inf:
            time = step.t + math.copysign(undefined, step.h)
            raise ValueError(
                f"event returned nan at t = {time!r}, y = {at(time)!s:.200}; it must return a"
                " number there"
            )
        yield step


def _along(g, event, at, t):
    return g(event, t, at(t))


def _unmoved(step, t, y):
    """Whether time and state are still those of the beginning of a step, but for rounding."""
    few = 8 * np.finfo(y.dtype).eps
    return abs(t - step.t) < 1e-6 * abs(step.h) and (
        abs(t - step.t) <= 2e-15 * abs(step.t)
        or np.max(np.abs(y - step.y)) <= few * np.max(np.abs(step.y))
    )


def _zeros(g, samples, sign):
    """Return (time, sign before) of each zero that the function g of time reaches between samples
    (time, value), and its sign at the end.

    A sign of 0 is one that is still to be seen.
    """
    zeros = []
    for (a, g_a), (b, g_b) in itertools.pairwise(samples):
        sign = sign or (g_a > 0) - (g_a < 0)
        if sign and sign * g_b <= 0:
            zeros.append((_reached(g, a, g_a, b, g_b), sign))
            sign = (g_b > 0) - (g_b < 0)
    return zeros, sign


def _reached(g, a, g_a, b, g_b):
    """Return the first time after a at which g has not the sign of g_a; at b it has not."""
    nearest, last = 4 * math.ulp(max(abs(a), abs(b))), math.inf
    while abs(b - a) > nearest:
        middle = a + (b - a) / 2
        g_middle = g(middle)
        probes = [middle]
        if g_b == 0:
            probes.append(b - math.copysign(nearest, b - a))
        elif g_middle != 0 and math.isfinite(g_a / g_middle * (g_b / g_middle)):
            # times an exponential of t, the three values lie on a line, which is zero here
            # (Ridders, 1979)
            time = middle + (middle - a) * math.copysign(1, g_a / g_middle) / math.sqrt(
                1 - g_a / g_middle * (g_b / g_middle)
            )
            probes += (
                [time] if abs(time - last) > 2 * nearest else [time, time - nearest, time + nearest]
            )
            last = time
        for time in probes:
            if min(a, b) < time < max(a, b):
                value = g_middle if time == middle else g(time)
                if (value > 0) == (g_a > 0) and value != 0:
                    a, g_a = time, value
                else:
                    b, g_b = time, value
    return b


def _with_dips(g, samples):
    """Add to equally spaced samples the bottoms of dips through zero between them."""
    result = list(samples)
    for (low, a), (_, b), (high, c) in zip(samples, samples[1:], samples[2:]):
        sign = (a > 0) - (a < 0)
        curvature, slope = (
            sign * (a - 2 * b + c) / 2,
            sign * (c - a) / 2,
        )  # b + slope x + curvature x^2, x from -1 to 1
        if not (sign * c > 0 <= sign * b and abs(slope) < 2 * curvature):
            continue
        if sign * b - slope**2 / (4 * curvature) > 0.25 * (max(a, b, c) - min(a, b, c)):
            continue  # it turns well away from zero
        result += _bottom(g, sign, low, high)
    return sorted(result, key=lambda sample: abs(sample[0] - samples[0][0]))


def _bottom(g, sign, low, high):
    """Look for the least value of sign * g by golden sections; return the first (time, value) of
    another sign, in a list.
    """
    golden, width = (math.sqrt(5) - 1) / 2, abs(high - low)
    x, y = high - golden * (high - low), low + golden * (high - low)
    g_x, g_y = g(x), g(y)
    while abs(high - low) > 1e-8 * width:  # a minimum is not known better
        for time, value in ((x, g_x), (y, g_y)):
            if sign * value < 0:
                return [(time, value)]
        if sign * g_x < sign * g_y:
            high, y, g_y = y, x, g_x
            x = high - golden * (high - low)
            g_x = g(x)
        else:
            low, x, g_x = x, y, g_y
            y = low + golden * (high - low)
            g_y = g(y)
    return []
