"""What networks, models and data refuse by name, where NumPy would fail late, or not at all."""

from typing import Any

import numpy as np


def shape_of(x: Any) -> tuple[int, ...]:
    """Return the shape of an array or a list; of a traced array without a recorded call."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def is_whole(n: object, least: int) -> bool:
    """Whether n is a whole number, and not a bool, of this size or larger."""
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and bool(n >= least)


def check_widths(name: str, *sizes: object) -> None:
    """Refuse widths of layers that are not positive whole numbers."""
    if not all(is_whole(n, 1) for n in sizes):
        raise ValueError(f"{name}: widths must be positive whole numbers; got {sizes}")


def check_generator(name: str, rng: object) -> None:
    """Refuse what is no generator of random numbers."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name}: rng={rng!r:.40} must be a numpy.random.Generator; write "
            "np.random.default_rng(0), where 0 is the seed"
        )


def check_step(name: str, h: Any, x: Any, n: int, m: int) -> None:
    """Refuse h and x of other shapes than (..., m) and (..., n).

    NumPy would compute with h and x exchanged.
    """
    of_h, of_x = shape_of(h), shape_of(x)
    if of_h[-1:] != (m,) or of_x[-1:] != (n,) or of_h[:-1] != of_x[:-1]:
        raise ValueError(
            f"{name}: apply(parameters, h, x) got h of shape {of_h} and x of shape "
            f"{of_x}; they must be (..., {m}) and (..., {n})"
        )


def check_layers(name: str, layers: Any) -> None:
    """Refuse what are not the parameters of a multilayer perceptron."""
    is_list = isinstance(layers, (list, tuple)) and len(layers) > 0
    if not is_list or not all(isinstance(p, dict) and {"W", "b"} <= set(p) for p in layers):
        raise ValueError(
            f"{name}: parameters={layers!r:.60} are not of this network, which has a "
            "dict with 'W' and 'b' for each layer; use those of its init"
        )


def explain_failure(name: str, layers: Any, x: Any) -> None:
    """Say what is wrong with the parameters of a network or with its input, if something is.

    It is called when NumPy has failed. To look before would cost time in every call that is right.
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
    width = shapes[0][0][0]
    if shape_of(x)[-1:] != (width,):
        raise ValueError(
            f"{name}: the input has the shape {shape_of(x)}; it must be "
            f"(..., {width}) for these parameters"
        )
