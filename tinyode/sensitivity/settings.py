"""How to solve, forwards and backwards: what the user gave, checked once at the door."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..solvers.options import Options, check_constant
from ..solvers.state import flat_tolerance
from ..solvers.tableaus import find


class Settings(NamedTuple):
    """How a solution and its derivative are computed.

    ``forward`` are the options of the solve, ``backward`` those of the backward solve, None where
    there is none. ``checkpoints`` is None where all states are kept. ``watch(step)`` is called with
    each step of a solve that is the way back of another one; see `drift.WayBack`.
    """

    forward: Options
    backward: Options | None = None
    checkpoints: int | None = None
    watch: Callable | None = None

    def of_z_and_a(self, n, watch):
        """Return the settings for z and a together, of n components each: those of ``backward``."""

        def doubled(tolerance):
            if np.ndim(tolerance) == 0:
                return tolerance
            # z may have integrals for its last components, without a tolerance of their own
            integrals = np.full(n - len(tolerance), np.min(tolerance))
            return np.tile(np.append(tolerance, integrals), 2)

        both = spread(self.backward, doubled)
        return self._replace(forward=both, backward=both, watch=watch)


def spread(options, of_longer):
    """Return options for a longer vector than z; its tolerances are ``of_longer`` of those of z."""
    return options._replace(rtol=of_longer(options.rtol), atol=of_longer(options.atol))


class Adjoint(NamedTuple):
    """What the user gave for the backward solve: None where it is like the forward one."""

    method: str | None
    rtol: object
    atol: object


class Way(NamedTuple):
    """A way to take gradients: its function `odesolve`, and which options it has."""

    odesolve: Callable
    solves_back: bool = False
    has_checkpoints: bool = False


def check_settings(leaves, structure, options, ways, gradient, adjoint, checkpoints):
    """Return the `Settings`; raise an error, naming it, for an option that cannot be.

    ``leaves`` and ``structure`` are those of the initial state: tolerances may be like it.
    ``options`` and ``adjoint`` are what the user gave, and ``gradient`` names one of the ``ways``.
    """
    rtol = flat_tolerance(options.rtol, leaves, structure, "rtol")
    atol = flat_tolerance(options.atol, leaves, structure, "atol")
    forward = options._replace(rtol=rtol, atol=atol).check()
    if not isinstance(gradient, str) or gradient not in ways:
        raise ValueError(
            f"gradient={gradient!r} is not known; the ways to take derivatives are"
            f" {', '.join(map(repr, ways))}"
        )
    _check_checkpoints(checkpoints, gradient, ways[gradient])
    if ways[gradient].solves_back:
        return Settings(forward, _backward(leaves, structure, forward, adjoint))
    for name, value in adjoint._asdict().items():
        if value is not None:
            raise ValueError(
                f"adjoint_{name}={value!r} has no meaning for gradient={gradient!r}, which solves"
                " nothing backwards; leave it out"
            )
    return Settings(forward, checkpoints=checkpoints)


def _check_checkpoints(checkpoints, gradient, way):
    check_constant("checkpoints", checkpoints)
    if checkpoints is None:
        return
    if not way.has_checkpoints:
        raise ValueError(
            f"checkpoints={checkpoints!r} has no meaning for gradient={gradient!r}; it is for"
            " gradient='discrete'"
        )
    whole = isinstance(checkpoints, (int, np.integer)) and not isinstance(checkpoints, bool)
    if not whole or checkpoints < 1:
        raise ValueError(
            f"checkpoints={checkpoints!r} must be a whole number of states to keep, 1 or more"
        )


def _backward(leaves, structure, forward, adjoint):
    """Return the `Options` of the backward solve: the forward ones, where nothing else is given."""
    given = {name: value for name, value in adjoint._asdict().items() if value is not None}
    for name in {"rtol", "atol"} & given.keys():
        given[name] = flat_tolerance(given[name], leaves, structure, f"adjoint_{name}")
    if "method" in given and find(adjoint.method, "adjoint_method").e is not None:
        given["step_size"] = None
    backward = forward._replace(first_step=None, **given).check("adjoint_")
    if backward.fixed and not forward.fixed:
        raise ValueError(
            f"adjoint_method={adjoint.method!r} takes steps of fixed size, and the forward solve"
            " has none to go by; choose an adaptive one, such as 'dopri5', or give step_size"
        )
    if backward.fixed and {"rtol", "atol"} & given.keys():
        raise ValueError(
            f"adjoint_rtol={adjoint.rtol!r}, adjoint_atol={adjoint.atol!r}: the backward solve"
            " takes steps of fixed size, which no tolerance governs; choose an adaptive"
            " adjoint_method, such as 'dopri5'"
        )
    return backward
