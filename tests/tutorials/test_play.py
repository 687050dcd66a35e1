"""Scenes to play with: what they compute, and what a mouse and the keys do to what is drawn."""

import importlib
import itertools
import re
import shutil

import cells
import matplotlib.pyplot as plt
import numpy as np
import play
import pytest
from matplotlib.backend_bases import FigureManagerBase, KeyEvent, MouseEvent
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from play.controls import Button, Choice, Point, Slider
from play.stage import POINTS

SCENES = list(play.SCENES)
ROUNDING = 1  # of 255: where lines that are not opaque are blended


def mouse(stage, name, place, button=1):
    """Let the mouse do something at a place, in pixels."""
    event = MouseEvent(name, stage.canvas, *place, button=button)
    event.buttons = {button}  # Matplotlib before 3.10 does not take it above
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


@pytest.mark.parametrize("name", SCENES)
def test_every_control_changes_the_state_and_the_whole_picture(opened, name):
    """Nothing that moves is left in the background, and no panel spills over another one."""
    stage = opened(name)
    stage.canvas.draw()
    for one in stage.controls:
        state, before = stage.state, pixels(stage)
        move(stage, one)
        in_parts = pixels(stage)
        assert change(state, stage.state) > 1e-3 and (in_parts != before).any(), one
        stage.drawn_for = None
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
    for back in ("shift+tab", "b", "backtab"):
        keys(stage, back)
    assert stage.focus == -3 % len(stage.controls)
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


@pytest.mark.parametrize("name", SCENES)
def test_a_tiny_window_and_back(opened, name):
    """It cannot be read, but it can be made larger again."""
    stage = opened(name)
    stage.canvas.draw()
    before = [axes.bbox.bounds for axes in stage.axes]
    for size in ((0.02, 0.02), (0.6, 0.3), (3, 0.5), (0.5, 4)):
        stage.set_size_inches(size)
        stage.canvas.draw()
        for one in stage.controls:
            move(stage, one)
    stage.put(stage.scene.State())
    stage.set_size_inches(play.SIZE)
    stage.canvas.draw()
    pixels = 0.01 * stage.bbox.width  # what Matplotlib's layout may keep of the one before
    assert np.allclose([axes.bbox.bounds for axes in stage.axes], before, atol=pixels)


@pytest.mark.parametrize("name", SCENES)
def test_no_letters_cover_others(opened, name):
    """Neither in a large nor in a small window, where the sliders have gone to their ends."""
    stage = opened(name)
    sliders = [one for one in stage.controls if isinstance(one, Slider)]
    for size, end in itertools.product([play.SIZE, (9, 5.6)], [0, -1]):
        stage.set_size_inches(size)
        for slider in sliders:
            slider.take(range(len(slider.values))[end])
        stage.canvas.draw()
        written = [text for text in stage.findobj(Text) if text.get_text().strip()]
        written = [text for text in written if text.get_visible() and not text.stale]
        for a, b in itertools.combinations(written, 2):
            common = Bbox.intersection(a.get_window_extent(), b.get_window_extent())
            covers = common is not None and min(common.size) > 1
            assert not covers, (size, a.get_text(), b.get_text())


@pytest.mark.parametrize("name", SCENES)
def test_the_picture_of_the_chapter_is_as_new_as_the_scene(name, tmp_path, monkeypatch):
    """Saving the scene leaves it alone, so it looks the same or is by another Matplotlib."""
    kept = tmp_path / "figures" / f"play_{name}.png"
    kept.parent.mkdir()
    shutil.copy(cells.HERE.parent / "figures" / kept.name, kept)
    before = kept.read_bytes()
    monkeypatch.chdir(tmp_path)
    assert play.picture(name) == kept and not plt.get_fignums()
    remedy = f"remove figures/{kept.name} and run: python tutorials/animations.py play_{name}"
    assert kept.read_bytes() == before, remedy


def pictures_in(chapter):
    """Return the text of a chapter in one line, and {scene: words} of the pictures in it."""
    text = re.sub(r"\n# ?", " ", chapter.read_text(encoding="utf-8"))
    found = re.findall(r"!\[([^]]*)\]\(\.\./figures/play_(\w+)\.png\)", text)
    return text, {name: words for words, name in found}


@pytest.mark.parametrize("name", SCENES)
def test_a_chapter_names_its_scene_and_shows_it_with_its_words(name):
    words = play.words_of(importlib.import_module(f"play.{name}"))
    text, shown = pictures_in(cells.chapters()[play.SCENES[name][0]])
    assert f"`python -m tutorials --play {name}`" in text and shown[name] == words


def test_all_pictures_of_scenes_have_the_scene_s_words():
    kept = {path.stem for path in (cells.HERE.parent / "figures").glob("play_*")}
    assert kept == {f"play_{name}" for name in SCENES}
    for chapter in cells.chapters().values():
        text, shown = pictures_in(chapter)
        assert set(re.findall(r"--play (\w+)`", text)) == shown.keys()
        for name, words in shown.items():
            assert words == play.words_of(importlib.import_module(f"play.{name}"))


def test_errors_of_opening():
    with pytest.raises(ValueError, match=r"no scene 'pendulum'; the scenes are euler, .*adjoint"):
        play.show("pendulum")
    with pytest.raises(play.NoWindowError, match=r"backend 'agg' opens none.*PyQt6.*ipympl"):
        play.show("adjoint")
    assert not plt.get_fignums()


@pytest.mark.parametrize("kind", [ImportError, RuntimeError])
def test_a_toolkit_or_a_screen_that_is_missing(monkeypatch, kind):
    def fails(*arguments, **settings):
        raise kind("Invalid DISPLAY variable")

    monkeypatch.setattr(plt, "figure", fails)
    with pytest.raises(play.NoWindowError, match=r"Invalid DISPLAY variable.*PyQt6"):
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
