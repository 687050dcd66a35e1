"""Arrays that are broadcast against each other, filled with one value, or padded.

Padding is linear in the array, but for constants that are added. So its weights can be read from
what np.pad makes of an identity matrix, and no mode needs a formula of its own.
"""

import numpy as np

from .... import tree
from ...numpy_calls import is_traced, unbox
from ..indexing import moved
from ..table import derives

if hasattr(np, "unstack"):  # NumPy 2.1
    derives(np.unstack)(lambda x, *, axis=0: tuple(np.moveaxis(x, axis, 0)))


@derives(np.broadcast_arrays)
def broadcast_arrays(*args):
    """``np.broadcast_arrays`` as `np.broadcast_to` of each."""
    args = [unbox(a) for a in args]
    shape = np.broadcast_shapes(*[a.shape for a in args])
    return tuple([np.broadcast_to(a, shape) for a in args])


@derives(np.full_like)
def full_like(a, fill_value, dtype=None):
    """``np.full_like`` as the value, broadcast; only the value has a derivative."""
    dtype = a.dtype if dtype is None else dtype
    return np.broadcast_to(unbox(fill_value), a.shape).astype(dtype)


@derives(np.meshgrid, checked=True)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    """``np.meshgrid``: each vector along an axis of its own, and broadcast."""
    n = len(xi)
    shapes = [[-1 if i == j else 1 for j in range(n)] for i in range(n)]
    grids = [np.reshape(unbox(x), shape) for x, shape in zip(xi, shapes)]
    if indexing == "xy" and n > 1:
        grids = [np.swapaxes(x, 0, 1) for x in grids]
    return tuple(grids) if sparse else np.broadcast_arrays(*grids)


OFFSETS = "constant_values", "end_values"  # settings that are added, whatever the array is


@derives(np.pad, checked=True)
def pad(array, pad_width, mode="constant", **kwargs):
    """``np.pad`` in every mode that is linear: what it makes of zeros, plus a linear function.

    That function moves elements, or adds weighted sums of the elements near to the ends.
    """
    offset = {key: kwargs.pop(key) for key in OFFSETS if key in kwargs}
    if any(is_traced(value) for value in tree.flatten(offset)[0]):
        raise TypeError(
            "np.pad: constant_values= and end_values= are settings, not operands, and cannot be"
            " traced; use np.concatenate"
        )
    mirrors = mode in ("reflect", "symmetric")
    if mode in ("constant", "edge", "wrap") or (mirrors and kwargs.get("reflect_type") != "odd"):
        y = moved(np.pad, "array", zeros=mode == "constant")(array, pad_width, mode, **kwargs)
    elif mirrors or mode in ("mean", "linear_ramp"):
        y = with_sums(array, pad_width, mode, kwargs)
    else:
        raise TypeError(f"np.pad: mode={mode!r} has no derivative rule; use np.concatenate")
    if not offset:
        return y
    zeros = np.zeros(array.shape, array.dtype)
    return y + np.pad(zeros, pad_width, mode, **kwargs, **offset)


def with_sums(y, pad_width, mode, settings):
    """Join weighted sums of the elements to both ends of one axis after the other."""
    widths = np.broadcast_to(pad_width, (y.ndim, 2)).tolist()
    lengths = np.broadcast_to(settings.get("stat_length"), (y.ndim, 2))
    for axis, width in enumerate(widths):
        y = np.moveaxis(y, axis, 0)
        if mode == "mean":
            first, last = means(y, width, lengths[axis])
        else:
            first, last = weighted_sums(y, width, mode, settings)
        y = np.moveaxis(np.concatenate([first, y, last]), 0, axis)
    return y


def means(y, width, length):
    """Means over so many elements at both ends; over all where the length is None."""
    n, shape = len(y), y.shape[1:]
    first, last = [min(n, k or n) for k in length]
    return (
        np.broadcast_to(np.mean(y[:first], axis=0), (width[0], *shape)),
        np.broadcast_to(np.mean(y[n - last :], axis=0), (width[1], *shape)),
    )


def weighted_sums(y, width, mode, settings):
    """Sums of the elements near to the ends, with the weights that np.pad makes of an identity."""
    n, (before, after) = len(y), width
    k = min(n, 2 * max(before, after) + 2)  # no element farther from its end counts
    near = y[np.r_[: k - k // 2, n - k // 2 : n]]
    weights = np.pad(np.eye(k, dtype=y.dtype), ((before, after), (0, 0)), mode, **settings)
    return np.tensordot(weights[:before], near, 1), np.tensordot(weights[before + k :], near, 1)
