# %% [markdown]
# # Reverse mode: derivatives of a program
#
# **The question.** Training needs the gradient of one number, the loss, with respect to every
# parameter, of which there may be millions. How can that cost no more than a few evaluations of the
# loss, and how can one be sure that it is right?
#
# The backward pass of neural ODEs (G16, G17: $dz/dt = f(z, t, \theta)$ with a network for $f$)
# needs exactly one thing from such an engine: the *vector-Jacobian product* of $f$. This chapter
# builds an engine of forty lines, and then opens the library's.

# %%
import math

import numpy as np

from tinyode import grad, hessian, jacobian, jvp, nn, program, vjp
from tinyode.autodiff.tape import Tape, sweep
from tinyode.plotting import COLOURS, panels, save
from tinyode.testing import central_difference, check_vjp

# %% [markdown]
# ## The chain rule has a direction
#
# A program is a chain of simple steps, $x \to x_1 \to x_2 \to \dots \to L$. Its derivative is the
# product of theirs,
# $$\frac{dL}{dx} = \frac{\partial L}{\partial x_n} \frac{\partial x_n}{\partial x_{n-1}} \cdots \frac{\partial x_1}{\partial x},$$
# and a product of matrices may be bracketed at will. $L$ is one number, so the factor on the left
# is a *row*: from the left, every intermediate result is a row as well. From the right, every
# intermediate result is a full matrix. Count the multiplications:

# %%
n, layers = 1000, 10
row_first = layers * n * n  # (1 x n) (n x n), each time
matrix_first = (layers - 1) * n**3 + n * n  # (n x n) (n x n), each time, and the row at the end
print(f"{layers} layers of width {n}: from the left {row_first:.1e} multiplications", end=", ")
print(f"from the right {matrix_first:.1e}")
J = np.random.default_rng(0).normal(size=(3, 5, 5))
row = np.ones(5)
from_the_left, from_the_right = ((row @ J[2]) @ J[1]) @ J[0], row @ (J[2] @ (J[1] @ J[0]))
assert np.allclose(from_the_left, from_the_right)

# %% [markdown]
# Reverse mode is the bracketing from the left. It never forms a Jacobian: each step only has to
# answer, "given the row $g^T$ that arrives from my output, which row $g^T J$ leaves through my
# input?" That product is the step's VJP, and $g$ the *cotangent* (in backpropagation: the error
# signal). For $y = \tanh x$ the Jacobian is diagonal, and the answer is `g * (1 - y * y)`; for
# $Y = AB$ it is `g @ B.T` and `A.T @ g`. Where a value is used more than once, the rows that come
# back from its uses are *added* (the chain rule for several arguments). Each step's VJP costs a
# small multiple of the step itself (for a product $AB$, two products of the same size), so the
# whole sweep costs a small multiple of the loss, whatever the number of parameters.
#
# The price: the steps must be remembered until the row comes back to them. That list is called the
# *tape* (Wengert, 1964), and its length is the reason for chapter 5.
#
# ## An engine of forty lines


# %%
class Var:
    """A number or array that remembers how it was made.

    With each parent it keeps a function from its own cotangent to what that adds to the parent's.
    The operands of + and * have equal shapes here; the library also undoes broadcasting.
    """

    def __init__(self, value, parents=()):
        self.value = np.asarray(value, dtype=float)
        self.parents = parents

    def __add__(self, other):
        other = other if isinstance(other, Var) else Var(other)
        return Var(self.value + other.value, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        other = other if isinstance(other, Var) else Var(other)
        parents = [(self, lambda g: g * other.value), (other, lambda g: g * self.value)]
        return Var(self.value * other.value, parents)

    def __matmul__(self, other):
        parents = [(self, lambda g: g @ other.value.T), (other, lambda g: self.value.T @ g)]
        return Var(self.value @ other.value, parents)

    def tanh(self):
        y = np.tanh(self.value)
        return Var(y, [(self, lambda g: g * (1 - y * y))])

    def sum(self):
        return Var(self.value.sum(), [(self, lambda g: g * np.ones_like(self.value))])


def gradient(output, inputs):
    """Walk back from the output; each Var once, after everything that was made from it."""
    order, seen = [], set()

    def visit(v):
        if id(v) not in seen:
            seen.add(id(v))
            for parent, _ in v.parents:
                visit(parent)
            order.append(v)

    visit(output)
    cotangents = {id(v): np.zeros_like(v.value) for v in order}
    cotangents[id(output)] = np.ones_like(output.value)
    for v in reversed(order):
        for parent, vjp_of_parent in v.parents:
            cotangents[id(parent)] = cotangents[id(parent)] + vjp_of_parent(cotangents[id(v)])
    return [cotangents[id(v)] for v in inputs]


# %% [markdown]
# That is all. A small network with it, and the same network for the library. It needs no `Var` in
# your code: NumPy tells the library of each function that is called.

# %%
rng = np.random.default_rng(0)
x, W1, W2 = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(5, 1))


