"""Small data: two real sets, and three that are drawn from a `numpy.random.Generator`.

`lynx_hare` and `digits` come with the package, each with its origin. `two_moons` and `two_circles`
are points of the plane; `log_density` knows their density. `spirals` are series in time.
"""

import math
import os

import numpy as np

from .checks import check_generator
from .types import Array, ArrayLike, Generator

DATA = os.path.join(os.path.dirname(__file__), "data")


def lynx_hare() -> tuple[Array, Array]:
    """Pelts of snowshoe hare and Canadian lynx that the Hudson's Bay Company traded, 1900 to 1920.

    Returns
    -------
    years : array, shape (21,)
    pelts : array, shape (21, 2)
        Hare, lynx, in thousands.

    Notes
    -----
    Elton and Nicholson, "The ten-year cycle in numbers of the lynx in Canada" (1942), as tabulated
    by Howard (2009) and used in Carpenter's case study "Predator-prey population dynamics: the
    Lotka-Volterra model in Stan" (2018).
    """
    path = os.path.join(DATA, "lynx_hare.csv")
    table = np.loadtxt(path, delimiter=",", skiprows=1, encoding="utf-8")
    return table[:, 0], table[:, 1:]


def digits() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Handwritten digits, 8 by 8 pixels, always split in the same way.

    Returns
    -------
    train, test : tuples (images, labels)
        1000 and 797 of them. Images have the shape (n, 64), and go from 0, white, to 1. Labels are
        int, from 0 to 9, of shape (n,).

    Notes
    -----
    Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
    Repository (1998), its test part, written by 13 people; CC BY 4.0,
    https://creativecommons.org/licenses/by/4.0. Divided by 16 here, and shuffled, so that both
    parts have digits of all writers.
    """
    with np.load(os.path.join(DATA, "digits.npz")) as file:
        images, labels = file["images"].reshape(-1, 64) / 16, file["labels"].astype(int)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:1000], order[1000:]
    return (images[train], labels[train]), (images[test], labels[test])


def _moons(s):
    """Return the points of two half circles that reach into one another, s from 0 to 2."""
    angle, second = np.pi * s, s >= 1
    across = np.where(second, 0.5 + np.cos(angle), np.cos(angle) - 0.5)
    up = np.where(second, 0.25, -0.25) + np.sin(angle)
    return np.stack([across, up], axis=-1)


def _circles(s):
    """Return the points of circles of radius 1 and 2, s from 0 to 2."""
    angle = 2 * np.pi * s
    return np.where(s >= 1, 2, 1)[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


CURVES = {"two_moons": _moons, "two_circles": _circles}


def two_moons(rng: Generator, n: int, noise: float = 0.1) -> Array:
    """Return n points, shape (n, 2), of two half circles of radius 1, with Gaussian noise.

    ``noise`` is its standard deviation.
    """
    _check("two_moons", rng, noise)
    return _moons(rng.uniform(0, 2, n)) + noise * rng.normal(size=(n, 2))


def two_circles(rng: Generator, n: int, noise: float = 0.1) -> Array:
    """Return n points, shape (n, 2), of circles of radius 1 and 2, with Gaussian noise.

    ``noise`` is its standard deviation.
    """
    _check("two_circles", rng, noise)
    return _circles(rng.uniform(0, 2, n)) + noise * rng.normal(size=(n, 2))


def log_density(name: str, x: ArrayLike, noise: float = 0.1) -> Array:
    """Return the logarithm of the density of `two_moons` or `two_circles` at points x.

    The density is the mean, over the points of the curve, of the normal density around each. The
    mean is taken over points that lie closer together than the noise (the rule of rectangles). On
    the circles it is exact to rounding, or nearly.

    Parameters
    ----------
    name : ``"two_moons"`` or ``"two_circles"``
    x : array, shape (n, 2)
    noise : float
        The standard deviation.

    Returns
    -------
    array, shape (n,)

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
    # Points at most h = 4 pi noise / 20 apart. For a normal density the rule of rectangles then is
    # wrong by exp(-2 pi^2 noise^2 / h^2) = 3e-22.
    n = max(1000, math.ceil(20 / noise))
    s = (np.arange(2 * n) + 0.5) / n
    squares = np.sum((x[:, None] - CURVES[name](s)) ** 2, axis=-1)
    smallest = squares.min(axis=1, keepdims=True)
    mean = np.mean(np.exp((smallest - squares) / (2 * noise**2)), axis=1)
    return np.log(mean) - smallest[:, 0] / (2 * noise**2) - np.log(2 * np.pi * noise**2)


def spirals(
    rng: Generator,
    n: int = 1000,
    noise: float = 0.3,
    a: float = 0.0,
    b: float = 0.3,
    total: int = 500,
    window: int = 100,
) -> tuple[Array, Array, Array]:
    """Spirals of Archimedes, r = a + b phi, of which a window is seen.

    phi goes from 0 to 6 pi in ``total`` points, and every other spiral turns clockwise.

    Returns
    -------
    times : array, shape (2 window,)
        0 at the beginning of the window, 1 at its end. The second half lies beyond the window.
    curves : array, shape (n, 2 window, 2)
        The spirals at these times, without noise. Each begins at a point of its own.
    seen : array, shape (n, window, 2)
        The first halves of the curves, with Gaussian noise of the standard deviation ``noise``.

    Notes
    -----
    After Chen and others (2018), section 5.1, and their public example. The paper leaves open what
    the clockwise spirals are. Here they are the mirror images, so that nothing but the direction
    tells them from the others.

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
    seen = curves[:, :window] + noise * rng.normal(size=(n, window, 2))
    return np.arange(2 * window) / (window - 1), curves, seen


def _check(name, rng, noise):
    """Refuse by name what nothing can be drawn with."""
    check_generator(name, rng)
    if not 0 <= noise < math.inf:
        raise ValueError(
            f"{name}: noise={noise!r} is a standard deviation, and must be finite and not negative"
        )
