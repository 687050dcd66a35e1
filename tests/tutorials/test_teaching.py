"""What TEACHING.md says: its table, its script for marking, its lists of mistakes, its ladder."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import cells
import numpy as np
import pytest

from tinyode import __version__, jacobian, odeint
from tinyode.testing.adjoints import MISTAKES, TIME_MISTAKES, Way
from tinyode.testing.conformance import drawn
from tinyode.testing.mistakes import adjoint

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "tutorials" / "TEACHING.md").read_text(encoding="utf-8")
CHAPTERS = cells.chapters()
MINUTES = r"\*\*Minutes\.?\*\*[.:]? (\d+ to \d+)"


@pytest.mark.parametrize("number, path", CHAPTERS.items(), ids=lambda value: str(value)[-30:])
def test_the_minutes_are_those_of_the_chapter(number, path):
    (row,) = re.findall(rf"^\| \[?{number}\b.*$", TEXT.split("## One lecture")[0], re.M)
    said = re.search(MINUTES, path.read_text(encoding="utf-8"))
    assert said is None or f"| {said[1]} |" in row, (row, said)


def test_what_it_links_to_and_names_is_there():
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "tutorials" / link).exists(), link
    for name in re.findall(r"`((?:figures|tinyode|tutorials)/[^`]+)`", TEXT):
        assert list(ROOT.glob(name)), name
    known = {
        exercise for path in CHAPTERS.values() for exercise in cells.exercises(cells.read(path))
    }
    assert (
        set(re.findall(r"(?<![\d.=])\b(\d+\.[1-9])\b(?![\d.])", TEXT.split("## Capstones")[0]))
        <= known
    )


@pytest.mark.parametrize(
    "exercise, checker",
    [
        ("1.4", "check_step"),
        ("3.5", "check_engine"),
        ("4.2", "check_root_adjoint"),
        ("5.5", "check_odeint"),
    ],
)
def test_the_ladder_is_where_it_is_said_to_be(exercise, checker):
    found = cells.read(CHAPTERS[int(float(exercise))])
    (check,) = [cell for cell in found if (cell.tag, cell.exercise) == ("check", exercise)]
    assert f"{checker}(" in check.source
    assert re.search(rf"\({exercise}, (?:held by )?`{checker}`\)", re.sub(r"exercise ", "", TEXT))
    (last,) = [c for c in cells.read(CHAPTERS[6]) if (c.tag, c.exercise) == ("exercise", "6.6")]
    assert exercise == "4.2" or f"{exercise})" in last.source  # 6.6 says what to paste


def signature(mistake, times, backwards=False):
    """Return which of the gradients for z0, A, b and t a mistake makes wrong."""
    problem = drawn(2, times, backwards, 0)
    right, made = (adjoint(problem, way)[0] for way in (Way(), Way(**mistake.change)))
    return tuple(bool(np.abs(a - b).max() > 1e-3) for a, b in zip(right, made))


def test_each_mistake_shows_where_it_is_said_to_show():
    known = [*MISTAKES, *TIME_MISTAKES]
    groups = {
        (True, True, True, True): "Every gradient is wrong",
        (False, True, True, False): "Only the gradients for the parameters",
        (True, False, False, False): "With one interval, only the gradient for the start",
        (False, False, False, True): "Only the gradients for the times",
        (False, False, False, False): "With one interval, nothing is wrong",
    }
    section = TEXT.split("## Mistakes")[1].split("## Marking")[0]
    for pattern, heading in groups.items():
        of_this = re.split(r"^(?:\*\*|In the)", section.split(f"**{heading}")[1], flags=re.M)[0]
        listed = re.findall(r"^\* (.*)$", of_this, re.M)
        expected = [m.what for m in known if signature(m, 2) == pattern]
        assert listed == expected, heading
    hidden = [m.what for m in known if not any(signature(m, 4))]
    assert hidden == ["the backward solve goes to earlier times also where the times decrease"]
    assert all(any(signature(m, 4) + signature(m, 4, backwards=True)) for m in known)


def test_the_epidemic_of_the_first_capstone():
    """Gauss and Newton's method on the counts of TEACHING.md gives the numbers of TEACHING.md."""
    counts = re.search(r"for 14 days: ([\d, ]+)", TEXT.replace("\n", " "))[1].rstrip(", ")
    in_bed, days = np.array([float(count) for count in counts.split(",")]), np.arange(14.0)

    def sir(t, y, rates):
        S, I = y
        return np.array([-rates[0] * S * I / 763, (rates[0] * S / 763 - rates[1]) * I])

    def misfits(q):
        ill = np.exp(q[2])
        start = np.array([763 - ill, ill])
        I = odeint(sir, start, days, np.exp(q[:2]), gradient="forward")[:, 1]
        return np.sqrt(in_bed) - np.sqrt(I)

    q = np.log([2.0, 0.5, 1.0])
    for _ in range(6):
        q = q - np.linalg.lstsq(jacobian(misfits)(q), misfits(q))[0]
    beta, gamma, _ = np.exp(q)
    assert f"$\\beta = {beta:.2f}$, $\\gamma = {gamma:.2f}$" in TEXT
    assert round(beta / gamma) == 4


def test_the_script_that_marks(course, small, tmp_path):
    """Two students and one who has handed in nothing, by the script as it is printed."""
    (script,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    desk = tmp_path / "desk"
    shutil.copytree(course, desk / "tutorials")
    (desk / "mark.py").write_text(script, encoding="utf-8")
    blank = "    ...  # your code here"
    right = {
        "ada": [(blank, "    return 3 * x"), ("six = ...", "six = 6.0")],
        "bo": [("six = ...", "six = 7.0")],
    }
    for name, answers in right.items():
        folder = desk / "students" / name
        command = [sys.executable, "-m", "tutorials", "1", "--work", "--in", folder]
        subprocess.run(command, cwd=desk, check=True, capture_output=True)
        copy = folder / "01_small.py"
        text = copy.read_text(encoding="utf-8")
        for old, new in answers:
            assert text.count(old) == 1
            text = text.replace(old, new)
        copy.write_text(text, encoding="utf-8")
    (desk / "students" / "cy").mkdir()
    done = subprocess.run(
        [sys.executable, "mark.py", "1"],
        cwd=desk,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.splitlines() == [
        "ada: 3 points; done: 1.1 1.2",
        "bo: 0 points; done:",
        "cy: 0 points; done:",
    ]


def test_the_citation_names_this_version():
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", cited, re.M)[1] == __version__
