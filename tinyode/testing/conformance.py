"""`check_odeint`: is this a differentiable ODE solver, and if not, which mistake was made?

The values are compared with an accurate solution, and the gradients with finite differences of it.
`tinyode.testing.mistakes` finds the words for what is wrong.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import vjp
from ..checks import is_whole
from .differences import central_difference, check_rtol, inner
from .mistakes import Problem, accurate, explanations, field

ARGUMENTS = ("z0", "A", "b", "t")
NAMES = ("dL/dz(t0)", "dL/dA", "dL/db", "dL/dt")


class WrongGradient(AssertionError):
    """What was found on a problem, and what was expected; both are lists of gradients."""

    def __init__(self, problem, found, expected):
        super().__init__()
        self.problem, self.found, self.expected = problem, found, expected


def check_odeint(odeint: Callable[..., Any], rtol: float = 1e-4, max_examples: int = 25) -> None:
    """Hold an odeint-like function and its gradients against finite differences.

    The differences are those of an accurate solution. The problems are dz/dt = tanh(A z + b sin t)
    with one to three components, two to four times, increasing or decreasing, and the loss
    sum_i <w_i, z(t_i)>. Hypothesis draws them, and reports the smallest that fails.

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
        (see `tinyode.testing.mistakes`). Where a small problem does not tell mistakes apart, a
        larger one does.
    TypeError, ValueError
        If ``odeint`` is not a function, ``rtol`` not between 0 and 1, ``max_examples`` not 1 or
        more. What ``odeint`` raises is passed on.
    """
    if not callable(odeint):
        raise TypeError(
            f"check_odeint: odeint must be a function odeint(f, y0, t, *args); got {odeint!r}"
        )
    check_rtol("check_odeint", rtol)
    if not is_whole(max_examples, 1):
        raise ValueError(
            f"check_odeint: max_examples={max_examples!r} must be a whole number, 1 or more"
        )

    def same(x, y):
        return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=rtol, atol=rtol)

    wrong = _smallest_wrong(odeint, same, max_examples)
    if wrong is None:
        return
    i, words = explanations(wrong.problem, wrong.found, wrong.expected, same)
    backwards, seed = wrong.problem.backwards, wrong.problem.seed
    try:
        _check_on(drawn(3, 4, backwards, seed), odeint, same)
    except WrongGradient as larger:  # where more can be told apart
        there, more = explanations(larger.problem, larger.found, larger.expected, same)
        words = [word for word in words if word in more] or (more if there == i else words)
    where = " (in a problem that runs backwards in time)" if backwards else ""
    raise AssertionError(_message(NAMES[i] + where, words, wrong.expected[i], wrong.found[i]))


def hypothesis_and_strategies() -> tuple[Any, Any]:
    """Return hypothesis and hypothesis.strategies, which only those who draw need."""
    try:
        import hypothesis
        import hypothesis.strategies
    except ImportError as error:
        raise ImportError(
            "tinyode.testing draws its problems with hypothesis: pip install hypothesis"
        ) from error
    return hypothesis, hypothesis.strategies


def _smallest_wrong(odeint, same, max_examples):
    """Return the `WrongGradient` on the smallest problem that hypothesis finds, or None."""
    hypothesis, st = hypothesis_and_strategies()

    @hypothesis.settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(st.integers(1, 3), st.integers(2, 4), st.booleans(), st.integers(0, 99))
    def on_problem(n, times, backwards, seed):
        _check_on(drawn(n, times, backwards, seed), odeint, same)

    try:
        on_problem()
    except WrongGradient as error:
        return error
    return None


def drawn(n: int, times: int, backwards: bool, seed: int) -> Problem:
    """Return a random problem with n components and so many times."""
    rng = np.random.default_rng(seed)
    z0, A, b = rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=n)
    t = np.cumsum(rng.uniform(0.2, 0.6, times)) - 0.5
    t = t[::-1].copy() if backwards else t
    return Problem((z0, A, b, t), rng.normal(size=(times, n)), seed)


def _check_on(problem, odeint, same):
    """Raise AssertionError if a function is wrong on a problem, WrongGradient if a gradient is."""
    given = [x.copy() for x in problem.primals]
    value, pullback = vjp(lambda z0, A, b, t: odeint(field, z0, t, A, b), *given)
    _check_unchanged(problem, given)
    exact = accurate(*problem.primals)
    _check_values(value, exact, same)
    z0, A, b, t = given
    plain = odeint(field, z0, t, A, b)
    if not same(plain, exact):
        what = "the values for plain numbers, where nothing is differentiated"
        raise AssertionError(_message(what, [], exact, plain))
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


def _check_unchanged(problem, given):
    for name, before, after in zip(ARGUMENTS, problem.primals, given):
        if not np.array_equal(before, after):
            raise AssertionError(
                f"odeint has written into its argument {name}; what it was given must stay"
                " as it was"
            )


def _check_values(value, exact, same):
    if isinstance(value, (tuple, list, dict)):
        raise AssertionError(
            f"the values: expected one array, of shape {exact.shape}; got a {type(value).__name__}"
        )
    if np.shape(value) != exact.shape:
        raise AssertionError(
            f"the values: expected shape {exact.shape}, one state per time, the first included; got"
            f" {np.shape(value)}"
        )
    if same(value, exact):
        return
    words = []
    if same(value, exact[::-1]):
        words.append("they are in reverse order")
    if np.all(np.isnan(value)):
        words.append("they are not finite")
    if same(value, np.concatenate([exact[1:2], exact[1:]])):
        words.append("the first is not that of z0")
    raise AssertionError(_message("the values z(t_i)", words, exact, value))


def _by_differences(problem):
    """Return the gradients of <w, z> for z0, A, b, t, by finite differences."""
    found = [np.zeros_like(x) for x in problem.primals]
    for i, gradient in enumerate(found):
        for j in np.ndindex(gradient.shape):
            v = [np.zeros_like(x) for x in problem.primals]
            v[i][j] = 1.0
            dz = central_difference(accurate, problem.primals, tuple(v), h=1e-2)
            gradient[j] = inner(problem.w, dz)
    return found


def _message(what, words, expected, found):
    said = f"{what}: {', or '.join(words)}" if words else what
    return (
        f"{said}: expected {expected}, by an accurate solution and finite differences; got {found}"
    )
