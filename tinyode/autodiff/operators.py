"""What makes a traced array look like an array: Python's operators, the common methods, and the
refusals.

Operators record directly instead of by way of NumPy's protocol, because they are what most code
consists of. Whatever would hand out a plain number (but for printing and rounding), or write into
an array, and so lose a gradient without a word, is an error here that says what to write instead.
"""

import itertools
import math
import operator

import numpy as np
from numpy import ndarray

RULES = {}  # NumPy function -> its VJPs; see tinyode.autodiff.rules
DERIVED = {}  # NumPy function -> the same function written in terms of others
CHECKED = (
    set()
)  # of these, those that leave it to NumPy to refuse arguments: it computes the value first
PLAIN = set()  # NumPy functions with no derivative, computed on the value

NOTHING = {}  # the keywords of a call without keywords
NUMBERS = frozenset({float, int, bool, np.float64, np.float32, np.int64, np.int32, np.bool_})
IN_PLACE = frozenset(
    {"fill", "partition", "put", "resize", "sort"}
)  # methods that write into their array


class Refusal(TypeError):
    """A traced array was asked for its plain number; `lines.say_line` says by which line of f."""


class Recorded:
    """What a program is recorded with stands for a plain array, and must pass where one passes; see
    `recording.Symbol`.
    """

    __slots__ = ()


def name_of(function):
    """Write a function as its caller did."""
    name = getattr(function, "__name__", repr(function))
    if getattr(np, name, None) is function:
        return f"np.{name}"
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        return f"np.{function.__self__.__name__}.{name}"
    module = getattr(function, "__module__", None) or ""
    return f"{module.replace('numpy', 'np', 1)}.{name}" if module.startswith("numpy") else name


def _binary(f, ufunc, swapped=False):
    """Make an operator that records without NumPy's protocol: the hot path of the engine."""

    def method(self, other):
        kind, Node, trace, a = type(other), type(self), self.handle, self.value
        if (
            kind is Node and other.handle is trace
        ):  # never swapped: Python asks the left operand first
            b, parents = other.value, ((0, self.index), (1, other.index))
        elif kind in NUMBERS or (kind is ndarray and other.dtype.kind in "fiub"):
            b, parents = other, ((0, self.index),)
            if swapped:
                a, b, parents = b, a, ((1, self.index),)
        elif isinstance(other, (complex, np.complexfloating, str, dict)) or other is None:
            raise TypeError(
                f"{name_of(ufunc)}: cannot combine a traced array with {other!r:.40} of type"
                f" {kind.__name__}; operands must be real numbers or arrays of them"
            )
        else:
            return ufunc(other, self) if swapped else ufunc(self, other)
        y, tape = f(a, b), trace.tape
        node = Node(y, trace, len(tape))
        tape.append((RULES[ufunc], parents, y, (a, b), NOTHING))
        return node

    return method


def _comparison(f):
    return lambda self, other: f(self.value, other.value if type(other) is type(self) else other)


def _unary(ufunc):
    return lambda self: ufunc(self)


def _whole(function):
    def method(self, *digits):
        while isinstance(self, ArrayLike):
            self = self.value
        return function(self, *digits)

    return method


def _no_number(kind, function):
    def method(self, *_):
        raise Refusal(
            f"{function} asks a traced array of shape {self.shape} for its plain {kind}, "
            "and the gradient would be lost; stay with NumPy functions (np.sin for "
            "math.sin; np.stack for np.array, or no dtype= there), or write "
            "stop_gradient(x) where a constant is meant"
        )

    return method


