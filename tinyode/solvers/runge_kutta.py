"""One explicit Runge-Kutta step, of any tableau: `rk_step` as the book has it, `Stepper` in place.

    k_i = f(t + c_i h, Y_i),      Y_i = y + h sum_{j<i} a_ij k_j
    y1  = y + h sum_i b_i k_i,    error = h sum_i e_i k_i

Hairer, Norsett and Wanner I, section II.1. Read `rk_step`, then see in `Stepper` what a solve makes
of it that takes thousands of steps. A test holds the two equal.
"""

import numpy as np


def rk_step(f, tableau, t, y, h):
    """Take one explicit step of size h from (t, y).

    Parameters
    ----------
    f : function
        ``f(t, y)`` returns dy/dt, shape (n,).
    tableau : Tableau
        a (s, s), b (s,), c (s,) and e (s,), or None without an error estimate.
    t, h : float
    y : array, shape (n,)

    Returns
    -------
    y1 : array, shape (n,)
        The state at t + h.
    K : array, shape (s, n)
        The stages k_1, ..., k_s.
    error : array, shape (n,), or None
        The estimated error of y1.
    """
    K = np.zeros((tableau.stages, len(y)))
    for i, (a_i, c_i) in enumerate(zip(tableau.a, tableau.c)):
        Y_i = y + h * (a_i[:i] @ K[:i])
        K[i] = f(t + c_i * h, Y_i)
    y1 = y + h * (tableau.b @ K)
    error = None if tableau.e is None else h * (tableau.e @ K)
    return y1, K, error


class Stepper:
    """The steps of one solve, in arrays that are made once.

    It computes what `rk_step` does, in half the time where the state is small (21 against 45 us for
    a step of dopri5 on Lorenz's equations). The rows of A, and b and e, are one matrix, which is
    multiplied by h once a step. The first stage is kept from the step before.

    Parameters
    ----------
    field : function
        The flat field: ``field(t, y, k)`` writes dy/dt at the first ``coupled`` components y of the
        state into the vector k, shape (n,).
    tableau : Tableau
    y : array, shape (n,)
        An initial state, for its shape and dtype.
    coupled : int
        How many components, counted from the first, f depends upon. The others are quadratures:
        they are integrated along, and no stage needs their value.
    stats : Stats
        Whose evaluations of f are counted up.

    Attributes
    ----------
    K : array, shape (s, n)
        The stages of the step just taken. The next step writes over them.
    """

    def __init__(self, field, tableau, y, coupled, stats):
        s = tableau.stages
        self.field, self.tableau, self.coupled, self.stats = field, tableau, coupled, stats
        self.K = np.zeros((s, len(y)), y.dtype)
        self.k_first, self.k_last = self.K[0], self.K[-1]
        self.weights = tableau.weights.astype(y.dtype)  # A, b, e and e3, row under row
        self.h_weights = np.zeros_like(self.weights)  # the same, times h
        self.h_b, self.h_e, self.h_e3 = self.h_weights[s:]
        # of each stage but the first: its c_i and k_i, the h a_ij and k_j before it
        self.later_stages = [
            (c_i, self.K[i], self.h_weights[i, :i], self.K[:i, :coupled])
            for i, c_i in enumerate(tableau.c.tolist())
            if i > 0
        ]
        self.first_same_as_last = tableau.first_same_as_last
        # then the last Y_i is the state at the end, if there are no quadratures
        self.last_stage_is_y1 = self.first_same_as_last and coupled == len(y)

    def start(self, t, y):
        """Evaluate the first stage, f(t, y)."""
        self.field(t, y[: self.coupled], self.k_first)
        self.stats.nfev += 1

    def slope(self, t, y):
        """Return f(t, y) of the coupled components y, in an array of its own."""
        k = np.empty_like(self.k_first)
        self.field(t, y, k)
        self.stats.nfev += 1
        return k[: self.coupled]

    def step(self, t, t1, y, h):
        """Take one step of size h from t to t1; return the state there, shape (n,).

        The first stage must be there already.
        """
        np.multiply(self.weights, h, out=self.h_weights)
        head, field = y[: self.coupled], self.field
        for c_i, k_i, h_a_i, k_before in self.later_stages:
            Y_i = head + h_a_i.dot(k_before)
            field(t1 if c_i == 1.0 else t + c_i * h, Y_i, k_i)  # t + h may round to beyond t1
        self.stats.nfev += len(self.later_stages)
        return Y_i if self.last_stage_is_y1 else y + self.h_b.dot(self.K)

    def error(self):
        """Return the estimated error of the step just taken, shape (n,)."""
        return self.h_e.dot(self.K)

    def second_error(self):
        """Return the second estimate of it, shape (n,)."""
        return self.h_e3.dot(self.K)

    def advance(self, t, y):
        """Make ready for the step after the one just taken, which begins at (t, y)."""
        if self.first_same_as_last:
            self.k_first[:] = self.k_last
        else:
            self.start(t, y)

    def not_finite(self, t, y, h):
        """Return the first (t, Y_i) of the step just tried at which f was not finite, or None."""
        n = self.coupled
        for i, c_i in enumerate(self.tableau.c.tolist()):
            if not np.isfinite(self.K[i]).all():
                return t + c_i * h, y[:n] + self.h_weights[i, :i].dot(self.K[:i, :n])
        return None
