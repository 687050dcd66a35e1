"""The adjoint of one Runge-Kutta step, and of the states that are read off inside it.

A step from y (HNW, sections II.1 and II.6; Hager, "Runge-Kutta methods in optimal control", 2000):

    Y_i = y + h sum_j a_ij k_j,      k_i = f(t + c_i h, Y_i)
    y1 = y + h sum_i b_i k_i,        y(x) = y + h sum_i b_i(x) k_i

Let lambda be the cotangent of y1, and mu that of y(x). Those of the stages are, from the last to
the first, kappa_i of k_i and nu_i of Y_i:

    kappa_i = h (b_i lambda + b_i(x) mu + sum_j a_ji nu_j),      nu_i = (df/dy)_i^T kappa_i
    of y:      lambda + mu + sum_i nu_i
    of theta:  sum_i (df/dtheta)_i^T kappa_i
    of t:      tau = sum_i tau_i,  tau_i = (df/dt)_i^T kappa_i
    of h:      sum_i (kappa_i . k_i / h + c_i tau_i)

One vector-Jacobian product per stage gives nu_i, the cotangent of theta and tau_i. An implicit
method solves for some stages together, a block. Their kappa_i satisfy the first line together: one
transposed system, like that of `root` (G26).

All of it is NumPy code. It holds for one system, with y of shape (n,), and for a batch, with y of
shape (A, n) and h, x of shape (A, 1).
"""

import functools
from typing import NamedTuple

import numpy as np

from ..solvers.blocks import blocks
from ..solvers.tableaus import find
from .algebraic import adjoint_solve

PLAIN_NUMBERS = frozenset({float, np.float64})
STAGES = "the matrix of an implicit step's stages"  # for the error where it is singular


class Coefficients(NamedTuple):
    """The numbers of those stages of a tableau that the states of a step depend on.

    ``kept`` are the positions of these stages in the tableau. a, b and c are lists of floats, which
    Python multiplies faster than NumPy's numbers, and which leave float32 as it is.
    """

    kept: list
    a: list
    b: list
    c: list
    blocks: list
    interpolant: np.ndarray

    def of(self, K):
        """Return those of these stages that an implicit step has solved for, in a list."""
        return [K[i] for i in self.kept if i < len(K)]


def coefficients(tableau, dense):
    """Return the `Coefficients` of a step, with the stages of its dense output or without.

    Stages that serve the error estimate alone are left out: the last one of dopri5, the first one
    of radau_iia5.
    """
    s, extra = tableau.stages, len(tableau.extra_a)
    a = np.vstack([np.pad(tableau.a, ((0, 0), (0, extra))), tableau.extra_a])
    b = np.pad(tableau.b, (0, extra))
    c = np.append(tableau.c, tableau.extra_c)
    needed = b != 0
    if dense:
        needed |= tableau.interpolant.any(axis=1)
    for _ in range(s + extra):  # what a needed stage depends on
        needed |= a[needed].any(axis=0)
    kept = np.flatnonzero(needed)
    a = a[np.ix_(kept, kept)]
    lists = [x.tolist() for x in (kept, a, b[kept], c[kept])]
    return Coefficients(*lists, blocks(a), tableau.interpolant[kept])


@functools.cache
def both_coefficients(method):
    """Return the `Coefficients` without the stages of the dense output, and with them."""
    return coefficients(find(method), False), coefficients(find(method), True)


def inside_weights(interpolant, x):
    """Return the b_i(x): polynomials in x, without a constant term."""
    powers = range(1, interpolant.shape[1] + 1)
    return np.tensordot(interpolant, np.stack([x**power for power in powers]), 1)


def weighted_sum(weights, K):
    """Return sum_i w_i k_i over the stages that have a weight; 0.0 where none has."""
    terms = [w * k for w, k in zip(weights, K) if type(w) not in PLAIN_NUMBERS or w]
    return sum(terms[1:], terms[0]) if terms else 0.0


def step_back(coefficients, K, pulls, h, lam, inside, timed):
    """Return the cotangents of a step's y, of theta and t, and of h.

    Parameters
    ----------
    coefficients : Coefficients
    K, pulls : lists
        The stages k_i, and of each the function from kappa_i to a list: nu_i, the cotangents of
        theta, and tau_i if timed.
    h, lam
        The size of the step, and lambda.
    inside : list of (x, mu)
        For the states that were read off inside the step.
    timed : bool
        Whether the cotangents of t and h are wanted.

    Returns
    -------
    of_y : array
    of_inputs : list
        Those of theta, and that of t if timed.
    of_h : number
        0.0 unless timed.
    """
    _, a, b, c, blocks, interpolant = coefficients
    weights = [(inside_weights(interpolant, x), mu) for x, mu in inside]
    of_y, of_inputs, of_h, nu = lam, [], 0.0, {}
    for _, mu in inside:
        of_y = of_y + mu
    for block in reversed(blocks):
        right = {}
        for i in range(block.first, block.stop):
            terms = [h * b[i] * lam] if b[i] else []
            terms += [h * w[i] * mu for w, mu in weights]
            terms += [h * a[j][i] * nu[j] for j in nu if a[j][i]]
            right[i] = sum(terms[1:], terms[0]) if terms else None
        solved_for = block.eigenvalues is not None
        if solved_for:
            right, of_Y = transposed(a, block, pulls, h, right, lam)
        for i, kappa in right.items():
            if kappa is None:
                continue
            nu[i], *rest = pulls[i](kappa)
            if solved_for:
                nu[i] = of_Y[i]
            of_y = of_y + nu[i]
            of_inputs = [x + y for x, y in zip(of_inputs, rest)] if of_inputs else rest
            if timed:
                of_h = of_h + np.sum(kappa * K[i]) / h + c[i] * rest[-1]
    return of_y, of_inputs, of_h


def rate_inside(interpolant, x, K):
    """Return dy(x)/dx / h = sum_i b_i'(x) k_i."""
    powers = np.arange(1, interpolant.shape[1] + 1)
    return weighted_sum(interpolant @ (powers * x ** (powers - 1)), K)


def transposed(a, block, pulls, h, right, lam):
    """Solve kappa_i - h sum_j a_ji (df/dy)_j^T kappa_j = right_i for the kappa of a block.

    That is the adjoint of its equations, k_i - f(Y_i) = 0.

    Returns
    -------
    kappa, nu : dicts of arrays
        nu_i = (df/dy)_i^T kappa_i is found from the equations. The product would multiply the
        rounding errors of kappa by df/dy, which is large where a problem is stiff.
    """
    n, members = len(lam), range(block.first, block.stop)
    units = np.eye(n, dtype=lam.dtype)
    J = {i: np.stack([pulls[i](unit)[0] for unit in units]) for i in members}
    rows = [
        np.concatenate([(i == j) * units - h * a[i][j] * J[i] for j in members], axis=1)
        for i in members
    ]
    given = np.concatenate([0.0 * lam if right[i] is None else right[i] for i in members])
    kappa = adjoint_solve(np.concatenate(rows), given, STAGES)
    A = np.array([a[i][block.first : block.stop] for i in members])
    nu = np.linalg.inv(A.T) @ np.reshape(kappa - given, (len(members), n)) / h
    return dict(zip(members, np.reshape(kappa, nu.shape))), dict(zip(members, nu))
