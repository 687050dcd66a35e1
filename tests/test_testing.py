"""The checks themselves: they must pass what is right, and fail what is wrong, or they check nothing."""

import numpy as np
import pytest

from tinyode import custom_vjp, stop_gradient
from tinyode.testing import central_difference, check_vjp, inner


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
