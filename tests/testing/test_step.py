"""`check_step`: right steps pass, and each mistake leads to its line."""

import re

import numpy as np
import pytest

from tinyode import jacobian, root, solve
from tinyode.solvers.tableaus import TABLEAUS
from tinyode.testing import check_step


def euler(f, t, y, h):
    return y + h * f(t, y)


def heun(f, t, y, h):
    return y + h / 2 * (f(t, y) + f(t + h, y + h * f(t, y)))


def kutta3(f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    return y + h / 6 * (k1 + 4 * k2 + f(t + h, y - h * k1 + 2 * h * k2))


def midpoint(mistake=None):
    """The midpoint method as a student writes it, with one mistake, or with none."""

    def step(f, t, y, h):
        k1 = f(t, y)
        stage = {
            "h forgotten": y + k1 / 2,
            "h squared": y + h / 2 * (h * k1),
            "y forgotten": h / 2 * k1,
            "whole step": y + h * k1,
            "y for the stage": y,
            "quarter": y + h / 4 * k1,
        }.get(mistake, y + h / 2 * k1)
        time = {"quarter": t + h / 4, "t forgotten": h / 2}.get(mistake, t + h / 2)
        k2 = f(time, stage)
        if mistake == "from the stage":
            return stage + h * k2
        return y + h * (k1 if mistake == "wrong slope" else k2)

    return step


def rk4(mistake=None):
    """The classical method as a student writes it, with one mistake, or with none."""

    def step(f, t, y, h):
        if mistake == "autonomous":
            k1, k2, k3, k4 = slopes(lambda _, y: f(t, y), t, y, h)
        elif mistake == "h forgotten in t":
            k1 = f(t, y)
            k2 = f(t + 1 / 2, y + h / 2 * k1)
            k3 = f(t + 1 / 2, y + h / 2 * k2)
            k4 = f(t + 1, y + h * k3)
        elif mistake == "h in k":
            k1 = h * f(t, y)
            k2 = h * f(t + h / 2, y + h / 2 * k1)
            k3 = h * f(t + h / 2, y + h / 2 * k2)
            k4 = h * f(t + h, y + h * k3)
            return y + (k1 + 2 * k2 + 2 * k3 + k4) / 6
        else:
            k1, k2, k3, k4 = slopes(f, t, y, h)
        if mistake == "slope":
            return (k1 + 2 * k2 + 2 * k3 + k4) / 6
        if mistake == "increment":
            return h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
        if mistake == "h forgotten":
            return y + (k1 + 2 * k2 + 2 * k3 + k4) / 6
        if mistake == "h squared":
            return y + h**2 * (k1 + 2 * k2 + 2 * k3 + k4) / 6
        weights = {
            "weight": (1, 2, 1, 1),
            "exchanged": (2, 1, 2, 1),
            "not divided": (6, 12, 12, 6),
            "equal": (1.5, 1.5, 1.5, 1.5),
            "three digits": (1.002, 1.998, 1.998, 1.002),
        }.get(mistake, (1, 2, 2, 1))
        sign = -1 if mistake == "sign" else 1
        return y + sign * h / 6 * sum(w * k for w, k in zip(weights, (k1, k2, k3, k4)))

    def slopes(f, t, y, h):
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        k3 = {
            "time of k3": lambda: f(t + h, y + h / 2 * k2),
            "k1 for k2": lambda: f(t + h / 2, y + h / 2 * k1),
            "y for k3": lambda: f(t + h / 2, y),
        }.get(mistake, lambda: f(t + h / 2, y + h / 2 * k2))()
        return k1, k2, k3, f(t + h, y + (h / 2 if mistake == "half in k4" else h) * k3)

    return step


@pytest.mark.parametrize("method", TABLEAUS.values(), ids=lambda m: m.name)
def test_a_step_of_each_method_of_the_library_passes_at_its_order(method):
    def step(f, t, y, h):
        options = {"step_size": abs(h)} if method.e is None else {"rtol": 1e-8, "atol": 1e-8}
        return solve(f, y, [t, t + h], method=method.name, **options).y[-1]

    check_step(step, method.order)


@pytest.mark.parametrize("method", [m for m in TABLEAUS.values() if m.e is None and m.order < 5])
def test_and_fails_at_the_next(method):
    def step(f, t, y, h):
        return solve(f, y, [t, t + h], method=method.name, step_size=abs(h)).y[-1]

    with pytest.raises(AssertionError, match=f"order {method.order}, not|the order must be"):
        check_step(step, method.order + 1)


def converged(c, tolerance):
    """One stage at t + c h, found by iteration: implicit Euler, or the implicit midpoint rule."""

    def step(f, t, y, h):
        k = f(t, y)
        for _ in range(200):
            before, k = k, f(t + c * h, y + c * h * k)
            if np.max(np.abs(k - before)) < tolerance:
                return y + h * k
        raise RuntimeError("the iteration does not converge")

    return step


def iterated(f, t, y, h):
    """The implicit midpoint rule, by thirty iterations, whether they are needed or not."""
    k = f(t, y)
    for _ in range(30):
        k = f(t + h / 2, y + h / 2 * k)
    return y + h * k


def rosenbrock(f, t, y, h):
    """Linearly implicit of order 2, with derivatives by differences (HW, section IV.7)."""
    y, e, gamma = np.asarray(y, float), 1e-6, 1 - 1 / np.sqrt(2)
    n = y.size
    moved = [e * unit.reshape(y.shape) for unit in np.eye(n)]
    J = np.reshape([(f(t, y + u) - f(t, y - u)) / (2 * e) for u in moved], (n, n)).T
    of_time = h * gamma * (f(t + e, y) - f(t - e, y)) / (2 * e)
    solved = lambda r: np.linalg.solve(np.eye(n) - h * gamma * J, r.reshape(n)).reshape(y.shape)
    k1 = solved(f(t, y) + of_time)
    k2 = solved(f(t + h, y + h * k1) - 2 * k1 - of_time)
    return y + 1.5 * h * k1 + 0.5 * h * k2


def taylor(f, t, y, h):
    """Return y + h f + h^2 / 2 df/dt along the solution, by a difference."""
    e, slope = 1e-5, f(t, y)
    return y + h * slope + h**2 / 2 * (f(t + e, y + e * slope) - slope) / e


def newton(f, t, y, h):
    """Implicit Euler, by Newton's method with the Jacobian of the library."""
    y = np.asarray(y)
    n, z = y.size, y + h * f(t, y)
    for _ in range(20):
        J = np.reshape(jacobian(lambda z: f(t + h, z))(z), (n, n))
        residual = np.reshape(z - y - h * f(t + h, z), n)
        z = z - np.linalg.solve(np.eye(n) - h * J, residual).reshape(y.shape)
        if np.max(np.abs(residual)) < 1e-12:
            break
    return z


def as_vector(f, t, y, h):
    """Heun's method that makes a vector of a number, and a number of it in the end."""
    z = np.atleast_1d(y).copy()
    k = f(t, z.copy())
    return np.reshape(z + h / 2 * (k + f(t + h, z + h * k)), y.shape)


@pytest.mark.parametrize(
    "step, order",
    [
        (taylor, 2),
        (newton, 1),
        (as_vector, 2),
        (lambda f, t, y, h: root(lambda z: z - y - h * f(t + h, z), y), 1),
        (euler, 1),
        (heun, 2),
        (heun, 1),
        (kutta3, 3),
        (kutta3, 2),
        (midpoint(), 2),
        (rk4(), 4),
        (rk4(), 1),
        (iterated, 2),
        (rosenbrock, 2),
        *[(converged(0.5, tolerance), 2) for tolerance in (1e-6, 1e-9, 1e-12)],
        *[(converged(1.0, tolerance), 1) for tolerance in (1e-6, 1e-9, 1e-12)],
        (lambda f, t, y, h: solve(f, y, [t, t + h], rtol=1e-6, atol=1e-6).y[-1], 8),
    ],
)
def test_a_right_step_passes(step, order):
    check_step(step, order)


@pytest.mark.parametrize(
    "mistake, found, now, right",
    [
        ("time of k3", "sum b_i c_i = 1/2", "k3 = f(t + h, y + h/2*k2)", "k3 = f(t + h/2, "),
        ("weight", "sum b_i = 1", "h/3*k2 + h/6*k3", "h/3*k2 + h/3*k3"),
        ("exchanged", "sum b_i c_i = 1/2", "y + h/3*k1 + h/6*k2", "y + h/6*k1 + h/3*k2"),
        ("equal", "sum b_i c_i^2 = 1/3", "y + h/4*k1", "y + h/6*k1"),
        ("not divided", "sum b_i = 1", "y + h*k1 + 2*h*k2", "y + h/6*k1 + h/3*k2"),
        ("three digits", "sum b_i c_i^2 = 1/3", "y + 0.167*h*k1", "y + h/6*k1"),
        ("sign", "sum b_i = 1", "return y - h/6*k1", "return y + h/6*k1"),
        ("k1 for k2", "sum b_i a_ij c_j = 1/6", "k3 = f(t + h/2, y + h/2*k1)", "y + h/2*k2)"),
        ("y for k3", "sum b_i a_ij = 1/2", "k3 = f(t + h/2, y)", "k3 = f(t + h/2, y + h/2*k2)"),
        ("half in k4", "sum b_i a_ij = 1/2", "k4 = f(t + h, y + h/2*k3)", "f(t + h, y + h*k3)"),
        ("autonomous", "sum b_i c_i = 1/2", "k2 = f(t, y + h/2*k1)", "k2 = f(t + h/2, y + h/2*k1)"),
        ("h forgotten in t", "f of t alone", "k4 = f(t + 1, y", "k4 = f(t + h, y"),
        ("h in k", "f of y alone", "k2 = f(t + h/2, y + h**2/2*k1)", "y + h/2*k1)"),
        ("slope", "must be 4", "return 1/6*k1 + 1/3*k2", "return y + h/6*k1 + h/3*k2"),
        ("increment", "must be 4", "return h/6*k1 + h/3*k2", "return y + h/6*k1 + h/3*k2"),
        ("h forgotten", "must be 4", "return y + 1/6*k1", "return y + h/6*k1 + h/3*k2"),
        ("h squared", "must be 4", "return y + h**2/6*k1", "return y + h/6*k1 + h/3*k2"),
    ],
)
def test_a_mistake_in_rk4_leads_to_its_line(mistake, found, now, right):
    check_message(rk4(mistake), 4, found, now, right)


@pytest.mark.parametrize(
    "mistake, found, now, right",
    [
        ("h forgotten", "0.0 on dy/dt = y - y^2", "y + 1/2*k1)", "y + h/2*k1)"),
        ("h squared", "1.0 on dy/dt = y - y^2", "y + h**2/2*k1)", "y + h/2*k1)"),
        ("y forgotten", "0.0 on dy/dt = y - y^2", "f(t + h/2, h/2*k1)", "y + h/2*k1)"),
        ("t forgotten", "f depends on t", "k2 = f(h/2, ", "k2 = f(t + h/2, "),
        ("whole step", "your method has 1", "f(t + h/2, y + h*k1)", "y + h/2*k1)"),
        ("y for the stage", "your method has 0", "k2 = f(t + h/2, y)", "y + h/2*k1)"),
        ("quarter", "your method has 0.25", "f(t + h/4, y + h/4*k1)", "f(t + h/2, y + h/2*k1)"),
        ("from the stage", "has 1.5", "return y + h/2*k1 + h*k2", "return y + h*k2"),
        ("wrong slope", "your method has 0", "return y + h*k1", "return y + h*k2"),
    ],
)
def test_a_mistake_in_the_midpoint_method_leads_to_its_line(mistake, found, now, right):
    check_message(midpoint(mistake), 2, found, now, right)


def check_message(step, order, found, now, right):
    with pytest.raises(AssertionError) as error:
        check_step(step, order)
    message = str(error.value)
    assert found in message
    assert re.search(f"computes\n.*{re.escape(now)}", message, re.DOTALL)
    assert re.search(f"of order {order} with\n.*{re.escape(right)}", message, re.DOTALL)


def test_the_whole_message():
    with pytest.raises(AssertionError) as error:
        check_step(midpoint("quarter"), 2)
    assert str(error.value) == (
        "check_step: the method is of order 1, not 2. This order condition fails:\n"
        "    sum b_i c_i = 1/2 (the tree [.], of 2 nodes): your method has 0.25\n"
        "    where k_i = f(t + c_i h, y + h sum a_ij k_j), and the step returns y + h sum b_i k_i\n"
        "k1, k2, ... are the values of f in the order of the calls. The step computes\n"
        "    k2 = f(t + h/4, y + h/4*k1)\n"
        "and would be of order 2 with\n"
        "    k2 = f(t + h/2, y + h/2*k1)"
    )


def test_a_slope_that_is_asked_for_twice_does_not_hide_a_mistake():
    wrong = lambda f, t, y, h: y + h * (f(t, y) + f(t + h, y + h * f(t, y)))
    check_message(wrong, 2, "sum b_i = 1", "return y + h*k1 + h*k3", "y + h/2*k1 + h/2*k3")


def test_a_sign_in_a_method_that_the_library_lacks():
    def wrong(f, t, y, h):
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        return y + h / 6 * (k1 + 4 * k2 + f(t + h, y + h * k1 + 2 * h * k2))

    check_message(wrong, 3, "sum b_i a_ij = 1/2", "y + h*k1 + 2*h*k2", "y - h*k1 + 2*h*k2")


def test_two_right_ways_are_both_said():
    """Half of the midpoint method and half of Heun's."""
    with pytest.raises(AssertionError) as error:
        check_step(lambda f, t, y, h: y + h / 2 * ((k := f(t, y)) + f(t + h / 2, y + h / 2 * k)), 2)
    assert "    return y + h*k2" in str(error.value)
    assert "Or the step computes" in str(error.value)
    assert "    k2 = f(t + h, y + h*k1)" in str(error.value)


def test_a_method_that_is_far_from_any_is_shown():
    with pytest.raises(AssertionError) as error:
        check_step(euler, 2)
    assert "sum b_i c_i = 1/2 (the tree [.], of 2 nodes): your method has 0" in str(error.value)
    assert str(error.value).endswith("computes\n    k1 = f(t, y)\n    return y + h*k1")


def test_an_iteration_at_the_wrong_time_is_measured():
    def step(f, t, y, h):
        return converged(0.5, 1e-12)(lambda time, y: f(t + h, y), t, y, h)

    with pytest.raises(AssertionError, match="too low where f depends on t: is f taken at the"):
        check_step(step, 2)
    with pytest.raises(AssertionError, match="the order must be 2; measured"):
        check_step(converged(1.0, 1e-12), 2)


def no_return(f, t, y, h):
    y + h * f(t, y)


def in_place(f, t, y, h):
    y += h * f(t, y)
    return y


@pytest.mark.parametrize(
    "step, message",
    [
        (no_return, "the step returns None; is the return missing"),
        (lambda f, t, y, h: (t + h, euler(f, t, y, h)), "returns a tuple, .* the new state alone"),
        (lambda f, t, y, h: y + h * f(y, t), r"t of shape \(2,\) and y of .* order is f\(t, y\)"),
        (in_place, r"has written into y; write y = y \+ \.\.\., .* and not y \+= "),
        (lambda f, t, y, h: np.nan * f(t, y), "returns nan, which is not finite"),
        (lambda f, t, y, h: round(y + h * f(t, y)), "returns 1 of type int64; it must return fl"),
        (lambda f, t, y, h: np.atleast_1d(euler(f, t, y, h)), r"the shape \(1,\) for y of shape "),
        (lambda f, t, y, h: np.sum(euler(f, t, y, h)), r"the shape \(\) for y of shape \(2,\)"),
        (lambda f, t, y, h: y, "does not call f"),
    ],
)
def test_what_is_no_step_is_refused(step, message):
    with pytest.raises(AssertionError, match=f"check_step: .*{message}"):
        check_step(step, 1)


@pytest.mark.parametrize("order", [0, 9, 1.5, True, "2", None])
def test_an_order_that_is_none_is_refused(order):
    with pytest.raises(ValueError, match=f"check_step: order={order!r} must be a whole number"):
        check_step(euler, order)


def test_what_is_no_function_is_refused_and_what_a_step_raises_is_passed_on():
    with pytest.raises(TypeError, match=r"step must be a function step\(f, t, y, h\); got 3"):
        check_step(3, 1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'theta'"):
        check_step(lambda f, t, y, h, theta: y, 1)
    with pytest.raises(ZeroDivisionError):
        check_step(lambda f, t, y, h: y + 1 // 0, 1)


def euler_where(is_so):
    """RK4, and where something is so of h, a step of Euler's method."""
    return lambda f, t, y, h: (euler if is_so(h) else rk4())(f, t, y, h)


BACK = r"with h = -0\.4 \(a step back in time; is \|h\| taken, .* with h = 0\.4 it is right\), the"


@pytest.mark.parametrize(
    "step, order, words",
    [
        (lambda f, t, y, h: rk4()(f, t, y, abs(h)), 4, f"{BACK} .*order 0, .*your method has -1"),
        (lambda f, t, y, h: rk4()(f, t, y, h if h > 0 else 2 * h), 4, f"{BACK} .*of order 0, not"),
        (lambda f, t, y, h: iterated(f, t, y, abs(h)), 2, f"{BACK} method is of order 0, not 2"),
        (lambda f, t, y, h: newton(f, t, y, abs(h)), 1, f"{BACK} order must be 1; measured by"),
        (lambda f, t, y, h: rk4()(f, t, y, h) if h > 0 else y, 4, f"{BACK} step does not call f"),
        (lambda f, t, y, h: rk4()(f, t, y, h) if h > 0 else None, 4, f"{BACK} step returns None"),
        (euler_where(lambda h: h < 0.02), 4, f"{BACK} method is of order 1, not 4"),
        (euler_where(lambda h: abs(h) < 0.3), 4, "check_step: the order must be 4; measured by"),
        (
            euler_where(lambda h: abs(h) < 0.03),
            4,
            r"with h = 0\.004 \(with h = 0\.4 it is right\), t",
        ),
        (euler_where(lambda h: abs(h) < 0.01), 4, r"with h = 0\.004 .* is of order 1, not 4"),
        (euler_where(lambda h: abs(h) < 0.001), 4, r"with h = 0\.0004 .* is of order 1, not 4"),
        (euler_where(lambda h: -0.01 < h < 0), 4, r"with h = -0\.004 .* is of order 1, not 4"),
    ],
)
def test_steps_of_all_lengths_and_both_directions_are_tried(step, order, words):
    with pytest.raises(AssertionError, match=f"(?s){words}"):
        check_step(step, order)
