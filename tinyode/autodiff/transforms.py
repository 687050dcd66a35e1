"""What users call to differentiate a function: `vjp` does the work, the others are short.

For f: R^n -> R^m with Jacobian J (m x n), reverse mode gives the product w^T J for the price of a
few evaluations of f, whatever n is. That product is the *pullback* of the *cotangent* w:

    >>> value, pullback = vjp(lambda x: np.sin(x) * x, np.array([1.0, 2.0]))
    >>> pullback(np.ones(2))[0]            # cos(x) x + sin(x)
    array([1.38177329, 0.07700375])

Where an array can stand, a nested tuple, list or dict of arrays can stand too. Python numbers and
whole numbers become float64, float32 stays float32, and a cotangent has the shape and dtype of its
primal. What cannot be differentiated is an error that names it.

While f runs, its arguments are traced arrays (`node`). What code of f can do with them:

* A traced array is no instance of ``np.ndarray``, and a traced number none of ``float``. Ask for
  ``np.ndim(x)`` and ``x.dtype`` instead. `numpy_calls` says what ``np.array([x[0], 1.0])`` can do.
* A tape refers to the arrays that f has met, and does not copy them. So do not write into the
  primals before the pullback has been called; and inside f make a buffer, a mask or a list of
  indices anew at each call.
* ``x += 1`` with a traced x makes a new array and calls it x. Another name for the old one, or a
  slice of it, keeps the old values.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import numpy as np
from numpy import ndarray

from .. import tree
from ..types import T
from .checks import (
    FLOAT64,
    as_cotangent,
    as_output,
    as_primal,
    as_real,
    check_floating,
    check_scalar,
    own,
)
from .lines import say_line
from .node import Node
from .rows import Pull, all_rows
from .specialized import offers, specialized
from .tape import Tape

P = ParamSpec("P")


def vjp(f: Callable[..., T], *primals: Any) -> tuple[T, Callable[[T], tuple[Any, ...]]]:
    """Evaluate f and prepare its vector-Jacobian products.

    Parameters
    ----------
    f : function of ``len(primals)`` arguments
    *primals : arrays or containers of them

    Returns
    -------
    value : ``f(*primals)``
    pullback : function
        ``pullback(cotangent)``, with a cotangent of the structure and shapes of ``value``, is a
        tuple with one cotangent per primal, w^T J of Griewank and Walther (2008), section 3.2. It
        can be called any number of times.

    Raises
    ------
    TypeError
        If a primal is not real, if f returns something that is no number, or if f does what cannot
        be differentiated.
    ValueError
        By the pullback, if its argument does not match ``value``.
    """
    _, structure, values, pull, out_structure, owned = _prepared(f, primals)

    def pullback(cotangent):
        seeds, seed_structure = tree.flatten(cotangent)
        check_structure(seed_structure, out_structure)
        seeds = [as_cotangent(g, y) for g, y in zip(seeds, values)]
        cotangents = pull(seeds)
        return tree.unflatten(structure, cotangents if owned else own(cotangents, seeds))

    # the caller may write into the value, and the pullback still needs it
    theirs = values if owned else [y.copy()[()] if type(y) is ndarray else y for y in values]
    return tree.unflatten(out_structure, theirs), pullback


def _prepared(f, primals):
    """Evaluate f with its derivative by the tape, or with one that it offers.

    Returns
    -------
    leaves, structure
        The primals, taken apart.
    values, pull, out_structure
        The leaves of f's value, their pullback, and its structure.
    owned : bool
        Whether nothing of it shares memory; see `specialized`.
    """
    leaves, structure = tree.flatten(primals)
    leaves = [x if type(x) is ndarray and x.dtype is FLOAT64 else as_primal(x) for x in leaves]
    if offers(f):
        fast = specialized(f, leaves, structure, tuple(range(len(leaves))))
        if fast:
            return leaves, structure, *fast.vjp(*leaves), fast.structure, fast.owned
    return leaves, structure, *_by_tape(f, leaves, structure), False


def _by_tape(f, leaves, structure):
    """Return the leaves of f's value, their pullback, and the structure of the value."""
    tape, inputs = open_tape(leaves)
    try:
        outputs, out_structure = tree.flatten(f(*tree.unflatten(structure, inputs)))
        return *close_tape(tape, outputs, leaves), out_structure
    except (TypeError, ValueError) as error:
        say_line(error)
        raise
    finally:
        tape.close()


