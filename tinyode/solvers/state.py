"""The state of a solver is one flat vector: the way there from what users write, and the checks on
that way.
"""

import math

import numpy as np
from numpy import ndarray

from .. import tree
from ..autodiff.lines import is_ours, origin
from ..autodiff.numpy_calls import has_traced, is_traced, unbox
from ..autodiff.transforms import jacobian
from .options import check_constant
from .step_size import rms

ONE_IN_LIST = tree.flatten([0.0])[1]
NEEDS_JACOBIAN = (
    "an implicit method needs the Jacobian of f, for which f is differentiated "
    "here{}. Write f so that it can be, or give its Jacobian, jacobian=lambda t, y: "
    "..."
)
CLOSURE = (
    "{} returned a traced value although its arguments are plain: it closes over a value "
    "that is being differentiated (or has been given one by solve, which computes plain "
    "numbers), and the gradient would be lost; pass that value to f through *args of odeint "
    "(or of odeint_event, odeint_batch)"
)


def check_times(t):
    """Return t as a list of floats; raise ValueError unless it is two or more finite times,
    strictly increasing or decreasing.
    """
    tree.refuse_masked("t", t)
    if has_traced(t):
        raise TypeError(
            "solve computes plain numbers, and t is a traced value, whose gradient would be lost;"
            " use odeint"
        )
    try:
        array = np.asarray(t)
    except ValueError:  # of unequal rows
        array = np.array(None)
    if array.dtype.kind not in "fiu" or array.ndim != 1 or array.size < 2:
        raise ValueError(
            f"t must be a vector of two or more times, the first of them that of y0; got {t!r:.80}"
        )
    times = array.astype(float).tolist()
    for time in times:
        if not math.isfinite(time) or not math.isfinite(time - times[0]):
            raise ValueError(
                f"t must be finite; got {time} among its {len(times)} times, the first of them"
                f" {times[0]}"
            )
    for i, (a, b) in enumerate(zip(times, times[1:])):
        if a == b or (b > a) != (times[1] > times[0]):
            raise ValueError(
                f"t must be strictly increasing or strictly decreasing; got t[{i}] = {a},"
                f" t[{i + 1}] = {b}"
            )
    return times


def check_moment(time, name):
    """Raise TypeError or ValueError unless this is one finite real number."""
    check_constant(name, time)
    tree.refuse_masked(name, time)
    if np.ndim(time) or np.asarray(time).dtype.kind not in "fiu" or not math.isfinite(time):
        raise ValueError(f"{name}={time!r:.60} must be one time, a finite real number")


def check_function(f, name="f", example=""):
    """Raise TypeError unless f can be called."""
    if not callable(f):
        raise TypeError(f"{name} must be a function{example}; got {f!r:.60}")


def check_state(y0, name="y0"):
    """Return the leaves of an initial state as floating arrays, and its structure.

    Raises
    ------
    TypeError
        If a leaf is traced, or no real number.
    ValueError
        If a leaf is not finite, or there are none.
    """
    leaves, structure = tree.flatten(y0)
    if sum([np.size(leaf) for leaf in leaves]) == 0:
        raise ValueError(f"{name}={y0!r:.60} has no elements; a state has one at least")
    return [check_leaf(leaf, name) for leaf in leaves], structure


def check_leaf(leaf, name="y0"):
    """Return a part of a state as a floating array."""
    if is_traced(leaf):
        raise TypeError(
            f"solve computes plain numbers, and {name} is a traced value, whose gradient would be"
            " lost; use odeint"
        )
    tree.refuse_masked(name, leaf)
    array = np.asarray(leaf)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must be real numbers, or containers of them; got {leaf!r:.60} of dtype"
            f" {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got {leaf!r:.80}")
    return array if array.dtype.kind == "f" else array.astype(float)


def flat_tolerance(value, leaves, structure, name):
    """Return a tolerance as a float, or as a vector with one for each component of the flat state.

    It may be one number, an array that broadcasts to the state, or, where the state is a container,
    a container of such of its structure.
    """
    check_constant(name, value)
    for leaf in tree.flatten(value)[0]:
        tree.refuse_masked(name, leaf)
    if (
        isinstance(value, (int, float, np.number, str))
        or value is None
        or (isinstance(value, np.ndarray) and value.ndim == 0)
    ):
        return value.item() if isinstance(value, np.ndarray) else value
    parts, found = ([value], structure) if structure is tree.LEAF else tree.flatten(value)
    try:
        if found != structure:
            raise ValueError
        flat = np.concatenate(
            [
                np.broadcast_to(np.asarray(part, float), leaf.shape).reshape(-1)
                for part, leaf in zip(parts, leaves)
            ]
        )
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be one number, or one for each component of y0, in the shape (or the"
            f" container) of y0; got {value!r:.80}"
        ) from None
    if not ((flat > 0) & np.isfinite(flat)).all():
        raise ValueError(f"{name} must be positive in every component; got {value!r:.80}")
    return flat


def flat_norm(norm, leaves, structure):
    """Turn the user's norm of states into one of flat vectors; None is the root mean square."""
    if norm is None:
        return rms
    cut = tree.cutter(leaves)

    def flat(x):
        value = norm(tree.unflatten(structure, cut(x)))
        check_constant("what norm returned", value)
        tree.refuse_masked("what norm returned", value)
        if (
            np.ndim(value)
            or np.asarray(value).dtype.kind not in "fiu"
            or not (value >= 0 or np.isnan(x).any())
        ):
            raise ValueError(
                f"norm returned {value!r:.60}; it must return a number that is not negative"
            )
        return float(value)

    return flat


