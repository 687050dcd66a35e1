"""How a recording is written down as text: a name for each array, a line for each call.

    v1 = z @ theta_W  # (3, 2)

A line has the sign of an operator where Python has one for the function, else the call of the
function; keywords that say what NumPy does anyway are left out. Each line ends with the shape of
what it makes. `memory` says which lines write into an old array, and what is deleted.
"""

import ast
import functools
import inspect
import itertools
import operator
import textwrap
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import tree
from ..autodiff.checks import FLOAT64
from ..autodiff.rules.table import name_of
from ..types import Array
from .memory import Step, plan
from .recording import Call
from .symbol import OPERATORS, Method, Symbol, has_dtype

# the signs that are written between two operands, and those before one
BETWEEN: dict[Any, str] = {operator.pow: "**"}
BEFORE: dict[Any, str] = {}
for _ufunc, (_operator, _sign) in OPERATORS.items():
    if _sign:
        (BETWEEN if _ufunc.nin == 2 else BEFORE).update({_ufunc: _sign, _operator: _sign})
FLOAT32 = np.dtype(np.float32)
# names that a source needs for itself
USED = {"np", "numpy", "slice", "float", "int", "bool", "type", "tuple", "Ellipsis"}


class Writer:
    """Names for the Symbols and constants of one recording of f, and lines for its calls.

    Attributes
    ----------
    names : dict
        Of each Symbol, and of each constant array by its id.
    constants : dict
        The constant arrays, by name.
    taken : set
        All names in use.
    same_types : bool
        Whether what is an array in the example is one in every call, and never a number of Python's
        or a list.
    """

    header = "import numpy as np\n"  # it ends with the name of NumPy

    def __init__(self, f: Callable, same_types: bool = False) -> None:
        self.same_types = same_types
        self.names: dict[Any, str] = {}
        self.constants: dict[str, Array] = {}
        self.taken = {*USED}
        self._helpers: dict[Callable, str] = {}
        self._next = 1
        self._known: dict[int, str] = {}  # the names that f has for arrays, by their id
        if isinstance(f, types.FunctionType):
            closed = inspect.getclosurevars(f)
            known = {**closed.globals, **closed.nonlocals}.items()
            self._known = {id(x): name for name, x in known if isinstance(x, np.ndarray)}

    def free(self, wanted: str) -> str:
        """Take the wanted name, with a number behind it if it is taken."""
        return self._numbered(wanted, 2) if wanted in self.taken else self._take(wanted)

    def _numbered(self, name, first):
        """Take the first free name with a number from ``first`` on."""
        numbered = (f"{name}{n}" for n in itertools.count(first))
        return self._take(next(x for x in numbered if x not in self.taken))

    def _take(self, name):
        self.taken.add(name)
        return name

    def lines(
        self, calls: list[Call], kept: list, second: int | None = None, outs: dict | None = None
    ) -> list[str]:
        """Write calls, one a line.

        Parameters
        ----------
        calls : list of Call
        kept : list
            What the function returns.
        second : int or None
            The number of the call with which the pullback starts, under a heading.
        outs : dict or None
            Results that are written into other arrays: expressions for these.
        """
        lines: list[str] = []
        for n, (call, step) in enumerate(zip(calls, self.steps(calls, kept))):
            if n == second:
                lines += ["", "# the pullback"]
            shapes = ", ".join([str(x.shape) for x in call.results])
            result = call.results[0]
            if outs and result in outs:
                lines.append(f"{self.expression(call, outs[result])}  # {shapes}")
                if step.out is not None:
                    step = Step(deleted=(*step.deleted, step.out))
            elif step.out is not None:
                name = self.names[result] = self.names[step.out]
                lines.append(f"{self.expression(call, name)}  # {shapes}")
            else:
                right = self.expression(call)
                for result in call.results:
                    if result not in self.names:
                        self.names[result] = self._numbered("v", self._next)
                        self._next += 1
                left = self.bare(tree.unflatten(call.returned, call.results))
                lines.append(f"{left} = {right}  # {shapes}")
            if step.deleted:
                lines.append("del " + ", ".join([self.names[x] for x in step.deleted]))
        return lines

    def steps(self, calls: list[Call], kept: list) -> list[Step]:
        """Say for each call what it does with memory."""
        return plan(calls, kept)

    def expression(self, call: Call, out: str | None = None) -> str:
        """Write the right-hand side of a line, which puts its result into ``out`` if given."""
        f = call.function
        args, kwargs = call.unpacked()
        kwargs = {key: value for key, value in kwargs.items() if not _is_default(f, key, value)}
        if isinstance(f, np.ufunc) and any([_is_float64(x) for x in args]):
            # next to an array of float64 a Python float does what np.float64 does
            args = [float(x) if type(x) is np.float64 else x for x in args]
        if self.same_types and f is np.matmul and not kwargs and all(map(_for_blas, args)):
            into = f", out={out}" if out else ""
            return f"{self.text(args[0])}.dot({self.text(args[1])}{into})"
        short = None if out or kwargs else self._short(f, args)
        if short:
            return short
        # np.expand_dims calls reshape, in six times the time
        if self.same_types and f is np.expand_dims and has_dtype(args[0]):
            return f"{self.text(args[0])}.reshape({call.results[0].shape})"
        words = [self.text(x) for x in args]
        words += [f"{key}={self.text(value)}" for key, value in kwargs.items()]
        words += [f"out={out}"] if out else []
        if isinstance(f, Method):
            return f"{words[0]}.{f.__name__}({', '.join(words[1:])})"
        return f"{self._function(f)}({', '.join(words)})"

    def _short(self, f, args):
        """Write an operator, an index or a transpose as people do; None if f is none of these."""
        if f is operator.getitem:
            return f"{self.text(args[0])}[{self._index(args[1])}]"
        if f is np.transpose and all([x is None for x in args[1:]]) and np.ndim(args[0]):
            return f"{self.text(args[0])}.T"
        if isinstance(f, np.ufunc):
            # [1.0] * 2 is [1.0, 1.0], and 2.0 * 3.0 a Python number, other than by the ufunc
            if any([isinstance(x, (list, tuple)) for x in args]):
                return None
            if not any([has_dtype(x) for x in args]):
                return None
        if f in BETWEEN and len(args) == 2:
            left, right = map(self.text, args)
            if f is operator.pow and left.startswith("-"):  # -2 ** x is -(2 ** x)
                left = f"({left})"
            return f"{left} {BETWEEN[f]} {right}"
        return BEFORE[f] + self.text(args[0]) if f in BEFORE else None

    def _function(self, f):
        """Return the name of a function; the source of one of ours will stand above the program."""
        if not isinstance(f, types.FunctionType) or f.__module__.startswith("numpy"):
            return name_of(f)
        if f not in self._helpers:
            self._helpers[f] = self.free(f.__name__)
        return self._helpers[f]

    def text(self, x: Any) -> str:
        """Write an argument."""
        if type(x) is Symbol:
            return self.names[x]
        if isinstance(x, np.ndarray):
            return self._constant(x)
        if isinstance(x, np.generic):
            number = x.item()  # np.longdouble has no number of Python's
            value = repr(str(x)) if type(number) is type(x) else self.text(number)
            return f"np.{type(x).__name__}({value})"
        if isinstance(x, float) and not np.isfinite(x):
            return _with_prefix(repr(float(x)))
        if isinstance(x, (int, float)) and type(x) is not bool:  # one of an enumeration too
            return repr(int(x) if isinstance(x, int) else float(x))
        if isinstance(x, tuple):
            return f"({', '.join(map(self.text, x))}{',' * (len(x) == 1)})"
        if isinstance(x, (list, range)):
            return f"[{', '.join(map(self.text, x))}]"
        if isinstance(x, slice):
            return f"slice{self.text((x.start, x.stop, x.step))}"
        if isinstance(x, dict):
            items = [f"{self.text(key)}: {self.text(value)}" for key, value in x.items()]
            return f"{{{', '.join(items)}}}"
        if isinstance(x, type):
            return f"np.{x.__name__}" if x.__module__ == "numpy" else x.__name__
        if isinstance(x, np.dtype):
            return f"np.dtype({x.str!r})"
        return repr(x)

    def _constant(self, x):
        """Return the name of a constant array: f's own name for it, or the next of c1, c2, ..."""
        if id(x) not in self.names:
            if id(x) in self._known:
                name = self.free(self._known[id(x)])
            else:
                name = self._numbered("c", len(self.constants) + 1)
            self.names[id(x)], self.constants[name] = name, x
        return self.names[id(x)]

    def bare(self, x: Any) -> str:
        """Write an argument, a tuple without its brackets."""
        return ", ".join(map(self.text, x)) if isinstance(x, tuple) and len(x) > 1 else self.text(x)

    def _index(self, x):
        """Write what stands in the brackets of an index."""
        places = []
        for place in x if type(x) is tuple and x else [x]:
            if type(place) is slice:
                bounds = place.start, place.stop, place.step
                parts = ["" if part is None else self.text(part) for part in bounds]
                places.append(":".join(parts if place.step is not None else parts[:2]))
            else:
                places.append("..." if place is Ellipsis else self.text(place))
        # x[(0, 1),] is not x[0, 1]; and JAX has x[[0, 1],] only, not x[[0, 1]]
        alone = type(x) in (list, range) or (
            type(x) is tuple and len(x) == 1 and type(x[0]) is tuple
        )
        return ", ".join(places) + "," * alone

    def source(self, name: str, parameters: Iterable[str], lines: list[str]) -> str:
        """Return the source of a function with these lines; its constants are not in it."""
        body = "".join([f"    {line}\n" if line else "\n" for line in lines])
        helpers = "".join(
            [f"{self.helper(f, as_name)}\n\n" for f, as_name in self._helpers.items()]
        )
        return f"{self.header}\n\n{helpers}def {name}({', '.join(parameters)}):\n{body}"

    def helper(self, function: Callable, name: str) -> str:
        """Return the source of a function, under this name, without decorators and docstring."""
        definition: Any = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        definition.name, definition.decorator_list = name, []
        definition.body = definition.body[ast.get_docstring(definition) is not None :]
        return ast.unparse(definition) + "\n"


