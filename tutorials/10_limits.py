# %% [markdown]
# # What a neural ODE cannot do
#
# **The question.** The sources name limits of their own: that minibatches are "not so
# straightforward" (P-batch), that solutions are unique if nonlinearities are Lipschitz (P-unique),
# that tolerances must be chosen on both passes (P-tol), and an error of the backward pass that was
# "not seen in application" (P-err). How large is each of these, and what can be done about it?

# %%
import warnings

import numpy as np

from tinyode import (
    compiled,
    grad,
    models,
    nn,
    odeint,
    odeint_event,
    optim,
    solve,
    solve_batch,
    value_and_grad,
)
from tinyode.plotting import COLOURS, panels, save

# %% [markdown]
# ## One clock for a batch
#
# To a solver a batch is one system of equations: one step size for all samples, small enough for
# the hardest one, and an error that is a mean over all. Here are sixteen swings of Van der Pol's,
# from hardly nonlinear to nearly stiff, $y'' = \mu (1 - y^2) y' - y$, as one system and with a step
# size for each (`solve_batch`).

# %% [predict]
# Alone, the easiest of the sixteen needs a third of the evaluations of f that the hardest needs.
# How many does one clock for all of them need: as many as the hardest alone, fewer, or more?


# %%
def swings(t, y, mu):
    return np.stack([y[:, 1], mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], axis=1)


mu, y0 = np.linspace(0.1, 12, 16), np.tile([2.0, 0.0], (16, 1))
tight = {"method": "dop853", "rtol": 1e-11, "atol": 1e-12}
exact = solve_batch(swings, y0, [0, 20.0], mu, batched=(0,), **tight).y[-1]
together = solve(swings, y0, [0, 20.0], mu)
apart = solve_batch(swings, y0, [0, 20.0], mu, batched=(0,))
error_together = np.abs(together.y[-1] - exact).max(axis=1)
error_apart = np.abs(apart.y[-1] - exact).max(axis=1)
one, own = together.stats.nfev, apart.stats.nfev
print(f"evaluations per sample: one clock {one};", end=" ")
print(f"own clocks {own.min()} to {own.max()}, mean {own.mean():.0f}")
print(f"largest error: one clock {error_together.max():.1e}, own clocks {error_apart.max():.1e}")
assert own.mean() < 0.6 * one
assert error_together[0] < 0.1 * error_apart[0] and error_together.max() > 0.5 * error_apart.max()

figure, axes = panels(2, width=12, height=4.4)
axes[0].plot(mu, np.full(16, one), "s--", color=COLOURS[4], label="one clock for all")
axes[0].plot(mu, own, "o-", color=COLOURS[0], label="a clock for each")
axes[0].set(xlabel=r"$\mu$", ylabel="evaluations of f", ylim=(0, None))
axes[0].legend()
axes[1].semilogy(mu, error_together, "s--", color=COLOURS[4])
axes[1].semilogy(mu, error_apart, "o-", color=COLOURS[0])
axes[1].set(xlabel=r"$\mu$", ylabel="error at t = 20")
save(
    figure,
    "10_one_clock",
    alt="Two panels over mu, from 0.1 to 12. Left: evaluations of f; on one clock each sample takes"
    " the same high number, more than twice what the hardest takes on a clock of its own. Right:"
    " errors at t = 20; on one clock they are much smaller for the three easiest samples, a thousand"
    " times for the first, and about the same for all others.",
)

# %% [markdown]
# P-batch: **holds**. With one clock every sample pays for the hardest one, and more: as the hard
# moments of different samples come at different times, the shared step is small nearly always. What
# it buys is accuracy in the easy samples, where none was asked for; the hard ones are no more
# accurate. And where the samples are alike, as images are to a trained network, little is lost:
# exercise 7.3.
#
# ## Trajectories cannot cross
#
# Where $f$ is Lipschitz in $\mathbf z$, two solutions that meet at one time are the same for all
# time (Picard and Lindelöf). So on a line they can never overtake one another: $z_1(0) < z_2(0)$
# means $z_1(t) < z_2(t)$ for ever. Whatever its parameters, a flow on the line from 0 to 1 is an
# increasing function. It cannot learn $x \mapsto -x$. (The small fields from here on are
# `compiled`: recorded at the first call, and run from then on as straight-line NumPy, because most
# of their time would otherwise go into the tape.)

# %% [predict]
# Train it on $x \mapsto -x$ all the same, for x between -1 and 1. To which increasing function does
# it come?

# %%
x = np.linspace(-1, 1, 9)[:, None]
init, network = nn.mlp(2, 16, 1)


