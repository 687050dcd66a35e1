"""Push the state of a pendulum at any time, and compare the loss with L + a(t) push.

Above left, the pendulum of chapter 5: its angle against time, four observations as crosses, and a
round point that pushes the state at one time; a dashed line goes on from there. Below, the adjoint,
which jumps at each observation. Right, the loss against the push, and its tangent L + a(t) push.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tinyode import compiled, solve, vjp
from tinyode.plotting import COLOURS

from .stage import line, scale, title

MOSAIC = {  # rows of panels and controls, and their heights
    "angle angle angle loss loss": 5,
    "adjoint adjoint adjoint loss loss": 4,
    "theta1 theta2 push2 descend descend": 0.6,
}
START, TIMES = np.array([1.2, 0.0]), np.array([0.0, 0.8, 1.5, 2.2, 3.0])
FINE = np.union1d(np.linspace(0, 3, 91), TIMES)
PARTS, WHOLE = np.linspace(-0.5, 1.5, 21), 15  # of the push; PARTS[WHOLE] is 1
LATEST = 2.99  # a push at the very end moves nothing any more
TOLERANCES = {"rtol": 1e-5, "atol": 1e-7}  # finer than a pixel, and 9 ms for all that is drawn
RATE = 0.3  # of the descent, as in exercise 5.2
BLUE, ORANGE, _, _, RED, _ = COLOURS


@compiled
def f(t, z, theta):
    """Return the slope of the pendulum of chapter 5."""
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


@compiled
def backward(t, s, theta):
    """Return the slope of (z, a, a_theta), by one vector-Jacobian product: P4 and P5."""
    slope, pullback = vjp(lambda z, theta: f(t, z, theta), s[:2], theta)
    return np.concatenate([slope, *pullback(-s[2:4])])


OBSERVED = solve(f, START, TIMES, np.array([3.0, 0.2]), **TOLERANCES).y[1:, 0]


class State(NamedTuple):
    """What can be moved: the parameters, the observed angles, and a push of the state at a time."""

    theta1: float = 2.0
    theta2: float = 0.7
    angles: tuple = tuple(OBSERVED.tolist())
    time: float = 1.0
    push1: float = 0.5
    push2: float = 0.0


def compute(state):
    """Solve forward, back through the jumps, and forward again from the pushed state."""
    theta, seen, time = np.array(state[:2]), np.array(state.angles), state.time
    times = np.union1d(FINE, time)
    z = solve(f, START, times, theta, **TOLERANCES).y
    misses = z[np.searchsorted(times, TIMES[1:]), 0] - seen
    s, back = np.zeros(6), [np.array([[TIMES[-1], *np.zeros(6)]])]  # later, a is zero
    for start, end, miss in list(zip(TIMES, TIMES[1:], misses))[::-1]:
        s[:2], s[2] = z[times == end][0], s[2] + miss  # the jump
        some = times[(times >= start) & (times <= end)][::-1]
        piece = solve(backward, s, some, theta, **TOLERANCES).y
        back.append(np.column_stack([some, piece]))
        s = piece[-1].copy()
    back = np.concatenate(back)
    held = back[back[:, 0] == time][-1, 1:5]  # at an observation before the jump, which comes last
    push, later = np.array([state.push1, state.push2]), TIMES[1:] >= time
    ends, pushed = np.union1d(time, TIMES[1:][later]), held[:2, None] + push[:, None] * PARTS
    angles = solve(f, pushed, ends, theta, **TOLERANCES).y[np.isin(ends, TIMES[1:]), 0]
    losses = np.sum((angles - seen[later, None]) ** 2, axis=0) + np.sum(misses[~later] ** 2)
    loss, after, angle = 0.5 * np.sum(misses**2), times[times >= time], z[np.isin(times, FINE), 0]
    path = solve(f, held[:2] + push, after, theta, **TOLERANCES).y[:, 0]
    path = ([time, *after], [held[0], *path])
    drawn = SimpleNamespace(loss=loss, angle=angle, path=path, back=back, losses=losses / 2)
    drawn.a, drawn.gradient, drawn.tangent = held[2:], s[4:], loss + PARTS * (held[2:] @ push)
    return drawn


def paint(panels):
    """Make the lines; return the function that gives them their data."""
    top, bottom, right = panels["angle"], panels["adjoint"], panels["loss"]
    top.set(xlim=(0, 3), xticks=TIMES, ylim=(-2.2, 2.2), ylabel="angle $z_1$")
    bottom.set(xlim=(0, 3), xticks=TIMES, xlabel="$t$", ylabel="adjoint")
    top.tick_params(labelbottom=False)
    right.set(xlim=(-0.5, 1.5), xlabel="part of the push", ylabel="loss", xticks=[0, 1])
    angle = line(top, color="black", label="solved forward")
    path = line(top, "--", color=BLUE, label="pushed")
    a1 = line(bottom, color=BLUE, label="$a_1(t)$", clip_on=False)  # the last jump is at the edge
    a2 = line(bottom, "--", color=ORANGE, label="$a_2(t)$")
    held = line(bottom, "o:", color="black", markersize=9)
    whole = {"markevery": [WHOLE], "markersize": 13}
    real = line(right, "o-", color="black", label="what results", **whole)
    tangent = line(right, "X--", color=BLUE, label="$L + a(t)$ push", **whole)
    for axes, place in ((top, "lower left"), (bottom, "upper right"), (right, "upper left")):
        axes.legend(loc=place)
    fit_adjoint, fit_loss = scale(bottom, -1), scale(right, -0.5)
    above, between, beside = title(top), title(bottom), title(right)

    def draw(state, seen):
        angle.set_data(FINE, seen.angle)
        path.set_data(*seen.path)
        a1.set_data(seen.back[:, 0], seen.back[:, 3])
        a2.set_data(seen.back[:, 0], seen.back[:, 4])
        held.set_data([state.time] * 2, seen.a)
        real.set_data(PARTS, seen.losses)
        tangent.set_data(PARTS, seen.tangent)
        fit_adjoint(np.abs(seen.back[:, 3:5]).max())
        fit_loss(max(seen.losses.max(), -2 * seen.tangent.min()))
        above.set_text(f"loss L = {seen.loss:.3f}; push at t = {state.time:.2f}")
        between.set_text("dL/dθ = ({:.3f}, {:.3f})".format(*seen.gradient))
        beside.set_text(f"real {seen.losses[WHOLE]:.3f}; predicted {seen.tangent[WHOLE]:.3f}")

    return draw


def controls(stage):
    """Add the push, the observations, the parameters and the descent."""
    stage.point("angle", lambda _, seen: (seen.path[0][1], seen.path[1][1]), push_to)
    for i in range(4):
        stage.point("angle", *observation(i), marker="X", color=RED)
    stage.slider("theta1", "θ₁ = {:.2f}", np.linspace(0.5, 5, 91))
    stage.slider("theta2", "θ₂ = {:.2f}", np.linspace(-1, 2, 61))
    stage.slider("push2", "push of z₂: {:.2f}", np.linspace(-1, 1, 41))
    stage.button("descend", "a step of gradient descent", descend)


def push_to(state, seen, t, angle):
    """Push the angle to another one, at time t."""
    push = angle - float(np.interp(t, FINE, seen.angle))
    return state._replace(time=min(max(t, 0.0), LATEST), push1=push)


def observation(i):
    """Return where observation i is, and what moves it up and down."""
    where = lambda state, seen: (TIMES[i + 1], state.angles[i])
    angles = lambda state, y: (*state.angles[:i], y, *state.angles[i + 1 :])
    return where, lambda state, seen, x, y: state._replace(angles=angles(state, y))


def descend(state, seen):
    """Take a step of gradient descent."""
    theta = np.array(state[:2]) - RATE * seen.gradient
    return state._replace(theta1=float(theta[0]), theta2=float(theta[1]))
