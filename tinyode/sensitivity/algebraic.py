"""Systems of equations f(u, p) = 0: `root` by Newton's method, its derivative by the adjoint of the
slides (G18 to G26).

Where u(p) solves f(u, p) = 0, the chain rule gives dg/dp = -(dg/du (df/du)^-1) df/dp (G24). The
bracket is a row vector lambda^T, and

    (df/du)^T lambda = (dg/du)^T            (G26, whose transpose the slides leave out)
    dg/dp = -lambda^T df/dp

is one linear solve and one vector-Jacobian product, whatever the number of parameters, and however
u was found.
"""

import numpy as np

from .. import tree
from ..autodiff import jacobian, vjp
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import is_traced, plain, unbox
from ..solvers.first_call import explained
from ..solvers.options import check_constant
from ..solvers.state import check_function, check_state
from .problem import check_parameters, replaced

ROUNDINGS = (
    100  # rounding errors that are allowed in a term (df/du)_ij u_j: f may add up many numbers
)


class NewtonError(RuntimeError):
    """Newton's method found no root."""


@explained
def root(f, u0, *args, tol=1e-10, atol=0.0, max_steps=50):
    """Solve f(u, *args) = 0 for u, differentiably in args.

    Newton's method: (df/du) d = -f, u <- u + s d, with s = 1, 1/2, 1/4, ... the first that makes
    the residual smaller, as measured by the step that it asks for, (df/du)^-1 f (Deuflhard, "Newton
    methods for nonlinear problems", 2004). It is done when |d_i| <= tol |u_i| + atol in every
    component, or f is zero, or d is what rounding makes of it.

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
        Relative to each component of u: 1e-10 asks for ten digits of a length of 1e-12 m as of one
        of 1 m. At least four roundings of the dtype of u0 are allowed.
    atol : float
        Absolute, in the unit of u: how near to zero counts as zero. Give it where a component of
        the root may be zero and f has rounding errors there; in metres, 1e-15 is less than any
        atom.
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
    Gazula and Plis (2019), equations 18 to 26; Granzow, "A tutorial on adjoint
    methods", J. Glaciol. 60 (2014).
    """
    check_function(f, "root: f")
    for name, value, kinds in (
        ("tol", tol, (int, float, np.number)),
        ("max_steps", max_steps, (int, np.integer)),
    ):
        check_constant(f"root: {name}", value)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < np.inf:
            raise ValueError(
                f"root: {name}={value!r} must be a positive"
                f" {'number' if name == 'tol' else 'whole number'}"
            )
    check_constant("root: atol", atol)
    if (
        isinstance(atol, bool)
        or not isinstance(atol, (int, float, np.number))
        or not 0 <= atol < np.inf
    ):
        raise ValueError(f"root: atol={atol!r} must be a number that is not negative")
    u_leaves, structure = check_state(tree.map(plain, u0), "u0")
    start = np.concatenate([leaf.reshape(-1) for leaf in u_leaves])
    theta, args_structure = tree.flatten(args)
    theta = check_parameters(theta)
    cut = tree.cutter(u_leaves)

    def residual(u, theta):
        if type(u) is np.ndarray:
            u.setflags(write=False)
        value = f(tree.unflatten(structure, cut(u)), *tree.unflatten(args_structure, theta))
        parts = tree.flatten(value)[0]
        if any(part is None for part in parts):
            raise TypeError(
                f"root: f returned {value!r:.60}; it must return as many numbers as u has"
            )
        for part in parts:
            tree.refuse_masked("root: what f returned", part)
        flat = np.concatenate([np.reshape(unbox(part), (-1,)) for part in parts])
        if flat.shape != u.shape:
            raise ValueError(
                f"root: f returned {flat.size} numbers for {u.size} unknowns; a system has as many"
                " equations as unknowns"
            )
        return flat

    def forward(*theta):
        return newton(lambda u: residual(u, theta), start, tol, atol, max_steps)

    def backward(g, u, wanted, *theta):
        df_du = jacobian(lambda u: residual(u, theta))(u)
        lam = adjoint_solve(df_du, g, "root: df/du at the root")

        def of_wanted(*parameters):
            return residual(u, replaced(theta, wanted, parameters))

        _, pullback = vjp(of_wanted, *[theta[n] for n in wanted])
        return pullback(-lam)

    return tree.unflatten(structure, cut(with_rule(forward, backward, theta)))


