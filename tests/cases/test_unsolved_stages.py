"""An implicit stage that Newton's method has not solved is a failed step, never an accepted one."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import odeint, solve, value_and_grad
from tinyode.solvers import NewtonFailed, SolverError
from tinyode.solvers.jacobian import flat_jacobian
from tinyode.solvers.options import Options, Stats
from tinyode.solvers.solve import steps
from tinyode.solvers.state import flat_field
from tinyode.solvers.tableaus import TABLEAUS, find
from tinyode.tree import LEAF

IMPLICIT = [name for name, tableau in TABLEAUS.items() if tableau.implicit]
ADAPTIVE = [name for name in IMPLICIT if find(name).e is not None]
EPS = np.finfo(float).eps

# f(t, y), y0, the end, and the state there
FIELDS = {
    "diode": (
        lambda t, v: 1.0 - 1e-12 * (np.exp(v / 0.026) - 1),
        1.5,
        1.0,
        0.026 * np.log(1e12 + 1),
    ),
    "a pole near by": (lambda t, y: 100 / y, 1e-6, 1.0, np.sqrt(200 + 1e-12)),
    "an explosion that ends": (lambda t, y: np.exp(-30 * y) - y, -1.0, 5.0, None),
    "a fast decay": (lambda t, y: -1e8 * y**3, 1.0, 1.0, 1 / np.sqrt(1 + 2e8)),
    "a jump of the rate": (
        lambda t, y: np.where(t < 1, -1e6, -1.0) * (y - np.cos(t)),
        1.0,
        2.0,
        None,
    ),
}


@functools.cache
def right(name):
    f, y0, end, state = FIELDS[name]
    if state is None:
        times = [0, 1.0, end]
        for start, stop in zip(times, times[1:]):
            g = (lambda t, y, stop=stop: f(min(t, stop - 1e-9), y)) if "jump" in name else f
            y0 = solve(g, y0, [start, stop], method="kvaerno5", rtol=1e-11, atol=1e-13).y[-1]
        return y0
    return state


@pytest.mark.parametrize("first_step", [1e-8, 1e-3, 1.0])
@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("name", FIELDS)
def test_adaptive_steps_end_where_they_should(name, method, first_step):
    f, y0, end, _ = FIELDS[name]
    with np.errstate(all="ignore"):
        y = solve(f, y0, [0, end], method=method, first_step=first_step, rtol=1e-6).y[-1]
    assert abs(y - right(name)) < 1e-4 * abs(right(name))


def rest_of_equations(f, y0, h, method, jacobian):
    """Return the largest h |k - f(Y)| of four fixed steps, in roundings of Y's terms and of h f."""
    tableau, y0 = find(method), np.array(y0)
    field, options = flat_field(f, [y0], LEAF, ()), Options(method, step_size=h)
    J = flat_jacobian(field, f, [y0], LEAF, (), options, jacobian)
    walk = steps(field, y0, [0.0, 4 * h], options, Stats(), jacobian=J)
    worst = 0.0
    for step in walk:
        for k, row, c in zip(step.K, tableau.a, tableau.c):
            if not row.any():  # explicit: the last stage of the step before
                continue
            Y = step.y + h * row @ step.K
            terms = np.max(np.abs(step.y)) + h * np.max(np.abs(step.K))
            moved = np.max(np.abs(f(0.0, Y + 16 * EPS * terms) - f(0.0, Y)))
            size = terms + h * moved / EPS
            worst = max(worst, h * np.max(np.abs(k - f(step.t + c * h, Y))) / size / EPS)
    return worst


AUTONOMOUS = [
    lambda t, y: 1 / y,
    lambda t, y: np.exp(-30 * y) - y,
    lambda t, y: -100 * y**2,
    lambda t, y: -1e8 * y**3,
    lambda t, y: 1.0 - 1e-12 * (np.exp(y / 0.026) - 1),
    lambda t, y: 50 * (y[::-1] - y**3),
    lambda t, y: np.sqrt(np.abs(y)) - 1e5 * y,
]


@pytest.mark.parametrize("method", IMPLICIT)
@given(
    st.sampled_from(AUTONOMOUS),
    st.floats(-8, 0.3),
    st.floats(-8, 0.3),
    st.booleans(),
    st.floats(-6, 0.7),
)
def test_fixed_steps_are_solved_or_fail(method, f, size, ratio, positive, h):
    """Every stage satisfies its equation to rounding, or the step is `NewtonFailed`."""
    y0 = (1.0 if positive else -1.0) * 10.0**size * np.array([1.0, 10.0**ratio])
    with np.errstate(all="ignore"):
        try:
            assert rest_of_equations(f, y0, 10.0**h, method, None) < 300
        except SolverError:
            pass


@pytest.mark.parametrize("method", [name for name in IMPLICIT if name not in ADAPTIVE])
def test_components_of_other_units_are_solved_too(method):
    """Beside a component of 1e8, one of 1e-8 with y' = -y^2 / 1e-8."""
    f = lambda t, y: np.array([0.0, -(y[1] ** 2) / 1e-8])
    both = solve(f, np.array([1e8, 1e-8]), [0, 1.0], method=method, step_size=0.25).y[-1, 1]
    alone = solve(lambda t, y: -(y**2) / 1e-8, 1e-8, [0, 1.0], method=method, step_size=0.25).y[-1]
    assert abs(both - alone) < 1e-12 * alone


