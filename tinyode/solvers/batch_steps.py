"""One explicit step of each sample of a batch, and the states read off inside it.

The formulas are those of `runge_kutta` and `dense`, with a row for each sample: times and step
sizes have the shape (A,), states (A, n), stages (s, A, n), where A samples are under way.
"""

import numpy as np

from .dense import horner
from .tableaus import find


def weighted(h, weights, K):
    """Return h sum_j weights_j k_j, shape (A, n), of as many stages as there are weights.

    K has the shape (s, A, n), h the shape (A,).
    """
    m = len(weights)
    total = weights.astype(K.dtype) @ K[:m].reshape(m, -1)
    return h[:, None].astype(K.dtype) * total.reshape(K.shape[1:])


def take_step(rows, tableau, samples, t, t1, h, y, k):
    """Take one step of each sample; return the stages (s, A, n) and the new states (A, n).

    ``k`` is the first stage.
    """
    K = np.empty((tableau.stages, *y.shape), y.dtype)
    K[0], Y_i = k, y
    for i in range(1, tableau.stages):
        Y_i = y + weighted(h, tableau.a[i, :i], K)
        K[i] = rows(samples, time_of_stage(t, t1, h, tableau.c[i]), Y_i)
    return K, Y_i if tableau.first_same_as_last else y + weighted(h, tableau.b, K)


def time_of_stage(t, t1, h, c_i):
    """Return t + c_i h; the end of the step as it is, as t + h may round to beyond it."""
    return t1 if c_i == 1.0 else t + c_i * h


class Observations:
    """Writes the states at the times of each sample into ys, shape (T, B, n).

    At the end of a step that is its y1, inside a step it is read off the dense output.
    """

    def __init__(self, rows, times, options, stats, ys):
        self.rows, self.times, self.tableau, self.stats = rows, times, find(options.method), stats
        self.ys, self.sign = ys, np.sign(times[:, -1] - times[:, 0])
        self.ys[0] = rows.y
        self.done = np.ones(len(times), int)  # how many times of each sample are written down

    def read(self, samples, accepted, t, t1, h, y, y1, K):
        """Write down the states at the times inside those steps that are accepted."""
        T = self.times.shape[1]
        next_time = self.times[samples, np.minimum(self.done[samples], T - 1)]
        due = accepted & (self.done[samples] < T)
        reach = np.flatnonzero(due & (self.sign[samples] * (next_time - t1) <= 0))
        if not reach.size:
            return
        reached = np.array([self.count_until(i, end) for i, end in zip(samples[reach], t1[reach])])
        counts = reached - self.done[samples[reach]]
        row = np.repeat(reach, counts)  # of each observation
        which = np.concatenate([np.arange(n - m, n) for n, m in zip(reached, counts)])
        at, states = self.times[samples[row], which], y1[row]
        inside = at != t1[row]
        if inside.any():
            states[inside] = self.evaluate(row[inside], at[inside], samples, t, t1, h, y, K)
        self.ys[which, samples[row]] = states
        self.done[samples[reach]] = reached

    def evaluate(self, row, at, samples, t, t1, h, y, K):
        """Return the states at times inside the steps of these rows; see `dense.evaluate`."""
        some = np.unique(row)
        Q = self.polynomials(*[x[some] for x in (samples, t, t1, h, y)], K[:, some])
        theta = ((at - t[row]) / h[row])[:, None].astype(y.dtype)
        return y[row] + horner(Q[:, np.searchsorted(some, row)], theta)

    def count_until(self, sample, end):
        """Return how many times of a sample are not beyond the end of a step."""
        times = self.times[sample]
        if self.sign[sample] > 0:
            return np.searchsorted(times, end, side="right")
        return len(times) - np.searchsorted(times[::-1], end, side="left")

    def polynomials(self, samples, t, t1, h, y, K):
        """Return the coefficients of the dense output of steps, shape (d, A, n).

        See `dense.polynomial`.
        """
        tableau = self.tableau
        self.stats.nfev[samples] += len(tableau.extra_a)
        for a_i, c_i in zip(tableau.extra_a, tableau.extra_c):
            Y_i = y + weighted(h, a_i[: len(K)], K)
            k_i = self.rows(samples, time_of_stage(t, t1, h, c_i), Y_i).astype(y.dtype)
            K = np.concatenate([K, k_i[None]])
        return np.stack([weighted(h, column, K) for column in tableau.interpolant.T])
