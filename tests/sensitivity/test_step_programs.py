"""The adjoint of a whole step as one program: the gradient of a compiled f is that of f."""

import numpy as np
import pytest

from tinyode import compiled, grad, odeint, tree

METHODS = ["euler", "heun", "rk4", "bosh3", "dopri5", "tsit5", "dop853"]


def network(t, y, W, b):
    return np.tanh(y @ W + b * t) - 0.1 * y


def container(t, state, W, b):
    y, n = state["y"], state["n"]
    return {"y": np.tanh(y @ W + b) * np.tanh(n), "n": np.cos(t) - 0.3 * np.tanh(n * np.sum(y))}


def until_the_end(t, y, W, b):
    """Return a slope that is no number beyond t = 1."""
    return np.sqrt(1.0 - t) * (y @ W) + b


RNG = np.random.default_rng(3)
Y, W, B = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=3)
CASES = {
    "network": (network, Y),
    "container": (container, {"y": Y, "n": np.array(0.7)}),
    "until the end": (until_the_end, Y),
    "float32": (network, Y.astype(np.float32)),
}
COMPILED = {f: compiled(f) for f, _ in CASES.values()}  # the same for all methods


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("checkpoints", [None, 3])
@pytest.mark.parametrize("times", [[0.0, 1.0], [0.0, 0.35, 0.4, 1.0], [1.0, 0.3, 0.0]])
def test_gradients_of_a_compiled_field_are_those_of_the_field(name, method, checkpoints, times):
    """To rounding, with times inside the steps and without."""
    f, y0 = CASES[name]
    single = name == "float32"
    parameters = [x.astype(np.float32) if single else x for x in (W, B)]
    fixed = {"step_size": 0.2} if method in ("euler", "heun", "rk4") else {"rtol": 1e-4}

    def gradient(f):
        def loss(y0, W, b):
            y = odeint(
                f,
                y0,
                times,
                W,
                b,
                method=method,
                gradient="discrete",
                checkpoints=checkpoints,
                **fixed,
            )
            return sum([np.sum(np.sin(leaf)) for leaf in tree.flatten(y)[0]])

        return tree.flatten(grad(loss, (0, 1, 2))(y0, *parameters))[0]

    for ours, plain in zip(gradient(COMPILED[f]), gradient(f)):
        assert ours.dtype == plain.dtype
        np.testing.assert_allclose(ours, plain, rtol=1e-4 if single else 1e-12, atol=1e-12)


def test_a_parameter_that_nothing_depends_on_and_one_that_is_not_learned():
    f = compiled(lambda t, y, k, unused, constant: -k * y * constant)
    end = lambda k, unused, c: odeint(f, np.ones(2), [0, 1.0], k, unused, c, gradient="discrete")[
        -1
    ]
    of_k, of_unused = grad(lambda k, unused: np.sum(end(k, unused, 2.0)), (0, 1))(0.5, np.ones(3))
    np.testing.assert_allclose(of_k, -4 * np.exp(-1.0), rtol=1e-6)
    assert not of_unused.any() and of_unused.shape == (3,)
    of_c = grad(lambda c: np.sum(end(0.5, np.ones(3), c)))(2.0)
    np.testing.assert_allclose(of_c, -1 * np.exp(-1.0), rtol=1e-6)


def test_second_derivatives_of_a_compiled_field():
    f = compiled(lambda t, y, k: -k * y * y)
    end = lambda k: odeint(f, 1.0, [0, 1.0], k, gradient="discrete", rtol=1e-9, atol=1e-12)[-1]
    np.testing.assert_allclose(grad(grad(end))(0.5), 2 / 1.5**3, rtol=1e-6)  # of 1 / (1 + k)
