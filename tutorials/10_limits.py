# %% [markdown]
# # What a neural ODE cannot do

# %% [markdown]
# **Needs.** Chapter 1 (solvers and their tolerances), chapter 2 (a network as a field), chapter 3
# (the tape, `vjp`), chapter 5 (Algorithm 2, the four ways to take a gradient), chapter 6 (Adam).
# From school and linear algebra: $e^x$, $\ln x$, eigenvalues and determinant of a matrix.
#
# **You will be able to** tell when one step size for a whole batch is expensive, and what to do;
# decide which functions a flow can learn; choose a way to take gradients by what it costs and by
# what it loses.
#
# **Minutes.** 60 to 80.
#
# **The question.** Where do neural ODEs fail, by how much, and what helps? Six limits follow. Each
# is measured, and each has a cure or a price.

# %%
import tracemalloc
import warnings

import numpy as np
from experiment import table

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
    tree,
    value_and_grad,
    vjp,
)
from tinyode.plotting import COLOURS, panels, save
from tinyode.solvers.runge_kutta import rk_step
from tinyode.solvers.tableaus import TABLEAUS

# %% [markdown]
# ## One clock for a batch
#
# A *batch* is a set of samples that are computed together, here as the rows of one array. A solver
# sees it as one system of equations, so all samples share one clock: its steps must be small enough
# for the sample that changes fastest at that moment.
#
# Take sixteen oscillators of Van der Pol, $y'' = \mu (1 - y^2) y' - y$, with $\mu$ from 0.1 to 12.
# For small $\mu$ the solution is nearly a sine. For large $\mu$ it creeps, jumps to the other side,
# and creeps again. We solve them as one system by `solve`, and with a step size for each by
# `solve_batch`. (`batched=(0,)`: argument 0 after the times, `mu`, has a number for each sample.)

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
print(f"evaluations: one clock {one}; own {own.min()} to {own.max()}, mean {own.mean():.0f}")
print(f"largest error: one clock {error_together.max():.1e}, own clocks {error_apart.max():.1e}")
assert own.mean() < 0.6 * one
assert error_together[0] < 0.1 * error_apart[0] and error_together.max() > 0.5 * error_apart.max()

# %% [markdown]
# One clock needs more than twice as many evaluations as the hardest sample alone. To see why, count
# the times at which the solver evaluates $f$, in each half unit of time.

# %%
half_units = np.linspace(0, 20, 41)


def counted(samples):
    """Return how often f is evaluated in each half unit of time, for these samples together."""
    asked = []

    def f(t, y, mu):
        asked.append(t)
        return swings(t, y, mu)

    solve(f, y0[samples], [0, 20.0], mu[samples])
    return np.histogram(asked, half_units)[0]


of_all, of_three = counted(slice(None)), {i: counted([i]) for i in (6, 12, 15)}
print("evaluations in half a unit of time, median: one clock", np.median(of_all), end="; ")
print("alone", {f"mu = {mu[i]:.1f}": float(np.median(of_one)) for i, of_one in of_three.items()})
assert all(np.median(of_all) > 3 * np.median(of_one) for of_one in of_three.values())

figure, axes = panels(2, width=13, height=4.4)
axes[0].stairs(of_all, half_units, color=COLOURS[4], linestyle="--", label="one clock for all")
for (i, of_one), colour in zip(of_three.items(), (COLOURS[2], COLOURS[1], COLOURS[0])):
    axes[0].stairs(of_one, half_units, color=colour, label=rf"$\mu$ = {mu[i]:.1f} alone")
axes[0].set(xlabel="t", ylabel="evaluations in half a unit", ylim=(0, 520))
axes[0].legend(loc="upper left", fontsize=11, ncols=2)
axes[1].semilogy(mu, error_together, "s--", color=COLOURS[4], label="one clock for all")
axes[1].semilogy(mu, error_apart, "o-", color=COLOURS[0], label="a clock for each")
axes[1].set(xlabel=r"$\mu$", ylabel="error at t = 20")
axes[1].legend()
save(
    figure,
    "10_one_clock",
    alt="Two panels. Left: evaluations over time; three samples alone need few nearly always, and"
    " many in short peaks, at different times; one clock needs many nearly always. Right: errors at"
    " t = 20 over mu; on one clock they are much smaller for the easiest samples, a thousand times"
    " for the first, and about the same for all others.",
)

# %% [markdown]
# Each sample has its own short moments that need small steps (the peaks on the left). On one clock
# all samples take small steps at all of these moments, and with sixteen samples nearly every moment
# is one of them. The small steps buy accuracy in the easiest samples only (right).
#
# What helps: a step size for each sample (`solve_batch`; `odeint_batch` for gradients), or batches
# of samples that are alike.
#
# ## Trajectories cannot cross
#
# A field $f$ is *Lipschitz* in $\mathbf z$ if there is a number $K$ with
# $\Vert f(t, \mathbf u) - f(t, \mathbf v) \Vert \le K \Vert \mathbf u - \mathbf v \Vert$ for all
# $\mathbf u$, $\mathbf v$ (for $f = -3 z$ it is 3). Then the solution through a point is unique
# (Picard and Lindelöf): two solutions that meet at one time are the same at all times. So on a line
# solutions keep their order: to overtake, they would have to meet. The *flow* from 0 to 1,
# $z(0) \mapsto z(1)$, is increasing on a line, for all parameters. It cannot be $x \mapsto -x$.
#
# Here $f$ is a network as in chapter 2, with 16 hidden features; it is given $z$ and $t$.
# (`compiled` makes a field faster: it is recorded at the first call.)

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
    """Descend by Adam (chapter 6); return the parameters and the last loss."""
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
# The network presses the points together. Of the functions that never fall, the constant zero is
# nearest to $-x$: $(g(x) + x)^2 = g(x)^2 + 2 x g(x) + x^2$, and for $x$ and $-x$ together the
# middle term is $2 x (g(x) - g(-x)) \ge 0$. One more dimension cures it (Dupont and others, 2019):
# append a zero to each point. In the plane trajectories can go around each other.

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

