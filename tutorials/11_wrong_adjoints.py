# %% [markdown]
# # The laboratory of wrong adjoints

# %% [markdown]
# **Needs.** Chapter 1 (a solver and its tolerances), chapter 3 (`grad`, `vjp`), chapter 5
# (Algorithm 2, losses at many times, the gradients for times). From school: the derivative of a
# function of several variables.
#
# **You will be able to** measure a gradient with nothing but values; tell from a few experiments
# which mistake an adjoint has; write a test that finds forty different mistakes.
#
# **Minutes.** 90 to 150, of which the boxes take two thirds.
#
# **The question.** Somebody gives you a solver with gradients. It is a *black box*: you can call
# it, and you cannot look into it. Are its gradients right? If they are not, which line of the
# program is wrong?

# %%
import numpy as np

from tinyode import grad, solve, vjp
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import central_difference, check_your_test, inner
from tinyode.testing.adjoints import with_mistake
from tinyode.testing.laboratory import (
    BOXES,
    CATALOGUE,
    check_diagnosis,
    differences,
    experiment,
    gradients,
)

# %% [markdown]
# ## Does training show a wrong gradient?
#
# Take the field
# $f(t, \mathbf z, A, \mathbf b) = \tanh(A \mathbf z + \mathbf b \sin t)$ and states that were
# observed at five times. Gradient descent looks for $A$ and $\mathbf b$. It runs twice. The first
# run has the right gradients. In the second run the adjoint has a mistake: $\mathbf z$ stands still
# on the way back, so the Jacobian $\frac{\partial f}{\partial \mathbf z}$ is taken at
# $\mathbf z(t_i)$ over the whole interval from $t_i$ back to $t_{i-1}$.
#
# `with_mistake(change)` makes a solver like `odeint` with right values and wrong gradients.
# `CATALOGUE` numbers forty mistakes that are often made (a list stands before the exercises);
# `made("...")` looks one up by its words, and returns the solver that makes it.


# %%
def f(t, z, A, b):
    return np.tanh(A @ z + b * np.sin(t))


def made(what):
    return next(with_mistake(m.change) for m in CATALOGUE.values() if m.what == what)


right = with_mistake({})  # none
still = made("z stands still in the backward solve")
assert len(CATALOGUE) == 40

# %% [predict]
# The loss is 1 at the start. How large is it after 50 steps with the right gradient, and with the
# wrong one: 0.01, 0.1, about 1, or more?

# %%
times, z0 = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([1.0, -0.5])
true_A, true_b = np.array([[-0.4, 1.2], [-1.2, -0.2]]), np.array([0.5, -0.3])
seen = solve(f, z0, times, true_A, true_b).y


def loss(A, b, odeint):
    return np.sum((odeint(f, z0, times, A, b) - seen) ** 2)


def descend(odeint, steps=50, rate=0.02):
    A, b, losses = np.zeros((2, 2)), np.zeros(2), []
    for _ in range(steps):
        slope_A, slope_b = grad(loss, (0, 1))(A, b, odeint)
        A, b = A - rate * slope_A, b - rate * slope_b
        losses.append(loss(A, b, odeint))
    return np.array(losses) / loss(np.zeros((2, 2)), np.zeros(2), odeint)


for words, odeint in (("right", right), ("wrong", still)):
    losses = descend(odeint)
    print(f"{words} gradients: loss after 10 and 50 steps", np.round(losses[[9, 49]], 4))
    assert losses[-1] < 0.01


