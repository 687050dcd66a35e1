# %% [markdown]
# # Digits: a residual network against a neural ODE

# %% [markdown]
# **Needs**: chapter 2 (a residual network is Euler's method), chapter 5 (Algorithm 2 and its
# memory), chapter 6 (likelihood; Adam, which makes the steps of training), and from school
# logarithms and percent.
#
# **You will be able to**: train a network that sorts pictures, and say what its loss measures;
# compare two kinds of network fairly (error, parameters, memory, evaluations); say why a neural ODE
# gets slower to solve while it is trained, and do something about it.
#
# **Minutes**: 60 to 90, with the exercises of level 1.
#
# **The question.** A residual network is Euler's method with parameters of its own in every step.
# If the steps were those of a good solver, and the parameters the same at all times, what would be
# lost? And once such a network has been trained with great accuracy, can it be run with less?
#
# Chen and others tried it on MNIST, 70,000 handwritten digits. Here are 1797 digits of 8 by 8
# pixels, few enough for everyone's computer: 1000 to learn from, the *training images*, and 797
# *test images*, which no training sees. One test image is an eighth of a percent.

# %%
import time
import tracemalloc

import numpy as np
from experiment import each, spread, table

from tinyode import (
    SolverError,
    datasets,
    grad,
    models,
    nn,
    odeint,
    optim,
    solve,
    tree,
    value_and_grad,
)
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
# An image is 64 numbers, the greys of its pixels. All three networks work in three parts. The first
# and the last are the same in all of them, and the middle is the difference:
#
# 1. an affine layer, $W \mathbf x + \mathbf b$, and tanh turn the 64 numbers $\mathbf x$ into 32
#    others, the **features** $\mathbf h$;
# 2. the middle part moves the features;
# 3. another affine layer turns the 32 features into ten **scores**, one for each digit. The digit
#    with the largest score is the answer.
#
# In the middle,
#
# * **ResNet** takes six steps
#   $\mathbf h \leftarrow \mathbf h + \mathrm{block}(\theta_t, \mathbf h)$. A block is a network as
#   in chapter 2, with 32 sums (a *hidden layer* of 32 *units*) and its own $\theta_t$ (S-alg1);
# * **ODE-Net** has one network $f(t, \mathbf h, \theta)$, which is told the time. The features move
#   by $\mathbf h' = f(t, \mathbf h, \theta)$ from $t = 0$ to 1. The solver is adaptive, and
#   Algorithm 2 gives the gradient (S-alg2);
# * **RK-Net** is the same equation in four steps of rk4, differentiated step by step
#   (`gradient="discrete"`).
#
# An affine layer from $m$ numbers to $n$ has $mn + n$ parameters. So the ResNet has
# $64 \cdot 32 + 32$ in its first layer, $6 (2 \cdot (32 \cdot 32 + 32))$ in its blocks and
# $32 \cdot 10 + 10$ in its last, 15082 together. The ODE-Net has one block instead of six, with one
# more input for the time. The code writes the ODE-Net out; the library has it as `ode_classifier`.
# The length of the list `calls` counts the evaluations of $f$.

# %%
WIDTH, HIDDEN = 32, 32
init_in, into = nn.linear(64, WIDTH)
init_field, field = nn.mlp(WIDTH + 1, HIDDEN, WIDTH)
init_out, out = nn.linear(WIDTH, 10)
calls = []


def f(t, h, theta):
    """Return the slopes of features h, shape (n, 32): a network of h and t."""
    calls.append(t)
    return field(theta, np.concatenate([h, t * np.ones((len(h), 1))], axis=1))


def scores(parameters, x, **options):
    """Return the ten scores of each image by the ODE-Net, shape (n, 10)."""
    h = np.tanh(into(parameters["in"], x))
    h = odeint(f, h, [0.0, 1.0], parameters["field"], **options)[-1]
    return out(parameters["out"], h)


