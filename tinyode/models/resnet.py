"""Algorithm 1: a residual network (S-alg1).

``f(t, h, theta_t)`` is a network of h. Each layer t = 0, 1, ... has parameters theta_t of its own,
and h <- h + f(t, h, theta_t) (P2, G5, N1, S1, which write f(h, t, theta_t); the order here is that
of the solvers).
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import nn
from ..autodiff.numpy_calls import unbox
from ..checks import check_generator, shape_of
from ..types import Generator, T
from .checks import check_counts, check_parameters


def resnet(f: Callable[[int, Any, Any], Any], h: T, thetas: Iterable[Any]) -> T:
    """Return h after h <- h + f(t, h, theta_t) for each theta_t, t = 0, 1, ...

    This is Euler's method with step one.

    Parameters
    ----------
    f : function
        ``f(t, h, theta_t)``, of the shape of h.
    h : array
    thetas : list
        The parameters of each layer, one layer at least.

    Raises
    ------
    ValueError
        If there is no layer, or f returns another shape than that of h.
    """
    thetas = list(thetas)
    if not thetas:
        raise ValueError(
            "resnet: thetas is empty, and a network without layers leaves h as it is; "
            "give the parameters of one layer or more"
        )
    for t, theta_t in enumerate(thetas):
        step = f(t, h, theta_t)
        if shape_of(step) != shape_of(h):  # which NumPy may broadcast
            raise ValueError(
                f"resnet: f returned the shape {shape_of(step)} in layer {t} for h "
                f"of shape {shape_of(h)}; they must agree"
            )
        h = h + step
    return h


def resnet_classifier(
    features: int, width: int, hidden: int, classes: int, blocks: int = 6
) -> tuple[Callable[[Generator], dict[str, Any]], nn.Apply]:
    """Classifier: an affine map to ``width``, residual blocks, an affine map to the scores.

    Each of the ``blocks`` has one hidden layer of tanh, and parameters of its own.

    Returns
    -------
    init, apply : functions
        ``init(rng)`` makes the parameters. ``apply(parameters, x)``, x of shape (..., features),
        returns the scores of the classes, shape (..., classes).

    Raises
    ------
    ValueError
        If a width or ``blocks`` is not a positive whole number; by ``apply``, if x or the
        parameters are not of this model.
    """
    check_counts(
        "resnet_classifier",
        features=features,
        width=width,
        hidden=hidden,
        classes=classes,
        blocks=blocks,
    )
    init_in, into = nn.linear(features, width)
    init_block, block = nn.mlp(width, hidden, width)
    init_out, out = nn.linear(width, classes)

    def init(rng):
        check_generator("resnet_classifier", rng)
        return {
            "in": init_in(rng),
            "blocks": [init_block(rng) for _ in range(blocks)],
            "out": init_out(rng),
        }

    def f(t, h, theta_t):
        return block(theta_t, h)

    def apply(parameters, x):
        check_parameters("resnet_classifier", parameters, {"in", "blocks", "out"})
        x = unbox(x)
        if x.shape[-1:] != (features,):
            raise ValueError(
                f"resnet_classifier: x has the shape {x.shape}; it must be (..., {features})"
            )
        h = np.tanh(into(parameters["in"], x))
        return out(parameters["out"], resnet(f, h, parameters["blocks"]))

    return init, apply
