"""vjp, jvp, grad, jacobian, hessian: values, containers, nesting, and every refusal."""

import dataclasses
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from tinyode import compiled, grad, hessian, jacobian, jvp, stop_gradient, tree, value_and_grad, vjp
from tinyode.autodiff.rows import NUMBERS, TOGETHER
from tinyode.testing import central_difference, check_vjp


def mlp(y, W1, b1, W2, b2):
    return np.tanh((y * y * y) @ W1 + b1) @ W2 + b2


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), seeds)
def test_an_mlp_to_second_order(batch, n, hidden, seed):
    rng = np.random.default_rng(seed)
    shapes = (batch, n), (n, hidden), (hidden,), (hidden, n), (n,)
    check_vjp(mlp, *[rng.normal(size=shape) for shape in shapes], order=2)


def test_perturbations_are_not_confused():
    """d/dx [x d/dy (x y)] = 2 x: the inner derivative must see the outer x as a constant, the outer
    one must not.
    """
    assert grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0) == 6.0
    assert (
        grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1.0
    )  # Siskind and Pearlmutter (2005)
    assert grad(lambda x: grad(lambda y: x * y * y)(x))(3.0) == 12.0


def test_third_derivative():
    third = grad(grad(grad(lambda x: np.sin(x) * x**3)))
    x = 1.3
    np.testing.assert_allclose(
        third(x),
        -np.cos(x) * x**3 - 9 * x**2 * np.sin(x) + 18 * x * np.cos(x) + 6 * np.sin(x),
        rtol=1e-13,
    )


@given(seeds)
def test_hessian_is_symmetric_and_agrees_with_products(seed):
    rng = np.random.default_rng(seed)
    A, x, v = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)
    f = lambda x: np.sum(np.tanh(A @ x) ** 2) + np.prod(x)
    H = hessian(f)(x)
    np.testing.assert_allclose(H, H.T, atol=1e-12)
    np.testing.assert_allclose(
        jvp(grad(f), (x,), (v,))[1], H @ v, atol=1e-11
    )  # forward over reverse
    np.testing.assert_allclose(
        grad(lambda x: grad(f)(x) @ v)(x), H @ v, atol=1e-11
    )  # reverse over reverse
    np.testing.assert_allclose(central_difference(grad(f), (x,), (v,)), H @ v, atol=1e-8)


def test_jacobian_shapes():
    x, W = np.arange(3.0), np.ones((2, 3))
    assert jacobian(lambda x: W @ x)(x).tolist() == W.tolist()
    assert jacobian(lambda x, W: W @ x, 1)(x, W).shape == (2, 2, 3)
    assert jacobian(lambda x: np.sum(x))(x).tolist() == [1, 1, 1]
    assert jacobian(lambda x: np.outer(x, x))(x).shape == (3, 3, 3)
    both = jacobian(lambda x, W: {"y": W @ x, "z": x[0]}, (0, 1))(x, W)
    assert (
        both["y"][0].shape == (2, 3)
        and both["y"][1].shape == (2, 2, 3)
        and both["z"][1].shape == (2, 3)
    )
    blocks = hessian(lambda p: p["a"] * np.sum(p["b"] ** 2))({"a": 2.0, "b": x})
    np.testing.assert_array_equal(blocks["a"]["b"], 2 * x)
    np.testing.assert_array_equal(blocks["b"]["b"], 4 * np.eye(3))


def test_containers_in_and_out():
    parameters = {
        "layers": [(np.ones((2, 3)), np.zeros(3)), (np.ones((3, 1)), np.zeros(1))],
        "scale": 2.0,
    }

    def f(p, x):
        (W1, b1), (W2, b2) = p["layers"]
        return p["scale"] * (np.tanh(x @ W1 + b1) @ W2 + b2), {"x": x}

    value, pullback = vjp(f, parameters, np.ones((4, 2)))
    gradient, gx = pullback(tree.map(np.ones_like, value))
    assert tree.flatten(gradient)[1] == tree.flatten(parameters)[1]
    assert tree.map(np.shape, gradient) == tree.map(np.shape, parameters)
    check_vjp(f, parameters, gx, order=2)


