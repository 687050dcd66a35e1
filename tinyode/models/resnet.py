"""Algorithm 1: a residual network (S-alg1).

``f(t, h, theta_t)`` is a network of h with parameters of its own for each layer t = 0, 1, ..., and h <- h + f(t, h, theta_t) (P2, G5,
N1, S1, which write f(h, t, theta_t); the order here is that of the solvers).
"""

import numpy as np

from .. import nn


def resnet(f, h, thetas):
    """Return h after h <- h + f(t, h, theta_t) for each theta_t, t = 0, 1, ...: Euler's method with step one.

    Parameters
    ----------
    f : function
        ``f(t, h, theta_t)``, of the shape of h.
    h : array
    thetas : list
        The parameters of each layer.
    """
    for t, theta_t in enumerate(thetas):
        h = h + f(t, h, theta_t)
    return h


def res_net(features, width, hidden, classes, blocks=6):
    """Classifier: affine to ``width``, so many residual blocks with one hidden layer of tanh, affine to the scores of the classes.

    Returns
    -------
    init, apply : functions
        ``init(rng)`` makes the parameters, ``apply(parameters, x)``, x of shape (..., features), the scores, shape (..., classes).
    """
    (init_in, into), (init_block, block), (init_out, out) = (
        nn.linear(features, width), nn.mlp(width, hidden, width), nn.linear(width, classes))

    def init(rng):
        return {"in": init_in(rng), "blocks": [init_block(rng) for _ in range(blocks)], "out": init_out(rng)}

    def apply(parameters, x):
        h = np.tanh(into(parameters["in"], x))
        return out(parameters["out"], resnet(lambda t, h, theta: block(theta, h), h, parameters["blocks"]))

    return init, apply
