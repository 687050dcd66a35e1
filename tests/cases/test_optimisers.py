"""Optimisers: real numbers, matching containers, plain settings, and half precision."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import compiled, grad, optim, stop_gradient, tree

OPTIMISERS = {"adam": optim.adam(0.1), "gradient_descent": optim.gradient_descent(0.1, 0.9)}
UNREAL = [
    1j,
    np.array([1.0, 2.0 + 1j]),
    np.complex64(2.0),
    np.zeros(2, complex),
    None,
    "f4",
    np.array(["a", "b"]),
    np.array([None, 1.0]),
    object(),
    np.array(["2026-01-01"], "datetime64[D]"),
    {1.0, 2.0},
]
IDS = [f"{x!r:.20}" for x in UNREAL]


def of_real(x):
    """Return real numbers of the shape of a leaf."""
    return np.ones(np.shape(x)) if np.shape(x) else 1.0


@pytest.mark.parametrize("x", UNREAL, ids=IDS)
@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: [np.ones(2), {"a": x}]], ids=["alone", "among others"]
)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_what_is_not_real_is_refused_by_name(name, wrap, x):
    init, update = OPTIMISERS[name]
    real = wrap(of_real(x))
    with pytest.raises(
        ValueError, match=f"{name}: parameters: a leaf of dtype .* not made of real numbers"
    ):
        init(wrap(x))
    with pytest.raises(ValueError, match=f"{name}: parameters: a leaf of dtype"):
        update(wrap(x), real, init(real))
    with pytest.raises(ValueError, match=f"{name}: gradient: a leaf of dtype"):
        update(real, wrap(x), init(real))
    for key in set(init(real)) - {"n"}:
        with pytest.raises(ValueError, match=f"{name}: {key}: a leaf of dtype"):
            update(real, real, {**init(real), key: wrap(x)})
    with pytest.raises(ValueError, match="clip: gradient: a leaf of dtype"):
        optim.clip(wrap(x), 1.0)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_what_is_not_finite_goes_its_way(name):
    init, update = OPTIMISERS[name]
    p, state = update(np.ones(2), np.array([np.nan, 1.0]), init(np.ones(2)))
    assert np.isnan(p[0]) and np.isfinite(p[1]) and state["n"] == 1


OTHERS = [(np.ones(2),), {"a": np.ones(2)}, [np.ones(2), 1.0], [], [[np.ones(2)]], np.ones(2)]


@pytest.mark.parametrize("other", OTHERS, ids=[f"{x!r:.30}" for x in OTHERS])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_another_structure_is_refused_by_the_name_of_what_has_it(name, other):
    init, update = OPTIMISERS[name]
    p = [np.ones(2)]
    for a, b in ((p, other), (other, p)):
        with pytest.raises(
            ValueError, match=f"^{name}: the gradient has the structure .*, the parameters have"
        ):
            update(a, b, init(a))
        key = "v"
        with pytest.raises(
            ValueError, match=f"^{name}: the {key} has the structure .*, the parameters have"
        ):
            update(a, a, {**init(a), key: b})


SETTINGS = {
    "adam: learning_rate": optim.adam,
    "gradient_descent: learning_rate": optim.gradient_descent,
    "gradient_descent: momentum": lambda x: optim.gradient_descent(0.1, x),
    "adam: beta1": lambda x: optim.adam(0.1, beta1=x),
    "adam: beta2": lambda x: optim.adam(0.1, beta2=x),
    "adam: epsilon": lambda x: optim.adam(0.1, epsilon=x),
    "exponential: rate": lambda x: optim.exponential(x, 3),
    "exponential: half_life": lambda x: optim.exponential(0.1, x),
    "cosine: rate": lambda x: optim.cosine(x, 3),
    "cosine: steps": lambda x: optim.cosine(0.1, x),
    "cosine: last": lambda x: optim.cosine(0.1, 3, x),
    "piecewise: rate": lambda x: optim.piecewise(x, 0.5, 3),
    "piecewise: factor": lambda x: optim.piecewise(0.1, x, 3),
    "clip: largest": lambda x: optim.clip(np.ones(2), x),
    "clip: the gradient": lambda x: optim.clip([np.ones(2) * x], 0.1),
    "adam: learning_rate after 0 steps": lambda x: optim.adam(lambda n: x)[1](
        1.0, 1.0, optim.adam(0.1)[0](1.0)
    ),
}


@pytest.mark.parametrize("what", SETTINGS)
@pytest.mark.parametrize(
    "through",
    [grad, lambda f: grad(grad(f)), lambda f: grad(compiled(f)), compiled],
    ids=["grad", "second", "grad of compiled", "compiled"],
)
def test_a_traced_setting_is_called_traced(what, through):
    def f(x):
        SETTINGS[what](x)
        return x * x

    with pytest.raises(
        TypeError, match=rf"{what} is a traced value.*stop_gradient\(value\).*tree\.map"
    ):
        through(f)(0.5)
    assert grad(lambda x: (SETTINGS[what](stop_gradient(x)), x * x)[1])(0.5) == 1.0


@pytest.mark.parametrize("what", [what for what in SETTINGS if what != "clip: the gradient"])
@pytest.mark.parametrize("value", [1j, "0.1", None, np.array([0.1, 0.2]), [0.1]], ids=repr)
def test_a_setting_that_is_no_number_is_refused_by_name(what, value):
    with pytest.raises(ValueError, match=f"{what}={re.escape(repr(value))} must be"):
        SETTINGS[what](value)


def test_what_the_message_says_to_write_is_right():
    parameters, gradient = {"a": np.ones(2)}, {"a": np.array([1.0, 2.0])}
    after = lambda rate: tree.map(lambda p, g: p - rate * g, parameters, gradient)["a"]
    assert grad(lambda rate: np.sum(after(rate) ** 2))(0.1) == pytest.approx(2 * (-0.9 - 0.8 * 2))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_step_can_be_differentiated_in_the_parameters_and_be_compiled(name):
    init, update = OPTIMISERS[name]
    state = init(np.ones(2))
    step = lambda p, g: update(p, g, state)[0]
    p, g = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    np.testing.assert_array_equal(compiled(step)(p, g), step(p, g))
    assert grad(lambda p: np.sum(step(p, g)))(p).tolist() == [1, 1]


@given(
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from(list(OPTIMISERS)),
    st.lists(st.floats(-5e3, 5e3, width=16), min_size=5, max_size=5),
)
def test_every_precision_goes_the_way_of_double(dtype, name, gradients):
    """To the rounding of the parameter: no square overflows, and no epsilon vanishes."""
    init, update = {
        "adam": optim.adam(1e-2),
        "gradient_descent": optim.gradient_descent(1e-6, 0.5),
    }[name]
    p, q = np.array([1.0, -1.0], dtype), np.array([1.0, -1.0])
    s, r = init(p), init(q)
    for g in gradients:
        g = np.array([0.0, g])
        p, s = update(p, g.astype(dtype), s)
        q, r = update(q, g, r)
        assert p.dtype == dtype and p.shape == (2,)
    assert np.abs(p - q).max() <= 10 * np.finfo(dtype).eps and p[0] == 1.0
    assert s["v"].dtype == (np.float64 if dtype is np.float64 else np.float32)
