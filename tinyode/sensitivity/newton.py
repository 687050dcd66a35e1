"""Newton's method for a system of equations f(u) = 0, in plain numbers.

    (df/du) d = -f,      u <- u + s d,      s = 1, 1/2, 1/4, ...

The first s is taken that makes the residual smaller. A residual is measured by the step that it
asks for, (df/du)^-1 f, which does not depend on the units of the equations (Deuflhard, "Newton
methods for nonlinear problems", 2004). The components of a step are measured relative to those of
u, so that they do not depend on the units of the unknowns.

It is done when |d_i| <= tol |u_i| + atol in every component, or f is zero, or d is what rounding
makes of it. Rounding errors of f appear in d through the coupling |(df/du)^-1| |df/du|: a small
component that is coupled to a large one cannot be known better than that.
"""

import numpy as np

from ..autodiff import jacobian
from ..autodiff.numpy_calls import is_traced

# rounding errors that are allowed in a term (df/du)_ij u_j: f may add up many numbers
ROUNDINGS = 100
# Newton's step is halved down to this share of it: 33 times
SHORTEST = 1e-10


class NewtonError(RuntimeError):
    """Newton's method found no root."""


def newton(f, u, tol, atol, max_steps):
    """Return a root of f, R^n -> R^n, from plain u; see `root`."""
    value, eps = f(u), float(np.finfo(u.dtype).eps)
    if is_traced(value):
        raise TypeError(
            "root: f returned a traced value although u is plain: it closes over a "
            "value that is being differentiated, and the gradient would be lost; pass "
            "that value to f through *args"
        )
    tol, rounding = max(tol, 4 * eps), ROUNDINGS * eps
    largest = np.abs(u)  # the largest size of each component so far
    for _ in range(max_steps):
        if not np.any(value):
            return u
        df_du, d = newton_step(f, u, value)
        size, ahead = np.abs(d), f(u + d)
        coupling = np.abs(np.linalg.inv(df_du)) @ np.abs(df_du)
        now = np.maximum(np.abs(u), np.abs(u + d))
        own = tol * now + atol + np.minimum(rounding * (coupling @ now), tol * np.max(now))
        if (size <= own).all() and np.isfinite(ahead).all():
            # the rest may be all rounding, and the step no gain
            return u + d if (np.abs(np.linalg.solve(df_du, ahead)) <= size).all() else u
        scale = np.maximum(coupling @ np.maximum(largest, size), np.finfo(u.dtype).tiny)
        s = 1.0
        while not is_smaller(asked(df_du, ahead), size, scale):
            s /= 2
            if s < SHORTEST:
                if not is_smaller(asked(df_du, f(u + tol * largest) - value), size, scale):
                    return u  # near zero, where rounding is not small beside u
                raise NewtonError(
                    f"root: no step from u = {u} makes the residual {np.linalg.norm(value):.3g}"
                    " smaller; there may be no root near; try another u0"
                )
            ahead = f(u + s * d)
        u, value = u + s * d, ahead
        largest = np.maximum(largest, np.abs(u))
    raise NewtonError(
        f"root: {max_steps} steps of Newton's method were not enough: residual"
        f" {np.linalg.norm(value):.3g} at u = {u}; try another u0, a larger tol or more max_steps;"
        " where u is to be zero, give atol"
    )


def newton_step(f, u, value):
    """Return df/du, and d of (df/du) d = -f."""
    df_du = jacobian(f)(u)
    if not np.isfinite(df_du).all():
        raise NewtonError(
            f"root: df/du is not finite at u = {u}; try another u0, or look for a root or a"
            " logarithm of zero"
        )
    try:
        return df_du, np.linalg.solve(df_du, -value)
    except np.linalg.LinAlgError:
        raise NewtonError(
            f"root: df/du is singular at u = {u}; try another u0, or check that the equations"
            " are independent"
        ) from None


def asked(df_du, residual):
    """Return |(df/du)^-1 residual|, the step that a residual asks for; inf where not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.nan_to_num(np.abs(np.linalg.solve(df_du, residual)), nan=np.inf, posinf=np.inf)


def is_smaller(step, other, scale):
    """Whether the largest component of a step is smaller than that of another.

    It is measured relative to a scale, or absolutely. The relative measure alone is not enough: a
    component that has been zero so far has no scale.
    """
    with np.errstate(over="ignore"):
        return np.max(step / scale) < np.max(other / scale) or np.max(step) < np.max(other)
