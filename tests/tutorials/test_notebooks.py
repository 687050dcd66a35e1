"""Notebooks: what the chapters say, as a code host shows it.

A notebook is text here, so most of this needs neither Jupyter nor jupytext.
"""

import base64
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cells
import make_notebooks
import pytest
from processes import environment

CHAPTERS = list(cells.chapters().values())
EDITIONS = [(path, solved) for path in CHAPTERS for solved in (False, True)]
NAMES = [f"{path.stem}{', solved' * solved}" for path, solved in EDITIONS]
LINES = 40  # of one output
PICTURE, EDITION = 300_000, 8_000_000  # bytes


def notebook(path, solved):
    file = make_notebooks.FOLDERS[solved] / f"{path.stem}.ipynb"
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path, solved", EDITIONS, ids=NAMES)
def test_a_notebook_says_what_its_chapter_says(path, solved):
    expected = cells.edition(path, make_notebooks.FOLDERS[solved], solved)
    found = notebook(path, solved)["cells"]
    assert [cell["cell_type"] for cell in found] == [
        "markdown" if cell.is_prose else "code" for cell in expected
    ]
    for cell, wanted in zip(found, expected):
        assert "".join(cell["source"]) == wanted.source
    assert make_notebooks.is_current(path, solved), "python -m tutorials --notebooks"


@pytest.mark.parametrize("path, solved", EDITIONS, ids=NAMES)
def test_a_notebook_has_been_run(path, solved):
    """All of it, but the checks that nobody has solved; no error, no warning, nothing long."""
    pictures = 0
    for cell in notebook(path, solved)["cells"]:
        if cell["cell_type"] != "code":
            continue
        check = cell["metadata"].get("title", "").startswith("[check")
        assert (cell["execution_count"] is None) == (check and not solved)
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", output
            text = "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
            assert len(text.splitlines()) <= LINES and "\x1b" not in text
            assert "object at 0x" not in text
            for picture in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
                pictures += 1
                assert len(base64.b64decode(output["data"][picture])) <= PICTURE
                assert len(output["metadata"][picture]["alt"]) > 40
    saved = re.findall(r"^ *save\(", path.read_text(encoding="utf-8"), re.M)
    assert pictures >= 1 and (not solved or pictures == len(saved))


def test_an_edition_is_small():
    for folder in make_notebooks.FOLDERS.values():
        assert sum(file.stat().st_size for file in folder.glob("*.ipynb")) < EDITION
        assert sorted(file.stem for file in folder.glob("*.ipynb")) == [p.stem for p in CHAPTERS]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_formulas_survive_markdown(path):
    r"""Markdown is read before TeX: ``\,`` loses its backslash, ``*`` may begin italics."""
    for cell in cells.read(path):
        if not cell.is_prose:
            continue
        text, where = re.sub(r"`[^`]*`", "", cell.source), f"{path.name}, cell in line {cell.line}"
        assert text.count("$$") % 2 == 0 and text.replace("$$", "").count("$") % 2 == 0, where
        for match in re.finditer(r"\$\$(.+?)\$\$|\$([^$]+?)\$", text, re.S):
            formula, told = match[1] or match[2], f"{where}: {match[0]}"
            assert not re.search(r"\\[^a-zA-Z ]", formula), told  # an escape in Markdown
            assert not re.search(r"\*", formula), told
            assert not re.search(r"<[a-zA-Z/!]", formula), told  # a tag of HTML
            if match[1]:
                before, after = text[: match.start()], text[match.end() :]
                assert re.search(r"(^|\n\n)$", before) and re.match(r"\s*$|\n\n", after), told
            else:
                assert formula == formula.strip() and "\n" not in formula, told
                around = text[: match.start()][-1:], text[match.end() :][:1]
                assert not any(letter.isalnum() for letter in around), told
        for line in text.splitlines():
            if line.startswith("|"):
                assert not any("|" in f for f in re.findall(r"\$([^$]+)\$", line)), where


def test_making_them_twice_changes_nothing(monkeypatch):
    """Also with another Matplotlib: nothing is run where nothing has changed."""
    monkeypatch.setattr(make_notebooks, "executed", None)
    pytest.importorskip("nbformat")
    assert all("is as it was" in make_notebooks.make(path, solved) for path, solved in EDITIONS)


@pytest.mark.skipif(not os.environ.get("CI"), reason="takes minutes; CI does it")
def test_the_notebooks_run():
    """The blank edition of two chapters, the solved edition of all."""
    pytest.importorskip("jupytext")
    pytest.importorskip("nbclient")
    wanted = [(path, True) for path in CHAPTERS[::-1]] + [(path, False) for path in CHAPTERS[2:5:2]]
    code = """
import sys
from pathlib import Path
import cells, make_notebooks
path, solved = Path(sys.argv[1]), sys.argv[2] == "True"
folder = make_notebooks.FOLDERS[solved]
blank = make_notebooks.as_notebook(cells.edition(path, folder, solved))
made = make_notebooks.executed(blank, folder, solved)
outputs = [output for cell in made.cells for output in cell.get("outputs", ())]
assert not [output for output in outputs if output["output_type"] == "error"]
assert any("image/png" in output.get("data", {}) for output in outputs)
"""

    def run(path, solved):  # in a process, since event loops are left behind
        command = [sys.executable, "-c", code, str(path), str(solved)]
        settings = {"cwd": cells.HERE, "capture_output": True, "text": True, "check": False}
        return subprocess.run(command, env=environment(), **settings)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(run, *zip(*wanted)):
            assert done.returncode == 0, done.stdout + done.stderr
