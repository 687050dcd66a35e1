"""solve_batch: the numbers of a loop over samples, each at its own cost; and its refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from tinyode import SolverError, grad, solve, solve_batch
from tinyode.solvers import StepTooSmall, TooManySteps
from tinyode.solvers.tableaus import TABLEAUS

EXPLICIT = [name for name, tableau in TABLEAUS.items() if not tableau.implicit]


def pendulum(t, y, k):
    return np.stack([y[:, 1], -k[:, 0] * np.sin(y[:, 0]) + 0.1 * np.cos(3 * t[:, 0])], axis=1)


def one_pendulum(t, y, k):
    return np.array([y[1], -k[0] * np.sin(y[0]) + 0.1 * np.cos(3 * t)])


@settings(max_examples=60)
@given(
    seeds,
    st.sampled_from(EXPLICIT),
    st.integers(1, 7),
    st.integers(2, 6),
    st.booleans(),
    st.sampled_from([(0,), ()]),
)
def test_the_same_numbers_as_a_loop_over_samples(seed, method, B, T, own_times, batched):
    """States are the same to rounding, and statistics exactly.

    Rows of t have their own intervals, directions and numbers of steps.
    """
    rng = np.random.default_rng(seed)
    y0, k = rng.uniform(-2, 2, (B, 2)), rng.uniform(0.1, 9, (B, 1))
    t = (
        np.cumsum(rng.uniform(0.1, 0.9, (B, T)), axis=1)
        * rng.uniform(0.1, 3, (B, 1))
        * rng.choice([1, -1], (B, 1))
    )
    options = (
        {"step_size": 0.11}
        if rng.random() < 0.3 or TABLEAUS[method].e is None
        else {"rtol": 1e-5, "max_step": 0.7}
    )
    together = solve_batch(
        pendulum, y0, t if own_times else t[0], k, method=method, batched=batched, **options
    )
    assert together.y.shape == (T, B, 2)
    for i in range(B):
        alone = solve(
            one_pendulum, y0[i], t[i] if own_times else t[0], k[i], method=method, **options
        )
        np.testing.assert_allclose(together.y[:, i], alone.y, atol=1e-9)
        for name in ("nfev", "accepted", "rejected", "jacobians"):
            assert getattr(together.stats, name)[i] == getattr(alone.stats, name)


@given(seeds, st.sampled_from([(), (3,), (2, 1), (2, 2, 2)]))
def test_shapes_and_t_that_broadcasts(seed, shape):
    rng = np.random.default_rng(seed)
    y0 = rng.normal(size=(4, *shape))

    def f(t, y):
        assert t.shape == (len(y), *[1] * len(shape))
        return np.cos(t) * y

    solution = solve_batch(f, y0, [0.0, 1.0, 2.0], rtol=1e-9)
    np.testing.assert_allclose(
        solution.y,
        y0 * np.exp(np.sin(np.array([0.0, 1.0, 2.0]))).reshape(3, 1, *[1] * len(shape)),
        rtol=1e-6,
    )
    assert solution.t.shape == (3,)


def test_containers():
    y0 = {
        "q": np.arange(6.0).reshape(3, 2),
        "p": (np.ones((3, 1)), np.full((3, 2), 0.5, np.float32)),
    }
    k = {"a": np.array([[1.0], [2.0], [3.0]])}

    def f(t, y, scale, k):
        q, (p, r) = y["q"], y["p"]
        assert len(k["a"]) == len(q) == len(t) and scale.shape == (2,)
        return {"q": -k["a"] * q * scale, "p": (p * 0.0, (r * 0.0).astype(np.float32))}

    t = np.array([[0.0, 1.0], [0.0, 0.1], [0.0, 2.0]])
    y = solve_batch(f, y0, t, np.array([1.0, 2.0]), k, batched=(1,)).y
    np.testing.assert_allclose(
        y["q"][1], y0["q"] * np.exp(-k["a"] * [1.0, 2.0] * t[:, 1:]), rtol=1e-5, atol=1e-8
    )
    assert y["p"][0].shape == (2, 3, 1) and y["p"][1].dtype == np.float32


def test_samples_that_have_ended_are_left_out():
    """f sees fewer and fewer rows.

    They are less than half of what it would see if all samples took as many steps as the slowest.
    """
    rates, rows = np.geomspace(1, 1000, 10)[:, None], []

    def f(t, y, k):
        rows.append(len(y))
        return k * np.stack([y[:, 1], -y[:, 0]], axis=1)

    solution = solve_batch(f, np.tile([1.0, 0.0], (10, 1)), [0, 1.0], rates, batched=(0,))
    np.testing.assert_allclose(solution.y[-1, :, 0], np.cos(rates[:, 0]), atol=1e-2)
    assert rows == sorted(rows, reverse=True) and rows[0] == 10 and rows[-1] == 1
    # 10 more, to see that f does not mind
    assert sum(rows) == solution.stats.nfev.sum() + 10 < 0.4 * 10 * solution.stats.nfev.max()


def test_a_closure_over_all_samples_is_given_all_samples():
    """Or over an argument with a row for each sample that was not said to be one.

    The numbers are the same.
    """
    k, rows = np.array([[1.0], [20.0], [300.0]]), []
    own = solve_batch(
        lambda t, y, k: rows.append(len(y)) or -k * y, np.ones((3, 1)), [0, 1.0], k, batched=(0,)
    )
    for solution in (
        solve_batch(lambda t, y: -k * y, np.ones((3, 1)), [0, 1.0]),
        solve_batch(lambda t, y, k: -k * y, np.ones((3, 1)), [0, 1.0], k),
    ):
        np.testing.assert_array_equal(solution.y, own.y)
        assert solution.stats.nfev.tolist() == own.stats.nfev.tolist()
    assert set(rows) == {1, 2, 3}


def test_tolerances_of_each_sample():
    k = np.ones((3, 1))
    tolerance = np.array([[1e-3], [1e-6], [1e-9]])
    f = lambda t, y: np.stack([y[:, 1], -y[:, 0]], axis=1)
    solution = solve_batch(
        f, np.tile([1.0, 0.0], (3, 1)), [0, 10.0], rtol=tolerance, atol=tolerance * k
    )
    errors = np.abs(solution.y[-1, :, 0] - np.cos(10.0))
    assert (errors < 30 * tolerance[:, 0]).all() and (np.diff(solution.stats.accepted) > 10).all()


def test_float32():
    y = solve_batch(lambda t, y: -y, np.ones((3, 2), np.float32), [0, 1.0]).y
    assert y.dtype == np.float32
    np.testing.assert_allclose(y[-1], np.exp(-1), rtol=1e-5)


def test_what_ends_one_sample_says_which():
    """y' = y^2 from 0, 1, 0.1 ends at infinity, 1 and 10."""
    with pytest.raises(StepTooSmall, match=r"sample 1: the step is below rounding") as caught:
        solve_batch(lambda t, y: y * y, np.array([0.0, 1.0, 0.1]), [0, 0.5, 2.0])
    assert caught.value.sample == 1 and abs(caught.value.t - 1) < 1e-3
    y = caught.value.solution.y
    np.testing.assert_allclose(y[:2], [[0, 1, 0.1], [0, 2, 0.1 / 0.95]], rtol=1e-4)
    assert np.isnan(y[2, 1])
    with pytest.raises(TooManySteps, match="sample 2: max_steps=30 steps were not enough"):
        solve_batch(
            lambda t, y, k: -k * y,
            np.ones((3, 1)),
            [0, 1.0],
            np.array([[1.0], [2.0], [500.0]]),
            max_steps=30,
        )
    with pytest.raises(TooManySteps, match="cuts t into more than max_steps=10 steps"):
        solve_batch(
            lambda t, y: -y, np.ones((3, 1)), [0, 1.0], method="rk4", step_size=0.01, max_steps=10
        )
    with pytest.raises(SolverError, match="sample 1: f is not finite at the initial state"):
        solve_batch(lambda t, y: 1 / y, np.array([1.0, 0.0]), [0, 1.0])
    with pytest.raises(
        StepTooSmall, match=r"sample 0: the error asks for a step below min_step=0.1"
    ):
        solve_batch(lambda t, y: -1000 * y, np.ones(1), [0, 1.0], min_step=0.1)
    with pytest.raises(SolverError, match="sample 0: the state is no longer finite"):
        solve_batch(lambda t, y: y * y, np.ones(1), [0, 20.0], method="rk4", step_size=0.5)


