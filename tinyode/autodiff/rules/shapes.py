"""Functions that change the shape, join and cut: the cotangent is brought back to the shape, cut
and joined.

The rarer ones, which move elements about, are all derived at once in `indexing`.
"""

import numpy as np

from ... import tree
from ..numpy_calls import is_traced, record, unbox
from .indexing import moved
from .table import CHECKED, DERIVED, PLAIN, joint, rule


def broadcast_to_vjp(g, y, array, shape):
    """Leave the summing over broadcast axes to the engine."""
    return g


def transpose_vjp(g, y, a, axes=None):
    """Permute the axes back."""
    return np.transpose(
        g, None if axes is None else tuple(np.argsort(np.atleast_1d(axes) % a.ndim))
    )


def reshape_vjp(g, y, a, shape=None, order="C"):
    """Reshape back; in an order that depends on the layout in memory, which a cotangent does not
    share, nothing can be.
    """
    if order not in ("C", "F"):
        raise ValueError(
            f"np.reshape: order={order!r} is not supported for traced values; choose 'C' or 'F'"
        )
    return np.reshape(g, a.shape, order=order)


rule(np.reshape, reshape_vjp)
rule(np.transpose, transpose_vjp)
rule(np.swapaxes, lambda g, y, a, axis1, axis2: np.swapaxes(g, axis1, axis2))
rule(np.moveaxis, lambda g, y, a, source, destination: np.moveaxis(g, destination, source))
rule(np.expand_dims, lambda g, y, a, axis: np.reshape(g, a.shape))
rule(np.squeeze, lambda g, y, a, axis=None: np.reshape(g, a.shape))
rule(np.broadcast_to, broadcast_to_vjp)
rule(np.flip, lambda g, y, m, axis=None: np.flip(g, axis))
rule(np.roll, lambda g, y, a, shift, axis=None: np.roll(g, -np.asarray(shift, dtype=int), axis))


def named(name):
    """Give a helper the name of the NumPy function that it is the inside of, for messages."""

    def rename(function):
        function.__name__ = name
        return function

    return rename


@named("np.concatenate")
def join(*arrays, axis=0):
    """``np.concatenate`` of its arguments."""
    return np.concatenate(arrays, axis=axis)


def join_vjps(g, y, wanted, *arrays, axis=0):
    """Cut the cotangent where the arrays were joined."""
    ends = np.cumsum([a.shape[axis] for a in arrays]).tolist()
    before = (slice(None),) * (axis % g.ndim)
    return [g[(*before, slice(ends[i] - arrays[i].shape[axis], ends[i]))] for i in wanted]


JOIN = joint(join_vjps)


def concatenate(arrays, axis=0):
    """``np.concatenate``, its list taken apart; ``axis=None`` flattens first."""
    arrays = [unbox(a) for a in arrays]
    if axis is None:
        arrays, axis = [np.reshape(a, (-1,)) for a in arrays], 0
    return record(join, JOIN, arrays, {"axis": axis})


def stack(arrays, axis=0):
    """``np.stack`` as the concatenation of arrays with one axis more."""
    arrays = [unbox(a) for a in arrays]
    return np.concatenate([np.expand_dims(a, axis) for a in arrays], axis=axis)


def at_least(n, *arys):
    """Put axes of length one in front until there are n."""
    arys = [unbox(a) for a in arys]
    arys = [a if a.ndim >= n else np.reshape(a, (1,) * (n - a.ndim) + a.shape) for a in arys]
    return arys[0] if len(arys) == 1 else tuple(arys)


def broadcast_arrays(*args):
    """``np.broadcast_arrays`` as `np.broadcast_to` of each."""
    args = [unbox(a) for a in args]
    shape = np.broadcast_shapes(*[a.shape for a in args])
    return tuple([np.broadcast_to(a, shape) for a in args])


def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    """``np.meshgrid``: each vector along an axis of its own, and broadcast."""
    grids = [
        np.reshape(x, [-1 if i == j else 1 for j in range(len(xi))])
        for i, x in enumerate(map(unbox, xi))
    ]
    if indexing == "xy" and len(xi) > 1:
        grids = [np.swapaxes(x, 0, 1) for x in grids]
    return tuple(grids) if sparse else broadcast_arrays(*grids)


