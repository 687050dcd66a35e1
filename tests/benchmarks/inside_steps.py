"""What lies inside steps: errors there and at the ends, short events. And trbdf2's tolerance.

`python tests/benchmarks/inside_steps.py` prints the figures that chose kvaerno5's dense output, the
number of times at which events are looked for, and the estimate of trbdf2.
"""

import sys
from pathlib import Path

import numpy as np

from tinyode import solve

sys.path.insert(0, str(Path(__file__).parent.parent / "solvers"))
from stiff import PROBLEMS

TOLERANCES = 1e-4, 1e-6, 1e-8
INSIDE = np.linspace(0, 1, 12)[1:-1]


def slaved(rate):
    """Return y' = -rate (y - cos t), y(0) = 0, its end, and its solution."""
    f = lambda t, y: -rate * (y - np.cos(t))
    particular = lambda t: np.real(rate / (rate + 1j) * np.exp(1j * t))
    exact = lambda t: (particular(t) - particular(0.0) * np.exp(-rate * t))[:, None]
    return f, np.zeros(1), 10.0, exact, 1.0


def hires():
    """Return HIRES, with a solution computed at a tolerance of 1e-11."""
    f, y0, times, _ = PROBLEMS["hires"]
    exact = solve(f, np.array(y0), times, method="kvaerno5", rtol=1e-11, atol=1e-15)
    return f, np.array(y0), times[-1], exact, 1e-3


def inside_against_ends(f, y0, end, exact, size, method, rtol):
    """Return the largest error inside steps relative to that at their ends, in tolerances."""
    solution = solve(f, y0, [0.0, end], method=method, rtol=rtol, atol=size * rtol)
    t = np.array([0.0, *(step.t1 for step in solution._dense.steps)])
    between = (t[:-1, None] + INSIDE * np.diff(t)[:, None]).ravel()

    def error(t):
        return np.max(np.abs(solution(t) - exact(t)) / (size * rtol + rtol * np.abs(exact(t))))

    return error(between) / error(t[1:])


def benchmark_inside():
    """Print the ratio for each method, problem and tolerance."""
    print(f"the error inside steps relative to that at their ends, rtol {TOLERANCES}")
    problems = {"y' = -1000 (y - cos t)": slaved(1000.0), "y' = -10 (y - cos t)": slaved(10.0)}
    for name, problem in {**problems, "HIRES": hires()}.items():
        for method in ("kvaerno3", "kvaerno5", "radau_iia5"):
            ratios = [inside_against_ends(*problem, method, rtol) for rtol in TOLERANCES]
            print(f"  {name:22}  {method}", *(f"{ratio:7.1f}" for ratio in ratios))


def benchmark_tolerances():
    """Print the largest relative error of trbdf2 on HIRES over rtol."""
    f, y0, times, states = PROBLEMS["hires"]
    print("the error of trbdf2 on HIRES over rtol", end="")
    for rtol in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        y = solve(f, np.array(y0), times, method="trbdf2", rtol=rtol, atol=1e-6 * rtol).y[-1]
        print(f", {rtol:.0e}: {np.max(np.abs(y / states[0] - 1)) / rtol:.2f}", end="")
    print()


def benchmark_events():
    """Print which part of 200 events of length 1 is found on an oscillator of period 314."""
    slow = lambda t, y: np.array([y[1], -4e-4 * y[0]])
    times = np.random.default_rng(0).uniform(50, 950, 200)
    short = [lambda t, y, of=of: 0.5 - np.exp(-(((t - of) / 0.6) ** 2)) for of in times]
    print("events of length 1 that are found", end="")
    for method in ("dopri5", "tsit5", "dop853"):
        solution = solve(slow, np.array([1.0, 0.0]), [0, 1000.0], method=method, event=short)
        found = np.mean(np.bincount(solution.event.index, minlength=200) == 2)
        length = 1000 / solution.stats.accepted
        print(f", {method} (steps of {length:.0f}): {100 * found:.0f} %", end="")
    print()


if __name__ == "__main__":
    benchmark_inside()
    benchmark_tolerances()
    benchmark_events()
