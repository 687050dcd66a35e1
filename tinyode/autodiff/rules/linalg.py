"""Linear algebra. Matrices may be stacked: all but the last two axes are a batch, and broadcast.

The derivations are Giles's ("An extended collection of matrix derivative results for forward and
reverse mode algorithmic differentiation", 2008). What NumPy computes from one triangle of a matrix
that it takes for symmetric (`cholesky`, `eigh`) is differentiated as what it is, a function of that
triangle alone: the cotangent of the other one is zero.
"""

import functools

import numpy as np

from ..custom import primitive
from ..numpy_calls import is_traced, plain, unbox
from .products import transposed
from .reductions import axes_of, euclidean, p_norm, rows_of
from .table import CHECKED, DERIVED, PLAIN, rule


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


def cofactors(a, det):
    """d det(A) / dA = det(A) A^-T, as it is for singular A too: with A = U S V^T, U diag(products
    of the other s) V^T.

    For a further derivative, where the inverse would cost 3 digits or more, the signed minors: n^5
    operations, so of up to 20 rows.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a further derivative is asked for at a larger matrix that is singular to 6 digits.
    """
    n = a.shape[-1]
    if not is_traced(a):
        u, s, vt = np.linalg.svd(a)
        others = np.where(np.eye(n, dtype=bool), 1.0, s[..., None, :])
        pairs = (others * others[..., ::-1])[
            ..., : n // 2
        ]  # large times small, so that nothing overflows on the way
        others = np.prod(pairs, axis=-1) * (others[..., n // 2] if n % 2 else 1.0)
        return (
            np.expand_dims(np.linalg.det(u) * np.linalg.det(vt), (-1, -2))
            * (u * others[..., None, :])
            @ vt
        )
    cond = np.max(np.linalg.cond(plain(a)), initial=0.0) if n else 0.0
    if cond < (1e3 if n <= 20 else 1e6):
        return np.expand_dims(det, (-1, -2)) * transposed(np.linalg.inv(a))
    if n > 20:
        raise np.linalg.LinAlgError(
            f"np.linalg.det: a second derivative at a matrix of {n} rows that is singular to 6"
            " digits or more cannot be had"
        )
    others = np.array([[k for k in range(n) if k != i] for i in range(n)], dtype=int)
    minors = a[..., others[:, None, :, None], others[None, :, None, :]]
    return np.linalg.det(minors) * (-1) ** np.add.outer(np.arange(n), np.arange(n))


rule(np.linalg.det, lambda g, y, a: np.expand_dims(g, (-1, -2)) * cofactors(a, y))


@primitive(lambda g, y, a: np.expand_dims(g, (-1, -2)) * transposed(np.linalg.inv(a)))
def log_abs_det(a):
    """Log of abs(det(A)), whose change is trace(A^-1 dA)."""
    return np.linalg.slogdet(a).logabsdet


def symmetric(a, upper=False):
    """Complete the matrix of which one triangle is given, as NumPy does."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(
            f"a square matrix, or a stack of them, was expected; got shape {a.shape}"
        )
    a = transposed(a) if upper else a
    return np.where(np.tri(a.shape[-1], dtype=bool), a, transposed(a))


def cholesky_vjp(g, y, a):
    """A = L L^T: with P the lower triangle of L^T G, its diagonal halved, the cotangent is L^-T P
    L^-1 (Murray 2016, arXiv:1602.07527).
    """
    p = transposed(y) @ g * (np.tri(a.shape[-1]) - 0.5 * np.eye(a.shape[-1]))
    return transposed(np.linalg.solve(transposed(y), transposed(np.linalg.solve(transposed(y), p))))


@primitive(cholesky_vjp)
def cholesky_factor(a):
    """L of A = L L^T."""
    return np.linalg.cholesky(a)


def cholesky(a, *, upper=False):
    """``np.linalg.cholesky``, of the triangle that it reads."""
    lower = cholesky_factor(symmetric(a, upper))
    return transposed(lower) if upper else lower


def near(s, t=0.0):
    """Whether two of these values, or each of them and t, are equal to rounding."""
    s = plain(s)
    return np.abs(s - plain(t)) <= max(s.shape[-2:]) * np.finfo(s.dtype).eps * np.max(
        np.abs(s), axis=(-1, -2), keepdims=True, initial=0.0
    )


def check_unique(ambiguous, g):
    """Return g; refuse the derivative of vectors that are not unique where it is asked for: where a
    column is not zero, or may not be.
    """
    if is_traced(g):
        check_columns(ambiguous, np.ones(g.shape))
        return g
    return check_columns(ambiguous, g)


@primitive(whole=True)
def check_columns(ambiguous, g):
    """Return g, unless it has a column that is ambiguous and not zero."""
    if np.any(ambiguous & np.any(g != 0, axis=-2, keepdims=True)):
        raise np.linalg.LinAlgError(
            "the derivative of eigenvectors, of singular vectors, or a second derivative of their"
            " values was asked for where two values are equal to rounding, or one is zero; the"
            " vectors are not unique there"
        )
    return g


def turns(inner, gap, equal):
    """How much vectors i and j turn into each other: the antisymmetric part of V^T G over the
    distance of their values.
    """
    inner = check_unique(equal & ~np.eye(inner.shape[-1], dtype=bool), inner)
    return np.where(equal, 0.0, 0.5 * (inner - transposed(inner)) / np.where(equal, 1.0, gap))


def eigen_vjp(g, y, a, UPLO):
    """A = V diag(w) V^T: V (diag(g_w) + F * (V^T G_V)) V^T, with F_ij = 1 / (w_j - w_i) off the
    diagonal (Giles, section 3.1).
    """
    w, v, g_w, g_v = y[..., :1, :], y[..., 1:, :], g[..., :1, :], g[..., 1:, :]
    turn = turns(transposed(v) @ g_v, w - transposed(w), near(w, transposed(w)))
    return (v @ turn + v * g_w) @ transposed(v)


@primitive(eigen_vjp)
def eigen(a, UPLO):
    """Eigenvalues, in the first row, over the eigenvectors of a symmetric matrix."""
    w, v = np.linalg.eigh(a, UPLO)
    return np.concatenate([w[..., None, :], v], axis=-2)


def singular_vjp(g, y, a):
    """A = U diag(s) V^T: U diag(g_s) V^T, and what turns the vectors into each other and out of
    their space.

    Townsend, "Differentiating the singular value decomposition" (2016).
    """
    m = a.shape[-2]
    u, s, v = y[..., :m, :], y[..., m : m + 1, :], y[..., m + 1 :, :]
    g_u, g_s, g_v = g[..., :m, :], g[..., m : m + 1, :], g[..., m + 1 :, :]
    gap, equal = (s - transposed(s)) * (s + transposed(s)), near(s, transposed(s))
    inner_u, inner_v = transposed(u) @ g_u, transposed(v) @ g_v
    turn = 2 * (turns(inner_u, gap, equal) * s + transposed(s) * turns(inner_v, gap, equal))
    total = (u @ turn + u * g_s) @ transposed(v)
    if a.shape[-2] == a.shape[-1]:
        return total
    zero = near(s)
    over_s = 1 / np.where(zero, 1.0, s)
    if a.shape[-2] > a.shape[-1]:
        return total + ((check_unique(zero, g_u) - u @ inner_u) * over_s) @ transposed(v)
    return total + u @ transposed((check_unique(zero, g_v) - v @ inner_v) * over_s)


@primitive(singular_vjp)
def singular(a):
    """U, the singular values in one row, and V, one over the other."""
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([u, s[..., None, :], transposed(vt)], axis=-2)


Eigh, Svd = type(np.linalg.eigh(np.eye(1))), type(np.linalg.svd(np.eye(1)))


def eigh(a, UPLO="L"):
    """``np.linalg.eigh``, of the triangle that it reads; the values by a rule of their own, which
    asks nothing of the vectors.
    """
    a = symmetric(a, UPLO.upper() == "U")
    return Eigh(eigenvalues(a, UPLO), eigen(a, UPLO)[..., 1:, :])


def svd(a, full_matrices=True, compute_uv=True):
    """``np.linalg.svd``, its values apart as in `eigh`; the vectors that complete U or V to a
    square have no derivative.
    """
    if not compute_uv:
        return np.linalg.svdvals(a)
    y = singular(a)
    m, n = a.shape[-2:]
    if full_matrices and m != n:
        raise TypeError(
            "np.linalg.svd: the vectors that full_matrices=True adds have no derivative; write"
            " full_matrices=False"
        )
    return Svd(y[..., :m, :], np.linalg.svdvals(a), transposed(y[..., m + 1 :, :]))


def eigenvalues_vjp(g, y, a, UPLO="L"):
    """Dw = diag(V^T dA V), and there is nothing to divide by: right for equal eigenvalues too."""
    v = np.linalg.eigh(a, UPLO).eigenvectors
    return (v * np.expand_dims(g, -2)) @ transposed(v)


@primitive(eigenvalues_vjp)
def eigenvalues(a, UPLO):
    """``np.linalg.eigvalsh`` of a symmetric matrix."""
    return np.linalg.eigvalsh(a, UPLO)


def singular_values_vjp(g, y, x):
    """Ds = diag(U^T dA V)."""
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return (u * np.expand_dims(g, -2)) @ vt


rule(np.linalg.svdvals, singular_values_vjp)


def matrix_power(a, n):
    """``np.linalg.matrix_power`` by squaring."""
    a, n = (np.linalg.inv(a), -n) if n < 0 else (a, n)
    powers = []
    while n:
        if n % 2:
            powers.append(a)
        n //= 2
        a = a @ a if n else a
    return (
        functools.reduce(np.matmul, powers)
        if powers
        else np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    )


def pinv_vjp(g, y, a):
    """P = A^+ at constant rank: dP = -P dA P + P P^T dA^T (I - A P) + (I - P A) dA^T P^T P (Golub
    and Pereyra 1973, eq. 4.12).
    """
    p, pt, gt = y, transposed(y), transposed(g)
    return -pt @ g @ pt + (gt - a @ p @ gt) @ p @ pt + pt @ p @ (gt - gt @ p @ a)


rule(np.linalg.pinv, pinv_vjp)


def norm(x, ord=None, axis=None, keepdims=False):
    """``np.linalg.norm`` for every order; at zero, where a norm has a corner, its VJP is zero."""
    x = unbox(x)
    if ord is not None:
        with np.errstate(all="ignore"):
            np.linalg.norm(plain(x), ord, axis)  # refuses what NumPy refuses, in its words
    axis = tuple(range(x.ndim)) if axis is None else axis
    if ord is None or (ord == 2 and (np.ndim(axis) == 0 or len(axis) == 1)) or ord in ("fro", "f"):
        return euclidean(x, axis, keepdims)
    size = np.abs(x)
    if np.ndim(axis) == 0 or len(axis) == 1:
        if ord == np.inf or ord == -np.inf:
            return (np.max if ord > 0 else np.min)(size, axis=axis, keepdims=keepdims)
        if ord == 0:
            return np.linalg.norm(plain(x), 0, axis=axis, keepdims=keepdims)
        return p_norm(size, float(ord), axis, keepdims)
    row, column = (i % x.ndim for i in axis)
    if ord in (1, -1, np.inf, -np.inf):
        summed, other = (row, column) if abs(ord) == 1 else (column, row)
        return (np.max if ord > 0 else np.min)(
            np.sum(size, axis=summed, keepdims=True), axis=(summed, other), keepdims=keepdims
        )
    s = np.linalg.svdvals(np.moveaxis(x, axis, (-2, -1)))
    y = np.sum(s, axis=-1) if ord == "nuc" else s[..., 0 if ord == 2 else -1]
    return np.expand_dims(y, axes_of(x, axis)) if keepdims else y


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """``np.linalg.vector_norm``: of all elements, where no axis is given."""
    if np.ndim(axis) == 0 and axis is not None:
        return norm(x, ord, axis, keepdims)
    y = norm(rows_of(x, axis), ord, -1)
    return np.expand_dims(y, axes_of(x, axis)) if keepdims else y


DERIVED.update(
    {
        np.trace: lambda a, offset=0, axis1=0, axis2=1: np.sum(
            np.diagonal(a, offset, axis1, axis2), axis=-1
        ),
        np.linalg.trace: lambda x, *, offset=0: np.sum(
            np.linalg.diagonal(x, offset=offset), axis=-1
        ),
        np.linalg.inv: lambda a: np.linalg.solve(a, np.eye(a.shape[-1], dtype=a.dtype)),
        np.linalg.slogdet: lambda a: np.linalg.slogdet(plain(a))._replace(logabsdet=log_abs_det(a)),
        np.linalg.cholesky: cholesky,
        np.linalg.eigh: eigh,
        np.linalg.eigvalsh: lambda a, UPLO="L": eigenvalues(
            symmetric(a, UPLO.upper() == "U"), UPLO
        ),
        np.linalg.svd: svd,
        np.linalg.matrix_power: matrix_power,
        np.linalg.norm: norm,
        np.linalg.vector_norm: vector_norm,
        np.linalg.matrix_norm: lambda x, *, keepdims=False, ord="fro": norm(
            x, ord, (-2, -1), keepdims
        ),
    }
)
CHECKED.add(np.linalg.matrix_power)
PLAIN.add(np.linalg.matrix_rank)
