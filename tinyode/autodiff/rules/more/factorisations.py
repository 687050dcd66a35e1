"""Factorisations of matrices: cholesky, eigh, svd, and what follows from them.

NumPy reads `cholesky` and `eigh` from one triangle of a matrix that it takes for symmetric. They
are differentiated as what they are, functions of that triangle alone: the cotangent of the other
triangle is zero. Matrices may be stacked, as in `products`.

An eigenvector is unique, and has a derivative, only if no other eigenvalue equals its own. Else the
derivative is refused where it is asked for. The eigenvalues have a rule of their own, which does
not need it. The same holds for singular values and vectors.

The derivations are Giles's, as in `linalg`, where no other source is named.
"""

import functools

import numpy as np

from ...custom import primitive
from ...numpy_calls import is_traced, plain
from ..products import transposed
from ..table import derives, rule


@primitive(lambda g, y, a: np.expand_dims(g, (-1, -2)) * transposed(np.linalg.inv(a)))
def log_abs_det(a):
    """log |det(A)|, whose change is trace(A^-1 dA)."""
    return np.linalg.slogdet(a).logabsdet


@derives(np.linalg.slogdet)
def slogdet(a):
    """``np.linalg.slogdet``; the sign is a constant."""
    return np.linalg.slogdet(plain(a))._replace(logabsdet=log_abs_det(a))


@derives(np.linalg.matrix_power, checked=True)
def matrix_power(a, n):
    """``np.linalg.matrix_power`` by squaring."""
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    a, n = (np.linalg.inv(a), -n) if n < 0 else (a, n)
    powers = []
    while n:
        if n % 2:
            powers.append(a)
        n //= 2
        a = a @ a if n else a
    return functools.reduce(np.matmul, powers)


def pinv_vjp(g, y, a):
    """P = A^+ at constant rank (Golub and Pereyra 1973, eq. 4.12).

    dP = -P dA P + P P^T dA^T (I - A P) + (I - P A) dA^T P^T P
    """
    p, pt, gt = y, transposed(y), transposed(g)
    return -pt @ g @ pt + (gt - a @ p @ gt) @ p @ pt + pt @ p @ (gt - gt @ p @ a)


rule(np.linalg.pinv, pinv_vjp)


# ---- of a symmetric matrix


