"""The latent ODE (P-latent, P-time, S-irregular).

A series of observations begins in a hidden state z0, and an ODE carries it on, to any time:

    q(z0 | x) = N(mean, exp(log_variance))     by a recurrent network, which reads the observations
                                               backwards in time
    dz/dt = f(z),  z(t0) = z0 ~ q,             x(t_i) ~ N(decoder(z(t_i)), noise^2)
    ELBO = E_q sum_i log p(x(t_i) | z(t_i)) - KL(q || N(0, 1))

Chen, Rubanova, Bettencourt and Duvenaud (2018), section 5. `rnn_forecaster` is what they compare it
with: a recurrent network that is given the time differences.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .. import nn
from ..checks import check_generator
from ..sensitivity import odeint
from ..types import Array, ArrayLike, Generator, Tree
from .checks import arrays, check_counts, check_options, check_parameters

Init: TypeAlias = Callable[[Generator], dict[str, Any]]
Cell: TypeAlias = Callable[[int, int], tuple[Callable[[Generator], Any], nn.Step]]
Encode: TypeAlias = Callable[[Tree, ArrayLike, ArrayLike, ArrayLike], tuple[Array, Array]]
Decode: TypeAlias = Callable[[Tree, ArrayLike, ArrayLike], Array]
Elbo: TypeAlias = Callable[[Tree, ArrayLike, ArrayLike, ArrayLike, ArrayLike], np.floating[Any]]


def latent_ode(
    d: int,
    latent: int = 4,
    hidden: int = 20,
    recognition: int = 25,
    noise: float = 0.3,
    cell: Cell = nn.rnn_cell,
    **options: Any,
) -> tuple[Init, Encode, Decode, Elbo]:
    """Latent ODE for series of d numbers.

    Parameters
    ----------
    d, latent, hidden, recognition : int
        Widths: of an observation, of z, of the hidden layers of f and decoder, of the recognition
        network.
    noise : float
        The standard deviation of the observations.
    cell : function
        The recognition network's, `nn.rnn_cell` (as in the authors' example) or `nn.gru_cell`.
    **options
        Of `odeint`.

    Returns
    -------
    init : function
        ``init(rng)`` makes the parameters.
    encode : function
        ``encode(parameters, t, x, which)`` returns mean and log variance of z0, each of shape (n,
        latent). The observations x, shape (n, k, d), were made at the times t[which]; ``which``,
        shape (n, k), increases in each row; t reaches from the beginning of the series to its end.
    decode : function
        ``decode(parameters, z0, t)`` returns the series at the times t, shape (T, n, d).
    elbo : function
        ``elbo(parameters, t, x, which, normal)`` returns the mean of the ELBO over the series. It
        draws z0 by means of normal, standard normal numbers of shape (n, latent).

    Raises
    ------
    ValueError
        If a width is not a positive whole number, or noise not positive; by what is returned, if
        the series or the parameters are not of this model.
    TypeError
        If ``cell`` is not a function, or an option not one of `odeint`.
    """
    check_counts("latent_ode", d=d, latent=latent, hidden=hidden, recognition=recognition)
    check_options("latent_ode", options)
    _check_cell("latent_ode", cell)
    _check_noise(noise)
    init_f, f = nn.mlp(latent, hidden, hidden, latent, activation=nn.elu)
    init_cell, step = cell(d + 1, recognition)
    init_read, read = nn.linear(recognition, 2 * latent)
    init_decoder, decoder = nn.mlp(latent, hidden, d, activation=nn.relu)

    def init(rng):
        check_generator("latent_ode", rng)
        parts = {"f": init_f, "cell": init_cell, "read": init_read, "decoder": init_decoder}
        return {name: init_part(rng) for name, init_part in parts.items()}

    def check(parameters):
        check_parameters("latent_ode", parameters, {"f", "cell", "read", "decoder"})

    def encode(parameters, t, x, which):
        check(parameters)
        seen = _with_gaps(t, x, which, d)
        h = np.zeros((len(seen), recognition), seen.dtype)
        for k in reversed(range(seen.shape[1])):
            h = step(parameters["cell"], h, seen[:, k])
        both = read(parameters["read"], h)
        return both[:, :latent], both[:, latent:]

    def decode(parameters, z0, t):
        check(parameters)
        (z0,) = arrays("latent_ode: decode", z0=(z0, ("n", latent)))
        z = odeint(lambda t, z, theta: f(theta, z), z0, t, parameters["f"], **options)
        return decoder(parameters["decoder"], z)

    def elbo(parameters, t, x, which, normal):
        mean, log_variance = encode(parameters, t, x, which)
        x, which = arrays("latent_ode: elbo", x=(x, ("n", "k", d)), which=(which, ("n", "k")))
        (normal,) = arrays("latent_ode: elbo", normal=(normal, mean.shape))  # each has its own draw
        z0 = mean + np.exp(0.5 * log_variance) * normal
        found = decode(parameters, z0, t)[which.T, np.arange(len(x))]  # shape (k, n, d)
        return np.mean(_log_likelihood(x, found, noise) - _kl(mean, log_variance))

    return init, encode, decode, elbo


def _with_gaps(t, x, which, d):
    """Return the observations, each with the time since the one before it, in mean gaps."""
    t, x, which = arrays(
        "latent_ode: encode", t=(t, ("T",)), x=(x, ("n", "k", d)), which=(which, ("n", "k"))
    )
    _check_which(which, len(t))
    times = t[which]
    rate = times.shape[1] / (t[-1] - t[0])  # observations in a unit of time
    gaps = np.diff(times, axis=1, prepend=t[0]) * rate
    x = x if x.dtype.kind == "f" else x.astype(float)
    return np.concatenate([x, gaps[..., None].astype(x.dtype)], axis=-1)


def _log_likelihood(x, found, noise):
    """Return log p(x | z) of each series: x of shape (n, k, d), their means ``found`` (k, n, d)."""
    misfit = 0.5 * np.sum(((x.swapaxes(0, 1) - found) / noise) ** 2, axis=(0, 2))
    return -misfit - x[0].size * math.log(noise * math.sqrt(2 * math.pi))


def _kl(mean, log_variance):
    """Return KL(N(mean, exp(log_variance)) || N(0, 1)) of each series."""
    return 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)


def rnn_forecaster(
    d: int, hidden: int = 25, cell: Cell = nn.rnn_cell
) -> tuple[Init, Callable[[Tree, ArrayLike, ArrayLike], Array]]:
    """Recurrent network that predicts each observation from those before it.

    It is given the present observation and the time until the next one.

    Returns
    -------
    init : function
        ``init(rng)`` makes the parameters.
    predict : function
        ``predict(parameters, x, gaps)``, with observations x, shape (n, k, d), returns the
        predictions of the 2nd to the last, and of m more, each made from the prediction before it;
        shape (n, k - 1 + m, d). ``gaps``, shape (n, k - 1 + m), are the times from each to the
        next.

    Raises
    ------
    ValueError
        If a width is not a positive whole number; by ``predict``, if the series or the parameters
        are not of this model.
    TypeError
        If ``cell`` is not a function.
    """
    check_counts("rnn_forecaster", d=d, hidden=hidden)
    _check_cell("rnn_forecaster", cell)
    init_cell, step = cell(d + 1, hidden)
    init_read, read = nn.linear(hidden, d)

    def init(rng):
        check_generator("rnn_forecaster", rng)
        return {"cell": init_cell(rng), "read": init_read(rng)}

    def predict(parameters, x, gaps):
        check_parameters("rnn_forecaster", parameters, {"cell", "read"})
        x, gaps = arrays("rnn_forecaster", x=(x, ("n", "k", d)), gaps=(gaps, ("n", "gaps")))
        _check_gaps(x, gaps)
        n, k, _ = x.shape
        h = np.zeros((n, hidden), x.dtype)
        found: list[Any] = []
        for i in range(gaps.shape[1]):
            given = x[:, i] if i < k else found[-1]
            h = step(parameters["cell"], h, np.concatenate([given, gaps[:, i, None]], axis=1))
            found.append(given + read(parameters["read"], h))
        return np.stack(found, axis=1)

    return init, predict


def _check_cell(name, cell):
    if not callable(cell):
        raise TypeError(f"{name}: cell={cell!r} must be a function like nn.rnn_cell, nn.gru_cell")


def _check_noise(noise):
    if not isinstance(noise, (int, float, np.number)) or not 0 < noise < math.inf:
        raise ValueError(
            f"latent_ode: noise={noise!r} is a standard deviation, and must be a "
            "positive number, neither traced nor learned"
        )


def _check_gaps(x, gaps):
    """Refuse series without observations, and fewer gaps than lie between the observations."""
    k = x.shape[1]
    if not k:
        raise ValueError("rnn_forecaster: x has no observations; it needs one or more")
    if gaps.shape[1] < max(k - 1, 1):
        raise ValueError(
            f"rnn_forecaster: gaps of shape {gaps.shape} for {k} observations; there are"
            f" {k - 1} between them, and one more for each further prediction"
        )


def _check_which(which, n):
    """Refuse what are no increasing positions in t; NumPy would count negative ones from the end.

    Their values can be looked at only where they are not traced.
    """
    if n < 2 or not which.size or which.dtype.kind not in "iu":
        raise ValueError(
            f"latent_ode: encode: which has the dtype {which.dtype} and the shape "
            f"{which.shape}, t has the length {n}; which has positions in t, whole "
            "numbers, one or more for each series, and t has two times or more"
        )
    if type(which) is not np.ndarray:
        return
    if which.min() < 0 or which.max() >= n or np.any(np.diff(which) < 1):
        raise ValueError(
            "latent_ode: encode: which must increase in each row, from 0 or later to "
            f"{n - 1} or earlier, the last of t; got {which!r:.60}"
        )
