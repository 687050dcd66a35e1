"""Derivatives that are written by hand, and none at all.

`custom_vjp` is for users, `stop_gradient` too. `primitive` gives a rule to a function of the
library, and `with_rule` to one call of a function: `odeint` is one record on a tape by it.
"""

import copy
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, Generic, ParamSpec

import numpy as np

from .. import tree
from ..types import T
from .checks import as_real
from .node import Node, peel
from .numpy_calls import STAND_INS, is_traced, plain, record, signature, unbox
from .rules.table import joint, per_operand

P = ParamSpec("P")


def stop_gradient(x: T) -> T:
    """Return the plain value of x, which is a constant to every derivative that is being taken.

    Nested tuples, lists and dicts are treated leaf by leaf.

    Raises
    ------
    TypeError
        If a leaf is an object of another kind, in which a traced value could hide.
    """
    return tree.map(_constant, x)


def _constant(x):
    value = plain(x)
    if not (
        value is None
        or isinstance(value, (str, bytes, int, float, np.generic))
        or type(value) is np.ndarray
        or type(value) in STAND_INS
    ):
        raise TypeError(
            f"stop_gradient: {value!r:.60} of type {type(value).__name__} is neither a number, an"
            " array, nor a nested tuple, list or dict of them, and a traced value in it would not"
            " be seen; take it apart"
        )
    return value


def primitive(*vjps, whole=False):
    """Give a function of our own its VJPs, so that it can be called with Nodes like NumPy's.

    One that writes into an array of its own is a ``whole``: whatever else stands for an array gets
    the call by NumPy's protocol, and does not see what it is made of.
    """

    def decorate(function):
        rule = per_operand(*vjps, of=function)

        def wrapper(*args, **kwargs):
            kinds = {*map(type, args)}
            if np.ndarray in kinds or not kinds.isdisjoint(STAND_INS):
                if any([is_traced(x) for x in args]):
                    return record(wrapper, rule, args, kwargs)
                for x in args:
                    if whole and type(x) in STAND_INS:
                        return x.__array_function__(function, (type(x),), args, kwargs)
            return function(*args, **kwargs)

        return functools.update_wrapper(wrapper, function)

    return decorate


def with_rule(function, backward, leaves):
    """Compute ``function(*leaves)``, with a derivative of our own at every level.

    ``function`` sees plain arrays only and returns one array. ``backward(g, y, wanted, *leaves)``
    returns the cotangents of the wanted leaves; it is NumPy code, and sees Nodes where a derivative
    of the derivative is being taken.
    """
    tape, values, wanted, parents = peel(leaves)
    if tape is None:
        return function(*leaves)
    y = with_rule(function, backward, values)
    return Node(y, tape, tape.record(joint(backward), wanted, parents, y, values))


def written_into(values, operands):
    """Whether the user has written into an array since a function kept what it made of it.

    ``values`` are the arrays that the function was given, and ``operands`` those of its record,
    which are copies where a record is kept by value.
    """
    return any(x is not y and not np.array_equal(x, y) for x, y in zip(values, operands))