@compiled
def on_the_line(t, z, theta):
    return network(theta, np.concatenate([z, t * np.ones((len(z), 1))], axis=1))


def fit(loss, parameters, steps=150, rate=0.03):
    """Descend by Adam; return the parameters and the last loss."""
    start, update = optim.adam(rate)
    state, gradient = start(parameters), value_and_grad(loss)
    for _ in range(steps):
        value, slope = gradient(parameters)
        parameters, state = update(parameters, slope, state)
    return parameters, float(value)


SOLVER = {"method": "rk4", "step_size": 0.1, "gradient": "discrete"}
end = lambda theta: models.neural_ode(on_the_line, x, 0.0, 1.0, theta, **SOLVER)
loss = lambda theta: np.mean((end(theta) + x) ** 2)
line, loss_on_the_line = fit(loss, init(np.random.default_rng(0)))
print(f"mean square error on the line: {loss_on_the_line:.3f};", end=" ")
print(f"of the best increasing function, which is constant: {np.mean(x**2):.3f}")
assert np.all(np.diff(end(line)[:, 0]) > 0)  # increasing, as every flow on a line
assert loss_on_the_line > 0.9 * np.mean(x**2)

# %% [markdown]
# The best increasing function is the constant zero, so all that the network can do is to press the
# points together. One more dimension cures it (Dupont and others, 2019): append a zero to the data,
# and trajectories go around each other.

# %%
init, network_in_the_plane = nn.mlp(3, 16, 2)


@compiled
def in_the_plane(t, z, theta):
    return network_in_the_plane(theta, np.concatenate([z, t * np.ones((len(z), 1))], axis=1))


start = models.augmented(x, 1)
end_of_all = lambda theta: models.neural_ode(in_the_plane, start, 0.0, 1.0, theta, **SOLVER)
loss = lambda theta: np.mean((end_of_all(theta)[:, :1] + x) ** 2)
plane, loss_in_the_plane = fit(loss, init(np.random.default_rng(0)))
print(f"mean square error in the plane: {loss_in_the_plane:.1e}")
assert loss_in_the_plane < 1e-2

# %%
times = np.linspace(0, 1, 41)
on_line = solve(on_the_line, x, times, line).y
in_plane = solve(in_the_plane, start, times, plane).y
colours = [COLOURS[0] if start_at < 0 else COLOURS[4] for start_at in x[:, 0]]
hollow = {"color": "#222222", "markerfacecolor": "white"}
figure, axes = panels(3, width=15, height=4.4)
for panel, paths in zip(axes, (on_line, in_plane)):
    for i in range(9):
        panel.plot(times, paths[:, i, 0], color=colours[i])
    panel.plot(np.ones(9), -x[:, 0], "o", label="wanted", **hollow)
    panel.set(xlabel="t", ylabel="z", ylim=(-1.3, 1.3))
    panel.legend(loc="upper center")
axes[0].set(title="On the line")
axes[1].set(title="With one more dimension")
for i in range(9):
    axes[2].plot(*in_plane[:, i].T, color=colours[i])
    axes[2].plot(*in_plane[-1, i], "o", **hollow)
axes[2].set(xlabel="z", ylabel="the appended dimension", title="The same, seen in the plane")
save(
    figure,
    "10_crossing",
    alt="Three panels. Left: on the line nine trajectories run from their points towards zero and"
    " never cross; the wanted ends, in the opposite order, are far away. Middle: with one more"
    " dimension the nine trajectories cross, and each ends at its wanted point. Right: the same"
    " seen in the plane, where they go around one another without meeting.",
)

# %% [markdown]
# ## Where solutions are not unique
#
# Without Lipschitz's condition all that is lost. $y' = \sqrt{|y|}$ has no bounded slope at 0, and
# from $y(0) = 0$ it has one solution for every $c \ge 0$: zero until $c$, and $(t - c)^2 / 4$ from
# there on. A solver finds one of them; which, a change of $y(0)$ decides that is far smaller than
# any rounding of numbers like one.

# %%
square_root = lambda t, y: np.sqrt(np.abs(y))
t = np.linspace(0, 4, 81)
found = {y: solve(square_root, y, t, rtol=1e-8, atol=1e-12).y for y in (0.0, 1e-20, 1e-10)}
for c in (0.0, 1.0, 2.0):  # each of these solves the equation
    y = np.where(t > c, (t - c) ** 2 / 4, 0.0)
    slope = np.where(t > c, (t - c) / 2, 0.0)
    assert np.allclose(slope, square_root(t, y))
