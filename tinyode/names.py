"""Names that a function and a container give to what is in them."""

import inspect
import re


def names_of_parameters(f, n):
    """Return f's own names for its first n arguments; x0, x1, ... where it does not tell."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except ValueError:  # it is written in C
        return [f"x{i}" for i in range(n)]
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}{i}" for i in range(n - len(names))]
        else:
            names.append(parameter.name)
    return names[:n]


def paths_of_leaves(name, path, x):
    """Yield a name and an expression for each leaf of a container."""
    if isinstance(x, dict):
        for key in sorted(x):
            yield from paths_of_leaves(
                re.sub(r"\W", "_", f"{name}_{key}"), f"{path}[{key!r}]", x[key]
            )
    elif isinstance(x, (tuple, list)):
        for i, item in enumerate(x):
            yield from paths_of_leaves(f"{name}_{i}", f"{path}[{i}]", item)
    else:
        yield name, path