# %% [markdown]
# The loss falls to less than a hundredth with both. Training does not tell a right gradient from a
# wrong one. A comparison with numbers that need no gradient does.
#
# ## A gradient out of values alone
#
# The loss of this laboratory is a sum of the states, with weights $\mathbf w_i$ that we choose:
#
# $$L = \sum_i \langle \mathbf w_i, \mathbf z(t_i) \rangle .$$
#
# $\langle u, v \rangle$ is the sum of the products of the elements. The row $\mathbf w_i$ is
# $\frac{\partial L}{\partial \mathbf z(t_i)}$: the *jump* that an adjoint adds to $\mathbf a$ at
# $t_i$ (chapter 5). We call $\mathbf w_i$ the *observation* at $t_i$; if it is zero, there is none.
#
# Move one element of an argument by $h$ to both sides, and compute the loss from the values ($h$ is
# not the step of a solver here):
#
# $$\frac{\partial L}{\partial b_j} \approx \frac{L(\mathbf b + h \mathbf e_j) - L(\mathbf b - h \mathbf e_j)}{2h}, \qquad \mathbf e_j = (0, \dots, 1, \dots, 0).$$
#
# This needs no gradient, so no mistake of an adjoint can get into it. `experiment` makes a problem:
# a field `e.f`, its arguments `e.z0`, `e.A` and `e.b`, the times `e.t` and the weights `e.w`. Their
# numbers are the same in each call. `e` below has a state of two components and three times; it is
# `driven`, so $f$ depends on $t$; and all three times are `observed`: their weights are not zero.


# %%
e = experiment(components=2, times=3, driven=True, observed=(0, 1, 2))


def L(odeint, e, b):
    return np.sum(e.w * odeint(e.f, e.z0, e.t, e.A, b))


_, pullback = vjp(lambda b: right(e.f, e.z0, e.t, e.A, b), e.b)
by_adjoint = pullback(e.w)[0]
for h in (0.1, 0.01, 0.001):
    quotients = [
        (L(right, e, e.b + h * e_j) - L(right, e, e.b - h * e_j)) / (2 * h) for e_j in np.eye(2)
    ]
    error = np.abs(quotients - by_adjoint).max()
    print(f"h = {h:5}: dL/db = {np.round(quotients, 7)}, off by {error:.0e}")
print(f"by the adjoint, in one backward pass:   {np.round(by_adjoint, 7)}")
assert error < 1e-5

# %% [markdown]
# The error falls by a hundred for a tenth of $h$: second order. `central_difference` takes four
# values instead of two, and is of fourth order. `gradients(odeint, e)` returns the gradients for
# all arguments, `differences(odeint, e)` the same by `central_difference` with $h = 10^{-2}$: each
# is a dict with the keys `z0`, `A`, `b` and `t`. We look at their distance.


# %%
def compare(odeint, e):
    """Print how far each gradient is from finite differences; return the names of the wrong."""
    found, measured = gradients(odeint, e), differences(odeint, e)
    off = {name: np.abs(found[name] - measured[name]).max() for name in found}
    wrong = [name for name in off if off[name] > 1e-4]
    print("  ".join(f"dL/d{name} off by {off[name]:.0e}" for name in off), end="  ")
    print(f"wrong: {', '.join(wrong) or 'none'}")
    return wrong


print("the right one:        ", end="")
assert compare(right, e) == []
print("z stands still:       ", end="")
assert compare(still, e) == ["z0", "A", "b", "t"]

# %% [markdown]
# Where is the limit between right and wrong? The right one is off by about $10^{-7}$: the values of
# the solver are off by about $10^{-9}$, and that is divided by $h = 10^{-2}$. The mistakes of the
# catalogue change it by $10^{-3}$ or more (checked in the next section), so $10^{-4}$ is between.
#
# ## What an experiment does not show
#
# One mistake: $\frac{\partial f}{\partial \mathbf z}$ is not transposed. In code, `J @ a` stands
# where `a @ J` belongs.

# %% [predict]
# Somebody tests this adjoint on $f = \tanh(A z + b)$ with a state of one number. Which of the four
# gradients, for $z_0$, $A$, $b$ and the times, are found to be wrong?

# %%
transpose = made("df/dz is not transposed")
print("one component:        ", end="")
assert compare(transpose, experiment()) == []
print("two components:       ", end="")
assert compare(transpose, experiment(components=2)) == ["z0", "A", "b", "t"]

