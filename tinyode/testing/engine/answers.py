"""What a student's engine answers to a program, and whether it is right.

Right is what the library says, after finite differences have confirmed it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...autodiff import grad
from ...types import Array
from ..differences import central_difference, inner, random_like
from .programs import INPUTS, Program, Refused

# Values stay below 10 and programs have seven steps at most, so rounding stays far below this.
RTOL = 1e-8
LARGEST = 10.0
# Differences were within 1.4e-9 of the library's, relative to 1 + |derivative|, on 2500 programs.
RTOL_OF_DIFFERENCES = 1e-6
NUMBERS = (np.ndarray, np.floating, float)


class Wrong(NamedTuple):
    """What was found on a program: gradients, or the error that was raised."""

    program: Program
    found: list[Array] | Exception


def is_moderate(program):
    """Whether no value is so large that rounding could be taken for a mistake."""
    with np.errstate(all="ignore"):
        values = program.values(program.inputs()).values()
    return all([np.all(np.abs(value) <= LARGEST) for value in values])


def wrong_on(program, gradient):
    """Return `Wrong`, or None where the gradients of a program are right."""
    expected = expected_on(program)
    try:
        found = answer_to(program, gradient)
    except Exception as error:
        return Wrong(program, error)
    return None if all(map(same, found, expected)) else Wrong(program, found)


def same(x, y):
    """Whether two arrays have the same shape and agree."""
    scale = RTOL * (1 + np.max(np.abs(y), initial=0.0))
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=0, atol=scale)


def expected_on(program):
    """Return the library's gradients, after finite differences have confirmed them."""
    inputs = program.inputs()
    gradients = grad(program, tuple(range(len(inputs))))(*inputs)
    v = tuple(random_like(np.random.default_rng(0), inputs))
    along_v = central_difference(program, tuple(inputs), v)
    if abs(inner(gradients, v) - along_v) > RTOL_OF_DIFFERENCES * (1 + abs(along_v)):
        raise RuntimeError(
            "check_engine: the library's own gradient is not that of finite differences:"
            f"\n{program}"
        )
    return [np.asarray(gradient) for gradient in gradients]


def answer_to(program: Program, gradient: Callable[..., Any]) -> list[Array]:
    """Return the student's gradients, as arrays; refuse what are no gradients."""
    inputs = program.inputs()
    found = gradient(lambda *inputs: program(*inputs), *inputs)
    for name, before, after in zip(INPUTS, program.inputs(), inputs):
        if not np.array_equal(before, after):
            raise Refused(
                f"gradient has written into its argument {name}; what it was given must stay as it"
                " was. Is a += or x[...] = done to the array itself? Make a new one: a = a + b"
            )
    if not isinstance(found, (list, tuple)):
        raise Refused(
            f"gradient returned {_described(found)}; it must return a list or a tuple with one"
            f" array for each argument, here {len(inputs)}"
        )
    if len(found) != len(inputs):
        raise Refused(
            f"gradient returned {len(found)} gradients for {len(inputs)} arguments; it must return"
            " one for each, in the order of the arguments"
        )
    return [_checked_one(program, i, x) for i, x in enumerate(found)]


def _checked_one(program, i, x):
    """Return one gradient as an array."""
    name = INPUTS[i]
    if x is None and name in program.unused():
        raise Refused(
            f"the gradient for {name} is None. L does not depend on {name}, so it is zero: return"
            f" np.zeros_like({name})"
        )
    if x is None:
        raise Refused(
            f"the gradient for {name} is None, so nothing has arrived at {name}. Does each"
            " operation keep all its operands, and does the walk reach them?"
        )
    x = float(x) if type(x) is int else x  # the 0 that a gradient begins with
    if not isinstance(x, NUMBERS) or np.asarray(x).dtype.name != "float64":
        raise Refused(
            f"the gradient for {name} is {_described(x)}; it must be an array of shape"
            f" {program.shapes[i]} and dtype float64"
        )
    if not np.all(np.isfinite(x)):
        raise Refused(f"the gradient for {name} is not finite: {x}")
    return np.array(x, dtype=float)


def _described(x):
    if isinstance(x, np.ndarray):
        return f"an array of shape {x.shape} and dtype {x.dtype}"
    return "None (is the return missing?)" if x is None else f"an object of type {type(x).__name__}"