def loss(W1, W2):
    y = np.tanh(x @ W1) @ W2
    return np.sum(y * y)


v1, v2 = Var(W1), Var(W2)
output = (Var(x) @ v1).tanh() @ v2
ours = gradient((output * output).sum(), [v1, v2])
library = grad(loss, (0, 1))(W1, W2)
for a, b in zip(ours, library):
    print("forty lines against the library: largest difference", np.abs(a - b).max())
    assert np.allclose(a, b, rtol=1e-12, atol=0)

# %% [markdown]
# Each step of $L = (a b + \tanh a)^2$ at $a = 0.5$, $b = 2$, with its value going forward (black)
# and its cotangent coming back (red):

# %%
a, b = Var(0.5), Var(2.0)
p, q = a * b, a.tanh()
s = p + q
L = s * s
ct = dict(zip("abpqsL", gradient(L, [a, b, p, q, s, L])))
boxes = {  # where it stands, what it is
    "a": (0, 1.0, "$a$", a),
    "b": (0, 0.0, "$b$", b),
    "p": (1.3, 0.25, "$p = ab$", p),
    "q": (1.3, 1.25, r"$q = \tanh a$", q),
    "s": (2.6, 0.75, "$s = p + q$", s),
    "L": (3.9, 0.75, "$L = s^2$", L),
}
forward = {"arrowstyle": "->", "color": "black", "lw": 1.6}
back = {"arrowstyle": "->", "color": COLOURS[4], "lw": 1.6}
figure, axes = panels(height=4.4)
for start, end in ("ap", "aq", "bp", "ps", "qs", "sL"):
    (x0, y0, *_), (x1, y1, *_) = boxes[start], boxes[end]
    along = np.array([x1 - x0, y1 - y0]) / np.hypot(x1 - x0, y1 - y0)
    aside = np.array([-along[1], along[0]]) * 0.035  # the two arrows run beside each other
    tail, head = np.array([x0, y0]) + 0.4 * along, np.array([x1, y1]) - 0.43 * along
    axes.annotate("", head + aside, tail + aside, arrowprops=forward)
    axes.annotate("", tail - aside, head - aside, arrowprops=back)
for name, (x0, y0, label, v) in boxes.items():
    axes.text(x0, y0 + 0.11, label, ha="center", va="bottom", fontsize=16)
    axes.text(x0, y0 + 0.01, f"{v.value:.4f}", ha="center", va="center", fontsize=13)
    red = {"fontsize": 13, "color": COLOURS[4]}
    axes.text(x0, y0 - 0.09, f"{ct[name]:.4f}", ha="center", va="top", **red)
axes.text(1.95, -0.3, "forward: values", ha="right", fontsize=13)
axes.text(2.05, -0.3, "back: cotangents", ha="left", fontsize=13, color=COLOURS[4])
axes.set(xlim=(-0.5, 4.4), ylim=(-0.4, 1.65))
axes.axis("off")
save(figure, "03_forward_and_back")
by_hand = 2 * (0.5 * 2 + np.tanh(0.5)) * (2 + 1 - np.tanh(0.5) ** 2)
print(f"dL/da by the engine {ct['a']:.12f}, by hand {by_hand:.12f}")
assert np.isclose(ct["a"], by_hand, rtol=1e-12, atol=0)
assert np.isclose(grad(lambda a: (a * 2 + np.tanh(a)) ** 2)(0.5), by_hand)

# %% [markdown]
# ## The library's engine
#
# The heart of the library is not much longer than our forty lines, and you can read it now:
# [`tinyode/autodiff/tape.py`](../tinyode/autodiff/tape.py). A `Var` holds its parents. The library
# keeps one list of all operations instead, the *tape*. Inputs take its first positions, and each
# operation takes the next one. An operation is recorded after its operands, so the list is in the
# order that `visit` had to find, and `sweep`, which is our `gradient`, goes through it from the
# end.
#
# A record has five parts: the rule; which of the operands need a derivative, by their number in the
# call; where these operands stand on the tape; the value; all operands. The rule is the function
# that a `Var` kept with each parent. It is given the cotangent, the value, which operands are
# wanted (not needed here) and the operands, and returns one cotangent for each wanted operand. Here
# are the two operations of $y = \tanh(x w)$, written on a tape by hand; $x$ is a constant:

# %%
x0, w0 = np.float64(0.5), np.float64(2.0)
z0, y0 = x0 * w0, np.tanh(x0 * w0)


def rule_of_product(g, value, wanted, x, w):
    return [g * x]  # of w alone


