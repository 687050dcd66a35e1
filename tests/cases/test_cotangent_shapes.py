"""Every cotangent has the shape of its primal, wherever axes of length 1 are broadcast."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds, uniform

from tinyode import grad, vjp
from tinyode.autodiff.rules.table import RULES, per_operand
from tinyode.autodiff.tape import Tape, fit, sweep
from tinyode.testing import check_vjp


def draw_einsum(rng):
    """Draw up to 3 operands, with axes of length 1, ellipses and repeated letters."""
    size = dict(zip("abcd", rng.integers(1, 4, 4)))
    dots, with_dots = rng.integers(1, 4, 2), rng.random() < 0.4
    inputs, arrays = [], []
    for _ in range(rng.integers(1, 4)):
        letters = [str(c) for c in rng.choice(list("abcd"), rng.integers(0, 4))]
        one = {c: rng.random() < 0.4 for c in letters}
        shape = [1 if one[c] else size[c] for c in letters]
        if with_dots:
            at = rng.integers(len(letters) + 1)
            letters.insert(at, "...")
            depth = rng.integers(3)
            shape[at:at] = [n if rng.random() < 0.6 else 1 for n in dots[:depth][::-1]]
        inputs.append("".join(letters))
        arrays.append(rng.normal(size=shape))
    subscripts = ",".join(inputs)
    if rng.random() < 0.7:
        known = sorted({c for c in subscripts if c.isalpha()})
        output = [c for c in rng.permutation(known) if rng.random() < 0.5] if known else []
        output.insert(rng.integers(len(output) + 1), "..." if with_dots else "")
        subscripts += "->" + "".join(output)
    return subscripts, arrays


@given(seeds, st.sampled_from([False, True, "greedy"]))
@settings(max_examples=300)
def test_einsum(seed, optimize):
    subscripts, arrays = draw_einsum(np.random.default_rng(seed))
    f = lambda *arrays: np.einsum(subscripts, *arrays, optimize=optimize)
    value, pullback = vjp(f, *arrays)
    np.testing.assert_allclose(value, np.einsum(subscripts, *arrays), rtol=1e-11, atol=1e-12)
    for c, x in zip(pullback(np.ones_like(value)), arrays):
        assert np.shape(c) == np.shape(x)
    check_vjp(f, *arrays)


def test_einsum_with_an_axis_summed_against_length_one():
    ones = np.ones((4, 1))
    f = lambda s: np.sum(np.einsum("ni,ni->n", ones, s - np.ones((1, 2))))
    assert grad(f)(2.0) == 8.0
    for n in (0, 1, 3):
        value, pullback = vjp(lambda a, b: np.einsum("ij,ij->", a, b), np.ones((n, 1)), ones[:1])
        assert [c.shape for c in pullback(np.ones_like(value))] == [(n, 1), (1, 1)]


def test_a_diagonal_is_read_and_not_multiplied():
    A = np.array([[1.0, np.inf], [np.nan, 3.0]])
    value, pullback = vjp(lambda a: np.einsum("ii->i", a), A)
    np.testing.assert_array_equal(value, [1.0, 3.0])
    np.testing.assert_array_equal(pullback(np.array([5.0, 7.0]))[0], np.diag([5.0, 7.0]))
    assert vjp(lambda a: np.einsum("ii", a), A)[0] == 4.0


STEPS = [  # of two arrays that broadcast, to one
    lambda x, y: x + y,
    lambda x, y: x - 2.0 * y,
    lambda x, y: x * y,
    lambda x, y: x / (2.0 + y * y),
    lambda x, y: (1.5 + np.tanh(x)) ** np.sin(y),
    lambda x, y: np.logaddexp(x, y),
    lambda x, y: np.hypot(x, 1.0 + y * y),
    lambda x, y: np.arctan2(x, 2.0 + np.cos(y)),
    lambda x, y: np.where(np.arange(x.shape[-1] if x.ndim else 1) % 2 == 0, x, y),
    lambda x, y: np.select([np.ones(x.shape, bool)], [x], 0.0) + y,
    lambda x, y: np.add.outer(np.sum(x), y),
    lambda x, y: np.sum(np.stack(np.broadcast_arrays(x, y)), axis=0),
    lambda x, y: np.mean(x, axis=-1, keepdims=True) * y if x.ndim else y,
    lambda x, y: np.sum(x, axis=0) + np.sum(y) if x.ndim else y,
    lambda x, y: np.sum(x, where=np.ones((2, *x.shape), bool)[0]) * y,
    lambda x, y: np.broadcast_to(x, (2, *x.shape))[1] - y,
    lambda x, y: np.vecdot(np.atleast_1d(x), np.atleast_1d(y)),
    lambda x, y: np.cross(
        np.atleast_1d(x)[..., :1] * np.arange(3.0), np.atleast_1d(y)[..., :1] + np.arange(3.0)
    ),
    lambda x, y: np.matmul(np.atleast_1d(x)[..., None, :], np.atleast_1d(y)[..., :, None])[..., 0],
    lambda x, y: np.einsum("...,...->...", x, y),
    lambda x, y: np.einsum("...i,...i->...", np.atleast_1d(x), np.atleast_1d(y)),
    lambda x, y: np.linalg.solve(
        3.0 * np.eye(2) + 0.1 * np.sin(x)[..., None, None], np.stack([y, y * y], axis=-1)[..., None]
    )[..., 0, 0],
    lambda x, y: np.linspace(x, y, 3)[1],
    lambda x, y: np.kron(x, y),
    lambda x, y: np.average(
        np.stack(np.broadcast_arrays(x, y)),
        axis=0,
        weights=2.0 + np.sin(np.stack([np.sum(x), np.sum(y)])),
    ),
    lambda x, y: np.interp(x, np.linspace(-50.0, 50.0, 8), np.arange(8.0) ** 2) + y,
    lambda x, y: np.full_like(x, np.sum(x)) * y,
    lambda x, y: np.clip(x, y * y - 9.0, None) + np.clip(x, None, y - 9.0),
]


def composed(rng, n):
    steps = [STEPS[i] for i in rng.integers(len(STEPS), size=n)]
    pairs = rng.integers(0, 3, (n, 2))

    def f(*arrays):
        arrays = list(arrays)
        for step, (i, j) in zip(steps, pairs):
            try:
                y = step(arrays[i], arrays[j])
            except ValueError as error:  # these two do not broadcast
                if "VJP" in str(error):
                    raise
                continue
            if np.size(y) <= 200:
                arrays.append(np.tanh(0.3 * y))
        return arrays[-1] + sum(np.sum(x) for x in arrays)

    return f


@given(seeds)
@settings(max_examples=300)
def test_programs_with_axes_of_length_one(seed):
    rng = np.random.default_rng(seed)
    whole = rng.integers(1, 4, rng.integers(0, 4))
    arrays = []
    for _ in range(3):
        shape = [n if rng.random() < 0.5 else 1 for n in whole][rng.integers(len(whole) + 1) :]
        arrays.append(uniform(rng, shape, -1.5, 1.5))
    f = composed(rng, 6)
    value, pullback = vjp(f, *arrays)
    for c, x in zip(pullback(np.ones_like(value)), arrays):
        assert np.shape(c) == np.shape(x)
    check_vjp(f, *arrays, rtol=1e-6)


def test_a_mask_may_have_fewer_axes():
    x, mask = np.arange(6.0).reshape(2, 3), np.array([True, False, True])
    for axis in (None, 0, 1, (0, 1)):
        for f in (np.sum, np.prod) if axis == 0 else (np.sum, np.prod, np.mean, np.var):
            check_vjp(lambda x, f=f, axis=axis: f(x, axis=axis, where=mask), x + 1.0)


@pytest.mark.parametrize(
    "given_shape, shape",
    [
        ((), (3,)),
        ((2,), (3,)),
        ((2, 3), (2,)),
        ((3,), (2, 3)),
        ((1,), (2, 3)),
        ((4, 2), (1, 3)),
        ((0, 3), (2, 3)),
    ],
)
def test_a_rule_that_is_wrong_is_an_error(given_shape, shape):
    """A cotangent of another shape is never made to fit."""
    with pytest.raises(ValueError, match=r"a cotangent of shape .* for a primal of shape"):
        fit(np.ones(given_shape), shape)
    tape, rule = Tape(n_inputs=1), per_operand(lambda g, y, x: np.ones(given_shape))
    tape.record(rule, (0,), (0,), np.ones(3), (np.ones(shape),))
    with pytest.raises(ValueError, match="the VJP of the rule returned a cotangent of shape"):
        sweep(tape.close(), [(1, np.ones(3))], 1)


def test_the_error_names_the_rule():
    tape = Tape(n_inputs=1)
    tape.record(RULES[np.negative], (0,), (0,), np.ones(3), (np.ones(2),))
    with pytest.raises(ValueError, match=r"np.negative: the VJP of the rule returned .* \(3,\)"):
        sweep(tape.close(), [(1, np.ones(3))], 1)


@pytest.mark.parametrize(
    "given_shape, shape, times",
    [
        ((3,), (), 1),
        ((4, 3), (3,), 1),
        ((4, 3), (4, 1), 1),
        ((2, 4, 3), (1, 3), 1),
        ((0, 3), (1, 3), 1),
        ((0,), (0,), 1),
        ((1,), (3,), 3),
        ((4, 1), (1, 2), 2),
        ((3, 1), (3, 2), 2),
        ((5, 4, 1), (1, 2), 2),
        ((1,), (0,), 0),
    ],
)
def test_a_cotangent_is_summed_and_broadcast(given_shape, shape, times):
    found = fit(np.ones(given_shape), shape)
    assert found.shape == shape
    assert np.sum(found) == times * np.prod(given_shape)
