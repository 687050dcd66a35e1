"""What a user's type checker makes of `tinyode.sensitivity`."""

from typing import Any

import numpy as np

from tinyode import NewtonError, odeint, odeint_batch, odeint_event, root, with_integral
from tinyode.types import Array


def f(t: float, y: Array, k: float) -> Array:
    return -k * y


def crossing(t: float, y: Array, k: float) -> float:
    return float(y[0] - 0.5)


def energy(t: float, y: Array, k: float) -> Any:
    return np.sum(y * y)


y0, times = np.ones(2), np.linspace(0.0, 1.0, 5)
reveal_type(odeint(f, y0, times, 1.0))  # Array
reveal_type(odeint(f, 1.0, [0.0, 1.0], 1.0, gradient="discrete", checkpoints=3))  # Array
# Any: of a container of floats the values are arrays
reveal_type(odeint(f, {"a": y0}, times, 1.0, atol={"a": 1e-9})["a"])  # Any
reveal_type(odeint_batch(f, np.ones((3, 2)), times, 1.0))  # Array

when, where = odeint_event(f, y0, 0.0, 1.0, event=crossing, t_end=9.0)
reveal_type(where)  # Array

with_energy, start = with_integral(f, energy), (y0, 0.0)
reveal_type(with_energy(0.0, start, 1.0))  # Any
reveal_type(odeint(with_energy, start, times, 1.0))  # Any

try:
    reveal_type(root(lambda u, p: u * u - p, np.ones(2), 2.0, tol=1e-12))  # Array
except NewtonError as error:
    print(error)
