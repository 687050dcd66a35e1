"""The adjoint in the hand: push the state at any time, and compare the loss with L + a(t) push.

The pendulum and its four observations are those of chapter 5, section "Losses at many times".
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tinyode import compiled, solve, vjp
from tinyode.plotting import COLOURS

from .stage import line, round_up, title

WORDS = (
    "Above left, the angle of a pendulum against time, four observations as crosses, and a round"
    " point that takes hold of the state at one time and pushes it; a dashed line goes on from"
    " there. Below left, the two components of the adjoint, of which the first jumps at each"
    " observation. Right, the loss against the part of the push: a curve, and the straight line"
    " L + a(t) push, which touches it where there is no push."
)
MOSAIC = [
    ["angle", "angle", "angle", "loss", "loss"],
    ["adjoint", "adjoint", "adjoint", "loss", "loss"],
    ["theta1", "theta2", "push2", "descend", "descend"],
]
HEIGHTS = [5, 4, 0.6]

TIMES = np.array([0.0, 0.8, 1.5, 2.2, 3.0])
START = np.array([1.2, 0.0])
FINE = np.union1d(np.linspace(0, 3, 91), TIMES)
PARTS = np.linspace(-1.5, 1.5, 25)  # of the push
TOLERANCES = {"rtol": 1e-5, "atol": 1e-7}  # finer than a pixel, and 9 ms for all that is drawn
RATE = 0.3  # of the descent, as in exercise 5.2
BLUE, ORANGE, RED = COLOURS[0], COLOURS[1], COLOURS[4]


def f(t, z, theta):
    """Return the slope of the pendulum of chapter 5."""
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


def backward(t, s, theta):
    """Return the slope of (z, a, a_theta), by one vector-Jacobian product: P4 and P5."""
    slope, pullback = vjp(lambda z, theta: f(t, z, theta), s[:2], theta)
    return np.concatenate([slope, *pullback(-s[2:4])])


quick, quick_backward = compiled(f), compiled(backward)
OBSERVED = solve(quick, START, TIMES, np.array([3.0, 0.2]), **TOLERANCES).y[1:, 0]


class State(NamedTuple):
    """What can be moved: the parameters, the observed angles, and a push of the state at a time."""

    theta1: float = 2.0
    theta2: float = 0.7
    seen: tuple = tuple(OBSERVED.tolist())
    time: float = 1.0
    push1: float = 0.5
    push2: float = 0.0


def compute(state):
    """Solve forward, back through the jumps, and forward again from the pushed state."""
    theta, seen, time = np.array(state[:2]), np.array(state.seen), state.time
    times = np.union1d(FINE, time)
    z = solve(quick, START, times, theta, **TOLERANCES).y
    misses = z[np.searchsorted(times, TIMES[1:]), 0] - seen
    s, back_times, back = np.zeros(6), [], []
    for start, end, miss in list(zip(TIMES, TIMES[1:], misses))[::-1]:
        s[:2], s[2] = z[times == end][0], s[2] + miss  # the jump
        some = times[(times >= start) & (times <= end)][::-1]
        piece = solve(quick_backward, s, some, theta, **TOLERANCES).y
        if start <= time <= end:  # where it is both, before the jump: the next turn
            held = piece[some == time][0, :4]
        back_times, back, s = [*back_times, some], [*back, piece], piece[-1].copy()
    push, later = np.array([state.push1, state.push2]), TIMES[1:] >= time
    pushed = held[:2, None] + push[:, None] * [*PARTS, 1.0]
    ends = np.union1d(time, TIMES[1:][later])
    angles = solve(quick, pushed, ends, theta, **TOLERANCES).y[np.isin(ends, TIMES[1:]), 0]
    losses = 0.5 * np.sum((angles - seen[later, None]) ** 2, axis=0)
    losses += 0.5 * np.sum(misses[~later] ** 2)
    path_times, loss = times[times >= time], 0.5 * np.sum(misses**2)
    return SimpleNamespace(
        loss=loss,
        angle=z[np.isin(times, FINE), 0],  # at FINE
        back_times=np.concatenate(back_times),
        back=np.concatenate(back)[:, 2:4],  # a there
        gradient=s[4:],  # for theta
        a=held[2:],  # at the time of the push
        path_times=path_times,
        path=solve(quick, held[:2] + push, path_times, theta, **TOLERANCES).y[:, 0],
        losses=losses[:-1],  # for PARTS of the push
        pushed=losses[-1],  # for the whole push
        predicted=loss + held[2:] @ push,
    )


def paint(panels):
    """Make the lines; return the function that gives them their data."""
    top, bottom, right = panels["angle"], panels["adjoint"], panels["loss"]
    top.set(xlim=(0, 3), ylim=(-2.2, 2.2), ylabel="angle $z_1$")
    top.tick_params(labelbottom=False)
    bottom.set(xlim=(0, 3), xlabel="$t$", ylabel="adjoint")
    right.set(xlim=(-1.5, 1.5), xlabel="part of the push", ylabel="loss", xticks=[-1, 0, 1])
    for axes in (bottom, right):
        axes.yaxis.get_major_locator().set_params(nbins=4)
    angle = line(top, color="black", label="solved forward")
    path = line(top, "--", color=BLUE, label="pushed")
    push = line(top, ":", color=BLUE, linewidth=4)
    a1, a2 = line(bottom, color=BLUE, label="$a_1(t)$"), line(bottom, "--", color=ORANGE)
    a2.set_label("$a_2(t)$")
    held = line(bottom, "o:", color="black", markersize=9)
    for time in TIMES[1:]:
        bottom.axvline(time, color=RED, linewidth=1, linestyle=":")
    real = line(right, color="black", label="what results")
    tangent = line(right, "--", color=BLUE, label="$L + a(t)$ push")
    pushed = line(right, "o", color="black", markersize=12)
    predicted = line(right, "X", color=BLUE, markersize=13)
    for axes, place in ((top, "lower left"), (bottom, "upper right"), (right, "upper left")):
        axes.legend(loc=place, ncols=1 if axes is right else 2)
    titles = title(top), title(bottom), title(right)

    def draw(state, seen):
        angle.set_data(FINE, seen.angle)
        path.set_data(seen.path_times, seen.path)
        push.set_data([state.time] * 2, [seen.path[0] - state.push1, seen.path[0]])
        a1.set_data(seen.back_times, seen.back[:, 0])
        a2.set_data(seen.back_times, seen.back[:, 1])
        held.set_data([state.time] * 2, seen.a)
        real.set_data(PARTS, seen.losses)
        tangent.set_data(PARTS, seen.loss + PARTS * (seen.predicted - seen.loss))
        pushed.set_data([1], [seen.pushed])
        predicted.set_data([1], [seen.predicted])
        size = round_up(np.abs(seen.back).max())
        bottom.set_ylim(-size, size)
        right.set_ylim(0, round_up(seen.losses.max()))
        titles[0].set_text(f"loss $L$ = {seen.loss:.3f}; push at $t$ = {state.time:.2f}")
        titles[1].set_text("$dL/d\\theta$ = ({:.3f}, {:.3f})".format(*seen.gradient))
        titles[2].set_text(f"real {seen.pushed:.3f}; predicted {seen.predicted:.3f}")

    return draw


def controls(stage):
    """Add the push, the observations, the parameters and the descent."""
    stage.point("angle", lambda state, seen: (state.time, seen.path[0]), push_to, color=BLUE)
    for i in range(4):
        where = lambda state, seen, i=i: (TIMES[i + 1], state.seen[i])
        moved = lambda state, seen, x, y, i=i: observe(state, i, y)
        stage.point("angle", where, moved, marker="X", color=RED)
    stage.slider("theta1", "$\\theta_1$ = {:.2f}", np.linspace(0.5, 5, 91))
    stage.slider("theta2", "$\\theta_2$ = {:.2f}", np.linspace(-1, 2, 61))
    stage.slider("push2", "push of $z_2$: {:.2f}", np.linspace(-1, 1, 41))
    stage.button("descend", "a step of gradient descent", descend)


def push_to(state, seen, t, angle):
    """Push the angle to another one, at time t."""
    t = min(t, 2.99)
    return state._replace(time=t, push1=angle - float(np.interp(t, FINE, seen.angle)))


def observe(state, i, angle):
    """Move observation i up or down."""
    return state._replace(seen=(*state.seen[:i], angle, *state.seen[i + 1 :]))


def descend(state, seen):
    """Take a step of gradient descent."""
    theta = np.array(state[:2]) - RATE * seen.gradient
    return state._replace(theta1=float(theta[0]), theta2=float(theta[1]))
