"""What can be moved in a scene: sliders, choices and buttons of Matplotlib, and points on a panel.

Each control has the same five parts, so that the stage can treat all of them alike. ``axes`` is
where it stands, and ``mark`` is shown while it has the focus. ``follow(state)`` makes it show a
state. ``arrow(right, up)`` is called for an arrow key, with -1, 0 or 1 for each direction.
``enter()`` is called for the Enter key and the space bar.
"""

import numpy as np
from matplotlib import widgets
from matplotlib.patches import Rectangle

from tinyode.plotting import COLOURS

REACH = 18.0  # points: how far from the middle of a point a mouse may take hold of it
ARROW = 0.02  # of a panel's width or height: how far an arrow key moves a point
ROUNDING = 1e-6  # of a panel's width or height, between its edge and a point that was dragged there


def frame(axes):
    """Return the frame around a control that has the focus."""
    style = {"fill": False, "linestyle": "--", "linewidth": 2.5, "clip_on": False}
    return axes.add_patch(
        Rectangle((-0.01, -0.05), 1.02, 1.1, transform=axes.transAxes, animated=True, **style)
    )


class Slider:
    """A slider that takes given values, which may be far apart or whole numbers.

    Parameters
    ----------
    stage : Stage
    field : str
        The field of the state, and the place in the scene's ``MOSAIC``.
    label : str
        What is written above it, with the value: ``"step h = {:.3f}"``.
    values : array, shape (n,)
        Increasing.
    """

    def __init__(self, stage, field, label, values):
        self.stage, self.field, self.label = stage, field, label
        self.values = np.asarray(values)
        self.axes = axes = stage.panels[field]
        style = {"color": COLOURS[0], "initcolor": "none", "handle_style": {"size": 18}}
        self.widget = widgets.Slider(axes, "", 0, len(self.values) - 1, valstep=1, **style)
        self.widget.drawon = False
        self.widget.valtext.set_visible(False)
        self.title = axes.set_title("", loc="left")
        for artist in (*axes.lines, *axes.patches, self.title):
            artist.set_animated(True)
        self.mark = frame(axes)
        self.widget.on_changed(self.take)

    def take(self, index):
        """Put the value with this index into the state."""
        index = np.clip(int(index), 0, len(self.values) - 1)
        self.stage.change(**{self.field: self.values[index].item()})

    def index(self, state):
        """Return where the state's value stands among those of the slider, often between two."""
        return np.interp(getattr(state, self.field), self.values, np.arange(len(self.values)))

    def follow(self, state):
        """Show the value of a state."""
        self.title.set_text(self.label.format(getattr(state, self.field)))
        self.widget.eventson = False
        self.widget.set_val(self.index(state))
        self.widget.eventson = True

    def arrow(self, right, up):
        """Go to the next value."""
        index = round(self.index(self.stage.state), 6)  # a value may differ by rounding
        self.take(np.floor(index) + 1 if right + up > 0 else np.ceil(index) - 1)

    def enter(self):
        """Do nothing: a slider has the arrow keys."""


class Choice:
    """Radio buttons, one for each of some names.

    Parameters
    ----------
    stage, field
        As of `Slider`.
    names : list of str
        What the field of the state can be.
    """

    def __init__(self, stage, field, names):
        self.stage, self.field, self.names = stage, field, list(names)
        self.axes = axes = stage.panels[field]
        style = {"label_props": {"fontsize": [stage.points]}, "useblit": False}
        self.widget = widgets.RadioButtons(
            axes, self.names, activecolor=COLOURS[0], radio_props={"s": [130]}, **style
        )
        self.widget.drawon = False
        axes.set_axis_off()
        for artist in axes.collections:
            artist.set_animated(True)
        self.mark = frame(axes)
        self.widget.on_clicked(self.take)

    def take(self, name):
        """Put a name into the state."""
        self.stage.change(**{self.field: name})

    def follow(self, state):
        """Show which name is chosen."""
        self.widget.eventson = False
        self.widget.set_active(self.names.index(getattr(state, self.field)))
        self.widget.eventson = True

    def arrow(self, right, up):
        """Choose the name below or above."""
        index = self.names.index(getattr(self.stage.state, self.field)) + right - up
        self.take(self.names[index % len(self.names)])

    def enter(self):
        """Choose the name below."""
        self.arrow(1, 0)


class Button:
    """A button that makes a new state of the present one.

    Parameters
    ----------
    stage : Stage
    place : str
        Its place in the scene's ``MOSAIC``.
    label : str
    function : function
        ``function(state, seen)`` returns the new state. ``seen`` is what ``compute(state)`` gave.
    """

    def __init__(self, stage, place, label, function):
        self.stage, self.function = stage, function
        self.axes = axes = stage.panels[place]
        self.widget = widgets.Button(axes, label, color="#dddddd", hovercolor="#dddddd")
        self.widget.drawon = False
        self.widget.label.set_fontsize(stage.points)
        axes.spines[:].set_visible(True)
        self.mark = frame(axes)
        self.widget.on_clicked(lambda event: self.enter())

    def follow(self, state):
        """Do nothing: a button looks always the same."""

    def arrow(self, right, up):
        """Do nothing: a button has the Enter key."""

    def enter(self):
        """Press it."""
        self.stage.put(self.function(*self.stage.present()))


class Point:
    """A point on a panel that the mouse can drag.

    Parameters
    ----------
    stage : Stage
    panel : str
        Its place in the scene's ``MOSAIC``.
    where : function
        ``where(state, seen)`` returns the x and y of the point.
    moved : function
        ``moved(state, seen, x, y)`` returns the state with the point there, or as near as it may
        go. x and y are within the panel.
    style
        As of a line of Matplotlib: marker, color, label.
    """

    def __init__(self, stage, panel, where, moved, **style):
        self.stage, self.where, self.moved = stage, where, moved
        self.axes = axes = stage.panels[panel]
        style = {"marker": "o", "markersize": 15, "color": COLOURS[0], "linestyle": "", **style}
        on_top = {"animated": True, "zorder": 10, "clip_on": False}
        (self.line,) = axes.plot([], [], **on_top, **style)
        ring = {"markersize": 26, "markeredgewidth": 2.5, "fillstyle": "none", "color": "black"}
        (self.mark,) = axes.plot([], [], "o", **on_top, **ring)

    def follow(self, state):
        """Show the point where a state has it, but not over other panels."""
        x, y = self.where(*self.stage.present())
        part = (self.axes.transScale + self.axes.transLimits).transform((x, y))
        if np.abs(part - 0.5).max() > 0.5 + ROUNDING:
            x = np.nan
        self.line.set_data([x], [y])
        self.mark.set_data([x], [y])

    def pixels(self):
        """Return where it is in the window, in pixels."""
        return self.axes.transData.transform(self.where(*self.stage.present()))

    def distance(self, event):
        """Return how far it is from the mouse, in points."""
        return np.hypot(*(self.pixels() - (event.x, event.y))) * 72 / self.stage.dpi

    def drag(self, pixels):
        """Move it to a place in the window."""
        inside = np.clip(pixels, self.axes.bbox.min, self.axes.bbox.max)
        x, y = self.axes.transData.inverted().transform(inside)
        self.stage.put(self.moved(*self.stage.present(), float(x), float(y)))

    def arrow(self, right, up):
        """Move it a little."""
        self.drag(self.pixels() + ARROW * self.axes.bbox.size * (right, up))

    def enter(self):
        """Do nothing: a point has the arrow keys."""
