"""How long a step may be: the error norm, the first step and the controller.

HNW is Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations I" (1993), sections II.4
and II.10. HW is the second volume, by Hairer and Wanner (1996), sections IV.2 and IV.8. DOPRI5 and
DOP853 are the programs of HNW's appendix; dopri5 and dop853 are our tableaus of the same methods.

Each formula stands here once, for one system and for a batch (which has no quadratures). For one
system step sizes and errors are floats, and a state is a vector (n,). For a batch they are arrays
with an element for each sample, (B,), and the states are the rows of a matrix, (B, n). The few
functions that have another name in Python than in NumPy are in an `Arithmetic`. (One system could
be solved as a batch of one. But then a step of dopri5 on Lorenz's equations takes nine times as
long, measured in one process: NumPy needs much more time for an array of one element than Python
for a float.)
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# The new step is 0.9 of what the formula gives, and between 0.2 and 10 times the old one (the code
# DOPRI5).
SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0
# Of implicit methods 0.8: RADAU5's 0.9 (2 m + 1) / (2 m + i) for i = 3 iterations of at most m = 7.
SAFETY_IMPLICIT = 0.8
# An implicit method does not let its step grow by less than this (HW, section IV.8).
UNCHANGED = 1.2
# The error of the step before counts as no smaller than this (DOPRI5; of implicit methods RADAU5).
LEAST_PREVIOUS_ERROR, LEAST_PREVIOUS_ERROR_IMPLICIT = 1e-4, 1e-2
# The rate at which Newton's method should converge. On six problems of the benchmark
# stiff_solvers.py, rtol 1e-3 to 1e-6, 0.1 takes 3 % more evaluations of f by radau_iia5, and 0.5
# takes 1 % fewer. But with 0.5 more steps fail: by kvaerno5 17 % on van der Pol's at rtol 1e-4,
# with 0.15 6 %.
RATE = 0.15
# An error below this counts as this: where it is exactly zero, error^-alpha would divide by zero.
LEAST_ERROR = 1e-10
# The least positive normal number, in place of a divisor that is zero.
TINY = float(np.finfo(float).tiny)
# The last step may be 1 % longer than proposed: otherwise a tiny step might have to follow it.
STRETCH = 1.01
# It may be longer than max_step by what rounding makes of times that are a multiple of it.
ROUNDED = 1 + 1e-9
# A solve gives up where the step is no longer than so many distances from t to the next float.
ROUNDINGS = 4


class Arithmetic(NamedTuple):
    """The functions that have one name in Python, for floats, and another in NumPy, for arrays."""

    lower: Callable
    higher: Callable
    hypot: Callable


FLOATS = Arithmetic(min, max, math.hypot)
ARRAYS = Arithmetic(np.minimum, np.maximum, np.hypot)


def rms(x):
    """Return the root mean square of a vector, as a float, or of each row of a matrix."""
    if x.ndim == 2:
        means = np.sqrt(np.mean(x * x, axis=1)).astype(float)
        huge = np.flatnonzero(np.isinf(means))
        means[huge] = [rms(row) for row in x[huge]]
        return means
    square = float(x.dot(x))
    if math.isinf(square):  # the sum has overflowed; divide by the largest component first
        largest = float(np.max(np.abs(x)))
        return largest * rms(x / largest) if math.isfinite(largest) else largest
    return math.sqrt(square / x.size)


def error_norm(error, y0, y1, rtol, atol, norm=rms):
    """Return the root mean square of error / (atol + rtol max(|y0|, |y1|)), HNW II.4.11.

    A step is good enough at 1 or below. ``norm`` is a norm of vectors to be taken instead of the
    root mean square.
    """
    return norm(error / (atol + rtol * np.maximum(np.abs(y0), np.abs(y1))))


def quadrature_norm(error, q0, q1, rate, left, rtol, atol):
    """Return the norm of the error of quadratures q, components that no derivative depends on.

    It is rms(error) / (atol + rtol size) of all of them together. ``size``, the largest of rms(q0),
    rms(q1) and left * rms(rate), is a guess of how large they will be in the end: ``rate`` is
    dq/dt, and ``left`` the time that is left, positive. Where each component has a tolerance of its
    own, the least counts.

    A gradient is such a vector, and starts from zero. To compare each component with its present
    size would waste steps. To leave quadratures out of the norm (Kidger, Chen and Lyons, "Hey,
    that's not an ODE", 2021) saves as many steps, but then their error may not be seen: where the
    state does not move, every step is accepted.
    """
    rtol, atol = [x if isinstance(x, float) else float(np.min(x)) for x in (rtol, atol)]
    return rms(error) / (atol + rtol * max(rms(q0), rms(q1), left * rms(rate)))


def corrected(error, second, arithmetic=FLOATS):
    """Return error^2 / sqrt(error^2 + 0.01 second^2), HNW II.10.17.

    These are the norms of two estimates of one step's error, in dop853 of orders 5 and 3. They do
    not overflow here where their squares would.
    """
    both = arithmetic.hypot(error, 0.1 * second)
    return error * (error / arithmetic.higher(both, TINY))


def guess_first_step(f, t, y, k, order, norm, span):
    """Guess the size of the first step: HNW II.4, "Starting Step Size", with its numbers.

    It costs one evaluation of f.

    Parameters
    ----------
    f : function
        ``f(t, y)`` returns dy/dt.
    t, y, k : float and arrays, shapes (n,), or arrays, shapes (B,), (B, n), (B, n)
        Where to start, and f there.
    order : int
        The lower one of the pair of methods whose difference is the error estimate.
    norm : function
        ``norm(x)`` returns the norm of a vector, or of each row, relative to the tolerances at y.
    span : float, or array, shape (B,)
        The length of the interval, with its sign; f is not evaluated outside it.

    Returns
    -------
    array, shape () or (B,)
        The sizes, positive.
    """
    least, longest = 10 * np.spacing(np.abs(t)), np.abs(span)
    d0, d1 = np.asarray(norm(y)), np.asarray(norm(k))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # h0: a step that changes y by a hundredth
        h0 = np.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1)
        h0 = np.minimum(np.maximum(h0, least), longest)
        # d2: the second derivative, from one step of Euler's method
        signed = np.copysign(h0, span)
        y1 = y + np.expand_dims(signed, -1).astype(y.dtype) * k
        d2 = norm(f(t + signed, y1) - k) / h0
        # h1: a step whose error, h1^(order + 1) max(d1, d2), is 0.01
        largest = np.maximum(d1, d2)
        h1 = np.power(0.01 / largest, 1 / (order + 1))
        h1 = np.where(largest <= 1e-15, np.maximum(1e-6, 1e-3 * h0), h1)
        h = np.minimum(np.maximum(np.minimum(100 * h0, h1), least), longest)
    # Where f(t + h0, y1) is not finite, the step of size h0 will fail, and be made shorter.
    return np.where(np.isfinite(largest), h, h0)


def is_lost(size, t):
    """Whether a step of this size is so small that t + size is t, or nearly so."""
    return ~(size > ROUNDINGS * np.spacing(np.abs(t)))  # NaN, too


class Controller:
    """The next step from the error of this one and of the last accepted one.

    h_new = h * 0.9 err_n^(-alpha) err_(n-1)^beta, alpha = 1 / q - 0.75 beta, beta = 0.2 / q

    The error of a step is nearly C h^q, where q - 1 is the lower one of the orders of the pair: q =
    5 for dopri5. So h err_n^(-1/q) would make it 1, which is the formula for beta = 0. With beta >
    0 it is a PI controller (proportional and integral): of two steps with the same error, the one
    that came after a smaller error, and so sees the error grow, is followed by the shorter step.
    This is smoother where the step is held down by stability and not by accuracy (HW, section IV.2;
    the factor 0.75 is that of DOPRI5). For dopri5 beta is 0.04, as in DOPRI5; a method with a
    second error estimate has beta = 0, as DOP853.

    An implicit method takes the smaller of two sizes: the formula with beta = 0 and 0.8 in place of
    0.9, and Gustafsson's prediction,

    h_new = h * 0.8 err_n^(-1/q) * h_n / h_(n-1) (err_(n-1) / err_n)^(1/q)

    which assumes that the error goes on to change as it has changed (HW, equation IV.8.25). Then
    the step is made so short that Newton's method converges at a good rate, which is nearly
    proportional to h (Gustafsson and Söderlind, 1997). And it stays as it is where it could grow by
    no more than the factor 1.2: so the inverse of the matrix can be kept (HW, section IV.8).

    For a batch, `pace.AdaptivePace` makes ``previous_error`` and ``most_growth`` arrays again after
    each step, with what belongs to each sample.

    Parameters
    ----------
    tableau : Tableau
    options : Options
    arithmetic : Arithmetic
        `FLOATS` for one system, `ARRAYS` for a batch.
    """

    def __init__(self, tableau, options, arithmetic=FLOATS):
        q = tableau.error_order + 1
        self.is_implicit = tableau.implicit
        self.beta = 0.2 / q if tableau.e3 is None and not self.is_implicit else 0.0
        self.alpha = 1 / q - 0.75 * self.beta
        self.longest = options.max_step or math.inf
        self.shortest = options.min_step or 0.0
        self.lower, self.higher, _ = arithmetic
        self.previous_error, self.most_growth = LEAST_PREVIOUS_ERROR, GROW
        self.previous_size = None

    def is_last(self, size, left):
        """Whether a step of this size covers the time that is ``left``."""
        return self.lower(STRETCH * size, self.longest * ROUNDED) >= left

    def after_accepted(self, size, error, rate=0.0):
        """Return the size of the step after one whose error was at most 1.

        ``rate`` is that of Newton's method, where there is one.
        """
        if self.is_implicit:
            return self._after_implicit(size, error, rate)
        lower, higher = self.lower, self.higher
        factor = SAFETY * higher(error, LEAST_ERROR) ** -self.alpha
        factor = lower(self.most_growth, higher(SHRINK, factor * self.previous_error**self.beta))
        self.previous_error, self.most_growth = higher(error, LEAST_PREVIOUS_ERROR), GROW
        return lower(higher(size * factor, self.shortest), self.longest)

    def _after_implicit(self, size, error, rate):
        """Return the size of the step after an implicit one, all of floats."""
        error = max(error, LEAST_ERROR)
        factor = SAFETY_IMPLICIT * error**-self.alpha
        if self.previous_size is not None:
            trend = size / self.previous_size * (self.previous_error / error) ** self.alpha
            factor *= min(1.0, trend)
        if rate > 0:
            factor = min(factor, RATE / rate)
        factor = min(self.most_growth, max(SHRINK, factor))
        if 1.0 <= factor <= UNCHANGED:
            factor = 1.0
        self.previous_size, self.most_growth = size, GROW
        self.previous_error = max(error, LEAST_PREVIOUS_ERROR_IMPLICIT)
        return min(max(size * factor, self.shortest), self.longest)

    def after_rejected(self, size, error):
        """Return the size of the step to try after one whose error was above 1.

        The error of the step before does not count (DOPRI5). When the shorter step is accepted, the
        one after it is no longer than that.
        """
        self.most_growth = 1.0
        return size * self.higher(SHRINK, SAFETY * error**-self.alpha)

    def after_newtons_failure(self, size):
        """Return the size of the step to try after one whose stages have not been found."""
        self.most_growth = 1.0
        return size / 2