@pytest.mark.parametrize(
    "y0, t, options, error, message",
    [
        (1.0, [0, 1], {}, ValueError, "y0 must have a leading axis of samples"),
        (
            [np.ones(2), np.ones(3)],
            [0, 1],
            {},
            ValueError,
            r"leading axis of samples, of one length; got \(2,\) and \(3,\)",
        ),
        (
            np.ones(2),
            [[0, 1]] * 3,
            {},
            ValueError,
            r"t must be a vector of times, or have a row for each of the 2 samples; got",
        ),
        (
            np.ones(2),
            [[0, 1], [0, 0]],
            {},
            ValueError,
            "strictly increasing or strictly decreasing.*in a row of t",
        ),
        (np.ones(2), [0.0], {}, ValueError, "two or more times"),
        (
            np.ones(2),
            [0, 1],
            {"method": "kvaerno5"},
            ValueError,
            "method='kvaerno5' is implicit, and solve_batch is for explicit methods",
        ),
        (
            np.ones(2),
            [0, 1],
            {"method": "rk5"},
            ValueError,
            "method='rk5' is not known; did you mean",
        ),
        (
            np.ones(2),
            [0, 1],
            {"batched": (0,)},
            ValueError,
            r"batched=\(0,\) must be a tuple of numbers, below 0",
        ),
        (np.ones(2), [0, 1], {"rtol": -1.0}, ValueError, "rtol=-1.0 must be a positive number"),
        (np.array([1.0, np.nan]), [0, 1], {}, ValueError, "y0 must be finite"),
    ],
)
def test_arguments_are_refused_by_name(y0, t, options, error, message):
    with pytest.raises(error, match=message):
        solve_batch(lambda t, y: -y, y0, t, **options)


