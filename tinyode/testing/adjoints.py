"""Algorithm 2 of the sources, right as it stands, and wrong in each way that is often seen.

`algorithm_2` goes a `Way`. `MISTAKES` are those in the backward solve, `TIME_MISTAKES` those in the
gradients for the times alone. `with_mistake` makes a function like `tinyode.odeint` of either.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..autodiff import custom_vjp, jvp, vjp
from ..solvers import solve
from ..types import Array


class Mistake(NamedTuple):
    """A mistake: what it is, how it is put right, and the choices of `Way` that make it."""

    what: str
    cure: str
    change: dict[str, Any]

    @property
    def words(self) -> str:
        """What it is, and how it is put right."""
        return self.what + self.cure


MISTAKES = [
    Mistake("the adjoint equation has the wrong sign", ", it is da/dt = -a^T df/dz", {"sign": -1}),
    Mistake("df/dz is not transposed", ", it is da/dt = -(df/dz)^T a", {"transposed": False}),
    Mistake(
        "z stands still in the backward solve",
        "; it is solved backwards too, from z(ti)",
        {"z_moves": False},
    ),
    Mistake(
        "time stands still in the backward solve",
        "; f is taken at t there, not at ti",
        {"time_moves": False},
    ),
    Mistake("a stands still in the backward solve", ", it is da/dt = -a^T df/dz", {"sign": 0}),
    Mistake(
        "a stands still in the integrals for dL/dA and dL/db",
        ", which need a(t)",
        {"a_in_integrals": False},
    ),
    Mistake(
        "dz/dt is -f in the backward solve",
        "; it is f there too, only the times decrease",
        {"f_sign": -1},
    ),
    Mistake(
        "all slopes of the backward solve are negated",
        "; they stay, only the times decrease",
        {"all_sign": -1},
    ),
    Mistake(
        "dL/dA and dL/db have the wrong sign",
        ", it is da_theta/dt = -a^T df/dtheta",
        {"sign_of_integrals": -1},
    ),
    Mistake("f is taken at -t in the backward solve", "", {"time_sign": -1}),
    Mistake(
        "the intervals are solved forwards, from t(i-1) to ti",
        "; it is from ti back to t(i-1)",
        {"forwards": True},
    ),
    Mistake(
        "the intervals are solved forwards, from t(i-1) to ti, with z from z(t(i-1))",
        "; it is from ti back to t(i-1)",
        {"forwards": True, "z_from": -1},
    ),
    Mistake(
        "the backward solve from ti goes on to later times",
        "; it goes back to t(i-1)",
        {"onwards": True},
    ),
    Mistake(
        "the backward solve goes to earlier times also where the times decrease",
        "; it goes from ti to t(i-1)",
        {"down": True},
    ),
    Mistake(
        "the backward solve from ti starts with z(t(i-1))", "; it starts with z(ti)", {"z_from": -1}
    ),
    Mistake(
        "every backward solve starts with z at the last time",
        "; the one from ti starts with z(ti)",
        {"z_of_last": True},
    ),
    Mistake("the interval between t1 and t0 is left out", "", {"left_out": "first"}),
    Mistake("the interval before the last time is left out", "", {"left_out": "last"}),
    Mistake(
        "dL/dz(t(i-1)) is added before the solve from ti to t(i-1)",
        "; it is added after",
        {"early": True},
    ),
    Mistake("dL/dz(ti) takes the place of a", ", instead of being added", {"added": False}),
    Mistake(
        "after the solve from ti to t(i-1), dL/dz(ti) is added again",
        "; it is dL/dz(t(i-1))",
        {"added_of": 1},
    ),
    Mistake(
        "the observations before the last are lost",
        "; at each ti, dL/dz(ti) is added to a",
        {"at_t0": 0, "between": 0},
    ),
    Mistake("the observations are taken in reverse order", "", {"w_order": -1}),
    Mistake("the last observation is lost", "; a starts as dL/dz at the last time", {"last": 0}),
    Mistake("the last observation counts twice", "", {"last": 2}),
    Mistake("the observation at t0 is lost", " (it is z0 itself)", {"at_t0": 0}),
    Mistake(
        "the observations between the first and the last are lost",
        "; each is added to a",
        {"between": 0},
    ),
    Mistake("the observation at t0 counts twice", "", {"at_t0": 2}),
    Mistake("the observations between the first and the last count twice", "", {"between": 2}),
    Mistake("dL/dz(ti) is subtracted from a", ", not added", {"at_t0": -1, "between": -1}),
    Mistake(
        "only the last interval is counted",
        "; what each interval gives is added",
        {"counted": "last"},
    ),
    Mistake(
        "only the first interval is counted", " (is it set to zero in each?)", {"counted": "first"}
    ),
]

TIME_MISTAKES = [
    Mistake(
        "dL/dt0 has the wrong sign",
        "; it is -a . f(t0, z0), since a later start makes the way shorter",
        {"t0_ends": -1, "t0_integral": -1},
    ),
    Mistake("dL/dt0 is lost", "; it is -a . f(t0, z0)", {"t0_ends": 0, "t0_integral": 0}),
    Mistake(
        "dL/dt0 takes a after dL/dz(t0) is added",
        "; z0 does not move with t0, so it is the a before",
        {"t0_observed": 1},
    ),
    Mistake("dL/dt0 lacks the integral of a . df/dt", "", {"t0_integral": 0}),
    Mistake(
        "a_t starts with +dL/dt of the last time", "; it starts with the minus", {"t0_ends": -1}
    ),
    Mistake("dL/dti after t0 has the wrong sign", "; it is dL/dz(ti) . f(ti, z(ti))", {"ti": -1}),
    Mistake(
        "dL/dti is a . f(ti, z(ti)), with all of a",
        "; it is dL/dz(ti) . f(ti, z(ti)) alone",
        {"ti_of_a": 1},
    ),
    Mistake(
        "dL/dti of the times between is lost",
        "; it is dL/dz(ti) . f(ti, z(ti)) there too",
        {"ti_between": 0},
    ),
]


class Way(NamedTuple):
    """How Algorithm 2 goes; it is right with the values that stand here.

    Attributes
    ----------
    sign, sign_of_integrals : int
        da/dt is -sign a^T df/dz; and that of the integrals for the arguments of f.
    transposed, z_moves, time_moves, a_in_integrals : bool
        Whether it is a^T df/dz; whether z, t, and the a of the integrals, change.
    f_sign, all_sign, time_sign : int
        Of f, of all slopes, and of the time in the backward solve.
    forwards, onwards, down : bool
        Whether an interval is solved from its smaller index; whether from t_i to the other side;
        whether always to earlier times.
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
        Which intervals count for the arguments of f: all, or the last, or the first.
    t0_ends, t0_integral, t0_observed : int
        How often three terms count in dL/dt0: -sum_(i > 0) w_i . f(t_i, z_i), the integral of
        a . df/dt, and -w_0 . f(t_0, z_0).
    ti, ti_of_a, ti_between : int
        How often w_i . f counts in dL/dt_i, how often a . f of the a that arrives there, and how
        often what they give for a time between.
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
    down: bool = False
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
    t0_ends: int = 1
    t0_integral: int = 1
    t0_observed: int = 0
    ti: int = 1
    ti_of_a: int = 0
    ti_between: int = 1


