"""odeint by the adjoint, on drawn problems.

It is held against finite differences, closed forms, and a plain loop that the engine records.
"""

import functools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from tinyode import (
    SolverError,
    grad,
    hessian,
    jacobian,
    jvp,
    nn,
    odeint,
    solve,
    stop_gradient,
    tree,
    value_and_grad,
    vjp,
)
from tinyode.testing import central_difference, check_odeint, check_vjp, inner, random_like

accurate = functools.partial(odeint, rtol=1e-11, atol=1e-12)
init, apply = nn.mlp(3, 5, 2)


def field(t, y, parameters):
    return apply(parameters, np.concatenate([y, [np.sin(t)]]))


def rk4_loop(f, y, t, *args, n=8):
    """A solver as a student writes it, a plain loop in NumPy, differentiated by recording it."""
    ys = [y]
    for i in range(len(t) - 1):
        h = (t[i + 1] - t[i]) / n
        for j in range(n):
            s = t[i] + j * h
            k1 = f(s, y, *args)
            k2 = f(s + h / 2, y + h / 2 * k1, *args)
            k3 = f(s + h / 2, y + h / 2 * k2, *args)
            k4 = f(s + h, y + h * k3, *args)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        ys.append(y)
    return np.stack(ys)


@st.composite
def problems(draw):
    """Draw (y0, t, parameters, weights of the loss at each time), forwards or backwards in time."""
    rng = np.random.default_rng(draw(seeds))
    t = np.cumsum(rng.uniform(0.2, 0.8, draw(st.integers(2, 5)))) - 1.0
    t = t[::-1].copy() if draw(st.booleans()) else t
    parameters = tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape), init(rng))
    return rng.normal(size=2), t, parameters, rng.normal(size=(len(t), 2))


@given(problems(), seeds)
def test_G_alg2_adjoint_against_finite_differences(problem, seed):
    """Algorithm 2 (G-alg2, N-pseudo) has the gradients for y0, t and every parameter.

    The loss is one at many times (P4 to P7, G33 to G37, N6, N7).
    """
    y0, t, parameters, w = problem
    primals = (y0, t, parameters)
    loss = lambda y0, t, parameters: np.sum(w * accurate(field, y0, t, parameters))
    v = random_like(np.random.default_rng(seed), primals)
    expected = float(central_difference(loss, primals, v, h=1e-3))
    assert abs(inner(grad(loss, (0, 1, 2))(*primals), v) - expected) < 1e-7 * (1 + abs(expected))


@given(problems())
def test_adjoint_against_recording_a_plain_loop(problem):
    """The tape through a solver and the adjoint equation share nothing but the rules."""
    y0, t, parameters, w = problem
    recorded = grad(lambda *p: np.sum(w * rk4_loop(field, p[0], p[1], p[2], n=40)), (0, 1, 2))(
        y0, t, parameters
    )
    adjoint = grad(lambda *p: np.sum(w * accurate(field, *p)), (0, 1, 2))(y0, t, parameters)
    for a, b in zip(tree.flatten(recorded)[0], tree.flatten(adjoint)[0]):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@given(seeds, st.sampled_from([1.0, -1.0]))
def test_P4_P5_P6_P7_closed_form_of_a_linear_field(seed, direction):
    """z' = A z has a(t) = exp(A^T (T - t)) w.

    dL/dA = int exp(A^T (T - t)) w z(t)^T dt, here for diagonal A; dL/dT = w A z(T).
    """
    rng = np.random.default_rng(seed)
    rates, z0, w = rng.normal(size=3), rng.normal(size=3), rng.normal(size=3)
    T = direction * rng.uniform(0.3, 1.5)
    loss = lambda z0, t, rates: np.sum(w * accurate(lambda t, z, r: r * z, z0, t, rates)[-1])
    gz, gt, gr = grad(loss, (0, 1, 2))(z0, np.array([0.0, T]), rates)
    end = np.exp(rates * T)
    np.testing.assert_allclose(gz, w * end, rtol=1e-8)
    np.testing.assert_allclose(gr, w * T * end * z0, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        gt, [-np.sum(w * rates * end * z0), np.sum(w * rates * end * z0)], rtol=1e-8, atol=1e-10
    )