def test_what_f_returns_is_refused_by_name():
    with pytest.raises(
        ValueError,
        match=(
            r"f returned an array of shape \(1,\); the state, and so its derivative, has shape"
            r" \(3, 1\)"
        ),
    ):
        solve_batch(lambda t, y: y[0], np.ones((3, 1)), [0, 1])
    with pytest.raises(
        ValueError, match=r"f returned the structure of one array; the state, .* \(array, array\)"
    ):
        solve_batch(lambda t, y: y[0], (np.ones(3), np.ones(3)), [0, 1])
    with pytest.raises(TypeError, match="y0 is a traced value"):
        grad(lambda y0: solve_batch(lambda t, y: -y, y0, [0, 1]).y[-1, 0])(np.ones(2))
    with pytest.raises(TypeError, match="closes over a value that is being differentiated"):
        grad(lambda k: solve_batch(lambda t, y: -k * y, np.ones(2), [0, 1]).y[-1, 0])(1.0)
    with pytest.raises(TypeError, match="t is a traced value"):
        grad(lambda t: solve_batch(lambda t, y: -y, np.ones(2), t).y[-1, 0])(np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="solve_batch keeps no steps between the times"):
        solve_batch(lambda t, y: -y, np.ones(2), [0, 1])(0.5)


@pytest.mark.parametrize(
    "f",
    [
        lambda t, y: np.array([-K[i] * y[i] for i in range(len(y))]),
        lambda t, y: np.array([-k * x for k, x in zip(K, y)]),
        lambda t, y: -K[: len(y)] * y,
        lambda t, y: -y * np.where(np.arange(3)[: len(y)] == 2, 300.0, K[: len(y)]),
    ],
    ids=["range", "zip", "cut", "where"],
)
def test_a_closure_that_goes_by_position_is_seen(f):
    """It would not fail with fewer rows, only be wrong."""
    for order in ([0, 1, 2], [2, 0, 1]):
        t = np.array([[0, 1.0], [0, 2.0], [0, 0.5]])[order]
        y = solve_batch(f, np.ones(3), t).y[-1]
        np.testing.assert_allclose(y, np.exp(-K * t[:, 1]), atol=1e-6)


K = np.array([1.0, 20.0, 300.0])


def test_f_of_all_samples_is_asked_where_the_solution_is():
    weights = np.ones((3, 1))

    def f(t, y):
        if np.any(np.abs(y * np.exp(t) - 1) > 0.5):
            raise ValueError("outside the table")
        return -weights * y

    solve_batch(f, np.ones((3, 1)), [[0, 1.0], [0, 1.0], [0, 3.0]])
    mask, calls = np.array([True, False, True]), []

    def masked(t, y):
        calls.append(len(y))
        dy = -y.copy()
        dy[mask] *= 10
        return dy

    y = solve_batch(masked, np.ones((3, 1)), [0, 1.0])
    np.testing.assert_allclose(y.y[-1, :, 0], np.exp([-10.0, -1.0, -10.0]), rtol=1e-4)
    assert sum(n < 3 for n in calls) == 1  # it tried once


