"""The models: values by hand, densities that integrate to one, gradients, claims of the ledger."""

import functools

import numpy as np
import pytest

from tinyode import datasets, grad, jacobian, models, nn, optim, solve, tree, value_and_grad
from tinyode.testing import check_vjp

SOLVERS = [{"rtol": 1e-8, "atol": 1e-10}, {"rtol": 1e-8, "atol": 1e-10, "gradient": "discrete"}]


def test_S_alg1_S_alg2_the_two_algorithms():
    """With one block for all layers and step one, Algorithm 1 is Algorithm 2 by Euler's method.

    Layers are counted from 0.
    """
    rng = np.random.default_rng(0)
    assert models.resnet(lambda t, h, theta: t * theta * h, 1.0, [5.0, 1.0, 3.0]) == (1 + 1) * (
        1 + 2 * 3
    )
    init, block = nn.mlp(3, 5, 3)
    theta, h = init(rng), rng.normal(size=(4, 3))
    f = lambda t, h, theta: np.cos(t) * block(theta, h)
    by_layers = models.resnet(f, h, [theta] * 6)
    np.testing.assert_allclose(
        models.neural_ode(f, h, 0.0, 6.0, theta, method="euler", step_size=1.0),
        by_layers,
        rtol=1e-13,
    )
    state = models.neural_ode(
        lambda t, s, k: {"a": -k * s["a"], "b": s["a"]},
        {"a": np.ones(2), "b": np.zeros(2)},
        0.0,
        1.0,
        0.5,
    )
    np.testing.assert_allclose(state["a"], np.exp(-0.5), rtol=1e-5)


def test_P_param_S_param_the_classifiers():
    rng, x = np.random.default_rng(0), np.random.default_rng(1).normal(size=(5, 7))
    (init, apply), (init_ode, apply_ode) = (
        models.resnet_classifier(7, 4, 6, 3, blocks=5),
        models.ode_classifier(7, 4, 6, 3, rtol=1e-6),
    )
    p, q = init(rng), init_ode(rng)
    h = np.tanh(x @ p["in"]["W"] + p["in"]["b"])
    for block in p["blocks"]:
        h = h + np.tanh(h @ block[0]["W"] + block[0]["b"]) @ block[1]["W"] + block[1]["b"]
    np.testing.assert_allclose(apply(p, x), h @ p["out"]["W"] + p["out"]["b"], rtol=1e-13)

    def f(t, h):
        with_time = np.concatenate([h, np.full((5, 1), t)], axis=1)
        return (
            np.tanh(with_time @ q["field"][0]["W"] + q["field"][0]["b"]) @ q["field"][1]["W"]
            + q["field"][1]["b"]
        )

    h = solve(f, np.tanh(x @ q["in"]["W"] + q["in"]["b"]), [0, 1.0], rtol=1e-10, atol=1e-12).y[-1]
    np.testing.assert_allclose(apply_ode(q, x), h @ q["out"]["W"] + q["out"]["b"], rtol=1e-5)
    assert not np.array_equal(apply_ode(q, x), apply_ode(q, x, method="rk4", step_size=0.5))
    size = lambda parameters: tree.ravel(parameters)[0].size
    assert size(q) < 0.5 * size(p)
    check_vjp(apply, p, x, order=1)
    check_vjp(functools.partial(apply_ode, rtol=1e-9, atol=1e-11), q, x, order=1, rtol=1e-6)


def test_augmented():
    np.testing.assert_array_equal(models.augmented(np.ones((2, 3)), 2), [[1, 1, 1, 0, 0]] * 2)
    assert models.augmented(np.ones((2, 3), np.float32), 1).dtype == np.float32


def on_a_grid(log_prob, half=9.0, n=161):
    """Integrate a density over a square, by the trapezoid rule.

    The rule is very exact for what is zero at the edges.
    """
    x = np.linspace(-half, half, n)
    points = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    return np.sum(np.exp(log_prob(points))) * (x[1] - x[0]) ** 2


