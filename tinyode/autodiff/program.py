"""Programs: a function and its pullback as straight-line NumPy, recorded once, to be read, and run at the speed of NumPy by hand.

A solver calls the same f thousands of times, and each time the engine writes the same tape. `program` writes it down for good:

    >>> print(program(lambda x: np.sin(x) * x, np.ones(2), vjp=True).source)

`compiled(f)` records at the first call with arguments of new shapes, and runs what it has recorded from then on.
"""

import ast
import builtins
import functools
import inspect
import itertools
import linecache
import textwrap
import types

import numpy as np

from .. import tree
from .dispatch import unbox
from .operators import name_of
from .recording import PICK, POWER, Call, Method, Recording, Symbol
from .trace import Node, Trace, peel
from .transforms import _close, vjp_of_list

LARGE = 1 << 15  # bytes from which on memory is worth a line of its own
SIGNS = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.matmul: "@", np.remainder: "%", np.floor_divide: "//",
         np.less: "<", np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=", np.equal: "==", np.not_equal: "!=",
         np.bitwise_and: "&", np.bitwise_or: "|", np.bitwise_xor: "^", POWER: "**"}
PREFIXES = {np.negative: "-", np.invert: "~"}


class Program:
    """A function as straight-line NumPy.

    Attributes
    ----------
    source : str
        All of it; runs where there is nothing but NumPy, and `constants`.
    constants : dict
        The arrays that the function closes over, by the names that the source has for them: the arrays themselves, not copies.
    """

    def __init__(self, source, constants, name):
        self.source, self.constants = source, constants
        filename = f"<program of {name}, {next(_numbers)}>"
        linecache.cache[filename] = len(source), None, source.splitlines(True), filename
        namespace = {}
        exec(builtins.compile(source, filename, "exec"), namespace)
        namespace.update(constants)
        self.call = namespace[name]

    def __call__(self, *args):
        return self.call(*args)

    def __repr__(self):
        return self.source


_numbers = itertools.count(1)


# ------------------------------------------------------------------------------------------ simplification


def simplified(calls, outputs):
    """Do each operation once, none for nothing, and only those that something uses; return calls and outputs."""
    known, same = {}, {}
    kept = []
    for call in calls:
        arguments = [same.get(x, x) if type(x) is Symbol else x for x in call.arguments]
        call = call._replace(arguments=arguments)
        key = call.function, call.structure, tuple([_key(x) for x in arguments])
        unchanged = _unchanged(call)
        if unchanged is not None:
            same[call.results[0]] = unchanged
        elif key in known:
            same.update(zip(call.results, known[key].results))
        else:
            known[key] = call
            kept.append(call)
    outputs = [same.get(x, x) if type(x) is Symbol else x for x in outputs]
    needed = {x for x in outputs if type(x) is Symbol}
    used = []
    for call in reversed(kept):
        if needed.intersection(call.results):
            needed.update(x for x in call.arguments if type(x) is Symbol)
            used.append(call)
    return used[::-1], outputs


def _key(x):
    """Two arguments with the same key are the same: symbols and arrays by identity, what is not an array by value."""
    if type(x) is Symbol or isinstance(x, np.ndarray):
        return id(x)
    return type(x), repr(x)


def _unchanged(call):
    """Return the operand whose value is that of the call to the last bit, if there is one.

    (x + 0.0 is not x where x is -0.0; x - 0.0 and x + -0.0 are.)
    """
    f, args = call.function, call.arguments
    first, last = args[0] if args else None, args[-1] if args else None
    y = call.results[0]
    alike = lambda x: type(x) is Symbol and x.shape == y.shape and x.dtype == y.dtype
    number = lambda x, value: type(x) in (int, float, np.float64) and x == value
    if len(args) == 2 and f in (np.multiply, np.divide, POWER) and alike(first) and number(last, 1):
        return first
    if len(args) == 2 and f is np.multiply and alike(last) and number(first, 1):
        return last
    if len(args) == 2 and f is np.subtract and alike(first) and number(last, 0) and str(float(last)) == "0.0":
        return first
    if alike(first) and (f in (np.positive, np.broadcast_to, np.reshape, np.add.reduce, np.sum) or isinstance(f, Method) and f.__name__ in (
            "astype", "reshape")):
        return first  # for a sum: over axes of length one
    return None


