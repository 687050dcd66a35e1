"""Differences, integrals and interpolation on grids, and polynomials.

They are linear in the values, and compositions of slices. They are differentiable in the grid
as well, where NumPy takes one.
"""

import numpy as np

from ...checks import as_real
from ...numpy_calls import is_traced, plain, record, unbox
from ..table import derives, per_operand


@derives(np.diff, checked=True)
def diff(a, n=1, axis=-1, prepend=None, append=None):
    """``np.diff``: y_i = x_(i+1) - x_i, n times."""
    a = unbox(a)
    if n and (prepend is not None or append is not None):
        end = [1 if i == axis % a.ndim else size for i, size in enumerate(a.shape)]
        parts = [prepend, a, append]
        parts = [
            x if np.ndim(x) else np.broadcast_to(unbox(x), end) for x in parts if x is not None
        ]
        a = np.concatenate(parts, axis=axis)
    y = np.moveaxis(a, axis, 0)
    for _ in range(n):
        y = y[1:] - y[:-1]
    return np.moveaxis(y, 0, axis)


@derives(np.trapezoid)
def trapezoid(y, x=None, dx=1.0, axis=-1):
    """``np.trapezoid``: the sum of h (y_i + y_(i+1)) / 2."""
    y, h = unbox(y), dx
    before = (slice(None),) * (axis % y.ndim)
    if x is not None:
        x = unbox(x)
        after = (1,) * (y.ndim - len(before) - 1)
        h = np.diff(x, axis=axis) if x.ndim > 1 else np.reshape(np.diff(x), (-1, *after))
    return np.sum(h * (y[(*before, slice(1, None))] + y[(*before, slice(None, -1))]) / 2, axis=axis)


@derives(np.gradient, checked=True)
def gradient(f, *varargs, axis=None, edge_order=1):
    """``np.gradient`` on even and uneven grids.

    The differences are of second order inside, and of order ``edge_order`` at the ends.
    """
    f = as_real("np.gradient: the array", f)
    f = f if f.dtype.kind == "f" else f.astype(float)
    axes = range(f.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, f.ndim)
    grids = list(varargs) or [1.0]
    grids = grids * len(axes) if len(grids) == 1 else grids
    slopes = [slope_along(f, i, unbox(grid), edge_order) for i, grid in zip(axes, grids)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def slope_along(f, axis, x, edge_order):
    """The slope along one axis; x is the step of an even grid, or the grid."""
    y = np.moveaxis(f, axis, -1)
    h = np.diff(x) if x.ndim else np.broadcast_to(x, (y.shape[-1] - 1,))
    even = x.ndim == 0 or (not is_traced(x) and np.all(h == h[0]))
    slope = (y[..., 1:] - y[..., :-1]) / h
    left, right = slope[..., :1], slope[..., -1:]
    if even:  # the value between the two does not count, even if it is no number
        inside = (y[..., 2:] - y[..., :-2]) / (2 * h[1:])
    else:
        inside = (slope[..., :-1] * h[1:] + slope[..., 1:] * h[:-1]) / (h[:-1] + h[1:])
    if edge_order == 2:  # the parabola through the last three points
        left = left + (left - slope[..., 1:2]) * h[:1] / (h[:1] + h[1:2])
        right = right + (right - slope[..., -2:-1]) * h[-1:] / (h[-1:] + h[-2:-1])
    y = np.concatenate([left, inside, right], axis=-1)
    return np.moveaxis(y, -1, axis).astype(f.dtype)


@derives(np.interp, checked=True)
def interp(x, xp, fp, left=None, right=None, period=None):
    """``np.interp``: the straight line between neighbours, the first and last value outside.

    At a node the derivative is the slope to its right.
    """
    x, xp, fp = (as_real("np.interp: each argument", array).astype(float) for array in (x, xp, fp))
    if period is not None:
        period = np.abs(period)
        x, xp = x % period, xp % period
        order = np.argsort(plain(xp))
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp, left, right = np.concatenate([fp[-1:], fp, fp[:1]]), None, None
    below, above = plain(x) < plain(xp)[0], plain(x) > plain(xp)[-1]
    x = np.where(below | above, plain(xp)[0], x)  # far out, the straight line would be 0 * inf
    y = line_between(x, xp, fp) if len(xp) > 1 else np.broadcast_to(fp[0], x.shape)
    y = np.where(below, fp[0] if left is None else left, y)
    return np.where(above, fp[-1] if right is None else right, y)


def line_between(x, xp, fp):
    """The straight line between the nodes on both sides of each x."""
    i = np.clip(np.searchsorted(plain(xp), plain(x), side="right") - 1, 0, len(xp) - 2)
    at_left, at_right = taken(plain(xp), i), taken(plain(xp), i + 1)
    # It begins at the node to the right where x meets this (two nodes may have the same place), and
    # where the left one is -inf.
    start = i + ((plain(x) == at_right) | np.isinf(at_left))
    h = taken(xp, i + 1) - taken(xp, i)
    slope = (taken(fp, i + 1) - taken(fp, i)) / np.where(plain(h) == 0, 1.0, h)
    return taken(fp, start) + slope * (x - taken(xp, start))


def taken(array, places):
    """Return array[places], by a call of NumPy even where the array is a plain one."""
    return np.reshape(np.take_along_axis(array, np.ravel(places), axis=0), places.shape)


def steps(num, endpoint):
    """The number of steps from the start to the stop."""
    return num - 1 if endpoint else num


def points_first(g, num, endpoint, axis):
    """Return g with the points on its first axis, over which the engine sums, and s of each."""
    s = np.reshape(np.arange(num) / max(steps(num, endpoint), 1), (-1,) + (1,) * (g.ndim - 1))
    return np.moveaxis(g, axis, 0), s.astype(g.dtype)


def linspace_start(g, y, start, stop, num=50, endpoint=True, *, axis=0):
    """Each point is (1 - s) start + s stop: the start gets g (1 - s)."""
    g, s = points_first(g, num, endpoint, axis)
    return g * (1 - s)


def linspace_stop(g, y, start, stop, num=50, endpoint=True, *, axis=0):
    """The stop gets g s."""
    g, s = points_first(g, num, endpoint, axis)
    return g * s


LINSPACE = per_operand(linspace_start, linspace_stop, of=np.linspace)


@derives(np.linspace, checked=True)
def linspace(start, stop, num=50, endpoint=True, *, retstep=False, axis=0):
    """``np.linspace``, and its step, which is NaN where there is none."""
    y = record(np.linspace, LINSPACE, (start, stop, num, endpoint), {"axis": axis})
    if not retstep:
        return y
    start, stop = (x if type(x) in (int, float) else unbox(x) for x in (start, stop))
    n = steps(num, endpoint)
    return y, (stop - start) / n if n > 0 else np.nan


@derives(np.polyval)
def polyval(p, x):
    """``np.polyval`` by Horner's rule, the highest power first."""
    p, x = unbox(p), unbox(x)
    y = np.zeros_like(plain(x))
    for i in range(p.shape[0]):
        y = y * x + p[i]
    return y