print("y(4) from y(0) = 0, 1e-20, 1e-10:", [f"{float(y[-1]):.4f}" for y in found.values()])
assert found[0.0][-1] == 0.0 and abs(found[1e-20][-1] - 4.0) < 1e-3

figure, axes = panels(width=7.5, height=4.2)
for c in np.linspace(0, 3.5, 8):
    axes.plot(t, np.where(t > c, (t - c) ** 2 / 4, 0.0), color="#bbbbbb")
axes.plot(t, found[0.0], color=COLOURS[4], label="solver, from y(0) = 0")
axes.plot(t, found[1e-20], "--", color=COLOURS[0], label="solver, from $y(0) = 10^{-20}$")
axes.set(xlabel="t", ylabel="y", title=r"$y' = \sqrt{|y|}$: solutions through (0, 0)")
axes.legend()
save(
    figure,
    "10_many_solutions",
    alt="Solutions of y' = sqrt(|y|) through (0, 0), in grey: each stays at zero for a time and"
    " then rises as a parabola. The solver, started from y(0) = 0, stays at zero for ever;"
    " started from 1e-20 it follows the parabola that rises at once.",
)

# %% [markdown]
# A network of tanh has a Lipschitz constant, at most the product of the norms of its weights,
# $\lVert W_1 \rVert \lVert W_2 \rVert$. P-unique: **holds**, and it is also what keeps trajectories
# from crossing. Two solutions that start $\delta$ apart stay at least $\delta e^{-Lt}$ and at most
# $\delta e^{Lt}$ apart (Grönwall): check it for the network of the plane.

# %%
of_z = [plane[0]["W"][:2], plane[1]["W"]]  # the third row of the first matrix is for the time
L = np.prod([np.linalg.norm(W, 2) for W in of_z])
two_starts = np.array([[0.3, 0.0], [0.3 + 1e-4, 0.0]])
pair = solve(in_the_plane, two_starts, times, plane, rtol=1e-10, atol=1e-13).y
apart_by = np.linalg.norm(pair[:, 1] - pair[:, 0], axis=1) / 1e-4
print(f"Lipschitz constant at most {L:.1f};", end=" ")
print(f"two solutions come as near as {apart_by.min():.2f},", end=" ")
print(f"and as far as {apart_by.max():.2f}, of their first distance", end=" ")
print(f"(bounds {np.exp(-L):.0e}, {np.exp(L):.0e})")
assert np.all(apart_by > (1 - 1e-6) * np.exp(-L * times))
assert np.all(apart_by < (1 + 1e-6) * np.exp(L * times))

# %% [markdown]
# ## Solving backwards
#
# Algorithm 2 solves $\mathbf z$ backwards from $\mathbf z(t_1)$. Where solutions draw together as
# time goes on, they come apart backwards, and every error with them. How far from $\mathbf z(t_0)$
# does it end, on a field that turns, one that decays at two rates, 5 and 1, and one that is stiff?
# And what does the gradient make of it? (Chapter 5 derived why.) The third column is the error of
# the forward solution, which all gradients have a share in.

# %% [predict]
# On the field of two rates, from $t = 0$ to 3, the error of the gradient by Algorithm 2 is how many
# digits worse than that of the solution? Does a smaller tolerance help?

# %%
rotating = compiled(lambda t, z, k: np.stack([z[1], -k * z[0]]))
two_rates = compiled(lambda t, z, k: np.stack([-k * (z[0] - np.cos(t)), z[0] - z[1]]))
stiff = compiled(lambda t, z, k: -k * (z - np.cos(t)))
fields = {
    "rotating": (rotating, np.array([1.0, 0.0]), 1.0, "dopri5"),
    "two rates": (two_rates, np.array([1.0, 0.5]), 5.0, "dopri5"),
    "stiff": (stiff, np.array([1.0, 0.5]), 200.0, "radau_iia5"),
}
WAYS = ("adjoint", "interpolated", "discrete")
forward_error, backward_error, gradient_error = {}, {}, {}
for name in fields:
    f, z0, k, method = fields[name]
    tight = {"method": method, "rtol": 1e-11, "atol": 1e-13}
    exact_z1 = solve(f, z0, [0, 3.0], k, **tight).y[-1]
    loss = lambda k, f=f, z0=z0, **o: np.sum(odeint(f, z0, [0, 3.0], k, **o)[-1])
    right = grad(loss)(k, gradient="forward", **tight)
    for tol in (1e-3, 1e-6, 1e-9):
        options = {"method": method, "rtol": tol, "atol": tol * 1e-2}
        z1 = solve(f, z0, [0, 3.0], k, **options).y[-1]
        forward_error[name, tol] = np.abs(z1 - exact_z1).max()
        try:
            with np.errstate(all="ignore"):
                back = solve(f, z1, [3.0, 0], k, max_steps=2000, **options).y[-1]
            backward_error[name, tol] = f"{np.abs(back - z0).max():.1e}"
        except RuntimeError as error:
            backward_error[name, tol] = type(error).__name__
        for way in WAYS:
            with warnings.catch_warnings(record=True) as warned, np.errstate(all="ignore"):
                warnings.simplefilter("always")
                try:
                    found = grad(loss)(k, gradient=way, max_steps=2000, **options)
                    off = f"{abs(found / right - 1):.1e}"
                    gradient_error[name, tol, way] = off + "*" * bool(warned)
                except RuntimeError as error:
                    gradient_error[name, tol, way] = type(error).__name__
