"""Programs of drawn compositions compute what the tape computes, to the last bit.

With small arrays, and with large ones, whose memory is used again.
"""

import numpy as np
from hypothesis import given, settings
from strategies import seeds
from test_program import assert_same, check_program

from tinyode import program


def added_in_place(x, y):
    x = x * 1.5
    x += y
    return x


OPERATIONS = [  # of two square matrices, to one
    lambda x, y: np.sin(x),
    lambda x, y: np.exp(np.tanh(x)),
    lambda x, y: np.sqrt(np.abs(x)),
    lambda x, y: -x,
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / (2.0 + y * y),
    lambda x, y: x**2 + y**3,
    lambda x, y: 1.0 * x + 0.0,
    lambda x, y: np.square(x) - x * x,
    lambda x, y: x,
    lambda x, y: x.copy(),
    lambda x, y: x.astype(float),
    added_in_place,
    np.maximum,
    np.logaddexp,
    np.hypot,
    lambda x, y: np.where(x > y, x, 0.5 * y),
    lambda x, y: np.clip(x, -1.0, 1.0),
    lambda x, y: np.sign(x) * y,
    lambda x, y: np.floor(x) + y,
    lambda x, y: x + np.sum(y, axis=-1, keepdims=True),
    lambda x, y: x - np.mean(x, axis=0),
    lambda x, y: x / (1.0 + np.max(np.abs(x))),
    lambda x, y: x * np.var(y, axis=0, keepdims=True),
    lambda x, y: x * np.prod(np.tanh(y), axis=0),
    lambda x, y: np.cumsum(x, axis=1) * 0.1,
    lambda x, y: x / (1 + np.linalg.norm(y)),
    lambda x, y: (x + 1.0) @ (2.0 * y).T @ x * 0.01,
    lambda x, y: np.einsum("ij,kj->ik", x, y) * 0.1,
    lambda x, y: np.outer(x[0], y[:, 0]),
    lambda x, y: np.linalg.solve(np.eye(len(x)) * 1e3 + np.tanh(x), y),
    lambda x, y: x * np.trace(y),
    lambda x, y: x.T,
    lambda x, y: np.swapaxes(x, 0, 1),
    lambda x, y: np.reshape(x, (-1,))[::-1].reshape(x.shape),
    lambda x, y: np.ravel(x).reshape(y.shape),
    lambda x, y: np.concatenate([x[1:], y[:1]]),
    lambda x, y: np.roll(x, 1, axis=0),
    lambda x, y: x[::-1],
    lambda x, y: np.sort(x, axis=0),
    lambda x, y: np.take_along_axis(x, np.argsort(y, axis=-1), axis=-1),
    lambda x, y: x[np.argmax(y, axis=0)],
    lambda x, y: np.stack([x, y])[0],
    lambda x, y: np.broadcast_to(x[0], x.shape),
    lambda x, y: np.expand_dims(x, 0)[0],
    lambda x, y: np.squeeze(x[None]),
    lambda x, y: np.diag(np.diagonal(x)) + y,
    lambda x, y: np.repeat(x, 2, axis=0)[::2],
    lambda x, y: np.tile(x, (2, 1))[: len(x)],
    lambda x, y: np.tril(x) + np.triu(y),
    lambda x, y: sum(np.split(x, 2)[:1])[[0] * len(x)] + y,
]


def composed(rng, n, operations=OPERATIONS):
    """Draw a function of n operations, each of two of the values that there are by then.

    It returns the last value, and two others.
    """
    steps = [
        (operations[rng.integers(len(operations))], *rng.integers(0, k, 2)) for k in range(2, n + 2)
    ]
    others = rng.integers(0, n + 2, 2)

    def f(x, y):
        values = [x, y]
        for operation, i, j in steps:
            values.append(operation(values[i], values[j]))
        return [values[-1], *[values[i] for i in others]]

    return f


def check_composed(seed, size, n):
    rng = np.random.default_rng(seed)
    f = composed(rng, n)
    x, y = [
        np.array(rng.normal(size=(size, size)), order=order) for order in rng.choice(["C", "F"], 2)
    ]
    before = x.copy(), y.copy()
    with np.errstate(all="ignore"):
        check_program(f, x, y)
    assert_same((x, y), before)


@given(seeds)
@settings(max_examples=150)
def test_small(seed):
    check_composed(seed, 4, 12)


@given(seeds)
@settings(max_examples=60)
def test_large(seed):
    check_composed(seed, 66, 12)


def test_a_place_in_memory_goes_to_what_is_ordered_alike():
    """For a sum of the same numbers in another memory order is rounded differently."""
    x, y = np.ones((100, 100)), np.ones((100, 100), order="F")
    f = lambda x, y: np.sin(x) * np.cos(y)
    for example in ((x, x), (y, y), (x, y), (y, x)):
        made = program(f, *example)
        for arguments in ((x, x), (y, y), (x, y), (y, x)):
            assert made(*arguments).strides == f(*arguments).strides
    assert "out=" in program(lambda x: np.exp(np.sin(x)), y).source
    narrow = np.ones((5000, 1))
    made = program(lambda x, y: np.sin(x) * np.cos(y), narrow, np.ones((5000, 4)))
    assert "np.multiply(v1, v2, out=v2)" in made.source
