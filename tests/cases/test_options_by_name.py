"""Options and times are refused by the name that the user knows, and so is what f may not do."""

import inspect

import numpy as np
import pytest

from tinyode import (
    SolverError,
    compiled,
    grad,
    hessian,
    jacobian,
    odeint,
    odeint_batch,
    odeint_event,
    root,
    solve,
    solve_batch,
)
from tinyode.solvers.tableaus import TABLEAUS

Y, T = np.array([1.0, 0.5]), np.array([0.0, 0.4, 1.0])
WAYS = ["adjoint", "discrete", "interpolated", "forward"]
EVENT = {"event": lambda t, y, *args: t - 0.5, "t_end": 1.0}
ADAPTIVE = [name for name, tableau in TABLEAUS.items() if tableau.e is not None]
f = lambda t, y, *args: -y

SOLVERS = {
    "solve": (
        lambda **o: solve(f, Y, T, **o).y,
        "rtol atol step_size first_step max_step min_step max_steps",
    ),
    "solve_batch": (
        lambda **o: solve_batch(f, Y[None], T, **o).y,
        "rtol atol step_size first_step max_step min_step max_steps",
    ),
    "odeint_batch": (
        lambda **o: odeint_batch(f, Y[None], T, **o),
        "rtol atol step_size first_step max_step max_steps",
    ),
    "odeint_event": (
        lambda **o: odeint_event(f, Y, 0.0, **{**EVENT, **o})[1],
        "rtol atol step_size first_step max_step max_steps adjoint_rtol adjoint_atol t_end",
    ),
    "root": (lambda **o: root(lambda u: u - 1.0, Y, **o), "tol atol max_steps"),
    **{
        way: (
            lambda way=way, **o: odeint(f, Y, T, gradient=way, **o),
            "rtol atol step_size first_step max_step max_steps",
        )
        for way in WAYS
    },
    "adjoint, back": (lambda **o: odeint(f, Y, T, **o), "adjoint_rtol adjoint_atol"),
    "checkpoints": (lambda **o: odeint(f, Y, T, gradient="discrete", **o), "checkpoints"),
}


@pytest.mark.parametrize(
    "solver, option",
    [(solver, option) for solver in SOLVERS for option in SOLVERS[solver][1].split()],
)
def test_a_traced_option(solver, option):
    said = rf"{option} is a traced value, and how .* constant .* a plain number, or stop_gradient"
    call = SOLVERS[solver][0]
    with pytest.raises(TypeError, match=said):
        grad(lambda k: np.sum(call(**{option: k})))(0.25)
    with pytest.raises(TypeError, match=said):
        grad(lambda k: grad(lambda q: np.sum(call(**{option: k * q})))(1.0))(0.25)
    if option in ("rtol", "atol") and "batch" not in solver:
        for value in (lambda k: k * Y, lambda k: np.stack([k, k]), lambda k: [k, k]):
            with pytest.raises(TypeError, match=said):
                grad(lambda k, value=value: np.sum(call(**{option: value(k)})))(0.25)


def test_what_traced_options_return():
    for options, name in (
        ({"norm": lambda x, k: k * np.max(np.abs(x))}, "norm"),
        ({"jacobian": lambda t, y, k: -k * np.eye(2), "method": "kvaerno5"}, "jacobian"),
    ):

        def loss(k, options=options, name=name):
            closes = lambda *args: options[name](*args, k)
            return np.sum(solve(f, Y, T, **{**options, name: closes}).y)

        with pytest.raises(
            TypeError, match=rf"what {name} returned is a traced value.*stop_gradient"
        ):
            grad(loss)(1.5)
    for call in (
        lambda event: solve(f, Y, T, event=event).y,
        lambda event: odeint_event(f, Y, 0.0, event=event, t_end=1.0)[1],
    ):
        with pytest.raises(TypeError, match="event returned a traced value"):
            grad(lambda k, call=call: np.sum(call(lambda t, y: y[0] - k)))(0.8)


def test_solve_with_a_traced_parameter_says_odeint():
    decay = lambda t, y, k=1.0: -k * y
    for call in (
        lambda k: solve(decay, Y, T, k).y,
        lambda k: solve(lambda t, y: -k * y, Y, T).y,
        lambda k: solve(decay, Y, T, k, method="kvaerno5").y,
        lambda k: solve_batch(decay, Y[None], T, k).y,
        lambda k: solve(lambda t, y: [-k * y[0]], [Y], T).y[0],
    ):
        with pytest.raises(
            TypeError,
            match=r"solve, which computes plain numbers.*that value to f through \*args of odeint",
        ):
            grad(lambda k, call=call: np.sum(call(k)))(1.5)


@pytest.mark.parametrize("method", TABLEAUS)
def test_t_reaches_f_as_a_float_where_no_derivative_in_t_is_taken(method):
    """In gradients, Hessians and the Jacobians of implicit steps."""
    for way in WAYS:

        def field(t, y, k):
            assert isinstance(t, float)
            return -k * y * np.cos(t)

        loss = lambda k, way=way: np.sum(
            odeint(field, Y[:1], T[:2], k, gradient=way, method=method, step_size=0.2) ** 2
        )
        assert np.isfinite(grad(loss)(0.5)) and np.isfinite(hessian(loss)(0.5))


@pytest.mark.parametrize("way", WAYS)
def test_second_derivatives_agree(way):
    loss = lambda p, way=way: np.sum(
        odeint(lambda t, y, k: -k * y * np.cos(t), p[:1], T[:2], p[1], gradient=way, rtol=1e-9) ** 2
    )
    exact = lambda p: np.sum(p[0] ** 2 + (p[0] * np.exp(-p[1] * np.sin(0.4))) ** 2)
    p = np.array([0.9, 0.5])
    np.testing.assert_allclose(hessian(loss)(p), hessian(exact)(p), rtol=1e-5)


