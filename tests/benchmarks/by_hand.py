"""What the library is measured against: the same computations in NumPy, written by hand.

They are for one network and one method. The field is f(y) = tanh(y^3 W1 + b1) W2 + b2, the method
dopri5 with the library's tolerances, first step and controller.
"""

import math

import numpy as np

from tinyode.solvers.tableaus import TABLEAUS

DOPRI5 = TABLEAUS["dopri5"]
A, B, C, E = DOPRI5.a, DOPRI5.b, DOPRI5.c.tolist(), DOPRI5.e


def value(y, W1, b1, W2, b2):
    return np.tanh((y * y * y) @ W1 + b1) @ W2 + b2


def value_and_vjp(y, W1, b1, W2, b2, g):
    """The field and the cotangents of all five, as one would write them for speed."""
    square = y * y
    cube = square * y
    h = np.tanh(cube @ W1 + b1)
    out = h @ W2 + b2
    gh = (g @ W2.T) * (1 - h * h)
    return out, ((gh @ W1.T) * (3 * square), cube.T @ gh, gh.sum(axis=0), h.T @ g, g.sum(axis=0))


def rms(x):
    return math.sqrt(x.dot(x) / x.size)


def dopri5(f, y, t, end, rtol, atol, coupled):
    """Integrate y' = f(t, y[:coupled], out) from t to end.

    The components from ``coupled`` on are quadratures.
    """
    K = np.zeros((7, len(y)))
    rows = [K[:i, :coupled] for i in range(7)]
    sign = math.copysign(1.0, end - t)
    f(t, y[:coupled], K[0])
    scale = atol + rtol * np.abs(y[:coupled])
    d0, d1 = rms(y[:coupled] / scale), rms(K[0, :coupled] / scale)
    h0 = min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, abs(end - t))
    trial = np.empty(len(y))
    f(t + sign * h0, y[:coupled] + sign * h0 * K[0, :coupled], trial)
    largest = max(d1, rms((trial[:coupled] - K[0, :coupled]) / scale) / h0)
    size = min(
        100 * h0,
        max(1e-6, h0 * 1e-3) if largest <= 1e-15 else (0.01 / largest) ** 0.2,
        abs(end - t),
    )
    previous = 1e-4
    while True:
        last = 1.01 * size >= abs(end - t)
        h = end - t if last else sign * size
        hA = h * A
        for i in range(1, 7):
            stage = y[:coupled] + hA[i, :i].dot(rows[i])
            f(t + C[i] * h, stage, K[i])
        new = stage if coupled == len(y) else y + (h * B).dot(K)
        e = (h * E).dot(K)
        error = rms(
            e[:coupled] / (atol + rtol * np.maximum(np.abs(y[:coupled]), np.abs(new[:coupled])))
        )
        if coupled < len(y):
            q = slice(coupled, None)
            error = max(
                error,
                rms(e[q])
                / (atol + rtol * max(rms(y[q]), rms(new[q]), abs(end - t) * rms(K[6, q]))),
            )
        factor = 0.9 * max(error, 1e-10) ** -0.17
        if error <= 1:
            size = abs(h) * min(10.0, max(0.2, factor * previous**0.04))
            previous = max(error, 1e-4)
            t, y = t + h, new
            if last:
                return y
            K[0] = K[6]
        else:
            size = abs(h) * max(0.2, factor)


def adjoint_gradient(y0, W1, b1, W2, b2, end, rtol, atol):
    """Gradient of L = sum(y(end)^2) / 2 for y0 and the four parameters, by Algorithm 2."""
    shape, n = y0.shape, y0.size

    def forward(t, y, k):
        k.reshape(shape)[...] = value(y.reshape(shape), W1, b1, W2, b2)

    def augmented(t, s, k):
        out, (gy, *gp) = value_and_vjp(
            s[:n].reshape(shape), W1, b1, W2, b2, -s[n : 2 * n].reshape(shape)
        )
        np.concatenate([out.reshape(-1), gy.reshape(-1), *[g.reshape(-1) for g in gp]], out=k)

    y1 = dopri5(forward, y0.reshape(-1), 0.0, end, rtol, atol, n)
    s = dopri5(
        augmented,
        np.concatenate([y1, y1, np.zeros(W1.size + b1.size + W2.size + b2.size)]),
        end,
        0.0,
        rtol,
        atol,
        2 * n,
    )
    pieces = np.split(s[n:], np.cumsum([n, W1.size, b1.size, W2.size]))
    return [piece.reshape(x.shape) for piece, x in zip(pieces, (y0, W1, b1, W2, b2))]
