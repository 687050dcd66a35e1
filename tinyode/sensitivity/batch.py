"""`odeint_batch`: the exact gradient of `solve_batch`, in which every sample has its own steps.

It is `discrete` with a row for each sample. The steps that samples took together are gone through
from the last to the first, each with as many rows as it had.
"""

from typing import TYPE_CHECKING, overload

import numpy as np

from .. import tree
from ..autodiff.by_value import by_value
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import has_traced, plain, unbox
from ..autodiff.transforms import vjp_of_list
from ..solvers.batch import follow, prepare
from ..solvers.first_call import explained
from ..solvers.options import Options
from ..types import Array, ArrayLike, BatchOptions, Field, Tree
from .repeatable import warn_unless_repeatable
from .shared import NOT_FINITE, check_parameters, check_start, replaced
from .step_back import both_coefficients, step_back, weighted_sum

if TYPE_CHECKING:
    from typing import Unpack  # of Python 3.11


if TYPE_CHECKING:

    @overload
    def odeint_batch(
        f: Field, y0: Array, t: ArrayLike, *args: Tree, **options: Unpack[BatchOptions]
    ) -> Array: ...
    @overload
    def odeint_batch(
        f: Field, y0: Tree, t: ArrayLike, *args: Tree, **options: Unpack[BatchOptions]
    ) -> Tree: ...


