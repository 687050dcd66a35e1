"""Recording: what a function does to arrays, written down as a list of NumPy calls.

The tape (`trace`) writes down what a derivative needs, and has no use for comparisons and signs, or
for what the rules themselves compute. A `Symbol` is less clever: it knows nothing of derivatives,
and writes down every NumPy function that it meets, with its operands. Put Symbols into the Nodes of
a trace, and both the function and the sweep back through its rules, which are NumPy code too, are
written down: that is all `program` needs.

A recording is made of one path through the function. So what would choose the path by a value, a
bool, a number, a shape, is refused.
"""

import functools
import math
import operator
import sys
from typing import NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .. import tree
from ..autodiff.lines import is_ours, place
from ..autodiff.node import NUMBERS, Node
from ..autodiff.numpy_calls import IN_PLACE, STAND_INS
from ..autodiff.rules.table import name_of

SHAPES_ONLY = {
    np.shape,
    np.ndim,
    np.size,
    np.result_type,
    np.iscomplexobj,
    np.isrealobj,
    np.can_cast,
    np.min_scalar_type,
    np.common_type,
    np.zeros_like,
    np.ones_like,
    np.empty_like,
}  # do not look at the values
SHAPED_BY_VALUES = {
    np.nonzero,
    np.flatnonzero,
    np.argwhere,
    np.extract,
    np.compress,
    np.unique,
    np.unique_all,
    np.unique_counts,
    np.unique_inverse,
    np.unique_values,
    np.union1d,
    np.intersect1d,
    np.setdiff1d,
    np.setxor1d,
    np.trim_zeros,
    np.roots,
    np.polydiv,
}
SHAPED_BY = {
    np.bincount: (0, "x"),
    np.delete: (1, "obj"),
    operator.getitem: (1, ""),
}  # by this argument's (getitem's: if it is a mask)
MAKES_ITS_OWN = {
    np.array,
    np.concatenate,
    np.where,
    np.sum,
    np.prod,
    np.max,
    np.min,
}  # as every ufunc does; others may return a view
OPERATORS = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.matmul: operator.matmul,
    np.remainder: operator.mod,
    np.floor_divide: operator.floordiv,
    np.negative: operator.neg,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
    np.invert: operator.invert,
    np.absolute: operator.abs,
    np.positive: operator.pos,
}
OR_WITHOUT = ", or leave tinyode.compiled and tinyode.program out"


def is_elementwise(function):
    """Whether a function is a ufunc of single elements, which np.matmul is not."""
    return isinstance(function, np.ufunc) and function.signature is None


class Call(NamedTuple):
    """One line of a program: a function, its arguments taken apart, and the Symbols of what it
    returned.

    ``structure`` puts the arguments together again, ``(args, kwargs)``; None where they are all by
    position. ``returned`` is that of the results. ``fresh`` are arrays that the function has made
    itself, for sure, whatever the strides of its arguments.
    """

    function: object
    arguments: tuple
    structure: object
    results: list
    returned: object = tree.LEAF
    fresh: bool = False

    def unpacked(self):
        """Return the arguments as they were given, by position and by keyword."""
        return (
            (self.arguments, {})
            if self.structure is None
            else tree.unflatten(self.structure, self.arguments)
        )


class Method:
    """A method of an array, as a function."""

    def __init__(self, name):
        self.__name__ = name

    def __call__(self, x, *args, **kwargs):
        """Call it."""
        return getattr(x, self.__name__)(*args, **kwargs)


SAME_AS_FUNCTIONS = {
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "clip",
    "cumprod",
    "cumsum",
    "diagonal",
    "max",
    "mean",
    "min",
    "prod",
    "ravel",
    "repeat",
    "round",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "take",
    "trace",
    "var",
}
METHODS = {name: Method(name) for name in ("astype", "copy", "reshape", "transpose")}


