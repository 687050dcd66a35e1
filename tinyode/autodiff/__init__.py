"""Reverse-mode automatic differentiation of plain NumPy code.

Read `trace` for the engine, `dispatch` for how NumPy's calls reach it and `operators` for how a
traced array looks like an array; `rules` for the derivatives; `transforms` for what users call,
`custom` for derivatives of their own, `checks` for what is refused; `recording`, `program`,
`source`, `compiled` and `signature` for derivatives written down as NumPy.
"""

from . import rules  # noqa: F401  (fills the table)
from .custom import custom_vjp, stop_gradient
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
