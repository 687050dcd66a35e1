"""Norms of every order: p-norms of vectors, norms of matrices by sums or by singular values.

`np.linalg.norm` is in `linalg`, and calls these for all orders but the usual one, the root of the
sum of squares. At zero, where a norm has a corner, its VJP is zero.
"""

import numpy as np

from ...custom import primitive
from ...numpy_calls import plain
from ..elementwise import scaled
from ..reductions import axes_of, euclidean, rows_of, spread
from ..table import derives


def p_norm_vjp(g, y, size, ord, axis, keepdims):
    """y = (sum of x^p)^(1/p): g (x / y)^(p - 1).

    x and y are divided by the largest x first (for p < 0 by the smallest), so that no power
    overflows. An x of zero gets zero, because abs has a corner there. For p < 0 it makes the whole
    norm zero, and then all x get zero.
    """
    decides = (np.max if ord > 0 else np.min)(plain(size), axis=axis, keepdims=True)
    counts = (size > 0) & (decides > 0)
    ratio = np.where(counts, scaled(size, decides), 1.0)
    powers = np.sum(np.where(counts, ratio**ord, 0.0), axis=axis, keepdims=True)
    length = np.where(decides > 0, powers, 1.0) ** (1 / ord)
    return spread(g, size, axis, keepdims) * np.where(counts, (ratio / length) ** (ord - 1), 0.0)


@primitive(p_norm_vjp)
def p_norm(size, ord, axis, keepdims):
    """(sum of x^p)^(1/p) of the sizes x, which are not negative."""
    return np.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


@derives(np.linalg.vector_norm, checked=True)
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """``np.linalg.vector_norm``: of all elements, where no axis is given."""
    if axis is None or np.ndim(axis):
        y = vector_norm(rows_of(x, axis), axis=-1, ord=ord)
        return np.expand_dims(y, axes_of(x, axis)) if keepdims else y
    if ord in (None, 2):
        return euclidean(x, axis, keepdims)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:  # a count
        return np.linalg.norm(plain(x), 0, axis=axis, keepdims=keepdims)
    return p_norm(np.abs(x), float(ord), axis, keepdims)


@derives(np.linalg.matrix_norm, checked=True)
def matrix_norm(x, *, keepdims=False, ord="fro"):
    """``np.linalg.matrix_norm``: extremes of sums of rows or columns, or of singular values."""
    if ord in (None, "fro", "f"):
        return euclidean(x, (-2, -1), keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        summed = -2 if abs(ord) == 1 else -1
        sums = np.sum(np.abs(x), axis=summed, keepdims=True)
        return (np.max if ord > 0 else np.min)(sums, axis=(-2, -1), keepdims=keepdims)
    s = np.linalg.svdvals(x)
    y = np.sum(s, axis=-1) if ord == "nuc" else s[..., 0 if ord == 2 else -1]
    return np.expand_dims(y, (-2, -1)) if keepdims else y
