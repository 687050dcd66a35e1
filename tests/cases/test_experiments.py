"""Experiments: no result is lost, whoever else works on the file. Chapters run on any terminal."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "tutorials" / "experiment.py"
LOADED = f"""
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("experiment", {str(EXPERIMENT)!r})
experiment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(experiment)
experiment.RESULTS, who = Path(sys.argv[1]), sys.argv[2]
"""


def loaded(folder, full=True):
    spec = importlib.util.spec_from_file_location("experiment_of_a_case", EXPERIMENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.RESULTS, module.FULL = folder, full
    return module


def start(code, folder, who):
    command = [sys.executable, "-c", LOADED + code, str(folder), str(who), "--full"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def jobs(who, n, value=1.0):
    return {f"{who}, {i}": lambda i=i: {"found": value + i} for i in range(n)}


def results(folder):
    return json.loads((folder / "x.json").read_text(encoding="utf-8"))["results"]


def test_processes_at_other_jobs_of_one_file_lose_nothing(tmp_path):
    code = """
jobs = {f"{who}, {i}": lambda i=i: {"found": i} for i in range(40)}
found = experiment.full("x", {"n": 1}, jobs)
assert [found[job]["found"] for job in jobs] == list(range(40))
"""
    running = [start(code, tmp_path, who) for who in range(4)]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    kept = results(tmp_path)
    assert set(kept) == {f"{who}, {i}" for who in range(4) for i in range(40)}
    assert all(result["found"] == int(job.split(", ")[1]) for job, result in kept.items())
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_threads_at_other_jobs_of_one_file_lose_nothing(tmp_path):
    experiment = loaded(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda who: experiment.full("x", {}, jobs(who, 10)), range(4)))
    assert set(results(tmp_path)) == {f"{who}, {i}" for who in range(4) for i in range(10)}
    assert all(len(one) == 10 for one in found)


def test_processes_at_the_same_jobs_agree_in_the_end(tmp_path):
    code = "experiment.full('x', {}, {str(i): lambda: {'found': 1.0} for i in range(20)})"
    running = [start(code, tmp_path, who) for who in range(3)]
    assert [process.communicate() and process.returncode for process in running] == [0] * 3
    assert set(results(tmp_path)) == set(map(str, range(20)))


def test_the_lock_of_windows(tmp_path, monkeypatch):
    """It is behind the end of the file, asked for until it is had, and given back."""
    experiment, asked = loaded(tmp_path), []

    class Msvcrt:
        LK_LOCK, LK_UNLCK = "lock", "unlock"

        @staticmethod
        def locking(descriptor, what, n):
            place = os.lseek(descriptor, 0, os.SEEK_CUR)
            asked.append((what, n, place > EXPERIMENT.stat().st_size))
            if len(asked) == 1:
                raise OSError("ten seconds are over")

    monkeypatch.setattr(experiment, "fcntl", None)
    monkeypatch.setattr(experiment, "msvcrt", Msvcrt, raising=False)
    before = EXPERIMENT.read_bytes()
    with experiment._alone():
        assert asked == [("lock", 1, True)] * 2
    assert asked == [("lock", 1, True)] * 2 + [("unlock", 1, True)]
    experiment.full("x", {}, jobs("a", 1))
    assert set(results(tmp_path)) == {"a, 0"} and EXPERIMENT.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="ends processes as POSIX does")
def test_a_process_that_is_killed_stops_nobody(tmp_path):
    code = "experiment.full('x', {}, {f'{who}, {i}': lambda: {'found': 1.0} for i in range(10**4)})"
    for who in range(3):
        process = start(code, tmp_path, who)
        while (
            not (tmp_path / "x.json").exists()
            or f'"{who}, ' not in (tmp_path / "x.json").read_text()
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = set(results(tmp_path))  # whole
        assert any(job.startswith(f"{who}, ") for job in before)
    began = time.monotonic()
    loaded(tmp_path).full("x", {}, jobs("last", 3))
    assert set(results(tmp_path)) == before | set(jobs("last", 3)) and time.monotonic() - began < 30
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_file_that_is_deleted_meanwhile_has_again_what_this_run_found(tmp_path):
    def job():
        (tmp_path / "x.json").unlink()
        return {"found": 2.0}

    found = loaded(tmp_path).full("x", {}, {**jobs("a", 2), "b": job})
    assert set(found) == set(results(tmp_path)) == {"a, 0", "a, 1", "b"}


def test_two_that_begin_at_once_with_other_settings_are_not_mixed(tmp_path):
    experiment = loaded(tmp_path)

    def meanwhile():
        experiment.full("x", {"n": 2}, jobs("other", 1))
        return {"found": 1.0}

    with pytest.raises(SystemExit, match=r"made with other settings, \{'n': 2\}"):
        experiment.full("x", {"n": 1}, {"mine": meanwhile})
    assert set(results(tmp_path)) == {"other, 0"}


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"results": {}}', "7", "\xff", '{"settings": {}, "versions"']
)
def test_another_kind_of_file_is_refused_and_stays(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="latin-1")
    for full in (False, True):
        with pytest.raises(SystemExit, match=r"x\.json is damaged"):
            loaded(tmp_path, full).full("x", {}, jobs("a", 1))
    assert path.read_text(encoding="latin-1") == text


def test_an_interrupted_write_leaves_what_there_was(tmp_path, monkeypatch):
    experiment = loaded(tmp_path)
    experiment.full("x", {}, jobs("a", 2))
    with pytest.raises(TypeError):
        experiment.full("x", {}, {"b": lambda: {"found": "text", "more": lambda: 0}})
    assert set(results(tmp_path)) == {"a, 0", "a, 1"}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    experiment.full("x", {}, jobs("c", 1))
    assert set(results(tmp_path)) == {"a, 0", "a, 1", "c, 0"}


def test_a_chapter_that_only_reads_needs_no_installation(tmp_path, monkeypatch):
    """Nor does one that computes; what it finds says so."""
    loaded(tmp_path).full("x", {}, jobs("a", 2))
    experiment = loaded(tmp_path, full=False)

    def nowhere(name):
        raise experiment.PackageNotFoundError(name)

    monkeypatch.setattr(experiment, "version", nowhere)
    assert set(experiment.full("x", {}, jobs("a", 2))) == {"a, 0", "a, 1"}
    experiment.FULL = True
    assert set(experiment.full("x", {}, jobs("a", 2))) == {"a, 0", "a, 1"}
    with pytest.raises(SystemExit, match="begun with other versions"):
        experiment.full("x", {}, jobs("b", 1))
    experiment.full("y", {}, jobs("b", 1))
    versions = json.loads((tmp_path / "y.json").read_text())["versions"]
    assert versions["tinyode"] == "not installed"


ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def course(tmp_path):
    """A course of one chapter with letters that ASCII has not, in title, prose and output."""
    (tmp_path / "tutorials").mkdir()
    for path in (ROOT / "tutorials").glob("[a-z_]*.py"):
        shutil.copy(path, tmp_path / "tutorials")
    (tmp_path / "tutorials" / "01_greek.py").write_text(
        """# %% [markdown]
