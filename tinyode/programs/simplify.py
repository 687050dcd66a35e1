"""Simplification: what a recording does twice, in vain, or for nothing, is left out, and no
arithmetic is done in another order.

Each operation once            two calls of one function with the same operands have the same result
none in vain                   x * 1, x + 0, a sum over axes of length one, a broadcast to the shape
that is there none for nothing               what no output needs, found by walking back from the
outputs
"""

import operator

import numpy as np

from .recording import METHODS, Symbol, is_elementwise


def simplified(calls, outputs):
    """Do each operation once, none for nothing, and only those that something uses; return calls
    and outputs.

    The results are equal to the last bit, with three exceptions. The sign of a zero, and what
    follows from it: -0.0 + 0.0 is 0.0, and so is the sum of one -0.0. A sum over an argument that
    is not contiguous may be rounded differently than over its copy, ``1.0 * x``. And for the
    product of one matrix with its own transpose NumPy calls another routine of BLAS than for that
    of two equal ones.
    """
    known, same, kept, narrow = {}, {}, [], {}
    views = {y for call in calls if not call.fresh for y in call.results if y.ndim}
    for call in calls:
        if not same.keys().isdisjoint([x for x in call.arguments if type(x) is Symbol]):
            call = call._replace(
                arguments=[same.get(x, x) if type(x) is Symbol else x for x in call.arguments]
            )
        if (
            is_elementwise(call.function) and call.structure is None and len(call.arguments) == 2
        ):  # it broadcasts, too
            for i, x in enumerate(call.arguments):
                if (
                    type(x) is Symbol
                    and x in narrow
                    and np.shape(call.arguments[1 - i]) == call.results[0].shape
                ):
                    call = call._replace(
                        arguments=[narrow[x] if i == j else y for j, y in enumerate(call.arguments)]
                    )
                    break
        key = call.function, call.structure, tuple([_key(x) for x in call.arguments])
        unchanged = _unchanged(call)
        if unchanged is not None and (unchanged not in views or call.function in VIEWS):
            same[call.results[0]] = unchanged
        elif key in known:
            same.update(zip(call.results, known[key].results))
        else:
            known[key] = call
            kept.append(call)
            if call.function is np.broadcast_to and hasattr(
                getattr(call.arguments[0], "value", None), "dtype"
            ):
                narrow[call.results[0]] = call.arguments[0]
    outputs = [same.get(x, x) if type(x) is Symbol else x for x in outputs]
    for i, x in enumerate(outputs):
        if (
            type(x) is Symbol and x.ndim and x in {*outputs[:i]}
        ):  # the same twice: the caller may write into one of them
            outputs[i] = x.recording(np.array, (x,), {})
            kept.append(x.recording[-1])
    return split(kept, outputs)[0], outputs


def _key(x):
    """Two arguments with the same key are the same: symbols and arrays by identity, what is not an
    array by value.
    """
    if type(x) is Symbol or isinstance(x, np.ndarray):
        return id(x)
    return type(x), repr(x)


KEEPS_THE_FIRST = {
    (np.multiply, "1.0"),
    (np.divide, "1.0"),
    (operator.pow, "1.0"),
    (np.subtract, "0.0"),
    (np.add, "0.0"),
}
KEEPS_THE_SECOND = {(np.multiply, "1.0"), (np.add, "0.0")}
SUM = {"axis", "keepdims"}  # over axes of length one, if the shape stays
VIEWS = {
    np.broadcast_to,
    np.reshape,
    METHODS["reshape"],
}  # the others would copy a view, whose sums may be rounded differently
MAY_KEEP = {
    np.positive: set(),
    np.broadcast_to: {"shape"},
    np.reshape: {"shape", "order"},
    np.add.reduce: SUM,
    np.sum: SUM,
    METHODS["astype"]: {"dtype"},
    METHODS["reshape"]: set(),
}


def _unchanged(call):
    """Return the operand that a call returns as it is, if there is one: x times one, x plus zero, a
    sum over axes of length one.
    """
    f, args, y = call.function, call.arguments, call.results[0]
    if f in MAY_KEEP:
        args, kwargs = call.unpacked()
        seen = len(args) <= 2 or f is METHODS["reshape"]  # np.sum takes initial by position too
        kept = args[0] if args and seen and kwargs.keys() <= MAY_KEEP[f] else None
    elif len(args) != 2 or call.structure is not None:
        return None
    elif (f, _written(args[1])) in KEEPS_THE_FIRST:
        kept = args[0]
    elif (f, _written(args[0])) in KEEPS_THE_SECOND:
        kept = args[1]
    else:
        return None
    same = type(kept) is Symbol and (kept.shape, kept.dtype, hasattr(kept.value, "dtype")) == (
        y.shape,
        y.dtype,
        hasattr(y.value, "dtype"),
    )
    return kept if same else None


def _written(x):
    """Write a number, as the two sets above have it."""
    return str(float(x)) if type(x) in (int, float, np.float64) else None


def split(calls, outputs):
    """Return the calls that the outputs need, and the others."""
    needed, first = {x for x in outputs if type(x) is Symbol}, []
    for call in reversed(calls):
        if needed.intersection(call.results):
            needed.update(x for x in call.arguments if type(x) is Symbol)
            first.append(call)
    first = first[::-1]
    members = set(map(id, first))
    return first, [call for call in calls if id(call) not in members]
