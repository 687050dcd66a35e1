"""A field may fill an array of its own at each call: every way to differentiate gives the same."""

import numpy as np
import pytest

from tinyode import compiled, custom_vjp, grad, odeint, odeint_batch, odeint_event, with_integral
from tinyode.sensitivity.odeint import GRADIENTS


def fresh(t, y, k):
    return np.array([np.cos(t), -1.0]) * k * y[::-1]


def with_buffer():
    buffer = np.zeros(2)

    def f(t, y, k):
        buffer[:] = np.cos(t), -1.0
        return buffer * k * y[::-1]

    return f


def with_index():
    """The buffer is an index, a mask and a constant result."""
    index, mask, matrix = np.zeros(2, int), np.zeros(2, bool), np.zeros((2, 2))

    def f(t, y, k):
        index[:] = (1, 0)
        mask[:] = (t < 0.4, True)
        matrix[:] = [[np.cos(t), 0], [0, -1]]
        turned = np.where(mask, matrix @ y[index], matrix @ y[(index,)])
        index[:], mask[:] = (0, 0), False
        index[:], mask[:] = (1, 0), (t < 0.4, True)
        return k * turned

    return f


def in_container():
    buffer = np.zeros(1)

    def f(t, state, k):
        buffer[:] = np.cos(t)
        return {"a": buffer * k * state["b"], "b": -k * state["a"]}

    return f


FIELDS = {"buffer": with_buffer, "index": with_index}
METHODS = [
    {"method": "dopri5"},
    {"method": "rk4", "step_size": 0.05},
    {"method": "kvaerno5"},
    {"method": "radau_iia5", "step_size": 0.1},
    {"method": "dop853"},
]
Y0, T = np.array([1.0, 0.5]), np.array([0.0, 0.33, 1.0])


def loss(f, k, y0, t, **options):
    return np.sum(odeint(f, y0, t, k, rtol=1e-8, atol=1e-10, **options)[1:] ** 2)


@pytest.mark.parametrize("options", METHODS)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", FIELDS)
def test_gradients(name, gradient, options):
    """In the times, too, but by "discrete", which gives f a traced t that no buffer can take."""
    wanted = (0, 1) if gradient == "discrete" else (0, 1, 2)
    options = {**options, "gradient": gradient}
    gradients = [
        grad(lambda k, y0, t, f=f: loss(f, k, y0, t, **options), wanted)(1.3, Y0, T)
        for f in (FIELDS[name](), fresh)
    ]
    for found, right in zip(*gradients):
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("checkpoints", [None, 3])
@pytest.mark.parametrize("gradient", ["discrete", "adjoint", "interpolated"])
@pytest.mark.parametrize("name", FIELDS)
def test_second_derivatives(name, gradient, checkpoints):
    options = {"method": "bosh3", "gradient": gradient}
    if gradient == "discrete":
        options["checkpoints"] = checkpoints
    second = lambda f: grad(grad(lambda k: loss(f, k, Y0, T, **options)))(1.3)
    assert abs(second(FIELDS[name]()) - second(fresh)) < 1e-9


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_containers_integrals_and_events(gradient):
    f, y0 = in_container(), {"a": np.array([1.0]), "b": np.array([0.5])}
    found = grad(lambda k: odeint(f, y0, T, k, gradient=gradient)["b"][-1, 0])(1.3)
    right = grad(lambda k: odeint(fresh, Y0, T, k, gradient=gradient)[-1, 1])(1.3)
    assert abs(found - right) < 1e-6
    both = [
        grad(
            lambda k, f=f: odeint(
                with_integral(f, lambda t, y, k: y[0] * k), (Y0, 0.0), T, k, gradient=gradient
            )[1][-1]
        )(1.3)
        for f in (with_buffer(), fresh)
    ]
    assert abs(both[0] - both[1]) < 1e-12
    both = [
        grad(
            lambda k, f=f: odeint_event(
                f, Y0, 0.0, k, event=lambda t, y, k: y[1], t_end=2.0, gradient=gradient
            )[0]
        )(1.3)
        for f in (with_buffer(), fresh)
    ]
    assert abs(both[0] - both[1]) < 1e-12


