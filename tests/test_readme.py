"""What README.md says: its programs and commands, its links, and the numbers in it."""

import importlib
import inspect
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinyode
from tinyode import testing
from tinyode.autodiff.rules import table
from tinyode.solvers.tableaus import TABLEAUS
from tinyode.testing.laboratory import CATALOGUE

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.M | re.S)
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.M | re.S)
TUTORIALS = ROOT / "tutorials"


def blocks(language):
    return [code for found, code in BLOCKS if found == language]


def section(heading):
    return re.split(r"^## ", TEXT.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.M)[0]


def run(code, folder):
    """Run a program from a file, as a reader does."""
    file = folder / "mine.py"
    file.write_text(code, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", file], capture_output=True, encoding="utf-8", check=False
    )


@pytest.fixture
def command_line(monkeypatch):
    """Return the module that ``python -m tutorials`` runs."""
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("tutorials.__main__")


def test_the_first_program_prints_what_stands_beside_it(tmp_path):
    code = blocks("python")[0]
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    number = done.stdout.strip()
    assert code.endswith(f"  # {number}\n")
    assert f"at k = 2 is\n{number}, so a larger k" in TEXT and float(number) < 0
    lines = [line for line in code.splitlines() if line]
    assert len(lines) == 10, "the README promises nothing longer on its first screen"


def test_the_program_with_a_mistake_ends_as_shown(tmp_path):
    _, code = blocks("python")
    (shown,) = blocks("text")
    done = run(code, tmp_path)
    assert done.returncode == 1 and done.stderr.endswith(shown), done.stderr


