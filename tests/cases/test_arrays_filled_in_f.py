"""A traced value is put where only plain numbers can be.

The last error of the traceback is ours, with the line of f and what to write.
"""

import inspect
import math
import statistics

import numpy as np
import pytest

from tinyode import (
    compiled,
    grad,
    hessian,
    jacobian,
    odeint,
    odeint_batch,
    odeint_event,
    program,
    root,
    solve,
    vjp,
)

Y, T = np.array([1.0, 0.5]), np.array([0.0, 0.4, 1.0])
WAYS = ["adjoint", "discrete", "interpolated", "forward"]


def fills(y, k):
    dy = np.zeros(2)
    dy[0] = k * y[1]
    dy[1] = -y[0]
    return dy


def fills_all(y, k):
    dy = np.empty_like(np.zeros(2))
    dy[:] = k * y
    return dy


def fills_float32(y, k):
    dy = np.zeros(2, np.float32)
    dy[1:] = k * y[:1]
    return dy


def converts(y, k):
    return np.asarray(k * y, float)


def converts_contiguous(y, k):
    return np.ascontiguousarray(k * y, dtype=float)


def converts_one(y, k):
    return np.float64(k * y[0]) * y


def joins(y, k):
    return np.array([k * y[1], -y[0]], dtype=float)


def joins_then_converts(y, k):
    return np.array([k * y[1], -y[0]]).astype(float)


def iterates(y, k):
    return np.fromiter((k * each for each in y), float)


def calls_math(y, k):
    return math.sin(k * y[0]) * y


def calls_float(y, k):
    return float(k * y[0]) * y


def formats(y, k):
    return float("%.17f" % (k * y[0])) * y


def takes_item(y, k):
    return (k * y[0]).item() * y


def deep(y, k):
    return fills(y, k)


HIDDEN = [
    fills,
    fills_all,
    fills_float32,
    converts,
    converts_contiguous,
    converts_one,
    joins,
    joins_then_converts,
    iterates,
]
OPEN = [calls_math, calls_float, formats, takes_item]


