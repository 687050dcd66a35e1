"""What the models refuse by name: once a call, and not in the field, which a solver calls often."""

import inspect

import numpy as np

from ..autodiff.numpy_calls import unbox
from ..nn import shape_of
from ..sensitivity import odeint

OPTIONS = [
    name
    for name, parameter in inspect.signature(odeint).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
]


def check_counts(name, **counts):
    """Refuse what is not a positive whole number."""
    for what, n in counts.items():
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
            raise ValueError(f"{name}: {what}={n!r} must be a positive whole number")


def check_options(name, options):
    """Refuse an option that `odeint` does not have, before there is something to solve."""
    for option in options:
        if option not in OPTIONS:
            raise TypeError(
                f"{name}: {option}= is no option of odeint; the options are {', '.join(OPTIONS)}"
            )


def check_parameters(name, parameters, keys):
    """Refuse parameters without these keys: those of another model."""
    if not isinstance(parameters, dict) or set(parameters) != keys:
        found = list(parameters) if isinstance(parameters, dict) else f"{parameters!r:.60}"
        raise ValueError(
            f"{name}: parameters have the keys {sorted(keys)} in this model, and here "
            f"{found}; use those of its init"
        )


def arrays(name, **expected):
    """Return arrays of these shapes, lists as arrays; refuse others.

    In ``arrays("f", x=(x, ("n", 2)), y=(y, ("n",)))`` a letter stands for any length, one for all.
    """
    lengths, found = {}, []
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
