"""Every rule of the table has NumPy's numbers, and the derivatives of central differences.

First and second order, over drawn shapes and broadcasting.
"""

import ast
import operator
import pathlib
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_cases import (
    ARRAYS,
    BINARY,
    CHOOSING,
    ELSEWHERE,
    MATRICES,
    METHODS_OF_UFUNCS,
    ON_THE_VALUE,
    REDUCTIONS,
    UNARY,
    name,
    w,
)
from strategies import broadcasting_pairs, matrices, reductions, seeds, shapes, spaced, uniform

from tinyode import grad, hessian, jacobian, jvp, tree, vjp
from tinyode.autodiff import rules
from tinyode.autodiff.rules.table import DERIVED, PLAIN, RULES
from tinyode.testing import central_difference, check_vjp, inner


def check_rule(function, *primals):
    """Same value as NumPy, first and second derivative right, float32 kept as NumPy keeps it."""
    value, _ = vjp(function, *primals)
    expected = function(*primals)
    assert tree.flatten(value)[1] == tree.flatten(expected)[1]
    for y, z in zip(tree.flatten(value)[0], tree.flatten(expected)[0]):
        np.testing.assert_allclose(y, z, rtol=1e-11, atol=1e-13)
        assert np.shape(y) == np.shape(z)
    if sum(np.size(y) for y in tree.flatten(value)[0]):
        check_vjp(lambda *p: tree.map(lambda y: y * y, function(*p)), *primals)
    else:
        for c, x in zip(vjp(function, *primals)[1](value), primals):
            assert np.shape(c) == np.shape(x) and c.dtype == float and not np.any(c)
    check_rows(function, *primals)
    singles = [np.asarray(x, np.float32)[()] for x in primals]
    value, pullback = vjp(function, *singles)
    for y, z in zip(tree.flatten(value)[0], tree.flatten(function(*singles))[0]):
        assert y.dtype == z.dtype
    for c, x in zip(pullback(tree.map(np.ones_like, value)), singles):
        assert c.dtype == np.float32 and c.shape == x.shape


def check_rows(function, *primals):
    """All rows of the Jacobian, from one sweep, add up to the pullback of any cotangent."""
    value, pullback = vjp(function, *primals)
    rng = np.random.default_rng(0)
    g = tree.map(lambda y: rng.normal(size=np.shape(y)), value)
    found = [np.zeros(np.shape(x)) for x in primals]
    J = jacobian(function, tuple(range(len(primals))))(*primals)
    cotangents, rows = tree.flatten(g)[0], tree.flatten(J)[0]
    for k, c in enumerate(cotangents):
        for i in range(len(primals)):
            found[i] += np.tensordot(c, rows[k * len(primals) + i], np.ndim(c))
    for c, x in zip(found, pullback(g)):
        np.testing.assert_allclose(c, x, rtol=1e-9, atol=1e-9 * (1 + np.max(np.abs(x), initial=0)))


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")
@pytest.mark.parametrize(
    "function", sorted(PLAIN, key=lambda f: f.__name__), ids=lambda f: f.__name__
)
def test_functions_without_a_derivative_see_the_value(function):
    """At every level, and a product with them has the derivative of the other factor."""
    x, seen = np.array([0.3, 0.7, 0.6]), []
    call = ON_THE_VALUE.get(function, function)

    def inside(y, x):
        seen.append(call(y * x))
        return np.sum(y)

    def outside(x):
        seen.append(call(x))
        return grad(inside)(x, x)[0] * x[0]

    grad(outside)(x)
    for found, expected in zip(seen, (call(x), call(x * x))):
        if isinstance(expected, (str, np.dtype, type)):
            assert found == expected
        for a, b in zip(tree.flatten(found)[0], tree.flatten(expected)[0]):
            np.testing.assert_array_equal(a, b)
            assert type(a) is type(b)


def test_every_rule_of_the_table_is_tested_here():
    tested = {*UNARY, *BINARY, *CHOOSING, *REDUCTIONS, *METHODS_OF_UFUNCS}
    tested |= {*ARRAYS, *MATRICES, *ELSEWHERE}
    assert set(RULES) | set(DERIVED) == tested
    assert not PLAIN & (set(RULES) | set(DERIVED))