print(f"{'field':10}{'tolerance':>10}{'z(3) off by':>14}{'z(0) off by':>16}", end="")
print(f"{'gradient off by: adjoint':>28}{'interpolated':>16}{'discrete':>12}")
for (name, tol), off in backward_error.items():
    adjoint, interpolated, discrete = [gradient_error[name, tol, way] for way in WAYS]
    print(f"{name:10}{tol:10.0e}{forward_error[name, tol]:14.1e}{off:>16}", end="")
    print(f"{adjoint:>28}{interpolated:>16}{discrete:>12}")
print("(* with a warning)")
assert float(backward_error["rotating", 1e-6]) < 1e-4
assert float(backward_error["two rates", 1e-6]) > 1e5 * forward_error["two rates", 1e-6]
adjoint, _, discrete = [gradient_error["two rates", 1e-6, way] for way in WAYS]
assert float(adjoint.strip("*")) > 1e3 * float(discrete)
of_stiff = gradient_error["stiff", 1e-6, "adjoint"]
assert not of_stiff[0].isdigit() or of_stiff.endswith("*")

# %% [markdown]
# P-err: the error of the backward pass **is seen**: harmless on what turns, a factor of up to
# $e^{5 \cdot 3}$ where solutions draw together at that rate, and on what is stiff the end of every
# digit. At two rates the gradient has five digits fewer than the solution, whatever the tolerance.
# A warning says so. (At one rate for all components it would not: then $\mathbf a$ shrinks
# backwards as fast as the error grows.) Kept states (`interpolated`), or the exact derivative of
# the steps (`discrete`), do not have it.
#
# P-tol, tolerances on both passes, is the same story from the other side: the gradient of the
# rotating field at a forward tolerance of $10^{-9}$, over the backward one.

# %%
f, z0, k, _ = fields["rotating"]
exactly = grad(lambda k: np.cos(np.sqrt(k) * 3.0) - np.sqrt(k) * np.sin(np.sqrt(k) * 3.0))(k)
tolerances = 10.0 ** -np.arange(2, 11)
loss = lambda k, **o: np.sum(odeint(f, z0, [0, 3.0], k, **o)[-1])
off = np.zeros((3, len(tolerances)))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for i, forward in enumerate((1e-3, 1e-6, 1e-9)):
        for j, tol in enumerate(tolerances):
            backward = {"adjoint_rtol": tol, "adjoint_atol": tol}
            found = grad(loss)(k, rtol=forward, atol=forward, **backward)
            off[i, j] = abs(found / exactly - 1)
figure, axes = panels(width=7.5, height=4.4)
for digits, row, colour in zip((3, 6, 9), off, (COLOURS[4], COLOURS[2], COLOURS[0])):
    axes.loglog(tolerances, row, "o-", color=colour, label=f"forward $10^{{-{digits}}}$")
axes.set(xlabel="backward tolerance", ylabel="relative error of the gradient")
axes.invert_xaxis()
axes.legend()
save(
    figure,
    "10_two_tolerances",
    alt="The relative error of the gradient over the tolerance of the backward solve, for three"
    " forward tolerances. Each curve falls with the backward tolerance until that of the forward"
    " solve is reached, and is level from there on: the larger of the two decides.",
)
assert off[2, -1] < 1e-6 < off[2, 1] and off[0, -1] > 1e-4  # the larger of the two decides

# %% [markdown]
# ## A switch that depends on the state
#
# Dry friction, a pump that starts at a level, a drug that is given below a threshold: $f$ jumps
# where the solution crosses a surface. Take
#
# $$y' = -y \text{ above } \tfrac12, \qquad y' = -2 y \text{ below}, \qquad y(0) = y_0.$$
#
# The solution reaches $\tfrac12$ at $t^{\ast} = \ln(2 y_0)$, for $\tfrac12 < y_0 < \tfrac{e}{2}$.
# Then $y(1) = \tfrac12 e^{-2 (1 - t^{\ast})} = 2 e^{-2} y_0^2$. So the derivative at $y_0 = 1$ is
# $4 e^{-2} = 0.5413$. What do our gradients say?

