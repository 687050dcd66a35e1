"""Run one exercise of a student's copy, in a process of its own, and report.

``python exercise.py`` is started by `checking` with a job on its standard input, and writes what it
found to the file that the job names. What the student's code prints goes nowhere. The code may call
``sys.exit``, delete the folder that it runs in, or leave threads behind: nobody waits for them.
"""

import ast
import json
import linecache
import os
import sys
import traceback
from pathlib import Path

import cells
from needed import free, needed, statements

MESSAGE = 4000  # characters of a message that are kept


def remember(file, text):
    """Let messages show the lines of a file, also when it is deleted, or is none."""
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file


def statements_of(some, path):
    """Return the statements of cells, each with the number of its line.

    The cells of a notebook are files of their own to Python.
    """
    found = []
    for number, cell in enumerate(some, 1):
        file = str(path)
        if path.suffix == ".ipynb":
            tag = f"[{cell.tag} {cell.exercise}]" if cell.tag else f"{number} without a tag"
            file = f"the cell {tag}"
            remember(file, cell.source)
        found += statements(cell.source, file, cell.line)
    return found


def parsed(some, path):
    """Return the statements of those cells that can be parsed."""
    found = []
    for cell in some:
        try:
            found += statements_of([cell], path)
        except SyntaxError:  # in a cell that this exercise has nothing to do with
            continue
    return found


def earlier(chapter, copy, exercise, copied_from, path):
    """Return the statements that stand above an exercise.

    They are those of the chapter, with the student's answers in the place of ours. What the student
    has added anywhere else in the copy stands before them, so that an import of a student's own is
    found and nothing of the chapter is replaced.
    """
    found = []
    for cell in chapter:
        if cell.exercise == exercise:
            break
        if cell.tag == "":
            found += statements_of([cell], copied_from)
        if cell.tag == "stub":
            found += parsed(cells.answer(copy, cell.exercise), path)
    known = {ast.dump(s.code) for s in found}
    added = parsed([cell for cell in copy if cell.tag == ""], path)
    return [s for s in added if ast.dump(s.code) not in known] + found


def run(some, namespace):
    """Run statements, one after another."""
    for s in some:
        exec(compile(ast.Module([s.code], []), s.file, "exec"), namespace)


def judge(job):
    """Return the status of an exercise, and a message.

    Parameters
    ----------
    job : dict
        The paths of the ``chapter`` and of the ``copy``, and the ``exercise``.
    """
    copied_from, path = Path(job["chapter"]), Path(job["copy"])
    chapter, copy = cells.read(copied_from), cells.read(path)
    if path.suffix == ".py":
        remember(str(path), path.read_text(encoding="utf-8-sig"))
    namespace = {"__name__": "__main__", "__file__": str(path)}
    try:
        own = statements_of(cells.answer(copy, job["exercise"]), path)
        above = earlier(chapter, copy, job["exercise"], copied_from, path)
    except SyntaxError as error:
        return "crashed", told(error, path)
    checks = [c for c in chapter if (c.tag, c.exercise) == ("check", job["exercise"])]
    check = statements_of(checks, copied_from)
    wanted, checked = free(own + check), False
    try:
        run(needed(wanted, above), namespace)
        run(own, namespace)
        checked = True
        run(check, namespace)
    except BaseException as error:
        message = told(error, path)
        if checked and isinstance(error, AssertionError):
            return "wrong", (str(error) or message) + missing(chapter, copy, wanted)
        return "crashed", message + missing(chapter, copy, wanted)
    return "done", ""


def missing(chapter, copy, wanted):
    """Say which earlier exercises give a name that is wanted, and are not begun or lack it."""
    found = []
    for cell in chapter:
        if cell.tag == "stub":
            given = parsed([cell], Path())
            names = set().union(*(s.binds for s in given)) & wanted
            theirs = parsed(cells.answer(copy, cell.exercise), Path())
            bound = set().union(*(s.binds for s in theirs))
            same = [ast.dump(s.code) for s in given] == [ast.dump(s.code) for s in theirs]
            if names and (same or not names <= bound):
                found.append(cell.exercise)
    return f"\n(It needs your answer to {' and '.join(found)}.)" if found else ""


def told(error, path):
    """Say what was raised, and in which line of the copy; else in which line of the check."""
    if isinstance(error, SystemExit):
        text = f"the answer ends the program (SystemExit: {error.code})"
    else:
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
    if isinstance(error, SyntaxError):
        line = (error.text or "").strip()
        return f"SyntaxError: {error.msg} (in {path.name}, line {error.lineno}: {line})"
    frames = traceback.extract_tb(error.__traceback__)
    here = [f for f in frames if f.filename == str(path) or f.filename.startswith("the cell")]
    chosen = (here or [frame for frame in frames if frame.filename != __file__])[-1:]
    for frame in chosen:
        text += f" (in {Path(frame.filename).name}, line {frame.lineno}: {frame.line})"
    return text


def main():
    """Read a job from standard input, and write its report."""
    job = json.loads(sys.stdin.read())
    try:
        status, message = judge(job)
    except BaseException as error:
        status, message = "crashed", f"{type(error).__name__}: {error}"
    report = json.dumps({"status": status, "message": message[:MESSAGE]})
    with open(job["report"], "w", encoding="utf-8") as file:
        file.write(report)
    os._exit(0)  # whatever threads are left


if __name__ == "__main__":
    main()
