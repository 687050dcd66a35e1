"""Hold derivatives against finite differences: the library's, and your own.

Two ways to differentiate by evaluating alone:

* `central_difference`. (f(x + h v) - f(x - h v)) / 2h, at h and at h/2, combined so that the error of order h^2 cancels (Richardson's
  extrapolation). What is left is h^4 |f^(5)| / 480, and rounding, 3 u |f| / h with u = 2.2e-16 and the higher derivative along v. At
  h = u^(1/5) = 7e-4 these are 6e-16 |f^(5)| and 9e-13 |f|.
* `complex_step`. Im f(x + i h v) / h subtracts nothing, so h can be 1e-100: right to rounding, for code that computes with complex
  numbers what it computes with real ones (Squire and Trapp, "Using complex variables to estimate derivatives of real functions",
  1998).

`check_vjp` compares with either. The second half of this module draws what such a comparison needs, by hypothesis: `shapes`,
`broadcasting_pairs`, `axes`, `reductions`, `matrices`; and `check_odeint` holds a whole differentiable solver against them.
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


def complex_step(f, primals, tangents, h=1e-100):
    """Compute the derivative of f along a direction, Im f(x + i h v) / h, right to rounding.

    Parameters, value: as of `central_difference`. Powers, exponentials, products and their like are analytic; abs, maximum and
    comparisons of complex numbers are not what they are of real ones.

    Raises
    ------
    TypeError
        If a value of f is real, so that f has dropped the imaginary part on its way.
    """
    def imaginary_part(y):
        if np.asarray(y).dtype.kind != "c":
            raise TypeError("complex_step: f returned a real value for a complex argument, so it is not analytic; use central_difference")
        return np.imag(y) / h

    return tree.map(imaginary_part, f(*tree.map(lambda x, v: np.asarray(x, dtype=float) + 1j * h * np.asarray(v), primals, tangents)))


def inner(a, b):
    """Return the inner product of two containers, the sum over all elements of the products."""
    return sum([float(np.sum(np.asarray(x, dtype=float) * np.asarray(y, dtype=float)))
                for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0])])


def random_like(rng, x):
    """Return standard normal numbers in the structure and shapes of x."""
    return tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), x)


RTOL = {central_difference: 1e-7, complex_step: 1e-12}


def check_vjp(f, *primals, order=2, difference=central_difference, rtol=None, rng=None):
    """Hold the vector-Jacobian product of f against a finite difference: <w, J v> = <J^T w, v> for random v, w.

    Parameters
    ----------
    f : function
    *primals : arrays or containers of arrays
        Where; f must be smooth within `H`, 7e-4, of it. The difference is taken in double precision, the product in that of the primals.
    order : int
        2 checks the derivative of the vector-Jacobian product in the same way as well, and so on.
    difference : `central_difference` or `complex_step`
        What the first derivative is held against; the engine being for real numbers, further ones are by central differences.
    rtol : float, optional
        How far the two may differ, as a share of the largest of |w| |J v|, |J^T w| |v| and 1e-5 |w| |f|. By default

        * 1e-7 for central differences. Their rounding error, 9e-13 |w| |f|, is then allowed for by the last of the three, and
          their truncation error while the fifth derivative along v is less than 1e8 times the first;
        * 1e-12 for complex steps, a few thousand roundings.

        Ten times more for each order further, whose values are derivatives and carry the rounding of the sweep.
    rng : numpy.random.Generator, optional

    Raises
    ------
    AssertionError
        If they differ; the message has both.
    ValueError
        If ``order`` is less than 1, which would check nothing.

    Notes
    -----
    It is one comparison of two numbers: outputs or primals whose share in them is less than ``rtol``, because others are so much larger,
    are not seen. Check those by themselves.
    """
    if order < 1:
        raise ValueError(f"check_vjp: order={order!r} would check nothing; give 1 or more")
    rtol = RTOL[difference] if rtol is None else rtol
    rng = rng or np.random.default_rng(0)
    for derivative in range(1, order + 1):
        value, pullback = vjp(f, *primals)
        w, v = random_like(rng, value), random_like(rng, primals)
        cotangents = pullback(w)
        for c, x in zip(tree.flatten(cotangents)[0], tree.flatten(primals)[0]):
            dtype = getattr(x, "dtype", np.dtype(float))
            if np.shape(c) != np.shape(x) or c.dtype != (dtype if dtype.kind == "f" else float):
                raise AssertionError(f"a primal of shape {np.shape(x)}, dtype {dtype} got a cotangent of shape {c.shape}, dtype {c.dtype}")
        along_v = difference(f, primals, v)
        found, expected = inner(cotangents, v), inner(w, along_v)
        scale = max(np.sqrt(inner(w, w) * inner(along_v, along_v)), np.sqrt(inner(cotangents, cotangents) * inner(v, v)),
                    1e-5 * np.sqrt(inner(w, w) * inner(value, value)))
        if not abs(found - expected) <= rtol * scale:
            raise AssertionError(f"derivative {derivative}: the vector-Jacobian product gives <J^T w, v> = {found!r}, finite differences "
                                 f"give <w, J v> = {expected!r}, at {primals!r:.300}")
        difference, rtol = central_difference, 10 * max(rtol, RTOL[central_difference])
        f, primals = _product(f), (w, *primals)


def _product(f):
    """Return the vector-Jacobian product of f as a function of the cotangent and the primals."""
    return lambda w, *primals: vjp(f, *primals)[1](w)


def _hypothesis():
    try:
        import hypothesis
        import hypothesis.extra.numpy
        import hypothesis.strategies
    except ImportError as error:
        raise ImportError("tinyode.testing draws its problems with hypothesis: pip install hypothesis") from error
    return hypothesis, hypothesis.strategies


def shapes(min_dims=0):
    """Draw the shape of an array with up to three axes, of up to three elements."""
    hypothesis, _ = _hypothesis()
    return hypothesis.extra.numpy.array_shapes(min_dims=min_dims, max_dims=3, max_side=3)


def broadcasting_pairs():
    """Draw two shapes that broadcast against each other."""
    hypothesis, _ = _hypothesis()
    return hypothesis.extra.numpy.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3).map(lambda pair: pair.input_shapes)


def axes(ndim):
    """Draw an axis argument for a reduction: None, one axis counted from either end, or a tuple of several."""
    _, st = _hypothesis()
    one = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    return st.none() | one | st.lists(one, min_size=1, max_size=max(1, ndim), unique_by=lambda i: i % ndim).map(tuple)


def reductions():
    """Draw a shape with at least one axis, an axis argument for it, and keepdims."""
    _, st = _hypothesis()
    return shapes(1).flatmap(lambda shape: st.tuples(st.just(shape), axes(len(shape)), st.booleans()))


def matrices(n, batch=()):
    """Draw well-conditioned matrices, shape (*batch, n, n), with different eigenvalues: diag(3, 6, ... 3 n), plus 0.5 / n at most."""
    _, st = _hypothesis()
    return st.integers(0, 2**20).map(lambda seed: 3 * np.diag(np.arange(1.0, n + 1)) + np.random.default_rng(seed).uniform(
        -0.5, 0.5, (*batch, n, n)) / n)


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
        On the smallest problem found, with what is wrong, in words where the mistake is one that is often made: a sign, the order of
        times, a lost observation, a Jacobian that is not transposed ...
    """
    hypothesis, st = _hypothesis()
    from .solvers import solve

    def f(t, z, A, b):
        return np.tanh(A @ z + b * np.sin(t))

    def accurate(z0, A, b, t):
        return solve(f, z0, t, A, b, rtol=1e-12, atol=1e-13).y

    def gradient(primals, w, i):
        """Return the gradient of <w, z> for the i-th of z0, A, b, t, by finite differences."""
        expected = np.zeros_like(primals[i])
        for j in np.ndindex(expected.shape):
            v = [np.zeros_like(x) for x in primals]
            v[i][j] = 1.0
            expected[j] = inner(w, central_difference(accurate, primals, tuple(v), h=1e-2))
        return expected

    def close(what, found, expected, mistakes=dict):
        if not np.allclose(found, expected, rtol=rtol, atol=rtol):
            words = [word for word, wrong in mistakes().items() if np.shape(wrong) == np.shape(found)
                     and np.allclose(found, wrong, rtol=10 * rtol, atol=rtol)]
            raise AssertionError(f"{what}{': ' * bool(words)}{', or '.join(words)}: expected {expected}, by an accurate solution and "
                                 f"finite differences; got {found}")

    @hypothesis.settings(max_examples=max_examples, deadline=None, derandomize=True, database=None,
                         phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink])
    @hypothesis.given(st.integers(1, 3), st.integers(2, 4), st.booleans(), st.integers(0, 99))
    def on_problem(n, times, backwards, seed):
        rng = np.random.default_rng(seed)
        z0, A, b = rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=n)
        t = np.cumsum(rng.uniform(0.2, 0.6, times)) - 0.5
        t = t[::-1].copy() if backwards else t
        w, primals = rng.normal(size=(times, n)), (z0, A, b, t)
        value, pullback = vjp(lambda z0, A, b, t: odeint(f, z0, t, A, b), *primals)
        if np.shape(value) != w.shape:
            raise AssertionError(f"the values: expected shape {w.shape}, one state per time, the first included; got {np.shape(value)}")
        exact = accurate(*primals)
        close("the values z(t_i)", value, exact, lambda: {
            "they are in reverse order": exact[::-1], "the first is not that of z0": np.concatenate([exact[1:2], exact[1:]])})
        found = pullback(w)
        if not all(np.allclose(2 * x, y) for x, y in zip(found, pullback(2 * w))):
            raise AssertionError("the gradient is not linear in the cotangent: twice the cotangent must give twice the gradient; is "
                                 "something kept from one backward pass to the next?")
        first, last, rest = np.zeros_like(w), np.zeros_like(w), w.copy()
        first[0], last[-1], rest[0] = w[0], w[-1], 0.0
        backward_in_time = " (in a problem that runs backwards in time)" * backwards
        for i, name in enumerate(("dL/dz(t0)", "dL/dA", "dL/db", "dL/dt")):
            expected = gradient(primals, w, i)

            def mistakes(i=i, expected=expected):
                signs = np.ones(len(t))
                words = {"it has the wrong sign, all of it": -expected, "it is zero: lost": 0 * expected,
                         "the observations before the last are lost": gradient(primals, last, i),
                         "the last observation is lost": gradient(primals, w - last, i),
                         "the observation at t0 is lost (it is z0 itself)": gradient(primals, rest, i),
                         "the observation at t0 counts twice": gradient(primals, w + first, i)}
                if i == 3:
                    for j, which in ((0, "dL/dt0"), (-1, "dL/dt of the last time")):
                        flipped = signs.copy()
                        flipped[j] = -1
                        words[f"{which} has the wrong sign"] = flipped * expected
                        words[f"{which} is lost"] = (flipped > 0) * expected
                    between = signs.copy()
                    between[1:-1] = 0
                    words |= {"those of the times between are lost": between * expected, "they are in reverse order": expected[::-1]}
                if i == 1:
                    words |= {"it is transposed": expected.T, "only the last interval is counted": interval(primals, w, i)}
                return words

            close(name + backward_in_time, found[i], expected, mistakes)

    def interval(primals, w, i):
        """Return the gradient through the parameters of the last interval alone, given the adjoint there."""
        _, A, b, t = primals
        start = accurate(*primals)[-2]
        return gradient((start, A, b, t[-2:]), np.stack([0 * w[-1], w[-1]]), i)

    on_problem()
