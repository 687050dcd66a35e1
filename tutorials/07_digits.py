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
save(figure, "07_digits")

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
    "ResNet": models.res_net(64, WIDTH, HIDDEN, 10, blocks=6),
    "RK-Net": models.ode_net(64, WIDTH, HIDDEN, 10, **RK4),
    "ODE-Net": models.ode_net(64, WIDTH, HIDDEN, 10, **ODE),
}
rng = np.random.default_rng(0)
by_hand = {"in": init_in(rng), "field": init_field(rng), "out": init_out(rng)}
assert np.array_equal(
    scores(by_hand, images[:5], **ODE), networks["ODE-Net"][1](by_hand, images[:5])
)  # the library's is the same


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


def train(
    network,
    seed,
    epochs,
    rate=0.01,
    batch=100,
    images=images,
    labels=labels,
    watch=lambda parameters: None,
):
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
    asked.clear()
    scores(parameters, images[:100], **options)
    forward = len(asked)
    grad(
        lambda parameters: nn.cross_entropy(
            scores(parameters, images[:100], **options), labels[:100]
        )
    )(parameters)
    return forward, len(asked) - 2 * forward


# %% [markdown]
# A small run first, one seed and ten epochs. With the ODE-Net we count, at the start of each epoch,
# the evaluations of f that one batch takes forward and backward.

# %%
counts = []
small = {}
for name, network in networks.items():
    watch = (
        (lambda parameters: counts.append(evaluations(parameters, **ODE)))
        if name == "ODE-Net"
        else (lambda parameters: None)
    )
    small[name] = train(network, seed=0, epochs=10, watch=watch)
table(
    [
        (
            name,
            sizes[name],
            f"{error_rate(networks[name][1], parameters):.2f}",
            f"{peak_memory(networks[name]):.2f}",
        )
        for name, parameters in small.items()
    ],
    "10 epochs, one seed",
    "parameters",
    "test error, %",
    "memory of a step, MB",
)
assert all(error_rate(networks[name][1], parameters) < 8 for name, parameters in small.items())

# %% [markdown]
# ## The table
#
# The full experiment has five seeds and sixty epochs. Before that, each network is trained on 800
# of the 1000 images with four learning rates, and takes the one with the smallest error on the
# other 200, over three seeds. (`python -m tutorials 7 --full` runs it all; what it found is kept in
# `tutorials/results/`, and these tables are made from that.)

# %%
RATES = (0.003, 0.01, 0.03, 0.1)
SETTINGS = {
    "width": WIDTH,
    "hidden": HIDDEN,
    "blocks": 6,
    "epochs": 60,
    "batch": 100,
    "ODE-Net": ODE,
    "RK-Net": RK4,
}


def trial(name, rate):
    """Train on 800 images from three seeds, and measure the error on 200."""

    def measure():
        apply = networks[name][1]
        learned = [
            train(
                networks[name],
                10 + seed,
                SETTINGS["epochs"],
                rate,
                images=images[:800],
                labels=labels[:800],
            )
            for seed in range(3)
        ]
        return {
            "error": np.mean(
                [
                    error_rate(apply, parameters, images[800:], labels[800:])
                    for parameters in learned
                ]
            )
        }

    return measure


trials = full(
    "07_digits_rates",
    SETTINGS,
    {f"{name}, {rate}": trial(name, rate) for name in networks for rate in RATES},
)
table(
    [(name, *[f"{trials[f'{name}, {rate}']['error']:.2f}" for rate in RATES]) for name in networks],
    "error on 200 images, %",
    *[f"rate {rate}" for rate in RATES],
)
best = {name: min(RATES, key=lambda rate: trials[f"{name}, {rate}"]["error"]) for name in networks}


def job(name, seed):
    """Train one network from one seed, and measure it."""

    def measure():
        import time

        began = time.perf_counter()
        parameters = train(networks[name], seed, SETTINGS["epochs"], best[name])
        seconds = (time.perf_counter() - began) / SETTINGS["epochs"]
        counted = (
            evaluations(parameters, **{"ODE-Net": ODE, "RK-Net": RK4}[name])
            if name != "ResNet"
            else (6, 0)
        )
        return {
            "error": error_rate(networks[name][1], parameters),
            "parameters": size(parameters),
            "memory": peak_memory(networks[name]),
            "seconds per epoch": seconds,
            "forward": counted[0],
            "backward": counted[1],
        }

    return measure


