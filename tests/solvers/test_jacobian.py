"""Jacobians for Newton's method: by differences, by the engine, and the same steps by both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stiff import PROBLEMS

from tinyode import jacobian, solve
from tinyode.solvers.jacobian import FEW, differences, flat_jacobian
from tinyode.solvers.options import Options
from tinyode.solvers.state import flat_field
from tinyode.tree import LEAF


def reactions(k):
    """A chain of reactions with these rates, each of second order."""

    def f(t, y):
        r = k * y * np.roll(y, 1)
        return np.roll(r, 1) - r + np.cos(t)

    return f


@given(
    st.integers(2, 6),
    st.integers(0, 2**32 - 1),
    st.floats(-12, 6),
    st.floats(-8, -2),
    st.sampled_from([np.float64, np.float32]),
)
def test_differences_are_right_where_it_matters(n, seed, exponent, digits, dtype):
    """An entry may be off by what changes f by less than its terms times the square root of eps.

    States may be zero, and differ by ten orders of magnitude.
    """
    rng = np.random.default_rng(seed)
    k = 10.0 ** rng.uniform(-4, 4, n)
    y = (10.0 ** rng.uniform(exponent - 5, exponent + 5, n) * rng.integers(0, 2, n)).astype(dtype)
    f = lambda t, y: reactions(k.astype(dtype))(t, y).astype(dtype)
    rtol = 10.0**digits
    allowed = 1e-3 * rtol * 10.0**exponent + rtol * np.abs(y.astype(float))
    found = differences(lambda y: f(0.3, y), y, allowed, np.finfo(dtype).eps, 1.0)
    exact = jacobian(lambda y: reactions(k)(0.3, y))(y.astype(float))
    assert found.dtype == dtype
    # both as changes of f for a change of y that the tolerances allow
    terms = 1 + np.abs(exact) @ (np.abs(y) + allowed)
    eps = np.finfo(dtype).eps
    off = np.abs(found - exact) @ allowed
    bound = (rtol + 1e3 * max(eps / rtol, eps**0.5)) * np.abs(exact) @ allowed + 1e4 * eps * terms
    assert (off <= bound).all()


@pytest.mark.parametrize("h", [0.1, -0.1])
def test_differences_go_the_way_that_the_component_goes(h):
    """Where a state begins on the border of the domain of f, differences stay inside."""
    seen = []

    def f(y):
        seen.append(y.copy())
        return np.sign(h) * np.array([1.0 - y[0] ** 1.5, -2.0 + y[1]])

    y = np.array([0.0, 1.0])
    J = differences(f, y, 1e-9 + 1e-6 * y, np.finfo(float).eps, h)
    assert np.min(seen) >= 0 and np.max(seen) <= 1
    np.testing.assert_allclose(J, np.sign(h) * np.array([[0, 0], [0, 1]]), atol=1e-4)


@pytest.mark.parametrize("method", ["radau_iia5", "kvaerno5", "trbdf2"])
@pytest.mark.parametrize(
    ("f", "y0", "end"),
    [
        (lambda t, y: (1 - y) ** 1.5, 1.0, 1.0),  # it stays at the border
        (lambda t, y: -(1 + y**1.5), 0.0, -1.0),
        (lambda t, y: -y * np.where(y > 1, np.nan, 1.0), 1.0, 2.0),
        (lambda t, y: -y, 0.0, 1.0),
    ],
)
def test_borders_of_the_domain(f, y0, end, method):
    """f is not a number beyond the border; the other side of the state serves."""
    with np.errstate(invalid="ignore"):
        y = solve(f, y0, [0, end], method=method, atol=5e-324).y
    right = solve(f, y0, [0, end], method="dop853").y
    np.testing.assert_allclose(y, right, rtol=1e-3)


def test_what_the_engine_refuses_it_is_asked_once():
    asked = []

    def f(t, y):
        if type(y) is not np.ndarray:
            asked.append(t)
        return np.array([-float(x) for x in y])

    y0 = np.linspace(1, 2, FEW + 1)
    solution = solve(f, y0, [0, 10.0], method="radau_iia5", jacobian=None, rtol=1e-8)
    np.testing.assert_allclose(solution.y[-1], y0 * np.exp(-10), rtol=1e-4)
    assert len(asked) == 1


def test_containers_of_two_precisions():
    """A difference must be seen by the coarser one."""
    f = lambda t, y: {"a": -1e3 * (y["a"] - y["b"].astype(np.float32)), "b": -y["b"]}
    y0 = {"a": np.ones(2, np.float32), "b": np.ones(2)}
    stats = solve(f, y0, [0, 5.0], method="radau_iia5", rtol=1e-4).stats
    assert stats.newton_failures < 0.1 * stats.accepted < 50


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("method", ["radau_iia5", "kvaerno5"])
def test_steps_are_as_many_as_with_the_exact_jacobian(name, method):
    f, y0, times, _ = PROBLEMS[name]
    size = np.array([1e-4, 1e-8, 1e-4]) if name == "robertson" else 1e-3
    options = {"method": method, "atol": 1e-6 * size}
    ours = solve(f, np.array(y0), times, **options).stats
    exact = solve(f, np.array(y0), times, jacobian=jacobian(f, 1), **options).stats
    assert ours.nfev < 1.1 * exact.nfev and ours.jacobians < 1.3 * exact.jacobians


@pytest.mark.parametrize("size", [3, FEW, FEW + 1, 200])
@pytest.mark.parametrize("options", [Options("radau_iia5"), Options("radau_iia3", step_size=0.1)])
def test_both_are_the_same_jacobian(size, options):
    y, f = np.linspace(0.5, 1.5, size), reactions(np.linspace(1, 9, size))
    J = flat_jacobian(flat_field(f, [y], LEAF, ()), f, [y], LEAF, (), options)(0.2, y, 0.1)
    np.testing.assert_allclose(J, jacobian(f, 1)(0.2, y), atol=2e-6)


def test_a_state_in_a_container():
    """The rows and columns are in the order of the leaves, and quadratures have none."""
    y = {"a": np.array([1.0, 2.0]), "b": 0.5}
    f = lambda t, y, k: {"a": k * y["a"] * y["b"], "b": np.sum(y["a"])}
    solution = solve(f, y, [0, 0.5], 3.0, method="radau_iia5", rtol=1e-8, atol=1e-8)
    same = solve(f, y, [0, 0.5], 3.0, method="dop853", rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(solution.y["a"], same.y["a"], rtol=1e-6)
    assert solution.stats.newton_failures == 0
