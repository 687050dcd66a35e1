# %% [markdown]
# # The adjoint of an ODE
#
# **The question.** The loss depends on parameters only through the solution of an ODE,
#
# $$L\big(\mathbf z(t_1)\big) = L\left( \mathbf z(t_0) + \int_{t_0}^{t_1} f(\mathbf z(t), t, \theta) dt \right) = L\big(\mathrm{ODESolve}(\mathbf z(t_0), f, t_0, t_1, \theta)\big). \tag{G29, S3}$$
#
# What are $\frac{dL}{d\mathbf z(t_0)}$, $\frac{dL}{d\theta}$, $\frac{dL}{dt_0}$ and
# $\frac{dL}{dt_1}$, without remembering the steps of the solver?
#
# Every line of the chain-rule derivation is checked by numbers on a small field that depends on
# everything, a driven pendulum with friction and two parameters. The signs are where the sources
# disagree with each other; at the end each of the wrong ones is shown failing.

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
from tinyode.testing import central_difference, check_by_hand, check_odeint


def f(t, z, theta):
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


z0, theta, t0, t1 = np.array([1.2, 0.0]), np.array([2.0, 0.7]), 0.0, 3.0


def L(z):
    return z[0] ** 2 + 0.5 * z[0] * z[1]


def flow(z, start, end, theta=theta):
    """Solve from start to end, to twelve digits: the truth, for the checks."""
    options = {"method": "dop853", "rtol": 1e-12, "atol": 1e-13}
    return z if start == end else solve(f, z, [start, end], theta, **options).y[-1]


def df_dz(t, z):
    return jacobian(f, 1)(t, z, theta)


z1 = flow(z0, t0, t1)

# %% [markdown]
# ## The constraint, and what Lagrange would do
#
# The slides put the two problems beside each other: minimise $g(\mathbf u)$ subject to
# $\mathbf f(\mathbf u, \mathbf p) = 0$ (G27, the last chapter), and minimise $L$ subject to
# "$f(\mathbf z(t), t_0, t_1, \theta) = 0$, $\mathbf z(0) = \mathbf x$" (G28). The second cannot be
# meant: it says that nothing moves (and the start is at $t_0$: $\mathbf z(t_0) = \mathbf x$). The
# constraint is
#
# $$\frac{d\mathbf z}{dt} - f(\mathbf z, t, \theta) = 0. \tag{G28, corrected}$$

# %%
t_mid, d = 1.1, 1e-4
solution = solve(f, z0, [t0, t1], theta, rtol=1e-12, atol=1e-13)
slope = (flow(z0, t0, t_mid + d) - flow(z0, t0, t_mid - d)) / (2 * d)
f_mid = f(t_mid, solution(t_mid), theta)
print("along the solution, f =", f_mid, "  dz/dt - f =", slope - f_mid)
assert np.abs(f_mid).max() > 0.5 and np.allclose(slope, f_mid, atol=1e-7)

# %% [markdown]
# With it, a multiplier $\mathbf a(t)$ for every moment gives the Lagrangian
# $L(\mathbf z(t_1)) - \int_{t_0}^{t_1} \mathbf a^T \big(\frac{d\mathbf z}{dt} - f\big) dt$.
# Integrate $\mathbf a^T \frac{d\mathbf z}{dt}$ by parts, and change everything a little:
#
# $$\Big(\frac{\partial L}{\partial \mathbf z} - \mathbf a(t_1)^T\Big) \delta \mathbf z(t_1) + \mathbf a(t_0)^T \delta \mathbf z(t_0) + \int \Big(\dot{\mathbf a}^T + \mathbf a^T \frac{\partial f}{\partial \mathbf z}\Big) \delta \mathbf z dt + \int \mathbf a^T \frac{\partial f}{\partial \theta} \delta \theta dt.$$
#
# Choose $\mathbf a$ so that the first and the third term vanish,
# $\mathbf a(t_1)^T = \frac{\partial L}{\partial \mathbf z}$ and
# $\dot{\mathbf a}^T = -\mathbf a^T \frac{\partial f}{\partial \mathbf z}$; what is left are the
# gradients, $\frac{dL}{d\mathbf z(t_0)} = \mathbf a(t_0)^T$ and
# $\frac{dL}{d\theta} = \int \mathbf a^T \frac{\partial f}{\partial \theta} dt$. That is the whole
# result, and $\mathbf a$ is $\lambda$ of the last chapter: the operator
# $\frac{d}{dt} - \frac{\partial f}{\partial \mathbf z}$ instead of a matrix, its transpose by
# integration by parts, which is why time runs backwards. The slides go another way, which shows
# more of what happens: through the chain rule.
#
# ## The chain rule over one step
#
# In a residual network, $\mathbf z_{t+1} = \mathbf z_t + h f(\mathbf z_t)$, and backpropagation is
#
# $$\frac{\partial L}{\partial \mathbf z_t} = \frac{\partial L}{\partial \mathbf z_{t+1}} \frac{\partial \mathbf z_{t+1}}{\partial \mathbf z_t} = \frac{\partial L}{\partial \mathbf z_{t+1}} \left( I + h \frac{\partial f}{\partial \mathbf z} \right). \tag{G30}$$
#
# Check: $\mathbf a$ carried back by this formula through a loop of Euler steps, against the engine,
# which recorded the loop.

