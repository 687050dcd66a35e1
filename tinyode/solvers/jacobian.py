"""The Jacobian df/dy that an implicit method needs: by the engine, or the user's own."""

import numpy as np

from .. import tree
from ..autodiff.lines import is_ours, origin
from ..autodiff.numpy_calls import is_traced, unbox
from ..autodiff.transforms import jacobian
from .options import check_constant
from .state import as_array

NEEDS_JACOBIAN = (
    "an implicit method needs the Jacobian of f, for which f is differentiated here{}. Write f so"
    " that it can be, or give its Jacobian, jacobian=lambda t, y: ..."
)


def flat_jacobian(f, leaves, structure, args, given=None):
    """Return a function ``(t, y)`` for the Jacobian df/dy of flat vectors, shape (n, n).

    Parameters
    ----------
    f, leaves, structure, args
        See `state.flat_field`.
    given : function, optional
        The user's own Jacobian; without it f is differentiated.
    """
    cut = tree.cutter(leaves)

    def by_engine(t, y):
        def field(y):
            dy = f(t, tree.unflatten(structure, cut(y)), *args)
            parts = [dy] if structure is tree.LEAF else tree.flatten(dy)[0]
            return np.concatenate([_flat(unbox(part), y.dtype) for part in parts])

        try:
            return jacobian(field)(y)
        except (TypeError, ValueError, AttributeError) as error:
            if type(error) in (TypeError, ValueError) and is_ours(origin(error)):
                raise type(error)(NEEDS_JACOBIAN.format(f", and cannot be: {error}")) from error
            # as add_note does, which Python 3.10 has not
            error.__dict__.setdefault("__notes__", []).append(NEEDS_JACOBIAN.format(""))
            raise

    def by_user(t, y):
        J = given(t, tree.unflatten(structure, cut(y)), *args)
        return _check_jacobian(J, y.size, leaves[0].shape if structure is tree.LEAF else None)

    return by_engine if given is None else by_user


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
