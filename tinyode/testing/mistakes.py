"""Which mistake was made? It is recognised by making it.

`algorithm_2` is Algorithm 2 of the sources, right as it stands, and wrong in each way of
`MISTAKES`. `explanations` compares a wrong gradient with what each mistake gives. All of them look
at the problem dz/dt = `field`(t, z, A, b) and the loss sum_i <w_i, z(t_i)>.
"""

from typing import Any, NamedTuple

import numpy as np

from ..autodiff import vjp
from ..solvers import solve
from ..types import Array
from .differences import inner

MISTAKES: dict[str, dict[str, Any]] = {  # in words: the arguments of `algorithm_2`
    "the adjoint equation has the wrong sign, it is da/dt = -a^T df/dz": {"sign": -1},
    "df/dz is not transposed, it is da/dt = -(df/dz)^T a": {"transposed": False},
    "z stands still in the backward solve": {"z_moves": False},
    "time stands still in the backward solve": {"time_moves": False},
    "the observations before the last are lost": {"at_t0": 0, "between": 0},
    "the last observation is lost": {"last": 0},
    "the observation at t0 is lost (it is z0 itself)": {"at_t0": 0},
    "the observations between the first and the last are lost": {"between": 0},
    "the observation at t0 counts twice": {"at_t0": 2},
    "the observations between the first and the last count twice": {"between": 2},
    "dL/dz(ti) is subtracted from a, not added": {"at_t0": -1, "between": -1},
    "dL/dz(ti) takes the place of a, instead of being added": {"added": False},
    "only the last interval is counted": {"counted": "last"},
    "only the first interval is counted (is it set to zero in each?)": {"counted": "first"},
}


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


def algorithm_2(
    problem,
    sign=1,
    transposed=True,
    z_moves=True,
    time_moves=True,
    at_t0=1,
    between=1,
    last=1,
    added=True,
    counted="all",
):
    """Return the gradients of the loss for z0, A, b, t, by Algorithm 2.

    ``at_t0``, ``between`` and ``last`` are how often an observation counts, ``counted`` which
    intervals count in the gradients for A and b.
    """
    (z0, A, b, t), w = problem.primals, problem.w
    z, N = accurate(*problem.primals), len(t) - 1
    a, a_A, a_b, a_t = last * w[-1], 0 * A, 0 * b, np.zeros(N + 1)
    for i in range(N, 0, -1):
        a_t[i] = w[i] @ field(t[i], z[i], A, b)

        def aug_dynamics(time, s, i=i):
            z_now, time = s[0] if z_moves else z[i], time if time_moves else t[i]
            slope, pullback = vjp(lambda z, A, b: field(time, z, A, b), z_now, A, b)
            a_J, da_A, da_b = pullback(s[1])
            if not transposed:
                a_J = np.stack([pullback(unit)[0] for unit in np.eye(len(z0))]) @ s[1]
            return slope, -sign * a_J, -da_A, -da_b

        s0, interval = (z[i], a, 0 * A, 0 * b), [t[i], t[i - 1]]
        s = solve(aug_dynamics, s0, interval, method="dop853", rtol=1e-9, atol=1e-11).y
        a, counts = s[1][-1], {"all": True, "last": i == N, "first": i == 1}[counted]
        a_A, a_b = a_A + counts * s[2][-1], a_b + counts * s[3][-1]
        if i == 1:
            a_t[0] = -a @ field(t[0], z[0], A, b)
        a = (a if added else 0) + (at_t0 if i == 1 else between) * w[i - 1]
    return [a, a_A, a_b, a_t]


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
    """
    i = next(i for i in range(4) if not same(found[i], expected[i]))
    wrong, right = found[i], expected[i]
    factor = inner(wrong, right) / inner(right, right)
    words = [_factor_in_words(factor, len(problem.w))] if same(wrong, factor * right) else []
    if i == 1 and same(wrong, right.T):
        words.append("it is transposed")
    if i == 3:
        words += _times_in_words(problem, wrong, right, same)
    made = {word: algorithm_2(problem, **change) for word, change in MISTAKES.items()}
    matching = [word for word, result in made.items() if same(wrong, result[i])]
    whole = [word for word in matching if all(same(x, y) for x, y in zip(found, made[word]))]
    return i, list(dict.fromkeys(words + (whole or matching)))


def _factor_in_words(factor, times):
    if abs(factor) < 1e-3:
        return "it is zero: lost"
    if abs(factor + 1) < 1e-3:
        return "it has the wrong sign, all of it"
    if abs(factor * times - 1) < 1e-3:
        return "it is divided by the number of times"
    return f"it is {factor:.6g} times what it should be"


def _times_in_words(problem, wrong, right, same):
    """Return which times have a wrong gradient, and how."""
    if same(wrong, right[::-1]):
        return ["they are in reverse order"]
    (z0, A, b, t), w = problem.primals, problem.w
    words = []
    for j in range(len(t)):
        if same(wrong[j], right[j]):
            continue
        name = "dL/dt0" if j == 0 else "that of a time between"
        name = "that of the last time" if j == len(t) - 1 else name
        ways = {"has the wrong sign": -right[j], "is lost": 0.0}
        if j == 0:
            ways["counts dL/dz(t0) too"] = right[0] + w[0] @ field(t[0], z0, A, b)
        words += [f"{name} {way}" for way, value in ways.items() if same(wrong[j], value)]
    return words
