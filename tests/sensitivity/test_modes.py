"""Every way to differentiate a solution, with every method.

They are held against plain loops that the engine records, closed forms, and each other.
"""

import functools
import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import seeds

from tinyode import (
    NewtonError,
    compiled,
    grad,
    hessian,
    jvp,
    odeint,
    solve,
    stop_gradient,
    tree,
    vjp,
)
from tinyode.sensitivity.odeint import GRADIENTS
from tinyode.sensitivity.taken import revolve
from tinyode.solvers import SolverError
from tinyode.solvers.options import Options, Stats
from tinyode.solvers.solve import steps
from tinyode.solvers.state import flat_field
from tinyode.solvers.tableaus import TABLEAUS
from tinyode.testing import central_difference

EXPLICIT = [name for name, tableau in TABLEAUS.items() if not tableau.implicit]
IMPLICIT = [name for name, tableau in TABLEAUS.items() if tableau.implicit]


def linear(t, y, p):
    return p[:4].reshape(2, 2) @ y + p[4:] * np.cos(t)


def polynomial(t, y, p):
    return np.array([y[1] + p[0] * y[0] * y[1], -y[0] + p[1] * (1 - y[0] ** 2) * y[1] + p[2] * t])


def network(t, y, p):
    return np.tanh(p[:4].reshape(2, 2) @ y + p[4:] * t)


FIELDS = {f.__name__: f for f in (linear, polynomial, network)}


@st.composite
def problems(draw):
    """Draw (f, y0, t, p, w).

    These are a field, a state, times forwards or backwards, parameters, and the weights of a loss
    at all times.
    """
    rng = np.random.default_rng(draw(seeds))
    t = 0.3 + np.cumsum(rng.uniform(0.15, 0.6, draw(st.integers(2, 5)))) * draw(
        st.sampled_from([1, -1])
    )
    y0, p = rng.uniform(-0.7, 0.7, 2), rng.uniform(-0.7, 0.7, 6)  # small, so that nothing blows up
    return FIELDS[draw(st.sampled_from(sorted(FIELDS)))], y0, t, p, rng.normal(size=(len(t), 2))


def recorded_loop(f, method, options, y0, t, p):
    """Take the steps of an explicit solver in a plain loop, for the engine to record."""
    tableau = TABLEAUS[method]
    plain, start, parameters = stop_gradient(t), stop_gradient(y0), stop_gradient(p)
    field = flat_field(lambda t, y: f(t, y, parameters), [start], tree.LEAF, ())
    taken = [
        (s.t, s.t1, s.h)
        for s in steps(field, start, plain.tolist(), Options(method, **options).check(), Stats())
    ]
    fixed, y, ys, i = "step_size" in options or tableau.e is None, y0, [y0], 1
    interval, j = 0, 0
    for n, (begin, end, h) in enumerate(taken):
        if fixed:
            m = sum(
                1
                for b, e, _ in taken
                if (e - plain[interval]) * h > 0 and (plain[interval + 1] - b) * h > 0
            )
            size = (t[interval + 1] - t[interval]) / m
            now, j = t[interval] + j * size, j + 1
        else:
            now = begin if n else t[0]
            size = (t[-1] if n == len(taken) - 1 else end) - now
        k = []
        for row, c in zip([*tableau.a, *tableau.extra_a], [*tableau.c, *tableau.extra_c]):
            k.append(f(now + c * size, y + size * sum((a * x for a, x in zip(row, k)), 0 * y), p))
        while i < len(plain) and abs(plain[i] - plain[0]) <= abs(end - plain[0]):
            x = (t[i] - now) / size
            inside = plain[i] != end or not (fixed or n == len(taken) - 1)
            weights = tableau.b
            if inside:
                powers = lambda row: sum(q * x ** (d + 1) for d, q in enumerate(row))
                weights = [powers(row) for row in tableau.interpolant]
            ys.append(y + size * sum(w * x for w, x in zip(weights, k)))
            i += 1
        y = y + size * sum(b * x for b, x in zip(tableau.b, k))
        if fixed and end == plain[interval + 1]:
            interval, j = interval + 1, 0
    return np.stack(ys)


