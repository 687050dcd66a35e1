"""The chapters run as tests: each checks its own lines. The ledger holds together."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
pytest.importorskip("matplotlib")


def run(*arguments, cwd=ROOT, **settings):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
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
    assert "Exercises" in path.read_text() and "## Sources" in path.read_text()


def test_experiments_are_kept_resumed_and_not_mixed(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location(
        "experiment_here", ROOT / "tutorials" / "experiment.py"
    )
    experiment = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(experiment)
    monkeypatch.setattr(experiment, "RESULTS", tmp_path)
    path, done = tmp_path / "x.json", []

    def job(name, fails=False):
        def measure():
            done.append(name)
            if fails:
                raise KeyboardInterrupt
            return {"found": np.float32(0.5), "n": np.int64(3)}

        return measure

    with pytest.raises(
        SystemExit, match="no results of 'a' and 1 more jobs: run this chapter with --full"
    ):
        experiment.full("x", {"n": 1}, {"a": job("a"), "b": job("b")})
    monkeypatch.setattr(experiment, "FULL", True)
    with pytest.raises(KeyboardInterrupt):
        experiment.full("x", {"n": 1}, {"a": job("a"), "b": job("b", fails=True)})
    other = json.loads(path.read_text())
    other["results"]["c"] = {"found": 7.0}  # of another process
    path.write_text(json.dumps(other))
    found = experiment.full("x", {"n": 1}, {"a": job("a"), "b": job("b")})
    assert done == ["a", "b", "b"] and found["a"]["found"] == 0.5 and found["b"]["n"] == 3.0
    kept = json.loads(path.read_text())
    assert set(kept["results"]) == {"a", "b", "c"} and kept["settings"] == {"n": 1}
    assert set(kept["versions"]) == {"tinyode", "numpy", "python"}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    assert "b (1 of 1)" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="made with other settings"):
        experiment.full("x", {"n": 2}, {"a": job("a")})
    path.write_text(json.dumps({**kept, "versions": {"numpy": "1.0"}}))
    there = experiment.full("x", {"n": 1}, {"a": job("a")})  # reads what is there
    assert there["a"]["found"] == 0.5
    with pytest.raises(SystemExit, match="begun with other versions"):
        experiment.full("x", {"n": 1}, {"d": job("d")})
    path.write_text("{")
    with pytest.raises(SystemExit, match="is damaged"):
        experiment.full("x", {"n": 1}, {"a": job("a")})
    assert list(experiment.steps(3)) == [0, 1, 2]


def test_a_job_for_each_case(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "experiment_by_cases", ROOT / "tutorials" / "experiment.py"
    )
    experiment = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(experiment)
    monkeypatch.setattr(experiment, "RESULTS", tmp_path)
    monkeypatch.setattr(experiment, "FULL", True)
    measure = lambda name, seed: {"found": 10 * seed, "letters": len(name)}
    cases = [("net", 1), ("ode", 2)]
    found = experiment.each("x", {}, measure, cases, "{}, seed {}")
    assert list(found) == cases
    assert [found[case]["found"] for case in cases] == [10, 20]
    assert set(json.loads((tmp_path / "x.json").read_text())["results"]) == {
        "net, seed 1",
        "ode, seed 2",
    }


def test_the_ledger_has_every_id_that_is_used_and_names_what_exists():
    ledger = (ROOT / "tutorials" / "SOURCES.md").read_text()
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
                path.read_text(),
            )
        )
        assert used <= ids, (path, used - ids)
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", ledger):
        assert f"def {name}(" in tests, name
    for chapter in re.findall(r"`(\d\d_\w+)`", ledger):
        assert (ROOT / "tutorials" / f"{chapter}.py").exists(), chapter
