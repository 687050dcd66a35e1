"""The tables that say what happens to a NumPy function, and how the other files write into them.

    rule(np.tanh, lambda g, y, x: g * (1 - y * y))      it has a VJP of its own
    @derives(np.mean)                                   the function below says what it means
    no_derivative("argmax floor less")                  it is computed on the values

A *rule* is what a tape keeps for a call: ``rule(g, y, wanted, *args, **kwargs)`` returns the
cotangents of those operands whose positions are in ``wanted``. It is made in one of two ways, each
with a name of its own: from one VJP per operand (`per_operand`), or from one function that finds
the cotangents of all operands together (`joint`).
"""

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

RULES: dict = {}  # NumPy function -> its rule
DERIVED: dict = {}  # NumPy function -> the same function, written in terms of others
CHECKED: set = set()  # of DERIVED: NumPy computes the value first, to refuse what it refuses
PLAIN: set = set()  # NumPy functions with no derivative, computed on the values
# From so many elements on, the second cotangent of a product is computed after the first one has
# been summed to the shape of its operand: memory for one of them is enough. A generator does that.
# It costs 0.2 us, a tenth of the time of a small product, and nothing beside 4096 elements.
LARGE = 4096


def rule(function: Callable, *vjps: Callable | None) -> None:
    """Register the rule of a NumPy function: one VJP per array operand; see `per_operand`."""
    RULES[function] = per_operand(*vjps, of=function)


def derives(function: Callable, checked: bool = False) -> Callable[[F], F]:
    """Register the decorated function as what a NumPy function means, in terms of others.

    It takes the arguments of the NumPy function that can be used with traced arrays. The engine
    differentiates what it calls. A function of one line is written as a lambda:
    ``derives(np.copy)(lambda a, order="K": np.positive(a))``.

    Parameters
    ----------
    function : function of NumPy
    checked : bool
        True where bad arguments would give a number here, and an error in NumPy. The NumPy
        function then runs first, on the values.
    """

    def register(derived: F) -> F:
        DERIVED[function] = derived
        if checked:
            CHECKED.add(function)
        return derived

    return register


def no_derivative(names: str) -> None:
    """Register NumPy functions, by their names, that are computed on the values."""
    PLAIN.update(named(names))


def named(names: str) -> list[Callable]:
    """Return the NumPy functions of these names."""
    return [attrgetter(name)(np) for name in names.split()]


def per_operand(*vjps, of=None):
    """Make a rule from one VJP for each array operand, in the order of the arguments.

    Parameters
    ----------
    *vjps : functions, or None
        ``vjp(g, y, *args, **kwargs)`` returns the cotangent of its operand. None where there is no
        derivative, as for the condition of `np.where`. Arguments that follow the operands are
        settings, such as an axis.
    of : function, optional
        Whose rule it is, for messages.

    Notes
    -----
    One or two operands without settings, the usual case, have functions of their own: calling these
    makes the sweep of a small network a sixth faster than the general one.
    """
    n = len(vjps)
    without_settings = n in (1, 2) and not any([_has_settings(vjp, n) for vjp in vjps])
    if n == 1:
        made = _of_one(*vjps) if without_settings else _of_one_with_settings(*vjps)
    else:
        made = _of_two(*vjps) if without_settings else _of_many(vjps)
    made.vjps = vjps
    made.__name__ = "a rule" if of is None else name_of(of)
    return made


def _of_one(vjp):
    return lambda g, y, wanted, x: (vjp(g, y, x),)


def _of_one_with_settings(vjp):
    return lambda g, y, wanted, *args, **kwargs: (vjp(g, y, *args, **kwargs),)


def _of_two(first, second):
    def made(g, y, wanted, a, b):
        if len(wanted) == 1:
            return ((second if wanted[0] else first)(g, y, a, b),)
        if y.size < LARGE:
            return first(g, y, a, b), second(g, y, a, b)
        return _one_by_one((first, second), g, y, a, b)

    return made


def _one_by_one(vjps, *arguments):
    for vjp in vjps:
        yield vjp(*arguments)


def _of_many(vjps):
    def made(g, y, wanted, *args, **kwargs):
        return (vjps[operand](g, y, *args, **kwargs) for operand in wanted)

    return made


def _has_settings(vjp, operands):
    """Whether a VJP takes anything but g, y and its operands, or may do so."""
    code = getattr(vjp, "__code__", None)
    stars = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    return (
        code is None
        or code.co_argcount != 2 + operands
        or code.co_kwonlyargcount > 0
        or bool(code.co_flags & stars)
    )


def joint(vjps, of=None):
    """Make a rule from one function for all operands, of which there can be any number.

    ``vjps(g, y, wanted, *args, **kwargs)`` returns a list with the cotangents of the wanted ones.
    Its g has the dtype of y. ``of`` is the function whose rule it is, for messages.
    """

    def rule(g, y, wanted, *args, **kwargs):
        g = g if g.dtype == y.dtype else g.astype(y.dtype)
        cotangents = vjps(g, y, wanted, *args, **kwargs)
        if len(cotangents) != len(wanted):
            raise ValueError(f"a rule returned {len(cotangents)} cotangents, not {len(wanted)}")
        return cotangents

    made: Any = rule
    made.vjps = None
    made.__name__ = "a rule" if of is None else name_of(of)
    return made


def name_of(function):
    """Write a function as its caller did."""
    name = getattr(function, "__name__", repr(function))
    if getattr(np, name, None) is function:
        return f"np.{name}"
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        return f"np.{function.__self__.__name__}.{name}"
    module = getattr(function, "__module__", None) or ""
    return f"{module.replace('numpy', 'np', 1)}.{name}" if module.startswith("numpy") else name
