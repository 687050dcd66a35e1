"""Neural networks as pairs of functions over plain containers.

A network is ``(init, apply)``: ``init(rng)`` makes its parameters, lists and dicts of arrays, and
``apply(parameters, x)`` computes it. No object hides the parameters. So a gradient is a container
of the same structure, and the right-hand side of an ODE is

    >>> init, apply = mlp(2, 50, 2)
    >>> def f(t, y, parameters):
    ...     return apply(parameters, y)

`linear` and `mlp` are networks. `rnn_cell` and `gru_cell` are steps of recurrent networks,
``apply(parameters, h, x)``. `relu`, `elu`, `sigmoid` and `softplus` are activations that NumPy does
not have, and `log_softmax` and `cross_entropy` serve to tell classes apart.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .checks import check_generator, check_step, check_widths, explain_failure, shape_of
from .types import Array, ArrayLike, Generator, Tree

Layer: TypeAlias = dict[str, Array]  # "W" and "b"
Apply: TypeAlias = Callable[[Tree, Array], Array]  # apply(parameters, x)
Step: TypeAlias = Callable[[Tree, Array, Array], Array]  # apply(parameters, h, x), the next h

# The standard deviation of the weights W, shape (n, m), at the beginning.
INITIAL: dict[str, Callable[[int, int], float]] = {
    # Glorot and Bengio, "Understanding the difficulty of training deep feedforward networks", 2010
    "glorot": lambda n, m: math.sqrt(2 / (n + m)),
    # He and others, "Delving deep into rectifiers", 2015
    "he": lambda n, m: math.sqrt(2 / n),
    # LeCun, Bottou, Orr and Müller, "Efficient backprop", 1998
    "lecun": lambda n, m: math.sqrt(1 / n),
    "zero": lambda n, m: 0.0,
}


def linear(n: int, m: int, initial: str = "glorot") -> tuple[Callable[[Generator], Layer], Apply]:
    """Affine map, x -> x W + b.

    Parameters
    ----------
    n, m : int
        Widths of the input and of the output.
    initial : str
        How W begins: uniform between -sqrt(3) s and sqrt(3) s, so that its standard deviation is s.
        ``"glorot"``: s = sqrt(2 / (n + m)); ``"he"``: sqrt(2 / n); ``"lecun"``: sqrt(1 / n);
        ``"zero"``: 0. The bias b begins at zero.

    Returns
    -------
    init : function
        ``init(rng)``, with a `numpy.random.Generator`, is a dict ``{"W": (n, m), "b": (m,)}``.
    apply : function
        ``apply(parameters, x)``, x of shape (..., n), has shape (..., m).

    Raises
    ------
    ValueError
        If a width is not a positive whole number, or ``initial`` is not known; by ``apply``, if x
        and the parameters do not fit together.
    TypeError
        By ``init``, if rng is not a `numpy.random.Generator`.
    """
    return _layer("linear", n, m, initial)


def _layer(name, n, m, initial="glorot"):
    """Return `linear`, which calls itself by this name in its messages."""
    check_widths(name, n, m)
    if initial not in INITIAL:
        raise ValueError(
            f"linear: initial={initial!r} is not known; weights can begin as"
            f" {', '.join(map(repr, INITIAL))}"
        )
    bound = math.sqrt(3) * INITIAL[initial](n, m)

    def init(rng):
        check_generator(name, rng)
        return {"W": rng.uniform(-bound, bound, (n, m)), "b": np.zeros(m)}

    def apply(parameters, x):
        try:
            return x @ parameters["W"] + parameters["b"]
        except Exception:
            explain_failure(name, [parameters], x)
            raise

    return init, apply


def mlp(
    *sizes: int, activation: Callable[[Any], Any] = np.tanh, initial: str = "glorot"
) -> tuple[Callable[[Generator], list[Layer]], Apply]:
    """Multilayer perceptron: x -> activation(x W + b) in each layer, and x W + b in the last.

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
        ``apply(parameters, x)``, x of shape (..., sizes[0]), has shape (..., sizes[-1]). The number
        of layers and their widths are those of the parameters.

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or one is not a positive whole number, or ``initial`` is
        not known; by ``apply``, if x and the parameters do not fit together.
    TypeError
        If ``activation`` is not a function; by ``init``, if rng is not a `numpy.random.Generator`.
    """
    if len(sizes) < 2:
        raise ValueError(
            "mlp: two or more widths are needed, of the input, hidden layers and output; got"
            f" {sizes}"
        )
    check_widths("mlp", *sizes)
    if not callable(activation):
        raise TypeError(
            f"mlp: activation={activation!r} must be a function of arrays, such as np.tanh or"
            " nn.relu"
        )
    layers = [_layer("mlp", n, m, initial) for n, m in zip(sizes, sizes[1:])]

    def init(rng):
        return [init(rng) for init, _ in layers]

    def apply(parameters, x):
        h = x
        try:
            for layer in parameters[:-1]:
                h = activation(h @ layer["W"] + layer["b"])
            return h @ parameters[-1]["W"] + parameters[-1]["b"]
        except Exception:
            explain_failure("mlp", parameters, x)
            raise

    return init, apply


def rnn_cell(n: int, m: int) -> tuple[Callable[[Generator], Layer], Step]:
    """A step of a recurrent network: h -> tanh([x, h] W + b).

    ``apply(parameters, h, x)``, h of shape (..., m), x of shape (..., n), is the next h. Elman,
    "Finding structure in time" (1990).
    """
    check_widths("rnn_cell", n, m)
    init, affine = _layer("rnn_cell", n + m, m)

    def apply(parameters, h, x):
        check_step("rnn_cell", h, x, n, m)
        return np.tanh(affine(parameters, np.concatenate([x, h], axis=-1)))

    return init, apply


def gru_cell(n: int, m: int) -> tuple[Callable[[Generator], dict[str, Layer]], Step]:
    """A step of a gated recurrent unit, with an update z and a reset r between 0 and 1:

        [z, r] = sigmoid([x, h] W + b),    h~ = tanh([x, r h] W' + b'),    h -> z h + (1 - z) h~

    ``apply(parameters, h, x)``, h of shape (..., m), x of shape (..., n), is the next h. Products
    are elementwise. Cho and others, "Learning phrase representations using RNN encoder-decoder"
    (2014), where there is no b.
    """
    check_widths("gru_cell", n, m)
    init_gates, gates = _layer("gru_cell", n + m, 2 * m)
    init_new, new = _layer("gru_cell", n + m, m)

    def init(rng):
        return {"gates": init_gates(rng), "new": init_new(rng)}

    def apply(parameters, h, x):
        check_step("gru_cell", h, x, n, m)
        if not isinstance(parameters, dict) or set(parameters) != {"gates", "new"}:
            raise ValueError(
                f"gru_cell: parameters={parameters!r:.60} must be a dict with 'gates' "
                "and 'new'; use those of its init"
            )
        both = gates(parameters["gates"], np.concatenate([x, h], axis=-1))
        both = 0.5 * (1 + np.tanh(0.5 * both))  # the sigmoid; digits near 0 do not matter here
        z, r = both[..., :m], both[..., m:]
        h_new = np.tanh(new(parameters["new"], np.concatenate([x, r * h], axis=-1)))
        return z * h + (1 - z) * h_new

    return init, apply


def relu(x: Array | float) -> Array:
    """max(x, 0), with the derivative 0 at 0."""
    return np.where(x <= 0, 0, x)


def elu(x: Array | float) -> Array:
    """x above 0, exp(x) - 1 below; only its second derivative jumps.

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential
    linear units" (2016).
    """
    return np.where(x > 0, x, np.expm1(np.where(x > 0, 0, x)))


def sigmoid(x: Array | float) -> Array:
    """1 / (1 + exp(-x)), without overflow, and with all digits where it is small."""
    return np.exp(-np.logaddexp(0, -x))


def softplus(x: Array | float) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.logaddexp(x, 0)


def log_softmax(x: Array) -> Array:
    """x - log(sum exp x) along the last axis.

    These are the logarithms of the probabilities that are proportional to exp(x). ValueError if x
    is a single number.
    """
    if not shape_of(x):
        raise ValueError("log_softmax: x has the shape (..., classes); got one number")
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def cross_entropy(scores: ArrayLike, labels: ArrayLike) -> np.floating[Any]:
    """Mean of -log p(label), where the p of each row are proportional to exp(scores).

    Parameters
    ----------
    scores : array, shape (..., classes)
    labels : array of int, shape (...)
        The classes, counted from 0.

    Raises
    ------
    ValueError
        If the shapes do not fit, there are no samples, or a label is not a class.
    """
    x, label = _scores_and_labels(scores, labels)
    place = label[..., None].astype(np.intp)
    return -np.mean(np.take_along_axis(log_softmax(x), place, axis=-1))


def _scores_and_labels(scores, labels):
    """Return both as arrays that fit together."""
    if not hasattr(scores, "dtype"):
        rows = isinstance(scores, (list, tuple)) and scores
        scores = np.stack(scores) if rows else np.asarray(scores)  # rows may be traced
    labels = np.asarray(labels)
    if scores.ndim == 0 or scores.size == 0 or scores.dtype.kind not in "fiub":
        raise ValueError(
            "cross_entropy: scores have the shape (..., classes), of one sample or "
            f"more, and are real; got dtype {scores.dtype}, shape {scores.shape}"
        )
    if labels.shape != scores.shape[:-1]:
        raise ValueError(
            f"cross_entropy: scores of shape {scores.shape} need labels of shape"
            f" {scores.shape[:-1]}; got {labels.shape}"
        )
    whole, classes = labels.dtype.kind in "iu", scores.shape[-1]
    if not whole or np.any((labels < 0) | (labels >= classes)):
        numbers = labels.size and labels.dtype.kind in "fiu"
        extent = f", from {labels.min()} to {labels.max()}" if numbers else ""
        raise ValueError(
            f"cross_entropy: labels must be whole numbers from 0 to {classes - 1}; got"
            f" dtype {labels.dtype}{extent}"
        )
    return scores, labels