def algorithm_2(
    f: Callable[..., Any],
    products: Callable[..., Any],
    z: Array,
    t: Array,
    args: Any,
    w: Any,
    way: Way,
) -> tuple[list[Any], list[Any]]:
    """Return the gradients of sum_i <w_i, z(t_i)> by Algorithm 2, and the a that arrive.

    Parameters
    ----------
    f : function
        ``f(t, z, *args)``.
    products : function
        ``products(t, z, args, a)`` returns f, a^T df/dz, a function that returns (df/dz) a, and
        a^T df/dargs, a tuple.
    z, w : arrays, shape (N + 1, ...)
        The solution at the times t, and the weights.
    way : Way

    Returns
    -------
    gradients : list of arrays
        For z(t_0), each of the args, and t.
    arrived : list of arrays
        a at each time before its observation is added, 0 at the last.
    """
    N, w = len(t) - 1, w[:: way.w_order]
    slopes = [f(t[i], z[i], *args) for i in range(N + 1)]
    a, a_args = way.last * w[-1], [0.0 * x for x in args]
    arrived = [0 * z[0]]
    for i in range(N, 0, -1):
        observed = (way.at_t0 if i == 1 else way.between) * w[i - 1 + way.added_of]
        if way.early:
            a = a + observed
        if not _is(way.left_out, i, N):
            a, of_interval = _interval(products, z, t, args, i, a, way)
            if way.counted == "all" or _is(way.counted, i, N):
                a_args = [x + dx for x, dx in zip(a_args, of_interval)]
        arrived.insert(0, a)
        if not way.early:
            a = (a if way.added else 0) + observed
    return [a, *a_args, _times(slopes, w, arrived, way)], arrived


