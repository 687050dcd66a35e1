"""Symbols: what stands for an array while a function is recorded.

A Symbol has the value of an example, and looks to NumPy like that array. When a NumPy function is
called with a Symbol, it is computed with the value, and the call is appended to the Symbol's
recording. What comes back is another Symbol:

    >>> recording = Recording()
    >>> x = Symbol(np.array([1.0, 2.0]), recording)
    >>> x * x + 1.0
    Symbol(array([2., 5.]))
    >>> [call.function.__name__ for call in recording]
    ['multiply', 'add']

The Nodes of the engine do much the same. But their tape holds only what a derivative needs: no
comparison, and nothing that the VJP rules compute. A Symbol knows nothing of derivatives, and its
recording holds everything. To record a derivative, put Symbols into Nodes, as their values. The VJP
rules are NumPy code, so the backward sweep is then recorded like the function itself.

A program also runs for other values than those of the example. Code may use the shape and the dtype
of a Symbol, because the program is only for such arguments. All that would hand out a plain value
(`bool`, `float`, an index) is refused.
"""

import math
import operator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .. import tree
from ..autodiff.node import Node
from ..autodiff.numpy_calls import STAND_INS

# Python's operator for each ufunc, and its sign. Of two Python numbers the operator makes a Python
# number, which does not turn float32 into float64; the ufunc makes a NumPy number, which does.
OPERATORS = {
    np.add: (operator.add, "+"),
    np.subtract: (operator.sub, "-"),
    np.multiply: (operator.mul, "*"),
    np.divide: (operator.truediv, "/"),
    np.matmul: (operator.matmul, "@"),
    np.remainder: (operator.mod, "%"),
    np.floor_divide: (operator.floordiv, "//"),
    np.less: (operator.lt, "<"),
    np.less_equal: (operator.le, "<="),
    np.greater: (operator.gt, ">"),
    np.greater_equal: (operator.ge, ">="),
    np.equal: (operator.eq, "=="),
    np.not_equal: (operator.ne, "!="),
    np.bitwise_and: (operator.and_, "&"),
    np.bitwise_or: (operator.or_, "|"),
    np.bitwise_xor: (operator.xor, "^"),
    np.negative: (operator.neg, "-"),
    np.positive: (operator.pos, "+"),
    np.invert: (operator.invert, "~"),
    np.absolute: (operator.abs, ""),  # which has none
}
SAME_AS_FUNCTIONS = frozenset(  # x.sum() is np.sum(x)
    "all any argmax argmin argsort clip cumprod cumsum diagonal max mean min prod ravel repeat "
    "round squeeze std sum swapaxes take trace var".split()
)


