# %% [markdown]
# # The adjoint of an ODE

# %% [markdown]
# **Needs**: chapter 1 (`solve`, tolerances, order), chapter 3 (vector-Jacobian product, `grad`,
# `vjp`, finite differences), chapter 4 (the adjoint of equations, the bridge at its end). From
# school: the chain rule for several variables, integration by parts for one section.
#
# **You will be able to**: derive the adjoint equation and its four gradients, and check each line
# by numbers; write Algorithm 2, which solves backwards, and extend it to losses at many times;
# choose a way to differentiate a solver, and say what it costs.
#
# **Minutes**: 180 to 240, of which the exercises of level 1 take about 60. A good place to stop for
# a day is before "Losses at many times".
#
# **The question.** A loss depends on the solution of an ODE at the end of an interval. The solution
# depends on its start, on parameters, and on the two ends of the interval. How does the loss change
# with each of them, without remembering the steps of the solver?
#
# **The letters.** The state $\mathbf z$, the parameters $\theta$ and the slope $f$ are columns. The
# derivative of the loss $L$, a number, with respect to them is a row. $t_0$ is the start. The
# solution is observed at $t_1 < \dots < t_N$; at first $N = 1$, and $t_1 = t_N$ is the end. The
# field is $f(t, \mathbf z, \theta)$. In code `z1` is $\mathbf z(t_1)$; $z_1$, not bold, is the
# first component of a state. In these letters
#
# $$L\big(\mathbf z(t_1)\big) = L\left( \mathbf z(t_0) + \int_{t_0}^{t_1} f(t, \mathbf z(t), \theta) dt \right) = L\big(\mathrm{ODESolve}(\mathbf z(t_0), f, t_0, t_1, \theta)\big), \tag{G29, S3}$$
#
# and wanted are $\frac{dL}{d\mathbf z(t_0)}$, $\frac{dL}{d\theta}$, $\frac{dL}{dt_0}$ and
# $\frac{dL}{dt_1}$. The example is a pendulum with friction that is driven from outside. Its field
# depends on everything: on the angle $z_1$, the velocity $z_2$, two parameters and the time.

# %%
import tracemalloc
import warnings

import numpy as np

from tinyode import (
    SolverError,
    compiled,
    custom_vjp,
    grad,
    jacobian,
    odeint,
    optim,
    program,
    solve,
    vjp,
)
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import central_difference, check_by_hand, check_odeint, check_without


def f(t, z, theta):
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


z0, theta, t0, t1 = np.array([1.2, 0.0]), np.array([2.0, 0.7]), 0.0, 3.0


def L(z):
    return z[0] ** 2 + 0.5 * z[0] * z[1]


def flow(z, start, end, theta=theta):
    """Solve from start to end by a method of order 8, to twelve digits: the truth, for checks."""
    options = {"method": "dop853", "rtol": 1e-12, "atol": 1e-13}
    return z if start == end else solve(f, z, [start, end], theta, **options).y[-1]


def df_dz(t, z):
    return jacobian(f, 1)(t, z, theta)  # argument 0 of f is t, 1 is z, 2 is theta


z1 = flow(z0, t0, t1)
print("z(t1) =", z1, "  L =", L(z1))

# %% [markdown]
# ## Push the state at time t, and look at the loss
#
# Stop the solution at a time $t$ between the ends. Push the state by a small $\mathbf d$, let the
# solution go on to $t_1$, and look at the loss. For a small push the change of the loss is linear
# in the push: a row $\mathbf a(t)$ times $\mathbf d$. This row is the *adjoint state*:
#
# $$\mathbf a(t) := \frac{dL}{d\mathbf z(t)}. \tag{P, N6, S4}$$
#
# At the end nothing comes after the push, so $\mathbf a(t_1)$ is the gradient of $L$. At the start,
# $\mathbf a(t_0)$ is the first of the four gradients. The other three follow from $\mathbf a$,
# because parameters and times act on the solution by pushing the state.


# %%
def by_differences(function, z):
    """Jacobian of a function of the state, without the engine."""
    return np.stack([central_difference(function, (z,), (e,), h=2e-3) for e in np.eye(2)], axis=-1)


def a_at(t):
    """The adjoint state by its definition: push the state at time t, and look at the loss."""
    return by_differences(lambda z: L(flow(z, t, t1)), flow(z0, t0, t))


d = np.array([0.01, 0.0])
print("   t    L pushed - L      a(t) d     a(t)")
for t in (0.0, 1.0, 2.0, 3.0):
    rise = L(flow(flow(z0, t0, t) + d, t, t1)) - L(z1)
    print(f"{t:4}    {rise:12.6f}  {a_at(t) @ d:10.6f}     {a_at(t)}")
    assert np.isclose(rise, a_at(t) @ d, atol=3e-4)
assert np.allclose(a_at(t1), grad(L)(z1), atol=1e-9)

# %% [markdown]
# ## Back over one step
#
# Chapter 4 stacked the steps of Euler's method into one system, and solved the transposed system
# from the last step to the first. Its $\lambda_i^T$ is the row $\mathbf a$ after step $i$. By the
# chain rule the same is found in one line. A step is
# $\mathbf z_{i+1} = \mathbf z_i + h f(t_i, \mathbf z_i, \theta)$, and a push before the step
# reaches the loss only through the state after it:
#
# $$\frac{dL}{d\mathbf z_i} = \frac{dL}{d\mathbf z_{i+1}} \frac{d\mathbf z_{i+1}}{d\mathbf z_i} = \frac{dL}{d\mathbf z_{i+1}} \left( I + h \frac{\partial f}{\partial \mathbf z} \right). \tag{G30}$$
#
# Here $\frac{\partial f}{\partial \mathbf z}$ is taken at $\mathbf z_i$, where the step took $f$.
# The cell carries $\mathbf a$ back through a loop of 30 steps by this formula. The engine, which
# records the loop on its tape, must get the same. (The $\mathbf a(t_0)$ of the ODE is another one,
# because 30 steps of Euler's method are crude.)

# %%
n = 30
h = (t1 - t0) / n


def euler_from(i, z):
    """The last state of the loop, if z is the state before step i."""
    for j in range(i, n):
        z = z + h * f(t0 + j * h, z, theta)
    return z


zs = [z0]
for i in range(n):
    zs.append(zs[-1] + h * f(t0 + i * h, zs[-1], theta))
a = grad(L)(zs[-1])
for i in reversed(range(n)):
    a = a @ (np.eye(2) + h * df_dz(t0 + i * h, zs[i]))  # G30

recorded = grad(lambda z: L(euler_from(0, z)))(z0)
print("G30 by hand", a, "  recorded", recorded, "  a(t0) of the ODE", a_at(t0))
assert np.allclose(a, recorded, rtol=1e-12, atol=0)

# %% [markdown]
# ## From the step to $\varepsilon$
#
# For the ODE a step is the exact solution over a short time $\varepsilon$. Call it $T_\varepsilon$:
#
# $$T_\varepsilon(\mathbf z(t), t) := \mathbf z(t + \varepsilon) = \mathbf z(t) + \int_t^{t+\varepsilon} f(r, \mathbf z(r), \theta) dr. \tag{G31}$$
#
# As before, a push at $t$ reaches the loss through the state at $t + \varepsilon$:
#
# $$\mathbf a(t) = \mathbf a(t + \varepsilon) \frac{\partial T_\varepsilon}{\partial \mathbf z}. \tag{G32}$$
#
# What is the Jacobian of $T_\varepsilon$? Differentiate G31 with respect to $\mathbf z(t)$:
# $\frac{\partial T_\varepsilon}{\partial \mathbf z} = I + \int_t^{t+\varepsilon} \frac{\partial f}{\partial \mathbf z} \frac{\partial \mathbf z(r)}{\partial \mathbf z(t)} dr$.
# In the short time the state has hardly moved, so the last factor is $I$ up to terms of order
# $\varepsilon$, and $\frac{\partial f}{\partial \mathbf z}$ is what it is at $t$, up to terms of
# order $\varepsilon$. The interval has the length $\varepsilon$. Together:
#
# $$\frac{\partial T_\varepsilon}{\partial \mathbf z} = I + \varepsilon \frac{\partial f}{\partial \mathbf z} + O(\varepsilon^2).$$
#
# $O(\varepsilon^2)$ stands for a rest that becomes four times smaller when $\varepsilon$ is halved.
# Now put this into G32, subtract $\mathbf a(t + \varepsilon)$, and divide by $-\varepsilon$:
#
# $$\frac{\mathbf a(t + \varepsilon) - \mathbf a(t)}{\varepsilon} = \mathbf a(t + \varepsilon) \frac{I - \partial T_\varepsilon / \partial \mathbf z}{\varepsilon} = -\mathbf a(t + \varepsilon) \frac{\partial f}{\partial \mathbf z} + O(\varepsilon).$$
#
# In the limit this is the **adjoint equation**:
#
# $$\frac{d\mathbf a(t)}{dt} = -\mathbf a(t) \frac{\partial f(t, \mathbf z(t), \theta)}{\partial \mathbf z}. \tag{P4, G34, N6}$$
#
# The next cell checks each of these. It takes $\mathbf a$ and
# $\frac{\partial T_\varepsilon}{\partial \mathbf z}$ from finite differences of the solution.

# %% [predict]
# The next cell prints, for $\varepsilon$ = 0.1, 0.05 and 0.025, how far the Jacobian of
# $T_\varepsilon$ is from $I + \varepsilon \frac{\partial f}{\partial \mathbf z}$, how far G32 is
# from being true, and how far the quotient is from P4. By what factor does each of the three shrink
# when $\varepsilon$ is halved?

# %%
t = 1.0
z_now, a_now = flow(z0, t0, t), a_at(t)
limit = -a_now @ df_dz(t, z_now)
print("    e     |dT/dz - (I + e df/dz)|    |a(t) - a(t+e) dT/dz|", end="    ")
print("|(a(t+e) - a(t))/e - (-a df/dz)|")
before = None
for e in (0.1, 0.05, 0.025):
    dT = by_differences(lambda z, e=e: flow(z, t, t + e), z_now)  # e=e: the e of this turn
    first = np.abs(dT - (np.eye(2) + e * df_dz(t, z_now))).max()
    chain = np.abs(a_now - a_at(t + e) @ dT).max()
    quotient = np.abs((a_at(t + e) - a_now) / e - limit).max()
    print(f"{e:7}    {first:20.2e}    {chain:20.1e}    {quotient:24.2e}")
    assert chain < 1e-7
    if before:
        assert 3.5 < before[0] / first < 4.5  # second order
        assert 1.8 < before[1] / quotient < 2.2  # first order
    before = first, quotient