# %% [markdown]
# None: a matrix of one number is its own transpose. The mistake is there, and this experiment
# cannot show it. An experiment shows a mistake only if it uses the wrong line, and if the line then
# gives another number. `experiment()` is the simplest one: one component, the two times $t_0$ and
# $t_1$, $f = \tanh(A z + b)$ without $t$, and a loss at the last time. Its arguments switch on what
# it lacks:
#
# | switch | what the adjoint must then do right |
# | --- | --- |
# | `components=2` | the transpose of $\frac{\partial f}{\partial \mathbf z}$ |
# | `driven=True`: $f = \tanh(A \mathbf z + \mathbf b \sin t)$ | the time at which $f$ is taken on the way back; the integral of $\mathbf a \frac{\partial f}{\partial t}$ in $\frac{dL}{dt_0}$ |
# | `times=3`, a time between | the state from which each backward solve starts; the sums over the intervals |
# | `observed=(0, -1)`, a loss at $t_0$ too | the last jump of $\mathbf a$; the $\mathbf a$ that $\frac{dL}{dt_0}$ takes |
# | `times=3, observed=(1, -1)`, a loss between | the jumps of $\mathbf a$; $\frac{dL}{dt_1}$ |
# | `decreasing=True` | the direction of the backward solve |

# %% [predict]
# How many of the forty mistakes does the simplest experiment show: about 12, 22 or 32? And how many
# does only an experiment with decreasing times show?

# %%
everything = {"components": 2, "times": 4, "driven": True, "observed": range(4)}
shown_by = {
    "the simplest": experiment(),
    "two components": experiment(components=2),
    "f depends on t": experiment(driven=True),
    "a time between": experiment(times=3),
    "a loss at t0 too": experiment(observed=(0, -1)),
    "a loss between too": experiment(times=3, observed=(1, -1)),
    "decreasing times": experiment(decreasing=True),
    "everything": experiment(**everything),
    "everything, decreasing": experiment(**everything, decreasing=True),
}
expected = {name: gradients(right, e) for name, e in shown_by.items()}
off = np.zeros((len(CATALOGUE), len(shown_by), 4))
for i, mistake in enumerate(CATALOGUE.values()):
    for j, (name, e) in enumerate(shown_by.items()):
        found = gradients(with_mistake(mistake.change), e)
        off[i, j] = [np.abs(found[k] - expected[name][k]).max() for k in found]
wrong = off > 1e-4
shows = wrong.any(axis=2)
for name, count in zip(shown_by, shows.sum(axis=0)):
    print(f"{name:23} {count:2} of {len(CATALOGUE)}")
assert shows[:, -1].all() and shows[:, 0].sum() == 22
assert off[wrong].min() > 1e-3 and off[~wrong].max() < 1e-5
columns = [1, 2, 4, 5, 6]  # five switches; a loss between brings a time between with it
only_there = shows[:, columns] & (shows[:, columns].sum(axis=1, keepdims=True) == 1)
for column, count in zip(columns, only_there.sum(axis=0)):
    print(f"only {list(shown_by)[column]}, of these five switches: {count}")
assert only_there.any(axis=0).all() and shows[:, columns].any(axis=1).all()

# %% [markdown]
# The five switches of the last lines are needed: each shows mistakes that the other four do not.
# Together they show all. (The sixth, a time between, comes with a loss between.)
#
# The matrix on the left says which gradients a mistake changes, with everything switched on and
# decreasing times. The one on the right says which experiments show it.

# %%
figure, (left, middle) = panels(2, width=12.5, height=12.5, sharey=True, width_ratios=[4, 9])
for axes, matrix, names, colour in (
    (left, wrong[:, -1], ["$dL/dz_0$", "$dL/dA$", "$dL/db$", "$dL/dt$"], COLOURS[4]),
    (middle, shows, list(shown_by), COLOURS[0]),
):
    rows, columns = np.nonzero(matrix)
    axes.scatter(columns, rows, s=95, marker="s", color=colour)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="left", fontsize=11)
    axes.xaxis.tick_top()
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.hlines(np.arange(0.5, 39), -0.6, len(names) - 0.4, color="#dddddd", linewidth=0.5)
    axes.grid(False)
