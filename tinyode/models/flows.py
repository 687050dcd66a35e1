"""Normalizing flows: densities by change of variables, a map of the data to a normal distribution
(P-flow, S-flow).

    log p(x) = log N(z(x)) + log |det dz/dx|

`planar_flow` has a layer z + u tanh(w . z + b) again and again, whose determinant is 1 + u . psi.
`continuous_flow` has an ODE instead, dz/dt = f(t, z), of any form; of its determinant only the
trace remains (the instantaneous change of variables):

    d log p(z(t)) / dt = -tr df/dz

Chen, Rubanova, Bettencourt and Duvenaud (2018), section 4 and appendix A.
"""

import math

import numpy as np

from .. import nn
from ..autodiff import vjp
from .checks import arrays, check_counts, check_options, check_parameters
from .neural_ode import neural_ode


def log_normal(z):
    """Return the logarithm of the standard normal density of each row of z, shape (n, d)."""
    return -0.5 * np.sum(z * z, axis=1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


def planar_flow(d, layers):
    """Planar flow (Rezende and Mohamed, "Variational inference with normalizing flows", 2015), from
    data to the normal distribution.

    A layer is invertible where u . w >= -1; so u is moved along w until u . w = softplus(u . w) - 1
    (their appendix A.1).

    Returns
    -------
    init, log_prob : functions
        ``init(rng)`` makes the parameters; ``log_prob(parameters, x)``, x of shape (n, d), has
        shape (n,).

    Raises
    ------
    ValueError
        If d or ``layers`` is not a positive whole number; by ``log_prob``, if x or the parameters
        are not of this model.
    """
    check_counts("planar_flow", d=d, layers=layers)

    def init(rng):
        nn.check_generator("planar_flow", rng)
        return [
            {"u": 0.1 * rng.normal(size=d), "w": rng.normal(size=d), "b": rng.normal()}
            for _ in range(layers)
        ]

    def log_prob(parameters, x):
        (x,) = arrays("planar_flow", x=(x, ("n", d)))
        _check_layers(parameters, d)
        log_det = 0.0
        for layer in parameters:
            u, w = layer["u"], layer["w"]
            along, moved = u @ w, nn.softplus(u @ w)
            u = u + (moved - 1 - along) * w / (w @ w)
            h = np.tanh(x @ w + layer["b"])
            x, log_det = (
                x + u * h[:, None],
                log_det + np.log(h * h + (1 - h * h) * moved),
            )  # 1 + (1 - h^2) (moved - 1)
        return log_normal(x) + log_det

    return init, log_prob


def _check_layers(parameters, d):
    """Refuse parameters that are not those of a planar flow of this width."""
    keys = {"u", "w", "b"}
    if not isinstance(parameters, (list, tuple)) or not parameters:
        raise ValueError(
            f"planar_flow: parameters={parameters!r:.60} must be a list with a dict "
            "for each layer; use those of its init"
        )
    for layer in parameters:
        check_parameters("planar_flow", layer, keys)
        arrays(
            "planar_flow: parameters",
            u=(layer["u"], (d,)),
            w=(layer["w"], (d,)),
            b=(layer["b"], ()),
        )


def exact_trace(f, z, _=None):
    """Return f(z) and tr df/dz of every row, for f that treats the rows of z, shape (n, d), each by
    itself: d pullbacks.
    """
    z, value, pullback = _vjp_of_rows("exact_trace", f, z)
    units = np.eye(z.shape[1], dtype=z.dtype)
    return value, sum(
        pullback(np.ones((len(z), 1), z.dtype) * unit)[0][:, i] for i, unit in enumerate(units)
    )


def hutchinson_trace(f, z, noise):
    """Return f(z) and noise . df/dz noise of every row, whose mean over noise of covariance one is
    the trace: one pullback, for any d.

    Hutchinson (1990); Grathwohl and others, "FFJORD" (2019). The noise, shape (n, d), is the same
    for a whole solve.
    """
    z, noise = arrays("hutchinson_trace", z=(z, ("n", "d")), noise=(noise, ("n", "d")))
    z, value, pullback = _vjp_of_rows("hutchinson_trace", f, z)
    return value, np.sum(pullback(noise)[0] * noise, axis=1)


def _vjp_of_rows(name, f, z):
    """Return z as an array, and what `vjp` does of f, a function of rows to rows."""
    (z,) = arrays(name, z=(z, ("n", "d")))
    value, pullback = vjp(f, z)
    if np.shape(value) != z.shape:
        raise ValueError(
            f"{name}: f returned the shape {np.shape(value)} for z of shape "
            f"{z.shape}; they must agree: only a square Jacobian has a trace"
        )
    return z, value, pullback


def continuous_flow(d, hidden, trace=exact_trace, **options):
    """Continuous normalizing flow: data at t = 1, a normal distribution at t = 0, between them
    dz/dt = mlp([z, t]).

    Parameters
    ----------
    d, hidden : int
    trace : function
        `exact_trace` or `hutchinson_trace`.
    **options
        Of `odeint`.

    Returns
    -------
    init : function
        ``init(rng)`` makes the parameters.
    log_prob : function
        ``log_prob(parameters, x, noise=None)``, x of shape (n, d), has shape (n,).
    move : function
        ``move(parameters, z, t0, t1)`` carries points along the flow: from the normal distribution
        to the data from 0 to 1, and back.

    Raises
    ------
    ValueError
        If d or ``hidden`` is not a positive whole number; by ``log_prob`` and ``move``, if the
        points or the parameters are not of this model.
    TypeError
        If ``trace`` is not a function, or an option not one of `odeint`.
    """
    check_counts("continuous_flow", d=d, hidden=hidden)
    check_options("continuous_flow", options)
    if not callable(trace):
        raise TypeError(
            f"continuous_flow: trace={trace!r} must be a function, exact_trace or hutchinson_trace"
        )
    init_network, network = nn.mlp(d + 1, hidden, hidden, d)

    def init(rng):
        nn.check_generator("continuous_flow", rng)
        return init_network(rng)

    def f(t, z, parameters):
        return network(parameters, np.concatenate([z, t * np.ones((len(z), 1), z.dtype)], axis=1))

    def f_and_trace(t, state, parameters, noise):
        value, rate = trace(lambda z: f(t, z, parameters), state[0], noise)
        return value, -rate

    def log_prob(parameters, x, noise=None):
        nn.check_layers("continuous_flow", parameters)
        (x,) = arrays("continuous_flow", x=(x, ("n", d)))
        z, change = neural_ode(
            f_and_trace, (x, np.zeros(len(x), x.dtype)), 1.0, 0.0, parameters, noise, **options
        )
        return log_normal(z) - change

    def move(parameters, z, t0, t1):
        nn.check_layers("continuous_flow", parameters)
        (z,) = arrays("continuous_flow", z=(z, ("n", d)))
        return neural_ode(f, z, t0, t1, parameters, **options)

    return init, log_prob, move
