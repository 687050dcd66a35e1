"""`odeint_event`: when and where a solution meets an event, differentiable by the implicit function
theorem.

With Y(t, p) the solution at t, for whatever it depends upon (y0, t0 and parameters), the event is
when G = g(t, Y(t, p), p) = 0:

    dt/dp = -G_p / G_t,      G_t = dg/dt + dg/dy f,      dy/dp = Y_p + f dt/dp

For cotangents gt and gy of time and state this is one vector-Jacobian product of (Y, G) at the time
found, with gy for Y and -(gt + gy . f) / G_t for G. (Chen, Amos and Nickel, "Learning neural event
functions for ordinary differential equations", 2021.)
"""

import numpy as np

from .. import tree
from ..autodiff import vjp
from ..autodiff.custom import with_rule
from ..autodiff.dispatch import is_traced, plain, unbox
from ..solvers.events import Event, check_events
from ..solvers.failures import SolverError
from ..solvers.first_call import explained
from ..solvers.solve import solve
from ..solvers.state import check_leaf, check_moment, flat_tolerance
from .adjoint import drift
from .odeint import check_options, odeint
from .problem import by_value, check_parameters, flat, replaced


@explained
def odeint_event(
    f,
    y0,
    t0,
    *args,
    event,
    t_end,
    method="dopri5",
    rtol=1e-6,
    atol=1e-9,
    step_size=None,
    first_step=None,
    max_step=None,
    max_steps=100_000,
    gradient="adjoint",
    adjoint_method=None,
    adjoint_rtol=None,
    adjoint_atol=None,
    checkpoints=None,
):
    """Solve dy/dt = f(t, y, *args), y(t0) = y0, until an event; return when that was, and where,
    differentiably.

    Parameters
    ----------
    f, y0, *args
        As in `odeint`.
    t0 : float
        The time of y0.
    event : function or Event
        ``event(t, y, *args)`` returns a number; the first time at which it reaches zero is the
        event. An `Event` may have a direction, and with ``terminal`` a number n it is the n-th
        time.
    t_end : float
        The last time at which to look for it; if it is before t0, backwards in time.
    method, rtol, atol, step_size, first_step, max_step, max_steps
        As in `odeint`. Where an event is so short that a step might miss it, give ``max_step``.
    gradient, adjoint_method, adjoint_rtol, adjoint_atol, checkpoints
        As in `odeint`.

    Returns
    -------
    t : float
    y : array or container like y0
        Differentiable in y0, t0 and all arguments, those that event alone depends upon included.

    Raises
    ------
    SolverError
        If there is no event until ``t_end``. In a derivative, for which y is solved again until the
        event: if y comes to another state.
    ValueError
        If a derivative is taken where the event does not cross zero at a rate, as far as the
        tolerances can tell: its time then has none.
    """
    events = check_events(event)
    if len(events) != 1:
        raise ValueError(f"event: odeint_event is until one event; got {len(events)} of them")
    check_moment(t_end, "t_end")
    check_moment(plain(t0), "t0")
    if plain(t0) == t_end:
        raise ValueError(
            f"t_end={t_end!r} must be another time than t0={plain(t0)!r}; the event "
            "is looked for between them"
        )
    (event,), count = events, max(1, events[0].terminal)
    settings = {
        "method": method,
        "rtol": rtol,
        "atol": atol,
        "step_size": step_size,
        "first_step": first_step,
        "max_step": max_step,
        "max_steps": max_steps,
    }
    again = {
        **settings,
        "gradient": gradient,
        "adjoint_method": adjoint_method,
        "adjoint_rtol": adjoint_rtol,
        "adjoint_atol": adjoint_atol,
        "checkpoints": checkpoints,
    }
    leaves, structure = tree.flatten((t0, y0, args))
    leaves = check_parameters(leaves)
    parts, y_structure = tree.flatten(tree.map(lambda y: check_leaf(plain(y)), y0))
    options, _ = check_options(parts, y_structure, **again)
    tolerances, cut = (
        [flat_tolerance(tol, parts, y_structure, "") for tol in (rtol, atol)],
        tree.cutter(parts),
    )
    kept_f, kept_g = (
        by_value(f),
        by_value(event.function),
    )  # each is called again before it is pulled back

    def G(t, y, *args):
        return np.reshape(unbox(kept_g(t, y, *args)), ())

    def forward(*leaves):
        t0, y0, args = tree.unflatten(structure, leaves)
        once = Event(event.function, count, event.direction)
        solution = solve(f, y0, [t0, t_end], *args, event=once, **settings)
        if len(solution.event.t) < count:
            times = f" {count} times" if count > 1 else ""
            raise SolverError(
                f"odeint_event: the event has not happened until t_end={t_end!r}{times}; look for"
                " it until later, check its direction, or whether it is so short that it needs a"
                " max_step",
                float(solution.t[-1]),
                0.0,
            )
        return np.concatenate(
            [
                solution.event.t[-1:],
                *[leaf[-1].reshape(-1) for leaf in tree.flatten(solution.event.y)[0]],
            ]
        )

    def backward(g, value, wanted, *leaves):
        t, (t_start, y_start, args) = value[0], tree.unflatten(structure, leaves)
        y_start = np.concatenate([np.ravel(plain(part)) for part in tree.flatten(y_start)[0]])

        def ahead(*moved):
            """Return Y and G at the time found."""
            t0, y0, args = tree.unflatten(structure, replaced(leaves, wanted, moved))
            y = tree.map(lambda part: part[-1], odeint(f, y0, np.stack([t0, t]), *args, **again))
            return flat(tree.flatten(y)[0]), G(t, y, *args)

        (y, _), pull = vjp(ahead, *[leaves[n] for n in wanted])
        slope, G_t, G_y = rate(t, y, args)
        way = plain(slope) * (
            plain(t) - plain(t_start)
        )  # a ball that comes back has moved, though its height is zero
        found = drift(
            plain(y), np.stack([plain(value)[1:], y_start, way]), 0, "at the event", options
        )
        if found:
            raise SolverError(
                f"odeint_event: solved again for the derivative, {found}, so it would be that of "
                "another solution; give max_step, or smaller tolerances or steps",
                float(plain(t)),
                0.0,
            )
        moved = np.abs(plain(y) - y_start)
        if not crosses(plain(t), plain(y), moved, plain(slope), plain(G_t), plain(G_y), args):
            raise ValueError(
                "odeint_event: as far as the tolerances can tell the event only grazes zero, so its"
                " time has no derivative; if it does cross, smaller tolerances will tell"
            )
        along = g[0] + np.sum(g[1:] * slope)
        return list(pull((g[1:], -along / G_t)))

    def rate(t, y, args):
        """Return f, the rate of change of G along the solution, and dG/dy; y flat."""
        dy = kept_f(t if is_traced(t) else float(t), tree.unflatten(y_structure, cut(y)), *args)
        slope = flat(
            [
                unbox(part)
                for part in (tree.flatten(dy)[0] if y_structure is not tree.LEAF else [dy])
            ]
        )
        _, pull = vjp(lambda t, y: G(t, tree.unflatten(y_structure, cut(y)), *args), t, y)
        g_t, g_y = pull(np.ones(()))
        return slope, g_t + np.sum(g_y * slope), g_y

    def crosses(t, y, moved, slope, G_t, G_y, args):
        """Whether G crosses zero, at a rate that is nearly the same as far off as the tolerances
        could move the crossing.

        These are a share of the way that y has moved: an origin that is far away makes no
        difference. Fixed steps have none.
        """
        if not 0 < abs(G_t) < np.inf or options.fixed:
            return 0 < abs(G_t) < np.inf
        with np.errstate(all="ignore"):
            uncertain = np.sum(np.abs(G_y) * (tolerances[1] + tolerances[0] * moved)) / np.abs(G_t)
            _, there, _ = rate(
                t + uncertain,
                y + uncertain * slope,
                tree.map(lambda x: plain(x) if is_traced(x) else x, args),
            )
            return not abs(plain(there) - G_t) > 0.5 * abs(G_t)

    value = with_rule(forward, backward, leaves)
    return value[0], tree.unflatten(y_structure, cut(value[1:]))
