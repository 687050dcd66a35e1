"""The engine: nothing is lost silently, memory is freed, leaks are recognised."""

import copy
import functools
import gc
import math
import pickle
import weakref
from fractions import Fraction

import numpy as np
import pytest

from tinyode import grad, vjp
from tinyode.testing import check_vjp

X = np.array([1.0, 2.0])


def write(x):
    x[0] = 1.0


def write_into_array(x):
    a = np.zeros(2)
    a[0] = x[0]


def add_in_place(x):
    a = np.zeros(2)
    a += x


LOST = [
    (
        lambda x: float(x[0]),
        TypeError,
        r"float\(\) or a function such as math.sin asks .* plain number",
    ),
    (lambda x: math.sin(x[0]), TypeError, "np.sin for math.sin"),
    (lambda x: int(x[0]), TypeError, r"int\(\) asks"),
    (lambda x: complex(x[0]), TypeError, r"complex\(\) asks"),
    (lambda x: x[0].item(), TypeError, r"\.item\(\) asks"),
    (lambda x: x.tolist(), TypeError, r"\.tolist\(\) asks"),
    (lambda x: range(x[0]), TypeError, "plain integer"),
    (write, TypeError, r"x\[0\] = \.\.\. writes into a traced array"),
    (add_in_place, TypeError, r"np\.add: out= would overwrite"),
    (lambda x: np.sin(x, out=np.zeros(2)), TypeError, r"np\.sin: out="),
    (lambda x: np.sum(x, out=np.zeros(())), TypeError, r"np\.sum: out="),
    (
        lambda x: np.fft.fft(x),
        TypeError,
        r"(?s)np\.fft\.fft has no derivative rule.*f = tinyode.custom_vjp\(lambda x:"
        r" np\.fft\.fft\(x\)\)"
        r".*f\.defvjp\(.*stop_gradient",
    ),
    (lambda x: np.nextafter(x, 1.0), TypeError, r"np\.nextafter has no derivative rule"),
    (
        lambda x: np.maximum.accumulate(x),
        TypeError,
        r"np\.maximum\.accumulate has no derivative rule",
    ),
    (lambda x: np.hypot.reduce(x), TypeError, r"np\.hypot\.reduce has no derivative rule"),
    (lambda x: np.add.reduceat(x, [0]), TypeError, r"np\.add\.reduceat has no derivative rule"),
    (lambda x: x * 1j, TypeError, r"np\.multiply: cannot combine .* 1j"),
    (lambda x: np.array([1j, 1.0]) + x, TypeError, r"np\.add: the result is complex"),
    (lambda x: x + np.array([1j, 1.0]), TypeError, r"np\.add: the result is complex"),
    (lambda x: x.astype(complex), TypeError, r"x\.astype\(complex128\)"),
    (lambda x: x + "a", TypeError, r"np\.add: cannot combine a traced array with 'a' of type str"),
    (lambda x: x * None, TypeError, r"np\.multiply: cannot combine .* None"),
    (
        lambda x: np.exp(x, where=x > 1),
        TypeError,
        r"np\.exp: where= is not supported .* choose with np\.where",
    ),
    (lambda x: np.add.at(np.zeros(2), [0, 1], x), TypeError, r"np\.add\.at writes into an array"),
    (lambda x: np.put(np.zeros(2), [0], x[:1]), TypeError, r"np\.put writes into an array"),
    (
        lambda x: np.fill_diagonal(np.outer(x, x), 0.0),
        TypeError,
        r"np\.fill_diagonal writes into an array",
    ),
    (
        lambda x: np.full_like(np.zeros(2), x[0]),
        TypeError,
        r"np\.copyto writes into an array.*np\.full",
    ),
    (lambda x: x.sort(), AttributeError, r"no \.sort; write it as a function, np\.sort\(x\)"),
    (lambda x: x.fill(0.0), AttributeError, r"no \.fill"),
    (lambda x: np.mean(x, dtype=np.float32), TypeError, r"np\.mean: dtype= is not supported"),
    (
        lambda x: np.pad(x, 1, constant_values=x[0]),
        TypeError,
        "np.pad: constant_values= and end_values= are settings",
    ),
    (
        lambda x: np.interp(x, [0, 1], [1j, 2j]),
        TypeError,
        "np.interp: each argument is made of real numbers",
    ),
    (
        lambda x: np.gradient(np.array([1j, 2j]), x),
        TypeError,
        "np.gradient: the array is made of real numbers",
    ),
    (lambda x: np.sum(x, initial=x[0]), TypeError, "np.sum: initial= is a setting, not an operand"),
    (lambda x: np.polyfit(x, x, 1), TypeError, r"custom_vjp\(lambda x: np\.polyfit\(x, \.\.\.\)\)"),
    (
        lambda x: np.linalg.pinv(np.outer(x, x), 0.1),
        TypeError,
        "np.linalg.pinv: too many arguments by position",
    ),
    (
        lambda x: np.linalg.svd(np.outer(x, x), hermitian=True),
        TypeError,
        "np.linalg.svd: hermitian= is not supported",
    ),
    (lambda x: np.tile(x, x), TypeError, "np.tile: reps is a setting, not an operand"),
    (lambda x: np.reshape(x, x), TypeError, r"np\.reshape: argument 1 is a setting"),
    (lambda x: x.foo, AttributeError, r"a traced array has no \.foo"),
    (lambda x: x.data, AttributeError, r"a traced array has no \.data"),
    (lambda x: x + np.array([object(), 1.0]), TypeError, "one is of type object"),
    (lambda x: x * Fraction(1, 2), TypeError, r"np\.multiply: the result is made of objects"),
    (lambda x: x[0] * Fraction(1, 2), TypeError, r"np\.multiply: the result is made of objects"),
    (
        lambda x: x * np.array([10**30, 1]),
        TypeError,
        r"np\.multiply: the result is made of objects",
    ),
    (lambda x: x.astype(object), TypeError, r"x\.astype\(object\)"),
    (
        lambda x: x * np.ma.array([1.0, 2.0], mask=[0, 1]),
        TypeError,
        "a MaskedArray does not compute like an array",
    ),
    (lambda x: pickle.dumps(x), TypeError, r"pickle stop_gradient\(x\)"),
    (lambda x: np.max(x, 0, None, True), TypeError, r"np\.max: too many arguments by position"),
    (
        lambda x: np.sum(x, 0, None, None, True),
        TypeError,
        r"np\.sum: too many arguments by position",
    ),
    (lambda x: np.concatenate([x, [1j]]), TypeError, r"np\.concatenate: the result is complex"),
    (lambda x: np.linalg.norm(x, "fro"), ValueError, "norm"),
]


