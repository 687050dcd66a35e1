"""The data are those of the sources, and come with the installed package."""

import zlib

import numpy as np
import pytest

from tinyode import datasets


def test_lynx_hare():
    years, pelts = datasets.lynx_hare()
    np.testing.assert_array_equal(years, np.arange(1900, 1921))
    assert pelts.shape == (21, 2)
    assert pelts[0].tolist() == [30.0, 4.0]
    assert pelts[3].tolist() == [77.4, 35.2]
    assert np.all(pelts > 0)


def test_digits_are_those_of_uci_in_a_split_that_stays():
    (images, labels), (test_images, test_labels) = datasets.digits()
    assert images.shape == (1000, 64) and test_images.shape == (797, 64) and images.dtype == float
    assert images.min() == 0 and images.max() == 1 and np.all(images * 16 == np.round(images * 16))
    assert np.bincount(np.concatenate([labels, test_labels])).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    rows = {row.tobytes() for row in np.concatenate([images, test_images])}
    assert len(rows) == 1797  # none in both parts, none twice
    assert zlib.crc32(labels.astype(np.uint8).tobytes()) == 1900589119  # the order of this split


@pytest.mark.parametrize("name", ["two_moons", "two_circles"])
@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_points_of_a_known_density(name, noise):
    """It integrates to one, and its mean logarithm over the points is minus its entropy."""
    x = np.linspace(-4, 4, 101)
    grid = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    parts = [datasets.log_density(name, part, noise) for part in np.split(grid, 101)]
    log_p, cell = np.concatenate(parts), (x[1] - x[0]) ** 2
    assert abs(np.sum(np.exp(log_p)) * cell - 1) < 1e-6
    draw = lambda: getattr(datasets, name)(np.random.default_rng(0), 1000, noise)
    points = draw()
    found = datasets.log_density(name, points, noise)
    minus_entropy = np.sum(np.exp(log_p) * log_p) * cell
    assert abs(found.mean() - minus_entropy) < 4 * found.std() / np.sqrt(1000)
    np.testing.assert_array_equal(points, draw())


def test_the_density_of_circles_by_bessels_function():
    """The mean of a normal density over a circle of radius R.

    It is exp(-(r^2 + R^2) / 2 s^2) I0(r R / s^2) / (2 pi s^2).
    """
    on_the_circle = np.array([[1.0, 0.0], [0.6, 0.8]])
    narrow = datasets.log_density("two_circles", on_the_circle, 1e-3)
    of_a_strip = np.log(0.5 / (2 * np.pi) / (np.sqrt(2 * np.pi) * 1e-3))
    np.testing.assert_allclose(narrow, of_a_strip, rtol=1e-5)
    r, s = np.linspace(0, 3, 31), 0.3
    one = lambda R: np.exp(-(r**2 + R**2) / (2 * s**2)) * np.i0(r * R / s**2) / (2 * np.pi * s**2)
    on_a_ray = np.stack([r * np.cos(0.7), r * np.sin(0.7)], axis=1)
    found = datasets.log_density("two_circles", on_a_ray, s)
    np.testing.assert_allclose(np.exp(found), (one(1) + one(2)) / 2, rtol=1e-12)


def test_spirals():
    t, curves, seen = datasets.spirals(np.random.default_rng(0))
    assert t.shape == (200,) and t[0] == 0 and t[99] == 1
    assert curves.shape == (1000, 200, 2)
    assert seen.shape == (1000, 100, 2)
    assert abs(np.std(seen - curves[:, :100]) - 0.3) < 2e-3
    radius = np.hypot(*np.moveaxis(curves, -1, 0))
    angle = np.unwrap(np.arctan2(curves[..., 1], curves[..., 0]))
    turn = np.diff(angle)[:, 2:]  # (at the centre there is no angle)
    np.testing.assert_allclose(np.abs(turn), 6 * np.pi / 499, rtol=1e-6)
    assert np.sum(turn[:, 0] < 0) == 500
    np.testing.assert_allclose(np.diff(radius), 0.3 * 6 * np.pi / 499, rtol=1e-9)


def test_moons_are_where_they_are_said_to_be():
    """The upper half circle about (-0.5, -0.25), the lower one about (0.5, 0.25).

    Both have as many points.
    """
    points = datasets.two_moons(np.random.default_rng(0), 4000, noise=0.0)
    on_circle = lambda centre: np.abs(np.hypot(*(points - centre).T) - 1) < 1e-12
    upper, lower = on_circle((-0.5, -0.25)), on_circle((0.5, 0.25))
    assert np.all(upper ^ lower) and 1900 < upper.sum() < 2100
    assert points[upper, 1].min() >= -0.25 and points[lower, 1].max() <= 0.25
    x = datasets.two_moons(np.random.default_rng(0), 4000, noise=0.1)
    kurtosis = np.mean((x - points) ** 4) / np.mean((x - points) ** 2) ** 2
    assert abs(np.std(x - points) - 0.1) < 2e-3 and abs(kurtosis - 3) < 0.2  # Gaussian


def test_windows_begin_all_along_the_spirals_and_directions_take_turns():
    t, curves, _ = datasets.spirals(np.random.default_rng(0), 400, a=0.5, window=50, total=300)
    assert t.shape == (100,) and curves.shape == (400, 100, 2)
    first = np.hypot(*curves[:, 0].T)
    assert first.min() < 0.5 + 0.3 * 1 and first.max() > 0.5 + 0.3 * 6 * np.pi * 0.6
    cross = curves[:, 0, 0] * curves[:, 1, 1] - curves[:, 0, 1] * curves[:, 1, 0]
    assert np.all((cross > 0) == (np.arange(400) % 2 == 0))


def test_what_cannot_be_drawn_is_refused():
    rng = np.random.default_rng(0)
    for call, message in (
        (
            lambda: datasets.log_density("moons", np.ones((2, 2))),
            "name='moons' .* 'two_moons', 'two_circles'",
        ),
        (
            lambda: datasets.log_density("two_moons", np.ones((2, 1))),
            r"x has the shape \(n, 2\).*\(2, 1\)",
        ),
        (
            lambda: datasets.log_density("two_moons", np.ones((2, 2)), 0.0),
            "noise=0.0 must be positive",
        ),
        (lambda: datasets.two_moons(rng, 3, -0.1), "two_moons: noise=-0.1"),
        (lambda: datasets.spirals(rng, 3, window=1), "window=1 must"),
        (lambda: datasets.spirals(rng, 3, window=300), "window=300 must be .* half of total=500"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match=r"two_circles: rng=3 must be a numpy\.random\.Generator"):
        datasets.two_circles(3, 10)