def test_everyday_rules_do_not_need_the_rarer_ones():
    folder = pathlib.Path(rules.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert "more" not in [
                    *(node.module or "").split("."),
                    *[n.name for n in node.names],
                ]


@pytest.mark.parametrize("function", UNARY, ids=name)
@given(shapes(), seeds)
def test_unary(function, shape, seed):
    x = uniform(np.random.default_rng(seed), shape, *UNARY[function])
    check_rule(function if function is not np.frexp else lambda x: np.frexp(x)[0], x)


@pytest.mark.parametrize("function", BINARY, ids=name)
@given(broadcasting_pairs(), seeds)
def test_binary_with_broadcasting(function, pair, seed):
    rng = np.random.default_rng(seed)
    a, b = (uniform(rng, shape, *interval) for shape, interval in zip(pair, BINARY[function]))
    check_rule(function, a, b)
    if function is not np.heaviside:
        check_vjp(lambda a: function(a, b), a)
    check_vjp(lambda b: function(a, b), b)
    check_vjp(lambda a, b: function.outer(a, b), a, b)


@pytest.mark.parametrize("function", CHOOSING, ids=name)
@given(broadcasting_pairs(), seeds)
def test_choosing_with_broadcasting(function, pair, seed):
    check_rule(function, *spaced(np.random.default_rng(seed), *pair))


@pytest.mark.parametrize("function", REDUCTIONS, ids=name)
@given(reductions(), seeds)
def test_reductions(function, reduction, seed):
    shape, axis, keepdims = reduction
    (x,) = spaced(np.random.default_rng(seed), shape)
    if function in (np.std, np.nanstd) and np.min(np.var(x, axis=axis)) == 0:
        return  # the standard deviation of one element has a kink
    if function in (np.prod, np.nanprod):
        # else the derivative of nine small factors is below the difference's truncation error
        x = x + np.sign(x)
    check_rule(lambda x: function(x, axis=axis, keepdims=keepdims), x)


@pytest.mark.parametrize(
    "function", [np.sum, np.prod, np.max, np.min, np.mean, np.var, np.std], ids=name
)
@given(reductions(), seeds)
def test_reductions_where(function, reduction, seed):
    shape, axis, keepdims = reduction
    shape = tuple([n + 1 for n in shape])
    (x,) = spaced(np.random.default_rng(seed), shape)
    mask = np.indices(shape).sum(axis=0) % 2 == 0
    mask[..., 0] = True
    initial = {np.sum: 2.0, np.prod: 2.0, np.max: -0.1, np.min: 0.1}
    further = {"initial": initial[function]} if function in initial else {}
    f = lambda x: function(x, axis=axis, keepdims=keepdims, where=mask, **further)
    if function is np.std and np.min(np.var(x, axis=axis, where=mask)) == 0:
        return
    check_rule(f, x)


@pytest.mark.parametrize(
    "function", [f for f in REDUCTIONS if f.__name__.startswith("nan")], ids=name
)
@given(reductions(), seeds)
def test_what_is_not_a_number_is_left_out(function, reduction, seed):
    shape, axis, keepdims = reduction
    shape = tuple([n + 1 for n in shape])
    rng = np.random.default_rng(seed)
    (x,) = spaced(rng, shape)
    invalid = rng.random(shape) < 0.2
    if np.min(np.sum(~invalid, axis=axis)) < 2:
        return
    f = lambda x: function(np.where(invalid, np.nan, x), axis=axis, keepdims=keepdims)
    check_rule(f, x)
    g = vjp(lambda x: function(x, axis=axis, keepdims=keepdims), np.where(invalid, np.nan, x))
    assert np.all(g[1](np.ones_like(g[0]))[0][invalid] == 0)


@pytest.mark.parametrize("function", METHODS_OF_UFUNCS, ids=name)
@given(shapes(1), seeds)
def test_methods_of_ufuncs(function, shape, seed):
    (x,) = spaced(np.random.default_rng(seed), shape)
    check_rule(function, x)
    check_rule(lambda x: function(x, axis=-1), x)
    if function.__name__ == "reduce":
        check_rule(lambda x: function(x, axis=-1, keepdims=True), x)


@pytest.mark.parametrize("function", ARRAYS, ids=name)
@given(shapes(1), st.integers(0, 2), seeds)
def test_arrays(function, shape, i, seed):
    (x,) = spaced(np.random.default_rng(seed), shape)
    check_rule(lambda x: ARRAYS[function](x, i % len(shape)), x)


@pytest.mark.parametrize("function", MATRICES, ids=name)
@given(
    st.integers(1, 3).flatmap(
        lambda n: st.sampled_from([(), (2,), (2, 1)]).flatmap(lambda batch: matrices(n, batch))
    )
)
def test_matrices(function, a):
    check_rule(MATRICES[function], a)


@given(broadcasting_pairs(), seeds)
def test_operators_agree_with_their_functions(pair, seed):
    rng = np.random.default_rng(seed)
    a, b = (uniform(rng, shape, 0.5, 2) for shape in pair)
    for op, ufunc in [
        (operator.add, np.add),
        (operator.sub, np.subtract),
        (operator.mul, np.multiply),
        (operator.truediv, np.divide),
        (operator.pow, np.power),
    ]:
        both = vjp(op, a, b), vjp(ufunc, a, b)
        w = np.ones(np.shape(both[0][0]))
        for with_op, with_ufunc in [
            both,
            (vjp(lambda a, op=op: op(a, b), a), vjp(lambda a, u=ufunc: u(a, b), a)),
            (vjp(lambda b, op=op: op(a, b), b), vjp(lambda b, u=ufunc: u(a, b), b)),
        ]:
            np.testing.assert_array_equal(with_op[0], with_ufunc[0])
            for x, y in zip(with_op[1](w), with_ufunc[1](w)):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5, 2.5])
