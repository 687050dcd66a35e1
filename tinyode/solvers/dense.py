"""Dense output: the solution inside a step, from the stages of the step, and what is read off it.

    y(t + theta h) ~ y + sum_j q_j theta^j,      0 <= theta <= 1

A method's own polynomial has q_j = h sum_i interpolant[i, j - 1] k_i. One that has none is given Hermite's cubic, which has the values and
the slopes of the step at both its ends. Hairer, Norsett and Wanner I, section II.6.
"""

from typing import NamedTuple

import numpy as np


class Step(NamedTuple):
    """One accepted step, from y at t to y1 at t1; K are its stages, overwritten when the next step begins.

    ``Q`` is the polynomial of its dense output, where that is known. ``h`` is t1 - t, unless an event has cut the step off: then Q is.
    """

    t: float
    t1: float
    h: float
    y: np.ndarray
    y1: np.ndarray
    K: np.ndarray
    Q: np.ndarray | None = None


def polynomial(f, tableau, step, stats):
    """Return the q_j of a step, shape (d, n); what they need besides the stages, f is evaluated for."""
    if step.Q is not None:
        return step.Q
    t, t1, h, y, y1, K, _ = step
    if tableau.extra is not None:
        stats.nfev += len(tableau.extra)
        K = np.concatenate([K, np.empty((len(tableau.extra), len(y)), y.dtype)])
        for i, row in enumerate(tableau.extra.astype(y.dtype), tableau.stages):
            f(t + float(row.sum()) * h, y + h * row[:i].dot(K[:i]), K[i])
    if tableau.interpolant is not None:
        return (h * tableau.interpolant.T.astype(y.dtype)) @ K
    slope = K[-1]
    if not tableau.first_same_as_last:
        slope = np.empty_like(slope)
        f(t1, y1, slope)
        stats.nfev += 1
    d = y1 - y  # HNW, equation II.6.7
    return np.stack([h * K[0], 3 * d - h * (2 * K[0] + slope), h * (K[0] + slope) - 2 * d])


def evaluate(step, Q, t):
    """Return the state at times t inside a step: shape (n,) for a float, (m, n) for a column of shape (m, 1)."""
    theta = (t - step.t) / step.h
    if isinstance(theta, np.ndarray):
        theta = theta.astype(step.y.dtype)
    value = Q[-1]
    for q in Q[-2::-1]:
        value = q + theta * value
    return np.where(t == step.t1, step.y1, step.y + theta * value)


def observe(walk, f, y0, times, tableau, stats):
    """Follow the steps, and read the state at the times: at their ends as it is, inside them off the interpolant.

    Returns
    -------
    array, shape (m, n)
        For the m times that the steps reach.
    """
    ys = np.empty((len(times), len(y0)), y0.dtype)
    ys[0] = y0
    i = 1
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is rejected, or an error with its time
        for step in walk:
            Q = None
            while i < len(times) and abs(times[i] - step.t) <= abs(step.t1 - step.t):
                if times[i] == step.t1:
                    ys[i] = step.y1
                else:
                    Q = polynomial(f, tableau, step, stats) if Q is None else Q
                    ys[i] = evaluate(step, Q, times[i])
                i += 1
    return ys[:i]
