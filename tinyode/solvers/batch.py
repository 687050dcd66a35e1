"""Many initial value problems at once, `solve_batch`: each with its own step size, error, and
times.

One system for all samples takes the steps that the hardest of them asks for. Here every sample has
a clock of its own, and one call of f still serves them all: the state is a matrix with a row for
each sample, and time, step size and error are columns. It is the loop of `solve`, with rows for
numbers; a row that has come to its end is dropped.
"""

import math
from functools import partial

import numpy as np

from .. import tree
from . import failures
from .dense import horner
from .first_call import explained
from .options import Options, SolverError, Stats, TooManySteps
from .rows import Rows, check_batch_times
from .solution import Solution
from .solve import grid
from .state import check_function, check_state, flat_tolerance
from .step_size import ARRAYS, GROW, Controller, corrected, error_norm, first_step, is_lost
from .tableaus import find


@explained
def solve_batch(
    f,
    y0,
    t,
    *args,
    method="dopri5",
    rtol=1e-6,
    atol=1e-9,
    step_size=None,
    first_step=None,
    max_steps=100_000,
    max_step=None,
    min_step=None,
    batched=(),
):
    """Solve dy/dt = f(t, y, *args) for B samples at once, each with its own step size and, if
    wanted, its own times.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)`` computes the derivatives of several samples at once, row by row: y has
        the shape (A, ...), or is a container of such, and t the shape (A, 1, ...) with as many axes
        (as the part of y that has most), so that it broadcasts. A is B at first; samples that have
        come to their end are left out, if f then gives the same for the others. (It does not, and
        is called with all, where it closes over arrays with a row for each sample.)
    y0 : array, shape (B, ...), or container of such
    t : array, shape (T,) or (B, T)
        Times as in `solve`, the same for all samples or a row for each. Rows may differ in their
        interval and direction.
    *args
        Passed on to f.
    method, rtol, atol, step_size, first_step, max_steps, max_step, min_step
        As in `solve`, for each sample; implicit methods are not for batches. Tolerances may differ
        between samples: they broadcast to y0.
    batched : tuple of int
        Which of ``args`` (0 is the first) are arrays, or containers of arrays, with a row for each
        sample: they are cut as y is.

    Returns
    -------
    Solution
        Its ``y`` has the shape (T, *y0.shape), its ``stats`` an array of shape (B,) for each
        number: what the same sample takes by itself. It has no dense output and no events.

    Raises
    ------
    SolverError
        If a sample cannot go on. It has its index, ``sample``; its ``solution`` is NaN where
        samples have not come to.
    TypeError, ValueError
        If an argument cannot be; they name it.

    Examples
    --------
    Three decays, of which each has its own rate and its own times:

    >>> k = np.array([[1.0], [10.0], [100.0]])
    >>> f = lambda t, y, k: -k * y
    >>> solve_batch(f, np.ones((3, 1)), [0.0, 1.0] / k, k, batched=(0,)).y[-1, :, 0]
    array([0.367879..., 0.367879..., 0.367879...])
    """
    options = Options(method, rtol, atol, step_size, first_step, max_steps, max_step, min_step)
    rows, times, options = prepare(f, y0, t, args, options, batched)
    return follow(rows, times, options, np.ndim(t) == 2)


def prepare(f, y0, t, args, options, batched):
    """Check the arguments of `solve_batch`; return the `Rows`, the times, shape (B, T), and the
    options with tolerances of B rows.
    """
    check_function(f)
    leaves, structure = check_state(y0)
    counts = {leaf.shape[0] if leaf.ndim else None for leaf in leaves}
    if len(counts) > 1 or None in counts:
        raise ValueError(
            "y0 must have a leading axis of samples, of one length; got"
            f" {' and '.join(str(leaf.shape) for leaf in leaves)}"
        )
    B = counts.pop()
    tolerances = {
        name: flat_tolerance(getattr(options, name), leaves, structure, name)
        for name in ("rtol", "atol")
    }
    options = options._replace(**tolerances).check()
    if find(options.method).implicit:
        raise ValueError(
            f"method={options.method!r} is implicit, and solve_batch is for explicit methods; call"
            " solve for each sample"
        )
    if not isinstance(batched, (tuple, list)) or not all(
        type(n) is int and 0 <= n < len(args) for n in batched
    ):
        raise ValueError(
            f"batched={batched!r} must be a tuple of numbers, below {len(args)}, of the args with a"
            " row for each sample"
        )
    for n in batched:
        for leaf in tree.flatten(args[n])[0]:
            tree.refuse_masked(f"args[{n}]", leaf)
            if np.ndim(leaf) == 0 or len(leaf) != B:
                raise ValueError(
                    f"batched={batched!r}: args[{n}] must have a row for each of the {B} samples;"
                    f" it has the shape {np.shape(leaf)}"
                )
    args = [tree.map(np.asarray, arg) if n in batched else arg for n, arg in enumerate(args)]
    rows = Rows(f, leaves, structure, args, batched)
    return (
        rows,
        check_batch_times(t, B),
        options._replace(rtol=rows.matrix(options.rtol), atol=rows.matrix(options.atol)),
    )


