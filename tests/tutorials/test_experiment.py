"""Experiments: one process writes, others do the jobs; what dies is done again, nothing is lost."""

import errno
import functools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import cells
import executors
import experiment
import job as jobs_of_experiments
import numpy as np
import pytest

from tinyode import tree

ROOT = cells.HERE.parent
PATHS = (ROOT, cells.HERE)
POSIX = pytest.mark.skipif(os.name != "posix", reason="ends processes as POSIX does")


# What jobs do. A worker runs of this file no more than they need.
FACTOR = 10
SETTINGS = {}
SETTINGS["added"] = 1
FACTORS = np.full(2, FACTOR)  # not an experiment, though its function is called as one


def doubled(function):
    """Return a function that returns twice what is found, and has the name of the other."""

    @functools.wraps(function)
    def twice(*arguments):
        return {"found": 2 * function(*arguments)["found"]}

    return twice


def scaled(x):
    return {"found": np.float32(FACTOR * x), "n": np.int64(SETTINGS["added"])}


def with_a_file(x):
    return {"found": x}, {f"{x}.npz": {"W": np.full(3, x)}}


def who():
    return {"process": os.getpid(), "threads": int(os.environ.get("OPENBLAS_NUM_THREADS", 0))}


def failing(x):
    if x:
        raise ValueError(f"x is {x}")
    return {"found": 0}


class Unsendable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def unsendable():
    raise Unsendable("this", "that")


def dying(folder, times):
    """End its process the first times that it is called."""
    calls = len(list(Path(folder).glob("call *")))
    (Path(folder) / f"call {calls}").touch()
    if calls < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"calls": calls}


def by_an_array(x):
    return {"found": FACTORS[0] * x}


@doubled
def decorated(x):
    return {"found": x}


def printing():
    print("this is not the result")
    os.write(1, b"nor this\n")
    subprocess.run([sys.executable, "-c", "print('nor that of another')"], check=True)
    return {"found": 1}


def with_files(files):
    return {"found": 1}, files


def of_what_is_not_a_number(x):
    return {"found": [1.0, np.float64(x)]}


def reading():
    """Read standard input here and in another program, which ends where there is nothing."""
    sys.stdin.read()
    subprocess.run([sys.executable, "-c", "import sys; sys.stdin.read()"], check=True)
    return {"found": 1}


class Wordless(Exception):
    def __str__(self):
        raise ValueError("there is no text")


def wordless():
    raise Wordless


def interrupting():
    signal.raise_signal(signal.SIGINT)
    return {"found": 1}


def with_seconds():
    return {"seconds": 99}


def waiting(folder, x):
    (Path(folder) / f"began {x}").write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(600 if x else 0)
    return {"found": x}


def deleting(path):
    Path(path).unlink(missing_ok=True)
    return {"found": 1}


def wrong():
    return 7.0


def no_json():
    return {"found": lambda: 0}


earlier = {"best": 1.0} if True else experiment.full("x", {}, {})


def of_an_earlier_one():
    return {"found": earlier["best"]}


def later():
    return {"found": BELOW}


