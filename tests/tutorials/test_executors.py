"""Experiments on a real Dask scheduler with two workers, of which one is killed in the middle.

The package distributed is installed for this test alone, in CI; elsewhere it is used where it is.
"""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import cells
import executors
import pytest

ROOT = cells.HERE.parent
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target")
SCHEDULER = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard", "--port")
WORKER = ("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")


# What jobs do.
def sleeping(folder, x):
    (Path(folder) / f"{x} in {os.getpid()}").touch()
    time.sleep(0.5)
    return {"found": x, "process": os.getpid()}


def deadly():
    time.sleep(1)  # so that the worker has told the scheduler of the job before
    os._exit(3)


RUN = f"""
import functools, sys
from pathlib import Path
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(cells.HERE)!r}]
import executors, experiment, test_executors
experiment.RESULTS, experiment.FULL, folder = Path(sys.argv[1]), True, sys.argv[2]
experiment.WORKERS = functools.partial(executors.dask, sys.argv[3])
jobs = {{f"job {{x}}": (test_executors.sleeping, folder, x) for x in range(abs(int(sys.argv[4])))}}
if int(sys.argv[4]) < 0:
    jobs["deadly"] = (test_executors.deadly,)
experiment.full("x", {{}}, jobs)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the PYTHONPATH of processes that have distributed and what its workers need."""
    paths = [ROOT, cells.HERE, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    if not find_spec("distributed"):
        if not os.environ.get("CI"):
            pytest.skip("distributed is not installed; CI installs it")
        folder = tmp_path_factory.mktemp("distributed")
        done = subprocess.run([sys.executable, *PIP, folder, "distributed"], capture_output=True)
        if done.returncode:
            pytest.skip("distributed cannot be downloaded")
        paths.append(folder)
    return os.pathsep.join(str(path) for path in paths if str(path))


def start(*arguments, path, **settings):
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen([sys.executable, *arguments], env=env, **settings)


def when(there, process):
    """Wait until something is there; a process that ends meanwhile is an error."""
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)


@pytest.fixture
def dask(installed, tmp_path, request, monkeypatch):
    """Start a scheduler, which allows a job some deaths, and workers: 3 and 2, or as a test says.

    Return its address and the workers.
    """
    allowed, workers = getattr(request, "param", (3, 2))
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", str(allowed))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path / "log").open("w+", encoding="utf-8")
    settings = {"path": installed, "stdout": log, "stderr": log}
    processes = [start("-m", *SCHEDULER, str(port), **settings)]
    address = f"127.0.0.1:{port}"
    try:
        for _ in range(workers):
            processes.append(start("-m", *WORKER, f"tcp://{address}", **settings))
        said = lambda: (tmp_path / "log").read_text(encoding="utf-8")
        when(lambda: said().count("Register worker") == workers, processes[0])
        when(lambda: "Scheduler at:" in said(), processes[0])
        yield f"{executors.PREFIX}{address}", processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        log.close()


def results(folder):
    return json.loads((folder / "x.json").read_text(encoding="utf-8"))["results"]


def test_one_of_two_workers_is_killed_in_the_middle(dask, installed, tmp_path):
    address, workers = dask
    files = tmp_path / "files"
    files.mkdir()
    arguments = ("-c", RUN, tmp_path, files, address)
    run = start(
        *map(str, arguments), "12", path=installed, stderr=subprocess.PIPE, encoding="utf-8"
    )
    when(lambda: len(list(files.glob(f"* in {workers[0].pid}"))) >= 3, run)
    workers[0].kill()
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 0, said
    kept = results(tmp_path)
    assert [kept[f"job {x}"]["found"] for x in range(12)] == list(range(12))
    by = [result["process"] for result in kept.values()]
    assert set(by) == {worker.pid for worker in workers}
    assert f"{address}: 2 workers" in said and "(12 of 12)" in said
    assert "is gone; the jobs that it had (" in said and "are done again" in said
    began = sorted(int(file.name.split()[0]) for file in files.iterdir())
    assert len(began) > len(set(began)) == 12, "one job was in the middle, and began twice"


