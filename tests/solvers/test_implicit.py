"""Implicit methods: stiff problems, what they conserve and count, how Newton's method fails."""

import numpy as np
import pytest
from stiff import PROBLEMS, robertson, van_der_pol

from tinyode import grad, jacobian, odeint, solve
from tinyode.solvers import NewtonFailed, SolverError, TooManySteps
from tinyode.solvers.implicit import blocks
from tinyode.solvers.tableaus import TABLEAUS, find

IMPLICIT = [name for name, tableau in TABLEAUS.items() if tableau.implicit]
ADAPTIVE = [name for name in IMPLICIT if find(name).e is not None]


def pendulum(t, y):
    return np.array([y[1], -np.sin(y[0])])


def energy(y):
    return y[..., 1] ** 2 / 2 - np.cos(y[..., 0])


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize(
    "name, size",
    [("robertson", [1.0, 1e-5, 1.0]), ("van_der_pol", 1e-3), ("hires", 1e-3), ("oregonator", 1.0)],
)
def test_stiff_problems(method, name, size):
    """The relative error falls with the tolerance on four stiff problems.

    They are Robertson's to t = 1e11, van der Pol's with mu = 1000, HIRES and the Oregonator.
    """
    f, y0, times, states = PROBLEMS[name]
    for rtol in {"trbdf2": (1e-3, 1e-4), "kvaerno3": (1e-4, 1e-5)}.get(method, (1e-4, 1e-6)):
        y = np.array(y0)
        for start, end, state in zip(
            times, times[1:], states
        ):  # the ends of steps, not the dense output
            solution = solve(
                f, y, [start, end], method=method, rtol=rtol, atol=1e-4 * rtol * np.array(size)
            )
            y = solution.y[-1]
            assert (
                solution.stats.accepted < 4000
                and solution.stats.jacobians < solution.stats.accepted
            )
            if end < 1e11:  # where two components have fallen to 1e-8 and 1e-14
                assert np.max(np.abs(y / state - 1)) < 30 * rtol
        assert np.max(np.abs(y - state)) < 30 * rtol * np.max(np.abs(state))


def test_the_error_of_trbdf2_is_proportional_to_the_tolerance_on_a_stiff_problem():
    """On HIRES error / rtol is nearly the same at each rtol.

    With Hosea and Shampine's estimate, which is of the size of the error of a step, h^3, it was
    proportional to rtol^(-1/3).
    """
    f, y0, times, states = PROBLEMS["hires"]
    relative = []
    for rtol in (1e-2, 1e-3, 1e-4, 1e-5):
        y = solve(f, np.array(y0), times, method="trbdf2", rtol=rtol, atol=1e-6 * rtol).y[-1]
        relative.append(np.max(np.abs(y / states[0] - 1)) / rtol)
    assert max(relative) < 2 * min(relative)


@pytest.mark.parametrize(
    "method",
    ["implicit_euler", "sdirk2", "radau_iia3", "radau_iia5", "trbdf2", "kvaerno3", "kvaerno5"],
)
def test_fixed_steps_on_a_stiff_problem(method):
    """Robertson's problem in 200 steps, one per interval of t.

    The last are a thousand times as long as an explicit method could take.
    """
    f, y0, _, states = PROBLEMS["robertson"]
    t = np.append(0, np.geomspace(1e-5, 40.0, 200))
    solution = solve(f, np.array(y0), t, method=method, step_size=100.0)
    assert np.max(np.abs(solution.y[-1] / states[0] - 1)) < {1: 0.02, 2: 1e-3}.get(
        find(method).order, 1e-5
    )
    assert solution.stats.accepted == 200
    with pytest.raises(SolverError), np.errstate(all="ignore"):
        solve(f, np.array(y0), t, method="rk4")


def test_newtons_method_with_a_jacobian_in_every_iteration():
    """Robertson's problem from its start, where the simplified method fails.

    The Jacobian there knows nothing of what comes.
    """
    f, y0, _, _ = PROBLEMS["robertson"]
    solution = solve(f, np.array(y0), [0, 0.25], method="implicit_euler")
    np.testing.assert_allclose(solution.y[-1] - y0, 0.25 * f(0.25, solution.y[-1]), atol=1e-13)
    assert (solution.y[-1] > 0).all() and solution.stats.jacobians > 3


def test_an_explicit_method_gives_up_with_the_right_advice():
    f, y0, _, _ = PROBLEMS["van_der_pol"]
    with pytest.raises(TooManySteps, match=r"is the problem stiff \(try method='radau_iia5'\)"):
        solve(f, np.array(y0), [0, 2000.0], max_steps=1000)


