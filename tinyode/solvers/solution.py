"""What a solve returns: the states at the times asked for, and a function of time between them."""

from dataclasses import dataclass, field

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import has_traced
from ..types import Array, ArrayLike, Tree
from .dense import Dense
from .events import Events
from .options import Stats
from .state import TRACED


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved initial value problem.

    Attributes
    ----------
    t : array, shape (T,)
        The times asked for.
    y : array, shape (T, *y0.shape), or a container of such
        The states there.
    stats : Stats
        ``nfev``, ``accepted``, ``rejected``, ``jacobians``, ``factorisations``,
        ``newton_failures``.
    event : Events or None
        The events asked for: their times ``t`` (E,), states ``y`` (E, *y0.shape), and for each its
        ``index`` among them (E,).
    """

    t: Array
    y: Tree
    stats: Stats
    event: Events | None
    _dense: Dense | None = field(repr=False)

    def __call__(self, t: ArrayLike) -> Tree:
        """Return the state at any times inside the interval, shape (*t.shape, *y0.shape).

        It is the method's dense output. The stages of explicit steps are not kept: f is evaluated
        for them once more. If it then is not what it was during the solve, that is a RuntimeError.
        (A solution that has been pickled, or copied by deepcopy, has all it needs, and no f.)

        Raises
        ------
        ValueError
            If a time lies outside the interval.
        """
        if self._dense is None:
            raise ValueError(
                "solve_batch keeps no steps between the times; ask for the times you need in its t"
            )
        tree.refuse_masked("solution(t): t", t)
        if has_traced(t):
            raise TypeError(TRACED.format("solution(t)", "t"))
        t = np.asarray(t, dtype=float)
        low, high = sorted((self.t[0], self.t[-1]))
        outside = t[~((t >= low) & (t <= high))]
        if outside.size:
            raise ValueError(
                f"solution(t): t = {outside[0]} lies outside the interval from {low} to {high} that"
                " was solved; a solution is not extrapolated"
            )
        return self._dense(t)


def solution_of(times, ys, dense, watch):
    """Return the `Solution` as far as it goes: to the last time, or to the end of the last step.

    ``ys`` are the flat states at those times that were reached.
    """
    event = watch.happened(ys, dense.shaped) if watch.events else None
    if len(ys) == len(times):
        return Solution(np.array(times), dense.shaped(ys), watch.stats, event, dense)
    end = dense.steps[-1].t1
    before = [t for t in times if abs(t - times[0]) < abs(end - times[0])]
    reached = np.array([*before, end])
    with np.errstate(all="ignore"):
        return Solution(reached, dense(reached), watch.stats, event, dense)
