"""Dips: where an event's function passes zero and comes back between two of its samples.

Both samples have one sign then, and nothing shows that there were two zeros between them, but that
a parabola through three samples comes near to zero.
"""

import math

GOLDEN = (math.sqrt(5) - 1) / 2
# A minimum is not known better than to the square root of a rounding, of the interval's length.
WIDTH_OF_MINIMUM = 1e-8
# The bottom is looked for where the parabola comes to zero within this part of what the three
# samples differ by.
NEAR = 0.25


def with_dips(g, samples):
    """Add to samples (time, value) at equal distances the bottoms of dips through zero among them.

    ``g`` is a function of time.
    """
    result = list(samples)
    for (low, a), (_, b), (high, c) in zip(samples, samples[1:], samples[2:]):
        sign = (a > 0) - (a < 0)
        # the parabola is b + slope x + curvature x^2, x from -1 to 1, with the sign that makes a
        # positive
        curvature, slope = sign * (a - 2 * b + c) / 2, sign * (c - a) / 2
        has_bottom = sign * c > 0 <= sign * b and abs(slope) < 2 * curvature
        if not has_bottom:
            continue
        bottom = sign * b - slope**2 / (4 * curvature)
        if bottom <= NEAR * (max(a, b, c) - min(a, b, c)):
            result += _below_zero(g, sign, low, high)
    return sorted(result, key=lambda sample: abs(sample[0] - samples[0][0]))


def _below_zero(g, sign, low, high):
    """Return the first (time, value) met where sign * g is negative, in a list; or an empty list.

    The least value of sign * g between low and high is looked for by golden sections.
    """
    width = abs(high - low)
    x, y = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    g_x, g_y = g(x), g(y)
    while abs(high - low) > WIDTH_OF_MINIMUM * width:
        for time, value in ((x, g_x), (y, g_y)):
            if sign * value < 0:
                return [(time, value)]
        if sign * g_x < sign * g_y:
            high, y, g_y = y, x, g_x
            x = high - GOLDEN * (high - low)
            g_x = g(x)
        else:
            low, x, g_x = x, y, g_y
            y = low + GOLDEN * (high - low)
            g_y = g(y)
    return []
