"""Solvers of initial value problems, in plain numbers. Read `tableaus`, `runge_kutta`, `step_size`, `solve`, in this order."""

from .options import SolverError, StepTooSmall, TooManySteps
from .solve import Solution, solve

__all__ = ["Solution", "SolverError", "StepTooSmall", "TooManySteps", "solve"]
