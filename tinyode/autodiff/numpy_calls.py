"""How a call of NumPy finds its rule, or its error.

NumPy hands every call with a Node among its arguments to that Node, by one of two protocols:
``__array_ufunc__`` for its ufuncs (np.add, np.tanh, np.matmul and their like), and
``__array_function__`` for its other functions. `call` looks the function up in the tables of
`rules`, and there are four answers:

    RULES      it has a rule: compute the value and record it       np.tanh
    DERIVED    it is written in terms of others: call these         np.mean
    PLAIN      it has no derivative: compute it on the values       np.argmax
    none       an error that says what to write instead             np.fft.fft

**Arrays of objects.** ``np.array([y[1], -y[0]])`` is not handed to anybody. NumPy makes an array of
dtype object, whose elements are Nodes. Where a function returns it, or it meets a Node, `unbox`
makes of it what ``np.stack`` would have made. Where it meets plain arrays only, the engine does not
see it, and NumPy computes with it element by element:

* Arithmetic, comparisons, `sum`, `dot`, `max`, `where`, `norm` and their like work. So do
  elementwise functions if all elements are traced.
* An elementwise function of an array with a constant in it, ``np.sin(np.array([x[0], 1.0]))``, and
  functions that need numbers (`mean`, `linalg.inv`) are refused by NumPy. `lines.say_line` says in
  which line. Write ``np.stack([x[0], 1.0])``, which takes constants too.
* In a maximum, of two equal elements one gets the whole cotangent, and NaN may lose against a
  number. ``np.logical_and`` and ``np.logical_or`` return one of the elements, as Python's ``and``
  and ``or`` do.
"""

import functools
import inspect

import numpy as np
from numpy import ndarray

from .. import tree
from .node import NUMBERS, Node, peel
from .rules.table import CHECKED, DERIVED, PLAIN, RULES, joint, name_of
from .tape import NO_KEYWORDS

# Types that stand for an array without being one, and that nothing here converts to an array. A
# package with a type of its own that follows NumPy's protocols may add it.
STAND_INS: set = {Node}
IN_PLACE = {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}

signature = functools.cache(inspect.signature)


def plain(x):
    """Return the value below all levels, in containers too."""
    while type(x) is Node:
        x = x.value
    kind = type(x)
    if kind is ndarray and x.dtype == object:
        stacked = unbox(x)
        return plain(stacked) if type(stacked) is Node else stacked
    if kind is list or kind is tuple:
        return kind([plain(item) for item in x])
    if kind is dict:
        return {key: plain(item) for key, item in x.items()}
    return x


def is_traced(x):
    """Whether x is a Node, or an array of objects that has Nodes for elements."""
    if type(x) is ndarray and x.dtype == object:
        return any(type(_element(item)) is Node for item in x.flat)
    return type(x) is Node


def has_traced(x):
    """Whether x is traced, or a container of anything that is."""
    return any(map(is_traced, tree.flatten(x)[0]))


def _element(x):
    """Take a number out of an array without an axis, as np.asarray(x[0]) is."""
    while isinstance(x, ndarray) and not x.ndim:
        x = x[()]
    return x


