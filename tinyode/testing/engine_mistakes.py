"""Which mistake was made in an engine? It is recognised by making it.

`made` is reverse mode in thirty lines, right as it stands, and wrong in each way of `MISTAKES`.
`explanations` compares wrong gradients with what each mistake gives.

In the words, g is the cotangent of the result ``out`` of an operation.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..types import Array
from .drawn_programs import INPUTS, Program

# what an operation hands on to its operands, given g, y and the operands
RULES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "+": lambda g, y, a, b: (g, g),
    "*": lambda g, y, a, b: (g * b, g * a),
    "@": lambda g, y, a, b: (g @ b.T, a.T @ g),
    "tanh": lambda g, y, a: (g * (1 - y * y),),
    "sum": lambda g, y, a: (g * np.ones_like(a),),
}
RIGHT = {
    "+": "for out = left + right, left gets g and right gets g",
    "*": "for out = left * right, left gets g * right and right gets g * left",
    "@": "for out = left @ right, left gets g @ right.T and right gets left.T @ g",
    "tanh": "for out = np.tanh(v), v gets g * (1 - out * out)",
    "sum": "for out = v.sum(), v gets g * np.ones_like(v)",
}
LIKELY = 0.5  # the share of programs that a mistake must explain to be named as one of several
ORDER = (
    "Make a list in which each value stands once, after its operands (visit the operands first,"
    " then append the value), and walk it from the end"
)
UNDO = (
    "The cotangent of an operand has the operand's shape: sum g over the axes along which the"
    " operand was stretched, g.sum(axis=0) for an axis that it lacks, g.sum(axis=i, keepdims=True)"
    " for its axis i of length 1"
)


def made(
    program: Program,
    inputs: Sequence[Array],
    walk: Callable[..., None] | None = None,
    add: Callable[..., Any] | None = None,
    undo: Callable[..., Any] | None = None,
    seed: Callable[..., Any] | None = None,
    rules: dict[str, Callable[..., tuple[Any, ...]]] = RULES,
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
    rules : dict
        As `RULES`.
    """
    walk, add, undo = walk or backwards, add or (lambda old, new: old + new), undo or summed
    values, steps = program.values(inputs), {step.name: step for step in program.steps}
    cotangents = {"L": np.array(seed(values["L"]) if seed else 1.0)}

    def hand_on(name, only=slice(None)):
        if name not in steps or name not in cotangents:
            return
        _, operation, operands = steps[name]
        of = [values[operand] for operand in operands]
        handed = rules[operation](cotangents[name], values[name], *of)
        for operand, a, g in list(zip(operands, of, handed))[only]:
            g = undo(g, np.shape(a)) if operation in "+*" else g
            cotangents[operand] = add(cotangents[operand], g) if operand in cotangents else g

    walk({step.name: step.operands for step in program.steps}, hand_on)
    names = INPUTS[: len(inputs)]
    return [np.asarray(cotangents.get(n, np.zeros_like(x))) for n, x in zip(names, inputs)]


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


def summed(g, shape):
    """Return the cotangent of an operand of this shape, that broadcasting has stretched."""
    g = _without_leading(np.sum, g, shape)
    stretched = tuple([i for i, n in enumerate(shape) if n == 1 and np.shape(g)[i] != 1])
    return np.sum(g, axis=stretched, keepdims=True) if stretched else g


def _without_leading(reduce, g, shape):
    leading = tuple(range(np.ndim(g) - len(shape)))
    return reduce(g, axis=leading) if leading else g


def _without_last(g, shape):
    last = tuple(range(len(shape), np.ndim(g)))
    return np.sum(g, axis=last) if last else summed(g, shape)


def _in_place(old, new):
    if isinstance(old, np.ndarray):
        old += new  # the array that another value may hold, too
        return old
    return old + new


