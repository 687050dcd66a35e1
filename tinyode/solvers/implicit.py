"""One implicit Runge-Kutta step, of any tableau: the stages by Newton's method.

    k_i = f(t + c_i h, Y_i),      Y_i = y + h sum_j a_ij k_j

Stages that depend on one another are a block, with a square part A of the tableau: one stage where the tableau is lower triangular, all
of them where it is full. With what the blocks before it add to y in Y0, a block is the equation K = F(Y0 + h A K), and Newton's method

    (I - h A (x) J) D = F - K,      K <- K + D,      J = df/dy

It is a simplified one: J is that of the beginning of a step, and is kept while it serves. (Where that fails, an adaptive method takes a
shorter step; at fixed steps J is then evaluated in every iteration.) Where A = T diag(lambda) T^-1, the system
of s n unknowns falls apart into one of n for each eigenvalue, of which a conjugate pair needs one:

    D = sum_i T_i (I - h lambda_i J)^-1 (T^-1 (F - K))_i

NumPy has no factorisation to keep, so the inverses are kept, until J or h changes; what they round, the iteration corrects. Hairer and
Wanner II, section IV.8.
"""

from typing import NamedTuple

import numpy as np

from .options import SolverError
from .runge_kutta import Stepper
from .step_size import error_norm

SLOW = 0.1  # a Jacobian with which Newton's method converges more slowly than this is not kept for the next step


class Block(NamedTuple):
    """Stages first ... stop - 1, and A = T diag(eigenvalues) T_inv; no eigenvalues where the one stage is explicit."""

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
            kept = values.imag >= 0  # the real part of twice one of a conjugate pair is the sum of both
            found.append(Block(first, stop, values[kept], (T * np.where(values.imag > 0, 2, 1))[:, kept], np.linalg.inv(T)[kept]))
        first = stop
    return found


def guess(c, x, most):
    """Return weights w for the guess k(x) ~ sum_j w_j k_j of a slope: by the polynomial through the last slopes, so many at most."""
    nodes = {node: j for j, node in enumerate(c.tolist())}  # the later one of two at the same place
    chosen = sorted(nodes.values())[-most:]
    w = np.zeros(len(c))
    for j in chosen:
        w[j] = np.prod([(x - c[m]) / (c[j] - c[m]) for m in chosen if m != j])
    return w


