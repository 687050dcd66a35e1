"""How far a solution that is solved again may be from what it was.

Some backward passes solve for z again: backwards in time, together with its sensitivities, or up to
an event. If z then comes to another place, the gradient belongs to another solution.
"""

import math
import warnings

import numpy as np

from ..autodiff.numpy_calls import is_traced, plain

# z may be off by so many times what the tolerances allow for one step: that is the error of as many
# steps, and at the default tolerances a thousandth of z
STEPS = 1e3
# at loose tolerances that would be more than z itself; this much of its largest value is the bound
SHARE = 0.05
# steps of fixed size have no tolerances; z may then be off by this much of its largest component
SHARE_FIXED = 1e-3

BACKWARDS = (
    "odeint: solved backwards, {}, so the adjoint's gradient may be wrong. The problem may be"
    " unstable backwards in time: use gradient='discrete' or 'interpolated', smaller tolerances or"
    " steps, or more observation times; or the backward solve has stepped over a pulse in f: give"
    " max_step"
)
WITH_SENSITIVITIES = (
    "odeint: solved again with its sensitivities, {}, so the gradient may be wrong; the solve may"
    " have stepped over a pulse in f: give max_step"
)


def drift(z, known, i, where, *solves):
    """Say by how much z differs from what is known; None where the tolerances explain it.

    Parameters
    ----------
    z : array, shape (n,)
        Solved again, at the i-th time.
    known : array, shape (T, m)
        The solution at all times, m >= n.
    where : str
        The time, in words.
    *solves : Options
        Of both solves; the looser one counts. See `STEPS`, `SHARE` and `SHARE_FIXED`. The largest
        value of a component is that at any of the times.
    """
    tolerances = [tol for options in solves for tol in (options.rtol, options.atol)]
    n = min([len(z), *[len(tol) for tol in tolerances if np.ndim(tol)]])
    size, allowed = np.max(np.abs(known[:, :n]), axis=0), 0.0
    for options in solves:
        rtol, atol = options.rtol, options.atol
        if options.fixed:
            rtol, atol = math.inf, SHARE_FIXED / STEPS * np.max(size)
        rtol, atol = [tol[:n] if np.ndim(tol) else tol for tol in (rtol, atol)]
        allowed = np.maximum(allowed, STEPS * atol + np.minimum(STEPS * rtol, SHARE) * size)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(z[:n] - known[i, :n])
        excess = off / np.maximum(allowed, np.finfo(float).tiny)
    worst = int(np.argmax(np.nan_to_num(excess, nan=math.inf)))
    if off[worst] <= allowed[worst]:
        return None
    return (
        f"component {worst} of the state {where} is off by {off[worst]:.2g}, where it was"
        f" {known[i][worst]:.2g}"
    )


def warn_if_drifted(message, z, known, i, t, *solves):
    """Warn where z, solved again to t_i, is not the z that is known; see `drift` for the arguments.

    Where z is traced there is nothing to say: z was compared when it was solved for in numbers.
    """
    if is_traced(z):
        return
    found = drift(z, plain(known), i, f"at t = {float(plain(t)[i])!r}", *solves)
    if found:
        warnings.warn(message.format(found), RuntimeWarning, stacklevel=2)
