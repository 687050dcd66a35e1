"""Functions that change the shape, join and cut: the cotangent is reshaped back, cut and joined.

The others that move elements are all derived at once in `indexing`.
"""

import numpy as np

from ..numpy_calls import record, unbox
from .table import derives, joint, no_derivative, rule


def transpose_vjp(g, y, a, axes=None):
    """Permute the axes back."""
    back = None if axes is None else np.argsort(np.atleast_1d(axes) % a.ndim).tolist()
    return np.transpose(g, back)


def reshape_vjp(g, y, a, shape=None, order="C"):
    """Reshape back.

    This is not possible in an order that depends on the memory order of a, which a cotangent does
    not share.
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
rule(np.broadcast_to, lambda g, y, array, shape: g)  # the engine sums over the new axes
rule(np.flip, lambda g, y, m, axis=None: np.flip(g, axis))
rule(np.roll, lambda g, y, a, shift, axis=None: np.roll(g, -np.asarray(shift, dtype=int), axis))
derives(np.ravel)(lambda a, order="C": np.reshape(a, (-1,), order=order))
derives(np.matrix_transpose)(lambda x: np.swapaxes(x, -1, -2))
derives(np.linalg.matrix_transpose)(lambda x: np.swapaxes(x, -1, -2))
derives(np.copy)(lambda a, order="K": np.positive(a))
derives(np.astype)(lambda x, dtype, *, copy=True: x.astype(dtype))


def at_least(n, *arys):
    """Put axes of length one in front until there are n."""
    arys = [unbox(a) for a in arys]
    arys = [a if a.ndim >= n else np.reshape(a, (1,) * (n - a.ndim) + a.shape) for a in arys]
    return arys[0] if len(arys) == 1 else tuple(arys)


derives(np.atleast_1d)(lambda *arys: at_least(1, *arys))
derives(np.atleast_2d)(lambda *arys: at_least(2, *arys))
derives(np.vstack)(lambda tup: np.concatenate([at_least(2, a) for a in tup], axis=0))


def join(*arrays, axis=0):
    """``np.concatenate`` of its arguments."""
    return np.concatenate(arrays, axis=axis)


def join_vjps(g, y, wanted, *arrays, axis=0):
    """Cut the cotangent where the arrays were joined."""
    ends = np.cumsum([a.shape[axis] for a in arrays]).tolist()
    before = (slice(None),) * (axis % g.ndim)
    return [g[(*before, slice(ends[i] - arrays[i].shape[axis], ends[i]))] for i in wanted]


join.__name__ = "np.concatenate"  # for messages
JOIN = joint(join_vjps, of=join)


@derives(np.concatenate)
def concatenate(arrays, axis=0):
    """``np.concatenate``, its list taken apart; ``axis=None`` flattens first."""
    arrays = [unbox(a) for a in arrays]
    if axis is None:
        arrays, axis = [np.reshape(a, (-1,)) for a in arrays], 0
    return record(join, JOIN, arrays, {"axis": axis})


@derives(np.stack)
def stack(arrays, axis=0):
    """``np.stack`` as the concatenation of arrays with one axis more."""
    return np.concatenate([np.expand_dims(unbox(a), axis) for a in arrays], axis=axis)


@derives(np.hstack)
def hstack(tup):
    """``np.hstack``: along the second axis, or the only one."""
    arrays = [at_least(1, a) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1)


@derives(np.split, checked=True)
def split(ary, indices_or_sections, axis=0):
    """``np.split``: into equal parts by iterating over them, or by slices."""
    x, cuts = np.moveaxis(ary, axis, 0), indices_or_sections
    if np.ndim(cuts) == 0:
        parts = list(np.reshape(x, (cuts, len(x) // cuts, *x.shape[1:])))
    else:
        parts = [x[start:end] for start, end in zip([0, *cuts], [*cuts, len(x)])]
    return [np.moveaxis(part, 0, axis) for part in parts]


no_derivative("""
    shape ndim size zeros_like ones_like empty_like
    result_type can_cast min_scalar_type common_type iscomplexobj isrealobj
    shares_memory may_share_memory array_repr array_str array2string
""")
