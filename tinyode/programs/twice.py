"""Recording f and its pullback, twice, to see whether f does the same each time.

If f draws at random, counts its calls or looks at the clock, then the recording has a constant
there, and the program would use the first draw again and again:

    >>> compiled(lambda x: x * random.random())(np.ones(2))
    TypeError: <lambda>: recorded twice, it gave np.multiply the constant 0.84... and then the
    constant 0.75.... A program would keep the first for ever: ...

So f is recorded twice, and the two recordings must agree in every call, argument and result.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..autodiff.lines import say_line
from ..autodiff.node import Node
from ..autodiff.rules.table import name_of
from ..autodiff.transforms import close_tape, open_tape
from .recording import OR_WITHOUT, Recording, equal
from .symbol import Symbol


class Run(NamedTuple):
    """One run of f and of its pullback, written down."""

    inputs: list  # the leaves of the arguments: Symbols and constants
    outputs: list  # the leaves of the value, likewise
    structure: Any  # of the value
    seeds: list  # Symbols for the cotangents of the outputs
    pulled: dict  # the cotangents of the inputs that have one, by the position of the input
    calls: Recording  # those of f, then those of the pullback


def recorded(f: Any, leaves: list, structure: Any, name: str, pulled: bool = True) -> Run:
    """Record f and its pullback at these leaves of its arguments.

    Parameters
    ----------
    f : function
    leaves, structure
        Of the tuple of its arguments, as `tree.flatten` takes it apart.
    name : str
        What error messages call f.
    pulled : bool
        False for a function of this library that takes pullbacks itself (`Around`): it is called
        with Symbols, and has no pullback.

    Raises
    ------
    TypeError
        If f does something that a program cannot do, or not the same both times.
    """
    with np.errstate(all="ignore"):
        first, second = [_record(f, leaves, structure, name, pulled) for _ in range(2)]
    difference = _difference(first, second)
    if difference:
        raise TypeError(f"{name}: recorded twice, it {difference}")
    return first


def is_number(x: Any) -> bool:
    """Whether a leaf may differ from call to call; any other is a constant of the program."""
    return isinstance(x, (np.ndarray, np.floating, float))


def _record(f, leaves, structure, name, pulled):
    """Record f and its pullback once: f is called with Symbols in Nodes, and then swept back."""
    recording = Recording()
    inputs = [Symbol(x, recording) if is_number(x) else x for x in leaves]
    primals = {i: x for i, x in enumerate(inputs) if pulled and _has_cotangent(x)}
    tape, nodes = open_tape(list(primals.values()))
    nodes = dict(zip(primals, nodes))
    args = [nodes.get(i, x) for i, x in enumerate(inputs)]
    try:
        found, out_structure = tree.flatten(f(*tree.unflatten(structure, args)))
        outputs, pull = close_tape(tape, found, list(primals.values()))
        seeds = [Symbol(np.ones(np.shape(y), y.dtype)[()], recording) for y in outputs]
        cotangents = pull(seeds) if pulled else []
    except (TypeError, ValueError) as error:
        if recording.refusal is None:
            say_line(error, f". Choose with np.where{OR_WITHOUT}")
            raise
    finally:
        tape.close()
    if recording.refusal:  # which f may have caught
        raise recording.refusal from None
    if any([type(y) is Node for y in outputs]):
        raise TypeError(
            f"{name}: closes over a value that is being differentiated, whose gradient would be"
            " lost; pass that value as an argument"
        )
    if not all([equal(x, copy) for x, copy in recording.met.values()]):
        raise TypeError(
            f"{name}: writes into an array after it has been used, which a program would have as"
            " it is at the end; make a new one each time"
        )
    # the caller may write into what is returned, so each call returns a new copy of a constant
    outputs, cotangents = [
        [recording(np.array, (y,), {}) if isinstance(y, np.ndarray) else y for y in part]
        for part in (outputs, cotangents)
    ]
    recording.over = True
    return Run(inputs, outputs, out_structure, seeds, dict(zip(primals, cotangents)), recording)


def _has_cotangent(x):
    """Whether an input has a cotangent; a Python number has none, for `vjp` makes NumPy's of it."""
    return type(x) is Symbol and x.dtype.kind == "f" and type(x.value) is not float


def _difference(first, second):
    """Say in what two runs differ; None if they agree."""
    numbers = {}  # of the Symbols, in the order in which they were made
    for run in (first, second):
        made = [*run.inputs, *run.seeds, *[y for call in run.calls for y in call.results]]
        numbers.update((x, i) for i, x in enumerate(made) if type(x) is Symbol)

    def unequal(did, xs, ys):
        for x, y in zip(xs, ys):
            _, x = first.calls.met.get(id(x), (x, x))  # as it was: f may have written into it since
            if Symbol in (type(x), type(y)):
                same = type(x) is type(y) and numbers[x] == numbers[y]
            else:
                same = equal(x, y)
            if not same:
                return f"{did} {_then(*map(_described, (x, y)))}"
        return None

    for a, b in itertools.zip_longest(first.calls, second.calls):
        if a is None or b is None or (a.function, a.structure) != (b.function, b.structure):
            a, b = [name_of(call.function) if call else "nothing more" for call in (a, b)]
            return f"did not do the same: {a} and then {b if a != b else 'again, otherwise'}"
        difference = unequal(f"gave {name_of(a.function)}", a.arguments, b.arguments)
        if difference:
            return difference
    if first.structure != second.structure:
        a, b = tree.describe(first.structure), tree.describe(second.structure)
        return f"returned {a} and then {b}"
    return unequal("returned", first.outputs, second.outputs)


def _described(x):
    return "a value that it computed" if type(x) is Symbol else f"the constant {x!r:.40}"


def _then(x, y):
    return (
        f"{x} and then {y if y != x else 'another one'}. A program would keep the first for ever:"
        " let a random draw, a counter or the time be an argument"
    )
