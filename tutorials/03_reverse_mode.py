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
from tinyode.plotting import COLOURS, draw, panels, save
from tinyode.testing import central_difference, check_engine, check_vjp, check_without

# %% [markdown]
# ## The chain rule has a direction
#
# A program is a chain of simple steps, $x \to x_1 \to x_2 \to \dots \to L$. Its derivative is the
# product of theirs,
#
# $$\frac{dL}{dx} = \frac{\partial L}{\partial x_n} \frac{\partial x_n}{\partial x_{n-1}}
# \cdots \frac{\partial x_1}{\partial x},$$
#
# and a product of matrices may be bracketed at will. $L$ is one number, so the factor on the left
# is a *row*: from the left, every intermediate result is a row as well. From the right, every
# intermediate result is a full matrix. Count the multiplications:

# %% [predict]
# Ten layers, each with a Jacobian of 1000 rows and 1000 columns, after them a loss. How many times
# fewer multiplications does the product take from the left than from the right?

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
# Each step of $L = (a b + \tanh a)^2$ at $a = 0.5$, $b = 2$, with its value, and with its cotangent
# after an arrow back. `draw` asks the library's engine for both. It calls the steps v1 to v4, and
# v4 is $L$:

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
a, b = Var(0.5), Var(2.0)
s = a * b + a.tanh()
(by_engine,) = gradient(s * s, [a])
by_hand = 2 * (0.5 * 2 + np.tanh(0.5)) * (2 + 1 - np.tanh(0.5) ** 2)
print(f"dL/da by the forty lines {by_engine:.12f}, by hand {by_hand:.12f}")
assert np.isclose(by_engine, by_hand, rtol=1e-12, atol=0)
assert np.isclose(grad(lambda a: (a * 2 + np.tanh(a)) ** 2)(0.5), by_hand)

# %% [markdown]
# ![The graph of L = (a b + tanh a)^2. First the values run forward, box by box. Then the cotangents run back, and the input a, which is used twice, adds up what comes from both of its uses.](../figures/03_cotangents_run_back.gif)
#
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
# Pearlmutter, 2005) is $\frac{d}{dx}\left[x \frac{d}{dy} (x y)\right]$:

# %% [predict]
# By hand: what is the derivative with respect to x, at x = 3, of x times the derivative of x y with
# respect to y, at y = 2?

# %%
nested = grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0)
print("d/dx [x d/dy (x y)] at x = 3:", nested, "  2 x =", 2 * 3.0)
assert nested == 6.0
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
# arguments. (`np.add.reduce` is what `np.sum` calls.) It is NumPy and nothing else, so it can be
# run where there is nothing else, and gives the numbers of the engine to the last bit.


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
# $h$ tiny?

# %% [predict]
# The forward difference of a smooth function near 1, with h = 0.1, 1e-8 and 1e-15: which h gives
# the smallest error? How many digits are right then?

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
save(
    figure,
    "03_v_curve",
    alt="The relative error of three finite differences against their step h, both axes "
    "logarithmic. Each curve is a V: the error falls with h, and below some h it grows again. The "
    "lowest points are near 1e-7 for the forward and 1e-10 for the central difference, and below "
    "1e-12 for two central ones, extrapolated. Reverse mode is a level line at 2e-16, below all.",
)
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
# Each $f$ is known to a relative $u \approx 1.1 \cdot 10^{-16}$ only, and the quotient divides
# that by $h$: for the forward one the total is about $\frac h2 |f''| + \frac{2u |f|}{h}$,
# smallest at $h = 2 \sqrt{u |f / f''|}$, for the central one
# $\frac{h^2}{6} |f^{(3)}| + \frac{u |f|}{h}$, smallest at $h = \sqrt[3]{3u |f / f^{(3)}|}$. One
# error falls with $h$, the other grows: the curve is a V, and **no $h$ gives full accuracy**.
# Reverse mode has no $h$.
#
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

# %% [exercise 3.1] level 1
# Give the forty-line engine a sine: a function of a `Var` that returns a `Var`, as the method
# `tanh` of the class does.


# %% [stub 3.1]
def sine(v):
    """Return a Var with the sine of the Var v, which gradient() can go back through."""
    ...  # your code here


# %% [solution 3.1]
def sine(v):
    return Var(np.sin(v.value), [(v, lambda g: g * np.cos(v.value))])


