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
from ..autodiff.numpy_calls import has_traced, is_traced, plain
from .drift import allowed, drift, largest, outside, sentence
from .settings import spread
from .shared import VectorField, differentiable, flat, moment, solution


def odesolve(f, z0, t, theta, settings):
    """Return z at the times of t, shape (T, n), with forward sensitivities for its derivative.

    The arguments are those of `adjoint.odesolve`.
    """

    def forward(t, z0, theta):
        return solution(f, z0, t, theta, settings.forward)

    kept = {}

    def rates_and_S(zs, wanted, t, z0, theta):
        """Return f at the times, if that is wanted, and S.

        Neither depends on dL/dz. So for plain numbers they are kept: all rows of a Jacobian come
        from one solve.
        """
        key, traced = str(wanted), has_traced([zs, t, z0, *theta])
        if key in kept and not traced:
            return kept[key]
        # by value, since for a derivative of the gradient all pullbacks come after the last call
        f_at, times = f.by_value(), range(len(t) if wanted.time else 0)
        rates = [f_at(moment(t, i), zs[i], theta) for i in times]
        found = rates, sensitivities(f, rates, zs, wanted, t, z0, theta, settings)
        if not traced:
            kept[key] = found
        return found

    def backward(dL_dz, zs, wanted, t, z0, theta):
        n, dL_dt = len(z0), None
        rates, S = rates_and_S(zs, wanted, t, z0, theta)
        of_columns = np.sum(dL_dz[:, :, None] * S, axis=(0, 1))
        of_z0, of_t0, of_theta = np.split(of_columns, np.cumsum([n * wanted.state, wanted.time]))
        if wanted.time:  # z(t0) is given, whatever t0
            of_t0 = of_t0[0] - np.sum(dL_dz[0] * S[0, :, n * wanted.state])
            dL_dt = np.stack([of_t0, *[np.sum(dL_dz[i] * rates[i]) for i in range(1, len(t))]])
        return dL_dt, of_z0, tree.cutter([theta[k] for k in wanted.theta])(of_theta)

    return differentiable(forward, backward, f, z0, t, theta)


def sensitivities(f, rates, zs, wanted, t, z0, theta, settings):
    """Return S at the times, a column for each number in z0, t0 and theta that is wanted.

    z is solved for again, together with S. ``rates`` are those of z, if t is wanted.
    """
    n, dtype = len(z0), zs.dtype
    numbers = sum(theta[k].size for k in wanted.theta)
    of_z0 = np.eye(n, dtype=dtype)[:, : n * wanted.state]
    of_t0 = [-np.reshape(rate, (n, 1)).astype(dtype) for rate in rates[:1]]
    S_start = np.concatenate([of_z0, *of_t0, np.zeros((n, numbers), dtype)], axis=1)
    columns = S_start.shape[1]
    example = moment(t, 0), zs[0], theta
    vjp, units = f.vjp(*example, wanted.theta), np.eye(n, dtype=dtype)
    # the derivative of theta by all that has a column
    dtheta = np.eye(numbers, columns, columns - numbers, dtype=dtype)

    def dynamics(t, s, *theta):
        """Return dz/dt and dS/dt; the rows of df/dz and df/dtheta are pullbacks of unit vectors."""
        z, S = s[:n], s[n:].reshape(n, columns)
        dz_dt, pullback = vjp(t, z, theta)
        df = flat([part for unit in units for part in pullback(unit)]).reshape(n, -1)
        return flat([*dz_dt, df @ np.concatenate([S, dtheta])])

    def of_z_and_S(tolerance):
        """Return a tolerance for z as one for z and S, each row of S with that of its component."""
        if np.ndim(tolerance) == 0:
            return tolerance
        return np.concatenate([tolerance, np.repeat(tolerance, columns)])

    key = wanted.time, wanted.state, tuple(wanted.theta)
    dynamics = f.around(dynamics, example, n, *key)  # as fast as f
    s0 = flat([z0, S_start])
    both = settings._replace(forward=spread(settings.forward, of_z_and_S))
    s = odesolve(VectorField.of_vectors(dynamics, s0, theta), s0, t, theta, both)
    if not is_traced(s):
        warn_if_another_solution(s[:, :n], plain(zs), t, settings.forward)
    return np.reshape(s[:, n:], (len(t), *S_start.shape))


def warn_if_another_solution(z, zs, t, options):
    """Warn where z, solved for again, is not what it was; both at all times, shape (T, n)."""
    i = int(np.argmax(largest((z - zs).T)))
    bound = allowed(largest(zs), options, options)
    if drift(z[i], zs[i], bound):
        found = sentence(z[i], zs[i], bound, f"at t = {plain(t)[i].item()!r}")
        warnings.warn(
            f"odeint: solved again with its sensitivities, {found}, so the gradient may be wrong;"
            " the solve may have stepped over a pulse in f: give max_step",
            RuntimeWarning,
            stacklevel=outside(),
        )