def test_a_long_step_goes_to_the_solution_that_continues_the_state():
    """y1 = y0 - 100 y1^2 has a positive and a negative root; -y^2 keeps its sign."""
    for y0 in (1.0, 1e-3, 30.0):
        y1 = solve(lambda t, y: -100 * y**2, y0, [0, 1.0], method="implicit_euler").y[-1]
        assert abs(y1 - (np.sqrt(1 + 400 * y0) - 1) / 200) < 1e-14
    many = solve(lambda t, y: -100 * y**2, 1.0, np.arange(101.0), method="implicit_euler").y
    assert (np.diff(many) < 0).all() and many[-1] > 0
    y1 = solve(lambda t, y: 1 / y, 1e-8, [0, 1.0], method="implicit_euler").y[-1]
    assert abs(y1 - 1.000000005) < 1e-14


@pytest.mark.parametrize("factor", [1e3, 1e10, -1e3, -1e14])
@pytest.mark.parametrize("rows", ["all", "one"])
@pytest.mark.parametrize("method", IMPLICIT)
def test_a_jacobian_that_is_grossly_wrong_decides_nothing(method, rows, factor):
    """The end is right or there is an error: with every row of df/dy wrong, or with one."""
    J = np.diag([-1.0, factor]) if rows == "one" else factor * np.eye(2)
    options = {"step_size": 0.1} if method not in ADAPTIVE else {"max_steps": 2000}
    try:
        y = solve(
            lambda t, y: -y,
            np.array([1.0, 2.0]),
            [0, 1.0],
            method=method,
            jacobian=lambda t, y: J,
            **options,
        ).y[-1]
    except SolverError:
        return
    exact = solve(lambda t, y: -y, np.array([1.0, 2.0]), [0, 1.0], method=method, **options).y[-1]
    np.testing.assert_allclose(y, exact, rtol=1e-4)  # a hundred times the tolerance


def test_a_wrong_jacobian_is_named_where_steps_run_out():
    words = r"Newton's method failed at \d+ of them: is jacobian= right"
    with pytest.raises(SolverError, match=words):
        solve(
            lambda t, y: -y,
            1.0,
            [0, 1.0],
            method="kvaerno5",
            max_steps=200,
            jacobian=lambda t, y: np.array([[1e10]]),
        )
    with pytest.raises(NewtonFailed, match="is jacobian= right"):
        solve(
            lambda t, y: -y,
            1.0,
            [0, 1.0],
            method="radau_iia3",
            jacobian=lambda t, y: np.array([[1e10]]),
        )


@pytest.mark.parametrize("method", ["implicit_euler", "kvaerno5"])
def test_gradients_of_such_steps(method):
    """dy1/dy0 is 1 / (1 - h f'(y1)) of a step, and 1 / (1 + 100 y0 t)^2 of the solution."""
    loss = lambda y0: odeint(
        lambda t, y: -100 * y**2, y0, [0, 1.0], method=method, gradient="discrete"
    )[-1]
    value, slope = value_and_grad(loss)(1.0)
    exact = 1 / (1 + 200 * value) if method == "implicit_euler" else 1 / 101**2
    assert abs(slope - exact) < 1e-4 * exact


@pytest.mark.parametrize("entry", [1e3, 1e6, 1.8e10, -1.8e10])
@pytest.mark.parametrize("h", [1e-3, 1e-2, 0.3, 6.7])
@pytest.mark.parametrize("slope", [-1.0, -100.0, -1e8])
@pytest.mark.parametrize("method", IMPLICIT)
def test_an_equation_is_not_solved_because_another_one_is(method, slope, h, entry):
    """One row of jacobian= is wrong, the other right: y0' = -y0 + 150 y1, y1' = slope (y1 - 0.5).

    The rest of the first equation shrinks when the second is solved, and the rounding of the second
    may be as large as the rest of the first.
    """
    f = lambda t, y: np.array([-y[0] + 150 * y[1], slope * (y[1] - 0.5)])
    right, wrong = [np.array([[own, 150.0], [0.0, slope]]) for own in (-1.0, entry)]
    found = lambda J: solve(
        f,
        np.array([-1.4, 0.5 + 1e-9]),
        [0, 10 * h],
        method=method,
        step_size=h,
        jacobian=lambda t, y: J,
    ).y[-1]
    try:
        y = found(wrong)
    except NewtonFailed:
        return
    np.testing.assert_allclose(y, found(right), rtol=1e-9)


def test_a_correction_of_zero_is_no_division_by_zero():
    """Entries so large make D so small that its size is zero."""
    for method in IMPLICIT:
        for entry in (1e155, 1e200, 1e300):
            with pytest.raises(SolverError), np.errstate(all="ignore"):
                solve(
                    lambda t, y: -y,
                    1.0,
                    [0, 1.0],
                    method=method,
                    step_size=0.5,
                    jacobian=lambda t, y, entry=entry: np.array([[-entry]]),
                )
