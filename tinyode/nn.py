"""Neural networks as pairs of functions over plain containers.

A network is ``(init, apply)``: ``init(rng)`` makes its parameters, lists and dicts of arrays, and ``apply(parameters, x)`` computes it.
There is no object that hides parameters, so a gradient is a container of the same structure, and a right-hand side is

    >>> init, apply = mlp(2, 50, 2)
    >>> def f(t, y, parameters):
    ...     return apply(parameters, y)
"""

import numpy as np


def mlp(*sizes, activation=np.tanh):
    """Multilayer perceptron: x -> activation(x W + b) for every layer but the last, which is x W + b.

    Parameters
    ----------
    *sizes : int
        Widths: of the input, of each hidden layer, of the output.
    activation : function
        Elementwise.

    Returns
    -------
    init : function
        ``init(rng)``, with a `numpy.random.Generator`, is a list with a dict ``{"W": (n, m), "b": (m,)}`` per layer, W uniform in
        +- sqrt(6 / (n + m)) (Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
        equation 16) and b zero.
    apply : function
        ``apply(parameters, x)``, x of shape (..., sizes[0]), has shape (..., sizes[-1]).

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or one is not a positive whole number.
    """
    if len(sizes) < 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in sizes):
        raise ValueError(f"mlp: two or more positive widths are needed, of the input, hidden layers and output; got {sizes}")

    def init(rng):
        layers = []
        for n, m in zip(sizes, sizes[1:]):
            bound = np.sqrt(6 / (n + m))
            layers.append({"W": rng.uniform(-bound, bound, (n, m)), "b": np.zeros(m)})
        return layers

    def apply(parameters, x):
        for layer in parameters[:-1]:
            x = activation(x @ layer["W"] + layer["b"])
        return x @ parameters[-1]["W"] + parameters[-1]["b"]

    return init, apply
