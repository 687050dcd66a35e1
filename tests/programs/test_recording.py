"""What could go wrong unseen because f is recorded once and kept.

Writes into arrays, random draws, names, numbers that are not arrays.
"""

import collections
import concurrent.futures
import enum
import functools
import itertools
import math
import random
import tracemalloc

import numpy as np
import pytest
from test_program import assert_same, check_program

from tinyode import compiled, custom_vjp, grad, odeint, program, stop_gradient, vjp

X = np.array([1.0, 2.0, 3.0])
counter = itertools.count()


def adds_in_place(x):
    m = stop_gradient(x) * 1.0
    m += 1.0
    return x * m


def adds_into(x):
    m = stop_gradient(x) * 1.0
    return x * np.add(m, 1.0, out=m)


def copies_into(x):
    m = stop_gradient(x) * 1.0
    np.copyto(m, 0.0)
    return x * m


def adds_at(x):
    m = stop_gradient(x) * 1.0
    np.add.at(m, 0, 1.0)
    return x * m


def narrows_a_mask(x):
    m = x > 1.5
    m &= x < 2.5
    return np.where(m, x, 0.0)


tripled = custom_vjp(lambda x: 3.0 * x)


def write_into_the_cotangent(residuals, g):
    g *= 3.0
    return (g,)


tripled.defvjp(lambda x: (tripled(x), None), write_into_the_cotangent)


@pytest.mark.parametrize(
    "f", [adds_in_place, adds_into, copies_into, adds_at, narrows_a_mask, tripled]
)
def test_a_write_is_refused_before_it_is_done(f):
    """The array may be the caller's, if a needless copy has been left out.

    And it may stand for two arrays that were equal before.
    """
    x = X.copy()
    words = (
        r"test_recording\.py, line \d+.*: writes by np\.\w+(\.at)? into an array.* Make a new one, "
    )
    with pytest.raises(TypeError, match=words):
        compiled(f)(x)
    assert_same(x, X)


def has_one_buffer(x):
    e, rows = np.zeros(3), []
    for i in range(3):
        e[i] = 1.0
        rows.append(x @ e)
        e[i] = 0.0
    return np.stack(rows)


def writes_later(x):
    m = np.ones(3)
    y = x * m
    m += 1.0
    return y


@pytest.mark.parametrize("f", [has_one_buffer, writes_later])
def test_a_write_into_what_has_been_used_is_refused(f):
    """The tape used what was there then. A program has the array itself, as it is at the end."""
    with pytest.raises(
        TypeError, match=r"into an array (since|after) it .* (M|m)ake a new one each time"
    ):
        compiled(f)(X)


def swallows_backwards(residuals, g):
    try:
        sign = 1.0 if np.all(residuals > 0) else -1.0
    except TypeError:
        sign = -1.0
    return (sign * g,)


def swallows_a_copy(x):
    try:
        return x * np.array(stop_gradient(x), copy=True)
    except TypeError:
        return x * 0.0


def test_what_is_refused_cannot_be_swallowed():
    h = custom_vjp(lambda x: np.sin(x))
    h.defvjp(lambda x: (h(x), x), swallows_backwards)
    with pytest.raises(TypeError, match="takes a bool"):
        grad(compiled(lambda x: np.sum(h(x))))(X)
    with pytest.raises(TypeError, match="takes an array without a history"):
        compiled(swallows_a_copy)(X)


def adds_to_numbers(t, x):
    t += 1.0
    n = np.sum(x > 1.5)
    n += 1
    return t * x * n


def test_operators_of_numbers_and_functions_of_them():
    """Of Python numbers a ufunc makes a NumPy number, and an operator a Python number.

    And (-1) ** x is written with its brackets, for -1 ** x is -(1 ** x).
    """
    for dtype in (np.float64, np.float32):
        x = np.array([0.0, 1.0, 2.0, 3.0], dtype)
        for f in (
            lambda t, x: (-1.0) ** np.floor(x),
            lambda t, x: (-1) ** np.floor(t) * x,
            lambda t, x: np.multiply(t, 2 * np.pi) * x,
            lambda t, x: (np.greater(t, 0.1) + np.greater(t, 0.2)) * x,
            lambda t, x: ~np.greater(t, 0.1) * x,
            lambda t, x: abs(t - 0.5) * x,
            lambda t, x: +t * x,
            lambda t, x: -t % 2.0 // 0.3 * x,
            lambda t, x: (t > 0.1) * x,
            lambda t, x: (1 - t) / 3 * x,
            lambda t, x: np.greater(t, [0.1]) * x,
            adds_to_numbers,
            lambda t, x: x * np.longdouble(2),
        ):
            assert_same(compiled(f)(0.3, x), f(0.3, x))
            assert_same(
                grad(lambda x: np.sum(compiled(f)(0.3, x)))(x), grad(lambda x: np.sum(f(0.3, x)))(x)
            )


