"""How far a solution that is solved again may be from what it was.

Some backward passes solve for z again: backwards in time, together with its sensitivities, or up to
an event. If z then comes to another place, the gradient belongs to another solution. `Course` does
this for Algorithm 2: it stops a solve that is lost, and estimates what the drift of z has done to
the gradients.
"""

import math
import warnings

import numpy as np

from ..autodiff.numpy_calls import is_traced, plain
from ..solvers.failures import SolverError
from .shared import flat, moment, without_levels

# z may be off by so many times what the tolerances allow for one step: that is the error of as many
# steps, and at the default tolerances a thousandth of z
STEPS = 1e3
# at loose tolerances that would be more than z itself; this much of its largest value is the bound
SHARE = 0.05
# steps of fixed size have no tolerances; z may then be off by this much of its largest component
SHARE_FIXED = 1e-3
# Algorithm 2 estimates the errors of the gradients where z is off by this share of that. Of 360
# drawn fields with gradients off by a thousandth (tests/benchmarks/drift.py) none had less than 0.1
LOOK = 0.05
# It warns where a gradient is off by this much of itself, as estimated. The estimates are right to
# a factor of three; of those 360, all but two were above this, and of 1240 others 45
OFF = 8e-4
# It stops where a component of z is so many times as large as it was in the forward solve. On
# Lorenz's equations 2 would save a fifth of the steps that it takes until then, and 10 double them
LOST = 3.0

WAYS = (
    "The problem may be unstable backwards in time: use gradient='discrete' or 'interpolated',"
    " smaller tolerances or steps, or more observation times; or the backward solve has stepped"
    " over a pulse in f: give max_step"
)


def allowed(size, steps, *solves):
    """Return by how much each component of z may be off.

    Parameters
    ----------
    size : array, shape (n,)
        The largest value of each component.
    steps : float
        How many times what the tolerances allow for a step; see `STEPS`, `SHARE`, `SHARE_FIXED`.
    *solves : Options
        Of all solves that z comes from; the loosest one counts.

    Returns
    -------
    array, shape (m,)
        m < n where the last components have no tolerances of their own.
    """
    tolerances = [tol for options in solves for tol in (options.rtol, options.atol)]
    n = min([len(size), *[len(tol) for tol in tolerances if np.ndim(tol)]])
    size, most = size[:n], 0.0
    for options in solves:
        rtol, atol = [tol[:n] if np.ndim(tol) else tol for tol in (options.rtol, options.atol)]
        if options.fixed:
            rtol, atol = 0.0, SHARE_FIXED / STEPS * np.max(size)
        most = np.maximum(most, steps * atol + np.minimum(steps * rtol, SHARE) * size)
    return most


def drift(z, known, size, where, steps, *solves):
    """Say by how much z differs from what is known; None where the tolerances explain it.

    Parameters
    ----------
    z : array, shape (n,)
        Solved again.
    known : array, shape (m,), m >= n
        What it was.
    size, steps, *solves
        See `allowed`.
    where : str
        The time, in words.
    """
    bound = allowed(size[: len(z)], steps, *solves)
    n = len(bound)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(z[:n] - known[:n])
        excess = off / np.maximum(bound, np.finfo(float).tiny)
    worst = int(np.argmax(np.nan_to_num(excess, nan=math.inf)))
    if off[worst] <= bound[worst]:
        return None
    return (
        f"component {worst} of the state {where} is off by {off[worst]:.2g}, where it was"
        f" {known[worst]:.2g}"
    )


def at_time(t, i):
    """Return the i-th time, in words."""
    return f"at t = {float(plain(t)[i])!r}"


def largest(zs):
    """Return the largest value of each component, of states that are the rows of an array."""
    return np.max(np.abs(zs), axis=0)


