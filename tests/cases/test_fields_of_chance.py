"""A field that is another one at each call has no gradient, and every way says so."""

import warnings

import numpy as np
import pytest

from tinyode import compiled, grad, odeint, odeint_batch, odeint_event
from tinyode.sensitivity.odeint import GRADIENTS

Y0 = np.array([1.0, 0.5])


def drawing():
    rng = np.random.default_rng(0)
    return lambda t, y, k: -k * y * (1 + 0.3 * rng.normal())


def dropping_out():
    rng = np.random.default_rng(0)
    return lambda t, y, k: -k * y * (rng.random(y.shape) < 0.5)


def counting():
    calls = []
    return lambda t, y, k: calls.append(1) or -k * y * (1 + 0.01 * len(calls))


MANY = np.linspace(1.0, 0.5, 30)  # two draws of thirty are never the same


def in_containers():
    f = drawing()
    return lambda t, y, k: [f(t, y[0], k), -y[1]]


METHODS = [{"method": "rk4", "step_size": 0.2}, {"method": "dopri5"}, {"method": "kvaerno3"}]
FIELDS = [drawing, dropping_out, counting]
WORDS = "f returned other numbers when it was called again with the same arguments"


def warned(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            call()
        except RuntimeError:  # of a solver that no step suits
            pass
    return [str(warning.message) for warning in found if WORDS in str(warning.message)]


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("make", FIELDS)
def test_every_way_says_so(make, gradient):
    options = {"method": "rk4", "step_size": 0.2, "gradient": gradient}
    loss = lambda k: odeint(make(), MANY, [0, 1.0], k, **options)[-1, 0]
    assert warned(lambda: grad(loss)(1.0))
    loss = lambda k: odeint(in_containers(), [MANY, 1.0], [0, 1.0], k, **options)[0][-1, 0]
    assert warned(lambda: grad(loss)(1.0))


@pytest.mark.parametrize("make", FIELDS)
def test_batches_say_so(make):
    loss = lambda k: odeint_batch(
        make(), np.ones((2, 30)), [0, 1.0], k, method="rk4", step_size=0.2
    )[-1, 0, 0]
    assert warned(lambda: grad(loss)(1.0))


@pytest.mark.parametrize("options", METHODS)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_other_fields_are_not_warned_of(gradient, options):
    """What is drawn outside f, a memory of what was computed, a buffer, nan and whole numbers."""
    noise, memory, buffer = np.random.default_rng(0).normal(size=2), {}, np.zeros(2)

    def remembering(t, y, k):
        memory.setdefault(float(t), np.cos(float(t)))
        buffer[:] = memory[float(t)]
        return -k * y * (1 + 0.3 * noise) * buffer

    for f in (remembering, compiled(lambda t, y, k: -k * y), lambda t, y, k: k * np.array([1, 0])):
        loss = lambda k, f=f: odeint(f, Y0, [0, 1.0], k, gradient=gradient, **options)[-1, 0]
        assert not warned(lambda loss=loss: grad(loss)(1.0))
    when = lambda k: odeint_event(
        remembering,
        Y0,
        0.0,
        k,
        event=lambda t, y, k: y[0] - 0.5,
        t_end=5.0,
        gradient=gradient,
        **options,
    )[0]
    assert not warned(lambda: grad(when)(2.0))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_what_is_drawn_may_be_an_argument(gradient):
    draws = np.random.default_rng(0).normal(size=2)
    loss = lambda k: odeint(
        lambda t, y, k, draws: -k * y * (1 + 0.3 * draws), Y0, [0, 1.0], k, draws, gradient=gradient
    )[-1, 0]
    assert not warned(lambda: grad(loss)(1.0))