results = full(
    "07_digits",
    {**SETTINGS, "rates": best},
    {f"{name}, seed {seed}": job(name, seed) for seed in range(5) for name in networks},
)
of = {
    name: [result for job_name, result in results.items() if job_name.startswith(name)]
    for name in networks
}
errors = {name: [run["error"] for run in runs] for name, runs in of.items()}
PAPER = {
    "ResNet": ("0.41", "0.60 M"),
    "RK-Net": ("0.47", "0.22 M"),
    "ODE-Net": ("0.42", "0.22 M"),
}  # Chen and others, table 1, on MNIST
table(
    [
        (
            name,
            runs[0]["parameters"],
            spread(errors[name]),
            f"{np.mean([run['memory'] for run in runs]):.2f}",
            f"{np.mean([run['seconds per epoch'] for run in runs]):.2f}",
            (
                "6 blocks"
                if name == "ResNet"
                else (
                    f"{np.mean([run['forward'] for run in runs]):.0f} +"
                    f" {np.mean([run['backward'] for run in runs]):.0f}"
                )
            ),
            *PAPER[name],
        )
        for name, runs in of.items()
    ],
    "60 epochs, five seeds",
    "parameters",
    "test error, %",
    "MB",
    "s / epoch",
    "evaluations",
    "paper: error, %",
    "parameters",
)
difference = np.array(errors["ODE-Net"]) - errors["ResNet"]
print(
    f"ODE-Net minus ResNet: {np.mean(difference):+.2f} points, standard error"
    f" {np.std(difference, ddof=1) / np.sqrt(5):.2f}"
)
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

# %%
trained = small["ODE-Net"]
tolerances = 10.0 ** np.arange(-6, 2)
rows = []
for tol in tolerances:
    wrong = 100 * np.mean(
        np.argmax(scores(trained, test_images, rtol=tol, atol=tol), axis=1) != test_labels
    )
    h = np.tanh(into(trained["in"], test_images))
    nfev = solve(f, h, [0.0, 1.0], trained["field"], rtol=tol, atol=tol).stats.nfev
    rows.append((nfev, wrong, *evaluations(trained, rtol=tol, atol=tol)))
nfev, wrong, forward, backward = map(np.array, zip(*rows))
exact = np.argmax(scores(trained, test_images, rtol=1e-8, atol=1e-8), axis=1)
others = {
    tol: int(np.sum(np.argmax(scores(trained, test_images, rtol=tol, atol=tol), axis=1) != exact))
    for tol in tolerances
}
table(
    [
        (f"{tol:.0e}", *row)
        for tol, row in zip(tolerances, [(n, f"{w:.2f}", a, b) for n, w, a, b in rows])
    ],
    "tolerance",
    "evaluations, all test images",
    "test error, %",
    "forward, 100 images",
    "backward",
)
euler = {
    n: (
        100
        * np.mean(
            np.argmax(scores(trained, test_images, method="euler", step_size=1 / n), axis=1)
            != test_labels
        )
    )
    for n in (1, 2, 3, 4, 8, 16)
}
print("in steps of Euler's method:", {n: f"{error:.2f} %" for n, error in euler.items()})
print("images that another tolerance takes for another digit:", list(others.values()))
assert nfev[0] > 3 * nfev[-1] and max(others.values()) <= 1  # a third of the work, the same digits

