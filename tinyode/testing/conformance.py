"""`check_odeint`: is this a differentiable ODE solver, and if not, which mistake was made?

The values are compared with an accurate solution, and the gradients with finite differences of it.
`tinyode.testing.values` and `tinyode.testing.mistakes` find the words for what is wrong.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import vjp
from .differences import central_difference, check_rtol
from .drawing import check_examples, smallest_found
from .mistakes import MOST, Problem, accurate, explanations, field
from .values import (
    MOST_PIECES,
    STANDS_STILL,
    accuracy_in_words,
    error_of,
    in_pieces,
    values_in_words,
)

ARGUMENTS = ("z0", "A", "b", "t")
NAMES = ("dL/dz(t0)", "dL/dA", "dL/db", "dL/dt")
LAX = 10  # times rtol, where two results are compared that may both be off by it


class Wrong(AssertionError):
    """What was found on a problem, and what was expected."""

    def __init__(self, problem, found, expected):
        super().__init__()
        self.problem, self.found, self.expected = problem, found, expected


class WrongValues(Wrong):
    """An array of values z(t_i), shape (T, n)."""


class WrongGradient(Wrong):
    """A list of gradients, for z0, A, b, t."""


def check_odeint(odeint: Callable[..., Any], rtol: float = 1e-4, max_examples: int = 25) -> None:
    """Hold an odeint-like function and its gradients against finite differences.

    The differences are those of an accurate solution. The problems are dz/dt = tanh(A z + b sin t)
    with one to three components, two to four times, increasing or decreasing, and the loss
    sum_i <w_i, z(t_i)>. Hypothesis draws them, and reports the smallest that fails. A and b are
    two arrays of parameters; a last problem is given as well with none, with one and with three.

    Parameters
    ----------
    odeint : function
        ``odeint(f, y0, t, *args)`` returns an array of shape (len(t), len(y0)). It can be
        differentiated by `tinyode.vjp`: recorded, or with a `tinyode.custom_vjp` of your own.
    rtol : float
        The accuracy to expect, relative to 1 + |expected|.
    max_examples : int
        How many problems to draw.

    Raises
    ------
    AssertionError
        On the smallest problem found, with what is wrong. A mistake that is often made is named in
        words: a sign, the order of times, a lost observation, a Jacobian that is not transposed
        (see `tinyode.testing.adjoints` and `tinyode.testing.values`). Where a small problem does
        not tell mistakes apart, a larger one does. Of several that fit, three are named. Values
        that are near are tried with shorter steps, so that the message says how much shorter.
    TypeError, ValueError
        If ``odeint`` is not a function, ``rtol`` not between 0 and 1, ``max_examples`` not 1 or
        more. What ``odeint`` raises is passed on.
    """
    if not callable(odeint):
        raise TypeError(
            f"check_odeint: odeint must be a function odeint(f, y0, t, *args); got {odeint!r}"
        )
    check_rtol("check_odeint", rtol)
    check_examples("check_odeint", max_examples)

    def same(x, y):
        return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=rtol, atol=rtol)

    wrong = _smallest_wrong(odeint, same, max_examples)
    if wrong is None:
        return _check_arguments(odeint, rtol)
    larger = _larger(odeint, wrong, same)
    if isinstance(wrong, WrongValues):
        _report_values(odeint, wrong, larger, same, rtol)
    _report_gradient(odeint, wrong, larger, same, rtol)


def _larger(odeint, wrong, same):
    """Return what is wrong on a larger problem, where more can be told apart, or what is given."""
    try:
        _check_on(drawn(3, 4, wrong.problem.backwards, wrong.problem.seed), odeint, same)
    except Wrong as error:
        return error if type(error) is type(wrong) else wrong
    return wrong


def _report_values(odeint, wrong, larger, same, rtol):
    """Raise AssertionError with the words for wrong values."""
    small, more = (values_in_words(case.problem, case.found, same) for case in (wrong, larger))
    words = [word for word in small if word in more] or more
    if not words:
        words = [accuracy_in_words(odeint, larger.problem, larger.found, rtol)]
    raise AssertionError(_message("the values z(t_i)", wrong, words, wrong.expected, wrong.found))


def _report_gradient(odeint, wrong, larger, same, rtol):
    """Raise AssertionError with the words for the first wrong gradient."""
    i, small = explanations(wrong.problem, wrong.found, wrong.expected, same)
    there, more = explanations(larger.problem, larger.found, larger.expected, same)
    words = [word for word in small if word in more] or (more if there == i else [])
    case = larger if there == i else wrong
    words = words or _accuracy_in_words(odeint, case, i, rtol)
    words = words or _observations_in_words(odeint, case.problem, i, same)
    raise AssertionError(_message(NAMES[i], wrong, words, wrong.expected[i], wrong.found[i]))


def _accuracy_in_words(odeint, wrong, i, rtol):
    """Say whether the i-th gradient is nearer where each interval is solved in many pieces."""
    expected, errors = wrong.expected[i], [error_of(wrong.found[i], wrong.expected[i])]
    for pieces in (1, MOST_PIECES):
        _, pullback = vjp(in_pieces(odeint, pieces), *wrong.problem.primals)
        errors.append(error_of(pullback(wrong.problem.w)[i], expected))
    said = f"it is off by {errors[0]:.1e} relative to 1 + |{NAMES[i]}|, where {rtol:.1e} is"
    said += f" allowed; with each interval solved in {MOST_PIECES} pieces, by {errors[2]:.1e}"
    falls = errors[2] < errors[1] / (2 if errors[2] < rtol else STANDS_STILL)
    if falls and errors[1] > errors[0] / STANDS_STILL:  # else it is how intervals are joined
        return [f"{said}: steps are too long, a tolerance is too large, or something stands still"]
    return []


def _observations_in_words(odeint, problem, i, same):
    """Say for which z(t_k) alone the i-th gradient is right, if that tells something."""
    right: dict[bool, list[str]] = {True: [], False: []}
    for k in range(len(problem.w)):
        one = problem._replace(w=problem.w * (np.arange(len(problem.w)) == k)[:, None])
        _, pullback = vjp(lambda z0, A, b, t: odeint(field, z0, t, A, b), *one.primals)
        right[bool(same(pullback(one.w)[i], _by_differences(one)[i]))].append(f"z(t{k})")
    if not right[False]:
        return ["it is right for a loss of one z(ti) alone, and wrong for their sum"]
    if not right[True]:
        return []
    return [
        f"for a loss of one z(ti) alone, it is right for {', '.join(right[True])} and wrong for"
        f" {', '.join(right[False])}"
    ]


def _smallest_wrong(odeint, same, max_examples):
    """Return what is wrong on the smallest problem that hypothesis finds, or None."""

    def look(problem):
        try:
            _check_on(problem, odeint, same)
        except Wrong as error:
            return error
        return None

    def draw(choose):
        return drawn(*map(choose, ([1, 2, 3], [2, 3, 4], [False, True], range(100))))

    return smallest_found(look, draw, max_examples)


def drawn(n: int, times: int, backwards: bool, seed: int) -> Problem:
    """Return a random problem with n components and so many times."""
    rng = np.random.default_rng(seed)
    z0, A, b = rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=n)
    t = np.cumsum(rng.uniform(0.2, 0.6, times)) - 0.5
    t = t[::-1].copy() if backwards else t
    return Problem((z0, A, b, t), rng.normal(size=(times, n)), seed)


def _check_on(problem, odeint, same):
    """Raise AssertionError if a function is wrong on a problem, `Wrong` if numbers are."""
    given = [x.copy() for x in problem.primals]
    value, pullback = vjp(lambda z0, A, b, t: odeint(field, z0, t, A, b), *given)
    _check_unchanged(problem, given)
    exact = accurate(*problem.primals)
    _check_shape(value, exact)
    if not same(value, exact):
        raise WrongValues(problem, value, exact)
    z0, A, b, t = given
    plain = odeint(field, z0, t, A, b)
    if not same(plain, exact):
        raise AssertionError(
            "the values for plain numbers, where nothing is differentiated: expected"
            f" {exact}, by an accurate solution; got {plain}"
        )
    found, twice = pullback(problem.w), pullback(2 * problem.w)
    _check_unchanged(problem, given)
    for name, x, y in zip(NAMES, found, twice):
        if not np.all(np.isfinite(x)):
            raise AssertionError(f"{name} is not finite: {x}")
        if not same(2 * x, y):
            raise AssertionError(
                f"{name} is not linear in the cotangent: twice the cotangent must give twice"
                " the gradient; is something kept from one backward pass to the next?"
            )
    expected = _by_differences(problem)
    if not all(same(x, y) for x, y in zip(found, expected)):
        raise WrongGradient(problem, found, expected)


def _check_arguments(odeint, rtol):
    """Raise AssertionError if parameters in another number of arrays than two are not treated so.

    They are the same numbers in other arrays, so that value and gradients follow from those with A
    and b, which are right.
    """
    problem = drawn(2, 3, False, 0)
    z0, A, b, t = problem.primals

    def found(f, *args):
        value, pullback = vjp(lambda y0, t, *args: odeint(f, y0, t, *args), z0, t, *args)
        return value, *pullback(problem.w)

    *of_no_array, of_A, of_b = found(field, A, b)
    ways = (
        ("no array", lambda t, z: field(t, z, A, b), (), ()),
        (
            "one array",
            lambda t, z, both: field(t, z, both[:-1], both[-1]),
            (np.vstack([A, b]),),
            (np.vstack([of_A, of_b]),),
        ),
        (
            "three arrays",
            lambda t, z, A, c, d: field(t, z, A, c + 2 * d),
            (A, b / 2, b / 4),
            (of_A, of_b, 2 * of_b),
        ),
    )
    for number, f, args, of_args in ways:
        call = f"odeint({', '.join(['f', 'y0', 't', *'abc'[: len(args)]])})"
        begin = f"with two arrays of parameters odeint is right; with {number}, as in {call},"
        try:
            results = found(f, *args)
        except Exception as error:
            raise AssertionError(
                f"{begin} it raises {type(error).__name__}: {error}. It must take any number of"
                " arrays, def odeint(f, y0, t, *args), and hand them on to f(t, y, *args)"
            ) from error
        names = ["z(t_i)", "dL/dz(t0)", "dL/dt", *[f"dL/d(args[{i}])" for i in range(len(args))]]
        for name, x, y in zip(names, results, (*of_no_array, *of_args)):
            if np.shape(x) != np.shape(y) or not np.allclose(
                x, y, rtol=LAX * rtol, atol=LAX * rtol
            ):
                raise AssertionError(f"{begin} {name} is wrong: expected {y}; got {x}")


def _check_unchanged(problem, given):
    for name, before, after in zip(ARGUMENTS, problem.primals, given):
        if not np.array_equal(before, after):
            raise AssertionError(
                f"odeint has written into its argument {name}; what it was given must stay"
                " as it was"
            )


def _check_shape(value, exact):
    if isinstance(value, (tuple, list, dict)):
        raise AssertionError(
            f"the values: expected one array, of shape {exact.shape}; got a {type(value).__name__}"
        )
    if np.shape(value) != exact.shape:
        raise AssertionError(
            f"the values: expected shape {exact.shape}, one state per time, the first included; got"
            f" {np.shape(value)}"
        )


def _by_differences(problem):
    """Return the gradients of <w, z> for z0, A, b, t, by finite differences."""
    times, n = problem.w.shape
    slopes = _derivatives(n, times, problem.backwards, problem.seed)
    return [np.sum(dz * problem.w, axis=(-2, -1)) for dz in slopes]


@functools.cache
def _derivatives(n, times, backwards, seed):
    """Return dz/dx of a drawn problem for x = z0, A, b, t; shapes (*x.shape, times, n)."""
    primals = drawn(n, times, backwards, seed).primals
    slopes = [np.zeros((*x.shape, times, n)) for x in primals]
    for i, slope in enumerate(slopes):
        for j in np.ndindex(primals[i].shape):
            v = [np.zeros_like(x) for x in primals]
            v[i][j] = 1.0
            slope[j] = central_difference(accurate, primals, tuple(v), h=1e-2)
    return slopes


def _message(what, wrong, words, expected, found):
    """Say what is wrong, how, and the numbers; of several words those that come first."""
    where = " (in a problem that runs backwards in time)" if wrong.problem.backwards else ""
    how = f": {', or '.join(words[:MOST])}" if words else ""
    by = "an accurate solution" + " and finite differences" * isinstance(wrong, WrongGradient)
    return f"{what}{where}{how}: expected {expected}, by {by}; got {found}"
