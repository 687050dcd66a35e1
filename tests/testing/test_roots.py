"""`check_root_adjoint`: it passes right adjoints, and names what is wrong with others."""

import itertools
import sys

import numpy as np
import pytest
from numpy.linalg import inv

from tinyode import grad, jacobian, root, vjp
from tinyode.testing import central_difference, check_root_adjoint
from tinyode.testing.roots.problems import drawn_problem, expected_gradient


def newton(f, u, p, steps):
    for _ in range(steps):
        u = u - np.linalg.solve(jacobian(f, 0)(u, p), f(u, p))
    return u


def of_chapter_4(mistake=None):
    """Return the function of chapter 4, with a mistake, or with none."""

    def adjoint(f, g, u0, p):
        steps = {"one step": 1, "two steps": 2}.get(mistake, 30)
        u = u0 if mistake == "all at u0" else newton(f, u0, p, steps)
        dg_du = grad(g)(u0 if mistake == "dg at u0" else u)
        df_du = jacobian(f, 0)(u0 if mistake == "df/du at u0" else u, p)
        if mistake == "not transposed":
            lam = np.linalg.solve(df_du, dg_du)
        elif mistake == "not solved":
            lam = dg_du
        elif mistake == "multiplied":
            lam = df_du.T @ dg_du
        elif mistake == "reciprocal":
            lam = dg_du @ (1 / df_du)
        else:
            lam = np.linalg.solve(df_du.T, dg_du)
        if mistake == "lambda":
            return lam
        if mistake == "-lambda":
            return -lam
        if mistake == "of u":
            return vjp(lambda u: f(u, p), u)[1](-lam)[0]
        if mistake == "first cotangent":
            return vjp(f, u, p)[1](-lam)[0]
        if mistake == "from the other side":
            return -jacobian(f, 1)(u, p) @ lam
        if mistake == "du/dp":
            return -np.linalg.solve(df_du, jacobian(f, 1)(u, p))
        if mistake == "dg/du":
            return dg_du
        if mistake == "zero":
            return grad(lambda p: g(u))(p)
        _, pullback = vjp(lambda p: f(u0 if mistake == "df/dp at u0" else u, p), p)
        found = pullback(lam if mistake in ("sign", "sign and t") else -lam)[0]
        return {"twice": 2 * found, "row": found[None]}.get(mistake, found)

    return adjoint


def by_library(f, g, u0, p):
    return grad(lambda p: g(root(f, u0, p)))(p)


def by_fixed_point(f, g, u0, p):
    """Solve by u <- u - f(u, p), and form df/dp in full."""
    u = u0
    for _ in range(200):
        u = u - f(u, p)
    lam = np.linalg.solve(jacobian(f, 0)(u, p).T, grad(g)(u)[:, None])[:, 0]
    return -lam @ jacobian(f, 1)(u, p)


def by_condition(f, g, u0, p):
    """Look at the condition number, for which NumPy computes an inverse."""
    u = root(f, u0, p)
    df_du = jacobian(f, 0)(u, p)
    assert np.linalg.cond(df_du, 1) < 100
    return vjp(lambda p: f(u, p), p)[1](-np.linalg.solve(df_du.T, grad(g)(u)))[0]


def by_other_solvers(f, g, u0, p):
    optimize, linalg = pytest.importorskip("scipy.optimize"), pytest.importorskip("scipy.linalg")
    u = optimize.root(f, u0, args=(p,), tol=1e-12).x
    lu = linalg.lu_factor(jacobian(f, 0)(u, p))
    lam = linalg.lu_solve(lu, grad(g)(u), trans=1)
    assert np.allclose(lam, linalg.solve(jacobian(f, 0)(u, p).T, grad(g)(u)))
    assert np.allclose(lam, np.linalg.lstsq(jacobian(f, 0)(u, p).T, grad(g)(u))[0])
    return -lam @ jacobian(f, 1)(u, p)


RIGHT = [of_chapter_4(), by_library, by_fixed_point, by_condition, by_other_solvers]