BELOW = 5


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Let full experiments be made in a folder; return it."""
    folder = tmp_path / "results"
    monkeypatch.setattr(experiment, "RESULTS", folder)
    monkeypatch.setattr(experiment, "FULL", True)
    return folder


def results(folder, name="x"):
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["results"]


def numbers(n):
    return {f"job {i}": (scaled, i) for i in range(n)}


def full(jobs, executor=None, settings=None):
    return experiment.full("x", settings or {}, jobs, executor)


SPAWNED = functools.partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, executors.Processes, SPAWNED])
def test_jobs_on_an_executor(kept, executor, capsys):
    with executor(2) as workers:
        found = full(numbers(3), workers)
        again = full(numbers(4), workers)
    assert list(found) == ["job 0", "job 1", "job 2"] and found.items() <= again.items()
    assert [(again[f"job {i}"]["found"], again[f"job {i}"]["n"]) for i in range(4)] == [
        (10.0 * i, 1) for i in range(4)
    ]
    assert results(kept) == again and all("seconds" in result for result in again.values())
    versions = json.loads((kept / "x.json").read_text(encoding="utf-8"))["versions"]
    assert set(versions) == {"tinyode", "numpy", "python"} and versions["numpy"] == np.__version__
    said = capsys.readouterr().err
    assert "x: 3 jobs to do, 0 are done" in said and "x: 1 jobs to do, 3 are done" in said
    assert "(1 of 3, about " in said and "(3 of 3)" in said and "job 2: done in 0 s" in said


def test_processes_are_the_default_each_with_one_thread(kept, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    found = full({f"job {i}": (who,) for i in range(3)})
    assert len({result["process"] for result in found.values()} - {os.getpid()}) == 3
    assert all(result["threads"] == 1 for result in found.values())


def test_no_worker_is_started_when_nothing_is_left(kept, monkeypatch):
    monkeypatch.setattr(experiment, "WORKERS", lambda: ThreadPoolExecutor(2))
    full(numbers(2))
    monkeypatch.setattr(experiment, "WORKERS", None)
    assert list(full(numbers(2))) == ["job 0", "job 1"]


def test_files_of_a_job_are_kept_beside_its_numbers(kept):
    found = full({"a": (with_a_file, 3)})
    assert set(found["a"]) == {"found", "seconds"}
    assert np.array_equal(tree.load(kept / "3.npz")["W"], np.full(3, 3))


@POSIX
def test_a_job_whose_process_dies_is_done_again(kept, tmp_path, capsys):
    jobs = {"dies": (dying, str(tmp_path), 2), **numbers(3)}
    found = full(jobs)
    assert found["dies"]["calls"] == 2 and len(results(kept)) == 4
    said = capsys.readouterr().err
    assert said.count("dies: its process has died (exit code -9); it is done again") == 2


@POSIX
def test_a_job_that_always_dies_is_reported_and_the_others_are_kept(kept, tmp_path, capsys):
    jobs = {"dies": (dying, str(tmp_path), 99), **numbers(3)}
    with pytest.raises(
        RuntimeError, match=r"1 of 4 jobs failed; .*'dies': .*its process died 3 times.*memory"
    ):
        full(jobs)
    assert set(results(kept)) == set(numbers(3))
    assert "dies: its process has died (exit code -9); it is given up" in capsys.readouterr().err


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, executors.Processes])
def test_a_job_that_raises_is_named_and_the_others_are_kept(kept, executor, capsys):
    jobs = {"bad": (failing, 3), "good": (failing, 0), **numbers(1)}
    with executor(2) as workers, pytest.raises(RuntimeError, match=r"1 of 3 jobs.*'bad': Val") as e:
        full(jobs, workers)
    assert isinstance(e.value.__cause__, ValueError) and str(e.value.__cause__) == "x is 3"
    assert set(results(kept)) == {"good", "job 0"}
    assert "bad: failed, ValueError: x is 3 (" in capsys.readouterr().err
    if executor is executors.Processes:
        assert "test_experiment.py" in str(e.value.__cause__.__cause__)  # the traceback there


@pytest.mark.parametrize(
    ("function", "kind", "said"),
    [
        (unsendable, RuntimeError, "Unsendable: this and that"),
        (wrong, TypeError, "wrong returned 7.0; it should return a dict .*or a pair: the dict"),
        (with_seconds, TypeError, "'seconds': 99.; it .*without 'seconds', which is added"),
        (no_json, TypeError, "float.. argument must be"),
        (of_an_earlier_one, ValueError, "needs earlier, the results of another experiment"),
        (later, NameError, "name 'BELOW' is not defined"),
    ],
)
def test_what_a_job_must_not_do(kept, function, kind, said):
    with pytest.raises(RuntimeError, match=said) as error:
        full({"a": (function,)})
    assert isinstance(error.value.__cause__, kind) and not (kept / "x.json").exists()


def test_what_a_job_prints_is_not_its_result(kept, capfd):
    assert full({"a": (printing,)})["a"]["found"] == 1
    captured = capfd.readouterr()
    for said in ("this is not the result", "nor this", "nor that of another"):
        assert said in captured.err
    assert not captured.out


@pytest.mark.parametrize(("function", "found"), [(by_an_array, 30), (decorated, 6)])
def test_what_a_job_may_be(kept, function, found):
    assert full({"a": (function, 3)})["a"]["found"] == found


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["a.npz"], r"returned .*'a.npz'.*; it should return a dict .*file name: arrays"),
        ({"a.npz": {"x": object}}, "save: type cannot be saved"),
        *(
            ({name: 1.0}, "with_files wants .* to be kept: a file's name ends in .npz and has no f")
            for name in (
                "../x.npz",
                "a/b.npz",
                "a\\b.npz",
                "C:x.npz",
                "x.json",
                "..",
                ".npz",
                "",
                3,
            )
        ),
    ],
)
def test_files_that_cannot_be_kept_cost_one_job(kept, files, said):
    with pytest.raises(RuntimeError, match=rf"1 of 3 jobs failed; 2 results .*'files': .*{said}"):
        full({"files": (with_files, files), **numbers(2)}, ThreadPoolExecutor(1))
    assert set(results(kept)) == set(numbers(2))
    assert {file.name for file in kept.parent.rglob("*.*")} == {"x.json", "x.lock"}


def test_a_job_has_an_empty_standard_input(kept):
    assert full({"a": (reading,)})["a"]["found"] == 1


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, executors.Processes])
def test_an_error_without_a_text_is_named(kept, executor, capsys):
    with (
        executor(2) as workers,
        pytest.raises(RuntimeError, match=r"1 of 2 .*'a': .*Wordless, whose"),
    ):
        full({"a": (wordless,), **numbers(1)}, workers)
    assert set(results(kept)) == {"job 0"} and "died" not in capsys.readouterr().err


@pytest.mark.parametrize("x", [np.nan, np.inf, -np.inf])
def test_numbers_that_json_has_not_are_refused(kept, x):
    """Python writes and reads them, but other readers of JSON refuse the file."""
    said = r"'a': ValueError: of_what_is_not_a_number returned \{'found': .*: put None where"
    with pytest.raises(RuntimeError, match=f"1 of 2 jobs failed; 1 results are kept .*{said}"):
        full({"a": (of_what_is_not_a_number, x), **numbers(1)}, ThreadPoolExecutor(1))
    assert set(results(kept)) == {"job 0"}
    with pytest.raises(ValueError, match=r"the settings of x are \{'rate': .*: put None where"):
        full(numbers(2), ThreadPoolExecutor(1), {"rate": x})


def test_an_argument_that_a_worker_cannot_load_is_told_once(kept, monkeypatch, capsys):
    class Known:
        __module__, __qualname__ = "here_alone", "Known"

    monkeypatch.setitem(sys.modules, "here_alone", SimpleNamespace(Known=Known))
    with pytest.raises(RuntimeError, match="'a': ModuleNotFoundError: No module named 'here_alo"):
        full({"a": (scaled, Known())})
    assert "died" not in capsys.readouterr().err


def test_a_function_that_no_worker_can_find(kept):
    def inner():
        return {}

    for function in (inner, lambda: {}, print, np.sin):
        with pytest.raises(TypeError, match=r"the job 'a' is .*cannot find by its name: define it"):
            full({"a": (function,)})


@pytest.mark.parametrize(
    "what", ["tinyode", "numpy", "python", "files (tinyode, tutorials, test_experiment.p"]
)
def test_a_worker_with_other_versions_or_files_is_told(what):
    job = jobs_of_experiments.job_of("a", scaled, 1)
    assert jobs_of_experiments.run(job)[0]["found"] == 10
    (name,) = [key for key in job.made_with if key.startswith(what)]
    job.made_with[name] = "0.0.1"
    with pytest.raises(RuntimeError, match=r"process \d+ on .* has ") as error:
        jobs_of_experiments.run(job)
    assert f"{name} {jobs_of_experiments.made_with(Path(__file__))[name]}, not 0.0.1" in str(
        error.value
    )


def test_a_file_that_changes_during_the_run_is_noticed(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("def f():\n    return {'found': 1}\n", encoding="utf-8")
    namespace = {}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), namespace)
    job = jobs_of_experiments.job_of("a", namespace["f"])
    assert jobs_of_experiments.run(job)[0]["found"] == 1
    path.write_text("import os\n\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(
        RuntimeError, match=r"files \(tinyode, tutorials, own.py\) .*no file may change"
    ):
        jobs_of_experiments.run(job)


def test_a_run_does_not_mix_two_editions_of_a_file(tmp_path):
    """A chapter is changed between two of its experiments, and the second is refused."""
    path = tmp_path / "own.py"
    path.write_text("def f():\n    return {'found': 1}\n", encoding="utf-8")
    namespace = {}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), namespace)
    jobs_of_experiments.job_of("a", namespace["f"])
    path.write_text("def f():\n    return {'found': 2}\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="no file may change during the run"):
        jobs_of_experiments.run(jobs_of_experiments.job_of("b", namespace["f"]))


@pytest.mark.parametrize(
    "changed", ["tinyode/nn.py", "tinyode/data/lynx_hare.csv", "tutorials/animations.py"]
)
def test_a_worker_that_began_before_a_change_of_what_jobs_share_is_told(tmp_path, changed):
    """It has loaded the files as they were, and says so, whatever they are now."""
    for folder in ("tinyode", "tutorials"):
        leave_out = shutil.ignore_patterns("__pycache__", "notebooks", "results")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=leave_out)
    code = """