# %% [markdown]
# At each halving the first column gets four times smaller (second order), the last column two times
# (first order). The column between does not shrink: G32 is no limit, it holds for every
# $\varepsilon$, and what is printed is rounding and the error of the differences.
#
# ## The four gradients
#
# **The start, $\frac{dL}{d\mathbf z(t_0)}$.** The adjoint equation is an ODE whose value is known
# at the *end*, and wanted at the *start*. Integrate it from $t_1$ back to $t_0$,
# $\mathbf a(t_0) = \mathbf a(t_1) + \int_{t_1}^{t_0} \frac{d\mathbf a}{dt} dt$, with P4 for the
# slope:
#
# $$\mathbf a(t_1) = \frac{dL}{d\mathbf z(t_1)}, \qquad \frac{dL}{d\mathbf z(t_0)} = \mathbf a(t_0) = \mathbf a(t_1) - \int_{t_1}^{t_0} \mathbf a(t) \frac{\partial f}{\partial \mathbf z} dt. \tag{G35, G36, G37}$$
#
# **The parameters, $\frac{dL}{d\theta}$.** A change $d\theta$ acts at all times. Between $t$ and
# $t + dt$ it pushes the state by $\frac{\partial f}{\partial \theta} d\theta dt$, and a push at
# time $t$ changes the loss by $\mathbf a(t)$ times the push. Add up all pushes:
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_1} \mathbf a(t) \frac{\partial f}{\partial \theta} dt = - \int_{t_1}^{t_0} \mathbf a(t) \frac{\partial f}{\partial \theta} dt. \tag{P5}$$
#
# On the way back this integral grows interval by interval. Let $\mathbf a_\theta(t)$ be what it has
# collected between $t_1$ and $t$: how much the loss changes if $\theta$ changes *from time $t$ on*.
# At $t_1$ no time is left in which $\theta$ could act, so $\mathbf a_\theta(t_1) = 0$. At $t_0$ all
# pushes are in it, and $\mathbf a_\theta(t_0) = \frac{dL}{d\theta}$.
#
# **The end, $\frac{dL}{dt_1}$.** If the solve ends later by $d$, the state moves on by $f d$. That
# changes the loss by $\mathbf a(t_1) f d$:
#
# $$\frac{dL}{dt_1} = \mathbf a(t_1) f(t_1, \mathbf z(t_1), \theta). \tag{P6}$$
#
# **The beginning, $\frac{dL}{dt_0}$.** If the solve starts later by $d$, from the same state, then
# at the time $t_0 + d$ the state is $\mathbf z(t_0)$, and not $\mathbf z(t_0) + f d$. So the state
# has been pushed by $-f d$:
#
# $$\frac{dL}{dt_0} = -\mathbf a(t_0) f(t_0, \mathbf z(t_0), \theta).$$
#
# There is an integral for it as well, and the next section uses the integral. Ask the same at any
# time $t$: how much does the loss change if the solve starts a little later than $t$, from the same
# state $\mathbf z(t)$? The answer is $\mathbf a_t(t) := -\mathbf a(t) f(t, \mathbf z(t), \theta)$.
# (A number; its index $t$ is a name, like that of $\mathbf a_\theta$.) How does it change with $t$?
# Along the solution $f$ changes because time passes and because $\mathbf z$ moves with the slope
# $f$. So, by the product rule,
#
# $$\frac{d(\mathbf a f)}{dt} = \frac{d\mathbf a}{dt} f + \mathbf a \Big(\frac{\partial f}{\partial t} + \frac{\partial f}{\partial \mathbf z} f\Big) = -\mathbf a \frac{\partial f}{\partial \mathbf z} f + \mathbf a \frac{\partial f}{\partial t} + \mathbf a \frac{\partial f}{\partial \mathbf z} f = \mathbf a \frac{\partial f}{\partial t}.$$
#
# Two terms cancel. So $\frac{d\mathbf a_t}{dt} = -\mathbf a \frac{\partial f}{\partial t}$, and
# with the value at the end, $\mathbf a_t(t_1) = -\mathbf a(t_1) f = -\frac{dL}{dt_1}$:
#
# $$\frac{dL}{dt_0} = \mathbf a_t(t_0) = \mathbf a_t(t_1) - \int_{t_1}^{t_0} \mathbf a(t) \frac{\partial f}{\partial t} dt, \qquad \mathbf a_t(t_1) = -\frac{dL}{dt_1}. \tag{P7}$$
#
# **That is the minus in $\mathbf a_t(t_1)$**: a later end makes the solve longer, a later start
# makes it shorter. If $f$ does not depend on $t$, the integral is zero and
# $\frac{dL}{dt_0} = -\frac{dL}{dt_1}$: only the length of the interval matters.
#
# The next cell computes the integrals by Simpson's rule along the true solution, with $\mathbf a$
# by its definition, and compares with finite differences of the loss. (The difference in the last
# digits is the error of Simpson's rule.)


# %%
def simpson(values, times):
    """Integrate values at an odd number of equidistant times."""
    weights = np.where(np.arange(len(times)) % 2 == 1, 4.0, 2.0) * (times[1] - times[0]) / 3
    weights[[0, -1]] /= 2
    return sum(weight * value for weight, value in zip(weights, values))


nodes = np.linspace(t0, t1, 41)
along = [(t, flow(z0, t0, t), a_at(t)) for t in nodes]
a1, dL_dt1 = grad(L)(z1), grad(L)(z1) @ f(t1, z1, theta)  # G37, P6
# from t0 to t1: minus the integral back
integral_z = simpson([a @ df_dz(t, z) for t, z, a in along], nodes)
integral_theta = simpson([a @ jacobian(f, 2)(t, z, theta) for t, z, a in along], nodes)
integral_t = simpson([a @ jacobian(f, 0)(t, z, theta) for t, z, a in along], nodes)
measured = {
    "dL/dz(t0)": by_differences(lambda z: L(flow(z, t0, t1)), z0),
    "dL/dtheta": by_differences(lambda p: L(flow(z0, t0, t1, p)), theta),
    "dL/dt0": central_difference(lambda t: L(flow(z0, float(t), t1)), (t0,), (1.0,), h=2e-3),
    "dL/dt1": central_difference(lambda t: L(flow(z0, t0, float(t))), (t1,), (1.0,), h=2e-3),
}
formulas = {
    "dL/dz(t0)": a1 + integral_z,
    "dL/dtheta": integral_theta,
    "dL/dt0": -dL_dt1 + integral_t,
    "dL/dt1": dL_dt1,
}
for name in measured:
    print(f"{name:10} measured {measured[name]}   formula {formulas[name]}")
    assert np.allclose(measured[name], formulas[name], atol=5e-5)

# %% [markdown]
# Four statements are left, a line of output for each: $\mathbf a_\theta$ at the middle of the
# interval; $\mathbf a_t$ there, by both formulas; $\frac{dL}{dt_0}$ without an integral; and a
# field that does not depend on time, which the pendulum's is if $\theta_2 = 0$.

# %%
t_mid, z_mid, a_mid = along[20]
later = [a @ jacobian(f, 2)(t, z, theta) for t, z, a in along[20:]]
half = by_differences(lambda p: L(flow(z_mid, t_mid, t1, p)), theta)
print(f"theta changes from t = {t_mid} on: measured {half}, a_theta {simpson(later, nodes[20:])}")
late = central_difference(lambda t: L(flow(z_mid, float(t), t1)), (t_mid,), (1.0,), h=2e-3)
from_end = -dL_dt1 + simpson(
    [a @ jacobian(f, 0)(t, z, theta) for t, z, a in along[20:]], nodes[20:]
)
print(f"later than t = {t_mid}: measured {late:.7f}", end=", ")
print(f"-a f {-a_mid @ f(t_mid, z_mid, theta):.7f}, from the end {from_end:.7f}")
without = -a_at(t0) @ f(t0, z0, theta)
print(f"dL/dt0: measured {measured['dL/dt0']:.9f}, -a(t0) f {without:.9f}")
assert np.allclose(half, simpson(later, nodes[20:]), atol=5e-5)
assert np.allclose([late, late], [-a_mid @ f(t_mid, z_mid, theta), from_end], atol=5e-5)
assert np.isclose(without, measured["dL/dt0"], atol=1e-8)
undriven = lambda start, end: L(flow(z0, float(start), float(end), np.array([2.0, 0.0])))
ends = [central_difference(undriven, (t0, t1), moved, h=2e-3) for moved in ((1.0, 0.0), (0.0, 1.0))]
print(f"no drive: dL/dt0 {ends[0]:.9f}, dL/dt1 {ends[1]:.9f}")
assert np.isclose(ends[0], -ends[1], atol=1e-8)

# %% [markdown]
# ## Algorithm 2
#
# The adjoint equation needs $\mathbf z(t)$ along the way. To store it takes memory in proportion to
# the number of steps. But $\mathbf z$ has an ODE too, and that can be solved backwards *together*
# with $\mathbf a$ and the two integrals. Put all four into one *augmented* state
# $s = [\mathbf z, \mathbf a, \mathbf a_\theta, \mathbf a_t]$, and solve once from $t_1$ to $t_0$.
# This is Algorithm 2 of Chen and others (G-alg2; the Algorithm 2 in chapter 2 is another source's):
#
# | part | starts at $t_1$ from | slope | ends at $t_0$ as |
# | --- | --- | --- | --- |
# | $\mathbf z$ | $\mathbf z(t_1)$ | $f$ | the start, again |
# | $\mathbf a$ | $\frac{dL}{d\mathbf z(t_1)}$ | $-\mathbf a \frac{\partial f}{\partial \mathbf z}$ | $\frac{dL}{d\mathbf z(t_0)}$ |
# | $\mathbf a_\theta$ | 0 | $-\mathbf a \frac{\partial f}{\partial \theta}$ | $\frac{dL}{d\theta}$ |
# | $\mathbf a_t$ | $-\frac{dL}{dt_1}$ | $-\mathbf a \frac{\partial f}{\partial t}$ | $\frac{dL}{dt_0}$ |
#
# **Why is $f$ not negated on the way back?** A slope belongs to a curve, not to a direction of
# travel: $\frac{d\mathbf z}{dt} = f$ is true on the same curve, whichever way one goes. Going back,
# the solver takes steps $h \lt 0$, and $h f$ has the right sign by itself. The three minus signs
# are not there because we go back. They stand in the adjoint equations themselves, and would be
# there if these were solved forwards.
#
# (In the code the state $s$ is a tuple of arrays. Then `solve` takes a tuple of slopes, and `.y` is
# a tuple too. Each part of it has the times along its first axis, so `a[-1]` is $\mathbf a(t_0)$.)


# %%
def algorithm_2(f, z1, dL_dz1, theta, t0, t1, **options):
    """Return the four gradients, and z(t0), by one solve from t1 back to t0."""
    dL_dt1 = dL_dz1 @ f(t1, z1, theta)
    s0 = (z1, dL_dz1, np.zeros_like(theta), -dL_dt1)

    def aug_dynamics(t, s):
        z, a, _, _ = s
        value, pullback = vjp(f, t, z, theta)  # one evaluation of f, one backward sweep
        a_df_dt, a_df_dz, a_df_dtheta = pullback(a)
        return value, -a_df_dz, -a_df_dtheta, -a_df_dt

    z, a, a_theta, a_t = solve(aug_dynamics, s0, [t1, t0], **options).y
    found = {"dL/dz(t0)": a[-1], "dL/dtheta": a_theta[-1], "dL/dt0": a_t[-1], "dL/dt1": dL_dt1}
    return {**found, "z(t0)": z[-1]}


tight = {"rtol": 1e-11, "atol": 1e-12}
ours = algorithm_2(f, z1, grad(L)(z1), theta, t0, t1, **tight)
negated = solve(lambda t, z: -f(t, z, theta), z1, [t1, t0], **tight).y[-1]
print("back from z(t1) with f:", ours["z(t0)"], "  with -f:", negated, "  the start:", z0)
assert np.allclose(ours["z(t0)"], z0, atol=1e-8) and np.abs(negated - z0).max() > 0.1

# %% [markdown]
# The library's `odeint` does the same for many times, and takes $-\mathbf a(t_0) f$ for
# $\frac{dL}{dt_0}$. A third way has only the rules of the engine in common with these two: write
# the solver as a plain loop, and let the tape of chapter 3 record it.


# %%
def rk4_loop(z, t0, t1, theta, n):
    """The classical method, as a loop in NumPy."""
    h = (t1 - t0) / n
    for i in range(n):
        t = t0 + i * h
        k1 = f(t, z, theta)
        k2 = f(t + h / 2, z + h / 2 * k1, theta)
        k3 = f(t + h / 2, z + h / 2 * k2, theta)
        k4 = f(t + h, z + h * k3, theta)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return z


by_odeint = lambda z, theta, t0, t1: L(odeint(f, z, [t0, t1], theta, **tight)[-1])
by_loop = lambda z, theta, t0, t1: L(rk4_loop(z, t0, t1, theta, 400))
library = dict(zip(measured, grad(by_odeint, (0, 1, 2, 3))(z0, theta, t0, t1)))
recorded = dict(zip(measured, grad(by_loop, (0, 1, 2, 3))(z0, theta, t0, t1)))
all_ways = {"Algorithm 2": ours, "library": library, "recorded": recorded, "differences": measured}
for name in measured:
    print(name)
    for way, found in all_ways.items():
        print(f"    {way:12} {np.round(found[name], 9)}")
        assert np.allclose(found[name], measured[name], atol=1e-7)