def check_structure(of_cotangent, of_value):
    """Refuse a cotangent that is nested otherwise than the value."""
    if of_cotangent != of_value:
        raise ValueError(
            f"pullback: the cotangent has the structure {tree.describe(of_cotangent)}, the"
            f" function's value {tree.describe(of_value)}; they must agree"
        )


def vjp_of_list(f, leaves):
    """Do what `vjp` does, without its checks, for f of arrays that returns a list of arrays.

    The pullback takes and returns lists. Its cotangents may share memory with each other and with
    what it was given.
    """
    tape, inputs = open_tape(leaves)
    try:
        return close_tape(tape, f(*inputs), leaves)
    except (TypeError, ValueError) as error:
        say_line(error)
        raise
    finally:
        tape.close()


def open_tape(leaves):
    """Open a tape, and return it with the Nodes that are its inputs."""
    tape = Tape(len(leaves))
    return tape, [Node(x, tape, i) for i, x in enumerate(leaves)]


def close_tape(tape, outputs, leaves):
    """Close a tape, and return the values of its outputs and their pullback to its inputs."""
    positions, values = [], []
    for y in outputs:
        y = y if type(y) is Node else as_output(y)
        if type(y) is Node and y.tape is tape:
            positions.append(y.index)
            values.append(y.value)
            continue
        if type(y) is Node and (y.tape.level > tape.level or not y.tape.records):
            y + 0.0  # a Node of a tape that is closed, which this says
        positions.append(None)
        values.append(y)
    return values, Pull(tape.close(), positions, leaves)