@pytest.mark.parametrize("f, error, message", LOST, ids=[str(i) for i in range(len(LOST))])
def test_a_gradient_that_would_be_lost_is_an_error(f, error, message):
    with pytest.raises(error, match=message):
        vjp(f, X)


def test_writing_a_traced_value_into_an_array():
    with pytest.raises(ValueError) as caught:  # NumPy's words, with ours for its cause
        vjp(write_into_array, X)
    assert "stop_gradient" in str(caught.value.__cause__)


def test_what_works_on_the_value():
    seen = {}

    def f(x):
        seen.update(
            len=len(x),
            shape=x.shape,
            ndim=x.ndim,
            size=x.size,
            dtype=x.dtype,
            bool=bool(x[0] > 0.5),
            argmax=np.argmax(x),
            less=x < 1.5,
            equal=x == X,
            floor=np.floor(x * 1.5),
            floordiv=(x * 1.5) // 1,
            rfloordiv=3 // x,
            sign=np.sign(x),
            finite=np.isfinite(x),
            npshape=np.shape(x),
            zeros=np.zeros_like(x),
            close=np.allclose(x, X),
            method=x.argmax(),
            any=np.any(x > 1.5),
            whole=x.astype(int),
            between=x > x[::-1],
            round=x.round(),
        )
        if x[0] > 0.5:
            return np.sum(x * (x > 1.5))
        return np.sum(x)

    assert grad(f)(X).tolist() == [0.0, 1.0]
    assert (
        seen["len"] == 2
        and seen["shape"] == (2,)
        and seen["ndim"] == 1
        and seen["size"] == 2
        and seen["dtype"] is np.dtype(float)
    )
    assert seen["bool"] is True and seen["argmax"] == seen["method"] == 1 and seen["close"] is True
    assert seen["whole"].tolist() == [1, 2] and seen["between"].tolist() == [False, True]
    for name in (
        "less",
        "equal",
        "floor",
        "sign",
        "finite",
        "zeros",
        "floordiv",
        "rfloordiv",
        "round",
    ):
        assert type(seen[name]) is np.ndarray
    with pytest.raises(TypeError):
        vjp(lambda x: len(x[0]), X)
    with pytest.raises(TypeError):
        vjp(lambda x: list(x[0]), X)


METHODS = [
    lambda x: (
        x.sum()
        + x.mean(axis=0) * x.max()
        + x.min(axis=1, keepdims=True)
        + x.prod()
        + x.std()
        + x.var(ddof=1)
    ),
    lambda x: x.T @ x + x.mT.dot(x) + x.transpose() @ x.transpose((1, 0)) + x.swapaxes(0, 1),
    lambda x: (
        x.cumsum() * x.ravel()
        + x.flatten()
        + x.cumprod(axis=0).reshape(-1)
        + x.reshape((9,))
        + x.flat[0]
    ),
    lambda x: (
        x.diagonal()
        + x.trace()
        + x.take([0, 1, 2], axis=1)[0]
        + x.repeat(2, axis=0)[3]
        + x.compress([True], axis=0)
    ),
    lambda x: (
        x.clip(0.0, 5.0)
        + x.clip(min=2.0)
        + x.squeeze()
        + x.copy()
        + x.real
        + x.imag
        + x.conj()
        + x.astype(float)
    ),
    lambda x: (
        abs(-x)
        + (+x) % 7.3
        + 7.3 % x
        + divmod(x, 2)[1]
        + divmod(7.3, x)[1]
        + x // 2
        + 7.3 // x
        + x.round(1)
    ),
    lambda x: [row[0] * row[1] + len(row) for row in x],
]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_methods_attributes_iteration(method):
    """What an array has, a traced array has: the same numbers, and right derivatives."""
    x = np.array([[1.1, 2.3, 0.4], [3.2, 0.7, 1.9], [2.6, 1.4, 3.8]])
    np.testing.assert_allclose(vjp(method, x)[0], method(x), rtol=1e-13)
    check_vjp(method, x)


