"""What a line must compute: the engine's numbers are put in the place of the line's own.

Where no small change of a line makes all right, a line is looked for of which this can be said:

* all is right if it computes one contribution more: a use of a variable has been forgotten;
* all is right if it computes the cotangent of a certain variable.
"""

import ast
import itertools
from collections import Counter
from typing import NamedTuple

import numpy as np

from .lines import Line
from .points import is_floating
from .suspect import Case, known_lines


class Lack(NamedTuple):
    """A line that lacks contributions.

    Attributes
    ----------
    i : int
        The number of the line among those of the code.
    line : Line
    name : str
        The variable.
    uses, forgotten : list of int
        The numbers of the lines in which it is used, and of those whose contribution is missing.
    """

    i: int
    line: Line
    name: str
    uses: list[int]
    forgotten: list[int]

    def __str__(self):
        return (
            f"line {self.line.number}: {self.line.text}\n    {self.name} is used in"
            f" {_numbers(self.uses)}; the contribution of {_numbers(self.forgotten)} is missing"
        )


def _numbers(numbers):
    """Say which lines, and how often."""
    words = []
    for number, count in sorted(Counter(numbers).items()):
        often = "" if count == 1 else " (twice)" if count == 2 else f" ({count} times)"
        words.append(f"line {number}{often}")
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def lack(case: Case) -> Lack | None:
    """Return the line that lacks one or two contributions, if all is right with them."""
    uses = [n for n, part in case.parts[0].items() if part.is_use]
    named = {n: case.parts[0][n].text for n in uses}
    number = {n: case.code.lines[case.parts[0][n].line].number for n in uses}
    some = itertools.chain(*[itertools.combinations(uses, k) for k in (1, 2)])
    some = [x for x in some if len({named[n] for n in x}) == 1]
    for i, line in _after_the_value(case):
        for forgotten in some:
            name = named[forgotten[0]]
            every = [number[n] for n in uses if named[n] == name]
            if len(every) == len(forgotten):  # then it is no second path that is missing
                continue
            more = [sum([parts[n].cotangent for n in forgotten]) for parts in case.parts]
            if _all_right(case, i, more, np.add):
                return Lack(i, line, name, every, [number[n] for n in forgotten])
    return None


def _all_right(case, i, numbers, change):
    """Whether all is right if a line computes change(what it computes, the numbers)."""
    names = case.code.lines[i].sets()
    for point, states, x in zip(case.points, case.states, numbers):
        old = [states[i + 1].get(name) for name in names]
        if len(old) != 1 or not is_floating(old[0]) or np.shape(old[0]) != np.shape(x):
            return False
        changed = {**states[i + 1], **dict.fromkeys(names, change(old[0], x))}
        if not point.is_right(case.code.run(changed, i + 1)):
            return False
    return True


def must_be(case: Case) -> tuple[Line, str, list, list] | None:
    """Return a line, the variable whose cotangent it must compute, its numbers and the right ones.

    All is right with these.
    """
    known = known_lines(case)
    for i, line in _after_the_value(case):
        for name, numbers in _cotangents(case) if i not in known else []:
            if _all_right(case, i, numbers, lambda old, new: new):
                (variable,) = line.sets()
                return line, name, [states[i + 1][variable] for states in case.states], numbers
    return None


def _cotangents(case):
    """Return the names of variables of the value, with their cotangents at the points."""
    code, found = case.code, []
    for j, name in enumerate(code.parameters[:-1]):
        numbers = [point.cotangents[j] for point in case.points]
        found.append((name, numbers))
    uses: dict[str, list[int]] = {}
    for n, part in case.parts[0].items():
        line = code.lines[part.line]
        names = line.sets() if part.text == _computed(line) else {part.text}
        numbers = [parts[n].cotangent for parts in case.parts]
        found.append((f"{' and '.join(names)} (line {line.number})", numbers))
        if part.is_use:
            uses.setdefault(part.text, []).append(n)
    for name, every in uses.items():
        numbers = [sum([parts[n].cotangent for n in every]) for parts in case.parts]
        found.append((name, numbers))
    return [(name, numbers) for name, numbers in found if is_floating(numbers[0])]


def _computed(line):
    statement = line.statement
    return ast.unparse(statement.value) if isinstance(statement, ast.Assign) else ""


def _after_the_value(case):
    """Return the lines of the cotangents; none if all is right, or not even the value."""
    if case.is_right() or not case.has_right_value():
        return []
    of_value = case.code.of_value()
    return [(i, line) for i, line in enumerate(case.code.lines) if i not in of_value]


def last_right(case: Case) -> Line | None:
    """Return the last line known to be right before the first that may be wrong."""
    known = known_lines(case) + (case.code.of_value() if case.has_right_value() else [])
    first = next((i for i in range(len(case.code.lines)) if i not in known), 0)
    return case.code.lines[first - 1] if first else None
