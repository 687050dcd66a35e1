"""Chapters run, and files are read, on any terminal: one that has few letters too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def course(tmp_path):
    """A course of one chapter with letters that ASCII has not, in title, prose and output."""
    (tmp_path / "tutorials").mkdir()
    for path in (ROOT / "tutorials").glob("[a-z_]*.py"):
        shutil.copy(path, tmp_path / "tutorials")
    (tmp_path / "tutorials" / "01_greek.py").write_text(
        """# %% [markdown]
# # Größe: δ ≥ 0
# Prose — with λ.

# %%
from experiment import spread, table
table([("é", spread([1.0, 2.0]))], "what", "how much")
print("−1 ± λ")
""",
        encoding="utf-8",
    )
    return tmp_path


@pytest.mark.parametrize("arguments", [["--list"], ["1"], ["1", "--step"], []])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_chapters_run_where_the_terminal_has_few_letters(course, arguments, encoding):
    environment = {**os.environ, **ASCII, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-X",
        "warn_default_encoding",
        "-W",
        "error",
        "-m",
        "tutorials",
        *arguments,
    ]
    ran = subprocess.run(
        command,
        cwd=course,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0 and not ran.stderr, ran.stderr
    out = ran.stdout.decode(encoding)
    assert {"ascii": "Gr??e: ? ? 0", "latin-1": "Größe: ? ? 0", "utf-8": "Größe: δ ≥ 0"}[
        encoding
    ] in out
    if "1" in arguments:
        assert {"ascii": "1.50 ? 0.71", "latin-1": "1.50 ± 0.71", "utf-8": "1.50 ± 0.71"}[
            encoding
        ] in out


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_chapter_as_a_script_does_too(course, encoding):
    environment = {**os.environ, **ASCII, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-W", "error", course / "tutorials" / "01_greek.py"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert {"ascii": "?1 ? ?", "utf-8": "−1 ± λ"}[encoding] in ran.stdout.decode(encoding)


def test_the_list_of_the_course_under_ascii():
    ran = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-W", "error", "-m", "tutorials", "--list"],
        cwd=ROOT,
        env={**os.environ, **ASCII},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == 0 and not ran.stderr and len(ran.stdout.splitlines()) >= 10, ran.stderr


def test_the_package_reads_its_own_files_as_utf8():
    code = (
        "from tinyode import datasets; datasets.lynx_hare(); datasets.digits(); "
        "import tinyode.models, tinyode.testing"
    )
    ran = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning", "-c", code],
        cwd=ROOT,
        env={**os.environ, **ASCII},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