import pathlib, sys, job, tinyode
path = pathlib.Path(job.__file__)
before = job.made_with(path)
if len(sys.argv) > 1:
    file = pathlib.Path(sys.argv[1])
    assert pathlib.Path("tinyode").samefile(pathlib.Path(tinyode.__file__).parent)
    file.write_text(file.read_text(encoding="utf-8") + "# changed\\n", encoding="utf-8")
assert job.made_with(path) == before
print(before)
"""
    paths = os.pathsep.join([str(tmp_path), str(tmp_path / "tutorials")])
    settings = {"env": {**os.environ, "PYTHONPATH": paths}, "cwd": tmp_path, "check": True}
    said = [
        subprocess.run([sys.executable, "-c", code, *changing], capture_output=True, **settings)
        for changing in ([], [changed], [])
    ]
    assert said[0].stdout == said[1].stdout != said[2].stdout


def test_a_script_that_changes_before_its_first_job_is_noticed(tmp_path):
    """For example the copy of a chapter, which is in another folder."""
    path = tmp_path / "mine.py"
    code = """
import pathlib, job
FACTOR, path = 2.0, pathlib.Path(__file__)
def found():
    return {"found": FACTOR}
asked = job.job_of("a", found)
"""
    change = 'path.write_text(path.read_text(encoding="utf-8") + "#", encoding="utf-8")\n'
    settings = {"env": {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))}}
    for changed in ("", change):
        text = code.replace("asked", changed + "asked") + "print(job.run(asked)[0]['found'])\n"
        path.write_text(text, encoding="utf-8")
        run = [sys.executable, str(path)]
        done = subprocess.run(run, capture_output=True, encoding="utf-8", check=False, **settings)
        assert ("no file may change during the run" in done.stderr) == bool(changed), done.stderr
        assert done.stdout == ("" if changed else "2.0\n")


def test_a_chapter_that_changes_before_its_first_job_is_noticed(course):
    """What it is made of is noted when the run begins, not when the first job is made."""
    path = course / "01_small.py"
    code = f"""