def test_P7_dL_dt0_without_integrating_it():
    """Algorithm 2 integrates a_t from -dL/dt1.

    The code takes -a(t0) f(z(t0), t0) instead. The two are equal.
    """
    f = lambda t, z: np.array([np.sin(3 * t) * z[1], -z[0] + t])
    z0, t0, t1, w = np.array([1.0, 0.5]), 0.2, 1.7, np.array([0.3, -1.0])
    z1 = solve(f, z0, [t0, t1], rtol=1e-12, atol=1e-13).y[-1]

    def aug_dynamics(t, s):
        z, a, _ = s
        value, pullback = vjp(f, np.float64(t), z)
        df_dt, df_dz = pullback(-a)
        return value, df_dz, df_dt

    integrated = solve(aug_dynamics, (z1, w, -w @ f(t1, z1)), [t1, t0], rtol=1e-12, atol=1e-13).y[
        2
    ][-1]
    taken = grad(lambda t: np.sum(w * accurate(f, z0, t)[-1]))(np.array([t0, t1]))[0]
    assert abs(integrated - taken) < 1e-10


@pytest.mark.parametrize(
    "method, step_size",
    [
        ("euler", 2e-4),
        ("midpoint", 1e-2),
        ("heun", 1e-2),
        ("rk4", 5e-2),
        ("dopri5", 1e-1),
        ("dopri5", None),
        ("ralston", 1e-2),
        ("rk4_38", 5e-2),
        ("heun_euler", None),
        ("bosh3", None),
        ("fehlberg45", None),
        ("tsit5", None),
        ("dop853", None),
    ],
)
def test_every_method(method, step_size):
    y0, parameters = np.array([0.5, -1.0]), init(np.random.default_rng(0))
    t, w = np.array([0.0, 0.4, 1.0]), np.array([[1.0, 2.0], [0.5, 0.3], [-1.0, 1.0]])
    gradient = grad(
        lambda *p: np.sum(w * odeint(field, *p, method=method, step_size=step_size)), (0, 1, 2)
    )(y0, t, parameters)
    reference = grad(lambda *p: np.sum(w * accurate(field, *p)), (0, 1, 2))(y0, t, parameters)
    for a, b in zip(tree.flatten(gradient)[0], tree.flatten(reference)[0]):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_the_backward_solve_has_its_own_settings():
    y0, t = np.array([1.0, 0.0]), np.array([0.0, 3.0])
    f = lambda t, z, k: np.array([z[1], -k * z[0]])
    loss = lambda k, **options: odeint(f, y0, t, k, rtol=1e-11, atol=1e-12, **options)[-1, 0]
    exact = -1.5 * np.sin(3.0)
    errors = [
        abs(grad(functools.partial(loss, adjoint_rtol=tol, adjoint_atol=tol))(1.0) - exact)
        for tol in (1e-3, 1e-6, 1e-9)
    ]
    # P-tol: tolerance counts on both passes
    assert errors[0] > 10 * errors[1] > 100 * errors[2] and errors[2] < 1e-8
    fixed = lambda k: odeint(
        f,
        y0,
        t,
        k,
        method="rk4",
        step_size=0.05,
        adjoint_method="dopri5",
        adjoint_rtol=1e-10,
        adjoint_atol=1e-12,
    )[-1, 0]
    assert abs(grad(fixed)(1.0) - exact) < 1e-4
    with pytest.warns(RuntimeWarning, match="of the state at t = 0.0 is off by"):
        assert (
            abs(
                grad(functools.partial(loss, method="rk4", step_size=0.5, adjoint_method="euler"))(
                    1.0
                )
                - exact
            )
            > 0.1
        )


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_the_gradient_is_as_linear_in_the_loss_as_the_loss(size):
    """A loss a billion times smaller has a gradient a billion times smaller.

    It has the same relative accuracy.
    """
    f = lambda t, y: np.array([-y[0], 10 * np.cos(20 * t) * y[1]])
    slope = grad(lambda y0: size * odeint(f, y0, [0, 3.0])[-1, 1])(np.array([1.0, 0.0]))[1] / size
    np.testing.assert_allclose(slope, np.exp(0.5 * np.sin(60.0)), rtol=1e-5)


