"""How long a step may be: the error norm, the first step and the controller.

Hairer, Norsett and Wanner I, section II.4, and II ("Stiff and Differential-Algebraic Problems"),
section IV.2.
"""

import math

import numpy as np

SAFETY, SHRINK, GROW = (
    0.9,
    0.2,
    10.0,
)  # the new step is 0.9 of the estimate, and between 0.2 and 10 times the old (the code DOPRI5)


def rms(x):
    """Return the root mean square of a vector."""
    square = float(x.dot(x))
    if math.isinf(square):  # too large to be squared, perhaps, but not to be measured
        largest = float(np.max(np.abs(x)))
        return largest * rms(x / largest) if math.isfinite(largest) else largest
    return math.sqrt(square / x.size)


def error_norm(error, y0, y1, rtol, atol, norm=rms):
    """Return the root mean square of error / (atol + rtol max(|y0|, |y1|)), HNW II.4.11: a step is
    good enough at 1 or below.

    ``norm`` is a norm of vectors to be taken instead of the root mean square.
    """
    return norm(error / (atol + rtol * np.maximum(np.abs(y0), np.abs(y1))))


def quadrature_norm(error, q0, q1, rate, left, rtol, atol):
    """Return the same for quadratures, which nothing depends on: the error of the whole against the
    size that the whole will have.

    That is at least what it is now, and what it becomes if it goes on at its present ``rate`` for
    the time that is ``left``. To ask each component for rtol of its own size from the start, when
    all are near zero, wastes steps; to leave them out of the norm (Kidger, Chen and Lyons, "Hey,
    that's not an ODE", 2021) saves as many as this does, but a quadrature then goes unmeasured
    where only it moves, as the gradient of a network's last layer does while that layer is zero.
    """
    return rms(error) / (atol + rtol * max(rms(q0), rms(q1), left * rms(rate)))


def first_steps(f, t, y, k, order, norm, span):
    """Guess the first step of each of m problems, HNW II.4 "Starting Step Size"; it costs one
    evaluation of f.

    Parameters
    ----------
    f : function
        ``f(t, y)`` returns dy/dt.
    t, y, k : arrays, shapes (m,), (m, n), (m, n)
        Where to start, and f there.
    order : int
        Of the error estimate's lower method.
    norm : function
        ``norm(x)`` returns the size of vectors beside the tolerances at y: (m, n) to (m,).
    span : array, shape (m,)
        The length of the interval, with its sign; f is not evaluated outside it.

    Returns
    -------
    array, shape (m,)
        The sizes, positive.
    """
    longest = np.abs(span)
    d0, d1 = norm(y), norm(k)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        h0 = np.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1)
        h0 = np.minimum(np.maximum(h0, 10 * np.spacing(np.abs(t))), longest)
        signed = np.copysign(h0, span)
        d2 = norm(f(t + signed, y + signed[:, None].astype(y.dtype) * k) - k) / h0
        largest = np.maximum(d1, d2)
        h1 = np.where(
            largest <= 1e-15, np.maximum(1e-6, 1e-3 * h0), (0.01 / largest) ** (1 / (order + 1))
        )
        h = np.minimum(np.maximum(np.minimum(100 * h0, h1), 10 * np.spacing(np.abs(t))), longest)
    return np.where(
        (h > 0) & np.isfinite(h), h, h0
    )  # f was not finite there: let the controller find out


class Controller:
    """A PI controller: the next step from the error of this one and of the last accepted one.

    h_new = h * 0.9 err_n^(-alpha) err_(n-1)^beta, alpha = 1 / q - 0.75 beta, beta = 0.2 / q (0.04
    for dopri5, as in the code DOPRI5), q one more than the order of the error estimate's lower
    method. It is smoother than h * 0.9 err^(-1/q) where stability and not accuracy holds the step
    down (Hairer and Wanner II, section IV.2). With ``pi=False``, beta = 0, as in the code DOP853. A
    step that could grow by no more than the factor ``keep`` stays as it is, which saves an implicit
    method a factorisation (the same, section IV.8).
    """

    def __init__(self, error_order, pi=True, keep=1.0):
        q = error_order + 1
        self.keep = keep
        self.beta = 0.2 / q if pi else 0.0
        self.alpha = 1 / q - 0.75 * self.beta
        self.previous_error = 1e-4
        self.rejected = False

    def accept(self, h, error):
        """Return the step after one whose error was at most 1."""
        factor = SAFETY * max(error, 1e-10) ** -self.alpha * self.previous_error**self.beta
        factor = min(GROW, max(SHRINK, factor))
        if self.rejected:  # right after a rejection the step does not grow
            factor = min(1.0, factor)
        self.previous_error, self.rejected = max(error, 1e-4), False  # the floor of the code DOPRI5
        return h if 1.0 <= factor <= self.keep else h * factor

    def reject(self, h, error):
        """Return the step to try after one whose error was above 1, or not finite; without the
        memory, as in the code DOPRI5.
        """
        self.rejected = True
        return h * max(SHRINK, SAFETY * error**-self.alpha if math.isfinite(error) else SHRINK)
