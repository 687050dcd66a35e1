"""A user's own exception comes out as the same object, from every function that a user gives."""

import numpy as np
import pytest

from tinyode import (
    compiled,
    custom_vjp,
    grad,
    jacobian,
    odeint,
    odeint_batch,
    odeint_event,
    program,
    root,
    solve,
    solve_batch,
    vjp,
)
from tinyode.optim import adam
from tinyode.solvers.tableaus import TABLEAUS

Y, T = np.array([1.0, 0.5]), np.array([0.0, 0.4, 1.0])


def kinds():
    """Return makers of a user's exceptions; some constructors take no message."""
    classes = []
    for base in (
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        RuntimeError,
        Exception,
        KeyError,
    ):

        class Plain(base):
            pass

        class Outside(base):
            def __init__(self, name, value):
                super().__init__(f"{name} is {value}")
                self.name, self.value = name, value

        class Frozen(base):
            def __init__(self, *, code):
                object.__setattr__(self, "code", code)

            def __setattr__(self, name, value):
                raise TypeError("frozen")

        classes += [
            lambda kind=Plain: kind("mine"),
            lambda kind=Outside: kind("T", -1.0),
            lambda kind=Frozen: kind(code=3),
        ]
    for kind in (ValueError, TypeError, IndexError, AttributeError):
        classes.append(lambda kind=kind: kind("read-only, as an array of f's own"))
    return classes


MAKE = kinds()


def assert_comes_out(call, make=MAKE[1]):
    """Assert that what ``raises`` raises comes out of ``call(raises)``, with its own cause."""
    raised, cause = [], OSError("why")

    def raises(*_, **__):
        error = make()
        raised.append(error)
        raise error from cause

    with pytest.raises(Exception) as caught:
        call(raises)
    assert caught.value in raised and caught.value.__cause__ is cause
    assert str(caught.value) == str(make())


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("method", ["dopri5", "rk4", "kvaerno5", "trapezoid", "radau_iia5"])
def test_from_f(method, make):
    assert_comes_out(lambda f: solve(f, Y, T, method=method), make)
    assert_comes_out(
        lambda f: solve(lambda t, y: f() if t > 0.5 else -y, Y, T, method=method), make
    )
    assert_comes_out(lambda f: odeint(f, list(Y), T, method=method), make)


@pytest.mark.parametrize("make", MAKE)
def test_from_f_where_other_arguments_would_do(make):
    """A list for y0, and f of (y, t): the exception that f raises itself says enough."""

    def of_arrays(raises, y):
        return -y if isinstance(y, np.ndarray) else raises()

    for y0 in ([1.0, 0.5], (1.0, 0.5)):
        assert_comes_out(lambda f, y0=y0: odeint(lambda t, y: of_arrays(f, y), y0, T), make)
        assert_comes_out(lambda f, y0=y0: root(lambda u: of_arrays(f, u), y0), make)
    assert_comes_out(lambda f: solve(lambda y, t: of_arrays(f, y), Y, T), make)
    exchanged = lambda f: lambda y, t: of_arrays(f, y)
    assert_comes_out(lambda f: odeint_event(exchanged(f), Y, 0.0, event=f, t_end=1.0), make)


@pytest.mark.parametrize("method", TABLEAUS)
def test_from_f_where_it_is_differentiated(method):
    def call(f):
        solve(lambda t, y: -y if type(y) is np.ndarray else f(), Y, T, method=method)
        f()

    assert_comes_out(call)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("way", ["adjoint", "discrete", "interpolated", "forward"])
def test_from_f_in_a_gradient(way, make):
    for method in ("dopri5", "kvaerno3"):

        def loss(k, f, method=method):
            field = lambda t, y, k: -k * y if type(y) is np.ndarray and type(k) is not list else f()
            return np.sum(odeint(field, Y, T, k, gradient=way, method=method))

        assert_comes_out(lambda f, loss=loss: (grad(loss)(2.0, f), f()), make)
        total = lambda f, k, method=method: np.sum(odeint(f, Y, T, k, gradient=way, method=method))
        assert_comes_out(lambda f, total=total: grad(lambda k: total(f, k))(1.0), make)


@pytest.mark.parametrize("make", MAKE)
def test_from_every_other_function(make):
    f = lambda t, y, *args: -y
    calls = [
        lambda g: solve(f, Y, T, event=g),
        lambda g: solve(f, Y, T, norm=g),
        lambda g: solve(f, Y, T, method="kvaerno5", jacobian=g),
        lambda g: odeint_event(f, Y, 0.0, event=g, t_end=1.0),
        lambda g: odeint_event(g, Y, 0.0, event=f, t_end=1.0),
        lambda g: solve_batch(g, Y[:, None], T),
        lambda g: odeint_batch(g, Y[:, None], T),
        lambda g: root(g, Y),
        lambda g: root(lambda u: u - 1 if type(u) is np.ndarray else g(), Y),
        lambda g: vjp(g, Y),
        lambda g: jacobian(g)(Y),
        lambda g: compiled(g)(Y),
        lambda g: program(g, Y),
        lambda g: odeint(compiled(g), Y, T),
        lambda g: solve(compiled(g), Y, T, method="kvaerno3"),
    ]
    for call in calls:
        assert_comes_out(call, make)


@pytest.mark.parametrize("make", MAKE)
def test_from_a_derivative_by_hand_and_a_schedule(make):
    def by_hand(forward, backward):
        f = custom_vjp(lambda x: x * x)
        f.defvjp(forward, backward)
        return lambda: grad(lambda x: np.sum(f(x)))(Y)

    assert_comes_out(lambda g: by_hand(g, lambda x, g: (g,))(), make)
    assert_comes_out(lambda g: by_hand(lambda x: (x, x), g)(), make)
    init, update = adam(1e-3)
    state = init(Y)
    assert_comes_out(lambda g: adam(g)[1](Y, Y, state), make)
    assert update(Y, Y, state)


def only_of_numbers(t, y):
    if type(y) is not np.ndarray:
        raise MAKE[1]()
    return -y


@pytest.mark.parametrize("size", [3, 30])
@pytest.mark.parametrize("options", [{}, {"step_size": 0.01}])
@pytest.mark.parametrize(
    "f",
    [
        only_of_numbers,
        lambda t, y: np.array([-float(x) for x in y]),
        lambda t, y: -np.fft.irfft(np.fft.rfft(y), y.size),
    ],
)
def test_an_implicit_method_takes_what_the_engine_cannot_differentiate(f, options, size):
    """The Jacobian only decides how fast Newton's method converges; differences serve as well."""
    y0 = np.linspace(1, 2, size)
    y = solve(f, y0, [0, 1.0], method="radau_iia5", **options).y[-1]
    np.testing.assert_allclose(y, y0 * np.exp(-1), rtol=1e-6)


@pytest.mark.parametrize("size", [3, 30])
def test_an_exception_in_the_differences_comes_out(size):
    """f is left alone with numbers, and what it raises there is the user's own."""

    def f(t, y):
        if np.any(y != y[0]):
            raise MAKE[1]()
        return np.array([-float(x) for x in y])

    with pytest.raises(ValueError, match=r"T is -1\.0"):
        solve(f, np.ones(size), T, method="kvaerno5")
