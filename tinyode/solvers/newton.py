"""Newton's method for the stages of an implicit step: the Jacobian, the iteration, when to stop.

Stages that depend on one another solve K = F(Y0 + h A K), with A a block of the tableau
(`implicit`). Newton's method is

    (I - h A (x) J) D = F - K,      K <- K + D,      J = df/dy

with the Kronecker product (x). F - K is the residual of the equations. This is a simplified Newton
method: J is that of the beginning of a step, and is kept for further steps while the iteration
converges fast.

Let A = T diag(lambda) T^-1. Then the system of s n unknowns falls apart into one of n for each
eigenvalue:

    D = sum_i T_i (I - h lambda_i J)^-1 (T^-1 (F - K))_i,      T_i column i of T

A conjugate pair of eigenvalues needs one system: the sum of both terms is twice the real part of
one. NumPy keeps no LU factorisation, so the inverses are kept, until J changes, or h by more than
a thousandth; the iteration corrects their rounding errors. Hairer and Wanner II, section IV.8.

When is a stage solved? A small D is not enough, because a Jacobian that is much too large makes
every D small. The iteration ends in one of three ways:

* In the first iteration D and the residual are both small. The residual does not depend on J.
* rate / (1 - rate) |D| is small, which estimates the error that is remaining. The rate is |D|
  divided by |D| before. And every equation has shown progress: its residual is small, or has at
  least halved. (Where stages are solved to rounding, each component has the larger one of this
  rate and that of its own residual.)
* D no longer halves, and the residual of every equation is no larger than a few times what f
  changes by when Y changes by a few roundings: no iteration can make it smaller.

"Small" is relative to the tolerances at y, the state at the beginning of the step, which is
known. An iterate may be far off, and is no measure. Where stages are solved to rounding (at fixed
steps, and for exact gradients), "small" is relative to |y| + |h K| of each component.
"""

import math
from typing import NamedTuple

import numpy as np

from .blocks import Block
from .failures import SolverError
from .step_size import rms

# The measurements below are of six problems of the benchmark stiff_solvers.py (all but E5), rtol
# 1e-3 to 1e-6, geometric means for radau_iia5.
#
# SLOW: where |D| is more than this share of |D| before, in any iteration, the next step has a new
# J. 0.03 and 0.3 take 4 % and 16 % more time.
SLOW = 0.1
# D must be so many times smaller than the error that the tolerances allow, but need not be near
# rounding. 0.01 takes 6 % more time, and the errors are 0.6 times as large.
SMALL, SMALL_NEAR_ROUNDING = 0.03, 0.1
# The residual may be so many times what a change of Y by a few roundings makes of f.
NOISE = 10
# A change of h by so much hardly slows Newton's method; the inverses are kept.
SAME_STEP = 1e-3
# Where the first D is so many times too large, and larger than the guess, Newton's method starts
# again from zero: from a bad guess it may go to another solution.
FAR = 1e3
# So many iterations at most: to the tolerances, and to rounding. 7, as in the code RADAU5, takes
# 2 % more time.
MOST, MOST_EXACT = 10, 50


def largest(X):
    """Return the largest root mean square of a row."""
    return max(map(rms, X))


class Equations(NamedTuple):
    """The equations K = F(Y0 + hA K) of the stages of a block, in one step."""

    block: Block
    times: list
    Y0: np.ndarray
    hA: np.ndarray
    K: np.ndarray  # a view of the stepper's stages, which the iteration writes
    F: np.ndarray  # f at the latest stages


class Iteration(NamedTuple):
    """What one iteration has found; ``norm`` is that of h D, relative to what is allowed."""

    Y: np.ndarray
    residual: np.ndarray
    D: np.ndarray
    norm: float


