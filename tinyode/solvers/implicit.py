"""One implicit Runge-Kutta step, of any tableau.

    k_i = f(t + c_i h, Y_i),      Y_i = y + h sum_j a_ij k_j

Stages that depend on one another are a block, with a square part A of the tableau: one stage where
the tableau is lower triangular, all s stages where it is full. Let Y0 be y plus what the earlier
blocks add to it. Then a block solves K = F(Y0 + h A K), by Newton's method (`newton`), from a guess
that is extrapolated from stages that are known.

If the iteration fails, the Jacobian is evaluated anew. If it fails again, an adaptive method takes
a shorter step. Where stages are solved to rounding, the last resort is Newton's full method, with a
new Jacobian in every iteration. Hairer and Wanner II, section IV.8.
"""

import numpy as np

from .blocks import blocks, extrapolation
from .newton import Equations, Newton
from .runge_kutta import Stepper

# The guess of a stage is a polynomial through so many known slopes at most. 2 takes 3 % more time,
# and 4 the same (kvaerno5 on six problems of the benchmark stiff_solvers.py).
SLOPES = 3


class ImplicitStepper(Stepper):
    """`Stepper` for implicit tableaus.

    Parameters
    ----------
    field, tableau, y, coupled, stats
        See `Stepper`.
    jacobian, options
        See `Newton`.

    Attributes
    ----------
    newton : Newton
    K_before, h_before
        The stages and the size of the step before, which a first guess is extrapolated from.
    """

    def __init__(self, field, tableau, y, coupled, stats, jacobian, options):
        super().__init__(field, tableau, y, coupled, stats)
        self.newton = Newton(field, jacobian, coupled, y.dtype, options, stats)
        self.blocks, self.nodes = blocks(tableau.a), tableau.c.tolist()
        self.within = {
            block.first: extrapolation(tableau.c[: block.first], SLOPES)([tableau.c[block.first]])
            for block in self.blocks
            if block.stop == block.first + 1 and block.first > 0
        }
        self.beyond = extrapolation(tableau.c, SLOPES)
        self.onward, self.ratio = None, None

    @property
    def rate(self):
        """How fast Newton's method converged in the step just taken."""
        return self.newton.rate

    def start(self, t, y):
        """Evaluate f(t, y): the first stage where that is explicit, else a guess of all."""
        super().start(t, y)
        self.K_before, self.h_before = np.tile(self.k_first, (len(self.K), 1)), None

    def advance(self, t, y):
        """Prepare the step after the one just taken, which begins at (t, y)."""
        self.K_before, self.h_before = self.K.copy(), self.h
        self.newton.advance()
        if self.blocks[0].eigenvalues is None:
            super().advance(t, y)

    def step(self, t, t1, y, h):
        """Take one step of size h from t to t1.

        Return the state at t1, shape (n,), or None where Newton's method fails.
        """
        np.multiply(self.weights, h, out=self.h_weights)
        self.h, self.head, newton = h, y[: self.coupled], self.newton
        newton.start(t, self.head, h)
        while not all(self.solved(block, t, t1, y) for block in self.blocks):
            if newton.fresh:
                return self.step_by_full_newton(t, t1, y)
            newton.linearise(t, self.head)
        return y + self.h_b.dot(self.K)

    def step_by_full_newton(self, t, t1, y):
        """Take the step where the simplified method has failed, and there is no shorter one."""
        newton = self.newton
        if newton.exact and all(self.solved(block, t, t1, y, False) for block in self.blocks):
            newton.slow = True
            return y + self.h_b.dot(self.K)
        self.stats.newton_failures += 1
        return None

    def solved(self, block, t, t1, y, simplified=True):
        """Find the stages of a block, in K; return whether Newton's method converged."""
        first, stop, n = block.first, block.stop, self.coupled
        times = [t1 if c == 1.0 else t + c * self.h for c in self.nodes[first:stop]]
        Y0 = self.head + self.h_weights[first:stop, :first].dot(self.K[:first, :n])
        if block.eigenvalues is None:
            if first:  # the first stage is already computed
                self.newton.evaluate(times, Y0, self.K[first:stop])
            return True
        hA, K = self.h_weights[first:stop, first:stop], self.K[first:stop, :n]
        F = np.empty((stop - first, len(y)), y.dtype)
        K[:] = self.predict(block) if simplified else 0.0
        if not self.newton.solve(Equations(block, times, Y0, hA, K, F), simplified):
            return False
        if len(y) > n:  # the quadratures
            self.newton.evaluate(times, Y0 + hA @ K, F)
            self.K[first:stop, n:] = F[:, n:]
        return True

    def predict(self, block):
        """Extrapolate known stages to those of a block; return guesses, shape (m, n).

        One stage is guessed from the stages before it in the same step. A first stage, and all of
        a larger block, are guessed from the step before.
        """
        n, first = self.coupled, block.first
        if first in self.within:
            return self.within[first] @ self.K[:first, :n]
        ratio = 0.0 if self.h_before is None else self.h / self.h_before
        if ratio != self.ratio:
            self.onward = self.beyond([1 + ratio * c for c in self.nodes[first : block.stop]])
            self.ratio = ratio
        return self.onward @ self.K_before[:, :n]

    def error(self):
        """Return the estimated error of the step just taken, shape (n,)."""
        return self.filtered(super().error())

    def error_again(self, t, y, error):
        """Return the estimate with f(t, y + error) in place of f(t, y): HW, equation IV.8.20.

        It is better where the first estimate is large because f changes fast. It is for an
        estimate whose first weight is that of f(t, y).
        """
        estimate, n = super().error(), self.coupled
        slope = self.slope(t, y[:n] + error[:n])
        estimate[:n] += self.h_e[0] * (slope - self.k_first[:n])
        return self.filtered(estimate)

    def filtered(self, estimate):
        """Multiply by (I - h gamma J)^-1 where the tableau says so; quadratures stay."""
        gamma, n = self.tableau.filter, self.coupled
        if gamma is not None:
            estimate[:n] = self.newton.inverse(gamma).dot(estimate[:n])
        return estimate

    def not_finite(self, t, y, h):
        """Return the first (t, Y_i) of the step just tried at which f was not finite, or None."""
        return self.newton.trouble
