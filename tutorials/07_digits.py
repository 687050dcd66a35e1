# %% [markdown]
# # Digits: a residual network against a neural ODE
#
# **The question.** A residual network is Euler's method with parameters of its own in every step
# (chapter 2). If the steps were those of a good solver and the parameters one and the same for all
# of time, what would be lost? P-param and S-param say: nothing, and most of the parameters can go.
# P-lower and S-control add that such a network, trained with great accuracy, can be run with less.
#
# Chen and others decided it on MNIST. Here are 1797 handwritten digits of 8 by 8 pixels, 1000 to
# learn from and 797 to be tested on: small enough for everyone's computer, and large enough to tell
# half a point of error.

# %%
import tracemalloc

import numpy as np
from experiment import full, spread, steps, table

from tinyode import datasets, grad, models, nn, odeint, optim, solve, tree, value_and_grad
from tinyode.plotting import COLOURS, panels, save

(images, labels), (test_images, test_labels) = datasets.digits()
figure, axes = panels(10, width=11, height=1.6)
for digit, panel in enumerate(axes):
    panel.imshow(images[np.flatnonzero(labels == digit)[0]].reshape(8, 8), cmap="gray_r")
    panel.axis("off")
save(
    figure,
    "07_digits",
    alt="Ten small grey pictures in a row, one handwritten digit each, from 0 to 9. Each is 8 by 8"
    " pixels: coarse, but a reader recognises every digit.",
)

# %% [markdown]
# ## Three networks of equal width
#
# All three take an image, 64 numbers, to $d$ features by one affine layer and tanh, move the
# features, and read ten scores off them by another affine layer. How they move them is the
# difference:
#
# * **ResNet** (S-alg1): six blocks $\mathbf h \leftarrow \mathbf h + f(\mathbf h, \theta_t)$, each
#   with one hidden layer;
# * **ODE-Net** (S-alg2): $\mathbf h(1) = \mathrm{ODESolve}(\mathbf h(0), f, 0, 1, \theta)$, with
#   one block, which is told the time, an adaptive solver, and Algorithm 2 for the gradient;
# * **RK-Net**: the same equation in steps of fixed size of rk4, differentiated step by step
#   (`gradient="discrete"`).
#
# Written out, the second is this.

# %%
WIDTH, HIDDEN = 32, 32
init_in, into = nn.linear(64, WIDTH)
init_field, field = nn.mlp(WIDTH + 1, HIDDEN, WIDTH)
init_out, out = nn.linear(WIDTH, 10)
asked = []  # a time for each evaluation of f


def f(t, h, theta):
    asked.append(t)
    return field(theta, np.concatenate([h, t * np.ones((len(h), 1))], axis=1))


def scores(parameters, x, **options):
    h = np.tanh(into(parameters["in"], x))
    return out(parameters["out"], odeint(f, h, [0.0, 1.0], parameters["field"], **options)[-1])


ODE = {"rtol": 1e-3, "atol": 1e-4}
RK4 = {"method": "rk4", "step_size": 0.25, "gradient": "discrete"}
networks = {
    "ResNet": models.resnet_classifier(64, WIDTH, HIDDEN, 10, blocks=6),
    "RK-Net": models.ode_classifier(64, WIDTH, HIDDEN, 10, **RK4),
    "ODE-Net": models.ode_classifier(64, WIDTH, HIDDEN, 10, **ODE),
}
rng = np.random.default_rng(0)
by_hand = {"in": init_in(rng), "field": init_field(rng), "out": init_out(rng)}
by_library = networks["ODE-Net"][1](by_hand, images[:5])
assert np.array_equal(scores(by_hand, images[:5], **ODE), by_library)


def size(parameters):
    return sum(leaf.size for leaf in tree.flatten(parameters)[0])


sizes = {name: size(init(np.random.default_rng(0))) for name, (init, _) in networks.items()}
print("parameters:", sizes, f"ratio {sizes['ODE-Net'] / sizes['ResNet']:.2f}")
assert sizes["ODE-Net"] <= 0.4 * sizes["ResNet"]

