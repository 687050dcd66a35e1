"""Change the step of a difference quotient over sixteen decades, and watch the error's V.

Left, the function of chapter 3 under a microscope that magnifies more, the smaller the step h is:
black dots are the values that a computer finds, the dashed line is the tangent, and the thick line
with two round ends is the secant. With the smallest steps the values form a staircase. Right, the
relative error of the quotient against h, on logarithmic axes, is a black V with a round point at
the present h. A dotted line falls along its left arm, the rounding; a dashed line rises along its
right arm, the truncation. A diamond stands where their sum is least. Reverse mode is a level line
below.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tinyode import grad
from tinyode.plotting import COLOURS

from .stage import line, title

MOSAIC = {  # rows of panels and controls, and their heights
    "near near error error error": 4.5,
    "kind kind error error error": 1.5,
    "x x h h h": 0.6,
}
STEPS = 10.0 ** np.linspace(-16, 0, 129)
PARTS = np.linspace(-2, 2, 161)  # of the step: what the microscope shows
POINTS = np.arange(20, 81) / 100  # further right the rounding of x + h counts, too
LEAST, MOST = 1e-17, 30.0  # of the errors that are shown, as in chapter 3
U = 2.0**-53  # the relative error of a rounding
BLUE, _, _, _, RED, GREY = COLOURS


def wave(x):
    """Return the function of chapter 3."""
    return np.exp(x) * np.sin(3 * x)


def slope(x):
    """Return its derivative, found by hand."""
    return np.exp(x) * (np.sin(3 * x) + 3 * np.cos(3 * x))


class State(NamedTuple):
    """What can be moved: the step, the point, and which of two quotients it is."""

    h: float = STEPS[120].item()
    x: float = 0.7
    kind: str = "forward"


def quotient(state, h):
    """Return the difference quotient."""
    if state.kind == "forward":
        return (wave(state.x + h) - wave(state.x)) / h
    return (wave(state.x + h) - wave(state.x - h)) / (2 * h)


def compute(state):
    """Find the quotient and its error for every step, and the two parts of the error."""
    x, h, f, exact = state.x, state.h, wave(state.x), slope(state.x)
    seen = SimpleNamespace(quotient=quotient(state, h), exact=exact)
    seen.near = (wave(x + h * PARTS) - f) / h
    seen.start = 0 if state.kind == "forward" else -1  # of the secant, in steps from x
    seen.offset = (wave(x + seen.start * h) - f) / h
    seen.error = abs(seen.quotient / exact - 1)
    seen.errors = np.abs(quotient(state, STEPS) / exact - 1)
    seen.truncation, seen.rounding = parts(state, STEPS)
    if state.kind == "forward":
        seen.best = 2 * np.sqrt(U * abs(f / grad(grad(wave))(x)))
    else:
        seen.best = np.cbrt(3 * U * abs(f / grad(grad(grad(wave)))(x)))
    seen.least = sum(parts(state, seen.best))
    seen.reverse = abs(grad(wave)(x) / exact - 1)
    return seen


def parts(state, h):
    """Return the truncation and the rounding that chapter 3 expects, relative to the slope."""
    x, size = state.x, abs(slope(state.x))
    if state.kind == "forward":
        truncation, rounding = h / 2 * grad(grad(wave))(x), 2 * U * wave(x) / h
    else:
        truncation, rounding = h**2 / 6 * grad(grad(grad(wave)))(x), U * wave(x) / h
    return abs(truncation) / size, abs(rounding) / size


def paint(panels):
    """Make the lines; return the function that gives them their data."""
    left, right = panels["near"], panels["error"]
    left.set(xlim=(-2, 2), ylim=(-6, 6), yticks=range(-6, 7, 3), ylabel="computed $(f - f(x)) / h$")
    left.set_xticks([-1, 0, 1], ["$x - h$", "$x$", "$x + h$"])
    right.set(xscale="log", yscale="log", xlim=(5e-17, 2), ylim=(LEAST, MOST))
    right.set(xlabel="step $h$", ylabel="relative error", xticks=10.0 ** np.arange(-16, 1, 4))
    right.set_yticks(10.0 ** np.arange(-16, 1, 4))
    right.minorticks_off()
    found = line(left, ".", color="black", markersize=5)
    tangent = line(left, "--", color=BLUE)
    secant = line(left, "o-", color=RED, markersize=9, linewidth=3)
    errors = line(right, color="black", linewidth=1.5)
    truncation = line(right, "--", color=BLUE, label="truncation")
    rounding = line(right, ":", color=RED, linewidth=3, label="rounding")
    best = line(right, "D", color="black", fillstyle="none", markersize=12, markeredgewidth=2.5)
    reverse = line(right, "-.", color=GREY, label="reverse mode")
    right.legend(loc="upper center", labelspacing=0.25)
    texts = title(left), title(right)

    def draw(state, seen):
        found.set_data(PARTS, seen.near)
        tangent.set_data([-2, 2], [-2 * seen.exact, 2 * seen.exact])
        ends = np.array([seen.start, 1])
        secant.set_data(ends, seen.offset + (ends - seen.start) * seen.quotient)
        errors.set_data(STEPS, np.maximum(seen.errors, LEAST))
        truncation.set_data(STEPS, seen.truncation)
        rounding.set_data(STEPS, seen.rounding)
        best.set_data([seen.best], [seen.least])
        reverse.set_data(STEPS[[0, -1]], [max(seen.reverse, U)] * 2)  # it may be zero
        texts[0].set_text(f"{seen.quotient:.12f} secant ●–●\n{seen.exact:.12f} tangent - - -")
        texts[1].set_text(
            f"error {seen.error:.1e} with $h$ = {state.h:.1e}\n"
            f"◇ least expected with $h$ = {seen.best:.1e}"
        )

    return draw


def controls(stage):
    """Add the step, the point and the choice of a quotient."""
    where = lambda state, seen: (state.h, max(seen.error, LEAST))
    stage.point("error", where, step_to, color=RED)
    stage.choice("kind", ["forward", "central"])
    stage.slider("x", "point $x$ = {:.2f}", POINTS)
    stage.slider("h", "step $h$ = {:.1e}", STEPS)


def step_to(state, seen, h, error):
    """Take the step that is nearest to h."""
    return state._replace(h=STEPS[np.abs(np.log(STEPS / h)).argmin()].item())
