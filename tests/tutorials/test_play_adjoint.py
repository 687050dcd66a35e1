"""The scene adjoint: what a(t) is, its gradient, and what is drawn."""

import numpy as np
import pytest
from play import adjoint
from play.controls import Button, Point, Slider
from test_play import control, drag

from tinyode import grad, odeint


def test_a_push_changes_the_loss_by_a_times_the_push_up_to_second_order():
    """Half the push, a quarter of the rest: that is what a(t) is."""
    for time in (0.3, 0.8, 1.0, 2.5):
        for push in ((1.0, 0.0), (0.0, 1.0), (0.6, -0.8)):
            rests = []
            for size in (0.1, 0.05, 0.025):
                moved = {"time": time, "push1": size * push[0], "push2": size * push[1]}
                seen = adjoint.compute(adjoint.State(**moved))
                rests.append(seen.losses[adjoint.WHOLE] - seen.tangent[adjoint.WHOLE])
            assert rests[0] / rests[1] == pytest.approx(4, rel=0.1)
            assert rests[1] / rests[2] == pytest.approx(4, rel=0.2)


def test_the_adjoint_of_the_scene_is_the_gradient_of_the_library():
    state = adjoint.State(time=1.7)
    seen = adjoint.compute(state)

    def loss(z0, theta):
        z = odeint(adjoint.f, z0, adjoint.TIMES, theta, rtol=1e-9, atol=1e-10)
        return 0.5 * np.sum((z[1:, 0] - np.array(state.angles)) ** 2)

    at_start, gradient = grad(loss, (0, 1))(adjoint.START, np.array([state.theta1, state.theta2]))
    assert seen.loss == pytest.approx(loss(adjoint.START, np.array(state[:2])), abs=1e-4)
    assert np.allclose(seen.back[-1, 3:5], at_start, atol=1e-4)
    assert np.allclose(seen.gradient, gradient, atol=1e-4)
    times, a1 = seen.back[:, 0], seen.back[:, 3]
    for i, time in enumerate(adjoint.TIMES[1:]):  # the jump is the miss; it is drawn, also the last
        angle = seen.angle[adjoint.FINE == time][0]
        after, before = a1[times == time]
        assert before - after == pytest.approx(angle - state.angles[i], abs=1e-4)


def test_steps_of_descent_lower_the_loss(opened):
    stage = opened("adjoint")
    stage.canvas.draw()
    losses = [stage.seen.loss]
    button = control(stage, Button)
    middle = button.axes.bbox.min + button.axes.bbox.size / 2
    for _ in range(5):
        drag(stage, middle)
        losses.append(stage.seen.loss)
    assert (np.diff(losses) < 0).all() and losses[-1] < 0.5 * losses[0]
    stage.canvas.draw()
    assert control(stage, Slider).title.get_text() == f"θ₁ = {stage.state.theta1:.2f}"


def test_a_dragged_push_is_drawn_with_its_path(opened):
    stage = opened("adjoint")
    stage.canvas.draw()
    point = control(stage, Point)
    drag(stage, point.pixels(), stage.panels["angle"].transData.transform((2.0, -1.7)))
    assert stage.state.time == pytest.approx(2.0, abs=0.01)
    path = next(line for line in stage.panels["angle"].lines if line.get_label() == "pushed")
    xs, ys = path.get_data()
    assert xs[1] == stage.state.time and ys[1] == pytest.approx(-1.7, abs=0.02)
    assert ys[1] - ys[0] == pytest.approx(stage.state.push1, abs=1e-9)


@pytest.mark.parametrize("width", [9.3, 9.6, 10.6, 11.5, 12.8])
def test_a_push_is_dragged_to_the_left_edge(opened, width):
    """There a pixel may be a time of -1e-16, by rounding."""
    stage = opened("adjoint")
    stage.set_size_inches(width, 7.2)
    stage.canvas.draw()
    point = control(stage, Point)
    drag(stage, point.pixels(), (0, 400))
    stage.canvas.draw()
    assert 0 <= stage.state.time < 1e-9 and stage.seen.path[0][1] == stage.state.time


@pytest.mark.parametrize("push1", [-1.2, 1.2])
def test_both_losses_are_within_the_panel(opened, push1):
    stage = opened("adjoint")
    stage.canvas.draw()
    stage.change(time=0.8, push1=push1, push2=0.5)
    panel = stage.panels["loss"]
    bottom, top = panel.get_ylim()
    for label in ("what results", "$L + a(t)$ push"):
        drawn = next(line for line in panel.lines if line.get_label() == label)
        assert bottom <= drawn.get_ydata()[adjoint.WHOLE] <= top


def test_a_panel_that_follows_its_data_keeps_its_grid(opened):
    """Its limits are a power of 2, and only the two numbers beside it change."""
    stage = opened("adjoint")
    stage.canvas.draw()
    panel, background = stage.panels["loss"], stage.background
    for index in (0, 30, 60, 90):
        control(stage, Slider).take(index)
        bottom, top = panel.get_ylim()
        assert bottom == -top / 2 and top == 2 ** round(np.log2(top))
        largest = max(stage.seen.losses.max(), -2 * stage.seen.tangent.min())
        assert top >= largest > top / 2 or top == 1
        numbers = [text.get_text() for text in panel.texts]
        assert numbers == [f"\N{MINUS SIGN}{-bottom:g}", f"{top:g}"]
    assert stage.background is background
