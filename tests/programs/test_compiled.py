"""The one method by which a compiled function offers its value and its derivative."""

import numpy as np
from hypothesis import given
from strategies import seeds
from test_composed_programs import composed
from test_program import assert_same

from tinyode import compiled, grad, jvp, tree, vjp
from tinyode.autodiff.specialized import specialized

X = np.array([1.0, 2.0])


def offered(f, *args, wanted=()):
    leaves, structure = tree.flatten(args)
    return specialized(f, leaves, structure, wanted)


@given(seeds)
def test_what_is_offered_is_what_vjp_returns(seed):
    """And where it is said to be owned, no two arrays have memory in common."""
    rng = np.random.default_rng(seed)
    f = composed(rng, 6)
    leaves = list(rng.normal(size=(2, 4, 4)))
    with np.errstate(all="ignore"):
        value, pullback = vjp(f, *leaves)
        seeds = [rng.normal(size=(4, 4)) for _ in value]
        of_all = offered(compiled(f), *leaves, wanted=(0, 1))
        found, pull = of_all.vjp(*leaves)
        pulled = pull(seeds)
        assert_same(found, value)
        assert_same(tuple(pulled), pullback(seeds))
        assert_same(offered(compiled(f), *leaves, wanted=(1,)).vjp(*leaves)[1](seeds)[0], pulled[1])
        assert_same(of_all.value(*leaves), value)
        assert_same(offered(compiled(f), *leaves).value(*leaves), value)
    assert tree.unflatten(of_all.structure, found) == found
    if of_all.owned:
        arrays = [*leaves, *found, *seeds, *pulled]
        for i, x in enumerate(arrays):
            assert not any(np.shares_memory(x, y) for y in arrays[:i])


def test_what_may_share_memory_is_not_owned():
    for f, owned in (
        (lambda x: x * 2.0, True),
        (lambda x: np.sum(np.sin(x)), True),  # a number cannot be written into
        (lambda x: x, False),
        (lambda x: x[::-1], False),
        (lambda x: np.exp(x), False),  # the pullback needs the value
        (lambda x: x + np.ones(2), False),  # the cotangent is the seed
    ):
        assert offered(compiled(f), X, wanted=(0,)).owned == owned


def test_a_cotangent_without_axes_is_a_number():
    """Also if it is the seed, and that an array without axes."""
    for f in (lambda x: x, lambda x: 1.0 * x, lambda x: np.reshape(x, ()), lambda x: x + x):
        for seed in (1.0, np.float64(1.0), np.array(1.0)):
            for g in (f, compiled(f)):
                assert type(vjp(g, 0.5)[1](seed)[0]) is np.float64


def test_nothing_is_offered_where_f_must_be_called():
    def f(x, y):
        assert offered(g, x, y) is offered(g, x, y, wanted=(0,)) is None
        return g(x, y)

    g = compiled(lambda x, y: x * y)
    grad(lambda x: np.sum(f(x, X)))(X)
    assert offered(compiled(lambda x: x > 1.0), X, wanted=(0,)) is None
    assert_same(offered(compiled(lambda x: x > 1.0), X).value(X), [X > 1.0])
    assert offered(lambda x: x, X) is None


def test_a_number_of_python_is_a_number_of_numpy_where_it_has_a_cotangent():
    f = compiled(lambda t, x: (t * 2.0, t * x))
    assert type(offered(f, 0.5, X).value(0.5, X)[0]) is float
    values, pull = offered(f, 0.5, X, wanted=(1,)).vjp(0.5, X)
    assert type(values[0]) is np.float64
    assert_same(pull([np.float64(1.0), X]), [0.5 * X])


def test_seeds_take_the_precision_of_the_outputs():
    x = X.astype(np.float32)
    _, pull = offered(compiled(lambda x: x * x), x, wanted=(0,)).vjp(x)
    assert_same(pull([np.ones(2)]), [2 * x])


class Scaled(dict):
    """A container with attributes."""


def test_a_container_that_has_changed_since_it_was_recorded():
    def scaled(k):
        made = Scaled(a=X.copy())
        made.k = [k]
        return made

    f = lambda p: np.sum(p["a"] ** 3) * p.k[0]
    derivative = lambda g, p: jvp(g, (p,), (p,))[1]  # of the pullback, by f itself
    g, first = compiled(f), scaled(2.0)
    derivative(g, first)
    first.k[0] = 5.0
    for p in (first, scaled(2.0)):
        assert_same(derivative(g, p), derivative(f, p))
