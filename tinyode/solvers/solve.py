"""Initial value problems dy/dt = f(t, y), y(t0) = y0: the integration loop, and `solve`.

The loop reads as in the book (Hairer, Norsett and Wanner I, section II.4): propose a step, measure
its error, accept or reject it, record. What a step is stands in `runge_kutta` and `implicit`, how
long it may be in `step_size`, what lies inside it in `dense`, the methods in `tableaus`.
"""

import math

import numpy as np

from .dense import Dense, Step, observe
from .events import Events, check_events, watch
from .first_call import explained
from .implicit import ImplicitStepper
from .options import NewtonFailed, Options, SolverError, Stats, StepTooSmall, TooManySteps
from .runge_kutta import Stepper
from .solution import Solution
from .state import (
    check_function,
    check_state,
    check_times,
    flat_event,
    flat_field,
    flat_jacobian,
    flat_norm,
    flat_tolerance,
)
from .step_size import Controller, error_norm, first_steps, quadrature_norm
from .tableaus import find

STIFF = " (an explicit method needs short steps then; try method='kvaerno5')"
BELOW_ROUNDING = (
    "the step is below rounding: the solution may have a singularity here, or t is too large to"
    f" resolve it (shift its origin), or the problem is stiff{STIFF}, or the tolerances ask for"
    " more than this dtype holds (try larger rtol and atol, or a larger step)"
)


def below_rounding(tableau):
    """Return `BELOW_ROUNDING` without what an implicit method has done already."""
    stiff = f", or the problem is stiff{STIFF}"
    return BELOW_ROUNDING.replace(stiff, "") if tableau.implicit else BELOW_ROUNDING


def adaptively(tableau, other):
    """Say how to take steps that are not of fixed size."""
    if tableau.e is not None:
        return "leave step_size out, and the steps are adaptive"
    return f"take an adaptive method such as {other}"


