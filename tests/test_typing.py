"""What a user's type checker says of the package: `mypy --strict` over the files in `tests/typing`.

Each of them uses what one room exports, as a user would. ``reveal_type(x)  # Array`` expects that
type; a file has no error, least of all "Call to untyped function".
"""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import tinyode
from tinyode import datasets, models, nn, optim, testing, tree

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
NAMED = re.compile(r"(\w+\.)+(?=\w)")  # the module before a name
ARRAY = re.compile(r"ndarray\[(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*\]")


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Return the lines that mypy says, as (file, line, kind, message)."""
    if not find_spec("mypy"):
        pytest.skip("mypy is not installed")
    cache = tmp_path_factory.mktemp("mypy")
    options = ["--strict", "--follow-imports=silent", "--config-file=", f"--cache-dir={cache}"]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *FILES],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found = re.findall(r"^(.+?):(\d+): (error|note): (.*)$", run.stdout, re.M)
    return [(Path(file).name, int(line), kind, message) for file, line, kind, message in found]


def revealed(message):
    """Return a type as a reader would write it."""
    return ARRAY.sub("Array", NAMED.sub("", message.split('"')[1]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_users_file(path, said):
    own = [(line, kind, message) for file, line, kind, message in said if file == path.name]
    assert [(line, message) for line, kind, message in own if kind == "error"] == []
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = {
        number: line.rsplit("  # ", 1)[1]
        for number, line in enumerate(lines, 1)
        if line.strip().startswith("reveal_type(")
    }
    found = {n: revealed(message) for n, _, message in own if message.startswith("Revealed type")}
    assert found == expected


def public(module):
    """Return what a module without ``__all__`` defines for its users."""
    own = (module.__name__, "tinyode.files")  # tree.save and tree.load
    functions = {name for name, f in vars(module).items() if getattr(f, "__module__", "") in own}
    return {name for name in functions - INTERNAL if name[0].islower()}


INTERNAL = {"cutter", "describe", "end_to_end", "refuse_masked"}  # of `tree`, for the package


def test_everything_that_is_exported_is_used():
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    names = {*tinyode.__all__, *models.__all__, *testing.__all__}
    names = names.union(*[public(module) for module in (nn, optim, tree, datasets)])
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []
