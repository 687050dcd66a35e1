"""Experiments at two speeds.

Small ones are made in every run of a chapter. Full ones, as in the papers, are made with
``--full``, and their results are kept in ``results/``.

A full experiment is a number of jobs, for example a model and a seed each. The result of each job
is written to ``results/NAME.json`` as soon as it is there, with the settings and the versions of
all that computed it. An experiment that was interrupted goes on from there. A chapter's table is
made from that file. Several processes may work on one file, each at other jobs: they write one
after another.
"""

import contextlib
import functools
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None
    import msvcrt

RESULTS = Path(__file__).parent / "results"
FULL = "--full" in sys.argv
if sys.__stdout__:  # where a chapter is run as a script, and a terminal has no ±: a question mark
    sys.__stdout__.reconfigure(errors="replace")
START = time.monotonic()


def full(name, settings, jobs):
    """Return the results of the full experiment, {job: result}.

    With ``--full``, the jobs that have no result are done first.

    Parameters
    ----------
    name : str
    settings : dict
        What the jobs depend upon, as JSON can say it. Results of other settings are not mixed with
        these.
    jobs : dict
        The name of each job, and a function without arguments, which returns a dict of numbers.
        Whoever changes what a job does deletes the file.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    settings = json.loads(json.dumps(settings))
    with _alone() if FULL else contextlib.nullcontext():
        kept = _read(path, settings)
    left = [job for job in jobs if job not in kept["results"]]
    if left and not FULL:
        raise SystemExit(
            f"{path} has no results of {left[0]!r} and {len(left) - 1} more jobs: run this chapter"
            " with --full"
        )
    versions = _versions()
    if left:
        _check_versions(path, kept, versions)
    for number, job in enumerate(left, 1):
        print(f"{job} ({number} of {len(left)})", file=sys.stderr, flush=True)
        began = time.monotonic()
        result = {**jobs[job](), "seconds": round(time.monotonic() - began, 1)}
        with _alone():
            others = _read(path, settings)  # what other processes have put there meanwhile
            _check_versions(path, others, versions)
            results = {**kept["results"], **others["results"], job: result}
            kept = {"settings": settings, "versions": versions, "results": results}
            _write(path, kept)
    return {job: kept["results"][job] for job in jobs}


def each(name, settings, measure, cases, called):
    """Return {case: result} of the full experiment with a job, ``measure(*case)``, for each case.

    Parameters
    ----------
    name, settings
        As in `full`.
    measure : function
        It returns a dict of numbers.
    cases : list of tuple
    called : str
        The name of a job in the file, made from its case, for example ``"{}, seed {}"``.
    """
    names = {case: called.format(*case) for case in cases}
    jobs = {names[case]: functools.partial(measure, *case) for case in cases}
    found = full(name, settings, jobs)
    return {case: found[names[case]] for case in cases}


def _write(path, kept):
    """Write a file, whole or not at all."""
    part = path.with_suffix(".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1, default=float)  # NumPy's numbers as Python's
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone():
    """Keep all other processes and threads out of here until it is left.

    The lock is one of the operating system, which frees it when a process ends, however it ends. It
    needs a file that is always there and never exchanged: this one, of which nothing is changed.
    """
    with open(__file__, "rb+") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
            return
        file.seek(2**30)  # behind its end, since others cannot read what Windows has locked
        while True:
            with contextlib.suppress(OSError):  # which comes after ten seconds of waiting
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                break
        try:
            yield
        finally:
            file.seek(2**30)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


def _versions():
    """Return the versions of what computes a result."""
    try:
        ours = version("tinyode")
    except PackageNotFoundError:  # run from a checkout
        ours = "not installed"
    return {"tinyode": ours, "numpy": np.__version__, "python": platform.python_version()}


def _check_versions(path, kept, versions):
    """Refuse to put results of these versions into one file with those of others."""
    if kept["versions"] not in ({}, versions):
        raise SystemExit(
            f"{path} was begun with other versions, {kept['versions']}, than these, "
            f"{versions}; go on with those, or delete it"
        )


def _read(path, settings):
    """Return what a file has kept, nothing if there is none; refuse one of other settings."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"settings": settings, "versions": {}, "results": {}}
    except ValueError as error:  # of JSON, or of UTF-8
        message = f"{path} is damaged ({error}); delete it, and run again with --full"
        raise SystemExit(message) from error
    if not isinstance(kept, dict) or set(kept) != {"settings", "versions", "results"}:
        raise SystemExit(
            f"{path} is damaged, or another kind of file; delete it, and run again with --full"
        )
    if kept["settings"] != settings:
        raise SystemExit(
            f"{path} was made with other settings, {kept['settings']}; delete it, and "
            f"run again with --full to make it with {settings}"
        )
    return kept


def steps(n):
    """Yield 0, ..., n - 1; in a full experiment, say every five seconds how long it will take."""
    began = said = time.monotonic()
    for i in range(n):
        yield i
        now = time.monotonic()
        if FULL and now - said > 5:
            said, left = now, (now - began) / (i + 1) * (n - i - 1)
            print(f"  step {i + 1} of {n}, {left:.0f} s left", file=sys.stderr, flush=True)


def table(rows, *header):
    """Print rows of text, the first column to the left and the others to the right."""
    rows = [header, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[j]) for row in rows) for j in range(len(header))]
    for row in rows:
        padded = [cell.rjust(width) for cell, width in zip(row, widths)]
        print("  ".join([row[0].ljust(widths[0]), *padded[1:]]))


def spread(values, digits=2):
    """Write the mean and the standard deviation of numbers."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
