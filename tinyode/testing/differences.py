"""Derivatives held against finite differences.

Two ways to differentiate by evaluating alone:

* `central_difference`. It takes (f(x + h v) - f(x - h v)) / 2h at h and at h/2, and combines them
  so that the error of order h^2 cancels (Richardson's extrapolation). Two errors are left:
  h^4 |f^(5)| / 480, where f^(5) is the fifth derivative along v, and rounding, 3 u |f| / h with
  u = 2.2e-16. At h = u^(1/5) = 7e-4 they are 6e-16 |f^(5)| and 9e-13 |f|.
* `complex_step`. Im f(x + i h v) / h subtracts nothing, so h can be 1e-100, and the result is right
  to rounding. It is for code that does the same with complex numbers as with real ones (Squire and
  Trapp, "Using complex variables to estimate derivatives of real functions", 1998).

`check_vjp` compares with either.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..autodiff import vjp
from ..autodiff.checks import as_primal
from ..autodiff.numpy_calls import unbox
from ..types import T, Tree

H = np.finfo(float).eps ** 0.2
FAR = 1e5  # beyond this x, a step of H has fewer than 7 digits in x + H: 1e-7 H / 3 u


def central_difference(
    f: Callable[..., T], primals: tuple[Any, ...], tangents: tuple[Any, ...], h: float = H
) -> T:
    """Estimate the derivative of f along a direction, by differences of order four.

    With D(h) = (f(x + h v) - f(x - h v)) / 2h, the estimate is (4 D(h/2) - D(h)) / 3 (Richardson,
    1911).

    Parameters
    ----------
    f : function
    primals, tangents : tuples of arrays or containers, x and v
        Of the same structure and shapes. They are taken in double precision.
    h : float
        The larger step.

    Returns
    -------
    Of the structure and shapes of the value of f.
    """

    def at(s):
        return f(*tree.map(lambda x, v: _double(x) + s * v, primals, tangents))

    def difference(s):
        plus, minus = at(s), at(-s)
        return tree.map(lambda plus, minus: (_double(plus) - _double(minus)) / (2 * s), plus, minus)

    coarse, fine = difference(h), difference(h / 2)
    return tree.map(lambda coarse, fine: fine + (fine - coarse) / 3, coarse, fine)


def complex_step(
    f: Callable[..., T], primals: tuple[Any, ...], tangents: tuple[Any, ...], h: float = 1e-100
) -> T:
    """Compute the derivative of f along a direction, Im f(x + i h v) / h, right to rounding.

    Parameters and value are those of `central_difference`. f must be analytic: powers, exponentials
    and products are, but abs, maximum and comparisons of complex numbers are not what they are of
    real ones.

    Raises
    ------
    TypeError
        If a value of f is real, so that f has dropped the imaginary part on its way.
    """

    def imaginary_part(y):
        if np.asarray(y).dtype.kind != "c":
            raise TypeError(
                "complex_step: f returned a real value for a complex argument, so it is not"
                " analytic; use central_difference"
            )
        return np.imag(y) / h

    moved = tree.map(lambda x, v: _double(x) + 1j * h * np.asarray(v), primals, tangents)
    return tree.map(imaginary_part, f(*moved))


def _double(x):
    return np.asarray(x, dtype=float)


def inner(a: Tree, b: Tree) -> float:
    """Return the inner product of two containers, the sum over all elements of the products."""
    pairs = zip(tree.flatten(a)[0], tree.flatten(b)[0])
    return sum([float(np.sum(_double(x) * _double(y))) for x, y in pairs])


def size_of(a: Tree) -> float:
    """Return the Euclidean norm of a container, whose squares may overflow or underflow."""
    return math.hypot(*[x for leaf in tree.flatten(a)[0] for x in np.ravel(leaf).tolist()])


def random_like(rng: np.random.Generator, x: T) -> T:
    """Return standard normal numbers in the structure and shapes of x."""
    return tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), x)


RTOL: dict[Callable[..., Any], float] = {central_difference: 1e-7, complex_step: 1e-12}


def check_vjp(
    f: Callable[..., Any],
    *primals: Tree,
    order: int = 2,
    difference: Callable[..., Any] = central_difference,
    rtol: float | None = None,
    rng: np.random.Generator | None = None,
) -> None:
    """Hold the vector-Jacobian product of f against a finite difference.

    For random v and w, <w, J v> must be <J^T w, v>.

    Parameters
    ----------
    f : function
    *primals : arrays or containers of arrays
        Where to check. f must be smooth within `H`, 7e-4, of it; where |x| > 1e5, within 7e-9 |x|,
        since a step of 7e-4 would be lost in the rounding of x. The difference is taken in double
        precision, the product in the precision of the primals.
    order : int
        2 checks the derivative of the vector-Jacobian product in the same way as well, and so on.
    difference : `central_difference` or `complex_step`
        What the first derivative is held against. Further ones are held against central
        differences, because the engine is for real numbers.
    rtol : float, optional
        How far the two may differ, as a share of the largest of |w| |J v|, |J^T w| |v| and
        1e-5 |w| |f|. A primal above 1e5 is measured in units of |x| / 1e5. By default

        * 1e-7 for central differences. The last of the three allows for their rounding error, 9e-13
          |w| |f|, and the others for their truncation error while the fifth derivative along v is
          less than 1e8 times the first;
        * 1e-12 for complex steps, a few thousand roundings.

        It is ten times more for each order further, whose values are derivatives and carry the
        rounding of the sweep.
    rng : numpy.random.Generator, optional

    Raises
    ------
    AssertionError
        If they differ; the message has both. If they are too large to be compared, or not numbers.
        If the value of f where it is differentiated is not that of f itself (a `tinyode.custom_vjp`
        has two functions for it), or if a pullback that is called again gives something else.
    ValueError
        If ``order`` is not 1, 2, ..., or primals or value have no elements: nothing is checked.
        If ``difference`` is neither of the two, or ``rtol`` not a positive number.

    Notes
    -----
    It is one comparison of two numbers. An output or a primal whose share in them is less than
    ``rtol``, because others are so much larger, is not seen. Check that one by itself.
    """
    if not isinstance(order, (int, np.integer)) or order < 1:
        raise ValueError(f"check_vjp: order={order!r} would check nothing; give 1, 2, ...")
    if difference not in RTOL:
        raise ValueError(
            f"check_vjp: difference={difference!r} is not known; give central_difference or"
            " complex_step"
        )
    rtol = RTOL[difference] if rtol is None else check_rtol("check_vjp", rtol)
    rng = rng or np.random.default_rng(0)
    for derivative in range(1, order + 1):
        value, pullback = vjp(f, *primals)
        _check_value(derivative, f(*tree.map(as_primal, primals)), value, rtol)
        w, u = random_like(rng, value), random_like(rng, primals)
        if not size_of(w) or not size_of(u):
            raise ValueError(
                "check_vjp: there is nothing to check, the "
                f"{'value of f has' if size_of(u) else 'primals have'} no elements"
            )
        cotangents = pullback(w)
        _check_cotangents(cotangents, primals)
        if not _close(cotangents, pullback(w), rtol):
            raise AssertionError(
                f"derivative {derivative}: the pullback, called twice with the same cotangent,"
                " gives something else the second time; it must not write into what it keeps, nor"
                " count"
            )
        _compare(derivative, f, primals, value, (w, u, cotangents), difference, rtol)
        difference, rtol = central_difference, 10 * max(rtol, RTOL[central_difference])
        f, primals = _product(f), (w, *primals)


def _compare(derivative, f, primals, value, products, difference, rtol):
    """Compare <J^T w, v> with <w, J v>, where v is u in the units of the primals."""
    w, u, cotangents = products
    unit = tree.map(lambda x: np.maximum(1.0, np.abs(_double(x)) / FAR), primals)
    v = tree.map(np.multiply, u, unit)
    along_v = difference(f, primals, v)
    with np.errstate(over="ignore", invalid="ignore"):  # then the scale is infinite, too
        found, expected = inner(cotangents, v), inner(w, along_v)
    with_units = tree.map(np.multiply, cotangents, unit)
    scale = max(
        size_of(w) * size_of(along_v),
        size_of(with_units) * size_of(u),
        1e-5 * size_of(w) * size_of(value),
    )
    if not np.isfinite(scale):
        raise AssertionError(
            f"derivative {derivative}: the values or the derivatives of f are "
            f"not finite, or too large to be compared, at {primals!r:.300}; "
            "scale f or its arguments"
        )
    if not abs(found - expected) <= rtol * scale:
        raise AssertionError(
            f"derivative {derivative}: the vector-Jacobian product gives <J^T w, v> ="
            f" {found!r}, finite differences give <w, J v> = {expected!r}, at {primals!r:.300}"
        )


def _check_cotangents(cotangents, primals):
    """Refuse a cotangent of another shape or dtype than its primal."""
    for c, x in zip(tree.flatten(cotangents)[0], tree.flatten(primals)[0]):
        dtype = getattr(x, "dtype", np.dtype(float))
        if np.shape(c) != np.shape(x) or c.dtype != (dtype if dtype.kind == "f" else float):
            raise AssertionError(
                f"a primal of shape {np.shape(x)}, dtype {dtype} got a cotangent of shape"
                f" {c.shape}, dtype {c.dtype}"
            )


def _check_value(derivative, plain, value, rtol):
    """Refuse a value, computed where f is differentiated, that is not what f returns."""
    (leaves, structure), (found, of_value) = tree.flatten(plain), tree.flatten(value)
    alike = structure == of_value and list(map(np.shape, leaves)) == list(map(np.shape, found))
    if not alike or not _close(plain, value, rtol):
        raise AssertionError(
            f"derivative {derivative}: f returns {plain!r:.100} for plain numbers, and"
            f" {value!r:.100} where it is differentiated; is the value of forward, in defvjp, that"
            " of the function?"
        )


def _close(a, b, rtol):
    """Whether two containers of one structure agree, each leaf as far as its dtype allows."""

    def of_leaf(x, y):
        x, y = unbox(x), unbox(y)
        eps = max([np.finfo(z.dtype).eps if z.dtype.kind == "f" else 0.0 for z in (x, y)])
        atol = max(rtol, eps**0.5) * np.max(np.abs(x), initial=0.0)
        return np.allclose(x, y, rtol=0, atol=atol, equal_nan=True)

    with np.errstate(over="ignore"):
        return all([of_leaf(x, y) for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0])])


def check_rtol(name: str, rtol: float) -> float:
    """Return rtol; refuse what would let everything through, or nothing."""
    if isinstance(rtol, bool) or not isinstance(rtol, (int, float, np.number)) or not 0 < rtol < 1:
        raise ValueError(f"{name}: rtol={rtol!r} must be a number between 0 and 1")
    return rtol


def _product(f):
    """Return the vector-Jacobian product of f as a function of the cotangent and the primals."""
    return lambda w, *primals: vjp(f, *primals)[1](w)
