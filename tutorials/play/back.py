"""Solve two rates forwards and back, and compare the four ways to a gradient.

Above left, the field of two rates of chapter 10, solved forwards and back. The way back begins anew
at the round point, from the state that was found there on the way forwards. Below, how far both are
from the exact solution; a wide band is what exp(k2 times the time back) makes of the first error.
Right, the errors of dL/dtheta by four ways. A cross has a warning, or has given up.
"""

import re
import warnings
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tinyode import SolverError, compiled, grad, odeint, solve
from tinyode.plotting import COLOURS

from .stage import line, title

MOSAIC = {  # rows of panels and controls, and their heights
    "state state state state ways ways ways ways": 5,
    "error error error error ways ways ways ways": 4,
    "words words words words words words words words": 0.6,
    "k1 k1 . apart apart . digits digits": 0.6,
}
WAYS = "adjoint", "discrete", "interpolated", "forward"
START, END = np.array([1.0, 0.5]), 3.0
FINE = np.linspace(0, END, 61)
LIMITS, DECADES = (1e-10, 1e4), 10.0 ** np.arange(-9, 4, 3)  # of the errors that are shown
METHOD = {"method": "dop853", "max_steps": 2000}  # two thirds of the time of the chapter's dopri5


class State(NamedTuple):
    """What can be moved: the rates, minus the logarithm of the tolerance, where z is kept."""

    k1: float = 1.0
    apart: float = 4.0
    digits: float = 4.0
    kept: float = 0.0


@compiled
def f(t, z, theta):
    """Return the slopes of two rates, theta = (k1, k2)."""
    return np.stack([-theta[1] * (z[0] - np.cos(t)), theta[0] * (z[0] - z[1])])


def exact(theta, t):
    """Return the solution at times t, shape (len(t), 2); differentiable in theta."""
    k1, k2 = theta
    a, b = k2 * k2 / (1 + k2 * k2), k2 / (1 + k2 * k2)
    c, d = k1 * (k1 * a - b) / (1 + k1 * k1), k1 * (a + k1 * b) / (1 + k1 * k1)
    fast, slow = START[0] - a, k1 / (k1 - k2)
    z1 = a * np.cos(t) + b * np.sin(t) + fast * np.exp(-k2 * t)
    z2 = c * np.cos(t) + d * np.sin(t) + fast * slow * np.exp(-k2 * t)
    return np.stack([z1, z2 + (START[1] - c - fast * slow) * np.exp(-k1 * t)], axis=-1)


def compute(state):
    """Solve forwards and back, and take the gradient of L = z1(3) + z2(3) in each way."""
    theta = np.array([state.k1, state.k1 + state.apart])
    options = {"rtol": 10.0**-state.digits, "atol": 10.0 ** -(state.digits + 2), **METHOD}
    stops = np.unique([0.0, state.kept, END])

    def solved(start, t):
        z = solve(f, start, t, theta, **options).y
        return np.column_stack([t, z, np.abs(z - exact(theta, t)).max(axis=1)])

    ahead, back = solved(START, np.union1d(FINE, stops)), []
    for start, end in zip(stops, stops[1:]):
        known = ahead[(ahead[:, 0] >= start) & (ahead[:, 0] <= end)][::-1]
        piece = solved(known[0, 1:3], known[:, 0])
        growth = known[0, 3] * np.exp(theta[1] * (end - known[:, 0]))
        back += [np.column_stack([piece, growth]), np.full((1, 5), np.nan)]  # the pen is lifted
    right = grad(lambda theta: np.sum(exact(theta, END)))(theta)
    loss = lambda theta, way: np.sum(odeint(f, START, stops, theta, gradient=way, **options)[-1])
    slopes, said = zip(*[gradient(lambda p, way=way: loss(p, way), theta) for way in WAYS])
    seen = SimpleNamespace(ahead=ahead, back=np.concatenate(back), said=said, k2=theta[1])
    seen.errors = np.linalg.norm(slopes - right, axis=1) / np.linalg.norm(right)
    return seen