def test_cotangents_come_in_the_precision_of_the_value():
    """A state of float32 may have a field of float64.

    The program was recorded with cotangents of float64, and is called with float32.
    """
    f = lambda t, y, k: y * k
    y, k = np.ones(3, np.float32), np.array([0.1, 0.2, 0.3])
    found = [grad(lambda k: np.sum(odeint(g, y, [0.0, 1.0], k)))(k) for g in (f, compiled(f))]
    np.testing.assert_allclose(*found, rtol=1e-6)
    assert found[0].dtype == found[1].dtype == np.float64


def test_methods_and_functions_as_arguments():
    for f in (
        lambda x: x - stop_gradient(x).max(),
        lambda x: np.where((x > 1).all(), x, 2 * x),
        lambda x: x * np.isnan(x).any(),
    ):
        check_program(f, X)
    assert_same(compiled(lambda x, act: act(x))(X, functools.partial(np.multiply, 3.0)), 3 * X)


def swaps(a, b):
    a, b = (a, b) if next(counter) % 2 else (b, a)
    return a - b


UNSTEADY = {
    "returned the constant": lambda x, y: (x, random.random()),
    "returned the constant ": lambda x, y: (x, next(counter)),
    "gave np.subtract a value that it computed and then another one": swaps,
    "gave np.tanh": lambda x, y: np.tanh((x, y)[next(counter) % 2]),
    "it returned": lambda x, y: {"a": x} if next(counter) % 2 else (x,),
    r"gave np.multiply (a value that it computed and then the constant|the constant)": (
        lambda x, y: x * (y if next(counter) % 2 else 2.0)
    ),
}


@pytest.mark.parametrize("words", UNSTEADY)
def test_two_recordings_must_agree_in_everything(words):
    with pytest.raises(TypeError, match=f"recorded twice, (it )?{words.strip()}"):
        compiled(UNSTEADY[words])(X, 2 * X)


def swallows(x):
    try:
        positive = bool(np.all(x > 0))
    except TypeError:
        positive = False
    return x * 2 if positive else x * 0


def prints(x):
    return x * len(f"{stop_gradient(x)[0]:.2f}")


@pytest.mark.parametrize(
    ("what", "f"),
    [
        ("a bool", swallows),
        ("a text", prints),
        ("a number", lambda x: x * round(x[0])),
        ("a shape", lambda x: np.mean(x[np.where(x > 0)])),
        ("a", lambda x: np.sum(np.delete(np.ones(3), np.argmax(x)) * x[:2])),
        ("a shape", lambda x: x * np.size(np.setdiff1d(stop_gradient(x), X[:1]))),
        ("a bool", lambda x: x if np.array_equal(x, X) else 0 * x),
        ("a", lambda x: x * np.size(np.bincount(np.floor(x).astype(int)))),
    ],
)
def test_what_would_differ_is_refused(what, f):
    with pytest.raises(TypeError, match=rf"takes {what}\b.* from a value"):
        compiled(f)(X)


def test_what_is_not_of_numpy_is_refused():
    f = np.frompyfunc(lambda x: x, 1, 1)
    with pytest.raises(TypeError, match=r"calls .*, which is not of NumPy"):
        compiled(lambda x: x * f(stop_gradient(x)))(X)


class Model:
    k = 2.0


@pytest.mark.parametrize("argument", [Model(), slice(1), {1}, np.random.default_rng()])
def test_an_argument_that_may_change_is_refused(argument):
    with pytest.raises(
        TypeError,
        match=(
            f"an argument is .* of type {type(argument).__name__}, whose change .* pass what"
            " changes as"
        ),
    ):
        compiled(lambda x, argument: x)(X, argument)


@pytest.mark.parametrize("f", [3, None, X])
def test_f_must_be_a_function(f):
    for function in (program, compiled):
        with pytest.raises(TypeError, match=f"{function.__name__}: f must be a function; got "):
            function(f)


def test_a_dict_in_another_order_is_another_cache_key():
    def f(p):
        a, b = p.values()
        return a - b

    g = compiled(f)
    for p in ({"a": X, "b": 2 * X}, {"b": 2 * X, "a": X}, {"a": X, "b": 2 * X}):
        assert_same(g(p), f(p))
        assert_same(grad(lambda p: np.sum(g(p)))(p), grad(lambda p: np.sum(f(p)))(p))


