"""Engines as students write them: each with a class of its own, in its style, and its mistakes."""

import numpy as np


def undone(g, shape, mistake=None):
    """Sum a cotangent over the axes that broadcasting has added or stretched."""
    if mistake == "not undone":
        return g
    if mistake in ("first copy", "last copy"):
        k = 0 if mistake == "first copy" else -1
        g = g[(k,) * (g.ndim - len(shape))]
        return np.array(g[tuple([slice(None) if n > 1 else [k] for n in shape])])
    if mistake == "undone by one sum":
        return g if g.shape == shape else g.sum()
    while g.ndim > len(shape):
        g = g.mean(axis=0) if mistake == "undone by a mean" else g.sum(axis=0)
    for axis, n in enumerate(shape):
        if n == 1 and mistake != "undone for lacking axes only":
            g = g.sum(axis=axis, keepdims=True)
    return g


def engine(mistake=None):
    """Return a gradient function with the engine of chapter 3, with one mistake, or with none."""

    class Var:
        def __init__(self, value, parents=()):
            self.value, self.parents = np.asarray(value, dtype=float), parents

        def __add__(self, other):
            def back(v):
                return lambda g: undone(g, v.value.shape, mistake)

            minus = -1 if mistake == "minus" else 1
            return Var(
                self.value + other.value,
                [(self, back(self)), (other, lambda g: minus * back(other)(g))],
            )

        def __mul__(self, other):
            a, b = self.value, other.value
            if mistake == "factors":
                a, b = b, a
            parents = [
                (self, lambda g: undone(g * b, self.value.shape, mistake)),
                (other, lambda g: undone(g * a, other.value.shape, mistake)),
            ]
            if mistake == "no g in *":
                parents = [(self, lambda g: b), (other, lambda g: a)]
            if mistake == "loop":
                parents = []
                for v, factor in ((self, b), (other, a)):
                    parents.append((v, lambda g: undone(g * factor, v.value.shape)))
            if mistake == "one operand of *":
                parents = parents[:1]
            return Var(self.value * other.value, parents)

        def __matmul__(self, other):
            a, b = self.value, other.value
            rules = {
                "no transposes": (lambda g: g @ b, lambda g: a @ g),
                "no b.T": (lambda g: g @ b, lambda g: a.T @ g),
                "no a.T": (lambda g: g @ b.T, lambda g: a @ g),
                "order of a": (lambda g: b.T @ g, lambda g: a.T @ g),
                "order of b": (lambda g: g @ b.T, lambda g: g @ a.T),
            }
            left, right = rules.get(mistake, (lambda g: g @ b.T, lambda g: a.T @ g))
            return Var(a @ b, [(self, left), (other, right)])

        def tanh(self):
            x, y = self.value, np.tanh(self.value)
            slope = {
                "tanh of x": lambda: 1 - x**2,
                "1 / cosh": lambda: 1 / np.cosh(x),
                "tanh twice": lambda: 1 - np.tanh(y) ** 2,
                "tanh without square": lambda: 1 - y,
            }.get(mistake, lambda: 1 - y**2)
            return Var(y, [(self, lambda g: slope() if mistake == "no g in tanh" else g * slope())])

        def sum(self):
            n = self.value.size if mistake == "mean" else 1
            value = self.value.mean() if mistake == "value is mean" else self.value.sum()
            return Var(value, [(self, lambda g: g * np.ones(self.value.shape) / n)])

    def walk_back(output, inputs):
        order, seen = [], set()

        def visit(v):
            if id(v) not in seen:
                seen.add(id(v))
                for parent, _ in v.parents:
                    visit(parent)
                order.append(v)

        visit(output)
        begin = 1.0 if mistake == "ones" else 0.0
        key = (lambda v: v.value.tobytes()) if mistake == "by value" else id
        cotangents = {key(v): np.full(v.value.shape, begin) for v in [*order, *inputs]}
        seeds = {"seed 2": 2.0, "seed L": output.value, "seed -1": -1.0, "seed 0": 0.0}
        cotangents[key(output)] = np.array(seeds.get(mistake, 1.0))
        for v in order if mistake == "forwards" else reversed(order):
            for parent, back in dict(v.parents).items() if mistake == "dictionary" else v.parents:
                new = back(cotangents[key(v)])
                if mistake != "overwrites":
                    new = cotangents[key(parent)] + new
                cotangents[key(parent)] = new
        if mistake == "values returned":
            return [v.value for v in inputs]
        return [cotangents[key(v)] for v in inputs][:: -1 if mistake == "reversed" else 1]

    def gradient(f, *arrays):
        inputs = [Var(x) for x in arrays]
        return walk_back(f(*inputs), inputs)

    return gradient