def test_argnum_and_keywords():
    f = lambda x, y, scale=1.0: scale * x * y**2
    assert grad(f)(2.0, 3.0) == 9.0
    assert grad(f, 1)(2.0, 3.0) == grad(f, -1)(2.0, 3.0) == 12.0
    assert grad(f, (0, 1))(2.0, 3.0, scale=2.0) == (18.0, 24.0)
    assert value_and_grad(f)(2.0, 3.0) == (18.0, 9.0)
    with pytest.raises(ValueError, match=r"argnum=\(0, -2\) names an argument twice"):
        grad(f, (0, -2))(2.0, 3.0)
    for wrong in (2, -3, "x", 1.0):
        with pytest.raises(ValueError, match="argnum="):
            grad(f, wrong)(2.0, 3.0)


def test_dtypes_shapes_and_promotion():
    assert grad(lambda x: x * x)(3) == 6.0 and isinstance(grad(lambda x: x * x)(3), np.float64)
    assert grad(lambda x: np.sum(x * x))(np.array([1, 2])).dtype == np.float64
    assert grad(lambda x: np.sum(x * np.ones(3)))(np.float32(1.0)).dtype == np.float32
    g = grad(lambda x, y: np.sum(x * 2.0), (0, 1))(
        np.ones((2, 1), np.float32), np.ones(3, np.float32)
    )
    assert (
        g[0].shape == (2, 1)
        and g[1].shape == (3,)
        and g[0].dtype == g[1].dtype == np.float32
        and not g[1].any()
    )
    mixed = grad(lambda x, y: np.sum(x * y), (0, 1))(np.ones(2, np.float32), np.ones(2))
    assert mixed[0].dtype == np.float32 and mixed[1].dtype == np.float64
    assert np.ndim(grad(np.sin)(np.array(1.0))) == 0
    assert grad(lambda x: np.sum(x.astype(np.float32) ** 2))(np.ones(2)).dtype == np.float64


def test_cotangents_belong_to_the_caller():
    w = np.ones(3)
    _, pullback = vjp(lambda x, y: x + y, np.ones(3), np.ones(3))
    gx, gy = pullback(w)
    gx *= 2
    assert gy.tolist() == w.tolist() == [1, 1, 1]
    g = grad(np.sum)(np.ones(3))
    g[0] = 5.0  # not a read-only view of a broadcast number
    assert pullback(w)[0].tolist() == [1, 1, 1]  # and the pullback can be called again


def test_array_of_traced_scalars():
    f = lambda y: np.array([y[1], -y[0]])
    np.testing.assert_array_equal(jacobian(f)(np.array([1.0, 2.0])), [[0, 1], [-1, 0]])
    y = np.array([0.3, 0.7])
    same = [
        (
            lambda y: np.array([y[1], 2.0, y[0]]) * y[0],
            lambda y: np.stack([y[1], 2.0 + 0 * y[0], y[0]]) * y[0],
        ),
        (lambda y: y * np.array([y[1], -y[0]]), lambda y: y * np.stack([y[1], -y[0]])),
        (
            lambda y: np.array([[y[0], y[1]], [1.0, y[0]]]) @ y,
            lambda y: np.stack([y, np.stack([1.0 + 0 * y[0], y[0]])]) @ y,
        ),
        (lambda y: np.array([y, 2 * y]), lambda y: np.stack([y, 2 * y])),
        (
            lambda y: np.sin(np.array([y[0] * y[1], y[1]])),
            lambda y: np.sin(np.stack([y[0] * y[1], y[1]])),
        ),
        (lambda y: np.sum(np.array([y[0] * y[1], y[1]])), lambda y: y[0] * y[1] + y[1]),
        (lambda y: np.concatenate([np.array([y[0]]), y]), lambda y: np.concatenate([y[:1], y])),
        (
            lambda y: np.linalg.solve(np.array([[2.0, y[0]], [y[1], 3.0]]), y),
            lambda y: np.linalg.solve(
                np.eye(2) * np.array([2.0, 3.0]) + y[0] * np.eye(2, k=1) + y[1] * np.eye(2, k=-1), y
            ),
        ),
        (
            lambda y: np.maximum(np.array([y[1], y[0]]), y),
            lambda y: np.maximum(np.stack([y[1], y[0]]), y),
        ),
        (lambda y: [y[0], y[1]] * y, lambda y: y * y),
    ]
    for boxed, stacked in same:
        np.testing.assert_allclose(vjp(boxed, y)[0], vjp(stacked, y)[0], rtol=1e-15)
        np.testing.assert_allclose(jacobian(boxed)(y), jacobian(stacked)(y), rtol=1e-14)
        np.testing.assert_allclose(
            jacobian(jacobian(boxed))(y), jacobian(jacobian(stacked))(y), rtol=1e-13, atol=1e-15
        )
    g = jacobian(
        lambda a: jacobian(lambda y: np.array([y[0] * a, a * a]) * y)(np.array([1.0, 2.0]))
    )(3.0)  # two levels in one array
    np.testing.assert_allclose(g, [[2, 0], [0, 6]])


