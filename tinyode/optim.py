"""Gradient descent, as pairs of functions over plain containers.

An optimiser is ``(init, update)``: ``init(parameters)`` makes its state, ``update(parameters, gradient, state)`` returns the next
parameters and the next state. Nothing is changed in place, so a loop reads

    >>> init, update = adam(1e-2)
    >>> state = init(parameters)
    >>> for _ in range(300):
    ...     loss, gradient = value_and_grad(loss_of)(parameters)
    ...     parameters, state = update(parameters, gradient, state)
"""

import numpy as np

from . import tree


def gradient_descent(learning_rate, momentum=0.0):
    """v <- momentum v + gradient, parameters <- parameters - learning_rate v (Polyak's heavy ball, 1964; plain descent at 0).

    Raises
    ------
    ValueError
        If the learning rate is not positive, or momentum not in [0, 1).
    """
    _check("gradient_descent", learning_rate, momentum=momentum)

    def init(parameters):
        return tree.map(np.zeros_like, parameters)

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
    _check("adam", learning_rate, beta1=beta1, beta2=beta2)

    def init(parameters):
        zeros = tree.map(np.zeros_like, parameters)
        return {"n": 0, "m": zeros, "v": zeros}

    def update(parameters, gradient, state):
        n = state["n"] + 1
        m = tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state["m"], gradient)
        v = tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state["v"], gradient)
        step = learning_rate * np.sqrt(1 - beta2**n) / (1 - beta1**n)
        # epsilon is scaled as in the text of the paper, so that the first step is learning_rate, whatever the gradient's size
        scaled = epsilon * np.sqrt(1 - beta2**n)
        return (tree.map(lambda p, m, v: (p - step * m / (np.sqrt(v) + scaled)).astype(np.result_type(p)), parameters, m, v),
                {"n": n, "m": m, "v": v})

    return init, update


def _check(name, learning_rate, **shares):
    if not learning_rate > 0:
        raise ValueError(f"{name}: learning_rate={learning_rate!r} must be positive")
    for share, value in shares.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}: {share}={value!r} must be at least 0 and below 1")
