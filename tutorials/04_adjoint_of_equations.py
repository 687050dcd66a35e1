# %% [markdown]
# # The adjoint of a system of equations

# %% [markdown]
# **Needs**: chapter 3 (Jacobian, vector-Jacobian product, `grad`, `vjp`, finite differences). From
# school: systems of linear equations, the transpose and the inverse of a matrix, the chain rule for
# several variables.
#
# **You will be able to**: derive the derivative of a solution of equations; compute it by one
# linear solve, with the matrix transposed; show that a loop of Euler steps is such a system, whose
# transpose is solved from the last step to the first.
#
# **Minutes**: 60 to 90, of which the exercise of level 1 takes about 15.
#
# **The question.** Numbers $\mathbf u$ are known only as the solution of a system of equations that
# depends on parameters $\mathbf p$, and a loss $g(\mathbf u)$ is to be made small. How does the
# loss change with the parameters, *without* differentiating through the iteration that found
# $\mathbf u$?

# %%
import numpy as np

from tinyode import grad, jacobian, root, vjp
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import central_difference, check_root_adjoint, check_without

# %% [markdown]
# ## One equation
#
# Take one equation for one unknown, $f(u, p) = u^3 + u - p = 0$. At $p = 10$ the solution is
# $u = 2$, since $8 + 2 = 10$. The loss is $g(u) = u^2$. Raise $p$ by a small $d$. Then $f$ falls by
# $d$, and $u$ has to move until $f$ is zero again. Here $f$ rises by
# $\frac{\partial f}{\partial u} = 3 u^2 + 1 = 13$ for each unit of $u$. So $u$ moves by $d / 13$,
# and the loss by $2 u \cdot d / 13 = \frac{4}{13} d$.
#
# There is a second way to the same number. Ask first about the equation, not about the parameter:
# how much does the loss rise for each unit by which the right-hand side, 0, is raised? If it is
# raised by $d$, then $u$ moves by $d / 13$, so the answer is
# $\lambda = \frac{dg}{du} \big/ \frac{\partial f}{\partial u} = \frac{4}{13}$. Then ask about the
# parameter. A higher $p$ changes the left-hand side by $\frac{\partial f}{\partial p} d = -d$. For
# $u$ that is the same as a right-hand side that is raised by $+d$. So
# $\frac{dg}{dp} = -\lambda \frac{\partial f}{\partial p} = \frac{4}{13}$.
#
# For one parameter both ways cost the same. For a million they do not: the second way, the *adjoint
# method*, asks about each equation once, and then every parameter costs one product.

# %%
cubic = lambda u, p: u**3 + u - p
# root(f, u0, p) looks for the u with f(u, p) = 0. It begins at u0; tol=1e-14 asks for 14 digits
solution = lambda p: root(cubic, 1.0, p, tol=1e-14)
lam = 2 * solution(10.0) / (3 * solution(10.0) ** 2 + 1)  # `lambda` is a word of Python
quotient = (solution(10.001) ** 2 - solution(9.999) ** 2) / 0.002
print("u =", solution(10.0), "  lambda =", lam, "  dg/dp by differences:", quotient)
assert np.isclose(lam, 4 / 13) and np.isclose(lam, quotient, rtol=1e-6)