def test_power_with_a_constant_exponent(exponent):
    check_vjp(lambda x: x**exponent, np.array([0.5, 1.5]))
    if exponent >= 1 or exponent == 0:
        slope = 1.0 if exponent == 1 else 0.0
        assert grad(lambda x: x**exponent)(0.0) == slope
        assert grad(lambda x: x ** np.float64(exponent))(0.0) == slope


def test_power_is_smooth_where_the_exponent_is_0_or_1():
    """d2/da db a^b = a^(b-1) (1 + b log a)."""
    a = 2.0
    for b in (0.0, 1.0):
        mixed = hessian(lambda p: p[0] ** p[1])(np.array([a, b]))
        np.testing.assert_allclose(mixed[0, 1], a ** (b - 1) * (1 + b * np.log(a)))
        np.testing.assert_allclose(mixed[1, 0], mixed[0, 1])
    third = grad(lambda b: grad(grad(lambda a: a**b))(2.0))(1.0)
    np.testing.assert_allclose(third, 0.5)


def test_precision_far_out():
    np.testing.assert_allclose(grad(np.expm1)(-50.0), np.exp(-50.0))
    np.testing.assert_allclose(grad(np.arctan2)(1e-200, 1e-200), 5e199)


def test_kinks_share_the_cotangent():
    assert grad(lambda x: np.maximum(x, 0.0))(0.0) == 0.5
    assert grad(abs)(0.0) == 0.0
    np.testing.assert_array_equal(grad(np.max)(np.array([1.0, 3.0, 3.0])), [0, 0.5, 0.5])
    np.testing.assert_array_equal(grad(np.linalg.norm)(np.zeros(3)), np.zeros(3))
    assert grad(np.hypot, (0, 1))(0.0, 0.0) == (0.0, 0.0)


def test_prod_with_zeros_and_ddof():
    np.testing.assert_array_equal(grad(np.prod)(np.array([2.0, 0.0, 3.0])), [0, 6, 0])
    np.testing.assert_array_equal(grad(np.prod)(np.array([0.0, 0.0, 3.0])), [0, 0, 0])
    check_vjp(lambda x: np.var(x, ddof=1) + np.std(x, ddof=1), np.array([1.0, 2.0, 4.0]))


def test_empty_arrays_and_degrees_of_freedom_as_in_numpy():
    assert vjp(lambda x: np.prod(x, axis=1), np.ones((0, 3)))[1](np.ones(0))[0].shape == (0, 3)
    assert not vjp(np.matmul, np.ones((4, 2, 0)), np.ones((0, 3)))[1](np.ones((4, 2, 3)))[1].any()
    with np.errstate(invalid="ignore", divide="ignore"):
        assert np.isinf(vjp(lambda x: np.var(x, ddof=3), np.array([1.0, 2.0]))[0])
    assert vjp(lambda x: np.full_like(x, 1.5) * x, np.ones(2, np.float32))[0].dtype == np.float32
    x = np.ones(3)
    assert vjp(np.copy, x)[0] is not x and not np.shares_memory(vjp(lambda x: x.flatten(), x)[0], x)
    if hasattr(np, "unstack"):  # NumPy 2.0 itself cannot
        check_vjp(lambda x: np.roll(x, np.uint8(1)) * np.arange(3.0), x)
        check_vjp(lambda x: np.clip(x, min=0.5, max=None), x)


def test_elementwise_rules_at_special_places():
    assert grad(lambda b: 0.0**b)(0.0) == 0.0 and grad(lambda b: 0.0**b)(2.0) == 0.0
    for a, b in [(2.0, -3.0), (-2.0, -3.0), (-2.0, 3.0), (2.0, -0.0)]:
        assert grad(np.copysign)(a, b) == np.sign(a) * np.copysign(1.0, b)
    assert grad(np.heaviside, (0, 1))(0.0, 0.3) == (0.0, 1.0)
    assert grad(np.heaviside, (0, 1))(2.0, 0.3) == (0.0, 0.0)
    assert grad(np.fabs)(2.0) == 1.0
    assert vjp(np.modf, -1.75)[0] == (-0.75, -1.0)
    assert grad(lambda x: np.modf(x)[0])(-1.75) == 1.0
    for f, inverse, x, slope in [
        (np.arcsin, np.sin, 1 - 1e-12, 1 / np.sqrt(2e-12 - 1e-24)),
        (np.arccos, np.cos, -1 + 1e-12, -1 / np.sqrt(2e-12 - 1e-24)),
        (np.arcsinh, np.sinh, 1e200, 1e-200),
        (np.arccosh, np.cosh, 1e200, 1e-200),
    ]:
        near_one = abs(x) < 1  # 1 - x has 4 digits only
        np.testing.assert_allclose(grad(f)(x), slope, rtol=1e-4 if near_one else 1e-15)
        by_inverse = 1 / grad(inverse)(f(x))
        np.testing.assert_allclose(grad(f)(x), by_inverse, rtol=1e-4 if near_one else 1e-12)
    fourth = grad(grad(grad(grad(np.sinc))))
    # both sides of where the series ends; the derivative of sin(z)/z by its integral over cos(z s)
    for x in (0.15, 0.29, 0.31):
        s = (np.arange(20000) + 0.5) / 20000
        by_integral = np.mean((np.pi * s) ** 4 * np.cos(np.pi * x * s))
        np.testing.assert_allclose(fourth(x), by_integral, rtol=1e-8)


