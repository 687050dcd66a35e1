# %% [markdown]
# # Reverse mode: derivatives of a program

# %% [markdown]
# **Needs**: chapter 2 (what a network is). From school: the product of matrices, the transpose,
# partial derivatives, the chain rule. Of Python: classes, `lambda`, dictionaries, a function that
# calls itself.
#
# **You will be able to**: derive the vector-Jacobian product of an operation; build an engine that
# differentiates a program; tell by a finite difference whether a gradient is right.
#
# **Minutes**: 80 to 120, with the exercise of level 1.
#
# **The question.** The *loss* is one number that says how bad the output of a model is, and
# training makes it small. For this it needs the derivative of the loss with respect to each
# parameter, and there may be millions of parameters. How can all these derivatives together cost no
# more than a few evaluations of the loss? And how can one know that they are right?

# %%
import math

import numpy as np

from tinyode import grad, jacobian, jvp, nn, program, vjp
from tinyode.autodiff.tape import Tape, sweep
from tinyode.plotting import COLOURS, draw, panels, save
from tinyode.testing import central_difference, check_engine, check_vjp, check_without

# %% [markdown]
# ## One step, in numbers
#
# A program is a sequence of simple steps. Take a step with two inputs and two outputs,
# $y_1 = x_1 x_2$ and $y_2 = x_1 + x_2$, at $x = (2, 3)$. A small change $dx$ of the inputs changes
# the outputs, to first order, by $dy_1 = x_2 dx_1 + x_1 dx_2 = 3 dx_1 + 2 dx_2$ and
# $dy_2 = dx_1 + dx_2$, or
#
# $$dy = J dx, \qquad J = \begin{pmatrix} 3 & 2 \cr 1 & 1 \end{pmatrix}.$$
#
# > **Jacobian.** The matrix $J$ of the first derivatives, $J_{ij} = \partial y_i / \partial x_j$.
# > It has a row for each output and a column for each input. The changes $dx$ and $dy$ are columns.
#
# Let the rest of the program be $L = y_1^2 + y_2$. At $y = (6, 5)$ the loss changes by
# $dL = 2 y_1 dy_1 + dy_2 = 12 dy_1 + dy_2$. This is a row times a column, $dL = g dy$ with
# $g = (12, 1)$. **The derivative of a number is a row.** Put in $dy = J dx$: then $dL = g J dx$, so
# the derivative of the loss with respect to $x$ is the row
#
# $$\frac{dL}{dx} = g J = (12 \cdot 3 + 1 \cdot 1, \ 12 \cdot 2 + 1 \cdot 1) = (37, 25).$$
#
# > **Cotangent, vector-Jacobian product.** The *cotangent* of a value is the derivative of the loss
# > with respect to it; $g$ is the cotangent of $y$. The product $g J$ is called the
# > *vector-Jacobian product* (VJP) of the step. It makes the cotangent of the input from the
# > cotangent of the output.
#
# In NumPy, a row and a column of two numbers are both arrays of shape `(2,)`: `g @ J` is the row
# times the matrix, and `J @ v` the matrix times a column. `central_difference` moves `x` a little
# forth and back along `unit`, and returns the slope of the loss in this direction. (Points and
# directions stand in tuples, one for each argument of the function.)

# %%
step = lambda x: np.array([x[0] * x[1], x[0] + x[1]])
x, g, J = np.array([2.0, 3.0]), np.array([12.0, 1.0]), np.array([[3.0, 2.0], [1.0, 1.0]])
loss_of_x = lambda x: step(x)[0] ** 2 + step(x)[1]
measured = [central_difference(loss_of_x, (x,), (unit,)) for unit in np.eye(2)]
print("g J =", g @ J, "  dL/dx by finite differences:", np.round(measured, 9))
assert np.allclose(g @ J, measured)

# %% [markdown]
# ## The chain rule has a direction
#
# For a chain of steps $x_0 \to x_1 \to x_2 \to x_3 \to L$ the derivative is a product of Jacobians,
# with a row on the left:
#
# $$\frac{dL}{dx_0} = \frac{\partial L}{\partial x_3} \frac{\partial x_3}{\partial x_2}
# \frac{\partial x_2}{\partial x_1} \frac{\partial x_1}{\partial x_0}.$$
#
# A product of matrices may be bracketed at will. From the left, every intermediate result is a row.
# From the right, every intermediate result is a full matrix. Count the multiplications:

# %% [predict]
# Ten steps, each with a Jacobian of 1000 rows and 1000 columns, after them a loss. How many times
# fewer multiplications does the product take from the left than from the right?

# %%
width, steps = 1000, 10
row_first = steps * width**2  # (1 x 1000) (1000 x 1000), each time
matrix_first = (steps - 1) * width**3 + width**2  # (1000 x 1000) (1000 x 1000); the row at the end
print(f"{steps} steps of width {width}: from the left {row_first:.1e} multiplications", end=", ")
print(f"from the right {matrix_first:.1e}: {matrix_first / row_first:.0f} times as many")

