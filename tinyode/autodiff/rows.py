"""Many pullbacks in one sweep: all rows of a Jacobian together.

A row of the Jacobian is the pullback of a unit vector. Here the cotangents of all rows go backwards
through the tape together, stacked along a new first axis. NumPy broadcasts from the last axis on,
so the rules of elementwise functions serve as they are: in ``g * (1 - y * y)`` with g of shape (m,
n) and y of shape (n,), each of the m rows is multiplied. Functions that sum, cut or join along an
axis have a rule of their own here, in which the axes count from 1. For all others the rule is
called once for each row.

    f       elementwise         x @ W               x[i]                 others
    rule    the same            the same            [:, i]               row by row
"""

import functools
import operator
from collections.abc import Callable

import numpy as np

from .numpy_calls import STACK
from .rules.elementwise import WHERE
from .rules.indexing import is_basic, place
from .rules.reductions import axes_of
from .rules.shapes import JOIN
from .rules.table import RULES
from .tape import fit, sweep

# So many rows at most go through the tape together, and so many numbers in the cotangents of one
# record (8 MB of float64): all of them are in memory at the same time. With 100 rows the cost of a
# call of NumPy is already small beside that of its numbers.
TOGETHER, NUMBERS = 128, 2**20


class Pull:
    """The pullback of a tape: from cotangents of its outputs to those of its inputs, in lists."""

    __slots__ = ("leaves", "positions", "records")

    def __init__(self, records, positions, leaves):
        self.records, self.positions, self.leaves = records, positions, leaves

    def __call__(self, seeds):
        """Pull back one cotangent of each output."""
        return self._swept(sweep, seeds, ())

    @property
    def largest(self):
        """The size of the largest value on the tape."""
        return max([np.size(record[3]) for record in self.records if record], default=1)

    def rows(self, seeds):
        """Pull back many cotangents together, which are stacked along a new first axis."""
        return self._swept(sweep_rows, seeds, seeds[0].shape[:1])

    def _swept(self, sweep, seeds, stacked):
        of_outputs = [(i, g) for i, g in zip(self.positions, seeds) if i is not None]
        cotangents = sweep(self.records, of_outputs, len(self.leaves))
        for i, (c, x) in enumerate(zip(cotangents, self.leaves)):
            if c is None:  # nothing depends on x
                cotangents[i] = np.zeros((*stacked, *x.shape), x.dtype)[()]
            elif c.dtype is not x.dtype:
                cotangents[i] = c.astype(x.dtype)
        return cotangents


