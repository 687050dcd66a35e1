"""Every public object can be copied, pickled and used from several threads, or says why not.

A compiled function is its f and records it again elsewhere; a program is its source and constants.
"""

import copy
import functools
import itertools
import multiprocessing
import pickle
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyode import (
    Event,
    NewtonError,
    compiled,
    custom_vjp,
    grad,
    odeint,
    program,
    solve,
    stop_gradient,
    tree,
    vjp,
)

X, W = np.array([1.0, 2.0]), np.array([3.0, 4.0])


def field(t, y, k):
    return -k * np.tanh(y) * W


def height(t, y, k=1.0):
    return y[0] - 0.5


def sine(x):
    return np.sin(x)


@compiled
def decorated(x):
    return W * x * x


@custom_vjp
def doubled(x):
    return 2.0 * x


doubled.defvjp(lambda x: (2.0 * x, None), lambda _, g: (7.0 * g,))  # so as to see which it is


def sine_forward(x):
    return np.sin(x), x


def sine_backward(x, g):
    return (5.0 * g * np.cos(x),)


def with_derivative():
    made = custom_vjp(sine)
    made.defvjp(sine_forward, sine_backward)
    return made


class Nested:
    @compiled
    def of_class(x):
        return 3.0 * x

    def __call__(self, x):
        return 5.0 * x

    def method(self, x):
        return 6.0 * x


class Solved:
    """What is made of a function, for a copy and for the original: values and cotangents."""

    def __init__(self, *args):
        self.args = args

    def __call__(self, f):
        value, pullback = vjp(f, *self.args)
        return f(*self.args), value, pullback(np.ones(np.shape(value)))