# %% [markdown]
# ## The same, as a program that can be read
#
# Algorithm 2 asks the engine for products such as $\mathbf a \frac{\partial f}{\partial \mathbf z}$
# and $\mathbf a \frac{\partial f}{\partial \theta}$. `program` writes down what it does for them.
# Take a network with one layer, $f = \tanh(\mathbf u)$ with $\mathbf u = \mathbf z W$. As in
# chapters 2 and 3, the states of a batch are the *rows* of $\mathbf z$, and $\mathbf a$ has the
# shape of the value $f$.
#
# First derive the products by hand, with $\langle \cdot, \cdot \rangle$ and $\odot$ of chapter 3.
# As $\tanh' = 1 - \tanh^2$, small changes $d\mathbf z$ and $dW$ change
# $\langle \mathbf a, f \rangle$ by
#
# $$\big\langle \mathbf a, (1 - f^2) \odot \big((d\mathbf z) W + \mathbf z (dW)\big) \big\rangle = \langle \mathbf a_u W^T, d\mathbf z \rangle +
# \langle \mathbf z^T \mathbf a_u, dW \rangle, \qquad \mathbf a_u = \mathbf a \odot (1 - f^2).$$
#
# What stands beside $d\mathbf z$ and $dW$ are the two products. Each has the shape of what it
# belongs to. `layer_by_hand` writes this down as a program, one operation a line. Below it is what
# the engine has derived: the same lines under other names (`g` is `a`). `check_by_hand` compares
# the two. Where the result is wrong, it names the first wrong line.


# %%
def layer(z, W):
    return np.tanh(z @ W)


def layer_by_hand(z, W, a):
    u = z @ W
    value = np.tanh(u)
    slope = 1 - value * value
    a_u = a * slope
    a_df_dz = a_u @ W.T
    a_df_dW = z.T @ a_u
    return value, (a_df_dz, a_df_dW)


z, W, a = np.array([[1.2, 0.0]]), np.array([[0.3, -0.2], [0.5, 0.8]]), np.array([[1.0, -2.0]])
print(program(layer, z, W, vjp=True).source)
check_by_hand(layer_by_hand, layer, z, W)

_, products = layer_by_hand(z, W, a)
direction = np.array([[0.4, 0.1]]), np.array([[-0.3, 0.2], [0.6, 0.5]])
along_it = sum(np.sum(product * d) for product, d in zip(products, direction))
quotient = central_difference(lambda z, W: np.sum(a * layer(z, W)), (z, W), direction)
print("<a, df> along a direction:", along_it, "  by differences:", quotient)
assert np.isclose(along_it, quotient, rtol=1e-8)

# %% [markdown]
# Two exercises ask for the products of other fields. The easier one, 5.6, has hares $z_1$, which
# multiply, and are eaten when they meet a lynx, and lynx $z_2$, which die, and multiply when they
# meet a hare. 5.1 has a block of a residual network, which adds a layer's value to its argument.


# %%
def block(z, W, b):
    return z + np.tanh(z @ W + b)


def hares_and_lynx(z, theta):
    hares, lynx = z[0], z[1]
    return np.array([(theta[0] - theta[1] * lynx) * hares, (theta[3] * hares - theta[2]) * lynx])


# %% [exercise 5.1] level 2
# Derive the products of a residual block by hand, $f = \mathbf z + \tanh(\mathbf z W + \mathbf b)$:
# `block` above. `z` has shape (4, 2), a batch of four states; `W` (2, 2); `b` (2,), the same for
# all four. Write `block_by_hand(z, W, b, a)`, where `a`, of shape (4, 2), is the cotangent of the
# value, in plain NumPy and without the engine. It returns the value, and a tuple of the three
# cotangents for `z`, `W` and `b`, each of the shape of its argument. One operation a line lets the
# check name the line that is wrong.


# %% [stub 5.1]
def block_by_hand(z, W, b, a):
    """Return f, and the three cotangents (for z, W and b)."""
    ...  # your code here


# %% [solution 5.1]
def block_by_hand(z, W, b, a):
    """Return f, and the three cotangents (for z, W and b)."""
    u = z @ W
    v = u + b
    y = np.tanh(v)
    f = z + y
    slope = 1 - y * y
    a_v = a * slope
    a_b = np.sum(a_v, axis=0)  # b was used by four states: a sum of four
    a_W = z.T @ a_v
    a_layer = a_v @ W.T
    a_z = a + a_layer  # z was used twice: by the skip connection too
    return f, (a_z, a_W, a_b)


# %% [check 5.1]
rng = np.random.default_rng(0)
example = rng.normal(size=(4, 2)), rng.normal(size=(2, 2)), rng.normal(size=2)
check_by_hand(block_by_hand, block, *example)
check_without(lambda: block_by_hand(*example, np.ones((4, 2))), "tinyode")

# %% [markdown]
# `compiled(f)` records such a program at the first call, and runs it from then on. The gradients
# are the same to the last bit, and come sooner. Below, `quick` is the compiled pendulum.


# %%
def gradients_with(f):
    loss = lambda z, theta, t0, t1: L(odeint(f, z, [t0, t1], theta)[-1])
    return grad(loss, (0, 1, 2, 3))(z0, theta, t0, t1)


quick = compiled(f)
assert all(map(np.array_equal, gradients_with(quick), gradients_with(f)))

# %% [markdown]
# ## Losses at many times
#
# Let the loss look at the state at several times $t_1 < \dots < t_N$. Push the state just *before*
# $t_i$. The push reaches the loss in two ways: through the state that is observed at $t_i$, and
# through all later states. By the chain rule for several arguments the two are added. A push just
# *after* $t_i$ has the second way only. So, going back, $\mathbf a$ jumps at $t_i$:
#
# $$\mathbf a(\text{just before } t_i) = \mathbf a(\text{just after } t_i) + \frac{\partial L}{\partial \mathbf z(t_i)}.$$
#
# $\frac{\partial L}{\partial \mathbf z(t_i)}$, `own[i]` in the code, is the derivative of the loss
# with respect to what is observed at $t_i$, with all other observed states held. **That is why the
# gradient is added at an observation, and does not replace $\mathbf a$.** (As in chapter 4.)
#
# In the figure the loss is half the squared distance of the angle from four observations (crosses).
# They were made by a pendulum with other parameters, (3, 0.2).

# %%
times = np.array([0.0, 0.8, 1.5, 2.2, 3.0])
seen = solve(f, z0, times, np.array([3.0, 0.2]), **tight).y[1:, 0]


def loss(z0, theta, times, **options):
    return 0.5 * np.sum((odeint(quick, z0, times, theta, **options)[1:, 0] - seen) ** 2)


def adjoint_equation(t, s):
    value, pullback = vjp(lambda z: f(t, z, theta), s[0])
    return value, pullback(-s[1])[0]


def walk_back(states, own):
    """Carry a back over the intervals, the last one first. Return their times, and a there.

    own[i] is the derivative of the loss with respect to the state observed at times[i].
    """
    a, pieces = np.zeros(2), []
    for i in range(len(times) - 1, 0, -1):
        a = a + own[i]  # the jump
        back_times = np.linspace(times[i], times[i - 1], 60)
        back = solve(adjoint_equation, (states[i], a), back_times, **tight)
        pieces.append((back.t, back.y[1]))
        a = back.y[1][-1]
    return pieces


states = solve(f, z0, times, theta, **tight).y
own = np.array([[0.0, 0.0], *([z[0] - angle, 0.0] for z, angle in zip(states[1:], seen))])
pieces = walk_back(states, own)
a = pieces[-1][1][-1]
gradient = grad(loss)(z0, theta, times, **tight)
print("a(t0) walked back through four jumps", a, "  the library's gradient", gradient)
assert np.allclose(a, gradient, atol=1e-8)

figure, (top, bottom) = panels(1, 2, width=9, height=5.6, sharex=True)
fine = np.linspace(t0, t1, 300)
angle = solve(f, z0, fine, theta, **tight).y[:, 0]
top.plot(fine, angle, color="black", label="angle $z_1(t)$, solved forward")
cross = {"color": COLOURS[4], "markersize": 11, "markeredgewidth": 3}
top.plot(times[1:], seen, "x", label="observations", **cross)
top.legend(loc="lower left", fontsize=12)
top.set_title("The state runs forward, the adjoint runs back and jumps at each observation")
top.set(ylabel="state")
for i, (t, piece) in enumerate(pieces):
    for j in (0, 1):
        label = f"$a_{j + 1}(t)$, solved backward" if i == 0 else None
        bottom.plot(t, piece[:, j], color=COLOURS[j], label=label)
for time in times[1:]:
    bottom.axvline(time, color=COLOURS[4], linewidth=1, linestyle=":")
bottom.plot([t0, t0], gradient, "o", color="black", label="$dL/dz(t_0)$ by the library")
bottom.set(xlabel="$t$", ylabel="adjoint")
bottom.legend(fontsize=12)
save(
    figure,
    "05_adjoint_runs_back",
    alt="Above: the pendulum's angle against time from 0 to 3, and four observations as crosses,"
    " three of them far from the curve. Below: the two components of the adjoint, solved backward"
    " from time 3. At each observation the first jumps by the distance of the cross from the curve;"
    " the second does not jump. At time 0 they end in two dots, the gradient of the library.",
)

# %% [markdown]
# ![Above, the angle of a pendulum is solved forward and misses four observations. Below, the adjoint is solved backward from the last time, and at each observation its first component jumps by the miss.](../figures/05_adjoint_runs_back.gif)
#
# **The derivative in an observation time.** Move $t_i$, and hold the others. The solution stays as
# it is. Only the observed state moves, by $f$ for each unit of time. So what counts is the
# derivative of the loss with respect to this one state, and not $\mathbf a$, which contains all
# later observations too:
#
# $$\frac{dL}{dt_i} = \frac{\partial L}{\partial \mathbf z(t_i)} f(t_i, \mathbf z(t_i), \theta), \qquad i = 1, \dots, N.$$
#
# **If the loss looks at the state at $t_0$ too.** That state is $\mathbf z(t_0)$ itself. It gets
# its jump as any other, so $\frac{dL}{d\mathbf z(t_0)}$ is $\mathbf a$ with the jump. But the
# observed state does not change when $t_0$ moves; only the later states do. So
# $\frac{dL}{dt_0} = -\mathbf a f$ takes $\mathbf a$ *before the jump at $t_0$ is added*.

# %% [predict]
# The next cell uses a loss with an observation at $t_0$ too. It prints each $\frac{dL}{dt_i}$ as
# measured, beside $\frac{\partial L}{\partial \mathbf z(t_i)} f$ and $\mathbf a f$ (with the jump).
# At one of the times $t_1, \dots, t_4$ the two products agree. At which, and why?


# %%
def loss_from_t0(z, times):
    return loss(z, theta, times, **tight) + 0.5 * (z[0] - 0.4) ** 2  # 0.4 was observed at t0


moving = np.array([1.2, 1.0])  # a start with a velocity
states = solve(f, moving, times, theta, **tight).y
own = np.array([[z[0] - angle, 0.0] for z, angle in zip(states, [0.4, *seen])])
no_jump = [piece[-1] for _, piece in walk_back(states, own)[::-1]] + [np.zeros(2)]
of_times = [
    central_difference(lambda t: loss_from_t0(moving, t), (times,), (e,), h=2e-3) for e in np.eye(5)
]
print("  i   measured dL/dti      own[i] f          a f")
for i in range(1, 5):
    slope, with_jump = f(times[i], states[i], theta), no_jump[i] + own[i]
    print(f"{i:3}   {of_times[i]:15.8f}   {own[i] @ slope:11.8f}   {with_jump @ slope:10.8f}")
    assert np.isclose(of_times[i], own[i] @ slope, atol=1e-7)
