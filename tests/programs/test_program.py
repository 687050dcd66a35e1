"""Programs compute what the tape computes, to the last bit; and what is refused.

Over the whole table of rules, run here, and pasted where there is nothing but NumPy.
"""

import concurrent.futures
import gc
import linecache
import random
import time
import tracemalloc

import numpy as np
import pytest
import rule_cases as rules
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import broadcasting_pairs, matrices, reductions, seeds, shapes, spaced, uniform

import tinyode
from tinyode import compiled, grad, hessian, jvp, nn, odeint, program, root, tree, vjp


def assert_same(found, expected):
    """Same structure, shapes, dtypes, and numbers to the last bit."""
    (found, structure), (expected, wanted) = tree.flatten(found), tree.flatten(expected)
    assert structure == wanted
    for x, y in zip(found, expected):
        assert np.shape(x) == np.shape(y) and np.result_type(x) == np.result_type(y)
        np.testing.assert_array_equal(x, y)


def unnamed(x):
    """Return tuples for named tuples, as a source does that has no more than NumPy."""
    if type(x) is list:
        return list(map(unnamed, x))
    return tuple(map(unnamed, x)) if isinstance(x, tuple) else x


def check_program(f, *primals):
    """Compare value and cotangents with those of the tape.

    Those of the program, of its source where there is nothing but NumPy, and of the compiled
    function.
    """

    def called(*args):
        return unnamed(f(*args))

    value, pullback = vjp(called, *primals)
    rng = np.random.default_rng(0)
    g = tree.map(lambda y: rng.normal(size=np.shape(y)).astype(y.dtype)[()], value)
    cotangents = pullback(g)
    both = program(called, *primals, vjp=True)
    assert_same(both(*primals, g), (value, cotangents))
    pasted = {}
    exec(both.source, pasted)
    assert_same(pasted["called"](*primals, g), (value, cotangents))
    assert_same(program(called, *primals)(*primals), value)
    value, pullback = vjp(compiled(called), *primals)
    assert_same((value, pullback(g)), (value, cotangents))


few = settings(max_examples=4)


@pytest.mark.parametrize("function", [f for f in rules.UNARY if f is not np.frexp], ids=rules.name)
@given(shapes(), seeds)
@few
def test_unary(function, shape, seed):
    check_program(function, uniform(np.random.default_rng(seed), shape, *rules.UNARY[function])[()])


@pytest.mark.parametrize("function", [*rules.BINARY, *rules.CHOOSING], ids=rules.name)
@given(broadcasting_pairs(), seeds)
@few
def test_binary(function, pair, seed):
    rng = np.random.default_rng(seed)
    intervals = rules.BINARY.get(function)
    drawn = (
        [uniform(rng, shape, *interval) for shape, interval in zip(pair, intervals)]
        if intervals
        else spaced(rng, *pair)
    )
    check_program(function, *[x[()] for x in drawn])


@pytest.mark.parametrize("function", rules.REDUCTIONS, ids=rules.name)
@given(reductions(), seeds)
@few
def test_reductions(function, reduction, seed):
    shape, axis, keepdims = reduction
    check_program(
        lambda x: function(x, axis=axis, keepdims=keepdims),
        *spaced(np.random.default_rng(seed), shape),
    )


@pytest.mark.parametrize("function", rules.METHODS_OF_UFUNCS, ids=rules.name)
@given(shapes(1), seeds)
@few
def test_methods_of_ufuncs(function, shape, seed):
    check_program(lambda x: function(x, axis=-1), *spaced(np.random.default_rng(seed), shape))


CHOSEN_BY_VALUES = {
    rules.operator.getitem,
    np.extract,
}  # x[x > 0]: how many there are depends on the values


@pytest.mark.parametrize(
    "function", [f for f in rules.ARRAYS if f not in CHOSEN_BY_VALUES], ids=rules.name
)
@given(shapes(1), st.integers(0, 2), seeds)
@few
def test_arrays(function, shape, i, seed):
    check_program(
        lambda x: rules.ARRAYS[function](x, i % len(shape)),
        *spaced(np.random.default_rng(seed), shape),
    )


