"""One explicit Runge-Kutta step, of any tableau: the stages, the error estimate and the interpolant.

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j)
    y1  = y + h sum_i b_i k_i

The stages are the rows of one matrix K of shape (s, n), so that a stage's increment is one product of a row of h A with the rows of K
above it. Hairer, Norsett and Wanner I, section II.1.
"""

import numpy as np


class Stepper:
    """The workspace of one solve: the matrix of stages, and views of it made once.

    Parameters
    ----------
    f : function
        ``f(t, y, k)`` writes dy/dt at the first ``coupled`` components y of the state into the vector k, shape (n,).
    tableau : Tableau
    y : array, shape (n,)
        An initial state, for its shape and dtype.
    coupled : int
        How many components, counted from the first, f depends upon. The others are quadratures: they are integrated along, and no
        stage needs their value.
    """

    def __init__(self, f, tableau, y, coupled):
        s, dtype = tableau.stages, y.dtype
        self.f, self.coupled = f, coupled
        self.K = np.zeros((s, len(y)), dtype)
        self.first, self.last = self.K[0], self.K[-1]
        nothing = np.zeros(s)
        self.tableau_rows = np.vstack([tableau.a, tableau.b, nothing if tableau.e is None else tableau.e,
                                       nothing if tableau.e3 is None else tableau.e3]).astype(dtype)
        self.h_times_rows = np.zeros((s + 3, s), dtype)  # h A, h b, h e, h e3
        self.stages = [(c, self.K[i], self.h_times_rows[i, :i], self.K[:i, :coupled]) for i, c in enumerate(tableau.c.tolist()) if i]
        self.h_b, self.h_e, self.h_e3 = self.h_times_rows[-3:]
        self.first_same_as_last = tableau.first_same_as_last
        self.stage_is_end = self.first_same_as_last and coupled == len(y)

    def start(self, t, y):
        """Evaluate the first stage, f(t, y)."""
        self.f(t, y[:self.coupled], self.first)

    def slope(self, t, y):
        """Return f(t, y) in an array of its own, shape (n,)."""
        k = np.empty_like(self.first)
        self.f(t, y[:self.coupled], k)
        return k

    def step(self, t, t1, y, h):
        """Take one step of size h from t to t1; the first stage must be there. Return the state at t1, shape (n,)."""
        head, f = y[:self.coupled], self.f
        np.multiply(self.tableau_rows, h, out=self.h_times_rows)
        for c, k, row, above in self.stages:
            stage = head + row.dot(above)
            f(t1 if c == 1.0 else t + c * h, stage, k)  # t + h may round to beyond t1
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
        """Make ready for the step after the one just taken, which begins at (t, y). Return the evaluations of f that it took."""
        if self.first_same_as_last:
            self.first[:] = self.last
            return 0
        self.start(t, y)
        return 1


def coefficients(f, tableau, t, y, h, K):
    """Return the polynomial of the tableau's own interpolant: y(t + theta h) = y + sum_j Q[j - 1] theta^j, Q of shape (d, n)."""
    if tableau.extra is not None:
        s, more = len(K), np.empty((len(tableau.extra), len(y)), y.dtype)
        K = np.concatenate([K, more])
        for i, row in enumerate(tableau.extra.astype(y.dtype), s):
            f(t + float(row.sum()) * h, y + h * row[:i].dot(K[:i]), K[i])
    return (h * tableau.interpolant.T.astype(y.dtype)) @ K


def hermite(y0, y1, h, k0, k1):
    """Return the same for the cubic that has values y0, y1 and slopes k0, k1 at the ends of the step (HNW, equation II.6.7)."""
    d = y1 - y0
    return np.stack([h * k0, 3 * d - h * (2 * k0 + k1), h * (k0 + k1) - 2 * d])


def evaluate(y, Q, theta):
    """Evaluate y + sum_j Q[j - 1] theta^j by Horner's rule."""
    value = Q[-1]
    for q in Q[-2::-1]:
        value = q + theta * value
    return y + theta * value
