"""Experiments at two speeds.

Small ones are made in every run of a chapter. Full ones, as in the papers, are made with
``--full``, and their results are kept in ``results/``.

A full experiment is a number of jobs, for example a model and a seed each. They are handed to an
executor (see `executors`), so they may be done by several processes or computers. This process
alone writes: the result of each job goes to ``results/NAME.json`` as soon as it is there, with the
settings and the versions of all that computed it. An experiment that was interrupted goes on from
there. A chapter's table is made from that file.
"""

import contextlib
import errno
import functools
import json
import os
import platform
import signal
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from pathlib import Path

import executors
import numpy as np
from executors import say
from job import VERSIONS, as_json, job_of, run, told

from tinyode import tree

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None
    import msvcrt

RESULTS = Path(__file__).parent / "results"
FULL = "--full" in sys.argv
WORKERS = functools.partial(executors.Processes, 2)  # who does the jobs, if nobody else is given
PAUSE = 0.2  # seconds; Ctrl-C is seen between two waits
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # of some file systems of a network
if sys.__stdout__:  # where a chapter is run as a script, and a terminal has no ±: a question mark
    with contextlib.suppress(OSError):  # in a notebook whose maker's output goes to a file
        sys.__stdout__.reconfigure(errors="replace")


def full(name, settings, jobs, executor=None):
    """Return the results of the full experiment, {job: result}.

    With ``--full``, the jobs that have no result are done first.

    Parameters
    ----------
    name : str
    settings : dict
        What the jobs depend upon, as JSON can say it. Results of other settings are not mixed with
        these.
    jobs : dict
        The name of each job, and a tuple: a function that stands at the top level of a chapter, and
        its arguments. It returns a dict of numbers, to which its ``"seconds"`` are added, with None
        where a number is NaN or infinite; or a pair of such a dict and {file name: containers of
        arrays}, kept as files beside it, whose names end in ``.npz``. It depends on nothing but its
        arguments and what the chapter defines above it, and writes no files. Whoever changes what a
        job does deletes the file of results.
    executor : concurrent.futures.Executor, optional
        Who does the jobs, for example ``MPIPoolExecutor()`` of mpi4py. By default ``WORKERS``
        gives one.

    Raises
    ------
    SystemExit
        If results are missing without ``--full``; if the file is damaged, of other settings or
        versions, or if another run is working on it.
    ValueError
        If a number of `settings` is NaN or infinite.
    RuntimeError
        If a job has failed. The others are done and kept first.
    KeyboardInterrupt
        After Ctrl-C, with a message. What was done is kept.
    """
    settings = as_json(settings, f"the settings of {name} are")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    kept = _read(path, settings)
    left = [name for name in jobs if name not in kept["results"]]
    if left and not FULL:
        raise SystemExit(
            f"{path} has no results of {left[0]!r} and {len(left) - 1} more jobs: run this chapter"
            " with --full"
        )
    if left:
        with _alone(path):
            kept = _read(path, settings)  # as another run may have left it meanwhile
            left = [name for name in jobs if name not in kept["results"]]
            left = [job_of(name, *jobs[name]) for name in left]
            _check_versions(path, kept, left)
            given = contextlib.nullcontext(executor) if executor else WORKERS()
            with _interrupts() as asked, given as workers:
                _complete(path, kept, left, workers, asked)
    return {name: kept["results"][name] for name in jobs}


def each(name, settings, measure, cases, called, executor=None):
    """Return {case: result} of the full experiment with a job, ``measure(*case)``, for each case.

    Parameters
    ----------
    name, settings, executor
        As in `full`.
    measure : function
        As in `full`.
    cases : list of tuple, or dict
        A dict where a job needs more than its case, for example what an earlier experiment found:
        {case: the arguments of ``measure``}.
    called : str
        The name of a job in the file, made from its case, for example ``"{}, seed {}"``.

    Raises
    ------
    ValueError
        If two cases have the same name.
    """
    cases = cases if isinstance(cases, dict) else {case: case for case in cases}
    names = {case: called.format(*case) for case in cases}
    jobs = {names[case]: (measure, *cases[case]) for case in cases}
    if len(jobs) < len(cases):
        raise ValueError(
            f"called={called!r} names {len(cases)} cases with {len(jobs)} names, {', '.join(jobs)}:"
            " put every part of a case into it that differs"
        )
    found = full(name, settings, jobs, executor)
    return {case: found[names[case]] for case in cases}