# ------------------------------------------------------------------------------------------ writing


class Writer:
    """Names for symbols and constants, and lines for calls."""

    def __init__(self, f):
        self.names, self.constants, self.helpers = {}, {}, {}
        closed = inspect.getclosurevars(f) if isinstance(f, types.FunctionType) else None
        self.known = {id(x): name for name, x in ({**closed.globals, **closed.nonlocals} if closed else {}).items()
                      if isinstance(x, np.ndarray)}

    def name(self, x, wanted=None):
        """Return the name of a symbol, a new one if it has none."""
        if x not in self.names:
            self.names[x] = wanted or f"v{len(self.names) + 1}"
        return self.names[x]

    def text(self, x):
        """Write an argument."""
        if type(x) is Symbol:
            return self.names[x]
        if isinstance(x, np.ndarray):
            taken = next((name for name, array in self.constants.items() if array is x), None)
            if taken is None:
                taken = self.known.get(id(x)) or f"c{len(self.constants) + 1}"
                self.constants[taken] = x
            return taken
        if type(x) is float and not np.isfinite(x):
            return "np.nan" if x != x else "np.inf" if x > 0 else "-np.inf"
        if isinstance(x, np.generic) and not np.isfinite(x):
            return f"np.{type(x).__name__}({self.text(float(x))})"
        if type(x) is tuple:
            return "(" + "".join(f"{self.text(item)}, " for item in x).strip() + ")" if len(x) != 1 else f"({self.text(x[0])},)"
        if type(x) is list:
            return "[" + ", ".join(map(self.text, x)) + "]"
        if type(x) is dict:
            return "{" + ", ".join(f"{key!r}: {self.text(value)}" for key, value in x.items()) + "}"
        if isinstance(x, tuple):
            return f"({', '.join(map(self.text, x))})"
        if isinstance(x, type):
            return f"np.{x.__name__}" if x.__module__ == "numpy" else x.__name__
        if isinstance(x, np.dtype):
            return f"np.dtype({x.str!r})"
        return repr(x)

    def index(self, x):
        """Write what stands in brackets."""
        if type(x) is tuple and x:
            return ", ".join(map(self.index, x)) + ("," if len(x) == 1 else "")
        if type(x) is slice:
            parts = [("" if part is None else repr(part)) for part in (x.start, x.stop, x.step)]
            return ":".join(parts if x.step is not None else parts[:2])
        return "..." if x is Ellipsis else self.text(x)

    def expression(self, call, out=None):
        """Write the right-hand side of a line."""
        args, kwargs = call.unpacked()
        f = call.function
        if out is None and not kwargs:
            if f in SIGNS and len(args) == 2:
                return f"{self.text(args[0])} {SIGNS[f]} {self.text(args[1])}"
            if f in PREFIXES:
                return PREFIXES[f] + self.text(args[0])
            if f is PICK:
                return f"{self.text(args[0])}[{self.index(args[1])}]"
            if f is np.transpose and len(args) == 1:
                return f"{self.text(args[0])}.T"
        words = [*map(self.text, args), *[f"{key}={self.text(value)}" for key, value in kwargs.items()], *([f"out={out}"] if out else [])]
        if isinstance(f, Method):
            return f"{words[0]}.{f.__name__}({', '.join(words[1:])})"
        name = name_of(f)
        if isinstance(f, types.FunctionType) and not f.__module__.startswith("numpy"):
            self.helpers[f.__name__] = f
            name = f.__name__
        return f"{name}({', '.join(words)})"

    def lines(self, calls, kept):
        """Write calls, one a line; what is large and of no use any more is overwritten, or let go of. ``kept`` are the results."""
        owner, last, lines = {}, {}, []
        for n, call in enumerate(calls):
            symbols = [x for x in call.arguments if type(x) is Symbol]
            for y in call.results:  # a view lives in the memory of what it is a view of
                owner[y] = y if call.fresh else next((owner.get(x) for x in symbols), None)
            last.update({owner.get(x): n for x in [*symbols, *call.results]})
        kept = {owner.get(x) for x in kept if type(x) is Symbol}
        gone = {}
        for x, n in last.items():
            if x is not None and x not in kept and x.value.nbytes >= LARGE:
                gone.setdefault(n, []).append(x)
        for n, call in enumerate(calls):
            y, out = call.results[0], None
            if isinstance(call.function, np.ufunc) and len(call.results) == 1 and not call.unpacked()[1]:
                out = next((x for x in gone.get(n, ()) if x is not y and x.shape == y.shape and x.dtype == y.dtype), None)
            shapes = ", ".join(str(x.shape) for x in call.results)
            if out is not None:
                gone[n].remove(out)
                self.names[y] = self.names[out]
                lines.append(f"{self.expression(call, self.names[out])}  # {shapes}")
            else:
                right = self.expression(call)
                lines.append(f"{', '.join(map(self.name, call.results))} = {right}  # {shapes}")
            if n + 1 < len(calls) and gone.get(n):
                lines.append("del " + ", ".join(self.names[x] for x in gone[n]))
        return lines

    def write(self, name, parameters, lines, results):
        """Return a `Program` of a function with these lines."""
        results = self.text(results)
        body = "".join(f"    {line}\n" for line in [*lines, f"return {results}"])
        helpers = "".join(_source(helper) + "\n\n" for helper in self.helpers.values())
        constants = "".join(f"{key} = {_literal(x)}\n" for key, x in self.constants.items())
        source = f"import numpy as np\n\n{constants}{helpers}\ndef {name}({', '.join(parameters)}):\n{body}"
        return Program(source, self.constants, name)


