# %% [markdown]
# # A residual network is Euler's method
#
# **The question.** A residual network adds something to its state in every layer; Euler's method
# adds something to its state in every step. Are they alike, or are they the same? And what does one
# gain by knowing?

# %%
import numpy as np

from tinyode import nn, odeint, root, solve
from tinyode.plotting import COLOURS, panels, save

rng = np.random.default_rng(16)
init, block = nn.mlp(2, 16, 2)
theta = init(rng)
h0 = rng.normal(size=(5, 2))  # five inputs with two features

# %% [markdown]
# ## The residual block
#
# He and others (2015) let a block of layers learn not its output but the *change* of its input:
# $$\mathbf h_{t+1} = \mathbf h_t + f(\mathbf h_t, \theta_t). \tag{P2, G5, N1, S1}$$
# (G4 is the same for one block, $\mathbf y = \mathcal F(\mathbf x, W) + \mathbf x$.) S1 says that
# it maps $\mathbb R^N$ to $\mathbb R^M$. A sum of two vectors needs them to be of the same length,
# so $N = M$: **mended**. (Where widths change, real networks put a projection on the skip
# connection, and that block is no longer of this form.)

# %%
_, narrowing = nn.mlp(2, 16, 3)
try:
    h0 + narrowing(nn.mlp(2, 16, 3)[0](rng), h0)
except ValueError as error:
    print("S1 with M = 3:", error)
else:
    raise AssertionError("a sum of vectors of different lengths should have failed")

# %% [markdown]
# ## Algorithms 1 and 2, side by side
#
# | Algorithm 1 (S-alg1): ResNet | Algorithm 2 (S-alg2): neural ODE |
# | --- | --- |
# | **def** $f(\mathbf h, t, \theta_t)$: **return** NeuralNetwork$_{\theta_t}(\mathbf h)$ | **def** $f(\mathbf h, t, \theta)$: **return** NeuralNetwork$_\theta(\mathbf h, t)$ |
# | **for** $t$ **in** $1 \dots T$: $\mathbf h \leftarrow \mathbf h + f(\mathbf h, t, \theta(t))$ | $\mathbf h \leftarrow$ ODESolve$(f, \mathbf h, t_0, t_1, \theta)$ |
# | **return** $\mathbf h$ | **return** $\mathbf h$ |
#
# In Python, with the parameters of layer $t$ in a list:


# %%
def resnet(h, thetas):
    """Algorithm 1: one block after the other, each with parameters of its own."""
    for theta_t in thetas:
        h = h + block(theta_t, h)
    return h


def neural_ode(h, f, t0, t1, *args, **options):
    """Algorithm 2: the loop is the solver's business."""
    return odeint(f, h, [t0, t1], *args, **options)[-1]


thetas = [init(rng) for _ in range(6)]


def layer_at(t, h, thetas):
    """Give the vector field at time t: the block of layer floor(t)."""
    return block(thetas[int(t)], h)


by_resnet = resnet(h0, thetas)
by_euler = solve(layer_at, h0, np.arange(7.0), thetas, method="euler").y[-1]
difference = np.abs(by_resnet - by_euler).max()
print("largest difference between ResNet and Euler with step 1:", difference)
assert np.array_equal(by_resnet, by_euler)  # to the last bit

# %% [markdown]
# A residual network *is* the explicit Euler method with step one on a field that changes at whole
# times. Not nearly: to the last bit.
#
# S calls it "the implicit Euler integration scheme of a ResNet". **Mended**: it is the *explicit*
# one. The implicit method asks for the slope at the end of the step,
# $\mathbf h_{t+1} = \mathbf h_t + f(\mathbf h_{t+1}, \theta_t)$, which is an equation to be solved
# in every layer (chapter 4 is about such equations), and gives other numbers.

# %%
implicit = h0
for theta_t in thetas:
    implicit = root(lambda new, old, p: new - old - block(p, new), implicit, implicit, theta_t)
print("largest difference between ResNet and implicit Euler:", np.abs(by_resnet - implicit).max())
assert np.abs(by_resnet - implicit).max() > 0.1

# %% [markdown]
# ## Where the step went
#
# The layer has no step size. G6-G10 make room for one by a fraction that is equal to one:
# $$\mathbf h_{t+1} = \frac{\Delta t}{\Delta t} F(\mathbf h_t, \theta_t) + \mathbf h_t = \Delta t\, G(\mathbf h_t, \theta_t) + \mathbf h_t,
# \qquad G = F / \Delta t. \tag{G6, G7, G9}$$
# In exact arithmetic that changes nothing. In floating point, dividing by $\Delta t$ and
# multiplying again is exact where $\Delta t$ is a power of two, and off by a rounding error
# elsewhere; but a network that is *defined* by $G$ agrees with Euler's method (G8) to the last bit
# for any step, if the solver's step is the same floating-point number: one step of $[0, \Delta t]$
# at a time, as here. (Over a grid of times, $3 \Delta t - 2 \Delta t$ is not always $\Delta t$.)

