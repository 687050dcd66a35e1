"""Containers: nested tuples, lists and dicts whose leaves are arrays.

Parameters of a network are a list of dicts, the state of a pendulum is a pair: mathematics sees one vector in both. This
module is the translation. `flatten` takes a container apart into its leaves and its structure, `unflatten` puts it together
again, `ravel` goes all the way to one flat vector:

    >>> vector, unravel = ravel({"W": np.ones((2, 3)), "b": np.zeros(3)})
    >>> vector.shape
    (9,)
    >>> unravel(2 * vector)["W"]
    array([[2., 2., 2.],
           [2., 2., 2.]])

Dict keys are walked in sorted order, so that two dicts with the same keys always flatten alike; put together again, a dict has its
keys in the order that it had. Whatever is not a tuple (named
ones included), a list or a dict is a leaf: arrays, numbers, and the traced arrays of `tinyode.autodiff`.

`save` and `load` keep a container in a file.
"""

import json
import os

import numpy as np

LEAF = "*"  # how a structure writes a leaf
CERTAIN_LEAVES = {np.ndarray, np.float64, float}  # types that need no closer look; the engine adds its own


class _Keys(tuple):
    """The sorted keys of a dict. ``order`` is that of the dict itself, which code that loops over it may count on."""


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
        What is left: equal for two containers of the same structure, and all that `unflatten` needs.

    Raises
    ------
    TypeError
        If the keys of a dict cannot be sorted.
    """
    leaves = []
    return leaves, _take_apart(tree, leaves)


def _take_apart(tree, leaves):
    kind = type(tree)
    if kind in CERTAIN_LEAVES:
        leaves.append(tree)
        return LEAF
    if isinstance(tree, (tuple, list)):
        if CERTAIN_LEAVES.issuperset([type(child) for child in tree]):  # the usual case, in one go
            leaves.extend(tree)
            return kind, None, (LEAF,) * len(tree)
        return kind, None, tuple([_take_apart(child, leaves) for child in tree])
    if isinstance(tree, dict):
        try:
            keys = _Keys(sorted(tree))
        except TypeError as error:
            raise TypeError(f"the keys of a dict are walked in sorted order, and these cannot be sorted: {list(tree)}; "
                            "use keys of one type") from error
        keys.order = tuple(tree)
        return kind, keys, tuple([_take_apart(tree[key], leaves) for key in keys])
    leaves.append(tree)
    return LEAF


def orders(structure):
    """Return the keys of all dicts in a structure in the orders that the dicts have; equal structures may differ in that."""
    if structure is LEAF:
        return ()
    _, keys, children = structure
    return sum([orders(child) for child in children if child is not LEAF], () if keys is None else (keys.order,))


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
        raise ValueError(f"{len(leaves)} leaves are too few for the structure {describe(structure)}") from None
    if next(rest, rest) is not rest:
        raise ValueError(f"{len(leaves)} leaves are too many for the structure {describe(structure)}")
    return tree


def _put_together(structure, rest):
    if structure is LEAF:
        return next(rest)
    kind, keys, children = structure
    values = [next(rest) if child is LEAF else _put_together(child, rest) for child in children]
    if keys is not None:
        by_key, result = dict(zip(keys, values)), kind()
        for key in keys.order:
            result[key] = by_key[key]
        return result
    return kind(*values) if hasattr(kind, "_fields") else kind(values)


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
        raise TypeError(f"{name} is a {type(leaf).__name__}, of which only the numbers would be "
                        "used; give a plain array: x.filled(value) of a masked one, np.asarray(x) "
                        "of a matrix")


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
            raise ValueError(f"tree.map: container {number} has the structure {describe(other_structure)}, "
                             f"the first one {describe(structure)}; they must agree")
        columns.append(others)
    return unflatten(structure, [f(*column) for column in zip(*columns)])


def cutter(leaves):
    """Return the function that cuts flat vectors, shape (..., n), into arrays of the shapes and dtypes of these, shapes (..., *leaf.shape).

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
            pieces = [flat[..., place].reshape(flat.shape[:-1] + shape) for place, shape, _ in places]
        return [piece if piece.dtype is dtype else piece.astype(dtype) for piece, (_, _, dtype) in zip(pieces, places)]

    if len(places) == 1 and leaves[0].ndim == 1:
        dtype = leaves[0].dtype
        return lambda flat: [flat if flat.dtype is dtype else flat.astype(dtype)]
    return cut


