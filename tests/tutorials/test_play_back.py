"""The scene of two rates: what it says of the way back, and of four ways to a gradient."""

import numpy as np
import pytest
from play import back
from play.controls import Point, Slider
from test_play import control, drag, keys

from tinyode import grad, odeint, solve

TIGHT = {"rtol": 1e-12, "atol": 1e-13, "method": "dop853"}
ADJOINT, DISCRETE, INTERPOLATED, FORWARD = range(4)


@pytest.fixture
def stage(opened):
    """Return the scene, drawn."""
    figure = opened("back")
    figure.canvas.draw()
    return figure


def lost(seen):
    """Return by how much z(0) is off after the way back."""
    return seen.back[seen.back[:, 0] == 0, 3].item()


@pytest.mark.parametrize("rates", [(0.25, 6.25), (1.0, 5.0), (4.0, 4.25)])
def test_the_exact_solution_and_its_gradient(rates):
    theta, t = np.array(rates), np.linspace(0, back.END, 7)
    assert np.allclose(back.exact(theta, t), solve(back.f, back.START, t, theta, **TIGHT).y)
    ends = t[[0, -1]]
    loss = lambda theta: np.sum(
        odeint(back.f, back.START, ends, theta, gradient="forward", **TIGHT)[-1]
    )
    assert np.allclose(grad(lambda p: np.sum(back.exact(p, back.END)))(theta), grad(loss)(theta))


@pytest.mark.parametrize("rates", [(0.25, 4.0), (1.0, 4.0), (4.0, 2.0)])
@pytest.mark.parametrize("digits", [4.0, 6.0])
def test_an_error_grows_on_the_way_back_like_exp_k2(rates, digits):
    seen = back.compute(back.State(*rates, digits))
    late = seen.back[seen.back[:, 0] < 1.5]
    slope = np.polyfit(late[:, 0], np.log(late[:, 3]), 1)[0]
    assert slope == pytest.approx(-seen.k2, rel=0.05)
    assert 0.2 < lost(seen) / seen.back[seen.back[:, 0] == 0, 4].item() < 5
    assert (seen.back[0, 1:4] == seen.ahead[-1, 1:4]).all()  # it begins where the way ahead ends


@pytest.mark.parametrize("digits", [4.0, 5.0, 6.0])
def test_the_adjoint_has_five_digits_fewer_than_the_solution(digits):
    """As chapter 10 says of these rates; the others have about as many as the solution."""
    seen = back.compute(back.State(digits=digits))
    assert seen.k2 == 5 and seen.said[ADJOINT].startswith("warns: ")
    fewer = np.log10(seen.errors / seen.ahead[-1, 3])
    assert 4.5 < fewer[ADJOINT] < 6 and fewer[1:].max() < 1.5


def test_where_both_rates_are_nearly_one_few_digits_are_lost():
    """The adjoint shrinks on the way back as fast as the error of z grows."""
    one, two = [back.compute(back.State(k1, 4.25 - k1)) for k1 in (4.0, 0.25)]
    assert one.k2 == two.k2 and lost(one) > 1 and lost(two) > 1
    assert one.errors[ADJOINT] < 1e-2 * two.errors[ADJOINT]


def test_a_gradient_is_the_library_s(recwarn):
    state = back.State(2.0, 1.0, 5.0, kept=1.3)
    theta = np.array([2.0, 3.0])
    right = grad(lambda theta: np.sum(back.exact(theta, back.END)))(theta)
    for way, error in zip(back.WAYS, back.compute(state).errors):
        options = {"rtol": 1e-5, "atol": 1e-7, "method": "dop853", "gradient": way}
        loss = lambda p, o=options: np.sum(odeint(back.f, back.START, [0, 1.3, 3.0], p, **o)[-1])
        off = np.linalg.norm(grad(loss)(theta) - right) / np.linalg.norm(right)
        assert error == pytest.approx(off, rel=1e-3), way
    assert not recwarn


def test_the_way_back_begins_anew_where_the_point_is_dragged(stage):
    before = stage.seen
    point = control(stage, Point)
    drag(stage, point.pixels() - (5, 5), stage.panels["state"].transData.transform((1.5, 0.0)))
    assert stage.state.kept == pytest.approx(1.5, abs=0.01)
    kept, t = stage.state.kept, stage.seen.ahead[:, 0]
    of_point = stage.seen.ahead[t == kept, 3].item()
    assert lost(stage.seen) == pytest.approx(of_point * np.exp(5 * kept), rel=0.2)
    assert lost(stage.seen) < 0.1 * lost(before)
    assert stage.seen.errors[ADJOINT] < 0.1 * before.errors[ADJOINT]
    assert (stage.seen.errors[[DISCRETE, FORWARD]] == before.errors[[DISCRETE, FORWARD]]).all()
    assert point.line.get_ydata()[0] == stage.seen.ahead[t == kept, 1].item()
    dashed = [one for one in stage.panels["state"].lines if one.get_linestyle() == "--"]
    times, z1 = dashed[0].get_data()  # in two pieces
    assert np.isnan(z1).sum() == 2 and (times == kept).sum() == 2
    drag(stage, point.pixels(), (5000, 300))  # out of the window: nothing is kept but the end
    assert stage.state.kept == back.END and lost(stage.seen) == pytest.approx(lost(before))


def test_four_bars_show_the_errors_and_a_cross_the_warning(stage):
    for digits, apart, number in ((4.0, 4.0, "9e-02"), (3.0, 6.0, "none")):
        stage.change(digits=digits, apart=apart)
        bars, seen = stage.panels["ways"].lines, stage.seen
        assert [bar.get_marker() for bar in bars] == ["X", "o", "o", "o"]
        ends = [bar.get_xdata()[1] for bar in bars]
        assert ends[1:] == list(seen.errors[1:]) and ends[0] == np.fmin(seen.errors[0], 1e3)
        texts = [text.get_text() for text in stage.panels["ways"].texts]
        assert number in texts and f"{seen.errors[2]:.0e}" in texts and "interpolated" in texts


def test_the_words_are_the_library_s(stage):
    (words,) = stage.panels["words"].texts
    assert words.get_text() == "adjoint warns: dL/dtheta may be off by a tenth of itself"
    stage.controls[2].take(17)
    stage.controls[3].take(0)
    assert words.get_text() == "adjoint gives up: the gradient would be that of another solution"
    assert np.isnan(stage.seen.errors[0])
    stage.controls[2].take(3)
    assert words.get_text() == "no way warns" and stage.seen.said == ("", "", "", "")


def test_a_slider_for_a_rate_leaves_the_other_larger(stage):
    slider = control(stage, Slider)
    left, bottom, width, height = slider.axes.bbox.bounds
    drag(stage, (left + 0.1 * width, bottom + height / 2), (left + width, bottom + height / 2))
    assert stage.state.k1 == 2.5 and stage.seen.k2 == 6.5
    title = stage.panels["error"].get_title("left")
    assert title == f"k2 = 6.50; z(3): off by {stage.seen.ahead[-1, 3]:.2g}"
    keys(stage, "r")
    assert stage.panels["error"].get_title("left").startswith("k2 = 5.00")
    assert stage.panels["state"].get_title("left") == f"z(0) back: off by {lost(stage.seen):.2g}"