@pytest.mark.parametrize("adjoint", RIGHT)
def test_right_adjoints_pass(adjoint):
    check_root_adjoint(adjoint)
    assert sys.getprofile() is None


@pytest.mark.parametrize(
    "mistake, words",
    [
        ("not transposed", r"df/du is not transposed; write lam = np.linalg.solve\(df_du.T, dg_du"),
        ("sign", r"the sign is lost, .*; write pullback\(-lam\)\[0\], where pullback is that of p"),
        ("not solved", "the linear system is not solved, dg/du is taken for lam; write lam"),
        ("multiplied", "multiplied by df/du.T, instead of solving with it; write lam = np.linalg"),
        ("reciprocal", "1 / df_du inverts each element, not the matrix; write lam = np.linalg"),
        ("lambda", r"^lam is returned; it has still to be multiplied by df/dp: write pullback"),
        ("-lambda", r"^-lam is returned; it has still to be multiplied by df/dp: write pullback"),
        ("of u", r"multiplied by df/du, not by df/dp: the pullback is that of u -> f\(u, p\), or"),
        ("first cotangent", "or the first of two cotangents is taken; write pullback"),
        ("from the other side", "lam is multiplied by df/dp from the wrong side; write pullback"),
        ("dg at u0", r"dg/du is taken at u0; write dg_du = grad\(g\)\(u\), where u is the root"),
        (
            "df/du at u0",
            r"df/du is taken at u0; write df_du = jacobian\(f, 0\)\(u, p\), where u is",
        ),
        ("df/dp at u0", r"df/dp is taken at u0; write vjp\(lambda p: f\(u, p\), p\), where u is"),
        ("all at u0", r"all derivatives are taken at u0; begin with u = root\(f, u0, p\)"),
        ("one step", r"u does not solve f\(u, p\) = 0: .*\|f\(u, p\)\| is [0-9.]+e-0[12]"),
        ("two steps", r"u does not solve f\(u, p\) = 0: .*Iterate until a step of Newton's"),
        (
            "du/dp",
            "du/dp is returned; dg/dp is dg/du times du/dp. The adjoint needs no du/dp: write",
        ),
        (
            "dg/du",
            r"dg/du is returned \(the pullback of u -> f\(u, p\) gives it for lam, too\); it has",
        ),
        ("zero", "it is zero. g depends on p through u alone, and u counts as constant here"),
        ("twice", "it is 2 times what it should be"),
        ("row", r"the numbers are right, the shape is not; return an array of the shape of p"),
    ],
)
def test_what_is_wrong_is_named(mistake, words):
    start = words.startswith("^")
    pattern = f"(?s)What is wrong: {'' if start else '.*'}{words.lstrip('^')}.*The problem"
    with pytest.raises(AssertionError, match=pattern):
        check_root_adjoint(of_chapter_4(mistake))


def test_two_mistakes_are_named_together():
    def adjoint(f, g, u0, p):
        u = root(f, u0, p)
        lam = np.linalg.solve(jacobian(f, 0)(u, p), grad(g)(u))
        return vjp(lambda p: f(u, p), p)[1](lam)[0]

    words = r"What is wrong: df/du is not transposed; .* AND the sign is lost"
    with pytest.raises(AssertionError, match=words):
        check_root_adjoint(adjoint)


def test_a_mistake_that_is_not_known_shows_the_numbers():
    with pytest.raises(
        AssertionError, match=r"dg/dp: expected .*, by finite differences; got"
    ) as e:
        check_root_adjoint(lambda f, g, u0, p: by_library(f, g, u0, p) + 0.1)
    assert "What is wrong" not in str(e.value)