def test_f_cannot_write_into_time_or_state():
    def later(t, y):
        t += 1
        return y

    def larger(t, y):
        y *= 2
        return y

    for f in (later, larger):
        with pytest.raises(ValueError, match="read-only"):
            solve_batch(f, np.ones((2, 1)), [0, 1.0])


def test_the_steps_of_each_sample_keep_to_its_interval_and_limits():
    met = []
    solve_batch(lambda t, y: met.extend(t.ravel()) or -y, np.ones((2, 1)), [[1.0, 0.0], [0.0, 1.0]])
    assert min(met) >= 0 and max(met) <= 1
    with pytest.raises(TooManySteps) as caught:
        solve_batch(lambda t, y: -1000 * y, np.ones(1), [0, 1.0], max_steps=20, first_step=0.5)
    stats = caught.value.solution.stats
    assert stats.accepted + stats.rejected == 20
    assert (
        solve_batch(
            lambda t, y: -y, np.ones(1), [0, 0.1004], max_step=0.1, first_step=0.1
        ).stats.accepted
        == 2
    )
    with pytest.raises(StepTooSmall):
        solve_batch(lambda t, y: -y, np.ones(1), [1e16, 1e16 + 4], method="rk4", step_size=0.5)
    with pytest.raises(TooManySteps) as caught:
        solve_batch(
            lambda t, y: -y,
            np.ones(3),
            [[0, 1.0], [0, 1.0], [0, 1000.0]],
            method="rk4",
            step_size=0.01,
            max_steps=1000,
        )
    assert caught.value.sample == 2


def test_errors_of_size_zero_and_none():
    for method in EXPLICIT:
        options = (
            {"method": method, "step_size": 0.1}
            if TABLEAUS[method].e is None
            else {"method": method}
        )
        np.testing.assert_array_equal(
            solve_batch(lambda t, y: 0 * y, np.ones((2, 1)), [0, 1.0], **options).y,
            np.ones((2, 2, 1)),
        )
    with pytest.raises(
        SolverError, match="sample 0: f or the state is not finite beyond this time"
    ) as caught:
        solve_batch(lambda t, y: y * np.where(t < 0.5, 1.0, np.nan), np.ones(2), [0, 1.0])
    assert abs(caught.value.t - 0.5) < 1e-6
    huge = solve_batch(lambda t, y: 1e150 * np.cos(t), np.zeros(2), [0, 1.0])
    assert huge.stats.nfev[0] == solve(lambda t, y: 1e150 * np.cos(t), 0.0, [0, 1.0]).stats.nfev


def test_tolerances_of_a_container():
    f = lambda t, y: {"a": -y["a"], "b": np.stack([y["b"][:, 1], -y["b"][:, 0]], axis=1)}
    y0, rtol = (
        {"a": np.ones((3, 1)), "b": np.ones((3, 2))},
        {"a": np.array([[1e-3], [1e-6], [1e-9]]), "b": 1e-4},
    )
    accepted = solve_batch(f, y0, [0, 9.0], rtol=rtol).stats.accepted
    one = lambda t, y: {"a": -y["a"], "b": np.array([y["b"][1], -y["b"][0]])}
    assert accepted.tolist() == [
        solve(
            one, {"a": y0["a"][i], "b": y0["b"][i]}, [0, 9.0], rtol={"a": rtol["a"][i], "b": 1e-4}
        ).stats.accepted
        for i in range(3)
    ]


@pytest.mark.parametrize(
    "batched, message",
    [
        ((-1,), "must be a tuple of numbers"),
        ((True,), "must be a tuple of numbers"),
        (0, "must be a tuple of numbers"),
        ((0,), r"args\[0\] must have a row for each of the 3 samples; it has the shape \(\)"),
        ((1,), r"args\[1\] must have a row for each of the 3 samples; it has the shape \(4, 1\)"),
    ],
)
def test_batched_is_refused_by_name(batched, message):
    with pytest.raises(ValueError, match=message):
        solve_batch(
            lambda t, y, a, b: -y, np.ones(3), [0, 1.0], 1.0, np.ones((4, 1)), batched=batched
        )
