"""The engine: a `Node` is an array whose history is written down, the tape is that history, `sweep`
reads it backwards.

Reverse-mode differentiation needs one thing from a program: the list of the operations it did, in
order, with their operands (a Wengert list). While a `Trace` is open its inputs are Nodes instead of
arrays. A Node has a ``value``, and looks to NumPy like an array, so the user's code runs as it
stands; each operation computes its value and appends one record to the tape:

    y = np.tanh(x)     ->     tape: ..., (VJP of tanh, which nodes x was, y, (x,), no keywords)

`sweep` then walks the tape from its end to its start and hands each operation's cotangent back to
its operands through vector-Jacobian products (VJPs), the chain rule in the order that never forms a
Jacobian (Griewank and Walther, "Evaluating Derivatives", 2008, section 3.2).

Three decisions carry the rest:

* Every trace has a *level*, a number that grows; a trace opened inside another has the higher one.
  An operation is recorded on the highest level among its operands, and sees those of lower levels
  as constants: as *values*, which may be Nodes themselves and are then recorded on their own, lower
  tape. This is all that nested derivatives need, for VJPs are NumPy code.
* A record holds values and the positions of nodes, never Nodes. A Node knows its trace, the trace
  its tape, and nothing points back: no reference cycle, so memory is free as soon as the last user
  is gone.
* When a trace closes, its tape goes to the pullback, and a Node that has leaked out holds an empty
  handle and is recognised.

How NumPy's calls find their rules is in `dispatch`, how a Node looks like an array in `operators`.
"""

import itertools

import numpy as np
from numpy import ndarray

from .. import tree
from . import dispatch  # which imports this module: two halves of one engine
from .operators import NOTHING, NUMBERS, RULES, ArrayLike, name_of

_levels = itertools.count(1)


class _Closed:
    """The tape of a trace that is over."""

    def __len__(self):
        return 0

    def append(self, record):
        raise RuntimeError(
            "a traced value has leaked: it was kept (in a list, an attribute, a closure) while a"
            " function was being differentiated, and used after that was over; return it from the"
            " function, or keep stop_gradient(value)"
        )


_CLOSED = _Closed()


class Trace:
    """The handle that a Node holds of the trace it belongs to: a level, and a tape to append to
    while the trace is open.
    """

    __slots__ = ("level", "tape")

    def __init__(self):
        self.level = next(_levels)
        self.tape = []

    def inputs(self, values):
        """Return the Nodes that no operation made: the first on the tape."""
        self.tape = [None] * len(values)
        return [Node(value, self, i) for i, value in enumerate(values)]

    def append(self, value, vjps, parents, args, kwargs=NOTHING):
        """Write down one operation and return the Node of its value.

        ``parents`` are pairs (position in ``args``, position on the tape), one for each operand to
        be differentiated. ``vjps`` is a tuple with one VJP per position of ``args``, each called as
        ``vjp(g, y, *args, **kwargs)``; or one function for all, called as ``vjps(g, y, wanted,
        *args, **kwargs)`` with the tuple of wanted positions, that returns as many cotangents.
        """
        tape = self.tape
        node = Node(value, self, len(tape))
        tape.append((vjps, parents, value, args, kwargs))
        return node

    def close(self):
        """Take the tape away. Nodes of this trace can be looked at from now on but not computed
        with.
        """
        tape, self.tape = self.tape, _CLOSED
        return tape


def sweep(tape, seeds, n_inputs):
    """Run the tape backwards: from the cotangents of some nodes to those of the inputs.

    Parameters
    ----------
    tape : list of records
    seeds : iterable of (position on the tape, cotangent)
    n_inputs : int
        The first records of the tape are its inputs.

    Returns
    -------
    list
        One cotangent per input, None where no seed depends on it.
    """
    cotangents = [None] * len(tape)
    for position, g in seeds:
        cotangents[position] = g if cotangents[position] is None else cotangents[position] + g
    for position in range(len(tape) - 1, n_inputs - 1, -1):
        g = cotangents.pop()
        if g is None:
            continue
        vjps, parents, y, args, kwargs = tape[position]
        one_each = type(vjps) is tuple
        if not one_each:
            g = g if g.dtype == y.dtype else g.astype(y.dtype)
            all_at_once = iter(
                vjps(g, y, tuple([argnum for argnum, _ in parents]), *args, **kwargs)
            )
        for argnum, parent in parents:
            if one_each:
                c = vjps[argnum](g, y, *args, **kwargs) if kwargs else vjps[argnum](g, y, *args)
            else:
                c = next(all_at_once)
            shape = args[argnum].shape
            if c.shape != shape:
                c = fit(c, shape, vjps)
            known = cotangents[parent]
            cotangents[parent] = c if known is None else known + c
    return cotangents


