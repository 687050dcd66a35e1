"""The formulas of step-size control are the same for one system and for a batch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode.solvers.options import Options
from tinyode.solvers.step_size import (
    ARRAYS,
    FLOATS,
    GROW,
    RATE,
    SHRINK,
    Controller,
    corrected,
    error_norm,
    guess_first_step,
    is_lost,
    quadrature_norm,
    rms,
)
from tinyode.solvers.tableaus import TABLEAUS, find

ADAPTIVE = [tableau.name for tableau in TABLEAUS.values() if tableau.e is not None]
EXPLICIT = [name for name in ADAPTIVE if not find(name).implicit]
errors = st.floats(0, 1e6) | st.sampled_from([0.0, 1.0, math.inf])


def in_turn(control, error, size):
    """Take a step's error as the loop of one system does."""
    if error <= 1:
        return control.after_accepted(size, error)
    return control.after_rejected(size, error)


@pytest.mark.parametrize("method", EXPLICIT)
@given(history=st.lists(errors, min_size=1, max_size=8))
def test_a_controller_of_arrays_is_one_of_floats_for_each_element(method, history):
    """Whatever went before: the formulas keep nothing but what they are given."""
    options = Options(method, max_step=5.0, min_step=1e-3)
    one, many = Controller(find(method), options), Controller(find(method), options, ARRAYS)
    size = 0.1
    for error in history:
        many.previous_error = np.full(3, one.previous_error)
        many.most_growth = np.full(3, one.most_growth)
        sizes = in_turn_of_arrays(many, np.full(3, error), np.full(3, size), error <= 1)
        size = in_turn(one, error, size)
        np.testing.assert_allclose(sizes, size, rtol=1e-14)
        np.testing.assert_array_equal(many.previous_error, one.previous_error)
        np.testing.assert_array_equal(many.most_growth, one.most_growth)


def in_turn_of_arrays(control, error, size, accepted):
    return (control.after_accepted if accepted else control.after_rejected)(size, error)


@pytest.mark.parametrize("method", ADAPTIVE)
@given(error=errors, before=st.floats(1e-6, 1.0))
def test_a_step_grows_and_shrinks_within_bounds(method, error, before):
    control = Controller(find(method), Options(method))
    control.after_accepted(1.0, before)
    size = in_turn(control, error, 1.0)
    assert SHRINK <= size <= GROW
    if error > 1:
        assert size < 1 and in_turn(control, 1e-9, 1.0) <= 1  # no growth after a rejection


@pytest.mark.parametrize("method", [name for name in ADAPTIVE if find(name).implicit])
def test_the_size_of_an_implicit_step_follows_gustafsson(method):
    """HW, equation IV.8.25; a step hardly grows, and none grows where Newton's method is slow."""
    tableau = find(method)
    control, q = Controller(tableau, Options(method)), tableau.error_order + 1
    control.after_accepted(1.0, 0.3)
    plain = 0.8 * 0.4 ** (-1 / q)
    predicted = plain * 0.5 * (0.3 / 0.4) ** (1 / q)
    assert control.after_accepted(0.5, 0.4) == pytest.approx(0.5 * min(plain, predicted))
    assert control.after_accepted(1.0, 1e-3) == 1.0 * min(GROW, 0.8 * 1e-3 ** (-1 / q))
    assert control.after_accepted(1.0, 1e-3, rate=0.3) == pytest.approx(RATE / 0.3)
    for error in (0.1, 0.2, 0.3, 0.4):  # between 1 and 1.2 times the step stays
        control = Controller(tableau, Options(method))
        factor = 0.8 * error ** (-1 / q)
        assert control.after_accepted(1.0, error) == (1.0 if 1 <= factor <= 1.2 else factor)


@pytest.mark.parametrize("method", EXPLICIT)
def test_the_size_follows_the_formula(method):
    tableau = find(method)
    control, q = Controller(tableau, Options(method)), tableau.error_order + 1
    beta = 0.0 if tableau.e3 is not None else 0.2 / q
    control.after_accepted(1.0, 0.3)
    expected = 0.9 * 0.02 ** (-(1 / q - 0.75 * beta)) * 0.3**beta
    assert control.after_accepted(2.0, 0.02) == pytest.approx(2 * expected)


@given(error=st.floats(0, 1e300), second=st.floats(0, 1e300))
def test_two_estimates_are_combined_alike(error, second):
    once = corrected(error, second, FLOATS)
    both = corrected(np.array([error, 1.0]), np.array([second, 0.0]), ARRAYS)
    np.testing.assert_allclose(both, [once, 1.0], rtol=1e-14)
    assert once <= error
    if 0 < error < 1e100 and 1e-100 < error and second < 1e100:
        assert once == pytest.approx(error**2 / math.sqrt(error**2 + 0.01 * second**2))