def symmetric(a, upper=False):
    """Complete the matrix of which one triangle is given, as NumPy does."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(
            f"a square matrix, or a stack of them, was expected; got shape {a.shape}"
        )
    a = transposed(a) if upper else a
    return np.where(np.tri(a.shape[-1], dtype=bool), a, transposed(a))


def cholesky_vjp(g, y, a):
    """A = L L^T: L^-T P L^-1, P being the lower triangle of L^T G with its diagonal halved.

    Murray, "Differentiation of the Cholesky decomposition" (2016), arXiv:1602.07527.
    """
    upper = transposed(y)
    p = upper @ g * (np.tri(a.shape[-1]) - 0.5 * np.eye(a.shape[-1]))
    return transposed(np.linalg.solve(upper, transposed(np.linalg.solve(upper, p))))


@primitive(cholesky_vjp)
def cholesky_factor(a):
    """L of A = L L^T."""
    return np.linalg.cholesky(a)


@derives(np.linalg.cholesky)
def cholesky(a, *, upper=False):
    """``np.linalg.cholesky``, of the triangle that it reads."""
    lower = cholesky_factor(symmetric(a, upper))
    return transposed(lower) if upper else lower


def eigenvalues_vjp(g, y, a, UPLO="L"):
    """dw = diag(V^T dA V): nothing is divided, so this is right for equal eigenvalues too."""
    v = np.linalg.eigh(a, UPLO).eigenvectors
    return (v * np.expand_dims(g, -2)) @ transposed(v)


@primitive(eigenvalues_vjp)
def eigenvalues(a, UPLO):
    """``np.linalg.eigvalsh`` of a symmetric matrix."""
    return np.linalg.eigvalsh(a, UPLO)


def eigen_vjp(g, y, a, UPLO):
    """A = V diag(w) V^T: V (diag(g_w) + F * (V^T G_V)) V^T (Giles, section 3.1).

    F_ij = 1 / (w_j - w_i) off the diagonal.
    """
    w, v, g_w, g_v = y[..., :1, :], y[..., 1:, :], g[..., :1, :], g[..., 1:, :]
    turn = turns(transposed(v) @ g_v, w - transposed(w), near(w, transposed(w)))
    return (v @ turn + v * g_w) @ transposed(v)


@primitive(eigen_vjp)
def eigen(a, UPLO):
    """Eigenvalues, in the first row, over the eigenvectors of a symmetric matrix."""
    w, v = np.linalg.eigh(a, UPLO)
    return np.concatenate([w[..., None, :], v], axis=-2)


@derives(np.linalg.eigh)
def eigh(a, UPLO="L"):
    """``np.linalg.eigh``, of the triangle that it reads."""
    a = symmetric(a, UPLO.upper() == "U")
    w, v = eigenvalues(a, UPLO), eigen(a, UPLO)[..., 1:, :]
    return np.linalg.eigh(np.eye(1))._replace(eigenvalues=w, eigenvectors=v)  # NumPy's named tuple


@derives(np.linalg.eigvalsh)
def eigvalsh(a, UPLO="L"):
    """``np.linalg.eigvalsh``, of the triangle that it reads."""
    return eigenvalues(symmetric(a, UPLO.upper() == "U"), UPLO)


# ---- singular values and vectors


def singular_values_vjp(g, y, x):
    """ds = diag(U^T dA V)."""
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return (u * np.expand_dims(g, -2)) @ vt


rule(np.linalg.svdvals, singular_values_vjp)


def singular_vjp(g, y, a):
    """A = U diag(s) V^T: U diag(g_s) V^T, and what turns the vectors.

    They turn into each other, and out of their space where A is not square. Townsend,
    "Differentiating the singular value decomposition" (2016).
    """
    m, n = a.shape[-2:]
    u, s, v = y[..., :m, :], y[..., m : m + 1, :], y[..., m + 1 :, :]
    g_u, g_s, g_v = g[..., :m, :], g[..., m : m + 1, :], g[..., m + 1 :, :]
    gap, equal = (s - transposed(s)) * (s + transposed(s)), near(s, transposed(s))
    inner_u, inner_v = transposed(u) @ g_u, transposed(v) @ g_v
    turn = 2 * (turns(inner_u, gap, equal) * s + transposed(s) * turns(inner_v, gap, equal))
    total = (u @ turn + u * g_s) @ transposed(v)
    if m == n:
        return total
    zero = near(s)
    over_s = 1 / np.where(zero, 1.0, s)
    if m > n:
        return total + ((check_unique(zero, g_u) - u @ inner_u) * over_s) @ transposed(v)
    return total + u @ transposed((check_unique(zero, g_v) - v @ inner_v) * over_s)


@primitive(singular_vjp)
def singular(a):
    """U, the singular values in one row, and V, one over the other."""
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([u, s[..., None, :], transposed(vt)], axis=-2)


@derives(np.linalg.svd)
def svd(a, full_matrices=True, compute_uv=True):
    """``np.linalg.svd``; the vectors that complete U or V to a square have no derivative."""
    if not compute_uv:
        return np.linalg.svdvals(a)
    y = singular(a)
    m, n = a.shape[-2:]
    if full_matrices and m != n:
        raise TypeError(
            "np.linalg.svd: the vectors that full_matrices=True adds have no derivative; write"
            " full_matrices=False"
        )
    u, s, vh = y[..., :m, :], np.linalg.svdvals(a), transposed(y[..., m + 1 :, :])
    return np.linalg.svd(np.eye(1))._replace(U=u, S=s, Vh=vh)  # NumPy's named tuple


# ---- vectors that are not unique


def near(s, t=0.0):
    """Whether two of these values, or each of them and t, are equal to rounding."""
    s = plain(s)
    largest = np.max(np.abs(s), axis=(-1, -2), keepdims=True, initial=0.0)
    return np.abs(s - plain(t)) <= max(s.shape[-2:]) * np.finfo(s.dtype).eps * largest


def turns(inner, gap, equal):
    """How much vectors i and j turn into each other.

    It is the antisymmetric part of V^T G over the distance of their values. Where these are equal,
    that part is zero, or the derivative is refused.
    """
    inner = check_unique(equal & ~np.eye(inner.shape[-1], dtype=bool), inner)
    return 0.5 * (inner - transposed(inner)) / np.where(equal, 1.0, gap)


def check_unique(ambiguous, g):
    """Return g; refuse the derivative of vectors that are not unique where it is asked for.

    It is asked for where a column of g is not zero. A column of a traced g may not be zero.
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
