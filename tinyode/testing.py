"""Hold derivatives against finite differences: the library's, and your own.

A central difference (f(x + h v) - f(x - h v)) / 2h differs from the derivative of f along v by O(h^2), and by rounding, O(u / h) with
u = 2.2e-16. `central_difference` combines two of them (Richardson's extrapolation) so that the first error is O(h^4): at h of
about u^(1/5) both are then about u^(4/5), 3e-13 times the size of the higher derivatives.
"""

import numpy as np

from . import tree
from .autodiff import vjp

H = np.finfo(float).eps ** 0.2


def central_difference(f, primals, tangents, h=H):
    """Estimate the derivative of f along a direction, by differences of order four.

    D(h) = (f(x + h v) - f(x - h v)) / 2h;  the estimate is (4 D(h/2) - D(h)) / 3 (Richardson, 1911).

    Parameters
    ----------
    f : function
    primals, tangents : tuples of arrays or containers, x and v
        Of the same structure and shapes; everything is done in double precision.
    h : float
        The larger step.

    Returns
    -------
    Of the structure and shapes of the value of f.
    """
    def at(s):
        return f(*tree.map(lambda x, v: np.asarray(x, dtype=float) + s * v, primals, tangents))

    def difference(s):
        return tree.map(lambda plus, minus: (np.asarray(plus, dtype=float) - np.asarray(minus, dtype=float)) / (2 * s), at(s), at(-s))

    return tree.map(lambda coarse, fine: (4 * fine - coarse) / 3, difference(h), difference(h / 2))


def inner(a, b):
    """Return the inner product of two containers, the sum over all elements of the products."""
    return sum([float(np.sum(np.asarray(x, dtype=float) * np.asarray(y, dtype=float)))
                for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0])])


def random_like(rng, x):
    """Return standard normal numbers in the structure and shapes of x."""
    return tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), x)


def check_vjp(f, *primals, order=1, rtol=1e-7, rng=None):
    """Hold the vector-Jacobian product of f against a finite difference: <w, J v> = <J^T w, v> for random v, w.

    Parameters
    ----------
    f : function
    *primals : arrays or containers of arrays
        Where; f must be smooth within `H`, 7e-4, of it.
    order : int
        2 checks the derivative of the vector-Jacobian product in the same way as well, and so on.
    rtol : float
        How far the two may differ, as a share of |w| |J v| or |J^T w| |v|: the finite difference is good to about 1e-10 where the
        fifth derivative of f is of the size of the first, and no better than about 3e-13 |w| |f|. Ten times more for each order further.
    rng : numpy.random.Generator, optional

    Raises
    ------
    AssertionError
        If they differ; the message has both.
    """
    rng = rng or np.random.default_rng(0)
    for derivative in range(1, order + 1):
        value, pullback = vjp(f, *primals)
        w, v = random_like(rng, value), random_like(rng, primals)
        cotangents = pullback(w)
        for c, x in zip(tree.flatten(cotangents)[0], tree.flatten(primals)[0]):
            dtype = getattr(x, "dtype", np.dtype(float))
            if np.shape(c) != np.shape(x) or c.dtype != (dtype if dtype.kind == "f" else float):
                raise AssertionError(f"a primal of shape {np.shape(x)}, dtype {dtype} got a cotangent of shape {c.shape}, dtype {c.dtype}")
        along_v = central_difference(f, primals, v)
        found, expected = inner(cotangents, v), inner(w, along_v)
        scale = max(np.sqrt(inner(w, w) * inner(along_v, along_v)), np.sqrt(inner(cotangents, cotangents) * inner(v, v)),
                    1e-5 * np.sqrt(inner(w, w) * inner(value, value)))
        if not abs(found - expected) <= rtol * scale:
            raise AssertionError(f"derivative {derivative}: the vector-Jacobian product gives <J^T w, v> = {found!r}, finite differences "
                                 f"give <w, J v> = {expected!r}, at {primals!r:.300}")
        f, primals, rtol = _product(f), (w, *primals), 10 * rtol


def _product(f):
    """Return the vector-Jacobian product of f as a function of the cotangent and the primals."""
    return lambda w, *primals: vjp(f, *primals)[1](w)


def check_odeint(odeint, rtol=1e-4, max_examples=25):
    """Hold an odeint-like function and its gradients against finite differences of an accurate solution, on drawn problems.

    The problems are dz/dt = tanh(A z + b sin t) with one to three components, two to four times, increasing or decreasing, and the
    loss sum_i <w_i, z(t_i)>. Hypothesis draws them, and reports the smallest that fails.

    Parameters
    ----------
    odeint : function
        ``odeint(f, y0, t, *args)`` returns an array of shape (len(t), len(y0)) and is differentiable by `tinyode.vjp`: recorded, or
        with a `tinyode.custom_vjp` of your own.
    rtol : float
        The accuracy to expect, relative to 1 + |expected|.
    max_examples : int
        How many problems to draw.

    Raises
    ------
    AssertionError
        On the smallest problem found, with what is wrong: the values, or the gradient for y0, A, b, or a time.
    """
    try:
        from hypothesis import Phase, given, settings
        from hypothesis import strategies as st
    except ImportError as error:
        raise ImportError("check_odeint draws its problems with hypothesis: pip install hypothesis") from error
    from .solvers import solve

    def f(t, z, A, b):
        return np.tanh(A @ z + b * np.sin(t))

    def accurate(z0, A, b, t):
        return solve(f, z0, t, A, b, rtol=1e-12, atol=1e-13).y

    def close(what, found, expected):
        if not np.allclose(found, expected, rtol=rtol, atol=rtol):
            raise AssertionError(f"{what}: expected {expected}, by an accurate solution and finite differences; got {found}")

    @settings(max_examples=max_examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])
    @given(st.integers(1, 3), st.integers(2, 4), st.booleans(), st.integers(0, 99))
    def on_problem(n, times, backwards, seed):
        rng = np.random.default_rng(seed)
        z0, A, b = rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=n)
        t = np.cumsum(rng.uniform(0.2, 0.6, times)) - 0.5
        t = t[::-1].copy() if backwards else t
        w = rng.normal(size=(times, n))
        value, pullback = vjp(lambda z0, A, b, t: odeint(f, z0, t, A, b), z0, A, b, t)
        if np.shape(value) != w.shape:
            raise AssertionError(f"the values: expected shape {w.shape}, one state per time, got {np.shape(value)}")
        close("the values z(t_i)", value, accurate(z0, A, b, t))
        for i, (name, found) in enumerate(zip(("dL/dz(t0)", "dL/dA", "dL/db", "dL/dt"), pullback(w))):
            expected = np.zeros_like(found)
            for j in np.ndindex(found.shape):
                v = [np.zeros_like(x) for x in (z0, A, b, t)]
                v[i][j] = 1.0
                expected[j] = inner(w, central_difference(accurate, (z0, A, b, t), tuple(v), h=1e-2))
            close(name, found, expected)

    on_problem()
