"""A compiled right-hand side on flat vectors gives the numbers of its value, to the last bit."""

import gc
import linecache
import weakref

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds
from test_composed_programs import composed

from tinyode import compiled, grad, odeint, solve, tree
from tinyode.autodiff.specialized import Around, specialized
from tinyode.sensitivity.shared import VectorField, flat
from tinyode.solvers.state import check_state, flat_field


def fields(f, y0, *args):
    """Return the flat fields of a compiled f that is called, and of what it offers, and a state."""
    leaves, structure = check_state(y0)
    y = np.concatenate([leaf.reshape(-1) for leaf in leaves])
    g = compiled(f)
    assert specialized(g, *tree.flatten((0.0, tree.unflatten(structure, leaves), *args))).bind
    called = lambda t, y, *args: g(t, y, *args)
    return *[flat_field(h, leaves, structure, args) for h in (called, g)], y


def check_field(f, y0, *args):
    """Compare the fields at several times and states, in rows that held something else."""
    plain, offered, y = fields(f, y0, *args)
    rng = np.random.default_rng(0)
    for t in (0.0, 0.7, -2.0):
        y = y + 0.1 * rng.normal(size=y.size).astype(y.dtype)
        k, found = [np.full_like(y, np.nan) for _ in range(2)]
        before = y.copy()
        with np.errstate(all="ignore"):
            offered(t, y, found)
            plain(t, y, k)
        np.testing.assert_array_equal(found, k)
        np.testing.assert_array_equal(y, before)


@given(seeds)
def test_drawn_compositions(seed):
    rng = np.random.default_rng(seed)
    f = composed(rng, 6)
    x, y, z, parameter = rng.normal(size=(4, 4, 4))
    check_field(lambda t, s, p: f(s[0] + t * s[2], s[1] * p), [x, y, z], parameter)


W = np.random.default_rng(0).normal(size=(2, 3))
FIELDS = [
    (lambda t, y: -y, 1.0, ()),
    (lambda t, y: 2.0, 1.0, ()),
    (lambda t, y: t * y, np.ones(3), ()),
    (lambda t, y: y, np.ones((2, 3)), ()),
    (lambda t, y: y.T @ y, np.ones((3, 3)), ()),
    (lambda t, y: y[::-1], np.arange(3.0), ()),
    (lambda t, y: np.array([1.0, 2.0]), np.ones(2), ()),
    (lambda t, y: W, np.ones((2, 3)), ()),
    (lambda t, y, w: w, np.ones(2), (np.ones(2),)),
    (lambda t, y, w: np.exp(w) * np.sum(y) + y, np.ones((2, 2)), (0.3,)),
    (lambda t, y: np.array([y[1], -np.sin(y[0])]), np.ones(2), ()),
    (lambda t, y: np.stack([y[1], t]), np.ones(2), ()),
    (lambda t, y: np.concatenate([y[1:], y[:1] * t]), np.arange(3.0), ()),
    (lambda t, y: np.concatenate([y[1:], y[1:]]), np.arange(2.0), ()),
    (lambda t, y: np.concatenate([y, y], axis=1)[:, :2], np.ones((2, 2)), ()),
    (lambda t, y: np.concatenate([y[:, :1], y[:, 1:]], axis=1), np.ones((2, 2)), ()),
    (lambda t, y: np.reshape(y * 2.0, (2, 3), order="F"), np.arange(6.0).reshape(2, 3), ()),
    (lambda t, y: np.add.reduce(np.exp(y[:, None] * W[0]), axis=0), np.arange(3.0), ()),
    (lambda t, y: (np.add.reduce(y[0][None] * W[:, None], axis=0),), (np.ones((3, 2)).T,), ()),
    (lambda t, y: (y[0] * t, y[0] * t), (1.0, 2.0), ()),
    (lambda t, y: {"a": y["b"][0], "b": y["a"] * np.ones(2)}, {"a": 1.0, "b": np.ones(2)}, ()),
    (lambda t, y, n, s: y * n if s == "up" else -y, np.ones(2), (2, "up")),
    (lambda t, y, p: np.tanh(y @ p["W"] + p["b"]) @ p["W"].T, np.ones((4, 2)),
     ({"W": W, "b": np.ones(3)},)),
    (lambda t, y: y * np.float32(2.0), np.ones(2, np.float32), ()),
]  # fmt: skip


@pytest.mark.parametrize(("f", "y0", "args"), FIELDS)
def test_states_and_arguments_of_every_kind(f, y0, args):
    check_field(f, y0, *args)


