# %% [markdown]
# # The adjoint of a system of equations
#
# **The question.** Something is known only as the solution $\mathbf u$ of a system of equations
# that depends on parameters $\mathbf p$, (G18):
#
# $$\mathbf f(\mathbf u, \mathbf p) = 0, \tag{G18}$$
#
# and a cost $g(\mathbf u)$ is to be made small. How does the cost change with the parameters,
# *without* differentiating through the iteration that found $\mathbf u$?
#
# Read $g$ as the loss $L$, $\mathbf u$ as the state $\mathbf z$, and $\mathbf p$ as $\theta$, as
# the slides advise: this chapter is the neural ODE's backward pass with the time left out. There
# are $n$ equations for $n$ unknowns, and $m$ parameters.

# %%
import numpy as np

from tinyode import grad, jacobian, root, vjp
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import central_difference

# %% [markdown]
# ## Derivation
#
# The chain rule asks for the sensitivity of the solution,
#
# $$\frac{\partial g}{\partial \mathbf p} = \frac{\partial g}{\partial \mathbf u} \frac{\partial \mathbf u}{\partial \mathbf p}. \tag{G19}$$
#
# Along the solution $\mathbf f$ stays zero whatever $\mathbf p$ does, so its total derivative is
# zero:
#
# $$\frac{\partial \mathbf f}{\partial \mathbf u} \frac{\partial \mathbf u}{\partial \mathbf p} + \frac{\partial \mathbf f}{\partial \mathbf p} = 0
# \quad\Longrightarrow\quad
# \frac{\partial \mathbf u}{\partial \mathbf p} = - \left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{-1} \frac{\partial \mathbf f}{\partial \mathbf p}. \tag{G20, G21}$$
#
# (Where $\partial \mathbf f / \partial \mathbf u$ is invertible, the implicit function theorem says
# that $\mathbf u(\mathbf p)$ exists nearby and is differentiable. In the example below its
# determinant is $-1 - 3 u_1^2$, never zero.)
#
# Put G21 into G19 (the slide says "equation 15 in equation 13", meaning these two) and look at the
# sizes:
#
# $$\frac{\partial g}{\partial \mathbf p} = \frac{\partial g}{\partial \mathbf u} \left( -\left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{-1} \frac{\partial \mathbf f}{\partial \mathbf p} \right),
# \qquad (1 \times m) = (1 \times n) \big[(n \times n)(n \times m)\big]. \tag{G22, G23}$$
#
# The bracket is a linear system with $m$ right-hand sides. But as in chapter 3, a row stands on the
# left, and the other bracketing
#
# $$\frac{\partial g}{\partial \mathbf p} = - \underbrace{\left( \frac{\partial g}{\partial \mathbf u} \left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{-1} \right)}_{\lambda^T} \frac{\partial \mathbf f}{\partial \mathbf p} \tag{G24, G25}$$
#
# is a linear system with *one*. Let us check every line on the slides' second example,
#
# $$f_1 = u_1 + u_2 + p_1, \qquad f_2 = u_1^3 - u_2 + p_2, \qquad g = u_1^2 + u_2^2. \tag{G-ex2}$$


# %%
def f(u, p):
    return np.array([u[0] + u[1] + p[0], u[0] ** 3 - u[1] + p[1]])


def g(u):
    return u[0] ** 2 + u[1] ** 2


def by_differences(function, p):
    """Derivatives along both axes of p, without the engine."""
    return np.stack([central_difference(function, (p,), (e,)) for e in np.eye(2)], axis=-1)


p = np.array([1.0, 2.0])
u = root(f, np.zeros(2), p)  # Newton's method, with the Jacobian from the engine
print("u =", u, "   f(u, p) =", f(u, p))

