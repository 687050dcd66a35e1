"""Hold derivatives against finite differences: the library's, and your own.

`central_difference` and `complex_step` estimate a derivative by evaluating alone. `check_vjp` holds
the engine's derivative, or your `tinyode.custom_vjp`, against either. `inner` and `random_like` are
for comparisons of your own.

The others check what a student writes, and say in words what is wrong: `check_by_hand` a product
derived with pen and paper, and on drawn problems `check_step` one step of a method, `check_engine`
a reverse mode, `check_root_adjoint` the adjoint of a system of equations, and `check_odeint` a
whole differentiable solver. `check_without` says if a function calls what it must do without.
`check_your_test` turns this round: it counts the wrong solvers that a test of yours finds (see
`tinyode.testing.laboratory`).
"""

from .by_hand import check_by_hand
from .calls import check_without
from .conformance import check_odeint
from .differences import central_difference, check_vjp, complex_step, inner, random_like
from .engine import check_engine
from .laboratory import check_your_test
from .roots import check_root_adjoint
from .step import check_step

__all__ = [
    "central_difference",
    "check_by_hand",
    "check_engine",
    "check_odeint",
    "check_root_adjoint",
    "check_step",
    "check_vjp",
    "check_without",
    "check_your_test",
    "complex_step",
    "inner",
    "random_like",
]
