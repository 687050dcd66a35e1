"""How far a solution that is solved again may be from what it was.

Some backward passes solve for z again: backwards in time, together with its sensitivities, or up to
an event. If z then comes to another place, the gradient belongs to another solution. `WayBack` is
about Algorithm 2: it stops a solve that is lost, and estimates what the drift of z has done to the
gradients.
"""

import math
import warnings

import numpy as np

from ..autodiff.numpy_calls import is_traced, plain
from ..solvers.failures import SolverError
from .shared import flat, without_levels

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
# at loose tolerances, by so many times rtol: gradients that do not drift are off by up to that
LOOSE = 10.0
# It stops where a component of z is so many times as large as it was in the forward solve. On
# Lorenz's equations 2 would save a sixth of the steps that it takes until then, and 10 double them
LOST = 3.0
# That is where L depends on the component. Where its a, of size one at first, has become small, z
# may be more times larger, up to this: of y' = -10 (y - cos t), y(2), z came back 30 times as large
# as it had been, and dL/dk was right to five digits
UNFELT = 30.0

WAYS = (
    "The problem may be unstable backwards in time: use gradient='discrete' or 'interpolated',"
    " smaller tolerances or steps, or more observation times; or the backward solve has stepped"
    " over a pulse in f: give max_step"
)


def allowed(size, forward, backward):
    """Return by how much each component of z may be off: see `STEPS`, `SHARE`, `SHARE_FIXED`.

    Parameters
    ----------
    size : array, shape (n,)
        The largest value of each component.
    forward, backward : Options
        Of the solves that z comes from; the looser one counts.

    Returns
    -------
    array, shape (m,)
        m < n where the last components have no tolerances of their own.
    """
    rtol, atol = np.maximum(forward.rtol, backward.rtol), np.maximum(forward.atol, backward.atol)
    size = size[: min([len(size), *[len(tol) for tol in (rtol, atol) if np.ndim(tol)]])]
    if forward.fixed or backward.fixed:
        return SHARE_FIXED * np.max(size) + SHARE * size
    rtol, atol = [tol[: len(size)] if np.ndim(tol) else tol for tol in (rtol, atol)]
    return STEPS * atol + np.minimum(STEPS * rtol, SHARE) * size


def drift(z, known, bound, where):
    """Say by how much z differs from what is known; None where that is within the bound.

    Parameters
    ----------
    z, known : arrays, shape (n,)
        z, solved again, and what it was.
    bound : array, shape (m,), m <= n
        See `allowed`.
    where : str
        The time, in words.
    """
    n = len(bound)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(z[:n] - known[:n])
        if (off <= bound).all():
            return None
        excess = off / np.maximum(bound, np.finfo(float).tiny)
    worst = int(np.argmax(np.nan_to_num(excess, nan=math.inf)))
    return (
        f"component {worst} of the state {where} is off by {off[worst]:.2g}, where it was"
        f" {known[worst]:.2g}"
    )


def largest(zs):
    """Return the largest value of each component, of states that are the rows of an array."""
    return np.max(np.abs(zs), axis=0)


class Course:
    """How large z was in the forward solve of Algorithm 2, for `WayBack`.

    Parameters
    ----------
    watch : function or None
        Called with each step, if this solve is itself the way back of another one.
    returns : bool
        Whether there may be a way back: whether anything is being differentiated.

    Attributes
    ----------
    size : array, shape (n,)
        The largest |z_i| at the beginning of a step.
    """

    def __init__(self, watch, returns):
        self.watch, self.returns, self.size = watch, returns, 0.0

    def follow(self, walk):
        """Yield the steps of the solve."""
        self.size = 0.0
        for step in walk:
            if self.watch:
                self.watch(step)
            if self.returns:
                self.size = np.maximum(self.size, np.abs(step.y))
            yield step


class WayBack:
    """What z does when Algorithm 2 solves for it backwards, held against the forward solve.

    Parameters
    ----------
    course : Course
    zs : array, shape (T, n)
        z at the times of t, as the forward solve has found it.
    t : array, shape (T,)
    settings : Settings
    """

    def __init__(self, course, zs, t, settings):
        self.known, self.t = plain(zs), plain(t)
        self.size = np.maximum(course.size, np.abs(self.known[-1]))
        self.explained = allowed(self.size, settings.forward, settings.backward)
        fixed = settings.forward.fixed or settings.backward.fixed
        self.seen = self.explained if fixed else LOOK * self.explained
        rtol = np.max(np.maximum(settings.forward.rtol, settings.backward.rtol))
        self.tolerated = max(OFF, min(LOOSE * rtol, SHARE))
        n = len(self.explained)
        self.lost = LOST * self.size[:n] + self.explained
        self.inverse = 1 / np.maximum(self.lost, np.finfo(float).tiny)

    def watch(self, step):
        """Raise `SolverError` where a step back has come to a z that is `LOST`."""
        n, start_of_a = len(self.lost), len(self.size)
        z = step.y1[:n]
        far = np.abs(z * self.inverse)
        if far.dot(far) <= 1 or far.max() <= 1:  # the first is quick, and enough for a few
            return
        a = step.y1[start_of_a : start_of_a + n]
        felt = far * np.clip(np.abs(a), 1 / UNFELT, 1.0)
        worst = int(np.argmax(felt))
        if felt[worst] > 1:
            raise SolverError(
                f"solved backwards, component {worst} of the state has come to {z[worst]:.2g},"
                f" where it was {self.size[worst]:.2g} at most, so the gradient would be that of"
                f" another solution. {WAYS}",
                step.t1,
                step.h,
            )

    def compare(self, i, z, vjp, a, a_theta, wanted, theta):
        """Warn where z, solved back to t_i, is not what it was, and say what that does.

        The arguments are those of Algorithm 2 when it has come to t_i. Where z is traced there is
        nothing to say: z was compared when it was solved for in numbers.
        """
        if is_traced(z) or not drift(z, self.known[i], self.seen, ""):
            return
        time, after = self.t[i].item(), self.t[i + 1].item()
        of_z = vjp, time, z, self.known[i], abs(after - time)
        errors = gradient_errors(*of_z, a, a_theta, without_levels(theta))
        asked = wanted.state or wanted.time, bool(wanted.theta)
        off = [
            f"{name} may be off by {error:.1g} of itself"
            for name, error, has in zip(("dL/dy0", "dL/dtheta"), errors, asked)
            if has and not error < self.tolerated
        ]
        if not off and drift(z, self.known[i], self.explained, ""):
            off = ["the gradient may be wrong"]
        if off:
            found = drift(z, self.known[i], self.seen, f"at t = {time!r}")
            message = f"odeint: solved backwards, {found}, so {' and '.join(off)}. {WAYS}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)


def gradient_errors(vjp, t, z, known, span, a, a_theta, theta):
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
