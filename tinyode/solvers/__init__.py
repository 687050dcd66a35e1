"""Solvers of initial value problems, in plain numbers. Read `tableaus`, `runge_kutta`, `step_size`, `solve`, in this order."""

from .solve import Solution, SolverError, solve

__all__ = ["Solution", "SolverError", "solve"]
