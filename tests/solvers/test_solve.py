"""solve: accuracy by slopes, dense output, both directions of time, statistics, every refusal."""

import math

import numpy as np
import pytest
from detest import PROBLEMS as DETEST
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from tinyode import SolverError, grad, solve, tree
from tinyode.autodiff.specialized import Specialized
from tinyode.solvers import StepTooSmall, TooManySteps
from tinyode.solvers.tableaus import TABLEAUS

END = 3.0
IMPLICIT = [name for name, tableau in TABLEAUS.items() if tableau.implicit]


def f(t, y, k=1.0):
    """y' = -y cos t and a rotation: solutions exp(-sin t), cos, sin."""
    return np.array([-y[0] * np.cos(t), -k * y[2], k * y[1]])


def exact(t):
    t = np.asarray(t)
    return np.stack([np.exp(-np.sin(t)), np.cos(t), np.sin(t)], axis=-1)


Y0 = exact(0.0)


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize("method", TABLEAUS)
@pytest.mark.parametrize("t", [(0.0, END), (END, 0.0)], ids=["forwards", "backwards"])
def test_P1_G3_N3_order_of_convergence(method, t):
    """The error falls as h^p: first order for Euler (P1, G3, N3).

    For each method it is the order that its tableau says.
    """
    sizes = END / np.array([6, 8, 10, 12] if TABLEAUS[method].order > 5 else [32, 48, 64, 96])
    errors = [
        np.abs(solve(f, exact(t[0]), t, method=method, step_size=h).y[-1] - exact(t[1])).max()
        for h in sizes
    ]
    order = TABLEAUS[method].order
    above = slope(sizes, errors) - order
    # The steps of a method of high order are long still, where rounding begins.
    assert abs(above) < 0.15 if order < 6 else -0.25 < above < 1.2


def test_N_tangent_local_error_is_of_second_order():
    sizes = np.array([0.1, 0.05, 0.025, 0.0125])
    errors = [np.abs(solve(f, Y0, [0, h], method="euler").y[-1] - exact(h)).max() for h in sizes]
    assert abs(slope(sizes, errors) - 2) < 0.1


@pytest.mark.parametrize("method", TABLEAUS)
def test_order_of_dense_output(method):
    """The error at a point inside the steps falls as it should.

    That is h^4 for Hermite's cubic and the interpolants of dopri5 and tsit5, h^5 for that of
    kvaerno5, h^7 for that of dop853.
    """
    sizes = END / np.array([32, 48, 64, 96] if method != "dop853" else [4, 6, 8, 10])
    inside = [np.arange(math.ceil(END / h)) * h + 0.37 * h for h in sizes]
    errors = [
        np.abs(solve(f, Y0, (0.0, END), method=method, step_size=h)(t) - exact(t)).max()
        for h, t in zip(sizes, inside)
    ]
    tableau = TABLEAUS[method]
    expected = min(tableau.order, 4) if method != "dop853" else 7
    if tableau.implicit:  # a polynomial of degree d is wrong by h^(d + 1)
        expected = min(tableau.order, tableau.interpolant.shape[1] + 1)
    assert (
        expected - 0.25
        < slope(sizes, errors)
        < expected + (1.2 if method in ("dopri5", "tsit5", "dop853") else 0.25)
    )


@pytest.mark.parametrize("stiffness, times", [(1, 10), (10, 3), (30, 3)])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_kvaerno5_is_nearly_as_right_inside_a_step_as_at_its_ends(stiffness, times, tolerance):
    """y' = -s (y - cos t) has the solution y = Re(s e^(it) / (s + i)).

    With Hermite's cubic the error inside was up to 178 times that at the ends for s = 1, and up to
    9 times for s = 10.
    """
    exact = lambda t: np.real(stiffness * np.exp(1j * t) / (stiffness + 1j))
    f = lambda t, y: -stiffness * (y - np.cos(t))
    t, options = [0, 10.0], {"method": "kvaerno5", "rtol": tolerance, "atol": tolerance}
    solution = solve(f, exact(0.0), t, **options)
    ends = np.array([step.t1 for step in solution._dense.steps])
    error = lambda t: np.max(np.abs(solution(t) - exact(t)))
    assert error(np.linspace(0.0, 10.0, 10_000)) < times * error(ends)


@pytest.mark.parametrize("method", TABLEAUS)
def test_dense_output_joins_smoothly_and_keeps_shapes(method):
    solution = solve(f, Y0, np.linspace(0, END, 7), method=method)
    np.testing.assert_allclose(solution(solution.t), solution.y, atol=1e-12)
    if TABLEAUS[method].e is not None:  # times inside the steps are read off the same interpolant
        assert np.abs(solution.y - exact(solution.t)).max() < 1e-4
        counted = []
        solve(lambda t, y: counted.append(t) or f(t, y), Y0, np.linspace(0, END, 7), method=method)
        # The differences of a Jacobian call f, too: once for each component, and once at y.
        assert len(counted) == solution.stats.nfev + 4 * solution.stats.jacobians
    assert (
        solution(1.0).shape == (3,)
        and solution(np.ones((2, 4))).shape == (2, 4, 3)
        and solution([]).shape == (0, 3)
    )
    for time in (-1e-9, END + 1e-9, np.nan):
        with pytest.raises(ValueError, match=r"lies outside the interval from 0.0 to 3.0"):
            solution([1.0, time])
    backwards = solve(f, exact(END), (END, 0.0), method=method, step_size=0.01)
    np.testing.assert_allclose(backwards([0.5, 2.5]), exact([0.5, 2.5]), atol=0.05)


