"""`check_engine`: is this reverse mode, and if not, which mistake was made?

Programs are drawn (`programs`), the student's gradients are compared with the library's and with
finite differences (`answers`), and what is wrong is told (`words`) by making it (`mistakes`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..calls import watch_calls
from ..drawing import check_examples, smallest_found
from .answers import is_moderate, wrong_on
from .mistakes import ORDER
from .programs import APPLY, OPERATIONS, Program, Step, drawn
from .words import report

MORE = 20  # numbers, in the check of how often f is called
# A walk that visits each value once takes twice as many calls for twice as many lines, one that
# visits each path 2^6 times as many. 16 is what the fourth power of the number of lines would give.
FEW, MANY_TIMES = 6, 16


def check_engine(
    gradient: Callable[..., Any], operations: Sequence[str] = OPERATIONS, max_examples: int = 60
) -> None:
    """Hold a reverse mode of your own against the library's, and that against finite differences.

    Programs of one to seven lines are drawn by hypothesis, such as

        a = x * y
        b = np.tanh(a)
        L = b.sum()

    and the smallest that fails is shown, with its numbers.

    Parameters
    ----------
    gradient : function
        ``gradient(f, *arrays)`` returns a list or tuple: the gradient of the number f(*arrays) with
        respect to each of the arrays, an array of the same shape; zeros where f does not depend on
        it. For an engine with a class ``Var`` and a walk ``walk_back(output, inputs)``::

            def gradient(f, *arrays):
                inputs = [Var(x) for x in arrays]
                return walk_back(f(*inputs), inputs)

    operations : sequence of str
        What the engine can do, some of "+", "*", "@" (of two matrices), "tanh" (``np.tanh(x)``,
        which calls ``x.tanh()``), "sum" (``x.sum()``) and "broadcasting" (operands of + and * may
        have different shapes). Without "sum", all values are numbers, arrays of shape ().
    max_examples : int
        How many programs to draw: so many whose axes have two elements, so many with broadcasting,
        and so many whose axes have two or three.

    Raises
    ------
    AssertionError
        On the smallest program found, with what is wrong. A mistake that is often made is named in
        words: a value used twice, the order of the walk, broadcasting, a wrong rule (see
        `tinyode.testing.engine.mistakes`). So is an operation that the engine lacks, and an engine
        whose gradients are right but that walks every path, or calls f again for each number of
        its arguments, as differences do. (A forward mode that calls f once is not told apart.)
    TypeError, ValueError
        If ``gradient`` is not a function, ``operations`` are not of those above, ``max_examples``
        not 1 or more. What ``gradient`` raises is passed on.
    """
    if not callable(gradient):
        raise TypeError(
            f"check_engine: gradient must be a function gradient(f, *arrays); got {gradient!r:.60}"
        )
    check_examples("check_engine", max_examples)
    operations = _checked(operations)
    equal_shapes = tuple([operation for operation in operations if operation != "broadcasting"])
    for allowed, size in ((equal_shapes, 2), (operations, 2), (operations, 3)):
        wrong = _smallest_wrong(gradient, allowed, size, max_examples)
        if wrong is not None:
            report(gradient, operations, *wrong)
    _check_calls_of_f(gradient, operations)
    _check_cost(gradient, operations)


def _checked(operations):
    """Return the operations as a tuple; refuse those that are not known, or make no number."""
    operations = tuple(operations) if np.iterable(operations) else (operations,)
    unknown = [operation for operation in operations if operation not in OPERATIONS]
    if unknown or not {"+", "*", "tanh", "sum"} & set(operations):
        raise ValueError(
            f"check_engine: operations={operations} must be some of {OPERATIONS}, and one of them"
            " '+', '*', 'tanh' or 'sum'"
        )
    if "sum" not in operations and {"@", "broadcasting"} & set(operations):
        raise ValueError(
            f"check_engine: operations={operations} have no 'sum', so all values are numbers; leave"
            " out '@' and 'broadcasting', too"
        )
    return operations


def _smallest_wrong(gradient, operations, size, max_examples):
    """Return `Wrong` on the smallest program that is found, or None."""

    def moderate(choose):
        program = drawn(choose, operations, size)
        return program if is_moderate(program) else None

    wrong = smallest_found(lambda program: wrong_on(program, gradient), moderate, max_examples)
    if wrong is None:
        return None
    without_idle_steps = wrong_on(wrong.program.needed(), gradient)
    return wrong if without_idle_steps is None else without_idle_steps


def _check_calls_of_f(gradient, operations):
    """Raise AssertionError if f is called again for each number with respect to which it goes.

    Numbers are the elements of one array, or arguments where the engine has numbers alone.
    """

    def calls(n):
        count = 0

        def f(x, *others):
            nonlocal count
            count += 1
            for other in others:
                x = x + other if "+" in operations else x * other if "*" in operations else x
            return (
                x.sum() if "sum" in operations else APPLY["tanh"](x) if "tanh" in operations else x
            )

        numbers = np.linspace(0.5, 1.5, n)
        gradient(f, *([numbers] if "sum" in operations else map(np.array, numbers)))
        return count

    few, many = calls(2), calls(2 + MORE)
    if many - few >= MORE:
        of = "elements of one array" if "sum" in operations else "arguments"
        raise AssertionError(
            f"check_engine: the gradients are right, but f is called {few} times for 2 {of}, and"
            f" {many} times for {2 + MORE}, as for differences or a derivative with respect to each"
            " number by itself. Reverse mode calls f once, whatever their number, and one walk back"
            " gives all the derivatives"
        )


def _check_cost(gradient, operations):
    """Raise AssertionError if twice as many lines take far more than twice as many calls.

    Calls are counted, not seconds, so the result is the same each time.
    """
    twice = [operation for operation in operations if operation in "+*"]
    if not twice:
        return

    def calls(n):
        names = [*[f"v{i}" for i in range(n)], "L"]
        steps = [Step(new, twice[0], (old, old)) for old, new in zip(["x", *names], names)]
        frames: list[Any] = []
        program = Program(((),), tuple(steps), 0)
        watch_calls(lambda: gradient(program, np.array(0.5)), lambda frame: frames.append(1))
        return len(frames)

    few, many = calls(FEW), calls(2 * FEW)
    if many > MANY_TIMES * few:
        raise AssertionError(
            f"check_engine: the gradients are right, but {FEW} lines `b = a {twice[0]} a` take"
            f" {few} calls of functions, and {2 * FEW} lines {many}. Every path from L is walked by"
            f" itself, and their number doubles with each line. {ORDER}"
        )