df_du, df_dp, dg_du = jacobian(f, 0)(u, p), jacobian(f, 1)(u, p), grad(g)(u)
du_dp = -np.linalg.inv(df_du) @ df_dp  # G21
du_dp_measured = by_differences(lambda p: root(f, np.zeros(2), p, tol=1e-14), p)
print("G20: total derivative of f along the solution:", np.abs(df_du @ du_dp + df_dp).max())
print("G21: du/dp against finite differences:        ", np.abs(du_dp - du_dp_measured).max())
assert np.allclose(df_du @ du_dp + df_dp, 0, atol=1e-14)
assert np.allclose(du_dp, du_dp_measured, atol=1e-9)
G22 = dg_du @ (-np.linalg.inv(df_du) @ df_dp)
G24 = -(dg_du @ np.linalg.inv(df_du)) @ df_dp
print("G22:", G22, "   G24:", G24)
assert np.allclose(G22, G24, rtol=1e-12, atol=0)

# %% [markdown]
# ## The missing transpose
#
# Nobody inverts a matrix to solve one system. From
# $\lambda^T = \frac{\partial g}{\partial \mathbf u} (\frac{\partial \mathbf f}{\partial \mathbf u})^{-1}$,
# multiply by $\frac{\partial \mathbf f}{\partial \mathbf u}$ from the right and transpose:
#
# $$\left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{T} \lambda = \left(\frac{\partial g}{\partial \mathbf u}\right)^{T}. \tag{G26, corrected}$$
#
# The slide prints
# $\frac{\partial \mathbf f}{\partial \mathbf u} \lambda = \frac{\partial g}{\partial \mathbf u}^T$,
# without the transpose, just above the sentence "oddly enough, the name *adjoint* comes from the
# fact that we are taking a transpose of a matrix". For symmetric matrices the two agree, which is
# how such slips survive. Here they do not:

# %%
measured = by_differences(lambda p: g(root(f, np.zeros(2), p, tol=1e-14)), p)
corrected = -np.linalg.solve(df_du.T, dg_du) @ df_dp
printed = -np.linalg.solve(df_du, dg_du) @ df_dp
print("finite differences:       ", measured)
print("G26 with the transpose:   ", corrected)
print("G26 as printed:           ", printed, " <- wrong")
assert np.allclose(corrected, measured, atol=1e-9) and np.abs(printed - measured).max() > 0.1

# %% [markdown]
# ## What the bracketing costs
#
# In multiplications, by Gaussian elimination: both ways factorise once, $n^3 / 3$. Then the
# sensitivities of all unknowns cost $n^2$ for each of $m$ columns and $nm$ for the product with the
# row; the adjoint costs $n^2$ once and the same $nm$.

# %%
n, m = 1000, 10.0 ** np.arange(0, 7)
forward, adjoint = n**3 / 3 + n**2 * m + n * m, n**3 / 3 + n**2 + n * m
figure, (left, right) = panels(2, width=11, height=4.6)
left.loglog(m, forward, "o-", label="first $\\partial u/\\partial p$ (G22)")
left.loglog(m, adjoint, "s-", label="first $\\lambda$ (G24)")
left.set(xlabel="number of parameters $m$", ylabel="multiplications")
left.set_title(f"{n} unknowns: the formula above")
left.legend(fontsize=12)
cost_of = lambda p: g(root(f, np.zeros(2), p))
x = np.linspace(-3, 3, 41)
cost = np.array([[cost_of(np.array([p1, p2])) for p1 in x] for p2 in x])
filled = right.contourf(x, x, cost, levels=14, cmap="Blues")
figure.colorbar(filled, ax=right, label="$g$")
x = np.linspace(-2.6, 2.6, 7)
arrows = np.array([[grad(cost_of)(np.array([p1, p2])) for p1 in x] for p2 in x])
right.quiver(x, x, -arrows[..., 0], -arrows[..., 1], color=COLOURS[4], width=0.005)
right.set(xlabel="$p_1$", ylabel="$p_2$", title="$g$, and $-dg/dp$ by the adjoint", aspect="equal")
right.grid(False)
save(figure, "04_bracketing_and_descent")
saved = forward[-1] / adjoint[-1]
print(f"a million parameters: by this count the adjoint saves a factor of {saved:.0f}")

