"""Compiled functions: recorded once for each kind of arguments, run as straight-line NumPy from
then on.

A solver calls the same f thousands of times, and each time the engine would write the same tape.
`compiled` has two programs instead (see `program`): one for the value, which also returns what the
other needs, the pullback. On a tape they are one record.
"""

import collections
import functools
import inspect
import linecache
import math
import warnings
import weakref
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import tree
from ..autodiff.checks import FLOAT64, as_cotangent, as_primal, own
from ..autodiff.custom import by_name, written_into
from ..autodiff.node import Node, peel
from ..autodiff.numpy_calls import unbox
from ..autodiff.rules.table import joint
from ..autodiff.transforms import Specialized, check_structure, vjp_of_list
from .program import Program, recorded
from .recording import Symbol
from .signature import PARTS, contents
from .simplify import simplified, split
from .source import Writer

KEPT = 512  # programs of a compiled function: 2 MB of small ones, 90 MB of 100 layers each
THROWN_AWAY = 50  # compiled functions of one code; to record them has taken 0.1 s or more
# of the time, for their first recordings; made in a loss they took a tenth or more, for each of
# many fits of 20 steps a hundredth
TOO_MUCH = 0.05
CHANGES = frozenset({float, np.float16, np.float32, np.float64, np.longdouble, Node, Symbol})
# of a code: [lines of its program, number of compiled functions made, those that are alive, when
# the first was recorded, seconds that it took to record them]
_made: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class Programs(NamedTuple):
    """What is kept for one kind of arguments.

    ``value(*leaves)`` returns the outputs, and what the pullback needs; ``pullback(*seeds,
    *saved)`` the cotangents. ``aliased`` and ``shared`` say that the outputs, and the cotangents,
    may have memory in common with each other, with what was given, or with what is kept.
    """

    value: object
    pullback: object
    structure: object
    floating: bool
    aliased: bool
    shared: bool


