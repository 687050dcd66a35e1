"""The multilayer perceptron: what it computes, its shapes, its gradient, what it refuses."""

import numpy as np
import pytest

from tinyode import nn, tree
from tinyode.testing import check_vjp


def test_mlp_is_the_formula():
    init, apply = nn.mlp(3, 5, 4, 2)
    p = init(np.random.default_rng(0))
    assert tree.map(np.shape, p) == [{"W": (3, 5), "b": (5,)}, {"W": (5, 4), "b": (4,)}, {"W": (4, 2), "b": (2,)}]
    x = np.random.default_rng(1).normal(size=(7, 3))
    by_hand = np.tanh(np.tanh(x @ p[0]["W"] + p[0]["b"]) @ p[1]["W"] + p[1]["b"]) @ p[2]["W"] + p[2]["b"]
    np.testing.assert_array_equal(apply(p, x), by_hand)
    assert apply(p, x[0]).shape == (2,) and apply(p, x[None]).shape == (1, 7, 2)
    check_vjp(apply, p, x, order=2)


def test_initial_weights_are_glorots():
    W = nn.mlp(200, 100)[0](np.random.default_rng(0))[0]["W"]
    assert np.abs(W).max() <= np.sqrt(6 / 300) and abs(np.var(W) - 2 / 300) < 2e-4


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0), (3, 2.5), (3, -1)])
def test_sizes_are_refused_by_name(sizes):
    with pytest.raises(ValueError, match="mlp: two or more positive widths"):
        nn.mlp(*sizes)