def by_name(x):
    """Return the name by which pickle finds a decorated function in its module, or None."""
    found: Any = sys.modules.get(x.__module__)
    for name in getattr(x, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return x.__qualname__ if found is x else None


class custom_vjp(Generic[P, T]):
    """A function with a derivative of your own, as in JAX.

    For code that the engine cannot see through (another library, a table, an iteration), or whose
    derivative you know better:

        >>> @custom_vjp
        ... def log1pexp(x):
        ...     return np.log1p(np.exp(x))
        >>> def forward(x):  # the value, and what the backward pass will need
        ...     return log1pexp(x), x
        >>> def backward(x, g):  # a tuple, one cotangent per argument
        ...     return (g / (1.0 + np.exp(-x)),)
        >>> log1pexp.defvjp(forward, backward)
        >>> grad(log1pexp)(100.0)
        np.float64(1.0)

    Arguments and value may be containers. A cotangent of None stands for zeros. The derivative of
    the derivative comes from differentiating ``forward`` and ``backward``.
    """

    def __init__(self, f: Callable[P, T]) -> None:
        self.f = f
        self.forward: Any = None
        self.backward: Any = None
        self.__name__ = type(f).__name__
        functools.update_wrapper(self, f)

    def __reduce_ex__(self, protocol):
        return by_name(self) or super().__reduce_ex__(protocol)

    def __copy__(self):
        made = object.__new__(type(self))
        made.__dict__.update(vars(self))
        return made

    def __deepcopy__(self, memo):
        made = memo[id(self)] = object.__new__(type(self))
        made.__dict__.update(copy.deepcopy(vars(self), memo))
        return made

    def defvjp(
        self, forward: Callable[P, tuple[T, Any]], backward: Callable[[Any, Any], Any]
    ) -> None:
        """Set the derivative.

        Parameters
        ----------
        forward : function
            ``forward(*args)`` returns the value, and what the backward pass needs: the residuals.
        backward : function
            ``backward(residuals, cotangent)`` returns a tuple, one cotangent per argument.
        """
        for role, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise TypeError(
                    f"custom_vjp: the {role} function of {self.__name__} is {function!r:.40}, which"
                    " cannot be called"
                )
        self.forward, self.backward = forward, backward

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function; where an argument is traced, call its ``forward`` and record it."""
        if not any(is_traced(x) for x in tree.flatten((args, kwargs))[0]):
            return self.f(*args, **kwargs)
        leaves, structure = tree.flatten(self._by_position(args, kwargs))
        leaves = [unbox(x) if is_traced(x) else x for x in leaves]
        tape, values, wanted, parents = peel(leaves)
        value, unravel, residuals = self._forward(tree.unflatten(structure, values), tape.level)

        def vjps(g, y, wanted, *operands):
            kept = residuals
            if written_into(values, operands):
                kept = self._forward(tree.unflatten(structure, operands), tape.level)[2]
            cotangent = unravel(g.copy())  # which the user may write into
            cotangents = self.backward(kept, cotangent)
            checked = self._check(cotangents, tree.unflatten(structure, values))
            return [checked[i] for i in wanted]

        position = tape.record(joint(vjps, of=self), wanted, parents, value, values)
        return unravel(Node(value, tape, position))

    def _by_position(self, args, kwargs):
        """Return all arguments by position, with their defaults, as ``forward`` is given them."""
        if not kwargs and not inspect.isfunction(self.f):
            return args
        bound = signature(self.f).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(
                f"custom_vjp: {self.__name__} has arguments by keyword only,"
                f" {', '.join(bound.kwargs)}, which its forward function cannot be given; let them"
                " be given by position"
            )
        return bound.args

    def _forward(self, args, level):
        """Return the value as a vector, the function back to its structure, and the residuals."""
        name = self.__name__
        if self.forward is None:
            raise TypeError(
                f"custom_vjp: {name} has no derivative yet; call {name}.defvjp(forward, backward)"
            )
        result = self.forward(*args)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"custom_vjp: the forward function of {name} must return (value, residuals), got"
                f" {result!r:.60}"
            )
        value, unravel = tree.end_to_end(result[0])
        if type(value) is Node and value.tape.level >= level:
            raise TypeError(
                f"custom_vjp: {name} closes over a value that is being differentiated, and its"
                " gradient would be lost; pass that value as an argument"
            )
        if value.dtype.kind != "f":
            raise TypeError(
                f"custom_vjp: the forward function of {name} returned a value of dtype"
                f" {value.dtype}; it must be floating"
            )
        return value, unravel, result[1]

    def _check(self, cotangents, args):
        """Return the cotangents as a list of leaves, copied, since the user may write into them."""
        of = f"the backward function of {self.__name__}"
        if not isinstance(cotangents, (tuple, list)) or len(cotangents) != len(args):
            is_sequence = isinstance(cotangents, (tuple, list))
            got = len(cotangents) if is_sequence else type(cotangents).__name__
            raise TypeError(
                f"custom_vjp: {of} must return a tuple of {len(args)} cotangents, one per argument,"
                f" got {got}"
            )
        checked = []
        for number, (c, x) in enumerate(zip(cotangents, args)):
            leaves, structure = tree.flatten(x)
            zeros = [np.zeros(np.shape(leaf)) for leaf in leaves]
            cs, c_structure = (zeros, structure) if c is None else tree.flatten(c)
            what = f"custom_vjp: the cotangent that {of} returned for argument {number}"
            cs = [z if leaf is None else as_real(what, leaf) for leaf, z in zip(cs, zeros)]
            if c_structure != structure or [leaf.shape for leaf in cs] != [z.shape for z in zeros]:
                raise ValueError(
                    f"custom_vjp: {of} returned, for argument {number}, a cotangent of shape"
                    f" {tree.map(np.shape, c)}; the argument has shape {tree.map(np.shape, x)}"
                )
            checked += [leaf.copy() if type(leaf) is np.ndarray else leaf for leaf in cs]
        return checked
