"""The numbers of a method, read off its step, and written as code."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from tinyode.solvers.tableaus import TABLEAUS
from tinyode.testing.measured import corrections, lines, measured, merged, replayed, runge_kutta

EXPLICIT = [m for m in TABLEAUS.values() if not m.implicit]


def step_of(a, b, c):
    """Return a step as a student writes it from a tableau."""

    def step(f, t, y, h):
        k = []
        for i in range(len(b)):
            k.append(f(t + c[i] * h, y + h * sum(a[i][j] * k[j] for j in range(i))))
        return y + h * sum(b[i] * k[i] for i in range(len(b)))

    return step


@pytest.mark.parametrize("method", EXPLICIT, ids=lambda m: m.name)
def test_the_numbers_of_a_method_are_read_off(method):
    found = measured(step_of(method.a, method.b, method.c), method.stages, 0.5)
    assert found.plain
    np.testing.assert_allclose(found.a, method.a, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.b, method.b, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.c, method.c, rtol=0, atol=1e-15)


@given(seeds)
def test_any_method_is_read_off_and_replayed(seed):
    rng = np.random.default_rng(seed)
    a, b, c = np.tril(rng.normal(size=(4, 4)), -1), rng.normal(size=4), rng.normal(size=4)
    step = step_of(a, b, c)
    found = measured(step, 4, 0.5)
    np.testing.assert_allclose(found.value, runge_kutta(a, b, c).value, rtol=0, atol=1e-14)
    arguments = lambda t, y: np.sin(t + y), 0.3, rng.normal(size=3), 0.2
    expected = step(*arguments)  # its terms, of size one, may cancel
    np.testing.assert_allclose(replayed(found, *arguments), expected, rtol=1e-13, atol=1e-14)


def test_a_method_is_written_as_code():
    rk4 = TABLEAUS["rk4"]
    assert lines(runge_kutta(rk4.a, rk4.b, rk4.c)) == [
        "k1 = f(t, y)",
        "k2 = f(t + h/2, y + h/2*k1)",
        "k3 = f(t + h/2, y + h/2*k2)",
        "k4 = f(t + h, y + h*k3)",
        "return y + h/6*k1 + h/3*k2 + h/3*k3 + h/6*k4",
    ]


@pytest.mark.parametrize(
    "step, code",
    [
        (lambda f, t, y, h: y - h * f(t, y), "return y - h*k1"),
        (lambda f, t, y, h: f(t, y), "return k1"),
        (lambda f, t, y, h: -f(t, y), "return -k1"),
        (lambda f, t, y, h: f(t, y) / 2, "return 1/2*k1"),
        (lambda f, t, y, h: y + h**2 * f(t, y) / 2, "return y + h**2/2*k1"),
        (lambda f, t, y, h: 2 * y + 0.333 * h * f(t, y), "return 2*y + 0.333*h*k1"),
        (lambda f, t, y, h: y + h * np.pi * f(t, y), "return y + 3.14159*h*k1"),
        (lambda f, t, y, h: y + h * 19372 / 6561 * f(t, y), "return y + 19372*h/6561*k1"),
        (lambda f, t, y, h: y + h * f(2 * t + 1 / 2, y), "k1 = f(2*t + 1/2, y)"),
        (lambda f, t, y, h: y + h * f(0 * t, 0 * y), "k1 = f(0, 0)"),
    ],
)
def test_what_is_no_method_is_written_as_it_is(step, code):
    assert code in lines(measured(step, 1, 0.5))


def test_a_slope_that_is_asked_for_twice_is_one_slope():
    heun = lambda f, t, y, h: y + h / 2 * (f(t, y) + f(t + h, y + h * f(t, y)))
    method = measured(heun, 3, 0.5)
    once = merged(method)
    assert lines(once) == ["k1 = f(t, y)", "k2 = f(t + h, y + h*k1)", "return y + h/2*k1 + h/2*k2"]


def test_what_is_not_linear_in_the_slopes_or_asks_more_often_is_not_measured():
    assert measured(lambda f, t, y, h: y + h * f(t, y), 201, 0.5) is None
    assert measured(lambda f, t, y, h: y + h * f(t, y) + h * f(t, y), 1, 0.5) is None
    assert measured(lambda f, t, y, h: y + np.sin(t) * f(t, y), 1, 0.5) is None


@pytest.mark.parametrize("method", [m for m in EXPLICIT if m.order < 8], ids=lambda m: m.name)
def test_a_line_that_is_wrong_is_corrected(method):
    """The time, the state or the weight of one stage is wrong.

    The last stage of some methods is for the error estimate alone: its time and state do not count.
    """
    right = runge_kutta(method.a, method.b, method.c)
    for i in range(method.stages):
        a, b, c = method.a.copy(), method.b.copy(), method.c.copy()
        b[i] += 0.1
        wrong = [runge_kutta(method.a, b, method.c)]
        if a[i].any() and (b[i] != 0.1 or a[:, i].any()):
            a[i], c[i] = 0, c[i] + 0.1
            wrong += [runge_kutta(a, b=method.b, c=method.c), runge_kutta(method.a, method.b, c)]
        for near in wrong:
            found = corrections(near, method.order)
            assert lines(right) in [lines(x) for x in found], (i, lines(near))


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0])
def test_a_stage_that_goes_too_far_is_corrected(factor):
    """Kutta's method of order 3, which the library lacks."""
    a, b, c = np.zeros((3, 3)), np.array([1, 4, 1]) / 6, np.array([0, 1 / 2, 1])
    a[1, 0], a[2] = 1 / 2, [-1, 2, 0]
    right = runge_kutta(a.copy(), b, c.copy())
    for i in (1, 2):
        wrong_a, wrong_c = a.copy(), c.copy()
        wrong_a[i] *= factor
        wrong_c[i] *= factor
        for wrong in (runge_kutta(wrong_a, b, wrong_c), runge_kutta(wrong_a, b, c)):
            assert lines(right) in [lines(x) for x in corrections(wrong, 3)]
