"""The small engine: a list of what a program did, and the sweep that reads it backwards.

To differentiate a program in reverse mode one needs the list of its operations, in the order in
which they ran, with their operands: a Wengert list, or *tape*. `Tape` is that list, `sweep` reads
it from its end to its start, and `fit` undoes broadcasting. Nothing else in this package is needed
to understand how a derivative is found; the other modules say how NumPy code comes to write this
list, and which derivative belongs to which function.

Who has built the forty lines of chapter 3 finds them again:

    chapter 3                                   here
    ------------------------------------------  ----------------------------------------------
    Var.value                                   Node.value, in `node`
    Var.parents: pairs (parent, its VJP)        in a record: `parents`, and `rule` for the VJPs
    visit(output), which puts Vars in order     not needed: the tape is in the order of the calls
    cotangents, a dict by id                    cotangents, a list by position on the tape
    gradient(output, inputs)                    sweep(records, seeds, n_inputs)
    operands must have equal shapes             `fit` sums the cotangent of a broadcast operand

Each operation appends one record to the tape:

    y = np.tanh(x)    ->    rule of tanh, (0,), (position of x,), y, (x,), {}

The first part, the rule, is the only thing that knows calculus. It takes the cotangent g = dL/dy
and returns the cotangents of the operands that are wanted, here g (1 - y^2). This product of g with
a Jacobian that is never formed is a vector-Jacobian product, VJP (Griewank and Walther, "Evaluating
Derivatives", 2008, section 3.2).

Two decisions carry the rest:

* Every tape has a *level*. A tape that is opened while another is open has the higher one. An
  operation is recorded on the tape of highest level among its operands. It sees operands of lower
  levels as constants; these may be Nodes, and then the rules, which are NumPy code, record on the
  lower tape. Derivatives of derivatives need nothing else.
* A record holds values and positions, never Nodes. A Node knows its tape, and the tape does not
  know its Nodes. So there is no reference cycle, and memory is free as soon as nobody can ask for
  it. When a tape is closed its records go to the pullback, and a Node that was kept is recognised.
"""

import itertools

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
        The first are None, one for each input. Then comes one tuple for each operation, (rule,
        wanted, parents, value, args, kwargs):

        * ``rule(g, value, wanted, *args, **kwargs)`` returns the cotangents of the wanted operands,
        * ``wanted`` are the positions in ``args`` of the operands that depend on the inputs,
        * ``parents`` are the positions of these operands on the tape,
        * ``value = function(*args, **kwargs)``.
    """

    __slots__ = ("level", "records")

    def __init__(self, n_inputs):
        self.level = next(_levels)
        self.records = [None] * n_inputs

    def record(self, rule, wanted, parents, value, args, kwargs=NO_KEYWORDS):
        """Append one operation, and return its position."""
        records = self.records
        records.append((rule, wanted, parents, value, args, kwargs))
        return len(records) - 1

    def close(self):
        """Take the records away. Nothing can be computed with the Nodes of this tape any more."""
        records, self.records = self.records, CLOSED
        return records


class _Closed:
    """The records of a tape that is closed."""

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
    """Go through the records backwards: from the cotangents of some values to those of the inputs.

    Parameters
    ----------
    records : list
        Of a `Tape`.
    seeds : iterable of (position on the tape, cotangent)
    n_inputs : int
        So many records at the beginning are inputs.

    Returns
    -------
    list
        The cotangent of each input; None for one that no seed depends on.
    """
    cotangents = [None] * len(records)
    for position, g in seeds:
        known = cotangents[position]
        cotangents[position] = g if known is None else known + g
    for position in range(len(records) - 1, n_inputs - 1, -1):
        g = cotangents.pop()
        if g is None:  # no seed depends on this value
            continue
        rule, wanted, parents, y, args, kwargs = records[position]
        k = 0  # counted by hand: zip takes a tenth of the time of a small network's sweep
        for c in rule(g, y, wanted, *args, **kwargs) if kwargs else rule(g, y, wanted, *args):
            shape, parent = args[wanted[k]].shape, parents[k]
            if c.shape != shape:
                c = fit(c, shape, rule)
            known = cotangents[parent]  # an operand that is used twice gets the sum
            cotangents[parent] = c if known is None else known + c
            k += 1
    return cotangents


def fit(c, shape, rule=None):
    """Bring a cotangent to the shape of its operand: the adjoint of broadcasting is summing.

    If x of shape (3, 1) was broadcast to (2, 3, 4), each element of x went to 8 places, and its
    cotangent is the sum over these. Where a cotangent is constant along an axis, a rule may return
    it with length 1 there; it is broadcast.

    Raises
    ------
    ValueError
        If an axis has any other length, by the name of the rule.
    """
    given, leading = c.shape, c.ndim - len(shape)
    if leading > 0:
        c = np.add.reduce(c, axis=tuple(range(leading)) if leading > 1 else 0)
    if c.shape == shape:
        return c
    if leading >= 0 and all([m in (1, n) or n == 1 for n, m in zip(shape, c.shape)]):
        summed = tuple([axis for axis, (n, m) in enumerate(zip(shape, c.shape)) if n == 1 != m])
        c = np.add.reduce(c, axis=summed, keepdims=True) if summed else c
        return c if c.shape == shape else np.broadcast_to(c, shape)
    raise ValueError(
        f"{getattr(rule, '__name__', 'a rule')}: the VJP of the rule returned a cotangent of shape"
        f" {given} for a primal of shape {shape}; return that shape, or one to be summed or"
        " broadcast"
    )
