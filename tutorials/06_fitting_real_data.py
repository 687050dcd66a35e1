# %% [markdown]
# # Fitting real data: the lynx and the hare
#
# **The question.** From 1900 to 1920 the Hudson's Bay Company wrote down how many pelts of snowshoe
# hare and of lynx it bought. The numbers go up and down, the lynx after the hare. Can an equation
# be found behind them, by nothing but gradients of a loss through a solver? And what can a neural
# network for the right-hand side add?
#
# Everything so far comes together here: `odeint` solves, Algorithm 2 (G-alg2) differentiates, Adam
# descends. (Adam takes steps along the running mean of the gradient, divided by the root of the
# running mean of its square: each parameter gets a step size that fits its own scale.)

# %%
import numpy as np

from tinyode import (
    compiled,
    datasets,
    grad,
    hessian,
    nn,
    odeint,
    optim,
    solve,
    tree,
    value_and_grad,
)
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import central_difference, inner, random_like

years, pelts = datasets.lynx_hare()
t = years - 1900
for year, (hare, lynx) in list(zip(years, pelts))[:5]:
    print(f"{year:.0f}: {hare:5.1f} thousand pelts of hare, {lynx:5.1f} thousand of lynx")

# %% [markdown]
# ## Lotka and Volterra's equations
#
# Hares multiply at the rate $\alpha$ and are eaten at a rate proportional to the lynx; lynx die at
# the rate $\gamma$ and multiply in proportion to the hares:
#
# $$\frac{dH}{dt} = (\alpha - \beta L) H, \qquad \frac{dL}{dt} = (-\gamma + \delta H) L$$
#
# ($L$ for lynx in this chapter, and $\ell$ for the loss). Counts are positive, and errors of
# counting are relative, so everything is easier in logarithms, $\mathbf x = (\log H, \log L)$:
#
# $$\frac{dx_1}{dt} = \alpha - \beta e^{x_2}, \qquad \frac{dx_2}{dt} = -(\gamma - \delta e^{x_1}).$$
#
# Each observation is the truth times a log-normal error of size $\sigma$:
# $\log y_{ij} = x_j(t_i) + \sigma_j \epsilon_{ij}$. The negative logarithm of the likelihood, up to
# a constant, is
#
# $$\ell = \sum_{i,j} \left[ \frac{(\log y_{ij} - x_j(t_i))^2}{2 \sigma_j^2} + \log \sigma_j \right].$$
#
# Eight numbers are to be found: $\alpha, \gamma$; $\beta, \delta$; the initial state;
# $\sigma_1, \sigma_2$. All are positive, so their logarithms are what Adam sees.
#
# A fit calls $f$ some hundred thousand times, always with arrays of the same shapes. So both
# right-hand sides of this chapter are `compiled`: recorded at the first call, and run as
# straight-line NumPy from then on (chapter 5). That changes no number, and takes less than half of
# the time here.

# %%
SIGN = np.array([1.0, -1.0])


@compiled
def lotka_volterra(t, x, own, meeting):
    """own = (alpha, gamma), meeting = (beta, delta)."""
    return SIGN * (own - meeting * np.exp(x[::-1]))


def minus_log_likelihood(q, n=21, tolerance=1e-5, **options):
    """Of the first n years."""
    q, options = tree.map(np.exp, q), {"rtol": tolerance, "atol": tolerance, **options}
    x = odeint(lotka_volterra, np.log(q["start"]), t[:n], q["own"], q["meeting"], **options)
    misfit = (np.log(pelts[:n]) - x) / q["sigma"]
    return np.sum(0.5 * misfit**2) + n * np.sum(np.log(q["sigma"]))


def fit(loss, q, schedule):
    """Adam, for each (steps, learning rate) of the schedule."""
    for steps, rate in schedule:
        init, update = optim.adam(rate)
        state = init(q)
        for _ in range(steps):
            value, gradient = value_and_grad(loss)(q)
            q, state = update(q, gradient, state)
    return q, value


guess = {
    "own": np.array([0.5, 1.0]),
    "meeting": np.array([0.02, 0.02]),
    "start": pelts[0],
    "sigma": np.array([0.3, 0.3]),
}
guess = tree.map(np.log, guess)

# %% [markdown]
# Before trusting a gradient: the adjoint against a finite difference of the loss, along a random
# direction in all eight. (The tolerance is tight here. Adam below, which is far from the minimum,
# does as well with a loose one.)

# %%
precise = lambda q: minus_log_likelihood(q, tolerance=1e-8)
v = random_like(np.random.default_rng(0), guess)
by_adjoint = inner(grad(precise)(guess), v)
by_difference = float(central_difference(precise, (guess,), (v,), h=1e-3))
print(f"slope of the loss by the adjoint {by_adjoint:.8f}, by differences {by_difference:.8f}")
assert abs(by_adjoint - by_difference) < 1e-5 * abs(by_difference)

# %%
q, value = fit(minus_log_likelihood, guess, [(60, 0.05)])
print(f"-log likelihood {minus_log_likelihood(guess):.3f} -> {value:.3f} by Adam")