def test_a_gradient_that_only_the_quadrature_sees():
    """At k = 0 neither z nor a moves.

    The gradient is the integral of sin 50 t, and must be resolved all the same.
    """
    f = lambda t, y, k: k * np.sin(50 * t) * np.ones(1)
    slope = grad(lambda k: odeint(f, np.zeros(1), [0, 1.5], k)[-1, 0])(0.0)
    np.testing.assert_allclose(slope, (1 - np.cos(75)) / 50, rtol=1e-3)


def test_errors_of_the_backward_solve_say_so():
    with pytest.raises(SolverError, match="in the backward solve of the adjoint"):
        grad(lambda y0: odeint(lambda t, y: -1000 * y, y0, [0, 1.0])[-1])(1.0)
    with (
        pytest.raises(
            ValueError, match="gradient of the loss with respect to the solution is not finite"
        ),
        np.errstate(divide="ignore"),
    ):
        grad(lambda y0: np.sqrt(odeint(lambda t, y: -y, y0, [0, 1.0])[-1]))(0.0)
    with pytest.raises(SolverError, match="not finite"), np.errstate(all="ignore"):  # not a NaN
        grad(lambda k: odeint(lambda t, y, k: np.sqrt(k * t) * y, np.ones(1), [0, 1.0], k)[-1, 0])(
            1.0
        )


def test_containers_as_state_and_as_parameters():
    y0 = {"q": np.array([1.0, 0.5]), "p": (np.array([[0.0], [0.2]]), 0.3)}
    args = ({"k": 1.3, "names": ["a", 3]}, [np.array([0.1, 0.2])])

    def f(t, y, p, c):
        assert p["names"] == ["a", 3]  # what is not floating passes through untouched
        q, (v, s) = y["q"], y["p"]
        return {"q": v[:, 0] + c[0], "p": (-p["k"] * q[:, None], s * np.sum(q) * np.cos(t))}

    t = np.array([0.0, 0.5, 1.2])
    rng = np.random.default_rng(0)
    value, pullback = vjp(
        lambda y0, t, k, c: accurate(f, y0, t, {"k": k, "names": ["a", 3]}, [c]),
        y0,
        t,
        1.3,
        args[1][0],
    )
    assert (
        value["q"].shape == (3, 2)
        and value["p"][0].shape == (3, 2, 1)
        and value["p"][1].shape == (3,)
    )
    cotangents = pullback(random_like(rng, value))
    assert tree.map(np.shape, cotangents[0]) == tree.map(np.shape, y0)
    check_vjp(
        lambda y0, t, k, c: accurate(f, y0, t, {"k": k, "names": ["a", 3]}, [c]),
        y0,
        t,
        1.3,
        args[1][0],
        rtol=1e-6,
    )


def test_second_and_third_derivatives_of_a_closed_form():
    """y' = -k y^2: y(2) = 1 / (1 + 2 k)."""
    end = lambda k: accurate(lambda t, y, k: -k * y * y, 1.0, [0.0, 2.0], k)[-1]
    k = 0.5
    np.testing.assert_allclose(grad(end)(k), -2 / (1 + 2 * k) ** 2, rtol=1e-8)
    np.testing.assert_allclose(grad(grad(end))(k), 8 / (1 + 2 * k) ** 3, rtol=1e-8)
    np.testing.assert_allclose(grad(grad(grad(end)))(k), -48 / (1 + 2 * k) ** 4, rtol=1e-7)


def test_second_derivatives_in_time():
    """y' = -t y: y(T) = exp(-T^2 / 2)."""
    end = lambda T: accurate(lambda t, y: -t * y, 1.0, [0.0 * T, T])[-1]
    np.testing.assert_allclose(
        grad(grad(end))(1.5), (1.5**2 - 1) * np.exp(-(1.5**2) / 2), rtol=1e-8
    )