@pytest.mark.parametrize("dask", [(0, 2)], indirect=True)
def test_a_job_that_kills_its_worker_is_named_and_the_others_are_kept(dask, installed, tmp_path):
    """Dask gives it up after as many deaths as its scheduler allows: here it allows none."""
    arguments = ("-c", RUN, tmp_path, tmp_path, dask[0], "-3")
    run = start(*map(str, arguments), path=installed, stderr=subprocess.PIPE, encoding="utf-8")
    said = run.communicate(timeout=60)[1]
    assert run.returncode != 0 and set(results(tmp_path)) == {"job 0", "job 1", "job 2"}
    assert "RuntimeError: 1 of 4 jobs failed" in said and "'deadly': KilledWorker: " in said


@pytest.mark.parametrize("dask", [(3, 0)], indirect=True)
def test_jobs_wait_for_the_first_worker_and_say_so(dask, installed, tmp_path):
    arguments = ("-c", RUN, tmp_path, tmp_path, dask[0], "1")
    pipe = {"stderr": subprocess.PIPE, "encoding": "utf-8"}
    run = start(*map(str, arguments), path=installed, **pipe)
    lines = [run.stderr.readline() for _ in range(2)]
    scheduler = dask[0].replace("dask://", "tcp://")
    assert lines == [
        f"{dask[0]}: 0 workers\n",
        f"the jobs wait for one: start it with `dask worker {scheduler} --nthreads 1`\n",
    ]
    worker = start("-m", *WORKER, scheduler, path=installed, stderr=subprocess.DEVNULL)
    try:
        said = run.communicate(timeout=60)[1]
    finally:
        worker.kill()
        worker.wait()
    assert run.returncode == 0 and set(results(tmp_path)) == {"job 0"}, said


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 400 Bad request\r\n" * 9])
def test_a_port_where_something_else_listens_is_told_in_time(installed, answer):
    """Of itself, a client of Dask waits for ever for what is no scheduler."""
    code = f"""
import sys
sys.path.insert(0, {str(cells.HERE)!r})
import executors
executors.CONNECT = 1
executors.dask("dask://127.0.0.1:" + sys.argv[1]).__enter__()
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        pipe = {"stderr": subprocess.PIPE, "encoding": "utf-8"}
        run = start("-c", code, port, path=installed, **pipe)
        with server.accept()[0] as other:
            other.sendall(answer)
            said = run.communicate(timeout=30)[1]
    assert run.returncode == 1
    assert f"no Dask scheduler answers at dask://127.0.0.1:{port} (" in said
    assert "start one (`dask scheduler`), or correct the address" in said


def test_a_scheduler_or_workers_without_our_modules_are_named(monkeypatch):
    class Client(nullcontext):
        def __init__(self, address, timeout):
            super().__init__()

        def run_on_scheduler(self, function, name):
            return function(name)

        def run(self, function, name):
            return {"tcp://a:1": None, "tcp://b:1": function(name)}

    async def greet(address):
        pass

    monkeypatch.setattr(executors, "_greet", greet)
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Client))
    with pytest.raises(SystemExit, match="dask://h:1: tcp://a:1 cannot import") as refused:
        executors.dask("dask://h:1").__enter__()
    assert f"PYTHONPATH={ROOT}{os.pathsep}{cells.HERE}" in str(refused.value)


def test_no_scheduler_and_no_package_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SystemExit, match="needs the package distributed: python -m pip install"):
        executors.dask("dask://127.0.0.1:1").__enter__()

    async def greet(address):
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(executors, "_greet", greet)
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=None))
    with pytest.raises(SystemExit, match=r"no Dask scheduler answers at dask://h:1 .*tcp://h:1"):
        executors.dask("dask://h:1").__enter__()
