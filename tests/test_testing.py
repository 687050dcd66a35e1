"""The checks themselves: they must pass what is right, and fail what is wrong."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import axes, broadcasting_pairs, matrices, reductions, shapes

from tinyode import custom_vjp, jacobian, odeint, stop_gradient, vjp
from tinyode.testing import central_difference, check_odeint, check_vjp, complex_step, inner


def square_with(backward):
    @custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), backward)
    return square


def test_central_difference_is_of_order_four():
    errors = [
        abs(central_difference(np.exp, (np.array(0.3),), (np.array(1.0),), h) - np.exp(0.3))
        for h in (0.2, 0.1, 0.05)
    ]
    assert np.allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 4, atol=0.1)
    assert abs(central_difference(np.exp, (0.3,), (1.0,)) - np.exp(0.3)) < 1e-12
    d = central_difference(
        lambda p: {"y": p["a"] * p["b"]},
        ({"a": 2.0, "b": np.ones(2)},),
        ({"a": 1.0, "b": np.zeros(2)},),
    )
    np.testing.assert_allclose(d["y"], np.ones(2))


def test_inner():
    assert inner({"a": np.ones(2), "b": [2.0]}, {"a": np.array([1.0, 3.0]), "b": [5.0]}) == 14.0


@pytest.mark.parametrize(
    "backward",
    [
        lambda x, g: (g * x,),
        lambda x, g: (-2 * g * x,),
        lambda x, g: (2 * g * x * (1 + 1e-5),),
        lambda x, g: (None,),
    ],
)
def test_a_wrong_derivative_is_found(backward):
    x = np.array([0.5, 1.5, -2.0])
    check_vjp(square_with(lambda x, g: (2 * g * x,)), x, order=2)
    with pytest.raises(AssertionError, match="derivative 1: the vector-Jacobian product gives"):
        check_vjp(square_with(backward), x)


def test_a_missing_gradient_of_a_small_function_is_found():
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(lambda x: stop_gradient(1e-11 * np.sin(x)) + 0 * x, 0.3)


def test_a_wrong_second_derivative_is_found():
    """A backward function that is right, but hides from the engine how it depends on x."""
    hidden = square_with(lambda x, g: (2 * g * stop_gradient(x),))
    check_vjp(hidden, np.array([0.5, 1.5]), order=1)
    with pytest.raises(AssertionError, match="derivative 2: the vector-Jacobian product gives"):
        check_vjp(hidden, np.array([0.5, 1.5]), order=2)


def test_complex_step_is_right_to_rounding():
    # The example of Squire and Trapp
    f = lambda x, p: np.exp(x) * p["k"] / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3)
    x, k, v = 1.5, 2.0, 0.7
    exact = vjp(f, x, {"k": k})[1](1.0)[0] * v
    np.testing.assert_allclose(complex_step(f, (x, {"k": k}), (v, {"k": 0.0})), exact, rtol=1e-15)
    check_vjp(f, x, {"k": k}, difference=complex_step)
    with pytest.raises(AssertionError, match="derivative 1"):
        check_vjp(
            square_with(lambda x, g: (2 * g * x * (1 + 1e-11),)),
            np.array([0.5, 1.5]),
            difference=complex_step,
        )
    with pytest.raises(
        TypeError, match="complex_step: f returned a real value for a complex argument"
    ):
        complex_step(abs, (1.0,), (1.0,))


def test_an_order_that_checks_nothing_is_refused():
    with pytest.raises(ValueError, match="check_vjp: order=0 would check nothing"):
        check_vjp(np.sin, 1.0, order=0)


@given(st.data())
def test_what_is_drawn(data):
    shape = data.draw(shapes())
    axis = data.draw(axes(len(shape)))
    assert np.sum(np.ones(shape), axis=axis).ndim <= len(shape)
    a, b = data.draw(broadcasting_pairs())
    assert len(np.broadcast_shapes(a, b)) <= 3
    shape, axis, keepdims = data.draw(reductions())
    assert np.sum(np.ones(shape), axis=axis, keepdims=keepdims).ndim == len(shape) or not keepdims
    A = data.draw(matrices(3, (2,)))
    assert A.shape == (2, 3, 3)
    assert np.all(np.linalg.cond(A) < 10)
    assert np.all(np.diff(np.linalg.eigvalsh(A)) > 1)


def rk4(f, y, a, b, n=15):
    h = (b - a) / n
    for j in range(n):
        t = a + j * h
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        k3 = f(t + h / 2, y + h / 2 * k2)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(t + h, y + h * k3))
    return y


def euler(f, y, a, b, n=4):
    h = (b - a) / n
    for j in range(n):
        y = y + h * f(a + j * h, y)
    return y


def student_values(mistake, f, z0, t):
    """The forward solution as a student writes it, with one mistake, or with none."""

    z = [z0]
    for start, end in zip(t, t[1:]):
        length = end - start
        if mistake == "Euler":
            z.append(euler(f, z[-1], start, end))
        elif mistake == "one step":
            z.append(rk4(f, z[-1], start, end, n=1))
        elif mistake == "t0 in all":
            z.append(rk4(lambda time, z: f(t[0], z), z[-1], start, end))
        elif mistake == "time of the start":
            z.append(rk4(lambda time, z, start=start: f(start, z), z[-1], start, end))
        elif mistake == "time since t0":
            z.append(rk4(f, z[-1], start - t[0], end - t[0]))
        elif mistake == "time since the start":
            z.append(rk4(f, z[-1], 0.0, length))
        elif mistake == "no direction":
            z.append(rk4(f, z[-1], start, start + abs(length)) if length > 0 else z[-1])
        elif mistake == "|h|":
            back = t[1] < t[0]
            first, last = (2 * t[0] - start, 2 * t[0] - end) if back else (start, end)
            z.append(rk4(f, z[-1], first, last))
        elif mistake == "from z0":
            z.append(rk4(f, z0, start, end))
        elif mistake == "first length":
            z.append(
                rk4(f, z[-1], t[0] + (len(z) - 1) * (t[1] - t[0]), t[0] + len(z) * (t[1] - t[0]))
            )
        elif mistake == "sign of f":
            z.append(rk4(lambda time, z: -f(time, z), z[-1], start, end))
        elif mistake == "half the slopes":
            z.append(rk4(lambda time, z: 0.5 * f(time, z), z[-1], start, end))
        else:
            z.append(rk4(f, z[-1], start, end))
    if mistake == "values reversed":
        z = z[::-1]
    if mistake == "first value":
        z = [z[1], *z[1:]]
    if mistake == "off by one":
        z = [z0, *z[:-1]]
    return z


def student(mistake=None):
    """Algorithm 2 as a student writes it, in rk4 steps, with one mistake, or with none."""

    def odeint(f, z0, t, A, b):
        n = len(z0)

        def forward(z0, A, b, t):
            z = student_values(mistake, lambda t, z: f(t, z, A, b), z0, t)
            if mistake == "writes":
                z0[:] = 0
            return np.stack(z).T if mistake == "transposed values" else np.stack(z), (z, A, b, t)

        def backward(saved, g):
            z, A, b, t = saved
            sign = {"sign of a": -1.0, "a held": 0.0}.get(mistake, 1.0)
            g = g[::-1] if mistake == "g reversed" else g
            g = g * {"mean": 1 / len(t), "tenth": 0.1}.get(mistake, 1.0)
            a = {"last lost": 0, "last twice": 2}.get(mistake, 1) * g[-1]
            a_A, a_b, a_t = 0 * A, 0 * b, np.zeros(len(t))
            if mistake == "not linear":
                a = a + 0.01

            def augmented(time, s):
                z_now, a = z[i] if mistake == "z held" else s[:n], s[n : 2 * n]
                time = t[i] if mistake == "time held" else -time if mistake == "-t" else time
                value, pull = vjp(lambda z, A, b: f(time, z, A, b), z_now, A, b)
                dz, dA, db = pull(a)
                if mistake == "not transposed":
                    dz = jacobian(lambda z: f(time, z, A, b))(z_now) @ a
                if mistake == "a held in integrals":
                    _, dA, db = pull(a_start)
                value = -value if mistake == "f negated" else value
                slope = np.concatenate([value, -sign * dz, -dA.ravel(), -db])
                return -slope if mistake == "all negated" else slope

            for i in range(len(t) - 1, 0, -1):
                f_i = f(t[i], z[i], A, b)
                if mistake == "f at the state before":
                    f_i = f(t[i], z[i - 1], A, b)
                if mistake == "f at the time before":
                    f_i = f(t[i - 1], z[i], A, b)
                a_start = a
                if mistake == "times by a after":
                    a_t[i] = a @ f_i
                elif mistake == "times by a before":
                    a_t[i] = (a - g[i] if i < len(t) - 1 else a) @ f_i
                elif mistake != "times between" or i == len(t) - 1:
                    a_t[i] += g[i] @ f_i
                if mistake == "reset":
                    a_A, a_b = 0 * A, 0 * b
                z_end = z[i - 1] if mistake in ("z of the wrong end", "forwards") else z[i]
                z_end = z[-1] if mistake == "z of the last time" else z_end
                if mistake == "observation early":
                    a = a + g[i - 1]
                start, end = t[i], t[i - 1]
                if mistake in ("forwards", "forwards from z(ti)"):
                    start, end = end, start
                if mistake == "onwards":
                    end = start + (start - end)
                s = np.concatenate([z_end, a, a_A.ravel(), a_b])
                if not (mistake == "first interval" and i == 1) and not (
                    mistake == "last interval" and i == len(t) - 1
                ):
                    way = euler if mistake == "Euler backwards" else rk4
                    s = way(augmented, s, start, end)
                _, a, a_A, a_b = np.split(s, [n, 2 * n, 2 * n + n * n])
                a_A = a_A.reshape(n, n)
                if i == 1:
                    factor = {"sign of t0": 1, "t0 lost": 0}.get(mistake, -1)
                    a_t[0] = factor * (a @ f(t[0], z[0], A, b))
                if i == 1 and mistake == "t0 counts":
                    a_t[0] += g[0] @ f(t[0], z[0], A, b)
                if mistake == "one interval" and i == len(t) - 1:
                    kept = a_A
                first = i == 1
                weight = {
                    "observations lost": 0,
                    "first lost": not first,
                    "first twice": 1 + first,
                    "between twice": 2 - first,
                    "between lost": first,
                    "subtracted": -1,
                    "odd": 1 + 0.3 * first,
                }.get(mistake, 1)
                added = g[i] if mistake == "observation again" else g[i - 1]
                if mistake != "observation early":
                    a = added if mistake == "replaced" else a + weight * added
                if i == 1 and mistake == "t0 after":
                    a_t[0] = -a @ f(t[0], z[0], A, b)
                if i == 1 and mistake == "t0 after, and its sign":
                    a_t[0] = a @ f(t[0], z[0], A, b)
            f_at = [f(*point, A, b) for point in zip(t, z)]
            integral = a_t[0] + sum(g[i] @ f_at[i] for i in range(1, len(t)))
            if mistake == "no df/dt":
                a_t[0] -= integral
            if mistake == "sign of df/dt":
                a_t[0] -= 2 * integral
            if mistake == "sign of a f":
                a_t[0] = 2 * integral - a_t[0]
            if mistake == "no a f":
                a_t[0] = integral
            a_A = kept if mistake == "one interval" else a_A.T if mistake == "A transposed" else a_A
            a_A = -a_A if mistake == "sign of a_theta" else 0 * a_A if mistake == "A lost" else a_A
            a_b = -a_b if mistake == "sign of a_theta" else a_b
            a_t = a_t * {"nan": np.nan, "sign of all times": -1}.get(mistake, 1)
            return a, a_A, a_b, a_t[::-1] if mistake == "times reversed" else a_t

        solve = custom_vjp(lambda z0, A, b, t: forward(z0, A, b, t)[0])
        solve.defvjp(forward, backward)
        return [*solve(z0, A, b, t)] if mistake == "list" else solve(z0, A, b, t)

    def of_any_parameters(f, z0, t, *args):
        """Take A and b as they are, and other parameters as one vector in the place of b."""
        if len(args) == 2:
            return odeint(f, z0, t, *args)
        ends = np.cumsum([0, *map(np.size, args)])
        parts = [(slice(*ends[i : i + 2]), np.shape(x)) for i, x in enumerate(args)]
        unpacked = lambda b: [b[part].reshape(shape) for part, shape in parts]
        b = np.concatenate([np.zeros(0), *[np.reshape(x, -1) for x in args]])
        return odeint(lambda t, z, _, b: f(t, z, *unpacked(b)), z0, t, np.zeros((len(z0),) * 2), b)

    return of_any_parameters


def test_check_odeint_passes_a_right_adjoint():
    check_odeint(student(), max_examples=10)
    check_odeint(
        lambda f, y0, t, *args: odeint(f, y0, t, *args, rtol=1e-8, atol=1e-10, gradient="discrete"),
        max_examples=10,
    )


@pytest.mark.parametrize(
    "mistake, words",
    [
        ("values reversed", "the values z.t_i.: they are in reverse order"),
        ("first value", "the first is not that of z0"),
        ("not linear", r"dL/dz\(t0\) is not linear in the cotangent"),
        (
            "sign of a",
            (
                r"dL/dz\(t0\).*: the adjoint equation has the wrong sign, it is da/dt = -a\^T"
                r" df/dz: expected"
            ),
        ),
        (
            "not transposed",
            r"dL/dz\(t0\).*: df/dz is not transposed, it is da/dt = -\(df/dz\)\^T a: expected",
        ),
        ("z held", r": z stands still in the backward solve; it is solved backwards too"),
        ("time held", r": time stands still in the backward solve; f is taken at t there"),
        (
            "reset",
            (
                r"dL/dA.*: only the first interval is counted \(is it set to zero in each\?\):"
                r" expected"
            ),
        ),
        (
            "replaced",
            r"dL/dz\(t0\).*: dL/dz\(ti\) takes the place of a, instead of being added: expected",
        ),
        ("subtracted", r"dL/dz\(t0\).*: dL/dz\(ti\) is subtracted from a, not added: expected"),
        ("mean", r"dL/dz\(t0\).*: it is divided by the number of times: expected"),
        ("tenth", r"dL/dz\(t0\).*: it is 0\.1 times what it should be: expected"),
        (
            "between twice",
            r": the observations between the first and the last count twice: expected",
        ),
        ("between lost", r": the observations between the first and the last are lost; each is"),
        ("last lost", r": the last observation is lost; a starts as dL/dz at the last time"),
        ("t0 counts", r"dL/dt.*: dL/dt0 counts dL/dz\(t0\) too: expected"),
        ("nan", r"dL/dt is not finite: \[nan nan\]"),
        (
            "writes",
            "odeint has written into its argument z0; what it was given must stay as it was",
        ),
        ("transposed values", r"the values: expected shape \(2, 1\), .*; got \(1, 2\)"),
        ("list", r"the values: expected one array, of shape \(2, 1\); got a list"),
        ("observations lost", r"dL/dz\(t0\).*: the observations before the last are lost"),
        ("first lost", r"the observation at t0 is lost"),
        ("first twice", "the observation at t0 counts twice"),
        ("sign of t0", "dL/dt.*dL/dt0 has the wrong sign"),
        ("t0 lost", "dL/dt.*dL/dt0 is lost"),
        ("times between", "dL/dt.*: that of a time between is lost"),
        ("times reversed", "dL/dt.*they are in reverse order"),
        ("sign of all times", "dL/dt: it has the wrong sign, all of it: expected"),
        ("A transposed", "dL/dA.*it is transposed"),
        ("one interval", "dL/dA.*only the last interval is counted"),
        ("sign of a_theta", "dL/dA: dL/dA and dL/db have the wrong sign, it is da_theta/dt"),
        ("A lost", "dL/dA.*it is zero: lost"),
        ("times by a after", r"that of a time between is a\(ti\) \. f\(ti, z\(ti\)\), after dL/dz"),
        (
            "times by a before",
            r"that of a time between is a\(ti\) \. f\(ti, z\(ti\)\), before dL/d",
        ),
        (
            "t0 after",
            r"dL/dt0 is -a \. f\(t0, z0\) with the a after .* -a \. f with the a before: ",
        ),
        (
            "t0 after, and its sign",
            r"dL/dt0 is a \. f\(t0, z0\) with the a after .* with the a before",
        ),
        (
            "forwards",
            r"the intervals are solved forwards, .* with z from z\(t\(i-1\)\); it is from",
        ),
        ("forwards from z(ti)", r"the intervals are solved forwards, from t\(i-1\) to ti; it is "),
        ("onwards", "the backward solve from ti goes on to later times"),
        ("g reversed", "the observations are taken in reverse order"),
        ("f negated", r"dL/dA.*: dz/dt is -f in the backward solve; it is f there too"),
        ("all negated", "all slopes of the backward solve are negated; they stay"),
        ("-t", "f is taken at -t in the backward solve"),
        ("z of the wrong end", r"the backward solve from ti starts with z\(t\(i-1\)\); it starts"),
        ("z of the last time", "every backward solve starts with z at the last time; the one from"),
        ("a held", "a stands still in the backward solve"),
        ("a held in integrals", "a stands still in the integrals for dL/dA and dL/db"),
        ("last twice", "the last observation counts twice"),
        ("observation again", r"after the solve from ti to t\(i-1\), dL/dz\(ti\) is added again"),
        ("observation early", r"dL/dz\(t\(i-1\)\) is added before the solve from ti to t\(i-1\)"),
        ("first interval", "the interval between t1 and t0 is left out"),
        ("last interval", "the interval before the last time is left out"),
        ("f at the state before", "that of the last time has f at the state of another time"),
        ("f at the time before", "that of the last time has f at another time"),
        ("no df/dt", r"dL/dt0 lacks the integral of a \. df/dt"),
        ("sign of df/dt", r"dL/dt0 has the integral of a \. df/dt with the wrong sign"),
        ("sign of a f", r"dL/dt0 has \+a \. f of the last time and of those between, it is -a"),
        ("no a f", r"dL/dt0 lacks -a \. f of the last time and of those between"),
        ("odd", r"for a loss of one z\(ti\) alone, .* right for z\(t1\), .* and wrong for z\(t0\)"),
        ("t0 in all", r"the values z\(t_i\): time stands still, f is always taken at t0"),
        ("time of the start", "time stands still in each interval, f is taken at its start"),
        ("time since t0", "f is taken at the time since t0, not at t"),
        ("time since the start", "f is taken at the time since the start of each interval"),
        ("no direction", r"backwards in time\): they are all z0; does the loop over the steps"),
        ("|h|", r"backwards in time\): time runs forwards, where it must decrease"),
        ("from z0", "each interval starts from z0 again"),
        ("first length", "each interval is as long as the first"),
        ("sign of f", "f has the wrong sign"),
        ("off by one", "after the first, each is that of the time before"),
        ("half the slopes", "does not come from long steps .* in 64 pieces, the error is still"),
    ],
)
def test_check_odeint_names_what_is_wrong(mistake, words):
    with pytest.raises(AssertionError, match=words) as error:
        check_odeint(student(mistake), max_examples=6)
    assert str(error.value).count(", or ") <= 2


@pytest.mark.parametrize(
    "mistake, order, pieces, shorter",
    [("Euler", 1.0, 64, "9.. times shorter"), ("one step", 3.8, 2, "2 times shorter")],
)
def test_check_odeint_says_how_much_shorter_the_steps_must_be(mistake, order, pieces, shorter):
    with pytest.raises(AssertionError) as error:
        check_odeint(student(mistake), max_examples=12)
    message = str(error.value)
    assert re.search(r"they are off by \d\.\de-0\d relative to 1 \+ \|z\|, where 1.0e-04", message)
    assert f"in {pieces} pieces, the error falls with order {order} to " in message
    assert re.search(f"Steps about {shorter} would do, or a tolerance", message)
    assert "by an accurate solution; got" in message
    check_odeint(student("one step"), max_examples=6, rtol=1e-2)


def test_check_odeint_says_how_much_smaller_a_tolerance_must_be():
    """The values of the first are too far off; the gradients of the others, and not the values."""

    def loose(f, y0, t, *args):
        return odeint(f, y0, t, *args, rtol=1e-2, atol=1e-2, gradient="interpolated")

    with pytest.raises(
        AssertionError, match=r"the values.* A tolerance \d+ times smaller would do"
    ):
        check_odeint(loose, max_examples=12)
    with pytest.raises(AssertionError, match=r"dL/.* is off by .* or something stands still: "):
        check_odeint(student("Euler backwards"), max_examples=6)
    for options in (
        {"method": "bosh3", "rtol": 1e-2, "atol": 1e-2, "gradient": "discrete"},
        {"method": "rk4", "step_size": 0.6, "gradient": "discrete"},
    ):
        with pytest.raises(AssertionError, match=r"dL/.* is off by .* or something stands still: "):
            check_odeint(lambda f, y0, t, *args: odeint(f, y0, t, *args, **options), max_examples=6)


@pytest.mark.parametrize("gradient", ["adjoint", "discrete", "interpolated", "forward"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "radau_iia5"},
        {"method": "rk4", "step_size": 0.1},
        {"method": "gauss_legendre4", "step_size": 0.1},
        {"method": "tsit5", "rtol": 1e-5, "atol": 1e-7},
    ],
    ids=lambda options: options.get("method", "dopri5"),
)
def test_check_odeint_passes_all_ways_to_differentiate(gradient, options):
    check_odeint(
        lambda f, y0, t, *args: odeint(f, y0, t, *args, gradient=gradient, **options),
        max_examples=5,
    )


def test_an_adaptive_adjoint_is_as_linear_as_it_is_right():
    """Twice the cotangent gives twice the gradient, but only within the tolerance.

    For its steps depend on the size of a.
    """
    check_odeint(
        lambda f, y0, t, *args: odeint(f, y0, t, *args, rtol=1e-3, atol=1e-5),
        rtol=3e-2,
        max_examples=10,
    )


def test_what_cannot_be_checked_is_refused_by_name():
    for wrong, message in (
        ({"rtol": None}, "rtol=None must be a number between 0 and 1"),
        ({"rtol": np.inf}, "rtol=inf"),
        ({"rtol": 0}, "rtol=0 must"),
        ({"max_examples": 0}, "max_examples=0 must be a whole number, 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            check_odeint(odeint, **wrong)
    with pytest.raises(TypeError, match="odeint must be a function"):
        check_odeint(3)
    for wrong, message in (
        ({"order": 1.5}, r"order=1\.5"),
        ({"difference": "central"}, "difference='central' is not known"),
        ({"rtol": -1}, "rtol=-1 must"),
    ):
        with pytest.raises(ValueError, match=message):
            check_vjp(np.sin, 1.0, **wrong)


def test_mistakes_in_problems_that_run_backwards_in_time_are_found():
    def broken(f, y0, t, *args):
        back = stop_gradient(t)[1] < stop_gradient(t)[0]
        return odeint(f, stop_gradient(y0) if back else y0, t, *args)

    with pytest.raises(
        AssertionError,
        match=r"dL/dz\(t0\) \(in a problem that runs backwards in time\): it is zero",
    ):
        check_odeint(broken, max_examples=6)


def test_gradients_that_are_nearly_right_are_found():
    """With f at the wrong time, and by a thousandth; and every argument is looked at."""

    def broken(f, y0, t, *args):
        wrong = odeint(
            lambda time, y, t0, *args: f(t0, y, *args), y0, t, stop_gradient(t)[0], *args
        )
        return wrong + stop_gradient(odeint(f, y0, t, *args) - wrong)

    slightly = lambda f, y0, t, *args: odeint(f, 1.001 * y0 - 0.001 * stop_gradient(y0), t, *args)
    for solver, name in (
        (broken, "dL/d"),
        (slightly, r"dL/dz\(t0\): it is 1\.001 times"),
        (lambda f, y0, t, A, b: odeint(f, y0, t, A, stop_gradient(b)), "dL/db.*: it is zero: lost"),
    ):
        with pytest.raises(AssertionError, match=name):
            check_odeint(solver, max_examples=6)
    check_odeint(slightly, max_examples=6, rtol=1e-2)


@pytest.mark.parametrize(
    "solver, words",
    [
        (lambda f, y0, t, A, b: odeint(f, y0, t, A, b), r"no array, as in odeint\(f, y0, t\), it"),
        (
            lambda f, y0, t, A, *b: odeint(f, y0, t, A, *b),
            "no array, .* raises TypeError: .*must take any number of arrays, def odeint",
        ),
        (
            lambda f, y0, t, *args: odeint(f, y0, t, *args[:1], *args[1:2]),
            r"three arrays, as in odeint\(f, y0, t, a, b, c\), it raises TypeError",
        ),
        (
            lambda f, y0, t, *args: odeint(f, y0, t, *args[:2], *map(stop_gradient, args[2:])),
            r"three arrays, .* dL/d\(args\[2\]\) is wrong: expected \[.*; got \[0. 0.\]",
        ),
        (
            lambda f, y0, t, *args: odeint(
                f, y0, t, *(args if len(args) > 1 else map(stop_gradient, args))
            ),
            r"one array, as in odeint\(f, y0, t, a\), dL/d\(args\[0\]\) is wrong",
        ),
        (
            lambda f, y0, t, *args: odeint(f, y0 if args else stop_gradient(y0), t, *args),
            r"no array, .* dL/dz\(t0\) is wrong: expected",
        ),
        (
            lambda f, y0, t, *args: odeint(f, y0 * (1 + (len(args) == 3)), t, *args),
            r"three arrays, .* z\(t_i\) is wrong: expected",
        ),
    ],
)
def test_check_odeint_gives_none_one_and_three_arrays_too(solver, words):
    with pytest.raises(AssertionError, match=f"(?s)with two arrays .* is right; with {words}"):
        check_odeint(solver, max_examples=3)


def test_rounding_of_a_difference_is_allowed_for():
    check_vjp(lambda x: np.sin(x) ** 2 + np.cos(x) ** 2, np.array([0.3, 1.1]), order=1)


def test_a_second_derivative_wrong_by_little_is_found():
    square = square_with(lambda x, g: (2 * g * (x + 5e-5 * (x - stop_gradient(x))),))
    check_vjp(square, np.array([0.5, 1.5]), order=1)
    with pytest.raises(AssertionError, match="derivative 2"):
        check_vjp(square, np.array([0.5, 1.5]), order=2)
