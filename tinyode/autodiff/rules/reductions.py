"""Reductions over axes: the cotangent of a sum goes back to every term of it.

Where several elements share the maximum, each gets an equal part of the cotangent. A standard
deviation of zero has a corner, and its VJP there is zero. Elements that ``where=`` leaves out get
zero.

Their ``nan`` forms, quantiles and averages are in `more.statistics`.
"""

import math

import numpy as np

from ..custom import primitive
from ..numpy_calls import plain
from .elementwise import scaled
from .table import derives, no_derivative, rule

FLOAT16, FLOAT64 = np.dtype(np.float16), np.dtype(float)


def spread(g, x, axis, keepdims):
    """Put axes of length one back where a reduction took them, so that g broadcasts against x."""
    if keepdims:
        return g
    if axis is None or np.ndim(x) == 0:
        return np.reshape(g, (1,) * np.ndim(x))
    return np.expand_dims(g, axis)


def axes_of(a, axis):
    """Write an axis argument as the tuple of the axes, counted from 0."""
    if axis is None:
        return tuple(range(a.ndim))
    return np.lib.array_utils.normalize_axis_tuple(axis, a.ndim)


def rows_of(a, axis):
    """Bring the axes of a reduction to the end and make one of them."""
    axes = axes_of(a, axis)
    kept = tuple([i for i in range(a.ndim) if i not in axes])
    shape = (*[a.shape[i] for i in kept], math.prod([a.shape[i] for i in axes]))
    return np.reshape(np.transpose(a, kept + axes), shape)


def sum_vjp(g, y, a, axis=None, dtype=None, *, keepdims=False, initial=0, where=True):
    """y = sum of x: every x that takes part gets g."""
    g = spread(g, a, axis, keepdims)
    return np.broadcast_to(g, a.shape) if where is True else np.where(where, g, 0.0)


def extremum_vjp(g, y, a, axis=None, *, keepdims=False, initial=None, where=True):
    """y = max or min of x: the elements equal to y share g equally."""
    y = spread(y, a, axis, keepdims)
    hit = ((a == y) | (np.isnan(a) & np.isnan(y))) & where
    part = hit / np.maximum(1, np.sum(hit, axis=axis, keepdims=True))
    return spread(g, a, axis, keepdims) * part


def cumsum_vjp(g, y, a, axis=None):
    """y_i = sum of x_j up to i: x_j gets the sum of g_i from j on."""
    if axis is None:
        return np.reshape(np.flip(np.cumsum(np.flip(g))), a.shape)
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


rule(np.sum, sum_vjp)
rule(np.cumsum, cumsum_vjp)
rule(np.max, extremum_vjp)
rule(np.amax, extremum_vjp)
rule(np.min, extremum_vjp)
rule(np.amin, extremum_vjp)


def prod_vjp(g, y, a, axis=None, *, keepdims=False, initial=None, where=True):
    """y = product of x: every x gets g times the product of the others."""
    axis = axis if a.ndim else None
    x = a if where is True else np.where(where, a, 1.0)
    axes = axes_of(a, axis)
    order = tuple([i for i in range(a.ndim) if i not in axes]) + axes  # as in rows_of
    rest = np.reshape(others(rows_of(x, axis)), [a.shape[i] for i in order])
    rest = np.transpose(rest, np.argsort(order).tolist())
    c = spread(g if initial is None else g * initial, a, axis, keepdims) * rest
    return c if where is True else np.where(where, c, 0.0)


