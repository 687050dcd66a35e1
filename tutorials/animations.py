"""Pictures that chapters show and do not draw: GIFs that move, and the scenes to play with.

``python tutorials/animations.py`` makes all of them, or those whose names follow: ``01_euler_walks
play_adjoint``. A file that already shows the same is left alone. A GIF is 700 pixels wide, smaller
than 1 MB, has at most 60 frames, and says in words, too, what its colours say.
"""

import sys

import numpy as np

from tinyode import grad, solve, vjp
from tinyode.plotting import COLOURS, draw, panels, save_animation

RED, BLUE, GREEN, GREY = COLOURS[4], COLOURS[0], COLOURS[2], COLOURS[5]
WORDS = {  # for those who cannot see them; the chapters use the same
    "01_euler_walks": "Euler's method in eight steps. At each step it looks at the slope where it"
    " stands, walks along the tangent, and looks again. Each step ends on a neighbouring curve,"
    " and the walk drifts away from the solution.",
    "02_depth_to_flow": "Five inputs go through the same residual block with 1, 2, 4, up to 64"
    " layers, each of which adds a smaller step. The corners of the five paths become finer, and"
    " the paths become the curves of the ODE.",
    "03_cotangents_run_back": "The graph of L = (a b + tanh a)^2. First the values run forward,"
    " box by box. Then the cotangents run back, and the input a, which is used twice, adds up what"
    " comes from both of its uses.",
    "05_adjoint_runs_back": "Above, the angle of a pendulum is solved forward and misses four"
    " observations. Below, the adjoint is solved backward from the last time, and at each"
    " observation its first component jumps by the miss.",
    "08_grid_carried": "A square grid is carried along by a flow, which bends and shrinks it. The"
    " area of a patch of it falls, and the integral of the trace of the Jacobian gives the same"
    " number.",
}


def settled(figure):
    """Lay the figure out once, so that it does not move from frame to frame."""
    figure.canvas.draw()
    figure.set_layout_engine("none")


def euler_walks():
    """Look at the slope, walk along the tangent, look again."""
    f, exact, n, y = lambda t, y: y * np.cos(t), lambda t: np.exp(np.sin(t)), 8, 1.0
    ts, ys, h = np.linspace(0, 5, n + 1), [1.0], 5 / n
    for t in ts[:-1]:
        y = y + h * f(t, y)
        ys.append(y)
    figure, axes = panels(width=7, height=4.6)
    T, Y = np.meshgrid(np.linspace(0, 5, 21), np.linspace(0, 4, 17))
    length = np.hypot(1, f(T, Y))
    lines = {"color": "#bbbbbb", "width": 0.003, "scale": 32, "pivot": "mid"}
    heads = {"headwidth": 0, "headlength": 0, "headaxislength": 0}
    axes.quiver(T, Y, 1 / length, f(T, Y) / length, angles="xy", **lines, **heads)
    fine = np.linspace(0, 5, 200)
    axes.plot(fine, exact(fine), color="black", label="solution")
    (tangent,) = axes.plot([], [], "--", color=BLUE, label="tangent where Euler stands")
    (walked,) = axes.plot([], [], "o-", color=RED, markersize=7, label="Euler's walk")
    axes.set(xlabel="$t$", ylabel="$y$", xlim=(-0.1, 5.3), ylim=(0, 4))
    axes.set_title("Look", loc="left")
    axes.legend(loc="upper right", frameon=True, framealpha=1, edgecolor="white")
    settled(figure)

    def update(frame):
        k, part = frame
        if k == n:
            tangent.set_data([], [])
            walked.set_data(ts, ys)
            miss = exact(5.0) - ys[-1]
            side = "below" if miss > 0 else "above"
            says = f"After {n} steps: {abs(miss):.2f} {side} the solution"
        else:
            slope = f(ts[k], ys[k])
            around = np.array([-0.4, 1.6]) * h
            tangent.set_data(ts[k] + around, ys[k] + slope * around)
            end = [ts[k] + part * h], [ys[k] + part * h * slope]
            walked.set_data([*ts[: k + 1], *end[0]], [*ys[: k + 1], *end[1]])
            says = f"Walk: a step of {h:.3f} along the tangent"
            if part == 0:
                says = f"Look: at $t$ = {ts[k]:.2f}, $y$ = {ys[k]:.2f} the slope is {slope:.2f}"
        axes.set_title(says, loc="left")

    looks = [0.0, 0.0, 0.0]
    frames = [(k, part) for k in range(n) for part in [*looks, 0.25, 0.5, 0.75, 1.0]]
    return figure, update, [*frames, (n, 0.0)], {"seconds": 0.25, "pause": 5.0}


