"""Gradient descent, as pairs of functions over plain containers.

An optimiser is ``(init, update)``: ``init(parameters)`` makes its state, ``update(parameters,
gradient, state)`` returns the next parameters and the next state. Nothing is changed in place. So a
loop reads

    >>> init, update = adam(cosine(1e-2, 300))
    >>> state = init(parameters)
    >>> for _ in range(300):
    ...     loss, gradient = value_and_grad(loss_of)(parameters)
    ...     parameters, state = update(parameters, clip(gradient, 1.0), state)

A learning rate is a number or a schedule, a function of the number of steps already done:
`exponential`, `cosine`, `piecewise`, or your own.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np

from . import tree
from .autodiff.numpy_calls import STAND_INS, is_traced
from .types import T, Tree

State: TypeAlias = dict[str, Any]  # the number "n" of steps done, and running means
Schedule: TypeAlias = Callable[[int], float]  # from the number of steps done to the learning rate


class Update(Protocol):
    """One step of an optimiser."""

    def __call__(self, parameters: T, gradient: Tree, state: State) -> tuple[T, State]:
        """Return the next parameters and the next state."""


Optimiser: TypeAlias = tuple[Callable[[Tree], State], Update]


def gradient_descent(learning_rate: float | Schedule, momentum: float = 0.0) -> Optimiser:
    """v <- momentum v + gradient, parameters <- parameters - learning_rate v.

    With momentum it is Polyak's heavy ball (1964), without it plain descent.

    Parameters
    ----------
    learning_rate : float or function
        Of the number of steps done, 0 at first.
    momentum : float

    Raises
    ------
    ValueError
        If the learning rate is not positive, or momentum not in [0, 1); by ``update``, if
        parameters, gradient and state do not match, or are not made of real numbers. Infinity and
        NaN may pass.
    TypeError
        If the learning rate or momentum is traced: neither has a derivative here.
    """
    rate = _schedule("gradient_descent", learning_rate)
    momentum = _share("gradient_descent: momentum", momentum)

    def init(parameters):
        return {"n": 0, "v": _zeros("gradient_descent", parameters)}

    def update(parameters, gradient, state):
        gradient = _matching("gradient_descent", parameters, gradient, state, {"n", "v"})
        v, step = tree.map(lambda v, g: momentum * v + g, state["v"], gradient), rate(state["n"])
        new = tree.map(lambda p, v: _as(p, p - step * v), parameters, v)
        return new, {"n": state["n"] + 1, "v": v}

    return init, update


def adam(
    learning_rate: float | Schedule, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> Optimiser:
    """Adam: steps along the running mean m of the gradient.

    They are divided by the root of v, the running mean of its square. Kingma and Ba, "Adam: a
    method for stochastic optimization" (2015), algorithm 1.

    Parameters
    ----------
    learning_rate : float or function
        Of the number of steps done, 0 at first.
    beta1, beta2, epsilon : float

    Raises
    ------
    ValueError
        If the learning rate or epsilon is not positive, or a beta not in [0, 1); by ``update``, if
        parameters, gradient and state do not match, or are not made of real numbers. Infinity and
        NaN may pass.
    TypeError
        If a setting is traced: none has a derivative here.
    """
    rate = _schedule("adam", learning_rate)
    beta1, beta2 = _share("adam: beta1", beta1), _share("adam: beta2", beta2)
    epsilon = _positive("adam: epsilon", epsilon)

    def init(parameters):
        zeros = _zeros("adam", parameters)
        return {"n": 0, "m": zeros, "v": zeros}

    def update(parameters, gradient, state):
        gradient = _matching("adam", parameters, gradient, state, {"n", "m", "v"})
        n = state["n"] + 1
        m = tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state["m"], gradient)
        v = tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state["v"], gradient)
        root = math.sqrt(1 - beta2**n)
        step = rate(n - 1) * root / (1 - beta1**n)  # Python floats, so that float32 stays float32

        def moved(p, m, v):
            return _as(p, p - step * m / (np.sqrt(v) + epsilon * root))

        return tree.map(moved, parameters, m, v), {"n": n, "m": m, "v": v}

    return init, update


def exponential(rate: float, half_life: float) -> Schedule:
    """Schedule: rate 2^(-n / half_life), both positive (ValueError)."""
    rate = _positive("exponential: rate", rate)
    half_life = _positive("exponential: half_life", half_life)
    return lambda n: rate * 2.0 ** (-n / half_life)


def cosine(rate: float, steps: float, last: float = 0.0) -> Schedule:
    """Schedule: from rate to last along half a cosine in so many steps, then last.

    Loshchilov and Hutter, "SGDR" (2017). ValueError if rate or steps is not positive, or last
    negative.
    """
    rate, steps = _positive("cosine: rate", rate), _positive("cosine: steps", steps)
    last = _number("cosine: last", last, "finite and not negative", lambda x: 0 <= x < math.inf)
    return lambda n: last + 0.5 * (rate - last) * (1 + math.cos(math.pi * min(n / steps, 1.0)))


def piecewise(rate: float, factor: float, *boundaries: float) -> Schedule:
    """Schedule: rate, times factor from each boundary on, both positive (ValueError)."""
    rate, factor = _positive("piecewise: rate", rate), _positive("piecewise: factor", factor)
    return lambda n: rate * factor ** sum(n >= boundary for boundary in boundaries)


def clip(gradient: T, largest: float) -> T:
    """Return the gradient, made shorter where its norm is above ``largest``.

    The norm is the root of the sum of all squares, over all leaves.

    Raises
    ------
    ValueError
        If ``largest`` is not positive, or the gradient is not real or not finite: no factor makes
        it right.
    TypeError
        If ``largest`` or the gradient is traced.
    """
    largest = _positive("clip: largest", largest)
    leaves = [leaf for leaf in tree.flatten(gradient)[0] if np.size(leaf)]
    size = max([_largest_element(leaf) for leaf in leaves], default=0.0)
    if not size:
        return gradient
    # The norm is size * root. Divided by size, no square overflows.
    root = math.sqrt(sum(float(np.sum((np.asarray(leaf, float) / size) ** 2)) for leaf in leaves))
    if size * root <= largest:
        return gradient
    factor = largest / (size * root)
    if factor < np.finfo(float).tiny:  # underflow, or the norm overflows
        return tree.map(lambda g: g / size * (largest / root), gradient)
    return tree.map(lambda g: g * factor, gradient)


def _largest_element(leaf):
    """Return the size of the largest element of a leaf of a gradient; refuse what is not finite."""
    _plain("clip: the gradient", leaf)
    _real("clip", "gradient", leaf)
    size = float(np.max(np.abs(leaf)))
    if not math.isfinite(size):
        raise ValueError(
            f"clip: the gradient has a leaf of shape {np.shape(leaf)} and dtype"
            f" {np.result_type(leaf)} with the largest element {size}; real and finite"
            " ones can be clipped, so look for what made it so"
        )
    return size


def _dtype(x):
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


def _dtype_of_means(p):
    """Return the dtype of the running means of a parameter.

    It is that of the parameter, but float64 for whole numbers, and float32 for float16: the square
    of a gradient, and epsilon, are out of the range of float16.
    """
    dtype = _dtype(p)
    return np.promote_types(dtype, np.float32) if dtype.kind == "f" else np.dtype(float)


def _as(p, new):
    """Return the new value of a parameter in the dtype of the parameter, if that is float16."""
    return new.astype(_dtype(p)) if _dtype(p) == np.float16 else new


def _zeros(name, parameters):
    """Return the running means before the first step."""

    def zero(p):
        _real(name, "parameters", p)
        return np.zeros(np.shape(p), _dtype_of_means(p))

    return tree.map(zero, parameters)


def _matching(name, parameters, gradient, state, keys):
    """Return the gradient in the dtypes of the running means; refuse what does not match."""
    if not isinstance(state, dict) or set(state) != keys:
        found = sorted(state) if isinstance(state, dict) else repr(state)
        raise ValueError(
            f"{name}: the state has {found}, not"
            f" {sorted(keys)}; begin with that of init(parameters) of {name}"
        )
    leaves, structure = tree.flatten(parameters)
    for p in leaves:
        _real(name, "parameters", p)
    parts = {"gradient": gradient, **{key: state[key] for key in sorted(keys - {"n"})}}
    for what, part in parts.items():
        others, of_part = tree.flatten(part)
        if of_part != structure:
            raise ValueError(
                f"{name}: the {what} has the structure {tree.describe(of_part)}, the "
                f"parameters have {tree.describe(structure)}; they must agree"
            )
        for p, x in zip(leaves, others):
            _real(name, what, x)
            if np.shape(p) != np.shape(x):  # which NumPy would broadcast
                raise ValueError(
                    f"{name}: a parameter of shape {np.shape(p)} has a {what} of shape"
                    f" {np.shape(x)}; they must agree"
                )

    def cast(p, g):
        dtype = _dtype_of_means(p)
        if hasattr(g, "astype"):
            return g if g.dtype == dtype else g.astype(dtype)
        return np.asarray(g, dtype)[()]

    return tree.map(cast, parameters, gradient)


def _real(name, what, x):
    """Refuse what is not made of real numbers."""
    dtype = _dtype(x)
    if dtype.kind not in "fiub":
        raise ValueError(
            f"{name}: {what}: a leaf of dtype {dtype} and shape {np.shape(x)} is not "
            "made of real numbers; leave it out, or write the real and imaginary "
            "parts of a complex one as an axis of length 2"
        )


def _plain(what, value):
    """Refuse a traced value where a plain one is needed."""
    if is_traced(value) or type(value) in STAND_INS:
        raise TypeError(
            f"{what} is a traced value, which comes from the arguments of a function "
            "that is differentiated or compiled, and must be a plain one: take it from "
            "outside of that function, or pass stop_gradient(value). Where you want "
            "its derivative, write the step yourself: "
            "tree.map(lambda p, g: p - rate * g, parameters, gradient)"
        )


def _number(what, value, words, allowed):
    """Return a setting as a Python float; refuse what is no number, or not allowed."""
    _plain(what, value)
    number = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if not isinstance(number, (int, float, np.integer, np.floating)) or not allowed(number):
        raise ValueError(f"{what}={value!r} must be {words}")
    return float(number)


def _positive(what, value):
    return _number(what, value, "a positive number", lambda x: 0 < x < math.inf)


def _share(what, value):
    return _number(what, value, "at least 0 and below 1", lambda x: 0 <= x < 1)


def _schedule(name, learning_rate):
    """Return the learning rate as a function of the steps done, of Python floats."""
    if not callable(learning_rate):
        learning_rate = _positive(f"{name}: learning_rate", learning_rate)
        return lambda n: learning_rate

    def rate(n):
        what = f"{name}: learning_rate after {n} steps"
        value = _number(what, learning_rate(n), "a number", lambda x: True)
        if not 0 <= value < math.inf:
            raise ValueError(
                f"{name}: learning_rate is {value!r} after {n} steps; it must be finite and not"
                " negative"
            )
        return value

    return rate
