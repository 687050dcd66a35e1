"""What the rebuilding of the house had broken, and two hostile readers have found."""

import ast
import pickle
import tracemalloc
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tinyode import (
    SolverError,
    compiled,
    grad,
    odeint,
    odeint_batch,
    odeint_event,
    program,
    solve,
    solve_batch,
    vjp,
)

ROOT = Path(__file__).parents[2]
X = np.arange(3.0) + 0.5
MODES = ["adjoint", "discrete", "interpolated", "forward"]


@pytest.mark.parametrize(
    ("f", "example", "given"),
    [
        (np.linalg.norm, (X,), (X, 1.0)),
        (lambda t, y: np.stack([t * y, y]), (1.0, 2.0), (3.0, 4.0, np.ones(2))),
        (lambda x: np.sum(x * x, axis=0), (X,), (X, 1)),
    ],
)
def test_a_program_takes_pythons_numbers(f, example, given):
    """An axis is added to what may be an array or a number of Python's."""
    *inputs, g = given
    value, cotangents = program(f, *example, vjp=True)(*given)
    expected, pullback = vjp(f, *inputs)
    np.testing.assert_array_equal(value, expected)
    for c, e in zip(cotangents, pullback(np.asarray(g, float))):
        np.testing.assert_array_equal(c, e)


def test_a_program_takes_a_list_where_the_example_was_an_array():
    made = program(lambda t: np.expand_dims(t, 0) * 2, X)
    np.testing.assert_array_equal(made([1.0, 2.0, 3.0]), [[2.0, 4.0, 6.0]])


class AttributeDict(dict):
    """Its attributes are its keys, so it cannot be copied deeply."""

    __getattr__ = dict.__getitem__


class Uncopyable(dict):
    def __deepcopy__(self, memo):
        raise RuntimeError("not to be copied")


@pytest.mark.parametrize("kind", [AttributeDict, Uncopyable])
def test_a_compiled_function_takes_containers_that_cannot_be_copied(kind):
    gradient = grad(compiled(lambda d: np.sum(d["a"] ** 2)))(kind(a=np.ones(3)))
    assert type(gradient) is kind
    np.testing.assert_array_equal(gradient["a"], 2 * np.ones(3))


@pytest.mark.parametrize("f", [np.multiply, np.divide, np.where])
def test_the_pullback_of_a_broadcast_product_has_one_large_array_at_a_time(f):
    """The first cotangent is summed to the shape of its operand before the second is computed."""
    n = 400
    a, b = np.ones((n, 1)), 2 * np.ones((1, n))
    if f is np.where:
        _, pullback = vjp(lambda a, b: np.where(np.eye(n) > 0, a, b), a, b)
    else:
        _, pullback = vjp(f, a, b)
    g = np.ones((n, n))
    pullback(g)
    tracemalloc.start()
    pullback(g)
    peak = tracemalloc.get_traced_memory()[1] / g.nbytes
    tracemalloc.stop()
    assert peak < {np.multiply: 1.3, np.divide: 2.3, np.where: 1.5}[f]


class Specialist:
    """It has an attribute of a name that the library might have used."""

    specialized = True

    def __call__(self, *args):
        return -args[-1] * args[-1]


def test_attributes_of_a_users_callable_are_its_own():
    value, pullback = vjp(Specialist(), X)
    np.testing.assert_array_equal(pullback(np.ones(3))[0], -2 * X)
    np.testing.assert_array_equal(value, -X * X)
    assert odeint(Specialist(), np.ones(1), [0.0, 1.0])[-1, 0] == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("gradient", MODES)
def test_a_field_that_fills_its_own_array_at_random_is_told(gradient):
    """Both calls return the same array, which must be copied before the second one."""
    rng, buffer = np.random.default_rng(0), np.zeros(2)

    def f(t, y, a):
        if isinstance(y, np.ndarray) and isinstance(a, (float, np.generic)):
            buffer[:] = -a * y + 1e-3 * rng.normal(size=2)
            return buffer
        return -a * y

    loss = lambda a: np.sum(
        odeint(f, np.ones(2), [0.0, 1.0], a, method="rk4", step_size=0.1, gradient=gradient)
    )
    with pytest.warns(RuntimeWarning, match="returned other numbers"):
        grad(loss)(0.5)


