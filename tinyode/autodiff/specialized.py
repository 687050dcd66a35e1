"""What a callable may offer besides its value: the one protocol by which others join the engine.

The engine differentiates a function by calling it with Nodes. A callable that knows a faster way to
its value and its vector-Jacobian products, as a compiled function does, can say so by one method,
``__tinyode_specialized__(leaves, structure, wanted, around)``. Whoever calls it often (a solver,
say) asks once, and then uses what it got at every evaluation. The engine, the solvers and the
sensitivities know nothing else of it.
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple


class Specialized(NamedTuple):
    """A function for arguments of one structure, with these shapes and dtypes.

    Attributes
    ----------
    value : function
        ``value(*leaves)`` returns the leaves of the function's value in a list.
    vjp : function
        ``vjp(*leaves)`` returns them, and ``pull``: ``pull(seeds)`` takes a list of their
        cotangents and returns a list of those of the wanted leaves.
    structure
        Of the function's value, as `tree.flatten` returns it.
    owned : bool
        Whether all that is returned is in arrays of its own, no two in the same one. If not, it may
        share memory with the arguments, and who hands it to a user copies it.
    bind : function or None
        Of a right-hand side of a differential equation, whose arguments are t, a state and others,
        and whose value is like the state: ``bind(*others)`` takes the leaves of the others, and
        returns ``field(t, y, k)``. That reads the leaves of the state out of the flat vector y, and
        writes those of the value into the flat vector k.
    calls : int
        How many calls of NumPy the value takes.
    """

    value: Callable[..., list]
    vjp: Callable[..., tuple[list, Callable[[list], list]]]
    structure: Any
    owned: bool
    bind: Callable[..., Callable] | None = None
    calls: int = 0


def offers(f):
    """Whether a callable can be asked for a `Specialized`."""
    return hasattr(f, "__tinyode_specialized__")


def specialized(f, leaves, structure, wanted=()):
    """Return what a callable offers for arguments like these, a `Specialized`, or None.

    Parameters
    ----------
    f : callable
    leaves, structure
        An example of its arguments, as `tree.flatten` takes a tuple of them apart: only the
        structure, the shapes and dtypes, and leaves that are no numbers count.
    wanted : tuple of int
        The positions of the leaves that ``vjp`` differentiates with respect to.

    Returns
    -------
    Specialized or None
        None where f has no ``__tinyode_specialized__``, or that returns None for these: a leaf is
        traced, for one. The caller then calls f, and differentiates it by the tape.
    """
    return f.__tinyode_specialized__(leaves, structure, wanted) if offers(f) else None


class Around:
    """A function that calls f and its pullback, such as the right-hand side of an adjoint equation.

    It offers its value where f has a faster way to it. `specialized` asks it, and it asks f: the
    method of f is given this object as ``around``, and the leaves of the function's arguments.

    Parameters
    ----------
    f : callable
        It has the method.
    function : callable
        f may call it with whatever f records calls with.
    key : hashable
        What the function depends on besides f and its arguments. Of two with the same code and
        equal keys, f may take what it has made of the first.
    """

    def __init__(self, f: Any, function: Callable, key: Hashable) -> None:
        self.f, self.function, self.key = f, function, key

    def __call__(self, *args):
        """Call the function."""
        return self.function(*args)

    def __tinyode_specialized__(self, leaves, structure, wanted=(), around=None):
        """Offer what f does; nothing for a derivative, or for a function around this one."""
        if wanted or around is not None:
            return None
        return self.f.__tinyode_specialized__(leaves, structure, around=self)
