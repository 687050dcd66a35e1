"""Which mistake was made in an engine? It is recognised by making it.

`MISTAKES` has the ways in which `reverse.made` goes wrong, in words. In the words, g is the
cotangent of the result ``out`` of an operation.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .programs import APPLY
from .reverse import RULES, by_visits, summed, without_leading

RIGHT = {
    "+": "for out = left + right, left gets g and right gets g",
    "*": "for out = left * right, left gets g * right and right gets g * left",
    "@": "for out = left @ right, left gets g @ right.T and right gets left.T @ g",
    "tanh": "for out = np.tanh(v), v gets g * (1 - out * out)",
    "sum": "for out = v.sum(), v gets g * np.ones_like(v)",
}
ORDER = (
    "Make a list in which each value stands once, after its operands (visit the operands first,"
    " then append the value), and walk it from the end"
)
UNDO = (
    "The cotangent of an operand has the operand's shape: sum g over the axes along which the"
    " operand was stretched, g.sum(axis=0) for an axis that it lacks, g.sum(axis=i, keepdims=True)"
    " for its axis i of length 1"
)


def one_by_one(operands, hand_on):
    """Look at the cotangent again for each operand."""

    def to_each(name):
        for i in range(len(operands.get(name, ()))):
            hand_on(name, slice(i, i + 1))

    by_visits(operands, to_each)


def forwards(operands, hand_on):
    """Walk from the first value that was made to the last."""
    for name in operands:
        hand_on(name)


def _by_agenda(once, at_front, arranged):
    """Hand on when it is one's turn, without looking whether all has arrived."""

    def walk(operands, hand_on):
        agenda, seen = ["L"], set()
        while agenda:
            name = agenda.pop(0)
            if once and name in seen:
                continue
            seen.add(name)
            hand_on(name)
            parents = list(arranged(operands.get(name, ())))
            agenda = parents + agenda if at_front else agenda + parents

    return walk


def _on_arrival(once):
    """Hand on at once what has arrived, all of it, each time that something arrives."""

    def walk(operands, hand_on):
        seen = set()

        def visit(name):
            if once and name in seen:
                return
            seen.add(name)
            for i, parent in enumerate(operands.get(name, ())):
                hand_on(name, slice(i, i + 1))
                visit(parent)

        visit("L")

    return walk


DISORDERED = [_on_arrival(once) for once in (True, False)] + [
    _by_agenda(once, at_front, arranged)
    for once in (True, False)
    for at_front in (True, False)
    for arranged in (list, reversed, dict.fromkeys)  # the last: each operand once
]


def _without_last(g, shape):
    last = tuple(range(len(shape), np.ndim(g)))
    return np.sum(g, axis=last) if last else summed(g, shape)


def _first(g, shape):
    """Return the first of the copies of an operand, not their sum."""
    g = g[(0,) * (np.ndim(g) - len(shape))]
    return g[tuple([slice(0, n) for n in shape])]


def _by_value(values):
    """Return the same key for equal values."""
    return {name: (np.shape(x), np.asarray(x).tobytes()) for name, x in values.items()}


def _in_place(old, new):
    if isinstance(old, np.ndarray):
        old += new  # the array that another value may hold, too
        return old
    return old + new


