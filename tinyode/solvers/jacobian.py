"""The Jacobian df/dy that an implicit method needs: the user's own, by differences or the engine.

It decides how fast Newton's method converges, and not what it converges to. So it need not be
exact. For a small system differences are quickest:

    column j is (f(t, y + d_j e_j) - f(t, y)) / d_j

which is n + 1 evaluations of f. The engine needs one on the tape, and one sweep for all rows
together (`autodiff.rows`): that takes longer than one evaluation, but not n times as long. Where
stages are solved to rounding, the exact Jacobian of the engine saves iterations. What the engine
cannot differentiate has differences.
"""

import math

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import is_traced, unbox
from ..autodiff.transforms import jacobian
from .options import check_constant
from .state import as_array

# Up to so many equations differences are quicker than the engine: 0.14 ms instead of 0.62 for the
# 20 of POLLU, written with numbers; 1.0 ms instead of 0.21 for the 80 of the Brusselator, written
# with arrays (the benchmark stiff_solvers.py).
FEW = 20
# A difference is at least this part of the error that the tolerances allow in the component: within
# that error f may be taken for linear. Rounding errors of f, which a small difference enlarges, do
# no harm then: they are as much smaller than a change of f that matters.
SHARE = 0.01


def flat_jacobian(field, f, leaves, structure, args, options, given=None, total=None):
    """Return a function ``(t, y)`` for the Jacobian df/dy of flat vectors, shape (n, n).

    Parameters
    ----------
    field : function
        The flat field of f: ``field(t, y, k)`` writes dy/dt into k.
    f, leaves, structure, args
        See `state.flat_field`.
    options : Options
        Of the solve, for its tolerances.
    given : function, optional
        The user's own Jacobian.
    total : int, optional
        How many components ``field`` writes, where these are the first of more.
    """
    cut, n = tree.cutter(leaves), sum([leaf.size for leaf in leaves])

    def by_user(t, y):
        J = given(t, tree.unflatten(structure, cut(y)), *args)
        return _check_jacobian(J, y.size, leaves[0].shape if structure is tree.LEAF else None)

    def by_differences(t, y):
        return differences(field, t, y, options.rtol, options.atol, total or n)

    def by_engine(t, y):
        def of_vector(y):
            dy = f(t, tree.unflatten(structure, cut(y)), *args)
            parts = [dy] if structure is tree.LEAF else tree.flatten(dy)[0]
            return np.concatenate([_flat(unbox(part), y.dtype) for part in parts])

        try:
            return jacobian(of_vector)(y)
        except Exception:  # of any kind: f takes numbers, and fails with what the tape gives it
            return by_differences(t, y)

    if given is not None:
        return by_user
    quick = n <= FEW and not options.fixed and not options.exact
    return by_differences if quick else by_engine


def differences(field, t, y, rtol, atol, total):
    """Return df/dy by differences of f.

    Each is taken in the direction in which the component moves, as the solution goes there; in the
    other one where f is not finite there.
    """
    n, k, f0 = len(y), np.empty(total, y.dtype), np.empty(total, y.dtype)
    field(t, y, f0)
    allowed = atol + rtol * np.abs(y)
    size = np.maximum(math.sqrt(np.finfo(y.dtype).eps) * np.abs(y), SHARE * allowed)
    size = np.copysign(size, f0[:n]).astype(y.dtype)
    J = np.empty((n, n), y.dtype)
    for j in range(n):
        for moved in (y[j] + size[j], y[j] - size[j]):
            y_j = y.copy()
            y_j[j] = moved
            field(t, y_j, k)
            J[:, j] = (k[:n] - f0[:n]) / (moved - y[j])
            if np.isfinite(J[:, j]).all():
                break
    return J


def _flat(part, dtype):
    """Return a part of what f returned as a vector; a plain one with this dtype."""
    return np.reshape(part if is_traced(part) else part.astype(dtype), (-1,))


def _check_jacobian(J, n, shape):
    """Return what the user's Jacobian gave as a matrix; ``shape`` is that of y, if an array."""
    check_constant("what jacobian returned", J)
    tree.refuse_masked("what jacobian returned", J)
    array = as_array(J)
    fits = array.shape == (n, n) or (shape is not None and array.shape == shape * 2)
    if not fits or array.dtype.kind not in "fiu":
        raise ValueError(
            f"jacobian returned {J!r:.80}; it must return df/dy, real numbers of shape {(n, n)},"
            " rows for the elements of f, columns for those of y, in order"
        )
    return array.reshape(n, n)
