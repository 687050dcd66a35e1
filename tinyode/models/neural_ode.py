"""Algorithm 2: a neural ODE (S-alg2).

The solver has the loop that `resnet` has, and one theta serves for all times. ``f(t, h, theta)`` is
a network of t and h, and h(t1) = ODESolve(h(t0), f, t0, t1, theta) (P3, G11, G12, N5, S3).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn, tree
from ..autodiff.numpy_calls import unbox
from ..checks import check_generator, is_whole
from ..sensitivity import odeint
from ..types import Array, ArrayLike, Field, Generator, T, Tree
from .checks import arrays, check_counts, check_options, check_parameters


def neural_ode(f: Field, h: T, t0: float, t1: float, *args: Tree, **options: Any) -> T:
    """Return h(t1) of dh/dt = f(t, h, *args), h(t0) = h; the options are those of `odeint`."""
    return tree.map(lambda y: y[-1], odeint(f, h, [t0, t1], *args, **options))


def ode_classifier(
    features: int, width: int, hidden: int, classes: int, **options: Any
) -> tuple[Callable[[Generator], dict[str, Any]], Callable[..., Array]]:
    """Classifier: an affine map to ``width``, a neural ODE, an affine map to the scores.

    The neural ODE goes from t = 0 to t = 1. It is `resnet_classifier` with one block for all times,
    which is told the time. It is solved and differentiated as ``options`` say, by the adjoint of
    `odeint` if they say nothing. With ``method="rk4", gradient="discrete"`` it is what Chen and
    others (2018) call RK-Net.

    Returns
    -------
    init, apply : functions
        ``init(rng)`` makes the parameters. ``apply(parameters, x, **more)``, x of shape (n,
        features), returns the scores of the classes, shape (n, classes). The options in ``more``
        take the place of those in ``options``.

    Raises
    ------
    ValueError
        If a width is not a positive whole number; by ``apply``, if x or the parameters are not of
        this model.
    TypeError
        If an option is not one of `odeint`.
    """
    check_counts("ode_classifier", features=features, width=width, hidden=hidden, classes=classes)
    check_options("ode_classifier", options)
    init_in, into = nn.linear(features, width)
    init_field, field = nn.mlp(width + 1, hidden, width)
    init_out, out = nn.linear(width, classes)

    def init(rng):
        check_generator("ode_classifier", rng)
        return {"in": init_in(rng), "field": init_field(rng), "out": init_out(rng)}

    def f(t, h, theta):
        return field(theta, np.concatenate([h, t * np.ones((len(h), 1), h.dtype)], axis=1))

    def apply(parameters, x, **more):
        check_options("ode_classifier", more)
        check_parameters("ode_classifier", parameters, {"in", "field", "out"})
        (x,) = arrays("ode_classifier", x=(x, ("n", features)))
        h = np.tanh(into(parameters["in"], x))
        h = neural_ode(f, h, 0.0, 1.0, parameters["field"], **{**options, **more})
        return out(parameters["out"], h)

    return init, apply


def augmented(x: ArrayLike, n: int) -> Array:
    """Return x, shape (..., d), with n zeros appended to each row, shape (..., d + n).

    In the new dimensions trajectories can pass one another: Dupont, Doucet and Teh, "Augmented
    neural ODEs" (2019). It is an option of the data; the model does not know. ValueError if x is
    one number, or n not a whole number, 0 or more.
    """
    if not is_whole(n, 0):
        raise ValueError(f"augmented: n={n!r} must be a whole number, 0 or more")
    x = unbox(x)
    if not x.shape:
        raise ValueError("augmented: x has the shape (); it must be (..., d)")
    return np.concatenate([x, np.zeros((*x.shape[:-1], n), x.dtype)], axis=-1)
