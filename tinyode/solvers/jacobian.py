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
# A difference is at least this part of the error that the tolerances allow in the component. Within
# that error f may be taken for linear. And where rounding errors of f are small beside its change
# for that error, they are small beside its change for a hundredth of it.
SHARE = 0.01


def flat_jacobian(field, f, leaves, structure, args, options, given=None, total=None):
    """Return a function ``(t, y, h)`` for the Jacobian df/dy of flat vectors, shape (n, n).

    h is the size of a step with its sign.

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
    eps = max([float(np.finfo(leaf.dtype).eps) for leaf in leaves])
    refused = []  # what the engine has refused it is not asked again

    def by_user(t, y, h):
        J = given(t, tree.unflatten(structure, cut(y)), *args)
        return _check_jacobian(J, y.size, leaves[0].shape if structure is tree.LEAF else None)

    def by_differences(t, y, h):
        k = np.empty(total or n, y.dtype)

        def of_vector(y):
            field(t, y, k)
            return k[: len(y)].copy()

        return differences(of_vector, y, options.atol + options.rtol * np.abs(y), eps, h)

    def by_engine(t, y, h):
        def of_vector(y):
            dy = f(t, tree.unflatten(structure, cut(y)), *args)
            parts = [dy] if structure is tree.LEAF else tree.flatten(dy)[0]
            return np.concatenate([_flat(unbox(part), y.dtype) for part in parts])

        if not refused:
            try:
                return jacobian(of_vector)(y)
            except (
                Exception
            ) as error:  # of any kind: f takes numbers, and fails with a traced array
                refused.append(error)
        return by_differences(t, y, h)

    if given is not None:
        return by_user
    quick = n <= FEW and not options.fixed and not options.exact
    return by_differences if quick else by_engine


def differences(f, y, allowed, eps, h):
    """Return df/dy by differences.

    Each is taken in the direction in which the component moves, as the solution goes there; in the
    other one where f is not finite there.

    Parameters
    ----------
    f : function
        ``f(y)``, shape (n,).
    y, allowed : arrays, shape (n,)
        The state, and the error in it that the tolerances allow.
    eps : float
        The rounding of f's arguments.
    h : float
        The size of the step with its sign.
    """
    f0, J = f(y), np.empty((len(y), len(y)), y.dtype)
    least = float(np.finfo(y.dtype).tiny)
    size = np.maximum(math.sqrt(eps) * np.abs(y), np.maximum(SHARE * allowed, least))
    size = np.copysign(size, h * f0).astype(y.dtype)
    for j in range(len(y)):
        for moved in (y[j] + size[j], y[j] - size[j]):
            y_j = y.copy()
            y_j[j] = moved
            J[:, j] = (f(y_j) - f0) / (moved - y[j])
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
