"""How to step, and what it cost."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..autodiff.numpy_calls import has_traced
from .step_size import rms
from .tableaus import find


@dataclass
class Stats:
    """What a solve cost: evaluations of f, steps accepted and rejected.

    Of an implicit method also: evaluations of the Jacobian, factorisations of I - h lambda J, and
    steps at which Newton's method failed. What the Jacobian takes is not in ``nfev``: by
    differences that is n + 1 evaluations of f for n equations.
    """

    nfev: int = 0
    accepted: int = 0
    rejected: int = 0
    jacobians: int = 0
    factorisations: int = 0
    newton_failures: int = 0


# None where they are not given
LENGTHS = "step_size", "first_step", "max_step", "min_step"


class Options(NamedTuple):
    """How to step; users give these one by one, to `solve` and its kin, where they are explained.

    Two are not for users. ``exact`` asks for the stages of implicit steps to rounding, whatever the
    tolerances. ``limit(t, size)`` returns the size, or a smaller one, for an adaptive step from t.
    """

    method: str = "dopri5"
    rtol: float | np.ndarray = 1e-6
    atol: float | np.ndarray = 1e-9
    step_size: float | None = None
    first_step: float | None = None
    max_steps: int = 100_000
    max_step: float | None = None
    min_step: float | None = None
    norm: Callable = rms
    exact: bool = False
    limit: Callable | None = None

    @property
    def fixed(self):
        """Whether the steps are of fixed size."""
        return self.step_size is not None or find(self.method).e is None

    def check(self, prefix=""):
        """Return these options as plain numbers.

        `state.flat_tolerance` checks tolerances that are arrays, `state.flat_norm` a norm.

        Raises
        ------
        TypeError, ValueError
            If an option is not as it must be. They name it, with the prefix.
        """
        find(self.method, prefix + "method")
        checked = {}
        for name in ("rtol", "atol", "max_steps", *LENGTHS):
            value = getattr(self, name)
            absent = value is None and name in LENGTHS
            if not absent and not (isinstance(value, np.ndarray) and name in ("rtol", "atol")):
                checked[name] = check_positive(prefix + name, value, name in LENGTHS)
        if self.max_steps != int(self.max_steps):
            raise ValueError(f"{prefix}max_steps={self.max_steps!r} must be a whole number")
        checked["max_steps"] = int(self.max_steps)
        for name in ("max_step", "first_step", "min_step"):
            value = getattr(self, name)
            if value is not None and self.fixed:
                raise ValueError(
                    f"{name}={value!r} has no meaning where the steps are of fixed size; leave it"
                    " out"
                )
            if value is not None and self.min_step is not None and self.min_step > value:
                raise ValueError(
                    f"min_step={self.min_step!r} is larger than {name}={value!r}; no step would be"
                    " right"
                )
        return self._replace(**checked)


def check_constant(name, value):
    """Raise TypeError where an option is traced: it is a constant to the derivative."""
    if has_traced(value):
        raise TypeError(
            f"{name} is a traced value, and how a problem is solved is a constant to the"
            " derivative, so its gradient would be lost; give a plain number, or stop_gradient(...)"
        )


def check_positive(name, value, is_length=False):
    """Return an option as a float; raise ValueError unless it is a positive number."""
    check_constant(name, value)
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        hint = "; the direction of time comes from t" if is_length else ""
        raise ValueError(f"{name}={value!r} must be a positive number{hint}")
    return float(value)