@given(size=st.floats(1e-9, 3.0), ratio=st.floats(0.98, 1.04))
def test_the_last_step_is_stretched_alike(size, ratio):
    options, left = Options(max_step=3.0), size * ratio
    one = Controller(find("dopri5"), options).is_last(size, left)
    many = Controller(find("dopri5"), options, ARRAYS).is_last(np.array([size]), np.array([left]))
    assert [one] == many.tolist() == [min(1.01 * size, 3.0 * (1 + 1e-9)) >= left]
    assert is_lost(size, left) == is_lost(np.array([size]), np.array([left]))[0]


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), st.floats(1e-8, 1e-2))
def test_norms_of_rows_are_norms_of_vectors(values, rtol):
    y = np.array(values)
    rows = np.stack([y, 2 * y, 1e200 * y])
    with np.errstate(over="ignore"):
        means, alone = rms(rows), [rms(row) for row in rows]
    np.testing.assert_allclose(means, alone, rtol=1e-14)
    norms = error_norm(rows, rows, 3 * rows, rtol, 1e-6)  # of relative errors
    np.testing.assert_allclose(norms, [error_norm(y, y, 3 * y, rtol, 1e-6) for y in rows])


def test_the_least_of_many_tolerances_counts_for_quadratures():
    q = np.array([1.0, 2.0])
    many = quadrature_norm(q, q, q, q, 1.0, np.array([1e-3, 1e-5]), np.array([1.0, 1e-7]))
    assert many == quadrature_norm(q, q, q, q, 1.0, 1e-5, 1e-7)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=2), st.floats(-3, 3), st.booleans())
def test_first_steps_of_a_batch_are_those_of_each_system(values, t, backwards):
    def f(t, y):
        return np.cos(y) - np.reshape(t, (-1, 1) if np.ndim(t) else ()) * y

    Y, span = np.array([values, [1.0, 2.0]]), -2.0 if backwards else 2.0
    times, spans = np.array([t, 0.5]), np.array([span, 1.0])

    def norm_at(y):
        return lambda x: error_norm(x, y, y, 1e-6, 1e-9)

    sizes = guess_first_step(f, times, Y, f(times, Y), 4, norm_at(Y), spans)
    for time, y, length, size in zip(times, Y, spans, sizes):
        alone = guess_first_step(f, time, y, f(time, y), 4, norm_at(y), length)
        np.testing.assert_allclose(alone, size, rtol=1e-12)
        assert 0 < size <= abs(length)


def test_quadratures_are_compared_with_what_they_will_be():
    e, q0, q1, rate = [np.array([x, x]) for x in (0.1, 1.0, 2.0, 5.0)]
    assert quadrature_norm(e, q0, q1, rate, 3.0, 0.01, 0.5) == pytest.approx(0.1 / (0.5 + 0.15))
    assert quadrature_norm(e, q0, q1, rate, 0.1, 0.01, 0.5) == pytest.approx(0.1 / (0.5 + 0.02))
    assert quadrature_norm(e, q1, q0, rate, 0.1, 0.01, 0.5) == pytest.approx(0.1 / (0.5 + 0.02))


@pytest.mark.parametrize(
    ("size", "slope", "expected"),
    [
        (1.0, 1.0, 0.01 ** (1 / 5)),  # h1: the slope does not change, so max(d1, d2) is d1
        (0.01, 1.0, 100 * 0.01 * 0.01),  # 100 h0: y is so small
        (1.0, 1e-20, 1e-6),  # nothing moves
        (1.0, 0.01, 10.0),  # the whole interval
    ],
)
def test_the_first_step_is_that_of_the_book(size, slope, expected):
    """HNW II.4: h0 = 0.01 d0 / d1, h1 = (0.01 / max(d1, d2))^(1/(p + 1)), h = min(100 h0, h1)."""
    k, span = np.array([slope]), 0.99 if slope == 0.01 else 10.0
    h = guess_first_step(lambda t, y: k, 0.0, np.array([size]), k, 4, rms, span)
    assert h == pytest.approx(min(expected, span))


@pytest.mark.parametrize("t", [1.0, -3.7, 1e9])
def test_a_step_of_a_few_roundings_is_lost(t):
    assert is_lost(4 * math.ulp(t), t) and not is_lost(5 * math.ulp(t), t)
