"""Events: the times at which a function of the solution reaches zero, or passes it.

They are found on the dense output. After each accepted step an event's function g(t, y) is computed
at a few times within the step and at its end, and at the bottom of a dip, if there may be one
(`dips`). Where the sign has changed, the first time at which it is no longer what it was is located
by Ridders's method, to the rounding of time. How right that is depends on the dense output (`solve`
says of which order that is), and so on the tolerances.

Two changes of sign between two of these times are not seen: where events are short, or steps long,
give `solve` a ``max_step``.

A zero at the first time is no event. Nor is one before time and state have moved by more than
rounding (of the largest component): the sign of g there is the one that it takes on next. So a
solution may be continued from an event, with another state, without meeting it again. Where g
touches zero and turns back, the least change makes it two events or none: it counts if a computed
value of g is exactly zero.
"""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import is_traced
from ..types import Array, Tree
from .dense import evaluate, polynomial
from .dips import with_dips
from .state import CLOSURE

# A step has so many pieces, at whose ends the event functions are computed: of a method of an order
# above 5 more, since its steps are longer (those of dop853 3.3, 5 and 7 times those of dopri5 on an
# oscillator at rtol 1e-4, 1e-6 and 1e-8). Of 200 events of length 1 dopri5, with steps of 10, finds
# 50 %, and dop853, with steps of 43, 44 %: with 4 pieces it finds 11 %.
PIECES, PIECES_OF_LONG_STEPS = 4, 20
# After a zero at the first time the sign of g is the one that it has after this part of the step.
SOON = 1e-6
# The state has not moved where it differs by no more than so many roundings, ...
FEW = 8
# ... and the time where it differs by no more than this part of it, nine roundings.
FEW_OF_TIME = 2e-15


