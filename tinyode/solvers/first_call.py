"""What is meant where a first call fails: the ways of SciPy, torchdiffeq and their kin, and how the same is written here.

A solver is called in one order, ``odeint(f, y0, t, *args)``, f is called in one, ``f(t, y, *args)``, and a list of numbers is a container
of as many states. Who comes from elsewhere has it otherwise, and what then fails, fails somewhere inside. So where a solver fails,
f is called once more as the solver calls it first; and only if that fails too, as it may have been meant. What then works is said.
"""

import functools
import itertools
import math

import numpy as np

from .. import tree
from ..autodiff.dispatch import plain
from ..autodiff.lines import line_of, origin
from .state import check_state, check_times

PYTHONS_OWN = TypeError, ValueError, IndexError, AttributeError  # where a number is taken for an array, or one for another
WRITES = ("{}: writes into an array that the solver still needs; make a new one: y = y + 1.0 instead of y += 1.0, "
          "np.stack([1.0, y[1]]) instead of y[0] = 1.0; or take y.copy() first.")
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}
IN_ORDER = "the parameters of f follow t by position: {solver}(f, y0, t, 2.0)"
FIRST_STEP, ALL_TIMES = "write first_step=", "t, the third argument, has all times at which the solution is returned, that of y0 first"
KEYWORDS = {
    "args": IN_ORDER, "p": IN_ORDER, "params": IN_ORDER, "adjoint_params": IN_ORDER, "fun": "f is the first argument",
    "func": "f is the first argument", "t_eval": ALL_TIMES, "t_span": ALL_TIMES, "ts": ALL_TIMES, "saveat": ALL_TIMES,
    "dense_output": "what tinyode.solve returns is a function of time: solution(t)", "full_output": "tinyode.solve returns stats",
    "tfirst": "f is called as f(t, y, *args)", "jac": "write jacobian=, of tinyode.solve", "Dfun": "write jacobian=, of tinyode.solve",
    "events": "write event=, of tinyode.solve or odeint_event", "event_fn": "write event=, of tinyode.solve or odeint_event",
    "event": "tinyode.solve and odeint_event have it", "norm": "tinyode.solve has it", "jacobian": "tinyode.solve has it",
    "options": "step_size, first_step, max_step and their kin are keywords themselves", "adjoint_options": "adjoint_method, adjoint_rtol "
    "and adjoint_atol are keywords themselves", "hmax": "write max_step=", "hmin": "write min_step=, of tinyode.solve",
    "h0": FIRST_STEP, "dt0": FIRST_STEP, "mxstep": "write max_steps=", "dt": "write step_size=", "h": "write step_size=",
    "solver": "write method=", "reltol": "write rtol=", "abstol": "write atol=", "tol": "write rtol= and atol="}


def explained(solver):
    """Let a solver, a function of f, y0 and t in this order, say what is meant where its first call of f fails: a decorator."""
    code = solver.__code__
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(solver)
    def with_explanation(*args, **options):
        for name in options:
            if name not in names:
                raise TypeError(f"{solver.__name__}() got an unexpected keyword argument {name!r}; " + _instead(name, solver, names))
        try:
            return solver(*args, **options)
        except PYTHONS_OWN as error:
            by_itself = type(error).__module__.split(".")[0] in ("builtins", "numpy")  # and not by a class of the user's
            said = origin(error).f_code is with_explanation.__code__  # by a solver that this one has called
            found = by_itself and not said and _meant(solver, names, error, args, options)
            if not found:
                raise
            kind = next(kind for kind in PYTHONS_OWN if isinstance(error, kind))
            raise kind(f"{found} (As it stands: {error})") from error

    return with_explanation


def _instead(name, solver, names):
    """Say what to write instead of a keyword that a solver does not have."""
    import difflib  # seldom needed

    near = difflib.get_close_matches(name, names, n=1)
    if name in KEYWORDS:
        return KEYWORDS[name].format(solver=solver.__name__)
    return f"did you mean {near[0]}=?" if near else f"its keywords are {', '.join(names[solver.__code__.co_argcount:])}"


