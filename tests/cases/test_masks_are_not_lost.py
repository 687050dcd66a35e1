"""Masked arrays and matrices are refused by name wherever they are given or returned.

Only their numbers would be used.
"""

import numpy as np
import pytest

from tinyode import (
    compiled,
    grad,
    jvp,
    odeint,
    odeint_batch,
    odeint_event,
    program,
    root,
    solve,
    solve_batch,
    tree,
    vjp,
)
from tinyode.solvers.tableaus import TABLEAUS

Y, T = np.array([[1.0, 0.5], [0.2, 0.3]]), np.array([0.0, 0.4, 1.0])
WAYS = ["adjoint", "discrete", "interpolated", "forward"]


def masked(x):
    return np.ma.array(x, mask=np.arange(np.size(x)).reshape(np.shape(x)) == 0)


def unmasked(x):
    return np.ma.array(x)


def matrix(x):
    return np.matrix(x)


DISGUISES = [masked, unmasked, matrix]
NAMES = "(MaskedArray|MaskedConstant|matrix)"


def assert_refused(name, call):
    with pytest.raises(
        TypeError, match=rf"{name} is a {NAMES}, of which only the numbers would be used"
    ):
        call()


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("method", TABLEAUS)
def test_returned_by_f(method, disguise):
    f = lambda t, y, *args: disguise(-np.ones((2, 2)))
    assert_refused("what f returned", lambda: solve(f, Y, T, method=method))
    assert_refused(
        "what f returned", lambda: solve(lambda t, y: (f(t, y), y[1]), (Y, 1.0), T, method=method)
    )
    assert_refused("what f returned", lambda: solve(lambda t, y: [f(t, y)], [Y], T, method=method))
    assert_refused("what f returned", lambda: odeint(f, Y, T, method=method))
    if not TABLEAUS[method].implicit:
        assert_refused("what f returned", lambda: solve_batch(f, Y, T, method=method))
        assert_refused("what f returned", lambda: odeint_batch(f, Y, T, method=method))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("disguise", DISGUISES)
def test_returned_by_other_functions(disguise):
    f, y = lambda t, y: -y, np.ones(2)
    assert_refused(
        "what jacobian returned",
        lambda: solve(f, y, T, method="kvaerno5", jacobian=lambda t, y: disguise(-np.eye(2))),
    )
    assert_refused(
        "what event returned", lambda: solve(f, y, T, event=lambda t, y: disguise(y[0] - 0.5))
    )
    assert_refused(
        "what event returned",
        lambda: odeint_event(f, y, 0.0, event=lambda t, y: disguise(y[0] - 0.5), t_end=1.0),
    )
    assert_refused(
        "what norm returned", lambda: solve(f, y, T, norm=lambda x: disguise(np.max(np.abs(x))))
    )
    assert_refused("root: what f returned", lambda: root(lambda u: disguise(np.ones((2, 2))), Y))
    assert_refused(
        "what the function being differentiated returned", lambda: vjp(lambda y: disguise(Y), Y)
    )
    assert_refused(
        "what the function being differentiated returned", lambda: grad(lambda y: disguise(1.0))(Y)
    )
    assert_refused(
        "what the function being differentiated returned",
        lambda: compiled(lambda y: disguise(Y))(Y),
    )
    assert_refused(
        "what the function being differentiated returned",
        lambda: program(lambda y: (y, disguise(Y)), Y),
    )


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("way", WAYS)
def test_given_to_odeint(way, disguise):
    f = lambda t, y, *args: -y
    solve_it = lambda y0=Y, t=T, *args, **options: odeint(f, y0, t, *args, gradient=way, **options)
    assert_refused("t", lambda: solve_it(t=disguise(T)))
    assert_refused("y0", lambda: solve_it(disguise(Y)))
    assert_refused("y0", lambda: solve_it((disguise(Y), Y)))
    for args in ([disguise(Y)], [1.0, {"W": disguise(Y)}], [(Y, [disguise(Y)])]):
        assert_refused(r"a parameter in \*args", lambda args=args: solve_it(Y, T, *args))
        assert_refused(
            r"a parameter in \*args",
            lambda args=args: grad(lambda k: np.sum(solve_it(k * Y, T, *args)))(1.0),
        )
    for name in ("rtol", "atol"):
        assert_refused(name, lambda name=name: solve_it(**{name: disguise(1e-6 * Y)}))
    with pytest.raises(TypeError, match=r"MaskedArray|matrix"):
        grad(lambda k: np.sum(solve_it(Y, T, k)))(disguise(Y))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("disguise", DISGUISES)
def test_given_elsewhere(disguise):
    f = lambda t, y, *args: -y
    assert_refused("t", lambda: solve(f, Y, disguise(T)))
    for solver in (solve_batch, odeint_batch):
        assert_refused("t", lambda solver=solver: solver(f, Y, disguise(T)))
        assert_refused("t", lambda solver=solver: solver(f, Y, disguise([T, 2 * T])))
        assert_refused("y0", lambda solver=solver: solver(f, disguise(Y), T))
        assert_refused(
            r"(args\[0\]|a parameter in \*args)",
            lambda solver=solver: solver(f, Y, T, disguise(Y), batched=(0,)),
        )
        for name in ("rtol", "atol"):
            assert_refused(
                name, lambda solver=solver, name=name: solver(f, Y, T, **{name: disguise(1e-6 * Y)})
            )
    for name in ("rtol", "atol"):
        assert_refused(name, lambda name=name: solve(f, Y, T, **{name: disguise(1e-6 * Y)}))
        assert_refused(name, lambda name=name: solve(f, [Y], T, **{name: [disguise(1e-6 * Y)]}))
        assert_refused(
            f"adjoint_{name}",
            lambda name=name: odeint(f, Y, T, **{f"adjoint_{name}": disguise(1e-6 * Y)}),
        )
    event = {"event": lambda t, y, *args: t - 0.5, "t_end": 1.0}
    assert_refused(r"a parameter in \*args", lambda: odeint_event(f, Y, 0.0, disguise(Y), **event))
    assert_refused("t0", lambda: odeint_event(f, Y, disguise(0.0), **event))
    assert_refused("t_end", lambda: odeint_event(f, Y, 0.0, **{**event, "t_end": disguise(1.0)}))
    assert_refused(r"a parameter in \*args", lambda: root(lambda u, p: u - 1.0, Y, disguise(Y)))
    assert_refused("u0", lambda: root(lambda u: u - 1.0, disguise(Y)))
    assert_refused(r"solution\(t\): t", lambda: solve(f, Y, T)(disguise([0.1, 0.2])))
    assert_refused("ravel: a leaf", lambda: tree.ravel({"a": [disguise(Y)]}))
    for call in (
        lambda: vjp(lambda y: y, disguise(Y)),
        lambda: vjp(lambda y: y, Y)[1](disguise(Y)),
        lambda: jvp(lambda y: y, (Y,), (disguise(Y),)),
    ):
        with pytest.raises(TypeError, match=NAMES):
            call()