def assert_said(call, f):
    """Assert that the last error names this file, a line of f, and what to write."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    said = str(caught.value)
    lines, first = inspect.getsourcelines(f)
    assert any(
        f"test_arrays_filled_in_f.py, line {first + n}, `{line.strip()}`: " in said
        for n, line in enumerate(lines)
        if n
    ), said
    remedy = r"np.array([y[1], -y[0]])" if f in HIDDEN else "np.sin for math.sin"
    assert remedy in said and "gradient would be lost" in said
    assert said.count("line ") == 1


def calls(f):
    """Return calls that differentiate f(y, k) in every way there is."""
    field = lambda t, y, k: f(y, k)
    of_k = [
        lambda k, way=way, options=options: odeint(field, Y, T, k, gradient=way, **options)
        for way in WAYS
        for options in (
            {"method": "dopri5"},
            {"method": "rk4"},
            {"method": "kvaerno3"},
            {"method": "implicit_midpoint", "step_size": 0.1},
        )
    ]
    of_k += [
        lambda k: odeint(compiled(field), Y, T, k),
        lambda k: odeint(field, Y, k * T, 1.0, gradient="discrete"),
        lambda k: odeint(lambda t, y: field(t, y, 1.0), k * Y, T),
        lambda k: odeint(lambda t, state, k: [field(t, state[0], k)], [Y], T, k)[0],
        lambda k: odeint_batch(
            lambda t, y, k: np.stack([field(0.0, row, k) for row in y]), Y[None], T, k
        ),
        lambda k: odeint_event(field, Y, 0.0, k, event=lambda t, y, k: t - 0.5, t_end=1.0)[1],
        lambda k: odeint_event(
            lambda t, y, k: -y,
            Y,
            0.0,
            k,
            event=lambda t, y, k: t - 0.5 + 0.01 * f(y, k)[0],
            t_end=9.0,
        )[0],
        lambda k: solve(lambda t, y: field(t, y, k), Y, T).y,
        lambda k: solve(field, Y, T, k).y,
        lambda k: root(lambda u, k: u - 0.1 * f(u, k) - 1.0, Y, k),
    ]
    found = [lambda g=g: grad(lambda k: np.sum(g(k)))(0.9) for g in of_k]
    found += [
        lambda: vjp(lambda y: f(y, 1.0), Y),
        lambda: jacobian(f)(Y, 1.0),
        lambda: hessian(lambda y: np.sum(f(y, 1.0)))(Y),
        lambda: program(lambda y: f(y, 1.0), Y),
        lambda: compiled(f)(Y, 1.0),
        lambda: grad(lambda k: grad(lambda k: np.sum(f(Y, k)))(k))(1.0),
    ]
    return found


@pytest.mark.parametrize("f", [*HIDDEN, *OPEN], ids=lambda f: f.__name__)
def test_the_line_of_f_and_what_to_write(f):
    for call in calls(f):
        assert_said(call, f)


def test_the_line_is_that_of_the_function_that_f_calls():
    assert_said(
        lambda: grad(lambda k: np.sum(odeint(lambda t, y, k: deep(y, k), Y, T, k)))(0.9), fills
    )


def test_what_to_write_instead_works():
    def f(t, y, k):
        return np.array([k * y[1], -y[0]])

    for way in WAYS:
        expected = grad(
            lambda k: np.sum(odeint(lambda t, y, k: np.stack([k * y[1], -y[0]]), Y, T, k))
        )(0.9)
        got = grad(lambda k: np.sum(odeint(f, Y, T, k, gradient=way, rtol=1e-8)))(0.9)
        np.testing.assert_allclose(got, expected, rtol=1e-4)


OF_OBJECTS = [
    np.mean,
    np.var,
    np.median,
    np.linalg.inv,
    np.linalg.det,
    np.isfinite,
    np.linalg.eigvalsh,
    lambda b: np.copysign(b, 1.0),
    lambda b: np.logaddexp(b, 1.0),
    lambda b: np.interp(b, [0, 1], [0, 1]),
    lambda b: np.sin(np.array([b[0, 0], 1.0])),
    lambda b: np.copyto(np.zeros((2, 2)), b),
]


@pytest.mark.parametrize("g", OF_OBJECTS, ids=str)
def test_an_array_of_traced_values_that_numpy_alone_refuses(g):
    f = lambda y: np.sum(g(np.array([[y[0], y[1]], [y[1], 3.0]])))
    field = lambda t, y, k: -k * y if type(y) is np.ndarray and type(k) is np.ndarray else f(y) * y
    line = r"test_arrays_filled_in_f\.py, line \d+, `.*`: .*np\.stack\(\["
    for call in (
        lambda: grad(f)(Y),
        lambda: hessian(f)(Y),
        lambda: grad(lambda k: np.sum(odeint(field, Y, T, k)))(np.ones(2)),
    ):
        with pytest.raises((TypeError, ValueError), match=line) as caught:
            call()
        assert str(caught.value).count("line ") == 1


def test_f_may_catch_what_is_refused():
    """And raise an error of its own, which is not replaced."""
    mine = ValueError("k must be plain")

    def f(y):
        try:
            return float(y[0]) * y
        except TypeError:
            raise mine from None

    def g(y):
        try:
            return math.sin(y[0]) * y
        except TypeError as error:
            raise mine from error

    for h in (f, g):
        with pytest.raises(ValueError, match="k must be plain") as caught:
            grad(lambda y, h=h: np.sum(h(y)))(Y)
        assert caught.value is mine


def test_a_solution_at_times_that_are_traced_in_part():
    solution = solve(lambda t, y: -y, Y, T)
    for times in (
        lambda k: k,
        lambda k: [k, 0.1],
        lambda k: (0.1, k),
        lambda k: np.array([0.1, k]),
        lambda k: [[k], [0.1]],
    ):
        with pytest.raises(
            TypeError,
            match=r"solution\(t\) computes plain numbers, and t is a traced value.*use odeint",
        ):
            grad(lambda k, times=times: np.sum(solution(times(k))))(0.5)


LIBRARY = {  # functions of a library that is installed, and not the user's
    "mean": lambda x: statistics.fmean([x, 1.0]),
    "density": lambda x: statistics.NormalDist(0.0, 1.0).cdf(x),
    "inside": lambda x: statistics.NormalDist(x, 1.0).pdf(0.0),
}


@pytest.mark.parametrize("kind", LIBRARY)
def test_the_line_is_the_users_where_a_library_takes_the_number(kind):
    f = LIBRARY[kind]
    _, line = inspect.getsourcelines(f)
    with pytest.raises(TypeError, match="float") as caught:
        grad(lambda y: np.sum(odeint(lambda t, y: -f(y[0]) * y, y, T)))(Y)
    said = str(caught.value)
    assert said.startswith(f"test_arrays_filled_in_f.py, line {line}, `"), said
    assert "which calls " in said and "statistics.py, line " in said and "custom_vjp" in said


def test_a_line_of_a_notebook_is_named_as_such(tmp_path):
    """A notebook's cells have files whose names are numbers that nobody knows."""
    folder = tmp_path / "ipykernel_17"
    folder.mkdir()
    cell, namespace = folder / "606169035.py", {"math": math}
    cell.write_text("def f(x):\n    return math.sin(x)\n", encoding="utf-8")
    exec(compile(cell.read_text(encoding="utf-8"), str(cell), "exec"), namespace)
    with pytest.raises(TypeError, match="a cell of the notebook, line 2"):
        grad(namespace["f"])(1.0)