# %% [predict]
# Which of the four ways to differentiate gets it right, to three digits, at a tolerance of
# $10^{-8}$?


# %%
def switch(t, y):
    return np.where(y > 0.5, -y, -2 * y)


right = 4 * np.exp(-2.0)
ways = ("adjoint", "interpolated", "discrete", "forward")
in_one_piece = {}
for way in ways:
    end_of_it = lambda y0, way=way: odeint(switch, y0, [0, 1.0], rtol=1e-8, gradient=way)[-1]
    in_one_piece[way] = grad(end_of_it)(1.0)
    print(f"{way:13} {in_one_piece[way]:.4f}, and it should be {right:.4f}")
    assert abs(in_one_piece[way] - right / 2) < 1e-3

# %% [markdown]
# All four ways agree on a gradient that is half of what it should be. A smaller tolerance does not
# help. The reason: a change of $y_0$ also moves the time $t^{\ast}$, and none of the four ways
# takes the derivative of that time.
#
# Start a little higher. Just before the surface, the two solutions are $\delta^-$ apart. The higher
# one reaches the surface later, by $dt^{\ast} = -\delta^- / f^-$, where $f^-$ and $f^+$ are the
# slopes before and after the surface. During $dt^{\ast}$ the higher solution still has the slope
# $f^-$, and the other one has $f^+$ already. After the surface their distance is
#
# $$\delta^+ = \delta^- + (f^- - f^+) dt^{\ast} = \frac{f^+}{f^-} \delta^-,$$
#
# here with $f^+ / f^- = 2$. (In more dimensions it is a matrix, the *saltation matrix*. It needs
# $f^- \ne 0$, and an $f^+$ that goes on across the surface.) The adjoint $\mathbf a$ has to jump by
# the same factor where it passes $t^{\ast}$ on its way back. The solver does not know of the
# switch, and $\mathbf a$ passes without a jump.
#
# The cure is to say where the switch is. `odeint_event` stops at the surface. It returns the time
# $t^{\ast}$, whose derivative it knows (by the implicit function theorem of chapter 4). `odeint`
# goes on from there.


# %%
def in_two_pieces(y0, way):
    options = {"rtol": 1e-8, "gradient": way}
    t, y = odeint_event(lambda t, y: -y, y0, 0.0, event=lambda t, y: y - 0.5, t_end=1.0, **options)
    return odeint(lambda t, y: -2 * y, y, np.stack([t, 1.0]), **options)[-1]


for way in ways:
    slope, in_one = grad(in_two_pieces)(1.0, way), in_one_piece[way]
    print(f"{way:13} {slope:.4f} in two pieces;", end=" ")
    print(f"in one {in_one:.4f}, times f+ / f- {2 * in_one:.4f}")
    assert abs(slope - right) < 1e-5 and abs(2 * in_one - right) < 2e-3

# %% [markdown]
# With a switch at a fixed *time* $\mathbf a$ has no jump: $t^{\ast}$ does not move. With a kink,
# where $f$ is continuous (`np.maximum(y, 1)` at 1), it has none either: $f^+ = f^-$.
#
# ## Exercises
#
# (The first cell holds what exercise 10.3 trains with.)


# %%
def disc_and_ring(n, **options):
    """Return n points of the edge of the disc, n of the ring, and -1 or 1 for each."""
    angle = np.linspace(0, 2 * np.pi, n, **options)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([0.5 * circle, 2.5 * circle]), np.repeat([-1.0, 1.0], n)


def apart_by_a_line(side, extra):
    """Return the share of points on the right side after training, and the last loss."""
    d = 2 + extra
    init, network = nn.mlp(d, 16, d)
    flow = compiled(lambda t, z, q: network(q, z))
    points, sign = disc_and_ring(40, endpoint=False)
    loss = lambda p: np.mean(nn.softplus(-sign * side(p, points, extra, flow)))
    rng = np.random.default_rng(0)
    fitted, value = fit(loss, {"f": init(rng), "w": rng.normal(size=d), "b": 0.0}, steps=80)
    points, sign = disc_and_ring(2000)  # also between the points that it was trained on
    of_each = np.mean((sign * side(fitted, points, extra, flow) > 0).reshape(2, -1), axis=1)
    return np.mean(of_each), value  # the mean of the shares of the disc and of the ring


