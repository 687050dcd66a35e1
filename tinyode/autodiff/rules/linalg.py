"""Linear algebra: systems, determinants, norms. Matrices may be stacked, as in `products`.

The derivations are Giles's ("An extended collection of matrix derivative results for forward and
reverse mode algorithmic differentiation", 2008). Factorisations are in `more.factorisations`.
"""

import numpy as np

from ..numpy_calls import is_traced, plain, unbox
from .products import transposed
from .reductions import axes_of, euclidean
from .table import derives, no_derivative, rule


def solve_right(g, y, a, b):
    """A Y = B: dB changes Y by A^-1 dB, so the cotangent of B is A^-T G."""
    if b.ndim == 1:  # g is a stack of vectors, which NumPy would take for a matrix
        return np.linalg.solve(transposed(a), np.expand_dims(g, -1))[..., 0]
    return np.linalg.solve(transposed(a), g)


def solve_matrix(g, y, a, b):
    """A Y = B: dA changes Y by -A^-1 dA Y, so the cotangent of A is -(A^-T G) Y^T."""
    c = solve_right(g, y, a, b)
    return -np.expand_dims(c, -1) * np.expand_dims(y, -2) if b.ndim == 1 else -c @ transposed(y)


rule(np.linalg.solve, solve_matrix, solve_right)
derives(np.linalg.inv)(lambda a: np.linalg.solve(a, np.eye(a.shape[-1], dtype=a.dtype)))


@derives(np.trace)
def trace(a, offset=0, axis1=0, axis2=1):
    """``np.trace`` as the sum of a diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@derives(np.linalg.trace)
def matrix_trace(x, *, offset=0):
    """``np.linalg.trace``, of the last two axes."""
    return np.sum(np.linalg.diagonal(x, offset=offset), axis=-1)


# ---- determinant

# A second derivative of det(A) can use the inverse of A, which loses the digits that its condition
# number has. Or it can use the signed minors, which lose none, but cost n^5 operations. Up to
# MINORS_UP_TO rows, the inverse is used if it loses fewer than 3 digits, else the minors. For more
# rows the inverse is used if it loses fewer than 6 digits, else the derivative is refused.
CONDITION_SMALL, CONDITION_LARGE, MINORS_UP_TO = 1e3, 1e6, 20


def cofactors(a, det):
    """d det(A) / dA = det(A) A^-T, for singular A too.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a further derivative is asked for at a larger matrix that is singular to 6 digits.
    """
    if not is_traced(a):  # it is traced where a further derivative is being taken
        return cofactors_by_svd(a)
    n = a.shape[-1]
    condition = np.max(np.linalg.cond(plain(a)), initial=0.0) if n else 0.0
    if condition < (CONDITION_SMALL if n <= MINORS_UP_TO else CONDITION_LARGE):
        return np.expand_dims(det, (-1, -2)) * transposed(np.linalg.inv(a))
    if n > MINORS_UP_TO:
        raise np.linalg.LinAlgError(
            f"np.linalg.det: a second derivative at a matrix of {n} rows that is singular to 6"
            " digits or more cannot be had"
        )
    without = np.array([[k for k in range(n) if k != i] for i in range(n)], dtype=int)
    minors = a[..., without[:, None, :, None], without[None, :, None, :]]
    return np.linalg.det(minors) * (-1) ** np.add.outer(np.arange(n), np.arange(n))


def cofactors_by_svd(a):
    """With A = U S V^T: det(U) det(V) U diag(products of the other s) V^T."""
    n = a.shape[-1]
    u, s, vt = np.linalg.svd(a)
    rest = np.where(np.eye(n, dtype=bool), 1.0, s[..., None, :])
    # large times small, so that nothing overflows on the way
    pairs = (rest * rest[..., ::-1])[..., : n // 2]
    rest = np.prod(pairs, axis=-1) * (rest[..., n // 2] if n % 2 else 1.0)
    sign = np.expand_dims(np.linalg.det(u) * np.linalg.det(vt), (-1, -2))
    return sign * (u * rest[..., None, :]) @ vt


rule(np.linalg.det, lambda g, y, a: np.expand_dims(g, (-1, -2)) * cofactors(a, y))


@derives(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    """``np.linalg.norm``: the root of the sum of squares, or another order, see `more.norms`."""
    x = unbox(x)
    if ord is not None:
        with np.errstate(all="ignore"):
            np.linalg.norm(plain(x), ord, axis)  # refuses what NumPy refuses, in its words
    axis = tuple(range(x.ndim)) if axis is None else axis
    if ord in (None, "fro", "f"):
        return euclidean(x, axis, keepdims)
    if np.ndim(axis) == 0 or len(axis) == 1:
        return np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
    y = np.linalg.matrix_norm(np.moveaxis(x, axis, (-2, -1)), ord=ord)
    return np.expand_dims(y, axes_of(x, axis)) if keepdims else y


no_derivative("linalg.matrix_rank")
