# %% [markdown]
# # A latent ODE: series at irregular times
#
# **The question.** Patients are examined when they are ill, not on the hour. A recurrent network
# wants its data at equal steps; for others one puts them into bins, and loses what lies between.
# P-latent, P-time and S-irregular say that a latent ODE needs no bins, as its state can be had at
# any time; S-rnn, that it predicts better than a recurrent network, the more so the fewer and
# noisier the data.

# %%
import numpy as np
from experiment import RESULTS, full, spread, steps, table

from tinyode import datasets, models, nn, odeint, optim, tree, value_and_grad
from tinyode.plotting import COLOURS, panels, save

# %% [markdown]
# ## Spirals, clockwise and not
#
# Archimedean spirals, half of them clockwise, each seen through a window of 100 times that begins
# somewhere on it; of these 100 observations, with noise of 0.3, a series keeps 30, 50 or all 100,
# each its own. What comes in the next 100 times is to be predicted. (Paper and public example leave
# open what a clockwise spiral is, and of which points the error is measured. Here it is the mirror
# image, and the error is against the spiral without noise, both within the window, at all of its
# times, and beyond.)


# %%
def data(seed, n, observations):
    """Return the times, the spirals without noise, their observations, and where these are."""
    rng = np.random.default_rng(seed)
    t, curves, seen = datasets.spirals(rng, n)
    which = np.sort(np.argsort(rng.random((n, 100)), axis=1)[:, :observations], axis=1)
    return t, curves, np.take_along_axis(seen, which[..., None], axis=1), which


# %% [markdown]
# ## The model
#
# A series begins in a hidden state $\mathbf z_0$, which an ODE carries on,
# $\mathbf z' = f(\mathbf z, \theta)$, and a decoder turns $\mathbf z(t_i)$ into what is seen, with
# noise of a deviation $s$ that is given:
# $p(\mathbf x | \mathbf z_0) = \prod_i N(\mathbf x_i; \mathrm{decoder}(\mathbf z(t_i)), s^2)$. A
# recurrent network reads the observations *backwards* in time, each with the time back to the one
# before, and gives the mean $\boldsymbol\mu$ and the deviation $\boldsymbol\sigma$ of a normal
# $q(\mathbf z_0)$. With a standard normal $p(\mathbf z_0)$, Jensen's inequality gives
#
# $$\log p(\mathbf x) = \log \mathbb E_q \frac{p(\mathbf x | \mathbf z_0) p(\mathbf z_0)}{q(\mathbf z_0)}
# \ge \mathbb E_q \log p(\mathbf x | \mathbf z_0) - \mathbb E_q \log \frac{q(\mathbf z_0)}{p(\mathbf z_0)} = \mathrm{ELBO},$$
#
# of which the last mean is
# $\mathrm{KL} = \frac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2)$. To be able to
# differentiate the first, one draws
# $\mathbf z_0 = \boldsymbol\mu + \boldsymbol\sigma \boldsymbol\varepsilon$ from a standard normal
# $\boldsymbol\varepsilon$. The ELBO is what is maximised (Kingma and Welling). Every batch has all
# of its times in one solve: the hundred times of the window, of which each series looks at its own.

# %%
SOLVER = {"rtol": 1e-3, "atol": 1e-4, "gradient": "discrete"}
CELLS = {"RNN": nn.rnn_cell, "GRU": nn.gru_cell}
LATENT, RECURRENT = {}, {}
for name, hidden in (("RNN", 40), ("GRU", 31)):
    widths = {"latent": 4, "hidden": 20, "recognition": 25}
    LATENT[name] = models.latent_ode(2, **widths, noise=0.3, cell=CELLS[name], **SOLVER)
    RECURRENT[name] = models.rnn_forecaster(2, hidden, CELLS[name])


def size(init):
    return sum(map(np.size, tree.flatten(init(np.random.default_rng(0)))[0]))


sizes = {f"latent ODE, {name}": size(LATENT[name][0]) for name in CELLS}
sizes |= {f"recurrent, {name}": size(RECURRENT[name][0]) for name in CELLS}
print("parameters:", sizes)
assert all(sizes[f"recurrent, {name}"] >= sizes[f"latent ODE, {name}"] for name in CELLS)


