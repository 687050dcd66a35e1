"""Reverse mode in thirty lines, `made`, which can be told to go wrong.

It is right as it stands. Its arguments are its parts, each of which `mistakes` has wrong.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...types import Array
from .programs import APPLY, INPUTS, Program

# what an operation hands on to its operands, given g, y and the operands
RULES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "+": lambda g, y, a, b: (g, g),
    "*": lambda g, y, a, b: (g * b, g * a),
    "@": lambda g, y, a, b: (g @ b.T, a.T @ g),
    "tanh": lambda g, y, a: (g * (1 - y * y),),
    "sum": lambda g, y, a: (g * np.ones_like(a),),
}


def made(
    program: Program,
    inputs: Sequence[Array],
    walk: Callable[..., None] | None = None,
    add: Callable[..., Any] | None = None,
    undo: Callable[..., Any] | None = None,
    seed: Callable[..., Any] | None = None,
    start: float | None = None,
    rules: dict[str, Callable[..., tuple[Any, ...]]] = RULES,
    forward: dict[str, Callable[..., Any]] = APPLY,
    pairs: Callable[..., Any] = list,
    returned: Callable[..., Any] = lambda inputs, gradients: gradients,
    keys: Callable[..., dict[str, Any]] = lambda values: dict(zip(values, values)),
) -> list[Array]:
    """Return the gradients of a program, one for each of its arguments.

    Parameters
    ----------
    program : Program
    inputs : list of arrays
    walk : function, optional
        ``walk(operands, hand_on)`` calls ``hand_on`` with the names in the order in which they hand
        on their cotangents; ``operands`` are those of each name. By default `backwards`.
    add : function, optional
        ``add(old, new)`` returns the cotangent of a value after one more has arrived.
    undo : function, optional
        ``undo(cotangent, shape)`` undoes broadcasting. By default `summed`.
    seed : function, optional
        From L to dL/dL. By default to 1.
    start : float, optional
        What each cotangent is before anything arrives. By default it is the first that arrives.
    rules, forward : dict
        What each operation hands on, and its value.
    pairs : function
        ``pairs(of)`` returns which of the operands get something: ``of`` has for each its name,
        its value and what it is handed.
    returned : function
        From the arguments and their gradients to what is returned.
    keys : function
        From the values by their names to the keys under which their cotangents are kept.
    """
    walk, add, undo = walk or backwards, add or (lambda old, new: old + new), undo or summed
    values, steps = dict(zip(INPUTS, inputs)), {step.name: step for step in program.steps}
    for name, operation, operands in program.steps:
        values[name] = forward[operation](*[values[operand] for operand in operands])
    key = keys(values)
    begin = {} if start is None else {key[n]: np.full(v.shape, start) for n, v in values.items()}
    cotangents = {**begin, key["L"]: np.array(seed(values["L"]) if seed else 1.0)}

    def hand_on(name, only=slice(None)):
        if name not in steps or key[name] not in cotangents:
            return
        _, operation, operands = steps[name]
        of = [values[operand] for operand in operands]
        handed = rules[operation](cotangents[key[name]], values[name], *of)
        for operand, a, g in pairs(zip(operands, of, handed))[only]:
            g = undo(g, np.shape(a)) if operation in "+*" else g
            k = key[operand]
            cotangents[k] = add(cotangents[k], g) if k in cotangents else g

    walk({step.name: step.operands for step in program.steps}, hand_on)
    found = [cotangents.get(key[n], np.zeros_like(x)) for n, x in zip(INPUTS, inputs)]
    return returned(inputs, [np.asarray(x) for x in found])


def backwards(operands, hand_on):
    """Walk from the last value that was made to the first."""
    for name in reversed(operands):
        hand_on(name)


def by_visits(operands, hand_on):
    """Walk the list of chapter 3: parents first, then the value; from the end."""
    order: list[str] = []

    def visit(name):
        if name not in order:
            for parent in operands.get(name, ()):
                visit(parent)
            order.append(name)

    visit("L")
    for name in reversed(order):
        hand_on(name)


def summed(g, shape):
    """Return the cotangent of an operand of this shape, that broadcasting has stretched."""
    g = without_leading(np.sum, g, shape)
    stretched = tuple([i for i, n in enumerate(shape) if n == 1 and np.shape(g)[i] != 1])
    return np.sum(g, axis=stretched, keepdims=True) if stretched else g


def without_leading(reduce: Callable[..., Any], g: Array, shape: tuple[int, ...]) -> Array:
    """Return g, reduced over the axes that an operand of this shape lacks."""
    leading = tuple(range(np.ndim(g) - len(shape)))
    return reduce(g, axis=leading) if leading else g
