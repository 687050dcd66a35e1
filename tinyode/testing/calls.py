"""What a function calls while it runs, for checks of its cost: calls are the same each time."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


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
