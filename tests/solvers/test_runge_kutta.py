"""`Stepper`, which works in place, computes what `rk_step` says in ten lines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode.solvers.options import Options, Stats
from tinyode.solvers.runge_kutta import Stepper, rk_step
from tinyode.solvers.solve import steps
from tinyode.solvers.tableaus import TABLEAUS

EXPLICIT = [tableau for tableau in TABLEAUS.values() if not tableau.implicit]
NAMES = [tableau.name for tableau in EXPLICIT]
Y = np.array([1.0, -0.5, 0.3])


def pendulum(t, y):
    """Two coupled components, and a third which is a quadrature."""
    return np.array([y[1], -np.sin(y[0]) + np.cos(t), y[0] * y[1] - t])


def stepper_of(tableau, y, coupled):
    def field(t, y, k):
        k[:] = pendulum(t, y)

    return Stepper(field, tableau, y, coupled, Stats())


@pytest.mark.parametrize("tableau", EXPLICIT, ids=NAMES)
@pytest.mark.parametrize("coupled", [2, 3])
@given(t=st.floats(-5, 5), h=st.floats(0.001, 0.5), sign=st.sampled_from([-1.0, 1.0]))
def test_one_step_in_place_is_rk_step(tableau, coupled, t, h, sign):
    h *= sign
    y1, K, error = rk_step(pendulum, tableau, t, Y, h)
    stepper = stepper_of(tableau, Y, coupled)
    stepper.start(t, Y)
    close = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(stepper.step(t, t + h, Y, h), y1, **close)
    np.testing.assert_allclose(stepper.K, K, **close)
    if error is not None:
        np.testing.assert_allclose(stepper.error(), error, **close)
    assert stepper.stats.nfev == tableau.stages


@pytest.mark.parametrize("tableau", EXPLICIT, ids=NAMES)
def test_stages_at_the_end_are_at_the_end_itself(tableau):
    """And not at t + h, which may round to a time after it."""
    times, t, h = [], 0.1, 0.2
    stepper = Stepper(lambda t, y, k: times.append(t), tableau, Y, 3, Stats())
    stepper.start(t, Y)
    stepper.step(t, 0.3, Y, h)
    assert t + h > 0.3 and max(times) <= 0.3
    assert times.count(0.3) == np.count_nonzero(tableau.c == 1.0)


@pytest.mark.parametrize("tableau", EXPLICIT, ids=NAMES)
@pytest.mark.parametrize("coupled", [2, 3])
def test_steps_one_after_the_other_are_rk_steps(tableau, coupled):
    """The first stage that is kept from the step before is f there."""
    stepper, t, y = stepper_of(tableau, Y, coupled), 0.2, Y
    stepper.start(t, y)
    for h in (0.1, 0.05, 0.2, 0.2):
        y1, K, _ = rk_step(pendulum, tableau, t, y, h)
        in_place = stepper.step(t, t + h, y, h)
        np.testing.assert_allclose(in_place, y1, rtol=1e-12)
        np.testing.assert_allclose(stepper.K, K, rtol=1e-12, atol=1e-13)
        t, y = t + h, in_place
        stepper.advance(t, y)


@pytest.mark.parametrize("tableau", EXPLICIT, ids=NAMES)
def test_a_solve_takes_rk_steps(tableau):
    def field(t, y, k):
        k[:] = pendulum(t, y)

    options = Options(tableau.name, step_size=None if tableau.e is not None else 0.1)
    for step in steps(field, Y, [0.0, 1.0], options, Stats()):
        y1, K, _ = rk_step(pendulum, tableau, step.t, step.y, step.h)
        np.testing.assert_allclose(step.y1, y1, rtol=1e-12)
        np.testing.assert_allclose(step.K, K, rtol=1e-11, atol=1e-13)