slope, with_jump = f(t0, moving, theta), no_jump[0] + own[0]
print("dL/dz(t0): measured", by_differences(lambda z: loss_from_t0(z, times), moving), end=", ")
print("a with the jump", with_jump)
print(
    f"dL/dt0: measured {of_times[0]:.8f}, -a f before the jump {-no_jump[0] @ slope:.8f}", end=", "
)
print(f"after it {-with_jump @ slope:.8f} <- wrong")
assert np.allclose(by_differences(lambda z: loss_from_t0(z, times), moving), with_jump, atol=1e-7)
assert np.isclose(of_times[0], -no_jump[0] @ slope, atol=1e-7)
assert abs(of_times[0] + with_jump @ slope) > 0.1
library_t = grad(loss_from_t0, 1)(moving, times)
print("the library's dL/dt:", library_t)
assert np.allclose(library_t, of_times, atol=1e-7)

# %% [markdown]
# The two products agree at $t_4$, the last time: no later observation is in $\mathbf a$ there.
#
# **To play with.** `python -m tutorials --play adjoint` opens a window with this pendulum. Drag the
# round point, which pushes the state at a time $t$. The panel on the right has the loss that
# results, and its tangent, $L + \mathbf a(t)$ push; for a small push the two are nearly the same.
# Drag an observation, and look at its jump in $a_1$. The button takes a step of gradient descent.
#
# ![Above left, the pendulum of chapter 5: its angle against time, four observations as crosses, and a round point that pushes the state at one time; a dashed line goes on from there. Below, the adjoint, which jumps at each observation. Right, the loss against the push, and its tangent L + a(t) push.](../figures/play_adjoint.png)
#
# ## What it costs, what it is worth
#
# **Memory.** The tape of a recorded loop grows with the number of steps. The adjoint holds one
# augmented state (P-mem, S-mem). The cell measures the peak memory of one gradient, in states of
# 20,000 numbers. The adjoint needs more than two, $\mathbf z$ and $\mathbf a$, because the stages
# of a step and temporary arrays are counted too. What matters is that it does not grow. The tape
# keeps the value of each operation: one step of the loop has 17.

# %%
wide = np.ones(20_000)


def peak(way, n):
    tracemalloc.start()
    grad(way)(0.5, n)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size / wide.nbytes


def by_adjoint(c, n):
    decay = lambda t, z, c: -c * z
    return np.sum(odeint(decay, wide, [0.0, 1.0], c, method="rk4", step_size=1 / n)[-1])


def by_recording(c, n):
    z, h = wide, 1 / n
    for _ in range(n):
        k1 = -c * z
        k2 = -c * (z + h / 2 * k1)
        k3 = -c * (z + h / 2 * k2)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 - c * (z + h * k3))
    return np.sum(z)


print("steps   adjoint   recorded loop")
memory = {n: (peak(by_adjoint, n), peak(by_recording, n)) for n in (10, 40, 160)}
for n, (small, large) in memory.items():
    print(f"{n:5}   {small:7.0f}   {large:13.0f}")
assert memory[160][0] < 1.05 * memory[10][0] and memory[160][1] > 10 * memory[10][1]
assert round((memory[160][1] - memory[40][1]) / 120) == 17  # the operations of a step

# %% [markdown]
# **Accuracy.** A solver is a program. With fixed steps, the recorded loop gives the derivative *of
# the numbers that the solver computes*, exact up to rounding. The adjoint gives an approximation of
# the derivative of the *true* solution. Both are as far from the truth as the solver's steps allow.
# They answer slightly different questions.

# %%
steps = 2 ** np.arange(3, 10)
truth = ours["dL/dz(t0)"]
against_truth = {"adjoint": [], "recorded": []}
against_numbers = {"adjoint": [], "recorded": []}
for n in steps:
    fixed = {"method": "rk4", "step_size": (t1 - t0) / n}
    by_loop = lambda z, n=n: L(rk4_loop(z, t0, t1, theta, n))
    by_odeint = lambda z, fixed=fixed: L(odeint(quick, z, [t0, t1], theta, **fixed)[-1])
    of_numbers = by_differences(by_loop, z0)
    found = {"adjoint": grad(by_odeint)(z0), "recorded": grad(by_loop)(z0)}
    for way, value in found.items():
        against_truth[way].append(np.abs(value - truth).max())
        against_numbers[way].append(np.abs(value - of_numbers).max())
figure, (left, right) = panels(2, width=11, height=4.6, sharey=True)
for axes, errors in ((left, against_truth), (right, against_numbers)):
    axes.loglog(steps, errors["adjoint"], "o-", label="adjoint (Algorithm 2)")
    axes.loglog(steps, errors["recorded"], "s-", label="recorded loop (the tape)")
    axes.set(xlabel="steps of rk4")
left.set(ylabel="error of the gradient", title="Against the true gradient")
right.set(title="Against that of the numbers computed")
left.legend(fontsize=12)
save(
    figure,
    "05_two_gradients",
    alt="Error of the gradient against the number of steps of rk4, from 8 to 512, both axes"
    " logarithmic. Left, against the true gradient: adjoint and recorded loop fall together, from"
    " 0.001 to 1e-10. Right, against the gradient of the numbers computed: the adjoint falls as"
    " before, the recorded loop is at the level of rounding, 1e-12, from the first.",
)
assert max(against_numbers["recorded"]) < 1e-8 and against_numbers["adjoint"][0] > 1e-4
assert 3.5 < np.log2(against_truth["adjoint"][3] / against_truth["adjoint"][4]) < 4.5

# %% [markdown]
# **And a warning.** Algorithm 2 solves $\mathbf z$ backwards. Where solutions draw together going
# forward, they move apart going back, and so does every error. Take two components whose sum decays
# like $e^{-t}$ and whose difference decays like $e^{-ct}$. (The matrix `two_rates` has the
# eigenvalue $-1$ for the vector (1, 1), and $-c$ for (1, -1).)

# %% [predict]
# The next cell solves this field from (1, 0) at $t = 0$ to $t = 2$, and from there back to $t = 0$,
# with `rtol=1e-10`. How many right digits of $\mathbf z(0)$ come back for $c = 5$, for $c = 10$ and
# for $c = 20$?

# %%
print("  c    exp(2 c)   error of z1 - z2 at t = 2   z(0) recovered from z(2), instead of (1, 0)")
recovered = {}
for c in (2.0, 5.0, 10.0, 20.0):
    two_rates = np.array([[-1 - c, c - 1], [c - 1, -1 - c]]) / 2
    linear = lambda t, z, A=two_rates: A @ z
    end = solve(linear, np.array([1.0, 0.0]), [0, 2], rtol=1e-10, atol=1e-14).y[-1]
    recovered[c] = solve(linear, end, [2, 0], rtol=1e-10, atol=1e-14).y[-1]
    lost = end[0] - end[1] - np.exp(-2 * c)
    print(f"{c:4}   {np.exp(2 * c):8.1e}   {lost:25.1e}   {recovered[c]}")
assert np.abs(recovered[2.0] - [1, 0]).max() < 1e-6 and np.abs(recovered[20.0] - [1, 0]).max() > 0.1

# %% [markdown]
# The error of the difference is far below $10^{-10}$ at $t = 2$, because it decays on the way
# forward as well. Going back to $t = 0$ it grows by the factor $e^{2c}$. A tighter tolerance helps
# until $e^{-2c}$ is lost in the rounding of the sum, near $c = 18$: $e^{-36}$ is about
# $2 \cdot 10^{-16}$. Beyond that nothing helps.
#
# ## Four ways, side by side
#
# Algorithm 2 is one way to differentiate a solution. The library has three more, and the option
# `gradient` of `odeint` chooses:
#
# * `"adjoint"`: Algorithm 2. Solves $\mathbf z$ and $\mathbf a$ backwards; its memory does not grow
#   with the steps.
# * `"discrete"`: the adjoint of every step that was taken, in reverse, as at the end of chapter 4:
#   exact for the numbers computed. It keeps a state for each step, or with `checkpoints=K` no more
#   than $K$, and computes the others again.
# * `"interpolated"`: $\mathbf a$ alone is solved backwards, $\mathbf z$ is read off the stored
#   solution, so no errors of $\mathbf z$ grow on the way back.
# * `"forward"`: the sensitivity $\frac{d\mathbf z}{d\theta}$ is solved forwards, together with
#   $\mathbf z$; for few parameters.
#
# The equation $y' = -c (y - \cos t)$, $y(0) = 0$, has the solution
# $y(t) = \frac{c^2 \cos t + c \sin t - c^2 e^{-ct}}{1 + c^2}$, so $\frac{dy(2)}{dc}$ is known. For
# small $c$ all four ways agree. For large $c$ the field is *stiff* (chapter 1), errors of
# $\mathbf z$ grow on the way back, and Algorithm 2 first warns, then gives up. (`radau_iia5` is an
# implicit method, for stiff fields.)

# %%
slaved = lambda t, y, c: -c * (y - np.cos(t))
exactly = lambda c: (c * c * np.cos(2) + c * np.sin(2) - c * c * np.exp(-2 * c)) / (1 + c * c)
ways = ("adjoint", "discrete", "interpolated", "forward")
print("relative error of dy(2)/dc, rtol 1e-6\n    c  " + "".join(f"{way:>14}" for way in ways))
wrong = {}
for c, method in ((1.0, "dopri5"), (10.0, "dopri5"), (1000.0, "radau_iia5")):
    for way in ways:
        options = {"method": method, "atol": 1e-8, "gradient": way, "max_steps": 5000}
        end = lambda c, options=options: odeint(slaved, 0.0, [0.0, 2.0], c, **options)[-1]
        with warnings.catch_warnings(record=True) as warned, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            try:
                error = abs(grad(end)(c) / grad(exactly)(c) - 1)
                wrong[c, way] = f"{error:.1e}" + "*" * bool(warned)
            except SolverError:
                wrong[c, way] = "gives up"
    print(f"{c:6.0f} " + "".join(f"{wrong[c, way]:>14}" for way in ways))
print("(* with a warning that z, solved backwards, has not come back to where it was)")
assert all(float(wrong[1.0, way]) < 1e-4 for way in ways)
assert wrong[10.0, "adjoint"].endswith("*") and wrong[1000.0, "adjoint"] == "gives up"
assert all(float(wrong[1000.0, way]) < 1e-2 for way in ways[1:])

# %% [markdown]
# **Which one to take?**
#
# | your problem | take | because |
# | --- | --- | --- |
# | you do not know, and one state for each step fits in memory | `"discrete"` | it is exact for the steps that were taken, and never solves $\mathbf z$ backwards |
# | one state for each step does not fit | `"adjoint"`, the default of `odeint` | its memory does not grow; do not ignore its warning |
# | the same, and `"adjoint"` warns | `"discrete"` with `checkpoints=K` | it keeps $K$ states, and solves forward once more |
# | the field is stiff or decays fast | `"discrete"` | `"adjoint"` warns or gives up, as in the table above |
# | few parameters, many outputs: a least-squares fit | `"forward"` | one solve gives the whole Jacobian (chapter 6) |
# | gradients of the observation times | `"adjoint"` or `"interpolated"` | between its steps a solver reads the state off a polynomial, and `"discrete"` differentiates this polynomial, which is less exact |
#
# The default is Algorithm 2 because its memory is safe for every number of steps, as in the paper
# of Chen and others. In the picture the error gets smaller to the right. In three of the four
# problems Algorithm 2 mostly needs more calls of $f$ than the others for the same error; in the
# stiff one it gives up. (`tests/benchmarks/gradients.py` draws it, and the error over both
# tolerances, P-tol.)
#
# ![Error against work, four problems](../figures/gradients_work_precision.png)
#
# **To play with.** `python -m tutorials --play back` opens a window with a field of two rates,
# which chapter 10 explains. Make the larger rate $k_2$ larger: on the way back the error of
# $\mathbf z$ grows faster, and with it the error of `"adjoint"`, which warns at first and then
# gives up. The other three ways stay near the error of the solution.
#
# ![Above left, the field of two rates of chapter 10, solved forwards and back. The way back begins anew at the round point, from the state that was found there on the way forwards. Below, how far both are from the exact solution; a wide band is what exp(k2 times the time back) makes of the first error. Right, the errors of dL/dtheta by four ways. A cross has a warning, or has given up.](../figures/play_back.png)

