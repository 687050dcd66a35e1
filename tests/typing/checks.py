"""What a user's type checker makes of `tinyode.testing`."""

from typing import Any

import numpy as np

from tinyode import grad, jacobian, root, vjp
from tinyode.testing import (
    central_difference,
    check_by_hand,
    check_engine,
    check_odeint,
    check_root_adjoint,
    check_step,
    check_vjp,
    check_without,
    check_your_test,
    complex_step,
    inner,
    random_like,
)
from tinyode.testing.laboratory import BOXES, CATALOGUE, differences, experiment, gradients
from tinyode.types import Array

x: Array = np.ones(2)


def f(x: Array) -> Array:
    y: Array = x * np.sin(x)
    return y


def by_hand(x: Array, a: Array) -> tuple[Array, tuple[Array]]:
    return f(x), (a * (np.sin(x) + x * np.cos(x)),)


def euler(f: Any, y0: Array, t: Array, *args: Any) -> Array:
    y = [y0]
    for start, end in zip(t, t[1:]):
        y.append(y[-1] + (end - start) * f(start, y[-1], *args))
    ys: Array = np.stack(y)
    return ys


def gradient(f: Any, *arrays: Array) -> tuple[Array, ...]:
    gradients: tuple[Array, ...] = grad(f, tuple(range(len(arrays))))(*arrays)
    return gradients


def adjoint(f: Any, g: Any, u0: Array, p: Array) -> Array:
    u = root(f, u0, p)
    lam = np.linalg.solve(jacobian(f, 0)(u, p).T, grad(g)(u))
    dg_dp: Array = vjp(lambda p: f(u, p), p)[1](-lam)[0]
    return dg_dp


def test_of_gradients(odeint: Any) -> None:
    e = experiment(components=2, driven=True, observed=(0, -1))
    found, measured = gradients(odeint, e), differences(odeint, e)
    assert all(np.allclose(found[name], measured[name]) for name in found)


check_vjp(f, x, order=2, difference=complex_step, rtol=1e-9, rng=np.random.default_rng(0))
check_by_hand(by_hand, f, x)
check_odeint(euler, rtol=0.1, max_examples=5)
check_engine(gradient, operations=("+", "*", "sum"), max_examples=5)
check_root_adjoint(adjoint, rtol=1e-5, max_examples=5)
check_by_hand(lambda x, a: (x * x, (2 * x * a,)), lambda x: x * x, x)
check_step(lambda f, t, y, h: y + h * f(t, y), order=1)
check_without(lambda: by_hand(x, x), grad, "tinyode")
check_your_test(test_of_gradients)
reveal_type(gradients(BOXES["A"], experiment()))  # dict[str, Array]
reveal_type(CATALOGUE[1].what)  # str
reveal_type(central_difference(f, (x,), (x,), h=1e-3))  # Array
reveal_type(complex_step(f, (x,), (x,)))  # Array
reveal_type(inner({"a": x}, {"a": x}))  # float
reveal_type(random_like(np.random.default_rng(0), {"a": x}))  # dict[str, Array]
