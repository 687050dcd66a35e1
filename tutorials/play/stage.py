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
    A text with formulas (``$...$``) takes 3 ms each time that it changes, a plain one 1 ms.
``controls(stage)``
    Adds the sliders, choices, buttons and points, each with what it does to the state.

An event changes the state, and asks the window for a new picture with ``draw_idle``. The window
draws when it has no other event to handle. So many events that come together make one picture, in
which `compute` is called once. What is not animated is kept as an image, the background. It is
drawn again only if the window has another size, so the limits of a panel are fixed; `scale` is for
a panel that has to follow its data.
"""

import textwrap
import traceback
import warnings
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.backend_bases import MouseButton, key_press_handler
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import Formatter

from .controls import REACH, Button, Choice, Point, Slider

POINTS = 14  # the size of the letters: readable from the last row
MARGINS = (0.01, 0.01, 0.98, 0.98)  # left, below, width, height, of the window
ARROWS = {"left": (-1, 0), "right": (1, 0), "down": (0, -1), "up": (0, 1)}
NUMBERS = 22  # points between the letters beside a panel and its ticks, for numbers that change
WORDS = 100  # letters below the panels, at most: one line
KEYS = "Tab: next control     b: back     arrows, Enter: move it     r: reset     s: save a picture"


def line(axes, style="-", **settings):
    """Return a line that a scene will give its data."""
    return axes.plot([], [], style, animated=True, **settings)[0]


def title(axes):
    """Return the title of a panel, which a scene will give its text."""
    return axes.set_title(" ", loc="left", animated=True)


def scale(axes, bottom):
    """Return ``fit(largest)``, which lets a panel reach from ``bottom * top`` to top.

    top is the next of 1, 2, 4, ... after ``largest``, so it seldom changes while a point is
    dragged. The grid stays where it is, and only the numbers beside it change.
    """
    axes.set(ylim=(bottom, 1), yticks=[bottom, 0, 1], yticklabels=["", "0", ""])
    axes.yaxis.labelpad = NUMBERS
    beside = {"xycoords": "axes fraction", "xytext": (-7, 0), "textcoords": "offset points"}
    style = {"horizontalalignment": "right", "verticalalignment": "center", "animated": True}
    low, high = [axes.annotate("", (0, y), **beside, **style) for y in (0, 1)]

    def fit(largest):
        top = 2.0 ** np.ceil(np.log2(max(largest, 1)))
        axes.set(ylim=(bottom * top, top), yticks=[bottom * top, 0, top])
        low.set_text(Formatter.fix_minus(f"{bottom * top:g}"))
        high.set_text(f"{top:g}")

    return fit


class Stage(Figure):
    """The window of a scene.

    Attributes
    ----------
    state : tuple
        The present one; `change` and `put` replace it.
    seen
        What ``compute(state)`` returned; None where the state is newer.
    good : tuple
        The latest state that could be computed, and what was seen in it.
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
        self.start_size = self.get_size_inches()
        self.seen, self.good, self.controls, self.focus, self.held = None, None, [], 0, None
        self.shown, self.drawn_for, self.laid_out_for = None, None, None
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
            "resize_event": self.enlarge,
        }.items():
            self.canvas.mpl_connect(event, function)
        self.canvas.mpl_disconnect(self.canvas.manager.key_press_handler_id)  # its s saves, too
        self.canvas.manager.set_window_title(name)
        self.canvas.toolbar_visible = False  # ipympl has one, which would change the limits

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
            self.canvas.draw_idle()

    def write(self, words):
        """Write words below the panels."""
        if words != self.says.get_text():
            self.says.set_text(words)
            self.drawn_for = None  # they are part of the background

    def present(self):
        """Return the present state, and what is to be seen in it.

        Where `compute` fails, the error is written below the panels, and once in the terminal with
        its traceback; the scene goes back to the latest state that could be computed.
        """
        if self.seen is None:
            try:
                self.seen = self.scene.compute(self.state)
            except Exception as error:
                if not self.good:
                    raise
                words = textwrap.shorten(f"{type(error).__name__}: {error}", WORDS)
                if words != self.says.get_text():
                    traceback.print_exception(type(error), error, error.__traceback__)
                self.write(words)
                self.state, self.seen = self.good
            else:
                self.write(KEYS)
                self.good = self.state, self.seen
        return self.state, self.seen

    def draw(self, renderer):
        """Draw the background if it is not what it was, and over it what moves."""
        if not self.moving:  # a widget asks for a picture while the scene is being built
            return
        state, seen = self.present()
        if self.shown is not state:
            self.shown = state
            self.draw_seen(state, seen)
        for control in self.controls:  # a widget may show a state that was refused
            control.follow(state)
        if self.canvas.is_saving() or self.drawn_for != (*self.bbox.size, self.dpi):
            self.draw_all(renderer)
        else:
            renderer.restore_region(self.background)
        if not self.canvas.is_saving():  # a saved picture has what moves already
            for artist in self.moving:
                artist.draw(renderer)
            self.stale = False

    def draw_all(self, renderer):
        """Draw the background, and lay out the window if its size is new."""
        inches = tuple(self.get_size_inches())
        if self.laid_out_for != inches:
            with warnings.catch_warnings():  # of a window that is too small for its panels
                warnings.simplefilter("ignore", UserWarning)
                ConstrainedLayoutEngine(rect=MARGINS, wspace=0.04).execute(self)
            self.laid_out_for = inches
        super().draw(renderer)
        self.background = renderer.copy_from_bbox(self.bbox)
        self.drawn_for = None if self.canvas.is_saving() else (*self.bbox.size, self.dpi)

    def enlarge(self, event):
        """Let letters and lines grow with the window, so that a full screen can be read, too."""
        pixels, dpi = self.bbox.size, 100 * self.canvas.device_pixel_ratio
        dpi *= max(1, min(pixels / (dpi * self.start_size)))
        self._set_dpi(dpi, forward=False)  # figure.dpi = dpi would change the window
        self.set_size_inches(pixels / dpi, forward=False)

    # The mouse and the keys; Matplotlib's widgets get the same events

    def press(self, event):
        """Take hold of the point under the mouse, and give what is there the focus."""
        if event.button != 1:
            return
        points = [c for c in self.controls if isinstance(c, Point)]
        points = [point for point in points if event.inaxes in (point.axes, None)]
        near = [point for point in points if point.distance(event) <= REACH]
        if near:  # outside of all panels, too: half of a point may lie there
            self.held = min(near, key=lambda point: point.distance(event))
            self.give_focus(self.controls.index(self.held))
        for i, control in enumerate(self.controls):
            if not isinstance(control, Point) and control.axes is event.inaxes:
                self.give_focus(i)

    def drag(self, event):
        """Move the point that is held."""
        buttons = getattr(event, "buttons", None)  # from Matplotlib 3.10 on
        if buttons is not None and MouseButton.LEFT not in buttons:
            self.held = None  # it was let go where the window did not see it
        if self.held:
            self.held.drag((event.x, event.y))

    def release(self, event):
        """Let the point go."""
        self.held = None

    def key(self, event):
        """Do what a key does: on the control that has the focus, or for all."""
        control, key = self.controls[self.focus], event.key or ""
        if key == "b" or key.endswith("tab"):  # Shift+Tab has many names; Qt has none
            self.give_focus((self.focus + (1 if key == "tab" else -1)) % len(self.controls))
        elif key in ARROWS:
            control.arrow(*ARROWS[key])
        elif key in ("enter", " "):
            control.enter()
        elif key == "r":
            self.put(self.scene.State())
        elif key == "s":
            self.write(self.save_beside())
            self.canvas.draw_idle()
        elif key in rcParams["keymap.fullscreen"] + rcParams["keymap.quit"]:
            key_press_handler(event)  # its other keys would change the axes

    def give_focus(self, index):
        """Give a control the focus, and show that it has it."""
        self.controls[self.focus].mark.set_visible(False)
        self.controls[index].mark.set_visible(True)
        self.focus = index
        self.canvas.draw_idle()

    def save_beside(self):
        """Save the picture under the first name that is free in this folder; say how it went."""
        number = 1
        while (path := Path.cwd() / f"{self.name}_{number}.png").exists():
            number += 1
        try:
            self.savefig(path)
        except OSError as error:
            return f"Not saved: {error}"
        return f"Saved as {path}"
