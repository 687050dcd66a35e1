"""The solvers against SciPy's, time and accuracy: `benchmark_solvers`."""

import numpy as np
from timing import PEERS, fastest
from vjps import arrays, network

import tinyode


def lorenz(t, y):
    return np.array([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])


def arenstorf(t, y):
    """The restricted three-body problem; its orbit is periodic (HNW, equation II.0.1)."""
    mu = 0.012277471
    d1, d2 = ((y[0] + mu) ** 2 + y[1] ** 2) ** 1.5, ((y[0] - 1 + mu) ** 2 + y[1] ** 2) ** 1.5
    return np.array(
        [
            y[2],
            y[3],
            y[0] + 2 * y[3] - (1 - mu) * (y[0] + mu) / d1 - mu * (y[0] - 1 + mu) / d2,
            y[1] - 2 * y[2] - (1 - mu) * y[1] / d1 - mu * y[1] / d2,
        ]
    )


ORBIT = np.array([0.994, 0.0, 0.0, -2.00158510637908252240537862224])
PERIOD = 17.0652165601579625588917206249


def heat(t, y):
    """The heat equation on 1000 points, in units of their distance squared."""
    d = -2 * y
    d[1:] += y[:-1]
    d[:-1] += y[1:]
    return d


def benchmark_solvers():
    """Print our time relative to SciPy's, per evaluation of f and per solve, and both errors."""
    if not PEERS["scipy"]:
        print("the solvers against SciPy's: scipy is missing")
        return
    from scipy.integrate import solve_ivp

    x = np.arange(1, 1001) * np.pi / 1001
    mode, decay = np.sin(3 * x), 4 * np.sin(1.5 * np.pi / 1001) ** 2
    start, end = mode + np.sin(500 * x), 50.0
    heated = mode * np.exp(-decay * end) + np.sin(500 * x) * np.exp(
        -4 * np.sin(250 * np.pi / 1001) ** 2 * end
    )
    print(
        "time relative to SciPy's, same tolerances:                per evaluation   per solve  "
        " errors, ours and SciPy's   evaluations"
    )
    for name, f, y0, T, exact, tol, ours, theirs in (
        ("Lorenz to t = 10", lorenz, np.ones(3), 10.0, None, 1e-6, "dopri5", "RK45"),
        ("Arenstorf's orbit", arenstorf, ORBIT, PERIOD, ORBIT, 1e-8, "dopri5", "RK45"),
        ("Arenstorf's orbit", arenstorf, ORBIT, PERIOD, ORBIT, 1e-10, "dop853", "DOP853"),
        ("heat equation, 1000 points", heat, start, end, heated, 1e-6, "dopri5", "RK45"),
        ("heat equation, 1000 points", heat, start, end, heated, 1e-6, "bosh3", "RK23"),
    ):
        runs = [
            lambda: tinyode.solve(f, y0, [0, T], method=ours, rtol=tol, atol=tol * 1e-3),
            lambda: solve_ivp(f, (0, T), y0, method=theirs, rtol=tol, atol=tol * 1e-3),
        ]
        a, b = runs[0](), runs[1]()
        errors = ""
        if exact is not None:
            errors = ", ".join(f"{np.abs(y - exact).max():.1e}" for y in (a.y[-1], b.y[:, -1]))
        times = fastest(runs)
        print(
            f"  {name:28} {ours:7} against {theirs:8}"
            f" {times[0] / a.stats.nfev / (times[1] / b.nfev):14.2f} {times[0] / times[1]:14.2f}  "
            f" {errors:25} {a.stats.nfev}, {b.nfev}"
        )
    benchmark_batch(solve_ivp)


def benchmark_compiled_solves():
    """Print the time of a plain solve with a compiled f, relative to the same with f."""
    inputs = arrays(20, 2, 50)
    swing = lambda t, y: np.array([y[1], -np.sin(y[0])])
    field = lambda t, *inputs: network(np, *inputs)
    print("a plain solve with compiled(f), time relative to the same with f")
    for name, f, (y0, *parameters), budget in (
        ("network (20, 2), 50 hidden", field, inputs, 0.9),
        ("pendulum, two numbers", swing, [np.array([2.0, 0.0])], 1.1),
    ):
        run = lambda f, y0=y0, p=parameters: tinyode.solve(f, y0, [0, 5.0], *p)
        fast = tinyode.compiled(f)
        times = fastest([lambda run=run, f=f: run(f), lambda run=run, f=fast: run(f)])
        print(f"  {name:28} {times[1] / times[0]:.2f} (budget {budget})")


def benchmark_batch(solve_ivp):
    """Print what 1000 pendulums cost: each with its own steps, in a loop, and as one system."""
    rng = np.random.default_rng(0)
    y0 = np.stack([rng.uniform(-2.5, 2.5, 1000), np.zeros(1000)], axis=1)
    k = 9.81 / rng.uniform(0.1, 5, (1000, 1))  # each has its own length
    exact = tinyode.solve_batch(
        pendulums, y0, [0, 10.0], k, batched=(0,), method="dop853", rtol=1e-12, atol=1e-13
    ).y[-1]

    def loop(n=1000):
        return np.array(
            [
                solve_ivp(pendulum, (0, 10.0), y, args=(float(c[0]),), rtol=1e-6, atol=1e-9).y[
                    :, -1
                ]
                for y, c in zip(y0[:n], k)
            ]
        )

    def system():
        return solve_ivp(
            lambda t, y: pendulums(t, y.reshape(1000, 2), k).ravel(),
            (0, 10.0),
            y0.ravel(),
            rtol=1e-6,
            atol=1e-9,
        ).y[:, -1]

    batch = lambda: tinyode.solve_batch(pendulums, y0, [0, 10.0], k, batched=(0,)).y[-1]
    error = lambda y: np.abs(y.reshape(-1, 2) - exact[: y.size // 2]).max()
    times = fastest([batch, lambda: loop(100), system])
    print(
        f"  1000 pendulums, solve_batch: {10 * times[1] / times[0]:.0f} times faster than a loop of"
        f" SciPy's RK45 (from 100 of them), {times[0] / times[2]:.1f} times the time of RK45 for"
        f" all as one system; largest errors {error(batch()[:100]):.1e} and {error(loop(100)):.1e}"
        f" of the 100, {error(batch()):.1e} and {error(system()):.1e} of all"
    )


def pendulum(t, y, k):
    return np.array([y[1], -k * np.sin(y[0])])


def pendulums(t, y, k):
    return np.stack([y[:, 1], -k[:, 0] * np.sin(y[:, 0])], axis=1)
