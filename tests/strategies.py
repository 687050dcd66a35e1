"""What the tests draw: shapes, axes, matrices, seeds, and arrays away from kinks."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

seeds = st.integers(0, 2**20)


def shapes(min_dims=0):
    """Draw the shape of an array with up to three axes, of up to three elements."""
    return array_shapes(min_dims=min_dims, max_dims=3, max_side=3)


def broadcasting_pairs():
    """Draw two shapes that broadcast against each other."""
    pairs = mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)
    return pairs.map(lambda pair: pair.input_shapes)


def axes(ndim):
    """Draw the axis of a reduction: None, one axis counted from either end, or a tuple."""
    one = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    several = st.lists(one, min_size=1, max_size=max(1, ndim), unique_by=lambda i: i % ndim)
    return st.none() | one | several.map(tuple)


def reductions():
    """Draw a shape with at least one axis, an axis argument for it, and keepdims."""
    return shapes(1).flatmap(
        lambda shape: st.tuples(st.just(shape), axes(len(shape)), st.booleans())
    )


def matrices(n, batch=()):
    """Draw well-conditioned matrices, shape (*batch, n, n), with different eigenvalues.

    They are diag(3, 6, ..., 3 n), plus 0.5 / n at most in each element.
    """

    def made(seed):
        noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (*batch, n, n))
        return 3 * np.diag(np.arange(1.0, n + 1)) + noise / n

    return seeds.map(made)


def uniform(rng, shape, low, high):
    return np.asarray(rng.uniform(low, high, shape))


def spaced(rng, *shapes):
    """Return arrays of these shapes whose elements, in random order, are 0.1 apart at least.

    That holds for all of them together: there are no ties, and no kinks are near.
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    n = sum(sizes)
    values = rng.permutation(n) * 0.1 + rng.uniform(-0.02, 0.02, n) - 0.05 * n + 0.05
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return [np.reshape(part, shape) for part, shape in zip(parts, shapes)]