def others(x):
    """For each x of a row, the product of the others.

    The row is halved by multiplying pairs, until one is left. Nothing is divided, so x may be zero.
    """
    n = x.shape[-1]
    if n < 2:
        return np.ones_like(x)
    if n % 2:
        x = np.concatenate([x, np.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)
    pairs = np.reshape(x, (*x.shape[:-1], x.shape[-1] // 2, 2))
    rest = others(pairs[..., 0] * pairs[..., 1])  # what is in no pair of this x
    return np.reshape(np.expand_dims(rest, -1) * pairs[..., ::-1], x.shape)[..., :n]


def cumprod_vjp(g, y, a, axis=None):
    """y_i = x_0 ... x_i: x_j gets y_(j-1) r_j, where r_j = g_j + x_(j+1) r_(j+1).

    The r are found by doubling: after k rounds, each has the 2^k terms that begin with its own g.
    """
    flat = axis is None or a.ndim == 0
    g, y, x = [np.reshape(z, (-1,)) if flat else np.moveaxis(z, axis, 0) for z in (g, y, a)]
    factor, shift = x[1:], 1
    while shift < x.shape[0]:
        g = np.concatenate([g[:-shift] + factor * g[shift:], g[-shift:]])
        factor = factor[:-shift] * factor[shift:]
        shift *= 2
    g = np.concatenate([g[:1], g[1:] * y[:-1]])
    return np.reshape(g, a.shape) if flat else np.moveaxis(g, 0, axis)


rule(np.prod, prod_vjp)
rule(np.cumprod, cumprod_vjp)


def count(a, axis, keepdims=False, where=True):
    """How many elements of a fall together in a reduction over these axes.

    The result is a number, or an array where some elements are left out. float16 does not have
    every whole number above 2048, so the count for it is of float64.
    """
    dtype = FLOAT64 if a.dtype is FLOAT16 else a.dtype
    if where is True:
        return dtype.type(math.prod([a.shape[i] for i in axes_of(a, axis)]))
    return np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=keepdims, dtype=dtype)


def in_precision_of(a, y):
    """Return y, which was computed from a and a count, in the precision of a."""
    return y.astype(a.dtype) if a.dtype is FLOAT16 else y


def mean_of_sum(a, axis=None, *, keepdims=False, where=True):
    """Divide a sum by a count: the mean that NumPy takes in `np.nanmean` and in a variance."""
    total = np.sum(a, axis=axis, keepdims=keepdims, where=where)
    return in_precision_of(a, total / count(a, axis, keepdims, where))


@derives(np.mean)
def mean(a, axis=None, *, keepdims=False, where=True):
    """``np.mean`` as a sum divided by a count; NumPy sums float16 in float32."""
    x = a.astype(np.float32) if a.dtype is FLOAT16 else a
    return in_precision_of(a, mean_of_sum(x, axis, keepdims=keepdims, where=where))


def deviations(a, axis, where):
    """Distances from the mean, zero where an element is left out."""
    distance = a - mean_of_sum(a, axis, keepdims=True, where=where)
    return distance if where is True else np.where(where, distance, 0.0)


@derives(np.var)
def var(a, axis=None, *, ddof=0, keepdims=False, where=True):
    """``np.var`` as the mean squared distance from the mean."""
    distance, n = deviations(a, axis, where), count(a, axis, keepdims, where)
    total = np.sum(distance * distance, axis=axis, keepdims=keepdims, where=where)
    return in_precision_of(a, total / np.maximum(n - ddof, 0))


@derives(np.std)
def std(a, axis=None, *, ddof=0, keepdims=False, where=True):
    """``np.std``, the root of the variance; where that is zero, its VJP is zero."""
    distance, n = deviations(a, axis, where), count(a, axis, keepdims, where)
    root = np.sqrt(np.maximum(n - ddof, 0))
    return in_precision_of(a, euclidean(distance, axis, keepdims) / root)


def euclidean_vjp(g, y, x, axis, keepdims):
    """y = |x|: g x / y, where x and y are divided by the largest x before they are squared."""
    size = np.max(np.abs(plain(x)), axis=axis, keepdims=True, initial=0.0)
    x = scaled(x, size)
    length = np.sqrt(np.sum(x * x, axis=axis, keepdims=True) + (size == 0))
    return spread(g, x, axis, keepdims) * (x / length)


@primitive(euclidean_vjp)
def euclidean(x, axis, keepdims):
    """Root of the sum of squares; at zero, where it has a corner, the VJP is zero, as that of abs.

    Second derivatives do not exist there. For a smooth function of it, such as its square, write
    np.sum(x * x).
    """
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


no_derivative("all any")
