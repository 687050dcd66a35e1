"""root and its adjoint.

The slides' worked examples are held against closed forms, drawn systems against finite differences;
every error message is provoked.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from tinyode import NewtonError, grad, hessian, jacobian, root
from tinyode.testing import check_vjp


def example_1(u, p):
    return np.array([u[0] - p[0] ** 2 - p[1], u[1] - p[0] * p[1]])


def example_2(u, p):
    return np.array([u[0] + u[1] + p[0], u[0] ** 3 - u[1] + p[1]])


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_G_ex1(p1, p2):
    """dg/dp = (2 p1 + 2 p1 p2^2, 1 + 2 p1^2 p2)."""
    g = lambda p: (lambda u: u[0] + u[1] ** 2)(root(example_1, np.zeros(2), p))
    np.testing.assert_allclose(
        grad(g)(np.array([p1, p2])),
        [2 * p1 + 2 * p1 * p2**2, 1 + 2 * p1**2 * p2],
        rtol=1e-10,
        atol=1e-12,
    )


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_G_ex2(p1, p2):
    """There is one real root, u1^3 + u1 + p1 + p2 = 0, by Cardano's formula.

    du1/dp = -1 / (3 u1^2 + 1) for both components of p, and du2/dp = -du1/dp - (1, 0).
    """
    q = p1 + p2
    d = np.sqrt(q**2 / 4 + 1 / 27)
    u1 = np.cbrt(-q / 2 + d) + np.cbrt(-q / 2 - d)
    u = np.array([u1, -u1 - p1])
    found = root(example_2, np.zeros(2), np.array([p1, p2]))
    np.testing.assert_allclose(found, u, rtol=1e-7, atol=1e-9)
    du1 = -1 / (3 * found[0] ** 2 + 1)
    expected = 2 * found[0] * np.array([du1, du1]) + 2 * found[1] * np.array([-du1 - 1, -du1])
    gradient = grad(lambda p: np.sum(root(example_2, np.zeros(2), p) ** 2))(np.array([p1, p2]))
    np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-10)


def test_G18_to_G26_the_two_bracketings_and_the_transpose():
    """(dg/du (df/du)^-1) df/dp = dg/du ((df/du)^-1 df/dp).

    With (df/du) lambda in place of its transpose (G26) it comes out wrong.
    """
    p = np.array([0.4, -1.1])
    u = root(example_2, np.zeros(2), p)
    df_du, df_dp = jacobian(example_2, 0)(u, p), jacobian(example_2, 1)(u, p)
    dg_du = 2 * u
    lam = np.linalg.solve(df_du.T, dg_du)
    by_adjoint, by_forward = -lam @ df_dp, -dg_du @ np.linalg.solve(df_du, df_dp)
    by_root = grad(lambda p: np.sum(root(example_2, np.zeros(2), p) ** 2))(p)
    np.testing.assert_allclose(by_adjoint, by_forward, rtol=1e-13)
    np.testing.assert_allclose(by_adjoint, by_root, rtol=1e-8)
    as_printed = -np.linalg.solve(df_du, dg_du) @ df_dp
    assert np.abs(as_printed - by_root).max() > 0.1


@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_drawn_systems_to_second_order(n, m, seed):
    rng = np.random.default_rng(seed)
    A, B, p = 0.3 * rng.normal(size=(n, n)), rng.normal(size=(n, m)), rng.normal(size=m)
    f = lambda u, p, A: u + np.tanh(A @ u) + B @ p + 0.1 * u**3
    check_vjp(lambda p, A: root(f, np.zeros(n), p, A, tol=1e-13), p, A, order=2, rtol=1e-6)


def test_containers_numbers_and_dtypes():
    f = lambda u, p: {"a": u["a"] ** 2 - p["x"], "b": (u["b"][0] * u["a"] - p["y"],)}
    u = root(f, {"a": 1.0, "b": (np.ones(2),)}, {"x": 4.0, "y": np.array([2.0, 6.0])})
    np.testing.assert_allclose(u["a"], 2.0)
    np.testing.assert_allclose(u["b"][0], [1.0, 3.0])
    gradient = grad(lambda p: np.sum(root(f, {"a": 1.0, "b": (np.ones(2),)}, p)["b"][0]))(
        {"x": 4.0, "y": np.array([2.0, 6.0])}
    )
    np.testing.assert_allclose(gradient["x"], -0.5 * 8.0 * 4.0**-1.5)
    assert np.ndim(root(lambda u: u**2 - 2, 1.0)) == 0
    np.testing.assert_allclose(
        hessian(lambda c: root(lambda u, c: u**2 - c, 1.0, c))(2.0), -0.25 * 2.0**-1.5, rtol=1e-9
    )
    assert root(lambda u: u**2 - 2, np.float32(1.0)).dtype == np.float32
    assert root(lambda u: u**3, 0.0) == 0.0
    # a root does not depend on where the search began
    assert grad(lambda u0: root(lambda u: u**2 - 2, u0))(1.0) == 0.0


def test_what_is_refused():
    with pytest.raises(NewtonError, match="df/du is singular at u"):
        root(lambda u: np.array([u[0] + u[1], u[0] + u[1]]), np.ones(2))
    with pytest.raises(
        NewtonError, match="df/du at the root is singular, so what was solved for has no derivative"
    ):
        grad(lambda c: root(lambda u, c: u**2 - c, 0.0, c))(0.0)  # sqrt(c) at 0
    with pytest.raises(NewtonError, match="no step from u"):
        root(lambda u: u**2 + 1, 0.7)
    with pytest.raises(NewtonError, match=r"3 steps of Newton's method were not enough"):
        root(lambda u: u**2 - 2, 100.0, max_steps=3)
    with pytest.raises(ValueError, match=r"f returned 1 numbers for 2 unknowns"):
        root(lambda u: u[0], np.ones(2))
    for wrong, message in (
        ({"tol": 0.0}, r"tol=0\.0 must be a positive number"),
        ({"tol": "a"}, "tol='a'"),
        ({"tol": True}, "tol=True"),
        ({"tol": np.inf}, "tol=inf"),
        ({"max_steps": 2.5}, r"max_steps=2\.5 must be a positive whole number"),
    ):
        with pytest.raises(ValueError, match=f"root: {message}"):
            root(lambda u: u, 1.0, **wrong)
    with pytest.raises(TypeError, match="root: f must be a function; got None"):
        root(None, 1.0)
    with pytest.raises(
        TypeError, match="root: f returned None; it must return as many numbers as u has"
    ):
        root(lambda u: None, 1.0)
    with pytest.raises(TypeError, match=r"root: f returned a traced value.*through \*args"):
        grad(lambda p: root(lambda u: u - p, 1.0))(2.0)


def test_what_is_returned_is_a_root():
    """It is one in every component, also in one that is small beside the others.

    Where there is no root, none is returned.
    """
    u = root(lambda u: np.stack([u[0] - 1e12, np.tanh(u[1]) - 0.5]), np.array([1e12, 0.3]))
    np.testing.assert_allclose(u, [1e12, np.arctanh(0.5)], rtol=1e-9)
    for size in (1e7, 1e10):
        u = root(
            lambda u, size=size: np.stack([u[0] - size, np.exp(u[1]) - 2]), np.array([size, 0.5])
        )
        np.testing.assert_allclose(u[1], np.log(2), rtol=1e-9)
    for f, start in ((lambda u: 1 + np.sqrt(u), 1.0), (lambda u: np.sqrt(u) + 1e-3, 1e-3)):
        with pytest.raises(NewtonError), np.errstate(all="ignore"):
            root(f, start)
    assert abs(root(lambda u: (u - 1) ** 3, 2.0, max_steps=100) - 1) < 1e-6
    for value in (2.0, 2e-6, 3e150):  # the residual cannot be made zero
        np.testing.assert_allclose(
            root(lambda u, c: u * u / c - 1, np.sqrt(value) * 1.1, value), np.sqrt(value), rtol=1e-9
        )


def test_the_last_step_of_newton_is_taken():
    """Where a step is below tol, the root is better by its square."""
    u = root(lambda u, c: u**2 - c, 1.0, 2.0, tol=1e-2)
    assert abs(u - np.sqrt(2)) < 1e-5


def test_systems_are_solved_to_rounding():
    """Where the residual is all rounding, the last step need not make it smaller."""
    for seed in range(300):
        rng = np.random.default_rng(seed)
        A, u, units = rng.normal(size=(5, 5)), rng.normal(size=5), 10.0 ** rng.integers(-6, 7, 5)
        for f in (
            lambda u, b, A=A, units=units: units * (A @ u - b),
            lambda u, b, A=A, units=units: units * (A @ u + np.exp(u) - b),
        ):
            b = f(u, 0.0) / units
            found = root(f, u + 0.01, b)
            np.testing.assert_allclose(f(found, b) / units, 0, atol=1e-8)