def steps(f, y, times, options, stats, coupled=None, jacobian=None):
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
    jacobian : function, optional
        See `ImplicitStepper`; implicit methods need it.

    Yields
    ------
    Step

    Raises
    ------
    SolverError
    """
    tableau = find(options.method)
    arguments = f, tableau, y, len(y) if coupled is None else coupled, stats
    stepper = (
        ImplicitStepper(*arguments, jacobian, options) if tableau.implicit else Stepper(*arguments)
    )
    stepper.start(times[0], y)
    if not np.isfinite(stepper.K[0]).all():
        raise SolverError(
            f"f is not finite at the initial state: f(t0, y0) = {stepper.K[0]!s:.200} at y0 ="
            f" {y!s:.200}; check f and y0",
            times[0],
            0.0,
        )
    yield from (_fixed if options.fixed else _adaptive)(stepper, tableau, y, times, options, stats)


def _fixed(stepper, tableau, y, times, options, stats):
    """Equal steps within each interval of ``times``, no longer than ``step_size``; one where that
    is None.
    """
    for t, t1, h in grid(times, options):
        _check_count(stats, options, t, h)
        if t1 == t:
            raise StepTooSmall(below_rounding(tableau), t, h)
        if stats.accepted:
            stepper.advance(t, y)
        y1 = stepper.step(t, t1, y, h)
        if y1 is None:
            raise NewtonFailed(
                "Newton's method did not solve the equations of this step; try a "
                f"smaller step_size, or {adaptively(tableau, 'kvaerno5')}; is jacobian= "
                "right, where it is given?" + blame(stepper, t, y, h),
                t,
                h,
            )
        if not all_finite(y1):
            raise SolverError(
                "the state is no longer finite: the solution has blown up, or the "
                "step is too long for it; try a smaller step_size, "
                "or " + adaptively(tableau, "dopri5") + blame(stepper, t, y, h),
                t,
                h,
            )
        stats.accepted += 1
        yield Step(t, t1, h, y, y1, stepper.K)
        y = y1


def grid(times, options):
    """Generate (t, t1, h) of each step of fixed size."""
    for start, end in zip(times[:-1], times[1:]):
        n = 1 if options.step_size is None else abs(end - start) / options.step_size
        if n > options.max_steps:
            raise TooManySteps(
                f"step_size={options.step_size} cuts t into more than max_steps={options.max_steps}"
                " steps; take longer steps, or allow more",
                start,
                math.copysign(options.step_size, end - start),
            )
        n = max(1, math.ceil(n * (1 - 1e-12)))  # 0.3 / 0.1 is three steps, whichever way it rounds
        h = (end - start) / n
        for j in range(n):
            yield start + j * h, end if j == n - 1 else start + (j + 1) * h, h


def _adaptive(stepper, tableau, y, times, options, stats):
    """Steps as long as the error estimate allows."""
    t, end, rtol, atol, n = times[0], times[-1], options.rtol, options.atol, stepper.coupled
    sign = math.copysign(1.0, end - t)
    size = options.first_step
    if size is None:
        size = first_steps(
            lambda t, y: stepper.slope(t.item(), y[0])[None, :n],
            np.array([t]),
            y[None, :n],
            stepper.K[:1, :n],
            tableau.error_order,
            lambda x: np.array([error_norm(x[0], y[:n], y[:n], rtol, atol, options.norm)]),
            np.array([end - t]),
        ).item()
    longest, shortest = options.max_step or math.inf, options.min_step or 0.0
    size = max(size, shortest)
    least = float(np.min(rtol)), float(np.min(atol))
    controller = Controller(
        tableau.error_order, pi=tableau.e3 is None, keep=1.2 if tableau.implicit else 1.0
    )

    def measure(e, y, y1):
        if n == len(y):
            return error_norm(e, y, y1, rtol, atol, options.norm)
        return max(
            error_norm(e[:n], y[:n], y1[:n], rtol, atol, options.norm),
            quadrature_norm(e[n:], y[n:], y1[n:], stepper.K[-1, n:], abs(end - t), *least),
        )

    while True:
        size = min(size, longest)
        size = options.limit(t, size) if options.limit else size
        _check_count(stats, options, t, sign * size)
        last = min(1.01 * size, longest * (1 + 1e-9)) >= abs(
            end - t
        )  # rather a step 1 % longer than one that is all rounding
        t1 = end if last else t + sign * size
        h = t1 - t  # what t really advances by, where t is large
        if h == 0:
            raise StepTooSmall(below_rounding(tableau), t, sign * size)
        y1 = stepper.step(t, t1, y, h)
        if y1 is None:
            size, controller.rejected = abs(h) / 2, True
            if size < shortest or size <= 4 * math.ulp(t):
                raise NewtonFailed(
                    "Newton's method does not solve the equations of a step from here, however"
                    f" small the step{f', and min_step={shortest}' if shortest else ''}; is f"
                    " smooth?" + blame(stepper, t, y, h),
                    t,
                    h,
                )
            continue
        error = measure(stepper.error(), y, y1)
        if tableau.e3 is not None and 0 < error < math.inf:
            error *= error / math.hypot(error, 0.1 * measure(stepper.second_error(), y, y1))
        if error <= 1 and all_finite(y1):  # an error is small beside a state that is infinite
            stats.accepted += 1
            size = max(controller.accept(abs(h), error), shortest)
            yield Step(t, t1, h, y, y1, stepper.K)
            if last:
                return
            t, y = t1, y1
            stepper.advance(t, y)
        else:
            stats.rejected += 1
            error = error if error > 1 else math.inf
            size = controller.reject(abs(h), error)
            if size < shortest:
                other = "" if tableau.implicit else " (try method='kvaerno5')"
                raise StepTooSmall(
                    f"the error asks for a step below min_step={shortest}: the "
                    f"problem is stiff here{other}, or the solution has a "
                    "singularity; allow a smaller step, or larger rtol and "
                    "atol",
                    t,
                    sign * size,
                )
            if not size > 4 * math.ulp(t):
                if math.isfinite(error):
                    raise StepTooSmall(below_rounding(tableau), t, h)
                raise SolverError(
                    "f or the state is not finite beyond this time, however small the step: the"
                    " solution blows up here, or leaves the domain of f; end the interval earlier,"
                    " or check f" + blame(stepper, t, y, h),
                    t,
                    h,
                )


def blame(stepper, t, y, h):
    """Say where in the step just tried f was not finite first, if it was."""
    found = stepper.not_finite(t, y, h)
    return "" if found is None else f"; f is not finite at t = {found[0]!r}, y = {found[1]!s:.200}"


def all_finite(y):
    """Whether all of y is finite; by its square, which is quick to compute, where that does not
    overflow.
    """
    return math.isfinite(y.dot(y)) or bool(np.isfinite(y).all())


def _check_count(stats, options, t, h):
    if stats.accepted + stats.rejected + stats.newton_failures >= options.max_steps:
        if stats.newton_failures > options.max_steps / 4:
            raise TooManySteps(
                f"max_steps={options.max_steps} steps were not enough, and Newton's method failed"
                f" at {stats.newton_failures} of them: is jacobian= right, where it is given? Is f"
                " smooth?",
                t,
                h,
            )
        implicit = find(options.method).implicit
        stiff = "" if implicit else "the problem stiff (try method='kvaerno5'), or "
        raise TooManySteps(
            f"max_steps={options.max_steps} steps were not enough; is {stiff}the "
            "tolerance too small? Allow more with max_steps, or ask for less "
            "accuracy with rtol and atol",
            t,
            h,
        )


@explained
def solve(
    f,
    y0,
    t,
    *args,
    method="dopri5",
    rtol=1e-6,
    atol=1e-9,
    step_size=None,
    first_step=None,
    max_steps=100_000,
    max_step=None,
    min_step=None,
    norm=None,
    jacobian=None,
    event=None,
):
    """Solve dy/dt = f(t, y, *args), y(t[0]) = y0, in plain numbers; `tinyode.odeint` is the
    differentiable one.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)``, t a float, y and the returned derivative of the structure and shapes of
        y0.
    y0 : array or container of arrays
    t : array, shape (T,)
        Strictly increasing or decreasing times, at which the solution is returned; the first is
        that of y0.
    *args
        Passed on to f.
    method : str
        A name of `tinyode.solvers.tableaus.TABLEAUS`.
    rtol, atol : float, or array or container like y0
        For adaptive methods: the error of a step, per component, is held below about atol + rtol
        |y|, in root mean square.
    step_size : float, optional
        Take steps of fixed size: each interval of t is cut into equal steps no longer than this.
        None: adaptive where the method has an error estimate, else one step per interval.
    first_step : float, optional
        The first step of an adaptive method; by default Hairer's guess.
    max_steps : int
        After so many steps, accepted, rejected and failed, the solve stops with an error.
    max_step : float, optional
        No step of an adaptive method is longer than this, so that it does not step over what f or
        ``event`` does for a short time only.
    min_step : float, optional
        Where the error asks for a step shorter than this the solve stops with an error. (The last
        step may be shorter.)
    norm : function, optional
        ``norm(x)`` returns the size of x = error / (atol + rtol |y|), which has the shape, or the
        structure, of y; a step is accepted at 1 or below. By default the root mean square, which
        decides about Newton's iteration in any case.
    jacobian : function, optional
        For implicit methods: ``jacobian(t, y, *args)`` returns df/dy, shape (n, n) for a state of n
        elements. By default it is computed by the engine, so f must be one that can be
        differentiated.
    event : function, Event, or list of such, optional
        ``event(t, y, *args)`` returns a number, whose changes of sign are the events; see
        `tinyode.solvers.events`. It is computed a few times in each step: where two changes may lie
        inside one long step, give ``max_step``.

    Returns
    -------
    Solution
        Where a terminal event has ended it, its last time is that of the event.

    Raises
    ------
    SolverError
        If the solve cannot go on; it says where and what to try, and its ``solution`` is what there
        was until then. `StepTooSmall`, `TooManySteps` and `NewtonFailed` are kinds of it.
    TypeError, ValueError
        If an argument cannot be; they name it.

    Notes
    -----
    Hairer, Norsett and Wanner I (1993), sections II.4 to II.6; for implicit methods
    Hairer and Wanner II (1996), section IV.8. ``kvaerno5`` evaluates f beyond the last time, by up
    to 0.23 of the last step; no other method does. Inside a step the solution is a polynomial whose
    error is of order h^8 for ``dop853``, h^5 for ``dopri5`` and ``tsit5``, h^(s + 1) for the
    implicit methods of s stages at fixed steps, and h^4, by Hermite's cubic, for all others: it is
    less accurate than the ends of steps where these are long, as those of ``kvaerno5`` are.
    """
    for name, function, example in (
        ("f", f, ""),
        ("norm", norm, ""),
        ("jacobian", jacobian, ", lambda t, y: J"),
    ):
        if function is not None or name == "f":
            check_function(function, name, example)
    leaves, structure = check_state(y0)
    rtol, atol = [
        flat_tolerance(value, leaves, structure, name)
        for value, name in ((rtol, "rtol"), (atol, "atol"))
    ]
    options = Options(
        method,
        rtol,
        atol,
        step_size,
        first_step,
        max_steps,
        max_step,
        min_step,
        flat_norm(norm, leaves, structure),
    ).check()
    times, tableau, stats, taken = check_times(t), find(method), Stats(), []
    if norm is not None and options.fixed:
        raise ValueError("norm has no meaning where the steps are of fixed size; leave it out")
    if jacobian is not None and not tableau.implicit:
        raise ValueError(
            f"jacobian has no meaning for method={method!r}, which is explicit; leave it out"
        )
    y = np.concatenate([leaf.reshape(-1) for leaf in leaves])
    flat, events, found = flat_field(f, leaves, structure, args), check_events(event), []
    walk = steps(
        flat, y, times, options, stats, jacobian=flat_jacobian(f, leaves, structure, args, jacobian)
    )
    if events:
        walk = watch(walk, events, flat_event(leaves, structure, args), flat, tableau, stats, found)
    like = leaves, structure
    try:
        ys = observe(_kept(walk, taken, tableau), flat, y, times, tableau, stats)
        return _solution(ys, times, taken, Dense(taken, tableau, flat, *like), stats, events, found)
    except SolverError as error:
        if taken:
            error.solution = _solution(
                y[None], times, taken, Dense(taken, tableau, flat, *like), stats, events, found
            )
        raise


def _kept(walk, taken, tableau):
    """Yield the steps, and keep them; the stages of implicit ones too, those of explicit ones are
    soon had again.
    """
    for step in walk:
        taken.append(step._replace(K=step.K.copy()) if tableau.implicit else step)
        yield step


def _solution(ys, times, taken, dense, stats, events, found):
    """Return the `Solution` as far as it got: to the last time, or to the end of the last step."""
    reached, states = np.array(times), dense.shaped(ys)
    if len(ys) < len(times):
        end = taken[-1].t1
        reached = np.array([t for t in times if abs(t - times[0]) < abs(end - times[0])] + [end])
        with np.errstate(all="ignore"):
            states = dense(reached)
    happened = None
    if events:
        flat_states = np.array([state for _, state, _ in found], ys.dtype).reshape(-1, ys.shape[1])
        happened = Events(
            np.array([t for t, _, _ in found]),
            dense.shaped(flat_states),
            np.array([i for _, _, i in found], int),
        )
    return Solution(reached, states, stats, happened, dense)