@pytest.mark.parametrize("solver", [solve, odeint])
@pytest.mark.parametrize("wrap", [lambda f: f, compiled])
@pytest.mark.parametrize(
    ("f", "y0"),
    [
        (lambda t, y: np.stack([-y[0], 99.0 + 0 * y[0]]), [1.0]),
        (lambda t, y: [-y[0], 3.0 * y[0]], [np.ones(2)]),
        (lambda t, y: (-y[0],), [np.ones(2)]),
        (lambda t, y: {0: -y[0]}, [np.ones(2)]),
        (lambda t, y: [], [np.ones(2)]),
        (lambda t, y: -y[0], [np.ones((2, 2))]),
    ],
)
def test_a_state_in_a_list_of_one_keeps_its_structure(solver, wrap, f, y0):
    """What else f returns is not dropped without a word."""
    with pytest.raises((ValueError, TypeError), match=r"structure|container"):
        solver(wrap(f), y0, [0.0, 1.0])


@pytest.mark.parametrize("gradient", MODES)
def test_arrays_of_objects_among_the_parameters_pass_through(gradient):
    """Of f and of an event: what is no floating array is not looked into."""
    names = np.array([None, "x"], dtype=object)
    f = lambda t, y, k, a: -k * y if a[1] == "x" else None
    loss = lambda k: np.sum(odeint(f, np.ones(2), [0.0, 1.0], k, names, gradient=gradient)[-1])
    assert grad(loss)(1.0) == pytest.approx(-2 * np.exp(-1.0), rel=1e-4)
    crossing = lambda t, y, k, a: y[0] - 0.5
    when = lambda k: odeint_event(
        f, np.ones(2), 0.0, k, names, event=crossing, t_end=9.0, gradient=gradient
    )[0]
    assert grad(when)(1.0) == pytest.approx(-np.log(2.0), rel=1e-4)


TOLERANCE_BELOW = {"atol": 1e-50}  # zero in float32


@pytest.mark.parametrize(
    "call",
    [
        lambda f: odeint(f, np.ones(2, np.float16), [0.0, 1.0]),
        lambda f: solve(f, np.array([0.0, 1.0], np.float32), [0.0, 1.0], **TOLERANCE_BELOW),
        lambda f: solve(f, np.ones(2), [0.0, 1.0], norm=lambda x: np.inf),
        lambda f: solve_batch(
            f, np.array([[0.0, 1.0], [1.0, 1.0]], np.float32), [0.0, 1.0], **TOLERANCE_BELOW
        ),
    ],
)
def test_a_step_size_that_is_not_a_number_ends_the_solve(call):
    calls = []
    with pytest.raises(SolverError, match=r"not finite|rounding"):
        call(lambda t, y: calls.append(1) or -y)
    assert len(calls) < 2000


def test_a_batch_is_not_told_to_take_a_method_that_is_not_for_batches():
    stiff = lambda t, y: -1e6 * (y - np.cos(t))
    with pytest.raises(SolverError, match=r"call solve for this sample, with method='radau_iia5'"):
        solve_batch(stiff, np.ones((2, 1)), [0.0, 10.0], max_steps=50)
    with pytest.raises(SolverError, match=r"sample \d: "):
        odeint_batch(stiff, np.ones((2, 1)), [0.0, 10.0], max_steps=50)


@pytest.mark.parametrize("tolerance", [Fraction(1, 1000), np.float32(1e-3), np.array(1e-3)])
def test_tolerances_of_other_kinds_of_numbers(tolerance):
    f = lambda t, y: -y
    expected = solve(f, np.ones(2), [0.0, 1.0], rtol=1e-3).y
    np.testing.assert_allclose(
        solve(f, np.ones(2), [0.0, 1.0], rtol=tolerance).y, expected, rtol=1e-6
    )


def test_errors_can_be_pickled():
    with pytest.raises(SolverError) as caught, warnings.catch_warnings():
        solve(lambda t, y: y * y, 1.0, [0.0, 2.0])
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.t == caught.value.t


def leaves_the_encoding_open(call):
    """Whether a call reads or writes text in the encoding of the system, whatever that is."""
    name, words = ast.unparse(call.func), {word.arg for word in call.keywords}
    modes = {x.value for x in call.args if isinstance(x, ast.Constant)}
    opens = name.rpartition(".")[2] in ("open", "fdopen") and not modes & {"rb", "wb", "ab"}
    opens = opens and name not in ("Image.open", "tarfile.open", "os.open")  # of no text
    text = opens or name.endswith(("read_text", "write_text")) or "text" in words
    return text and "encoding" not in words


def test_files_and_programs_are_read_in_an_encoding_that_is_named():
    """On Windows that of the system is not UTF-8, and letters of the course have no place in it."""
    for code in ("p.read_text()", "p.write_text(x)", "open(p)", "p.open('w')", "run(x, text=True)"):
        assert leaves_the_encoding_open(ast.parse(code, mode="eval").body), code
    folders = [ROOT / name for name in ("tinyode", "tutorials", "tests")]
    calls = [
        (path, node)
        for folder in folders
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    found = [f"{path}:{call.lineno}" for path, call in calls if leaves_the_encoding_open(call)]
    assert len(calls) > 1000 and not found
