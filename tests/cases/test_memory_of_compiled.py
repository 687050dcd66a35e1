"""A compiled function keeps a bounded number of programs.

And it warns if compiled functions are thrown away before they are of use.
"""

import functools
import gc
import linecache
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import compiled, grad, jacobian, odeint, value_and_grad, vjp
from tinyode.programs import thrown_away

MODULE = sys.modules["tinyode.programs.compiled"]
X, T = np.array([1.0, 2.0]), np.array([0.0, 0.01])

MANY = {  # of arguments, of each of which there may be any number
    "shapes": lambda g, n: g(np.ones(n + 1), 1.0),
    "whole numbers": lambda g, n: g(X, n),
    "strings": lambda g, n: g(X, 1.0, str(n)),
    "keywords": lambda g, n: g(X, **{f"k{n}": 1.0}),
    "keys": lambda g, n: g(X, {f"k{n}": 1.0}),
    "closures": lambda g, n: g(X, 1.0, lambda x: n * x),
    "pullbacks": lambda g, n: vjp(g, np.ones(n + 1), 1.0)[1](np.ones(n + 1)),
    "wanted": lambda g, n: grad(lambda x: np.sum(g(*[x if n >> i & 1 else X for i in range(9)])))(
        X
    ),
    "solves": lambda g, n: odeint(lambda t, y: g(y, t), np.ones(n + 1), T, method="euler"),
}


@pytest.mark.parametrize("kind", MANY)
def test_memory_is_bounded(kind, monkeypatch):
    monkeypatch.setattr(MODULE, "KEPT", 20, raising=False)
    g, sizes = compiled(lambda *xs, **_: xs[0] * 2.0), []
    tracemalloc.start()
    for start in (1, 51, 101):
        for n in range(start, start + 50):
            MANY[kind](g, n)
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
        assert len(g.programs) <= 20 and len(g.last) <= 20
        assert len([name for name in linecache.cache if "program of value" in name]) <= 100
    tracemalloc.stop()
    assert sizes[2] - sizes[1] < 50_000  # 50 programs take 170_000 or more


def test_the_size_is_what_the_docstring_says():
    g = compiled(lambda x, n: x * n)
    for n in range(MODULE.KEPT + 10):
        np.testing.assert_array_equal(g(X, n), X * n)
    assert len(g.programs) == MODULE.KEPT
    assert f"The {MODULE.KEPT} programs that were used" in compiled.__doc__.replace(
        "\n        ", " "
    )


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(1, 4))
def test_what_was_used_last_is_kept(numbers, kept):
    before, MODULE.KEPT = MODULE.KEPT, kept
    try:
        recorded, used = [], []
        g = compiled(lambda x, n: recorded.append(n) or x * n)
        for n in numbers:
            recorded.clear()
            np.testing.assert_array_equal(g(X, n), X * n)
            assert recorded == ([] if n in used else [n, n])
            used = [m for m in used if m != n][-(kept - 1) :] * (kept > 1) + [n]
    finally:
        MODULE.KEPT = before


def solved(f, k):
    return np.sum(odeint(f, X, T, k, method="euler"))


def at_the_top(t, y, k):
    return -k * y


class Field:
    def __call__(self, t, y, k):
        return -k * y

    def method(self, t, y, k):
        return k * y


def decorates(k):
    @compiled
    def f(t, y, k):
        return k * y

    return solved(f, k)


def closes_over_data(k):
    data = np.random.default_rng(0).normal(size=2)
    return solved(compiled(lambda t, y, k: k * y * data), k)


LOSSES = {
    "lambda": lambda k: solved(compiled(lambda t, y, k: k * y), k),
    "at_the_top": lambda k: solved(compiled(at_the_top), k),
    "f": decorates,
    "lambda ": closes_over_data,
    "lambda  ": lambda k: solved(compiled(functools.partial(lambda c, t, y, k: c * k * y, 2.0)), k),
    "__call__": lambda k: solved(compiled(Field()), k),
    "method": lambda k: solved(compiled(Field().method), k),
    "lambda   ": lambda k: compiled(lambda k: np.sin(k))(k),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "way", [lambda f: f, value_and_grad, jacobian, lambda f: lambda k: vjp(f, k)]
)
def test_a_compiled_function_made_in_a_loss_is_reported_once(name, way, monkeypatch):
    thrown_away.counts.clear()
    monkeypatch.setattr(thrown_away, "THROWN_AWAY", 8)
    loss, kept = way(LOSSES[name]), None
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for n in range(3 * thrown_away.THROWN_AWAY):
            kept = loss(2.0)
            assert not found or n >= thrown_away.THROWN_AWAY
    assert kept is not None and len(found) == 1 and found[0].category is RuntimeWarning
    assert name.strip() in str(found[0].message) and found[0].filename == __file__
    for words in ("recorded 8 times, always the same", "make compiled(f) once, outside the loss"):
        assert words in str(found[0].message)


def test_those_that_live_or_differ_are_not_reported():
    make = lambda n, data: lambda t, y, k: k * data * sum([y] * n)
    live = [compiled(make(1, X)) for _ in range(2 * thrown_away.THROWN_AWAY)]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for g in live:
            solved(g, 1.0)
        for i in range(2 * thrown_away.THROWN_AWAY):
            solved(compiled(make(2 + i % 2, X)), 1.0)
            solved(live[0], 1.0)
            compiled(np.sin)(X)
    assert not found


def test_those_that_are_used_often_are_not_reported(monkeypatch):
    """Fits for many seeds make one for each, and recording takes little of their time."""
    thrown_away.counts.clear()
    monkeypatch.setattr(thrown_away, "THROWN_AWAY", 8)
    clock = [0.0]

    def tick():
        clock[0] += 1.0
        return clock[0]

    def fit(seconds):
        loss = lambda f, k: np.sum(odeint(f, X, T, k, method="euler"))
        grad(loss, 1)(compiled(lambda t, y, k: k * y), 2.0)
        clock[0] += seconds

    monkeypatch.setattr(thrown_away, "perf_counter", tick)
    for _ in range(3 * thrown_away.THROWN_AWAY):
        fit(1000.0)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for n in range(3 * thrown_away.THROWN_AWAY):
            fit(0.0)
            assert not found or n >= thrown_away.THROWN_AWAY
    assert len(found) == 1 and "of the time since then" in str(found[0].message)
