"""Spans, steps and states of any size: nothing counts as zero because it is small."""

import warnings

import numpy as np
import pytest

from tinyode import grad, odeint, odeint_batch, odeint_event, solve, solve_batch
from tinyode.sensitivity.odeint import GRADIENTS
from tinyode.solvers.tableaus import find

SPANS = [1e-300, 1e-200, 1e-170, 1e-160, 1e-100, 1e-30, 1.0, 1e30, 1e100, 1e150]
ADAPTIVE = ["bosh3", "dopri5", "dop853", "trbdf2", "kvaerno5"]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("method", ["dopri5", "rk4", "kvaerno5", "gauss_legendre4"])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gradients_over_spans_of_any_size(gradient, method, sign):
    """y' = k y / s over the span s: what is computed in units of s does not depend on s."""

    def end(s):
        s = sign * s
        f = lambda t, y, k: k * y / s
        of = lambda k, t: odeint(
            f,
            1.0,
            t,
            k,
            method=method,
            gradient=gradient,
            first_step=None if find(method).e is None else abs(s) / 10,
        )[-1]
        if gradient == "forward":  # its dS/dt0 is of the size 1 / s^2
            return grad(of)(1.0, np.array([0.0, 0.5 * s, s]))
        k, t = grad(of, (0, 1))(1.0, np.array([0.0, 0.5 * s, s]))
        return k, *(t * s)

    right = end(1.0)
    for s in SPANS:
        np.testing.assert_allclose(end(s), right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("s", SPANS)
def test_batches_and_events_over_spans_of_any_size(s):
    f = lambda t, y, k: k * y / s
    slope = grad(lambda k: odeint_batch(f, np.ones((1, 1)), [0, s], k)[-1, 0, 0])(1.0)
    assert abs(slope - np.e) < 1e-4
    when = grad(lambda k: odeint_event(f, 1.0, 0.0, k, event=lambda t, y, k: y - 2, t_end=s)[0])
    assert abs(when(1.0) / s + np.log(2)) < 1e-4


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("rate", [1e20, 1e50, 1e100])
def test_a_step_at_zero_may_be_as_small_as_it_must(method, rate):
    """y = sqrt(y0^2 + 2 rate t) moves within y0^2 / rate of t = 0, 1e-88 for the last."""
    options = {"method": method, "rtol": 1e-5}
    exact = np.sqrt(1e12 + 4 * rate)
    with np.errstate(all="ignore"):
        y = solve(lambda t, y: rate / y, 1e6, [0, 2.0], **options).y[-1]
        assert abs(y / exact - 1) < 1e-2
        if not find(method).implicit:
            y = solve_batch(lambda t, y: rate / y, np.full((2, 1), 1e6), [0, 2.0], **options).y[-1]
            assert np.max(np.abs(y / exact - 1)) < 1e-2


@pytest.mark.parametrize("end", [1e-300, 1.0, 1e300])
def test_a_singularity_at_zero_is_still_an_error(end):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        for f in (
            lambda t, y: np.where(t > 0, np.nan, 1.0),
            lambda t, y: 1e308 * np.sign(y) / t**3 if t else 1.0,
        ):
            with pytest.raises(RuntimeError):
                solve(f, 1.0, [0, end])