@settings(max_examples=60)
@given(problems(), st.sampled_from(EXPLICIT), st.booleans(), st.sampled_from([None, 1, 3]))
def test_S_black_N_black_discrete_is_the_derivative_of_the_steps_taken(
    problem, method, adaptive, checkpoints
):
    """It is to rounding, for y0, parameters and every time.

    The states may be read off inside the steps, and there may be any number of checkpoints.
    """
    f, y0, t, p, w = problem
    options = {"step_size": 0.13}
    if adaptive and TABLEAUS[method].e is not None:
        options = {"rtol": 1e-3, "atol": 1e-4}
    value = odeint(f, y0, t, p, method=method, gradient="discrete", **options)
    np.testing.assert_allclose(
        value, recorded_loop(f, method, options, y0, t, p), rtol=1e-12, atol=1e-12
    )
    exact = grad(lambda *a: np.sum(w * recorded_loop(f, method, options, *a)), (0, 1, 2))(y0, t, p)
    ours = grad(
        lambda *a: np.sum(
            w
            * odeint(f, *a, method=method, gradient="discrete", checkpoints=checkpoints, **options)
        ),
        (0, 1, 2),
    )(y0, t, p)
    scale = max(1.0, max(np.max(np.abs(x)) for x in exact))
    for a, b in zip(ours, exact):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12 * scale)


@settings(max_examples=25)
@given(problems(), st.sampled_from(sorted(TABLEAUS)), st.sampled_from([None, 2]))
def test_discrete_at_fixed_steps_against_finite_differences(problem, method, checkpoints):
    """The differences are of the numbers computed, whatever their own error, in times too."""
    f, y0, t, p, w = problem
    step = 0.9 * np.min(np.abs(np.diff(t)))
    loss = lambda *a: np.sum(
        w
        * odeint(f, *a, method=method, gradient="discrete", checkpoints=checkpoints, step_size=step)
    )
    v = [np.cos(np.arange(x.size)).reshape(x.shape) for x in (y0, t, p)]
    found = sum(np.sum(x * y) for x, y in zip(grad(loss, (0, 1, 2))(y0, t, p), v))
    expected = float(central_difference(loss, (y0, t, p), tuple(v), h=1e-4))
    assert abs(found - expected) < 1e-8 * (1 + abs(expected))


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("method", TABLEAUS)
def test_every_mode_with_every_method(gradient, method):
    """The gradient is as near to that of the exact solution as the method is."""
    y0, t = np.array([0.5, -1.0]), np.array([0.0, 0.4, 1.0])
    p = np.array([0.3, -1.0, 0.8, 0.2, 0.5, -0.3])
    w = np.array([[1, 2], [3, 4], [5, 6.0]])
    order = TABLEAUS[method].order
    options = {"rtol": 1e-5, "atol": 1e-7}
    if TABLEAUS[method].e is None:
        options = {"step_size": {1: 4e-3, 2: 0.02}.get(order, 0.1)}
    exact = grad(lambda *a: np.sum(w * odeint(network, *a, rtol=1e-10, atol=1e-12)), (0, 1, 2))(
        y0, t, p
    )
    ours = grad(
        lambda *a: np.sum(w * odeint(network, *a, method=method, gradient=gradient, **options)),
        (0, 1, 2),
    )(y0, t, p)
    for a, b in zip(ours, exact):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-2 if order == 1 else 3e-3)


@settings(max_examples=30)
@given(seeds, st.sampled_from(sorted(GRADIENTS)), st.sampled_from([1.0, -1.0]))
def test_P4_P5_P6_G33_every_mode_against_the_matrix_exponential(seed, gradient, direction):
    """z' = A z, L = w . z(T), by the eigenvalues of A = V diag(e) V^-1, real or complex: z(T) = V
    exp(e T) V^-1 z0,

    dL/dA = V^-T (Phi * (V^T w) (V^-1 z0)^T) V^T,   Phi_ij = (exp(e_i T) - exp(e_j T)) / (e_i -
    e_j),   Phi_ii = T exp(e_i T).
    """
    rng = np.random.default_rng(seed)
    A, z0, w = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)
    T = direction * rng.uniform(0.3, 1.2)
    e, V = np.linalg.eig(A)
    apart, W = e[:, None] - e + np.eye(3), np.linalg.inv(V)
    assume(np.abs(apart).min() > 1e-2 and np.linalg.cond(V) < 100)
    phi = np.where(
        np.eye(3, dtype=bool), T * np.exp(e * T), (np.exp(e * T)[:, None] - np.exp(e * T)) / apart
    )
    flow = ((V * np.exp(e * T)) @ W).real
    end = w @ A @ flow @ z0
    exact = flow.T @ w, np.array([-end, end]), (W.T @ (phi * np.outer(V.T @ w, W @ z0)) @ V.T).real
    ours = grad(
        lambda z0, t, A: (
            w
            @ odeint(lambda t, z, A: A @ z, z0, t, A, gradient=gradient, rtol=1e-10, atol=1e-12)[-1]
        ),
        (0, 1, 2),
    )(z0, np.array([0.3, 0.3 + T]), A)
    for a, b in zip(ours, exact):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7 * max(1.0, np.abs(b).max()))


