"""Why are the values z(t_i) of a solver wrong?

It is a mistake, which is recognised by making it, `mistaken_values`, or it is the size of the
steps, which is recognised by taking smaller ones, `accuracy_in_words`.
"""

import numpy as np

from ..solvers import solve
from .mistakes import accurate, explains, field

MOST_PIECES = 64  # into which an interval is cut; the error of Euler's method falls as many times
HELP = "; tinyode.testing.check_step finds mistakes in one step"
ROUNDING = 1e-16
STANDS_STILL = 8.0  # an error that falls less in these pieces does not come from the steps


def mistaken_values(problem):
    """Return in words what mistakes give for z(t_i), each of shape (T, n)."""
    z0, A, b, t = problem.primals
    exact = accurate(*problem.primals)

    def solved(f, z, times, *args):
        return solve(f, z, times, *args, method="dop853", rtol=1e-9, atol=1e-11).y

    def each(f):
        """Solve each interval by itself; f knows where it starts."""
        z = [z0]
        for start, end in zip(t, t[1:]):
            z.append(solved(lambda time, z, s=start: f(time, z, s), z[-1], [start, end])[-1])
        return np.array(z)

    forth = t[0] + np.abs(t - t[0])
    starts = list(zip(t, t[1:]))
    ends = [accurate(z0, A, b, np.array(interval))[-1] for interval in starts]
    first_length = t[0] + (t[1] - t[0]) * np.arange(len(t))
    ways = {
        "they are in reverse order": exact[::-1],
        "the first is not that of z0": np.concatenate([exact[1:2], exact[1:]]),
        "they are all z0; does the loop over the steps never run?": 0 * exact + z0,
        "after the first, each is that of the time before": exact[[0, *range(len(t) - 1)]],
        "each interval starts from z0 again": np.array([z0, *ends]),
        "each interval is as long as the first": accurate(z0, A, b, first_length),
        "time stands still, f is always taken at t0": solved(
            lambda _, z: field(t[0], z, A, b), z0, t
        ),
        "time stands still in each interval, f is taken at its start": each(
            lambda time, z, start: field(start, z, A, b)
        ),
        "f is taken at the time since t0, not at t": solved(
            lambda time, z: field(time - t[0], z, A, b), z0, t
        ),
        "f is taken at the time since the start of each interval, not at t": each(
            lambda time, z, start: field(time - start, z, A, b)
        ),
        "f has the wrong sign": solved(lambda time, z: -field(time, z, A, b), z0, t),
        "f gets A transposed": accurate(z0, A.T, b, t),
    }
    if problem.backwards:
        ways |= {
            "time runs forwards, where it must decrease: is |h| taken?": accurate(z0, A, b, forth),
            "z runs forwards, where time decreases: is |h| taken in the new state?": solved(
                lambda time, z: -field(time, z, A, b), z0, t
            ),
        }
    return ways


def values_in_words(problem, found, same):
    """Say what can have made the values wrong, a list."""
    if not np.all(np.isfinite(found)):
        return ["they are not finite"]
    exact = accurate(*problem.primals)
    ways = mistaken_values(problem)
    return [word for word in ways if explains(ways[word], found, exact, same)]


def error_of(found, exact):
    """Return the largest error, relative to 1 + |exact|."""
    return float(np.max(np.abs(found - exact) / (1 + np.abs(exact))))


def accuracy_in_words(odeint, problem, found, rtol):
    """Say by how much values are off, whether shorter steps help, and what would do.

    Each interval is cut into 1, 2, 4, ... pieces, and each piece is solved by itself, so that no
    step is longer than a piece.
    """
    exact = accurate(*problem.primals)
    error = error_of(found, exact)
    said = f"they are off by {error:.1e} relative to 1 + |z|, where {rtol:.1e} is allowed"
    pieces, errors = 1, [error_of(in_pieces(odeint, 1)(*problem.primals), exact)]
    while errors[-1] > rtol and pieces < MOST_PIECES:
        pieces *= 2
        errors.append(error_of(in_pieces(odeint, pieces)(*problem.primals), exact))
    if pieces == 1:
        return (
            f"{said}. With each interval solved in a call of its own, the error is {errors[0]:.1e}."
            f" A tolerance {np.ceil(error / rtol):.0f} times smaller would do; or there is a"
            " mistake in how the state is carried from one interval to the next"
        )
    cut = f"with each interval solved in {pieces} pieces, the error"
    if not errors[-1] < max(rtol, errors[0] / STANDS_STILL):
        return (
            f"{said}. It does not come from long steps or a large tolerance: {cut} is still"
            f" {errors[-1]:.1e}. Look at the slopes, and at how the state is carried on{HELP}"
        )
    order = np.log2(errors[0] / max(errors[-1], ROUNDING)) / np.log2(pieces)
    return (
        f"{said}. The steps are too long: {cut} falls with order {order:.1f} to {errors[-1]:.1e}."
        f" Steps about {np.ceil((error / rtol) ** (1 / order)):.0f} times shorter would do, or a"
        f" tolerance {np.ceil(error / rtol):.0f} times smaller{HELP}"
    )


def in_pieces(odeint, m):
    """Return z(t_i) as a function of z0, A, b, t, where each interval is solved in m pieces."""

    def solved(z0, A, b, t):
        z = [z0]
        for start, end in zip(t, t[1:]):
            now = z[-1]
            for k in range(m):
                piece = [start + (end - start) * (i / m) for i in (k, k + 1)]
                now = odeint(field, now, np.stack(piece), A, b)[-1]
            z.append(now)
        return np.stack(z)

    return solved
