"""What derivatives of solutions cost: ``python tests/benchmarks/sensitivities.py``.

A gradient and a Jacobian of a small model in every way; how right two ways are on a stiff problem;
and how soon Algorithm 2 gives up where z, solved backwards, is lost. A field is run as it is, on
the tape, and compiled.
"""

import functools
import sys
from pathlib import Path

import numpy as np
from timing import fastest

sys.path.insert(0, str(Path(__file__).parents[1] / "solvers"))
from stiff import hires

from tinyode import compiled, jacobian, odeint, solve, value_and_grad
from tinyode.sensitivity.odeint import GRADIENTS
from tinyode.solvers import SolverError


def epidemic(t, y, rates):
    new = rates[0] * y[0] * y[1] / 1000.0
    return np.array([-new, new - rates[1] * y[1]])


def lorenz(t, y, k):
    return np.array([k[0] * (y[1] - y[0]), y[0] * (k[1] - y[2]) - y[1], y[0] * y[1] - k[2] * y[2]])


HIRES = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057])
LOST = {
    "Lorenz to t = 10": (lorenz, np.ones(3), 10.0, (10.0, 28.0, 8 / 3), {}),
    "HIRES, kvaerno5": (hires, HIRES, 321.8122, 280.0, {"method": "kvaerno5"}),
    "HIRES, trbdf2": (hires, HIRES, 321.8122, 280.0, {"method": "trbdf2"}),
}


def benchmark_epidemic():
    """Print the cost of a gradient, and of a Jacobian of one component at 14 times."""
    print("an epidemic, 2 equations, 2 parameters, 14 times, rtol 1e-8; in plain solves")
    y0, t, rates = np.array([999.0, 1.0]), np.linspace(0, 14, 15), np.array([1.6, 0.5])
    plain = lambda: solve(epidemic, y0, t, rates, rtol=1e-8)
    for gradient in GRADIENTS:
        for name, f in (("tape", epidemic), ("compiled", compiled(epidemic))):
            infected = lambda rates, f=f, gradient=gradient: odeint(
                f, y0, t, rates, rtol=1e-8, gradient=gradient
            )[1:, 1]
            loss = value_and_grad(lambda rates, infected=infected: np.sum(infected(rates) ** 2))
            rows = jacobian(infected)
            calls = plain, lambda loss=loss: loss(rates), lambda rows=rows: rows(rates)
            one, of_loss, of_rows = fastest(calls)
            print(
                f"  {gradient:12} {name:9} gradient {of_loss / one:5.1f}   jacobian"
                f" {of_rows / of_loss:5.2f} gradients"
            )


def benchmark_stiff():
    """Print the errors of two ways on HIRES."""
    print("relative error of dL/dk on HIRES, k scales its two halves, rtol 1e-4, 1e-6, 1e-8")
    field = lambda t, y, k: np.repeat(k, 4) * hires(t, y)

    def gradient(method, tol, way):
        options = {"method": method, "rtol": tol, "atol": 1e-4 * tol, "gradient": way}
        end = lambda k: np.sum(odeint(field, HIRES, [0.0, 321.8122], k, **options)[-1])
        return value_and_grad(end)(np.ones(2))[1]

    exact = gradient("radau_iia5", 1e-11, "discrete")
    error = lambda *how: np.max(np.abs(gradient(*how) - exact)) / np.max(np.abs(exact))
    for method in ("trbdf2", "kvaerno5", "radau_iia5"):
        tolerances = (1e-4, 1e-6) if method == "trbdf2" else (1e-4, 1e-6, 1e-8)
        for way in ("discrete", "interpolated"):
            errors = [f"{error(method, tol, way):9.1e}" for tol in tolerances]
            print(f"  {method:12} {way:14}", *errors)


def gives_up(f, y0, end, k, options):
    """Take a gradient that ends with an error."""
    last = lambda k: np.sum(odeint(f, y0, [0.0, end], k, **options)[-1])
    try:
        value_and_grad(last)(k)
    except SolverError:
        return
    raise AssertionError("it has not given up")


def benchmark_lost():
    """Print after how long Algorithm 2 gives up, its own forward solve included."""
    print("Algorithm 2 gives up; in plain solves, one of them its own forward solve")
    for name, (f, y0, end, k, options) in LOST.items():
        plain = functools.partial(solve, f, y0, [0.0, end], k, **options)
        for kind, field in (("tape", f), ("compiled", compiled(f))):
            failing = functools.partial(gives_up, field, y0, end, np.array(k), options)
            one, until = fastest((plain, failing))
            print(f"  {name:20} {kind:9} {until / one:5.1f}")


if __name__ == "__main__":
    benchmark_epidemic()
    benchmark_stiff()
    benchmark_lost()
