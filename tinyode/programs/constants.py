"""What a constant argument of a compiled function is made of.

A leaf of the arguments that is neither an array nor a floating-point number, such as a string or a
function, is a constant: it is written into the program, which does not see it change. So the cache
key of a call has the contents of each constant, as they are at that call. Other contents are
another key, and get a program of their own:

    >>> contents(functools.partial(np.multiply, 3.0))
    (<class 'functools.partial'>, (<class 'numpy.ufunc'>, <ufunc 'multiply'>), ...)

The contents of a function are its code, its defaults and what it closes over, but not its globals.
An object whose contents are not known here could change unseen, and is refused.
"""

import enum
import functools
import types
from typing import Any

import numpy as np

from ..autodiff.custom import custom_vjp

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})  # cannot change
KINDS = "biufcmMSU"  # of NumPy's scalars that cannot change; one of a structured array can
FIXED = types.CodeType, np.ufunc, type(np.sum)  # code, and functions of NumPy
PACKAGES = "builtins", "numpy"  # nobody changes the classes of these


def _of_function(x):
    """Return what a Python function is made of, but not its globals."""
    cells = [cell.cell_contents for cell in x.__closure__ or ()]
    return x.__code__, x.__defaults__, x.__kwdefaults__, cells, vars(x)


# the types that are looked into, and what an object of each is made of; `compiled` adds itself
PARTS: dict[type, Any] = {
    tuple: lambda x: x,
    list: lambda x: x,
    dict: lambda x: x.items(),
    types.FunctionType: _of_function,
    types.MethodType: lambda x: (x.__func__, x.__self__),
    types.BuiltinFunctionType: lambda x: (x.__name__, x.__self__),
    functools.partial: lambda x: (x.func, x.args, x.keywords, vars(x)),
    custom_vjp: lambda x: (x.f, x.forward, x.backward),
}


def contents(x: Any, around: tuple = ()) -> tuple:
    """Return the contents of a constant as something that can be hashed.

    Parameters
    ----------
    x : object
    around : tuple
        The objects in which x was found, the argument first.

    Raises
    ------
    TypeError
        If x, or a part of it, is of a type whose contents are not known here.
    """
    kind = type(x)
    if kind in PLAIN:
        return kind, repr(x)  # it tells 0.0 from -0.0, and nan is the same as nan
    if kind in FIXED or (isinstance(x, type) and str(x.__module__).partition(".")[0] in PACKAGES):
        return kind, x
    if kind is types.BuiltinFunctionType and isinstance(x.__self__, types.ModuleType):  # math.sin
        return kind, x
    if isinstance(x, np.generic) and kind is x.dtype.type and x.dtype.kind in KINDS:
        return kind, repr(x)
    if isinstance(x, np.dtype) and x.kind != "V" and x.metadata is None:
        return kind, repr(x)
    for n, y in enumerate(around):
        if y is x:  # a function that closes over itself
            return kind, n
    if isinstance(x, enum.Enum):
        parts = [part for part in vars(x).items() if part[0] != "__objclass__"]
    elif kind in PARTS:
        parts = PARTS[kind](x)
    else:
        where = f"{around[0]!r:.60}, which holds " if around else ""
        raise TypeError(
            f"compiled: an argument is {where}{x!r:.60} of type {kind.__name__}, whose change a "
            "program would not see; pass what changes as arrays, or numbers, in tuples, lists and "
            "dicts, and let f close over the rest"
        )
    same = x if kind is types.FunctionType else kind
    return same, *[contents(part, (*around, x)) for part in parts]
