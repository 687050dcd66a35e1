"""Containers: nested tuples, lists and dicts whose leaves are arrays.

The parameters of a network are a list of dicts, the state of a pendulum is a pair. In mathematics
both are one vector. This module translates: `flatten` takes a container apart into its leaves and
its structure, `unflatten` puts it together again, and `ravel` makes one flat vector of it:

    >>> vector, unravel = ravel({"W": np.ones((2, 3)), "b": np.zeros(3)})
    >>> vector.shape
    (9,)
    >>> unravel(2 * vector)["W"]
    array([[2., 2., 2.],
           [2., 2., 2.]])

The keys of a dict are walked in sorted order, so that two dicts with the same keys always flatten
alike. A dict that is put together again has its keys in the order that it had. Tuples (named ones
too), lists and dicts are containers. All else is a leaf: arrays, numbers, and the traced arrays of
`tinyode.autodiff`. `tinyode.containers` cares for subclasses.

`save` and `load` keep a container in a file.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from .containers import TOO_DEEP, emptied, keys_of_dict, keys_of_sequence
from .files import load as load
from .files import save as save
from .types import Array, T, Tree

LEAF = "*"  # how a structure writes a leaf
DEEPEST = 500  # levels; the stack of Python 3.11 allows 499, and 3.12.1 compares no more than 749
# types that are leaves for certain and need no closer look; the engine adds its own
CERTAIN_LEAVES: set[type] = {np.ndarray, np.float64, float}


def flatten(tree: Tree) -> tuple[list[Any], Hashable]:
    """Take a container apart.

    Parameters
    ----------
    tree : array or nested tuple, list, dict of arrays

    Returns
    -------
    leaves : list
        The leaves, from left to right, dicts in the order of their sorted keys.
    structure : hashable
        What is left, all that `unflatten` needs. Two containers of one structure have equal ones.

    Raises
    ------
    TypeError
        If the keys of a dict cannot be sorted, or a subclass of tuple has attributes, which would
        be lost.
    ValueError
        If containers are nested some hundreds deep, or one contains itself.
    """
    leaves: list[Any] = []
    try:
        return leaves, _take_apart(tree, leaves, 1)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _take_apart(tree, leaves, level):
    """Append the leaves of a container to a list, and return its structure.

    That is `LEAF`, or a triple of the type, the keys (None for a tuple or a list) and the
    structures of the elements.
    """
    kind = type(tree)
    if kind in CERTAIN_LEAVES:
        leaves.append(tree)
        return LEAF
    if level > DEEPEST:
        raise RecursionError
    if isinstance(tree, (tuple, list)):
        keys = None if kind is tuple or kind is list else keys_of_sequence(tree)
        if CERTAIN_LEAVES.issuperset([type(child) for child in tree]):  # the usual case, at once
            leaves.extend(tree)
            return kind, keys, (LEAF,) * len(tree)
        return kind, keys, tuple([_take_apart(child, leaves, level + 1) for child in tree])
    if isinstance(tree, dict):
        keys = keys_of_dict(tree)
        return kind, keys, tuple([_take_apart(tree[key], leaves, level + 1) for key in keys])
    leaves.append(tree)
    return LEAF


def unflatten(structure: Hashable, leaves: Sequence[Any]) -> Tree:
    """Put together what `flatten` took apart, with these leaves.

    Raises
    ------
    ValueError
        If there are more or fewer leaves than the structure has places.
    """
    if structure is LEAF and len(leaves) == 1:  # the usual cases, at once
        return leaves[0]
    if structure == (tuple, None, (LEAF,) * len(leaves)):
        return tuple(leaves)
    rest = iter(leaves)
    try:
        tree = _put_together(structure, rest)
    except StopIteration:
        raise ValueError(
            f"{len(leaves)} leaves are too few for the structure {describe(structure)}"
        ) from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if next(rest, rest) is not rest:
        raise ValueError(
            f"{len(leaves)} leaves are too many for the structure {describe(structure)}"
        )
    return tree


def _put_together(structure, rest):
    """Return the container of this structure whose leaves an iterator gives."""
    if structure is LEAF:
        return next(rest)
    kind, keys, children = structure
    values = [next(rest) if child is LEAF else _put_together(child, rest) for child in children]
    if keys is None:
        if kind is list:
            return values
        return tuple.__new__(kind, values)  # the constructor of a named tuple takes other arguments
    result = {} if keys.empty is None else emptied(keys.empty)
    if isinstance(result, list):
        result.extend(values)
    else:
        by_key = dict(zip(keys, values))
        for key in keys.order:
            result[key] = by_key[key]
    return result


def describe(structure: Hashable) -> str:
    """Write a structure the way Python would, a leaf as ``array``: for messages."""
    if structure == LEAF:
        return "of one array"
    return str(_put_together(structure, iter(_Leaf, None)))


class _Leaf:
    def __repr__(self):
        return "array"


def map(f: Callable[..., Any], tree: T, *rest: Tree) -> T:
    """Apply ``f`` leaf by leaf: ``map(f, a, b)`` has the leaves ``f(leaf of a, leaf of b)``.

    Raises
    ------
    ValueError
        If the containers differ in structure.
    """
    leaves, structure = flatten(tree)
    columns = [leaves]
    for number, other in enumerate(rest, 2):
        others, other_structure = flatten(other)
        if other_structure != structure:
            raise ValueError(
                f"tree.map: container {number} has the structure {describe(other_structure)}, "
                f"the first one {describe(structure)}; they must agree"
            )
        columns.append(others)
    return unflatten(structure, [f(*column) for column in zip(*columns)])


def ravel(tree: Tree) -> tuple[Array, Callable[[Array], Tree]]:
    """Lay all leaves end to end in one flat vector.

    Whole numbers become float64, as where they are differentiated: what an optimiser makes of the
    2 in ``{"b": 2, "g": 0.5}`` is a fraction.

    Returns
    -------
    vector : array, shape (n,)
        n is the number of elements in all leaves together; its dtype is the one that can hold every
        leaf's.
    unravel : function
        ``unravel(vector)`` is the container again, each leaf with its own shape and dtype. Both
        directions are NumPy code and so differentiable.
    """
    return end_to_end(map(_floating, tree))


def end_to_end(tree: Tree) -> tuple[Array, Callable[[Array], Tree]]:
    """Do what `ravel` does, and leave whole numbers as they are."""
    leaves, structure = flatten(tree)
    leaves = [_as_array(leaf) for leaf in leaves]
    n, cut = sum([leaf.size for leaf in leaves]), cutter(leaves)

    def unravel(vector: Array) -> Tree:
        if np.shape(vector) != (n,):
            raise ValueError(
                f"unravel: a vector of shape {(n,)} was expected, got shape {np.shape(vector)}"
            )
        vector = vector if hasattr(vector, "dtype") else np.stack([*vector])  # a list of numbers
        return unflatten(structure, cut(vector))

    if not leaves:
        return np.zeros(0), unravel
    return np.concatenate([np.reshape(leaf, (-1,)) for leaf in leaves]), unravel


def _floating(leaf):
    """Return a leaf as one array, of float64 if it was made of whole numbers."""
    leaf = _as_array(leaf)
    return leaf.astype(float) if leaf.dtype.kind in "iub" else leaf


def _as_array(leaf):
    """Return a leaf as one array, traced if it is traced."""
    refuse_masked("ravel: a leaf", leaf)
    if type(leaf) is np.ndarray and leaf.dtype == object and leaf.size:
        return np.reshape(np.stack(list(leaf.flat)), leaf.shape)  # np.array([x, y]) of traced x, y
    return leaf if hasattr(leaf, "dtype") else np.asarray(leaf)


def cutter(leaves: Sequence[Any]) -> Callable[[Array], list[Array]]:
    """Return the function that cuts a flat vector into arrays like these.

    It takes vectors of shape (..., n), and returns arrays of the dtypes of the leaves and of the
    shapes (..., *leaf.shape). It is NumPy code and so differentiable.
    """
    if len(leaves) == 1:  # the usual case, in half the time
        return _whole(leaves[0].shape, leaves[0].dtype)
    places, end = [], 0
    for leaf in leaves:
        start, end = end, end + leaf.size
        places.append((slice(start, end), leaf.shape, leaf.dtype))

    def cut(flat):
        if flat.ndim == 1:
            pieces = [flat[place].reshape(shape) for place, shape, _ in places]
        else:
            rows = flat.shape[:-1]
            pieces = [flat[..., place].reshape(rows + shape) for place, shape, _ in places]
        return [
            piece if piece.dtype is dtype else piece.astype(dtype)
            for piece, (_, _, dtype) in zip(pieces, places)
        ]

    return cut


def _whole(shape, dtype):
    """Return the cutter of one array."""

    def cut(flat):
        piece = flat if flat.dtype is dtype else flat.astype(dtype)
        return [piece if len(shape) == 1 else piece.reshape(flat.shape[:-1] + shape)]

    return cut


def refuse_masked(name: str, leaf: Any) -> None:
    """Raise TypeError for a masked array or a matrix, of which only the numbers would be used."""
    if isinstance(leaf, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(
            f"{name} is a {type(leaf).__name__}, of which only the numbers would be used; give a "
            "plain array: x.filled(value) of a masked one, np.asarray(x) of a matrix"
        )
