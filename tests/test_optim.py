"""Optimisers against their papers, written out for one number."""

import numpy as np
import pytest

from tinyode import optim, tree, value_and_grad


@pytest.mark.parametrize(
    "optimiser",
    [optim.gradient_descent(0.05), optim.gradient_descent(0.02, momentum=0.9), optim.adam(0.1)],
)
def test_a_bowl_is_descended(optimiser):
    init, update = optimiser
    p = {"a": np.array([1.0, -2.0]), "b": [3.0]}
    state = init(p)
    for _ in range(400):
        _, g = value_and_grad(
            lambda p: np.sum(p["a"] ** 2 * np.array([1.0, 5.0])) + (p["b"][0] - 1) ** 2
        )(p)
        p, state = update(p, g, state)
    np.testing.assert_allclose(tree.ravel(p)[0], [0, 0, 1], atol=1e-3)


def test_momentum_by_hand():
    init, update = optim.gradient_descent(0.1, momentum=0.5)
    p, s = update(1.0, 2.0, init(1.0))
    assert (p, s) == (1 - 0.1 * 2, {"n": 1, "v": 2.0})
    p, s = update(p, 3.0, s)
    assert s == {"n": 2, "v": 0.5 * 2 + 3} and p == 0.8 - 0.1 * 4.0


def test_adam_by_hand():
    """Kingma and Ba, algorithm 1, literally."""
    init, update = optim.adam(0.1, 0.9, 0.99, 1e-8)
    p, s, theta, m, v = 1.0, init(1.0), 1.0, 0.0, 0.0
    for n, g in enumerate([0.5, -2.0, 1e-3, 4.0], 1):
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        theta -= 0.1 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.99**n)) + 1e-8)
        p, s = update(p, g, s)
        np.testing.assert_allclose(p, theta, rtol=1e-13)


def test_nothing_is_changed_in_place_and_dtype_is_kept():
    for init, update in (optim.adam(0.1), optim.gradient_descent(0.1, 0.9)):
        p, g = np.ones(2, np.float32), np.ones(2, np.float32)
        state = init(p)
        new, _ = update(p, g, state)
        assert p.tolist() == g.tolist() == [1, 1] and new.dtype == np.float32


def test_whole_numbers_become_floats():
    for init, update in (optim.adam(0.1), optim.gradient_descent(np.float64(0.1), 0.5)):
        assert 0.85 < update(1, 1.0, init(1))[0] < 0.95
        single = np.ones(2, np.float32)
        assert update(single, single, init(single))[0].dtype == np.float32


