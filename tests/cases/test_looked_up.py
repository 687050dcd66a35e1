"""A traced or recorded value is not looked up by identity, where its number would be found."""

import collections
import functools

import numpy as np
import pytest

from tinyode import compiled, grad, hessian, jvp, odeint, program, solve, stop_gradient, vjp


@functools.cache
def cached(x):
    return x * x


def caught(x):
    try:
        return x * {1.0: 2.0}[x]
    except (TypeError, KeyError):
        return x * 7.0


def counted(x):
    counts = collections.Counter()
    counts[x] += 1
    return x * counts[1.0]


LOOKS_UP = {
    "get": lambda x: x * {1.0: 2.0}.get(x, 7.0),
    "item": lambda x: x * {1.0: 2.0}[x],
    "in a dict": lambda x: x * (2.0 if x in {1.0: 0} else 7.0),
    "in a set": lambda x: x * (2.0 if x in {1.0, 3.0} else 7.0),
    "in a frozenset": lambda x: x * (2.0 if x in frozenset([1.0]) else 7.0),
    "in a dict of tuples": lambda x: x * {(0, 1.0): 2.0}.get((0, x), 7.0),
    "made a key": lambda x: {x: x}.get(1.0, 7.0 * x),
    "made an element": lambda x: x * len({x, 1.0}),
    "counted": counted,
    "cached": cached,
    "hash": lambda x: x * (hash(x) == hash(1.0)),
}
TAKEN = {
    "grad": lambda f: grad(f)(1.0),
    "grad of an array": lambda f: grad(lambda x: f(x[0]))(np.ones(2)),
    "hessian": lambda f: hessian(f)(1.0),
    "jvp": lambda f: jvp(f, (1.0,), (1.0,)),
    "compiled": lambda f: compiled(f)(1.0),
    "compiled of an array": lambda f: compiled(f)(np.array(1.0)),
    "grad of compiled": lambda f: grad(compiled(f))(1.0),
    "program": lambda f: program(f, 1.0),
    "program with its pullback": lambda f: program(f, 1.0, vjp=True),
    "solve": lambda f: solve(compiled(lambda t, y: f(y)), 1.0, [0, 1.0]),
    "odeint": lambda f: vjp(lambda k: odeint(lambda t, y, k: f(k), 1.0, [0, 1.0], k), 1.0)[1](
        np.ones(2)
    ),
}


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("how", LOOKS_UP)
def test_a_look_up_is_refused(how, taken):
    with pytest.raises(TypeError, match="in a dict or a set"):
        TAKEN[taken](LOOKS_UP[how])


@pytest.mark.parametrize("how", ["compiled", "program"])
def test_a_program_is_refused_even_where_f_has_caught_the_error(how):
    with pytest.raises(
        TypeError, match=r"test_looked_up.py, line 19, `return x \* {1.0: 2.0}\[x\]`"
    ):
        TAKEN[how](lambda x: caught(x))


def test_what_the_message_says_to_write():
    """The constant is found; a list is searched by value."""
    f = lambda x: x * {1.0: 2.0}.get(stop_gradient(x), 7.0) * (3.0 if x in [1.0, 4.0] else 5.0)
    assert f(1.0) == 6.0 == grad(f)(1.0)
    assert f(2.0) == 70.0 and grad(f)(2.0) == 35.0


def test_a_program_still_knows_its_own_symbols():
    """Two operations with the same operands are done once."""
    f = lambda x: np.sin(x) * np.sin(x) + np.sin(x)
    made = program(f, np.ones(3), vjp=True)
    assert made.source.count("np.sin(") == 1
    np.testing.assert_array_equal(
        made(np.ones(3), np.ones(3))[1], vjp(f, np.ones(3))[1](np.ones(3))
    )