# %% [markdown]
# ## Training
#
# Cross-entropy, Adam with a learning rate that falls along half a cosine, batches of 100.
# Everything is the same for the three, but the learning rate, for which the same four values are
# tried for each (below).


# %%
def error_rate(apply, parameters, x=test_images, y=test_labels):
    """Return the share of images that are taken for another digit, in percent."""
    return 100 * float(np.mean(np.argmax(apply(parameters, x), axis=1) != y))


def nothing(parameters):
    """Watch nothing during training."""


def train(network, seed, epochs, rate=0.01, batch=100, images=images, labels=labels, watch=nothing):
    """Return the parameters of a network after so many epochs."""
    init, apply = network
    rng, per_epoch = np.random.default_rng(seed), len(images) // batch
    parameters = init(rng)
    gradient = value_and_grad(lambda parameters, x, y: nn.cross_entropy(apply(parameters, x), y))
    init_state, update = optim.adam(optim.cosine(rate, epochs * per_epoch))
    state = init_state(parameters)
    for step in steps(epochs * per_epoch):
        if step % per_epoch == 0:
            order = rng.permutation(len(images))
            watch(parameters)
        here = order[step % per_epoch * batch :][:batch]
        _, slope = gradient(parameters, images[here], labels[here])
        parameters, state = update(parameters, slope, state)
    return parameters


def peak_memory(network):
    """Return the peak memory of one training step, in MB."""
    init, apply = network
    parameters = init(np.random.default_rng(0))
    slope = grad(lambda parameters: nn.cross_entropy(apply(parameters, images[:100]), labels[:100]))
    slope(parameters)
    tracemalloc.start()
    slope(parameters)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def evaluations(parameters, **options):
    """Return how often f is evaluated forward, and for the gradient, on 100 images."""
    of_100 = lambda parameters: scores(parameters, images[:100], **options)
    loss = lambda parameters: nn.cross_entropy(of_100(parameters), labels[:100])
    asked.clear()
    of_100(parameters)
    forward = len(asked)
    grad(loss)(parameters)
    return forward, len(asked) - 2 * forward


# %% [markdown]
# A small run first, one seed and ten epochs. With the ODE-Net we count, at the start of each epoch,
# the evaluations of f that one batch takes forward and backward.

# %% [predict]
# Which of the three has the smallest test error after ten epochs? And which needs the least memory
# for one step of training: the residual network, which keeps the states of its six blocks, or the
# ODE-Net, whose adjoint keeps none?

# %%
counts, small, rows = [], {}, []
count = lambda parameters: counts.append(evaluations(parameters, **ODE))
for name, network in networks.items():
    watch = count if name == "ODE-Net" else nothing
    small[name] = train(network, seed=0, epochs=10, watch=watch)
    error = error_rate(network[1], small[name])
    rows.append((name, sizes[name], f"{error:.2f}", f"{peak_memory(network):.2f}"))
    assert error < 8
table(rows, "10 epochs, one seed", "parameters", "test error, %", "memory of a step, MB")

# %% [markdown]
# ## The table
#
# The full experiment has five seeds and sixty epochs. Before that, each network is trained on 800
# of the 1000 images with four learning rates, and takes the one with the smallest error on the
# other 200, over three seeds. (`python -m tutorials 7 --full` runs it all; what it found is kept in
# `tutorials/results/`, and these tables are made from that.)

# %% [predict]
# After sixty epochs, with the best learning rate for each: by how many percent of the test images
# do the ResNet and the ODE-Net, which has less than a third of its parameters, differ?

# %%
RATES = (0.003, 0.01, 0.03, 0.1)
SETTINGS = {"width": WIDTH, "hidden": HIDDEN, "blocks": 6, "epochs": 60, "batch": 100}
SETTINGS |= {"ODE-Net": ODE, "RK-Net": RK4}


def trial(name, rate):
    """Train on 800 images from three seeds, and measure the error on 200."""

    def measure():
        seen, errors = {"images": images[:800], "labels": labels[:800]}, []
        for seed in range(3):
            parameters = train(networks[name], 10 + seed, SETTINGS["epochs"], rate, **seen)
            errors.append(error_rate(networks[name][1], parameters, images[800:], labels[800:]))
        return {"error": np.mean(errors)}

    return measure


