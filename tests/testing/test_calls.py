"""Calls are seen, and a profiler that runs is left alone."""

import sys

import numpy as np
import pytest

from tinyode import grad, odeint, root, solve, vjp
from tinyode.testing import check_without
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


def test_what_is_forbidden_is_named_with_its_line():
    def through(p):
        return grad(lambda p: root(lambda u, p: u * u - p, 1.0, p) ** 2)(p)

    def own(x):
        return np.tanh(x) @ x

    check_without(lambda: own(np.ones(2)), "tinyode")
    check_without(lambda: through(2.0), odeint, solve)
    for forbidden, name, text in (
        ((root,), "root", r"return grad\(lambda p: root\(lambda u, p"),
        ((odeint, root), "root", "return grad"),
        (("tinyode",), "grad", "return grad"),
        (("tinyode.autodiff",), "grad", "return grad"),
    ):
        words = rf"your code calls `{name}` of tinyode, in line \d+ of test_calls.py: {text}"
        with pytest.raises(AssertionError, match=words):
            check_without(lambda: through(2.0), *forbidden)
    solved = lambda: odeint(lambda t, y: -y, np.ones(1), np.linspace(0, 1, 3))
    with pytest.raises(AssertionError, match=r"^your code calls `odeint` of tinyode\nThe exercise"):
        check_without(solved, odeint)


def test_what_the_library_calls_itself_does_not_count():
    """A solver's derivative calls vjp, and NumPy hands its calls on to the library."""
    loss = lambda y0: np.sum(odeint(lambda t, y: -y, y0, np.linspace(0, 1, 3)))
    check_without(lambda: grad(loss)(np.ones(1)), vjp, solve)

    def shows(x):
        return vjp(lambda x: np.sum(x), x)

    with pytest.raises(AssertionError, match=r"calls `vjp` of tinyode, in line .*: return vjp\("):
        check_without(lambda: shows(np.ones(2)), "tinyode")


def test_what_cannot_be_seen_is_refused():
    for forbidden in (np.sin, 3, len):
        with pytest.raises(TypeError, match="is no function written in Python"):
            check_without(lambda: 1, forbidden)
    with pytest.raises(ZeroDivisionError):
        check_without(lambda: 1 / 0, odeint)