@pytest.mark.parametrize(
    "method",
    [
        name
        for name in IMPLICIT
        if name not in ("implicit_midpoint", "trapezoid") and "gauss" not in name
    ],
)
def test_L_stable_methods_damp_at_once(method):
    """The Prothero-Robinson problem, off its solution by 1, in steps of 0.1.

    It is y' = -1e6 (y - cos t) - sin t.
    """
    y = solve(
        lambda t, y: -1e6 * (y - np.cos(t)) - np.sin(t), 2.0, [0, 2.0], method=method, step_size=0.1
    ).y[-1]
    assert abs(y - np.cos(2.0)) < 1e-5


@pytest.mark.parametrize("method", ["implicit_midpoint", "gauss_legendre4", "gauss_legendre6"])
def test_gauss_methods_conserve_quadratic_invariants(method):
    """The length of y' = y x w over 2000 long steps is kept to rounding.

    Explicit methods and Radau's lose it (HNW, Theorem IV.2.2 of HLW).
    """
    rigid = lambda t, y: np.array([y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]])
    drift = lambda method: abs(
        np.sum(
            solve(rigid, np.array([0, 1.0, 1.0]), [0, 400.0], method=method, step_size=0.2).y[-1][
                :2
            ]
            ** 2
        )
        - 1
    )
    assert drift(method) < 1e-11
    assert drift("rk4") > 1e-5 and drift("radau_iia3") > 1e-4


@pytest.mark.parametrize(
    "method", ["implicit_midpoint", "trapezoid", "gauss_legendre4", "gauss_legendre6"]
)
def test_symmetric_methods_return_to_where_they_began(method):
    y0 = np.array([2.0, 0.3])
    there = solve(pendulum, y0, [0, 20.0], method=method, step_size=0.2).y[-1]
    np.testing.assert_allclose(
        solve(pendulum, there, [20.0, 0], method=method, step_size=0.2).y[-1], y0, atol=1e-11
    )
    other = solve(pendulum, y0, [0, 20.0], method="sdirk2", step_size=0.2).y[-1]
    assert (
        np.max(np.abs(solve(pendulum, other, [20.0, 0], method="sdirk2", step_size=0.2).y[-1] - y0))
        > 1e-3
    )


def test_the_energy_of_a_symplectic_method_does_not_drift():
    y = solve(
        pendulum,
        np.array([2.0, 0.0]),
        np.linspace(0, 1000, 11),
        method="gauss_legendre4",
        step_size=0.2,
    ).y
    errors = np.abs(energy(y) - energy(y[0]))
    assert errors.max() < 2e-5 and errors[-1] < 2e-5
    assert (
        abs(
            energy(
                solve(pendulum, np.array([2.0, 0.0]), [0, 1000.0], method="rk4", step_size=0.2).y[
                    -1
                ]
            )
            - energy(y[0])
        )
        > 1e-3
    )


def test_blocks():
    """Which stages are solved for together."""
    shape = lambda name: [
        (b.first, b.stop, None if b.eigenvalues is None else len(b.eigenvalues))
        for b in blocks(find(name).a)
    ]
    assert shape("rk4") == [(i, i + 1, None) for i in range(4)]
    assert shape("trbdf2") == [(0, 1, None), (1, 2, 1), (2, 3, 1)]
    assert shape("radau_iia5") == [(0, 1, None), (1, 4, 2)]  # a real eigenvalue, and a pair
    mixed = np.array([[0.5, 0, 0], [0.1, 0.2, 0.3], [0.1, -0.4, 0.2]])
    assert [(b.first, b.stop, len(b.eigenvalues)) for b in blocks(mixed)] == [(0, 1, 1), (1, 3, 1)]


@pytest.mark.parametrize("method", IMPLICIT)
def test_a_linear_problem_needs_one_jacobian(method):
    A = np.array([[-3.0, 1.0, 0.0], [1.0, -2.0, 1.0], [0.0, 1.0, -100.0]])
    stats = solve(lambda t, y: A @ y, np.ones(3), [0, 1.0], method=method, step_size=0.1).stats
    assert stats.jacobians == 1 and stats.factorisations == {
        "gauss_legendre6": 2,
        "radau_iia5": 2,
    }.get(method, 1)
    assert stats.accepted == 10 and stats.rejected == stats.newton_failures == 0


