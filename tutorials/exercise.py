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
    for cell in some:
        file = str(path)
        if path.suffix == ".ipynb":
            tag = f"[{cell.tag} {cell.exercise}]" if cell.tag else f"number {cell.place}"
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


def bound(some):
    """Return the names that statements bind."""
    return set().union(*(s.binds for s in some))


def cells_of(chapter, tag, exercise):
    """Return the cells of an exercise that have a tag."""
    return [cell for cell in chapter if (cell.tag, cell.exercise) == (tag, exercise)]


def earlier(chapter, copy, exercise, copied_from, path):
    """Return the statements that stand above an exercise, and the names that the chapter binds.

    They are those of the chapter, with the student's answers in the place of ours, and what the
    student has added elsewhere, an import for example, each where it stands. Nothing of it takes
    the place of a name of the chapter.
    """
    above = chapter[: chapter.index(cells_of(chapter, "exercise", exercise)[0])]
    ours = bound(statements_of([cell for cell in above if cell.tag == ""], copied_from))
    found = []
    for cell in above:
        if cell.tag == "":
            found += statements_of([cell], copied_from)
        if cell.tag == "stub":
            allowed = bound(statements_of([cell], copied_from))
            answers = parsed(cells.answer(copy, cell.exercise), path)
            found += [s for s in answers if not s.binds & ours - allowed]
    place = {ast.dump(s.code): number for number, s in enumerate(found, 1)}
    after, added = 0, []
    for cell in copy:
        if cell.exercise == exercise and cell.tag != "exercise":
            break
        for s in parsed([cell], path) if cell.tag == "" else ():
            after = place.get(ast.dump(s.code), after)
            if ast.dump(s.code) not in place and not s.binds & ours:
                added.append((after, s))
    for after, s in reversed(added):
        found.insert(after, s)
    return found


def run(some, namespace):
    """Run statements, one after another."""
    for s in some:
        exec(compile(ast.Module([s.code], []), s.file, "exec"), namespace)


def judge(job):
    """Return the status of an exercise, and a message.

    The check sees the chapter as it was before the answer, and of the answer the names of the stub.

    Parameters
    ----------
    job : dict
        The paths of the ``chapter`` and of the ``copy``, the ``folder`` of the copy, and the
        ``exercise``.
    """
    copied_from, path, exercise = Path(job["chapter"]), Path(job["copy"]), job["exercise"]
    chapter, copy = cells.read(copied_from), cells.read(path, strict=False)
    if path.suffix == ".py":
        remember(str(path), path.read_text(encoding="utf-8-sig"))
    sys.path.append(job["folder"])  # a module of the student's own
    try:
        own = statements_of(cells.answer(copy, exercise), path)
    except SyntaxError as error:
        return "crashed", told(error, path)
    above = earlier(chapter, copy, exercise, copied_from, path)
    check = statements_of(cells_of(chapter, "check", exercise), copied_from)
    names = bound(statements_of(cells_of(chapter, "stub", exercise), copied_from))
    wanted, status = free(own) | free(check) - names, "crashed"
    before = {"__name__": "__main__", "__file__": str(path)}
    try:
        run(needed(wanted, above), before)
        during = dict(before)
        run(own, during)
        status = "wrong"
        run(check, before | {name: during[name] for name in names if name in during})
    except BaseException as error:
        message = told(error, path)
        if status == "wrong" and isinstance(error, AssertionError):
            return status, (str(error) or message) + used(chapter, exercise, wanted)
        return "crashed", message + used(chapter, exercise, wanted)
    return "done", ""


def used(chapter, exercise, wanted):
    """Say which earlier answers an exercise uses: they may be what is wrong."""
    found = []
    for earlier_one in cells.exercises(chapter):
        if earlier_one == exercise:
            break
        if bound(parsed(cells_of(chapter, "stub", earlier_one), Path())) & wanted:
            found.append(earlier_one)
    return f"\n(It uses your answer to {' and '.join(found)}: check that first.)" if found else ""


def told(error, path):
    """Say what was raised, and in which line of the copy; else in which line of the check."""
    if isinstance(error, SystemExit):
        text = f"the answer ends the program (SystemExit: {error.code})"
    else:
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
    if isinstance(error, SyntaxError):
        line, file = (error.text or "").strip(), Path(error.filename or "").name
        return f"SyntaxError: {error.msg} (in {file}, line {error.lineno}: {line})"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if f.filename == str(path) or f.filename.startswith("the cell")]
    for frame in theirs[-1:]:
        return f"{text} (in {Path(frame.filename).name}, line {frame.lineno}: {frame.line})"
    others = [frame for frame in frames if frame.filename != __file__]
    return text + "".join(f" (in the check: {frame.line})" for frame in others[:1])


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