def descend(loss, parameters, series, n, rate, batch, rng):
    """Return the parameters after n steps of Adam on batches of the series, an array each."""
    gradient = value_and_grad(loss)
    start, update = optim.adam(optim.cosine(rate, n))
    state = start(parameters)
    for _ in steps(n):
        here = rng.choice(len(series[0]), batch, replace=False)
        _, slope = gradient(parameters, *[part[here] for part in series])
        parameters, state = update(parameters, optim.clip(slope, 0.2), state)
    return parameters


def train_latent(cell, observations, n, rate, seed, batch=100):
    init, _, _, elbo = LATENT[cell]
    t, _, x, which = data(101, 1000, observations)
    rng = np.random.default_rng(seed)
    loss = lambda p, x, which: -elbo(p, t[:100], x, which, rng.normal(size=(batch, 4))) / x[0].size
    return descend(loss, init(rng), (x, which), n, rate, batch, rng)


def by_latent(cell, parameters, t, x, which):
    """Return the series at all 200 times by the mean of q."""
    _, encode, decode, _ = LATENT[cell]
    return decode(parameters, encode(parameters, t[:100], x, which)[0], t).swapaxes(0, 1)


# %% [markdown]
# ## What it is held against
#
# A recurrent network that is given the time to the next observation, and predicts that; beyond the
# window it goes on from its own predictions. It has at least as many parameters. Two kinds of cell,
# for both: the simple one of the authors' example, and the gated one (GRU) that everybody uses.


# %%
def gaps_of(t, which):
    """Return the times from each observation to the next, in mean gaps."""
    return np.diff(t[which], axis=1) * which.shape[1]


def train_recurrent(cell, observations, n, rate, seed, batch=100):
    init, predict = RECURRENT[cell]
    t, _, x, which = data(101, 1000, observations)
    rng = np.random.default_rng(seed)
    loss = lambda p, x, gaps: np.mean((predict(p, x, gaps) - x[:, 1:]) ** 2)
    return descend(loss, init(rng), (x, gaps_of(t, which)), n, rate, batch, rng)


def by_recurrent(cell, parameters, t, x, which):
    """Predict every observation but the first from those before, and then the next 100 points."""
    onward = np.concatenate([which[:, -1:], np.tile(np.arange(100, 200), (len(x), 1))], axis=1)
    gaps = np.concatenate([gaps_of(t, which), np.diff(t[onward], axis=1) * which.shape[1]], axis=1)
    return RECURRENT[cell][1](parameters, x, gaps)


def rmse(found, wanted):
    return float(np.sqrt(np.mean((found - wanted) ** 2)))


# %% [markdown]
# A small run first: 30 observations, 150 steps.

# %% [predict]
# A first guess at a spiral is the mean of its observations, wherever it is asked for. The error of
# the model within the window, after these 150 steps, is about what share of the error of that
# guess?

# %%
STEPS = 150
t, curves, x, which = data(103, 200, 30)
before = LATENT["GRU"][0](np.random.default_rng(0))
small = train_latent("GRU", 30, STEPS, 0.04, seed=0, batch=50)
nothing = rmse(np.mean(x, axis=1)[:, None], curves[:, :100])
within = [rmse(by_latent("GRU", p, t, x, which)[:, :100], curves[:, :100]) for p in (before, small)]
print(f"error within the window: untrained {within[0]:.2f},", end=" ")
print(f"after {STEPS} steps {within[1]:.2f}; the mean of the observations {nothing:.2f}")
assert within[1] < 0.6 * nothing < within[0]

# %% [markdown]
# Is it a bound? For one series, and the small model, the two means over $q$ and $\log p(\mathbf x)$
# itself, by many draws.

# %% [predict]
# By how much is the ELBO of this series below its $\log p(\mathbf x)$: by less than one, by some
# ten, or by more than a hundred?