def test_what_is_shown_can_be_copied_and_run():
    for n, m in itertools.product((1, 2, 3), repeat=2):
        problem, space = drawn_problem(n, m, 5), {"np": np}
        exec("\n".join(line.strip() for line in str(problem).splitlines()), space)
        f, g, u0, p = [space[name] for name in ("f", "g", "u0", "p")]
        np.testing.assert_allclose(
            of_chapter_4()(f, g, u0, p), expected_gradient(problem), rtol=1e-8, atol=1e-9
        )
        df_du = jacobian(f, 0)(newton(f, u0, p, 30), p)
        assert np.linalg.cond(df_du) < 4
        if n > 1:
            assert not np.allclose(df_du, df_du.T, atol=1e-3)


def by_inverse(f, g, u0, p):
    u = root(f, u0, p)
    return -(grad(g)(u) @ inv(jacobian(f, 0)(u, p))) @ jacobian(f, 1)(u, p)


def by_columns_of_an_inverse(f, g, u0, p):
    u = root(f, u0, p)
    inverse = np.linalg.solve(jacobian(f, 0)(u, p), np.eye(len(u)))
    return vjp(lambda p: f(u, p), p)[1](-grad(g)(u) @ inverse)[0]


def by_sensitivities(f, g, u0, p):
    u = root(f, u0, p)
    return grad(g)(u) @ -np.linalg.solve(jacobian(f, 0)(u, p), jacobian(f, 1)(u, p))


def by_columns(f, g, u0, p):
    u = root(f, u0, p)
    dg_du, df_du, df_dp = grad(g)(u), jacobian(f, 0)(u, p), jacobian(f, 1)(u, p)
    return np.array([-dg_du @ np.linalg.solve(df_du, column) for column in df_dp.T])


def by_differences(f, g, u0, p):
    cost = lambda p: g(newton(f, u0, p, 30))
    return np.array([central_difference(cost, (p,), (e,)) for e in np.eye(len(p))])


def by_scipy(f, g, u0, p):
    linalg = pytest.importorskip("scipy.linalg")
    u = root(f, u0, p)
    return vjp(lambda p: f(u, p), p)[1](-linalg.inv(jacobian(f, 0)(u, p)).T @ grad(g)(u))[0]


def with_inverse(inverse):
    def adjoint(f, g, u0, p):
        u = root(f, u0, p)
        return vjp(lambda p: f(u, p), p)[1](-inverse(jacobian(f, 0)(u, p)).T @ grad(g)(u))[0]

    return adjoint


def by_factors(J):
    linalg = pytest.importorskip("scipy.linalg")
    return linalg.lu_solve(linalg.lu_factor(J), np.eye(len(J)))


by_unit_vectors = with_inverse(
    lambda J: np.stack([np.linalg.solve(J, e) for e in np.eye(len(J))]).T
)


@pytest.mark.parametrize(
    "adjoint, words",
    [
        (
            with_inverse(lambda J: np.linalg.matrix_power(J, -1)),
            "numpy.linalg.matrix_power was called with n = -1, which computes a dense inverse",
        ),
        (
            with_inverse(lambda J: np.linalg.tensorinv(J, ind=1)),
            "numpy.linalg.tensorinv was called, which computes",
        ),
        (with_inverse(by_factors), "scipy.linalg.lu_solve was called with 3 right-hand sides, as"),
        (
            by_unit_vectors,
            "numpy.linalg.solve is called 3 times for 3 unknowns and 23 times for 23, one for",
        ),
        (
            by_inverse,
            "numpy.linalg.inv was called, which computes a dense inverse. There is one system",
        ),
        (by_scipy, "scipy.linalg.inv was called, which computes a dense inverse"),
        (
            by_columns_of_an_inverse,
            "numpy.linalg.solve was called with 3 right-hand sides, as for a dense inv",
        ),
        (
            by_sensitivities,
            "numpy.linalg.solve was called with 4 right-hand sides, one for each parameter",
        ),
        (by_columns, "numpy.linalg.solve is called 4 times for 4 parameters and 24 times for 24"),
        (by_differences, "f is called .* times for 4 parameters and .* times for 24, so the cost"),
    ],
)
def test_a_right_gradient_that_costs_too_much_is_told_so(adjoint, words):
    with pytest.raises(AssertionError, match=f"the gradients are right, but {words}"):
        check_root_adjoint(adjoint, max_examples=10)


