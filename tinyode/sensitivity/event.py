"""`odeint_event`: when and where a solution meets an event, as differentiable functions.

Their derivatives are those of the implicit function theorem. Let p be all that the solution depends
on, y0, t0 and parameters, and Y(t, p) the solution at t. The event is when its function, G(t, p) =
g(t, Y(t, p), p), is zero:

    dt/dp = -G_p / G_t,      G_t = dg/dt + dg/dy f,      dy/dp = Y_p + f dt/dp

A loss of t and y then has the gradient dL/dt dt/dp + dL/dy dy/dp. That is one vector-Jacobian
product of (Y, G) at the time found, with dL/dy for Y and -(dL/dt + dL/dy f) / G_t for G. (Chen,
Amos and Nickel, "Learning neural event functions for ordinary differential equations", 2021.)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..autodiff import vjp
from ..autodiff.by_value import by_value
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import is_traced, plain, unbox
from ..solvers.events import Event, check_events
from ..solvers.failures import SolverError
from ..solvers.first_call import explained
from ..solvers.options import Options
from ..solvers.solve import solve
from ..solvers.state import check_moment
from ..types import Array, Field, T, Tree
from .drift import allowed, drift, largest, sentence
from .odeint import GRADIENTS
from .settings import Adjoint, check_settings
from .shared import VectorField, check_parameters, check_start, flat, replaced, without_levels


@explained
def odeint_event(
    f: Field,
    y0: T,
    t0: float | Array,
    *args: Tree,
    event: Callable[..., Any] | Event,
    t_end: float,
    method: str = "dopri5",
    rtol: Tree = 1e-6,
    atol: Tree = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_step: float | None = None,
    max_steps: int = 100_000,
    gradient: str = "adjoint",
    adjoint_method: str | None = None,
    adjoint_rtol: Tree | None = None,
    adjoint_atol: Tree | None = None,
    checkpoints: int | None = None,
) -> tuple[Any, T]:
    """Solve dy/dt = f(t, y, *args), y(t0) = y0, until an event; return its time and the state.

    Parameters
    ----------
    f, y0, *args
        As in `odeint`.
    t0 : float
        The time of y0.
    event : function or Event
        ``event(t, y, *args)`` returns a number. The event is when it reaches zero for the first
        time; of an `Event` with ``terminal=n``, for the n-th time. An `Event` may have a
        direction.
    t_end : float
        The last time at which to look for it. If it is before t0, y is solved backwards in time.
    method, rtol, atol, step_size, first_step, max_step, max_steps
        As in `odeint`. Where an event is so short that a step might miss it, give ``max_step``.
    gradient, adjoint_method, adjoint_rtol, adjoint_atol, checkpoints
        As in `odeint`.

    Returns
    -------
    t : float
    y : array or container like y0
        Both are differentiable in y0, t0 and all args, also in those that only the event depends
        on.

    Raises
    ------
    SolverError
        If there is no event until ``t_end``. For a derivative, y is solved again until the event:
        if it comes to another state.
    ValueError
        If a derivative is taken where the event only grazes zero, as far as the tolerances can
        tell: its time then has no derivative.
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
    leaves, structure = check_start(y0)
    theta, args_structure = check_parameters(args)
    options = Options(method, rtol, atol, step_size, first_step, max_steps, max_step)
    of_adjoint = Adjoint(adjoint_method, adjoint_rtol, adjoint_atol)
    settings = check_settings(
        plain(leaves), structure, options, GRADIENTS, gradient, of_adjoint, checkpoints
    )
    field = VectorField(f, leaves, structure, args_structure)
    meeting = Meeting(field, events[0], t_end, options, GRADIENTS[gradient].odesolve, settings)
    (t0,), _ = check_parameters([t0])
    value = with_rule(meeting.forward, meeting.backward, (t0, flat(leaves), *theta))
    return value[0], tree.unflatten(structure, field.cut(value[1:]))