def test_large_arrays_are_written_into_once_more():
    """What `memory` gives to a later line is not the row of the slope."""
    y = np.random.default_rng(0).normal(size=(100, 100))
    check_field(lambda t, y: np.tanh(y * 2.0) * np.sin(y + 1.0) + y, y)
    check_field(lambda t, y: (np.tanh(y[0] @ y[1]), np.exp(-(y[0] ** 2)) @ y[1]), (y, y.T.copy()))


@pytest.mark.parametrize(
    ("f", "y0"),
    [
        (lambda t, y: y.astype(np.float32), np.ones(2)),
        (lambda t, y: y.astype(float), np.ones(2, np.float32)),
        (lambda t, y: y > 0.0, np.ones(2)),
        (lambda t, y: 1, 1.0),
        (lambda t, y: (y[0], y[1]), (np.ones(2), np.ones(2, np.float32))),
    ],
)
def test_no_field_is_offered_for_mixed_dtypes(f, y0):
    """The solver then calls f, and converts."""
    leaves, structure = check_state(y0)
    of_all = tree.flatten((0.0, tree.unflatten(structure, leaves)))
    assert specialized(compiled(f), *of_all).bind is None
    found, expected = [solve(g, y0, [0.0, 1.0]).y for g in (compiled(f), f)]
    for x, y in zip(tree.flatten(found)[0], tree.flatten(expected)[0]):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("f", [lambda: np.ones(2), lambda x: x, lambda t, x: x[:1]])
def test_other_functions_offer_none(f):
    n = f.__code__.co_argcount
    assert specialized(compiled(f), *tree.flatten((0.5, np.ones(2))[:n])).bind is None


def bound(f, t, y, *others):
    """Return the source of the field."""
    g = compiled(f)
    leaves, structure = tree.flatten((t, y, *others))
    field = specialized(g, leaves, structure).bind(*tree.flatten(others)[0])
    return "".join(linecache.getlines(field.__code__.co_filename))


def test_what_depends_on_the_arguments_alone_is_computed_once():
    text = bound(
        lambda t, y, b, W: np.exp(b) * (y @ W.T), 0.0, np.ones((2, 3)), 0.5, np.ones((3, 3))
    )
    outer, inner = text.split("def field")
    assert "np.exp" in outer and ".T" in outer
    assert "np.exp" not in inner and ".T" not in inner


def test_the_slope_is_written_where_it_belongs():
    f = lambda t, y, b: (y[0] * b, np.array([y[1][1], np.sin(t)]))
    text = bound(f, 0.0, (np.ones((2, 2)), np.ones(2)), 0.5)
    assert "np.multiply(x1, x3, out=k[0:4].reshape((2, 2)))" in text
    assert "np.array" not in text


def test_an_offered_field_warns_as_f_does():
    """NumPy's numbers do that; Python's floats, which are faster, would not."""
    *both, _ = fields(lambda t, y: np.array([y[0] * 1e308 * 10.0, 1.0 / y[1]]), np.ones(2))
    for field in both:
        with pytest.warns(RuntimeWarning, match="overflow"):
            field(0.0, np.ones(2), np.empty(2))
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            field(0.0, np.zeros(2), np.empty(2))


def network(t, y, p):
    return np.tanh(y @ p["W"] + p["b"]) @ p["V"] + t


def parameters(seed):
    rng = np.random.default_rng(seed)
    return {"W": rng.normal(size=(2, 3)), "b": rng.normal(size=3), "V": rng.normal(size=(3, 2))}


def around(f, y0, p, scale):
    """Return the field of a right-hand side that takes a pullback, as Algorithm 2 does."""
    theta, of_p = tree.flatten(p)
    field = VectorField(f, [y0], tree.LEAF, (tuple, None, (of_p,)))
    vjp = field.vjp(0.0, y0.reshape(-1), theta, [0, 2])
    n = y0.size

    def dynamics(t, s, *theta):
        dz_dt, pullback = vjp(t, s[:n], theta)
        return flat([*dz_dt, *pullback(scale * s[n : 2 * n])])

    s0 = np.random.default_rng(1).normal(size=2 * n + theta[0].size + theta[2].size)
    return (
        flat_field(
            field.around(dynamics, (0.0, y0.reshape(-1), theta), 1, scale), [s0], tree.LEAF, theta
        ),
        s0,
        2 * n,
    )


