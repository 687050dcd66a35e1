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

Each of them is imported when it, or one of its functions, is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

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

if TYPE_CHECKING:  # where the names come from, for mypy and editors
    from . import datasets, nn, optim, tree
    from . import models as models
    from . import testing as testing
    from .autodiff import (
        custom_vjp,
        grad,
        hessian,
        jacobian,
        jvp,
        stop_gradient,
        value_and_grad,
        vjp,
    )
    from .programs.compiled import compiled
    from .programs.program import program
    from .sensitivity import NewtonError, odeint_batch, odeint_event, root, with_integral
    from .sensitivity.odeint import odeint
    from .solvers import Event, Solution, SolverError, solve_batch
    from .solvers.solve import solve
else:
    _MODULES = set(
        "autodiff datasets models nn optim programs sensitivity solvers testing tree".split()
    )

    def __getattr__(name):
        """Return one of these modules, or the name from the first that exports it."""
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name in __all__:
            for home in ("autodiff", "solvers", "sensitivity", "programs"):  # the smallest first
                module = import_module(f"{__name__}.{home}")
                if name in module.__all__:
                    globals()[name] = getattr(module, name)
                    return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        private = {"TYPE_CHECKING", "import_module"}
        return sorted({*globals(), *_MODULES, *__all__} - private)
