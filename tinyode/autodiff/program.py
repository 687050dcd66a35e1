"""Programs: a function and its pullback as straight-line NumPy, recorded once, to be read, and run at the speed of NumPy by hand.

A solver calls the same f thousands of times, and each time the engine writes the same tape. `program` writes it down for good:

    >>> print(program(lambda x: np.sin(x) * x, np.ones(2), vjp=True).source)

How it is recorded, twice, to see whether it is the same, is here, and what is left out; how it is written, in `source`.
"""

import builtins
import inspect
import itertools
import linecache
import weakref

import numpy as np

from .. import tree
from .operators import name_of
from .recording import METHODS, POWER, Recording, Symbol
from .source import Writer
from .trace import Node, Trace
from .transforms import _close


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
        linecache.cache[filename] = len(source), None, source.splitlines(True), filename  # for tracebacks
        namespace = {}
        exec(builtins.compile(source, filename, "exec"), namespace)
        namespace.update(constants)
        self.call = namespace[name]
        weakref.finalize(self.call, linecache.cache.pop, filename, None)

    def __call__(self, *args):
        """Run it."""
        return self.call(*args)

    def __repr__(self):
        return self.source


_numbers = itertools.count(1)


def simplified(calls, outputs):
    """Do each operation once, none for nothing, and only those that something uses; return calls and outputs."""
    known, same, kept = {}, {}, []
    views = {y for call in calls if not call.fresh for y in call.results if y.ndim}
    for call in calls:
        if not same.keys().isdisjoint([x for x in call.arguments if type(x) is Symbol]):
            call = call._replace(arguments=[same.get(x, x) if type(x) is Symbol else x for x in call.arguments])
        key = call.function, call.structure, tuple([_key(x) for x in call.arguments])
        unchanged = _unchanged(call)
        if unchanged is not None and (unchanged not in views or call.function in VIEWS):
            same[call.results[0]] = unchanged
        elif key in known:
            same.update(zip(call.results, known[key].results))
        else:
            known[key] = call
            kept.append(call)
    outputs = [same.get(x, x) if type(x) is Symbol else x for x in outputs]
    for i, x in enumerate(outputs):
        if type(x) is Symbol and x.ndim and x in {*outputs[:i]}:  # the same twice: the caller may write into one of them
            outputs[i] = x.recording(np.array, (x,), {})
            kept.append(x.recording[-1])
    return split(kept, outputs)[0], outputs


def _key(x):
    """Two arguments with the same key are the same: symbols and arrays by identity, what is not an array by value."""
    if type(x) is Symbol or isinstance(x, np.ndarray):
        return id(x)
    return type(x), repr(x)


KEEPS_THE_FIRST = {(np.multiply, "1.0"), (np.divide, "1.0"), (POWER, "1.0"), (np.subtract, "0.0"), (np.add, "0.0")}
KEEPS_THE_SECOND = {(np.multiply, "1.0"), (np.add, "0.0")}
SUM = {"axis", "keepdims"}  # over axes of length one, if the shape stays
VIEWS = {np.broadcast_to, np.reshape, METHODS["reshape"]}  # the others would copy a view, whose sums may be rounded differently
MAY_KEEP = {np.positive: set(), np.broadcast_to: {"shape"}, np.reshape: {"shape", "order"}, np.add.reduce: SUM, np.sum: SUM,
            METHODS["astype"]: {"dtype"}, METHODS["reshape"]: set()}


def _unchanged(call):
    """Return the operand that a call returns as it is, if there is one: x times one, x plus zero, a sum over axes of length one.

    Equal to the last bit, but for the sign of a zero: -0.0 + 0.0 is 0.0, and so is the sum of one -0.0. What follows is too, where the
    arguments are contiguous (a sum over a strided array may be rounded differently than over its copy), but for (1.0 * A) @ A.T: for the
    product of one array with its own transpose NumPy calls another routine of BLAS than for that of two equal ones.
    """
    f, args, y = call.function, call.arguments, call.results[0]
    if f in MAY_KEEP:
        args, kwargs = call.unpacked()
        kept = args[0] if args and kwargs.keys() <= MAY_KEEP[f] else None
    elif len(args) != 2 or call.structure is not None:
        return None
    elif (f, _written(args[1])) in KEEPS_THE_FIRST:
        kept = args[0]
    elif (f, _written(args[0])) in KEEPS_THE_SECOND:
        kept = args[1]
    else:
        return None
    return kept if type(kept) is Symbol and kept.shape == y.shape and kept.dtype == y.dtype else None


def _written(x):
    """Write a number, as the two sets above have it."""
    return str(float(x)) if type(x) in (int, float, np.float64) else None


def is_number(x):
    """Whether a leaf can change from call to call; what is not an array or a float is part of the signature."""
    return isinstance(x, (np.ndarray, np.floating, float))