labels = [f"{n}  {mistake.what}" for n, mistake in CATALOGUE.items()]
left.set_yticks(range(len(labels)), labels, fontsize=9)
left.set_ylim(len(labels) - 0.4, -0.6)
left.set_xlabel("gradients that it changes", fontsize=12)
middle.set_xlabel("experiments that show it", fontsize=12)
save(
    figure,
    "11_wrong_adjoints",
    alt="Two matrices of squares, with a row for each of forty mistakes. Left, the gradients that a"
    " mistake changes: 26 change all four, 8 only those for the times, 4 only those for A and b, 2"
    " only that for z0. Right, the experiments that show it: the simplest shows 22; each switch"
    " shows a few others, decreasing times only one; the last column, everything with decreasing"
    " times, is full.",
)

# %% [markdown]
# ## What the numbers say
#
# The names of the wrong gradients are the first clue. The numbers are the second. Switch on one
# thing at a time, and compare the wrong number with what was measured:
#
# * *The quotient* of the wrong and the measured number. $-1$: a sign. $0$: lost. $2$: twice.
# * *The difference*. It is often a term that you know, such as
#   $\langle \mathbf w_0, f(t_0, \mathbf z_0) \rangle$.
# * *One observation at a time*. The gradients, the wrong ones of the catalogue too, are sums over
#   the observations. So one of these alone, `observed=(i,)`, shows the mistake too. Find which.
# * *The length of an interval*. Take one interval and a loss at $t_1$ alone. On the way back
#   $\mathbf a$ starts as $\mathbf w_1$ and ends as $\frac{dL}{d\mathbf z_0}$: it changes by
#   $\frac{dL}{d\mathbf z_0} - \mathbf w_1$. Divide the wrong change by the measured one. In shorter
#   and shorter intervals this tends to $1$ if only $\mathbf z$ or $t$ is wrong, and to $-1$ if
#   $\mathbf a$ changes with the wrong sign. (Set times by `e._replace(t=...)`, 0.1 or more apart.)
#
# Below, two mistakes in shorter and shorter intervals. Then an example: a box has a wrong
# $\frac{dL}{d\mathbf z_0}$, and all else is right.

# %%
for what in (CATALOGUE[3].what, CATALOGUE[8].what):
    print(f"{what:46}", end="")
    for end in (1.2, 0.8, 0.5):
        e = experiment()._replace(t=np.array([0.4, end]))
        found, measured = (way(made(what), e)["z0"] - e.w[1] for way in (gradients, differences))
        print(f" {(found / measured)[0]:5.2f}", end="\n" if end == 0.5 else "")
    assert abs(abs(found / measured) - 1) < 0.2

box = made("the observation at t0 counts twice")
e = experiment(components=2, observed=(0, -1))
found, measured = gradients(box, e)["z0"], differences(box, e)["z0"]
print("dL/dz0: found", found.round(5), "  measured", measured.round(5), end="   ")
print("difference", (found - measured).round(5), "  w_0", e.w[0].round(5))
assert np.abs(found - measured - e.w[0]).max() < 1e-5
print("without a loss at t0:  ", end="")
assert compare(box, experiment(components=2)) == []
alone = experiment(components=2, observed=(0,))
print("with that loss alone:   found / measured", gradients(box, alone)["z0"] / alone.w[0])