jobs = {f"{name}, {rate}": trial(name, rate) for name in networks for rate in RATES}
trials = full("07_digits_rates", SETTINGS, jobs)
rows = []
for name in networks:
    rows.append((name, *[f"{trials[f'{name}, {rate}']['error']:.2f}" for rate in RATES]))
table(rows, "error on 200 images, %", *[f"rate {rate}" for rate in RATES])
best = {name: min(RATES, key=lambda rate: trials[f"{name}, {rate}"]["error"]) for name in networks}


def job(name, seed):
    """Train one network from one seed, and measure it."""

    def measure():
        import time

        began = time.perf_counter()
        parameters = train(networks[name], seed, SETTINGS["epochs"], best[name])
        seconds = (time.perf_counter() - began) / SETTINGS["epochs"]
        options = {"ODE-Net": ODE, "RK-Net": RK4}
        known = name in options
        forward, backward = evaluations(parameters, **options[name]) if known else (6, 0)
        return {
            "error": error_rate(networks[name][1], parameters),
            "parameters": size(parameters),
            "memory": peak_memory(networks[name]),
            "seconds per epoch": seconds,
            "forward": forward,
            "backward": backward,
        }

    return measure


jobs = {f"{name}, seed {seed}": job(name, seed) for seed in range(5) for name in networks}
results = full("07_digits", {**SETTINGS, "rates": best}, jobs)
of = {name: [results[f"{name}, seed {seed}"] for seed in range(5)] for name in networks}
errors = {name: [run["error"] for run in runs] for name, runs in of.items()}
PAPER = {  # Chen and others, table 1, on MNIST
    "ResNet": ("0.41", "0.60 M"),
    "RK-Net": ("0.47", "0.22 M"),
    "ODE-Net": ("0.42", "0.22 M"),
}
rows = []
for name, runs in of.items():
    mean = {key: np.mean([run[key] for run in runs]) for key in runs[0]}
    work = "6 blocks" if name == "ResNet" else f"{mean['forward']:.0f} + {mean['backward']:.0f}"
    costs = f"{mean['memory']:.2f}", f"{mean['seconds per epoch']:.2f}", work
    rows.append((name, runs[0]["parameters"], spread(errors[name]), *costs, *PAPER[name]))
heads = "60 epochs, five seeds", "parameters", "test error, %", "MB", "s / epoch", "evaluations"
table(rows, *heads, "paper: error, %", "parameters")
difference = np.array(errors["ODE-Net"]) - errors["ResNet"]
deviation = np.std(difference, ddof=1) / np.sqrt(5)
print(f"ODE-Net minus ResNet: {np.mean(difference):+.2f} points, standard error {deviation:.2f}")
assert np.mean(difference) < 0.5 and sizes["ODE-Net"] <= 0.4 * sizes["ResNet"]

# %% [markdown]
# P-param, S-param: **holds** on these digits. With less than a third of the parameters the ODE-Net
# is as good as the residual network, within half a point. What it does not show is that the
# residual network *needs* its parameters; one with its six blocks tied together would be Euler's
# method for the same equation. And nothing is free: each epoch takes several times as long, as f is
# evaluated that many times more often. In memory, Algorithm 2 keeps the state of one evaluation,
# whatever their number: but six blocks of this size are less than what one evaluation of the
# augmented equation takes, and the ODE-Net's step needs *more* memory than the ResNet's. It is
# depth that the adjoint saves, and six is not deep (chapter 5 has the measurement).
#
# ## Train high, run low
#
# P-lower and S-control: the accuracy of a trained network can be chosen when it is run. The network
# was trained with a tolerance of $10^{-3}$; how wrong are the digits, and how many evaluations does
# it take, with others?

# %% [predict]
# With a tolerance of 10, which forbids nothing: how many of the 797 test images are taken for
# another digit than with a tolerance of $10^{-8}$? And with one step of Euler's method, about what
# share of them is wrong?

# %%
trained = small["ODE-Net"]


