"""The multilayer perceptron: what it computes, its shapes, its gradient, what it refuses."""

import numpy as np
import pytest

from tinyode import grad, nn, tree
from tinyode.testing import check_vjp


def test_mlp_is_the_formula():
    init, apply = nn.mlp(3, 5, 4, 2)
    p = init(np.random.default_rng(0))
    assert tree.map(np.shape, p) == [
        {"W": (3, 5), "b": (5,)},
        {"W": (5, 4), "b": (4,)},
        {"W": (4, 2), "b": (2,)},
    ]
    x = np.random.default_rng(1).normal(size=(7, 3))
    by_hand = (
        np.tanh(np.tanh(x @ p[0]["W"] + p[0]["b"]) @ p[1]["W"] + p[1]["b"]) @ p[2]["W"] + p[2]["b"]
    )
    np.testing.assert_array_equal(apply(p, x), by_hand)
    assert apply(p, x[0]).shape == (2,) and apply(p, x[None]).shape == (1, 7, 2)
    check_vjp(apply, p, x, order=2)


@pytest.mark.parametrize(
    "initial, variance", [("glorot", 2 / 300), ("he", 2 / 200), ("lecun", 1 / 200), ("zero", 0)]
)
def test_initial_weights(initial, variance):
    W = nn.mlp(200, 100, initial=initial)[0](np.random.default_rng(0))[0]["W"]
    assert np.abs(W).max() <= np.sqrt(3 * variance) and abs(np.var(W) - variance) <= 0.03 * variance
    assert np.array_equal(W, nn.linear(200, 100, initial)[0](np.random.default_rng(0))["W"])


def test_cells_by_hand():
    rng = np.random.default_rng(0)
    h, x = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    init, apply = nn.rnn_cell(2, 3)
    p = init(rng)
    np.testing.assert_allclose(
        apply(p, h, x), np.tanh(x @ p["W"][:2] + h @ p["W"][2:] + p["b"]), rtol=1e-12
    )
    check_vjp(apply, p, h, x)
    init, apply = nn.gru_cell(2, 3)
    p = init(rng)
    W, b = p["gates"]["W"], p["gates"]["b"]
    gate = lambda columns: 1 / (1 + np.exp(-(x @ W[:2, columns] + h @ W[2:, columns] + b[columns])))
    z, r = gate(slice(0, 3)), gate(slice(3, 6))
    new = np.tanh(x @ p["new"]["W"][:2] + (r * h) @ p["new"]["W"][2:] + p["new"]["b"])
    np.testing.assert_allclose(apply(p, h, x), z * h + (1 - z) * new, rtol=1e-12)
    check_vjp(apply, p, h, x)


def test_activations():
    x = np.array([-800.0, -1.0, 0.0, 2.0, 800.0])
    np.testing.assert_allclose(
        nn.sigmoid(x), [0, 1 / (1 + np.e), 0.5, 1 / (1 + np.exp(-2)), 1], atol=1e-16
    )
    np.testing.assert_allclose(
        nn.softplus(x),
        [0, np.log1p(np.exp(-1)), np.log(2), 2 + np.log1p(np.exp(-2)), 800],
        rtol=1e-14,
    )
    np.testing.assert_array_equal(nn.relu(x), [0, 0, 0, 2, 800])
    np.testing.assert_array_equal(grad(lambda x: np.sum(nn.relu(x)))(x), [0, 0, 0, 1, 1])
    assert grad(nn.elu)(0.0) == 1.0
    assert np.isnan(nn.relu(np.nan)) and nn.relu(-np.inf) == 0
    np.testing.assert_allclose(nn.elu(x), [-1, np.expm1(-1), 0, 2, 800])
    for f in (nn.sigmoid, nn.softplus, nn.relu, nn.elu):
        check_vjp(f, x[[1, 3]])
        assert f(np.ones(2, np.float32)).dtype == np.float32


