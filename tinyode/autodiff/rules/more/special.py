"""Elementwise functions that one meets less often: their rules are as those in `elementwise`.

At a jump (of fmod, copysign, heaviside) the rules take the derivative beside it.
"""

import math

import numpy as np

from ...numpy_calls import plain, unbox
from ..elementwise import power_base, power_exponent
from ..table import derives, rule

# real and imaginary parts of what is real
rule(np.conjugate, lambda g, y, x: g)
rule(np.real, lambda g, y, val: g)
derives(np.real_if_close)(lambda a, tol=100: np.positive(a))
# arithmetic of floating numbers
rule(np.float_power, power_base, power_exponent)
rule(np.fmod, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.rint((a - y) / b))
rule(np.ldexp, lambda g, y, x, i: np.ldexp(g, i), None)
rule(np.copysign, lambda g, y, a, b: g * np.sign(a) * np.copysign(1.0, plain(b)), None)
rule(np.heaviside, None, lambda g, y, x, h: np.where(x == 0, g, 0.0))
rule(np.unwrap, lambda g, y, p, discont=None, axis=-1, *, period=math.tau: g)
derives(np.modf)(lambda x: (np.fmod(np.where(np.isinf(x), 0.0, x), 1.0), np.trunc(x)))
derives(np.divmod)(lambda a, b: (np.floor_divide(a, b), np.remainder(a, b)))


@derives(np.frexp)
def frexp(x):
    """``np.frexp``: the mantissa is x times a power of two."""
    exponent = np.frexp(plain(x))[1]
    return np.ldexp(x, -exponent), exponent


@derives(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """``np.nan_to_num``: x where it is finite, constants elsewhere."""
    return np.where(np.isfinite(x), x, np.nan_to_num(plain(x), True, nan, posinf, neginf))


def share_left(exp, g, y, a, b):
    """The part of g that goes to a, where y = log(e^a + e^b): g e^(a - y).

    Where y is infinite it is the larger of a and b, which gets all of g. Equal ones get a half.
    """
    infinite = np.isinf(y)
    part = g * exp(np.where(infinite, 0.0, a) - np.where(infinite, 0.0, y))
    all_or_half = np.where(a == b, 0.5 * g, np.where(a > b, g, 0.0))
    return np.where(infinite, all_or_half, part)


rule(
    np.logaddexp,
    lambda g, y, a, b: share_left(np.exp, g, y, a, b),
    lambda g, y, a, b: share_left(np.exp, g, y, b, a),
)
rule(
    np.logaddexp2,  # powers of 2 instead of e
    lambda g, y, a, b: share_left(np.exp2, g, y, a, b),
    lambda g, y, a, b: share_left(np.exp2, g, y, b, a),
)

# The power series of sinc is used for |x| < SERIES_UP_TO, where sin(z) / z loses digits in its
# derivatives. There 11 terms are exact to rounding: the next is (0.3 pi)^24 / 25!, 2e-26.
SERIES_UP_TO, SERIES_TERMS = 0.3, 11


@derives(np.sinc)
def sinc(x):
    """``np.sinc``, sin(pi x) / (pi x); near zero by its power series in s = (pi x)^2."""
    x = unbox(x)
    small = np.abs(x) < SERIES_UP_TO
    z, s = np.pi * np.where(small, 1.0, x), np.square(np.pi * np.where(small, x, 0.0))
    series = 1.0
    for k in range(SERIES_TERMS, 0, -1):  # 1 - s/(2 3) (1 - s/(4 5) (1 - ...
        series = 1.0 - s / (2 * k * (2 * k + 1)) * series
    return np.where(small, series, np.sin(z) / z)
