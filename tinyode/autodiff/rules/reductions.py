"""Reductions over axes: the cotangent of a sum goes back to every term of it.

Where several elements share the maximum, each gets an equal part of the cotangent; a median or a
quantile is a mean of two elements of the sorted array, and ties are broken by their order. A
standard deviation of zero has a corner, and its VJP there is zero. Elements that ``where=`` leaves
out, or that the ``nan`` forms skip, get zero.
"""

import math

import numpy as np

from ..custom import primitive
from ..numpy_calls import plain, unbox
from .elementwise import by_the_largest
from .table import CHECKED, DERIVED, PLAIN, rule

FLOAT16, FLOAT64 = np.dtype(np.float16), np.dtype(float)


def spread(g, x, axis, keepdims):
    """Put axes of length one back where a reduction took them, so that g broadcasts against x."""
    if keepdims or axis is None or np.ndim(x) == 0:
        return g if keepdims else np.reshape(g, (1,) * np.ndim(x))
    return np.expand_dims(g, axis)


def sum_vjp(g, y, a, axis=None, dtype=None, *, keepdims=False, initial=0, where=True):
    """Y = sum of x: every x that takes part gets g."""
    g = spread(g, a, axis, keepdims)
    return np.broadcast_to(g, a.shape) if where is True else np.where(where, g, 0.0)


def extremum_vjp(g, y, a, axis=None, *, keepdims=False, initial=None, where=True):
    """Y = max or min of x: the elements equal to y share g equally."""
    y = spread(y, a, axis, keepdims)
    hit = ((a == y) | (np.isnan(a) & np.isnan(y))) & where
    return spread(g, a, axis, keepdims) * (
        hit / np.maximum(1, np.sum(hit, axis=axis, keepdims=True))
    )


def cumsum_vjp(g, y, a, axis=None):
    """Y_i = sum of x_j up to i: x_j gets the sum of g_i from j on."""
    if axis is None:
        return np.reshape(np.flip(np.cumsum(np.flip(g))), a.shape)
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


rule(np.sum, sum_vjp)
rule(np.cumsum, cumsum_vjp)
rule(np.max, extremum_vjp)
rule(np.amax, extremum_vjp)
rule(np.min, extremum_vjp)
rule(np.amin, extremum_vjp)


def axes_of(a, axis):
    """Write an axis argument as the tuple of the axes, counted from 0."""
    return (
        tuple(range(a.ndim))
        if axis is None
        else np.lib.array_utils.normalize_axis_tuple(axis, a.ndim)
    )


def count(a, axis, keepdims=False, where=True):
    """How many elements of a fall together in a reduction over these axes.

    A number, or an array where some are left out. Above 2048 float16 does not have every whole
    number, so the count is of float64 there.
    """
    dtype = FLOAT64 if a.dtype is FLOAT16 else a.dtype
    if where is True:
        return dtype.type(math.prod([a.shape[i] for i in axes_of(a, axis)]))
    return np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=keepdims, dtype=dtype)


def in_precision_of(a, y):
    """Return y, which was computed from a and a count, in the precision of a."""
    return y.astype(a.dtype) if a.dtype is FLOAT16 else y


def rows_of(a, axis):
    """Bring the axes of a reduction to the end and make one of them."""
    axes = axes_of(a, axis)
    kept = tuple([i for i in range(a.ndim) if i not in axes])
    return np.reshape(
        np.transpose(a, kept + axes),
        (*[a.shape[i] for i in kept], math.prod([a.shape[i] for i in axes])),
    )


def prod_vjp(g, y, a, axis=None, *, keepdims=False, initial=None, where=True):
    """Y = product of x: every x gets g times the product of the others."""
    x = a if where is True else np.where(where, a, 1.0)
    axis = axis if a.ndim else None
    axes = axes_of(a, axis)
    order = tuple([i for i in range(a.ndim) if i not in axes]) + axes
    rest = np.reshape(others(rows_of(x, axis)), [a.shape[i] for i in order])
    rest = np.transpose(rest, tuple(np.argsort(order)))
    c = spread(g if initial is None else g * initial, a, axis, keepdims) * rest
    return c if where is True else np.where(where, c, 0.0)


