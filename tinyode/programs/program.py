"""Programs: a function, and its pullback if wanted, as straight-line NumPy.

A solver calls the same f thousands of times, and each time the engine writes the same tape.
`program` writes it down once, as text that a person can read, and runs it without the engine:

    >>> print(program(lambda x: np.sin(x) * x, np.ones(2)).source)
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def f(x):
        v1 = np.sin(x)  # (2,)
        v2 = v1 * x  # (2,)
        return v2

How f is recorded stands in `twice`, what is left out in `simplify`, how a line is written in
`source`. `Program.to` writes the same lines for JAX:

    >>> step = jax.jit(program(f, *example, vjp=True).to("jax.numpy"))
"""

import builtins
import functools
import importlib
import itertools
import keyword
import linecache
import re
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from .. import tree
from ..autodiff.checks import as_primal
from ..names import names_of_parameters, paths_of_leaves
from ..types import Array, Tree
from .simplify import simplified, split
from .source import HEADER, Writer, with_constants
from .symbol import Symbol
from .twice import recorded

_numbers = itertools.count(1)  # of the programs, for the names of their files
# What takes the places of lines that `jax.jit` refuses. They write into an array (those of
# `memory.plan` and of the helpers `place` and `scatter`), or may raise an error (`check_columns`).
# A whole number of NumPy is no constant there, as an axis must be, so it becomes one of Python's.
FOR_JAX = {
    HEADER: "import jax.numpy as np\n",
    r"np\.u?int\d+\((-?\d+)\)": r"(\1)",
    r"^( *)(.+), out=(\w+)\)": r"\1\3 = \2)",
    r"result\[index\] = c$": "result = result.at[index].set(c)",
    r"np\.add\.at\(result, index, c\)$": (
        "result = result.at[index if type(index) is tuple else (index,)].add(c)"
    ),
    r"if np\.any\((.+)\):\n +raise .+$": r"g = np.where(\1, np.nan, g)",
}


class Program:
    """A function as straight-line NumPy.

    Attributes
    ----------
    source : str
        Runs where there is nothing but NumPy, or nothing but JAX; see `to`. The arrays that the
        function closes over are written into it, as they are when it is first asked for.
    constants : dict
        The arrays that the function closes over, by their names in the source: the arrays
        themselves, not copies.
    """

    constants: dict[str, Array]

    def __init__(self, source: str, constants: dict[str, Array], name: str) -> None:
        self._without_constants, self.constants, self.__name__ = source, constants, name
        filename = f"<program of {name}, {next(_numbers)}>"
        # tracebacks find the lines of the program there
        linecache.cache[filename] = len(source), None, source.splitlines(True), filename
        namespace: dict[str, Any] = {}
        exec(builtins.compile(source, filename, "exec"), namespace)
        self.call: Callable = namespace[name]
        there = namespace["np"]  # for another library than NumPy the constants are its arrays
        namespace.update(constants if there is np else tree.map(there.asarray, constants))
        weakref.finalize(self.call, linecache.cache.pop, filename, None)

    @functools.cached_property
    def source(self) -> str:
        """The whole text, with the constants."""
        return with_constants(self._without_constants, self.constants)

    def __call__(self, *args: Tree) -> Tree:
        """Run the program."""
        return self.call(*args)

    def to(self, module: str) -> "Program":
        """Return the same program for JAX, which runs on whatever device JAX has.

            >>> made = program(f, *example, vjp=True).to("jax.numpy")
            >>> value, cotangents = jax.jit(made)(*args, g)

        It can be called, and given to `jax.jit`, `jax.vmap` and `jax.grad`. Its source is that of
        NumPy with another first line, but for the lines that write into an array.

        Parameters
        ----------
        module : str
            ``"jax.numpy"``.

        Notes
        -----
        The numbers are those of NumPy up to rounding. JAX computes in float32, unless
        ``jax.config.update("jax_enable_x64", True)`` has been called. An error that NumPy raises
        because of a value cannot be raised in JAX. There the result has NaN or infinity (a singular
        matrix, the derivative of eigenvectors that are not unique). An index outside an array, if
        it is computed, is taken as the nearest one inside. `np.partition` may order the elements on
        either side otherwise.

        Every function with a rule runs in JAX, if a program of it can be made. But JAX refuses

        * axes or a shape in an array: write a tuple, ``np.transpose(x, (1, 0))``;
        * a list as an operand of a function without a derivative: write
          ``np.searchsorted(np.array([0.0, 1.0]), x)``.

        Raises
        ------
        ImportError
            If JAX is not installed.
        TypeError
            If the program calls a function that JAX does not have, such as `np.fix`.
        ValueError
            If another module is asked for.
        """
        if module != "jax.numpy":
            raise ValueError(
                f"Program.to: module must be 'jax.numpy'; got {module!r:.60}. For another library"
                " change the first line of the source"
            )
        there, text = importlib.import_module(module), self._without_constants
        for pattern, instead in FOR_JAX.items():
            text = re.sub(pattern, instead, text, flags=re.MULTILINE)
        for name in dict.fromkeys(re.findall(r"\bnp\.([\w.]+)", text)):
            try:
                attrgetter(name)(there)
            except AttributeError:
                raise TypeError(
                    f"Program.to: {self.__name__} calls np.{name}, which {module} does not have;"
                    " write it with other functions"
                ) from None
        return Program(text, self.constants, self.__name__)

    def __repr__(self):
        return self.source

    def __reduce__(self):
        return type(self), (self._without_constants, self.constants, self.__name__)