def _mistakes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield words, and arguments of `made`."""
    loses = "a value that is used twice keeps the cotangent of one use only; write"
    adds = "cotangent[v] = cotangent[v] + new (or v.grad = v.grad + new), not cotangent[v] = new"
    yield f"{loses} {adds}", {"add": lambda old, new: new}
    yield f"{loses} {adds}", {"add": lambda old, new: old, "start": None}
    yield (
        "where both operands are the same value, as in x * x, it gets one of the two cotangents (a"
        " set or a dictionary of operands holds each once; use a list of pairs)",
        {"pairs": lambda of: list({operand: (operand, a, g) for operand, a, g in of}.values())},
    )
    shared = (
        "+= writes into an array that another value holds, too (+ hands the same g to both"
        " operands); write v.grad = v.grad + new, which makes a new array"
    )
    yield shared, {"add": _in_place}
    yield shared, {"add": _in_place, "undo": lambda g, shape: np.asarray(summed(g, shape))}
    yield from _wrong_walks()
    yield from [(words, {"undo": undo}) for words, undo in _wrong_undoing()]
    yield (
        "the walk begins with dL/dL = L; the derivative of L with respect to itself is 1: write"
        " cotangent[L] = np.ones_like(L.value)",
        {"seed": lambda L: L},
    )
    yield (
        "the walk begins with 1 for each value; dL/dL alone is 1, the others begin with"
        " np.zeros_like(v.value)",
        {"start": 1.0},
    )
    yield (
        "the value of .sum() is the mean of the elements: write np.sum(v.value)",
        {"forward": {**APPLY, "sum": np.mean}},
    )
    yield (
        "the value of @ is the product of the elements: write left.value @ right.value",
        {"forward": {**APPLY, "@": APPLY["*"]}},
    )
    yield (
        "the values of the arguments are returned, not their cotangents; return v.grad, not"
        " v.value",
        {"returned": lambda inputs, gradients: inputs},
    )
    yield (
        "the gradients are returned in reverse order; the order is that of the arguments",
        {"returned": lambda inputs, gradients: gradients[::-1]},
    )
    for operation, words, rule in _wrong_rules():
        yield f"{words}; {RIGHT[operation]}", {"rules": {**RULES, operation: rule}}


def _wrong_walks():
    """Yield words, and arguments of `made`, for the order in which cotangents are handed on."""
    yield (
        "the list of values is walked from its beginning; walk it from its end: for v in"
        " reversed(order)",
        {"walk": forwards},
    )
    for reading in ({}, {"walk": one_by_one}):
        yield (
            "two values with equal numbers share one cotangent, since the cotangents are kept by"
            " the value; keep them by the object that has it, cotangent[id(v)] or v.grad",
            {"keys": _by_value, **reading},
        )
    order = (
        "a value hands on its cotangent before the cotangents of all its uses have arrived, or"
        f" hands it on twice. {ORDER}"
    )
    for walk in DISORDERED:
        yield order, {"walk": walk}


def _wrong_undoing():
    yield f"broadcasting is not undone. {UNDO}", lambda g, shape: g
    yield (
        "broadcasting is undone for axes that an operand lacks, not for its axes of length 1."
        f" {UNDO}",
        lambda g, shape: without_leading(np.sum, g, shape),
    )
    yield (
        f"broadcasting is undone by a sum over all axes. {UNDO}",
        lambda g, shape: np.sum(g) if np.shape(g) != shape else g,
    )
    yield (
        "broadcasting is undone along the last axes; an operand with fewer axes is stretched along"
        " the first: g.sum(axis=0)",
        _without_last,
    )
    mean = "broadcasting is undone by a mean; each copy of an element counts, so it is a sum"
    yield f"{mean}: g.sum(...)", lambda g, shape: summed(g, shape) * np.prod(shape) / np.size(g)
    yield f"{mean}: g.sum(...)", lambda g, shape: summed(without_leading(np.mean, g, shape), shape)
    yield (
        "broadcasting is undone by taking the first of the copies; each copy of an element counts,"
        " so it is a sum: g.sum(...)",
        _first,
    )


def _wrong_rules():
    """Yield operations, words, and wrong rules."""
    yield "*", "the factors of the product rule are exchanged", lambda g, y, a, b: (g * a, g * b)
    late = "(does a function made in a loop use the last value of the loop?)"
    both = "both operands of * get g *"
    yield "*", f"{both} left {late}", lambda g, y, a, b: (g * a, g * a)
    yield "*", f"{both} right {late}", lambda g, y, a, b: (g * b, g * b)
    yield "*", "the rule of * leaves out the cotangent g", lambda g, y, a, b: (b, a)
    yield "*", "the rule of * is that of +", lambda g, y, a, b: (g, g)
    yield "*", "the second operand of * gets nothing", lambda g, y, a, b: (g * b, 0 * b)
    yield "*", "the first operand of * gets nothing", lambda g, y, a, b: (0 * a, g * a)
    yield "+", "the second operand of + gets nothing", lambda g, y, a, b: (g, 0 * b)
    yield "+", "the first operand of + gets nothing", lambda g, y, a, b: (0 * a, g)
    yield "+", "the second operand of + gets -g", lambda g, y, a, b: (g, -g)
    one = np.ones_like
    yield "+", "the rule of + leaves out the cotangent g", lambda g, y, a, b: (one(y), one(y))
    yield "@", "the rule of @ has no transposes", lambda g, y, a, b: (g @ b, a @ g)
    yield "@", "the transpose of right is missing", lambda g, y, a, b: (g @ b, a.T @ g)
    yield "@", "the transpose of left is missing", lambda g, y, a, b: (g @ b.T, a @ g)
    yield "@", "the factors are exchanged", lambda g, y, a, b: (g @ a.T, b.T @ g)
    order = "g and the matrix are in the wrong order"
    yield "@", f"for left, {order}", lambda g, y, a, b: (b.T @ g, a.T @ g)
    yield "@", f"for right, {order}", lambda g, y, a, b: (g @ b.T, g @ a.T)
    yield "@", f"{order}, for left and for right", lambda g, y, a, b: (b.T @ g, g @ a.T)
    yield (
        "@",
        "the cotangents of left and right are exchanged",
        lambda g, y, a, b: (a.T @ g, g @ b.T),
    )
    yield "@", "the second operand of @ gets nothing", lambda g, y, a, b: (g @ b.T, 0 * b)
    yield "@", "the first operand of @ gets nothing", lambda g, y, a, b: (0 * a, a.T @ g)
    yield "@", "the rule of @ is that of *", lambda g, y, a, b: (g * b, g * a)
    yield "@", "the rule of @ is that of *, transposed", lambda g, y, a, b: (g * b.T, a.T * g)
    tanh = "the derivative of tanh is taken as"
    yield "tanh", f"{tanh} 1 - v * v, of the operand v", lambda g, y, a: (g * (1 - a * a),)
    again = f"{tanh} 1 - np.tanh(out)**2, but out is np.tanh(v) already"
    yield "tanh", again, lambda g, y, a: (g * (1 - np.tanh(y) ** 2),)
    yield "tanh", f"{tanh} 1 - out, without the square", lambda g, y, a: (g * (1 - y),)
    cosh = f"{tanh} 1 / np.cosh(v), without the square"
    yield "tanh", cosh, lambda g, y, a: (g / np.cosh(a),)
    yield "tanh", f"{tanh} 1 + out * out", lambda g, y, a: (g * (1 + y * y),)
    yield "tanh", f"{tanh} out", lambda g, y, a: (g * y,)
    yield "tanh", f"{tanh} 1: g is handed on as it is", lambda g, y, a: (g,)
    yield "tanh", f"{tanh} its negative", lambda g, y, a: (g * (y * y - 1),)
    yield "tanh", "the rule of tanh leaves out the cotangent g", lambda g, y, a: (1 - y * y,)
    lost = "the rule of .sum() leaves out the cotangent g"
    yield "sum", lost, lambda g, y, a: (np.ones_like(a),)
    mean = "the rule of .sum() divides by the number of elements"
    yield "sum", mean, lambda g, y, a: (g * np.ones_like(a) / a.size,)
    yield "sum", "the rule of .sum() hands on one number", lambda g, y, a: (g,)
    yield "sum", "the rule of .sum() hands on the operand", lambda g, y, a: (g * a,)


MISTAKES = list(_mistakes())
