"""Hypothesis is deterministic where CI is set, and random at a desk.

A failing example is printed, so that it can be repeated.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "desk",
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session", autouse=True)
def chapter_runs(request, tmp_path_factory):
    """Run the chapters that are to be tested; return {path: future of (result, folder)}.

    They run beside the other tests, which need one processor. Each is run as a script, in a folder
    of its own, so that the figures of the repository stay as they are.
    """
    chapters = [
        item.callspec.params["path"]
        for item in request.session.items
        if item.name.startswith("test_chapter[")
    ]

    def run(path):
        folder = tmp_path_factory.mktemp(path.stem)
        (folder / "figures").mkdir()
        environment = {"PYTHONPATH": str(path.parent.parent), "MPLBACKEND": "Agg", "PATH": ""}
        return (
            subprocess.run(
                [sys.executable, "-W", "error", str(path)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            ),
            folder,
        )

    with ThreadPoolExecutor(1) as pool:
        yield {path: pool.submit(run, path) for path in chapters}
        pool.shutdown(cancel_futures=True)
