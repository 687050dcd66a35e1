"""What the user probably meant, where the first call of f fails.

A solver takes its arguments in one order, ``odeint(f, y0, t, *args)``, and calls f in one,
``f(t, y, *args)``. Each number in a list is a state of its own. SciPy, torchdiffeq and others have
other rules, and code that was written for them fails inside f or after it.

So where a solver fails, f is called once more, as the solver calls it first. If that fails too, f
is called again with changed arguments. If that works, the error says which change to make. An
exception from a ``raise`` statement outside tinyode and NumPy is never replaced.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from .. import tree
from ..autodiff.lines import is_raised_by_hand, line_of, origin
from ..autodiff.numpy_calls import plain
from .state import check_state, check_times

Solver = TypeVar("Solver", bound=Callable)

WRONG_KIND = TypeError, ValueError, IndexError, AttributeError  # what is no array is used as one
WRITES = (
    "{}: writes into an array that the solver still needs; make a new one: y = y + 1.0 instead of "
    "y += 1.0, np.stack([1.0, y[1]]) instead of y[0] = 1.0; or take y.copy() first."
)
F_EXCHANGED = (
    "f fails at its first call, f(t, y), and would not with the arguments exchanged, f(y, t), as "
    "scipy.integrate.odeint calls it; here t comes first: def f(t, y)."
)
WORDS = {1: "one", 2: "two", 3: "three", 4: "four"}

PARAMETERS = "the parameters of f follow {last} by position: {solver}({positional}, 2.0)"
F_FIRST = "f is the first argument"
TIMES = "t, the third argument, has all times at which the solution is returned, that of y0 first"
FIRST_STEP = "write first_step="
STEP_SIZE = "write step_size="
JACOBIAN = "write jacobian=, of tinyode.solve"
EVENT = "write event=, of tinyode.solve or odeint_event"
OF_SOLVE = "tinyode.solve has it"
KEYWORDS = {  # of SciPy, torchdiffeq, JAX and diffrax, and what stands for them here
    "abstol": "write atol=",
    "adjoint_options": "adjoint_method, adjoint_rtol and adjoint_atol are keywords themselves",
    "adjoint_params": PARAMETERS,
    "args": PARAMETERS,
    "dense_output": "what tinyode.solve returns is a function of time: solution(t)",
    "Dfun": JACOBIAN,
    "dt": STEP_SIZE,
    "dt0": FIRST_STEP,
    "event": "tinyode.solve and odeint_event have it",
    "event_fn": EVENT,
    "events": EVENT,
    "full_output": "what tinyode.solve returns has stats",
    "fun": F_FIRST,
    "func": F_FIRST,
    "h": STEP_SIZE,
    "h0": FIRST_STEP,
    "hmax": "write max_step=",
    "hmin": "write min_step=, of tinyode.solve",
    "jac": JACOBIAN,
    "jacobian": OF_SOLVE,
    "min_step": OF_SOLVE,
    "mxstep": "write max_steps=",
    "norm": OF_SOLVE,
    "options": "step_size, first_step, max_steps and their kin are keywords themselves",
    "p": PARAMETERS,
    "params": PARAMETERS,
    "reltol": "write rtol=",
    "saveat": TIMES,
    "solver": "write method=",
    "t_eval": TIMES,
    "t_span": TIMES,
    "tfirst": "f is called as f(t, y, *args)",
    "tol": "write rtol= and atol=",
    "ts": TIMES,
}


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
                    + _instead(name, solver, names)
                )
        try:
            return solver(*args, **options)
        except WRONG_KIND as error:
            said = origin(error).f_code is with_explanation.__code__  # by a solver called inside
            own = said or is_raised_by_hand(error)
            meant = None if own else _meant(solver, names, error, args, options)
            if not meant:
                raise
            kind = next(kind for kind in WRONG_KIND if isinstance(error, kind))
            raise kind(f"{meant} (As it stands: {error})") from error

    return with_explanation


def _instead(name, solver, names):
    """Say what to write instead of a keyword that a solver does not have."""
    import difflib  # seldom needed

    positional = names[: solver.__code__.co_argcount]
    said = KEYWORDS.get(name)
    if said and not (said is TIMES and "t" not in positional):
        return said.format(
            solver=solver.__name__, positional=", ".join(positional), last=positional[-1]
        )
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}=?"
    return f"its keywords are {', '.join(names[solver.__code__.co_argcount :])}"


def _meant(solver, names, error, args, options):
    """Return a sentence about what is wrong with the first call of f, or None."""
    timed = names[1] == "y0"  # `root` has an unknown u0, and no time
    try:
        first = names[: 2 + timed]
        given = [options[name] if name in options else args[i] for i, name in enumerate(first)]
        f, y0, *t = given[0], *plain(given[1:])
        args, t = plain(args[2 + timed :]), t[0] if timed else None
    except (IndexError, RecursionError):  # an argument is not there, or nested too deep
        return None
    if not callable(f):
        return None
    if _works(names, f, y0, t, args):
        return WRITES.format(line_of(error)) if "read-only" in str(error) else None
    f_exchanged = lambda t, y, *args: f(y, t, *args)
    likely = _increases(y0) and not _increases(t)  # most often times increase
    order = lambda changes: (changes[2] != likely, sum(changes))
    for changes in sorted(itertools.product((False, True), repeat=3), key=order):
        as_array, exchange_f, exchange = changes
        state, times = (t, y0) if exchange else (y0, t)
        y = _array(state) if as_array else state
        # where y is a number, as t is, an exchange cannot be seen
        numbers = not isinstance(y, (tuple, list, dict)) and np.ndim(y) == 0
        if y is None or (exchange_f and numbers) or ((exchange_f or exchange) and not timed):
            continue
        if _works(names, f_exchanged if exchange_f else f, y, times, args, exchange):
            return _sentence(solver, names, state, *changes)
    return None


def _works(names, f, y0, t, args, exchanged=False):
    """Whether f, called as a solver calls it first, returns what is shaped like the state."""
    try:
        leaves, structure = check_state(y0)
        y = tree.unflatten(structure, [leaf.copy() for leaf in leaves])
        with np.errstate(all="ignore"):
            value = f(*_first_time(names, leaves, t, exchanged), y, *args)
        parts, found = ([value], tree.LEAF) if structure is tree.LEAF else tree.flatten(value)
        shapes = [np.shape(part) for part in parts]
    except Exception:  # of any kind: f does not work so, and the error of the real call is raised
        return False
    if names[1] == "u0":  # `root` asks for as many numbers, in any shape
        return sum(map(math.prod, shapes)) == sum([leaf.size for leaf in leaves])
    return found == structure and shapes == [leaf.shape for leaf in leaves]


def _first_time(names, leaves, t, exchanged):
    """Return the time of the first call of f in a list, which is empty for `root`."""
    if names[1] == "u0":
        return []
    if (np.ndim(t) == 0) != (names[2] == "t0"):
        raise ValueError(f"{names[2]} cannot be {t!r:.60}")
    first = check_times(t)[0] if exchanged and names[2] == "t" else float(np.ravel(t)[0])
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


def _sentence(solver, names, state, as_array, exchange_f, exchange):
    """Say what is to be changed so that the first call works."""
    said = []
    if exchange:
        order = f"{solver.__name__}(f, y0, {names[2]})"
        said.append(f"y0 and {names[2]} seem to be exchanged: the order is {order}.")
    if as_array:
        kind, n = type(state).__name__, WORDS.get(len(state), len(state))
        what, part = ("number", "state") if np.ndim(state) == 1 else ("row", "part")
        many = "s" if len(state) > 1 else ""
        said.append(
            f"{names[1]} is a {kind} of {n} {what}{many}, which here is a container of {n} "
            f"{part}{many}; write np.array({_array(state).tolist()!r:.60}), or let f return a "
            f"{kind}."
        )
    return " ".join([*said, F_EXCHANGED] if exchange_f else said)
