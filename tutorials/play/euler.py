"""Drag the start and the step on a slope field, and watch the error at the end.

Left, the field of chapter 1: short lines show its slopes, a black curve is the solution, a path
with dots is the method's. Ticks below are its steps, crosses the steps that were rejected. Right,
the error at the end against the step, on logarithmic axes, and a choice of four methods.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tinyode import solve
from tinyode.plotting import COLOURS
from tinyode.solvers.options import Options
from tinyode.solvers.runge_kutta import rk_step
from tinyode.solvers.step_size import Controller, error_norm
from tinyode.solvers.tableaus import find

from .stage import line, title

MOSAIC = {  # rows of panels and controls, and their heights
    "field field error": 5,
    "field field method": 1.2,
    "h tolerance method": 0.6,
}
END, TOP, LEAST = 5.0, 3.6, 1e-9  # of t, of y, and of the errors that are shown
FINE = np.linspace(0, END, 201)
METHODS = {"Euler": "euler", "midpoint": "midpoint", "rk4": "rk4", "adaptive": "heun_euler"}
NUMBERS = np.unique(np.geomspace(1, 160, 28).astype(int))  # of steps, for the error's curve
TOLERANCES = np.geomspace(1, 1e-3, 10)  # for the curve of the adaptive method


def f(t, y):
    """Return the slope of the population of chapter 1, in a climate with seasons."""
    return y * np.cos(t)


class State(NamedTuple):
    """What can be moved: the start, the step (of the adaptive method the first), the method."""

    t: float = 0.0
    y: float = 1.0
    h: float = 0.5
    tolerance: float = 0.1
    method: str = "Euler"


exact = lambda state, t: state.y * np.exp(np.sin(t) - np.sin(state.t))  # through the start


def compute(state):
    """Take the steps, and find the error for other steps, too."""
    span, end = END - state.t, exact(state, END)
    if state.method == "adaptive":
        tried, *walks = [adaptive(state, size) for size in (state.tolerance, *TOLERANCES)]
        steps = span / np.array([walk[:, 4].sum() for walk in walks])
        ends = np.array([walk[-1, 3] for walk in walks])
    else:
        times = np.linspace(state.t, END, int(np.ceil(span / state.h - 1e-9)) + 1)
        walk = np.stack([times, solve(f, state.y, times, method=METHODS[state.method]).y], axis=1)
        tried = np.concatenate([walk[:-1], walk[1:], np.ones((len(walk) - 1, 1))], axis=1)
        steps, ends = span / NUMBERS, ends_of_walks(state)
    accepted, rejected = tried[tried[:, 4] == 1], tried[tried[:, 4] == 0]
    seen = SimpleNamespace(tried=tried, accepted=accepted, rejected=rejected, steps=steps)
    seen.step, seen.error = span / len(accepted), abs(accepted[-1, 3] - end)
    seen.solution, seen.errors = exact(state, FINE), np.abs(ends - end)
    return seen


def adaptive(state, tolerance):
    """Return all steps that are tried, as rows (t, y, new t, new y, 1 if it is accepted)."""
    t, y, h, tableau, tried = state.t, np.array([state.y]), state.h, find("heun_euler"), []
    control = Controller(tableau, Options())
    while t < END:
        h = END - t if control.is_last(h, END - t) else h
        y1, _, error = rk_step(f, tableau, t, y, h)
        ratio = error_norm(error, y, y1, tolerance, tolerance)
        tried.append((t, y[0], t + h, y1[0], ratio <= 1))
        if ratio <= 1:
            t, y, h = t + h if t + h < END else END, y1, control.after_accepted(h, ratio)
        else:
            h = control.after_rejected(h, ratio)
    return np.array(tried)


def ends_of_walks(state):
    """Return the last states of walks with NUMBERS of steps; all walks take a step together."""
    tableau, h, y = find(METHODS[state.method]), (END - state.t) / NUMBERS, state.y + 0 * NUMBERS
    for i in range(NUMBERS[-1]):
        k = np.searchsorted(NUMBERS, i, side="right")  # the walks before it are at the end
        y[k:] = rk_step(f, tableau, state.t + i * h[k:], y[k:], h[k:])[0]
    return y


def paint(panels):
    """Make the lines; return the function that gives them their data."""
    field, curve = panels["field"], panels["error"]
    T, Y = np.meshgrid(np.linspace(0, END, 26), np.linspace(0, TOP, 19))
    length = np.hypot(1, f(T, Y))
    lines = {"color": "#bbbbbb", "width": 0.0025, "scale": 40, "headwidth": 0, "headlength": 0}
    field.quiver(T, Y, 1 / length, f(T, Y) / length, angles="xy", pivot="mid", **lines)
    field.set(xlim=(-0.1, END + 0.1), ylim=(-0.3, TOP), xlabel="$t$", ylabel="$y$")
    curve.set(xscale="log", yscale="log", xlim=(0.02, 4), ylim=(LEAST, 30), xlabel="step $h$")
    curve.set(yticks=10.0 ** np.arange(-9, 2, 3), ylabel="error at the end")
    solution = line(field, color="black", label="solution")
    walk = line(field, "o-", color=COLOURS[4], markersize=6, label="accepted")
    wrong = {"color": COLOURS[0], "linewidth": 1.5, "markersize": 10, "markeredgewidth": 2.5}
    rejected = line(field, "x--", label="rejected", **wrong)
    ticks = line(field, "|", color="black", markersize=14, markeredgewidth=2)
    wrong_ticks = line(field, "x", **wrong)
    legend = {"loc": "upper right", "ncols": 3, "columnspacing": 1, "handlelength": 1.2}
    field.legend(**legend, frameon=True, framealpha=1, edgecolor="white")
    errors = line(curve, color="black", linewidth=1.5)
    present = line(curve, "o:", color=COLOURS[4], markersize=13, markevery=[0])
    above, beside = title(field), title(curve)

    def draw(state, seen):
        solution.set_data(FINE, seen.solution)
        walk.set_data([state.t, *seen.accepted[:, 2]], [state.y, *seen.accepted[:, 3]])
        ticks.set_data(seen.accepted[:, 2], -0.15 + 0 * seen.accepted[:, 2])
        wrong_ticks.set_data(seen.rejected[:, 2], -0.15 + 0 * seen.rejected[:, 2])
        lifted = np.insert(seen.rejected[:, :4], [4, 4], np.nan, axis=1)  # the pen, between lines
        rejected.set_data(*lifted.reshape(-1, 2).T)
        errors.set_data(seen.steps, seen.errors)
        present.set_data([seen.step] * 2, [seen.error, LEAST])
        above.set_text(f"{state.method}: {len(seen.accepted)} steps, {len(seen.rejected)} rejected")
        beside.set_text(f"$h$ = {seen.step:.3f}, error {seen.error:.1e}")

    return draw


def controls(stage):
    """Add the start, the end of the first step, the method, and how fine it is."""
    stage.point("field", lambda state, seen: (state.t, state.y), start_at, color="black")
    first_end = lambda state, seen: seen.tried[0, 2:4]
    stage.point("field", first_end, step_to, marker="D", color=COLOURS[4])
    stage.choice("method", METHODS)
    stage.slider("h", "first step ≤ {:.3f}", np.geomspace(0.05, 2.5, 60))
    stage.slider("tolerance", "tolerance {:.3f} (adaptive)", np.geomspace(1e-3, 1, 60))


def start_at(state, seen, t, y):
    """Start elsewhere."""
    return state._replace(t=min(max(t, 0.0), END - 1), y=max(y, 0.1))


def step_to(state, seen, t, y):
    """Take steps of another length."""
    return state._replace(h=min(max(t - state.t, 0.05), 2.5))