# %% [markdown]
# ## The same by Lagrange's method (for a second reading)
#
# There is another derivation, which finds the adjoint equation without a limit. Lagrange's method
# subtracts from the loss a constraint times a multiplier. Here the constraint is the ODE. It holds
# at each moment, so there is a multiplier for each moment, a row $\mathbf a(t)$, and the products
# are added up by an integral. For now $\mathbf a(t)$ is *any* differentiable row.
#
# **Line 1.** Along a solution $\frac{d\mathbf z}{dt} - f = 0$, so what is subtracted is zero:
#
# $$L(\mathbf z(t_1)) = L(\mathbf z(t_1)) - \int_{t_0}^{t_1} \mathbf a \Big(\frac{d\mathbf z}{dt} - f\Big) dt.$$
#
# **Line 2.** Change the start by a small $\delta \mathbf z_0$ and the parameters by a small
# $\delta \theta$. The solution changes by some $\delta \mathbf z(t)$, its slope by
# $\frac{d}{dt} \delta \mathbf z$, and $f$ by
# $\frac{\partial f}{\partial \mathbf z} \delta \mathbf z + \frac{\partial f}{\partial \theta} \delta \theta$.
# So the loss changes by
#
# $$\delta L = \frac{\partial L}{\partial \mathbf z} \delta \mathbf z(t_1) - \int_{t_0}^{t_1} \mathbf a \frac{d}{dt} \delta \mathbf z dt + \int_{t_0}^{t_1} \mathbf a \frac{\partial f}{\partial \mathbf z} \delta \mathbf z dt + \int_{t_0}^{t_1} \mathbf a \frac{\partial f}{\partial \theta} \delta \theta dt.$$
#
# **Line 3.** Integrate the second term by parts, to get rid of the derivative of
# $\delta \mathbf z$:
#
# $$\int_{t_0}^{t_1} \mathbf a \frac{d}{dt} \delta \mathbf z dt = \mathbf a(t_1) \delta \mathbf z(t_1) - \mathbf a(t_0) \delta \mathbf z(t_0) - \int_{t_0}^{t_1} \frac{d\mathbf a}{dt} \delta \mathbf z dt.$$
#
# **Line 4.** Put line 3 into line 2, and collect what belongs to $\delta \mathbf z(t_1)$, to
# $\delta \mathbf z(t_0)$, to $\delta \mathbf z$ between, and to $\delta \theta$:
#
# $$\delta L = \Big(\frac{\partial L}{\partial \mathbf z} - \mathbf a(t_1)\Big) \delta \mathbf z(t_1) + \mathbf a(t_0) \delta \mathbf z(t_0) + \int_{t_0}^{t_1} \Big(\frac{d\mathbf a}{dt} + \mathbf a \frac{\partial f}{\partial \mathbf z}\Big) \delta \mathbf z dt + \int_{t_0}^{t_1} \mathbf a \frac{\partial f}{\partial \theta} \delta \theta dt.$$
#
# This is true for every $\mathbf a$. We know $\delta \mathbf z(t_0) = \delta \mathbf z_0$ and
# $\delta \theta$. We do not know $\delta \mathbf z$ after the start, without another solve. So
# choose the $\mathbf a$ that makes the factors of what we do not know zero:
#
# $$\mathbf a(t_1) = \frac{\partial L}{\partial \mathbf z}, \qquad \frac{d\mathbf a}{dt} = -\mathbf a \frac{\partial f}{\partial \mathbf z}.$$
#
# This is G37 and P4. What is left of line 4 is the first two gradients:
# $\delta L = \mathbf a(t_0) \delta \mathbf z_0 + \int \mathbf a \frac{\partial f}{\partial \theta} dt \delta \theta$.
#
# The cell puts numbers into lines 2, 3 and 4, for $\mathbf a(t) = (\cos t, t)$, which has nothing
# to do with the pendulum, and line 4 for the adjoint.

# %%
start_moves, theta_moves, d = np.array([1.0, 2.0]), np.array([0.5, 1.0]), 1e-4
more = solve(f, z0 + d * start_moves, nodes, theta + d * theta_moves, **tight).y
less = solve(f, z0 - d * start_moves, nodes, theta - d * theta_moves, **tight).y
dz = (more - less) / (2 * d)  # delta z at the nodes, for each unit of d
dL = (L(more[-1]) - L(less[-1])) / (2 * d)
f_more = [f(t, z, theta + d * theta_moves) for t, z in zip(nodes, more)]
f_less = [f(t, z, theta - d * theta_moves) for t, z in zip(nodes, less)]
dz_slope = (np.array(f_more) - np.array(f_less)) / (2 * d)  # the slope of a solution is f
by_z = [df_dz(t, z) for t, z, _ in along]
by_theta = [jacobian(f, 2)(t, z, theta) @ theta_moves for t, z, _ in along]

any_a = [np.array([np.cos(t), t]) for t in nodes]
any_slope = [np.array([-np.sin(t), 1.0]) for t in nodes]
over = lambda rows, columns: simpson([row @ column for row, column in zip(rows, columns)], nodes)
of_slope = over(any_a, dz_slope)
a_by_z = [row @ J for row, J in zip(any_a, by_z)]
line_2 = a1 @ dz[-1] - of_slope + over(a_by_z, dz) + over(any_a, by_theta)
line_3 = any_a[-1] @ dz[-1] - any_a[0] @ dz[0] - over(any_slope, dz)
print(f"the change of the loss: measured {dL:.5f}, line 2 {line_2:.5f}")
print(f"by parts: the integral {of_slope:.5f}, line 3 {line_3:.5f}")
assert np.isclose(line_2, dL, atol=1e-4) and np.isclose(line_3, of_slope, atol=1e-4)

adjoint = [a for _, _, a in along]
adjoint_slope = [-a @ J for a, J in zip(adjoint, by_z)]
print("line 4            dz(t1)    dz(t0)        dz    dtheta       sum")
for name, rows, row_slopes in (
    ("a = (cos t, t)", any_a, any_slope),
    ("the adjoint", adjoint, adjoint_slope),
):
    factor = [slope + row @ J for slope, row, J in zip(row_slopes, rows, by_z)]
    terms = [(a1 - rows[-1]) @ dz[-1], rows[0] @ dz[0], over(factor, dz), over(rows, by_theta)]
    print(f"{name:14}" + "".join(f"{term:10.5f}" for term in [*terms, sum(terms)]))
    assert np.isclose(sum(terms), dL, atol=1e-4)

# %% [markdown]
# So $\mathbf a$ is $\lambda$ of chapter 4. Transposing the matrix has become integrating by parts:
# $\frac{d}{dt}$ goes from $\delta \mathbf z$ over to $\mathbf a$ and changes its sign, and the known
# value goes from the start to the end.
#
# ## The sources against the numbers
#
# **G28** writes the constraint as $f(\mathbf z(t), t_0, t_1, \theta) = 0$. That would say that
# nothing moves. The constraint is $\frac{d\mathbf z}{dt} - f = 0$ (and the start is
# $\mathbf z(t_0) = \mathbf x$, not $\mathbf z(0) = \mathbf x$). With it, Lagrange's method gives
# the adjoint equation, as above.
#
# **G33** defines $\mathbf a(t) = -\frac{\partial L}{\partial \mathbf z(t)}$. Alone this is a
# convention, as $-\mathbf a$ obeys the same equation. But the next slides use
# $\mathbf a(t_0) = \frac{\partial L}{\partial \mathbf z(t_0)}$ (G35) and
# $\mathbf a(t_N) = \frac{\partial L}{\partial \mathbf z(t_N)}$ (G37), and P, N6, S4 and Algorithm 2
# have the plus throughout. Corrected: plus.
#
# **N7** has
# $\frac{dL}{d\theta} = +\int_{t_1}^{t_0} \mathbf a \frac{\partial f}{\partial \theta} dt$.
# Corrected: minus, or the limits exchanged.
#
# **P7** stands on a slide that defines $\mathbf a_t(t) := \frac{dL}{dt(t)}$. Read so, it begins
# with $\mathbf a_t(t_N) = +\frac{dL}{dt_N}$, and the result is wrong. Corrected:
# $\mathbf a_t(t_N) = -\frac{dL}{dt_N}$, as in Algorithm 2.
#
# **S-black and N-black** say that to go back through the solver introduces numerical inaccuracy, or
# that it cannot be done by the chain rule. The picture "Against that of the numbers computed" shows
# otherwise: the recorded loop is exact for its numbers. It costs memory.
#
# **P-err** says that the numerical error from the backward pass is "not seen in application". In
# the table with the stars above it is seen.
#
# The next cell solves the augmented system with each of the three wrong signs. The first rows are
# Algorithm 2, through the same code.

# %% [predict]
# For each of the three, G33, N7 and P7: which of $\frac{dL}{d\mathbf z(t_0)}$,
# $\frac{dL}{d\theta}$ and $\frac{dL}{dt_0}$ will come out wrong?


# %%
def augmented(start_of_a, sign_of_theta, start_of_t):
    """Return what it takes for the gradients, with the signs of somebody's formula."""

    def dynamics(t, s):
        value, pullback = vjp(f, t, s[0], theta)
        a_df_dt, a_df_dz, a_df_dtheta = pullback(s[1])
        return value, -a_df_dz, sign_of_theta * a_df_dtheta, -a_df_dt

    s0 = (z1, start_of_a, np.zeros(2), start_of_t)
    _, a, a_theta, a_t = solve(dynamics, s0, [t1, t0], **tight).y
    return {"dL/dz(t0)": a[-1], "dL/dtheta": a_theta[-1], "dL/dt0": a_t[-1]}


slope_mid = (flow(z0, t0, t_mid + 1e-4) - flow(z0, t0, t_mid - 1e-4)) / 2e-4
f_mid = f(t_mid, z_mid, theta)
print(f"G28 at t = {t_mid}: f = {f_mid}, dz/dt - f = {slope_mid - f_mid}")
assert np.abs(f_mid).max() > 0.5 and np.allclose(slope_mid, f_mid, atol=1e-7)
dL_dz1 = grad(L)(z1)
every = ["dL/dz(t0)", "dL/dtheta", "dL/dt0"]
variants = {
    "Algorithm 2": (augmented(dL_dz1, -1, -dL_dt1), []),
    "G33: a(tN) = -dL/dz(tN)": (augmented(-dL_dz1, -1, -dL_dt1), every),
    "N7: + in the integral for theta": (augmented(dL_dz1, +1, -dL_dt1), ["dL/dtheta"]),
    "P7: a_t(tN) = + dL/dtN": (augmented(dL_dz1, -1, dL_dt1), ["dL/dt0"]),
}
for formula, (found, is_wrong) in variants.items():
    print(formula)
    for name, value in found.items():
        mark = "  <- wrong" if name in is_wrong else ""
        print(f"    {name:10} {value!s:28} measured {measured[name]!s:28}{mark}")
        assert np.allclose(value, measured[name], atol=1e-7) == (name not in is_wrong)

