"""What the tests draw besides the strategies of `tinyode.testing`: seeds, and arrays away from
kinks made from them.
"""

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**20)


def uniform(rng, shape, low, high):
    return np.asarray(rng.uniform(low, high, shape))


def spaced(rng, *shapes):
    """Return arrays of these shapes whose elements, all together, are 0.1 apart at least, in random
    order: no ties, no kinks near.
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    values = (
        rng.permutation(sum(sizes)) * 0.1
        + rng.uniform(-0.02, 0.02, sum(sizes))
        - 0.05 * sum(sizes)
        + 0.05
    )
    return [
        np.reshape(part, shape)
        for part, shape in zip(np.split(values, np.cumsum(sizes)[:-1]), shapes)
    ]
