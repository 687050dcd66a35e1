"""Formulas and claims of the sources that no single module owns; ids as in tutorials/SOURCES.md."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from tinyode import datasets, grad, jacobian, models, nn, odeint, root, solve, solve_batch, tree
from tinyode.testing import central_difference

init, block = nn.mlp(2, 8, 2)
RESULTS = Path(__file__).parent.parent / "tutorials" / "results"


@given(st.integers(1, 12), seeds)
def test_P2_G5_N1_S1_a_residual_net_is_euler_to_the_last_bit(depth, seed):
    rng = np.random.default_rng(seed)
    thetas, h = [init(rng) for _ in range(depth)], rng.normal(size=(3, 2))
    by_euler = solve(
        lambda t, h: block(thetas[int(t)], h), h, np.arange(depth + 1.0), method="euler"
    ).y[-1]
    for theta in thetas:
        h = h + block(theta, h)
    np.testing.assert_array_equal(h, by_euler)


@given(st.sampled_from([1.0, 0.5, 0.25, 2.0, 0.1, 0.3, 1 / 7]), seeds)
def test_G6_to_G10_dividing_and_multiplying_by_the_step(dt, seed):
    """G6-G10: to the last bit where the step is a power of two."""
    rng = np.random.default_rng(seed)
    theta, h = init(rng), rng.normal(size=2)
    F = block(theta, h)
    by_euler = solve(lambda t, h: block(theta, h) / dt, h, [0.0, dt], method="euler").y[-1]
    np.testing.assert_array_equal(h + dt * (F / dt), by_euler)
    if np.log2(dt) % 1 == 0:
        np.testing.assert_array_equal(h + F, by_euler)
    np.testing.assert_allclose(
        h + F, by_euler, rtol=0, atol=2e-16 * (1 + np.abs(F).max() + np.abs(h).max())
    )


def test_S_alg1_is_explicit_not_implicit_euler():
    theta, h = init(np.random.default_rng(0)), np.array([0.5, -1.0])
    implicit = root(lambda new: new - h - block(theta, new), h)
    explicit = solve(lambda t, h: block(theta, h), h, [0.0, 1.0], method="euler").y[-1]
    np.testing.assert_array_equal(explicit, h + block(theta, h))
    assert np.abs(implicit - explicit).max() > 0.05


def test_P_steps_twice_the_depth_is_half_the_distance():
    """P-steps, G10, G13, G14, S2."""
    theta, h = init(np.random.default_rng(0)), np.array([0.5, -1.0])
    f = lambda t, h: block(theta, h)
    ode = solve(f, h, [0.0, 1.0], rtol=1e-12, atol=1e-13).y[-1]
    distances = [
        np.abs(solve(f, h, [0.0, 1.0], method="euler", step_size=1 / depth).y[-1] - ode).max()
        for depth in 2 ** np.arange(5, 11)
    ]
    np.testing.assert_allclose(np.array(distances[:-1]) / distances[1:], 2, rtol=0.05)


def test_S3_N4_the_initial_value_belongs_to_the_integral():
    """S-alg2, P3, G11, G12, N5, S3 hold, N4 does not.

    The integral of f along the solution is the change of the state.
    """
    theta, h = init(np.random.default_rng(0)), np.array([0.5, -1.0])
    f = lambda t, h: np.cos(t) * block(theta, h)
    solution = solve(f, h, [0.0, 1.0], rtol=1e-11, atol=1e-12)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    integral = sum(w / 2 * f(t, solution(t)) for t, w in zip((nodes + 1) / 2, weights))
    np.testing.assert_allclose(h + integral, solution.y[-1], atol=1e-7)
    assert np.abs(integral - solution.y[-1]).max() > 0.1


def test_S_scheme_P_solvers_accuracy_at_equal_cost():
    f, exact = lambda t, y: np.array([y[1], -y[0]]), np.array([np.cos(2.0), -np.sin(2.0)])
    errors = {}
    for method, stages in (("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)):
        solution = solve(
            f, np.array([1.0, 0.0]), [0, 2.0], method=method, step_size=2.0 * stages / 48
        )
        assert solution.stats.nfev == 48
        errors[method] = np.abs(solution.y[-1] - exact).max()
    adaptive = solve(f, np.array([1.0, 0.0]), [0, 2.0], rtol=1e-4, atol=1e-4)
    assert adaptive.stats.nfev <= 48 and np.abs(adaptive.y[-1] - exact).max() < errors["midpoint"]
    assert errors["euler"] > 10 * errors["heun"] > 100 * errors["rk4"]
    assert errors["euler"] > 10 * errors["midpoint"]


def test_G28_the_constraint_is_the_equation_of_motion():
    f = lambda t, z: np.array([z[1], -np.sin(z[0])])
    solution = solve(f, np.array([1.0, 0.5]), [0, 2.0], rtol=1e-11, atol=1e-12)
    slope = central_difference(lambda t: solution(t), (0.9,), (1.0,), h=1e-3)
    np.testing.assert_allclose(slope, f(0.9, solution(0.9)), atol=1e-6)
    assert np.abs(f(0.9, solution(0.9))).max() > 0.1


def test_G30_G31_G32_the_chain_rule_over_a_step_and_its_limit():
    """The flow T (G29, G31), a(t) = a(t + e) dT/dz (G30, G32), and the limit (P4, G34, N6).

    The limit is checked at first order in e.
    """
    f = lambda t, z: np.array([z[1], -np.sin(z[0]) * np.cos(t)])
    flow = lambda z, t, end: odeint(f, z, [t, end], rtol=1e-12, atol=1e-13)[-1]
    L = lambda z: z[0] * z[1]
    z, t = np.array([0.7, -0.4]), 0.3
    a = grad(lambda z: L(flow(z, t, 2.0)))(z)
    errors = []
    for e in (0.02, 0.01):
        later = flow(z, t, t + e)
        dT = jacobian(lambda z, e=e: flow(z, t, t + e))(z)
        a_later = grad(lambda z, e=e: L(flow(z, t + e, 2.0)))(later)
        np.testing.assert_allclose(a, a_later @ dT, atol=1e-9)
        errors.append(np.abs((a_later - a) / e + a @ jacobian(f, 1)(t, z)).max())
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_S_black_N_black_a_recorded_solver_is_exact_for_its_numbers():
    """With four steps only, the tape's gradient is that of the numbers computed, to rounding.

    The adjoint's is not.
    """
    f = lambda t, z, k: np.array([z[1], -k * np.sin(z[0])])

    def loop(k):
        z, h = np.array([1.0, 0.5]), 0.5
        for i in range(4):
            k1 = f(i * h, z, k)
            z = z + h * f(i * h + h / 2, z + h / 2 * k1, k)
        return z[0]

    by_differences = float(central_difference(loop, (1.3,), (1.0,)))
    assert abs(grad(loop)(1.3) - by_differences) < 1e-10
    end = lambda k, **options: odeint(
        f, np.array([1.0, 0.5]), [0.0, 2.0], k, method="midpoint", step_size=0.5, **options
    )[-1, 0]
    with pytest.warns(RuntimeWarning, match="the state at t = 0.0 is off by"):
        assert abs(grad(end)(1.3) - by_differences) > 1e-4
    assert abs(grad(lambda k: end(k, gradient="discrete"))(1.3) - by_differences) < 1e-10


def test_P_err_going_back_where_solutions_draw_together():
    """With decay rates 1 and 20 an error of the difference comes back exp(40) times larger.

    That is so at any tolerance. On what turns it is not.
    """
    turning, decaying = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([[-10.5, 9.5], [9.5, -10.5]])
    for rtol, atol in ((1e-6, 1e-9), (1e-10, 1e-14)):
        recovered = {}
        for name, A in (("turning", turning), ("decaying", decaying)):
            f = lambda t, z, A=A: A @ z
            end = solve(f, np.array([1.0, 0.0]), [0, 2.0], rtol=rtol, atol=atol).y[-1]
            recovered[name] = np.abs(
                solve(f, end, [2.0, 0], rtol=rtol, atol=atol).y[-1] - [1.0, 0.0]
            ).max()
        assert recovered["turning"] < 100 * rtol and recovered["decaying"] > 0.1


def test_P_lower_S_control_P_param_S_param_the_table_of_the_digits():
    """What the full experiment found, which chapter 7 and the ledger report."""
    kept = json.loads((RESULTS / "07_digits.json").read_text(encoding="utf-8"))
    runs = {
        name: [run for job, run in kept["results"].items() if job.startswith(name)]
        for name in ("ResNet", "RK-Net", "ODE-Net")
    }
    assert all(len(of_one) == 5 for of_one in runs.values())
    error = {name: np.mean([run["error"] for run in of_one]) for name, of_one in runs.items()}
    fastest = {name: min(run["seconds per epoch"] for run in runs[name]) for name in runs}
    assert 4 < fastest["ODE-Net"] / fastest["ResNet"] < 5
    ratios = [run["backward"] / run["forward"] for run in runs["ODE-Net"]]
    assert 0.95 < min(ratios) and max(ratios) < 1.2
    assert error["ODE-Net"] < error["ResNet"] + 0.5 and error["RK-Net"] < error["ResNet"] + 0.5
    assert runs["ODE-Net"][0]["parameters"] < 0.4 * runs["ResNet"][0]["parameters"]
    init, apply = models.ode_classifier(64, 32, 32, 10)
    parameters, x = init(np.random.default_rng(0)), datasets.digits()[1][0]
    assert tree.ravel(parameters)[0].size == runs["ODE-Net"][0]["parameters"]
    exact = np.argmax(apply(parameters, x, rtol=1e-8, atol=1e-10), axis=1)
    assert np.mean(np.argmax(apply(parameters, x, rtol=0.1, atol=0.1), axis=1) != exact) < 0.01


def test_the_learning_rates_of_the_digits():
    """Chapter 7: 0.03 is the best; with 0.1 all learn less, and the ODE-Net gets no gradient."""
    kept = json.loads((RESULTS / "07_digits_rates.json").read_text(encoding="utf-8"))
    found = {job: run["errors"] for job, run in kept["results"].items()}
    for name in ("ResNet", "RK-Net", "ODE-Net"):
        means = [np.mean(found[f"{name}, {rate}"]) for rate in (0.003, 0.01, 0.03)]
        assert min(means) == means[2]
    assert found["ODE-Net, 0.1"] == [None] * 3
    for name in ("ResNet", "RK-Net"):
        assert np.mean(found[f"{name}, 0.1"]) > 5 * np.mean(found[f"{name}, 0.03"])


def test_P_unique_P_batch_what_the_last_chapter_says():
    """Flows of the line increase, and one clock for a batch costs more than its hardest sample.

    The first holds whatever the network; the cost is counted in evaluations.
    """
    init, f = nn.mlp(2, 8, 1)
    for seed in range(5):
        theta = tree.map(lambda x: 2 * x, init(np.random.default_rng(seed)))
        field = lambda t, z, theta: f(theta, np.concatenate([z, t * np.ones((len(z), 1))], axis=1))
        z = models.neural_ode(
            field, np.linspace(-1, 1, 20)[:, None], 0.0, 1.0, theta, rtol=1e-9, atol=1e-12
        )
        assert np.all(np.diff(z[:, 0]) > 0)
    swings = lambda t, y, mu: np.stack(
        [y[:, 1], mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], axis=1
    )
    mu, y0 = np.linspace(0.1, 8, 8), np.tile([2.0, 0.0], (8, 1))
    apart = solve_batch(swings, y0, [0, 10.0], mu, batched=(0,)).stats.nfev
    assert solve(swings, y0, [0, 10.0], mu).stats.nfev > apart.max()


def results(name, job, what):
    """Return what the full experiment found for the jobs whose name begins so."""
    kept = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["results"]
    return np.array([found[what] for key, found in kept.items() if key.startswith(job)])


def test_P_flow_S_flow_the_table_of_the_flows():
    """What chapter 8 and the ledger report is so, and the parameters that are kept belong to it."""
    for data in ("two_moons", "two_circles"):
        x = getattr(datasets, data)(np.random.default_rng(99), 2000)
        entropy = -np.mean(datasets.log_density(data, x))
        names = ("planar 2", "planar 8", "planar 32", "continuous", "continuous, Hutchinson")
        losses = {
            name: results("08_normalizing_flows", f"{name}, {data}, seed", "loss") for name in names
        }
        assert all(len(of_one) == 3 and np.all(of_one > entropy) for of_one in losses.values())
        of_2, of_8, of_32 = [np.mean(losses[name]) for name in names[:3]]
        assert of_2 > of_8 > of_32
        assert max(losses["continuous"]) < entropy + 0.1
        assert max(losses["continuous, Hutchinson"]) < entropy + 0.15
        assert abs(results("08_normalizing_flows_integrals", data, "integral")[0] - 1) < 1e-3
        log_prob = models.continuous_flow(2, 32, rtol=1e-4, atol=1e-5)[1]
        few = log_prob(tree.load(RESULTS / f"08_{data}.npz"), x[:400])
        standard_error = np.std(few) / np.sqrt(400)
        assert abs(-np.mean(few) - losses["continuous"][0]) < 4 * standard_error
    assert max(results("08_normalizing_flows", "continuous, two_circles", "loss")) < min(
        results("08_normalizing_flows", "planar 32, two_circles", "loss")
    )


def test_P_flow_S_flow_a_price_on_the_speed_keeps_a_flow_easy_to_solve():
    """What chapter 8 reports: fewer evaluations at the same fit, and why training gets slower."""
    init, network = nn.mlp(3, 32, 32, 2)
    f = lambda t, z, theta: network(theta, np.concatenate([z, t * np.ones((len(z), 1))], axis=1))
    normal, tolerances = (
        np.random.default_rng(3).normal(size=(700, 2)),
        {"rtol": 1e-6, "atol": 1e-6},
    )
    evaluations = lambda theta: solve(f, normal, [0.0, 1.0], theta, **tolerances).stats.nfev
    before = evaluations(init(np.random.default_rng(1)))
    for data, price in (("two_moons", 0.1), ("two_circles", 0.01)):
        without = evaluations(tree.load(RESULTS / f"08_{data}.npz"))
        job = f"{data}, price {price}, seed"
        with_price = results("08_normalizing_flows_price", job, "evaluations")
        assert len(with_price) == 3 and before < without / 4
        assert with_price[0] < 0.75 * without
        fit = results("08_normalizing_flows_price", job, "loss")
        fit_without = results("08_normalizing_flows", f"continuous, {data}, seed", "loss")
        assert np.mean(fit) < np.mean(fit_without) + 0.03
        square, distance = [
            results("08_normalizing_flows_price", data, f"square of the {what}")
            for what in ("speed", "distance")
        ]
        assert np.all(square > distance)


def test_S_rnn_P_latent_the_table_of_the_spirals():
    """What chapter 9 and the ledger report is so, and the parameters that are kept belong to it."""
    error = {
        (name, k, what): results("09_latent_ode", f"{name}, {k}, seed", what)
        for name in ("latent ODE, GRU", "recurrent, GRU")
        for k in (30, 50, 100)
        for what in ("within", "next 20", "next 100")
    }
    assert all(len(of_one) == 3 for of_one in error.values())
    lead = {
        (k, what): (
            np.mean(error["recurrent, GRU", k, what]) - np.mean(error["latent ODE, GRU", k, what])
        )
        for k in (30, 50, 100)
        for what in ("within", "next 20", "next 100")
    }
    assert min(lead[k, "within"] for k in (30, 50, 100)) > 0 > lead[100, "next 100"]
    simple = [
        np.mean(results("09_latent_ode", f"{name}, 30, seed", "next 20"))
        for name in ("latent ODE, RNN", "recurrent, RNN")
    ]
    assert simple[0] < 0.8 * simple[1]
    rng = np.random.default_rng(103)
    t, curves, seen = datasets.spirals(rng, 200)
    which = np.sort(np.argsort(rng.random((200, 100)), axis=1)[:, :30], axis=1)
    _, encode, decode, _ = models.latent_ode(2, cell=nn.gru_cell, rtol=1e-4, atol=1e-5)
    parameters = tree.load(RESULTS / "09_latent.npz")
    mean, _ = encode(parameters, t[:100], np.take_along_axis(seen, which[..., None], axis=1), which)
    found = decode(parameters, mean, t[:100]).swapaxes(0, 1)
    np.testing.assert_allclose(
        np.sqrt(np.mean((found - curves[:, :100]) ** 2)),
        error["latent ODE, GRU", 30, "within"][0],
        rtol=0.01,
    )
