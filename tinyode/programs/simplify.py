"""Simplification: what a recording does twice, in vain or for nothing is left out.

Each operation once       two calls of one function with the same operands have the same result
None in vain              x * 1, x + 0, a sum over axes of length one, a broadcast to the shape
                          that is there already
None for nothing          what no output needs, found by walking back from the outputs

No arithmetic is done in another order, so that the numbers stay the same.
"""

import operator

import numpy as np

from .recording import Call
from .symbol import METHODS, Symbol, has_dtype, is_elementwise


def simplified(calls: list[Call], outputs: list) -> tuple[list[Call], list]:
    """Do each operation once, none in vain, and only those that something uses.

    The results are equal to the last bit, with three exceptions. The sign of a zero, and what
    follows from it: -0.0 + 0.0 is 0.0, and so is the sum of one -0.0. A sum over an argument that
    is not contiguous may be rounded differently than over its copy, ``1.0 * x``. And for the
    product of one matrix with its own transpose NumPy calls another routine of BLAS than for that
    of two equal matrices.

    Returns
    -------
    calls, outputs
        What is left of both.
    """
    same: dict = {}  # a Symbol that is left out -> the one that has its value
    narrow: dict = {}  # a broadcast array -> what it was made of
    known: dict = {}  # function and arguments -> their call
    kept = []
    views = {y for call in calls if not call.fresh for y in call.results if y.ndim}
    for call in calls:
        call = _without_broadcast(replaced(call, same), narrow)
        key = call.function, call.structure, tuple([_key(x) for x in call.arguments])
        unchanged = _unchanged(call)
        if unchanged is not None and (unchanged not in views or call.function in VIEWS):
            same[call.results[0]] = unchanged
        elif key in known:
            same.update(zip(call.results, known[key].results))
        else:
            known[key] = call
            kept.append(call)
            if call.function is np.broadcast_to and has_dtype(call.arguments[0]):
                narrow[call.results[0]] = call.arguments[0]
    outputs = [same.get(x, x) if type(x) is Symbol else x for x in outputs]
    for i, x in enumerate(outputs):
        # of an output that is there already, a copy: the caller may write into one of them
        if type(x) is Symbol and x.ndim and x in {*outputs[:i]}:
            outputs[i] = x.recording(np.array, (x,), {})
            kept.append(x.recording[-1])
    return split(kept, outputs)[0], outputs


def replaced(call, same):
    """Return the call with the operands that have taken the places of others."""
    if same.keys().isdisjoint([x for x in call.arguments if type(x) is Symbol]):
        return call
    arguments = [same.get(x, x) if type(x) is Symbol else x for x in call.arguments]
    return call._replace(arguments=arguments)


def _without_broadcast(call, narrow):
    """Return an elementwise call of two operands with one that need not be broadcast before."""
    if not is_elementwise(call.function) or call.structure is not None or len(call.arguments) != 2:
        return call
    a, b = call.arguments
    shape = call.results[0].shape
    if type(a) is Symbol and a in narrow and np.shape(b) == shape:
        return call._replace(arguments=[narrow[a], b])
    if type(b) is Symbol and b in narrow and np.shape(a) == shape:
        return call._replace(arguments=[a, narrow[b]])
    return call


def _key(x):
    """Return what is equal for equal arguments: arrays by identity, all else by value."""
    if type(x) is Symbol or isinstance(x, np.ndarray):
        return id(x)
    return type(x), repr(x)


# with this number, as `_number` writes it, the function returns its other operand
KEEPS_THE_FIRST = {
    (np.multiply, "1.0"),
    (np.divide, "1.0"),
    (operator.pow, "1.0"),
    (np.subtract, "0.0"),
    (np.add, "0.0"),
}
KEEPS_THE_SECOND = {(np.multiply, "1.0"), (np.add, "0.0")}
SUM = {"axis", "keepdims"}  # over axes of length one, if the shape stays
MAY_KEEP = {  # functions that may return their operand as it is, and keywords that allow it
    np.positive: set(),
    np.broadcast_to: {"shape"},
    np.reshape: {"shape", "order"},
    np.add.reduce: SUM,
    np.sum: SUM,
    METHODS["astype"]: {"dtype"},
    METHODS["reshape"]: set(),
}
# The others among these would copy a view, and the sum over a view may be rounded differently.
VIEWS = {np.broadcast_to, np.reshape, METHODS["reshape"]}


def _unchanged(call):
    """Return the operand that a call returns as it is, if there is one."""
    f, args, y = call.function, call.arguments, call.results[0]
    if f in MAY_KEEP:
        args, kwargs = call.unpacked()
        seen = len(args) <= 2 or f is METHODS["reshape"]  # np.sum takes initial by position too
        kept = args[0] if args and seen and kwargs.keys() <= MAY_KEEP[f] else None
    elif len(args) != 2 or call.structure is not None:
        return None
    elif (f, _number(args[1])) in KEEPS_THE_FIRST:
        kept = args[0]
    elif (f, _number(args[0])) in KEEPS_THE_SECOND:
        kept = args[1]
    else:
        return None
    if type(kept) is not Symbol or (kept.shape, kept.dtype) != (y.shape, y.dtype):
        return None
    return kept if has_dtype(kept) == has_dtype(y) else None


def _number(x):
    """Write a number so that 1 is like 1.0, and -0.0 is not like 0.0."""
    return str(float(x)) if type(x) in (int, float, np.float64) else None


def split(calls: list[Call], outputs: list) -> tuple[list[Call], list[Call]]:
    """Return the calls that the outputs need, and the others."""
    needed = {x for x in outputs if type(x) is Symbol}
    first, others = [], []
    for call in reversed(calls):
        if needed.intersection(call.results):
            needed.update([x for x in call.arguments if type(x) is Symbol])
            first.append(call)
        else:
            others.append(call)
    return first[::-1], others[::-1]