def test_settings_are_refused_by_name():
    for make, message in (
        (lambda: optim.adam(0.0), "adam: learning_rate=0.0"),
        (lambda: optim.adam(0.1, beta2=1.0), "adam: beta2=1.0"),
        (lambda: optim.adam(0.1, epsilon=0), "adam: epsilon=0"),
        (lambda: optim.gradient_descent(-1), "gradient_descent: learning_rate=-1"),
        (lambda: optim.gradient_descent(1, momentum=-0.1), "gradient_descent: momentum=-0.1"),
        (
            lambda: optim.adam(lambda n: 0.5 - n)[1](1.0, 1.0, {"n": 2, "m": 0.0, "v": 0.0}),
            r"adam: learning_rate is -1\.5 after 2 steps",
        ),
        (lambda: optim.clip([1.0], 0.0), r"clip: largest=0\.0 must be a positive number"),
        (
            lambda: optim.clip({"W": np.array([30.0, 40.0]), "b": np.array([np.nan])}, 1.0),
            r"clip: .*leaf of shape \(1,\)",
        ),
        (
            lambda: optim.clip([np.array([-np.inf, 0.0]), 1.0], 1.0),
            r"leaf of shape \(2,\) .* element inf",
        ),
        (lambda: optim.clip([3.0, 4.0j], 1.0), "dtype complex128"),
        (lambda: optim.adam(np.nan), "adam: learning_rate=nan"),
        (lambda: optim.adam("0.1"), "adam: learning_rate='0.1'"),
        (
            lambda: optim.adam(lambda n: np.inf)[1](1.0, 1.0, {"n": 2, "m": 0.0, "v": 0.0}),
            "learning_rate is inf after 2",
        ),
        (lambda: optim.adam(0.1, beta1=np.nan), "adam: beta1=nan"),
        (lambda: optim.exponential(0.1, -10), "exponential: half_life=-10"),
        (lambda: optim.cosine(0.1, 0), "cosine: steps=0"),
        (lambda: optim.cosine(0.1, 10, -1.0), r"cosine: last=-1\.0"),
        (lambda: optim.piecewise(0.1, -2, 3), "factor=-2"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize("optimiser", [optim.gradient_descent, optim.adam])
def test_a_schedule_is_a_sequence_of_learning_rates(optimiser):
    rates = [0.1, 0.05, 0.0, 0.2]
    p, q, (init, update) = 1.0, 1.0, optimiser(lambda n: rates[n])
    s = r = init(1.0)
    for n, rate in enumerate(rates):
        p, s = update(p, 0.3 + n, s)
        q, r = (
            optimiser(rate)[1](q, 0.3 + n, r) if rate else (q, optimiser(1.0)[1](q, 0.3 + n, r)[1])
        )
        assert p == q and s == r


def test_schedules():
    assert [optim.exponential(0.4, 10)(n) for n in (0, 10, 30)] == [0.4, 0.2, 0.05]
    np.testing.assert_allclose(
        [optim.cosine(0.4, 10, 0.1)(n) for n in (0, 5, 10, 99)], [0.4, 0.25, 0.1, 0.1]
    )
    assert optim.cosine(0.4, 10)(10) == 0.0
    np.testing.assert_allclose(
        [optim.piecewise(0.4, 0.1, 5, 8)(n) for n in (0, 4, 5, 7, 8)], [0.4, 0.4, 0.04, 0.04, 0.004]
    )


def test_clip():
    gradient = {"a": np.array([3.0, 0.0], np.float32), "b": (4.0,)}
    assert optim.clip(gradient, 5.0) is gradient
    clipped = optim.clip(gradient, 1.0)
    np.testing.assert_allclose(tree.ravel(clipped)[0], [0.6, 0, 0.8], rtol=1e-7)
    assert clipped["a"].dtype == np.float32
    assert optim.clip(gradient, np.float64(1.0))["a"].dtype == np.float32
    np.testing.assert_allclose(optim.clip(np.array([1e200, 1e200]), 1.0), np.sqrt(0.5))
    assert optim.clip([np.zeros(2), np.zeros(0)], 1.0)[0].tolist() == [0, 0]
    np.testing.assert_allclose(
        optim.clip(np.array([1.7e308, -1.7e308]), 1.0), [np.sqrt(0.5), -np.sqrt(0.5)]
    )
    np.testing.assert_allclose(optim.clip(np.array([-1e300]), 1e-300), [-1e-300])
    np.testing.assert_allclose(
        optim.clip(np.array([-3.0, 0.5]), 1.0), np.array([-3.0, 0.5]) / np.hypot(3, 0.5)
    )


@pytest.mark.parametrize("optimiser", [optim.adam(0.1), optim.gradient_descent(0.1, 0.5)])
def test_what_does_not_belong_together_is_refused(optimiser):
    init, update = optimiser
    for p, g in ((np.ones((3, 1)), np.ones(3)), (1.0, np.ones(3)), (np.ones(3), np.ones((2, 1)))):
        with pytest.raises(ValueError, match=r"a parameter of shape .* has a gradient of shape"):
            update(p, g, init(p))
    with pytest.raises(ValueError, match=r"has a [mv] of shape"):
        update(np.ones(3), np.ones(3), init(np.ones((3, 1))))
    with pytest.raises(ValueError, match="structure"):
        update([np.ones(3)], np.ones(3), init([np.ones(3)]))
    other = optim.gradient_descent(0.1) if "m" in init(1.0) else optim.adam(0.1)
    with pytest.raises(ValueError, match=r"the state has .* begin with"):
        update(1.0, 1.0, other[0](1.0))
    single = np.ones(2, np.float32)
    assert update(single, np.ones(2), init(single))[0].dtype == np.float32