# %% [markdown]
# **Reverse mode** is the bracketing from the left. It begins at the loss, with the row
# $\partial L / \partial L = 1$, and goes back through the steps. Each step takes the cotangent of
# its output, and returns the cotangent of its input.
#
# ## Three rules, derived
#
# A step can compute $g J$ without $J$. To see this we need two signs. For two arrays of the same
# shape, $\langle p, q \rangle$ is the sum of the products of their elements, a number,
# and $p \odot q$ is the array of these products: $\langle (1, 2), (3, 4) \rangle = 3 + 8 = 11$ and
# $(1, 2) \odot (3, 4) = (3, 8)$. In NumPy they are `np.sum(p * q)` and `p * q`.
#
# A value of shape (4, 5) has twenty elements, and the loss has a derivative with respect to each.
# We keep the twenty derivatives in an array of the shape (4, 5) as well: **a cotangent has the
# shape of its value**. Then a small change $dy$ of a value $y$ with the cotangent $g$ changes the
# loss by $dL = \langle g, dy \rangle$. (Of a vector this is the row times the column, as above.)
#
# So there is one recipe for every rule: write $dL = \langle g, dy \rangle$, put in what $dy$ is,
# and bring it to the form $\langle \dots, dx \rangle$. What stands in the place of the dots is the
# cotangent of $x$.
#
# **Tanh.** For $y = \tanh x$, element by element, $dy = (1 - y \odot y) \odot dx$. A product of
# three numbers can be grouped in another way, so
#
# $$dL = \langle g, (1 - y \odot y) \odot dx \rangle = \langle g \odot (1 - y \odot y), dx \rangle.$$
#
# **Product of matrices.** For $Y = A B$ the product rule says $dY = (dA) B + A (dB)$. Write the
# first part of $dL$ with indices, and collect what stands beside $dA_{ik}$:
#
# $$\langle g, (dA) B \rangle = \sum_{ij} g_{ij} \sum_k dA_{ik} B_{kj} = \sum_{ik} \Big( \sum_j g_{ij} B_{kj} \Big) dA_{ik} = \langle g B^T, dA \rangle.$$
#
# In the second part, collect what stands beside $dB_{kj}$:
#
# $$\langle g, A (dB) \rangle = \sum_{ij} g_{ij} \sum_k A_{ik} dB_{kj} = \sum_{kj} \Big( \sum_i A_{ik} g_{ij} \Big) dB_{kj} = \langle A^T g, dB \rangle.$$
#
# So the cotangent of $A$ is $g B^T$ and that of $B$ is $A^T g$. The shapes agree: for $A$ of shape
# (4, 3) and $B$ of shape (3, 5), $g$ has shape (4, 5), $g B^T$ has (4, 3) and $A^T g$ has (3, 5).
#
# **A value that is used twice.** If two steps use $x$, each has a part in $dL$:
# $dL = \langle g_1, dx \rangle + \langle g_2, dx \rangle = \langle g_1 + g_2, dx \rangle$. The
# cotangents that come back from the uses are *added*.
#
# Each rule in numbers: the loss is $L = \langle g, y \rangle$ with a random $g$, so that $y$ has
# the cotangent $g$. The last line uses $x$ twice, in $y = x \odot \tanh x$.

# %%
rng = np.random.default_rng(0)
A, B, g = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
x = A @ B
y = np.tanh(x)
rules = {
    "tanh(x), for x": (lambda x: np.sum(g * np.tanh(x)), x, g * (1 - y * y)),
    "A B, for A": (lambda A: np.sum(g * (A @ B)), A, g @ B.T),
    "A B, for B": (lambda B: np.sum(g * (A @ B)), B, A.T @ g),
    "x tanh(x), for x": (lambda x: np.sum(g * x * np.tanh(x)), x, g * y + g * x * (1 - y * y)),
}
for name, (loss_of, point, rule) in rules.items():
    dx = rng.normal(size=point.shape)  # a random direction
    dL = central_difference(loss_of, (point,), (dx,))
    print(f"{name:16}: <rule, dx> = {np.sum(rule * dx):9.6f}, by a difference {dL:9.6f}")
    assert rule.shape == point.shape and np.isclose(np.sum(rule * dx), dL)

# %% [markdown]
# ## One walk back, by hand
#
# Take $L = (a b + \tanh a)^2$ at $a = 0.5$, $b = 2$. First forward: $a b = 1$ and
# $\tanh a = 0.4621$, their sum is $1.4621$, and $L$ is its square, $2.138$. Then back:
#
# * $L$ has the cotangent 1.
# * The sum has $2 \cdot 1.4621 = 2.924$, the derivative of the square.
# * Both terms of a sum get all of its cotangent: $a b$ has 2.924, and $\tanh a$ has 2.924.
# * Through $a b$, the cotangent times $a$ comes to $b$: $0.5 \cdot 2.924 = 1.462$. This is
#   $\partial L / \partial b$. The cotangent times $b$ comes to $a$: $2 \cdot 2.924 = 5.848$.
# * Through $\tanh a$, $(1 - 0.4621^2) \cdot 2.924 = 2.300$ comes to $a$.
# * Two uses of $a$ have sent something, and these are added:
#   $\partial L / \partial a = 5.848 + 2.300 = 8.148$.
#
# The library draws the same. Each box is a step with its value, and with its cotangent after an
# arrow back. The steps are called v1 to v4, and v4 is $L$.

# %%
figure = draw(lambda a, b: (a * b + np.tanh(a)) ** 2, 0.5, 2.0, vjp=True)
save(
    figure,
    "03_forward_and_back",
    alt="The graph of L = (a b + tanh a)^2, a box for each step, from left to right: the inputs a "
    "= 0.5 and b = 2; the product a b and tanh a; their sum; its square L = 2.138. Solid arrows "
    "lead forward. Dashed arrows lead back, with the cotangents: 1 for L, 2.924 for the three "
    "steps before it, 1.462 for b, and 8.148 for a, where two of them meet and are added.",
)

# %% [markdown]
# ![The graph of L = (a b + tanh a)^2. First the values run forward, box by box. Then the cotangents run back, and the input a, which is used twice, adds up what comes from both of its uses.](../figures/03_cotangents_run_back.gif)
#
# Two things can be seen here. **The cost**: one walk back gives the derivatives for *all* inputs.
# The VJP of a step costs a small multiple of the step. (With the shapes above, $A B$ takes
# $4 \cdot 3 \cdot 5 = 60$ multiplications; $g B^T$ takes 60, and $A^T g$ takes 60.) So the walk
# costs a small multiple of the loss, and it does not matter how many parameters there are. **The
# price**: the walk uses values of the way forward, here $a$, $b$, $\tanh a$ and the sum. They must
# be kept until the walk comes back to them.
#
# > **Tape.** The list of the steps of a program and of the values that the walk back needs
# > (Wengert, 1964). It grows with every step. For an ODE solver that takes ten thousand steps this
# > is a lot of memory, and chapter 5 shows how to do without.
#
# ## An engine of forty lines
#
# The engine does what we have just done. `Var` is a number or an array that also keeps its
# *parents*, the Vars that it was made from. For `a + b` Python calls `a.__add__(b)`, for `a * b`
# `a.__mul__(b)`, and for `a @ b` `a.__matmul__(b)`; these return a new Var with the parents `a` and
# `b`. Beside each parent stands a function, one of the rules from above. It takes the cotangent of
# the new Var, and returns what the parent gets. (A `lambda` can use the names around it, here
# `self` and `other`, also later.) `gradient` walks back.