@pytest.mark.parametrize("method", IMPLICIT)
def test_a_jacobian_of_the_users_own(method):
    """It is used as the engine's is, of any shape that has as many elements.

    f need not be differentiable then.
    """
    f, y0, _, _ = PROBLEMS["oregonator"]
    by_hand, calls = jacobian(f, 1), []

    def counted(t, y, k):
        calls.append(t)
        assert k == 2.0
        return by_hand(t, y)

    options = {
        "method": method,
        "step_size": None if find(method).e is not None else 0.05,
        "rtol": 1e-5,
    }
    own = solve(
        lambda t, y, k: np.array([float(x) for x in f(t, y)]),
        np.array(y0),
        [0, 3.0],
        2.0,
        jacobian=counted,
        **options,
    )
    ours = solve(f, np.array(y0), [0, 3.0], **options)
    np.testing.assert_allclose(own.y, ours.y, rtol=1e-5)
    assert own.stats.jacobians == len(calls)
    assert own.stats.nfev < 1.05 * ours.stats.nfev < 1.1 * own.stats.nfev
    both = solve(
        lambda t, y: {
            "a": f(t, np.array([*y["a"], y["b"]]))[:2],
            "b": f(t, np.array([*y["a"], y["b"]]))[2],
        },
        {"a": np.array(y0[:2]), "b": y0[2]},
        [0, 3.0],
        **options,
    )
    np.testing.assert_allclose(both.y["a"], ours.y[:, :2], rtol=1e-6)


def test_jacobians_are_refused_by_name():
    with pytest.raises(
        ValueError, match=r"jacobian has no meaning for method='dopri5', which is explicit"
    ):
        solve(lambda t, y: -y, np.ones(2), [0, 1], jacobian=lambda t, y: -np.eye(2))
    with pytest.raises(
        ValueError,
        match=(
            r"jacobian returned array\(.*\); it must return df/dy, real numbers of shape \(2, 2\)"
        ),
    ):
        solve(
            lambda t, y: -y,
            np.ones(2),
            [0, 1],
            method="kvaerno3",
            jacobian=lambda t, y: -np.ones(2),
        )
    with (
        pytest.raises(SolverError, match="the Jacobian df/dy is not finite at y"),
        np.errstate(all="ignore"),
    ):
        infinite = lambda t, y: np.array([[-0.5 / np.sqrt(y[0])]])
        solve(lambda t, y: -np.sqrt(y), np.zeros(1), [0, 1], method="kvaerno3", jacobian=infinite)


def test_a_wrong_jacobian_costs_steps_and_not_accuracy():
    f, y0, _, _ = PROBLEMS["hires"]
    right = solve(f, np.array(y0), [0, 5.0], method="kvaerno5", rtol=1e-8)
    wrong = solve(
        f,
        np.array(y0),
        [0, 5.0],
        method="kvaerno5",
        rtol=1e-8,
        jacobian=lambda t, y: 0.5 * jacobian(f, 1)(t, y),
    )
    np.testing.assert_allclose(wrong.y[-1], right.y[-1], rtol=1e-5)
    assert wrong.stats.nfev > right.stats.nfev


def test_newtons_method_failing_says_so():
    # Y = 1 + 2.5 (1 + Y^2) has no real solution.
    unsolvable = lambda t, y: np.array([10 * (1 + y[0] ** 2)])
    with pytest.raises(
        NewtonFailed,
        match="Newton's method did not solve the equations of this step; try a smaller step_size",
    ) as caught:
        solve(unsolvable, np.ones(1), [0, 1.0], method="implicit_midpoint", step_size=0.5)
    assert caught.value.t == 0.0 and caught.value.h == 0.5
    with (
        pytest.raises(NewtonFailed, match=r"f is not finite at t = 1.0, y = \[2.46"),
        np.errstate(all="ignore"),
    ):
        solve(lambda t, y: np.log(2 - y) + 3, np.zeros(1), [0, 1.0, 2.0], method="implicit_euler")
    stats = solve(
        lambda t, y: np.array([y[1], 1e6 * (np.tanh(1e3 * (1 - y[0])) - y[1])]),
        np.zeros(2),
        [0, 2.0],
        method="kvaerno3",
    ).stats
    assert stats.newton_failures > 0
    with (
        pytest.raises(NewtonFailed, match=r"however small the step; is f smooth\?") as caught,
        np.errstate(all="ignore"),
    ):
        solve(
            lambda t, y: np.where(y > 0.5, np.nan, 1.0) * np.ones(1),
            np.zeros(1),
            [0, 2.0],
            method="kvaerno5",
        )
    np.testing.assert_allclose(caught.value.solution.y[-1], 0.5, atol=0.1)


