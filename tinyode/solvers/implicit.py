"""One implicit Runge-Kutta step, of any tableau: the stages by Newton's method.

    k_i = f(t + c_i h, Y_i),      Y_i = y + h sum_j a_ij k_j

Stages that depend on one another are a block, with a square part A of the tableau: one stage where
the tableau is lower triangular, all s stages where it is full. Let Y0 be y plus what the earlier
blocks add to it. Then a block solves K = F(Y0 + h A K), and Newton's method is

    (I - h A (x) J) D = F - K,      K <- K + D,      J = df/dy

with the Kronecker product (x). F - K is the rest, the residual of the equations. It is a
simplified Newton's method: J is that of the beginning of a step, and is kept for further steps
while the iteration converges fast. (Where it fails, J is evaluated anew. Where that fails too, an
adaptive method takes a shorter step; where stages are solved to rounding, J is evaluated in every
iteration.) Where A = T diag(lambda) T^-1, the system of s n unknowns falls apart into one of n
for each eigenvalue:

    D = sum_i T_i (I - h lambda_i J)^-1 (T^-1 (F - K))_i,      T_i column i of T

A conjugate pair of eigenvalues needs one system: the sum of both terms is twice the real part of
one. NumPy keeps no LU factorisation, so the inverses are kept, until J changes, or h by more than
a thousandth; the iteration corrects their rounding errors. Hairer and Wanner II, section IV.8.

When is a stage solved? A small D is not enough, because a Jacobian that is much too large makes
every D small. The iteration ends in one of three ways:

* In the first iteration D and the rest are both small. No Jacobian is needed to see that.
* D is small times rate / (1 - rate), an estimate of the error that is left, with the rate at
  which D has shrunk. And every equation has shown progress: its rest is small, or has at least
  halved. (Where stages are solved to rounding, each component has its own rate, the slower one of
  D and of its rest.)
* D no longer halves, and the rest of every equation is no larger than a few times what f changes
  by when Y changes by a few roundings: no iteration can make it smaller.

"Small" is relative to the tolerances at y, the state at the beginning of the step, which is
known. An iterate may be far off, and is no measure. Where stages are solved to rounding (at fixed
steps, and for exact gradients), "small" is relative to |y| + |h K| of each component.
"""

import math
from typing import NamedTuple

import numpy as np

from .options import SolverError
from .runge_kutta import Stepper
from .step_size import rms

# a Jacobian with which Newton's method converges more slowly than this is not kept for the next
# step
SLOW = 0.1
NOISE = 10  # the rest may be so many times what a change of Y by a few roundings makes of f


class Block(NamedTuple):
    """Stages first ... stop - 1, and A = T diag(eigenvalues) T_inv; no eigenvalues where the one
    stage is explicit.
    """

    first: int
    stop: int
    eigenvalues: np.ndarray | None
    T: np.ndarray | None
    T_inv: np.ndarray | None


def blocks(a):
    """Cut a tableau's matrix, shape (s, s), into its blocks."""
    found, first = [], 0
    while first < len(a):
        stop = first + 1
        while a[first:stop, stop:].any():
            stop += 1
        A = a[first:stop, first:stop]
        if not A.any():
            found.append(Block(first, stop, None, None, None))
        else:
            values, T = np.linalg.eig(A)
            kept = (
                values.imag >= 0
            )  # the real part of twice one of a conjugate pair is the sum of both
            found.append(
                Block(
                    first,
                    stop,
                    values[kept],
                    (T * np.where(values.imag > 0, 2, 1))[:, kept],
                    np.linalg.inv(T)[kept],
                )
            )
        first = stop
    return found


def guess(c, x, most):
    """Return weights w for the guess k(x) ~ sum_j w_j k_j of a slope: by the polynomial through the
    last slopes, so many at most.
    """
    nodes = {node: j for j, node in enumerate(c.tolist())}  # the later one of two at the same place
    chosen = sorted(nodes.values())[-most:]
    w = np.zeros(len(c))
    for j in chosen:
        w[j] = np.prod([(x - c[m]) / (c[j] - c[m]) for m in chosen if m != j])
    return w


def largest(X):
    """Return the largest root mean square of a row."""
    return rms(X[0]) if len(X) == 1 else max(map(rms, X))


