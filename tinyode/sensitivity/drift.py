"""How far a solution that is solved again may be from what it was.

Some backward passes solve for z again: backwards in time, together with its sensitivities, or up to
an event. If z then comes to another place, the gradient belongs to another solution. `WayBack` is
about Algorithm 2, which solves backwards for z, the adjoint a = dL/dz and a_theta = dL/dtheta: it
stops a solve that is lost, and estimates what the drift of z has done to the gradients.
"""

import math
import sys
import warnings

import numpy as np
from numpy.linalg import norm

from ..autodiff.numpy_calls import is_traced, plain
from ..solvers.failures import SolverError
from .shared import flat, without_levels

# STEPS: z may be off by 1000 times what the tolerances allow for one step. That is the error of as
# many steps, and at the default tolerances a thousandth of z.
STEPS = 1e3
# SHARE: at loose tolerances the bound is this share of the largest value of z instead
SHARE = 0.05
# SHARE_FIXED: steps of fixed size have no tolerances; z may be off by this share of its largest
# component, besides SHARE of its own
SHARE_FIXED = 1e-3
# LOOK: the errors of the gradients are estimated where z is off by more than atol + 50 rtol |z|.
# An estimate takes three vector-Jacobian products.
LOOK = 50.0
# OFF, and OFF_FIXED for steps of fixed size, whose own errors are larger: Algorithm 2 warns where
# the estimated relative error of a gradient is larger. Of 360 gradients of random vector fields
# with an error above 1e-3 it missed 2, and it warned of 48 of 1240 others (the
# benchmark drift.py, seeds 0 to 7). The estimate is made at the end of an interval. A drift of z
# that has vanished until then is not seen.
OFF, OFF_FIXED = 8e-4, 3e-2
# LOOSE: even without drift, gradients have errors up to 30 rtol; it does not warn of less
LOOSE = 30.0
# LOST: z is lost where a component is 3 times as large as it was in the forward solve. On Lorenz's
# equations the backward solve takes a sixth fewer steps until it stops with 2, and twice as many
# with 10.
LOST = 3.0
# COSTLY: after z is lost, and if the gradient does not depend on that, the backward solve may take
# 2 times as many steps as the forward solve took. Of y' = -1000 (y - cos t) it would take 50 times
# as many, and fail.
COSTLY = 2

TINY = float(np.finfo(float).tiny)
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
    size, rtol, atol = with_tolerances(size, forward, backward)
    if forward.fixed or backward.fixed:
        return SHARE_FIXED * np.max(size) + SHARE * size
    return STEPS * atol + np.minimum(STEPS * rtol, SHARE) * size


def noticeable(known, forward, backward):
    """Return by how much z must be off from what is known to be looked at: see `LOOK`."""
    size, rtol, atol = with_tolerances(np.abs(known), forward, backward)
    return atol + np.minimum(LOOK * rtol, SHARE) * size


def with_tolerances(size, forward, backward):
    """Return the components of ``size`` that have tolerances, and the looser ones of these."""
    rtol, atol = np.maximum(forward.rtol, backward.rtol), np.maximum(forward.atol, backward.atol)
    n = min([len(size), *[len(tol) for tol in (rtol, atol) if np.ndim(tol)]])
    return size[:n], *[tol[:n] if np.ndim(tol) else tol for tol in (rtol, atol)]


def drift(z, known, bound):
    """Whether z, solved again, differs from what is known by more than a bound.

    z and known have the shape (n,), the bound (m,), m <= n; it is `allowed` or `noticeable`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        n = len(bound)
        return not (np.abs(z[:n] - known[:n]) <= bound).all()


def sentence(z, known, bound, where):
    """Say by how much z differs from what is known; ``where`` is the time, in words."""
    n = len(bound)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(z[:n] - known[:n])
        excess = off / np.maximum(bound, TINY)
    worst = int(np.argmax(np.nan_to_num(excess, nan=math.inf)))
    return (
        f"component {worst} of the state {where} is off by {off[worst]:.2g}, where it was"
        f" {known[worst]:.2g}"
    )


def largest(zs):
    """Return the largest value of each component, of states that are the rows of an array."""
    return np.max(np.abs(zs), axis=0)


def outside():
    """Return the ``stacklevel`` of a warning that is to point at the line that called tinyode."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("tinyode."):
        level, frame = level + 1, frame.f_back
    return level


