"""Algorithm 2: a neural ODE (S-alg2). The loop of `resnet` is the solver's business, and one theta
is for all of time.

``f(t, h, theta)`` is a network of t and h, and h(t1) = ODESolve(h(t0), f, t0, t1, theta) (P3, G11,
G12, N5, S3).
"""

import numpy as np

from .. import nn, tree
from ..autodiff.numpy_calls import unbox
from ..sensitivity import odeint
from .checks import arrays, check_counts, check_options, check_parameters


def neural_ode(f, h, t0, t1, *args, **options):
    """Return h(t1) of dh/dt = f(t, h, *args), h(t0) = h; the options are those of `odeint`."""
    return tree.map(lambda y: y[-1], odeint(f, h, [t0, t1], *args, **options))


def ode_net(features, width, hidden, classes, **options):
    """Classifier: affine to ``width``, a neural ODE from 0 to 1 with one hidden layer of tanh,
    affine to the scores of the classes.

    It is `res_net` with one block, which is told the time, for all. Solved and differentiated as
    ``options`` say, by `odeint`'s adjoint if they say nothing; with ``method="rk4",
    gradient="discrete"`` it is what Chen and others (2018) call RK-Net.

    Returns
    -------
    init, apply : functions
        ``init(rng)`` makes the parameters, ``apply(parameters, x, **more)``, x of shape (n,
        features), the scores, shape (n, classes), with more options or others.

    Raises
    ------
    ValueError
        If a width is not a positive whole number; by ``apply``, if x or the parameters are not of
        this model.
    TypeError
        If an option is not one of `odeint`.
    """
    check_counts("ode_net", features=features, width=width, hidden=hidden, classes=classes)
    check_options("ode_net", options)
    (init_in, into), (init_field, field), (init_out, out) = (
        nn.linear(features, width),
        nn.mlp(width + 1, hidden, width),
        nn.linear(width, classes),
    )

    def init(rng):
        nn.check_generator("ode_net", rng)
        return {"in": init_in(rng), "field": init_field(rng), "out": init_out(rng)}

    def f(t, h, theta):
        return field(theta, np.concatenate([h, t * np.ones((len(h), 1), h.dtype)], axis=1))

    def apply(parameters, x, **more):
        check_options("ode_net", more)
        check_parameters("ode_net", parameters, {"in", "field", "out"})
        (x,) = arrays("ode_net", x=(x, ("n", features)))
        h = np.tanh(into(parameters["in"], x))
        return out(
            parameters["out"],
            neural_ode(f, h, 0.0, 1.0, parameters["field"], **{**options, **more}),
        )

    return init, apply


def augmented(x, n):
    """Return x, shape (..., d), with n zeros appended to each row: room for trajectories to pass
    one another.

    Dupont, Doucet and Teh, "Augmented neural ODEs" (2019). It is an option of the data; the model
    does not know. ValueError if x is one number, or n not a whole number, 0 or more.
    """
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 0:
        raise ValueError(f"augmented: n={n!r} must be a whole number, 0 or more")
    x = unbox(x)
    if not x.shape:
        raise ValueError("augmented: x has the shape (); it must be (..., d)")
    return np.concatenate([x, np.zeros((*x.shape[:-1], n), x.dtype)], axis=-1)