def program(f: Callable, *example: Tree, vjp: bool = False) -> Program:
    """Record f and write it down as straight-line NumPy.

    Parameters
    ----------
    f : function
    *example : arrays, or containers of arrays
        Arguments of f. The program is for arguments of the same structure, shapes and dtypes.
    vjp : bool
        With True the program has one more argument, g, the cotangent of the value. It returns
        ``(value, cotangents)``, one cotangent for each argument: the vector-Jacobian product of
        Griewank and Walther (2008), section 3.2. Python's numbers stand for NumPy's of float64
        then, as for `tinyode.vjp`.

    Returns
    -------
    Program
        It does not check its arguments. An argument that is neither an array nor a float is a
        constant: the program has the one of the example. The numbers are those of the tape to the
        last bit, except where `simplify.simplified` says otherwise. Results may share memory with
        each other and with the arguments, as views do. Containers of other kinds than tuple, list
        and dict become tuples and dicts.

    Raises
    ------
    TypeError
        If f takes a bool, a plain number, an index or a shape from a value, so that it may go
        another way with other values. If it writes into an array. If it is not the same when it is
        recorded again, because it draws at random, counts, or looks at the clock.
    ValueError
        If containers are nested deeper than Python can read: about 200 levels.
    """
    if not callable(f):
        raise TypeError(f"program: f must be a function; got {f!r:.60}")
    leaves, structure = tree.flatten(example)
    leaves = [as_primal(x) for x in leaves] if vjp else leaves
    run = recorded(f, leaves, structure, getattr(f, "__name__", repr(f)))
    try:
        return _written(f, example, structure, run, vjp)
    except (RecursionError, SyntaxError):  # too many brackets
        raise ValueError(f"program: {tree.TOO_DEEP}") from None


def _written(f, example, structure, run, vjp):
    """Write down what has been recorded."""
    results = [*run.outputs, *run.pulled.values()] if vjp else run.outputs
    calls, results = simplified(run.calls, results)
    outputs, pulled = results[: len(run.outputs)], results[len(run.outputs) :]
    first, second = split(calls, outputs)
    writer = Writer(f)
    title = getattr(f, "__name__", "")
    title = title if title.isidentifier() and not keyword.iskeyword(title) else "f"
    containers = dict(
        zip([writer.free(name) for name in names_of_parameters(f, len(example))], example)
    )
    returned = tree.unflatten(run.structure, outputs)
    if vjp:
        containers[writer.free("g")] = tree.unflatten(run.structure, run.seeds)
        returned = returned, tree.unflatten(structure, pulled)
    writer.taken.add(title)
    read = [x for call in calls for x in call.arguments]
    used = {x for x in [*read, *results] if type(x) is Symbol}
    lines = _unpacked(writer, containers, iter([*run.inputs, *run.seeds]), used)
    lines += writer.lines(first + second, results, len(first) if vjp else None)
    source = writer.source(title, containers, [*lines, f"return {writer.bare(returned)}"])
    return Program(source, writer.constants, title)


def _unpacked(writer, containers, leaves, used):
    """Name the leaves of the arguments, and write the lines that take them out of containers."""
    lines = []
    for parameter, container in containers.items():
        for (name, path), x in zip(paths_of_leaves(parameter, parameter, container), leaves):
            if type(x) is Symbol and x in used:
                writer.names[x] = path if name == path else writer.free(name)
                if name != path:
                    lines.append(f"{writer.names[x]} = {path}  # {x.shape}")
    return lines
