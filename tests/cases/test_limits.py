"""Where the limit of a derivative is finite it is given: at infinities, zeros, on overflow."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import compiled, grad, hessian, nn, vjp
from tinyode.testing import check_vjp

inf = np.inf
PLACES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -3.0,
    inf,
    -inf,
    1e308,
    -1e308,
    1e200,
    1e160,
    -1e160,
    1e-160,
    1e-200,
    -1e-300,
    1e-310,
    5e-324,
    700.0,
    -700.0,
    800.0,
    -800.0,
]
UNARY = {  # function: its derivative, which is evaluated with the exponents of np.longdouble
    np.negative: lambda x: -1.0 + 0 * np.sign(x),
    np.absolute: np.sign,
    np.reciprocal: lambda x: -1 / x / x,
    np.square: lambda x: 2 * x,
    np.sqrt: lambda x: 0.5 / np.sqrt(x),
    np.cbrt: lambda x: 1 / (3 * np.cbrt(x) ** 2),
    np.exp: np.exp,
    np.exp2: lambda x: np.exp2(x) * np.log(np.longdouble(2)),
    np.expm1: np.exp,
    np.log: lambda x: 1 / x,
    np.log2: lambda x: 1 / (x * np.log(np.longdouble(2))),
    np.log10: lambda x: 1 / (x * np.log(np.longdouble(10))),
    np.log1p: lambda x: 1 / (1 + x),
    np.tan: lambda x: 1 / np.cos(x) ** 2,
    np.arcsin: lambda x: 1 / np.sqrt((1 - x) * (1 + x)),
    np.arccos: lambda x: -1 / np.sqrt((1 - x) * (1 + x)),
    np.arctan: lambda x: 1 / (1 + x * x),
    np.sinh: np.cosh,
    np.cosh: np.sinh,
    np.tanh: lambda x: 1 / np.cosh(x) ** 2,
    np.arcsinh: lambda x: 1 / np.sqrt(1 + x * x),
    np.arccosh: lambda x: 1 / np.sqrt((x - 1) * (x + 1)),
    np.arctanh: lambda x: 1 / ((1 - x) * (1 + x)),
    np.degrees: lambda x: 180 / np.longdouble(np.pi) + 0 * np.sign(x),
    nn.sigmoid: lambda x: 1 / (2 * np.cosh(x / 2)) ** 2,
    nn.softplus: lambda x: 1 / (1 + np.exp(-x)),
}
long = pytest.mark.skipif(
    np.finfo(np.longdouble).maxexp < 16000, reason="long double is no longer than double"
)


@long
@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_unary_functions(f):
    with np.errstate(all="ignore"):
        for x in PLACES:
            exact = float(UNARY[f](np.longdouble(x)))
            if np.isnan(f(np.float64(x))):
                continue
            np.testing.assert_allclose(grad(f)(x), exact, rtol=1e-12, atol=2e-16, err_msg=f"at {x}")
            if np.isfinite(exact) and (x == 0 or np.isinf(x)):
                assert np.isfinite(grad(grad(f))(x)), x


@pytest.mark.parametrize(
    "f",
    [
        np.exp,
        np.expm1,
        np.log,
        np.sqrt,
        np.cbrt,
        np.arctan,
        np.tanh,
        np.arcsinh,
        np.log10,
        nn.sigmoid,
        nn.softplus,
        nn.relu,
        nn.elu,
    ],
)
def test_there_is_no_warning_where_numpy_has_none(f):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for x in (inf, 1e308, 1e200, 1e-310):
            with np.errstate(over="ignore"):  # of exp
                f(np.float64(x))
                grad(f)(x), grad(grad(f))(x)
    assert not found


def binary(f, a, b):
    with np.errstate(all="ignore"):
        return [float(slope) for slope in f(np.longdouble(a), np.longdouble(b))]


BINARY = {
    np.multiply: lambda a, b: (b, a),
    np.divide: lambda a, b: (1 / b, -a / b / b),
    np.hypot: lambda a, b: (a / np.hypot(a, b), b / np.hypot(a, b)),
    np.arctan2: lambda a, b: (b / (a * a + b * b), -a / (a * a + b * b)),
    np.logaddexp: lambda a, b: (np.exp(a - np.logaddexp(a, b)), np.exp(b - np.logaddexp(a, b))),
    np.logaddexp2: lambda a, b: (
        np.exp2(a - np.logaddexp2(a, b)),
        np.exp2(b - np.logaddexp2(a, b)),
    ),
    np.power: lambda a, b: (b * a ** (b - 1), a**b * np.log(a)),
}


@long
@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
def test_binary_functions(f):
    """Against the formula, wherever that is a number."""
    with np.errstate(all="ignore"):
        for a in PLACES:
            for b in PLACES:
                if np.isnan(f(np.float64(a), np.float64(b))) or (
                    f is np.power and 0 < a < 1e-308 and abs(b) < 1e-10
                ):
                    continue  # 1 / a overflows, and b a^(b-1) on the way
                for slope, exact in zip(grad(f, (0, 1))(a, b), binary(BINARY[f], a, b)):
                    if np.isfinite(exact) and not (f is np.hypot and a == b == 0):
                        np.testing.assert_allclose(
                            slope, exact, rtol=1e-12, atol=1e-323, err_msg=f"{a}, {b}"
                        )


half, root = 0.5, np.sqrt(0.5)
LIMITS = [  # f, a, b, its slopes
    (np.logaddexp, 1.0, inf, (0, 1)),
    (np.logaddexp, inf, 1.0, (1, 0)),
    (np.logaddexp, -inf, 2.0, (0, 1)),
    (np.logaddexp, -inf, -inf, (half, half)),
    (np.logaddexp, inf, inf, (half, half)),
    (np.logaddexp, -inf, inf, (0, 1)),
    (np.logaddexp2, 1.0, inf, (0, 1)),
    (np.logaddexp2, -inf, -inf, (half, half)),
    (np.hypot, 1.0, inf, (0, 1)),
    (np.hypot, -inf, 1e308, (-1, 0)),
    (np.hypot, inf, -inf, (root, -root)),
    (np.hypot, 0.0, 0.0, (0, 0)),
    (np.hypot, 1e-320, 1e-320, (root, root)),
    (np.hypot, 0.0, -inf, (0, -1)),
    (np.arctan2, 1.0, inf, (0, 0)),
    (np.arctan2, inf, 1.0, (0, 0)),
    (np.arctan2, inf, -inf, (0, 0)),
    (np.arctan2, 0.0, -1.0, (-1, 0)),
    (np.arctan2, 0.0, -inf, (0, 0)),
    (np.power, 0.0, 2.0, (0, 0)),
    (np.power, 0.0, 1.0, (1, 0)),
    (np.power, 0.0, 0.0, (0, 0)),
    (np.power, 0.0, 3.5, (0, 0)),
    (np.power, inf, -1.0, (0, 0)),
    (np.power, inf, -inf, (0, 0)),
    (np.power, 0.5, inf, (0, 0)),
    (np.power, 2.0, -inf, (0, 0)),
    (np.power, 0.0, inf, (0, 0)),
    (np.power, 1.0, 1e308, (1e308, 0)),
    (np.power, inf, 1.0, (1, inf)),
    (np.divide, 1.0, inf, (0, 0)),
    (np.multiply, 0.0, 3.0, (3, 0)),
    (np.maximum, inf, 1.0, (1, 0)),
    (np.maximum, inf, inf, (half, half)),
    (np.minimum, -inf, -inf, (half, half)),
    (np.remainder, 1.0, inf, (1, 0)),
    (np.fmod, 1.0, inf, (1, 0)),
    (np.copysign, inf, -1.0, (-1, 0)),
]


@pytest.mark.parametrize("f, a, b, slopes", LIMITS, ids=str)
def test_limits(f, a, b, slopes):
    """Of numbers and arrays, on the tape and compiled, at second order too; without a warning."""
    np.testing.assert_allclose(grad(f, (0, 1))(a, b), slopes, rtol=1e-15)
    if slopes != (1, inf):
        arrays = np.array([a, 2.0]), np.array([b, 3.0])
        for g in (f, compiled(f)):
            found = vjp(g, *arrays)[1](np.array([1.0, 0.0]))
            np.testing.assert_allclose([c[0] for c in found], slopes, rtol=1e-15)
    with np.errstate(all="ignore"):
        second = hessian(lambda p: f(p[0], p[1]))(np.array([a, b]))
    assert np.all(np.isfinite(second)) or (a, b) in [
        (0, 0),
        (1e-320, 1e-320),
        (1, 1e308),
        (inf, 1),
    ], second


def test_python_exponents():
    with np.errstate(over="ignore"):
        for x, b, slope in [
            (0.5, inf, 0.0),
            (2.0, -inf, 0.0),
            (inf, -1.0, 0.0),
            (inf, 0.5, 0.0),
            (0.0, 0, 0.0),
            (inf, 0, 0.0),
            (0.0, 1, 1.0),
            (inf, 1.0, 1.0),
            (0.0, 2, 0.0),
            (0.0, inf, 0.0),
        ]:
            assert grad(lambda x, b=b: x**b)(x) == slope, (x, b)


def test_logaddexp_in_a_chain():
    for f in (np.logaddexp.reduce, lambda x: np.logaddexp(np.logaddexp(x[0], x[1]), x[2])):
        assert grad(f)(np.array([-inf, -inf, 2.0])).tolist() == [0, 0, 1]
        assert grad(f)(np.array([1.0, inf, 2.0])).tolist() == [0, 1, 0]
        assert grad(f)(np.array([inf, -inf, 2.0])).tolist() == [1, 0, 0]


@given(st.lists(st.sampled_from([inf, -inf, 1.0, -2.0, 800.0, -800.0]), min_size=1, max_size=5))
def test_logaddexp_reduce(x):
    """Shares of the whole, in proportion to e^x; infinite ones among themselves."""
    x = np.array(x)
    value, pullback = vjp(np.logaddexp.reduce, x)
    assert value == np.logaddexp.reduce(x) or np.isclose(value, np.logaddexp.reduce(x))
    largest = np.max(x)
    parts = np.exp(x - largest) if np.isfinite(largest) else (x == largest)
    np.testing.assert_allclose(pullback(1.0)[0], parts / np.sum(parts), atol=1e-300)
    rows = vjp(
        lambda x: np.logaddexp.reduce(x, axis=-1, keepdims=True),
        np.stack([x, 0 * np.nan_to_num(x)]),
    )
    np.testing.assert_allclose(rows[1](np.ones((2, 1)))[0][0], parts / np.sum(parts), atol=1e-300)
    assert np.all(np.isfinite(hessian(np.logaddexp.reduce)(x)))


def test_classes_that_are_excluded():
    """A score of -inf is a class that cannot be."""
    x = np.array([1.0, -inf, 2.0])
    np.testing.assert_allclose(
        grad(lambda x: nn.log_softmax(x)[0])(x), [1 - nn.sigmoid(-1.0), 0, -nn.sigmoid(1.0)]
    )
    np.testing.assert_allclose(
        grad(lambda x: nn.cross_entropy(x[None], np.array([0])))(x),
        [nn.sigmoid(-1.0) - 1, 0, nn.sigmoid(1.0)],
    )


def p_slopes(x, p):
    """(|x| / y)^(p - 1) in long double, times the sign."""
    x = np.asarray(x, np.longdouble)
    size = np.abs(x)
    y = np.sum(size**p) ** (1 / np.longdouble(p))
    return (np.sign(x) * (size / y) ** (p - 1)).astype(float)


@long
@pytest.mark.parametrize("p", [1, 2, 3, 0.5, -1, -2, 1.5, -0.5])
@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1.0, 1e160, 1e200, 1e307])
def test_norms_of_any_size(p, scale):
    x = scale * np.array([1.0, -2.0, 3.0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(
            grad(lambda x: np.linalg.norm(x, p))(x), p_slopes(x, p), rtol=1e-12
        )
        if p == 2:
            for f in (
                np.linalg.norm,
                lambda x: np.linalg.norm(x, axis=0),
                lambda x: np.linalg.norm(x[None], "fro"),
                np.linalg.vector_norm,
                lambda x: np.hypot(np.hypot(x[0], x[1]), x[2]),
            ):
                np.testing.assert_allclose(grad(f)(x), p_slopes(x, p), rtol=1e-12)
            d = x - np.mean(x)
            np.testing.assert_allclose(
                grad(np.std)(x), p_slopes(d, 2) / np.sqrt(3), rtol=1e-9, atol=1e-9
            )


@pytest.mark.parametrize(
    "ord, x, slopes",
    [
        (-1, [0.0, 1.0], [0, 0]),
        (-1, [0.0, 0.0], [0, 0]),
        (-2, [3.0, 0.0], [0, 0]),
        (-0.5, [0.0, 1.0], [0, 0]),
        (-1, [inf, 2.0], [0, 1]),
        (-1, [inf, inf], [0.25, 0.25]),
        (-1, [-inf, 0.0], [0, 0]),
        (0.5, [0.0, 1.0], [0, 1]),
        (0.5, [0.0, 0.0], [0, 0]),
        (3, [0.0, 0.0], [0, 0]),
        (3, [0.0, -1.0], [0, -1]),
        (3, [inf, 1.0], [1, 0]),
        (3, [-inf, 0.0], [-1, 0]),
        (2, [inf, 1.0], [1, 0]),
        (2, [0.0, 0.0], [0, 0]),
        (2, [inf, -inf], [root, -root]),
        (None, [-inf, 5.0], [-1, 0]),
        (1, [inf, 0.0], [1, 0]),
        (1.5, [inf, 1.0], [1, 0]),
        (inf, [inf, 1.0], [1, 0]),
        (inf, [0.0, 0.0], [0, 0]),
        (-inf, [0.0, 1.0], [0, 0]),
        (-inf, [inf, 1.0], [0, 1]),
        (0, [0.0, 1.0], [0, 0]),
    ],
)
def test_norms_with_zeros_and_infinities(ord, x, slopes):
    """Where an element is zero abs has a corner, and the mean of both slopes is zero."""
    x = np.array(x)
    with np.errstate(divide="ignore"):
        assert vjp(lambda x: np.linalg.norm(x, ord), x)[0] == np.linalg.norm(x, ord)
        np.testing.assert_allclose(grad(lambda x: np.linalg.norm(x, ord))(x), slopes)
        rows = np.stack([x, [1.0, 2.0]])
        found = vjp(lambda x: np.linalg.norm(x, ord, axis=-1), rows)[1](np.ones(2))[0]
        np.testing.assert_allclose(found[0], slopes)
        np.testing.assert_allclose(found[1], grad(lambda x: np.linalg.norm(x, ord))(rows[1]))


@pytest.mark.parametrize("p", [3, 0.5, -1, -2, 1.5, 2])
def test_norms_have_second_derivatives(p):
    check_vjp(
        lambda x: np.linalg.norm(x, p, axis=-1),
        np.array([[1.0, -2.0, 0.7], [0.3, 1.1, -0.4]]),
        order=3,
    )
    check_vjp(
        lambda x: np.hypot(x[0], x[1]) + np.arctan2(x[1], x[0]),
        np.array([[1.0, -2.0], [0.3, 1.1]]),
        order=3,
    )


def test_products_do_not_overflow_where_numpys_do_not():
    x = np.array([1e200, 1e-200, 1e200, 1e-200, 3.0])
    value, pullback = vjp(np.prod, x)
    np.testing.assert_allclose(value, 3.0)
    np.testing.assert_allclose(pullback(1.0)[0], 3.0 / x)
    assert grad(np.prod)(np.array([2.0, 0.0, 3.0])).tolist() == [0, 6, 0]
    assert grad(lambda x: np.sum(np.cumprod(x)))(np.array([2.0, 0.0, 3.0])).tolist() == [1, 8, 0]


def test_constant_vectors():
    for x in (np.ones(3), np.zeros(3), np.full(3, 1e200)):
        for f in (np.std, np.var, np.nanstd, np.ptp):
            np.testing.assert_array_equal(grad(f)(x), np.zeros(3))


def test_extremes_and_means_with_infinities():
    x = np.array([inf, 1.0, inf])
    assert grad(np.max)(x).tolist() == [0.5, 0, 0.5] and grad(np.min)(x).tolist() == [0, 1, 0]
    np.testing.assert_allclose(grad(np.mean)(x), np.full(3, 1 / 3))
    assert grad(lambda x: np.sum(np.where(np.isfinite(x), x * 2.0, 0.0)))(x).tolist() == [0, 2, 0]


def test_interpolation_far_out():
    """The value is the last one, whatever the straight line would be."""
    x = np.array([inf, -inf, 0.5, 1e308, -1e308])
    xp, fp = np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 5.0])
    value, pullback = vjp(np.interp, x, xp, fp)
    np.testing.assert_array_equal(value, np.interp(x, xp, fp))
    for found, expected in zip(
        pullback(np.ones(5)), ([0, 0, 1, 0, 0], [-0.5, -0.5, 0], [2.5, 0.5, 2])
    ):
        np.testing.assert_allclose(found, expected)


def test_modf_of_infinity_is_that_of_numpy():
    for x in (inf, -inf, 1e308, -2.5):
        assert vjp(np.modf, x)[0] == np.modf(x)
