"""Programs: a function and its pullback as straight-line NumPy, recorded once, to be read, and run
at the speed of NumPy by hand.

A solver calls the same f thousands of times, and each time the engine writes the same tape.
`program` writes it down for good:

    >>> print(program(lambda x: np.sin(x) * x, np.ones(2), vjp=True).source)

How it is recorded, twice, to see whether it is the same, is here; what is left out, in `simplify`;
how it is written, in `source`.
"""

import builtins
import functools
import inspect
import itertools
import keyword
import linecache
import re
import weakref

import numpy as np

from .. import tree
from ..autodiff.checks import as_primal
from ..autodiff.lines import say_line
from ..autodiff.node import Node
from ..autodiff.rules.table import name_of
from ..autodiff.transforms import _close, _open
from .recording import OR_WITHOUT, Recording, Symbol, equal
from .simplify import simplified, split
from .source import Writer, with_constants


class Program:
    """A function as straight-line NumPy.

    Attributes
    ----------
    source : str
        Runs where there is nothing but NumPy; the arrays that the function closes over are written
        into it, as they are now.
    constants : dict
        The arrays that the function closes over, by the names that the source has for them: the
        arrays themselves, not copies.
    """

    def __init__(self, source, constants, name):
        self._without_constants, self.constants, self._name = source, constants, name
        filename = f"<program of {name}, {next(_numbers)}>"
        linecache.cache[filename] = (
            len(source),
            None,
            source.splitlines(True),
            filename,
        )  # for tracebacks
        namespace = {}
        exec(builtins.compile(source, filename, "exec"), namespace)
        self.call = namespace[name]
        namespace.update(constants)
        weakref.finalize(self.call, linecache.cache.pop, filename, None)

    @functools.cached_property
    def source(self):
        """All of it."""
        return with_constants(self._without_constants, self.constants)

    def __call__(self, *args):
        """Run it."""
        return self.call(*args)

    def __repr__(self):
        return self.source

    def __reduce__(self):
        return type(self), (self._without_constants, self.constants, self._name)


_numbers = itertools.count(1)


def is_number(x):
    """Whether a leaf can change from call to call; what is not an array or a float is part of the
    signature.
    """
    return isinstance(x, (np.ndarray, np.floating, float))


def _record(f, leaves, structure, named):
    """Record f at these leaves, and its pullback; ``named`` is what error messages call it.

    Returns
    -------
    inputs, outputs, seeds, pulled : lists of Symbols and constants
        One cotangent of ``pulled`` for each input of floating-point numbers, in a dict by the
        number of the leaf; none for Python's own, which `vjp` makes NumPy's before it
        differentiates.
    calls : Recording
    out_structure
    """
    recording = Recording()
    inputs = [Symbol(x, recording) if is_number(x) else x for x in leaves]
    numbers = [
        i
        for i, x in enumerate(inputs)
        if type(x) is Symbol and x.dtype.kind == "f" and type(x.value) is not float
    ]
    (tape, nodes), args = _open([inputs[i] for i in numbers]), list(inputs)
    for i, node in zip(numbers, nodes):
        args[i] = node
    try:
        found, out_structure = tree.flatten(f(*tree.unflatten(structure, args)))
        outputs, pull = _close(tape, found, [inputs[i] for i in numbers])
        seeds = [Symbol(np.ones(np.shape(y), y.dtype)[()], recording) for y in outputs]
        pulled = pull(seeds)
    except (TypeError, ValueError) as error:
        if recording.refusal:
            raise recording.refusal from None
        say_line(error, f". Choose with np.where{OR_WITHOUT}")
        raise
    finally:
        tape.close()
    if recording.refusal:  # f has caught the error
        raise recording.refusal
    if any(type(y) is Node for y in outputs):
        raise TypeError(
            f"{named}: closes over a value that is being differentiated, whose gradient would be"
            " lost; pass that value as an argument"
        )
    if not all([equal(x, copy) for x, copy in recording.met.values()]):
        raise TypeError(
            f"{named}: writes into an array after it has been used, which a program would have as"
            " it is at the end; make a new one each time"
        )
    # a constant that is returned is copied at each call: the caller may write into it
    outputs, pulled = (
        [recording(np.array, (y,), {}) if isinstance(y, np.ndarray) else y for y in part]
        for part in (outputs, pulled)
    )
    recording.over = True
    return inputs, outputs, seeds, dict(zip(numbers, pulled)), recording, out_structure


