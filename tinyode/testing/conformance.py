"""`check_odeint`: is this a differentiable ODE solver, and if not, which mistake was made?

A mistake is recognised by making it: `algorithm_2` is Algorithm 2 of the sources, accurate, with a
place for every mistake of `MISTAKES`, and a gradient that is wrong is compared with what each of
them gives.
"""

import numpy as np

from ..autodiff import vjp
from ..solvers import solve
from .differences import central_difference, check_rtol, inner
from .drawing import hypothesis_and_strategies

NAMES = ("dL/dz(t0)", "dL/dA", "dL/db", "dL/dt")
MISTAKES = {  # in words: the change to `algorithm_2`
    "the adjoint equation has the wrong sign, it is da/dt = -a^T df/dz": {"sign": -1},
    "df/dz is not transposed, it is da/dt = -(df/dz)^T a": {"transposed": False},
    "z stands still in the backward solve": {"z_moves": False},
    "time stands still in the backward solve": {"time_moves": False},
    "the observations before the last are lost": {"add": lambda a, g, i: a},
    "the last observation is lost": {"last": 0},
    "the observation at t0 is lost (it is z0 itself)": {"add": lambda a, g, i: a + g * (i > 0)},
    "the observations between the first and the last are lost": {
        "add": lambda a, g, i: a + g * (i == 0)
    },
    "the observation at t0 counts twice": {"add": lambda a, g, i: a + g * (1 + (i == 0))},
    "the observations between the first and the last count twice": {
        "add": lambda a, g, i: a + g * (1 + (i > 0))
    },
    "dL/dz(ti) is subtracted from a, not added": {"add": lambda a, g, i: a - g},
    "dL/dz(ti) takes the place of a, instead of being added": {"add": lambda a, g, i: g},
    "only the last interval is counted": {"count": lambda i, N: i == N},
    "only the first interval is counted (is it set to zero in each?)": {
        "count": lambda i, N: i == 1
    },
}


def field(t, z, A, b):
    """Return dz/dt."""
    return np.tanh(A @ z + b * np.sin(t))


def accurate(z0, A, b, t):
    """Return the states at the times, shape (T, n)."""
    return solve(field, z0, t, A, b, method="dop853", rtol=1e-12, atol=1e-13).y


def problem(n, times, backwards, seed):
    """Return (z0, A, b, t) and the weights w of the loss sum_i <w_i, z(t_i)>."""
    rng = np.random.default_rng(seed)
    z0, A, b = rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=n)
    t = np.cumsum(rng.uniform(0.2, 0.6, times)) - 0.5
    return (z0, A, b, t[::-1].copy() if backwards else t), rng.normal(size=(times, n))


def gradients(primals, w):
    """Return the gradients of <w, z> for z0, A, b, t, by finite differences."""
    found = [np.zeros_like(x) for x in primals]
    for i, gradient in enumerate(found):
        for j in np.ndindex(gradient.shape):
            v = [np.zeros_like(x) for x in primals]
            v[i][j] = 1.0
            gradient[j] = inner(w, central_difference(accurate, primals, tuple(v), h=1e-2))
    return found


def algorithm_2(
    primals,
    w,
    sign=1,
    transposed=True,
    z_moves=True,
    time_moves=True,
    last=1,
    add=lambda a, g, i: a + g,
    count=lambda i, N: True,
):
    """Return the gradients of <w, z> for z0, A, b, t, by Algorithm 2, right as it stands, and wrong
    in the way that is asked for.
    """
    z0, A, b, t = primals
    z, n, N = accurate(*primals), len(z0), len(t) - 1
    a, a_A, a_b, a_t = last * w[-1], 0 * A, 0 * b, np.zeros(N + 1)
    for i in range(N, 0, -1):
        start = t[i]

        def aug_dynamics(time, s, start=start, i=i):
            slope, pullback = vjp(
                lambda z, A, b: field(time if time_moves else start, z, A, b),
                s[0] if z_moves else z[i],
                A,
                b,
            )
            a_J, da_A, da_b = pullback(s[1])
            if not transposed:
                a_J = np.stack([pullback(unit)[0] for unit in np.eye(n)]) @ s[1]
            return slope, -sign * a_J, -da_A, -da_b

        a_t[i] = w[i] @ field(t[i], z[i], A, b)
        s = solve(
            aug_dynamics,
            (z[i], a, 0 * A, 0 * b),
            [t[i], t[i - 1]],
            method="dop853",
            rtol=1e-9,
            atol=1e-11,
        ).y
        a, a_A, a_b = s[1][-1], a_A + count(i, N) * s[2][-1], a_b + count(i, N) * s[3][-1]
        if i == 1:
            a_t[0] = -a @ field(t[0], z[0], A, b)
        a = add(a, w[i - 1], i - 1)
    return [a, a_A, a_b, a_t]


