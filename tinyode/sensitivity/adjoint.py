"""Algorithm 2 of the sources: the gradient of an ODE solution by one more ODE, solved backwards (ids from ``tutorials/SOURCES.md``).

    dz/dt = f(z, t, theta),  z(t0) given,  L = L(z(t1))                                                     (G11, G12)

    dL/dt1 = dL/dz(t1)^T f(z(t1), t1, theta)                                                                (P6)
    s0 = [z(t1), dL/dz(t1), 0, -dL/dt1]
    def aug_dynamics([z, a, ., .], t, theta):
        return [f(z, t, theta), -a^T df/dz, -a^T df/dtheta, -a^T df/dt]                                     (P4, P5, P7)
    [z(t0), dL/dz(t0), dL/dtheta, dL/dt0] = ODESolve(s0, aug_dynamics, t1, t0, theta)

Five things are done differently from the letter of it, none of which changes what is computed, within the tolerances:

* Losses at many times t0 < t1 < ... < tN: the backward solve stops at each and adds dL/dz(ti) to a. z restarts there from its stored
  value, so its error does not build up from one interval to the next.
* One vector-Jacobian product, seeded with -a, gives all products with their signs.
* a_t is not integrated. Along a solution dL/dt0 = -a(t0)^T f(z(t0), t0), as moving the start by d is starting from z(t0) - d f at t0;
  the same argument gives P6 at the end. Only the readout moves with a time between: dL/dti = dL/dz(ti)^T f(z(ti), ti).
* a_theta feeds back into nothing. It is left out of the stages' states, and measured as a whole in the error norm.
* The adjoint equation is linear in dL/dz, so that is scaled to size one first, and the gradients scaled back: an absolute tolerance
  has no meaning for a quantity that is a million times smaller if the loss is a mean instead of a sum.

The memory is that of one augmented state, whatever the number of steps: the solution is not stored but solved again, backwards.
"""

import math

import numpy as np

from .. import tree
from ..autodiff.custom import with_rule
from ..autodiff.dispatch import plain, unbox
from ..autodiff.transforms import vjp_of_list
from ..solvers.dense import observe
from ..solvers.options import SolverError, Stats
from ..solvers.solve import steps
from ..solvers.state import check_state, check_times, flat_field, flat_jacobian
from ..solvers.tableaus import find


def odesolve(f, z0, t, theta, options, adjoint_options, coupled=None):
    """ODESolve on lists of arrays, with Algorithm 2 for its derivative of any order.

    Parameters
    ----------
    f : function
        ``f(t, z, theta)`` returns dz/dt, a list like z.
    z0 : list of k arrays
    t : array, shape (T,)
    theta : list
        Arrays, and whatever else f takes.
    options, adjoint_options : Options
        Of the solve, and of the backward solve.
    coupled : int, optional
        f depends on the first so many arrays of z alone, and is called with these.

    Returns
    -------
    array, shape (T, n)
        The solution at the times of t, all arrays of z flat and end to end.
    """
    k, cut = len(z0), tree.cutter(z0)

    def forward(t, *leaves):
        theta, times = leaves[k:], check_times(t)
        leaves, structure = check_state(list(leaves[:k]))
        y = np.concatenate([leaf.reshape(-1) for leaf in leaves])
        stats, tableau = Stats(), find(options.method)
        head, structure_of_head = tree.flatten(leaves[:coupled])
        jacobian = flat_jacobian(lambda t, z, theta: f(t, z, theta)[:coupled], head, structure_of_head, (theta,))
        if coupled is None:
            flat = flat_field(f, leaves, structure, (theta,))
        else:
            cut_head = tree.cutter(head)

            def flat(t, y, k):  # of our own augmented dynamics, which need no check
                np.concatenate([d.reshape(-1) for d in f(t, cut_head(y), theta)], out=k)

        walk = steps(flat, y, times, options, stats, sum([leaf.size for leaf in head]), jacobian)
        return observe(walk, flat, y, times, tableau, stats)

    def backward(g, zs, wanted, t, *leaves):
        theta = leaves[k:]
        learned = [n - 1 - k for n in wanted if n > k]  # which of theta have a gradient
        largest = float(np.max(np.abs(plain(g))))
        if not math.isfinite(largest):
            raise ValueError("odeint: the gradient of the loss with respect to the solution is not finite; look for a division by zero, a "
                             "root or a logarithm of zero between the solution and the loss")
        scale = 2.0 ** math.frexp(largest)[1] if largest else 1.0  # a power of two: dividing by it rounds nothing
        g = g / np.array(scale, g.dtype)

        def aug_dynamics(t, s, theta):
            z, a = s[:k], s[k:2 * k]

            def of_traced(*z_and_theta):
                return f(t, z_and_theta[:k], replaced(theta, learned, z_and_theta[k:]))

            dz, pullback = vjp_of_list(of_traced, [*z, *[theta[n] for n in learned]])
            return [*dz, *pullback([-a_i for a_i in a])]  # f, -a^T df/dz, -a^T df/dtheta

        of_z_and_a = adjoint_options._replace(**{name: doubled(getattr(adjoint_options, name), zs.shape[1]) for name in ("rtol", "atol")})
        a = cut(g[-1])
        a_theta = [np.zeros(theta[n].shape, theta[n].dtype) for n in learned]
        cut_s = tree.cutter([*a, *a, *a_theta])
        for i in range(len(t) - 1, 0, -1):
            s0 = [*cut(zs[i]), *a, *a_theta]
            s = cut_s(backwards(aug_dynamics, s0, t[i - 1:i + 1][::-1], theta, of_z_and_a, of_z_and_a, 2 * k)[-1])
            a, a_theta = s[k:2 * k], s[2 * k:]
            if i > 1:
                a = [a_j + g_j for a_j, g_j in zip(a, cut(g[i - 1]))]

        def along_f(i, a):
            """Return a^T f(z(ti), ti, theta)."""
            time = t[i].item() if type(t) is np.ndarray else t[i]
            return sum([np.sum(a_j * unbox(f_j)) for a_j, f_j in zip(a, f(time, cut(zs[i]), theta))])

        cotangents = {}
        if 0 in wanted:
            cotangents[0] = np.stack([-along_f(0, a), *[along_f(i, cut(g[i])) for i in range(1, len(t))]])
        cotangents |= {1 + j: a_j + g_j for j, (a_j, g_j) in enumerate(zip(a, cut(g[0])))}
        cotangents |= {1 + k + n: a_n for n, a_n in zip(learned, a_theta)}
        return [cotangents[n] * np.array(scale, cotangents[n].dtype) for n in wanted]

    return with_rule(forward, backward, (t, *z0, *theta))


def doubled(tolerance, n):
    """Return a tolerance for z as one for z and a, of n components each, of which the last may be quadratures without one of their own."""
    if np.ndim(tolerance) == 0:
        return tolerance
    return np.tile(np.append(tolerance, np.full(n - len(tolerance), np.min(tolerance))), 2)


def replaced(items, positions, values):
    """Return the items with those at these positions exchanged for the values."""
    if len(positions) == len(items):
        return values
    items = list(items)
    for n, value in zip(positions, values):
        items[n] = value
    return items


def backwards(*args):
    """`odesolve`, whose errors say that it was the backward solve."""
    try:
        return odesolve(*args)
    except SolverError as error:
        error.args = (f"in the backward solve of the adjoint (it can fail where the forward one does not: a solution that decays grows "
                      f"backwards): {error}",)
        raise
