# %% [markdown]
# # Euler's method: where the slopes lead
#
# **The question.** A differential equation gives the slope of a curve at every point,
#
# $$\frac{dy}{dt} = f(t, y), \qquad y(t_0) = y_0, \tag{G1}$$
#
# and one point that the curve passes through. Where does the curve go?
#
# (G's slide adds "in general
# $y_t = y_0 + \int_0^t f(t, y) dt = \mathrm{ODESolve}(y_0, f, t_0, t_1)$", with two names for
# each end of the interval; meant is $y(t_1) = y_0 + \int_{t_0}^{t_1} f dt$.)
#
# This is the oldest algorithm of the course and the one that everything else refines. The ids in
# brackets (P1, G1, N3, ...) name the formulas of the four sources; `SOURCES.md` lists them all.

# %%
import numpy as np

from tinyode import solve
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import check_step


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
#
# $$y(t + \delta) = y(t) + \delta f(t, y(t)) + \frac{\delta^2}{2} y''(\xi), \tag{N-tangent}$$
#
# so the tangent is wrong by $O(\delta^2)$: a step half as long is four times as accurate. Here
# $y'' = (\cos^2 t - \sin t) y$, which is 1 at the start, so the error should even be close to
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
#
# $$y_{n+1} = y_n + h f(t_n, y_n), \qquad t_{n+1} = t_n + h. \tag{P1, G3, N3}$$
#
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
# One tangent gets four times as accurate when the step is halved. But then there are twice as many
# steps, and the errors of all of them come together at the end.

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
# Each step adds an error of $O(h^2)$, and $n = (t_1 - t_0)/h$ steps are needed, so the errors add
# up to $O(h)$: **half the step, half the error**. Do the early errors not grow on the way? Let
# $e_n$ be the error after $n$ steps, $M$ a bound of $|y''|$ and $L$ a Lipschitz constant of $f$.
# Then $e_{n+1} \le (1 + hL) e_n + \frac{h^2}{2} M$, and since $(1 + hL)^n \le e^{L(t_1 - t_0)}$,
#
# $$e_n \le \frac{hM}{2L} \left( e^{L(t_1 - t_0)} - 1 \right).$$

# %% [markdown]
# ## Look before you leap: midpoint and Runge-Kutta
#
# Euler uses the slope at the start for the whole step. The slope in the *middle* represents the
# step better. It is not known, but Euler gets there well enough:
#
# $$k_1 = f(t, y), \quad k_2 = f(t + \tfrac h2, y + \tfrac h2 k_1), \quad y_{n+1} = y_n + h k_2.$$
#
# By Taylor, $k_2 = y' + \frac h2 (f_t + f f_y) + O(h^2) = y' + \frac h2 y'' + O(h^2)$, so
# $y_{n+1} = y + h y' + \frac{h^2}{2} y'' + O(h^3)$: the error of a step falls to $O(h^3)$, the
# method is of second order. The classical fourth-order method (Kutta, 1901) looks four times. A
# method is nothing but its numbers, and the library keeps them as such, in
# `tinyode/solvers/tableaus.py`.