# %% [markdown]
# With both losses the two components have different quotients, which say nothing. The difference
# does: it is $\mathbf w_0$, and without a loss at $t_0$ it is gone. With that loss alone, where
# $\frac{dL}{d\mathbf z_0}$ must be $\mathbf w_0$, the quotient is 2. So the observation at $t_0$
# counts twice. Why are the other gradients right? This observation is added after all integrals,
# and $\frac{dL}{dt_0}$ takes $\mathbf a$ before it is added.
#
# ## One number for all gradients
#
# `differences` needs four values for each element of each argument. For a network with ten thousand
# weights that is forty thousand solves. To find out *whether* something is wrong, one direction is
# enough. Choose for each argument $x$ a direction $v_x$ at random. Both sides are one number:
#
# $$\sum_x \Big\langle \frac{dL}{dx}, v_x \Big\rangle = \lim_{d \to 0} \frac{L(\mathbf z_0 + d v_{\mathbf z_0}, A + d v_A, \mathbf b + d v_{\mathbf b}, \mathbf t + d v_{\mathbf t}) - L(\mathbf z_0, A, \mathbf b, \mathbf t)}{d}.$$
#
# The left side takes one backward pass, the right side four solves by `central_difference`,
# whatever the number of elements. A wrong gradient is missed only if its error is nearly at a right
# angle to $v$. For a direction drawn at random this hardly ever happens.


# %%
def along(odeint, e, seed=0):
    """Return both sides of the equation, for a direction that is drawn with the seed."""
    primals = (e.z0, e.A, e.b, e.t)
    rng = np.random.default_rng(seed)
    v = tuple(rng.normal(size=x.shape) for x in primals)
    left = sum(inner(g, v_x) for g, v_x in zip(gradients(odeint, e).values(), v))
    value = lambda z0, A, b, t: np.sum(e.w * odeint(e.f, z0, t, A, b))
    return left, float(central_difference(value, primals, v, h=1e-3))


e = experiment(**everything, decreasing=True)
print("the right one: {:.6f} and {:.6f}".format(*along(right, e)))
distances = []
for mistake in CATALOGUE.values():
    by_gradients, by_values = along(with_mistake(mistake.change), e)
    distances.append(abs(by_gradients - by_values))
print(f"the forty mistakes: apart by {min(distances):.4f} to {max(distances):.1f}")
assert abs(np.subtract(*along(right, e))) < 1e-5 and min(distances) > 1e-3

# %% [markdown]
# One experiment and one direction find all forty. They do not say which mistake it is. So a test
# that runs every day should have everything switched on, and a search for a mistake should start
# with the simplest experiment.
#
# ## The sources against the numbers
#
# Three formulas of the sources have a wrong sign (chapter 5). N7 has a plus before the integral for
# $\theta$. P7, read as its slide says, starts $\mathbf a_t$ with $+\frac{dL}{dt_N}$. G33 gives the
# last observation a minus. The simplest experiment shows all three.

# %%
printed = {
    "N7": made("dL/dA and dL/db have the wrong sign"),
    "P7": made("a_t starts with +dL/dt of the last time"),
    "G33": with_mistake({"last": -1}),  # the last observation, times -1
}
seen_by = {}
for formula, solver in printed.items():
    print(f"{formula:4}", end="")
    seen_by[formula] = compare(solver, experiment())
assert seen_by == {"N7": ["A", "b"], "P7": ["t"], "G33": ["z0", "A", "b", "t"]}

# %% [markdown]
# ## Exercises
#
# `BOXES` holds nineteen solvers, `BOXES["A"]` to `BOXES["S"]`. The values of each are right. The
# gradients of each have one mistake of the catalogue, no two the same. For each box find out
#
# * which gradients are wrong with everything switched on (`experiment(**everything)`, increasing
#   times): a string of names out of `z0`, `A`, `b`, `t`, for example `"A b"`, or `""` if none is;
# * the number of its mistake.
#
# Use `gradients`, `differences`, `compare` and `experiment`. For a wrong answer you are told which
# experiment speaks against it. (A loop over the catalogue would find each box, but no mistake of
# your own.) In the catalogue, dL/dz(ti) is $\mathbf w_i$, so dL/dz(t0) is $\mathbf w_0$ and not the
# gradient dL/dz0. "All of a" (39) is $\mathbf a$ with the later observations in it.

# %%
for number, mistake in CATALOGUE.items():
    print(f"{number:2}  {mistake.what}")
assert len(BOXES) == 19

