"""Reading elements of an array, and its adjoint: writing a cotangent to the places that were read.

Every function that only moves elements is a reading of elements, and has its derivative here, in
one line of `MOVES`.
"""

import operator

import numpy as np

from ... import tree
from ..custom import primitive
from ..numpy_calls import is_traced, plain, signature, unbox
from .table import derives, name_of, named, no_derivative, rule


def is_basic(index):
    """Whether an index reads each place at most once, so that writing back need not add up."""
    if type(index) is int:
        return True
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
    """Return zeros of this shape with c added at ``[index]``, as often as it names a place."""
    result = np.zeros(shape, c.dtype)
    np.add.at(result, index, c)
    return result


def getitem_vjp(g, y, x, index):
    """y = x[index]: write g back to where y was read."""
    return (place if is_basic(index) else scatter)(g, index, x.shape)


rule(operator.getitem, getitem_vjp)


@derives(np.sort)
def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """``np.sort``: each element keeps its cotangent.

    Equal elements stay in their order, so ties are broken, not shared.
    """
    return np.take_along_axis(a, np.argsort(plain(a), axis=axis, stable=True), axis=axis)


def moved(function, names, zeros=False):
    """Write a function that only moves the elements of some arguments in terms of indexing.

    The elements are numbered, the function moves these numbers, and what comes out is an index:

        np.rot90([[0, 1], [2, 3]])                  is [[1, 3], [0, 2]], so
        np.rot90([[a, b], [c, d]])                  is [a, b, c, d][[[1, 3], [0, 2]]]

    Where the function puts in zeros of its own, number 0 is a zero, and elements count from 1.
    """

    def derived(*args, **kwargs):
        bound = signature(function).bind(*args, **kwargs)
        arguments = bound.arguments
        if arguments.get("out") is not None:
            raise TypeError(
                f"{name_of(function)}: out= would overwrite an array with the numbers "
                "of the elements; leave it out and use the returned value"
            )
        operands = {name: arguments[name] for name in names.split() if name in arguments}
        arrays, structure = tree.flatten(operands)
        arrays = [unbox(x) for x in arrays]
        parts = [np.zeros(1, arrays[0].dtype)] * zeros + [np.reshape(x, (-1,)) for x in arrays]
        ends = np.cumsum([part.size for part in parts])[zeros:]
        numbers = [
            np.reshape(np.arange(end - x.size, end), x.shape) for end, x in zip(ends, arrays)
        ]
        arguments.update(tree.unflatten(structure, numbers))
        for name, x in arguments.items():
            if any(is_traced(leaf) for leaf in tree.flatten(x)[0]):
                raise TypeError(
                    f"{name_of(function)}: {name} is a setting, not an operand, and cannot be a"
                    " traced value; pass a plain number, or stop_gradient(value)"
                )
        places = function(*bound.args, **bound.kwargs)
        elements = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if all(x.dtype == elements.dtype for x in arrays):
            return tree.map(lambda index: elements[index], places)
        values = function(*plain(args), **plain(kwargs))
        return tree.map(lambda index, y: elements[index].astype(y.dtype), places, values)

    return derived


# the arguments whose elements are moved: the functions that move them
MOVES = {
    "a": "compress diagonal repeat resize rollaxis take",
    "A": "tile",
    "arr": "delete extract take_along_axis",
    "arr values": "append insert",
    "arrays": "block",
    "ary": "array_split dsplit hsplit vsplit",
    "arys": "atleast_3d",
    "choices": "choose",
    "m": "fliplr flipud rot90",
    "tup": "column_stack dstack",
    "x": "lib.stride_tricks.sliding_window_view linalg.diagonal",
}
# and those that put zeros between them
MOVES_AMONG_ZEROS = {"choicelist default": "select", "m": "tril triu", "v": "diag diagflat"}

for table, zeros in ((MOVES, False), (MOVES_AMONG_ZEROS, True)):
    for names, functions in table.items():
        for function in named(functions):
            derives(function)(moved(function, names, zeros))

no_derivative("""
    argmax argmin argsort argpartition argwhere nanargmax nanargmin
    nonzero flatnonzero count_nonzero searchsorted digitize lexsort
    diag_indices_from tril_indices_from triu_indices_from
""")
