"""Solvers of initial value problems dy/dt = f(t, y), y(t0) = y0, in plain numbers.

Read `tableau` (what a method is), `tableaus` (the methods), `runge_kutta` (one step), `step_size`
(its length) and `solve` (the loop), in this order; then `dense` (what lies inside a step). Beside
this way stand `implicit` (steps of stiff problems, with `newton` and `jacobian`), `events`, `batch`
(a clock for each sample), `state` (how the user's containers become vectors, and checks),
`failures` and `first_call` (what error messages say).

The letters are those of Hairer, Norsett and Wanner, and each name means one thing in this package:

    t, y          time and state at the beginning of a step; the state is one flat vector, (n,)
    t1, y1        the same at the end of the step
    h             the size of a step with its sign, t1 - t; `size` is |h|
    f             the user's f(t, y, *args), on the user's containers of arrays
    field         f as a function of flat vectors: field(t, y, k) writes dy/dt into k
    s, a, b, c    number of stages, matrix (s, s), weights (s,) and nodes (s,) of a tableau
    e, e3         the weights of the error estimate, and of a second one
    gamma         `Tableau.filter`: the estimate is multiplied by (I - h gamma J)^-1
    K_before      the stages of the step before
    A, lambda     a block of a, for stages that are solved for together, and its eigenvalues
    D, rate       a correction of K by Newton's method, and how much smaller the next one is
    Y_i           the state at which stage i evaluates f, y + h sum_j a_ij k_j
    k_i, K        the stages f(t + c_i h, Y_i), each (n,), and all of them, (s, n)
    theta         where in a step, from 0 at t to 1 at t1
    q_j, Q        the polynomial of the dense output, y + sum_j q_j theta^j; Q is (d, n)
    error         the estimated error of y1; its norm is 1 where it is as large as allowed
    coupled       how many components f depends on; those after them are quadratures
    times         when the solution is asked for; `end` is the last of them
    J             the Jacobian df/dy, (n, n)
    leaves, structure     a container, taken apart by `tree.flatten`
    B, samples    size of a batch, and the numbers of its samples that are under way, (A,)
    rows          f for a batch: rows(samples, t, y) returns dy/dt, a row for each of the samples
    g             the function of an event, whose zeros are looked for
"""

from .batch import solve_batch
from .events import Event, Events
from .failures import NewtonFailed, SolverError, StepTooSmall, TooManySteps
from .solution import Solution
from .solve import solve

__all__ = [
    "Event",
    "Events",
    "NewtonFailed",
    "Solution",
    "SolverError",
    "StepTooSmall",
    "TooManySteps",
    "solve",
    "solve_batch",
]