class Value:
    """Another style: operations with a closure that adds to ``.grad``, as in micrograd."""

    def __init__(self, data, children=()):
        self.data, self.grad = np.asarray(data, dtype=float), None
        self.children, self.hand_on = children, lambda: None

    def made(self, data, children, *rules):
        out = type(self)(data, children)

        def hand_on():
            for child, rule in zip(children, rules):
                child.receive(undone(rule(out.grad), child.data.shape))

        out.hand_on = hand_on
        return out

    def receive(self, g):
        self.grad = g if self.grad is None else self.grad + g

    def __add__(self, other):
        return self.made(self.data + other.data, (self, other), lambda g: g, lambda g: g)

    def __mul__(self, other):
        a, b = self.data, other.data
        return self.made(a * b, (self, other), lambda g: g * b, lambda g: g * a)

    def __matmul__(self, other):
        a, b = self.data, other.data
        return self.made(a @ b, (self, other), lambda g: g @ b.T, lambda g: a.T @ g)

    def tanh(self):
        y = np.tanh(self.data)
        return self.made(y, (self,), lambda g: g * (1 - y * y))

    def sum(self):
        return self.made(self.data.sum(), (self,), lambda g: g * np.ones_like(self.data))


def with_walk(walk, kind=Value):
    """Return a gradient function that walks the graph in a way of its own."""

    def gradient(f, *arrays):
        inputs = [kind(x) for x in arrays]
        output = f(*inputs)
        output.grad = np.array(1.0)
        walk(output)
        return [np.zeros_like(v.data) if v.grad is None else v.grad for v in inputs]

    return gradient


def in_order(output):
    order = []

    def visit(v):
        if v not in order:
            for child in v.children:
                visit(child)
            order.append(v)

    visit(output)
    for v in reversed(order):
        v.hand_on()


def by_recursion(v):
    v.hand_on()
    for child in v.children:
        by_recursion(child)


def by_recursion_once(output):
    seen = set()

    def visit(v):
        if v not in seen:
            seen.add(v)
            v.hand_on()
            for child in v.children:
                visit(child)

    visit(output)


def by_levels(output):
    level, seen = [output], {output}
    while level:
        below = []
        for v in level:
            v.hand_on()
            for child in v.children:
                if child not in seen:
                    seen.add(child)
                    below.append(child)
        level = below


class Shares(Value):
    """Its sum of cotangents is made in place, in an array that others may hold."""

    def receive(self, g):
        if self.grad is None:
            self.grad = g
        else:
            self.grad += g


class Arriving:
    """The shortest engine: each value hands on at once what arrives, path by path."""

    def __init__(self, value, parents=(), whole=False):
        self.value, self.parents, self.grad = np.asarray(value, dtype=float), parents, 0.0
        self.whole = whole

    def new(self, value, *parents):
        return Arriving(value, parents, self.whole)

    def backward(self, g):
        self.grad = self.grad + g
        for parent, back in self.parents:
            parent.backward(back(self.grad if self.whole else g))

    def __add__(self, other):
        return self.new(self.value + other.value, (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other):
        return self.new(
            self.value * other.value,
            (self, lambda g: g * other.value),
            (other, lambda g: g * self.value),
        )


def arriving(whole):
    def gradient(f, *arrays):
        inputs = [Arriving(x, whole=whole) for x in arrays]
        f(*inputs).backward(np.array(1.0))
        return [v.grad + np.zeros_like(v.value) for v in inputs]

    return gradient
