"""Fit a spiral by a neural ODE in 300 steps of Adam, in a process of its own: ``python tests/benchmarks/spiral.py tinyode`` (or a peer).

The problem is that of torchdiffeq's demonstration: y' = A^T y^3 from (2, 0), ten observations up to t = 1.5; a network of 50 hidden units
on y^3; rk4 in steps of 0.05, gradients through the solver. It prints the first and the last loss.
"""

import sys

import numpy as np

A = np.array([[-0.1, 2.0], [-2.0, -0.1]])
Y0, TIMES, STEP, RATE = np.array([2.0, 0.0]), np.linspace(0.0, 1.5, 11), 0.05, 0.01


def observations():
    """The spiral, in small steps of Euler's method; the same for all."""
    y, rows = Y0, [Y0]
    for _ in range(10):
        for _ in range(300):
            y = y + 0.15 / 300 * (y**3 @ A)
        rows.append(y)
    return np.array(rows)


def weights():
    rng = np.random.default_rng(0)
    return [0.1 * rng.normal(size=shape) for shape in ((2, 50), (50,), (50, 2), (2,))]


def with_tinyode(target, parameters):
    from tinyode import odeint, optim, value_and_grad

    def f(t, y, W1, b1, W2, b2):
        return np.tanh((y * y * y) @ W1 + b1) @ W2 + b2

    def loss(parameters):
        return np.mean(np.abs(odeint(f, Y0, TIMES, *parameters, method="rk4", step_size=STEP, gradient="discrete") - target))

    init, update = optim.adam(RATE)
    state, values = init(parameters), []
    for _ in range(300):
        value, slope = value_and_grad(loss)(parameters)
        parameters, state = update(parameters, slope, state)
        values.append(float(value))
    return values


def with_torchdiffeq(target, parameters):
    import torch
    from torchdiffeq import odeint

    parameters = [torch.tensor(p, requires_grad=True) for p in parameters]
    y0, t, target = torch.tensor(Y0), torch.tensor(TIMES), torch.tensor(target)

    def f(t, y):
        W1, b1, W2, b2 = parameters
        return torch.tanh((y * y * y) @ W1 + b1) @ W2 + b2

    adam, values = torch.optim.Adam(parameters, lr=RATE), []
    for _ in range(300):
        adam.zero_grad()
        value = (odeint(f, y0, t, method="rk4", options={"step_size": STEP}) - target).abs().mean()
        value.backward()
        adam.step()
        values.append(value.item())
    return values


def with_diffrax(target, parameters):
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    def f(t, y, p):
        W1, b1, W2, b2 = p
        return jnp.tanh((y * y * y) @ W1 + b1) @ W2 + b2

    def loss(p):
        y = diffrax.diffeqsolve(diffrax.ODETerm(f), diffrax.Tsit5(), 0.0, 1.5, STEP, jnp.asarray(Y0), p,
                                saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES))).ys
        return jnp.mean(jnp.abs(y - target))

    @jax.jit
    def step(p, m, v, n):
        value, g = jax.value_and_grad(loss)(p)
        m = [0.9 * a + 0.1 * b for a, b in zip(m, g)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g)]
        p = [a - RATE * (b / (1 - 0.9**n)) / (jnp.sqrt(c / (1 - 0.999**n)) + 1e-8) for a, b, c in zip(p, m, v)]
        return p, m, v, value

    p, m, v, values = [jnp.asarray(x) for x in parameters], [0 * x for x in parameters], [0 * x for x in parameters], []
    for n in range(1, 301):
        p, m, v, value = step(p, m, v, float(n))
        values.append(float(value))
    return values


if __name__ == "__main__":
    values = globals()[f"with_{sys.argv[1]}"](observations(), weights())
    print(f"{values[0]:.4f} {values[-1]:.4f}")
