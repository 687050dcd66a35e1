"""A chapter taken apart into its cells, and put together again as an edition.

A chapter is a script in percent format, the only source of all its editions. Each cell begins with
a line ``# %%`` and a tag:

=================================  ==========================================================
``# %% [markdown]``                prose, in comment lines
``# %%``                           code
``# %% [predict]``                 a question, to be answered before the next cell runs
``# %% [exercise 5.1] level 2``    a task, in comment lines
``# %% [stub 5.1]``                what the student is given
``# %% [solution 5.1]``            our answer
``# %% [check 5.1]``               asserts about what the student has made
=================================  ==========================================================

The blank edition has stubs and no solutions, the solved edition solutions and no stubs.
"""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PROSE = ("markdown", "predict", "exercise")
TAGS = (*PROSE, "stub", "solution", "check", "")
TAG = re.compile(
    r"# %%+\s*(?:\[(?:(markdown|predict)|(exercise|stub|solution|check) (\d+\.\d+))\]"
    r"(?: level (\d))?)?\s*(.*)"
)
LINK = re.compile(r"`[^`]*`|\]\((?![a-z]+:|#|/)([^)\s]+)\)")  # or code, in which none is


class Cell(NamedTuple):
    """A cell of a chapter.

    Attributes
    ----------
    tag : str
        One of ``TAGS``; empty for code that is no part of an exercise.
    source : str
        Prose without the ``#`` in front of its lines.
    exercise : str
        For example ``"5.1"``; empty where the cell belongs to no exercise.
    level : int
        Of an exercise; 0 otherwise.
    line : int
        The number of its first line in the file.
    place : int
        Its number among the cells of the file, from 1.
    """

    tag: str
    source: str
    exercise: str = ""
    level: int = 0
    line: int = 1
    place: int = 0

    @property
    def is_prose(self):
        """Whether it is to be read, not run."""
        return self.tag in PROSE

    @property
    def heading(self):
        """The line that begins the cell in a script."""
        tag = f" [{self.tag}{self.exercise and ' ' + self.exercise}]" if self.tag else ""
        return f"# %%{tag}" + (f" level {self.level}" if self.level else "")


def chapters(folder=HERE):
    """Return {number: path} of the chapters, in order."""
    return {int(path.name[:2]): path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}


def title(path):
    """Return the first heading of a chapter."""
    return re.search(r"^# # (.*)$", path.read_text(encoding="utf-8"), re.M).group(1)


def read(path, strict=True):
    """Return the cells of a chapter or of a student's copy, a script or a notebook.

    Parameters
    ----------
    path : Path
    strict : bool
        Whether to refuse a tag that is not known. In a copy it is one exercise lost, not all.

    Raises
    ------
    ValueError
        If the file is not what it should be: another encoding, a tag that is not known.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8 ({error}); save it in this encoding") from error
    if path.suffix == ".ipynb":
        found = _read_notebook(path, text, strict)
    else:
        found = _read_script(path, text, strict)
    return [cell._replace(place=place) for place, cell in enumerate(found, 1)]


def _read_script(path, text, strict):
    tag, lines, first, found = ("", "", 0), [], 1, []
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"# %%+(\s|$)", line):
            found += _cells_of(tag, lines, first, at_the_top=first == 1)
            tag, lines, first = _tag(path, number, line, strict), [], number + 1
        else:
            lines.append(line)
    return found + _cells_of(tag, lines, first, at_the_top=False)


def _cells_of(tag, lines, first, at_the_top):
    """Return the cell of these lines, and code that stands in a cell of prose as one of its own.

    What stands above the first cell is one if it is code.
    """
    code = [line if not line.startswith("#") else "" for line in lines]
    if tag[0] not in PROSE and not at_the_top:
        return [_cell(tag, lines, first)]
    prose = [] if at_the_top else [_cell(tag, [x for x in lines if x.startswith("#")], first)]
    return prose + ([_cell(("", "", 0), code, first)] if any(map(str.strip, code)) else [])


def _cell(tag, lines, first):
    name, exercise, level = tag
    source = "\n".join(lines)
    blank = len(source) - len(source.lstrip("\n"))
    source = source.strip("\n").rstrip()
    if name in PROSE:
        source = re.sub(r"^# ?", "", source, flags=re.M)
    return Cell(name, source, exercise, level, first + blank)


def _read_notebook(path, text, strict):
    """Return the cells of a notebook; their tags are what jupytext calls their titles."""
    found = []
    try:
        for number, cell in enumerate(json.loads(text)["cells"], 1):
            title, source = cell["metadata"].get("title", ""), "".join(cell["source"])
            tag, exercise, level = _tag(path, number, f"# %% {title}", strict)
            if cell["cell_type"] == "code":
                source = _without_magic(source)
            elif tag not in PROSE:  # also a stub that was made a cell of text
                tag, exercise, level = "markdown", "", 0
            found.append(Cell(tag, source, exercise, level))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged, or no notebook ({error!r})") from error
    return found


def _without_magic(source):
    """Return Python for the code of a notebook's cell: what is for Jupyter alone becomes `pass`."""
    if re.match(r"\s*%%(?!time\b|timeit\b|capture\b|prun\b)", source):
        return "pass  # another language than Python"
    return re.sub(r"^(\s*)(?:[%!?].*|[\w.]+\?{1,2}\s*)$", r"\1pass", source, flags=re.M)


