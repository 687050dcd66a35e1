"""Which mistake was made in a gradient? It is recognised by making it.

`algorithm_2` is Algorithm 2 of the sources, right as it stands, and wrong in each way of
`MISTAKES`. `explanations` compares a wrong gradient with what each mistake gives. All of them look
at the problem dz/dt = `field`(t, z, A, b) and the loss sum_i <w_i, z(t_i)>.
"""

from typing import Any, NamedTuple

import numpy as np

from ..solvers import solve
from ..types import Array
from .differences import inner

MOST = 3  # explanations that are given where several fit
NEARER = 0.25  # a mistake explains a result that is so much nearer to it than to what is right

MISTAKES: dict[str, dict[str, Any]] = {  # in words: the choices of `Way`
    "the adjoint equation has the wrong sign, it is da/dt = -a^T df/dz": {"sign": -1},
    "df/dz is not transposed, it is da/dt = -(df/dz)^T a": {"transposed": False},
    "z stands still in the backward solve; it is solved backwards too, from z(ti)": {
        "z_moves": False
    },
    "time stands still in the backward solve; f is taken at t there, not at ti": {
        "time_moves": False
    },
    "a stands still in the backward solve, it is da/dt = -a^T df/dz": {"sign": 0},
    "a stands still in the integrals for dL/dA and dL/db, which need a(t)": {
        "a_in_integrals": False
    },
    "dz/dt is -f in the backward solve; it is f there too, only the times decrease": {"f_sign": -1},
    "all slopes of the backward solve are negated; they stay, only the times decrease": {
        "all_sign": -1
    },
    "dL/dA and dL/db have the wrong sign, it is da_theta/dt = -a^T df/dtheta": {
        "sign_of_integrals": -1
    },
    "f is taken at -t in the backward solve": {"time_sign": -1},
    "the intervals are solved forwards, from t(i-1) to ti; it is from ti back to t(i-1)": {
        "forwards": True
    },
    "the intervals are solved forwards, from t(i-1) to ti, with z from z(t(i-1)); it is from ti"
    " back to t(i-1)": {"forwards": True, "z_from": -1},
    "the backward solve from ti goes on to later times; it goes back to t(i-1)": {"onwards": True},
    "the backward solve from ti starts with z(t(i-1)); it starts with z(ti)": {"z_from": -1},
    "every backward solve starts with z at the last time; the one from ti starts with z(ti)": {
        "z_of_last": True
    },
    "the interval between t1 and t0 is left out": {"left_out": "first"},
    "the interval before the last time is left out": {"left_out": "last"},
    "dL/dz(t(i-1)) is added before the solve from ti to t(i-1); it is added after": {"early": True},
    "dL/dz(ti) takes the place of a, instead of being added": {"added": False},
    "after the solve from ti to t(i-1), dL/dz(ti) is added again; it is dL/dz(t(i-1))": {
        "added_of": 1
    },
    "the observations before the last are lost; at each ti, dL/dz(ti) is added to a": {
        "at_t0": 0,
        "between": 0,
    },
    "the observations are taken in reverse order": {"w_order": -1},
    "the last observation is lost; a starts as dL/dz at the last time": {"last": 0},
    "the last observation counts twice": {"last": 2},
    "the observation at t0 is lost (it is z0 itself)": {"at_t0": 0},
    "the observations between the first and the last are lost; each is added to a": {"between": 0},
    "the observation at t0 counts twice": {"at_t0": 2},
    "the observations between the first and the last count twice": {"between": 2},
    "dL/dz(ti) is subtracted from a, not added": {"at_t0": -1, "between": -1},
    "only the last interval is counted; what each interval gives is added": {"counted": "last"},
    "only the first interval is counted (is it set to zero in each?)": {"counted": "first"},
}


