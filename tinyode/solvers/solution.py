"""What a solve returns: the states at the times asked for, what it cost, and a function of time for
all that lies between.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import has_traced
from .dense import Dense
from .events import Events
from .options import Stats


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

    t: np.ndarray
    y: Any
    stats: Stats
    event: Events | None
    _dense: Dense | None = field(repr=False)

    def __call__(self, t):
        """Return the state at any times inside the interval, shape (*t.shape, *y0.shape), by the
        method's interpolant.

        The stages of explicit steps are not kept: f is evaluated for them once more. If it then is
        not what it was during the solve, that is a RuntimeError. (A solution that has been pickled,
        or copied by deepcopy, has all it needs, and f no more.)

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
            raise TypeError(
                "solution(t) computes plain numbers, and t is a traced value, whose gradient would"
                " be lost; use odeint"
            )
        t = np.asarray(t, dtype=float)
        low, high = sorted((self.t[0], self.t[-1]))
        outside = t[~((t >= low) & (t <= high))]
        if outside.size:
            raise ValueError(
                f"solution(t): t = {outside[0]} lies outside the interval from {low} to {high} that"
                " was solved; a solution is not extrapolated"
            )
        return self._dense(t)