def others(x):
    """For each x of a row the product of the others, by halves: right where some x are zero."""
    n = x.shape[-1]
    if n < 2:
        return np.ones_like(x)
    if n % 2:
        x = np.concatenate([x, np.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)
    pairs = np.reshape(x, (*x.shape[:-1], x.shape[-1] // 2, 2))
    rest = others(pairs[..., 0] * pairs[..., 1])  # what is in no pair of this x
    return np.reshape(np.expand_dims(rest, -1) * pairs[..., ::-1], x.shape)[..., :n]


def cumprod_vjp(g, y, a, axis=None):
    """Y_i = x_0 ... x_i: x_j gets y_(j-1) r_j, where r_j = g_j + x_(j+1) r_(j+1).

    The r by doubling: after k rounds, each has the 2^k terms that begin with its own g.
    """
    axis = axis if a.ndim else None
    g, y, x = [np.reshape(z, (-1,)) if axis is None else np.moveaxis(z, axis, 0) for z in (g, y, a)]
    factor, shift = x[1:], 1
    while shift < x.shape[0]:
        g = np.concatenate([g[:-shift] + factor * g[shift:], g[-shift:]])
        factor = factor[:-shift] * factor[shift:]
        shift *= 2
    g = np.concatenate([g[:1], g[1:] * y[:-1]])
    return np.reshape(g, a.shape) if axis is None else np.moveaxis(g, 0, axis)


rule(np.prod, prod_vjp)
rule(np.cumprod, cumprod_vjp)


def mean_of_sum(a, axis=None, *, keepdims=False, where=True):
    """Divide a sum by a count: the mean that NumPy has in `np.nanmean` and in a variance."""
    total = np.sum(a, axis=axis, keepdims=keepdims, where=where)
    return in_precision_of(a, total / count(a, axis, keepdims, where))


def mean(a, axis=None, *, keepdims=False, where=True):
    """``np.mean`` as a sum divided by a count; NumPy sums float16 in float32."""
    x = a.astype(np.float32) if a.dtype is FLOAT16 else a
    return in_precision_of(a, mean_of_sum(x, axis, keepdims=keepdims, where=where))


def deviations(a, axis, where):
    """Distances from the mean, zero where an element is left out."""
    distance = a - mean_of_sum(a, axis, keepdims=True, where=where)
    return distance if where is True else np.where(where, distance, 0.0)


def var(a, axis=None, *, ddof=0, keepdims=False, where=True):
    """``np.var`` as the mean squared distance from the mean."""
    distance, n = deviations(a, axis, where), count(a, axis, keepdims, where)
    total = np.sum(distance * distance, axis=axis, keepdims=keepdims, where=where)
    return in_precision_of(a, total / np.maximum(n - ddof, 0))


def std(a, axis=None, *, ddof=0, keepdims=False, where=True):
    """``np.std``, the root of the variance; where that is zero, and the root has a corner, its VJP
    is zero.
    """
    distance, n = deviations(a, axis, where), count(a, axis, keepdims, where)
    root = np.sqrt(np.maximum(n - ddof, 0))
    return in_precision_of(a, euclidean(distance, axis, keepdims) / root)


def euclidean_vjp(g, y, x, axis, keepdims):
    """Y = |x|: g x / y, the x and y divided by the largest x before they are squared."""
    size = np.max(np.abs(plain(x)), axis=axis, keepdims=True, initial=0.0)
    x = by_the_largest(x, size)
    length = np.sqrt(np.sum(x * x, axis=axis, keepdims=True) + (size == 0))
    return spread(g, x, axis, keepdims) * (x / length)


@primitive(euclidean_vjp)
def euclidean(x, axis, keepdims):
    """Root of the sum of squares; at zero, where it has a corner, the VJP is zero, as that of abs
    is.

    Second derivatives do not exist there; for a smooth function of it, such as its square, write
    np.sum(x * x).
    """
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def p_norm_vjp(g, y, size, ord, axis, keepdims):
    """Y = (sum of x^p)^(1/p): g (x / y)^(p - 1).

    x and y are divided by the largest x first (for p < 0 by the smallest), so that no power
    overflows. At an x of zero abs has a corner; and for p < 0 the others do not count beside it.
    """
    decides = (np.max if ord > 0 else np.min)(plain(size), axis=axis, keepdims=True)
    counts = (size > 0) & (decides > 0)
    ratio = np.where(counts, by_the_largest(size, decides), 1.0)
    powers = np.sum(np.where(counts, ratio**ord, 0.0), axis=axis, keepdims=True)
    length = np.where(decides > 0, powers, 1.0) ** (1 / ord)
    return spread(g, size, axis, keepdims) * np.where(counts, (ratio / length) ** (ord - 1), 0.0)


@primitive(p_norm_vjp)
def p_norm(size, ord, axis, keepdims):
    """The p-th root of the sum of the p-th powers of what is not negative."""
    return np.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """``np.average``: the weighted sum divided by the sum of the weights, which have the shape of a
    or of the axes averaged over.
    """
    a = unbox(a)
    if weights is None:
        y = np.mean(a, axis=axis, keepdims=keepdims)
        return (y, np.full_like(plain(y), a.size / y.size)) if returned else y
    weights = unbox(weights)
    whole = [float] if a.dtype.kind in "iub" else []
    dtype = np.result_type(a.dtype, weights.dtype, *whole)
    a, weights = a.astype(dtype), weights.astype(dtype)
    if weights.shape != a.shape:
        axes = axes_of(a, axis)
        weights = np.transpose(weights, tuple(np.argsort(axes)))
        weights = np.reshape(weights, [n if i in axes else 1 for i, n in enumerate(a.shape)])
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    y = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (y, np.broadcast_to(total, y.shape)) if returned else y


def quantile(skip_nan):
    """``np.quantile``, linear between neighbours: element q (n - 1) of the sorted rows, what is not
    a number last.
    """

    def derived(a, q, axis=None, *, keepdims=False):
        a, q = unbox(a), q if type(q) in (int, float) else unbox(q)
        rows = np.sort(rows_of(a, axis), axis=-1)
        rows = rows if rows.shape[-1] else np.full((*rows.shape[:-1], 1), np.nan, a.dtype)
        invalid = np.isnan(rows)
        last = (
            np.sum(~invalid, axis=-1, keepdims=True) if skip_nan else np.asarray(rows.shape[-1])
        ) - 1
        positions = np.maximum(last, 0) * np.ravel(q)
        positions = np.broadcast_to(positions, (*rows.shape[:-1], positions.shape[-1]))
        below = np.floor(positions).astype(int)
        part = (positions - below).astype(np.result_type(a.dtype, getattr(q, "dtype", q)))
        low, high = (
            np.take_along_axis(rows, i, axis=-1)
            for i in (below, np.minimum(below + 1, np.maximum(last, 0)))
        )
        at = (plain(part) == 0) & ~np.isfinite(
            plain(low + high)
        )  # an element beside one that is infinite
        y = np.where(at, low, (1 - part) * np.where(at, 0.0, low) + part * np.where(at, 0.0, high))
        if not skip_nan:
            y = y * np.where(np.any(invalid, axis=-1, keepdims=True), np.nan, 1.0).astype(a.dtype)
        axes = axes_of(a, axis)
        shape = (
            tuple([1 if i in axes else n for i, n in enumerate(a.shape)])
            if keepdims
            else rows.shape[:-1]
        )
        return np.reshape(np.moveaxis(y, -1, 0), np.shape(q) + shape)

    return derived


of_all, of_numbers = quantile(skip_nan=False), quantile(skip_nan=True)


def percent(q):
    """A hundredth of q, which stays a Python number if it is one."""
    return (q if type(q) in (int, float) else unbox(q)) / 100


def without_nan(function, empty=None):
    """Derive the form of a reduction that skips what is not a number, by ``where=``."""

    def derived(a, axis=None, *, where=True, **kwargs):
        numbers = ~np.isnan(a) & where
        if empty is None or "initial" in kwargs:
            return function(a, axis=axis, where=numbers, **kwargs)
        y = function(a, axis=axis, where=numbers, initial=empty, **kwargs)
        return np.where(
            np.any(numbers, axis=axis, keepdims=kwargs.get("keepdims", False)), y, np.nan
        )

    return derived


def of_enough(function):
    """Derive the form of a variance that skips what is not a number: NaN of ``ddof`` or fewer."""

    def derived(a, axis=None, *, ddof=0, keepdims=False, where=True):
        numbers = ~np.isnan(a) & where
        y = function(a, axis=axis, ddof=ddof, keepdims=keepdims, where=numbers)
        return np.where(np.sum(numbers, axis=axis, keepdims=keepdims) > ddof, y, np.nan)

    return derived


def logsumexp_vjp(g, y, array, axis, keepdims):
    """Y = log(sum of e^x): g e^(x - y); where y is infinite, the x equal to it share g."""
    y = spread(y, array, axis, keepdims)
    infinite = np.isinf(y)
    exponent = np.where(infinite, 0.0, array) - np.where(infinite, 0.0, y)
    part = np.exp(np.where(infinite & (array != y), -np.inf, exponent))
    return spread(g, array, axis, keepdims) * part / np.sum(part, axis=axis, keepdims=True)


@primitive(logsumexp_vjp)
def logsumexp_of(array, axis, keepdims):
    """Log(sum of e^x), with the largest x taken out so that nothing overflows."""
    largest = np.max(array, axis=axis, keepdims=True, initial=-np.inf)
    total = np.sum(np.exp(array - np.nan_to_num(largest, nan=np.nan)), axis=axis, keepdims=True)
    total = np.maximum(total, 1.0)  # less only where all x are -inf, or there is none
    y = np.log(total) + largest
    return y if keepdims else np.squeeze(y, axis=axes_of(array, axis))


def logsumexp(array, axis=0, *, keepdims=False):
    """``np.logaddexp.reduce``."""
    return logsumexp_of(array, axis, keepdims)


def along_first(function):
    """Derive the method of a ufunc: the function, along the first axis unless told otherwise."""
    return lambda array, axis=0, **kwargs: function(array, axis=axis, **kwargs)


DERIVED.update(
    {
        np.mean: mean,
        np.var: var,
        np.std: std,
        np.average: average,
        np.ptp: (
            lambda a, axis=None, *, keepdims=False: (
                np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)
            )
        ),
        np.quantile: of_all,
        np.percentile: lambda a, q, axis=None, *, keepdims=False: of_all(
            a, percent(q), axis, keepdims=keepdims
        ),
        np.median: lambda a, axis=None, *, keepdims=False: of_all(a, 0.5, axis, keepdims=keepdims),
        # what is not a number left out
        np.nansum: without_nan(np.sum),
        np.nanprod: without_nan(np.prod),
        np.nanmean: without_nan(mean_of_sum),
        np.nanvar: of_enough(np.var),
        np.nanstd: of_enough(np.std),
        np.nanmax: without_nan(np.max, -np.inf),
        np.nanmin: without_nan(np.min, np.inf),
        np.nancumsum: lambda a, axis=None: np.cumsum(np.where(np.isnan(a), 0.0, a), axis=axis),
        np.nancumprod: lambda a, axis=None: np.cumprod(np.where(np.isnan(a), 1.0, a), axis=axis),
        np.nanquantile: of_numbers,
        np.nanpercentile: lambda a, q, axis=None, *, keepdims=False: of_numbers(
            a, percent(q), axis, keepdims=keepdims
        ),
        np.nanmedian: lambda a, axis=None, *, keepdims=False: of_numbers(
            a, 0.5, axis, keepdims=keepdims
        ),
        # methods of ufuncs
        np.add.reduce: along_first(np.sum),
        np.multiply.reduce: along_first(np.prod),
        np.logaddexp.reduce: logsumexp,
        np.maximum.reduce: along_first(np.max),
        np.minimum.reduce: along_first(np.min),
        np.fmax.reduce: along_first(np.nanmax),
        np.fmin.reduce: along_first(np.nanmin),
        np.add.accumulate: along_first(np.cumsum),
        np.multiply.accumulate: along_first(np.cumprod),
    }
)
CHECKED.update(
    {
        np.average,
        np.quantile,
        np.nanquantile,
        np.median,
        np.nanmedian,
        np.percentile,
        np.nanpercentile,
    }
)
PLAIN.update({np.all, np.any})
