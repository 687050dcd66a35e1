"""`check_engine`: is this reverse mode, and if not, which mistake was made?

The programs are those of `tinyode.testing.drawn_programs`. `tinyode.testing.engine_words` says what
is wrong.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..checks import is_whole
from .conformance import hypothesis_and_strategies
from .drawn_programs import OPERATIONS, Program, Step, drawn
from .engine_answers import Wrong, is_moderate, wrong_on
from .engine_mistakes import ORDER
from .engine_words import report

# A walk that visits each value once takes twice as many calls for twice as many lines, one that
# visits each path 2^6 times as many. 16 is what the fourth power of the number of lines would give.
FEW, MANY_TIMES = 6, 16


def check_engine(
    gradient: Callable[..., Any], operations: Sequence[str] = OPERATIONS, max_examples: int = 100
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
        How many programs to draw: so many of matrices of two rows and columns, and so many of two
        and three.

    Raises
    ------
    AssertionError
        On the smallest program found, with what is wrong. A mistake that is often made is named in
        words: a value used twice, the order of the walk, broadcasting, a wrong rule (see
        `tinyode.testing.engine_mistakes`). So is an operation that the engine lacks, and an engine
        whose gradients are right but that walks every path.
    TypeError, ValueError
        If ``gradient`` is not a function, ``operations`` are not of those above, ``max_examples``
        not 1 or more. What ``gradient`` raises is passed on.
    """
    if not callable(gradient):
        raise TypeError(
            f"check_engine: gradient must be a function gradient(f, *arrays); got {gradient!r:.60}"
        )
    if not is_whole(max_examples, 1):
        raise ValueError(
            f"check_engine: max_examples={max_examples!r} must be a whole number, 1 or more"
        )
    operations = _checked(operations)
    for size in (2, 3):
        wrong = _smallest_wrong(gradient, operations, size, max_examples)
        if wrong is not None:
            report(gradient, operations, wrong)
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
    """Return `Wrong` on the smallest program that hypothesis finds, or None."""
    hypothesis, st = hypothesis_and_strategies()
    seen: list[Wrong] = []

    @hypothesis.settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(st.data())
    def on_program(data):
        program = drawn(lambda options: data.draw(st.sampled_from(options)), operations, size)
        hypothesis.assume(is_moderate(program))
        wrong = wrong_on(program, gradient)
        if wrong is not None:
            seen.append(wrong)
            raise wrong

    try:
        on_program()
    except Wrong as wrong:
        without_idle = wrong_on(wrong.program.needed(), gradient)
        return wrong if without_idle is None else without_idle
    except hypothesis.errors.Flaky:  # something is kept from one call to the next
        return min(seen, key=lambda wrong: len(wrong.program.steps))
    return None


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
        return _calls_of(lambda: gradient(Program(((),), tuple(steps), 0), np.array(0.5)))

    few, many = calls(FEW), calls(2 * FEW)
    if many > MANY_TIMES * few:
        raise AssertionError(
            f"check_engine: the gradients are right, but {FEW} lines `b = a {twice[0]} a` take"
            f" {few} calls of functions, and {2 * FEW} lines {many}. Every path from L is walked by"
            f" itself, and their number doubles with each line. {ORDER}"
        )


def _calls_of(function):
    """Return how many calls of functions a function makes."""
    count, before = 0, sys.getprofile()

    def counted(frame, event, arg):
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count