def test_a_value_is_the_caller_s():
    """The caller may write into it.

    Also where a needless copy was left out, where the pullback has a view of it, and where two
    results are equal.
    """
    for f in (lambda x: x.copy(), lambda x: x * 1.0, lambda x: x):
        x = X.copy()
        compiled(f)(x)[:] = 7.0
        assert_same(x, X)
    a, b = compiled(lambda x: (np.exp(x), np.exp(x)[::-1]))(X)
    a[:] = 0.0
    assert_same(b, np.exp(X)[::-1])

    def f(x):
        y = x + 1.0
        return y, y.T * y.T

    found = []
    for g in (f, compiled(f)):
        (y, _), pullback = vjp(g, np.ones((2, 2)))
        y[:] = 0.0
        found.append(pullback((np.zeros((2, 2)), np.ones((2, 2)))))
    assert_same(*found)


def test_a_python_float_stays_one():
    """It gives way to float32, as a NumPy float64 does not."""
    y = np.array([0.1, 0.2], np.float32)
    for f in (
        lambda t, y: ((t * 2.0) * y).astype(np.float64) + 1e-12,
        lambda t, y: (t * np.float64(1.0)) * y,
        lambda t, y: t**2 * y,
        lambda t, y: (2.0**t) * y,
        lambda t, y: (-t) * y,
        lambda t, y: np.where((t > 0.1) + (t > 0.2) > 1, y, -y),
        lambda t, y: t * np.ones(2, np.float32),
        lambda t, y: np.transpose(t) * y,
        lambda t, y: np.broadcast_to(t, (2,)) * y,
    ):
        assert_same(compiled(f)(0.3, y), f(0.3, y))
    for y0, f in (
        (0.5, lambda t, y: 2.0 * t),
        (np.array([0.5, 1.0]), lambda t, y: t * y),
        ({"a": np.ones(2), "b": np.ones(())}, lambda t, y: {"a": y["a"] * t, "b": t}),
    ):
        found = [vjp(lambda y0, g=g: odeint(g, y0, [0.0, 1.0]), y0) for g in (f, compiled(f))]
        assert_same(*[value for value, _ in found])
        assert_same(*[pull(value) for value, pull in found])


State = enum.IntEnum("State", ["POSITION", "SPEED"])
One = collections.namedtuple("One", "a")


def test_names():
    """Names of constants, arguments, helpers, keys, members of an enumeration."""
    value, f, scatter = 2 * X, 3 * X, 4 * X
    index = np.array([0, 0, 1])
    for function in (
        lambda x: value * x,
        lambda x: f * x,
        lambda x: scatter * x[index],
        lambda place: place[1:],
        lambda slice: slice[:1],
        lambda x: x[State.POSITION] * x,
        lambda p: p * np.float32(0.1),
    ):
        check_program(function, X)
    assert_same(program(lambda p: p["layer.0"] * 2.0, {"layer.0": X})({"layer.0": X}), 2 * X)
    assert_same(program(lambda x: collections.OrderedDict(a=x * 2.0), X)(X), {"a": 2 * X})
    assert_same(program(lambda x: One(x * 2.0), X)(X), (2 * X,))
    assert_same(compiled(lambda x, i: x * np.split(i, 1)[0])(X, index), X * index)
    with np.printoptions(legacy="1.25"):
        check_program(lambda x: x * np.float32(0.1), X)
    # whether it tells the names of its arguments depends on the version of NumPy
    assert_same(program(np.sqrt, X)(X), np.sqrt(X))
    named = lambda x: x * 2.0
    named.__name__ = "lambda"
    assert "def f(x):" in program(named, X).source


def test_large_constants_are_not_written_unless_asked_for():
    C = np.random.default_rng(0).normal(size=(300, 300))
    made = program(lambda x: C @ x, np.ones(300))
    assert "source" not in vars(made)
    assert_same(made(np.ones(300)), C @ np.ones(300))
    assert (
        "np.full((200,), 0.0, dtype='float64')"
        in program(lambda x: x + np.zeros_like(x) * x, np.ones(200)).source
    )


def test_f_is_called_twice_for_each_cache_key_and_stands_for_one_record():
    calls = []

    def f(x):
        calls.append(x)
        return np.sum(np.sin(x) * x)

    g = compiled(f)
    for _ in range(3):
        g(X)
    assert len(calls) == 2
    for _ in range(3):
        vjp(g, X)[1](1.0)
        grad(lambda x: g(x) * 2.0)(X)
    assert len(calls) == 4
    assert_same(g(X.astype(np.float32)), f(X.astype(np.float32)))
    assert_same(grad(g)(X.astype(np.float32)), grad(f)(X.astype(np.float32)))
    for dtype in (np.float64, np.float32):
        like = compiled(lambda x: x + np.zeros_like(x))
        assert like(np.ones(2, dtype)).dtype == dtype
    records = []

    def counts_records(x):
        y = g(x)
        records.append(len(y.tape.records))
        return y

    vjp(counts_records, X)
    assert records == [2]  # the input, and g


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sin(x) if next(counter) % 2 else np.cos(x),
        lambda x: np.sin(np.sin(x)) if next(counter) % 2 else np.sin(x),
    ],
)
def test_two_recordings_must_have_the_same_calls(f):
    with pytest.raises(
        TypeError, match=r"recorded twice, it did not do the same: np\.\w+ and then "
    ):
        compiled(f)(X)


