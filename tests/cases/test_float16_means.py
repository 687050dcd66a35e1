"""Means of float16 are those of NumPy, summed in float32, and their gradients are right."""

import numpy as np
import pytest

from tinyode import grad, vjp

HALF = np.float16
rng = np.random.default_rng(0)
ARRAYS = {
    "many": np.full(70000, 3, HALF),
    "more than are counted exactly": rng.normal(size=2049).astype(HALF),
    "large": rng.uniform(1e4, 6e4, (40, 3)).astype(HALF),
    "small": (rng.normal(size=(3000, 2)) * 1e-3).astype(HALF),
    "few": rng.normal(size=(7, 5)).astype(HALF),
    "some missing": (
        np.where(rng.random((50, 3)) < 0.1, np.nan, rng.normal(size=(50, 3))).astype(HALF)
    ),
    "a number": HALF(2.5),
}
MEANS = {
    "mean": np.mean,
    "mean by rows": lambda x: np.mean(x, axis=0),
    "mean kept": lambda x: np.mean(x, axis=-1, keepdims=True),
    "mean of some": lambda x: np.mean(x, where=np.arange(x.shape[-1]) % 2 == 0),
    "method": lambda x: x.mean(),
    "average": np.average,
    "average by rows": lambda x: np.average(x, axis=0),
    "weighted": lambda x: np.average(x, axis=0, weights=np.linspace(1, 2, len(x)).astype(HALF)),
    "nanmean": np.nanmean,
    "nanmean by rows": lambda x: np.nanmean(x, axis=0),
    "var": np.var,
    "var by rows": lambda x: np.var(x, axis=0, ddof=1),
    "var of some": lambda x: np.var(x, where=np.arange(x.shape[-1]) % 2 == 0),
    "std": np.std,
    "nanvar": np.nanvar,
    "nanstd": lambda x: np.nanstd(x, axis=0),
    "norm": lambda x: np.linalg.norm(x, axis=0),
}
OF_NUMBERS = {"mean", "method", "average", "nanmean", "var", "std", "nanvar"}
BY_ONE_AXIS = [name for name in MEANS if name not in OF_NUMBERS]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's variances of large numbers overflow
@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("how", MEANS)
def test_means(how, array):
    f, x = MEANS[how], ARRAYS[array]
    if how in BY_ONE_AXIS and np.ndim(x) == 0:
        return
    expected = f(x)
    # Sums are taken in another order, and NumPy's std is the root of a float16.
    atol = {"small": 5e-6, "some missing": 1e-4}.get(array, 1e-7)
    value, pullback = vjp(f, x)
    assert value.dtype == HALF == expected.dtype and np.shape(value) == np.shape(expected)
    np.testing.assert_allclose(value.astype(float), expected.astype(float), rtol=3e-3, atol=atol)
    (found,) = pullback(np.ones_like(value))
    assert found.dtype == HALF and np.shape(found) == np.shape(x)
    if np.all(np.isfinite(value)):
        exact = grad(lambda x: np.sum(f(x)))(x.astype(float))
        np.testing.assert_allclose(
            found.astype(float), exact, rtol=5e-2, atol=2e-3 * np.nanmax(np.abs(exact)) + 6e-8
        )


@pytest.mark.filterwarnings("ignore:overflow")  # NumPy's average of many counts in float16
@pytest.mark.parametrize(
    "how", ["mean", "mean by rows", "mean kept", "mean of some", "method", "average"]
)
@pytest.mark.parametrize(
    "array", ["many", "more than are counted exactly", "large", "small", "few"]
)
def test_means_are_numpys_to_the_bit(how, array):
    np.testing.assert_array_equal(vjp(MEANS[how], ARRAYS[array])[0], MEANS[how](ARRAYS[array]))


def test_the_sum_of_the_weights():
    y, total = vjp(lambda x: np.average(x, axis=0, returned=True), ARRAYS["small"])[0]
    expected = np.average(ARRAYS["small"], axis=0, returned=True)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(total, expected[1])


def test_second_derivatives():
    x = ARRAYS["few"]
    second = vjp(lambda x: grad(lambda x: np.var(x) + np.mean(x) ** 2)(x), x)[1](np.ones_like(x))[0]
    np.testing.assert_allclose(
        second.astype(float), np.full(x.shape, 2 / x.size), rtol=2e-2, atol=1e-3
    )
