"""A right-hand side f(t, y, *args) as a program on flat vectors, bound to its args once per solve.

A solver keeps its state in one flat vector, and each slope in a row of a matrix. The program reads
the one and writes into the other. What depends on the args alone is computed when they are bound:

    def bind(x2):
        v1 = np.exp(x2)  # ()

        def field(t, y, k):
            x1 = y.reshape((20, 2))
            v2 = x1 * x1  # (20, 2)
            np.multiply(v1, v2, out=k.reshape((20, 2)))  # (20, 2)

        return field

Time of a plain solve, and of a gradient by Algorithm 2, whose right-hand side is such a field too,
as a part of that with a program of the value and one of the pullback (dopri5, NumPy 2.4, one core):

                                                               solve    gradient
    tanh((y*y*y) @ W1 + b1) @ W2 + b2, y (20, 2), 50 hidden    0.80     0.78
    an epidemic, two numbers                                   0.62     0.48
"""

import collections
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .numbers import is_reshape
from .program import Program
from .recording import Call
from .source import Writer
from .symbol import Symbol, is_elementwise
from .twice import is_number

INDENT = " " * 4


class Piece(NamedTuple):
    """An array or a number, and where it lies in a flat vector: from ``start`` on, in C order."""

    x: Any
    start: int

    def place(self, vector: str, n: int) -> str:
        """Write that part of a vector with n components, in the shape of x."""
        shape = np.shape(self.x)
        if not shape:
            return f"{vector}[{self.start}]"
        end = self.start + math.prod(shape)
        part = vector if (self.start, end) == (0, n) else f"{vector}[{self.start}:{end}]"
        return part if len(shape) == 1 else f"{part}.reshape({shape})"


def binder(writer: Writer, inputs: list, calls: list[Call], outputs: list) -> Callable | None:
    """Write the program of a right-hand side.

    Parameters
    ----------
    writer : Writer
    inputs : list
        The leaves of the arguments: t, those of the state, and others.
    calls, outputs : list
        What is left of its recording.

    Returns
    -------
    function or None
        ``bind(*others)``, compiled when it is first called, returns ``field(t, y, k)``. None where
        the outputs are not like the leaves of the state, or not all of one dtype.
    """
    count = 1 + len(outputs)
    state = inputs[1:count]
    if not _alike(state, outputs):
        return None
    writer.taken |= {"bind", "field", "t", "y", "k"}
    names = [writer.free(f"x{i}") for i in range(len(inputs))]
    writer.names.update([(x, name) for x, name in zip(inputs, names) if type(x) is Symbol])
    writer.names[inputs[0]] = "t"
    calls, pieces = _cut(calls, _end_to_end(outputs)[0])
    outer, inner = _split(calls, [inputs[0], *state])
    lines = writer.lines(outer, [*_symbols(inner), *[piece.x for piece in pieces]])
    body = [INDENT + line for line in _body(writer, state, inner, pieces)]
    lines += ["", "def field(t, y, k):", *body, "", "return field"]
    source = writer.source("bind", names[count:], lines)
    program = functools.cache(lambda: Program(source, writer.constants, "bind"))
    return lambda *others: program().call(*others)


def _body(writer, state, calls, pieces):
    """Write the lines that read the state from y, make these calls, and write the pieces into k."""
    read, n = _end_to_end(state)
    uses = _uses(calls, pieces)
    lines = [f"{writer.names[p.x]} = {p.place('y', n)}  # {p.x.shape}" for p in read if uses[p.x]]
    # a result that nothing else needs is made in its place in k, the others are copied there
    direct = {call.results[0] for call in calls if _takes_out(call) and uses[call.results[0]] == 1}
    outs = {p.x: p.place("k", n) for p in pieces if _is_in(p.x, direct)}
    copied = [p for p in pieces if not _is_in(p.x, direct)]
    lines += writer.lines(calls, [p.x for p in pieces], outs=outs)
    for piece in copied:
        place = piece.place("k", n)
        whole = "[:]" if np.ndim(piece.x) and not place.endswith("]") else ""
        lines.append(f"{place}{whole} = {writer.text(piece.x)}")
    return lines


def _alike(state, outputs):
    """Whether the outputs are like the leaves of the state, and all have one dtype."""
    arrays = all([type(x) is Symbol and isinstance(x.value, np.ndarray) for x in state])
    if not arrays or not state or not all([is_number(x) or type(x) is Symbol for x in outputs]):
        return False
    dtypes = {getattr(x, "dtype", state[0].dtype) for x in [*state, *outputs]}
    return len(dtypes) == 1 and [x.shape for x in state] == [*map(np.shape, outputs)]


def _end_to_end(leaves):
    """Return the pieces of a vector in which the leaves lie end to end, and its length."""
    pieces, end = [], 0
    for x in leaves:
        pieces.append(Piece(x, end))
        end += math.prod(np.shape(x))
    return pieces, end


def _cut(calls, pieces):
    """Leave out the calls that only put the outputs together, and return the pieces of these.

    A piece that np.concatenate has made becomes those that it was made of, and so on.
    """
    maker = {call.results[0]: call for call in calls if len(call.results) == 1}
    uses, done, left_out = _uses(calls, pieces), [], set()
    todo = pieces[::-1]
    while todo:
        x, start = todo.pop()
        parts = _parts(maker[x]) if _is_in(x, maker) and uses[x] == 1 else None
        if parts is None:
            done.append(Piece(x, start))
            continue
        left_out.add(x)
        todo += [Piece(part, start + at) for part, at in _end_to_end(parts)[0]][::-1]
    return [call for call in calls if not _is_in(call.results[0], left_out)], done


def _parts(call):
    """Return what a call lays end to end, in C order; None if it does something else."""
    args, kwargs = call.unpacked()
    y = call.results[0]
    if is_reshape(call):
        return args[:1]
    whole = len(args) == 1 and kwargs in ({}, {"axis": 0}) and type(args[0]) in (list, tuple)
    if not whole or y.ndim != 1 or call.function not in (np.array, np.concatenate):
        return None
    return args[0] if {np.ndim(x) for x in args[0]} <= {call.function is np.concatenate} else None


def _split(calls, changing):
    """Return the calls that depend on none of these Symbols, and the others."""
    changing, outer, inner = {x for x in changing if type(x) is Symbol}, [], []
    for call in calls:
        if changing.isdisjoint(_symbols([call])):
            outer.append(call)
        else:
            changing.update(call.results)
            inner.append(call)
    return outer, inner


def _takes_out(call):
    """Whether a call can write the same numbers into an array that it is given.

    A sum into an array with several axes might be taken in another order.
    """
    (y, *more), f = call.results, call.function
    if more or not y.ndim:
        return False
    if f == np.add.reduce:
        return y.ndim == 1
    return call.structure is None and (is_elementwise(f) or f is np.matmul)


def _symbols(calls):
    return [x for call in calls for x in call.arguments if type(x) is Symbol]


def _uses(calls, pieces):
    """Count how often each Symbol is used."""
    return collections.Counter([*_symbols(calls), *[x for x, _ in pieces if type(x) is Symbol]])


def _is_in(x, symbols):
    return type(x) is Symbol and x in symbols