# %% [exercise 10.1] level 1
# What is increasing, a flow of the line can learn. Let it learn $x \mapsto x^3 + x / 2$ at the nine
# points `x`, with `fit` and `end` from above. Start from the parameters that `init` of
# `init, _ = nn.mlp(2, 16, 1)` makes with `np.random.default_rng(0)`. Set `cubic` to the parameters
# that come out.

# %% [stub 10.1]
cubic = ...  # the parameters after training

# %% [solution 10.1]
start_of_cubic = nn.mlp(2, 16, 1)[0](np.random.default_rng(0))
cubic, loss_of_cubic = fit(lambda theta: np.mean((end(theta) - x**3 - x / 2) ** 2), start_of_cubic)
print(f"mean square error of x^3 + x/2 on the line: {loss_of_cubic:.1e}")

# %% [check 10.1]
assert not isinstance(cubic, tuple), (
    "cubic is a tuple: `fit` returns the parameters and the last loss; take the first of them"
)
assert isinstance(cubic, list), (
    f"cubic is {cubic!r:.60}; it should be the parameters, a list as `nn.mlp` makes it"
)
learned = end(cubic)
others = {
    "": x**3 + x / 2,
    "These are the parameters of the start. Train them: fit(loss, start).": end(
        nn.mlp(2, 16, 1)[0](np.random.default_rng(0))
    ),
    "It presses all points together, as above: is its target -x, or another that falls?": 0 * x,
    "It comes nearer to (x^3 + x) / 2: only x is to be halved.": (x**3 + x) / 2,
    "It comes nearer to x^3: x / 2 is to be added.": x**3,
}
errors = {hint: np.mean((learned - other) ** 2) for hint, other in others.items()}
assert errors[""] < 1e-2, (
    f"the mean square error of your flow at the nine points is {errors['']:.2g}; below 0.01 can be"
    f" reached. {min(errors, key=errors.get)}"
)

# %% [exercise 10.2] level 2
# Which functions can a flow of the line reach at $t = 1$, exactly or as nearly as one likes, for x
# from -1 to 1? Write `reachable`: it is given a smooth function g of an array, and returns True or
# False, for any g. (Look at many points.)


# %% [stub 10.2]
def reachable(g):
    """Return whether a flow of the line can come as near as one likes to g on [-1, 1]."""
    ...  # your code here


# %% [solution 10.2]
def reachable(g):
    """Return whether a flow of the line can come as near as one likes to g on [-1, 1].

    Trajectories keep their order, so g must not fall anywhere. What is level, like a constant, is
    no flow, but the limit of flows that press points together more and more.
    """
    return bool(np.all(np.diff(g(np.linspace(-1, 1, 1001))) >= 0))


# %% [check 10.2]
cases = {
    "x^3 + x / 2": (lambda x: x**3 + x / 2, "It is increasing."),
    "exp(x) - 5": (lambda x: np.exp(x) - 5, "It is increasing. Its values need not be near x."),
    "3 x": (lambda x: 3 * x, "It is increasing. It may stretch as much as it likes."),
    "the constant 0": (
        lambda x: 0 * x,
        "The flow above came near to it, as the best increasing function: it presses all together.",
    ),
    "-x": (lambda x: -x, "It turns the order of the points round."),
    "x^2": (lambda x: x**2, "It falls for x below 0."),
    "x + sin(9 x) / 4": (
        lambda x: x + np.sin(9 * x) / 4,
        "It falls in places, if not on the whole.",
    ),
    "x - 3 x exp(-(20 x)^2)": (
        lambda x: x - 3 * x * np.exp(-((20 * x) ** 2)),
        "It falls in one narrow place around 0: look at more points.",
    ),
}
for called, (g, why) in cases.items():
    said, true = reachable(g), bool(np.all(np.diff(g(np.linspace(-1, 1, 2001))) >= 0))
    assert isinstance(said, (bool, np.bool_)), f"reachable returns {said}: True or False?"
    assert said == true, f"reachable says {bool(said)} of {called}, and it should be {true}. {why}"

# %% [exercise 10.3] level 2
# A disc within a ring: can a flow of the plane move them so that a straight line separates the two?
# And with a third dimension, a plane? The training is given above: `apart_by_a_line(side, extra)`.
# Write what it trains, `side(p, points, extra, flow)`. It appends `extra` zeros to the points
# (`models.augmented`), lets them flow from $t = 0$ to 1 by `flow(t, z, p["f"])`
# (`models.neural_ode` with `**SOLVER`, as above), and returns $\mathbf w \cdot \mathbf z(1) + b$,
# one number for each point, with `p["w"]` and `p["b"]`. Its sign says on which side a point ends.
# Then train with no extra dimension and with one. What share of the points is on the right side?


