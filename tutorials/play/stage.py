"""What all scenes share: a window, the focus, the keys, and when the picture is drawn.

A scene is a module with these parts, in this order.

its docstring
    One sentence that says what to do, and after it what the picture shows, for those who cannot see
    it.
``MOSAIC``
    Where the panels and the controls stand: for each row their names, as in Matplotlib's
    ``subplot_mosaic``, and its height.
``State``
    A named tuple of all that can be moved, plain numbers and tuples. Its defaults are the start.
``compute(state)``
    What is to be seen in this state. It draws nothing, so a test can ask it for numbers.
``paint(panels)``
    Makes the lines and texts, once, and returns the function ``draw(state, seen)``. This function
    gives them the data of what `compute` returned. What it changes is made with ``animated=True``.
``controls(stage)``
    Adds the sliders, choices, buttons and points, each with what it does to the state.

An event changes the state, and asks the window for a new picture with ``draw_idle``. The window
draws when it has no other event to handle. So many events that come together make one picture, in
which `compute` is called once. What is not animated is kept as an image, the background. It is
drawn again only where the window has another size, or a panel has other limits.
"""

from pathlib import Path

import numpy as np
from matplotlib.backend_bases import key_press_handler
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from .controls import REACH, Button, Choice, Point, Slider

POINTS = 14  # the size of the letters: readable from the last row
MARGINS = (0.01, 0.01, 0.98, 0.98)  # left, below, width, height, of the window
ARROWS = {"left": (-1, 0), "right": (1, 0), "down": (0, -1), "up": (0, 1)}
KEYS = "Tab: next control      arrows, Enter: move it      r: reset      s: save a picture"


def line(axes, style="-", **settings):
    """Return a line that a scene will give its data."""
    return axes.plot([], [], style, animated=True, **settings)[0]


def title(axes):
    """Return the title of a panel, which a scene will give its text."""
    return axes.set_title(" ", loc="left", animated=True)


def fit(axes, bottom, largest):
    """Let a panel reach from ``bottom * top`` to top, the next of 1, 2, 4, ... after ``largest``.

    So it seldom changes while a point is dragged, and the three numbers beside it keep their width.
    """
    top = 2.0 ** np.ceil(np.log2(max(largest, 1)))
    if axes.get_ylim() != (bottom * top, top):
        axes.set(ylim=(bottom * top, top), yticks=[bottom * top, 0, top])
        axes.yaxis.set_major_formatter("{x:4.1f}")


