"""odeint_batch: its gradients are those of a loop over samples with their own steps and times."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from tinyode import grad, hessian, odeint, odeint_batch, solve_batch
from tinyode.solvers import SolverError
from tinyode.solvers.tableaus import TABLEAUS

EXPLICIT = [name for name, tableau in TABLEAUS.items() if not tableau.implicit]


def pendulums(t, y, k, c):
    return np.stack([y[:, 1], -k[:, 0] * np.sin(y[:, 0]) + c * np.cos(3 * t[:, 0])], axis=1)


def pendulum(t, y, k, c):
    return np.stack([y[1], -k[0] * np.sin(y[0]) + c * np.cos(3 * t)])


@settings(max_examples=40)
@given(
    seeds, st.sampled_from(EXPLICIT), st.integers(1, 5), st.booleans(), st.sampled_from([(0,), ()])
)
def test_the_gradients_of_a_loop_over_samples(seed, method, B, own_times, batched):
    """They agree to rounding: of states, of a parameter for each sample and of one for all."""
    rng = np.random.default_rng(seed)
    y0, k, w = rng.uniform(-2, 2, (B, 2)), rng.uniform(0.5, 9, (B, 1)), rng.normal(size=(4, B, 2))
    t = np.cumsum(rng.uniform(0.1, 0.9, (B, 4)), axis=1) * rng.choice([1, -1], (B, 1))
    t = t if own_times else t[0]
    options = {"rtol": 1e-4, "atol": 1e-6}
    if rng.random() < 0.3 or TABLEAUS[method].e is None:
        options = {"step_size": 0.17}
    together = lambda y0, k, c: np.sum(
        w * odeint_batch(pendulums, y0, t, k, c, method=method, batched=batched, **options)
    )

    def loop(y0, k, c):
        one = lambda i: odeint(
            pendulum,
            y0[i],
            t[i] if own_times else t,
            k[i],
            c,
            method=method,
            gradient="discrete",
            **options,
        )
        return sum(np.sum(w[:, i] * one(i)) for i in range(B))

    np.testing.assert_allclose(together(y0, k, 0.3), loop(y0, k, 0.3), rtol=1e-9)
    for a, b in zip(grad(together, (0, 1, 2))(y0, k, 0.3), grad(loop, (0, 1, 2))(y0, k, 0.3)):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


def test_second_derivatives():
    t, rng = np.array([[0.0, 0.4, 1.0], [0.0, -0.5, -1.3]]), np.random.default_rng(0)
    together = lambda p: np.sum(
        odeint_batch(
            pendulums, np.reshape(p[:4], (2, 2)), t, np.reshape(p[4:6], (2, 1)), p[6], batched=(0,)
        )[1:]
        ** 2
    )
    loop = lambda p: sum(
        np.sum(
            odeint(
                pendulum, p[2 * i : 2 * i + 2], t[i], p[4 + i : 5 + i], p[6], gradient="discrete"
            )[1:]
            ** 2
        )
        for i in range(2)
    )
    p = rng.normal(size=7)
    H = hessian(together)(p)
    np.testing.assert_allclose(H, hessian(loop)(p), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(H, H.T, atol=1e-12)


def test_containers_and_values():
    f = lambda t, y, k: {"a": -k * y["a"], "b": y["b"] * np.cos(t)}
    y0 = {"a": np.ones((3, 1)), "b": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])}
    t = [0.0, 0.5, 1.0]
    y = odeint_batch(f, y0, t, 0.5)
    assert y["a"].shape == (3, 3, 1) and y["b"].shape == (3, 3, 2)
    for part in ("a", "b"):
        np.testing.assert_array_equal(y[part], solve_batch(f, y0, t, 0.5).y[part])
    g = grad(lambda y0: np.sum(odeint_batch(f, y0, t, 0.5)["b"][-1]))(y0)
    np.testing.assert_allclose(g["b"], np.exp(np.sin(1.0)), rtol=1e-5)
    np.testing.assert_array_equal(g["a"], 0)


def test_refusals():
    with pytest.raises(TypeError, match="t is a traced value"):
        grad(lambda t: odeint_batch(lambda t, y: -y, np.ones(2), t)[-1, 0])(np.array([0.0, 1.0]))
    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(lambda k: odeint_batch(lambda t, y: -k * y, np.ones(2), [0.0, 1.0])[-1, 0])(1.0)
    with pytest.raises(ValueError, match="is implicit, and solve_batch is for explicit methods"):
        odeint_batch(lambda t, y: -y, np.ones(2), [0.0, 1.0], method="kvaerno3")
    with pytest.raises(TypeError, match="f must be a function; got None"):
        odeint_batch(None, np.ones(2), [0.0, 1.0])
    with (
        pytest.raises(
            ValueError, match="gradient of the loss with respect to the solution is not finite"
        ),
        np.errstate(divide="ignore"),
    ):
        grad(lambda y0: np.sum(np.sqrt(odeint_batch(lambda t, y: -y, y0, [0.0, 1.0]))))(np.zeros(2))
    with pytest.raises(SolverError, match="sample 1: the step is below rounding"):
        grad(lambda y0: np.sum(odeint_batch(lambda t, y: y * y, y0, [0.0, 2.0])))(
            np.array([0.1, 1.0])
        )


def test_f_with_arrays_of_all_samples_and_a_step_of_few():
    """A sample is rejected on the way, so a step has fewer rows.

    But the solve never asked f for fewer than all.
    """
    k = np.array([[1.0], [1.0]])
    run = lambda y0, f, *args: np.sum(
        odeint_batch(f, y0, [0.0, 2.0], *args, rtol=1e-3, atol=1e-3)[-1]
    )
    y0 = np.array([[1.0], [-1.0]])
    one = lambda y: np.sum(
        odeint(
            lambda t, y: np.sin(8 * t) - y, y, [0.0, 2.0], rtol=1e-3, atol=1e-3, gradient="discrete"
        )[-1]
    )
    expected = [grad(one)(y) for y in y0]
    np.testing.assert_allclose(
        grad(lambda y0: run(y0, lambda t, y: np.sin(8 * k * t) - k * y))(y0), expected, rtol=1e-10
    )
    np.testing.assert_allclose(
        grad(lambda y0: run(y0, lambda t, y, k: np.sin(8 * k * t) - k * y, k))(y0),
        expected,
        rtol=1e-10,
    )


def test_f_of_booleans():
    f = lambda t, y: y > 0
    np.testing.assert_allclose(odeint_batch(f, np.ones(2), [0.0, 1.0])[-1], 2.0)
    np.testing.assert_allclose(
        grad(lambda y0: np.sum(odeint_batch(f, y0, [0.0, 1.0])))(np.ones(2)), 2.0
    )


def test_f_is_not_asked_beyond_the_end():
    met = []
    for start, end in [
        (-2.0, -0.9),
        (-2.0, 0.1),
        (-1.9, 1.3),
    ]:  # where start + (end - start) is beyond end
        f = lambda t, y, k, end=end: met.append(np.max(t) - end) or -k * y
        grad(
            lambda k, f=f, t=[start, end]: odeint_batch(
                f, np.ones((1, 1)), t, k, method="rk4", step_size=9.0
            )[-1, 0, 0]
        )(0.5)
    assert max(met) <= 0
