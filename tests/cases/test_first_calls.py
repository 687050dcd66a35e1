"""What users of SciPy and torchdiffeq write first: the error says how it is written here."""

import itertools

import numpy as np
import pytest

from tinyode import compiled, grad, odeint, odeint_batch, odeint_event, root, solve, solve_batch
from tinyode.solvers.tableaus import ELSEWHERE, TABLEAUS, find

T = [0.0, 0.5, 1.0]
WAYS = ["adjoint", "discrete", "interpolated", "forward"]
CENTRE = {"event": lambda t, y, *args: t - 0.5, "t_end": 1.0}


def pendulum(t, y, k=1.0):
    return np.array([y[1], -k * np.sin(y[0])])


SOLVERS = {
    "solve": lambda f, y0, t, *args, **options: solve(f, y0, t, *args, **options),
    "kvaerno5": lambda f, y0, t, *args: solve(f, y0, t, *args, method="kvaerno5"),
    **{way: lambda f, y0, t, *args, way=way: odeint(f, y0, t, *args, gradient=way) for way in WAYS},
    "grad": lambda f, y0, t, *args: grad(lambda k: np.sum(odeint(f, y0, t, *args, k)[0]))(1.0),
    "compiled": lambda f, y0, t, *args: odeint(compiled(f), y0, t, *args),
    "by keyword": lambda f, y0, t, *args: (
        odeint(f=f, y0=y0, t=t) if not args else odeint(f, y0, t, *args)
    ),
}
STATES = [[1.0, 0.0], (1.0, 0.0), [1, 0], [np.float64(1.0), 0.0], (0.1, 0.3)]
ON_ARRAYS = [
    pendulum,
    lambda t, y, *k: -1.0 * y[::-1],
    lambda t, y, *k: np.eye(2) @ y,
    lambda t, y, *k: -y + np.ones(2),
    lambda t, y, *k: y.reshape(2),
    lambda t, y, *k: np.tanh(y),
]


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("y0", STATES, ids=repr)
def test_a_list_of_numbers_for_a_vector(name, y0):
    for f in ON_ARRAYS:
        kind = type(y0).__name__
        said = (
            rf"y0 is a {kind} of two numbers, which here is a container of two states; write "
            rf"np\.array\(\[.*\]\), or let f return a {kind}"
        )
        with pytest.raises((TypeError, ValueError, AttributeError), match=said) as caught:
            SOLVERS[name](f, y0, T)
        assert "*" not in str(caught.value)
        f(0.0, np.array(y0))  # what it says works


def test_a_list_that_is_traced_in_part():
    with pytest.raises(
        ValueError, match=r"y0 is a list of two numbers.*write np\.array\(\[1\.5, 0\.0\]\)"
    ):
        grad(lambda a: np.sum(odeint(pendulum, [a, 0.0], T)[0]))(1.5)


def test_a_list_of_numbers_elsewhere():
    said = r"is a list of \w+ \w+, which here is a container of \w+ \w+; write np\.array\("
    for solver in (solve_batch, odeint_batch):
        for y0 in ([[1.0, 0.0], [2.0, 0.5]], [1.0, 2.0], [[1.0]]):
            with pytest.raises(ValueError, match="y0 " + said):
                solver(lambda t, y: -1.0 * np.tanh(y), y0, T)
    with pytest.raises(ValueError, match="y0 " + said):
        odeint_event(pendulum, [1.0, 0.0], 0.0, **CENTRE)
    with pytest.raises(ValueError, match="u0 " + said):
        root(
            lambda u: np.outer(u, u).ravel()[:2] if isinstance(u, np.ndarray) else np.zeros(4),
            [1.0, 0.5],
        )


def test_a_container_that_is_meant_is_solved():
    np.testing.assert_allclose(
        odeint(lambda t, y: [y[1], -y[0]], [1.0, 0.0], T)[0][-1], np.cos(1.0), rtol=1e-5
    )


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "grad"])
def test_times_and_state_exchanged(name):
    for y0, t in [
        (np.linspace(0, 1, 5), np.array([1.0, 0.0])),
        (np.linspace(0, 1, 5), [1.0, 0.0]),
        ((0.0, 2.0), [1.0, 0.0]),
        ([0.0, 1.0, 2.0], np.array([1.0, 0.0])),
    ]:
        with pytest.raises(
            (TypeError, ValueError),
            match=r"y0 and t seem to be exchanged: the order is \w+\(f, y0, t\)",
        ):
            SOLVERS[name](pendulum, y0, t)
    with pytest.raises((TypeError, ValueError), match="exchanged"):
        SOLVERS[name](lambda t, y: -1.0 * y, np.linspace(0, 1, 5), 1.0)