times = np.linspace(0, 1, 41)
on_line = solve(on_the_line, x, times, line).y
in_plane = solve(in_the_plane, start, times, plane).y
hollow = {"color": "#222222", "markerfacecolor": "white"}
figure, axes = panels(3, width=15, height=4.4)
for i in range(9):
    colour = COLOURS[0] if x[i, 0] < 0 else COLOURS[4]
    axes[0].plot(times, on_line[:, i, 0], color=colour)
    axes[1].plot(times, in_plane[:, i, 0], color=colour)
    axes[2].plot(*in_plane[:, i].T, color=colour)
    axes[2].plot(*in_plane[-1, i], "o", **hollow)
for panel, title in zip(axes, ("On the line", "With one more dimension")):
    panel.plot(np.ones(9), -x[:, 0], "o", label="wanted", **hollow)
    panel.set(xlabel="t", ylabel="z", ylim=(-1.3, 1.3), title=title)
    panel.legend(loc="upper center")
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
# In the middle panel lines cross, since only one of two coordinates is drawn. In the plane (right)
# no two solutions are at one point at one time.
#
# ## Where solutions are not unique
#
# If $f$ is not Lipschitz, a start may have many solutions. The slope of $\sqrt{|y|}$ grows without
# bound near 0. From $y(0) = 0$ the equation $y' = \sqrt{|y|}$ has a solution for every $c \ge 0$:
# it is 0 until $t = c$, and $(t - c)^2 / 4$ from there on. Which one does a solver find, and which
# one from $y(0) = 10^{-20}$?

# %%
square_root = lambda t, y: np.sqrt(np.abs(y))
t = np.linspace(0, 4, 81)
found = {y: solve(square_root, y, t, rtol=1e-8, atol=1e-12).y for y in (0.0, 1e-20, 1e-10)}
print("y(4) from y(0) = 0, 1e-20, 1e-10:", [f"{float(y[-1]):.4f}" for y in found.values()])
assert found[0.0][-1] == 0.0 and abs(found[1e-20][-1] - 4.0) < 1e-3
for c in np.linspace(0, 3.5, 8):
    after = np.maximum(t - c, 0)
    assert np.allclose(after / 2, square_root(t, after**2 / 4))  # the slope: it solves the equation

# %% [markdown]
# From 0 the solver finds the solution that stays, from $10^{-20}$ the one that rises at once
# ($c = 0$, and $y(4) = 4$). So $y(4)$ has no derivative with respect to $y(0)$ at 0.
#
# A network of tanh, $W_2 \tanh(W_1 \mathbf z + \mathbf b_1) + \mathbf b_2$, is Lipschitz. The slope
# of tanh is at most 1, so $K$ is at most $\Vert W_1 \Vert \Vert W_2 \Vert$, where the norm of a
# matrix is the largest factor by which it stretches a vector. And a $K$ says more: two solutions
# that start a distance $\delta$ apart stay at least $\delta e^{-K t}$ and at most $\delta e^{K t}$
# apart (Grönwall). Check it for the network of the plane.

# %%
of_z = [plane[0]["W"][:2], plane[1]["W"]]  # the third row of the first matrix is for the time
K = np.prod([np.linalg.norm(W, 2) for W in of_z])
two_starts = np.array([[0.3, 0.0], [0.3 + 1e-4, 0.0]])
pair = solve(in_the_plane, two_starts, times, plane, rtol=1e-10, atol=1e-13).y
apart_by = np.linalg.norm(pair[:, 1] - pair[:, 0], axis=1) / 1e-4
print(f"K is at most {K:.1f}; the distance of two solutions is {apart_by.min():.2f} to", end=" ")
print(f"{apart_by.max():.2f} of the first (bounds {np.exp(-K):.0e}, {np.exp(K):.0e})")
assert np.all(np.abs(np.log(apart_by)) < K * times + 1e-6)

# %% [markdown]
# ## Solving backwards
#
# Algorithm 2 solves $\mathbf z$ backwards from $\mathbf z(t_1)$ (chapter 5). On $z' = -5 z$ two
# solutions draw together: over the time 3 their distance shrinks by $e^{-15}$. Backwards it grows by
# $e^{15}$, which is three million, and an error of $\mathbf z(t_1)$ grows with it.
#
# The table has three fields. The first turns. In the second, distances of solutions shrink at the
# rate 5 in one component, at the rate 1 in the other. The third is *stiff*: distances shrink at the
# rate 200, while a solution changes slowly, as $\cos t$ does. (`radau_iia5` is an implicit method
# for such fields.) The columns are the error of $\mathbf z(3)$; how far from $\mathbf z(0)$ the way
# back ends; and the relative error of $dL/dk$ by three ways, for $L = z_1(3) + z_2(3)$.

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


def tried(compute):
    """Return a number with a star if there was a warning, or the name of the error."""
    with warnings.catch_warnings(record=True) as warned, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            return f"{compute():.1e}" + "*" * bool(warned)
        except RuntimeError as error:
            return type(error).__name__


forward_error, backward_error, gradient_error, rows = {}, {}, {}, []
for name, (f, z0, k, method) in fields.items():
    tight = {"method": method, "rtol": 1e-11, "atol": 1e-13}
    exact_z1 = solve(f, z0, [0, 3.0], k, **tight).y[-1]
    loss = lambda k, f=f, z0=z0, **o: np.sum(odeint(f, z0, [0, 3.0], k, **o)[-1])
    right = grad(loss)(k, gradient="forward", **tight)
    for tol in (1e-3, 1e-6, 1e-9):
        options = {"method": method, "rtol": tol, "atol": tol * 1e-2, "max_steps": 2000}
        z1 = solve(f, z0, [0, 3.0], k, **options).y[-1]
        forward_error[name, tol] = np.abs(z1 - exact_z1).max()
        back = lambda: np.abs(solve(f, z1, [3.0, 0], k, **options).y[-1] - z0).max()
        backward_error[name, tol] = tried(back)
        for way in WAYS:
            off_by = lambda: abs(grad(loss)(k, gradient=way, **options) / right - 1)
            gradient_error[name, tol, way] = tried(off_by)
        of_ways = [gradient_error[name, tol, way] for way in WAYS]
        off = f"{forward_error[name, tol]:.1e}", backward_error[name, tol]
        rows.append((name, f"{tol:.0e}", *off, *of_ways))
