"""The chapters run as tests: each checks its own lines. The ledger holds together."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
pytest.importorskip("matplotlib")


def run(*arguments, cwd=ROOT, **settings):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        check=False,
        **settings,
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter(path, chapter_runs):
    """It runs without a warning, and draws its figures."""
    result, folder = chapter_runs[path].result()
    assert result.returncode == 0, result.stdout + result.stderr
    drawn = {figure.name for figure in (folder / "figures").iterdir()}
    assert drawn == {figure.name for figure in (ROOT / "figures").glob(f"{path.name[:2]}_*.png")}
    text = path.read_text(encoding="utf-8")
    assert "Exercises" in text and "## Sources" in text


def test_the_ledger_has_every_id_that_is_used_and_names_what_exists():
    ledger = (ROOT / "tutorials" / "SOURCES.md").read_text(encoding="utf-8")
    ids = set(re.findall(r"\b(?:[PGNS]\d+|[PGNS]-[a-z]+\d?|G-ex[12]|G-alg2|S-alg[12])\b", ledger))
    for path in [
        *CHAPTERS,
        *(ROOT / "tests").rglob("test_*.py"),
        *(ROOT / "tinyode").rglob("*.py"),
    ]:
        used = set(
            re.findall(
                r"\b[PGNS]\d+\b|\b[PGNS]-(?:alg\d|ex\d|batch|black|control|err|flow|irregular|latent|lower|mem|param|pseudo"
                r"|rnn|scheme|solvers|steps|tangent|time|tol|unique)\b",
                path.read_text(encoding="utf-8"),
            )
        )
        assert used <= ids, (path, used - ids)
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    for name in re.findall(r"`(test_\w+)`", ledger):
        assert f"def {name}(" in tests, name
    for chapter in re.findall(r"`(\d\d_\w+)`", ledger):
        assert (ROOT / "tutorials" / f"{chapter}.py").exists(), chapter