def digits_by(**options):
    """Return what the trained network takes the test images for, solved with these options."""
    return np.argmax(scores(trained, test_images, **options), axis=1)


rows, others, shown = [], [], []
exact = digits_by(rtol=1e-8, atol=1e-8)
h = np.tanh(into(trained["in"], test_images))
for tol in 10.0 ** np.arange(-6, 2):
    tolerances = {"rtol": tol, "atol": tol}
    taken_for = digits_by(**tolerances)
    others.append(int(np.sum(taken_for != exact)))
    wrong = 100 * np.mean(taken_for != test_labels)
    nfev = solve(f, h, [0.0, 1.0], trained["field"], **tolerances).stats.nfev
    forward, backward = evaluations(trained, **tolerances)
    rows.append((nfev, wrong, forward, backward))
    shown.append((f"{tol:.0e}", nfev, f"{wrong:.2f}", forward, backward))
nfev, wrong, forward, backward = map(np.array, zip(*rows))
heads = "tolerance", "evaluations, all test images", "test error, %"
table(shown, *heads, "forward, 100 images", "backward")
euler = {}
for n in (1, 2, 3, 4, 8, 16):
    euler[n] = 100 * np.mean(digits_by(method="euler", step_size=1 / n) != test_labels)
print("in steps of Euler's method:", {n: f"{error:.2f} %" for n, error in euler.items()})
print("images that another tolerance takes for another digit:", others)
assert nfev[0] > 3 * nfev[-1] and max(others) <= 1  # a third of the work, the same digits

# %%
figure, axes = panels(3, width=15, height=4.4)
axes[0].semilogx(nfev, wrong, "o-", color=COLOURS[0], label="dopri5, $10^{-6}$ to $10$")
by_steps = {"color": COLOURS[4], "label": "Euler, 1 to 16 steps"}
axes[0].semilogx(list(euler), list(euler.values()), "s--", **by_steps)
axes[0].set(xlabel="evaluations of f", ylabel="test error, %", ylim=(0, None))
axes[0].set_title("Trained at $10^{-3}$, run as")
axes[0].legend()
axes[1].plot(forward, backward, "o", color=COLOURS[2])
axes[1].axline((0, 0), slope=1, color="#888888", linestyle=":", label="as many")
axes[1].axline((0, 0), slope=0.5, color="#888888", linestyle="--", label="half as many")
axes[1].set(xlabel="evaluations forward", ylabel="evaluations backward")
axes[1].set(title="Over the tolerances", xlim=(0, None), ylim=(0, None))
axes[1].legend()
over_training = np.array(counts)
axes[2].plot(over_training[:, 0], "o-", markersize=10, color=COLOURS[0], label="forward")
axes[2].plot(over_training[:, 1], "s--", color=COLOURS[4], label="backward")
axes[2].set(xlabel="epoch", ylabel="evaluations", title="Over training")
axes[2].set_ylim(0, 1.15 * over_training.max())
axes[2].legend(loc="lower right")
save(
    figure,
    "07_evaluations",
    alt="Three panels. Left: test error over evaluations of f; it is the same for dopri5 at every"
    " tolerance, and for Euler's method it falls from about twice that with one step to the same at"
    " eight. Middle: evaluations backward over evaluations forward at eight tolerances; all points"
    " lie at or near the line of as many, none near the line of half as many. Right: both counts"
    " over ten epochs of training; they are equal, rise after the first epoch, and stay.",
)
shares = [*(backward / forward), *[run["backward"] / run["forward"] for run in of["ODE-Net"]]]
print("backward over forward evaluations, here and in the table:", end=" ")
print(f"{min(shares):.2f} to {max(shares):.2f}")
assert 0.75 < min(shares) and max(shares) < 1.25