def test_extremes_beside_what_is_not_a_number():
    nan, inf = np.nan, np.inf
    assert vjp(np.nanmax, np.array([nan, -inf]))[1](1.0)[0].tolist() == [0, 1]
    assert vjp(np.nanmin, np.array([inf, nan, nan]))[1](1.0)[0].tolist() == [1, 0, 0]
    assert vjp(lambda x: np.nanmax(x, initial=0.0), np.array([nan]))[0] == 0.0
    assert vjp(np.fmax.reduce, np.array([1.0, nan, 3.0]))[0] == 3.0
    assert grad(np.fmin.reduce)(np.array([nan, 3.0])).tolist() == [0, 1]
    x = np.array([2.0, nan, 3.0])
    for f in (np.nancumsum, np.nancumprod):
        np.testing.assert_array_equal(vjp(f, x)[0], f(x))
    mask = np.array([True, False, True])
    masked = vjp(lambda x: np.max(x, where=mask, initial=0.0), np.array([1.0, 3.0, 3.0]))
    assert masked[1](1.0)[0].tolist() == [0, 0, 1]


def test_quantile_is_differentiable_in_its_level():
    x = np.array([1.0, 2.0, 4.0])
    assert grad(lambda q: np.quantile(x, q))(0.25) == 2.0
    assert grad(lambda q: np.quantile(x, q))(0.5) == 4.0  # the slope to the right


def test_sorting_many_equal_elements_keeps_their_order():
    x, g = np.repeat([1.0, 0.0], 40), np.arange(80.0)
    np.testing.assert_array_equal(vjp(np.sort, x)[1](g)[0], np.roll(g, 40))


def test_axes_of_shapes_and_products():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    check_rule(lambda x: np.roll(x, (1, 2), axis=(0, 2)), x)
    check_rule(lambda x: np.transpose(x, (-1, 0, -2)), x)
    check_rule(lambda x: np.pad(x, 1, "mean", stat_length=((1, 2), (3, 1), (2, 4))), x)
    check_rule(lambda x: np.cross(x, np.exp(x[0]), axisa=1, axisb=0, axisc=0), x)
    check_rule(lambda x: np.cross(np.exp(x[0]), x, axisa=0, axisb=1, axisc=1), x)
    matrices = lambda x: np.stack([x[0, :, :, None] * x[0, :, None]] * 2)
    check_rule(lambda x: np.einsum("...i,...ij->...j", x[0], matrices(x)), x)


@pytest.mark.parametrize("ord", [3, 0.5, 1])
def test_norms_at_zero(ord):
    assert vjp(lambda x: np.linalg.norm(x, ord), np.zeros(3))[0] == 0.0
    if ord == 3:
        slope = grad(lambda x: np.linalg.norm(x, ord))(np.zeros(3))
        np.testing.assert_array_equal(slope, np.zeros(3))


def test_logsumexp_where_it_would_overflow():
    with np.errstate(divide="ignore"):
        assert vjp(np.logaddexp.reduce, np.full(2, -np.inf))[0] == -np.inf
    x = np.array([1000.0, 1001.0, -np.inf])
    y, pullback = vjp(np.logaddexp.reduce, x)
    np.testing.assert_allclose(y, 1001 + np.log1p(np.exp(-1)))
    np.testing.assert_allclose(pullback(1.0)[0], np.exp(x - y))
    assert grad(np.logaddexp)(-np.inf, 0.0) == 0.0


def test_sinc_to_any_order_at_zero():
    """The even derivatives of sin(pi x) / (pi x) at zero are (-1)^k pi^2k / (2k + 1)."""
    f, derivatives = np.sinc, []
    for _ in range(5):
        derivatives.append(f(0.0))
        f = grad(f)
    np.testing.assert_allclose(derivatives, [1, 0, -(np.pi**2) / 3, 0, np.pi**4 / 5], rtol=1e-14)


