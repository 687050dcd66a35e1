"""How long a step may be: the error norm, the first step and the controller.

Hairer, Norsett and Wanner I, section II.4, and II ("Stiff and Differential-Algebraic Problems"), section IV.2.
"""

import math

import numpy as np

SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0  # the new step is 0.9 of the estimate, and between 0.2 and 10 times the old (the code DOPRI5)


def error_norm(error, y0, y1, rtol, atol):
    """Return the root mean square of error / (atol + rtol max(|y0|, |y1|)), HNW II.4.11: a step is good enough at 1 or below."""
    scaled = error / (atol + rtol * np.maximum(np.abs(y0), np.abs(y1)))
    return math.sqrt(scaled.dot(scaled) / scaled.size) if scaled.size else 0.0


def first_step(f, t, y, k, order, rtol, atol, span):
    """Guess the first step, HNW II.4 "Starting Step Size"; it costs one evaluation of f.

    Parameters
    ----------
    f : function
        ``f(t, y)`` returns dy/dt.
    t, y, k : float, array, array
        Where to start, and f there.
    order : int
        Of the error estimate's lower method.
    span : float
        The length of the interval, with its sign; f is not evaluated outside it.

    Returns
    -------
    float
        The size, positive.
    """
    zero = np.zeros_like(y)
    d0, d1 = error_norm(y, y, zero, rtol, atol), error_norm(k, y, zero, rtol, atol)
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    h0 = min(h0, abs(span))
    signed = math.copysign(h0, span)
    d2 = error_norm(f(t + signed, y + signed * k) - k, y, zero, rtol, atol) / h0
    largest = max(d1, d2)
    h1 = max(1e-6, 1e-3 * h0) if largest <= 1e-15 else (0.01 / largest) ** (1 / (order + 1))
    h = min(100 * h0, h1, abs(span))
    return h if math.isfinite(h) else h0


class Controller:
    """A PI controller: the next step from the error of this one and of the last accepted one.

    h_new = h * 0.9 err_n^(-alpha) err_(n-1)^beta, alpha = 1 / q - 0.75 beta, beta = 0.2 / q (0.04 for dopri5, as in the code DOPRI5),
    q one more than the order of the error estimate's lower method. It is smoother than h * 0.9 err^(-1/q) where stability and not
    accuracy holds the step down (Hairer and Wanner II, section IV.2).
    """

    def __init__(self, error_order):
        q = error_order + 1
        self.beta = 0.2 / q
        self.alpha = 1 / q - 0.75 * self.beta
        self.last = 1e-4
        self.rejected = False

    def accept(self, h, error):
        """Return the step after one whose error was at most 1."""
        factor = SAFETY * max(error, 1e-10) ** -self.alpha * self.last ** self.beta
        factor = min(GROW, max(SHRINK, factor))
        if self.rejected:  # right after a rejection the step does not grow
            factor = min(1.0, factor)
        self.last, self.rejected = max(error, 1e-4), False
        return h * factor

    def reject(self, h, error):
        """Return the step to try after one whose error was above 1, or not a number."""
        self.rejected = True
        return h * max(SHRINK, SAFETY * error ** -self.alpha if math.isfinite(error) else SHRINK)
