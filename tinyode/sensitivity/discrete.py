"""The exact gradient of the numbers that a solver computes: the adjoint of every step that it took,
from the last to the first.

A step, and a state that is read off inside it (HNW, sections II.1 and II.6; Hager, "Runge-Kutta
methods in optimal control", 2000):

    Y_i = y + h sum_j a_ij k_j,      k_i = f(t + c_i h, Y_i)
    y1 = y + h sum_i b_i k_i,        y(x) = y + h sum_i b_i(x) k_i

With the cotangents lambda of y1 and g of y(x), those of the stages are, from the last to the first,
kappa_i of k_i and nu_i of Y_i:

    kappa_i = h (b_i lambda + b_i(x) g + sum_j a_ji nu_j),      nu_i = (df/dy)_i^T kappa_i
    of y:      lambda + g + sum_i nu_i
    of theta:  sum_i (df/dtheta)_i^T kappa_i
    of t:      tau = sum_i tau_i,  tau_i = (df/dt)_i^T kappa_i
    of h:      sum_i (kappa_i . k_i / h + c_i tau_i)

One vector-Jacobian product per stage gives nu_i, the cotangent of theta and tau_i. Stages that an
implicit method solves for together satisfy the first line together: one transposed system for
kappa, like that of `root` (G26).

The state at the beginning of each step is kept, and its stages are computed again; with
``checkpoints=K`` no more than K states are kept, and the others are computed again too, by the
schedule of least cost (Griewank and Walther, "Algorithm 799: revolve", 2000). If a derivative of
the gradient is being taken, all steps are recorded.

The times between adaptive steps count as constants: of t, only the beginning of the first step and
the end of the last one move. (If all steps moved with t_0, they would carry a switch of f at a
fixed time along.) Fixed step sizes are (t_{i+1} - t_i) / m. The stages of implicit steps are solved
for to rounding, whatever the tolerances, or they would not be functions of anything.
"""

import math
from typing import NamedTuple

import numpy as np

from .. import tree
from ..autodiff.custom import with_rule
from ..autodiff.dispatch import is_traced, plain, unbox
from ..autodiff.transforms import vjp, vjp_of_list
from ..solvers.failures import NewtonFailed
from ..solvers.implicit import ImplicitStepper, blocks
from ..solvers.options import Stats
from ..solvers.runge_kutta import Stepper
from ..solvers.tableaus import find
from .adjoint import vjp_of_field
from .algebraic import adjoint_solve, root
from .problem import (
    by_value,
    check_cotangent,
    flat,
    moment,
    problem,
    replaced,
    warn_unless_repeatable,
)

OTHER = 1e-3  # one solution of a step's equations differs by rounding alone, in float32, too