# %% [markdown]
# ## Many equations
#
# Now there are $n$ equations for $n$ unknowns, and $m$ parameters:
#
# $$\mathbf f(\mathbf u, \mathbf p) = 0. \tag{G18}$$
#
# $\mathbf u$, $\mathbf p$ and $\mathbf f$ are columns. The derivative of a number is a row, as in
# chapter 3: $\frac{\partial g}{\partial \mathbf u}$ has $n$ entries. The matrix
# $\frac{\partial \mathbf f}{\partial \mathbf u}$ is a Jacobian: row $i$ is the derivative of $f_i$,
# and column $j$ belongs to $u_j$. In the letters of neural ODEs, $g$ is the loss $L$, $\mathbf u$
# the state $\mathbf z$, and $\mathbf p$ the parameters $\theta$.
#
# **First way: how the solution moves.** $\frac{d\mathbf u}{d\mathbf p}$, a matrix of $n$ rows and
# $m$ columns, says how each unknown moves with each parameter. It is called the *sensitivity* of
# the solution. The chain rule is
#
# $$\frac{dg}{d\mathbf p} = \frac{\partial g}{\partial \mathbf u} \frac{d\mathbf u}{d\mathbf p}. \tag{G19}$$
#
# When $\mathbf p$ changes, $\mathbf u$ moves so that $\mathbf f$ stays zero. So the total
# derivative of $\mathbf f$ is zero, and this is a linear system for
# $\frac{d\mathbf u}{d\mathbf p}$:
#
# $$\frac{\partial \mathbf f}{\partial \mathbf u} \frac{d\mathbf u}{d\mathbf p} + \frac{\partial \mathbf f}{\partial \mathbf p} = 0
# \quad\Longrightarrow\quad
# \frac{d\mathbf u}{d\mathbf p} = - \left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{-1} \frac{\partial \mathbf f}{\partial \mathbf p}. \tag{G20, G21}$$
#
# This needs a matrix $\frac{\partial \mathbf f}{\partial \mathbf u}$ that has an inverse. Then the
# implicit function theorem says that $\mathbf u$ is a differentiable function of $\mathbf p$ near
# the solution. Put G21 into G19, and write the sizes of the factors below:
#
# $$\frac{dg}{d\mathbf p} = \frac{\partial g}{\partial \mathbf u} \left( -\left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{-1} \frac{\partial \mathbf f}{\partial \mathbf p} \right),
# \qquad (1 \times m) = (1 \times n) \big[(n \times n)(n \times m)\big]. \tag{G22, G23}$$
#
# The bracket is a linear system with $m$ right-hand sides, one for each parameter.
#
# **Second way: the adjoint.** A product of matrices may be bracketed at will. As in chapter 3, a
# row stands on the left. Begin there:
#
# $$\frac{dg}{d\mathbf p} = - \underbrace{\left( \frac{\partial g}{\partial \mathbf u} \left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{-1} \right)}_{\lambda^T} \frac{\partial \mathbf f}{\partial \mathbf p}. \tag{G24, G25}$$
#
# The bracket is now a row of $n$ numbers, $\lambda^T$. It is the solution of a linear system with
# *one* right-hand side. Each entry has the meaning that it had for one equation: $\lambda_i$ says
# how much $g$ rises for each unit by which the right-hand side of equation $i$ is raised. (For the
# system $\mathbf f(\mathbf u) - \mathbf r = 0$ with the parameters $\mathbf r$, G24 says
# $\frac{dg}{d\mathbf r} = \lambda^T I$.)
#
# Every line is checked on an example, the second of the source (its first comes below). The
# determinant of its $\frac{\partial \mathbf f}{\partial \mathbf u}$ is $-1 - 3 u_1^2$, which is
# never zero. In the code `jacobian(f, 0)` is the Jacobian for argument 0, which is `u`.
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
# ## The transpose
#
# A program does not invert a matrix to solve one system. It calls a solver, which expects "matrix
# times unknown column = known column". But in
# $\lambda^T = \frac{\partial g}{\partial \mathbf u} (\frac{\partial \mathbf f}{\partial \mathbf u})^{-1}$
# the unknown is a row. Multiply by $\frac{\partial \mathbf f}{\partial \mathbf u}$ from the right:
# $\lambda^T \frac{\partial \mathbf f}{\partial \mathbf u} = \frac{\partial g}{\partial \mathbf u}$.
# Then transpose both sides, which exchanges the factors:
#
# $$\left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{T} \lambda = \left(\frac{\partial g}{\partial \mathbf u}\right)^{T}. \tag{G26, corrected}$$
#
# The method has its name from this transpose: for real matrices, the *adjoint* is the transpose.

# %%
measured = by_differences(lambda p: g(root(f, np.zeros(2), p, tol=1e-14)), p)
lam = np.linalg.solve(df_du.T, dg_du)  # G26
print("lambda =", lam, "  lambda^T df/du - dg/du =", np.abs(lam @ df_du - dg_du).max())
print("dg/dp = -lambda^T df/dp:", -lam @ df_dp, "  by finite differences:", measured)
assert np.allclose(lam @ df_du, dg_du, atol=1e-12) and np.allclose(
    -lam @ df_dp, measured, atol=1e-9
)

# %% [markdown]
# ## What the two ways cost
#
# Count multiplications, with Gaussian elimination. Both ways factorise
# $\frac{\partial \mathbf f}{\partial \mathbf u}$ once, in $n^3 / 3$. The first way then solves for
# $m$ columns, $n^2$ each, and multiplies them by the row, $nm$. The second way solves once, $n^2$,
# and multiplies $\lambda^T$ by $\frac{\partial \mathbf f}{\partial \mathbf p}$, $nm$ as well.

# %% [predict]
# Take $n = 1000$ unknowns and a million parameters. By what factor is the adjoint cheaper: 2, about
# a thousand, or about a million?