def explanations(found, expected, primals, w, same):
    """Return what can have made the first gradient that is wrong so, in words; ``same(x, y)`` says
    whether two arrays agree.
    """
    i = next(i for i in range(4) if not same(found[i], expected[i]))
    words, wrong, right = [], found[i], expected[i]
    factor = inner(wrong, right) / inner(right, right)
    if same(wrong, factor * right):
        words.append(
            "it is zero: lost"
            if abs(factor) < 1e-3
            else (
                "it has the wrong sign, all of it"
                if abs(factor + 1) < 1e-3
                else (
                    "it is divided by the number of times"
                    if abs(factor * len(w) - 1) < 1e-3
                    else f"it is {factor:.6g} times what it should be"
                )
            )
        )
    if i == 1 and same(wrong, right.T):
        words.append("it is transposed")
    if i == 3 and same(wrong, right[::-1]):
        words.append("they are in reverse order")
    elif i == 3:
        z0, A, b, t = primals
        counted = right[0] + w[0] @ field(t[0], z0, A, b)
        for j, name in enumerate(
            ["dL/dt0", *["that of a time between"] * (len(t) - 2), "that of the last time"]
        ):
            wrong_in = {
                "has the wrong sign": -right[j],
                "is lost": 0.0,
                **({"counts dL/dz(t0) too": counted} if j == 0 else {}),
            }
            words += [
                f"{name} {how}"
                for how, value in wrong_in.items()
                if not same(wrong[j], right[j]) and same(wrong[j], value)
            ]
    made = {word: algorithm_2(primals, w, **change) for word, change in MISTAKES.items()}
    matching = [word for word, result in made.items() if same(wrong, result[i])]
    whole = [word for word in matching if all(same(x, y) for x, y in zip(found, made[word]))]
    return i, list(dict.fromkeys(words + (whole or matching)))


