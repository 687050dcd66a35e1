"""The data are those of the sources, and come with the installed package."""

import numpy as np

from tinyode import datasets


def test_lynx_hare():
    years, pelts = datasets.lynx_hare()
    np.testing.assert_array_equal(years, np.arange(1900, 1921))
    assert pelts.shape == (21, 2) and pelts[0].tolist() == [30.0, 4.0] and pelts[3].tolist() == [77.4, 35.2]
    assert np.all(pelts > 0)