def test_wrong_times_are_not_taken_for_a_state():
    for t in ([0.0, 0.0, 1.0], [1.0], np.array([0.0, 2.0, 1.0]), [0.0, np.nan]):
        with pytest.raises(ValueError, match=r"^t must be"):
            odeint(lambda t, y: -y, np.array([1.0, 0.0]), t)


def exchanged(f):
    return lambda y, t, *args: f(t, y, *args)


@pytest.mark.parametrize("name", SOLVERS)
def test_f_of_y_and_t(name):
    unseen = ON_ARRAYS[3]  # a number is all that it needs for y
    for f, y0, k in itertools.product(
        [*ON_ARRAYS, lambda t, y, k=1.0: -k * y, lambda t, y, *k: np.cumsum(y, axis=-1)],
        [np.array([1.0, 0.0]), [1.0, 0.0]],
        [(), (2.0,)],
    ):
        if f is unseen or (name == "grad" and k):
            continue
        with pytest.raises(
            (TypeError, ValueError, IndexError, AttributeError),
            match=r"f fails at its first call, f\(t, y\), and would not .* exchanged, f\(y, t\)",
        ):
            SOLVERS[name](exchanged(f), y0, T, *k)


def test_f_of_y_and_t_elsewhere():
    said = r"f\(t, y\), and would not with the arguments exchanged, f\(y, t\)"
    y0 = np.array([[1.0, 0.0], [0.5, 0.2]])
    with pytest.raises(ValueError, match=said):
        solve_batch(exchanged(lambda t, y: -y), y0, T)
    with pytest.raises(ValueError, match=said):
        odeint_batch(exchanged(lambda t, y, k: -k * y), y0, T, 1.0)
    with pytest.raises(TypeError, match=said):
        odeint_event(exchanged(pendulum), y0[0], 0.0, **CENTRE)
    with pytest.raises(TypeError, match=said):
        odeint(exchanged(lambda t, y: {"x": y["v"], "v": -y["x"]}), {"x": 1.0, "v": 0.0}, T)


def test_an_error_of_f_is_not_hidden():
    """f is called again only as it is called first, and its own error is the one raised."""
    wrong = lambda t, y: y[5] * y
    for y0 in (np.array([1.0, 0.0]), [1.0, 0.0]):
        with pytest.raises(
            (IndexError, TypeError), match=r"^(index 5 is out of bounds|list index out of range)"
        ):
            odeint(wrong, y0, T)
    calls = []

    def late(t, y):
        calls.append(t)
        if t > 0.5:
            raise ValueError("late")
        return -y

    with pytest.raises(ValueError, match=r"^late$") as caught:
        solve(late, np.ones(2), T)
    assert caught.value.__cause__ is None and calls[-1] > 0.5  # and f has not been called again
    with pytest.raises(ValueError, match=r"^f returned an array of shape \(3,\)"):
        odeint(lambda t, y: np.zeros(3), np.ones(2), T)
    with pytest.raises(ZeroDivisionError):
        odeint(lambda t, y: 1 / 0 * y, [1.0, 0.0], T)


def test_numbers_do_not_tell_which_is_which():
    """For a state of one number f(y, t) fails as f(t, y) does: nothing is said about the order."""
    with pytest.raises(ValueError, match=r"^negative$"):

        def f(t, y):
            if y > 0.9:
                raise ValueError("negative")
            return -y

        solve(f, 1.0, T)


