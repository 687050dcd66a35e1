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
import itertools
import keyword
import linecache
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..autodiff.checks import as_primal
from ..names import names_of_parameters, paths_of_leaves
from ..types import Array, Tree
from .for_jax import WriterForJax, missing, without_derivative
from .simplify import simplified, split
from .source import USED, Writer, with_constants
from .symbol import Symbol
from .twice import recorded

_numbers = itertools.count(1)  # of the programs, for the names of their files


class Program:
    """A function as straight-line NumPy.

    Attributes
    ----------
    source : str
        Runs where there is nothing but NumPy; that of `to` needs JAX and NumPy. The arrays that the
        function closes over are written into it, as they are when it is first asked for.
    constants : dict
        The arrays that the function closes over, by their names in the source: the arrays
        themselves, not copies.
    """

    constants: dict[str, Array]

    def __init__(
        self, source: str, constants: dict[str, Array], name: str, for_jax: tuple | None = None
    ) -> None:
        self._without_constants, self.constants, self.__name__ = source, constants, name
        self._for_jax = for_jax  # source and constants, if `to` is to make a program of them
        filename = f"<program of {name}, {next(_numbers)}>"
        # tracebacks find the lines of the program there
        linecache.cache[filename] = len(source), None, source.splitlines(True), filename
        namespace: dict[str, Any] = {}
        exec(builtins.compile(source, filename, "exec"), namespace)
        namespace.update(constants)
        self.call: Callable = namespace[name]
        weakref.finalize(self.call, linecache.cache.pop, filename, None)
        if namespace["np"] is not np:
            self.call = without_derivative(self.call, name)

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

        It can be called, and given to `jax.jit` and `jax.vmap`. Its source is that of NumPy with
        other first lines, but for what JAX cannot do (see `for_jax`). JAX refuses to differentiate
        it. For a derivative give JAX the pullback:

            >>> alone = program(f, *example).to("jax.numpy")
            >>> in_jax = jax.custom_vjp(alone)
            >>> in_jax.defvjp(lambda *x: (alone(*x), x), lambda x, g: made(*x, g)[1])
            >>> jax.grad(lambda x: in_jax(x).sum())

        Parameters
        ----------
        module : str
            ``"jax.numpy"``.

        Notes
        -----
        The derivative is refused because the text has the values of f alone. JAX would not know of
        `stop_gradient` and `custom_vjp`. At a corner JAX has another derivative than tinyode. At 0
        that of the norm is NaN in JAX and 0 in tinyode; that of abs is 1 in JAX and 0 in tinyode.
        A copy of the source is text like any other, so JAX differentiates that.

        The numbers are those of NumPy up to rounding, if
        ``jax.config.update("jax_enable_x64", True)`` has been called before. JAX computes in
        float32 otherwise. `np.cumsum` and `np.cumprod` of int32 stay int32 in JAX, and `np.where`
        of float32 and whole numbers stays float32.

        An error that NumPy raises because of a value cannot be raised in JAX. There the result has
        NaN or infinity (a singular matrix, the derivative of eigenvectors that are not unique). An
        index outside an array, if it is computed, reads the nearest element inside, and the
        pullback leaves its cotangent out. `np.partition` may order the elements on either side
        otherwise.

        Each function with a rule runs in JAX in the way in which the tests use it. JAX refuses

        * a list as an operand of a function without a derivative: write
          ``np.searchsorted(np.array([0.0, 1.0]), x)``;
        * in `jax.jit`, `np.choose` by an index that is computed, if it has no ``mode="clip"``;
        * several places in `np.partition`, and ``kind`` in `np.argsort`.

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
        if self._for_jax is None:
            return self
        source, constants = self._for_jax
        name = missing(source)
        if name:
            raise TypeError(
                f"Program.to: {self.__name__} calls {name}, which {module} does not have;"
                " write it with other functions"
            )
        return Program(source, constants, self.__name__)

    def __repr__(self):
        return self.source

    def __reduce__(self):
        return type(self), (self._without_constants, self.constants, self.__name__, self._for_jax)


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
    title = getattr(f, "__name__", "")
    usable = title.isidentifier() and not keyword.iskeyword(title) and title not in USED
    title = title if usable else "f"

    def text(writer):
        """Return the source and the constants."""
        names = [writer.free(name) for name in names_of_parameters(f, len(example))]
        containers = dict(zip(names, example))
        returned = tree.unflatten(run.structure, outputs)
        if vjp:
            containers[writer.free("g")] = tree.unflatten(run.structure, run.seeds)
            returned = returned, tree.unflatten(structure, pulled)
        writer.taken.add(title)
        read = [x for call in calls for x in call.arguments]
        used = {x for x in [*read, *results] if type(x) is Symbol}
        lines = _unpacked(writer, containers, iter([*run.inputs, *run.seeds]), used)
        lines += writer.lines(first + second, results, len(first) if vjp else None)
        lines.append(f"return {writer.bare(returned)}")
        return writer.source(title, containers, lines), writer.constants

    return Program(*text(Writer(f)), title, text(WriterForJax(f)))


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
