"""Compiled functions: recorded at the first call, run as straight-line NumPy from then on.

    >>> f = compiled(lambda x: np.sin(x) * x)
    >>> f(np.ones(2))                    # records the lambda, which is called twice for that
    >>> f(np.zeros(2))                   # runs the program; the lambda is not called
    >>> vjp(f, np.ones(2))               # records it with its pullback
    >>> f(np.ones(3))                    # another shape: records it anew

What decides which program is run is the *cache key*: structure, shapes and dtypes of the arguments,
the contents of constants among them (see `constants`), and which of the arguments a derivative is
wanted for. For each key there are two programs, ``value`` and ``pullback``. The first returns the
outputs and the *saved* arrays, which are those that the second needs.

A compiled function hands its programs to whoever asks, by the method `__tinyode_specialized__`, as
`tinyode.autodiff.specialized` describes it. On a tape, a call of one is a single record.
"""

import collections
import copy
import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np
from numpy import ndarray

from .. import tree
from ..autodiff.custom import by_name, written_into
from ..autodiff.node import Node, peel
from ..autodiff.numpy_calls import unbox
from ..autodiff.rules.table import joint
from ..autodiff.specialized import Around, Specialized
from ..autodiff.transforms import vjp_of_list
from ..containers import belongings
from ..containers import orders as orders_of
from . import thrown_away
from .constants import PARTS, contents
from .field import binder
from .numbers import taken_apart
from .program import Program
from .simplify import simplified, split
from .source import Writer
from .symbol import Symbol
from .twice import recorded

P = ParamSpec("P")
R = TypeVar("R")

KEPT = 512  # programs of one compiled function: 2 MB of small ones, 90 MB of 100 layers each
NEW = object()  # in place of programs that are not there yet
# types of numbers that may differ from call to call, and of what makes no program
BY_TYPE = frozenset({float, np.float16, np.float32, np.float64, np.longdouble, Node, Symbol})


