"""What a mouse and the keys do to any scene, also where they are not used as they should be."""

import matplotlib.pyplot as plt
import numpy as np
import play
import pytest
from matplotlib.backend_bases import KeyEvent, MouseEvent, ResizeEvent
from play import adjoint
from play.controls import Choice, Point, Slider
from test_play import ROUNDING, control, drag, keys, mouse, pixels


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
    assert computed == [stage.state] and slider.title.get_text() == "θ₁ = 1.45"


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


def test_a_point_at_the_edge_of_a_panel_can_be_taken_from_outside(opened):
    stage = opened("adjoint")
    stage.canvas.draw()
    last = control(stage, Point, 4)
    outside = np.add(last.pixels(), (6, 0))
    assert not last.axes.bbox.contains(*outside)
    drag(stage, outside, np.add(outside, (0, 50)))
    assert stage.state.angles[3] > adjoint.State().angles[3]


def test_letters_grow_with_the_window(opened):
    """As a toolkit tells it: the figure has the new size already, and its dpi stay."""
    stage = opened("adjoint")
    stage.canvas.draw()
    heights = []
    width, height = stage.get_size_inches() * stage.dpi
    for factor in (1, 2, 1, 0.8):
        stage.set_size_inches(np.array([width, height]) * factor / stage.dpi, forward=False)
        ResizeEvent("resize_event", stage.canvas)._process()
        stage.canvas.draw()
        assert pixels(stage).shape[:2] == (round(height * factor), round(width * factor))
        heights.append(stage.says.get_window_extent().height)
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.1)
    assert heights[2] == heights[0] == heights[3]


def test_a_point_outside_of_its_panel_covers_no_other_panel(opened):
    """A point at the edge is drawn as a whole."""
    stage = opened("flow")
    stage.canvas.draw()
    left, right = control(stage, Point, 0), control(stage, Point, 1)
    gap = right.axes.bbox.x0 - left.axes.bbox.x1
    edge, far = stage.scene.HALF, stage.scene.HALF * (1 + gap / left.axes.bbox.width)
    shown = []
    for x in (edge, far):
        right.where = lambda state, seen, x=x: (-x, 1.0)
        stage.draw_seen = lambda state, seen: None
        stage.shown = None
        stage.canvas.draw()
        column, row = np.round(right.pixels()).astype(int)
        part = pixels(stage)[::-1][row - 9 : row + 10, column - 9 : column + 10, :3]
        orange = np.array(plt.matplotlib.colors.to_rgb(right.line.get_color())) * 255
        shown.append((np.abs(part - orange).max(axis=2) < 2).mean())
    assert shown[0] > 0.6 and shown[1] == 0


@pytest.mark.parametrize("button", [2, 3])
def test_only_the_left_button_moves_a_point(opened, button):
    stage = opened("adjoint")
    stage.canvas.draw()
    before, place = stage.state, control(stage, Point).pixels()
    mouse(stage, "button_press_event", place, button)
    assert stage.held is None
    mouse(stage, "motion_notify_event", np.add(place, (40, 0)), button)
    assert stage.state == before


def test_a_button_that_was_let_go_elsewhere_moves_nothing_any_more(opened):
    stage = opened("adjoint")
    stage.canvas.draw()
    place = control(stage, Point).pixels()
    mouse(stage, "button_press_event", place)
    mouse(stage, "motion_notify_event", np.add(place, (20, 0)))
    moved = stage.state
    assert moved != adjoint.State()
    event = MouseEvent("motion_notify_event", stage.canvas, *np.add(place, (60, 0)))
    event.buttons = set()
    stage.canvas.callbacks.process("motion_notify_event", event)
    mouse(stage, "motion_notify_event", np.add(place, (80, 0)))
    assert stage.state == moved


def test_keys_of_matplotlib_change_no_panel(opened):
    """Among them are a logarithmic axis and a grid."""
    stage = opened("adjoint")
    stage.canvas.draw()
    before, panel = pixels(stage), stage.panels["angle"]
    middle = panel.bbox.min + panel.bbox.size / 2
    for key in ("g", "G", "l", "k", "L", "p", "o", "c", "home", "escape", None):
        event = KeyEvent("key_press_event", stage.canvas, key, *middle)
        assert event.inaxes is panel
        stage.canvas.callbacks.process("key_press_event", event)
    stage.drawn_for = None
    stage.canvas.draw()
    assert np.abs(pixels(stage).astype(int) - before).max() <= ROUNDING


