"""Run the chapters of the course, make their notebooks, and check a student's copy.

``python -m tutorials`` runs all chapters, two at a time; ``python -m tutorials 4`` runs one, and
``--step`` shows it cell by cell. ``--list`` lists their titles.

``python -m tutorials 5 --work`` makes a copy of chapter 5 to work in, ``work/05_....py``, with a
stub for each exercise. ``python -m tutorials 5 --check`` says of each exercise whether it is done,
not begun, or what is wrong; its exit code is 0 only if all that was asked for is done.

``python -m tutorials --notebooks`` makes the notebooks of the chapters that have changed.
``python -m tutorials 7 --full`` makes the experiments of a chapter anew that are kept in
``tutorials/results`` (see `experiment`), if their file is not there or not complete: with
``--jobs 4`` in four processes at a time, with ``--executor dask://127.0.0.1:8786`` by the workers
of a Dask scheduler.

``python -m tutorials --play`` lists the scenes to play with, and ``--play adjoint`` opens one.

A chapter is a script in percent format; `cells` says what its cells are.
"""

import argparse
import functools
import gc
import json
import re
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # as where a chapter is run as a script

import cells  # noqa: E402
import checking  # noqa: E402
from processes import environment  # noqa: E402
from terminal import readable  # noqa: E402


def run(path, step=False):
    """Run a chapter in a namespace of its own, cell by cell: its code, solutions and checks.

    With ``step``, show each cell, run it and wait for Enter.
    """
    namespace, predicted = {"__name__": "__main__", "__file__": str(path)}, None
    for cell in cells.read(path):
        if step:
            show(cell)
        if cell.tag == "predict" and step:
            predicted = ask("Your prediction: ")
            continue
        if not cell.is_prose and cell.tag != "stub":
            source = "\n" * (cell.line - 1) + cell.source
            exec(compile(source, path, "exec"), namespace)
            for figure in figures(cell.source) if step else ():
                print(f"(A figure: {figure})")
            if predicted:
                print(f"(You predicted: {predicted})")
            predicted = None
        if step:
            ask("[Enter] ")


def show(cell):
    """Print a cell: prose with its formulas as text, code indented."""
    names = {
        "predict": "Predict.",
        "exercise": f"Exercise {cell.exercise} (level {cell.level}).",
        "stub": f"You are given, for exercise {cell.exercise}:\n",
        "solution": f"A solution of exercise {cell.exercise}:\n",
        "check": f"The check of exercise {cell.exercise}:\n",
    }
    source = cell.source
    if cell.is_prose:
        source = readable(source, getattr(sys.stdout, "encoding", None) or "ascii")
    else:
        source = re.sub(r"^(?=.)", "    ", source, flags=re.M)
    heading = names.get(cell.tag, "")
    print("\n" + heading + (" " if heading and cell.is_prose else "") + source + "\n")


def ask(prompt):
    """Return what is typed; nothing at the end of standard input."""
    try:
        return input(prompt)
    except EOFError:
        return ""


def figures(source):
    """Return the names of the figures that a piece of a chapter saves."""
    return [f"figures/{name}.png" for name in re.findall(r"\bsave\(\s*\w+,\s*\"(\w+)\"", source)]


def run_one(path, options):
    """Run a chapter here, aloud; return the exit code."""
    print(f"{int(path.name[:2]):2}  {cells.title(path)} ", flush=True)
    began = time.monotonic()
    try:
        run(path, options.step)
    except (Exception, SystemExit):
        print("failed", flush=True)
        traceback.print_exc()
        return 1
    print(finished(path, time.monotonic() - began), flush=True)
    return 0


def run_in_a_process(path):
    """Run a chapter in a process of its own; return it, and the seconds that it took."""
    began = time.monotonic()
    command = [sys.executable, str(HERE), path.name[:2]]
    settings = {"env": environment(), "capture_output": True, "check": False}
    process = subprocess.run(command, encoding="utf-8", errors="replace", **settings)
    return process, time.monotonic() - began


def run_all(paths, options):
    """Run chapters, some at a time, the last ones first, which take longest."""
    failed = False
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = {pool.submit(run_in_a_process, path): path for path in paths[::-1]}
        for job in as_completed(jobs):
            path, (process, seconds) = jobs[job], job.result()
            print(f"{int(path.name[:2]):2}  {cells.title(path)}:", end=" ")
            if process.returncode:
                print(f"failed\n{process.stdout}\n{process.stderr}", flush=True)
                failed = True
            else:
                print(finished(path, seconds), flush=True)
    return int(failed)


def finished(path, seconds):
    """Say how long a chapter took, and where its figures went."""
    drawn = figures(path.read_text(encoding="utf-8"))
    return f"done in {seconds:.0f} s" + (f"; {', '.join(drawn)}" if drawn else "")


def make_experiments(options):
    """Let the experiments of chapters do the jobs that are left, by whom the options say."""
    import executors
    import experiment

    by_dask = functools.partial(executors.dask, options.executor)
    in_processes = functools.partial(executors.Processes, options.jobs)
    experiment.FULL, experiment.WORKERS = True, by_dask if options.executor else in_processes


def make_copies(paths, options):
    """Make a copy of each chapter to work in."""
    for path in paths:
        try:
            made = checking.make_copy(path, options.folder)
        except OSError as error:
            print(f"a copy in {options.folder} cannot be made: {error}", file=sys.stderr)
            return 2
        for file, new in made:
            print(f"{file}: {'written' if new else 'is there already, and was left as it is'}")
    return 0