THINGS = {
    "compiled": (compiled(field), Solved(0.1, X, 2.0)),
    "decorated": (decorated, Solved(X)),
    "in a class": (Nested.of_class, Solved(X)),
    "partial": (compiled(functools.partial(field, k=2.0)), Solved(0.1, X)),
    "object": (compiled(Nested()), Solved(X)),
    "method": (compiled(Nested().method), Solved(X)),
    "custom_vjp": (doubled, Solved(X)),
    "custom_vjp, not decorated": (with_derivative(), Solved(X)),
    "custom_vjp, compiled": (compiled(doubled), Solved(X)),
    "compiled, with custom_vjp": (custom_vjp(compiled(sine)), lambda f: f(X)),
    "program": (program(lambda x: W * np.sin(x) * W, X), lambda f: f(X)),
    "program, with vjp": (program(field, 0.1, X, 2.0, vjp=True), lambda f: f(0.1, X, 2.0, X)),
    "source of a program": (program(lambda x: W * x, X), lambda f: f.source),
    "Event": (
        Event(height, terminal=True),
        lambda event: solve(field, X, [0.0, 1.0], 2.0, event=event).t,
    ),
    "Events": (solve(field, X, [0.0, 1.0], 2.0, event=height).event, tuple),
    "Stats": (solve(field, X, [0.0, 1.0], 2.0).stats, lambda stats: vars(stats)),
    "NewtonError": (NewtonError("no root"), str),
    "structure": (
        tree.flatten({"b": X, "a": [X, (X,)]})[1],
        lambda s: tree.unflatten(s, [X, 2 * X, W]),
    ),
}

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda x, protocol=protocol: pickle.loads(pickle.dumps(x, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


def assert_equal(found, expected):
    found, expected = tree.flatten(found), tree.flatten(expected)
    assert found[1] == expected[1]
    for x, y in zip(found[0], expected[0]):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", THINGS)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_does_the_same(name, way):
    thing, use = THINGS[name]
    expected = use(thing)
    again = WAYS[way](thing)
    assert type(again) is type(thing)
    assert_equal(use(again), expected)
    assert_equal(use(WAYS[way]([again, again])[1]), expected)


def used(name, thing):
    return THINGS[name][1](thing), thing


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_processes(start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    for thing, use in THINGS.values():
        use(thing)  # so that it is recorded here
    names = list(THINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, as of BLAS
        with multiprocessing.get_context(start).Pool(2) as pool:
            tasks = [(name, THINGS[name][0]) for name in names]
            found = pool.starmap_async(used, tasks, chunksize=len(tasks) // 2).get(timeout=60)
    for name, (result, again) in zip(names, found):
        thing, use = THINGS[name]
        assert_equal(result, use(thing))
        assert_equal(use(again), use(thing))


def test_a_compiled_function_is_recorded_again():
    count = []

    def f(x):
        count.append(0)
        return np.sin(x)

    f.__qualname__ = f.__name__ = "recorded_by_this_test"
    sys.modules[__name__].recorded_by_this_test = f
    g = compiled(f)
    for again in (g, copy.copy(g), copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        for _ in range(2):
            again(X)
        assert len(count) == 2
        count.clear()


def test_constants_of_a_program_that_is_copied():
    made = program(lambda x: W * x, X)
    assert copy.copy(made).constants["W"] is W
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        again.constants["W"][:] = 0.0
        np.testing.assert_array_equal(again(X), [0.0, 0.0])
    np.testing.assert_array_equal(made(X), W * X)


def test_a_copy_of_a_custom_vjp_has_a_derivative_of_its_own():
    for again in (copy.copy(doubled), copy.deepcopy(doubled)):
        assert grad(again)(1.0) == 7.0
        again.defvjp(lambda x: (2.0 * x, None), lambda _, g: (8.0 * g,))
        assert (grad(again)(1.0), grad(doubled)(1.0)) == (8.0, 7.0)


LOCAL = {
    "compiled": compiled(lambda x: 2.0 * x),
    "decorated": (lambda: compiled(lambda x: 2.0 * x))(),
    "custom_vjp": custom_vjp(lambda x: 2.0 * x),
    "Event": Event(lambda t, y: y),
}


@pytest.mark.parametrize("name", LOCAL)
def test_a_function_without_a_name_is_copied_and_the_error_of_pickle_names_it(name):
    thing = LOCAL[name]
    with pytest.raises((pickle.PicklingError, AttributeError), match=r"(pickle|local).*<lambda>"):
        pickle.dumps(thing)
    for again in (copy.copy(thing), copy.deepcopy(thing)):
        assert type(again) is type(thing)
        assert name == "Event" or again(1.5) == thing(1.5)


def test_traced_values_are_not_pickled():
    for f in (lambda x: pickle.dumps(x), lambda x: pickle.dumps([1.0, {"a": x}])):
        for derivative in (grad(f), compiled(f)):
            for x in (2.0, np.float64(2.0), X):
                with pytest.raises(
                    TypeError, match=r"traced array cannot be pickled|takes a pickle"
                ):
                    derivative(x)
    for f in (lambda t, y: copy.copy(t) * copy.copy(y), lambda t, y: copy.deepcopy([t, y])[0] * y):
        assert compiled(f)(2.0, 3.0) == 6.0
    assert grad(lambda x: x * pickle.loads(pickle.dumps(stop_gradient(x))))(3.0) == 3.0
    assert grad(lambda x: copy.deepcopy([x])[0] * copy.copy(x))(3.0) == 6.0


@pytest.mark.parametrize("kept", [None, 2])
def test_threads(kept, monkeypatch):
    """Also where the programs of some threads push out those of others."""
    if kept:
        monkeypatch.setattr(sys.modules["tinyode.programs.compiled"], "KEPT", kept)
    f = lambda t, y, k, n=1: -k * np.tanh(y) * n
    g, start = compiled(f), threading.Barrier(8)

    def uses(f, n):
        y, k = np.linspace(0.1, 1.0, n), 0.5 * n
        loss = lambda y, k, gradient: np.sum(
            odeint(f, y, [0.0, 0.5], k, method="rk4", step_size=0.05, gradient=gradient)
        )
        yield f(0.5, y, k), f(t=0.5, y=y, k=k), f(0.5, y, k, n)
        yield grad(lambda y: np.sum(f(0.5, y, k)))(y)
        yield vjp(f, 0.5, y, k)[1](y)
        yield grad(grad(lambda k: np.sum(f(0.5, y, k))))(k)
        for gradient in ("adjoint", "discrete"):
            yield grad(loss, (0, 1))(y, k, gradient)

    expected = {n: list(uses(f, n)) for n in range(1, 6)}

    def run(i):
        start.wait()
        for n in itertools.islice(itertools.cycle(range(1, 6)), i, i + 10):
            for found, wanted in zip(uses(g, n), expected[n]):
                assert_equal(found, wanted)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(run, range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert kept is None or len(g.programs) <= kept
