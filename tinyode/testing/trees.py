"""Rooted trees and the order conditions of Runge-Kutta methods.

The Taylor series of the solution, and that of a Runge-Kutta step, have one term per rooted tree. A
method is of order p if the two agree for all trees with up to p nodes (Butcher, 1963; HNW, section
II.2, theorem 2.13):

    sum_i b_i Phi_i(tree) = 1 / gamma(tree)

Phi_i is the product over the children of the root: c_i for a leaf, sum_j a_ij Phi_j(child) for
another tree. gamma, the density, is the number of nodes times the gammas of the children.

A tree is the tuple of its children, in which `LEAF`, (), is a leaf. Where the time of a stage,
t + c_i h, does not fit to its state, y + h sum_j a_ij k_j, a leaf that stands for df/dt, `TIME`,
differs from one that stands for df/dy: the one has the factor c_i, the other sum_j a_ij.

HNW is Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations" I (1993).
"""

import functools
import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from ..types import Array

LEAF: tuple[Any, ...] = ()
TIME = "t"


@functools.cache
def trees(order: int, leaves: tuple[Any, ...] = (LEAF,)) -> tuple[Any, ...]:
    """Return all rooted trees with so many nodes, with these leaves; the bushes come first."""
    if order == 1:
        return (LEAF,)
    return tuple(forests(order - 1, order - 1, leaves))[::-1]


def forests(nodes, largest, leaves):
    """Yield the multisets of trees with so many nodes together, each with up to ``largest``."""
    if nodes == 0:
        yield LEAF
    for size in range(min(nodes, largest), 0, -1):
        of_size = leaves if size == 1 else trees(size, leaves)
        for count in range(1, nodes // size + 1):
            for some in itertools.combinations_with_replacement(of_size, count):
                for others in forests(nodes - count * size, size - 1, leaves):
                    yield some + others


def nodes_of(tree: Any) -> int:
    """Return the number of nodes."""
    return 1 if tree == TIME else 1 + sum(map(nodes_of, tree))


def density(tree: Any) -> int:
    """Return gamma."""
    if tree == TIME:
        return 1
    product = nodes_of(tree)
    for child in tree:
        product *= density(child)
    return product


def weight(tree: Any, a: Array, c: Array) -> Array:
    """Return Phi_i of a tree, shape (s,)."""
    product = np.ones(len(c))
    for child in tree:
        product = product * (c if child == TIME else a @ weight(child, a, c))
    return product


def failing(a: Array, b: Array, c: Array, order: int, close: float) -> Any:
    """Return the first tree whose condition fails up to an order, and sum_i b_i Phi_i, or None.

    Parameters
    ----------
    a, b, c : arrays of shapes (s, s), (s,), (s,)
    order : int
    close : float
        How far the two sides may differ.
    """
    leaves = (LEAF, TIME) if told_apart(a, c, close) else (LEAF,)
    for nodes in range(1, order + 1):
        for tree in trees(nodes, leaves):
            found = float(b @ weight(tree, a, c))
            if not abs(found - 1 / density(tree)) <= close:
                return tree, found
    return None


def told_apart(a: Array, c: Array, close: float) -> bool:
    """Whether some c_i is not sum_j a_ij, so that df/dt and df/dy need trees of their own."""
    return not np.allclose(a.sum(axis=1), c, rtol=0, atol=close)


def condition(tree: Any, with_times: bool) -> str:
    """Return the condition as text, ``sum b_i a_ij c_j = 1/6``.

    Leaves are c_i. Where a tree ``with_times`` tells df/dt and df/dy apart, those of df/dy are
    a_ij.
    """
    letters = iter("jklmnopq")

    def factors(tree, i):
        count = sum(child == (TIME if with_times else LEAF) for child in tree)
        said = [f"c_{i}" + (f"^{count}" if count > 1 else "")] if count else []
        for child in tree:
            if child == TIME or (child == LEAF and not with_times):
                continue
            j = next(letters)
            said += [f"a_{i}{j}", *factors(child, j)]
        return said

    return f"sum {' '.join(['b_i', *factors(tree, 'i')])} = {Fraction(1, density(tree))}"


def drawn(tree: Any) -> str:
    """Return a tree in brackets: ``.`` is a leaf, ``[[.],.]`` a root with two children."""
    return "." if tree == LEAF else tree if tree == TIME else f"[{','.join(map(drawn, tree))}]"
