"""The scene of the learned flow: what it says of densities, areas and paths."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from play import flow
from play.controls import Choice, Point, Slider
from test_play import control, drag, move

from tinyode import datasets, models, solve

SIDE = flow.CENTRES[1] - flow.CENTRES[0]  # of a cell
STARTS = np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture
def stage(opened):
    """Return the scene, drawn."""
    figure = opened("flow")
    figure.canvas.draw()
    return figure


def at(t, data="two moons", z=STARTS[0]):
    """Return what is seen of a path that begins at z."""
    return flow.compute(flow.State(t, data, float(z[0]), float(z[1])))


@pytest.mark.parametrize("data", flow.DATA)
@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0])
def test_the_density_integrates_to_one(data, t):
    assert np.sum(at(t, data).density) * SIDE**2 == pytest.approx(1, abs=0.01)


def test_at_the_beginning_the_density_is_normal():
    z = np.stack(np.meshgrid(flow.CENTRES, flow.CENTRES), axis=-1).reshape(-1, 2)
    normal = np.exp(models.flows.log_normal(z)).reshape(flow.CELLS, -1)
    assert np.abs(at(0.0).density - normal).max() < 0.01 * normal.max()


@pytest.mark.parametrize("data", flow.DATA)
def test_at_the_end_density_and_points_are_those_of_the_data(data):
    log_density = lambda z: datasets.log_density(flow.DATA[data], z)
    z = np.stack(np.meshgrid(flow.CENTRES, flow.CENTRES), axis=-1).reshape(-1, 2)
    start, end = at(0.0, data), at(1.0, data)
    assert np.corrcoef(np.exp(log_density(z)), end.density.ravel())[0, 1] > 0.95
    assert len(end.points) == 700
    assert np.mean(log_density(end.points)) > np.mean(log_density(start.points)) + 5


@pytest.mark.parametrize("data", flow.DATA)
@pytest.mark.parametrize("t", [0.0, 0.25, 0.5])
def test_the_picture_agrees_with_the_integral_of_the_trace(data, t):
    """The picture is probability divided by area; the number in the title is found otherwise."""
    by_trace, by_area = [], []
    for z in STARTS:
        seen = at(t, data, z)
        column, row = np.floor((seen.point + flow.HALF) / SIDE).astype(int)
        by_trace.append(seen.p)
        by_area.append(seen.density[row, column])
    assert np.corrcoef(by_trace, by_area)[0, 1] > 0.95
    assert np.median(np.abs(np.divide(by_area, by_trace) - 1)) < 0.1


@pytest.mark.parametrize("data", flow.DATA)
def test_an_area_grows_by_the_determinant_of_the_flow(data, monkeypatch):
    flow.carried(data)  # by the tolerances of the scene
    monkeypatch.setattr(flow, "TOLERANCES", {"rtol": 1e-10, "atol": 1e-10})
    h = 1e-4
    for z in STARTS[:3]:
        right, left, above, below = [
            at(0.5, data, z + h * np.array(step)).point
            for step in ((1, 0), (-1, 0), (0, 1), (0, -1))
        ]
        determinant = np.linalg.det([(right - left) / (2 * h), (above - below) / (2 * h)])
        seen = at(0.5, data, z)
        assert seen.normal / seen.p == pytest.approx(determinant, rel=1e-4)
        assert seen.normal == pytest.approx(np.exp(-(z @ z) / 2) / (2 * np.pi))


def test_the_grid_is_square_at_the_beginning_and_carried_like_a_point(stage):
    grid = next(one for one in stage.panels["points"].lines if one.get_color() == "#999999")
    control(stage, Slider).take(0)
    x, y = grid.get_data()
    ends = np.flatnonzero(np.isnan(x))
    assert len(ends) == 2 * len(flow.GRID[flow.SHOWN])
    for one in np.split(np.stack([x, y]), ends, axis=1)[1:]:
        assert np.ptp(one[:, 1:], axis=1).min() < 1e-12  # across or upright
    theta, carried, _ = flow.carried("two moons")
    corner = np.array([[flow.GRID[60], flow.GRID[45]]])
    there = solve(flow.f, corner, flow.TIMES, theta, rtol=1e-8, atol=1e-8).y[:, 0]
    assert np.allclose(carried[:, 45, 60], there, atol=0.02)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("index", [0, 20, 40])
def test_a_point_is_dragged_and_its_path_seen(stage, number, index):
    control(stage, Slider).take(index)
    point, place = control(stage, Point, number), (-0.7, 0.4)
    drag(stage, point.pixels(), point.axes.transData.transform(place))
    for other in (control(stage, Point, 0), control(stage, Point, 1)):
        assert np.allclose(np.ravel(other.line.get_data()), place, atol=0.03)
    state, seen = stage.state, stage.seen
    theta = flow.carried("two moons")[0]
    start = np.array([[state.z1, state.z2]])
    path = solve(flow.f, start, flow.TIMES, theta, rtol=1e-8, atol=1e-8).y[:, 0]
    for panel in ("density", "points"):
        drawn = [np.stack(one.get_data(), axis=-1) for one in stage.panels[panel].lines]
        paths = [data for data in drawn if data.shape == path.shape]
        assert len(paths) == 4 and all(np.allclose(data, path, atol=0.03) for data in paths)
    assert (seen.path[index] == seen.point).all() and np.allclose(seen.path[0], start)


def test_the_picture_and_the_titles_follow_time_and_data(stage):
    (image,) = stage.panels["density"].images
    pictures = []
    for step in (lambda: None, lambda: control(stage, Slider).take(40)):
        step()
        pictures.append(np.array(image.get_array()))
    move(stage, control(stage, Choice))
    assert stage.state.data == "two circles" and stage.state.t == 1
    pictures.append(np.array(image.get_array()))
    assert all((a != b).any() for a, b in zip(pictures, pictures[1:]))
    seen = stage.seen
    brightest = np.unravel_index(np.argmax(seen.density), seen.density.shape)
    assert (pictures[-1][brightest] == np.array(plt.get_cmap("viridis")(1.0, bytes=True))).all()
    assert stage.panels["density"].get_title("left") == f"density at the point: {seen.p:.3f}"
    title = f"N(z(0)) = {seen.normal:.3f}, area times {seen.normal / seen.p:.2f}"
    assert stage.panels["points"].get_title("left") == title
