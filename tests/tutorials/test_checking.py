"""A student's copy: made, never overwritten, checked; no answer can take the report with it."""

import json
import os
import subprocess
import sys
import time

import cells
import checking
import processes
import pytest

PREDICT = "# %% [predict]"
BLANK = "    ...  # your code here"


def copy_with(small, folder, *changes):
    """Return a copy of the chapter in which the student has changed something."""
    checking.make_copy(small, folder)
    copy = folder / small.name
    text = copy.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    copy.write_text(text, encoding="utf-8")
    return copy


def check(small, copy, asked=("1.1",), seconds=20.0):
    """Return {id: (status, message)}."""
    levels = cells.exercises(cells.read(small))
    asked = {exercise: levels[exercise] for exercise in asked}
    found = checking.check_copy(small, copy, asked, seconds, jobs=2)
    assert [result.id for result in found] == list(asked)
    assert all(result.status in checking.STATUSES for result in found)
    return {result.id: (result.status, result.message) for result in found}


def test_a_copy_is_never_overwritten(small, tmp_path):
    folder = tmp_path / "a folder" / "of mine"
    made = checking.make_copy(small, folder)
    assert all(new for _, new in made) and (folder / small.name, True) in made
    (folder / small.name).write_text("mine", encoding="utf-8")
    assert not any(new for _, new in checking.make_copy(small, folder))
    assert (folder / small.name).read_text(encoding="utf-8") == "mine"


def test_a_blank_copy_is_not_begun(small, tmp_path):
    copy = copy_with(small, tmp_path, (BLANK, BLANK + "\n    # a note of mine"))
    nothing = {"1.1": ("not begun", ""), "1.2": ("not begun", "")}
    assert check(small, copy, ("1.1", "1.2")) == nothing
    text = copy.read_text(encoding="utf-8").replace("[stub 1.1]", "[markdown]")
    copy.write_text(text, encoding="utf-8")
    status, message = check(small, copy)["1.1"]
    assert status == "not begun" and message == "the cell `# %% [stub 1.1]` is not in 01_small.py"


@pytest.mark.parametrize(
    "answer, status, message",
    [
        ("    return 3 * x", "done", ""),
        ("    return twice(x) + x", "done", ""),  # by a function of the chapter
        ("    return np.sum([x, x, x])", "done", ""),
        ("    print('{}' * 10_000)\n    return 3 * x", "done", ""),
        (
            "    import threading as t\n    t.Thread(target=input).start()\n    return 3 * x",
            "done",
            "",
        ),
        ("    return 2 * x", "wrong", "triple(2.0) is 4.0; it is 6"),
        ("    pass", "wrong", "triple(2.0) is None; it is 6"),
        (
            "    return 1 / 0",
            "crashed",
            "ZeroDivisionError: division by zero (in 01_small.py, line",
        ),
        ("    return x +", "crashed", "SyntaxError: invalid syntax (in 01_small.py, line"),
        ("    return helper(x)", "crashed", "NameError: name 'helper' is not defined"),
        ("    import sys\n    sys.exit(0)", "crashed", "the answer ends the program"),
        (
            "    import os\n    os._exit(0)",
            "crashed",
            "ends the process, without a word (exit code",
        ),
        ("    raise KeyboardInterrupt", "crashed", "KeyboardInterrupt"),
        ("    return triple(x)", "crashed", "RecursionError"),
        ("    return input('?')", "crashed", "EOFError"),
        ("    assert x > 5", "wrong", ": assert x > 5)"),
    ],
)
def test_what_is_said_of_an_answer(small, tmp_path, answer, status, message):
    copy = copy_with(small, tmp_path, (BLANK, answer))
    found = check(small, copy)["1.1"]
    assert found[0] == status and (message in found[1] if message else found[1] == "")


def test_an_answer_that_hangs_is_late(small, tmp_path):
    copy = copy_with(
        small, tmp_path, (BLANK, "    while True:\n        pass"), ("...", "triple(1)")
    )
    began = time.monotonic()
    found = check(small, copy, ("1.1", "1.2"), seconds=1.5)
    said = "no answer after 1.5 seconds; does a loop never end?"
    assert found == {"1.1": ("late", said), "1.2": ("late", said)}
    assert time.monotonic() - began < 20