@explained
def odeint_batch(
    f: Field,
    y0: Tree,
    t: ArrayLike,
    *args: Tree,
    method: str = "dopri5",
    rtol: Tree = 1e-6,
    atol: Tree = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_step: float | None = None,
    max_steps: int = 100_000,
    batched: tuple[int, ...] = (),
) -> Tree:
    """Solve dy/dt = f(t, y, *args) for B samples at once, differentiably in y0 and args.

    Each sample has its own step size and times.

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
    z0, structure = check_start(y0)
    theta, args_structure = check_parameters(args)
    options = Options(method, rtol, atol, step_size, first_step, max_steps, max_step)
    batch = Batch(f, t, options, batched, structure, args_structure, len(z0))
    value = with_rule(batch.forward, batch.backward, (*z0, *theta))
    return tree.unflatten(structure, tree.cutter([plain(z)[0] for z in z0])(value))


class Batch:
    """A solve of `solve_batch`, with the exact derivative of its numbers."""

    def __init__(self, f, t, options, batched, structure, args_structure, n_parts):
        self.f, self.t, self.options, self.batched = f, t, options, batched
        self.structure, self.args_structure, self.n_parts = structure, args_structure, n_parts
        self.taken = []  # (samples, start, end, y) of the steps that samples took together

    def forward(self, *leaves):
        """Solve in plain numbers; return the states, shape (T, B, n)."""
        y0 = tree.unflatten(self.structure, leaves[: self.n_parts])
        args = tree.unflatten(self.args_structure, leaves[self.n_parts :])
        rows, times, options = prepare(self.f, y0, self.t, args, self.options, self.batched)
        rows.f = by_value(self.f)
        self.rows, self.times = rows, times
        self.taken.clear()
        ys = tree.flatten(follow(rows, times, options, True, self.taken).y)[0]
        return np.concatenate([np.reshape(part, (*part.shape[:2], -1)) for part in ys], axis=2)

    def backward(self, dL_dy, ys, positions, *leaves):
        """Return the gradients of the leaves at these positions."""
        if not np.isfinite(plain(dL_dy)).all():
            raise ValueError(NOT_FINITE)
        learned = [i - self.n_parts for i in positions if i >= self.n_parts]
        lam, dL_dtheta = Backward(self, plain(ys[0]), leaves, learned).run(dL_dy)
        of_parts = self.rows.cut(lam + dL_dy[0])
        of_y0 = [np.reshape(c, z.shape) for c, z in zip(of_parts, leaves)]
        return [*[of_y0[i] for i in positions if i < self.n_parts], *dL_dtheta]


class Backward:
    """One backward pass over the steps that a batch took."""

    def __init__(self, batch, y0, leaves, learned):
        self.batch, self.rows, self.times = batch, batch.rows, batch.times
        self.y0, self.theta, self.learned = (
            leaves[: batch.n_parts],
            leaves[batch.n_parts :],
            learned,
        )
        self.coefficients = both_coefficients(batch.options.method)
        # where f is asked about samples that take no part in a step, if it must be
        self.now, self.around = self.times[:, 0].copy(), y0.copy()

    def run(self, dL_dy):
        """Return lambda at the start, shape (B, n), and dL/dtheta of what is learned."""
        # copies, since f may make them read-only
        start = np.arange(len(self.now)), self.now.copy(), self.around.copy()
        warn_unless_repeatable(self.batch.f, self.rows, *start)
        lam, dL_dtheta = 0.0 * dL_dy[-1], [0.0] * len(self.learned)
        for (samples, start, end, around), y in self.steps():
            self.now[samples], self.around[samples] = start, around
            at_end, inside = self.readings(samples, start, end, dL_dy)
            used, h = self.coefficients[bool(inside)], self.column(end - start)
            K, pulls = self.stages(samples, start, end, y, used)
            lam_here = lam[samples] + at_end
            lam_here, of_theta, _ = step_back(used, K, pulls, h, lam_here, inside, False)
            lam = put(lam, samples, lam_here)
            dL_dtheta = [c + d for c, d in zip(dL_dtheta, of_theta)]
        return lam, dL_dtheta

    def column(self, x):
        """Return one number for each row, so that it multiplies a state."""
        return x[:, None].astype(self.rows.y.dtype)

    def steps(self):
        """Return (step, y) from the last step to the first, with the states y that it began at.

        For a derivative of the gradient, y is a function of y0 and theta.
        """
        taken = self.batch.taken
        states = [y for *_, y in taken]
        if has_traced([*self.y0, *self.theta]):
            parts = [np.reshape(part, (len(self.now), -1)) for part in self.y0]
            y, used = np.concatenate(parts, axis=1), self.coefficients[False]
            for m, (samples, start, end, _) in enumerate(taken):
                states[m] = y[samples]
                K, _ = self.stages(samples, start, end, states[m], used)
                moved = self.column(end - start) * weighted_sum(used.b, K)
                y = put(y, samples, states[m] + moved)
        return zip(reversed(taken), reversed(states))

    def readings(self, samples, start, end, dL_dy):
        """Return dL/dy of the states at the ends of steps, and (x, dL/dy) of those inside."""
        times, at_end, inside = self.times[samples], 0.0, []
        sign = np.sign(times[:, -1:] - times[:, :1])
        met = (sign * (times - start[:, None]) > 0) & (sign * (times - end[:, None]) <= 0)
        for i in np.flatnonzero(met.any(axis=0)):
            ends = met[:, i] & (times[:, i] == end)
            others = met[:, i] & ~ends
            at_end = at_end + np.where(ends[:, None], dL_dy[i][samples], 0.0)
            if others.any():
                x = self.column((times[:, i] - start) / (end - start))
                inside.append((x, np.where(others[:, None], dL_dy[i][samples], 0.0)))
        return at_end, inside

    def stages(self, samples, start, end, y, coefficients):
        """Return the stages k_i of a step, and for each the function from kappa_i."""
        parameters = [self.theta[k] for k in self.learned]
        h, K, pulls = self.column(end - start), [], []
        for row, c in zip(coefficients.a, coefficients.c):
            time = end if c == 1.0 else start + c * (end - start)

            def f(y, *moved, time=time):
                return [self.slope(samples, time, y, replaced(self.theta, self.learned, moved))]

            (k,), pullback = vjp_of_list(f, [y + h * weighted_sum(row, K), *parameters])
            K.append(k)
            pulls.append(lambda kappa, pullback=pullback: pullback([kappa]))
        return K, pulls

    def slope(self, samples, time, y, theta):
        """Return f for some samples, at a time for each and y of shape (A, n); differentiable."""
        rows, args = self.rows, tree.unflatten(self.batch.args_structure, theta)
        # rows.whole is None where f has not been asked about some of the samples alone
        whole = rows.whole is not False and len(samples) < len(self.now)
        if whole:
            time, y = put(self.now, samples, time), put(self.around, samples, y)
        else:
            args = [
                tree.map(lambda x: x[samples], arg) if j in self.batch.batched else arg
                for j, arg in enumerate(args)
            ]
        parts = [np.reshape(unbox(part), (len(y), -1)) for part in rows.parts(time, y, args)]
        dy = np.concatenate([part.astype(rows.y.dtype) for part in parts], axis=1)
        return dy[samples] if whole else dy


def put(x, rows, values):
    """Return x with these rows exchanged, as NumPy code that can be differentiated."""
    index = np.arange(len(x))
    index[rows] = len(x) + np.arange(len(rows))
    return np.concatenate([x, values])[index]