class compiled:
    """A function that is recorded once for each kind of arguments, and runs as straight-line NumPy
    from then on.

    Use it wherever f is used, under `vjp`, `grad`, `odeint`, `root`: ``odeint(compiled(f), y0, t,
    theta)``. Values and derivatives are those of the tape to the last bit, but for what
    `simplify.simplified` says, and where float32 meets float64: cotangents pass through in the
    precision of the value. Inside a further derivative f itself is called. While f is recorded
    arrays and numbers, t too, are stand-ins: ask for np.ndim and x.dtype, and not for isinstance.

    Parameters
    ----------
    f : function
        Of arrays, or containers of them, that goes the same way whatever their values. What it
        closes over it keeps as it was when it was recorded: with ``W = np.ones(2); g =
        compiled(lambda x: W * x)``, and ``g`` called once, ``W = np.zeros(2)`` changes nothing for
        g; ``W[:] = 0.0`` does, as long as it is W itself that meets the arguments, and not ``2 *
        W``. So it is with the attributes of an object, if f is one or a method of one. What changes
        belongs into the arguments: arrays and floating-point numbers. Each other value of a whole
        number or a string is a program of its own. So is each function, with its defaults, what it
        closes over and what `functools.partial` holds, as these are at the call; but its globals
        are kept. The 512 programs that were used last stay in memory.

    Raises
    ------
    TypeError
        At the first call with new structures, shapes or dtypes, if f takes a bool, a plain number,
        an index or a shape from a value, writes into an array, or is not the same when it is
        recorded again: it draws at random, counts, looks at the clock. If an argument is, or holds,
        an object that could change unseen: a method of an object, a class of yours, a function that
        closes over an array.
    RuntimeWarning
        Once, if compiled functions of the same code are made, used and thrown away many times, as
        by ``odeint(compiled(f), ...)`` in a loss: each of them records f. Make one, outside. (Where
        each is used so often that to record it takes little of the time, nothing is said.)

    Notes
    -----
    Several threads may call it. A copy, and what pickle makes of it in another process, has the
    same f and records it again. For pickle f must be a function at the top of a module.
    """

    def __init__(self, f):
        if not callable(f):
            raise TypeError(f"compiled: f must be a function; got {f!r:.60}")
        functools.update_wrapper(self, f)
        self.f, self.programs, self.last = f, collections.OrderedDict(), {}

    def __reduce__(self):
        return by_name(self) or (type(self), (self.f,))

    def __call__(self, *args, **kwargs):
        """Run the program for arguments like these, after recording it if there is none."""
        leaves, structure = tree.flatten((args, kwargs) if kwargs else args)
        found = self._find(leaves, structure, (), bool(kwargs))
        if found is not None:
            outputs, _ = found.value(*leaves)
            return tree.unflatten(found.structure, _copies(outputs) if found.aliased else outputs)
        tape, values, wanted, parents = peel(
            [unbox(x) if type(x) is ndarray and x.dtype.hasobject else x for x in leaves]
        )
        kind = structure, wanted, bool(kwargs)
        made = parents and self.vjp_of_leaves(values, *kind)
        if not made:
            return self.f(*args, **kwargs)
        found, outputs, pull = made
        cut = tree.cutter(outputs) if len(outputs) > 1 else lambda y: [y]

        def vjps(g, y, wanted, *operands):
            again = written_into(values, operands)
            return (self.vjp_of_leaves(operands, *kind)[2] if again else pull)(cut(g))

        flat = outputs[0]
        if len(outputs) > 1:
            flat = np.concatenate([np.reshape(y, (-1,)) for y in outputs])
        outputs = cut(Node(flat, tape, tape.record(joint(vjps), wanted, parents, flat, values)))
        return tree.unflatten(found.structure, outputs)

    def value_and_pullback(self, primals):
        """Do what `vjp` does, without a tape; None where it takes one."""
        leaves, structure = tree.flatten(primals)
        leaves = [x if type(x) is ndarray and x.dtype is FLOAT64 else as_primal(x) for x in leaves]
        made = self.vjp_of_leaves(leaves, structure, tuple(range(len(leaves))))
        if not made:
            return None
        found, outputs, pull = made
        values = _copies(outputs) if found.aliased else outputs

        def pullback(cotangent):
            seeds, seed_structure = tree.flatten(cotangent)
            check_structure(seed_structure, found.structure)
            seeds = [as_cotangent(g, y) for g, y in zip(seeds, outputs)]
            cotangents = pull(seeds)
            return tree.unflatten(
                structure, own(list(cotangents), seeds) if found.shared else cotangents
            )

        return tree.unflatten(found.structure, values), pullback

    def specialized(self, leaves, structure, wanted=()):
        """Return the programs for arguments like these; see `transforms.specialized`."""
        found = self._find(leaves, structure, wanted, False)
        if found is None or (wanted and not found.floating):
            return None

        def vjp(*leaves):
            outputs, saved = found.value(*leaves)
            outputs = [np.float64(y) if type(y) is float else y for y in outputs]

            def pull(seeds):
                seeds = [
                    g if g.dtype == y.dtype else g.astype(y.dtype) for g, y in zip(seeds, outputs)
                ]
                if Node in [type(g) for g in seeds]:  # a derivative of the pullback is being taken
                    f = self._of(structure, leaves, wanted, False)
                    return vjp_of_list(f, [leaves[i] for i in wanted])[1](seeds)
                return found.pullback(*seeds, *saved)

            return outputs, pull

        owned = not (found.aliased or found.shared)
        return Specialized(lambda *leaves: found.value(*leaves)[0], vjp, found.structure, owned)

    def vjp_of_leaves(self, leaves, structure, wanted, with_keywords=False):
        """Do what `vjp_of_list` does, for some leaves of all arguments, without a tape; None where
        it takes one.

        Returns
        -------
        found : Programs
        outputs : list of arrays
        pull : function
            From a list of their cotangents to the cotangents of the wanted leaves.
        """
        found = self._find(leaves, structure, wanted, with_keywords)
        if found is None or not found.floating:
            return None
        outputs, saved = found.value(*leaves)
        outputs = [np.float64(y) if type(y) is float else y for y in outputs]

        def pull(seeds):
            seeds = [g if g.dtype == y.dtype else g.astype(y.dtype) for g, y in zip(seeds, outputs)]
            if Node in [type(g) for g in seeds]:  # a derivative of the pullback is being taken
                return vjp_of_list(
                    self._of(structure, leaves, wanted, with_keywords), [leaves[i] for i in wanted]
                )[1](seeds)
            return found.pullback(*seeds, *saved)

        return found, outputs, pull

    def _of(self, structure, values, wanted, with_keywords):
        """Return f as a function of the wanted leaves, and its value as a list of leaves."""

        def f(*primals):
            leaves = dict(enumerate(values)) | dict(zip(wanted, primals))
            return tree.flatten(
                self._call(tree.unflatten(structure, list(leaves.values())), with_keywords)
            )[0]

        return f

    def _call(self, arguments, with_keywords):
        """Call f with what `tree.unflatten` has put together."""
        args, kwargs = arguments if with_keywords else (arguments, {})
        return self.f(*args, **kwargs)

    def _find(self, leaves, structure, wanted, with_keywords):
        """Return the programs for such leaves, recorded if need be; None where one is traced, and f
        itself must be called.
        """
        key = (
            structure,
            with_keywords,
            [(x.shape, x.dtype) if type(x) is ndarray else _kind(x) for x in leaves],
        )
        last = self.last.get(wanted)
        if (
            last and key == last[0] and (not last[1] or tree.orders(structure) == last[1])
        ):  # the usual case: quicker than a hash
            return last[2]
        if any(
            [
                isinstance(x, (Node, Symbol)) or (type(x) is ndarray and x.dtype.hasobject)
                for x in leaves
            ]
        ):
            return None
        orders = tree.orders(structure)  # f may loop over the items of a dict
        names = tuple([(type(name), repr(name)) for order in orders for name in order])  # 1 == True
        own = tuple([contents(x) for x in tree.belongings(structure)])
        hashed = structure, orders, names, own, with_keywords, wanted, tuple(key[2])
        found = self.programs.pop(hashed, None)
        if found is None:
            call = lambda *arguments: self._call(arguments, with_keywords)
            began = perf_counter()
            found = _compile(self.f, call, leaves, structure, wanted)
            if not self.programs:
                _count(self, found, began)
        self.programs[hashed] = found  # at the end, as the one used last
        if len(self.programs) > KEPT:
            self.programs.popitem(last=False)
            self.last.clear()  # which may hold it
        if not own and all([kind is str for kind, _ in names]):
            self.last[wanted] = key, orders, found
        return found


