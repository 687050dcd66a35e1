"""A function's source taken apart into lines, which can be run from any line on.

The code is straight-line: assignments, then one return, with no branch and no loop. So the
variables before each line can be kept, one line can be exchanged for another, and only the lines
after it have to run again:

    >>> code = taken_apart("def f(x):\\n    y = x * x\\n    return y + 1")
    >>> before = code.states([2.0])
    >>> code.run(before[1], 1)
    5.0
"""

import ast
import inspect
import textwrap
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import tree

RETURNED = "return"  # takes what is returned; no variable can have the name of a keyword
SEE = "<see>"
STRAIGHT = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Delete, ast.Pass)


class Line(NamedTuple):
    """One statement.

    Attributes
    ----------
    number : int
        Counted from the line of ``def``, which is line 1.
    text : str
    statement : ast.stmt
        ``return x`` is kept as an assignment to `RETURNED`.
    """

    number: int
    text: str
    statement: ast.stmt

    def sets(self) -> set[str]:
        """Return the variables that the line binds or changes."""
        changed = set()
        for node in ast.walk(self.statement):
            if isinstance(getattr(node, "ctx", None), ast.Store):
                while isinstance(node, (ast.Subscript, ast.Attribute, ast.Starred)):
                    node = node.value
                changed |= {node.id} if isinstance(node, ast.Name) else set()
        return changed

    def reads(self) -> set[str]:
        """Return the names that the line reads."""
        names = [node for node in ast.walk(self.statement) if isinstance(node, ast.Name)]
        # x += 1 and x[0] = 1 read x
        binds = isinstance(self.statement, (ast.Assign, ast.AnnAssign))
        return {node.id for node in names if isinstance(node.ctx, ast.Load) or not binds}


class Code:
    """A function of straight-line code.

    Attributes
    ----------
    parameters : list of str
    lines : list of Line
        The last is the return.
    namespace : dict
        The names that the code finds around it.
    """

    def __init__(self, parameters: list[str], lines: list[Line], namespace: dict[str, Any]):
        self.parameters, self.lines, self.namespace = parameters, lines, namespace
        self._codes = [compiled_line(line.statement) for line in lines]

    def states(self, args: list[Any]) -> list[dict[str, Any]]:
        """Return the variables before each line, and after the last.

        The list is shorter if a line fails: its last item is then the variables before that line.
        """
        variables = {*self.parameters}.union(*[line.sets() for line in self.lines])
        env = {**self.namespace, **copied(dict(zip(self.parameters, args)))}
        known = {*self.parameters}
        states = [copied({name: env[name] for name in known})]
        for line, code in zip(self.lines, self._codes):
            try:
                exec(code, env)
            except Exception:
                break
            known = (known | line.sets()) & variables & env.keys()
            states.append(copied({name: env[name] for name in known}))
        return states

    def run(self, state: dict[str, Any], start: int, instead: Any = None) -> Any:
        """Run the lines from ``start`` on; return what the function returns.

        Parameters
        ----------
        state : dict
            The variables before that line.
        start : int
        instead : code, optional
            What is run in the place of the first of the lines.
        """
        env = {**self.namespace, **copied(state)}
        for code in [instead or self._codes[start], *self._codes[start + 1 :]]:
            exec(code, env)
        return env[RETURNED]

    def of_value(self) -> list[int]:
        """Return the numbers of the lines on which the returned value depends.

        They are found by walking back from ``return value, cotangents``; with another return there
        are none.
        """
        value = self.value()
        if value is None:
            return []
        needed = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        found = []
        for n in reversed(range(len(self.lines) - 1)):
            line = self.lines[n]
            if line.sets() & needed:
                needed |= line.reads()
                found.append(n)
        return found[::-1]

    def value(self) -> ast.expr | None:
        """Return the expression of the value in ``return value, cotangents``."""
        returned = getattr(self.lines[-1].statement, "value", None)
        is_pair = isinstance(returned, ast.Tuple) and len(returned.elts) == 2
        return returned.elts[0] if is_pair else None


def compiled_line(statement: ast.stmt) -> Any:
    """Compile one statement."""
    return compile(ast.Module([ast.fix_missing_locations(statement)], []), "<by hand>", "exec")


def copied(variables: dict[str, Any]) -> dict[str, Any]:
    """Copy the arrays among the variables, which a line may write into."""
    return {name: _copy(x) for name, x in variables.items()}


def _copy(x):
    if isinstance(x, (tuple, list, dict)):
        return tree.map(_copy, x)
    return x.copy() if type(x) is np.ndarray else x


def text_and_function(given: Any) -> tuple[str | None, Callable]:
    """Return the source of a function and the function, given either.

    Of a function whose source is not kept anywhere, as of one that `exec` has made, the source is
    None. In a text with several functions the last is meant.
    """
    if callable(given):
        try:
            return textwrap.dedent(inspect.getsource(inspect.unwrap(given))), given
        except (OSError, TypeError):
            return None, given
    text = textwrap.dedent(given)
    definitions = [x for x in ast.parse(text).body if isinstance(x, ast.FunctionDef)]
    namespace: dict[str, Any] = {"np": np}
    exec(compile(text, "<by hand>", "exec"), namespace)
    return text, namespace[definitions[-1].name]


def taken_apart(given: Any) -> Code | None:
    """Take a function apart, or a text with one; return None if it is not straight-line code."""
    text, function = text_and_function(given)
    function = inspect.unwrap(function)
    if text is None or not isinstance(function, types.FunctionType):
        return None
    try:
        body = ast.parse(text).body
    except SyntaxError:  # of a lambda in the middle of an expression
        return None
    definitions = [x for x in body if isinstance(x, ast.FunctionDef)]
    if not definitions or definitions[-1].name != function.__name__:
        return None
    definition = definitions[-1]
    given_by = definition.args
    if given_by.vararg or given_by.kwarg or given_by.kwonlyargs:
        return None
    *statements, last = definition.body
    if not isinstance(last, ast.Return) or last.value is None:
        return None
    if not all([isinstance(x, STRAIGHT) for x in statements]):
        return None
    lines = [_line(text, definition, statement) for statement in definition.body]
    parameters = [x.arg for x in [*given_by.posonlyargs, *given_by.args]]
    closed = inspect.getclosurevars(function)
    return Code(parameters, lines, {**function.__globals__, **closed.nonlocals})


def _line(text, definition, statement):
    segment = " ".join((ast.get_source_segment(text, statement) or "").split())
    number = statement.lineno - definition.lineno + 1
    if isinstance(statement, ast.Return):
        target = ast.Name(RETURNED, ast.Store())
        statement = ast.copy_location(ast.Assign([target], statement.value), statement)
    return Line(number, segment, statement)
