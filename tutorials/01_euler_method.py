# %% [markdown]
# # Euler's method: where the slopes lead

# %% [markdown]
# **Needs**: derivatives, the chain rule and Taylor's theorem; what a differential equation is. In
# Python: functions, loops and NumPy arrays.
#
# **You will be able to**: take one step and many steps of Euler's method; measure the order of a
# method; say how a solver finds out how wrong its step is, and what its error messages mean.
#
# **Minutes**: 70 to 100, with the exercises of level 1.
#
# **The question.** A differential equation gives the slope of a curve at every point, and one point
# that the curve passes through is known. Where does the curve go? And how far can the answer of a
# program be trusted?

# %% [markdown]
# ## The equation
#
# A population lives in a climate with seasons. Its size at time $t$ is $y$. Per unit of time
# each member adds $\cos t$, positive in summer and negative in winter. So all together add
# $y \cos t$: this is the slope of the curve $y(t)$. At time 0 the size is 1. In general,
#
# $$\frac{dy}{dt} = f(t, y), \qquad y(t_0) = y_0. \tag{G1}$$
#
# The function $f$ is called the *field*. It takes the time first and the state second, in formulas
# and in code. The time $t_0$ is the start and $t_1$ is the end. (Letters in brackets, such as G1,
# name a formula in one of the four sources of this course; `SOURCES.md` lists them all.)
#
# Here the solution is known: $y = e^{\sin t}$, since its derivative is $\cos t \cdot e^{\sin t}$.
# We use it only to measure errors.

# %%
import textwrap

import numpy as np

from tinyode import SolverError, solve
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import check_step


def f(t, y):
    """A population in a climate with seasons: it grows while cos t > 0, and else shrinks."""
    return y * np.cos(t)


def exact(t):
    """The solution through y(0) = 1, to measure errors by."""
    return np.exp(np.sin(t))


t0, t1, y0 = 0.0, 5.0, 1.0

# %% [markdown]
# ## One step along the tangent
#
# At the start the slope is known: it is $f(t_0, y_0) = 1 \cdot \cos 0 = 1$ (G2). A step of length
# $h$ along the tangent leads to $y_0 + h f(t_0, y_0)$. With $h = 0.1$ this is 1.1, and the solution
# is $e^{\sin 0.1} = 1.105$. Taylor's theorem says how wrong a step is:
#
# $$y(t + h) = y(t) + h f(t, y(t)) + \frac{h^2}{2} y''(\xi), \tag{N-tangent}$$
#
# where $\xi$ is some time between $t$ and $t + h$. So the error is $O(h^2)$, which means: at most a
# constant times $h^2$. A step half as long has about a quarter of the error. By the product rule,
# $y'' = y' \cos t - y \sin t = (\cos^2 t - \sin t) y$. At the start this is 1, so the error should
# be close to $h^2 / 2$.

# %%
print("step h    tangent's error    error / (h^2 / 2)")
for h in (0.4, 0.2, 0.1, 0.05, 0.025):
    error = abs(y0 + h * f(t0, y0) - exact(t0 + h))
    print(f"{h:6}    {error:15.3e}    {error / (h**2 / 2):17.4f}")
assert abs(error / (h**2 / 2) - 1) < 0.01

# %% [markdown]
# ## Many steps
#
# Go a short way along the tangent, compute the slope there, and go on along the new tangent. Let
# $n$ be the number of steps, $h = (t_1 - t_0) / n$ their length, and $y_m$ the state after $m$ of
# them. Then
#
# $$y_{m+1} = y_m + h f(t_0 + mh, y_m). \tag{P1, G3, N3}$$
#
# Through every point goes a solution of the equation. A step ends a little beside the solution on
# which it began, at a point of another solution, and the next step is tangent to that one.
#
# The library does the same: `solve(f, y0, times, method="euler")` starts from the state `y0` at the
# first of the times and returns an object. Its `.y` holds the states at all the times, and
# `.stats.nfev` the number of evaluations of $f$.


# %%
def euler(f, y, t0, t1, n):
    """Take n equal steps of Euler's method; return all times and states."""
    h = (t1 - t0) / n
    ts, ys = [t0], [y]
    for m in range(n):
        y = y + h * f(ts[-1], y)
        ts.append(t0 + (m + 1) * h)
        ys.append(y)
    return np.array(ts), np.array(ys)


ts, ys = euler(f, y0, t0, t1, 10)
library = solve(f, y0, np.linspace(t0, t1, 11), method="euler")
print("ours   ", ys.round(6))
print("library", library.y.round(6))
assert np.allclose(ys, library.y, rtol=1e-12, atol=0)
assert library.stats.nfev == 10  # one evaluation of f per step, no more