def adjoint_solve(df_du, dg_du, name):
    """Return lambda of (df/du)^T lambda = (dg/du)^T (G26)."""
    try:
        return np.linalg.solve(df_du.T, dg_du)
    except np.linalg.LinAlgError:
        raise NewtonError(f"{name} is singular, so what was solved for has no derivative") from None


def newton(f, u, tol, atol, max_steps):
    """Return a root of f, R^n -> R^n, from plain u; see `root`."""
    value = f(u)
    if is_traced(value):
        raise TypeError(
            "root: f returned a traced value although u is plain: it closes over a "
            "value that is being differentiated, and the gradient would be lost; pass "
            "that value to f through *args"
        )
    tol = max(tol, 4 * float(np.finfo(u.dtype).eps))
    rounding = ROUNDINGS * float(np.finfo(u.dtype).eps)
    largest = np.abs(u)  # the largest size of each component so far
    for _ in range(max_steps):
        if not np.any(value):
            return u
        slope = jacobian(f)(u)
        if not np.isfinite(slope).all():
            raise NewtonError(
                f"root: df/du is not finite at u = {u}; try another u0, or look for a root or a"
                " logarithm of zero"
            )
        try:
            d = np.linalg.solve(slope, -value)
        except np.linalg.LinAlgError:
            raise NewtonError(
                f"root: df/du is singular at u = {u}; try another u0, or check that the equations"
                " are independent"
            ) from None
        coupling, size, s, ahead = (
            np.abs(np.linalg.inv(slope)) @ np.abs(slope),
            np.abs(d),
            1.0,
            f(u + d),
        )
        now = np.maximum(np.abs(u), np.abs(u + d))
        own = tol * now + atol + np.minimum(rounding * (coupling @ now), tol * np.max(now))
        if (size <= own).all() and np.isfinite(ahead).all():
            return (
                u + d if (np.abs(np.linalg.solve(slope, ahead)) <= size).all() else u
            )  # the rest may be all rounding
        scale = np.maximum(coupling @ np.maximum(largest, size), np.finfo(u.dtype).tiny)
        while not is_smaller(asked(slope, ahead), size, scale):
            s /= 2
            if s < 1e-10:
                if not is_smaller(asked(slope, f(u + tol * largest) - value), size, scale):
                    return u  # near zero, where rounding is not small beside u
                raise NewtonError(
                    f"root: no step from u = {u} makes the residual {np.linalg.norm(value):.3g}"
                    " smaller; there may be no root near; try another u0"
                )
            ahead = f(u + s * d)
        u, value = u + s * d, ahead
        largest = np.maximum(largest, np.abs(u))
    raise NewtonError(
        f"root: {max_steps} steps of Newton's method were not enough: residual"
        f" {np.linalg.norm(value):.3g} at u = {u}; try another u0, a larger tol or more max_steps;"
        " where u is to be zero, give atol"
    )


def asked(slope, residual):
    """Return |(df/du)^-1 residual|, the step that a residual asks for: infinite where it is not
    finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return np.nan_to_num(np.abs(np.linalg.solve(slope, residual)), nan=np.inf, posinf=np.inf)


def is_smaller(step, other, scale):
    """Whether a step is smaller than another by its largest component, relative to a scale or
    absolutely.

    The relative measure alone is not enough: a component that has been zero so far has no scale.
    """
    with np.errstate(over="ignore"):
        return np.max(step / scale) < np.max(other / scale) or np.max(step) < np.max(other)