import sys, pathlib
sys.path.insert(0, {str(course)!r})
import job
path = pathlib.Path({str(path)!r})
text, names = path.read_text(encoding="utf-8"), {{}}
text += "\\n\\n# %%\\ndef found():\\n    return {{'found': factor}}\\n"
exec(compile(text, path, "exec"), names)
path.write_text(text.replace("factor = 2.0", "factor = 3.0"), encoding="utf-8")
job.run(job.job_of("a", names["found"]))
"""
    settings = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "encoding": "utf-8"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, **settings)
    assert run.returncode and "01_small.py) " in run.stderr.splitlines()[-1]
    assert "no file may change during the run" in run.stderr


RUN = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(cells.HERE)!r}]
import experiment, test_experiment
experiment.RESULTS, experiment.FULL, folder = Path(sys.argv[1]), True, sys.argv[2]
jobs = {{f"job {{x}}": (test_experiment.waiting, folder, x) for x in range(3)}}
experiment.full("x", {{}}, jobs)
"""


def running(kept, folder):
    """Start a run of its own with three jobs, of which two never end; return it at these."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(kept), str(folder)],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 60
    files = [folder / "began 1", folder / "began 2"]
    while not all(file.exists() and file.read_text(encoding="utf-8") for file in files):
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.02)
    return run, [int(file.read_text(encoding="utf-8")) for file in files]


def ended(processes):
    """Whether processes end within ten seconds."""
    for _ in range(500):
        alive = [p for p in processes if Path(f"/proc/{p}").exists() and not zombie(p)]
        if not alive:
            return True
        time.sleep(0.02)
    return False


def zombie(process):
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return True


@POSIX
def test_ctrl_c_keeps_what_is_done_and_ends_the_processes(kept, tmp_path):
    run, workers = running(kept, tmp_path)
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=30)[1]
    assert run.returncode != 0 and set(results(kept)) == {"job 0"}
    last = said.splitlines()[-1]
    assert last.startswith("KeyboardInterrupt: 1 results are kept in ")
    assert last.endswith("x.json; the same command does the other jobs")
    assert "died" not in said and ended(workers)


@POSIX
def test_a_second_ctrl_c_soon_after_the_first_changes_nothing(kept, tmp_path):
    run, workers = running(kept, tmp_path)
    for _ in range(10):
        run.send_signal(signal.SIGINT)
        time.sleep(0.001)
    said = run.communicate(timeout=30)[1]
    assert said.splitlines()[-1].startswith("KeyboardInterrupt: 1 results are kept in ")
    assert "Fatal" not in said and set(results(kept)) == {"job 0"} and ended(workers)


def test_ctrl_c_while_a_result_is_written_loses_none_that_is_done(kept, monkeypatch):
    """The other jobs are done meanwhile, before their results are looked at."""
    fsync, jobs = os.fsync, {**numbers(3), "never": (scaled, 3)}
    futures = []

    class Workers:
        def submit(self, function, job):
            futures.append(Future())
            if not futures[1:]:
                futures[0].set_result(function(job))
            return futures[-1]

    def interrupted(file):
        if not futures[1].done():
            for future in futures[1:3]:
                future.set_result(({"found": 1.0, "seconds": 0.0}, {}))
            signal.raise_signal(signal.SIGINT)
        fsync(file)

    monkeypatch.setattr(experiment.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"^3 results are kept in .*x\.json; the same"):
        full(jobs, Workers())
    assert set(results(kept)) == set(numbers(3)) and futures[3].cancelled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@POSIX
def test_ctrl_c_is_ignored_where_it_was_ignored(kept):
    """As in a program that a shell has begun in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert len(full({**numbers(2), "a": (interrupting,)}, ThreadPoolExecutor(1))) == 3
    finally:
        signal.signal(signal.SIGINT, before)


