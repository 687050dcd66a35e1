"""Value and vector-Jacobian product against NumPy by hand and other engines.

They are those of a network, a chain of numbers, and a loss full of reductions. Each function is
written once, for any module ``xp`` that has NumPy's names.
"""

import functools

import by_hand
import numpy as np
from timing import PEERS, fastest, missing

import tinyode

SIZES = [(20, 2, 50), (128, 64, 64), (512, 64, 256)]


def arrays(batch, width, hidden):
    rng = np.random.default_rng(0)
    shapes = (batch, width), (width, hidden), (hidden,), (hidden, width), (width,)
    return [
        rng.normal(size=shape) / np.sqrt(max(2, shape[0])) if i else rng.normal(size=shape)
        for i, shape in enumerate(shapes)
    ]


def network(xp, y, W1, b1, W2, b2):
    return xp.tanh((y * y * y) @ W1 + b1) @ W2 + b2


def chain(xp, x):
    """Twenty steps of Euler's method on one number: y + h y (1 - y)."""
    y = x
    for _ in range(20):
        y = y + 0.1 * y * (1.0 - y)
    return y


def chain_by_hand(x, g):
    ys = [x]
    for _ in range(20):
        ys.append(ys[-1] + 0.1 * ys[-1] * (1.0 - ys[-1]))
    for y in ys[-2::-1]:
        g = g + 0.1 * g * (1.0 - 2.0 * y)
    return ys[-1], (g,)


def loss(xp, x, labels):
    """Return the mean cross entropy of rows, brought to mean 0 and variance 1, and labels."""
    n = x.shape[1]
    x = x - xp.sum(x, axis=1, keepdims=True) / n
    z = x / xp.sqrt(xp.sum(x * x, axis=1, keepdims=True) / n + 1e-5)
    e = xp.exp(z)
    return (xp.sum(xp.log(xp.sum(e, axis=1))) - xp.sum(z * labels)) / x.shape[0]


def loss_by_hand(x, labels, g):
    batch, n = x.shape
    x = x - np.sum(x, axis=1, keepdims=True) / n
    deviation = np.sqrt(np.sum(x * x, axis=1, keepdims=True) / n + 1e-5)
    z = x / deviation
    e = np.exp(z)
    total = np.sum(e, axis=1, keepdims=True)
    gz = (g / batch) * (e / total - labels)
    gx = (gz - z * (np.sum(gz * z, axis=1, keepdims=True) / n)) / deviation
    return (np.sum(np.log(total)) - np.sum(z * labels)) / batch, (
        gx - np.sum(gx, axis=1, keepdims=True) / n,
        (-g / batch) * z,
    )


def peers(value, inputs, g):
    """The same by other engines: name and function."""
    functions = {}
    if PEERS["autograd"]:
        import autograd
        import autograd.numpy as anp

        functions["autograd"] = lambda: autograd.make_vjp(lambda p: value(anp, *p))(tuple(inputs))[
            0
        ](g)
    if PEERS["mygrad"]:
        import mygrad

        tensors = [mygrad.tensor(x) for x in inputs]

        def by_mygrad():
            value(mygrad, *tensors).backward(g)
            return [x.grad for x in tensors]

        functions["mygrad"] = by_mygrad
    if PEERS["torch"]:
        import torch

        leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
        seed = torch.tensor(g)
        functions["torch"] = lambda: torch.autograd.grad(value(torch, *leaves), leaves, seed)
    return functions


def benchmark_vjps():
    labels = np.eye(64)[np.random.default_rng(1).integers(64, size=256)]
    cases = [
        (
            f"network {size}",
            network,
            by_hand.value_and_vjp,
            arrays(*size),
            f" tinyode's budget {budget}, compiled {compiled}",
        )
        for size, budget, compiled in zip(SIZES, (2.3, 1.4, 1.15), (1.3, 1.1, 1.0))
    ]
    cases += [
        ("chain of numbers", chain, chain_by_hand, [0.1], ""),
        (
            "reductions (256, 64)",
            loss,
            loss_by_hand,
            [np.random.default_rng(0).normal(size=(256, 64)), labels],
            "",
        ),
    ]
    print("value and VJP, time relative to NumPy by hand" + missing("autograd", "mygrad", "torch"))
    for name, value, hand, inputs, budget in cases:
        f = functools.partial(value, np)
        g, compiled = np.ones_like(f(*inputs)), tinyode.compiled(f)
        program = tinyode.program(f, *inputs, vjp=True)
        functions = {
            "by hand": lambda hand=hand, inputs=inputs, g=g: hand(*inputs, g)[1],
            "tinyode": lambda f=f, inputs=inputs, g=g: tinyode.vjp(f, *inputs)[1](g),
            "compiled": lambda f=compiled, inputs=inputs, g=g: tinyode.vjp(f, *inputs)[1](g),
            "program": lambda f=program, inputs=inputs, g=g: f(*inputs, g)[1],
            **peers(value, inputs, g),
        }
        for f in functions.values():
            for a, b in zip(f(), functions["by hand"]()):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        times = fastest(list(functions.values()))
        print(
            f"  {name:24} by hand {1e6 * times[0]:8.1f} us;  {budget[1:]}"
            + "".join(
                f";  {peer} {t / times[0]:.2f}" for peer, t in list(zip(functions, times))[1:]
            )
        )
    print(
        "recording, in evaluations of value and VJP on the tape (budget 20); a compiled call of the"
        " smallest f, x + 1"
    )
    for size in SIZES:
        f, inputs = functools.partial(network, np), arrays(*size)
        g = np.ones_like(inputs[0])
        tape, recording = fastest(
            [
                lambda f=f, inputs=inputs, g=g: tinyode.vjp(f, *inputs)[1](g),
                lambda f=f, inputs=inputs, g=g: tinyode.vjp(tinyode.compiled(f), *inputs)[1](g),
            ]
        )
        print(f"  {size!s:15} {recording / tape:.0f}")
    f, x, g = lambda x: x + 1.0, np.ones(2), np.ones(2)
    small = tinyode.compiled(f)
    times = fastest(
        [
            lambda: f(x),
            lambda: small(x),
            lambda: tinyode.vjp(f, x)[1](g),
            lambda: tinyode.vjp(small, x)[1](g),
        ]
    )
    print(
        "  value {:.2f} us, compiled {:.2f}; value and VJP {:.2f} us, compiled {:.2f}".format(
            *[1e6 * t for t in times]
        )
    )
