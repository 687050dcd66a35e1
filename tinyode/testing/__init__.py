"""Hold derivatives against finite differences: the library's, and your own.

`central_difference` and `complex_step` estimate a derivative by evaluating alone. `check_vjp` holds
the engine's derivative, or your `tinyode.custom_vjp`, against either. `check_odeint` does so for a
whole differentiable solver, a student's for example, on drawn problems, and says in words what is
wrong. `check_step` says whether one step of a method has its order, and if not, which line is
wrong. `inner` and `random_like` are for comparisons of your own.
"""

from .conformance import check_odeint
from .differences import central_difference, check_vjp, complex_step, inner, random_like
from .engine import check_engine
from .step import check_step

__all__ = [
    "central_difference",
    "check_engine",
    "check_odeint",
    "check_step",
    "check_vjp",
    "complex_step",
    "inner",
    "random_like",
]