def test_iterating_over_many_rows():
    x = np.random.default_rng(0).normal(size=(101, 2))
    check_vjp(lambda x: np.stack([row[0] * np.sin(row[1]) for row in x]), x)
    check_vjp(lambda x: [part**2 for part in np.split(x[:100], 50)], x)


def test_methods_on_the_value():
    x = np.array([[1.1, 2.3], [3.2, 0.7]])

    def f(x):
        assert (
            x.argmax() == 2
            and x.argmin(axis=0).tolist() == [0, 1]
            and x.any()
            and x.all()
            and x.nbytes == 32
        )
        assert (
            x[0].searchsorted(2.0) == 1
            and x.argsort(axis=1).tolist() == [[0, 1], [1, 0]]
            and len(x.nonzero()[0]) == 4
        )
        assert [
            [0, 1, 2][i]
            for i in (math.floor(x[0, 0]), math.ceil(x[0, 0]), math.trunc(x[0, 1]), round(x[0, 0]))
        ] == [1, 2, 2, 1]
        assert (
            round(x[0, 1], 0) == 2.0
            and copy.copy(x) is x
            and x.flatten("F")[1] == 3.2
            and x.copy(order="C")[0, 0] == 1.1
        )
        assert np.where(x > 1)[0].tolist() == np.where(np.floor(x))[0].tolist() == [0, 0, 1]
        return np.sum(x)

    assert grad(f)(x).tolist() == [[1, 1], [1, 1]]


def test_a_leaked_value_is_recognised():
    kept = []

    def f(x):
        kept.append(x)
        return np.sum(x)

    grad(f)(X)
    for use in (
        lambda x: x + 1.0,
        np.sin,
        lambda x: x[0],
        lambda x: np.sum(x),
        lambda x: x.astype(np.float32),
    ):
        with pytest.raises(RuntimeError, match="a traced value has leaked"):
            use(kept[0])
    with pytest.raises(RuntimeError, match="has leaked"):
        grad(lambda y: np.sum(y * kept[0]))(X)
    for leak in (
        lambda x: kept[0],
        lambda x: grad(lambda y: (kept.append(y * x), y * y)[1])(2.0) * 0.0 + kept[-1],
        lambda x: kept[-1],
    ):
        with pytest.raises(RuntimeError, match="has leaked"):  # if only returned, too
            vjp(leak, 1.0)
    assert "Node" in repr(kept[0])


def test_a_deep_copy_keeps_its_gradient():
    assert grad(lambda x: x * copy.deepcopy(x))(3.0) == 6.0
    assert grad(lambda p: copy.deepcopy(p)["a"] * 2.0)({"a": 1.0}) == {"a": 2.0}


def test_an_order_that_depends_on_the_layout_in_memory_is_refused():
    with pytest.raises(ValueError, match=r"np\.reshape: order='A' is not supported"):
        grad(lambda x: np.sum(np.reshape(x, (2,), order="A")))(X)


def test_a_value_can_be_printed():
    printed = []
    grad(lambda x: printed.append(f"{x[0] * 2:.3f}") or x[0])(X)
    assert printed == ["2.000"]


def test_x_trace_is_the_method():
    np.testing.assert_array_equal(grad(lambda x: x.trace())(np.ones((2, 2))), np.eye(2))


def test_memory_is_free_as_soon_as_the_pullback_is():
    """No reference cycle: the tape dies with its last user, without the garbage collector."""
    marked = np.ones(3)
    alive = weakref.ref(marked)
    gc.disable()
    try:
        value, pullback = vjp(
            functools.partial(lambda marked, x: np.sum(np.tanh(x * marked)), marked), np.ones(3)
        )
        del marked
        pullback(1.0)
        assert alive() is not None
        del pullback, value
        assert alive() is None
    finally:
        gc.enable()


def test_a_trace_closes_when_the_function_fails():
    kept = []

    def f(x):
        kept.append(x)
        raise KeyError("own error")

    with pytest.raises(KeyError, match="own error"):
        grad(f)(1.0)
    with pytest.raises(RuntimeError, match="has leaked"):
        kept[0] + 1.0


def test_an_array_of_large_integers_beside_a_node():
    """It stays an array of objects: compared as it is, refused in a product."""
    large = np.array([10**30], dtype=object)
    np.testing.assert_array_equal(
        grad(lambda x: np.sum(x * np.less(x, large)))(X), np.ones(2), strict=True
    )
    with pytest.raises(TypeError, match="large integers"):
        grad(lambda x: np.sum(x * large))(X)
