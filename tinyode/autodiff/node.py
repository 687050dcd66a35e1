"""A `Node` is an array whose history is written down.

While a function is being differentiated its inputs are Nodes instead of arrays. A Node has a value,
and a position on a tape (`tape` says what that is). To Python and to NumPy it looks like an array,
so the user's code runs as it stands:

    x * 2.0, x @ W      an operator computes the value and records itself, which is fast
    np.tanh(x), A @ x   NumPy gets the call (A is a plain array), and hands it to `numpy_calls`
    x.sum(), x[0]       methods are functions of NumPy under another name; so is the index
    x > 0.0, round(x)   have no derivative, and are asked of the value
    float(x), x[0] = 1  would lose a gradient without a word: errors that say what to write

A value that is a Node, or holds one, is called *traced*.
"""

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from .. import tree
from .rules.table import DERIVED, PLAIN, RULES, name_of
from .tape import NO_KEYWORDS

NUMBERS = frozenset({float, int, bool, np.float64, np.float32, np.int64, np.int32, np.bool_})
IN_PLACE = frozenset({"fill", "partition", "put", "resize", "sort"})  # write into their array


class Refusal(TypeError):
    """A Node was asked for its plain number; `lines.say_line` says by which line of f."""


def _binary(function, ufunc, swapped=False):
    """Make an operator that records itself, without NumPy's protocols: the hot path."""

    def method(self, other):
        kind, Node, tape, a = type(other), type(self), self.tape, self.value
        if kind is Node and other.tape is tape:  # then Python has asked the left one: not swapped
            b, wanted, parents = other.value, (0, 1), (self.index, other.index)
        elif kind in NUMBERS or (kind is ndarray and other.dtype.kind in "fiub"):
            b, wanted, parents = other, (0,), (self.index,)
            if swapped:
                a, b, wanted = b, a, (1,)
        elif isinstance(other, (complex, np.complexfloating, str, dict)) or other is None:
            raise TypeError(
                f"{name_of(ufunc)}: cannot combine a traced array with {other!r:.40} of type"
                f" {kind.__name__}; operands must be real numbers or arrays of them"
            )
        else:
            return ufunc(other, self) if swapped else ufunc(self, other)
        y, records = function(a, b), tape.records
        node = Node(y, tape, len(records))
        records.append((RULES[ufunc], wanted, parents, y, (a, b), NO_KEYWORDS))
        return node

    return method


def _unary(function, ufunc):
    """Make an operator of one operand, in the same way."""

    def method(self):
        x, tape = self.value, self.tape
        y, records = function(x), tape.records
        node = Node(y, tape, len(records))
        records.append((RULES[ufunc], (0,), (self.index,), y, (x,), NO_KEYWORDS))
        return node

    return method


def _compare(function):
    return lambda self, other: function(self.value, other.value if type(other) is Node else other)


def _of_plain(function):
    """Make a method that rounds or prints, for which the plain number will do."""

    def method(self, *args):
        while isinstance(self, Node):
            self = self.value
        return function(self, *args)

    return method


def _refuse(kind, caller):
    """Make a method that would hand out a plain number: an error that says what to write."""

    def method(self, *_):
        raise Refusal(
            f"{caller} asks a traced array of shape {self.shape} for its plain {kind}, and the"
            " gradient would be lost; stay with NumPy functions (np.sin for math.sin; np.stack for"
            " np.array, or no dtype= there), or write stop_gradient(x) where a constant is meant"
        )

    return method