# %% [exercise 11.1] level 1
# The boxes A to E. The simplest experiment shows all five. Look at the quotients of the wrong and
# the measured numbers. Three of the five can be told by them alone. Of the other two, one has a
# right $\frac{dL}{d\mathbf z_0}$. For the other one, make the interval shorter. Several mistakes
# give the limit that you find; only one of them leaves the sign of $\frac{dL}{dA}$ right.

# %% [stub 11.1]
first_boxes = {
    "A": ("", ...),  # the names of the wrong gradients, and the number of the mistake
    "B": ("", ...),
    "C": ("", ...),
    "D": ("", ...),
    "E": ("", ...),
}

# %% [solution 11.1]
for letter in "ABCDE":
    e = experiment()
    found, measured = gradients(BOXES[letter], e), differences(BOXES[letter], e)
    print(letter, {k: np.round(found[k] / measured[k], 3).ravel().tolist() for k in found})

# A: -1 for A and b, and z0 is right: the sign of the integrals.
# B: 2 for all, and 1 for the last time alone: the last weight counts twice in a.
# C: -1 for t0 alone.
# D: z0 is right, so a is. A and b are off by no simple factor: their integrals have another a.
# E: z0 is wrong, and so is all that comes from a. In one dimension, a(t0) is w times e to the
# integral of df/dz. With the wrong sign it is w times e to minus the integral, and the product of
# both numbers is w^2. That is so. A and b keep their sign, so the direction of the solve is right.
e = experiment()
product = gradients(BOXES["E"], e)["z0"] * differences(BOXES["E"], e)["z0"]
print("E: found times measured", product, "  w^2", e.w[-1] ** 2)
first_boxes = {
    "A": ("A b", 9),
    "B": ("z0 A b t", 25),
    "C": ("t", 33),
    "D": ("A b", 6),
    "E": ("z0 A b t", 1),
}

# %% [check 11.1]
assert isinstance(first_boxes, dict) and set(first_boxes) == set("ABCDE"), (
    "first_boxes should be a dict with the keys A to E."
)
check_diagnosis(first_boxes)

# %% [exercise 11.2] level 2
# The boxes F to L. Each needs one switch or two. Find for each box the simplest experiment that
# shows its mistake, before you look at the numbers.

# %% [stub 11.2]
more_boxes = {letter: ("", ...) for letter in "FGHIJKL"}  # your answers instead


# %% [solution 11.2]
switched = {
    "the simplest": experiment(),
    "two components": experiment(components=2),
    "f of t": experiment(driven=True),
    "a time between": experiment(times=3),
    "a loss at t0": experiment(observed=(0, -1)),
    "a loss between": experiment(times=3, observed=(1, -1)),
}
expected_here = {name: differences(right, e) for name, e in switched.items()}


def shown_where(letter):
    """Print which experiments show the mistake of a box, and in which gradients."""
    print(letter, end=":  ")
    for name, e in switched.items():
        found, measured = gradients(BOXES[letter], e), expected_here[name]
        wrong = [k for k in found if np.abs(found[k] - measured[k]).max() > 1e-4]
        print(f"{name}: {' '.join(wrong)};" if wrong else "", end=" ")
    print()


def numbers(letter, name, e):
    """Print one gradient of a box beside the measured one."""
    found, measured = gradients(BOXES[letter], e)[name], differences(BOXES[letter], e)[name]
    print(f"   {letter}, dL/d{name}: found {found.round(4)}, measured {measured.round(4)}")


for letter in "FGHIJKL":
    shown_where(letter)
numbers("G", "z0", experiment(observed=(0,)))
numbers("H", "b", experiment(driven=True)._replace(t=np.array([1.0, 1.1])))
numbers("I", "t", experiment(times=3))
numbers("J", "A", experiment(times=3, observed=(1,)))
numbers("K", "z0", experiment(times=3, observed=(1,)))
numbers("L", "z0", experiment(observed=(0,)))