# %%
_, encode, decode, elbo = LATENT["GRU"]
mean, log_variance = (part[0] for part in encode(small, t[:100], x[:1], which[:1]))
normal = np.random.default_rng(4).normal(size=(5000, 4))
z0 = mean + np.exp(0.5 * log_variance) * normal
log_q_over_p = 0.5 * np.sum(z0**2 - normal**2 - log_variance, axis=1)
seen = decode(small, z0, t[:100])[which[0]]
misfit = (seen - x[0][:, None]) / 0.3
log_likelihood = np.sum(-0.5 * misfit**2 - np.log(0.3 * np.sqrt(2 * np.pi)), axis=(0, 2))
weights = log_likelihood - log_q_over_p
log_p = np.logaddexp.reduce(weights) - np.log(len(weights))
kl = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance)
kl_by_draws, elbo_by_draws = np.mean(log_q_over_p), np.mean(weights)
print(f"KL {kl:.3f}, by draws {kl_by_draws:.3f}; ELBO {elbo_by_draws:.2f}, log p {log_p:.2f}")
assert abs(kl_by_draws - kl) < 5 * np.std(log_q_over_p) / np.sqrt(len(normal))
assert elbo_by_draws < log_p
copies = np.tile(x[:1], (300, 1, 1)), np.tile(which[:1], (300, 1))  # of the series
by_model = elbo(small, t[:100], *copies, normal[:300])
assert abs(by_model - elbo_by_draws) < 5 * np.std(weights) / np.sqrt(300)

# %% [markdown]
# ## The table
#
# (`python -m tutorials 9 --full`: 1000 spirals, 2000 steps as in the authors' example, three seeds;
# before that one more seed for each of three learning rates, of which the one is kept that predicts
# the next 20 points best, on 200 other series. The table is made of 200 more.) One number in the
# paper, and three here: within the window, where the latent ODE has seen the observations before
# and after, at all 100 places, and the recurrent network only those before, at the places observed;
# and, from the end of the window, the next 20 and the next 100 points. (Beyond it the recurrent
# network goes on in single steps: its own gap where it knows all 100 observations, a small one
# where it knows 30.)

# %% [predict]
# Beyond the window both kinds of model know the same. With the gated cell and all 100 observations,
# which one has the smaller error over the next 100 points, and about how many times smaller?

# %%
OBSERVATIONS, RATES, SEEDS = (30, 50, 100), (0.01, 0.02, 0.04), (1, 2, 3)
SETTINGS = {"steps": 2000, "batch": 100, "series": 1000, "clip": 0.2}
SETTINGS |= {"solver": SOLVER, "parameters": sizes}


def run(name, observations, rate, seed, judge):
    """Train one model, and measure its errors on the series of this seed."""
    kind, cell = name.split(", ")

    def measure():
        t, curves, x, which = data(judge, 200, observations)
        if kind == "latent ODE":
            train, predict, inside = train_latent, by_latent, curves[:, :100]
        else:
            train, predict = train_recurrent, by_recurrent
            inside = np.take_along_axis(curves, which[:, 1:, None], axis=1)
        parameters = train(cell, observations, SETTINGS["steps"], rate, seed)
        found = predict(cell, parameters, t, x, which)
        if (name, observations, seed) == ("latent ODE, GRU", 30, 1):
            tree.save(RESULTS / "09_latent.npz", parameters)
        return {
            "within": rmse(found[:, :-100], inside),
            "next 20": rmse(found[:, -100:-80], curves[:, 100:120]),
            "next 100": rmse(found[:, -100:], curves[:, 100:]),
        }

    return measure


cases = [(name, k) for k in OBSERVATIONS for name in sizes]
jobs, best = {}, {}
for name, k in cases:
    jobs |= {f"{name}, {k}, {rate}": run(name, k, rate, 0, 102) for rate in RATES}
trials = full("09_latent_ode_rates", {**SETTINGS, "rates": RATES}, jobs)
for name, k in cases:
    tried = {rate: trials[f"{name}, {k}, {rate}"]["next 20"] for rate in RATES}
    best[name, k] = min(tried, key=tried.get)
jobs = {}
for name, k in cases:
    jobs |= {f"{name}, {k}, seed {seed}": run(name, k, best[name, k], seed, 103) for seed in SEEDS}