def test_a_function_around_f_is_compiled_like_f():
    f, rng = compiled(network), np.random.default_rng(0)
    for scale in (-1.0, 2.0, -1.0):  # the key tells them apart
        for seed in range(2):
            y0, p = rng.normal(size=(4, 2)), parameters(seed)
            (plain, s, coupled), (offered, *_) = [around(g, y0, p, scale) for g in (network, f)]
            k, found = np.empty_like(s), np.empty_like(s)
            plain(0.3, s[:coupled], k)
            offered(0.3, s[:coupled], found)
            np.testing.assert_array_equal(found, k)
    assert len(f.programs) == 3  # the field itself, and the function for two keys


@pytest.mark.parametrize("mode", ["adjoint", "forward"])
def test_the_programs_of_a_backward_pass_are_kept_from_solve_to_solve(mode):
    calls = []

    def counted(t, y, k):
        calls.append(1)
        return -k * np.sin(y)

    f = compiled(counted)
    loss = lambda k: np.sum(odeint(f, np.ones(2), [0.0, 0.5, 1.0], k, gradient=mode)[1:])
    first = grad(loss)(0.5)
    recorded = len(calls)
    for k in (0.5, 0.7):
        grad(loss)(k)
    assert len(calls) == recorded
    plain = lambda k: np.sum(odeint(counted, np.ones(2), [0.0, 0.5, 1.0], k, gradient=mode)[1:])
    np.testing.assert_allclose(first, grad(plain)(0.5), rtol=1e-12)
    np.testing.assert_allclose(grad(grad(loss))(0.5), grad(grad(plain))(0.5), rtol=1e-10)


def test_a_compiled_function_is_freed_with_the_programs_around_it():
    f = compiled(network)
    p = parameters(0)
    grad(lambda p: np.sum(odeint(f, np.ones((2, 2)), [0.0, 1.0], p)[-1]))(p)
    alive = weakref.ref(f)
    gc.disable()
    try:
        f = None
        assert alive() is None
    finally:
        gc.enable()


def test_around_offers_nothing_but_its_value():
    f = compiled(lambda t, y: -y)
    y = np.ones(2)
    g = Around(f, lambda t, y: 2.0 * f(t, y), ())
    leaves, structure = tree.flatten((0.0, y))
    np.testing.assert_array_equal(g(0.0, y), -2.0 * y)
    assert specialized(g, leaves, structure, (1,)) is None
    assert specialized(g, leaves, structure).bind is not None
    assert g.__tinyode_specialized__(leaves, structure, around=g) is None


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("by_keyword", [False, True])
def test_the_order_of_a_reshape(order, by_keyword):
    def f(t, y, k):
        settings = {"order": order} if by_keyword else {}
        flat = np.concatenate([k * y[:, 0], y[:, 1]])
        return np.reshape(flat, (3, 2), *([] if by_keyword else [order]), **settings)

    y0 = np.arange(6.0).reshape(3, 2) / 7
    plain, fast = [solve(g, y0, [0.5, 1.5], 1.3).y for g in (f, compiled(f))]
    np.testing.assert_array_equal(fast, plain)


def test_what_is_bound_is_computed_as_quietly_as_a_step():
    f = lambda t, y, k: -y / (1 + np.exp(k))
    with np.errstate(all="raise"):
        plain, fast = [solve(g, np.ones(2), [0, 1.0], 1000.0).y for g in (f, compiled(f))]
    np.testing.assert_array_equal(fast, plain)


def test_a_field_is_recorded_at_the_first_time():
    """Where it is defined; at 0 it may not be."""
    f = lambda t, y, k: -y * (k / t) + np.linalg.solve(t * np.eye(2), y)
    g = compiled(f)
    for way in ("adjoint", "discrete", "interpolated", "forward"):
        end = lambda k, f, way=way: np.sum(odeint(f, np.ones(2), [0.5, 1.5], k, gradient=way)[-1])
        np.testing.assert_allclose(grad(end)(1.2, g), grad(end)(1.2, f), rtol=1e-12)


def test_a_long_field_gets_no_program_of_a_whole_step():
    """To record it would take longer than many gradients."""

    def deep(t, y, k):
        for _ in range(60):
            y = np.tanh(k * y + t)
        return y

    f = compiled(deep)
    grad(lambda k: np.sum(odeint(f, np.ones(3), [0, 1.0], k, gradient="discrete")[-1]))(0.5)
    assert not any([key[-1] for key in f.programs])


def test_recordings_of_backward_passes_count_where_functions_are_thrown_away():
    def f(t, y, k):
        return -k * y

    def gradient():
        g = compiled(f)
        return grad(lambda k: odeint(g, 1.0, [0, 1.0], k, gradient="discrete")[-1])(0.5)

    with pytest.warns(RuntimeWarning, match="compiled: f has been recorded"):
        for _ in range(60):
            gradient()