class Stage(Figure):
    """The window of a scene.

    Attributes
    ----------
    state : tuple
        The present one; `change` and `put` replace it.
    seen
        What ``compute(state)`` returned; None where the state is newer.
    panels : dict
        The axes, by their names in the scene's ``MOSAIC``.
    controls : list
        In the order of the Tab key.
    """

    points = POINTS
    moving = ()

    def begin(self, name, scene):
        """Build a scene in this figure, which has its canvas already."""
        self.name, self.scene, self.state = name, scene, scene.State()
        self.seen, self.controls, self.focus, self.held = None, [], 0, None
        self.shown, self.drawn_for = None, None
        rows, heights = [row.split() for row in scene.MOSAIC], list(scene.MOSAIC.values())
        self.panels = self.subplot_mosaic(rows, height_ratios=heights)
        self.says = self.supxlabel(KEYS, fontsize=POINTS, color="#444444")
        scene.controls(self)
        self.draw_seen = scene.paint(self.panels)
        for axes in self.axes:
            axes.tick_params(labelsize=POINTS)  # ticks that are made later have it, too
        for control in self.controls:
            control.mark.set_visible(control is self.controls[0])
        moving = self.findobj(lambda artist: artist.get_animated())
        self.moving = sorted(moving, key=lambda artist: artist.zorder)
        for artist in self.moving:  # a title keeps its place, and a point moves no panel
            artist.set_in_layout(isinstance(artist, Text))
        for event, function in {
            "button_press_event": self.press,
            "motion_notify_event": self.drag,
            "button_release_event": self.release,
            "key_press_event": self.key,
        }.items():
            self.canvas.mpl_connect(event, function)
        self.canvas.mpl_disconnect(self.canvas.manager.key_press_handler_id)  # its s saves, too
        self.canvas.manager.set_window_title(name)

    def slider(self, *arguments):
        """Add a `Slider`."""
        self.controls.append(Slider(self, *arguments))

    def choice(self, *arguments):
        """Add a `Choice`."""
        self.controls.append(Choice(self, *arguments))

    def button(self, *arguments):
        """Add a `Button`."""
        self.controls.append(Button(self, *arguments))

    def point(self, *arguments, **style):
        """Add a `Point`."""
        self.controls.append(Point(self, *arguments, **style))

    # The state, and its picture

    def change(self, **fields):
        """Change fields of the state."""
        self.put(self.state._replace(**fields))

    def put(self, state):
        """Take a new state, and ask for its picture."""
        if state != self.state:
            self.state, self.seen = state, None
            self.say(KEYS)

    def say(self, words):
        """Ask for a new picture, with words below it."""
        if words != self.says.get_text():
            self.says.set_text(words)
            self.drawn_for = None  # they are part of the background
        self.canvas.draw_idle()

    def present(self):
        """Return the present state, and what is to be seen in it."""
        if self.seen is None:
            self.seen = self.scene.compute(self.state)
        return self.state, self.seen

    def draw(self, renderer):
        """Draw the background as far as it is not what it was, and over it what moves."""
        if not self.moving:  # a widget asks for a picture while the scene is being built
            return
        if self.shown is not self.state:
            self.shown, seen = self.present()
            self.draw_seen(self.state, seen)
            for control in self.controls:
                control.follow(self.state)
        if self.canvas.is_saving() or self.drawn_for != (*self.bbox.size, self.dpi):
            self.draw_all(renderer)
        else:
            renderer.restore_region(self.background)
            for axes, limits in self.limits.items():
                if limits != axes.viewLim.bounds:
                    self.draw_again(axes, renderer)
        if not self.canvas.is_saving():  # a saved picture has what moves already
            for artist in self.moving:
                artist.draw(renderer)
            self.stale = False

    def draw_all(self, renderer):
        """Lay out the window and draw its background."""
        ConstrainedLayoutEngine(rect=MARGINS, wspace=0.04).execute(self)
        super().draw(renderer)
        self.background = renderer.copy_from_bbox(self.bbox)
        self.boxes = {axes: axes.get_tightbbox(renderer) for axes in self.axes}
        self.limits = {axes: axes.viewLim.bounds for axes in self.axes}
        self.drawn_for = None if self.canvas.is_saving() else (*self.bbox.size, self.dpi)

    def draw_again(self, axes, renderer):
        """Draw the background of one panel, whose limits have changed."""
        self.patch.set_clip_box(self.boxes[axes].padded(2))
        self.patch.draw(renderer)
        self.patch.set_clip_box(None)
        axes.draw(renderer)
        self.background = renderer.copy_from_bbox(self.bbox)
        numbers = axes.xaxis.get_tightbbox(renderer), axes.yaxis.get_tightbbox(renderer)
        self.boxes[axes] = Bbox.union([self.boxes[axes], *filter(None, numbers)])
        self.limits[axes] = axes.viewLim.bounds

    # The mouse and the keys; Matplotlib's widgets get the same events

    def press(self, event):
        """Take hold of the point under the mouse, and give what is there the focus."""
        points = [c for c in self.controls if isinstance(c, Point) and c.axes is event.inaxes]
        nearest = min(points, key=lambda point: point.distance(event), default=None)
        if nearest and nearest.distance(event) <= REACH:
            self.held = nearest
            self.give_focus(self.controls.index(nearest))
        for i, control in enumerate(self.controls):
            if not isinstance(control, Point) and control.axes is event.inaxes:
                self.give_focus(i)

    def drag(self, event):
        """Move the point that is held."""
        if self.held:
            self.held.drag((event.x, event.y))

    def release(self, event):
        """Let the point go."""
        self.held = None

    def key(self, event):
        """Do what a key does: on the control that has the focus, or for all."""
        control, key = self.controls[self.focus], event.key or ""
        if key.endswith("tab"):  # with Shift it has another name in each toolkit
            self.give_focus((self.focus + (1 if key == "tab" else -1)) % len(self.controls))
        elif key in ARROWS:
            control.arrow(*ARROWS[key])
        elif key in ("enter", " "):
            control.enter()
        elif key == "r":
            self.put(self.scene.State())
        elif key == "s":
            self.say(f"Saved as {self.save_beside()}")
        else:
            key_press_handler(event)  # f: the whole screen, q: close

    def give_focus(self, index):
        """Give a control the focus, and show that it has it."""
        self.controls[self.focus].mark.set_visible(False)
        self.controls[index].mark.set_visible(True)
        self.focus = index
        self.canvas.draw_idle()

    def save_beside(self):
        """Save the picture under the first name that is free in this folder; return its path."""
        number = 1
        while (path := Path.cwd() / f"{self.name}_{number}.png").exists():
            number += 1
        self.savefig(path)
        return path