def test_what_is_not_a_number_or_infinite():
    assert grad(np.fmax, (0, 1))(np.nan, 2.0) == (0.0, 1.0)
    assert grad(np.fmin, (0, 1))(1.0, np.nan) == (1.0, 0.0)
    slope = grad(lambda x: np.sum(np.nan_to_num(x, posinf=5.0) ** 2))
    np.testing.assert_array_equal(slope(np.array([3.0, np.nan, np.inf])), [6, 0, 0])
    assert np.isnan(vjp(np.median, np.array([1.0, np.nan, 2.0]))[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert np.isnan(vjp(np.nanmax, np.array([np.nan]))[0])
        assert np.isnan(vjp(np.nanmedian, np.array([np.nan, np.nan]))[0])


def test_ties_in_sorted_order():
    _, pullback = vjp(np.sort, np.array([2.0, 1.0, 1.0]))
    np.testing.assert_array_equal(pullback(np.array([1.0, 2.0, 3.0]))[0], [3, 1, 2])


@pytest.mark.parametrize(
    "mode, settings",
    [
        ("constant", {}),
        ("constant", {"constant_values": ((1, 2), (3, 4))}),
        ("edge", {}),
        ("wrap", {}),
        ("reflect", {}),
        ("symmetric", {}),
        ("reflect", {"reflect_type": "odd"}),
        ("symmetric", {"reflect_type": "odd"}),
        ("linear_ramp", {}),
        ("linear_ramp", {"end_values": 5.0}),
        ("mean", {}),
        ("mean", {"stat_length": ((1, 2), (2, 1))}),
        ("mean", {"stat_length": 2}),
    ],
    ids=str,
)
@given(seeds)
def test_pad(mode, settings, seed):
    x = np.random.default_rng(seed).normal(size=(2, 9))
    for width in (1, (2, 0), ((3, 1), (2, 3)), ((3, 1), (8, 20))):
        check_rule(lambda x, width=width: np.pad(x, width, mode, **settings), x)


def test_pads_that_are_not_linear_are_refused():
    message = r"np.pad: mode=.* has no derivative rule; use np.concatenate"
    for mode in ("maximum", "empty", lambda *_: None):
        with pytest.raises(TypeError, match=message):
            grad(lambda x, mode=mode: np.sum(np.pad(x, 1, mode)))(np.ones(3))


@pytest.mark.parametrize("order", [1, 2])
@given(seeds)
def test_gradient_on_every_grid(order, seed):
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(4, 3))
    x, y = (np.cumsum(rng.uniform(0.5, 1, n)) for n in f.shape)
    for spacings in ([], [0.5], [0.5, 2.0], [x, y], [x, 0.3]):
        check_rule(lambda f, spacings=spacings: np.gradient(f, *spacings, edge_order=order), f)
    check_vjp(lambda f, x, h: np.gradient(f, x, h, edge_order=order), f, x, 0.7)
    check_rule(lambda f: np.gradient(f, y, axis=-1), f)


@given(seeds)
def test_interp_in_every_argument(seed):
    rng = np.random.default_rng(seed)
    xp, fp = np.arange(4.0) + rng.uniform(-0.2, 0.2, 4), rng.normal(size=4)
    x = np.array([[-1.0, 0.5], [2.5, 9.0]]) + rng.uniform(-0.2, 0.2, (2, 2))
    for settings in ({}, {"left": 7.0, "right": -7.0}, {"period": 3.7}):
        check_rule(lambda x, xp, fp, settings=settings: np.interp(x, xp, fp, **settings), x, xp, fp)
    check_vjp(lambda fp, left: np.interp(x, xp, fp, left=left), fp, 2.0)
    check_rule(lambda fp: np.interp(0.5, [1.0], fp[:1]), fp)


@given(seeds)
def test_linspace_average_quantile_and_histograms(seed):
    rng = np.random.default_rng(seed)
    (x,) = spaced(rng, (3, 4))
    v = rng.uniform(1, 2, (3, 4))
    check_vjp(lambda a, b: np.linspace(a, b, 4, retstep=True), 1.0, x)
    check_vjp(lambda x, v: np.average(x, weights=v, returned=True), x, v)
    check_vjp(lambda x, v: np.average(x, axis=(1, 0), weights=v.T, keepdims=True), x, v)
    check_rule(lambda x: np.average(x, axis=-1, weights=[1, 2, 3, 4.0]), x)
    check_vjp(lambda x: np.quantile(x, [[0.1, 0.5], [0.71, 1.0]], axis=(0, 1), keepdims=True), x)
    np.testing.assert_allclose(
        vjp(lambda x: np.quantile(x, [0.1, 0.5], axis=1), x)[0], np.quantile(x, [0.1, 0.5], axis=1)
    )
    check_vjp(lambda v: np.bincount([0, 2, 2, 5], v[0]), v)


def test_ldexp_and_meshgrid():
    check_vjp(lambda x: np.ldexp(x, np.array([1, -3])) ** 2, np.array([0.3, 0.7]))
    x, y, z = np.arange(2.0), np.arange(3.0), np.arange(4.0)
    for settings in ({}, {"sparse": True}, {"indexing": "ij"}):
        check_rule(lambda x, y, z, settings=settings: np.meshgrid(x, y, z, **settings), x, y, z)


@pytest.mark.parametrize(
    "A",
    [[[1.0, 2.0], [2.0, 4.0]], np.zeros((2, 2)), np.arange(9.0).reshape(3, 3), [[0.0]]],
    ids=str,
)
def test_det_of_singular_matrices(A):
    check_vjp(np.linalg.det, np.array(A), order=3)


def test_det_of_matrices_that_lack_two_ranks():
    """All minors are zero, and so is the gradient. The second derivative is not.

    Its elements are minors of minors.
    """
    A = np.arange(16.0).reshape(4, 4)
    np.testing.assert_allclose(grad(np.linalg.det)(A), 0, atol=1e-12)
    second = hessian(np.linalg.det)(A)
    np.testing.assert_allclose(second[0, 0, 1, 1], A[2, 2] * A[3, 3] - A[2, 3] * A[3, 2])
    np.testing.assert_allclose(second[0, 1, 2, 3], A[1, 0] * A[3, 2] - A[1, 2] * A[3, 0])


def test_equal_eigenvalues_have_eigenvalues_but_no_eigenvectors():
    A = np.eye(3)
    np.testing.assert_allclose(grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(A), 2 * A)
    np.testing.assert_allclose(grad(lambda a: np.linalg.norm(a, "nuc"))(A), A)
    eigenvectors = lambda a: np.sum(np.linalg.eigh(a)[1] ** 3)
    singular_vectors = lambda a: np.sum(np.linalg.svd(a)[0] ** 3)
    for f in (eigenvectors, singular_vectors):
        with pytest.raises(np.linalg.LinAlgError, match="where two values are equal to rounding"):
            grad(f)(A)
    with pytest.raises(np.linalg.LinAlgError, match="a second derivative of their values"):
        hessian(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(A)
    message = r"np.linalg.svd: the vectors that full_matrices=True adds have no derivative"
    with pytest.raises(TypeError, match=message):
        vjp(lambda a: np.linalg.svd(a[:2]), A)


def test_the_triangle_that_numpy_does_not_read_has_no_cotangent():
    A = np.array([[4.0, 1.0], [1.0, 3.0]])
    for f in (np.linalg.cholesky, np.linalg.eigvalsh, lambda a: np.linalg.eigh(a)[1]):
        assert vjp(f, A)[1](np.ones_like(f(A)))[0][0, 1] == 0.0


def test_multi_dot_chooses_its_order():
    """(A B) v would be 10^6 operations, A (B v) 2 10^4: the largest array on the tape tells."""
    A, B, v = w(100, 100), w(100, 100), w(100)
    value, pullback = vjp(lambda v: np.linalg.multi_dot([A, B, v]), v)
    np.testing.assert_allclose(value, A @ (B @ v))
    np.testing.assert_allclose(pullback(v)[0], B.T @ (A.T @ v))


X = np.array([[1.0, 2.0], [3.0, 5.0]])
INVALID = [
    lambda x: np.tensordot(x, x, ((0,), (0, 1))),
    lambda x: np.tensordot(x, x, 3),
    lambda x: np.convolve(x[0], x[0], "middle"),
    lambda x: np.split(x, 3),
    lambda x: np.split(x, 2, axis=4),
    lambda x: np.linalg.matrix_power(x, 1.5),
    lambda x: np.quantile(x, 1.5),
    lambda x: np.percentile(x, 300),
    lambda x: np.nanquantile(x, -0.5),
    lambda x: np.interp(x, [0, 1, 2.0], [0, 5.0]),
    lambda x: np.interp(x, [0, 1], [0, 1], period=0),
    lambda x: np.bincount([-1, 0], x[0]),
    lambda x: np.diff(x, -1),
    lambda x: np.linspace(x, 1.0, -3),
    lambda x: np.meshgrid(x[0], x[0], indexing="zz"),
    lambda x: np.gradient(x, edge_order=3),
    lambda x: np.gradient(x, 1, 2, 3),
    lambda x: np.gradient(x, [1, 2, 3], axis=0),
    lambda x: np.average(x, weights=np.zeros((2, 2))),
    lambda x: np.average(x, axis=1, weights=np.ones(3)),
    lambda x: np.linalg.multi_dot([x]),
    lambda x: np.einsum("...i->i", x),
    lambda x: np.einsum("ii", x[:1]),
    lambda x: np.pad(x, 1, "constant", foo=3),
    lambda x: np.linalg.inv(x[:1]),
    lambda x: np.linalg.svd(x[0]),
    lambda x: np.linalg.eigh(x[:1]),
    lambda x: np.linalg.cholesky(x[:1]),
    lambda x: np.vecdot(x, x[:, :1]),
    lambda x: np.reshape(x, 3),
]


@pytest.mark.parametrize("call", INVALID, ids=lambda _: "")
def test_what_numpy_refuses_is_refused(call):
    with pytest.raises(Exception) as by_numpy:
        call(X)
    with pytest.raises(by_numpy.type):
        vjp(call, X)


def test_special_values_are_those_of_numpy():
    infinite = np.inf
    for f, *arrays in [
        (np.median, [1, 2, infinite], [1, infinite, infinite]),
        (np.median, [-infinite, 1, infinite], [-infinite, -infinite, 3, 4]),
        (lambda x: np.trapezoid(np.outer(x, x), dx=np.array([0.1, 0.2, 0.3]), axis=0), [1, 2, 3]),
        (lambda x: np.interp([0.5, 1, 2], [0, 1, 1], x), [1, 2, 3]),
        (lambda x: np.interp(x, [3, 7, 9], [5, 6, 8], period=5), [-7, 0.5, 9]),
        (lambda x: np.interp(x, [0, 1, 2], [5, 6, 8], period=-5), [-7, 0.5, 9]),
        (lambda x: np.correlate(x[:2], x, "same"), [1, 2, 4], [1, 2, 4, 8]),
        (lambda x: np.diff(x, 0, prepend=1), [1, 2]),
        (lambda x: np.linalg.norm(np.outer(x, x), "f"), [1, 2]),
        (lambda x: np.linalg.norm(x, -1), [infinite, infinite]),
        (lambda x: np.gradient([1, 4, 9, 16], x), [0, 1, 2.5, 3]),
        (lambda x: np.nansum(x, where=x > 1), [1, 2, np.nan]),
        (np.logaddexp.reduce, np.zeros((0, 2))),
        (lambda x: np.quantile(x, np.float32(0.3)), [1, 2, 4]),
        (lambda x: np.percentile(x, [30, 60], axis=0), X),
        (lambda x: np.diff(x, prepend=0.0), np.zeros(0)),
    ]:
        for x in arrays:
            x = np.asarray(x, float)
            with np.errstate(divide="ignore", over="ignore"):
                np.testing.assert_allclose(vjp(f, x)[0], f(x), rtol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert np.isnan(vjp(np.median, np.zeros(0))[0])


def test_a_value_that_is_not_a_number_has_a_gradient_for_what_made_it_so():
    assert grad(np.max)(np.array([1.0, np.nan])).tolist() == [0, 1]
    assert grad(np.maximum)(np.nan, 1.0) == 1.0 and grad(np.minimum, 1)(np.nan, 1.0) == 0.0
    assert np.isnan(grad(np.median)(np.array([2.0, np.nan, 3.0]))).any()


def test_standard_deviation_of_equal_numbers():
    np.testing.assert_array_equal(grad(np.std)(np.ones(3)), np.zeros(3))


def test_a_number_of_single_precision_does_not_lower_the_others():
    single = np.float32(1.7)
    assert grad(lambda b: single**b)(2.0) == grad(lambda b: float(single) ** b)(2.0)


def test_det_of_singular_among_others_and_of_large_factors():
    rng = np.random.default_rng(0)
    A = np.stack([rng.normal(size=(3, 3)), np.arange(9.0).reshape(3, 3)])
    check_vjp(np.linalg.det, A, order=3)
    A = np.diag([1e2] * 155 + [1e-2] * 155)  # the product of half of its values overflows
    np.testing.assert_allclose(np.diag(grad(np.linalg.det)(A))[[0, -1]], [0.01, 100])
    A = rng.normal(size=(25, 25))
    A[0] = A[1]
    message = "a second derivative at a matrix of 25 rows that is singular"
    with pytest.raises(np.linalg.LinAlgError, match=message):
        hessian(lambda t: np.linalg.det(A + t * np.eye(25)))(0.0)


@pytest.mark.parametrize("smallest", [1e-2, 1e-4, 1e-6, 1e-9])
def test_third_derivative_of_det_of_ill_conditioned_matrices(smallest):
    """d3/dt3 of det(A + t B) is six times det(B), whatever A is."""
    rng = np.random.default_rng(0)
    U, V, B = (rng.normal(size=(3, 3)) for _ in range(3))
    A = np.linalg.qr(U)[0] @ np.diag([1.0, 1.0, smallest]) @ np.linalg.qr(V)[0]
    third = grad(grad(grad(lambda t: np.linalg.det(A + t * B))))(0.0)
    np.testing.assert_allclose(third, 6 * np.linalg.det(B), rtol=1e-8)


def test_singular_vectors_of_small_and_of_no_value():
    rng = np.random.default_rng(0)
    Q, P = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2))
    loss = lambda a: np.sum(np.linalg.svd(a)[0] * np.linalg.svd(a)[0][::-1] ** 2)
    A = Q @ np.diag([1.0, 3e-4, 1e-4]) @ P.T
    direction = 1e-6 * rng.normal(size=(3, 3))  # below the smallest value
    difference = central_difference(loss, (A,), (direction,), 1e-2)
    np.testing.assert_allclose(inner(grad(loss)(A), direction), difference, rtol=1e-5)
    grad(loss)(Q @ np.diag([1.0, 3e-9, 1e-9]) @ P.T)  # known to seven digits, and not equal
    A = np.array([[1.0, 0], [0, 0], [0, 0]])
    column = lambda a, k: np.sum(np.linalg.svd(a, full_matrices=False)[0][:, k])
    with pytest.raises(np.linalg.LinAlgError, match="or one is zero"):
        grad(column)(A, 1)
    grad(column)(A, 0)
    for values in (lambda a: np.linalg.eigh(a)[0], lambda a: np.linalg.svd(a)[1]):
        np.testing.assert_allclose(jvp(values, (np.eye(2),), (np.eye(2),))[1], [1, 1])


def test_det_of_a_large_matrix_near_to_singular():
    A = np.eye(200)
    A[0, 0] = 1e-7
    np.testing.assert_allclose(grad(np.linalg.det)(A)[:2, :2], [[1, 0], [0, 1e-7]], atol=1e-15)


INDICES = [
    0,
    -1,
    slice(None, None, 2),
    (0, 1),
    (slice(None), 0),
    (Ellipsis, 1),
    None,
    np.array([0, 0, 1]),
    [1, 0],
    (np.array([0, 1, 0]), np.array([1, 1, 1])),
    np.array([True, False]),
    np.array([[True, False, True], [False, True, True]]),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(index):
    x = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_array_equal(vjp(lambda x: x[index], x)[0], x[index])
    check_vjp(lambda x: x[index] ** 2, x)


RANKS = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 2)),
    ((4, 2, 3), (3, 2)),
    ((2, 3), (4, 3, 2)),
    ((4, 2, 3), (4, 3, 2)),
    ((1, 2, 3), (4, 3, 2)),
    ((4, 2, 3), (3,)),
    ((3,), (4, 3, 2)),
    ((5, 1, 2, 3), (4, 3, 2)),
]