def _source(function):
    """Return the source of a function without its decorators and docstring."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    definition.decorator_list, definition.body = [], definition.body[ast.get_docstring(definition) is not None:]
    return ast.unparse(definition) + "\n"


def _literal(x):
    """Write an array so that it can be read back to the last bit, rows or columns first as it is."""
    if x.ndim > 1 and x.flags.f_contiguous and not x.flags.c_contiguous:
        return _literal(x.T) + ".T"
    return f"np.array({x.tolist()!r}, dtype={x.dtype.name!r}).reshape({x.shape})".replace("inf", "np.inf").replace("nan", "np.nan")


# ------------------------------------------------------------------------------------------ recording


def is_number(x):
    """Whether a leaf can change from call to call; what is not an array or a float is part of the signature."""
    return isinstance(x, (np.ndarray, np.floating, float))


def _record(f, leaves, structure, wanted):
    """Record f at these leaves and, for the wanted ones, its pullback.

    Returns
    -------
    inputs, outputs, seeds, pulled : lists of Symbols and constants
    calls : Recording
    out_structure
    """
    recording = Recording()
    inputs = [Symbol(x, recording) if is_number(x) else x for x in leaves]
    trace, of_wanted = Trace(), [inputs[i] for i in wanted]
    args = list(inputs)
    for i, node in zip(wanted, trace.inputs(of_wanted)):
        args[i] = node
    try:
        found, out_structure = tree.flatten(f(*tree.unflatten(structure, args)))
        outputs, pull = _close(trace, found, of_wanted)
    finally:
        trace.close()
    seeds = [Symbol(np.ones(np.shape(y), y.dtype)[()], recording) for y in outputs]
    return inputs, outputs, seeds, pull(seeds), recording, out_structure


def _equal(x, y):
    """Whether two constants are the same."""
    return np.array_equal(x, y, equal_nan=isinstance(x, (np.ndarray, np.generic, float)) and np.result_type(x).kind == "f")


def recorded(f, leaves, structure, wanted):
    """Record twice, and refuse what is not the same both times."""
    first, second = _record(f, leaves, structure, wanted), _record(f, leaves, structure, wanted)
    for a, b in itertools.zip_longest(first[4], second[4]):
        same = a is not None and b is not None and a.function == b.function and a.structure == b.structure
        for x, y in zip(a.arguments, b.arguments) if same else ():
            if type(x) is not Symbol and not _equal(x, y):
                raise TypeError(f"{getattr(f, '__name__', f)}: recorded twice, it gave {name_of(a.function)} the constant {x!r:.40} and then "
                                f"{y!r:.40}. A program would keep the first for ever: let a random draw, a counter or the time be an argument")
        if not same:
            raise TypeError(f"{getattr(f, '__name__', f)}: recorded twice, it did not do the same: "
                            f"{a and name_of(a.function)} and then {b and name_of(b.function)}")
    return first


def program(f, *example, vjp=False):
    """Record f and write it down as straight-line NumPy, for arguments of the structure, shapes and dtypes of the example.

    Parameters
    ----------
    f : function
    *example : arrays, or containers of arrays
    vjp : bool
        With True the program has one more argument, g, the cotangent of the value, and returns ``(value, cotangents)``.
    """
    leaves, structure = tree.flatten(example)
    wanted = [i for i, x in enumerate(leaves) if is_number(x)]
    inputs, outputs, seeds, pulled, calls, out_structure = recorded(f, leaves, structure, wanted)
    results = [*outputs, *pulled] if vjp else outputs
    calls, results = simplified(calls, results)
    outputs, pulled = results[:len(outputs)], results[len(outputs):]
    writer, title = Writer(f), getattr(f, "__name__", "f")
    title = title if title.isidentifier() else "f"
    parameters = _names(f, len(example))
    used = {x for call in calls for x in call.arguments if type(x) is Symbol} | {x for x in results if type(x) is Symbol}
    unpack = []
    paths = [path for name, x in zip(parameters, example) for path in _paths(name, name, x)]
    for (name, path), x in zip(paths, inputs):
        if x in used:
            writer.name(x, name)
            if name != path:
                unpack.append(f"{name} = {path}  # {x.shape}")
    value = tree.unflatten(out_structure, outputs)
    if not vjp:
        return writer.write(title, parameters, unpack + writer.lines(calls, outputs), value)
    for x, (name, path) in zip(seeds, _paths("g", "g", tree.unflatten(out_structure, seeds))):
        writer.name(x, name)
        if name != path:
            unpack.append(f"{name} = {path}")
    first, second = _split(calls, outputs)
    lines = writer.lines(first + second, results)
    return writer.write(title, [*parameters, "g"], unpack + lines, (value, tree.unflatten(structure, pulled)))


def _split(calls, outputs):
    """Return the calls that the outputs need, and the others."""
    needed, first = {x for x in outputs if type(x) is Symbol}, []
    for call in reversed(calls):
        if needed.intersection(call.results):
            needed.update(x for x in call.arguments if type(x) is Symbol)
            first.append(call)
    first = first[::-1]
    members = set(map(id, first))
    return first, [call for call in calls if id(call) not in members]


def _names(f, n):
    """Return f's own names for its first n arguments."""
    names = []
    for parameter in inspect.signature(f).parameters.values():
        many = parameter.kind is parameter.VAR_POSITIONAL
        names += [f"{parameter.name}{i}" for i in range(n - len(names))] if many else [parameter.name]
    return names[:n]


