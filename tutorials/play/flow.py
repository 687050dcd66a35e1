"""Follow the learned flow of chapter 8 through time, and drag a point to see its path.

Left, the density, between the normal distribution at t = 0 and the data at t = 1, two moons or two
circles. A white line is the path of the round point, from a square at t = 0 to a triangle at t = 1.
Right, points that are drawn from the density, and the grid that was square at t = 0. The titles
have the density at the round point, N(z(0)), and how many times larger an area has become there.
"""

import functools
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from experiment import RESULTS
from matplotlib import colormaps

from tinyode import compiled, models, nn, solve, tree
from tinyode.models.flows import log_normal
from tinyode.plotting import COLOURS

from .stage import line, title

MOSAIC = {  # rows of panels and controls, and their heights
    "density density points points": 6,
    "t t t data": 1,
}
TIMES = np.linspace(0, 1, 41)
DATA = {"two moons": "two_moons", "two circles": "two_circles"}
HALF = 3.2  # the panels go from -HALF to HALF, as in the chapter
GRID = np.linspace(-4, 4, 101)  # at t = 0; one point in 8000 is outside of it
INSIDE, SHOWN = slice(10, 91), slice(10, 91, 5)  # of the grid: what is drawn, and which lines
MIDDLES = (np.arange(400) - 199.5) / 50  # of small squares, 16 in each square of the grid
CELLS = 160  # in a row; at t = 0 each has 4 small squares
WIDTH = 0.12  # of 3 cells, over which the density is smoothed; with less, the cells are seen
TOLERANCES = {"rtol": 1e-4, "atol": 1e-4}  # 5 ms for a path; with 1e-3 two moons get spots


class State(NamedTuple):
    """What can be moved: the time, the data, and z(0) of the path."""

    t: float = 0.5
    data: str = "two moons"
    z1: float = 0.6
    z2: float = 0.9


_, network = nn.mlp(3, 32, 32, 2)


@compiled
def f(t, z, theta):
    """Return the slopes of points z, shape (n, 2): the network of chapter 8."""
    return network(theta, np.concatenate([z, t * np.ones((len(z), 1))], axis=1))


@compiled
def f_and_trace(t, state, theta):
    """Return the derivatives of the points, shape (n, 2), and of log p, shape (n,)."""
    value, trace = models.exact_trace(lambda z: f(t, z, theta), state[0])
    return value, -trace


@functools.cache
def carried(data):
    """Return the parameters, and at all TIMES the grid, shape (101, 101, 2), and 700 points."""
    theta, points = tree.load(RESULTS / f"08_{DATA[data]}.npz"), np.random.default_rng(3)
    corners = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)
    start = np.concatenate([corners, points.normal(size=(700, 2))])
    grid, points = np.split(solve(f, start, TIMES, theta, **TOLERANCES).y, [len(corners)], axis=1)
    return theta, grid.reshape(len(TIMES), len(GRID), len(GRID), 2), points


def hats(x, centres, width):
    """Return triangles of height 1 around each centre, at each x; shape (len(x), len(centres))."""
    return np.maximum(1 - np.abs(x[:, None] - centres) / width, 0)


# the flow carries the small squares, each with its probability
REFINE = hats(MIDDLES, GRID, GRID[1] - GRID[0])  # from the grid to the small squares: linear
WEIGHTS = np.exp(-(MIDDLES**2) / 2) / np.sqrt(2 * np.pi) / 50  # probability of a row of them
CENTRES = (np.arange(CELLS) + 0.5) * 2 * HALF / CELLS - HALF
SMOOTH = hats(CENTRES, CENTRES, WIDTH) / WIDTH


@functools.cache
def density(data, i):
    """Return the density at a time, at all CENTRES: probability divided by area."""
    size = CELLS + 2  # the first and the last cell of a row are for what is outside
    places = np.clip((carried(data)[1][i] + HALF) * CELLS / (2 * HALF) + 1, 0, size - 0.5)
    x, y = [(REFINE @ places[..., k] @ REFINE.T).astype(int).ravel() for k in (0, 1)]
    found = np.bincount(y * size + x, np.outer(WEIGHTS, WEIGHTS).ravel(), size * size)
    return SMOOTH @ found.reshape(size, size)[1:-1, 1:-1] @ SMOOTH.T


def compute(state):
    """Return what there is at this time, and the path of the point."""
    i, (theta, grid, points) = int(np.searchsorted(TIMES, state.t)), carried(state.data)
    seen = SimpleNamespace(density=density(state.data, i), grid=grid[i], points=points[i])
    start = np.array([[state.z1, state.z2]])
    z, log_p = solve(f_and_trace, (start, log_normal(start)), TIMES, theta, **TOLERANCES).y
    seen.path, seen.point, seen.normal, seen.p = z[:, 0], z[i, 0], *np.exp(log_p[[0, i], 0])
    return seen


def paint(panels):
    """Make the picture, the lines and the points; return the function that gives them data."""
    left, right = panels["density"], panels["points"]
    image = left.imshow([[0]], extent=(-HALF, HALF, -HALF, HALF), origin="lower", animated=True)
    grid = line(right, color="#999999", linewidth=0.8)
    points = line(right, ".", color=COLOURS[0], markersize=4)
    ends = {"color": "white", "markeredgecolor": "black", "markersize": 11}
    paths = []
    for axes in (left, right):  # a path is a white line with black edges, a square and a triangle
        axes.set(aspect="equal", xlim=(-HALF, HALF), ylim=(-HALF, HALF), xlabel="$z_1$")
        axes.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2], ylabel="$z_2$")
        axes.grid(False)
        paths += [line(axes, color="black", linewidth=5), line(axes, color="white", linewidth=2.5)]
        paths += [line(axes, sign, markevery=[i], **ends) for sign, i in (("s", 0), ("^", -1))]
    above, beside = title(left), title(right)

    def draw(state, seen):
        shares = seen.density / np.quantile(seen.density, 0.99)
        image.set_data(colormaps["viridis"](shares, bytes=True))  # 6 ms faster than by Matplotlib
        lines = np.stack([seen.grid[SHOWN, INSIDE], seen.grid[INSIDE, SHOWN].swapaxes(0, 1)])
        grid.set_data(*np.insert(lines, 0, np.nan, axis=2).reshape(-1, 2).T)  # the pen is lifted
        points.set_data(*seen.points.T)
        for one in paths:
            one.set_data(*seen.path.T)
        above.set_text(f"density at the point: {seen.p:.3f}")
        beside.set_text(f"N(z(0)) = {seen.normal:.3f}, area times {seen.normal / seen.p:.2f}")

    return draw


def controls(stage):
    """Add the point, on both panels, the time and the data."""
    for data in DATA:
        carried(data)  # at the start, so that no control has to wait for it
    for panel in ("density", "points"):
        stage.point(panel, lambda state, seen: seen.point, put, color=COLOURS[4])
    stage.slider("t", "time t = {:.3f}", TIMES)
    stage.choice("data", DATA)


def put(state, seen, x, y):
    """Put the point elsewhere at the present time, and find where its path begins."""
    z = np.array([[x, y]])
    if state.t > 0:
        z = solve(f, z, [state.t, 0], carried(state.data)[0], **TOLERANCES).y[-1]
    return state._replace(z1=float(z[0, 0]), z2=float(z[0, 1]))