@given(st.integers(4, 11), st.sampled_from([1, -1]))
def test_errors_follow_the_tolerance(digits, direction):
    rtol = 10.0**-digits
    t = np.array([0.0, 0.7, 1.1, END])[::direction]
    solution = solve(f, exact(t[0]), t, rtol=rtol, atol=rtol)
    assert np.abs(solution.y - exact(t)).max() < 30 * rtol
    np.testing.assert_array_equal(solution.y[0], exact(t[0]))


def test_observation_times_do_not_decide_the_steps():
    few, many = solve(f, Y0, [0, END]), solve(f, Y0, np.linspace(0, END, 100))
    assert few.stats == many.stats
    np.testing.assert_array_equal(few.y[-1], many.y[-1])


def test_f_is_never_evaluated_outside_the_interval():
    for t in ([0.0, 1.0], [1.0, 0.0]):
        for options in ({}, {"first_step": 0.3}, {"method": "rk4", "step_size": 0.3}):
            met = []
            solve(lambda t, y, met=met: met.append(t) or -y, 1.0, t, **options)
            assert min(met) >= 0.0 and max(met) <= 1.0 and all(type(time) is float for time in met)


def test_statistics_count_what_was_done():
    calls = []

    def counted(t, y):
        calls.append(t)
        return f(t, y)

    for method, stages in (("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)):
        calls.clear()
        solution = solve(counted, Y0, np.linspace(0, END, 11), method=method)
        assert solution.stats.nfev == len(calls) == 10 * stages and solution.stats.accepted == 10
    calls.clear()
    stats = solve(counted, Y0, [0, END], first_step=2.0, rtol=1e-8).stats
    assert (
        stats.nfev == len(calls) == 1 + 6 * (stats.accepted + stats.rejected)
        and stats.rejected > 0
        and stats.jacobians == 0
    )
    calls.clear()
    assert (
        solve(counted, Y0, [0, END], step_size=0.1, method="dopri5").stats.nfev
        == len(calls)
        == 1 + 6 * 30
    )


def test_step_size_cuts_each_interval_into_equal_parts():
    met = []
    solve(lambda t, y: met.append(t) or -y, 1.0, [0.0, 1.0, 1.5], method="euler", step_size=0.4)
    np.testing.assert_allclose(met, [0, 1 / 3, 2 / 3, 1.0, 1.25])
    met.clear()
    solve(lambda t, y: met.append(t) or -y, 1.0, [0.0, 0.3], method="euler", step_size=0.1)
    # 0.3 / 0.1 is a little less than 3 in doubles, (0.1 + 0.2) / 0.1 a little more.
    assert len(met) == 3


def test_a_discontinuity_is_passed():
    solution = solve(
        lambda t, y: np.sign(1.0 - t) * np.ones(1), np.zeros(1), [0, 2.0], rtol=1e-8, atol=1e-10
    )
    assert abs(solution.y[-1, 0]) < 1e-6 and solution.stats.rejected > 0


@given(st.sampled_from([(), (1,), (2, 3), (2, 1, 2)]), st.sampled_from(list(TABLEAUS)), seeds)
def test_states_of_any_shape_and_containers(shape, method, seed):
    rng = np.random.default_rng(seed)
    y0, rate = rng.normal(size=shape), rng.normal()
    t = [0.0, 0.3, 1.0]
    single = solve(lambda t, y, k: k * y, y0, t, rate, method=method, step_size=0.05)
    assert single.y.shape == (3, *shape)
    many = solve(
        lambda t, y, k: {"a": k * y["a"], "b": (k * y["b"][0], [0.0])},
        {"a": y0, "b": (y0, [1.0])},
        t,
        rate,
        method=method,
        step_size=0.05,
    )
    np.testing.assert_allclose(many.y["a"], single.y, rtol=1e-14)
    np.testing.assert_array_equal(many.y["b"][1][0], np.ones(3))
    np.testing.assert_allclose(many(0.77)["b"][0], single(0.77), rtol=1e-13, atol=1e-15)


def test_dtypes():
    assert solve(lambda t, y: -y, np.ones(2, np.float32), [0, 1]).y.dtype == np.float32
    assert solve(lambda t, y: -y, np.ones(2, np.float32), [0, 1])(0.5).dtype == np.float32
    assert solve(lambda t, y: -1.0 * y, 1, [0, 1]).y.dtype == np.float64
    both = solve(lambda t, y: (-y[0], -y[1]), (np.float32(1), np.float64(1)), [0, 1]).y
    assert both[0].dtype == np.float32 and both[1].dtype == np.float64
    # f may return a list, as for SciPy.
    assert solve(lambda t, y: [y[1], -y[0]], np.ones(2), [0, 1]).y.shape == (2, 2)


@pytest.mark.parametrize(
    "t, message",
    [
        ([0.0], "two or more times"),
        (1.0, "two or more times"),
        ([[0.0, 1.0]], "two or more times"),
        (["a", "b"], "two or more times"),
        ([0.0, np.inf], "t must be finite; got inf"),
        ([0.0, np.nan], "t must be finite; got nan"),
        (
            [0.0, 1.0, 1.0],
            r"strictly increasing or strictly decreasing; got t\[1\] = 1.0, t\[2\] = 1.0",
        ),
        (
            [0.0, 1.0, 0.5],
            r"strictly increasing or strictly decreasing; got t\[1\] = 1.0, t\[2\] = 0.5",
        ),
    ],
)
def test_times_are_refused_by_name(t, message):
    with pytest.raises(ValueError, match=message):
        solve(f, Y0, t)


@pytest.mark.parametrize(
    "y0, error, message",
    [
        (np.array([1.0, np.nan]), ValueError, "y0 must be finite"),
        (np.inf, ValueError, "y0 must be finite"),
        ("a", TypeError, "y0 must be real"),
        (1j, TypeError, "y0 must be real"),
        ([1.0, "a"], TypeError, "y0 must be real"),
        ([], ValueError, "has no elements"),
        (np.zeros(0), ValueError, "has no elements"),
        (None, TypeError, "y0 must be real"),
    ],
)
def test_states_are_refused_by_name(y0, error, message):
    with pytest.raises(error, match=message):
        solve(lambda t, y: y, y0, [0, 1])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rtol": 0.0}, "rtol=0.0 must be a positive number"),
        ({"atol": -1.0}, "atol=-1.0"),
        ({"rtol": np.nan}, "rtol=nan"),
        (
            {"step_size": -0.1},
            "step_size=-0.1 must be a positive number; the direction of time comes from t",
        ),
        ({"first_step": np.inf}, "first_step=inf"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"max_steps": 0.5}, "max_steps=0.5 must be a whole number"),
        ({"rtol": True}, "rtol=True"),
        ({"step_size": "x"}, "step_size='x'"),
        (
            {"method": "rk45"},
            (
                "method='rk45' is not known; here the same method, or the nearest, is 'dopri5'. Or"
                " did you mean 'rk4'"
            ),
        ),
    ],
)
def test_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        solve(f, Y0, [0, 1], **options)


