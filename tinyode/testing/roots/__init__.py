"""`check_root_adjoint`: is this the adjoint of a system of equations, and if not, what is wrong?

Problems are drawn (`problems`), and what is wrong is recognised by making it (`mistakes`).
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...types import Array
from ..calls import is_in, watch_calls
from ..differences import check_rtol
from ..drawing import check_examples, smallest_found
from .mistakes import SOLVE, root_explanations
from .problems import RootProblem, Seen, drawn_problem, expected_gradient

LARGE, SQUARE = (3, 4, 0), (3, 3, 0)  # problems that tell apart what looks the same on a small one
MORE = 20  # parameters or unknowns more, in the check of the cost
LINALG = "numpy.linalg", "scipy.linalg"
INVERSES, SOLVERS = ("inv", "pinv", "tensorinv", "matrix_power"), ("solve", "lstsq", "lu_solve")
COST = (
    "For n unknowns and m parameters, the linear systems take about n^3/3 + n^2 multiplications by"
    " the adjoint, n^3 with an inverse, and n^3/3 + m n^2 by du/dp; for n = 1000 and m = 1000000"
    " that is 3e+08, 1e+09 and 1e+12"
)


class Wrong(NamedTuple):
    """What was found on a problem: a gradient, or the error that was raised."""

    problem: RootProblem
    expected: Array
    found: Array | Exception
    last: Any


class Refused(Exception):
    """What was returned is no gradient; the message says why."""


def check_root_adjoint(
    adjoint: Callable[..., Any], rtol: float = 1e-6, max_examples: int = 25
) -> None:
    """Hold the gradient of g(u), where f(u, p) = 0, against finite differences.

    The problems are f(u, p) = A u + tanh(B u + C p) - c and g(u) = w^T u + u^T u / 2, with one to
    three unknowns and one to three parameters. Hypothesis draws them, and the smallest that fails
    is shown.

    Parameters
    ----------
    adjoint : function
        ``adjoint(f, g, u0, p)`` returns dg/dp, shape (m,). It has to solve ``f(u, p)``, shape (n,),
        for u, from u0, and ``g(u)`` is a number. f and g can be differentiated by this library and
        by finite differences.
    rtol : float
        The accuracy to expect, relative to 1 + |expected|.
    max_examples : int
        How many problems to draw.

    Raises
    ------
    AssertionError
        On the smallest problem found, with what is wrong. A mistake that is often made is named in
        words: the missing transpose, the sign, a derivative at u0, lambda returned, a u that does
        not solve the equations (see `tinyode.testing.roots.mistakes`). If all gradients are right,
        but at a cost that is seen: by a dense inverse, by du/dp, by calls of f, g or a solver for
        each parameter, or by calls of a solver for each unknown.
    TypeError, ValueError
        If ``adjoint`` is not a function, ``rtol`` not between 0 and 1, ``max_examples`` not 1 or
        more. What ``adjoint`` raises is passed on.

    Notes
    -----
    The cost is not timed. The calls of f and g are counted, and where no profiler runs those of
    `inv`, `pinv`, `tensorinv`, `matrix_power`, `solve`, `lstsq` and `lu_solve` are watched, of
    `numpy.linalg` and of `scipy.linalg`. An inverse that is made otherwise is not seen, as of a
    singular value decomposition or in a loop.
    """
    if not callable(adjoint):
        raise TypeError(
            f"check_root_adjoint: adjoint must be a function adjoint(f, g, u0, p); got"
            f" {adjoint!r:.60}"
        )
    check_rtol("check_root_adjoint", rtol)
    check_examples("check_root_adjoint", max_examples)

    def same(x, y):
        return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=rtol, atol=rtol)

    def draw(choose):
        return drawn_problem(choose([1, 2, 3]), choose([1, 2, 3]), choose(range(100)))

    wrong = smallest_found(lambda problem: _look(problem, adjoint, same), draw, max_examples)
    if wrong is not None:
        _report(wrong, adjoint, same)
    _check_cost(adjoint)


def _look(problem, adjoint, same):
    """Return `Wrong`, or None where the gradient of a problem is right."""
    expected, seen = expected_gradient(problem), Seen(problem)
    try:
        found = _answer(problem, adjoint, seen)
    except Exception as error:
        return Wrong(problem, expected, error, seen.last)
    return None if same(found, expected) else Wrong(problem, expected, found, seen.last)


def _answer(problem, adjoint, seen):
    """Return the student's gradient as an array; refuse what is none."""
    given = {"u0": problem.u0.copy(), "p": problem.p.copy()}
    found = adjoint(seen.f, seen.g, *given.values())
    for name, x in given.items():
        if not np.array_equal(x, getattr(problem, name)):
            raise Refused(
                f"adjoint has written into its argument {name}; what it was given must stay as it"
                f" was. Begin with a copy: u = u0.copy(), and write u = u + d instead of u += d"
            )
    m = len(problem.p)
    if isinstance(found, (tuple, list)):
        raise Refused(
            f"adjoint returned a {type(found).__name__} of {len(found)}; it must return one array,"
            f" dg/dp of shape ({m},). A pullback returns one cotangent for each argument: take"
            " pullback(-lam)[0]"
        )
    if not isinstance(found, (np.ndarray, np.floating, float)):
        what = (
            "None (is the return missing?)"
            if found is None
            else f"an object of type {type(found).__name__}"
        )
        raise Refused(f"adjoint returned {what}; it must return dg/dp, an array of shape ({m},)")
    found = np.asarray(found)
    if found.dtype.kind != "f":
        raise Refused(
            f"adjoint returned an array of dtype {found.dtype}; dg/dp is an array of floating-point"
            f" numbers, shape ({m},)"
        )
    if not np.all(np.isfinite(found)):
        raise Refused(f"adjoint returned {found}, which is not finite")
    return found