@pytest.mark.parametrize("method", IMPLICIT)
def test_float32_and_scalars(method):
    y = solve(
        lambda t, y: -50 * (y - np.cos(t)), np.float32(1.0), [0, 1.0], method=method, step_size=0.05
    )
    assert y.y.dtype == np.float32 and abs(y.y[-1] - np.cos(1)) < 0.05


def test_closures_over_differentiated_values_are_found():
    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(lambda k: solve(lambda t, y: -k * y, 1.0, [0, 1], method="kvaerno3").y[-1])(1.0)


def test_quadratures_of_the_adjoint():
    """The gradient through a stiff problem, with an implicit method both ways.

    It is y' = -k (y - cos t), whose end is nearly cos(1).
    """
    f = lambda t, y, k: -k * (y - np.cos(t))
    end = lambda k, method: odeint(f, 0.0, [0, 1.0], k, method=method, rtol=1e-6, atol=1e-8)[-1]
    k = 15.0
    exact = lambda k: (k * k * np.cos(1) + k * np.sin(1) - k * k * np.exp(-k)) / (1 + k * k)
    for method in ADAPTIVE:
        assert abs(end(k, method) - exact(k)) < 1e-5
        with pytest.warns(
            RuntimeWarning, match="the state at t = 0.0 is off by"
        ):  # errors of z grow by exp(15) on the way back
            slope = grad(end)(k, method)
        assert abs(slope - (exact(k + 1e-2) - exact(k - 1e-2)) / 2e-2) < 1e-4 * abs(slope)


def test_robertson_conserves_mass_and_van_der_pol_jumps():
    y = solve(robertson, np.array([1.0, 0, 0]), [0, 1e11], method="kvaerno5", atol=1e-16).y[-1]
    assert abs(y.sum() - 1) < 1e-12 and (y >= 0).all()
    solution = solve(
        van_der_pol, np.array([2.0, 0]), [0, 2000.0], method="kvaerno5", event=lambda t, y: y[0]
    )
    np.testing.assert_allclose(solution.event.t, [807.08, 1614.29], atol=0.02)


@pytest.mark.parametrize("method", [name for name in IMPLICIT if name not in ADAPTIVE])
@pytest.mark.parametrize("size", [1e-20, 1e-8, 1e20])
def test_fixed_steps_know_no_scale(method, size):
    """y' = -y^2 / s from s is s / (1 + t) for every s; its numbers, too, are s times the same."""
    end = lambda s: (
        solve(lambda t, y: -y * y / s, np.full(1, s), [0, 2.0], method=method, step_size=0.5).y[
            -1, 0
        ]
        / s
    )
    np.testing.assert_allclose(end(size), end(1.0), rtol=1e-13)


@pytest.mark.parametrize("method", IMPLICIT)
@pytest.mark.parametrize("h", [0.02, 0.01, 0.005])
def test_at_fixed_steps_the_equations_are_solved_to_rounding(method, h):
    """In every step the equations are solved to rounding.

    With the stages of the dense output, so are y1 - y - h sum b k, and k - f(Y).
    """
    from tinyode.solvers.jacobian import flat_jacobian
    from tinyode.solvers.options import Options, Stats
    from tinyode.solvers.solve import steps
    from tinyode.solvers.state import flat_field
    from tinyode.tree import LEAF

    tableau, y0 = find(method), np.array([1.0, 0.0])
    field, options = flat_field(pendulum, [y0], LEAF, ()), Options(method, step_size=h)
    J = flat_jacobian(field, pendulum, [y0], LEAF, (), options)
    walk = steps(field, y0, [0.0, 20.0], options, Stats(), jacobian=J)
    worst = max(
        np.max(np.abs(k - pendulum(0, step.y + step.h * row @ step.K)))
        for step in walk
        for k, row in zip(step.K, tableau.a)
        if row.any()  # the first stage of radau_iia5 is the last one of the step before
    )
    assert h * worst < 50 * np.finfo(float).eps