def test_the_line_that_is_told_is_the_mistake(tmp_path):
    """What the check says is right."""
    _, code = blocks("python")
    wrong, right = re.search(r"you have (.*); it is (.*)", blocks("text")[0]).groups()
    assert code.count(wrong) == 1
    done = run(code.replace(wrong, right), tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_two_commands():
    commands = blocks("sh")
    assert len(commands) == 2
    # the pattern by which .ci/run finds the second
    assert re.findall(r"^python -m pip install .*pytest.*\n", TEXT, re.M) == commands[1:]
    for command in commands:
        assert command.startswith("python -m pip install") and " && " in command
        assert command.count("\n") == 1
    # PowerShell 5.1 has no &&, and Windows no python before it is installed
    in_powershell = [
        re.sub(r" && (.*)\n", r"; if ($?) { \1 }\n", line).replace("python -m", "py -m")
        for line in commands
    ]
    (lines,) = blocks("powershell")
    assert lines.endswith("".join(in_powershell))


def test_the_commands_of_the_course_are_understood(command_line):
    written = re.findall(r"python -m tutorials( [^`\n}]*)?", TEXT)
    instead = re.search(r"With `(--executor .*?)` instead of\s+`--jobs 2`", TEXT)[1]
    written += [line.replace("--jobs 2", instead) for line in written]
    asked = [command_line.parse(line.split())[0] for line in written if "--help" not in line]
    names = {
        name
        for options in asked
        for name, value in vars(options).items()
        if value not in (None, False)
    }
    assert {"numbers", "work", "check", "step", "play", "full", "executor"} <= names


def test_the_benchmarks_that_it_names_are_there():
    named = re.findall(r"`python (tests/benchmarks/\w+\.py)`", PROSE)
    assert named and all((ROOT / name).exists() for name in named)


def test_what_it_links_to_is_there():
    references = dict(re.findall(r"^\[(\w+)\]: (\S+)$", TEXT, re.M))
    used = re.findall(r"\]\[(\w+)\]", PROSE)
    assert sorted(used) == sorted(references)
    inline = re.findall(r"\]\(([^)]+)\)", PROSE)
    for link in [*references.values(), *inline, *re.findall(r'src="([^"]+)"', TEXT)]:
        if link.startswith("#"):
            headings = re.findall(r"^##+ (.*)$", TEXT, re.M)
            assert link[1:] in [heading.lower().replace(" ", "-") for heading in headings], link
        elif not link.startswith("https://"):
            assert (ROOT / link).exists(), link


def test_its_lines_are_short():
    """So that its source, too, can be read on a screen, and its programs on a phone."""
    assert max(map(len, TEXT.splitlines())) <= 100
    assert max(len(line) for code in blocks("python") for line in code.splitlines()) <= 60


def test_the_chapters_their_titles_and_minutes():
    rows = re.findall(r"^\| (\d+) \[(.*?)\]\[\1\] \| .* \| (\d+) to (\d+) \|$", TEXT, re.M)
    chapters = sorted(TUTORIALS.glob("[0-9][0-9]_*.py"))
    assert [int(number) for number, *_ in rows] == [int(path.name[:2]) for path in chapters]
    for path, (number, title, least, most) in zip(chapters, rows):
        text = path.read_text(encoding="utf-8")
        assert f"\n[{number}]: tutorials/notebooks/{path.stem}.ipynb\n" in TEXT
        assert re.search(rf"^# # {re.escape(title)}(:.*)?$", text, re.M), title
        assert re.search(rf"\*\*Minutes\.?\*\*:? {least} to {most}\b", text), (number, least, most)
    hours = [math.ceil(sum(int(row[i]) for row in rows) / 60) for i in (2, 3)]
    assert "{} to {} hours".format(*hours) in TEXT, hours


def test_the_checks_and_the_exercises_that_use_them():
    rows = re.findall(r"^\| `(check_\w+)` \|(.*)\|$", section("Check your own"), re.M)
    assert {name for name, _ in rows} == {
        name for name in testing.__all__ if name.startswith("check_") and name != "check_without"
    }
    for name, words in rows:
        for chapter, number in re.findall(r"\(exercise (\d+)\.(\d)\)", words):
            (path,) = TUTORIALS.glob(f"{int(chapter):02}_*.py")
            cell = path.read_text(encoding="utf-8").split(f"# %% [check {chapter}.{number}]")[1]
            assert f"{name}(" in cell.split("# %%")[0], name
    assert f"`check_odeint` knows {len(CATALOGUE)} mistakes" in TEXT


def test_the_lines_of_the_files_to_read():
    rows = re.findall(r"^\d\. \[(.*?)\]\[(\w+)\], (\d+) lines", section("Read the source"), re.M)
    assert len(rows) == len(re.findall(r"^\d\. ", TEXT, re.M)) > 0
    for name, reference, lines in rows:
        assert f"\n[{reference}]: tinyode/{name}\n" in TEXT
        found = (ROOT / "tinyode" / name).read_text(encoding="utf-8").count("\n")
        assert int(lines) == found, f"{name} has {found} lines"


def test_all_that_is_exported_is_in_the_table():
    names = set(re.findall(r"`(\w+)`", section("The library").split("**Derivatives.**")[0]))
    shown = {name for name in tinyode.__all__ if name[0].islower()}
    assert names == shown | {"models", "testing"}


def test_the_number_of_functions_with_a_derivative():
    count = len({*table.RULES, *table.DERIVED})
    assert f"Some {round(count, -1)} functions of NumPy have a derivative" in TEXT, count


def test_the_methods():
    found = {
        (steps, kind): re.findall(r"`(\w+)`", names)
        for steps, kind, names in re.findall(
            r"^\* (fixed|adaptive) steps, (\w+): ([^*]*?)(?=\n\*|\n\n)", TEXT, re.M
        )
    }
    expected = {}
    for name, method in TABLEAUS.items():
        steps = "fixed" if method.e is None else "adaptive"
        kind = "implicit" if method.implicit else "explicit"
        expected.setdefault((steps, kind), []).append(name)
    assert found == expected


@pytest.mark.parametrize("function", [tinyode.solve, tinyode.odeint])
def test_the_tolerances(function):
    defaults = inspect.signature(function).parameters
    for name, value in re.findall(r"`([ra]tol)=([\de-]+)`", TEXT):
        assert defaults[name].default == float(value)
    assert defaults["method"].default in re.search(r"`(\w+)` \(the default\)", TEXT)[1]