found = full("09_latent_ode", {**SETTINGS, "rates": list(best.values())}, jobs)


def of(name, k, what):
    """Return the errors of the three seeds."""
    return [found[f"{name}, {k}, seed {seed}"][what] for seed in SEEDS]


PAPER = {  # Chen and others (2018), table 2
    "latent ODE": (0.1642, 0.1502, 0.1346),
    "recurrent": (0.3937, 0.3202, 0.1813),
}
WHERE = ("within", "next 20", "next 100")
rows = []
for name, k in cases:
    errors = [spread(of(name, k, where)) for where in WHERE]
    paper = PAPER[name.split(",")[0]][OBSERVATIONS.index(k)] if name.endswith("RNN") else ""
    rows.append((f"{name}, {k} observations", best[name, k], *errors, paper))
table(rows, "root mean square error", "rate", *WHERE, "paper")


def lead(k, what, cell="GRU"):
    """Return by how much the latent ODE's error is below the recurrent network's of the same cell.

    With it comes the standard error of that.
    """
    ours, theirs = of(f"latent ODE, {cell}", k, what), of(f"recurrent, {cell}", k, what)
    variance = (np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / len(SEEDS)
    return np.mean(theirs) - np.mean(ours), np.sqrt(variance)


for cell in CELLS:
    for k in OBSERVATIONS:
        leads = ["{}: {:+.3f} ± {:.3f}".format(where, *lead(k, where, cell)) for where in WHERE]
        print(f"{cell}, {k} observations: the latent ODE's error is lower by", ", ".join(leads))
significant = lambda k, what, cell="GRU": lead(k, what, cell)[0] / lead(k, what, cell)[1]
assert all(lead(k, "within")[0] > 0 for k in OBSERVATIONS) and significant(50, "within") > 5
assert all(significant(k, "within", "RNN") < -2 for k in OBSERVATIONS)
by, error = lead(50, "next 20")
assert abs(by) + 2 * error < 0.05
assert all(abs(significant(k, "next 20")) < 2 for k in (30, 100))
assert significant(30, "next 20", "RNN") > 3 and significant(100, "next 100") < -5
ends = [name for name, rate in best.items() if rate in (RATES[0], RATES[-1])]
print(f"{len(ends)} of {len(best)} rates are the first or the last of those that were tried")
ratio = np.divide(PAPER["recurrent"], PAPER["latent ODE"])
assert 1.3 < min(ratio) and max(ratio) < 2.4

# %% [markdown]
# P-latent, P-time and S-irregular **hold**: no bins, each series at its own times, and the state
# can be had at any time, before and after the data too. S-rnn **does not hold here**, as it stands:
#
# * *Within* the window the latent ODE with a gated cell has the smaller error on average at every
#   number of observations, clearly at 50. But it has seen both sides of each point, and the
#   recurrent network one. With the simple cell of the authors' example it is the other way round:
#   the recognition network is then the weak part, and more observations do not help it.
# * *Beyond* the window, where both know the same, three seeds show no difference between them over
#   the next 20 points with gated cells. With simple cells and 30 observations, the case of the
#   claim, the latent ODE is better. Over 100 points, from 100 observations, the gated recurrent
#   network is better. Single seeds differ much here: of the latent ODE with 50 observations, the
#   one by which the rate was chosen has 0.27 on other series, those of the table 1.2 to 1.8.
# * "The more so, the fewer": the signs agree (next 20: +0.04, 0.00, -0.03), but three seeds are too
#   few. Noise was not varied.
# * The paper's recurrent network had 1.3 to 2.4 times the error of its latent ODE. Ours is about as
#   good as the paper's latent ODE, within the window: given the time differences, and tried with
#   the same rates (some of which, for both kinds, are at the end of those tried), it is a baseline
#   to be reckoned with. (What exactly the paper measured it does not say.)
#
# ## What it looks like
#
# Four spirals that it has never seen, from 30 observations each, by the model of the first seed:
# within the window, beyond it, and, as an ODE can be solved backwards too, before it. Within, it is
# closer to the truth than its data are. Beyond, it goes on smoothly, and wrong: nothing in the ELBO
# asks that where the window ends, $\mathbf z$ should be what it is for a series that begins there.
# Exercise 9.3 asks whether it knows.

# %%
ours = tree.load(RESULTS / "09_latent.npz")
mean, _ = encode(ours, t[:100], x, which)
path = by_latent("GRU", ours, t, x, which)
earlier = decode(ours, mean, np.array([0.0, *-t[1:31]])).swapaxes(0, 1)
# The place on the spiral where the window begins, and the 20 points before it
beginning = np.hypot(*curves[:, 0].T) / (0.3 * 6 * np.pi / 499)
whole = beginning > 21
back = np.arange(20) + 1
phi = (beginning[whole, None] - back) * 6 * np.pi / 499
direction = np.where(np.arange(200)[whole] % 2, -1, 1)[:, None]
truth = 0.3 * phi[..., None] * np.stack([np.cos(phi), direction * np.sin(phi)], axis=-1)
error_before, staying = rmse(earlier[whole, 1:21], truth), rmse(curves[whole, :1], truth)
error_after, at_origin = rmse(path[:, 100:], curves[:, 100:]), rmse(0.0, curves[:, 100:])
print(f"error over the 20 points before the window {error_before:.2f},", end=" ")
print(f"staying where it begins {staying:.2f};", end=" ")
print(f"over the next 100 points {error_after:.2f}, at the origin for ever {at_origin:.2f}")
assert error_before < 0.5 * staying
figure, axes = panels(4, width=16, height=4.4)
for i, panel in enumerate(axes):
    panel.plot(*curves[i].T, color="#bbbbbb", linewidth=5, label="the spiral")
    panel.plot(*path[i, :100].T, color=COLOURS[0], label="within")
    panel.plot(*path[i, 99:].T, "--", color=COLOURS[4], label="beyond")
    panel.plot(*earlier[i].T, ":", color=COLOURS[2], label="before")
    panel.plot(*x[i].T, ".", color="#222222", label="observations")
    panel.set(xticks=[], yticks=[], aspect="equal")
axes[0].legend(fontsize=9)
save(
    figure,
    "09_series",
    alt="Four spirals that the model has not seen, each with 30 noisy observations around its inner"
    " part. Within the window the model's curve follows the spiral closely, more closely than the"
    " observations do. Beyond the window it leaves it: in the first panel a little, in the other"
    " three it cuts across the inside. Before the window it goes on inwards for a short way.",
)

# %%
f = nn.mlp(4, 20, 20, 4, activation=nn.elu)[1]
z = odeint(lambda t, z, theta: f(theta, z), mean[:40], t[:100], ours["f"], **SOLVER)
directions = np.linalg.svd((z - z.mean(axis=(0, 1))).reshape(-1, 4), full_matrices=False)[2][:2]
figure, axes = panels(3, width=17, height=4.8)
for i in range(40):
    colour = COLOURS[0] if i % 2 else COLOURS[4]
    axes[0].plot(*(z[:, i] @ directions.T).T, color=colour, linewidth=1)
axes[0].set(xlabel="first direction", ylabel="second direction")
axes[0].set(title="Latent trajectories, clockwise and not")


def turning(curve):
    """Return by how much a curve turns to the left, in radians."""
    angle = np.unwrap(np.arctan2(*np.diff(curve, axis=0).T[::-1]))
    return angle[-1] - angle[0]


kinds = [mean[i::2].mean(axis=0) for i in (0, 1)]
middle, turns = mean.mean(axis=0), []
for s, value in enumerate(np.linspace(-2, 2, 7)):
    grey = str(0.1 + 0.11 * s)
    start = np.concatenate([[middle[0] + value * mean[:, 0].std()], middle[1:]])[None]
    axes[1].plot(*decode(ours, start, t[:100])[:, 0].T, color=grey, label=f"{value:+.1f}")
    share = 0.5 + value / 4  # of the way from one kind to the other
    curve = decode(ours, ((1 - share) * kinds[0] + share * kinds[1])[None], t[:100])[:, 0]
    turns.append(turning(curve))
    axes[2].plot(*curve.T, color=grey, label=f"{share:.2f}")
axes[1].legend(fontsize=9, title="standard deviations")
axes[1].set(title="A walk across the first latent dimension", aspect="equal")
axes[2].legend(fontsize=9, title="of the way")
axes[2].set(title="From the mean of one kind to that of the other", aspect="equal")
save(
    figure,
    "09_latent",
    alt="Three panels. Left: forty latent trajectories seen in two of their directions; those of"
    " clockwise spirals lie on one side, those of the others on the other side. Middle: the curves"
    " decoded along the first latent dimension, from -2 to +2 standard deviations: arcs of growing"
    " size, and two short ones that are no spiral. Right: the curves decoded along the line from"
    " the mean of one kind to that of the other: a short crooked one first, then growing arcs.",
)
print("turning along the way from one kind to the other:", np.round(turns, 1))
assert turns[0] * turns[-1] < 0 and min(abs(turns[0]), abs(turns[-1])) > 1

# %% [markdown]
# Two directions of the four in which $\mathbf z$ moves: the two kinds of spirals keep apart. A walk
# across the first latent dimension alone leads through curves of both kinds and some that are
# neither, for nothing in the ELBO gives a single dimension a meaning. Along the line between the
# means of the two kinds the turning changes its sign. (The first of these is hardly a spiral: in
# the mean of a kind the phases cancel.)
#
# ## Exercises

# %% [exercise 9.1] level 1
# How certain is the recognition network of what it says? Write `deviation`: the mean, over all
# series and all four dimensions, of the standard deviation $\sigma$ of $q(\mathbf z_0)$, by the
# trained model `ours`. It is given observations `x`, shape (n, k, 2), and `which`, shape (n, k), as
# `encode` is, whose times are `t[:100]`. (`encode` returns two arrays, the mean and the logarithm
# of the *variance*.)


# %% [stub 9.1]
def deviation(x, which):
    """Return the mean of sigma over the series and the dimensions, one number."""
    ...  # your code here


# %% [solution 9.1]
def deviation(x, which):
    """Return the mean of sigma over the series and the dimensions, one number."""
    _, log_variance = encode(ours, t[:100], x, which)
    return np.mean(np.exp(0.5 * log_variance))


for every in (1, 2, 6):
    fewer = x[:, ::every], which[:, ::every]
    print(f"{fewer[0].shape[1]} observations: mean deviation of z0 {deviation(*fewer):.3f}")

# %% [check 9.1]
given = deviation(x[:, ::6], which[:, ::6])
assert given is not None, "deviation returns None: where is its `return`?"
assert np.shape(given) == (), (
    f"deviation returns the shape {np.shape(given)}; it should be one number, the mean over all"
)
_, of_five = encode(ours, t[:100], x[:, ::6], which[:, ::6])
right = np.mean(np.exp(0.5 * of_five))
mistakes = {
    "That is the mean variance: sigma is its root, exp(log_variance / 2).": np.exp(of_five).mean(),
    "That is the root of the mean variance; the mean of the deviations is asked for.": np.sqrt(
        np.exp(of_five).mean()
    ),
    "That is the mean of the logarithm: take exp(log_variance / 2) first.": of_five.mean(),
    "That is the mean of log(sigma): take exp of it, then the mean.": 0.5 * of_five.mean(),
    "That is the mean of the means, what `encode` returns first.": encode(
        ours, t[:100], x[:, ::6], which[:, ::6]
    )[0].mean(),
}
hint = [text for text, wrong in mistakes.items() if np.isclose(given, wrong)]
assert np.isclose(given, right, rtol=1e-6), (
    f"for every sixth observation the deviation is {given:.4f}, and it should be {right:.4f}."
    f" {''.join(hint)}"
)

# %% [exercise 9.2] level 2
# Is it right in that? Give it five of the thirty observations of each series, every sixth:
# `x[:, ::6]` and `which[:, ::6]`. By which factor does the deviation of exercise 9.1 grow, from
# thirty observations to five? And by which the error within the window, the `rmse` of what
# `by_latent` gives at the first 100 times against `curves` there? Set `factors` to the two: first
# that of the deviation, second that of the error.

# %% [stub 9.2]
factors = ...  # two numbers: of the deviation, of the error

# %% [solution 9.2]
# It becomes less certain, but far too little: it was trained with 30.
found = {}
for every in (1, 6):
    fewer = x[:, ::every], which[:, ::every]
    sigma = np.mean(np.exp(0.5 * encode(ours, t[:100], *fewer)[1]))
    path_of_fewer = by_latent("GRU", ours, t, *fewer)
    found[every] = np.array([sigma, rmse(path_of_fewer[:, :100], curves[:, :100])])
factors = found[6] / found[1]
print("with five observations instead of thirty, times as large: the deviation of z0", end=" ")
print(f"{factors[0]:.1f}, the error within {factors[1]:.1f}")
assert factors[1] > 3 * factors[0]

# %% [check 9.2]
assert np.shape(factors) == (2,), f"factors is {factors}; it should be two numbers"
few = x[:, ::6], which[:, ::6]
sigmas = [np.mean(np.exp(0.5 * encode(ours, t[:100], *seen)[1])) for seen in (few, (x, which))]
found_by = [by_latent("GRU", ours, t, *seen) for seen in (few, (x, which))]
of_window = [rmse(found[:, :100], curves[:, :100]) for found in found_by]
of_all = [rmse(found, curves) for found in found_by]
right = np.array([sigmas[0] / sigmas[1], of_window[0] / of_window[1]])
mistakes = {
    "These are the two in the wrong order: the deviation comes first.": right[::-1],
    "Divide what five observations give by what thirty give, not the other way round.": 1 / right,
    "The error is taken over all 200 times; the window has the first 100.": np.array(
        [right[0], of_all[0] / of_all[1]]
    ),
}
hint = [text for text, wrong in mistakes.items() if np.allclose(factors, wrong, rtol=0.02)]
for called, factor, wanted in zip(("deviation", "error"), factors, right):
    assert np.isclose(factor, wanted, rtol=0.02), (
        f"the factor of the {called} is {factor:.2f}, which is not right. {''.join(hint)}"
    )

# %% [exercise 9.3] level 2
# How certain is it of what comes later? Write `spread_over_time`: draw $\mathbf z_0$ from $q$ some
# number of times for each of the 200 series (given all of `x` and `which`), decode each draw at all
# 200 times `t`, and return how far the draws lie from one another at each time, an array of shape
# (200,): the variance over the draws, averaged over the series and the two coordinates, and the
# root of that. Compare it with the error of `path` at these times. (`decode` returns the shape
# (200 times, n series, 2).)


# %% [stub 9.3]
def spread_over_time(draws, rng):
    """Return the spread of the predictions at each of the times t, shape (200,)."""
    ...  # your code here


# %% [solution 9.3]
def spread_over_time(draws, rng):
    """Return the spread of the predictions at each of the times t, shape (200,)."""
    mean, log_variance = encode(ours, t[:100], x, which)
    sigma = np.exp(0.5 * log_variance)
    starts = [mean + sigma * rng.normal(size=mean.shape) for _ in range(draws)]
    many = np.stack([decode(ours, z0, t) for z0 in starts])  # (draws, times, series, 2)
    return np.sqrt(np.mean(np.var(many, axis=0), axis=(1, 2)))


# Too certain within the window, and much too certain beyond it.
spreads = spread_over_time(20, np.random.default_rng(7))
off = np.sqrt(np.mean((path - curves) ** 2, axis=(0, 2)))
at = [0, 50, 99, 150, 199]
print("at t = 0, 1/2, 1, 3/2, 2: spread", np.round(spreads[at], 3), end=" ")
print("error", np.round(off[at], 3))
assert spreads[199] < 0.2 * off[199] and spreads[50] < 0.8 * off[50]

# %% [check 9.3]
given = spread_over_time(12, np.random.default_rng(8))
assert given is not None, "spread_over_time returns None: where is its `return`?"
assert np.shape(given) == (200,), (
    f"spread_over_time returns the shape {np.shape(given)}; it should be (200,), one number for"
    " each time"
)
centre, log_variance = encode(ours, t[:100], x, which)
noises = np.random.default_rng(9).normal(size=(12, *centre.shape))


def decoded(sigma):
    """Return what is decoded from the draws with this deviation."""
    return np.stack([decode(ours, centre + sigma * noise, t) for noise in noises])


drawn, too_narrow = decoded(np.exp(0.5 * log_variance)), decoded(np.exp(log_variance))
pooled = np.mean(np.var(drawn, axis=0), axis=(1, 2))
mistakes = {
    "That is the variance: the root is missing.": pooled,
    "The draws lie too near: sigma is exp(log_variance / 2).": np.sqrt(
        np.mean(np.var(too_narrow, axis=0), axis=(1, 2))
    ),
    "That is how the series differ from one another, not the draws of one series.": np.sqrt(
        np.mean(np.var(drawn, axis=2), axis=(0, 2))
    ),
    "All draws are alike: z0 = mean + sigma * (new normal numbers for each draw).": np.zeros(200),
}
hint = [text for text, wrong in mistakes.items() if np.allclose(given, wrong, rtol=0.1)]
share = np.median(given / np.sqrt(pooled))  # 12 draws of 200 series: known to some percent
assert 0.9 < share < 1.1, (
    f"the spread is {share:.2f} times what it should be, in the middle of the 200 times."
    f" {''.join(hint[:1])}"
)

# %% [exercise 9.4] level 3
# Does the model know the times of its observations, or only their order? Take the series whose last
# observation leaves room, `fits = which[:, -1] < 95`, and tell the model that all their
# observations were made five steps later (`which + 5`). The spirals that it should now see at the
# times 5 to 99 are `curves` at the times 0 to 94. Set `errors` to two root mean square errors over
# the times 5 to 99 against these moved spirals: first that of what the model now predicts; second
# that of what it predicted before (`path`), which is the error it would have if it did not notice.

# %% [stub 9.4]
errors = ...  # two numbers: of what it predicts now, of what it predicted before

# %% [solution 9.4]
fits = which[:, -1] < 95
now = by_latent("GRU", ours, t, x[fits], which[fits] + 5)
errors = [rmse(some[:, 5:100], curves[fits, :95]) for some in (now, path[fits])]
print(f"observations moved by five steps: error {errors[0]:.3f};", end=" ")
print(f"had it not noticed {errors[1]:.3f}")
assert errors[0] < 0.6 * errors[1]  # it notices

# %% [check 9.4]
assert np.shape(errors) == (2,), f"errors is {errors}; it should be two numbers"
room = which[:, -1] < 95
told_later = by_latent("GRU", ours, t, x[room], which[room] + 5)[:, 5:100]
told_before = by_latent("GRU", ours, t, x[room], which[room])[:, 5:100]
moved, unmoved = curves[room, :95], curves[room, 5:100]
right = [rmse(told_later, moved), rmse(told_before, moved)]
mistakes = {
    "These are the two in the wrong order: what it predicts now comes first.": right[::-1],
    "They are taken against the spirals where they were. Moved by five steps, a spiral is at the"
    " time i where it was at i - 5.": [rmse(told_later, unmoved), rmse(told_before, unmoved)],
    "The second is taken against the spirals where they were; both are against the moved ones.": [
        right[0],
        rmse(told_before, unmoved),
    ],
}
hint = [text for text, wrong in mistakes.items() if np.allclose(errors, wrong, rtol=0.01)]
for called, one_error, wanted in zip(("first", "second"), errors, right):
    assert np.isclose(one_error, wanted, rtol=0.01), (
        f"the {called} error is {one_error:.3f}, which is not right. {''.join(hint)}"
    )

# %% [markdown]
# ## Sources
#
# P-latent, P-time (Price-Broncucia, "What are the benefits?"); S-irregular, S-rnn (Lenze and
# Rothe). Chen, Rubanova, Bettencourt and Duvenaud, "Neural ordinary differential equations" (2018),
# section 5 and their public example (latent_ode.py in torchdiffeq). Cho and others, "Learning
# phrase representations using RNN encoder-decoder" (2014). Kingma and Welling, "Auto-encoding
# variational Bayes" (2014).
