"""Reading elements of an array, and its adjoint: writing a cotangent to the places that were read."""

import operator

import numpy as np

from ..operators import RULES
from ..trace import primitive


def is_basic(index):
    """Whether an index reads each place at most once, so that writing back need not add up."""
    items = index if type(index) is tuple else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, (int, np.integer, slice)) for i in items)


@primitive((lambda g, y, c, index, shape: g[index],))
def scatter(c, index, shape):
    """Return zeros of this shape with c added at ``[index]``, once for every time that the index names a place."""
    result = np.zeros(shape, c.dtype)
    if is_basic(index):
        result[index] = c
    else:
        np.add.at(result, index, c)
    return result


RULES[operator.getitem] = (lambda g, y, x, index: scatter(g, index, x.shape),)