def rule_of_tanh(g, value, wanted, z):
    return [g * (1 - value * value)]


tape = Tape(n_inputs=1)  # position 0 is w
tape.record(rule_of_product, wanted=(1,), parents=(0,), value=z0, args=(x0, w0))  # position 1: z
tape.record(rule_of_tanh, wanted=(0,), parents=(1,), value=y0, args=(z0,))  # position 2: y
(dy_dw,) = sweep(tape.records, seeds=[(2, np.float64(1.0))], n_inputs=1)  # begin with dy/dy = 1
print(f"dy/dw from the tape {dy_dw:.12f}, by hand {x0 * (1 - y0**2):.12f}")
assert dy_dw == x0 * (1 - y0**2) and np.isclose(dy_dw, grad(lambda w: np.tanh(x0 * w))(2.0))

# %% [markdown]
# `vjp` evaluates a function and returns its *pullback*, the function from $w$ to $w^T J$. The rest
# is a few lines each in its terms: `grad` (pull back a one), `jacobian` (pull back each unit
# vector), `jvp`, which gives $J v$ by a neat trick: $w \mapsto w^T J$ is linear in $w$, so *its*
# pullback is $v \mapsto J v$.

# %%
f = lambda y: np.array([y[1], -np.sin(y[0])])  # a pendulum, written as everyone writes it
y = np.array([1.0, 0.3])
value, pullback = vjp(f, y)
v = w = np.array([1.0, 2.0])
print("w^T J =", pullback(w)[0], "  J v =", jvp(f, (y,), (v,))[1])
assert np.allclose(jacobian(f)(y), [[0, 1], [-np.cos(1.0), 0]])
v, w = rng.normal(size=2), rng.normal(size=2)
assert np.isclose(w @ jvp(f, (y,), (v,))[1], pullback(w)[0] @ v)  # <w, J v> = <J^T w, v>

# %% [markdown]
# Because the rules are NumPy code themselves, a derivative can be differentiated like anything
# else. The only danger is to confuse the levels; a variant of a classic test (Siskind and
# Pearlmutter, 2005) is $\frac{d}{dx}\left[x \frac{d}{dy} (x y)\right] = 2x$:

# %%
assert grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0) == 6.0
assert np.allclose(hessian(lambda x: x[0] ** 2 * x[1])(np.array([2.0, 3.0])), [[6, 4], [4, 0]])
print("third derivative of sin at 1:", grad(grad(grad(np.sin)))(1.0), "  -cos(1) =", -np.cos(1.0))
assert np.isclose(grad(grad(grad(np.sin)))(1.0), -np.cos(1.0))

# %% [markdown]
# Where a gradient would get lost, the engine says so instead of returning zero:

# %%
for lost in (lambda x: math.sin(x), lambda x: np.fft.fft(x)):
    try:
        grad(lost)(1.0)
    except TypeError as error:
        print("-", error)
    else:
        raise AssertionError("this should have been refused")

# %% [markdown]
# The tape is a list in memory. `program` writes it down as text: first what the function did, then
# the walk back, one operation a line. The last argument of the written function, `g`, is the
# cotangent of the value, 1 for a gradient; it returns the value, and the cotangents of the
# arguments. (`np.add.reduce` is what `np.sum` calls.) It is NumPy and nothing else, so it can be run where there is nothing else, and
# gives the numbers of the engine to the last bit.


# %%
def loss_of_a_line(w, b, x):
    return np.sum((np.tanh(w * x + b) - 0.5) ** 2)


example = 0.5, -0.1, np.array([1.0, 2.0, 3.0])
made = program(loss_of_a_line, *example, vjp=True)
print(made.source)
alone = {}
exec(made.source, alone)
value, cotangents = alone["loss_of_a_line"](*example, 1.0)
assert value == loss_of_a_line(*example)
assert all(map(np.array_equal, cotangents, grad(loss_of_a_line, (0, 1, 2))(*example)))

# %% [markdown]
# ## How to know that it is right, and where the check itself fails
#
# The oldest check is a difference quotient. The forward one, $(f(x + h) - f(x)) / h$, is wrong by
# $\frac h2 f''$; the central one, $(f(x + h) - f(x - h)) / 2h$, by $\frac{h^2}{6} f'''$. So make
# $h$ tiny? Each $f$ is known to a relative $u \approx 1.1 \cdot 10^{-16}$ only, and the quotient
# divides that by $h$: for the forward one the total is about $\frac h2 |f''| + \frac{2u |f|}{h}$,
# smallest at $h = 2 \sqrt{u |f / f''|}$, for the central one
# $\frac{h^2}{6} |f^{(3)}| + \frac{u |f|}{h}$, smallest at $h = \sqrt[3]{3u |f / f^{(3)}|}$. One
# error falls with $h$, the other grows: the curve is a V, and **no $h$ gives full accuracy**.
# Reverse mode has no $h$.

