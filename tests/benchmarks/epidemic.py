"""Fit an epidemic: how long a gradient takes, against a plain solve, and against the peers.

Influenza in a boarding school of 763 boys (British Medical Journal, 4 March 1978, page 587): the
boys in bed on 14 days. The model has two numbers for its state and two parameters,

    S' = -b S I / N,     I' = b S I / N - g I,     S(0) = 762,  I(0) = 1,

written as people write a model of few equations who fit it to data: with numbers, ``S, I = y[0],
y[1]``. ``python tests/benchmarks/epidemic.py`` prints ratios.
"""

import functools
import time

import numpy as np
from timing import PEERS, fastest, missing

import tinyode

IN_BED = np.array([3.0, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4])
N, DAYS, START = 763.0, np.arange(15.0), np.array([762.0, 1.0])
PARAMETERS = float(np.log(1.7)), float(np.log(0.45))  # log b, log g
TOLERANCES = {"rtol": 1e-8, "atol": 1e-8}
MODES = "adjoint", "discrete", "interpolated", "forward"


def field(xp, t, y, log_b, log_g):
    """Return dy/dt, for any module ``xp`` with NumPy's names."""
    S, I = y[0], y[1]
    infected = xp.exp(log_b) * S * I / N
    return xp.stack([-infected, infected - xp.exp(log_g) * I])


def f(t, y, log_b, log_g):
    S, I = y[0], y[1]
    infected = np.exp(log_b) * S * I / N
    return np.array([-infected, infected - np.exp(log_g) * I])


def by_tinyode(f, gradient):
    def loss(log_b, log_g):
        y = tinyode.odeint(f, START, DAYS, log_b, log_g, gradient=gradient, **TOLERANCES)
        return np.sum((y[1:, 1] - IN_BED) ** 2)

    return functools.partial(tinyode.grad(loss, (0, 1)), *PARAMETERS)


def by_torchdiffeq(adjoint):
    import torch
    import torchdiffeq

    class Field(torch.nn.Module):
        def __init__(self):
            super().__init__()
            tensors = [torch.tensor(x, dtype=torch.float64) for x in PARAMETERS]
            self.p = torch.nn.ParameterList([torch.nn.Parameter(x) for x in tensors])

        def forward(self, t, y):
            return field(torch, t, y, *self.p)

    module, y0, t, data = Field(), *map(torch.tensor, (START, DAYS, IN_BED))
    odeint = torchdiffeq.odeint_adjoint if adjoint else torchdiffeq.odeint

    def gradient():
        y = odeint(module, y0, t, **TOLERANCES)
        loss = ((y[1:, 1] - data) ** 2).sum()
        return [x.item() for x in torch.autograd.grad(loss, [*module.parameters()])]

    return gradient


def by_diffrax():
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    def loss(p):
        y = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, p: field(jnp, t, y, *p)),
            diffrax.Dopri5(),
            0.0,
            DAYS[-1],
            None,
            START,
            p,
            saveat=diffrax.SaveAt(ts=jnp.asarray(DAYS)),
            stepsize_controller=diffrax.PIDController(**TOLERANCES),
        ).ys
        return jnp.sum((y[1:, 1] - IN_BED) ** 2)

    compiled, p = jax.jit(jax.grad(loss)), tuple(map(float, PARAMETERS))
    return lambda: [float(x) for x in compiled(p)]


def benchmark_epidemic():
    compiled = tinyode.compiled(f)
    functions = {
        "a plain solve": lambda: tinyode.solve(f, START, DAYS, *PARAMETERS, **TOLERANCES),
        "compiled": lambda: tinyode.solve(compiled, START, DAYS, *PARAMETERS, **TOLERANCES),
    }
    for name, g in (("tape", f), ("compiled", compiled)):
        functions |= {f"{name}, {mode}": by_tinyode(g, mode) for mode in MODES}
    if PEERS["torchdiffeq"]:
        functions |= {"torchdiffeq": by_torchdiffeq(False), "its adjoint": by_torchdiffeq(True)}
    if PEERS["diffrax"]:
        start = time.perf_counter()
        functions["diffrax"] = by_diffrax()
        functions["diffrax"]()  # which compiles it
        seconds = time.perf_counter() - start
    expected = functions["tape, discrete"]()
    for name, function in list(functions.items())[2:]:
        np.testing.assert_allclose(function(), expected, rtol=1e-4, err_msg=name)
    plain, *times = fastest(list(functions.values()), 8.0)
    print(
        "an epidemic, two numbers and two parameters, 14 observations: time of a gradient, against"
        f" a plain solve of {1e3 * plain:.1f} ms (budget: tape 12, compiled 3, forward 4)"
        + missing("torchdiffeq", "diffrax")
    )
    for name, each in zip(list(functions)[1:], times):
        print(f"  {name:24} {each / plain:6.2f}")
    once = lambda: tinyode.vjp(lambda *p: f(0.0, *p), START, *PARAMETERS)[1](np.ones(2))
    plain, tape = fastest([lambda: f(0.0, START, *PARAMETERS), once])
    print(f"  value and VJP of f on the tape, in evaluations of f: {tape / plain:.0f} (budget 25)")
    if PEERS["diffrax"]:
        ours = times[list(functions).index("compiled, adjoint") - 1]
        ahead = seconds / (ours - times[-1])
        print(f"  diffrax is compiled in {seconds:.1f} s, and ahead after {ahead:.0f} gradients")


if __name__ == "__main__":
    benchmark_epidemic()