class Method:
    """A method of an array, as a function of the array."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, x, *args, **kwargs):
        """Call the method."""
        return getattr(x, self.__name__)(*args, **kwargs)


METHODS = {name: Method(name) for name in ("astype", "copy", "reshape", "transpose")}


def is_elementwise(function: Any) -> bool:
    """Whether a function is a ufunc of single elements, as np.matmul is not."""
    return isinstance(function, np.ufunc) and function.signature is None


def has_dtype(x: Any) -> bool:
    """Whether x is of NumPy, or stands for what is."""
    return hasattr(x.value if type(x) is Symbol else x, "dtype")


def _is_python_number(x):
    """Whether x is a Python number or stands for one."""
    return type(x.value if type(x) is Symbol else x) in (float, int, bool)


def _unary(ufunc):
    """Make an operator of one operand."""

    def method(self):
        function = OPERATORS[ufunc][0] if _is_python_number(self) else ufunc
        return self.recording(function, (self,), {})

    return method


def _binary(ufunc, swapped=False):
    """Make an operator of two operands."""

    def method(self, other):
        if type(other) is Node:
            return NotImplemented
        sequence = isinstance(other, (list, tuple, str))
        if sequence and ufunc is np.multiply and np.isscalar(self.value):
            self.recording.takes("a number of repetitions")
        of_python = _is_python_number(self) and _is_python_number(other)
        function = OPERATORS[ufunc][0] if of_python else ufunc
        return self.recording(function, (other, self) if swapped else (self, other), {})

    return method


def _in_place(ufunc):
    """Make an operator such as +=, which writes into an array, and is refused there.

    A number cannot be written into: Python makes another one by the operator without =.
    """

    def method(self, other):
        if isinstance(self.value, np.ndarray):
            return self.recording(ufunc, (self, other), {"out": self})
        return NotImplemented

    return method


def _refused(what):
    """Make a method that refuses to hand out a plain value."""
    return lambda self, *_, **__: self.recording.takes(what)


class Symbol(NDArrayOperatorsMixin):
    """An array or a number whose history is written down.

    Attributes
    ----------
    value : array or number
        Its value for the example.
    recording : Recording
        Called as ``recording(function, args, kwargs)`` with each function that meets the Symbol.
    """

    __slots__ = ("recording", "value")

    def __init__(self, value: Any, recording: Any) -> None:
        self.value, self.recording = value, recording

    shape = property(lambda self: getattr(self.value, "shape", ()))  # of a Python number: ()
    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    dtype = property(lambda self: getattr(self.value, "dtype", None) or np.result_type(self.value))
    nbytes = property(lambda self: np.asarray(self.value).nbytes)
    T = property(lambda self: np.transpose(self))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if any(type(x) is Node for x in inputs):
            return NotImplemented
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return self.recording(function, inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        if Node in types:
            return NotImplemented
        return self.recording(function, args, kwargs)

    def __getattr__(self, name):
        if name in SAME_AS_FUNCTIONS:
            return lambda *args, **kwargs: getattr(np, name)(self, *args, **kwargs)
        if name in METHODS:
            is_float = type(self.value) is float  # which has no methods
            x = self.recording(np.float64, (self,), {}) if is_float else self
            return lambda *args, **kwargs: self.recording(METHODS[name], (x, *args), kwargs)
        raise AttributeError(
            f"a recorded array has no .{name}; write it as a function, np.{name}(x)"
        )

    def __getitem__(self, index):
        return self.recording(operator.getitem, (self, index), {})

    def __pow__(self, other):
        if type(other) is Node:
            return NotImplemented
        return self.recording(operator.pow, (self, other), {})

    def __rpow__(self, other):
        return self.recording(operator.pow, (other, self), {})

    __ipow__ = _in_place(np.power)

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    @property
    def __array__(self):
        """Nothing for a number: np.array([y[1], t]) is then an array of objects, see `unbox`."""
        if not self.ndim:
            raise AttributeError("__array__")
        return lambda *_, **__: self.recording.takes("an array without a history")

    def __hash__(self):
        """Hash by identity, for the sets and dicts of this room.

        It is refused to f, which would look for a number in its dict and never find it.
        """
        if self.recording.over:
            return id(self)
        return self.recording.takes("a place in a dict or a set")

    def __repr__(self):
        return f"Symbol({self.value!r})"

    __bool__ = _refused("a bool")
    __float__ = _refused("a float")
    __int__ = _refused("an int")
    __index__ = _refused("an index")
    __complex__ = item = _refused("a number")
    __round__ = __floor__ = __ceil__ = __trunc__ = _refused("a number")
    tolist = _refused("numbers")
    __str__ = __format__ = _refused("a text")
    __reduce_ex__ = _refused("a pickle")

    def __deepcopy__(self, memo=None):
        return self

    __copy__ = __deepcopy__


for _ufunc, (_operator, _) in OPERATORS.items():
    _name = _operator.__name__.strip("_")
    setattr(Symbol, f"__{_name}__", _binary(_ufunc) if _ufunc.nin == 2 else _unary(_ufunc))
    if hasattr(Symbol, f"__r{_name}__"):  # the mixin says which operators have one
        setattr(Symbol, f"__r{_name}__", _binary(_ufunc, swapped=True))
        setattr(Symbol, f"__i{_name}__", _in_place(_ufunc))

tree.CERTAIN_LEAVES.add(Symbol)
STAND_INS.add(Symbol)