def pad(array, pad_width, mode="constant", **kwargs):
    """``np.pad`` in every mode that is linear: what it makes of zeros, plus a linear function of
    the array.

    That function moves elements; or adds, along one axis after the other, weighted sums of the
    elements near to the ends, the weights being what np.pad makes of an identity matrix.
    """
    offset = {key: kwargs.pop(key) for key in ("constant_values", "end_values") if key in kwargs}
    if any(is_traced(value) for value in tree.flatten(offset)[0]):
        raise TypeError(
            "np.pad: constant_values= and end_values= are settings, not operands, and cannot be"
            " traced; use np.concatenate"
        )
    if mode in ("constant", "edge", "wrap") or (
        mode in ("reflect", "symmetric") and kwargs.get("reflect_type") != "odd"
    ):
        y = moved(np.pad, "array", zeros=mode == "constant")(array, pad_width, mode, **kwargs)
    elif mode in ("mean", "linear_ramp", "reflect", "symmetric"):
        y = array
        for axis, (before, after) in enumerate(
            np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
        ):
            y = np.moveaxis(y, axis, 0)
            n = len(y)
            if mode == "mean":
                lengths = [
                    min(n, length or n)
                    for length in np.broadcast_to(kwargs.get("stat_length"), (array.ndim, 2))[axis]
                ]
                first, last = (
                    np.broadcast_to(np.mean(part, axis=0), (width, *y.shape[1:]))
                    for part, width in zip((y[: lengths[0]], y[n - lengths[1] :]), (before, after))
                )
            else:
                k = min(n, 2 * max(before, after) + 2)
                near = y[np.r_[: k - k // 2, n - k // 2 : n]]
                weights = np.pad(
                    np.eye(k, dtype=y.dtype), ((before, after), (0, 0)), mode, **kwargs
                )
                first, last = (
                    np.tensordot(part, near, 1)
                    for part in (weights[:before], weights[before + k :])
                )
            y = np.moveaxis(np.concatenate([first, y, last]), 0, axis)
    else:
        raise TypeError(f"np.pad: mode={mode!r} has no derivative rule; use np.concatenate")
    return (
        y + np.pad(np.zeros(array.shape, array.dtype), pad_width, mode, **kwargs, **offset)
        if offset
        else y
    )


def split(ary, indices_or_sections, axis=0):
    """``np.split``: into equal parts by iterating over them, or by slices."""
    x = np.moveaxis(ary, axis, 0)
    if np.ndim(indices_or_sections) == 0:
        parts = list(
            np.reshape(x, (indices_or_sections, len(x) // indices_or_sections, *x.shape[1:]))
        )
    else:
        parts = [
            x[start:end]
            for start, end in zip([0, *indices_or_sections], [*indices_or_sections, len(x)])
        ]
    return [np.moveaxis(part, 0, axis) for part in parts]


def hstack(tup):
    """``np.hstack``: along the second axis, or the only one."""
    arrays = [at_least(1, a) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1)


DERIVED.update(
    {
        np.concatenate: concatenate,
        np.pad: pad,
        np.astype: lambda x, dtype, *, copy=True: x.astype(dtype),
        np.stack: stack,
        np.hstack: hstack,
        np.vstack: lambda tup: np.concatenate([at_least(2, a) for a in tup], axis=0),
        np.split: split,
        np.ravel: lambda a, order="C": np.reshape(a, (-1,), order=order),
        np.atleast_1d: lambda *arys: at_least(1, *arys),
        np.atleast_2d: lambda *arys: at_least(2, *arys),
        np.broadcast_arrays: broadcast_arrays,
        np.meshgrid: meshgrid,
        np.full_like: (
            lambda a, fill_value, dtype=None: np.broadcast_to(unbox(fill_value), a.shape).astype(
                a.dtype if dtype is None else dtype
            )
        ),
        np.copy: lambda a, order="K": np.positive(a),
        np.matrix_transpose: lambda x: np.swapaxes(x, -1, -2),
        np.linalg.matrix_transpose: lambda x: np.swapaxes(x, -1, -2),
    }
)
if hasattr(np, "unstack"):  # NumPy 2.1
    DERIVED[np.unstack] = lambda x, *, axis=0: tuple(np.moveaxis(x, axis, 0))
CHECKED.update({np.pad, np.split, np.meshgrid})
PLAIN.update(
    {
        np.shape,
        np.ndim,
        np.size,
        np.zeros_like,
        np.ones_like,
        np.empty_like,
        np.result_type,
        np.iscomplexobj,
        np.isrealobj,
        np.can_cast,
        np.min_scalar_type,
        np.common_type,
        np.shares_memory,
        np.may_share_memory,
        np.array_repr,
        np.array_str,
        np.array2string,
    }
)