ODE = {"rtol": 1e-3, "atol": 1e-4}
RK4 = {"method": "rk4", "step_size": 0.25, "gradient": "discrete"}
networks = {  # each is two functions: init(rng) -> parameters, apply(parameters, x) -> scores
    "ResNet": models.resnet_classifier(64, WIDTH, HIDDEN, 10, blocks=6),
    "RK-Net": models.ode_classifier(64, WIDTH, HIDDEN, 10, **RK4),
    "ODE-Net": models.ode_classifier(64, WIDTH, HIDDEN, 10, **ODE),
}
rng = np.random.default_rng(0)
by_hand = {"in": init_in(rng), "field": init_field(rng), "out": init_out(rng)}
by_library = networks["ODE-Net"][1](by_hand, images[:5])
assert np.array_equal(scores(by_hand, images[:5], **ODE), by_library)


def size(parameters):
    """Return the number of parameters."""
    return sum(leaf.size for leaf in tree.flatten(parameters)[0])


affine = lambda m, n: m * n + n  # the number of its parameters
sizes = {name: size(init(np.random.default_rng(0))) for name, (init, _) in networks.items()}
print("parameters:", sizes, f"ratio {sizes['ODE-Net'] / sizes['ResNet']:.2f}")
ends = affine(64, 32) + affine(32, 10)
assert sizes["ResNet"] == ends + 6 * (affine(32, 32) + affine(32, 32))
assert sizes["ODE-Net"] == ends + affine(33, 32) + affine(32, 32)

# %% [markdown]
# ## What the loss measures
#
# The number of wrong answers jumps when a parameter changes, so it has no useful derivative.
# Training makes something smooth small instead.
#
# > **Cross-entropy.** First the scores $s_k$ become probabilities,
# > $p_k = e^{s_k} / \sum_j e^{s_j}$, which are positive and add up to 1 (*softmax*). With three
# > classes and the scores $(2, 1, 0)$ the exponentials are 7.39, 2.72 and 1, their sum is 11.11,
# > and the probabilities are 0.665, 0.245 and 0.090. The loss of an image is $-\log p_k$, where $k$
# > is its label, the right answer. If that is the first class, the loss is $-\log 0.665 = 0.408$;
# > if it is the third, $-\log 0.090 = 2.408$. A network that knows nothing gives each of ten digits
# > the probability 0.1, and has the loss $\log 10 = 2.303$. The mean of $-\log p_k$ over the images
# > is called cross-entropy. The likelihood of all labels is the product of their $p_k$ (chapter 6);
# > cross-entropy is minus its logarithm, divided by the number of images.
#
# The derivative with respect to the scores is simple. The loss is
# $-\log p_k = -s_k + \log \sum_j e^{s_j}$, and the derivative of the second term with respect to
# $s_j$ is $e^{s_j} / \sum_i e^{s_i} = p_j$. So the gradient is the row of the probabilities, with 1
# subtracted at the label: $(-0.335, 0.245, 0.090)$ if the first class is right. A step against it
# raises the score of the label and lowers the others.
#
# The loss never gets to zero: with twice the scores, $(4, 2, 0)$, it is 0.143. So training goes on
# pushing the scores apart, even when every answer is right. This will matter below.

# %%
three = np.array([[2.0, 1.0, 0.0]])
probabilities = np.exp(three) / np.sum(np.exp(three))
losses = [nn.cross_entropy(three, np.array([label])) for label in range(3)]
slope = grad(nn.cross_entropy)(three, np.array([0]))
print("probabilities", probabilities[0].round(3), " loss for each label", np.round(losses, 3))
print("gradient for label 0", slope[0].round(3), end="  ")
print(f"loss with twice the scores {nn.cross_entropy(2 * three, np.array([0])):.3f}")
assert np.allclose(losses, -np.log(probabilities[0]), rtol=1e-12)
assert np.allclose(slope, probabilities - [[1, 0, 0]], rtol=1e-12)

# %% [markdown]
# ## Training
#
# The gradient of the loss on a **batch** of 100 images makes one step of Adam (chapter 6). After
# ten steps each image has been used once: that is an **epoch**, and the next one takes the images
# in another order. The size of the steps is set by the *learning rate*. It falls to zero along half
# a cosine: after a share $s$ of the training it is its first value times $(1 + \cos \pi s) / 2$.
# All this is the same for the three networks, except the first value.