KEYWORDS = {
    "args": r"the parameters of f follow (t0?) by position: \w+\(f, y0, \1, 2\.0\)",
    "t_eval": "(t, the third argument|its keywords are event, t_end)",  # which odeint_event has
    "t_span": "(t, the third argument|its keywords are event, t_end)",
    "dense_output": "is a function of time",
    "events": "write event=",
    "jac": "write jacobian=",
    "Dfun": "write jacobian=",
    "hmax": "write max_step=",
    "mxstep": "write max_steps=",
    "h0": "write first_step=",
    "tfirst": r"f\(t, y, \*args\)",
    "options": "are keywords themselves",
    "adjoint_params": "follow t0? by position",
    "fun": "f is the first argument",
    "func": "f is the first argument",
    "dt0": "write first_step=",
    "solver": "write method=",
    "metod": "did you mean method=",
    "rtoll": "did you mean rtol=",
    "nothing_like_it": "its keywords are .*method, rtol",
}


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_from_elsewhere(keyword):
    for solver in (solve, odeint, solve_batch, odeint_batch, odeint_event):
        with pytest.raises(
            TypeError,
            match=rf"{solver.__name__}\(\) got an unexpected keyword argument '{keyword}'; "
            rf".*{KEYWORDS[keyword]}",
        ):
            solver(lambda t, y, k: -k * y, np.ones((2, 1)), T, **{keyword: 1.0})
    with pytest.raises(
        TypeError, match=rf"root\(\) got an unexpected keyword argument '{keyword}'"
    ):
        root(lambda u: u, 1.0, **{keyword: 1.0})


def test_what_is_said_of_root_is_true_of_root():
    with pytest.raises(TypeError, match=r"follow u0 by position: root\(f, u0, 2\.0\)"):
        root(lambda u, p: u - p, 1.0, args=(2.0,))
    with pytest.raises(TypeError, match="its keywords are tol, atol, max_steps"):
        root(lambda u: u, 1.0, t_eval=[0.0])


NEAREST = {
    "RK45": "dopri5",
    "RK23": "bosh3",
    "DOP853": "dop853",
    "Radau": "radau_iia5",
    "BDF": "radau_iia5",
    "LSODA": "radau_iia5",
    "dopri8": "dop853",
    "rk45": "dopri5",
    "Tsit5": "tsit5",
    "Dopri5": "dopri5",
    "Dopri8": "dop853",
    "adaptive_heun": "heun_euler",
    "Bosh3": "bosh3",
    "fehlberg2": "heun_euler",
    "explicit_adams": "dop853",
    "implicit_adams": "dop853",
    "fixed_adams": "dop853",
    "scipy_solver": "dopri5",
    "Kvaerno5": "kvaerno5",
    "Kvaerno3": "kvaerno3",
    "Euler": "euler",
    "Heun": "heun",
    "Midpoint": "midpoint",
    "lsoda": "radau_iia5",
    "vode": "radau_iia5",
    "zvode": "radau_iia5",
    "ode45": "dopri5",
    "ode15s": "radau_iia5",
    "RK4": "rk4",
    "ImplicitEuler": "implicit_euler",
    "Crank-Nicolson": "trapezoid",
    "backward euler": "implicit_euler",
    "RKF45": "fehlberg45",
    "radau": "radau_iia5",
    "DORMAND_PRINCE": "dopri5",
    "heun3": "ralston",
    "Runge-Kutta": "rk4",
}


@pytest.mark.parametrize("method", NEAREST)
def test_a_method_from_elsewhere(method):
    y0 = np.ones((2, 1))
    for call in (
        lambda **o: solve(lambda t, y: -y, y0, T, **o),
        lambda **o: odeint(lambda t, y: -y, y0, T, **o),
        lambda **o: odeint_batch(lambda t, y: -y, y0, T, **o),
        lambda **o: solve_batch(lambda t, y: -y, y0, T, **o),
        lambda **o: odeint_event(lambda t, y: -y, y0, 0.0, **CENTRE, **o),
    ):
        with pytest.raises(
            ValueError,
            match=(
                rf"method='{method}' is not known; (.*the same method, or the nearest, is"
                r" .*|write )"
                rf"'{NEAREST[method]}'.*The methods are euler"
            ),
        ):
            call(method=method)
    with pytest.raises(
        ValueError, match=rf"adjoint_method='{method}' is not known; .*'{NEAREST[method]}'"
    ):
        odeint(lambda t, y: -y, y0, T, adjoint_method=method)


def test_names_from_elsewhere_are_not_ours():
    for ours, others in ELSEWHERE.items():
        assert ours in TABLEAUS
        for other in others.split():
            assert other.isalnum() and other == other.lower() and other not in TABLEAUS
    for method in (None, 3, "", "9"):
        with pytest.raises(
            ValueError, match=rf"method={method!r} is not known; The methods are euler"
        ):
            find(method)