@pytest.mark.parametrize(
    "value, error, message",
    [
        (
            np.ones(2),
            ValueError,
            (
                r"f returned an array of shape \(2,\); the state, and so its derivative, has shape"
                r" \(3,\)"
            ),
        ),
        (1.0, ValueError, r"f returned an array of shape \(\)"),
        (np.ones(3) * 1j, TypeError, "dtype complex128"),
        (None, TypeError, "f returned None"),
        ({"a": 1.0}, TypeError, "f returned {'a': 1.0}"),
    ],
)
def test_what_f_returns_is_refused_by_name(value, error, message):
    with pytest.raises(error, match=message):
        solve(lambda t, y: value, Y0, [0, 1])


def test_structures_that_f_returns_are_refused_by_name():
    with pytest.raises(
        ValueError,
        match=r"f returned the structure \[array, array\]; the state, .* \(array, array\)",
    ):
        solve(lambda t, y: list(y), (1.0, 2.0), [0, 1])


def test_traced_values_are_refused_by_name():
    with pytest.raises(
        TypeError, match="y0 is a traced value, whose gradient would be lost; use odeint"
    ):
        grad(lambda y0: solve(lambda t, y: -y, y0, [0, 1]).y[-1])(1.0)
    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(lambda k: solve(lambda t, y: -k * y, 1.0, [0, 1]).y[-1])(1.0)
    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(
            lambda k: solve(lambda t, y: np.array([y[1], -k * y[0]]), np.ones(2), [0, 1]).y[-1, 0]
        )(1.0)


def test_a_blow_up_says_where():
    """y' = y^2 from 1 ends at t = 1."""
    with pytest.raises(
        SolverError, match=r"is below rounding|not finite beyond this time"
    ) as caught:
        solve(lambda t, y: y * y, 1.0, [0, 2])
    assert abs(caught.value.t - 1) < 1e-3 and caught.value.h > 0
    with pytest.raises(SolverError, match=r"state is no longer finite.*smaller step_size"):
        solve(lambda t, y: y * y, 1.0, [0, 20], method="rk4", step_size=0.5)


def test_f_that_is_not_finite_says_where():
    with pytest.raises(SolverError, match="f is not finite at the initial state"):
        solve(lambda t, y: np.nan * y, np.ones(2), [0, 1])
    with pytest.raises(SolverError, match="not finite beyond this time") as caught:
        solve(lambda t, y: y if t < 0.5 else y * np.nan, 1.0, [0, 1])
    assert abs(caught.value.t - 0.5) < 1e-6


