"""Recordings: what a function does to arrays, written down as a list of NumPy calls.

Each item of a `Recording` is a `Call`: a function, its arguments, and the Symbols of what it
returned (see `symbol`). For ``np.sin(x) * x`` the list is

    Call(np.sin, (x,), ..., [v1])
    Call(np.multiply, (v1, x), ..., [v2])

A recording follows one path through the function, that of the example, and a program made of it
takes this path for ever. So all that could choose a path by a value is refused: a bool, a plain
number, an index, a shape that depends on values. What writes into an array is refused too: calls
are left out later, or done once for two, and that is right only if no array changes.
"""

import functools
import operator
import sys
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .. import tree
from ..autodiff.lines import is_ours, line_of_file
from ..autodiff.node import NUMBERS
from ..autodiff.numpy_calls import IN_PLACE
from ..autodiff.rules.table import name_of
from .symbol import Symbol


def _of_numpy(names):
    """Return the functions with these names."""
    return {getattr(np, name) for name in names.split()}


SHAPES_ONLY = _of_numpy(  # do not look at values, so what they return is not recorded
    "shape ndim size result_type iscomplexobj isrealobj can_cast min_scalar_type common_type "
    "zeros_like ones_like empty_like"
)
SHAPED_BY_VALUES = _of_numpy(
    "nonzero flatnonzero argwhere extract compress unique unique_all unique_counts unique_inverse "
    "unique_values union1d intersect1d setdiff1d setxor1d trim_zeros roots polydiv"
)
# The shape of the result depends on the values of one argument: its position, its keyword. For
# x[i] it does so only if i is a mask.
SHAPED_BY = {np.bincount: (0, "x"), np.delete: (1, "obj"), operator.getitem: (1, "")}
# These always make a new array, as every ufunc does. Any other function may return a view.
MAKES_ITS_OWN = _of_numpy("array concatenate where sum prod max min")
FLAT = {Symbol, np.ndarray, *NUMBERS}  # types of arguments that are no containers
OR_WITHOUT = ", or leave tinyode.compiled and tinyode.program out"


class Call(NamedTuple):
    """One line of a program."""

    function: Any
    arguments: Any  # a sequence of leaves: Symbols and constants
    structure: Any  # of (args, kwargs) with these leaves; None where args are the leaves
    results: list  # of Symbols
    returned: Any = tree.LEAF  # the structure of what was returned
    fresh: bool = False  # whether the result is a new array, whatever the strides of the arguments

    def unpacked(self):
        """Return the arguments as they were given, by position and by keyword."""
        if self.structure is None:
            return self.arguments, {}
        return tree.unflatten(self.structure, self.arguments)


@functools.cache
def _known(function):
    """Return whether it writes into an argument, is a ufunc of others, makes a new array."""
    is_ufunc = isinstance(function, np.ufunc)
    of_ufunc = isinstance(getattr(function, "__self__", None), np.ufunc)
    writes = function in IN_PLACE or (of_ufunc and function.__name__ == "at")
    foreign = is_ufunc and getattr(np, function.__name__, None) is not function
    return writes, foreign, is_ufunc or of_ufunc or function in MAKES_ITS_OWN


class Recording(list):
    """The calls, in order.

    Attributes
    ----------
    refusal : TypeError or None
        The first refusal. It is kept because f may catch the error.
    met : dict
        The arrays that f closes over, by their id: each with a copy of what it held at first.
    over : bool
        Whether f has returned. From then on only this room uses the Symbols.
    """

    def __init__(self) -> None:
        self.refusal: TypeError | None = None
        self.met: dict[int, tuple] = {}
        self.over = False

    def __call__(self, function, args, kwargs):
        """Compute ``function(*args, **kwargs)``, write the call down, return Symbols."""
        if kwargs or not all([type(x) in FLAT for x in args]):
            arguments, structure = tree.flatten((tuple(args), kwargs))
        else:
            arguments, structure = args, None
        self._check_constants(arguments)
        makes_new = self._check_function(function, kwargs)
        values = [x.value if type(x) is Symbol else x for x in arguments]
        if structure is None:
            y = function(*values)
        else:
            plain_args, plain_kwargs = tree.unflatten(structure, values)
            y = function(*plain_args, **plain_kwargs)
        if function in SHAPES_ONLY:
            return y
        self._check_shape(function, args, kwargs, arguments)
        found, returned = ([y], tree.LEAF) if type(y) is np.ndarray else tree.flatten(y)
        for value in found:
            if not isinstance(value, (np.ndarray, np.generic, float, int)):
                self.takes(f"a {type(value).__name__}")
        results = [Symbol(value, self) for value in found]
        fresh = makes_new and type(y) is np.ndarray and y.ndim > 0
        self.append(Call(function, arguments, structure, results, returned, fresh))
        return tree.unflatten(returned, results)

    def _check_constants(self, arguments):
        """Refuse an array of f's own that has changed since f first used it."""
        for x in arguments:
            if isinstance(x, np.ndarray):
                _, copy = self.met.setdefault(id(x), (x, x.copy()))
                if not equal(x, copy):
                    what = "has written into an array since it was used"
                    self.refuse(what, "Make a new one each time")

    def _check_function(self, function, kwargs):
        """Refuse a function that writes or is not of NumPy; return whether it makes an array."""
        writes, foreign, makes_new = _known(function)
        if writes or "out" in kwargs:
            self.refuse(
                f"writes by {name_of(function)} into an array that may be in use elsewhere",
                "Make a new one, x = x + 1 instead of x += 1",
            )
        if foreign:
            self.refuse(
                f"calls {function.__name__}, which is not of NumPy",
                "A program runs where there is NumPy alone",
            )
        return makes_new

    def _check_shape(self, function, args, kwargs, arguments):
        """Refuse a result whose shape depends on values."""
        if function in SHAPED_BY_VALUES or (function is np.where and len(arguments) == 1):
            self.takes("a shape")
        if function in SHAPED_BY:
            position, name = SHAPED_BY[function]
            by = kwargs[name] if name in kwargs else args[position]
            symbols = [x for x in tree.flatten(by)[0] if type(x) is Symbol]
            if any([function is not operator.getitem or x.dtype == bool for x in symbols]):
                self.takes("a shape")

    def takes(self, what: str) -> NoReturn:
        """Refuse to hand out a plain value that differs from call to call."""
        self.refuse(
            f"takes {what} from a value that differs from call to call, and a program would go the"
            " same way for ever",
            "Choose with np.where, and take functions from NumPy",
        )

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Raise the error that names the line of f."""
        frame = sys._getframe()
        while frame.f_back is not None and is_ours(frame):
            frame = frame.f_back
        line = line_of_file(frame.f_code.co_filename, frame.f_lineno)
        self.refusal = self.refusal or TypeError(f"{line}: {what}. {remedy}{OR_WITHOUT}")
        raise self.refusal


def equal(x: Any, y: Any) -> bool:
    """Whether two constants are the same."""
    nan = isinstance(x, (np.ndarray, np.generic, float)) and np.result_type(x).kind in "fc"
    return np.array_equal(x, y, equal_nan=nan)