def test_P_flow_S_flow_densities_integrate_to_one():
    init, log_prob = models.planar_flow(2, 4)
    p = tree.map(lambda x: 1.5 * np.asarray(x), init(np.random.default_rng(0)))
    assert abs(on_a_grid(functools.partial(log_prob, p), 12, 401) - 1) < 1e-4
    init, log_prob, move = models.continuous_flow(2, 8, rtol=1e-6, atol=1e-8)
    p = tree.map(lambda x: 1.2 * x, init(np.random.default_rng(1)))
    early, late = (move(p, np.ones((1, 2)), t, t + 1e-3) for t in (0.0, 0.9))
    assert np.abs(early - late).max() > 1e-5  # it is told the time
    assert abs(on_a_grid(functools.partial(log_prob, p)) - 1) < 1e-4


def test_the_log_determinants_are_those_of_the_maps():
    x = np.random.default_rng(2).normal(size=(5, 2))
    init, log_prob = models.planar_flow(2, 3)
    p = init(np.random.default_rng(0))
    p[0]["u"] = -3 * p[0]["w"]  # which alone could not be inverted

    def forward(x):
        for layer in p:
            u, w = layer["u"], layer["w"]
            u = u + (np.log1p(np.exp(u @ w)) - 1 - u @ w) * w / (w @ w)
            x = x + u * np.tanh(x @ w + layer["b"])
        return x

    expected = [
        -0.5 * np.sum(forward(row) ** 2)
        - np.log(2 * np.pi)
        + np.linalg.slogdet(jacobian(forward)(row))[1]
        for row in x
    ]
    np.testing.assert_allclose(log_prob(p, x), expected, rtol=1e-10)
    init, log_prob, move = models.continuous_flow(2, 6, rtol=1e-9, atol=1e-11)
    p = init(np.random.default_rng(3))
    back = lambda row: move(p, row[None], 1.0, 0.0)[0]
    expected = [
        -0.5 * np.sum(back(row) ** 2)
        - np.log(2 * np.pi)
        + np.linalg.slogdet(jacobian(back)(row))[1]
        for row in x
    ]
    np.testing.assert_allclose(log_prob(p, x), expected, rtol=1e-6)
    np.testing.assert_allclose(move(p, move(p, x, 1.0, 0.0), 0.0, 1.0), x, rtol=1e-6)  # invertible


@pytest.mark.parametrize("options", SOLVERS, ids=["adjoint", "discrete"])
def test_gradients_of_the_continuous_flow(options):
    init, log_prob, _ = models.continuous_flow(2, 3, **options)
    check_vjp(
        log_prob,
        init(np.random.default_rng(0)),
        np.random.default_rng(1).normal(size=(3, 2)),
        order=1,
        rtol=1e-6,
    )


def test_hutchinsons_estimate_is_the_trace_on_average():
    """Exact for noise of +-1 along each axis in turn; and its mean over many is the trace."""
    init, f = nn.mlp(3, 8, 3)
    p, rng = init(np.random.default_rng(0)), np.random.default_rng(2)
    z = np.random.default_rng(1).normal(size=(4, 3))
    value, trace = models.exact_trace(lambda z: f(p, z), z)
    np.testing.assert_array_equal(value, f(p, z))
    np.testing.assert_allclose(
        trace, [np.trace(jacobian(lambda row: f(p, row))(row)) for row in z], rtol=1e-12
    )
    estimates = [
        models.hutchinson_trace(lambda z: f(p, z), z, rng.choice([-1.0, 1.0], z.shape))[1]
        for _ in range(2000)
    ]
    assert np.all(
        np.abs(np.mean(estimates, axis=0) - trace) < 4 * np.std(estimates, axis=0) / np.sqrt(2000)
    )
    init, log_prob, _ = models.continuous_flow(3, 8, models.hutchinson_trace, rtol=1e-5)
    assert log_prob(init(rng), z, rng.choice([-1.0, 1.0], z.shape)).shape == (4,)


def series(n=6, k=5):
    rng = np.random.default_rng(0)
    t, curves, seen = datasets.spirals(rng, n)
    which = np.sort(np.stack([rng.choice(20, k, replace=False) for _ in range(n)]), axis=1)
    return rng, t[:20], curves, np.take_along_axis(seen, which[..., None], axis=1), which