# %% [markdown]
# Adam comes near the minimum. The last digits are quicker by Newton's method,
# $q \leftarrow q - H^{-1} \nabla \ell$, which needs the Hessian $H$ of $\ell$. `hessian`
# differentiates the gradient once more, through the solver. It takes `gradient="discrete"` (chapter
# 5): that gradient is exact for the numbers computed, so $H$ is exact too, and it takes less than a
# fifth of the time that it takes with Algorithm 2.

# %% [predict]
# The next cell takes three steps of Newton's method. By what factor will each of them shrink the
# largest slope of the loss: by the same factor, or by more from step to step?


# %%
def newton_step(loss, q):
    """Return q after a step of Newton's method, and the Hessian before it."""
    vector, unravel = tree.ravel(q)
    of_vector = lambda vector: loss(unravel(vector))
    H = hessian(of_vector)(vector)
    return unravel(vector - np.linalg.solve(H, grad(of_vector)(vector))), H


exact = lambda q: minus_log_likelihood(q, tolerance=1e-6, gradient="discrete")
largest_slope = lambda q: np.abs(tree.ravel(grad(exact)(q))[0]).max()
print(f"-log likelihood {exact(q):.6f}, largest slope {largest_slope(q):.1e}")
for _ in range(3):
    q, H = newton_step(exact, q)
    print(f"-log likelihood {exact(q):.6f}, largest slope {largest_slope(q):.1e}")
found = tree.map(np.exp, q)
assert largest_slope(q) < 1e-5 and np.allclose(H, H.T, rtol=1e-9, atol=1e-9)
assert np.linalg.eigvalsh(H).min() > 0  # a minimum indeed

# %% [markdown]
# Is it right? There is an outside reference: Carpenter (2018) fitted the same model with Stan, by
# Monte Carlo over the posterior, with weak priors. Our maximum of the likelihood should lie within
# one posterior standard deviation of his means. (The two are different estimates, so they should
# not agree exactly.) How sure is *our* fit? The curvature of $\ell$ at the minimum says: the
# inverse of $H$ estimates the covariance. ($q$ are logarithms, so a deviation $s$ of $q$ is about
# $e^q s$ of the parameter.)

# %% [predict]
# Carpenter's noise is $\sigma = 0.25$, a mean over the posterior. Ours is the value that makes the
# likelihood of the data greatest. Will it be larger or smaller?

# %%
_, unravel = tree.ravel(q)
deviation = tree.map(np.multiply, found, unravel(np.sqrt(np.diag(np.linalg.inv(H)))))
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
# Ours is smaller: maximum likelihood underestimates the noise, as eight numbers are fitted to
# forty-two.

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
left.set_title("Lotka and Volterra's equations, fitted by the adjoint")
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
# ## A network that knows nothing of hares
#
# Now forget the biology: let a network of 16 hidden units be the right-hand side, in logarithms
# scaled to mean zero and deviation one,
#
# $$\frac{d\mathbf x}{dt} = \mathrm{NN}_\theta(\mathbf x),$$
#
# fit it to 1900 to 1914, and draw it to 1920. To be fair, Lotka and Volterra get the same fifteen
# years.
#
# A loss through a long solve is treacherous: a network that knows nothing yet drifts off within a
# few years, and from far off the gradient of the later observations is no guide. So it is fitted to
# the first five years, then nine, then twelve, then fifteen; and large weights cost a little. Two
# steps of rk4 a year are accurate enough for the fit (what comes out is solved with an adaptive
# method below), and the gradient is again that of the steps taken. Together this takes a quarter of
# the time of Algorithm 2 with adaptive steps.

# %%
known = 15
scaled = np.log(pelts)
mean, width = scaled[:known].mean(axis=0), scaled[:known].std(axis=0)
scaled = (scaled - mean) / width
init, apply = nn.mlp(2, 16, 2)


@compiled
def network(t, x, parameters):
    return apply(parameters, x)


def distance_to_data(q, n):
    options = {"method": "rk4", "step_size": 0.5, "gradient": "discrete"}
    x = odeint(network, q["start"], t[:n], q["network"], **options)
    size = sum(np.sum(layer["W"] ** 2) for layer in q["network"])
    return np.mean((x - scaled[:n]) ** 2) + 1e-3 * size


neural = {"start": scaled[0], "network": init(np.random.default_rng(0))}
schedules = {5: [(100, 0.03)], 9: [(80, 0.03)], 12: [(80, 0.03)], known: [(150, 0.03), (80, 0.01)]}
for n, schedule in schedules.items():
    neural, value = fit(lambda q, n=n: distance_to_data(q, n), neural, schedule)
    print(f"fitted to the first {n:2} years: loss {value:.4f}")
fifteen_years = lambda q: minus_log_likelihood(q, known, 1e-6, gradient="discrete")
short, _ = fit(fifteen_years, q, [(40, 0.03)])
for _ in range(4):
    short, _ = newton_step(fifteen_years, short)
assert np.abs(tree.ravel(grad(fifteen_years)(short))[0]).max() < 1e-5
short = tree.map(np.exp, short)