def jvp(f: Callable[..., T], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[T, T]:
    """Evaluate f and its derivative along a direction, J v, by two vector-Jacobian products.

    The pullback w -> w^T J is linear in w, so its own pullback is v -> J v, wherever it is taken.
    That costs a few evaluations more than a forward mode would, and no second set of rules
    (Townsend, "A new trick for calculating Jacobian vector products", 2017).

    Parameters
    ----------
    f : function
    primals, tangents : tuples of arrays or containers, of the same structure and shapes

    Returns
    -------
    value : ``f(*primals)``
    tangent : of the structure and shapes of ``value``

    Raises
    ------
    TypeError, ValueError
        If primals and tangents are not tuples that match.
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise TypeError(
            "jvp: primals and tangents are tuples, one item per argument of f; got"
            f" {type(primals).__name__} and {type(tangents).__name__}"
        )
    if tree.flatten(primals)[1] != tree.flatten(tangents)[1]:
        raise ValueError(
            f"jvp: the tangents have the structure {tree.describe(tree.flatten(tangents)[1])}, the"
            f" primals {tree.describe(tree.flatten(primals)[1])}; they must agree"
        )
    for x, v in zip(tree.flatten(primals)[0], tree.flatten(tangents)[0]):
        as_real("jvp: a tangent", v)
        if np.shape(x) != np.shape(v):
            raise ValueError(
                f"jvp: a primal of shape {np.shape(x)} has a tangent of shape {np.shape(v)}; they"
                " must agree"
            )
    value, pullback = vjp(f, *primals)
    zeros = tree.map(lambda y: np.zeros(np.shape(y), getattr(y, "dtype", float)), value)
    _, pushforward = vjp(pullback, zeros)
    return value, pushforward(tangents)[0]


def _select(f, argnum, args, kwargs):
    """Return f as a function of the selected arguments alone, and these."""
    numbers = argnum if isinstance(argnum, tuple) else (argnum,)
    for number in numbers:
        if not isinstance(number, (int, np.integer)) or not -len(args) <= number < len(args):
            raise ValueError(
                f"argnum={argnum!r}: the function was called with {len(args)} positional arguments;"
                " argnum is the number of one of them, counted from 0, or a tuple of such"
            )
    if len({number % len(args) for number in numbers}) < len(numbers):
        raise ValueError(f"argnum={argnum!r} names an argument twice")

    def of_selected(*selected):
        every = list(args)
        for number, x in zip(numbers, selected):
            every[number] = x
        return f(*every, **kwargs)

    return of_selected, [args[number] for number in numbers]


def value_and_grad(
    f: Callable[P, T], argnum: int | tuple[int, ...] = 0
) -> Callable[P, tuple[T, Any]]:
    """Return a function that computes f and its gradient.

    Parameters
    ----------
    f : function that returns one real number
    argnum : int or tuple of int
        The positional arguments to differentiate with respect to.

    Returns
    -------
    function
        ``(value, gradient)`` at the arguments of f; the gradient has the structure of the selected
        argument, and is a tuple where ``argnum`` is one.

    Raises
    ------
    TypeError
        By that function, if f returns anything but a single floating-point number.
    """

    @functools.wraps(f)
    def with_gradient(*args, **kwargs):
        of_selected, selected = _select(f, argnum, args, kwargs)
        value, pullback = vjp(of_selected, *selected)
        check_scalar(value)
        gradient = pullback(np.ones(np.shape(value)))
        return value, gradient if isinstance(argnum, tuple) else gradient[0]

    return with_gradient


def grad(f: Callable[P, Any], argnum: int | tuple[int, ...] = 0) -> Callable[P, Any]:
    """Return a function that computes the gradient of f; see `value_and_grad`."""
    with_gradient = value_and_grad(f, argnum)

    @functools.wraps(f)
    def gradient(*args, **kwargs):
        return with_gradient(*args, **kwargs)[1]

    return gradient


def jacobian(f: Callable[P, Any], argnum: int | tuple[int, ...] = 0) -> Callable[P, Any]:
    """Return a function that computes the Jacobian of f, one row for each element of its value.

    A row is one vector-Jacobian product; f is evaluated once, and the tape is swept for all rows
    together (`rows`).

    Returns
    -------
    function
        An array of shape ``value.shape + argument.shape``. Where the value, the argument or both
        are containers: a container like the value, each of whose leaves is a container like the
        argument, of such arrays.
    """

    @functools.wraps(f)
    def of_arguments(*args, **kwargs):
        of_selected, selected = _select(f, argnum, args, kwargs)
        leaves, structure, values, pull, out_structure, _ = _prepared(of_selected, selected)
        for y in values:
            check_floating("jacobian", y)
        rows = all_rows(pull, values, leaves)
        ends, blocks = np.cumsum([np.size(y) for y in values]).tolist(), []
        for y, end in zip(values, ends):
            rows_of_y = [c[end - y.size : end] for c in rows]
            parts = [np.reshape(c, y.shape + x.shape) for c, x in zip(rows_of_y, leaves)]
            block = tree.unflatten(structure, own(parts, []))
            blocks.append(block if isinstance(argnum, tuple) else block[0])
        return tree.unflatten(out_structure, blocks)

    return of_arguments


def hessian(f: Callable[P, Any], argnum: int | tuple[int, ...] = 0) -> Callable[P, Any]:
    """Return a function that computes the Hessian of a scalar f, the Jacobian of its gradient.

    Its shape is ``argument.shape * 2``. For its product with one vector v take
    ``jvp(grad(f), (x,), (v,))[1]`` instead, which costs a few gradients.
    """
    return jacobian(grad(f, argnum), argnum)
