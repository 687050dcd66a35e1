"""Gradient descent, as pairs of functions over plain containers.

An optimiser is ``(init, update)``: ``init(parameters)`` makes its state, ``update(parameters, gradient, state)`` returns the next
parameters and the next state. Nothing is changed in place, so a loop reads

    >>> init, update = adam(cosine(1e-2, 300))
    >>> state = init(parameters)
    >>> for _ in range(300):
    ...     loss, gradient = value_and_grad(loss_of)(parameters)
    ...     parameters, state = update(parameters, clip(gradient, 1.0), state)

A learning rate is a number or a schedule, a function of the number of steps already done: `exponential`, `cosine`, `piecewise`, or yours.
"""

import math

import numpy as np

from . import tree


def gradient_descent(learning_rate, momentum=0.0):
    """v <- momentum v + gradient, parameters <- parameters - learning_rate v (Polyak's heavy ball, 1964; plain descent at 0).

    Parameters
    ----------
    learning_rate : float or function
        Of the number of steps done, 0 at first.
    momentum : float

    Raises
    ------
    ValueError
        If the learning rate is not positive, or momentum not in [0, 1); by ``update``, if parameters, gradient and state do not match.
    """
    rate = _schedule("gradient_descent", learning_rate)
    (momentum,) = _check("gradient_descent", momentum=momentum)

    def init(parameters):
        return {"n": 0, "v": tree.map(lambda p: np.zeros(np.shape(p), _dtype(p)), parameters)}

    def update(parameters, gradient, state):
        gradient = _matching("gradient_descent", parameters, gradient, state, {"n", "v"})
        v, step = tree.map(lambda v, g: momentum * v + g, state["v"], gradient), rate(state["n"])
        return tree.map(lambda p, v: p - step * v, parameters, v), {"n": state["n"] + 1, "v": v}

    return init, update


def adam(learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Adam: steps along the running mean of the gradient over the root of the running mean of its square.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    Parameters
    ----------
    learning_rate : float or function
        Of the number of steps done, 0 at first.
    beta1, beta2, epsilon : float

    Raises
    ------
    ValueError
        If the learning rate or epsilon is not positive, or a beta not in [0, 1); by ``update``, if parameters, gradient and state do
        not match.
    """
    rate = _schedule("adam", learning_rate)
    beta1, beta2 = _check("adam", beta1=beta1, beta2=beta2)
    epsilon = _positive("adam: epsilon", epsilon)

    def init(parameters):
        zeros = tree.map(lambda p: np.zeros(np.shape(p), _dtype(p)), parameters)
        return {"n": 0, "m": zeros, "v": zeros}

    def update(parameters, gradient, state):
        gradient = _matching("adam", parameters, gradient, state, {"n", "m", "v"})
        n = state["n"] + 1
        m = tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state["m"], gradient)
        v = tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state["v"], gradient)
        root = math.sqrt(1 - beta2**n)
        step = rate(n - 1) * root / (1 - beta1**n)  # Python floats, so that float32 stays float32
        return tree.map(lambda p, m, v: p - step * m / (np.sqrt(v) + epsilon * root), parameters, m, v), {"n": n, "m": m, "v": v}

    return init, update


def exponential(rate, half_life):
    """Schedule: rate 2^(-n / half_life), both positive (ValueError)."""
    rate, half_life = _positive("exponential: rate", rate), _positive("exponential: half_life", half_life)
    return lambda n: rate * 2.0 ** (-n / half_life)


def cosine(rate, steps, last=0.0):
    """Schedule: from rate to last along half a cosine in so many steps, and last from there on (Loshchilov and Hutter, "SGDR", 2017).

    ValueError if rate or steps is not positive, or last negative.
    """
    rate, steps = _positive("cosine: rate", rate), _positive("cosine: steps", steps)
    last = last if last == 0 else _positive("cosine: last", last)
    return lambda n: last + 0.5 * (rate - last) * (1 + math.cos(math.pi * min(n / steps, 1.0)))


def piecewise(rate, factor, *boundaries):
    """Schedule: rate, times factor from each boundary on, both positive (ValueError)."""
    rate, factor = _positive("piecewise: rate", rate), _positive("piecewise: factor", factor)
    return lambda n: rate * factor ** sum(n >= boundary for boundary in boundaries)


def clip(gradient, largest):
    """Return the gradient, made shorter where the root of the sum of its squares, over all leaves, is above ``largest``.

    Raises
    ------
    ValueError
        If ``largest`` is not positive, or the gradient not real or not finite: no factor makes it right.
    """
    largest = _positive("clip: largest", largest)
    leaves, sizes = [leaf for leaf in tree.flatten(gradient)[0] if np.size(leaf)], []
    for leaf in leaves:
        sizes.append(float(np.max(np.abs(leaf))))
        if np.iscomplexobj(leaf) or not math.isfinite(sizes[-1]):
            raise ValueError(f"clip: the gradient has a leaf of shape {np.shape(leaf)} and dtype {np.result_type(leaf)} with the largest "
                             f"element {sizes[-1]}; real and finite ones can be clipped, so look for what made it so")
    size = max(sizes, default=0.0)
    root = math.sqrt(sum(float(np.sum((np.asarray(leaf, float) / size) ** 2)) for leaf in leaves)) if size else 0.0
    if size * root <= largest:
        return gradient
    factor = largest / (size * root)
    if factor < np.finfo(float).tiny:  # underflow, or the norm overflows
        return tree.map(lambda g: g / size * (largest / root), gradient)
    return tree.map(lambda g: g * factor, gradient)


def _dtype(p):
    """The dtype of the running means: that of the parameter, or float64 where it is a whole number."""
    return np.result_type(p) if np.result_type(p).kind == "f" else float


def _matching(name, parameters, gradient, state, keys):
    """Return the gradient in the parameters' dtypes; refuse what does not belong together, which NumPy would broadcast."""
    if not isinstance(state, dict) or set(state) != keys:
        raise ValueError(f"{name}: the state has {sorted(state) if isinstance(state, dict) else state!r}, not {sorted(keys)}; begin with "
                         f"that of init(parameters) of {name}")
    for what, part in {"gradient": gradient, **{key: state[key] for key in keys - {"n"}}}.items():
        for p, x in zip(tree.flatten(parameters)[0], tree.flatten(part)[0]):
            if np.shape(p) != np.shape(x):
                raise ValueError(f"{name}: a parameter of shape {np.shape(p)} has a {what} of shape {np.shape(x)}; they must agree")
    return tree.map(lambda p, g: g if np.result_type(g) == _dtype(p) else np.asarray(g, _dtype(p))[()], parameters, gradient)


def _positive(what, value):
    """Return a setting as a Python float; refuse by name what is not a positive number."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not 0 < value < math.inf:
        raise ValueError(f"{what}={value!r} must be a positive number")
    return float(value)


def _schedule(name, learning_rate):
    """Return the learning rate as a function of the steps done, of Python floats; refuse by name what cannot be."""
    if not callable(learning_rate):
        learning_rate = _positive(f"{name}: learning_rate", learning_rate)
        return lambda n: learning_rate

    def rate(n):
        value = float(learning_rate(n))
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: learning_rate is {value!r} after {n} steps; it must be finite and not negative")
        return value

    return rate


def _check(name, **shares):
    """Return the shares as Python floats; refuse by name what cannot be."""
    for share, value in shares.items():
        if not isinstance(value, (int, float, np.integer, np.floating)) or not 0 <= value < 1:
            raise ValueError(f"{name}: {share}={value!r} must be at least 0 and below 1")
    return [*map(float, shares.values())]