def test_what_is_no_inverse_passes():
    """A power that is positive, and an inverse by a decomposition, which the check does not see."""

    def squared(J):
        assert np.allclose(np.linalg.matrix_power(J, 2), J @ J)
        u, s, vt = np.linalg.svd(J)
        return vt.T @ np.diag(1 / s) @ u.T

    check_root_adjoint(with_inverse(squared), max_examples=5)


def test_the_numbers_of_the_cost_are_those_of_the_formulas():
    n, m = 1000, 10**6
    with pytest.raises(AssertionError) as said:
        check_root_adjoint(by_inverse, max_examples=2)
    numbers = f"{n**3 / 3 + n**2:.0e}, {n**3:.0e} and {n**3 / 3 + m * n**2:.0e}"
    assert f"for n = {n} and m = {m} that is {numbers}" in str(said.value)


def writes(name):
    def adjoint(f, g, u0, p):
        found = by_library(f, g, u0.copy(), p.copy())
        {"u0": u0, "p": p}[name][:] = 0
        return found

    return adjoint


@pytest.mark.parametrize(
    "adjoint, words",
    [
        (
            lambda f, g, u0, p: None,
            r"adjoint returned None \(is the return missing\?\); it must return dg/dp",
        ),
        (lambda f, g, u0, p: (by_library(f, g, u0, p),), r"a tuple of 1; .*pullback\(-lam\)\[0\]"),
        (lambda f, g, u0, p: "x", "adjoint returned an object of type str; it must return dg/dp"),
        (
            lambda f, g, u0, p: p.astype(int),
            "adjoint returned an array of dtype int64; dg/dp is an",
        ),
        (lambda f, g, u0, p: p * np.nan, r"adjoint returned \[nan\], which is not finite"),
        (lambda f, g, u0, p: g(u0), r"got .*, whose shape \(\) is not that of p, \(1,\)"),
        (writes("u0"), "adjoint has written into its argument u0; what it was given must stay"),
        (writes("p"), "adjoint has written into its argument p;"),
    ],
)
def test_what_is_no_gradient_is_refused(adjoint, words):
    with pytest.raises(AssertionError, match=f"check_root_adjoint: .*{words}"):
        check_root_adjoint(adjoint)


def test_what_adjoint_raises_comes_out_as_it_went_in():
    def fails(f, g, u0, p):
        raise KeyError("my own")

    with pytest.raises(KeyError, match="my own") as said:
        check_root_adjoint(fails)
    assert "f = lambda u, p" in "".join(getattr(said.value, "__notes__", ["f = lambda u, p"]))

    def asserts(f, g, u0, p):
        assert len(p) > 3, "four parameters"

    with pytest.raises(AssertionError, match=r"^four parameters"):
        check_root_adjoint(asserts)


def test_a_profiler_that_runs_is_left_alone():
    seen = []
    before = sys.getprofile()
    sys.setprofile(lambda *event: seen.append(1))
    try:
        mine = sys.getprofile()
        check_root_adjoint(by_inverse, max_examples=1)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(before)


def test_the_accuracy_is_what_is_asked_for():
    nearly = lambda f, g, u0, p: by_library(f, g, u0, p) * (1 + 1e-4)
    check_root_adjoint(nearly, rtol=1e-3)
    with pytest.raises(AssertionError, match=r"it is 1\.0001 times what it should be"):
        check_root_adjoint(nearly)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((None,), r"adjoint must be a function adjoint\(f, g, u0, p\); got None"),
        ((by_library, 2), "rtol=2 must be a number between 0 and 1"),
        ((by_library, 1e-6, 0), "max_examples=0 must be a whole number, 1 or more"),
    ],
)
def test_arguments_that_check_nothing_are_refused(arguments, words):
    with pytest.raises((TypeError, ValueError), match=f"check_root_adjoint: {words}"):
        check_root_adjoint(*arguments)
