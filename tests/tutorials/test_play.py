"""Scenes to play with: what they compute, and what a mouse and the keys do to what is drawn."""

import importlib

import matplotlib.pyplot as plt
import numpy as np
import play
import pytest
from matplotlib.backend_bases import FigureManagerBase, KeyEvent, MouseEvent
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from play import adjoint, euler
from play.controls import Button, Choice, Point, Slider
from play.stage import POINTS

from tinyode import grad, odeint, solve

SCENES = list(play.SCENES)
ROUNDING = 1  # of 255: where lines that are not opaque are blended


@pytest.fixture
def opened():
    """Return what opens scenes, which are closed after the test."""
    yield play.figure_of
    plt.close("all")


def mouse(stage, name, place):
    """Let the mouse do something at a place, in pixels."""
    event = MouseEvent(name, stage.canvas, *place, button=1)
    stage.canvas.callbacks.process(name, event)


def drag(stage, *places):
    """Press the button at the first place, move to the others, and let it go."""
    mouse(stage, "button_press_event", places[0])
    for place in places[1:]:
        mouse(stage, "motion_notify_event", place)
    mouse(stage, "button_release_event", places[-1])


def keys(stage, *names):
    """Press keys."""
    for name in names:
        stage.canvas.callbacks.process(
            "key_press_event", KeyEvent("key_press_event", stage.canvas, name)
        )


def pixels(stage):
    """Return what the window shows."""
    return np.array(stage.canvas.buffer_rgba())


def control(stage, kind, number=0):
    """Return one of the controls of a kind."""
    return [c for c in stage.controls if isinstance(c, kind)][number]


def move(stage, one):
    """Move a control with the mouse."""
    left, bottom, width, height = one.axes.bbox.bounds
    inside = np.array([left + 0.3 * width, bottom + 0.5 * height])
    if isinstance(one, Point):
        start = one.pixels()
        drag(stage, start, np.add(start, (31, -16)))
    elif isinstance(one, Choice):
        label = one.widget.labels[-1].get_window_extent()
        drag(stage, [label.x0 + 2, label.y0 + 5])
    else:
        drag(stage, inside, np.add(inside, (0.32 * width, 0)))


def change(before, after):
    """Return by how much two states differ; a name that differs counts as 1."""
    differences = []
    for a, b in zip(before, after):
        is_name = isinstance(a, str)
        differences.append(float(a != b) if is_name else np.abs(np.subtract(a, b)).max())
    return max(differences)


# The stage


@pytest.mark.parametrize("name", SCENES)
def test_every_control_changes_the_state_and_the_whole_picture(opened, name, monkeypatch):
    """Nothing that moves is left in the background, and no panel spills over another one."""
    stage = opened(name)
    stage.canvas.draw()
    for one in stage.controls:
        state, before = stage.state, pixels(stage)
        move(stage, one)
        in_parts = pixels(stage)
        assert change(state, stage.state) > 1e-3 and (in_parts != before).any(), one
        stage.drawn_for = None
        with monkeypatch.context() as patched:  # a new layout might move a panel
            patched.setattr(ConstrainedLayoutEngine, "execute", lambda *arguments: None)
            stage.canvas.draw()
        difference = np.abs(in_parts.astype(int) - pixels(stage)).max()
        assert difference <= ROUNDING, one


@pytest.mark.parametrize("name", SCENES)
def test_letters_can_be_read_from_the_last_row(opened, name):
    stage = opened(name)
    stage.canvas.draw()
    written = [text for text in stage.findobj(Text) if text.get_text() and text.get_visible()]
    assert len(written) > 10 and min(text.get_fontsize() for text in written) >= POINTS >= 14


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_one_short_file(name):
    scene = importlib.import_module(f"play.{name}")
    with open(scene.__file__, encoding="utf-8") as file:
        assert sum(1 for _ in file) <= 150


@pytest.mark.parametrize("name", SCENES)
def test_keys_reach_every_control(opened, name):
    """Tab goes round, and an arrow or Enter moves each control; r brings the start back."""
    stage = opened(name)
    stage.canvas.draw()
    start = stage.state
    for one in stage.controls:
        assert stage.controls[stage.focus] is one and one.mark.get_visible()
        assert sum(other.mark.get_visible() for other in stage.controls) == 1
        before = stage.state
        moving = {Button: ["enter"], Point: ["up", "right"]}.get(type(one), ["right"])
        keys(stage, *moving)
        assert change(before, stage.state) > 1e-3, one
        keys(stage, "tab")
    assert stage.focus == 0
    keys(stage, "shift+tab")
    assert stage.focus == len(stage.controls) - 1
    keys(stage, "r")
    assert stage.state == start