@settings(max_examples=5)
@given(problems())
def test_hessian_vector_products(problem):
    y0, t, parameters, w = problem
    gradient = grad(lambda y0: np.sum(w * accurate(field, y0, t, parameters)))
    v = np.array([1.0, -0.5])
    expected = central_difference(gradient, (y0,), (v,), h=1e-3)
    np.testing.assert_allclose(
        grad(lambda y0: gradient(y0) @ v)(y0), expected, rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(jvp(gradient, (y0,), (v,))[1], expected, rtol=1e-6, atol=1e-7)


def test_mixed_second_derivatives_in_parameters_and_time():
    f = lambda t, y, k: np.array([y[1], -k * np.sin(y[0]) * np.cos(t)])
    loss = lambda p: np.sum(accurate(f, p[:2], [0.1, p[3]], p[2])[-1] ** 2)
    p = np.array([0.5, -0.2, 1.7, 0.9])
    H = hessian(loss)(p)
    expected = np.stack([central_difference(grad(loss), (p,), (v,), h=1e-3) for v in np.eye(4)])
    np.testing.assert_allclose(H, H.T, atol=1e-7)
    np.testing.assert_allclose(H, expected, atol=1e-6)


def test_a_gradient_inside_the_field():
    """A Hamiltonian system: f itself takes a gradient, under the solver, under the adjoint."""

    def f(t, z, k):
        dq, dp = grad(lambda z: 0.5 * z[1] ** 2 + k * (1 - np.cos(z[0])))(z)
        return np.array([dp, -dq])

    loss = lambda k: accurate(f, np.array([1.0, 0.0]), [0.0, 2.0], k)[-1, 0]
    plain = lambda k: accurate(
        lambda t, z, k: np.array([z[1], -k * np.sin(z[0])]), np.array([1.0, 0.0]), [0.0, 2.0], k
    )[-1, 0]
    np.testing.assert_allclose(grad(loss)(1.3), grad(plain)(1.3), rtol=1e-9)
    np.testing.assert_allclose(grad(grad(loss))(1.3), grad(grad(plain))(1.3), rtol=1e-8)


def test_dtypes():
    y0, k = np.ones(2, np.float32), np.float32(0.5)
    loss = lambda y0, k: np.sum(
        odeint(lambda t, y, k: -k * y, y0, [0.0, 1.0], k, rtol=1e-4, atol=1e-5)[-1]
    )
    value, (gy, gk) = value_and_grad(loss, (0, 1))(y0, k)
    assert value.dtype == gy.dtype == gk.dtype == np.float32
    np.testing.assert_allclose(gy, np.exp(-0.5) * np.ones(2), rtol=1e-3)
    assert odeint(lambda t, y: -y, 1, [0, 1]).dtype == np.float64
    mixed = odeint(lambda t, y: (-y[0], -y[1]), (y0, 1.0), [0.0, 1.0])
    assert mixed[0].dtype == np.float32 and mixed[1].dtype == np.float64


def test_t_reaches_f_as_a_float():
    kinds = set()

    def f(t, y, k):
        kinds.add(type(t))
        return -k * y * t

    grad(lambda k: odeint(f, 1.0, [0.0, 1.0], k)[-1])(0.5)
    grad(lambda t: odeint(f, 1.0, t, 0.5)[-1])(np.array([0.0, 1.0]))
    assert kinds == {float}


def test_values_are_those_of_solve():
    t = np.linspace(0, 2, 9)
    f = lambda t, y: np.array([y[1], -y[0]])
    np.testing.assert_array_equal(odeint(f, np.ones(2), t), solve(f, np.ones(2), t).y)
    np.testing.assert_array_equal(
        odeint(f, [1.0, 1.0][0] * np.ones(2), list(t), method="rk4"),
        solve(f, np.ones(2), t, method="rk4").y,
    )


def test_only_what_is_differentiated_is_carried_backwards():
    """Constants in args cost the backward solve nothing.

    Its f sees as many cotangents as there are learned leaves.
    """
    widths = []

    def f(t, y, p, big):
        return -p * y + 0.0 * big[0]

    def counting(t, y, p, big):
        widths.append(type(big).__name__)
        return f(t, y, p, big)

    grad(lambda p: odeint(counting, 1.0, [0.0, 1.0], p, np.ones(1000))[-1])(0.5)
    assert set(widths) == {"ndarray"}


def test_closures_are_found_and_named():
    for f in (
        lambda k: odeint(lambda t, y: -k * y, 1.0, [0.0, 1.0])[-1],
        lambda k: odeint(lambda t, y, c: -k * y * c, 1.0, [0.0, 1.0], k)[-1],
        lambda k: grad(lambda c: odeint(lambda t, y, c: -k * y * c, 1.0, [0.0, 1.0], c)[-1])(k),
        lambda k: odeint(lambda t, y: np.array([y[1], -k * y[0]]), np.ones(2), [0.0, 1.0])[-1, 0],
    ):
        with pytest.raises(
            TypeError,
            match=(
                r"closes over a value that is being differentiated.*pass that value to f through"
                r" \*args"
            ),
        ):
            grad(f)(0.5)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"gradient": "magic"},
            "gradient='magic' is not known; the ways to take derivatives are 'adjoint'",
        ),
        ({"checkpoints": 5}, "checkpoints=5 has no meaning for gradient='adjoint'"),
        ({"adjoint_method": "rk5"}, "adjoint_method='rk5' is not known"),
        ({"adjoint_rtol": 0.0}, "adjoint_rtol=0.0 must be"),
        ({"adjoint_atol": -1}, "adjoint_atol=-1 must be"),
        ({"method": "rk4", "adjoint_rtol": 1e-9}, "adjoint_rtol=1e-09.*no tolerance governs"),
        ({"gradient": ["adjoint"]}, "is not known"),
        ({"method": "x"}, "method='x' is not known"),
        ({"rtol": -1.0}, "rtol=-1.0"),
    ],
)
def test_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        odeint(lambda t, y: -y, 1.0, [0.0, 1.0], **options)


