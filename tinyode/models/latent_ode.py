"""The latent ODE: a series begins in a hidden state that an ODE carries on, to any time (P-latent,
P-time, S-irregular).

    q(z0 | x) = N(mean, exp(log_variance))     by a recurrent network, which reads the observations
                                               backwards in time
    dz/dt = f(z),  z(t0) = z0 ~ q,             x(t_i) ~ N(decoder(z(t_i)), noise^2)
    ELBO = E_q sum_i log p(x(t_i) | z(t_i)) - KL(q || N(0, 1))

Chen, Rubanova, Bettencourt and Duvenaud (2018), section 5. `rnn_forecaster` is what it is held
against: a recurrent network that is given the time differences.
"""

import math

import numpy as np

from .. import nn
from ..sensitivity import odeint
from .checks import arrays, check_counts, check_options, check_parameters


def latent_ode(d, latent=4, hidden=20, recognition=25, noise=0.3, cell=nn.rnn_cell, **options):
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
        ``encode(parameters, t, x, which)``: mean and log variance of z0, each of shape (n, latent),
        from observations x, shape (n, k, d), at the times t[which], which of shape (n, k),
        increasing; t from the beginning of the series to its end.
    decode : function
        ``decode(parameters, z0, t)``: the series at times t, shape (T, n, d).
    elbo : function
        ``elbo(parameters, t, x, which, normal)``: its mean over the series, with normal, shape (n,
        latent), to draw z0 by.

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
    if not isinstance(noise, (int, float, np.number)) or not 0 < noise < math.inf:
        raise ValueError(
            f"latent_ode: noise={noise!r} is a standard deviation, and must be a "
            "positive number, neither traced nor learned"
        )
    init_f, f = nn.mlp(latent, hidden, hidden, latent, activation=nn.elu)
    init_cell, step = cell(d + 1, recognition)
    (init_read, read), (init_decoder, decoder) = (
        nn.linear(recognition, 2 * latent),
        nn.mlp(latent, hidden, d, activation=nn.relu),
    )

    def init(rng):
        nn.check_generator("latent_ode", rng)
        return {
            "f": init_f(rng),
            "cell": init_cell(rng),
            "read": init_read(rng),
            "decoder": init_decoder(rng),
        }

    def check(parameters):
        check_parameters("latent_ode", parameters, {"f", "cell", "read", "decoder"})

    def encode(parameters, t, x, which):
        check(parameters)
        t, x, which = arrays(
            "latent_ode: encode", t=(t, ("T",)), x=(x, ("n", "k", d)), which=(which, ("n", "k"))
        )
        _check_which(which, len(t))
        x = x if x.dtype.kind == "f" else x.astype(float)  # h and the gaps have the dtype of x
        times = t[which]
        gaps = np.diff(times, axis=1, prepend=t[0]) * (
            times.shape[1] / (t[-1] - t[0])
        )  # back to the one before, in mean gaps
        seen = np.concatenate([x, gaps[..., None].astype(x.dtype)], axis=-1)
        h = np.zeros((len(x), recognition), x.dtype)
        for k in reversed(range(x.shape[1])):
            h = step(parameters["cell"], h, seen[:, k])
        both = read(parameters["read"], h)
        return both[:, :latent], both[:, latent:]

    def decode(parameters, z0, t):
        check(parameters)
        (z0,) = arrays("latent_ode: decode", z0=(z0, ("n", latent)))
        return decoder(
            parameters["decoder"],
            odeint(lambda t, z, theta: f(theta, z), z0, t, parameters["f"], **options),
        )

    def elbo(parameters, t, x, which, normal):
        mean, log_variance = encode(parameters, t, x, which)
        x, which = arrays("latent_ode: elbo", x=(x, ("n", "k", d)), which=(which, ("n", "k")))
        (normal,) = arrays("latent_ode: elbo", normal=(normal, mean.shape))  # each has its own draw
        z0 = mean + np.exp(0.5 * log_variance) * normal
        found = decode(parameters, z0, t)[which.T, np.arange(len(x))]
        misfit = 0.5 * np.sum(((x.swapaxes(0, 1) - found) / noise) ** 2, axis=(0, 2))
        log_likelihood = -misfit - x[0].size * math.log(noise * math.sqrt(2 * math.pi))
        kl = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)
        return np.mean(log_likelihood - kl)

    return init, encode, decode, elbo


def rnn_forecaster(d, hidden=25, cell=nn.rnn_cell):
    """Recurrent network that predicts the next observation from the present one and the time until
    the next.

    Returns
    -------
    init : function
        ``init(rng)`` makes the parameters.
    predict : function
        ``predict(parameters, x, gaps)``: from observations x, shape (n, k, d), and gaps, shape (n,
        k - 1 + m), the times from each to the next, predictions of the 2nd to the last, and of m
        more, each from the prediction before; shape (n, k - 1 + m, d).

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
        nn.check_generator("rnn_forecaster", rng)
        return {"cell": init_cell(rng), "read": init_read(rng)}

    def predict(parameters, x, gaps):
        check_parameters("rnn_forecaster", parameters, {"cell", "read"})
        x, gaps = arrays("rnn_forecaster", x=(x, ("n", "k", d)), gaps=(gaps, ("n", "gaps")))
        if not x.shape[1]:
            raise ValueError("rnn_forecaster: x has no observations; it needs one or more")
        h, found, k = np.zeros((len(x), hidden), x.dtype), [], x.shape[1]
        if gaps.shape[1] < max(k - 1, 1):
            raise ValueError(
                f"rnn_forecaster: gaps of shape {gaps.shape} for {k} observations; there are"
                f" {k - 1} between them, and one more for each further prediction"
            )
        for i in range(gaps.shape[1]):
            given = x[:, i] if i < k else found[-1]
            h = step(parameters["cell"], h, np.concatenate([given, gaps[:, i, None]], axis=1))
            found.append(given + read(parameters["read"], h))
        return np.stack(found, axis=1)

    return init, predict


def _check_cell(name, cell):
    if not callable(cell):
        raise TypeError(f"{name}: cell={cell!r} must be a function like nn.rnn_cell, nn.gru_cell")


def _check_which(which, n):
    """Refuse positions that are none in t, which NumPy may count from its end, and other orders."""
    if n < 2 or not which.size or which.dtype.kind not in "iu":
        raise ValueError(
            f"latent_ode: encode: which has the dtype {which.dtype} and the shape "
            f"{which.shape}, t has the length {n}; which has positions in t, whole "
            "numbers, one or more for each series, and t has two times or more"
        )
    if type(which) is np.ndarray and (
        which.min() < 0 or which.max() >= n or np.any(np.diff(which) < 1)
    ):
        raise ValueError(
            "latent_ode: encode: which must increase in each row, from 0 or later to "
            f"{n - 1} or earlier, the last of t; got {which!r:.60}"
        )
