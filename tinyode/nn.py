"""Neural networks as pairs of functions over plain containers.

A network is ``(init, apply)``: ``init(rng)`` makes its parameters, lists and dicts of arrays, and
``apply(parameters, x)`` computes it. There is no object that hides parameters, so a gradient is a
container of the same structure, and a right-hand side is

    >>> init, apply = mlp(2, 50, 2)
    >>> def f(t, y, parameters):
    ...     return apply(parameters, y)

`linear` and `mlp` are networks, `rnn_cell` and `gru_cell` steps of recurrent ones,
``apply(parameters, h, x)``; `relu`, `elu`, `sigmoid` and `softplus` are activations besides those
that NumPy has, `log_softmax` and `cross_entropy` are for classes.
"""

import numpy as np

INITIAL = {  # how far the weights W, of shape (n, m), lie from zero: the standard deviation
    "glorot": lambda n, m: np.sqrt(
        2 / (n + m)
    ),  # Glorot and Bengio, "Understanding the difficulty of training deep ... networks", 2010
    "he": lambda n, m: np.sqrt(2 / n),  # He and others, "Delving deep into rectifiers", 2015
    "lecun": lambda n, m: np.sqrt(
        1 / n
    ),  # LeCun, Bottou, Orr and Müller, "Efficient backprop", 1998
    "zero": lambda n, m: 0.0,
}


def linear(n, m, initial="glorot"):
    """Affine map, x -> x W + b.

    Parameters
    ----------
    n, m : int
        Widths of the input and of the output.
    initial : str
        How W begins: uniform in +- sqrt(3) s, and so with the standard deviation s, of
        ``"glorot"``, sqrt(2 / (n + m)), ``"he"``, sqrt(2 / n), ``"lecun"``, sqrt(1 / n), or
        ``"zero"``. b begins at zero.

    Returns
    -------
    init : function
        ``init(rng)``, with a `numpy.random.Generator`, is a dict ``{"W": (n, m), "b": (m,)}``.
    apply : function
        ``apply(parameters, x)``, x of shape (..., n), has shape (..., m).

    Raises
    ------
    ValueError
        If a width is not a positive whole number, or ``initial`` not known; by ``apply``, if x and
        the parameters do not fit together.
    TypeError
        By ``init``, if rng is not a `numpy.random.Generator`.
    """
    return _layer("linear", n, m, initial)


def _layer(name, n, m, initial="glorot"):
    """Return `linear`, which calls itself by this name."""
    _check(name, n, m)
    if initial not in INITIAL:
        raise ValueError(
            f"linear: initial={initial!r} is not known; weights can begin as"
            f" {', '.join(map(repr, INITIAL))}"
        )
    bound = np.sqrt(3) * INITIAL[initial](n, m)

    def init(rng):
        check_generator(name, rng)
        return {"W": rng.uniform(-bound, bound, (n, m)), "b": np.zeros(m)}

    def apply(parameters, x):
        try:
            return x @ parameters["W"] + parameters["b"]
        except Exception:
            _explain(name, [parameters], x)
            raise

    return init, apply


def mlp(*sizes, activation=np.tanh, initial="glorot"):
    """Multilayer perceptron: x -> activation(x W + b) for every layer but the last, which is x W +
    b.

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
        ``apply(parameters, x)``, x of shape (..., sizes[0]), has shape (..., sizes[-1]). How many
        layers there are, and how wide, it takes from the parameters alone.

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
    _check("mlp", *sizes)
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
            _explain("mlp", parameters, x)
            raise

    return init, apply


def rnn_cell(n, m):
    """A step of a recurrent network (Elman, "Finding structure in time", 1990): h -> tanh([x, h] W
    + b).

    ``apply(parameters, h, x)``, h of shape (..., m), x of shape (..., n), is the next h.
    """
    _check("rnn_cell", n, m)
    init, affine = _layer("rnn_cell", n + m, m)

    def apply(parameters, h, x):
        _check_step("rnn_cell", h, x, n, m)
        return np.tanh(affine(parameters, np.concatenate([x, h], axis=-1)))

    return init, apply


def gru_cell(n, m):
    """A step of a gated recurrent unit, with the update z and the reset r between 0 and 1,
    elementwise (Cho and others, 2014):

        [z, r] = sigmoid([x, h] W + b),    h~ = tanh([x, r h] W' + b'),    h -> z h + (1 - z) h~

    ``apply(parameters, h, x)``, h of shape (..., m), x of shape (..., n), is the next h. (The paper
    has no b.)
    """
    _check("gru_cell", n, m)
    init_gates, gates = _layer("gru_cell", n + m, 2 * m)
    init_new, new = _layer("gru_cell", n + m, m)

    def init(rng):
        return {"gates": init_gates(rng), "new": init_new(rng)}

    def apply(parameters, h, x):
        _check_step("gru_cell", h, x, n, m)
        if not isinstance(parameters, dict) or set(parameters) != {"gates", "new"}:
            raise ValueError(
                f"gru_cell: parameters={parameters!r:.60} must be a dict with 'gates' "
                "and 'new'; use those of its init"
            )
        both = 0.5 * (
            1 + np.tanh(0.5 * gates(parameters["gates"], np.concatenate([x, h], axis=-1)))
        )  # sigmoid; a gate may well be 0
        z, r = both[..., :m], both[..., m:]
        return z * h + (1 - z) * np.tanh(
            new(parameters["new"], np.concatenate([x, r * h], axis=-1))
        )

    return init, apply


def relu(x):
    """max(x, 0), with the derivative 0 at 0."""
    return np.where(x <= 0, 0, x)


def elu(x):
    """x above 0, exp(x) - 1 below: smooth but for the second derivative (Clevert, Unterthiner and
    Hochreiter, 2016).
    """
    return np.where(x > 0, x, np.expm1(np.where(x > 0, 0, x)))


def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow, and with all digits where it is small."""
    return np.exp(-np.logaddexp(0, -x))