def test_newtons_method_does_not_heed_a_tiny_rtol_or_a_lax_norm():
    f = lambda t, y: np.array([y[1], 5 * (1 - y[0] ** 2) * y[1] - y[0]])
    reference = solve(f, np.array([2.0, 0]), [0, 10.0], method="dop853", rtol=1e-12, atol=1e-12).y[
        -1
    ]
    for options in ({"rtol": 1e-20, "atol": 1e-6}, {"rtol": np.array([1e-20, 1e-6]), "atol": 1e-6}):
        assert (
            np.max(
                np.abs(
                    solve(f, np.array([2.0, 0]), [0, 10.0], method="kvaerno5", **options).y[-1]
                    - reference
                )
            )
            < 2e-5
        )
    slaved = lambda t, y: np.array([-y[0] + y[1], -1e3 * (y[1] ** 3 - np.cos(t) ** 3)])
    exact = solve(
        slaved, np.array([0.0, 1.0]), [0, 1.4], method="kvaerno5", rtol=1e-10, atol=1e-12
    ).y[-1]
    lax = solve(
        slaved, np.array([0.0, 1.0]), [0, 1.4], method="kvaerno5", norm=lambda x: 0.0, max_step=0.05
    ).y[-1]
    np.testing.assert_allclose(lax, exact, atol=1e-3)


def test_what_the_stiff_problems_cost():
    """A third more than measured is allowed.

    A Jacobian that is not kept, a guess or an inverse that is lost, shows here.
    """
    for name, method, nfev, jacobians, factorisations in (
        ("robertson", "kvaerno5", 2692, 37, 118),
        ("van_der_pol", "kvaerno5", 7849, 85, 311),
        ("hires", "kvaerno3", 4253, 34, 165),
        ("oregonator", "trbdf2", 16452, 141, 2002),
        ("robertson", "radau_iia5", 3009, 34, 334),
        ("van_der_pol", "radau_iia5", 7389, 84, 1192),
        ("oregonator", "radau_iia5", 8673, 177, 1444),
    ):
        f, y0, times, _ = PROBLEMS[name]
        size = np.array([1e-4, 1e-8, 1e-4]) if name == "robertson" else 1e-3
        rtol = 1e-4 if method == "trbdf2" else 1e-6
        stats = solve(f, np.array(y0), times, method=method, rtol=rtol, atol=rtol * size).stats
        assert (
            stats.nfev < 1.33 * nfev
            and stats.jacobians < 1.33 * jacobians
            and stats.factorisations < 1.33 * factorisations
        )


def test_the_estimates_of_kvaernos_methods_are_his():
    """The solution compared with is that of the stage before the last."""
    for name in ("kvaerno3", "kvaerno5"):
        tableau = find(name)
        np.testing.assert_allclose(tableau.b - tableau.e, tableau.a[-2], atol=1e-15)


def test_min_step_holds_for_newtons_failures_too():
    with pytest.raises(NewtonFailed, match=r"min_step=0.05"), np.errstate(all="ignore"):
        solve(
            lambda t, y: np.where(t > 1, np.nan, 1.0) * np.ones(1),
            np.zeros(1),
            [0, 2.0],
            method="kvaerno3",
            min_step=0.05,
        )
    with np.errstate(all="ignore"), pytest.raises(TooManySteps) as caught:
        solve(
            lambda t, y: np.where(y > 0.5, np.nan, 1.0) * np.ones(1),
            np.zeros(1),
            [0, 2.0],
            method="kvaerno5",
            max_steps=30,
        )
    stats = caught.value.solution.stats
    assert stats.accepted + stats.rejected + stats.newton_failures == 30


def test_functions_are_asked_for_by_name():
    for options, message in (
        ({"jacobian": np.eye(2)}, "jacobian must be a function, lambda t, y: J"),
        ({"norm": 2}, "norm must be a function"),
    ):
        with pytest.raises(TypeError, match=message):
            solve(lambda t, y: -y, np.ones(2), [0, 1], method="kvaerno3", **options)
    with pytest.raises(TypeError, match="f must be a function"):
        solve(3, np.ones(2), [0, 1])
    with pytest.raises(ValueError, match="norm has no meaning where the steps are of fixed size"):
        solve(lambda t, y: -y, np.ones(2), [0, 1], method="rk4", norm=np.max)

    def in_place(t, y):
        dy = np.zeros(1)
        dy[0] = -y[0]
        return dy

    y = solve(in_place, np.ones(1), [0, 1], method="kvaerno3").y[-1]
    np.testing.assert_allclose(y, np.exp(-1), rtol=1e-5)
    np.testing.assert_allclose(solve(lambda t, y: 1, 1.0, [0, 1], method="kvaerno3").y[-1], 2.0)