def check(path, options, parser):
    """Check the exercises of a student's copy that are asked for; return the exit code."""
    known = cells.exercises(cells.read(path))
    number = int(path.name[:2])
    for exercise in options.check:
        if exercise not in known:
            parser.error(f"chapter {number} has no exercise {exercise}; it has {', '.join(known)}")
    asked = {
        exercise: level
        for exercise, level in known.items()
        if (not options.check or exercise in options.check)
        and (not options.level or level in options.level)
    }
    if not asked:
        parser.error(f"chapter {number} has no exercise of level {options.level} among these")
    try:
        copy = checking.find_copy(path, options.folder)
    except FileNotFoundError as error:
        parser.error(str(error))
    if not options.json:
        print(f"{copy}:", flush=True)
    results = checking.check_copy(
        path, copy, asked, options.seconds or checking.SECONDS, options.jobs
    )
    if options.json:
        print(json.dumps({"chapter": number, "exercises": [r._asdict() for r in results]}))
    else:
        for result in results:
            print(f"{result.id} (level {result.level}): {result.status}")
            if result.message:
                print(re.sub(r"^", "    ", result.message, flags=re.M))
    return int(any(result.status != "done" for result in results))


def play_scene(name, parser):
    """Open a scene to play with, or list them; return the exit code."""
    import play  # which needs Matplotlib

    if not name:
        for scene, (chapter, what) in play.SCENES.items():
            print(f"{scene:10} chapter {chapter:2}: {what}")
        return 0
    gc.freeze()  # or each collection takes 32 ms for what is imported; now 6 ms
    try:
        play.show(name)
    except (ValueError, play.NoWindowError) as error:
        parser.error(str(error))
    return 0


def parse(arguments):
    """Return the options of a command line, and its parser."""
    parser = argparse.ArgumentParser(
        "python -m tutorials",
        description="Run the chapters of the course; make copies to work in, and check them.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("numbers", nargs="*", type=int, help="chapters (default: all)")
    add("--list", action="store_true", help="list the chapters")
    add("--step", action="store_true", help="show each cell, run it, and wait for Enter")
    add("--jobs", type=int, default=2, help="how many processes at the same time (default: 2)")
    add("--work", action="store_true", help="make a copy of a chapter to work in")
    add("--check", nargs="*", metavar="N.M", help="check the exercises of a copy: all, or these")
    add("--level", nargs="+", type=int, choices=(1, 2, 3), help="with --check: of these levels")
    add("--json", action="store_true", help="with --check: a report for a program")
    seconds = f"with --check: for one exercise (default: {checking.SECONDS:g})"
    add("--seconds", type=float, help=seconds)
    add("--in", dest="folder", type=Path, default=Path("work"), help="the folder of the copy")
    add("--notebooks", action="store_true", help="make the notebooks of chapters that changed")
    full = (
        "make the experiments whose results are not there, as in the papers: slow; delete the files"
        " of chapter 7 in tutorials/results to make them anew"
    )
    add("--full", action="store_true", help=full)
    add("--executor", help="with --full: who does the jobs, as dask://127.0.0.1:8786")
    play = "open a scene to play with; without a name, list them"
    add("--play", nargs="?", const="", metavar="SCENE", help=play)
    return parser.parse_args(arguments), parser


def main(arguments=None):
    """Do what the command line asks for; return the exit code."""
    options, parser = parse(arguments)
    known = cells.chapters(HERE)
    if options.check and not options.numbers:
        found = [re.match(r"(\d+)\.\d+$", exercise) for exercise in options.check]
        options.numbers = sorted({int(match[1]) for match in found if match})  # 5 of --check 5.1
    for number in options.numbers:
        if number not in known:
            there = ", ".join(map(str, known))
            parser.error(f"there is no chapter {number}; the chapters are {there}")
    for name in ("json", "level", "seconds"):
        if getattr(options, name) and options.check is None:
            parser.error(f"--{name} is for --check")
    for name in ("jobs", "seconds"):
        if getattr(options, name) is not None and not 0 < getattr(options, name) < 1e9:
            parser.error(f"--{name} {getattr(options, name)} must be a number above zero")
    paths = [known[number] for number in options.numbers or known]
    executor = options.executor
    if executor is not None and not options.full:
        parser.error("--executor is for --full")
    if executor is not None and not re.match(r"dask://[^/]+:\d+$", executor):
        parser.error(f"--executor {executor!r} must be like dask://127.0.0.1:8786")
    if options.list:
        for number, path in known.items():
            print(f"{number:2}  {cells.title(path)}")
        return 0
    if options.play is not None:
        return play_scene(options.play, parser)
    if options.check is not None:
        if len(paths) != 1:
            parser.error("--check is for one chapter: python -m tutorials 5 --check")
        return check(paths[0], options, parser)
    if options.work:
        return make_copies(paths, options)
    if options.notebooks:
        from make_notebooks import make_all

        return make_all(paths, options.jobs)
    if options.full:
        make_experiments(options)
    if options.step or options.full or len(options.numbers) == 1:
        return max(run_one(path, options) for path in paths)
    return run_all(paths, options)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that has no ± gets a question mark
    try:
        sys.exit(main())
    except KeyboardInterrupt as ended:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would interrupt the end
        sys.exit(f"\nended by Ctrl-C. {ended}")