# %% [markdown]
# **Holds**: any tolerance, up to one that forbids nothing, gives the same digits, for a third of
# the evaluations that a small one takes. (Two steps of dopri5 are then what is left. Euler's method
# needs eight for the same error rate, and more for the same digits: the network has learned a
# smooth field.) The paper also saw the backward pass take *half* as many evaluations as the forward
# one. That does not hold here: it takes about as many, 0.8 to 1.2 times, in the table above and
# over the tolerances. It solves the state again together with the adjoint, and must be as accurate
# in both; the paper's count depends on its solver and its norm. That the number grows as the
# network learns harder things, as the paper saw, can be seen here too, but only just: ten epochs
# are few.
#
# ## Features in motion
#
# Where do the features of the test images go between $t = 0$ and $t = 1$? Two directions of the $d$
# are shown, those of the largest variance at the end.

# %%
shown = slice(0, 300)
moments = np.linspace(0, 1, 5)
h = solve(f, np.tanh(into(trained["in"], test_images[shown])), moments, trained["field"]).y
centre = h[-1].mean(axis=0)
directions = np.linalg.svd(h[-1] - centre, full_matrices=False)[2][:2]
seen = (h - centre) @ directions.T
DIGIT_COLOURS = "blue orange green red purple brown pink gray olive cyan".split()
figure, axes = panels(5, width=17, height=3.9, sharex=True, sharey=True)
for panel, moment, points in zip(axes, moments, seen):
    for digit in range(10):
        here = test_labels[shown] == digit
        panel.scatter(*points[here].T, s=14, color=f"tab:{DIGIT_COLOURS[digit]}", label=str(digit))
    panel.set(title=f"t = {moment}", xticks=[], yticks=[])
axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=11)
save(
    figure,
    "07_features",
    alt="Five scatter plots of the features of 300 test images at t = 0, 1/4, 1/2, 3/4 and 1, a"
    " colour for each digit. At t = 0 the colours overlap; as t grows the points spread out, and"
    " most colours gather, each in a place of its own.",
)


def separation(points):
    """Return the variance between the digits' means as a share of all variance."""
    means = np.array([points[test_labels[shown] == digit].mean(axis=0) for digit in range(10)])
    return np.sum(np.var(means[test_labels[shown]], axis=0)) / np.sum(np.var(points, axis=0))


shares = [separation(points) for points in h]
print("variance between digits as a share of all, over time:", np.round(shares, 3))
assert shares[-1] > shares[0]

# %% [markdown]
# ## Exercises

# %% [exercise 7.1] level 1
# Give the ODE-Net of this chapter to Euler's method, with six steps from $t = 0$ to 1, instead of
# the solver that it was trained with. `digits_by` (above) runs it, and `exact` holds the digit that
# each test image is taken for at a small tolerance. How many of the test images are now taken for
# another digit? Set `changed` to that number.

# %% [stub 7.1]
changed = ...  # a whole number

# %% [solution 7.1]
in_six_steps = digits_by(method="euler", step_size=1 / 6)
changed = np.sum(in_six_steps != exact)
print(f"{changed} of {len(exact)} test images;", end=" ")
print(f"test error {100 * np.mean(in_six_steps != test_labels):.2f} %")

# %% [check 7.1]
assert isinstance(changed, (int, np.integer)), (
    f"changed is {changed}; it should be a whole number: the images that are taken for another"
    " digit than before"
)
by_six = digits_by(method="euler", step_size=1 / 6)
by_one = digits_by(method="euler", step_size=1.0)
mistakes = {
    np.sum(by_six != test_labels): "That many differ from their labels. Compare with `exact`, what"
    " the network took them for before: it was not always right then either.",
    np.sum(by_six == exact): "That many are still taken for the same digit.",
    np.sum(by_one != exact): "One step would change that many: `step_size` is the length of a step,"
    " not their number.",
}
hint = mistakes.get(changed, "Is the step a sixth of the time, and the method Euler's?")
assert changed == np.sum(by_six != exact), f"changed is {changed}, which is not right. {hint}"

# %% [exercise 7.2] level 2
# Tie the six blocks of a residual network together: all of them compute
# $\mathbf h \leftarrow \mathbf h + b(\theta, \mathbf h)$ with one and the same $\theta$. That is
# Euler's method from $t = 0$ to 1, for which equation $\mathbf h' = f(t, \mathbf h, \theta)$, and
# with which step? Write `tied`: it is given the function `block(theta, h)`, and returns the
# function `f(t, h, theta)` and the length of the step. Then
# `solve(f, h, [0.0, 1.0], theta, method="euler", step_size=step)` ends where the six blocks end.


