"""Recording: what a function does to arrays, written down as a list of NumPy calls.

The tape (`trace`) writes down what a derivative needs, and has no use for comparisons and signs, or for what the rules themselves compute.
A `Symbol` is less clever: it knows nothing of derivatives, and writes down every NumPy function that it meets, with its operands. Put
Symbols into the Nodes of a trace, and both the function and the sweep back through its rules, which are NumPy code too, are written down:
that is all `program` needs.

A recording is made of one path through the function. So what would choose the path by a value, a bool, a number, a shape, is refused.
"""

import linecache
import math
import os
import sys
from typing import NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .. import tree
from .checks import FLOAT64
from .operators import NUMBERS, Recorded
from .trace import Node

SHAPES_ONLY = {np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj, np.can_cast, np.min_scalar_type, np.common_type,
               np.zeros_like, np.ones_like, np.empty_like}  # do not look at the values
SHAPED_BY_VALUES = {np.nonzero, np.flatnonzero, np.argwhere, np.extract, np.compress, np.unique}
PACKAGES = os.path.dirname(os.path.dirname(os.path.abspath(__file__))), os.path.dirname(os.path.abspath(np.__file__))


class Call(NamedTuple):
    """One line of a program: a function, its arguments taken apart, and the Symbols of what it returned.

    ``structure`` puts the arguments together again, ``(args, kwargs)``; None where they are all by position.
    """

    function: object
    arguments: tuple
    structure: object
    results: list
    fresh: bool

    def unpacked(self):
        """Return the arguments as they were given, by position and by keyword."""
        return (self.arguments, {}) if self.structure is None else tree.unflatten(self.structure, self.arguments)


def _is_fresh(function):
    """Whether a function always makes an array of its own: a ufunc does, and its methods; others may return a view for other strides."""
    return isinstance(function, np.ufunc) or isinstance(getattr(function, "__self__", None), np.ufunc)


class Method:
    """A method of an array, as a function."""

    def __init__(self, name):
        self.__name__ = name

    def __call__(self, x, *args, **kwargs):
        """Call it."""
        return getattr(x, self.__name__)(*args, **kwargs)


METHODS = {name: Method(name) for name in ("astype", "copy", "ravel", "reshape", "sum", "transpose")}
PICK, POWER = Method("__getitem__"), Method("__pow__")


class Recording(list):
    """The calls, in order."""

    def __call__(self, function, args, kwargs):
        """Carry out a function of Symbols and write it down."""
        if kwargs or not all([type(x) in FLAT for x in args]):
            arguments, structure = tree.flatten((tuple(args), kwargs))
        else:
            arguments, structure = args, None
        values = [x.value if type(x) is Symbol else x for x in arguments]
        if structure is None:
            y = function(*values)
        else:
            plain_args, plain_kwargs = tree.unflatten(structure, values)
            y = function(*plain_args, **plain_kwargs)
        if function in SHAPES_ONLY:
            return y
        if function in SHAPED_BY_VALUES or (function is PICK and any([x.dtype == bool for x in arguments[1:] if type(x) is Symbol])):
            refuse("a shape")
        if type(y) is np.ndarray or type(y) is np.float64:
            result = Symbol(y, self)
            self.append(Call(function, arguments, structure, [result], y.ndim > 0 and _is_fresh(function)))
            return result
        found, returned = tree.flatten(y)
        for value in found:
            if not isinstance(value, (np.ndarray, np.generic, float)):
                refuse(f"a {type(value).__name__}")
        results = [Symbol(value, self) for value in found]
        self.append(Call(function, arguments, structure, results, False))
        return tree.unflatten(returned, results)


def refuse(what):
    """Raise the error that names the line which takes a plain value from what differs from call to call."""
    frame = sys._getframe()
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(PACKAGES):
        frame = frame.f_back
    name, line = frame.f_code.co_filename, frame.f_lineno
    raise TypeError(f"{os.path.basename(name)}, line {line}, `{linecache.getline(name, line).strip()}`: takes {what} from a value that "
                    "differs from call to call, and a program would go the same way for ever; choose with np.where, and take functions "
                    "from NumPy, or leave tinyode.compiled and tinyode.program out")


def _refused(what):
    return lambda self, *_: refuse(what)


class Symbol(NDArrayOperatorsMixin, Recorded):
    """An array whose history is written down. It has a value, that of the example, of which a program may use shape and dtype."""

    __slots__ = ("recording", "value")
    __hash__ = object.__hash__

    def __init__(self, value, recording):
        self.value, self.recording = value, recording

    shape = property(lambda self: getattr(self.value, "shape", ()))
    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    dtype = property(lambda self: getattr(self.value, "dtype", FLOAT64))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)
    T = property(lambda self: np.transpose(self))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if any(type(x) is Node for x in inputs):
            return NotImplemented
        return self.recording(ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        if Node in types:
            return NotImplemented
        return self.recording(function, args, kwargs)

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(f"a recorded array has no .{name}; write it as a function, np.{name}(x)")
        return lambda *args, **kwargs: self.recording(METHODS[name], (self, *args), kwargs)

    def __getitem__(self, index):
        return self.recording(PICK, (self, index), {})

    def __pow__(self, other):
        return NotImplemented if type(other) is Node else self.recording(POWER, (self, other), {})

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"Symbol({self.value!r})"

    __bool__, __float__, __int__ = _refused("a bool"), _refused("a float"), _refused("an int")
    __index__, __complex__, item, tolist = _refused("an index"), _refused("a number"), _refused("a number"), _refused("numbers")
    __array__ = _refused("an array without a history")


tree.CERTAIN_LEAVES.add(Symbol)
FLAT = {Symbol, np.ndarray, *NUMBERS}  # arguments that are not to be taken apart
