"""Algorithm 2 of the sources: the gradient of an ODE solution by one more ODE, solved backwards
(ids from ``tutorials/SOURCES.md``).

    dz/dt = f(z, t, theta),  z(t0) given,  L = L(z(t1))                          (G11, G12)

    dL/dt1 = dL/dz(t1)^T f(z(t1), t1, theta)                                     (P6)
    s0 = [z(t1), dL/dz(t1), 0, -dL/dt1]
    def aug_dynamics([z, a, ., .], t, theta):
        return [f(z, t, theta), -a^T df/dz, -a^T df/dtheta, -a^T df/dt]          (P4, P5, P7)
    [z(t0), dL/dz(t0), dL/dtheta, dL/dt0] = ODESolve(s0, aug_dynamics, t1, t0, theta)

Five things are done differently from the letter of it, none of which changes what is computed,
within the tolerances:

* Losses at many times t0 < t1 < ... < tN: the backward solve stops at each and adds dL/dz(ti) to a.
  z restarts there from its stored value, so its error does not build up from one interval to the
  next.
* One vector-Jacobian product, seeded with -a, gives all products with their signs.
* a_t is not integrated. Along a solution dL/dt0 = -a(t0)^T f(z(t0), t0), as moving the start by d
  is starting from z(t0) - d f at t0; the same argument gives P6 at the end. Only the readout moves
  with a time between: dL/dti = dL/dz(ti)^T f(z(ti), ti).
* a_theta feeds back into nothing. It is left out of the stages' states, and measured as a whole in
  the error norm.
* The adjoint equation is linear in dL/dz, so that is scaled to size one first, and the gradients
  scaled back: an absolute tolerance has no meaning for a quantity that is a million times smaller
  if the loss is a mean instead of a sum.

The memory is that of one augmented state, whatever the number of steps: the solution is not stored
but solved again, backwards.
"""

import math
import warnings

import numpy as np

from .. import tree
from ..autodiff.custom import with_rule
from ..autodiff.dispatch import is_traced, plain, unbox
from ..autodiff.transforms import vjp_of_list
from ..solvers.failures import SolverError
from .problem import by_value, check_cotangent, moment, problem, replaced, warn_unless_repeatable


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
        forwards = problem(f, leaves[:k], t, leaves[k:], options, coupled)
        return forwards.observed(forwards.walk)

    def backward(g, zs, wanted, t, *leaves):
        tolerances = {
            name: doubled(getattr(adjoint_options, name), zs.shape[1]) for name in ("rtol", "atol")
        }
        of_z_and_a = adjoint_options._replace(**tolerances)

        def interval(i, a, a_theta, theta, learned):
            vjp = vjp_of_field(f, k, learned)

            def aug_dynamics(t, s, theta):
                z, a = s[:k], s[k : 2 * k]
                dz, pullback = vjp(t, z, theta)
                return [*dz, *pullback([-a_i for a_i in a])]  # f, -a^T df/dz, -a^T df/dtheta

            s0 = [*cut(zs[i]), *a, *a_theta]
            s = backwards(
                odesolve,
                aug_dynamics,
                s0,
                t[i - 1 : i + 1][::-1],
                theta,
                of_z_and_a,
                of_z_and_a,
                2 * k,
            )[-1]
            if not is_traced(s):
                warn_of_drift(
                    s[: zs.shape[1]],
                    plain(zs),
                    i - 1,
                    float(plain(t)[i - 1]),
                    options,
                    adjoint_options,
                )
            return tree.cutter(s0)(s)[k:]

        return backward_pass(f, k, cut, interval, g, zs, wanted, t, leaves)

    return with_rule(forward, backward, (t, *z0, *theta))


def drift(z, zs, i, where, *solves):
    """Say by how much z, solved again, differs from z_i of zs, shape (T, n); None if the tolerances
    explain it.

    That is a thousand times what the larger of those of the two solves allow for a step, and a
    twentieth of the largest value that the component has at any of the times, whatever they allow;
    where steps are fixed that, and a thousandth of the largest component.
    """
    n = min(
        [
            len(z),
            *[
                np.size(tol)
                for options in solves
                for tol in (options.rtol, options.atol)
                if np.ndim(tol)
            ],
        ]
    )
    size, allowed = np.max(np.abs(zs[:, :n]), axis=0), 0.0
    for options in solves:
        tolerances = (
            (math.inf, 1e-6 * np.max(size)) if options.fixed else (options.rtol, options.atol)
        )
        rtol, atol = [tol[:n] if np.ndim(tol) else tol for tol in tolerances]
        allowed = np.maximum(allowed, 1e3 * atol + np.minimum(1e3 * rtol, 0.05) * size)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(z[:n] - zs[i, :n])
        worst = int(
            np.argmax(np.nan_to_num(off / np.maximum(allowed, np.finfo(float).tiny), nan=math.inf))
        )
    if off[worst] <= allowed[worst]:
        return None
    return (
        f"component {worst} of the state {where} is off by {off[worst]:.2g}, where it was"
        f" {zs[i][worst]:.2g}"
    )


