"""What a drawing of a tape says: a box for each input and for each operation.

The tape is the one of `tinyode.vjp`, and the values are those on it. The cotangents come from the
sweep of the engine. Told that the first k records are the inputs, it stops there, and the cotangent
of the last of them is complete.
"""

import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..autodiff.checks import as_primal
from ..autodiff.lines import say_line
from ..autodiff.rules.table import name_of
from ..autodiff.tape import sweep
from ..autodiff.transforms import close_tape, open_tape
from ..names import names_of_parameters, paths_of_leaves

MOST = 30  # operations: with more of them the letters of a page-wide drawing are too small
IN_FULL = 4  # the elements of an array that is written in full
SIGNS = {
    name_of(ufunc): sign
    for ufunc, sign in [
        (np.add, "+"),
        (np.subtract, "-"),
        (np.multiply, "*"),
        (np.divide, "/"),
        (np.matmul, "@"),
        (np.power, "**"),
        (np.negative, "-"),
    ]
}


class Box(NamedTuple):
    """An input or an operation."""

    name: str
    formula: str  # of an operation; empty for an input
    value: Any
    cotangent: Any  # None if it was not asked for
    parents: tuple[int, ...]  # the boxes of the operands; twice, if it is used twice
    output: str  # what the box is of the value of f; empty if it is only on the way


def boxes_of(f: Callable, example: tuple, vjp: bool) -> list[Box]:
    """Run f once, and return the boxes in the order of the tape: inputs, then operations.

    Raises
    ------
    ValueError
        If there are more than `MOST` operations.
    """
    leaves, structure = tree.flatten(example)
    leaves = [as_primal(x) for x in leaves]
    tape, nodes = open_tape(leaves)
    try:
        outputs, out_structure = tree.flatten(f(*tree.unflatten(structure, nodes)))
        results, pull = close_tape(tape, outputs, leaves)
    except (TypeError, ValueError) as error:
        say_line(error)
        raise
    finally:
        tape.close()
    operations = pull.records[len(leaves) :]
    if len(operations) > MOST:
        raise ValueError(
            f"draw: this function does {len(operations)} operations, and a drawing of more than"
            f" {MOST} cannot be read; draw a part of the function, or print"
            " tinyode.program(f, ...), which writes a line for each"
        )
    values = leaves + [record[3] for record in operations]
    cotangents = _cotangents(pull, values, results) if vjp else [None] * len(values)
    names, known = _names(f, example, len(operations)), _arrays_of(f)
    formulas = [""] * len(leaves) + [_formula(record, names, known) for record in operations]
    parents = [()] * len(leaves) + [record[2] for record in operations]
    said: dict[Any, str] = {}
    paths = paths_of_leaves("output", "output", tree.unflatten(out_structure, results))
    for i, (_, path) in zip(pull.positions, paths):
        said[i] = f"{said[i]}, {path}" if i in said else path
    told = [said.get(i, "") for i in range(len(values))]
    return [Box(*box) for box in zip(names, formulas, values, cotangents, parents, told)]


def _cotangents(pull, values, results):
    """Return the cotangent of each value on the tape, for cotangents of one of the outputs."""
    seeds = [(i, np.ones_like(y)[()]) for i, y in zip(pull.positions, results) if i is not None]
    n = len(pull.leaves)
    found = [sweep(pull.records, seeds, max(n, i + 1))[i] for i in range(len(values))]
    return [np.zeros_like(y)[()] if c is None else c for c, y in zip(found, values)]


def _names(f, example, n):
    """Return the names of the inputs, and v1, v2, ... for n operations."""
    parameters = zip(names_of_parameters(f, len(example)), example)
    names = [name for word, x in parameters for name, _ in paths_of_leaves(word, word, x)]
    numbered = (f"v{k}" for k in itertools.count(1))
    return names + list(itertools.islice((name for name in numbered if name not in names), n))


def _arrays_of(f):
    """Return the names that f has for arrays of its surroundings, by their id."""
    if not inspect.isfunction(f):
        return {}
    closed = inspect.getclosurevars(f)
    known = {**closed.globals, **closed.nonlocals}.items()
    return {id(x): name for name, x in known if isinstance(x, np.ndarray)}


def _formula(record, names, known):
    """Write an operation as people do."""
    rule, wanted, parents, _, args, kwargs = record
    words = [known.get(id(x)) or _word(x) for x in args]
    for place, parent in zip(wanted, parents):
        words[place] = names[parent]
    # odeint and compiled functions record themselves with a rule that has no name
    name = "function" if rule.__name__ == "a rule" else rule.__name__
    if name == "np.array":
        return f"[{', '.join(words)}]"
    if name == "getitem":
        return f"{words[0]}[{_index(args[1])}]"
    if name in SIGNS and len(words) <= 2:
        return f" {SIGNS[name]} ".join(words) if len(words) == 2 else SIGNS[name] + words[0]
    if name == "np.transpose" and len(words) == 1 and not kwargs:
        return f"{words[0]}.T"
    unusual = [key for key, x in kwargs.items() if not (x is None or x is False or x is True)]
    words += [f"{key}={_word(kwargs[key])}" for key in unusual]
    return f"{name.removeprefix('np.')}({', '.join(words)})"


def _index(index):
    """Write what stands in the brackets of an index."""
    if isinstance(index, tuple):
        return ", ".join(map(_index, index))
    if isinstance(index, slice):
        parts = ["" if x is None else str(x) for x in (index.start, index.stop, index.step)]
        return ":".join(parts if index.step is not None else parts[:2])
    return "..." if index is Ellipsis else _word(index)


def _word(x):
    """Write a constant."""
    is_number = isinstance(x, (float, np.ndarray, np.generic))
    return short(x) if is_number else repr(x)


def short(x: Any) -> str:
    """Write a value in a few characters: a number with four digits, those of an array with two."""
    x = np.asarray(x) + 0.0  # without the sign of -0.0
    if x.ndim == 0:
        return f"{x:.4g}"
    if x.size > IN_FULL:
        return f"[{x.flat[0]:.2g}, …]"
    return f"[{', '.join([short(row) if row.ndim else f'{row:.2g}' for row in x])}]"
