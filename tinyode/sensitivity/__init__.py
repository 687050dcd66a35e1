"""Derivatives of solutions.

`odeint` is the differentiable solve, by one of four ways. Read `adjoint` first: it is Algorithm 2
of the sources. The others are `discrete` (with `taken` and `step_back`), `interpolated` and
`forward`. `shared` has what all ways need: the field with its vector-Jacobian product, the solve in
plain numbers, the frame of a backward pass. `settings` checks the options. `repeatable` and `drift`
warn where a gradient would be of another function or of another solution.

`algebraic` has `root`, for equations, solved by `newton`. `event` has `odeint_event`, for when and
where something happens, `batch` has `odeint_batch`, `integral` what integral losses need.

The letters in this folder; T is the number of times, n that of the components of z:

    y, y0, args   what the user solves for, its start, the parameters: containers of arrays
    z, z0         y as one flat vector, shape (n,); z0 = z(t0)
    zs            z at all times, shape (T, n)
    theta         the arrays in args, a list
    t             the times t0, ..., tN, shape (T,); as an argument of a field, one of them
    f             the field, dz/dt = f(t, z, theta), a `VectorField`; in the functions that users
                  call, their own, dy/dt = f(t, y, *args)
    L, dL_dz      the loss, a number; dL/dz(ti) for all times, shape (T, n)
    dL_dt, dL_dz0, dL_dtheta   the gradients
    wanted        for which of t, z0, theta a gradient is asked
    learned       for which of theta, their positions in the list
    a             the adjoint dL/dz(t), shape (n,): how L changes with z at t
    a_theta       dL/dtheta, as far as it has been integrated: a list
    s, s0         the augmented state, as one flat vector: [z, a, a_theta], in `forward` [z, S]
    S             the sensitivity dz/d(z0, t0, theta), a column for each number
    vjp, pullback `vjp(t, z, theta)` is f and its pullback, from a to a^T df/dz, a^T df/dtheta
    y, h, K, Y_i  of one step: state, size, stages k_i, states at which f is evaluated
    lam           lambda of the sources: of a step the cotangent of its end, of a system f(u) = 0
                  the solution of the adjoint equation (df/du)^T lambda = (dg/du)^T
    g, G          the function of an event: g(t, y, *args), and along a solution
    kappa, nu, mu the cotangents of k_i, of Y_i, and of a state read off inside a step
"""

from .algebraic import NewtonError, root
from .batch import odeint_batch
from .event import odeint_event
from .integral import with_integral
from .odeint import odeint

__all__ = ["NewtonError", "odeint", "odeint_batch", "odeint_event", "root", "with_integral"]