table(rows, "field", "tolerance", "z(3) off by", "z(0) off by", "gradient: adjoint", *WAYS[1:])
print("(* with a warning; a name is that of the error with which the solve stopped)")
off_of = lambda tol: float(gradient_error["two rates", tol, "adjoint"].strip("*"))
digits_lost = [np.log10(off_of(tol) / forward_error["two rates", tol]) for tol in (1e-6, 1e-9)]
print("two rates: digits that Algorithm 2 has fewer than z(3):", np.round(digits_lost, 1))
assert float(backward_error["rotating", 1e-6]) < 1e-4
assert float(backward_error["two rates", 1e-6]) > 1e5 * forward_error["two rates", 1e-6]
assert all(5 <= digits < 6 for digits in digits_lost)
assert float(gradient_error["two rates", 1e-6, "discrete"]) < 1e-5
of_stiff = gradient_error["stiff", 1e-6, "adjoint"]
assert not of_stiff[0].isdigit() or of_stiff.endswith("*")

# %% [markdown]
# * On the field that turns the backward error is as small as the forward one.
# * At two rates $\mathbf z(0)$ is off by about $e^{15}$ times the error of $\mathbf z(3)$, and the
#   gradient has five digits fewer than the solution. A smaller tolerance makes both errors smaller;
#   the distance of five digits stays. The library warns (the star).
# * On the stiff field the factor is $e^{600}$. The backward solve gives up, or ends at $10^{253}$.
#
# The states that were kept (`interpolated`) and the derivative of the steps (`discrete`) do not
# solve $\mathbf z$ backwards, and do not lose these digits. (If all components decay at one rate
# $k$, Algorithm 2 loses few digits too: on the way back the error of $\mathbf z$ grows by $e^{kt}$,
# but $\mathbf a$, by which it is multiplied in the gradient, shrinks by $e^{-kt}$. The next cell
# tries it for $k = 5$. For $k = 200$ the solve back of $\mathbf z$ fails first.)
#
# A cure within Algorithm 2: keep the states at a few times, and start $\mathbf z$ anew from each.
# With $m$ intervals in the time $T$, errors grow by $e^{k T / m}$ in each (tried at two rates). The
# table, of the field that turns, shows which tolerance of Algorithm 2 decides: that of the solve
# forward, or that of the solve back.

# %%
f, z0, k, _ = fields["two rates"]
worst = {}  # the largest error at the beginning of an interval
for m in (1, 2, 4, 8):
    ends = np.linspace(0, 3.0, m + 1)
    kept = solve(f, z0, ends, k).y
    back = [solve(f, kept[i + 1], [ends[i + 1], ends[i]], k).y[-1] for i in range(m)]
    worst[m] = np.abs(np.array(back) - kept[:-1]).max()
    print(f"{m} intervals: off by {worst[m]:.1e}, growth up to {np.exp(k * 3.0 / m):.1e}")
assert worst[8] < 1e-2 * worst[1]
one_rate = lambda k, **o: np.sum(odeint(stiff, z0, [0, 3.0], k, rtol=1e-6, atol=1e-8, **o)[-1])
off_by = tried(lambda: abs(grad(one_rate)(k) / grad(one_rate)(k, gradient="forward") - 1))
print("one rate, tolerance 1e-6: gradient by Algorithm 2 off by", off_by)
assert float(off_by.strip("*")) < 1e-2 * off_of(1e-6)

f, z0, k, _ = fields["rotating"]
# from (1, 0), z(t) = (cos(sqrt(k) t), -sqrt(k) sin(sqrt(k) t))
exactly = grad(lambda k: np.cos(np.sqrt(k) * 3.0) - np.sqrt(k) * np.sin(np.sqrt(k) * 3.0))(k)
loss = lambda k, **o: np.sum(odeint(f, z0, [0, 3.0], k, **o)[-1])
tolerances = (1e-3, 1e-6, 1e-9)
off = np.zeros((3, 3))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for i, forward in enumerate(tolerances):
        for j, tol in enumerate(tolerances):
            backward = {"adjoint_rtol": tol, "adjoint_atol": tol}
            slope = grad(loss)(k, rtol=forward, atol=forward, **backward)
            off[i, j] = abs(slope / exactly - 1)
rows = [(f"{tolerances[i]:.0e}", *[f"{value:.0e}" for value in off[i]]) for i in range(3)]
table(rows, "gradient off by, for the forward tolerance", "backward 1e-03", "1e-06", "1e-09")
assert off[2, 2] < 1e-6 < off[2, 0] and off[0, 2] > 1e-4  # the larger of the two decides

