"""Small real data, each with its origin."""

import os

import numpy as np

DATA = os.path.join(os.path.dirname(__file__), "data")


def lynx_hare():
    """Pelts of snowshoe hare and Canadian lynx that the Hudson's Bay Company traded, 1900 to 1920.

    Returns
    -------
    years : array, shape (21,)
    pelts : array, shape (21, 2)
        Hare, lynx, in thousands.

    Notes
    -----
    Elton and Nicholson, "The ten-year cycle in numbers of the lynx in Canada" (1942), as tabulated by Howard (2009) and used in
    Carpenter's case study "Predator-prey population dynamics: the Lotka-Volterra model in Stan" (2018).
    """
    table = np.loadtxt(os.path.join(DATA, "lynx_hare.csv"), delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1:]