# %% [markdown]
# ## Exercises
#
# Exercise 5.2 uses gradient descent with momentum.
#
# > **Momentum.** Plain gradient descent goes a step along minus the gradient: $\theta$ becomes
# > $\theta - \eta g$, with a learning rate $\eta$. In a narrow valley it goes to and fro between the
# > sides, and slowly along the floor. With momentum $\mu$ the step goes along a sum of the gradients
# > so far, in which older ones count less: $\mathbf v$ becomes $\mu \mathbf v + g$, and $\theta$
# > becomes $\theta - \eta \mathbf v$. To and fro cancels in the sum, and what stays the same adds up.
# > With $\eta = 0.3$, $\mu = 0.8$ and a gradient that is always 1, the steps are 0.3, 0.54, 0.732,
# > ..., and tend to $0.3 / (1 - 0.8) = 1.5$. With gradients 1, -1, 1, ... they tend to
# > $0.3 / (1 + 0.8) = 0.17$ in size. (Polyak, 1964.)

# %%
init, update = optim.gradient_descent(0.3, momentum=0.8)
for name, sign in (("always 1", 1), ("1, -1, 1, ...", -1)):
    place, state, sizes = 0.0, init(0.0), []
    for i in range(60):
        new, state = update(place, float(sign**i), state)
        sizes.append(abs(new - place))
        place = new
    print(
        f"gradients {name}: sizes of the steps", np.round(sizes[:3], 3), "...", round(sizes[-1], 3)
    )
    assert np.isclose(sizes[-1], 0.3 / (1 - sign * 0.8), atol=1e-4)

# %% [exercise 5.2] level 1
# Find the parameters that made the four observations, by gradient descent.
# `optim.gradient_descent` returns two functions: `init` makes the state of the optimiser, which is
# $\mathbf v$ of the box above, and `update` takes one step. One line of `descend(p, steps)` is not
# right: `slope` must be the gradient of `loss(z0, p, times)` for the parameters `p`, which are its
# second argument. From `theta`, eighty steps come to the parameters (3, 0.2) within one per cent.


# %% [stub 5.2]
def descend(p, steps):
    """Return the parameters after so many steps from p."""
    init, update = optim.gradient_descent(0.3, momentum=0.8)  # momentum: the valley is narrow
    state = init(p)
    for _ in range(steps):
        slope = 0 * p  # your code here, instead of 0 * p
        p, state = update(p, slope, state)
    return p


# %% [solution 5.2]
def descend(p, steps):
    """Return the parameters after so many steps from p."""
    init, update = optim.gradient_descent(0.3, momentum=0.8)  # momentum: the valley is narrow
    state = init(p)
    for _ in range(steps):
        slope = grad(loss, 1)(z0, p, times)
        p, state = update(p, slope, state)
    return p


for steps_taken in (0, 20, 40, 80):
    p = descend(theta, steps_taken)
    print(f"after {steps_taken:2} steps: loss {loss(z0, p, times):.1e}, theta = {p}")

# %% [check 5.2]
first, slopes = descend(theta, 1), grad(loss, (0, 1))(z0, theta, times)
assert np.shape(first) == (2,), (
    f"descend(theta, 1) returns {first!r}; it should be the parameters, an array of two numbers."
)
assert not np.array_equal(first, theta), (
    "descend(theta, 1) returns theta: the loop changes nothing."
)
assert not np.allclose(first, theta + 0.3 * slopes[1]), (
    f"The first step goes from {theta} to {first}: uphill. `update` takes the minus itself."
)
assert not np.allclose(first, theta - 0.3 * slopes[0]), (
    f"The first step goes from {theta} to {first}: along the slope of the loss for z0, which is"
    " argument 0. The parameters are argument 1."
)
assert np.allclose(first, theta - 0.3 * slopes[1]), (
    f"The first step goes from {theta} to {first}; it should go to {theta - 0.3 * slopes[1]}. Is"
    " the slope taken at p?"
)
init, update = optim.gradient_descent(0.3, momentum=0.8)
p, state = update(theta, slopes[1], init(theta))
assert not np.allclose(descend(theta, 2), update(p, slopes[1], state)[0]), (
    "The second step takes the slope of the first once more: take it at p, which has moved."
)
found = descend(theta, 80)
assert np.allclose(found, [3.0, 0.2], rtol=0.01), (
    f"After 80 steps the parameters are {found}, not near (3, 0.2). Is the new state kept, and is"
    " the slope taken anew in each step?"
)

# %% [exercise 5.3] level 1
# Move the start. The solve starts later by a small $d$, at $t_0 + d$, but from the same state `z0`.
# The same solution could have been started at $t_0$, from another state. Write
#
# * `earlier(d)`: that state, an array of two numbers, without a solver and right up to errors of
#   order $d^2$, for the pendulum `f` with `theta`, `t0` and `z0` of the chapter;
# * `dL_dt0(a0)`: the number $\frac{dL}{dt_0}$, from `a0`, which is $\mathbf a(t_0)$, without a
#   solver and without an integral.


# %% [stub 5.3]
def earlier(d):
    """Return the state at t0 whose solution passes through z0 at t0 + d, up to order d^2."""
    ...  # your code here


def dL_dt0(a0):
    """Return dL/dt0 from a(t0) = dL/dz(t0)."""
    ...  # your code here


# %% [solution 5.3]
# In the time d the state moves by d f, so it was z0 - d f. To start later by d is to start at t0
# from a state that is pushed by -d f, and a push at t0 costs a(t0): the formula that the library
# uses.
def earlier(d):
    """Return the state at t0 whose solution passes through z0 at t0 + d, up to order d^2."""
    return z0 - d * f(t0, z0, theta)


def dL_dt0(a0):
    """Return dL/dt0 from a(t0) = dL/dz(t0)."""
    return -a0 @ f(t0, z0, theta)


print("dL/dt0", dL_dt0(library["dL/dz(t0)"]), "  by differences", measured["dL/dt0"])


# %% [check 5.3]
def distance(d):
    """Return how far from z0 the solution passes that starts from earlier(d)."""
    start = earlier(d)
    assert np.shape(start) == (2,), (
        f"earlier({d}) returns {start!r}; it should be a state, an array of two numbers."
    )
    passes = lambda state: np.abs(flow(np.asarray(state), t0, t0 + d) - z0).max()
    assert passes(2 * z0 - start) > d**2 or passes(start) < d**2, (
        f"earlier({d}) = {start}: the wrong direction. This is where the solution will be after d;"
        " asked for is where it was before."
    )
    return passes(start)


distances = distance(0.02), distance(0.01)
assert distances[1] < 1e-3 and (distances[1] < distances[0] / 3 or distances[0] < 1e-9), (
    f"The solution from earlier(d) passes z0 at a distance of {distances[0]:.2g} for d = 0.02 and"
    f" of {distances[1]:.2g} for d = 0.01; it should be four times smaller. (In a time d the state"
    " moves by d f, up to order d^2.)"
)
answer, expected = dL_dt0(library["dL/dz(t0)"]), measured["dL/dt0"]
assert isinstance(answer, (float, np.ndarray, np.number)) and np.shape(answer) == (), (
    f"dL_dt0(a0) returns {answer!r}; it should be a number."
)
compared = f" dL_dt0(a0) = {answer:.6f}; finite differences of the loss give {expected:.6f}."
assert not np.isclose(answer, -expected, rtol=1e-5), (
    "dL_dt0 has the wrong sign: the push is minus d f." + compared
)
assert not np.isclose(answer, -grad(L)(z1) @ f(t1, z1, theta), rtol=1e-5), (
    "dL_dt0 takes f and a at the end, t1. The start moves." + compared
)
assert np.isclose(answer, expected, rtol=1e-5), (
    "dL_dt0 is not right. How does earlier(d) change with d, and what does a push at t0 cost?"
    + compared
)

# %% [exercise 5.4] level 2
# A small change $\mathbf v_0$ of $\mathbf z(t_0)$ becomes a small change $\mathbf v(t)$ of
# $\mathbf z(t)$, which obeys $\mathbf v' = \frac{\partial f}{\partial \mathbf z} \mathbf v$ along
# the solution. Show that $\mathbf a(t) \mathbf v(t)$, a row times a column, does not change with
# time. What has it to do with
# $\langle \mathbf w, J \mathbf v \rangle = \langle J^T \mathbf w, \mathbf v \rangle$? Then write
#
# * `small_change(v0, t)`: $\mathbf v(t)$, an array of two numbers, for $t$ after `t0`, by solving
#   $\mathbf z$ and $\mathbf v$ together with the tolerances `tight` (`df_dz(t, z)` is the
#   Jacobian);
# * `rise(v0)`: the derivative of $L(\mathbf z(t_1))$ when $\mathbf z(t_0)$ is moved along
#   $\mathbf v_0$, a number, by `small_change` and without any solve backwards.


# %% [stub 5.4]
def small_change(v0, t):
    """Return v(t), where v(t0) = v0."""
    ...  # your code here


def rise(v0):
    """Return dL along v0, without a backward solve."""
    ...  # your code here


# %% [solution 5.4]
# (a v)' = -a df/dz v + a df/dz v = 0. Over the whole time, v(t1) = J v0 with J the Jacobian of the
# solution z(t1) for z(t0), and a(t0) = a(t1) J. So a(t1) (J v0) at the end and (a(t1) J) v0 at the
# start are the same number, in two bracketings.
def small_change(v0, t):
    """Return v(t), where v(t0) = v0."""
    both = lambda t, s: (f(t, s[0], theta), df_dz(t, s[0]) @ s[1])
    return solve(both, (z0, v0), [t0, t], **tight).y[1][-1]


def rise(v0):
    """Return dL along v0, without a backward solve."""
    return grad(L)(z1) @ small_change(v0, t1)


v0 = np.array([1.0, -2.0])
products = [a_at(t) @ small_change(v0, t) for t in (1.0, 2.0, 3.0)]
print("a(t) v(t) at three times:", np.round(products, 9), "  rise:", round(rise(v0), 9))


# %% [check 5.4]
def look_at(v0):
    """Hold both functions against the adjoint and against differences, for one v0."""
    at = (1.0, 3.0)
    v = [small_change(v0, t) for t in at]
    assert np.shape(v) == (2, 2), (
        f"small_change(v0, {at[0]}) returns {v[0]!r}; it should be v at the last time, an array of"
        " two numbers."
    )
    mistakes = {
        "df/dz is transposed": lambda t, z, v: v @ df_dz(t, z),
        "the sign of v' is wrong": lambda t, z, v: -df_dz(t, z) @ v,
        "df/dz is taken at z0, not along the solution": lambda t, z, v: df_dz(t, z0) @ v,
        "this is f of v, not df/dz times v": lambda t, z, v: f(t, v, theta),
    }
    for words, slope in mistakes.items():
        wrongly = lambda t, s: (f(t, s[0], theta), slope(t, *s))
        wrong = solve(wrongly, (z0, v0), [t0, at[0]], rtol=1e-8, atol=1e-8).y[1][-1]
        assert not np.allclose(v[0], wrong, atol=1e-5), (
            f"small_change({v0}, {at[0]}) = {v[0]}: {words}."
        )
    products = [float(a_at(t) @ v) for t, v in zip(at, v)]
    assert np.ptp(products) < 1e-6, (
        f"a(t) v(t) is {products} at t = 1 and 3; it should not change. Is v' = df/dz v, and does"
        " v start from v0 at t0?"
    )
    answer, expected = rise(v0), measured["dL/dz(t0)"] @ v0
    assert isinstance(answer, (float, np.ndarray, np.number)) and np.shape(answer) == (), (
        f"rise(v0) returns {answer!r}; it should be a number."
    )
    assert np.isclose(answer, expected, atol=1e-6), (
        f"rise({v0}) = {answer:.6f}; by differences it is {expected:.6f}. At t1 the loss changes by"
        " dL/dz at z1, times v(t1)."
    )


look_at(np.array([1.0, -2.0]))
look_at(np.array([0.0, 1.0]))