def fit(g, shape, vjps=None):
    """Bring a cotangent to the shape of its primal: the adjoint of broadcasting is summing.

    If x of shape (3, 1) was broadcast to y of shape (2, 3, 4), each element of x went to 8 places,
    and its cotangent is the sum over these. Where a cotangent is constant along an axis, the rule
    may return it with length 1 there. An axis of another length is a mistake in the rule.
    """
    given, leading = g, g.ndim - len(shape)
    if leading > 0:
        g = np.add.reduce(g, axis=0 if leading == 1 else tuple(range(leading)))
    if g.shape != shape:
        axes = tuple([axis for axis, (n, m) in enumerate(zip(shape, g.shape)) if n == 1 != m])
        g = np.add.reduce(g, axis=axes, keepdims=True) if axes else g
        if g.shape != shape:
            if leading < 0 or any([m not in (1, n) for n, m in zip(shape, g.shape)]):
                names = [name_of(function) for function, rule in RULES.items() if rule is vjps]
                raise ValueError(
                    f"{names[0] if names else 'a rule'}: the VJP of the rule returned "
                    f"a cotangent of shape {given.shape} for a primal of shape "
                    f"{shape}; return that shape, or one to be summed or broadcast"
                )
            g = np.broadcast_to(g, shape)
    return g


def peel(args):
    """Take off the highest level among these values.

    Returns
    -------
    trace : Trace or None
        The highest; None if no value is traced.
    values : list
        The values with its Nodes replaced by theirs; Nodes of lower levels stay.
    parents : tuple of (position among the values, position on the tape)
    """
    trace = None
    for x in args:
        if type(x) is Node and (trace is None or x.handle.level > trace.level):
            trace = x.handle
    values, parents = list(args), []
    if trace is not None:
        for i, x in enumerate(args):
            if type(x) is Node and x.handle is trace:
                values[i] = x.value
                parents.append((i, x.index))
    return trace, values, tuple(parents)


def record(function, vjps, args, kwargs=NOTHING):
    """Compute ``function(*args, **kwargs)`` and write it down on the highest trace among its
    operands.

    The first ``len(vjps)`` positions of ``args`` are array operands (all of them where ``vjps`` is
    one function for all); a VJP that is None marks one without a derivative. The rest are settings,
    such as an axis.
    """
    operands = len(vjps) if type(vjps) is tuple else len(args)
    trace, values, parents = peel([*map(_as_operand, args[:operands]), *args[operands:]])
    if parents and parents[-1][0] >= operands:
        raise TypeError(
            f"{name_of(function)}: argument {parents[-1][0]} is a setting, not an operand, and"
            " cannot be a traced value; pass a plain number, or stop_gradient(value)"
        )
    y = function(*values, **kwargs)
    if type(vjps) is tuple:
        parents = tuple([(i, index) for i, index in parents if vjps[i] is not None])
    if not parents or not dispatch.is_floating(y, function):
        return y
    return trace.append(y, vjps, parents, values, kwargs)


def _as_operand(x):
    if type(x) is Node or type(x) in NUMBERS or x is None:
        return x
    return dispatch.unbox(x) if isinstance(x, (ndarray, list, tuple)) else x


class Node(ArrayLike):
    """An array on a tape.

    Attributes
    ----------
    value : array or Node of a lower level
    handle : Trace
        What it knows of the trace that it belongs to.
    index : int
        Its position on the tape.
    """

    __slots__ = ("handle", "index", "value")

    def __init__(self, value, handle, index):
        self.value = value
        self.handle = handle
        self.index = index

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if len(inputs) == 1 and method == "__call__" and not kwargs:  # the hot path, as in _binary
            vjps = RULES.get(ufunc)
            if vjps is not None:
                x, trace = self.value, self.handle
                y, tape = ufunc(x), trace.tape
                node = Node(y, trace, len(tape))
                tape.append((vjps, ((0, self.index),), y, (x,), NOTHING))
                return node
        return dispatch.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return dispatch.call(function, args, kwargs)

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)

    def __repr__(self):
        return f"Node({self.value!r}, level={self.handle.level})"


tree.CERTAIN_LEAVES.add(Node)