# %% [markdown]
# ## The library's version
#
# `root` finds $\mathbf u$ by Newton's method on plain numbers and hands the engine its derivative
# by G24 to G26: one transposed solve, one vector-Jacobian product of $f$ with respect to whatever
# was differentiated. In the letters of the slides:


# %%
def adjoint_of_root(f, g, u0, p):
    """dg/dp in five lines."""
    u = root(f, u0, p)
    dg_du = grad(g)(u)
    lam = np.linalg.solve(jacobian(f, 0)(u, p).T, dg_du)  # G26
    _, pullback = vjp(lambda p: f(u, p), p)
    return pullback(-lam)[0]  # G24


ours, library = adjoint_of_root(f, g, np.zeros(2), p), grad(lambda p: g(root(f, np.zeros(2), p)))(p)
print("ours", ours, "  library", library)
assert np.allclose(ours, library, rtol=1e-10, atol=0)

# %% [markdown]
# ## Example 1, four ways
#
# $$\mathbf u = \begin{pmatrix} p_1^2 + p_2 \cr p_1 p_2 \end{pmatrix}, \qquad g = u_1 + u_2^2, \qquad \text{wanted } \frac{\partial g}{\partial \mathbf p}. \tag{G-ex1}$$
#
# **By hand**: $g = p_1^2 + p_2 + p_1^2 p_2^2$, so
# $\frac{\partial g}{\partial \mathbf p} = (2 p_1 + 2 p_1 p_2^2, 1 + 2 p_1^2 p_2)$. As a system of
# equations it is $\mathbf f = \mathbf u - (p_1^2 + p_2, p_1 p_2) = 0$ with
# $\frac{\partial \mathbf f}{\partial \mathbf u} = I$, so $\lambda = (1, 2 u_2)$, and the adjoint
# method is backpropagation.


# %%
def f1(u, p):
    return np.array([u[0] - p[0] ** 2 - p[1], u[1] - p[0] * p[1]])


def g1(u):
    return u[0] + u[1] ** 2


def four_ways(f, g, u0, p):
    """dg/dp by the adjoint, forward sensitivities, autodiff and finite differences."""
    u = root(f, u0, p, tol=1e-13)
    return {
        "adjoint (G24)": adjoint_of_root(f, g, u0, p),
        "forward (G22)": grad(g)(u) @ -np.linalg.solve(jacobian(f, 0)(u, p), jacobian(f, 1)(u, p)),
        "autodiff through root": grad(lambda p: g(root(f, u0, p, tol=1e-13)))(p),
        "finite differences": by_differences(lambda p: g(root(f, u0, p, tol=1e-14)), p),
    }


p = np.array([1.5, -0.5])
by_hand = np.array([2 * p[0] + 2 * p[0] * p[1] ** 2, 1 + 2 * p[0] ** 2 * p[1]])
for name, value in {"by hand": by_hand, **four_ways(f1, g1, np.zeros(2), p)}.items():
    print(f"{name:22}", value)
    assert np.allclose(value, by_hand, atol=1e-8)

# %% [markdown]
# ## Example 2, by hand as well
#
# Add the two equations: $u_1^3 + u_1 + (p_1 + p_2) = 0$. The left side grows strictly with $u_1$,
# so there is exactly one real root for every $\mathbf p$, and Cardano has it: with $q = p_1 + p_2$
# and $D = \sqrt{q^2/4 + 1/27}$,
#
# $$u_1 = \sqrt[3]{-q/2 + D} + \sqrt[3]{-q/2 - D}, \qquad u_2 = -u_1 - p_1.$$
#
# Differentiate the cubic:
# $\frac{\partial u_1}{\partial p_1} = \frac{\partial u_1}{\partial p_2} = -\frac{1}{3 u_1^2 + 1} =: s$,
# then $\frac{\partial u_2}{\partial \mathbf p} = (-s - 1, -s)$, and
# $\frac{\partial g}{\partial \mathbf p} = 2 u_1 (s, s) + 2 u_2 (-s - 1, -s)$.