@pytest.mark.parametrize("function", rules.MATRICES, ids=rules.name)
@given(
    st.integers(1, 3).flatmap(
        lambda n: st.sampled_from([(), (2,)]).flatmap(lambda batch: matrices(n, batch))
    )
)
@few
def test_matrices(function, a):
    check_program(rules.MATRICES[function], a)


SOURCE = """import numpy as np


def f(t, z, theta, g):
    theta_W = theta['W']  # (2, 2)
    theta_b = theta['b']  # (2,)
    v1 = z @ theta_W  # (3, 2)
    v2 = v1 + theta_b  # (3, 2)
    v3 = np.tanh(v2)  # (3, 2)
    v4 = t * v3  # (3, 2)

    # the pullback
    v5 = g * v3  # (3, 2)
    v6 = g * t  # (3, 2)
    v7 = np.add.reduce(v5, axis=(0, 1))  # ()
    v8 = v3 * v3  # (3, 2)
    v9 = 1 - v8  # (3, 2)
    v10 = v6 * v9  # (3, 2)
    v11 = np.add.reduce(v10, axis=0)  # (2,)
    v12 = theta_W.T  # (2, 2)
    v13 = v10 @ v12  # (3, 2)
    v14 = z.T  # (2, 3)
    v15 = v14 @ v10  # (2, 2)
    return v4, (v7, v13, {'W': v15, 'b': v11})
"""


def test_the_source_is_what_a_person_would_write():
    def f(t, z, theta):
        return t * np.tanh(z @ theta["W"] + theta["b"])

    made = program(f, 0.5, np.ones((3, 2)), {"W": np.ones((2, 2)), "b": np.zeros(2)}, vjp=True)
    assert repr(made) == made.source == SOURCE and made.constants == {}


@pytest.mark.parametrize(
    ("line", "f"),
    [
        ("x[(0, 1), (1, 0)]", lambda x: x[(0, 1), (1, 0)]),
        ("x[(0, 1),]", lambda x: x[((0, 1),)]),
        ("x[1:, 0]", lambda x: x[1:, 0]),
        ("x[::2]", lambda x: x[::2,]),
        ("x[..., None]", lambda x: x[..., None]),
        ("x[()]", lambda x: x[()]),
        ("np.sum(x)", lambda x: np.sum(x, axis=None, keepdims=False)),
        ("np.sum(x, keepdims=True)", lambda x: np.sum(x, keepdims=True)),
        ("np.reshape(x, (3, 2))", lambda x: np.reshape(x, (3, 2), order="C")),
        ("x / 3.0", lambda x: x / np.float64(3.0)),
        ("np.reshape(x, (3, 2), order='F')", lambda x: np.reshape(x, (3, 2), order="F")),
        ("x.T", np.transpose),
        ("np.expand_dims(x, 1)", lambda x: np.expand_dims(x, 1)),
        ("np.expand_dims(x, axis=(1, -1))", lambda x: np.expand_dims(x, axis=(1, -1))),
    ],
)
def test_lines(line, f):
    x = np.arange(6.0).reshape(2, 3)
    assert f" = {line}  # " in program(lambda x: f(x) * 2.0, x).source
    check_program(f, x)
    check_program(f, x.astype(np.float32))


def test_simplification():
    """What changes nothing is not written, and what is the same is written once.

    What only looks like that is kept.
    """

    def f(x, g, v1):
        y = np.broadcast_to((1.0 * x / 1 + 0.0 - 0.0) ** 1, x.shape).reshape(1, 3).astype(float)
        return np.sum(np.sin(y), axis=0, keepdims=True) + np.sin(y) * g + v1 + np.cos(x)[0] * 0.0

    source = program(f, np.ones((1, 3)), 2.0, 3.0).source
    assert (
        source.count("np.sin") == 1
        and "sum" not in source
        and "broadcast" not in source
        and "1.0" not in source
    )
    assert "def f(x, g, v1):" in source and "v2 = np.sin(x)" in source
    both = program(f, np.ones((1, 3)), 2.0, 3.0, vjp=True).source
    assert "def f(x, g, v1, g2):" in both and "np.cos" in both
    check_program(f, np.array([[0.1, 0.2, 0.3]]), 2.0, 3.0)
    for kept in (
        lambda x: np.sum(x, axis=0, keepdims=True, initial=2.0),
        lambda x: np.sum(x, axis=0, keepdims=True, where=False),
        lambda x: x * 2.0 + 1.0 - x,
        lambda x: 1.0 - x,
        lambda x: x**2,
        lambda x: x.astype(np.float32),
    ):
        check_program(kept, np.array([[0.1, 0.2, 0.3]]))


