"""The root of an equation has as many digits in metres as in nanometres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from tinyode import NewtonError, root, value_and_grad


@given(st.floats(-100, 100), st.floats(-0.9, 3), st.sampled_from([2, 3, -1]))
def test_powers_of_any_size(size, start, power):
    """The root of u^n = p, and its derivative p^(1/n) / (n p), for p from 1e-100 to 1e100."""
    p = 10.0**size
    u = p ** (1 / power)
    u0 = u * (10.0**start if power > 0 else 10.0 ** -max(start, 0) * 0.9)
    found, slope = value_and_grad(lambda p: root(lambda u, p: u**power / p - 1, u0, p))(p)
    np.testing.assert_allclose(found, u, rtol=1e-9)
    np.testing.assert_allclose(slope, u / power / p, rtol=1e-9)


@pytest.mark.parametrize("tol", [1e-10, 1e-6])
@pytest.mark.parametrize("size", [1e-150, 1e-24, 1e-12, 1.0, 1e24])
def test_the_square_root_of_the_issue(size, tol):
    found, slope = value_and_grad(lambda p: root(lambda u, p: u * u - p, 10 * size, p, tol=tol))(
        size * size
    )
    np.testing.assert_allclose([found, slope], [size, 0.5 / size], rtol=10 * tol)


def test_far_from_a_small_root():
    """From 1 to 1e-17 is sixty halvings."""
    u = root(lambda u, p: u * u - p, 1.0, 1e-34, max_steps=100)
    np.testing.assert_allclose(u, 1e-17, rtol=1e-9)


@given(st.integers(1, 5), seeds)
def test_systems_in_any_units(n, seed):
    """Each unknown and each equation has a unit of its own, and the digits stay the same."""
    rng = np.random.default_rng(seed)
    A, b = 0.3 * rng.normal(size=(n, n)), rng.normal(size=n)
    units, of_equations = 10.0 ** rng.integers(-20, 20, n), 10.0 ** rng.integers(-20, 20, n)
    f = lambda u, b: u + np.tanh(A @ u) + 0.1 * u**3 - b
    plain = root(f, np.zeros(n), b, tol=1e-13)
    scaled = root(lambda v, b: of_equations * f(v / units, b), 0.5 * units, b)
    np.testing.assert_allclose(scaled / units, plain, rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize(
    "f, u0",
    [
        (lambda u: np.exp(u) - 1, 0.5),
        (lambda u: np.sin(u), 0.4),
        (lambda u: u * u + u, 0.3),
        (lambda u: (u + 1 / 3) - 1 / 3, 0.7),
        (lambda u: np.sinh(u) + (1e3 + u) - 1e3, 2.0),
    ],
)
def test_a_root_at_zero(f, u0):
    with np.errstate(invalid="ignore"):  # a trial step may leave the domain
        assert abs(root(f, u0)) < 1e-12


@given(st.integers(2, 5), seeds)
def test_components_that_are_zero(n, seed):
    """They are what the rounding of the others makes of them."""
    rng = np.random.default_rng(seed)
    A, exact = rng.normal(size=(n, n)) + 3 * np.eye(n), rng.normal(size=n)
    exact[0] = 0.0
    for f in (lambda u: A @ u - A @ exact, lambda u: A @ np.sinh(u) - A @ np.sinh(exact)):
        np.testing.assert_allclose(root(f, exact + 0.3 * rng.normal(size=n)), exact, atol=1e-9)


def test_float32():
    u = root(lambda u: u * u - np.float32(1e-20), np.float32(3e-10))
    assert u.dtype == np.float32
    np.testing.assert_allclose(u, 1e-10, rtol=1e-5)


def test_a_root_at_zero_of_a_function_that_is_rounded():
    """log(1 + u) is zero for u below 1e-16, so the digits of u are never known."""
    f = lambda u: np.log(1 + u) + 0.1 * u
    with np.errstate(invalid="ignore"):
        assert abs(root(f, 0.2, atol=1e-12)) < 1e-12
        with pytest.raises(NewtonError, match="where u is to be zero, give atol"):
            root(f, 0.2)
    for wrong in (-1.0, np.nan, np.inf, "a", True):
        with pytest.raises(
            ValueError, match=r"root: atol=.* must be a number that is not negative"
        ):
            root(f, 0.2, atol=wrong)