def check_odeint(odeint, rtol=1e-4, max_examples=25):
    """Hold an odeint-like function and its gradients against finite differences of an accurate
    solution, on drawn problems.

    The problems are dz/dt = tanh(A z + b sin t) with one to three components, two to four times,
    increasing or decreasing, and the loss sum_i <w_i, z(t_i)>. Hypothesis draws them, and reports
    the smallest that fails.

    Parameters
    ----------
    odeint : function
        ``odeint(f, y0, t, *args)`` returns an array of shape (len(t), len(y0)) and is
        differentiable by `tinyode.vjp`: recorded, or with a `tinyode.custom_vjp` of your own.
    rtol : float
        The accuracy to expect, relative to 1 + |expected|.
    max_examples : int
        How many problems to draw.

    Raises
    ------
    AssertionError
        On the smallest problem found, with what is wrong, in words where the mistake is one that is
        often made: a sign, the order of times, a lost observation, a Jacobian that is not
        transposed ... (`MISTAKES`). Where a small problem does not tell mistakes apart, a larger
        one does.
    TypeError, ValueError
        If ``odeint`` is not a function, ``rtol`` not between 0 and 1, ``max_examples`` not 1 or
        more. What ``odeint`` raises is passed on.
    """
    if not callable(odeint):
        raise TypeError(
            f"check_odeint: odeint must be a function odeint(f, y0, t, *args); got {odeint!r}"
        )
    check_rtol("check_odeint", rtol)
    if (
        isinstance(max_examples, bool)
        or not isinstance(max_examples, (int, np.integer))
        or max_examples < 1
    ):
        raise ValueError(
            f"check_odeint: max_examples={max_examples!r} must be a whole number, 1 or more"
        )
    hypothesis, st = hypothesis_and_strategies()
    same = lambda x, y: np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=rtol, atol=rtol)
    failing = {}

    def attempt(primals, w):
        """Return the gradients of the function on a problem, and the right ones; raise if what they
        belong to is wrong already.
        """
        given = [x.copy() for x in primals]

        def unchanged():
            for name, before, after in zip(("z0", "A", "b", "t"), primals, given):
                if not np.array_equal(before, after):
                    raise AssertionError(
                        f"odeint has written into its argument {name}; what it was given must stay"
                        " as it was"
                    )

        value, pullback = vjp(lambda z0, A, b, t: odeint(field, z0, t, A, b), *given)
        unchanged()
        if isinstance(value, (tuple, list, dict)):
            raise AssertionError(
                f"the values: expected one array, of shape {w.shape}; got a {type(value).__name__}"
            )
        if np.shape(value) != w.shape:
            raise AssertionError(
                f"the values: expected shape {w.shape}, one state per time, the first included; got"
                f" {np.shape(value)}"
            )
        exact = accurate(*primals)
        if not same(value, exact):
            words = [
                word
                for word, wrong in (
                    ("they are in reverse order", exact[::-1]),
                    ("they are not finite", value * np.nan),
                    ("the first is not that of z0", np.concatenate([exact[1:2], exact[1:]])),
                )
                if np.allclose(value, wrong, rtol=rtol, atol=rtol, equal_nan=True)
            ]
            raise AssertionError(_message("the values z(t_i)", words, exact, value))
        plain = odeint(field, given[0], given[3], given[1], given[2])
        if not same(plain, exact):
            raise AssertionError(
                _message(
                    "the values for plain numbers, where nothing is differentiated",
                    [],
                    exact,
                    plain,
                )
            )
        found, twice = pullback(w), pullback(2 * w)
        unchanged()
        for name, x, y in zip(NAMES, found, twice):
            if not np.all(np.isfinite(x)):
                raise AssertionError(f"{name} is not finite: {x}")
            if not same(2 * x, y):
                raise AssertionError(
                    f"{name} is not linear in the cotangent: twice the cotangent must give twice"
                    " the gradient; is something kept from one backward pass to the next?"
                )
        return found, gradients(primals, w)

    @hypothesis.settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(st.integers(1, 3), st.integers(2, 4), st.booleans(), st.integers(0, 99))
    def on_problem(n, times, backwards, seed):
        primals, w = problem(n, times, backwards, seed)
        failing.clear()
        found, expected = attempt(primals, w)
        if not all(same(x, y) for x, y in zip(found, expected)):
            failing.update(
                found=found, expected=expected, primals=primals, w=w, larger=(3, 4, backwards, seed)
            )
            raise AssertionError

    try:
        on_problem()
        return
    except AssertionError:
        if not failing:
            raise
    larger = failing.pop("larger")
    i, words = explanations(**failing, same=same)
    primals, w = problem(*larger)
    found, expected = attempt(primals, w)
    if not all(same(x, y) for x, y in zip(found, expected)):  # where more can be told apart
        there, more = explanations(found, expected, primals, w, same)
        words = [word for word in words if word in more] or (more if there == i else words)
    backward_in_time = " (in a problem that runs backwards in time)" * bool(
        failing["primals"][3][0] > failing["primals"][3][-1]
    )
    raise AssertionError(
        _message(NAMES[i] + backward_in_time, words, failing["expected"][i], failing["found"][i])
    )


def _message(what, words, expected, found):
    return (
        f"{what}{': ' * bool(words)}{', or '.join(words)}: expected {expected}, by an accurate"
        f" solution and finite differences; got {found}"
    )
