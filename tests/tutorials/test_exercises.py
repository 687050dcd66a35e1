"""Every exercise of the course, alone: its solution passes its check, and its stub does not.

Alone, since a student's answer is checked in a process that runs no more of the chapter than it
needs.
"""

import os
import subprocess
import sys

import cells
import checking
import pytest
from processes import environment

CHAPTERS = cells.chapters()
EXERCISES = [
    exercise for path in CHAPTERS.values() for exercise in cells.exercises(cells.read(path))
]


def copy_of(number, exercise, tag, folder):
    """Write a copy with our solutions of all exercises, of this one what the tag says."""
    found = []
    for cell in cells.read(CHAPTERS[number]):
        unwanted = "solution" if tag == "stub" else "stub"
        if cell.exercise == exercise and cell.tag == unwanted:
            continue
        if cell.exercise != exercise and cell.tag == "stub":
            continue
        if cell.tag == "solution":
            cell = cell._replace(tag="stub")
        found.append(cell)
    copy = folder / CHAPTERS[number].name
    copy.write_text(cells.script(found), encoding="utf-8")
    return copy


def run_alone(exercise, folder):
    """Return what the check says of our solution, and of the stub."""
    number, found = int(exercise.split(".")[0]), []
    for tag in ("solution", "stub"):
        copy = copy_of(number, exercise, tag, folder)
        found.append(checking.run_exercise(CHAPTERS[number], copy, exercise, 60.0))
    return found


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_alone(exercise, exercise_runs):
    solved, (status, message) = exercise_runs[exercise].result()
    assert solved == ("done", "")
    assert status == "wrong" and len(message) > 10, (status, message)


def with_answer(number, exercise, answer, folder):
    """Write a copy with an answer to one exercise."""
    copy = copy_of(number, exercise, "stub", folder)
    found = [
        cell._replace(source=answer) if (cell.tag, cell.exercise) == ("stub", exercise) else cell
        for cell in cells.read(copy)
    ]
    copy.write_text(cells.script(found), encoding="utf-8")
    return copy


FORBIDDEN = [
    (
        "3.5",
        "def my_gradient(f, *arrays):\n    return grad(f, tuple(range(len(arrays))))(*arrays)",
        "`grad` of tinyode, in line",
    ),
    (
        "4.2",
        "def my_adjoint(f, g, u0, p):\n    return grad(lambda p: g(root(f, u0, p)))(p)",
        "`root` of tinyode, in line",
    ),
    (
        "5.1",
        "def block_by_hand(z, W, b, a):\n"
        "    f, pullback = vjp(block, z, W, b)\n"
        "    return f, pullback(a)",
        "`vjp` of tinyode, in line",
    ),
    (
        "5.5",
        "my_odeint = lambda f, y0, t, *args: odeint(f, y0, t, *args)",
        "`odeint` of tinyode, in",
    ),
    ("5.5", "my_odeint = odeint", "`odeint` of tinyode\nThe exercise"),
    (
        "5.6",
        "def predators_by_hand(z, theta, a):\n"
        "    f, pullback = vjp(hares_and_lynx, z, theta)\n"
        "    return f, pullback(a)",
        "`vjp` of tinyode, in line",
    ),
]


@pytest.mark.parametrize("exercise, answer, words", FORBIDDEN)
def test_what_an_exercise_forbids_is_refused(exercise, answer, words, tmp_path):
    """All of these give the right numbers."""
    number = int(exercise.split(".")[0])
    copy = with_answer(number, exercise, answer, tmp_path)
    status, message = checking.run_exercise(CHAPTERS[number], copy, exercise, 60.0)
    assert status == "wrong" and message.startswith("your code calls "), message
    assert words in message


@pytest.mark.parametrize(
    "answer, is_right",
    [
        ("np.float32(np.e / 2)", True),
        ("__import__('fractions').Fraction(2718281828, 2 * 10**9)", True),
        ("np.array(np.e / 2)", True),
        ("'1.359'", False),
        ("np.nan", False),
        ("[np.e / 2, 1]", False),
        ("1.359j", False),
    ],
)
def test_a_number_of_any_type_is_a_number(answer, is_right, tmp_path):
    copy = with_answer(1, "1.1", f"constant = {answer}", tmp_path)
    status, message = checking.run_exercise(CHAPTERS[1], copy, "1.1", 60.0)
    assert (status == "done") if is_right else "it should be a number" in message, message


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_cells_of_a_chapter(number):
    """Exercises in order, each whole; no later cell builds on a solution; messages everywhere."""
    import ast

    from needed import free, statements

    found = cells.read(CHAPTERS[number])
    tagged = [(cell.tag, cell.exercise) for cell in found if cell.exercise]
    ids = list(cells.exercises(found))
    assert 3 <= len(ids) and ids == [f"{number}.{m}" for m in range(1, len(ids) + 1)]
    four = ("exercise", "stub", "solution", "check")
    assert tagged == [(tag, exercise) for exercise in ids for tag in four]
    assert all(1 <= level <= 3 for level in cells.exercises(found).values())
    assert 2 <= sum(cell.tag == "predict" for cell in found) <= 4
    own, ordinary = set(), set()
    for cell in found:
        if cell.tag in ("stub", "solution", "check"):
            some = statements(cell.source)
            own |= set().union(*(s.binds for s in some)) - ordinary if some else set()
        elif cell.tag == "":
            some = statements(cell.source)
            assert not free(some) & own, f"line {cell.line} needs {free(some) & own} of an exercise"
            ordinary |= set().union(*(s.binds for s in some)) if some else set()
        if cell.tag == "check":
            for node in ast.walk(ast.parse(cell.source)):
                assert not isinstance(node, ast.Assert) or node.msg, (cell.exercise, cell.line)
        if cell.tag == "predict":
            after = found[found.index(cell) + 1]
            assert after.tag == "", f"no code follows the question in line {cell.line}"


COMPARED = """
import sys
from pathlib import Path
import numpy as np
import cells, exercise
from needed import free, needed, statements

path = Path(sys.argv[1])
found, whole, differing = cells.read(path), {"__name__": "__main__", "__file__": sys.argv[1]}, []
def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, np.generic, int, float, str)):
        return np.array_equal(a, b)
    return type(a) is type(b)
above = []
for cell in found:
    if cell.tag == "solution":
        of_it = [c for c in found if c.exercise == cell.exercise and c.tag in ("solution", "check")]
        wanted = free(exercise.statements_of(of_it, path))
        part = {"__name__": "__main__", "__file__": sys.argv[1]}
        exercise.run(needed(wanted, above), part)
        differing += [(cell.exercise, name) for name in wanted
                      if name in whole and not same(whole[name], part.get(name))]
    if cell.tag in ("", "solution"):
        some = exercise.statements_of([cell], path)
        exercise.run(some, whole)
        above += some
assert not differing, differing
"""


@pytest.mark.skipif(not os.environ.get("CI"), reason="takes minutes; CI does it")
@pytest.mark.parametrize("number", CHAPTERS)
def test_what_an_exercise_needs_is_what_the_chapter_gives(number, tmp_path):
    command = [sys.executable, "-c", COMPARED, str(CHAPTERS[number])]
    settings = {"capture_output": True, "text": True, "check": False, "cwd": tmp_path}
    path = {"PYTHONPATH": os.pathsep.join([str(cells.HERE), str(cells.HERE.parent)])}
    done = subprocess.run(command, env=environment() | path, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