def test_an_answer_that_eats_memory_is_ended(small, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "MEGABYTES", 300)
    hungry = "    kept = []\n    while True:\n        kept.append(np.ones(10**6))"
    copy = copy_with(small, tmp_path, (BLANK, hungry))
    said = ("crashed", "the answer takes more than 300 MB of memory")
    assert check(small, copy)["1.1"] == said


def test_processes_that_an_answer_starts_end_with_it(small, tmp_path):
    told = tmp_path / "alive"
    child = f"import time; time.sleep(2); open({str(told)!r}, 'wb')"
    start = f"    import subprocess, sys\n    subprocess.Popen([sys.executable, '-c', {child!r}])"
    copy = copy_with(small, tmp_path, (BLANK, start + "\n    return 3 * x"))
    assert check(small, copy)["1.1"][0] == "done"
    time.sleep(3)
    if hasattr(os, "killpg"):
        assert not told.exists()


def test_an_answer_that_deletes_its_folder_deletes_nothing(small, tmp_path):
    delete = (
        "    import os, shutil, pathlib\n"
        "    shutil.rmtree(os.getcwd())\n"
        "    shutil.rmtree(pathlib.Path(__file__).parent, ignore_errors=True)\n"
        "    return 3 * x"
    )
    copy = copy_with(small, tmp_path / "kept", (BLANK, delete), ("six = ...", "six = 6.0"))
    assert check(small, copy, ("1.1", "1.2"))["1.2"] == ("done", "")
    assert copy.exists() and len(list(copy.parent.iterdir())) >= 1


def test_what_is_broken_elsewhere_costs_nothing(small, tmp_path):
    """A line that is no Python, in another exercise and in a cell of the chapter."""
    copy = copy_with(
        small,
        tmp_path,
        (BLANK, "    return ("),
        ("six = ...", "six = 6.0"),
        ("print(6", "print((6"),
    )
    found = check(small, copy, ("1.1", "1.2"))
    assert found["1.1"][0] == "crashed" and found["1.2"] == ("done", "")


def test_an_exercise_says_which_other_it_needs(small, tmp_path):
    copy = copy_with(small, tmp_path, ("six = ...", "six = triple(2.0)"))
    status, message = check(small, copy, ("1.2",))["1.2"]
    assert status == "wrong"
    assert message == "six is None\n(It uses your answer to 1.1: check that first.)"
    copy = copy_with(
        small, tmp_path / "b", ("six = ...", "six = triple(2.0)"), (BLANK, "    return 6.0")
    )
    assert check(small, copy, ("1.2",))["1.2"] == ("done", "")  # by the student's own triple
    text = copy.read_text(encoding="utf-8").replace("def triple", "def threefold")
    copy.write_text(text, encoding="utf-8")
    status, message = check(small, copy, ("1.2",))["1.2"]
    assert status == "crashed" and "name 'triple' is not defined" in message
    assert message.endswith("\n(It uses your answer to 1.1: check that first.)")


def test_an_import_at_the_top_is_found_and_a_weaker_check_is_not_used(small, tmp_path):
    copy = copy_with(
        small,
        tmp_path,
        ("import numpy as np", "import numpy as np\nimport math\n\nfactor = 7.0"),
        (BLANK, "    return math.fsum([twice(x), x])"),
        ('assert triple(2.0) == 6.0, f"triple(2.0) is {triple(2.0)}; it is 6"', "pass"),
    )
    assert check(small, copy)["1.1"] == ("done", "")  # the factor is the chapter's
    wrong = copy.read_text(encoding="utf-8").replace("math.fsum([twice(x), x])", "0.0")
    copy.write_text(wrong, encoding="utf-8")
    assert check(small, copy)["1.1"] == ("wrong", "triple(2.0) is 0.0; it is 6")