@settings(max_examples=10)
@given(problems(), st.sampled_from(["interpolated", "forward", "discrete", "adjoint"]))
def test_the_modes_agree_in_the_limit_and_with_finite_differences(problem, gradient):
    f, y0, t, p, w = problem
    loss = lambda *a, **o: np.sum(w * odeint(f, *a, rtol=1e-9, atol=1e-11, **o))
    v = [np.sin(1 + np.arange(x.size)).reshape(x.shape) for x in (y0, t, p)]
    expected = float(
        central_difference(functools.partial(loss, method="dop853"), (y0, t, p), tuple(v), h=1e-3)
    )
    found = sum(
        np.sum(x * y)
        for x, y in zip(grad(functools.partial(loss, gradient=gradient), (0, 1, 2))(y0, t, p), v)
    )
    assert abs(found - expected) < 3e-6 * (1 + abs(expected))


@pytest.mark.parametrize("gradient", ["adjoint", "interpolated", "forward"])
def test_P_tol_S_black_continuous_modes_err_by_the_tolerance_and_discrete_by_rounding(gradient):
    y0, t, w = np.array([0.5, -1.0]), np.array([0.0, 0.7, 2.0]), np.ones((3, 2))
    p = np.array([0.3, -1.0, 0.8, 0.2, 0.5, -0.3])
    loss = lambda p, tol, **o: np.sum(
        w * odeint(network, y0, t, p, rtol=tol, atol=tol, method="dop853", **o)
    )
    exact = grad(lambda p: loss(p, 1e-13))(p)
    errors = [
        np.max(np.abs(grad(lambda p, tol=tol: loss(p, tol, gradient=gradient))(p) - exact))
        for tol in (1e-4, 1e-7, 1e-10)
    ]
    assert (
        all(error < 30 * tol for error, tol in zip(errors, (1e-4, 1e-7, 1e-10)))
        and errors[2] < errors[0] / 100
    )


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(
    "options",
    [{}, {"method": "rk4", "step_size": 0.06}, {"method": "gauss_legendre4", "step_size": 0.11}],
    ids=str,
)
def test_second_derivatives_in_every_mode(gradient, options):
    """The Hessian in state, parameters and time is symmetric, and the derivative of the gradient.

    Hessian-vector products by jvp agree with it.
    """
    f = lambda t, y, k: np.array([y[1], -k * np.sin(y[0]) * np.cos(t)])
    loss = lambda p: np.sum(
        odeint(f, p[:2], [0.1, p[3]], p[2], gradient=gradient, rtol=1e-7, atol=1e-9, **options)[-1]
        ** 2
    )
    p, v = np.array([0.5, -0.2, 1.7, 0.9]), np.array([1.0, -1.0, 0.5, 2.0])
    H = hessian(loss)(p)
    np.testing.assert_allclose(H, H.T, atol=1e-5)
    np.testing.assert_allclose(
        H @ v, central_difference(grad(loss), (p,), (v,), h=1e-3), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(jvp(grad(loss), (p,), (v,))[1], H @ v, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(
    "options",
    [{}, {"method": "rk4", "step_size": 0.06}, {"method": "gauss_legendre4", "step_size": 0.05}],
    ids=str,
)
def test_second_derivatives_in_times_between(gradient, options):
    f = lambda t, y, k: np.array([y[1], -k * np.sin(y[0]) * np.cos(t)])
    loss = lambda p: np.sum(
        odeint(f, p[:2], p[2:], 1.7, gradient=gradient, rtol=1e-8, atol=1e-10, **options)[1:] ** 2
    )
    p, v = np.array([0.5, -0.2, 0.1, 0.47, 0.9]), np.array([0.5, -1.0, 0.7, 2.0, -1.0])
    H = hessian(loss)(p)
    np.testing.assert_allclose(H, H.T, atol=1e-5)
    np.testing.assert_allclose(
        H @ v, central_difference(grad(loss), (p,), (v,), h=1e-3), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("method", ["gauss_legendre4", "kvaerno3"])
def test_second_derivatives_without_the_time(gradient, method):
    f = lambda t, y, k: np.array([y[1], -k * np.sin(y[0]) * np.cos(t)])
    loss = lambda p: np.sum(
        odeint(f, p[:2], [0.1, 0.9], p[2], gradient=gradient, method=method, step_size=0.1)[-1] ** 2
    )
    p, v = np.array([0.5, -0.2, 1.7]), np.array([1.0, -1.0, 0.5])
    np.testing.assert_allclose(
        hessian(loss)(p) @ v,
        central_difference(grad(loss), (p,), (v,), h=1e-3),
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_second_derivatives_in_time_alone(gradient):
    """y' = -t y: y(T) = exp(-T^2 / 2); nothing else is differentiated."""
    end = lambda T: odeint(
        lambda t, y: -t * y, 1.0, [0.0, T], rtol=1e-9, atol=1e-11, gradient=gradient
    )[-1]
    np.testing.assert_allclose(
        grad(grad(end))(1.5), (1.5**2 - 1) * np.exp(-(1.5**2) / 2), rtol=1e-5
    )


def test_second_derivatives_with_checkpoints():
    f = lambda t, y, k: np.array([y[1], -k * np.sin(y[0]) * np.cos(t)])
    loss = lambda p, **o: np.sum(
        odeint(f, p[:2], [0.1, p[3]], p[2], gradient="discrete", **o)[-1] ** 2
    )
    p = np.array([0.5, -0.2, 1.7, 0.9])
    np.testing.assert_allclose(
        hessian(functools.partial(loss, checkpoints=2))(p), hessian(loss)(p), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("method", ["dopri5", "tsit5", "dop853", "kvaerno5"])
def test_the_gradient_of_times_between_steps(gradient, method):
    """It is dL/dz^T f, and of "discrete" the derivative of the numbers; `odeint` says so."""
    f = lambda t, y: np.stack([1.5 * y[0] - y[0] * y[1], -3.0 * y[1] + y[0] * y[1]])
    t, w = np.array([0.0, 0.7, 1.9, 3.3, 5.0]), np.array([1.0, 2.0])
    z = lambda t: odeint(f, np.ones(2), t, method=method, gradient=gradient)
    loss = lambda t: np.sum(z(t) @ w)
    between = slice(1, -1)
    found, v = grad(loss)(t), np.array([0.0, 1.0, -2.0, 0.5, 0.0])
    of_solution = np.array([w @ f(time, y) for time, y in zip(t, z(t))])
    of_numbers = central_difference(loss, (t,), (v,), h=1e-4)
    scale = np.max(np.abs(of_solution))
    if gradient == "discrete":
        assert abs(found @ v - of_numbers) < 1e-6 * scale
        np.testing.assert_allclose(found[between], of_solution[between], atol=1e-2 * scale)
    else:
        np.testing.assert_allclose(found[between], of_solution[between], rtol=1e-12)


def test_discrete_at_a_time_that_an_adaptive_step_happens_to_end_at():
    f = lambda t, y: np.array([y[1], -np.sin(y[0]) * np.cos(t)])
    t, w = np.array([0.0, 0.125, 1.0]), np.array([1.0, -2.0])
    value, pullback = vjp(
        lambda t: odeint(
            f, np.array([1.0, 0.3]), t, first_step=0.125, gradient="discrete", rtol=1e-3
        ),
        t,
    )
    g = pullback(np.stack([0 * w, w, 0 * w]))[0]
    np.testing.assert_allclose(g[1], w @ f(t[1], value[1]), rtol=1e-10)


@pytest.mark.parametrize("method", [name for name in IMPLICIT if TABLEAUS[name].e is not None])
def test_discrete_of_an_adaptive_implicit_step_is_that_of_its_equations(method):
    """Loose tolerances let one step of size 1/2 pass.

    Its gradient is that of the step of fixed size, to rounding.
    """
    f = lambda t, y, k: np.array([y[1], k * (1 - y[0] ** 2) * y[1] - y[0]])
    loss = lambda y0, k, **o: np.sum(
        odeint(f, y0, [0.0, 0.5], k, method=method, gradient="discrete", **o)[-1]
        * np.array([1.0, -2.0])
    )
    loose = grad(functools.partial(loss, rtol=1.0, atol=1.0, first_step=0.5), (0, 1))(
        np.array([1.3, 0.4]), 3.0
    )
    fixed = grad(functools.partial(loss, step_size=0.5), (0, 1))(np.array([1.3, 0.4]), 3.0)
    for a, b in zip(loose, fixed):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_the_backward_solve_of_interpolated_has_its_own_settings():
    f = lambda t, z, k: np.array([z[1], -k * z[0]])
    loss = lambda k, **o: odeint(
        f,
        np.array([1.0, 0.0]),
        [0.0, 3.0],
        k,
        method="dop853",
        rtol=1e-11,
        atol=1e-12,
        gradient="interpolated",
        **o,
    )[-1, 0]
    # bosh3: in no more than the steps of the forward solve dopri5 is at 1e-6
    with_tolerance = lambda tol: functools.partial(
        loss, adjoint_method="bosh3", adjoint_rtol=tol, adjoint_atol=tol
    )
    errors = [abs(grad(with_tolerance(tol))(1.0) + 1.5 * np.sin(3.0)) for tol in (1e-3, 1e-6, 1e-9)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2] and errors[2] < 1e-8


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_f_may_return_a_list_and_times_may_be_whole_numbers(gradient):
    slope = lambda f: grad(
        lambda k: odeint(f, np.ones(2), [0.0, 1.0], k, gradient=gradient)[-1, 0]
    )(0.5)
    assert slope(lambda t, y, k: [y[1], -k * y[0]]) == slope(
        lambda t, y, k: np.array([y[1], -k * y[0]])
    )
    kinds = set()
    f = lambda t, y, k: kinds.add(type(t)) or -k * t * y
    loss = lambda k, t: odeint(f, 1.0, t, k, gradient=gradient)[-1]
    assert grad(loss)(0.5, np.array([0, 1, 2])) == grad(loss)(
        0.5, np.array([0.0, 1.0, 2.0])
    ) and kinds == {float}


@pytest.mark.parametrize("gradient", ["interpolated", "discrete", "forward"])
def test_second_derivatives_where_backwards_solving_is_not_stable(gradient):
    f = lambda t, y, k: -10 * (y - np.sin(k * t)) * (1 + 0.1 * y * y)
    loss = lambda k, **options: odeint(f, 1.0, [0.0, 2.0], k, gradient=gradient, **options)[-1] ** 2
    expected = central_difference(
        grad(functools.partial(loss, rtol=1e-11, atol=1e-13)), (1.3,), (1.0,), h=1e-3
    )
    np.testing.assert_allclose(grad(grad(loss))(1.3), expected, rtol=1e-5)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(
    "rtol, atol",
    [
        (1e-8, (np.array([1e-10, 1e-9]), 1e-9)),
        ((1e-8, 1e-8), 1e-10),
        ((1e-8, 1e-7), (1e-10, np.array([1e-9, 1e-10]))),
    ],
    ids=["atol", "rtol", "both"],
)
def test_tolerances_of_each_component(gradient, rtol, atol):
    f, s, y0 = lambda t, y, k: (y[1], -k * y[0]), np.sqrt(1.7), (np.array([1.0, 0.5]), np.zeros(2))
    # 1.5 cos(2 sqrt(k))
    end = lambda k: np.sum(
        odeint(f, y0, [0.0, 2.0], k, rtol=rtol, atol=atol, gradient=gradient)[0][-1]
    )
    np.testing.assert_allclose(grad(end)(1.7), -1.5 * np.sin(2 * s) / s, rtol=1e-6)
    np.testing.assert_allclose(
        grad(grad(end))(1.7), 1.5 * (np.sin(2 * s) / (2 * s**3) - np.cos(2 * s) / s**2), rtol=1e-5
    )


@pytest.mark.parametrize("method", IMPLICIT)
def test_checkpoints_do_not_change_the_gradient_of_implicit_steps(method):
    """The stages are solved for to rounding, so they come out the same the second time."""
    f = lambda t, y, k: np.stack(
        [y[1] * k[0] + np.sin(3 * t), -k[1] * np.sin(y[0]) * 3 - 0.1 * y[1] * t]
    )
    options = (
        {"rtol": 1e-2, "atol": 1e-4} if TABLEAUS[method].e is not None else {"step_size": 0.23}
    )
    gradient = lambda **more: grad(
        lambda k: np.sum(
            odeint(
                f,
                np.array([0.7, -0.3]),
                [0.0, 3.0],
                k,
                method=method,
                gradient="discrete",
                **options,
                **more,
            )[-1]
        )
    )(np.array([1.2, 0.8]))
    np.testing.assert_allclose(gradient(checkpoints=2), gradient(), rtol=1e-11)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_losses_of_any_size_and_not_finite(gradient):
    f = lambda t, y, k: -k * y
    end = lambda k, size, y0: size * odeint(f, y0, [0.0, 1.0], k, rtol=1e-4, gradient=gradient)[-1]
    for one, sizes in ((np.float32(1), (1e-37, 1.0, 2e38)), (1.0, (1e-300, 1.7e308))):
        for size in sizes:
            found = grad(lambda k, size=size, one=one: end(k, np.asarray(size, k.dtype), one))(one)
            np.testing.assert_allclose(float(found) / size, -np.exp(-1), rtol=1e-3)
    with (
        pytest.raises(
            ValueError, match="gradient of the loss with respect to the solution is not finite"
        ),
        np.errstate(divide="ignore"),
    ):
        grad(lambda k: np.sqrt(end(k, 1.0, 0.0)))(1.0)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_f_may_return_booleans_and_whole_numbers(gradient):
    solve_both = lambda y0, t: odeint(
        lambda t, y: [np.uint8(200) + 0 * (y[0] > 0), y[0] > 0], y0, t, gradient=gradient
    )
    of_y0, of_t = grad(lambda y0, t: sum(y[-1] for y in solve_both(y0, t)), (0, 1))(
        [1.0, 1.0], np.array([0.0, 1.0])
    )
    np.testing.assert_allclose([*of_y0, *of_t], [1, 1, -201, 201], rtol=1e-6)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_containers_other_arguments_and_float32(gradient):
    y0 = {"q": np.array([1.0, 0.5]), "p": (np.array([[0.0], [0.2]]), 0.3)}

    def f(t, y, k, names):
        assert names == ["a", 3]
        q, (v, s) = y["q"], y["p"]
        return {"q": v[:, 0] + k["c"], "p": (-k["k"] * q[:, None], s * np.sum(q) * np.cos(t))}

    args = {"k": 1.3, "c": np.array([0.1, 0.2])}
    loss = lambda y0, k, **o: np.sum(
        odeint(f, y0, [0.0, 0.5, 1.2], k, ["a", 3], rtol=1e-9, atol=1e-11, **o)["p"][1] ** 2
    )
    exact = grad(loss, (0, 1))(y0, args)
    ours = grad(functools.partial(loss, gradient=gradient), (0, 1))(y0, args)
    assert tree.flatten(ours)[1] == tree.flatten(exact)[1]
    for a, b in zip(tree.flatten(ours)[0], tree.flatten(exact)[0]):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    small = grad(
        lambda y0, k: np.sum(
            odeint(
                lambda t, y, k: -k * y, y0, [0.0, 1.0], k, gradient=gradient, rtol=1e-4, atol=1e-5
            )[-1]
        ),
        (0, 1),
    )(np.ones(2, np.float32), np.float32(0.5))
    assert [g.dtype for g in small] == [np.float32, np.float32]
    np.testing.assert_allclose(small[0], np.exp(-0.5), rtol=1e-3)


def test_an_implicit_step_without_a_derivative_says_so():
    """One step of implicit Euler for y' = t y from 0 to 1 asks for y1 = y0 + y1.

    Every y1 solves this if y0 = 0, and none if not.
    """
    with pytest.raises(NewtonError, match="the matrix of an implicit step's stages is singular"):
        grad(
            lambda y0: odeint(
                lambda t, y: t * y,
                y0,
                [0, 1.0],
                method="implicit_euler",
                step_size=1.0,
                gradient="discrete",
            )[-1]
        )(0.0)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_closures_over_a_differentiated_value_are_found(gradient):
    for outer in (
        lambda k: odeint(lambda t, y: -k * y, 1.0, [0.0, 1.0], gradient=gradient)[-1],
        lambda k: odeint(lambda t, y, c: -k * y * c, 1.0, [0.0, 1.0], k, gradient=gradient)[-1],
    ):
        with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
            grad(outer)(0.5)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_f_sees_plain_numbers_where_no_derivative_is_wanted(gradient):
    kinds = set()
    odeint(
        lambda t, y, k: kinds.add(type(y)) or -k * y, np.ones(2), [0.0, 1.0], 0.5, gradient=gradient
    )
    assert kinds == {np.ndarray}


def test_P_err_a_stiff_problem_that_the_adjoint_cannot_solve_back():
    """y' = -50 (y - cos t): backwards in time, errors of z grow by exp(50 t).

    Over the stored solution, or step by step, none grows.
    """
    f = lambda t, y, k: -k * (y - np.cos(t))
    loss = lambda k, **o: odeint(f, 0.0, [0.0, 2.0], k, rtol=1e-6, atol=1e-8, **o)[-1]
    exact = float(
        central_difference(functools.partial(loss, method="dop853"), (50.0,), (1.0,), h=1e-2)
    )
    for gradient in ("interpolated", "discrete", "forward"):
        assert abs(grad(functools.partial(loss, gradient=gradient))(50.0) - exact) < 2e-2 * abs(
            exact
        )
    with pytest.raises(
        SolverError,
        match=r"component 0 of the state has come to .*, where it was .* at most, and it takes"
        r" 2 times the steps of that solve.*use grad",
    ):
        grad(loss)(50.0)
    with pytest.warns(RuntimeWarning, match=r"component 0 of the state .* is off by .*use grad"):
        grad(functools.partial(loss, method="rk4", step_size=0.02))(50.0)
    with pytest.warns(
        RuntimeWarning,
        match=(
            r"component 0 of the state at t = 0.0 is off by .*, where it was 0,.*use"
            r" gradient='discrete'"
        ),
    ):
        grad(loss)(8.0)
    logistic = lambda k: odeint(
        lambda t, y, k: k * y * (1 - y), 0.1, [0.0, 15.0], k, rtol=1e-3, atol=1e-6
    )[-1]
    with pytest.warns(
        RuntimeWarning, match=r"is off by 0.0.*, where it was 0.1,"
    ):  # though a large tolerance explains much
        grad(logistic)(1.0)
    # where nothing drifts there is none, nor with observations that z restarts from
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grad(lambda k: np.sum(odeint(f, 0.0, np.linspace(0, 2, 41), k, rtol=1e-6, atol=1e-8)))(50.0)
        pendulum = lambda t, y, k: np.stack([y[1], -k * np.sin(y[0])])
        y0 = np.array([0.0, 1.0])  # a component may be zero
        for T, options in (
            (1.0, {"method": "bosh3", "rtol": 1e-4}),
            (1.0, {"rtol": 1e-3}),
            (50.0, {}),
        ):
            grad(
                lambda k, T=T, options=options: odeint(pendulum, y0, [0.0, T], k, **options)[-1, 0]
            )(1.0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"gradient": "discreet"}, "gradient='discreet' is not known"),
        ({"checkpoints": 3}, "checkpoints=3 has no meaning for gradient='adjoint'"),
        (
            {"gradient": "discrete", "checkpoints": 0},
            "checkpoints=0 must be a whole number of states to keep",
        ),
        ({"gradient": "discrete", "checkpoints": 2.5}, "checkpoints=2.5 must be a whole number"),
        ({"gradient": "discrete", "checkpoints": True}, "checkpoints=True must be a whole number"),
        (
            {"adjoint_method": "rk4"},
            (
                "adjoint_method='rk4' takes steps of fixed size, and the forward solve has none to"
                " go by"
            ),
        ),
        (
            {"gradient": "discrete", "adjoint_rtol": 1e-3},
            "adjoint_rtol=0.001 has no meaning for gradient='discrete', which solves nothing",
        ),
        (
            {"gradient": "forward", "adjoint_method": "rk4"},
            "adjoint_method='rk4' has no meaning for gradient='forward'",
        ),
    ],
)
def test_combinations_without_sense_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        odeint(lambda t, y: -y, 1.0, [0.0, 1.0], **options)


def test_checkpoints_cost_what_griewank_and_walther_say():
    """For l steps and c states kept, r l - b(c + 1, r - 1) steps are taken again.

    Here b(c, r - 1) < l <= b(c, r). That is the least.
    """

    @functools.cache
    def least(steps, states):
        if steps <= 1 or states == 1:
            return steps * (steps - 1) // 2
        return min(m + least(steps - m, states - 1) + least(m, states) for m in range(1, steps))

    for states in range(1, 7):
        for length in range(1, 50):
            taken = []
            kept = list(
                revolve(0, length, 0, states, lambda n, y, taken=taken: taken.append(n) or y + 1)
            )
            assert kept == [(n, n) for n in range(length - 1, -1, -1)]
            r = next(r for r in range(length + 1) if math.comb(states + r, r) >= length)
            assert (
                len(taken)
                == least(length, states)
                == (r * length - math.comb(states + r, r - 1) if r else 0)
            )


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 5, 10])
def test_no_more_states_are_kept_than_asked_for(checkpoints):
    """There is one more, the one at hand; counted over 1500 steps."""

    class State:
        alive = most = 0

        def __init__(self, n):
            self.n = n
            State.alive += 1
            State.most = max(State.most, State.alive)

        def __del__(self):
            State.alive -= 1

    for n, state in revolve(
        0, 1500 if checkpoints > 1 else 300, State(0), checkpoints, lambda n, state: State(n + 1)
    ):
        assert state.n == n
    assert State.most <= checkpoints + 3


