"""Functions that make derivatives of functions: `vjp` is the one that works, the others are a few
lines each in its terms.

For f: R^n -> R^m with Jacobian J (m x n), reverse mode gives the product w^T J for the price of a
few evaluations of f, whatever n is. That product is the *pullback* of the *cotangent* w:

    >>> value, pullback = vjp(lambda x: np.sin(x) * x, np.array([1.0, 2.0]))
    >>> pullback(np.ones(2))[0]            # cos(x) x + sin(x)
    array([1.38177329, 0.07700375])

All of them take and return containers (nested tuples, lists and dicts) wherever an array can stand.
Python numbers and whole numbers become float64, float32 stays float32, and a cotangent has the
shape and dtype of its primal. What cannot be differentiated is an error that names it: see
`tinyode.autodiff.trace` for how, and `tinyode.autodiff.rules` for the derivatives.

What ``np.array([x[0], 1.0])`` can do is said in `tinyode.autodiff.dispatch`. A traced array is not
an instance of ``np.ndarray``, nor a traced number of ``float``: ask for ``np.ndim(x)`` and
``x.dtype`` where code depends on such things. It is never written into.

A tape holds references to the arrays that the function met, not copies. So do not write into them:
neither into the primals before the pullback has been called, nor, inside the function, into a
buffer, a mask or a list of indices that has met a traced value (make a new one each time). ``x +=
1`` with a traced x makes a new array and binds x to it; another name for the old one, or a slice of
it, keeps the old values.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import tree
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
from .trace import Node, Trace, sweep


def vjp(f, *primals):
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
    leaves, structure = tree.flatten(primals)
    leaves = [x if type(x) is ndarray and x.dtype is FLOAT64 else as_primal(x) for x in leaves]
    fast = specialized(f, leaves, structure, tuple(range(len(leaves))))
    if fast:
        values, pull = fast.vjp(*leaves)
        out_structure, owned = fast.structure, fast.owned
    else:
        values, pull, out_structure = _by_tape(f, leaves, structure)
        owned = False

    def pullback(cotangent):
        seeds, seed_structure = tree.flatten(cotangent)
        check_structure(seed_structure, out_structure)
        seeds = [as_cotangent(g, y) for g, y in zip(seeds, values)]
        cotangents = pull(seeds)
        return tree.unflatten(structure, cotangents if owned else own(cotangents, seeds))

    # the caller may write into the value, and the pullback still needs it
    theirs = values if owned else [y.copy()[()] if type(y) is ndarray else y for y in values]
    return tree.unflatten(out_structure, theirs), pullback


def _by_tape(f, leaves, structure):
    """Return the leaves of f's value, their pullback, and the structure of the value."""
    trace = Trace()
    try:
        outputs, out_structure = tree.flatten(f(*tree.unflatten(structure, trace.inputs(leaves))))
        return *_close(trace, outputs, leaves), out_structure
    except (TypeError, ValueError) as error:
        say_line(error)
        raise
    finally:
        trace.close()


class Specialized(NamedTuple):
    """A function for arguments of one structure, with these shapes and dtypes.

    Attributes
    ----------
    value : function
        ``value(*leaves)`` returns the leaves of the function's value in a list.
    vjp : function
        ``vjp(*leaves)`` returns them, and ``pull``: ``pull(seeds)`` takes a list of their
        cotangents and returns a list of those of the wanted leaves.
    structure
        Of the function's value, as `tree.flatten` returns it.
    owned : bool
        Whether all that is returned is in arrays of its own, each in another one. If not, it may
        share memory with the arguments, and who hands it to a user copies it.
    """

    value: Callable
    vjp: Callable
    structure: object
    owned: bool


def specialized(f, leaves, structure, wanted=()):
    """Return what a callable offers for arguments like these, a `Specialized`, or None.

    This is the one place where the engine, the solvers and the sensitivities ask a callable for
    anything but its value. One that knows a faster way to its value and its vector-Jacobian
    products, as a compiled function does, has a method ``specialized(leaves, structure, wanted)``.
    It is asked once per solve, and what it returns is called at every evaluation.

    Parameters
    ----------
    f : callable
    leaves, structure
        An example of its arguments, as `tree.flatten` takes a tuple of them apart: only the
        structure, the shapes and dtypes, and leaves that are no numbers count.
    wanted : tuple of int
        The positions of the leaves that ``vjp`` differentiates with respect to.

    Returns
    -------
    Specialized or None
        None where f has no such method, or offers nothing for these: a leaf is traced, for one. The
        caller then calls f, and differentiates it by the tape.
    """
    offer = getattr(f, "specialized", None)
    return offer(leaves, structure, wanted) if offer else None