# %% [markdown]
# The larger error of the two decides. A backward tolerance far below the forward one gives nothing.
#
# **To play with.** `python -m tutorials --play back` opens a window with the field of two rates.
# Make the larger rate $k_2$ larger, or the tolerance smaller, and look at the error on the way
# back, at the warning and at the four gradients. Then drag the round point to the time 1. There the
# way back begins anew from a stored state, as with checkpoints, and $\mathbf z(0)$ comes back with
# a much smaller error.
#
# ![Above left, the field of two rates of chapter 10, solved forwards and back. The way back begins anew at the round point, from the state that was found there on the way forwards. Below, how far both are from the exact solution; a wide band is what exp(k2 times the time back) makes of the first error. Right, the errors of dL/dtheta by four ways. A cross has a warning, or has given up.](../figures/play_back.png)
#
# The libraries torchdiffeq and diffrax do not check the way back. The page
# [Beyond tinyode](BEYOND.md#algorithm-2) has an example.
#
# ## Exact and constant?
#
# Every way to take a gradient through $n$ steps gives something up:
#
# | way | memory | exact derivative of the numbers computed | gives up |
# | --- | --- | --- | --- |
# | the tape, `discrete` | grows with $n$ | yes | memory |
# | `discrete` with `checkpoints` | as many states as you say, for example $\sqrt n$ | yes | time: steps are repeated |
# | `interpolated` | grows with $n$ | to the tolerance | memory and exactness |
# | `adjoint` (Algorithm 2) | constant | to the tolerance | digits where solutions draw together |
# | `forward` | a column $\frac{d\mathbf z}{d\theta_i}$ for each parameter | to rounding | many parameters |
#
# To have all, one needs a step that can be undone exactly. To undo Euler's step $z + h f(z)$ one has
# to solve an equation. But a sum can be undone if what was added can be computed again. So take two
# copies $y$ and $z$ of the state, and change each by something that is computed from the other
# (McCallum and Foster, 2024). Let $\Psi_h(t, z)$ be what some Runge-Kutta method adds to $z$ in a
# step of size $h$; for Euler's method it is $h f(t, z)$. Start from $y_0 = z_0$, choose a number
# $\lambda$ a little below 1 (not the $\lambda$ of chapter 4), and step by
#
# $$y_{i+1} = \lambda y_i + (1 - \lambda) z_i + \Psi_h(t_i, z_i), \qquad
# z_{i+1} = z_i - \Psi_{-h}(t_{i+1}, y_{i+1}).$$
#
# $\Psi_{-h}$ is a step backwards in time, and minus that is again a step forward. The mean with
# weight $1 - \lambda$ draws $y$ to $z$. To undo a step, take the second line first: $y_{i+1}$ is
# known, so what was subtracted can be computed again.
#
# $$z_i = z_{i+1} + \Psi_{-h}(t_{i+1}, y_{i+1}), \qquad
# y_i = \big(y_{i+1} - (1 - \lambda) z_i - \Psi_h(t_i, z_i)\big) / \lambda.$$
#
# With numbers: Euler's method, $f = -z$, $h = 0.1$, $\lambda = 0.99$, $y_0 = z_0 = 1$. There
# $y_1 = 0.99 + 0.01 - 0.1 = 0.9$ and $z_1 = 1 - 0.1 \cdot 0.9 = 0.91$. Back:
# $z_0 = 0.91 + 0.09 = 1$ and $y_0 = (0.9 - 0.01 + 0.1) / 0.99 = 1$.
#
# The gradient goes back step by step: undo the step, then take one vector-Jacobian product
# (chapter 3) of the step at the states that came back. Here is all of it, for $t$ from 0 to 1, with
# the midpoint rule for $\Psi$.


# %%
def midpoint(f, t, z, theta, h):
    return h * f(t + h / 2, z + h / 2 * f(t, z, theta), theta)


def step(f, t, y, z, theta, h, lam=0.99, psi=midpoint):
    """Take one step of the reversible scheme from t to t + h."""
    y = lam * y + (1 - lam) * z + psi(f, t, z, theta, h)
    return y, z - psi(f, t + h, y, theta, -h)


def undo(f, t, y, z, theta, h, lam=0.99, psi=midpoint):
    """Return the y and z of time t that `step` took to these, of time t + h."""
    z = z + psi(f, t + h, y, theta, -h)
    return (y - (1 - lam) * z - psi(f, t, z, theta, h)) / lam, z


def reversible_gradient(loss, f, z0, theta, n, lam):
    """Return dL/dtheta and y, z where they come back to. No state is kept on the way."""
    h, y, z = 1 / n, z0, z0
    for i in range(n):
        y, z = step(f, i * h, y, z, theta, h, lam)
    a_y, a_z = grad(loss)(y), np.zeros_like(z)  # dL/dy, dL/dz; the loss is that of y
    a_theta = tree.map(np.zeros_like, theta)
    for i in reversed(range(n)):
        y, z = undo(f, i * h, y, z, theta, h, lam)
        one_step = lambda y, z, theta, t=i * h: step(f, t, y, z, theta, h, lam)
        _, pullback = vjp(one_step, y, z, theta)
        a_y, a_z, more = pullback((a_y, a_z))
        a_theta = tree.map(np.add, a_theta, more)
    return a_theta, y, z


decay = lambda t, z, k: -k * z
euler = lambda f, t, z, theta, h: h * f(t, z, theta)
there = step(decay, 0.0, 1.0, 1.0, 1.0, 0.1, psi=euler)
back = undo(decay, 0.0, *there, 1.0, 0.1, psi=euler)
print("y, z after one step:", np.round(there, 12), " and undone:", np.round(back, 12))
assert np.allclose(there, (0.9, 0.91), rtol=1e-14) and np.allclose(back, (1, 1), rtol=1e-14)

# %% [markdown]
# Is it exact? Take the trained network of the plane, fifty points and a thousand steps. The exact
# derivative comes from the tape, which records all steps of the same scheme.

# %%
points = np.linspace(-1, 1, 50)[:, None]
begin = models.augmented(points, 1)
turned = lambda z: np.mean((z[:, :1] + points) ** 2)


def reversible_loop(theta, n, lam):
    h, y, z = 1 / n, begin, begin
    for i in range(n):
        y, z = step(in_the_plane, i * h, y, z, theta, h, lam)
    return turned(y)


def distance(one, other):
    """Return how far apart two gradients are, relative to their size."""
    one, other = [np.concatenate([*map(np.ravel, tree.flatten(g)[0])]) for g in (one, other)]
    return np.linalg.norm(one - other) / np.linalg.norm(other)