def _tag(path, number, line, strict):
    """Return the tag, the exercise and the level that the first line of a cell names."""
    plain, of_exercise, exercise, level, rest = TAG.match(line).groups()
    if strict and not (plain or of_exercise) and rest.startswith("["):
        raise ValueError(
            f"{path}, line {number}: the tag of {line!r} is not known; the tags are "
            "[markdown], [predict], [exercise N.M] level L, [stub N.M], [solution N.M], [check N.M]"
        )
    return plain or of_exercise or "", exercise or "", int(level or 0)


def exercises(cells):
    """Return {id: level} of the exercises, in order."""
    return {cell.exercise: cell.level for cell in cells if cell.tag == "exercise"}


def answer(cells, exercise):
    """Return the cells of a copy that hold a student's answer.

    They are the stub, and what code stands between it and the check, if that is there.
    """
    inside = [n for n, c in enumerate(cells) if (c.tag, c.exercise) == ("stub", exercise)]
    checks = [n for n, c in enumerate(cells) if (c.tag, c.exercise) == ("check", exercise)]
    if inside and checks:
        own = range(inside[0], checks[-1])
        inside += [n for n in own if cells[n].tag == ""]
    return [cells[n] for n in sorted(set(inside))]


def edition(path, folder, solved):
    """Return the cells of an edition of a chapter that is to stand in a folder.

    It begins with a word on what it is. Where the chapter imports a module from beside it, the
    edition is told where that is.
    """
    found = [_greeting(path, folder, solved)]
    own = "|".join(file.stem for file in HERE.glob("[a-z]*.py"))
    for cell in read(path):
        source = _dressed(cell, folder)
        if not cell.is_prose and re.search(rf"^(from|import) ({own})\b", source, re.M):
            way = _relative(HERE, folder) if folder.is_relative_to(HERE) else HERE.as_posix()
            source = (
                f"import sys\n\nsys.path.append({way!r})  # the chapter's own modules\n{source}"
            )
        if cell.tag != ("stub" if solved else "solution"):
            found.append(cell._replace(source=source))
    return found


def _dressed(cell, folder):
    """Return the source of a cell as an edition shows it.

    A task has its number and level for a heading, a question is set off as a quotation, a check
    says when it is passed, and links lead from the folder.
    """
    source = cell.source
    if cell.tag == "exercise":
        source = f"### Exercise {cell.exercise} (level {cell.level})\n\n{source}"
    if cell.tag == "predict":
        source = re.sub(r"^(?=.)", "> ", f"**Predict.** {source}", flags=re.M)
        source = re.sub(r"^$", ">", source, flags=re.M)
    if cell.tag == "check":
        name = f"exercise {cell.exercise}"
        source = f'# The check of {name}: run this cell.\n{source}\nprint("{name}: done")'
    if cell.is_prose:
        source = LINK.sub(lambda match: _moved(match, folder), source)
    return source


def _moved(match, folder):
    """Return what `LINK` has found, as it leads from a folder."""
    return f"]({_relative(HERE / match[1], folder)})" if match[1] else match[0]


def _greeting(path, folder, solved):
    """Return the first cell of an edition."""
    number, source = int(path.name[:2]), _relative(path, folder)
    if solved:
        told = "with solutions. Running it changes nothing."
    else:
        told = (
            "as a student gets it. Write your answer to an exercise in the cell after it, in the "
            "place of `...`, and run the cell below, which checks it. "
            f"`python -m tutorials {number} --work` makes a copy of your own, and "
            f"`python -m tutorials {number} --check` checks all of it."
        )
    return Cell("markdown", f"*Chapter {number}, made from [{path.name}]({source}), {told}*")


def _relative(path, folder):
    """Return the way from a folder to a file, with slashes; the whole path on another drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()


def script(cells):
    """Return the text of cells as a script in percent format."""
    parts = []
    for cell in cells:
        source = cell.source
        if cell.is_prose:
            source = re.sub(r"^", "# ", source, flags=re.M)
            source = re.sub(r"[ ]+$", "", source, flags=re.M)
        parts.append(f"{cell.heading}\n{source}\n")
    return "\n".join(parts)
