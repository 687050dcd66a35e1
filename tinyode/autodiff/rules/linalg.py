"""Products and linear algebra. Matrices may be stacked: all but the last two axes are a batch, and broadcast.

The derivations are Giles's (2008): see the docstring of `tinyode.autodiff.rules` for the first of them.
"""

import math
import string

import numpy as np

from ..dispatch import plain, unbox
from ..operators import DERIVED, RULES
from ..trace import primitive, record
from .reductions import spread
from .shapes import named


def transposed(a):
    """Swap the last two axes."""
    return a.T if a.ndim == 2 else np.swapaxes(a, -1, -2)


def matmul_left(g, y, a, b):
    """Y = A B: G B^T, with NumPy's conventions for vectors."""
    if b.ndim == 2 == a.ndim:
        return g @ b.T
    if b.ndim == 1:
        return np.expand_dims(g, -1) * b
    if a.ndim == 1:
        return np.matmul(b, np.expand_dims(g, -1))[..., 0]
    return g @ transposed(b)


def matmul_right(g, y, a, b):
    """Y = A B: A^T G, with NumPy's conventions for vectors."""
    if a.ndim == 2 == b.ndim:
        return a.T @ g
    if a.ndim == 1:
        return np.expand_dims(a, -1) * np.expand_dims(g, -2) if b.ndim > 1 else g * a
    if b.ndim == 1:
        return np.matmul(transposed(a), np.expand_dims(g, -1))[..., 0]
    if a.ndim > 2 and b.ndim == 2:  # one product instead of a batch of them to be summed
        rows = math.prod(a.shape[:-1])
        return np.reshape(a, (rows, a.shape[-1])).T @ np.reshape(g, (rows, g.shape[-1]))
    return transposed(a) @ g


def solve_right(g, y, a, b):
    """A Y = B: dB changes Y by A^-1 dB, so the cotangent of B is A^-T G."""
    if b.ndim == 1:  # g is a stack of vectors, which NumPy would take for a matrix
        return np.linalg.solve(transposed(a), np.expand_dims(g, -1))[..., 0]
    return np.linalg.solve(transposed(a), g)


def solve_matrix(g, y, a, b):
    """A Y = B: dA changes Y by -A^-1 dA Y, so the cotangent of A is -(A^-T G) Y^T."""
    c = solve_right(g, y, a, b)
    return -np.expand_dims(c, -1) * np.expand_dims(y, -2) if b.ndim == 1 else -c @ transposed(y)


RULES.update({
    np.matmul: (matmul_left, matmul_right),
    np.linalg.solve: (solve_matrix, solve_right),
})