def test_a_notebook_is_checked_where_it_is_what_was_begun(small, tmp_path):
    pytest.importorskip("jupytext")
    checking.make_copy(small, tmp_path)
    notebook = tmp_path / "01_small.ipynb"
    kept = json.loads(notebook.read_text(encoding="utf-8"))
    titles = [cell["metadata"].get("title") for cell in kept["cells"]]
    assert "[stub 1.1]" in titles and "[solution 1.1]" not in titles
    kinds = {cell["metadata"].get("title", ""): cell["cell_type"] for cell in kept["cells"]}
    assert kinds["[predict]"] == kinds["[exercise 1.1] level 1"] == "markdown"
    stub = kept["cells"][titles.index("[stub 1.1]")]
    stub["source"] = "def triple(x):\n    return 1 / 0"
    notebook.write_text(json.dumps(kept), encoding="utf-8")
    (tmp_path / small.name).touch()
    assert checking.find_copy(small, tmp_path) == notebook
    status, message = check(small, notebook)["1.1"]
    assert status == "crashed"
    assert message.endswith("(in the cell [stub 1.1], line 2: return 1 / 0)")
    notebook.write_text("{", encoding="utf-8")
    status, message = check(small, notebook)["1.1"]
    assert status == "crashed" and "is damaged, or no notebook" in message


def tutorials(course, *arguments, cwd, **settings):
    command = [sys.executable, str(course), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False, **settings)


def test_a_student_and_a_teacher_at_the_command_line(course, small, tmp_path):
    desk = tmp_path / "Müller's désk"
    desk.mkdir()
    done = tutorials(course, "1", "--check", cwd=desk)
    assert done.returncode == 2 and b"make it with: python -m tutorials 1 --work" in done.stderr
    assert tutorials(course, "1", "--work", cwd=desk).returncode == 0
    copy = desk / "work" / "01_small.py"
    text = copy.read_text(encoding="utf-8").replace(BLANK, "    print('ö')\n    return 3 * x")
    copy.write_text(text, encoding="utf-8")
    done = tutorials(course, "1", "--work", cwd=desk)
    assert done.returncode == 0 and b"left as it is" in done.stdout.replace(b"it was", b"it is")
    assert copy.read_text(encoding="utf-8") == text
    settings = {"env": {**os.environ, "PYTHONIOENCODING": "ascii"}}
    done = tutorials(course, "1", "--check", cwd=desk, **settings)
    assert done.returncode == 1
    assert b"1.1 (level 1): done" in done.stdout and b"1.2 (level 2): not begun" in done.stdout
    for asked in (["--level", "1"], ["--check", "1.1"]):
        arguments = ["1", *(asked if "--check" in asked else ["--check", *asked])]
        assert tutorials(course, *arguments, cwd=desk).returncode == 0
    done = tutorials(course, "1", "--check", "--json", "--in", "work", cwd=desk)
    report = json.loads(done.stdout)
    assert report == {
        "chapter": 1,
        "exercises": [
            {"id": "1.1", "level": 1, "status": "done", "message": ""},
            {"id": "1.2", "level": 2, "status": "not begun", "message": ""},
        ],
    }
    assert done.returncode == 1 and done.stdout.count(b"\n") == 1
    done = tutorials(course, "1", "--check", "1.7", cwd=desk)
    assert done.returncode == 2 and b"has no exercise 1.7; it has 1.1, 1.2" in done.stderr
    assert sorted(path.name for path in desk.iterdir()) == ["work"]


def test_what_a_student_adds_is_found_where_it_stands(small, tmp_path):
    """An import at the very top, a module beside the copy, code below a task, a star import."""
    (tmp_path / "mine.py").write_text("def threefold(x):\n    return 3 * x\n", encoding="utf-8")
    copy = copy_with(small, tmp_path)
    blank = copy.read_text(encoding="utf-8")
    for added, answer in [
        (lambda text: "import math\n" + text, "    return math.fsum([x, x, x])"),
        (lambda text: text, "    from mine import threefold\n    return threefold(x)"),
        (
            lambda text: text.replace("# Write `triple`.", "# Write `triple`.\nimport math"),
            "    return math.fsum([x, x, x])",
        ),
        (
            lambda text: text.replace(
                "# %% [predict]", "# %%\nthrice = lambda x: twice(x) + x\n\n# %% [predict]"
            ),
            "    return thrice(x)",
        ),
        (lambda text: "# %%\nfrom math import *\n\n" + text, "    return fsum([x, x, x])"),
        (
            lambda text: text.replace(
                "# %% [predict]", "# %%\nBASE = np.array(twice(1.0))\n\n# %% [predict]"
            ),
            "    return (BASE + 1) * x",
        ),
    ]:
        text = added(blank).replace(BLANK, answer)
        copy.write_text(text, encoding="utf-8")
        assert check(small, copy)["1.1"] == ("done", ""), answer


