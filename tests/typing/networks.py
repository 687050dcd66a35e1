"""What a user's type checker makes of `nn`, `optim`, `tree`, `datasets` and `models`."""

from typing import Any

import numpy as np

from tinyode import datasets, models, nn, optim, tree
from tinyode.types import Array

rng = np.random.default_rng(0)
x: Array = np.ones((7, 2))

# ---- nn

init, apply = nn.mlp(2, 16, 2, activation=nn.elu, initial="he")
parameters = init(rng)
reveal_type(parameters)  # list[dict[str, Array]]
reveal_type(apply(parameters, x))  # Array
init_layer, layer = nn.linear(2, 3)
reveal_type(init_layer(rng))  # dict[str, Array]
reveal_type(layer(init_layer(rng), x))  # Array
init_cell, step = nn.rnn_cell(2, 3)
reveal_type(step(init_cell(rng), np.zeros((7, 3)), x))  # Array
init_gates, gated_step = nn.gru_cell(2, 3)
reveal_type(init_gates(rng))  # dict[str, dict[str, Array]]
reveal_type(gated_step(init_gates(rng), np.zeros((7, 3)), x))  # Array
reveal_type(nn.relu(x))  # Array
reveal_type(nn.sigmoid(0.5))  # Array
reveal_type(nn.softplus(x))  # Array
reveal_type(nn.log_softmax(x))  # Array
reveal_type(nn.cross_entropy(x, [0, 1, 0, 1, 0, 1, 0]))  # floating[Any]

# ---- optim

begin, update = optim.adam(optim.cosine(1e-2, 300), beta1=0.8)
state = begin(parameters)
reveal_type(state)  # dict[str, Any]
reveal_type(optim.clip(parameters, 1.0))  # list[dict[str, Array]]
parameters, state = update(parameters, optim.clip(parameters, 1.0), state)
reveal_type(update(parameters, parameters, state))  # tuple[list[dict[str, Array]], dict[str, Any]]
begin, update = optim.gradient_descent(0.1, momentum=0.9)
reveal_type(optim.exponential(0.1, 30))  # def (int) -> float
reveal_type(optim.piecewise(0.1, 0.5, 10, 20)(3))  # float

# ---- tree

leaves, structure = tree.flatten(parameters)
reveal_type(leaves)  # list[Any]
reveal_type(structure)  # Hashable
reveal_type(tree.unflatten(structure, leaves))  # Any
reveal_type(tree.map(np.exp, parameters))  # list[dict[str, Array]]
vector, unravel = tree.ravel(parameters)
reveal_type(vector)  # Array
reveal_type(unravel(2 * vector))  # Any
tree.save("parameters.npz", parameters)
reveal_type(tree.load("parameters.npz"))  # Any

# ---- datasets

years, pelts = datasets.lynx_hare()
reveal_type(pelts)  # Array
(images, labels), test = datasets.digits()
reveal_type(images)  # Array
reveal_type(test)  # tuple[Array, Array]
reveal_type(datasets.two_moons(rng, 100))  # Array
reveal_type(datasets.two_circles(rng, 100, noise=0.2))  # Array
reveal_type(datasets.log_density("two_moons", x))  # Array
reveal_type(datasets.spirals(rng, 10, window=20))  # tuple[Array, Array, Array]

# ---- models


def block(t: int, h: Array, theta: Any) -> Array:
    return apply(theta, h)


def field(t: float, h: Array, theta: Any) -> Array:
    return apply(theta, h)


reveal_type(models.resnet(block, x, [parameters, parameters]))  # Array
reveal_type(models.neural_ode(field, x, 0.0, 1.0, parameters, method="rk4"))  # Array
reveal_type(models.augmented(x, 1))  # Array
for make, classify in (
    models.resnet_classifier(2, 4, 5, 3, blocks=2),
    models.ode_classifier(2, 4, 5, 3, rtol=1e-3),
):
    reveal_type(make(rng))  # dict[str, Any]
    reveal_type(classify(make(rng), x))  # Array
init_planar, log_prob = models.planar_flow(2, 3)
reveal_type(init_planar(rng))  # list[dict[str, Any]]
reveal_type(log_prob(init_planar(rng), x))  # Array
init_flow, log_prob_of_flow, move = models.continuous_flow(2, 8, models.hutchinson_trace)
reveal_type(log_prob_of_flow(init_flow(rng), x, noise=x))  # Array
reveal_type(move(init_flow(rng), x, 0.0, 1.0))  # Array
reveal_type(models.exact_trace(lambda z: z * z, x))  # tuple[Array, Array]
reveal_type(models.hutchinson_trace(np.sin, x, x))  # tuple[Array, Array]
init_latent, encode, decode, elbo = models.latent_ode(2, latent=3, cell=nn.gru_cell)
times, series, which = np.ones(9), np.ones((7, 5, 2)), np.ones((7, 5), int)
mean, log_variance = encode(init_latent(rng), times, series, which)
reveal_type(mean)  # Array
reveal_type(decode(init_latent(rng), mean, times))  # Array
reveal_type(elbo(init_latent(rng), times, series, which, mean))  # floating[Any]
init_forecaster, predict = models.rnn_forecaster(2)
reveal_type(predict(init_forecaster(rng), series, np.ones((7, 6))))  # Array
