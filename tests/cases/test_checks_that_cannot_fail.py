"""`check_vjp` finds a wrong pullback at every scale, and says so where there is nothing to find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import custom_vjp, jacobian, odeint, stop_gradient
from tinyode.testing import central_difference, check_odeint, check_vjp, complex_step, inner


def quadratic(factor, wrong=1.0):
    """Return x -> x + x^2 / factor, its pullback multiplied by ``wrong``."""

    @custom_vjp
    def f(x):
        return x + x * (x / factor)

    f.defvjp(lambda x: (f(x), x), lambda x, g: (wrong * g * (1 + 2 * (x / factor)),))
    return f


def linear(slope, wrong):
    @custom_vjp
    def f(x):
        return slope * x

    f.defvjp(lambda x: (f(x), None), lambda _, g: (wrong * slope * g,))
    return f


WRONG = [7.0, -1.0, 0.0, 1.001]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("difference", [central_difference, complex_step])
@pytest.mark.parametrize("exponent", [-200, -170, -100, 0, 10, 100, 153, 160, 200, 280])
def test_a_wrong_pullback_of_any_size_is_found(exponent, difference, wrong):
    """Whether the slope is large, or the primal, or both."""
    scale = 10.0**exponent
    x = np.array([0.5, -1.5])
    for slope, at in [
        (scale, x),
        (1.0, scale * x),
        (scale**0.5, scale**0.5 * x),
        (1 / scale, scale * x),
    ]:
        check_vjp(linear(slope, 1.0), at, difference=difference)
        with pytest.raises(AssertionError, match="derivative 1: the vector-Jacobian product gives"):
            check_vjp(linear(slope, wrong), at, difference=difference)


@pytest.mark.parametrize("exponent", [0, 6, 30, 100, 160, 250])
def test_large_primals(exponent):
    """A step of 7e-4 would be lost in their rounding."""
    scale = 10.0**exponent
    at = scale * np.array([0.5, -1.5, 1.0])
    check_vjp(quadratic(scale), at)
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(quadratic(scale, wrong=7.0), at)
    check_vjp(lambda x, y: np.sin(x) * y, np.array([0.3, 1.2]), at[:2])
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(lambda x, y: stop_gradient(np.sin(x)) * y + 0 * x, np.array([0.3, 1.2]), at[:2])


@given(st.integers(-290, 290), st.sampled_from(WRONG), st.integers(1, 3))
def test_a_wrong_pullback_is_found_at_any_exponent(exponent, wrong, n):
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(linear(10.0**exponent, wrong), np.ones(n))


def test_a_wrong_second_derivative_is_found_at_any_size():
    for scale in (1e-200, 1.0, 1e160):

        @custom_vjp
        def square(x, scale=scale):
            return scale * x * x

        square.defvjp(
            lambda x, s: (s * x * x, (x, s)),
            lambda r, g: (2 * r[1] * g * stop_gradient(r[0]), None),
        )
        check_vjp(square, np.array([0.5, 1.5]), order=1)
        with pytest.raises(AssertionError, match="derivative 2"):
            check_vjp(square, np.array([0.5, 1.5]), order=2)


@pytest.mark.parametrize(
    "f, primals",
    [
        (lambda: 2.0, ()),
        (lambda x: x, (np.ones(0),)),
        (lambda x: np.sum(x), (np.ones((3, 0)),)),
        (lambda x: x[:0], (np.ones(3),)),
        (lambda x: (), (np.ones(3),)),
        (lambda x: {}, (1.0,)),
        (lambda x: [x[:0], {"a": x[1:1]}], (np.ones(3),)),
        (lambda p: 1.0, ([],)),
        (lambda x, y: np.sum(x) + np.sum(y), (np.ones(0), np.ones((0, 2)))),
    ],
)
def test_nothing_to_check_is_an_error(f, primals):
    with pytest.raises(ValueError, match=r"check_vjp: there is nothing to check, .* no elements"):
        check_vjp(f, *primals)


def test_an_empty_primal_beside_others_is_no_error():
    check_vjp(lambda x, y: np.sin(x) + np.sum(y), 0.3, np.ones(0))


@pytest.mark.parametrize(
    "f, x",
    [
        (lambda x: x * 1e300, 1e10),
        (lambda x: 1 / x, 0.0),
        (lambda x: np.sum(x), np.full(2, 1.7e308)),
        (lambda x: x * np.nan, 1.0),
        (lambda x: x * np.inf, 1.0),
        (np.sin, np.inf),
        (np.sin, np.nan),
        (lambda x: np.exp(x), 800.0),
    ],
)
def test_what_is_not_finite_is_not_passed(f, x):
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="not finite, or too large"):
        check_vjp(f, np.asarray(x))


@pytest.mark.parametrize("slope", [1e-200, 1.0, 1e200])
def test_a_constant_is_checked_against_zero(slope):
    @custom_vjp
    def f(x):
        return 0.0 * x

    check_vjp(lambda x: 3.0 + 0 * x, 0.3)
    f.defvjp(lambda x: (f(x), None), lambda _, g: (slope * g,))
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(f, 0.3)


def test_differences_of_large_values():
    """No overflow on the way to a result that is a number."""
    assert central_difference(lambda x: 1e303 * x, (1.0,), (1.0,)) == pytest.approx(1e303)
    assert central_difference(lambda x: 8e307 * x, (0.0,), (1.0,)) == pytest.approx(8e307)
    assert inner([1e200, 1.0], [1e100, 2.0]) == 1e300


def sine(forward=lambda y: y, keep=lambda x: x, backward=lambda x: np.cos(x)):
    """Return the sine, with a derivative by hand that has its mistakes."""

    @custom_vjp
    def f(x):
        return np.sin(x)

    f.defvjp(lambda x: (forward(np.sin(x)), keep(x)), lambda x, g: (np.sum(g) * backward(x),))
    return f


OTHER_VALUES = {
    "an offset": lambda y: y + 1.0,
    "a factor": lambda y: 1.00001 * y,
    "an axis more": lambda y: np.reshape(y, (1,)),
    "another container": lambda y: [y],
    "nan": lambda y: y * np.nan,
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", OTHER_VALUES)
def test_a_forward_function_with_another_value_is_found(kind, order):
    """Whose gradient is right, and that of all that is made of it wrong."""
    check_vjp(sine(), 0.5, order=order)
    with pytest.raises(AssertionError, match=r"1: f returns .* for plain numbers, and .* forward"):
        check_vjp(sine(OTHER_VALUES[kind]), 0.5, order=order)


def halves(x):
    x *= 0.5
    return np.cos(2 * x)


def counting():
    calls = []
    return lambda x: calls.append(x) or np.cos(x) * len(calls)


@pytest.mark.parametrize("make", [lambda: halves, counting])
def test_a_pullback_that_is_right_once_is_found(make):
    """As `jacobian`, which calls it for each row, would have it."""
    with pytest.raises(AssertionError, match="derivative 1: the pullback, called twice"):
        check_vjp(sine(keep=np.array, backward=make()), 0.5, order=1)
    once = sine(keep=np.array, backward=make())
    f = lambda x: np.stack([once(x), 2.0 * x])
    np.testing.assert_allclose(jacobian(f)(0.5)[0], np.cos(0.5))


@given(st.sampled_from([np.float64, np.float32, np.float16]), st.integers(-3, 1), st.integers(0, 9))
def test_other_ways_to_compute_the_same_value_pass(dtype, exponent, seed):
    @custom_vjp
    def f(x):
        return np.log(np.sum(np.exp(x)))

    def forward(x):
        top = np.max(x)
        y = top + np.log(np.sum(np.exp(x - top)))
        return y, np.exp(x - y)

    f.defvjp(forward, lambda p, g: (g * p,))
    x = np.random.default_rng(seed).normal(size=5) * 2.0**exponent
    check_vjp(f, x.astype(dtype), order=1, rtol=1e-7 if dtype is np.float64 else 1e-2)


@pytest.mark.parametrize("wrong", [lambda y: 1.01 * y, lambda y: y[1:], lambda y: {"y": y}])
def test_check_odeint_looks_at_plain_values(wrong):
    def another(f, y0, t, *args):
        y = odeint(f, y0, t, *args, rtol=1e-7)
        return wrong(y) if type(y) is np.ndarray else y

    with pytest.raises(AssertionError, match="the values for plain numbers"):
        check_odeint(another, max_examples=1)
