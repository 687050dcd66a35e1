"""Draw what the ways to differentiate cost, and how right they are.

``python tests/benchmarks/gradients.py`` makes ``figures/gradients_*.png``. Work is counted, in
calls of f, plain or recorded; memory is the peak that Python sees, in states. So the figures do not
depend on the machine.
"""

import tracemalloc
import warnings

import numpy as np

from tinyode import grad, nn, odeint, plotting
from tinyode.solvers import SolverError

WAYS = {way: {"gradient": way} for way in ("adjoint", "discrete", "interpolated", "forward")}
TOLERANCES = 10.0 ** -np.arange(3, 11)


def memory():
    """Peak memory of a gradient against the number of rk4 steps; return the table."""
    n, counts = 256, [10, 100, 1000, 10_000]
    ways = {**WAYS, "discrete, 10 checkpoints": {"gradient": "discrete", "checkpoints": 10}}
    table = {name: [] for name in ways}
    for name, options in ways.items():
        for steps in counts:
            # It is flat, and takes more than a quarter of an hour: n pullbacks for each evaluation.
            if name == "forward" and steps > 1000:
                continue
            loss = lambda k, options=options, steps=steps: np.sum(
                odeint(
                    lambda t, y, k: -k * y,
                    np.ones(n),
                    [0, 1.0],
                    k,
                    method="rk4",
                    step_size=1 / steps,
                    **options,
                )[-1]
            )
            if steps == counts[0]:
                grad(loss)(0.5)  # what is computed once and kept
            tracemalloc.start()
            grad(loss)(0.5)
            table[name].append(tracemalloc.get_traced_memory()[1] / (8 * n))
            tracemalloc.stop()
    figure, axes = plotting.panels(width=9, height=5.5)
    for (name, sizes), marker in zip(table.items(), "osDv^"):
        axes.loglog(counts[: len(sizes)], sizes, marker=marker, label=name)
    axes.set_xlabel("steps")
    axes.set_ylabel("peak memory of the gradient, in states")
    axes.set_title(f"rk4, a state of {n} numbers")
    axes.legend()
    plotting.save(
        figure,
        "gradients_memory",
        alt="Peak memory of a gradient, in states, against the number of steps of rk4, on"
        " logarithmic axes. The adjoint stays level, and so does the forward way,"
        " twenty times higher. The discrete way and the interpolated way grow in"
        " proportion to the steps; ten checkpoints make the discrete way eight times"
        " smaller.",
    )
    return counts, table


def problems():
    """Return name -> (f, y0, t, k, the gradient of the last first component in k, the method)."""
    rotation = lambda t, y, k: np.array([y[1], -k * y[0]])
    slaved = lambda t, y, k: -k * (y - np.cos(t))
    end = lambda k, T: (k * k * np.cos(T) + k * np.sin(T) - k * k * np.exp(-k * T)) / (1 + k * k)
    init, apply = nn.mlp(2, 16, 2)
    weights = init(np.random.default_rng(3))
    network = lambda t, y, k: k * apply(weights, y) - 0.1 * y
    cases = {
        "rotating": (
            rotation,
            np.array([1.0, 0.0]),
            10.0,
            2.0,
            grad(lambda k: np.cos(np.sqrt(k) * 10.0))(2.0),
            "dopri5",
        ),
        "decaying, k = 10": (
            slaved,
            np.zeros(1),
            2.0,
            10.0,
            grad(lambda k: end(k, 2.0))(10.0),
            "dopri5",
        ),
        "stiff, k = 1000": (
            slaved,
            np.zeros(1),
            2.0,
            1000.0,
            grad(lambda k: end(k, 2.0))(1000.0),
            "radau_iia5",
        ),
    }
    loss = lambda k: odeint(
        network,
        np.array([1.0, -0.5]),
        [0, 5.0],
        k,
        method="dop853",
        rtol=1e-13,
        atol=1e-14,
        gradient="discrete",
    )[-1, 0]
    return {
        **cases,
        "a network": (network, np.array([1.0, -0.5]), 5.0, 1.5, grad(loss)(1.5), "dopri5"),
    }


def work_precision():
    """Relative error of a gradient against calls of f, every way, for different problems."""
    figure, panels = plotting.panels(2, 2, width=13, height=10)
    for axes, (title, (f, y0, T, k, exact, method)) in zip(panels.flat, problems().items()):
        for (name, options), marker in zip(WAYS.items(), "osDv"):
            points = []
            for tol in TOLERANCES:
                calls = []
                counted = lambda t, y, k, f=f, calls=calls: calls.append(1) or f(t, y, k)
                settings = {"method": method, "rtol": tol, "atol": tol * 1e-2, "max_steps": 20_000}
                settings |= options

                def loss(k, counted=counted, y0=y0, T=T, settings=settings):
                    return odeint(counted, y0, [0, T], k, **settings)[-1, 0]

                try:
                    with np.errstate(all="ignore"), warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        points.append((abs(grad(loss)(k) / exact - 1), len(calls)))
                except SolverError:
                    continue
            axes.loglog(
                *(zip(*points) if points else ([], [])),
                marker=marker,
                label=name if points else f"{name} gives up",
            )
        axes.invert_xaxis()
        axes.set_title(f"{title} ({method})")
        axes.set_xlabel("relative error of the gradient")
        axes.set_ylabel("calls of f")
        axes.legend()
    plotting.save(
        figure,
        "gradients_work_precision",
        alt="Calls of f against the relative error of a gradient, in four panels: a"
        " rotation, a decay, a stiff problem and a network. At equal error the adjoint"
        " takes a little more calls than the other ways, and on the decay the"
        " interpolated way takes fewest. On the stiff problem the adjoint gives up and"
        " has no curve.",
    )


def tolerances():
    """Error of the adjoint's gradient over a grid of forward and backward tolerances."""
    f, y0, T, k, exact, method = problems()["rotating"]
    error = lambda forward, backward: abs(
        grad(
            lambda k: odeint(
                f,
                y0,
                [0, T],
                k,
                method=method,
                rtol=forward,
                atol=forward,
                adjoint_rtol=backward,
                adjoint_atol=backward,
            )[-1, 0]
        )(k)
        / exact
        - 1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = np.log10(
            [[error(forward, backward) for backward in TOLERANCES] for forward in TOLERANCES]
        )
    figure, axes = plotting.panels(width=8, height=6.5)
    image = axes.imshow(grid, cmap="viridis")
    for i, row in enumerate(grid):
        for j, value in enumerate(row):
            axes.text(
                j,
                i,
                f"{value:.1f}",
                ha="center",
                va="center",
                color="white" if value < -4 else "black",
                fontsize=10,
            )
    labels = [f"$10^{{{round(np.log10(tol))}}}$" for tol in TOLERANCES]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.grid(False)
    axes.set_xlabel("backward tolerance")
    axes.set_ylabel("forward tolerance")
    axes.set_title("rotating: log10 of the error of the adjoint's gradient")
    figure.colorbar(image)
    plotting.save(
        figure,
        "gradients_tolerances",
        alt="A table of the error of the adjoint's gradient, by its power of ten, with"
        " the forward tolerance down the rows and the backward tolerance along the"
        " columns. The looser of the two decides: the error falls only along the"
        " diagonal, where both are made smaller.",
    )


if __name__ == "__main__":
    counts, table = memory()
    print("peak memory of a gradient, in states, at", counts, "steps:")
    for name, sizes in table.items():
        print(f"  {name:26}", *[f"{size:9.1f}" for size in sizes])
    work_precision()
    tolerances()
