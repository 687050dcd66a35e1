"""Forward sensitivity: the derivatives of z by all that is wanted, solved for together with z.

    dS/dt = df/dz S + df/dtheta,      S = dz/dtheta,      S(t0) = 0
    for z0:  S(t0) = I;      for t0:  S(t0) = -f(z0, t0, theta)

The gradient of any loss is then a sum of products at the times, dL/dtheta = sum_i S(t_i)^T
dL/dz(t_i). S has a column for each number that is differentiated with respect to, so this way is
for few. Each evaluation takes one vector-Jacobian product for each component of z. (Hairer, Norsett
and Wanner I, section I.14, where S is the derivative with respect to initial values and
parameters.)
"""

import warnings

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import is_traced, plain
from .drift import STEPS, at_time, drift, largest
from .settings import spread
from .shared import VectorField, differentiable, flat, moment, solution


def odesolve(f, z0, t, theta, settings):
    """Return z at the times of t, shape (T, n), with forward sensitivities for its derivative.

    The arguments are those of `adjoint.odesolve`.
    """

    def forward(t, z0, theta):
        return solution(f, z0, t, theta, settings.forward)

    def backward(dL_dz, zs, wanted, t, z0, theta):
        # by value, since for a derivative of the gradient all pullbacks come after the last call
        f_at, n = f.by_value(), len(z0)
        rates = [f_at(moment(t, i), zs[i], theta) for i in range(len(t) if wanted.time else 0)]
        parameters = [theta[k] for k in wanted.theta]
        # the columns of S are those of z0, of t0, and of each theta
        of_z0 = np.eye(n, dtype=zs.dtype)[:, : n * wanted.state]
        of_t0 = [-np.reshape(rate, (n, 1)).astype(zs.dtype) for rate in rates[:1]]
        of_theta = [np.zeros((n, x.size), zs.dtype) for x in parameters]
        S_start = np.concatenate([of_z0, *of_t0, *of_theta], axis=1)
        S = sensitivities(f, zs, S_start, wanted, t, z0, theta, settings)
        dL_dt, time = None, n * wanted.state
        if wanted.time:  # z(t0) is given, whatever t0
            others = [np.sum(dL_dz[i] * rates[i]) for i in range(1, len(t))]
            dL_dt = np.stack([np.sum(dL_dz[1:] * S[1:, :, time]), *others])
        of_columns = np.sum(dL_dz[:, :, None] * S, axis=(0, 1))
        dL_dtheta = tree.cutter(parameters)(of_columns[time + wanted.time :])
        return dL_dt, of_columns[:n], dL_dtheta

    return differentiable(forward, backward, f, z0, t, theta)


def sensitivities(f, zs, S_start, wanted, t, z0, theta, settings):
    """Return S at the times, shape (T, *S_start.shape); z is solved for again, together with S."""
    n, columns = S_start.shape
    vjp = f.vjp(moment(t, 0), zs[0], theta, wanted.theta)
    units = np.eye(n, dtype=zs.dtype)
    # df/dtheta is zero in the columns of z0 and t0
    zeros = np.zeros(n * wanted.state + wanted.time, zs.dtype)

    def dynamics(t, s, *theta):
        """Return dz/dt and dS/dt; the rows of df/dz and df/dtheta are pullbacks of unit vectors."""
        z, S = s[:n], np.reshape(s[n:], (n, columns))
        dz_dt, pullback = vjp(t, z, theta)
        rows = [f.joined(pullback(unit)) for unit in units]
        df_dz = np.stack([row[0] for row in rows])
        df_dtheta = np.stack([flat([zeros, *row[1:]]) for row in rows])
        return flat([*dz_dt, df_dz @ S + df_dtheta])

    def of_z_and_S(tolerance):
        """Return a tolerance for z as one for z and S, each row of S with that of its component."""
        if np.ndim(tolerance) == 0:
            return tolerance
        return np.concatenate([tolerance, np.repeat(tolerance, columns)])

    s0 = flat([z0, S_start])
    both = settings._replace(forward=spread(settings.forward, of_z_and_S))
    s = odesolve(VectorField.of_vectors(dynamics, s0, theta), s0, t, theta, both)
    if not is_traced(s):
        warn_if_another_solution(s[:, :n], plain(zs), t, settings.forward)
    return np.reshape(s[:, n:], (len(t), *S_start.shape))


def warn_if_another_solution(z, zs, t, options):
    """Warn where z, solved for again, is not what it was; both at all times, shape (T, n)."""
    i = int(np.argmax(largest((z - zs).T)))
    found = drift(z[i], zs[i], largest(zs), at_time(t, i), STEPS, options)
    if found:
        warnings.warn(
            f"odeint: solved again with its sensitivities, {found}, so the gradient may be wrong;"
            " the solve may have stepped over a pulse in f: give max_step",
            RuntimeWarning,
            stacklevel=2,
        )