def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return np.logaddexp(x, 0)


def log_softmax(x):
    """x - log(sum exp x) along the last axis: the logarithms of probabilities that are in
    proportion to exp(x).
    """
    if not shape_of(x):
        raise ValueError("log_softmax: x has the shape (..., classes); got one number")
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
    if not hasattr(scores, "dtype"):
        rows = isinstance(scores, (list, tuple)) and scores
        scores = np.stack(scores) if rows else np.asarray(scores)
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
    if labels.dtype.kind not in "iu" or np.any((labels < 0) | (labels >= scores.shape[-1])):
        raise ValueError(
            f"cross_entropy: labels must be whole numbers from 0 to {scores.shape[-1] - 1}; got"
            f" dtype {labels.dtype}"
            + (
                f", from {labels.min()} to {labels.max()}"
                if labels.size and labels.dtype.kind in "fiu"
                else ""
            )
        )
    return -np.mean(
        np.take_along_axis(log_softmax(scores), labels[..., None].astype(np.intp), axis=-1)
    )


def check_generator(name, rng):
    """Refuse by name what nothing can be drawn with."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name}: rng={rng!r:.40} must be a numpy.random.Generator; write "
            "np.random.default_rng(0), where 0 is the seed"
        )


def shape_of(x):
    """Return the shape of an array or a list, for an array without a call that is recorded."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def _check_step(name, h, x, n, m):
    """Refuse h and x of other shapes; where they are exchanged, NumPy would compute with them."""
    of_h, of_x = shape_of(h), shape_of(x)
    if of_h[-1:] != (m,) or of_x[-1:] != (n,) or of_h[:-1] != of_x[:-1]:
        raise ValueError(
            f"{name}: apply(parameters, h, x) got h of shape {of_h} and x of shape "
            f"{of_x}; they must be (..., {m}) and (..., {n})"
        )


def check_layers(name, layers):
    """Refuse what are not the parameters of a multilayer perceptron."""
    if (
        not isinstance(layers, (list, tuple))
        or not layers
        or not all(isinstance(layer, dict) and {"W", "b"} <= set(layer) for layer in layers)
    ):
        raise ValueError(
            f"{name}: parameters={layers!r:.60} are not of this network, which has a "
            "dict with 'W' and 'b' for each layer; use those of its init"
        )


def _explain(name, layers, x):
    """Raise what is wrong with the parameters or with x, if something is, once NumPy has failed.

    To look before would cost time in each call that is right.
    """
    check_layers(name, layers)
    shapes = [(shape_of(layer["W"]), shape_of(layer["b"])) for layer in layers]
    for W, b in shapes:
        if len(W) != 2 or b != W[1:]:
            raise ValueError(
                f"{name}: parameters: a layer has W of shape {W} and b of shape {b}; "
                "they must be (n, m) and (m,)"
            )
    if any(W[1] != after[0] for (W, _), (after, _) in zip(shapes, shapes[1:])):
        raise ValueError(
            f"{name}: parameters: W has the shapes {[W for W, _ in shapes]}; each "
            "must have as many rows as the one before has columns"
        )
    if shape_of(x)[-1:] != shapes[0][0][:1]:
        raise ValueError(
            f"{name}: the input has the shape {shape_of(x)}; it must be "
            f"(..., {shapes[0][0][0]}) for these parameters"
        )


def _check(name, *sizes):
    if not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in sizes
    ):
        raise ValueError(f"{name}: widths must be positive whole numbers; got {sizes}")