class compiled(Generic[P, R]):
    """A function that is recorded once, and runs as straight-line NumPy from then on.

    Use it wherever f is used, under `vjp`, `grad`, `odeint`, `root`: ``odeint(compiled(f), y0, t,
    theta)``. Values and derivatives are those of the tape to the last bit, with three exceptions:
    what `simplify.simplified` says; where float32 meets float64, cotangents pass through in the
    precision of the value; and a product of matrices may be rounded otherwise, where one is an
    argument that was contiguous when f was recorded, and is not now. Inside a further derivative f
    itself is called. While f is recorded its arrays and numbers, t too, are stand-ins: ask for
    np.ndim and x.dtype, and not for isinstance.

    Parameters
    ----------
    f : function
        Of arrays, or containers of them. It must do the same operations whatever their values. What
        it closes over is kept as it was when f was recorded. For example, let ``W = np.ones(2)``,
        ``g = compiled(lambda x: W * x)``, and call ``g`` once. Then ``W = np.zeros(2)`` changes
        nothing for g. But ``W[:] = 0.0`` does, if W itself meets the arguments, and not ``2 * W``.
        The same holds for the attributes of an object, if f is one or a method of one. What changes
        belongs in the arguments, as arrays and floating-point numbers. Each other value of a whole
        number or a string gets a program of its own. So does each function, with its defaults, what
        it closes over and what `functools.partial` holds, as these are at the call; but its globals
        are kept. The 512 programs that were used last stay in memory.

    Raises
    ------
    TypeError
        At the first call with new structures, shapes or dtypes: if f takes a bool, a plain number,
        an index or a shape from a value; if it writes into an array; or if it is not the same when
        it is recorded again, because it draws at random, counts, or looks at the clock. Also if an
        argument is, or holds, an object that could change unseen: a method of an object, a class of
        yours, a function that closes over an array.
    RuntimeWarning
        Once, if compiled functions of the same code are made, used and thrown away many times, as
        by ``odeint(compiled(f), ...)`` in a loss: each of them records f. Make one, outside the
        loss. (Where each is used so often that recording takes little of the time, nothing is
        said.)

    Notes
    -----
    Several threads may call it. A copy, and what pickle makes of it in another process, has the
    same f and records it again. For pickle f must be a function at the top of a module.
    """

    def __init__(self, f: Callable[P, R]) -> None:
        if not callable(f):
            raise TypeError(f"compiled: f must be a function; got {f!r:.60}")
        functools.update_wrapper(self, f)
        self.f = f
        self.programs: collections.OrderedDict = collections.OrderedDict()  # by the cache key
        self.last: dict = {}  # by what is wanted: part of the key that was used last, and its find

    def __reduce__(self):
        return by_name(self) or (type(self), (self.f,))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the program for arguments like these, after recording it if there is none."""
        leaves, structure = tree.flatten((args, kwargs) if kwargs else args)
        found = self._find(leaves, structure, (), bool(kwargs))
        if found is None:
            return self._on_tape(leaves, structure, args, kwargs)
        outputs = found.value(*leaves)
        return tree.unflatten(found.structure, outputs if found.owned else _copies(outputs))

    def __tinyode_specialized__(
        self, leaves: list, structure: Any, wanted: tuple = (), around: Around | None = None
    ) -> Specialized | None:
        """Offer the programs for arguments like these; see `autodiff.specialized`."""
        if around is None:
            return self._find(leaves, structure, wanted, False)
        if any([_may_be_traced(x) for x in leaves]):
            return None
        key = structure, False, [_kind(x) for x in leaves]
        return self._look_up(leaves, key, wanted, around)

    def _on_tape(self, leaves, structure, args, kwargs):
        """Run the programs where an argument is traced, as one record; f itself if they cannot."""
        leaves = [unbox(x) if type(x) is ndarray and x.dtype.hasobject else x for x in leaves]
        tape, values, wanted, parents = peel(leaves)
        found = self._find(values, structure, wanted, bool(kwargs)) if wanted else None
        if found is None:
            return self.f(*args, **kwargs)
        outputs, pull = found.vjp(*values)
        cut = tree.cutter(outputs) if len(outputs) > 1 else lambda y: [y]

        def vjps(g, y, wanted, *operands):
            again = written_into(values, operands)
            return (found.vjp(*operands)[1] if again else pull)(cut(g))

        flat = outputs[0]
        if len(outputs) > 1:
            flat = np.concatenate([np.reshape(y, (-1,)) for y in outputs])
        node = Node(flat, tape, tape.record(joint(vjps), wanted, parents, flat, values))
        return tree.unflatten(found.structure, cut(node))

    def _find(self, leaves, structure, wanted, with_keywords):
        """Return the programs for such leaves, recorded if need be.

        None where f itself must be called: a leaf is traced, or a derivative is wanted of outputs
        that have none. ``structure`` is that of ``(args, kwargs)`` with keywords, else of ``args``.
        """
        kinds = [(x.shape, x.dtype) if type(x) is ndarray else _kind(x) for x in leaves]
        key = structure, with_keywords, kinds
        last = self.last.get(wanted)
        if last and key == last[0] and (not last[1] or orders_of(structure) == last[1]):
            return last[2]  # the usual case: quicker than a hash
        if any([_may_be_traced(x) for x in leaves]):
            return None
        return self._look_up(leaves, key, wanted)

    def _look_up(self, leaves, key, wanted, around=None):
        """Return the programs for the whole cache key, of which ``key`` is the part that is cheap
        to compare; those of a function around this one, if it is given.
        """
        structure, with_keywords, kinds = key
        orders = orders_of(structure)  # f may loop over the items of a dict
        names = tuple([(type(name), repr(name)) for order in orders for name in order])  # 1 == True
        own = tuple([contents(x) for x in belongings(structure)])
        which = around and (around.function.__code__, around.key)
        cache_key = structure, orders, names, own, with_keywords, wanted, tuple(kinds), which
        found = self.programs.pop(cache_key, NEW)
        if found is NEW:
            began = thrown_away.perf_counter()
            f = around or self.f
            found, value = _compile(f, leaves, structure, wanted, with_keywords)
            if not self.programs:
                thrown_away.count(self, value, began)
            else:
                thrown_away.spend(self, began)
        self.programs[cache_key] = found  # at the end, as the one used last
        if len(self.programs) > KEPT:
            self.programs.popitem(last=False)
            self.last.clear()  # which may hold it
        if around is None and not own and all([kind is str for kind, _ in names]):
            self.last[wanted] = key, orders, found
        return found


PARTS[compiled] = lambda x: (x.f,)


def _kind(x):
    """Return what the cache key has of a leaf that is not an array.

    Of a floating-point number that is its type, of a constant its contents.
    """
    if type(x) in BY_TYPE:
        return type(x)
    if isinstance(x, ndarray):
        return type(x), x.shape, x.dtype
    return contents(x)


def _may_be_traced(x):
    """Whether a leaf is a stand-in, or an array of objects, which may be such."""
    return isinstance(x, (Node, Symbol)) or (type(x) is ndarray and x.dtype.hasobject)


def _copies(outputs):
    """Return arrays that the caller may write into; for one without an axis a number."""
    return [y.copy()[()] if isinstance(y, ndarray) else y for y in outputs]


def _compile(f, leaves, structure, wanted, with_keywords):
    """Record f, and write down its value and its pullback to the wanted leaves.

    Returns
    -------
    found : Specialized or None
        None where a derivative is wanted, and outputs are not of floating-point numbers.
    value : function
        The program of the value.
    """
    call = (lambda args, kwargs: f(*args, **kwargs)) if with_keywords else f
    run = recorded(call, leaves, structure, getattr(f, "__name__", repr(f)), type(f) is not Around)
    writer, inputs, seeds = _writer(f, run)
    if not wanted:
        calls, outputs = taken_apart(*simplified(run.calls, run.outputs))
        bind = binder(Writer(f, same_types=True), run.inputs, calls, outputs)
        value = _function(writer, "value", inputs, calls, outputs)
        vjp = lambda *leaves: (value(*leaves), lambda seeds: [])
        owned = _own(_arrays(outputs), calls)
        return Specialized(value, vjp, run.structure, owned, bind, len(calls)), value
    outputs = [_of_numpy(y) for y in run.outputs]
    results = [*outputs, *[run.pulled[i] for i in wanted]]
    calls, results = taken_apart(*simplified(run.calls, results))
    outputs, pulled = results[: len(outputs)], results[len(outputs) :]
    first, second = split(calls, outputs)
    # what the second program reads of the first, it is given
    made = {*_symbols(run.inputs), *_results(first)}
    read = [*_arguments(second), *_symbols(pulled)]
    saved = [x for x in dict.fromkeys(read) if x in made]
    value = _function(writer, "value", inputs, first, (outputs, tuple(saved)))
    seeds += [writer.names[x] for x in saved]
    pullback = _function(writer, "pullback", seeds, second, pulled)
    dtypes = [np.result_type(y) for y in outputs]
    if not all([dtype.kind == "f" for dtype in dtypes]):
        return None, value
    if belongings(structure):  # attributes of a container of the caller's, which may change
        structure = _copied(structure)
    vjp = _vjp(value, pullback, dtypes, call, structure, wanted)
    viewed = _arguments([call for call in first if not call.fresh])  # a view of it may be saved
    # a seed without axes may be an array, and then so may be a cotangent: they count as arrays
    owned = _own(_arrays(outputs), first, [*saved, *viewed]) and _own(pulled, second)
    return Specialized(lambda *leaves: value(*leaves)[0], vjp, run.structure, owned), value


def _copied(structure):
    """Return a copy of a structure, or itself where an object in it cannot be copied."""
    try:
        return copy.deepcopy(structure)
    except Exception:  # of any kind: what a container of the user's raises
        return structure


def _writer(f, run):
    """Return a writer that has names for inputs and seeds, and lists of these names."""
    writer = Writer(f, same_types=True)  # as the cache key says
    writer.taken |= {"value", "pullback"}
    inputs = [writer.free(f"x{i}") for i in range(len(run.inputs))]
    seeds = [writer.free(f"g{i}") for i in range(len(run.seeds))]
    pairs = zip([*run.inputs, *run.seeds], [*inputs, *seeds])
    writer.names.update([(x, name) for x, name in pairs if type(x) is Symbol])
    return writer, inputs, seeds


def _function(writer, name, parameters, calls, returned):
    """Write a program that makes these calls, and return it as a function."""
    lines = writer.lines(calls, tree.flatten(returned)[0])
    source = writer.source(name, parameters, [*lines, f"return {writer.bare(returned)}"])
    return Program(source, writer.constants, name).call


def _vjp(value, pullback, dtypes, f, structure, wanted):
    """Return the function ``vjp`` of a `Specialized`.

    ``value(*leaves)`` returns ``(outputs, saved)``, the outputs of these dtypes, and
    ``pullback(*seeds, *saved)`` the cotangents. f is called, with arguments of that structure,
    where a derivative of the pullback is being taken.
    """

    def vjp(*leaves):
        outputs, saved = value(*leaves)

        def pull(seeds):
            seeds = [g if g.dtype is dtype else g.astype(dtype) for g, dtype in zip(seeds, dtypes)]
            if Node not in [type(g) for g in seeds]:
                return pullback(*seeds, *saved)

            def of_wanted(*primals):
                every = dict(enumerate(leaves)) | dict(zip(wanted, primals))
                return tree.flatten(f(*tree.unflatten(structure, list(every.values()))))[0]

            return vjp_of_list(of_wanted, [leaves[i] for i in wanted])[1](seeds)

        return outputs, pull

    return vjp


def _of_numpy(y):
    """Return a Symbol for a NumPy number where there is one for Python's, as `vjp` does."""
    return y.recording(np.float64, (y,), {}) if type(getattr(y, "value", y)) is float else y


def _symbols(xs):
    return [x for x in xs if type(x) is Symbol]


def _arguments(calls):
    return _symbols([x for call in calls for x in call.arguments])


def _results(calls):
    return [x for call in calls for x in call.results]


def _arrays(outputs):
    return [x for x in _symbols(outputs) if isinstance(x.value, ndarray)]


def _own(results, calls, kept=()):
    """Whether the results are all arrays that these calls make, each another one, and none kept."""
    fresh = {*_results([call for call in calls if call.fresh])}.difference(kept)
    return len({*results}) == len(results) and fresh.issuperset(results)
