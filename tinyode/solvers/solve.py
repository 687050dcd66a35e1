"""Initial value problems dy/dt = f(t, y), y(t0) = y0: the integration loop, and `solve`.

The loop reads as in the book (Hairer, Norsett and Wanner I, section II.4): propose a step, take it,
measure its error, accept or reject it. What a step is stands in `runge_kutta` and `implicit`, how
long it may be in `step_size`, what lies inside it in `dense`, what can go wrong in `failures`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..types import Array, ArrayLike, Field, Tree
from . import failures
from .dense import Dense, Step, observe
from .events import Event, Watch, check_events, flat_event
from .failures import SolverError, culprit
from .first_call import explained
from .implicit import ImplicitStepper
from .jacobian import flat_jacobian
from .options import Options, Stats
from .runge_kutta import Stepper
from .solution import Solution, solution_of
from .state import check_function, check_state, check_times, flat_field, flat_norm, flat_tolerance
from .step_size import Controller, corrected, error_norm, guess_first_step, is_lost, quadrature_norm
from .tableaus import find


def steps(field, y, times, options, stats, coupled=None, jacobian=None):
    """Generate the accepted steps from times[0] to times[-1], each a `Step`.

    Parameters
    ----------
    field : function
        The flat field: ``field(t, y, k)`` writes dy/dt into k.
    y : array, shape (n,)
        The initial state.
    times : list of float
    options : Options
    stats : Stats
        Counted up.
    coupled : int, optional
        See `Stepper`; by default f depends on all components.
    jacobian : function, optional
        See `ImplicitStepper`; implicit methods need it.

    Raises
    ------
    SolverError
        If the solve cannot go on.
    """
    tableau = find(options.method)
    arguments = field, tableau, y, len(y) if coupled is None else coupled, stats
    if tableau.implicit:
        stepper = ImplicitStepper(*arguments, jacobian, options)
    else:
        stepper = Stepper(*arguments)
    stepper.start(times[0], y)
    if not np.isfinite(stepper.K[0]).all():
        raise failures.not_finite_at_start(times[0], y, stepper.K[0])
    yield from (_fixed if options.fixed else _adaptive)(stepper, y, times, options)


def _fixed(stepper, y, times, options):
    """Generate equal steps within each interval of ``times``."""
    tableau, stats = stepper.tableau, stepper.stats
    for t, t1, h in grid(times, options):
        if stats.accepted == options.max_steps:
            raise failures.too_many_steps(tableau, options, 0, t, h)
        if t1 == t:
            raise failures.below_rounding(tableau, t, h)
        if stats.accepted > 0:
            stepper.advance(t, y)
        y1 = stepper.step(t, t1, y, h)
        if y1 is None:
            raise failures.no_stages_at_fixed_step(tableau, t, h, culprit(stepper, t, y, h))
        if not all_finite(y1):
            raise failures.blown_up(tableau, t, h, culprit(stepper, t, y, h))
        stats.accepted += 1
        yield Step(t, t1, h, y, y1, stepper.K)
        y = y1


def grid(times, options):
    """Generate (t, t1, h) of each step of fixed size: no longer than ``step_size``, if given."""
    for start, end in zip(times[:-1], times[1:]):
        n = 1 if options.step_size is None else abs(end - start) / options.step_size
        if n > options.max_steps:
            h = math.copysign(options.step_size, end - start)
            raise failures.too_fine_a_grid(options, start, h)
        n = max(1, math.ceil(n * (1 - 1e-12)))  # 0.3 / 0.1 is three steps, whichever way it rounds
        h = (end - start) / n
        for j in range(n):
            yield start + j * h, end if j == n - 1 else start + (j + 1) * h, h


def _adaptive(stepper, y, times, options):
    """Generate steps as long as the error estimate allows."""
    t, end, tableau, stats = times[0], times[-1], stepper.tableau, stepper.stats
    sign = math.copysign(1.0, end - t)
    control = Controller(tableau, options)
    size = options.first_step or _first_step(stepper, t, y, end, options)
    size = min(max(size, control.shortest), control.longest)
    for _ in range(options.max_steps):
        if options.limit is not None:
            size = options.limit(t, size)
        t1 = end if control.is_last(size, abs(end - t)) else t + sign * size
        h = t1 - t  # what t really advances by, where t is large
        if h == 0:
            raise failures.below_rounding(tableau, t, sign * size)
        y1 = stepper.step(t, t1, y, h)
        if y1 is None:
            size = control.after_newtons_failure(abs(h))
            if size < control.shortest or is_lost(size, t):
                raise failures.no_stages(options, t, h, culprit(stepper, t, y, h))
            continue
        error = error_of_step(stepper, t, y, y1, abs(end - t), options)
        if error <= 1 and all_finite(y1):  # beside an infinite state an error is small
            size = control.after_accepted(abs(h), error, stepper.rate)
            stats.accepted += 1
            yield Step(t, t1, h, y, y1, stepper.K)
            if t1 == end:
                return
            t, y = t1, y1
            stepper.advance(t, y)
        else:
            error = error if error > 1 else math.inf  # it is NaN, or the state is infinite
            size = control.after_rejected(abs(h), error)
            stats.rejected += 1
            if size < control.shortest:
                raise failures.below_min_step(tableau, options, t, sign * size)
            if is_lost(size, t):
                raise failures.no_way_on(tableau, error, t, h, culprit(stepper, t, y, h))
    raise failures.too_many_steps(tableau, options, stats.newton_failures, t, sign * size)


def _first_step(stepper, t, y, end, options):
    """Guess the size of the first step."""
    n, order = stepper.coupled, stepper.tableau.error_order
    y, k = y[:n], stepper.K[0, :n]
    slope = lambda t, y: stepper.slope(float(t), y)
    norm = lambda x: error_norm(x, y, y, options.rtol, options.atol, options.norm)
    return guess_first_step(slope, t, y, k, order, norm, end - t).item()


def error_of_step(stepper, t, y, y1, left, options):
    """Return the norm of the error of the step just taken: 1 is what the tolerances allow."""
    estimate = stepper.error()
    error = _scaled(estimate, stepper, y, y1, left, options)
    if stepper.tableau.filter is not None and error > 1:
        return _scaled(stepper.error_again(t, y, estimate), stepper, y, y1, left, options)
    if stepper.tableau.e3 is None:
        return error
    return corrected(error, _scaled(stepper.second_error(), stepper, y, y1, left, options))


def _scaled(estimate, stepper, y, y1, left, options):
    """Return the norm of an estimate of it; ``left`` is the time from t to the end of the solve."""
    n, rtol, atol, norm = stepper.coupled, options.rtol, options.atol, options.norm
    if n == len(y):
        return error_norm(estimate, y, y1, rtol, atol, norm)
    return max(
        error_norm(estimate[:n], y[:n], y1[:n], rtol, atol, norm),
        quadrature_norm(estimate[n:], y[n:], y1[n:], stepper.K[-1, n:], left, rtol, atol),
    )


def all_finite(y):
    """Whether all of y is finite; by its square, which is quick, where that does not overflow."""
    return math.isfinite(y.dot(y)) or bool(np.isfinite(y).all())


def followed(walk, y, times, dense, watch):
    """Return the `Solution` that steps make, which are kept in ``dense``.

    Where they end with an error, it has the solution as far as it goes.
    """
    if watch.events:
        walk = watch.watched(walk)
    try:
        ys = observe(dense.kept(walk), dense.field, y, times, dense.tableau, watch.stats)
    except SolverError as error:
        if dense.steps:
            error.solution = solution_of(times, y[None], dense, watch)
        raise
    return solution_of(times, ys, dense, watch)


@explained
def solve(
    f: Field,
    y0: Tree,
    t: ArrayLike,
    *args: Any,
    method: str = "dopri5",
    rtol: Tree = 1e-6,
    atol: Tree = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_steps: int = 100_000,
    max_step: float | None = None,
    min_step: float | None = None,
    norm: Callable[[Tree], float] | None = None,
    jacobian: Callable[..., Array] | None = None,
    event: Callable[..., Any] | Event | Sequence[Callable[..., Any] | Event] | None = None,
) -> Solution:
    """Solve dy/dt = f(t, y, *args), y(t[0]) = y0, in plain numbers.

    `tinyode.odeint` does the same and can be differentiated.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)`` returns dy/dt. t is a float; y and dy/dt have the structure and shapes of
        y0.
    y0 : array or container of arrays
        The initial state.
    t : array, shape (T,)
        Strictly increasing or decreasing times, at which the solution is returned. The first is the
        time of y0.
    *args
        Passed on to f.
    method : str
        A name of `tinyode.solvers.tableaus.TABLEAUS`.
    rtol, atol : float, or array or container like y0
        For adaptive steps: the root mean square of error / (atol + rtol |y|), over the components
        of y, is 1 at most in each step.
    step_size : float, optional
        Take steps of fixed size: each interval of t is cut into equal steps no longer than this.
        Without it a method with an error estimate takes adaptive steps, any other one step per
        interval.
    first_step : float, optional
        The size of the first adaptive step; by default Hairer's guess.
    max_steps : int
        After so many steps, accepted, rejected and failed, the solve stops with an error.
    max_step : float, optional
        No adaptive step is longer than this. Give it where f or ``event`` does something for a
        short time only, which a longer step could miss.
    min_step : float, optional
        Where the error asks for a shorter step than this, the solve stops with an error. (The last
        step may be shorter.)
    norm : function, optional
        ``norm(x)`` measures x = error / (atol + rtol |y|), which has the shape, or the structure,
        of y, instead of the root mean square. (Newton's iteration keeps the root mean square.)
    jacobian : function, optional
        For implicit methods: ``jacobian(t, y, *args)`` returns df/dy, shape (n, n) for a state of n
        elements. Without it the Jacobian is computed by differences of f, or by the engine
        (`tinyode.solvers.jacobian`).
    event : function, Event, or list of such, optional
        ``event(t, y, *args)`` returns a number, whose changes of sign are the events; see
        `tinyode.solvers.events`. It is computed a few times in each step: give ``max_step`` where
        two changes may lie inside one long step.

    Returns
    -------
    Solution
        Its last time is that of a terminal event, if there was one.

    Raises
    ------
    SolverError
        If the solve cannot go on. It says where, and what to try; its ``solution`` goes up to that
        time. `StepTooSmall`, `TooManySteps` and `NewtonFailed` are kinds of it.
    TypeError, ValueError
        If an argument is not as it must be; they name it.

    Notes
    -----
    Hairer, Norsett and Wanner I (1993), sections II.4 to II.6; for implicit methods
    Hairer and Wanner II (1996), section IV.8.

    ``kvaerno5`` evaluates f beyond the last time, by up to 0.23 of the last step; no other method
    does.

    Inside a step the solution is a polynomial. Its error is of order h^8 for ``dop853``, h^5 for
    ``dopri5``, ``tsit5``, ``kvaerno5`` and ``radau_iia5``, h^(s + 1) for the other collocation
    methods of s stages, and h^4 for all others, whose polynomial is Hermite's cubic.

    The steps of a very stiff problem may be too long for such a polynomial, and no error estimate
    sees that: on y' = -1000 (y - cos t) at rtol 1e-4 the error inside the steps of ``kvaerno5`` is
    100 times that at their ends. If the solution is needed there, give ``max_step``.
    """
    # The arguments, in their order.
    check_function(f)
    leaves, structure = check_state(y0)
    times = check_times(t)
    if norm is not None:
        check_function(norm, "norm")
    if jacobian is not None:
        check_function(jacobian, "jacobian", ", lambda t, y: J")
    options = Options(
        method=method,
        rtol=flat_tolerance(rtol, leaves, structure, "rtol"),
        atol=flat_tolerance(atol, leaves, structure, "atol"),
        step_size=step_size,
        first_step=first_step,
        max_steps=max_steps,
        max_step=max_step,
        min_step=min_step,
        norm=flat_norm(norm, leaves, structure),
    ).check()
    tableau, events = find(method), check_events(event)
    if norm is not None and options.fixed:
        raise ValueError("norm has no meaning where the steps are of fixed size; leave it out")
    if jacobian is not None and not tableau.implicit:
        raise ValueError(
            f"jacobian has no meaning for method={method!r}, which is explicit; leave it out"
        )

    # The problem for flat vectors.
    stats, y = Stats(), np.concatenate([leaf.reshape(-1) for leaf in leaves])
    field = flat_field(f, leaves, structure, args, times[0])
    J = flat_jacobian(field, f, leaves, structure, args, options, jacobian)
    dense = Dense(tableau, field, leaves, structure)
    watch = Watch(events, flat_event(leaves, structure, args), field, tableau, stats)
    return followed(steps(field, y, times, options, stats, jacobian=J), y, times, dense, watch)
