"""What goes into a derivative and comes out of it: arrays of real numbers, or an error by name."""

import numpy as np
from numpy import ndarray

from .. import tree
from .numpy_calls import STAND_INS, is_traced, unbox

FLOAT64 = np.dtype(float)


def as_primal(x):
    """Return what a function is differentiated at: a Node, or a floating array."""
    if type(x) is np.float64 or type(x) in STAND_INS:
        return x
    if isinstance(x, (np.ma.MaskedArray, np.matrix)):
        unbox(x)  # which refuses it
    array = np.asarray(x)
    if array.dtype == object and is_traced(array):
        return unbox(array)
    if array.dtype.kind == "f":
        return x if isinstance(x, np.floating) else array[()]
    if array.dtype.kind in "iub":
        return array.astype(float)[()]
    what = (
        "a complex number" if array.dtype.kind == "c" else f"{x!r:.40} of type {type(x).__name__}"
    )
    raise TypeError(
        f"cannot differentiate with respect to {what}: primals are real numbers, arrays of them,"
        " and nested tuples, lists and dicts of these; select others out with argnum, or close"
        " over them"
    )


def as_output(y):
    """Return what the function gave as a Node or an array."""
    if (type(y) is ndarray and y.dtype == object) or type(y) in STAND_INS:
        return unbox(y)
    tree.refuse_masked("what the function being differentiated returned", y)
    numbers = (int, float, np.number, np.bool_, ndarray)
    if isinstance(y, numbers) and np.asarray(y).dtype.kind in "fiub":
        return y if isinstance(y, ndarray) else np.asarray(y)[()]
    raise TypeError(
        f"the function being differentiated returned {y!r:.60} of type {type(y).__name__}; it must"
        " return a real array, or a nested tuple, list or dict of them"
    )


def as_real(what, x):
    """Return x as an array of real numbers."""
    array = unbox(x) if x is not None else np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} is made of real numbers; got {x!r:.60}")
    return array


def as_cotangent(g, y):
    """Return a cotangent as an array like the value y that it belongs to."""
    if type(g) is ndarray and g.dtype is y.dtype and g.shape == y.shape:
        return g
    g = as_real("pullback: a cotangent", g)
    if g.shape != np.shape(y):
        raise ValueError(
            f"pullback: a cotangent of shape {np.shape(y)} was expected, like the value, got shape"
            f" {g.shape}"
        )
    dtype = getattr(y, "dtype", FLOAT64)
    return g if g.dtype == dtype or dtype.kind != "f" else g.astype(dtype)


def check_floating(name, value):
    """Refuse what a function returned if it is not made of floating-point numbers."""
    if np.result_type(value).kind != "f":
        raise TypeError(
            f"{name}: the function returned {value!r:.40}, which is not made of floating-point"
            " numbers, so every derivative would be zero; remove the rounding, comparison or"
            " conversion to whole numbers"
        )


def check_scalar(value):
    """Refuse what a function returned unless it is one floating-point number."""
    if isinstance(value, (tuple, list, dict)):
        raise TypeError(
            f"grad: the function returned a {type(value).__name__}; a gradient is of one number,"
            " use vjp or jacobian"
        )
    if np.size(value) != 1:
        raise TypeError(
            f"grad: the function returned an array of shape {np.shape(value)}; a gradient is of one"
            " number: reduce it (np.sum, np.mean), or use vjp or jacobian"
        )
    check_floating("grad", value)


def own(cotangents, seeds):
    """Copy what is shared, so that the caller may write into each cotangent."""
    met = {id(g) for g in seeds}
    for i, c in enumerate(cotangents):
        if type(c) is ndarray:
            if c.base is not None or id(c) in met or not c.ndim:
                # [()] makes a number of an array without axes, as NumPy's own functions do
                cotangents[i] = c = c.copy()[()]
            met.add(id(c))
    return cotangents