# %%
class Var:
    """A number or array that remembers how it was made. Operands of + and * have equal shapes."""

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

    def visit(var):
        if id(var) not in seen:
            seen.add(id(var))
            for parent, _ in var.parents:
                visit(parent)
            order.append(var)

    visit(output)
    cotangents = {id(var): np.zeros_like(var.value) for var in order}
    cotangents[id(output)] = np.ones_like(output.value)
    for var in reversed(order):
        for parent, vjp_of_parent in var.parents:
            cotangents[id(parent)] = cotangents[id(parent)] + vjp_of_parent(cotangents[id(var)])
    return [cotangents[id(var)] for var in inputs]


# %% [markdown]
# (`visit` puts the parents of a Var into the list before the Var itself. So in the reversed list
# every Var stands after all that were made from it. `id(var)` is a number that Python gives to each
# object; it tells two Vars of equal value apart.)
#
# First the example above:

# %%
a, b = Var(0.5), Var(2.0)
sum_of_two = a * b + a.tanh()
da, db = gradient(sum_of_two * sum_of_two, [a, b])
g_of_sum = 2 * (0.5 * 2 + np.tanh(0.5))
through_product, through_tanh = g_of_sum * 2, g_of_sum * (1 - np.tanh(0.5) ** 2)
print(f"by hand: dL/da = {through_product:.3f} + {through_tanh:.3f}, dL/db = {g_of_sum * 0.5:.3f}")
print(f"by the forty lines: dL/da = {da:.3f}, dL/db = {db:.3f}")
assert np.allclose([da, db], [through_product + through_tanh, g_of_sum * 0.5], rtol=1e-12, atol=0)

# %% [markdown]
# Then a small network of two layers, $\tanh(x W_1) W_2$, and the same for the library. (The four
# rows of `x` are four inputs. For inputs in rows the matrix of a layer stands on the right.) The
# library needs no `Var` in your code: NumPy tells it of each function that is called.
# `grad(loss, (0, 1))` is the function that returns the gradients for arguments 0 and 1.

# %%
x, W1, W2 = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(5, 1))


def loss(W1, W2):
    y = np.tanh(x @ W1) @ W2
    return np.sum(y * y)


var1, var2 = Var(W1), Var(W2)
output = (Var(x) @ var1).tanh() @ var2
ours = gradient((output * output).sum(), [var1, var2])
library = grad(loss, (0, 1))(W1, W2)
for own, other in zip(ours, library):
    print(f"shape {own.shape}: forty lines against the library", np.abs(own - other).max())
    assert np.allclose(own, other, rtol=1e-12, atol=0)

# %% [markdown]
# ## Why the walk needs an order
#
# It is tempting to leave out `visit`, and to let every Var send its cotangent to its parents as
# soon as it gets one:


# %%
def without_order(var, g, found):
    """Add g to what var has, and send on what it has now."""
    found[id(var)] = found.get(id(var), 0.0) + g
    for parent, vjp_of_parent in var.parents:
        without_order(parent, vjp_of_parent(found[id(var)]), found)


# %% [predict]
# Let $y = a + a$ and $L = y y$ with $a = 3$. By hand $L = 4 a^2$, so $dL/da = 8 a = 24$. In
# $L = y y$ the value $y$ is used twice, and `without_order` goes from $L$ to $y$ twice, with
# $g = y = 6$ each time. Which number does it find for $a$?

# %%
a = Var(3.0)
y = a + a
L = y * y
found = {}
without_order(L, 1.0, found)
print(f"with an order {gradient(L, [a])[0]}, by hand {8 * 3.0}, without it {found[id(a)]}")
assert gradient(L, [a])[0] == 24.0 and found[id(a)] == 36.0

# %% [markdown]
# When $y$ is reached for the second time it has $6 + 6 = 12$, and sends on 12. But 6 of these had
# been sent already, so they are **counted twice**: $a$ gets $2 \cdot 6 + 2 \cdot 12 = 36$ instead
# of $2 \cdot 12$. A Var may send its cotangent on only when it is complete, after everything that
# was made from it. This is what the order is for.
#
# One can also send on only what is new, the $g$ that has just come. This is right, but it walks
# every path from $L$ by itself. With $n$ lines `y = y + y` the last `y` is reached once, the one
# before it twice, and the first one $2^n$ times: $1 + 2 + \dots + 2^n = 2^{n+1} - 1$ calls.


# %%
def calls(var):
    """Return how many calls a walk takes that sends on only what is new."""
    return 1 + sum(calls(parent) for parent, _ in var.parents)


print(" n    calls without an order    Vars, one for each line and the start")
for n in (5, 10, 15):
    lines = [Var(1.0)]
    for _ in range(n):
        lines.append(lines[-1] + lines[-1])
    print(f"{n:2}    {calls(lines[-1]):22}    {len(lines):36}")
    assert calls(lines[-1]) == 2 ** (n + 1) - 1

# %% [markdown]
# ## The library's engine
#
# The heart of the library is not much longer than our forty lines, and you can read it now:
# [`tinyode/autodiff/tape.py`](../tinyode/autodiff/tape.py). It differs in these points:
#
# | | the forty lines | `tape.py` |
# | --- | --- | --- |
# | record | each Var keeps its parents | one list of all operations, the tape; the inputs have its first positions |
# | order | `visit` looks for it, and calls itself; Python refuses more than about a thousand calls deep | none is needed: an operation is recorded after its operands, so `sweep` reads the list from its end |
# | rule | a function for each parent | one function for all operands, which returns a list |
# | constants | are Vars, and get cotangents | are not recorded; `wanted` says which operands need one |
# | shapes | operands have equal shapes | `fit` sums the cotangent of an operand that was broadcast (exercise 3.4) |
# | derivatives of derivatives | no: the rules compute with plain arrays | yes: rules are NumPy code, so a second tape can record the walk back |
#
# Here are the two operations of $y = \tanh(z)$, $z = x w$, written on a tape by hand; $x$ is a
# constant. Each record has the rule, the value `value` and the operands `args`. In $x w$ operand 0
# is $x$, and only operand 1, $w$, needs a cotangent: `wanted=(1,)`. Its position on the tape is 0:
# `parents=(0,)`. A rule gets the cotangent, the value, `wanted` (not used here) and the operands:

# %%
x0, w0 = np.float64(0.5), np.float64(2.0)
z0, y0 = x0 * w0, np.tanh(x0 * w0)


def rule_of_product(g, value, wanted, x, w):
    return [g * x]  # of w alone


def rule_of_tanh(g, value, wanted, z):
    return [g * (1 - value * value)]


tape = Tape(n_inputs=1)  # position 0: w
tape.record(rule_of_product, wanted=(1,), parents=(0,), value=z0, args=(x0, w0))  # position 1: z
tape.record(rule_of_tanh, wanted=(0,), parents=(1,), value=y0, args=(z0,))  # position 2: y
start = (2, np.float64(1.0))  # position 2 has the cotangent dy/dy = 1
(dy_dw,) = sweep(tape.records, seeds=[start], n_inputs=1)
print(f"dy/dw from the tape {dy_dw:.12f}, by hand {x0 * (1 - y0**2):.12f}")
assert dy_dw == x0 * (1 - y0**2) and np.isclose(dy_dw, grad(lambda w: np.tanh(x0 * w))(2.0))

# %% [markdown]
# ## Pullback, gradient, tangent
#
# `vjp(f, x)` evaluates a function and returns its value and its *pullback*, the function from a
# cotangent $g$ to $g J$. Everything else takes a few lines with it. `grad` begins with the
# cotangent 1 of a number. `jacobian` begins with each unit vector, which gives the rows of $J$.
#
# `jvp` goes the other way. For a small change $v$ of the input, a column called *tangent*, it gives
# the change $J v$ of the output. It needs no new rules: it calls `vjp` twice. The pullback is a
# function too. Written with columns, it is linear: it takes $g^T$ to $J^T g^T$, so its own Jacobian
# is $J^T$. Its pullback takes a row $v^T$ to $v^T J^T$, and this is $(J v)^T$. With the step and
# the numbers of the first section:

# %%
x, g, v = np.array([2.0, 3.0]), np.array([12.0, 1.0]), np.array([1.0, 2.0])
value, pullback = vjp(step, x)
print("g J =", pullback(g)[0])  # pullback returns a tuple, a cotangent for each argument
_, pullback_of_pullback = vjp(lambda g: pullback(g)[0], g)
value, change = jvp(step, (x,), (v,))
print("J v =", pullback_of_pullback(v)[0], " by jvp:", change, " by hand:", J @ v)
assert np.allclose(pullback(g)[0], g @ J) and np.allclose(jacobian(step)(x), J)
assert np.allclose(pullback_of_pullback(v)[0], J @ v) and np.allclose(change, J @ v)
left, right = g @ change, pullback(g)[0] @ v
print("<g, J v> =", left, "  <g J, v> =", right)
assert np.isclose(left, right)

# %% [markdown]
# The last line is the chain rule again, bracketed in two ways: $g (J v) = (g J) v$. It holds for
# all $g$ and $v$, so it is a good test. (Books write
# $\langle g, J v \rangle = \langle J^T g, v \rangle$, with $g$ a column: $J^T g$ is the row $g J$
# written as a column.)
#
# The rules are NumPy code themselves, so a derivative can be differentiated like any other
# function. The only danger is to mix up the inner and the outer one. This is a variant of a classic
# test (Siskind and Pearlmutter, 2005), $\frac{d}{dx}\left[x \frac{d}{dy} (x y)\right]$:

# %% [predict]
# By hand: what is the derivative with respect to x, at x = 3, of x times the derivative of x y with
# respect to y, at y = 2?

# %%
nested = grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0)
print("d/dx [x d/dy (x y)] at x = 3:", nested, "  2 x =", 2 * 3.0)
assert nested == 6.0
print("third derivative of sin at 1:", grad(grad(grad(np.sin)))(1.0), "  -cos(1) =", -np.cos(1.0))
assert np.isclose(grad(grad(grad(np.sin)))(1.0), -np.cos(1.0))

# %% [markdown]
# Where a gradient would get lost, the engine says so and does not return zero. `math.sin` is not a
# function of NumPy, and `np.fft.fft` has no rule. (A "traced" array is one that is being recorded.)


# %%
def with_math(x):
    return math.sin(x)


def with_fft(x):
    return np.fft.fft(x)


for lost in (with_math, with_fft):
    try:
        grad(lost)(1.0)
    except TypeError as error:
        print("-", error)
    else:
        raise AssertionError("this should have been refused")

# %% [markdown]
# The tape is a list in memory. `program` writes it down as text: first what the function did, then
# the walk back, one operation a line. The last argument of the written function, `g`, is the
# cotangent of the value, 1 for a gradient. It returns the value and the cotangents of the
# arguments. It is NumPy and nothing else, and gives the numbers of the engine to the last bit. Find
# the rules of tanh and of the product in it. (`np.add.reduce` is what `np.sum` calls. `w` and `c`
# are used for three elements of `x`, so three cotangents are added.)


# %%
def loss_of_a_line(w, c, x):
    return np.sum((np.tanh(w * x + c) - 0.5) ** 2)


example = 0.5, -0.1, np.array([1.0, 2.0, 3.0])
made = program(loss_of_a_line, *example, vjp=True)
print(made.source)
alone = {}
exec(made.source, alone)  # defines the function that has been printed
value, cotangents = alone["loss_of_a_line"](*example, 1.0)
assert value == loss_of_a_line(*example)
assert all(map(np.array_equal, cotangents, grad(loss_of_a_line, (0, 1, 2))(*example)))

# %% [markdown]
# ## How to know that it is right, and where the check itself fails
#
# The oldest check is a difference quotient, with a step $h$. The forward one,
# $(f(x + h) - f(x)) / h$, is wrong by about $\frac h2 f''$. The central one,
# $(f(x + h) - f(x - h)) / 2h$, is wrong by about $\frac{h^2}{6} f'''$. (Both follow from Taylor's
# theorem.) Two central ones, with $h$ and $h/2$, can be combined so that the terms with $h^2$
# cancel: four times the second minus the first, divided by three. `central_difference` does this.

