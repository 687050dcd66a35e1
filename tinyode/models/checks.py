"""What the models refuse by name.

They look once a call, and not in the field, which a solver calls often.
"""

import inspect
from collections.abc import Iterable
from typing import Any

from ..autodiff.numpy_calls import unbox
from ..checks import is_whole, shape_of
from ..sensitivity import odeint
from ..types import Array

OPTIONS = [
    name
    for name, parameter in inspect.signature(odeint).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
]


def check_counts(name: str, **counts: object) -> None:
    """Refuse what is not a positive whole number."""
    for what, n in counts.items():
        if not is_whole(n, 1):
            raise ValueError(f"{name}: {what}={n!r} must be a positive whole number")


def check_options(name: str, options: Iterable[str]) -> None:
    """Refuse an option that `odeint` does not have, before there is something to solve."""
    for option in options:
        if option not in OPTIONS:
            raise TypeError(
                f"{name}: {option}= is no option of odeint; the options are {', '.join(OPTIONS)}"
            )


def check_parameters(name: str, parameters: object, keys: set[str]) -> None:
    """Refuse parameters without these keys: those of another model."""
    if not isinstance(parameters, dict) or set(parameters) != keys:
        found = list(parameters) if isinstance(parameters, dict) else f"{parameters!r:.60}"
        raise ValueError(
            f"{name}: parameters have the keys {sorted(keys)} in this model, and here "
            f"{found}; use those of its init"
        )


def arrays(name: str, **expected: tuple[Any, tuple[str | int, ...]]) -> list[Array]:
    """Return arrays of these shapes, lists as arrays; refuse others.

    In ``arrays("f", x=(x, ("n", 2)), y=(y, ("n",)))`` a letter stands for any length. It is the
    same length wherever the letter stands.
    """
    lengths: dict[str | int, str | int] = {}
    found = []
    for what, (x, shape) in expected.items():
        needed = tuple([lengths.get(length, length) for length in shape])
        of_x = shape_of(x)
        lengths.update({a: n for a, n in zip(needed, of_x) if isinstance(a, str)})
        if of_x != tuple([lengths.get(length, length) for length in shape]):
            raise ValueError(
                f"{name}: {what} has the shape {of_x}; it must be "
                f"({', '.join(map(str, needed))}{',' if len(needed) == 1 else ''})"
            )
        found.append(unbox(x))
    return found