def test_P_latent_P_time_S_irregular_the_latent_ode():
    """Every series has its own times; the first half of a long one knows nothing of the second."""
    rng, t, _, x, which = series()
    t = t + 3.0
    init, encode, decode, elbo = models.latent_ode(2, latent=3, hidden=5, recognition=7, rtol=1e-6)
    p = init(rng)
    mean, log_variance = encode(p, t, x, which)
    assert mean.shape == log_variance.shape == (6, 3)
    one_mean, _ = encode(p, t, x[2:3], which[2:3])
    np.testing.assert_allclose(one_mean[0], mean[2], rtol=1e-12)
    h = np.zeros(7)
    for k in (4, 3, 2, 1, 0):  # backwards in time, with the time back to the one before
        gap = (t[which[2, k]] - (t[which[2, k - 1]] if k else t[0])) * 5 / (t[19] - t[0])
        h = np.tanh(np.concatenate([x[2, k], [gap], h]) @ p["cell"]["W"] + p["cell"]["b"])
    np.testing.assert_allclose(h @ p["read"]["W"][:, :3] + p["read"]["b"][:3], mean[2], rtol=1e-10)
    path = decode(p, mean, t)
    assert path.shape == (20, 6, 2)
    np.testing.assert_allclose(decode(p, mean, t[[0, 7, 19]]), path[[0, 7, 19]], rtol=1e-4)
    normal = rng.normal(size=(6, 3))
    found = decode(p, mean + np.exp(log_variance / 2) * normal, t)
    log_likelihood = sum(
        -0.5 * np.sum((x[i, k] - found[which[i, k], i]) ** 2) / 0.09 - np.log(2 * np.pi * 0.09)
        for i in range(6)
        for k in range(5)
    )
    kl = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance)
    np.testing.assert_allclose(elbo(p, t, x, which, normal), (log_likelihood - kl) / 6, rtol=1e-10)
    init, _, _, elbo = models.latent_ode(
        2, latent=3, hidden=5, recognition=7, rtol=1e-9, atol=1e-11, gradient="discrete"
    )
    loss = lambda p: elbo(p, t, x, which, normal) / 100
    gradient = grad(loss)(p)
    v = tree.map(lambda leaf: np.random.default_rng(5).normal(size=leaf.shape), p)
    along = lambda s: loss(tree.map(lambda x, v: x + s * v, p, v))
    expected = (along(1e-5) - along(-1e-5)) / 2e-5
    assert abs(tree.ravel(gradient)[0] @ tree.ravel(v)[0] - expected) < 1e-4 * abs(expected)


def test_S_irregular_the_recognition_network_is_the_cell_that_was_asked_for():
    _, t, _, x, which = series()
    init, encode, _, elbo = models.latent_ode(
        2, latent=3, hidden=5, recognition=7, cell=nn.gru_cell
    )
    p = init(np.random.default_rng(0))
    h, step = np.zeros((6, 7)), nn.gru_cell(3, 7)[1]
    for k in (4, 3, 2, 1, 0):
        gap = (t[which[:, k]] - (t[which[:, k - 1]] if k else t[0])) * 5 / (t[19] - t[0])
        h = step(p["cell"], h, np.concatenate([x[:, k], gap[:, None]], axis=1))
    np.testing.assert_allclose(
        encode(p, t, x, which)[0], (h @ p["read"]["W"] + p["read"]["b"])[:, :3], rtol=1e-12
    )
    with pytest.raises(ValueError, match=r"elbo: normal has the shape \(3,\); .* \(6, 3\)"):
        elbo(p, t, x, which, np.zeros(3))
    with pytest.raises(ValueError, match="latent_ode: noise=0"):
        models.latent_ode(2, noise=0)


