"""How to step, what it cost, and the error that ends it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..autodiff.numpy_calls import has_traced
from .step_size import rms
from .tableaus import find


class SolverError(RuntimeError):
    """A solve that cannot go on.

    Attributes
    ----------
    t : float
        The time that was reached.
    h : float
        The size of the step that was being tried, with its sign.
    solution : Solution or None
        What `tinyode.solve` had until then: the states at the times asked for that were reached,
        and at the last one that was.
    """

    def __init__(self, message, t, h):
        super().__init__(f"{message} (at t = {t!r}, step {h:.3g})")
        self.t, self.h, self.solution = t, h, None

    def __reduce__(self):  # args is the message alone, and not what __init__ is called with
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind, args):
    """Return a `SolverError` without what `__setstate__` will put into it, for pickle and copy."""
    error = kind.__new__(kind)
    error.args = args
    return error


class StepTooSmall(SolverError):
    """The error asks for a step below rounding, or below ``min_step``."""


class TooManySteps(SolverError):
    """``max_steps`` were not enough."""


class NewtonFailed(SolverError):
    """The equations of an implicit step could not be solved."""


@dataclass
class Stats:
    """What a solve cost: evaluations of f, steps accepted and rejected.

    Of an implicit method also: evaluations of the Jacobian (for each of which the engine calls f
    once more), factorisations of I - h lambda J, and steps at which Newton's method failed.
    """

    nfev: int = 0
    accepted: int = 0
    rejected: int = 0
    jacobians: int = 0
    factorisations: int = 0
    newton_failures: int = 0


def check_constant(name, value):
    """Raise TypeError where an option is traced: it is a constant to the derivative."""
    if has_traced(value):
        raise TypeError(
            f"{name} is a traced value, and how a problem is solved is a constant to "
            "the derivative, so its gradient would be lost; give a plain number, or "
            "stop_gradient(...)"
        )


LENGTHS = frozenset(
    {"step_size", "first_step", "max_step", "min_step"}
)  # None where they are not given


class Options(NamedTuple):
    """How to step; the public functions take these one by one."""

    method: str = "dopri5"
    rtol: float | np.ndarray = 1e-6
    atol: float | np.ndarray = 1e-9
    step_size: float | None = None
    first_step: float | None = None
    max_steps: int = 100_000
    max_step: float | None = None
    min_step: float | None = None
    norm: Callable = rms
    exact: bool = False  # the stages of implicit steps to rounding, whatever the tolerances
    limit: Callable | None = (
        None  # (t, size) -> size: of an adaptive step from t, no longer than another solve's there
    )

    @property
    def fixed(self):
        """Whether the steps are of fixed size."""
        return self.step_size is not None or find(self.method).e is None

    def check(self, prefix=""):
        """Return these options as plain numbers; raise ValueError, naming it, for one that cannot
        be.

        Tolerances that are arrays are left to `state.flat_tolerance`, a norm to `state.flat_norm`.
        """
        find(self.method, prefix + "method")
        numbers = {
            name: value
            for name, value in self._asdict().items()
            if name not in ("method", "norm", "exact", "limit")
            and not (value is None and name in LENGTHS)
            and not (isinstance(value, np.ndarray) and name in ("rtol", "atol"))
        }
        for name, value in numbers.items():
            check_constant(prefix + name, value)
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float, np.number))
                or not 0 < value < math.inf
            ):
                raise ValueError(
                    f"{prefix}{name}={value!r} must be a positive number"
                    + ("; the direction of time comes from t" if name in LENGTHS else "")
                )
        if self.max_steps != int(self.max_steps):
            raise ValueError(f"{prefix}max_steps={self.max_steps!r} must be a whole number")
        for name in ("first_step", "max_step", "min_step"):
            if self.fixed and getattr(self, name) is not None:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} has no meaning where the steps are of fixed"
                    " size; leave it out"
                )
        for name in ("max_step", "first_step"):
            if (
                getattr(self, name) is not None
                and self.min_step is not None
                and self.min_step > getattr(self, name)
            ):
                raise ValueError(
                    f"min_step={self.min_step!r} is larger than {name}={getattr(self, name)!r}; no"
                    " step would be right"
                )
        return self._replace(
            **{
                name: int(value) if name == "max_steps" else float(value)
                for name, value in numbers.items()
            }
        )
