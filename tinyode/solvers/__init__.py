"""Solvers of initial value problems, in plain numbers. Read `tableaus`, `runge_kutta`, `step_size`, `solve`, in this order."""

from .options import SolverError, StepTooSmall, TooManySteps
from .solution import Solution
from .solve import solve

__all__ = ["Solution", "SolverError", "StepTooSmall", "TooManySteps", "solve"]
