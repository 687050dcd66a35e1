# %% [markdown]
# # A residual network is Euler's method

# %% [markdown]
# **Needs**: chapter 1 (Euler's method, order, tolerances). From school: the product of a matrix and
# a vector.
#
# **You will be able to**: compute a small network by hand; show that a residual network is Euler's
# method; replace its layers by a solver, and say what that gains and costs.
#
# **Minutes**: 60 to 90, with the exercises of level 1.
#
# **The question.** A residual network adds something to its state in every layer; Euler's method
# adds something to its state in every step. Are they alike, or are they the same? And what does one
# gain by knowing?

# %%
import numpy as np

from tinyode import nn, odeint, root, solve
from tinyode.plotting import COLOURS, panels, save

rng = np.random.default_rng(16)

# %% [markdown]
# ## A network is a formula with parameters
#
# The state $\mathbf z$ is a column of two numbers, for example the length and the weight of an
# animal. Such numbers are called *features*. The network of this chapter takes them and returns two
# numbers:
#
# $$\mathrm{NN}_\theta(\mathbf z) = W_2 \tanh(W_1 \mathbf z + \mathbf b_1) + \mathbf b_2.$$
#
# The matrix $W_1$ makes weighted sums of the features, and $\mathbf b_1$ is added. The function
# $\tanh$ is applied to each sum. It bends: it is nearly the identity around 0, and never leaves the
# interval from $-1$ to 1. Without it the formula would be $W_2 W_1 \mathbf z$ plus a vector, and
# one matrix could do the work of both. A matrix, a vector and such a function are one *layer*. A
# *network* is a chain of layers. The last layer here has no $\tanh$, so that its outputs can be of
# any size.
#
# The numbers in $W_1$, $\mathbf b_1$, $W_2$ and $\mathbf b_2$ are the *parameters*. All of them
# together are called $\theta$. To train a network is to choose $\theta$ (from chapter 3 on). In
# this chapter $\theta$ is random.
#
# By hand, for $\mathbf z = (1, -\frac12)$: take $W_1$ with the rows $(1, 2)$ and $(0, -1)$, and
# $\mathbf b_1 = (0, 1)$. Then $W_1 \mathbf z + \mathbf b_1 = (0, \frac32)$. With $W_2$ of rows
# $(3, 1)$ and $(1, -2)$, and $\mathbf b_2 = (0.1, 0)$, the outputs are $\tanh \frac32 + 0.1$ and
# $-2 \tanh \frac32$.
#
# In the code, one state is an array of one axis, and five states are the *rows* of an array of
# shape (5, 2), so that a network takes all of them at once. A row is multiplied from the right,
# `z @ W + b`. So an array `W` of the library is the transpose of the matrix in the formula.

# %%
init, block = nn.mlp(2, 16, 2)  # the formula, with two inputs, 16 sums and two outputs
theta = init(rng)  # random parameters: a list with W and b of each layer
z0 = rng.normal(size=(5, 2))  # five inputs with two features
sizes = [layer[name].size for layer in theta for name in ("W", "b")]
print("parameters in W_1, b_1, W_2, b_2:", " + ".join(map(str, sizes)), "=", sum(sizes))

W_1, b_1 = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0.0, 1.0])
W_2, b_2 = np.array([[3.0, 1.0], [1.0, -2.0]]), np.array([0.1, 0.0])
z = np.array([1.0, -0.5])
by_hand = W_2 @ np.tanh(W_1 @ z + b_1) + b_2
assert np.allclose(z + by_hand, [2.005, -2.310], rtol=0, atol=5e-4)  # quoted in the next cell
library = block([{"W": W_1.T, "b": b_1}, {"W": W_2.T, "b": b_2}], z)
print("by hand:", by_hand, "  library:", library)
assert np.allclose(by_hand, [np.tanh(1.5) + 0.1, -2 * np.tanh(1.5)], rtol=1e-14, atol=0)
assert np.allclose(by_hand, library, rtol=1e-14, atol=0)