def odesolve(f, z0, t, theta, options, checkpoints=None):
    """ODESolve on lists of arrays, differentiated exactly, as `adjoint.odesolve` is not."""
    k, cut, tableau, options = (
        len(z0),
        tree.cutter(z0),
        find(options.method),
        options._replace(exact=True),
    )
    kept_f = by_value(
        f
    )  # the stages of a step are all there before the first of them is pulled back
    taken = []  # (t, t1, h, y) of each step; y is None where it is not kept
    ends = []  # a `mark` of the state that each step came to

    def forward(t, *leaves):
        taken.clear(), ends.clear()
        forwards = problem(f, leaves[:k], t, leaves[k:], options)

        def kept():
            for step in forwards.walk:
                taken.append(
                    (step.t, step.t1, step.h, step.y if checkpoints is None or not taken else None)
                )
                if tableau.implicit:
                    ends.append(mark(step.y1))
                yield step

        return forwards.observed(kept())

    def backward(g, zs, wanted, t, *leaves):
        check_cotangent(g)
        theta, learned, timed = leaves[k:], [n - 1 - k for n in wanted if n > k], 0 in wanted
        warn_unless_repeatable(f, moment(t, 0), cut(zs[0]), theta)
        recorded, times, N = (
            any(is_traced(leaf) for leaf in (t, *leaves)),
            plain(t).tolist(),
            len(taken),
        )
        clock = _clock(taken, times, options.fixed)
        starts, sizes = clock(t) if recorded else zip(*[(start, h) for start, _, h, _ in taken])
        if tableau.implicit or checkpoints is not None:
            once_more = problem(
                f,
                [plain(z) for z in leaves[:k]],
                times,
                [plain(p) if is_traced(p) else p for p in theta],
                options,
            )
            again = _again(once_more, options, taken, ends)
        parameters, layouts = (
            [theta[n] for n in learned],
            [layout(tableau, dense) for dense in (False, True)],
        )

        def slope(time, y, *parameters):
            return flat(
                [unbox(part) for part in kept_f(time, cut(y), replaced(theta, learned, parameters))]
            )

        vjp_of_stage = vjp_of_field(kept_f, k, learned)

        def stage(time, y):
            """Return f, and the function from its cotangent to those of y, of the parameters
            learned, and of time.
            """
            if timed:
                time = time if is_traced(time) else np.array(time)
                dz, pull = vjp_of_list(
                    lambda *x: kept_f(x[-1], x[:k], replaced(theta, learned, x[k:-1])),
                    [*cut(y), *parameters, time],
                )
            else:
                dz, pull = vjp_of_stage(time, cut(y), theta)

            def pullback(kappa):
                cotangents = pull(cut(kappa))
                return flat(cotangents[:k]), *cotangents[k:]

            return flat(dz), pullback

        def stages(n, y, dense):
            """Return the stages k_i of the n-th step, from y, and of each the function from its
            cotangent.
            """
            a, _, c, _, _ = layouts[dense]
            K, pulls, given = [], [], ()
            if tableau.implicit:
                given = again(n, plain(y))[1]
                if recorded:
                    given = root(
                        lambda K, y, t, h, *parameters: np.stack(
                            [
                                slope(t + c_i * h, y + h * (row @ K), *parameters) - k_i
                                for c_i, row, k_i in zip(tableau.c, tableau.a, K)
                            ]
                        ),
                        given,
                        y,
                        starts[n],
                        sizes[n],
                        *parameters,
                    )
            for i, (row, c_i) in enumerate(zip(a, c.tolist())):
                Y = (
                    y + sizes[n] * weighted_sum(row, [*given, *K[len(given) :]])
                    if np.any(row)
                    else y
                )
                time = (
                    taken[n][1] if c_i == 1.0 and not recorded else starts[n] + c_i * sizes[n]
                )  # the end, and not beyond by rounding
                value, pull = stage(time, Y)
                K.append(given[i] if i < len(given) else value)
                pulls.append(pull)
            return K, pulls

        if recorded:
            states = [flat(leaves[:k])]
            for n in range(N - 1):
                states.append(
                    states[n]
                    + sizes[n] * weighted_sum(layouts[False].b, stages(n, states[n], False)[0])
                )
            states = reversed(list(enumerate(states)))
        elif checkpoints is None:
            states = reversed([(n, y) for n, (*_, y) in enumerate(taken)])
        else:
            states = revolve(0, N, taken[0][3], checkpoints, lambda n, y: again(n, y)[0])

        lam, i = np.zeros(zs.shape[1], zs.dtype), len(times) - 1
        a_theta, of_start, of_size, of_times = (
            [0.0] * len(learned),
            [0.0] * N,
            [0.0] * N,
            [0.0] * len(times),
        )
        for n, y in states:
            start, end, h, _ = taken[n]
            inside = []  # (which time, x, g) of the states that were read off inside the step
            while i > 0 and (times[i] - start) * math.copysign(1.0, h) > 0:
                if times[i] == end and (options.fixed or n == N - 1):
                    lam = lam + g[i]
                else:
                    inside.append(
                        (i, ((t[i] if recorded else times[i]) - starts[n]) / sizes[n], g[i])
                    )
                i -= 1
            numbers = layouts[bool(inside)]
            K, pulls = stages(n, y, bool(inside))
            lam, of_inputs, of_size[n], rates = step_back(
                numbers, K, pulls, sizes[n], lam, inside, timed
            )
            a_theta = [a + c for a, c in zip(a_theta, of_inputs)]
            if timed:
                of_start[n] = of_inputs[-1]
                for (j, x, _), rate in zip(inside, rates):
                    of_times[j], of_start[n], of_size[n] = (
                        rate,
                        of_start[n] - rate,
                        of_size[n] - x * rate,
                    )
        cotangents = {1 + j: c for j, c in enumerate(cut(lam + g[0]))}
        cotangents |= {1 + k + n: a for n, a in zip(learned, a_theta)}
        if timed:
            (of_clock,) = vjp(clock, t)[1]((np.stack(of_start), np.stack(of_size)))
            cotangents[0] = of_clock + np.stack(of_times)
        return [cotangents[n] for n in wanted]

    return with_rule(forward, backward, (t, *z0, *theta))