def test_max_steps_is_kept():
    with pytest.raises(SolverError, match="max_steps=5 steps were not enough"):
        solve(lambda t, y: -1000 * y, 1.0, [0, 1], max_steps=5)
    with pytest.raises(SolverError, match="max_steps=5 steps were not enough"):
        solve(lambda t, y: -y, 1.0, np.linspace(0, 1, 9), max_steps=5, method="rk4")
    with pytest.raises(
        SolverError, match="step_size=1e-310 cuts t into more than max_steps=100000 steps"
    ):
        solve(lambda t, y: -y, 1.0, [0, 1], method="rk4", step_size=1e-310)


def test_what_f_does_to_its_argument_does_not_reach_the_solver():
    kept = []

    def greedy(t, y):
        kept.append(y)
        return -y

    solve(greedy, np.ones(2), [0, 1])
    # Each is an array of its own, not a buffer that is written over.
    assert len({tuple(y) for y in kept}) > 5


def test_f_cannot_write_into_the_state():
    def in_place(t, y):
        y -= 1
        return -y

    for shape in ((2,), (2, 2), ()):
        with pytest.raises(ValueError, match="read-only"):
            solve(in_place, np.ones(shape), [0, 1])
    with pytest.raises(ValueError, match="read-only"):
        solve(lambda t, y: [in_place(t, y[0])], [np.ones(2)], [0, 1])


def test_time_far_from_zero_does_not_drift():
    f = lambda t, y: np.array([y[1], -2500 * y[0]])
    for t0 in (0.0, 1e6, 1e9):
        end = solve(f, np.array([1.0, 0.0]), [t0, t0 + 20], rtol=1e-10, atol=1e-12).y[-1, 0]
        assert abs(end - np.cos(1000)) < 1e-7


def test_an_infinite_state_is_an_error():
    for value, dtype in ((1e308, np.float64), (1e38, np.float32)):
        with pytest.raises(SolverError):
            solve(
                lambda t, y, v=value: np.full_like(y, v), np.full(1, value / 100, dtype), [0, 10.0]
            )


@given(
    st.floats(-5, 5), st.floats(0.01, 5), st.sampled_from(["heun", "rk4", "dopri5"]), st.booleans()
)
def test_the_end_is_never_passed_by_a_rounding_error(start, length, method, cut):
    end = start + length
    met = []
    solve(
        lambda t, y: met.append(t) or -y,
        1.0,
        [start, end],
        method=method,
        step_size=length / 10.37 if cut else length,
    )
    assert max(met) <= end


def test_extreme_first_steps():
    for f, y0, t in (
        (lambda t, y: np.float32(1e11) * np.ones_like(y), np.array([1e-3], np.float32), [0, 1.0]),
        (lambda t, y: np.array([1e9 - np.exp(y[0])]), np.zeros(1), [0, 1e-9]),
    ):
        assert np.isfinite(solve(f, y0, t, rtol=1e-3).y).all()
    precise = solve(
        lambda t, y: np.cos(t) * np.ones(1),
        np.zeros(1),
        [0, 10.0],
        first_step=np.float32(0.1),
        rtol=1e-10,
        atol=1e-12,
    )
    assert abs(precise.y[-1, 0] - np.sin(10)) < 1e-8


def test_a_step_below_rounding_is_an_error_at_once():
    with pytest.raises(SolverError, match="the step is below rounding"):
        solve(lambda t, y: -y, 1.0, [1.0, 2.0], first_step=1e-17)
    with pytest.raises(SolverError, match="the step is below rounding"):
        solve(lambda t, y: -y, 1.0, [1e16, 1e16 + 4], method="rk4", step_size=0.5)


def test_settings_without_effect_are_refused():
    with pytest.raises(
        ValueError, match=r"first_step=0.1 has no meaning where the steps are of fixed size"
    ):
        solve(f, Y0, [0, 1], method="rk4", first_step=0.1)


def test_traced_times_are_refused_by_name():
    for use in (
        lambda t: solve(lambda s, y: -y, 1.0, t).y[-1],
        lambda t: solve(lambda s, y: -y, 1.0, [0.0, t[1]]).y[-1],
        lambda t: solve(lambda s, y: -y, 1.0, [0.0, 2.0])(t[1]),
    ):
        with pytest.raises(
            TypeError, match="t is a traced value, whose gradient would be lost; use odeint"
        ):
            grad(use)(np.array([0.0, 1.0]))


def test_ragged_input_is_refused_by_name():
    with pytest.raises(ValueError, match="t must be a vector"):
        solve(f, Y0, [0.0, [1.0, 2.0]])
    with pytest.raises(TypeError, match=r"f returned \[\[1, 2\], \[3\]\]"):
        solve(lambda t, y: [[1, 2], [3]], Y0, [0, 1])
    with pytest.raises(ValueError, match=r"method=\['rk4'\] is not known"):
        solve(f, Y0, [0, 1], method=["rk4"])