# %%
def loss_of(apply):
    """Return the loss of a network, a function of parameters, images and labels."""
    return lambda parameters, x, y: nn.cross_entropy(apply(parameters, x), y)


def error_rate(apply, parameters, x=test_images, y=test_labels):
    """Return the share of images that are taken for another digit, in percent."""
    return 100 * float(np.mean(np.argmax(apply(parameters, x), axis=1) != y))


def train(init, loss, seed, epochs, rate=0.01, batch=100, images=images, labels=labels, kept=None):
    """Return the parameters after so many epochs; those at the start of each go into `kept`."""
    rng = np.random.default_rng(seed)
    parameters = init(rng)
    gradient = value_and_grad(loss)
    init_state, update = optim.adam(optim.cosine(rate, epochs * len(images) // batch))
    state = init_state(parameters)
    for _ in range(epochs):
        if kept is not None:
            kept.append(parameters)
        for here in rng.permutation(len(images)).reshape(-1, batch):  # the images of each batch
            _, slope = gradient(parameters, images[here], labels[here])
            parameters, state = update(parameters, slope, state)
    return parameters


def peak_memory(init, apply):
    """Return the memory of one training step in MB: the most that is in use at one moment."""
    parameters = init(np.random.default_rng(0))
    slope = grad(loss_of(apply))
    slope(parameters, images[:100], labels[:100])
    tracemalloc.start()
    slope(parameters, images[:100], labels[:100])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


# %% [markdown]
# A small run first, one seed and ten epochs. Of the ODE-Net we keep the parameters at the start of
# each epoch, for later.

# %% [predict]
# Which of the three has the smallest test error after ten epochs? And which needs the least memory
# for one step of training: the residual network, which keeps the states of its six blocks, or the
# ODE-Net, whose adjoint keeps none?

# %%
history, small, rows = [], {}, []
for name, (init, apply) in networks.items():
    small[name] = train(init, loss_of(apply), seed=0, epochs=10, kept=history)
    if name != "ODE-Net":
        history.clear()
    error = error_rate(apply, small[name])
    rows.append((name, sizes[name], f"{error:.2f}", f"{peak_memory(init, apply):.2f}"))
    assert error < 8
table(rows, "10 epochs, one seed", "parameters", "test error, %", "memory of a step, MB")

# %% [markdown]
# The errors differ by three images, which proves nothing. The ResNet needs the least memory.
# Algorithm 2 keeps no states, but one step of the augmented equation takes more than the states of
# six small blocks. The adjoint saves memory where a network is deep (chapter 5 measures it).
#
# ## Sixty epochs and five seeds
#
# The full experiment has sixty epochs and five *seeds*: each seed draws other initial parameters
# and another order of the images. It takes minutes, so its results are kept in `tutorials/results/`
# (`python -m tutorials 7 --full` computes what is missing).
#
# First, which learning rate suits which network? The test images must not decide it, or they would
# no longer be a test. So each network is trained on 800 of the 1000 training images with four
# rates, and keeps the one with the smallest error on the other 200, a mean over three seeds.

# %%
EPOCHS, RATES = 60, (0.003, 0.01, 0.03, 0.1)
SETTINGS = {"width": WIDTH, "hidden": HIDDEN, "blocks": 6, "epochs": EPOCHS, "batch": 100}
SETTINGS |= {"ODE-Net": ODE, "RK-Net": RK4}


def trial(name, rate):
    """Train on 800 images from three seeds, and measure each error on the other 200."""
    init, apply = networks[name]
    some, errors = {"images": images[:800], "labels": labels[:800]}, []
    for seed in (10, 11, 12):
        try:
            parameters = train(init, loss_of(apply), seed, EPOCHS, rate, **some)
        except SolverError:  # it refuses a gradient
            errors.append(None)
        else:
            errors.append(error_rate(apply, parameters, images[800:], labels[800:]))
    return {"errors": errors}


cases = [(name, rate) for name in networks for rate in RATES]
trials = each("07_digits_rates", SETTINGS, trial, cases, "{}, {}")
error_of = {}  # infinite where a training has failed: such a rate is not kept
for case in cases:
    found = trials[case]["errors"]
    error_of[case] = np.inf if None in found else np.mean(found)
shown = {case: f"{error:.2f}" if error < np.inf else "refused" for case, error in error_of.items()}
rows = [(name, *[shown[name, rate] for rate in RATES]) for name in networks]
table(rows, "error on 200 images, %", *[f"rate {rate}" for rate in RATES])
best = {name: min(RATES, key=lambda rate: error_of[name, rate]) for name in networks}
assert set(best.values()) == {0.03}

# %% [markdown]
# All three keep the rate 0.03. With 0.1 the steps of training are too large, and the networks learn
# less. (A guess is wrong in 90 percent.) *Refused* means that the library refused a gradient: with
# each seed, the training of the ODE-Net ended with an error, after some warnings. Algorithm 2
# solves the features backwards from $t = 1$. Here they no longer came back to where they had been,
# so the gradient would have been that of another solution. (Chapter 10 shows for which fields this
# happens.)
#
# Do not expect the same numbers in the last column on your computer. Another processor, or another
# version of NumPy, rounds differently: the 16th digit changes. Does this change grow during
# training? We make such a change ourselves, in the initial parameters of the ResNet.

# %%
init, apply = networks["ResNet"]
rounded = lambda rng: tree.map(lambda leaf: leaf * (1 + 1e-15), init(rng))
apart = {}
for rate in (0.01, 0.03, 0.1):
    ends = [train(start, loss_of(apply), 0, 10, rate) for start in (init, rounded)]
    one, other = (tree.ravel(end)[0] for end in ends)
    apart[rate] = np.linalg.norm(other - one) / np.linalg.norm(one)
    wrong = " and ".join(f"{error_rate(apply, end):.2f}" for end in ends)
    print(f"rate {rate}: parameters {apart[rate]:.0e} apart, test errors {wrong} %")
assert apart[0.01] < 1e-12 and apart[0.1] > 1e6 * apart[0.01]

# %% [markdown]
# With the rate 0.1 the change of $10^{-15}$ grows within ten epochs until the test errors differ. So
# the last column differs between computers. With smaller rates the change grows much less. On the
# same computer, with the same versions, the same training gives the same numbers to the last bit.
#
# Now each is trained on all 1000 images. In the table, ± stands before the standard deviation over
# the seeds. *Time* is that of an epoch as a multiple of the ResNet's. (It is the fastest of five
# seeds, because other programs on the computer only make it longer.) *Evaluations* are those of $f$
# that one batch takes, forward and for the gradient (both ways to the gradient evaluate $f$ again).
# The paper's table, on other images, stands beside ours.

# %% [predict]
# The ODE-Net has less than a third of the ResNet's parameters. After sixty epochs, with the best
# learning rate for each: which of the two has the smaller test error, and by how many percent?


# %%
def evaluations(parameters, **options):
    """Return how often f is evaluated forward, and for the gradient, on 100 images."""
    of_100 = lambda parameters: scores(parameters, images[:100], **options)
    calls.clear()
    of_100(parameters)
    forward = len(calls)
    grad(lambda parameters: nn.cross_entropy(of_100(parameters), labels[:100]))(parameters)
    return forward, len(calls) - 2 * forward  # the gradient has solved forward once more


def run(name, seed, rate):
    """Train one network from one seed with this rate, and measure it."""
    init, apply = networks[name]
    began = time.perf_counter()
    parameters = train(init, loss_of(apply), seed, EPOCHS, rate)
    seconds = (time.perf_counter() - began) / EPOCHS
    forward, backward = 6, 0
    if name != "ResNet":
        forward, backward = evaluations(parameters, **SETTINGS[name])
    return {
        "error": error_rate(apply, parameters),
        "parameters": size(parameters),
        "memory": peak_memory(init, apply),
        "seconds per epoch": seconds,
        "forward": forward,
        "backward": backward,
    }


cases = {(name, seed): (name, seed, best[name]) for seed in range(5) for name in networks}
settings = {**SETTINGS, "rates": best}
results = each("07_digits", settings, run, cases, "{}, seed {}")
runs = {name: [results[name, seed] for seed in range(5)] for name in networks}
errors = {name: [result["error"] for result in runs[name]] for name in networks}
PAPER = {  # Chen and others, table 1, on MNIST
    "ResNet": ("0.41", "0.60 M"),
    "RK-Net": ("0.47", "0.22 M"),
    "ODE-Net": ("0.42", "0.22 M"),
}
fastest = {name: min(run["seconds per epoch"] for run in runs[name]) for name in networks}
rows = []
for name in networks:
    forward, backward = np.mean([[run["forward"], run["backward"]] for run in runs[name]], axis=0)
    work = "6 blocks" if name == "ResNet" else f"{forward:.0f} + {backward:.0f}"
    costs = f"{fastest[name] / fastest['ResNet']:.1f}", work
    rows.append((name, sizes[name], spread(errors[name]), *costs, *PAPER[name]))
heads = "60 epochs, five seeds", "parameters", "test error, %", "time", "evaluations"
table(rows, *heads, "paper: error, %", "parameters")
difference = np.array(errors["ODE-Net"]) - errors["ResNet"]
deviation = np.std(difference, ddof=1) / np.sqrt(5)
print(f"ODE-Net minus ResNet: {np.mean(difference):+.2f} percent, standard error {deviation:.2f}")
assert np.mean(difference) < 0.5 and sizes["ODE-Net"] <= 0.4 * sizes["ResNet"]

# %% [markdown]
# A mean over five seeds is itself off, typically by its *standard error*: the standard deviation
# divided by $\sqrt 5$. The difference is only twice its standard error, so it may be chance. With
# less than a third of the parameters the ODE-Net is no worse than the residual network. It is not
# free: an epoch takes four to five times as long, because there are more evaluations.
#
# Does the residual network *need* all its parameters? This table does not say. Its six blocks with
# one and the same $\theta$ would be Euler's method for the same equation (exercise 7.2).
#
# ## Train high, run low
#
# The accuracy of a trained neural ODE can be chosen each time it is run. This one was trained with
# a tolerance of $10^{-3}$. How wrong are its answers, and how many evaluations do they take, with
# other tolerances?

# %% [predict]
# With a tolerance of 10, which forbids nothing: how many of the 797 test images are taken for
# another digit than with a tolerance of $10^{-8}$? And with one step of Euler's method, about what
# share of them is wrong?

# %%
trained = small["ODE-Net"]


def digits_by(**options):
    """Return what the trained network takes the test images for, solved with these options."""
    return np.argmax(scores(trained, test_images, **options), axis=1)


rows, shown = [], []
exact = digits_by(rtol=1e-8, atol=1e-8)
for tol in 10.0 ** np.arange(-6, 2):
    tolerances = {"rtol": tol, "atol": tol}
    calls.clear()
    taken_for = digits_by(**tolerances)
    nfev = len(calls)
    others = np.sum(taken_for != exact)
    wrong = 100 * np.mean(taken_for != test_labels)
    rows.append((nfev, wrong, others, *evaluations(trained, **tolerances)))
    shown.append((f"{tol:.0e}", nfev, f"{wrong:.2f}", others))
nfev, wrong, others, forward, backward = np.array(rows).T
table(shown, "tolerance", "evaluations", "test error, %", "images taken for another digit")
euler = {}
for n in (1, 2, 3, 4, 8, 16):
    euler[n] = 100 * np.mean(digits_by(method="euler", step_size=1 / n) != test_labels)
print("in steps of Euler's method:", {n: f"{error:.2f} %" for n, error in euler.items()})
assert nfev[0] > 3 * nfev[-1] and max(others) <= 1  # a third of the work, the same digits

# %%
figure, axes = panels(2, width=11, height=4.4)
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
axes[1].set(title="For the gradient", xlim=(0, None), ylim=(0, None))
axes[1].legend()
save(
    figure,
    "07_evaluations",
    alt="Two panels. Left: test error over evaluations of f; it is the same for dopri5 at every"
    " tolerance, and for Euler's method it falls from about twice that with one step to the same at"
    " eight. Right: evaluations backward over evaluations forward at eight tolerances; all points"
    " lie at or near the line of as many, none near the line of half as many.",
)

# %% [markdown]
# Every tolerance gives the same answers, and a loose one takes a third of the evaluations. (With a
# tolerance of 10 every step is accepted. Two steps of dopri5 are left: $2 + 2 \cdot 6 = 14$
# evaluations, counted as in chapter 1.) Euler's method needs eight steps for the same error rate:
# the field is smooth, and few good steps are enough. (For the right panel see the sources.)
#
# ## Why solving gets slower during training, and what helps
#
# **What makes a field slow to solve?** A solver takes small steps where the slope of a solution
# *changes* quickly. In a field of constant slope a step of any length is exact. Where the slope
# changes along a path, the speed counts: if $f$ does not depend on the time, $16 f$ moves the
# features in one unit of time along the same curves and as far as $f$ does in 16 units. Here the
# field of the untrained network is multiplied by a factor (100 images, tolerance $10^{-6}$).

# %% [predict]
# The field is multiplied by 16. Does the solver take as many evaluations as before, about 5 times
# as many, or 16 times as many? And in a field of constant slope?

# %%
TIGHT = {"rtol": 1e-6, "atol": 1e-6}
before_training, theta = history[0], history[0]["field"]
h = np.tanh(into(before_training["in"], test_images[:100]))
slope = f(0.0, h, theta)
factors, of_field, of_constant = 2.0 ** np.arange(7), [], []
for factor in factors:
    faster = lambda t, h, theta: factor * f(t, h, theta)
    constant = lambda t, h, theta: factor * slope  # each image keeps the slope of its start
    of_field.append(solve(faster, h, [0.0, 1.0], theta, **TIGHT).stats.nfev)
    straight = solve(constant, h, [0.0, 1.0], theta, **TIGHT)
    of_constant.append(straight.stats.nfev)
    assert np.allclose(straight.y[-1], h + factor * slope, rtol=1e-12)
rows = [("the network", *of_field), ("constant slope", *of_constant)]
table(rows, "evaluations of f, times a factor of", *[f"{factor:.0f}" for factor in factors])

at_end = solve(lambda t, h, theta: 16 * f(t, h, theta), h, [0.0, 1.0], theta, **TIGHT).y[-1]
for t, state in ((0.0, h), (1.0, at_end)):
    inputs = np.concatenate([state, t * np.ones((100, 1))], axis=1)
    slope_of_tanh = np.mean(1 - np.tanh(inputs @ theta[0]["W"] + theta[0]["b"]) ** 2)
    print(f"16 times the field, t = {t}: mean slope of the network's tanh {slope_of_tanh:.2f}")
assert slope_of_tanh < 0.2
assert 4 < of_field[4] / of_field[0] < 7 and max(of_constant) == min(of_constant)

# %% [markdown]
# The faster field takes more evaluations. It takes fewer than in proportion, because the features
# soon get so far that tanh is flat (its mean slope falls from 0.89 to 0.09), and there $f$ hardly
# changes. In the field of constant slope three steps, $2 + 3 \cdot 6 = 20$ evaluations, are enough,
# whatever the speed.
#
# **Why does training make the field faster?** The features start close together, and the loss falls
# as long as the scores are pushed apart. The field has to do it within one unit of time. So the
# features go farther and farther, and nothing in the loss asks for short paths.
#
# **What helps?** Ask for short paths. Add to the loss the integral of the square of the speed along
# the path, a mean over the images, times a price $\lambda$ (Finlay and others):
#
# $$L + \lambda \int_0^1 |f(t, \mathbf h(t), \theta)|^2 dt, \qquad \lambda = 0.03.$$
#
# ($L$ is the cross-entropy.) The integral is one more component of the state, whose derivative is
# $|f|^2$. Over one unit of time an integral is a mean, and the mean of $f$ is
# $\mathbf h(1) - \mathbf h(0)$. The mean of a square is at least the square of the mean. So the
# integral is at least the square of this distance, and equal to it only on a straight path at
# constant speed. We train once more from the same start, and measure at each epoch.


# %%
def f_and_square(t, state, theta):
    """Return the slopes of the features, and the square of their speed, a mean over the images."""
    slope = f(t, state[0], theta)
    return slope, np.mean(np.sum(slope * slope, axis=1))


def priced_loss(parameters, x, y, price=0.03):
    """Return the cross-entropy and the price of the path."""
    start = np.tanh(into(parameters["in"], x)), 0.0
    h, square = odeint(f_and_square, start, [0.0, 1.0], parameters["field"], **ODE)
    return nn.cross_entropy(out(parameters["out"], h[-1]), y) + price * square[-1]


def effort(parameters):
    """Return evaluations, integral of |f|^2 and squared distance for 100 test images."""
    h = np.tanh(into(parameters["in"], test_images[:100]))
    nfev = solve(f, h, [0.0, 1.0], parameters["field"], **TIGHT).stats.nfev
    h, square = solve(f_and_square, (h, 0.0), [0.0, 1.0], parameters["field"], **TIGHT).y
    return nfev, square[-1], np.mean(np.sum((h[-1] - h[0]) ** 2, axis=1))


history_priced = []
at_a_price = train(networks["ODE-Net"][0], priced_loss, seed=0, epochs=10, kept=history_priced)
ways = {"without a price": [*history, trained], "with a price": [*history_priced, at_a_price]}
efforts = {name: np.array([effort(p) for p in epochs]) for name, epochs in ways.items()}
rows = []
for name, epochs in ways.items():
    for epoch in (0, 1, 10):
        count, square, distance = efforts[name][epoch]
        error = error_rate(networks["ODE-Net"][1], epochs[epoch])
        numbers = f"{count:.0f}", f"{square:.1f}", f"{distance:.1f}", f"{error:.2f}"
        rows.append((f"{name}, epoch {epoch}", *numbers))
table(rows, "on 100 images", "evaluations", "integral of |f|^2", "distance^2", "test error, %")
assert efforts["without a price"][-1, 0] > efforts["without a price"][0, 0]
assert efforts["with a price"][-1, 0] <= efforts["with a price"][0, 0]
assert error < error_rate(networks["ODE-Net"][1], trained) + 0.5
assert all(np.all(measured[:, 1] > measured[:, 2]) for measured in efforts.values())

# %%
figure, (left, right) = panels(2, width=11, height=4.4)
for (name, measured), colour, line in zip(efforts.items(), COLOURS[::4], ("o-", "s--")):
    left.plot(measured[:, 0], line, color=colour, label=name)
left.set(xlabel="epoch", ylabel="evaluations at $10^{-6}$", title="During training", ylim=(0, None))
left.legend()
right.loglog(factors, of_field, "o-", color=COLOURS[0], label="the network, untrained")
right.loglog(factors, of_constant, "s--", color=COLOURS[4], label="constant slope")
right.loglog(factors, of_field[0] * factors, ":", color="#888888", label="in proportion")
right.set(xlabel="field multiplied by", ylabel="evaluations", title="The faster, the more steps")
right.legend()
save(
    figure,
    "07_slower",
    alt="Left: evaluations over ten epochs of training. Without a price on the speed they rise in"
    " the first epochs and stay high; with a price they fall a little. Right: evaluations over the"
    " factor by which the field is multiplied, both axes logarithmic: for the network they rise,"
    " less than in proportion; for a field of constant slope they stay the same.",
)

# %% [markdown]
# Without a price the features go farther and farther, and the evaluations rise from 38 to 50. With
# the price they fall to 32, and the test error is the same but for one image. In each row the
# integral is a few percent larger than the squared distance: the paths are nearly straight. The
# solver has to follow their small bends, which grow with their length. All this is mild here,
# because digits are easy to tell apart. Chapter 8 has fields that get much slower.
#
# Other things that help: a looser tolerance, as above; features of more dimensions, in which images
# can pass one another (chapter 10); and a compiled field (chapter 5), whose evaluations are
# cheaper. Nobody looks at the error of the RK-Net's four steps: chapter 8 shows the risk.
#
# ## Features in motion
#
# Where do the features go between $t = 0$ and $t = 1$? They have 32 dimensions. The picture shows
# the two directions in which they differ most at the end (from the singular value decomposition).
# The numbers below it say how well the digits are separated: the variance of the digits' means, as
# a share of all variance. (Variance is the mean square of the distance from the mean.) The share is
# 1 if all images of a digit are at one place, and near 0 if the digits are mixed at random.

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
# All points move apart, and the digits by a larger factor than the images of one digit.
#
# ## The sources against the numbers
#
# * *The same performance with fewer parameters* (P-param, S-param). This holds on these digits:
#   with 0.30 of the parameters the ODE-Net is no worse than the residual network.
# * *Train with high accuracy, run with low* (P-lower, S-control). This holds: every
#   tolerance gives the same digits, for a third of the evaluations.
# * *Memory that does not depend on the depth* (P-mem, S-mem). This is so (chapter 5), and saves
#   nothing here: one step of the augmented equation takes more than six small blocks.
# * *The number of evaluations grows during training* (Chen and others, figure 3d). This holds, and
#   the reason is above.
# * *The backward pass takes half as many evaluations as the forward pass* (Chen and others, figure
#   3c). This does **not** hold here. It takes about as many: it solves the features once more, and
#   the adjoint with them, to the same tolerance.

# %%
ratios = [*(backward / forward), *[run["backward"] / run["forward"] for run in runs["ODE-Net"]]]
print("backward over forward evaluations, over the tolerances and in the table:", end=" ")
print(f"{min(ratios):.2f} to {max(ratios):.2f}")
assert 0.9 < min(ratios) and max(ratios) < 1.25

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
# $\mathbf h \leftarrow \mathbf h + \mathrm{block}(\theta, \mathbf h)$ with one and the same
# $\theta$. That is Euler's method from $t = 0$ to 1, for which equation
# $\mathbf h' = f(t, \mathbf h, \theta)$, and with which step? Write `tied`: it is given the
# function `block(theta, h)`, and returns the function `f(t, h, theta)` and the length of the step.
# Then `solve(f, h, [0.0, 1.0], theta, method="euler", step_size=step)` ends where the six blocks
# end.


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
# To a solver a batch is one system of equations: all images share the steps, whose length follows
# from one mean over all their errors. How many evaluations of f would each take alone? Write
# `alone`: from features `h`, one row per image, it returns an array of whole numbers, one for each
# row, when that row is solved by itself from $t = 0$ to 1 (field `f`, parameters
# `trained["field"]`, both tolerances `tol`). Such a row still has the shape (1, d). Compare with
# the batch, for the first 40 test images at a tolerance of $10^{-6}$: does the hardest decide?


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
# ## What to remember
#
# 1. One block for all times and a good solver do what six blocks do, with 0.30 of their parameters,
#    in several times their time.
# 2. Cross-entropy is the mean of $-\log$ of the probability that the network gives to the label.
#    Its derivative with respect to the scores is the row of probabilities, less 1 at the label.
# 3. The accuracy of a trained neural ODE is chosen when it is run. Here a tolerance that forbids
#    nothing gives the same digits as $10^{-8}$.
# 4. The backward pass of Algorithm 2 takes about as many evaluations as the forward pass.
# 5. Training makes the field faster, and a faster field takes more steps. A price on
#    $\int |f|^2 dt$ keeps the paths short, straight and easy to solve.
#
# ## Sources
#
# P-param, P-lower, P-mem (Price-Broncucia, "Why use ODE solvers?"); S-param, S-control, S-mem,
# S-alg1, S-alg2 (Lenze and Rothe). Chen, Rubanova, Bettencourt and Duvenaud, "Neural ordinary
# differential equations" (2018), section 3: table 1, figure 3. Finlay, Jacobsen, Nurbekyan and
# Oberman, "How to train your neural ODE: the world of Jacobian and kinetic regularization" (2020).
# Data: Alpaydin and Kaynak, "Optical recognition of handwritten digits" (1998), CC BY 4.0.