# %%
n = 30
h = (t1 - t0) / n
zs = [z0]
for i in range(n):
    zs.append(zs[-1] + h * f(t0 + i * h, zs[-1], theta))
a = grad(L)(zs[-1])
for i in reversed(range(n)):
    a = a @ (np.eye(2) + h * df_dz(t0 + i * h, zs[i]))  # G30


def euler_loop(z):
    for i in range(n):
        z = z + h * f(t0 + i * h, z, theta)
    return z


recorded = grad(lambda z: L(euler_loop(z)))(z0)
print("G30 by hand", a, "  recorded", recorded)
assert np.allclose(a, recorded, rtol=1e-12, atol=0)

# %% [markdown]
# ## From the step to $\varepsilon$
#
# For the ODE a step is the exact flow over a short time,
#
# $$\mathbf z(t + \varepsilon) = \mathbf z(t) + \int_t^{t+\varepsilon} f(\mathbf z(s), s, \theta) ds =: T_\varepsilon(\mathbf z(t), t), \tag{G31}$$
#
# and with the adjoint state $\mathbf a(t) := \frac{dL}{d\mathbf z(t)}$, which says how the loss
# would change if the state were pushed at time $t$, the chain rule reads
#
# $$\mathbf a(t) = \mathbf a(t + \varepsilon) \frac{\partial T_\varepsilon(\mathbf z(t), t)}{\partial \mathbf z(t)}. \tag{G32}$$
#
# ($\mathbf a$ is a row. Where the sources write $\mathbf a^T$, it is the same row, made from a
# column.)
#
# The slides write $\mathbf a(t) = -\frac{\partial L}{\partial \mathbf z(t)}$ at this point, G33.
# Taken alone that would be a convention, since what follows is linear in $\mathbf a$; but the next
# slide says "$\frac{\partial L}{\partial \mathbf z(t_0)}$ aka $a(t_0)$" (G35) and starts from
# $a(t_N) = +\frac{\partial L}{\partial \mathbf z(t_N)}$ (G37), and P, N6, S4 and Algorithm 2 have
# the plus throughout. **Corrected**: plus.
#
# Differentiate G31:
# $\frac{\partial T_\varepsilon}{\partial \mathbf z} = I + \int_t^{t+\varepsilon} \frac{\partial f}{\partial \mathbf z} \frac{\partial \mathbf z(s)}{\partial \mathbf z(t)} ds$,
# and the last factor is $I + O(\varepsilon)$. So the Jacobian of $T_\varepsilon$ is the identity
# and a little more, $I + \varepsilon \frac{\partial f}{\partial \mathbf z} + O(\varepsilon^2)$, and
#
# $$\frac{\mathbf a(t + \varepsilon) - \mathbf a(t)}{\varepsilon} = \mathbf a(t + \varepsilon) \frac{I - \partial T_\varepsilon / \partial \mathbf z}{\varepsilon} \longrightarrow
# \frac{d\mathbf a(t)}{dt} = -\mathbf a(t) \frac{\partial f(\mathbf z(t), t, \theta)}{\partial \mathbf z}. \tag{P4, G34, N6}$$
#
# Numbers for each of these, with $\mathbf a$ and $\partial T / \partial \mathbf z$ by finite
# differences of the flow, so that nothing is assumed:

