"""One job of an experiment, done in any process that has this checkout.

What is sent to the process is plain data: a file, the name of a function that stands in it at the
top level, and its arguments. Of the file no more is run than the definitions that the function
needs. The process first checks that it has the same files and versions as the run that asks for it.

``python job.py`` is started by `executors.Processes`: it reads a job from its standard input and
writes the result to its standard output.
"""

import ast
import functools
import hashlib
import inspect
import json
import os
import pickle
import platform
import re
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import cells
import exercise
import numpy as np
from needed import definitions

import tinyode

VERSIONS = ("tinyode", "numpy", "python")
PARSING = threading.Lock()  # `ast.parse` in two threads at a time fails in Python 3.11
EXPERIMENTS = {"each", "full", "experiment.each", "experiment.full"}  # how a chapter calls them


class Job(NamedTuple):
    """What a worker is sent.

    Attributes
    ----------
    name : str
        What the file of results calls it.
    file : str
        Where the function stands; relative to this folder.
    function : str
    line : int
        Where the function begins. What stands below it is not run.
    arguments : tuple
    made_with : dict
        What the worker must have, see `made_with`.
    """

    name: str
    file: str
    function: str
    line: int
    arguments: tuple
    made_with: dict


def job_of(name, function, *arguments):
    """Return a job that can be sent.

    Raises
    ------
    TypeError
        If a worker could not find the function by its name.
    """
    known = getattr(function, "__globals__", {})
    if known.get(getattr(function, "__name__", None)) is not function:
        raise TypeError(
            f"the job {name!r} is {function!r}, which a worker cannot find by its name: define it"
            " with `def` at the top level of the chapter, and pass what it needs as arguments"
        )
    code = inspect.unwrap(function).__code__  # not that of a decorator
    path = Path(code.co_filename).resolve()
    file = path.name if path.parent == cells.HERE else str(path)
    made = dict(_made_at_first(path))
    return Job(name, file, function.__name__, code.co_firstlineno, arguments, made)


def _digest(files, begun=None):
    """Return a digest of files, with the line ends of any system."""
    digest = begun.copy() if begun else hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest


def _shared():
    """Return the files that every job may use: tinyode with its data, and this folder's modules."""
    package = Path(tinyode.__file__).parent
    found = [*package.rglob("*.py"), *package.glob("data/*.*"), *cells.HERE.glob("[!0-9]*.py")]
    return sorted(found, key=Path.as_posix)


# Taken when this process begins: what it has loaded does not change when a file does.
SHARED = _digest(_shared())


def made_with(path):
    """Return what computes a result: versions, and a digest of the shared files and this one."""
    digest = _digest([path], SHARED).hexdigest()[:12]
    values = tinyode.__version__, np.__version__, platform.python_version()
    return {**dict(zip(VERSIONS, values)), f"files (tinyode, tutorials, {path.name})": digest}


_made_at_first = functools.cache(made_with)  # so that all jobs of a run have the same file
for _path in (*cells.chapters().values(), Path(sys.argv[0]).resolve()):  # one is the run's
    if _path.is_file():
        _made_at_first(_path)


def run(job):
    """Do a job.

    Returns
    -------
    numbers : dict
        What its function returns, as JSON can say it, and how many seconds it took.
    files : dict
        {name: containers of arrays} that the function wants to be kept beside its numbers.

    Raises
    ------
    RuntimeError
        If this process has other files or versions than the run that asks.
    TypeError, ValueError
        If the function returns something else.
    """
    path = cells.HERE / job.file
    mine = made_with(path)
    others = [
        f"{x} {mine[x]}, not {value}" for x, value in job.made_with.items() if mine[x] != value
    ]
    if others:
        raise RuntimeError(
            f"process {os.getpid()} on {platform.node()} has {'; '.join(others)}: a worker needs"
            " the versions and the checkout of the run, no file may change during the run, and a"
            " worker that began before a change must be started again"
        )
    function = function_of(path, job.function, job.line)
    began = time.monotonic()
    found = function(*job.arguments)
    seconds = round(time.monotonic() - began, 1)
    pair = found if isinstance(found, tuple) else (found, {})
    dicts = len(pair) == 2 and all(isinstance(part, dict) for part in pair)
    if not dicts or "seconds" in pair[0]:
        raise TypeError(
            f"{job.function} returned {found!r:.60}; it should return a dict of numbers, without"
            " 'seconds', which is added; or a pair: the dict, and {file name: arrays} to be kept"
        )
    numbers, files = pair
    for file in files:
        if not re.fullmatch(r"[^/\\:]+\.npz", str(file)):
            raise ValueError(
                f"{job.function} wants {file!r} to be kept: a file's name ends in .npz and has no"
                " folder"
            )
    numbers = as_json({**numbers, "seconds": seconds}, f"{job.function} returned")
    return numbers, files


def as_json(found, whose):
    """Return what JSON makes of numbers, those of NumPy too.

    Raises
    ------
    ValueError
        If one of them is NaN or infinite: other readers of JSON do not know these.
    """
    try:
        return json.loads(json.dumps(found, default=float, allow_nan=False))
    except ValueError as error:
        raise ValueError(
            f"{whose} {found!r:.200}, which JSON cannot say ({error}): put None where a number is"
            " NaN or infinite"
        ) from error


def function_of(path, name, line):
    """Return a function of a file, after running the definitions that it needs.

    Raises
    ------
    ValueError
        If it needs the results of another experiment: the worker may have others.
    """
    code = [cell for cell in cells.read(path) if cell.tag in ("", "solution")]
    with PARSING:
        above = [s for s in exercise.statements_of(code, path) if _begins(s.code) <= line]
    some = definitions({name}, above)
    for s in some:
        called = {ast.unparse(n.func) for n in ast.walk(s.code) if isinstance(n, ast.Call)}
        if isinstance(s.code, ast.Assign) and called & EXPERIMENTS:
            raise ValueError(
                f"{name} needs {', '.join(sorted(s.binds))}, the results of another experiment"
                f" ({path.name}, line {s.code.lineno}): pass what it needs as arguments"
            )
    namespace = {"__name__": "__main__", "__file__": str(path)}
    exercise.run(some, namespace)
    return namespace[name]


def _begins(code):
    """Return the line where a statement begins, which is that of its first decorator."""
    return min(node.lineno for node in (code, *getattr(code, "decorator_list", ())))


def main():
    """Do what standard input says; write (result, None, "") or (None, error, traceback)."""
    asking, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a job and its programs have nothing to read
    os.dup2(2, 1)  # what a job prints is not its result, nor what programs print that it starts
    sys.stdout = sys.stderr
    try:
        function, asked = pickle.load(asking)
        threading.Thread(target=_end_with_the_run, args=(asking,), daemon=True).start()
        answer = pickle.dumps((function(asked), None, ""))
    except BaseException as error:
        answer = _answer_of(error)
    output.write(answer)
    output.flush()
    os._exit(0)  # whatever threads are left


def _answer_of(error):
    text = traceback.format_exc()
    try:
        answer = pickle.dumps((None, error, text))
        pickle.loads(answer)
    except Exception:  # it cannot be sent
        error = RuntimeError(told(error))
        answer = pickle.dumps((None, error, text))
    return answer


def told(error):
    """Say what was raised."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # of its own __str__
        return f"{type(error).__name__}, whose text cannot be made"


def _end_with_the_run(asking):
    """End this process when the one that asks has ended, whose end of the pipe is then closed."""
    asking.read()
    os._exit(1)


if __name__ == "__main__":
    main()
