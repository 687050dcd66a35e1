"""Small programs of a few operations, which `check_engine` lets a student's engine differentiate.

A `Program` is a function of one to three arrays. It computes with `+`, `*`, `@`, `np.tanh` and
`.sum()`, so it runs on plain arrays, on the nodes of this library, and on the objects of a
student's engine. Its text is NumPy code that can be copied and run.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...types import Array
from ..drawing import Choose

INPUTS, BETWEEN = "xyz", "abcdef"


class Refused(Exception):
    """What a student's engine did is no answer; the message says why.

    ``operation`` is the one that the engine cannot carry out, if that is the reason.
    """

    def __init__(self, message, operation=None):
        super().__init__(message)
        self.operation = operation


class Step(NamedTuple):
    """One line of a program: ``name = operation of operands``."""

    name: str
    operation: str
    operands: tuple[str, ...]

    def __str__(self):
        return f"{self.name} = {SHOWN[self.operation].format(*self.operands)}"


SHOWN = {"+": "{} + {}", "*": "{} * {}", "@": "{} @ {}", "tanh": "np.tanh({})", "sum": "{}.sum()"}


def _tanh(x):
    """Call the method of an engine as NumPy does, also where NumPy would take x for a sequence."""
    return x.tanh() if hasattr(x, "tanh") else np.tanh(x)


APPLY: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "@": operator.matmul,
    "tanh": _tanh,
    "sum": operator.methodcaller("sum"),
}
METHOD = {"+": "__add__", "*": "__mul__", "@": "__matmul__", "tanh": "tanh", "sum": "sum"}
OPERATIONS = (*APPLY, "broadcasting")


class Program(NamedTuple):
    """A function of arrays; the value of its last step, L, is a number.

    Attributes
    ----------
    shapes : tuple of tuples
        Those of its arguments, x, y, z.
    steps : tuple of Step
    seed : int
        What the numbers are drawn with.
    """

    shapes: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    seed: int

    def __call__(self, *inputs: Any) -> Any:
        """Return L."""
        return self.values(inputs)["L"]

    def values(self, inputs: Sequence[Any]) -> dict[str, Any]:
        """Return every value by its name."""
        values = dict(zip(INPUTS, inputs))
        for step in self.steps:
            values[step.name] = _carried_out(step, [values[name] for name in step.operands])
        return values

    def inputs(self) -> list[Array]:
        """Return numbers for the arguments, all of different size, from 0.2 to 1.95."""
        rng = np.random.default_rng(self.seed)
        numbers = rng.permutation(np.arange(4, 40)) * rng.choice([-5, 5], 36) / 100
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        parts = np.split(numbers, np.cumsum(sizes))
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes)]

    def __str__(self):
        given = [f"{name} = np.array({x.tolist()})" for name, x in zip(INPUTS, self.inputs())]
        return "\n".join("    " + line for line in [*given, *map(str, self.steps)])

    def needed(self) -> "Program":
        """Return the program without the steps and the arguments that L does not depend on."""
        names, steps = self._reached()
        used = [i for i in range(len(self.shapes)) if INPUTS[i] in names]
        new = {INPUTS[i]: name for i, name in zip(used, INPUTS)}
        steps = [s._replace(operands=tuple([new.get(n, n) for n in s.operands])) for s in steps]
        return Program(tuple([self.shapes[i] for i in used]), tuple(steps), self.seed)

    def without_idle_steps(self) -> "Program":
        """Return the program without the steps that L does not depend on."""
        return self._replace(steps=tuple(self._reached()[1]))

    def unused(self) -> list[str]:
        """Return the arguments that L does not depend on."""
        names, _ = self._reached()
        return [name for name in INPUTS[: len(self.shapes)] if name not in names]

    def _reached(self):
        """Return the names that L depends on, and the steps."""
        names, steps = {"L"}, list[Step]()
        for step in reversed(self.steps):
            if step.name in names:
                names.update(step.operands)
                steps.insert(0, step)
        return names, steps

    def broadcasts(self) -> list[Step]:
        """Return the steps whose two operands have different shapes."""
        values = self.values(self.inputs())
        elementwise = [step for step in self.steps if step.operation in "+*"]
        return [
            step for step in elementwise if len({np.shape(values[n]) for n in step.operands}) > 1
        ]


def _carried_out(step, operands):
    """Return the value of a step; say what an engine lacks for it."""
    try:
        value = APPLY[step.operation](*operands)
    except (TypeError, AttributeError) as error:
        method = METHOD[step.operation]
        lacking = [x for x in operands if getattr(x, method, None) is None and not _is_plain(x)]
        if not lacking or (method == "tanh" and getattr(lacking[0], "__array_ufunc__", None)):
            raise
        kind = type(lacking[0]).__name__
        raise Refused(
            f"your engine has no {_shown(step.operation)}: the line `{step}` raised"
            f" {type(error).__name__}: {error}. Give {kind} a method `{method}`",
            step.operation,
        ) from error
    if value is None or (_is_plain(value) and not all(map(_is_plain, operands))):
        kind = next(type(x).__name__ for x in operands if not _is_plain(x))
        raise Refused(
            f"the {_shown(step.operation)} of your engine loses the history: in the line `{step}`"
            f" it returned {'None' if value is None else 'a plain ' + type(value).__name__};"
            f" `{METHOD[step.operation]}` must return a new {kind}"
        )
    return value


def _shown(operation):
    return f"`{operation}`" if operation in "+*@" else f"`{operation}()`"


def _is_plain(x):
    return type(x) in (np.ndarray, float, int) or isinstance(x, np.generic)


def drawn(choose: Choose, operations: Sequence[str], size: int) -> Program:
    """Draw a program.

    Parameters
    ----------
    choose : function
        See `drawing.Choose`.
    operations : sequence of str
        Which of `OPERATIONS` it may have.
    size : int
        Axes have 2 to ``size`` elements, and 1 where broadcasting is allowed.
    """
    sides = [*range(2, size + 1), *([1] if "broadcasting" in operations else [])]
    pairs = [(n, m) for n in sides for m in sides]
    arrays = [*[(n,) for n in sides], *pairs] if "sum" in operations else []
    shapes = tuple([choose([(), *arrays]) for _ in range(choose([1, 2, 3]))])
    of = dict(zip(INPUTS, shapes))
    steps: list[Step] = []
    for name in BETWEEN[: choose([1, 2, 3, 4, 5, 6, 6, 6])]:  # long programs show more
        possible = {
            operation: operands
            for operation in APPLY
            if operation in operations
            and (operands := list(_fitting(operation, of, "broadcasting" in operations)))
        }
        if choose([True, True, True, False]):  # go on from the newest value
            newest = next(reversed(of))
            going_on = {o: [x for x in xs if newest in x[0]] for o, xs in possible.items()}
            possible = {o: xs for o, xs in going_on.items() if xs} or possible
        if not possible:
            break
        operation = choose(list(possible))
        operands, of[name] = choose(possible[operation])
        steps.append(Step(name, operation, operands))
    last = steps[-1].name if steps else INPUTS[0]
    if of[last] or not steps:
        steps.append(Step("L", "sum", (last,)))
    else:
        steps[-1] = steps[-1]._replace(name="L")
    return Program(shapes, tuple(steps), choose(range(100)))


def _fitting(operation, of, broadcasting):
    """Yield the operands that an operation can have, with the shape of the result; new ones first.

    Products of matrices are of matrices alone: with vectors they have other rules.
    """
    names = list(reversed(of))
    if operation in ("tanh", "sum"):
        for a in names:
            if operation == "tanh" or of[a]:
                yield (a,), of[a] if operation == "tanh" else ()
        return
    for a in names:
        for b in names:
            if operation == "@":
                if len(of[a]) == len(of[b]) == 2 and of[a][1] == of[b][0]:
                    yield (a, b), (of[a][0], of[b][1])
            elif of[a] == of[b]:
                yield (a, b), of[a]
            elif broadcasting:
                try:
                    yield (a, b), np.broadcast_shapes(of[a], of[b])
                except ValueError:
                    continue