@pytest.mark.parametrize(
    "method", [name for name, tableau in TABLEAUS.items() if tableau.e is not None]
)
def test_longest_and_shortest_step(method):
    """A pulse between long steps is missed, and steps no longer than it see it.

    Without limits nothing changes.
    """
    pulse = lambda t, y: np.exp(-(((t - 5.0) / 0.05) ** 2)) * np.ones(1)
    area = 0.05 * np.sqrt(np.pi)
    seen = solve(pulse, np.zeros(1), [0, 10.0], method=method, rtol=1e-4, atol=1e-6, max_step=0.05)
    assert abs(seen.y[-1, 0] - area) < 1e-4 and seen.stats.accepted >= 200
    times = []
    solve(
        lambda t, y: times.append(t) or -y,
        1.0,
        [0, 1.0],
        method=method,
        max_step=0.03125,
        first_step=0.5,
    )
    assert np.max(np.diff(np.unique(times))) <= 0.03125 + 1e-12
    with pytest.raises(
        SolverError,
        match=r"the error asks for a step below min_step=0.2: the problem is stiff here",
    ):
        solve(lambda t, y: -1000 * (y - np.cos(t)), 0.0, [0, 10.0], method=method, min_step=0.2)
    assert (
        solve(
            lambda t, y: -y, 1.0, [0, 0.1004], method=method, max_step=0.1, first_step=0.1
        ).stats.accepted
        >= 2
    )
    free, limited = (
        solve(f, Y0, [0, END], method=method, **limits).stats
        for limits in ({}, {"min_step": 1e-9, "max_step": 1e9})
    )
    assert (free.nfev, free.accepted) == (limited.nfev, limited.accepted)


def test_limits_that_cannot_be():
    with pytest.raises(ValueError, match=r"min_step=0.2 is larger than max_step=0.1"):
        solve(f, Y0, [0, 1], min_step=0.2, max_step=0.1)
    for wrong in (0.0, -1.0, np.nan, "a"):
        with pytest.raises(
            ValueError,
            match=r"max_step=.* must be a positive number; the direction of time comes from t",
        ):
            solve(f, Y0, [0, 1], max_step=wrong)
    with pytest.raises(
        ValueError, match=r"max_step=0.1 has no meaning where the steps are of fixed size"
    ):
        solve(f, Y0, [0, 1], method="rk4", max_step=0.1)


@pytest.mark.parametrize(
    "options, kind",
    [
        ({}, StepTooSmall),
        ({"method": "bosh3"}, StepTooSmall),
        ({"method": "dop853"}, StepTooSmall),
        ({"method": "heun_euler"}, StepTooSmall),
        ({"max_steps": 20, "method": "tsit5"}, TooManySteps),
        ({"method": "rk4", "step_size": 0.001}, SolverError),
    ],
    ids=str,
)
def test_an_error_carries_the_solution_so_far(options, kind):
    """y' = y^2, y(0) = 1 is 1 / (1 - t), and blows up at 1."""
    with pytest.raises(SolverError) as caught:
        solve(lambda t, y: {"y": y["y"] ** 2}, {"y": np.ones(2)}, [0, 0.25, 0.5, 2.0], **options)
    solution = caught.value.solution
    assert type(caught.value) is kind
    n = len(solution.t) - 1
    assert solution.t[:n].tolist() == [0, 0.25, 0.5][:n] and 0.2 < solution.t[-1] < 1.01
    np.testing.assert_allclose(solution.y["y"][:n, 0], 1 / (1 - solution.t[:n]), rtol=1e-4)
    np.testing.assert_allclose(solution(0.1)["y"], 1 / 0.9, rtol=1e-4)
    with pytest.raises(ValueError, match="lies outside the interval"):
        solution(1.5)


def test_an_error_before_the_first_step_has_no_solution():
    with pytest.raises(SolverError, match="f is not finite at the initial state") as caught:
        solve(lambda t, y: np.full(1, np.nan), np.ones(1), [0, 1])
    assert caught.value.solution is None


def test_tolerances_per_component():
    """A fast oscillation of no interest beside a slow decay can be left out of the norm.

    The solver then follows the decay alone, in a third of the steps.
    """
    f = lambda t, y: np.array([-y[0], 30 * y[2], -30 * y[1]])
    y0, one = np.array([1.0, 1e-3, 0.0]), solve(lambda t, y: -y, np.ones(1), [0, 3.0])
    same = solve(f, y0, [0, 3.0])
    coarse = solve(f, y0, [0, 3.0], atol=[1e-9, 1.0, 1.0], rtol=np.array(1e-6))
    assert coarse.stats.accepted < same.stats.accepted / 3
    assert abs(coarse.y[-1, 0] - np.exp(-3)) < 1e-6 and abs(one.y[-1, 0] - np.exp(-3)) < 1e-6
    np.testing.assert_array_equal(
        solve(f, y0, [0, 3.0], rtol=[1e-6] * 3, atol=np.full(3, 1e-9)).y, same.y
    )
    container = solve(
        lambda t, y: {"a": -y["a"], "b": np.array([30 * y["b"][1], -30 * y["b"][0]])},
        {"a": 1.0, "b": y0[1:]},
        [0, 3.0],
        atol={"a": 1e-9, "b": np.ones(2)},
        rtol={"a": 1e-6, "b": 1e-6},
    )
    np.testing.assert_allclose(container.y["a"], coarse.y[:, 0], rtol=1e-12)
    matrix = solve(
        lambda t, y: -y,
        np.ones((2, 3)),
        [0, 1.0],
        atol=np.full((2, 3), 1e-9),
        rtol=np.full(3, 1e-6),
    )
    np.testing.assert_array_equal(matrix.y, solve(lambda t, y: -y, np.ones((2, 3)), [0, 1.0]).y)