def test_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="strictly increasing"):
        grad(lambda t: odeint(lambda t, y: -y, 1.0, t)[-1])(np.array([0.0, 0.0]))
    with pytest.raises(TypeError, match="y0 must be real"):
        odeint(lambda t, y: y, "a", [0.0, 1.0])
    with pytest.raises(ValueError, match="y0 must be finite"):
        grad(lambda y0: odeint(lambda t, y: -y, y0, [0.0, 1.0])[-1])(np.nan)
    with pytest.raises(ValueError, match=r"f returned an array of shape \(3,\)"):
        grad(lambda y0: np.sum(odeint(lambda t, y: np.ones(3), y0, [0.0, 1.0])))(np.ones(2))
    with pytest.raises(ValueError, match="f returned the structure"):
        odeint(lambda t, y: [y[0], y[1]], (1.0, 2.0), [0.0, 1.0])
    with pytest.raises(SolverError, match=r"is below rounding|not finite"):
        grad(lambda y0: odeint(lambda t, y: y * y, y0, [0.0, 2.0])[-1])(1.0)


def test_the_signs_and_terms_that_the_sources_get_wrong_fail():
    """The conformance check rejects what the sources have at G33, N7, P7 and N4."""

    def with_rule_of(wrong):
        def broken(f, y0, t, *args):
            from tinyode import custom_vjp

            @custom_vjp
            def solution(y0, t, args):
                return odeint(f, y0, t, *args)

            def forward(y0, t, args):
                value, pullback = vjp(lambda y0, t, args: odeint(f, y0, t, *args), y0, t, args)
                return value, pullback

            solution.defvjp(forward, lambda pullback, g: wrong(*pullback(g)))
            return solution(y0, t, args)

        return broken

    check_odeint(with_rule_of(lambda gy, gt, ga: (gy, gt, ga)), max_examples=3)
    with pytest.raises(AssertionError, match=r"dL/dz\(t0\)"):  # G33: a = -dL/dz
        check_odeint(with_rule_of(lambda gy, gt, ga: (-gy, gt, ga)), max_examples=3)
    with pytest.raises(AssertionError, match="dL/dA"):  # N7: the sign of the integral
        check_odeint(
            with_rule_of(lambda gy, gt, ga: (gy, gt, tree.map(np.negative, ga))), max_examples=3
        )
    with pytest.raises(AssertionError, match="dL/dt"):  # P7: a_t(tN) = +dL/dtN
        check_odeint(
            with_rule_of(lambda gy, gt, ga: (gy, np.concatenate([-gt[:1], gt[1:]]), ga)),
            max_examples=3,
        )
    with pytest.raises(AssertionError, match="the values"):  # N4: the initial value is missing
        check_odeint(lambda f, y0, t, *args: odeint(f, y0, t, *args) - y0, max_examples=3)
    with pytest.raises(AssertionError, match="expected shape"):
        check_odeint(lambda f, y0, t, *args: odeint(f, y0, t, *args)[-1], max_examples=3)
    with pytest.raises(AssertionError, match="dL/dt"):
        check_odeint(lambda f, y0, t, *args: odeint(f, y0, stop_gradient(t), *args), max_examples=3)