# %% [markdown]
# ## The residual block
#
# A network with many layers is hard to train if each layer has to make its whole output anew. He
# and others (2015) let layers compute the *change* of the state only, and add the state itself:
#
# $$\mathbf z_{t+1} = \mathbf z_t + f(\mathbf z_t, \theta_t). \tag{P2, G4, G5, G13, N1, S1}$$
#
# In a drawing, the added state is a path around the layers, the *skip connection*. The layers and
# this path together are a *residual block*. The network that we computed by hand turns $(1, -0.5)$
# into $(1.005, -1.810)$; as a residual block, into $(2.005, -2.310)$. In the formula
# $t = 0, 1, 2, \dots$ counts the blocks, and $\theta_t$ are the parameters of block $t$. A chain of
# such blocks is a *residual network*, or ResNet. Euler's method of chapter 1 is
# $y_{m+1} = y_m + h f(t_0 + mh, y_m)$. With $h = 1$ and $t_0 = 0$ it has the same form.
#
# In this course a field takes the time first and the parameters last, $f(t, \mathbf z, \theta)$, in
# formulas and in code. The sources write $f(\mathbf z, t, \theta)$, and they write $\mathbf h$
# ("hidden state") for $\mathbf z$ and $\Delta t$ for the step $h$.
#
# ## Two algorithms, side by side
#
# | Algorithm 1 (S-alg1): ResNet | Algorithm 2 (S-alg2): neural ODE |
# | --- | --- |
# | **def** $f(t, \mathbf z, \theta_t)$: **return** $\mathrm{NN}_{\theta_t}(\mathbf z)$ | **def** $f(t, \mathbf z, \theta)$: **return** $\mathrm{NN}_\theta(t, \mathbf z)$ |
# | **for** $t$ **in** $0 \dots n - 1$: $\mathbf z \leftarrow \mathbf z + f(t, \mathbf z, \theta_t)$ | $\mathbf z \leftarrow$ $\mathrm{ODESolve}(\mathbf z, f, t_0, t_1, \theta)$ |
# | **return** $\mathbf z$ | **return** $\mathbf z$ |
#
# The left one is a loop over $n$ layers, each with parameters of its own. The right one leaves the
# loop to a solver, and its network may take $t$ as one more input. (In code, ODESolve is
# `odeint(f, z0, times, theta)`. It calls `f(t, z, theta)`, and returns the states at all the times.
# `solve` takes `theta`, too, and returns the object of chapter 1. Only `odeint` has a derivative.)

# %% [predict]
# Six blocks, each with its own parameters; and Euler's method with step 1 on a field that is block
# number t between the times t and t + 1. How far apart are their outputs: about 0.1, about 1e-3,
# about 1e-16, or exactly 0?


# %%
def resnet(z, thetas):
    """Algorithm 1: one block after the other, each with parameters of its own."""
    for theta_t in thetas:
        z = z + block(theta_t, z)
    return z


def neural_ode(z, f, t0, t1, theta, **options):
    """Algorithm 2: the loop is the solver's business, and so are options such as rtol."""
    return odeint(f, z, [t0, t1], theta, **options)[-1]


thetas = [init(rng) for _ in range(6)]


def layer_at(t, z, thetas):
    """Return the field at time t: the block whose number is t, rounded down."""
    return block(thetas[int(t)], z)


by_resnet = resnet(z0, thetas)
by_euler = solve(layer_at, z0, np.arange(7.0), thetas, method="euler").y[-1]
difference = np.abs(by_resnet - by_euler).max()
print("largest difference between ResNet and Euler with step 1:", difference)
assert np.array_equal(by_resnet, by_euler)  # to the last bit

# %% [markdown]
# A residual network *is* Euler's method with step one, on a field that changes at whole times: the
# same to the last bit.
#
# ## Where the step went
#
# The block has no step size. Call the block $F$, choose any $h$, and let $G = F / h$. Then
#
# $$\mathbf z_{t+1} = \mathbf z_t + \frac{h}{h} F(\mathbf z_t, \theta_t)
# = \mathbf z_t + h G(\mathbf z_t, \theta_t), \tag{G6, G7, G9}$$
#
# which is a step of Euler's method, of length $h$, on the field $G$ (G8). In exact arithmetic
# nothing has changed. In floating point, each division and each product is rounded.

# %% [predict]
# A block's output is divided by h and multiplied by h again, for h = 1, 0.5, 0.125, 0.1 and 0.3.
# For which of these does the network still give the same numbers, to the last bit?

