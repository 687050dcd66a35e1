"""Memory of a program: which large arrays it deletes, and which it writes into once more.

An array that no later line needs is deleted at once, so that the next result finds its memory warm.
If the result is elementwise, and of the same shape, dtype and memory order, it is written into the
old array directly:

    np.tanh(v3, out=v3)  # (512, 256)
    v5 = v3 @ W2  # (512, 64)
    del v3

Time and peak memory of a program with this, as a part of those without it. In brackets: with
``del`` alone. (Each in a process of its own, NumPy 2.4, one core, median of 7.)

    time of                                            value        value and VJP    peak memory
    tanh((y*y*y) @ W1 + b1) @ W2 + b2
      y (128, 64), 64 hidden                           0.83 (0.88)  0.47 (0.52)      0.45
      y (512, 64), 256 hidden                          0.43 (0.77)  0.66 (0.77)      0.33
    five times tanh(y @ W) * y + sin(y), y (256, 64)   0.60 (0.60)  0.59 (0.59)      0.18
    fifteen elementwise functions, (1000, 100)         0.60 (0.61)  0.46 (0.47)      0.26
"""

from typing import NamedTuple

import numpy as np

from .recording import Call
from .symbol import Symbol, is_elementwise

# Bytes from which on an array is large. Time gained for smaller ones: 4 % at half of this, nothing
# at a quarter. So small programs stay easy to read.
LARGE = 1 << 15


class Step(NamedTuple):
    """What one line does with memory: the array that it writes into, and those that it deletes."""

    out: Symbol | None = None
    deleted: tuple = ()


def plan(calls: list[Call], kept: list) -> list[Step]:
    """Say for each call what it does with the memory of arrays that become useless there.

    Parameters
    ----------
    calls : list of Call
        The lines of one function.
    kept : list
        What the function returns, which stays.
    """
    useless = _last_uses(calls, kept)
    if not useless:
        return [Step()] * len(calls)
    order = _memory_orders(calls)
    steps = []
    for n, call in enumerate(calls):
        y, free = call.results[0], useless.get(n, [])
        like = y.shape, y.dtype, order[y]
        out = None
        if is_elementwise(call.function) and call.structure is None and len(call.results) == 1:
            fits = [x for x in free if x is not y and (x.shape, x.dtype, order[x]) == like]
            out = next(iter(fits), None)
        last = n + 1 == len(calls)  # what is left is deleted by the return
        steps.append(Step(out, tuple([x for x in free if x is not out and not last])))
    return steps


def _last_uses(calls, kept):
    """Return the large arrays that these calls make and nothing needs after the call of number n.

    That is a dict from n to a list. An array is needed as long as any view of it is.
    """
    if not any([y.nbytes >= LARGE for call in calls for y in call.results]):
        return {}
    owner = {}  # of an array: the one in whose memory it lives, if a call has made that
    last = {}  # of an owner: the number of the last call that needs it
    kept = {x for x in kept if type(x) is Symbol}
    for n, call in enumerate(calls):
        operands = [x for x in call.arguments if type(x) is Symbol]
        is_array = any([isinstance(y.value, np.ndarray) for y in call.results])
        if is_array and not call.fresh:  # perhaps a view of the first operand
            owner.update(dict.fromkeys(call.results, owner.get(operands[0]) if operands else None))
            kept.update(operands[1:])  # and perhaps of these, so they stay
        else:
            owner.update((y, y) for y in call.results)
        last.update((owner.get(x), n) for x in [*operands, *call.results])
    kept = {owner.get(x) for x in kept}
    useless: dict = {}
    for x, n in last.items():
        if x is not None and x not in kept and x.nbytes >= LARGE:
            useless.setdefault(n, []).append(x)
    return useless


def _memory_orders(calls):
    """Return for each array what fixes the memory order of its axes.

    That is "C", the order of the axes themselves, or the id of an array that it is ordered like.
    The result of an elementwise function is ordered like its operands, if they agree. The order
    matters because a sum of the same numbers in another order is rounded differently: an array may
    take the memory of another only if both are ordered alike, whatever the arguments will be.
    """
    order = {}
    for call in calls:
        arrays = [x for x in call.arguments if isinstance(x, (Symbol, np.ndarray))]
        several = [x for x in arrays if sum([n > 1 for n in x.shape]) > 1]  # axes to be ordered
        orders = {order.get(x, id(x)) if type(x) is Symbol else id(x) for x in several}
        for y in call.results:
            alike = len(orders) == 1 and all([x.shape == y.shape for x in several])
            if y.ndim < 2 or (call.function is np.matmul and y.ndim == 2):
                order[y] = "C"
            elif is_elementwise(call.function) and alike:
                (order[y],) = orders
            else:
                order[y] = id(y)
    return order