def adds(t, y, *args):
    y += 1.0
    return y


def puts(t, y, *args):
    y[..., 0] = 1.0
    return y


def fills(t, y, *args):
    y.fill(1.0)
    return y


def sorts(t, y, *args):
    y.sort()
    return y


WRITERS = [adds, puts, fills, sorts]


@pytest.mark.parametrize("write", WRITERS)
def test_f_that_writes_into_y(write):
    code = inspect.getsource(write).splitlines()[1].strip()
    line = f"test_options_by_name.py, line {write.__code__.co_firstlineno + 1}, `{code}`: "
    calls = [lambda method=method: solve(write, Y, T, method=method) for method in TABLEAUS]
    calls += [lambda way=way: odeint(write, Y, T, gradient=way) for way in WAYS]
    calls += [
        lambda: grad(lambda y: np.sum(odeint(write, y, T)))(Y),
        lambda: solve_batch(write, Y[None], T),
        lambda: odeint_batch(write, Y[None], T),
        lambda: odeint_event(write, Y, 0.0, **EVENT),
        lambda: solve(f, Y, T, event=lambda t, y: write(t, y)[0]),
        lambda: odeint_event(f, Y, 0.0, event=lambda t, y: write(t, y)[0], t_end=1.0),
        lambda: odeint(lambda t, y: [write(t, y[0])], [Y], T),
        lambda: root(lambda u: write(0.0, u), Y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="read-only") as caught:
            call()
        assert str(caught.value).startswith(
            line + "writes into an array that the solver still needs; make a new one: y = y + 1.0"
        )


def test_an_array_of_f_s_own_that_is_read_only_is_not_y():
    table = np.zeros(2)
    table.setflags(write=False)

    def write(t, y):
        table[0] = t
        return -y

    with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
        solve(write, Y, T)


def test_root_leaves_the_iterate_as_it_is():
    """A f that writes into u is refused; before, it changed what Newton's method went on from."""
    u0 = np.array([2.0, 3.0])
    with pytest.raises(ValueError, match="writes into an array"):
        root(lambda u: adds(0.0, u), u0)
    assert u0.tolist() == [2.0, 3.0]


def test_an_operator_in_place_is_named():
    def into_plain(x):
        total = np.zeros(2)
        total += x
        return total

    def scaled(x):
        scale = np.ones(2)
        scale *= x
        return scale

    for g in (into_plain, scaled):
        with pytest.raises(
            TypeError, match=r"x \+= y with a plain array x asks for it: write x = x \+ y"
        ):
            jacobian(g)(Y)
        with pytest.raises(
            TypeError, match=r"write x = x \+ y|Make a new one, x = x \+ 1 instead of x \+= 1"
        ):
            compiled(g)(Y)


TIMES = ["x", None, [1.0, 2.0], np.nan, np.inf, 1j, np.zeros(0)]


@pytest.mark.parametrize("time", TIMES, ids=repr)
def test_the_times_of_an_event_by_name(time):
    with pytest.raises(ValueError, match=r"^t_end=.* must be one time, a finite real number"):
        odeint_event(f, Y, 0.0, **{**EVENT, "t_end": time})
    with pytest.raises(ValueError, match=r"^t0=.* must be one time, a finite real number"):
        odeint_event(f, Y, time, **EVENT)
    with pytest.raises(ValueError, match=r"^t_end=0\.0 must be another time than t0=0\.0"):
        odeint_event(f, Y, 0.0, **{**EVENT, "t_end": 0.0})


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_remedy_is_not_the_method_that_has_failed(method):
    """An implicit method is not told to be implicit, nor an adaptive one to be another."""
    calls = [
        lambda: solve(lambda t, y: y * y, 1.0, [0.0, 2.0], method=method, rtol=1e-4),
        lambda: solve(
            lambda t, y: -1e3 * (y - np.cos(t)), 1.0, [0.0, 2.0], method=method, max_steps=3
        ),
        lambda: solve(
            lambda t, y: -1e3 * (y - np.cos(t)), 0.0, [0.0, 2.0], method=method, min_step=0.5
        ),
        lambda: solve(lambda t, y: y**3, 1e3, [0.0, 2.0], method=method, step_size=0.5),
        lambda: solve(
            lambda t, y: np.where(y > 1, -1e9, 1e9) * np.ones(1),
            np.ones(1),
            [0.0, 2.0],
            method=method,
            step_size=1.0,
        ),
        lambda: solve(
            lambda t, y: 1.0 + 0 * y, 1.0, [1e16, 1e16 + 4], method=method, step_size=1.0
        ),
    ]
    for call in calls:
        with np.errstate(all="ignore"):
            try:
                call()
            except SolverError as error:
                said = str(error)
                assert not (TABLEAUS[method].implicit and "method='radau_iia5'" in said)
                assert "such as" not in said
    for call in calls[:2]:
        with pytest.raises(SolverError):
            call()


def test_solve_points_to_max_step_for_events():
    for where in (solve.__doc__, odeint_event.__doc__):
        assert "max_step" in where
    twice = lambda t, y: (t - 5.0) ** 2 - 1e-4  # it changes its sign twice within one long step
    solution = solve(lambda t, y: 0.0 * y, 1.0, [0.0, 10.0], event=twice, max_step=0.005)
    assert len(solution.event.t) == 2
    with pytest.raises(SolverError, match="needs a max_step"):
        odeint_event(lambda t, y: 0.0 * y, 1.0, 0.0, event=lambda t, y: t - 11.0, t_end=10.0)