@pytest.mark.parametrize("ranks", RANKS, ids=str)
def test_matmul_and_dot_in_every_rank(ranks):
    a, b = (np.random.default_rng(0).normal(size=shape) for shape in ranks)
    for function in (np.matmul, np.dot, operator.matmul):
        np.testing.assert_allclose(vjp(function, a, b)[0], function(a, b), rtol=1e-12)
        check_vjp(function, a, b)
    check_vjp(lambda a: a @ b, a)
    check_vjp(lambda b: a @ b, b)


EINSUMS = [
    "ij,jk->ik",
    "ij,jk",
    "ij->ji",
    "ij->",
    "ij->j",
    "ii->i",
    "ii",
    "ij,ij->",
    "bij,bjk->bik",
    "i,j->ij",
    "iij,jk->ik",
    "...ij,...jk",
    "...i,i->...",
    "i,i",
    "ij,j,jk,kl->il",
    "ij,->ij",
    "ba",
    "iji->j",
]


@pytest.mark.parametrize("subscripts", EINSUMS)
def test_einsum(subscripts):
    rng = np.random.default_rng(0)
    size = dict(zip("ijklab", (3, 2, 4, 2, 3, 2)))
    arrays = []
    for s in subscripts.split("->")[0].split(","):
        dots = [2, 3] if "..." in s else []
        arrays.append(rng.normal(size=[*dots, *(size[c] for c in s.replace("...", ""))]))
    f = lambda *a: np.einsum(subscripts, *a)
    np.testing.assert_allclose(vjp(f, *arrays)[0], f(*arrays), rtol=1e-12)
    check_vjp(f, *arrays)


