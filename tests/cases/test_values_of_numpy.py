"""The value under a derivative is NumPy's own, or the call is refused."""

import functools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds, spaced

from tinyode import compiled, program, vjp
from tinyode.testing import check_vjp

OPTIONS = {  # keyword: what is drawn for it, for an array x
    "axis": lambda rng, x: [None, 0, -1, (0,), tuple(range(x.ndim)), (-1, 0)][rng.integers(6)],
    "keepdims": lambda rng, x: bool(rng.integers(2)),
    "where": lambda rng, x: rng.random(x.shape[rng.integers(x.ndim + 1) :]) < 0.7,
    "initial": lambda rng, x: [0, 1.5, -100.0, np.float64(2.0)][rng.integers(4)],
    "ddof": lambda rng, x: [0, 1, 2, 0.5, 5][rng.integers(5)],
    "correction": lambda rng, x: rng.integers(3),
    "dtype": lambda rng, x: [None, np.float32, float][rng.integers(3)],
    "method": lambda rng, x: ["linear", "lower", "nearest", "hazen"][rng.integers(4)],
    "returned": lambda rng, x: bool(rng.integers(2)),
    "weights": lambda rng, x: rng.uniform(0.5, 2.0, x.shape).astype("fd"[rng.integers(2)]),
    "ord": lambda rng, x: [None, 1, 2, -1, 3, 2.5, np.inf, -np.inf, 0, "fro"][rng.integers(10)],
}
REDUCTIONS = {
    np.sum: "axis keepdims where initial dtype",
    np.prod: "axis keepdims where initial dtype",
    np.max: "axis keepdims where initial",
    np.mean: "axis keepdims where dtype",
    np.var: "axis keepdims where ddof dtype correction",
    np.std: "axis keepdims where ddof correction",
    np.nansum: "axis keepdims where initial dtype",
    np.nanprod: "axis keepdims where initial",
    np.nanmean: "axis keepdims where dtype",
    np.nanvar: "axis keepdims where ddof correction",
    np.nanstd: "axis keepdims where ddof dtype",
    np.nanmax: "axis keepdims where initial",
    np.median: "axis keepdims",
    np.nanmedian: "axis keepdims",
    np.ptp: "axis keepdims",
    np.average: "axis keepdims weights returned",
    np.quantile: "axis keepdims method",
    np.nanpercentile: "axis keepdims method",
    np.cumsum: "axis dtype",
    np.cumprod: "axis dtype",
    np.nancumprod: "axis",
    np.linalg.norm: "axis keepdims ord",
    np.add.reduce: "axis keepdims where initial",
    np.multiply.reduce: "axis keepdims where initial",
    np.multiply.accumulate: "axis",
}


@given(seeds, st.sampled_from(list(REDUCTIONS)))
@settings(max_examples=500)
def test_keywords(seed, function):
    rng = np.random.default_rng(seed)
    (x,) = spaced(rng, tuple(rng.integers(1, 5, rng.integers(1, 4))))
    if "nan" in function.__name__:
        x[rng.random(x.shape) < 0.3] = np.nan
    options = {
        key: OPTIONS[key](rng, x) for key in REDUCTIONS[function].split() if rng.random() < 0.5
    }
    more = [0.3] if function in (np.quantile, np.nanpercentile) else []
    f = lambda x: function(x, *more, **options)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = f(x)
        except (TypeError, ValueError):
            return
        try:
            found, _ = vjp(f, x)
        except TypeError:  # refused
            return
    for a, b in zip(np.atleast_1d(found), np.atleast_1d(expected)):
        rounding = 100 * np.finfo(b.dtype).eps
        np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding)
    dtypes = [
        [getattr(y, "dtype", None) for y in (z if type(z) is tuple else (z,))]
        for z in (found, expected)
    ]
    assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize("function", [np.prod, np.cumprod, np.nanprod, np.nancumprod])