# %%
figure, axes = panels(3, width=15, height=4.4)
axes[0].semilogx(nfev, wrong, "o-", color=COLOURS[0], label="dopri5, $10^{-6}$ to $10$")
axes[0].semilogx(
    list(euler), list(euler.values()), "s--", color=COLOURS[4], label="Euler, 1 to 16 steps"
)
axes[0].set(
    xlabel="evaluations of f",
    ylabel="test error, %",
    ylim=(0, None),
    title="Trained at $10^{-3}$, run as",
)
axes[0].legend()
axes[1].plot(forward, backward, "o", color=COLOURS[2])
axes[1].axline((0, 0), slope=1, color="#888888", linestyle=":", label="as many")
axes[1].axline((0, 0), slope=0.5, color="#888888", linestyle="--", label="half as many")
axes[1].set(
    xlabel="evaluations forward",
    ylabel="evaluations backward",
    title="Over the tolerances",
    xlim=(0, None),
    ylim=(0, None),
)
axes[1].legend()
over_training = np.array(counts)
axes[2].plot(over_training[:, 0], "o-", markersize=10, color=COLOURS[0], label="forward")
axes[2].plot(over_training[:, 1], "s--", color=COLOURS[4], label="backward")
axes[2].set(
    xlabel="epoch",
    ylabel="evaluations",
    title="Over training",
    ylim=(0, 1.15 * over_training.max()),
)
axes[2].legend(loc="lower right")
save(figure, "07_evaluations")
shares = [*(backward / forward), *[run["backward"] / run["forward"] for run in of["ODE-Net"]]]
print(
    f"backward over forward evaluations, here and in the table: {min(shares):.2f} to"
    f" {max(shares):.2f}"
)
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
DIGIT_COLOURS = [
    f"tab:{name}"
    for name in (
        "blue",
        "orange",
        "green",
        "red",
        "purple",
        "brown",
        "pink",
        "gray",
        "olive",
        "cyan",
    )
]
figure, axes = panels(5, width=17, height=3.9, sharex=True, sharey=True)
for panel, moment, points in zip(axes, moments, seen):
    for digit in range(10):
        here = test_labels[shown] == digit
        panel.scatter(*points[here].T, s=14, color=DIGIT_COLOURS[digit], label=str(digit))
    panel.set(title=f"t = {moment}", xticks=[], yticks=[])
axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=11)
save(figure, "07_features")


def separation(points):
    """Return the variance between the digits' means as a share of all variance."""
    means = np.array([points[test_labels[shown] == digit].mean(axis=0) for digit in range(10)])
    return np.sum(np.var(means[test_labels[shown]], axis=0)) / np.sum(np.var(points, axis=0))


shares = [separation(points) for points in h]
print("variance between digits as a share of all, over time:", np.round(shares, 3))
assert shares[-1] > shares[0]

# %% [markdown]
# ## Exercises
#
# 1. Tie the six blocks of the residual network together, so that it has one block's parameters.
#    Which method with which step is it, for which equation? Check it to rounding.
# 2. Give the ODE-Net of this chapter to Euler's method with six steps instead of the solver that it
#    was trained with. How many of the test images are now taken for another digit than before?
# 3. Why is the number of evaluations the same for all images of a batch, and what does that cost?
#    (Chapter 10.)

# %%
# 1. Euler's method with step one for h' = f(h); so with step 1/6 for h' = 6 f(h) from 0 to 1
block_init, block = nn.mlp(WIDTH, HIDDEN, WIDTH)
theta, h0 = block_init(np.random.default_rng(1)), np.tanh(into(trained["in"], images[:5]))
tied = models.resnet(lambda t, h, theta: block(theta, h), h0, [theta] * 6)
by_euler = solve(
    lambda t, h, theta: 6 * block(theta, h), h0, [0.0, 1.0], theta, method="euler", step_size=1 / 6
).y[-1]
print("1. tied blocks against Euler's method:", np.abs(tied - by_euler).max())
assert np.allclose(tied, by_euler, rtol=1e-12)

# 2.
by_euler = np.argmax(scores(trained, test_images, method="euler", step_size=1 / 6), axis=1)
print(
    f"2. {np.sum(by_euler != exact)} of {len(exact)} test images; test error"
    f" {100 * np.mean(by_euler != test_labels):.2f} %"
)
assert np.sum(by_euler != exact) < 80

# 3. the batch is one system of equations, and the error norm is taken over all of it
alone = [solve(f, h0[i : i + 1], [0.0, 1.0], trained["field"], **ODE).stats.nfev for i in range(5)]
print(
    "3. evaluations for five images, each alone:",
    alone,
    "together:",
    solve(f, h0, [0.0, 1.0], trained["field"], **ODE).stats.nfev,
)

# %% [markdown]
# ## Sources
#
# P-param, P-lower (Price-Broncucia, "What are the benefits?"); S-param, S-control, S-alg1, S-alg2
# (Lenze and Rothe). Chen, Rubanova, Bettencourt and Duvenaud, "Neural ordinary differential
# equations" (2018), section 3: table 1, figure 3. Data: Alpaydin and Kaynak, "Optical recognition
# of handwritten digits" (1998), CC BY 4.0.
