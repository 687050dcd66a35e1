"""Elementwise functions: the Jacobian is diagonal, a VJP multiplies by the derivative.

At a kink the rules take the mean of the two one-sided derivatives, which is the choice that treats
both operands alike: abs'(0) = 0, hypot has no slope at the origin, and where a == b in maximum(a,
b) each gets half of the cotangent. Second derivatives at a kink do not exist, and what comes out
there has no meaning. At a jump (remainder, copysign, heaviside) they take the derivative beside it.

At infinity, and where numbers overflow or underflow on the way, they give the limit of the
derivative: 0 for arctan, 1 for the infinite operand of logaddexp and hypot. Equal infinities share
the cotangent, as equal operands do at a kink. Two things are left:

* The limit is infinite at the pole of a derivative (sqrt at 0, arcsin at 1). So is the cotangent.
* There is no limit, and the cotangent is NaN, where the value is NaN (sin of infinity, inf - inf,
  0 * inf); for the exponent of a negative number, whose powers are real at single places only; and
  for arctan2 at the origin, where all its values meet.

What `np.where` leaves out is still computed, and its derivative multiplied by zero: where that is
infinite the product is NaN. So keep the function away from its pole: ``np.where(x > 0,
np.log(np.where(x > 0, x, 1.0)), 0.0)``.
"""

import math

import numpy as np

from ..numpy_calls import plain, record, unbox
from .table import DERIVED, PLAIN, per_operand, rule

LOG_2, LOG_10, DEGREE = math.log(2.0), math.log(10.0), math.pi / 180


def power_base(g, y, a, b):
    """d(a^b)/da = b a^(b-1), and 0 for b = 0 even where a = 0, and for infinite b where y = 0."""
    if type(b) in (int, float) and abs(b) != np.inf:
        return g * (b * a ** (b - 1)) if b else g * 0.0
    zero = ((a == 0) & (b == 0)) | (np.isinf(b) & (y == 0))
    b = np.where(zero, 1.0, b)
    return g * np.where(zero, 0.0, b * a ** (b - 1.0))


def power_exponent(g, y, a, b):
    """d(a^b)/db = a^b log a, and its limit 0 for a = 0, b > 0, and for a = inf, b < 0."""
    zero = ((a == 0) & (b >= 0)) | ((a == np.inf) & (b < 0))
    return g * np.where(zero, 0.0, y * np.log(np.where(zero, y.dtype.type(1), a)))


def chosen(g, y, a, b):
    """Return the part of g that goes to a, where y is one of a and b: half if they are equal, else
    all or nothing (all for each NaN).
    """
    return np.where(a == b, 0.5 * g, np.where((y == a) | (np.isnan(y) & np.isnan(a)), g, 0.0))


CHOSEN = chosen, lambda g, y, a, b: chosen(g, y, b, a)


def share(exp):
    """Make the VJPs of y = log(e^a + e^b), to a: g e^(a - y).

    Where y is infinite it is the larger of a and b.
    """

    def vjp(g, y, a, b):
        infinite = np.isinf(y)
        part = g * exp(np.where(infinite, 0.0, a) - np.where(infinite, 0.0, y))
        return np.where(infinite, np.where(a == b, 0.5 * g, np.where(a > b, g, 0.0)), part)

    return vjp, lambda g, y, a, b: vjp(g, y, b, a)


def by_the_largest(x, size):
    """Divide x by its largest size, a constant: then no square overflows, and not all underflow.

    Where that is infinite, finite x become 0, and infinite ones +-1.
    """
    infinite = np.isinf(size)
    x = np.where(infinite, np.isinf(x) * np.sign(x), x)
    return x / np.where(infinite | (size == 0), 1.0, size)


def arctan_vjp(g, y, x):
    """Return g / (1 + x^2), whose square would overflow."""
    root = np.hypot(x, 1.0)
    return g / root / root


def direction(a, b):
    """Return a / hypot(a, b); 0 at the origin."""
    size = np.maximum(np.abs(plain(a)), np.abs(plain(b)))
    a, b = by_the_largest(a, size), by_the_largest(b, size)
    return a / np.where(size == 0, 1.0, np.hypot(a, b))