# %%
slope = lambda t, z, theta, h: block(theta, z) / h  # G = F / h
for h in (1.0, 0.5, 0.125, 0.1, 0.3):
    net, scaled, euler = z0, z0, z0
    for theta_t in thetas:
        net = net + block(theta_t, net)  # F
        scaled = scaled + h * (block(theta_t, scaled) / h)  # h G
        euler = solve(slope, euler, [0.0, h], theta_t, h, method="euler").y[-1]
    print(f"h = {h:5}: ResNet against h * (F / h) {np.abs(net - scaled).max():.1e};", end="  ")
    print(f"h * G against Euler {np.abs(scaled - euler).max():.1e}")
    assert np.array_equal(scaled, euler)
    if np.log2(h) % 1 == 0:  # a power of two
        assert np.array_equal(net, scaled)
    else:
        assert np.allclose(net, scaled, rtol=1e-13, atol=0)

# %% [markdown]
# The first column is exact for powers of two, since a computer calculates with binary numbers. For
# other $h$ there is a rounding error, unless one is lucky. The second column is exact for every $h$:
# a network that is *defined* by $G$ is Euler's method to the last bit.
#
# ## More layers, smaller steps
#
# So far the block $F$ was given, and $G$ followed. Now one field $G$ is given, for all layers, and
# each of $n$ layers adds $hG$ with $h = 1 / n$: the more layers, the less each one adds. They lead
# from time 0 to time 1. From here on $t$ is a time. A layer leads from $t$ to $t + h$, and
# $(\mathbf z(t + h) - \mathbf z(t)) / h = G$. In the limit the quotient becomes a derivative,
#
# $$\frac{d\mathbf z(t)}{dt} = G(t, \mathbf z(t), \theta), \tag{G10, G14, S2}$$
#
# and the state after the last layer becomes the solution of an initial value problem,
#
# $$\mathbf z(t_1) = \mathbf z(t_0) + \int_{t_0}^{t_1} G(t, \mathbf z(t), \theta) dt
# = \mathrm{ODESolve}(\mathbf z(t_0), G, t_0, t_1, \theta). \tag{G11, G12, N5, S3}$$
#
# This is a *neural ODE*: an ODE whose field is a network. The number $n$ of layers is called the
# *depth*. By chapter 1 the error of Euler's method is proportional to the step, so deeper networks
# with smaller steps should tend to the ODE (P-steps): twice the depth, half the distance.

# %%
G = lambda t, z, theta: 4.0 * block(theta, z)  # with the factor 4 one sees the inputs move
ode = neural_ode(z0, G, 0.0, 1.0, theta, rtol=1e-12, atol=1e-12)


def of_depth(n):
    """Return what a network of n layers makes of z0, with steps of 1 / n."""
    z = z0
    for _ in range(n):
        z = z + (1 / n) * G(0.0, z, theta)
    return z


depths = 2 ** np.arange(11)
distances = [np.abs(of_depth(n) - ode).max() for n in depths]
print("depth   distance to the ODE   ratio to half the depth")
for n, distance, before in zip(depths, distances, [None, *distances]):
    print(f"{n:5}   {distance:19.2e}   " + (f"{before / distance:.3f}" if before else ""))
assert abs(distances[-2] / distances[-1] - 2) < 0.02

# %%
figure, (left, right) = panels(2, width=11, height=4.8)
fine = solve(G, z0, np.linspace(0, 1, 200), theta, rtol=1e-8).y
for i in range(len(z0)):
    label = "the ODE" if i == 0 else None
    left.plot(fine[:, i, 0], fine[:, i, 1], color="black", linewidth=1.5, label=label)
for n, colour in ((3, COLOURS[4]), (12, COLOURS[0])):
    path = solve(G, z0, np.linspace(0, 1, n + 1), theta, method="euler").y
    style = {"color": colour, "linewidth": 1.2, "markersize": 4}
    for i in range(len(z0)):
        label = f"{n} layers" if i == 0 else None
        left.plot(path[:, i, 0], path[:, i, 1], "o-", label=label, **style)