# %% [predict]
# The next cell prints, for $\varepsilon$ = 0.1, 0.05 and 0.025, how far the Jacobian of
# $T_\varepsilon$ is from $I + \varepsilon \frac{\partial f}{\partial \mathbf z}$, how far G32 is
# from being true, and how far the quotient is from P4. By what factor does each of the three shrink
# when $\varepsilon$ is halved?


# %%
def by_differences(function, z):
    """Jacobian of a function of the state, without the engine."""
    return np.stack([central_difference(function, (z,), (e,), h=2e-3) for e in np.eye(2)], axis=-1)


def a_at(t):
    """The adjoint state by its definition: push the state at time t, and look at the loss."""
    return by_differences(lambda z: L(flow(z, t, t1)), flow(z0, t0, t))


t = 1.0
z_t, a_t = flow(z0, t0, t), a_at(t)
limit = -a_t @ df_dz(t, z_t)
print("    e     |dT/dz - (I + e df/dz)|    |a(t) - a(t+e) dT/dz|", end="    ")
print("|(a(t+e) - a(t))/e - (-a df/dz)|")
before = None
for e in (0.1, 0.05, 0.025):
    dT = by_differences(lambda z, e=e: flow(z, t, t + e), z_t)
    first = np.abs(dT - (np.eye(2) + e * df_dz(t, z_t))).max()
    chain = np.abs(a_t - a_at(t + e) @ dT).max()
    quotient = np.abs((a_at(t + e) - a_t) / e - limit).max()
    print(f"{e:7}    {first:20.2e}    {chain:20.1e}    {quotient:24.2e}")
    assert chain < 1e-7
    if before:
        assert 3.5 < before[0] / first < 4.5  # second order
        assert 1.8 < before[1] / quotient < 2.2  # first order
    before = first, quotient

# %% [markdown]
# ## The four gradients
#
# The adjoint equation is an ODE whose value is known at the *end*,
# $\mathbf a(t_N) = \frac{dL}{d\mathbf z(t_N)}$ (G37), and wanted at the *start* (G35):
#
# $$\mathbf a(t_0) = \mathbf a(t_N) - \int_{t_N}^{t_0} \mathbf a(t)^T \frac{\partial f}{\partial \mathbf z} dt. \tag{G36}$$
#
# A parameter acts at all times. Between $t$ and $t + dt$ it pushes the state by
# $\frac{\partial f}{\partial \theta} dt$, and a push at time $t$ costs $\mathbf a(t)$:
#
# $$\frac{dL}{d\theta} = \int_{t_0}^{t_N} \mathbf a(t)^T \frac{\partial f}{\partial \theta} dt = - \int_{t_N}^{t_0} \mathbf a(t)^T \frac{\partial f}{\partial \theta} dt. \tag{P5}$$
#
# N7 has $+ \int_{t_1}^{t_0}$: the sign is wrong, **corrected**. If the solve ends later by $dt$,
# the final state moves on by $f dt$, which changes the loss by $\mathbf a(t_N) f dt$ (P6). And time
# itself is like a parameter:
#
# $$\frac{dL}{dt_N} = \mathbf a(t_N) f(\mathbf z(t_N), t_N, \theta), \qquad \frac{dL}{dt_0} = \mathbf a_t(t_0) = \mathbf a_t(t_N) - \int_{t_N}^{t_0} \mathbf a(t)^T \frac{\partial f}{\partial t} dt. \tag{P6, P7}$$
#
# P7 stands on a slide that defines $\mathbf a_t(t) := \frac{dL}{dt(t)}$. Read so, it would begin
# with $\mathbf a_t(t_N) = + \frac{dL}{dt_N}$, and the result is wrong. It is right with
# $\mathbf a_t(t_N) = -\frac{dL}{dt_N}$, as Algorithm 2 starts it: **corrected**. (Why minus? Make
# time a component of the state, $\dot\tau = 1$, as Chen and others do in their appendix. Starting
# $\tau$ later by $d$ shifts $f$, and P7 is G36 for $\tau$; but moving $t_0$ also makes the journey
# shorter by $d$, which costs $-\frac{dL}{dt_N}$.)
#
# The integrals, by Simpson's rule along the true solution with $\mathbf a$ by its definition,
# against finite differences of the loss:

# %%
nodes = np.linspace(t0, t1, 41)
weights = np.where(np.arange(41) % 2 == 1, 4.0, 2.0) * (t1 - t0) / 120
weights[[0, -1]] /= 2
along = [(w, t, flow(z0, t0, t), a_at(t)) for w, t in zip(weights, nodes)]
a1, dL_dt1 = grad(L)(z1), grad(L)(z1) @ f(t1, z1, theta)  # G37, P6
# from t0 to t1: minus the integral back
integral_z = sum(w * a @ df_dz(t, z) for w, t, z, a in along)
integral_theta = sum(w * a @ jacobian(f, 2)(t, z, theta) for w, t, z, a in along)
integral_t = sum(w * a @ jacobian(f, 0)(t, z, theta) for w, t, z, a in along)
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
# ## Algorithm 2
#
# The adjoint equation needs $\mathbf z(t)$ along the way. Storing it would again take memory in
# proportion to the number of steps, though far less than the tape. But $\mathbf z$ has an ODE too,
# and that can be solved backwards *together* with $\mathbf a$ and the integrals. One augmented
# state $s = [\mathbf z, \mathbf a, \mathbf a_\theta, \mathbf a_t]$, one solve from $t_1$ to $t_0$
# (G-alg2, N-pseudo; not the Algorithm 2 of chapter 2, for each source numbers its own):


# %%
def algorithm_2(f, z1, dL_dz1, theta, t0, t1, **options):
    """Complete reverse-mode derivative of an ODE initial value problem, letter by letter."""
    dL_dt1 = dL_dz1 @ f(t1, z1, theta)
    s0 = (z1, dL_dz1, np.zeros_like(theta), -dL_dt1)

    def aug_dynamics(t, s):
        z, a, _, _ = s
        f_z, pullback = vjp(f, t, z, theta)  # one evaluation of f, one backward sweep
        a_df_dt, a_df_dz, a_df_dtheta = pullback(a)
        return f_z, -a_df_dz, -a_df_dtheta, -a_df_dt

    z, a, a_theta, a_t = solve(aug_dynamics, s0, [t1, t0], **options).y
    found = {"dL/dz(t0)": a[-1], "dL/dtheta": a_theta[-1], "dL/dt0": a_t[-1], "dL/dt1": dL_dt1}
    return {**found, "z(t0)": z[-1]}


# %% [markdown]
# (N-pseudo returns $z(t_0)$ where it means $h(t_0)$, one state with two names, and leaves out
# time.) A dozen lines. The library's `odeint` is the same with many observation times and
# containers, and takes $\frac{dL}{dt_0} = -\mathbf a(t_0)^T f(\mathbf z(t_0), t_0)$ instead of
# integrating it. A third way shares nothing with either but the rules: record a solver written as a
# plain loop, and let the tape of chapter 3 do it.


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


tight = {"rtol": 1e-11, "atol": 1e-12}
ours = algorithm_2(f, z1, grad(L)(z1), theta, t0, t1, **tight)
by_odeint = lambda z, theta, t0, t1: L(odeint(f, z, [t0, t1], theta, **tight)[-1])
by_loop = lambda z, theta, t0, t1: L(rk4_loop(z, t0, t1, theta, 400))
library = dict(zip(measured, grad(by_odeint, (0, 1, 2, 3))(z0, theta, t0, t1)))
recorded = dict(zip(measured, grad(by_loop, (0, 1, 2, 3))(z0, theta, t0, t1)))
for name in measured:
    print(f"{name:10} a dozen lines {ours[name]}, library {library[name]}", end=", ")
    print(f"recorded {recorded[name]}, differences {measured[name]}")
    for way in (ours, library, recorded):
        assert np.allclose(way[name], measured[name], atol=1e-7)

# %% [markdown]
# ## The same, as a program that can be read
#
# In Algorithm 2 the engine is asked for two products at each stage,
# $\mathbf a^T \frac{\partial f}{\partial \mathbf z}$ and
# $\mathbf a^T \frac{\partial f}{\partial \theta}$ (P4, P5). `program` writes down what it does for
# them. Take the field of a network, $f = \tanh(\mathbf z W)$, and derive them by hand first: with
# $u = \mathbf z W$ and $\tanh' = 1 - \tanh^2$ a small change of $\mathbf z$ and $W$ changes
# $\mathbf a^T f$ by
#
# $$\big\langle \mathbf a, (1 - f^2) \odot \big((d\mathbf z) W + \mathbf z (dW)\big) \big\rangle = \langle \mathbf a_u W^T, d\mathbf z \rangle +
# \langle \mathbf z^T \mathbf a_u, dW \rangle, \qquad \mathbf a_u = \mathbf a \odot (1 - f^2),$$
#
# and what stands beside $d\mathbf z$ and $dW$ are the products. `layer_by_hand` writes this down as
# a program, one operation a line. Below it is what the engine has derived: the same lines under
# other names. `check_by_hand` compares the two. Where the result is wrong, it names the first wrong
# line.


