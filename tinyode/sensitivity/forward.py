"""Forward sensitivity: the derivatives of z with respect to all that is wanted, solved for together
with z.

    dS/dt = df/dz S + df/dtheta,      S = dz/dtheta,      S(t0) = 0
    for z0:  S(t0) = I;      for t0:  S(t0) = -f(z0, t0, theta)

The gradient of any loss is then a sum of products at the times, dL/dtheta = sum_i S(t_i)^T
dL/dz(t_i). It costs a column of S for each number that is differentiated with respect to, so it is
for few; each evaluation takes one vector-Jacobian product for each component of z. (Hairer, Norsett
and Wanner I, section I.14, where S is the derivative with respect to initial values and
parameters.)
"""

import warnings

import numpy as np

from .. import tree
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import is_traced, plain, unbox
from .adjoint import drift, vjp_of_field
from .problem import by_value, check_cotangent, flat, moment, problem, warn_unless_repeatable


def odesolve(f, z0, t, theta, options, _=None):
    """ODESolve on lists of arrays, with forward sensitivities for its derivative; see
    `adjoint.odesolve`.
    """
    k, cut = len(z0), tree.cutter(z0)

    def forward(t, *leaves):
        forwards = problem(f, leaves[:k], t, leaves[k:], options)
        return forwards.observed(forwards.walk)

    def backward(g, zs, wanted, t, *leaves):
        check_cotangent(g)
        theta, learned, n = leaves[k:], [m - 1 - k for m in wanted if m > k], zs.shape[1]
        sizes = [theta[m].size for m in learned]
        warn_unless_repeatable(f, moment(t, 0), cut(zs[0]), theta)
        kept_f = by_value(f)  # for a derivative of the gradient all its calls are there first

        def slope(i):
            return flat([unbox(part) for part in kept_f(moment(t, i), cut(zs[i]), theta)])

        units, along = np.eye(n, dtype=zs.dtype), slope(0).astype(zs.dtype)
        of_z0, of_t0 = n * any(1 <= m <= k for m in wanted), int(0 in wanted)  # how many columns
        ends = np.cumsum([of_z0, of_t0, *sizes])
        start = np.concatenate(
            [units[:, :of_z0], -along[:, None][:, :of_t0], np.zeros((n, sum(sizes)), zs.dtype)],
            axis=1,
        )

        vjp = vjp_of_field(f, k, learned)

        def dynamics(time, s, theta):
            """Return dz/dt and dS/dt; the rows of df/dz and df/dtheta are pullbacks of unit
            vectors.
            """
            z, S = s[:k], s[k]
            dz, pullback = vjp(time, z, theta)
            rows = [pullback(cut(unit)) for unit in units]
            df_dz, df_dtheta = (
                np.stack([flat(row[:k]) for row in rows]),
                [
                    np.stack([np.reshape(row[k + m], (-1,)) for row in rows])
                    for m in range(len(learned))
                ],
            )
            return [
                *dz,
                df_dz @ S
                + np.concatenate([np.zeros((n, of_z0 + of_t0), zs.dtype), *df_dtheta], axis=1),
            ]

        tolerances = {name: spread(getattr(options, name), ends[-1]) for name in ("rtol", "atol")}
        s = odesolve(dynamics, [*leaves[:k], start], t, theta, options._replace(**tolerances))
        if not is_traced(s):
            z, known = s[:, :n], plain(zs)
            farthest = int(np.argmax(np.max(np.abs(z - known), axis=1)))
            found = drift(
                z[farthest], known, farthest, f"at t = {float(plain(t)[farthest])!r}", options
            )
            if found:
                warnings.warn(
                    f"odeint: solved again with its sensitivities, {found}, so the gradient may be"
                    " wrong; the solve may have stepped over a pulse in f: give max_step",
                    RuntimeWarning,
                    stacklevel=2,
                )
        S = np.reshape(s[:, n:], (len(t), n, ends[-1]))
        of_all = np.sum(g[:, :, None] * S, axis=(0, 1))
        cotangents = {}
        if 0 in wanted:  # z(t0) is given, whatever t0
            along_f = [np.sum(g[i] * slope(i)) for i in range(1, len(t))]
            cotangents[0] = np.stack([np.sum(g[1:] * S[1:, :, of_z0]), *along_f])
        if of_z0:
            cotangents |= {1 + j: c for j, c in enumerate(cut(of_all[:n]))}
        cotangents |= {
            1 + k + m: np.reshape(of_all[start:end], theta[m].shape).astype(theta[m].dtype)
            for m, start, end in zip(learned, ends[1:], ends[2:])
        }
        return [cotangents[m] for m in wanted]

    return with_rule(forward, backward, (t, *z0, *theta))


def spread(tolerance, columns):
    """Return a tolerance for z as one for z and S, each row of S with that of its component."""
    return (
        tolerance
        if np.ndim(tolerance) == 0
        else np.concatenate([tolerance, np.repeat(tolerance, columns)])
    )