# %% [stub 7.2]
def tied(block):
    """Return f and step: f(t, h, theta), and a number."""
    f = ...  # a function of t, h and theta
    step = ...  # the length of one step
    return f, step


# %% [solution 7.2]
def tied(block):
    """Return f and step: f(t, h, theta), and a number.

    The blocks are Euler's method with step 1 for h' = block(theta, h), from t = 0 to 6. On a clock
    that runs from 0 to 1 the step is 1/6, and the slope six times as large.
    """
    return lambda t, h, theta: 6 * block(theta, h), 1 / 6


# %% [check 7.2]
init_block, one_block = nn.mlp(3, 5, 3)
theta_of_block = init_block(np.random.default_rng(1))
h_of_block = np.random.default_rng(2).normal(size=(4, 3))
pair = tied(one_block)
assert isinstance(pair, tuple), f"`tied` returns {pair!r}; it should return two: f and the step"
tied_f, tied_step = pair
assert callable(tied_f), f"the first that `tied` returns is {tied_f!r}; it should be a function f"
assert np.isscalar(tied_step), f"the second that `tied` returns is {tied_step!r}, not a number"
assert 0 < tied_step <= 1, f"the step is {tied_step}; it is a part of the time from 0 to 1"


def end_of(f, step):
    """Return where Euler's method ends at t = 1."""
    return solve(f, h_of_block, [0, 1], theta_of_block, method="euler", step_size=step).y[-1]


steps_taken = round(1 / tied_step)
assert steps_taken == 6, f"{steps_taken} steps are taken from 0 to 1, and there are six blocks"
six_blocks = models.resnet(
    lambda t, h, theta: one_block(theta, h), h_of_block, [theta_of_block] * 6
)
distance = np.abs(end_of(tied_f, tied_step) - six_blocks).max()
slope = tied_f(0.0, h_of_block, theta_of_block)
hint = "Write down one step of Euler's method, h + step f(t, h, theta), and one block beside it."
if np.allclose(slope, one_block(theta_of_block, h_of_block)):
    hint = "Your f is the block itself: a step of 1/6 adds only a sixth of what a block adds."
elif np.allclose(slope, h_of_block + one_block(theta_of_block, h_of_block)):
    hint = "Your f returns the new state. It should return the slope: the step adds h by itself."
assert distance < 1e-12, f"Euler's method ends {distance:.1e} away from the six blocks. {hint}"

# %% [exercise 7.3] level 2
# To a solver a batch is one system of equations: all images share the steps, and their errors go
# into one norm. How many evaluations of f would each image take alone? Write `alone`: from features
# `h`, one row per image, it returns an array of whole numbers, one for each row, when that row is
# solved by itself from $t = 0$ to 1 (field `f`, parameters `trained["field"]`, both tolerances
# `tol`). A row that is solved alone still has the shape (1, d). Compare with the batch, for the
# first 40 test images at a tolerance of $10^{-6}$: does the hardest image decide for all?


# %% [stub 7.3]
def alone(h, tol):
    """Return the number of evaluations of f for each row of h, solved alone."""
    ...  # your code here


# %% [solution 7.3]
def alone(h, tol):
    """Return the number of evaluations of f for each row of h, solved alone."""
    theta, tolerances = trained["field"], {"rtol": tol, "atol": tol}
    rows = [h[i : i + 1] for i in range(len(h))]
    return np.array([solve(f, row, [0.0, 1.0], theta, **tolerances).stats.nfev for row in rows])


h_of_40 = np.tanh(into(trained["in"], test_images[:40]))
of_batch = solve(f, h_of_40, [0.0, 1.0], trained["field"], rtol=1e-6, atol=1e-6).stats.nfev
counted = alone(h_of_40, 1e-6)
print(f"each alone {counted.min()} to {counted.max()}, mean {counted.mean():.1f};", end=" ")
print(f"as one batch {of_batch}")
# The batch takes about as many as the images do on average. The hardest do not decide, because the
# norm is a mean over the batch: they are solved less accurately than they would be alone. As these
# images are alike, that costs little. Chapter 10 has a batch in which they are not.
assert counted.min() < of_batch < counted.max()