def _is(name, i, N):
    """Whether the interval from t_i to t_(i-1) is the first, or the last."""
    return (name == "first" and i == 1) or (name == "last" and i == N)


def _interval(products, z, t, args, i, a, way):
    """Return a at t_(i-1), and what the interval gives for the arguments of f."""
    a_at_start = a

    def aug_dynamics(time, s):
        z_now, time = s[0] if way.z_moves else z[i], time if way.time_moves else t[i]
        f, a_J, J_a, da = products(way.time_sign * time, z_now, args, s[1])
        if not way.a_in_integrals:
            _, _, _, da = products(way.time_sign * time, z_now, args, a_at_start)
        da_dt = -way.sign * (a_J if way.transposed else J_a())
        of_args = [-way.sign_of_integrals * x for x in da]
        return tuple(way.all_sign * x for x in (way.f_sign * f, da_dt, *of_args))

    start, end = (t[i - 1], t[i]) if way.forwards else (t[i], t[i - 1])
    end = 2 * start - end if way.onwards else end
    end = start - abs(end - start) if way.down else end
    s0 = (z[-1 if way.z_of_last else i + way.z_from], a, *[0.0 * x for x in args])
    s = solve(aug_dynamics, s0, [start, end], method="dop853", rtol=1e-7, atol=1e-9).y
    return s[1][-1], [x[-1] for x in s[2:]]


def _times(slopes, w, arrived, way):
    """Return dL/dt_i: w_i . f for i > 0, and -a . f with the a that arrives at t_0."""
    of_w = np.array([np.sum(x * slope) for x, slope in zip(w, slopes)])
    of_a = np.array([np.sum(x * slope) for x, slope in zip(arrived, slopes)])
    a_t, ends = way.ti * of_w + way.ti_of_a * of_a, np.sum(of_w[1:])
    a_t[1:-1] *= way.ti_between
    integral = ends - of_a[0]
    a_t[0] = -way.t0_ends * ends + way.t0_integral * integral - way.t0_observed * of_w[0]
    return a_t


def by_engine(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return the products that `algorithm_2` needs of f, by the engine."""

    def products(t, z, args, a):
        value, pullback = vjp(lambda z, *args: f(t, z, *args), z, *args)
        a_J, *of_args = pullback(a)
        J_a = lambda: jvp(lambda z: f(t, z, *args), (z,), (a,))[1]
        return value, a_J, J_a, of_args

    return products


def with_mistake(change: dict[str, Any]) -> Callable[..., Any]:
    """Return a function ``odeint(f, y0, t, *args)`` of arrays, right but for its gradients."""
    way = Way(**change)

    def odeint(f, y0, t, *args):
        @custom_vjp
        def solution(y0, t, *args):
            return solve(f, y0, t, *args, method="dop853", rtol=1e-9, atol=1e-11).y

        def forward(y0, t, *args):
            z = solution(y0, t, *args)
            return z, (z, t, args)

        def backward(saved, w):
            z, t, args = saved
            (a, *a_args, a_t), _ = algorithm_2(f, by_engine(f), z, t, args, w, way)
            return a, a_t, *a_args

        solution.defvjp(forward, backward)
        return solution(y0, t, *args)

    return odeint