def unbox(x):
    """Return x as an array, and an array of objects as the stack of its elements."""
    if type(x) in STAND_INS:
        return x
    if isinstance(x, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(
            f"a {type(x).__name__} does not compute like an array, and cannot be combined with a"
            " traced one; convert it with np.asarray, masks with np.where"
        )
    array = np.asarray(x)
    if array.dtype != object:
        return array
    items = array.ravel().tolist()
    for i, item in enumerate(items):
        if type(item) in NUMBERS or (type(item) is Node and not item.ndim):  # the usual case
            continue
        items[i] = item = _element(item)
        is_number = isinstance(item, (ndarray, int, float, np.number, np.bool_))
        if not (type(item) in STAND_INS or is_number) or np.ndim(item):
            raise TypeError(
                "an array of objects can be differentiated where each is a number, traced or not;"
                f" one is of type {type(item).__name__}, shape {np.shape(item)}: {item!r:.60};"
                " write np.stack or np.concatenate to join rows"
            )
    vector = _stack(*items)
    return vector if array.ndim == 1 else np.reshape(vector, array.shape)


def _stack(*items):
    """Make a vector of numbers, some of them traced."""
    kinds = {*map(type, items)}
    if Node in kinds:
        tape, values, wanted, parents = peel(items)
        y = _stack(*values)
        if not is_floating(y, _stack):
            return y
        return Node(y, tape, tape.record(STACK, wanted, parents, y, values))
    if kinds.isdisjoint(STAND_INS):
        return np.array(items)
    return np.array([*items], like=next(item for item in items if type(item) in STAND_INS))


STACK = joint(lambda g, y, wanted, *items: [g[i] for i in wanted], of=np.array)


def record(function, rule, args, kwargs=NO_KEYWORDS):
    """Compute ``function(*args, **kwargs)``, and record it on the highest tape of its operands."""
    operands = len(args) if rule.vjps is None else len(rule.vjps)
    values = [*map(_as_operand, args[:operands]), *args[operands:]]
    tape, values, wanted, parents = peel(values)
    if wanted and wanted[-1] >= operands:
        raise TypeError(
            f"{name_of(function)}: argument {wanted[-1]} is a setting, not an operand, and cannot"
            " be a traced value; pass a plain number, or stop_gradient(value)"
        )
    y = function(*values, **kwargs)
    if rule.vjps is not None and None in rule.vjps:  # an operand without a derivative
        kept = [k for k, operand in enumerate(wanted) if rule.vjps[operand] is not None]
        wanted, parents = tuple([wanted[k] for k in kept]), tuple([parents[k] for k in kept])
    if not wanted or not is_floating(y, function):
        return y
    return Node(y, tape, tape.record(rule, wanted, parents, y, values, kwargs))


def _as_operand(x):
    if type(x) is Node or type(x) in NUMBERS or x is None:
        return x
    return unbox(x) if isinstance(x, (ndarray, list, tuple)) else x


def is_floating(y, function):
    """Whether a result has a derivative; what it may not be is refused."""
    kind = getattr(getattr(y, "dtype", None), "kind", "O")
    if kind == "c":
        raise TypeError(
            f"{name_of(function)}: the result is complex, and derivatives here are of real"
            " functions; write the real and imaginary parts as an axis of length 2"
        )
    if kind == "O":
        raise TypeError(
            f"{name_of(function)}: the result is made of objects, not numbers of float64 or"
            " float32, and its gradient would be lost; convert Fractions and large integers with"
            " float"
        )
    return kind == "f"


def call(function, args, kwargs):
    """Carry out a NumPy function that was handed a Node."""
    if kwargs.get("out") is not None:
        raise TypeError(
            f"{name_of(function)}: out= would overwrite an array that the derivative may still need"
            " (x += y with a plain array x asks for it: write x = x + y); leave it out and use the"
            " returned value"
        )
    usual = ("out", None), ("dtype", None)  # which rules need not know
    kwargs = {key: value for key, value in kwargs.items() if (key, value) not in usual}
    if function in DERIVED:
        derived = DERIVED[function]
        _check_settings(function, derived, args, kwargs)
        if function in CHECKED:  # NumPy computes the value first, to refuse what it refuses
            with np.errstate(all="ignore"):
                function(*plain(args), **plain(kwargs))
        return derived(*args, **kwargs)
    if function in RULES:
        rule = RULES[function]
        vjp = next(vjp for vjp in rule.vjps if vjp is not None)
        _check_settings(function, vjp, (None, None, *args), kwargs)  # which follow g and y
        return record(function, rule, *_by_position(function, args, kwargs))
    if function in PLAIN:
        return function(*plain(args), **plain(kwargs))
    raise TypeError(_no_rule(function, len(args) > 1 or kwargs))


def _check_settings(function, rule, args, kwargs):
    """Refuse, by the name of the function, a setting that its rule does not know."""
    code = getattr(rule, "__code__", None)
    if code is None:  # a partial function, or one of NumPy's: they know themselves
        return
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for key in kwargs:
        if key not in known and not code.co_flags & inspect.CO_VARKEYWORDS:
            raise TypeError(
                f"{name_of(function)}: {key}= is not supported for traced values; leave it out"
                + (", and choose with np.where" if key == "where" else "")
            )
    if len(args) > code.co_argcount and not code.co_flags & inspect.CO_VARARGS:
        raise TypeError(
            f"{name_of(function)}: too many arguments by position for traced values; give"
            f" {', '.join(known[-2:])} by keyword, and leave out what is not there"
        )


def _by_position(function, args, kwargs):
    """Return the arguments with traced keywords by position, where a rule looks for operands."""
    if not any([is_traced(value) for value in kwargs.values()]):
        return args, kwargs
    bound = signature(function).bind(*args, **kwargs)
    for key, value in bound.kwargs.items():
        if is_traced(value):
            raise TypeError(
                f"{name_of(function)}: {key}= is a setting, not an operand, and cannot be a"
                " traced value; pass a plain number, or stop_gradient(value)"
            )
    return bound.args, bound.kwargs


def _no_rule(function, has_more):
    """Say what to do about a function without a rule."""
    name = name_of(function)
    if function in IN_PLACE or name.endswith(".at"):
        return (
            f"{name} writes into an array, and a gradient would be lost; build a new array with"
            " np.where, np.stack, np.full (without dtype=) or np.bincount"
        )
    more = ", ..." if has_more else ""
    return (
        f"{name} has no derivative rule, so its gradient would be lost. Write it with functions"
        f" that have one; or give it one:\n\n    f = tinyode.custom_vjp(lambda x: {name}(x{more}))"
        "\n    f.defvjp(lambda x: (f(x), x),        # the value, and what the next line needs"
        "\n             lambda x, g: (g * ...,))    # from that and the cotangent of the value: the"
        f" cotangent of x\n\nor pass stop_gradient(x), if {name} is to count as constant"
    )


def _array_ufunc(self, ufunc, method, *inputs, **kwargs):
    """Carry out an elementwise function, or one of its methods, for a Node."""
    if method == "__call__":
        rule = RULES.get(ufunc)
        if rule is not None and len(inputs) == 1 and not kwargs:  # the hot path, as in an operator
            x, tape = self.value, self.tape
            y, records = ufunc(x), tape.records
            node = Node(y, tape, len(records))
            records.append((rule, (0,), (self.index,), y, (x,), NO_KEYWORDS))
            return node
        return call(ufunc, inputs, kwargs)
    if method == "outer":
        a, b = map(unbox, inputs)
        return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b, **kwargs)
    return call(getattr(ufunc, method), inputs, kwargs)


def _array_function(self, function, types, args, kwargs):
    """Carry out any other function of NumPy for a Node."""
    return call(function, args, kwargs)


Node.__array_ufunc__ = _array_ufunc
Node.__array_function__ = _array_function