def _report(wrong, adjoint, same):
    """Raise an error that says what is wrong on a problem."""
    problem, expected, found, last = wrong
    if isinstance(found, Refused):
        raise AssertionError(_message(str(found), problem)) from None
    larger = [_look(drawn_problem(*size), adjoint, same) for size in (LARGE, SQUARE)]
    larger = [other for other in larger if other and not isinstance(other.found, Exception)]
    if isinstance(found, Exception):
        for other in larger:  # a product whose shapes fit there, but not here
            try:
                _report(other, adjoint, same)
            except AssertionError as said:
                raise said from found
        if hasattr(found, "add_note"):  # from Python 3.11
            found.add_note(f"check_root_adjoint: this was raised for\n\n{problem}\n")
        raise found
    words = root_explanations(problem, found, last, same)
    for other in larger[:1]:
        there = root_explanations(other.problem, other.found, other.last, same)
        words = [word for word in words if word in there] or there or words
    shape = ""
    if found.shape != expected.shape:
        shape = f", whose shape {found.shape} is not that of p, {expected.shape}"
    said = f"\nWhat is wrong: {words[0]}." if words else ""
    if len(words) > 1:
        said = "\nWhat is wrong, one of these:" + "".join([f"\n- {word}" for word in words[:3]])
    raise AssertionError(
        _message(
            f"dg/dp: expected {expected}, by finite differences; got {found}{shape}.{said}", problem
        )
    )


def _message(what, problem):
    return f"check_root_adjoint: {what}\nThe problem:\n\n{problem}\n"


def _check_cost(adjoint):
    """Raise AssertionError for a dense inverse, or for a cost that grows with each parameter."""
    problem = drawn_problem(*LARGE)
    more = problem.with_idle_parameters(MORE)
    dense, calls = _calls(adjoint, problem)
    _, more_calls = _calls(adjoint, more)
    if dense:
        raise AssertionError(
            f"check_root_adjoint: the gradients are right, but {dense[0]}. There is one system to"
            f" solve, with one right-hand side: {SOLVE}. {COST}"
        )
    for name, count in sorted(more_calls.items()):
        if count - calls[name] >= MORE:
            raise AssertionError(
                f"check_root_adjoint: the gradients are right, but {name} is called"
                f" {calls[name]} times for {len(problem.p)} parameters and {count} times for"
                f" {len(more.p)}, so the cost grows with each parameter. The adjoint needs"
                f" dg/du once, one solve, and df/dp in one pullback: {SOLVE} and dg_dp ="
                " vjp(lambda p: f(u, p), p)[1](-lam)[0]"
            )
    more = problem.with_idle_unknowns(MORE)
    for name, count in _calls(adjoint, more)[1].items():
        if name not in ("f", "g") and count - calls[name] >= MORE:
            raise AssertionError(
                f"check_root_adjoint: the gradients are right, but {name} is called {calls[name]}"
                f" times for {len(problem.u0)} unknowns and {count} times for {len(more.u0)}, one"
                f" for each unknown, as for a dense inverse. One solve is enough: {SOLVE}. {COST}"
            )


def _calls(adjoint, problem):
    """Return what is said of dense linear algebra, and how often something is called."""
    dense, counted, seen = list[str](), Counter[str](), Seen(problem)
    n, m = problem.C.shape

    def see(frame):
        name, caller = frame.f_code.co_name, frame.f_back
        if name not in (*INVERSES, *SOLVERS) or not is_in(frame, *LINALG):
            return
        while caller is not None and is_in(caller, "scipy.linalg", "scipy._lib"):
            caller = caller.f_back
        if caller is None or is_in(caller, "tinyode", "numpy", "scipy"):
            return  # np.linalg.cond calls inv, and so does Newton's method of the library
        called = f"{frame.f_globals['__name__'].split('.')[0]}.linalg.{name}"
        counted[called] += 1
        right, power = np.shape(frame.f_locals.get("b")), frame.f_locals.get("n")
        if name == "matrix_power" and power < 0:
            dense.append(f"{called} was called with n = {power}, which computes a dense inverse")
        elif name in INVERSES[:-1]:
            dense.append(f"{called} was called, which computes a dense inverse")
        elif len(right) == 2 and right[1] == m:
            dense.append(f"{called} was called with {m} right-hand sides, one for each parameter")
        elif len(right) == 2 and right[1] == n:
            dense.append(f"{called} was called with {n} right-hand sides, as for a dense inverse")

    watch_calls(lambda: adjoint(seen.f, seen.g, problem.u0.copy(), problem.p.copy()), see)
    return dense, counted + Counter(seen.calls)