@pytest.mark.parametrize(
    "tolerance, message",
    [
        (
            {"rtol": [1e-6, 1e-6]},
            (
                r"rtol must be one number, or one for each component of y0, in the shape \(or the"
                r" container\) of y0; got"
            ),
        ),
        ({"atol": {"a": 1e-6}}, "atol must be one number, or one for each component"),
        ({"atol": [1e-6, 0.0, 1e-6]}, "atol must be positive in every component"),
        ({"rtol": [1e-6, np.nan, 1e-6]}, "rtol must be positive in every component"),
        ({"atol": "small"}, "atol='small' must be a positive number"),
    ],
)
def test_tolerances_are_refused_by_name(tolerance, message):
    with pytest.raises(ValueError, match=message):
        solve(f, Y0, [0, 1], **tolerance)


def test_a_norm_of_the_users_own():
    """The maximum is stricter than the root mean square, one component alone laxer.

    So are the steps.
    """
    met = []
    largest = solve(f, Y0, [0, END], norm=lambda x: met.append(x.shape) or np.max(np.abs(x)))
    assert set(met) == {(3,)} and largest.stats.accepted > solve(f, Y0, [0, END]).stats.accepted
    seen = solve(
        lambda t, y: {"a": -y["a"], "b": 30 * y["b"]},
        {"a": 1.0, "b": 1.0},
        [0, 1.0],
        norm=lambda x: abs(float(x["a"])),
    )
    assert seen.stats.accepted == solve(lambda t, y: -y, 1.0, [0, 1.0]).stats.accepted
    np.testing.assert_array_equal(
        solve(f, Y0, [0, END], norm=lambda x: np.sqrt(x.dot(x) / 3)).y, solve(f, Y0, [0, END]).y
    )
    for norm in (lambda x: x, lambda x: -1.0, lambda x: None):
        with pytest.raises(
            ValueError, match=r"norm returned .*; it must return a number that is not negative"
        ):
            solve(f, Y0, [0, END], norm=norm)


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "dop853", "bosh3", "kvaerno5", "trbdf2"])
@pytest.mark.parametrize(
    "jump",
    [
        lambda t, y: np.where(t < 1, 1.0, -1.0) * np.ones(1),
        lambda t, y: 1 - 2 * (y > 1) * (t < 5),
        lambda t, y: np.ones(1) * (10.0 if 0.7 < t < 0.9 else 1.0),
    ],
    ids=["in time", "in state", "pulse"],
)
def test_discontinuities_are_rejected_and_passed(method, jump):
    """Whatever the jump, the solve goes on, and is as right as the tolerance.

    It slides along y = 1, too, for a while.
    """
    if jump(0.0, np.full(1, 2.0))[0] == -1:
        with pytest.raises(
            SolverError
            # between two fields that point at each other there is no solution, and the solver says
            # where
        ):
            solve(
                jump,
                np.zeros(1),
                [0, 5.0],
                method=method,
                max_steps=3000,
                jacobian=(lambda t, y: [[0.0]]) if method in IMPLICIT else None,
            )
        return
    solution = solve(jump, np.zeros(1), [0, 2.0], method=method, rtol=1e-6, atol=1e-8, max_step=0.2)
    exact = 0.0 if jump(1.5, np.zeros(1))[0] == -1 else 2 + 9 * 0.2
    assert abs(solution.y[-1, 0] - exact) < 1e-3 and solution.stats.rejected > 0


def test_what_is_not_finite_is_shown():
    """t and y of the first evaluation of f that was not finite."""
    with np.errstate(all="ignore"):
        with pytest.raises(
            SolverError,
            match=r"f is not finite at the initial state: f\(t0, y0\) = \[nan\] at y0 = \[-1\.\]",
        ):
            solve(lambda t, y: np.sqrt(y), np.full(1, -1.0), [0, 1])
        for options in ({}, {"method": "rk4", "step_size": 0.1}):
            with pytest.raises(
                SolverError, match=r"; f is not finite at t = 0\.5\d*, y = \[0\.(5|49)"
            ):
                solve(lambda t, y: 1.0 + 0 * np.sqrt(0.5 - y), np.zeros(1), [0, 1], **options)