def follow(rows, times, options, own_times, taken=None):
    """Return the `Solution`.

    ``taken``, a list, is given (samples, t, t1, y) of the steps that were accepted together.
    """
    T, (B, n) = times.shape[1], rows.y.shape
    stats, ys = Stats(*np.zeros((6, B), int)), np.full((T, B, n), np.nan, rows.y.dtype)

    def solution():
        return Solution(times if own_times else times[0], rows.shaped(ys), stats, None, None)

    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            march(rows, times, options, Observations(rows, times, options, stats, ys), taken)
    except SolverError as error:
        error.solution = solution()
        raise
    return solution()


def march(f, times, options, observations, taken):
    """Take the steps of all samples: the loop of `solve`, with a row for each sample under way.

    Parameters
    ----------
    f : Rows
    times : array, shape (B, T)
    options : Options
    observations : Observations
        What is written down.
    taken : list or None
        See `follow`.
    """
    tableau, stats = find(options.method), observations.stats
    samples, t, y, end = np.arange(len(times)), times[:, 0], f.y, times[:, -1]
    k = f(samples, t, y)
    stats.nfev += 1
    raise_first(~np.isfinite(k).all(axis=1), samples, failures.not_finite_at_start, t, y, k)
    pace = (FixedPace if options.fixed else AdaptivePace)(f, times, options, k, stats)
    for _ in range(pace.most_steps):
        t1 = pace.end_of_step(samples, t, end)
        h = t1 - t
        too_short = partial(failures.below_rounding, tableau)
        raise_first(h == 0, samples, too_short, t, h)
        K, y1 = step(f, tableau, samples, t, t1, h, y, k)
        stats.nfev[samples] += tableau.stages - 1
        accepted = pace.accepts(samples, t, h, y, y1, K)
        stats.accepted[samples] += accepted
        stats.rejected[samples] += ~accepted
        if taken is not None and accepted.any():
            taken.append((samples[accepted], t[accepted], t1[accepted], y[accepted]))
        observations.read(samples, accepted, t, t1, h, y, y1, K)
        t, y = np.where(accepted, t1, t), np.where(accepted[:, None], y1, y)
        # A sample that has come to its end is left out from now on.
        on = t != end
        if not on.any():
            return
        if tableau.first_same_as_last:
            k = np.where(accepted[:, None], K[-1], k)
        samples, t, y, k, end, accepted = [x[on] for x in (samples, t, y, k, end, accepted)]
        pace.keep(on)
        if not tableau.first_same_as_last and accepted.any():
            k[accepted] = f(samples[accepted], t[accepted], y[accepted])
            stats.nfev[samples[accepted]] += 1
    too_many = partial(failures.too_many_steps, tableau, options, 0)
    raise_first(t != end, samples, too_many, t, pace.end_of_step(samples, t, end) - t)


def raise_first(bad, samples, failure, *where):
    """Raise a failure for the first sample that is marked as bad.

    ``where`` are arrays with a row for each sample: the last arguments of ``failure``.
    """
    if bad.any():
        n = int(np.argmax(bad))
        error = failure(*[x[n].item() if x.ndim == 1 else x[n] for x in where])
        error.args = (f"sample {samples[n]}: {error}",)
        error.sample = int(samples[n])
        raise error