def warn_of_drift(z, zs, i, t, *solves):
    """Warn where z, solved backwards to t_i, has come to another place than the stored z by more
    than the tolerances can explain.
    """
    found = drift(z, zs, i, f"at t = {t!r}", *solves)
    if found:
        warnings.warn(
            f"odeint: solved backwards, {found}, so the adjoint's gradient may be wrong. The"
            " problem may be unstable backwards in time: use gradient='discrete' or"
            " 'interpolated', smaller tolerances or steps, or more observation times; or the"
            " backward solve has stepped over a pulse in f: give max_step",
            RuntimeWarning,
            stacklevel=2,
        )


def vjp_of_field(f, k, learned):
    """Return the function from t, z (k arrays), theta to f(t, z, theta) and its pullback to z and
    those of theta that are learned.

    All but t are lists. A field with a program of its own, ``f.vjp``, has no need of a tape.
    """

    def by_tape(t, z, theta):
        return vjp_of_list(
            lambda *x: f(t, x[:k], replaced(theta, learned, x[k:])),
            [*z, *[theta[n] for n in learned]],
        )

    return f.vjp(k, learned, by_tape) if hasattr(f, "vjp") else by_tape


def backward_pass(f, k, cut, interval, g, zs, wanted, t, leaves):
    """Follow a and a_theta through the observation times, from the last to the first; return the
    cotangents that are wanted.

    Parameters
    ----------
    interval : function
        ``interval(i, a, a_theta, theta, learned)`` takes a and a_theta, in one list, from t_i to
        t_(i-1).
    g, zs : arrays, shape (T, n)
        The cotangents of the solution at the times, and the solution.
    wanted, t, leaves
        Of `with_rule`: argument 0 is t, then come k arrays of z0, then theta.
    """
    theta = leaves[k:]
    learned = [n - 1 - k for n in wanted if n > k]  # which of theta have a gradient
    check_cotangent(g)
    warn_unless_repeatable(f, moment(t, 0), cut(zs[0]), theta)
    largest = float(np.max(np.abs(plain(g))))
    scale = (
        2.0 ** (math.frexp(largest)[1] - 1) if largest else 1.0
    )  # a power of two: dividing by it rounds nothing
    g = g / np.array(scale, g.dtype)
    a, a_theta = cut(g[-1]), [np.zeros(theta[n].shape, theta[n].dtype) for n in learned]
    for i in range(len(t) - 1, 0, -1):
        s = interval(i, a, a_theta, theta, learned)
        a, a_theta = s[:k], s[k:]
        if i > 1:
            a = [a_j + g_j for a_j, g_j in zip(a, cut(g[i - 1]))]

    kept_f = by_value(f)  # for a derivative of the gradient all its calls are there first

    def along_f(i, a):
        """Return a^T f(z(ti), ti, theta)."""
        f_i = kept_f(moment(t, i), cut(zs[i]), theta)
        return sum([np.sum(a_j * unbox(f_j)) for a_j, f_j in zip(a, f_i)])

    cotangents = {}
    if 0 in wanted:
        cotangents[0] = np.stack(
            [-along_f(0, a), *[along_f(i, cut(g[i])) for i in range(1, len(t))]]
        )
    cotangents |= {1 + j: a_j + g_j for j, (a_j, g_j) in enumerate(zip(a, cut(g[0])))}
    cotangents |= {1 + k + n: a_n for n, a_n in zip(learned, a_theta)}
    return [cotangents[n] * np.array(scale, cotangents[n].dtype) for n in wanted]


def doubled(tolerance, n):
    """Return a tolerance for z as one for z and a, of n components each, of which the last may be
    quadratures without one of their own.
    """
    if np.ndim(tolerance) == 0:
        return tolerance
    return np.tile(np.append(tolerance, np.full(n - len(tolerance), np.min(tolerance))), 2)


def backwards(solver, *args):
    """Call a solver, whose errors shall say that it was the backward solve."""
    try:
        return solver(*args)
    except SolverError as error:
        error.args = (
            (
                "in the backward solve of the adjoint (it can fail where the forward one does not:"
                f" a solution that decays grows backwards): {error}"
            ),
        )
        raise
