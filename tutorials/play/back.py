"""Solve two rates forwards and back, and compare the four ways to a gradient.

Above left, the field of two rates of chapter 10, solved forwards and backwards. The round point is
the state that the way back begins with; where it is dragged to, the way back begins anew. Below,
how far both are from the exact solution, and the growth of the first error by exp(k2 times the time
back). Right, the errors of dL/dtheta by four ways; a cross has a warning, or has given up.
"""

import textwrap
import warnings
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tinyode import SolverError, compiled, grad, odeint, solve
from tinyode.plotting import COLOURS

from .stage import line, title

MOSAIC = {  # rows of panels and controls, and their heights
    "state state state ways ways ways": 5,
    "error error error ways ways ways": 4,
    "words words words words words words": 1.8,
    "k1 k1 apart apart tolerance tolerance": 0.6,
}
WAYS = "adjoint", "discrete", "interpolated", "forward"
START, END = np.array([1.0, 0.5]), 3.0
FINE = np.linspace(0, END, 61)
LIMITS, DECADES = (1e-10, 1e4), 10.0 ** np.arange(-9, 4, 3)  # of the errors that are shown
LETTERS = 68  # in a line of words
METHOD = {"method": "dop853", "max_steps": 2000}  # two thirds of the time of the chapter's dopri5


class State(NamedTuple):
    """What can be moved: the rates k1 and k1 + apart, the tolerance, where a state is kept."""

    k1: float = 1.0
    apart: float = 4.0
    tolerance: float = 1e-4
    kept: float = END


@compiled
def f(t, z, theta):
    """Return the slopes of two rates, theta = (k1, k2)."""
    return np.stack([-theta[1] * (z[0] - np.cos(t)), theta[0] * (z[0] - z[1])])


def lagging(k, cosine, sine):
    """Return what y' = k (x - y) makes of x = cosine cos(t) + sine sin(t): its two factors."""
    return k * (k * cosine - sine) / (1 + k * k), k * (cosine + k * sine) / (1 + k * k)


def exact(theta, t):
    """Return the solution at times t, shape (len(t), 2); differentiable in theta."""
    k1, k2 = theta
    a, b = lagging(k2, 1.0, 0.0)
    c, d = lagging(k1, a, b)
    fast, slow = START[0] - a, k1 / (k1 - k2)
    z1 = a * np.cos(t) + b * np.sin(t) + fast * np.exp(-k2 * t)
    z2 = c * np.cos(t) + d * np.sin(t) + fast * slow * np.exp(-k2 * t)
    return np.stack([z1, z2 + (START[1] - c - fast * slow) * np.exp(-k1 * t)], axis=-1)


def compute(state):
    """Solve forwards and backwards, and take the gradient of L = z1(3) + z2(3) by each way."""
    theta = np.array([state.k1, state.k1 + state.apart])
    options = {"rtol": state.tolerance, "atol": state.tolerance / 100, **METHOD}
    stops = np.unique([0.0, state.kept, END])
    t = np.union1d(FINE, stops)
    z = solve(f, START, t, theta, **options).y
    off, back = np.abs(z - exact(theta, t)).max(axis=1), []
    for start, end in zip(stops, stops[1:]):
        some = np.flatnonzero((t >= start) & (t <= end))[::-1]
        piece = solve(f, z[some[0]], t[some], theta, **options).y
        error = np.abs(piece - exact(theta, t[some])).max(axis=1)
        growth = off[some[0]] * np.exp(theta[1] * (end - t[some]))
        back += [np.column_stack([t[some], piece, error, growth]), np.full((1, 5), np.nan)]
    seen = SimpleNamespace(t=t, z=z, off=off, back=np.concatenate(back), theta=theta)
    loss = lambda theta, way: np.sum(odeint(f, START, stops, theta, gradient=way, **options)[-1])
    right = grad(lambda theta: np.sum(exact(theta, END)))(theta)
    slopes, seen.said = zip(*[gradient(lambda p, way=way: loss(p, way), theta) for way in WAYS])
    seen.errors = np.linalg.norm(slopes - right, axis=1) / np.linalg.norm(right)
    return seen


