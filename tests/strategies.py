"""What the tests draw: shapes, axes, pairs that broadcast, arrays away from kinks, fields for solvers."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

seeds = st.integers(0, 2**20)
shapes = array_shapes(min_dims=0, max_dims=3, max_side=3)
shapes_with_axes = array_shapes(min_dims=1, max_dims=3, max_side=3)


def uniform(rng, shape, low, high):
    return np.asarray(rng.uniform(low, high, shape))


def spaced(rng, *shapes):
    """Return arrays of these shapes whose elements, all together, are 0.1 apart at least, in random order: no ties, no kinks near."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    values = rng.permutation(sum(sizes)) * 0.1 + rng.uniform(-0.02, 0.02, sum(sizes)) - 0.05 * sum(sizes) + 0.05
    return [np.reshape(part, shape) for part, shape in zip(np.split(values, np.cumsum(sizes)[:-1]), shapes)]


def well_conditioned(rng, n, batch=()):
    """Return matrices whose eigenvalues are near 3, so that solving and inverting is well conditioned."""
    return 3 * np.eye(n) + 0.5 * rng.normal(size=(*batch, n, n)) / np.sqrt(n)


@st.composite
def broadcasting_pairs(draw):
    return draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)).input_shapes


@st.composite
def reductions(draw):
    """Draw a shape with an axis argument (None, one, several, negative) and keepdims."""
    shape = draw(shapes_with_axes)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    axis = draw(st.sampled_from([None, axes[0], axes[0] - len(shape), tuple(axes)]))
    return shape, axis, draw(st.booleans())
