"""Programs that compute with the numbers of small vectors compute what the tape computes."""

import linecache

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from test_composed_programs import composed
from test_program import assert_same, check_program

from tinyode import compiled, grad, jacobian, odeint, tree, vjp
from tinyode.autodiff.specialized import specialized
from tinyode.programs.numbers import LARGEST

OPERATIONS = [  # of two vectors of three numbers, to one
    lambda x, y: np.array([x[1], y[2], x[-1]]),
    lambda x, y: np.stack([x[0] * y[0], 1.0, -y[1] / (2.0 + x[0] ** 2)]),
    lambda x, y: np.stack([x[0] + y[0], x[0], x[0]]),
    lambda x, y: np.concatenate([x[1:], y[:1]]),
    lambda x, y: np.concatenate([np.array([x[0], y[0]]), np.reshape(y[1], (1,))]),
    lambda x, y: x[::-1] - y[[0, 0, 1]],
    lambda x, y: x[np.array([True, False, True])][0] * y,
    lambda x, y: np.reshape(np.reshape(x, (3, 1)), -1),
    lambda x, y: -x,
    lambda x, y: x + y,
    lambda x, y: x - 2,
    lambda x, y: 0.5 * x * y[1],
    lambda x, y: x / (2.0 + y * y),
    lambda x, y: np.sin(x),
    lambda x, y: np.exp(np.tanh(x[0])) * y,
    lambda x, y: x * np.sum(y),
    lambda x, y: np.outer(x, y)[1],
    lambda x, y: np.stack([np.array([x[0], y[0], y[1]]), np.array([y[1], x[1], 0.5])]).T @ x[:2],
    lambda x, y: np.stack([np.array([x[0], y[0], y[1]]), y])[0],
    lambda x, y: np.stack([np.array([x[0], y[0], y[1]]), y], axis=1)[:, 0],
    lambda x, y: np.concatenate([np.zeros(0), x[:1], y[1:]]),
    lambda x, y: np.concatenate([[2.0], x[1:]]),
    lambda x, y: x + np.zeros(3),
    lambda x, y: np.reshape(x[1], (1,)) * y,
    lambda x, y: y,
]


@given(seeds)
@settings(max_examples=100)
def test_drawn_compositions(seed):
    rng = np.random.default_rng(seed)
    f = composed(rng, 8, OPERATIONS)

    def with_a_number(x, y):
        *vectors, last = f(x, y)
        return [*vectors, last[1]]

    check_program(with_a_number, *rng.normal(size=(2, 3)))


def epidemic(t, y, b, g):
    S, I = y[0], y[1]
    new = b * S * I / 763.0
    return np.array([-new, new - g * I])


def sources(f, *args, wanted):
    """Return the sources of the programs of value and pullback."""
    vjp = specialized(compiled(f), *tree.flatten(args), wanted).vjp
    programs = [cell.cell_contents for cell in vjp.__closure__ if callable(cell.cell_contents)]
    names = [getattr(f, "__code__", None) and f.__code__.co_filename for f in programs]
    return ["".join(linecache.getlines(name)) for name in names if name.startswith("<program")]


def test_the_cotangents_of_numbers_are_put_together_once():
    text = "".join(sources(epidemic, 0.0, np.ones(2), np.float64(0.5), 0.3, wanted=(1, 2)))
    assert "place" not in text
    assert text.count("np.array") == 2  # the value, and the cotangent of y


@pytest.mark.parametrize("n", [LARGEST, LARGEST + 1])
def test_only_small_vectors_are_taken_apart(n):
    f = lambda x: np.array([x[i] * x[i - 1] for i in range(n)])
    x = np.random.default_rng(0).normal(size=n)
    check_program(f, x)
    assert ("place" in "".join(sources(f, x, wanted=(0,)))) == (n > LARGEST)