class Way(NamedTuple):
    """How Algorithm 2 goes; it is right with the values that stand here.

    Attributes
    ----------
    sign, sign_of_integrals : int
        da/dt is -sign a^T df/dz; and that of the integrals for A and b.
    transposed, z_moves, time_moves, a_in_integrals : bool
        Whether it is a^T df/dz; whether z, t, and the a of the integrals for A and b, change.
    f_sign, all_sign, time_sign : int
        Of f, of all slopes, and of the time in the backward solve.
    forwards, onwards : bool
        Whether an interval is solved from its smaller index; whether from t_i to the other side.
    z_from : int
        The backward solve from t_i starts with z(t_(i + z_from)).
    z_of_last, early : bool
        Whether it starts with z(t_N); whether the observation is added before the solve.
    left_out : str
        Which interval is not solved: none, or the last, or the first.
    added : bool
        Whether an observation is added to a, or takes its place.
    added_of : int
        After the solve to t_(i-1), the observation i - 1 + added_of is added.
    w_order, at_t0, between, last : int
        -1 reverses the observations; how often one counts.
    counted : str
        Which intervals count for A and b: all, or the last, or the first.
    """

    sign: int = 1
    sign_of_integrals: int = 1
    transposed: bool = True
    z_moves: bool = True
    time_moves: bool = True
    a_in_integrals: bool = True
    f_sign: int = 1
    all_sign: int = 1
    time_sign: int = 1
    forwards: bool = False
    onwards: bool = False
    z_from: int = 0
    z_of_last: bool = False
    early: bool = False
    left_out: str = "none"
    added: bool = True
    added_of: int = 0
    w_order: int = 1
    at_t0: int = 1
    between: int = 1
    last: int = 1
    counted: str = "all"


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


def algorithm_2(problem: Problem, way: Way) -> tuple[list[Array], list[Array]]:
    """Return the gradients of the loss by Algorithm 2, and the a that arrive.

    Returns
    -------
    gradients : list of arrays
        For z0, A, b, t.
    arrived : list of arrays of shape (n,)
        a at each time before its observation is added, 0 at the last.
    """
    (z0, A, b, t), w = problem.primals, problem.w[:: way.w_order]
    z, N = accurate(*problem.primals), len(t) - 1
    a, a_A, a_b, a_t = way.last * w[-1], 0 * A, 0 * b, np.zeros(N + 1)
    arrived = [0 * z0]
    for i in range(N, 0, -1):
        a_t[i] = w[i] @ field(t[i], z[i], A, b)
        observed = (way.at_t0 if i == 1 else way.between) * w[i - 1 + way.added_of]
        if way.early:
            a = a + observed
        if not _is(way.left_out, i, N):
            a, da_A, da_b = _interval(problem, way, z, i, a)
            counts = way.counted == "all" or _is(way.counted, i, N)
            a_A, a_b = a_A + counts * da_A, a_b + counts * da_b
        arrived.insert(0, a)
        if not way.early:
            a = (a if way.added else 0) + observed
    a_t[0] = -arrived[0] @ field(t[0], z0, A, b)
    return [a, a_A, a_b, a_t], arrived


def _is(name, i, N):
    """Whether the interval from t_i to t_(i-1) is the first, or the last."""
    return (name == "first" and i == 1) or (name == "last" and i == N)


def _interval(problem, way, z, i, a):
    """Return a at t_(i-1), and what the interval gives for A and b."""
    _, A, b, t = problem.primals

    def aug_dynamics(time, s):
        z_now, time = s[0] if way.z_moves else z[i], time if way.time_moves else t[i]
        slope = field(way.time_sign * time, z_now, A, b)
        tanh_slope = 1 - slope**2  # df/dz is diag(tanh_slope) A
        a_J = A.T @ (tanh_slope * s[1]) if way.transposed else tanh_slope * (A @ s[1])
        a_u = way.sign_of_integrals * tanh_slope * (s[1] if way.a_in_integrals else a)
        da_A, da_b = np.outer(a_u, z_now), a_u * np.sin(way.time_sign * time)
        return tuple(way.all_sign * x for x in (way.f_sign * slope, -way.sign * a_J, -da_A, -da_b))

    start, end = (t[i - 1], t[i]) if way.forwards else (t[i], t[i - 1])
    end = 2 * start - end if way.onwards else end
    s0, interval = (z[-1 if way.z_of_last else i + way.z_from], a, 0 * A, 0 * b), [start, end]
    s = solve(aug_dynamics, s0, interval, method="dop853", rtol=1e-7, atol=1e-9).y
    return s[1][-1], s[2][-1], s[3][-1]


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
    made = {word: algorithm_2(problem, Way(**change))[0] for word, change in MISTAKES.items()}
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
    z, (_, arrived) = accurate(*problem.primals), algorithm_2(problem, Way())
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