class Course:
    """How z went in the forward solve of Algorithm 2, for its way back to be held against.

    Parameters
    ----------
    settings : Settings
    returns : bool
        Whether there may be a way back: whether anything is being differentiated.
    """

    def __init__(self, settings, returns):
        self.settings, self.returns, self.size = settings, returns, 0.0

    def follow(self, walk):
        """Yield the steps of the forward solve, and keep how large each component of z was.

        Inside a step it may be as large as |z| + |h dz/dt|. Where this solve is the way back of
        another one, that one watches it.
        """
        watch, self.size = self.settings.watch, 0.0
        for step in walk:
            if watch:
                watch(step)
            if self.returns:
                inside = np.abs(step.y) + np.abs(step.h * step.K[0])
                self.size = np.maximum(self.size, np.maximum(inside, np.abs(step.y1)))
            yield step

    def watch(self, step):
        """Raise `SolverError` where a step back has come to a z that is `LOST`."""
        settings = self.settings
        tolerance = allowed(self.size, STEPS, settings.forward, settings.backward)
        excess = np.abs(step.y1[: len(tolerance)]) - LOST * self.size[: len(tolerance)] - tolerance
        if excess.max() <= 0:
            return
        worst = int(np.argmax(excess))
        raise SolverError(
            f"solved backwards, component {worst} of the state has come to {step.y1[worst]:.2g},"
            f" where it was {self.size[worst]:.2g} at most, so the gradient would be that of"
            f" another solution. {WAYS}",
            step.t1,
            step.h,
        )

    def compare(self, vjp, i, z, a, a_theta, wanted, zs, t, theta):
        """Warn where z, solved back to t_i, is not zs[i], and say which gradients are off by that.

        The arguments are those of Algorithm 2 when it has come to t_i. Where z is traced there is
        nothing to say: z was compared when it was solved for in numbers.
        """
        if is_traced(z):
            return
        known, where, theta = plain(zs), at_time(t, i), without_levels(theta)
        solves = self.settings.forward, self.settings.backward
        found = drift(z, known[i], self.size, where, LOOK * STEPS, *solves)
        if not found:
            return
        time, after = plain(moment(t, i)), plain(moment(t, i + 1))
        errors = gradient_errors(vjp, time, z, known[i], a, a_theta, abs(after - time), theta)
        asked = wanted.state or wanted.time, bool(wanted.theta)
        off = [
            f"{name} may be off by {error:.1g} of itself"
            for name, error, has in zip(("dL/dy0", "dL/dtheta"), errors, asked)
            if has and not error < OFF
        ]
        if not off and drift(z, known[i], self.size, where, STEPS, *solves):
            off = ["the gradient may be wrong"]
        if off:
            message = f"odeint: solved backwards, {found}, so {' and '.join(off)}. {WAYS}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)


def gradient_errors(vjp, t, z, known, a, a_theta, span, theta):
    """Estimate by how much a and a_theta are off, relative to themselves, since z is not ``known``.

    At the end of the way back from the last time, of the length ``span``, both states are there. So
    the errors of the slopes there are, too: the differences of a^T df/dz and of a^T df/dtheta. What
    a has gathered of them is about the first difference, times how long z has been off; a_theta has
    gathered the second, and that of the error of a. The difference d of the states grows at the
    rate r = |f(z) - f(known)| / |d|. Where it has grown exponentially, it has been off for 1 / r,
    and where it has grown evenly, for half of the span: 1 / (r + 2 / span) is between.
    """

    def at(z):
        dz_dt, pullback = vjp(t, z, theta)
        return np.array(flat(dz_dt)), lambda a: np.array(flat(pullback(a)))

    n, norm = len(z), np.linalg.norm
    with np.errstate(all="ignore"):
        rate, pullback = at(z)
        slope = pullback(a)
        known_rate, pullback = at(known)
        apart = slope - pullback(a)
        duration = 1 / (norm(rate - known_rate) / norm(z - known) + 2 / span)
        of_a = duration * apart[:n]
        of_theta = duration * (apart[n:] + pullback(of_a)[n:])
        sizes = np.maximum([norm(a), norm(flat(a_theta))], np.finfo(float).tiny)
        return np.array([norm(of_a), norm(of_theta)]) / sizes