# %% [predict]
# The network has 84 numbers, the equations have 6, and both have seen 1900 to 1914. Which of the
# two will be nearer to the data in these years, and which from 1915 to 1920?

# %%
by_network = solve(network, neural["start"], fine, neural["network"]).y * width + mean
by_equations = solved(short, fine)
yearly = slice(None, None, 20)
size = tree.ravel(neural["network"])[0].size + 2
curves = {
    f"Lotka-Volterra, {4 + 2} numbers": by_equations,
    f"neural ODE, {size} numbers": by_network,
}
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
# The network fits what it has seen better, and what it has not seen worse.
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
# Inside the fifteen years the network is closer to the data: it has fourteen times the parameters,
# and part of what it fits is noise. Beyond them it does somewhat worse than the equations, from
# this and from other random starts. In a plane without time, solutions cannot cross (P-unique), so
# one that has passed inside its own earlier course can never get outside it again: it ends at an
# equilibrium or a limit cycle. That it turns at all after 1914 is what the network has *learned*;
# how far it swings is not determined by the data. The equations know, by their form, that the cycle
# closes; they could not have learned that from one and a half cycles either. Neither is good: both
# miss the depth of the hares' decline after 1914 (though both are far better than the mean of the
# known years), and six years of one experiment decide nothing. What the comparison shows is what
# each brings: a model with the right form needs few data and goes beyond them, a network fits what
# no one has a form for, where there are data.
#
# ## Exercises
#
# `found`, a dictionary, holds the fitted numbers: `found["own"]` is $(\alpha, \gamma)$,
# `found["meeting"]` is $(\beta, \delta)$, `found["start"]` the counts of 1900, `found["sigma"]` the
# two $\sigma$. `solved(found, times)` returns $\log H$ and $\log L$ on the fitted curve, an array
# of shape (number of times, 2), where times count from 1900.

# %% [exercise 6.1] level 1
# Along a solution of the equations $V = \delta H - \gamma \log H + \beta L - \alpha \log L$ does
# not change. So $V$ tests a solver. Write `drift(tolerance)`: it solves the fitted curve at the
# times `fine` with `rtol` and `atol` both equal to `tolerance`, and returns the greatest $V$ minus
# the smallest, one number.


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
# you: `np.argmax`, peaks on a grid of times that is fine enough, or `root`.

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
# If one observation had been a little larger, how would the fitted $\alpha$ have come out? The fit
# is the root of a system of equations, $\nabla_q \ell(q, \mathbf y) = 0$, and chapter 4 says how a
# function of a root changes with what the system depends on, here the data. Set `influence` to
# $\frac{d \log \alpha}{d \log y_{ij}}$, an array of shape (21, 2), by one linear solve with the
# Hessian `H` of the chapter and one gradient with respect to the data. (Entry 2 of the vector
# `tree.ravel(q)[0]` is $\log \alpha$, and the rows of `H` are in the same order. `grad` can be
# differentiated by `grad`, through `odeint` as well; use `gradient="discrete"`.)

# %% [stub 6.5]
influence = ...  # an array of shape (21, 2)

# %% [solution 6.5]
# G24 and G26 with f = grad l, u = q, p = log y, g = log alpha: H lambda = e_alpha (H is symmetric),
# and the influence is -lambda^T d(grad l)/dy, the gradient of -lambda . grad l for the data.
vector, unravel = tree.ravel(q)
lam = np.linalg.solve(H, np.eye(8)[2])


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

    def loss(q):
        fitted, options = tree.map(np.exp, q), {"rtol": 1e-6, "atol": 1e-6, "gradient": "discrete"}
        x = odeint(lotka_volterra, q["start"], t, fitted["own"], fitted["meeting"], **options)
        return np.sum(0.5 * ((log_pelts - x) / fitted["sigma"]) ** 2) + 21 * np.sum(q["sigma"])

    return (newton_step(loss, q)[0]["own"][0] - q["own"][0]) / rise


def look_at(i, j):
    """Hold one influence against a new fit."""
    right, name = refitted(i, j), f"influence[{i}, {j}] = {influence[i, j]:.4f}"
    hint = f" A new fit, with this observation 1 % larger, gives {right:.4f}."
    assert abs(influence[i, j] + right) > 0.02 * abs(right), (
        f"{name} has the wrong sign (G24 has a minus)." + hint
    )
    assert abs(influence[i, j] - right) < 0.05 * abs(right), (
        f"{name} is not how log alpha changes. Is lambda the solution of H lambda = e, with e one"
        " at entry 2? Is the gradient taken for the logarithms of the data?" + hint
    )


look_at(1, 0)
look_at(10, 1)

# %% [markdown]
# ## Sources
#
# G-alg2 and P4 to P6 at work. Data: records of the Hudson's Bay Company, Elton and Nicholson
# (1942), as tabulated by Howard (2009). Reference fit: Carpenter, "Predator-prey population
# dynamics: the Lotka-Volterra model in Stan" (2018). Kingma and Ba, "Adam" (2015).