def depth_to_flow():
    """The paths through 1, 2, 4, ..., 64 layers with the same block."""
    A = np.array([[-0.6, 1.7], [-1.7, -0.6]])
    G = lambda t, z: 2.0 * np.tanh(z @ A)
    angle = 2 * np.pi * np.arange(5) / 5 + 0.3
    z0 = np.stack([1.5 * np.cos(angle), np.sin(angle)], axis=1) + np.array([0.2, 0.0])
    s, depths = np.linspace(0, 1, 129), [1, 2, 4, 8, 16, 32, 64]
    flow = solve(G, z0, s, rtol=1e-9, atol=1e-9).y
    layers = {n: solve(G, z0, np.linspace(0, 1, n + 1), method="euler").y for n in depths}

    def path(n):
        """Return the points of the polygons at the 129 places of s."""
        at = np.linspace(0, 1, n + 1)
        flat = layers[n].reshape(n + 1, -1)
        return np.stack([np.interp(s, at, x) for x in flat.T], axis=1).reshape(129, 5, 2)

    figure, axes = panels(width=7, height=5.2)
    black = {"color": "black", "linewidth": 1.2, "zorder": 5}
    axes.plot(*flow[:, :1].T.reshape(2, -1), label="the ODE", **black)
    for i in range(1, 5):
        axes.plot(flow[:, i, 0], flow[:, i, 1], **black)
    axes.plot(z0[:, 0], z0[:, 1], "s", color="black", markersize=9, label="inputs")
    lines = [axes.plot([], [], color=RED)[0] for _ in range(5)]
    (dots,) = axes.plot([], [], "o", color=RED, markersize=6, label="after a layer")
    axes.set(xlabel="$z_1$", ylabel="$z_2$", xlim=(-2.9, 4.5), ylim=(-2.8, 2.8), aspect="equal")
    axes.set_title("1 layer", loc="left")
    axes.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="white")
    settled(figure)

    def update(frame):
        k, part = frame
        n = depths[k]
        points = path(n) if part == 0 else (1 - part) * path(n) + part * path(depths[k + 1])
        for i, line in enumerate(lines):
            line.set_data(points[:, i, 0], points[:, i, 1])
        corners = layers[n][1:].reshape(-1, 2) if part == 0 else np.zeros((0, 2))
        dots.set_data(corners[:, 0], corners[:, 1])
        dots.set_markersize(8 if n < 8 else 5)
        if part == 0:
            off = np.abs(layers[n][-1] - flow[-1]).max()
            said = "1 layer adds" if n == 1 else f"{n} layers, each adds"
            axes.set_title(f"{said} $G(z)$ / {n}:  {off:.2f} from the ODE at the end", loc="left")

    moves = [(k, part) for k in range(7) for part in [*[0.0] * 9, *np.linspace(0, 1, 7)[1:-1]]]
    return figure, update, moves[:-5], {"seconds": 0.14, "pause": 4.0}


def cotangents_run_back():
    """Values forward through the graph of chapter 3, then cotangents back."""
    f, a, b = lambda a, b: (a * b + np.tanh(a)) ** 2, 0.5, 2.0
    figure = draw(f, a, b, vjp=True)
    (axes,) = figure.axes
    width, height = figure.get_size_inches()
    low, high = axes.get_ylim()
    figure.set_size_inches(width, height + 0.3)
    axes.set_ylim(low, high + 0.3)
    caption = axes.text(0.15, high, "", fontsize=14)
    known = {artist.get_gid(): artist for artist in figure.findobj() if artist.get_gid()}
    # what a has when the cotangent has come back through tanh, and not yet through a * b
    first = grad(lambda x: (a * b + np.tanh(x)) ** 2)(a)
    total = known["cotangent a"].get_text()
    stages = [
        ("The inputs have values", ["value a", "value b"], []),
        ("Forward: a * b", ["forward a v1", "forward b v1", "value v1"], ["v1"]),
        ("Forward: tanh(a); so a is used twice", ["forward a v2", "value v2"], ["v2"]),
        ("Forward: the sum", ["forward v1 v3", "forward v2 v3", "value v3"], ["v3"]),
        ("Forward: the square, which is L", ["forward v3 v4", "value v4"], ["v4"]),
        ("Back: begin with dL/dL = 1", ["cotangent v4"], ["v4"]),
        ("Back through the square: times 2 v3", ["back v4 v3", "cotangent v3"], ["v3"]),
        (
            "Back through the sum: both operands get all of it",
            ["back v3 v1", "back v3 v2", "cotangent v1", "cotangent v2"],
            ["v1", "v2"],
        ),
        ("Back through tanh: times 1 - v2²", ["back v2 a", "cotangent a"], ["a"]),
        ("Back through a * b: times a for b", ["back v1 b", "cotangent b"], ["b"]),
        ("... and times b for a, where it is added", ["back v1 a"], ["a"]),
        ("Both inputs have their gradient, in one walk back", [], []),
    ]
    moving = {gid for _, gids, _ in stages for gid in gids}

    def update(stage):
        shown = {gid for _, gids, _ in stages[: stage + 1] for gid in gids}
        says, _, active = stages[stage]
        caption.set_text(says)
        for gid in moving:
            known[gid].set_visible(gid in shown)
        for gid, artist in known.items():
            if gid.startswith("box "):
                fill = "#eef3f8" if gid in ("box a", "box b") else "white"
                artist.set_facecolor("#fff0c2" if gid[4:] in active else fill)
        added = "back v1 a" in shown
        known["cotangent a"].set_text(total if added else f"← {first:.4g}")

    frames = [stage for stage in range(len(stages)) for _ in range(2)]
    return figure, update, frames, {"seconds": 0.9, "pause": 5.0}


