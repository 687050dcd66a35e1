"""Many initial value problems at once, `solve_batch`: each has its own times and step sizes.

To solve all samples as one system takes the steps that the hardest of them asks for. Here every
sample has a clock of its own, and one call of f still serves them all. The state is a matrix with a
row for each sample; time, step size and error are vectors with an element for each. The loop is
that of `solve`, and a sample that has come to its end is left out. (There are two loops, as a
system alone would take nine times as long in this one; `step_size` says why.)
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import tree
from ..types import ArrayLike, Field, Tree
from . import failures
from .batch_steps import Observations, take_step
from .failures import SolverError, raise_first
from .first_call import explained
from .options import Options, Stats
from .pace import AdaptivePace, FixedPace
from .rows import Rows, check_batch_times
from .solution import Solution
from .state import check_function, check_state, flat_tolerance
from .tableaus import find


@explained
def solve_batch(
    f: Field,
    y0: Tree,
    t: ArrayLike,
    *args: Any,
    method: str = "dopri5",
    rtol: Tree = 1e-6,
    atol: Tree = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_steps: int = 100_000,
    max_step: float | None = None,
    min_step: float | None = None,
    batched: Sequence[int] = (),
) -> Solution:
    """Solve dy/dt = f(t, y, *args) for B samples at once, each with step sizes of its own.

    Each may have its own times, too.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)`` computes the derivatives of A samples at once, row by row. y has the
        shape (A, ...), or is a container of such. t has the shape (A, 1, ...), with as many axes as
        the part of y that has most, so that it broadcasts. At first A is B. Samples that have come
        to their end are left out, unless f then gives something else for the others. (So it is
        where f closes over arrays with a row for each sample; it is called with all samples then.)
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
        Its ``y`` has the shape (T, *y0.shape). Its ``stats`` have an array of shape (B,) for each
        number: what each sample would take by itself. It has no dense output and no events.

    Raises
    ------
    SolverError
        If a sample cannot go on. The error's ``sample`` is the number of that sample; its
        ``solution`` is NaN at all times that a sample has not reached.
    TypeError, ValueError
        If an argument is not as it must be; they name it.

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
    """Check the arguments of `solve_batch`.

    Return the `Rows`, the times, shape (B, T), and the options with tolerances of B rows.
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
    options = options._replace(
        rtol=flat_tolerance(options.rtol, leaves, structure, "rtol"),
        atol=flat_tolerance(options.atol, leaves, structure, "atol"),
    ).check()
    if find(options.method).implicit:
        raise ValueError(
            f"method={options.method!r} is implicit, and solve_batch is for explicit methods; call"
            " solve for each sample"
        )
    check_batched(batched, args, B)
    args = [tree.map(np.asarray, arg) if n in batched else arg for n, arg in enumerate(args)]
    rows = Rows(f, leaves, structure, args, batched)
    rtol, atol = rows.matrix(options.rtol), rows.matrix(options.atol)
    return rows, check_batch_times(t, B), options._replace(rtol=rtol, atol=atol)


def check_batched(batched, args, B):
    """Raise ValueError unless the args with these numbers have a row for each of B samples."""
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


def march(rows, times, options, observations, taken):
    """Take the steps of all samples: the loop of `solve`, with a row for each sample under way.

    Parameters
    ----------
    rows : Rows
    times : array, shape (B, T)
    options : Options
    observations : Observations
        What is written down.
    taken : list or None
        See `follow`.
    """
    tableau, stats = find(options.method), observations.stats
    samples, t, y, end = np.arange(len(times)), times[:, 0], rows.y, times[:, -1]
    k = rows(samples, t, y)
    stats.nfev += 1
    raise_first(~np.isfinite(k).all(axis=1), samples, failures.not_finite_at_start, t, y, k)
    pace = (FixedPace if options.fixed else AdaptivePace)(rows, times, options, k, stats)
    for _ in range(pace.most_steps):
        t1 = pace.end_of_step(samples, t, end)
        h = t1 - t
        raise_first(h == 0, samples, partial(failures.below_rounding, tableau), t, h)
        K, y1 = take_step(rows, tableau, samples, t, t1, h, y, k)
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
            k[accepted] = rows(samples[accepted], t[accepted], y[accepted])
            stats.nfev[samples[accepted]] += 1
    too_many = partial(failures.too_many_steps, tableau, options, 0)
    raise_first(t != end, samples, too_many, t, pace.end_of_step(samples, t, end) - t)
