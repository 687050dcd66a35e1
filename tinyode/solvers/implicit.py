"""One implicit Runge-Kutta step, of any tableau: the stages by Newton's method.

    k_i = f(t + c_i h, Y_i),      Y_i = y + h sum_j a_ij k_j

Stages that depend on one another are a block, with a square part A of the tableau: one stage where
the tableau is lower triangular, all s stages where it is full. Let Y0 be y plus what the earlier
blocks add to it. Then a block solves K = F(Y0 + h A K), and Newton's method is

    (I - h A (x) J) D = F - K,      K <- K + D,      J = df/dy

with the Kronecker product (x). F - K is the residual of the equations. This is a simplified Newton
method: J is that of the beginning of a step, and is kept for further steps while the iteration
converges fast. If the iteration fails, J is evaluated anew. If it fails again, an adaptive method
takes a shorter step. Where stages are solved to rounding, the last resort is Newton's full method,
with a new J in every iteration.

Let A = T diag(lambda) T^-1. Then the system of s n unknowns falls apart into one of n for each
eigenvalue:

    D = sum_i T_i (I - h lambda_i J)^-1 (T^-1 (F - K))_i,      T_i column i of T

A conjugate pair of eigenvalues needs one system: the sum of both terms is twice the real part of
one. NumPy keeps no LU factorisation, so the inverses are kept, until J changes, or h by more than
a thousandth; the iteration corrects their rounding errors. Hairer and Wanner II, section IV.8.

When is a stage solved? A small D is not enough, because a Jacobian that is much too large makes
every D small. The iteration ends in one of three ways:

* In the first iteration D and the residual are both small. No Jacobian is needed to see that.
* D is small times rate / (1 - rate), an estimate of the error that is remaining, with the rate at
  which D has shrunk. And every equation has shown progress: its residual is small, or has at least
  halved. (Where stages are solved to rounding, each component has its own rate, the slower one of
  D and of its residual.)
* D no longer halves, and the residual of every equation is no larger than a few times what f
  changes by when Y changes by a few roundings: no iteration can make it smaller.

"Small" is relative to the tolerances at y, the state at the beginning of the step, which is
known. An iterate may be far off, and is no measure. Where stages are solved to rounding (at fixed
steps, and for exact gradients), "small" is relative to |y| + |h K| of each component.
"""

import math
from typing import NamedTuple

import numpy as np

from .blocks import Block, blocks, extrapolation
from .failures import SolverError
from .runge_kutta import Stepper
from .step_size import rms

# A Jacobian with which Newton's method converges more slowly than this is not kept for the next
# step. On the problems of tests/solvers/stiff.py, by kvaerno5 at rtol 1e-6, 0.01 takes 1,357
# Jacobians instead of 837, and 1.0 takes 6 % more evaluations of f; the time hardly changes.
SLOW = 0.1
# The residual may be so many times what a change of Y by a few roundings makes of f.
NOISE = 10
# A change of h by so much hardly slows Newton's method; the inverses are kept.
SAME_STEP = 1e-3
# A first D so many times too large, and larger than the guess, says that the guess was bad.
FAR = 1e3
# So many iterations at most: to the tolerances (as in the code RADAU5), and to rounding.
MOST, MOST_EXACT = 7, 50


def largest(X):
    """Return the largest root mean square of a row."""
    return rms(X[0]) if len(X) == 1 else max(map(rms, X))


class Equations(NamedTuple):
    """The equations K = F(Y0 + hA K) of the stages of a block, in one step."""

    block: Block
    times: list
    Y0: np.ndarray
    hA: np.ndarray
    K: np.ndarray  # a view of the stepper's stages, which the iteration writes
    F: np.ndarray  # f at the latest stages


class Iteration(NamedTuple):
    """What one iteration of Newton's method has found; ``norm`` is that of D / allowed."""

    Y: np.ndarray
    residual: np.ndarray
    D: np.ndarray
    norm: float


