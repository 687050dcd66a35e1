"""Losses that are integrals along a solution: L = int l(t, z(t)) dt, plus terms at times.

The integral is one more component of the state.
"""

from collections.abc import Callable
from typing import Any

from ..types import Field


def with_integral(f: Field, integrand: Callable[..., Any]) -> Field:
    """Return the field of a state (y, q), where q' is the integrand.

    If q starts from 0.0, it is the integral of ``integrand(t, y, *args)`` along y.

    Examples
    --------
    The integral of cos^2 from 0 to pi, y'' = -y:

    >>> field = with_integral(lambda t, y: np.array([y[1], -y[0]]), lambda t, y: y[0] ** 2)
    >>> y, q = odeint(field, (np.array([1.0, 0.0]), 0.0), [0.0, np.pi])
    >>> q[-1]
    np.float64(1.570796...)
    """
    return lambda t, state, *args: (f(t, state[0], *args), integrand(t, state[0], *args))