for lam in (0.99, 0.999):
    by_tape = grad(lambda theta, lam=lam: reversible_loop(theta, 1000, lam))(plane)
    by_undoing, y, z = reversible_gradient(turned, in_the_plane, begin, plane, 1000, lam)
    came_back = max(np.abs(y - begin).max(), np.abs(z - begin).max())
    print(f"lambda {lam}: start off by {came_back:.1e},", end=" ")
    print(f"gradient off by {distance(by_undoing, by_tape):.1e}")
    assert came_back < 1e-10 and distance(by_undoing, by_tape) < 1e-10

# %% [markdown]
# It is exact up to rounding errors (those of $\lambda = 0.99$ have grown; why follows below), and
# it keeps two states instead of a thousand. Now all ways side by side, with the midpoint rule: the
# peak of the memory, and how far the gradient is from the exact derivative of the numbers that the
# same forward pass computes. (The tape and `discrete` are compared with each other. `discrete`
# keeps one state a step, the tape also what the network computes in it.)


# %%
def by_midpoint(n, way, **options):
    fixed = {"method": "midpoint", "step_size": 1 / n, "gradient": way, **options}
    return grad(lambda p: turned(odeint(in_the_plane, begin, [0, 1.0], p, **fixed)[-1]))(plane)


def midpoint_loop(theta, n):
    z = begin
    for i in range(n):
        z = z + midpoint(in_the_plane, i / n, z, theta, 1 / n)
    return turned(z)


of_loop = lambda loop, *args: grad(lambda theta: loop(theta, *args))(plane)
all_ways = {
    "the tape": lambda n: of_loop(midpoint_loop, n),
    "discrete": lambda n: by_midpoint(n, "discrete"),
    "checkpoints": lambda n: by_midpoint(n, "discrete", checkpoints=round(np.sqrt(n))),
    "interpolated": lambda n: by_midpoint(n, "interpolated"),
    "Algorithm 2": lambda n: by_midpoint(n, "adjoint"),
    "forward": lambda n: by_midpoint(n, "forward"),
    "reversible": lambda n: reversible_gradient(turned, in_the_plane, begin, plane, n, 0.99)[0],
}
memory, inexact = {}, {}
for n in (10, 100):
    # what each is compared with: the exact derivative of the same forward pass
    exactly = dict.fromkeys(all_ways, by_midpoint(n, "discrete"))
    exactly["discrete"] = exactly["checkpoints"] = all_ways["the tape"](n)
    exactly["reversible"] = of_loop(reversible_loop, n, 0.99)
    for name, way in all_ways.items():
        way(10)  # what is compiled at the first call is not counted
        tracemalloc.start()
        slope = way(n)
        memory[name, n] = tracemalloc.get_traced_memory()[1] / 1024
        tracemalloc.stop()
        inexact[name, n] = distance(slope, exactly[name])
rows = []
for name in all_ways:
    kilobytes = [f"{10 * np.ceil(memory[name, n] / 10):.0f}" for n in (10, 100)]
    rows.append((name, *kilobytes, *[f"{inexact[name, n]:.0e}" for n in (10, 100)]))
print("parameters:", sum(leaf.size for leaf in tree.flatten(plane)[0]))
table(rows, "", "memory in kB: 10 steps", "100 steps", "off by: 10 steps", "100 steps")
for name in ("Algorithm 2", "forward", "reversible"):
    assert memory[name, 100] < 1.1 * memory[name, 10]
assert memory["the tape", 100] > 8 * memory["the tape", 10]
assert memory["forward", 100] > 10 * memory["reversible", 100]
exact_ways = {name for name in all_ways if inexact[name, 100] < 1e-10}
assert exact_ways == set(all_ways) - {"interpolated", "Algorithm 2"}

figure, axes = panels(width=9, height=5)
for name, number, marker in zip(all_ways, (5, 0, 2, 3, 1, 0, 4), "so^vDXP"):
    along = (
        [memory[name, n] for n in (10, 100)],
        [max(inexact[name, n], 2.0**-53) for n in (10, 100)],
    )
    axes.plot(*along, color=COLOURS[number], linewidth=1)
    axes.scatter(*along, s=(40, 130), color=COLOURS[number], marker=marker, label=name)
axes.set(xscale="log", yscale="log", ylim=(3e-17, 1))
axes.set(xlabel="peak memory, kB", ylabel="distance from the exact derivative")
axes.set(title="10 steps (small marks) and 100 steps (large marks)")
axes.legend(loc="center", fontsize=11, ncols=2)
save(
    figure,
    "10_exact_and_constant",
    alt="Distance of the gradient from the exact derivative of the numbers computed, over peak"
    " memory, for seven ways and 10 and 100 steps. The tape and discrete are at rounding, and"
    " their memory grows with the steps, with checkpoints more slowly. Algorithm 2 keeps the same"
    " memory and is off by 1e-2 to 1e-4. The interpolated way is as far off, and its memory grows."
    " Forward is at rounding and constant, at more than ten times the memory. Only the reversible"
    " scheme is at rounding, constant, and small.",
)

# %% [markdown]
# The reversible scheme alone is exact, constant and small. This is what it costs.
#
# **Twice the evaluations.** A step takes $\Psi$ two times. To undo it takes two more.
#
# **It is stable for small steps only.** On $z' = -k z$ one step multiplies $(y, z)$ by a matrix of
# two rows. Its first half multiplies $y$ by $\lambda$ and adds a multiple of $z$; the second keeps
# $z$ and subtracts a multiple of $y$. Their determinants are $\lambda$ and 1, so the product of the
# two eigenvalues of a step, its determinant, is $\lambda$. One of them belongs to the solution and
# is close to $e^{-h k}$. So the other, that of $y - z$, is close to $\lambda e^{h k}$: the second
# half is a step backwards in time, in which errors grow by $e^{h k}$, and $\lambda$ holds them
# down. This eigenvalue is below 1 only for $h k \lt \ln(1 / \lambda)$, 0.01 for $\lambda = 0.99$.
# Euler's method alone is stable up to $h k = 2$. A better $\Psi$ does not help:


# %%
def increment(method):
    """Return Psi of a method of the library: what `rk_step`, its one step, adds to z."""

    def psi(f, t, z, theta, h):
        return rk_step(lambda t, z: f(t, z, theta), TABLEAUS[method], t, z, h)[0] - z

    return psi


METHODS, rows = ("euler", "midpoint", "rk4", "dopri5"), []
for hk in (0.009, 0.011, 0.1):
    larger = []
    for name in METHODS:
        # what (y, z) = (1, 0) and (0, 1) become are the columns of the matrix
        matrix = np.stack(step(decay, 0.0, *np.eye(2), 1.0, hk, psi=increment(name)))
        assert np.isclose(np.linalg.det(matrix), 0.99)
        larger.append(np.abs(np.linalg.eigvals(matrix)).max())
    rows.append((hk, *[f"{value:.4f}" for value in (0.99 * np.exp(hk), *larger)]))
    assert all((value > 1) == (hk > np.log(1 / 0.99)) for value in larger)
table(rows, "h k", "lambda e^(h k)", "larger eigenvalue: euler", *METHODS[1:])

# %% [markdown]
# **Its rounding errors grow.** Undoing a step is a multiplication by the inverse matrix. Where
# solutions keep their distance, as on the field that turns, its eigenvalues have the absolute
# values 1 and $1 / \lambda$ (product $1 / \lambda$). So a rounding error of $y - z$ grows by
# $\lambda^{-n}$ in $n$ steps back:

# %%
turning, first, k, _ = fields["rotating"]
rows = []
for lam, n in ((0.9, 100), (0.9, 300), (0.99, 1000), (0.99, 3000), (0.999, 3000)):
    y, z, h = first, first, 0.01
    for i in range(n):
        y, z = step(turning, i * h, y, z, k, h, lam)
    for i in reversed(range(n)):
        y, z = undo(turning, i * h, y, z, k, h, lam)
    back_off, bound = np.abs(y - first).max(), 2.0**-52 * lam**-n
    rows.append((lam, n, f"{back_off:.0e}", f"{bound:.0e}"))
    assert bound / 20 < back_off < 20 * bound
table(rows, "lambda", "n", "start off by", "rounding times lambda^-n")

# %% [markdown]
# No $\lambda$ is best. With the largest stable step, $h = \ln(1 / \lambda) / k$, the time $T$ takes
# $n = T / h$ steps. Then $\lambda^{-n} = e^{k T}$ for every $\lambda$: the factor that Algorithm 2
# loses; but here it multiplies a rounding error, there the error of a tolerance. Both losses, on
# the field of two rates with $k = 5$, $T = 3$ and $\lambda = 0.99$:

# %%
f, z0, k, _ = fields["two rates"]
exact_z1 = solve(f, z0, [0, 3.0], k, rtol=1e-12, atol=1e-13).y[-1]
scheme_off, undone_off, rows = {}, {}, []
for n in (150, 300, 600, 1500, 3000, 6000):
    h, plain, y, z = 3.0 / n, z0, z0, z0
    for i in range(n):
        plain = plain + midpoint(f, i * h, plain, k, h)
        y, z = step(f, i * h, y, z, k, h)
    plain_off, scheme_off[n] = np.abs(plain - exact_z1).max(), np.abs(y - exact_z1).max()
    for i in reversed(range(n)):
        y, z = undo(f, i * h, y, z, k, h)
    undone_off[n] = np.abs(y - z0).max()
    off_by = [f"{value:.0e}" for value in (plain_off, scheme_off[n], undone_off[n])]
    rows.append((n, round(h * k, 4), *off_by))
table(rows, "steps", "h k", "z(3) off by: midpoint rule", "reversible", "z(0) off by, undone")
assert scheme_off[150] > 1e3 * scheme_off[1500] and undone_off[6000] > 1e9 * undone_off[150]
for lam in (0.9, 0.99, 0.999):
    assert np.isclose(lam ** -(k * 3.0 / np.log(1 / lam)), np.exp(k * 3.0))

# %% [markdown]
# With steps above $h k = 0.01$ the states come back to nine digits, but the solution is wrong: the
# gradient would be the exact derivative of wrong numbers. With smaller steps the solution is right,
# but there are so many that the digits are lost on the way back.
#
# **Its error estimate does not see it.** An adaptive solver compares two results of one step of
# $\Psi$, both from the same $z$ (chapter 1). How far $y$ is from $z$ does not enter. Take `dopri5`
# for $\Psi$, with $h k = 0.1$, and the same field up to $t = 10$:

# %%
y, z, h, at_most = z0, z0, 0.02, 0.0
for i in range(500):
    estimate = rk_step(lambda t, z: f(t, z, k), TABLEAUS["dopri5"], i * h, z, h)[2]
    at_most = max(at_most, np.sqrt(np.mean((estimate / (1e-9 + 1e-6 * np.abs(z))) ** 2)))
    y, z = step(f, i * h, y, z, k, h, psi=increment("dopri5"))
exact_end = solve(f, z0, [0, 10.0], k, rtol=1e-10, atol=1e-12).y[-1]
print(f"largest estimate: {at_most:.2f} of the tolerance 1e-6, so all steps are accepted;", end=" ")
print(f"y(10) is off by {np.abs(y - exact_end).max():.0e}")
assert at_most < 1 and np.abs(y - exact_end).max() > 1e6