def check_structure(of_cotangent, of_value):
    """Refuse a cotangent that is not put together like the value."""
    if of_cotangent != of_value:
        raise ValueError(
            f"pullback: the cotangent has the structure {tree.describe(of_cotangent)}, the"
            f" function's value {tree.describe(of_value)}; they must agree"
        )


def vjp_of_list(f, leaves):
    """The inside of `vjp`, for code whose arguments need no check: f takes arrays and returns a
    list of arrays.

    The pullback takes and returns lists; its cotangents may share memory with each other and with
    what it was given.
    """
    trace = Trace()
    try:
        return _close(trace, f(*trace.inputs(leaves)), leaves)
    except (TypeError, ValueError) as error:
        say_line(error)
        raise
    finally:
        trace.close()


def _close(trace, outputs, leaves):
    """End a trace: return the values of its outputs, and the function from their cotangents to
    those of the inputs.
    """
    positions, values = [], []
    for y in outputs:
        if type(y) is not Node:
            y = as_output(y)
        if type(y) is Node and y.handle is trace:
            positions.append(y.index)
            values.append(y.value)
        else:
            if type(y) is Node and (y.handle.level > trace.level or not y.handle.tape):
                y + 0.0  # a Node of a trace that is over, which this says
            positions.append(None)
            values.append(y)
    tape = trace.close()

    def pull(seeds):
        found = sweep(
            tape, [(i, g) for i, g in zip(positions, seeds) if i is not None], len(leaves)
        )
        return [
            (
                np.zeros(x.shape, x.dtype)[()]
                if c is None
                else c
                if c.dtype is x.dtype
                else c.astype(x.dtype)
            )
            for c, x in zip(found, leaves)
        ]

    return values, pull


def jvp(f, primals, tangents):
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
    _, pushforward = vjp(
        pullback, tree.map(lambda y: np.zeros(np.shape(y), getattr(y, "dtype", float)), value)
    )
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


def value_and_grad(f, argnum=0):
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


def grad(f, argnum=0):
    """Return a function that computes the gradient of f; see `value_and_grad`."""
    with_gradient = value_and_grad(f, argnum)

    @functools.wraps(f)
    def gradient(*args, **kwargs):
        return with_gradient(*args, **kwargs)[1]

    return gradient


def jacobian(f, argnum=0):
    """Return a function that computes the Jacobian of f, row by row: one vector-Jacobian product
    per element of the value.

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
        value, pullback = vjp(of_selected, *selected)
        leaves, structure = tree.flatten(value)
        for leaf in leaves:
            check_floating("jacobian", leaf)
        like = tuple(selected) if isinstance(argnum, tuple) else selected[0]
        blocks = []
        for k, leaf in enumerate(leaves):
            rows = []
            for j in range(np.size(leaf)):
                seeds = [np.zeros(np.shape(other)) for other in leaves]
                seeds[k].flat[j] = 1.0
                row = pullback(tree.unflatten(structure, seeds))
                rows.append(row if isinstance(argnum, tuple) else row[0])
            blocks.append(tree.map(functools.partial(_join_rows, np.shape(leaf)), like, *rows))
        return tree.unflatten(structure, blocks)

    return of_arguments


def _join_rows(shape, x, *rows):
    """Return the rows, each shaped like x, as one array of shape ``shape + x.shape``."""
    dtype = np.result_type(x)
    return (
        np.reshape(np.stack(rows), shape + np.shape(x))
        if rows
        else np.zeros(shape + np.shape(x), dtype if dtype.kind == "f" else float)
    )


def hessian(f, argnum=0):
    """Return a function that computes the Hessian of a scalar f, the Jacobian of its gradient;
    shape ``argument.shape * 2``.

    For the product with one vector it is not needed: ``jvp(grad(f), (x,), (v,))[1]``, at the price
    of a few gradients.
    """
    return jacobian(grad(f, argnum), argnum)
