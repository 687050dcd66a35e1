"""Run the chapters of the course.

``python -m tutorials`` runs all of them, ``python -m tutorials 4`` one, ``--step`` cell by cell;
``--list`` lists their titles.

A chapter is a script in percent format: cells begin with ``# %%``, prose with ``# %% [markdown]``.
``python -m tutorials 7 --full`` makes the experiments of a chapter anew that are kept in
``tutorials/results`` (see `experiment`), if their file is not there or not complete.
"""

import argparse
import contextlib
import io
import re
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # as where a chapter is run as a script


def chapters():
    """Return {number: path}, in order."""
    return {int(path.name[:2]): path for path in sorted(HERE.glob("[0-9][0-9]_*.py"))}


def title(path):
    """Return the first heading of a chapter."""
    return re.search(r"^# # (.*)$", path.read_text(encoding="utf-8"), re.M).group(1)


def cells(path):
    """Return a chapter as (is prose, first line number, source) per cell."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("# %%"):
            found.append(("[markdown]" in line, number + 1, []))
        elif found:
            found[-1][2].append(line)
    return [(prose, number, "\n".join(lines).strip("\n")) for prose, number, lines in found]


def run(path, step=False):
    """Run a chapter in a namespace of its own, cell by cell.

    With ``step``, show each cell, run it and wait for Enter.
    """
    namespace = {"__name__": "__main__", "__file__": str(path)}
    for prose, number, source in cells(path):
        if step:
            pattern, replacement = (r"^# ?", "") if prose else (r"^", "    ")
            print("\n" + re.sub(pattern, replacement, source, flags=re.M) + "\n")
        if not prose:
            exec(compile("\n" * (number - 1) + source, path, "exec"), namespace)
        if step:
            with contextlib.suppress(EOFError):  # at the end of what standard input is: go on
                input("[Enter] ")


def main(arguments=None):
    """Run what the command line asks for; return the exit code."""
    flags = {
        "--step": "show each cell, run it, and wait for Enter",
        "--full": "make the experiments whose results are not there, as in the papers: slow",
        "--list": "list the chapters",
    }
    parser = argparse.ArgumentParser(
        "python -m tutorials", description="Run the chapters of the course.", allow_abbrev=False
    )
    parser.add_argument("numbers", nargs="*", type=int, help="chapters to run (default: all)")
    for flag, meaning in flags.items():
        parser.add_argument(flag, action="store_true", help=meaning)
    options = parser.parse_args(arguments)
    known = chapters()
    for number in options.numbers:
        if number not in known:
            parser.error(
                f"there is no chapter {number}; the chapters are {', '.join(map(str, known))}"
            )
    if options.list:
        for number, path in known.items():
            print(f"{number:2}  {title(path)}")
        return 0
    aloud = options.step or len(options.numbers) == 1
    for number in options.numbers or known:
        path = known[number]
        print(f"{number:2}  {title(path)} ", end="\n" if aloud else "... ", flush=True)
        output = io.StringIO()
        try:
            with contextlib.nullcontext() if aloud else contextlib.redirect_stdout(output):
                run(path, options.step)
        except (Exception, SystemExit):
            print(f"failed\n{output.getvalue()}", flush=True)
            traceback.print_exc()
            return 1
        if not aloud:
            print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a terminal that has no ± gets a question mark
    sys.exit(main())