def test_an_error_of_compute_is_shown_once_and_the_scene_goes_on(opened, monkeypatch, capsys):
    stage = opened("adjoint")
    stage.canvas.draw()
    compute, window = adjoint.compute, pixels(stage)

    def fails(state):
        if state.theta1 > 3:
            raise ZeroDivisionError("theta1 is\n" + "large " * 40)
        return compute(state)

    monkeypatch.setattr(adjoint, "compute", fails)
    slider, good = control(stage, Slider), stage.state
    for index in (60, 70, 80):
        slider.take(index)
    stage.canvas.draw()
    assert stage.state == good and slider.widget.val == pytest.approx(slider.index(good))
    words = stage.says.get_text()
    assert words.startswith("ZeroDivisionError: theta1 is large") and len(words) <= 100
    assert (pixels(stage)[-25:] != window[-25:]).any()  # there the words stand
    printed = capsys.readouterr().err
    assert printed.count("Traceback") == printed.count("ZeroDivisionError: theta1") == 1
    keys(stage, "right")  # the push, which has the focus
    assert stage.state.time > good.time and "reset" in stage.says.get_text()
    slider.take(60)
    assert capsys.readouterr().err.count("Traceback") == 1


def test_an_error_at_the_start_comes_out(monkeypatch):
    monkeypatch.setattr(adjoint, "compute", lambda state: 1 / 0)
    stage = play.figure_of("adjoint")
    with pytest.raises(ZeroDivisionError):
        stage.canvas.draw()
    plt.close("all")


def test_a_state_that_is_not_a_number_is_refused(opened, capsys):
    stage = opened("adjoint")
    stage.canvas.draw()
    good = stage.state
    stage.change(theta1=np.nan)
    assert stage.state == good and "SolverError" in stage.says.get_text()
    assert "SolverError" in capsys.readouterr().err
    keys(stage, "up")
    assert stage.state != good and np.isfinite(stage.seen.loss)


def test_a_window_is_closed_while_a_point_is_dragged(opened):
    stage = opened("adjoint")
    stage.canvas.draw()
    place = control(stage, Point).pixels()
    mouse(stage, "button_press_event", place)
    plt.close(stage)
    mouse(stage, "motion_notify_event", np.add(place, (20, 0)))  # a late event
    mouse(stage, "button_release_event", place)
    assert stage.held is None and not plt.get_fignums()


def test_two_windows_of_one_scene_do_not_share_a_state(opened):
    first, second = opened("adjoint"), opened("adjoint")
    first.canvas.draw()
    second.canvas.draw()
    before = pixels(second)
    keys(first, "up", "tab")
    second.canvas.draw()
    assert first.state != second.state == adjoint.State() and second.focus == 0
    assert (pixels(second) == before).all()


def test_a_picture_that_cannot_be_saved(opened, monkeypatch):
    stage = opened("adjoint")
    stage.canvas.draw()

    def refuses(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(stage, "savefig", refuses)
    keys(stage, "s")
    assert stage.says.get_text().startswith("Not saved: [Errno 13] Permission denied")


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


def test_arrows_move_the_way_they_point(opened):
    """Up and right go to larger values of a slider; down goes to the name below."""
    stage = opened("euler")
    slider, choice = control(stage, Slider), control(stage, Choice)
    for key, direction in (("up", 1), ("right", 1), ("down", -1), ("left", -1)):
        stage.give_focus(stage.controls.index(slider))
        before = stage.state.h
        keys(stage, key)
        assert (stage.state.h - before) * direction > 0
        stage.give_focus(stage.controls.index(choice))
        stage.change(method="midpoint")
        keys(stage, key)
        below = choice.names.index(stage.state.method) - choice.names.index("midpoint")
        assert below == (1 if key in ("down", "right") else -1)
