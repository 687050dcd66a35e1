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

from tinyode import compiled, datasets, grad, nn, odeint, optim, solve, tree, value_and_grad
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


def minus_log_likelihood(q, n=21, tolerance=1e-6):
    """Of the first n years."""
    q, tolerances = tree.map(np.exp, q), {"rtol": tolerance, "atol": tolerance}
    x = odeint(lotka_volterra, np.log(q["start"]), t[:n], q["own"], q["meeting"], **tolerances)
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
# direction in all eight.

# %%
precise = lambda q: minus_log_likelihood(q, tolerance=1e-8)
v = random_like(np.random.default_rng(0), guess)
by_adjoint = inner(grad(precise)(guess), v)
by_difference = float(central_difference(precise, (guess,), (v,), h=1e-3))
print(f"slope of the loss by the adjoint {by_adjoint:.8f}, by differences {by_difference:.8f}")
assert abs(by_adjoint - by_difference) < 1e-5 * abs(by_difference)

# %%
q, value = fit(minus_log_likelihood, guess, [(100, 0.03), (50, 0.01)])
print(f"-log likelihood {minus_log_likelihood(guess):.3f} -> {value:.3f} by Adam")

# %% [markdown]
# Adam comes near the minimum. The last digits are quicker by Newton's method,
# $q \leftarrow q - H^{-1} \nabla \ell$, which needs the Hessian $H$ of $\ell$: here the derivative
# of the adjoint gradient, by differences along each of the eight axes.

# %%
vector, unravel = tree.ravel(q)
gradient_of_vector = lambda vector: tree.ravel(grad(precise)(unravel(vector)))[0]
for _ in range(2):
    rows = [central_difference(gradient_of_vector, (vector,), (e,), h=1e-3) for e in np.eye(8)]
    hessian = np.stack(rows)
    vector = vector - np.linalg.solve(hessian, gradient_of_vector(vector))
    slope_left = np.abs(gradient_of_vector(vector)).max()
    print(f"-log likelihood {precise(unravel(vector)):.6f}, largest slope left {slope_left:.1e}")
q = unravel(vector)
found = tree.map(np.exp, q)
assert slope_left < 1e-4 and np.allclose(hessian, hessian.T, rtol=1e-3, atol=1e-2)
assert np.linalg.eigvalsh(hessian).min() > 0  # a minimum indeed

# %% [markdown]
# Is it right? There is an outside reference: Carpenter (2018) fitted the same model with Stan, by
# Monte Carlo over the posterior, with weak priors. Our maximum of the likelihood should lie within
# one posterior standard deviation of his means. (The two are different estimates, so they should
# not agree exactly.) How sure is *our* fit? The curvature of $\ell$ at the minimum says: the
# inverse of $H$ estimates the covariance. ($q$ are logarithms, so a deviation $s$ of $q$ is about
# $e^q s$ of the parameter.) The noise comes out smaller than his: maximum likelihood underestimates
# it, as eight numbers are fitted to forty-two.

# %%
deviation = tree.map(np.multiply, found, unravel(np.sqrt(np.diag(np.linalg.inv(hessian)))))
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
save(figure, "06_lynx_and_hare")

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
# the first five years, then nine, then twelve, then fifteen; and large weights cost a little.

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
    x = odeint(network, q["start"], t[:n], q["network"], rtol=1e-4, atol=1e-4)
    size = sum(np.sum(layer["W"] ** 2) for layer in q["network"])
    return np.mean((x - scaled[:n]) ** 2) + 1e-3 * size


neural = {"start": scaled[0], "network": init(np.random.default_rng(0))}
schedules = {
    5: [(100, 0.03)],
    9: [(100, 0.03)],
    12: [(150, 0.03)],
    known: [(200, 0.03), (150, 0.01)],
}
for n, schedule in schedules.items():
    neural, value = fit(lambda q, n=n: distance_to_data(q, n), neural, schedule)
    print(f"fitted to the first {n:2} years: loss {value:.4f}")
short, _ = fit(lambda q: minus_log_likelihood(q, known, 1e-5), q, [(100, 0.02), (60, 0.005)])
short = tree.map(np.exp, short)

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
save(figure, "06_two_extrapolations")

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
# 1. Along a solution of the equations $V = \delta H - \gamma \log H + \beta L - \alpha \log L$ does
#    not change. Check it on the fitted curve: it is a test of the solver.
# 2. Where is the equilibrium, and what are the periods of small swings around it and of the fitted
#    cycle?
# 3. Which observation lies farthest from the curve, in units of $\sigma$? One gradient of the loss
#    with respect to the *data* says.

# %%
# 1.
(alpha, gamma), (beta, delta) = found["own"], found["meeting"]
hare, lynx = np.exp(solved(found, fine, rtol=1e-11, atol=1e-12)).T
V = delta * hare - gamma * np.log(hare) + beta * lynx - alpha * np.log(lynx)
print(f"1. V stays within {np.ptp(V):.1e} of {V[0]:.4f}")
assert np.ptp(V) < 1e-8

# 2. at H = gamma / delta, L = alpha / beta the linearised equations turn with frequency
#    sqrt(alpha gamma)
peaks = [i for i in range(1, 400) if curve[i - 1, 0] < curve[i, 0] > curve[i + 1, 0]]
small, cycle = 2 * np.pi / np.sqrt(alpha * gamma), fine[peaks[1]] - fine[peaks[0]]
print(f"2. equilibrium at {gamma / delta:.1f} hares and {alpha / beta:.1f} lynx;", end=" ")
print(f"period {small:.2f} years for small swings, {cycle:.2f} for the fitted one")
assert small < cycle < 1.2 * small


# 3.
def loss_of_data(log_pelts):
    x = odeint(lotka_volterra, np.log(found["start"]), t, found["own"], found["meeting"])
    return np.sum(0.5 * ((log_pelts - x) / found["sigma"]) ** 2)


pull = grad(loss_of_data)(np.log(pelts))  # (log y - x) / sigma^2
i, j = np.unravel_index(np.argmax(np.abs(pull * found["sigma"])), pull.shape)
who, how_far = ("hare", "lynx")[j], abs(pull[i, j]) * found["sigma"][j]
print(f"3. the {who} of {years[i]:.0f} lie farthest off, {how_far:.1f} sigma")
assert np.allclose(pull, (np.log(pelts) - solved(found, t)) / found["sigma"] ** 2)

# %% [markdown]
# ## Sources
#
# G-alg2 and P4 to P6 at work. Data: records of the Hudson's Bay Company, Elton and Nicholson
# (1942), as tabulated by Howard (2009). Reference fit: Carpenter, "Predator-prey population
# dynamics: the Lotka-Volterra model in Stan" (2018). Kingma and Ba, "Adam" (2015).