UFUNCS_OF_OBJECTS = [  # those that NumPy computes on arrays of objects, if all of them are traced
    np.exp,
    np.exp2,
    np.expm1,
    np.log,
    np.log2,
    np.log10,
    np.log1p,
    np.sqrt,
    np.cbrt,
    np.square,
    np.reciprocal,
    np.negative,
    np.positive,
    np.absolute,
    np.fabs,
    np.sin,
    np.cos,
    np.tan,
    np.arcsin,
    np.arccos,
    np.arctan,
    np.sinh,
    np.cosh,
    np.tanh,
    np.arcsinh,
    np.arctanh,
    np.degrees,
    np.radians,
    np.deg2rad,
    np.rad2deg,
    np.conjugate,
]
OF_OBJECTS = [  # and these also if there are constants among them; b is the array, c a plain one
    lambda b, c: np.sum(b),
    lambda b, c: np.sum(b, axis=-1),
    lambda b, c: np.prod(b),
    lambda b, c: np.max(b),
    lambda b, c: np.min(b, axis=0),
    lambda b, c: np.dot(b, c),
    lambda b, c: np.dot(c, b),
    lambda b, c: b @ b,
    lambda b, c: np.where(b > 0.5, b, 2.0),
    lambda b, c: np.linalg.norm(b),
    lambda b, c: np.linalg.norm(b, axis=0),
    lambda b, c: np.linalg.norm(b, 1, axis=-1),
    lambda b, c: np.cumsum(b),
    lambda b, c: np.sort(b),
    lambda b, c: np.clip(b, 0.2, 0.5),
    lambda b, c: np.diff(b),
    lambda b, c: np.outer(b, c),
    lambda b, c: np.concatenate([b, c]),
    lambda b, c: np.stack([c, b]),
    lambda b, c: b.T,
    lambda b, c: np.reshape(b, -1),
    lambda b, c: np.maximum(b, c),
    lambda b, c: np.minimum(c, b),
    lambda b, c: b + c,
    lambda b, c: c - b,
    lambda b, c: b * c,
    lambda b, c: c / b,
    lambda b, c: b**2,
    lambda b, c: abs(b),
    lambda b, c: -b,
    lambda b, c: b % 0.3,
    lambda b, c: np.power(b, c),
    lambda b, c: b[::-1],
    lambda b, c: b.sum(),
    lambda b, c: b.max(axis=0),
    lambda b, c: np.transpose(b),
    lambda b, c: np.full((2, 2), b[0, 0]),
]


@pytest.mark.parametrize("k", range(len(UFUNCS_OF_OBJECTS) + len(OF_OBJECTS)))
@given(seeds)
def test_arrays_of_traced_scalars_are_stacks_of_them(k, seed):
    """np.array of nested lists of traced numbers: the numbers and gradients that np.stack would
    have.
    """
    y, c = np.random.default_rng(seed).uniform(0.1, 0.9, (2, 2, 2))
    if k < len(UFUNCS_OF_OBJECTS):
        f, constant = lambda b, c: UFUNCS_OF_OBJECTS[k](b), lambda y: y[1, 1]
    else:
        f, constant = OF_OBJECTS[k - len(UFUNCS_OF_OBJECTS)], lambda y: 0.31
    boxed = lambda y: f(
        np.array([[y[0, 0] * y[0, 1], constant(y)], [np.exp(-y[1, 0]), y[0, 0]]]), c
    )
    stacked = lambda y: f(
        np.reshape(np.stack([y[0, 0] * y[0, 1], constant(y), np.exp(-y[1, 0]), y[0, 0]]), (2, 2)), c
    )
    for with_boxes, with_stack in [
        (vjp(boxed, y)[0], vjp(stacked, y)[0]),
        (jacobian(boxed)(y), jacobian(stacked)(y)),
        (jacobian(jacobian(boxed))(y), jacobian(jacobian(stacked))(y)),
    ]:
        np.testing.assert_allclose(with_boxes, with_stack, rtol=1e-12, atol=1e-14)


