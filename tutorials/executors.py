"""Where the jobs of an experiment are done: in processes here, or by the workers of Dask.

Each is an executor as in `concurrent.futures`. If a worker dies, it says so and does the job again.
A job whose workers die several times raises an error.
"""

import asyncio
import contextlib
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import cells
from processes import environment, kill

ATTEMPTS = 3  # as often as Dask's scheduler by default (allowed-failures)
PREFIX = "dask://"
CONNECT = 10  # seconds to wait for a scheduler; one that runs answers at once


def say(text):
    """Print a line to the terminal, not to the output of the chapter."""
    print(text, file=sys.stderr, flush=True)


class Processes(ThreadPoolExecutor):
    """An executor that does each job in a new process, some at a time.

    A thread waits for each process. So the death of a process costs one job, and it is known which.
    If the ``with`` block ends with an exception, the processes are ended.
    """

    def __init__(self, workers):
        super().__init__(workers)
        self._running, self._ended, self._lock = set(), False, threading.Lock()

    def submit(self, function, job):
        """Return the future of ``function(job)``; the job has a name, for messages."""
        return super().submit(self._attempts, function, job)

    def __exit__(self, kind, error, trace):
        if kind:
            with self._lock:
                self._ended = True
                for process in self._running:
                    kill(process)
        self.shutdown(cancel_futures=kind is not None)

    def _attempts(self, function, job):
        for attempt in range(1, ATTEMPTS + 1):
            answer, code = self._answer(pickle.dumps((function, job)))
            if code == 0:
                result, error, text = pickle.loads(answer)
                if error is not None:
                    raise error from RuntimeError(f"in the process of the job:\n{text}")
                return result
            if self._ended:
                break
            again = "it is done again" if attempt < ATTEMPTS else "it is given up"
            say(f"{job.name}: its process has died (exit code {code}); {again}")
        raise RuntimeError(
            f"its process died {attempt} times, the last time with exit code {code}: is there too"
            " little memory, or does something else end processes?"
        )

    def _answer(self, asked):
        """Start a process; return what it writes and its exit code."""
        with self._lock:
            if self._ended:
                return b"", None
            process = subprocess.Popen(
                [sys.executable, str(cells.HERE / "job.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
                start_new_session=True,  # so that Ctrl-C reaches the run alone, which ends this one
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # as on Windows
            )
            self._running.add(process)
        with process:
            with contextlib.suppress(OSError):  # it died before it had read all
                process.stdin.write(asked)
                process.stdin.flush()
            answer = process.stdout.read()
        with self._lock:
            self._running.remove(process)
        return answer, process.returncode


@contextlib.contextmanager
def dask(address):
    """Give the executor of a Dask client, for example of ``dask://127.0.0.1:8786``.

    Raises
    ------
    SystemExit
        If the package is missing, if no scheduler answers, or if one of them lacks our modules.
    """
    scheduler = "tcp://" + address.removeprefix(PREFIX)
    try:
        from distributed import Client
    except ImportError as error:
        message = f"{address} needs the package distributed: python -m pip install distributed"
        raise SystemExit(message) from error
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a loop of events in this one
            thread.submit(asyncio.run, _greet(scheduler)).result()
        client = Client(scheduler, timeout=CONNECT)
    except Exception as error:  # what listens there may be anything, and answer anything
        raise SystemExit(
            f"no Dask scheduler answers at {address} ({error!r:.200}): start one"
            " (`dask scheduler`), or correct the address"
        ) from error
    with client:
        found = {
            "scheduler": client.run_on_scheduler(find_spec, "job"),
            **client.run(find_spec, "job"),
        }
        lost = [who for who, module in found.items() if module is None]
        if lost:
            path = os.pathsep.join(map(str, (cells.HERE.parent, cells.HERE)))
            raise SystemExit(
                f"{address}: {' and '.join(lost)} cannot import tutorials/job.py. Scheduler and"
                f" workers need this checkout: start them with PYTHONPATH={path}"
            )
        say(f"{address}: {len(found) - 1} workers")
        if len(found) == 1:
            say(f"the jobs wait for one: start it with `dask worker {scheduler} --nthreads 1`")
        client.subscribe_topic("all", _tell)
        yield client.get_executor()


async def _greet(scheduler):
    """Raise an error if none answers in time. For this answer a client would wait for ever."""
    from distributed.comm import connect

    comm = await asyncio.wait_for(connect(scheduler), CONNECT)
    await comm.close()


def _tell(event):
    """Say which worker of Dask is gone; the scheduler does its jobs again without being asked."""
    _, what = event
    if what.get("action") == "remove-worker":
        lost = len(what["processing-tasks"])
        say(f"the worker {what['worker']} is gone; the jobs that it had ({lost}) are done again")
