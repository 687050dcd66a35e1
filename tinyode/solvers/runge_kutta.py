"""One explicit Runge-Kutta step, of any tableau: the stages and the error estimate.

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j)
    y1  = y + h sum_i b_i k_i

The stages are the rows of one matrix K of shape (s, n), so that a stage's increment is one product
of a row of h A with the rows of K above it. Hairer, Norsett and Wanner I, section II.1.
"""

import numpy as np


class Stepper:
    """The workspace of one solve: the matrix of stages, and views of it made once.

    Parameters
    ----------
    f : function
        ``f(t, y, k)`` writes dy/dt at the first ``coupled`` components y of the state into the
        vector k, shape (n,).
    tableau : Tableau
    y : array, shape (n,)
        An initial state, for its shape and dtype.
    coupled : int
        How many components, counted from the first, f depends upon. The others are quadratures:
        they are integrated along, and no stage needs their value.
    stats : Stats
        Whose evaluations of f are counted up.
    """

    def __init__(self, f, tableau, y, coupled, stats):
        s, dtype = tableau.stages, y.dtype
        self.f, self.tableau, self.coupled, self.stats = f, tableau, coupled, stats
        self.K = np.zeros((s, len(y)), dtype)
        self.first, self.last = self.K[0], self.K[-1]
        nothing = np.zeros(s)
        self.tableau_rows = np.vstack(
            [
                tableau.a,
                tableau.b,
                nothing if tableau.e is None else tableau.e,
                nothing if tableau.e3 is None else tableau.e3,
            ]
        ).astype(dtype)
        self.h_times_rows = np.zeros((s + 3, s), dtype)  # h A, h b, h e, h e3
        self.stages = [
            (c, self.K[i], self.h_times_rows[i, :i], self.K[:i, :coupled])
            for i, c in enumerate(tableau.c.tolist())
            if i
        ]
        self.h_b, self.h_e, self.h_e3 = self.h_times_rows[-3:]
        self.first_same_as_last = tableau.first_same_as_last
        self.stage_is_end = self.first_same_as_last and coupled == len(y)

    def start(self, t, y):
        """Evaluate the first stage, f(t, y)."""
        self.f(t, y[: self.coupled], self.first)
        self.stats.nfev += 1

    def slope(self, t, y):
        """Return f(t, y) in an array of its own, shape (n,)."""
        k = np.empty_like(self.first)
        self.f(t, y[: self.coupled], k)
        self.stats.nfev += 1
        return k

    def step(self, t, t1, y, h):
        """Take one step of size h from t to t1; the first stage must be there. Return the state at
        t1, shape (n,).
        """
        head, f = y[: self.coupled], self.f
        np.multiply(self.tableau_rows, h, out=self.h_times_rows)
        for c, k, row, above in self.stages:
            stage = head + row.dot(above)
            f(t1 if c == 1.0 else t + c * h, stage, k)  # t + h may round to beyond t1
        self.stats.nfev += len(self.stages)
        if self.stage_is_end:
            return stage  # the last stage was f there
        return y + self.h_b.dot(self.K)

    def error(self):
        """Return the estimated error of the step just taken, shape (n,)."""
        return self.h_e.dot(self.K)

    def second_error(self):
        """Return the second estimate of it, shape (n,)."""
        return self.h_e3.dot(self.K)

    def advance(self, t, y):
        """Make ready for the step after the one just taken, which begins at (t, y)."""
        if self.first_same_as_last:
            self.first[:] = self.last
        else:
            self.start(t, y)

    def not_finite(self, t, y, h):
        """Return the first (t, y) of the step just tried at which f was not finite, or None."""
        for i, c in enumerate(self.tableau.c.tolist()):
            if not np.isfinite(self.K[i]).all():
                return t + c * h, y[: self.coupled] + self.h_times_rows[i, :i].dot(
                    self.K[:i, : self.coupled]
                )
        return None