# %% [exercise 5.5] level 3
# Write a solver of your own that can be differentiated, by Algorithm 2, for many times and any
# parameters. (Chapter 6 uses it, together with your step of chapter 1 and your engine of chapter
# 3.) `my_odeint(f, y0, t, *args)` returns the states at all times `t`, an array of shape
# `(len(t), len(y0))`. `y0` is an array of $n$ numbers, the first of the times is that of `y0`, the
# times rise or fall, and `args` are any number of arrays. `solve` may do the solving, with
# `rtol=1e-8` and `atol=1e-10`; `odeint` may not be used.
#
# `custom_vjp` makes a function whose derivative you write: `forward(y0, t, *args)` returns the
# value and what the way back needs; `backward(residuals, w)` gets that and the cotangent `w` of the
# value, of shape `(len(t), len(y0))`, where `w[i]` is $\frac{\partial L}{\partial \mathbf z(t_i)}$.
# It returns a tuple of cotangents: for `y0`, for `t`, then one for each of `args`. It does what the
# section on losses at many times does, and three things more:
#
# * the integrals for the parameters (P5), summed over all intervals;
# * $\frac{dL}{dt_i}$ for each time, as in that section; the first time moves the start;
# * the observation at the first time, which is `y0` itself.
#
# The check, `check_odeint`, tries your function on problems that it draws, and names the mistake
# that it recognises.


# %% [stub 5.5]
def my_odeint(f, y0, t, *args):
    """Return the states at the times t; differentiable for y0, t and args."""

    @custom_vjp
    def solution(y0, t, *args):
        return solve(f, y0, t, *args, rtol=1e-8, atol=1e-10).y

    def forward(y0, t, *args):
        z = solution(y0, t, *args)
        return z, (z, t, args)

    def backward(residuals, w):
        z, t, args = residuals
        ...  # your code here: go back from the last time to the first
        return np.zeros_like(z[0]), np.zeros_like(t), *(np.zeros_like(x) for x in args)

    solution.defvjp(forward, backward)
    return solution(y0, t, *args)


# %% [solution 5.5]
def my_odeint(f, y0, t, *args):
    """Return the states at the times t; differentiable for y0, t and args."""
    options = {"rtol": 1e-8, "atol": 1e-10}

    @custom_vjp
    def solution(y0, t, *args):
        return solve(f, y0, t, *args, **options).y

    def forward(y0, t, *args):
        z = solution(y0, t, *args)
        return z, (z, t, args)

    def backward(residuals, w):
        z, t, args = residuals

        def aug_dynamics(time, s):
            z, a, _ = s
            value, pullback = vjp(lambda z, *args: f(time, z, *args), z, *args)
            a_df_dz, *a_df_dargs = pullback(a)
            return value, -a_df_dz, tuple(-x for x in a_df_dargs)

        a, a_args = w[-1], tuple(np.zeros_like(x) for x in args)  # G37; the integrals start at zero
        a_t = np.array([w[i] @ f(t[i], z[i], *args) for i in range(len(t))])  # P6, for each time
        for i in range(len(t) - 1, 0, -1):
            s = solve(aug_dynamics, (z[i], a, a_args), [t[i], t[i - 1]], **options).y
            a, a_args = s[1][-1], tuple(x[-1] for x in s[2])
            if i == 1:
                a_t[0] = -a @ f(t[0], z[0], *args)  # y0 stays: before the jump at the first time
            a = a + w[i - 1]  # the jump
        return a, a_t, *a_args

    solution.defvjp(forward, backward)
    return solution(y0, t, *args)


by_mine = lambda theta: 0.5 * np.sum((my_odeint(f, z0, times, theta)[1:, 0] - seen) ** 2)
print("dL/dtheta:", grad(by_mine)(theta), "  by the library:", grad(loss, 1)(z0, theta, times))

# %% [check 5.5]
check_odeint(my_odeint)
check_without(lambda: grad(lambda p: np.sum(my_odeint(f, z0, times, p)))(theta), odeint)

# %% [exercise 5.6] level 1
# Pen and paper once more: the products for the field `hares_and_lynx` above. `z` has shape (2,),
# `theta` (4,). Write `predators_by_hand(z, theta, a)`, where `a`, of shape (2,), is the row that
# comes from the value, in plain NumPy and without the engine. It returns the value, and a tuple of
# the two cotangents, for `z` and for `theta`, each of the shape of its argument. Count first: in
# how many places does each of the six numbers of `z` and `theta` stand in the two lines of the
# field? Its cotangent is a sum of so many terms.


# %% [stub 5.6]
def predators_by_hand(z, theta, a):
    """Return f, and the two cotangents (for z and theta)."""
    ...  # your code here


# %% [solution 5.6]
def predators_by_hand(z, theta, a):
    """Return f, and the two cotangents (for z and theta)."""
    growth = theta[0] - theta[1] * z[1]
    decline = theta[3] * z[0] - theta[2]
    f = np.array([growth * z[0], decline * z[1]])
    a_growth = a[0] * z[0]
    a_decline = a[1] * z[1]
    a_hares = a[0] * growth + a_decline * theta[3]  # two places
    a_lynx = a[1] * decline - a_growth * theta[1]  # two places
    a_z = np.array([a_hares, a_lynx])
    a_theta = np.array([a_growth, -a_growth * z[1], -a_decline, a_decline * z[0]])  # one place each
    return f, (a_z, a_theta)


# %% [check 5.6]
example = np.array([3.0, 2.0]), np.array([0.6, 0.3, 0.8, 0.2])
check_by_hand(predators_by_hand, hares_and_lynx, *example)
check_without(lambda: predators_by_hand(*example, np.ones(2)), "tinyode")

# %% [markdown]
# ### Derivations with holes
#
# Close the sections above. Each of the next three exercises is a derivation in which a sign, a
# place, a limit or a starting value is left blank. Fill the blanks on paper first. The check puts
# numbers into every line, and says which identity breaks.


# %%
def all_filled(blanks, choices):
    """Say which blank is empty, or is filled with something that it cannot be."""
    for letter, allowed in choices.items():
        value = blanks.get(letter, ...)
        assert value is not ... and value is not None, f"Blank {letter} is still empty."
        assert value in allowed, f"Blank {letter} is {value!r}; it should be one of {allowed}."


# %% [exercise 5.7] level 1
# **From the step to the equation (G30 to G34, P4).** An Euler step of length $h$ goes from
# $\mathbf z_i$ to $\mathbf z_{i+1}$, and the row $\mathbf a$ goes back over it:
#
# $$\mathbf a_i = \mathbf a_{i+1} \Big( I \quad [A] \quad h \frac{\partial f}{\partial \mathbf z} \Big), \qquad \text{with } \frac{\partial f}{\partial \mathbf z} \text{ taken at } [B].$$
#
# The exact solution over a time $\varepsilon$ has the Jacobian
# $\frac{\partial T_\varepsilon}{\partial \mathbf z} = I + \varepsilon \frac{\partial f}{\partial \mathbf z}$
# and a rest, which becomes $[C]$ times smaller when $\varepsilon$ is halved. In code, with `a` an
# array of one axis, the row times a matrix `M` is $[D]$. In the limit,
#
# $$\frac{d\mathbf a}{dt} = \quad [E] \quad \mathbf a \frac{\partial f}{\partial \mathbf z}.$$

# %% [stub 5.7]
step_blanks = {
    "A": ...,  # +1 or -1
    "B": ...,  # "z_i" or "z_i+1"
    "C": ...,  # a whole number
    "D": ...,  # "a @ M" or "M @ a"
    "E": ...,  # +1 or -1
}

# %% [solution 5.7]
step_blanks = {
    "A": +1,  # z_i+1 = z_i + h f(z_i): the derivative of the second term
    "B": "z_i",  # where the step takes f
    "C": 4,  # of second order
    "D": "a @ M",
    "E": -1,  # a(t) = a(t + e) (I + e df/dz), so a(t + e) - a(t) = -e a df/dz
}


# %% [check 5.7]
def step_back(blanks, i=10):
    """Return the row before step i of the Euler loop, by G30 as it has been filled in."""
    at = i if blanks["B"] == "z_i" else i + 1
    matrix = np.eye(2) + blanks["A"] * h * df_dz(t0 + at * h, zs[at])
    row = by_differences(lambda z: L(euler_from(i + 1, z)), zs[i + 1])
    return row @ matrix if blanks["D"] == "a @ M" else matrix @ row


either = [1, -1]
choices = {"A": either, "B": ["z_i", "z_i+1"], "C": [1, 2, 3, 4, 8, 16]}
choices |= {"D": ["a @ M", "M @ a"], "E": either}
all_filled(step_blanks, choices)
pushed, found = by_differences(lambda z: L(euler_from(10, z)), zs[10]), step_back(step_blanks)
if not np.allclose(pushed, found, atol=1e-7):
    asked = {
        "A": "The step is z + h f. What is the derivative of the second term?",
        "B": "At which state does Euler's method take f?",
        "D": "The loss changes by a (M d). Which index of M goes with that of a?",
    }
    others = lambda letter: [x for x in choices[letter] if x != step_blanks[letter]]
    repaired = lambda letter: step_back(step_blanks | {letter: others(letter)[0]})
    guilty = [letter for letter in asked if np.allclose(repaired(letter), pushed, atol=1e-7)]
    raise AssertionError(
        f"G30 breaks. Pushing the state before step 10 changes the loss by {pushed}; yours gives"
        f" {found}. " + " ".join(f"Blank {letter}: {asked[letter]}" for letter in guilty or asked)
    )
rests = []
for e in (0.02, 0.01):
    jacobian_of_T = by_differences(lambda z, e=e: flow(z, 1.0, 1.0 + e), zs[10])
    rests.append(np.abs(jacobian_of_T - np.eye(2) - e * df_dz(1.0, zs[10])).max())
assert round(rests[0] / rests[1]) == step_blanks["C"], (
    f"The rest after I + e df/dz is {rests[0]:.2e} for e = 0.02 and {rests[1]:.2e} for e = 0.01."
    f" That is {rests[0] / rests[1]:.1f} times smaller, and blank C is {step_blanks['C']}."
)
slope_of_a, row_times_J = (
    (a_at(1.01) - a_at(0.99)) / 0.02,
    a_at(1.0) @ df_dz(1.0, flow(z0, t0, 1.0)),
)
assert np.allclose(slope_of_a, step_blanks["E"] * row_times_J, atol=1e-2), (
    f"P4 breaks. At t = 1, a df/dz = {row_times_J}, and da/dt by differences is {slope_of_a}; with"
    f" your sign it would be {step_blanks['E'] * row_times_J}. Solve a(t) = a(t + e) (I + e df/dz)"
    " for (a(t + e) - a(t)) / e."
)

# %% [exercise 5.8] level 1
# **The four gradients (G35 to G37, P5 to P7).** All integrals go back, from $t_1$ to $t_0$:
#
# $$\mathbf a(t_1) = \quad [A] \quad \frac{dL}{d\mathbf z(t_1)}, \qquad \mathbf a(t_0) = \mathbf a(t_1) \quad [B] \quad \int_{t_1}^{t_0} \mathbf a \frac{\partial f}{\partial \mathbf z} dt,$$
#
# $$\mathbf a_\theta(t_1) = \quad [C], \qquad \frac{dL}{d\theta} = \mathbf a_\theta(t_1) \quad [D] \quad \int_{t_1}^{t_0} \mathbf a \frac{\partial f}{\partial \theta} dt,$$
#
# $$\frac{dL}{dt_1} = \mathbf a f, \text{ taken at } [E], \qquad \mathbf a_t(t_1) = \quad [F] \quad \frac{dL}{dt_1}, \qquad \frac{dL}{dt_0} = \mathbf a_t(t_1) \quad [G] \quad \int_{t_1}^{t_0} \mathbf a \frac{\partial f}{\partial t} dt,$$
#
# $$\frac{dL}{dt_0} = \quad [H] \quad \mathbf a(t_0) f(t_0, \mathbf z(t_0), \theta).$$

# %% [stub 5.8]
gradient_blanks = {
    "A": ...,  # +1 or -1
    "B": ...,  # +1 or -1
    "C": ...,  # a number, for both parameters
    "D": ...,  # +1 or -1
    "E": ...,  # "t0" or "t1"
    "F": ...,  # +1 or -1
    "G": ...,  # +1 or -1
    "H": ...,  # +1 or -1
}