# %%
def layer(z, W):
    return np.tanh(z @ W)


def layer_by_hand(z, W, a):
    u = z @ W
    f_z = np.tanh(u)
    slope = 1 - f_z * f_z
    a_u = a * slope
    a_df_dz = a_u @ W.T
    a_df_dW = z.T @ a_u
    return f_z, (a_df_dz, a_df_dW)


z, W, a = z0[None], np.array([[0.3, -0.2], [0.5, 0.8]]), np.array([[1.0, -2.0]])
print(program(layer, z, W, vjp=True).source)
check_by_hand(layer_by_hand, layer, z, W)

_, products = layer_by_hand(z, W, a)
direction = np.array([[0.4, 0.1]]), np.array([[-0.3, 0.2], [0.6, 0.5]])
along_it = sum(np.sum(product * d) for product, d in zip(products, direction))
quotient = central_difference(lambda z, W: np.sum(a * layer(z, W)), (z, W), direction)
print("a^T df along a direction:", along_it, "  by differences:", quotient)
assert np.isclose(along_it, quotient, rtol=1e-8)

# %% [markdown]
# Now one for you. A block of a residual network adds what a layer makes to what it was given:


# %%
def block(z, W, b):
    return z + np.tanh(z @ W + b)


# %% [exercise 5.1] level 2
# Derive the products of a residual block by hand, $f = \mathbf z + \tanh(\mathbf z W + \mathbf b)$:
# `block` above. `z` has shape (4, 2), a batch of four states; `W` (2, 2); `b` (2,), the same for
# all four. Write `block_by_hand(z, W, b, a)`, where `a`, of shape (4, 2), is the cotangent of the
# value, in plain NumPy and without the engine. It returns the value, and a tuple of the three
# cotangents for `z`, `W` and `b`, each of the shape of its argument. One operation a line lets the
# check name the line that is wrong.


# %% [stub 5.1]
def block_by_hand(z, W, b, a):
    """Return f, and (a^T df/dz, a^T df/dW, a^T df/db)."""
    ...  # your code here


# %% [solution 5.1]
def block_by_hand(z, W, b, a):
    """Return f, and (a^T df/dz, a^T df/dW, a^T df/db)."""
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

# %% [markdown]
# Solved with `compiled(f)` instead of `f`, an ODE runs programs like this one, recorded at the
# first call. The gradients are the same to the last bit, and come sooner: `quick`, the compiled
# pendulum, is used below where one loss is differentiated many times.


# %%
def gradients_with(f):
    loss = lambda z, theta, t0, t1: L(odeint(f, z, [t0, t1], theta)[-1])
    return grad(loss, (0, 1, 2, 3))(z0, theta, t0, t1)


quick = compiled(f)
assert all(map(np.array_equal, gradients_with(quick), gradients_with(f)))

# %% [markdown]
# ## The signs, each failing
#
# What comes out if the augmented system is solved as printed: with G33 for its start, with the sign
# of N7 in its third component, with P7 read as the slide defines $\mathbf a_t$. The first row is
# Algorithm 2, through the same code.

# %% [predict]
# For each of the three, G33, N7 and P7: which of $\frac{dL}{d\mathbf z(t_0)}$,
# $\frac{dL}{d\theta}$ and $\frac{dL}{dt_0}$ will come out wrong?


# %%
def augmented(start_of_a, sign_of_theta, start_of_t):
    """Return what it takes for the gradients, with the signs of somebody's formula."""

    def dynamics(t, s):
        f_z, pullback = vjp(f, t, s[0], theta)
        a_df_dt, a_df_dz, a_df_dtheta = pullback(s[1])
        return f_z, -a_df_dz, sign_of_theta * a_df_dtheta, -a_df_dt

    s0 = (z1, start_of_a, np.zeros(2), start_of_t)
    _, a, a_theta, a_t = solve(dynamics, s0, [t1, t0], **tight).y
    return {"dL/dz(t0)": a[-1], "dL/dtheta": a_theta[-1], "dL/dt0": a_t[-1]}


