"""Events: the times at which a function of the solution changes its sign, found on the dense output.

After each accepted step an event's function g(t, y) is computed at the ends of the step and at three times between, and where a parabola
through three of these comes near to zero, at the bottom of its dip. Each change of sign is located by Ridders's method, to the rounding
of time; how right it is depends on the dense output, and so on the tolerances.

A zero at the first time is no event, nor is one before time and state have moved by more than rounding: the sign of g there is the one
that it takes on next. So a solution may be continued from an event,
with another state, without meeting it again. Nor is one that g touches and turns back from: the least change makes it two, or none.
"""

import functools
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
        Above 0 only changes from minus to plus, in the direction of the solve, are events; below 0 only those from plus to minus.
    """

    function: Callable
    terminal: bool | int = False
    direction: float = 0


class Events(NamedTuple):
    """The events of a solution, in their order: times (E,), states (E, *y0.shape) or a container of such, and which event each was (E,)."""

    t: np.ndarray
    y: Any
    index: np.ndarray


def check_events(event):
    """Return what a user gives, None, one or several, functions (with SciPy's attributes, if any) or `Event`, as a list of `Event`."""
    events = []
    if event is None:
        return events
    for each in event if isinstance(event, (list, tuple)) else [event]:
        if not isinstance(each, Event):
            each = Event(each, getattr(each, "terminal", False), getattr(each, "direction", 0))
        if not callable(each.function):
            raise TypeError(f"event must be a function (t, y, *args), an Event, or a list of such; got {each.function!r:.60}")
        if each.terminal != int(each.terminal) or each.terminal < 0:
            raise ValueError(f"terminal={each.terminal!r} of an event must be True, False or how many times it happens until the end")
        if not isinstance(each.direction, (int, float, np.number)) or math.isnan(each.direction):
            raise ValueError(f"direction={each.direction!r} of an event must be a number: above 0, 0 or below 0")
        events.append(each)
    return events


def watch(walk, events, g, f, tableau, stats, found):
    """Pass the steps on, and add the events in them to ``found``; a terminal one ends the walk, and cuts its step off.

    Parameters
    ----------
    walk : iterable of Step
    events : list of Event
    g : function
        ``g(event, t, y)`` computes an event's function at a flat state.
    f, tableau, stats
        For the dense output.
    found : list
        Of (time, state, index of the event).

    Yields
    ------
    Step
    """
    signs, left = [0] * len(events), [event.terminal for event in events]
    first = True
    for step in walk:
        Q, here = polynomial(f, tableau, step, stats), []
        at = functools.partial(evaluate, step, Q)
        for i, event in enumerate(events):
            along = functools.partial(_along, g, event, at)
            for time, sign in _changes(along, step, signs[i]):
                if signs[i] and (not first or _moved(step, time, at(time))) and event.direction * sign >= 0:
                    here.append((time, i))
                signs[i] = sign
        first = False
        for time, i in sorted(here, key=lambda change: abs(change[0] - step.t)):
            found.append((time, at(time), i))
            left[i] -= 1
            if left[i] == 0:
                yield step._replace(t1=time, y1=found[-1][1], Q=Q)
                return
        yield step
    for i, event in enumerate(events):  # one that falls on the last time has had no room to change its sign
        if signs[i] and event.direction * -signs[i] >= 0 and g(event, step.t1, step.y1) == 0:
            found.append((step.t1, step.y1, i))


def _moved(step, t, y):
    """Whether time and state are no longer those of the beginning of a step, by more than rounding."""
    few = 8 * np.finfo(y.dtype).eps
    return abs(t - step.t) > few * abs(step.t) and np.max(np.abs(y - step.y)) > few * np.max(np.abs(step.y))


def _along(g, event, at, t):
    return g(event, t, at(t))


def _changes(g, step, sign):
    """Yield (time, new sign) wherever g, a function of time, changes from ``sign`` in a step; the first sign that is not 0 too."""
    times = [step.t + j / PARTS * (step.t1 - step.t) for j in range(PARTS)] + [step.t1]
    values = [g(t) for t in times]
    for j in range(PARTS - 1, 0, -1):
        dip = _dip(g, times[j - 1:j + 2], values[j - 1:j + 2])
        if dip is not None:
            times.insert(j + (abs(dip[0] - step.t) > abs(times[j] - step.t)), dip[0])
            values.insert(times.index(dip[0]), dip[1])
    for j, value in enumerate(values):
        if value and np.sign(value) != sign:
            yield (times[0] if j == 0 else _root(g, times[j - 1], values[j - 1], times[j], value)), np.sign(value)
            sign = np.sign(value)


def _dip(g, times, values):
    """Return (time, value) where g has another sign than at all three times, if it turns between them and a parabola comes near zero."""
    sign = np.sign(values[0])
    a, b, c = [sign * value for value in values]
    curvature, slope = (a - 2 * b + c) / 2, (c - a) / 2  # b + slope x + curvature x^2, x from -1 to 1
    if not (min(a, c) > 0 <= b and abs(slope) < 2 * curvature):
        return None
    if b - slope**2 / (4 * curvature) > 0.25 * (max(a, b, c) - min(a, b, c)):
        return None
    low, high, golden = times[0], times[2], (math.sqrt(5) - 1) / 2
    while abs(high - low) > 4 * math.ulp(max(abs(low), abs(high))):
        left, right = high - golden * (high - low), low + golden * (high - low)
        at_left, at_right = sign * g(left), sign * g(right)
        for time, value in ((left, at_left), (right, at_right)):
            if value < 0:
                return time, sign * value
        low, high = (low, right) if at_left < at_right else (left, high)
    return None


def _root(g, a, g_a, b, g_b):
    """Locate a zero of g between a and b, where it has values of other signs, or 0 at a, by Ridders's method."""
    if g_a == 0:
        return a
    last = math.inf
    while True:
        middle = a + (b - a) / 2
        g_middle = g(middle)
        if middle in (a, b) or g_middle == 0:
            return middle
        # times an exponential of t, the three values lie on a line, which is zero here (Ridders, 1979)
        time = middle + (middle - a) * math.copysign(1, g_a / g_middle) / math.sqrt(1 - g_a / g_middle * (g_b / g_middle))
        if abs(time - last) <= 4 * math.ulp(time):
            return time
        last = time
        for x, g_x in ((middle, g_middle), (time, g(time))):
            if min(a, b) < x < max(a, b):
                if g_x * g_b > 0:
                    b, g_b = x, g_x
                else:
                    a, g_a = x, g_x