def _paths(name, path, x):
    """Yield a name and an expression for each leaf of a container."""
    if isinstance(x, dict):
        for key in sorted(x):
            yield from _paths(f"{name}_{key}", f"{path}[{key!r}]", x[key])
    elif isinstance(x, (tuple, list)):
        for i, item in enumerate(x):
            yield from _paths(f"{name}_{i}", f"{path}[{i}]", item)
    else:
        yield name, path


def _signature(x):
    """What a program depends on: shape and dtype of what changes from call to call, and all of the rest."""
    kind = type(x)
    if kind is np.ndarray:
        return x.shape, x.dtype.num
    return kind if is_number(x) else (kind, x)


class compiled:
    """A function that is recorded once for each kind of arguments, and runs as straight-line NumPy from then on.

    Use it wherever f is used, under `vjp`, `grad`, `odeint`, `root`: ``odeint(compiled(f), y0, t, theta)``.
    """

    def __init__(self, f):
        functools.update_wrapper(self, f)
        self.f, self.programs = f, {}

    def __call__(self, *args, **kwargs):
        leaves, structure = tree.flatten((args, kwargs))
        if any(type(x) is np.ndarray and x.dtype == object for x in leaves):
            leaves = [unbox(x) for x in leaves]
        trace, values, parents = peel(leaves)
        found = self._run(values, structure, parents)
        if found is None:
            return self.f(*args, **kwargs)
        outputs, saved, pullback, out_structure = found
        if trace is None:
            return tree.unflatten(out_structure, outputs)

        def backward(g, y, wanted, *leaves):
            seeds = [g] if len(outputs) == 1 else cut(g)
            if type(g) is Node:  # a derivative of the pullback is being taken
                return vjp_of_list(self._of(structure, values, parents), [values[i] for i, _ in parents])[1](seeds)
            return pullback(*seeds, *saved)

        if len(outputs) == 1:
            return tree.unflatten(out_structure, [trace.append(outputs[0], backward, parents, values)])
        cut = tree.cutter(outputs)
        flat = np.concatenate([np.reshape(y, (-1,)) for y in outputs])
        return tree.unflatten(out_structure, cut(trace.append(flat, backward, parents, values)))

    def _of(self, structure, values, parents):
        """Return f as a function of the differentiated leaves, and its value as a list of leaves."""

        def f(*wanted):
            leaves = list(values)
            for (i, _), x in zip(parents, wanted):
                leaves[i] = x
            args, kwargs = tree.unflatten(structure, leaves)
            return tree.flatten(self.f(*args, **kwargs))[0]

        return f

    def _run(self, values, structure, parents):
        """Return outputs, what the pullback needs, the pullback, and the structure of the value; None where f must be called itself."""
        key = structure, parents and tuple([i for i, _ in parents]), tuple([_signature(x) for x in values])
        try:
            forward, pullback, out_structure = self.programs[key]
        except KeyError:
            if any(isinstance(x, (Node, Symbol)) for x in values):  # inside a further derivative, or another program
                return None
            f = lambda args, kwargs: self.f(*args, **kwargs)
            forward, pullback, out_structure = self.programs[key] = _compile(f, self.f, values, structure, [i for i, _ in parents])
        outputs, saved = forward(*values)
        return outputs, saved, pullback, out_structure