class ArrayLike:
    """The part of a Node that is a matter of looks; `tinyode.autodiff.trace.Node` is the rest."""

    __slots__ = ()
    T, mT = (
        property(lambda self: np.transpose(self)),
        property(lambda self: np.matrix_transpose(self)),
    )
    real, flat = property(lambda self: self), property(lambda self: np.ravel(self))
    imag, nbytes = (
        property(lambda self: np.zeros_like(self)),
        property(lambda self: self.value.nbytes),
    )

    __add__, __radd__ = _binary(operator.add, np.add), _binary(operator.add, np.add, swapped=True)
    __sub__, __rsub__ = (
        _binary(operator.sub, np.subtract),
        _binary(operator.sub, np.subtract, swapped=True),
    )
    __mul__, __rmul__ = (
        _binary(operator.mul, np.multiply),
        _binary(operator.mul, np.multiply, swapped=True),
    )
    __truediv__, __rtruediv__ = (
        _binary(operator.truediv, np.divide),
        _binary(operator.truediv, np.divide, swapped=True),
    )
    __pow__, __rpow__ = (
        _binary(operator.pow, np.power),
        _binary(operator.pow, np.power, swapped=True),
    )
    __matmul__, __rmatmul__ = (
        _binary(operator.matmul, np.matmul),
        _binary(operator.matmul, np.matmul, swapped=True),
    )
    __mod__, __rmod__ = (
        _binary(operator.mod, np.remainder),
        _binary(operator.mod, np.remainder, swapped=True),
    )
    __neg__, __pos__, __abs__ = _unary(np.negative), _unary(np.positive), _unary(np.absolute)
    __lt__, __le__, __gt__, __ge__ = map(
        _comparison, (operator.lt, operator.le, operator.gt, operator.ge)
    )
    __eq__, __ne__, __floordiv__ = map(_comparison, (operator.eq, operator.ne, operator.floordiv))
    __rfloordiv__ = lambda self, other: other // self.value
    __divmod__, __rdivmod__ = (
        (lambda self, other: np.divmod(self, other)),
        (lambda self, other: np.divmod(other, self)),
    )
    __floor__, __ceil__, __trunc__, __round__ = map(
        _whole, (math.floor, math.ceil, math.trunc, round)
    )

    __float__, __int__ = (
        _no_number("number", "float() or a function such as math.sin"),
        _no_number("number", "int()"),
    )
    __complex__, __index__ = (
        _no_number("number", "complex()"),
        _no_number("integer", "an index, range() or a shape"),
    )
    item, tolist = _no_number("number", ".item()"), _no_number("numbers", ".tolist()")

    def __bool__(self):
        return bool(self.value)

    def __hash__(self):
        raise TypeError(
            "a traced value cannot be looked up in a dict or a set (or be the argument "
            "of a cached function): it is not found there as its number would be; "
            "look up stop_gradient(x), which is a constant to the derivative"
        )

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        n = len(self)
        if n <= 32:
            return (self[i] for i in range(n))
        return itertools.chain(
            self[: n // 2], self[n // 2 :]
        )  # by halves, each element is added to log n cotangents and not to n

    def __getitem__(self, index):
        trace, x = self.handle, self.value
        return trace.append(x[index], RULES[operator.getitem], ((0, self.index),), (x, index))

    def __setitem__(self, index, value):
        raise TypeError(
            f"x[{index!r:.40}] = ... writes into a traced array, whose old values the derivative"
            " needs; build a new one with np.where, np.stack or np.concatenate"
        )

    def __getattr__(self, name):
        """Find ``x.sin()``, which NumPy calls on the elements of an object array, and the methods
        of an array.
        """
        function = getattr(np, name, None)
        known = callable(function) and (
            function in RULES or function in DERIVED or function in PLAIN
        )
        if (
            known
            and name not in IN_PLACE
            and (isinstance(function, np.ufunc) or hasattr(ndarray, name))
        ):
            return lambda *args, **kwargs: function(self, *args, **kwargs)
        raise AttributeError(
            f"a traced array has no .{name}; "
            + (f"write it as a function, np.{name}(x), or " if known else "")
            + "take stop_gradient(x) for a plain array"
        )

    def reshape(self, *shape, **kwargs):
        """``x.reshape(2, 3)``, as of an array."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes):
        """``x.transpose(1, 0)``, as of an array."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype, **_):
        """``x.astype(np.float32)``, as of an array; converted to whole numbers, which have no
        derivative, the plain value.
        """
        if np.dtype(dtype).kind not in "fiub":
            raise TypeError(
                f"x.astype({np.dtype(dtype)}): derivatives here are of real numbers, and the"
                " gradient would be lost; write real and imaginary parts as an axis of length 2"
            )
        y = self.value.astype(dtype)
        if y.dtype.kind != "f":
            return y
        return self.handle.append(y, RULES[np.positive], ((0, self.index),), (self.value,))

    def clip(self, min=None, max=None):
        """``x.clip(0.0, 1.0)``, as of an array."""
        return np.clip(self, min, max)

    def compress(self, condition, axis=None):
        """``x.compress([True, False])``, as of an array."""
        return np.compress(condition, self, axis)

    def flatten(self, order="C"):
        """``x.flatten()``, as of an array."""
        return np.copy(np.reshape(self, (-1,), order=order))

    def copy(self, order="C"):
        """``x.copy()``, as of an array."""
        return np.copy(self)

    def __deepcopy__(self, memo=None):
        """Nothing writes into a traced array, so it is its own copy; one with a tape of its own
        would lose the gradient.
        """
        return self

    __copy__ = __deepcopy__

    def __reduce__(self):
        raise TypeError(
            "a traced array cannot be pickled, because its gradient would be lost; pickle"
            " stop_gradient(x)"
        )

    __format__ = _whole(format)