def test_single_precision_stays():
    rng, t, _, x, which = series()
    single = lambda p: tree.map(np.float32, p)
    x = x.astype(np.float32)
    init, encode, _, elbo = models.latent_ode(2, latent=3, hidden=5, recognition=7)
    p = single(init(rng))
    assert encode(p, t, x, which)[0].dtype == np.float32
    assert elbo(p, t, x, which, np.zeros((6, 3), np.float32)).dtype == np.float32
    init, predict = models.rnn_forecaster(2, 5)
    assert predict(single(init(rng)), x, np.ones((6, 4), np.float32)).dtype == np.float32
    for trace in (models.exact_trace, models.hutchinson_trace):
        init, log_prob, move = models.continuous_flow(2, 4, trace)
        p = single(init(rng))
        assert log_prob(p, x[0], np.ones((5, 2), np.float32)).dtype == np.float32
        assert move(p, x[0], 0.0, 1.0).dtype == np.float32
    with pytest.raises(ValueError, match="hutchinson_trace: noise"):
        log_prob(p, x[0])


@pytest.mark.parametrize("cell", [nn.rnn_cell, nn.gru_cell])
def test_S_rnn_the_forecaster(cell):
    """It predicts the next from the present and the gap, and goes on from its own predictions."""
    rng = np.random.default_rng(0)
    init, predict = models.rnn_forecaster(2, 5, cell)
    p, x, gaps = init(rng), rng.normal(size=(3, 4, 2)), rng.uniform(0.5, 1.5, (3, 6))
    found = predict(p, x, gaps)
    assert found.shape == (3, 6, 2)
    np.testing.assert_allclose(predict(p, x[:, :3], gaps[:, :2]), found[:, :2])
    h = np.zeros((3, 5))
    for i in range(2):  # the next is the present and what the network adds to it
        h = cell(3, 5)[1](p["cell"], h, np.concatenate([x[:, i], gaps[:, i, None]], axis=1))
        np.testing.assert_allclose(
            found[:, i], x[:, i] + h @ p["read"]["W"] + p["read"]["b"], rtol=1e-12
        )
    with pytest.raises(
        ValueError, match=r"rnn_forecaster: gaps of shape \(3, 2\) for 4 observations; there are 3"
    ):
        predict(p, x, gaps[:, :2])
    longer = np.concatenate([x, found[:, 3:4]], axis=1)  # its own prediction as an observation
    np.testing.assert_allclose(predict(p, longer, gaps), found)
    check_vjp(predict, p, x, gaps, order=1)


def test_a_flow_learns_a_density():
    """Two normal distributions side by side: the entropy of the truth is reached within 0.1."""
    rng = np.random.default_rng(0)
    draw = lambda n: (
        rng.normal(size=(n, 2)) * 0.5 + np.stack([rng.choice([-1.5, 1.5], n), np.zeros(n)], axis=1)
    )
    init, log_prob, _ = models.continuous_flow(
        2, 16, method="rk4", step_size=0.25, gradient="discrete"
    )
    p = init(rng)
    start, update = optim.adam(0.03)
    state, gradient = start(p), value_and_grad(lambda p, x: -np.mean(log_prob(p, x)))
    for _ in range(60):
        _, slope = gradient(p, draw(64))
        p, state = update(p, slope, state)
    x = draw(2000)
    parts = np.stack(
        [-0.5 * np.sum(((x - centre) / 0.5) ** 2, axis=1) for centre in ([1.5, 0], [-1.5, 0])]
    )
    true = np.logaddexp(*parts) - np.log(2 * 2 * np.pi * 0.25)
    assert np.mean(true) - np.mean(log_prob(p, x)) < 0.15


def test_planar_layers_far_from_invertible_keep_their_digits():
    """At x = 0 the determinant is softplus(u . w), which must not be lost beside one."""
    _, log_prob = models.planar_flow(1, 1)
    for along in (-1.0, -20.0, -36.0, -300.0):
        found = log_prob([{"u": np.array([along]), "w": np.ones(1), "b": 0.0}], np.zeros((1, 1)))[0]
        np.testing.assert_allclose(
            found, np.log(np.logaddexp(along, 0)) - 0.5 * np.log(2 * np.pi), rtol=1e-12
        )


def test_classifiers_are_found_under_their_old_names():
    for old, new in (("res_net", "resnet_classifier"), ("ode_net", "ode_classifier")):
        with pytest.warns(DeprecationWarning, match=f"{old} is now called tinyode.models.{new}"):
            assert getattr(models, old) is getattr(models, new)
    with pytest.raises(AttributeError, match="no attribute 'rez_net'"):
        models.rez_net  # noqa: B018