def with_constants(source: str, constants: dict[str, Array]) -> str:
    """Return a source with its constants written into it, as arrays of NumPy."""
    header, rest = source.split("\n\n", 1)
    module = header.split()[-1]
    lines = "".join([f"{name} = {_literal(x, module)}\n" for name, x in constants.items()])
    return f"{header}\n\n{lines}\n{rest}" if lines else source


def _is_float64(x):
    return type(x) is Symbol and getattr(x.value, "dtype", None) is FLOAT64


def _for_blas(x):
    """Whether x is a matrix for which x.dot gives the numbers of np.matmul, in 0.6 of the time.

    Both call the same routine of BLAS. But np.matmul has loops of its own for matrices that are not
    contiguous (NumPy 2.2), and both treat vectors otherwise.
    """
    array = x.value if type(x) is Symbol else x
    if type(array) is not np.ndarray or array.ndim != 2 or array.dtype not in (FLOAT64, FLOAT32):
        return False
    return min(array.shape) > 1 and array.flags.forc


def _is_default(f, key, value):
    """Whether a keyword says what NumPy does without it; an axis is written all the same."""
    if key in ("keepdims", "where"):
        return value is (key == "where")
    default = _defaults(f).get(key, inspect.Parameter.empty)
    if key == "axis":
        return value is None and default is None
    return type(default) is type(value) and default == value


@functools.cache
def _defaults(f):
    """Return the defaults of a function's keywords, as far as they can be known."""
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):  # it is written in C
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}


def _with_prefix(numbers, module="np"):
    """Write the numbers that Python has no literal for as NumPy's."""
    return numbers.replace("inf", f"{module}.inf").replace("nan", f"{module}.nan")


def _literal(x, module):
    """Write an array so that it can be read back to the last bit, in its memory order."""
    if x.ndim > 1 and x.flags.f_contiguous and not x.flags.c_contiguous:
        return _literal(x.T, module) + ".T"
    kind, dtype = x.dtype.kind, repr(x.dtype.name if x.dtype.kind in "fciub" else x.dtype.str)
    if x.size > 1 and kind in "fiub" and x.tobytes() == x.size * x.ravel()[:1].tobytes():
        value = _with_prefix(repr(x.ravel()[0].item()), module)
        return f"{module}.full({x.shape}, {value}, dtype={dtype})"
    values = repr(x.tolist())
    if kind in "fc":
        values = _with_prefix(values, module)
    return f"{module}.array({values}, dtype={dtype}).reshape({x.shape})"
