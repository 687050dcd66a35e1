"""Products: of matrices, tensors, vectors, and convolutions. Matrices may be stacked: all but the
last two axes are a batch, and broadcast.

The derivation for the matrix product, from which the others follow, is in the docstring of
`tinyode.autodiff.rules`.
"""

import math
import string

import numpy as np

from ..custom import primitive
from ..numpy_calls import record, unbox
from .shapes import at_least, named
from .table import CHECKED, DERIVED, joint, rule


def transposed(a):
    """Swap the last two axes."""
    return a.T if a.ndim == 2 else np.swapaxes(a, -1, -2)


def matmul_left(g, y, a, b):
    """Y = A B: G B^T, with NumPy's conventions for vectors."""
    if b.ndim == 2 == a.ndim:
        return g @ b.T
    if b.ndim == 1:
        return g[..., None] * b
    if a.ndim == 1:
        return b @ g if b.ndim == 2 else np.matmul(b, g[..., None])[..., 0]
    return g @ transposed(b)


def matmul_right(g, y, a, b):
    """Y = A B: A^T G, with NumPy's conventions for vectors."""
    if a.ndim == 2 == b.ndim:
        return a.T @ g
    if a.ndim == 1:
        return a[..., None] * g[..., None, :] if b.ndim > 1 else g * a
    if b.ndim == 1:
        return g @ a if a.ndim == 2 else np.matmul(transposed(a), g[..., None])[..., 0]
    if a.ndim > 2 and b.ndim == 2:  # one product instead of a batch of them to be summed
        rows = math.prod(a.shape[:-1])
        return np.reshape(a, (rows, a.shape[-1])).T @ np.reshape(g, (rows, g.shape[-1]))
    return transposed(a) @ g


rule(np.matmul, matmul_left, matmul_right)


LETTERS = string.ascii_uppercase + string.ascii_lowercase