# %% [markdown]
# So the scheme gives up large steps and the estimate of the error. It is for fields whose solutions
# keep their distance, where memory is short; the library does not have it. Where digits matter more
# than memory, take `discrete`; where memory is short too, with `checkpoints`.
#
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
switch = lambda t, y: np.where(y > 0.5, -y, -2 * y)
right = 4 * np.exp(-2.0)
ways = ("adjoint", "interpolated", "discrete", "forward")
y1 = lambda y0, **o: odeint(switch, y0, [0, 1.0], rtol=1e-8, **o)[-1]
in_one_piece = {}
for way in ways:
    in_one_piece[way] = grad(lambda y0, way=way: y1(y0, gradient=way))(1.0)
    print(f"{way:13} {in_one_piece[way]:.4f}, and it should be {right:.4f}")
    assert abs(in_one_piece[way] - right / 2) < 1e-3
quotient = (y1(1.001) - y1(0.999)) / 0.002
print(f"y(1) is off by {abs(y1(1.0) - right / 2):.0e}; finite differences give {quotient:.4f}")
assert abs(y1(1.0) - 2 * np.exp(-2)) < 1e-6 and abs(quotient - right) < 1e-3

# %% [markdown]
# The solution is right: the solver takes tiny steps around the jump. All four ways agree, and all
# are wrong by the factor 2. Only finite differences, which solve from another start, are right.
#
# The reason: a change of $y_0$ also moves the time $t^{\ast}$ of the switch. Each of the four ways
# takes the derivative of $f$ *on each side of* the switch, and none takes the derivative of
# $t^{\ast}$. They compute the gradient for a switch at a fixed time. Their agreement is no proof.
#
# How much is missing? Start a little higher. Just before the surface, the two solutions are
# $\delta^-$ apart. The higher one reaches the surface later, by $dt^{\ast} = -\delta^- / f^-$, with
# the slopes $f^-$ before and $f^+$ after the surface. During $dt^{\ast}$ the higher solution still
# has the slope $f^-$, the other one has $f^+$ already. After the surface their distance is
#
# $$\delta^+ = \delta^- + (f^- - f^+) dt^{\ast} = \frac{f^+}{f^-} \delta^-,$$
#
# here with $f^+ / f^- = (-1) / (-\tfrac12) = 2$. (In more dimensions it is a matrix, the
# *saltation matrix*. It needs $f^- \ne 0$, and an $f^+$ that leads on across the surface.) On its way
# back $\mathbf a$ has to jump by the same factor at $t^{\ast}$, of which the solver does not know.
#
# The cure is to say where the switch is. `odeint_event` stops at the surface and returns the time
# $t^{\ast}$ with its derivative (chapter 4, on $y(t^{\ast}) = \tfrac12$). `odeint` goes on from there.


# %%
def in_two_pieces(y0, way):
    options = {"rtol": 1e-8, "gradient": way}
    t, y = odeint_event(lambda t, y: -y, y0, 0.0, event=lambda t, y: y - 0.5, t_end=1.0, **options)
    return odeint(lambda t, y: -2 * y, y, np.stack([t, 1.0]), **options)[-1]


for way in ways:
    slope, in_one = grad(in_two_pieces)(1.0, way), in_one_piece[way]
    print(f"{way:13} {slope:.4f} in two pieces; in one {in_one:.4f}, doubled {2 * in_one:.4f}")
    assert abs(slope - right) < 1e-5 and abs(2 * in_one - right) < 2e-3

# %% [markdown]
# At a switch at a fixed *time* $\mathbf a$ has no jump: $t^{\ast}$ does not move. At a kink of $f$
# (`np.maximum(y, 1)` at 1, or a network of ReLU) it has none: there $f^+ = f^-$.
#
# ## The sources against the numbers
#
# The slides of Price-Broncucia list four drawbacks:

# %%
lost = gradient_error["two rates", 1e-6, "adjoint"].strip("*")
kept = gradient_error["two rates", 1e-6, "discrete"]
jump = np.ptp([float(y[-1]) for y in found.values()])
print("P-batch, 'minibatching not so straightforward': holds; one clock takes", end=" ")
print(f"{one / own.max():.1f} times the evaluations of the hardest sample")
print("P-unique, 'unique solution? with Lipschitz nonlinearities, yes': holds;", end=" ")
print(f"without, y(4) changes by {jump:.0f} for starts that are 1e-10 apart")
print("P-tol, 'must choose error tolerance on forward/backward passes': holds;", end=" ")
print(f"forward 1e-9, backward 1e-3 and 1e-9: off by {off[2, 0]:.0e} and {off[2, 2]:.0e}")
print("P-err, 'numerical error from backwards pass: not seen in application': does not hold;")
print(f"    two rates, tolerance 1e-6: gradient off by {lost}, without solving back {kept}")
assert float(lost) > 1e3 * float(kept)

# %% [markdown]
# ## Exercises


# %%
def disc_and_ring(n, **options):  # for exercise 10.3, as the next function
    """Return n points of the edge of the disc, n of the ring, and -1 or 1 for each."""
    angle = np.linspace(0, 2 * np.pi, n, **options)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([0.5 * circle, 2.5 * circle]), np.repeat([-1.0, 1.0], n)


def apart_by_a_line(side, extra):
    """Return the share of points on the right side after training, and the last loss."""
    size = 2 + extra
    init, network = nn.mlp(size, 16, size)
    flow = compiled(lambda t, z, q: network(q, z))
    points, sign = disc_and_ring(40, endpoint=False)
    loss = lambda p: np.mean(nn.softplus(-sign * side(p, points, extra, flow)))
    rng = np.random.default_rng(0)
    fitted, value = fit(loss, {"f": init(rng), "w": rng.normal(size=size), "b": 0.0}, steps=80)
    points, sign = disc_and_ring(2000)  # also between the points that it was trained on
    of_each = np.mean((sign * side(fitted, points, extra, flow) > 0).reshape(2, -1), axis=1)
    return np.mean(of_each), value  # the mean of the shares of the disc and of the ring


