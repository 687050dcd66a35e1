"""Small vectors taken apart: a program that computes with single numbers makes no arrays of them.

A right-hand side of a few equations is written with numbers: S, I = y[0], y[1]. Its pullback puts
each cotangent into a vector of zeros, and adds these vectors. All that can be done with the numbers
alone, and at the end one array is made of them:

    v1 = place(a, 0, (2,))
    v2 = place(b, 1, (2,))
    v3 = v1 + v2                  ->          v3 = np.array([a, b])

The numbers stay the same, except for the sign of a zero: -0.0 + 0.0 is 0.0.
"""

import inspect
import operator
from typing import Any

import numpy as np

from ..autodiff.checks import FLOAT64
from ..autodiff.rules import indexing
from .recording import Call
from .simplify import replaced
from .symbol import METHODS, Symbol

# To read 16 numbers takes 0.7 us, to make an array of them 0.4 us, to place and add them one by one
# 6 us. With more the gain is the same for each, but a line for each is more than one reads.
LARGEST = 16
PLACE = inspect.unwrap(indexing.place)
RESHAPES = {np.reshape, METHODS["reshape"]}
# of one element, they give the same bits as of many: IEEE 754 says how they are rounded
EXACT = {np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive}
# stands for a number of a vector that `place` has left zero, and that need not be added
ZERO = np.float64(0.0)


def is_reshape(call: Call) -> bool:
    """Whether a call changes the shape alone: the elements stay in their order, C order."""
    args, kwargs = call.unpacked()
    has_order = "order" in kwargs or any([isinstance(x, str) for x in args])
    return call.function in RESHAPES and not has_order


def taken_apart(calls: list[Call], outputs: list) -> tuple[list[Call], list]:
    """Compute with the numbers of small vectors, where nothing needs the vectors themselves.

    Returns
    -------
    calls, outputs : list
        What takes the places of both.
    """
    apart, same, kept = _apart(calls, outputs), {}, []
    if not apart:
        return calls, outputs
    known: dict = {}  # the numbers of a vector that is taken apart
    read: dict = {}  # a number that is read from another vector, by that and the index

    def made(like, function, *args):
        like.recording(function, args, {})
        kept.append(like.recording.pop())
        return kept[-1].results[0]

    def as_numpy(x):
        if type(x) is Symbol:
            return made(x, np.float64, x) if type(x.value) is float else x
        return x if x is ZERO else np.float64(x)

    def number(x, i):
        if x in known:
            return known[x][i]
        place = x, range(x.size)[i]
        if place not in read:
            read[place] = made(x, operator.getitem, *place)
        return read[place]

    def whole(x):
        if type(x) is Symbol and x in apart and x not in same:
            same[x] = made(x, np.array, known[x])
            known[same[x]] = known[x]
        return same.get(x, x) if type(x) is Symbol else x

    for call in calls:
        call, y = replaced(call, same), call.results[0]
        if y in apart:  # its numbers are NumPy's, whatever it was made of
            known[y] = [as_numpy(x) for x in _numbers(call, number, made)]
        elif _takes_number(call):
            same[y] = number(*call.arguments)
        elif _is_stack(call) and known.keys() >= {*call.arguments}:  # np.stack takes 2 us
            same[y] = made(y, np.array, [known[x] for x in call.arguments])
        else:
            kept.append(call._replace(arguments=[whole(x) for x in call.arguments]))
    return kept, [whole(x) for x in outputs]


def _apart(calls, outputs):
    """Return the vectors that are taken apart.

    These are the ones that are put together from numbers, and those of which only the numbers are
    used.
    """
    built, can, users = set(), set(), {x: [None] for x in outputs if type(x) is Symbol}
    for call in calls:
        symbols = [x for x in call.arguments if type(x) is Symbol]
        for x in symbols:
            users.setdefault(x, []).append(call)
        if _can_be_apart(call):
            can.add(call.results[0])
            if built.issuperset([x for x in symbols if x.ndim]):
                built.add(call.results[0])
    apart = set(built)
    for call in reversed(calls):
        y = call.results[0]
        if y in can and all([_by_number(user, apart) for user in users.get(y, [])]):
            apart.add(y)
    return apart


def _by_number(user, apart):
    """Whether a call uses the numbers of a vector only; None stands for the end of the program."""
    return user is not None and (user.results[0] in apart or _takes_number(user))


def _takes_number(call):
    """Whether a call is x[i] of a vector."""
    f, args = call.function, call.arguments
    return (
        f is operator.getitem
        and call.structure is None
        and type(args[0]) is Symbol
        and args[0].ndim == 1
        and type(args[1]) is int
    )


def _is_stack(call):
    """Whether a call puts vectors under each other, as the rows of a matrix."""
    alone = call.function is np.stack and len(call.unpacked()[0]) == 1
    return alone and all([_is_small(x) for x in call.arguments])  # so there is no axis


def _can_be_apart(call):
    """Whether `_numbers` can do what a call does."""
    f, (y, *more), args = call.function, call.results, call.arguments
    if more or not _is_small(y):
        return False
    if f in EXACT:
        fit = [_is_number(x) or (_is_small(x) and x.size == y.size) for x in args]
        return call.structure is None and all(fit)
    args, kwargs = call.unpacked()
    if kwargs not in ({}, {"axis": 0}):
        return False
    if f is np.array and len(args) == 1:
        return type(args[0]) is list and all(map(_is_number, args[0]))
    if f is np.concatenate and len(args) == 1:
        return all([_is_small(x) or getattr(x, "size", 1) == 0 for x in args[0]])
    if f is PLACE:
        return _is_number(args[0]) and type(args[1]) is int
    if f is operator.getitem:
        return _is_small(args[0]) and type(args[1]) is slice
    return is_reshape(call) and (_is_number(args[0]) or _is_small(args[0]))


def _is_small(x):
    """Whether x is a vector that may be taken apart."""
    is_vector = type(x) is Symbol and isinstance(x.value, np.ndarray) and x.ndim == 1
    return is_vector and x.dtype is FLOAT64 and 0 < x.size <= LARGEST


def _is_number(x):
    """Whether x is a number of float64, or may stand in a calculation with such."""
    if type(x) is Symbol:
        return x.ndim == 0 and x.dtype is FLOAT64
    return type(x) in (float, int, np.float64)


def _numbers(call, number, made):
    """Return the numbers of the vector that a call would make.

    ``number(x, i)`` is x[i], and ``made(like, function, *args)`` the result of a new call.
    """
    f, y = call.function, call.results[0]
    args, _ = call.unpacked()

    def numbers(x):
        return [number(x, i) for i in range(x.size)] if np.ndim(x) else [x]

    if f in EXACT:
        columns = [numbers(x) if np.ndim(x) else [x] * y.size for x in args]
        if f is np.add:
            return [_sum(a, b, y, made) for a, b in zip(*columns)]
        return [made(y, f, *row) for row in zip(*columns)]
    if f is PLACE:
        zeros: list[Any] = [ZERO] * y.size
        zeros[args[1]] = args[0]
        return zeros
    if f is operator.getitem:
        return [number(args[0], i) for i in range(args[0].size)[args[1]]]
    if f in RESHAPES:
        return numbers(args[0])
    return [a for x in args[0] for a in numbers(x)]  # of np.array or np.concatenate


def _sum(a, b, like, made):
    """Return a + b, where zeros that `place` has left are not added."""
    if a is ZERO:
        return b
    return a if b is ZERO else made(like, np.add, a, b)