# %% [predict]
# The forward difference of exp(x) sin(3 x) at x = 0.7, with h = 0.1, 1e-8 and 1e-15: which h gives
# the smallest error? How many digits are right then?

# %%
wave, at = lambda x: np.exp(x) * np.sin(3 * x), 0.7
exact = np.exp(at) * (np.sin(3 * at) + 3 * np.cos(3 * at))
h = 10.0 ** np.arange(-15, 0.25, 0.25)
curves = {
    "forward difference": np.array([(wave(at + d) - wave(at)) / d for d in h]),
    "central difference": np.array([(wave(at + d) - wave(at - d)) / (2 * d) for d in h]),
    "two central ones, combined": np.array([central_difference(wave, (at,), (1,), d) for d in h]),
}
figure, axes = panels()
best = {}
for (name, values), marker in zip(curves.items(), "os^"):
    error = np.abs(values / exact - 1)
    best[name] = h[np.argmin(error)], np.min(error)
    axes.loglog(h, np.maximum(error, 1e-17), marker + "-", markersize=4, linewidth=1.4, label=name)
reverse = abs(grad(wave)(at) / exact - 1)
axes.axhline(max(reverse, 1.1e-16), color=COLOURS[4], linewidth=2.2, label="reverse mode (no $h$)")
axes.set(xlabel="step $h$", ylabel="relative error", ylim=(1e-17, 30))
axes.set_title("Finite differences: too long a step, or too short")
axes.legend(fontsize=11, loc="upper center")
save(
    figure,
    "03_v_curve",
    alt="The relative error of three finite differences against their step h, both axes "
    "logarithmic. Each curve is a V: the error falls with h, and below some h it grows again. The "
    "lowest points are near 1e-7 for the forward and 1e-10 for the central difference, and below "
    "1e-12 for two central ones, combined. Reverse mode is a level line at 2e-16, below all.",
)
for d in (0.1, 1e-8, 1e-15):
    error = abs((wave(at + d) - wave(at)) / d / exact - 1)
    print(f"forward difference with h = {d:.0e}: relative error {error:.0e}")
for name, (best_h, error) in best.items():
    print(f"{name:27} best at h = {best_h:.0e}: {error:.0e}")
print(f"{'reverse mode':27} {reverse:.0e}")
assert reverse < 1e-15
u, f2, f3 = 2.0**-53, grad(grad(wave))(at), grad(grad(grad(wave)))(at)
bottoms = 2 * np.sqrt(u * abs(wave(at) / f2)), np.cbrt(3 * u * abs(wave(at) / f3))
print("by the formulas in the next cell: forward h = {:.0e}, central h = {:.0e}".format(*bottoms))


def error_near(wanted, values):
    """Return the usual error of the quotients with an h near the wanted one."""
    return np.median(np.abs(values / exact - 1)[np.abs(np.log10(h / wanted)) < 0.6])


for name, bottom in zip(curves, bottoms):
    for other in (bottom * 100, bottom / 100):
        assert error_near(bottom, curves[name]) < error_near(other, curves[name])

# %% [markdown]
# A computer knows each $f$ only up to a relative error of about $u = 1.1 \cdot 10^{-16}$, half of
# the last bit. The two values of a quotient are together wrong by up to $2u |f|$, which is divided
# by $h$, or by $2h$. So the total for the forward difference is about
# $\frac h2 |f''| + \frac{2u |f|}{h}$. With $h$ the first term grows and the second falls: the curve
# is a V. At its bottom the derivative by $h$ is zero, so $h = 2 \sqrt{u |f / f''|}$.
# For the central difference the total is $\frac{h^2}{6} |f'''| + \frac{u |f|}{h}$, the bottom at
# $h = \sqrt[3]{3u |f / f'''|}$. **No $h$ gives full accuracy**, and reverse mode has no $h$.
#
# **To play with.** `python -m tutorials --play difference` opens a window with this V. Drag the
# round point down the right arm, past the diamond, and up the left arm: on the left the values of
# $f$ become a staircase, and the secant leaves the tangent. Then choose "central", and see where
# the bottom goes.
#
# ![Left, the function of chapter 3 under a microscope that magnifies more, the smaller the step h is: black dots are the values that a computer finds, the dashed line is the tangent, and the thick line with two round ends is the secant. With the smallest steps the values form a staircase. Right, the relative error of the quotient against h, on logarithmic axes, is a black V with a round point at the present h. A dotted line falls along its left arm, the rounding; a dashed line rises along its right arm, the truncation. A diamond stands where their sum is least. Reverse mode is a level line below.](../figures/play_difference.png)
#
# So a finite difference can tell a *right* derivative from a *wrong* one, but seldom gives the last
# digits. A gradient of a million entries does not need a million differences. Choose a random $g$
# and a random $v$, and compare one number: $\langle g, J v \rangle$ by a difference along $v$, with
# $\langle g J, v \rangle$ by the pullback. If any entry of $J$ is wrong, the two differ, unless the
# random numbers hit a rare case. `check_vjp` does this, and sees relative errors above $10^{-7}$ or
# so. Here it checks a network, and with `order=2` its second derivatives; no output means no error:

# %%
init, apply = nn.mlp(3, 20, 20, 1)
check_vjp(apply, init(rng), rng.normal(size=(8, 3)), order=2)

# %% [markdown]
# ## At a kink: ReLU
#
# Many networks use $\mathrm{relu}(x) = \max(0, x)$ where ours have tanh. Its slope is 0 for
# $x \lt 0$ and 1 for $x > 0$, and at 0 there is a kink, where it has no derivative. The engine
# differentiates the branch that was taken. At 0, `nn.relu` takes the left branch, as most libraries
# do.

# %%
print("     x    slope by the engine    by a central difference, h = 0.001")
for at in (-1.0, 0.0, 0.0001, 1.0):
    quotient = (nn.relu(at + 0.001) - nn.relu(at - 0.001)) / 0.002
    print(f"{at:6}    {grad(nn.relu)(at):19.2f}    {quotient:35.2f}")
