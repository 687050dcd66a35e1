"""Dips: where an event's function passes zero and comes back between two of its points.

Both points have one sign then, and nothing shows that there were two zeros between them, but that
a parabola through three points comes near to zero.
"""

import math

GOLDEN = (math.sqrt(5) - 1) / 2
# A minimum is not known better than to the square root of a rounding, of the interval's length.
WIDTH_OF_MINIMUM = 1e-8
# The bottom is looked for where the parabola comes to zero within this part of what the three
# points differ by.
NEAR = 0.25


def with_dips(g, points):
    """Add to points (time, value) at equal distances the bottoms of dips through zero among them.

    ``g`` is a function of time.
    """
    result = list(points)
    for (low, g_low), (_, g_middle), (high, g_high) in zip(points, points[1:], points[2:]):
        sign = (g_low > 0) - (g_low < 0)
        p, q, r = sign * g_low, sign * g_middle, sign * g_high  # p is positive
        # The parabola is q + slope x + curvature x^2, x from -1 to 1.
        curvature, slope = (p - 2 * q + r) / 2, (r - p) / 2
        has_bottom = q >= 0 and r > 0 and abs(slope) < 2 * curvature
        if has_bottom and q - slope**2 / (4 * curvature) <= NEAR * (max(p, q, r) - min(p, q, r)):
            result += _below_zero(g, sign, low, high)
    return sorted(result, key=lambda point: abs(point[0] - points[0][0]))


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
