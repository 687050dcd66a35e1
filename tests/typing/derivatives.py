"""What a user's type checker makes of `tinyode.autodiff` and `tinyode.programs`."""

from typing import Any

import numpy as np

from tinyode import (
    compiled,
    custom_vjp,
    grad,
    hessian,
    jacobian,
    jvp,
    program,
    stop_gradient,
    value_and_grad,
    vjp,
)
from tinyode.types import Array

x: Array = np.ones(2)


def f(x: Array, k: float = 1.0) -> Array:
    return k * np.sin(x)


def loss(x: Array, k: float = 1.0) -> float:
    return float(np.sum(f(x, k)))


value, pullback = vjp(f, x)
reveal_type(value)  # Array
reveal_type(pullback(x))  # tuple[Any, ...]
reveal_type(jvp(f, (x,), (x,)))  # tuple[Array, Array]

# the derivatives take what the function takes
reveal_type(grad(loss)(x, k=2.0))  # Any
reveal_type(grad(loss, (0, 1))(x, 2.0))  # Any
reveal_type(value_and_grad(loss)(x, k=2.0))  # tuple[float, Any]
reveal_type(jacobian(f)(x, k=2.0))  # Any
reveal_type(hessian(loss, argnum=0)(x, k=2.0))  # Any

reveal_type(stop_gradient(x))  # Array
reveal_type(stop_gradient({"k": 1.0}))  # dict[str, float]

reveal_type(compiled(f)(x, k=2.0))  # Array
reveal_type(compiled(loss)(x))  # float
written = program(f, x, vjp=True)
reveal_type(written)  # Program
reveal_type(written.source)  # str
reveal_type(written.constants)  # dict[str, Array]


@custom_vjp
def square(x: Array) -> Array:
    return x * x


def forward(x: Array) -> tuple[Array, Array]:
    return x * x, x


def backward(x: Array, g: Array) -> tuple[Any, ...]:
    return (2 * g * x,)


square.defvjp(forward, backward)
reveal_type(square(x))  # Array
