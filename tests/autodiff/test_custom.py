"""custom_vjp: containers, second order, and what it refuses."""

import numpy as np
import pytest

from tinyode import custom_vjp, grad, hessian, jacobian, vjp


def make(forward=None, backward=None):
    @custom_vjp
    def cube(x, p):
        """Scale a cube."""
        return {"y": p["scale"] * x**3}

    cube.defvjp(
        forward or (lambda x, p: (cube(x, p), (x, p))),
        backward
        or (
            lambda r, g: (
                3 * r[1]["scale"] * r[0] ** 2 * g["y"],
                {"scale": np.sum(r[0] ** 3 * g["y"])},
            )
        ),
    )
    return cube


def test_containers_second_order_and_name():
    cube = make()
    assert cube.__name__ == "cube" and cube.__doc__ == "Scale a cube."
    x, p = np.array([1.0, 2.0]), {"scale": 2.0}
    np.testing.assert_array_equal(cube(x, p)["y"], 2 * x**3)
    gx, gp = grad(lambda x, p: np.sum(cube(x, p)["y"]), (0, 1))(x, p)
    np.testing.assert_array_equal(gx, 6 * x**2)
    assert gp == {"scale": 9.0}
    np.testing.assert_allclose(hessian(lambda x: np.sum(cube(x, p)["y"]))(x), np.diag(12 * x))


def test_a_whole_number_beside_the_value_stays_one():
    with_count = custom_vjp(lambda x: (x**2, 3))
    with_count.defvjp(lambda x: ((x**2, 3), x), lambda x, g: (2 * x * g[0],))

    def f(x):
        value, count = with_count(x)
        return value * [0.0, 0.0, 0.0, 5.0][count]

    assert f(2.0) == 20.0 and grad(f)(2.0) == 20.0


def test_the_given_derivative_is_the_one_used():
    wrong = make(backward=lambda residuals, g: (g["y"] * 0.0 + 42.0, None))
    gx, gp = grad(lambda x, p: np.sum(wrong(x, p)["y"]), (0, 1))(np.ones(2), {"scale": 1.0})
    assert gx.tolist() == [42.0, 42.0] and gp == {"scale": 0.0}
    assert grad(lambda x: np.sum(make()(np.array([x[0], 2 * x[1]]), {"scale": 1.0})["y"]))(
        np.ones(2)
    ).tolist() == [3.0, 24.0]


def test_arrays_of_traced_scalars_at_its_boundary():
    h = custom_vjp(lambda x: np.array([x[1] ** 2, -x[0]]))
    h.defvjp(
        lambda x: (np.array([x[1] ** 2, -x[0]]), x),
        lambda x, g: (np.array([-g[1], 2 * g[0] * x[1]]),),
    )
    np.testing.assert_allclose(jacobian(jacobian(h))(np.ones(2))[0], [[0, 0], [0, 2]])


def test_what_the_backward_function_returns_is_copied():
    K = np.array([1.0, 2.0])
    dot = custom_vjp(lambda x: x @ K)
    buffer = np.zeros(2)

    def backward(residuals, g):
        buffer[:] = g * K
        return (buffer,)

    dot.defvjp(lambda x: (x @ K, None), backward)
    assert grad(lambda x: dot(x) + 2 * dot(x))(K).tolist() == [3, 6]
    dot.defvjp(lambda x: (x @ K, None), lambda residuals, g: (K,))
    g = grad(dot)(K)
    g -= 100
    assert K.tolist() == [1, 2]


def test_arguments_by_keyword():
    power = custom_vjp(lambda x, n=2: x**n)
    power.defvjp(lambda x, n: (x**n, (x, n)), lambda r, g: (g * r[1] * r[0] ** (r[1] - 1), None))
    assert (
        grad(lambda x: power(x, n=3))(2.0) == grad(lambda x: power(n=3, x=x))(2.0) == 12.0
        and grad(power)(3.0) == 6.0
    )
    only = custom_vjp(lambda x, *, n=2: x**n)
    only.defvjp(lambda x: (x**2, x), lambda x, g: (2 * g * x,))
    assert only(3.0, n=3) == 27.0
    with pytest.raises(
        TypeError, match="custom_vjp: <lambda> has arguments by keyword only, n, which its forward"
    ):
        grad(only)(3.0)


def test_the_backward_function_may_write_into_its_cotangent():
    h = custom_vjp(lambda x: x * 1.0)

    def backward(x, g):
        g *= 2
        return (g,)

    h.defvjp(lambda x: (x * 1.0, x), backward)
    w = np.ones(2)
    pullback = vjp(lambda x: h(x) + x, np.ones(2))[1]
    assert pullback(w)[0].tolist() == pullback(w)[0].tolist() == [3, 3] and w.tolist() == [1, 1]
    assert grad(lambda x: np.sum(h(x) + x))(np.ones(2)).tolist() == [3, 3]


def test_closing_over_a_value_of_an_inner_derivative_is_refused():
    def f(x):
        def g(y):
            h = custom_vjp(lambda z: z * y)
            h.defvjp(lambda z: (z * y, y), lambda r, c: (c * r,))
            return h(x)

        return grad(g)(2.0)

    assert f(3.0) == 3.0
    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(f)(3.0)


@pytest.mark.parametrize(
    "backward, message",
    [
        (
            lambda r, g: (g["y"] * 1j, None),
            "returned for argument 0 is made of real numbers; got array",
        ),
        (lambda r, g: ("a", None), "returned for argument 0 is made of real numbers; got 'a'"),
        (
            lambda r, g: g["y"][:1],
            "must return a tuple of 2 cotangents, one per argument, got ndarray",
        ),
        (lambda r, g: (g["y"],), "must return a tuple of 2 cotangents, one per argument, got 1"),
        (
            lambda r, g: (g["y"][:1], None),
            r"for argument 0, a cotangent of shape \(1,\); the argument has shape \(2,\)",
        ),
        (
            lambda r, g: (g["y"], {"scale": g["y"]}),
            r"for argument 1, a cotangent of shape \{'scale': \(2,\)\}",
        ),
        (lambda r, g: (g["y"], {"other": 1.0}), "for argument 1"),
    ],
)
def test_wrong_cotangents_are_refused_by_name(backward, message):
    with pytest.raises(
        (TypeError, ValueError), match="the backward function of cube.* ?" + message
    ):
        vjp(make(backward=backward), np.ones(2), {"scale": 1.0})[1]({"y": np.ones(2)})


def test_forward_and_missing_derivative_are_refused_by_name():
    with pytest.raises(
        TypeError, match=r"the forward function of cube must return \(value, residuals\)"
    ):
        vjp(make(forward=lambda x, p: x), np.ones(2), {"scale": 1.0})
    with pytest.raises(
        TypeError, match=r"the forward function of cube returned a value of dtype int64"
    ):
        vjp(make(forward=lambda x, p: (np.arange(2), None)), np.ones(2), {"scale": 1.0})

    def closing_over(w, x):
        h = custom_vjp(lambda x: x * w)
        h.defvjp(lambda x: (x * w, 5.0), lambda r, g: (g * r,))
        return h(x)

    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(closing_over, (0, 1))(3.0, 5.0)

    @custom_vjp
    def bare(x):
        return x

    assert bare(2.0) == 2.0
    with pytest.raises(
        TypeError, match="custom_vjp: the backward function of bare is None, which cannot be called"
    ):
        bare.defvjp(np.sin, None)
    with pytest.raises(TypeError, match=r"bare has no derivative yet; call bare\.defvjp"):
        grad(bare)(2.0)
