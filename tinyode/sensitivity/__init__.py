"""Derivatives of solutions.

`odeint` is the differentiable solve, by one of four ways: `adjoint` (Algorithm 2 of the sources,
read it first), `discrete`, `interpolated` and `forward`; what they share is in `problem`.
`algebraic` has `root`, for equations, `event` has `odeint_event`, for when and where something
happens, `batch` has `odeint_batch`, `integral` what integral losses need.
"""

from .algebraic import NewtonError, root
from .batch import odeint_batch
from .event import odeint_event
from .integral import with_integral
from .odeint import odeint

__all__ = ["NewtonError", "odeint", "odeint_batch", "odeint_event", "root", "with_integral"]