@POSIX
def test_a_second_run_is_refused_until_the_first_has_ended_however_it_ends(kept, tmp_path):
    run, workers = running(kept, tmp_path)
    with pytest.raises(
        SystemExit, match=r"another run is working on .*x.json, process "
    ) as refused:
        full(numbers(2), ThreadPoolExecutor(1))
    assert f"process {run.pid} on " in str(refused.value)
    assert "wait until it is done, or end it" in str(refused.value)
    run.kill()
    run.communicate()
    assert ended(workers), "the processes of a run end with it"
    assert set(results(kept)) == {"job 0"}
    full({"job 1": (waiting, str(tmp_path), 0)}, ThreadPoolExecutor(1))
    assert set(results(kept)) == {"job 0", "job 1"}


def test_threads_of_one_process_are_refused_too(kept):
    with (
        experiment._alone(kept.parent / "x.json"),
        pytest.raises(SystemExit, match=f"process {os.getpid()} on "),
        experiment._alone(kept.parent / "x.json"),
    ):
        pass


@POSIX
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_where_nothing_can_be_locked_the_run_goes_on(kept, number, monkeypatch, capsys):
    def flock(*_):
        raise OSError(number, "this file system has no locks")

    monkeypatch.setattr(experiment.fcntl, "flock", flock)
    assert len(full(numbers(2), ThreadPoolExecutor(1))) == 2
    said = capsys.readouterr().err
    assert "x.json cannot be locked here" in said and "start no second run of it" in said


