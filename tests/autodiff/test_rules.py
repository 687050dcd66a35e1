"""Every rule of the table against central differences, at first and second order, over drawn shapes and broadcasting."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import broadcasting_pairs, reductions, seeds, shapes, shapes_with_axes, spaced, uniform, well_conditioned

from tinyode import grad, hessian, vjp
from tinyode.autodiff.operators import DERIVED, PLAIN, RULES
from tinyode.testing import check_vjp

UNARY = {  # function: the interval that arguments are drawn from, inside which it is smooth
    np.negative: (-2, 2), np.positive: (-2, 2), np.absolute: (0.2, 2), np.fabs: (-2, -0.2), np.reciprocal: (0.5, 2), np.square: (-2, 2),
    np.sqrt: (0.5, 3), np.cbrt: (0.5, 3), np.exp: (-2, 2), np.exp2: (-2, 2), np.expm1: (-2, 2), np.log: (0.5, 3), np.log2: (0.5, 3),
    np.log10: (0.5, 3), np.log1p: (-0.5, 2), np.sin: (-3, 3), np.cos: (-3, 3), np.tan: (-1, 1), np.arcsin: (-0.7, 0.7),
    np.arccos: (-0.7, 0.7), np.arctan: (-2, 2), np.sinh: (-2, 2), np.cosh: (-2, 2), np.tanh: (-2, 2), np.arcsinh: (-2, 2),
    np.arccosh: (1.5, 3), np.arctanh: (-0.7, 0.7),
}
BINARY = {  # function: the intervals of both arguments
    np.add: ((-2, 2), (-2, 2)), np.subtract: ((-2, 2), (-2, 2)), np.multiply: ((-2, 2), (-2, 2)), np.divide: ((-2, 2), (0.5, 2)),
    np.power: ((0.5, 2), (-2, 2)), np.remainder: ((2.1, 2.8), (0.95, 1.0)), np.logaddexp: ((-2, 2), (-2, 2)),
    np.arctan2: ((0.5, 2), (-2, 2)), np.hypot: ((0.5, 2), (0.5, 2)),
}
REDUCTIONS = [np.sum, np.prod, np.max, np.min, np.mean, np.var, np.std]
OTHERS = {np.maximum, np.minimum, np.where, np.clip, np.reshape, np.transpose, np.swapaxes, np.moveaxis, np.expand_dims, np.squeeze,
          np.broadcast_to, np.flip, np.roll, np.concatenate, np.stack, np.hstack, np.vstack, np.split, np.ravel, np.atleast_1d,
          np.atleast_2d, np.full_like, np.copy, operator.getitem, np.matmul, np.dot, np.einsum, np.outer, np.trace, np.linalg.solve,
          np.linalg.inv, np.linalg.norm}


def test_every_rule_of_the_table_is_tested_here():
    assert set(RULES) | set(DERIVED) == set(UNARY) | set(BINARY) | set(REDUCTIONS) | OTHERS
    assert not PLAIN & (set(RULES) | set(DERIVED))


@pytest.mark.parametrize("function", UNARY, ids=lambda f: f.__name__)
@given(shapes, seeds)
def test_unary(function, shape, seed):
    check_vjp(function, uniform(np.random.default_rng(seed), shape, *UNARY[function]), order=2)


@pytest.mark.parametrize("function", BINARY, ids=lambda f: f.__name__)
@given(broadcasting_pairs(), seeds)
def test_binary_with_broadcasting(function, pair, seed):
    rng = np.random.default_rng(seed)
    a, b = (uniform(rng, shape, *interval) for shape, interval in zip(pair, BINARY[function]))
    check_vjp(function, a, b, order=2)
    check_vjp(lambda a: function(a, b), a, order=2)
    check_vjp(lambda b: function(a, b), b, order=2)


@given(broadcasting_pairs(), seeds)
def test_operators_agree_with_their_functions(pair, seed):
    rng = np.random.default_rng(seed)
    a, b = (uniform(rng, shape, 0.5, 2) for shape in pair)
    for op, ufunc in [(operator.add, np.add), (operator.sub, np.subtract), (operator.mul, np.multiply), (operator.truediv, np.divide),
                      (operator.pow, np.power)]:
        both = vjp(op, a, b), vjp(ufunc, a, b)
        w = np.ones(np.shape(both[0][0]))
        for with_op, with_ufunc in [both, (vjp(lambda a, op=op: op(a, b), a), vjp(lambda a, u=ufunc: u(a, b), a)),
                                    (vjp(lambda b, op=op: op(a, b), b), vjp(lambda b, u=ufunc: u(a, b), b))]:
            np.testing.assert_array_equal(with_op[0], with_ufunc[0])
            for x, y in zip(with_op[1](w), with_ufunc[1](w)):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5, 2.5])
def test_power_with_a_constant_exponent(exponent):
    check_vjp(lambda x: x**exponent, np.array([0.5, 1.5]), order=2)
    if exponent >= 1 or exponent == 0:
        slope = {0: 0.0, 1: 1.0}.get(exponent, 0.0)
        assert grad(lambda x: x**exponent)(0.0) == slope == grad(lambda x: x**np.float64(exponent))(0.0)


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


@given(broadcasting_pairs(), seeds)
def test_maximum_minimum_where_clip(pair, seed):
    a, b = spaced(np.random.default_rng(seed), *pair)
    for function in (np.maximum, np.minimum, lambda a, b: np.where(a > b, a * b, b * b), lambda a, b: np.clip(a, b, 100.0)):
        check_vjp(function, a, b, order=2)
    check_vjp(lambda a: np.clip(a, -0.1, None), a + 0.025)


def test_kinks_share_the_cotangent():
    assert grad(lambda x: np.maximum(x, 0.0))(0.0) == 0.5
    assert grad(abs)(0.0) == 0.0
    np.testing.assert_array_equal(grad(np.max)(np.array([1.0, 3.0, 3.0])), [0, 0.5, 0.5])
    np.testing.assert_array_equal(grad(np.linalg.norm)(np.zeros(3)), np.zeros(3))
    assert grad(np.hypot, (0, 1))(0.0, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda f: f.__name__)
@given(reductions(), seeds)
def test_reductions(function, reduction, seed):
    shape, axis, keepdims = reduction
    (x,) = spaced(np.random.default_rng(seed), shape)
    if function is np.std and np.min(np.var(x, axis=axis)) == 0:
        return  # the standard deviation of one element has a kink
    y, _ = vjp(lambda x: function(x, axis=axis, keepdims=keepdims), x)
    np.testing.assert_allclose(y, function(x, axis=axis, keepdims=keepdims), rtol=1e-12)
    check_vjp(lambda x: function(x, axis=axis, keepdims=keepdims), x, order=2)


def test_prod_with_zeros_and_ddof():
    np.testing.assert_array_equal(grad(np.prod)(np.array([2.0, 0.0, 3.0])), [0, 6, 0])
    np.testing.assert_array_equal(grad(np.prod)(np.array([0.0, 0.0, 3.0])), [0, 0, 0])
    check_vjp(lambda x: np.var(x, ddof=1) + np.std(x, ddof=1), np.array([1.0, 2.0, 4.0]), order=2)


def test_empty_arrays_and_degrees_of_freedom_as_in_numpy():
    assert vjp(lambda x: np.prod(x, axis=1), np.ones((0, 3)))[1](np.ones(0))[0].shape == (0, 3)
    assert not vjp(np.matmul, np.ones((4, 2, 0)), np.ones((0, 3)))[1](np.ones((4, 2, 3)))[1].any()
    with np.errstate(invalid="ignore", divide="ignore"):
        assert np.isinf(vjp(lambda x: np.var(x, ddof=3), np.array([1.0, 2.0]))[0])
    assert vjp(lambda x: np.full_like(x, 1.5) * x, np.ones(2, np.float32))[0].dtype == np.float32
    x = np.ones(3)
    assert vjp(np.copy, x)[0] is not x and not np.shares_memory(vjp(lambda x: x.flatten(), x)[0], x)
    check_vjp(lambda x: np.roll(x, np.uint8(1)) * np.arange(3.0), x)


def test_ufunc_reduce():
    x = np.array([[1.0, 2.0], [3.0, 4.5]])
    for function in (np.add.reduce, np.multiply.reduce, np.maximum.reduce, np.minimum.reduce):
        y, _ = vjp(function, x)
        np.testing.assert_array_equal(y, function(x))
        check_vjp(function, x)


@given(shapes_with_axes, st.data())
def test_shapes(shape, data):
    x = np.random.default_rng(data.draw(seeds)).normal(size=shape)
    i, j = (data.draw(st.integers(-len(shape), len(shape) - 1)) for _ in range(2))
    axes = data.draw(st.permutations(range(len(shape))))
    for function in (np.ravel, np.transpose, lambda x: np.swapaxes(x, i, j), lambda x: np.moveaxis(x, i, j),
                     lambda x: np.expand_dims(x, i), lambda x: np.squeeze(np.expand_dims(x, i)), np.flip, lambda x: np.flip(x, i),
                     lambda x: np.roll(x, 2, axis=i), lambda x: np.roll(x, -1), np.atleast_2d, np.atleast_1d, np.copy,
                     lambda x: np.broadcast_to(x, (2, *shape)), lambda x: np.full_like(x, np.sum(x)),
                     lambda x: np.transpose(x, axes), lambda x: x.transpose(*axes), lambda x: x.reshape(*shape[::-1]),
                     lambda x: x.flatten(), lambda x: x.T):
        np.testing.assert_array_equal(vjp(function, x)[0], function(x))
        check_vjp(lambda x, function=function: function(x) ** 2, x, order=2)


@given(shapes_with_axes, st.data())
def test_joining_and_splitting(shape, data):
    rng = np.random.default_rng(data.draw(seeds))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    constant = rng.normal(size=shape)
    for function in (lambda a, b: np.concatenate([a, constant, b], axis=axis), lambda a, b: np.concatenate((a, b), axis=None),
                     lambda a, b: np.stack([a, b], axis=axis), lambda a, b: np.hstack([a, b]), lambda a, b: np.vstack([a, b]),
                     lambda a, b: np.split(np.stack([a, b]), 2)[1] * a, lambda a, b: np.split(np.stack([a, a, b]), [1])[1]):
        np.testing.assert_array_equal(vjp(function, a, b)[0], function(a, b))
        check_vjp(lambda a, b, function=function: function(a, b) ** 2, a, b, order=2)


INDICES = [0, -1, slice(None, None, 2), (0, 1), (slice(None), 0), (Ellipsis, 1), None, np.array([0, 0, 1]), [1, 0],
           (np.array([0, 1, 0]), np.array([1, 1, 1])), np.array([True, False]), np.array([[True, False, True], [False, True, True]])]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(index):
    x = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_array_equal(vjp(lambda x: x[index], x)[0], x[index])
    check_vjp(lambda x: x[index] ** 2, x, order=2)


RANKS = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 2)), ((4, 2, 3), (3, 2)), ((2, 3), (4, 3, 2)), ((4, 2, 3), (4, 3, 2)),
         ((1, 2, 3), (4, 3, 2)), ((4, 2, 3), (3,)), ((3,), (4, 3, 2)), ((5, 1, 2, 3), (4, 3, 2))]


@pytest.mark.parametrize("ranks", RANKS, ids=str)
def test_matmul_and_dot_in_every_rank(ranks):
    a, b = (np.random.default_rng(0).normal(size=shape) for shape in ranks)
    for function in (np.matmul, np.dot, operator.matmul):
        np.testing.assert_allclose(vjp(function, a, b)[0], function(a, b), rtol=1e-12)
        check_vjp(function, a, b, order=2)
    check_vjp(lambda a: a @ b, a)
    check_vjp(lambda b: a @ b, b)


def test_dot_with_numbers_outer_trace():
    x = np.array([1.0, 2.0, 3.0])
    check_vjp(lambda x: np.dot(x, 2.0) + np.dot(x[0], x), x)
    check_vjp(np.outer, x, x[:2], order=2)
    check_vjp(np.trace, np.arange(6.0).reshape(2, 3))


EINSUMS = ["ij,jk->ik", "ij,jk", "ij->ji", "ij->", "ij->j", "ii->i", "ii", "ij,ij->", "bij,bjk->bik", "i,j->ij", "iij,jk->ik",
           "...ij,...jk",
           "...i,i->...", "i,i", "ij,j,jk,kl->il", "ij,->ij", "ba", "iji->j"]


@pytest.mark.parametrize("subscripts", EINSUMS)
def test_einsum(subscripts):
    rng = np.random.default_rng(0)
    size = dict(zip("ijklab", (3, 2, 4, 2, 3, 2)))
    inputs = subscripts.split("->")[0].split(",")
    arrays = [rng.normal(size=[*([2, 3] if "..." in s else []), *(size[c] for c in s.replace("...", ""))]) for s in inputs]
    np.testing.assert_allclose(vjp(lambda *a: np.einsum(subscripts, *a), *arrays)[0], np.einsum(subscripts, *arrays), rtol=1e-12)
    check_vjp(lambda *a: np.einsum(subscripts, *a), *arrays, order=2)


def test_einsum_by_lists_and_with_axes_of_one():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    for function in (lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [0, 2]), lambda a, b: np.einsum(a, [3, 1], b, [1, 2])):
        np.testing.assert_allclose(vjp(function, a, b)[0], function(a, b))
        check_vjp(function, a, b, order=2)
    check_vjp(lambda a, b: np.einsum("ij,ij->ij", a, b), a, a[:1], order=2)
    with pytest.raises(ValueError, match="subscripts for 2 operands, and 1"):
        grad(lambda a: np.einsum("ij,jk", a))(a)


@given(st.integers(1, 3), st.sampled_from([(), (2,), (2, 1)]), st.sampled_from([None, 1, 2]), seeds)
def test_solve_and_inv(n, batch, columns, seed):
    rng = np.random.default_rng(seed)
    A = well_conditioned(rng, n, batch)
    b = rng.normal(size=n) if columns is None else rng.normal(size=(*batch, n, columns))
    check_vjp(np.linalg.solve, A, b, order=2)
    check_vjp(np.linalg.inv, A, order=2)


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


@pytest.mark.parametrize("ord", [None, "fro", 1, -1, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [None, (0, 1), (1, 0)])
def test_norm_of_matrices(ord, axis):
    x = np.random.default_rng(0).normal(size=(3, 2))
    np.testing.assert_allclose(vjp(lambda x: np.linalg.norm(x, ord, axis), x)[0], np.linalg.norm(x, ord, axis))
    check_vjp(lambda x: np.linalg.norm(x, ord, axis, keepdims=True), x, order=2)
    with pytest.raises(TypeError, match=r"np\.linalg\.norm: the matrix norm of order 2 needs singular values"):
        grad(lambda x: np.linalg.norm(x, 2))(x)


@given(shapes, seeds)
def test_jvp_and_vjp_are_adjoint(shape, seed):
    """<J v, w> = <v, J^T w>, with J v from `jvp`."""
    from tinyode import jvp

    rng = np.random.default_rng(seed)
    x, v, w = (rng.normal(size=shape) for _ in range(3))
    f = lambda x: np.sin(x) * x + np.sum(x * x) * np.exp(-x)
    _, tangent = jvp(f, (x,), (v,))
    np.testing.assert_allclose(np.sum(tangent * w), np.sum(v * vjp(f, x)[1](w)[0]), rtol=1e-10, atol=1e-12)


@given(shapes_with_axes, seeds)
def test_float32_stays_float32(shape, seed):
    x = np.random.default_rng(seed).uniform(0.5, 2, shape).astype(np.float32)
    for function in [*[f for f in UNARY if UNARY[f][0] > 0], np.sum, np.mean, np.max, np.var, np.ravel, lambda x: x * 2 + 1.0,
                     lambda x: x**2, lambda x: np.maximum(x, 1.0), lambda x: x[0] * x, lambda x: np.where(x > 1, x, 0.0),
                     lambda x: np.clip(x, 0.7, 1.5), np.linalg.norm, lambda x: np.einsum("...->", x)]:
        y, pullback = vjp(function, np.maximum(x, 1.5) if function is np.arccosh else x)
        assert y.dtype == np.float32, function
        assert pullback(np.ones(y.shape, np.float32))[0].dtype == np.float32, function
