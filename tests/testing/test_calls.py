"""Calls are seen, and a profiler that runs is left alone."""

import sys

import numpy as np
import pytest

from tinyode.testing.calls import watch_calls


def test_each_call_is_seen():
    def twice(n):
        return 1 if n == 0 else twice(n - 1) + twice(n - 1)

    names = []
    watch_calls(lambda: twice(3), lambda frame: names.append(frame.f_code.co_name))
    assert names.count("twice") == 2**4 - 1
    assert sys.getprofile() is None


def test_functions_of_numpy_are_seen_with_their_arguments():
    shapes = []

    def see(frame):
        if frame.f_code.co_name == "solve":
            shapes.append(frame.f_locals["b"].shape)

    watch_calls(lambda: np.linalg.solve(np.eye(3), np.ones((3, 4))), see)
    assert shapes == [(3, 4)]


def test_watching_ends_with_an_error():
    with pytest.raises(ZeroDivisionError):
        watch_calls(lambda: 1 / 0, lambda frame: None)
    assert sys.getprofile() is None


def test_a_profiler_that_runs_is_left_alone():
    mine, seen = lambda *event: None, []
    sys.setprofile(mine)
    try:
        watch_calls(lambda: len(range(3)), seen.append)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(None)
    assert seen == []