def test_a_view_or_a_copy_by_the_strides_of_the_day():
    """np.ravel of the recorded example was a copy. Of the next argument it is a view.

    That must not be written into.
    """
    f = lambda x: np.exp(np.sin(np.ravel(x)) * 2.0)
    made = program(f, np.ones((100, 100)).T[::-1])
    x = np.linspace(0, 1, 10_000).reshape(100, 100)
    before = x.copy()
    assert_same(made(x), f(x))
    assert_same(x, before)


def field(t, z, theta):
    return np.tanh(theta @ z) * np.cos(t)


def test_in_every_mode_of_odeint_and_under_root():
    z, theta, times = (
        np.array([0.5, -0.3]),
        np.array([[0.2, 1.0], [-1.0, 0.1]]),
        np.array([0.0, 0.7, 1.5]),
    )
    for options in (
        {},
        {"gradient": "discrete"},
        {"gradient": "interpolated"},
        {"gradient": "forward"},
        {"method": "kvaerno3"},
        {"method": "rk4", "step_size": 0.1, "gradient": "discrete", "checkpoints": 3},
    ):
        loss = lambda f, z, t, theta: np.sum(odeint(f, z, t, theta, **options) ** 2)
        assert_same(*[grad(loss, (1, 2, 3))(f, z, times, theta) for f in (compiled(field), field)])
    residual = lambda x, theta: x**3 + theta * x - 1.0
    of_root = lambda f: grad(lambda theta: np.sum(root(f, np.ones(2), theta)))(np.array([1.0, 2.0]))
    assert_same(of_root(compiled(residual)), of_root(residual))


def test_derivatives_of_a_derivative():
    def f(x):
        return np.sum(np.sin(x) * x**3) * x[0]

    x, v = np.array([0.3, 0.7]), np.array([1.0, -2.0])
    assert_same(hessian(compiled(f))(x), hessian(f)(x))
    assert_same(jvp(compiled(f), (x,), (v,)), jvp(f, (x,), (v,)))
    assert_same(jvp(grad(compiled(f)), (x,), (v,)), jvp(grad(f), (x,), (v,)))


def test_a_new_cache_key_is_a_new_program():
    f = compiled(lambda x, n, scale=1.0: scale * sum([x**k for k in range(n)]))
    for x in (2.0, np.float32(2.0), np.ones(3), np.ones((2, 2), np.float32), [1.0][0]):
        for n in (1, 3):
            assert_same(f(x, n), f.f(x, n))
            assert_same(f(x, n, scale=0.5), f.f(x, n, scale=0.5))


def test_containers_in_and_out():
    def f(state, *more):
        return {"a": state["b"] * more[0], "c": [np.sum(state["a"]), state["a"]]}

    state, more = {"a": np.ones((2, 2)), "b": np.array([1.0, 2.0])}, np.array([3.0, 4.0])
    value, pullback = vjp(compiled(f), state, more)
    expected, expected_pullback = vjp(f, state, more)
    assert_same(value, expected)
    g = tree.map(lambda y: np.ones_like(y) * 2, expected)
    assert_same(pullback(g), expected_pullback(g))
    network = nn.mlp(2, 3, 1)
    p = network[0](np.random.default_rng(0))
    of_network = lambda apply: grad(lambda p: np.sum(apply(p, np.ones((4, 2)))))(p)
    assert_same(of_network(compiled(network[1])), of_network(network[1]))


def counted():
    counted.n = getattr(counted, "n", 0.0) + 1.0
    return counted.n


