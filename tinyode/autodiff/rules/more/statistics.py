"""Quantiles, averages, reductions that skip what is not a number, and the methods of ufuncs.

A median or a quantile is a mean of two elements of the sorted array. Ties are broken by their
order. Elements that the ``nan`` forms skip get a cotangent of zero.
"""

import numpy as np

from ...custom import primitive
from ...numpy_calls import plain, unbox
from ..indexing import scatter
from ..reductions import axes_of, mean_of_sum, rows_of, spread
from ..table import derives


@derives(np.ptp)
def ptp(a, axis=None, *, keepdims=False):
    """``np.ptp``, the largest element less the smallest."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@derives(np.average, checked=True)
def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """``np.average``: the weighted sum divided by the sum of the weights.

    The weights have the shape of a, or of the axes averaged over.
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
        weights = np.transpose(weights, np.argsort(axes).tolist())
        weights = np.reshape(weights, [n if i in axes else 1 for i, n in enumerate(a.shape)])
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    y = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (y, np.broadcast_to(total, y.shape)) if returned else y


@derives(np.bincount, checked=True)
def bincount(x, weights=None, minlength=0):
    """``np.bincount``: weights added up by the number of their bin, the adjoint of reading them."""
    weights, x = unbox(weights), np.asarray(plain(x))
    length = max(minlength, np.max(x, initial=-1) + 1)
    return scatter(weights.astype(float), (x,), (length,))


@derives(np.partition)
def partition(a, kth, axis=-1, kind="introselect", order=None):
    """``np.partition``: each element keeps its cotangent, as in `np.sort`."""
    return np.take_along_axis(a, np.argpartition(plain(a), kth, axis=axis), axis=axis)


# ---- quantiles


def as_level(q):
    """Return the level q as an array, or as the Python number that it is."""
    return q if type(q) in (int, float) else unbox(q)


def quantile_of(a, q, axis, keepdims, skip_nan):
    """Element q (n - 1) of the n sorted elements of each row, linear between neighbours.

    Sorting puts what is not a number last. So with skip_nan, n is the count of the numbers.
    """
    a, q = unbox(a), as_level(q)
    rows = np.sort(rows_of(a, axis), axis=-1)
    if not rows.shape[-1]:  # the quantile of nothing is NaN
        rows = np.full((*rows.shape[:-1], 1), np.nan, a.dtype)
    invalid = np.isnan(rows)
    n = np.sum(~invalid, axis=-1, keepdims=True) if skip_nan else np.asarray(rows.shape[-1])
    last = np.maximum(n - 1, 0)
    positions = last * np.ravel(q)
    positions = np.broadcast_to(positions, (*rows.shape[:-1], positions.shape[-1]))
    below = np.floor(positions).astype(int)
    low = np.take_along_axis(rows, below, axis=-1)
    high = np.take_along_axis(rows, np.minimum(below + 1, last), axis=-1)
    part = (positions - below).astype(np.result_type(a.dtype, getattr(q, "dtype", q)))
    # At an element itself its neighbour does not count, even if it is infinite: 0 * inf is NaN.
    alone = (plain(part) == 0) & ~np.isfinite(plain(low + high))
    between = (1 - part) * np.where(alone, 0.0, low) + part * np.where(alone, 0.0, high)
    y = np.where(alone, low, between)
    if not skip_nan:
        y = y * np.where(np.any(invalid, axis=-1, keepdims=True), np.nan, 1.0).astype(a.dtype)
    shape = rows.shape[:-1]
    if keepdims:
        axes = axes_of(a, axis)
        shape = tuple([1 if i in axes else size for i, size in enumerate(a.shape)])
    return np.reshape(np.moveaxis(y, -1, 0), np.shape(q) + shape)


@derives(np.quantile, checked=True)
def quantile(a, q, axis=None, *, keepdims=False):
    """``np.quantile``, linear between neighbours."""
    return quantile_of(a, q, axis, keepdims, skip_nan=False)


@derives(np.nanquantile, checked=True)
def nanquantile(a, q, axis=None, *, keepdims=False):
    """``np.nanquantile``: of the numbers."""
    return quantile_of(a, q, axis, keepdims, skip_nan=True)


@derives(np.percentile, checked=True)
def percentile(a, q, axis=None, *, keepdims=False):
    """``np.percentile``, the quantile of a hundredth of q."""
    return quantile(a, as_level(q) / 100, axis, keepdims=keepdims)


