"""A student's own copy of a chapter: made, and checked exercise by exercise.

Each exercise runs in a process of its own, with a limit of time and of memory, in a folder that is
deleted afterwards. So an answer that hangs, crashes or deletes its working directory is one
exercise lost. This needs no fork and no signal, and works the same on Windows, macOS and Linux.
"""

import ast
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cells
from make_notebooks import as_notebook, as_text
from processes import environment, kill, watch

SECONDS = 60.0  # for one exercise: the longest of our own takes less than a tenth of it


class Result(NamedTuple):
    """What became of an exercise; the status is one of ``STATUSES``."""

    id: str
    level: int
    status: str
    message: str


STATUSES = ("done", "not begun", "wrong", "late", "crashed")


def make_copy(path, folder):
    """Write a student's copy of a chapter, a script and, if jupytext is there, a notebook.

    What is there already is left as it is.

    Returns
    -------
    list of (Path, bool)
        The files, and whether each was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blank = cells.edition(path, folder.resolve(), solved=False)
    texts = {folder / path.name: cells.script(blank)}
    with contextlib.suppress(ImportError):
        texts[folder / f"{path.stem}.ipynb"] = as_text(as_notebook(blank))
    made = []
    for file, content in texts.items():
        try:
            with file.open("x", encoding="utf-8") as new:
                new.write(content)
            made.append((file, True))
        except FileExistsError:
            made.append((file, False))
    return made


def find_copy(path, folder):
    """Return the student's copy of a chapter, a script or a notebook.

    Where both are there, it is the one that the student has begun to work in; of two, the one that
    was changed last.

    Raises
    ------
    FileNotFoundError
    """
    both = [folder / path.name, folder / f"{path.stem}.ipynb"]
    there = [file for file in both if file.is_file()]
    if not there:
        raise FileNotFoundError(
            f"there is no {both[0]}; make it with: python -m tutorials {int(path.name[:2])} --work"
            f" --in {folder}"
        )
    begun = [file for file in there if _is_begun(path, file)]
    return max(begun or there, key=lambda file: file.stat().st_mtime)


def check_copy(path, copy, asked, seconds=SECONDS, jobs=1):
    """Check exercises of a copy; return a `Result` for each.

    Parameters
    ----------
    path, copy : Path
        The chapter, and the student's copy.
    asked : dict
        {id: level}.
    seconds : float
        How long each may take.
    jobs : int
        How many run at the same time.
    """
    blank = _blank(path)
    try:
        theirs, unreadable = cells.read(copy, strict=False), ""
    except ValueError as error:
        theirs, unreadable = [], str(error)

    def check(exercise):
        if unreadable:
            return Result(exercise, asked[exercise], "crashed", unreadable)
        if not cells.answer(theirs, exercise):
            message = f"the cell `# %% [stub {exercise}]` is not in {copy.name}"
            return Result(exercise, asked[exercise], "not begun", message)
        if _code(theirs, exercise) == _code(blank, exercise):
            return Result(exercise, asked[exercise], "not begun", "")
        return Result(exercise, asked[exercise], *run_exercise(path, copy, exercise, seconds))

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(check, asked))


def _blank(path):
    """Return the cells of a chapter without the solutions."""
    return [cell for cell in cells.read(path) if cell.tag != "solution"]


def _is_begun(path, copy):
    """Whether an answer in a copy differs from the stub; also if the copy cannot be read."""
    blank = _blank(path)
    try:
        theirs = cells.read(copy, strict=False)
    except ValueError:
        return True
    return any(_code(theirs, one) != _code(blank, one) for one in cells.exercises(blank))


def _code(some, exercise):
    """Return what an answer says to Python, whatever its comments and its layout."""
    source = "\n".join(cell.source for cell in cells.answer(some, exercise))
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return source


def run_exercise(path, copy, exercise, seconds):
    """Return the status and the message of an exercise that was begun."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scratch, report = Path(folder, "scratch"), Path(folder, "report.json")
        scratch.mkdir()
        here = shutil.copy(copy, scratch)  # so that deleting the folder deletes nothing of theirs
        job = {"chapter": str(path), "copy": here, "exercise": exercise, "report": str(report)}
        job["folder"] = str(copy.parent.resolve())
        process = subprocess.Popen(
            [sys.executable, str(cells.HERE / "exercise.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=scratch,
            env=environment(),
            start_new_session=True,  # which Windows does not know, and ignores
        )
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(json.dumps(job).encode())
            ended = watch(process, seconds)
        finally:
            kill(process)
        if ended:
            return ended
        try:
            found = json.loads(report.read_text(encoding="utf-8"))
            return found["status"], found["message"]
        except (OSError, ValueError, KeyError):
            code = process.returncode
            return "crashed", f"the answer ends the process, without a word (exit code {code})"
