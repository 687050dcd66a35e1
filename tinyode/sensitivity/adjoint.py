"""Algorithm 2 of the sources: the gradient of an ODE solution by one more ODE, solved backwards.

The ids are those of ``tutorials/SOURCES.md``, the letters those of ``sensitivity/__init__.py``.

    dz/dt = f(z, t, theta),  z(t0) given,  L = L(z(t1))                          (G11, G12)

    dL/dt1 = dL/dz(t1)^T f(z(t1), t1, theta)                                     (P6)
    s0 = [z(t1), dL/dz(t1), 0, -dL/dt1]
    def aug_dynamics([z, a, ., .], t, theta):
        return [f(z, t, theta), -a^T df/dz, -a^T df/dtheta, -a^T df/dt]          (P4, P5, P7)
    [z(t0), dL/dz(t0), dL/dtheta, dL/dt0] = ODESolve(s0, aug_dynamics, t1, t0, theta)

Five things are done differently from the letter of it. Within the tolerances, none of them changes
what is computed:

* The loss may depend on z at many times t0 < t1 < ... < tN. The backward solve stops at each ti and
  adds dL/dz(ti) to a. z starts again from its stored value there, so its error does not build up
  from one interval to the next.
* One vector-Jacobian product, of f with -a, gives all products with their signs.
* a_t is not integrated. To move t0 by d is to start from z0 - d f at t0, so dL/dt0 = -a(t0)^T f(z0,
  t0, theta). The same argument at the end gives P6. A time ti between only moves where z is read:
  dL/dti = dL/dz(ti)^T f(z(ti), ti, theta).
* No derivative depends on a_theta. So the stages of a step do without it: ``coupled`` is the number
  of components of s that they need, z and a. The error norm measures a_theta as a whole.
* The adjoint equation is linear in dL/dz. So dL/dz is scaled to size one before, and the gradients
  are scaled back (`solved_backwards`).

The memory is that of one augmented state, whatever the number of steps: between the times z is not
stored, but solved for again, backwards. Where it does not come back to the z that was stored, a
warning says so (`drift`).
"""

import numpy as np

from .. import tree
from .drift import BACKWARDS, warn_if_drifted
from .shared import VectorField, differentiable, flat, moment, solution, solved_backwards


def odesolve(f, z0, t, theta, settings):
    """ODESolve: return z at the times of t, shape (T, n), differentiated by Algorithm 2.

    Parameters
    ----------
    f : VectorField
        ``f(t, z, theta)`` returns dz/dt.
    z0 : array, shape (n,)
    t : array, shape (T,)
    theta : list
        Arrays, and whatever else f takes.
    settings : Settings

    Notes
    -----
    The backward solve is an `odesolve`, too. So Algorithm 2 is also the derivative of its own
    result, to any order.
    """

    def forward(t, z0, theta):
        return solution(f, z0, t, theta, settings.forward)

    @solved_backwards
    def backward(dL_dz, zs, wanted, t, z0, theta):
        n = len(z0)
        # the arguments are an example of those that vjp will be called with
        vjp = f.vjp(moment(t, -1), zs[-1], theta, wanted.theta)

        def aug_dynamics(t, s, *theta):
            z, a = s[:n], s[n : 2 * n]
            dz_dt, pullback = vjp(t, z, theta)
            return flat([*dz_dt, *pullback(-a)])  # f, -a^T df/dz, -a^T df/dtheta (P4, P5)

        a, a_theta = np.zeros(n, zs.dtype), wanted.zeros(theta)
        for i in range(len(t) - 1, 0, -1):
            parts = [zs[i], a + dL_dz[i], *a_theta]  # as they are at ti
            s0 = flat(parts)
            augmented = VectorField.of_vectors(aug_dynamics, s0, theta, coupled=2 * n)
            s = odesolve(augmented, s0, t[[i, i - 1]], theta, settings.of_z_and_a(n))[-1]
            z, a, *a_theta = tree.cutter(parts)(s)  # as they are at t_(i-1)
            warn_if_drifted(BACKWARDS, z, zs, i - 1, t, settings.forward, settings.backward)
        dL_dt = times_gradient(f, dL_dz, zs, a, t, theta) if wanted.time else None
        return dL_dt, a + dL_dz[0], a_theta

    return differentiable(forward, backward, f, z0, t, theta)


def times_gradient(f, dL_dz, zs, a, t, theta):
    """Return dL/dt, shape (T,): -a(t0)^T f at t0 (P7), dL/dz(ti)^T f at all others (P6)."""
    f = f.by_value()  # for a derivative of the gradient, all pullbacks come after the last call
    weights = [-a, *[dL_dz[i] for i in range(1, len(t))]]
    return np.stack([np.sum(w * f(moment(t, i), zs[i], theta)) for i, w in enumerate(weights)])