class Node:
    """An array on a tape.

    Attributes
    ----------
    value : array, or Node of a lower level
    tape : Tape
        The tape that it belongs to.
    index : int
        Its position there.
    """

    __slots__ = ("index", "tape", "value")
    __array_ufunc__: ClassVar[Callable[..., Any]]  # both protocols of NumPy: see `numpy_calls`
    __array_function__: ClassVar[Callable[..., Any]]

    def __init__(self, value, tape, index):
        self.value = value
        self.tape = tape
        self.index = index

    def __repr__(self):
        return f"Node({self.value!r}, level={self.tape.level})"

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    nbytes = property(lambda self: self.value.nbytes)
    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.matrix_transpose(self))
    flat = property(lambda self: np.ravel(self))
    real = property(lambda self: self)
    imag = property(lambda self: np.zeros_like(self))

    # Operators that are recorded.
    __add__ = _binary(operator.add, np.add)
    __radd__ = _binary(operator.add, np.add, swapped=True)
    __sub__ = _binary(operator.sub, np.subtract)
    __rsub__ = _binary(operator.sub, np.subtract, swapped=True)
    __mul__ = _binary(operator.mul, np.multiply)
    __rmul__ = _binary(operator.mul, np.multiply, swapped=True)
    __truediv__ = _binary(operator.truediv, np.divide)
    __rtruediv__ = _binary(operator.truediv, np.divide, swapped=True)
    __pow__ = _binary(operator.pow, np.power)
    __rpow__ = _binary(operator.pow, np.power, swapped=True)
    __matmul__ = _binary(operator.matmul, np.matmul)
    __rmatmul__ = _binary(operator.matmul, np.matmul, swapped=True)
    __mod__ = _binary(operator.mod, np.remainder)
    __rmod__ = _binary(operator.mod, np.remainder, swapped=True)
    __neg__ = _unary(operator.neg, np.negative)
    __pos__ = _unary(operator.pos, np.positive)
    __abs__ = _unary(operator.abs, np.absolute)
    __divmod__ = lambda self, other: np.divmod(self, other)
    __rdivmod__ = lambda self, other: np.divmod(other, self)

    # Operators without a derivative.
    __lt__, __le__ = _compare(operator.lt), _compare(operator.le)
    __gt__, __ge__ = _compare(operator.gt), _compare(operator.ge)
    __eq__, __ne__ = _compare(operator.eq), _compare(operator.ne)
    __floordiv__ = _compare(operator.floordiv)
    __rfloordiv__ = lambda self, other: other // self.value
    __bool__ = lambda self: bool(self.value)
    __floor__, __ceil__ = _of_plain(math.floor), _of_plain(math.ceil)
    __trunc__, __round__ = _of_plain(math.trunc), _of_plain(round)
    __format__ = _of_plain(format)

    # What would lose a gradient.
    __float__ = _refuse("number", "float() or a function such as math.sin")
    __int__, __complex__ = _refuse("number", "int()"), _refuse("number", "complex()")
    __index__ = _refuse("integer", "an index, range() or a shape")
    item, tolist = _refuse("number", ".item()"), _refuse("numbers", ".tolist()")

    def __setitem__(self, index, value):
        raise TypeError(
            f"x[{index!r:.40}] = ... writes into a traced array, whose old values the derivative"
            " needs; build a new one with np.where, np.stack or np.concatenate"
        )

    def __hash__(self):
        raise TypeError(
            "a traced value cannot be looked up in a dict or a set (or be the argument of a cached"
            " function): it is not found there as its number would be; look up stop_gradient(x),"
            " which is a constant to the derivative"
        )

    def __reduce__(self):
        raise TypeError(
            "a traced array cannot be pickled, because its gradient would be lost; pickle"
            " stop_gradient(x)"
        )

    def __deepcopy__(self, memo=None):
        """Return the Node itself, into which nothing writes; a copy of its tape is never swept."""
        return self

    __copy__ = __deepcopy__

    # A sequence, and the methods of an array.
    def __len__(self):
        return len(self.value)

    def __iter__(self):
        n = len(self)
        if n <= 32:
            return (self[i] for i in range(n))
        # By halves: the rule of x[i] makes a cotangent of n elements, and n of them cost n^2.
        return itertools.chain(self[: n // 2], self[n // 2 :])

    def __getitem__(self, index):
        x, tape = self.value, self.tape
        y, records = x[index], tape.records
        node = Node(y, tape, len(records))
        records.append((RULES[operator.getitem], (0,), (self.index,), y, (x, index), NO_KEYWORDS))
        return node

    def __getattr__(self, name):
        """Find ``x.sum()``, and ``x.sin()``, which NumPy calls on the elements of object arrays."""
        if name.startswith("__"):  # np.array([x, y]) asks x and y for three such names each
            raise AttributeError(name)
        function: Any = getattr(np, name, None)
        known = callable(function) and any([function in t for t in (RULES, DERIVED, PLAIN)])
        is_method = isinstance(function, np.ufunc) or hasattr(ndarray, name)
        if known and is_method and name not in IN_PLACE:
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
        """``x.astype(np.float32)``, as of an array; whole numbers have no derivative."""
        if np.dtype(dtype).kind not in "fiub":
            raise TypeError(
                f"x.astype({np.dtype(dtype)}): derivatives here are of real numbers, and the"
                " gradient would be lost; write real and imaginary parts as an axis of length 2"
            )
        y = self.value.astype(dtype)
        return self._record(RULES[np.positive], y, (self.value,)) if y.dtype.kind == "f" else y

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

    def _record(self, rule, y, args):
        """Record a function of this Node alone."""
        return Node(y, self.tape, self.tape.record(rule, (0,), (self.index,), y, args))


tree.CERTAIN_LEAVES.add(Node)  # a Node is one value and no container


def peel(args):
    """Take off the highest level among these values.

    Returns
    -------
    tape : Tape or None
        That of the highest level; None if no value is traced.
    values : list
        The values, with the Nodes of that tape replaced by theirs; Nodes of lower levels stay.
    wanted : tuple of int
        The positions of these Nodes among the values.
    parents : tuple of int
        Their positions on the tape.
    """
    nodes = [x for x in args if type(x) is Node]
    if not nodes:
        return None, list(args), (), ()
    tape = nodes[0].tape
    for x in nodes:
        if x.tape.level > tape.level:
            tape = x.tape
    wanted = tuple([i for i, x in enumerate(args) if type(x) is Node and x.tape is tape])
    values = list(args)
    for i in wanted:
        values[i] = args[i].value
    return tape, values, wanted, tuple([args[i].index for i in wanted])