# %% [predict]
# With 50 steps, Euler's method is wrong by 0.03 at t1. The next cell takes 50 steps of the midpoint
# method, and 50 steps of the classical fourth-order method. How wrong is each? A power of ten will
# do.


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
save(
    figure,
    "01_work_precision",
    alt="The error at the end against the number of evaluations of f, both axes logarithmic. "
    "Methods with fixed steps fall along straight lines: Euler with slope 1, midpoint and Heun "
    "together with slope 2, rk4 with slope 4. dopri5, which chooses its steps, needs the fewest "
    "evaluations where the error is to be small.",
)
for method, order in (("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)):
    assert abs(orders[method] - order) < 0.2, (method, orders[method])

# %% [markdown]
# ## Where it breaks: a step can be too long to make sense
#
# For $y' = -50 y$ and $y(0) = 1$ the solution dies away at once. Euler's method takes 200 steps,
# with three lengths $h$ of the step.

# %% [predict]
# The second and the third length are almost the same: 0.039 and 0.041. How large is |y| after 200
# steps of each? Below 0.001, near 1, or above 1000?

# %%
for h in (0.01, 0.039, 0.041):
    _, ys = euler(lambda t, y: -50 * y, 1.0, 0.0, 200 * h, 200)
    computed, formula = abs(ys[-1]), abs(1 - 50 * h) ** 200
    print(f"h = {h:5}: after 200 steps |y| = {computed:.2e}", end=", ")
    print(f"by the formula |1 - 50 h|^200 = {formula:.2e}")
    assert np.isclose(computed, formula, rtol=1e-9, atol=0)

# %% [markdown]
# One Euler step multiplies by $1 - 50 h$; for $h > 2/50$ that is below $-1$, and the numbers
# oscillate and grow without bound, although *every tangent is drawn correctly*. Accuracy would
# allow long steps once the solution is flat; stability forbids them. Such problems are called
# stiff.

# %% [markdown]
# ## Exercises

# %% [exercise 1.1] level 1
# For $y' = y$, $y(0) = 1$ and $n$ steps to $t = 1$, Euler's method gives $(1 + 1/n)^n$, and the
# solution is $e$. For many steps the error $e - (1 + 1/n)^n$ is close to $c / n$, where $c$ does
# not depend on $n$. Which number is $c$? (On paper: begin with the logarithm of $(1 + 1/n)^n$. By
# experiment: multiply errors by $n$. In Python, $e$ is `np.e`.)

# %% [stub 1.1]
constant = ...  # the number c, or a formula for it

# %% [solution 1.1]
# log (1 + 1/n)^n = n (1/n - 1/2n^2 + ...) = 1 - 1/2n + ..., and exp of that is e (1 - 1/2n + ...):
# the error is close to e / 2n
constant = np.e / 2
for n in (10, 100, 1000):
    _, ys = euler(lambda t, y: y, 1.0, 0.0, 1.0, n)
    assert np.isclose(ys[-1], (1 + 1 / n) ** n, rtol=1e-12, atol=0)
    print(f"n = {n:4}: error / (e / 2n) = {(np.e - ys[-1]) / (constant / n):.4f}")

# %% [check 1.1]
assert isinstance(constant, (int, float)), f"constant is {constant!r}; it should be a number."
assert constant > 0, "Euler's numbers stay below e here, so e - (1 + 1/n)^n and c are positive."
assert abs(constant - 0.5) > 0.01, (
    "1/2 belongs to the logarithm: log (1 + 1/n)^n is close to 1 - 1/2n. Take exp of both sides."
)
assert abs(constant - np.e) > 0.01, (
    "e is twice too large. The second term of log (1 + x) = x - x^2 / 2 + ... has the factor 1/2."
)
measured = 1000 * (np.e - (1 + 1 / 1000) ** 1000)
assert abs(constant / measured - 1) < 0.01, (
    f"With n = 1000 steps, n times the error is {measured:.4f}. Your c is {constant:.4f}."
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
    for i in range(n):
        y = heun_step(f, t0 + i * (t1 - t0) / n, y, (t1 - t0) / n)
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
    # C = error n^p, and wanted = C / m^p gives m^p = n^p error / wanted
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
        f"{case} you take {steps} steps: m^p = n^p error / wanted has to be solved for m, with a "
        "root."
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
# row $i$ uses the columns $j \lt i$ alone, the weights $b$ and the nodes $c$. One step is
#
# $$k_i = f\left(t + c_i h, y + h \sum_{j \lt i} a_{ij} k_j\right), \qquad
# y_{n+1} = y_n + h \sum_i b_i k_i.$$
#
# For the midpoint method, $A$ has the rows $(0, 0)$ and $(\frac12, 0)$, $b$ is $(0, 1)$ and $c$ is
# $(0, \frac12)$. Write a function that makes the step of any tableau. The state may be a number or
# a vector. The check gives your function Euler's method, the midpoint method, and a second method
# of fourth order by Kutta (1901), which is called the 3/8 rule.


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
# ## Sources
#
# P1 (Price-Broncucia, "Euler Method"); G1 to G3 (Gazula and Plis, "ODEs & Euler Method");
# N-tangent, N3 (handwritten notes, "Solving ODE numerically"). Hairer, Norsett and Wanner, *Solving
# Ordinary Differential Equations I* (1993), sections I.7 (Euler), II.1 (Runge-Kutta).
