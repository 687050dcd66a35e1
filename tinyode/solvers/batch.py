"""Many initial value problems at once, `solve_batch`: each with its own step size, error, and
times.

One system for all samples takes the steps that the hardest of them asks for. Here every sample has
a clock of its own, and one call of f still serves them all: the state is a matrix with a row for
each sample, and time, step size and error are columns. It is the loop of `solve`, with rows for
numbers; a row that has come to its end is dropped.
"""

import math

import numpy as np

from .. import tree
from .dense import horner
from .first_call import explained
from .options import Options, SolverError, Stats, StepTooSmall, TooManySteps
from .rows import Rows, check_batch_times
from .solution import Solution
from .solve import BELOW_ROUNDING, grid
from .state import check_function, check_state, flat_tolerance
from .step_size import GROW, SAFETY, SHRINK, Controller, first_steps
from .step_size import rms as rms_of_vector
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
    """Return the `Solution`; ``taken``, a list, is given (samples, t, t1, y) of the steps that were
    accepted together.
    """
    T, (B, n) = times.shape[1], rows.y.shape
    stats, ys = Stats(*np.zeros((6, B), int)), np.full((T, B, n), np.nan, rows.y.dtype)

    def solution():
        return Solution(times if own_times else times[0], rows.shaped(ys), stats, None, None)

    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            march(rows, times, options, stats, ys, taken)
    except SolverError as error:
        error.solution = solution()
        raise
    return solution()


def march(f, times, options, stats, ys, taken):
    """The loop of `solve` for rows: propose, measure, accept or reject, record; writes the states
    at the times into ys, (T, B, n).
    """
    tableau, B = find(options.method), len(times)
    t, y, end, observed, active = (
        times[:, 0].copy(),
        f.y.copy(),
        times[:, -1],
        np.ones(B, int),
        np.arange(B),
    )
    sign = np.sign(end - t)
    of = lambda tolerance, samples: tolerance if np.ndim(tolerance) == 0 else tolerance[samples]
    scale = lambda samples, size: of(options.atol, samples) + of(options.rtol, samples) * size
    ys[0] = y
    k = f(active, t, f.y)
    stats.nfev += 1
    stop(
        ~np.isfinite(k).all(axis=1),
        active,
        SolverError,
        "f is not finite at the initial state; check f and y0",
        t,
        0 * t,
    )
    if options.fixed:
        ends_of_steps = grids(times, options)
    else:
        controller, longest, shortest = (
            Controllers(B, tableau),
            options.max_step or math.inf,
            options.min_step or 0.0,
        )
        size = np.full(B, options.first_step)
        if options.first_step is None:
            allowed = scale(active, np.abs(y))
            size = first_steps(
                lambda t, y: f(active, t, y),
                t,
                y,
                k,
                tableau.error_order,
                lambda x: rms(x / allowed),
                end - t,
            )
            stats.nfev += 1
        size = np.maximum(size, shortest)
    while active.size:
        i, now, y0 = active, t[active], y[active]
        if options.fixed:
            t1 = ends_of_steps[i, stats.accepted[i]]
            last = t1 == end[i]
        else:
            proposed = np.minimum(size[i], longest)
            last = np.minimum(1.01 * proposed, longest * (1 + 1e-9)) >= np.abs(end[i] - now)
            t1 = np.where(last, end[i], now + sign[i] * proposed)
        h = t1 - now
        stop(
            stats.accepted[i] + stats.rejected[i] >= options.max_steps,
            i,
            TooManySteps,
            f"max_steps={options.max_steps} steps were not enough; is the problem stiff, or the"
            " tolerance too small? Allow more, or ask for less accuracy with rtol and atol",
            now,
            h,
        )
        stop(h == 0, i, StepTooSmall, BELOW_ROUNDING, now, h)
        K, y1 = step(f, tableau, i, now, t1, h, y0, k[i])
        stats.nfev[i] += tableau.stages - 1
        good = np.isfinite(y1).all(axis=1)
        if options.fixed:
            stop(
                ~good,
                i,
                SolverError,
                "the state is no longer finite: the solution has blown up, or the step is too long",
                now,
                h,
            )
        else:
            allowed = scale(i, np.maximum(np.abs(y0), np.abs(y1)))
            error, error3 = [
                rms(weighted(h, e, K) / allowed) if e is not None else None
                for e in (tableau.e, tableau.e3)
            ]
            if tableau.e3 is not None:
                error = np.where(error > 0, error * (error / np.hypot(error, 0.1 * error3)), error)
            good &= error <= 1
            size[i] = controller.next(
                i, np.abs(h), np.where(good | (error > 1), error, math.inf), good
            )
            size[i[good]] = np.maximum(size[i[good]], shortest)
            stop(
                ~good & (size[i] < shortest),
                i,
                StepTooSmall,
                "the error asks for a step below "
                f"min_step={options.min_step}: allow a smaller step, or larger rtol and atol",
                now,
                h,
            )
            small = ~good & ~(size[i] > 4 * np.spacing(np.abs(now)))
            stop(
                small & ~np.isfinite(error),
                i,
                SolverError,
                "f or the state is not finite beyond this time, however small the step; end "
                "its interval earlier, or check f",
                now,
                h,
            )
            stop(small, i, StepTooSmall, BELOW_ROUNDING, now, h)
        stats.accepted[i] += good
        stats.rejected[i] += ~good
        if taken is not None and good.any():
            taken.append((i[good], now[good], t1[good], y0[good]))
        record(f, tableau, i, good, times, observed, ys, (now, t1, h, y0, y1, K), sign[i], stats)
        on, done = good & ~last, good & last
        t[i[on]], y[i[on]] = t1[on], y1[on]
        if tableau.first_same_as_last:
            k[i[on]] = K[-1][on]
        elif on.any():
            k[i[on]] = f(i[on], t1[on], y1[on])
            stats.nfev[i[on]] += 1
        active = i[~done]