def gradient(loss, theta):
    """Return the gradient, NaN where there is none, and what the library says against it."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            slope = grad(loss)(theta)
        except SolverError as error:
            return np.full(2, np.nan), f"gives up: {first_sentence(error)}"
    return slope, f"warns: {first_sentence(warned[0].message)}" if warned else ""


def first_sentence(message):
    """Return it, without the name of who speaks."""
    return str(message).split(": ", 1)[1].split(". ")[0]


def paint(panels):
    """Make the lines and the words; return the function that gives them their data."""
    top, bottom, right, below = [panels[name] for name in ("state", "error", "ways", "words")]
    top.set(xlim=(0, END), ylim=(-1.9, 1.6), ylabel="$z_1$ and $z_2$")
    top.tick_params(labelbottom=False)
    bottom.set(xlim=(0, END), yscale="log", ylim=LIMITS, xlabel="$t$", ylabel="error")
    right.set(xscale="log", xlim=LIMITS, ylim=(3.4, -0.7), xlabel="relative error", yticks=[])
    right.set_title("gradient by four ways", loc="left")
    bottom.set(yticks=DECADES)
    right.set(xticks=DECADES)
    below.set_axis_off()
    growth = line(bottom, color="#cccccc", linewidth=9, label="growth")
    for_off, back_off = line(bottom, color="black"), line(bottom, "--", color=COLOURS[0])
    forwards = line(top, color="black", label="forwards")
    back = line(top, "--", color=COLOURS[0], label="back")
    top.legend(loc="lower left", ncols=2)
    bottom.legend(loc="upper right")
    bars = [line(right, color="#cccccc", linewidth=9) for _ in WAYS]
    marks = [line(right, color="black", markersize=14) for _ in WAYS]
    style = {"animated": True, "in_layout": False}
    beside = {"transform": right.get_yaxis_transform(), **style}
    names = [right.text(0.03, i - 0.25, "", **beside) for i in range(len(WAYS))]
    above, between, words = title(top), title(bottom), below.text(0, 1, "", va="top", **style)

    def draw(state, seen):
        t, z, off = seen.back[:, 0], seen.back[:, 1:3], seen.back[:, 3]
        forwards.set_data(*both(seen.t, seen.z))
        back.set_data(*both(t, z))
        for_off.set_data(seen.t, seen.off)
        back_off.set_data(t, off)
        growth.set_data(t, seen.back[:, 4])
        for i, (error, said) in enumerate(zip(seen.errors, seen.said)):
            place = np.nan_to_num(error, nan=LIMITS[1])
            bars[i].set_data([LIMITS[0], place], [i, i])
            marks[i].set_data([place], [i])
            marks[i].set_marker("X" if said else "o")
            number = "" if np.isnan(error) else f" {error:.1e}"
            names[i].set_text(f"{WAYS[i]}{number} {said.split(':')[0]}")
        above.set_text(f"k2 = {seen.theta[1]:.2f}; z(0) comes back off by {off[t == 0][0]:.2g}")
        between.set_text(f"z(3) is off by {seen.off[-1]:.2g}")
        told = [f"{way} {said}" for way, said in zip(WAYS, seen.said) if said]
        words.set_text(textwrap.fill("; ".join(told) or "no way warns", LETTERS))

    return draw


def both(t, z):
    """Return the two components of z against t as one line, whose pen is lifted between them."""
    return np.concatenate([t, [np.nan], t]), np.concatenate([z[:, 0], [np.nan], z[:, 1]])


def controls(stage):
    """Add the state that is kept, the rates and the tolerance."""
    where = lambda state, seen: (state.kept, seen.z[seen.t == state.kept][0, 0])
    stage.point("state", where, keep, color=COLOURS[0])
    stage.slider("k1", "k1 = {:.2f}", np.linspace(0.25, 4, 16))
    stage.slider("apart", "k2 - k1 = {:.2f}", np.linspace(0.25, 6, 24))
    stage.slider("tolerance", "tolerance {:.1e}", np.geomspace(1e-6, 1e-2, 17))


def keep(state, seen, t, y):
    """Keep the state at another time."""
    return state._replace(kept=min(max(t, 0.0), END))
