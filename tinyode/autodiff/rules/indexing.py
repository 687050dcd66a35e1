"""Reading elements of an array, and its adjoint: writing a cotangent to the places that were read.

Every function that only moves elements about is a reading of elements, and has its derivative here
in one line of `MOVES`.
"""

import operator

import numpy as np

from ... import tree
from ..custom import primitive
from ..numpy_calls import is_traced, plain, signature, unbox
from .table import CHECKED, DERIVED, PLAIN, name_of, rule


def is_basic(index):
    """Whether an index reads each place at most once, so that writing back need not add up."""
    items = index if type(index) is tuple else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, (int, np.integer, slice)) for i in items)


def read(g, y, c, index, shape):
    """Read from the places that were written to: the VJP of `place` and `scatter`."""
    return g[index]


@primitive(read, whole=True)
def place(c, index, shape):
    """Return zeros of this shape with c at ``[index]``, which names each place at most once."""
    result = np.zeros(shape, c.dtype)
    result[index] = c
    return result


@primitive(read, whole=True)
def scatter(c, index, shape):
    """Return zeros of this shape with c added at ``[index]``, once for every time that the index
    names a place.
    """
    result = np.zeros(shape, c.dtype)
    np.add.at(result, index, c)
    return result


rule(
    operator.getitem,
    lambda g, y, x, index: (place if is_basic(index) else scatter)(g, index, x.shape),
)

# function: the names of the arguments whose elements it moves
MOVES = {
    np.append: "arr values",
    np.array_split: "ary",
    np.atleast_3d: "arys",
    np.block: "arrays",
    np.choose: "choices",
    np.column_stack: "tup",
    np.compress: "a",
    np.delete: "arr",
    np.diagonal: "a",
    np.dsplit: "ary",
    np.dstack: "tup",
    np.extract: "arr",
    np.fliplr: "m",
    np.flipud: "m",
    np.hsplit: "ary",
    np.insert: "arr values",
    np.lib.stride_tricks.sliding_window_view: "x",
    np.linalg.diagonal: "x",
    np.repeat: "a",
    np.resize: "a",
    np.rollaxis: "a",
    np.rot90: "m",
    np.take: "a",
    np.take_along_axis: "arr",
    np.tile: "A",
    np.vsplit: "ary",
}
# and of those that put zeros between them
MOVES_AMONG_ZEROS = {
    np.diag: "v",
    np.diagflat: "v",
    np.select: "choicelist default",
    np.tril: "m",
    np.triu: "m",
}


def moved(function, names, zeros=False):
    """Derive a function that only moves elements: apply it to their numbers, and read them in the
    order that comes out.

    np.rot90([[a, b], [c, d]]): rot90 takes the numbers [[0, 1], [2, 3]] to [[1, 3], [0, 2]], and
    [a, b, c, d][[[1, 3], [0, 2]]] is [[b, d], [a, c]]. Where the function puts in zeros of its own,
    number 0 is a zero and the elements are counted from 1.
    """

    def derived(*args, **kwargs):
        bound = signature(function).bind(*args, **kwargs)
        if bound.arguments.get("out") is not None:
            raise TypeError(
                f"{name_of(function)}: out= would overwrite an array with the numbers "
                "of the elements; leave it out and use the returned value"
            )
        arrays, structure = tree.flatten(
            {name: bound.arguments[name] for name in names.split() if name in bound.arguments}
        )
        arrays = [unbox(x) for x in arrays]
        parts = [np.zeros(1, arrays[0].dtype)] * zeros + [np.reshape(x, (-1,)) for x in arrays]
        ends = np.cumsum([part.size for part in parts])[zeros:]
        numbers = [
            np.reshape(np.arange(end - x.size, end), x.shape) for x, end in zip(arrays, ends)
        ]
        bound.arguments.update(tree.unflatten(structure, numbers))
        for name, x in bound.arguments.items():
            if any(is_traced(leaf) for leaf in tree.flatten(x)[0]):
                raise TypeError(
                    f"{name_of(function)}: {name} is a setting, not an operand, and cannot be a"
                    " traced value; pass a plain number, or stop_gradient(value)"
                )
        places = function(*bound.args, **bound.kwargs)
        elements = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if all(x.dtype == elements.dtype for x in arrays):
            return tree.map(lambda index: elements[index], places)
        return tree.map(
            lambda index, y: elements[index].astype(y.dtype),
            places,
            function(*plain(args), **plain(kwargs)),
        )

    return derived


DERIVED.update({function: moved(function, names) for function, names in MOVES.items()})
DERIVED.update(
    {function: moved(function, names, zeros=True) for function, names in MOVES_AMONG_ZEROS.items()}
)


def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """``np.sort``: each element keeps its cotangent. Equal ones stay in their order, so ties are
    broken, not shared.
    """
    return np.take_along_axis(a, np.argsort(plain(a), axis=axis, kind="stable"), axis=axis)


def partition(a, kth, axis=-1, kind="introselect", order=None):
    """``np.partition``, as `sort`."""
    return np.take_along_axis(a, np.argpartition(plain(a), kth, axis=axis), axis=axis)


def bincount(x, weights=None, minlength=0):
    """``np.bincount``: weights added up by the number of their bin, the adjoint of reading them
    from there.
    """
    weights = unbox(weights)
    return scatter(
        weights.astype(float),
        (np.asarray(plain(x)),),
        (max(minlength, np.max(plain(x), initial=-1) + 1),),
    )


DERIVED.update({np.sort: sort, np.partition: partition, np.bincount: bincount})
CHECKED.add(np.bincount)
PLAIN.update(
    {
        np.argmax,
        np.argmin,
        np.argsort,
        np.argpartition,
        np.argwhere,
        np.nonzero,
        np.flatnonzero,
        np.searchsorted,
        np.digitize,
        np.lexsort,
        np.nanargmax,
        np.nanargmin,
        np.count_nonzero,
        np.diag_indices_from,
        np.tril_indices_from,
        np.triu_indices_from,
    }
)