def _compile(f, named, leaves, structure, wanted):
    """Return the program of the value, that of the pullback, and the structure of the value."""
    inputs, outputs, seeds, pulled, calls, out_structure = recorded(f, leaves, structure, wanted)
    pulled = pulled if wanted else []
    calls, results = simplified(calls, [*outputs, *pulled])
    outputs, pulled = results[:len(outputs)], results[len(outputs):]
    first, second = _split(calls, outputs)
    made = {x for call in first for x in call.results} | {x for x in inputs if type(x) is Symbol}
    read = [x for call in second for x in call.arguments if type(x) is Symbol] + [x for x in pulled if type(x) is Symbol]
    saved = list(dict.fromkeys(x for x in read if x in made))
    writer = Writer(named)
    parameters = [writer.name(x, f"x{i}") if type(x) is Symbol else f"x{i}" for i, x in enumerate(inputs)]
    forward = writer.write("value", parameters, writer.lines(first, [*outputs, *saved]), (list(outputs), tuple(saved)))
    cotangents = [writer.name(x, f"g{i}") for i, x in enumerate(seeds)]
    pullback = writer.write("pullback", [*cotangents, *[writer.names[x] for x in saved]], writer.lines(second, pulled), pulled)
    return forward.call, pullback.call, out_structure