left.plot(z0[:, 0], z0[:, 1], "s", color="black", markersize=7)
left.set(xlabel="$z_1$", ylabel="$z_2$", title="Five inputs on their way through the layers")
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
# **To play with.** `python -m tutorials --play depth` opens a window with the field of this
# picture. Move the slider from 1 layer to 64: the paths of the network become the curves of the
# ODE, and $n$ times the distance tends to a constant. Drag the large square to an input for which
# the network is far from the ODE.
#
# ![Left, 25 inputs, small squares, on their way through the layers, with a dot after each layer; behind them black curves, the solutions of the ODE. The large square is an input that can be dragged; its path is thicker. Middle, where a square grid comes to: black lines by the ODE, thicker vermilion lines by the network. Right, the distance between the two grids against the depth, on logarithmic axes, with a dot at the present depth, and a dashed line of slope -1.](../figures/play_depth.png)
#
# ## The solver can be exchanged
#
# If the network is Euler's method, a better method can take its place (P-solvers). That should
# increase the accuracy (S-scheme), at the same number of evaluations of the network:

# %% [predict]
# Euler's method gets 48 steps, the midpoint method and Heun's 24, rk4 12: that is 48 evaluations of
# the network for each. How many times closer to the ODE than Euler's method does rk4 come?

# %%
print("method      evaluations   distance to the ODE   times closer than Euler")
accuracy = {}
for method, stages in (("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)):
    solution = solve(G, z0, [0.0, 1.0], theta, method=method, step_size=stages / 48)
    accuracy[method] = np.abs(solution.y[-1] - ode).max()
    closer = accuracy["euler"] / accuracy[method]
    print(f"{method:9} {solution.stats.nfev:13}   {accuracy[method]:19.1e}   {closer:23.0f}")
solution = solve(G, z0, [0.0, 1.0], theta, rtol=2e-4, atol=2e-4)
distance = np.abs(solution.y[-1] - ode).max()
closer = accuracy["euler"] / distance
print(f"dopri5    {solution.stats.nfev:13}   {distance:19.1e}   {closer:23.0f}   (adaptive)")
assert accuracy["euler"] > 10 * accuracy["midpoint"] > 100 * accuracy["rk4"]

# %% [markdown]
# **What one gains.** The depth of the network has become the accuracy of a solver. It is chosen
# when the network is *run*, by `rtol` and `atol`. The state can be read at any time, not only after
# whole layers. And training need not store the states between start and end (chapter 5).
#
# **What one loses.** Neighbouring layers are no longer free to differ. An ordinary ResNet takes
# *long* steps on a field that changes from layer to layer. That it "is Euler's method" holds to the
# last bit. That it "is close to an ODE" holds only where the steps are small.
#
# ## The sources against the numbers
#
# **S1 adds vectors of different lengths.** It lets the block map $\mathbb R^N$ to $\mathbb R^M$.
# But a sum of two vectors needs them to have the same length, so $N = M$: **corrected**. (Where the
# length has to change, real networks put a matrix on the skip connection, and that block is no
# longer a step of Euler's method.)

# %%
init_3, narrowing = nn.mlp(2, 16, 3)
try:
    z0 + narrowing(init_3(rng), z0)
except ValueError as error:
    print("S1 with N = 2 and M = 3:", error)
else:
    raise AssertionError("a sum of vectors of different lengths should have failed")

# %% [markdown]
# **S calls it implicit.** The text at S-alg2 speaks of "the implicit Euler integration scheme of a
# ResNet". It is the *explicit* one: **corrected**. The implicit method asks for the slope at the
# end of the step, $\mathbf z_{t+1} = \mathbf z_t + f(\mathbf z_{t+1}, \theta_t)$. That is an
# equation to be solved in every layer. Here `root(g, start, a, b)` begins at `start` and finds the
# `new` for which `g(new, a, b)` is zero (chapter 4 is about such equations):

# %%
residual = lambda new, old, theta: new - old - block(theta, new)
implicit = z0
for theta_t in thetas:
    implicit = root(residual, implicit, implicit, theta_t)  # it begins at the old state
print("largest difference between ResNet and implicit Euler:", np.abs(by_resnet - implicit).max())
assert np.abs(by_resnet - implicit).max() > 0.1

# %% [markdown]
# **N4 forgets the start.** It reads $\mathbf z(t_1) = \int_{t_0}^{t_1} f dt$. But the integral is
# the *change* of the state, and $\mathbf z(t_0)$ has to be added: **corrected**, as in S3. The
# integral is the mean of 20,000 slopes along the solution, times the time 1:

# %%
ts = (np.arange(20_000) + 0.5) / 20_000
zs = solve(G, z0, [0.0, *ts], theta, rtol=1e-11, atol=1e-12).y[1:]  # without the start
integral = G(0.0, zs, theta).mean(axis=0)
with_start, without = np.abs(z0 + integral - ode).max(), np.abs(integral - ode).max()
print(f"distance to the ODE: S3, with z(t0), {with_start:.1e};  N4, without it, {without:.1e}")
assert with_start < 1e-8 < 0.1 < without

# %% [markdown]
# ## Exercises

# %% [exercise 2.1] level 1
# One step of the midpoint method (chapter 1) from $t = 0$ to $t = 1$, on the field $G$ of this
# chapter, is a network of two blocks. Write this network. Its only building block is
# `G(0.0, z, theta)`; any number may stand for the time, because $G$ does not use it.


# %% [stub 2.1]
def midpoint_net(z):
    """Return the output for the states z, shape (5, 2), with one midpoint step of length 1."""
    ...  # your code here


# %% [solution 2.1]
def midpoint_net(z):
    # two blocks with shared parameters, and a skip connection around both
    middle = z + G(0.0, z, theta) / 2
    return z + G(0.0, middle, theta)


# %% [check 2.1]
output = midpoint_net(z0)
assert output is not None, "midpoint_net returns None; is the return missing?"
assert np.shape(output) == (5, 2), f"The output has shape {np.shape(output)}; z has shape (5, 2)."
euler_step = z0 + G(0.0, z0, theta)
middle = z0 + G(0.0, z0, theta) / 2
for mistake, what in (
    (euler_step, "one step of Euler's method: G has to be asked a second time, in the middle"),
    (middle, "half a step of Euler's method: that is where G has to be asked again"),
    (z0 + G(0.0, euler_step, theta), "asking G at the end of Euler's step, not in its middle"),
    (of_depth(2), "two half steps of Euler's method: the second step has to begin at z again"),
    (middle + G(0.0, middle, theta), "a step that begins in the middle: it has to begin at z"),
    (G(0.0, middle, theta), "the change of the state alone: z has to be added"),
    (
        z0 + (G(0.0, z0, theta) + G(0.0, euler_step, theta)) / 2,
        "Heun's method: the midpoint method asks G in the middle, not at both ends",
    ),
    (
        z0 + block(theta, z0 + block(theta, z0) / 2),
        "the midpoint method on block. The field of this chapter is G, which is 4 * block",
    ),
):
    assert not np.allclose(output, mistake), f"This is {what}."
expected = solve(G, z0, [0.0, 1.0], theta, method="midpoint").y[-1]
assert np.allclose(output, expected, rtol=1e-9, atol=1e-9), (
    f"The output is off by up to {np.abs(output - expected).max():.2g}. The midpoint method: half "
    "a step to the middle; then a whole step from z, with the slope of the middle."
)

# %% [exercise 2.2] level 1
# The *flow* of an ODE maps the state at $t = 0$ to the solution at $t = 1$. It can be undone: solve
# the equation from $t = 1$ back to $t = 0$. Write a function that does so for the field $G$ with the
# parameters $\theta$ of this chapter. For example, it gets `ode`, the states at $t = 1$, and
# returns `z0`, with an error below $10^{-3}$.


# %% [stub 2.2]
def back_in_time(z1):
    """Return the states at t = 0, shape (5, 2), of the solutions that are z1 at t = 1."""
    ...  # your code here


# %% [solution 2.2]
def back_in_time(z1):
    return neural_ode(z1, G, 1.0, 0.0, theta, rtol=1e-12, atol=1e-12)


print(f"the flow forth and back is off by {np.abs(back_in_time(ode) - z0).max():.0e}")

# %% [check 2.2]
before = z0 + np.array([0.1, -0.1])
after = neural_ode(before, G, 0.0, 1.0, theta, rtol=1e-9, atol=1e-9)
start = back_in_time(after)
assert start is not None, "back_in_time returns None; is the return missing?"
assert np.shape(start) != (2, 5, 2), (
    "You return the states at both times, shape (2, 5, 2). The last ones, [-1], are wanted."
)
assert np.shape(start) == (5, 2), f"You return shape {np.shape(start)}; it should be (5, 2)."
for mistake, what in (
    (after, "z1 itself. Is your list of times in the order [1.0, 0.0]?"),
    (neural_ode(after, G, 0.0, 1.0, theta), "the solution one unit of time further on, not back."),
    (after - G(0.0, after, theta), "z1 - G(z1): one step of Euler's method, too coarse."),
    (z0, "z0, whatever z1 is. The function has to start from its argument."),
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
# different inputs with the same output of the layer, to six digits after the point. (The flow of
# $\dot x = f(x)$ keeps the two apart: two solutions never meet.)


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
# In the table of depths the distance to the ODE is nearly $C / n$ for $n$ layers. So the networks
# $\mathbf z_n$ and $\mathbf z_{2n}$ of $n$ and $2n$ layers (`of_depth(n)`, `of_depth(2 * n)`) have
# errors with a known ratio, and a combination of the two has no error of this size any more
# (Richardson's extrapolation). Write it. How many times closer to the ODE than $\mathbf z_{64}$ is
# it for $n = 32$?


# %% [stub 2.4]
def extrapolated(n):
    """Return states of shape (5, 2), made of the networks of depth n and 2 n, closer to the ODE."""
    ...  # your code here


# %% [solution 2.4]
def extrapolated(n):
    # z_n = z + E and z_2n = z + E / 2, nearly: twice the second, less the first, is z. What is left
    # is of second order.
    return 2 * of_depth(2 * n) - of_depth(n)


plain = np.abs(of_depth(64) - ode).max()
better = np.abs(extrapolated(32) - ode).max()
print(f"depth 64: {plain:.1e}; from 32 and 64: {better:.1e}, {plain / better:.0f} times closer")

# %% [check 2.4]
z_32, z_64 = of_depth(32), of_depth(64)
result = extrapolated(32)
assert result is not None, "extrapolated returns None; is the return missing?"
assert np.shape(result) == (5, 2), f"You return shape {np.shape(result)}; it should be (5, 2)."
for mistake, what in (
    (z_64, "z_2n alone, which has half the error of z_n"),
    ((z_32 + z_64) / 2, "the mean of z_n and z_2n, and its error is the mean of theirs"),
    (2 * z_32 - z_64, "2 z_n - z_2n: the two are exchanged. z_2n is the better one"),
    ((4 * z_64 - z_32) / 3, "the formula for errors C / n^2. Here they are C / n"),
    (z_64 - z_32, "the difference, an estimate of the error. It has to be added to z_2n"),
    (2 * of_depth(32) - of_depth(16), "2 z_n - z_(n/2): the two networks have depth n and 2 n"),
):
    assert not np.allclose(result, mistake, rtol=1e-9, atol=1e-9), f"This is {what}."
gain = np.abs(z_64 - ode).max() / np.abs(result - ode).max()
assert gain > 20, (
    f"For n = 32 your states are {gain:.2g} times as close to the ODE as z_64; it should be about "
    "forty times. Write z_n = z + E and z_2n = z + E / 2, and solve for z."
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
# ## What to remember
#
# 1. A network is a formula with parameters $\theta$, for example
#    $W_2 \tanh(W_1 \mathbf z + \mathbf b_1) + \mathbf b_2$.
# 2. A residual block adds $f(\mathbf z_t, \theta_t)$ to its state. A chain of them is the explicit
#    Euler method with step 1, to the last bit.
# 3. With one block for all layers, and the step $1/n$ for $n$ layers, the network tends to the
#    solution of $\frac{d\mathbf z}{dt} = f(t, \mathbf z, \theta)$: twice the depth, half the
#    distance.
# 4. So any solver can take the place of the layers, and its tolerance the place of the depth.
# 5. The solution is the start *plus* the integral of the field.

# %% [markdown]
# ## Sources
#
# P2 and P-steps (Price-Broncucia, "RNN", "RNN to ODE"); G4 to G14 (Gazula and Plis, "Residual
# Network", "From ResNet to ODENet"); N1, N4, N5 (handwritten notes); S1 to S3, S-alg1, S-alg2,
# S-scheme (Lenze and Rothe, sections 1 and 2). He, Zhang, Ren and Sun, "Deep residual learning for
# image recognition" (2015).
