"""What a tableau says of implicit steps: which stages depend on one another, and first guesses.

A block is a square part A of the tableau's matrix on its diagonal, so small that all of it must be
solved at once: one stage where the tableau is lower triangular, all stages where it is full. With
A = T diag(lambda) T^-1 Newton's system for a block falls apart into one for each eigenvalue.
"""

from typing import NamedTuple

import numpy as np


class Block(NamedTuple):
    """Stages first ... stop - 1, and A = T diag(eigenvalues) T_inv.

    There are no eigenvalues where the one stage is explicit. Of a conjugate pair one is kept. Then
    its column of T counts twice: the sum of both terms is twice the real part of one.
    """

    first: int
    stop: int
    eigenvalues: list | None  # floats, and complex numbers with a positive imaginary part
    T: list | None  # for each of them its column of T, (s, 1), and its row of T_inv, (s,)
    T_inv: list | None


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
    """Return the `Block` of these stages."""
    if not A.any():
        return Block(first, stop, None, None, None)
    values, T = np.linalg.eig(A)
    T_inv, found = np.linalg.inv(T), []
    for value, column, row in zip(values.tolist(), T.T, T_inv):
        if value.imag > 0:
            found.append((value, 2 * column[:, None], row))
        elif value.imag == 0:
            found.append((value.real, column[:, None].real, row.real))
    return Block(first, stop, *map(list, zip(*found)))


def extrapolation(c, most):
    """Return a function from places x, in a list, to the weights of guesses there.

    The guess is k(x) ~ sum_j w_j k_j, the polynomial through the last slopes, so many at most. The
    weights have a row for each x.
    """
    nodes = {node: j for j, node in enumerate(c.tolist())}  # the later one of two at the same place
    chosen = sorted(nodes.values())[-most:]
    powers, identity = np.arange(len(chosen)), np.zeros((len(chosen), len(c)))
    identity[powers, chosen] = 1.0
    lagrange = np.linalg.solve(np.vander(c[chosen], increasing=True), identity)
    return lambda x: np.array([[place] for place in x]) ** powers @ lagrange
