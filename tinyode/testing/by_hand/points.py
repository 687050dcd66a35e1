"""Points near an example, with the value and the cotangents that the engine gives there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import tree
from ...autodiff import vjp
from ...types import Array, Tree
from ..differences import random_like

POINTS = 3  # at one alone two formulas may agree, as 2 * x and x * x do at x = 2
SPREAD = 0.2  # how far the points are from the example, as a share of each number
RTOL = 1e-7  # of the largest number of an array; another derivation is rounded otherwise
FLOOR = 1e-12  # of the largest number of all, for what is zero but for rounding


class Point(NamedTuple):
    """Arguments of f, the cotangent of its value, and what the engine makes of them.

    Attributes
    ----------
    args, seed, value
    cotangents : tuple
        The cotangent of a leaf that is not made of floating-point numbers is None.
    """

    args: tuple
    seed: Tree
    value: Tree
    cotangents: tuple

    def right(self, result: Any) -> list[Array]:
        """Return for each leaf of (value, cotangents) which numbers of a result are right.

        The list is empty if the result is not of their structure.
        """
        try:
            found, structure = tree.flatten(result)
        except (TypeError, ValueError):
            return []
        expected, right_structure = tree.flatten((self.value, self.cotangents))
        if structure != right_structure:
            return []
        size = max([np.max(np.abs(x), initial=0.0) for x in expected if x is not None])
        return [agreeing(x, y, FLOOR * size) for x, y in zip(found, expected)]

    def is_right(self, result: Any) -> bool:
        """Whether all numbers of a result are right."""
        right = self.right(result)
        return bool(right) and all([np.all(x) for x in right])


def agreeing(found: Any, expected: Any, atol: float = 0.0) -> Array:
    """Return which numbers of two arrays are, but for rounding, the same.

    None are if the shapes differ.
    """
    if expected is None:  # the leaf is not differentiated
        return np.array(found is None or not np.any(found))
    expected = np.asarray(expected)
    none = np.zeros(expected.shape, dtype=bool)
    if getattr(found, "shape", () if isinstance(found, (int, float)) else None) != expected.shape:
        return none
    found = np.asarray(found)
    if found.dtype.kind not in "fiub":
        return none
    eps = np.finfo(expected.dtype).eps if expected.dtype.kind == "f" else 0.0
    scale = np.max(np.abs(expected), initial=0.0)
    return np.abs(found - expected) <= max(RTOL, eps**0.5) * scale + atol


def agree(found: Any, expected: Any) -> bool:
    """Whether two arrays have the same shape and, but for rounding, the same numbers."""
    return bool(np.all(agreeing(found, expected)))


def is_floating(x: Any) -> bool:
    """Whether x is a number or an array that can be differentiated."""
    return isinstance(x, float) or getattr(getattr(x, "dtype", None), "kind", "") == "f"


def points_near(f: Callable, example: tuple) -> list[Point]:
    """Return points near an example at which f and its cotangents are finite.

    Raises
    ------
    ValueError
        If there is nothing to differentiate, or f is not finite near the example.
    """
    leaves, structure = tree.flatten(example)
    places = [i for i, x in enumerate(leaves) if is_floating(x)]
    if not sum([np.size(leaves[i]) for i in places]):
        raise ValueError(
            "check_by_hand: nothing to differentiate: no argument has floating-point numbers"
            " (write 2.0 for the number 2)"
        )
    rng, points = np.random.default_rng(0), []
    for _ in range(POINTS):
        moved = [_near(rng, x) if is_floating(x) else x for x in leaves]

        def of_floating(*xs, moved=moved):
            every = list(moved)
            for i, x in zip(places, xs):
                every[i] = x
            return f(*tree.unflatten(structure, every))

        value, pullback = vjp(of_floating, *[moved[i] for i in places])
        seed = tree.map(_like, random_like(rng, value), value)
        cotangents: list[Any] = [None] * len(leaves)
        for i, c in zip(places, pullback(seed)):
            cotangents[i] = c
        args, expected = [tree.unflatten(structure, x) for x in (moved, cotangents)]
        points.append(Point(args, seed, value, expected))
    points = [point for point in points if _is_finite((point.value, point.cotangents))]
    if not points:
        raise ValueError(
            "check_by_hand: f or its derivative is not finite near the example; give an example"
            " farther from where it is not"
        )
    return points


def _near(rng, x):
    """Return x moved by a share of each number, which keeps its sign; a zero is moved by SPREAD."""
    noise = SPREAD * rng.normal(size=np.shape(x))
    moved = np.where(np.asarray(x) == 0, noise, x * np.exp(noise))
    return float(moved) if isinstance(x, float) and np.ndim(x) == 0 else _like(moved, x)


def _like(new, x):
    return np.asarray(new, dtype=getattr(x, "dtype", float))[()]


def _is_finite(container):
    return all([np.all(np.isfinite(x)) for x in tree.flatten(container)[0] if x is not None])