class Course:
    """How large z was in the forward solve of Algorithm 2, and what it took, for `WayBack`.

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
    steps : int
    """

    def __init__(self, watch, returns):
        self.watch, self.returns, self.size, self.steps = watch, returns, 0.0, 0

    def follow(self, walk):
        """Yield the steps of the solve."""
        self.size, self.steps = 0.0, 0
        for step in walk:
            if self.watch:
                self.watch(step)
            if self.returns:
                self.size = np.maximum(self.size, np.abs(step.y))
                self.steps += 1
            yield step


class WayBack:
    """What z does when Algorithm 2 solves for it backwards, held against the forward solve.

    `watch` sees each step, `compare` the end of each interval, and `conclude` warns.

    Parameters
    ----------
    course : Course
    zs : array, shape (T, n)
        z at the times of t, as the forward solve has found it.
    t : array, shape (T,)
    settings : Settings
    wanted : Wanted
    vjp, theta
        The vector-Jacobian product of f, as `VectorField.vjp` returns it, and its parameters.
    """

    def __init__(self, course, zs, t, settings, wanted, vjp, theta):
        self.known, self.t, self.wanted = plain(zs), plain(t), wanted
        self.vjp, self.theta = vjp, without_levels(theta)
        self.options = settings.forward, settings.backward
        self.size = np.maximum(course.size, np.abs(self.known[-1]))
        self.explained = allowed(self.size, *self.options)
        rtol = np.max(np.maximum(settings.forward.rtol, settings.backward.rtol))
        fixed = settings.forward.fixed or settings.backward.fixed
        self.tolerated = OFF_FIXED if fixed else max(OFF, min(LOOSE * rtol, SHARE))
        n = len(self.explained)
        self.lost = LOST * self.size[:n] + self.explained
        self.inverse = 1 / np.maximum(self.lost, TINY)
        self.steps_left = COSTLY * course.steps
        self.error_of_a, self.error_of_theta, self.a_theta = 0.0, 0.0, 0.0
        # Whether this pass computes one term of a second derivative. Other passes compute the other
        # terms, which may be much larger: a relative error of this term alone means little.
        self.is_part = settings.watch is not None
        self.scale = TINY  # the least size of a_theta to which its error is relative
        # the largest distance of z from what it was, in units of `LOST`, that z and which time
        self.worst, self.is_explained = (0.0, None, 0), True

    def watch(self, step):
        """Raise `SolverError` where z is `LOST`, and the gradient feels it, or it costs too much.

        The gradient may still be right if f is linear in the components that are lost, or if L no
        longer depends on them: then a^T df/dz and a^T df/dtheta do not change with them.
        """
        n = len(self.lost)
        z = step.y1[:n]
        far = np.abs(z * self.inverse)
        if far.dot(far) <= 1 or far.max() <= 1:  # the first is quick, and enough for a few
            return
        self.steps_left -= 1
        if self.is_felt(step):
            why = "so the gradient would be that of another solution"
        elif self.steps_left < 0:
            why = f"and it takes {COSTLY} times the steps of that solve"
        else:
            return
        worst = int(np.argmax(far))
        raise SolverError(
            f"solved backwards, component {worst} of the state has come to {z[worst]:.2g}, where"
            f" it was {self.size[worst]:.2g} at most, {why}. {WAYS}",
            step.t1,
            step.h,
        )

    def is_felt(self, step):
        """Whether da/dt or da_theta/dt would change much with z cut to its size forwards."""
        n, s = len(self.size), step.y1
        z, a, a_theta = s[:n], s[n : 2 * n], s[2 * n :]
        slopes = self.slopes(step.t1, z.copy(), a.copy())[1]
        near = self.slopes(step.t1, np.clip(z, -self.size, self.size), a.copy())[1]
        with np.errstate(all="ignore"):
            off = slopes - near
            return not (
                norm(off[:n]) <= norm(near[:n]) and norm(off[n:] * step.h) <= norm(a_theta) + TINY
            )

    def slopes(self, t, z, a):
        """Return f, and a^T df/dz with a^T df/dtheta, as vectors."""
        dz_dt, pullback = self.vjp(t, z, self.theta)
        return np.array(flat(dz_dt)), np.array(flat(pullback(a)))

    def compare(self, i, z, start, a, a_theta):
        """Estimate what it does to the gradients if z, solved back to t_i, is not what it was.

        ``start`` is a at the beginning of this way back, after t_i; the other arguments are those
        of Algorithm 2 at its end. An error of a goes on as a does, and a_theta gathers it. Where z
        is traced there is nothing to say: z was compared when it was solved for in numbers.
        """
        if is_traced(z):
            return
        start, a, a_theta = plain(start), plain(a), flat(plain(a_theta))
        share = self.error_of_a / max(norm(start), TINY)
        self.error_of_a = share * norm(a)
        self.error_of_theta += share * norm(a_theta - self.a_theta)
        self.a_theta = a_theta
        known = self.known[i]
        if not drift(z, known, noticeable(known, *self.options)):
            return
        time = self.t[i].item()
        span = abs(self.t[i + 1].item() - time)
        errors = self.gathered(time, z, known, span, start, a)
        self.error_of_a += errors[0]
        self.error_of_theta += errors[1]
        with np.errstate(over="ignore", invalid="ignore"):
            off = np.max(np.abs(z - known)[: len(self.explained)] * self.inverse)
        if not off < self.worst[0]:  # NaN, too
            self.worst = off, z, i
        self.is_explained = self.is_explained and not drift(z, known, self.explained)

    def gathered(self, t, z, known, span, start, a):
        """Estimate how far a and a_theta are off, after a way back to t with a z not ``known``.

        There both states are known, and so are the differences of a^T df/dz and of a^T df/dtheta.
        The error of a is about the first difference times a duration. The error of a_theta is the
        duration times the sum of two terms: the second difference, and (error of a)^T df/dtheta.

        What is the duration? The first difference is about |d| |a|, with d the difference of the
        states. Over the time s backwards |d| grows like exp(r s), r = |f(z) - f(known)| / |d|, and
        |a| shrinks like exp(-g s), g = log(|start| / |a|) / span. If r > g, the duration is 1 / (r
        - g). If r = g, as where z is stable forwards, it is the whole ``span``. The formula 1 /
        (max(r - g, 0) + 1 / span) has both limits.
        """
        n = len(z)
        with np.errstate(all="ignore"):
            rate, slopes = self.slopes(t, z, a)
            known_rate, known_slopes = self.slopes(t, known, a)
            apart = slopes - known_slopes
            shrinks = math.log(max(norm(start), TINY) / max(norm(a), TINY)) / span
            grows = norm(rate - known_rate) / norm(z - known)
            duration = 1 / (np.maximum(grows - shrinks, 0.0) + 1 / span)
            of_a = duration * apart[:n]
            of_theta = duration * (apart[n:] + self.slopes(t, known, of_a)[1][n:])
            # a_theta may cancel, and be small beside what it has gathered
            self.scale = np.fmax(self.scale, span * norm(known_slopes[n:]))
            return norm(of_a), norm(of_theta)

    def conclude(self, a, a_theta):
        """Warn, once, where a gradient is off by more than may be; a is dL/dz0 now."""
        _, z, i = self.worst
        if z is None:
            return
        time = "dL/dt" if self.wanted.time else ""
        names = "dL/dy0" if self.wanted.state else time, "dL/dtheta" if self.wanted.theta else ""
        sizes = norm(plain(a)), norm(flat(plain(a_theta)))
        errors = (
            self.error_of_a / max(sizes[0], TINY),
            self.error_of_theta / max(sizes[1], self.scale),
        )
        off = [
            f"{name} may be off by {in_words(error)} of itself"
            for name, error in zip(names, errors)
            if name and not self.is_part and not error < self.tolerated
        ]
        if not off and self.is_explained:
            return
        bound = noticeable(self.known[i], *self.options)
        found = sentence(z, self.known[i], bound, f"at t = {self.t[i].item()!r}")
        off = off or ["the gradient may be wrong"]
        warnings.warn(
            f"odeint: solved backwards, {found}, so {' and '.join(off)}. {WAYS}",
            RuntimeWarning,
            stacklevel=outside(),
        )


def in_words(error):
    """Write the size of an error that is known to a factor of ten at best."""
    for size, words in ((0.3, "all"), (0.03, "a tenth"), (0.003, "a hundredth")):
        if not error < size:
            return words
    return "a thousandth"
