"""Normalizing flows: densities by change of variables (P-flow, S-flow).

A map x -> z carries the data to a normal distribution N. Then

    log p(x) = log N(z(x)) + log |det dz/dx|

`planar_flow` repeats a layer z + u tanh(w . z + b), whose determinant is 1 + u . psi.
`continuous_flow` has an ODE instead, dz/dt = f(t, z), with any f. Of its determinant only the trace
remains (the instantaneous change of variables):

    d log p(z(t)) / dt = -tr df/dz

Chen, Rubanova, Bettencourt and Duvenaud (2018), section 4 and appendix A.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..autodiff import vjp
from ..checks import check_generator, check_layers
from ..types import Array, ArrayLike, Generator, Tree
from .checks import arrays, check_counts, check_options, check_parameters
from .neural_ode import neural_ode


def log_normal(z: Array) -> Array:
    """Return the logarithm of the standard normal density of each row of z, shape (n, d)."""
    return -0.5 * np.sum(z * z, axis=1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


def planar_flow(
    d: int, layers: int
) -> tuple[Callable[[Generator], list[dict[str, Any]]], Callable[[Tree, ArrayLike], Array]]:
    """Planar flow, from data to the normal distribution.

    Rezende and Mohamed, "Variational inference with normalizing flows" (2015). A layer is
    invertible where u . w >= -1. So u is moved along w until u . w = softplus(u . w) - 1 (their
    appendix A.1).

    Returns
    -------
    init, log_prob : functions
        ``init(rng)`` makes the parameters. ``log_prob(parameters, x)``, x of shape (n, d), has
        shape (n,).

    Raises
    ------
    ValueError
        If d or ``layers`` is not a positive whole number; by ``log_prob``, if x or the parameters
        are not of this model.
    """
    check_counts("planar_flow", d=d, layers=layers)

    def init(rng):
        check_generator("planar_flow", rng)
        return [
            {"u": 0.1 * rng.normal(size=d), "w": rng.normal(size=d), "b": rng.normal()}
            for _ in range(layers)
        ]

    def log_prob(parameters, x):
        (x,) = arrays("planar_flow", x=(x, ("n", d)))
        _check_planar(parameters, d)
        log_det = 0.0
        for layer in parameters:
            u, w = layer["u"], layer["w"]
            along, moved = u @ w, nn.softplus(u @ w)
            u = u + (moved - 1 - along) * w / (w @ w)
            h = np.tanh(x @ w + layer["b"])
            x = x + u * h[:, None]
            log_det = log_det + np.log(h * h + (1 - h * h) * moved)  # 1 + (1 - h^2) (moved - 1)
        return log_normal(x) + log_det

    return init, log_prob


def _check_planar(parameters, d):
    """Refuse parameters that are not those of a planar flow of this width."""
    if not isinstance(parameters, (list, tuple)) or not parameters:
        raise ValueError(
            f"planar_flow: parameters={parameters!r:.60} must be a list with a dict "
            "for each layer; use those of its init"
        )
    for layer in parameters:
        check_parameters("planar_flow", layer, {"u", "w", "b"})
        u, w, b = layer["u"], layer["w"], layer["b"]
        arrays("planar_flow: parameters", u=(u, (d,)), w=(w, (d,)), b=(b, ()))


def exact_trace(f: Callable[[Any], Any], z: ArrayLike, _: object = None) -> tuple[Array, Array]:
    """Return f(z) and tr df/dz of every row, by d pullbacks.

    f treats the rows of z, shape (n, d), each by itself.
    """
    z, value, pullback = _vjp_of_rows("exact_trace", f, z)
    units = np.eye(z.shape[1], dtype=z.dtype)
    ones = np.ones((len(z), 1), z.dtype)
    return value, sum(pullback(ones * unit)[0][:, i] for i, unit in enumerate(units))


def hutchinson_trace(
    f: Callable[[Any], Any], z: ArrayLike, noise: ArrayLike
) -> tuple[Array, Array]:
    """Return f(z) and noise . df/dz noise of every row: one pullback, for any d.

    The mean over noise of covariance one is the trace. The noise, shape (n, d), is the same for a
    whole solve. Hutchinson (1990); Grathwohl and others, "FFJORD" (2019).
    """
    z, noise = arrays("hutchinson_trace", z=(z, ("n", "d")), noise=(noise, ("n", "d")))
    _, value, pullback = _vjp_of_rows("hutchinson_trace", f, z)
    return value, np.sum(pullback(noise)[0] * noise, axis=1)


def _vjp_of_rows(name, f, z):
    """Return z as an array, and what `vjp` returns for f, a function of rows to rows."""
    (z,) = arrays(name, z=(z, ("n", "d")))
    value, pullback = vjp(f, z)
    if np.shape(value) != z.shape:
        raise ValueError(
            f"{name}: f returned the shape {np.shape(value)} for z of shape "
            f"{z.shape}; they must agree: only a square Jacobian has a trace"
        )
    return z, value, pullback


def continuous_flow(
    d: int, hidden: int, trace: Callable[..., tuple[Any, Any]] = exact_trace, **options: Any
) -> tuple[
    Callable[[Generator], list[nn.Layer]],
    Callable[..., Array],
    Callable[[Tree, ArrayLike, float, float], Array],
]:
    """Continuous normalizing flow: dz/dt = mlp([z, t]).

    The data stand at t = 1, the normal distribution at t = 0.

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
        to the data with 0, 1, and back with 1, 0.

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
        check_generator("continuous_flow", rng)
        return init_network(rng)

    def f(t, z, parameters):
        return network(parameters, np.concatenate([z, t * np.ones((len(z), 1), z.dtype)], axis=1))

    def f_and_trace(t, state, parameters, noise):
        value, rate = trace(lambda z: f(t, z, parameters), state[0], noise)
        return value, -rate

    def log_prob(parameters, x, noise=None):
        check_layers("continuous_flow", parameters)
        (x,) = arrays("continuous_flow", x=(x, ("n", d)))
        start = (x, np.zeros(len(x), x.dtype))
        z, change = neural_ode(f_and_trace, start, 1.0, 0.0, parameters, noise, **options)
        return log_normal(z) - change

    def move(parameters, z, t0, t1):
        check_layers("continuous_flow", parameters)
        (z,) = arrays("continuous_flow", z=(z, ("n", d)))
        return neural_ode(f, z, t0, t1, parameters, **options)

    return init, log_prob, move