def parse_einsum(operands):
    """Bring both calling forms of `np.einsum` to lists of subscripts: inputs, output (None if
    implicit) and arrays.
    """
    if isinstance(operands[0], str):
        inputs, arrow, output = operands[0].replace(" ", "").replace("...", ".").partition("->")
        return (
            [list(s) for s in inputs.split(",")],
            list(output) if arrow else None,
            list(operands[1:]),
        )
    lists = [*operands[1::2], operands[-1]] if len(operands) % 2 else operands[1::2]
    lists = [["." if i is Ellipsis else LETTERS[i] for i in s] for s in lists]
    arrays = list(operands[: 2 * (len(operands) // 2) : 2])
    return lists[: len(arrays)], lists[len(arrays)] if len(operands) % 2 else None, arrays


def einsum(*operands, optimize=False):
    """``np.einsum`` in the form whose derivative is another einsum: explicit, and no subscript
    twice in one operand.

    "ii->" becomes "i->" of the diagonal, and an ellipsis gets letters of its own.
    """
    inputs, output, arrays = parse_einsum(operands)
    arrays = [unbox(x) for x in arrays]
    if len(inputs) != len(arrays):
        raise ValueError(
            f"np.einsum: there are subscripts for {len(inputs)} operands, and {len(arrays)}"
            " operands"
        )
    if output is not None and "." not in output and any("." in s for s in inputs):
        raise ValueError(
            "np.einsum: the output has no ellipsis, and the axes of the inputs' would be summed"
            " over without saying so"
        )
    if output is None:
        every = [letter for s in inputs for letter in s]
        output = ["."] * ("." in every) + sorted(
            c for c in set(every) if every.count(c) == 1 and c != "."
        )
    unused = iter([c for c in LETTERS if not any(c in s for s in inputs)])
    depth = max([a.ndim - len(s) + 1 for s, a in zip(inputs, arrays) if "." in s], default=0)
    dots = [next(unused) for _ in range(depth)]
    for s, a in zip(inputs, arrays):
        if "." in s:
            at = s.index(".")
            s[at : at + 1] = dots[depth - (a.ndim - len(s) + 1) :]
    if "." in output:
        at = output.index(".")
        output[at : at + 1] = dots
    arrays = [without_repeats(s, a) for s, a in zip(inputs, arrays)]
    subscripts = ",".join("".join(s) for s in inputs) + "->" + "".join(output)
    optimize = (
        optimize if isinstance(optimize, (bool, str)) else True
    )  # a path given by hand is one for this product alone
    return record(
        explicit_einsum,
        joint(einsum_vjps),
        arrays,
        {"subscripts": subscripts, "optimize": optimize},
    )


def without_repeats(subscripts, a):
    """Read the diagonal of the axes that have the same subscript, which then stands there once."""
    for letter in [c for i, c in enumerate(subscripts) if c in subscripts[:i]]:
        first = subscripts.index(letter)
        second = subscripts.index(letter, first + 1)
        if a.shape[first] != a.shape[second]:
            raise ValueError(
                f"np.einsum: subscript {letter!r} names axes of length "
                f"{a.shape[first]} and {a.shape[second]}"
            )
        i = np.arange(a.shape[first])
        a = np.moveaxis(np.moveaxis(a, (first, second), (0, 1))[i, i], 0, first)
        del subscripts[second]
    return a


@named("np.einsum")
def explicit_einsum(*arrays, subscripts, optimize):
    """``np.einsum`` with its arrays first, as `record` wants them."""
    return np.einsum(subscripts, *arrays, optimize=optimize)


def einsum_vjps(g, y, wanted, *arrays, subscripts, optimize):
    """Y = einsum of A, B, ...: the cotangent of A is the einsum of G, B, ... with the subscripts of
    A for its output.

    A subscript that only A has was summed over: its cotangent is the same all along it, a product
    with ones.
    """
    inputs, output = subscripts.split("->")
    inputs = inputs.split(",")
    cotangents = []
    for n in wanted:
        others = [i for i in range(len(arrays)) if i != n]
        known = output + "".join(inputs[i] for i in others)
        alone = [(c, size) for c, size in zip(inputs[n], arrays[n].shape) if c not in known]
        terms = ",".join([output, *(inputs[i] for i in others), *(c for c, _ in alone)])
        cotangents.append(
            np.einsum(
                f"{terms}->{inputs[n]}",
                g,
                *(arrays[i] for i in others),
                *(np.ones(size, g.dtype) for _, size in alone),
                optimize=optimize,
            )
        )
    return cotangents


def tensordot(a, b, axes=2):
    """``np.tensordot`` as a product of two matrices: axes summed over go last in a, first in b."""
    a, b = unbox(a), unbox(b)
    left, right = (range(-axes, 0), range(axes)) if isinstance(axes, (int, np.integer)) else axes
    left, right = ([i] if np.ndim(i) == 0 else list(i) for i in (left, right))
    n = len(left)
    a, b = np.moveaxis(a, left, range(-n, 0)), np.moveaxis(b, right, range(n))
    size, outer = math.prod(b.shape[:n]), (a.shape[: a.ndim - n], b.shape[n:])
    y = np.reshape(a, (math.prod(outer[0]), size)) @ np.reshape(b, (size, math.prod(outer[1])))
    return np.reshape(y, outer[0] + outer[1])


def dot(a, b):
    """``np.dot``: a product with a number, a matmul, or the sum over the last axis of a and the
    last but one of b.
    """
    a, b = unbox(a), unbox(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return np.matmul(a, b) if b.ndim <= 2 or a.ndim == 1 else np.tensordot(a, b, (-1, -2))


def inner(a, b):
    """``np.inner``: the sum over the last axis of both."""
    a, b = unbox(a), unbox(b)
    return np.multiply(a, b) if a.ndim == 0 or b.ndim == 0 else np.tensordot(a, b, (-1, -1))


def vecdot(x1, x2, /, *, axis=-1):
    """``np.vecdot``: inner products of the vectors along an axis."""
    return np.sum(np.moveaxis(unbox(x1), axis, -1) * np.moveaxis(unbox(x2), axis, -1), axis=-1)


def kron(a, b):
    """``np.kron``: the axes of both, interleaved, and merged pair by pair."""
    a, b = unbox(a), unbox(b)
    n = max(a.ndim, b.ndim)
    a, b = (np.reshape(x, (1,) * (n - x.ndim) + x.shape) for x in (a, b))
    y = np.expand_dims(a, tuple(range(1, 2 * n, 2))) * np.expand_dims(b, tuple(range(0, 2 * n, 2)))
    return np.reshape(y, [i * j for i, j in zip(a.shape, b.shape)])


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


@primitive(
    lambda g, y, a, v: np.correlate(g, v, "valid"), lambda g, y, a, v: np.correlate(g, a, "valid")
)
def convolution(a, v):
    """Y_k = sum over i of a_i v_(k-i): the cotangent of a_i is the sum over k of g_k v_(k-i)."""
    return np.convolve(a, v)


def convolve(a, v, mode="full"):
    """``np.convolve``: the whole convolution, or its middle."""
    a, v = at_least(1, a), at_least(1, v)
    longer, shorter = max(len(a), len(v)), min(len(a), len(v))
    start, length = {
        "full": (0, longer + shorter - 1),
        "same": ((shorter - 1) // 2, longer),
        "valid": (shorter - 1, longer - shorter + 1),
    }[mode]
    return convolution(a, v)[start : start + length]


def correlate(a, v, mode="valid"):
    """``np.correlate``: the convolution with v reversed; of the shorter with the longer, the other
    way round and reversed.
    """
    a, v = at_least(1, a, v)
    return (
        np.convolve(a, v[::-1], mode) if len(a) >= len(v) else np.convolve(v, a[::-1], mode)[::-1]
    )


def multi_dot(arrays):
    """``np.linalg.multi_dot`` as an einsum, which orders the products by their cost."""
    arrays = [unbox(x) for x in arrays]
    if len(arrays) == 2:
        return np.dot(*arrays)
    letters = [LETTERS[i : i + 2] for i in range(len(arrays))]
    letters[0], letters[-1] = letters[0][-arrays[0].ndim :], letters[-1][: arrays[-1].ndim]
    ends = letters[0][: arrays[0].ndim - 1] + letters[-1][1:]
    return np.einsum(f"{','.join(letters)}->{ends}", *arrays, optimize=True)


DERIVED.update(
    {
        np.dot: dot,
        np.vdot: lambda a, b: np.matmul(np.reshape(unbox(a), (-1,)), np.reshape(unbox(b), (-1,))),
        np.inner: inner,
        np.outer: lambda a, b: np.multiply(
            np.reshape(unbox(a), (-1, 1)), np.reshape(unbox(b), (1, -1))
        ),
        np.einsum: einsum,
        np.tensordot: tensordot,
        np.kron: kron,
        np.cross: cross,
        np.convolve: convolve,
        np.correlate: correlate,
        np.vecdot: vecdot,
        np.linalg.cross: lambda x1, x2, *, axis=-1: np.cross(x1, x2, axis=axis),
        np.linalg.matmul: lambda x1, x2: np.matmul(x1, x2),
        np.linalg.multi_dot: multi_dot,
        np.linalg.outer: lambda x1, x2: np.outer(x1, x2),
        np.linalg.tensordot: lambda x1, x2, *, axes=2: np.tensordot(x1, x2, axes),
        np.linalg.vecdot: vecdot,
    }
)
CHECKED.update({np.tensordot, np.convolve, np.correlate, np.vecdot, np.linalg.vecdot})
CHECKED.update({np.linalg.multi_dot, np.linalg.outer})
if hasattr(np, "matvec"):  # NumPy 2.2
    DERIVED[np.matvec] = lambda x1, x2: np.matmul(unbox(x1), np.expand_dims(unbox(x2), -1))[..., 0]
    CHECKED.update({np.matvec, np.vecmat})
    DERIVED[np.vecmat] = lambda x1, x2: np.matmul(np.expand_dims(unbox(x1), -2), unbox(x2))[
        ..., 0, :
    ]