@dataclass(frozen=True)
class Event:
    """A function whose changes of sign are to be found.

    It is computed a few times in each step. If it changes its sign for a time that may be shorter
    than a quarter of a step, give the solver a ``max_step`` no longer than that time.

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

    function: Callable[..., Any]
    terminal: bool | int = False
    direction: float = 0


class Events(NamedTuple):
    """The events of a solution, in their order.

    Their times are t (E,), their states y (E, *y0.shape), or a container of such. ``index`` (E,)
    says which of the events asked for each was.
    """

    t: Array
    y: Tree
    index: Array  # type: ignore[assignment]  # of the same name as a method of tuples


def check_events(event):
    """Return what a user gives as a list of `Event`.

    That is None, one or several, functions (with SciPy's attributes, if any) or `Event`.
    """
    if event is None:
        return []
    return [check_event(each) for each in (event if isinstance(event, (list, tuple)) else [event])]


def check_event(event):
    """Return a function or `Event` as an `Event`, whose attributes are numbers."""
    if not isinstance(event, Event):
        event = Event(event, getattr(event, "terminal", False), getattr(event, "direction", 0))
    function, terminal, direction = event.function, event.terminal, event.direction
    if not callable(function):
        raise TypeError(
            "event must be a function (t, y, *args), an Event, or a list of such; got"
            f" {function!r:.60}"
        )
    terminal = False if terminal is None else terminal
    if not isinstance(terminal, (bool, int, np.bool_, np.integer)) or terminal < 0:
        raise ValueError(
            f"terminal={terminal!r} of an event must be True, False or how many times it happens"
            " until the end"
        )
    is_number = np.ndim(direction) == 0 and np.asarray(direction).dtype.kind in "fiu"
    if not is_number or math.isnan(direction):
        raise ValueError(
            f"direction={direction!r} of an event must be a number: above 0, 0 or below 0"
        )
    return Event(function, int(terminal), float(direction))


def flat_event(leaves, structure, args):
    """Return ``g(event, t, y)``: an event's function at a flat state, with its checks."""
    cut = tree.cutter(leaves)

    def g(event, t, y):
        y.setflags(write=False)
        value = event.function(t, tree.unflatten(structure, cut(y)), *args)
        if type(value) is np.float64:  # the usual case, in half the time
            return float(value)
        if is_traced(value):
            raise TypeError(CLOSURE.format("event"))
        tree.refuse_masked("what event returned", value)
        if np.size(value) != 1 or np.asarray(value).dtype.kind not in "fiu":
            raise ValueError(
                f"event returned {value!r:.60}; it must return one real number, which changes sign:"
                " y[0] - 1, not y[0] > 1"
            )
        return float(np.reshape(value, ()))

    return g


class Watch:
    """Looks for events in the steps of a solve.

    Parameters
    ----------
    events : list of Event
    g : function
        ``g(event, t, y)`` computes an event's function at a flat state. It may be NaN only beyond a
        terminal event.
    field, tableau, stats
        For the dense output.

    Attributes
    ----------
    found : list
        Of (time, state, number of the event), in their order.
    """

    def __init__(self, events, g, field, tableau, stats):
        self.events, self.g, self.found = events, g, []
        self.field, self.tableau, self.stats = field, tableau, stats
        self.signs, self.until_end = [0] * len(events), [event.terminal for event in events]
        self.values = None  # of the functions at the end of the last step
        self.pieces = PIECES if tableau.order <= 5 else PIECES_OF_LONG_STEPS

    def watched(self, steps):
        """Pass steps on, with their polynomials, until a terminal event cuts one off."""
        for step in steps:
            step = step._replace(Q=polynomial(self.field, self.tableau, step, self.stats))
            zeros, defined = self.zeros_in(step)
            for time, i in zeros:
                if abs(time - step.t) > defined:
                    break
                y = evaluate(step, step.Q, time)
                self.found.append((time, y, i))
                self.until_end[i] -= 1
                if self.until_end[i] == 0:
                    yield step._replace(t1=time, y1=y)
                    return
            if defined < math.inf:
                time = step.t + math.copysign(defined, step.h)
                y = evaluate(step, step.Q, time)
                raise ValueError(
                    f"event returned nan at t = {time!r}, y = {y!s:.200}; it must return a number"
                    " there"
                )
            yield step

    def zeros_in(self, step):
        """Return (time, number of the event) of the zeros in a step, in order; and ``defined``.

        That is how far into the step no function is NaN: inf where none is in all of it.
        """
        n, size = self.pieces, step.t1 - step.t
        times = [*(step.t + j / n * size for j in range(1, n)), step.t1]
        states = evaluate(step, step.Q, np.array(times)[:, None])
        is_first_step = self.values is None
        if is_first_step:
            self.values = [self.g(event, step.t, step.y) for event in self.events]
        zeros, defined = [], math.inf
        for i, event in enumerate(self.events):
            along = functools.partial(self.along, event, step)
            later = [self.g(event, time, state) for time, state in zip(times, states)]
            points = [(step.t, self.values[i]), *zip(times, later)]
            self.values[i] = later[-1]
            nans = [abs(time - step.t) for time, value in points if math.isnan(value)]
            defined = min([defined, *nans])
            known = itertools.takewhile(lambda point: not math.isnan(point[1]), points)
            points = with_dips(along, list(known))
            if is_first_step and len(points) > 1:  # a zero at the first time is no event
                soon = step.t + SOON * (step.t1 - step.t)
                points.insert(1, (soon, along(soon)))
            crossed, self.signs[i] = _zeros(along, points, self.signs[i])
            for time, sign in crossed:
                if event.direction * sign > 0:
                    continue  # from the wrong side
                if is_first_step and _unmoved(step, time, evaluate(step, step.Q, time)):
                    continue
                zeros.append((time, i))
        return sorted(zeros, key=lambda zero: abs(zero[0] - step.t)), defined

    def along(self, event, step, t):
        """Return an event's function at a time inside a step."""
        return self.g(event, t, evaluate(step, step.Q, t))

    def happened(self, ys, shaped):
        """Return the `Events` found, with flat states of the size and dtype of ys.

        ``shaped`` makes the user's containers of them.
        """
        times, states, numbers = zip(*self.found) if self.found else ([], [], [])
        flat = np.array(states, ys.dtype).reshape(-1, ys.shape[1])
        return Events(np.array(times), shaped(flat), np.array(numbers, int))


def _unmoved(step, t, y):
    """Whether time and state are still those of the beginning of a step, but for rounding."""
    few = FEW * np.finfo(y.dtype).eps
    return abs(t - step.t) < SOON * abs(step.h) and (
        abs(t - step.t) <= FEW_OF_TIME * abs(step.t)
        or np.max(np.abs(y - step.y)) <= few * np.max(np.abs(step.y))
    )


def _zeros(g, points, sign):
    """Return the zeros of g between points, as (time, sign before), and the sign after the last.

    ``g`` is a function of time, the points are (time, value). A sign of 0 is one that is still to
    be seen.
    """
    zeros = []
    for before, after in itertools.pairwise(points):
        sign = sign or (before[1] > 0) - (before[1] < 0)
        if sign and sign * after[1] <= 0:
            zeros.append((_reached(g, *before, *after), sign))
            sign = (after[1] > 0) - (after[1] < 0)
    return zeros, sign


def _reached(g, before, g_before, after, g_after):
    """Return the first time at which g has no longer the sign of g_before; at ``after`` it has not.

    It is enclosed ever more closely: by halving, and by Ridders's guess (Ridders, 1979).
    """
    nearest, last = 4 * math.ulp(max(abs(before), abs(after))), math.inf
    while abs(after - before) > nearest:
        middle = before + (after - before) / 2
        g_middle = g(middle)
        probes = [middle]
        if g_after == 0:
            probes.append(after - math.copysign(nearest, after - before))
        elif g_middle != 0 and math.isfinite(g_before / g_middle * (g_after / g_middle)):
            # Times some exponential of t, the three values lie on a line, which is zero here.
            ratio = g_before / g_middle
            way = (middle - before) / math.sqrt(1 - ratio * (g_after / g_middle))
            time = middle + math.copysign(1, ratio) * way
            probes.append(time)
            if abs(time - last) <= 2 * nearest:  # it has come to rest: enclose it
                probes += [time - nearest, time + nearest]
            last = time
        for time in probes:
            if min(before, after) < time < max(before, after):
                value = g_middle if time == middle else g(time)
                if (value > 0) == (g_before > 0) and value != 0:
                    before, g_before = time, value
                else:
                    after, g_after = time, value
    return after
