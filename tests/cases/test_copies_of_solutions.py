"""A solution, or the error of one, can be copied, pickled, and asked from threads and processes."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyode import Event, odeint, solve, solve_batch, tree
from tinyode.containers import orders
from tinyode.solvers import NewtonFailed, SolverError, StepTooSmall, TooManySteps
from tinyode.solvers.tableaus import TABLEAUS, find

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def pendulum(t, y):
    return np.array([y[1], -np.sin(y[0])])


def in_dict(t, y):
    return {"angle": y["speed"], "speed": -np.sin(y["angle"])}


def solution_of(method="dopri5", y0=None, f=pendulum, t=(0.0, 3.0), **options):
    options |= {} if find(method).e is not None else {"step_size": 0.1}
    return solve(f, np.array([1.0, 0.0]) if y0 is None else y0, t, method=method, **options)


def copies(x):
    yield copy.copy(x)
    yield copy.deepcopy(x)
    for protocol in PROTOCOLS:
        yield pickle.loads(pickle.dumps(x, protocol))
    yield pickle.loads(pickle.dumps(copy.deepcopy(x)))


def assert_same(x, y, times):
    assert x.stats == y.stats and (x.event is None) == (y.event is None)
    events = [(), ()] if x.event is None else [tuple(x.event), tuple(y.event)]
    found, structure = tree.flatten((x.t, x.y, x(times), events[0]))
    right, expected = tree.flatten((y.t, y.y, y(times), events[1]))
    assert structure == expected and orders(structure) == orders(expected)
    for a, b in zip(found, right):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", TABLEAUS)
@pytest.mark.parametrize("end", [3.0, -3.0])
def test_dense_output_of_copies(method, end):
    solution = solution_of(method, t=(0.0, 0.4 * end, end))
    for made in copies(solution):
        assert_same(made, solution, np.linspace(0.0, end, 50))


@pytest.mark.parametrize("method", ["dopri5", "kvaerno5"])
def test_containers_and_events(method):
    y0 = {"speed": np.zeros(2), "angle": np.array([1.0, 1.0])}
    event = [Event(lambda t, y: y["angle"][0], terminal=2), lambda t, y: y["speed"][1]]
    solution = solution_of(method, y0=y0, f=in_dict, t=np.linspace(0, 20, 5), event=event)
    for made in copies(solution):
        assert_same(made, solution, np.linspace(0.0, solution.t[-1], 20))


def test_a_copy_has_no_need_of_f():
    """Not even of one that cannot be pickled, or that is another now."""
    k = np.ones(1)
    solution = solve(lambda t, y: -k * y, np.ones(1), [0, 1.0])
    there = solution(0.5)
    made = pickle.loads(pickle.dumps(solution))
    k[:] = 3.0
    np.testing.assert_array_equal(made(0.5), there)
    with pytest.raises(RuntimeError, match="f does not return what it did during the solve"):
        solution(0.5)


def test_batches():
    solution = solve_batch(lambda t, y: -y, np.ones((3, 1)), [0, 1.0])
    for made in copies(solution):
        np.testing.assert_array_equal(made.y, solution.y)
        with pytest.raises(ValueError, match="solve_batch keeps no steps"):
            made(0.5)


ERRORS = {
    SolverError: lambda: solve(lambda t, y: y * y, 1.0, [0, 2.0], method="rk4", step_size=0.001),
    StepTooSmall: lambda: solve(lambda t, y: y * y, 1.0, [0, 2.0]),
    TooManySteps: lambda: solve(pendulum, np.ones(2), [0, 100.0], max_steps=10),
    NewtonFailed: lambda: solve(
        lambda t, y: 10 * (1 + y * y), 1.0, [0, 1.0], method="implicit_midpoint"
    ),
}


def failing(kind):
    with np.errstate(all="ignore"):
        ERRORS[kind]()


@pytest.mark.parametrize("kind", ERRORS)
def test_errors(kind):
    with pytest.raises(kind) as caught:
        failing(kind)
    error = caught.value
    assert type(error) is kind
    for made in copies(error):
        assert type(made) is kind and str(made) == str(error) and made.args == error.args
        assert (made.t, made.h) == (error.t, error.h)
        assert (made.solution is None) == (error.solution is None)
        if error.solution is not None:
            np.testing.assert_array_equal(made.solution.y, error.solution.y)
    assert "at t = " in str(error)


def test_errors_of_batches_and_of_backward_solves():
    with pytest.raises(SolverError) as caught, np.errstate(all="ignore"):
        solve_batch(lambda t, y: y * y, np.array([[0.1], [1.0]]), [0, 2.0])
    for made in copies(caught.value):
        assert made.sample == 1 and str(made) == str(caught.value)
    error = SolverError("a", 1.0, 0.5)
    error.args = ("in the backward solve: " + str(error),)
    assert [str(made) for made in copies(error)] == [str(error)] * len(list(copies(error)))


def one_of_many(k):
    if k == 2:
        failing(StepTooSmall)
    return solve(pendulum, np.array([k, 0.0]), [0, 1.0])


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_pools(start):
    """Where one solve of many fails the pool says so; it waited for ever."""
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    with multiprocessing.get_context(start).Pool(2) as pool:
        found = pool.map_async(one_of_many, [0.5, 1.0]).get(60)
        for k, solution in zip([0.5, 1.0], found):
            assert_same(solution, one_of_many(k), np.linspace(0, 1, 9))
        with pytest.raises(StepTooSmall, match="below rounding"):
            pool.map_async(one_of_many, [1.0, 2, 3.0]).get(60)


@pytest.mark.parametrize("method", ["dopri5", "dop853", "kvaerno5"])
def test_threads_that_ask_one_solution(method):
    solution, times = solution_of(method, t=(0.0, 30.0)), np.linspace(0, 30, 400)
    right = solution(times)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: solution(times), range(40)):
            np.testing.assert_array_equal(found, right)


def test_threads_that_solve():
    y = odeint(pendulum, np.ones(2), [0, 5.0])
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: odeint(pendulum, np.ones(2), [0, 5.0]), range(40)):
            np.testing.assert_array_equal(found, y)