def ravel(tree):
    """Lay all leaves end to end in one flat vector.

    Returns
    -------
    vector : array, shape (n,)
        n is the number of elements in all leaves together; its dtype is the one that can hold every leaf's.
    unravel : function
        ``unravel(vector)`` is the container again, each leaf with its own shape and dtype. Both directions are NumPy code and
        so differentiable.
    """
    leaves, structure = flatten(tree)
    for leaf in leaves:
        refuse_masked("ravel: a leaf", leaf)
    leaves = [np.reshape(np.stack(list(leaf.flat)), leaf.shape) if type(leaf) is np.ndarray and leaf.dtype == object and leaf.size else leaf
              for leaf in leaves]  # np.array([x, y]) of traced x, y
    leaves = [leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in leaves]
    n, cut = sum([leaf.size for leaf in leaves]), cutter(leaves)

    def unravel(vector):
        if np.shape(vector) != (n,):
            raise ValueError(f"unravel: a vector of shape {(n,)} was expected, got shape {np.shape(vector)}")
        return unflatten(structure, cut(vector))

    if not leaves:
        return np.zeros(0), unravel
    return np.concatenate([np.reshape(leaf, (-1,)) for leaf in leaves]), unravel


def save(path, tree):
    """Write a container to one ``.npz`` file: arrays, numbers, strings and None in nested tuples, lists and dicts.

    The file appears whole or not at all, so that an interrupted program leaves the old one.

    Parameters
    ----------
    path : str or path
    tree : container
        Dict keys are strings.

    Raises
    ------
    TypeError
        If a leaf is none of these, or an array of objects; if a dict has other keys. Named tuples and dicts of other kinds are
        refused: write ``tuple(x)`` or ``dict(x)``.
    """
    arrays = []
    structure = json.dumps(_encode(tree, arrays))
    half_written = f"{os.fsdecode(path)}.{os.getpid()}.part"
    try:
        with open(half_written, "wb") as file:
            np.savez(file, structure=np.array(structure), **{str(i): array for i, array in enumerate(arrays)})
        os.replace(half_written, path)
    finally:
        if os.path.exists(half_written):
            os.remove(half_written)


def load(path):
    """Read a container that `save` has written, with the same structure, dtypes and values.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is damaged, or another kind of file. Nothing in it is ever executed.
    MemoryError
        If an array in it is, or says it is, larger than the memory.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return _decode(json.loads(str(file["structure"])), file)
    except Exception as error:  # of the many that zip files, array headers and JSON can raise
        if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:  # of the system
            raise
        raise ValueError(f"load: {os.fspath(path)!r} is damaged, or was not written by save") from error


def _encode(tree, arrays):
    """Return a container as what JSON can say, and append its arrays to the list."""
    if type(tree) in (tuple, list):
        return {type(tree).__name__: [_encode(child, arrays) for child in tree]}
    if type(tree) is dict:
        if not all(type(key) is str for key in tree):
            raise TypeError(f"save: the keys of a dict must be strings; got {list(tree)}")
        return {"dict": {key: _encode(child, arrays) for key, child in tree.items()}}
    if tree is None or type(tree) in (bool, int, float, str):
        return {"value": tree}
    if (type(tree) is np.ndarray or isinstance(tree, np.generic)) and not tree.dtype.hasobject:
        arrays.append(tree)
        return {"array" if isinstance(tree, np.ndarray) else "scalar": len(arrays) - 1}
    raise TypeError(f"save: {type(tree).__name__} cannot be saved; arrays, numbers, strings and None in tuples, lists and dicts can")


def _decode(code, file):
    """Return what `_encode` has encoded, and nothing else."""
    ((kind, content),) = code.items()
    if kind == "dict" and type(content) is dict:
        return {key: _decode(child, file) for key, child in content.items()}
    if kind in ("tuple", "list") and type(content) is list:
        return {"tuple": tuple, "list": list}[kind]([_decode(child, file) for child in content])
    if kind == "value" and type(content) in (type(None), bool, int, float, str):
        return content
    if kind in ("array", "scalar") and type(content) is int:
        array = file[str(content)]
        if type(array) is np.ndarray and (kind == "array" or array.ndim == 0):
            return array if kind == "array" else array[()]
    raise ValueError(f"{kind}: {content!r:.40} is not what save writes")
