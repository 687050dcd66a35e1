"""Dense output: the solution inside a step, from the stages of the step, and what is read off it.

    y(t + theta h) ~ y + sum_j q_j theta^j,      0 <= theta <= 1
    q_j = h sum_i interpolant[i, j - 1] k_i

Hairer, Norsett and Wanner I, section II.6.
"""

import bisect
import math
from typing import NamedTuple

import numpy as np

from .. import tree
from .options import Stats
from .runge_kutta import Stepper


class Step(NamedTuple):
    """One accepted step, from y at t to y1 at t1; K are its stages, overwritten when the next step
    begins.

    ``Q`` is the polynomial of its dense output, where that is known. ``h`` is t1 - t, unless an
    event has cut the step off: then Q is.
    """

    t: float
    t1: float
    h: float
    y: np.ndarray
    y1: np.ndarray
    K: np.ndarray
    Q: np.ndarray | None = None


def polynomial(f, tableau, step, stats):
    """Return the q_j of a step, shape (d, n); what they need besides the stages, f is evaluated
    for.
    """
    if step.Q is not None:
        return step.Q
    t, t1, h, y, _, K, _ = step
    if len(tableau.extra_a):
        stats.nfev += len(tableau.extra_a)
        K = np.concatenate([K, np.empty((len(tableau.extra_a), len(y)), y.dtype)])
        for i, (row, c) in enumerate(
            zip(tableau.extra_a.astype(y.dtype), tableau.extra_c.tolist()), tableau.stages
        ):
            f(t1 if c == 1.0 else t + c * h, y + h * row[:i].dot(K[:i]), K[i])
    return (h * tableau.interpolant.T.astype(y.dtype)) @ K


def evaluate(step, Q, t):
    """Return the state at times t inside a step: shape (n,) for a float, (m, n) for a column of
    shape (m, 1).
    """
    theta = (t - step.t) / step.h
    if isinstance(theta, np.ndarray):
        theta = theta.astype(step.y.dtype)
    return np.where(t == step.t1, step.y1, step.y + horner(Q, theta))


def horner(Q, theta):
    """Return sum_j q_j theta^j, j from 1."""
    value = Q[-1]
    for q in Q[-2::-1]:
        value = q + theta * value
    return theta * value


def observe(walk, f, y0, times, tableau, stats):
    """Follow the steps, and read the state at the times: at their ends as it is, inside them off
    the interpolant.

    Returns
    -------
    array, shape (m, n)
        For the m times that the steps reach.
    """
    ys = np.empty((len(times), len(y0)), y0.dtype)
    ys[0] = y0
    sign = math.copysign(1.0, times[-1] - times[0])
    ordered, i = [sign * t for t in times], 1
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # what is not finite is rejected, or an error with its time
        for step in walk:
            j = bisect.bisect_right(ordered, sign * step.t1, i)
            if j > i + 1 or (j > i and times[i] != step.t1):
                Q = polynomial(f, tableau, step, stats)
                ys[i:j] = evaluate(
                    step, Q, np.array(times[i:j])[:, None]
                )  # of all times in the step at once
            elif j > i:
                ys[i] = step.y1
            i = j
    return ys[:i]


class Dense:
    """The solution inside the steps of a solve, as a function of time.

    The stages of explicit steps are not kept: f is called for them once more when a step is asked
    for. A copy by pickle or deepcopy has the polynomials of all steps instead, and f no more.

    Parameters
    ----------
    steps : list of Step
        One after the other in time.
    tableau : Tableau
    f : function
        ``f(t, y, k)`` writes dy/dt into k.
    leaves, structure
        The initial state, as `tree.flatten` returns it.
    """

    def __init__(self, steps, tableau, f, leaves, structure):
        self.steps, self.tableau, self.f, self.leaves, self.structure = (
            steps,
            tableau,
            f,
            leaves,
            structure,
        )
        self.sign = math.copysign(1.0, steps[-1].t1 - steps[0].t)
        self.ends = [self.sign * step.t1 for step in steps]

    def shaped(self, ys):
        """Return flat states, shape (..., n), in the structure of the initial state."""
        return tree.unflatten(self.structure, tree.cutter(self.leaves)(ys))

    def __call__(self, t):
        """Return the state at times, shape (*t.shape, *y0.shape)."""
        times = t.ravel()
        places = [bisect.bisect_left(self.ends, time) for time in (self.sign * times).tolist()]
        of_step = np.minimum(np.array(places, int), len(self.steps) - 1)
        n, dtype = self.steps[0].y.size, self.steps[0].y.dtype
        result = np.empty((times.size, n), dtype)
        for i in np.unique(of_step):
            here, step = of_step == i, self.steps[i]
            result[here] = evaluate(step, self.polynomial(step), times[here][:, None])
        return self.shaped(result.reshape(*t.shape, n))

    def polynomial(self, step):
        """Return the polynomial of a step's dense output."""
        if step.Q is None and not self.tableau.implicit:
            stepper = Stepper(self.f, self.tableau, step.y, len(step.y), Stats())
            stepper.start(step.t, step.y)
            again = stepper.step(step.t, step.t1, step.y, step.h)
            if not np.allclose(again, step.y1, rtol=1e-6, atol=0):
                raise RuntimeError(
                    "solution(t): f does not return what it did during the solve, so what lies"
                    " inside its steps cannot be had again; ask for these times in t, or do not"
                    " change what f depends on"
                )
            step = step._replace(K=stepper.K)
        return polynomial(self.f, self.tableau, step, Stats())

    def __getstate__(self):
        """Return what a copy is made of: arrays alone."""
        with np.errstate(over="ignore", invalid="ignore"):
            steps = [step._replace(K=None, Q=self.polynomial(step)) for step in self.steps]
        return {**self.__dict__, "steps": steps, "f": None, "tableau": None}