@functools.cache
def _known(function):
    """Return whether a function writes into its arguments, whether it is a ufunc of others, whether
    it makes an array of its own.
    """
    of_ufunc = isinstance(getattr(function, "__self__", None), np.ufunc)
    return (
        function in IN_PLACE or (of_ufunc and function.__name__ == "at"),
        isinstance(function, np.ufunc) and getattr(np, function.__name__, None) is not function,
        isinstance(function, np.ufunc) or of_ufunc or function in MAKES_ITS_OWN,
    )


class Recording(list):
    """The calls, in order, and what else was met.

    ``refusal`` is what was refused, whatever f made of the error; ``met`` has the arrays of f's own
    and copies of them; ``over`` says that f has returned, and only the program has its Symbols now.
    """

    def __init__(self):
        self.refusal, self.met, self.over = None, {}, False

    def __call__(self, function, args, kwargs):
        """Carry out a function of Symbols and write it down."""
        if kwargs or not all([type(x) in FLAT for x in args]):
            arguments, structure = tree.flatten((tuple(args), kwargs))
        else:
            arguments, structure = args, None
        values = [x.value if type(x) is Symbol else x for x in arguments]
        for x in arguments:
            if isinstance(x, np.ndarray):
                if not equal(x, self.met.setdefault(id(x), (x, x.copy()))[1]):
                    self.refuse(
                        "has written into an array since it was used", "Make a new one each time"
                    )
        writes, foreign, fresh = _known(function)
        if writes or "out" in kwargs:
            self.refuse(
                f"writes by {name_of(function)} into an array that may be in use elsewhere",
                "Make a new one, x = x + 1 instead of x += 1",
            )
        if foreign:
            self.refuse(
                f"calls {function.__name__}, which is not of NumPy",
                "A program runs where there is NumPy alone",
            )
        if structure is None:
            y = function(*values)
        else:
            plain_args, plain_kwargs = tree.unflatten(structure, values)
            y = function(*plain_args, **plain_kwargs)
        if function in SHAPES_ONLY:
            return y
        if function in SHAPED_BY_VALUES or (function is np.where and len(arguments) == 1):
            self.takes("a shape")
        if function in SHAPED_BY:
            position, name = SHAPED_BY[function]
            by = [
                x
                for x in tree.flatten(kwargs[name] if name in kwargs else args[position])[0]
                if type(x) is Symbol
            ]
            if any([x.dtype == bool for x in by] if function is operator.getitem else by):
                self.takes("a shape")
        if type(y) is np.ndarray or type(y) is np.float64:
            result = Symbol(y, self)
            self.append(Call(function, arguments, structure, [result], fresh=fresh and y.ndim > 0))
            return result
        found, returned = tree.flatten(y)
        for value in found:
            if not isinstance(value, (np.ndarray, np.generic, float, int)):
                self.takes(f"a {type(value).__name__}")
        results = [Symbol(value, self) for value in found]
        self.append(Call(function, arguments, structure, results, returned))
        return tree.unflatten(returned, results)

    def takes(self, what):
        """Refuse that f takes a plain value from what differs from call to call."""
        self.refuse(
            f"takes {what} from a value that differs from call to call, and a program would go the"
            " same way for ever",
            "Choose with np.where, and take functions from NumPy",
        )

    def refuse(self, what, remedy):
        """Raise the error that names the line of f."""
        frame = sys._getframe()
        while frame.f_back is not None and is_ours(frame):
            frame = frame.f_back
        line = place(frame.f_code.co_filename, frame.f_lineno)
        self.refusal = self.refusal or TypeError(f"{line}: {what}. {remedy}{OR_WITHOUT}")
        raise self.refusal


def equal(x, y):
    """Whether two constants are the same."""
    nan = isinstance(x, (np.ndarray, np.generic, float)) and np.result_type(x).kind in "fc"
    return np.array_equal(x, y, equal_nan=nan)


def _refused(what):
    return lambda self, *_, **__: self.recording.takes(what)


def _of_python(x):
    """Whether x is a Python number, or stands for one: it gives way to float32, as a NumPy float64
    does not.
    """
    return type(x.value if type(x) is Symbol else x) in (float, int, bool)


def _unary(ufunc):
    """Make an operator, as `_binary` does."""
    return lambda self: self.recording(OPERATORS[ufunc] if _of_python(self) else ufunc, (self,), {})