@given(seeds)
def test_products_overflow_where_numpys_do(function, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, rng.integers(1, 3)))
    x = 10.0 ** rng.uniform(-250.0, 250.0, shape)
    for axis in (None, 0, -1):
        with np.errstate(all="ignore"):
            f = functools.partial(function, axis=axis)
            np.testing.assert_allclose(vjp(f, x)[0], f(x), rtol=1e-12)
            np.testing.assert_allclose(vjp(compiled(f), x)[0], f(x), rtol=1e-12)
    x = np.array([1e-200, 1e-100, 1e200, 1e200])
    assert vjp(np.prod, x)[0] == np.prod(x) == vjp(np.cumprod, x)[0][-1] == 1e100


@given(seeds, st.sampled_from([np.prod, np.cumprod]))
def test_derivatives_of_products_with_zeros(seed, function):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 3)))
    x = rng.uniform(0.5, 1.5, shape) * (rng.random(shape) < 0.7)
    for axis in (None, 0, -1):
        check_vjp(lambda x, axis=axis: function(x, axis=axis) + np.sum(np.exp(x)), x, order=3)
    if function is np.prod:
        options = {"where": rng.random(shape) < 0.6, "initial": 2.0, "keepdims": True}
        check_vjp(lambda x: np.prod(x, axis=-1, **options) + np.sum(np.exp(x)), x, order=3)


def test_products_of_a_number_and_of_nothing():
    for f in (lambda x: np.prod(x, axis=0), lambda x: np.cumprod(x, axis=-1), np.prod, np.cumprod):
        assert vjp(f, 3.0)[1](np.ones_like(f(3.0)))[0] == 1.0
        value, pullback = vjp(f, np.ones(0))
        assert pullback(np.ones_like(value))[0].shape == (0,)


@pytest.mark.parametrize("function", [np.nanvar, np.nanstd])
def test_variances_of_too_few_numbers(function):
    x = np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 4.0], [np.nan, 3.0, np.nan]])
    for ddof in (0, 1, 2, 3, 5):
        f = functools.partial(function, axis=1, ddof=ddof)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found, expected = vjp(f, x)[0], f(x)
        np.testing.assert_allclose(found, expected, rtol=1e-14)


@given(seeds)
def test_linspace(seed):
    rng = np.random.default_rng(seed)
    start, stop = rng.normal(size=(3, 1)), rng.normal(size=2)
    num, axis, endpoint = int(rng.integers(5)), int(rng.integers(-1, 2)), bool(rng.integers(2))
    f = lambda start, stop: np.linspace(start, stop, num, endpoint, axis=axis)
    np.testing.assert_array_equal(vjp(f, start, stop)[0], f(start, stop))
    if num:
        check_vjp(f, start, stop)
    with_step = lambda start, stop: np.linspace(start, stop, num, endpoint, retstep=True)
    for f in (with_step, compiled(with_step)):
        points, step = vjp(f, start, stop)[0]
        points_of_numpy, step_of_numpy = np.linspace(start, stop, num, endpoint, retstep=True)
        np.testing.assert_array_equal(points, points_of_numpy)
        np.testing.assert_array_equal(step, step_of_numpy)
        assert np.shape(step) == np.shape(step_of_numpy)


@pytest.mark.parametrize("stop", [np.inf, np.nan, 5.0])
def test_the_last_point_of_linspace_is_the_stop(stop):
    with np.errstate(all="ignore"):
        for start in (1.0, np.inf, np.nan):
            found = vjp(lambda a, b: np.linspace(a, b, 4), start, stop)[0]
            np.testing.assert_array_equal(found, np.linspace(start, stop, 4))


def test_a_slope_does_not_see_the_value_between():
    for middle in (np.nan, np.inf, 1e300):
        y = np.array([1.0, middle, 3.0, 7.0])
        for grid in ((), (0.5,), (np.arange(4.0),)):
            expected = np.gradient(y, *grid)
            value, pullback = vjp(lambda y, grid=grid: np.gradient(y, *grid), y)
            np.testing.assert_array_equal(value, expected)
            assert pullback(np.array([0.0, 1.0, 0.0, 0.0]))[0][1] == 0.0
    check_vjp(lambda y, x: np.gradient(y, x), np.arange(5.0) ** 2, np.arange(5.0))
    check_vjp(lambda y, h: np.gradient(y, h), np.arange(5.0) ** 2, 0.5)


