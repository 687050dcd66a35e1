"""Hold derivatives against finite differences: the library's, and your own.

`central_difference` and `complex_step` estimate a derivative by evaluating alone, and `check_vjp`
holds the engine's, or your `tinyode.custom_vjp`, against either. `check_odeint` does so for a whole
differentiable solver, a student's say, on drawn problems, and says in words what is wrong.
`shapes`, `broadcasting_pairs`, `axes`, `reductions` and `matrices` draw, by hypothesis, what such
comparisons are made on.
"""

from .conformance import check_odeint
from .differences import central_difference, check_vjp, complex_step, inner, random_like
from .drawing import axes, broadcasting_pairs, matrices, reductions, shapes

__all__ = [
    "axes",
    "broadcasting_pairs",
    "central_difference",
    "check_odeint",
    "check_vjp",
    "complex_step",
    "inner",
    "matrices",
    "random_like",
    "reductions",
    "shapes",
]
