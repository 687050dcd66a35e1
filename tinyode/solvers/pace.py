"""How fast the samples of a batch go: steps of fixed size, or as the error estimate allows.

Either way is an object with three methods, so that the loop of `batch` is the same for both.
``end_of_step`` proposes, ``accepts`` judges the step, ``keep`` leaves out samples that have come to
their end.
"""

import math
from functools import partial

import numpy as np

from . import failures
from .batch_steps import weighted
from .failures import TooManySteps, raise_first
from .solve import grid
from .step_size import ARRAYS, GROW, Controller, corrected, error_norm, guess_first_step, is_lost
from .tableaus import find


class FixedPace:
    """Steps of fixed size: the ends of them all, shape (B, most steps), each last one repeated."""

    def __init__(self, rows, times, options, k, stats):
        self.tableau, self.stats, self.most_steps = find(options.method), stats, options.max_steps
        common, grids = (times == times[0]).all(), []
        for sample, row in enumerate(times[:1] if common else times):
            try:
                grids.append([t1 for _, t1, _ in grid(row.tolist(), options)])
            except TooManySteps as error:
                error.sample = sample
                raise
        longest = max(map(len, grids))
        ends = np.array([row + row[-1:] * (longest - len(row)) for row in grids])
        self.ends = np.broadcast_to(ends, (len(times), longest)) if common else ends

    def end_of_step(self, samples, t, end):
        """Return the ends of the next steps."""
        return self.ends[samples, self.stats.accepted[samples]]

    def accepts(self, samples, t, h, y, y1, K):
        """Accept all steps, if their states are finite."""
        bad = ~np.isfinite(y1).all(axis=1)
        raise_first(bad, samples, partial(failures.blown_up, self.tableau), t, h)
        return ~bad

    def keep(self, on):
        """Leave out the samples that are not marked."""


class AdaptivePace:
    """Steps as long as the error estimate allows, for each sample."""

    def __init__(self, rows, times, options, k, stats):
        self.tableau, self.options = find(options.method), options
        self.most_steps = options.max_steps
        self.control = Controller(self.tableau, options, ARRAYS)
        self.rtol, self.atol = options.rtol, options.atol
        t, y, span = times[:, 0], rows.y, times[:, -1] - times[:, 0]
        self.sign, samples = np.sign(span), np.arange(len(times))
        if options.first_step is None:
            slope = lambda t, y: rows(samples, t, y)
            norm = lambda x: error_norm(x, y, y, self.rtol, self.atol)
            size = guess_first_step(slope, t, y, k, self.tableau.error_order, norm, span)
            stats.nfev += 1
        else:
            size = np.full(len(times), options.first_step)
        self.size = np.clip(size, self.control.shortest, self.control.longest)

    def end_of_step(self, samples, t, end):
        """Return the ends of the next steps."""
        last = self.control.is_last(self.size, np.abs(end - t))
        return np.where(last, end, t + self.sign * self.size)

    def accepts(self, samples, t, h, y, y1, K):
        """Return which steps are accepted; choose the size of the next ones."""
        errors = [
            error_norm(weighted(h, e, K), y, y1, self.rtol, self.atol)
            for e in (self.tableau.e, self.tableau.e3)
            if e is not None
        ]
        error = errors[0] if len(errors) == 1 else corrected(*errors, ARRAYS)
        accepted = (error <= 1) & np.isfinite(y1).all(axis=1)
        error = np.where(accepted | (error > 1), error, math.inf)
        self.choose_size(np.abs(h), error, accepted)
        too_short = ~accepted & (self.size < self.control.shortest)
        below_min_step = partial(failures.below_min_step, self.tableau, self.options)
        raise_first(too_short, samples, below_min_step, t, self.sign * self.size)
        lost = ~accepted & is_lost(self.size, t)
        raise_first(lost, samples, partial(failures.no_way_on, self.tableau), error, t, h)
        return accepted

    def choose_size(self, size, error, accepted):
        """Choose the next size of each sample, as its step was accepted or rejected."""
        control, before = self.control, self.control.previous_error
        grown = control.after_accepted(size, error)
        after, shrunk = control.previous_error, control.after_rejected(size, error)
        control.previous_error = np.where(accepted, after, before)
        control.most_growth = np.where(accepted, GROW, 1.0)
        self.size = np.where(accepted, grown, shrunk)

    def keep(self, on):
        """Leave out the samples that are not marked."""
        self.sign, self.size = self.sign[on], self.size[on]
        self.control.previous_error = self.control.previous_error[on]
        self.control.most_growth = self.control.most_growth[on]
        self.rtol, self.atol = [x[on] if np.ndim(x) else x for x in (self.rtol, self.atol)]
