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
#
# $$\mathbf h_{t+1} = \mathbf h_t + f(\mathbf h_t, \theta_t). \tag{P2, G5, N1, S1}$$
#
# (G4 is the same for one block, $\mathbf y = \mathcal F(\mathbf x, W) + \mathbf x$.) S1 says that
# it maps $\mathbb R^N$ to $\mathbb R^M$. A sum of two vectors needs them to be of the same length,
# so $N = M$: **corrected**. (Where widths change, real networks put a projection on the skip
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
# $\mathrm{NN}$ is a neural network, with its parameters as an index.
#
# | Algorithm 1 (S-alg1): ResNet | Algorithm 2 (S-alg2): neural ODE |
# | --- | --- |
# | **def** $f(\mathbf h, t, \theta_t)$: **return** $\mathrm{NN}_{\theta_t}(\mathbf h)$ | **def** $f(\mathbf h, t, \theta)$: **return** $\mathrm{NN}_\theta(\mathbf h, t)$ |
# | **for** $t$ **in** $1 \dots T$: $\mathbf h \leftarrow \mathbf h + f(\mathbf h, t, \theta(t))$ | $\mathbf h \leftarrow$ $\mathrm{ODESolve}(f, \mathbf h, t_0, t_1, \theta)$ |
# | **return** $\mathbf h$ | **return** $\mathbf h$ |
#
# In Python, with the parameters of layer $t$ in a list:

# %% [predict]
# Six blocks with parameters of their own; and Euler's method with step 1 on a field that is block
# number t from time t to t + 1. How large is the largest difference of their outputs: about 0.1,
# about 1e-3, about 1e-16, or exactly 0?


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
# S calls it "the implicit Euler integration scheme of a ResNet". **Corrected**: it is the
# *explicit* one. The implicit method asks for the slope at the end of the step,
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
#
# $$\mathbf h_{t+1} = \frac{\Delta t}{\Delta t} F(\mathbf h_t, \theta_t) + \mathbf h_t
# = \Delta t G(\mathbf h_t, \theta_t) + \mathbf h_t, \qquad G = F / \Delta t. \tag{G6, G7, G9}$$
#
# In exact arithmetic that changes nothing. In floating point, each division and each product is
# rounded.

# %% [predict]
# A block's output is divided by dt and multiplied by dt again, for dt = 1, 0.5, 0.125, 0.1 and 0.3.
# For which of these does the network still give the same numbers, to the last bit?

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
# Dividing by $\Delta t$ and multiplying again is exact where $\Delta t$ is a power of two, and
# elsewhere off by a rounding error, except by luck; but a network that is *defined* by $G$ agrees
# with Euler's method (G8) to the last bit for any step, if the solver's step is the same
# floating-point number: one step of $[0, \Delta t]$ at a time, as here. (Over a grid of times,
# $3 \Delta t - 2 \Delta t$ is not always $\Delta t$.)
#
# ## More layers, smaller steps
#
# Now let all layers share one block, and let depth grow while the step shrinks:
# $\Delta t = 1 / \text{depth}$. In the limit the difference quotient becomes a derivative,
#
# $$\frac{d\mathbf h(t)}{dt} = G(\mathbf h(t), t, \theta), \tag{G10, G14, S2}$$
#
# and the last hidden layer becomes the solution of an initial value problem,
#
# $$\mathbf h(t_1) = \mathbf h(t_0) + \int_{t_0}^{t_1} G(\mathbf h(t), t, \theta) dt
# = \mathrm{ODESolve}(\mathbf h(t_0), G, t_0, t_1, \theta). \tag{G11, G12, N5, S3, S-alg2}$$
#
# (G13 is G5 once more, with $\mathbf z$ for $\mathbf h$.) The claim P-steps, that more and more
# layers with smaller and smaller steps tend to the ODE, can be put in a number: by chapter 1, twice
# the depth must mean half the distance.

# %%
G = lambda t, h, p: 4.0 * block(p, h)  # the factor makes five inputs move far enough to be seen
ode = neural_ode(h0, G, 0.0, 1.0, theta, rtol=1e-12, atol=1e-12)


def of_depth(depth):
    """Return what a network of that depth makes of h0, with steps of 1 / depth."""
    h = h0
    for _ in range(depth):
        h = h + (1 / depth) * G(0.0, h, theta)
    return h