def _record(f, leaves, structure):
    """Record f at these leaves, and its pullback.

    Returns
    -------
    inputs, outputs, seeds, pulled : lists of Symbols and constants
        One cotangent of ``pulled`` for each input that is a Symbol, in a dict by the number of the leaf.
    calls : Recording
    out_structure
    """
    recording = Recording()
    inputs = [Symbol(x, recording) if is_number(x) else x for x in leaves]
    numbers = [i for i, x in enumerate(inputs) if type(x) is Symbol and x.dtype.kind == "f"]
    trace, args = Trace(), list(inputs)
    for i, node in zip(numbers, trace.inputs([inputs[i] for i in numbers])):
        args[i] = node
    try:
        found, out_structure = tree.flatten(f(*tree.unflatten(structure, args)))
        outputs, pull = _close(trace, found, [inputs[i] for i in numbers])
    finally:
        trace.close()
    if any(type(y) is Node for y in outputs):
        raise TypeError(f"{getattr(f, '__name__', f)}: closes over a value that is being differentiated, whose gradient would be lost; "
                        "pass that value as an argument")
    seeds = [Symbol(np.ones(np.shape(y), y.dtype)[()], recording) for y in outputs]
    # a constant that is returned is copied at each call: the caller may write into it
    outputs, pulled = ([recording(np.array, (y,), {}) if isinstance(y, np.ndarray) else y for y in part] for part in (outputs, pull(seeds)))
    return inputs, outputs, seeds, dict(zip(numbers, pulled)), recording, out_structure


def _equal(x, y):
    """Whether two constants are the same."""
    return np.array_equal(x, y, equal_nan=isinstance(x, (np.ndarray, np.generic, float)) and np.result_type(x).kind == "f")


def recorded(f, leaves, structure):
    """Record twice, and refuse what is not the same both times."""
    first, second = _record(f, leaves, structure), _record(f, leaves, structure)
    for a, b in itertools.zip_longest(first[4], second[4]):
        same = a is not None and b is not None and a.function == b.function and a.structure == b.structure
        for x, y in zip(a.arguments, b.arguments) if same else ():
            if type(x) is not Symbol and not _equal(x, y):
                raise TypeError(f"{getattr(f, '__name__', f)}: recorded twice, it gave {name_of(a.function)} the constant {x!r:.40} and "
                                f"then {y!r:.40}. A program would keep the first for ever: let a random draw, a counter or the time be an "
                                "argument")
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
        With True the program has one more argument, g, the cotangent of the value, and returns ``(value, cotangents)``, one cotangent
        for each argument.

    Returns
    -------
    Program
        To be called with arguments of the same structure, shapes and dtypes, which are not checked. Values are those of the tape to
        the last bit (but for the sign of a zero, and what `_unchanged` says); named tuples become tuples. What is not an array or a
        float is kept as it is in the example.

    Raises
    ------
    TypeError
        If f takes a bool, a plain number, an index or a shape from a value, and so may go another way with other values; or if it is
        not the same when it is recorded again: it draws at random, counts, looks at the clock.
    """
    leaves, structure = tree.flatten(example)
    inputs, outputs, seeds, pulled, calls, out_structure = recorded(f, leaves, structure)
    results = [*outputs, *[pulled.get(i) for i in range(len(leaves))]] if vjp else outputs
    calls, results = simplified(calls, results)
    outputs, pulled = results[:len(outputs)], results[len(outputs):]
    writer, unpack = Writer(f), []
    title = f.__name__ if getattr(f, "__name__", "").isidentifier() else "f"
    used = {x for call in calls for x in call.arguments if type(x) is Symbol}.union(x for x in results if type(x) is Symbol)

    def unpacked(parameter, container, symbols):
        """Name the leaves of an argument, and write lines for those that are in a container."""
        parameter = writer.free(parameter)
        for (name, path), x in zip(_paths(parameter, parameter, container), symbols):
            if x in used:
                writer.names[x] = name if name == path else writer.free(name)
                unpack.extend([f"{writer.names[x]} = {path}  # {x.shape}"] if name != path else [])
        return parameter

    rest = iter(inputs)
    parameters = [unpacked(name, x, [next(rest) for _ in tree.flatten(x)[0]]) for name, x in zip(_names(f, len(example)), example)]
    value = tree.unflatten(out_structure, outputs)
    if not vjp:
        return Program(writer.source(title, parameters, unpack + writer.lines(calls, outputs), value), writer.constants, title)
    parameters.append(unpacked("g", tree.unflatten(out_structure, seeds), seeds))
    first, second = split(calls, outputs)
    lines = unpack + writer.lines(first + second, results, len(first))
    return Program(writer.source(title, parameters, lines, (value, tree.unflatten(structure, pulled))), writer.constants, title)


def split(calls, outputs):
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
