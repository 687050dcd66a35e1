"""Containers: nested tuples, lists and dicts whose leaves are arrays.

Parameters of a network are a list of dicts, the state of a pendulum is a pair: mathematics sees one
vector in both. This module is the translation. `flatten` takes a container apart into its leaves
and its structure, `unflatten` puts it together again, `ravel` goes all the way to one flat vector:

    >>> vector, unravel = ravel({"W": np.ones((2, 3)), "b": np.zeros(3)})
    >>> vector.shape
    (9,)
    >>> unravel(2 * vector)["W"]
    array([[2., 2., 2.],
           [2., 2., 2.]])

Dict keys are walked in sorted order, so that two dicts with the same keys always flatten alike; put
together again, a dict has its keys in the order that it had. Whatever is not a tuple (named ones
included), a list or a dict is a leaf: arrays, numbers, and the traced arrays of `tinyode.autodiff`.

`save` and `load` keep a container in a file.
"""

import copy

import numpy as np

from .files import TOO_DEEP
from .files import load as load
from .files import save as save

LEAF = "*"  # how a structure writes a leaf
CERTAIN_LEAVES = {
    np.ndarray,
    np.float64,
    float,
}  # types that need no closer look; the engine adds its own


class _Keys(tuple):
    """The sorted keys of a dict, and what a structure has without being another structure for it.

    ``order`` is that of the keys in the dict itself, which code that loops over it may count on.
    ``empty`` is an empty container of the same kind, where that is a subclass of dict or list: it
    has the factory of a defaultdict, and the attributes of a class of the user's.
    """

    order, empty = (), None


def flatten(tree):
    """Take a container apart.

    Parameters
    ----------
    tree : array or nested tuple, list, dict of arrays

    Returns
    -------
    leaves : list
        The leaves, from left to right, dicts in the order of their sorted keys.
    structure : hashable
        What is left: equal for two containers of the same structure, and all that `unflatten`
        needs.

    Raises
    ------
    TypeError
        If the keys of a dict cannot be sorted, or a subclass of tuple has attributes, which would
        be lost.
    ValueError
        If containers are nested some hundreds deep, or one contains itself.
    """
    leaves = []
    try:
        return leaves, _take_apart(tree, leaves)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _take_apart(tree, leaves):
    kind = type(tree)
    if kind in CERTAIN_LEAVES:
        leaves.append(tree)
        return LEAF
    if isinstance(tree, (tuple, list)):
        own = None if kind is tuple or kind is list else _own(tree)
        if CERTAIN_LEAVES.issuperset([type(child) for child in tree]):  # the usual case, in one go
            leaves.extend(tree)
            return kind, own, (LEAF,) * len(tree)
        return kind, own, tuple([_take_apart(child, leaves) for child in tree])
    if isinstance(tree, dict):
        try:
            keys = _Keys(sorted(tree))
        except TypeError as error:
            raise TypeError(
                "the keys of a dict are walked in sorted order, and these cannot be sorted:"
                f" {list(tree)}; use keys of one type"
            ) from error
        keys.order = tuple(tree)
        if kind is not dict:
            keys.empty = _own(tree).empty
        return kind, keys, tuple([_take_apart(tree[key], leaves) for key in keys])
    leaves.append(tree)
    return LEAF


def _own(tree):
    """Return what a subclass of list or dict has besides its elements, None for one of tuple."""
    name = type(tree).__name__
    if isinstance(tree, tuple):
        if getattr(tree, "__dict__", None):
            raise TypeError(
                f"{name} is a tuple with attributes ({', '.join(vars(tree))}), and one "
                "with other elements would lose them; write tuple(x), or a named tuple"
            )
        return None
    own = _Keys()
    try:
        own.empty = _emptied(tree)
    except RecursionError:  # of the containers around it
        raise
    except Exception as error:
        plain = "list" if isinstance(tree, list) else "dict"
        raise TypeError(
            f"{name} is a {plain} that copy.copy cannot copy, so that none with other "
            f"elements can be made; write {plain}(x)"
        ) from error
    return own


def _emptied(tree):
    """Return an empty container of the same kind, without its constructor, whose arguments are not
    known.
    """
    try:
        empty = copy.copy(tree)
    except (
        KeyError
    ):  # from Python 3.10, which asks a dict whose keys are its attributes for __getstate__
        empty = type(tree).__new__(type(tree))
        vars(empty).update(vars(tree))
    empty.clear()
    return empty