# %%
g, at = lambda x: np.exp(x) * np.sin(3 * x), 0.7
exact = np.exp(at) * (np.sin(3 * at) + 3 * np.cos(3 * at))
h = 10.0 ** np.arange(-15, 0.25, 0.25)
extrapolated = [central_difference(g, (at,), (1.0,), s) for s in h]
curves = {
    "forward difference": np.array([(g(at + s) - g(at)) / s for s in h]),
    "central difference": np.array([(g(at + s) - g(at - s)) / (2 * s) for s in h]),
    "two central ones, extrapolated": np.array(extrapolated),
}
figure, axes = panels()
best = {}
for (name, values), marker in zip(curves.items(), "os^"):
    error = np.abs(values / exact - 1)
    best[name] = h[np.argmin(error)], np.min(error)
    axes.loglog(h, np.maximum(error, 1e-17), marker + "-", markersize=4, linewidth=1.4, label=name)
reverse = abs(grad(g)(at) / exact - 1)
axes.axhline(max(reverse, 1.1e-16), color=COLOURS[4], linewidth=2.2, label="reverse mode (no $h$)")
axes.set(xlabel="step $h$", ylabel="relative error", ylim=(1e-17, 30))
axes.set_title("Finite differences: too long a step, or too short")
axes.legend(fontsize=11, loc="upper center")
save(figure, "03_v_curve")
for name, (step, error) in best.items():
    print(f"{name:31} best at h = {step:.0e}: {error:.0e}")
print(f"{'reverse mode':31} {reverse:.0e}")
assert reverse < 1e-15


def error_near(step, values):
    """Return the usual error of the quotients with a step near this one."""
    near = np.abs(np.log10(h / step)) < 0.6
    return np.median(np.abs(values / exact - 1)[near])


for name, bottom in (("forward difference", 1e-8), ("central difference", 1e-5)):
    for other in (bottom * 100, bottom / 100):
        assert error_near(bottom, curves[name]) < error_near(other, curves[name])

# %% [markdown]
# So finite differences are the judge of *right or wrong*, seldom of the last digits. To check a
# whole gradient, compare one number: $\langle w, J v \rangle$ by a difference along a random $v$
# against $\langle J^T w, v \rangle$ by the pullback. A wrong entry anywhere shows up in it with
# probability one (in exact arithmetic; here, if it is wrong by more than about $10^{-7}$ of the
# whole). `check_vjp` does that; here for a network and its second derivatives.

# %%
init, apply = nn.mlp(3, 20, 20, 1)
check_vjp(apply, init(rng), rng.normal(size=(8, 3)), order=2)

# %% [markdown]
# ## Exercises
#
# 1. Give the forty-line engine a sine, and check it at three points.
# 2. The engine's walk keeps every intermediate value alive. Count the Vars for a loop of $n$ Euler
#    steps on $y' = -y$: how does memory grow with the number of steps? (Remember the answer for
#    chapter 5.)
# 3. What is the cotangent of both arguments of `np.maximum(a, b)` where $a = b$? Ask the library,
#    and find an argument for its answer.

# %%
# 1.
Var.sin = lambda self: Var(np.sin(self.value), [(self, lambda g: g * np.cos(self.value))])
for point in (-1.0, 0.0, 2.0):
    v = Var(point)
    assert np.isclose(gradient(v.sin(), [v])[0], np.cos(point))


# 2. one product, one constant and one sum per step: it grows linearly
def count(v, seen):
    if id(v) not in seen:
        seen.add(id(v))
        for parent, _ in v.parents:
            count(parent, seen)
    return len(seen)


for n in (10, 20, 40):
    v = Var(1.0)
    for _ in range(n):
        v = v + v * (-1.0 / n)
    print(f"{n} steps: {count(v, set())} Vars")
    assert count(v, set()) == 3 * n + 1

# 3. half each: that treats both arguments alike, and as max(a, a) = a the two have to add up to one
print("maximum at a tie:", grad(np.maximum, (0, 1))(1.0, 1.0))
assert grad(np.maximum, (0, 1))(1.0, 1.0) == (0.5, 0.5)

# %% [markdown]
# ## Sources
#
# G15 to G17 and "The gradient of loss can be computed easily with existing methods" (Gazula and
# Plis, "Backpropagation"): this chapter is the existing method. Griewank and Walther, *Evaluating
# Derivatives* (2008), chapter 3. Siskind and Pearlmutter, "Perturbation confusion and referential
# transparency" (2005). Giles, "An extended collection of matrix derivative results" (2008), for the
# rules of matrices.