identity = lambda x: nn.relu(x) - nn.relu(-x)  # is x: one of the two is always zero
print("relu(x) - relu(-x) is x. Its slope at 0.3:", grad(identity)(0.3), end="; ")
print("at 0:", grad(identity)(0.0))
assert [float(grad(nn.relu)(at)) for at in (-1.0, 0.0, 0.0001)] == [0.0, 0.0, 1.0]
assert grad(identity)(0.3) == 1.0 and grad(identity)(0.0) == 0.0

# %% [markdown]
# Away from the kink the gradient is right. A difference that reaches over the kink is wrong: at
# $x = 0.0001$ it says 0.55, and the slope is 1. So if a check of a network with ReLU fails at one
# point, try another point. *At* the kink the result depends on how the function is written:
# $\mathrm{relu}(x) - \mathrm{relu}(-x)$ is $x$, and its slope at 0 comes out as 0. (Exercise 3.3
# finds a choice for which it comes out right.) In training, a value is rarely exactly 0. More
# important for this course: a solver of ODEs has its order of accuracy only where $f$ is smooth.
# Our networks use tanh.
#
# ## The sources against the numbers
#
# **A row or a column?** The sources write the product of the adjoint $\mathbf a$, the cotangent of
# the state, and a Jacobian in two ways: $\mathbf a \frac{\partial f}{\partial \mathbf z}$ (P4, G34)
# and $\mathbf a^T \frac{\partial f}{\partial \mathbf z}$ (G36, N6). Both are right, the first for a
# row and the second for a column, and G has both with one letter. Neither is right with a column
# and no transpose. In this course the derivative of a number is a row. [NOTATION.md](NOTATION.md)
# has a table of all letters, ours and theirs.

# %%
as_row, as_column = np.array([[12.0, 1.0]]), np.array([[12.0], [1.0]])
print("row times J      ", as_row @ J)
print("column^T times J ", as_column.T @ J)
print("J times column   ", (J @ as_column).T, " <- wrong")
assert np.array_equal(as_row @ J, as_column.T @ J)
assert not np.allclose(as_row @ J, (J @ as_column).T)
try:
    as_column @ J
except ValueError:
    print("column times J    is refused: the shapes (2, 1) and (2, 2) do not fit")
else:
    raise AssertionError("shapes (2, 1) and (2, 2) should not have been multiplied")

# %% [markdown]
# ## Exercises

# %% [exercise 3.1] level 1
# Give the forty-line engine a sine: a function of a `Var` that returns a `Var`, as the method
# `tanh` of the class does.


# %% [stub 3.1]
def sine(x):
    """Return a Var with the sine of the Var x, which gradient() can go back through."""
    ...  # your code here


# %% [solution 3.1]
def sine(x):
    return Var(np.sin(x.value), [(x, lambda g: g * np.cos(x.value))])


# %% [check 3.1]
x = Var(np.array([-1.0, 0.0, 2.0]))
made = sine(x)
assert isinstance(made, Var), f"sine returns {made!r}; it should return a Var."
assert np.allclose(made.value, np.sin(x.value)), f"At -1, 0 and 2 the value is {made.value}."
assert all(type(p) in (tuple, list) and callable(p[-1]) for p in made.parents), (
    f"The parents are {made.parents}. They should be a list of pairs, of a Var and a function of "
    "g, as those in tanh."
)
assert any(parent is x for parent, _ in made.parents), (
    "The Var that sine returns does not have x among its parents, so gradient() cannot reach x."
)
(slope,) = gradient(made, [x])  # begins with a cotangent of ones
assert not np.allclose(slope, -np.cos(x.value)), "The derivative of sin is cos, not -cos."
assert not np.allclose(slope, np.cos(made.value)), (
    "The cosine is taken of the value of the sine. It has to be taken of x.value. (tanh can use "
    "its own value y, because its derivative is 1 - y^2.)"
)
assert np.allclose(slope, np.cos(x.value)), (
    f"At -1, 0 and 2 the derivative should be {np.cos(x.value)}; yours is {slope}."
)
(slope,) = gradient((made * Var([10.0, 10.0, 10.0])).sum(), [x])
assert np.allclose(slope, 10 * np.cos(x.value)), (
    f"sin alone is right, but 10 sin has the derivative {slope} at -1, 0 and 2; it should be "
    f"{10 * np.cos(x.value)}. The function beside the parent gets the cotangent g: multiply by it."
)

# %% [exercise 3.2] level 2
# The engine keeps every intermediate value alive, as long as the result is there. How many are
# they? Write a function that counts the Vars that a result was made from, itself included, each of
# them once. Write it as a loop: Python refuses a recursion that is about a thousand calls deep, and
# the check counts the Vars of 2000 steps. Then take $n$ steps of Euler's method on $y' = -y$, which
# are `y = y + y * (-1.0 / n)` from `y = Var(1.0)`, for some $n$. How does the number of Vars grow
# with $n$? (Remember the answer for chapter 5.)


# %% [stub 3.2]
def count(result):
    """Return the number of different Vars that result was made from, and result itself.

    The parents of a Var x are [parent for parent, _ in x.parents].
    """
    ...  # your code here


growth = ...  # "not at all", "linearly", "quadratically" or "exponentially"


# %% [solution 3.2]
def count(result):
    seen, to_visit = {id(result)}, [result]
    while to_visit:
        for parent, _ in to_visit.pop().parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                to_visit.append(parent)
    return len(seen)


for n in (10, 20, 40):
    y = Var(1.0)
    for _ in range(n):
        y = y + y * (-1.0 / n)
    print(f"{n} steps: {count(y)} Vars")
growth = "linearly"  # three for each step: the constant -1/n, the product and the sum


# %% [check 3.2]
def chain(n):
    """Take n steps of Euler's method; return the result, which n products and n sums lead to."""
    y, step = Var(1.0), Var(-1.0 / n)
    for _ in range(n):
        y = y + y * step
    return y


