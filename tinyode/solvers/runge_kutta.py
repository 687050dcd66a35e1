"""One explicit Runge-Kutta step, of any explicit tableau.

    k_i = f(t + c_i h, Y_i),      Y_i = y + h sum_{j<i} a_ij k_j
    y1  = y + h sum_i b_i k_i,    error = h sum_i e_i k_i

(Hairer, Norsett and Wanner I, sections II.1 and II.4.) The weights e = b - b_hat compare y1 with
the result of a second method, of lower order, on the same stages. `rk_step` is these formulas.
`Stepper` computes the same, up to rounding, in arrays that are made once, for a solve of thousands
of steps; ``tests/solvers/test_runge_kutta.py`` compares the two.
"""

import numpy as np


def rk_step(f, tableau, t, y, h):
    """Take one explicit step of size h from (t, y).

    Parameters
    ----------
    f : function
        ``f(t, y)`` returns dy/dt, shape (n,).
    tableau : Tableau
        a of shape (s, s); b, c and e of shape (s,). e is None for a method without an estimate.
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
    K = np.zeros((tableau.stages, len(y)), y.dtype)
    for i, (a_i, c_i) in enumerate(zip(tableau.a, tableau.c)):
        Y_i = y + h * (a_i[:i] @ K[:i])
        K[i] = f(t + c_i * h, Y_i)
    y1 = y + h * (tableau.b @ K)
    error = None if tableau.e is None else h * (tableau.e @ K)
    return y1, K, error


class Stepper:
    """The steps of one solve, in arrays that are made once.

    A step takes half the time of `rk_step` where the state is small (dopri5 on Lorenz's equations,
    one process): A, b, e and e3 are one matrix, which is multiplied by h once a step. (e3 are the
    weights of a second estimate of the error, which dop853 has. Where a method has none, the rows
    of e and e3 are zero.) A solve calls `start` once. Then
    for each step it calls `step` and `error`; if the step is accepted `advance`, and if not, `step`
    again with a smaller h: the first stage is still there.

    Some tableaus are *first same as last*: a's last row is b, and the last c is 1. Then the last
    Y_i is y1, and the last stage is the first one of the next step.

    Parameters
    ----------
    field : function
        ``field(t, y, k)`` writes dy/dt, shape (n,), into k. It is given the first ``coupled``
        components of the state as y.
    tableau : Tableau
    y : array, shape (n,)
        A state, for its shape and dtype.
    coupled : int
        On how many components, counted from the first, dy/dt depends. The others are *quadratures*,
        integrals along the solution. Their slopes are in K, but no Y_i needs their values.
    stats : Stats
        Its ``nfev`` counts the evaluations of f.

    Attributes
    ----------
    K : array, shape (s, n)
        The stages of the step just taken, until `advance`.
    rate : float
        How fast Newton's method converged in it; 0 for explicit methods.
    """

    rate = 0.0

    def __init__(self, field, tableau, y, coupled, stats):
        s = tableau.stages
        self.field, self.tableau, self.coupled, self.stats = field, tableau, coupled, stats
        self.K = np.zeros((s, len(y)), y.dtype)
        self.k_first, self.k_last = self.K[0], self.K[-1]
        self.weights = tableau.weights.astype(y.dtype)  # A, b, e and e3, row under row
        self.h_weights = np.zeros_like(self.weights)  # the same, times h
        self.h_b, self.h_e, self.h_e3 = self.h_weights[s:]
        # Of each stage but the first: its c_i and k_i, and the h a_ij and k_j before it. These are
        # views: `step` writes into what they show.
        self.later_stages = [
            (c_i, self.K[i], self.h_weights[i, :i], self.K[:i, :coupled])
            for i, c_i in enumerate(tableau.c.tolist())
            if i > 0
        ]
        self.first_same_as_last = tableau.first_same_as_last
        self.last_stage_is_y1 = self.first_same_as_last and coupled == len(y)

    def start(self, t, y):
        """Evaluate the first stage, f(t, y)."""
        self.field(t, y[: self.coupled], self.k_first)
        self.stats.nfev += 1

    def slope(self, t, y):
        """Return the coupled components of f(t, y), for y the coupled components of a state."""
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
            # t + h may differ from t1 in the last digit, and f be undefined beyond t1
            field(t1 if c_i == 1.0 else t + c_i * h, Y_i, k_i)
        self.stats.nfev += len(self.later_stages)
        return Y_i if self.last_stage_is_y1 else y + self.h_b.dot(self.K)

    def error(self):
        """Return the estimated error of the step just taken, shape (n,)."""
        return self.h_e.dot(self.K)

    def second_error(self):
        """Return the second estimate of it, shape (n,)."""
        return self.h_e3.dot(self.K)

    def advance(self, t, y):
        """Prepare the next step, from the end (t, y) of the one just taken."""
        if self.first_same_as_last:
            self.k_first[:] = self.k_last
        else:
            self.start(t, y)

    def not_finite(self, t, y, h):
        """Return the first (t + c_i h, Y_i) of the last step at which f was not finite, or None."""
        n = self.coupled
        for i, c_i in enumerate(self.tableau.c.tolist()):
            if not np.isfinite(self.K[i]).all():
                return t + c_i * h, y[:n] + self.h_weights[i, :i].dot(self.K[:i, :n])
        return None