# %%
n, m = 1000, 10.0 ** np.arange(0, 7)
forward, adjoint = n**3 / 3 + n**2 * m + n * m, n**3 / 3 + n**2 + n * m
figure, (left, right) = panels(2, width=11, height=4.6)
left.loglog(m, forward, "o-", label="first $du/dp$ (G22)")
left.loglog(m, adjoint, "s-", label="first $\\lambda$ (G24)")
left.set(xlabel="number of parameters $m$", ylabel="multiplications")
left.set_title(f"{n} unknowns: the count above")
left.legend(fontsize=12)
loss_at = lambda p: g(root(f, np.zeros(2), p))
x = np.linspace(-3, 3, 25)
losses = np.array([[loss_at(np.array([p1, p2])) for p1 in x] for p2 in x])
filled = right.contourf(x, x, losses, levels=14, cmap="Blues")
figure.colorbar(filled, ax=right, label="$g$")
x = np.linspace(-2.6, 2.6, 7)
arrows = np.array([[grad(loss_at)(np.array([p1, p2])) for p1 in x] for p2 in x])
right.quiver(x, x, -arrows[..., 0], -arrows[..., 1], color=COLOURS[4], width=0.005)
right.set(xlabel="$p_1$", ylabel="$p_2$", title="$g$, and $-dg/dp$ by the adjoint", aspect="equal")
right.grid(False)
save(
    figure,
    "04_bracketing_and_descent",
    alt="Left: multiplications against the number of parameters m, both axes logarithmic. The"
    " sensitivities start to rise at a few hundred parameters, the adjoint only at a few hundred"
    " thousand; at a million it is 750 times cheaper. Right: the loss g over the"
    " plane of p1 and p2, with arrows along minus its gradient, which point downhill.",
)
saved = forward[-1] / adjoint[-1]
print(f"a million parameters: {forward[-1]:.2e} against {adjoint[-1]:.2e}, a factor of {saved:.0f}")

# %% [markdown]
# Without the factorisation the factor would be $n = 1000$, which is $n^2 m$ over $nm$.
#
# ## The library's version
#
# `root` finds $\mathbf u$ by Newton's method, of which no step is on the tape. It gives `grad` the
# derivative by G26 and G24: one transposed solve, and one vector-Jacobian product of $\mathbf f$
# with respect to $\mathbf p$. (The arrows above are this derivative.) The same in five lines:


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
# $$\mathbf u = \begin{pmatrix} p_1^2 + p_2 \cr p_1 p_2 \end{pmatrix}, \qquad g = u_1 + u_2^2, \qquad \text{wanted } \frac{dg}{d\mathbf p}. \tag{G-ex1}$$
#
# **By hand**: $g = p_1^2 + p_2 + p_1^2 p_2^2$, so
# $\frac{dg}{d\mathbf p} = (2 p_1 + 2 p_1 p_2^2, 1 + 2 p_1^2 p_2)$.
#
# **As a system of equations**: $\mathbf f = \mathbf u - (p_1^2 + p_2, p_1 p_2)^T = 0$. Here
# $\frac{\partial \mathbf f}{\partial \mathbf u}$ is the identity, so
# $\lambda^T = \frac{\partial g}{\partial \mathbf u} = (1, 2 u_2)$. What is left,
# $-\lambda^T \frac{\partial \mathbf f}{\partial \mathbf p}$, is the chain rule from the left. So
# for a formula, the adjoint method is the reverse mode of chapter 3.


# %%
def f1(u, p):
    return np.array([u[0] - p[0] ** 2 - p[1], u[1] - p[0] * p[1]])


def g1(u):
    return u[0] + u[1] ** 2


