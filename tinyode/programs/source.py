"""How a recording is written down: names for its arrays, a line for each call, what is large let go
of as soon as nothing needs it.

An elementwise result is written into an array that has just become useless, if there is one of its
shape and dtype: ``np.tanh(v3, out=v3)``. That is for large arrays, which would have to be fetched
from the system; a small one is cheaper to make than a keyword to read.
"""

import ast
import functools
import inspect
import itertools
import operator
import textwrap
import types

import numpy as np

from .. import tree
from ..autodiff.checks import FLOAT64
from ..autodiff.rules.table import name_of
from .recording import OPERATORS, Method, Symbol, is_elementwise

LARGE = 1 << 15  # bytes from which on memory is worth a line of its own
SIGNS = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.matmul: "@",
    np.remainder: "%",
    np.floor_divide: "//",
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
    np.equal: "==",
    np.not_equal: "!=",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
    np.bitwise_xor: "^",
    operator.pow: "**",
}
SIGNS.update({OPERATORS[ufunc]: sign for ufunc, sign in SIGNS.items() if ufunc in OPERATORS})
PREFIXES = {
    np.negative: "-",
    np.invert: "~",
    operator.neg: "-",
    operator.pos: "+",
    operator.invert: "~",
}
HEADER = "import numpy as np\n"
USED = {"np", "slice", "float", "int", "bool", "Ellipsis"}  # names that a source needs for itself