REFUSED = {
    "a bool": lambda x: x if x[0] > 0 else -x,
    "a float": lambda x: x * float(np.floor(x)[0]),
    "an int": lambda x: x * int(np.floor(x)[0]),
    "an index": lambda x: x[[3, 1, 2][np.argmax(x)]],
    "a shape": lambda x: x[x > 0],
    "a number": lambda x: x * np.floor(x).item(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_choose_a_path_is_refused_with_its_line(what):
    f = REFUSED[what]
    line = f"test_program.py, line {f.__code__.co_firstlineno}, "
    for call in (
        program,
        lambda f, x: compiled(f)(x),
        lambda f, x: grad(lambda x: np.sum(compiled(f)(x)))(x),
    ):
        with pytest.raises(
            TypeError, match=rf"{line}.*takes {what} from .*np\.where.*leave"
        ) as error:
            call(f, np.ones(5))
        assert f'"{what}": lambda x' in str(error.value)


@pytest.mark.parametrize(
    "draw",
    [random.random, time.perf_counter, counted, lambda: np.random.default_rng().normal(size=3)],
)
def test_what_differs_from_call_to_call_is_refused(draw):
    with pytest.raises(TypeError, match=r"recorded twice, it gave np\.multiply the constant"):
        program(lambda x: x * draw(), np.ones(3))
    with pytest.raises(TypeError, match="recorded twice"):
        compiled(lambda x: x * draw())(np.ones(3))


def test_constants_are_references_and_bound_for_good():
    W = np.array([[1.0, 2.0], [3.0, 4.0]])

    def f(x):
        return W @ x

    made = program(f, np.ones(2))
    assert list(made.constants) == ["W"] and made.constants["W"] is W
    W[0, 0] = 5.0
    assert_same(made(np.ones(2)), np.array([7.0, 7.0]))
    W = np.zeros((2, 2))
    assert_same(made(np.ones(2)), np.array([7.0, 7.0]))


def names_of_lines(source):
    return [line.split(" = ")[0].strip() for line in source.splitlines() if " = " in line]


@given(seeds)
def test_every_line_is_used(seed):
    operations = [
        np.sin,
        np.exp,
        lambda x: x * x,
        lambda x: x + 1.0,
        lambda x: np.sum(x, axis=0, keepdims=True),
        lambda x: x[::-1],
        lambda x: np.broadcast_to(x, x.shape),
        lambda x: x * 1.0,
    ]

    rng = np.random.default_rng(seed)
    frozen = rng.integers(0, len(operations), 8), rng.random(8)

    def g(x):
        values = [x]
        for i, place in zip(*frozen):
            values.append(operations[i](values[int(place * len(values))]))
        return values[-1] * values[-2]

    source = program(g, np.linspace(0.1, 0.3, 3), vjp=True).source.partition("def g(")[2]
    check_program(g, np.linspace(0.1, 0.3, 3))
    for name in set(names_of_lines(source)):
        assert source.count(name) > 1, source


def test_the_working_set_is_the_peak_of_live_values():
    def f(x):
        for _ in range(20):
            x = np.sin(x) * 0.5 + 1.0
        return x

    x = np.ones(2**17)  # a megabyte
    made = program(f, x)
    made(x)
    tracemalloc.start()
    made(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * x.nbytes
    assert_same(made(x), f(x))


def test_threads_do_not_share_buffers():
    def f(x):
        for _ in range(30):
            x = np.sin(x) * 0.5 + x @ np.eye(len(x)) * 0.1
        return x

    xs = [np.full((200, 200), 0.1 * i) for i in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(program(f, xs[0]), xs))
    for i in range(4):
        assert_same(found[i], f(xs[i]))


def test_a_traceback_shows_the_line_while_the_program_is_there():
    made = program(lambda x: np.ones(2) @ (x * 2.0), np.ones(2))
    with pytest.raises(ValueError, match="matmul") as error:
        made(np.ones(3))
    assert str(error.traceback[-1].statement).strip() == "v2 = c1 @ v1  # ()"
    filename = made.call.__code__.co_filename
    assert filename in linecache.cache
    del made, error
    gc.collect()
    assert filename not in linecache.cache


def test_tinyode_has_both():
    assert tinyode.compiled is compiled and tinyode.program is program


def test_values_that_are_arguments_constants_or_whole_numbers():
    for f in (
        lambda x: x,
        lambda x: np.ones(2),
        lambda x: np.argmax(np.stack([x, 2 * x])),
        lambda x: (x, np.floor(x).astype(int)),
    ):
        assert_same(compiled(f)(0.5), f(0.5))
    assert_same(grad(compiled(lambda x: x))(0.5), 1.0)
    assert_same(
        grad(lambda x: np.sum(compiled(lambda x: (x * x, np.floor(x).astype(int)))(x)[0]))(1.5), 3.0
    )
    assert_same(
        vjp(compiled(lambda x, y: x * y), 2, np.float32(3))[1](1.0),
        vjp(lambda x, y: x * y, 2, np.float32(3))[1](1.0),
    )
    assert_same(grad(lambda x: np.sum(compiled(lambda x: (x, np.floor(x) * x))(x)[1]))(1.5), 1.0)
    labels = np.array([2, 0, 1])
    loss = lambda scores, labels: nn.cross_entropy(scores, labels)
    scores = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.5]])
    take = lambda x, i: np.sum(np.take_along_axis(x, i[:, None], axis=1) * x[i])
    assert_same(
        grad(compiled(take))(scores.T @ scores, labels), grad(take)(scores.T @ scores, labels)
    )
    with pytest.raises(TypeError, match="takes an array without a history"):
        grad(compiled(loss))(scores, labels[:2])