def test_P_mem_S_mem_checkpoints_keep_the_memory():
    """200 rk4 steps keep about 200 states.

    With ten checkpoints it is about ten, and what a step needs: less than 30.
    """
    import tracemalloc

    y0 = np.ones(2**15)

    def peak(**options):
        tracemalloc.start()
        grad(
            lambda k: np.sum(
                odeint(
                    lambda t, y, k: -k * y,
                    y0,
                    [0, 1.0],
                    k,
                    method="rk4",
                    step_size=1 / 200,
                    gradient="discrete",
                    **options,
                )[-1]
            )
        )(0.5)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size / y0.nbytes

    assert 200 < peak() < 250 and peak(checkpoints=10) < 45 and peak(checkpoints=2) < 35


def test_values_do_not_depend_on_the_mode():
    f = lambda t, y: np.array([y[1], -y[0]])
    for gradient in GRADIENTS:
        np.testing.assert_array_equal(
            odeint(f, np.ones(2), [0, 0.3, 2.0], gradient=gradient),
            solve(f, np.ones(2), [0, 0.3, 2.0]).y,
        )


@pytest.mark.parametrize("method", ["heun", "rk4", "dopri5", "radau_iia5"])
def test_discrete_does_not_ask_for_f_beyond_the_end(method):
    met = []
    for end in (0.7, 1.1, 2.3):
        f = lambda t, y, k, end=end: met.append(float(t) - end) or -k * y
        grad(
            lambda k, f=f, end=end: odeint(
                f, 1.0, [0.0, end], k, method=method, step_size=end / 7, gradient="discrete"
            )[-1]
        )(0.5)
    assert max(met) <= 0


