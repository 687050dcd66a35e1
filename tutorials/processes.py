"""Processes that run a part of the course: their environment, their limits, their end."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cells

MEGABYTES = 2000  # the largest of our own takes less than a tenth of it
PAUSE = 0.1  # seconds between two looks at a process


def environment():
    """Return the environment of a process that runs a part of the course.

    It finds this checkout's tinyode whatever its folder, opens no window, prints in UTF-8, and
    leaves the other processor to the process beside it.
    """
    paths = [str(cells.HERE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    settings = {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in paths if path),
        "PYTHONIOENCODING": "utf-8",
        "MPLBACKEND": "Agg",
    }
    return {"OPENBLAS_NUM_THREADS": "1", **os.environ, **settings}


def watch(process, seconds):
    """Wait for the end of a process; return a status and a message if it had to be ended."""
    end = time.monotonic() + seconds
    while True:
        try:
            process.wait(PAUSE)
            return None
        except subprocess.TimeoutExpired:
            pass
        if time.monotonic() > end:
            return "late", f"no answer after {seconds:g} seconds; does a loop never end?"
        if _megabytes(process) > MEGABYTES:
            return "crashed", f"the answer takes more than {MEGABYTES} MB of memory"


def kill(process):
    """End a process and those that it has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _megabytes(process):
    """Return the memory that a process takes, 0 where the system does not tell."""
    if sys.platform == "win32":
        sizes = (ctypes.c_size_t * 10)()  # PROCESS_MEMORY_COUNTERS: two numbers of 32 bits, then
        ctypes.windll.psapi.GetProcessMemoryInfo(  # the peak and the size of the working set
            ctypes.c_void_p(int(process._handle)), sizes, ctypes.sizeof(sizes)
        )
        return sizes[2] / 1e6
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6
    with contextlib.suppress(OSError, ValueError):
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True)
        return int(told.stdout) / 1e3
    return 0.0