def test_einsum_by_lists_and_with_axes_of_one():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    for function in (
        lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [0, 2]),
        lambda a, b: np.einsum(a, [3, 1], b, [1, 2]),
    ):
        np.testing.assert_allclose(vjp(function, a, b)[0], function(a, b))
        check_vjp(function, a, b)
    check_vjp(lambda a, b: np.einsum("ij,ij->ij", a, b), a, a[:1])
    with pytest.raises(ValueError, match="subscripts for 2 operands, and 1"):
        grad(lambda a: np.einsum("ij,jk", a))(a)


@given(reductions(), st.sampled_from([None, 1, 2, 3, -1, 2.5, np.inf, -np.inf]), seeds)
def test_norm_of_vectors(reduction, ord, seed):
    shape, axis, keepdims = reduction
    axis = axis[0] if isinstance(axis, tuple) else axis
    if axis is None:
        shape, axis = shape[:1], None
    (x,) = spaced(np.random.default_rng(seed), shape)
    x = np.where(np.abs(x) < 0.03, 0.3, x) + np.random.default_rng(seed).choice([0.011, 0.012])
    if ord in (np.inf, -np.inf):
        x = np.abs(x) if np.all(x > 0) else np.exp(x)  # no two elements of the same size
    y, _ = vjp(lambda x: np.linalg.norm(x, ord, axis, keepdims), x)
    np.testing.assert_allclose(y, np.linalg.norm(x, ord, axis, keepdims), rtol=1e-12)
    check_vjp(lambda x: np.linalg.norm(x, ord, axis, keepdims), x, rtol=1e-5)


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [None, (0, 1), (1, 0)])
def test_norm_of_matrices(ord, axis):
    x = np.random.default_rng(0).normal(size=(3, 2))
    value, _ = vjp(lambda x: np.linalg.norm(x, ord, axis), x)
    np.testing.assert_allclose(value, np.linalg.norm(x, ord, axis))
    check_vjp(lambda x: np.linalg.norm(x, ord, axis, keepdims=True) ** 2, x)


@given(shapes(), seeds)
def test_jvp_and_vjp_are_adjoint(shape, seed):
    """<J v, w> = <v, J^T w>, with J v from `jvp`."""
    rng = np.random.default_rng(seed)
    x, v, w = (rng.normal(size=shape) for _ in range(3))
    f = lambda x: np.sin(x) * x + np.sum(x * x) * np.exp(-x)
    _, tangent = jvp(f, (x,), (v,))
    (c,) = vjp(f, x)[1](w)
    np.testing.assert_allclose(np.sum(tangent * w), np.sum(v * c), rtol=1e-10, atol=1e-12)
