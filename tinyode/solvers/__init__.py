"""Solvers of initial value problems, in plain numbers.

Read `tableau` (what a method is), `tableaus` (the methods), `runge_kutta` (one step), `step_size`
(its length) and `solve` (the loop), in this order; then `dense` (what lies inside a step),
`events`, `implicit` (steps of stiff problems) and `batch` (a clock for each sample).
"""

from .batch import solve_batch
from .events import Event, Events
from .failures import NewtonFailed, SolverError, StepTooSmall, TooManySteps
from .solution import Solution
from .solve import solve

__all__ = [
    "Event",
    "Events",
    "NewtonFailed",
    "Solution",
    "SolverError",
    "StepTooSmall",
    "TooManySteps",
    "solve",
    "solve_batch",
]
