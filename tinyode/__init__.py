"""tinyode: neural ODEs from first principles, over NumPy.

- `autodiff`: derivatives of plain NumPy code: vjp, jvp, grad, jacobian, hessian, custom_vjp
- `programs`: functions recorded once, as straight-line NumPy: compiled, program
- `solvers`: initial value problems: solve, solve_batch
- `sensitivity`: derivatives of solutions, by four ways: odeint, odeint_event, root
- `nn`, `optim`: networks and optimisers as pairs of functions over plain containers
- `models`: residual network and neural ODE, normalizing flows, latent ODE
- `datasets`: small data
- `testing`: finite differences, and checks to hold your own derivatives against
- `tree`: containers of arrays
"""

from . import datasets, nn, optim, tree
from .autodiff import custom_vjp, grad, hessian, jacobian, jvp, stop_gradient, value_and_grad, vjp
from .programs import compiled, program
from .sensitivity import NewtonError, odeint, odeint_batch, odeint_event, root, with_integral
from .solvers import Event, Solution, SolverError, solve, solve_batch

__version__ = "0.1.0"

__all__ = [
    "Event",
    "NewtonError",
    "Solution",
    "SolverError",
    "compiled",
    "custom_vjp",
    "datasets",
    "grad",
    "hessian",
    "jacobian",
    "jvp",
    "nn",
    "odeint",
    "odeint_batch",
    "odeint_event",
    "optim",
    "program",
    "root",
    "solve",
    "solve_batch",
    "stop_gradient",
    "tree",
    "value_and_grad",
    "vjp",
    "with_integral",
]
