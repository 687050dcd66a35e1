"""Hold derivatives against finite differences: the library's, and your own.

`central_difference` and `complex_step` estimate a derivative by evaluating alone. `check_vjp` holds
the engine's derivative, or your `tinyode.custom_vjp`, against either. `check_odeint` does so for a
whole differentiable solver, a student's for example, on drawn problems, and says in words what is
wrong. `check_by_hand` holds a product that you have derived with pen and paper against the
engine's, and says which line is wrong and what it is. `inner` and `random_like` are for comparisons
of your own.
"""

from .by_hand import check_by_hand
from .conformance import check_odeint
from .differences import central_difference, check_vjp, complex_step, inner, random_like

__all__ = [
    "central_difference",
    "check_by_hand",
    "check_odeint",
    "check_vjp",
    "complex_step",
    "inner",
    "random_like",
]