# %%
for p in (np.array([1.0, 2.0]), np.array([-0.3, 0.1]), np.array([2.0, -5.0])):
    q = p[0] + p[1]
    D = np.sqrt(q**2 / 4 + 1 / 27)
    u1 = np.cbrt(-q / 2 + D) + np.cbrt(-q / 2 - D)
    u2, s = -u1 - p[0], -1 / (3 * u1**2 + 1)
    assert np.allclose(root(f, np.zeros(2), p), [u1, u2], atol=1e-9)
    by_hand = np.array([2 * u1 * s + 2 * u2 * (-s - 1), 2 * u1 * s - 2 * u2 * s])
    print(f"p = {p}")
    for name, value in {"by hand": by_hand, **four_ways(f, g, np.zeros(2), p)}.items():
        print(f"  {name:22}", value)
        assert np.allclose(value, by_hand, atol=1e-8)

# %% [markdown]
# ## Exercises
#
# 1. $\lambda_i$ is how much $g$ rises when the right-hand side of equation $i$ is raised by one:
#    solve $\mathbf f(\mathbf u, \mathbf p) = \epsilon \mathbf e_i$ and check.
# 2. Show that G26 as printed is right whenever $\mathbf f$ is the gradient of some function of
#    $\mathbf u$.
# 3. Minimise $g$ over $p_1$ in example 2 for $p_2 = 2$, by Newton's method on $dg/dp_1$. (`root`
#    can be differentiated twice, so it can be nested.)

# %%
# 1.
p, eps = np.array([1.0, 2.0]), 1e-6
u = root(f, np.zeros(2), p)
lam = np.linalg.solve(jacobian(f, 0)(u, p).T, grad(g)(u))
as_it_was = root(f, np.zeros(2), p, tol=1e-14)
for i in range(2):
    raised = root(lambda u, i=i: f(u, p) - eps * np.eye(2)[i], np.zeros(2), tol=1e-14)
    measured = (g(raised) - g(as_it_was)) / eps
    print(f"1. lambda_{i + 1} = {lam[i]:.6f}, measured {measured:.6f}")
    assert abs(measured - lam[i]) < 1e-4


# 2. then df/du is a Hessian, and symmetric: the transpose of it is itself
def of_gradient(u, p):
    return grad(lambda u: np.sum(u**4) + np.sum(u**2) + u[0] * u[1] + u @ p)(u)


u2 = root(of_gradient, np.zeros(2), p)
H = jacobian(of_gradient, 0)(u2, p)
lam = np.linalg.solve(H, grad(g)(u2))  # without the transpose
printed = -lam @ jacobian(of_gradient, 1)(u2, p)
by_root = grad(lambda p: g(root(of_gradient, np.zeros(2), p)))(p)
print("2. G26 as printed, where f is a gradient:", printed, "  autodiff:", by_root)
assert np.allclose(H, H.T) and np.allclose(printed, by_root, rtol=1e-7, atol=0)

# 3.
cost_of = lambda p1: g(root(f, np.zeros(2), np.array([p1, 2.0]), tol=1e-13))
slope = grad(cost_of)
best = root(slope, -0.5)
print(f"3. p1 = {best:.6f}, where dg/dp1 = {slope(best):.1e}")
assert abs(slope(best)) < 1e-9
assert all(cost_of(best + d) > cost_of(best) for d in (-0.1, 0.1))

# %% [markdown]
# ## Sources
#
# G18-G24, G25, G26, G-ex1, G-ex2 (Gazula and Plis, "Adjoint Method: Introduction" to "Examples").
# Granzow, "A tutorial on adjoint methods and their use for data assimilation in glaciology",
# *Journal of Glaciology* 60 (2014), which the slides follow.
