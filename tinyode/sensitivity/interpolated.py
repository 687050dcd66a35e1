"""The adjoint over the solution as it was computed: a solved backwards, z read off the dense output
of the forward solve.

    da/dt       = -a^T df/dz(z(t), t, theta)         (P4)
    da_theta/dt = -a^T df/dtheta(z(t), t, theta)     (P5)

Algorithm 2 solves z backwards too, and where z decays forwards, it grows backwards, and with it
every error. Here z is kept instead, a polynomial for each step; a alone is solved for, and where z
decays forwards, so does a backwards. The price is memory for all steps, and that the gradient is no
better than the dense output (Kim and others, "Stiff neural ordinary differential equations", 2021).
The equation of a is linear, and may look smooth where f had a pulse that made z move fast. So no
step of a is longer than the steps of z that it crosses. Derivatives of the gradient, for which the
polynomials would have to be functions too, are those of `discrete`.
"""

import bisect

from .. import tree
from ..autodiff import transforms
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import is_traced
from ..solvers.dense import evaluate, polynomial
from . import discrete
from .adjoint import backward_pass, backwards, vjp_of_field
from .problem import problem, replaced


def odesolve(f, z0, t, theta, options, adjoint_options):
    """ODESolve on lists of arrays, with the adjoint over its own dense output; see
    `adjoint.odesolve`.
    """
    k, cut = len(z0), tree.cutter(z0)
    taken, ends = (
        [],
        [],
    )  # steps with their polynomials, and the times where they end, as distances from the first

    def forward(t, *leaves):
        taken.clear(), ends.clear()
        forwards = problem(f, leaves[:k], t, leaves[k:], options)

        def kept():
            for step in forwards.walk:
                taken.append(
                    step._replace(Q=polynomial(forwards.f, forwards.tableau, step, forwards.stats))
                )
                ends.append(abs(step.t1 - forwards.times[0]))
                yield taken[-1]

        return forwards.observed(kept())

    def backward(g, zs, wanted, t, *leaves):
        if any(is_traced(leaf) for leaf in (g, t, *leaves)):  # a derivative of the gradient
            every = t, *leaves

            def of_wanted(*moved):  # what is not wanted stays plain: t reaches f as a float
                t, *leaves = replaced(every, wanted, moved)
                return discrete.odesolve(f, leaves[:k], t, leaves[k:], options)

            return list(transforms.vjp(of_wanted, *[every[n] for n in wanted])[1](g))

        def z(time):
            step = taken[min(bisect.bisect_left(ends, abs(time - taken[0].t)), len(taken) - 1)]
            return cut(evaluate(step, step.Q, time))

        def no_longer(time, size):
            """Return a step back from this time that is no longer than any step of z that it
            crosses.
            """
            n = min(bisect.bisect_left(ends, abs(time - taken[0].t)), len(taken) - 1)
            size, crossed = min(size, abs(taken[n].t1 - taken[n].t)), abs(time - taken[n].t)
            while size > crossed and n > 0:
                n -= 1
                length = abs(taken[n].t1 - taken[n].t)
                size, crossed = max(crossed, min(size, length)), crossed + length
            return size

        def interval(i, a, a_theta, theta, learned):
            vjp = vjp_of_field(f, k, learned)

            def dynamics(time, a, theta):
                return vjp(time, z(time), theta)[1]([-a_i for a_i in a])

            back = problem(
                dynamics,
                [*a, *a_theta],
                t[i - 1 : i + 1][::-1],
                theta,
                adjoint_options._replace(limit=no_longer),
                k,
            )
            return tree.cutter([*a, *a_theta])(backwards(back.observed, back.walk)[-1])

        return backward_pass(f, k, cut, interval, g, zs, wanted, t, leaves)

    return with_rule(forward, backward, (t, *z0, *theta))
