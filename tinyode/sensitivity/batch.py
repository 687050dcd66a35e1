"""`odeint_batch`: the exact gradient of `solve_batch`, in which every sample has steps of its own.

It is `discrete`, with a row for each sample: the steps that the samples took together are gone
through in reverse, each with as many rows as it had.
"""

import numpy as np

from .. import tree
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import is_traced, plain, unbox
from ..autodiff.transforms import vjp_of_list
from ..solvers.batch import follow, prepare
from ..solvers.first_call import explained
from ..solvers.options import Options
from ..solvers.state import check_leaf
from ..solvers.tableaus import find
from .discrete import layout, step_back, weighted_sum
from .problem import by_value, check_cotangent, check_parameters, replaced, warn_unless_repeatable


@explained
def odeint_batch(
    f,
    y0,
    t,
    *args,
    method="dopri5",
    rtol=1e-6,
    atol=1e-9,
    step_size=None,
    first_step=None,
    max_step=None,
    max_steps=100_000,
    batched=(),
):
    """Solve dy/dt = f(t, y, *args) for B samples at once, each with its own step size and times,
    differentiably in y0 and args.

    Parameters
    ----------
    f, y0, t, *args, method, rtol, atol, step_size, first_step, max_step, max_steps, batched
        As in `solve_batch`. Times are constants here; `odeint` differentiates with respect to them.

    Returns
    -------
    array, shape (T, *y0.shape), or a container of such
        Differentiable in y0 and every argument, to any order: the exact derivative of the numbers
        computed, in which step sizes count as constants. Memory: the states of all steps.

    Raises
    ------
    SolverError, TypeError, ValueError
        As `solve_batch`.
    """
    z0, structure = tree.flatten(y0)
    z0 = [unbox(z) if is_traced(z) else check_leaf(z) for z in z0]
    theta, args_structure = tree.flatten(args)
    theta = check_parameters(theta)
    k, tableau, taken, kept = len(z0), find(method), [], []
    options = Options(method, rtol, atol, step_size, first_step, max_steps, max_step)

    def forward(*leaves):
        taken.clear()
        y0, args = tree.unflatten(structure, leaves[:k]), tree.unflatten(args_structure, leaves[k:])
        rows, times, checked = prepare(f, y0, t, args, options, batched)
        rows.f = by_value(f)
        kept[:] = [rows, times]
        ys = follow(rows, times, checked, True, taken).y
        return np.concatenate(
            [np.reshape(leaf, (*leaf.shape[:2], -1)) for leaf in tree.flatten(ys)[0]], axis=2
        )

    def backward(g, ys, wanted, *leaves):
        check_cotangent(g)
        (rows, times), theta, learned = kept, leaves[k:], [n - k for n in wanted if n >= k]
        parameters, sign = [theta[n] for n in learned], np.sign(times[:, -1] - times[:, 0])
        now, around = (
            times[:, 0].copy(),
            plain(ys[0]).copy(),
        )  # where f is asked about samples that take no part, if it must be

        def slope(samples, time, y, *learned_now):
            """Return f at the samples with these numbers; y of shape (A, n)."""
            args = tree.unflatten(args_structure, replaced(theta, learned, learned_now))
            whole = rows.whole is not False and len(samples) < len(
                now
            )  # None: f has not been asked about some alone
            if whole:
                time, y = put(now, samples, time), put(around, samples, y)
            else:
                args = [
                    tree.map(lambda x: x[samples], arg) if n in batched else arg
                    for n, arg in enumerate(args)
                ]
            dy = np.concatenate(
                [
                    np.reshape(unbox(part), (len(y), -1)).astype(rows.y.dtype)
                    for part in rows.parts(time, y, args)
                ],
                axis=1,
            )
            return dy[samples] if whole else dy

        def stages(samples, start, end, h, y, numbers):
            """Return the stages k_i, and of each the function from its cotangent."""
            K, pulls = [], []
            for row, c in zip(numbers.a, numbers.c.tolist()):
                time = end if c == 1.0 else start + c * (end - start)
                Y = y + h * weighted_sum(row, K) if np.any(row) else y
                (value,), pull = vjp_of_list(
                    lambda y, *p, time=time: [slope(samples, time, y, *p)], [Y, *parameters]
                )
                K.append(value)
                pulls.append(lambda kappa, pull=pull: pull([kappa]))
            return K, pulls

        warn_unless_repeatable(
            rows, np.arange(len(now)), now.copy(), around.copy()
        )  # f may make them read-only
        layouts = [layout(tableau, dense) for dense in (False, True)]
        states = [y for *_, y in taken]
        if any(
            is_traced(leaf) for leaf in leaves
        ):  # for a derivative of the gradient the states are functions too
            y = np.concatenate([np.reshape(leaf, (len(now), -1)) for leaf in leaves[:k]], axis=1)
            for n, (samples, start, end, _) in enumerate(taken):
                states[n], h = y[samples], (end - start)[:, None].astype(rows.y.dtype)
                y = put(
                    y,
                    samples,
                    states[n]
                    + h
                    * weighted_sum(
                        layouts[0].b, stages(samples, start, end, h, states[n], layouts[0])[0]
                    ),
                )
        lam, a_theta = 0.0 * g[-1], [0.0] * len(learned)
        for (samples, start, end, around_here), y in zip(reversed(taken), reversed(states)):
            h, of_here = (end - start)[:, None].astype(rows.y.dtype), times[samples]
            now[samples], around[samples] = start, around_here
            met = (sign[samples, None] * (of_here - start[:, None]) > 0) & (
                sign[samples, None] * (of_here - end[:, None]) <= 0
            )
            lam_here, inside = lam[samples], []
            for j in np.flatnonzero(met.any(axis=0)):
                at_end = met[:, j] & (of_here[:, j] == end)
                lam_here = lam_here + np.where(at_end[:, None], g[j][samples], 0.0)
                if (met[:, j] & ~at_end).any():
                    x = ((of_here[:, j] - start) / (end - start))[:, None].astype(rows.y.dtype)
                    inside.append(
                        (j, x, np.where((met[:, j] & ~at_end)[:, None], g[j][samples], 0.0))
                    )
            numbers = layouts[bool(inside)]
            K, pulls = stages(samples, start, end, h, y, numbers)
            lam_here, of_inputs, _, _ = step_back(numbers, K, pulls, h, lam_here, inside, False)
            lam, a_theta = put(lam, samples, lam_here), [a + c for a, c in zip(a_theta, of_inputs)]
        cotangents = dict(
            enumerate(np.reshape(part, z.shape) for part, z in zip(rows.cut(lam + g[0]), z0))
        )
        cotangents |= {k + n: a for n, a in zip(learned, a_theta)}
        return [cotangents[n] for n in wanted]

    value = with_rule(forward, backward, (*z0, *theta))
    return tree.unflatten(structure, tree.cutter([plain(z)[0] for z in z0])(value))


def put(x, rows, values):
    """Return x with these rows exchanged, as NumPy code that can be differentiated."""
    index = np.arange(len(x))
    index[rows] = len(x) + np.arange(len(rows))
    return np.concatenate([x, values])[index]
