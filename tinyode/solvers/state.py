"""The state of a solver is one flat vector: the way there from what users write, with its checks.

`check_times`, `check_state` and their kin look at arguments once. `flat_field` and `flat_norm`
turn functions of the user's containers into functions of flat vectors.
"""

import math

import numpy as np
from numpy import ndarray

from .. import tree
from ..autodiff.numpy_calls import has_traced, is_traced
from ..autodiff.specialized import offers, specialized
from .options import check_constant
from .step_size import rms

TRACED = (
    "{} computes plain numbers, and {} is a traced value, whose gradient would be lost; use odeint"
)
CLOSURE = (
    "{} returned a traced value although its arguments are plain: it closes over a value that is"
    " being differentiated (or has been given one by solve, which computes plain numbers), and the"
    " gradient would be lost; pass that value to f through *args of odeint (or of odeint_event,"
    " odeint_batch)"
)


def as_array(x):
    """Return x as an array; an array of None for rows of unequal length."""
    try:
        return np.asarray(x)
    except ValueError:
        return np.array(None)


def check_times(t):
    """Return t as a list of floats.

    Raises
    ------
    TypeError, ValueError
        Unless it is two or more finite times, strictly increasing or decreasing.
    """
    tree.refuse_masked("t", t)
    if has_traced(t):
        raise TypeError(TRACED.format("solve", "t"))
    array = as_array(t)
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
        raise TypeError(TRACED.format("solve", name))
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
    """Return a tolerance as a number, or as a vector with one for each component of the flat state.

    The user may give one number, or an array that broadcasts to the state. Where the state is a
    container, it may also be a container of such, with the same structure.
    """
    check_constant(name, value)
    parts, found = tree.flatten(value)
    for part in parts:
        tree.refuse_masked(name, part)
    if isinstance(value, ndarray) and value.ndim == 0:
        return value.item()
    if value is None or isinstance(value, (int, float, np.number, str)):
        return value
    if structure is tree.LEAF:
        parts, found = [value], structure
    try:
        if found != structure:
            raise ValueError
        shaped = [
            np.broadcast_to(np.asarray(part, float), leaf.shape)
            for part, leaf in zip(parts, leaves)
        ]
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be one number, or one for each component of y0, in the shape (or the"
            f" container) of y0; got {value!r:.80}"
        ) from None
    flat = np.concatenate([part.reshape(-1) for part in shaped])
    if not ((flat > 0) & np.isfinite(flat)).all():
        raise ValueError(f"{name} must be positive in every component; got {value!r:.80}")
    return flat


def flat_norm(norm, leaves, structure):
    """Return the user's norm of states as one of flat vectors; None is the root mean square."""
    if norm is None:
        return rms
    cut = tree.cutter(leaves)

    def norm_of_vector(x):
        value = norm(tree.unflatten(structure, cut(x)))
        check_constant("what norm returned", value)
        tree.refuse_masked("what norm returned", value)
        is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiu"
        if not is_number or not (value >= 0 or np.isnan(x).any()):
            raise ValueError(
                f"norm returned {value!r:.60}; it must return a number that is not negative"
            )
        return float(value)

    return norm_of_vector


def check_derivative(dy, shape, dtype):
    """Return what f gave as an array.

    It must have the shape of the state, and be made of plain real numbers.
    """
    if type(dy) is ndarray and dy.shape == shape and dy.dtype is dtype:  # the usual case
        return dy
    tree.refuse_masked("what f returned", dy)
    array = as_array(dy)
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


def check_structure(found, structure):
    """Raise ValueError unless f has returned the structure of the state."""
    if found != structure:
        raise ValueError(
            f"f returned the structure {tree.describe(found)}; the state, and so its derivative,"
            f" has the structure {tree.describe(structure)}"
        )


def flat_field(f, leaves, structure, args, t=0.0):
    """Return the flat field: the user's f as a function of flat vectors, with all checks.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)``
    leaves, structure
        The initial state, as `check_state` returns it.
    args : tuple
    t : float
        The initial time.

    Returns
    -------
    function
        ``field(t, y, k)`` writes the derivative at the flat state y into k. It makes y read-only
        before f gets it, as the solver still needs it.

    Notes
    -----
    f may offer a faster field for arguments like these (`autodiff.specialized`). It is asked for it
    once, here.
    """
    if offers(f):  # args of any other f may be what no container is made of
        inputs, of_inputs = tree.flatten((t, tree.unflatten(structure, leaves), *args))
        offer = specialized(f, inputs, of_inputs)
        if offer is not None and offer.bind is not None and offer.structure == structure:
            with np.errstate(over="ignore", invalid="ignore"):  # as during the steps
                return offer.bind(*inputs[1 + len(leaves) :])
    if structure is tree.LEAF:
        return _field_of_array(f, leaves[0], args)

    def of_parts(t, parts):
        dy, found = tree.flatten(f(t, tree.unflatten(structure, parts), *args))
        check_structure(found, structure)
        return dy

    return _field_of_leaves(of_parts, leaves)


def _field_of_array(f, leaf, args):
    """Return the flat field of a state that is one array: the hot path."""
    shape, dtype = leaf.shape, leaf.dtype

    def of_vector(t, y, k):
        y.setflags(write=False)
        dy = f(t, y, *args)
        if type(dy) is not ndarray or dy.dtype is not dtype or dy.shape != shape:
            dy = check_derivative(dy, shape, dtype)
        k[...] = dy

    def of_array(t, y, k):
        of_vector(t, y.reshape(shape), k.reshape(shape))

    return of_vector if len(shape) == 1 else of_array


def _field_of_leaves(f, leaves):
    """Return the flat field of a state with several arrays, ``f(t, parts)``, a list like parts."""
    cut = tree.cutter(leaves)

    def field(t, y, k):
        y.setflags(write=False)
        parts = [check_derivative(d, z.shape, z.dtype) for d, z in zip(f(t, cut(y)), leaves)]
        np.concatenate([part.reshape(-1) for part in parts], out=k)

    return field
