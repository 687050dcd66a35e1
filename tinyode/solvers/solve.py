"""Initial value problems dy/dt = f(t, y), y(t0) = y0: the integration loop, `solve` and its `Solution`.

The loop reads as in the book (Hairer, Norsett and Wanner I, section II.4): propose a step, measure its error, accept or reject it,
record. What a step is stands in `runge_kutta`, how long it may be in `step_size`, the methods in `tableaus`.
"""

import math
from typing import NamedTuple

import numpy as np

from .. import tree
from .options import Options, SolverError, Stats, StepTooSmall, TooManySteps
from .runge_kutta import Stepper, coefficients, evaluate, hermite
from .solution import Solution
from .state import check_state, check_times, flat_field
from .step_size import Controller, error_norm, first_step, quadrature_norm
from .tableaus import find

BELOW_ROUNDING = ("the step is below rounding: the solution may have a singularity here, or the problem is stiff, or the tolerances ask "
                  "for more than this dtype holds; try larger rtol and atol, or a larger step")


class Step(NamedTuple):
    """One accepted step, from y at t to y1 at t1 = t + h; K are its stages, overwritten when the next step begins."""

    t: float
    t1: float
    h: float
    y: np.ndarray
    y1: np.ndarray
    K: np.ndarray


def steps(f, y, times, options, stats, coupled=None):
    """Generate the accepted steps from times[0] to times[-1].

    Parameters
    ----------
    f : function
        ``f(t, y, k)`` writes dy/dt into k.
    y : array, shape (n,)
    times : list of float
    options : Options
    stats : Stats
        Counted up.
    coupled : int, optional
        See `Stepper`.

    Yields
    ------
    Step

    Raises
    ------
    SolverError
    """
    tableau = find(options.method)
    stepper = Stepper(f, tableau, y, len(y) if coupled is None else coupled)
    stepper.start(times[0], y)
    stats.nfev += 1
    if not np.isfinite(stepper.K[0]).all():
        raise SolverError(f"f is not finite at the initial state: f(t0, y0) = {stepper.K[0]}; check f and y0", times[0], 0.0)
    yield from (_fixed if options.fixed else _adaptive)(stepper, tableau, y, times, options, stats)


def _fixed(stepper, tableau, y, times, options, stats):
    """Equal steps within each interval of ``times``, no longer than ``step_size``; one where that is None."""
    at_start = True
    for start, end in zip(times[:-1], times[1:]):
        n = 1 if options.step_size is None else abs(end - start) / options.step_size
        if n > options.max_steps:
            raise TooManySteps(f"step_size={options.step_size} cuts t into more than max_steps={options.max_steps} steps; take longer "
                               "steps, or allow more", start, math.copysign(options.step_size, end - start))
        n = max(1, math.ceil(n * (1 - 1e-12)))  # 0.3 / 0.1 is three steps, whichever way it rounds
        h = (end - start) / n
        for j in range(n):
            t, t1 = start + j * h, end if j == n - 1 else start + (j + 1) * h
            _check_count(stats, options, t, h)
            if t1 == t:
                raise StepTooSmall(BELOW_ROUNDING, t, h)
            if not at_start:
                stats.nfev += stepper.advance(t, y)
            y1 = stepper.step(t, t1, y, h)
            at_start = False
            stats.nfev += tableau.stages - 1
            if not all_finite(y1):
                raise SolverError("the state is no longer finite: the solution has blown up, or the step is too long for it; "
                                  "try a smaller step_size, or an adaptive method such as dopri5", t, h)
            stats.accepted += 1
            yield Step(t, t1, h, y, y1, stepper.K)
            y = y1


def _adaptive(stepper, tableau, y, times, options, stats):
    """Steps as long as the error estimate allows."""
    t, end, rtol, atol, n = times[0], times[-1], options.rtol, options.atol, stepper.coupled
    sign = math.copysign(1.0, end - t)
    size = options.first_step
    if size is None:
        size = first_step(lambda t, y: stepper.slope(t, y)[:n], t, y[:n], stepper.K[0, :n], tableau.error_order, rtol, atol, end - t)
        stats.nfev += 1
    longest, shortest = options.max_step or math.inf, options.min_step or 0.0
    controller = Controller(tableau.error_order, pi=tableau.e3 is None)

    def measure(e, y, y1):
        if n == len(y):
            return error_norm(e, y, y1, rtol, atol)
        return max(error_norm(e[:n], y[:n], y1[:n], rtol, atol),
                   quadrature_norm(e[n:], y[n:], y1[n:], stepper.K[-1, n:], abs(end - t), rtol, atol))

    while True:
        size = min(size, longest)
        _check_count(stats, options, t, sign * size)
        last = min(1.01 * size, longest) >= abs(end - t)  # rather a step 1 % longer than one that is all rounding error
        t1 = end if last else t + sign * size
        h = t1 - t  # what t really advances by, where t is large
        if h == 0:
            raise StepTooSmall(BELOW_ROUNDING, t, sign * size)
        y1 = stepper.step(t, t1, y, h)
        error = measure(stepper.error(), y, y1)
        if tableau.e3 is not None and 0 < error < math.inf:
            error *= error / math.hypot(error, 0.1 * measure(stepper.second_error(), y, y1))
        stats.nfev += tableau.stages - 1
        if error <= 1 and all_finite(y1):  # an error is small beside a state that is infinite
            stats.accepted += 1
            size = controller.accept(abs(h), error)
            yield Step(t, t1, h, y, y1, stepper.K)
            if last:
                return
            t, y = t1, y1
            stats.nfev += stepper.advance(t, y)
        else:
            stats.rejected += 1
            error = error if error > 1 else math.inf
            size = controller.reject(abs(h), error)
            if size < shortest:
                raise StepTooSmall(f"the error asks for a step below min_step={shortest}: the problem is stiff here, or the solution has a "
                                   "singularity; allow a smaller step, or larger rtol and atol", t, sign * size)
            if size <= 4 * math.ulp(t):
                if math.isfinite(error):
                    raise StepTooSmall(BELOW_ROUNDING, t, h)
                raise SolverError("f or the state is not finite beyond this time, however small the step: the solution blows up here, or "
                                  "leaves the domain of f; end the interval earlier, or check f", t, h)