class Newton:
    """Newton's method in the steps of one solve.

    Parameters
    ----------
    field, jacobian : functions
        ``field(t, y, k)`` writes dy/dt into k, ``jacobian(t, y, h)`` returns df/dy of the coupled
        components, shape (n, n), for a step of size h.
    coupled : int
        n.
    dtype
    options : Options
        For adaptive steps the iteration stops at `SMALL` times the tolerances, in the root mean
        square. For fixed steps, and with ``exact``, it stops at rounding.
    stats : Stats

    Attributes
    ----------
    J : array, shape (n, n), or None
        The Jacobian. ``fresh``: whether it was evaluated in this step. ``slow``: whether the
        iteration converges slowly with it.
    allowed, tolerance
        The scale of errors for each component, atol + rtol |y|; and how small D must be beside it.
    inverses : dict
        For each eigenvalue (I - h lambda J)^-1, with this J and ``h_of_inverses``.
    rate : float
        The slowest rate at which an iteration of this step has converged.
    trouble : (float, array) or None
        Where f was not finite.
    """

    def __init__(self, field, jacobian, coupled, dtype, options, stats):
        self.field, self.jacobian, self.coupled, self.stats = field, jacobian, coupled, stats
        self.exact = options.fixed or options.exact
        self.rtol, self.atol = options.rtol, options.atol
        self.eps, self.tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
        few = self.eps * np.linspace(4, 16, coupled)
        self.nudge = (few * (-1.0) ** np.arange(coupled)).astype(dtype)
        self.J, self.fresh, self.slow = None, False, False
        self.I, self.inverses, self.h_of_inverses = np.eye(coupled, dtype=dtype), {}, None
        self.rate, self.trouble = 0.0, None

    def advance(self):
        """Prepare the next step; keep the Jacobian unless the iteration was slow."""
        self.fresh = False
        if self.slow:
            self.J = None

    def start(self, t, y, h):
        """Prepare a step of size h from (t, y), with y the coupled components.

        Choose how small D must be: ``tolerance``, in units of ``allowed``. For adaptive steps that
        is `SMALL`, or more where the tolerance is near rounding. Rounding alone may make D as
        large as ``rounding``.
        """
        self.h, self.y, self.rate, self.trouble = h, y, 0.0, None
        if self.J is None:
            self.linearise(t, y)
        if self.exact:
            self.tolerance, self.rounding = 0.1, self.eps**-0.5
            return
        self.allowed = self.atol + self.rtol * np.abs(y)
        near_rounding = 10 * self.eps * rms(y / self.allowed)
        self.tolerance = self.rounding = min(SMALL_NEAR_ROUNDING, max(SMALL, near_rounding))

    def linearise(self, t, y):
        """Evaluate the Jacobian."""
        self.J = self.jacobian(t, y, self.h)
        if not np.isfinite(self.J).all():
            raise SolverError(
                f"the Jacobian df/dy is not finite at y = {y!s:.200}, where f may be: look for a"
                " root or a power there; or give another with jacobian=",
                t,
                self.h,
            )
        self.stats.jacobians += 1
        self.fresh, self.slow = True, False
        self.inverses.clear()

    def inverse(self, eigenvalue):
        """Return (I - h lambda J)^-1, shape (n, n)."""
        h = self.h
        if self.h_of_inverses is None or abs(h - self.h_of_inverses) > SAME_STEP * abs(h):
            self.h_of_inverses = h
            self.inverses.clear()
        if eigenvalue not in self.inverses:
            self.stats.factorisations += 1
            self.inverses[eigenvalue] = np.linalg.inv(self.I - (h * eigenvalue) * self.J)
        return self.inverses[eigenvalue]

    def solve(self, equations, simplified=True):
        """Iterate from the guess in K; return whether the iteration converged.

        Unless ``simplified``, each iteration has a new Jacobian.
        """
        K, before, guess = equations.K, None, equations.K.copy()
        for remaining in reversed(range(MOST_EXACT if self.exact else MOST)):
            now = self.iterate(equations, simplified)
            if now is None:
                return False
            if before is None:
                if now.norm <= self.tolerance and self.norm(now.residual) <= self.tolerance:
                    return True
                if now.norm > FAR * self.tolerance and largest(now.D) > largest(guess) > 0:
                    guess = np.zeros_like(K)
                    K[:] = guess
                    continue
            else:
                verdict = self.converged(equations, before, now, remaining, simplified)
                if verdict is not None:
                    return verdict
            before = now
        return False

    def iterate(self, equations, simplified):
        """Add Newton's D to K; return the `Iteration`, or None where D or f is not finite."""
        block, times, Y0, hA, K, F = equations
        Y = Y0 + hA.dot(K)
        self.evaluate(times, Y, F)
        residual = F[:, : self.coupled] - K
        D = self.correction(block, times[-1], Y[-1], residual, simplified)
        if D is None:
            return None
        K += D
        if self.exact:
            self.allowed = self.eps * np.maximum(self.terms(K), self.tiny)
        norm = self.norm(D)
        if not math.isfinite(norm):
            bad = [i for i, k in enumerate(F) if not np.isfinite(k).all()]
            self.trouble = (times[bad[0]], Y[bad[0]]) if bad else None
            return None
        return Iteration(Y, residual, D, norm)

    def norm(self, X):
        """Return the root mean square of h X, relative to what is allowed."""
        return rms((self.h * X / self.allowed).reshape(-1))

    def correction(self, block, t, y, residual, simplified):
        """Return Newton's D for a residual, or None where the matrix is singular."""
        try:
            if not simplified:
                self.linearise(t, y)
            inverses = [self.inverse(eigenvalue) for eigenvalue in block.eigenvalues]
        except np.linalg.LinAlgError:
            return None
        except SolverError:  # at an iterate, which may be anywhere, J need not be finite
            if simplified:
                raise
            return None
        if len(residual) == 1:  # A is the eigenvalue
            return residual.dot(inverses[0].T)
        D = 0.0
        for inverse, column, row in zip(inverses, block.T, block.T_inv):
            D = D + (column * inverse.dot(row.dot(residual))).real
        return D

    def converged(self, equations, before, now, remaining, simplified):
        """Return whether the iteration has converged: True, False (it will not), or None (go on).

        ``remaining`` is how many iterations may still follow.
        """
        norm, tolerance = now.norm, self.tolerance
        norm_before = self.norm(before.D) if self.exact else before.norm
        if 0.5 * norm_before <= norm <= self.rounding and self.is_all_rounding(equations, now):
            return True
        if simplified and norm >= norm_before:
            return False
        rate = norm / max(norm_before, self.tiny)
        if norm > self.rounding:
            self.rate = max(self.rate, rate)
            self.slow = self.rate > SLOW
        if rate < 1 and (rate / (1 - rate) if simplified else 1.0) * norm <= tolerance:
            if self.exact:
                done = self.converges_everywhere(before, now, rate, simplified)
            else:
                done = self.shows_progress(before, now)
            return True if done else None
        if simplified and rate**remaining / (1 - rate) * norm > tolerance:
            return False  # it will not be there in the iterations that are remaining
        return None

    def shows_progress(self, before, now):
        """Whether the residual of each equation is small, or has at least halved."""
        small = self.tolerance / abs(self.h) * self.allowed
        enough = np.maximum(small, 0.5 * np.abs(before.residual))
        return (np.abs(now.residual) <= enough).all()

    def converges_everywhere(self, before, now, rate, simplified):
        """Whether each component has converged to rounding, judged by its own rate."""
        small = self.tolerance / abs(self.h) * self.allowed
        residual = np.abs(now.residual)
        shrunk = residual / np.maximum(np.abs(before.residual), self.tiny / abs(self.h))
        shrunk = np.where(residual > small, shrunk, 0.0)
        if np.max(shrunk) > 0.5:
            return False
        slower = np.maximum(rate, shrunk)
        remaining = slower / (1 - slower) * self.h * now.D / self.allowed
        return not simplified or largest(remaining) <= self.tolerance

    def is_all_rounding(self, equations, now):
        """Whether the residual is what a few roundings of the terms of Y make of f."""
        n, terms = self.coupled, self.terms(equations.K)
        F, G = equations.F, np.empty_like(equations.F)
        self.evaluate(equations.times, now.Y + self.nudge * terms, G)
        noise = np.abs(G - F)[:, :n] + self.eps * (np.abs(F[:, :n]) + terms / abs(self.h))
        return (np.abs(now.residual) <= NOISE * np.max(noise, axis=0)).all()

    def terms(self, K):
        """Return the size of the terms of Y, |y| + |h K|."""
        return np.abs(self.y) + np.abs(self.h * K)

    def evaluate(self, times, Y, F):
        """Write f at each of the stages into the rows of F."""
        field = self.field
        for time, stage, k in zip(times, Y, F):
            field(time, stage, k)
        self.stats.nfev += len(times)