@np.errstate(all="ignore")
def recorded(f, leaves, structure, named):
    """Record twice, and refuse what is not the same both times: the calls, their arguments, what is
    returned.
    """
    named = getattr(named, "__name__", repr(named))
    first = _record(f, leaves, structure, named)
    second = _record(f, leaves, structure, named)
    numbers = {}  # of the symbols, in the order in which they were made
    for inputs, _, seeds, _, calls, _ in (first, second):
        made = [*inputs, *seeds, *[y for call in calls for y in call.results]]
        numbers.update((x, i) for i, x in enumerate(made) if type(x) is Symbol)

    def compare(what, xs, ys):
        for x, y in zip(xs, ys):
            _, x = first[4].met.get(id(x), (x, x))  # as it was, if f has written into it since
            if Symbol in (type(x), type(y)):
                same = type(x) is type(y) and numbers[x] == numbers[y]
            else:
                same = equal(x, y)
            if not same:
                x, y = [
                    "a value that it computed" if type(z) is Symbol else f"the constant {z!r:.40}"
                    for z in (x, y)
                ]
                raise TypeError(
                    f"{named}: recorded twice, it {what} {x} and then"
                    f" {y if y != x else 'another one'}. A program would keep the first for ever:"
                    " let a random draw, a counter or the time be an argument"
                )

    for a, b in itertools.zip_longest(first[4], second[4]):
        if a is None or b is None or a.function != b.function or a.structure != b.structure:
            a, b = [name_of(call.function) if call else "nothing more" for call in (a, b)]
            raise TypeError(
                f"{named}: recorded twice, it did not do the same: {a} and then"
                f" {b if a != b else 'again, otherwise'}"
            )
        compare(f"gave {name_of(a.function)}", a.arguments, b.arguments)
    if first[5] != second[5]:
        raise TypeError(
            f"{named}: recorded twice, it returned {tree.describe(first[5])} and then "
            f"{tree.describe(second[5])}"
        )
    compare("returned", first[1], second[1])
    return first


def program(f, *example, vjp=False):
    """Record f and write it down as straight-line NumPy, for arguments of the structure, shapes and
    dtypes of the example.

    Parameters
    ----------
    f : function
    *example : arrays, or containers of arrays
    vjp : bool
        With True the program has one more argument, g, the cotangent of the value, and returns
        ``(value, cotangents)``, one cotangent for each argument. As for `tinyode.vjp`, Python's
        numbers stand for NumPy's of float64 then.

    Returns
    -------
    Program
        To be called with arguments of the same structure, shapes and dtypes, which are not checked.
        What is not an array or a float is kept as it is in the example. The numbers are those of
        the tape to the last bit, but for what `simplified` says. Results may share memory, as views
        do; containers of other kinds become tuples and dicts.

    Raises
    ------
    TypeError
        If f takes a bool, a plain number, an index or a shape from a value, and so may go another
        way with other values; if it writes into an array; or if it is not the same when it is
        recorded again: it draws at random, counts, looks at the clock.
    ValueError
        If containers are nested deeper than Python can read: about 200 levels.
    """
    if not callable(f):
        raise TypeError(f"program: f must be a function; got {f!r:.60}")
    leaves, structure = tree.flatten(example)
    leaves = [as_primal(x) for x in leaves] if vjp else leaves
    made = recorded(f, leaves, structure, f)
    try:
        return _written(f, example, structure, vjp, *made)
    except (RecursionError, SyntaxError):  # too many brackets
        raise ValueError(f"program: {tree.TOO_DEEP}") from None


def _written(f, example, structure, vjp, inputs, outputs, seeds, pulled, calls, out_structure):
    """Return the `Program` of what has been recorded."""
    results = [*outputs, *pulled.values()] if vjp else outputs
    calls, results = simplified(calls, results)
    outputs, pulled = results[: len(outputs)], results[len(outputs) :]
    writer, unpack = Writer(f), []
    title = getattr(f, "__name__", "")
    title = title if title.isidentifier() and not keyword.iskeyword(title) else "f"
    used = {x for call in calls for x in call.arguments if type(x) is Symbol}.union(
        x for x in results if type(x) is Symbol
    )

    def unpacked(parameter, container, symbols):
        """Name the leaves of an argument, and write lines for those that are in a container."""
        for (name, path), x in zip(_paths(parameter, parameter, container), symbols):
            if type(x) is Symbol and x in used:
                writer.names[x] = name if name == path else writer.free(name)
                unpack.extend([f"{writer.names[x]} = {path}  # {x.shape}"] if name != path else [])

    rest, value = iter(inputs), tree.unflatten(out_structure, outputs)
    parameters = [writer.free(name) for name in _names(f, len(example))]
    if vjp:
        parameters.append(writer.free("g"))
    writer.taken.add(title)
    for parameter, x in zip(parameters, example):
        unpacked(parameter, x, [next(rest) for _ in tree.flatten(x)[0]])
    if not vjp:
        return Program(
            writer.source(title, parameters, unpack + writer.lines(calls, outputs), value),
            writer.constants,
            title,
        )
    unpacked(parameters[-1], tree.unflatten(out_structure, seeds), seeds)
    first, second = split(calls, outputs)
    lines = unpack + writer.lines(first + second, results, len(first))
    return Program(
        writer.source(title, parameters, lines, (value, tree.unflatten(structure, pulled))),
        writer.constants,
        title,
    )


def _names(f, n):
    """Return f's own names for its first n arguments; x0, x1, ... where it does not tell."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except ValueError:  # it is written in C
        return [f"x{i}" for i in range(n)]
    names = []
    for parameter in parameters:
        many = parameter.kind is parameter.VAR_POSITIONAL
        names += (
            [f"{parameter.name}{i}" for i in range(n - len(names))] if many else [parameter.name]
        )
    return names[:n]


def _paths(name, path, x):
    """Yield a name and an expression for each leaf of a container."""
    if isinstance(x, dict):
        for key in sorted(x):
            yield from _paths(re.sub(r"\W", "_", f"{name}_{key}"), f"{path}[{key!r}]", x[key])
    elif isinstance(x, (tuple, list)):
        for i, item in enumerate(x):
            yield from _paths(f"{name}_{i}", f"{path}[{i}]", item)
    else:
        yield name, path
