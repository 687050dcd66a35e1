"""The command line: chapters listed, refused, run, and shown step by step."""

import importlib.util
import os
import subprocess
import sys

import cells
import pytest

ROOT = cells.HERE.parent


@pytest.fixture
def runner():
    """Return the module that `python -m tutorials` runs."""
    path = ROOT / "tutorials" / "__main__.py"
    spec = importlib.util.spec_from_file_location("tutorials_main", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_chapters_are_listed_and_others_refused(runner, capsys):
    assert runner.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert len(listed.splitlines()) == 11 and " 1  Euler's method" in listed
    for arguments, said in [
        (["99"], "there is no chapter 99; the chapters are 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"),
        (["--jobs", "0"], "--jobs 0 must be a number above zero"),
        (["1", "--check", "--seconds", "-1"], "--seconds -1.0 must be a number above zero"),
        (["1", "2", "--check"], "--check is for one chapter"),
        (["--check"], "--check is for one chapter"),
        (["1", "--check", "--seconds", "inf"], "--seconds inf must be a number above zero"),
        (["1", "--check", "--level", "7"], "invalid choice"),
        (["1", "--json"], "--json is for --check"),
        (["7", "--executor", "dask://127.0.0.1:8786"], "--executor is for --full"),
        (["7", "--executor="], "--executor is for --full"),
        (["7", "--full", "--executor", "dask"], "--executor 'dask' must be like dask://127.0.0.1:"),
        (["7", "--full", "--executor="], "--executor '' must be like dask://127.0.0.1:8786"),
        (["1", "--level", "1"], "--level is for --check"),
        (["--check", "inf"], "--check is for one chapter"),
        (["1", "--check", "1e400"], "chapter 1 has no exercise 1e400"),
        (["--play", "pendulum"], "there is no scene 'pendulum'; the scenes are euler, "),
        (
            ["--play", "adjoint"],
            "a scene needs a window, and Matplotlib's backend 'agg' opens none",
        ),
    ]:
        with pytest.raises(SystemExit) as refused:
            runner.main(arguments)
        assert refused.value.code == 2 and said in capsys.readouterr().err


def test_scenes_are_listed(runner, capsys):
    assert runner.main(["--play"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("adjoint    chapter  5: push a pendulum") for line in listed)


def test_a_chapter_step_by_step(runner, capsys, monkeypatch, small):
    monkeypatch.setattr(runner, "HERE", small.parent)
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "about 40")
    assert runner.main(["1", "--step"]) == 0
    out = capsys.readouterr().out
    assert "Some θ₀ prose" in out and "    factor = 2.0" in out
    assert asked.count("Your prediction: ") == 1 and asked.count("[Enter] ") == len(asked) - 1
    assert out.index("Predict. What is six") < out.index("    print(6 * 7)") < out.index("\n42\n")
    assert out.index("\n42\n") < out.index("(You predicted: about 40)")
    assert out.count("You predicted") == 1
    assert "Exercise 1.1 (level 1). Write `triple`." in out
    assert "You are given, for exercise 1.1:" in out and "A solution of exercise 1.1:" in out


def test_the_end_of_input_goes_on(runner, monkeypatch, small):
    def end(prompt=""):
        raise EOFError

    monkeypatch.setattr(runner, "HERE", small.parent)
    monkeypatch.setattr("builtins.input", end)
    assert runner.main(["1", "--step"]) == 0


def test_solutions_and_checks_run_and_stubs_do_not(runner, capsys, monkeypatch, small):
    monkeypatch.setattr(runner, "HERE", small.parent)
    text = small.read_text(encoding="utf-8").replace("six = ...", "raise RuntimeError")
    small.write_text(text, encoding="utf-8")
    assert runner.main(["1"]) == 0 and "done in 0 s" in capsys.readouterr().out
    small.write_text(text.replace("six = triple(2.0)", "six = 7.0"), encoding="utf-8")
    assert runner.main(["1"]) == 1
    captured = capsys.readouterr()
    assert "failed" in captured.out and "AssertionError: six is 7.0" in captured.err


def test_full_experiments_are_made_by_whom_the_options_say(runner, monkeypatch, small, capsys):
    import executors
    import experiment

    text = small.read_text(encoding="utf-8").replace("twice(x):", "twice(x=1):")
    text += (
        '\n# %%\nfrom experiment import full\n\n\ndef job():\n    return {"found": twice()}\n\n\n'
    )
    text += 'print("made", full("x", {}, {"a": (job,)})["a"]["found"])\n'
    small.write_text(text, encoding="utf-8")
    monkeypatch.setattr(runner, "HERE", small.parent)
    monkeypatch.setattr(experiment, "RESULTS", small.parent / "results")
    monkeypatch.setattr(experiment, "FULL", False)
    monkeypatch.setattr(experiment, "WORKERS", experiment.WORKERS)
    assert runner.main(["1"]) == 1 and "run this chapter with --full" in capsys.readouterr().err
    assert runner.main(["1", "--full", "--jobs", "1"]) == 0
    assert "made 2.0" in capsys.readouterr().out
    with experiment.WORKERS() as workers:
        assert isinstance(workers, executors.Processes) and workers._max_workers == 1
    asked = []
    monkeypatch.setattr(executors, "dask", asked.append)
    assert runner.main(["1", "--full", "--executor", "dask://host:1"]) == 0 and not asked
    experiment.WORKERS()
    assert asked == ["dask://host:1"]


def test_a_chapter_as_a_script_makes_its_experiments_too(course):
    """Though it has no main module that a worker could import."""
    text = (course / "01_small.py").read_text(encoding="utf-8")
    text += (
        '\n# %%\nfrom experiment import full\n\n\ndef job():\n    return {"found": twice(2)}\n\n\n'
    )
    text += 'print("made", full("x", {}, {"a": (job,), "b": (job,)})["b"]["found"])\n'
    (course / "01_small.py").write_text(text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "01_small.py", "--full"],
        cwd=course,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "made 4.0" in run.stdout and "a: done in 0 s" in run.stderr
    assert (course / "results" / "x.json").exists()


def test_all_chapters_in_processes(runner, capsys, monkeypatch, course):
    """A line each; of the one that fails all that it said, with the line of the file."""
    saved = '# %% [markdown]\n# # Figure\n\n# %%\nsave = print\nsave(0, "02_it")\n'
    (course / "02_figure.py").write_text(saved, encoding="utf-8")
    monkeypatch.setattr(runner, "HERE", course)
    assert runner.main([]) == 0
    out = capsys.readouterr().out.splitlines()
    assert any(line.startswith(" 1  Small: done in ") for line in out)
    assert any(line.startswith(" 2  Figure: done in ") for line in out)
    assert any(line.endswith(" s; figures/02_it.png") for line in out)
    broken = "# %% [markdown]\n# # Broken\n\n# %%\nprint('before')\n1 / 0\n"
    (course / "03_broken.py").write_text(broken, encoding="utf-8")
    assert runner.main(["--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert " 1  Small: done in" in out and " 3  Broken: failed" in out
    assert "before" in out and "ZeroDivisionError" in out and "line 6" in out
