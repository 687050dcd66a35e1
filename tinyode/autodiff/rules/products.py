"""Products of matrices, tensors and vectors. Matrices may be stacked.

In a stack of matrices all but the last two axes are a batch, and broadcast. The derivation for the
matrix product, from which the others follow, is in the docstring of `tinyode.autodiff.rules`.
`more.bilinear` has the rarer products.
"""

import math

import numpy as np

from ..numpy_calls import record, unbox
from .table import derives, joint, rule


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


@derives(np.dot)
def dot(a, b):
    """``np.dot``: a product with a number, a matmul, or (b of three axes or more) a tensordot."""
    a, b = unbox(a), unbox(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return np.matmul(a, b) if b.ndim <= 2 or a.ndim == 1 else np.tensordot(a, b, (-1, -2))


@derives(np.inner)
def inner(a, b):
    """``np.inner``: the sum over the last axis of both."""
    a, b = unbox(a), unbox(b)
    return np.multiply(a, b) if a.ndim == 0 or b.ndim == 0 else np.tensordot(a, b, (-1, -1))


@derives(np.outer)
def outer(a, b):
    """``np.outer``: a column times a row."""
    return np.multiply(np.reshape(unbox(a), (-1, 1)), np.reshape(unbox(b), (1, -1)))


@derives(np.tensordot, checked=True)
def tensordot(a, b, axes=2):
    """``np.tensordot`` as a product of two matrices: axes summed over go last in a, first in b."""
    a, b = unbox(a), unbox(b)
    pair = (range(-axes, 0), range(axes)) if isinstance(axes, (int, np.integer)) else axes
    left, right = [tuple(np.atleast_1d(i).tolist()) for i in pair]
    n = len(left)
    a, b = np.moveaxis(a, left, range(-n, 0)), np.moveaxis(b, right, range(n))
    rows, columns = a.shape[: a.ndim - n], b.shape[n:]
    size = math.prod(b.shape[:n])
    y = np.reshape(a, (math.prod(rows), size)) @ np.reshape(b, (size, math.prod(columns)))
    return np.reshape(y, rows + columns)


# ---- einsum

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def parse_einsum(operands):
    """Bring both forms in which `np.einsum` is called to one.

    Returns
    -------
    inputs : list of lists of letters
        The subscripts of each array, with "." for an ellipsis.
    output : list of letters, or None if it is implicit
    arrays : list
    """
    if isinstance(operands[0], str):
        inputs, arrow, output = operands[0].replace(" ", "").replace("...", ".").partition("->")
        inputs = [list(s) for s in inputs.split(",")]
        return inputs, list(output) if arrow else None, list(operands[1:])
    n = len(operands) // 2
    lists = [*operands[1 : 2 * n : 2], *operands[2 * n :]]
    lists = [["." if i is Ellipsis else LETTERS[i] for i in s] for s in lists]
    return lists[:n], lists[n] if len(lists) > n else None, list(operands[: 2 * n : 2])


@derives(np.einsum)
def einsum(*operands, optimize=False):
    """``np.einsum`` in the form whose derivative is another einsum.

    In this form the output is explicit, no subscript stands twice in one operand ("ii->" becomes
    "i->" of the diagonal), and an ellipsis has letters of its own.
    """
    inputs, output, arrays = parse_einsum(operands)
    arrays = [unbox(x) for x in arrays]
    if len(inputs) != len(arrays):
        raise ValueError(
            f"np.einsum: there are subscripts for {len(inputs)} operands, and {len(arrays)}"
            " operands"
        )
    if output is None:
        every = [letter for s in inputs for letter in s]
        once = sorted(c for c in set(every) if every.count(c) == 1 and c != ".")
        output = ["."] * ("." in every) + once
    name_ellipses(inputs, output, arrays)
    arrays = [without_repeats(s, a) for s, a in zip(inputs, arrays)]
    if not isinstance(optimize, (bool, str)):
        optimize = True  # a path given by hand is one for this product alone
    subscripts = ",".join("".join(s) for s in inputs) + "->" + "".join(output)
    settings = {"subscripts": subscripts, "optimize": optimize}
    return record(explicit_einsum, EINSUM, arrays, settings)


def name_ellipses(inputs, output, arrays):
    """Put unused letters in place of every ellipsis, the same for the same axis from the end."""
    depths = [a.ndim - len(s) + 1 if "." in s else 0 for s, a in zip(inputs, arrays)]
    if any("." in s for s in inputs) and "." not in output:
        raise ValueError(
            "np.einsum: the output has no ellipsis, and the axes of the inputs' would be summed"
            " over without saying so"
        )
    depth = max(depths, default=0)
    letters = [c for c in LETTERS if not any(c in s for s in inputs)][:depth]
    for s, own in zip([*inputs, output], [*depths, depth]):
        if "." in s:
            at = s.index(".")
            s[at : at + 1] = letters[depth - own :]


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


def explicit_einsum(*arrays, subscripts, optimize):
    """``np.einsum`` with its arrays first, as `record` wants them."""
    return np.einsum(subscripts, *arrays, optimize=optimize)


def einsum_vjps(g, y, wanted, *arrays, subscripts, optimize):
    """Y = einsum of A, B, ...: the cotangent of A is the einsum of G, B, ... with A's subscripts.

    A subscript that only A has was summed over: its cotangent is the same all along it, a product
    with ones.
    """
    inputs, output = subscripts.split("->")
    inputs = inputs.split(",")
    cotangents = []
    for n in wanted:
        rest = [i for i in range(len(arrays)) if i != n]
        known = output + "".join(inputs[i] for i in rest)
        alone = [(c, size) for c, size in zip(inputs[n], arrays[n].shape) if c not in known]
        ones = [np.ones(size, g.dtype) for _, size in alone]
        terms = ",".join([output, *(inputs[i] for i in rest), *(c for c, _ in alone)])
        operands = g, *(arrays[i] for i in rest), *ones
        cotangents.append(np.einsum(f"{terms}->{inputs[n]}", *operands, optimize=optimize))
    return cotangents


explicit_einsum.__name__ = "np.einsum"  # for messages
EINSUM = joint(einsum_vjps, of=np.einsum)