# %% [check 3.1]
v = Var(np.array([-1.0, 0.0, 2.0]))
made = sine(v)
assert isinstance(made, Var), f"sine returns {made!r}; it should return a Var."
assert np.allclose(made.value, np.sin(v.value)), f"At -1, 0 and 2 the value is {made.value}."
assert all(type(p) in (tuple, list) and callable(p[-1]) for p in made.parents), (
    f"The parents are {made.parents}. They should be a list of pairs, of a Var and a function of "
    "g, as those in tanh."
)
assert any(parent is v for parent, _ in made.parents), (
    "The Var that sine returns does not have v among its parents, so gradient() cannot reach v."
)
(slope,) = gradient(made, [v])  # begins with a cotangent of ones
assert not np.allclose(slope, -np.cos(v.value)), "The derivative of sin is cos, not -cos."
assert not np.allclose(slope, np.cos(made.value)), (
    "The cosine is taken of the value of the sine. It has to be taken of v.value. (tanh can use "
    "its own value y, because its derivative is 1 - y^2.)"
)
assert np.allclose(slope, np.cos(v.value)), (
    f"At -1, 0 and 2 the derivative should be {np.cos(v.value)}; yours is {slope}."
)
(slope,) = gradient((made * Var([10.0, 10.0, 10.0])).sum(), [v])
assert np.allclose(slope, 10 * np.cos(v.value)), (
    f"sin alone is right, but 10 sin has the derivative {slope} at -1, 0 and 2; it should be "
    f"{10 * np.cos(v.value)}. The function beside the parent gets the cotangent g: multiply by it."
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

    The parents of a Var v are [parent for parent, _ in v.parents].
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
v = Var(1.0)
counted = count(v + v)
assert counted != 3, "v + v is made from v alone: two Vars, and you count 3. Count each one once."
assert counted == 2, f"v + v is two Vars, the sum and v; you count {counted}."
for n in (5, 10):
    counted = count(chain(n))
    assert counted == 2 * n + 2, (
        f"{n} steps with one constant for all are {2 * n + 2} Vars: the start, the constant, {n} "
        f"products, {n} sums. You count {counted}. Go through the parents of every Var, and tell "
        "Vars apart by id(v), not by their values."
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
# `maximum(v, v)`, which is `v`, has the gradient of `v`. Together they leave one answer. (The
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
v, w = Var([2.0]), Var([2.0])
dv, dw = gradient(maximum(v, w), [v, w])
assert dv + dw != 2, (
    "Where a = b, both get the whole cotangent. Then maximum(v, v) = v has the derivative 2."
)
assert dv + dw != 0, (
    "Where a = b, neither gets the cotangent. Then maximum(v, v) = v has the derivative 0."
)
assert dv == dw, (
    f"Where a = b, a gets {dv[0]} of the cotangent and b gets {dw[0]}. These add up to "
    f"{(dv + dw)[0]}, but maximum(a, b) and maximum(b, a) then have different derivatives."
)
assert dv + dw == 1, f"Where a = b, each gets {dv[0]} of the cotangent: together it should be 1."

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
# An engine of your own. It differentiates functions that are written with `+`, `*`, `@`, `.sum()`
# and `np.tanh` (for which NumPy calls the method `tanh` of an object that it does not know). You
# may begin with a copy of the class `Var` and of `gradient`, and use `unbroadcast` of exercise 3.4;
# or begin with nothing. Two things are missing in the chapter's engine: broadcasting, and something
# that the check will show.


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
    inputs = [MyVar(x) for x in arrays]
    output = f(*inputs)
    order, seen = [], set()

    def visit(v):
        if id(v) not in seen:
            seen.add(id(v))
            for parent, _ in v.parents:
                visit(parent)
            order.append(v)

    visit(output)
    # An input that f does not use is not in the order; its gradient is zero.
    cotangents = {id(v): np.zeros_like(v.value) for v in [*inputs, *order]}
    cotangents[id(output)] = np.ones_like(output.value)
    for v in reversed(order):
        for parent, vjp_of_parent in v.parents:
            cotangents[id(parent)] = cotangents[id(parent)] + vjp_of_parent(cotangents[id(v)])
    return [cotangents[id(v)] for v in inputs]


# %% [check 3.5]
check_engine(my_gradient)
check_without(lambda: my_gradient(lambda x, y: (x * y).sum(), np.ones(2), np.ones(2)), "tinyode")

# %% [markdown]
# ## Sources
#
# G15 to G17 and "The gradient of loss can be computed easily with existing methods" (Gazula and
# Plis, "Backpropagation"): this chapter is the existing method. Griewank and Walther, *Evaluating
# Derivatives* (2008), chapter 3. Siskind and Pearlmutter, "Perturbation confusion and referential
# transparency" (2005). Giles, "An extended collection of matrix derivative results" (2008), for the
# rules of matrices.
