"""What the user probably meant, where the first call of f fails.

A solver takes its arguments in one order, ``odeint(f, y0, t, *args)``, and calls f in one,
``f(t, y, *args)``. A list of numbers is a container here: each number in it is a state of its own.
SciPy, torchdiffeq and others have other rules, and code that was written for them fails here.

So where a solver fails, f is called once more, as the solver calls it first. If that fails too, f
is called with changed arguments. If one change makes it work, the error says so. An exception that
is raised by a ``raise`` statement outside tinyode and NumPy is never replaced.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numpy as np

from .. import tree
from ..autodiff.lines import is_raised_by_hand, line_of, origin
from ..autodiff.numpy_calls import plain
from .keywords import instead_of
from .state import check_state, check_times

Solver = TypeVar("Solver", bound=Callable)

# What Python and NumPy raise where a value is used as something that it is not.
WRONG_KIND = TypeError, ValueError, IndexError, AttributeError
WRITES = (
    "{}: writes into an array that the solver still needs; make a new one: y = y + 1.0 instead of "
    "y += 1.0, np.stack([1.0, y[1]]) instead of y[0] = 1.0; or take y.copy() first."
)
F_EXCHANGED = (
    "f fails at its first call, f(t, y), and would not with the arguments exchanged, f(y, t), as "
    "scipy.integrate.odeint calls it; here t comes first: def f(t, y)."
)
WORDS = {1: "one", 2: "two", 3: "three", 4: "four"}


class Change(NamedTuple):
    """What might make the first call work."""

    to_array: bool  # y0 as an array, and not as a list of numbers
    swap_f: bool  # f(y, t) instead of f(t, y)
    swap_y0: bool  # y0 and t in the other order


CHANGES = [Change(*each) for each in itertools.product((False, True), repeat=3)]


def explained(solver: Solver) -> Solver:
    """Decorate a solver: where the first call of f fails, its error says what was probably meant.

    It also says what stands for a keyword that the solver does not have.
    """
    code = solver.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(solver)
    def with_explanation(*args, **options):
        for name in options:
            if name not in names:
                raise TypeError(
                    f"{solver.__name__}() got an unexpected keyword argument {name!r}; "
                    + instead_of(name, solver, names)
                )
        try:
            return solver(*args, **options)
        except WRONG_KIND as error:
            by_inner_solver = origin(error).f_code is with_explanation.__code__
            if by_inner_solver or is_raised_by_hand(error):
                raise
            meant = _meant(solver, names, error, args, options)
            if not meant:
                raise
            kind = next(kind for kind in WRONG_KIND if isinstance(error, kind))
            raise kind(f"{meant} (As it stands: {error})") from error

    return cast(Solver, with_explanation)


def _meant(solver, names, error, args, options):
    """Return a sentence about what is wrong with the first call of f, or None."""
    timed = names[1] == "y0"  # `root` has an unknown u0, and no time
    try:
        first = names[: 2 + timed]
        given = [options[name] if name in options else args[i] for i, name in enumerate(first)]
        f, states_and_times = given[0], plain(given[1:])
        y0, t = states_and_times if timed else (*states_and_times, None)
        args = plain(args[2 + timed :])
    except (IndexError, RecursionError):  # an argument is not there, or nested too deep
        return None
    if not callable(f):
        return None
    if _works(names, f, y0, t, args):
        return WRITES.format(line_of(error)) if "read-only" in str(error) else None
    swapped_f = lambda t, y, *args: f(y, t, *args)
    likely = _increases(y0) and not _increases(t)  # most often times increase
    for change in sorted(CHANGES, key=lambda change: (change.swap_y0 != likely, sum(change))):
        state, times = (t, y0) if change.swap_y0 else (y0, t)
        y = _array(state) if change.to_array else state
        if y is None or (not timed and (change.swap_f or change.swap_y0)):
            continue
        if change.swap_f and not isinstance(y, (tuple, list, dict)) and np.ndim(y) == 0:
            continue  # y is a number, as t is, and f cannot tell one from the other
        called = swapped_f if change.swap_f else f
        if _works(names, called, y, times, args, change.swap_y0):
            return _sentence(solver, names, state, change)
    return None


def _works(names, f, y0, t, args, swapped=False):
    """Whether f, called as a solver calls it first, returns what is shaped like the state."""
    try:
        leaves, structure = check_state(y0)
        y = tree.unflatten(structure, [leaf.copy() for leaf in leaves])
        with np.errstate(all="ignore"):
            value = f(*_first_time(names, leaves, t, swapped), y, *args)
        parts, found = ([value], tree.LEAF) if structure is tree.LEAF else tree.flatten(value)
        shapes = [np.shape(part) for part in parts]
    except Exception:  # of any kind: f does not work so, and the error of the real call is raised
        return False
    if names[1] == "u0":  # `root` asks for as many numbers, in any shape
        return sum(map(math.prod, shapes)) == sum([leaf.size for leaf in leaves])
    return found == structure and shapes == [leaf.shape for leaf in leaves]


def _first_time(names, leaves, t, swapped):
    """Return the time of the first call of f in a list, which is empty for `root`."""
    if names[1] == "u0":
        return []
    if (np.ndim(t) == 0) != (names[2] == "t0"):
        raise ValueError(f"{names[2]} cannot be {t!r:.60}")
    first = check_times(t)[0] if swapped and names[2] == "t" else float(np.ravel(t)[0])
    if "batched" in names:
        axes = max([leaf.ndim for leaf in leaves])
        return [np.full((len(leaves[0]), *[1] * (axes - 1)), first)]
    return [first]


def _increases(x):
    """Whether x is a vector of increasing numbers."""
    array = _array(x.tolist() if isinstance(x, np.ndarray) else x)
    if array is None or array.ndim != 1 or array.size < 2:
        return False
    return bool(np.all(np.diff(array) > 0))


def _array(y0):
    """Return a list of numbers, or a list of such lists, as an array; None for anything else."""
    try:
        parts = tree.flatten(y0)[0] if isinstance(y0, (list, tuple)) else [None]
        array = np.array(None if any([np.ndim(part) for part in parts]) else y0)
    except (TypeError, ValueError):  # rows of unequal length, for one
        return None
    return array if array.ndim and array.dtype.kind in "fiu" else None


def _sentence(solver, names, state, change):
    """Say what is to be changed so that the first call works."""
    sentences = []
    if change.swap_y0:
        order = f"{solver.__name__}(f, y0, {names[2]})"
        sentences.append(f"y0 and {names[2]} seem to be exchanged: the order is {order}.")
    if change.to_array:
        kind, n = type(state).__name__, WORDS.get(len(state), len(state))
        what, part = ("number", "state") if np.ndim(state) == 1 else ("row", "part")
        many = "s" if len(state) > 1 else ""
        sentences.append(
            f"{names[1]} is a {kind} of {n} {what}{many}, which here is a container of {n} "
            f"{part}{many}; write np.array({_array(state).tolist()!r:.60}), or let f return a "
            f"{kind}."
        )
    if change.swap_f:
        sentences.append(F_EXCHANGED)
    return " ".join(sentences)