def _mistakes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield words, and arguments of `made`."""
    loses = "a value that is used twice keeps the cotangent of one use only; write"
    adds = "cotangent[a] = cotangent[a] + new (or a.grad = a.grad + new), not cotangent[a] = new"
    yield f"{loses} {adds}", {"add": lambda old, new: new}
    yield f"{loses} {adds}", {"add": lambda old, new: old}
    yield (
        "+= writes into an array that another value holds, too (+ hands the same g to both"
        " operands); write a.grad = a.grad + new, which makes a new array",
        {"add": _in_place},
    )
    yield (
        "the list of values is walked from its beginning; walk it from its end: for v in"
        " reversed(order)",
        {"walk": forwards},
    )
    order = (
        "a value hands on its cotangent before the cotangents of all its uses have arrived, or"
        f" hands it on twice. {ORDER}"
    )
    for walk in DISORDERED:
        yield order, {"walk": walk}
    yield from [(words, {"undo": undo}) for words, undo in _wrong_undoing()]
    yield (
        "the walk begins with dL/dL = L; the derivative of L with respect to itself is 1: write"
        " cotangent[L] = np.ones_like(L.value)",
        {"seed": lambda L: L},
    )
    for operation, words, rule in _wrong_rules():
        yield f"{words}; {RIGHT[operation]}", {"rules": {**RULES, operation: rule}}


def _wrong_undoing():
    yield f"broadcasting is not undone. {UNDO}", lambda g, shape: g
    yield (
        "broadcasting is undone for axes that an operand lacks, not for its axes of length 1."
        f" {UNDO}",
        lambda g, shape: _without_leading(np.sum, g, shape),
    )
    yield (
        "broadcasting is undone along the last axes; an operand with fewer axes is stretched along"
        " the first: g.sum(axis=0)",
        _without_last,
    )
    mean = "broadcasting is undone by a mean; each copy of an element counts, so it is a sum"
    yield f"{mean}: g.sum(...)", lambda g, shape: summed(g, shape) * np.prod(shape) / np.size(g)
    yield f"{mean}: g.sum(...)", lambda g, shape: summed(_without_leading(np.mean, g, shape), shape)


def _wrong_rules():
    """Yield operations, words, and wrong rules."""
    yield "*", "the factors of the product rule are exchanged", lambda g, y, a, b: (g * a, g * b)
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
    tanh = "the derivative of tanh is taken as"
    yield "tanh", f"{tanh} 1 - v * v, of the operand v", lambda g, y, a: (g * (1 - a * a),)
    again = f"{tanh} 1 - np.tanh(out)**2, but out is np.tanh(v) already"
    yield "tanh", again, lambda g, y, a: (g * (1 - np.tanh(y) ** 2),)
    yield "tanh", f"{tanh} 1 - out, without the square", lambda g, y, a: (g * (1 - y),)
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


def explanations(program, found, answers, others, near, same):
    """Say what can have made these gradients; at most three ways.

    Parameters
    ----------
    program : Program
        Of which the student's engine found wrong gradients, ``found``.
    answers : function
        From a program to what the student's engine finds, or None where it raises an error.
    others, near : lists of Program
        They tell apart what looks the same on one program. ``near`` have the operations of
        ``program`` alone, so that a mistake in another operation does not matter there.
    same : function
        ``same(x, y)`` says whether two arrays agree.

    Returns
    -------
    certain : bool
        Whether the words explain what was found on all of ``others``, or of ``near``.
    words : list of str
    """

    def alike(change, program, found):
        try:
            with np.errstate(all="ignore"):
                gradients = made(program, program.inputs(), **change)
        except (ValueError, IndexError):  # a mistake can make shapes that do not fit
            return found is None
        return found is not None and all(map(same, found, gradients))

    with_walks = [
        (words, {**change, "walk": walk})
        for words, change in [*MISTAKES, *_scaled(program, found, same)]
        for walk in ([change["walk"]] if "walk" in change else [backwards, by_visits])
    ]
    matching = [(words, change) for words, change in with_walks if alike(change, program, found)]
    answered = [[(other, answers(other)) for other in group] for group in (others, near)]
    scores: dict[str, tuple[float, float]] = {}
    for words, change in matching:
        of_all, of_near = [np.mean([alike(change, *one) for one in group]) for group in answered]
        scores[words] = max((of_all == 1, of_near), scores.get(words, (False, 0.0)))
    best = max(scores.values(), default=(False, 0.0))
    certain = best[0] or best[1] == 1
    likely = sorted(scores, key=lambda words: scores[words], reverse=True)
    least = best if certain else (False, LIKELY)
    return certain, [words for words in likely if scores[words] >= least][:3]


def _scaled(program, found, same):
    """Return the mistake of a seed that is not one, if all gradients have one factor."""
    right = made(program, program.inputs())
    pairs = [(x, y) for x, y in zip(found, right) if np.any(y)]
    if not pairs or any(np.shape(x) != np.shape(y) for x, y in pairs):
        return []
    factor = np.vdot(pairs[0][0], pairs[0][1]) / np.vdot(pairs[0][1], pairs[0][1])
    words = (
        f"the walk begins with dL/dL = {factor:.6g}, so every gradient is {factor:.6g} times what"
        " it should be; write cotangent[L] = np.ones_like(L.value)"
    )
    if same(factor, 0):
        words = (
            "nothing arrives; does the walk begin with dL/dL = 1, and does each operation keep its"
            " operands?"
        )
    return [(words, {"seed": lambda L: factor})]