# %% [solution 5.8]
gradient_blanks = {
    "A": +1,  # a push at the end: nothing comes after it
    "B": -1,  # da/dt = -a df/dz, integrated
    "C": 0,  # at the end no time is left in which the parameters act
    "D": -1,  # the pushes are added from t0 to t1; the limits are exchanged
    "E": "t1",  # where the end moves
    "F": -1,  # a later start makes the solve shorter
    "G": -1,  # as B
    "H": -1,  # a later start pushes the state by -f d
}


# %% [check 5.8]
def hold(identity, letter, left, right, hint):
    """Say which identity breaks."""
    assert np.allclose(left, right, atol=1e-4), (
        f"{identity} breaks: measured {left}; with your blank {letter} it is {right}. {hint}"
    )


either = {letter: [1, -1] for letter in "ABDFGH"}
all_filled(gradient_blanks, either | {"E": ["t0", "t1"]})
blank = gradient_blanks
assert isinstance(blank.get("C"), (int, float, np.number)), (
    f"Blank C is {blank.get('C')!r}, not a number."
)
hold("G37", "A", a_at(t1), blank["A"] * a1, "Push the state at t1, and look at the loss.")
back = {"z": -integral_z, "theta": -integral_theta, "t": -integral_t}  # from t1 to t0
hold("G36", "B", measured["dL/dz(t0)"], a1 + blank["B"] * back["z"], "What is da/dt (P4)?")
nothing_left = by_differences(lambda p: L(flow(z1, t1, t1, p)), theta)
hint = "How much does the loss change if the parameters change at t1 only?"
hold("a_theta(t1)", "C", nothing_left, np.full(2, blank["C"]), hint)
hint = "Pushes at all times are added, from t0 to t1. This integral has its limits exchanged."
hold("P5", "D", measured["dL/dtheta"], blank["D"] * back["theta"], hint)
at_end = a_at(t1) @ f(t1, z1, theta) if blank["E"] == "t1" else a_at(t0) @ f(t0, z0, theta)
hold("P6", "E", measured["dL/dt1"], at_end, "Where does the state move on, if the end moves?")
later_at_end = central_difference(lambda t: L(flow(z1, float(t), t1)), (t1,), (1.0,), h=2e-3)
hint = "Start at t1 + d from z(t1), and solve back to t1: by how much has the state moved?"
hold("a_t(t1)", "F", later_at_end, blank["F"] * measured["dL/dt1"], hint)
by_P7 = blank["F"] * measured["dL/dt1"] + blank["G"] * back["t"]
hold("P7", "G", measured["dL/dt0"], by_P7, "The slope of a_t is -a df/dt.")
by_push = blank["H"] * (a_at(t0) @ f(t0, z0, theta))
hold("dL/dt0", "H", measured["dL/dt0"], by_push, "At t0 + d the state is z0, not z0 + f d.")

# %% [exercise 5.9] level 2
# **A loss that is an integral.** Now the loss looks at the state all the time:
# $L = \int_{t_0}^{t_1} \ell(\mathbf z(t)) dt$ with $\ell = \frac12 z_1^2$, for the pendulum. Derive
# its adjoint by Lagrange's method. Line 3 stays as it is, and line 1 too, with this $L$. The other
# two become
#
# $$\delta L = \int_{t_0}^{t_1} \frac{\partial \ell}{\partial \mathbf z} \delta \mathbf z dt - \int_{t_0}^{t_1} \mathbf a \frac{d}{dt} \delta \mathbf z dt + \int_{t_0}^{t_1} \mathbf a \Big(\frac{\partial f}{\partial \mathbf z} \delta \mathbf z + \frac{\partial f}{\partial \theta} \delta \theta\Big) dt$$
#
# $$= [\dots] \delta \mathbf z(t_1) + \mathbf a(t_0) \delta \mathbf z(t_0) + \int_{t_0}^{t_1} [\dots] \delta \mathbf z dt + \int_{t_0}^{t_1} \mathbf a \frac{\partial f}{\partial \theta} \delta \theta dt.$$
#
# Fill the two brackets on paper, and choose $\mathbf a$ so that both are zero. Then write
#
# * `end_value`: $\mathbf a(t_1)$, an array of two numbers;
# * `slope_of_a(a, J, dl_dz)`: $\frac{d\mathbf a}{dt}$, from $\mathbf a$, from
#   $J = \frac{\partial f}{\partial \mathbf z}$ and from $\frac{\partial \ell}{\partial \mathbf z}$
#   at the same time, an array of two numbers;
# * `end_later(z_end)`: $\frac{dL}{dt_1}$, a number, from the state at $t_1$.

# %% [stub 5.9]
end_value = ...  # two numbers


def slope_of_a(a, J, dl_dz):
    """Return da/dt."""
    ...  # your code here


def end_later(z_end):
    """Return dL/dt1."""
    ...  # your code here


# %% [solution 5.9]
# The first bracket is -a(t1), the second dl/dz + da/dt + a df/dz. A push at t1 comes too late for
# the loss, so a(t1) = 0. Going back, a collects dl/dz from each moment: the jumps of a loss at many
# times, spread over the whole interval.
end_value = np.zeros(2)


def slope_of_a(a, J, dl_dz):
    """Return da/dt."""
    return -a @ J - dl_dz


def end_later(z_end):
    """Return dL/dt1."""
    return 0.5 * z_end[0] ** 2  # the integral goes on by l for each unit of time


# %% [check 5.9]
def dl_dz_at(z):
    return np.array([z[0], 0.0])


def integral_loss(z, end=t1):
    """Return the integral of l, solved together with the state."""
    both = lambda t, s: (f(t, s[0], theta), 0.5 * s[0][0] ** 2)
    return solve(both, (z, 0.0), [t0, end], rtol=1e-10, atol=1e-11).y[1][-1]


def a_at_start(end_value, slope):
    """Solve a back from its value at the end."""
    both = lambda t, s: (f(t, s[0], theta), slope(s[1], df_dz(t, s[0]), dl_dz_at(s[0])))
    return solve(both, (z1, np.asarray(end_value, float)), [t1, t0], rtol=1e-9, atol=1e-10).y[1][-1]


assert end_value is not ..., "Write two numbers in the place of the dots of `end_value = ...`."
assert np.shape(end_value) == (2,), f"end_value is {end_value!r}; it should be two numbers."
tried = slope_of_a(np.array([1.0, 2.0]), np.eye(2), np.array([0.5, 0.0]))
assert np.shape(tried) == (2,), f"slope_of_a returns {tried!r}; it should be two numbers."
expected = by_differences(integral_loss, z0)
found = a_at_start(end_value, slope_of_a)
compared = f" Your a(t0) is {found}; pushing z(t0) changes the loss by {expected}."
good = lambda a, J, dl_dz: -a @ J - dl_dz
mistakes = {
    "The first bracket breaks: with a(t1) = dl/dz it is not zero. What is L_z in line 4 here?": (
        dl_dz_at(z1),
        good,
    ),
    "The second bracket breaks: dl/dz has the wrong sign.": (
        np.zeros(2),
        lambda a, J, dl_dz: -a @ J + dl_dz,
    ),
    "The second bracket breaks: dl/dz is missing.": (end_value, lambda a, J, dl_dz: -a @ J),
    "The second bracket breaks: a df/dz has the wrong sign.": (
        np.zeros(2),
        lambda a, J, dl_dz: a @ J - dl_dz,
    ),
    "The second bracket breaks: a is a row, on the left of df/dz.": (
        np.zeros(2),
        lambda a, J, dl_dz: -J @ a - dl_dz,
    ),
}
for words, mistake in mistakes.items():
    assert not np.allclose(found, a_at_start(*mistake), atol=1e-6), words + compared
assert np.allclose(found, expected, atol=1e-6), (
    "One of the two brackets is not zero. The second is dl/dz + da/dt + a df/dz." + compared
)
answer = end_later(z1)
of_end = central_difference(lambda t: integral_loss(z0, float(t)), (t1,), (1.0,), h=2e-3)
assert isinstance(answer, (float, np.ndarray, np.number)) and np.shape(answer) == (), (
    f"end_later(z_end) returns {answer!r}; it should be a number."
)
assert np.isclose(answer, of_end, atol=1e-6), (
    f"end_later(z1) = {answer:.6f}; by differences dL/dt1 is {of_end:.6f}. If the interval gets"
    " longer by d, how much is added to the integral of l?"
)

# %% [markdown]
# ## The way out: the same program in JAX
#
# JAX is a library that has NumPy's functions as `jax.numpy`, and compiles them for a processor or a
# graphics card. `to("jax.numpy")` writes the lines of a program for JAX. They are the same, but for
# the first ones and for what JAX does not allow: to write into an array, as `result[index] = c`
# does. For the pendulum these lines are
#
# ```python
# import jax.numpy as np
# import numpy
#     result = result.at[index].set(c)
# ```
#
# Below the pendulum's program begins. Where JAX is installed (`pip install jax`), the cell also
# prints these lines, compiles the program by `jax.jit`, and prints the largest difference between
# the numbers of JAX and of NumPy, which is rounding. JAX computes in float32 unless
# `jax_enable_x64` is set, so the cell sets it before it calls JAX.
#
# What `"adjoint"` is called in torchdiffeq and in diffrax, and what is different there, is on the
# page [Beyond tinyode](BEYOND.md#algorithm-2).

# %%
made = program(f, t0, z0, theta, vjp=True)
print(*made.source.splitlines()[:16], "    ...", sep="\n")
try:
    import jax
except ImportError:  # JAX is not installed
    pass
else:
    jax.config.update("jax_enable_x64", True)  # float64, as in NumPy
    in_jax = made.to("jax.numpy")
    lines_here, lines_there = made.source.splitlines(), in_jax.source.splitlines()
    print("\nfor JAX:", *[line for line in lines_there if line not in lines_here], sep="\n")
    arguments = t0, z0, theta, np.array([1.0, -2.0])  # the last one is the cotangent of the slope
    slope_here, products_here = made(*arguments)
    slope_there, products_there = jax.jit(in_jax)(*arguments)
    pairs = zip((slope_here, *products_here), (slope_there, *products_there))
    difference = max([np.max(np.abs(here - there)) for here, there in pairs])
    print(f"largest difference: {difference:.0e}")
    assert difference < 1e-12

# %% [markdown]
# ## What to remember
#
# 1. $\mathbf a(t)$ is how much the loss changes when the state is pushed at time $t$. It obeys
#    $\frac{d\mathbf a}{dt} = -\mathbf a \frac{\partial f}{\partial \mathbf z}$, and its value is
#    known at the end.
# 2. Everything else is a push: parameters push by $\frac{\partial f}{\partial \theta} d\theta dt$
#    at all times, a later end by $f d$, a later start by $-f d$.
# 3. Going back, $f$ keeps its sign. The integral for the parameters starts at zero, the one for
#    time at $-\frac{dL}{dt_1}$.
# 4. At an observation the gradient is added. $\frac{dL}{dt_i}$ takes the gradient of that
#    observation alone, $\frac{dL}{dt_0}$ takes $\mathbf a$ before the jump at $t_0$.
# 5. Algorithm 2 needs little memory, and fails where $\mathbf z$ cannot be solved backwards. The
#    derivative of the steps taken (`"discrete"`) is exact, and needs a state for each step.
#
# ## Sources
#
# G27 to G37, G-alg2 (Gazula and Plis, "Optimization view" to "Algorithm 2"); P4 to P7, P-mem, P-err
# (Price-Broncucia, "How Do We Do Backpropagation?"); N6, N7, N-pseudo, N-black (handwritten notes,
# part 3); S4, S-black, S-mem (Lenze and Rothe, section 2). Chen, Rubanova, Bettencourt and
# Duvenaud, "Neural ordinary differential equations" (2018), appendices B and C.
