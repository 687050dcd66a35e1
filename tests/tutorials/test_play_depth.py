"""The scene depth: its layers are steps of Euler's method, and tend to the flow of the ODE."""

import numpy as np
import pytest
from play import depth
from play.controls import Point, Slider
from test_play import control, drag, keys

from tinyode import solve


@pytest.fixture
def stage(opened):
    """Return the scene, drawn."""
    figure = opened("depth")
    figure.canvas.draw()
    return figure


def drawn(stage, panel, number):
    """Return the curves of a line on a panel, each an array of points."""
    stage.canvas.draw()
    points = stage.panels[panel].lines[number].get_xydata()
    ends = np.flatnonzero(np.isnan(points[:, 0]))
    return [piece[~np.isnan(piece[:, 0])] for piece in np.split(points, ends) if len(piece) > 1]


def labelled(stage, label):
    """Return the number of a line on the left panel."""
    return [one.get_label() for one in stage.panels["paths"].lines].index(label)


def test_a_layer_is_a_step_of_euler_s_method():
    for n in (1, 3, 64):
        seen = depth.compute(depth.State(depth=n))
        times = np.linspace(0, 1, n + 1)
        euler = solve(depth.G, depth.GRID, times, method="euler").y
        assert np.allclose(seen.grid, euler[-1], rtol=1e-12, atol=1e-12)
        assert np.allclose(seen.paths[0], depth.corners(depth.GRID)[::2, ::2].reshape(-1, 2))
        path = solve(depth.G, np.array([-0.8, 0.9]), times, method="euler").y
        assert np.allclose(seen.path, path, rtol=1e-12, atol=1e-12)


def test_the_grid_has_rows_and_columns():
    rows, columns = depth.GRID
    assert np.array_equal(np.unique(rows[:, :, 1]), rows[:, 0, 1])
    assert np.array_equal(np.unique(columns[:, :, 0]), columns[:, 0, 0])
    assert len(rows) == len(columns) == depth.LINES


@pytest.mark.parametrize("n", [1, 5, 64])
def test_points_are_drawn_after_each_layer_and_the_flow_behind_them(stage, n):
    stage.change(depth=n)
    paths, flow = (drawn(stage, "paths", labelled(stage, name)) for name in ("layers", "ODE"))
    assert len(paths) == len(flow) == 25
    for path, curve in zip(paths, flow):
        assert len(path) == n + 1 and np.array_equal(path[0], curve[0])
        assert np.allclose(path[1], path[0] + depth.G(0.0, path[0]) / n, rtol=1e-12, atol=1e-12)
    lines = stage.panels["paths"].lines
    assert not lines[labelled(stage, "ODE")].get_animated()  # the background
    assert lines[labelled(stage, "layers")].get_animated()


def test_twice_the_depth_is_half_the_distance(stage):
    """P-steps, on what is drawn: the lines of the two grids, and the dot on the right."""
    distances = {}
    for n in (1, 2, 4, 8, 16, 32, 64):
        stage.change(depth=n)
        by_ode, by_layers = (drawn(stage, "grid", number) for number in (0, 1))
        assert len(by_ode) == len(by_layers) == 2 * depth.LINES
        distances[n] = np.abs(np.array(by_layers) - by_ode).max()
        dot = stage.panels["distance"].lines[-1].get_xydata()[0]
        assert dot[0] == n and dot[1] == pytest.approx(distances[n], rel=1e-9)
        assert f"{dot[1]:.3f}" in stage.panels["grid"].get_title(loc="left")
        assert f"{n * dot[1]:.2f}" in stage.panels["distance"].get_title(loc="left")
    assert distances[32] / distances[64] == pytest.approx(2, rel=0.05)
    assert distances[1] > 50 * distances[64]


def test_the_input_is_dragged(stage):
    stage.canvas.draw()
    point = control(stage, Point)
    drag(stage, point.pixels(), stage.panels["paths"].transData.transform((1.5, -0.5)))
    z0 = np.array(stage.state[1:])
    assert z0 == pytest.approx([1.5, -0.5], abs=0.02)
    after = labelled(stage, "layers")  # then come the starts, the solution and the path
    (solution,), (path,) = drawn(stage, "paths", after + 2), drawn(stage, "paths", after + 3)
    assert np.array_equal(path[0], z0) and len(path) == stage.state.depth + 1
    end = solve(depth.G, z0, [0.0, 1.0], rtol=1e-10, atol=1e-10).y[-1]
    assert solution[-1] == pytest.approx(end, abs=1e-4)
    off = np.abs(path[-1] - end).max()
    assert f"{off:.3f}" in stage.panels["paths"].get_title(loc="left")


def test_the_depth_is_from_1_to_64(stage):
    stage.canvas.draw()
    slider = control(stage, Slider)
    keys(stage, "right", "right", "left")
    assert stage.state.depth == depth.State().depth + 1
    stage.canvas.draw()
    assert slider.title.get_text().startswith("depth $n$ = 4")
    for place, n in ((0.0, 1), (1.0, 64)):
        box = slider.axes.bbox
        drag(stage, box.min + box.size * (0.5, 0.5), box.min + box.size * (place, 0.5))
        assert stage.state.depth == n