def test_our_odeint_and_a_recorded_loop_pass_the_conformance_check():
    check_odeint(odeint)
    check_odeint(functools.partial(rk4_loop, n=20), max_examples=10)


def test_S_mem_P_mem_memory_does_not_grow_with_the_steps():
    """At 400 steps the adjoint gradient has the peak memory that it has at 10.

    The state takes a megabyte. If a plain loop is recorded, memory grows with the steps.
    """
    import tracemalloc

    y0 = np.ones(2**17)
    f = lambda t, y, k: -k * y

    def peak(loss):
        tracemalloc.start()
        grad(loss)(0.5)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size / y0.nbytes

    adjoint = [
        peak(lambda k, n=n: np.sum(odeint(f, y0, [0.0, 1.0], k, method="rk4", step_size=1 / n)[-1]))
        for n in (10, 400)
    ]
    recorded = [
        peak(lambda k, n=n: np.sum(rk4_loop(f, y0, [0.0, 1.0], k, n=n)[-1])) for n in (10, 20)
    ]
    assert adjoint[1] < 1.05 * adjoint[0] and recorded[1] > 1.8 * recorded[0]


def test_jacobian_of_a_flow():
    f = lambda t, y: np.array([y[1], -y[0]])
    J = jacobian(lambda y0: accurate(f, y0, [0.0, 0.7])[-1])(np.array([1.0, 2.0]))
    np.testing.assert_allclose(
        J, [[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]], rtol=1e-9
    )


def test_each_component_has_its_own_tolerance_backwards_too():
    """A fast component of which only the rough size is wanted costs few evaluations."""

    def evaluations(atol):
        count = []
        f = lambda t, y, k: count.append(t) or np.array([-k * y[0], 50 * np.cos(50 * t)])
        slope = grad(
            lambda k: odeint(f, np.array([1.0, 0.0]), [0.0, 3.0], k, rtol=1e-8, atol=atol)[-1, 0]
        )(0.5)
        np.testing.assert_allclose(slope, -3 * np.exp(-1.5), rtol=1e-5)
        return len(count)

    assert evaluations(np.array([1e-8, 1e3])) < evaluations(1e-8) / 5


def test_what_drift_is_warned_of():
    """It is a twentieth of the state, or a thousand times the tolerances."""
    loss = lambda k, size=1.0, **o: (
        odeint(lambda t, y, k: -k * y, size, np.linspace(0, 1, 9), k, **o)[-1] / size
    )
    with warnings.catch_warnings():  # small beside a large state
        warnings.simplefilter("error")
        grad(functools.partial(loss, method="rk4", size=1e6))(2.0)
    with pytest.warns(
        RuntimeWarning, match=r"is off by 0\.062, where it was 1,"
    ):  # 1 - (1 - 1/4) (1 + 1/4)
        grad(lambda k: odeint(lambda t, y, k: -k * y, 1.0, [0.0, 0.25], k, method="euler")[-1])(1.0)
    with pytest.warns(RuntimeWarning, match=r"is off by 0\.00\d+, where it was 0,"):
        grad(lambda k: odeint(lambda t, y, k: -k * (y - np.cos(t)), 0.0, [0.0, 1.0], k)[-1])(9.0)