def test_rounding_arrays_of_traced_scalars():
    y = np.array([1.3, -2.6])
    for f in (np.sign, np.floor, np.ceil, np.trunc, np.rint):
        assert (
            grad(lambda y, f=f: np.sum(y * f(np.array([y[0], y[1]]))))(y).tolist() == f(y).tolist()
        )


REFUSED_OF_OBJECTS = [
    np.mean,
    np.var,
    np.linalg.inv,
    np.linalg.det,
    np.isfinite,
    lambda b: np.copysign(b, 1.0),
    lambda b: np.asarray(b, dtype=float),
    lambda b: np.logaddexp(b, 1.0),
    lambda b: np.sin(np.append(b, 1.0)),
    lambda b: np.interp(b, [0, 1], [0, 1]),
]


@pytest.mark.parametrize("f", REFUSED_OF_OBJECTS, ids=str)
def test_what_numpy_alone_refuses_is_an_error_and_not_a_lost_gradient(f):
    """np.stack, which the documentation says to write instead, works."""
    y = np.array([0.3, 0.7])
    with pytest.raises(
        (TypeError, ValueError),
        match=r"setting an array element|not supported for the input|cast|no callable sin method",
    ):
        vjp(lambda y: f(np.array([[y[0], y[1]], [y[1], y[1]]])), y)
    if f.__name__ != "<lambda>":
        vjp(lambda y: f(np.stack([np.stack([y[0], y[1]]), np.stack([y[1], 1.0])])), y)


def test_what_is_no_array_of_numbers_is_named():
    rows = np.empty(2, object)

    def f(x):
        rows[:] = [x[0], x]
        return rows * x

    with pytest.raises(
        TypeError, match=r"one is of type Node, shape \(2,\).*write np.stack or np.concatenate"
    ):
        vjp(f, np.ones(2))
    assert vjp(lambda x: np.array([x[0], np.array(5.0), True]) * x[0], np.array([2.0]))[
        0
    ].tolist() == [4.0, 10.0, 2.0]
    for primal in (np.ma.array([1.0, 2.0], mask=[0, 1]), np.ones((1, 1)).view(np.matrix)):
        with pytest.raises(TypeError, match="does not compute like an array"):
            vjp(np.sum, primal)


def test_the_value_can_be_written_into():
    value, pullback = vjp(np.exp, np.ones(2))
    value *= 0
    np.testing.assert_allclose(pullback(np.ones(2))[0], np.exp(1))
    x = np.ones(2)
    value = vjp(lambda x: x, x)[0]
    value += 1
    assert x.tolist() == [1, 1]


@pytest.mark.parametrize("size", [1, TOGETHER - 1, TOGETHER, 2 * TOGETHER + 3])
def test_jacobians_of_many_rows(size):
    """The rows go through the tape a bounded number at a time."""
    x, W = np.linspace(0.1, 1, size), np.random.default_rng(0).normal(size=(size, 2))
    J, K = jacobian(lambda x, W: (x * x, W.T @ np.sin(x)), (0, 1))(x, W)
    np.testing.assert_allclose(J[0], np.diag(2 * x), rtol=1e-12)
    np.testing.assert_array_equal(J[1], np.zeros((size, size, 2)))
    np.testing.assert_allclose(K[0], W.T * np.cos(x), rtol=1e-12)
    np.testing.assert_allclose(K[1][1, :, 1], np.sin(x), rtol=1e-12)


