"""Neural networks as pairs of functions over plain containers.

A network is ``(init, apply)``: ``init(rng)`` makes its parameters, lists and dicts of arrays, and ``apply(parameters, x)`` computes it.
There is no object that hides parameters, so a gradient is a container of the same structure, and a right-hand side is

    >>> init, apply = mlp(2, 50, 2)
    >>> def f(t, y, parameters):
    ...     return apply(parameters, y)

`linear` and `mlp` are networks, `rnn_cell` and `gru_cell` steps of recurrent ones, ``apply(parameters, h, x)``; `relu`, `elu`, `sigmoid`
and `softplus` are activations besides those that NumPy has, `log_softmax` and `cross_entropy` are for classes.
"""

import numpy as np

INITIAL = {  # how far the weights W, of shape (n, m), lie from zero: the standard deviation
    "glorot": lambda n, m: np.sqrt(2 / (n + m)),  # Glorot and Bengio, "Understanding the difficulty of training deep ... networks", 2010
    "he": lambda n, m: np.sqrt(2 / n),  # He and others, "Delving deep into rectifiers", 2015
    "lecun": lambda n, m: np.sqrt(1 / n),  # LeCun, Bottou, Orr and Müller, "Efficient backprop", 1998
    "zero": lambda n, m: 0.0,
}


def linear(n, m, initial="glorot"):
    """Affine map, x -> x W + b.

    Parameters
    ----------
    n, m : int
        Widths of the input and of the output.
    initial : str
        How W begins: uniform in +- sqrt(3) s, and so with the standard deviation s, of ``"glorot"``, sqrt(2 / (n + m)), ``"he"``,
        sqrt(2 / n), ``"lecun"``, sqrt(1 / n), or ``"zero"``. b begins at zero.

    Returns
    -------
    init : function
        ``init(rng)``, with a `numpy.random.Generator`, is a dict ``{"W": (n, m), "b": (m,)}``.
    apply : function
        ``apply(parameters, x)``, x of shape (..., n), has shape (..., m).

    Raises
    ------
    ValueError
        If a width is not a positive whole number, or ``initial`` not known.
    """
    _check("linear", n, m)
    if initial not in INITIAL:
        raise ValueError(f"linear: initial={initial!r} is not known; weights can begin as {', '.join(map(repr, INITIAL))}")
    bound = np.sqrt(3) * INITIAL[initial](n, m)

    def init(rng):
        return {"W": rng.uniform(-bound, bound, (n, m)), "b": np.zeros(m)}

    def apply(parameters, x):
        return x @ parameters["W"] + parameters["b"]

    return init, apply


def mlp(*sizes, activation=np.tanh, initial="glorot"):
    """Multilayer perceptron: x -> activation(x W + b) for every layer but the last, which is x W + b.

    Parameters
    ----------
    *sizes : int
        Widths: of the input, of each hidden layer, of the output.
    activation : function
        Elementwise.
    initial : str
        As in `linear`.

    Returns
    -------
    init : function
        ``init(rng)`` is a list of the parameters of each layer, see `linear`.
    apply : function
        ``apply(parameters, x)``, x of shape (..., sizes[0]), has shape (..., sizes[-1]).

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or one is not a positive whole number, or ``initial`` is not known.
    TypeError
        If ``activation`` is not a function.
    """
    if len(sizes) < 2:
        raise ValueError(f"mlp: two or more widths are needed, of the input, hidden layers and output; got {sizes}")
    _check("mlp", *sizes)
    if not callable(activation):
        raise TypeError(f"mlp: activation={activation!r} must be a function of arrays, such as np.tanh or nn.relu")
    layers = [linear(n, m, initial) for n, m in zip(sizes, sizes[1:])]

    def init(rng):
        return [init(rng) for init, _ in layers]

    def apply(parameters, x):
        for layer in parameters[:-1]:
            x = activation(x @ layer["W"] + layer["b"])
        return x @ parameters[-1]["W"] + parameters[-1]["b"]

    return init, apply


def rnn_cell(n, m):
    """A step of a recurrent network (Elman, "Finding structure in time", 1990): h -> tanh([x, h] W + b).

    ``apply(parameters, h, x)``, h of shape (..., m), x of shape (..., n), is the next h.
    """
    _check("rnn_cell", n, m)
    init, apply = linear(n + m, m)
    return init, lambda parameters, h, x: np.tanh(apply(parameters, np.concatenate([x, h], axis=-1)))


def gru_cell(n, m):
    """A step of a gated recurrent unit, with the update z and the reset r between 0 and 1, elementwise (Cho and others, 2014):

        [z, r] = sigmoid([x, h] W + b),    h~ = tanh([x, r h] W' + b'),    h -> z h + (1 - z) h~

    ``apply(parameters, h, x)``, h of shape (..., m), x of shape (..., n), is the next h. (The paper has no b.)
    """
    _check("gru_cell", n, m)
    (init_gates, gates), (init_new, new) = linear(n + m, 2 * m), linear(n + m, m)

    def init(rng):
        return {"gates": init_gates(rng), "new": init_new(rng)}

    def apply(parameters, h, x):
        both = 0.5 * (1 + np.tanh(0.5 * gates(parameters["gates"], np.concatenate([x, h], axis=-1))))  # sigmoid; a gate may well be 0
        z, r = both[..., :m], both[..., m:]
        return z * h + (1 - z) * np.tanh(new(parameters["new"], np.concatenate([x, r * h], axis=-1)))

    return init, apply


def relu(x):
    """max(x, 0), with the derivative 0 at 0."""
    return np.where(x <= 0, 0, x)


def elu(x):
    """x above 0, exp(x) - 1 below: smooth but for the second derivative (Clevert, Unterthiner and Hochreiter, 2016)."""
    return np.where(x > 0, x, np.expm1(np.where(x > 0, 0, x)))


def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow, and with all digits where it is small."""
    return np.exp(-np.logaddexp(0, -x))


def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return np.logaddexp(x, 0)


def log_softmax(x):
    """x - log(sum exp x) along the last axis: the logarithms of probabilities that are in proportion to exp(x)."""
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def cross_entropy(scores, labels):
    """Mean of -log p(label), the p of each row in proportion to exp(scores).

    Parameters
    ----------
    scores : array, shape (..., classes)
    labels : array of int, shape (...)
        From 0 on.

    Raises
    ------
    ValueError
        If the shapes do not fit, there are no samples, or a label is not a class.
    """
    scores, labels = scores if hasattr(scores, "dtype") else np.stack(scores), np.asarray(labels)
    if scores.ndim == 0 or scores.size == 0:
        raise ValueError(f"cross_entropy: scores have the shape (..., classes), of one sample or more; got {scores.shape}")
    if labels.shape != scores.shape[:-1]:
        raise ValueError(f"cross_entropy: scores of shape {scores.shape} need labels of shape {scores.shape[:-1]}; got {labels.shape}")
    if labels.dtype.kind not in "iu" or np.any((labels < 0) | (labels >= scores.shape[-1])):
        raise ValueError(f"cross_entropy: labels must be whole numbers from 0 to {scores.shape[-1] - 1}; got dtype {labels.dtype}"
                         + (f", from {labels.min()} to {labels.max()}" if labels.size else ""))
    return -np.mean(np.take_along_axis(log_softmax(scores), labels[..., None].astype(np.intp), axis=-1))


def _check(name, *sizes):
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise ValueError(f"{name}: widths must be positive whole numbers; got {sizes}")
