"""Programs under JAX: `Program.to("jax.numpy")` over the whole table of rules, and what cannot be.

Each program is compared with the NumPy program, value and cotangents, in float64: called, under
`jax.jit`, and under both `jax.vmap` and `jax.jit`. `test_the_counts` prints how many there are
(``pytest -s``). What it counts is one use of each function: that of `rule_cases`.
"""

import functools
import re

import numpy as np
import pytest
import rule_cases as rules
from strategies import spaced, uniform
from test_program import unnamed

from tinyode import nn, program, tree
from tinyode.autodiff.rules.table import DERIVED, PLAIN, RULES

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.peers
MODULE = "jax.numpy"
BATCH = 2


@pytest.fixture(autouse=True, scope="module")
def float64():
    """JAX computes in float32 if it is not told otherwise."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def of_array(f):
    return f, lambda rng: spaced(rng, (2, 3))


def of_matrices(f):
    diagonal = np.diag([1.0, 2.0, 3.0])
    return f, lambda rng: [diagonal + uniform(rng, (2, 3, 3), -0.3, 0.3)]


CASES = {  # function: how it is used, and what draws its arguments
    **{f: (f, lambda rng, i=i: [uniform(rng, (2, 3), *i)]) for f, i in rules.UNARY.items()},
    **{
        f: (f, lambda rng, a=a, b=b: [uniform(rng, (2, 3), *a), uniform(rng, (3,), *b)])
        for f, (a, b) in rules.BINARY.items()
    },
    **{f: (f, lambda rng: spaced(rng, (2, 3), (3,))) for f in rules.CHOOSING},
    **{
        f: of_array(functools.partial(f, axis=-1))
        for f in [*rules.REDUCTIONS, *rules.METHODS_OF_UFUNCS]
    },
    **{f: of_array(lambda x, use=use: use(x, 1)) for f, use in rules.ARRAYS.items()},
    **{f: of_matrices(use) for f, use in rules.MATRICES.items()},
    np.ldexp: of_array(lambda x: np.ldexp(x, 3)),
}
NO_PROGRAM = {  # in NumPy either, so that there is nothing to run
    rules.operator.getitem: "x[x > 0]: the shape depends on the values",
    np.extract: "the shape depends on the values",
}
WITHOUT_DERIVATIVE = sorted(PLAIN, key=rules.name)
NOT_IN_JAX = {  # function without a derivative: what is raised
    **{f: "takes a shape" for f in (np.argwhere, np.nonzero, np.flatnonzero)},
    **{f: "takes a str" for f in (np.array2string, np.array_repr, np.array_str)},
    **{f: "returned" for f in (np.common_type, np.min_scalar_type, np.result_type)},
    **{f: "which jax.numpy does not have" for f in (np.fix, np.may_share_memory, np.shares_memory)},
    **{f: "got <class 'list'>" for f in (np.digitize, np.logical_and, np.searchsorted)},
}
OTHER_DTYPE = {np.argpartition: np.int32}  # where NumPy has int64


def assert_agree(found, expected, tolerance=1e-12):
    """Same structure, shapes and dtypes, and numbers to the tolerance."""
    (found, structure), (expected, wanted) = tree.flatten(found), tree.flatten(expected)
    assert structure == wanted
    for x, y in zip(found, expected):
        x, y = np.asarray(x), np.asarray(y)
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def stacked(trees):
    """Stack the leaves of trees of the same structure."""
    leaves, (structure, *_) = zip(*map(tree.flatten, trees))
    return tree.unflatten(structure, [np.stack(column) for column in zip(*leaves)])


def pasted(made):
    """Return the function that the text of a program defines."""
    names = {}
    exec(made.source, names)
    return names[made.__name__]


def failures(f, draw, tolerance=1e-12):
    """Compare the program of f and its pullback; return {way: error} where it does not run."""

    def called(*args):
        return unnamed(f(*args))

    batch = []
    for seed in range(BATCH):
        rng = np.random.default_rng(seed)
        args = draw(rng)
        g = tree.map(
            lambda y: rng.normal(size=np.shape(y)).astype(np.result_type(y))[()], called(*args)
        )
        batch.append((*args, g))
    made = program(called, *batch[0][:-1], vjp=True)
    expected = [made(*arguments) for arguments in batch]
    there = made.to(MODULE)
    ways = {
        "called": lambda: pasted(there)(*tree.map(jax.numpy.asarray, batch[0])),
        "jit": lambda: jax.jit(there)(*batch[0]),
        "vmap": lambda: jax.jit(jax.vmap(there))(*stacked(batch)),
    }
    found = {}
    for way, run in ways.items():
        try:
            value = run()
        except Exception as error:  # whatever JAX raises
            found[way] = error
        else:
            assert_agree(value, stacked(expected) if way == "vmap" else expected[0], tolerance)
    return found


failures_of = functools.cache(lambda function: failures(*CASES[function]))
WITH_PROGRAM = [function for function in CASES if function not in NO_PROGRAM]


@pytest.mark.parametrize("function", WITH_PROGRAM, ids=rules.name)
def test_a_function_of_the_table(function):
    """All that have a program run in all ways."""
    assert failures_of(function) == {}


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")
@pytest.mark.parametrize("function", WITHOUT_DERIVATIVE, ids=rules.name)
def test_a_function_without_a_derivative(function):
    use, x = rules.ON_THE_VALUE.get(function, function), np.array([0.3, 0.7, 0.6])

    def made():
        here = program(use, x)
        return here(x), here.to(MODULE)

    if function in NOT_IN_JAX:
        with pytest.raises(TypeError, match=re.escape(NOT_IN_JAX[function])):
            made()[1](x)
        return
    expected, there = made()
    if function in OTHER_DTYPE:
        expected = np.asarray(expected, OTHER_DTYPE[function])
    for run in (there, jax.jit(there)):
        assert_agree(run(x), expected)


@pytest.mark.parametrize("function", NO_PROGRAM, ids=rules.name)
def test_what_has_no_program(function):
    with pytest.raises(TypeError, match="takes a shape"):
        failures(*CASES[function])


def test_the_counts():
    """They are of all functions that have a rule or no derivative, each once."""
    count = {
        way: sum(way not in failures_of(function) for function in WITH_PROGRAM)
        for way in ("called", "jit", "vmap")
    }
    print(f"\nJAX {jax.__version__}, one use of each function:")
    print(f"with a rule: {len(CASES)}; a program: {len(WITH_PROGRAM)}; agree to 1e-12: {count}")
    agree = len(WITHOUT_DERIVATIVE) - len(NOT_IN_JAX)
    print(f"without a derivative: {len(WITHOUT_DERIVATIVE)}; agree, called and in jit: {agree}")
    assert {*CASES} == {*RULES, *DERIVED}
    assert NOT_IN_JAX.keys() <= PLAIN and PLAIN.isdisjoint(CASES)


A = np.random.default_rng(1).normal(size=(3, 3))
MASK, WHOLE = np.array([True, False, True]), np.array([1, 2, 3])
network, apply = nn.mlp(2, 50, 2)
vector = lambda rng: [rng.normal(size=3)]
matrix = lambda rng: [rng.normal(size=(2, 3))]


def pendulum(t, z, theta):
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


def nested(s, y):
    a, (b, (c, d)) = s["a"], s["b"]
    return {"u": a * y, "v": [np.sum(b, axis=0) * d, (c,)]}


PEOPLE_WRITE = {  # a function as people write it, and what draws its arguments
    "network": (
        lambda t, z, p: apply(p, z) * np.cos(t),
        lambda rng: [0.5, rng.normal(size=(20, 2)), network(rng)],
    ),
    "pendulum": (pendulum, lambda rng: [0.3, rng.normal(size=2), rng.normal(size=2)]),
    "containers": (
        nested,
        lambda rng: [{"a": rng.normal(size=3), "b": [A * 2, (rng.normal(size=3), 2.0)]}, A[0]],
    ),
    "a mask": (lambda x: x[MASK] * 2, vector),
    "np.where": (lambda x: np.where(x > 0, x * x, -x) + np.where(MASK, x, 0), vector),
    "views": (lambda x: x[::-1, 1:].T.reshape((4,), order="F")[1:3] * x[0, 1], matrix),
    "an index of lists": (lambda x: x[[0, 1]][:, [0, 2, 2]] * x[[0, 1], [2, 1]][:, None], matrix),
    "an index of arrays": (lambda x: x[WHOLE - 1] @ A[WHOLE - 2], vector),
    "an index that is computed": (lambda x: x[np.argmax(x, axis=0)] * x[np.argsort(x)[0]], vector),
    "whole numbers of NumPy": (
        lambda x: x[np.int64(0) : np.int64(2)] * np.sum(x, axis=np.int64(0)) ** WHOLE[1],
        vector,
    ),
    "whole numbers": (lambda x: WHOLE * x + x**3 + np.concatenate([x[:2], [1]]), vector),
    "a time as a number": (lambda t, x: np.array([t, 1.0, t**2]) * x * (t > 0.2), (
        lambda rng: [0.5, rng.normal(size=3)]
    )),
    "methods": (lambda x: x.copy().astype(float).reshape(3, 1).transpose(1, 0).sum() * x, vector),
    "a matrix ordered by columns": (lambda x: x @ np.asfortranarray(A) @ np.eye(3), vector),
    "rounding and sign": (lambda x: x * np.floor(x) * np.sign(x) + np.isfinite(x), vector),
    "infinity": (lambda x: np.minimum(x, np.inf) * np.maximum(x, -np.inf), vector),
    "whole numbers of a dtype": (
        lambda x: np.int64(300) * np.floor(9 * x * x).astype(np.uint8) * x / np.int32(7) ** WHOLE
        + np.sum(x) * np.uint8(7) * np.floor(x * x).astype(np.int8),
        vector,
    ),
    "whole numbers where they must be known": (
        lambda x: np.repeat(x.reshape(np.int64(3), 2), np.int32(2), axis=np.int8(1))[
            np.int64(1) :, np.int16(0) : np.array(3)[()]
        ] @ np.linalg.matrix_power(A, np.int64(2)),
        lambda rng: [rng.normal(size=6)],
    ),
    "bools": (
        lambda x: x * np.mean(x > 0.1) + np.std(x > 0) / 3 + np.average(x > 0) + (x < 1) / 3
        + np.sqrt(x > 0) + np.sum(x > 0) * 0.5 * x,
        lambda rng: [rng.permutation(np.linspace(-1, 2, 7))],
    ),
    "small whole numbers": (
        lambda x: (lambda n: n / 3 + n / n + np.mean(n) + np.quantile(n, 0.3) + np.sqrt(n) * x
        + np.trapezoid(n, dx=0.1) + np.linalg.norm(n) + n * 0.1)(np.floor(x * x + 2).astype("i4")),
        vector,
    ),
    "float32 with whole numbers": (
        lambda x: x * WHOLE + np.floor(x).astype(np.int16) / 3
        + x / np.floor(x * x + 1).astype(int),
        lambda rng: [rng.normal(size=3).astype(np.float32)],
    ),
    "ties": (
        lambda x: np.max(x) * np.min(x) + np.sort(x) * np.median(x) + np.maximum(x, x[::-1])
        + np.abs(x) + np.fmax(x, 0) + np.clip(x, 0, 1) + np.linalg.norm(x[2:4]) + np.ptp(x),
        lambda rng: [rng.permutation([1.0, 1.0, 0.0, 0.0, 2.0, 2.0])],
    ),
    "a norm at zero": (lambda x: x * np.linalg.norm(x), lambda rng: [np.zeros(3)]),
    "empty arrays": (
        lambda x: np.concatenate([x[:0], x]) * np.sum(x[:0]) + np.prod(x[3:]) * x
        + np.sum(np.zeros((0, 3)) @ x) + x[:0] @ A[:0],
        vector,
    ),
    "a range": (lambda x: x[range(2)] * x[::-1, range(2, 0, -1)][:1, 0], matrix),
    "containers whose keys look like code": (
        lambda d: {"np.int64(3)": d["a, out=b)"] * np.int64(3), "np.foo": d["result[index] = c"]},
        lambda rng: [{k: rng.normal(size=3) for k in ("a, out=b)", "result[index] = c")}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PEOPLE_WRITE)
def test_what_people_write(name):
    assert failures(*PEOPLE_WRITE[name]) == {}


@pytest.mark.parametrize("name", ["network", "pendulum", "np.where", "views"])
def test_float32(name):
    f, draw = PEOPLE_WRITE[name]
    single = lambda rng: tree.map(lambda x: np.asarray(x, np.float32)[()], draw(rng))
    assert failures(f, single, tolerance=1e-5) == {}


def test_large_arrays_whose_memory_a_program_uses_again():
    f = lambda y, W: np.exp(np.sin(y @ W) * np.cos(y))
    draw = lambda rng: [rng.normal(size=(80, 80)), rng.normal(size=(80, 80))]
    made = program(f, *draw(np.random.default_rng(0)), vjp=True)
    assert "out=" in made.source and "out=" not in made.to(MODULE).source
    assert failures(f, draw) == {}
