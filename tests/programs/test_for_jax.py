"""What a program for JAX is: its text, its constants, its derivative, and what JAX refuses."""

import copy
import pickle
import re

import numpy as np
import pytest
import test_under_jax as under_jax
from test_under_jax import MODULE, A, assert_agree, jax, pendulum

from tinyode import custom_vjp, program, stop_gradient, tree, vjp
from tutorials import cells

pytestmark = pytest.mark.peers
float64 = under_jax.float64


def test_a_program_for_jax_is_a_program():
    """It can be read, copied and pickled."""
    x, g = np.array([0.1, 0.2, 0.3]), np.ones(3)
    both = program(lambda x: np.tanh(A @ x), x, vjp=True)
    there = both.to(MODULE)
    assert there.source.startswith("import jax.numpy as np\nimport numpy\n\nA = numpy.array(")
    assert there.constants["A"] is A
    copies = copy.deepcopy(both).to(MODULE), pickle.loads(pickle.dumps(both)).to(MODULE)
    for made in (
        *(there, *copies, copy.deepcopy(there), pickle.loads(pickle.dumps(there))),
        there.to(MODULE),
    ):
        assert made.source == there.source
        assert_agree(made(x, g), both(x, g))


round_through = custom_vjp(np.round)
round_through.defvjp(lambda x: (np.round(x), None), lambda _, g: (g,))
DERIVATIVES = {  # what JAX would differentiate otherwise, and where
    "stop_gradient": (lambda x: x * stop_gradient(x), [0.7, 0.9, 0.2]),
    "custom_vjp": (round_through, [0.7, 0.9, 0.2]),
    "abs at its corner": (np.abs, [0.0, 1.0, -1.0]),
    "a norm at its corner": (np.linalg.norm, [0.0, 0.0, 0.0]),
    "a tie": (lambda x: np.fmax(x, x[::-1]), [0.5, 0.1, 0.5]),
    "smooth": (np.sin, [0.7, 0.9, 0.2]),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_jax_has_our_derivative_or_none(name):
    """As the docstring of `Program.to` shows."""
    f, x = DERIVATIVES[name][0], np.array(DERIVATIVES[name][1])
    both, value = (program(f, x, vjp=way).to(MODULE) for way in (True, False))
    y, pullback = vjp(f, x)
    weights = np.arange(1.0, 1 + np.size(y)).reshape(np.shape(y))
    loss = lambda x: jax.numpy.sum(weights * value(x))
    for derivative in (
        lambda x: jax.grad(loss)(x),
        lambda x: jax.jit(jax.grad(jax.jit(loss)))(x),
        lambda x: jax.vmap(jax.grad(loss))(x[None]),
        lambda x: jax.jvp(value, (x,), (x,)),
        lambda x: jax.jacfwd(value)(x),
        lambda x: jax.grad(lambda x: both(x, weights)[0].sum())(x),
    ):
        with pytest.raises(TypeError, match=r"JAX cannot differentiate the program of .*vjp=True"):
            derivative(x)
    in_jax = jax.custom_vjp(value)
    in_jax.defvjp(lambda *x: (value(*x), x), lambda x, g: both(*x, g)[1])
    for derivative in (jax.grad, lambda loss: jax.jit(jax.grad(loss))):
        found = derivative(lambda x: jax.numpy.sum(weights * in_jax(x)))(x)
        assert_agree(found, pullback(weights)[0])


def test_constants_are_those_of_the_call():
    """In the precision of JAX at the call, as they are then, and also where `to` is in a `jit`."""
    c, x = np.array([0.1, 0.2]), np.array([1.0, 2.0])
    made = program(lambda x: c * x, x)
    try:
        jax.config.update("jax_enable_x64", False)
        there = made.to(MODULE)
        assert there(x).dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", True)
    assert_agree(there(x), made(x))
    kept = []

    def f(x):
        kept.append(made.to(MODULE))
        return kept[0](x)

    assert_agree(jax.jit(f)(x), made(x))
    c[:] = 3.0
    for run in (there, kept[0], jax.jit(there)):
        assert_agree(run(x), 3.0 * x)


@pytest.mark.parametrize("title", ["np", "numpy", "type", "tuple", "slice"])
def test_names_that_the_text_needs(title):
    """The function, an argument and arrays that it closes over may have them."""
    type, tuple, slice = np.array([2.0, 3.0]), np.array([1.0, 2.0]), np.array([4.0, 5.0])

    def f(x, numpy, np_=np):
        return x[[0, 0, 1]][1:] * np_.int64(3) * type * tuple * numpy * slice

    f.__name__ = title
    x, g = np.array([0.2, 0.3]), np.array([1.0, 2.0])
    here = program(f, x, 0.5, vjp=True)
    there = here.to(MODULE)
    for run in (there, jax.jit(there), lambda *x: under_jax.pasted(there)(*map(np.asarray, x))):
        assert_agree(run(x, 0.5, g), here(x, 0.5, g))


def test_chapter_5_ends_with_it():
    code = [cell for cell in cells.read(cells.chapters()[5]) if not cell.is_prose]
    (cell,) = [cell for cell in code if "import jax" in cell.source]
    names = {"np": np, "program": program, "f": pendulum, "t0": 0.3}
    names |= {"z0": np.array([1.0, 0.5]), "theta": np.array([4.0, 0.2])}
    exec(cell.source, names)
    assert any(isinstance(x, jax.Array) for x in tree.flatten([*names.values()])[0])


def test_what_jax_does_not_have_is_told_by_name():
    made = program(lambda x: x * np.fix(x), np.ones(3))
    with pytest.raises(TypeError, match=re.escape("calls np.fix, which jax.numpy does not have")):
        made.to(MODULE)


def test_what_jax_refuses():
    x = np.array([0.3, 0.7])
    made = program(lambda x: x * np.searchsorted([0.0, 0.5], x), x).to(MODULE)
    with pytest.raises(TypeError, match="searchsorted requires ndarray or scalar"):
        made(x)
    for f, error, message in (
        (lambda x: np.choose(np.argsort(x), [x, 2 * x]), TypeError, "Abstract tracer value"),
        (lambda x: np.partition(x, [0, 1]), ValueError, "Non-hashable static arguments"),
        (lambda x: np.argsort(x, kind="mergesort"), TypeError, "'kind' .* is not supported"),
    ):
        with pytest.raises(error, match=message):
            jax.jit(program(f, x).to(MODULE))(x)


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
    element = lambda x: x[np.floor(x[:1]).astype(int)]
    x = np.array([7.0, 8.0, 9.0])
    with pytest.raises(IndexError, match="out of bounds"):
        program(element, np.zeros(3))(x)
    there = program(element, np.zeros(3), vjp=True).to(MODULE)
    for run in (there, jax.jit(there)):
        assert_agree(run(x, np.ones(1)), (x[2:], (np.zeros(3),)))
    sums = program(lambda x: np.cumsum(np.floor(x).astype(np.int32)), x)
    assert (sums(x).dtype, sums.to(MODULE)(x).dtype) == (np.int64, np.int32)
    single = x.astype(np.float32)
    chosen = program(lambda x: np.where(x > 8, x, np.arange(3)), single)
    assert (chosen(single).dtype, chosen.to(MODULE)(single).dtype) == (np.float64, np.float32)
