"""What each part of a line contributes to a cotangent.

In the lines that compute the value, every expression x is replaced by x + d with d = 0. The
cotangent of d is then that of the expression. Where the expression is a variable, it is what this
one use contributes to the cotangent of the variable, which is the sum over its uses (Griewank and
Walther (2008), section 3.2: a value that is used twice gets two contributions).
"""

import ast
import copy
from typing import Any, NamedTuple

import numpy as np

from ...autodiff import vjp
from ...types import Array, Tree
from .lines import RETURNED, Code, compiled_line
from .points import is_floating

SEE = "<see>"


class Part(NamedTuple):
    """An expression in a line of the value, and its cotangent.

    Attributes
    ----------
    line : int
        The number of the line among those of the code.
    text : str
    is_use : bool
        Whether it is a variable or an element of one, and not an operation.
    cotangent : array
    """

    line: int
    text: str
    is_use: bool
    cotangent: Array


def contributions(code: Code, state: dict[str, Any], seed: Tree) -> dict[int, Part]:
    """Return the cotangents of all parts of the lines that compute the value.

    Parameters
    ----------
    code : Code
    state : dict
        The variables before the first line.
    seed : array or container of arrays
        The cotangent of the value.

    Returns
    -------
    dict
        By the number of the part, which is the same at each point. It is empty where the engine
        cannot differentiate the lines.
    """
    marked = _Marked()
    codes: list[Any] = []
    seen: dict[int, Array] = {}

    def run(see):
        env = {**code.namespace, **state, SEE: see}
        for line in codes:
            exec(line, env)
        return env[RETURNED.format(0)]

    def keep(n, x):
        if is_floating(x):
            seen[n] = np.zeros(np.shape(x))
        return x

    try:
        codes += [compiled_line(marked.line(n, code.lines[n].statement)) for n in code.of_value()]
        run(keep)
        _, pullback = vjp(lambda d: run(lambda n, x: x + d[n] if n in d else x), seen)
        (cotangents,) = pullback(seed)
    except Exception:  # whatever the lines raise
        return {}
    return {n: marked.parts[n]._replace(cotangent=c) for n, c in cotangents.items()}


class _Marked(ast.NodeTransformer):
    """Puts ``see(n, x)`` in the place of the n-th expression x."""

    def __init__(self):
        self.parts: list[Part] = []

    def line(self, n, statement):
        self._line = n
        return ast.fix_missing_locations(self.visit(copy.deepcopy(statement)))

    def visit(self, node):
        text = ast.unparse(node)
        is_use = isinstance(node, (ast.Name, ast.Subscript))
        node = self.generic_visit(node)
        if not isinstance(node, ast.expr) or isinstance(node, (ast.Slice, ast.Starred)):
            return node
        if isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del)):
            return node
        number = ast.Constant(len(self.parts))
        self.parts.append(Part(self._line, text, is_use, np.zeros(())))
        return ast.Call(ast.Name(SEE, ast.Load()), [number, node], [])
