"""What all scenes share: a window, the focus, the keys, and a picture that is drawn when it must be.

A scene is a module with these names, in this order.

``WORDS``
    One or two sentences that say what the picture shows, for those who cannot see it.
``MOSAIC``, ``HEIGHTS``
    Where the panels and the controls stand, as in Matplotlib's ``subplot_mosaic``, and the heights
    of the rows.
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

from matplotlib.backend_bases import key_press_handler
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from .controls import REACH, Button, Choice, Point, Slider

POINTS = 14  # the size of the letters: readable from the last row
ARROWS = {"left": (-1, 0), "right": (1, 0), "down": (0, -1), "up": (0, 1)}
KEYS = "Tab: next control      arrows, Enter: move it      r: reset      s: save a picture"


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
        self.background, self.drawn_for = None, None
        self.panels = self.subplot_mosaic(scene.MOSAIC, height_ratios=scene.HEIGHTS)
        self.says = self.supxlabel(KEYS, fontsize=POINTS, color="#444444", animated=True)
        scene.controls(self)
        self.draw_seen = scene.paint(self.panels)
        for axes in self.axes:
            axes.tick_params(labelsize=POINTS)  # ticks that are made later have it, too
        for control in self.controls:
            control.mark.set_visible(control is self.controls[0])
        moving = self.findobj(lambda artist: artist.get_animated())
        self.moving = sorted(moving, key=lambda artist: artist.zorder)
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
        """Write words below the picture, and ask for a new picture."""
        self.says.set_text(words)
        self.canvas.draw_idle()

    def update(self):
        """Give the artists the data of the present state."""
        if self.seen is None:
            self.seen = self.scene.compute(self.state)
            self.draw_seen(self.state, self.seen)
            for control in self.controls:
                control.follow(self.state)

    def draw(self, renderer):
        """Draw the background if it is not what it was, and over it what moves."""
        if not self.moving:  # a widget asks for a picture while the scene is being built
            return
        self.update()
        limits = [axes.viewLim.bounds for axes in self.axes]
        drawn_for = (*self.bbox.size, self.dpi, limits)
        if self.canvas.is_saving() or drawn_for != self.drawn_for:
            ConstrainedLayoutEngine().execute(self)
            super().draw(renderer)
            if self.canvas.is_saving():  # with what moves, and in another size
                self.drawn_for = None
                return
            self.background, self.drawn_for = renderer.copy_from_bbox(self.bbox), drawn_for
        else:
            renderer.restore_region(self.background)
        for artist in self.moving:
            artist.draw(renderer)
        self.stale = False

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
