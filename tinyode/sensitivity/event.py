"""`odeint_event`: when and where a solution meets an event, differentiable by the implicit function theorem.

With Y(t, p) the solution at t, for whatever it depends upon (y0, t0 and parameters), the event is when G = g(t, Y(t, p), p) = 0:

    dt/dp = -G_p / G_t,      G_t = dg/dt + dg/dy f,      dy/dp = Y_p + f dt/dp

For cotangents gt and gy of time and state this is one vector-Jacobian product of (Y, G) at the time found, with gy for Y and
-(gt + gy . f) / G_t for G. (Chen, Amos and Nickel, "Learning neural event functions for ordinary differential equations", 2021.)
"""

import numpy as np

from .. import tree
from ..autodiff import jvp, vjp
from ..autodiff.custom import with_rule
from ..autodiff.dispatch import is_traced, plain, unbox
from ..solvers.events import Event, check_events
from ..solvers.options import SolverError
from ..solvers.solve import solve
from .odeint import odeint
from .problem import flat


def odeint_event(f, y0, t0, *args, event, t_end, method="dopri5", rtol=1e-6, atol=1e-9, step_size=None, first_step=None,
                 max_steps=100_000, **options):
    """Solve dy/dt = f(t, y, *args), y(t0) = y0, until an event; return when that was, and where, differentiably.

    Parameters
    ----------
    f, y0, *args
        As in `odeint`.
    t0 : float
        The time of y0.
    event : function or Event
        ``event(t, y, *args)`` returns a number; the first time at which it reaches zero is the event. An `Event` may have a direction.
    t_end : float
        The last time at which to look for it; if it is before t0, backwards in time.
    method, rtol, atol, step_size, first_step, max_steps
        As in `odeint`.
    **options
        More of `odeint`'s: ``gradient`` and what goes with it.

    Returns
    -------
    t : float
    y : array or container like y0
        Differentiable in y0, t0 and all arguments, those that event alone depends upon included.

    Raises
    ------
    SolverError
        If there is no event until ``t_end``.
    ValueError
        If a derivative is taken where the event only grazes zero: its time then has none.
    """
    (event,) = check_events(event)
    settings = {"method": method, "rtol": rtol, "atol": atol, "step_size": step_size, "first_step": first_step, "max_steps": max_steps}
    leaves, structure = tree.flatten((t0, y0, args))
    leaves = [unbox(leaf) if is_traced(leaf) else leaf for leaf in leaves]
    shape = tree.map(lambda y: np.asarray(plain(y), float if np.asarray(plain(y)).dtype.kind != "f" else None), y0)
    parts, y_structure = tree.flatten(shape)
    cut = tree.cutter(parts)

    def forward(*leaves):
        t0, y0, args = tree.unflatten(structure, leaves)
        once = Event(event.function, True, event.direction)
        solution = solve(f, y0, [t0, t_end], *args, event=once, **settings)
        if not solution.event.t.size:
            raise SolverError(f"odeint_event: the event has not happened until t_end={t_end!r}; look for it until later, or check its "
                              "direction", float(solution.t[-1]), 0.0)
        return np.concatenate([solution.event.t, *[leaf[0].reshape(-1) for leaf in tree.flatten(solution.event.y)[0]]])

    def backward(g, value, wanted, *leaves):
        def ahead(t, *moved):
            """Return Y and G."""
            all_leaves = list(leaves)
            for n, leaf in zip(wanted, moved):
                all_leaves[n] = leaf
            t0, y0, args = tree.unflatten(structure, all_leaves)
            y = tree.map(lambda part: part[-1], odeint(f, y0, np.stack([t0, t]), *args, **settings, **options))
            return flat(tree.flatten(y)[0]), event.function(t, y, *args)

        t, y = value[0], tree.unflatten(y_structure, cut(value[1:]))
        args = tree.unflatten(structure, leaves)[2]
        slope = f(t if is_traced(t) else float(t), y, *args)
        slope = tree.map(unbox, slope) if y_structure is not tree.LEAF else unbox(slope)
        _, G_t = jvp(lambda t, y: event.function(t, y, *args), (t, y), (np.ones(()), slope))
        if float(plain(G_t)) == 0:
            raise ValueError("odeint_event: the event grazes zero without crossing it, so its time has no derivative")
        along = g[0] + np.sum(g[1:] * flat(tree.flatten(slope)[0]))
        _, pull = vjp(lambda *moved: ahead(t, *moved), *[leaves[n] for n in wanted])
        return list(pull((g[1:], -along / G_t)))

    value = with_rule(forward, backward, leaves)
    return value[0], tree.unflatten(y_structure, cut(value[1:]))