def all_finite(y):
    """Whether all of y is finite; by its square, which is quick to compute, where that does not overflow."""
    return math.isfinite(y.dot(y)) or bool(np.isfinite(y).all())


def _check_count(stats, options, t, h):
    if stats.accepted + stats.rejected >= options.max_steps:
        raise TooManySteps(f"max_steps={options.max_steps} steps were not enough; is the problem stiff, or the tolerance too small? Allow "
                           "more with max_steps, or ask for less accuracy with rtol and atol", t, h)


def polynomial(f, tableau, step, stats):
    """Return the polynomial of a step's dense output, for `evaluate`; what it needs besides the stages, f is evaluated for."""
    if tableau.interpolant is not None:
        stats.nfev += 0 if tableau.extra is None else len(tableau.extra)
        return coefficients(f, tableau, step.t, step.y, step.h, step.K)
    slope = step.K[-1]
    if not tableau.first_same_as_last:
        slope = np.empty_like(slope)
        f(step.t1, step.y1, slope)
        stats.nfev += 1
    return hermite(step.y, step.y1, step.h, step.K[0], slope)


def observe(walk, f, y0, times, tableau, stats):
    """Follow the steps, and read the state at the times: at their ends as it is, inside them off the interpolant.

    Returns
    -------
    array, shape (len(times), n)
    """
    ys = np.empty((len(times), len(y0)), y0.dtype)
    ys[0] = y0
    i = 1
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is rejected, or an error with its time
        for step in walk:
            Q = None
            while i < len(times) and abs(times[i] - step.t) <= abs(step.t1 - step.t):
                if times[i] == step.t1:
                    ys[i] = step.y1
                else:
                    Q = polynomial(f, tableau, step, stats) if Q is None else Q
                    ys[i] = evaluate(step.y, Q, (times[i] - step.t) / step.h)
                i += 1
    return ys


def solve(f, y0, t, *args, method="dopri5", rtol=1e-6, atol=1e-9, step_size=None, first_step=None, max_steps=100_000,
          max_step=None, min_step=None):
    """Solve dy/dt = f(t, y, *args), y(t[0]) = y0, in plain numbers; `tinyode.odeint` is the differentiable one.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)``, t a float, y and the returned derivative of the structure and shapes of y0.
    y0 : array or container of arrays
    t : array, shape (T,)
        Strictly increasing or decreasing times, at which the solution is returned; the first is that of y0.
    *args
        Passed on to f.
    method : str
        A name of `tinyode.solvers.tableaus.TABLEAUS`.
    rtol, atol : float
        For adaptive methods: the error of a step, per component, is held below about atol + rtol |y|, in root mean square.
    step_size : float, optional
        Take steps of fixed size: each interval of t is cut into equal steps no longer than this. None: adaptive where the method has
        an error estimate, else one step per interval.
    first_step : float, optional
        The first step of an adaptive method; by default Hairer's guess.
    max_steps : int
        After so many steps, accepted and rejected, the solve stops with an error.
    max_step : float, optional
        No step of an adaptive method is longer than this.
    min_step : float, optional
        Where the error asks for a step shorter than this the solve stops with an error. (The last step may be shorter.)

    Returns
    -------
    Solution

    Raises
    ------
    SolverError
        If the solve cannot go on; it says where and what to try, and its ``solution`` is what there was until then. `StepTooSmall` and
        `TooManySteps` are kinds of it.
    TypeError, ValueError
        If an argument cannot be; they name it.

    Notes
    -----
    Hairer, Norsett and Wanner I (1993), sections II.4 to II.6.
    """
    options = Options(method, rtol, atol, step_size, first_step, max_steps, max_step, min_step).check()
    times = check_times(t)
    leaves, structure = check_state(y0)
    y = np.concatenate([leaf.reshape(-1) for leaf in leaves])
    flat, cut = flat_field(f, leaves, structure, args), tree.cutter(leaves)
    tableau, stats, taken = find(method), Stats(), []

    def kept():
        for step in steps(flat, y, times, options, stats):
            taken.append(step._replace(K=step.K.copy()))
            yield step

    def interpolate(t):
        sign = math.copysign(1.0, times[-1] - times[0])
        of_step = np.searchsorted([sign * step.t1 for step in taken[:-1]], sign * t.ravel())
        result = np.empty((t.size, y.size), y.dtype)
        for i in np.unique(of_step):
            here = of_step == i
            step = taken[i]
            theta = ((t.ravel()[here] - step.t) / step.h)[:, None].astype(y.dtype)
            result[here] = np.where(theta == 1, step.y1, evaluate(step.y, polynomial(flat, tableau, step, Stats()), theta))
        return tree.unflatten(structure, cut(result.reshape(*t.shape, y.size)))

    try:
        ys = observe(kept(), flat, y, times, tableau, stats)
    except SolverError as error:
        if taken:
            start, end = times[0], taken[-1].t1
            reached = [t for t in times if abs(t - start) < abs(end - start)] + [end]
            with np.errstate(all="ignore"):
                error.solution = Solution(np.array(reached), interpolate(np.array(reached)), stats, interpolate)
        raise
    return Solution(np.array(times), tree.unflatten(structure, cut(ys)), stats, interpolate)