def test_a_vector_that_is_used_as_a_whole_stays_one():
    f = lambda x: np.exp(-x) * x[0]
    check_program(f, np.ones(3))
    assert "np.exp(v1)  # (3,)" in "".join(sources(f, np.ones(3), wanted=(0,)))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.longdouble])
def test_other_precisions_stay(dtype):
    x, y = np.random.default_rng(0).normal(size=(2, 3)).astype(dtype)
    for operation in OPERATIONS:
        f = lambda x, y, operation=operation: operation(x, y) * x[1]
        (value, pullback), (expected, by_tape) = vjp(compiled(f), x, y), vjp(f, x, y)
        assert_same((value, pullback(value)), (expected, by_tape(value)))


def test_the_caller_may_write_into_what_is_returned():
    f = compiled(lambda x: (np.array([x[0], x[1]]), np.array([x[0], x[1]])))
    x = np.ones(2)
    (a, b), pullback = vjp(f, x)
    a[:] = 5.0
    np.testing.assert_array_equal(b, np.ones(2))
    np.testing.assert_array_equal(f(x)[0], np.ones(2))
    np.testing.assert_array_equal(pullback((np.ones(2), np.zeros(2)))[0], np.ones(2))


def joined(*numbers):
    """Return a vector of these numbers, some of them traced or recorded, others Python's."""
    return np.concatenate([np.array([*numbers]), np.reshape(numbers[-1], (1,))])[:-1]


@pytest.mark.parametrize(
    "f",
    [
        lambda x, t: joined(10**18, x[0])[0] * 100,
        lambda x, t: joined(2, 0, x[0])[0] // joined(2, 0, x[0])[1],
        lambda x, t: np.mod(joined(2, 0, x[0])[0], joined(2, 0, x[0])[1]),
        lambda x, t: joined(-8.0, 1 / 3, x[0])[0] ** joined(-8.0, 1 / 3, x[0])[1],
        lambda x, t: joined(0, x[0])[0] ** -1.0,
        lambda x, t: np.power(joined(2, x[0])[0], -1.0),
        lambda x, t: joined(2, x[0])[0].astype(np.float32),
        lambda x, t: joined(2, x[0])[:1],
        lambda x, t: np.stack([joined(2, x[0])[:1], x[:1]]),
        lambda x, t: joined(t, x[0])[0] ** -0.5,
        lambda x, t: joined(-t, x[0])[0] ** 0.5,
        lambda x, t: np.concatenate([np.reshape(0 * t, (1,)), x])[0] ** -0.5,
        lambda x, t: joined(1 / 3, x[0])[0] * x.astype(np.float32),
        lambda x, t: joined(t / 3, x[0])[0] * x.astype(np.float32),
    ],
)
@pytest.mark.parametrize("t", [2.0, np.float64(2.0)])
def test_numbers_of_a_vector_compute_as_numpys(f, t):
    """Whatever it was made of: a whole number, a float, the time."""
    x = np.array([0.3, 0.7])
    with np.errstate(all="ignore"):
        found, expected = compiled(f)(x, t), f(x, t)
    np.testing.assert_array_equal(found, expected)
    assert type(found) is type(expected) and found.dtype == expected.dtype


def test_a_number_that_nothing_depends_on_has_a_cotangent_of_numpys():
    f = compiled(lambda a, b, y: (y + np.array([a, b]))[0] * y)
    y = np.array([0.3, 0.4])
    of_b = vjp(f, 1.3, 0.7, y)[1](np.ones(2))[1]
    assert of_b == 0.0 and type(of_b) is np.float64
    np.testing.assert_array_equal(jacobian(f, 1)(1.3, 0.7, y), np.zeros(2))
    field = compiled(lambda t, y, a, b: (y + np.array([a, b]))[0] * y)
    for way in ("adjoint", "discrete", "interpolated", "forward"):
        end = lambda b, way=way: np.sum(odeint(field, y, [0, 1.0], 1.3, b, gradient=way))
        assert grad(end)(0.7) == 0.0
