"""Records that keep the numbers of a call, where f writes into its own arrays later."""

import numpy as np

from .. import tree
from .node import NUMBERS, Node


def by_value(f):
    """Return f, each call of which leaves copies of its constant arrays on the tapes.

    A tape refers to arrays and does not copy them. Where f fills an array of its own at each call,
    and many calls are pulled back after the last one, all of them would see what the last call has
    written.
    """

    def called(*args):
        starts = [(tape.records, len(tape.records)) for tape in _tapes(tree.flatten(args)[0])]
        value = f(*args)
        for records, start in starts:
            records[start:] = map(_with_copies, records[start:])
        return _copy(value)

    return called


def _with_copies(record):
    """Return a record with copies of its operands, except traced ones, which nothing changes."""
    rule, wanted, parents, y, operands, kwargs = record
    if len(wanted) == len(operands):
        return record
    kept = [*map(_copy, operands)]
    for operand in wanted:
        kept[operand] = operands[operand]
    return rule, wanted, parents, y, kept, kwargs


def _tapes(leaves):
    """Return the tapes of all levels that these values are on."""
    tapes = set()
    while leaves := [x for x in leaves if type(x) is Node]:
        tapes |= {x.tape for x in leaves}
        leaves = [x.value for x in leaves]
    return tapes


def _copy(x):
    kind = type(x)
    if kind is Node or kind in NUMBERS:
        return x
    if kind is np.ndarray:
        return x.copy()
    if kind is list:
        return [*map(_copy, x)]
    return tree.map(_copy, x) if kind in (tuple, dict) else x
