"""Which line is wrong, and what should it be? Found by making changes and looking at the result.

The search goes over the lines, and over the changes of each line that `edits` makes:

1. one change after which all is right;
2. one contribution more, or the cotangent of a part of the function, as a number of the engine's in
   the place of what a line computes, after which all is right;
3. one change after which more is right than before.

A line is known to be right if what it computes is the cotangent of a part of the function
(`contributions`) or a number of the engine's own program.
"""

import ast
import difflib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ...types import Array
from .contributions import Part, contributions
from .edits import KINDS, Edit, edits
from .lines import RETURNED, Code, compiled_line
from .points import Point, agree, is_floating

ATOMS = ast.Name, ast.Subscript  # what stands for a number or an array by itself


class Case(NamedTuple):
    """Lines that give something wrong.

    Attributes
    ----------
    code : Code
    points : list of Point
    states : list
        At each point, the variables before each line and after the last, as `Code.states` has them.
    parts : list of dict
        At each point, the cotangents of the parts of the function, by `contributions`.
    right : list of bool
        Which leaves of the value and the cotangents are right; empty where a line fails.
    """

    code: Code
    points: list[Point]
    states: list[list[dict[str, Any]]]
    parts: list[dict[int, Part]]
    right: list[bool]


def case_of(code: Code, points: list[Point]) -> Case:
    """Run the lines at the points."""
    states = [code.states([*point.args, point.seed]) for point in points]
    parts = [contributions(code, x[0], point.seed) for x, point in zip(states, points)]
    right: list[bool] = []
    if len(states[0]) > len(code.lines):
        each = [point.right(x[-1][RETURNED]) for x, point in zip(states, points)]
        right = [all(leaf) for leaf in zip(*each)]
    return Case(code, points, states, parts, right)


def correction(case: Case) -> tuple[int, Edit] | None:
    """Return the line and the change of it after which all is right, if there is one.

    Of several, one of a line that is not known to be right, then the smallest, then the first.
    """
    known = known_lines(case)
    for kind in KINDS:
        found = [
            (i in known, _returns_name(case, i, edit), _size_of(case.code.lines[i].statement, edit), i, edit)
            for i, edit in _changes(case, kind)
            if all(_after(case, i, edit, 0)) and _holds(case, i, edit)
        ]
        if found:
            return min(found, key=lambda x: x[:4])[3:]
    return None


def _holds(case, i, edit):
    """Whether all is right after a change at the other points too."""
    return all([all(_after(case, i, edit, p)) for p in range(1, len(case.points))])


def _after(case, i, edit, p):
    """Return which leaves are right after a change, at a point; [False] if a line fails then."""
    try:
        code = edit.made(lambda: compiled_line(case.code.lines[i].statement))
        return case.points[p].right(case.code.run(case.states[p][i], i, code)) or [False]
    except Exception:
        return [False]


def _changes(case, kind) -> Iterator[tuple[int, Edit]]:
    """Yield the changes of all lines that can be wrong."""
    reached = len(case.states[0]) - 1
    for i in candidates(case):
        if i <= reached:
            for edit in edits(case.code.lines[i].statement, _names(case, i), kind):
                yield i, edit


def candidates(case: Case) -> list[int]:
    """Return the lines that can be wrong: not those of the value, if that is right."""
    n = len(case.code.lines)
    leaves = np.size(case.points[0].value)
    value_is_right = bool(case.right) and case.right[0]
    return [i for i in range(n) if not value_is_right or i not in case.code.of_value()]


def _names(case, i):
    """Return the variables that are known before a line, and the elements that the code reads."""
    known = case.states[0][i]
    names = [name for name, x in known.items() if is_floating(x)]
    for line in case.code.lines:
        for node in ast.walk(line.statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                used = {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}
                if used <= known.keys():
                    names.append(ast.unparse(node))
    return list(dict.fromkeys(names))


def _returns_name(case, i, edit):
    """Whether a change is of a variable that is only returned: its own line is the likelier."""
    return i == len(case.code.lines) - 1 and isinstance(edit.whole.get(), ast.Name)


def _size_of(statement, edit):
    """Return how many signs of the text a change changes."""
    old = ast.unparse(statement)
    new = edit.made(lambda: ast.unparse(statement))
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return max(len(old), len(new)) - sum([block.size for block in blocks])


def known_lines(case: Case) -> list[int]:
    """Return the lines that are known to be right."""
    pools = [[part.cotangent for part in parts.values()] for parts in case.parts]
    found = []
    for i, line in enumerate(case.code.lines[:-1]):
        is_copy = isinstance(getattr(line.statement, "value", None), ATOMS)  # which may lack everything else
        if not is_copy and i + 1 < len(case.states[0]):
            values = [[state[i + 1].get(name) for name in line.sets()] for state in case.states]
            if all([_all_in(pool, at_point) for pool, at_point in zip(pools, values)]):
                found.append(i)
    return found


def _all_in(pool, values):
    return bool(values) and all([any([agree(x, y) for y in pool]) for x in values])
