"""What happens when NumPy meets a Node: functions find their rules here, and arrays of objects are
read as what they mean.

NumPy hands every call that it recognises to the Node among its arguments (``__array_ufunc__``,
``__array_function__``), and the function is looked up in the tables of `tinyode.autodiff.rules`.

``np.array`` knows nothing of traced numbers, and makes an object array of them. It is read as what
it means, ``np.stack``, wherever it meets the engine: as a result, beside a traced array, in a
function that also gets one. Alone, NumPy computes with it element by element: that works for
arithmetic, comparisons, `sum`, `dot`, `max`, `where`, `norm` and their like, and for elementwise
functions if all its elements are traced; where a constant is among them (``np.sin(np.array([x[0],
1.0]))``), and in `mean`, `linalg.inv` and whatever needs numbers at once, NumPy refuses it
(`lines.say_line` says where). Write ``np.stack([x[0], 1.0])`` there, which takes constants too.
(Compared element by element, of two that are equal one gets the whole cotangent, and what is not a
number may lose against a number. And ``np.logical_and`` and ``np.logical_or`` return elements, as
Python's ``and`` and ``or`` do.)
"""

import functools
import inspect

import numpy as np
from numpy import ndarray

from .. import tree
from . import trace
from .operators import CHECKED, DERIVED, PLAIN, RULES, Recorded, name_of

IN_PLACE = {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}

signature = functools.cache(inspect.signature)


def plain(x):
    """Return the value below all traces, in containers too."""
    kind = type(x)
    if kind is trace.Node:
        return plain(x.value)
    if kind is ndarray and x.dtype == object:
        return plain(unbox(x))
    if kind is list or kind is tuple:
        return kind([plain(item) for item in x])
    if kind is dict:
        return {key: plain(item) for key, item in x.items()}
    return x


def is_traced(x):
    """Whether x is a Node or an object array that has Nodes for elements."""
    return type(x) is trace.Node or (
        type(x) is ndarray
        and x.dtype == object
        and any(type(_element(i)) is trace.Node for i in x.flat)
    )


def _element(x):
    """Take a number out of an array without an axis, as np.asarray(x[0]) is."""
    while isinstance(x, ndarray) and not x.ndim:
        x = x[()]
    return x


def has_traced(x):
    """Whether x is traced, or a container of anything that is."""
    return any(map(is_traced, tree.flatten(x)[0]))


