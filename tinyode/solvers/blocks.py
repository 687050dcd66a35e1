"""What a tableau says of implicit steps: which stages depend on one another, and first guesses.

A block is a square part A of the tableau's matrix on its diagonal, so small that all of it must be
solved at once: one stage where the tableau is lower triangular, all stages where it is full. With
A = T diag(lambda) T^-1 Newton's system for a block falls apart into one for each eigenvalue.
"""

from typing import NamedTuple

import numpy as np


class Block(NamedTuple):
    """Stages first ... stop - 1, and A = T diag(eigenvalues) T_inv.

    There are no eigenvalues where the one stage is explicit.
    """

    first: int
    stop: int
    eigenvalues: np.ndarray | None
    T: np.ndarray | None
    T_inv: np.ndarray | None


def blocks(a):
    """Cut a tableau's matrix, shape (s, s), into its blocks."""
    found, first = [], 0
    while first < len(a):
        stop = first + 1
        while a[first:stop, stop:].any():
            stop += 1
        found.append(_block(first, stop, a[first:stop, first:stop]))
        first = stop
    return found


def _block(first, stop, A):
    """Return the `Block` of these stages, with one of each conjugate pair of eigenvalues."""
    if not A.any():
        return Block(first, stop, None, None, None)
    values, T = np.linalg.eig(A)
    kept = values.imag >= 0
    twice = np.where(values.imag > 0, 2, 1)
    return Block(first, stop, values[kept], (T * twice)[:, kept], np.linalg.inv(T)[kept])


def extrapolation(c, x, most):
    """Return weights w of the guess k(x) ~ sum_j w_j k_j.

    It is the polynomial through the last slopes, so many at most.
    """
    nodes = {node: j for j, node in enumerate(c.tolist())}  # the later one of two at the same place
    chosen = sorted(nodes.values())[-most:]
    w = np.zeros(len(c))
    for j in chosen:
        w[j] = np.prod([(x - c[m]) / (c[j] - c[m]) for m in chosen if m != j])
    return w
