"""Experiments on functions like `tinyode.odeint`: the simplest one, and what can be switched on."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ...autodiff import vjp
from ...types import Array
from ..adjoints import MISTAKES, TIME_MISTAKES, with_mistake
from ..differences import central_difference, inner

SAME = 1e-4  # relative to 1 + |gradient|: far above the errors of the solves, far below mistakes
H = 1e-2  # of the central differences, whose error is of order four
SIMPLEST = "one component, two increasing times, f without t, a loss at the last time only"

CATALOGUE = dict(enumerate([*MISTAKES, *TIME_MISTAKES], 1))


class Experiment(NamedTuple):
    """A problem z' = f(t, z, A, b), z(t_0) = z0, and the loss sum_i <w_i, z(t_i)>.

    Attributes
    ----------
    f : function
        tanh(A z + b), or tanh(A z + b sin t).
    z0, t, A, b : arrays
        Of shapes (n,), (T,), (n, n), (n,).
    w : array, shape (T, n)
    """

    f: Callable[..., Any]
    z0: Array
    t: Array
    A: Array
    b: Array
    w: Array


def steady(t: Any, z: Any, A: Any, b: Any) -> Any:
    """Return a field that does not depend on time."""
    return np.tanh(A @ z + b)


def driven_by_time(t: Any, z: Any, A: Any, b: Any) -> Any:
    """Return a field that depends on time."""
    return np.tanh(A @ z + b * np.sin(t))


def experiment(
    components: int = 1,
    times: int = 2,
    decreasing: bool = False,
    driven: bool = False,
    observed: Any = (-1,),
) -> Experiment:
    """Return an experiment; without arguments the simplest one.

    Parameters
    ----------
    components : int
        Of the state.
    times : int
        How many, t_0 included.
    decreasing : bool
        Whether the times decrease.
    driven : bool
        Whether f depends on t.
    observed : sequence of int
        The indices of the times at which the loss looks; elsewhere w is zero.
    """
    rng = np.random.default_rng(components)
    z0, A = rng.uniform(0.5, 1.0, components), rng.uniform(-1.0, 1.0, (components, components))
    b, w = rng.uniform(0.5, 1.0, components), np.zeros((times, components))
    t = 0.4 + 0.7 * np.arange(times) + 0.1 * np.arange(times) ** 2
    every = rng.uniform(0.5, 1.5, (times, components))
    w[list(observed)] = every[list(observed)]
    return Experiment(
        driven_by_time if driven else steady, z0, t[::-1].copy() if decreasing else t, A, b, w
    )


def gradients(odeint: Callable[..., Any], e: Experiment) -> dict[str, Array]:
    """Return the gradients that a function like `tinyode.odeint` gives, for z0, A, b and t."""
    solution = lambda z0, A, b, t: odeint(e.f, z0, t, A, b)
    _, pullback = vjp(solution, e.z0, e.A, e.b, e.t)
    return dict(zip(("z0", "A", "b", "t"), pullback(e.w)))


def differences(odeint: Callable[..., Any], e: Experiment) -> dict[str, Array]:
    """Return the same gradients by finite differences of its values, element by element."""
    loss = lambda z0, A, b, t: inner(e.w, odeint(e.f, z0, t, A, b))
    primals, found = {"z0": e.z0, "A": e.A, "b": e.b, "t": e.t}, {}
    for name, x in primals.items():
        found[name] = np.zeros_like(x)
        for j in np.ndindex(x.shape):
            v = {other: np.zeros_like(y) for other, y in primals.items()}
            v[name][j] = 1.0
            point, direction = tuple(primals.values()), tuple(v.values())
            found[name][j] = central_difference(loss, point, direction, h=H)
    return found


def apart(x: dict[str, Array], y: dict[str, Array]) -> list[str]:
    """Return the names of the gradients in which two of them differ."""
    return [k for k in x if not np.allclose(x[k], y[k], rtol=SAME, atol=SAME)]


def in_order() -> Iterator[tuple[str, Experiment]]:
    """Yield experiments with what is switched on, in words, the simplest first."""
    switches: dict[str, dict[str, Any]] = {
        "two components": {"components": 2},
        "an f that depends on t": {"driven": True},
        "decreasing times": {"decreasing": True},
        "a time between": {"times": 3},
        "a loss at t0 too": {"first": True},
        "a loss at the time between": {"between": True},
    }
    for many in range(len(switches) + 1):
        for on in itertools.combinations(switches, many):
            chosen: dict[str, Any] = {}
            for words in on:
                chosen |= switches[words]
            first, between = chosen.pop("first", False), chosen.pop("between", False)
            if between and "times" not in chosen:
                continue
            observed = [0] * first + [1] * between + [-1]
            yield ", ".join(on) or SIMPLEST, experiment(observed=observed, **chosen)


def telling(one: Callable[..., Any], other: Callable[..., Any]) -> tuple[str, str, Any, Any]:
    """Return the simplest experiment in which two functions give different gradients.

    Returns
    -------
    words : str
        What is switched on.
    name : str
        The first gradient that differs.
    x, y : arrays
        That gradient, from the one and from the other.

    Raises
    ------
    ValueError
        If there is none.
    """
    for words, e in in_order():
        x, y = gradients(one, e), gradients(other, e)
        names = apart(x, y)
        if names:
            return words, names[0], x[names[0]], y[names[0]]
    raise ValueError("telling: no experiment tells these two functions apart")


RIGHT = with_mistake({})