dL_dz1 = grad(L)(z1)
every = ["dL/dz(t0)", "dL/dtheta", "dL/dt0"]
variants = {
    "Algorithm 2": (augmented(dL_dz1, -1, -dL_dt1), []),
    "G33: a(tN) = -dL/dz(tN)": (augmented(-dL_dz1, -1, -dL_dt1), every),
    "N7: + in the integral for theta": (augmented(dL_dz1, +1, -dL_dt1), ["dL/dtheta"]),
    "P7: a_t(tN) = + dL/dtN": (augmented(dL_dz1, -1, dL_dt1), ["dL/dt0"]),
}
for formula, (found, wrong) in variants.items():
    print(formula)
    for name, value in found.items():
        mark = "  <- wrong" if name in wrong else ""
        print(f"    {name:10} {value!s:28} measured {measured[name]!s:28}{mark}")
        assert np.allclose(value, measured[name], atol=1e-7) == (name not in wrong)

# %% [markdown]
# ## Losses at many times
#
# If the loss looks at the state at several times, $\mathbf a$ jumps there: going backwards, at each
# $t_i$ add $\frac{\partial L}{\partial \mathbf z(t_i)}$ and go on. In the figure the loss is the
# squared distance of the angle from four observations (crosses), which were made by a pendulum with
# other parameters, (3, 0.2).

# %%
times = np.array([0.0, 0.8, 1.5, 2.2, 3.0])
seen = solve(f, z0, times, np.array([3.0, 0.2]), **tight).y[1:, 0]


def loss(z0, theta, times, **options):
    return 0.5 * np.sum((odeint(quick, z0, times, theta, **options)[1:, 0] - seen) ** 2)


at_times = solve(f, z0, times, theta, **tight).y
a, pieces = np.zeros(2), []
for i in range(4, 0, -1):
    a = a + np.array([at_times[i, 0] - seen[i - 1], 0.0])  # the jump

    def aug_dynamics(t, s):
        f_z, pullback = vjp(lambda z: f(t, z, theta), s[0])
        return f_z, pullback(-s[1])[0]

    back = solve(aug_dynamics, (at_times[i], a), np.linspace(times[i], times[i - 1], 60), **tight)
    pieces.append((back.t, back.y[1]))
    a = back.y[1][-1]
gradient = grad(loss)(z0, theta, times, **tight)
print("a(t0) walked back through four jumps", a, "  the library's gradient", gradient)
assert np.allclose(a, gradient, atol=1e-8)

figure, (top, bottom) = panels(1, 2, width=9, height=5.6, sharex=True)
fine = np.linspace(t0, t1, 300)
top.plot(fine, solution(fine)[:, 0], color="black", label="angle $z_1(t)$, solved forward")
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
# ## What it costs, what it is worth
#
# **Memory** (P-mem, S-mem): the tape of a recorded loop grows with the number of steps; the adjoint
# holds one augmented state. Peak memory of one gradient, in states of 20,000 numbers (more than the
# three of the augmented state, because the stages of a step and the temporaries of a sweep are
# counted too; what matters is that it does not grow):

# %%
wide = np.ones(20_000)


def peak(way, n):
    tracemalloc.start()
    grad(way)(0.5, n)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size / wide.nbytes


def by_adjoint(k, n):
    decay = lambda t, z, k: -k * z
    return np.sum(odeint(decay, wide, [0.0, 1.0], k, method="rk4", step_size=1 / n)[-1])


def by_recording(k, n):
    z, h = wide, 1 / n
    for _ in range(n):
        k1 = -k * z
        k2 = -k * (z + h / 2 * k1)
        k3 = -k * (z + h / 2 * k2)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 - k * (z + h * k3))
    return np.sum(z)


print("steps   adjoint   recorded loop")
memory = {n: (peak(by_adjoint, n), peak(by_recording, n)) for n in (10, 40, 160)}
for n, (small, large) in memory.items():
    print(f"{n:5}   {small:7.0f}   {large:13.0f}")
assert memory[160][0] < 1.05 * memory[10][0] and memory[160][1] > 10 * memory[10][1]