@derives(np.nanpercentile, checked=True)
def nanpercentile(a, q, axis=None, *, keepdims=False):
    """``np.nanpercentile``: of the numbers."""
    return nanquantile(a, as_level(q) / 100, axis, keepdims=keepdims)


@derives(np.median, checked=True)
def median(a, axis=None, *, keepdims=False):
    """``np.median``, the quantile in the middle."""
    return quantile(a, 0.5, axis, keepdims=keepdims)


@derives(np.nanmedian, checked=True)
def nanmedian(a, axis=None, *, keepdims=False):
    """``np.nanmedian``: of the numbers."""
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


# ---- what is not a number left out


def without_nan(function, empty=None):
    """Make the form of a reduction that skips what is not a number, by ``where=``.

    ``empty`` is what the reduction of nothing begins with, where NumPy wants to be told; the
    result is NaN then.
    """

    def derived(a, axis=None, *, where=True, **kwargs):
        numbers = ~np.isnan(a) & where
        if empty is None or "initial" in kwargs:
            return function(a, axis=axis, where=numbers, **kwargs)
        y = function(a, axis=axis, where=numbers, initial=empty, **kwargs)
        some = np.any(numbers, axis=axis, keepdims=kwargs.get("keepdims", False))
        return np.where(some, y, np.nan)

    return derived


def of_enough(function):
    """Make the form of a variance that skips what is not a number: NaN of ``ddof`` or fewer."""

    def derived(a, axis=None, *, ddof=0, keepdims=False, where=True):
        numbers = ~np.isnan(a) & where
        y = function(a, axis=axis, ddof=ddof, keepdims=keepdims, where=numbers)
        return np.where(np.sum(numbers, axis=axis, keepdims=keepdims) > ddof, y, np.nan)

    return derived


derives(np.nansum)(without_nan(np.sum))
derives(np.nanprod)(without_nan(np.prod))
derives(np.nanmean)(without_nan(mean_of_sum))
derives(np.nanvar)(of_enough(np.var))
derives(np.nanstd)(of_enough(np.std))
derives(np.nanmax)(without_nan(np.max, -np.inf))
derives(np.nanmin)(without_nan(np.min, np.inf))
derives(np.nancumsum)(lambda a, axis=None: np.cumsum(np.where(np.isnan(a), 0.0, a), axis=axis))
derives(np.nancumprod)(lambda a, axis=None: np.cumprod(np.where(np.isnan(a), 1.0, a), axis=axis))


# ---- methods of ufuncs


def along_first(function):
    """Make the method of a ufunc: the function, along the first axis unless told otherwise."""
    return lambda array, axis=0, **kwargs: function(array, axis=axis, **kwargs)


derives(np.add.reduce)(along_first(np.sum))
derives(np.multiply.reduce)(along_first(np.prod))
derives(np.maximum.reduce)(along_first(np.max))
derives(np.minimum.reduce)(along_first(np.min))
derives(np.fmax.reduce)(along_first(np.nanmax))
derives(np.fmin.reduce)(along_first(np.nanmin))
derives(np.add.accumulate)(along_first(np.cumsum))
derives(np.multiply.accumulate)(along_first(np.cumprod))


def logsumexp_vjp(g, y, array, axis, keepdims):
    """y = log(sum of e^x): g e^(x - y); where y is infinite, the x equal to it share g."""
    y = spread(y, array, axis, keepdims)
    infinite = np.isinf(y)
    exponent = np.where(infinite, 0.0, array) - np.where(infinite, 0.0, y)
    part = np.exp(np.where(infinite & (array != y), -np.inf, exponent))
    return spread(g, array, axis, keepdims) * part / np.sum(part, axis=axis, keepdims=True)


@primitive(logsumexp_vjp)
def logsumexp(array, axis, keepdims):
    """log(sum of e^x), with the largest x taken out so that nothing overflows."""
    largest = np.max(array, axis=axis, keepdims=True, initial=-np.inf)
    total = np.sum(np.exp(array - np.nan_to_num(largest, nan=np.nan)), axis=axis, keepdims=True)
    total = np.maximum(total, 1.0)  # less only where all x are -inf, or there is none
    y = np.log(total) + largest
    return y if keepdims else np.squeeze(y, axis=axes_of(array, axis))


derives(np.logaddexp.reduce)(
    lambda array, axis=0, *, keepdims=False: logsumexp(array, axis, keepdims)
)