@pytest.mark.parametrize("name", SCENES)
def test_a_window_of_another_size_is_laid_out_again(opened, name):
    stage = opened(name)
    stage.canvas.draw()
    stage.set_size_inches(9, 9)
    stage.canvas.draw()
    assert pixels(stage).shape[:2] == (900, 900)
    boxes = [axes.get_tightbbox() for axes in stage.axes]
    assert all(0 <= box.x0 and box.x1 <= 900 and 0 <= box.y0 and box.y1 <= 900 for box in boxes)
    point = control(stage, Point)
    before = stage.state
    drag(stage, point.pixels(), np.add(point.pixels(), (20, -20)))
    assert stage.state != before


def test_events_that_come_together_make_one_picture(opened, monkeypatch):
    """A window draws when it is idle; till then events only change the state."""
    stage = opened("adjoint")
    stage.canvas.draw()
    asked, computed = [], []
    monkeypatch.setattr(stage.canvas, "draw_idle", lambda: asked.append(1))
    compute = adjoint.compute
    monkeypatch.setattr(adjoint, "compute", lambda s: computed.append(s) or compute(s))
    slider = control(stage, Slider)
    for index in range(20):
        slider.take(index)
    assert len(asked) >= 20 and not computed
    stage.canvas.draw()
    assert computed == [stage.state] and slider.title.get_text() == "$\\theta_1$ = 1.45"


def test_the_nearest_point_is_taken_and_a_far_one_is_not(opened):
    stage = opened("adjoint")
    stage.canvas.draw()
    before = stage.state
    second = control(stage, Point, 2)
    drag(stage, np.add(second.pixels(), (0, 60)), np.add(second.pixels(), (0, 100)))
    assert stage.state == before
    drag(stage, np.add(second.pixels(), (5, 5)), np.add(second.pixels(), (0, 100)))
    assert stage.controls[stage.focus] is second
    assert [a != b for a, b in zip(stage.state.angles, before.angles)] == [0, 1, 0, 0]
    drag(stage, second.pixels(), (5000, 5000))  # out of the window: as far as the panel goes
    assert stage.state.angles[1] == pytest.approx(second.axes.get_ylim()[1])


def test_s_saves_a_picture_and_says_where(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = opened("adjoint")
    stage.canvas.draw()
    window = pixels(stage)
    (tmp_path / "adjoint_1.png").touch()
    keys(stage, "s")
    saved = sorted(path.name for path in tmp_path.iterdir())
    assert saved == ["adjoint_1.png", "adjoint_2.png"]
    assert stage.says.get_text() == f"Saved as {tmp_path / 'adjoint_2.png'}"
    picture = plt.imread(tmp_path / "adjoint_2.png")
    curve = (picture[:, :, :3] < 0.1).all(axis=2).mean()
    assert curve == pytest.approx((window[:, :, :3] < 25).all(axis=2).mean(), rel=0.5)
    keys(stage, "r", "up")
    assert not stage.says.get_text().startswith("Saved")
    assert pixels(stage).shape == window.shape


def test_a_picture_for_a_chapter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures").mkdir()
    path = play.picture("adjoint")
    assert path == tmp_path / "figures" / "play_adjoint.png" and path.stat().st_size < 300_000
    assert not plt.get_fignums()


def test_errors_of_opening():
    with pytest.raises(ValueError, match=r"no scene 'pendulum'; the scenes are euler, .*adjoint"):
        play.show("pendulum")
    with pytest.raises(play.NoWindowError, match=r"backend 'agg' opens none.*PyQt6.*ipympl"):
        play.show("adjoint")
    assert not plt.get_fignums()


def test_a_toolkit_that_is_missing(monkeypatch):
    def fails(*arguments, **settings):
        raise ImportError("Failed to import any qt binding")

    monkeypatch.setattr(plt, "figure", fails)
    with pytest.raises(play.NoWindowError, match="Failed to import any qt binding"):
        play.show("adjoint")


def test_a_backend_with_windows_shows_the_scene(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    monkeypatch.setattr(
        plt, "new_figure_manager", manager_with_windows(plt.new_figure_manager), raising=True
    )
    play.show("adjoint")
    assert [figure.name for figure in shown] == ["adjoint"]
    plt.close("all")


def manager_with_windows(new_figure_manager):
    """Return new_figure_manager, with a manager that can show a window."""

    class Manager(FigureManagerBase):
        def show(self):
            """A window would come to the front."""

    def new(number, *arguments, **settings):
        figure = new_figure_manager(number, *arguments, **settings).canvas.figure
        return Manager(figure.canvas, number)

    return new


# The scenes


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
    for i, time in enumerate(adjoint.TIMES[1:]):  # the jump is the miss
        angle = seen.angle[adjoint.FINE == time][0]
        after = a1[times == time] if i < 3 else np.array([0.0, a1[0]])
        assert after[-1] - after[0] == pytest.approx(angle - state.angles[i], abs=1e-4)


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
    assert control(stage, Slider).title.get_text() == f"$\\theta_1$ = {stage.state.theta1:.2f}"


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
