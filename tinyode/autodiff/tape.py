"""The small engine: a list of what a function did, and a sweep that reads the list backwards.

Reverse mode needs the operations of a function, each after those whose results it uses. The order
in which they ran will do (Wengert, 1964). `Tape` is this list, `sweep` reads it from its end to its
start, and `fit` brings a cotangent to the shape of its operand. Who has built the forty lines of
chapter 3 finds them again:

    chapter 3                                 here
    ----------------------------------------  ------------------------------------------------
    Var.value                                 Node.value, in `node`
    Var.parents: pairs (parent, its VJP)      in a record: `parents`, and `rule` for the VJPs
    visit(output), which puts Vars in order   not needed: the tape is in the order of the calls
    cotangents, a dict by id                  cotangents, a list by position on the tape
    gradient(output, inputs)                  sweep(records, [(its position, dL/dL = 1)], n_inputs)
    operands must have equal shapes           `fit` sums the cotangent of a broadcast operand

Each operation appends one record. Let w be a *Node*, an array whose history is written down, at
position 0 of the tape, and x a plain array, which counts as a constant:

                         rule            wanted  parents  value  args                keywords
    z = x @ w        ->  rule of matmul  (1,)    (0,)     of z   (x, value of w)     {}
    y = np.tanh(z)   ->  rule of tanh    (0,)    (1,)     of y   (value of z,)       {}

In the first record only operand 1, w, depends on the inputs: it is *wanted*, and it was recorded at
position 0. In the second, operand 0 is wanted, z, recorded at position 1. A rule knows a
derivative. For L, the number that is differentiated, the rule of tanh takes the cotangent g =
dL/dy, and returns one cotangent for each wanted operand, here [g (1 - y^2)] for z. This is a
vector-Jacobian product (VJP): g times a Jacobian that is never formed (Griewank and Walther,
"Evaluating Derivatives", 2008, section 3.2). How a rule is made of VJPs is in `rules.table`.

*The life of a tape.* `transforms.vjp` opens one, calls the user's function with Nodes, and closes
it. The function that it returns, the pullback, runs a sweep each time that it is called.

*Derivatives of derivatives.* A function that is being differentiated may differentiate another, and
then two tapes are open. The one that was opened later has the higher *level*. An input of the inner
function may then be a Node w whose value v is a Node of the outer tape. Take np.sin(w). It is
recorded on the tape of highest level among its operands, the inner one. Its value is np.sin(v),
which is recorded on the outer one. The rules are NumPy code, too: when the inner tape is swept they
compute with v, and so this sweep is recorded on the outer tape and can be differentiated again.

*Memory.* A record holds positions instead of Nodes of its own tape. If the tape referred to its
Nodes, and they to the tape, Python would not free them at once when nobody needs them any more.
"""

import itertools
from typing import Any

import numpy as np

NO_KEYWORDS: dict = {}  # shared by all calls without keywords; nothing writes into it
_levels = itertools.count(1)


class Tape:
    """The operations of one function that is being differentiated, in the order of its calls.

    Attributes
    ----------
    level : int
        Higher than that of every tape that was opened before.
    records : list
        One None for each input, and then one tuple for each operation, (rule, wanted, parents,
        value, args, kwargs), in which

        * ``rule(g, value, wanted, *args, **kwargs)`` returns the cotangents of the wanted operands,
        * ``wanted`` are the places of these operands among ``args``,
        * ``parents`` are their positions on the tape, in the same order,
        * ``value`` is what the operation returned for ``args`` and ``kwargs``.
    """

    __slots__ = ("level", "records")

    def __init__(self, n_inputs):
        self.level = next(_levels)
        self.records: Any = [None] * n_inputs

    def record(self, rule, wanted, parents, value, args, kwargs=NO_KEYWORDS):
        """Append one operation, and return its position."""
        records = self.records
        records.append((rule, wanted, parents, value, args, kwargs))
        return len(records) - 1

    def close(self):
        """Take the records away. To record an operation on this tape is an error from now on."""
        records, self.records = self.records, CLOSED
        return records


class _Closed:
    """The records of a tape that is closed: none, and none can be added."""

    def __len__(self):
        return 0

    def append(self, record):
        raise RuntimeError(
            "a traced value has leaked: it was kept (in a list, an attribute, a closure) while a"
            " function was being differentiated, and used after that was over; return it from the"
            " function, or keep stop_gradient(value)"
        )


CLOSED = _Closed()


def sweep(records, seeds, n_inputs):
    """Go through the records backwards: from cotangents of some values to those of the inputs.

    Parameters
    ----------
    records : list
        Of a `Tape`.
    seeds : iterable of (position on the tape, cotangent)
        Where to start: dL/dy for each output y of the function.
    n_inputs : int
        So many records at the beginning are inputs.

    Returns
    -------
    list
        The cotangent of each input; None for an input on which no output depends.
    """
    cotangents = [None] * len(records)
    for position, g in seeds:
        known = cotangents[position]
        cotangents[position] = g if known is None else known + g
    for position in range(len(records) - 1, n_inputs - 1, -1):
        g = cotangents.pop()  # the last one; all that use it come later on the tape: it is complete
        if g is None:
            continue
        rule, wanted, parents, y, args, kwargs = records[position]
        k = 0  # counted by hand: with zip the sweep of a small network would take 10 % longer
        for c in rule(g, y, wanted, *args, **kwargs):
            shape, parent = args[wanted[k]].shape, parents[k]
            if c.shape != shape:
                c = fit(c, shape, rule)
            known = cotangents[parent]
            cotangents[parent] = c if known is None else known + c
            k += 1
    return cotangents


def fit(c, shape, rule=None):
    """Bring a cotangent to the shape of its operand.

    If x of shape (3, 1) was broadcast to (2, 3, 4), each element of x went to 8 places, and its
    cotangent is the sum over these. (Broadcasting is linear, and summing is its transpose.) The
    other way round, where a cotangent is the same all along an axis of the operand, a rule may
    return it with length 1 there, and it is broadcast: g for np.sum(x, axis=1, keepdims=True).

    Raises
    ------
    ValueError
        If c has fewer axes, or neither makes the shapes equal. The message names the rule.
    """
    given, leading = c.shape, c.ndim - len(shape)
    if leading > 0:  # add.reduce is np.sum without the wrapper around it
        c = np.add.reduce(c, axis=tuple(range(leading)) if leading > 1 else 0)
    if c.shape == shape:
        return c
    lengths = list(zip(shape, c.shape))
    if leading < 0 or not all([own == 1 or length in (1, own) for own, length in lengths]):
        raise ValueError(
            f"{getattr(rule, '__name__', 'a rule')}: the VJP of the rule returned a cotangent of"
            f" shape {given} for a primal of shape {shape}; return that shape, or one to be summed"
            " or broadcast"
        )
    summed = tuple([axis for axis, (own, length) in enumerate(lengths) if own == 1 and length != 1])
    if summed:
        c = np.add.reduce(c, axis=summed, keepdims=True)
    return c if c.shape == shape else np.broadcast_to(c, shape)