# %% [check 7.3]
h_of_6 = np.tanh(into(trained["in"], test_images[:6]))
tolerances = {"rtol": 1e-7, "atol": 1e-7}
of_each = [
    solve(f, row[None], [0.0, 1.0], trained["field"], **tolerances).stats.nfev for row in h_of_6
]
of_all = solve(f, h_of_6, [0.0, 1.0], trained["field"], **tolerances).stats.nfev
given = alone(h_of_6, 1e-7)
assert given is not None, "alone returns None: where is its `return`?"
assert np.shape(given) == (6,), (
    f"alone(h, tol) returns the shape {np.shape(given)} for six rows; it should be (6,), a number"
    " for each"
)
given = [int(number) for number in given]
hint = "Solve h[i : i + 1], row by row, with rtol=tol and atol=tol, and take `stats.nfev`."
if given == [of_all] * 6:
    hint = "The batch takes that many: solve one row, h[i : i + 1], at a time."
elif given == list(np.cumsum(of_each)):
    hint = "Each number contains those before it: clear the count before every row."
assert given == of_each, f"alone gives {given} for six images at a tolerance of 1e-7. {hint}"

# %% [exercise 7.4] level 3
# What does the shared norm cost in accuracy? The solver accepts a step when the root mean square of
# (estimated error / tolerance), taken over all numbers of the state, is at most one. Think of a
# batch of n images in which one image makes all the error, and the others none. By which factor may
# the error of this image be larger than if it were solved alone? Write it as a function of n.


# %% [stub 7.4]
def larger_by(n):
    """Return the factor by which one image's error may be larger in a batch of n."""
    ...  # your code here


# %% [solution 7.4]
def larger_by(n):
    """Return the factor by which one image's error may be larger in a batch of n.

    The mean of the squares is 1/n of what it is for the image alone, the norm 1/sqrt(n) of it.
    """
    return np.sqrt(n)


# %% [check 7.4]
def spring(t, y):
    return np.stack([y[:, 1], -y[:, 0]], axis=1)


def error_of_first(n, tol):
    """Return the error at t = 10 of one spring that swings beside n - 1 that stand still."""
    y0 = np.zeros((n, 2))
    y0[0, 0] = 1.0
    return solve(spring, y0, [0, 10.0], rtol=1e-13, atol=tol).y[-1, 0, 0] - np.cos(10.0)


assert larger_by(100) is not None, "larger_by returns None: where is its `return`?"
assert np.isclose(larger_by(1), 1), f"for one image the factor is 1; you have {larger_by(1)}"
in_batch, by_factor = error_of_first(100, 1e-8), error_of_first(1, 1e-8 * float(larger_by(100)))
hint = "How much smaller is the mean of n squares if all but one of them are zero?"
if np.isclose(larger_by(100), 100):
    hint = "The mean of the squares is 100 times smaller; the norm is its root."
elif np.isclose(larger_by(100), 1):
    hint = "That would be a norm for each image. This one is a mean over all of them."
assert np.isclose(in_batch, by_factor, rtol=1e-3), (
    f"A spring beside 99 that stand still, solved with tolerance 1e-8, is off by {in_batch:.2e}"
    f" at t = 10. Alone, with a tolerance {larger_by(100):.3g} times as large, it is off by"
    f" {by_factor:.2e}. With the right factor the two are equal. {hint}"
)

# %% [markdown]
# ## Sources
#
# P-param, P-lower (Price-Broncucia, "What are the benefits?"); S-param, S-control, S-alg1, S-alg2
# (Lenze and Rothe). Chen, Rubanova, Bettencourt and Duvenaud, "Neural ordinary differential
# equations" (2018), section 3: table 1, figure 3. Data: Alpaydin and Kaynak, "Optical recognition
# of handwritten digits" (1998), CC BY 4.0.