class Writer:
    """Names for the symbols and constants of one recording of f, and lines for its calls."""

    def __init__(self, f):
        self.names, self.constants, self.helpers, self.taken, self.count = {}, {}, {}, {*USED}, 1
        closed = inspect.getclosurevars(f) if isinstance(f, types.FunctionType) else None
        self.known = {
            id(x): name
            for name, x in ({**closed.globals, **closed.nonlocals} if closed else {}).items()
            if isinstance(x, np.ndarray)
        }

    def free(self, wanted, number=None):
        """Take a name that nothing else has: the wanted one, with a number if it is taken, or with
        one from ``number`` on if given.
        """
        name = (
            wanted
            if number is None and wanted not in self.taken
            else next(
                f"{wanted}{n}"
                for n in itertools.count(number or 2)
                if f"{wanted}{n}" not in self.taken
            )
        )
        self.taken.add(name)
        return name

    def name(self, x):
        """Return the name of a symbol, the next of v1, v2, ... if it has none."""
        if x not in self.names:
            self.names[x] = self.free("v", self.count)
            self.count += 1
        return self.names[x]

    def text(self, x):
        """Write an argument."""
        if type(x) is Symbol:
            return self.names[x]
        if isinstance(x, np.ndarray):
            if id(x) not in self.names:
                self.names[id(x)] = (
                    self.free(self.known[id(x)])
                    if id(x) in self.known
                    else self.free("c", len(self.constants) + 1)
                )
                self.constants[self.names[id(x)]] = x
            return self.names[id(x)]
        if isinstance(x, np.generic):
            number = x.item()
            known = type(number) is not type(x)  # np.longdouble has no number of Python's
            return f"np.{type(x).__name__}({self.text(number) if known else repr(str(x))})"
        if isinstance(x, float) and not np.isfinite(x):
            return "np.nan" if x != x else "np.inf" if x > 0 else "-np.inf"
        if isinstance(x, (int, float)) and type(x) is not bool:  # one of an enumeration too
            return repr(int(x) if isinstance(x, int) else float(x))
        if isinstance(x, tuple):
            return f"({', '.join(map(self.text, x))}{',' * (len(x) == 1)})"
        if isinstance(x, list):
            return "[" + ", ".join(map(self.text, x)) + "]"
        if isinstance(x, dict):
            return (
                "{"
                + ", ".join(f"{self.text(key)}: {self.text(value)}" for key, value in x.items())
                + "}"
            )
        if isinstance(x, type):
            return f"np.{x.__name__}" if x.__module__ == "numpy" else x.__name__
        if isinstance(x, np.dtype):
            return f"np.dtype({x.str!r})"
        return repr(x)

    def bare(self, x):
        """Write an argument, a tuple without its brackets."""
        return ", ".join(map(self.text, x)) if isinstance(x, tuple) and len(x) > 1 else self.text(x)

    def index(self, x):
        """Write what stands in brackets."""
        places = []
        for place in x if type(x) is tuple and x else [x]:
            if type(place) is slice:
                parts = [
                    "" if part is None else self.text(part)
                    for part in (place.start, place.stop, place.step)
                ]
                places.append(":".join(parts if place.step is not None else parts[:2]))
            else:
                places.append("..." if place is Ellipsis else self.text(place))
        alone = (
            type(x) is tuple and len(x) == 1 and type(x[0]) is tuple
        )  # x[(0, 1),], which is not x[0, 1]
        return ", ".join(places) + "," * alone

    def expression(self, call, out=None):
        """Write the right-hand side of a line."""
        args, kwargs = call.unpacked()
        f = call.function
        kwargs = {key: value for key, value in kwargs.items() if not _is_usual(f, key, value)}
        if isinstance(f, np.ufunc) and any(
            [type(x) is Symbol and getattr(x.value, "dtype", None) is FLOAT64 for x in args]
        ):
            args = [
                float(x) if type(x) is np.float64 else x for x in args
            ]  # that the other is of float64 decides about the result
        if out is None and not kwargs:
            of_arrays = any([hasattr(getattr(x, "value", x), "dtype") for x in args])
            if any([isinstance(x, (list, tuple)) for x in args]):  # [1.0] * 2 is [1.0, 1.0]
                of_arrays = False
            if f in SIGNS and len(args) == 2 and (of_arrays or not isinstance(f, np.ufunc)):
                left = self.text(args[0])  # -2 ** x is -(2 ** x)
                return (
                    f"{f'({left})' if f is operator.pow and left.startswith('-') else left}"
                    f" {SIGNS[f]} {self.text(args[1])}"
                )
            if f in PREFIXES and (of_arrays or not isinstance(f, np.ufunc)):
                return PREFIXES[f] + self.text(args[0])
            if f is operator.getitem:
                return f"{self.text(args[0])}[{self.index(args[1])}]"
            if f is np.transpose and all([x is None for x in args[1:]]) and np.ndim(args[0]):
                return f"{self.text(args[0])}.T"
        words = [
            *map(self.text, args),
            *[f"{key}={self.text(value)}" for key, value in kwargs.items()],
            *([f"out={out}"] if out else []),
        ]
        if isinstance(f, Method):
            return f"{words[0]}.{f.__name__}({', '.join(words[1:])})"
        name = name_of(f)
        if isinstance(f, types.FunctionType) and not f.__module__.startswith("numpy"):
            if f not in self.helpers:
                self.helpers[f] = self.free(f.__name__)
            name = self.helpers[f]
        return f"{name}({', '.join(words)})"

    def lines(self, calls, kept, second=None):
        """Write calls, one a line, with a heading before the one of number ``second``; the results,
        ``kept``, are not let go of.
        """
        lines, gone = [], self._gone(calls, kept)
        order = _orders(calls) if gone else {}
        for n, call in enumerate(calls):
            if n == second:
                lines += ["", "# the pullback"]
            y, useless = call.results[0], gone.get(n, [])
            out = None
            if (
                useless
                and is_elementwise(call.function)
                and call.structure is None
                and len(call.results) == 1
            ):
                out = next(
                    (
                        x
                        for x in useless
                        if x is not y
                        and (x.shape, x.dtype, order[x]) == (y.shape, y.dtype, order[y])
                    ),
                    None,
                )
            shapes = ", ".join(str(x.shape) for x in call.results)
            if out is not None:
                useless = [x for x in useless if x is not out]
                self.names[y] = self.names[out]
                lines.append(f"{self.expression(call, self.names[out])}  # {shapes}")
            else:
                right = self.expression(call)
                for result in call.results:
                    self.name(result)
                lines.append(
                    f"{self.bare(tree.unflatten(call.returned, call.results))} = {right}  #"
                    f" {shapes}"
                )
            if n + 1 < len(calls) and useless:
                lines.append("del " + ", ".join(self.names[x] for x in useless))
        return lines

    def _gone(self, calls, kept):
        """Return, by the number of the call after which nothing needs them, the large arrays that
        these calls have made.
        """
        if not any([y.nbytes >= LARGE for call in calls for y in call.results]):
            return {}
        owner, last = {}, {}  # of a view: the array in whose memory it lives, if a call made that
        kept = {x for x in kept if type(x) is Symbol}
        for n, call in enumerate(calls):
            operands = [x for x in call.arguments if type(x) is Symbol]
            shares = not call.fresh and any(
                [isinstance(y.value, np.ndarray) for y in call.results]
            )  # a number does not
            for y in call.results:
                owner[y] = next((owner.get(x) for x in operands), None) if shares else y
            if shares:
                kept.update(operands[1:])  # whose memory it may share too
            last.update({owner.get(x): n for x in [*operands, *call.results]})
        kept, gone = {owner.get(x) for x in kept}, {}
        for x, n in last.items():
            if x is not None and x not in kept and x.nbytes >= LARGE:
                gone.setdefault(n, []).append(x)
        return gone

    def source(self, name, parameters, lines, results):
        """Return the source of a function with these lines; its constants are not in it."""
        body = "".join(
            f"    {line}\n" if line else "\n" for line in [*lines, f"return {self.bare(results)}"]
        )
        helpers = "".join(
            f"{_source(helper, as_name)}\n\n" for helper, as_name in self.helpers.items()
        )
        return f"{HEADER}\n\n{helpers}def {name}({', '.join(parameters)}):\n{body}"


