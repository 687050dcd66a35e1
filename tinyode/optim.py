"""Gradient descent, as pairs of functions over plain containers.

An optimiser is ``(init, update)``: ``init(parameters)`` makes its state, ``update(parameters, gradient, state)`` returns the next
parameters and the next state. Nothing is changed in place, so a loop reads

    >>> init, update = adam(1e-2)
    >>> state = init(parameters)
    >>> for _ in range(300):
    ...     loss, gradient = value_and_grad(loss_of)(parameters)
    ...     parameters, state = update(parameters, gradient, state)
"""

import math

import numpy as np

from . import tree


def gradient_descent(learning_rate, momentum=0.0):
    """v <- momentum v + gradient, parameters <- parameters - learning_rate v (Polyak's heavy ball, 1964; plain descent at 0).

    Raises
    ------
    ValueError
        If the learning rate is not positive, or momentum not in [0, 1).
    """
    learning_rate, momentum = _check("gradient_descent", learning_rate, momentum=momentum)

    def init(parameters):
        return tree.map(lambda p: np.zeros(np.shape(p), _dtype(p)), parameters)

    def update(parameters, gradient, state):
        state = tree.map(lambda v, g: momentum * v + g, state, gradient)
        return tree.map(lambda p, v: p - learning_rate * v, parameters, state), state

    return init, update


def adam(learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Adam: steps along the running mean of the gradient over the root of the running mean of its square.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    Raises
    ------
    ValueError
        If the learning rate is not positive, or a beta not in [0, 1).
    """
    learning_rate, beta1, beta2 = _check("adam", learning_rate, beta1=beta1, beta2=beta2)
    if not epsilon > 0:
        raise ValueError(f"adam: epsilon={epsilon!r} must be positive")

    def init(parameters):
        zeros = tree.map(lambda p: np.zeros(np.shape(p), _dtype(p)), parameters)
        return {"n": 0, "m": zeros, "v": zeros}

    def update(parameters, gradient, state):
        n = state["n"] + 1
        m = tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state["m"], gradient)
        v = tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state["v"], gradient)
        root = math.sqrt(1 - beta2**n)
        step = learning_rate * root / (1 - beta1**n)  # Python floats, so that float32 stays float32
        return tree.map(lambda p, m, v: p - step * m / (np.sqrt(v) + epsilon * root), parameters, m, v), {"n": n, "m": m, "v": v}

    return init, update


def _dtype(p):
    """The dtype of the running means: that of the parameter, or float64 where it is a whole number."""
    return np.result_type(p) if np.result_type(p).kind == "f" else float


def _check(name, learning_rate, **shares):
    """Return the settings as Python floats; refuse by name what cannot be."""
    if not learning_rate > 0:
        raise ValueError(f"{name}: learning_rate={learning_rate!r} must be positive")
    for share, value in shares.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}: {share}={value!r} must be at least 0 and below 1")
    return [float(learning_rate), *map(float, shares.values())]