# # Größe: δ ≥ 0
# Prose — with λ.

# %%
from experiment import spread, table
table([("é", spread([1.0, 2.0]))], "what", "how much")
print("−1 ± λ")
""",
        encoding="utf-8",
    )
    return tmp_path


@pytest.mark.parametrize("arguments", [["--list"], ["1"], ["1", "--step"], []])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_chapters_run_where_the_terminal_has_few_letters(course, arguments, encoding):
    environment = {**os.environ, **ASCII, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-X",
        "warn_default_encoding",
        "-W",
        "error",
        "-m",
        "tutorials",
        *arguments,
    ]
    ran = subprocess.run(
        command,
        cwd=course,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0 and not ran.stderr, ran.stderr
    out = ran.stdout.decode(encoding)
    assert {"ascii": "Gr??e: ? ? 0", "latin-1": "Größe: ? ? 0", "utf-8": "Größe: δ ≥ 0"}[
        encoding
    ] in out
    if "1" in arguments:
        assert {"ascii": "1.50 ? 0.71", "latin-1": "1.50 ± 0.71", "utf-8": "1.50 ± 0.71"}[
            encoding
        ] in out


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_chapter_as_a_script_does_too(course, encoding):
    environment = {**os.environ, **ASCII, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-W", "error", course / "tutorials" / "01_greek.py"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert {"ascii": "?1 ? ?", "utf-8": "−1 ± λ"}[encoding] in ran.stdout.decode(encoding)


def test_the_list_of_the_course_under_ascii():
    ran = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-W", "error", "-m", "tutorials", "--list"],
        cwd=ROOT,
        env={**os.environ, **ASCII},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0 and not ran.stderr and len(ran.stdout.splitlines()) >= 10, ran.stderr


def test_the_package_reads_its_own_files_as_utf8():
    code = (
        "from tinyode import datasets; datasets.lynx_hare(); datasets.digits(); "
        "import tinyode.models, tinyode.testing"
    )
    ran = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning", "-c", code],
        cwd=ROOT,
        env={**os.environ, **ASCII},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
