"""Programs for JAX: the lines of `source` as JAX takes them, and no derivative unless it is ours.

JAX computes as NumPy does, with four exceptions, which this file minds:

- it cannot write into an array: results have no ``out=``, and helpers write by ``.at[index]``;
- a compiled function has no values while JAX compiles it, and axes, shapes and bounds must be
  known then: arrays of the program and whole numbers with a dtype stay NumPy's, as ``numpy``;
- bools and small whole numbers become float32, where NumPy makes float64: they are cast before;
- the text does not say what f says of its derivative (see `without_derivative`).
"""

import ast
import importlib
import re
from collections.abc import Callable
from operator import attrgetter

import numpy as np

from .. import tree
from ..autodiff.checks import FLOAT64
from .memory import Step
from .source import Writer
from .symbol import Method, Symbol, has_dtype
from .twice import is_number

# What stands in our helpers `place`, `scatter` and `check_columns`, and what takes its place.
IN_HELPERS = {
    r"result\[index\] = c$": "result = result.at[index].set(c)",
    r"np\.add\.at\(result, index, c\)$": (
        "result = result.at[index if type(index) is tuple else (index,)].add(c)"
    ),
    r"if np\.any\((.+)\):\n +raise .+$": r"g = np.where(\1, np.nan, g)",
}
CHOOSING = {np.where, np.select, np.choose}  # by bools or whole numbers, which must stay so


class WriterForJax(Writer):
    """Names and lines for JAX; see `Writer`."""

    header = "import jax.numpy as np\nimport numpy\n"
    _cast = False  # whether the arrays of the line that is being written become float64 first

    def steps(self, calls, kept):
        """Use no memory again: JAX sees to it."""
        return [Step()] * len(calls)

    def expression(self, call, out=None):
        """Write the right-hand side of a line."""
        self._cast = _is_widened(call)
        text = super().expression(call)
        self._cast = False
        return text

    def text(self, x):
        """Write an argument."""
        text = super().text(x)
        if isinstance(x, (np.integer, np.bool_)):
            return text.replace("np", "numpy", 1)
        cast = self._cast and isinstance(x, (Symbol, np.ndarray)) and has_dtype(x)
        return f"{text}.astype(float)" if cast else text

    def helper(self, function, name):
        """Return the source of a function of ours, under this name."""
        text = super().helper(function, name)
        for pattern, instead in IN_HELPERS.items():
            text = re.sub(pattern, instead, text, flags=re.MULTILINE)
        return text


def _is_widened(call):
    """Whether a function makes float64, although no array that it is given is float64."""
    if isinstance(call.function, Method) or call.function in CHOOSING:  # x.astype(float)
        return False
    arrays = [x for x in call.arguments if isinstance(x, (Symbol, np.ndarray, np.generic))]
    return call.results[0].dtype == FLOAT64 and all([x.dtype != FLOAT64 for x in arrays])


def missing(source: str) -> str | None:
    """Return the first function of NumPy in a source that JAX does not have; None if it has all."""
    there = importlib.import_module("jax.numpy")
    for node in ast.walk(ast.parse(source)):
        name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if re.fullmatch(r"np(\.\w+)+", name):
            try:
                attrgetter(name[3:])(there)
            except AttributeError:
                return name
    return None


def without_derivative(call: Callable, name: str) -> Callable:
    """Return a program that JAX can call, compile and map, and refuses to differentiate.

    The text has the values of f alone. What f says of its derivative, by `stop_gradient` and
    `custom_vjp`, and what our rules say at corners, is not in it. So each array goes through a
    function with a derivative of its own, which raises an error.
    """
    jax = importlib.import_module("jax")

    def refuse(*_):
        raise TypeError(
            f"Program.to: JAX cannot differentiate the program of {name}, which has lost what the"
            " function says of its derivative (stop_gradient, custom_vjp); give JAX the pullback of"
            " a program with vjp=True by jax.custom_vjp, as help(tinyode.programs.Program.to) shows"
        )

    same = jax.custom_vjp(lambda x: x)
    same.defvjp(refuse, refuse)

    def of_jax(x):
        return same(jax.numpy.asarray(x)) if is_number(x) or isinstance(x, jax.Array) else x

    return lambda *args: call(*tree.map(of_jax, args))
