"""Small data: two real sets, each with its origin, and three to be drawn, each from a
`numpy.random.Generator`.

`lynx_hare` and `digits` come with the package. `two_moons` and `two_circles` are points of the
plane whose density is known, `log_density`; `spirals` are series in time.
"""

import math
import os

import numpy as np

from .nn import check_generator

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
    Elton and Nicholson, "The ten-year cycle in numbers of the lynx in Canada" (1942),
    as tabulated by Howard (2009) and used in Carpenter's case study "Predator-prey population
    dynamics: the Lotka-Volterra model in Stan" (2018).
    """
    table = np.loadtxt(
        os.path.join(DATA, "lynx_hare.csv"), delimiter=",", skiprows=1, encoding="utf-8"
    )
    return table[:, 0], table[:, 1:]


def digits():
    """Handwritten digits, 8 by 8 pixels, always split in the same way.

    Returns
    -------
    train, test : tuples (images, labels)
        1000 and 797 of them; images of shape (n, 64), from 0, white, to 1, labels from 0 to 9, int,
        shape (n,).

    Notes
    -----
    Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine
    Learning Repository (1998), its test part, written by 13 people; CC BY 4.0,
    https://creativecommons.org/licenses/by/4.0. Divided by 16 here, and in an order of our own
    (shuffled, so both parts have digits of all writers).
    """
    with np.load(os.path.join(DATA, "digits.npz")) as file:
        images, labels = file["images"].reshape(-1, 64) / 16, file["labels"].astype(int)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:1000], order[1000:]
    return (images[train], labels[train]), (images[test], labels[test])


def _moons(s):
    """Return the points of two half circles that reach into one another, s from 0 to 2."""
    angle, second = np.pi * s, s >= 1
    return np.stack(
        [
            np.where(second, 0.5 + np.cos(angle), np.cos(angle) - 0.5),
            np.where(second, 0.25, -0.25) + np.sin(angle),
        ],
        axis=-1,
    )


def _circles(s):
    """Return the points of circles of radius 1 and 2, s from 0 to 2."""
    angle = 2 * np.pi * s
    return np.where(s >= 1, 2, 1)[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


CURVES = {"two_moons": _moons, "two_circles": _circles}


def two_moons(rng, n, noise=0.1):
    """Return n points, shape (n, 2), of two half circles of radius 1, with Gaussian noise of this
    standard deviation.
    """
    _check("two_moons", rng, noise)
    return _moons(rng.uniform(0, 2, n)) + noise * rng.normal(size=(n, 2))


def two_circles(rng, n, noise=0.1):
    """Return n points, shape (n, 2), half of a circle of radius 1 and half of one of radius 2, with
    Gaussian noise.
    """
    _check("two_circles", rng, noise)
    return _circles(rng.uniform(0, 2, n)) + noise * rng.normal(size=(n, 2))


def log_density(name, x, noise=0.1):
    """Return the logarithm of the density from which ``"two_moons"`` or ``"two_circles"`` draws, at
    points x, shape (n, 2).

    It is the mean over the curve of the normal density around its points, by the rule of rectangles
    in points that lie closer than the noise: on the circles exact to rounding, or nearly.

    Raises
    ------
    ValueError
        If the name is not one of the two, x is not made of points of the plane, or the noise not
        positive.
    """
    x = np.asarray(x)
    if name not in CURVES:
        raise ValueError(
            f"log_density: name={name!r} is not known; the densities are"
            f" {', '.join(map(repr, CURVES))}"
        )
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"log_density: x has the shape (n, 2), points of the plane; got {x.shape}")
    if not 0 < noise < math.inf:
        raise ValueError(
            f"log_density: noise={noise!r} must be positive; without noise there is no density"
        )
    n = max(1000, math.ceil(20 / noise))
    s = (np.arange(2 * n) + 0.5) / n
    squares = np.sum((x[:, None] - CURVES[name](s)) ** 2, axis=-1)
    smallest = squares.min(axis=1, keepdims=True)
    mean = np.mean(np.exp((smallest - squares) / (2 * noise**2)), axis=1)
    return np.log(mean) - smallest[:, 0] / (2 * noise**2) - np.log(2 * np.pi * noise**2)


def spirals(rng, n=1000, noise=0.3, a=0.0, b=0.3, total=500, window=100):
    """Archimedean spirals r = a + b phi, phi from 0 to 6 pi in ``total`` points, every other one
    clockwise, seen through windows.

    Returns
    -------
    times : array, shape (2 window,)
        The first half is seen; 0 at the beginning of the window and 1 at its end.
    curves : array, shape (n, 2 window, 2)
        Each from a point of its own on, without noise, and beyond the window for as long again.
    seen : array, shape (n, window, 2)
        Their first halves, with Gaussian noise of this standard deviation.

    Notes
    -----
    After Chen and others (2018), section 5.1, and their public example. The paper
    leaves open what the clockwise ones are; here the mirror images, so that nothing but the
    direction tells one from the other.

    Raises
    ------
    ValueError
        If the window has fewer than two points, or twice the window does not fit into the spiral.
    """
    _check("spirals", rng, noise)
    if not 2 <= window <= total // 2:
        raise ValueError(
            f"spirals: window={window!r} must be at least 2 and at most half of total={total!r}: a"
            " window, and as much after"
        )
    phi = np.linspace(0, 6 * np.pi, total)
    start = rng.integers(0, total - 2 * window + 1, n)
    phi = phi[start[:, None] + np.arange(2 * window)]
    direction = np.where(np.arange(n) % 2, -1, 1)[:, None]
    curves = (a + b * phi)[..., None] * np.stack([np.cos(phi), direction * np.sin(phi)], axis=-1)
    return (
        np.arange(2 * window) / (window - 1),
        curves,
        curves[:, :window] + noise * rng.normal(size=(n, window, 2)),
    )


def _check(name, rng, noise):
    """Refuse by name what nothing can be drawn with."""
    check_generator(name, rng)
    if not 0 <= noise < math.inf:
        raise ValueError(
            f"{name}: noise={noise!r} is a standard deviation, and must be finite and not negative"
        )