def _binary(ufunc, swapped=False):
    """Make an operator: Python's of Python numbers, which stay such, else NumPy's."""

    def method(self, other):
        if type(other) is Node:
            return NotImplemented
        sequence = isinstance(other, (list, tuple, str))
        if sequence and ufunc is np.multiply and np.isscalar(self.value):
            self.recording.takes("a number of repetitions")
        function = OPERATORS[ufunc] if _of_python(self) and _of_python(other) else ufunc
        return self.recording(function, (other, self) if swapped else (self, other), {})

    return method


def _in_place(ufunc):
    """Make an operator that writes into an array, which is refused; a number is not written into,
    but replaced.
    """

    def method(self, other):
        return (
            self.recording(ufunc, (self, other), {"out": self})
            if isinstance(self.value, np.ndarray)
            else NotImplemented
        )

    return method


class Symbol(NDArrayOperatorsMixin):
    """An array whose history is written down. It has a value, that of the example, of which a
    program may use shape and dtype.
    """

    __slots__ = ("recording", "value")

    def __init__(self, value, recording):
        self.value, self.recording = value, recording

    shape = property(lambda self: getattr(self.value, "shape", ()))  # of a Python number: ()
    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    dtype = property(lambda self: getattr(self.value, "dtype", None) or np.result_type(self.value))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)
    T = property(lambda self: np.transpose(self))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if any(type(x) is Node for x in inputs):
            return NotImplemented
        return self.recording(
            ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs
        )

    def __array_function__(self, function, types, args, kwargs):
        if Node in types:
            return NotImplemented
        return self.recording(function, args, kwargs)

    def __getattr__(self, name):
        if name in SAME_AS_FUNCTIONS:
            return lambda *args, **kwargs: getattr(np, name)(self, *args, **kwargs)
        if name not in METHODS:
            raise AttributeError(
                f"a recorded array has no .{name}; write it as a function, np.{name}(x)"
            )
        return lambda *args, **kwargs: self.recording(METHODS[name], (self, *args), kwargs)

    def __getitem__(self, index):
        return self.recording(operator.getitem, (self, index), {})

    def __pow__(self, other):
        return (
            NotImplemented
            if type(other) is Node
            else self.recording(operator.pow, (self, other), {})
        )

    __ipow__ = _in_place(np.power)

    def __rpow__(self, other):
        return self.recording(operator.pow, (other, self), {})

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __hash__(self):
        """Hash by identity, for the sets and dicts of a program; f would never find its number."""
        if self.recording.over:
            return id(self)
        return self.recording.takes("a place in a dict or a set")

    def __repr__(self):
        return f"Symbol({self.value!r})"

    __bool__, __float__, __int__ = _refused("a bool"), _refused("a float"), _refused("an int")
    __index__, __complex__, item, tolist = (
        _refused("an index"),
        _refused("a number"),
        _refused("a number"),
        _refused("numbers"),
    )
    __array__, __str__, __format__ = (
        _refused("an array without a history"),
        _refused("a text"),
        _refused("a text"),
    )
    __round__, __floor__, __ceil__, __trunc__ = [_refused("a number")] * 4
    __reduce_ex__ = _refused("a pickle")

    def __deepcopy__(self, memo=None):
        return self

    __copy__ = __deepcopy__


for _ufunc, _function in OPERATORS.items():
    _name = _function.__name__.strip("_")
    setattr(Symbol, f"__{_name}__", _binary(_ufunc) if _ufunc.nin == 2 else _unary(_ufunc))
    if hasattr(Symbol, f"__r{_name}__"):  # the mixin knows which have one
        setattr(Symbol, f"__r{_name}__", _binary(_ufunc, swapped=True))
        setattr(Symbol, f"__i{_name}__", _in_place(_ufunc))

tree.CERTAIN_LEAVES.add(Symbol)
STAND_INS.add(Symbol)
FLAT = {Symbol, np.ndarray, *NUMBERS}  # arguments that are not to be taken apart