def unbox(x):
    """Read an array of objects as the stack of its elements, and a list as an array: what np.array
    would make of them.
    """
    if type(x) is trace.Node or isinstance(x, Recorded):
        return x
    if isinstance(x, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(
            f"a {type(x).__name__} does not compute like an array, and cannot be combined with a"
            " traced one; convert it with np.asarray, masks with np.where"
        )
    array = np.asarray(x)
    if array.dtype != object:
        return array
    items = [_element(item) for item in array.ravel().tolist()]
    for item in items:
        if not isinstance(
            item, (trace.Node, Recorded, np.ndarray, int, float, np.number, np.bool_)
        ) or np.ndim(item):
            raise TypeError(
                "an array of objects can be differentiated where each is a number, traced or not;"
                f" one is of type {type(item).__name__}, shape {np.shape(item)}: {item!r:.60};"
                " write np.stack or np.concatenate to join rows"
            )
    return np.reshape(_pack(*items), array.shape)


def _pack(*items):
    """Make a vector of scalars."""
    if any(type(item) is trace.Node for item in items):
        return trace.record(_pack, lambda g, y, wanted, *items: [g[i] for i in wanted], items)
    recorded = [item for item in items if isinstance(item, Recorded)]
    return recorded[0].recording(np.array, (list(items),), {}) if recorded else np.array(items)


def call(function, args, kwargs):
    """Carry out a NumPy function that was handed a Node: by its rule, by its derivation, on the
    value, or not at all.
    """
    if kwargs.get("out") is not None:
        raise TypeError(
            f"{name_of(function)}: out= would overwrite an array that the derivative "
            "may still need (x += y with a plain array x asks for it: write x = x + "
            "y); leave it out and use the returned value"
        )
    kwargs = {
        key: value
        for key, value in kwargs.items()
        if key != "out" and (key, value) != ("dtype", None)
    }
    derived = DERIVED.get(function)
    if derived is not None:
        _check_settings(function, derived, args, kwargs)
        if function in CHECKED:
            with np.errstate(all="ignore"):
                function(*plain(args), **plain(kwargs))
        return derived(*args, **kwargs)
    vjps = RULES.get(function)
    if vjps is not None:
        if type(vjps) is tuple:
            _check_settings(
                function, next(vjp for vjp in vjps if vjp is not None), (None, None, *args), kwargs
            )
        if any(is_traced(value) for value in kwargs.values()):
            bound = signature(function).bind(*args, **kwargs)
            args, kwargs = bound.args, bound.kwargs
            for key in kwargs:
                if is_traced(kwargs[key]):
                    raise TypeError(
                        f"{name_of(function)}: {key}= is a setting, not an operand, and cannot be a"
                        " traced value; pass a plain number, or stop_gradient(value)"
                    )
        return trace.record(function, vjps, args, kwargs)
    if function in PLAIN:
        return function(*plain(args), **plain(kwargs))
    name = name_of(function)
    if function in IN_PLACE or name.endswith(".at"):
        raise TypeError(
            f"{name} writes into an array, and a gradient would be lost; build a new array with"
            " np.where, np.stack, np.full (without dtype=) or np.bincount"
        )
    more = ", ..." if len(args) > 1 or kwargs else ""
    raise TypeError(
        f"{name} has no derivative rule, so its gradient would be lost. Write it with functions"
        " that have one; or give it one:\n\n    f = tinyode.custom_vjp(lambda x:"
        f" {name}(x{more}))\n    f.defvjp(lambda x: (f(x), x),        # the value, and what the"
        " next line needs\n             lambda x, g: (g * ...,))    # from that and the cotangent"
        f" of the value: the cotangent of x\n\nor pass stop_gradient(x), if {name} is to count as"
        " constant"
    )


def _check_settings(function, rule, args, kwargs):
    """Refuse, while the function is called and by its own name, what its rule does not know."""
    code = getattr(rule, "__code__", None)
    if code is None:  # a partial function, or one of NumPy's: they know themselves
        return
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for key in kwargs:
        if key not in known and not code.co_flags & inspect.CO_VARKEYWORDS:
            raise TypeError(
                f"{name_of(function)}: {key}= is not supported for traced values; leave it out"
                + (", and choose with np.where" if key == "where" else "")
            )
    if len(args) > code.co_argcount and not code.co_flags & inspect.CO_VARARGS:
        raise TypeError(
            f"{name_of(function)}: too many arguments by position for traced values; give"
            f" {', '.join(known[-2:])} by keyword, and leave out what is not there"
        )


def is_floating(y, function):
    """Whether a result has a derivative; what it may not be is refused."""
    kind = getattr(getattr(y, "dtype", None), "kind", "O")
    if kind == "c":
        raise TypeError(
            f"{name_of(function)}: the result is complex, and derivatives here are of real"
            " functions; write the real and imaginary parts as an axis of length 2"
        )
    if kind == "O":
        raise TypeError(
            f"{name_of(function)}: the result is made of objects, not numbers of float64 or"
            " float32, and its gradient would be lost; convert Fractions and large integers with"
            " float"
        )
    return kind == "f"


def call_ufunc(ufunc, method, inputs, kwargs):
    """Carry out a ufunc or one of its methods; ``reduce`` and ``accumulate`` are functions of their
    own.
    """
    if method == "__call__":
        return call(ufunc, inputs, kwargs)
    if method == "outer":
        a, b = map(unbox, inputs)
        return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b, **kwargs)
    return call(getattr(ufunc, method), inputs, kwargs)
