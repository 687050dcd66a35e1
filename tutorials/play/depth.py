"""Choose the depth of a residual network, and watch its layers become the flow of an ODE.

Left, 25 inputs, small squares, on their way through the layers, with a dot after each layer; behind
them black curves, the solutions of the ODE. The large square is an input that can be dragged; its
path is thicker. Middle, where a square grid comes to: black lines by the ODE, thicker vermilion
lines by the network. Right, the distance between the two grids against the depth, on logarithmic
axes, with a dot at the present depth, and a dashed line of slope -1.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tinyode import solve
from tinyode.plotting import COLOURS

from .stage import line, title

MOSAIC = {  # rows of panels and controls, and their heights
    "paths grid distance": 8,
    "depth depth depth": 0.6,
}
A = np.array([[-0.6, 1.7], [-1.7, -0.6]])  # of the moving picture in chapter 2
DEPTHS = np.arange(1, 65)
LINES, PARTS = 9, 4  # of the grid: the lines in each direction, the parts between two of them
PLACES = np.linspace(-2, 2, (LINES - 1) * PARTS + 1)
ROWS = np.stack(np.meshgrid(PLACES, PLACES[::PARTS]), axis=2)  # (LINES, len(PLACES), 2)
GRID = np.stack([ROWS, ROWS[:, :, ::-1]])  # the columns are the rows with z_1 and z_2 exchanged
TIMES = np.linspace(0, 1, 65)
TOLERANCES = {"rtol": 1e-6, "atol": 1e-6}  # finer than a pixel, and than the distances
BLACK, RED = {"color": "black", "linewidth": 1}, COLOURS[4]


def G(t, z):
    """Return the field of the moving picture in chapter 2."""
    return 2.0 * np.tanh(z @ A)


class State(NamedTuple):
    """What can be moved: the number of layers, and one input."""

    depth: int = 3
    z1: float = -0.8
    z2: float = 0.9


def layers(n, z):
    """Return the states after 0, 1, ..., n layers, each a step of 1 / n."""
    states = [z]
    for _ in range(n):
        z = z + (1 / n) * G(0.0, z)
        states.append(z)
    return np.array(states)


def corners(grid):
    """Return the points in which the lines of a grid cross, shape (..., LINES, LINES, 2)."""
    return grid[..., 0, :, ::PARTS, :]


FLOW = solve(G, GRID, TIMES, **TOLERANCES).y
FAR = np.array([np.abs(layers(n, GRID)[-1] - FLOW[-1]).max() for n in DEPTHS])


def compute(state):
    """Carry the grid and the input through the layers, and the input along the ODE."""
    z0 = np.array([state.z1, state.z2])
    states = layers(state.depth, np.concatenate([GRID.reshape(-1, 2), [z0]]))
    grid = states[:, :-1].reshape(-1, *GRID.shape)
    seen = SimpleNamespace(grid=grid[-1], path=states[:, -1])
    seen.paths = corners(grid)[:, ::2, ::2].reshape(len(grid), -1, 2)
    seen.solution = solve(G, z0, TIMES, **TOLERANCES).y
    seen.distance = np.abs(seen.path[-1] - seen.solution[-1]).max()
    return seen


def lifted(curves):
    """Return x and y of curves, shape (..., m, 2), as one line; the pen is lifted between them."""
    curves = curves.reshape(-1, *curves.shape[-2:])
    return np.concatenate([curves, np.full_like(curves[:, :1], np.nan)], axis=1).reshape(-1, 2).T


def paint(panels):
    """Make the lines; return the function that gives them their data."""
    left, middle, right = panels["paths"], panels["grid"], panels["distance"]
    flow = corners(FLOW)[:, ::2, ::2].reshape(len(FLOW), -1, 2)
    left.plot(*lifted(np.moveaxis(flow, 0, 1)), **BLACK, label="ODE")
    middle.plot(*lifted(FLOW[-1]), **BLACK)
    right.plot(DEPTHS, FAR[-1] * DEPTHS[-1] / DEPTHS, "--", color="#666666", label="slope $-1$")
    right.plot(DEPTHS, FAR, color="black")
    paths = line(left, "o-", color=RED, linewidth=1, label="layers")
    left.plot(*flow[0].T, "s", color="black", markersize=5, animated=True)
    solution = line(left, color="black", linewidth=2.5)
    path = line(left, "o-", color=RED)
    grid = line(middle, color=RED, linewidth=2)
    present = line(right, "o:", color=RED, markersize=13, markevery=[0])
    for axes in (left, middle):
        axes.set(xlim=(-4, 4), xticks=[-2, 0, 2], xlabel="$z_1$")
        axes.set(ylim=(-4, 4), yticks=[-2, 0, 2], ylabel="$z_2$")
    legend = {"handlelength": 1.2, "frameon": True, "framealpha": 1, "edgecolor": "white"}
    left.legend(loc="upper left", **legend).set_animated(True)  # stays above the lines
    right.legend(loc="upper right", handlelength=1.2)
    right.set(xscale="log", yscale="log", xlabel="depth $n$", ylabel="distance to the ODE")
    right.set(xlim=(0.8, 80), ylim=(0.02, 5), xticks=[1, 4, 16, 64], yticks=[0.1, 1])
    right.xaxis.set_major_formatter("{x:.0f}")
    right.yaxis.set_major_formatter("{x:g}")
    right.minorticks_off()
    texts = title(left), title(middle), title(right)

    def draw(state, seen):
        paths.set_data(*lifted(np.moveaxis(seen.paths, 0, 1)))
        solution.set_data(*seen.solution.T)
        path.set_data(*seen.path.T)
        grid.set_data(*lifted(seen.grid))
        dot = max(2, 5 - state.depth / 8)  # many layers have small dots, or they hide the ODE
        paths.set_markersize(dot)
        path.set_markersize(1.6 * dot)
        far = FAR[state.depth - 1]
        present.set_data([state.depth] * 2, [far, 0.02])
        texts[0].set_text(f"input off by {seen.distance:.3f}")
        texts[1].set_text(f"grid off by {far:.3f}")
        texts[2].set_text(f"$n$ × distance = {state.depth * far:.2f}")

    return draw


def controls(stage):
    """Add the depth and the input."""
    stage.slider("depth", "depth $n$ = {} (the layers share one block)", DEPTHS)
    stage.point("paths", lambda state, seen: state[1:], put_input, marker="s", color="black")


def put_input(state, seen, z1, z2):
    """Put the input elsewhere."""
    return state._replace(z1=z1, z2=z2)