def pendulum():
    """Solve the state of the pendulum forward, and its adjoint back.

    Return the times of the observations, what was seen, finer times, the angles there, and where
    among them the observations are. Then the walk back, with the points before a jump too: times,
    adjoints, and the places of the jumps with the number of the observation.
    """
    theta, z0, times = np.array([2.0, 0.7]), np.array([1.2, 0.0]), np.array([0, 0.8, 1.5, 2.2, 3])
    tight = {"rtol": 1e-9, "atol": 1e-9}

    def f(t, z, theta):
        rhs = -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)
        return np.array([z[1], rhs])

    seen = solve(f, z0, times, np.array([3.0, 0.2]), **tight).y[:, 0]
    fine = np.linspace(0, 3, 61)
    state = solve(f, z0, fine, theta, **tight).y[:, 0]
    at = [int(np.argmin(np.abs(fine - time))) for time in times]

    def backward(t, s):
        f_z, pullback = vjp(lambda z: f(t, z, theta), s[0])
        return f_z, pullback(-s[1])[0]

    a, ends = np.zeros(2), solve(f, z0, times, theta, **tight).y
    walked, jumps = [(3.0, a)], {}
    for i in range(4, 0, -1):
        a = a + np.array([state[at[i]] - seen[i], 0.0])
        jumps[len(walked)] = i
        walked.append((times[i], a))
        back = fine[at[i - 1] : at[i] + 1][::-1]
        s = solve(backward, (ends[i], a), back, **tight).y[1]
        walked += list(zip(back[1:], s[1:]))
        a = s[-1]
    t_back, a_back = np.array([t for t, _ in walked]), np.array([a for _, a in walked])
    return times, seen, fine, state, at, t_back, a_back, jumps


def adjoint_runs_back():
    """The pendulum of chapter 5: the state forward, the adjoint back, with jumps."""
    times, seen, fine, state, at, t_back, a_back, jumps = pendulum()
    figure, (top, bottom) = panels(1, 2, width=7, height=5.6, sharex=True)
    (solved,) = top.plot([], [], color="black", label="angle $z_1$, forward")
    cross = {"color": RED, "markersize": 11, "markeredgewidth": 3}
    top.plot(times[1:], seen[1:], "x", label="observed", **cross)
    (now,) = top.plot([], [], "o", color="black", markersize=9)
    (miss,) = top.plot([], [], ":", color=RED, linewidth=3, label="miss")
    top.set(ylabel="state", ylim=(-2.1, 1.6))
    top.legend(loc="lower left", fontsize=11, ncols=3, columnspacing=1)
    lines = [
        bottom.plot([], [], style, color=colour, label=f"$a_{j + 1}$, backward")[0]
        for j, (style, colour) in enumerate((("-", BLUE), ("--", COLOURS[1])))
    ]
    (heads,) = bottom.plot([], [], "o", color="black", markersize=9)
    for time in times[1:]:
        bottom.axvline(time, color=RED, linewidth=1, linestyle=":")
    bottom.set(xlabel="$t$", ylabel="adjoint", xlim=(-0.1, 3.1), ylim=(-2.1, 1.8))
    bottom.legend(loc="lower left", fontsize=11, ncols=2, frameon=True, edgecolor="white")
    top.set_title("Forward", loc="left")
    settled(figure)

    def update(frame):
        way, k = frame
        here = fine[k] if way == "forward" else t_back[k]
        until = k + 1 if way == "forward" else len(fine)
        solved.set_data(fine[:until], state[:until])
        now.set_data([here], [np.interp(here, fine, state)])
        miss.set_data([], [])
        if way == "forward":
            top.set_title(f"Forward: solve the state, $t$ = {here:.2f}", loc="left")
            return
        for j, line in enumerate(lines):
            line.set_data(_with_gaps(t_back, a_back[:, j], jumps, k + 1))
        heads.set_data([here, here], a_back[k])
        i = jumps.get(k)
        if i:
            miss.set_data([here, here], [seen[i], state[at[i]]])
            says = f"Jump: $a_1$ gets the miss, {state[at[i]] - seen[i]:+.2f}, at $t$ = {here:.2f}"
        elif k == len(t_back) - 1:
            says = f"At $t_0$: dL/dz = ({a_back[k, 0]:.2f}, {a_back[k, 1]:.2f})"
        else:
            says = f"Back: solve the adjoint, $t$ = {here:.2f}"
        top.set_title(says, loc="left")

    frames = [("forward", k) for k in range(0, 61, 4)] + [("forward", 60)] * 3
    steps = [k for k in range(1, len(t_back)) if k in jumps or (k - 1) % 2 == 0]
    for k in [*steps, len(t_back) - 1]:
        frames += [("back", k)] * (6 if k in jumps else 1)
    return figure, update, frames, {"seconds": 0.2, "pause": 5.0}