@contextlib.contextmanager
def _interrupts():
    """Give an event, which Ctrl-C sets instead of raising an exception in the middle of a line."""
    asked, before = threading.Event(), signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    if ours:  # not where Ctrl-C is ignored, or comes to another thread
        signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _complete(path, kept, left, workers, asked):
    """Have jobs done, and put each result into `kept` and the file; then raise what they raised."""
    began, n, finished, failed = time.monotonic(), len(left), 0, {}
    say(f"{path.stem}: {n} jobs to do, {len(kept['results'])} are done")
    names = {}
    try:
        names.update((workers.submit(run, job), job.name) for job in left)
        waiting = set(names)
        ending = False
        while waiting and not ending:
            ending = asked.is_set()  # after a last look at what was done meanwhile
            done, waiting = wait(waiting, PAUSE, FIRST_COMPLETED)
            for future in done:
                finished += 1
                name = names[future]
                error = _error_of(future)
                try:
                    what = error or _keep(path, kept, name, *future.result())
                except (TypeError, ValueError) as cannot_be_saved:
                    error = cannot_be_saved
                if error:
                    failed[name] = error
                    what = f"failed, {told(error)}"
                say(f"{name}: {what} ({_progress(finished, n, began)})")
    finally:
        for future in names:
            future.cancel()
    there = "no result is kept"
    if path.exists():
        there = f"{len(kept['results'])} results are kept in {path}"
    if asked.is_set():
        raise KeyboardInterrupt(f"{there}; the same command does the other jobs")
    if failed:
        name, error = next(iter(failed.items()))
        raise RuntimeError(
            f"{len(failed)} of {n} jobs failed; {there}, and the same command does the failed ones"
            f" again. {name!r}: {told(error)}"
        ) from error


def _error_of(future):
    """Return what a job has raised, None if it is done."""
    if future.cancelled():
        return CancelledError("its executor has dropped it: is that still running?")
    return future.exception()


def _keep(path, kept, name, numbers, files):
    """Put the result of a job into the file, after the files that it wants to be kept."""
    for file, arrays in files.items():
        tree.save(path.parent / file, arrays)
    kept["results"][name] = numbers
    _write(path, kept)
    return f"done in {numbers['seconds']:g} s"


def _progress(done, n, began):
    """Say how long all workers will take for the other jobs, if they are like those done so far."""
    left = (time.monotonic() - began) / done * (n - done)
    about = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} minutes"
    return f"{done} of {n}" + (f", about {about} left" if done < n else "")


def _write(path, kept):
    """Write a file, whole or not at all."""
    part = path.with_suffix(".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(path):
    """Refuse a second run on a file of results until this one is left.

    The lock is one of the operating system, which frees it when a process ends, however it ends. It
    needs a file that is never exchanged: one beside the results, which says who has the lock.
    """
    with path.with_suffix(".lock").open("a+", encoding="utf-8") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                file.seek(2**30)  # behind its end, since others cannot read what Windows has locked
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in NO_LOCKS:
                say(f"{path} cannot be locked here ({error}): start no second run of it")
                yield
                return
            file.seek(0)
            raise SystemExit(
                f"another run is working on {path}, {file.read()}: wait until it is done, or end it"
                " (what it has done is kept)"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def _check_versions(path, kept, left):
    """Refuse to put results of other versions into one file; note ours, which the jobs require."""
    versions = {what: left[0].made_with[what] for what in VERSIONS} if left else kept["versions"]
    if kept["versions"] not in ({}, versions):
        raise SystemExit(
            f"{path} was begun with other versions, {kept['versions']}, than these, {versions}."
            " Delete the file, and the same command makes all of it with these; or install those"
        )
    kept["versions"] = versions


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