def test_the_lock_of_windows(kept, monkeypatch):
    """It is behind the end of the file, so that others can read who has it."""
    asked = []

    class Msvcrt:
        LK_NBLCK = "lock, or raise at once"

        @staticmethod
        def locking(descriptor, what, n):
            asked.append((what, n, os.lseek(descriptor, 0, os.SEEK_CUR)))
            if len(asked) == 2:
                raise OSError("locked by another process")

    monkeypatch.setattr(experiment, "fcntl", None)
    monkeypatch.setattr(experiment, "msvcrt", Msvcrt, raising=False)
    full(numbers(1), ThreadPoolExecutor(1))
    assert asked == [("lock, or raise at once", 1, 2**30)]
    with pytest.raises(SystemExit, match=f"process {os.getpid()} on "):
        full(numbers(2), ThreadPoolExecutor(1))
    assert set(results(kept)) == {"job 0"}


def test_a_job_that_is_cancelled_from_outside_is_told(kept):
    class Lost:
        def submit(self, function, job):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(
        RuntimeError,
        match=r"2 of 2 jobs failed; .*'job \d': CancelledError: its executor has dropped",
    ):
        full(numbers(2), Lost())


def test_jobs_that_were_handed_over_before_an_interrupt_are_cancelled(kept):
    futures = []

    class Interrupted:
        def submit(self, function, job):
            futures.append(Future())
            signal.raise_signal(signal.SIGINT)
            return futures[-1]

    with pytest.raises(KeyboardInterrupt, match=r"^no result is kept; the same command"):
        full(numbers(2), Interrupted())
    assert [future.cancelled() for future in futures] == [True, True]


@POSIX
def test_a_pool_that_breaks_keeps_what_was_done(kept, tmp_path):
    """It is Python's own, which ends all processes if one dies, and cannot say for which job."""
    jobs = {"first": (scaled, 1), "dies": (dying, str(tmp_path), 1), "later": (scaled, 2)}
    with SPAWNED(1) as workers, pytest.raises(RuntimeError, match=r"failed; .*BrokenProcessPool"):
        full(jobs, workers)
    assert "first" in results(kept) and "dies" not in results(kept)
    assert full(jobs)["dies"]["calls"] == 1


def test_an_executor_that_is_given_is_not_ended(kept):
    with ThreadPoolExecutor(1) as workers:
        full(numbers(1), workers)
        assert workers.submit(abs, -1).result() == 1


def test_what_is_missing_without_full_and_what_is_there(kept, monkeypatch):
    monkeypatch.setattr(experiment, "FULL", False)
    with pytest.raises(SystemExit, match=r"no results of 'job 0' and 1 more jobs: run .*--full"):
        full(numbers(2))
    monkeypatch.setattr(experiment, "FULL", True)
    there = full(numbers(2), ThreadPoolExecutor(1))
    monkeypatch.setattr(experiment, "FULL", False)
    assert full(numbers(2)) == there and full(numbers(1)) == {"job 0": there["job 0"]}


def test_an_experiment_goes_on_and_is_not_mixed_with_others(kept):
    path, workers = kept / "x.json", ThreadPoolExecutor(1)
    full(numbers(1), workers, {"n": 1})
    before = json.loads(path.read_text(encoding="utf-8"))
    before["results"] |= {"job 1": {"found": 7.0}, "of others": {"found": 8.0}}
    path.write_text(json.dumps(before), encoding="utf-8")
    found = full(numbers(3), workers, {"n": 1})
    assert found["job 1"] == {"found": 7.0} and found["job 2"]["found"] == 20.0
    assert set(results(kept)) == {*numbers(3), "of others"}
    with pytest.raises(SystemExit, match=r"made with other settings, \{'n': 1\}; delete it"):
        full(numbers(3), workers, {"n": 2})
    path.write_text(json.dumps({**before, "versions": {"numpy": "1.0"}}), encoding="utf-8")
    assert full(numbers(2), workers, {"n": 1})["job 1"] == {"found": 7.0}  # it only reads
    with pytest.raises(SystemExit, match=r"begun with other versions, .*1.0.*, than these.* Del"):
        full(numbers(3), workers, {"n": 1})
    assert set(results(kept)) == {"job 0", "job 1", "of others"}
    path.unlink()  # as the message says
    assert len(full(numbers(3), workers, {"n": 1})) == 3


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"results": {}}', "7", "\xff", '{"settings": {}, "versions"']
)
def test_another_kind_of_file_is_refused_and_stays(kept, text, monkeypatch):
    kept.mkdir()
    path = kept / "x.json"
    path.write_text(text, encoding="latin-1")
    for made in (False, True):
        monkeypatch.setattr(experiment, "FULL", made)
        with pytest.raises(SystemExit, match=r"x\.json is damaged"):
            full(numbers(1), ThreadPoolExecutor(1))
    assert path.read_text(encoding="latin-1") == text