# %% [stub 10.3]
def side(p, points, extra, flow):
    """Return for each of the points, shape (n, 2), on which side it ends; shape (n,)."""
    ...  # your code here


# %% [solution 10.3]
def side(p, points, extra, flow):
    """Return for each of the points, shape (n, 2), on which side it ends; shape (n,)."""
    start = models.augmented(points, extra)
    return models.neural_ode(flow, start, 0.0, 1.0, p["f"], **SOLVER) @ p["w"] + p["b"]


# A flow is a homeomorphism: what is inside of the ring stays inside of it. So in the plane training
# tears the ring between two points, but not quite. In three dimensions the disc is lifted out.
(share, value), (share_lifted, value_lifted) = apart_by_a_line(side, 0), apart_by_a_line(side, 1)
print(f"loss {value:.4f} in the plane, {value_lifted:.4f} with a third dimension;", end=" ")
print(f"on the right side {share:.4f}, {share_lifted:.4f}")
assert share < 1.0 and share_lifted == 1.0 and value_lifted < value

# %% [check 10.3]
of_flow = np.random.default_rng(1).normal(size=(3, 3))
five = np.random.default_rng(2).normal(size=(5, 2))
turn = lambda t, z, q: np.tanh(z @ q) + t
weights = {"f": of_flow, "w": np.array([0.5, -1.0, 2.0]), "b": 0.3}
given = side(weights, five, 1, turn)
assert given is not None, "side returns None: where is its `return`?"
assert np.shape(given) == (5,), (
    f"for five points side returns the shape {np.shape(given)}; it should be (5,)"
)
with_zero = models.augmented(five, 1)
there = models.neural_ode(turn, with_zero, 0.0, 1.0, of_flow, **SOLVER)
right = there @ weights["w"] + weights["b"]
backwards = models.neural_ode(turn, with_zero, 1.0, 0.0, of_flow, **SOLVER)
mistakes = {
    "b is not added.": right - weights["b"],
    "That is the sign; return the number itself, or the loss has no slope.": np.sign(right),
    "The points have not flowed: solve from 0 to 1 first.": with_zero @ weights["w"] + weights["b"],
    "The points flow from t = 1 to 0.": backwards @ weights["w"] + weights["b"],
}
hint = [text for text, wrong in mistakes.items() if np.allclose(given, wrong)]
assert np.allclose(given, right, rtol=1e-4), (
    f"for five points, one extra dimension and a field of ours, side returns {np.round(given, 3)};"
    f" it should be {np.round(right, 3)}. {''.join(hint)}"
)

# %% [exercise 10.4] level 3
# In the plane no flow can do it, whatever its field: the ring stays a closed curve around the disc,
# since trajectories cannot cross. In three dimensions you can write down a field that does it,
# without any training. The disc is $r \le 1$, the ring $2 \le r \le 3$, where
# $r^2 = z_1^2 + z_2^2$; all points start with $z_3 = 0$. Write `lift`, a *smooth* field: it
# carries, from $t = 0$ to 1, the disc to $z_3 > 1/2$ and the ring to $z_3 \lt 1/2$.


# %% [stub 10.4]
def lift(t, z):
    """Return dz/dt, shape (n, 3), of the points z, shape (n, 3)."""
    ...  # your code here


# %% [solution 10.4]
def lift(t, z):
    """Return dz/dt, shape (n, 3), of the points z, shape (n, 3).

    The points rise, at speed one near the axis and hardly at all from r = 2 on. A logistic function
    of r^2 is smooth in between.
    """
    r2 = z[:, 0] ** 2 + z[:, 1] ** 2
    return np.stack([0 * r2, 0 * r2, 1 / (1 + np.exp(8 * (r2 - 1.5**2)))], axis=1)