@pytest.mark.parametrize("name", DETEST)
def test_detest(name):
    """The 25 problems of DETEST at three tolerances.

    Errors follow the tolerance for every family of methods.
    """
    f, y0, end = DETEST[name]
    # An orbit multiplies errors by the time along it, and by its eccentricity.
    allowed = 3000 if name[0] == "D" else 1000
    for method, tolerances in (
        ("dopri5", (1e-3, 1e-6, 1e-9)),
        ("tsit5", (1e-3, 1e-6, 1e-9)),
        ("dop853", (1e-3, 1e-6, 1e-9)),
        ("bosh3", (1e-3, 1e-5)),
        ("kvaerno5", (1e-3, 1e-5, 1e-7)),
        ("fehlberg45", (1e-3, 1e-6)),
    ):
        errors = [
            np.max(
                np.abs(
                    solve(f, np.array(y0), [0, 20.0], method=method, rtol=tol, atol=tol).y[-1] - end
                )
            )
            for tol in tolerances
        ]
        assert all(error < allowed * tol for error, tol in zip(errors, tolerances)), (
            method,
            errors,
        )
        assert errors[-1] < errors[0] or errors[0] < 1e-6  # smaller tolerance, smaller error


@pytest.mark.parametrize(
    "method",
    [name for name, tableau in TABLEAUS.items() if tableau.e is not None and name != "heun_euler"],
)
def test_the_error_is_proportional_to_the_tolerance(method):
    """Log error against log tolerance has a slope near 1."""
    tolerances = 10.0 ** -np.arange(3, 8 if TABLEAUS[method].order < 4 else 10)
    errors = [
        np.abs(solve(f, Y0, [0, END], method=method, rtol=tol, atol=tol).y[-1] - exact(END)).max()
        for tol in tolerances
    ]
    assert 0.7 < slope(tolerances, errors) < 1.25


@pytest.mark.parametrize(
    "method, tolerance", [("dopri5", 1e-9), ("tsit5", 1e-9), ("dop853", 1e-11), ("kvaerno5", 1e-9)]
)
def test_time_reversed(method, tolerance):
    """There and back again: the pendulum, and Lorenz's system while it is still predictable."""
    lorenz = lambda t, y: np.array(
        [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]]
    )
    for f, y0, T in (
        (lambda t, y: np.array([y[1], -np.sin(y[0])]), np.array([2.0, 0.5]), 20.0),
        (lorenz, np.ones(3), 0.5),
    ):
        there = solve(f, y0, [0, T], method=method, rtol=tolerance, atol=tolerance).y[-1]
        back = solve(f, there, [T, 0], method=method, rtol=tolerance, atol=tolerance).y[-1]
        assert 0 < np.max(np.abs(back - y0)) < 1e5 * tolerance


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "dop853"])
def test_conserved_quantities_over_a_long_run(method):
    """Energy and angular momentum over fifty Kepler orbits of eccentricity 0.5 hardly drift.

    They do so no faster than the tolerance and the time allow.
    """
    kepler = lambda t, y: np.array([y[2], y[3], *(-y[:2] / np.sum(y[:2] ** 2) ** 1.5)])
    y = solve(
        kepler,
        np.array([0.5, 0.0, 0.0, np.sqrt(3.0)]),
        np.linspace(0, 100 * np.pi, 51),
        method=method,
        rtol=1e-9,
        atol=1e-11,
    ).y
    energy = np.sum(y[:, 2:] ** 2, axis=1) / 2 - 1 / np.sqrt(np.sum(y[:, :2] ** 2, axis=1))
    momentum = y[:, 0] * y[:, 3] - y[:, 1] * y[:, 2]
    assert np.max(np.abs(energy + 0.5)) < 1e-6 and np.max(np.abs(momentum - np.sqrt(0.75))) < 1e-6
    assert np.max(np.abs(y[:, 0] - 0.5)) < 1e-3  # every period ends where it began


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rtol": np.array(-1e-6)}, "rtol=-1e-06 must be a positive number"),
        ({"step_size": np.array(-0.1)}, "must be a positive number"),
        ({"max_step": np.array(0.0)}, "must be a positive number"),
        ({"max_steps": np.array(-3)}, "must be a positive number"),
        ({"step_size": np.array([0.1, 0.2])}, "must be a positive number"),
        ({"atol": np.array([1e-6, np.inf, 1e-6])}, "positive in every"),
        ({"first_step": 0.1, "min_step": 0.2}, "min_step=0.2 is larger than first_step=0.1"),
        ({"method": "rk4", "min_step": 0.1}, "min_step=0.1 has no meaning"),
        ({"norm": lambda x: np.nan}, "norm returned nan"),
    ],
)
def test_options_that_are_arrays_or_contradict_each_other(options, message):
    with pytest.raises(ValueError, match=message):
        solve(f, Y0, [0, 1], **options)


