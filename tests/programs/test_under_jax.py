"""Programs under JAX: `Program.to("jax.numpy")` over the whole table of rules, and what cannot be.

Each program is compared with the NumPy program, value and cotangents, in float64: called, under
`jax.jit`, and under both `jax.vmap` and `jax.jit`. `test_the_counts` prints how many there are
(``pytest -s``).
"""

import copy
import functools
import pickle
import re

import numpy as np
import pytest
import rule_cases as rules
from strategies import spaced, uniform
from test_program import unnamed

from tinyode import nn, program, tree

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
NOT_IN_JAX = {  # function: the ways in which it does not run, and the reason
    np.transpose: (
        {"jit", "vmap"},
        "the table gives the axes as an array; in a compiled function JAX wants a tuple",
    )
}


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
    """Return {way: error} for the ways in which the program of f and its pullback does not run."""

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
    """All run in all ways, but for those of the table above; and these do not."""
    expected, reason = NOT_IN_JAX.get(function, (set(), ""))
    found = failures_of(function)
    assert found.keys() == expected, f"{found}; the table says {expected}, {reason}"


@pytest.mark.parametrize("function", NO_PROGRAM, ids=rules.name)
def test_what_has_no_program(function):
    with pytest.raises(TypeError, match="takes a shape"):
        failures(*CASES[function])


def test_the_counts():
    count = {
        way: sum(way not in failures_of(function) for function in WITH_PROGRAM)
        for way in ("called", "jit", "vmap")
    }
    print(f"\nJAX {jax.__version__}: of {len(CASES)} functions with a rule, {len(WITH_PROGRAM)}")
    print("have a program, and of these so many run and agree to 1e-12:", count)
    assert count == {
        way: len(WITH_PROGRAM) - sum(way in ways for ways, _ in NOT_IN_JAX.values())
        for way in count
    }
    everything = [rules.UNARY, rules.BINARY, rules.CHOOSING, rules.REDUCTIONS, rules.ARRAYS]
    everything += [rules.METHODS_OF_UFUNCS, rules.MATRICES, rules.ELSEWHERE]
    assert {*CASES} == set().union(*everything)


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


def test_a_program_for_jax_is_a_program():
    """It can be read, copied and pickled, and differentiated by JAX."""
    x, g = np.array([0.1, 0.2, 0.3]), np.ones(3)
    f = lambda x: np.tanh(A @ x)
    both, value = program(f, x, vjp=True), program(f, x).to(MODULE)
    there = both.to(MODULE)
    assert there.source.startswith("import jax.numpy as np\n\nA = np.array(")
    assert there.constants["A"] is A
    for made in (there, copy.deepcopy(there), pickle.loads(pickle.dumps(there)), there.to(MODULE)):
        assert made.source == there.source
        assert_agree(made(x, g), both(x, g))
    assert_agree(jax.vjp(value, x)[1](jax.numpy.asarray(g)), both(x, g)[1])


def test_what_jax_does_not_have_is_told_by_name():
    made = program(lambda x: x * np.fix(x), np.ones(3))
    with pytest.raises(TypeError, match=re.escape("calls np.fix, which jax.numpy does not have")):
        made.to(MODULE)


def test_what_jax_refuses():
    x = np.array([0.3, 0.7])
    made = program(lambda x: x * np.searchsorted([0.0, 0.5], x), x).to(MODULE)
    with pytest.raises(TypeError, match="searchsorted requires ndarray or scalar"):
        made(x)
    made = program(lambda x: np.reshape(x, np.array([2, 1])), x).to(MODULE)
    with pytest.raises(TypeError, match="Shapes must be 1D sequences of concrete values"):
        jax.jit(made)(x)


def test_where_jax_does_otherwise():
    vectors = program(lambda a: np.linalg.eigh(a)[1], np.diag([1.0, 2.0]), vjp=True)
    with pytest.raises(np.linalg.LinAlgError, match="vectors are not unique"):
        vectors(np.eye(2), np.ones((2, 2)))
    found = jax.jit(vectors.to(MODULE))(np.eye(2), np.ones((2, 2)))[1][0]
    assert np.all(np.isnan(np.asarray(found)[np.tril_indices(2)]))  # eigh reads that triangle
    inverse = program(np.linalg.inv, np.eye(2))
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        inverse(np.zeros((2, 2)))
    assert not np.any(np.isfinite(inverse.to(MODULE)(np.zeros((2, 2)))))
    half = program(lambda x: np.partition(x, 20), np.zeros(40))
    x = np.random.default_rng(0).normal(size=40)
    here, there = half(x), half.to(MODULE)(x)
    assert not np.array_equal(here, there)
    np.testing.assert_array_equal(np.sort(here[:20]), np.sort(there[:20]))
    element = program(lambda x: x[np.floor(x[:1]).astype(int)], np.zeros(3))
    with pytest.raises(IndexError, match="out of bounds"):
        element(np.array([7.0, 8.0, 9.0]))
    assert jax.jit(element.to(MODULE))(np.array([7.0, 8.0, 9.0])) == 9.0