depths = 2 ** np.arange(11)
distances = [np.abs(of_depth(depth) - ode).max() for depth in depths]
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
save(
    figure,
    "02_depth_to_ode",
    alt="Left: five inputs in the plane move along smooth curves, the solutions of the ODE; the "
    "paths of a network with 12 layers follow the curves closely, those with 3 layers leave them. "
    "Right: the distance between network and ODE against depth, both axes logarithmic: from depth "
    "8 on a straight line of slope -1.",
)

# %% [markdown]
# ![Five inputs go through the same residual block with 1, 2, 4, up to 64 layers, each of which adds a smaller step. The corners of the five paths become finer, and the paths become the curves of the ODE.](../figures/02_depth_to_flow.gif)
#
# ## Two remarks on the formula
#
# **N4 forgets the start.** It reads $h(t_1) = \int_{t_0}^{t_1} f(t, h(t), \theta) dt$. The
# integral is the *change*; $h(t_0)$ has to be added (**corrected**, as in S3 above). With the
# integral by Simpson's rule along the solution:

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

# %% [predict]
# Euler's method gets 48 steps, the midpoint method and Heun's 24, rk4 12: that is 48 evaluations of
# the network for each. How many times closer to the ODE than Euler's method does rk4 come?

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

# %% [markdown]
# ## Exercises

# %% [exercise 2.1] level 1
# One step of the midpoint method (chapter 1) from $t = 0$ to $t = 1$, on the field $G$ of this
# chapter, is a network of two blocks. Write this network. Its only building block is
# `G(0.0, h, theta)`; any number may stand for the time, because $G$ does not use it.


# %% [stub 2.1]
def midpoint_net(h):
    """Return the output for the states h, shape (5, 2), with one midpoint step of length 1."""
    ...  # your code here


# %% [solution 2.1]
def midpoint_net(h):
    # two blocks with shared parameters, and a skip connection around both
    middle = h + G(0.0, h, theta) / 2
    return h + G(0.0, middle, theta)


# %% [check 2.1]
output = midpoint_net(h0)
assert output is not None, "midpoint_net returns None; is the return missing?"
assert np.shape(output) == (5, 2), f"The output has shape {np.shape(output)}; h has shape (5, 2)."
euler_step = h0 + G(0.0, h0, theta)
middle = h0 + G(0.0, h0, theta) / 2
for mistake, what in (
    (euler_step, "one step of Euler's method: G has to be asked a second time, in the middle"),
    (middle, "half a step of Euler's method: that is where G has to be asked again"),
    (h0 + G(0.0, euler_step, theta), "asking G at the end of Euler's step, not in its middle"),
    (of_depth(2), "two half steps of Euler's method: the second step has to begin at h again"),
    (middle + G(0.0, middle, theta), "a step that begins in the middle: it has to begin at h"),
    (G(0.0, middle, theta), "the change of the state alone: h has to be added"),
    (
        h0 + (G(0.0, h0, theta) + G(0.0, euler_step, theta)) / 2,
        "Heun's method: the midpoint method asks G in the middle, not at both ends",
    ),
    (
        h0 + block(theta, h0 + block(theta, h0) / 2),
        "the midpoint method on block. The field of this chapter is G, which is 4 * block",
    ),
):
    assert not np.allclose(output, mistake), f"This is {what}."
expected = solve(G, h0, [0.0, 1.0], theta, method="midpoint").y[-1]
assert np.allclose(output, expected, rtol=1e-9, atol=1e-9), (
    f"The output is off by up to {np.abs(output - expected).max():.2g}. The midpoint method: half "
    "a step to the middle; then a whole step from h, with the slope of the middle."
)

# %% [exercise 2.2] level 1
# The flow of an ODE can be undone: solve the equation from $t = 1$ back to $t = 0$. Write a
# function that does so for the field $G$ with the parameters $\theta$ of this chapter. For example,
# it gets `ode`, the states at $t = 1$, and returns `h0`, with an error below $10^{-3}$.


# %% [stub 2.2]
def back_in_time(h1):
    """Return the states at t = 0, shape (5, 2), of the solutions that are h1 at t = 1."""
    ...  # your code here


# %% [solution 2.2]
def back_in_time(h1):
    return neural_ode(h1, G, 1.0, 0.0, theta, rtol=1e-12, atol=1e-12)


print(f"the flow forth and back is off by {np.abs(back_in_time(ode) - h0).max():.0e}")

