"""The scene difference: what it draws is what chapter 3 says of the error's V."""

import numpy as np
import pytest
from play import difference
from play.controls import Choice, Point, Slider
from test_play import control, drag, keys

from tinyode import grad

KINDS = {"forward": 2, "central": 3}  # and the root of the rounding unit that chapter 3 names


@pytest.fixture
def stage(opened):
    """Return the scene, drawn."""
    figure = opened("difference")
    figure.canvas.draw()
    return figure


def drawn(stage, name):
    """Return the steps and the values of a line on the panel of the error."""
    stage.canvas.draw()
    lines = stage.panels["error"].lines
    if name == "error":  # it has no name in the legend: the panel's label names it
        return next(one for one in lines if len(one.get_xdata()) == 129).get_data()
    return next(one for one in lines if one.get_label() == name).get_data()


def usual(steps, errors, h):
    """Return the usual error with a step near h."""
    return np.median(errors[np.abs(np.log10(steps / h)) < 0.6])


@pytest.mark.parametrize(("kind", "root"), KINDS.items())
def test_the_v_is_lowest_near_the_root_of_the_rounding_unit(stage, kind, root):
    """The square root for the forward difference, the cube root for the central one."""
    stage.change(kind=kind)
    steps, errors = drawn(stage, "error")
    bottom = difference.U ** (1 / root)
    assert 0.1 * bottom < steps[np.argmin(errors)] < 10 * bottom
    for factor in (100, 1 / 100):
        assert usual(steps, errors, bottom) < usual(steps, errors, factor * bottom) / 10
    _, levels = drawn(stage, "reverse mode")
    assert (levels < errors.min() / 1000).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("x", [0.2, 0.35, 0.5, 0.63, 0.7, 0.8])
def test_the_two_parts_are_the_two_arms(stage, kind, x):
    stage.change(kind=kind, x=x)
    steps, errors = drawn(stage, "error")
    truncation, rounding = drawn(stage, "truncation")[1], drawn(stage, "rounding")[1]
    right = (truncation > 100 * rounding) & (steps < 1e-3)
    assert right.sum() > 10
    assert np.allclose(errors[right], truncation[right], rtol=0.05)
    left = rounding > 100 * truncation
    assert left.sum() > 40 and (errors[left] < 3 * rounding[left]).all()
    assert np.median(errors[left] / rounding[left]) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_diamond_stands_where_the_sum_of_the_parts_is_least(stage, kind):
    stage.change(kind=kind)
    stage.canvas.draw()
    (h,), (least,) = next(
        one for one in stage.panels["error"].lines if one.get_marker() == "D"
    ).get_data()
    nearby = h * np.array([0.9, 1.0, 1.1])
    sums = sum(difference.parts(stage.state, nearby))
    assert sums.argmin() == 1 and least == sums[1]


def test_the_secant_goes_through_two_computed_values(stage):
    """And the tangent is the limit of the secant, which rounding keeps it from."""
    for h, near in ((1e-2, 0.1), (1e-4, 1e-3), (1e-6, 1e-5)):
        stage.change(h=h)
        stage.canvas.draw()
        found, tangent, secant = (one.get_data() for one in stage.panels["near"].lines)
        (x1, x2), (y1, y2) = secant
        assert (x1, x2) == (0, 1)
        assert [y1, y2] == pytest.approx([np.interp(x, *found) for x in (x1, x2)], abs=1e-9)
        slope = (tangent[1][1] - tangent[1][0]) / 4
        assert slope == pytest.approx(grad(difference.wave)(0.7), rel=1e-14)
        error = abs((y2 - y1) / slope - 1)
        assert error == pytest.approx(stage.seen.error) and error < near
    stage.change(h=1e-16)
    stage.canvas.draw()
    found = stage.panels["near"].lines[0].get_ydata()
    assert len(np.unique(found)) < 5  # a staircase
    stage.change(h=0.1, kind="central")
    stage.canvas.draw()
    found, _, secant = (one.get_data() for one in stage.panels["near"].lines)
    assert list(secant[0]) == [-1, 1]
    assert secant[1] == pytest.approx([np.interp(x, *found) for x in secant[0]], abs=1e-9)


def test_the_round_point_is_dragged_along_the_v(stage):
    stage.canvas.draw()
    point = control(stage, Point)
    drag(stage, point.pixels(), stage.panels["error"].transData.transform((1.1e-12, 0.1)))
    assert stage.state.h == pytest.approx(1e-12)
    stage.canvas.draw()
    (h,), (error,) = point.line.get_data()
    steps, errors = drawn(stage, "error")
    assert h == stage.state.h and error == errors[steps == h]
    assert "1.0e-12" in stage.panels["error"].get_title(loc="left")
    drag(stage, point.pixels(), (0, 0))  # out of the panel: the smallest step
    assert stage.state.h == difference.STEPS[0]


def test_the_keys_go_through_sixteen_decades(stage):
    stage.canvas.draw()
    slider = control(stage, Slider, 1)
    stage.give_focus(stage.controls.index(slider))
    keys(stage, *["left"] * 8)  # eight steps are a decade
    assert stage.state.h == pytest.approx(0.01)
    assert slider.title.get_text() == "step $h$ = 1.0e-02"
    assert difference.STEPS[-1] / difference.STEPS[0] == pytest.approx(1e16)
    choice = control(stage, Choice)
    stage.give_focus(stage.controls.index(choice))
    keys(stage, "down")
    assert stage.state.kind == "central"
