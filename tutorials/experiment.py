"""Experiments at two speeds: small in every run of a chapter, the paper's with ``--full``, whose results are kept in ``results/``.

A full experiment is a number of jobs, a model and a seed each, say. The result of each is written to ``results/NAME.json`` as soon as it is
there, with the settings and the versions of all that computed it; interrupted, it goes on from there. A chapter's table is made from
that file.
"""

import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
FULL = "--full" in sys.argv
START = time.monotonic()


def full(name, settings, jobs):
    """Return the results of the full experiment, {job: result}; with ``--full``, do the jobs first that have none.

    Parameters
    ----------
    name : str
    settings : dict
        What the jobs depend upon, as JSON can say it. Results made with others are not mixed with these.
    jobs : dict
        Job, a string, to function without arguments, which returns a dict of numbers. Who changes what a job does deletes the file.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    settings = json.loads(json.dumps(settings))
    versions = {"tinyode": version("tinyode"), "numpy": np.__version__, "python": platform.python_version()}
    kept = _read(path) or {"settings": settings, "versions": versions, "results": {}}
    if kept["settings"] != settings:
        raise SystemExit(f"{path} was made with other settings, {kept['settings']}; delete it, and run again with --full to make it with "
                         f"{settings}")
    left = [job for job in jobs if job not in kept["results"]]
    if left and not FULL:
        raise SystemExit(f"{path} has no results of {left[0]!r} and {len(left) - 1} more jobs: run this chapter with --full")
    if left and kept["versions"] != versions:
        raise SystemExit(f"{path} was begun with other versions, {kept['versions']}, than these, {versions}; go on with those, or delete it")
    for number, job in enumerate(left, 1):
        print(f"{job} ({number} of {len(left)})", file=sys.stderr, flush=True)
        began = time.monotonic()
        result = {**jobs[job](), "seconds": round(time.monotonic() - began, 1)}
        kept = _read(path) or kept  # another process may be at other jobs
        kept["results"][job] = result
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(kept, indent=1, default=float))  # NumPy's numbers as Python's
        os.replace(part, path)  # whole or not at all
    return {job: kept["results"][job] for job in jobs}


def _read(path):
    """Return what a file has kept, None if there is none."""
    try:
        return json.loads(path.read_text()) if path.exists() else None
    except json.JSONDecodeError as error:
        raise SystemExit(f"{path} is damaged ({error}); delete it, and run again with --full") from error


def steps(n):
    """Yield 0, ..., n - 1, and say now and then, if this is a full experiment, how far it is and how long it will take."""
    began = said = time.monotonic()
    for i in range(n):
        yield i
        now = time.monotonic()
        if FULL and now - said > 5:
            said = now
            print(f"  step {i + 1} of {n}, {(now - began) / (i + 1) * (n - i - 1):.0f} s left", file=sys.stderr, flush=True)


def table(rows, *header):
    """Print rows of text, the first column to the left and the others to the right."""
    rows = [header, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[j]) for row in rows) for j in range(len(header))]
    for row in rows:
        print("  ".join(cell.ljust(width) if j == 0 else cell.rjust(width) for j, (cell, width) in enumerate(zip(row, widths))))


def spread(values, digits=2):
    """Write the mean and the standard deviation of numbers."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
