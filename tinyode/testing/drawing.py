"""What properties of NumPy code are checked on, drawn by hypothesis: shapes, axes, matrices."""

import numpy as np


def hypothesis_and_strategies():
    """Return hypothesis and hypothesis.strategies, which only those who draw need."""
    try:
        import hypothesis
        import hypothesis.extra.numpy
        import hypothesis.strategies
    except ImportError as error:
        raise ImportError(
            "tinyode.testing draws its problems with hypothesis: pip install hypothesis"
        ) from error
    return hypothesis, hypothesis.strategies


def shapes(min_dims=0):
    """Draw the shape of an array with up to three axes, of up to three elements."""
    hypothesis, _ = hypothesis_and_strategies()
    return hypothesis.extra.numpy.array_shapes(min_dims=min_dims, max_dims=3, max_side=3)


def broadcasting_pairs():
    """Draw two shapes that broadcast against each other."""
    hypothesis, _ = hypothesis_and_strategies()
    return hypothesis.extra.numpy.mutually_broadcastable_shapes(
        num_shapes=2, max_dims=3, max_side=3
    ).map(lambda pair: pair.input_shapes)


def axes(ndim):
    """Draw an axis argument for a reduction: None, one axis counted from either end, or a tuple of
    several.
    """
    _, st = hypothesis_and_strategies()
    one = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    return (
        st.none()
        | one
        | st.lists(one, min_size=1, max_size=max(1, ndim), unique_by=lambda i: i % ndim).map(tuple)
    )


def reductions():
    """Draw a shape with at least one axis, an axis argument for it, and keepdims."""
    _, st = hypothesis_and_strategies()
    return shapes(1).flatmap(
        lambda shape: st.tuples(st.just(shape), axes(len(shape)), st.booleans())
    )


def matrices(n, batch=()):
    """Draw well-conditioned matrices, shape (*batch, n, n), with different eigenvalues: diag(3, 6,
    ... 3 n), plus 0.5 / n at most.
    """
    _, st = hypothesis_and_strategies()
    return st.integers(0, 2**20).map(
        lambda seed: (
            3 * np.diag(np.arange(1.0, n + 1))
            + np.random.default_rng(seed).uniform(-0.5, 0.5, (*batch, n, n)) / n
        )
    )
