"""A batch of states as a matrix with a row for each sample, and f as a function of it."""

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import has_traced
from .state import check_derivative, check_structure, check_times


def check_batch_times(t, B):
    """Return times as an array of shape (B, T), with the checks of `check_times` on each row."""
    tree.refuse_masked("t", t)
    try:
        if has_traced(t) or np.ndim(t) < 2:
            return np.tile(check_times(t), (B, 1))
    except ValueError as error:
        if "t must be" in str(error):
            raise
        raise ValueError(
            f"t must be a vector of times, or have rows of one length; got {t!r:.80}"
        ) from None
    if len(t) != B:
        raise ValueError(
            f"t must be a vector of times, or have a row for each of the {B} samples; got the shape"
            f" {np.shape(t)}"
        )
    try:
        return np.array([check_times(row) for row in t])
    except ValueError as error:
        raise ValueError(f"{error} (in a row of t, one row for each sample)") from None


class Rows:
    """The user's f as one of matrices, with a row for each sample.

    Parameters
    ----------
    f, args
        The user's.
    leaves, structure
        The initial states, as `tree.flatten` returns them.
    batched : tuple of int
        Which of args have a row for each sample.

    Attributes
    ----------
    y : array, shape (B, n)
        The initial states.
    whole : bool or None
        Whether f must be called with all samples, even if some are asked for; None until that has
        been tried.
    """

    def __init__(self, f, leaves, structure, args, batched):
        self.f, self.args, self.batched = f, args, batched
        self.leaves, self.structure = leaves, structure
        self.cut = tree.cutter([leaf[0] for leaf in leaves])
        self.axes = max(leaf.ndim for leaf in leaves)
        self.y = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
        self.whole = None

    def shaped(self, y):
        """Return an array of shape (..., n) as the user's container of arrays."""
        return tree.unflatten(self.structure, self.cut(y))

    def matrix(self, tolerance):
        """Return a tolerance as a number, or with the shape of ``y``."""
        if np.ndim(tolerance) == 0:
            return tolerance
        ends = np.cumsum([leaf.size for leaf in self.leaves])[:-1]
        parts = [part.reshape(len(self.y), -1) for part in np.split(tolerance, ends)]
        return np.concatenate(parts, axis=1)

    def __call__(self, samples, t, y):
        """Return f for the samples with these numbers, at t of shape (A,) and y of shape (A, n)."""
        if len(samples) == len(self.y):
            self.latest_t, self.latest_y = t, y
            return self.call(t, y, self.args)
        if self.whole is False:
            return self.of_some(samples, t, y)
        self.latest_t, self.latest_y = self.latest_t.copy(), self.latest_y.copy()
        self.latest_t[samples], self.latest_y[samples] = t, y
        dy = self.call(self.latest_t, self.latest_y, self.args)[samples]
        if self.whole is None:
            self.whole = self.depends_on_others(samples, t, y, dy)
        return dy

    def depends_on_others(self, samples, t, y, dy):
        """Whether f gives something else than dy where the other samples are left out.

        The samples are also put into another order.
        """
        try:
            alone = self.of_some(samples[::-1], t[::-1], y[::-1].copy())[::-1]
        except (ValueError, IndexError):  # shapes that do not go together
            return True
        rounding = np.finfo(dy.dtype).eps ** 0.6 * np.max(np.abs(dy))
        return not np.allclose(alone, dy, rtol=0, atol=rounding)

    def of_some(self, samples, t, y):
        """Return f with nothing but the rows of these samples."""
        args = [
            tree.map(lambda x: x[samples], arg) if n in self.batched else arg
            for n, arg in enumerate(self.args)
        ]
        return self.call(t, y, args)

    def call(self, t, y, args):
        """Return f of as many samples as there are rows."""
        y.setflags(write=False)
        parts = [
            check_derivative(part, (len(y), *leaf.shape[1:]), leaf.dtype)
            for part, leaf in zip(self.parts(t, y, args), self.leaves)
        ]
        dy = np.concatenate([part.reshape(len(y), -1) for part in parts], axis=1)
        return dy.astype(self.y.dtype, copy=False)

    def parts(self, t, y, args):
        """Return the parts of what f returns; y may be traced."""
        t = t.reshape(-1, *[1] * (self.axes - 1)).view()
        t.setflags(write=False)
        dy = self.f(t, self.shaped(y), *args)
        if self.structure is tree.LEAF:
            return [dy]
        parts, found = tree.flatten(dy)
        check_structure(found, self.structure)
        return parts