one = count(Var(1.0))
assert one is not None, "count returns None; is the return missing?"
assert one == 1, f"A Var without parents is counted {one} times; it should be 1: itself."
x = Var(1.0)
counted = count(x + x)
assert counted != 3, "x + x is made from x alone: two Vars, and you count 3. Count each one once."
assert counted == 2, f"x + x is two Vars, the sum and x; you count {counted}."
for n in (5, 10):
    counted = count(chain(n))
    assert counted == 2 * n + 2, (
        f"{n} steps with one constant for all are {2 * n + 2} Vars: the start, the constant, {n} "
        f"products, {n} sums. You count {counted}. Go through the parents of every Var, and tell "
        "Vars apart by id(x), not by their values."
    )
try:
    counted = count(chain(2000))
except RecursionError:
    raise AssertionError(
        "count calls itself once for each step, too often for 2000 steps. Keep a list of the Vars "
        "that are still to be visited, and take from it in a loop until it is empty."
    ) from None
assert counted == 4002, f"2000 steps are 4002 Vars; you count {counted}."
assert growth in ("not at all", "linearly", "quadratically", "exponentially"), (
    f"growth is {growth!r}; it should be one of the four answers."
)
assert growth == "linearly", (
    f"You say that the number of Vars grows {growth}. Compare count(y) after 10, 20 and 40 steps: "
    "what does each step add?"
)

# %% [exercise 3.3] level 2
# Write `maximum(a, b)` for the forty-line engine, entry by entry, for Vars of equal shape. Where
# the entries differ, the whole cotangent goes to the larger one. Where they are equal there is no
# derivative, but there are two reasonable demands: both arguments are treated alike, and
# `maximum(x, x)`, which is `x`, has the gradient of `x`. Together they leave one answer. (The
# library's answer for `np.maximum` is the same.)


# %% [stub 3.3]
def maximum(a, b):
    """Return a Var with the larger of the two Vars, entry by entry."""
    ...  # your code here


# %% [solution 3.3]
def maximum(a, b):
    # half of the cotangent each: alike, and together one
    share = np.where(a.value == b.value, 0.5, a.value > b.value)
    parents = [(a, lambda g: g * share), (b, lambda g: g * (1 - share))]
    return Var(np.maximum(a.value, b.value), parents)


print("the library's maximum at a tie:", *map(float, grad(np.maximum, (0, 1))(1.0, 1.0)))
# With it the function x, written with two kinks, has the right slope at 0, where nn.relu has not:
identity_by_maximum = lambda x: np.maximum(x, 0) - np.maximum(-x, 0)
print("maximum(x, 0) - maximum(-x, 0) = x at 0: slope", grad(identity_by_maximum)(0.0))

# %% [check 3.3]
a, b = Var([1.0, 3.0]), Var([2.0, -1.0])
larger = maximum(a, b)
assert isinstance(larger, Var), f"maximum returns {larger!r}; it should return a Var."
assert np.allclose(larger.value, [2.0, 3.0]), (
    f"The maximum of [1, 3] and [2, -1] has the value {larger.value}; it should be [2, 3]."
)
try:
    da, db = gradient((larger * Var([10.0, 10.0])).sum(), [a, b])
except KeyError:
    raise AssertionError("gradient() does not reach both a and b: both must be parents.") from None
assert np.allclose(da, [0.0, 10.0]) and np.allclose(db, [10.0, 0.0]), (
    "The maximum of a = [1, 3] and b = [2, -1] gets the cotangent [10, 10], and the cotangents "
    f"come back as {da} for a and {db} for b; they should be [0, 10] and [10, 0]."
)
x, y = Var([2.0]), Var([2.0])
dx, dy = gradient(maximum(x, y), [x, y])
assert dx + dy != 2, (
    "Where a = b, both get the whole cotangent. Then maximum(x, x) = x has the derivative 2."
)
assert dx + dy != 0, (
    "Where a = b, neither gets the cotangent. Then maximum(x, x) = x has the derivative 0."
)
assert dx == dy, (
    f"Where a = b, a gets {dx[0]} of the cotangent and b gets {dy[0]}. These add up to "
    f"{(dx + dy)[0]}, but maximum(a, b) and maximum(b, a) then have different derivatives."
)
assert dx + dy == 1, f"Where a = b, each gets {dx[0]} of the cotangent: together it should be 1."

# %% [exercise 3.4] level 2
# NumPy adds arrays of different shapes by *broadcasting*: an operand of shape `(3,)` is used again
# in each of the four rows of an operand of shape `(4, 3)`. A value that is used more than once gets
# the sum of the cotangents of its uses. So the cotangent of the result, of shape `(4, 3)`, has to
# become one of shape `(3,)`. Write the function that does so for every pair of shapes that NumPy
# allows: leading axes may be missing, and axes of length one are repeated.


# %% [stub 3.4]
def unbroadcast(g, shape):
    """Return the cotangent, of this shape, of an operand that was broadcast to the shape of g."""
    ...  # your code here


# %% [solution 3.4]
def unbroadcast(g, shape):
    while g.ndim > len(shape):  # axes that broadcasting has put in front
        g = g.sum(axis=0)
    for axis, length in enumerate(shape):
        if length == 1:  # an axis that it has repeated; it stays there, with length one
            g = g.sum(axis=axis, keepdims=True)
    return g


# %% [check 3.4]
for shape, broadcast in (
    ((4, 3), (4, 3)),
    ((3,), (4, 3)),
    ((3,), (3, 3)),
    ((), (4, 3)),
    ((4, 1), (4, 3)),
    ((1, 3), (4, 3)),
    ((1, 1), (4, 3)),
    ((4, 1), (2, 4, 3)),
    ((1,), (1,)),
):
    g = np.random.default_rng(3).normal(size=broadcast)
    case = f"An operand of shape {shape} was broadcast to {broadcast}."
    found = unbroadcast(g, shape)
    assert found is not None, "unbroadcast returns None; is the return missing?"
    assert np.shape(found) != broadcast or shape == broadcast, (
        f"{case} You return the cotangent with the shape {broadcast} still."
    )
    assert np.shape(found) == shape, (
        f"{case} You return shape {np.shape(found)}. (keepdims=True keeps an axis, with length 1.)"
    )
    repeated = g.size / np.prod(shape)
    # <g, broadcast x> = <unbroadcast g, x> for each x, here for those with one entry
    expected = np.zeros(shape)
    for index in np.ndindex(shape):
        x = np.zeros(shape)
        x[index] = 1.0
        expected[index] = np.sum(g * np.broadcast_to(x, broadcast))
    assert repeated == 1 or not np.allclose(found, expected / repeated), (
        f"{case} You take the mean over its {repeated:g} uses. The chain rule adds them."
    )
    assert np.allclose(found, expected), (
        f"{case} Your cotangent is {np.round(found, 3).tolist()}; the sum over the uses of each "
        f"entry is {np.round(expected, 3).tolist()}. Which axes do you sum over?"
    )