def test_a_buffer_that_f_fills_again_is_refused():
    buffer = np.zeros(3)

    def f(x):
        buffer[:] = next(counter)
        return x * buffer

    with pytest.raises(TypeError, match=r"f: recorded twice, it gave np\.multiply the constant"):
        compiled(f)(X)


def test_cotangents_and_values_are_the_caller_s():
    value, pullback = vjp(compiled(np.exp), X)
    value[:] = 0.0
    assert_same(pullback(np.ones(3)), (np.exp(X),))
    a, b = vjp(compiled(lambda x, y: x + y), X, X)[1](np.ones(3))
    a[:] = 0.0
    assert_same(b, np.ones(3))
    assert type(compiled(np.median)(X)) is type(vjp(compiled(np.median), X)[0]) is np.float64
    with pytest.raises(ValueError, match="the cotangent has the structure"):
        pullback((np.ones(3),))


def test_what_is_only_alike_is_not_the_same():
    first, second = np.zeros(2000), np.zeros(2000)
    second[1000] = 1.0
    check_program(lambda x: np.sum(x[0] * first) + np.sum(x[0] * second), X)
    check_program(lambda x: np.clip(x, 1.5, None) + np.clip(x, None, 1.5) + (0.0 - x), X)
    check_program(lambda x: np.sum(x) * np.ones((2, 3)) + np.mean(np.outer(x, x), axis=0), X)


def test_what_nothing_needs_any_more_is_let_go_of():
    """Memory for arrays of other shapes cannot be used again, but it can be freed."""

    def f(x):
        total = np.sum(x)
        for n in range(20):
            total = total + np.sum(np.sin(np.concatenate([x, x[: 1000 * n + 1]])))
        return total

    x = np.ones(2**17)
    made = program(f, x)
    made(x)
    tracemalloc.start()
    made(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * x.nbytes


def test_the_structure_of_a_compiled_field_is_checked():
    for gradient in ("adjoint", "discrete"):
        with pytest.raises(ValueError, match="f returned the structure"):
            grad(
                lambda y0: np.sum(
                    odeint(
                        compiled(lambda t, y: (y["a"],)), {"a": y0}, [0.0, 1.0], gradient=gradient
                    )["a"]
                )
            )(X)


def test_a_number_taken_from_an_argument_is_refused_with_its_line():
    for f in (
        lambda x: x * float(x[0]),
        lambda x: x * int(x[0]),
        lambda x: x * [1, 2, 3][x[0]],
        lambda x: x * x[0].item(),
        lambda x: x * math.sin(x[0]),
        lambda x: x * sum(x.tolist()),
    ):
        with pytest.raises(
            TypeError,
            match=r"test_recording\.py, line \d+, `.*np\.where, or leave tinyode\.compiled",
        ):
            compiled(f)(X)


def test_recording_warns_of_nothing():
    assert_same(compiled(np.sqrt)(np.zeros(2)), np.zeros(2))


def test_threads_share_a_compiled_function():
    f = lambda x: np.sum(np.tanh(x) * x)
    g, found = compiled(f), {}
    xs = [np.full(n, 0.5) for n in (2, 3, 4, 5)]

    def run(i):
        for n in range(200):
            x = xs[(i + n) % 4]
            found.setdefault(len(x), set()).add((float(g(x)), *grad(g)(x)))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert found == {len(x): {(float(f(x)), *grad(f)(x))} for x in xs}


@pytest.mark.parametrize(
    "f",
    [
        lambda t, y: np.array([y[1], np.sin(t)]),
        lambda t, y: np.array([np.sin(t), 1.0]),
        lambda t, y: np.array([t, y[0]]) * 2.0,
        lambda t, y: np.array([[t, 2.0 * t]])[0] * y,
        lambda t, y: np.zeros(2) + np.array([t, 1.0]),
        lambda t, y: np.array([t, 2.0]).sum() * y,
        lambda t, y: np.asarray(t) * y,
        lambda t, y: np.linalg.norm(np.array([t, 2.0])) * y,
    ],
)
def test_arrays_of_recorded_numbers(f):
    """The time is one, which no tape knows."""
    g = compiled(f)
    for t in (0.3, 0.5):
        assert_same(g(t, np.array([1.0, 2.0])), f(t, np.array([1.0, 2.0])))
