"""What an exercise needs of a chapter, found by names."""

import ast

import pytest
from needed import definitions, free, needed, statements


def sources(wanted, text):
    """Return the lines that are needed, one statement a line."""
    lines = text.strip().splitlines()
    found = needed(wanted, statements(text.strip()))
    return [lines[s.code.lineno - 1] for s in found]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a = 1\nb = 2\nx = a", ["a = 1", "x = a"]),
        ("x = 1\nx = 2", ["x = 2"]),  # the first value is lost
        ("i = 5\ny = [i for i in z]\nx = i", ["i = 5", "x = i"]),  # a comprehension's i is its own
        ("i = 5\nx = [i for i in z]", ["x = [i for i in z]"]),
        ("i = 5\nx = i + sum([i for i in z])", None),
        ("i = [5]\nx = [i for i in i]", None),
        ("x = 1\nx += 2", ["x = 1", "x += 2"]),
        ("x = [1]\nx[0] = 2", ["x = [1]", "x[0] = 2"]),
        ("x = [1]\nx.append(2)\ny = 3", ["x = [1]", "x.append(2)"]),
        ("x = [1]\nfor i in range(3): x.append(i)", None),
        ("x = [1]\nshuffle(x)\nprint(x)", ["x = [1]", "shuffle(x)"]),
        ("class x: pass\nx.y = 2", None),
        ("f = lambda: k\nk = 2\nx = f()", None),  # k is read when f is called
        ("def f(): return g()\ndef g(): return k\nk = 1\nother = 2\nx = f()", [0, 1, 2, 4]),
        ("r = rng()\na = r.normal()\nx = r.normal()", None),  # the second number, not the first
        ("import numpy as np\na = np.ones(2)\nx = np.ones(3)", [0, 2]),  # a module does not change
        ("if a: x = 1\nx = x", None),
        ("x = 1\nif a: x = 2", None),  # perhaps not bound by the second
        ("x = [i for i in range(3)]\ni = 5", [0]),
        ("with open(p) as x: pass", None),
        ("(x, y) = 1, 2\nassert y\nprint(y)", [0]),
        ("d = 1\ndef f(k=d): return k\nd = 3\nx = f()", [0, 1, 3]),
        # what changes, though no method of it is called
        ("rng = default_rng(0)\ntheta = init(rng)\nx = rng.normal()", None),
        ("rng = default_rng(0)\nt = [init(rng) for _ in range(3)]\nx = rng.normal()", None),
        ("it = iter(s)\na = next(it)\nx = next(it)", None),
        ("a = []\nb = a\nb.append(1)\nx = len(a)", None),
        ("a = []\nr = a[0:1]\nr[0] = 1\nx = a", None),
        ("a = []\nb = []\nfor q in (a, b): q.append(9)\nx = a", None),
        ("a = np.zeros(2)\nz = np.add(a, 1, out=a)\nx = a", None),
        ("a = np.zeros(2)\nnp.copyto(dst=a, src=b)\nx = a", None),
        ("b = 1\n[b := i for i in range(4)]\nx = b", None),
        ("n = []\ndef f(): n.append(1)\nf()\nx = n", None),
        ("from math import *\nx = 1", None),
    ],
)
def test_statements_that_a_name_depends_on(text, expected):
    lines = text.splitlines()
    expected = lines if expected is None else expected
    expected = [lines[one] if isinstance(one, int) else one for one in expected]
    assert sources({"x"}, text) == expected


def test_the_result_is_the_same_as_of_all():
    text = """
import random
r = random.Random(0)
waste = [r.random() for _ in range(3)]
def f(n):
    return [r.random() + k for _ in range(n)]
k = 10
other = "not needed"
k = 20
table = {}
table["x"] = f(2)
table.update(y=f(1))
"""
    everything, part = {}, {}
    exec(text, everything)
    chosen = needed({"table"}, statements(text))
    for s in chosen:
        exec(compile(ast.Module([s.code], []), s.file, "exec"), part)
    assert part["table"] == everything["table"] and "other" not in part
    assert len(chosen) < len(statements(text))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a = 1\nb = 2\ndef x(): return a", [0, 2]),
        ("a = 1\na = 2\ndef x(): return a", [1, 2]),  # the first value is lost
        ("a = 1\na += 2\ndef x(): return a", [0, 1, 2]),
        ("a = {}\nfor k in 'xy': a[k] = 2\ndef x(): return a", [0, 1, 2]),
        ("def x(): return g()\ndef g(): return k\nk = 1\nb = 2", [0, 1, 2]),
        ("from m import *\ndef x(): return 1", [0, 1]),
        # `needed` would take these, since they may change what the function reads
        ("a = draw(default_rng(0))\nb = f(a)\nprint(b)\ndef x(): return a", [0, 3]),
        ("a = {}\nfor b in a: train(b)\ndef x(): return a", [0, 2]),
    ],
)
def test_definitions(text, expected):
    found = definitions({"x"}, statements(text))
    assert [s.code.lineno - 1 for s in found] == expected


def test_what_code_takes_from_before():
    some = statements("y = f(x)\ndef g(a):\n    return a + y + k\nz = g(y) + len(y)")
    assert free(some) == {"f", "x", "k"}
    assert free(statements("for i, x in pairs:\n    y = f(x, k)\n    assert y\nprint(y)")) == {
        "pairs",
        "f",
        "k",
    }
    assert free(statements("for x in x: pass")) == {"x"}
    assert free(statements("if a:\n    x = 1\nprint(x)")) == {"a", "x"}  # perhaps not bound
    assert free(statements("for i in r:\n    g = lambda: i + k\n    g()")) == {"r", "i", "k"}
    with pytest.raises(SyntaxError):
        statements("x = (")
