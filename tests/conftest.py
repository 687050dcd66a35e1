"""Hypothesis is deterministic where CI is set, and random at a desk. No test opens a window.

A failing example is printed, so that it can be repeated.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, settings

os.environ["MPLBACKEND"] = "agg"
os.environ.setdefault("PYTHONIOENCODING", "utf-8")  # of the programs that tests start, on Windows
settings.register_profile(
    "desk",
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session")
def beside():
    """Return what runs functions beside the tests, one after another; tests need one processor."""
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)


def selected(session, test):
    """Return the parameters of a test with which it is to run."""
    return [item.callspec.params for item in session.items if item.name.startswith(f"{test}[")]


@pytest.fixture(scope="session", autouse=True)
def chapter_runs(request, beside, tmp_path_factory):
    """Run the chapters that are to be tested; return {path: future of (result, folder)}.

    Each is run as a script, in a folder of its own, so that the figures of the repository stay as
    they are.
    """

    def run(path):
        folder = tmp_path_factory.mktemp(path.stem)
        (folder / "figures").mkdir()
        ours = {"PYTHONPATH": str(path.parent.parent), "MPLBACKEND": "Agg", "PATH": ""}
        return (
            subprocess.run(
                [sys.executable, "-W", "error", str(path)],
                cwd=folder,
                env=os.environ | ours,  # Windows cannot do without some of them
                capture_output=True,
                encoding="utf-8",
                check=False,
            ),
            folder,
        )

    chapters = [params["path"] for params in selected(request.session, "test_chapter")]
    return {path: beside.submit(run, path) for path in chapters}


@pytest.fixture(scope="session", autouse=True)
def exercise_runs(request, beside, chapter_runs, tmp_path_factory):
    """Run the exercises that are to be tested; return {exercise: future of what was found}."""
    exercises = [p["exercise"] for p in selected(request.session, "test_an_exercise_alone")]
    if exercises:
        from test_exercises import run_alone  # whose folder is on the path when it is selected

        folder = tmp_path_factory.mktemp("exercises")
        return {exercise: beside.submit(run_alone, exercise, folder) for exercise in exercises}
    return {}