def test_a_traced_value_in_a_closure_is_refused():
    for call in (lambda f: compiled(f)(np.ones(2)), lambda f: program(f, np.ones(2))(np.ones(2))):
        with pytest.raises(
            TypeError,
            match=(
                r"closes over a value that is being differentiated, .* pass that value as an"
                r" argument"
            ),
        ):
            grad(lambda theta, call=call: np.sum(call(lambda x: theta * x)))(2.0)


def test_what_is_returned_can_be_written_into():
    """Also where it is a constant of the program, or the same array twice.

    Or zeros, for an argument on which the value does not depend.
    """
    f = compiled(lambda x, y: (np.ones(2), x * 2, x * 2))
    x, y = np.array([1.0, 2.0]), np.zeros(3)
    for _ in range(2):
        for value in (f(x, y), vjp(f, x, y)[0]):
            assert_same(value, f.f(x, y))
            value[0][:] = 7.0
            value[1][:] = 8.0
            assert_same(value[2], x * 2)
        gradient = grad(compiled_sum, (0, 1))(x, y)
        assert_same(gradient, (np.ones(2), np.zeros(3)))
        gradient[1][:] = 9.0
    made = program(f.f, x, y)
    made(x, y)[0][:] = 7.0
    assert_same(made(x, y)[0], np.ones(2))


compiled_sum = compiled(lambda x, y: np.sum(x))


LAYOUTS = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "rows": lambda x: np.repeat(x, 2, axis=0)[::2],
    "columns": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "one row": lambda x: np.broadcast_to(x[:1], x.shape),
}


@given(st.tuples(*[st.integers(1, 20)] * 3), *[st.sampled_from([*LAYOUTS])] * 2, seeds)
@settings(max_examples=100)
def test_products_of_matrices_in_every_layout(lengths, of_a, of_b, seed):
    """`x.dot` stands for np.matmul only where both call the same routine of BLAS."""
    rng, (m, n, p) = np.random.default_rng(seed), lengths
    a, b = LAYOUTS[of_a](rng.normal(size=(m, n))), LAYOUTS[of_b](rng.normal(size=(n, p)))
    assert_same(compiled(np.matmul)(a, b), a @ b)
    x, y = a.astype(np.float32), b.astype(np.float32)
    assert_same(compiled(lambda x, y: x @ y)(x, y), x @ y)
    assert_same(compiled(lambda x: x.T @ x)(a), a.T @ a)


def test_a_module_other_than_that_of_jax_is_refused():
    made = program(np.sin, np.ones(2))
    for module in ("jax", "numpy", None):
        with pytest.raises(
            ValueError, match=rf"must be 'jax\.numpy'; got {module!r}\. For another"
        ):
            made.to(module)