class Layout(NamedTuple):
    """The numbers of all stages that a step's states depend on: those of its dense output too, or
    not even the last.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    blocks: list
    interpolant: np.ndarray


def layout(tableau, dense):
    """Return the `Layout` of a tableau, with the stages of its dense output or without."""
    s, x = tableau.stages, len(tableau.extra_a)
    a, b = (
        np.vstack([np.pad(tableau.a, ((0, 0), (0, x))), tableau.extra_a]),
        np.pad(tableau.b, (0, x)),
    )
    c = np.append(tableau.c, tableau.extra_c)
    used = s + x if dense else s - (tableau.b[-1] == 0 and not tableau.implicit)
    return Layout(
        a[:used, :used], b[:used], c[:used], blocks(a[:used, :used]), tableau.interpolant[:used]
    )


def step_back(layout, K, pulls, h, lam, inside, timed):
    """Return the cotangents of a step's y, of the inputs of its stages besides y, of h, and of the
    times read off inside.
    """
    a, b, _, blocks, interpolant = layout
    powers = np.arange(1, interpolant.shape[1] + 1)
    weights = [
        (np.tensordot(interpolant, np.stack([x**power for power in powers]), 1), g)
        for _, x, g in inside
    ]
    of_y, of_inputs, of_h, nu = lam, [], 0.0, {}
    for _, _, g in inside:
        of_y = of_y + g
    for block in reversed(blocks):
        right = {}
        for i in range(block.first, block.stop):
            terms = [h * b[i] * lam] if b[i] else []
            terms += [h * w[i] * g for w, g in weights]
            terms += [h * a[j, i] * nu[j] for j in nu if a[j, i]]
            right[i] = sum(terms[1:], terms[0]) if terms else None
        if block.eigenvalues is not None:
            right, of_Y = _transposed(a, block, pulls, h, right, lam)
        for i, kappa in right.items():
            if kappa is None:
                continue
            nu[i], *rest = pulls[i](kappa)
            if block.eigenvalues is not None:
                nu[i] = of_Y[i]
            of_y = of_y + nu[i]
            of_inputs = [x + y for x, y in zip(of_inputs, rest)] if of_inputs else rest
            if timed:
                of_h = of_h + np.sum(kappa * K[i]) / h + layout.c[i] * rest[-1]
    rates = (
        [
            np.sum(g * weighted_sum(interpolant @ (powers * x ** (powers - 1)), K))
            for _, x, g in inside
        ]
        if timed
        else []
    )
    return of_y, of_inputs, of_h, rates


def _transposed(a, block, pulls, h, right, lam):
    """Solve kappa_i - h sum_j a_ji (df/dy)_j^T kappa_j = right_i for the kappa of a block: the
    adjoint of k_i - f(Y_i) = 0.

    Returns
    -------
    kappa, nu : dicts of arrays
        nu_i = (df/dy)_i^T kappa_i, as the equations have it. The product itself would make 1e-16
        of kappa as large as 1e-16 h df/dy, and an explicit first stage that once more.
    """
    n, members = len(lam), range(block.first, block.stop)
    units = np.eye(n, dtype=lam.dtype)
    J = {i: np.stack([pulls[i](unit)[0] for unit in units]) for i in members}
    matrix = np.concatenate(
        [
            np.concatenate([(i == j) * units - h * a[i, j] * J[i] for j in members], axis=1)
            for i in members
        ]
    )
    given = np.concatenate([0.0 * lam if right[i] is None else right[i] for i in members])
    kappa = adjoint_solve(matrix, given, "the matrix of an implicit step's stages")
    inverse = np.linalg.inv(a[block.first : block.stop, block.first : block.stop].T)
    nu = inverse @ np.reshape(kappa - given, (len(members), n)) / h
    return [dict(zip(members, parts)) for parts in (np.reshape(kappa, nu.shape), nu)]


def weighted_sum(weights, K):
    """Return sum_i w_i k_i over the stages that have a weight."""
    terms = [w * k for w, k in zip(weights, K) if is_traced(w) or w]
    return sum(terms[1:], terms[0])


def _clock(taken, times, fixed):
    """Return the function from the times t to the beginnings and sizes of the steps that were
    taken, arrays of shape (N,).
    """
    if not fixed:
        between = np.array([step[1] for step in taken[:-1]])

        def clock(t):
            starts = np.concatenate([t[:1], between])
            return starts, np.concatenate([between, t[-1:]]) - starts

        return clock
    interval, position, i, j = [], [], 0, 0
    for _, end, _, _ in taken:
        interval.append(i)
        position.append(j)
        i, j = (i + 1, 0) if end == times[i + 1] else (i, j + 1)
    interval, position = np.array(interval), np.array(position)
    counts = np.bincount(interval)[interval]

    def clock(t):
        sizes = (t[interval + 1] - t[interval]) / counts
        return t[interval] + position * sizes, sizes

    return clock


def mark(y):
    """Return a number that identifies a state: a sum with weights, since y may keep its sum."""
    return float(np.linspace(1, 2, len(y)) @ y)


def _again(problem, options, taken, ends):
    """Return the function that takes the n-th step once more, from y, in plain numbers: the new
    state and the stages.
    """
    arguments = problem.f, problem.tableau, problem.y, len(problem.y), Stats()
    stepper = (
        ImplicitStepper(*arguments, problem.jacobian, options)
        if problem.tableau.implicit
        else Stepper(*arguments)
    )

    def again(n, y):
        t, t1, h, _ = taken[n]
        stepper.J = None
        with np.errstate(over="ignore", invalid="ignore"):  # as in the forward solve
            stepper.start(t, y)
            y1 = stepper.step(t, t1, y, h)
        if y1 is None:
            raise NewtonFailed(
                "in the backward pass Newton's method did not solve the equations of a step that it"
                " has solved before; try smaller steps, or gradient='adjoint' or 'interpolated'",
                t,
                h,
            )
        if ends and not abs(mark(y1) - ends[n]) <= OTHER * mark(np.abs(y1)):
            raise NewtonFailed(
                "in the backward pass Newton's method came to another solution of the equations of "
                "a step than before, and the gradient would be that of another state; so long a "
                "step has several: try smaller steps, or gradient='adjoint' or 'interpolated'",
                t,
                h,
            )
        return y1, stepper.K.copy()

    return again


def revolve(first, last, y, checkpoints, advance):
    """Yield (n, y_n) for n from last - 1 down to first, of y_{n+1} = advance(n, y_n), keeping no
    more than so many states.

    With c states, b(c, r) = (c + r)! / (c! r!) steps are reversed by taking none of them more than
    r times; for l steps with b(c, r - 1) < l <= b(c, r) the least that can be done is to take r l -
    b(c + 1, r - 1) steps (Griewank and Walther, 2000).
    """

    def after(first, last):
        state = y
        for n in range(first, last):
            state = advance(n, state)
        return state

    while last - first > 1:
        r = 1
        while math.comb(checkpoints + r, r) < last - first:
            r += 1
        middle = first + max(
            1,
            last - first - math.comb(checkpoints - 1 + r, r),
            math.comb(checkpoints + r - 2, checkpoints),
        )
        yield from revolve(middle, last, after(first, middle), checkpoints - 1, advance)
        last = middle
    yield first, y