def flat_event(leaves, structure, args):
    """Return a function ``(event, t, y)`` that computes an event's function at a flat state, with
    its checks.
    """
    cut = tree.cutter(leaves)

    def flat(event, t, y):
        y.setflags(write=False)
        value = event.function(t, tree.unflatten(structure, cut(y)), *args)
        if is_traced(value):
            raise TypeError(CLOSURE.format("event"))
        tree.refuse_masked("what event returned", value)
        if np.size(value) != 1 or np.asarray(value).dtype.kind not in "fiu":
            raise ValueError(
                f"event returned {value!r:.60}; it must return one real number, which changes sign:"
                " y[0] - 1, not y[0] > 1"
            )
        return float(np.reshape(value, ()))

    return flat


def flat_jacobian(f, leaves, structure, args, given=None):
    """Return a function ``(t, y)`` for the Jacobian df/dy of flat vectors, shape (n, n), by the
    engine or by the user's own function.
    """
    cut = tree.cutter(leaves)

    def by_engine(t, y):
        def flat(y):
            dy = f(t, tree.unflatten(structure, cut(y)), *args)
            parts = [
                unbox(part) for part in ([dy] if structure is tree.LEAF else tree.flatten(dy)[0])
            ]
            return np.concatenate(
                [
                    np.reshape(part if is_traced(part) else part.astype(y.dtype), (-1,))
                    for part in parts
                ]
            )

        try:
            return jacobian(flat)(y)
        except (TypeError, ValueError, AttributeError) as error:
            if type(error) in (TypeError, ValueError) and is_ours(origin(error)):
                raise type(error)(NEEDS_JACOBIAN.format(f", and cannot be: {error}")) from error
            # as add_note does, which Python 3.10 has not
            error.__dict__.setdefault("__notes__", []).append(NEEDS_JACOBIAN.format(""))
            raise

    def by_user(t, y):
        J = given(t, tree.unflatten(structure, cut(y)), *args)
        check_constant("what jacobian returned", J)
        tree.refuse_masked("what jacobian returned", J)
        try:
            array = np.asarray(J)
        except ValueError:  # of unequal rows
            array = np.array(None)
        shapes = {
            (y.size, y.size),
            *[leaf.shape * 2 for leaf in leaves[:1] if structure is tree.LEAF],
        }
        if array.shape not in shapes or array.dtype.kind not in "fiu":
            raise ValueError(
                f"jacobian returned {J!r:.80}; it must return df/dy, real numbers of shape"
                f" {(y.size, y.size)}, rows for the elements of f, columns for those of y, in order"
            )
        return array.reshape(y.size, y.size)

    return by_engine if given is None else by_user


def check_derivative(dy, shape, dtype):
    """Return what f gave as an array; it must have the shape of the state, and be made of plain
    real numbers.
    """
    tree.refuse_masked("what f returned", dy)
    try:
        array = np.asarray(dy)
    except ValueError:  # of unequal rows
        array = np.array(None)
    if is_traced(array):
        raise TypeError(CLOSURE.format("f"))
    if array.dtype == object:
        raise TypeError(
            f"f returned {dy!r:.60}; it must return an array of the shape of the state, {shape}"
        )
    if array.shape != shape:
        raise ValueError(
            f"f returned an array of shape {array.shape}; the state, and so its derivative, has"
            f" shape {shape}"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"f returned an array of dtype {array.dtype}; the state is of dtype {dtype}"
        )
    return array


def flat_field(f, leaves, structure, args):
    """Turn the user's f into one of flat vectors, with all checks.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)``
    leaves, structure
        The initial state, as `check_state` returns it.
    args : tuple

    Returns
    -------
    function
        ``flat(t, y, k)`` writes the derivative at the flat state y into k. It makes y read-only
        first: the solver still needs it.
    """
    cut = tree.cutter(leaves)

    def check(d, leaf):
        if type(d) is np.ndarray and d.shape == leaf.shape and d.dtype is leaf.dtype:
            return d
        return check_derivative(d, leaf.shape, leaf.dtype)

    if structure is tree.LEAF or (len(leaves) == 1 and structure == ONE_IN_LIST):
        (leaf,) = leaves
        shape, dtype, listed = leaf.shape, leaf.dtype, structure is not tree.LEAF

        def flat_vector(t, y, k):  # the hot path
            y.setflags(write=False)
            dy = f(t, [y], *args)[0] if listed else f(t, y, *args)
            if type(dy) is not ndarray or dy.dtype is not dtype or dy.shape != shape:
                dy = check_derivative(dy, shape, dtype)
            k[...] = dy

        def flat_array(t, y, k):
            flat_vector(t, y.reshape(shape), k.reshape(shape))

        return flat_vector if len(shape) == 1 else flat_array

    def flat(t, y, k):
        y.setflags(write=False)
        dy, dy_structure = tree.flatten(f(t, tree.unflatten(structure, cut(y)), *args))
        if dy_structure != structure:
            raise ValueError(
                f"f returned the structure {tree.describe(dy_structure)}; the state, and so its"
                f" derivative, has the structure {tree.describe(structure)}"
            )
        np.concatenate([check(d, leaf).reshape(-1) for d, leaf in zip(dy, leaves)], out=k)

    return flat
