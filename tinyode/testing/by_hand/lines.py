r"""A function's source taken apart into lines, which can be run from any line on.

The code is straight-line: assignments, then one return, with no branch and no loop. So the
variables before each line can be kept, one line can be exchanged for another, and only the lines
after it have to run again:

    >>> text = "def f(x, a):\n    y = x * x\n    return y + 1, (2 * x * a,)"
    >>> code = taken_apart(*text_and_function(text))
    >>> before = code.states([2.0, 1.0])
    >>> code.run(before[1], 1)
    (5.0, (4.0,))
"""

import ast
import inspect
import textwrap
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

RETURNED = "return {}"  # takes what is returned; no variable has a name with a space
STRAIGHT = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Delete, ast.Pass)


class Line(NamedTuple):
    """One statement, or one element of what is returned.

    Attributes
    ----------
    number : int
        Counted from the line of ``def``, which is line 1.
    text : str
    statement : ast.stmt
        Of ``return value, (first, second)`` there are three lines, each an assignment to a name of
        `RETURNED`.
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
        # x += 1 reads x
        binds = isinstance(self.statement, (ast.Assign, ast.AnnAssign))
        return {node.id for node in names if isinstance(node.ctx, ast.Load) or not binds}


class Code:
    """A function of straight-line code, which returns the value and a tuple of cotangents.

    Attributes
    ----------
    parameters : list of str
    lines : list of Line
        The last ones are what is returned.
    namespace : dict
        The names that the code finds around it.
    first_returned : int
        The number among the lines of the one for the value; those of the cotangents follow.
    """

    def __init__(self, parameters: list[str], lines: list[Line], namespace: dict[str, Any]):
        self.parameters, self.lines, self.namespace = parameters, lines, namespace
        self._codes = [compiled_line(line.statement) for line in lines]
        self._sets = [line.sets() for line in lines]
        self.first_returned = [RETURNED.format(0) in names for names in self._sets].index(True)

    def states(self, args: list[Any]) -> list[dict[str, Any]]:
        """Return the variables before each line, and after the last.

        The variables that a line sets are missing after it if the line fails.
        """
        env = {**self.namespace, **copied(dict(zip(self.parameters, args)))}
        known = {*self.parameters}
        states = [copied({name: env[name] for name in known})]
        for n in range(len(self.lines)):
            self._step(env, n, self._codes[n])
            known = (known | self._sets[n]) & env.keys()
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
        for n in range(start, len(self.lines)):
            self._step(env, n, (n == start and instead) or self._codes[n])
        return self.returned(env)

    def _step(self, env, n, code):
        try:
            exec(code, env)
        except Exception:
            for name in self._sets[n]:
                env.pop(name, None)

    def returned(self, state: dict[str, Any]) -> tuple[Any, tuple]:
        """Return what the function returns, with None in the places of what could not be computed.

        ``state`` has the variables after the last line.
        """
        number = len(self.lines) - self.first_returned
        value, *cotangents = [state.get(RETURNED.format(n)) for n in range(number)]
        return value, tuple(cotangents)

    def variables(self) -> list[str]:
        """Return the variables, in the order in which they come."""
        names = [name for names in self._sets[: self.first_returned] for name in sorted(names)]
        return self.parameters + names

    def needed_by(self, wanted: Iterable[int]) -> list[int]:
        """Return the numbers of these lines and of all on which they depend."""
        found = {*wanted}
        needed: set[str] = set()
        for n in reversed(range(len(self.lines))):
            if n in found or self._sets[n] & needed:
                found.add(n)
                needed |= self.lines[n].reads()
        return sorted(found)

    def of_value(self) -> list[int]:
        """Return the numbers of the lines on which the returned value depends."""
        return self.needed_by([self.first_returned])


def compiled_line(statement: ast.stmt) -> Any:
    """Compile one statement."""
    return compile(ast.Module([statement], []), "<by hand>", "exec")


def copied(x: Any) -> Any:
    """Copy arrays, and containers of arrays, which a line may write into."""
    if type(x) is dict:
        return {key: copied(value) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)([copied(value) for value in x])
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
    definitions = _definitions(text)
    if not definitions:
        raise ValueError(f"check_by_hand: there is no function in the source {text!r:.60}")
    namespace: dict[str, Any] = {"np": np}
    exec(compile(text, "<by hand>", "exec"), namespace)
    return text, namespace[definitions[-1].name]


def _definitions(text):
    return [x for x in ast.parse(text).body if isinstance(x, ast.FunctionDef)]


def taken_apart(text: str, function: Callable) -> Code | None:
    """Take a function and its text apart.

    The value is None if it is not straight-line code with a return at its end.
    """
    function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType):
        return None
    try:
        definitions = _definitions(text)
    except SyntaxError:  # of a lambda in the middle of an expression
        return None
    if not definitions or definitions[-1].name != function.__name__:
        return None
    definition = definitions[-1]
    given_by, (*statements, last) = definition.args, definition.body
    if given_by.vararg or given_by.kwarg or given_by.kwonlyargs:
        return None
    if not all([isinstance(x, STRAIGHT) for x in statements]):
        return None
    if not isinstance(last, ast.Return) or last.value is None:
        return None
    first = definition.lineno - 1
    lines = [Line(x.lineno - first, _in_one_line(text, x), x) for x in statements]
    number, said = last.lineno - first, _in_one_line(text, last)
    parameters = [x.arg for x in [*given_by.posonlyargs, *given_by.args]]
    defaults = function.__defaults__ or ()
    needed = len(parameters) - len(defaults)
    parameters, optional = parameters[:needed], dict(zip(parameters[needed:], defaults))
    value, cotangents = _items(last.value, 2)
    for n, x in enumerate([value, *_items(cotangents, len(parameters) - 1)]):
        target = ast.Name(RETURNED.format(n), ast.Store())
        statement = ast.copy_location(ast.Assign([target], x), last)
        lines.append(Line(number, said, ast.fix_missing_locations(statement)))
    around = {**function.__globals__, **inspect.getclosurevars(function).nonlocals, **optional}
    if any([_may_hang(around.get(name)) for line in lines for name in line.reads()]):
        return None
    return Code(parameters, lines, around)


def _may_hang(helper):
    """Whether a function that the code calls may run for ever when it gets something else."""
    text = text_and_function(helper)[0] if isinstance(helper, types.FunctionType) else None
    return text is not None and "while " in text


def _items(x, n):
    """Return the expressions for the n items of a tuple, which may have a name."""
    if isinstance(x, (ast.Tuple, ast.List)) and len(x.elts) == n:
        return x.elts
    return [ast.Subscript(x, ast.Constant(i), ast.Load()) for i in range(n)]


def _in_one_line(text, statement):
    return " ".join((ast.get_source_segment(text, statement) or "").split())
