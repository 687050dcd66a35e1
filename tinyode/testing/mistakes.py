"""Which mistake was made in a gradient? It is recognised by making it.

`explanations` compares a wrong gradient with what Algorithm 2 gives with each of the `MISTAKES`. It
looks at the problem dz/dt = `field`(t, z, A, b) and the loss sum_i <w_i, z(t_i)>.
"""

from typing import Any, NamedTuple

import numpy as np

from ..solvers import solve
from ..types import Array
from .adjoints import MISTAKES, Way, algorithm_2
from .differences import inner

MOST = 3  # explanations that are given where several fit
NEARER = 0.25  # a mistake explains a result that is so much nearer to it than to what is right


class Problem(NamedTuple):
    """An initial value problem, and the weights of a loss.

    Attributes
    ----------
    primals : tuple
        z0 of shape (n,), A (n, n), b (n,), and the times t (T,).
    w : array, shape (T, n)
    seed : int
        What they were drawn with.
    """

    primals: tuple[Array, Array, Array, Array]
    w: Array
    seed: int

    @property
    def backwards(self) -> bool:
        """Whether the times decrease."""
        return bool(self.primals[3][0] > self.primals[3][-1])


def field(t, z, A, b):
    """Return dz/dt."""
    return np.tanh(A @ z + b * np.sin(t))


def accurate(z0, A, b, t):
    """Return the states at the times, shape (T, n)."""
    return solve(field, z0, t, A, b, method="dop853", rtol=1e-12, atol=1e-13).y


def adjoint(problem: Problem, way: Way) -> tuple[list[Any], list[Any]]:
    """Return the gradients for z0, A, b, t by Algorithm 2 in a way, and the a that arrive."""
    _, A, b, t = problem.primals
    z = accurate(*problem.primals)
    return algorithm_2(field, products, z, t, (A, b), problem.w, way)


def products(t, z, args, a):
    """Return f, a^T df/dz, how (df/dz) a is made, and a^T df/dA and a^T df/db, of `field`."""
    A, b = args
    slope = field(t, z, A, b)
    tanh_slope = 1 - slope**2  # df/dz is diag(tanh_slope) A
    a_u = tanh_slope * a
    return slope, A.T @ a_u, lambda: tanh_slope * (A @ a), (np.outer(a_u, z), a_u * np.sin(t))


def explains(made, wrong, right, same):
    """Whether a result is what a mistake has made, and not only near to what is right."""
    rest, error = np.max(np.abs(wrong - made)), np.max(np.abs(wrong - right))
    return bool(same(wrong, made) and rest < NEARER * error)


def explanations(problem, found, expected, same):
    """Say what can have made the first gradient that is wrong so.

    Parameters
    ----------
    problem : Problem
    found, expected : lists of arrays
        The gradients for z0, A, b, t.
    same : function
        ``same(x, y)`` says whether two arrays agree.

    Returns
    -------
    i : int
        The number of that gradient.
    words : list of str
        Those that explain all gradients, if there are such.
    """
    i = next(i for i in range(4) if not same(found[i], expected[i]))
    wrong, right = found[i], expected[i]
    factor = inner(wrong, right) / inner(right, right)
    words = []
    if explains(factor * right, wrong, right, same):
        words += _factor_in_words(factor, len(problem.w), right.size)
    if i == 1 and explains(right.T, wrong, right, same):
        words.append("it is transposed")
    if i == 3 and not words:
        words = _times_in_words(problem, wrong, right, same)
    made = {mistake.words: adjoint(problem, Way(**mistake.change))[0] for mistake in MISTAKES}
    matching = [
        word
        for word, result in made.items()
        if explains(result[i], wrong, right, same) and all(map(same, found[:i], result[:i]))
    ]
    whole = [word for word in matching if all(map(same, found, made[word]))]
    return i, whole or list(dict.fromkeys(words + matching))


def _factor_in_words(factor, times, size):
    """Say which multiple of what is right it is; one number alone is always some multiple."""
    if abs(factor) < 1e-3:
        return ["it is zero: lost"]
    if abs(factor + 1) < 1e-3:
        return ["it has the wrong sign, all of it"]
    if abs(factor * times - 1) < 1e-3:
        return ["it is divided by the number of times"]
    return [f"it is {factor:.6g} times what it should be"] if size > 1 else []


def _times_in_words(problem, wrong, right, same):
    """Return which times have a wrong gradient, and how."""
    if explains(right[::-1], wrong, right, same):
        return ["they are in reverse order"]
    z, (_, arrived) = accurate(*problem.primals), adjoint(problem, Way())
    last = len(wrong) - 1
    (_, A, b, t), w = problem.primals, problem.w
    at_ends = sum([w[i] @ field(t[i], z[i], A, b) for i in range(1, last + 1)])
    words = []
    for j in range(last + 1):
        name = {0: "dL/dt0", last: "that of the last time"}.get(j, "that of a time between")
        ways = {"has the wrong sign": -right[j], "is lost": 0.0}
        ways |= _ways_of_time(problem, z, arrived[j], j)
        ways |= _ways_of_integral(right[0], at_ends) if j == 0 else {}
        if not same(wrong[j], right[j]):
            fits = [way for way in ways if explains(ways[way], wrong[j], right[j], same)]
            words += [f"{name} {way}" for way in fits]
    return words


def _ways_of_time(problem, z, a, j):
    """Return what mistakes give for dL/dtj, where a arrives there."""
    (_, A, b, t), w = problem.primals, problem.w[j]
    f = field(t[j], z[j], A, b)
    neighbour, factors = (1, -a) if j == 0 else (j - 1, w)
    ways = {
        "has f at the state of another time": factors @ field(t[j], z[neighbour], A, b),
        "has f at another time": factors @ field(t[neighbour], z[j], A, b),
    }
    if j == 0:
        after = "a . f(t0, z0) with the a after dL/dz(t0) is added; it is -a . f with the a before"
        counts = {"counts dL/dz(t0) too": (w - a) @ f}
        return ways | counts | {f"is -{after}": -(a + w) @ f, f"is {after}": (a + w) @ f}
    for sign, factor in (("", 1), ("-", -1)):
        for when, of_a in (("after", a + w), ("before", a)):
            said = f"is {sign}a(ti) . f(ti, z(ti)), {when} dL/dz(ti) is added to a"
            ways[f"{said}; it is dL/dz(ti) . f(ti, z(ti)) alone"] = factor * of_a @ f
    return ways


def _ways_of_integral(right, at_ends):
    """Return what mistakes give for dL/dt0 = -sum_(i > 0) w_i . f(ti, z(ti)) + int a . df/dt dt."""
    integral, said = right + at_ends, "(da_t/dt = -a . df/dt, from -a . f)"
    return {
        f"lacks the integral of a . df/dt {said}": -at_ends,
        f"has the integral of a . df/dt with the wrong sign {said}": -at_ends - integral,
        f"has +a . f of the last time and of those between, it is -a . f {said}": at_ends
        + integral,
        f"lacks -a . f of the last time and of those between {said}": integral,
    }
