"""Make the notebooks of the chapters: executed, with their numbers and pictures inside.

``python -m tutorials --notebooks`` writes two editions of each chapter, the blank one,
``notebooks/NN_title.ipynb``, and the one with solutions, ``notebooks/solutions/NN_title.ipynb``. It
needs ``pip install -e ".[tutorials,notebooks]"``.

A notebook is made only where its chapter or a figure of the chapter has changed: their hash stands
in its metadata. So making them twice leaves the repository as it is. Delete a notebook to have it
made anew.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import cells
from processes import environment

FOLDERS = {False: cells.HERE / "notebooks", True: cells.HERE / "notebooks" / "solutions"}
SECONDS = 600  # for one cell, on a slow machine
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
QUIET = ["--log-level=ERROR"]  # of the kernel


def as_notebook(some):
    """Return cells as a notebook that has not been run; the code of a check is folded away."""
    import jupytext

    lines = []
    for line in cells.script(some).splitlines():
        prose = line.startswith(("# %% [predict]", "# %% [exercise "))
        lines.append(line + " [markdown]" if prose else line)
    notebook = jupytext.reads("\n".join(lines), fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # else they are drawn at random
        cell["metadata"].pop("lines_to_next_cell", None)
        if _is_check(cell):
            cell["metadata"]["jupyter"] = {"source_hidden": True}
    notebook["metadata"] = METADATA
    return notebook


def as_text(notebook):
    """Return the text of a notebook's file."""
    import nbformat

    return nbformat.writes(notebook) + "\n"


def _is_check(cell):
    return cell["metadata"].get("title", "").startswith("[check")


def executed(notebook, folder, solved):
    """Run a notebook in a folder; of the blank edition not the checks, which nobody has solved."""
    from nbclient import NotebookClient

    for cell in notebook.cells:
        if not solved and _is_check(cell):
            cell["metadata"]["tags"] = ["skip-execution"]
    settings = {"timeout": SECONDS, "record_timing": False, "kernel_name": "python3"}
    settings |= {"resources": {"metadata": {"path": str(folder)}}, "extra_arguments": QUIET}
    settings["coalesce_streams"] = True  # else their number depends on the time
    client = NotebookClient(notebook, **settings)
    client.execute(env=environment())
    for cell in notebook.cells:
        cell["metadata"].pop("tags", None)
    notebook["metadata"] = METADATA  # without the version of this Python
    return notebook


def key_of(path, solved):
    """Return the hash of all that an edition shows: its cells, and the chapter's figures."""
    text = cells.script(cells.edition(path, FOLDERS[solved], solved))
    found = hashlib.sha256(text.encode())
    for figure in sorted((cells.HERE.parent / "figures").glob(f"{path.name[:2]}_*.png")):
        found.update(figure.name.encode() + figure.read_bytes())
    return found.hexdigest()


def is_current(path, solved):
    """Whether the notebook of an edition shows the chapter and its figures as they are."""
    target = FOLDERS[solved] / f"{path.stem}.ipynb"
    if not target.exists():
        return False
    kept = json.loads(target.read_text(encoding="utf-8"))
    return kept["metadata"].get("tinyode") == key_of(path, solved)


def make(path, solved):
    """Make the notebook of an edition, if it is not current; say what was done."""
    target = FOLDERS[solved] / f"{path.stem}.ipynb"
    name = target.relative_to(cells.HERE).as_posix()
    if is_current(path, solved):
        return f"{name}: is as it was"
    target.parent.mkdir(parents=True, exist_ok=True)
    blank = as_notebook(cells.edition(path, target.parent, solved))
    notebook = executed(blank, target.parent, solved)
    key = key_of(path, solved)  # after the run, since a figure may have been drawn anew
    notebook["metadata"] = METADATA | {"tinyode": key}
    target.write_text(as_text(notebook), encoding="utf-8", newline="\n")
    return f"{name}: {target.stat().st_size / 1e6:.2f} MB"


def make_all(paths, jobs):
    """Make both editions of chapters, some at a time; return the exit code."""
    try:
        import jupytext  # noqa: F401
        import nbclient  # noqa: F401
    except ImportError as error:
        print(f'{error}: pip install -e ".[tutorials,notebooks]"')
        return 1
    failed = False
    with ThreadPoolExecutor(jobs) as pool:
        made = [
            (path, pool.submit(make, path, solved)) for path in paths[::-1] for solved in FOLDERS
        ]
        for path, job in made:
            try:
                print(job.result(), flush=True)
            except Exception as error:
                said = (
                    getattr(error, "ename", type(error).__name__),
                    getattr(error, "evalue", error),
                )
                print(f"{path.name} failed: {said[0]}: {said[1]}", flush=True)
                failed = True
    return int(failed)
