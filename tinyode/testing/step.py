"""`check_step`: is this a step of a method of some order, and if not, which line is wrong?

A step is held against exact solutions. What it asks of f says more: `tinyode.testing.measured`
reads the numbers of the method off it, and with them the order is known exactly.

HNW is Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations" I (1993).
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..checks import is_whole, shape_of
from .measured import CLOSE, changed, corrections, lines, measured, merged, replayed
from .trees import condition, drawn, failing, nodes_of, told_apart

MOST = 8  # the highest order: there are 200 trees up to it
START = 0.3  # t
LARGEST = 0.4  # the first h that is tried
TRIED = [sign * LARGEST * 0.1**i for i in range(4) for sign in (1, -1)]  # h; some go back in time
LENGTHS = LARGEST * 0.5 ** np.arange(7)  # |h|, where the order is measured by the error
ROUNDING = 1e-14  # errors below are rounding: 50 units in the last place
ITERATION = 1e-5  # an error that stands still below this is that of an iteration in the step
ADAPTIVE = 1e-5  # an error below this at the first h says nothing: the step may take smaller ones.
# On the system below, implicit methods of order 4 have 2e-4, of order 5 1e-5.
LEGIBLE = 16  # a step with more evaluations of f, an iteration for example, is not shown as code
SLACK = 0.3  # measured so, implicit methods and iterations are at most 0.01 below their order


class Wrong(Exception):
    """What is wrong with a step, in words."""


class Field(NamedTuple):
    """A differential equation in words, its f, and a solution."""

    name: str
    f: Callable[..., Any]
    exact: Callable[[Any], Any]


FIELDS = (
    Field("dy/dt = cos t, which is f of t alone", lambda t, y: np.cos(t), np.sin),
    Field(
        "dy/dt = y - y^2, which is f of y alone",
        lambda t, y: y - y * y,
        lambda t: 1 / (1 + np.exp(-t)),
    ),
    Field(  # y is (sin s, cos s) with s = (t + t^2) / 2; so mild that an iteration converges
        "dy/dt = (1/2 + t) (1 + |y|^2) / 2 (y_2, -y_1), a system",
        lambda t, y: (0.5 + t) * (1 + y @ y) / 2 * np.array([y[1], -y[0]]),
        lambda t: np.array([np.sin((t + t * t) / 2), np.cos((t + t * t) / 2)]),
    ),
)


def check_step(step: Callable[..., Any], order: int) -> None:
    """Say whether one step of a method is of an order, and if not, which line is wrong.

    A Runge-Kutta method is recognised by what its step asks of f: its numbers a_ij, b_i and c_i are
    read off. It is of order p if the order conditions of all rooted trees up to p nodes hold (HNW,
    section II.2). Any other method, one that solves equations or adapts its steps, is measured: the
    error of one step is O(h^(p+1)). It passes where that error is too small to tell.

    Steps forward and steps back in time, with h < 0, are tried, with |h| from 0.4 to 0.0004.

    Parameters
    ----------
    step : function
        ``step(f, t, y, h)`` returns the state after one step from (t, y), of the shape of y: a
        number or a vector. It may ask f as often as it likes.
    order : int
        The order to expect, 1 to 8. A higher one is right, too.

    Raises
    ------
    AssertionError
        If the order is lower: with the first order condition that fails, its tree, and both
        numbers. Mistakes that are often made are found by making them; the message has the line
        that the step computes and the line that would be right.
        If the step returns something else than one state, or writes into y.
    TypeError, ValueError
        If ``step`` is not a function, or ``order`` not 1 to 8. What ``step`` raises is passed on.
    """
    if not callable(step):
        raise TypeError(f"check_step: step must be a function step(f, t, y, h); got {step!r:.60}")
    if not is_whole(order, 1) or order > MOST:
        raise ValueError(f"check_step: order={order!r} must be a whole number from 1 to {MOST}")
    for h in TRIED:
        back = "a step back in time; is |h| taken, or h > 0 assumed? " if h < 0 else ""
        where = f"with h = {h:g} ({back}with h = {LARGEST:g} it is right), "
        try:
            _check_with(step, order, h)
        except Wrong as said:
            raise AssertionError(f"check_step: {where if h != LARGEST else ''}{said}") from None


def _check_with(step, order, h):
    """Say what is wrong with steps of one length and direction."""
    counts = {_calls(step, field, h) for field in FIELDS}
    method = measured(step, counts.pop(), h) if len(counts) == 1 else None
    if method is not None and not all(_is_that(method, step, field, h) for field in FIELDS):
        method = None
    if method is not None and method.plain:
        wrong = failing(method.a, method.b, method.c, order, CLOSE)
        said = wrong and _said_of_condition(method, order, *wrong)
    elif method is not None or abs(h) == LARGEST:
        orders = [_order(step, field, np.sign(h)) for field in FIELDS]
        said = min(orders) <= order - SLACK and _said_of_orders(orders, order)
    else:  # the error has been measured for shorter steps, too
        said = None
    if said:
        raise Wrong(f"{said}{_remedy(method, order) if method else ''}")


def _calls(step, field, h):
    """Return how often a step calls f; refuse what is no state, and what the next step would hit.

    That is a y which has been written into.
    """
    count, start = 0, field.exact(START)

    def f(t, y):
        nonlocal count
        count += 1
        of_t, of_y = shape_of(t), shape_of(y)
        if math.prod(of_y) != np.size(start) or math.prod(of_t) != 1:
            exchanged = of_t == np.shape(start) and of_y == ()
            raise Wrong(
                f"the step calls f with t of shape {of_t} and y of shape {of_y}, where"
                f" t is a number and the state has the shape {np.shape(start)}"
                + ("; the order is f(t, y)" if exchanged else "")
            )
        return field.f(t, y)

    y = np.copy(start) if np.ndim(start) else start
    _taken(step, f, y, h)
    if not np.array_equal(y, start):
        raise Wrong(
            "the step has written into y; write y = y + ..., which makes a new array,"
            " and not y += ..."
        )
    if not count:
        raise Wrong("the step does not call f")
    return count


def _taken(step, f, y, h):
    """Return the state after a step; refuse what is no state of the shape of y."""
    found = step(f, START, y, h)
    if found is None:
        raise Wrong("the step returns None; is the return missing?")
    if isinstance(found, (tuple, list, dict)):
        raise Wrong(
            f"the step returns a {type(found).__name__}, {found!r:.60}; it must return"
            " the new state alone"
        )
    if np.shape(found) != np.shape(y):
        raise Wrong(f"the step returns the shape {np.shape(found)} for y of shape {np.shape(y)}")
    if np.asarray(found).dtype.kind != "f":
        raise Wrong(
            f"the step returns {found!r:.60} of type {np.asarray(found).dtype}; it must"
            " return floats"
        )
    if not np.all(np.isfinite(found)):
        raise Wrong(f"the step returns {found}, which is not finite")
    return found


def _is_that(method, step, field, h):
    """Whether a step does what was measured, on a field."""
    arguments = field.f, START, field.exact(START), h
    return np.allclose(step(*arguments), replayed(method, *arguments), rtol=0, atol=CLOSE * abs(h))


def _order(step, field, sign):
    """Return the order on a field: the largest over three step sizes, each half of the other.

    It is infinite if the error is too small to tell.
    """
    y = field.exact(START)
    errors = [
        np.max(np.abs(_taken(step, field.f, y, h) - field.exact(START + h))) for h in sign * LENGTHS
    ]
    if errors[0] < ADAPTIVE:
        return np.inf
    *_, before, last = errors
    stands_still = before / 2 < last < ITERATION  # the tolerance of the step's own equations
    floor = 4 * max(before, last) if stands_still else ROUNDING
    slopes = -np.diff(np.log2(list(itertools.takewhile(lambda e: e > floor, errors))))
    return max((slopes[:-1] + slopes[1:]) / 2, default=np.inf) - 1


def _said_of_condition(method, order, tree, found):
    """Say which condition fails."""
    nodes, apart = nodes_of(tree), told_apart(method.a, method.c, CLOSE)
    legend = ", where t is df/dt and . is df/dy" if apart and nodes > 1 else ""
    return (
        f"the method is of order {nodes - 1}, not {order}. This order condition fails:\n"
        f"    {condition(tree, apart)} (the tree {drawn(tree)}, of"
        f" {nodes} {'nodes' if nodes > 1 else 'node'}{legend}): your method has {found:.6g}\n"
        "    where k_i = f(t + c_i h, y + h sum a_ij k_j), and the step returns y + h sum b_i k_i"
    )


def _said_of_orders(orders, order):
    """Say on which fields the order is too low."""
    words = [
        f"    {max(p, 0.0):.1f} on {field.name}"
        if np.isfinite(p)
        else f"    too accurate to tell on {field.name}"
        for p, field in zip(orders, FIELDS)
    ]
    low = [p <= order - SLACK for p in orders]
    where = ""
    if low[0] and not low[1]:
        where = "\nIt is too low where f depends on t: is f taken at the right times?"
    if low[1] and not low[0]:
        where = "\nIt is too low where f depends on y: is f taken at the right states?"
    head = f"the order must be {order}; measured by the error of one step it is\n"
    return head + "\n".join(words) + where


def _remedy(method, order):
    """Return the lines that are wrong, and what would be right."""
    if len(method.b) > LEGIBLE:
        return ""
    near = corrections(method, order)
    if not near:  # the style of y + h * f(t, y), which asks for the same slope again
        method = merged(method)
        near = corrections(method, order)
    now = lines(method)
    text = "\nk1, k2, ... are the values of f in the order of the calls."
    text += "" if near else f" The step computes\n{_indented(now)}"
    for i, other in enumerate(near):
        these = changed(method, other)
        text += "\nOr the step" if i else " The step"
        text += f" computes\n{_indented([now[k] for k in these])}"
        text += f"\nand would be of order {order} with\n"
        text += _indented([lines(other)[k] for k in these])
    return text


def _indented(texts):
    return "\n".join([f"    {text}" for text in texts])