# %% [markdown]
# **Accuracy.** "Since the ODEsolver is a blackbox, we cannot perform backprop using regular chain
# rule" (N-black); backpropagating through it "introduces numerical inaccuracy" (S-black). Neither
# is so: a solver is a program, and the recorded loop gives the exact derivative *of the numbers
# that the solver computes*, with fixed steps and up to rounding. The adjoint gives an approximation
# of the derivative of the *true* solution. Both are as far from the truth as the solver's steps
# allow; they answer slightly different questions.

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
print(f"64 steps: error of the adjoint {against_truth['adjoint'][3]:.1e}", end=", ")
print(f"of the recorded loop {against_truth['recorded'][3]:.1e};", end=" ")
print("recorded loop against differences of the numbers computed", end=" ")
print(f"{against_numbers['recorded'][3]:.1e}")
assert max(against_numbers["recorded"]) < 1e-8 and against_numbers["adjoint"][0] > 1e-4
assert 3.5 < np.log2(against_truth["adjoint"][3] / against_truth["adjoint"][4]) < 4.5

# %% [markdown]
# **And a warning.** Algorithm 2 solves $\mathbf z$ backwards. Where solutions draw together going
# forward, they fly apart going back, and errors with them. Take two components whose sum decays
# like $e^{-t}$ and whose difference decays like $e^{-kt}$. The slides report of the "numerical
# error from backwards pass" that it is "not seen in application" (P-err).

# %% [predict]
# The next cell solves this field from (1, 0) at $t = 0$ to $t = 2$, and from there back to $t = 0$,
# with `rtol=1e-10`. How many right digits of $\mathbf z(0)$ come back for $k = 5$, for $k = 10$ and
# for $k = 20$?

# %%
print("  k    z(0) recovered from z(2), instead of (1, 0)")
recovered = {}
for k in (2.0, 5.0, 10.0, 20.0):
    two_rates = np.array([[-1 - k, k - 1], [k - 1, -1 - k]]) / 2
    linear = lambda t, z, A=two_rates: A @ z
    end = solve(linear, np.array([1.0, 0.0]), [0, 2], rtol=1e-10, atol=1e-14).y[-1]
    recovered[k] = solve(linear, end, [2, 0], rtol=1e-10, atol=1e-14).y[-1]
    print(f"{k:4}   {recovered[k]}")
assert np.abs(recovered[2.0] - [1, 0]).max() < 1e-6 and np.abs(recovered[20.0] - [1, 0]).max() > 0.1

# %% [markdown]
# On this field the error is seen: an error $\epsilon$ of the difference at $t = 2$ has become
# $\epsilon e^{2k}$ at $t = 0$. A tighter tolerance helps until $e^{-2k}$ is lost in the rounding of
# the sum, for $k$ near 18; beyond that nothing does.
#
# ## Four ways, side by side
#
# Algorithm 2 is one way to differentiate a solution. The library has three more, and one word
# chooses:
#
# * `"adjoint"`: Algorithm 2. Solves $\mathbf z$ and $\mathbf a$ backwards; its memory does not grow
#   with the steps.
# * `"discrete"`: the adjoint of every step that was taken, in reverse: exact for the numbers
#   computed. It keeps a state for each step, or with `checkpoints=K` no more than $K$.
# * `"interpolated"`: $\mathbf a$ alone is solved backwards, $\mathbf z$ is read off the stored
#   solution, so nothing flies apart.
# * `"forward"`: $\partial \mathbf z / \partial \theta$ is solved forwards, together with
#   $\mathbf z$; for few parameters.
#
# On $y' = -k (y - \cos t)$ the solution is known, and so is $\partial y(2) / \partial k$. For
# small $k$ all four agree. As $k$ grows, the way back gets unstable, and Algorithm 2 says so, by a
# warning, before it gives up:

# %%
slaved = lambda t, y, k: -k * (y - np.cos(t))
exactly = lambda k: (k * k * np.cos(2) + k * np.sin(2) - k * k * np.exp(-2 * k)) / (1 + k * k)
ways = ("adjoint", "discrete", "interpolated", "forward")
print("relative error of dy(2)/dk, rtol 1e-6\n    k  " + "".join(f"{way:>14}" for way in ways))
wrong = {}
for k, method in ((1.0, "dopri5"), (10.0, "dopri5"), (1000.0, "radau_iia5")):
    for way in ways:
        options = {"method": method, "atol": 1e-8, "gradient": way, "max_steps": 5000}
        end = lambda k, options=options: odeint(slaved, 0.0, [0.0, 2.0], k, **options)[-1]
        with warnings.catch_warnings(record=True) as warned, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            try:
                error = abs(grad(end)(k) / grad(exactly)(k) - 1)
                wrong[k, way] = f"{error:.1e}" + "*" * bool(warned)
            except SolverError:
                wrong[k, way] = "gives up"
    print(f"{k:6.0f} " + "".join(f"{wrong[k, way]:>14}" for way in ways))
