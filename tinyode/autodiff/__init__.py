"""Reverse-mode automatic differentiation of plain NumPy code.

Read `tape` first: it is the small engine. Then `node` (an array whose history is written down) and
`numpy_calls` (how a call of NumPy finds its rule); `rules` has the derivatives, those of every day
first. `transforms` has what users call, `custom` derivatives of their own, `checks` what is
refused, and `lines` says by which line of a user's code.
"""

# ruff: noqa: F401 (a module of rules writes into the tables when it is imported)
from .custom import custom_vjp, stop_gradient
from .rules import elementwise, indexing, linalg, products, reductions, shapes
from .rules.more import bilinear, calculus, factorisations, layout, norms, special, statistics
from .transforms import grad, hessian, jacobian, jvp, value_and_grad, vjp

__all__ = [
    "custom_vjp",
    "grad",
    "hessian",
    "jacobian",
    "jvp",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