def test_no_answer_replaces_the_chapter_or_the_check(small, tmp_path):
    """Neither in its own exercise nor in a later one."""
    text = small.read_text(encoding="utf-8")
    text = text.replace("def twice(x)", "def verify(x):\n    return x == 6.0\n\n\ndef twice(x)")
    small.write_text(text.replace("assert six == 6.0", "assert verify(six)"), encoding="utf-8")
    never = "verify = lambda x: True\nfactor = 5.0\n"
    copy = copy_with(small, tmp_path, ("six = ...", never + "six = 7.0"))
    assert check(small, copy, ("1.2",))["1.2"] == ("wrong", "six is 7.0")
    scratch = "    return twice(x) + x\n\n\ntwice = twice(1.0)"
    copy = copy_with(small, tmp_path / "b", (BLANK, scratch), ("six = ...", "six = twice(3.0)"))
    assert check(small, copy, ("1.2",))["1.2"] == ("done", "")


def test_a_tag_that_is_misspelt_is_one_exercise_lost(small, tmp_path):
    copy = copy_with(small, tmp_path, ("[stub 1.1]", "[stup 1.1]"), ("six = ...", "six = 6.0"))
    found = check(small, copy, ("1.1", "1.2"))
    assert found["1.1"][0] == "not begun" and found["1.2"] == ("done", "")


def test_a_stub_without_its_check_is_the_answer_alone(small, tmp_path):
    copy = copy_with(small, tmp_path, ("# %% [check 1.1]", "# %%"), (BLANK, "    return 3 * x"))
    assert check(small, copy)["1.1"] == ("done", "")


def test_the_line_of_a_message_is_of_the_copy(small, tmp_path):
    copy = copy_with(small, tmp_path, ("def triple", "def threefold"))
    status, message = check(small, copy)["1.1"]
    assert status == "crashed" and "line" not in message
    assert "name 'triple' is not defined (in the check: assert triple(2.0)" in message


def test_what_is_for_jupyter_alone_is_left_out(small, tmp_path):
    pytest.importorskip("jupytext")
    checking.make_copy(small, tmp_path)
    file = tmp_path / "01_small.ipynb"
    kept = json.loads(file.read_text(encoding="utf-8"))
    titles = [cell["metadata"].get("title") for cell in kept["cells"]]
    stub = titles.index("[stub 1.1]")
    kept["cells"][stub]["source"] = (
        "%%time\n%matplotlib inline\n!ls\ndef triple(x):\n    %timeit 1\n    return 3 * x\ntriple?"
    )
    plain = {"metadata": {}, "outputs": [], "execution_count": None}
    others = [
        {"cell_type": "code", "source": "%timeit triple(1.0)", **plain},
        {"cell_type": "code", "source": "%%bash\nls | head", **plain},
        {"cell_type": "raw", "source": "no Python", "metadata": {}},
        {"cell_type": "markdown", "source": "a note", "metadata": {}},
    ]
    kept["cells"][stub + 1 : stub + 1] = others
    file.write_text(json.dumps(kept), encoding="utf-8")
    assert check(small, file)["1.1"] == ("done", "")
    kept["cells"][stub]["cell_type"] = "markdown"
    file.write_text(json.dumps(kept), encoding="utf-8")
    assert check(small, file)["1.1"][0] == "not begun"


def test_a_folder_that_cannot_be_made_is_told(course, tmp_path):
    (tmp_path / "a file").write_text("", encoding="utf-8")
    done = tutorials(course, "1", "--work", "--in", "a file", cwd=tmp_path)
    assert done.returncode == 2 and b"a copy in a file cannot be made" in done.stderr
    (tmp_path / "01_small.py").symlink_to(tmp_path / "nowhere.py")
    assert tutorials(course, "1", "--work", "--in", ".", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "nowhere.py").exists()
