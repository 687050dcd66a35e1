"""Compiled functions: recorded once for each kind of arguments, run as straight-line NumPy from then on.

A solver calls the same f thousands of times, and each time the engine would write the same tape. `compiled` has two programs instead (see
`program`): one for the value, which also returns what the other needs, the pullback. On a tape they are one record.
"""

import functools

import numpy as np

from .. import tree
from .checks import FLOAT64, as_cotangent, own
from .dispatch import unbox
from .program import Program, is_number, recorded, simplified, split
from .recording import Symbol
from .source import Writer
from .trace import Node, peel
from .transforms import check_structure, vjp_of_list

OBJECT = np.dtype(object)


class compiled:
    """A function that is recorded once for each kind of arguments, and runs as straight-line NumPy from then on.

    Use it wherever f is used, under `vjp`, `grad`, `odeint`, `root`: ``odeint(compiled(f), y0, t, theta)``. Values and derivatives are
    those of f to the last bit (but for the sign of a zero). Inside a further derivative f itself is called.

    Parameters
    ----------
    f : function
        Of arrays, or containers of them, that goes the same way whatever their values. What it closes over it keeps as it was when it
        was recorded: with ``W = np.ones(2); g = compiled(lambda x: W * x)``, and ``g`` called once, ``W = np.zeros(2)`` changes
        nothing for g; ``W[:] = 0.0`` does. What changes belongs into the arguments.

    Raises
    ------
    TypeError
        At the first call with new structures, shapes or dtypes, if f takes a bool, a plain number, an index or a shape from a value, or
        is not the same when it is recorded again: it draws at random, counts, looks at the clock.
    """

    def __init__(self, f):
        functools.update_wrapper(self, f)
        self.f, self.programs, self.last = f, {}, (None, None)

    def __call__(self, *args, **kwargs):
        """Run the program for arguments like these, after recording it if there is none."""
        leaves, structure = tree.flatten((args, kwargs) if kwargs else args)
        kinds = [type(x) for x in leaves]
        if Node not in kinds and not any([kind is np.ndarray and x.dtype is OBJECT for kind, x in zip(kinds, leaves)]):
            program = self._find(leaves, structure, (), bool(kwargs))
            return self.f(*args, **kwargs) if program is None else tree.unflatten(program[2], program[0](*leaves)[0])
        trace, values, parents = peel([unbox(x) if type(x) is np.ndarray and x.dtype is OBJECT else x for x in leaves])
        wanted = tuple([i for i, _ in parents])
        program = self._find(values, structure, wanted, bool(kwargs))
        if program is None:
            return self.f(*args, **kwargs)
        forward, pullback, out_structure, _ = program
        outputs, saved = forward(*values)
        outputs = [np.float64(y) if type(y) is float else y for y in outputs]
        if not all([y.dtype.kind == "f" for y in outputs]):
            return tree.unflatten(out_structure, outputs)

        def backward(g, y, wanted_now, *leaves):
            seeds = [g] if len(outputs) == 1 else cut(g)
            if type(g) is Node:  # a derivative of the pullback is being taken
                return vjp_of_list(self._of(structure, values, wanted, kwargs), [values[i] for i in wanted])[1](seeds)
            return pullback(*seeds, *saved)

        if len(outputs) == 1:
            return tree.unflatten(out_structure, [trace.append(outputs[0], backward, parents, values)])
        cut = tree.cutter(outputs)
        flat = np.concatenate([np.reshape(y, (-1,)) for y in outputs])
        return tree.unflatten(out_structure, cut(trace.append(flat, backward, parents, values)))

    def value_and_pullback(self, primals):
        """Do what `vjp` does for arrays of float64, without a tape; None where it takes one."""
        leaves, structure = tree.flatten(primals)
        if not all([type(x) is np.ndarray and x.dtype is FLOAT64 for x in leaves]):
            return None
        forward, pullback, out_structure, aliased = self._find(leaves, structure, tuple(range(len(leaves))), False)
        outputs, saved = forward(*leaves)
        if aliased:  # the caller may write into the value
            values = [y.copy() if type(y) is np.ndarray else y for y in outputs]
        else:
            values = outputs

        def pull(cotangent):
            seeds, seed_structure = tree.flatten(cotangent)
            check_structure(seed_structure, out_structure)
            seeds = [as_cotangent(g, y) for g, y in zip(seeds, outputs)]
            if any([type(g) is Node for g in seeds]):
                cotangents = vjp_of_list(self._of(structure, leaves, range(len(leaves)), {}), leaves)[1](seeds)
            else:
                cotangents = pullback(*seeds, *saved)
            return tree.unflatten(structure, own(list(cotangents), seeds))

        return tree.unflatten(out_structure, values), pull

    def _of(self, structure, values, wanted, kwargs):
        """Return f as a function of the differentiated leaves, and its value as a list of leaves."""

        def f(*primals):
            leaves = dict(enumerate(values)) | dict(zip(wanted, primals))
            arguments = tree.unflatten(structure, list(leaves.values()))
            return tree.flatten(self._call(arguments, bool(kwargs)))[0]

        return f

    def _call(self, arguments, with_keywords):
        """Call f with what `tree.unflatten` has put together."""
        args, kwargs = arguments if with_keywords else (arguments, {})
        return self.f(*args, **kwargs)

    def _find(self, values, structure, wanted, with_keywords):
        """Return the program for such leaves, recorded if need be; None where f itself must be called."""
        key = structure, wanted, with_keywords, [
            (x.shape, x.dtype) if type(x) is np.ndarray else type(x) if is_number(x) else (type(x), x) for x in values]
        if key == self.last[0]:
            return self.last[1]
        hashed = *key[:3], tuple(key[3])
        if hashed not in self.programs:
            if any([isinstance(x, (Node, Symbol)) for x in values]):  # inside a further derivative, or another program
                return None
            f = lambda *arguments: self._call(arguments, with_keywords)
            self.programs[hashed] = _compile(f, self.f, values, structure, wanted)
        self.last = key, self.programs[hashed]
        return self.programs[hashed]


def _compile(f, named, leaves, structure, wanted):
    """Return the program of the value, that of the pullback, and the structure of the value."""
    inputs, outputs, seeds, pulled, calls, out_structure = recorded(f, leaves, structure)
    calls, results = simplified(calls, [*outputs, *[pulled[i] for i in wanted]])
    outputs, pulled = results[:len(outputs)], results[len(outputs):]
    first, second = split(calls, outputs)
    first_made = {x: call.fresh for call in first for x in call.results}
    made = set(first_made) | {x for x in inputs if type(x) is Symbol}
    read = [x for call in second for x in call.arguments if type(x) is Symbol] + [x for x in pulled if type(x) is Symbol]
    saved = list(dict.fromkeys(x for x in read if x in made))
    writer = Writer(named)
    parameters, cotangents = [writer.free(f"x{i}") for i in range(len(inputs))], [writer.free(f"g{i}") for i in range(len(seeds))]
    writer.names.update((x, name) for x, name in zip([*inputs, *seeds], [*parameters, *cotangents]) if type(x) is Symbol)
    forward = writer.source("value", parameters, writer.lines(first, [*outputs, *saved]), (list(outputs), tuple(saved)))
    forward = Program(forward, writer.constants, "value")
    parameters = [*cotangents, *[writer.names[x] for x in saved]]
    pullback = Program(writer.source("pullback", parameters, writer.lines(second, pulled), pulled), writer.constants, "pullback")
    aliased = any(type(x) is not Symbol or not first_made.get(x) or x in {*saved} for x in outputs)
    return forward.call, pullback.call, out_structure, aliased