PARTS[compiled] = lambda x: (x.f,)


def _kind(x):
    """Return what of a leaf that is not an array is part of the signature: all of it, unless it is
    a floating-point number.
    """
    if type(x) in CHANGES:
        return type(x)
    if isinstance(x, ndarray):
        return type(x), x.shape, x.dtype
    return contents(x)


def _count(made, found, began):
    """Count the compiled functions of one code and program; warn, once, if many cost time for
    nothing.
    """
    code, lines = _code(made.f), linecache.getlines(found.value.__code__.co_filename)
    if code is None:
        return
    if code not in _made or _made[code][0] != lines:
        _made[code] = [lines, 0, weakref.WeakSet(), began, 0.0]
    count, now = _made[code], perf_counter()
    count[1] += 1
    count[2].add(made)
    count[4] += now - began
    if count[1] - len(count[2]) < THROWN_AWAY:
        return
    share = count[4] / (now - count[3])
    count[1], count[3], count[4] = len(count[2]), now, 0.0
    if share >= TOO_MUCH:
        count[1] = -math.inf
        message = (
            f"compiled: {code.co_name} has been recorded {THROWN_AWAY} times, always the "
            "same, by compiled functions that were thrown away. The first recordings alone "
            f"took {share:.0%} of the time since then; make compiled(f) once, outside the "
            "loss, and pass what changes as arguments"
        )
        warnings.warn_explicit(message, RuntimeWarning, code.co_filename, code.co_firstlineno)


def _code(f):
    """Return the code that a user has written for f, if it is to be found."""
    while isinstance(f, functools.partial):
        f = f.func
    f = inspect.unwrap(f)
    return getattr(f if hasattr(f, "__code__") else type(f).__call__, "__code__", None)


def _copies(outputs):
    """Return arrays that the caller may write into, and numbers for those without an axis, as
    NumPy's own functions do.
    """
    return [y.copy()[()] if isinstance(y, ndarray) else y for y in outputs]


def _compile(f, call, leaves, structure, wanted):
    """Record f, by ``call``, and write down its value and its pullback to the wanted leaves."""
    inputs, outputs, seeds, pulled, calls, out_structure = recorded(call, leaves, structure, f)
    calls, results = simplified(calls, [*outputs, *[pulled[i] for i in wanted]])
    outputs, pulled = results[: len(outputs)], results[len(outputs) :]
    first, second = split(calls, outputs)
    made = {x for call in first for x in call.results} | {x for x in inputs if type(x) is Symbol}
    read = [
        x for x in [*[x for call in second for x in call.arguments], *pulled] if type(x) is Symbol
    ]
    saved = list(dict.fromkeys(x for x in read if x in made))
    writer = Writer(f)
    writer.taken |= {"value", "pullback"}
    parameters, cotangents = (
        [writer.free(f"x{i}") for i in range(len(inputs))],
        [writer.free(f"g{i}") for i in range(len(seeds))],
    )
    writer.names.update(
        (x, name)
        for x, name in zip([*inputs, *seeds], [*parameters, *cotangents])
        if type(x) is Symbol
    )
    value = writer.source(
        "value", parameters, writer.lines(first, [*outputs, *saved]), (list(outputs), tuple(saved))
    )
    value = Program(value, writer.constants, "value")
    parameters = [*cotangents, *[writer.names[x] for x in saved]]
    pullback = Program(
        writer.source("pullback", parameters, writer.lines(second, pulled), pulled),
        writer.constants,
        "pullback",
    )
    floating = all([np.result_type(y).kind == "f" for y in outputs])
    seen = {
        *saved,
        *[x for call in first if not call.fresh for x in call.arguments if type(x) is Symbol],
    }  # or views of it
    return Programs(
        value.call,
        pullback.call,
        out_structure,
        floating,
        not _own(outputs, first) or not seen.isdisjoint(outputs),
        not _own(pulled, second),
    )


def _own(results, calls):
    """Whether all of the results are arrays that these calls have made anew, each another one."""
    fresh = {x for call in calls if call.fresh for x in call.results}
    return len({*results}) == len(results) and all(
        [type(x) is Symbol and x in fresh for x in results]
    )