# %%
figure, axes = panels()
T, Y = np.meshgrid(np.linspace(0, 5, 26), np.linspace(0, 3.4, 18))
slope = f(T, Y)
length = np.hypot(1, slope)
lines = {"color": "#bbbbbb", "width": 0.0022, "headwidth": 0, "headlength": 0, "headaxislength": 0}
axes.quiver(T, Y, 1 / length, slope / length, angles="xy", scale=42, pivot="mid", **lines)
fine = np.linspace(t0, t1, 400)
axes.plot(fine, exact(fine), color="black", label="solution  exp(sin t)")
for n, colour in zip((5, 10, 40), COLOURS[4::-2]):
    ts, ys = euler(f, y0, t0, t1, n)
    axes.plot(ts, ys, "o-", color=colour, markersize=5, linewidth=1.6, label=f"Euler, {n} steps")
axes.set(xlabel="$t$", ylabel="$y$", ylim=(0, 3.6))
axes.set_title("Follow the slope, look again, follow the slope")
axes.legend(ncols=2, frameon=True, framealpha=1, edgecolor="white")
save(
    figure,
    "01_euler_steps",
    alt="The solution y(t) for t from 0 to 5, over short lines that show the slopes, and three "
    "paths of straight pieces: Euler's method with 5, 10 and 40 steps. The path with 5 steps "
    "swings far above the solution and ends far below it; the path with 40 steps stays close to "
    "it.",
)

# %% [markdown]
# ![Euler's method in eight steps. At each step it looks at the slope where it stands, walks along the tangent, and looks again. Each step ends on a neighbouring curve, and the walk drifts away from the solution.](../figures/01_euler_walks.gif)
#
# ## How wrong, and why first order
#
# One step gets four times as accurate when it is half as long. Now all steps together:

# %% [predict]
# Euler's method takes twice as many steps, each half as long. How many times smaller does its
# error at the end, at t1, get?

# %%
print("  n    error at t1    ratio to the row above")
errors = []
for n in (10, 20, 40, 80, 160, 320, 640):
    errors.append(abs(euler(f, y0, t0, t1, n)[1][-1] - exact(t1)))
    ratio = f"{errors[-2] / errors[-1]:.3f}" if len(errors) > 1 else ""
    print(f"{n:4}    {errors[-1]:.3e}    {ratio}")
assert abs(errors[-2] / errors[-1] - 2) < 0.05

# %% [markdown]
# Each step adds an error of $O(h^2)$, and there are $n = (t_1 - t_0)/h$ steps, so the errors add
# up to $O(h)$: **half the step, half the error**. A method whose error at the end is $O(h^p)$ has
# *order* $p$. Euler's method has order 1.
#
# Early errors grow on the way, but by a bounded factor. Let $E_m$ be the error after $m$ steps, $M$
# a bound of $|y''|$, and $K$ a Lipschitz constant of $f$: where two states differ by $E$, their
# slopes differ by at most $KE$. Take a step from the computed state, and one from the exact state.
# Before the step the two differ by $E_m$, and after it by at most $E_m + h K E_m = q E_m$, with
# $q = 1 + hK$. The step from the exact state adds an error of at most $\frac{h^2}{2} M$. So
# $E_{m+1} \le q E_m + \frac{h^2}{2} M$, and from $E_0 = 0$,
#
# $$E_n \le \frac{h^2}{2} M (1 + q + \dots + q^{n-1}) = \frac{h^2}{2} M \frac{q^n - 1}{q - 1}
# \le \frac{hM}{2K} \big( \exp(K(t_1 - t_0)) - 1 \big),$$
#
# since $q - 1 = hK$, $q \le e^{hK}$ and $nh = t_1 - t_0$. The bound is proportional to $h$, but it
# supposes the worst at every step:

# %%
M = np.abs((np.cos(fine) ** 2 - np.sin(fine)) * exact(fine)).max()
K = 1.0  # |cos t| is 1 at most
h = (t1 - t0) / n
bound = h * M / (2 * K) * (np.exp(K * (t1 - t0)) - 1)
print(f"{n} steps: the error is {errors[-1]:.4f}, the bound {bound:.2f}")
assert errors[-1] < bound

# %% [markdown]
# ## Better slopes: the midpoint method and Runge-Kutta
#
# Euler uses the slope at the start for the whole step. The slope in the *middle* represents the
# step better. The state there is not known, but half a step of Euler's method comes close enough:
#
# $$k_1 = f(t, y), \quad k_2 = f(t + \tfrac h2, y + \tfrac h2 k_1), \qquad \text{new state} = y + h k_2.$$
#
# Why is that better? Write $f_t$ and $f_y$ for the partial derivatives of $f$. By the chain rule
# $y'' = f_t + f f_y$, and by Taylor's theorem
# $k_2 = f + \frac h2 (f_t + f f_y) + O(h^2) = y' + \frac h2 y'' + O(h^2)$. So the new state is
# $y + h y' + \frac{h^2}{2} y'' + O(h^3)$, which is Taylor's series of the solution up to $h^2$. One
# step has the error $O(h^3)$, all steps together $O(h^2)$: the order is 2.
#
# Methods that combine several slopes of one step are called *Runge-Kutta methods*, and the slopes
# are their *stages*. The classical one (Kutta, 1901) has four stages and order 4.

