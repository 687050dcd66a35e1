"""The adjoint in the hand: push the state at any time, and compare the loss with L + a(t) push.

The pendulum and its four observations are those of chapter 5, section "Losses at many times".
"""

from typing import NamedTuple

import numpy as np

from tinyode import compiled, solve, vjp
from tinyode.plotting import COLOURS

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


class Seen(NamedTuple):
    """What follows from it; a row of ``back`` is (z, a, a_theta), the last row at time 0."""

    angle: np.ndarray  # at FINE
    loss: float
    back_times: np.ndarray
    back: np.ndarray
    held: np.ndarray  # (z, a) at the time of the push
    path_times: np.ndarray
    path: np.ndarray  # the pushed angle
    losses: np.ndarray  # for PARTS of the push
    pushed: float  # for the whole push
    predicted: float  # L + a(t) push


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
    past = 0.5 * np.sum(misses[~later] ** 2)
    losses = past + 0.5 * np.sum((angles - seen[later, None]) ** 2, axis=0)
    path_times, value = times[times >= time], 0.5 * np.sum(misses**2)
    path = solve(quick, held[:2] + push, path_times, theta, **TOLERANCES).y[:, 0]
    angle, predicted = z[np.isin(times, FINE), 0], value + held[2:] @ push
    back_times, back = np.concatenate(back_times), np.concatenate(back)
    drawn = angle, value, back_times, back, held, path_times, path
    return Seen(*drawn, losses[:-1], losses[-1], predicted)


def paint(panels):
    """Make the lines; return the function that gives them their data."""
    top, bottom, right = panels["angle"], panels["adjoint"], panels["loss"]
    top.set(xlim=(-0.05, 3.05), ylim=(-2.2, 2.2), ylabel="angle $z_1$")
    bottom.set(xlim=(-0.05, 3.05), xlabel="$t$", ylabel="adjoint")
    right.set(xlim=(-1.5, 1.5), xlabel="part of the push", ylabel="loss")
    moves = {"animated": True}
    (angle,) = top.plot([], [], color="black", label="solved forward", **moves)
    (path,) = top.plot([], [], "--", color=BLUE, label="pushed", **moves)
    (push,) = top.plot([], [], ":", color=BLUE, linewidth=4, **moves)
    top.legend(loc="lower left", ncols=2)
    a1, a2 = [
        bottom.plot([], [], style, color=colour, label=f"$a_{i}(t)$", **moves)[0]
        for i, style, colour in ((1, "-", BLUE), (2, "--", ORANGE))
    ]
    (held,) = bottom.plot([], [], "o", color="black", markersize=9, **moves)
    now = [axes.axvline(0, color="black", linewidth=1, **moves) for axes in (top, bottom)]
    for time in TIMES[1:]:
        bottom.axvline(time, color=RED, linewidth=1, linestyle=":")
    bottom.legend(loc="upper right", ncols=2)
    (real,) = right.plot([], [], color="black", label="what results", **moves)
    (line,) = right.plot([], [], "--", color=BLUE, label="$L + a(t)$ push", **moves)
    (pushed,) = right.plot([], [], "o", color="black", markersize=12, **moves)
    (predicted,) = right.plot([], [], "X", color=BLUE, markersize=13, **moves)
    right.legend(loc="lower left")
    titles = [axes.set_title(" ", loc="left", **moves) for axes in (top, bottom, right)]

    def draw(state, seen):
        angle.set_data(FINE, seen.angle)
        path.set_data(seen.path_times, seen.path)
        push.set_data([state.time] * 2, [seen.held[0], seen.path[0]])
        for line_of_a, column in ((a1, 2), (a2, 3)):
            line_of_a.set_data(seen.back_times, seen.back[:, column])
        held.set_data([state.time] * 2, seen.held[2:])
        for line_now in now:
            line_now.set_xdata([state.time] * 2)
        real.set_data(PARTS, seen.losses)
        line.set_data(PARTS, seen.loss + PARTS * (seen.predicted - seen.loss))
        pushed.set_data([1], [seen.pushed])
        predicted.set_data([1], [seen.predicted])
        size = round_up(np.abs(seen.back[:, 2:4]).max())
        bottom.set_ylim(-size, size)
        right.set_ylim(0, round_up(max(seen.losses.max(), seen.pushed)))
        titles[0].set_text(f"loss $L$ = {seen.loss:.3f}; push at $t$ = {state.time:.2f}")
        titles[1].set_text("$dL/d\\theta$ = ({:.3f}, {:.3f})".format(*seen.back[-1, 4:]))
        titles[2].set_text(f"real {seen.pushed:.3f}; predicted {seen.predicted:.3f}")

    return draw


def round_up(size):
    """Return the next of 1, 2, 4, 8, ...: limits that seldom change, so that nothing flickers."""
    return 2.0 ** np.ceil(np.log2(max(size, 1)))


def controls(stage):
    """Add the push, the observations, the parameters and the descent."""
    stage.point("angle", pushed_point, push_to, markersize=15, color=BLUE)
    for i in range(4):
        stage.point("angle", *observation(i), marker="X", markersize=14, color=RED)
    stage.slider("theta1", "$\\theta_1$ = {:.2f}", np.linspace(0.5, 5, 91))
    stage.slider("theta2", "$\\theta_2$ = {:.2f}", np.linspace(-1, 2, 61))
    stage.slider("push2", "push of $z_2$: {:.2f}", np.linspace(-1, 1, 41))
    stage.button("descend", "a step of gradient descent", descend)


def pushed_point(state):
    """Return where the pushed state is."""
    before = solve(quick, START, [0.0, state.time], np.array(state[:2]), **TOLERANCES).y[-1]
    return state.time, before[0] + state.push1


def push_to(state, x, y):
    """Push the angle to y at time x."""
    moved = state._replace(time=float(np.clip(x, 0.02, 2.98)), push1=0.0)
    push = np.clip(y, -2.1, 2.1) - pushed_point(moved)[1]
    return moved._replace(push1=float(push))


def observation(i):
    """Return where observation i is, and the function that moves it up and down."""

    def where(state):
        return TIMES[i + 1], state.seen[i]

    def moved(state, x, y):
        seen = list(state.seen)
        seen[i] = float(np.clip(y, -2.1, 2.1))
        return state._replace(seen=tuple(seen))

    return where, moved


def descend(state):
    """Take a step of gradient descent."""
    theta = np.array(state[:2]) - RATE * compute(state).back[-1, 4:]
    return state._replace(theta1=float(theta[0]), theta2=float(theta[1]))