def _meant(solver, names, error, args, options):
    """Return a sentence about what is wrong with the first call of f, or None."""
    timed = names[2:3] in (("t",), ("t0",))
    try:
        f, y0, *rest = [options[name] if name in options else args[i] for i, name in enumerate(names[:2 + timed])]
    except IndexError:  # an argument is not there
        return None
    if not callable(f):
        return None
    y0, t, args = plain(y0), plain(rest[0]) if timed else None, plain(args[2 + timed:])
    if _works(names, f, y0, t, args):
        return WRITES.format(line_of(error)) if "read-only" in str(error) else None
    swapped = lambda t, y, *args: f(y, t, *args)
    usual = not _increases(t) and _increases(y0)  # times do, most often; so whether it is usual that they are exchanged
    for changes in sorted(itertools.product((False, True), repeat=3), key=lambda changes: (changes[2] != usual, sum(changes))):
        listed, f_exchanged, exchanged = changes
        state, times = (t, y0) if exchanged else (y0, t)
        array = _array(state) if listed else state
        if array is None or ((f_exchanged or exchanged) and not timed):
            continue
        if f_exchanged and not isinstance(array, (tuple, list, dict)) and np.ndim(array) == 0:
            continue  # t and y are both numbers, so that f works does not tell
        if _works(names, swapped if f_exchanged else f, array, times, args, exchanged):
            return _sentence(solver, names, state, *changes)
    return None


def _works(names, f, y0, t, args, exchanged=False):
    """Whether f, called as a solver calls it first, returns what has the structure and the shapes of the state."""
    try:
        leaves, structure = check_state(y0)
        y = tree.unflatten(structure, [leaf.copy() for leaf in leaves])
        with np.errstate(all="ignore"):
            value = f(*_first_times(names, leaves, t, exchanged), y, *args)
        parts, found = ([value], tree.LEAF) if structure is tree.LEAF else tree.flatten(value)
        shapes = [np.shape(part) for part in parts]
    except Exception:  # whatever it is, f does not work like this; the error of the real call is the one to be raised
        return False
    if names[1] == "u0":  # root asks for as many numbers, in any shape
        return sum(map(math.prod, shapes)) == sum([leaf.size for leaf in leaves])
    return found == structure and shapes == [leaf.shape for leaf in leaves]


def _first_times(names, leaves, t, exchanged):
    """Return the first argument of f's first call, in a list, which is empty for `root`; an error if t cannot be."""
    if names[1] == "u0":
        return []
    first = check_times(t)[0] if exchanged and names[2] == "t" else float(np.ravel(t)[0])
    if np.ndim(t) != 0 if names[2] == "t0" else np.ndim(t) == 0:
        raise ValueError(names[2])
    if "batched" not in names:
        return [first]
    return [np.full((len(leaves[0]), *[1] * (max([leaf.ndim for leaf in leaves]) - 1)), first)]


def _increases(x):
    """Whether x is a vector of increasing numbers."""
    array = _array(x.tolist() if isinstance(x, np.ndarray) else x)
    return array is not None and array.ndim == 1 and array.size > 1 and bool(np.all(np.diff(array) > 0))


def _array(y0):
    """Return a list or tuple of numbers, or of lists of them, as the array that it is meant to be; None for anything else."""
    try:
        numbers = isinstance(y0, (list, tuple)) and not any([np.ndim(leaf) for leaf in tree.flatten(y0)[0]])
        array = np.array(y0 if numbers else None)
    except (TypeError, ValueError):  # of unequal rows, for one
        return None
    return array if array.dtype.kind in "fiu" else None


def _sentence(solver, names, state, listed, f_exchanged, exchanged):
    """Say what is to be changed so that the first call works."""
    said = []
    if exchanged:
        said.append(f"y0 and {names[2]} seem to be exchanged: the order is {solver.__name__}(f, y0, {names[2]}).")
    if listed:
        kind, n = type(state).__name__, len(state)
        what, parts = ("number", "state") if np.ndim(state) == 1 else ("row", "part")
        many = "s" * (n > 1)
        said.append(f"{names[1]} is a {kind} of {NUMBERS.get(n, n)} {what}{many}, which here is a container of {NUMBERS.get(n, n)} "
                    f"{parts}{many}; write np.array({_array(state).tolist()!r:.60}), or let f return a {kind}.")
    if f_exchanged:
        said.append("f fails at its first call, f(t, y), and would not with the arguments exchanged, f(y, t), as scipy.integrate.odeint "
                    "calls it; here t comes first: def f(t, y).")
    return " ".join(said)