# before NumPy 2.1 it had another name, which no rule knows
shape_by_name = {"shape": (2, 3)} if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else {}


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.reshape(x, (2, 3), "F"),
        lambda x: np.reshape(x, (2, 3), order="F"),
        lambda x: np.reshape(x, **shape_by_name) if shape_by_name else np.reshape(x, (2, 3)),
        lambda x: np.reshape(x, (3, 2), "C"),
        lambda x: x.reshape(3, 2).T.ravel("F"),
        lambda x: np.expand_dims(x, axis=0),
        lambda x: np.expand_dims(x, (0, -1)),
        lambda x: np.squeeze(x[None, :, None], axis=0),
        lambda x: x[None].squeeze(0) * x[None].squeeze(axis=(0,)),
        lambda x: np.transpose(x.reshape(2, 3, 1), axes=(-1, 0, 1)),
        lambda x: np.sum(x.reshape(2, 3), 0, None),
        lambda x: np.sum(x.reshape(2, 3), -1, float, keepdims=True),
        lambda x: np.sum(x.reshape(2, 3), axis=(0, -1), keepdims=True),
        lambda x: np.sum(x, initial=2.0, where=x > 0.3),
        lambda x: np.broadcast_to(x, shape=(2, 6)),
        lambda x: np.concatenate([x.reshape(2, 3), x.reshape(2, 3) ** 2], -1),
        lambda x: np.concatenate((x, x[:2]), axis=None),
        lambda x: np.where(x > 0.3, x, x[::-1] ** 2),
        lambda x: x[[0, 0, -1]] * x[np.array([True, False, True, False, False, True])],
        lambda x: np.matmul(x.reshape(1, 2, 3), x.reshape(3, 2)),
        lambda x: x.reshape(2, 3) @ x[:3] + x[:2] @ x.reshape(2, 3) @ x[3:],
    ],
)
def test_rows_together_are_rows_one_by_one(f):
    """Whichever way the settings of a function are given."""
    x = np.linspace(0.1, 0.9, 6)
    value, pullback = vjp(f, x)
    units = np.reshape(np.eye(value.size), (-1, *value.shape))
    rows = np.stack([pullback(unit)[0] for unit in units])
    np.testing.assert_allclose(jacobian(f)(x), np.reshape(rows, (*value.shape, 6)), rtol=1e-12)


def test_jacobians_are_the_callers_own():
    """Each array can be written into, and none shares memory with another."""
    x = np.ones(3)
    found = jacobian(lambda x, d: (x + d["a"], np.sum(d["b"]), x), (0, 1))(x, {"a": x, "b": x})
    leaves = tree.flatten(found)[0]
    for n, leaf in enumerate(leaves):
        leaf += n + 1.0
        assert not any(np.shares_memory(leaf, other) for other in [x, *leaves[:n]])
    assert hessian(lambda x: np.sum(x) ** 2)(x).flags.writeable


def test_the_memory_of_jacobians_with_large_intermediates():
    """Rows go together only as far as their cotangents are not large."""

    def f(p):
        y = p[0] * np.linspace(0, 1, 200_000) + p[1]
        return np.sum(np.sin(y).reshape(100, -1), axis=1)

    def peak(call):
        tracemalloc.start()
        call()
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    one = peak(lambda: vjp(f, np.ones(2))[1](np.ones(100)))
    assert peak(lambda: jacobian(f)(np.ones(2))) < one + 6 * 8 * NUMBERS


def test_jacobians_of_jacobians():
    """A third derivative, and the gradient of an element of a Jacobian, by sweeps of sweeps."""
    f = lambda x: np.array([x[0] ** 3 * x[1], np.sin(x[1]) * x[0], 2.0])
    x, y = np.array([0.3, 0.8])
    second = jacobian(jacobian(f))(np.array([x, y]))
    np.testing.assert_allclose(second[0], [[6 * x * y, 3 * x**2], [3 * x**2, 0]], atol=1e-14)
    np.testing.assert_allclose(second[1], [[0, np.cos(y)], [np.cos(y), -x * np.sin(y)]])
    third = jacobian(hessian(lambda x: f(x)[0]))(np.array([x, y]))
    np.testing.assert_allclose(third[0], [[6 * y, 6 * x], [6 * x, 0]], atol=1e-14)
    of_element = grad(lambda x: jacobian(f)(x)[0, 1] * jacobian(compiled(f))(x)[1, 1])
    np.testing.assert_allclose(
        of_element(np.array([x, y])), [4 * x**3 * np.cos(y), -(x**4) * np.sin(y)], rtol=1e-12
    )


def test_jacobian_refuses_whole_numbers():
    with pytest.raises(
        TypeError,
        match=(
            r"jacobian: the function returned array\(\[0, 1\]\), which is not made of"
            r" floating-point"
        ),
    ):
        jacobian(np.argsort)(np.array([0.3, 0.7]))
    assert jacobian(lambda x: np.zeros(0) * x)(3.0).dtype == np.float64


def test_stop_gradient_refuses_what_it_cannot_see_into():
    @dataclasses.dataclass
    class Box:
        x: object

    with pytest.raises(
        TypeError, match=r"stop_gradient: .*Box.* is neither a number, an array, nor a nested tuple"
    ):
        grad(lambda x: stop_gradient(Box(x)).x * x)(3.0)
    assert stop_gradient({"name": "a", "nothing": None, "n": 3}) == {
        "name": "a",
        "nothing": None,
        "n": 3,
    }


