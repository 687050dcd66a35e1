"""Print the library's speed and memory as ratios to peers: ``python tests/benchmarks/run.py``.

All are measured in the same run. Peers other than NumPy are optional, and named when they are
missing: ``pip install scipy torch torchdiffeq autograd mygrad diffrax``. Each pair is timed in
turns, and the ratio is that of the shortest times. Nothing here is a test: machines are noisy.
"""

import compileall
import os
import subprocess
import sys
import time
import tracemalloc

import by_hand
import numpy as np
import spiral
from epidemic import benchmark_epidemic
from solvers import benchmark_compiled_solves, benchmark_solvers
from timing import PEERS, fastest, missing
from vjps import SIZES, arrays, benchmark_vjps

import tinyode


def field(t, y, W1, b1, W2, b2):
    return np.tanh((y * y * y) @ W1 + b1) @ W2 + b2


def benchmark_adjoint():
    print(
        "adjoint gradient of that network, dopri5, one interval, rtol 1e-6, atol 1e-9"
        + missing("torchdiffeq")
    )
    for size, budget, faster in zip(
        SIZES,
        ("2.0, compiled 1.2", "1.3, compiled 1.0", "1.1, compiled 1.0"),
        ("6, compiled 12", "5", "2.5"),
    ):
        inputs = arrays(*size)
        end, tolerances = 1.0, {"rtol": 1e-6, "atol": 1e-9}

        def gradient_of(f):
            end_of = lambda y0, *p, **tolerances: tinyode.odeint(
                f, y0, [0.0, end], *p, **tolerances
            )[-1]
            return tinyode.grad(
                lambda *p, **tolerances: 0.5 * np.sum(end_of(*p, **tolerances) ** 2),
                (0, 1, 2, 3, 4),
            )

        gradient, compiled = gradient_of(field), gradient_of(tinyode.compiled(field))
        reference = gradient(*inputs, rtol=1e-11, atol=1e-13)
        functions = [
            lambda inputs=inputs: by_hand.adjoint_gradient(*inputs, end, 1e-6, 1e-9),
            lambda inputs=inputs, gradient=gradient: gradient(*inputs, **tolerances),
            lambda inputs=inputs, compiled=compiled: compiled(*inputs, **tolerances),
        ]
        if PEERS["torchdiffeq"]:
            import torch
            from torchdiffeq import odeint_adjoint

            class Field(torch.nn.Module):
                def __init__(self, inputs):
                    super().__init__()
                    self.p = torch.nn.ParameterList(
                        [torch.nn.Parameter(torch.tensor(x)) for x in inputs[1:]]
                    )

                def forward(self, t, y):
                    W1, b1, W2, b2 = self.p
                    return torch.tanh((y * y * y) @ W1 + b1) @ W2 + b2

            module, y0 = Field(inputs), torch.tensor(inputs[0], requires_grad=True)
            times = torch.tensor([0.0, end], dtype=torch.float64)

            def by_torchdiffeq(module=module, y0=y0, times=times):
                y = odeint_adjoint(module, y0, times, method="dopri5", **tolerances)[-1]
                loss = 0.5 * (y**2).sum()
                return torch.autograd.grad(loss, [y0, *module.parameters()])

            functions.append(
                lambda by_torchdiffeq=by_torchdiffeq: [g.numpy() for g in by_torchdiffeq()]
            )
        errors = [
            max(np.linalg.norm(g - r) / np.linalg.norm(r) for g, r in zip(f(), reference))
            for f in functions
        ]
        times = fastest(functions, 8.0)
        print(
            f"  {size!s:15} by hand {1e3 * times[0]:8.2f} ms;  tinyode {times[1] / times[0]:.2f}, "
            f"compiled {times[2] / times[0]:.2f} (budget "
            f"{budget})"
            + "".join(
                f";  {t / times[1]:.1f} times faster than torchdiffeq, compiled {t / times[2]:.1f}"
                f" (budget {faster})"
                for t in times[3:]
            )
            + ";  relative errors "
            + ", ".join(f"{error:.0e}" for error in errors)
        )


