"""The checks themselves: they must pass what is right, and fail what is wrong, or they check nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import custom_vjp, stop_gradient, vjp
from tinyode.testing import axes, broadcasting_pairs, central_difference, check_vjp, complex_step, inner, matrices, reductions, shapes


def square_with(backward):
    @custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), backward)
    return square


def test_central_difference_is_of_order_four():
    errors = [abs(central_difference(np.exp, (np.array(0.3),), (np.array(1.0),), h) - np.exp(0.3)) for h in (0.2, 0.1, 0.05)]
    assert np.allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 4, atol=0.1)
    assert abs(central_difference(np.exp, (0.3,), (1.0,)) - np.exp(0.3)) < 1e-12
    d = central_difference(lambda p: {"y": p["a"] * p["b"]}, ({"a": 2.0, "b": np.ones(2)},), ({"a": 1.0, "b": np.zeros(2)},))
    np.testing.assert_allclose(d["y"], np.ones(2))


def test_inner():
    assert inner({"a": np.ones(2), "b": [2.0]}, {"a": np.array([1.0, 3.0]), "b": [5.0]}) == 14.0


@pytest.mark.parametrize("backward", [lambda x, g: (g * x,), lambda x, g: (-2 * g * x,), lambda x, g: (2 * g * x * (1 + 1e-5),),
                                      lambda x, g: (None,)])
def test_a_wrong_derivative_is_found(backward):
    x = np.array([0.5, 1.5, -2.0])
    check_vjp(square_with(lambda x, g: (2 * g * x,)), x, order=2)
    with pytest.raises(AssertionError, match="derivative 1: the vector-Jacobian product gives"):
        check_vjp(square_with(backward), x)


def test_a_missing_gradient_of_a_small_function_is_found():
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(lambda x: stop_gradient(1e-11 * np.sin(x)) + 0 * x, 0.3)


def test_a_wrong_second_derivative_is_found():
    """A backward function that is right, but hides from the engine how it depends on x."""
    hidden = square_with(lambda x, g: (2 * g * stop_gradient(x),))
    check_vjp(hidden, np.array([0.5, 1.5]), order=1)
    with pytest.raises(AssertionError, match="derivative 2: the vector-Jacobian product gives"):
        check_vjp(hidden, np.array([0.5, 1.5]), order=2)


def test_complex_step_is_right_to_rounding():
    f = lambda x, p: np.exp(x) * p["k"] / np.sqrt(np.sin(x)**3 + np.cos(x)**3)  # the example of Squire and Trapp
    x, k, v = 1.5, 2.0, 0.7
    exact = vjp(f, x, {"k": k})[1](1.0)[0] * v
    np.testing.assert_allclose(complex_step(f, (x, {"k": k}), (v, {"k": 0.0})), exact, rtol=1e-15)
    check_vjp(f, x, {"k": k}, difference=complex_step)
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(square_with(lambda x, g: (2 * g * x * (1 + 1e-11),)), np.array([0.5, 1.5]), difference=complex_step)
    with pytest.raises(TypeError, match="complex_step: f returned a real value for a complex argument"):
        complex_step(abs, (1.0,), (1.0,))


def test_an_order_that_checks_nothing_is_refused():
    with pytest.raises(ValueError, match="check_vjp: order=0 would check nothing"):
        check_vjp(np.sin, 1.0, order=0)


@given(st.data())
def test_what_is_drawn(data):
    shape = data.draw(shapes())
    axis = data.draw(axes(len(shape)))
    assert np.sum(np.ones(shape), axis=axis).ndim <= len(shape)
    a, b = data.draw(broadcasting_pairs())
    assert len(np.broadcast_shapes(a, b)) <= 3
    shape, axis, keepdims = data.draw(reductions())
    assert np.sum(np.ones(shape), axis=axis, keepdims=keepdims).ndim == len(shape) or not keepdims
    A = data.draw(matrices(3, (2,)))
    assert A.shape == (2, 3, 3) and np.all(np.linalg.cond(A) < 10) and np.all(np.diff(np.linalg.eigvalsh(A)) > 1)