print("(* with a warning that z, solved backwards, has not come back to where it was)")
assert all(float(wrong[1.0, way]) < 1e-4 for way in ways)
assert wrong[10.0, "adjoint"].endswith("*") and wrong[1000.0, "adjoint"] == "gives up"
assert all(float(wrong[1000.0, way]) < 1e-2 for way in ways[1:])

# %% [markdown]
# ![Error against work, four problems](../figures/gradients_work_precision.png)
#
# What each costs and how right it is, on more problems, is drawn by
# `tests/benchmarks/gradients.py`; its memory too, and the error of Algorithm 2 over a grid of
# forward and backward tolerances (P-tol).
#
# ## Exercises

# %% [exercise 5.2] level 1
# Find the parameters that made the four observations, by gradient descent. One line of
# `descend(p, steps)` is not right: `slope` must be the gradient of `loss(z0, p, times)` for the
# parameters `p`, which are its second argument. From `theta`, eighty steps come to the parameters
# (3, 0.2) within one per cent.


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

# %% [exercise 5.3] level 2
# What is $\frac{dL}{dt_0}$, without an integral? The solve starts later by a small $d$, at
# $t_0 + d$, but from the same state `z0`. The same solution could have been started at $t_0$, from
# another state. Write
#
# * `earlier(d)`: that state, an array of two numbers, without a solver and right up to errors of
#   order $d^2$, for the pendulum `f` with `theta`, `t0` and `z0` of the chapter;
# * `dL_dt0(a0)`: the number $\frac{dL}{dt_0}$, from `a0`, which is $\mathbf a(t_0)$, without a
#   solver.


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
    f" of {distances[1]:.2g} for d = 0.01. It should be of order d^2: four times smaller."
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
# the solution. Show that $\mathbf a(t)^T \mathbf v(t)$ does not change with time. What has it to do
# with $\langle \mathbf w, J \mathbf v \rangle = \langle J^T \mathbf w, \mathbf v \rangle$? Then
# write
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
# (a^T v)' = -a^T df/dz v + a^T df/dz v = 0. Over the whole time, v(t1) = J v0 with J the Jacobian
# of the flow, and a(t0) = J^T a(t1): a(t1)^T (J v0) = (J^T a(t1))^T v0, at t1 and at t0 the same
# number.
def small_change(v0, t):
    """Return v(t), where v(t0) = v0."""
    both = lambda t, s: (f(t, s[0], theta), df_dz(t, s[0]) @ s[1])
    return solve(both, (z0, v0), [t0, t], **tight).y[1][-1]


def rise(v0):
    """Return dL along v0, without a backward solve."""
    return grad(L)(z1) @ small_change(v0, t1)


v0 = np.array([1.0, -2.0])
products = [a_at(t) @ small_change(v0, t) for t in (1.0, 2.0, 3.0)]
print("a(t)^T v(t) at three times:", np.round(products, 9), "  rise:", round(rise(v0), 9))


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
        f"a(t)^T v(t) is {products} at t = 1 and 3; it should not change. Is v' = df/dz v, and does"
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
# parameters: `my_odeint(f, y0, t, *args)` returns the states at all times `t`, an array of shape
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
# * $\frac{dL}{dt_i}$ for each time: moving an observation by $dt$ moves what is observed by $f dt$;
#   the first time also moves the start (exercise 5.3);
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
            f_z, pullback = vjp(lambda z, *args: f(time, z, *args), z, *args)
            a_df_dz, *a_df_dargs = pullback(a)
            return f_z, -a_df_dz, tuple(-x for x in a_df_dargs)

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

# %% [markdown]
# ## Sources
#
# G27 to G37, G-alg2 (Gazula and Plis, "Optimization view" to "Algorithm 2"); P4 to P7, P-mem, P-err
# (Price-Broncucia, "How Do We Do Backpropagation?"); N6, N7, N-pseudo, N-black (handwritten notes,
# part 3); S4, S-black, S-mem (Lenze and Rothe, section 2). Chen, Rubanova, Bettencourt and
# Duvenaud, "Neural ordinary differential equations" (2018), appendices B and C.