def test_cross_entropy():
    scores, labels = np.array([[1.0, 2.0, 3.0], [1e4, 0.0, 0.0]]), np.array([2, 0], np.uint8)
    np.testing.assert_allclose(
        np.exp(nn.log_softmax(scores[0])), np.exp(scores[0]) / np.sum(np.exp(scores[0]))
    )
    np.testing.assert_allclose(
        nn.cross_entropy(scores, labels), -0.5 * (3 - np.log(np.e + np.e**2 + np.e**3))
    )
    check_vjp(
        lambda scores: nn.cross_entropy(scores, np.array([[0, 2], [1, 1]])),
        np.random.default_rng(0).normal(size=(2, 2, 3)),
    )
    assert nn.cross_entropy(scores[0], 1) > 1
    for wrong, message in (
        ([2], r"need labels of shape \(2,\); got \(1,\)"),
        ([0, 3], "from 0 to 3"),
        ([0, -1], "from -1 to 0"),
        ([0.0, 1.0], "got dtype float64"),
    ):
        with pytest.raises(ValueError, match=f"cross_entropy: .*{message}"):
            nn.cross_entropy(scores, np.array(wrong))


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0), (3, 2.5), (3, -1)])
def test_sizes_are_refused_by_name(sizes):
    with pytest.raises(
        ValueError,
        match=r"mlp: (two or more widths are needed|widths must be positive whole numbers)",
    ):
        nn.mlp(*sizes)


def test_an_unknown_beginning_is_refused_by_name():
    with pytest.raises(
        ValueError,
        match=(
            r"linear: initial='xavier' is not known; weights can begin as 'glorot', 'he', 'lecun',"
            r" 'zero'"
        ),
    ):
        nn.linear(2, 2, "xavier")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sigmoid_keeps_its_digits_where_it_is_small(dtype):
    """For x far below zero it is exp(x), and so are its derivatives."""
    for x in (-18.0, -40.0, -80.0):
        for f in (nn.sigmoid, grad(nn.sigmoid), grad(grad(nn.sigmoid))):
            np.testing.assert_allclose(
                float(f(dtype(x))), np.exp(x), rtol=1e-6 if dtype == np.float64 else 1e-4
            )
            assert f(dtype(x)).dtype == dtype
    np.testing.assert_allclose(nn.sigmoid(np.array([-800.0, 800.0])), [0.0, 1.0])


def test_what_cannot_be_a_network_is_refused():
    for call, message in (
        (lambda: nn.rnn_cell(-1, 4), r"rnn_cell: widths .*\(-1, 4\)"),
        (lambda: nn.gru_cell(2, 0), r"gru_cell: widths"),
        (lambda: nn.linear(2, True), "linear: widths"),
        (
            lambda: nn.cross_entropy(np.zeros((0, 3)), []),
            r"cross_entropy: scores have the shape .*\(0, 3\)",
        ),
        (lambda: nn.cross_entropy(np.float64(1.0), 0), "cross_entropy: scores have the shape"),
        (lambda: nn.cross_entropy(np.zeros((2, 3)), [True, False]), "labels must be whole numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="mlp: activation='tanh' must be a function"):
        nn.mlp(2, 3, 1, activation="tanh")
    np.testing.assert_allclose(
        nn.cross_entropy([[1.0, 2.0], [0.0, 0.0]], [1, 0]), (np.log1p(np.exp(-1)) + np.log(2)) / 2
    )


def test_biases_begin_at_zero_and_weights_uniform():
    rng = np.random.default_rng(0)
    layer = nn.linear(200, 300)[0](rng)
    bound = np.sqrt(6 / 500)
    assert np.all(layer["b"] == 0) and np.abs(layer["W"]).max() <= bound
    counts, _ = np.histogram(layer["W"], 10, (-bound, bound))
    assert np.all(np.abs(counts - 6000) < 400)
    cell = nn.gru_cell(20, 30)[0](rng)
    assert 0.9 < cell["gates"]["W"].std() / np.sqrt(2 / 110) < 1.1
    assert 0.9 < cell["new"]["W"].std() / np.sqrt(2 / 80) < 1.1
