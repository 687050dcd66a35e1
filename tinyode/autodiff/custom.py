"""Derivatives written by hand: by the user, `custom_vjp`, by the library, `primitive` and
`with_rule`; and none at all, `stop_gradient`.
"""

import copy
import functools
import inspect
import sys

import numpy as np

from .. import tree
from .checks import as_real
from .dispatch import is_traced, plain, signature, unbox
from .operators import Recorded
from .trace import Node, peel, record


def stop_gradient(x):
    """Return the plain value of x, a constant to every derivative being taken; nested tuples, lists
    and dicts leaf by leaf.

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
        or isinstance(value, (Recorded, str, bytes, int, float, np.generic))
        or type(value) is np.ndarray
    ):
        raise TypeError(
            f"stop_gradient: {value!r:.60} of type {type(value).__name__} is neither a number, an"
            " array, nor a nested tuple, list or dict of them, and a traced value in it would not"
            " be seen; take it apart"
        )
    return value


def primitive(vjps, whole=False):
    """Give a function of our own its VJPs, so that it can be called with Nodes like NumPy's.

    One that writes into an array of its own is recorded as a ``whole``: a program calls it, and has
    its source.
    """

    def decorate(function):
        def wrapper(*args, **kwargs):
            if any(is_traced(x) for x in args):
                return record(wrapper, vjps, args, kwargs)
            recorded = [x for x in args if isinstance(x, Recorded)] if whole else ()
            if recorded:
                return recorded[0].recording(function, args, kwargs)
            return function(*args, **kwargs)

        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        return wrapper

    return decorate


def with_rule(function, backward, leaves):
    """Compute ``function(*leaves)``, with a derivative of our own at every level.

    ``function`` sees plain arrays only and returns one array. ``backward(g, y, wanted, *leaves)``
    returns the cotangents of the wanted leaves; it is NumPy code, and sees Nodes where a derivative
    of the derivative is being taken.
    """
    trace, values, parents = peel(leaves)
    if trace is None:
        return function(*leaves)
    return trace.append(with_rule(function, backward, values), backward, parents, values)


def written_into(values, operands):
    """Whether an array has changed since a function kept it: the operands of its record are copies
    then.

    Only where a record is kept by value are they others than ``values``, the arrays that were
    given.
    """
    return any(x is not y and not np.array_equal(x, y) for x, y in zip(values, operands))


def by_name(x):
    """Return the name by which pickle finds a decorated function in its module, or None."""
    found = sys.modules.get(x.__module__)
    for name in getattr(x, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return x.__qualname__ if found is x else None


class custom_vjp:
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

    def __init__(self, f):
        self.f = f
        self.forward = self.backward = None
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

    def defvjp(self, forward, backward):
        """Set the derivative: ``forward(*args) -> (value, residuals)``, ``backward(residuals,
        cotangent) -> cotangents``.
        """
        for role, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise TypeError(
                    f"custom_vjp: the {role} function of {self.__name__} is {function!r:.40}, which"
                    " cannot be called"
                )
        self.forward, self.backward = forward, backward

    def __call__(self, *args, **kwargs):
        """Call the function; where an argument is traced its ``forward``, with all arguments,
        defaults included, by position.
        """
        name = self.__name__
        if not any(is_traced(x) for x in tree.flatten((args, kwargs))[0]):
            return self.f(*args, **kwargs)
        if kwargs or inspect.isfunction(self.f):
            bound = signature(self.f).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
            if bound.kwargs:
                raise TypeError(
                    f"custom_vjp: {name} has arguments by keyword only, {', '.join(bound.kwargs)},"
                    " which its forward function cannot be given; let them be given by position"
                )
        leaves, structure = tree.flatten(args)
        trace, values, parents = peel([unbox(x) if is_traced(x) else x for x in leaves])
        if self.forward is None:
            raise TypeError(
                f"custom_vjp: {name} has no derivative yet; call {name}.defvjp(forward, backward)"
            )
        result = self.forward(*tree.unflatten(structure, values))
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"custom_vjp: the forward function of {name} must return (value, residuals), got"
                f" {result!r:.60}"
            )
        value, unravel = tree.ravel(result[0])
        if type(value) is Node and value.handle.level >= trace.level:
            raise TypeError(
                f"custom_vjp: {name} closes over a value that is being differentiated, and its"
                " gradient would be lost; pass that value as an argument"
            )
        if value.dtype.kind != "f":
            raise TypeError(
                f"custom_vjp: the forward function of {name} returned a value of dtype"
                f" {value.dtype}; it must be floating"
            )

        def vjps(g, y, wanted, *operands):
            residuals = result[1]
            if written_into(values, operands):
                residuals = self.forward(*tree.unflatten(structure, operands))[1]
            cotangents = self.backward(
                residuals, unravel(g.copy())
            )  # which the user may write into
            flat = self._check(name, cotangents, tree.unflatten(structure, values))
            return [flat[i] for i in wanted]

        return unravel(trace.append(value, vjps, parents, values))

    @staticmethod
    def _check(name, cotangents, args):
        """Refuse what the backward function must not return, by the number of the argument."""
        if not isinstance(cotangents, (tuple, list)) or len(cotangents) != len(args):
            got = (
                f"{len(cotangents)}"
                if isinstance(cotangents, (tuple, list))
                else type(cotangents).__name__
            )
            raise TypeError(
                f"custom_vjp: the backward function of {name} must return a tuple of {len(args)}"
                f" cotangents, one per argument, got {got}"
            )
        flat = []
        for number, (c, x) in enumerate(zip(cotangents, args)):
            leaves, structure = tree.flatten(x)
            zeros = [np.zeros(np.shape(leaf)) for leaf in leaves]
            cs, c_structure = (zeros, structure) if c is None else tree.flatten(c)
            what = (
                f"custom_vjp: the cotangent that the backward function of {name} returned for"
                f" argument {number}"
            )
            cs = [z if leaf is None else as_real(what, leaf) for leaf, z in zip(cs, zeros)]
            if c_structure != structure or [leaf.shape for leaf in cs] != [z.shape for z in zeros]:
                raise ValueError(
                    f"custom_vjp: the backward function of {name} returned, for argument {number},"
                    f" a cotangent of shape {tree.map(np.shape, c)}; the argument has shape"
                    f" {tree.map(np.shape, x)}"
                )
            flat += [
                leaf.copy() if type(leaf) is np.ndarray else leaf for leaf in cs
            ]  # the user may write into it
        return flat
