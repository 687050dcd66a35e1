"""Algorithm 2 of the sources: the gradient of an ODE solution by one more ODE, solved backwards.

    dz/dt = f(z, t, theta),  z(t0) given,  L = L(z(t1))                          (G11, G12)

    dL/dt1 = dL/dz(t1)^T f(z(t1), t1, theta)                                     (P6)
    s0 = [z(t1), dL/dz(t1), 0, -dL/dt1]
    def aug_dynamics([z, a, ., .], t, theta):
        return [f(z, t, theta), -a^T df/dz, -a^T df/dtheta, -a^T df/dt]          (P4, P5, P7)
    [z(t0), dL/dz(t0), dL/dtheta, dL/dt0] = ODESolve(s0, aug_dynamics, t1, t0, theta)

(P6) and its kin are numbers in ``tutorials/SOURCES.md``; the letters are explained at the top of
``sensitivity/__init__.py``. The formulas have f(z, t, theta), as the sources do; the code calls
f(t, z, theta), as `odeint` does. Five things are done otherwise. If f is smooth, none of them
changes what is computed, within the tolerances:

* The loss may depend on z at many times t0, ..., tN. The backward solve stops at each ti and adds
  dL/dz(ti) to a. There z starts again from its stored value, so its error does not build up from
  one interval to the next.
* One vector-Jacobian product, of f with -a, gives -a^T df/dz and -a^T df/dtheta together.
* a_t is not integrated. The solution that starts from z0 at t0 + d is, to first order, the one that
  starts from z0 - d f at t0. So dL/dt0 = -a(t0)^T f(z0, t0, theta), with a before dL/dz(t0) is
  added; the same follows from (P7), since d(a^T f)/dt = a^T df/dt. A later time ti only says where
  z is read: dL/dti = dL/dz(ti)^T f.
* No derivative depends on a_theta. So the stages of a step need its slope and not its value.
  ``coupled`` says so: the derivatives depend on the first 2n components of s, z and a. In the error
  norm a_theta counts as a whole (`step_size.quadrature_norm`).
* The adjoint equation is linear. So dL/dz is scaled to size one before the backward solve, and the
  gradients are scaled back after it: `solved_backwards` does this around `backward`.

The memory does not depend on the number of steps. Between the times z is not stored, but solved for
again, backwards. `drift.WayBack` stops where z is lost, and warns where it does not come back to
what was stored.
"""

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import has_traced
from .drift import Course, WayBack
from .shared import VectorField, all_zero, differentiable, flat, moment, problem, solved_backwards


def odesolve(f, z0, t, theta, settings):
    """ODESolve: return z at the times of t, shape (T, n), differentiated by Algorithm 2.

    Parameters
    ----------
    f : VectorField
        ``f(t, z, theta)`` returns dz/dt.
    z0 : array, shape (n,)
    t : array, shape (T,)
        Increasing or decreasing.
    theta : list
        Arrays, and whatever else f takes, which has no gradient.
    settings : Settings

    Notes
    -----
    The backward solve is an `odesolve`, too. So a second derivative comes from Algorithm 2 applied
    to the backward solve, and so on to any order.
    """
    course = Course(settings.watch, has_traced([t, z0, *theta]))

    def forward(t, z0, theta):
        made = problem(f, z0, t, theta, settings.forward)
        return made.observed(course.follow(made.walk))

    @solved_backwards
    def backward(dL_dz, zs, wanted, t, z0, theta):
        n = len(z0)
        # `wanted` says which gradients are asked for: of t, of z0, of which of theta. The VJP is
        # prepared once, and called with other t, z and theta of the same shapes and dtypes.
        example = moment(t, -1), zs[-1], theta
        vjp = f.vjp(*example, wanted.theta)
        way_back = WayBack(course, zs, t, settings, wanted, vjp, theta)
        of_z_and_a = settings.of_z_and_a(n, way_back.watch)  # with z's tolerances for a, too

        def aug_dynamics(t, s, *theta):
            z, a = s[:n], s[n : 2 * n]
            dz_dt, pullback = vjp(t, z, theta)  # lists of arrays: f's own parts of z
            return flat([*dz_dt, *pullback(-a)])  # f, -a^T df/dz, -a^T df/dtheta (P4, P5)

        aug_dynamics = f.around(aug_dynamics, example, 1, tuple(wanted.theta))  # as fast as f
        a, a_theta = np.zeros(n, zs.dtype), wanted.zeros(theta)
        for i in range(len(t) - 1, 0, -1):
            a = a + dL_dz[i]
            if all_zero([a, *a_theta]):  # L depends on no state from here on
                continue
            parts = [zs[i], a, *a_theta]
            s0, start = flat(parts), a
            augmented = VectorField.of_vectors(aug_dynamics, s0, theta, coupled=2 * n)
            s = odesolve(augmented, s0, t[[i, i - 1]], theta, of_z_and_a)[-1]
            z, a, *a_theta = tree.cutter(parts)(s)  # `cutter` undoes `flat`
            way_back.compare(i - 1, z, start, a, a_theta)
        way_back.conclude(a + dL_dz[0], a_theta)
        dL_dt = times_gradient(f, dL_dz, zs, a, t, theta) if wanted.time else None
        return dL_dt, a + dL_dz[0], a_theta

    return differentiable(forward, backward, f, z0, t, theta)


def times_gradient(f, dL_dz, zs, a, t, theta):
    """Return dL/dt, shape (T,): -a(t0)^T f for t0, and dL/dz(ti)^T f for the others (P6).

    ``a`` is a(t0) without dL/dz(t0), since z(t0) is z0 wherever t0 is.
    """
    # f may return the same array each time, filled anew; by_value copies what must be kept
    f = f.by_value()
    weights = [-a, *[dL_dz[i] for i in range(1, len(t))]]
    return np.stack([np.sum(w * f(moment(t, i), zs[i], theta)) for i, w in enumerate(weights)])
