"""What can go wrong in a solve: the errors, and for each failure a function that returns one.

An error says what has happened, what to try, where (the time t that was reached) and at which step
h. `solve` raises it as it is, `solve_batch` with the number of the sample before it.
"""

import math
from typing import Any

import numpy as np


class SolverError(RuntimeError):
    """A solve that cannot go on.

    Attributes
    ----------
    t : float
        The time that was reached.
    h : float
        The size of the step that was being tried, with its sign.
    solution : Solution or None
        What `tinyode.solve` has computed until then: the states at those of the times asked for
        that it has reached, and at the end of its last step.
    """

    solution: Any

    def __init__(self, message: str, t: float, h: float) -> None:
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


def not_finite_at_start(t, y, k):
    """f(t0, y0), here k, is not finite."""
    return SolverError(
        f"f is not finite at the initial state: f(t0, y0) = {k!s:.200} at y0 = {y!s:.200}; check f"
        " and y0",
        t,
        0.0,
    )


def too_fine_a_grid(options, t, h):
    """``step_size`` is so small that one interval takes more than ``max_steps``."""
    return TooManySteps(
        f"step_size={options.step_size} cuts t into more than max_steps={options.max_steps} steps;"
        " take longer steps, or allow more",
        t,
        h,
    )


def too_many_steps(tableau, options, newton_failures, t, h):
    """``max_steps`` were not enough."""
    message = f"max_steps={options.max_steps} steps were not enough"
    if newton_failures > options.max_steps / 4:
        message += (
            f", and Newton's method failed at {newton_failures} of them: is jacobian= right, where"
            " it is given? Is f smooth?"
        )
    else:
        stiff = "" if tableau.implicit else "the problem stiff (try method='radau_iia5'), or "
        message += (
            f"; is {stiff}the tolerance too small? Allow more with max_steps, or ask for less"
            " accuracy with rtol and atol"
        )
    return TooManySteps(message, t, h)


def below_rounding(tableau, t, h):
    """The step does not change t."""
    stiff = ""
    if not tableau.implicit:
        stiff = (
            ", or the problem is stiff (an explicit method needs short steps then; try"
            " method='radau_iia5')"
        )
    return StepTooSmall(
        "the step is below rounding: the solution may have a singularity here, or t is too large"
        f" to resolve it (shift its origin){stiff}, or the tolerances ask for more than this dtype"
        " holds (try larger rtol and atol, or a larger step)",
        t,
        h,
    )


def below_min_step(tableau, options, t, h):
    """The error asks for a step shorter than ``min_step``."""
    other = "" if tableau.implicit else " (try method='radau_iia5')"
    return StepTooSmall(
        f"the error asks for a step below min_step={options.min_step}: the problem is stiff"
        f" here{other}, or the solution has a singularity; allow a smaller step, or larger rtol"
        " and atol",
        t,
        h,
    )


def no_way_on(tableau, error, t, h, where=""):
    """The error asks for a step below rounding; where it is inf, f or the state is not finite."""
    if math.isfinite(error):
        return below_rounding(tableau, t, h)
    return SolverError(
        "f or the state is not finite beyond this time, however small the step: the solution blows"
        f" up here, or leaves the domain of f; end the interval earlier, or check f{where}",
        t,
        h,
    )


def no_stages(options, t, h, where=""):
    """Newton's method does not find the stages of a step, however small."""
    least = f", and min_step={options.min_step}" if options.min_step else ""
    return NewtonFailed(
        "Newton's method does not solve the equations of a step from here, however small the"
        f" step{least}; is f smooth?{where}",
        t,
        h,
    )


def no_stages_at_fixed_step(tableau, t, h, where=""):
    """Newton's method does not find the stages of a step of fixed size."""
    return NewtonFailed(
        "Newton's method did not solve the equations of this step; try a smaller step_size, or"
        f" {_adaptively(tableau, 'radau_iia5')}; is jacobian= right, where it is given?{where}",
        t,
        h,
    )


def blown_up(tableau, t, h, where=""):
    """The state is not finite after a step of fixed size."""
    return SolverError(
        "the state is no longer finite: the solution has blown up, or the step is too long for it;"
        f" try a smaller step_size, or {_adaptively(tableau, 'dopri5')}{where}",
        t,
        h,
    )


def culprit(stepper, t, y, h):
    """Return the ``where`` of a failure: where in the step just tried f was not finite first."""
    found = stepper.not_finite(t, y, h)
    return "" if found is None else f"; f is not finite at t = {found[0]!r}, y = {found[1]!s:.200}"


def _adaptively(tableau, other):
    """Say how to take steps that are not of fixed size."""
    if tableau.e is not None:
        return "leave step_size out, and the steps are adaptive"
    return f"take an adaptive method such as {other}"


def raise_first(bad, samples, failure, *where):
    """Raise a failure for the first sample that is marked as bad.

    ``where`` are arrays with a row for each sample: the last arguments of ``failure``.
    """
    if bad.any():
        n = int(np.argmax(bad))
        error = failure(*[x[n].item() if x.ndim == 1 else x[n] for x in where])
        of_solve = str(error).replace("try method=", "call solve for this sample, with method=")
        error.args = (f"sample {samples[n]}: {of_solve}",)
        error.sample = int(samples[n])
        raise error
