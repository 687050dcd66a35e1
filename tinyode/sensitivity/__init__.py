"""Derivatives of solutions: of equations in `algebraic`, of initial value problems in `adjoint`, which `odeint` makes public."""

from .algebraic import NewtonError, root
from .odeint import odeint

__all__ = ["NewtonError", "odeint", "root"]