def test_min_step_holds_for_accepted_steps():
    times = []
    solve(lambda t, y: times.append(t) or -y, 1.0, [0, 1.0], min_step=0.1)
    assert (
        np.min(
            np.diff(solve(lambda t, y: -y, 1.0, [0, 1.0], min_step=0.1, event=lambda t, y: 1.0).t)
        )
        > 0
    )
    with pytest.raises(StepTooSmall):
        solve(lambda t, y: -50 * (y - np.cos(t)), 0.0, [0, 2.0], rtol=1e-8, min_step=0.1)


def test_the_longest_step_leaves_no_crumb():
    assert (
        solve(
            lambda t, y: -y, 1.0, [0, 1.0], max_step=0.1, first_step=0.1, rtol=1e-3, atol=1e-3
        ).stats.accepted
        == 10
    )


def test_large_and_late_states():
    assert solve(lambda t, y: -y, np.full(2, 1e160), [0, 1.0]).stats.rejected == 0
    late = solve(lambda t, y: 0 * y - 1.0, np.zeros(1), [1e15, 1e15 + 10])
    np.testing.assert_allclose(late.y[-1], -10)


@pytest.mark.parametrize("method", TABLEAUS)
def test_dense_output_of_steps_that_are_not_exact_in_binary(method):
    """At 0.1, where t1 - t is not always h to the last bit, every step has its own stages."""
    solution = solve(f, Y0, (0.0, END), method=method, step_size=0.1)
    inside = np.arange(30) * 0.1 + 0.05
    allowed = {1: 0.2, 2: 5e-3, 3: 5e-4}.get(TABLEAUS[method].order, 5e-5)
    assert np.abs(solution(inside) - exact(inside)).max() < (
        allowed if "gauss" not in method else 5e-4
    )


def test_arrays_of_which_a_part_would_be_lost_are_refused():
    for y0 in (np.ma.array([1.0, 2.0], mask=[False, True]), (np.ones(1), np.ma.array([1.0]))):
        with pytest.raises(
            TypeError, match="y0 is a MaskedArray, of which only the numbers would be used"
        ):
            solve(lambda t, y: y, y0, [0, 1.0])


class Offering:
    """A function that offers a field of flat vectors, as a compiled one does, and counts."""

    def __init__(self, f):
        self.f, self.asked, self.called, self.evaluated = f, 0, 0, 0

    def __call__(self, *args):
        self.called += 1
        return self.f(*args)

    def __tinyode_specialized__(self, leaves, structure, wanted=()):
        self.asked += 1
        state = tree.unflatten(structure, leaves)[1]
        parts, _ = tree.flatten(state)
        cut = tree.cutter(parts)
        value, found = tree.flatten(self.f(*tree.unflatten(structure, leaves)))

        def bind(*others):
            def field(t, y, k):
                self.evaluated += 1
                _, *args = tree.unflatten(structure, [t, *cut(y), *others])[1:]
                dy = self.f(t, tree.unflatten(found, cut(y)), *args)
                k[...] = np.concatenate([np.ravel(part) for part in tree.flatten(dy)[0]])

            return field

        fits = [*map(np.shape, value)] == [*map(np.shape, parts)]
        return Specialized(None, None, found, False, bind if fits else None)


OFFERS = [
    (lambda t, y, w: -w * y + t, np.array([1.0, 2.0]), (0.5,)),
    (lambda t, y, w: -w["a"] * y, np.ones((2, 3)), ({"a": 0.5},)),
    (lambda t, y: -t * y, 1.0, ()),
    (lambda t, y: [-y[0] + t], [np.ones((2, 2))], ()),
    (lambda t, y: {"a": -sum(y["b"]), "b": y["a"] * np.ones(2)}, {"a": 1.0, "b": np.ones(2)}, ()),
]


@pytest.mark.parametrize(("f", "y0", "args"), OFFERS)
@pytest.mark.parametrize("method", ["dopri5", "rk4", "kvaerno5"])
def test_what_f_offers_is_asked_for_once_and_then_taken(f, y0, args, method):
    offering, times = Offering(f), [0.0, 0.3, 1.0]
    found, plain = [solve(g, y0, times, *args, method=method) for g in (offering, f)]
    assert offering.asked == 1
    n = sum([np.size(leaf) for leaf in tree.flatten(y0)[0]])
    assert offering.evaluated == found.stats.nfev + (n + 1) * found.stats.jacobians
    assert offering.called == 0
    for a, b in zip(tree.flatten(found.y)[0], tree.flatten(plain.y)[0]):
        np.testing.assert_array_equal(a, b)


def test_an_offer_of_another_structure_is_not_taken():
    """A list where y is an array: what f itself returns is looked at, and said to be wrong."""
    offering = Offering(lambda t, y: [-y[0], -y[1]])
    assert solve(offering, np.ones(2), [0.0, 1.0]).y[-1] == pytest.approx(np.exp(-1) * np.ones(2))
    assert offering.evaluated == 0 < offering.called
    with pytest.raises(ValueError, match=r"f returned an array of shape \(1,\)"):
        solve(Offering(lambda t, y: y[:1]), np.ones(2), [0.0, 1.0])
