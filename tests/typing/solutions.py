"""What a user's type checker makes of `tinyode.solvers`."""

import numpy as np

from tinyode import Event, Solution, SolverError, solve, solve_batch
from tinyode.types import Array


def f(t: float, y: Array, k: float) -> Array:
    return -k * y


def crossing(t: float, y: Array, k: float) -> float:
    return float(y[0] - 0.5)


times = np.linspace(0.0, 1.0, 5)
solution = solve(f, np.ones(2), times, 1.0, method="tsit5", rtol=1e-8, event=Event(crossing))
reveal_type(solution)  # Solution
reveal_type(solution.t)  # Array
reveal_type(solution.y)  # Any
reveal_type(solution.stats.nfev)  # int
reveal_type(solution(0.5))  # Any
reveal_type(solve(f, {"a": 1.0}, [0.0, 1.0], 2.0, atol={"a": 1e-9}))  # Solution
reveal_type(solve_batch(f, np.ones((3, 2)), times, 1.0))  # Solution


def end_of(solution: Solution) -> float:
    return float(solution.t[-1])


try:
    end_of(solution)
except SolverError as error:
    reveal_type(error.t)  # float
    reveal_type(error.solution)  # Any