def _with_gaps(t, a, jumps, until):
    """Return a curve up to a point, cut where it jumps."""
    inside = [k for k in jumps if k < until]
    return np.insert(t[:until], inside, np.nan), np.insert(a[:until], inside, np.nan)


def grid_carried():
    """A grid and a patch of it, carried by a flow; the area two ways."""

    def f(t, z):
        x, y = z[..., 0], z[..., 1]
        rate = -0.5 * np.exp(-((x - 0.6) ** 2) - y**2)
        return np.stack([1.1 * np.sin(y) + rate * x, -0.9 * np.sin(x) + rate * y], axis=-1)

    def trace(z):
        """The sum of the two partial derivatives of f, by hand."""
        x, y = z[..., 0], z[..., 1]
        rate = -0.5 * np.exp(-((x - 0.6) ** 2) - y**2)
        return rate * (2 - 2 * (x - 0.6) * x - 2 * y * y)

    lines, s, times = np.linspace(-2, 2, 9), np.linspace(-2, 2, 61), np.linspace(0, 1.5, 31)
    across = np.stack(np.meshgrid(s, lines), axis=-1)
    grid = np.concatenate([across, across[..., ::-1]])  # lines along x, then lines along y
    u = (np.arange(30) + 0.5) / 30  # midpoints of a patch of two cells by two
    patch = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)
    edge = np.linspace(0, 1, 41)[:-1]
    zero = 0 * edge
    sides = [(edge, zero), (zero + 1, edge), (1 - edge, zero + 1), (zero, 1 - edge)]
    border = np.concatenate([np.stack(side, axis=1) for side in sides])
    tight = {"rtol": 1e-8, "atol": 1e-8}
    grids = solve(f, grid, times, **tight).y
    borders = solve(f, border, times, **tight).y
    with_trace = lambda t, s: (f(t, s[0]), trace(s[0]))
    logs = solve(with_trace, (patch, np.zeros(len(patch))), times, **tight).y[1]
    by_trace = np.mean(np.exp(logs), axis=1)  # times the area at the start, 1
    X, Y = borders[..., 0], borders[..., 1]
    by_border = np.abs(np.sum(X * np.roll(Y, -1, 1) - Y * np.roll(X, -1, 1), axis=1)) / 2
    assert np.allclose(by_border, by_trace, rtol=2e-3)

    figure, axes = panels(width=7, height=5.6)
    drawn = [axes.plot([], [], color=GREY, linewidth=1)[0] for _ in grid]
    (cell,) = axes.fill([0, 1, 1], [0, 0, 1], color=BLUE, alpha=0.75)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", xlim=(-4.2, 4.2), ylim=(-3.4, 3.4), aspect="equal")
    axes.grid(False)
    axes.set_title("A\nB", loc="left")
    settled(figure)

    def update(k):
        for line, points in zip(drawn, grids[k]):
            line.set_data(points[:, 0], points[:, 1])
        cell.set_xy(borders[k])
        axes.set_title(
            f"$t$ = {times[k]:.2f}     area of the patch: {by_border[k]:.3f}\n"
            f"by the integral of the trace: {by_trace[k]:.3f}",
            loc="left",
        )

    return figure, update, [0] * 8 + list(range(1, 31)), {"seconds": 0.15, "pause": 4.0}


ANIMATIONS = {
    "01_euler_walks": euler_walks,
    "02_depth_to_flow": depth_to_flow,
    "03_cotangents_run_back": cotangents_run_back,
    "05_adjoint_runs_back": adjoint_runs_back,
    "08_grid_carried": grid_carried,
}

if __name__ == "__main__":
    import play  # from beside it

    for name in sys.argv[1:] or [*ANIMATIONS, *(f"play_{scene}" for scene in play.SCENES)]:
        if name.startswith("play_"):
            path = play.picture(name[5:])
        else:
            figure, update, frames, pace = ANIMATIONS[name]()
            path = save_animation(figure, update, frames, name, alt=WORDS[name], **pace)
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
