"""What a function calls while it runs: for checks of its cost, and of what it must do without."""

import inspect
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ..solvers import first_call

HANDS_ON = "numpy", first_call.__name__  # modules that hand calls on to the functions of others


def check_without(call: Callable[[], Any], *forbidden: Callable[..., Any] | str) -> None:
    """Run a function, and raise AssertionError if it calls what it must do without.

        check_without(lambda: my_odeint(f, z0, times, theta), odeint)

    Parameters
    ----------
    call : function
        Of no arguments.
    forbidden : functions that are written in Python, or str with the name of a package
        Of a package everything is forbidden. What it calls itself does not count.

    Raises
    ------
    AssertionError
        It names what is called, and the line. What ``call`` raises is passed on.
    TypeError
        If something forbidden is neither a function that is written in Python nor a str.

    Notes
    -----
    Nothing is seen where a profiler runs.
    """
    packages = [x for x in forbidden if isinstance(x, str)]
    functions = [inspect.unwrap(x) for x in forbidden if not isinstance(x, str)]
    for function in functions:
        if not inspect.isfunction(function):
            raise TypeError(f"check_without: {function!r:.60} is no function written in Python")
    codes, found = [function.__code__ for function in functions], list[str]()
    own = getattr(call, "__code__", None)
    of_check = [own, *getattr(own, "co_consts", ())]  # lambdas inside are constants of the code

    def see(frame):
        is_forbidden = frame.f_code in codes or is_in(frame, *packages)
        if not is_forbidden or is_in(frame, *HANDS_ON):
            return
        package, caller = frame.f_globals["__name__"].split(".")[0], frame.f_back
        while caller is not None and is_in(caller, *HANDS_ON):
            caller = caller.f_back
        if caller is None or is_in(caller, package):
            return
        file, number = caller.f_code.co_filename, caller.f_lineno
        line = linecache.getline(file, number, caller.f_globals).strip()
        where = f", in line {number} of {Path(file).name}: {line}" if line else ""
        where = "" if caller.f_code in of_check else where
        found.append(f"your code calls `{frame.f_code.co_name}` of {package}{where}")

    watch_calls(call, see)
    assert not found, f"{found[0]}\nThe exercise is to do without it."


def is_in(frame: FrameType, *packages: str) -> bool:
    """Whether the code of a frame is of one of these packages, by their names."""
    module = str(frame.f_globals.get("__name__", ""))
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def watch_calls(function: Callable[[], Any], see: Callable[[FrameType], Any]) -> None:
    """Run a function, and call ``see`` with the frame of each Python function that is called.

    Nothing is seen where a profiler runs: there can be one at a time, and Python cannot start one
    again that is written in C.
    """
    if sys.getprofile() is not None:
        function()
        return

    def profile(frame, event, arg):
        if event == "call":
            see(frame)

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
