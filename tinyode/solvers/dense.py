"""Dense output: the solution inside a step, from the stages of the step.

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
    """One accepted step, from y at t to y1 at t1.

    ``K`` are its stages, which the next step writes over. ``Q`` is the polynomial of its dense
    output, where that is known. ``h`` is t1 - t, unless an event has cut the step off: then Q is
    known.
    """

    t: float
    t1: float
    h: float
    y: np.ndarray
    y1: np.ndarray
    K: np.ndarray
    Q: np.ndarray | None = None


def polynomial(field, tableau, step, stats):
    """Return Q, the q_j of a step, shape (d, n); extra stages cost evaluations of the field."""
    if step.Q is not None:
        return step.Q
    t, t1, h, y, _, K, _ = step
    if len(tableau.extra_a):
        stats.nfev += len(tableau.extra_a)
        K = np.concatenate([K, np.empty((len(tableau.extra_a), len(y)), y.dtype)])
        extra_a, extra_c = tableau.extra_a.astype(y.dtype), tableau.extra_c.tolist()
        for i, (a_i, c_i) in enumerate(zip(extra_a, extra_c), tableau.stages):
            field(t1 if c_i == 1.0 else t + c_i * h, y + h * a_i[:i].dot(K[:i]), K[i])
    return (h * tableau.interpolant.T.astype(y.dtype)) @ K


def evaluate(step, Q, t):
    """Return the state at times t inside a step.

    Its shape is (n,) for a float, (m, n) for a column of shape (m, 1).
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


def observe(steps, field, y0, times, tableau, stats):
    """Follow the steps; return the states at those times that they reach, shape (m, n).

    At the end of a step that is its y1, inside a step it is read off the dense output.
    """
    ys = np.empty((len(times), len(y0)), y0.dtype)
    ys[0] = y0
    sign = math.copysign(1.0, times[-1] - times[0])
    ordered, i = [sign * t for t in times], 1
    # What is not finite is rejected, or an error that says where: no need for warnings.
    with np.errstate(over="ignore", invalid="ignore"):
        for step in steps:
            j = bisect.bisect_right(ordered, sign * step.t1, i)  # times[i:j] are in this step
            if j == i + 1 and times[i] == step.t1:
                ys[i] = step.y1
            elif j > i:
                Q = polynomial(field, tableau, step, stats)
                ys[i:j] = evaluate(step, Q, np.array(times[i:j])[:, None])
            i = j
    return ys[:i]


class Dense:
    """The solution inside the steps of a solve, as a function of time.

    The stages of explicit steps are not kept: where a step is asked for, f is called for them once
    more. A copy by pickle or deepcopy has the polynomials of all steps instead, and no f.

    Parameters
    ----------
    tableau : Tableau
    field : function
        The flat field: ``field(t, y, k)`` writes dy/dt into k.
    leaves, structure
        The initial state, as `tree.flatten` returns it.

    Attributes
    ----------
    steps : list of Step
        One after the other in time.
    """

    def __init__(self, tableau, field, leaves, structure):
        self.tableau, self.field = tableau, field
        self.leaves, self.structure = leaves, structure
        self.steps, self.ends, self.sign = [], [], 0.0

    def kept(self, steps):
        """Pass steps on, and keep them; of implicit ones the stages, too."""
        for step in steps:
            if self.tableau.implicit:
                step = step._replace(K=step.K.copy())
            self.sign = math.copysign(1.0, step.h)
            self.steps.append(step)
            self.ends.append(self.sign * step.t1)
            yield step

    def shaped(self, ys):
        """Return flat states, shape (..., n), in the structure of the initial state."""
        return tree.unflatten(self.structure, tree.cutter(self.leaves)(ys))

    def __call__(self, t):
        """Return the state at times, shape (*t.shape, *y0.shape)."""
        times = t.ravel()
        places = [bisect.bisect_left(self.ends, time) for time in (self.sign * times).tolist()]
        of_step = np.minimum(np.array(places, int), len(self.steps) - 1)
        y0 = self.steps[0].y
        ys = np.empty((times.size, y0.size), y0.dtype)
        for i in np.unique(of_step):
            here, step = of_step == i, self.steps[i]
            ys[here] = evaluate(step, self.polynomial(step), times[here][:, None])
        return self.shaped(ys.reshape(*t.shape, y0.size))

    def polynomial(self, step):
        """Return the polynomial of a step's dense output."""
        if step.Q is None and not self.tableau.implicit:
            stepper = Stepper(self.field, self.tableau, step.y, len(step.y), Stats())
            stepper.start(step.t, step.y)
            y1 = stepper.step(step.t, step.t1, step.y, step.h)
            if not np.allclose(y1, step.y1, rtol=1e-6, atol=0):
                raise RuntimeError(
                    "solution(t): f does not return what it did during the solve, so what lies"
                    " inside its steps cannot be had again; ask for these times in t, or do not"
                    " change what f depends on"
                )
            step = step._replace(K=stepper.K)
        return polynomial(self.field, self.tableau, step, Stats())

    def __getstate__(self):
        """Return what a copy is made of: arrays alone."""
        with np.errstate(over="ignore", invalid="ignore"):
            steps = [step._replace(K=None, Q=self.polynomial(step)) for step in self.steps]
        return {**self.__dict__, "steps": steps, "field": None, "tableau": None}