def test_interpolation_from_a_node_at_infinity():
    xp, fp = np.array([-np.inf, 0.0, 1.0, np.inf]), np.array([2.0, 3.0, 5.0, 7.0])
    x = np.array([-1e300, -2.0, 0.0, 0.5, 1.0, 3.0])
    value, pullback = vjp(lambda x: np.interp(x, xp, fp), x)
    np.testing.assert_array_equal(value, np.interp(x, xp, fp))
    np.testing.assert_array_equal(pullback(np.ones(6))[0], [0.0, 0.0, 2.0, 2.0, 0.0, 0.0])


def test_products_refuse_the_lengths_that_numpy_refuses():
    matvec = getattr(np, "matvec", np.dot)  # from NumPy 2.2 on
    for f in (np.vecdot, np.linalg.vecdot, matvec, np.dot, np.inner):
        with pytest.raises(ValueError, match=r"mismatch|aligned"):
            vjp(f, np.ones((2, 1)), np.ones(3))
    assert vjp(lambda a: np.linalg.multi_dot([a, 2.0]), np.ones((2, 1)))[0].shape == (2, 1)


def number(x):
    return np.asarray(x[0])  # an array without an axis, of objects


def filled(x):
    made = np.empty(2, object)
    made[0], made[1] = number(x), 1.0
    return made


NUMBERS_IN_ARRAYS = [
    lambda x: np.array([number(x), 1.0]),
    lambda x: np.array([[number(x)], [1.0]]),
    lambda x: [np.array([number(x), 1.0])],
    lambda x: np.concatenate([[number(x)], [1.0]]),
    lambda x: np.pad(number(x), 1),
    lambda x: np.array([number([number(x)]), 1.0]),
    filled,
]


@pytest.mark.parametrize("f", NUMBERS_IN_ARRAYS)
def test_a_number_in_an_array_without_an_axis_keeps_its_gradient(f):
    for g in (
        f,
        lambda x: np.sum(x * np.ravel(f(x))[0]),
        lambda x: np.tanh(x[0]) * 1.0 + np.sum(f(x)),
    ):
        value, _ = vjp(g, np.array([0.5, 2.0]))
        value = value[0] if isinstance(value, list) else value
        assert value.dtype == float
        check_vjp(g, np.array([0.5, 2.0]))


def test_compiled_sums_with_settings_by_position():
    f = lambda x: np.sum(np.floor(x), 0, None, None, True, 5.0) * x
    x = np.array([[2.0, 3.0]])
    np.testing.assert_array_equal(compiled(f)(x), f(x))
    np.testing.assert_array_equal(program(f, x)(x), f(x))


def test_compiled_lists_times_whole_numbers():
    x = np.array([1.0, 2.0])
    two = lambda x: np.count_nonzero(x > 0)
    for f in (lambda x: np.multiply([1.0], two(x)) * x, lambda x: np.multiply(two(x), (1.0,)) * x):
        np.testing.assert_array_equal(compiled(f)(x), f(x))
        np.testing.assert_array_equal(program(f, x)(x), f(x))
    for f in (lambda x: np.array([1.0] * two(x)) * x, lambda x: two(x) * (1.0,) * x):
        with pytest.raises(TypeError, match="a number of repetitions"):
            compiled(f)(x)


@pytest.mark.parametrize("dtype", [int, float])
@pytest.mark.parametrize(
    "f",
    [
        lambda x, out: np.take(x, [0, 1], 0, out),
        lambda x, out: np.compress([1, 1], x, 0, out),
        lambda x, out: np.choose([0, 0], [x, x], out),
    ],
)
def test_moved_elements_are_not_written_into_an_array(f, dtype):
    out = np.zeros(2, dtype)
    with pytest.raises(TypeError, match="out= would overwrite"):
        vjp(lambda x: f(x, out), np.ones(2))
    assert not out.any()
