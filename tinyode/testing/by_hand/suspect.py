"""Which line is wrong, and what should it be? Found by making changes and looking at the result.

The lines are run with every change that `edits` makes of one of them. The change after which all is
right is the correction. If there is none, it is one after which more is right than before, and the
search goes on from there: there are two mistakes.
"""

import ast
import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ... import tree
from ...types import Array
from .contributions import Part, contributions
from .edits import CONTAINERS, KINDS, edits
from .lines import Code, Line, compiled_line
from .points import Point, agree, is_floating

ATOMS = ast.Name, ast.Subscript  # what stands for a number or an array by itself
MOST = 3  # mistakes that are looked for


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
    right : list of arrays
        Which numbers are right at all points, for each leaf of the value and the cotangents.
    """

    code: Code
    points: list[Point]
    states: list[list[dict[str, Any]]]
    parts: list[dict[int, Part]]
    right: list[Array]

    def is_right(self) -> bool:
        """Whether all numbers are right."""
        return all([np.all(x) for x in self.right])

    def leaves_of_value(self) -> int:
        """Return the number of leaves of the value."""
        return len(tree.flatten(self.points[0].value)[0])

    def has_right_value(self) -> bool:
        """Whether all numbers of the value are right."""
        return all([np.all(x) for x in self.right[: self.leaves_of_value()]])


class Correction(NamedTuple):
    """What a line has, and what it should have."""

    line: Line
    old: str
    new: str

    def __str__(self):
        return (
            f"line {self.line.number}: you have {self.old}; it is {self.new}\n    {self.line.text}"
        )


def case_of(code: Code, points: list[Point]) -> Case:
    """Run the lines at the points."""
    states = [code.states([*point.args, point.seed]) for point in points]
    parts = [contributions(code, x[0], point.seed) for x, point in zip(states, points)]
    each = [point.right(code.returned(x[-1])) for x, point in zip(states, points)]
    return Case(code, points, states, parts, [np.all(x, axis=0) for x in zip(*each)])


def corrections(
    case: Case, kinds: Iterable[str] = KINDS, only: int | None = None
) -> tuple[list[Correction], Case]:
    """Return the changes that make more right, and the case after them.

    Parameters
    ----------
    case : Case
    kinds : iterable of str
        The kinds of changes to make.
    only : int, optional
        The number of the line to change.
    """
    found: list[Correction] = []
    while len(found) < MOST and not case.is_right():
        best = _best(case, kinds, only)
        if best is None:
            break
        i, edit = best
        line = case.code.lines[i]
        found.append(Correction(line, *edit.texts(line.statement)))
        edit.place.put(edit.new)
        code = Code(case.code.parameters, case.code.lines, case.code.namespace)
        case = case_of(code, case.points)
    return found, case


def _best(case, kinds, only):
    """Return a line and the change of it after which most is right, if there is one.

    Of several it is one of a line that is not known to be right, then the smallest, then the first.
    """
    known = known_lines(case)
    suspects = [i for i in _suspects(case) if only in (None, i)]
    for kind in kinds:
        found = []
        for i in suspects:
            if i in known and kind == "term" and only is None:
                continue  # there are many terms
            statement = case.code.lines[i].statement
            for edit in edits(statement, _known(case, i, kind), kind):
                gain = _gain(case, i, edit)
                if gain > 0:
                    unlikely = i in known, _of_returned_name(case, i, edit)
                    found.append((-gain, *unlikely, _size_of(statement, edit), i, edit))
        if found:
            return min(found, key=lambda x: x[:-1])[-2:]
    return None


def _suspects(case):
    """Return the lines on which what is wrong depends, without those of a value that is right."""
    returned = [case.points[0].value, *case.points[0].cotangents]
    right, wrong = iter(case.right), []
    for n, x in enumerate(returned, case.code.first_returned):
        if not all([np.all(next(right)) for _ in tree.flatten(x)[0]]):
            wrong.append(n)
    of_value = case.code.of_value() if case.has_right_value() else []
    return [i for i in case.code.needed_by(wrong) if i not in of_value]


def _known(case, i, kind):
    """Return the expressions that can be missing in a line: all can be computed before it."""
    known = case.states[0][i]
    names = [name for name in case.code.variables() if is_floating(known.get(name))]
    nodes = [node for line in case.code.lines for node in ast.walk(line.statement)]
    elements = [x for x in nodes if isinstance(x, ast.Subscript) and isinstance(x.ctx, ast.Load)]
    if kind == "term":
        names = _multiples(nodes, known)
        elements = [x for x in nodes if isinstance(x, (ast.BinOp, ast.Call))]
    if kind == "local":  # derivatives are taken at what functions are called with
        elements += [x for node in nodes if isinstance(node, ast.Call) for x in node.args]
        elements = [x for x in elements if not isinstance(x, CONTAINERS)]
    own = {*case.code.variables()}
    for node in elements:
        used = {x.id for x in ast.walk(node) if isinstance(x, ast.Name)} & own
        if used and used <= known.keys():
            names.append(ast.unparse(node))
    return list(dict.fromkeys(names))


def _multiples(nodes, known):
    """Return each variable or element times each number of the code."""
    factors = [x for node in nodes if isinstance(node, ast.BinOp) for x in (node.left, node.right)]
    numbers = [ast.unparse(x) for x in factors if isinstance(x, ast.Constant)]
    atoms = [ast.unparse(x) for x in factors if isinstance(x, ATOMS)]
    known_atoms = [x for x in atoms if x.split("[")[0] in known]
    return [f"{number} * {x}" for number in dict.fromkeys(numbers) for x in known_atoms]


def _gain(case, i, edit):
    """Return how many numbers more are right after a change.

    It is 0 if one is wrong that was right, or if the value stays wrong, on which all depends.
    """
    try:
        code = edit.made(lambda: compiled_line(case.code.lines[i].statement))
    except (SyntaxError, ValueError):  # no Python
        return 0
    gains, first = [], None if case.has_right_value() else case.leaves_of_value()
    for point, states in zip(case.points, case.states):
        right = point.right(case.code.run(states[i], i, code))
        if any([np.any(before & ~now) for before, now in zip(case.right, right)]):
            return 0
        if _count(right[:first]) <= _count(case.right[:first]):
            return 0
        gains.append(_count(right) - _count(case.right))
    return min(gains)


def _count(right):
    return sum([int(np.sum(x)) for x in right])


def _of_returned_name(case, i, edit):
    """Whether a change is of a variable that is only returned: its own line is the likelier."""
    is_returned = i >= case.code.first_returned
    return is_returned and edit.whole is not None and isinstance(edit.whole.get(), ast.Name)


def _size_of(statement, edit):
    """Return how many characters of the text a change changes."""
    old, new = ast.unparse(statement), edit.made(lambda: ast.unparse(statement))
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return max(len(old), len(new)) - sum([block.size for block in blocks])


def known_lines(case: Case) -> list[int]:
    """Return the lines that compute the cotangent of a part of the function.

    A line that computes what a variable or an element has already is not among them, since it may
    lack a factor.
    """
    pools = [[part.cotangent for part in parts.values()] for parts in case.parts]
    found = []
    for i, line in enumerate(case.code.lines):
        names = line.sets()
        each = [[state[i + 1].get(name) for name in names] for state in case.states]
        is_copy = isinstance(getattr(line.statement, "value", None), ATOMS)
        before = [x for x in case.states[0][i].values() if is_floating(x)]
        is_new = not is_copy and not _all_in(before, each[0])
        if names and is_new and all(map(_all_in, pools, each)):
            found.append(i)
    return found


def _all_in(pool, values):
    return all([any([agree(x, y) for y in pool]) for x in values])