def benchmark_discrete():
    print(
        "discrete gradient of that network against torchdiffeq's odeint, recorded"
        + missing("torchdiffeq")
    )
    if PEERS["torchdiffeq"]:
        import torch
        from torchdiffeq import odeint

        for size in SIZES:
            inputs, times = arrays(*size), torch.tensor([0.0, 1.0], dtype=torch.float64)
            tensors = [torch.tensor(x, requires_grad=True) for x in inputs]

            def loss(y0, *p):
                return 0.5 * np.sum(
                    tinyode.odeint(field, y0, [0.0, 1.0], *p, gradient="discrete")[-1] ** 2
                )

            def by_torchdiffeq(tensors=tensors, times=times):
                y0, W1, b1, W2, b2 = tensors
                y = odeint(
                    lambda t, y: torch.tanh((y * y * y) @ W1 + b1) @ W2 + b2,
                    y0,
                    times,
                    method="dopri5",
                    rtol=1e-6,
                    atol=1e-9,
                )
                return torch.autograd.grad(0.5 * (y[-1] ** 2).sum(), tensors)

            gradient = tinyode.grad(loss, (0, 1, 2, 3, 4))
            times = fastest(
                [lambda gradient=gradient, inputs=inputs: gradient(*inputs), by_torchdiffeq], 5.0
            )
            print(f"  {size!s:15} {times[1] / times[0]:.1f} times faster")
    y0 = np.ones((256, 64))

    def peak(**options):
        tracemalloc.start()
        tinyode.grad(
            lambda k: np.sum(
                tinyode.odeint(
                    lambda t, y, k: -k * y,
                    y0,
                    [0, 1.0],
                    k,
                    method="rk4",
                    step_size=1e-3,
                    gradient="discrete",
                    **options,
                )[-1]
            )
        )(0.5)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size / y0.nbytes

    print(
        f"  peak memory of 1,000 rk4 steps of a (256, 64) state: {peak():.0f} states (budget"
        f" 1,150), with 10 checkpoints {peak(checkpoints=10):.0f} (budget 200)"
    )
    (ours, _), *theirs = [(seconds, name) for name, (seconds, _) in spiral.race().items()]
    print(
        f"  a spiral fitted in 300 steps of Adam, from a cold process: {ours[-1]:.1f} s;"
        + "".join(
            f" {t[-1] / ours[-1]:.1f} times sooner than {name}"
            f" ({(t[-1] - t[0]) / (ours[-1] - ours[0]):.2f} times without the first step);"
            for t, name in theirs
        )
        + " (budget 6, against the fastest)"
    )


def benchmark_memory():
    y0 = np.ones(2**16)

    def peak(n):
        tracemalloc.start()
        tinyode.grad(
            lambda k: np.sum(
                tinyode.odeint(
                    lambda t, y, k: -k * y, y0, [0, 1.0], k, method="rk4", step_size=1 / n
                )[-1]
            )
        )(0.5)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    print(
        "peak memory of the adjoint gradient, 10,000 steps relative to 10:"
        f" {peak(10_000) / peak(10):.3f} (budget 1.05)"
    )


def benchmark_import():
    compileall.compile_dir(os.path.dirname(tinyode.__file__), quiet=1)  # as an installer does

    statements = "import numpy", "import tinyode", "from tinyode import vjp, odeint"
    best = dict.fromkeys(statements, float("inf"))
    for _ in range(20):  # in turns
        for statement in statements:
            best[statement] = min(best[statement], _seconds([sys.executable, "-c", statement]))
    alone, *others = best.values()
    print(
        f"relative to import numpy: import tinyode {others[0] / alone:.2f} (budget 1.15),"
        f" from tinyode import vjp, odeint {others[1] / alone:.2f}"
    )


def _seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    np.ones(31 * 10**6 // 8).sum()  # a warm allocator: otherwise large arrays measure page faults
    for benchmark in (
        benchmark_vjps,
        benchmark_adjoint,
        benchmark_epidemic,
        benchmark_discrete,
        benchmark_compiled_solves,
        benchmark_solvers,
        benchmark_memory,
        benchmark_import,
    ):
        benchmark()