# %% [predict]
# With 50 steps, Euler's method is wrong by 0.03 at t1. How wrong are 50 steps of the midpoint
# method, and 50 of the classical fourth-order method? A power of ten will do.


# %%
def midpoint_step(f, t, y, h):
    k1 = f(t, y)
    return y + h * f(t + h / 2, y + h / 2 * k1)


def rk4_step(f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


for step, method in ((midpoint_step, "midpoint"), (rk4_step, "rk4")):
    y, n = y0, 50
    for m in range(n):
        y = step(f, t0 + m * (t1 - t0) / n, y, (t1 - t0) / n)
    library = solve(f, y0, [t0, t1], method=method, step_size=(t1 - t0) / n).y[-1]
    print(f"{method:9} ours {y:.15f}   library {library:.15f}   error {abs(y - exact(t1)):.1e}")
    assert abs(y - library) < 1e-13
one_step = [abs(midpoint_step(f, 1.0, exact(1.0), h) - exact(1.0 + h)) for h in (0.02, 0.01)]
print(f"one midpoint step, half as long: its error is {one_step[0] / one_step[1]:.2f} times less")
assert abs(one_step[0] / one_step[1] - 8) < 0.3  # O(h^3)

# %% [markdown]
# ## How a solver knows its error
#
# A solver has no exact solution to compare with. It takes each step twice, by two methods of
# different order, and looks at the difference. Euler's method, of order 1, and the midpoint method,
# of order 2, share the first slope, and they differ by
#
# $$\text{midpoint} - \text{Euler} = h k_2 - h k_1.$$
#
# Euler's step has an error near $C h^2$, and the midpoint step one of $O(h^3)$, which is small
# beside it. So the difference is nearly Euler's error, and no solution is needed to find it:

# %%
print("step h   midpoint - Euler   Euler's true error   midpoint's true error")
for h in (0.4, 0.2, 0.1, 0.05):
    k1 = f(t0, y0)
    k2 = f(t0 + h / 2, y0 + h / 2 * k1)
    difference = h * (k2 - k1)
    of_euler, of_midpoint = exact(t0 + h) - (y0 + h * k1), exact(t0 + h) - (y0 + h * k2)
    print(f"{h:6} {difference:18.6f} {of_euler:20.6f} {of_midpoint:23.6f}")
assert abs(difference / of_euler - 1) < 0.05 and abs(of_midpoint) < 0.05 * of_euler

# %% [markdown]
# The solver goes on from the midpoint method's state, which is the better one. It compares the
# difference with what the user allows, by two numbers, `rtol` (relative) and `atol` (absolute):
#
# $$r = \frac{|\text{difference}|}{\mathrm{atol} + \mathrm{rtol} \cdot |y|},$$
#
# with the larger $|y|$ of the two ends of the step. With `rtol` $= 10^{-3}$ and `atol` $= 10^{-6}$,
# a step may be wrong by $0.002001$ where $y = 2$, and by $10^{-6}$ where $y = 0$. So `rtol` says how
# many digits are wanted, and `atol` which numbers are so small that their digits do not matter.
#
# * If $r \le 1$, the step is **accepted**.
# * If $r > 1$, the step is **rejected**: the solver goes back to where the step began, and tries a
#   shorter one.
# * In both cases $r$ tells the next length. The difference is proportional to $h^2$, so a step of
#   length $h / \sqrt r$ would have had $r = 1$. Solvers take 0.9 of this, to be on the safe side.
#
# (If the state is several numbers, $r$ is the root mean square of their ratios.) As an example, a
# warm body stands in a cold room and is heated for a moment, around $t = 2$:
# $y' = 8 \exp(-8 (t - 2)^2) - y$, where $y$ is how much warmer than the room it is.


# %%
def heated(t, y):
    """How fast the temperature of the body rises."""
    return 8 * np.exp(-8 * (t - 2) ** 2) - y


def adaptive(f, t, y, end, h, rtol, atol):
    """Take steps of the midpoint method; return accepted times and states, and rejected steps."""
    ts, ys, rejected = [t], [y], []
    while t < end:
        h = min(h, end - t)
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        new = y + h * k2
        r = abs(h * (k2 - k1)) / (atol + rtol * max(abs(y), abs(new)))
        if r <= 1:
            t, y = t + h, new
            ts.append(t)
            ys.append(y)
        else:
            rejected.append((t, y, t + h, new))
        h = h * min(10, max(0.2, 0.9 / np.sqrt(max(r, 1e-10))))  # from a fifth to ten times h
    return np.array(ts), np.array(ys), rejected


ts, ys, rejected = adaptive(heated, 0.0, 1.0, 6.0, 0.1, rtol=0.03, atol=0.003)
reference = solve(heated, 1.0, ts, rtol=1e-10, atol=1e-12)  # reference(t) is the state at t
wrong = np.abs(ys - reference.y).max()
print(f"{len(ts) - 1} steps accepted, {len(rejected)} rejected; the largest error is {wrong:.3f}")
print(f"the shortest step is {np.diff(ts).min():.3f}, the longest {np.diff(ts).max():.3f}")
assert wrong < 0.1 and 0 < len(rejected) < len(ts) / 3

# %%
figure, (above, below) = panels(rows=2, height=6.4, sharex=True)
fine = np.linspace(0, 6, 400)
above.plot(fine, reference(fine), color="black", linewidth=1.2, label="solution")
above.plot(ts, ys, "o", color=COLOURS[0], markersize=6, label="accepted: the end of a step")
for i, (start, y, end, new) in enumerate(rejected):
    label = "rejected: begun here, thrown away" if i == 0 else None
    above.plot([start, end], [y, new], "x--", color=COLOURS[4], linewidth=1.3, label=label)
above.set(
    ylabel="temperature $y$", title="Short steps where the solution bends, long ones elsewhere"
)
above.legend(fontsize=12)
below.plot(ts[:-1], np.diff(ts), "o", color=COLOURS[0], markersize=6)
tried = np.array([(start, end - start) for start, _, end, _ in rejected])
bends = np.gradient(heated(fine, reference(fine)), fine)  # y''
zeros = fine[:-1][bends[:-1] * bends[1:] < 0]
print("y'' passes through zero at t =", zeros.round(2))
assert np.allclose(zeros, [1.94, 2.66], rtol=0, atol=0.01)  # quoted in the next cell
below.plot(*tried.T, "x", color=COLOURS[4], markersize=8, markeredgewidth=2)
below.set(xlabel="$t$", ylabel="length $h$ of the step", ylim=(0, None))
save(
    figure,
    "01_accepted_rejected",
    alt="Above: the temperature of the body falls, rises steeply around t = 2 and falls again. "
    "Dots mark the ends of accepted steps; they are close together where the curve bends. Crosses "
    "with dashed lines mark rejected steps, most of them where the heating begins. Below: the "
    "length of the steps, which falls from 0.2 to 0.05 during the heating, and then grows again.",
)

# %% [markdown]
# In the lower picture two crosses are far too high, at $t = 2.0$ and 2.7. The difference is near
# $\frac{h^2}{2} y''$, and $y''$ passes through zero just before, at 1.94 and 2.66. There it is
# small by chance, the next step is tried too long, and it is rejected.
#
# `dopri5` (Dormand and Prince, 1980), which `solve` takes where no method is named, is such a pair
# with orders 5 and 4. Its difference is proportional to $h^5$, so the next length is
# $0.9 h / r^{1/5}$. It uses seven slopes. The last slope of a step is the first one of the next,
# and the first one is kept when a step is rejected. So each step costs six evaluations of $f$, and
# the start two more: the first slope, and one to guess the first length.

# %%
print("rtol = atol   accepted   rejected   evaluations   error at t1")
for tolerance in (1e-3, 1e-6, 1e-9):
    solution = solve(f, y0, [t0, t1], method="dopri5", rtol=tolerance, atol=tolerance)
    stats, error = solution.stats, abs(solution.y[-1] - exact(t1))
    print(f"{tolerance:11.0e} {stats.accepted:10} {stats.rejected:10} {stats.nfev:13}", end=" ")
    print(f"{error:13.1e}")
    assert stats.nfev == 2 + 6 * (stats.accepted + stats.rejected)
    assert error < 10 * tolerance

# %% [markdown]
# A tolerance says how wrong one *step* may be. The errors of all steps add up, so the error at the
# end can be larger than the tolerance.
#
# What counts is not the number of steps but the number of evaluations of $f$: if $f$ is a neural
# network (chapter 2), they take nearly all the time. In the next figure both axes are logarithmic,
# so a method of order $p$ falls along a line of slope $-p$: with ten times the work Euler is ten
# times as accurate, and rk4 ten thousand times. (Heun's method is that of exercise 1.2.) The marks
# of `dopri5` are tolerances from $10^{-3}$ to $10^{-12}$.

# %%
figure, axes = panels()
orders = {}
for method, marker in zip(("euler", "midpoint", "heun", "rk4"), "osd^"):
    cost, error = [], []
    for n in 2 ** np.arange(3, 13):
        solution = solve(f, y0, [t0, t1], method=method, step_size=(t1 - t0) / n)
        cost.append(solution.stats.nfev)
        error.append(abs(solution.y[-1] - exact(t1)))
    orders[method] = -np.polyfit(np.log(cost[3:7]), np.log(error[3:7]), 1)[0]
    size, label = 9 if method == "midpoint" else 6, f"{method}, slope {-orders[method]:.1f}"
    axes.loglog(cost, error, marker + "-", markersize=size, label=label)
cost, error = [], []
for digits in range(3, 13):
    solution = solve(f, y0, [t0, t1], method="dopri5", rtol=10.0**-digits, atol=10.0**-digits)
    cost.append(solution.stats.nfev)
    error.append(abs(solution.y[-1] - exact(t1)))
axes.loglog(cost, error, "*-", markersize=10, color=COLOURS[4], label="dopri5, adaptive")
axes.axhspan(1e-17, 2.2e-16 * exact(t1), color="#dddddd")
axes.text(1.0e4, 6e-17, "rounding", fontsize=11, color="#555555", ha="center")
axes.set(xlabel="evaluations of $f$", ylabel="error at $t_1$", ylim=(3e-17, 3))
axes.set_title("The more digits are wanted, the more a high order pays")
axes.legend(fontsize=11)
save(
    figure,
    "01_work_precision",
    alt="The error at the end against the number of evaluations of f, both axes logarithmic. "
    "Methods with fixed steps fall along straight lines: Euler with slope -1, midpoint and Heun "
    "together with slope -2, rk4 with slope -4. dopri5, which chooses its steps, needs the fewest "
    "evaluations where the error is to be small.",
)
for method, order in (("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)):
    assert abs(orders[method] - order) < 0.2, (method, orders[method])

# %% [markdown]
# **To play with.** `python -m tutorials --play euler` opens a window with this field. Drag the
# diamond, where the first step ends, to the left until the step is half as long: at the end Euler's
# method is wrong by half as much. Do the same with `rk4`. Then choose "adaptive" and make the
# tolerance smaller: the ticks below the field are the steps that were accepted, the crosses the
# steps that were rejected.
#
# ![Left, the field of chapter 1: short lines show its slopes, a black curve is the solution, a path with dots is the method's. Ticks below are its steps, crosses the steps that were rejected. Right, the error at the end against the step, on logarithmic axes, and a choice of four methods.](../figures/play_euler.png)
#
# ## Where it fails: the step is too long
#
# For $y' = -50 y$ and $y(0) = 1$ the solution $e^{-50 t}$ falls to nearly zero at once. Euler's
# method takes 200 steps, with three lengths $h$ of the step.

# %% [predict]
# The second and the third length are almost the same: 0.039 and 0.041. How large is |y| after 200
# steps of each? Below 0.001, near 1, or above 1000?

# %%
fast = lambda t, y: -50 * y  # a function of t and y, in one line
for h in (0.01, 0.039, 0.041):
    _, ys = euler(fast, 1.0, 0.0, 200 * h, 200)
    computed, formula = abs(ys[-1]), abs(1 - 50 * h) ** 200
    print(f"h = {h:5}: after 200 steps |y| = {computed:.2e}", end=", ")
    print(f"by the formula |1 - 50 h|^200 = {formula:.2e}")
    assert np.isclose(computed, formula, rtol=1e-9, atol=0)

# %% [markdown]
# One Euler step multiplies by $1 - 50 h$. For $h > 2/50 = 0.04$ this factor is below $-1$, and the
# numbers change sign at every step and grow without bound, although every tangent is drawn
# correctly. Accuracy would allow long steps once the solution is flat; *stability* forbids them.
# Such problems are called *stiff*. *Implicit* methods, which ask for the slope at the end of the
# step, can take long steps (chapter 2 shows one; in the library try `method="radau_iia5"`).
#
# ## Where it fails: the solution goes to infinity
#
# For $y' = y^2$ and $y(0) = 1$ the solution is $y = 1 / (1 - t)$: its derivative is
# $1 / (1 - t)^2 = y^2$. At $t = 1$ it goes to infinity, and after that there is no solution.

# %% [predict]
# We ask Euler's method (with 12 steps of length 0.1) and dopri5 for y(1.2), which does not exist.
# What does each of them answer: a number, infinity, or an error message?

# %%
square = lambda t, y: y**2
_, ys = euler(square, 1.0, 0.0, 1.2, 12)
print(f"Euler: y(1.0) = {ys[10]:.1f}, y(1.2) = {ys[12]:.1f}\n")
assert np.isfinite(ys).all()
try:
    solve(square, 1.0, [0.0, 1.2], method="dopri5")
except SolverError as error:
    print(textwrap.fill(f"{type(error).__name__}: {error}", 96))
    print(f"\nThe solve came as far as t = {error.t:.6f}, where y = {error.solution.y[-1]:.1e}.")
    assert abs(error.t - 1) < 1e-5 and error.solution.y[-1] > 1e6
else:
    raise AssertionError("a solver that checks its error cannot pass t = 1")

# %% [markdown]
# Euler's method answers with a number, and nothing says that it is nonsense. `dopri5` rejects its
# steps and makes them shorter and shorter. It gives up when $t + h$ can hardly be told from $t$ in
# floating point, here a little beyond 1, since its solution is not exact. In torchdiffeq, a library
# for PyTorch, this is **"underflow in dt"**. The reason shows in `error.t` and `error.solution`:
#
# * The state there is huge: the solution goes to infinity. Where $f$ is a neural network (chapter
#   2), its parameters have become too large.
# * $f$ is NaN there, "not a number" (a root or a logarithm of a negative number, 0/0). Then
#   torchdiffeq says "underflow in dt nan", and our message has the $t$ and $y$ at which $f$ is NaN.
#
# A stiff problem, or a tolerance of more digits than the numbers have, makes steps short, too. Then
# usually more steps are needed than `max_steps` allows, and the message says that.
#
# ## The sources against the numbers
#
# **An integral begins at the wrong time.** Below G3 stands "in general
# $y_t = y_0 + \int_0^t f(t, y) dt = \mathrm{ODESolve}(y_0, f, t_0, t_1)$", where ODESolve is any
# solver. But $y_0$ is the state at $t_0$, so the integral goes from $t_0$ to $t_1$: **corrected**,
#
# $$y(t_1) = y_0 + \int_{t_0}^{t_1} f(t, y(t)) dt.$$
#
# For $t_0 = 1$ the two differ:

# %%
y_of_1 = exact(1.0)


def integral(start, end):
    """Return the integral of f along the solution, as the mean of 100,000 slopes times the time."""
    ts = start + (np.arange(100_000) + 0.5) / 100_000 * (end - start)
    return f(ts, exact(ts)).mean() * (end - start)


corrected, printed = y_of_1 + integral(1.0, t1), y_of_1 + integral(0.0, t1)
print(f"y(5) = {exact(t1):.6f}; from t0 = 1: {corrected:.6f}; as printed, from 0: {printed:.6f}")
assert abs(corrected - exact(t1)) < 1e-8 < 0.1 < abs(printed - exact(t1))

# %% [markdown]
# ## Exercises

# %% [exercise 1.1] level 1
# For $y' = y$, $y(0) = 1$ and $n$ steps to $t = 1$, Euler's method gives $(1 + 1/n)^n$, and the
# solution is $e$. For many steps the error $e - (1 + 1/n)^n$ is close to $C / n$, where $C$ does
# not depend on $n$. Which number is $C$? (On paper: begin with the logarithm of $(1 + 1/n)^n$. By
# experiment: multiply errors by $n$. In Python, $e$ is `np.e`.)

# %% [stub 1.1]
constant = ...  # the number C, or a formula for it

# %% [solution 1.1]
# log (1 + 1/n)^n = n (1/n - 1/2n^2 + ...) = 1 - 1/2n + ..., and exp of that is e (1 - 1/2n + ...):
# the error is close to e / 2n
constant = np.e / 2
for n in (10, 100, 1000):
    _, ys = euler(lambda t, y: y, 1.0, 0.0, 1.0, n)
    assert np.isclose(ys[-1], (1 + 1 / n) ** n, rtol=1e-12, atol=0)
    print(f"n = {n:4}: error / (e / 2n) = {(np.e - ys[-1]) / (constant / n):.4f}")

# %% [check 1.1]
try:
    number = np.nan if isinstance(constant, (str, bytes)) else float(constant)
except (TypeError, ValueError):
    number = np.nan
assert np.isfinite(number), f"constant is {constant!r}; it should be a number."
assert number > 0, "Euler's numbers stay below e here, so e - (1 + 1/n)^n and C are positive."
assert abs(number - 0.5) > 0.01, (
    "1/2 belongs to the logarithm: log (1 + 1/n)^n is close to 1 - 1/2n. Take exp of both sides."
)
assert abs(number - np.e) > 0.01, (
    "e is twice too large. The second term of log (1 + x) = x - x^2 / 2 + ... has the factor 1/2."
)
measured = 1000 * (np.e - (1 + 1 / 1000) ** 1000)
assert abs(number / measured - 1) < 0.01, (
    f"With n = 1000 steps, n times the error is {measured:.4f}. Your C is {number:.4f}."
)

# %% [exercise 1.2] level 2
# Heun's method averages two slopes: the slope at the start of the step, and the slope at its end,
# at the state that Euler's step predicts. Write one step of it, in the form of `midpoint_step`.
# The check measures the order of your step; it must be two.


# %% [stub 1.2]
def heun_step(f, t, y, h):
    """Return the state at t + h, after one step from the state y at t; f(t, y) is the slope."""
    ...  # your code here


# %% [solution 1.2]
def heun_step(f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + h, y + h * k1)  # the slope at the end that Euler predicts
    return y + h * (k1 + k2) / 2


errors = []
for n in (100, 200):
    y = y0
    for m in range(n):
        y = heun_step(f, t0 + m * (t1 - t0) / n, y, (t1 - t0) / n)
    errors.append(abs(y - exact(t1)))
print(f"Heun: half the step, error divided by {errors[0] / errors[1]:.2f}")

# %% [check 1.2]
check_step(heun_step, 2)
asked_at = []


def decay(t, y):
    asked_at.append(t)
    return -y


heun_step(decay, 3.0, 1.0, 0.5)
assert set(asked_at) == {3.0, 3.5}, (
    "The order is right, but the method is another. Heun's asks for the slope at t and at t + h, "
    f"here 3.0 and 3.5; your step asks at {', '.join(map(str, asked_at))}."
)

# %% [exercise 1.3] level 1
# The error of a method of order $p$ is close to $C / n^p$, where $n$ is the number of steps. So one
# run tells how many steps another accuracy will take. Write a function that says so. It returns a
# whole number: the smallest one that is enough by this formula.


# %% [stub 1.3]
def steps_for(wanted, error, n, p):
    """Return how many steps give the error `wanted`, if n steps gave the error `error`.

    The method has order p.
    """
    ...  # your code here


# %% [solution 1.3]
def steps_for(wanted, error, n, p):
    # C = error n^p, and wanted = C / steps^p gives steps^p = n^p error / wanted
    return int(np.ceil(n * (error / wanted) ** (1 / p)))


error = abs(euler(f, y0, t0, t1, 100)[1][-1] - exact(t1))
n = steps_for(1e-3, error, 100, 1)
error = abs(euler(f, y0, t0, t1, n)[1][-1] - exact(t1))
print(f"by the formula {n} steps of Euler's method give the error 1e-3: they give {error:.2e}")
assert abs(error / 1e-3 - 1) < 0.05

# %% [check 1.3]
for p in (1, 2, 4):
    steps = steps_for(1.0, 2.0**p, 100, p)  # twice as many steps: 2^p times smaller
    case = f"With 100 steps a method of order {p} has the error {2.0**p}. For the error 1.0"
    assert isinstance(steps, (int, float, np.number)), f"steps_for returns {steps!r}, not a number."
    assert steps != 50, f"{case} you take 50 steps. Fewer steps make the error larger, not smaller."
    assert p == 1 or abs(steps - 100 * 2**p) > 1, (
        f"{case} you take {steps} steps: n error / wanted, which is right for p = 1 alone."
    )
    assert p == 1 or abs(steps - 100 * 2 ** (p * p)) > 1, (
        f"{case} you take {steps} steps: steps^p = n^p error / wanted has to be solved for steps, "
        "with a root."
    )
    assert abs(steps - 200) <= 1, (
        f"{case} you take {steps} steps. It takes 200: with twice as many steps the error is "
        f"2^{p} = {2**p} times smaller."
    )
steps = steps_for(1e-3, 1.234e-3, 100, 1)
assert steps == int(steps), f"A number of steps is a whole number; you return {steps}."
assert steps >= 124, (
    f"123.4 steps are enough in one case, and you take {steps}: the error is then above what is "
    "wanted. Round up (np.ceil)."
)
assert steps == 124, f"123.4 steps are enough in one case: 124 do it, and you take {steps}."

# %% [exercise 1.4] level 2
# A method is nothing but its numbers. They are called its *tableau*: a matrix $A$, of which each
# row $i$ uses the columns $j \lt i$ alone, the weights $b$ and the nodes $c$. One step from the
# state $y$ at time $t$ is
#
# $$k_i = f\left(t + c_i h, y + h \sum_{j \lt i} a_{ij} k_j\right), \qquad
# \text{new state} = y + h \sum_i b_i k_i.$$
#
# For the midpoint method, $A$ has the rows $(0, 0)$ and $(\frac12, 0)$, $b$ is $(0, 1)$ and $c$ is
# $(0, \frac12)$. Write a function that makes the step of any tableau. The state may be a number or
# a vector. The check gives your function Euler's method, the midpoint method, and a second method
# of fourth order by Kutta (1901), which is called the 3/8 rule. (The library keeps its methods in
# this way, too, in `tinyode/solvers/tableaus.py`.)
#
# Keep your answer. It is the solver of your own library: in chapter 6 you fit the lynx and the hare
# with it, and with the engine and the adjoint that you write in chapters 3 and 5.


# %% [stub 1.4]
def step_of(A, b, c):
    """Return the function step(f, t, y, h) of the explicit method with this tableau.

    A, b and c are lists: A[i][j], b[i], c[i], numbered from 0. A has as many rows and columns as
    b and c have numbers.
    """

    def step(f, t, y, h):
        """Return the state at t + h."""
        ...  # your code here

    return step


# %% [solution 1.4]
def step_of(A, b, c):
    def step(f, t, y, h):
        ks = []
        for row, c_i in zip(A, c):
            # zip ends with the shorter list: here with the slopes that are known so far
            y_i = y + h * sum(a * k for a, k in zip(row, ks))
            ks.append(f(t + c_i * h, y_i))
        return y + h * sum(weight * k for weight, k in zip(b, ks))

    return step


# %% [check 1.4]
three_eighths = (
    [[0, 0, 0, 0], [1 / 3, 0, 0, 0], [-1 / 3, 1, 0, 0], [1, -1, 1, 0]],
    [1 / 8, 3 / 8, 3 / 8, 1 / 8],
    [0, 1 / 3, 2 / 3, 1],
)
for method_name, tableau, p in (
    ("Euler's method", ([[0]], [1], [0]), 1),
    ("the midpoint method", ([[0, 0], [1 / 2, 0]], [0, 1], [0, 1 / 2]), 2),
    ("the 3/8 rule", three_eighths, 4),
):
    made = step_of(*tableau)
    assert callable(made), f"step_of returns {made!r}; it should return the function step."
    try:
        check_step(made, p)
    except AssertionError as said:
        raise AssertionError(f"Your step of {method_name}, of order {p}: {said}") from None

# %% [exercise 1.5] level 3
# A method with three stages is of third order if every $c_i$ is the sum of row $i$ of $A$, and if
# four equations hold (Hairer, Norsett and Wanner I, section II.1):
#
# $$\sum_i b_i = 1, \quad \sum_i b_i c_i = \frac12, \quad \sum_i b_i c_i^2 = \frac13, \quad
# \sum_{i,j} b_i a_{ij} c_j = \frac16.$$
#
# Choose the nodes $c = (0, c_2, c_3)$ as you like, and all other numbers follow from them, if
# $c_2$ and $c_3$ are not equal, neither is zero, and $c_2$ is not $\frac23$. Show that on paper,
# and write the function that finds the method. The check makes its steps with your `step_of` of
# exercise 1.4.


# %% [stub 1.5]
def third_order(c2, c3):
    """Return the tableau (A, b, c) of the method of third order with nodes 0, c2, c3.

    A has three rows of three numbers, b and c have three numbers each.
    """
    ...  # your code here


# %% [solution 1.5]
def third_order(c2, c3):
    # The first three equations are linear in b. The sum of the fourth has one term that is not
    # zero, b_3 a_32 c_2 = 1/6, because c_1 = 0 and the method is explicit.
    b = np.linalg.solve([[1, 1, 1], [0, c2, c3], [0, c2**2, c3**2]], [1, 1 / 2, 1 / 3])
    a32 = 1 / (6 * b[2] * c2)
    return [[0, 0, 0], [c2, 0, 0], [c3 - a32, a32, 0]], list(b), [0, c2, c3]


A, b, c = third_order(1 / 3, 1.0)
print("c = (0, 1/3, 1): b =", np.round(b, 12), " last row of A =", np.round(A[2], 12))

# %% [check 1.5]
for c2, c3 in ((1 / 2, 1.0), (1 / 3, 2 / 3), (0.3, 0.9)):
    answer = third_order(c2, c3)
    assert isinstance(answer, (tuple, list)) and len(answer) == 3, (
        f"third_order({c2:.2f}, {c3:.2f}) returns {answer!r}; it should return (A, b, c)."
    )
    A, b, c = answer
    sizes = [np.size(row) for row in A], np.size(b), np.size(c)
    assert sizes == ([3, 3, 3], 3, 3), (
        f"The rows of A have {sizes[0]} numbers, b has {sizes[1]} and c has {sizes[2]}; the answer "
        "should be (A, b, c), with three rows of three numbers in A, and three in b and in c."
    )
    assert not np.triu(A).any(), f"A has numbers on or above its diagonal: {A}. It is not explicit."
    assert np.allclose(c, [0, c2, c3]), f"c is {c}; the nodes should be 0, {c2:.2f} and {c3:.2f}."
    try:
        check_step(step_of(A, b, c), 3)
    except AssertionError as said:
        raise AssertionError(f"With the nodes 0, {c2:.2f}, {c3:.2f}: {said}") from None

# %% [markdown]
# ## What to remember
#
# 1. Euler's step follows the tangent: new state = old state + $h f$. One step is wrong by $O(h^2)$.
# 2. The error at the end is $O(h)$: half the step, half the error. In a method of order $p$ it is
#    $O(h^p)$.
# 3. An adaptive solver takes each step by two methods. Their difference is its error estimate,
#    which `rtol` and `atol` are compared with: accept or reject, then choose the next length.
# 4. Steps can be too long for stability although they are short enough for accuracy: the problem is
#    stiff.
# 5. "Underflow in dt" means: the error asks for a step below rounding. See whether the state is
#    huge or $f$ is NaN at the time where the solver stopped.

# %% [markdown]
# ## Sources
#
# P1 (Price-Broncucia, "Euler Method"); G1 to G3 (Gazula and Plis, "ODEs & Euler Method");
# N-tangent, N3 (handwritten notes, "Solving ODE numerically"). Hairer, Norsett and Wanner, *Solving
# Ordinary Differential Equations I* (1993), sections I.7 (Euler), II.1 (Runge-Kutta), II.4
# (accepted and rejected steps). Dormand and Prince, "A family of embedded Runge-Kutta formulae"
# (1980). "Underflow in dt" and "underflow in dt nan": torchdiffeq, issues 27 and 244.