def test_an_interrupted_write_leaves_what_there_was(kept, monkeypatch):
    full(numbers(1), ThreadPoolExecutor(1))

    def fails(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(experiment.os, "fsync", fails)
        with pytest.raises(OSError, match="disk is full"):
            full(numbers(2), ThreadPoolExecutor(1))
    assert set(results(kept)) == {"job 0"}
    assert {file.name for file in kept.iterdir()} == {"x.json", "x.lock"}
    assert set(full(numbers(2), ThreadPoolExecutor(1))) == {"job 0", "job 1"}


def test_a_file_that_is_deleted_meanwhile_has_again_what_this_run_found(kept):
    jobs = {"a": (scaled, 1), "b": (deleting, str(kept / "x.json")), "c": (scaled, 2)}
    full(jobs, ThreadPoolExecutor(1))
    assert set(results(kept)) == {"a", "b", "c"}


@POSIX
def test_the_output_of_a_notebook_that_is_made_with_its_own_to_a_file(tmp_path):
    """Its kernel puts a pipe in the place of the file, in which nobody can seek."""
    code = "import os, sys; print('said'); os.dup2(os.pipe()[1], 1); import experiment"
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        settings = {"env": {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))}}
        run = [sys.executable, "-c", code]
        assert not subprocess.run(run, stdout=log, check=False, **settings).returncode


def test_a_job_for_each_case(kept, monkeypatch):
    monkeypatch.setattr(experiment, "WORKERS", None)
    workers = ThreadPoolExecutor(2)
    found = experiment.each("x", {}, scaled, [(2,), (1,)], "{}", workers)
    assert list(found) == [(2,), (1,)] and found[2,]["found"] == 20
    cases = {("net", 1): (5,), ("ode", 2): (6,)}
    found = experiment.each("y", {}, scaled, cases, "{}, seed {}", workers)
    assert list(found) == list(cases) and found["ode", 2]["found"] == 60
    assert set(results(kept, "y")) == {"net, seed 1", "ode, seed 2"}
    with pytest.raises(ValueError, match=r"called='{}' names 2 cases with 1 names, net: put every"):
        experiment.each("z", {}, scaled, {("net", 1): (5,), ("net", 2): (6,)}, "{}", workers)


@pytest.mark.parametrize(
    ("chapter", "function", "arguments", "file", "name"),
    [
        ("07_digits", "run", ("ResNet", 0, 0.03), "07_digits", "ResNet, seed 0"),
        (
            "08_normalizing_flows",
            "run",
            ("planar 2", "two_moons", 1, 0.2),
            "08_normalizing_flows",
            "planar 2, two_moons, seed 1",
        ),
    ],
)
def test_a_job_of_a_chapter_finds_again_what_is_kept(chapter, function, arguments, file, name):
    """A worker runs what the job needs of the chapter, and no more: it has the same numbers."""
    path = cells.HERE / f"{chapter}.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    line = 1 + [text.startswith(f"def {function}(name") for text in lines].index(True)
    with executors.Processes(1) as worker:
        job = jobs_of_experiments.Job(
            name, path.name, function, line, arguments, jobs_of_experiments.made_with(path)
        )
        found, files = worker.submit(jobs_of_experiments.run, job).result()
    before = results(cells.HERE / "results", file)[name]
    assert set(found) == set(before) and files == {}
    what = "error" if "error" in found else "loss"
    assert abs(found[what] / before[what] - 1) < 0.3, "another processor rounds otherwise"