# %%
for dt in (1.0, 0.5, 0.125, 0.1, 0.3):
    net, scaled, euler = h0, h0, h0
    slope = lambda t, h, p, dt=dt: block(p, h) / dt  # G = F / dt
    for theta_t in thetas:
        net = net + block(theta_t, net)  # F
        scaled = scaled + dt * (block(theta_t, scaled) / dt)  # dt G
        euler = solve(slope, euler, [0.0, dt], theta_t, method="euler").y[-1]
    print(f"dt = {dt:5}: ResNet against dt * (F / dt) {np.abs(net - scaled).max():.1e};", end="  ")
    print(f"dt * G against Euler {np.abs(scaled - euler).max():.1e}")
    assert np.array_equal(scaled, euler)
    if np.log2(dt) % 1 == 0:  # a power of two
        assert np.array_equal(net, scaled)
    else:
        assert np.allclose(net, scaled, rtol=1e-13, atol=0)

# %% [markdown]
# ## More layers, smaller steps
#
# Now let all layers share one block, and let depth grow while the step shrinks:
# $\Delta t = 1 / \text{depth}$. In the limit the difference quotient becomes a derivative,
# $$\frac{d\mathbf h(t)}{dt} = G(\mathbf h(t), t, \theta), \tag{G10, G14, S2}$$
# and the last hidden layer becomes the solution of an initial value problem,
# $$\mathbf h(t_1) = \mathbf h(t_0) + \int_{t_0}^{t_1} G(\mathbf h(t), t, \theta)\, dt = \mathrm{ODESolve}(\mathbf h(t_0), G, t_0, t_1, \theta). \tag{G11, G12, N5, S3, S-alg2}$$
# (G13 is G5 once more, with $\mathbf z$ for $\mathbf h$.) The claim P-steps, that more and more
# layers with smaller and smaller steps tend to the ODE, can be put in a number: by chapter 1, twice
# the depth must mean half the distance.

# %%
G = lambda t, h, p: 4.0 * block(p, h)  # the factor makes five inputs move far enough to be seen
ode = neural_ode(h0, G, 0.0, 1.0, theta, rtol=1e-12, atol=1e-12)
depths = 2 ** np.arange(11)
distances = []
for depth in depths:
    h = h0
    for _ in range(depth):
        h = h + (1 / depth) * G(0.0, h, theta)
    distances.append(np.abs(h - ode).max())
print("depth   distance to the ODE   ratio to half the depth")
for depth, distance, before in zip(depths, distances, [None, *distances]):
    print(f"{depth:5}   {distance:19.2e}   " + (f"{before / distance:.3f}" if before else ""))
assert abs(distances[-2] / distances[-1] - 2) < 0.02

# %%
figure, (left, right) = panels(2, width=11, height=4.8)
fine = solve(G, h0, np.linspace(0, 1, 200), theta, rtol=1e-8).y
for i in range(len(h0)):
    label = "the ODE" if i == 0 else None
    left.plot(fine[:, i, 0], fine[:, i, 1], color="black", linewidth=1.5, label=label)
for depth, colour in ((3, COLOURS[4]), (12, COLOURS[0])):
    path = solve(G, h0, np.linspace(0, 1, depth + 1), theta, method="euler").y
    style = {"color": colour, "linewidth": 1.2, "markersize": 4}
    for i in range(len(h0)):
        label = f"{depth} layers" if i == 0 else None
        left.plot(path[:, i, 0], path[:, i, 1], "o-", label=label, **style)
left.plot(h0[:, 0], h0[:, 1], "s", color="black", markersize=7)
left.set(xlabel="$h_1$", ylabel="$h_2$", title="Five inputs on their way through the layers")
left.legend(fontsize=12)
right.loglog(depths, distances, "o-", label="ResNet with a shared block")
half = distances[-1] * depths[-1] / depths
right.loglog(depths, half, "--", color="#666666", linewidth=1.4, label="slope $-1$")
right.set(xlabel="depth", ylabel="distance to the ODE", title="Twice the depth, half the distance")
right.legend(fontsize=12)
save(figure, "02_depth_to_ode")

# %% [markdown]
# ## Two remarks on the formula
#
# **N4 forgets the start.** It reads $h(t_1) = \int_{t_0}^{t_1} f(t, h(t), \theta)\, dt$. The
# integral is the *change*; $h(t_0)$ has to be added (**mended** as in S3 above). With the integral
# by Simpson's rule along the solution:

# %%
ts = np.linspace(0, 1, 201)
hs = solve(G, h0, ts, theta, rtol=1e-11, atol=1e-12).y
along = np.stack([G(t, h, theta) for t, h in zip(ts, hs)])
weights = np.where(np.arange(201) % 2 == 1, 4.0, 2.0)
weights[[0, -1]] = 1.0
integral = np.tensordot(weights, along, axes=1) / 600
with_start, without = np.abs(h0 + integral - ode).max(), np.abs(integral - ode).max()
print("S3, with h(t0):", with_start, "  N4, without:", without)
assert with_start < 1e-8 < 0.1 < without

# %% [markdown]
# **The solver is exchangeable.** "The ... Euler integration scheme of a ResNet is replaced by a
# general ODESolver, thereby increasing numerical accuracy" (S-scheme; P-solvers: one need not use
# Euler's method). At equal cost, that is at equal numbers of evaluations of the network:

# %%
print("method      evaluations   distance to the ODE")
accuracy = {}
for method, stages in (("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)):
    solution = solve(G, h0, [0.0, 1.0], theta, method=method, step_size=stages / 48)
    accuracy[method] = np.abs(solution.y[-1] - ode).max()
    print(f"{method:9} {solution.stats.nfev:13}   {accuracy[method]:.1e}")
solution = solve(G, h0, [0.0, 1.0], theta, rtol=2e-4, atol=2e-4)
distance = np.abs(solution.y[-1] - ode).max()
print(f"dopri5    {solution.stats.nfev:13}   {distance:.1e}", end="   ")
print("(adaptive, for comparison, at less cost)")
assert accuracy["euler"] > 10 * accuracy["midpoint"] > 100 * accuracy["rk4"]

# %% [markdown]
# What one gains: the depth of the network has become the accuracy of a solver, chosen when the
# network is *run*; the state can be read at any time, not only at whole layers; and the backward
# pass need not store what happened in between, which is the subject of chapter 5. What one loses:
# neighbouring layers are no longer free to differ. An ordinary ResNet is a *coarse* solver of a
# field that changes from layer to layer; "is the Euler method" holds to the last bit, "is close to
# an ODE" only where the steps are small.
#
# ## Exercises
#
# 1. A layer $\mathbf h + f(\mathbf h)$ need not be invertible, an ODE's flow with a Lipschitz $f$
#    always is: go back in time. Check both, with a block of your own.
# 2. Which network is the midpoint method with one step? Write it with the block as the only
#    building block.
# 3. In the table of depths, the error of Euler's method is nearly $c / \text{depth}$. So
#    $2 h_{2d} - h_d$ should be much better than $h_{2d}$ (Richardson's extrapolation). By how much,
#    at $d = 32$?

# %%
# 1. x -> x - 1.5 tanh(x) maps 0 and a point near 1.29 to 0; the flow brings every state back to
#    where it came from
x = root(lambda x: x - 1.5 * np.tanh(x), 1.0)
print(f"1. the block maps 0 and {x:.4f} both to 0;", end=" ")
assert x > 1 and abs(x - 1.5 * np.tanh(x)) < 1e-9
back = neural_ode(ode, G, 1.0, 0.0, theta, rtol=1e-12, atol=1e-12)
print(f"the flow forth and back is off by {np.abs(back - h0).max():.0e}")
assert np.abs(back - h0).max() < 1e-8

# 2. two blocks with shared parameters and a skip connection around both: h + G(h + G(h) / 2)
midpoint_net = h0 + G(0, h0 + G(0, h0, theta) / 2, theta)
by_midpoint = solve(G, h0, [0.0, 1.0], theta, method="midpoint").y[-1]
assert np.allclose(midpoint_net, by_midpoint, rtol=1e-12, atol=0)


# 3. the errors of first order cancel, what is left is of second order
def of_depth(depth):
    return solve(G, h0, [0.0, 1.0], theta, method="euler", step_size=1 / depth).y[-1]


plain = np.abs(of_depth(64) - ode).max()
extrapolated = np.abs(2 * of_depth(64) - of_depth(32) - ode).max()
print(f"3. depth 64: {plain:.1e}, extrapolated from 32 and 64: {extrapolated:.1e},", end=" ")
print(f"{plain / extrapolated:.0f} times better")
assert extrapolated < plain / 10

# %% [markdown]
# ## Sources
#
# P2 and P-steps (Price-Broncucia, "RNN", "RNN to ODE"); G4 to G14 (Gazula and Plis, "Residual
# Network", "From ResNet to ODENet"); N1, N4, N5 (handwritten notes); S1 to S3, S-alg1, S-alg2,
# S-scheme (Lenze and Rothe, sections 1 and 2). He, Zhang, Ren and Sun, "Deep residual learning for
# image recognition" (2015).
