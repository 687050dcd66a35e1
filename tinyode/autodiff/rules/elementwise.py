"""Elementwise functions: the Jacobian is diagonal, and a VJP multiplies by the derivative.

*At a kink* the rules take the mean of the two one-sided derivatives. This choice treats both
operands alike: abs'(0) = 0, hypot has slope 0 at the origin, and where a == b in maximum(a, b) each
gets half of the cotangent. Second derivatives do not exist at a kink. What comes out there has no
meaning. *At a jump* (of remainder) the rules take the derivative beside it.

*At infinity*, and where numbers overflow or underflow on the way, the rules give the limit of the
derivative: 0 for arctan, 1 for the infinite operand of hypot. Equal infinities share the cotangent,
as equal operands do at a kink. Two cases are left:

* The limit is infinite, at the pole of a derivative (sqrt at 0, arcsin at 1). So is the cotangent.
* There is no limit, and the cotangent is NaN: where the value is NaN (sin of infinity, inf - inf,
  0 * inf); for the exponent of a negative number, whose powers are not real between whole ones; and
  for arctan2 at the origin, where all its values meet.

What `np.where` leaves out has been computed all the same, and its derivative is multiplied by zero.
If this derivative is infinite, the product is NaN. So keep the function away from its pole:
``np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0)``.

The rarer elementwise functions are in `more.special`.
"""

import math

import numpy as np

from ..numpy_calls import plain, record
from .table import derives, no_derivative, per_operand, rule

LOG_2, LOG_10, DEGREE = math.log(2.0), math.log(10.0), math.pi / 180