class ImplicitStepper(Stepper):
    """`Stepper` for implicit tableaus.

    Parameters
    ----------
    field, tableau, y, coupled, stats
        See `Stepper`.
    jacobian : function
        ``jacobian(t, y)`` returns df/dy of the coupled components, shape (n, n).
    options : Options
        For adaptive steps Newton's iteration stops at 0.01 to 0.1 of the tolerances, in the root
        mean square. For fixed steps, and with ``exact``, it stops at rounding.

    Attributes
    ----------
    J : array, shape (n, n), or None
        The Jacobian. ``fresh``: it is of this step. ``slow``: the iteration converges slowly by it.
    inverses : dict
        For each block (I - h lambda J)^-1, with this J and ``h_of_inverses``.
    K_before, h_before
        The stages and the size of the step before, which a first guess is extrapolated from.
    trouble : (float, array) or None
        Where f was not finite.
    """

    def __init__(self, field, tableau, y, coupled, stats, jacobian, options):
        super().__init__(field, tableau, y, coupled, stats)
        self.jacobian, self.blocks, self.nodes = jacobian, blocks(tableau.a), tableau.c.tolist()
        self.J, self.fresh, self.slow = None, False, False
        self.inverses, self.h_of_inverses = {}, None
        self.trouble = None
        self.within = [extrapolation(tableau.c[:i], c_i, 3) for i, c_i in enumerate(tableau.c)]
        self.onward, self.ratio = None, None
        self.exact = options.fixed or options.exact
        self.rtol, self.atol = options.rtol, options.atol
        self.eps, self.tiny = float(np.finfo(y.dtype).eps), float(np.finfo(y.dtype).tiny)
        few = self.eps * np.linspace(4, 16, coupled)
        self.nudge = (few * (-1.0) ** np.arange(coupled)).astype(y.dtype)

    def start(self, t, y):
        """Evaluate f(t, y): the first stage where that is explicit, else a guess of all."""
        super().start(t, y)
        self.K_before, self.h_before = np.tile(self.k_first, (len(self.K), 1)), None

    def advance(self, t, y):
        """Make ready for the step after the one just taken, which begins at (t, y)."""
        self.K_before, self.h_before = self.K.copy(), self.h
        self.fresh = False
        if self.slow:
            self.J, self.slow = None, False
        if self.blocks[0].eigenvalues is None:
            super().advance(t, y)

    def step(self, t, t1, y, h):
        """Take one step of size h from t to t1.

        Return the state at t1, shape (n,), or None where Newton's method fails.
        """
        np.multiply(self.weights, h, out=self.h_weights)
        self.h, self.trouble, self.head = h, None, y[: self.coupled]
        self.set_tolerance()
        while True:
            if self.J is None:
                self.linearise(t, self.head)
                self.fresh = True
            if all(self.solved(block, t, t1, y) for block in self.blocks):
                return y + self.h_b.dot(self.K)
            if self.fresh:
                break
            self.J = None
        if self.exact and all(self.solved(block, t, t1, y, False) for block in self.blocks):
            self.slow = True
            return y + self.h_b.dot(self.K)
        self.stats.newton_failures += 1
        return None

    def set_tolerance(self):
        """Choose how small D must be: ``tolerance``, in units of ``allowed``.

        For adaptive steps that is a hundredth of the error allowed, or up to a tenth where that is
        near rounding. Rounding alone may make D as large as ``rounding``.
        """
        if self.exact:
            self.tolerance, self.rounding, self.allowed = 0.1, self.eps**-0.5, None
            return
        self.allowed = self.atol + self.rtol * np.abs(self.head)
        near_rounding = 10 * rms(self.eps * self.head / self.allowed)
        self.tolerance = self.rounding = min(0.1, max(0.01, near_rounding))

    def linearise(self, t, y):
        """Evaluate the Jacobian."""
        self.J = self.jacobian(t, y)
        if not np.isfinite(self.J).all():
            raise SolverError(
                f"the Jacobian df/dy is not finite at y = {y!s:.200}, where f may be: look for a"
                " root or a power there; or give another with jacobian=",
                t,
                self.h,
            )
        self.stats.jacobians += 1
        self.slow = False
        self.inverses.clear()

    def inverse(self, block):
        """Return (I - h lambda J)^-1 for each eigenvalue of a block, shape (m, n, n)."""
        h = self.h
        if self.h_of_inverses is None or abs(h - self.h_of_inverses) > SAME_STEP * abs(h):
            self.h_of_inverses = h
            self.inverses.clear()
        key = block.eigenvalues.tobytes()
        if key not in self.inverses:
            self.stats.factorisations += len(block.eigenvalues)
            h_lambda = (h * block.eigenvalues)[:, None, None]
            self.inverses[key] = np.linalg.inv(np.eye(len(self.J)) - h_lambda * self.J)
        return self.inverses[key]

    def solved(self, block, t, t1, y, simplified=True):
        """Find the stages of a block, in K; return whether Newton's method converged."""
        first, stop, n = block.first, block.stop, self.coupled
        times = [t1 if c == 1.0 else t + c * self.h for c in self.nodes[first:stop]]
        Y0 = self.head + self.h_weights[first:stop, :first] @ self.K[:first, :n]
        if block.eigenvalues is None:
            if first:  # the first stage is already computed
                self.evaluate(times, Y0, self.K[first:stop])
            return True
        hA, K = self.h_weights[first:stop, first:stop], self.K[first:stop, :n]
        F = np.empty((stop - first, len(y)), y.dtype)
        K[:] = self.predict(block) if simplified else 0.0
        if not self.newton(Equations(block, times, Y0, hA, K, F), simplified):
            return False
        if len(y) > n:  # the quadratures
            self.evaluate(times, Y0 + hA @ K, F)
            self.K[first:stop, n:] = F[:, n:]
        return True

    def predict(self, block):
        """Extrapolate known stages to those of a block.

        Return one guess for each, (m, n), or one for all, (n,).
        """
        n, first = self.coupled, block.first
        if first:
            return self.within[first] @ self.K[:first, :n]
        ratio = 0.0 if self.h_before is None else self.h / self.h_before
        if ratio != self.ratio:
            c, most = self.tableau.c, len(self.K)
            self.onward = np.array([extrapolation(c, 1 + ratio * x, most) for x in c[: block.stop]])
            self.ratio = ratio
        return self.onward @ self.K_before[:, :n]

    def newton(self, equations, simplified):
        """Iterate from the guess in K; return whether the iteration converged."""
        K, before = equations.K, None
        guess = K.copy()
        for remaining in reversed(range(MOST_EXACT if self.exact else MOST)):
            now = self.iterate(equations, simplified)
            if now is None:
                return False
            if before is None:
                small = now.norm <= self.tolerance
                if small and largest(self.h * now.residual / self.allowed) <= self.tolerance:
                    return True
                if now.norm > FAR * self.tolerance and largest(now.D) > largest(guess) > 0:
                    guess = np.zeros_like(K)  # one worse than none may lead to another solution
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
        Y = Y0 + hA @ K
        self.evaluate(times, Y, F)
        residual = F[:, : self.coupled] - K
        D = self.correction(block, times[-1], Y[-1], residual, simplified)
        if D is None:
            return None
        K += D
        if self.exact:
            self.allowed = self.eps * np.maximum(self.terms(K), self.tiny)
        norm = largest(self.h * D / self.allowed)
        if not math.isfinite(norm):
            bad = [i for i, k in enumerate(F) if not np.isfinite(k).all()]
            self.trouble = (times[bad[0]], Y[bad[0]]) if bad else None
            return None
        return Iteration(Y, residual, D, norm)

    def correction(self, block, t, y, residual, simplified):
        """Return Newton's D for a residual, or None where the matrix is singular."""
        try:
            if not simplified:
                self.linearise(t, y)
            inverse = self.inverse(block)
        except np.linalg.LinAlgError:
            return None
        except SolverError:  # at an iterate, which may be anywhere, J need not be finite
            if simplified:
                raise
            return None
        return (block.T @ (inverse @ (block.T_inv @ residual)[:, :, None])[:, :, 0]).real

    def converged(self, equations, before, now, remaining, simplified):
        """Return whether the iteration has converged: True, False (it will not), or None (go on).

        ``remaining`` is how many iterations may still follow.
        """
        h, norm, allowed, tolerance = self.h, now.norm, self.allowed, self.tolerance
        norm_before = largest(h * before.D / allowed) if self.exact else before.norm
        stands = 0.5 * norm_before <= norm <= self.rounding
        if stands and self.is_all_rounding(equations, now):
            return True
        if simplified and norm >= norm_before:
            return False
        rate = norm / max(norm_before, self.tiny)
        self.slow = self.slow or (rate > SLOW and norm > self.rounding)
        if rate < 1 and (rate / (1 - rate) if simplified else 1.0) * norm <= tolerance:
            shrunk = self.shrunk(h * now.residual, h * before.residual, tolerance * allowed)
            if np.max(shrunk) > 0.5:
                return None
            if not (self.exact and simplified):
                return True
            slower = np.maximum(rate, shrunk)
            if largest(slower / (1 - slower) * h * now.D / allowed) <= tolerance:
                return True
        elif simplified and rate**remaining / (1 - rate) * norm > tolerance:
            return False  # it will not be there in the iterations that are remaining
        return None

    def shrunk(self, residual, before, small):
        """Return what is remaining of the residual of each equation, 0 where it is small."""
        residual, before = np.abs(residual), np.maximum(np.abs(before), self.tiny)
        return np.where(residual > small, residual / before, 0.0)

    def is_all_rounding(self, equations, now):
        """Whether the residual is what a few roundings of the terms of Y make of f."""
        n, terms = self.coupled, self.terms(equations.K)
        F, G = equations.F, np.empty_like(equations.F)
        self.evaluate(equations.times, now.Y + self.nudge * terms, G)
        noise = np.abs(G - F)[:, :n] + self.eps * (np.abs(F[:, :n]) + terms / abs(self.h))
        return (np.abs(now.residual) <= NOISE * np.max(noise, axis=0)).all()

    def terms(self, K):
        """Return the size of the terms of Y, |y| + |h K|."""
        return np.abs(self.head) + np.abs(self.h * K)

    def evaluate(self, times, Y, F):
        """Write f at each of the stages into the rows of F."""
        for time, stage, k in zip(times, Y, F):
            self.field(time, stage, k)
        self.stats.nfev += len(times)

    def not_finite(self, t, y, h):
        """Return the first (t, Y_i) of the step just tried at which f was not finite, or None."""
        return self.trouble
