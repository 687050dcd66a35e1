"""The scene euler: its steps are the library's, those that are rejected too."""

import numpy as np
import pytest
from play import euler
from play.controls import Point
from test_play import control, drag

from tinyode import solve


@pytest.mark.parametrize("method", ["Euler", "midpoint", "rk4"])
def test_the_walk_is_the_library_s_and_stands_on_the_error_s_curve(method):
    state = euler.State(t=0.5, y=1.3, h=4.5 / euler.NUMBERS[9], method=method)
    seen = euler.compute(state)
    n = int(euler.NUMBERS[9])
    assert len(seen.accepted) == n and len(seen.rejected) == 0
    solution = solve(euler.f, 1.3, np.linspace(0.5, 5, n + 1), method=euler.METHODS[method])
    assert np.allclose(seen.accepted[:, 3], solution.y[1:], rtol=1e-12)
    assert seen.step == pytest.approx(seen.steps[9])
    assert seen.error == pytest.approx(seen.errors[9], rel=1e-9)
    order = {"Euler": 1, "midpoint": 2, "rk4": 4}[method]
    fine = np.polyfit(np.log(seen.steps[-6:]), np.log(seen.errors[-6:]), 1)
    assert fine[0] == pytest.approx(order, abs=0.2)


def test_rejected_steps_are_those_of_the_library():
    for h, tolerance in ((2.0, 0.02), (0.5, 0.1), (1.0, 0.005)):
        seen = euler.compute(euler.State(h=h, tolerance=tolerance, method="adaptive"))
        options = {"rtol": tolerance, "atol": tolerance, "first_step": h}
        solution = solve(euler.f, 1.0, [0.0, euler.END], method="heun_euler", **options)
        assert len(seen.accepted) == solution.stats.accepted
        assert len(seen.rejected) == solution.stats.rejected > 0
        assert seen.accepted[-1, 3] == pytest.approx(solution.y[-1], rel=1e-12)


def test_the_end_of_the_first_step_is_dragged(opened):
    stage = opened("euler")
    stage.canvas.draw()
    end = control(stage, Point, 1)
    place = stage.panels["field"].transData.transform((1.3, 2.0))
    drag(stage, end.pixels(), place)
    assert stage.state.h == pytest.approx(1.3, abs=0.01)
    marked = stage.panels["error"].lines[-1].get_xdata()
    assert marked[0] == stage.seen.step == 5 / 4  # four equal steps, at most that long


@pytest.mark.parametrize("method", ["Euler", "midpoint", "rk4"])
def test_a_single_long_step_stands_on_the_error_s_curve(method):
    seen = euler.compute(euler.State(t=4.0, h=2.5, method=method))
    assert len(seen.accepted) == 1 and seen.step == seen.steps[0] == 1.0
    assert seen.error == pytest.approx(seen.errors[0], rel=1e-9)


def test_no_first_step_is_longer_than_the_slider_says(opened):
    """Later steps of the adaptive method may be longer, so the label is of the first one."""
    stage = opened("euler")
    for method in euler.METHODS:
        stage.change(method=method, h=0.3, tolerance=0.5)
        stage.canvas.draw()
        first = stage.seen.tried[0, 2] - stage.seen.tried[0, 0]
        assert first <= 0.3 + 1e-12 and stage.controls[3].title.get_text() == "first step ≤ 0.300"
    assert np.diff(stage.seen.accepted[:, 2]).max() > 0.6


def test_rejected_steps_and_ticks_are_drawn(opened):
    stage = opened("euler")
    stage.canvas.draw()
    stage.change(method="adaptive", h=2.0, tolerance=0.02)
    stage.canvas.draw()
    lines, seen = stage.panels["field"].lines, stage.seen
    rejected = next(one for one in lines if one.get_label() == "rejected").get_xydata()
    rows = rejected.reshape(-1, 3, 2)
    assert len(seen.rejected) > 0 and np.isnan(rows[:, 2]).all()
    assert np.array_equal(rows[:, :2].reshape(-1, 4), seen.rejected[:, :4])
    below = [one.get_xdata() for one in lines if len(one.get_ydata()) and max(one.get_ydata()) < 0]
    assert np.array_equal(below[0], seen.accepted[:, 2])
    assert np.array_equal(below[1], seen.rejected[:, 2])
    (curve, *_) = (one.get_data() for one in stage.panels["error"].lines)
    present = euler.compute(stage.state._replace(tolerance=euler.TOLERANCES[4]))
    assert curve[0][4] == pytest.approx(present.step) and curve[1][4] == pytest.approx(
        present.error
    )
