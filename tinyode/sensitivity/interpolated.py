"""The adjoint over the solution as it was computed.

a is solved for backwards, as in Algorithm 2, and z is read off the dense output of the forward
solve:

    da/dt       = -a^T df/dz(z(t), t, theta)         (P4)
    da_theta/dt = -a^T df/dtheta(z(t), t, theta)     (P5)

Algorithm 2 solves for z backwards too. Where z decays forwards, it grows backwards, and every error
grows with it. Here z is kept instead, as a polynomial for each step, and where z decays forwards,
a decays backwards. The price is memory for all steps, and that the gradient is no better than the
dense output (Kim and others, "Stiff neural ordinary differential equations", 2021). For HIRES,
eight stiff equations, it is as right as that of `discrete` by kvaerno5 and trbdf2. By radau_iia5,
whose states at the ends of steps are much better than its polynomial, it is 20 to 100 times less
right.

The equation of a is linear. It may look smooth where f had a pulse that made z move fast. So no
step of a is longer than the steps of z that it crosses.

For derivatives of the gradient, the polynomials would have to be functions of z0 and theta. So
these are the derivatives of `discrete`.
"""

import bisect

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import has_traced
from ..solvers.dense import evaluate, polynomial
from . import discrete
from .adjoint import times_gradient
from .shared import (
    VectorField,
    differentiable,
    flat,
    gradient_by_engine,
    moment,
    problem,
    solution,
    solved_backwards,
)


def odesolve(f, z0, t, theta, settings):
    """Return z at the times of t, shape (T, n), with the adjoint over it for its derivative.

    The arguments are those of `adjoint.odesolve`.
    """
    path = Path()

    def forward(t, z0, theta):
        made = problem(f, z0, t, theta, settings.forward)
        return made.observed(path.follow(made))

    @solved_backwards
    def by_adjoint(dL_dz, zs, wanted, t, z0, theta):
        n = len(z0)
        vjp = f.vjp(moment(t, -1), zs[-1], theta, wanted.theta)
        a, a_theta = np.zeros(n, zs.dtype), wanted.zeros(theta)
        options = settings.backward._replace(limit=path.no_longer)

        def dynamics(t, a, *theta):
            _, pullback = vjp(t, path.state(t), theta)
            return flat(pullback(-a))  # -a^T df/dz, -a^T df/dtheta (P4, P5)

        for i in range(len(t) - 1, 0, -1):
            parts = [a + dL_dz[i], *a_theta]
            s0 = flat(parts)
            of_a = VectorField.of_vectors(dynamics, s0, theta, coupled=n)
            a, *a_theta = tree.cutter(parts)(solution(of_a, s0, t[[i, i - 1]], theta, options)[-1])
        dL_dt = times_gradient(f, dL_dz, zs, a, t, theta) if wanted.time else None
        return dL_dt, a + dL_dz[0], a_theta

    def backward(dL_dz, zs, wanted, t, z0, theta):
        if not has_traced([dL_dz, t, z0, *theta]):
            return by_adjoint(dL_dz, zs, wanted, t, z0, theta)
        exact = lambda t, z0, theta: discrete.odesolve(f, z0, t, theta, settings)
        return gradient_by_engine(exact, dL_dz, wanted, t, z0, theta)

    return differentiable(forward, backward, f, z0, t, theta)


class Path:
    """z between the times: the steps that were taken, each with its polynomial."""

    def __init__(self):
        self.taken, self.ends = [], []

    def follow(self, problem):
        """Yield the steps of a solve, and keep them."""
        self.taken.clear()
        self.ends.clear()
        for step in problem.walk:
            Q = polynomial(problem.f, problem.tableau, step, problem.stats)
            self.taken.append(step._replace(Q=Q))
            self.ends.append(abs(step.t1 - problem.times[0]))
            yield self.taken[-1]

    def index(self, time):
        """Return which step a time lies in; at the end of one, that one."""
        n = bisect.bisect_left(self.ends, abs(time - self.taken[0].t))
        return min(n, len(self.taken) - 1)

    def state(self, time):
        """Return z, shape (n,)."""
        step = self.taken[self.index(time)]
        return evaluate(step, step.Q, time)

    def no_longer(self, time, size):
        """Return a size of a step back from this time, no longer than any step that it crosses."""
        n = self.index(time)
        step = self.taken[n]
        size, crossed = min(size, abs(step.t1 - step.t)), abs(time - step.t)
        while size > crossed and n > 0:
            n -= 1
            length = abs(self.taken[n].t1 - self.taken[n].t)
            size, crossed = max(crossed, min(size, length)), crossed + length
        return size