# %% [check 10.4]
angle = np.linspace(0, 2 * np.pi, 60)
on_circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
disc = np.concatenate([r * on_circle for r in (0.0, 0.3, 0.6, 1.0)])
ring = np.concatenate([r * on_circle for r in (2.0, 2.3, 2.6, 3.0)])
slopes = lift(0.0, disc)
assert slopes is not None, "lift returns None: where is its `return`?"
assert np.shape(slopes) == disc.shape, (
    f"for points of shape {disc.shape} lift returns the shape {np.shape(slopes)}; it should be the"
    " same: three derivatives for each point"
)
ray = np.linspace(0, 3, 30_001)[:, None] * np.array([1.0, 0.0, 0.0])
jumps = np.abs(np.diff(lift(0.0, ray), axis=0)).max(axis=1)
assert jumps.max() < 0.05, (
    f"your field jumps by {jumps.max():.2g} near r = {ray[np.argmax(jumps), 0]:.3f}. It should be"
    " smooth: without a Lipschitz constant solutions need not be unique"
)
heights = {}
for called, points in (("disc", disc), ("ring", ring)):
    heights[called] = solve(lift, points, [0.0, 1.0], rtol=1e-5, atol=1e-6).y[-1, :, 2]
assert heights["disc"].min() > 0.5, (
    f"the lowest point of the disc ends at z_3 = {heights['disc'].min():.3f}, not above 1/2"
)
assert heights["ring"].max() < 0.5, (
    f"the highest point of the ring ends at z_3 = {heights['ring'].max():.3f}, not below 1/2."
    " How fast may a point rise where r is 2 or more?"
)

# %% [exercise 10.5] level 2
# The field of two rates (`f, z0, k, _ = fields["two rates"]`) loses up to $e^{kT}$ on its way back
# over the time $T = 3$. With states stored on the way, $\mathbf z$ can start anew from each. Write
# `worst_start`. It cuts the time from 0 to 3 into `pieces` equal intervals. It solves forward once,
# with the default tolerances, and stores the state at both ends of each interval. Then it solves
# each interval backwards, from the state that was stored at its end. It returns the largest
# distance, over all intervals and both components, between what arrives at the beginning of an
# interval and what was stored there. How much of $e^{kT}$ is left with eight intervals?


# %% [stub 10.5]
def worst_start(pieces):
    """Return the largest error at the beginning of an interval that is solved backwards."""
    ...  # your code here


# %% [solution 10.5]
def worst_start(pieces):
    """Return the largest error at the beginning of an interval that is solved backwards."""
    f, z0, k, _ = fields["two rates"]
    times = np.linspace(0, 3.0, pieces + 1)
    states = solve(f, z0, times, k).y
    errors = []
    for i in range(pieces):
        back = solve(f, states[i + 1], [times[i + 1], times[i]], k).y[-1]
        errors.append(np.abs(back - states[i]).max())
    return max(errors)


# An interval has the length T / pieces, so errors grow by e^(k T / pieces) in each.
for pieces in (1, 2, 4, 8):
    growth = np.exp(fields["two rates"][2] * 3.0 / pieces)
    print(
        f"intervals {pieces}: off by {worst_start(pieces):.1e}, errors grow by up to {growth:.1e}"
    )
assert worst_start(8) < 1e-2 * worst_start(1)

# %% [check 10.5]
given = worst_start(8)
assert given is not None, "worst_start returns None: where is its `return`?"
assert np.shape(given) == (), f"worst_start returns {given}; it should be one number"
field_of_two, first_state, k_of_two, _ = fields["two rates"]
grid = np.linspace(0, 3.0, 9)
stored = solve(field_of_two, first_state, grid, k_of_two).y
off, state = [], stored[-1]
through = []  # without starting anew
for later in range(8, 0, -1):
    interval, wanted = [grid[later], grid[later - 1]], stored[later - 1]
    off.append(np.abs(solve(field_of_two, stored[later], interval, k_of_two).y[-1] - wanted))
    state = solve(field_of_two, state, interval, k_of_two).y[-1]
    through.append(np.abs(state - wanted))
hint = ""
if np.isclose(given, np.abs(np.diff(stored, axis=0)).max(), rtol=0.01):
    hint = "So far apart are the two ends of an interval: compare with the state at its beginning."
elif 0.9 < given / np.max(through) < 1.1:
    hint = "That is what comes without starting anew: begin each interval with the stored state."
elif np.isclose(given, np.mean(off), rtol=0.1):
    hint = "That is the mean; the largest is asked for."
assert 0.5 < given / np.max(off) < 2, (
    f"with eight intervals worst_start is {given:.1e}, and it should be about {np.max(off):.1e}."
    f" {hint}"
)

# %% [markdown]
# ## Sources
#
# P-batch, P-unique, P-tol, P-err (Price-Broncucia, "What are the drawbacks?"). Chen, Rubanova,
# Bettencourt and Duvenaud, "Neural ordinary differential equations" (2018), section 6. Dupont,
# Doucet and Teh, "Augmented neural ODEs" (2019). Hairer, Norsett and Wanner I, sections I.7 to I.10
# (uniqueness, Lipschitz conditions, Grönwall).