# arithmetic
rule(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
rule(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
rule(np.power, power_base, power_exponent)
rule(np.float_power, power_base, power_exponent)
rule(np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b))
rule(np.fmod, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.rint((a - y) / b))
rule(np.ldexp, lambda g, y, x, i: np.ldexp(g, i), None)
rule(np.negative, lambda g, y, x: -g)
rule(np.positive, lambda g, y, x: g)
rule(np.conjugate, lambda g, y, x: g)
rule(np.real, lambda g, y, val: g)
rule(np.unwrap, lambda g, y, p, discont=None, axis=-1, *, period=math.tau: g)
rule(np.degrees, lambda g, y, x: g / DEGREE)
rule(np.rad2deg, lambda g, y, x: g / DEGREE)
rule(np.radians, lambda g, y, x: g * DEGREE)
rule(np.deg2rad, lambda g, y, x: g * DEGREE)
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
rule(np.logaddexp, *share(np.exp))
rule(np.logaddexp2, *share(np.exp2))
# trigonometric
rule(np.sin, lambda g, y, x: g * np.cos(x))
rule(np.cos, lambda g, y, x: -g * np.sin(x))
rule(np.tan, lambda g, y, x: g * (1 + y * y))
rule(np.arcsin, lambda g, y, x: g / np.sqrt((1 - x) * (1 + x)))
rule(np.arccos, lambda g, y, x: -g / np.sqrt((1 - x) * (1 + x)))
rule(np.arctan, arctan_vjp)
rule(
    np.arctan2,
    lambda g, y, a, b: g * direction(b, a) / np.hypot(a, b),
    lambda g, y, a, b: -g * direction(a, b) / np.hypot(a, b),
)
rule(np.hypot, lambda g, y, a, b: g * direction(a, b), lambda g, y, a, b: g * direction(b, a))
# hyperbolic
rule(np.sinh, lambda g, y, x: g * np.cosh(x))
rule(np.cosh, lambda g, y, x: g * np.sinh(x))
rule(np.tanh, lambda g, y, x: g * (1 - y * y))
rule(np.arcsinh, lambda g, y, x: g / np.hypot(x, 1.0))
rule(np.arccosh, lambda g, y, x: g / np.sqrt(x - 1) / np.sqrt(x + 1))
rule(np.arctanh, lambda g, y, x: g / ((1 - x) * (1 + x)))
# choosing
rule(np.maximum, *CHOSEN)
rule(np.minimum, *CHOSEN)
rule(np.fmax, *CHOSEN)
rule(np.fmin, *CHOSEN)
rule(np.copysign, lambda g, y, a, b: g * np.sign(a) * np.copysign(1.0, plain(b)), None)
rule(np.heaviside, None, lambda g, y, x, h: np.where(x == 0, g, 0.0))


WHERE = per_operand(
    None, lambda g, y, c, a, b: np.where(c, g, 0.0), lambda g, y, c, a, b: np.where(c, 0.0, g)
)


def where(condition, *choices):
    """``np.where`` of three arguments, a choice; of one, the places where it holds."""
    if not choices:
        return np.nonzero(plain(condition))
    return record(np.where, WHERE, (plain(condition), *choices))


def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    """``np.clip`` as minimum(maximum(a, a_min), a_max)."""
    a_min, a_max = a_min if min is None else min, a_max if max is None else max
    a = a if a_min is None else np.maximum(a, a_min)
    return a if a_max is None else np.minimum(a, a_max)


def sinc(x):
    """``np.sinc``, sin(pi x) / (pi x); around zero, where its derivatives would lose their digits,
    by its power series.
    """
    x = unbox(x)
    small = np.abs(x) < 0.3
    z, s = np.pi * np.where(small, 1.0, x), np.square(np.pi * np.where(small, x, 0.0))
    series = 1.0
    for k in range(11, 0, -1):  # 1 - s/(2 3) (1 - s/(4 5) (1 - ...
        series = 1.0 - s / (2 * k * (2 * k + 1)) * series
    return np.where(small, series, np.sin(z) / z)


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """``np.nan_to_num``: x where it is finite, constants elsewhere."""
    return np.where(np.isfinite(x), x, np.nan_to_num(plain(x), True, nan, posinf, neginf))


def frexp(x):
    """``np.frexp``: the mantissa is x times a power of two."""
    exponent = np.frexp(plain(x))[1]
    return np.ldexp(x, -exponent), exponent


DERIVED.update(
    {
        np.where: where,
        np.clip: clip,
        np.sinc: sinc,
        np.nan_to_num: nan_to_num,
        np.frexp: frexp,
        np.modf: lambda x: (np.fmod(np.where(np.isinf(x), 0.0, x), 1.0), np.trunc(x)),
        np.divmod: lambda a, b: (np.floor_divide(a, b), np.remainder(a, b)),
        np.real_if_close: lambda a, tol=100: np.positive(a),
    }
)

PLAIN.update(
    {
        np.less,
        np.less_equal,
        np.greater,
        np.greater_equal,
        np.equal,
        np.not_equal,
        np.logical_and,
        np.logical_or,
        np.logical_not,
        np.logical_xor,
        np.isfinite,
        np.isinf,
        np.isnan,
        np.isposinf,
        np.isneginf,
        np.isreal,
        np.iscomplex,
        np.signbit,
        np.sign,
        np.imag,
        np.angle,
        np.spacing,
        np.floor,
        np.ceil,
        np.trunc,
        np.rint,
        np.round,
        np.around,
        np.fix,
        np.floor_divide,
        np.isclose,
        np.allclose,
        np.array_equal,
        np.array_equiv,
        np.isin,
    }
)