class ImplicitStepper(Stepper):
    """`Stepper` for implicit tableaus.

    Parameters
    ----------
    f, tableau, y, coupled, stats
        See `Stepper`.
    jacobian : function
        ``jacobian(t, y)`` returns df/dy of the coupled components, shape (n, n).
    options : Options
        Newton's iteration stops well below the tolerances of an adaptive method, in the root mean square whatever its norm, and at
        rounding where steps are fixed, or ``exact``.
    """

    def __init__(self, f, tableau, y, coupled, stats, jacobian, options):
        super().__init__(f, tableau, y, coupled, stats)
        self.jacobian, self.blocks = jacobian, blocks(tableau.a)
        self.guesses = [guess(tableau.c[:i], c, 3) for i, c in enumerate(tableau.c)]
        self.J, self.fresh, self.slow, self.inverses, self.h, self.eta, self.trouble = None, False, False, {}, None, 1.0, None
        self.ratio = self.onward = None
        self.exact, self.rtol, self.atol = options.fixed or options.exact, options.rtol, options.atol
        self.eps, self.most = float(np.finfo(y.dtype).eps), 50 if self.exact else 7

    def start(self, t, y):
        """Evaluate f(t, y): the first stage where that is explicit, and otherwise a guess of all."""
        super().start(t, y)
        self.before, self.h_before = np.tile(self.first, (len(self.K), 1)), None

    def advance(self, t, y):
        """Make ready for the step after the one just taken, which begins at (t, y)."""
        self.before, self.h_before = self.K.copy(), self.h_taken
        self.fresh = False
        if self.slow:
            self.J, self.slow = None, False
        if self.blocks[0].eigenvalues is None:
            super().advance(t, y)

    def step(self, t, t1, y, h):
        """Take one step of size h from t to t1. Return the state at t1, shape (n,), or None where Newton's method fails."""
        np.multiply(self.tableau_rows, h, out=self.h_times_rows)
        self.h_taken, self.trouble, head = h, None, y[:self.coupled]
        if self.exact:
            self.rtol, self.tolerance = self.eps, 0.1
            self.atol = self.eps * max(float(np.max(np.abs(head))), abs(h) * float(np.max(np.abs(self.before[:, :self.coupled])))) or 1.0
        else:  # a small part of the error allowed, unless that is of the size of rounding
            self.tolerance = min(0.1, max(0.01, 10 * error_norm(self.eps * head, head, head, self.rtol, self.atol)))
        while True:
            if self.J is None:
                self.linearise(t, head, h)
                self.fresh = True
            if all(self.solved(block, t, t1, y, h) for block in self.blocks):
                return y + self.h_b.dot(self.K)
            if self.fresh:
                break
            self.J = None
        if self.exact and all(self.solved(block, t, t1, y, h, simplified=False) for block in self.blocks):
            self.slow = True
            return y + self.h_b.dot(self.K)
        self.stats.newton_failures += 1
        return None

    def linearise(self, t, y, h):
        """Evaluate the Jacobian."""
        self.J = self.jacobian(t, y)
        if not np.isfinite(self.J).all():
            raise SolverError(f"the Jacobian df/dy is not finite at y = {y!s:.200}, where f may be: look for a root or a power there; or "
                              "give another with jacobian=", t, h)
        self.stats.jacobians += 1
        self.eta, self.slow = 1.0, False
        self.inverses.clear()

    def inverse(self, block, h):
        """Return (I - h lambda J)^-1 for each eigenvalue of a block, shape (m, n, n)."""
        if self.h is None or abs(h - self.h) > 1e-3 * abs(h):  # Newton's method does not mind a thousandth
            self.h = h
            self.inverses.clear()
        key = block.eigenvalues.tobytes()
        if key not in self.inverses:
            self.stats.factorisations += len(block.eigenvalues)
            self.inverses[key] = np.linalg.inv(np.eye(len(self.J)) - (h * block.eigenvalues)[:, None, None] * self.J)
        return self.inverses[key]

    def solved(self, block, t, t1, y, h, simplified=True):
        """Find the stages of a block, in K; return whether Newton's method converged."""
        first, stop, eigenvalues, T, T_inv = block
        n, rows = self.coupled, self.h_times_rows[first:stop]
        times = [t1 if c == 1.0 else t + c * h for c in self.tableau.c[first:stop].tolist()]
        Y0 = y[:n] + rows[:, :first] @ self.K[:first, :n]
        if eigenvalues is None:
            if first:  # the first is there
                self.evaluate(times, Y0, self.K[first:stop])
            return True
        A, K, F = rows[:, first:stop], self.K[first:stop, :n], np.empty((stop - first, len(y)), y.dtype)
        if first:
            K[:] = self.guesses[first] @ self.K[:first, :n]
        else:  # go on as in the step before
            ratio = 0.0 if self.h_before is None else h / self.h_before
            if ratio != self.ratio:
                self.onward = np.array([guess(self.tableau.c, 1 + ratio * c, len(self.K)) for c in self.tableau.c[:stop]])
                self.ratio = ratio
            K[:] = self.onward @ self.before[:, :n]
        size = None
        for left in range(self.most - 1, -1, -1):
            Y = Y0 + A @ K
            self.evaluate(times, Y, F)
            try:
                if not simplified:
                    self.linearise(times[-1], Y[-1], h)
                inverse = self.inverse(block, h)
            except np.linalg.LinAlgError:  # singular
                return False
            D = (T @ (inverse @ (T_inv @ (F[:, :n] - K))[:, :, None])[:, :, 0]).real
            K += D
            previous, size = size, max([error_norm(h * d, y[:n], y_i, self.rtol, self.atol) for d, y_i in zip(D, Y)])
            if not np.isfinite(size):
                bad = [i for i, k in enumerate(F) if not np.isfinite(k).all()]
                self.trouble = (times[bad[0]], Y[bad[0]]) if bad else None
                return False
            if not simplified:
                eta = 1.0
            elif previous is None:
                eta = self.eta = 1.0 if self.exact else max(self.eta, 1e-3) ** 0.8  # the last time's, mistrusted more each time
            elif size > 0.5 * previous and size <= (1e3 if self.exact else self.tolerance):
                break  # it cannot get nearer: rounding
            elif size < previous:
                rate = size / previous
                self.slow = self.slow or rate > SLOW
                eta = self.eta = rate / (1 - rate)
                if eta * size > self.tolerance and rate**left / (1 - rate) * size > self.tolerance:
                    return False  # it will not be there in the iterations that are left
            else:
                return False
            if eta * size <= self.tolerance:
                break
        else:
            return False
        if len(y) > n:
            self.evaluate(times, Y0 + A @ K, F)
            self.K[first:stop, n:] = F[:, n:]
        return True

    def evaluate(self, times, Y, F):
        """Write f at each of the stages into the rows of F."""
        for time, stage, k in zip(times, Y, F):
            self.f(time, stage, k)
        self.stats.nfev += len(times)

    def not_finite(self, t, y, h):
        """Return the first (t, y) of the step just tried at which f was not finite, or None."""
        return self.trouble