# F: only with two components: the transpose.
# G: with a loss at t0 alone, z0 comes out with a minus: the jump is subtracted.
# H: only with an f of t. In a short interval it is nearly right: time stands still. With -t for t,
# sin(t) in dL/db would keep a wrong sign.
# I: t alone, at a time between, which no loss sees: it should be 0. a arrives there, and is taken.
# J: A and b, only with several intervals. A loss at the time between sees the first interval alone,
# where 0 is found: only the last interval is counted.
# K: a loss between is needed, and alone it gives 0: it is lost.
# L: a loss at t0 is needed, z0 alone is wrong, and it is 0: it is lost.
more_boxes = {
    "F": ("z0 A b t", 2),
    "G": ("z0 A b t", 30),
    "H": ("z0 A b t", 4),
    "I": ("t", 39),
    "J": ("A b", 31),
    "K": ("z0 A b t", 27),
    "L": ("z0", 26),
}

# %% [check 11.2]
assert isinstance(more_boxes, dict) and set(more_boxes) == set("FGHIJKL"), (
    "more_boxes should be a dict with the keys F to L."
)
check_diagnosis(more_boxes)

# %% [exercise 11.3] level 3
# The boxes M to S. They look like one another, and like boxes that you know. One of them is right
# in all the experiments that you may have made so far.

# %% [stub 11.3]
last_boxes = {letter: ("", ...) for letter in "MNOPQRS"}  # your answers instead

# %% [solution 11.3]
switched_on = {
    "the simplest": experiment(),
    "a time between": experiment(times=3),
    "a loss at t0, f of t": experiment(driven=True, observed=(0, -1)),
    "f of t": experiment(driven=True),
    "decreasing times": experiment(decreasing=True),
}
expected_there = {name: differences(right, e) for name, e in switched_on.items()}
for letter in "MNOPQRS":
    print(letter, end=":  ")
    for name, e in switched_on.items():
        found, measured = gradients(BOXES[letter], e), expected_there[name]
        wrong = [k for k in found if np.abs(found[k] - measured[k]).max() > 1e-4]
        print(f"{name}: {' '.join(wrong)};" if wrong else "", end=" ")
    print()

# M: all, in the simplest. If z stands still, the Jacobian does, and in one dimension a(t0) is
# w e^(df/dz (t1 - t0)) with df/dz at z(t1): that is what it gives.
e = experiment()
slope_at_end = e.f(e.t[1], solve(e.f, e.z0, e.t, e.A, e.b).y[-1], e.A, e.b)
held = e.w[-1] * np.exp((1 - slope_at_end**2) * e.A[0] * (e.t[1] - e.t[0]))
print("M: found", gradients(BOXES["M"], e)["z0"], "  with z held", held)
# N: z0 alone, in the simplest. It is 0, the weight at t0: that takes the place of a.
print("N: found", gradients(BOXES["N"], e)["z0"])
# O: t alone, only with a loss at t0, whether f depends on t or not: dL/dt0 takes that loss too.
# P: t alone, only with an f of t: the integral of a df/dt is missing.
# Q: all, with a loss at t0. Alone this loss has nothing to do with A, and dL/dA is not 0: the
# weight goes through the solve that it should come after.
print("Q: found", gradients(BOXES["Q"], experiment(observed=(0,)))["A"])
# R: only where times decrease.
# S: all, with a time between and no loss there, not in the simplest: the second solve starts with a
# wrong state. That of its own time would be right, that of its end would show in the simplest too.
last_boxes = {
    "M": ("z0 A b t", 3),
    "N": ("z0 A b t", 20),
    "O": ("t", 35),
    "P": ("t", 36),
    "Q": ("z0 A b t", 19),
    "R": ("", 14),
    "S": ("z0 A b t", 16),
}

# %% [check 11.3]
assert isinstance(last_boxes, dict) and set(last_boxes) == set("MNOPQRS"), (
    "last_boxes should be a dict with the keys M to S."
)
check_diagnosis(last_boxes)