@pytest.mark.parametrize("order", [1, 2])
def test_batches(order):
    buffer = np.zeros((2, 1))

    def f(t, y, k):
        buffer[: len(t)] = np.cos(t)
        return k * np.concatenate([buffer[: len(t)] * y[:, 1:], -y[:, :1]], axis=1)

    right = lambda t, y, k: k * np.concatenate([np.cos(t) * y[:, 1:], -y[:, :1]], axis=1)
    times = np.array([[0, 1.0], [0, 2.0]])
    of = lambda f: lambda k: np.sum(odeint_batch(f, np.array([Y0, 2 * Y0]), times, k)[-1] ** 2)
    derivative = grad if order == 1 else lambda f: grad(grad(f))
    found, expected = derivative(of(f))(1.3), derivative(of(right))(1.3)
    assert abs(found - expected) < 1e-9 * abs(expected)


def test_a_constant_result_that_is_a_buffer():
    """f does not depend on y or k, but the gradient in the times does on its values."""
    buffer = np.zeros(1)

    def f(t, y):
        buffer[:] = np.cos(t)
        return buffer

    for gradient in ("adjoint", "interpolated", "forward"):
        found = grad(lambda t, way=gradient: odeint(f, np.zeros(1), t, gradient=way)[-1, 0])(T)
        np.testing.assert_allclose(found, [-1.0, 0.0, np.cos(1.0)], atol=1e-5)


def test_a_compiled_field_refuses_it():
    for f in (with_buffer(), with_index()):
        with pytest.raises(TypeError):
            grad(lambda k, f=f: loss(compiled(f), k, Y0, T, gradient="discrete"))(1.3)


def in_steps():
    """The buffer takes what a traced t allows, too: what it is compared with."""
    buffer = np.zeros(2)

    def f(t, y, k):
        buffer[:] = np.where(t > 0.4, 1.3, 0.7), -1.0
        return buffer * k * y[::-1]

    return f


def fresh_in_steps(t, y, k):
    return np.array([np.where(t > 0.4, 1.3, 0.7), -1.0]) * k * y[::-1]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_second_derivatives_of_times(gradient):
    """f is called at each of the times, and then pulled back: of odeint and odeint_event."""

    def of_times(f, x):
        t = np.stack([0.1 * x, x, 2 * x])
        return np.sum(odeint(f, Y0, t, x, gradient=gradient) ** 2)

    def of_event(f, x):
        t, y = odeint_event(
            f, Y0, 0.0, x, event=lambda t, y, k: y[0] - 0.2 * k, t_end=10.0, gradient=gradient
        )
        return t + y[1]

    for loss_of in (of_times, of_event):
        found, right = [
            grad(grad(lambda x, f=f, of=loss_of: of(f, x)))(0.7)
            for f in (in_steps(), fresh_in_steps)
        ]
        assert abs(found - right) < 1e-9 * abs(right)


def hand_written():
    product = custom_vjp(lambda c, y: c * y)
    product.defvjp(lambda c, y: (c * y, c), lambda c, g: (None, c * g))
    return product


@pytest.mark.parametrize("product", [hand_written(), compiled(lambda c, y: c * y)])
def test_functions_with_a_pullback_of_their_own(product):
    """The buffer is an argument of one, which keeps it for its pullback; times one array or two."""
    buffer = np.zeros(2)

    def f(t, y, k):
        buffer[:] = np.cos(t), -1.0
        return product(buffer, k * y[::-1])

    def in_rows(t, y, k):
        buffer[:] = np.cos(t[0, 0]), -1.0
        return product(buffer, k * y[:, ::-1])

    for options in METHODS:
        for gradient in GRADIENTS:
            found, right = [
                grad(lambda k, f=f, o={**options, "gradient": gradient}: loss(f, k, Y0, T, **o))(
                    1.3
                )
                for f in (f, fresh)
            ]
            assert abs(found - right) < 1e-9
    found = grad(lambda k: np.sum(odeint_batch(in_rows, Y0[None], T, k)[-1] ** 2))(1.3)
    right = grad(lambda k: np.sum(odeint(fresh, Y0, T, k, gradient="discrete")[-1] ** 2))(1.3)
    assert abs(found - right) < 1e-9


def test_a_compiled_function_of_several_values():
    both = compiled(lambda c, y: (c * y, c + y * y))
    buffer = np.zeros(2)

    def f(t, y, k):
        buffer[:] = np.cos(t), -1.0
        a, b = both(buffer, k * y[::-1])
        return a + 0.1 * b

    def right(t, y, k):
        c, y = np.array([np.cos(t), -1.0]), k * y[::-1]
        return c * y + 0.1 * (c + y * y)

    of = [grad(lambda k, f=f: loss(f, k, Y0, T, gradient="discrete"))(1.3) for f in (f, right)]
    assert abs(of[0] - of[1]) < 1e-9
