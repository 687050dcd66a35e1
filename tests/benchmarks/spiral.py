"""Fit a spiral by a neural ODE in 300 steps of Adam, by tinyode and its peers, and draw the race.

Each runs in a process of its own. ``python tests/benchmarks/spiral.py`` writes
``figures/gradients_spiral.png`` if all three are installed. The problem is that of torchdiffeq's
demonstration: y' = A^T y^3 from (2, 0), 1000 observations up to t = 25; a network of 50 hidden
units on y^3, fitted to 20 windows of 10 observations drawn for each step; one step of rk4_38, which
is what torchdiffeq calls rk4, from observation to observation (diffrax has none of order 4, and
takes Tsit5), gradients through the solver. Imports and compilation count. The losses of tinyode and
torchdiffeq agree to rounding.
"""

import importlib.util
import subprocess
import sys
import time

import numpy as np

A = np.array([[-0.1, 2.0], [-2.0, -0.1]])
TIMES, STEPS, RATE = np.linspace(0.0, 25.0, 1000), 300, 0.01
WINDOW = TIMES[:10]
NAMES = ("tinyode", "torchdiffeq", "diffrax")


def batches():
    """Yield 20 windows of the spiral for each step.

    They come as their beginnings, shape (20, 2), and their states, shape (10, 20, 2).
    """
    y, rows, h = np.array([2.0, 0.0]), [], TIMES[1] / 2
    for _ in TIMES:
        rows.append(y)
        for _ in range(2):  # the midpoint rule
            middle = y + h / 2 * ((y * y * y) @ A)
            y = y + h * ((middle * middle * middle) @ A)
    rows, rng = np.array(rows), np.random.default_rng(1)
    for _ in range(STEPS):
        first = rng.choice(len(TIMES) - len(WINDOW), 20, replace=False)
        yield rows[first], rows[first + np.arange(len(WINDOW))[:, None]]


def weights():
    rng = np.random.default_rng(0)
    return [0.1 * rng.normal(size=shape) for shape in ((2, 50), (50,), (50, 2), (2,))]


def with_tinyode(parameters):
    from tinyode import compiled, odeint, optim, value_and_grad

    @compiled
    def f(t, y, W1, b1, W2, b2):
        return np.tanh((y * y * y) @ W1 + b1) @ W2 + b2

    def loss(parameters, y0, target):
        return np.mean(
            np.abs(
                odeint(f, y0, WINDOW, *parameters, method="rk4_38", gradient="discrete") - target
            )
        )

    init, update = optim.adam(RATE)
    state = init(parameters)
    for y0, target in batches():
        value, slope = value_and_grad(loss)(parameters, y0, target)
        parameters, state = update(parameters, slope, state)
        yield float(value)


def with_torchdiffeq(parameters):
    import torch
    from torchdiffeq import odeint

    parameters = [torch.tensor(p, requires_grad=True) for p in parameters]
    t = torch.tensor(WINDOW)

    def f(t, y):
        W1, b1, W2, b2 = parameters
        return torch.tanh((y * y * y) @ W1 + b1) @ W2 + b2

    adam = torch.optim.Adam(parameters, lr=RATE)
    for y0, target in batches():
        adam.zero_grad()
        value = (odeint(f, torch.tensor(y0), t, method="rk4") - torch.tensor(target)).abs().mean()
        value.backward()
        adam.step()
        yield value.item()


def with_diffrax(parameters):
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    def f(t, y, p):
        W1, b1, W2, b2 = p
        return jnp.tanh((y * y * y) @ W1 + b1) @ W2 + b2

    def loss(p, y0, target):
        y = diffrax.diffeqsolve(
            diffrax.ODETerm(f),
            diffrax.Tsit5(),
            0.0,
            WINDOW[-1],
            WINDOW[1],
            y0,
            p,
            saveat=diffrax.SaveAt(ts=jnp.asarray(WINDOW)),
        ).ys
        return jnp.mean(jnp.abs(y - target))

    @jax.jit
    def step(p, m, v, n, y0, target):
        value, g = jax.value_and_grad(loss)(p, y0, target)
        m = [0.9 * a + 0.1 * b for a, b in zip(m, g)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g)]
        p = [
            a - RATE * (b / (1 - 0.9**n)) / (jnp.sqrt(c / (1 - 0.999**n)) + 1e-8)
            for a, b, c in zip(p, m, v)
        ]
        return p, m, v, value

    p = [jnp.asarray(x) for x in parameters]
    m = v = [0 * x for x in parameters]
    for n, (y0, target) in enumerate(batches(), 1):
        p, m, v, value = step(p, m, v, float(n), y0, target)
        yield float(value)


def race(repeats=3):
    """Return name -> (seconds from the start of the process to each step of Adam, losses).

    They are those of the fastest of the repeats.
    """
    results = {}
    for name in NAMES:
        if importlib.util.find_spec(name) is None:
            continue
        runs = []
        for _ in range(repeats):
            start = time.time()
            lines = subprocess.run(
                [sys.executable, __file__, name], check=True, capture_output=True, encoding="utf-8"
            ).stdout.splitlines()
            moments, losses = np.array(
                [[float(number) for number in line.split()] for line in lines]
            ).T
            runs.append((moments - start, losses))
        results[name] = min(runs, key=lambda run: run[0][-1])
    return results


def draw(results):
    from tinyode import plotting

    figure, axes = plotting.panels(width=9, height=5.5)
    for name, (seconds, losses) in results.items():
        axes.plot(seconds, np.arange(1, len(seconds) + 1))
        axes.text(
            seconds[-1],
            len(seconds) + 8,
            f"{name}\nloss {losses[-1]:.4f}",
            ha="center",
            fontsize=12,
        )
    axes.set_xlabel("seconds since the process was started")
    axes.set_ylabel("steps of Adam done")
    axes.set_xlim(0, axes.get_xlim()[1] + 0.5)
    axes.set_ylim(0, 360)
    axes.set_title(f"A neural ODE fitted to a spiral, loss {losses[0]:.4f} at first")
    plotting.save(
        figure,
        "gradients_spiral",
        alt="Steps of Adam done against the seconds since the process was started, a line"
        " for each library, with the loss that it reaches in 300 steps. A line that"
        " begins further left is a library that imports and compiles sooner; a steeper"
        " line is one with faster steps.",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for loss in globals()[f"with_{sys.argv[1]}"](weights()):
            print(time.time(), loss)
    else:
        results = race()
        for name, (seconds, losses) in results.items():
            print(
                f"{name:12} first step after {seconds[0]:.2f} s, the others in"
                f" {seconds[-1] - seconds[0]:.2f} s; loss {losses[-1]:.4f}"
            )
        if set(results) == set(NAMES):
            draw(results)
        else:
            print(f"the figure is drawn only where all of {', '.join(NAMES)} are installed")