class Meeting:
    """A solve until an event, and the backward pass from its time and state."""

    def __init__(self, field, event, t_end, options, odesolve, settings):
        self.field, self.event, self.t_end = field, event, t_end
        self.options, self.odesolve, self.settings = options, odesolve, settings
        self.count = max(1, event.terminal)
        # by value, since each is called again before it is pulled back
        self.f, self.g = field.by_value(), by_value(event.function)

    def containers(self, z, theta):
        """Return y and args, as the user's functions take them."""
        y = tree.unflatten(self.field.structure, self.field.cut(z))
        return y, tree.unflatten(self.field.args_structure, theta)

    def forward(self, t0, z0, *theta):
        """Solve in plain numbers; return the time and the state of the event, as one vector."""
        y0, args = self.containers(z0, theta)
        options = self.options
        solution = solve(
            self.field.f,
            y0,
            [t0, self.t_end],
            *args,
            event=Event(self.event.function, self.count, self.event.direction),
            method=options.method,
            rtol=options.rtol,
            atol=options.atol,
            step_size=options.step_size,
            first_step=options.first_step,
            max_step=options.max_step,
            max_steps=options.max_steps,
        )
        if len(solution.event.t) < self.count:
            times = f" {self.count} times" if self.count > 1 else ""
            raise SolverError(
                f"odeint_event: the event has not happened until t_end={self.t_end!r}{times}; look"
                " for it until later, check its direction, or whether it is so short that it needs"
                " a max_step",
                float(solution.t[-1]),
                0.0,
            )
        y = [part[-1] for part in tree.flatten(solution.event.y)[0]]
        return flat([solution.event.t[-1:], *y])

    def backward(self, dL_dty, ty, positions, *leaves):
        """Return the gradients of the leaves at these positions; t and y are one vector here."""
        t, dL_dt, dL_dz = ty[0], dL_dty[0], dL_dty[1:]

        def ahead(*moved):
            """Return Y and G at the time found."""
            t0, z0, *theta = replaced(leaves, positions, moved)
            z = self.odesolve(self.field, z0, np.stack([t0, t]), theta, self.settings)[-1]
            return z, self.G(t, z, theta)

        (z, _), pull = vjp(ahead, *[leaves[i] for i in positions])
        t0, z0, *theta = leaves
        slope, G_t, dG_dz = self.rate(t, z, theta)
        found = plain(t), plain(z), without_levels(theta), plain(slope)
        self.check_same(plain(ty[1:]), *plain([t0, z0]), *found)
        if not self.crosses(plain(z0), *found, plain(G_t), plain(dG_dz)):
            raise ValueError(
                "odeint_event: as far as the tolerances can tell the event only grazes zero, so its"
                " time has no derivative; if it does cross, smaller tolerances will tell"
            )
        return list(pull((dL_dz, -(dL_dt + np.sum(dL_dz * slope)) / G_t)))

    def G(self, t, z, theta):
        """Return the event's function at a flat state."""
        y, args = self.containers(z, theta)
        return np.reshape(unbox(self.g(t, y, *args)), ())

    def rate(self, t, z, theta):
        """Return f, the rate of change of G along the solution, and dG/dz."""
        slope = self.f(t if is_traced(t) else float(t), z, theta)
        _, pull = vjp(lambda t, z: self.G(t, z, theta), t, z)
        dG_dt, dG_dz = pull(np.ones(()))
        return slope, dG_dt + np.sum(dG_dz * slope), dG_dz

    def check_same(self, known, t0, z0, t, z, theta, slope):
        """Raise SolverError where z, solved for again, is not the state of the event."""
        # the size of z is also how far it moves: that of a ball that comes back may be zero
        size = largest(np.stack([known, z0, slope * (t - t0)]))
        bound = allowed(size, self.settings.forward, self.settings.forward)
        if drift(z, known, bound):
            found = sentence(z, known, bound, "at the event")
            raise SolverError(
                f"odeint_event: solved again for the derivative, {found}, so it would be that of"
                " another solution; give max_step, or smaller tolerances or steps",
                float(t),
                0.0,
            )

    def crosses(self, z0, t, z, theta, slope, G_t, dG_dz):
        """Whether G crosses zero, at a rate that the tolerances leave no doubt about.

        The tolerances may move the crossing. So far off, the rate must be nearly the same. They are
        taken as a share of the way from z0 to z, and not of z: where the origin lies makes no
        difference. Fixed steps have no tolerances.
        """
        options = self.settings.forward
        if not 0 < abs(G_t) < np.inf or options.fixed:
            return 0 < abs(G_t) < np.inf
        with np.errstate(all="ignore"):
            off = options.atol + options.rtol * np.abs(z - z0)
            uncertain = np.sum(np.abs(dG_dz) * off) / np.abs(G_t)
            _, there, _ = self.rate(t + uncertain, z + uncertain * slope, theta)
            return not abs(plain(there) - G_t) > 0.5 * abs(G_t)