class ImplicitStepper(Stepper):
    """`Stepper` for implicit tableaus.

    Parameters
    ----------
    f, tableau, y, coupled, stats
        See `Stepper`.
    jacobian : function
        ``jacobian(t, y)`` returns df/dy of the coupled components, shape (n, n).
    options : Options
        For adaptive steps Newton's iteration stops at 0.01 to 0.1 of the tolerances, in the root
        mean square. For fixed steps, and with ``exact``, it stops at rounding.
    """

    def __init__(self, f, tableau, y, coupled, stats, jacobian, options):
        super().__init__(f, tableau, y, coupled, stats)
        self.jacobian, self.blocks = jacobian, blocks(tableau.a)
        self.guesses = [guess(tableau.c[:i], c, 3) for i, c in enumerate(tableau.c)]
        self.J, self.fresh, self.slow, self.inverses, self.h, self.trouble = (
            None,
            False,
            False,
            {},
            None,
            None,
        )
        self.ratio = self.onward = None
        self.exact, self.rtol, self.atol = (
            options.fixed or options.exact,
            options.rtol,
            options.atol,
        )
        self.eps, self.most = float(np.finfo(y.dtype).eps), 50 if self.exact else 7
        self.tiny, few = float(np.finfo(y.dtype).tiny), self.eps * np.linspace(4, 16, self.coupled)
        self.nudge = (few * (-1.0) ** np.arange(self.coupled)).astype(y.dtype)

    def start(self, t, y):
        """Evaluate f(t, y): the first stage where that is explicit, else a guess of all."""
        super().start(t, y)
        self.before, self.h_before = np.tile(self.K[0], (len(self.K), 1)), None

    def advance(self, t, y):
        """Make ready for the step after the one just taken, which begins at (t, y)."""
        self.before, self.h_before = self.K.copy(), self.h_taken
        self.fresh = False
        if self.slow:
            self.J, self.slow = None, False
        if self.blocks[0].eigenvalues is None:
            super().advance(t, y)

    def step(self, t, t1, y, h):
        """Take one step of size h from t to t1. Return the state at t1, shape (n,), or None where
        Newton's method fails.
        """
        np.multiply(self.weights, h, out=self.h_weights)
        self.h_taken, self.trouble, head = h, None, y[: self.coupled]
        if self.exact:
            self.tolerance, self.rounding = 0.1, self.eps**-0.5
        else:  # a hundredth of the error allowed, or up to a tenth where that is near rounding
            self.allowed = self.atol + self.rtol * np.abs(head)
            self.tolerance = self.rounding = min(
                0.1, max(0.01, 10 * rms(self.eps * head / self.allowed))
            )
        while True:
            if self.J is None:
                self.linearise(t, head, h)
                self.fresh = True
            if all(self.solved(block, t, t1, y, h) for block in self.blocks):
                return y + self.h_b.dot(self.K)
            if self.fresh:
                break
            self.J = None
        if self.exact and all(
            self.solved(block, t, t1, y, h, simplified=False) for block in self.blocks
        ):
            self.slow = True
            return y + self.h_b.dot(self.K)
        self.stats.newton_failures += 1
        return None

    def linearise(self, t, y, h):
        """Evaluate the Jacobian."""
        self.J = self.jacobian(t, y)
        if not np.isfinite(self.J).all():
            raise SolverError(
                f"the Jacobian df/dy is not finite at y = {y!s:.200}, where f may be: look for a"
                " root or a power there; or give another with jacobian=",
                t,
                h,
            )
        self.stats.jacobians += 1
        self.slow = False
        self.inverses.clear()

    def inverse(self, block, h):
        """Return (I - h lambda J)^-1 for each eigenvalue of a block, shape (m, n, n)."""
        if self.h is None or abs(h - self.h) > 1e-3 * abs(
            h
        ):  # a thousandth hardly slows Newton's method
            self.h = h
            self.inverses.clear()
        key = block.eigenvalues.tobytes()
        if key not in self.inverses:
            self.stats.factorisations += len(block.eigenvalues)
            self.inverses[key] = np.linalg.inv(
                np.eye(len(self.J)) - (h * block.eigenvalues)[:, None, None] * self.J
            )
        return self.inverses[key]

    def predict(self, block, h):
        """Extrapolate known stages to those of a block: one guess for each, (m, n), or one for all,
        (n,).
        """
        n, first = self.coupled, block.first
        if first:
            return self.guesses[first] @ self.K[:first, :n]
        ratio = 0.0 if self.h_before is None else h / self.h_before
        if ratio != self.ratio:
            nodes = self.tableau.c[: block.stop]
            self.onward = np.array(
                [guess(self.tableau.c, 1 + ratio * c, len(self.K)) for c in nodes]
            )
            self.ratio = ratio
        return self.onward @ self.before[:, :n]

    def correction(self, block, t, y, h, rest, simplified):
        """Return Newton's D for what is left of the equations, or None where the matrix is
        singular.
        """
        try:
            if not simplified:
                self.linearise(t, y, h)
            inverse = self.inverse(block, h)
        except np.linalg.LinAlgError:
            return None
        except SolverError:  # at an iterate, which may be anywhere, J need not be finite
            if simplified:
                raise
            return None
        return (block.T @ (inverse @ (block.T_inv @ rest)[:, :, None])[:, :, 0]).real

    def solved(self, block, t, t1, y, h, simplified=True):
        """Find the stages of a block, in K; return whether Newton's method converged."""
        first, stop, n, head = block.first, block.stop, self.coupled, y[: self.coupled]
        rows = self.h_weights[first:stop]
        times = [t1 if c == 1.0 else t + c * h for c in self.tableau.c[first:stop].tolist()]
        Y0 = head + rows[:, :first] @ self.K[:first, :n]
        if block.eigenvalues is None:
            if first:  # the first stage is already computed
                self.evaluate(times, Y0, self.K[first:stop])
            return True
        A, K, F = (
            rows[:, first:stop],
            self.K[first:stop, :n],
            np.empty((stop - first, len(y)), y.dtype),
        )
        start, D, rest, size = np.zeros_like(K), None, None, None
        if simplified:
            start[:] = self.predict(block, h)
        K[:] = start
        allowed = None if self.exact else self.allowed
        for left in range(self.most - 1, -1, -1):
            Y = Y0 + A @ K
            self.evaluate(times, Y, F)
            D_before, rest_before, size_before, rest = D, rest, size, F[:, :n] - K
            D = self.correction(block, times[-1], Y[-1], h, rest, simplified)
            if D is None:
                return False
            K += D
            if self.exact:
                allowed = self.eps * np.maximum(np.abs(head) + np.abs(h * K), self.tiny)
            size = largest(h * D / allowed)
            if not math.isfinite(size):
                bad = [i for i, k in enumerate(F) if not np.isfinite(k).all()]
                self.trouble = (times[bad[0]], Y[bad[0]]) if bad else None
                return False
            if D_before is None:
                if size <= self.tolerance and largest(h * rest / allowed) <= self.tolerance:
                    break
                if size > 1e3 * self.tolerance and largest(D) > largest(start) > 0:
                    K[:], start, D = (
                        0.0,
                        np.zeros_like(K),
                        None,
                    )  # a guess worse than none may lead to another solution
                continue
            before = largest(h * D_before / allowed) if self.exact else size_before
            if 0.5 * before <= size <= self.rounding and self.is_rounding(
                times, Y, F, np.abs(head) + np.abs(h * K), rest
            ):
                break
            if simplified and size >= before:
                return False
            rate = size / max(before, self.tiny)
            self.slow = self.slow or (rate > SLOW and size > self.rounding)
            if rate < 1 and (rate / (1 - rate) if simplified else 1.0) * size <= self.tolerance:
                shrunk = self.shrunk(h * rest, h * rest_before, self.tolerance * allowed)
                slower = np.maximum(rate, shrunk) if self.exact and simplified else None
                if np.max(shrunk) <= 0.5 and (
                    slower is None
                    or largest(slower / (1 - slower) * h * D / allowed) <= self.tolerance
                ):
                    break
            elif simplified and rate**left / (1 - rate) * size > self.tolerance:
                return False  # it will not be there in the iterations that are left
        else:
            return False
        if len(y) > n:
            self.evaluate(times, Y0 + A @ K, F)
            self.K[first:stop, n:] = F[:, n:]
        return True

    def shrunk(self, rest, rest_before, small):
        """Return what is left of the rest of each equation, 0 where it is small."""
        rest, rest_before = np.abs(rest), np.maximum(np.abs(rest_before), self.tiny)
        return np.where(rest > small, rest / rest_before, 0.0)

    def is_rounding(self, times, Y, F, terms, rest):
        """Whether the rest of the equations is what a change of Y by a few roundings of its terms,
        y and h K, makes of f.
        """
        G, n = np.empty_like(F), self.coupled
        self.evaluate(times, Y + self.nudge * terms, G)
        noise = np.abs(G - F)[:, :n] + self.eps * (np.abs(F[:, :n]) + terms / abs(self.h_taken))
        return (np.abs(rest) <= NOISE * np.max(noise, axis=0)).all()

    def evaluate(self, times, Y, F):
        """Write f at each of the stages into the rows of F."""
        for time, stage, k in zip(times, Y, F):
            self.f(time, stage, k)
        self.stats.nfev += len(times)

    def not_finite(self, t, y, h):
        """Return the first (t, y) of the step just tried at which f was not finite, or None."""
        return self.trouble
