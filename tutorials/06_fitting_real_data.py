# %% [markdown]
# # Fitting real data: the lynx and the hare

# %% [markdown]
# **Needs**: chapters 1 (solvers), 3 (gradients) and 5 (the adjoint of an ODE, momentum); chapter 4
# for exercise 6.5. From school: logarithm, mean and standard deviation, the normal distribution.
#
# **You will be able to**: fit the parameters of an ODE to data; say how sure the fit is; choose
# between Adam and Gauss and Newton's method.
#
# **Minutes**: 70 to 100.
#
# **The question.** From 1900 to 1920 the Hudson's Bay Company wrote down how many pelts of snowshoe
# hare and of lynx it bought. The numbers go up and down, the lynx after the hare. Can an equation
# be fitted to them, with gradients through a solver? And what can a neural network for the
# right-hand side add?

# %%
import numpy as np

from tinyode import (
    compiled,
    datasets,
    grad,
    hessian,
    jacobian,
    nn,
    odeint,
    optim,
    solve,
    tree,
    value_and_grad,
)
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import central_difference, check_without, inner, random_like

years, pelts = datasets.lynx_hare()
t = years - 1900
for year, (hare, lynx) in list(zip(years, pelts))[:5]:
    print(f"{year:.0f}: {hare:5.1f} thousand pelts of hare, {lynx:5.1f} thousand of lynx")

# %% [markdown]
# ## Lotka and Volterra's equations
#
# $H$ is the count of the hares and $L$ that of the lynx, in thousands of pelts. (In this chapter
# $L$ is the lynx, and $\ell$ is the loss.) Hares multiply at the rate $\alpha$, and lynx eat them:
# the more lynx there are, the faster. Lynx die at the rate $\gamma$, and multiply faster where
# there are more hares:
#
# $$\frac{dH}{dt} = (\alpha - \beta L) H, \qquad \frac{dL}{dt} = (\delta H - \gamma) L.$$
#
# With $\alpha = 0.5$ and $\beta = 0.02$, four thousand lynx leave the hares a rate of
# $0.5 - 0.02 \cdot 4 = 0.42$ a year; sixty thousand give the rate $0.5 - 0.02 \cdot 60 = -0.7$.
#
# Counts are positive and range from 4 to 77. Their logarithms are easier to work with. Take
# $\mathbf x = (\log H, \log L)$; then $\frac{dx_1}{dt} = \frac{1}{H} \frac{dH}{dt}$, and
#
# $$\frac{dx_1}{dt} = \alpha - \beta e^{x_2}, \qquad \frac{dx_2}{dt} = \delta e^{x_1} - \gamma.$$
#
# In the code, `own` is $(\alpha, \gamma)$, and `meeting` is $(\beta, \delta)$. A fit calls $f$ a
# hundred thousand times, so the right-hand sides of this chapter are `compiled` (chapter 5).


# %%
@compiled
def lotka_volterra(t, x, own, meeting):
    """Return dx/dt for x = (log H, log L), own = (alpha, gamma) and meeting = (beta, delta)."""
    alpha, gamma = own
    beta, delta = meeting
    H, L = np.exp(x)
    return np.array([alpha - beta * L, delta * H - gamma])


counts, own, meeting = np.array([30.0, 4.0]), np.array([0.5, 1.0]), np.array([0.02, 0.02])
print("dx/dt in 1900, for a first guess:", lotka_volterra(0.0, np.log(counts), own, meeting))
by_counts = np.array([(0.5 - 0.02 * 4.0) * 30.0, (0.02 * 30.0 - 1.0) * 4.0])
assert np.allclose(lotka_volterra(0.0, np.log(counts), own, meeting), by_counts / counts)

# %% [markdown]
# ## The loss: a likelihood
#
# > **Likelihood.** A model says how probable each observation is. For a number that can have any
# > value, it says this by a density: probability per unit, which may be above 1. The likelihood is
# > the product of the densities of the data that were seen, as a function of the parameters.
# > Fitting means: find the parameters that make it greatest.
#
# Our model: each observation $y_{ij}$ (year $i$, animal $j$) is the count on the curve times a
# random factor, $\log y_{ij} = x_j(t_i) + \sigma_j \epsilon_{ij}$, where $\epsilon_{ij}$ is normal
# with mean 0 and deviation 1. $\sigma_j = 0.2$ means that an observation is typically 20 % above or
# below the curve. The misfit $r_{ij} = \log y_{ij} - x_j(t_i)$ then has the density
#
# $$\frac{1}{\sqrt{2 \pi} \sigma_j} \exp\left(-\frac{r_{ij}^2}{2 \sigma_j^2}\right).$$
#
# The logarithm makes a sum of the product of 42 densities, and a minus makes "smallest" of
# "greatest". The loss is the negative logarithm of the likelihood, without the constants
# $\log \sqrt{2 \pi}$:
#
# $$\ell = \sum_{i,j} \left[ \frac{r_{ij}^2}{2 \sigma_j^2} + \log \sigma_j \right].$$
#
# The first term is small where the misfits are small against $\sigma$. The second grows with
# $\sigma$. One misfit of 0.1, for three values of $\sigma$:

# %%
misfit = 0.1
for sigma in (0.02, 0.1, 1.0):
    density = np.exp(-(misfit**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    one_term = misfit**2 / (2 * sigma**2) + np.log(sigma)
    print(f"sigma = {sigma:4}: density {density:.6f}, its term of the loss {one_term:6.3f}")
    assert np.isclose(one_term, -np.log(density) - np.log(np.sqrt(2 * np.pi)))

# %% [markdown]
# Of the three, $\sigma = 0.1$ makes it most probable: the size of the misfit itself. For $n$
# misfits of one animal, the slope of the loss in $\sigma$ is
# $-\frac{1}{\sigma^3} \sum_i r_i^2 + \frac{n}{\sigma}$. It is zero where
#
# $$\sigma^2 = \frac{1}{n} \sum_i r_i^2,$$
#
# so the best $\sigma$ is the root mean square of the misfits.
#
# Eight numbers are to be found: $\alpha, \gamma$; $\beta, \delta$; the counts of 1900; and
# $\sigma_1, \sigma_2$. All are positive, so we look for their logarithms. The dictionary `q` holds
# these: `own`, `meeting`, `start`, `sigma`. `tree.map` applies a function to each array in it, and
# `tree.ravel` returns all its numbers as one vector, and a function that goes back. The vector has
# the keys in alphabetical order, so it begins with `meeting`: $\log \beta, \log \delta$.


# %%
def predicted(q, n=21, **options):
    """Return log H and log L in the first n years, shape (n, 2)."""
    options = {"rtol": 1e-6, "atol": 1e-6, **options}
    own, meeting = np.exp(q["own"]), np.exp(q["meeting"])
    return odeint(lotka_volterra, q["start"], t[:n], own, meeting, **options)


def minus_log_likelihood(q, n=21, **options):
    """Return the loss on the first n years."""
    r = np.log(pelts[:n]) - predicted(q, n, **options)
    return np.sum(0.5 * (r / np.exp(q["sigma"])) ** 2) + n * np.sum(q["sigma"])


guess = {"own": own, "meeting": meeting, "start": pelts[0], "sigma": np.array([0.3, 0.3])}
guess = tree.map(np.log, guess)

# %% [markdown]
# First a check: the adjoint's gradient against a finite difference of the loss, along a random
# direction in all eight numbers.

# %%
precise = lambda q: minus_log_likelihood(q, rtol=1e-8, atol=1e-8)
direction = random_like(np.random.default_rng(0), guess)
by_adjoint = inner(grad(precise)(guess), direction)
by_difference = float(central_difference(precise, (guess,), (direction,), h=1e-3))
print(f"slope of the loss by the adjoint {by_adjoint:.8f}, by differences {by_difference:.8f}")
assert abs(by_adjoint - by_difference) < 1e-5 * abs(by_difference)

# %% [markdown]
# ## Downhill by Adam
#
# > **Adam.** Momentum (chapter 5) steps along a sum of the gradients. Adam keeps a running mean of
# > them, $m \leftarrow 0.9 m + 0.1 g$, and one of their squares,
# > $v \leftarrow 0.999 v + 0.001 g^2$, for each parameter by itself. Both start at zero and are too
# > small at first, so after $k$ steps $m$ is divided by $1 - 0.9^k$, and $v$ by $1 - 0.999^k$. The
# > step is $-m / \sqrt v$ times the learning rate. If $g$ is 5 in each step, then $m = 5$ and
# > $\sqrt v = 5$: the step is minus the learning rate. For 500 it is the same. If $g$ is 5, -5, 5
# > and so on, as across a narrow valley, $m$ is soon $\pm 0.26$: the step is twenty times shorter.

# %%
init, update = optim.adam(0.05)
gradient = grad(minus_log_likelihood)(guess)
moved = tree.map(np.subtract, update(guess, gradient, init(guess))[0], guess)
print("the slopes of log alpha and log gamma:", gradient["own"], "  Adam moves", moved["own"])
assert np.allclose(np.abs(tree.ravel(moved)[0]), 0.05)


# %%
def fit(loss, q, schedule):
    """Adam, for each (steps, learning rate) of the schedule."""
    for steps, rate in schedule:
        init, update = optim.adam(rate)
        state = init(q)
        for _ in range(steps):
            value, gradient = value_and_grad(loss)(q)
            q, state = update(q, gradient, state)
    return q, value


by_adam, _ = fit(minus_log_likelihood, guess, [(60, 0.05)])
print(f"loss {minus_log_likelihood(guess):.3f} at the guess, ", end="")
print(f"{minus_log_likelihood(by_adam):.3f} after 60 steps of Adam")

# %% [markdown]
# These were sixty solves forward and sixty backward. Adam works for many parameters and any loss.
#
# ## Gauss and Newton's method
#
# This loss is a special one: while $\sigma$ is held, it is a sum of squares and a constant. Put the
# weighted misfits $r_{ij} / \sigma_j$ in a column $\mathbf r$ of 42 numbers. It depends on the
# other six numbers of $q$. A small step $\mathbf d$ of these changes it by $J \mathbf d$, where $J$
# is its Jacobian, a matrix of 42 rows and 6 columns. So
#
# $$\tfrac12 \Vert \mathbf r(q + \mathbf d) \Vert^2 \approx \tfrac12 \Vert \mathbf r + J \mathbf d \Vert^2, \qquad \text{smallest where} \quad J^T J \mathbf d = -J^T \mathbf r.$$
#
# (There the gradient with respect to $\mathbf d$, the row $(\mathbf r + J \mathbf d)^T J$, is
# zero.) `np.linalg.lstsq` solves this. Take the step, compute the best $\sigma$ anew, and repeat:
# this is Gauss and Newton's (or the Gauss-Newton) method. A step that makes the loss larger is
# halved. With the best $\sigma$, $\sum_i r_{ij}^2 / \sigma_j^2 = n$, so
# $\ell = n \sum_j (\log \sigma_j + \frac12)$: the function `loss_of`.
#
# $J$ takes *one solve forward* with `gradient="forward"` (chapter 5): the derivatives of
# $\mathbf x(t)$ with respect to the six numbers are solved for together with $\mathbf x(t)$. That
# is an ODE for $2 + 2 \cdot 6 = 14$ numbers.


# %%
def best_sigma(r):
    """Return the root mean square of each column."""
    return np.sqrt(np.mean(r**2, axis=0))


def loss_of(r):
    """Return the loss with the best sigma, for misfits r of shape (number, 2)."""
    return len(r) * np.sum(np.log(best_sigma(r)) + 0.5)


def gauss_newton(misfits, q, steps=30):
    """Return q near a minimum of loss_of(misfits(q)), and the losses on the way."""
    vector, unravel = tree.ravel(q)
    r_of = lambda vector: misfits(unravel(vector))
    r, losses = r_of(vector), []
    for _ in range(steps):
        losses.append(loss_of(r))
        if len(losses) > 1 and losses[-2] - losses[-1] < 1e-8:
            break
        weights = 1 / best_sigma(r)
        J = weights[:, None] * jacobian(r_of)(vector)  # shape (number, 2, length of vector)
        d = np.linalg.lstsq(J.reshape(r.size, -1), -np.ravel(weights * r))[0]
        while loss_of(r_of(vector + d)) > losses[-1] and np.abs(d).max() > 1e-6:
            d = d / 2
        vector = vector + d
        r = r_of(vector)
    return unravel(vector), losses


def misfits(q, n=21):
    """Return log y - x in the first n years, shape (n, 2)."""
    return np.log(pelts[:n]) - predicted(q, n, gradient="forward")


six = {name: guess[name] for name in ("own", "meeting", "start")}
r = misfits(six)
with_best = {**six, "sigma": np.log(best_sigma(r))}
assert np.isclose(loss_of(r), minus_log_likelihood(with_best))
assert np.abs(grad(minus_log_likelihood)(with_best)["sigma"]).max() < 1e-3  # the best indeed

# %% [predict]
# Gauss and Newton's method starts from the same guess. After how many steps is its loss lower than
# Adam's after sixty? And after how many do its first six digits no longer change?

# %%
q, losses = gauss_newton(misfits, six)
for step, loss in enumerate(losses):
    print(f"after {step} steps: loss {loss:.7f}")
assert len(losses) < 12 and losses[3] < minus_log_likelihood(by_adam) < losses[2]

# %% [markdown]
# Three steps do better than Adam's sixty, and six digits stay from the fifth on. (The loss of step
# 0 is below that of the guess above: its $\sigma$ is the best one, not 0.3.)
#
# ## How sure is the fit?
#
# `found` holds the eight numbers, no longer their logarithms. At the minimum all slopes are zero.
# The *Hessian* $\nabla^2 \ell$ is the matrix of second derivatives. It says how fast the loss rises
# around the minimum. `hessian` differentiates the gradient once more; with `gradient="discrete"`
# (chapter 5) it is exact for the loss that was computed. For the six numbers without $\sigma$,
# $\nabla^2 \frac12 \Vert \mathbf r \Vert^2 = J^T J + \sum_k r_k \nabla^2 r_k$. If all misfits $r_k$
# are small, the sum is small, and $J^T J$ is near the Hessian.

# %%
q = {**q, "sigma": np.log(best_sigma(misfits(q)))}
found = tree.map(np.exp, q)
vector, unravel = tree.ravel(q)
exact = lambda vector: minus_log_likelihood(unravel(vector), gradient="discrete")
hess = hessian(exact)(vector)
print(f"loss {exact(vector):.6f}, largest slope {np.abs(grad(exact)(vector)).max():.1e}")
assert np.abs(grad(exact)(vector)).max() < 1e-2 and np.allclose(hess, hess.T, rtol=1e-9)
numbers, unravel_six = tree.ravel({name: q[name] for name in six})
r_of_six = lambda numbers: np.ravel(misfits(unravel_six(numbers)) / found["sigma"])
J = jacobian(r_of_six)(numbers)  # shape (42, 6)
print(f"second derivative by log alpha {hess[2, 2]:.0f}; by J^T J {(J.T @ J)[2, 2]:.0f}")
assert np.linalg.eigvalsh(hess).min() > 0  # a minimum indeed

# %% [markdown]
# > **Posterior.** Before the data, we may know something: "$\alpha$ is about 1 a year, give or take
# > 0.5". As a density this is the *prior*. After the data, the density is the *posterior*: prior
# > times likelihood, divided by their integral so that the total is 1 (Bayes' rule). Its mean is an
# > estimate, and its standard deviation says how sure it is.
#
# Look at $\log \alpha$ alone first, with the other seven numbers held at the minimum. The
# likelihood is $e^{-\ell}$ times a constant. Near the minimum
# $\ell \approx \ell_{min} + \frac12 \ell'' s^2$ at the distance $s$, and $e^{-\ell'' s^2 / 2}$ is a
# normal density of the deviation $1 / \sqrt{\ell''}$. If all eight numbers move, by a column
# $\mathbf s$, it is $e^{-\mathbf s^T (\nabla^2 \ell) \mathbf s / 2}$. (In the cell the prior, too,
# is a density of $\log \alpha$.)
#
# > **Covariance.** The covariance of two numbers is the mean of $s_i s_j$. That of a number with
# > itself is the square of its deviation. Divided by both deviations it is the *correlation*,
# > between -1 and 1. The matrix of the covariances of the normal density above is the inverse of
# > $\nabla^2 \ell$. (Along an eigenvector of $\nabla^2 \ell$ with the eigenvalue $\lambda$, the
# > deviation is $1 / \sqrt \lambda$, as for one number.)

# %%
alpha_at, beta_at = 2, 0  # where log alpha and log beta stand in the vector
grid = vector[alpha_at] + np.linspace(-0.25, 0.25, 81)
moved_to = lambda s: np.where(np.arange(8) == alpha_at, s, vector)
likelihood = np.exp([exact(vector) - exact(moved_to(s)) for s in grid])
prior = np.exp(-((np.exp(grid) - 1.0) ** 2) / (2 * 0.5**2))
for name, density in (
    ("the likelihood alone", likelihood),
    ("prior times likelihood", prior * likelihood),
):
    density = density / np.sum(density)
    mean_of = np.sum(density * grid)
    deviation_of = np.sqrt(np.sum(density * (grid - mean_of) ** 2))
    print(f"{name:22}: mean of log alpha {mean_of:.4f}, deviation {deviation_of:.4f}")
    assert abs(deviation_of * np.sqrt(hess[alpha_at, alpha_at]) - 1) < 0.05
print(f"minimum of the loss {vector[alpha_at]:.4f}, ", end="")
print(f"1 / sqrt(second derivative) {1 / np.sqrt(hess[alpha_at, alpha_at]):.4f}")
covariance = np.linalg.inv(hess)
print(f"if all eight may move: deviation {np.sqrt(covariance[alpha_at, alpha_at]):.4f}", end="; ")
correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
print(f"correlation of log alpha and log beta {correlation[alpha_at, beta_at]:.2f}")
assert correlation[alpha_at, beta_at] > 0.5

# %% [markdown]
# The data say so much about $\alpha$ that the prior hardly moves it. But the deviation to report is
# that of the last line, six times larger. If $\alpha$ is a little larger, a larger $\beta$ makes up
# for most of it, so $\alpha$ is less certain than it is with $\beta$ held. ($q$ are logarithms, so
# a deviation $s$ of $q$ is about $e^q s$ of the parameter.)
#
# Is the fit right? Carpenter (2018) fitted the same model with weak priors, by a program that draws
# random numbers from the posterior. He gives posterior means, and we the maximum of the likelihood.
# These are not the same, but ours should lie within one of his standard deviations.

# %% [predict]
# Carpenter's noise is $\sigma = 0.25$, a mean over the posterior. Ours is the value that makes the
# likelihood of the data greatest. Will it be larger or smaller?

# %%
deviation = tree.map(np.multiply, found, unravel(np.sqrt(np.diag(covariance))))
reference = {  # where it stands in ours; posterior mean, standard deviation, Carpenter (2018)
    "alpha": ("own", 0, 0.55, 0.07),
    "beta": ("meeting", 0, 0.028, 0.004),
    "gamma": ("own", 1, 0.80, 0.10),
    "delta": ("meeting", 1, 0.024, 0.004),
    "H(1900)": ("start", 0, 34.0, 3.0),
    "L(1900)": ("start", 1, 5.9, 0.5),
}
print("            ours (deviation)     Carpenter (deviation)   distance in his deviations")
for name, (key, i, mean, width) in reference.items():
    distance = (found[key][i] - mean) / width
    print(f"{name:8} {found[key][i]:8.4f} ({deviation[key][i]:.4f})", end=" ")
    print(f"{mean:14.3f} ({width:.3f}) {distance:20.2f}")
    assert abs(distance) < 1
print(f"noise    {found['sigma'][0]:8.4f} and {found['sigma'][1]:.4f} {0.25:16.2f}")
assert np.all(found["sigma"] < 0.25)

# %% [markdown]
# Ours is smaller. The curve was moved towards these observations, so it is nearer to them than the
# true one would be: maximum likelihood underestimates the noise.

# %%


def solved(found, times, **options):
    """Return the logarithms of hare and lynx at these times, for parameters that were found."""
    start, own, meeting = np.log(found["start"]), found["own"], found["meeting"]
    return solve(lotka_volterra, start, times, own, meeting, **options).y


fine = np.linspace(0, 20, 401)
curve = np.exp(solved(found, fine))
figure, (left, right) = panels(2, width=12, height=4.8, width_ratios=[1.7, 1])
for j, (name, colour) in enumerate((("hare", COLOURS[0]), ("lynx", COLOURS[4]))):
    band = np.exp(found["sigma"][j])
    left.fill_between(1900 + fine, curve[:, j] / band, curve[:, j] * band, color=colour, alpha=0.15)
    left.plot(1900 + fine, curve[:, j], color=colour, label=f"{name}, fitted, and one $\\sigma$")
    left.plot(years, pelts[:, j], "o", color=colour, label=f"{name}, observed")
left.set(xlabel="year", ylabel="pelts, thousands", xticks=range(1900, 1921, 5))
left.set_title("Lotka and Volterra's equations, fitted to 42 numbers")
left.legend(fontsize=12, ncols=2, loc="upper right")
left.set_ylim(0, 105)
right.plot(curve[:, 0], curve[:, 1], color="black", linewidth=1.6)
scatter = right.scatter(pelts[:, 0], pelts[:, 1], c=years, cmap="viridis", zorder=3, s=45)
figure.colorbar(scatter, ax=right, label="year", ticks=[1900, 1910, 1920])
right.set(xlabel="hare, thousands", ylabel="lynx, thousands", title="The same, as a cycle")
save(
    figure,
    "06_lynx_and_hare",
    alt="Left: pelts in thousands against the years 1900 to 1920, hare and lynx. The fitted curves"
    " rise and fall twice, the lynx a year or two after the hare, and most observations lie in the"
    " bands of one sigma around them. Right: lynx against hare; the fitted curve is closed and the"
    " observations run around it twice.",
)

# %% [markdown]
# ## Local minima, and multiple shooting
#
# The first guess was a lucky one. Over twenty years the loss has many minima, because a curve with
# another period still meets some of the data. Start with $\alpha = 1.2$ and $\gamma = 2$ instead:

# %%
far = {**six, "own": np.log([1.2, 2.0])}
stuck, losses = gauss_newton(misfits, far)
print(f"from alpha = 1.2, gamma = 2: loss {losses[-1]:.2f} instead of {loss_of(misfits(q)):.2f}")
print("sigma there:", best_sigma(misfits(stuck)), "  alpha, gamma:", np.exp(stuck["own"]))
for name, numbers in (("this curve", stuck), ("the best curve", q)):
    hares = predicted(numbers)[:, 0]
    peaks = years[1:-1][(hares[1:-1] > hares[:-2]) & (hares[1:-1] > hares[2:])]
    print(f"years of the most hares on {name}: {', '.join(f'{year:.0f}' for year in peaks)}")
assert losses[-1] > loss_of(misfits(q)) + 40
stuck["sigma"] = np.log(best_sigma(misfits(stuck)))
slopes = grad(minus_log_likelihood)(stuck)
assert np.abs(tree.ravel(slopes)[0]).max() < 1e-2  # a minimum too

# %% [markdown]
# It is a minimum: the slopes are zero there too. But $\sigma$ is about 0.6, three times too large,
# and the curve swings too often. So: look at the fit, start from several guesses, and compare the
# losses.
#
# *Multiple shooting* (Bock, 1983) helps against such minima. Cut the twenty years into five pieces
# of four years. Each piece has a start of its own, which is unknown too: at first it is what
# was observed in that year. Over four years a wrong rate does little harm. The five pieces need not
# meet, but each *jump* between them counts as a misfit. The field does not depend on $t$, so each
# piece may start at time 0, and one solve with a state of shape (2, 5) gives all five. Their fit
# then is the guess for one solve over all years.


# %%
pieces = 5
starts = np.arange(0, 20, 20 // pieces)  # a piece starts in each of these years


def misfits_in_pieces(q):
    """Return all misfits, and the jumps from each piece to the next, shape (number, 2)."""
    own, meeting = np.exp(q["own"]), np.exp(q["meeting"])
    options = {"rtol": 1e-6, "atol": 1e-6, "gradient": "forward"}
    x = odeint(lotka_volterra, q["starts"], t[: 20 // pieces + 1], own, meeting, **options)
    # x has the shape (years, animals, pieces), and the last year is the first of the next piece
    observed = [(np.log(pelts[starts + year]) - x[year].T) for year in range(20 // pieces)]
    jumps = x[-1, :, :-1].T - q["starts"][:, 1:].T
    last = np.log(pelts[20:]) - x[-1, :, -1:].T
    return np.concatenate([*observed, last, jumps])


in_pieces = {"own": far["own"], "meeting": far["meeting"], "starts": np.log(pelts[starts]).T}
in_pieces, losses = gauss_newton(misfits_in_pieces, in_pieces)
print(f"in pieces, {len(losses) - 1} steps: alpha, gamma = {np.exp(in_pieces['own'])}")
joined = {name: in_pieces[name] for name in ("own", "meeting")}
joined, losses = gauss_newton(misfits, {**joined, "start": in_pieces["starts"][:, 0]})
print(f"from there in one piece, {len(losses) - 1} steps: loss {losses[-1]:.6f}")
assert abs(losses[-1] - loss_of(misfits(q))) < 1e-6

# %% [markdown]
# That is the lowest minimum. From 45 guesses, $\alpha$ from 0.3 to 2 and $\gamma$ from 0.3 to 3, it
# was found 30 times in one piece, and 45 times in five pieces first (measured once, not here).
#
# ## A network that knows nothing of hares
#
# Now forget the biology: let a network of 16 hidden units be the right-hand side. Its state is the
# logarithms, scaled to mean zero and deviation one:
#
# $$\frac{d\mathbf x}{dt} = \mathrm{NN}_\theta(\mathbf x).$$
#
# Fit it, and Lotka and Volterra's equations too, to 1900 to 1914, and draw both to 1920.
#
# A network with random weights has all the local minima of the last section. Another cure that is
# often used: fit the first five years, then nine, then twelve, then fifteen. The loss is the mean
# square of the misfits of the scaled logarithms, and $10^{-3}$ times the sum of the squared
# weights, which keeps these small. Two steps of rk4 a year are accurate enough for the fit; what
# comes out is solved with an adaptive method below.

# %%
known = 15
scaled = np.log(pelts)
mean, width = scaled[:known].mean(axis=0), scaled[:known].std(axis=0)
scaled = (scaled - mean) / width
init, apply = nn.mlp(2, 16, 2)


@compiled
def network(t, x, parameters):
    return apply(parameters, x)


def by_rk4(q, n, gradient="discrete"):
    """Return the scaled logarithms in the first n years, by the network."""
    options = {"method": "rk4", "step_size": 0.5, "gradient": gradient}
    return odeint(network, q["start"], t[:n], q["network"], **options)


def distance_to_data(q, n):
    size = sum(np.sum(layer["W"] ** 2) for layer in q["network"])
    return np.mean((by_rk4(q, n) - scaled[:n]) ** 2) + 1e-3 * size


neural = {"start": scaled[0], "network": init(np.random.default_rng(0))}
schedules = {5: [(100, 0.03)], 9: [(80, 0.03)], 12: [(80, 0.03)], known: [(150, 0.03), (80, 0.01)]}
for n, schedule in schedules.items():
    neural, value = fit(lambda q, n=n: distance_to_data(q, n), neural, schedule)
    print(f"fitted to the first {n:2} years: loss {value:.4f}")

short, losses = gauss_newton(lambda q: misfits(q, known), six)
print(f"the equations, the same years: {len(losses) - 1} steps of Gauss and Newton")
short = tree.map(np.exp, short)

# %% [markdown]
# Why not Gauss and Newton's method for the network? There are two reasons. The first is the cost.
# It needs $J$: `"forward"` solves for a column of derivatives for each parameter. Adam needs only
# the gradient: Algorithm 2 solves for one adjoint, and one integral for each parameter. With many
# components of the state this is far less. (Our network has 82 weights, and the start is 2 more.)

# %%
numbers, unravel_network = tree.ravel(neural)
print("components  parameters   numbers in the ODE: forward   Algorithm 2")
for components, p in ((2, 6), (2, numbers.size), (1000, 100_000)):
    forward, algorithm_2 = components + components * p, 2 * components + p
    print(f"{components:10} {p:11,} {forward:29,} {algorithm_2:13,}")

# %% [markdown]
# The second: there are more parameters than observations, so many steps $\mathbf d$ fit equally
# well. The rank of $J$ is the number of independent steps $\mathbf d$ that change a misfit.

# %%
J = jacobian(lambda numbers: by_rk4(unravel_network(numbers), known, "forward"))(numbers)
singular = np.linalg.svd(J.reshape(2 * known, -1), compute_uv=False)
rank = np.count_nonzero(singular > 1e-6 * singular[0])
print(f"J has {2 * known} rows and {numbers.size} columns, and the rank {rank}:", end=" ")
print(f"in {numbers.size - rank} directions the data say nothing")
assert rank == 2 * known < numbers.size

# %% [markdown]
# So $J^T J$ has no inverse, and Gauss and Newton's step is not determined. Adam needs no inverse.

# %% [predict]
# The network has 84 numbers, the equations have 6, and both have seen 1900 to 1914. Which of the
# two will be nearer to the data in these years, and which from 1915 to 1920?

# %%
by_network = solve(network, neural["start"], fine, neural["network"]).y * width + mean
by_equations = solved(short, fine)
yearly = slice(None, None, 20)
size = numbers.size
curves = {"Lotka-Volterra, 6 numbers": by_equations, f"neural ODE, {size} numbers": by_network}
print("root mean square error of the logarithm  1900-1914   1915-1920")
errors = {}
for name, log_curve in curves.items():
    residual = log_curve[yearly] - np.log(pelts)
    errors[name] = [np.sqrt(np.mean(part**2)) for part in (residual[:known], residual[known:])]
    print(f"{name:40} {errors[name][0]:9.3f} {errors[name][1]:11.3f}")
# Nothing learned at all: every year like the mean of the fifteen known
nothing = np.sqrt(np.mean((np.log(pelts[known:]) - mean) ** 2))
print(f"the mean of 1900-1914, for comparison {nothing:24.3f}")
(equations_known, equations_later), (network_known, network_later) = errors.values()
assert network_known < equations_known
assert network_known < network_later and equations_later < network_later

# %%
figure, axes = panels(2, width=12, height=4.6, sharey=True)
hollow = {"markerfacecolor": "white", "markeredgewidth": 2}
for axes_of, log_curve in zip(axes, (by_equations, by_network)):
    axes_of.axvspan(1914.5, 1920.3, color="#eeeeee")
    for j, (name, colour) in enumerate((("hare", COLOURS[0]), ("lynx", COLOURS[4]))):
        axes_of.semilogy(1900 + fine, np.exp(log_curve[:, j]), color=colour, label=name)
        axes_of.semilogy(years[:known], pelts[:known, j], "o", color=colour)
        axes_of.semilogy(years[known:], pelts[known:, j], "o", color=colour, **hollow)
    axes_of.text(1917.4, 108, "not fitted", ha="center", fontsize=12, color="#555555")
    axes_of.set(xlabel="year", ylim=(3, 140), xticks=range(1900, 1921, 5))
axes[0].set(title="Lotka and Volterra, 6 numbers", ylabel="pelts, thousands")
axes[0].set(yticks=[5, 10, 20, 50, 100], yticklabels=["5", "10", "20", "50", "100"])
axes[1].set(title=f"Neural ODE, {size} numbers")
axes[0].legend(fontsize=12, loc="upper left", ncols=2)
save(
    figure,
    "06_two_extrapolations",
    alt="Hare and lynx against the years 1900 to 1920, twice: the equations left, the network"
    " right, the axis of pelts logarithmic. Up to 1914 the network passes closer to the"
    " observations. In the grey part from 1915 on, which neither has seen, both turn as the"
    " observations do, and both miss how low the hares fall.",
)

# %% [markdown]
# ## What this shows, and what it does not
#
# In the fifteen years the network is closer to the data. It has fourteen times as many numbers as
# the equations, and part of what it fits is noise. In the six years after them it does somewhat
# worse than the equations, from this random start and from others.
#
# The solutions of Lotka and Volterra's equations are closed curves, whatever the parameters: the
# next cycle is like the last. The network had to *learn* that its curve turns, and one and a half
# cycles of data do not say how far it swings next.
#
# Both miss how few hares there were after 1914, and both are far better than the mean of the known
# years. Six years of one experiment do not decide which of the two is better.
#
# ## Exercises
#
# `found`, a dictionary, holds the fitted numbers: `found["own"]` is $(\alpha, \gamma)$,
# `found["meeting"]` is $(\beta, \delta)$, `found["start"]` the counts of 1900, `found["sigma"]` the
# two $\sigma$. `solved(found, times)` returns $\log H$ and $\log L$ on the fitted curve, an array
# of shape (number of times, 2), where times count from 1900.

# %% [exercise 6.1] level 1
# Along a solution $V = \delta H - \gamma \log H + \beta L - \alpha \log L$ does not change: its
# slope $(\delta - \frac{\gamma}{H}) \frac{dH}{dt} + (\beta - \frac{\alpha}{L}) \frac{dL}{dt}$ is
# $(\delta H - \gamma)(\alpha - \beta L) + (\beta L - \alpha)(\delta H - \gamma) = 0$. So $V$ tests
# a solver. Write `drift(tolerance)`: it solves the fitted curve at the times `fine` with `rtol` and
# `atol` both equal to `tolerance`, and returns the greatest $V$ minus the smallest.


# %% [stub 6.1]
def drift(tolerance):
    """Return by how much V changes along the fitted curve."""
    ...  # your code here


# %% [solution 6.1]
def drift(tolerance):
    """Return by how much V changes along the fitted curve."""
    (alpha, gamma), (beta, delta) = found["own"], found["meeting"]
    log_H, log_L = solved(found, fine, rtol=tolerance, atol=tolerance).T
    V = delta * np.exp(log_H) - gamma * log_H + beta * np.exp(log_L) - alpha * log_L
    return np.ptp(V)


for tolerance in (1e-3, 1e-6, 1e-9):
    print(f"rtol = atol = {tolerance:.0e}: V changes by {drift(tolerance):.1e}")

# %% [check 6.1]
drifts = [drift(tolerance) for tolerance in (1e-3, 1e-6, 1e-11)]
assert all(isinstance(d, (float, np.ndarray, np.number)) and np.shape(d) == () for d in drifts), (
    f"drift(tolerance) returns {drifts[0]!r}; it should be one number."
)
assert min(drifts) >= 0, (
    f"drift(1e-3) is {drifts[0]:.2g}; the greatest minus the smallest is positive."
)
assert drifts[1] != drifts[2], (
    f"drift is {drifts[1]:.2g} for every tolerance: give it to `solved` as rtol and as atol."
)
assert drifts[2] < 1e-8, (
    f"V changes by {drifts[2]:.2g} even at a tolerance of 1e-11, so this is not V. Do delta and H"
    " stand together, gamma and log H, beta and L, alpha and log L? `solved` returns log H and"
    " log L, so H is np.exp of the first."
)
assert drifts[0] > 100 * drifts[1], (
    f"V changes by {drifts[0]:.2g} at a tolerance of 1e-3 and by {drifts[1]:.2g} at 1e-6. The loose"
    " solve should be much worse. Is the whole curve looked at, all times of `fine`?"
)

# %% [exercise 6.2] level 2
# At one pair of counts of hare and lynx nothing changes. Counts near it swing around it, and all
# small swings take the same time. Find the pair and the time with pen and paper, from the equations
# for $\mathbf x = (\log H, \log L)$ and their Jacobian there, and set
#
# * `equilibrium`: an array of two numbers, $H$ and $L$ in thousands of pelts, where nothing
#   changes;
# * `small`: the period of small swings, in years.

# %% [stub 6.2]
equilibrium = ...  # two numbers, H and L
small = ...  # a number

# %% [solution 6.2]
# alpha = beta L and gamma = delta H. There the Jacobian of dx/dt is [[0, -alpha], [gamma, 0]], with
# eigenvalues plus and minus i sqrt(alpha gamma): small swings turn with that frequency.
(alpha, gamma), (beta, delta) = found["own"], found["meeting"]
equilibrium = np.array([gamma / delta, alpha / beta])
small = 2 * np.pi / np.sqrt(alpha * gamma)
print(f"{equilibrium[0]:.1f} hares and {equilibrium[1]:.1f} lynx; a period of {small:.2f} years")

# %% [check 6.2]
assert np.shape(equilibrium) == (2,), (
    f"equilibrium is {equilibrium!r}; it should be an array of two numbers, H and L."
)
assert isinstance(small, (float, np.ndarray, np.number)) and np.shape(small) == (), (
    f"small is {small!r}; it should be one number, years."
)
assert np.all(np.greater(equilibrium, 0)), f"equilibrium is {equilibrium}; counts are positive."
own, meeting = found["own"], found["meeting"]
still = lambda counts: np.abs(lotka_volterra(0.0, np.log(counts), own, meeting)).max() < 1e-9
assert not still(np.asarray(equilibrium)[::-1]), (
    f"equilibrium is {equilibrium}: H and L are exchanged. The growth of the hares is zero at a"
    " count of the lynx, and the other way round."
)
assert not still(np.exp(equilibrium)), (
    f"equilibrium is {equilibrium}: these are log H and log L; asked for are H and L."
)
rate = lotka_volterra(0.0, np.log(equilibrium), own, meeting)
assert still(equilibrium), f"At equilibrium = {equilibrium} the counts change: dx/dt = {rate}."


def away(years, push=1e-3):
    """Return how far a small swing is from its start after that many years, per push."""
    x0 = np.log(equilibrium) + np.array([push, 0.0])
    x1 = solve(lotka_volterra, x0, [0.0, years], own, meeting, rtol=1e-10, atol=1e-12).y[-1]
    return np.abs(x1 - x0).max() / push


is_period = lambda years: 1 < years < 100 and away(years) < 0.02
words = f"small = {small:.4f} "
assert is_period(small) or not is_period(2 * np.pi / small), (
    words + "is a frequency (radians in a year); the period is 2 pi divided by it."
)
assert is_period(small) or not is_period(2 * np.pi * small), (
    words + "is one over the frequency; the period is 2 pi times as long."
)
assert is_period(small) or not is_period(2 * small), (
    words + "is half of a period: the swing is then on the other side."
)
assert is_period(small), (
    words + "is no period: after it a small swing is not back where it was. The eigenvalues of the"
    " Jacobian of (log H, log L) at the equilibrium are plus and minus i times the frequency."
)
assert not is_period(small / 2), words + "is two periods, or more."

# %% [exercise 6.3] level 2
# The fitted cycle is no small swing. Set `cycle` to its period in years, right to 0.01 year: the
# time after which the curve from `found["start"]` is back at its start. How you find it is up to
# you: `np.argmax`, peaks on a grid of times that is fine enough, or `tinyode.root` (chapter 4).

# %% [stub 6.3]
cycle = ...  # a number

# %% [solution 6.3]
# From one peak of the hares to the next, on a grid of 0.005 years.
times = np.linspace(0, 20, 4001)
hares = solved(found, times)[:, 0]
peaks = np.flatnonzero((hares[1:-1] > hares[:-2]) & (hares[1:-1] > hares[2:])) + 1
cycle = times[peaks[1]] - times[peaks[0]]
print(f"the fitted cycle takes {cycle:.2f} years, longer than small swings")

# %% [check 6.3]
assert isinstance(cycle, (int, float, np.ndarray, np.number)) and np.shape(cycle) == (), (
    f"cycle is {cycle!r}; it should be one number, years."
)
assert 0 < cycle < 50, (
    f"cycle = {cycle}: the period is a few years. Is this an index into the times, not a time?"
)
halfway, back = solved(found, np.array([0.0, cycle / 2, cycle]), rtol=1e-9, atol=1e-9)[1:]
start = np.log(found["start"])
speed = lotka_volterra(0.0, start, found["own"], found["meeting"])
assert np.abs(back - start).max() < 0.25, (
    f"After cycle = {cycle:.3f} years the counts are {np.exp(back)}, not back at {np.exp(start)}."
    " It is the time from a peak of the hares to their next peak, and not the period of small"
    " swings."
)
assert np.abs(halfway - start).max() > 0.25, (
    f"After cycle / 2 = {cycle / 2:.3f} years the counts are back already: these are two cycles."
)
late = (back - start) @ speed / (speed @ speed)
assert abs(late) < 0.015, (
    f"cycle = {cycle:.4f} is {abs(late):.3f} years too {'long' if late > 0 else 'short'}. Take a"
    " finer grid of times, or a parabola through the three highest points."
)

# %% [exercise 6.4] level 2
# Which observation lies farthest from the fitted curve, in units of $\sigma$? One gradient says it,
# that of $\ell$ with respect to the *data*. Set
#
# * `pull`: the gradient of $\ell$ with respect to $\log y_{ij}$ at the fitted numbers, an array of
#   shape (21, 2), by `grad` of a function of `log_pelts`, which may use `solved(found, t)`;
# * `farthest`: a tuple of three, `"hare"` or `"lynx"`, the year (1900 to 1920), and the distance in
#   units of $\sigma$, a positive number.

# %% [stub 6.4]
pull = ...  # an array of shape (21, 2)
farthest = ...  # animal, year, distance


# %% [solution 6.4]
def loss_of_data(log_pelts):
    """Return what of the loss depends on the data."""
    return np.sum(0.5 * ((log_pelts - solved(found, t)) / found["sigma"]) ** 2)


pull = grad(loss_of_data)(np.log(pelts))  # (log y - x) / sigma^2: times sigma, it is the distance
distances = np.abs(pull * found["sigma"])
i, j = np.unravel_index(np.argmax(distances), distances.shape)
farthest = ("hare", "lynx")[j], int(years[i]), distances[i, j]
print(f"the {farthest[0]} of {farthest[1]}, {farthest[2]:.2f} sigma from the curve")

# %% [check 6.4]
assert np.shape(pull) == (21, 2), f"pull is {pull!r}; it should be an array of shape (21, 2)."
away = (np.log(pelts) - solved(found, t, rtol=1e-9, atol=1e-9)) / found["sigma"]
agrees = lambda x: np.allclose(x, away, atol=1e-3)
where = f" The first row of pull is {pull[0]}."
assert not agrees(-pull * found["sigma"]), (
    "pull has the wrong sign: is it the gradient of l, for log_pelts?" + where
)
assert not agrees(pull * pelts * found["sigma"]), (
    "pull is the gradient for the pelts; asked for is that for their logarithms." + where
)
assert not agrees(pull), "pull is the distance in units of sigma, not the gradient of l." + where
assert agrees(pull * found["sigma"]), "pull is not the gradient of l for log y." + where
assert isinstance(farthest, tuple) and len(farthest) == 3, (
    f"farthest is {farthest!r}; it should be a tuple of three: animal, year, distance."
)
animal, year, distance = farthest
assert animal in ("hare", "lynx") and year in years, (
    f'farthest is {farthest!r}; it should begin with "hare" or "lynx", and a year from 1900 to'
    " 1920."
)
there = np.abs(away[int(year) - 1900, ("hare", "lynx").index(animal)])
assert there > np.abs(away).max() - 1e-6, (
    f"The {animal} of {year} lie {there:.2f} sigma from the curve; another observation lies"
    " farther. np.argmax counts through rows and columns together; np.unravel_index takes them"
    " apart. And what counts is the size, not the sign."
)
assert np.isclose(distance, there, atol=0.01), (
    f"The {animal} of {year} lie {there:.2f} sigma from the curve, not {distance:.2f}. The gradient"
    " divides by sigma twice, the distance once, and it is positive."
)

# %% [exercise 6.5] level 3
# If one observation were a little larger, by how much would the fitted $\alpha$ change? The fit
# is the root of a system of equations, $\nabla_q \ell(q, \mathbf y) = 0$, and chapter 4 says how a
# function of a root changes with what the system depends on, here the data. Set `influence` to
# $\frac{d \log \alpha}{d \log y_{ij}}$, an array of shape (21, 2), by one linear solve with the
# Hessian `hess` of the chapter and one gradient with respect to the data. (Entry 2 of the vector
# `tree.ravel(q)[0]` is $\log \alpha$, and the rows of `hess` are in the same order. `grad` can be
# differentiated by `grad`, through `odeint` as well; use `gradient="discrete"`.)

# %% [stub 6.5]
influence = ...  # an array of shape (21, 2)

# %% [solution 6.5]
# G24 and G26 with f = grad l, u = q, p = log y, g = log alpha: hess lambda = e_alpha (it is symmetric),
# and the influence is -lambda^T d(grad l)/dy, the gradient of -lambda . grad l for the data.
vector, unravel = tree.ravel(q)
lam = np.linalg.solve(hess, np.eye(8)[2])


def loss_of_both(vector, log_pelts):
    """Return the loss without the logarithms of sigma, which do not depend on the data."""
    fitted = tree.map(np.exp, unravel(vector))
    options = {"rtol": 1e-6, "atol": 1e-6, "gradient": "discrete"}
    x = odeint(
        lotka_volterra, np.log(fitted["start"]), t, fitted["own"], fitted["meeting"], **options
    )
    return np.sum(0.5 * ((log_pelts - x) / fitted["sigma"]) ** 2)


influence = -grad(lambda y: lam @ grad(loss_of_both)(vector, y))(np.log(pelts))
i, j = np.unravel_index(np.argmax(np.abs(influence)), influence.shape)
print(f"most by the {('hare', 'lynx')[j]} of {years[i]:.0f}: one per cent more,", end=" ")
print(f"and alpha is {influence[i, j]:.2f} per cent larger")

# %% [check 6.5]
assert np.shape(influence) == (21, 2), (
    f"influence is {influence!r}; it should be an array of shape (21, 2)."
)


def refitted(i, j, rise=0.01):
    """Return the rise of log alpha per rise of the logarithm of one observation, by a new fit."""
    log_pelts = np.log(pelts)
    log_pelts[i, j] += rise

    again, _ = gauss_newton(lambda q: log_pelts - predicted(q, gradient="forward"), six)
    return (again["own"][0] - q["own"][0]) / rise


def look_at(i, j):
    """Hold one influence against a new fit."""
    right, name = refitted(i, j), f"influence[{i}, {j}] = {influence[i, j]:.4f}"
    hint = f" A new fit, with this observation 1 % larger, gives {right:.4f}."
    assert abs(influence[i, j] + right) > 0.02 * abs(right), (
        f"{name} has the wrong sign (G24 has a minus)." + hint
    )
    assert abs(influence[i, j] - right) < 0.05 * abs(right), (
        f"{name} is not how log alpha changes. Is lambda the solution of hess lambda = e, with e one"
        " at entry 2? Is the gradient taken for the logarithms of the data?" + hint
    )


look_at(1, 0)
look_at(10, 1)

# %% [exercise 6.6] level 3
# The last rung of the ladder: fit the lynx and the hare with *your own* code, without tinyode.
# Paste your engine (exercise 3.5), your solver's step (1.4) and the way back of your adjoint (5.5).
# NumPy is all that may be imported. What is new:
#
# * Your engine needs one more method, `exp`, which `np.exp` calls.
# * $\mathbf a \frac{\partial f}{\partial \mathbf x}$ is the gradient of the number $\mathbf a f$
#   with respect to $\mathbf x$: `my_gradient` of `(a * f(...)).sum()` gives that, and the products
#   for the parameters with it.
# * Write $f$ with the operations of your engine. With the matrix $S$ that exchanges two components,
#   $f = \mathbf u + \mathbf w \odot (S e^{\mathbf x})$, where $\mathbf u = (\alpha, -\gamma)$,
#   $\mathbf w = (-\beta, \delta)$, and $\odot$ multiplies element by element. Columns of shape
#   (2, 1) suit the rules of `@`.
# * With the best $\sigma$ the loss is $\ell = 21 \sum_j (\log \sigma_j + \frac12)$, `loss_of` of the
#   chapter, and $\frac{\partial \ell}{\partial x_j(t_i)} = -r_{ij} / \sigma_j^2$.
# * Two steps of a method of fourth order for each year are accurate enough.
#
# Write `my_loss(q)`, and find `mine`, the six logarithms that fit best, with Adam or with what you
# like. A hundred steps of Adam take a few seconds.


# %% [stub 6.6]
def my_loss(q):
    """Return the loss and its gradient, an array of shape (6,).

    q has the logarithms of alpha, gamma, beta, delta, H(1900) and L(1900).
    """
    ...  # your code here: your engine, your step and your adjoint stand above this function


first = np.log([0.5, 1.0, 0.02, 0.02, 30.0, 4.0])
mine = ...  # six numbers: where your fit ends that starts at `first`


# %% [solution 6.6]
class Mine:
    """The engine of exercise 3.5: a value, its parents, and the way back to each."""

    def __init__(self, value, parents=()):
        self.value, self.parents = np.asarray(value, dtype=float), parents

    def __add__(self, other):
        return Mine(self.value + other.value, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        a, b = self.value, other.value
        return Mine(a * b, [(self, lambda g: g * b), (other, lambda g: g * a)])

    def __matmul__(self, other):
        a, b = self.value, other.value
        return Mine(a @ b, [(self, lambda g: g @ b.T), (other, lambda g: a.T @ g)])

    def sum(self):
        return Mine(self.value.sum(), [(self, lambda g: g * np.ones_like(self.value))])

    def exp(self):  # the new one: exp is its own derivative
        y = np.exp(self.value)
        return Mine(y, [(self, lambda g: g * y)])


def gradient_by_mine(f, *arrays):
    inputs = [Mine(x) for x in arrays]
    output, order, seen = f(*inputs), [], set()

    def visit(v):
        if id(v) not in seen:
            seen.add(id(v))
            for parent, _ in v.parents:
                visit(parent)
            order.append(v)

    visit(output)
    cotangents = {id(v): np.zeros_like(v.value) for v in [*inputs, *order]}
    cotangents[id(output)] = np.ones_like(output.value)
    for v in reversed(order):
        for parent, back in v.parents:
            cotangents[id(parent)] = cotangents[id(parent)] + back(cotangents[id(v)])
    return [cotangents[id(v)] for v in inputs]


def my_step(f, t, y, h):  # step_of of exercise 1.4, with the tableau of the classical method
    A, b, c = [(), (0.5,), (0, 0.5), (0, 0, 1)], [1 / 6, 1 / 3, 1 / 3, 1 / 6], [0, 0.5, 0.5, 1]
    ks = []
    for row, c_i in zip(A, c):
        ks.append(f(t + c_i * h, y + h * sum(a * k for a, k in zip(row, ks))))
    return y + h * sum(weight * k for weight, k in zip(b, ks))


def one_year(f, t, y, direction):
    """Return y a year later, or earlier (direction -1), by two steps."""
    for i in range(2):
        y = my_step(f, t + i * direction / 2, y, direction / 2)
    return y


def f_of(x, u, w, S):
    return u + w * (S @ np.exp(x))


def a_f(a, x, u, w, S):  # its gradients are f, a df/dx, a df/du and a df/dw
    return (a * f_of(x, u, w, S)).sum()


def my_loss(q):
    """Return the loss and its gradient, an array of shape (6,)."""
    alpha, gamma, beta, delta = np.exp(q[:4])
    u, w = np.array([[alpha], [-gamma]]), np.array([[-beta], [delta]])
    S = np.array([[0.0, 1.0], [1.0, 0.0]])
    x = [q[4:, None]]
    for i in range(20):
        x.append(one_year(lambda t, x: f_of(x, u, w, S), i, x[i], +1))
    r = np.log(pelts) - np.hstack(x).T
    sigma = np.sqrt(np.mean(r**2, axis=0))
    dl_dx = -r / sigma**2

    def aug_dynamics(t, s):  # the columns of s: x, a, and the integrals for u and w
        f_x, *products, _ = gradient_by_mine(a_f, s[:, 1:2], s[:, :1], u, w, S)
        return np.hstack([f_x, *(-product for product in products)])

    a, integrals = dl_dx[20][:, None], np.zeros((2, 2))
    for i in range(20, 0, -1):
        s = one_year(aug_dynamics, i, np.hstack([x[i], a, integrals]), -1)
        a, integrals = s[:, 1:2] + dl_dx[i - 1][:, None], s[:, 2:]
    # the derivative by a logarithm: of u, w times u, w
    gradient = [*(integrals[:, 0] * u[:, 0]), *(integrals[:, 1] * w[:, 0]), *a[:, 0]]
    return 21 * np.sum(np.log(sigma) + 0.5), np.array(gradient)


def my_adam(q, rates):
    m, v = np.zeros(6), np.zeros(6)
    for k, rate in enumerate(rates, 1):
        g = my_loss(q)[1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        q = q - rate * (m / (1 - 0.9**k)) / np.sqrt(v / (1 - 0.999**k))
    return q


first = np.log([0.5, 1.0, 0.02, 0.02, 30.0, 4.0])
mine = my_adam(first, [0.05] * 70 + [0.01] * 30)
print(f"loss {my_loss(first)[0]:.3f} -> {my_loss(mine)[0]:.3f}, without a line of tinyode")
print("alpha, gamma, beta, delta, H(1900), L(1900):", np.round(np.exp(mine), 4))


# %% [check 6.6]
def of_library(q):
    """Return the loss for the six logarithms in the order of the exercise."""
    x = predicted({"own": q[:2], "meeting": q[2:4], "start": q[4:]})
    return loss_of(np.log(pelts) - x)


def weighted(q, weights):
    """Return the gradient of the sum of x times weights."""
    named = lambda q: {"own": q[:2], "meeting": q[2:4], "start": q[4:]}
    return grad(lambda q: np.sum(weights * predicted(named(q))))(q)


def look_at(q):
    """Hold my_loss against the library at one q."""
    answer = my_loss(q)
    assert isinstance(answer, (tuple, list)) and len(answer) == 2, (
        f"my_loss returns {answer!r}; it should return the loss and its gradient."
    )
    value, slopes = answer
    assert np.shape(value) == () and np.shape(slopes) == (6,), (
        f"my_loss returns the shapes {np.shape(value)} and {np.shape(slopes)}; they should be ()"
        " and (6,)."
    )
    case, right = f"At q = {np.round(q, 3).tolist()}", of_library(q)
    assert abs(value - right) < 0.2, (
        f"{case} your loss is {value:.3f}; it is {right:.3f}. With one step a year it would be off"
        " by one: take two. Is f right, with the signs of u and w? Is r = log y - x?"
    )
    r = np.log(pelts) - predicted({"own": q[:2], "meeting": q[2:4], "start": q[4:]})
    weights, year = -r / best_sigma(r) ** 2, np.arange(21)[:, None]
    expected = weighted(q, weights)
    near = lambda other: np.abs(slopes - other).max() < 0.02 * np.abs(other).max()
    mistakes = {
        "It has the wrong sign.": -expected,
        "It is for the parameters, not for their logarithms: d/d(log p) is p d/dp.": (
            expected / np.exp([*q[:4], 0, 0])
        ),
        "The observation of 1900 is lost: it is added to a after the last solve back.": weighted(
            q, weights * (year > 0)
        ),
        "Only the observation of 1920 counts; each one is added to a on the way back.": weighted(
            q, weights * (year == 20)
        ),
        "The misfits are divided by sigma, not by its square.": weighted(
            q, weights * best_sigma(r)
        ),
        "The integrals for the parameters have the wrong sign.": (
            expected * [-1, -1, -1, -1, 1, 1]
        ),
    }
    compared = f"your gradient is {np.round(slopes, 2)}; it is {np.round(expected, 2)}."
    for words, wrong in mistakes.items():
        assert near(expected) or not near(wrong), f"{case} {compared} {words}"
    assert near(expected), (
        f"{case} {compared} Do check_engine, check_step and check_odeint pass your three parts?"
    )


look_at(np.log([0.5, 1.0, 0.02, 0.02, 30.0, 4.0]))
look_at(np.log([0.6, 0.9, 0.03, 0.025, 25.0, 8.0]))
check_without(lambda: my_loss(np.log([0.5, 1.0, 0.02, 0.02, 30.0, 4.0])), "tinyode")
assert np.shape(mine) == (6,), f"mine is {mine!r}; it should be six numbers."
best = np.concatenate([q["own"], q["meeting"], q["start"]])
of_each = unravel(np.sqrt(np.diag(covariance)))  # the deviations, of the logarithms
far_by = np.abs(mine - best) / np.concatenate([of_each[k] for k in ("own", "meeting", "start")])
assert np.any(np.abs(np.log(np.abs(mine)) - best) > 0.5) or np.all(np.less(far_by, 0.25)), (
    f"mine = {mine}: these are the numbers themselves; asked for are their logarithms."
)
names = ("alpha", "gamma", "beta", "delta", "H(1900)", "L(1900)")
worst = int(np.argmax(far_by))
assert far_by[worst] < 0.25, (
    f"mine gives {names[worst]} = {np.exp(mine[worst]):.4f}, and the chapter's fit"
    f" {np.exp(best[worst]):.4f}: {far_by[worst]:.2f} deviations apart; it should be less than a"
    " quarter. Take more steps, the last ones with a smaller learning rate."
)

# %% [markdown]
# ## What to remember
#
# 1. A likelihood says how probable the data are; its negative logarithm is a loss, and says how
#    large the noise is, too.
# 2. Few parameters and a sum of squares: Gauss and Newton's method, one solve forward for each
#    Jacobian. Many parameters: one adjoint for each gradient, and Adam.
# 3. The inverse of the Hessian at the minimum estimates the covariance of the parameters.
# 4. A loss over a long time has local minima. Short pieces, or a growing span, help.
# 5. A network with many numbers comes nearer to the data that it was fitted to. Only data that were
#    not fitted say how good a model is beyond them.
#
# ## Sources
#
# G-alg2 and P4 to P6 at work. Data: records of the Hudson's Bay Company, Elton and Nicholson
# (1942), as tabulated by Howard (2009). Reference fit: Carpenter, "Predator-prey population
# dynamics: the Lotka-Volterra model in Stan" (2018). Kingma and Ba, "Adam" (2015). Multiple
# shooting: Bock, "Recent advances in parameter identification techniques for O.D.E." (1983).