# %% [exercise 11.4] level 2
# Write a test of your own. `my_test(odeint)` is given a solver like those above,
# `odeint(f, y0, t, *args)`. It raises an AssertionError, by `assert`, if a gradient is wrong, and
# returns nothing. Choose the field, the times, the weights and the limit yourself.
#
# `check_your_test(my_test)` gives it two right solvers and forty wrong ones, and counts. For each
# mistake that it misses, you are told the simplest experiment that shows it. (To put mistakes into
# a program and to count those that its tests find is called *mutation testing*.)


# %% [stub 11.4]
def my_test(odeint):
    """Raise AssertionError if a gradient of odeint is wrong."""
    e = experiment()  # one component, two times, a loss at the last: is that enough?
    found, measured = gradients(odeint, e), differences(odeint, e)
    assert np.allclose(found["z0"], measured["z0"], atol=1e-4)


# %% [solution 11.4]
def my_test(odeint):
    """Raise AssertionError if a gradient of odeint is wrong."""
    for decreasing in (False, True):
        e = experiment(**everything, decreasing=decreasing)
        found, measured = gradients(odeint, e), differences(odeint, e)
        for name in found:
            assert np.allclose(found[name], measured[name], rtol=1e-4, atol=1e-4), name


# %% [check 11.4]
check_your_test(my_test)

# %% [exercise 11.5] level 3
# A test runs every day, so it should be cheap. Write `cheap_test(odeint)`, which finds all forty
# mistakes too and calls `odeint` five times at most. (`vjp(lambda ...: odeint(...), ...)` calls it
# once; so does each value. The functions of the laboratory are not needed.)


# %% [stub 11.5]
def cheap_test(odeint):
    """Raise AssertionError if a gradient of odeint is wrong; call it five times at most."""
    ...  # your code here


# %% [solution 11.5]
# One rich problem with decreasing times, and one direction. A central difference of fourth order
# takes four values, the gradients one call more.
def cheap_test(odeint):
    """Raise AssertionError if a gradient of odeint is wrong; call it five times at most."""
    rng = np.random.default_rng(3)
    z0, A, b = rng.normal(size=2), rng.normal(size=(2, 2)), rng.normal(size=2)
    t, w = np.array([2.0, 1.4, 0.9, 0.1]), rng.normal(size=(4, 2))
    primals, v = (z0, A, b, t), tuple(rng.normal(size=x.shape) for x in (z0, A, b, t))
    solution = lambda z0, A, b, t: odeint(f, z0, t, A, b)
    _, pullback = vjp(solution, *primals)
    by_gradients = sum(inner(g, v_x) for g, v_x in zip(pullback(w), v))
    by_values = central_difference(lambda *x: np.sum(w * solution(*x)), primals, v, h=1e-3)
    assert abs(by_gradients - by_values) < 1e-4, f"{by_gradients}, and {by_values} by differences"


# %% [check 11.5]
calls = []


def counted(f, y0, t, *args):
    calls.append(1)
    return right(f, y0, t, *args)


cheap_test(counted)
assert calls, "cheap_test does not call odeint."
assert len(calls) <= 5, (
    f"cheap_test calls odeint {len(calls)} times, and five are allowed. One direction for all"
    " arguments together takes one call for the gradients and two or four for the difference."
)
check_your_test(cheap_test)

# %% [markdown]
# ## What to remember
#
# 1. A loss that falls does not say that the gradient is right. Finite differences of the loss do.
# 2. An experiment shows a mistake only if it uses the wrong line: more than one component, several
#    times, a loss at each of them, an $f$ that depends on $t$, times that decrease.
# 3. Look at the gradients for all arguments, the times too.
# 4. One random direction says whether something is wrong. Simple experiments, one switch at a time,
#    say what.
# 5. Put mistakes into a program on purpose, and count those that your test finds.
#
# ## Sources
#
# G-alg2, N7, P7, G33 (the mistakes of the sources, from chapter 5). DeMillo, Lipton and Sayward,
# "Hints on test data selection" (1978), for tests that are held against mistakes. Claerbout,
# "Earth soundings analysis" (1992), section 5.1, for the test of an adjoint by one random direction
# on each side. The mistakes are those that `tinyode.testing.check_odeint` recognises in students'
# programs.