# %% [exercise 3.5] level 3
# **An engine of your own**, to go with your solver's step (exercise 1.4). It differentiates
# functions that are written with `+`, `*`, `@`, `.sum()` and `np.tanh`. (For an object `x` that it
# does not know, `np.tanh(x)` calls `x.tanh()`.) You may begin with a copy of the class `Var` and of
# `gradient`, and use `unbroadcast` of exercise 3.4; or begin with nothing.
# Two things are missing in the chapter's engine: broadcasting, and something that the check will
# show.
#
# Keep your engine: chapters 4 and 5 ask for vector-Jacobian products only, and in exercise 6.6 you
# fit real data with your own code alone. `my_gradient` is enough for that, although it
# differentiates a single number: $g J$ is the gradient of the number $\langle g, f(x) \rangle$ with
# $g$ held constant.


# %% [stub 3.5]
def my_gradient(f, *arrays):
    """Return a list: for each array, the gradient of the number f(*arrays) with respect to it.

    The gradient has the shape of its array.
    """
    ...  # your code here: wrap the arrays, call f, walk back from what it returns


# %% [solution 3.5]
class MyVar:
    """As Var, but operands of + and * may have all shapes that NumPy broadcasts."""

    def __init__(self, value, parents=()):
        self.value = np.asarray(value, dtype=float)
        self.parents = parents

    def __add__(self, other):
        a, b = self.value, other.value
        to_self = lambda g: unbroadcast(g, a.shape)
        to_other = lambda g: unbroadcast(g, b.shape)
        return MyVar(a + b, [(self, to_self), (other, to_other)])

    def __mul__(self, other):
        a, b = self.value, other.value
        to_self = lambda g: unbroadcast(g * b, a.shape)
        to_other = lambda g: unbroadcast(g * a, b.shape)
        return MyVar(a * b, [(self, to_self), (other, to_other)])

    def __matmul__(self, other):
        a, b = self.value, other.value
        return MyVar(a @ b, [(self, lambda g: g @ b.T), (other, lambda g: a.T @ g)])

    def tanh(self):
        y = np.tanh(self.value)
        return MyVar(y, [(self, lambda g: g * (1 - y * y))])

    def sum(self):
        return MyVar(self.value.sum(), [(self, lambda g: g * np.ones_like(self.value))])


def my_gradient(f, *arrays):
    """Return a list: for each array, the gradient of the number f(*arrays) with respect to it."""
    inputs = [MyVar(x) for x in arrays]
    output = f(*inputs)
    order, seen = [], set()

    def visit(var):
        if id(var) not in seen:
            seen.add(id(var))
            for parent, _ in var.parents:
                visit(parent)
            order.append(var)

    visit(output)
    # An input that f does not use is not in the order; its gradient is zero.
    cotangents = {id(var): np.zeros_like(var.value) for var in [*inputs, *order]}
    cotangents[id(output)] = np.ones_like(output.value)
    for var in reversed(order):
        for parent, vjp_of_parent in var.parents:
            cotangents[id(parent)] = cotangents[id(parent)] + vjp_of_parent(cotangents[id(var)])
    return [cotangents[id(var)] for var in inputs]


# A vector-Jacobian product with it, of a layer tanh(x @ W), and the library's:
weights, inputs, g = rng.normal(size=(2, 2)), rng.normal(size=(1, 2)), np.array([[1.0, -2.0]])
by_mine = my_gradient(lambda x, W: (MyVar(g) * np.tanh(x @ W)).sum(), inputs, weights)
by_library = vjp(lambda x, W: np.tanh(x @ W), inputs, weights)[1](g)
print("g J by my engine", by_mine[0], "  by the library", by_library[0])

# %% [check 3.5]
check_engine(my_gradient)
check_without(lambda: my_gradient(lambda x, y: (x * y).sum(), np.ones(2), np.ones(2)), "tinyode")

# %% [markdown]
# ## What to remember
#
# 1. The derivative of a number is a row, and it stands left of a Jacobian. Reverse mode multiplies
#    from the left, so every intermediate result is a row, and no Jacobian is formed.
# 2. A cotangent has the shape of its value. A rule comes from $dL = \langle g, dy \rangle$: put in
#    $dy$, and read off what stands beside $dx$. For $AB$ these are $g B^T$ and $A^T g$.
# 3. The cotangents of the uses of a value are added. A value may send on its cotangent only when it
#    is complete, so the walk back needs an order.
# 4. One walk gives all derivatives, for a small multiple of the cost of the loss. It needs the
#    values of the way forward, and their number grows with the number of steps.
# 5. A finite difference has a best $h$ and never full accuracy. Compare $\langle g, J v \rangle$
#    with $\langle g J, v \rangle$ for random $g$ and $v$, away from kinks.
#
# ## Sources
#
# G15 to G17 and "The gradient of loss can be computed easily with existing methods" (Gazula and
# Plis, "Backpropagation"): this chapter is the existing method. Griewank and Walther, *Evaluating
# Derivatives* (2008), chapter 3. Wengert, "A simple automatic derivative evaluation program"
# (1964), for the list. Siskind and Pearlmutter, "Perturbation confusion and referential
# transparency" (2005). Giles, "An extended collection of matrix derivative results" (2008), for the
# rules of matrices. On the choice at the kink: Bertoin, Bolte, Gerchinovitz and Pauwels, "Numerical
# influence of ReLU'(0) on backpropagation" (2021).