def test_stop_gradient_and_unused_arguments():
    assert grad(lambda x: x * stop_gradient(x))(3.0) == 3.0
    assert grad(lambda x: np.sum(stop_gradient({"a": [x]})["a"][0]) + 0.0 * x)(3.0) == 0.0
    assert grad(lambda x: 7.0)(3.0) == 0.0
    g = grad(lambda p: p["a"] * 2.0)({"a": 1.0, "b": np.ones((2, 2), np.float32)})
    assert g["b"].shape == (2, 2) and g["b"].dtype == np.float32 and not g["b"].any()


def test_the_same_value_returned_twice():
    (g,) = vjp(lambda x: (x, x * 1.0, x), 2.0)[1]((1.0, 10.0, 100.0))
    assert g == 111.0


def test_two_threads_differentiate_at_once():
    results = {}

    def work(k):
        results[k] = [
            grad(lambda x: grad(lambda y: np.sin(k * x * y))(x))(0.3 + 0.01 * i) for i in range(200)
        ]

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2)]
    [t.start() for t in threads], [t.join() for t in threads]
    for k, values in results.items():
        assert values == [
            grad(lambda x, k=k: grad(lambda y: np.sin(k * x * y))(x))(0.3 + 0.01 * i)
            for i in range(200)
        ]


@pytest.mark.parametrize(
    "value, message",
    [
        (np.ones(2), r"array of shape \(2,\); a gradient is of one number"),
        (None, "returned None"),
        ("x", "returned 'x'"),
        (1, "not made of floating-point numbers"),
        (np.arange(1), "not made of floating-point numbers"),
        (1j, "returned 1j"),
        ((1.0, 2.0), "returned a tuple"),
        ({"a": "x"}, "returned 'x'"),
        (True, "not made of floating-point numbers"),
    ],
)
def test_grad_refuses_values_by_name(value, message):
    with pytest.raises(TypeError, match=message):
        grad(lambda x: value)(1.0)


@pytest.mark.parametrize(
    "primal, message",
    [
        (1j, "a complex number"),
        (None, "None of type NoneType"),
        ("a", "'a' of type str"),
        ({"a": [1.0, "b"]}, "'b' of type str"),
        (np.ones(2) * 1j, "a complex number"),
    ],
)
def test_primals_are_refused_by_name(primal, message):
    with pytest.raises(TypeError, match=f"cannot differentiate with respect to {message}"):
        vjp(lambda x: 1.0, primal)


def test_pullback_refuses_what_does_not_match():
    _, pullback = vjp(lambda x: (x, x[0]), np.ones(2))
    with pytest.raises(
        ValueError, match=r"structure \[array, array\], the function's value \(array, array\)"
    ):
        pullback([np.ones(2), 1.0])
    with pytest.raises(
        ValueError, match=r"shape \(2,\) was expected, like the value, got shape \(3,\)"
    ):
        pullback((np.ones(3), 1.0))
    with pytest.raises(TypeError, match="a cotangent is made of real numbers"):
        pullback((np.ones(2), 1j))
    assert vjp(lambda x: (x, 2.0), 1.0)[1]((1.0, 1)) == (1.0,)


def test_jvp_refuses_what_does_not_match():
    with pytest.raises(TypeError, match="tuples, one item per argument"):
        jvp(np.sin, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"structure \(array, array\), the primals \(array,\)"):
        jvp(np.sin, (1.0,), (1.0, 2.0))
    for tangent in (1j, None, "a"):
        with pytest.raises(TypeError, match="jvp: a tangent is made of real numbers"):
            jvp(np.sin, (1.0,), (tangent,))
    with pytest.raises(
        ValueError, match=r"jvp: a primal of shape \(2,\) has a tangent of shape \(\)"
    ):
        jvp(np.sin, (np.ones(2),), (1.0,))


def test_a_dict_reaches_the_function_in_its_own_order():
    p = {f"layer{i}": np.random.default_rng(i).normal(size=(2, 2)) for i in (1, 2, 10)}

    def f(p):
        x = np.array([0.3, 0.7])
        for W in p.values():
            x = np.tanh(W @ x)
        return np.sum(x)

    assert value_and_grad(f)(p)[0] == f(p)
    check_vjp(f, p)


def test_object_arrays_in_ravel():
    def f(x):
        vector, unravel = tree.ravel((x, np.array([x[1], -x[0]])))
        return np.sum(unravel(vector)[1])

    assert grad(f)(np.ones(2)).tolist() == [-1.0, 1.0]