def all_rows(pull, values, leaves):
    """Return all rows of the Jacobian of a function.

    Parameters
    ----------
    pull : function
        From cotangents of the values to those of the leaves, in lists: of a tape, or any other.
    values, leaves : lists of arrays
        What the function returned, and what it was given.

    Returns
    -------
    list of arrays
        For each leaf its cotangents, stacked: (m, *leaf.shape), where m elements are in the values.
    """
    m = sum([y.size for y in values])
    if not m:
        return [np.zeros((0, *x.shape), x.dtype) for x in leaves]
    stacks = hasattr(pull, "rows")
    together = max(1, min(TOGETHER, NUMBERS // max(1, pull.largest))) if stacks else TOGETHER
    parts = []
    for start in range(0, m, together):
        units = np.eye(min(together, m - start), m, start)
        seeds, end = [], 0
        for y in values:
            of_y = units[:, end : end + y.size].astype(y.dtype)
            seeds.append(np.reshape(of_y, (len(units), *y.shape)))
            end += y.size
        if stacks:
            parts.append(pull.rows(seeds))
        else:
            rows = [pull([g[j] for g in seeds]) for j in range(len(units))]
            parts.append([np.stack(column) for column in zip(*rows)])
    return [np.concatenate(column) if len(column) > 1 else column[0] for column in zip(*parts)]


def sweep_rows(records, seeds, n_inputs):
    """Do what `tape.sweep` does, for cotangents with one more axis in front, of length m.

    Returns
    -------
    list
        The cotangent of each input, with that axis in front; None where no output depends on it.
    """
    cotangents = [None] * len(records)
    for position, g in seeds:
        known = cotangents[position]
        cotangents[position] = g if known is None else known + g
    for position in range(len(records) - 1, n_inputs - 1, -1):
        g = cotangents.pop()
        if g is None:
            continue
        rule, wanted, parents, y, args, kwargs = records[position]
        for i, parent, c in zip(wanted, parents, _pulled(rule, g, y, wanted, args, kwargs)):
            c = fit_rows(c, args[i].shape, rule)
            known = cotangents[parent]
            cotangents[parent] = c if known is None else known + c
    return cotangents


def _pulled(rule, g, y, wanted, args, kwargs):
    """Return the cotangents of the wanted operands of one record, a row for each row of g."""
    if rule in elementwise_rules():
        return rule(g, y, wanted, *args, **kwargs)
    if rule in STACKED:
        found = [STACKED[rule](g, y, i, *args, **kwargs) for i in wanted]
        if all([c is not None for c in found]):
            return found
    rows = [
        [
            fit(c, args[i].shape, rule)
            for i, c in zip(wanted, rule(g[j], y, wanted, *args, **kwargs))
        ]
        for j in range(len(g))
    ]
    return [np.stack(column) for column in zip(*rows)]


def fit_rows(c, shape, rule):
    """Bring cotangents to the shape of their operand, as `tape.fit` does, behind the first axis."""
    if c.shape[1:] == shape:
        return c
    leading = c.ndim - 1 - len(shape)
    if leading > 0:
        c = np.sum(c, axis=tuple(range(1, 1 + leading)))
    return fit(c, (len(c), *shape), rule)


@functools.cache
def elementwise_rules():
    """Return the rules that are right for stacked cotangents as they are."""
    ufuncs = [f for f in RULES if isinstance(f, np.ufunc) and f.signature is None]
    return {WHERE, *[RULES[f] for f in (np.broadcast_to, *ufuncs)]}


# What follows has g, y, the position i of an operand, and the arguments of the function. It returns
# None for settings that it does not know: then the rule is called row by row.


def reshape_rows(g, y, i, a, *settings, **named):
    """Reshape each row back; in the order "F" the first axis would not stay the first."""
    if {"F", "A"} & {x for x in (*settings, *named.values()) if isinstance(x, str)}:
        return None
    return np.reshape(g, (len(g), *a.shape))


def transpose_rows(g, y, i, a, axes=None):
    """Permute the axes of each row back."""
    axes = range(a.ndim)[::-1] if axes is None else np.atleast_1d(axes) % a.ndim
    return np.transpose(g, (0, *[1 + k for k in np.argsort(axes).tolist()]))


def getitem_rows(g, y, i, x, index):
    """Write each row to where y was read, by an index without arrays."""
    if not is_basic(index):
        return None
    index = index if type(index) is tuple else (index,)
    return place(g, (slice(None), *index), (len(g), *x.shape))


def sum_rows(g, y, i, a, axis=None, *settings, keepdims=False, **named):
    """Give every term of a sum its cotangent."""
    if settings or named:
        return None
    axes = axes_of(a, axis)
    kept = [1 if k in axes else length for k, length in enumerate(a.shape)]
    return np.reshape(g, (len(g), *kept))


def join_rows(g, y, i, *arrays, axis=0):
    """Cut each row where the arrays were joined."""
    axis = axis % y.ndim
    end = sum([a.shape[axis] for a in arrays[: i + 1]])
    before = (slice(None),) * (1 + axis)
    return g[(*before, slice(end - arrays[i].shape[axis], end))]


def matmul_rows(g, y, i, a, b):
    """Y = A B, of matrices or vectors, not stacks of them: G B^T or A^T G for each row."""
    if a.ndim > 2 or b.ndim > 2:
        return None
    if b.ndim == 1:
        g = g[..., None]
    if a.ndim == 1:
        g = g[:, None]  # rows of one matrix (1, k) each
    A, B = a if a.ndim == 2 else a[None], b if b.ndim == 2 else b[:, None]
    c = g @ B.T if i == 0 else A.T @ g
    return np.reshape(c, (len(g), *(a, b)[i].shape))


STACKED: dict[Callable, Callable] = {
    RULES[np.reshape]: reshape_rows,
    RULES[np.expand_dims]: reshape_rows,
    RULES[np.squeeze]: reshape_rows,
    RULES[np.transpose]: transpose_rows,
    RULES[operator.getitem]: getitem_rows,
    RULES[np.sum]: sum_rows,
    RULES[np.matmul]: matmul_rows,
    JOIN: join_rows,
    STACK: lambda g, y, i, *items: g[:, i],
}
