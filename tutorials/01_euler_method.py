# %% [markdown]
# # Euler's method: where the slopes lead
#
# **The question.** A differential equation gives the slope of a curve at every point,
# $$\frac{dy}{dt} = f(t, y), \qquad y(t_0) = y_0, \tag{G1}$$
# and one point that the curve passes through. Where does the curve go?
#
# (G's slide adds "in general
# $y_t = y_0 + \int_0^t f(t, y)\, dt = \mathrm{ODESolve}(y_0, f, t_0, t_1)$", with two names for
# each end of the interval; meant is $y(t_1) = y_0 + \int_{t_0}^{t_1} f\, dt$.)
#
# This is the oldest algorithm of the course and the one that everything else refines. The ids in
# brackets (P1, G1, N3, ...) name the formulas of the four sources; `SOURCES.md` lists them all.

# %%
import numpy as np

from tinyode import solve
from tinyode.plotting import COLOURS, panels, save


def f(t, y):
    """A population in a climate with seasons: it grows while cos t > 0, and else shrinks."""
    return y * np.cos(t)


def exact(t):
    """The solution through y(0) = 1, to measure errors by: d/dt exp(sin t) = cos t exp(sin t)."""
    return np.exp(np.sin(t))


t0, t1, y0 = 0.0, 5.0, 1.0

# %% [markdown]
# ## One step along the tangent
#
# At the start the slope is known, (G2): $\left.\frac{dy}{dt}\right|_{t_0} = f(t_0, y_0)$. Taylor's
# theorem says how far that carries (N-tangent is the first two terms, with $\approx$; here it is
# with its remainder):
# $$y(t + \delta) = y(t) + \delta f(t, y(t)) + \frac{\delta^2}{2} y''(\xi), \tag{N-tangent}$$
# so the tangent is wrong by $O(\delta^2)$: a step half as long is four times as accurate. Here
# $y'' = (\cos^2 t - \sin t)\, y$, which is 1 at the start, so the error should even be close to
# $\delta^2 / 2$.

# %%
print("step d    tangent's error    error / (d^2 / 2)")
for delta in (0.4, 0.2, 0.1, 0.05, 0.025):
    error = abs(y0 + delta * f(t0, y0) - exact(t0 + delta))
    print(f"{delta:6}    {error:15.3e}    {error / (delta**2 / 2):17.4f}")
assert abs(error / (delta**2 / 2) - 1) < 0.01

# %% [markdown]
# ## Many steps
#
# Walk a short way along the tangent, ask for the slope again, walk on:
# $$y_{n+1} = y_n + h f(t_n, y_n), \qquad t_{n+1} = t_n + h. \tag{P1, G3, N3}$$
# Each step's end is not on the curve that it started from, but on a neighbouring one, and the next
# step follows that.


# %%
def euler(f, y, t0, t1, n):
    """Take n equal steps of Euler's method; return all times and states."""
    h = (t1 - t0) / n
    ts, ys = [t0], [y]
    for i in range(n):
        y = y + h * f(ts[-1], y)
        ts.append(t0 + (i + 1) * h)
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
save(figure, "01_euler_steps")

# %% [markdown]
# ## How wrong, and why first order
#
# Each step adds an error of $O(h^2)$, and $n = (t_1 - t_0)/h$ steps are needed, so the errors add
# up to $O(h)$: **half the step, half the error**. Do the early errors not grow on the way? Let
# $e_n$ be the error after $n$ steps, $M$ a bound of $|y''|$ and $L$ a Lipschitz constant of $f$.
# Then $e_{n+1} \le (1 + hL)\, e_n + \frac{h^2}{2} M$, and since $(1 + hL)^n \le e^{L(t_1 - t_0)}$,
# $$e_n \le \frac{hM}{2L} \left( e^{L(t_1 - t_0)} - 1 \right).$$

# %%
print("  n    error at t1    ratio to the row above")
errors = []
for n in (10, 20, 40, 80, 160, 320, 640):
    errors.append(abs(euler(f, y0, t0, t1, n)[1][-1] - exact(t1)))
    ratio = f"{errors[-2] / errors[-1]:.3f}" if len(errors) > 1 else ""
    print(f"{n:4}    {errors[-1]:.3e}    {ratio}")
assert abs(errors[-2] / errors[-1] - 2) < 0.05