def gradient(loss, theta):
    """Return the gradient, NaN where there is none, and what the library says against it."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            slope, said = grad(loss)(theta), ""
        except SolverError as error:
            slope, said = np.full(2, np.nan), f"gives up: {error}"
    said = f"warns: {warned[0].message}" if warned else said
    return slope, re.sub(": .*, so ", ": ", said.split(". ")[0])  # what it means for the gradient


def paint(panels):
    """Make the lines and the words; return the function that gives them their data."""
    top, bottom, right, below = [panels[name] for name in ("state", "error", "ways", "words")]
    top.set(xlim=(-0.1, END + 0.1), ylim=(-1.9, 1.6), ylabel="$z_1$ and $z_2$")
    top.tick_params(labelbottom=False)
    bottom.set(xlim=top.get_xlim(), yscale="log", ylim=LIMITS, yticks=DECADES)
    bottom.set(xlabel="$t$", ylabel="error")
    right.set(xscale="log", xlim=LIMITS, ylim=(3.4, -0.7), xticks=DECADES, yticks=[])
    right.set(xlabel="relative error, theta = (k1, k2)", title="dL/dtheta by four ways")
    below.set_axis_off()
    wide, dot = {"color": "#cccccc", "linewidth": 9}, {"markeredgecolor": "k", "markersize": 14}
    growth = line(bottom, label="growth", **wide)
    ahead = [line(axes, color="black") for axes in (top, top, bottom)]
    back = [line(axes, "--", color=COLOURS[0]) for axes in (top, top, bottom)]
    top.legend([ahead[0], back[0]], ["forwards", "back"], loc="lower left", ncols=2)
    bottom.legend(loc="upper right")
    bars = [line(right, markevery=[1], markerfacecolor="k", **dot, **wide) for _ in WAYS]
    names = [right.text(DECADES[0], i - 0.3, way) for i, way in enumerate(WAYS)]
    numbers = [right.text(DECADES[2], name.get_position()[1], "", animated=True) for name in names]
    words = below.text(0, 0, "", animated=True, in_layout=False)
    above, between = title(top), title(bottom)

    def draw(state, seen):
        for table, lines in ((seen.ahead, ahead), (seen.back, [*back, growth])):
            for column, one in zip(table.T[1:], lines):
                one.set_data(table[:, 0], column)
        for i, (error, said) in enumerate(zip(seen.errors, seen.said)):
            bars[i].set_data([LIMITS[0], np.fmin(error, DECADES[-1])], [i, i])
            bars[i].set_marker("X" if said else "o")
            numbers[i].set_text("none" if np.isnan(error) else f"{error:.0e}")
        lost = seen.back[seen.back[:, 0] == 0, 3][0]
        above.set_text(f"z(0) back: off by {lost:.2g}")
        between.set_text(f"k2 = {seen.k2:.2f}; z(3): off by {seen.ahead[-1, 3]:.2g}")
        told = [f"{way} {said}" for way, said in zip(WAYS, seen.said) if said]
        words.set_text("; ".join(told or ["no way warns"]))

    return draw


def controls(stage):
    """Add the state that is kept, the rates and the tolerance."""
    stage.point(
        "state",
        lambda state, seen: seen.ahead[seen.ahead[:, 0] == state.kept][0, :2],
        keep,
        color=COLOURS[0],
    )
    stage.slider("k1", "k1 = {:.2f}", np.linspace(0.25, 2.5, 10))
    stage.slider("apart", "k2 - k1 = {:.2f}", np.linspace(0.25, 4.5, 18))
    stage.slider("digits", "rtol = 10^-{:g}", np.linspace(3, 6, 13))


def keep(state, seen, t, y):
    """Begin the way back anew at another time."""
    return state._replace(kept=min(max(t, 0.0), END))
