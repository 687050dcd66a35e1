"""Fields of the chapters with their products derived by hand, and what goes wrong in deriving."""

import ast
import copy

import numpy as np

rng = np.random.default_rng(0)
N = rng.normal


def layer(z, W):
    return np.tanh(z @ W)


def mlp(z, W1, b1, W2, b2):
    return np.tanh(z @ W1 + b1) @ W2 + b2


def pendulum(t, z, theta):
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


def lotka_volterra(y, p):
    return np.array([p[0] - p[1] * np.exp(y[1]), p[2] * np.exp(y[0]) - p[3]])


def scaled_sine(a, x):
    return a * np.sin(x)


def cubes(y, A):
    return (y * y * y) @ A


def log_sum_exp(x, w):
    return w * np.log(np.sum(np.exp(x)))


def norm(x, y):
    return np.sqrt(np.sum((x - y) ** 2))


DERIVATIONS = [  # f, an example, and its product by hand
    (
        layer,
        (N(size=(3, 2)), N(size=(2, 4))),
        """
def layer_by_hand(z, W, a):
    u = z @ W
    f = np.tanh(u)
    slope = 1 - f * f
    a_u = a * slope
    return f, (a_u @ W.T, z.T @ a_u)
""",
    ),
    (
        mlp,
        (N(size=(3, 2)), N(size=(2, 4)), N(size=4), N(size=(4, 2)), N(size=2)),
        """
def mlp_by_hand(z, W1, b1, W2, b2, a):
    h = np.tanh(z @ W1 + b1)
    f = h @ W2 + b2
    a_b2 = np.sum(a, axis=0)
    a_W2 = h.T @ a
    a_h = a @ W2.T
    a_u = a_h * (1 - h**2)
    a_b1 = np.sum(a_u, axis=0)
    a_W1 = z.T @ a_u
    a_z = a_u @ W1.T
    return f, (a_z, a_W1, a_b1, a_W2, a_b2)
""",
    ),
    (
        pendulum,
        (0.7, N(size=2), np.array([2.0, 0.7])),
        """
def pendulum_by_hand(t, z, theta, a):
    s = np.sin(z[0])
    c = np.cos(2 * t)
    f = np.array([z[1], -theta[0] * s - 0.3 * z[1] + theta[1] * c])
    a_s = -theta[0] * a[1]
    a_c = theta[1] * a[1]
    a_t = -2 * np.sin(2 * t) * a_c
    a_z0 = np.cos(z[0]) * a_s
    a_z1 = a[0] - 0.3 * a[1]
    a_theta = np.array([-s * a[1], c * a[1]])
    return f, (a_t, np.array([a_z0, a_z1]), a_theta)
""",
    ),
    (
        lotka_volterra,
        (N(size=2), np.exp(N(size=4))),
        """
def lotka_volterra_by_hand(y, p, a):
    prey, predators = np.exp(y[0]), np.exp(y[1])
    f = np.array([p[0] - p[1] * predators, p[2] * prey - p[3]])
    a_y = np.array([a[1] * p[2] * prey, -a[0] * p[1] * predators])
    a_p = np.array([a[0], -a[0] * predators, a[1] * prey, -a[1]])
    return f, (a_y, a_p)
""",
    ),
    (
        scaled_sine,
        (1.3, N(size=3)),
        """
def scaled_sine_by_hand(a, x, g):
    s = np.sin(x)
    f = a * s
    g_s = g * a
    g_x = g_s * np.cos(x)
    g_a = np.sum(g * s)
    return f, (g_a, g_x)
""",
    ),
    (
        cubes,
        (N(size=(3, 2)), N(size=(2, 2))),
        """
def cubes_by_hand(y, A, a):
    square = y * y
    cube = square * y
    f = cube @ A
    a_cube = a @ A.T
    a_square = a_cube * y
    a_y = a_cube * square + 2 * a_square * y
    a_A = cube.T @ a
    return f, (a_y, a_A)
""",
    ),
    (
        log_sum_exp,
        (N(size=4), 0.8),
        """
def log_sum_exp_by_hand(x, w, a):
    e = np.exp(x)
    s = np.sum(e)
    l = np.log(s)
    f = w * l
    a_l = a * w
    a_s = a_l / s
    a_x = a_s * e
    a_w = a * l
    return f, (a_x, a_w)
""",
    ),
    (
        norm,
        (N(size=4), N(size=4)),
        """
def norm_by_hand(x, y, a):
    d = x - y
    r = np.sqrt(np.sum(d**2))
    a_s = a / (2 * r)
    a_d = a_s * 2 * d
    return r, (a_d, -a_d)
""",
    ),
]


def mutations(source):
    """Yield (kind, number of the line, source) for each way to make one mistake in a product."""
    definition = ast.parse(source).body[0]
    first = definition.lineno
    for statement in definition.body:
        for node in list(ast.walk(statement)):
            for kind, new in _mistakes(node, definition, statement):
                changed = copy.deepcopy(definition)
                _Exchange(node, new).visit_in(changed, definition)
                yield kind, statement.lineno - first + 1, ast.unparse(changed)


def _mistakes(node, definition, statement):
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield "transpose lost", node.value
    if isinstance(node, ast.UnaryOp):
        yield "sign lost", node.operand
    if isinstance(node, ast.BinOp):
        other = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.MatMult: ast.Mult}.get(type(node.op))
        if other:
            yield "other operation", ast.BinOp(node.left, other(), node.right)
        if not isinstance(node.op, (ast.Mult, ast.Add)):
            yield "operands exchanged", ast.BinOp(node.right, node.op, node.left)
        yield "left operand lost", node.right
        yield "right operand lost", node.left
        if isinstance(node.op, ast.Mult):
            yield "sign added", ast.UnaryOp(ast.USub(), node)
            yield "@ for *", ast.BinOp(node.left, ast.MatMult(), node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        if name == "sum":
            yield "sum lost", node.args[0]
        other = {"sin": "cos", "cos": "sin", "exp": "log", "tanh": "sin"}.get(name)
        if other:
            function = ast.Attribute(node.func.value, other, ast.Load())
            yield "other function", ast.Call(function, node.args, node.keywords)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield "other number", ast.Constant(node.value + 1)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id != "np":
        known = [x.arg for x in definition.args.args]
        for line in definition.body[: definition.body.index(statement)]:
            names = [x for x in ast.walk(line) if isinstance(x, ast.Name)]
            known += [x.id for x in names if isinstance(x.ctx, ast.Store)]
        for name in known:
            if name != node.id:
                yield "other variable", ast.Name(name, ast.Load())


class _Exchange(ast.NodeTransformer):
    """Puts a node in the place of another, found in a copy by its place in the source."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit_in(self, changed, original):
        pairs = zip(ast.walk(changed), list(ast.walk(original)))
        self.found = next(a for a, b in pairs if b is self.old)
        return self.visit(changed)

    def visit(self, node):
        return self.new if node is self.found else super().visit(node)
