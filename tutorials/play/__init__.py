"""Scenes to play with: windows in which a lecturer, or a student, drags what a chapter explains.

``python -m tutorials --play`` lists them, ``python -m tutorials --play adjoint`` opens one. In a
notebook ``%matplotlib widget`` (ipympl) and ``import play; play.show("adjoint")`` do the same. The
docstring of `stage` says what a scene is made of.
"""

import importlib

import matplotlib.pyplot as plt
from matplotlib import get_backend
from matplotlib.backend_bases import FigureManagerBase

from tinyode.plotting import save

from .stage import POINTS, Stage

SCENES = {  # the chapter that each belongs to, and what one does in it
    "euler": (1, "drag the start and the step on the slope field, and watch the error"),
    "depth": (2, "add layers to a residual network, until they carry a grid as an ODE does"),
    "difference": (3, "change the step of a difference quotient over sixteen decades"),
    "adjoint": (5, "push a pendulum at any time, and compare the loss with L + a(t) push"),
    "back": (5, "two rates and a tolerance: solve forwards and back, and compare four gradients"),
    "flow": (8, "carry a density to two moons, and drag a point to see its path"),
}
SIZE = 10.0, 6.6  # inches of 100 pixels: fits, with its frame, on 1024x768 and on 1280x720
STYLE = {
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), POINTS),
    "image.interpolation": "none",  # an image is drawn in half of the time
    "toolbar": "None",
}


class NoWindowError(RuntimeError):
    """Matplotlib has no way to open a window here."""


def figure_of(name):
    """Return a scene in a figure of its own, whether or not there is a window for it.

    Raises
    ------
    ValueError
        If there is no such scene.
    NoWindowError
        If Matplotlib's backend should open a window and cannot.
    """
    if name not in SCENES:
        raise ValueError(f"there is no scene {name!r}; the scenes are {', '.join(SCENES)}")
    scene = importlib.import_module(f".{name}", __name__)
    with plt.rc_context(STYLE):
        try:
            figure = plt.figure(FigureClass=Stage, figsize=SIZE, dpi=100, layout="none")
        except Exception as error:  # ImportError, RuntimeError, TclError: one for each toolkit
            raise no_window(error) from error
        figure.begin(name, scene)
    return figure


def show(name):
    """Open a scene in a window, or in the notebook.

    Raises
    ------
    ValueError
        If there is no such scene.
    NoWindowError
        If there is no screen, or no toolkit that opens windows. The message says what to do.
    """
    figure = figure_of(name)
    if type(figure.canvas.manager).show is FigureManagerBase.show:
        plt.close(figure)
        raise no_window("it is for files, and is taken where no screen or no toolkit is found")
    plt.show()


def no_window(reason):
    """Return the error that says what was tried, and what to do."""
    backend = get_backend().lower()  # "Agg" or "agg", as it was asked for
    return NoWindowError(
        f"a scene needs a window, and Matplotlib's backend {backend!r} opens none: {reason}."
        " On a machine with a screen: install a toolkit (python -m pip install PyQt6, or apt"
        " install python3-tk), and do not set MPLBACKEND. In a notebook: python -m pip install"
        " ipympl, and write %matplotlib widget before the scene is opened"
    )


def picture(name):
    """Save a scene, as it is at the start, as ``figures/play_NAME.png`` with its words."""
    figure = figure_of(name)
    return save(figure, f"play_{name}", alt=words_of(figure.scene))


def words_of(scene):
    """Return what a scene's picture shows: its docstring without the first sentence."""
    return " ".join(scene.__doc__.split("\n\n", 1)[1].split())
