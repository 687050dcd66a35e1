"""Which mistake was made in the adjoint of a system of equations? It is recognised by making it.

The right way, with lam for the slides' lambda (G24 to G26), is

    u = root(f, u0, p)
    lam = np.linalg.solve(df_du.T, dg_du)
    dg_dp = -lam @ df_dp

where df_du, df_dp and dg_du are taken at u. Each of its parts is wrong in the ways below, and
`root_explanations` looks for the fewest wrong parts that give what was found.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...autodiff import grad, jacobian
from ...types import Array
from .problems import RootProblem

SOLVE = "write lam = np.linalg.solve(df_du.T, dg_du)"
PULL = "write pullback(-lam)[0], where pullback is that of p -> f(u, p)"

# how lam is made of df_du and dg_du
SYSTEMS: dict[str, Callable[[Array, Array], Array]] = {
    "": lambda J, dg: np.linalg.solve(J.T, dg),
    f"df/du is not transposed; {SOLVE}": np.linalg.solve,
    f"the linear system is not solved, dg/du is taken for lam; {SOLVE}": lambda J, dg: dg,
    f"dg/du is multiplied by df/du.T, instead of solving with it; {SOLVE}": lambda J, dg: J.T @ dg,
    f"dg/du is multiplied by df/du, instead of solving with it; {SOLVE}": lambda J, dg: J @ dg,
    f"1 / df_du inverts each element, not the matrix; {SOLVE}": lambda J, dg: (1 / J).T @ dg,
    f"1 / df_du inverts each element, and is not transposed; {SOLVE}": lambda J, dg: (1 / J) @ dg,
}
# what is returned of lam, df_dp and df_du
PRODUCTS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "": lambda lam, F, J: -lam @ F,
    f"the sign is lost, dg/dp = -lam^T df/dp; {PULL}": lambda lam, F, J: lam @ F,
    f"lam is returned; it has still to be multiplied by df/dp: {PULL}": lambda lam, F, J: lam,
    f"-lam is returned; it has still to be multiplied by df/dp: {PULL}": lambda lam, F, J: -lam,
    f"lam is multiplied by df/dp from the wrong side; {PULL}": lambda lam, F, J: -_of(F, lam),
    (
        "lam is multiplied by df/du, not by df/dp: the pullback is that of u -> f(u, p), or the"
        f" first of two cotangents is taken; {PULL}"
    ): lambda lam, F, J: -lam @ J,
}
# where a derivative is taken
PLACES = {
    "dg/du is taken at u0; write dg_du = grad(g)(u), where u is the root": ("dg",),
    "df/du is taken at u0; write df_du = jacobian(f, 0)(u, p), where u is the root": ("J",),
    "df/dp is taken at u0; write vjp(lambda p: f(u, p), p), where u is the root": ("F",),
    "df/du and df/dp are taken at u0; take them at u, the root": ("J", "F"),
    "all derivatives are taken at u0; begin with u = root(f, u0, p)": ("dg", "J", "F"),
    "": (),
}


def _of(F, lam):
    return F @ lam if F.shape[1] == len(lam) else np.zeros(0)


def derivatives(problem: RootProblem, u: Array) -> dict[str, Array]:
    """Return dg_du, df_du and df_dp at u, by the letters dg, J, F."""
    f, p = problem.f, problem.p
    return {"dg": grad(problem.g)(u), "J": jacobian(f, 0)(u, p), "F": jacobian(f, 1)(u, p)}


def adjoint(at: dict[str, Array], system: str = "", product: str = "") -> Array:
    """Return dg/dp of the derivatives, right as it stands, and wrong with a word of the tables."""
    lam = SYSTEMS[system](at["J"], at["dg"])
    return PRODUCTS[product](lam, at["F"], at["J"])


def root_explanations(
    problem: RootProblem, found: Array, last: Any, same: Callable[[Any, Any], bool]
) -> list[str]:
    """Say what can have made this wrong gradient; the fewest mistakes that do.

    Parameters
    ----------
    problem : RootProblem
    found : array
    last : array or None
        Where g was last evaluated.
    same : function
        ``same(x, y)`` says whether two arrays agree.
    """
    u = problem.solution()
    at_u, at_u0 = derivatives(problem, u), derivatives(problem, problem.u0)
    made: dict[tuple[str, ...], Array] = {}
    for system, product, place in itertools.product(SYSTEMS, PRODUCTS, PLACES):
        mistakes = tuple([word for word in (place, system, product) if word])
        at = {**at_u, **{key: at_u0[key] for key in PLACES[place]}}
        with np.errstate(divide="ignore", invalid="ignore"):  # 1 / df_du may divide by zero
            made[mistakes] = adjoint(at, system, product)
    du_dp = -np.linalg.solve(at_u["J"], at_u["F"])
    instead = f"The adjoint needs no du/dp: {SOLVE}, and dg_dp = -lam @ df_dp"
    made[f"du/dp is returned; dg/dp is dg/du times du/dp. {instead}",] = du_dp
    made[
        "dg/du is returned (the pullback of u -> f(u, p) gives it for lam, too); it has still to be"
        f" multiplied by du/dp. {instead}",
    ] = at_u["dg"]
    made[
        "it is zero. g depends on p through u alone, and u counts as constant here; dg/dp ="
        " -lam^T df/dp",
    ] = np.zeros_like(problem.p)
    made.update(_not_solved(problem, last, same))
    matching = [mistakes for mistakes, value in made.items() if same(found, value)]
    fewest = min(map(len, matching), default=0)
    words = [" AND ".join(mistakes) for mistakes in matching if len(mistakes) == fewest]
    return words if fewest in (1, 2) else _nearly(found, adjoint(at_u), same)


def _not_solved(problem, last, same):
    """Return what the right way gives where u does not solve the equations."""
    if np.shape(last) != problem.u0.shape or same(last, problem.u0):
        return {}
    size = np.max(np.abs(problem.f(last, problem.p)))
    words = (
        f"u does not solve f(u, p) = 0: where dg/du is taken, |f(u, p)| is {size:.1e}. Iterate"
        " until a step of Newton's method changes nothing, or call root(f, u0, p)"
    )
    return {(words,): adjoint(derivatives(problem, last))}


def _nearly(found, right, same):
    if found.size != right.size:
        return []
    if found.shape != right.shape and same(np.ravel(found), right):
        return ["the numbers are right, the shape is not; return an array of the shape of p"]
    factor = np.ravel(found) @ right / (right @ right)
    of_all = right.size > 1 and same(found, factor * right)  # one number has always a factor
    return [f"it is {factor:.6g} times what it should be"] if of_all else []