def grids(times, options):
    """Return the ends of the steps of fixed size of each sample, shape (B, most steps), the last of
    them repeated.
    """
    common, rows = (times == times[0]).all(), []
    for sample, row in enumerate(times[:1] if common else times):
        try:
            rows.append([t1 for _, t1, _ in grid(row.tolist(), options)])
        except TooManySteps as error:
            error.sample = sample
            raise
    longest = max(map(len, rows))
    ends = np.array([row + row[-1:] * (longest - len(row)) for row in rows])
    return np.broadcast_to(ends, (len(times), longest)) if common else ends


def rms(x):
    """Return the root mean square of each row."""
    result = np.sqrt(np.mean(x * x, axis=1)).astype(float)
    huge = np.flatnonzero(np.isinf(result))  # too large to be squared, perhaps
    result[huge] = [rms_of_vector(row) for row in x[huge]]
    return result


def weighted(h, weights, K):
    """Return h sum_j weights_j k_j for as many of the stages K, (s, A, n), as there are weights; h
    has the shape (A,).
    """
    m = len(weights)
    return h[:, None].astype(K.dtype) * (weights.astype(K.dtype) @ K[:m].reshape(m, -1)).reshape(
        K.shape[1:]
    )


def stop(bad, samples, kind, message, t, h):
    """Raise an error for the first sample that is marked as bad."""
    if bad.any():
        n = int(np.argmax(bad))
        error = kind(f"sample {samples[n]}: {message}", float(t[n]), float(h[n]))
        error.sample = int(samples[n])
        raise error


class Controllers(Controller):
    """`Controller` for B samples."""

    def __init__(self, B, tableau):
        super().__init__(tableau.error_order, pi=tableau.e3 is None)
        self.previous_error, self.rejected = np.full(B, self.previous_error), np.zeros(B, bool)

    def next(self, i, h, error, good):
        """Return the next steps of the samples i, after steps of size h with these errors, of which
        some are good.
        """
        grown = (
            SAFETY * np.maximum(error, 1e-10) ** -self.alpha * self.previous_error[i] ** self.beta
        )
        grown = np.clip(grown, SHRINK, np.where(self.rejected[i], 1.0, GROW))
        shrunk = np.maximum(SHRINK, SAFETY * error**-self.alpha)
        self.previous_error[i] = np.where(good, np.maximum(error, 1e-4), self.previous_error[i])
        self.rejected[i] = ~good
        return h * np.where(good, grown, shrunk)


def step(f, tableau, samples, t, t1, h, y, k):
    """Take one step of each sample; return the stages (s, A, n) and the new states (A, n)."""
    K = np.empty((tableau.stages, *y.shape), y.dtype)
    K[0] = k
    stage = y
    for j in range(1, tableau.stages):
        stage = y + weighted(h, tableau.a[j, :j], K)
        K[j] = f(samples, t1 if tableau.c[j] == 1.0 else t + tableau.c[j] * h, stage)
    return K, stage if tableau.first_same_as_last else y + weighted(h, tableau.b, K)


def record(f, tableau, samples, good, times, observed, ys, steps, sign, stats):
    """Write the states at the times in the good ones of these steps: at their ends as they are,
    inside them off the interpolant.
    """
    t, t1, h, y, y1, K = steps
    next_time = times[samples, np.minimum(observed[samples], times.shape[1] - 1)]
    due = good & (observed[samples] < times.shape[1]) & (sign * (next_time - t1) <= 0)
    rows = np.flatnonzero(due)
    if not rows.size:
        return
    reached = np.array(
        [count_until(times[i], end, s) for i, end, s in zip(samples[rows], t1[rows], sign[rows])]
    )
    counts = reached - observed[samples[rows]]
    row = np.repeat(rows, counts)  # of each observation
    which = np.concatenate([np.arange(n - m, n) for n, m in zip(reached, counts)])
    at, states = times[samples[row], which], y1[row]
    inside = at != t1[row]
    if inside.any():
        some = np.unique(row[inside])
        Q = polynomials(
            f, tableau, samples[some], t[some], t1[some], h[some], y[some], K[:, some], stats
        )
        row_inside = row[inside]
        theta = ((at[inside] - t[row_inside]) / h[row_inside])[:, None].astype(y.dtype)
        states[inside] = y[row_inside] + horner(Q[:, np.searchsorted(some, row_inside)], theta)
    ys[which, samples[row]] = states
    observed[samples[rows]] = reached


def count_until(times, end, sign):
    """Return how many of the times, in the direction of the sign, are not beyond the end."""
    if sign > 0:
        return np.searchsorted(times, end, side="right")
    return len(times) - np.searchsorted(times[::-1], end, side="left")


def polynomials(f, tableau, samples, t, t1, h, y, K, stats):
    """Return the coefficients of the dense output of steps, shape (d, A, n); see
    `dense.polynomial`.
    """
    stats.nfev[samples] += len(tableau.extra_a)
    for row, c in zip(tableau.extra_a, tableau.extra_c):
        stage = y + weighted(h, row[: len(K)], K)
        K = np.concatenate(
            [K, f(samples, t1 if c == 1.0 else t + c * h, stage)[None].astype(y.dtype)]
        )
    return np.stack([weighted(h, column, K) for column in tableau.interpolant.T])