# arithmetic
rule(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
rule(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
rule(np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b))
rule(np.negative, lambda g, y, x: -g)
rule(np.positive, lambda g, y, x: g)
rule(np.absolute, lambda g, y, x: g * np.sign(x))
rule(np.fabs, lambda g, y, x: g * np.sign(x))
rule(np.reciprocal, lambda g, y, x: -g * y * y)
rule(np.square, lambda g, y, x: 2 * (g * x))
rule(np.sqrt, lambda g, y, x: g * (0.5 / y))
rule(np.cbrt, lambda g, y, x: g / (3 * y) / y)
# exponential and logarithmic
rule(np.exp, lambda g, y, x: g * y)
rule(np.exp2, lambda g, y, x: g * y * LOG_2)
rule(np.expm1, lambda g, y, x: g * np.exp(x))
rule(np.log, lambda g, y, x: g / x)
rule(np.log2, lambda g, y, x: g / x / LOG_2)
rule(np.log10, lambda g, y, x: g / x / LOG_10)
rule(np.log1p, lambda g, y, x: g / (1 + x))
# trigonometric
rule(np.sin, lambda g, y, x: g * np.cos(x))
rule(np.cos, lambda g, y, x: -g * np.sin(x))
rule(np.tan, lambda g, y, x: g * (1 + y * y))
rule(np.arcsin, lambda g, y, x: g / np.sqrt((1 - x) * (1 + x)))
rule(np.arccos, lambda g, y, x: -g / np.sqrt((1 - x) * (1 + x)))
rule(np.degrees, lambda g, y, x: g / DEGREE)
rule(np.rad2deg, lambda g, y, x: g / DEGREE)
rule(np.radians, lambda g, y, x: g * DEGREE)
rule(np.deg2rad, lambda g, y, x: g * DEGREE)
# hyperbolic
rule(np.sinh, lambda g, y, x: g * np.cosh(x))
rule(np.cosh, lambda g, y, x: g * np.sinh(x))
rule(np.tanh, lambda g, y, x: g * (1 - y * y))
rule(np.arcsinh, lambda g, y, x: g / np.hypot(x, 1.0))
rule(np.arccosh, lambda g, y, x: g / np.sqrt(x - 1) / np.sqrt(x + 1))
rule(np.arctanh, lambda g, y, x: g / ((1 - x) * (1 + x)))


def power_base(g, y, a, b):
    """d(a^b)/da = b a^(b-1).

    It is 0 for b = 0 even where a = 0, and for infinite b where y = 0.
    """
    if type(b) in (int, float) and abs(b) != np.inf:
        return g * (b * a ** (b - 1)) if b else g * 0.0
    zero = ((a == 0) & (b == 0)) | (np.isinf(b) & (y == 0))
    b = np.where(zero, 1.0, b)
    return g * np.where(zero, 0.0, b * a ** (b - 1.0))


def power_exponent(g, y, a, b):
    """d(a^b)/db = a^b log a, and its limit 0 for a = 0, b >= 0, and for a = inf, b < 0."""
    zero = ((a == 0) & (b >= 0)) | ((a == np.inf) & (b < 0))
    return g * np.where(zero, 0.0, y * np.log(np.where(zero, y.dtype.type(1), a)))


rule(np.power, power_base, power_exponent)


def arctan_vjp(g, y, x):
    """g / (1 + x^2), without a square, which would overflow."""
    root = np.hypot(x, 1.0)
    return g / root / root


def scaled(x, size):
    """Divide x by its largest size, a constant: then no square overflows, and not all underflow.

    Where that size is infinite, finite x become 0, and infinite ones +-1.
    """
    infinite = np.isinf(size)
    x = np.where(infinite, np.isinf(x) * np.sign(x), x)
    return x / np.where(infinite | (size == 0), 1.0, size)


def direction(a, b):
    """a / hypot(a, b); 0 at the origin."""
    size = np.maximum(np.abs(plain(a)), np.abs(plain(b)))
    a, b = scaled(a, size), scaled(b, size)
    return a / np.where(size == 0, 1.0, np.hypot(a, b))


rule(np.arctan, arctan_vjp)
rule(
    np.arctan2,
    lambda g, y, a, b: g * direction(b, a) / np.hypot(a, b),
    lambda g, y, a, b: -g * direction(a, b) / np.hypot(a, b),
)
rule(np.hypot, lambda g, y, a, b: g * direction(a, b), lambda g, y, a, b: g * direction(b, a))


def chosen_left(g, y, a, b):
    """The part of g that goes to a, where y is a or b: all, nothing, or half if they are equal.

    A NaN among them is chosen, and gets all of g.
    """
    is_a = (y == a) | (np.isnan(y) & np.isnan(a))
    return np.where(a == b, 0.5 * g, np.where(is_a, g, 0.0))


def chosen_right(g, y, a, b):
    """The part of g that goes to b."""
    return chosen_left(g, y, b, a)


rule(np.maximum, chosen_left, chosen_right)
rule(np.minimum, chosen_left, chosen_right)
rule(np.fmax, chosen_left, chosen_right)
rule(np.fmin, chosen_left, chosen_right)

WHERE = per_operand(
    None,  # the condition has no derivative
    lambda g, y, condition, a, b: np.where(condition, g, 0.0),
    lambda g, y, condition, a, b: np.where(condition, 0.0, g),
    of=np.where,
)


@derives(np.where)
def where(condition, *choices):
    """``np.where`` of three arguments, a choice; of one, the places where it holds."""
    if not choices:
        return np.nonzero(plain(condition))
    return record(np.where, WHERE, (plain(condition), *choices))


@derives(np.clip)
def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    """``np.clip`` as minimum(maximum(a, a_min), a_max)."""
    a_min = a_min if min is None else min
    a_max = a_max if max is None else max
    a = a if a_min is None else np.maximum(a, a_min)
    return a if a_max is None else np.minimum(a, a_max)


no_derivative("""
    less less_equal greater greater_equal equal not_equal
    logical_and logical_or logical_not logical_xor
    isclose allclose array_equal array_equiv isin
    isfinite isinf isnan isposinf isneginf isreal iscomplex
    sign signbit floor ceil trunc rint round around fix floor_divide
    imag angle spacing
""")
