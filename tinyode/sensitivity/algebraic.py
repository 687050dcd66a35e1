"""`root`: the solution of f(u, p) = 0 and its derivative, by the adjoint of the slides (G18-G26).

Where u(p) solves f(u, p) = 0, the chain rule gives dg/dp = -(dg/du (df/du)^-1) df/dp (G24). The
bracket is a row vector lambda^T, and

    (df/du)^T lambda = (dg/du)^T            (G26, whose transpose the slides leave out)
    dg/dp = -lambda^T df/dp

That is one linear solve and one vector-Jacobian product, whatever the number of parameters, and
however u was found.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..autodiff import jacobian, vjp
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import plain, unbox
from ..solvers.first_call import explained
from ..solvers.options import check_constant
from ..solvers.state import check_function, check_state
from ..types import T, Tree
from .newton import NewtonError, newton
from .shared import check_parameters, replaced


@explained
def root(
    f: Callable[..., Any],
    u0: T,
    *args: Tree,
    tol: float = 1e-10,
    atol: float = 0.0,
    max_steps: int = 50,
) -> T:
    """Solve f(u, *args) = 0 for u, differentiably in args.

    It takes steps of Newton's method, (df/du) d = -f, u <- u + s d (`newton`), until |d_i| <= tol
    |u_i| + atol in every component, or f is zero, or d is what rounding makes of it.

    Parameters
    ----------
    f : function
        ``f(u, *args)``, with u of the structure and shapes of u0 and a value of as many elements.
    u0 : array or container of arrays
        Where to start. The root does not depend on it, so it gets no gradient.
    *args : arrays or containers of arrays
        The parameters. What is to have a gradient belongs here: a closure over a value being
        differentiated is an error.
    tol : float
        Relative to each component of u: 1e-10 asks for ten digits, of a length of 1e-12 m and of
        one of 1 m. At least four roundings of the dtype of u0 are allowed.
    atol : float
        Absolute, in the unit of u: how near to zero counts as zero. Give it where a component of
        the root may be zero and f has rounding errors there. (For lengths in metres, 1e-15 is less
        than any atom.)
    max_steps : int

    Returns
    -------
    u : array or container, like u0

    Raises
    ------
    NewtonError
        If df/du is singular or not finite, no shorter step makes the residual smaller, or
        ``max_steps`` were not enough; in a derivative, if df/du is singular at the root.
    TypeError, ValueError
        If f does not return as many real numbers as u has; if tol is not a positive number, atol
        negative, or max_steps not a whole one.

    Notes
    -----
    Gazula and Plis (2019), equations 18 to 26; Granzow, "A tutorial on adjoint methods",
    J. Glaciol. 60 (2014).
    """
    check_function(f, "root: f")
    check_numbers(tol, atol, max_steps)
    parts, structure = check_state(tree.map(plain, u0), "u0")
    start, cut = np.concatenate([part.reshape(-1) for part in parts]), tree.cutter(parts)
    theta, args_structure = check_parameters(args)

    def residual(u, theta):
        if type(u) is np.ndarray:
            u.setflags(write=False)
        value = f(tree.unflatten(structure, cut(u)), *tree.unflatten(args_structure, theta))
        return flat_residual(value, u)

    find = lambda *theta: newton(lambda u: residual(u, theta), start, tol, atol, max_steps)
    return tree.unflatten(
        structure, cut(solution_of(residual, find, theta, "root: df/du at the root"))
    )


def solution_of(residual, find, theta, name):
    """Return u, which solves f(u, theta) = 0, as a function of theta (G26).

    Parameters
    ----------
    residual : function
        ``residual(u, theta)`` returns f, a vector like u.
    find : function
        ``find(*theta)`` returns u for plain theta.
    theta : list
    name : str
        That of df/du, for the error where it is singular.
    """

    def backward(dg_du, u, positions, *theta):
        df_du = jacobian(lambda u: residual(u, theta))(u)
        lam = adjoint_solve(df_du, dg_du, name)

        def of_wanted(*moved):
            return residual(u, replaced(theta, positions, moved))

        _, pullback = vjp(of_wanted, *[theta[k] for k in positions])
        return pullback(-lam)  # -lambda^T df/dp

    return with_rule(find, backward, theta)


def check_numbers(tol, atol, max_steps):
    """Raise an error, naming it, for a number that cannot be."""
    numbers = int, float, np.number
    for name, value, kinds, what in (
        ("tol", tol, numbers, "a positive number"),
        ("max_steps", max_steps, (int, np.integer), "a positive whole number"),
        ("atol", atol, numbers, "a number that is not negative"),
    ):
        check_constant(f"root: {name}", value)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if not is_number or not 0 <= value < np.inf or (value == 0 and name != "atol"):
            raise ValueError(f"root: {name}={value!r} must be {what}")


def flat_residual(value, u):
    """Return what f returned as a vector with as many numbers as u has."""
    parts = tree.flatten(value)[0]
    if any(part is None for part in parts):
        raise TypeError(f"root: f returned {value!r:.60}; it must return as many numbers as u has")
    for part in parts:
        tree.refuse_masked("root: what f returned", part)
    # a copy: f may return an array of its own that it fills at each call
    residual = np.concatenate([np.reshape(unbox(part), (-1,)) for part in parts])
    if residual.shape != u.shape:
        raise ValueError(
            f"root: f returned {residual.size} numbers for {u.size} unknowns; a system has as many"
            " equations as unknowns"
        )
    return residual


def adjoint_solve(df_du, dg_du, name):
    """Return lambda of (df/du)^T lambda = (dg/du)^T (G26)."""
    try:
        return np.linalg.solve(df_du.T, dg_du)
    except np.linalg.LinAlgError:
        raise NewtonError(f"{name} is singular, so what was solved for has no derivative") from None