def with_constants(source, constants):
    """Return a source with its constants written into it."""
    lines = "".join(f"{name} = {_literal(x)}\n" for name, x in constants.items())
    return source.replace(HEADER, f"{HEADER}\n{lines}", 1) if lines else source


def _is_usual(f, key, value):
    """Whether a keyword says what NumPy does without it; an axis is said all the same."""
    if key in ("keepdims", "where"):
        return value is (key == "where")
    default = _defaults(f).get(key, inspect.Parameter.empty)
    return (
        value is None is default
        if key == "axis"
        else type(default) is type(value) and default == value
    )


@functools.cache
def _defaults(f):
    """Return the defaults of a function's keywords, as far as they can be known."""
    try:
        return {
            name: parameter.default for name, parameter in inspect.signature(f).parameters.items()
        }
    except (TypeError, ValueError):  # it is written in C
        return {}


def _orders(calls):
    """Return, for each array, the one by whose strides its axes are ordered in memory, or "C", for
    sure in the order of its axes.

    Elementwise functions go by the strides of the operands, where they have more than one axis to
    put in order. A sum of the same numbers in another order is rounded differently, so an array may
    take the place of another only if both are ordered alike, whatever the strides of the arguments.
    """
    order = {}
    for call in calls:
        several = [
            x
            for x in call.arguments
            if isinstance(x, (Symbol, np.ndarray)) and sum([n > 1 for n in x.shape]) > 1
        ]
        orders = {order.get(x, id(x)) if type(x) is Symbol else id(x) for x in several}
        for y in call.results:
            if y.ndim < 2 or (call.function is np.matmul and y.ndim == 2):
                order[y] = "C"
            elif (
                is_elementwise(call.function)
                and len(orders) == 1
                and all([x.shape == y.shape for x in several])
            ):
                (order[y],) = orders
            else:
                order[y] = id(y)
    return order


def _source(function, name):
    """Return the source of a function, under this name, without its decorators and docstring."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    definition.name, definition.decorator_list, definition.body = (
        name,
        [],
        definition.body[ast.get_docstring(definition) is not None :],
    )
    return ast.unparse(definition) + "\n"


def _literal(x):
    """Write an array so that it can be read back to the last bit, in its memory order."""
    if x.ndim > 1 and x.flags.f_contiguous and not x.flags.c_contiguous:
        return _literal(x.T) + ".T"
    if x.size > 1 and x.dtype.kind in "fiub" and x.tobytes() == x.size * x.ravel()[:1].tobytes():
        return f"np.full({x.shape}, {x.ravel()[0].item()!r}, dtype={x.dtype.name!r})".replace(
            "inf", "np.inf"
        ).replace("nan", "np.nan")
    values = repr(x.tolist())
    if x.dtype.kind in "fc":
        values = values.replace("inf", "np.inf").replace("nan", "np.nan")
    return (
        f"np.array({values},"
        f" dtype={x.dtype.name if x.dtype.kind in 'fciub' else x.dtype.str!r}).reshape({x.shape})"
    )