# %% [markdown]
# ## Look before you leap: midpoint and Runge-Kutta
#
# Euler uses the slope at the start for the whole step. The slope in the *middle* represents the
# step better. It is not known, but Euler gets there well enough:
# $$k_1 = f(t, y), \quad k_2 = f(t + \tfrac h2,\, y + \tfrac h2 k_1), \quad y_{n+1} = y_n + h\, k_2.$$
# By Taylor, $k_2 = y' + \frac h2 (f_t + f f_y) + O(h^2) = y' + \frac h2 y'' + O(h^2)$, so
# $y_{n+1} = y + h y' + \frac{h^2}{2} y'' + O(h^3)$: the error of a step falls to $O(h^3)$, the
# method is of second order. The classical fourth-order method (Kutta, 1901) looks four times. A
# method is nothing but its numbers, and the library keeps them as such, in
# `tinyode/solvers/tableaus.py`.


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
    for i in range(n):
        y = step(f, t0 + i * (t1 - t0) / n, y, (t1 - t0) / n)
    library = solve(f, y0, [t0, t1], method=method, step_size=(t1 - t0) / n).y[-1]
    print(f"{method:9} ours {y:.15f}   library {library:.15f}   error {abs(y - exact(t1)):.1e}")
    assert abs(y - library) < 1e-13

# %% [markdown]
# What counts is not the number of steps but the number of evaluations of $f$: with a neural network
# for $f$ that is where the time goes. Slopes in the figure are orders: ten times the work makes
# Euler ten times as accurate, rk4 ten thousand times. `dopri5` is of fifth order and chooses its
# steps itself from a tolerance; the marks are tolerances from $10^{-3}$ to $10^{-12}$.

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
    size, label = 9 if method == "midpoint" else 6, f"{method}, slope {orders[method]:.1f}"
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
save(figure, "01_work_precision")
for method, order in (("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)):
    assert abs(orders[method] - order) < 0.2, (method, orders[method])

# %% [markdown]
# ## Where it breaks: a step can be too long to make sense
#
# For $y' = -50\, y$ the solution dies away at once. One Euler step multiplies by $1 - 50 h$; for
# $h > 2/50$ that is below $-1$, and the numbers oscillate and grow without bound, although *every
# tangent is drawn correctly*. Accuracy would allow long steps once the solution is flat; stability
# forbids them. Such problems are called stiff.

# %%
for h in (0.01, 0.039, 0.041):
    _, ys = euler(lambda t, y: -50 * y, 1.0, 0.0, 200 * h, 200)
    computed, formula = abs(ys[-1]), abs(1 - 50 * h) ** 200
    print(f"h = {h:5}: after 200 steps |y| = {computed:.2e}", end=", ")
    print(f"by the formula |1 - 50 h|^200 = {formula:.2e}")
    assert np.isclose(computed, formula, rtol=1e-9, atol=0)

# %% [markdown]
# ## Exercises
#
# 1. For $y' = y$, $y(0) = 1$ and $n$ steps to $t = 1$, Euler's method gives $(1 + 1/n)^n$. Show
#    that the error is close to $e / 2n$.
# 2. Heun's method averages the slopes at the start and at the end that Euler predicts. Write it,
#    and show that it is of second order.
# 3. Predict from one run with 100 steps how many steps of Euler's method an error of $10^{-3}$
#    takes in the example above, and try it.

# %%
# 1. log (1 + 1/n)^n = n (1/n - 1/2n^2 + ...) = 1 - 1/2n + ...,
#    and exp of that is e (1 - 1/2n + ...)
for n in (10, 100, 1000):
    _, ys = euler(lambda t, y: y, 1.0, 0.0, 1.0, n)
    assert np.isclose(ys[-1], (1 + 1 / n) ** n, rtol=1e-12, atol=0)
    ratio = (np.e - ys[-1]) / (np.e / (2 * n))
    print(f"n = {n:4}: error / (e / 2n) = {ratio:.4f}")
    assert abs(ratio - 1) < 1 / n


# 2.
def heun_step(f, t, y, h):
    k1 = f(t, y)
    return y + h / 2 * (k1 + f(t + h, y + h * k1))


errors = []
for n in (100, 200):
    y = y0
    for i in range(n):
        y = heun_step(f, t0 + i * (t1 - t0) / n, y, (t1 - t0) / n)
    errors.append(abs(y - exact(t1)))
print(f"Heun: half the step, error divided by {errors[0] / errors[1]:.2f}")
assert abs(errors[0] / errors[1] - 4) < 0.2

# 3. the error is c / n, so n = 100 * error(100) / 1e-3
n = int(np.ceil(100 * abs(euler(f, y0, t0, t1, 100)[1][-1] - exact(t1)) / 1e-3))
error = abs(euler(f, y0, t0, t1, n)[1][-1] - exact(t1))
print(f"predicted n = {n}: error {error:.2e}")
assert abs(error / 1e-3 - 1) < 0.05

# %% [markdown]
# ## Sources
#
# P1 (Price-Broncucia, "Euler Method"); G1 to G3 (Gazula and Plis, "ODEs & Euler Method");
# N-tangent, N3 (handwritten notes, "Solving ODE numerically"). Hairer, Norsett and Wanner, *Solving
# Ordinary Differential Equations I* (1993), sections I.7 (Euler), II.1 (Runge-Kutta).