# %% [check 2.2]
before = h0 + np.array([0.1, -0.1])
after = neural_ode(before, G, 0.0, 1.0, theta, rtol=1e-9, atol=1e-9)
start = back_in_time(after)
assert start is not None, "back_in_time returns None; is the return missing?"
assert np.shape(start) != (2, 5, 2), (
    "You return the states at both times, shape (2, 5, 2). The last ones, [-1], are wanted."
)
assert np.shape(start) == (5, 2), f"You return shape {np.shape(start)}; it should be (5, 2)."
for mistake, what in (
    (after, "h1 itself. Is your list of times in the order [1.0, 0.0]?"),
    (neural_ode(after, G, 0.0, 1.0, theta), "the solution one unit of time further on, not back."),
    (after - G(0.0, after, theta), "h1 - G(h1): one step of Euler's method, too coarse."),
    (h0, "h0, whatever h1 is. The function has to start from its argument."),
):
    assert not np.allclose(start, mistake, rtol=1e-3, atol=1e-3), f"This is {what}"
assert np.allclose(start, before, rtol=0, atol=1e-3), (
    f"Your states are off by up to {np.abs(start - before).max():.2g}. The field is G, with theta "
    "as its parameters, and time goes from 1.0 to 0.0. If that is what you have, the method is "
    "too coarse: dopri5, which is taken where you name none, is accurate enough."
)

# %% [exercise 2.3] level 2
# A residual layer $x + f(x)$ cannot always be undone, even where $f$ is smooth and its slope is
# bounded. Find such an $f$ for a state of one number, for example a multiple of `np.tanh`, and two
# different inputs that the layer maps to the same output. (The flow of $\dot x = f(x)$ keeps the
# two apart: two solutions never meet.)


# %% [stub 2.3]
def change(x):
    """Return f(x), a number, for a number x: the layer is x + f(x)."""
    ...  # your code here


x1, x2 = ..., ...  # two inputs with the same output


# %% [solution 2.3]
def change(x):
    return -1.5 * np.tanh(x)


# The layer maps 0 to 0. Its slope at 0 is 1 - 1.5 < 0, and far away it grows: so it goes below 0
# and comes back to 0 at another x, which a root finder finds.
x1, x2 = 0.0, root(lambda x: x + change(x), 1.0)
print(f"the layer maps {x1} and {x2:.4f} to {x1 + change(x1):.1e} and {x2 + change(x2):.1e}")
flow = odeint(lambda t, x: change(x), np.array([x1, x2]), [0.0, 1.0])[-1]
print(f"the flow maps them to {flow[0]:.4f} and {flow[1]:.4f}")

# %% [check 2.3]
assert x1 is not ... and x2 is not ..., "Write two numbers in the place of `x1, x2 = ..., ...`."
f1, f2 = change(x1), change(x2)
assert f1 is not None, "change returns None; is the return missing?"
assert np.shape([x1, x2, f1, f2]) == (4,) and np.isfinite([x1, x2, f1, f2]).all(), (
    f"x1, x2, change(x1) and change(x2) should be four finite numbers: {x1}, {x2}, {f1}, {f2}."
)
assert abs(x1 - x2) > 1e-3, f"The inputs {x1} and {x2} are not different."
apart = abs(x1 + f1 - x2 - f2)
outputs = f"The layer maps {x1:.6f} to {x1 + f1:.6f}, and {x2:.6f} to {x2 + f2:.6f}"
assert apart < 1e-6 or apart > 0.01, (
    f"{outputs}: that is nearly the same. More digits: `root(lambda x: x + change(x) - y, start)` "
    "finds an input with the output y, near start."
)
assert apart < 1e-6, (
    f"{outputs}: not the same. (The output is x + f(x), not f(x).) Where f has a slope below -1, "
    "the layer falls, and where it both rises and falls it takes some values twice."
)
slopes = np.diff([change(x) for x in np.linspace(-10, 10, 20001)]) / 1e-3
assert np.abs(slopes).max() < 100, (
    f"Between -10 and 10, your f has a slope of size {np.abs(slopes).max():.2g}, or jumps. Take an "
    "f with a bounded slope."
)

# %% [exercise 2.4] level 2
# In the table of depths the distance to the ODE is nearly $c / \text{depth}$. So the networks
# $h_d$ and $h_{2d}$ of depth $d$ and $2d$ (`of_depth(d)`, `of_depth(2 * d)`) have errors with a
# known ratio, and a combination of the two has no error of this size any more (Richardson's
# extrapolation). Write it. How many times closer to the ODE than $h_{64}$ is it for $d = 32$?


# %% [stub 2.4]
def extrapolated(d):
    """Return states of shape (5, 2), made of the networks of depth d and 2 d, closer to the ODE."""
    ...  # your code here