def four_ways(f, g, u0, p):
    """dg/dp by the adjoint, forward sensitivities, the library and finite differences."""
    u = root(f, u0, p, tol=1e-13)
    return {
        "adjoint (G24)": adjoint_of_root(f, g, u0, p),
        "forward (G22)": grad(g)(u) @ -np.linalg.solve(jacobian(f, 0)(u, p), jacobian(f, 1)(u, p)),
        "grad of the library": grad(lambda p: g(root(f, u0, p, tol=1e-13)))(p),
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
# so there is exactly one real root for every $\mathbf p$. Cardano's formula gives it: with
# $q = p_1 + p_2$ and $D = \sqrt{q^2/4 + 1/27}$,
#
# $$u_1 = \sqrt[3]{-q/2 + D} + \sqrt[3]{-q/2 - D}, \qquad u_2 = -u_1 - p_1.$$
#
# Differentiate the cubic with respect to $p_1$ or $p_2$. Both give the same number,
# $s = \frac{du_1}{dp_1} = \frac{du_1}{dp_2} = -\frac{1}{3 u_1^2 + 1}$. Then
# $\frac{du_2}{d\mathbf p} = (-s - 1, -s)$, and
# $\frac{dg}{d\mathbf p} = 2 u_1 (s, s) + 2 u_2 (-s - 1, -s)$.

# %%
for p in (np.array([1.0, 2.0]), np.array([-0.3, 0.1]), np.array([2.0, -5.0])):
    q = p[0] + p[1]
    D = np.sqrt(q**2 / 4 + 1 / 27)
    u1 = np.cbrt(-q / 2 + D) + np.cbrt(-q / 2 - D)
    u2, s = -u1 - p[0], -1 / (3 * u1**2 + 1)
    assert np.allclose(root(f, np.zeros(2), p), [u1, u2], atol=1e-9)
    by_hand = np.array([2 * u1 * s + 2 * u2 * (-s - 1), 2 * u1 * s - 2 * u2 * s])
    for value in four_ways(f, g, np.zeros(2), p).values():
        assert np.allclose(value, by_hand, atol=1e-8)
    print(f"p = {p}: by hand {by_hand}, and the four ways give the same")

# %% [markdown]
# ## The bridge to the next chapter: steps are equations
#
# Euler's method computes states one after another,
# $\mathbf z_i = \mathbf z_{i-1} + h \mathbf F(\mathbf z_{i-1}, \mathbf p)$, from a given
# $\mathbf z_0$. ($\mathbf F$ is the field here, as $\mathbf f$ is the system.) Bring everything to
# one side, and stack the $N$ blocks of equations. This is one system for the stacked unknowns
# $\mathbf u = (\mathbf z_1, \dots, \mathbf z_N)$:
#
# $$\mathbf f_i(\mathbf u, \mathbf p) = \mathbf z_i - \mathbf z_{i-1} - h \mathbf F(\mathbf z_{i-1}, \mathbf p) = 0, \qquad i = 1, \dots, N.$$
#
# Block $i$ contains $\mathbf z_i$ and $\mathbf z_{i-1}$ only. So the Jacobian has blocks $I$ (the
# identity) on its diagonal, blocks
# $-B_i = -\big(I + h \frac{\partial \mathbf F}{\partial \mathbf z}(\mathbf z_i)\big)$ below it, and
# zeros elsewhere. Its transpose has the blocks $-B_i^T$ above the diagonal. For $N = 3$ steps:
#
# $$\frac{\partial \mathbf f}{\partial \mathbf u} = \begin{pmatrix} I & & \cr -B_1 & I & \cr & -B_2 & I \end{pmatrix},
# \qquad \left(\frac{\partial \mathbf f}{\partial \mathbf u}\right)^{T} = \begin{pmatrix} I & -B_1^T & \cr & I & -B_2^T \cr & & I \end{pmatrix}.$$
#
# The system itself is solved from the top down: the first block of equations has one unknown state,
# its solution goes into the second block, and so on. That is Euler's method.

# %% [predict]
# In the transposed system
# $(\frac{\partial \mathbf f}{\partial \mathbf u})^T \lambda = (\frac{\partial g}{\partial \mathbf u})^T$,
# which block of equations has one unknown only: the first or the last? In which order does one get
# $\lambda_1, \dots, \lambda_N$?

# %%
h, N, z0, p = 0.25, 6, np.array([1.2, 0.0]), np.array([2.0, 0.3])


def F(z, p):
    """A pendulum: angle and velocity."""
    return np.array([z[1], -p[0] * np.sin(z[0]) - p[1] * z[1]])


def stacked(u, p):
    """f(u, p): what is left of each Euler step, all steps one below the other."""
    z = [z0, *(u[2 * i : 2 * i + 2] for i in range(N))]
    return np.concatenate([z[i] - z[i - 1] - h * F(z[i - 1], p) for i in range(1, N + 1)])


z = [z0]
for i in range(N):
    z.append(z[i] + h * F(z[i], p))  # from the top down
u = np.concatenate(z[1:])
assert np.abs(stacked(u, p)).max() < 1e-15
g_end = lambda u: u[-2] ** 2 + u[-1]  # a loss that looks at the last state
matrix, row = jacobian(stacked, 0)(u, p), grad(g_end)(u)
lam = np.linalg.solve(matrix.T, row).reshape(N, 2)  # G26, by Gaussian elimination

upwards = {N: row[-2:]}  # the last block: one unknown
for i in range(N - 1, 0, -1):
    upwards[i] = upwards[i + 1] @ (np.eye(2) + h * jacobian(F, 0)(z[i], p))
for i in range(N, 0, -1):
    print(f"lambda_{i}: by elimination {lam[i - 1]}, from the bottom up {upwards[i]}")
    assert np.allclose(lam[i - 1], upwards[i], atol=1e-14)

# %%
figure, (left, right) = panels(2, width=10, height=5)
limit = np.abs(matrix).max()
for axes, shown, way, title in (
    (left, matrix, (0.2, 0.8), r"$\partial f/\partial u$: solved from the top down"),
    (right, matrix.T, (0.8, 0.2), r"its transpose: from the bottom up"),
):
    axes.imshow(shown, cmap="PuOr", vmin=-limit, vmax=limit)
    axes.set_title(title)
    axes.set_xticks(np.arange(N) * 2 + 0.5, [f"{i}" for i in range(1, N + 1)])
    axes.set_yticks(np.arange(N) * 2 + 0.5, [f"{i}" for i in range(1, N + 1)])
    for i in range(1, N):
        axes.axhline(2 * i - 0.5, color="lightgray", linewidth=0.8)
        axes.axvline(2 * i - 0.5, color="lightgray", linewidth=0.8)
    axes.grid(False)
    arrow = {"arrowstyle": "->", "color": "black", "linewidth": 2}
    x = 0.93 if axes is left else 0.07
    start, end = 1 - way[0], 1 - way[1]
    axes.annotate("", (x, end), (x, start), xycoords="axes fraction", arrowprops=arrow)
left.set(xlabel="state $z_i$", ylabel="equation of step $i$")
right.set(xlabel=r"$\lambda_i$", ylabel="equation of state $z_i$")
save(
    figure,
    "04_two_matrices",
    alt="Two matrices of six by six blocks, each two by two, entries as colours. Left, the Jacobian"
    " of six Euler steps: coloured blocks on the diagonal and directly below it, zero elsewhere; an"
    " arrow points down. Right, its transpose: blocks on the diagonal and directly above it; the"
    " arrow points up.",
)

# %% [markdown]
# (In the picture violet entries are positive, brown ones negative, white ones zero.) The last block
# of the transposed system has one unknown, $\lambda_N$. Block $i$ above it says
# $\lambda_i - B_i^T \lambda_{i+1} = 0$: the right-hand side is zero, as this loss looks at
# $\mathbf z_N$ only. So each solution goes into the block above it, from the bottom up. Written as
# rows, and with G24 as a sum over the steps:
#
# $$\lambda_N^T = \frac{\partial g}{\partial \mathbf z_N}, \qquad
# \lambda_i^T = \lambda_{i+1}^T \Big(I + h \frac{\partial \mathbf F}{\partial \mathbf z}(\mathbf z_i)\Big), \qquad
# \frac{dg}{d\mathbf p} = \sum_{i=1}^{N} h \lambda_i^T \frac{\partial \mathbf F}{\partial \mathbf p}(\mathbf z_{i-1}).$$
#
# **The transpose of a lower triangular matrix is upper triangular; that is why the adjoint runs
# backwards in time.**
# (The sum has a plus since
# $\frac{\partial \mathbf f_i}{\partial \mathbf p} = -h \frac{\partial \mathbf F}{\partial \mathbf p}$,
# and G24 has another minus.)
#
# What does $\lambda_i$ mean here? If the right-hand side of equation $i$ is raised by a small
# $\mathbf d$, then $\mathbf z_i = \mathbf z_{i-1} + h \mathbf F + \mathbf d$: the state is pushed
# by $\mathbf d$ after step $i$. So $\lambda_i^T \mathbf d$ is how much the loss rises when state
# $i$ is pushed.
#
# In the next chapter the steps get small. The sum becomes an integral, and the recursion becomes a
# differential equation; its solution is called $\mathbf a(t)$. And if the loss looks at several
# states, the right-hand side $\frac{\partial g}{\partial \mathbf u}$ has entries in several
# blocks. On the way up each is *added* in its own row:
# $\lambda_i^T = \lambda_{i+1}^T B_i + \frac{\partial g}{\partial \mathbf z_i}$.

# %%
summed = sum(h * upwards[i] @ jacobian(F, 1)(z[i - 1], p) for i in range(1, N + 1))
library = grad(lambda p: g_end(root(stacked, u, p)))(p)
print("dg/dp by the sum over the steps:", summed, "  by the library's root:", library)
assert np.allclose(summed, library, rtol=1e-12, atol=0)


def g_pushed(i, d):
    """The loss when the state is pushed by d after step i."""
    y = z0
    for step in range(1, N + 1):
        y = y + h * F(y, p) + (d if step == i else 0)
    return g_end(y)


at_3 = by_differences(lambda d: g_pushed(3, d), np.zeros(2))
print("lambda_3:", upwards[3], "  by pushing state 3:", at_3)
assert np.allclose(upwards[3], at_3, atol=1e-8)
g_all = lambda u: np.sum(u[::2] ** 2)  # u[::2] takes every second number: all angles
row = grad(g_all)(u).reshape(N, 2)
step_up = row[-1]
for i in range(N - 1, 0, -1):
    step_up = step_up @ (np.eye(2) + h * jacobian(F, 0)(z[i], p)) + row[i - 1]  # added
by_elimination = np.linalg.solve(matrix.T, row.ravel())[:2]
print("lambda_1 for a loss at all steps:", step_up, "  by elimination:", by_elimination)
assert np.allclose(step_up, by_elimination, atol=1e-13)

# %% [markdown]
# ## The sources against the numbers
#
# **G26** is printed as
# $\frac{\partial \mathbf f}{\partial \mathbf u} \lambda = \frac{\partial g}{\partial \mathbf u}^T$,
# without the transpose on the left. For a symmetric matrix the two agree. So a test with a
# symmetric example does not find the mistake.

# %% [predict]
# The next cell computes $\frac{dg}{d\mathbf p}$ of example 2, at $\mathbf p = (1, 2)$, by G26 with
# and without the transpose. How many digits of the one without will be right?

# %%
corrected = -np.linalg.solve(df_du.T, dg_du) @ df_dp
printed = -np.linalg.solve(df_du, dg_du) @ df_dp
print("finite differences:       ", measured)
print("G26 with the transpose:   ", corrected)
print("G26 as printed:           ", printed, " <- wrong")
assert np.allclose(corrected, measured, atol=1e-9) and np.abs(printed - measured).max() > 0.1

# %% [markdown]
# ## Exercises

# %% [exercise 4.1] level 1
# $\lambda_i$ says how much $g$ rises for each unit by which the right-hand side of equation $i$ is
# raised. See it in example 2, with `f` and `g` of the chapter. Write two functions, where `p` is an
# array of two numbers:
#
# * `multipliers(p)` returns $\lambda$, an array of two numbers, by one linear solve (G26).
# * `raised(p, i, eps)` returns the solution $\mathbf u$ of
#   $\mathbf f(\mathbf u, \mathbf p) = \epsilon \mathbf e_i$, an array of two numbers. `i` is 0 for
#   the first equation and 1 for the second. `root` needs a function that is zero at this
#   $\mathbf u$, and `tol=1e-14`, because the check looks at a small difference.


# %% [stub 4.1]
def multipliers(p):
    """Return lambda of example 2, an array of two numbers."""
    ...  # your code here


def raised(p, i, eps):
    """Return the u for which f(u, p) is eps in equation i (0 or 1), and zero in the other."""
    ...  # your code here


# %% [solution 4.1]
def multipliers(p):
    """Return lambda of example 2, an array of two numbers."""
    u = root(f, np.zeros(2), p, tol=1e-14)
    return np.linalg.solve(jacobian(f, 0)(u, p).T, grad(g)(u))


def raised(p, i, eps):
    """Return the u for which f(u, p) is eps in equation i (0 or 1), and zero in the other."""
    return root(lambda u: f(u, p) - eps * np.eye(2)[i], np.zeros(2), tol=1e-14)


# Why it is so: raising the right-hand side by eps e_i is the parameter of f - eps e_i = 0, with
# df/d(eps) = -e_i, and G24 gives dg/d(eps) = -lambda^T (-e_i) = lambda_i.
print("lambda at p = (1, 2):", multipliers(np.array([1.0, 2.0])))


# %% [check 4.1]
def look_at(p, i, eps=1e-6):
    """Hold both functions against each other for one p and one equation."""
    lam, raised_u = multipliers(p), raised(p, i, eps)
    assert np.shape(lam) == (2,), (
        f"multipliers(p) returns {lam!r}; it should be an array of two numbers, lambda."
    )
    assert np.shape(raised_u) == (2,), (
        f"raised(p, i, eps) returns {raised_u!r}; it should be the solution u, an array of two"
        " numbers."
    )
    left, wanted = f(raised_u, p), eps * np.eye(2)[i]
    hint = f" At p = {p}, i = {i}, eps = {eps}: f(u, p) = {left}; it should be {wanted}."
    assert not np.allclose(left, -wanted, rtol=0, atol=1e-11), (
        "raised: the sign of eps is wrong. f(u, p) = eps is f(u, p) - eps = 0." + hint
    )
    assert not np.allclose(left, wanted[::-1], rtol=0, atol=1e-11), (
        "raised: eps stands in the other equation. i counts from 0." + hint
    )
    assert np.allclose(left, wanted, rtol=0, atol=1e-11), (
        "raised: u does not solve f(u, p) = eps e_i." + hint
    )
    u = root(f, np.zeros(2), p, tol=1e-14)
    rise = (g(raised_u) - g(u)) / eps
    hint = f" At p = {p}, lambda_{i + 1} = {lam[i]:.6f}, and g rises by {rise:.6f} eps."
    assert not np.allclose(jacobian(f, 0)(u, p) @ lam, grad(g)(u), atol=1e-6), (
        "multipliers: this is G26 as it is printed. The matrix has to be transposed." + hint
    )
    assert abs(rise + lam[i]) > 1e-4, (
        "multipliers: lambda has the wrong sign. G26 has no minus; the minus stands in G24." + hint
    )
    assert abs(rise - lam[i]) < 1e-4, (
        "multipliers: this is not lambda. Are df/du and dg/du taken at the u of this p?" + hint
    )


for example in ([1.0, 2.0], [-0.3, 0.1], [2.0, -5.0]):
    look_at(np.array(example), 0)
    look_at(np.array(example), 1)

# %% [exercise 4.2] level 2
# Write the adjoint method for any system of $n$ equations, without `root`:
# `my_adjoint(f, g, u0, p)` returns $\frac{dg}{d\mathbf p}$, an array of the shape of `p`. `f(u, p)`
# returns $n$ numbers and `g(u)` one number; `u0`, an array of $n$ numbers, is where the search for
# $\mathbf u$ begins. Three parts:
#
# 1. Newton's method, whose step from $\mathbf u$ is
#    $-(\frac{\partial \mathbf f}{\partial \mathbf u})^{-1} \mathbf f(\mathbf u, \mathbf p)$,
#    from `u0` until the step is smaller than $10^{-12}$, and at most 50 times.
# 2. One linear solve for $\lambda$ (G26).
# 3. One vector-Jacobian product of $\mathbf f$ with respect to $\mathbf p$ (G24). The matrix
#    $\frac{\partial \mathbf f}{\partial \mathbf p}$ is not needed.
#
# Use `jacobian(f, 0)`, `grad` and `vjp`, and `np.linalg.solve` for both systems: no matrix is
# inverted. The check, `check_root_adjoint`, tries your function on systems that it draws, and says
# which mistake it recognises.


# %% [stub 4.2]
def my_adjoint(f, g, u0, p):
    """Return dg/dp, where f(u, p) = 0."""
    ...  # your code here


# %% [solution 4.2]
def my_adjoint(f, g, u0, p):
    """Return dg/dp, where f(u, p) = 0."""
    u = u0
    for _ in range(50):
        step = np.linalg.solve(jacobian(f, 0)(u, p), f(u, p))
        u = u - step
        if np.abs(step).max() < 1e-12:
            break
    lam = np.linalg.solve(jacobian(f, 0)(u, p).T, grad(g)(u))  # G26
    _, pullback = vjp(lambda p: f(u, p), p)  # at the solution, which is held
    return pullback(-lam)[0]  # G24: the minus is here


print(my_adjoint(f, g, np.zeros(2), np.array([1.0, 2.0])))

# %% [check 4.2]
check_root_adjoint(my_adjoint)
check_without(lambda: my_adjoint(f, g, np.zeros(2), np.array([1.0, 2.0])), root)

# %% [exercise 4.3] level 2
# Hold $p_2 = 2$ in example 2. As a function of $p_1$ alone, $g$ has two minima, and its slope
# $\frac{dg}{dp_1}$ is zero at a third place too. Find all three by Newton's method on
# $\frac{dg}{dp_1}$: write $g$ as a function of the number $p_1$, with `root` in it; its `grad` is
# the function whose zeros `root` is to find. (`root` differentiates this `grad` once more.) Set
#
# * `places`: an array of the three values of $p_1$ that `root` finds from the starts -2.2, -1.5
#   and -0.5, in this order;
# * `kinds`: a tuple of three strings, each `"minimum"` or `"maximum"`, in the same order. The
#   second derivative tells.

# %% [stub 4.3]
places = ...  # three numbers
kinds = ...  # three strings


# %% [solution 4.3]
def g_of_p1(p1):
    """Return g where p = (p1, 2)."""
    return g(root(f, np.zeros(2), np.array([p1, 2.0]), tol=1e-13))


slope = grad(g_of_p1)
places = np.array([root(slope, start) for start in (-2.2, -1.5, -0.5)])
kinds = tuple("minimum" if grad(slope)(p1) > 0 else "maximum" for p1 in places)
for p1, kind in zip(places, kinds):
    print(f"p1 = {p1:.6f}: dg/dp1 = {slope(p1):.1e}, a {kind}, g = {g_of_p1(p1):.6f}")


# %% [check 4.3]
def slope_and_bend(p1):
    """Return the first two derivatives of g in p1, by differences."""
    at = lambda p1: g(root(f, np.zeros(2), np.array([p1, 2.0]), tol=1e-14))
    below, here, above = (at(p1 + d) for d in (-1e-4, 0, 1e-4))
    return (above - below) / 2e-4, (above - 2 * here + below) / 1e-8


assert np.shape(places) == (3,), f"places is {places!r}; it should be an array of three numbers."
assert np.shape(kinds) == (3,) and set(kinds) <= {"minimum", "maximum"}, (
    f'kinds is {kinds!r}; it should be a tuple of three strings, each "minimum" or "maximum".'
)
for p1, kind in zip(places, kinds):
    first, second = slope_and_bend(p1)
    assert abs(first) < 1e-5, (
        f"At p1 = {p1:.6f} the slope dg/dp1 is {first:.2g}, not zero. Is it root of the gradient"
        " (grad of a function of p1), not of g?"
    )
    assert kind == ("minimum" if second > 0 else "maximum"), (
        f"At p1 = {p1:.6f} the second derivative of g is {second:.3g}, so it is no {kind}."
    )
assert np.all(np.abs(np.diff(places)) > 0.01), f"The three places are not different: {places}."
assert np.all(np.diff(places) > 0), f"The places are not in the order of their starts: {places}."

# %% [exercise 4.4] level 3
# Show that G26 as printed is right whenever $\mathbf f$ is the gradient of some function of
# $\mathbf u$. Then look at example 2, where $\mathbf f$ is no gradient. Even there G26 as printed
# gives the right $\frac{dg}{d\mathbf p}$ for some $\mathbf p$ (and not because the derivative is
# zero). Find the $\mathbf u$ at which it happens, with pen and paper, and set `lucky` to a
# $\mathbf p$ that belongs to it, an array of two numbers, right to ten digits.

# %% [stub 4.4]
lucky = ...  # two numbers


# %% [solution 4.4]
# If f is the gradient of a function of u, then df/du is its Hessian, which is symmetric: the
# transpose of it is itself. In numbers:
def of_gradient(u, p):
    """Return a gradient in u."""
    return grad(lambda u: np.sum(u**4) + np.sum(u**2) + u[0] * u[1] + u @ p)(u)


p = np.array([1.0, 2.0])
u = root(of_gradient, np.zeros(2), p)
lam = np.linalg.solve(jacobian(of_gradient, 0)(u, p), grad(g)(u))  # without the transpose
by_root = grad(lambda p: g(root(of_gradient, np.zeros(2), p)))(p)
print("f a gradient: as printed", -lam @ jacobian(of_gradient, 1)(u, p), "  autodiff", by_root)
# In example 2, df/du = [[1, 1], [3 u1^2, -1]] is symmetric where 3 u1^2 = 1. Any p1 will do; then
# u2 = -u1 - p1 by the first equation, and p2 = u2 - u1^3 by the second.
u1, p1 = 1 / np.sqrt(3), 0.5
lucky = np.array([p1, -u1 - p1 - u1**3])
print("G26 as printed is right in example 2 for p =", lucky)

# %% [check 4.4]
assert np.shape(lucky) == (2,), f"lucky is {lucky!r}; it should be p, an array of two numbers."
u = root(f, np.zeros(2), np.asarray(lucky), tol=1e-14)
df_du = jacobian(f, 0)(u, lucky)
as_printed = -np.linalg.solve(df_du, grad(g)(u)) @ jacobian(f, 1)(u, lucky)
right = grad(lambda p: g(root(f, np.zeros(2), p, tol=1e-14)))(np.asarray(lucky))
assert np.abs(right).max() > 1e-3, (
    f"At p = {lucky} the derivative dg/dp is {right}: as dg/du is zero there, every formula is"
    " right. Look for a p where df/du is special."
)
assert np.abs(as_printed - right).max() < 1e-8 * np.abs(right).max(), (
    f"At p = {lucky} the solution is u = {u}, and G26 as printed gives {as_printed}; right is"
    f" {right}. There df/du = {df_du.tolist()}. What must be true, to ten digits, of a"
    " matrix that is its own transpose? Is lucky the p that belongs to this u, not u itself?"
)

# %% [markdown]
# ## What to remember
#
# 1. When parameters move, a solution of $\mathbf f(\mathbf u, \mathbf p) = 0$ moves so that
#    $\mathbf f$ stays zero. That alone gives its derivative; how the solution was found does not
#    matter.
# 2. Two ways give the same number. First $\frac{d\mathbf u}{d\mathbf p}$: one linear solve for each
#    parameter. First $\lambda$: one linear solve for all.
# 3. The adjoint method in two lines:
#    $(\frac{\partial \mathbf f}{\partial \mathbf u})^T \lambda = (\frac{\partial g}{\partial \mathbf u})^T$,
#    then $\frac{dg}{d\mathbf p} = -\lambda^T \frac{\partial \mathbf f}{\partial \mathbf p}$.
# 4. $\lambda_i$ is how much the loss rises when the right-hand side of equation $i$ is raised.
# 5. Euler steps are a lower triangular system, solved from the first step to the last. Its
#    transpose is solved from the last step to the first: backwards in time.
#
# ## Sources
#
# G18-G24, G25, G26, G-ex1, G-ex2 (Gazula and Plis, "Adjoint Method: Introduction" to "Examples").
# Granzow, "A tutorial on adjoint methods and their use for data assimilation in glaciology",
# *Journal of Glaciology* 60 (2014), which the slides follow.
