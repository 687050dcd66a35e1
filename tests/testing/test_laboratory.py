"""The laboratory of wrong adjoints: each mistake shows somewhere, and no name tells which it is."""

import pickle
import re

import numpy as np
import pytest

import tinyode
from tinyode.testing import central_difference, check_your_test
from tinyode.testing.adjoints import with_mistake
from tinyode.testing.laboratory import (
    BOXES,
    CATALOGUE,
    check_diagnosis,
    differences,
    experiment,
    gradients,
)
from tinyode.testing.laboratory.boxes import _INSIDE, LEVELS
from tinyode.testing.laboratory.experiments import RIGHT, apart, in_order, telling

RICH = [
    experiment(components=2, times=4, driven=True, observed=range(4), decreasing=decreasing)
    for decreasing in (False, True)
]


@pytest.fixture(scope="module")
def found():
    """Return the gradients of each mistake, {number: a dict for each rich experiment}."""
    return {
        number: [gradients(with_mistake(mistake.change), e) for e in RICH]
        for number, mistake in CATALOGUE.items()
    }


def test_the_right_adjoint_is_right_in_all_experiments():
    for words, e in in_order():
        assert apart(gradients(RIGHT, e), differences(RIGHT, e)) == [], words


def test_a_state_that_is_a_number_and_an_argument_that_is_one():
    f = lambda t, y, k: -k * y
    end = lambda k: RIGHT(f, np.array(2.0), np.array([0.0, 0.5, 1.0]), k)[-1]
    np.testing.assert_allclose(tinyode.grad(end)(0.7), -2 * np.exp(-0.7), rtol=1e-6)


def test_every_mistake_shows_and_is_told_from_every_other(found):
    right = [gradients(RIGHT, e) for e in RICH]
    for number, of_one in found.items():
        assert any(map(apart, of_one, right)), CATALOGUE[number].what
        for other, of_other in found.items():
            assert number == other or any(map(apart, of_one, of_other)), (number, other)
    assert len({mistake.what for mistake in CATALOGUE.values()}) == len(CATALOGUE)


def test_a_box_does_not_tell_what_is_in_it(found):
    assert len(BOXES) == sum(map(len, LEVELS)) >= 14
    for letter, box in BOXES.items():
        assert repr(box) == f"<black box {letter}>" and vars(box) == {"letter": letter}
        again = pickle.loads(pickle.dumps(box))
        assert apart(gradients(again, RICH[0]), found[_INSIDE[letter]][0]) == []
    inside = [CATALOGUE[number].what for number in _INSIDE.values()]
    assert sorted(inside) == sorted(sum(LEVELS, ())) and inside != list(sum(LEVELS, ()))


def test_a_right_diagnosis_passes(found):
    right = [gradients(RIGHT, e) for e in RICH]
    names = {n: " ".join(apart(of_one[0], right[0])) for n, of_one in found.items()}
    check_diagnosis({letter: (names[number], number) for letter, number in _INSIDE.items()})
    assert "" in [names[number] for number in _INSIDE.values()]  # one shows only backwards in time


def test_a_wrong_diagnosis_names_the_experiment_that_tells():
    letter = next(x for x, n in _INSIDE.items() if CATALOGUE[n].what == "df/dz is not transposed")
    other = 10
    assert CATALOGUE[other].what == "f is taken at -t in the backward solve"
    with pytest.raises(AssertionError, match=r"you say that dL/dt is right. .* difference from"):
        check_diagnosis({letter: ("z0 A b", _INSIDE[letter])})
    with pytest.raises(AssertionError) as error:
        check_diagnosis({letter: ("t z0 A b", other)})
    words = f"box {letter}: it is not mistake 10, 'f is taken at -t in the backward solve'"
    assert str(error.value).startswith(words)
    (where,) = re.findall("An experiment tells it: (.*?)\\. There", str(error.value))
    assert where in ("two components", "an f that depends on t")
    assert "not transposed" not in str(error.value)


@pytest.mark.parametrize(
    "answer", [None, ("A", ...), ("A q", 1), (["A"], 1), ("A", 99), ("A",), "A 1", 3]
)
def test_an_answer_of_another_form_is_refused(answer):
    with pytest.raises(AssertionError, match=r'it should be like \("A b", 9\)'):
        check_diagnosis({"A": answer})
    with pytest.raises(AssertionError, match="there is no box 'Z'; the boxes are A, B"):
        check_diagnosis({"Z": ("A", 1)})


def holding(names, *experiments):
    """Return a test of some gradients on some experiments, along one direction."""

    def test(odeint):
        for e in experiments:
            rng, primals = np.random.default_rng(0), (e.z0, e.A, e.b, e.t)
            v = [rng.normal(size=x.shape) for x in primals]
            v = [x * (name in names) for x, name in zip(v, ("z0", "A", "b", "t"))]
            loss = lambda *x, e=e: np.sum(e.w * odeint(e.f, x[0], x[3], x[1], x[2]))
            by_gradients = sum(np.sum(g * x) for g, x in zip(gradients(odeint, e).values(), v))
            by_values = central_difference(loss, primals, tuple(v), h=1e-3)
            assert abs(by_gradients - by_values) < 1e-4

    return test


def test_a_good_test_finds_all():
    check_your_test(holding(("z0", "A", "b", "t"), RICH[1]))


def test_a_test_that_misses_some_is_told_where_they_show():
    everything_but = {
        "decreasing times": RICH[0],
        "two components": experiment(
            components=1, times=4, driven=True, observed=range(4), decreasing=True
        ),
        "an f that depends on t": experiment(
            components=2, times=4, observed=range(4), decreasing=True
        ),
    }
    for words, e in everything_but.items():
        with pytest.raises(AssertionError, match=r"your test finds 3. of 40 mistakes") as error:
            check_your_test(holding(("z0", "A", "b", "t"), e))
        lines = str(error.value).splitlines()[1:]
        assert lines and all(line.endswith(f"with: {words}") for line in lines)
    with pytest.raises(AssertionError) as error:
        check_your_test(holding(("z0", "A", "b"), RICH[1]))
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 8 and all("It shows in dL/dt, by" in line for line in lines)


def test_a_test_that_finds_nothing_and_one_that_finds_too_much():
    with pytest.raises(AssertionError, match=r"finds 0 of 40 mistakes.*\n(.*\n)*- and 28 more"):
        check_your_test(lambda odeint: None)

    def strict(odeint):
        assert gradients(odeint, RICH[0])["b"][0] == 0.25, "not a quarter"

    with pytest.raises(AssertionError, match=r"must let what is right pass, .*: not a quarter"):
        check_your_test(strict)
    with pytest.raises(AssertionError, match=r"your test returns True; what it returns is not"):
        check_your_test(lambda odeint: True)
    with pytest.raises(AssertionError, match=r"\(Algorithm 2\): ZeroDivisionError: division"):
        check_your_test(lambda odeint: print(1 / 0))
    with pytest.raises(TypeError, match="test must be a function test"):
        check_your_test(0.5)


def test_two_functions_that_are_the_same_are_not_told_apart():
    with pytest.raises(ValueError, match="no experiment tells these two functions apart"):
        telling(RIGHT, RIGHT)