def dot(a, b):
    """``np.dot``: a product with a number, a matmul, or, from three axes on, an einsum."""
    a, b = unbox(a), unbox(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    if b.ndim <= 2 or a.ndim == 1:
        return np.matmul(a, b)
    left, right = [*range(a.ndim)], [*range(a.ndim, a.ndim + b.ndim)]
    right[-2] = left[-1]
    return np.einsum(a, left, b, right, [i for i in left + right if i != left[-1]])


LETTERS = string.ascii_uppercase + string.ascii_lowercase


def parse_einsum(operands):
    """Bring both calling forms of `np.einsum` to lists of subscripts: inputs, output (None if implicit) and arrays."""
    if isinstance(operands[0], str):
        inputs, arrow, output = operands[0].replace(" ", "").replace("...", ".").partition("->")
        return [list(s) for s in inputs.split(",")], list(output) if arrow else None, list(operands[1:])
    lists = [*operands[1::2], operands[-1]] if len(operands) % 2 else operands[1::2]
    lists = [["." if i is Ellipsis else LETTERS[i] for i in s] for s in lists]
    arrays = list(operands[: 2 * (len(operands) // 2) : 2])
    return lists[: len(arrays)], lists[len(arrays)] if len(operands) % 2 else None, arrays


def einsum(*operands, optimize=False):
    """``np.einsum`` in the form whose derivative is another einsum: explicit, and no subscript twice in one operand.

    "ii->" becomes "ij,ij->" with an identity matrix for a second operand, and an ellipsis gets letters of its own.
    """
    inputs, output, arrays = parse_einsum(operands)
    arrays = [unbox(x) for x in arrays]
    if len(inputs) != len(arrays):
        raise ValueError(f"np.einsum: there are subscripts for {len(inputs)} operands, and {len(arrays)} operands")
    if output is None:
        every = [letter for s in inputs for letter in s]
        output = ["."] * ("." in every) + sorted(c for c in set(every) if every.count(c) == 1 and c != ".")
    unused = iter([c for c in LETTERS if not any(c in s for s in inputs)])
    depth = max([a.ndim - len(s) + 1 for s, a in zip(inputs, arrays) if "." in s], default=0)
    dots = [next(unused) for _ in range(depth)]
    for s, a in zip(inputs, arrays):
        if "." in s:
            at = s.index(".")
            s[at:at + 1] = dots[depth - (a.ndim - len(s) + 1):]
    if "." in output:
        at = output.index(".")
        output[at:at + 1] = dots
    for s, a in list(zip(inputs, arrays)):
        for at, letter in enumerate(s):
            if letter in s[:at]:
                s[at] = next(unused)
                inputs.append([letter, s[at]])
                arrays.append(np.eye(a.shape[at], dtype=a.dtype))
    subscripts = ",".join("".join(s) for s in inputs) + "->" + "".join(output)
    optimize = optimize if isinstance(optimize, (bool, str)) else True  # a path given by hand is one for this product alone
    return record(explicit_einsum, einsum_vjps, arrays, {"subscripts": subscripts, "optimize": optimize})


@named("np.einsum")
def explicit_einsum(*arrays, subscripts, optimize):
    """``np.einsum`` with its arrays first, as `record` wants them."""
    return np.einsum(subscripts, *arrays, optimize=optimize)


def einsum_vjps(g, y, wanted, *arrays, subscripts, optimize):
    """Y = einsum of A, B, ...: the cotangent of A is the einsum of G, B, ... with the subscripts of A for its output.

    A subscript that only A has was summed over: its cotangent is the same all along it, a product with ones.
    """
    inputs, output = subscripts.split("->")
    inputs = inputs.split(",")
    cotangents = []
    for n in wanted:
        others = [i for i in range(len(arrays)) if i != n]
        known = output + "".join(inputs[i] for i in others)
        alone = [(c, size) for c, size in zip(inputs[n], arrays[n].shape) if c not in known]
        terms = ",".join([output, *(inputs[i] for i in others), *(c for c, _ in alone)])
        cotangents.append(np.einsum(f"{terms}->{inputs[n]}", g, *(arrays[i] for i in others),
                                    *(np.ones(size, g.dtype) for _, size in alone), optimize=optimize))
    return cotangents


@primitive((lambda g, y, x, axis, keepdims:
            spread(g, x, axis, keepdims) * x / spread(np.where(y == 0, 1.0, y), x, axis, keepdims),))
def euclidean(x, axis, keepdims):
    """Root of the sum of squares; at zero, where it has a corner, the VJP is zero, as that of abs is.

    Second derivatives do not exist there; for a smooth function of it, such as its square, write np.sum(x * x).
    """
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def norm(x, ord=None, axis=None, keepdims=False):
    """``np.linalg.norm`` for every order that is a sum, a root or a maximum."""
    if ord is not None:
        np.linalg.norm(plain(x), ord, axis)  # refuses what NumPy refuses, in its words
    axis = tuple(range(x.ndim)) if axis is None else axis
    if ord is None or (ord == 2 and (np.ndim(axis) == 0 or len(axis) == 1)) or ord == "fro":
        return euclidean(x, axis, keepdims)
    size = np.abs(x)
    if np.ndim(axis) == 0 or len(axis) == 1:
        if ord == np.inf or ord == -np.inf:
            return (np.max if ord > 0 else np.min)(size, axis=axis, keepdims=keepdims)
        if ord == 0:
            return np.linalg.norm(plain(x), 0, axis=axis, keepdims=keepdims)
        return np.sum(size ** ord, axis=axis, keepdims=keepdims) ** (1 / ord)
    row, column = (i % x.ndim for i in axis)
    if ord in (1, -1, np.inf, -np.inf):
        summed, other = (row, column) if abs(ord) == 1 else (column, row)
        return (np.max if ord > 0 else np.min)(np.sum(size, axis=summed, keepdims=True), axis=(summed, other), keepdims=keepdims)
    raise TypeError(f"np.linalg.norm: the matrix norm of order {ord!r} needs singular values and has no derivative rule; "
                    "use ord='fro', 1 or np.inf")


DERIVED.update({
    np.dot: dot,
    np.einsum: einsum,
    np.linalg.norm: norm,
    np.linalg.inv: lambda a: np.linalg.solve(a, np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)),
    np.outer: lambda a, b: np.multiply(np.reshape(a, (-1, 1)), np.reshape(b, (1, -1))),
    np.trace: lambda a: np.sum(a[(np.arange(min(a.shape[:2])),) * 2], axis=0),
})