# %% [solution 2.4]
def extrapolated(d):
    # h_d = h + e and h_2d = h + e / 2, nearly: twice the second, less the first, is h. What is left
    # is of second order.
    return 2 * of_depth(2 * d) - of_depth(d)


plain = np.abs(of_depth(64) - ode).max()
better = np.abs(extrapolated(32) - ode).max()
print(f"depth 64: {plain:.1e}; from 32 and 64: {better:.1e}, {plain / better:.0f} times closer")

# %% [check 2.4]
h_32, h_64 = of_depth(32), of_depth(64)
result = extrapolated(32)
assert result is not None, "extrapolated returns None; is the return missing?"
assert np.shape(result) == (5, 2), f"You return shape {np.shape(result)}; it should be (5, 2)."
for mistake, what in (
    (h_64, "h_2d alone, which has half the error of h_d"),
    ((h_32 + h_64) / 2, "the mean of h_d and h_2d, and its error is the mean of theirs"),
    (2 * h_32 - h_64, "2 h_d - h_2d: the two are exchanged. h_2d is the better one"),
    ((4 * h_64 - h_32) / 3, "the formula for errors c / d^2. Here they are c / d"),
    (h_64 - h_32, "the difference, an estimate of the error. It has to be added to h_2d"),
    (2 * of_depth(32) - of_depth(16), "2 h_d - h_(d/2): the two networks have depth d and 2 d"),
):
    assert not np.allclose(result, mistake, rtol=1e-9, atol=1e-9), f"This is {what}."
gain = np.abs(h_64 - ode).max() / np.abs(result - ode).max()
assert gain > 20, (
    f"For d = 32 your states are {gain:.2g} times as close to the ODE as h_64; it should be about "
    "forty times. Write h_d = h + e and h_2d = h + e / 2, and solve for h."
)

# %% [exercise 2.5] level 3
# If $f$ has a Lipschitz constant below one, the layer $y = x + f(x)$ can be undone: then
# $x \mapsto y - f(x)$ is a contraction, and its fixed point is the input (Behrmann and others,
# 2019, build networks of such layers). Show that on paper, and write the function that finds the
# input with an error below $10^{-8}$, for Lipschitz constants up to 0.9. Do not use `root`.


# %% [stub 2.5]
def undo_layer(f, y):
    """Return the array x with x + f(x) = y. f takes and returns arrays of the shape of y."""
    ...  # your code here


# %% [solution 2.5]
def undo_layer(f, y):
    # Each round multiplies the error by 0.9 at most, and the last change of x is at least a tenth
    # of the error that was left. So where x changes by less than 1e-10, the error is below 1e-9.
    x, change = y, 1.0
    while change > 1e-10:
        x, before = y - f(x), x
        change = np.abs(x - before).max()
    return x


# %% [check 2.5]
bound = np.prod([np.linalg.norm(layer["W"], 2) for layer in theta])  # of the slopes of block
for constant in (0.5, 0.9):
    for name, f in (
        (f"{constant} sin x", lambda x: constant * np.sin(x)),
        (f"-{constant} x", lambda x: -constant * x),
        ("a multiple of the chapter's block", lambda x: constant / bound * block(theta, x)),
    ):
        x = np.linspace(-3.0, 3.0, 10).reshape(5, 2)
        y = x + f(x)
        found = undo_layer(f, y)
        assert found is not None, "undo_layer returns None; is the return missing?"
        assert np.shape(found) == (5, 2), f"You return shape {np.shape(found)}; y has shape (5, 2)."
        assert not np.allclose(found, y - f(y)), "This is y - f(y): the first round, and no more."
        assert not np.allclose(found - f(found), y), "Your x has x - f(x) = y: the sign of f."
        error = np.abs(found - x).max()
        case = (
            f"For f(x) = {name}, with Lipschitz constant {constant}, your x is off by {error:.1e}"
        )
        assert error < 0.1, (
            f"{case}. A round is x = y - f(x); where the first x is, does not matter."
        )
        assert error < 1e-8, (
            f"{case}. A round of x = y - f(x) multiplies the error by up to {constant}: take more "
            "rounds."
        )

# %% [markdown]
# ## Sources
#
# P2 and P-steps (Price-Broncucia, "RNN", "RNN to ODE"); G4 to G14 (Gazula and Plis, "Residual
# Network", "From ResNet to ODENet"); N1, N4, N5 (handwritten notes); S1 to S3, S-alg1, S-alg2,
# S-scheme (Lenze and Rothe, sections 1 and 2). He, Zhang, Ren and Sun, "Deep residual learning for
# image recognition" (2015).
