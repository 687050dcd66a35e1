"""The rarer products: each is linear in both of its operands.

Most are compositions of the products in `products`; a convolution has correlations for its VJPs.
"""

import numpy as np

from ...custom import primitive
from ...numpy_calls import unbox
from ..products import LETTERS
from ..shapes import at_least
from ..table import derives

# other names
derives(np.linalg.cross)(lambda x1, x2, *, axis=-1: np.cross(x1, x2, axis=axis))
derives(np.linalg.matmul)(lambda x1, x2: np.matmul(x1, x2))
derives(np.linalg.outer, checked=True)(lambda x1, x2: np.outer(x1, x2))
derives(np.linalg.tensordot)(lambda x1, x2, *, axes=2: np.tensordot(x1, x2, axes))


@derives(np.vdot)
def vdot(a, b):
    """``np.vdot``: the inner product of all elements."""
    return np.matmul(np.reshape(unbox(a), (-1,)), np.reshape(unbox(b), (-1,)))


@derives(np.vecdot, checked=True)
@derives(np.linalg.vecdot, checked=True)
def vecdot(x1, x2, /, *, axis=-1):
    """``np.vecdot``: inner products of the vectors along an axis."""
    return np.sum(np.moveaxis(unbox(x1), axis, -1) * np.moveaxis(unbox(x2), axis, -1), axis=-1)


def matvec(x1, x2):
    """``np.matvec``: each vector as a matrix of one column."""
    return np.matmul(unbox(x1), np.expand_dims(unbox(x2), -1))[..., 0]


def vecmat(x1, x2):
    """``np.vecmat``: each vector as a matrix of one row."""
    return np.matmul(np.expand_dims(unbox(x1), -2), unbox(x2))[..., 0, :]


if hasattr(np, "matvec"):  # NumPy 2.2
    derives(np.matvec, checked=True)(matvec)
    derives(np.vecmat, checked=True)(vecmat)


@derives(np.kron)
def kron(a, b):
    """``np.kron``: the axes of both, interleaved, and merged pair by pair."""
    a, b = unbox(a), unbox(b)
    n = max(a.ndim, b.ndim)
    a, b = (np.reshape(x, (1,) * (n - x.ndim) + x.shape) for x in (a, b))
    y = np.expand_dims(a, tuple(range(1, 2 * n, 2))) * np.expand_dims(b, tuple(range(0, 2 * n, 2)))
    return np.reshape(y, [i * j for i, j in zip(a.shape, b.shape)])


@derives(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """``np.cross`` of vectors with three components."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    a, b = np.moveaxis(unbox(a), axisa, -1), np.moveaxis(unbox(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(
            f"np.cross: vectors have three components, these {a.shape[-1]} and {b.shape[-1]}; add a"
            " zero"
        )
    after, before = [1, 2, 0], [2, 0, 1]
    return np.moveaxis(a[..., after] * b[..., before] - a[..., before] * b[..., after], -1, axisc)


@derives(np.linalg.multi_dot, checked=True)
def multi_dot(arrays):
    """``np.linalg.multi_dot`` as an einsum, which orders the products by their cost."""
    arrays = [unbox(x) for x in arrays]
    if len(arrays) == 2:
        return np.dot(*arrays)
    letters = [LETTERS[i : i + 2] for i in range(len(arrays))]
    letters[0], letters[-1] = letters[0][-arrays[0].ndim :], letters[-1][: arrays[-1].ndim]
    ends = letters[0][: arrays[0].ndim - 1] + letters[-1][1:]
    return np.einsum(f"{','.join(letters)}->{ends}", *arrays, optimize=True)


@primitive(
    lambda g, y, a, v: np.correlate(g, v, "valid"), lambda g, y, a, v: np.correlate(g, a, "valid")
)
def convolution(a, v):
    """y_k = sum over i of a_i v_(k-i): the cotangent of a_i is the sum over k of g_k v_(k-i)."""
    return np.convolve(a, v)


@derives(np.convolve, checked=True)
def convolve(a, v, mode="full"):
    """``np.convolve``: the whole convolution, or its middle."""
    a, v = at_least(1, a, v)
    longer, shorter = max(len(a), len(v)), min(len(a), len(v))
    start, length = {
        "full": (0, longer + shorter - 1),
        "same": ((shorter - 1) // 2, longer),
        "valid": (shorter - 1, longer - shorter + 1),
    }[mode]
    return convolution(a, v)[start : start + length]


@derives(np.correlate, checked=True)
def correlate(a, v, mode="valid"):
    """``np.correlate``: the convolution with v reversed.

    That of the shorter with the longer is that of the longer with the shorter, reversed.
    """
    a, v = at_least(1, a, v)
    if len(a) >= len(v):
        return np.convolve(a, v[::-1], mode)
    return np.convolve(v, a[::-1], mode)[::-1]