# %% [exercise 10.1] level 1
# A flow of the line can learn an increasing function. Let it learn $x \mapsto x^3 + x / 2$ at the
# nine points `x`, with `fit` and `end` from above. Start from the parameters
# `nn.mlp(2, 16, 1)[0](np.random.default_rng(0))`. Set `cubic` to the parameters that come out.

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
untrained = nn.mlp(2, 16, 1)[0](np.random.default_rng(0))
others = {
    "": x**3 + x / 2,
    "These are the parameters of the start. Train them: fit(loss, start).": end(untrained),
    "It presses all points together, as above: is its target -x, or another that falls?": 0 * x,
    "It comes nearer to (x^3 + x) / 2: only x is to be halved.": (x**3 + x) / 2,
    "It comes nearer to x^3: x / 2 is to be added.": x**3,
}
errors = {hint: np.mean((end(cubic) - other) ** 2) for hint, other in others.items()}
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
narrow = lambda x: x - 3 * x * np.exp(-((20 * x) ** 2))
cases = {
    "x^3 + x / 2": (lambda x: x**3 + x / 2, "It is increasing."),
    "exp(x) - 5": (lambda x: np.exp(x) - 5, "It is increasing. Its values need not be near x."),
    "the constant 0": (lambda x: 0 * x, "The flow above came near to it: it presses all together."),
    "-x": (lambda x: -x, "It turns the order of the points round."),
    "x^2": (lambda x: x**2, "It falls for x below 0."),
    "x + sin(9 x) / 4": (lambda x: x + np.sin(9 * x) / 4, "It falls in places."),
    "x - 3 x exp(-(20 x)^2)": (narrow, "It falls in one narrow place: look at more points."),
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


# A flow is a homeomorphism: it is continuous, and so is its inverse. Then what is inside of the
# ring stays inside of it. So in the plane training tears the ring between two points, but not
# quite. In three dimensions the disc is lifted out.
(share, value), (share_lifted, value_lifted) = apart_by_a_line(side, 0), apart_by_a_line(side, 1)
print(f"loss {value:.4f} in the plane, {value_lifted:.4f} with a third dimension;", end=" ")
print(f"on the right side {share:.4f}, {share_lifted:.4f}")
assert share < 1.0 and share_lifted == 1.0 and value_lifted < value

# %% [check 10.3]
of_flow = np.random.default_rng(1).normal(size=(3, 3))
five = np.random.default_rng(2).normal(size=(5, 2))
turn = lambda t, z, q: np.tanh(z @ q) + t
w, b = np.array([0.5, -1.0, 2.0]), 0.3
given = side({"f": of_flow, "w": w, "b": b}, five, 1, turn)
assert given is not None, "side returns None: where is its `return`?"
assert np.shape(given) == (5,), (
    f"for five points side returns the shape {np.shape(given)}; it should be (5,)"
)
with_zero = models.augmented(five, 1)
right = models.neural_ode(turn, with_zero, 0.0, 1.0, of_flow, **SOLVER) @ w + b
backwards = models.neural_ode(turn, with_zero, 1.0, 0.0, of_flow, **SOLVER) @ w + b
mistakes = {
    "b is not added.": right - b,
    "That is the sign; return the number itself, or the loss has no slope.": np.sign(right),
    "The points have not flowed: solve from 0 to 1 first.": with_zero @ w + b,
    "The points flow from t = 1 to 0.": backwards,
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
slopes = lift(0.0, on_circle)
assert slopes is not None, "lift returns None: where is its `return`?"
assert np.shape(slopes) == (60, 3), (
    f"for points of shape (60, 3) lift returns the shape {np.shape(slopes)}; it should be the same"
)
ray = np.linspace(0, 3, 30_001)[:, None] * np.array([1.0, 0.0, 0.0])
jumps = np.abs(np.diff(lift(0.0, ray), axis=0)).max(axis=1)
assert jumps.max() < 0.05, (
    f"your field jumps by {jumps.max():.2g} near r = {ray[np.argmax(jumps), 0]:.3f}. It should be"
    " smooth: without a Lipschitz constant solutions need not be unique"
)
heights = {}
for called, radii in (("disc", (0.0, 0.3, 0.6, 1.0)), ("ring", (2.0, 2.3, 2.6, 3.0))):
    points = np.concatenate([r * on_circle for r in radii])
    heights[called] = solve(lift, points, [0.0, 1.0], rtol=1e-5, atol=1e-6).y[-1, :, 2]
assert heights["disc"].min() > 0.5, (
    f"the lowest point of the disc ends at z_3 = {heights['disc'].min():.3f}, not above 1/2"
)
assert heights["ring"].max() < 0.5, (
    f"the highest point of the ring ends at z_3 = {heights['ring'].max():.3f}, not below 1/2."
    " How fast may a point rise where r is 2 or more?"
)

# %% [markdown]
# ## What to remember
#
# 1. On one clock every sample takes the small steps of all. `solve_batch` gives each its own.
# 2. Trajectories of a Lipschitz field do not meet. So a flow of the line keeps the order of points,
#    and one more dimension lets them pass.
# 3. Where solutions draw together at different rates, a solve backwards over the time $T$
#    multiplies errors by up to $e^{kT}$, and the gradient of Algorithm 2 loses these digits.
# 4. A gradient by Algorithm 2 has constant memory and is not exact; one by `discrete` is exact, and
#    keeps states. The reversible scheme has both, with small steps and on few fields.
# 5. Agreement of all ways is no proof. Compare with finite differences; where $f$ jumps with the
#    state, solve in two pieces with `odeint_event`.
#
# ## Sources
#
# P-batch, P-unique, P-tol, P-err (Price-Broncucia, "Drawbacks + Challenges"). Chen, Rubanova,
# Bettencourt and Duvenaud, "Neural ordinary differential equations" (2018), section 6. Dupont,
# Doucet and Teh, "Augmented neural ODEs" (2019). Hairer, Norsett and Wanner I, sections I.7 to I.10.
# McCallum and Foster, "Efficient, accurate and stable gradients for neural ODEs" (2024, arXiv
# 2410.11648).