@pytest.mark.parametrize("rtol", [1e-3, 3e-4, 1e-4, 3e-5, 1e-5])
@pytest.mark.parametrize("method", ["trbdf2", "kvaerno3", "kvaerno5", "radau_iia5"])
def test_second_derivatives_of_stiff_steps(method, rtol):
    """y' = k A y has the eigenvalues -1/2 and -2e6, so y(1) is nearly exp(-k / 2).

    The stages are all rounding beside df/dy.
    """
    A = np.array([[-1e6, 1e6], [1e6, -1e6 - 1.0]])
    end = lambda k: odeint(
        lambda t, y, k: k * A @ y,
        np.array([2.0, 0.0]),
        [0, 1.0],
        k,
        method=method,
        gradient="discrete",
        rtol=rtol,
        atol=1e-4 * rtol,
    )[-1, 0]
    np.testing.assert_allclose(
        [grad(end)(1.0), grad(grad(end))(1.0)],
        [-0.5 * np.exp(-0.5), 0.25 * np.exp(-0.5)],
        rtol=30 * rtol,
    )


def test_a_component_that_is_all_rounding_is_not_warned_of():
    f = lambda t, y, k: np.stack(
        [y[1], -k * y[0], 0.1 * k * y[0] + 0.2 * k * y[0] - 0.3 * k * y[0]]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slope = grad(
            lambda k: odeint(f, np.array([1.0, 0, 0]), [0, 3.0], k, method="rk4", step_size=0.05)[
                -1, 0
            ]
        )(1.0)
    np.testing.assert_allclose(slope, -1.5 * np.sin(3.0), rtol=1e-5)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_field_with_its_own_derivative_is_asked_once_a_pass(gradient):
    """It is asked once, however many steps there are, and gives the same gradient."""
    inside = compiled(network)

    class Offering:
        asked = 0

        def __call__(self, t, y, p):
            return inside(t, y, p)

        def __tinyode_specialized__(self, *question, **more):
            self.asked += 1
            return inside.__tinyode_specialized__(*question, **more)

    y0, p = np.array([0.5, -1.0]), np.array([0.3, -1.0, 0.8, 0.2, 0.5, -0.3])
    loss = lambda f, step: (
        lambda y0, p: np.sum(
            odeint(f, y0, [0.0, 1.0], p, method="rk4", step_size=step, gradient=gradient)[-1] ** 2
        )
    )
    asked = []
    for step in (0.5, 0.05):
        offering = Offering()
        found = grad(loss(offering, step), (0, 1))(y0, p)
        asked.append(offering.asked)
        for c, d in zip(found, grad(loss(network, step), (0, 1))(y0, p)):
            np.testing.assert_allclose(c, d, rtol=1e-12)
    assert asked[0] == asked[1] > 0