def orders(structure):
    """Return the keys of all dicts in a structure in the orders that the dicts have; equal
    structures may differ in that.
    """
    if structure is LEAF:
        return ()
    _, keys, children = structure
    own = () if keys is None else (keys.order,)
    try:
        return sum([orders(child) for child in children if child is not LEAF], own)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def belongings(structure):
    """Return what subclasses of dict and list in a structure have besides their elements.

    That is the factory of a defaultdict, or attributes; equal structures may differ in it.
    """
    if structure is LEAF:
        return ()
    _, keys, children = structure
    own = ()
    if keys is not None and keys.empty is not None:
        try:  # what copy.copy makes another one of
            _, arguments, state, *_ = keys.empty.__reduce_ex__(4)
        except KeyError:  # see _emptied
            arguments, state = (), vars(keys.empty)
        own = (([x for x in arguments if x is not type(keys.empty)], state),)
    return sum([belongings(child) for child in children if child is not LEAF], own)


def unflatten(structure, leaves):
    """Put together what `flatten` took apart, with these leaves.

    Raises
    ------
    ValueError
        If there are more or fewer leaves than the structure has places.
    """
    if structure is LEAF and len(leaves) == 1:  # the usual cases, in one go
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
    if structure is LEAF:
        return next(rest)
    kind, keys, children = structure
    values = [next(rest) if child is LEAF else _put_together(child, rest) for child in children]
    if keys is None:
        if kind is list:
            return values
        return tuple.__new__(kind, values)  # the constructor of a named tuple takes other arguments
    result = {} if keys.empty is None else _emptied(keys.empty)
    if isinstance(result, list):
        result.extend(values)
    else:
        by_key = dict(zip(keys, values))
        for key in keys.order:
            result[key] = by_key[key]
    return result


def describe(structure):
    """Write a structure the way Python would, a leaf as ``array``: for messages."""
    if structure == LEAF:
        return "of one array"
    return str(_put_together(structure, iter(_Leaf, None)))


class _Leaf:
    def __repr__(self):
        return "array"


def refuse_masked(name, leaf):
    """Raise TypeError for a masked array or a matrix, of which only the numbers would be used."""
    if isinstance(leaf, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(
            f"{name} is a {type(leaf).__name__}, of which only the numbers would be "
            "used; give a plain array: x.filled(value) of a masked one, np.asarray(x) "
            "of a matrix"
        )


def map(f, tree, *rest):
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


def cutter(leaves):
    """Return the function that cuts flat vectors, shape (..., n), into arrays of the shapes and
    dtypes of these, shapes (..., *leaf.shape).

    It is NumPy code and so differentiable.
    """
    places, end = [], 0
    for leaf in leaves:
        start, end = end, end + leaf.size
        places.append((slice(start, end), leaf.shape, leaf.dtype))

    def cut(flat):
        if flat.ndim == 1:
            pieces = [flat[place].reshape(shape) for place, shape, _ in places]
        else:
            pieces = [
                flat[..., place].reshape(flat.shape[:-1] + shape) for place, shape, _ in places
            ]
        return [
            piece if piece.dtype is dtype else piece.astype(dtype)
            for piece, (_, _, dtype) in zip(pieces, places)
        ]

    def cut_one(flat):  # the usual case, in half the time
        piece = flat if flat.dtype is dtype else flat.astype(dtype)
        return [piece if len(shape) == 1 else piece.reshape(flat.shape[:-1] + shape)]

    if len(places) == 1:
        _, shape, dtype = places[0]
        return cut_one
    return cut


def ravel(tree):
    """Lay all leaves end to end in one flat vector.

    Returns
    -------
    vector : array, shape (n,)
        n is the number of elements in all leaves together; its dtype is the one that can hold every
        leaf's.
    unravel : function
        ``unravel(vector)`` is the container again, each leaf with its own shape and dtype. Both
        directions are NumPy code and so differentiable.
    """
    leaves, structure = flatten(tree)
    for leaf in leaves:
        refuse_masked("ravel: a leaf", leaf)
    leaves = [
        (
            np.reshape(np.stack(list(leaf.flat)), leaf.shape)
            if type(leaf) is np.ndarray and leaf.dtype == object and leaf.size
            else leaf
        )
        for leaf in leaves
    ]  # np.array([x, y]) of traced x, y
    leaves = [leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in leaves]
    n, cut = sum([leaf.size for leaf in leaves]), cutter(leaves)

    def unravel(vector):
        if np.shape(vector) != (n,):
            raise ValueError(
                f"unravel: a vector of shape {(n,)} was expected, got shape {np.shape(vector)}"
            )
        return unflatten(structure, cut(vector))

    if not leaves:
        return np.zeros(0), unravel
    return np.concatenate([np.reshape(leaf, (-1,)) for leaf in leaves]), unravel