class FixedPace:
    """Steps of fixed size: the ends of them all, shape (B, most steps), each last one repeated."""

    def __init__(self, f, times, options, k, stats):
        self.tableau, self.stats, self.most_steps = find(options.method), stats, options.max_steps
        common, rows = (times == times[0]).all(), []
        for sample, row in enumerate(times[:1] if common else times):
            try:
                rows.append([t1 for _, t1, _ in grid(row.tolist(), options)])
            except TooManySteps as error:
                error.sample = sample
                raise
        longest = max(map(len, rows))
        ends = np.array([row + row[-1:] * (longest - len(row)) for row in rows])
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

    def __init__(self, f, times, options, k, stats):
        self.tableau, self.options, self.most_steps = (
            find(options.method),
            options,
            options.max_steps,
        )
        self.control = Controller(self.tableau, options, ARRAYS)
        self.rtol, self.atol = options.rtol, options.atol
        t, y, span = times[:, 0], f.y, times[:, -1] - times[:, 0]
        self.sign, samples = np.sign(span), np.arange(len(times))
        if options.first_step is None:
            slope = lambda t, y: f(samples, t, y)
            norm = lambda x: error_norm(x, y, y, self.rtol, self.atol)
            size = first_step(slope, t, y, k, self.tableau.error_order, norm, span)
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
        sizes = [
            error_norm(weighted(h, e, K), y, y1, self.rtol, self.atol)
            for e in (self.tableau.e, self.tableau.e3)
            if e is not None
        ]
        error = sizes[0] if len(sizes) == 1 else corrected(*sizes, ARRAYS)
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
        control.most = np.where(accepted, GROW, 1.0)
        self.size = np.where(accepted, grown, shrunk)

    def keep(self, on):
        """Leave out the samples that are not marked."""
        self.sign, self.size = self.sign[on], self.size[on]
        self.control.previous_error = self.control.previous_error[on]
        self.control.most = self.control.most[on]
        self.rtol, self.atol = [x[on] if np.ndim(x) else x for x in (self.rtol, self.atol)]


def weighted(h, weights, K):
    """Return h sum_j weights_j k_j, shape (A, n), of as many stages as there are weights.

    K has the shape (s, A, n), h the shape (A,).
    """
    m = len(weights)
    total = weights.astype(K.dtype) @ K[:m].reshape(m, -1)
    return h[:, None].astype(K.dtype) * total.reshape(K.shape[1:])


def step(f, tableau, samples, t, t1, h, y, k):
    """Take one step of each sample; return the stages (s, A, n) and the new states (A, n).

    ``k`` is the first stage.
    """
    K = np.empty((tableau.stages, *y.shape), y.dtype)
    K[0], Y_i = k, y
    for i in range(1, tableau.stages):
        Y_i = y + weighted(h, tableau.a[i, :i], K)
        K[i] = f(samples, time_of_stage(t, t1, h, tableau.c[i]), Y_i)
    return K, Y_i if tableau.first_same_as_last else y + weighted(h, tableau.b, K)


def time_of_stage(t, t1, h, c_i):
    """Return t + c_i h; the end of the step as it is, as t + h may round to beyond it."""
    return t1 if c_i == 1.0 else t + c_i * h


class Observations:
    """Writes the states at the times of each sample into ys, shape (T, B, n).

    At the end of a step that is its y1, inside a step it is read off the dense output.
    """

    def __init__(self, f, times, options, stats, ys):
        self.f, self.times, self.tableau, self.stats = f, times, find(options.method), stats
        self.ys, self.sign = ys, np.sign(times[:, -1] - times[:, 0])
        self.ys[0] = f.y
        self.done = np.ones(len(times), int)  # how many times of each sample

    def read(self, samples, accepted, t, t1, h, y, y1, K):
        """Write down the states at the times inside those steps that are accepted."""
        T = self.times.shape[1]
        next_time = self.times[samples, np.minimum(self.done[samples], T - 1)]
        due = accepted & (self.done[samples] < T)
        rows = np.flatnonzero(due & (self.sign[samples] * (next_time - t1) <= 0))
        if not rows.size:
            return
        reached = np.array([self.count_until(i, end) for i, end in zip(samples[rows], t1[rows])])
        counts = reached - self.done[samples[rows]]
        row = np.repeat(rows, counts)  # of each observation
        which = np.concatenate([np.arange(n - m, n) for n, m in zip(reached, counts)])
        at, states = self.times[samples[row], which], y1[row]
        inside = at != t1[row]
        if inside.any():
            row, some = row[inside], np.unique(row[inside])
            Q = self.polynomials(*[x[some] for x in (samples, t, t1, h, y)], K[:, some])
            theta = ((at[inside] - t[row]) / h[row])[:, None].astype(y.dtype)
            states[inside] = y[row] + horner(Q[:, np.searchsorted(some, row)], theta)
            row = np.repeat(rows, counts)
        self.ys[which, samples[row]] = states
        self.done[samples[rows]] = reached

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
            k_i = self.f(samples, time_of_stage(t, t1, h, c_i), Y_i).astype(y.dtype)
            K = np.concatenate([K, k_i[None]])
        return np.stack([weighted(h, column, K) for column in tableau.interpolant.T])
