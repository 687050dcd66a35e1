"""Reductions over axes: the cotangent of a sum goes back to every term of it.

Where several elements share the maximum, each gets an equal part of the cotangent.
"""

import math

import numpy as np

from ..operators import DERIVED, PLAIN, RULES


def spread(g, x, axis, keepdims):
    """Put axes of length one back where a reduction took them, so that g broadcasts against x."""
    if keepdims or axis is None or np.ndim(x) == 0:
        return g if keepdims else np.reshape(g, (1,) * np.ndim(x))
    return np.expand_dims(g, axis)


def sum_vjp(g, y, a, axis=None, *, keepdims=False):
    """Y = sum of x: every x gets g."""
    return np.broadcast_to(spread(g, a, axis, keepdims), a.shape)


def prod_vjp(g, y, a, axis=None, *, keepdims=False):
    """Y = product of x: each x gets g times the product of the others, right also where some x are zero."""
    axes = tuple(range(a.ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, a.ndim)
    kept = tuple([i for i in range(a.ndim) if i not in axes])
    n = count(a, axes)
    rows = np.reshape(np.transpose(a, kept + axes), (*[a.shape[i] for i in kept], n))
    others = np.where(np.eye(n, dtype=bool), 1.0, rows[..., None, :])
    product = others[..., 0] if n else rows  # the loop multiplies column by column, and is differentiable
    for j in range(1, n):
        product = product * others[..., j]
    product = np.reshape(product, (*[a.shape[i] for i in kept], *[a.shape[i] for i in axes]))
    return spread(g, a, axis, keepdims) * np.transpose(product, np.argsort(kept + axes))


def extremum_vjp(g, y, a, axis=None, *, keepdims=False):
    """Y = max or min of x: the elements equal to y share g equally."""
    hit = a == spread(y, a, axis, keepdims)
    return spread(g, a, axis, keepdims) * (hit / np.sum(hit, axis=axis, keepdims=True))


RULES.update({
    np.sum: (sum_vjp,),
    np.prod: (prod_vjp,),
    np.max: (extremum_vjp,),
    np.min: (extremum_vjp,),
})


def count(a, axis):
    """How many elements of a fall together in a reduction over these axes."""
    axes = range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return math.prod([a.shape[i] for i in axes])


def mean(a, axis=None, *, keepdims=False):
    """``np.mean`` as a sum divided by a count."""
    return np.sum(a, axis=axis, keepdims=keepdims) / count(a, axis)


def var(a, axis=None, *, ddof=0, keepdims=False):
    """``np.var`` as the mean squared distance from the mean."""
    distance = a - np.mean(a, axis=axis, keepdims=True)
    return np.sum(distance * distance, axis=axis, keepdims=keepdims) / np.float64(max(count(a, axis) - ddof, 0)).astype(a.dtype)


def std(a, axis=None, *, ddof=0, keepdims=False):
    """``np.std`` as the root of the variance."""
    return np.sqrt(np.var(a, axis=axis, ddof=ddof, keepdims=keepdims))


DERIVED.update({np.mean: mean, np.var: var, np.std: std})
PLAIN.update({np.all, np.any, np.argmax, np.argmin, np.argsort, np.count_nonzero, np.searchsorted, np.nonzero})
