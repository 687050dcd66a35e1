"""A score for tests of gradients: how many of the wrong adjoints does a test find?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...sensitivity import odeint
from ..adjoints import with_mistake
from .experiments import CATALOGUE, RIGHT, telling

SHOWN = 12  # mistakes that a message lists


def check_your_test(test: Callable[..., Any]) -> None:
    """Hold a test of gradients against the right adjoint, and against each wrong one there is.

    This is mutation testing: a test is good that lets the right program pass and finds every
    mistake that is put into it.

    Parameters
    ----------
    test : function
        ``test(odeint)`` is given a function ``odeint(f, y0, t, *args)`` as
        `tinyode.testing.check_odeint` is. It raises AssertionError if a gradient is wrong.

    Raises
    ------
    AssertionError
        If the test does not let what is right pass. If it misses mistakes: how many, which, and the
        simplest experiment in which each of them shows.
    TypeError
        If the test is not a function.
    """
    if not callable(test):
        raise TypeError(f"check_your_test: test must be a function test(odeint); got {test!r}")
    for words, right in (("Algorithm 2", RIGHT), ("the adjoint of the steps", _discrete)):
        _check_passes(test, words, right)
    missed = [mistake for mistake in CATALOGUE.values() if not _finds(test, mistake)]
    if missed:
        told = "\n".join([_where(mistake) for mistake in missed[:SHOWN]])
        more = len(missed) - SHOWN
        rest = f"\n- and {more} more" if more > 0 else ""
        raise AssertionError(
            f"your test finds {len(CATALOGUE) - len(missed)} of {len(CATALOGUE)} mistakes. It"
            f" misses:\n{told}{rest}"
        )


def _discrete(f, y0, t, *args):
    return odeint(f, y0, t, *args, gradient="discrete", rtol=1e-9, atol=1e-11)


def _check_passes(test, words, right):
    """Raise AssertionError if a test does not let a right function pass."""
    try:
        returned = test(right)
    except Exception as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise AssertionError(
            f"your test must let what is right pass, and does not ({words}): {said}"
        ) from error
    if returned is not None:
        raise AssertionError(
            f"your test returns {returned!r:.60}; what it returns is not looked at. Let it raise an"
            " AssertionError, by `assert`, where a gradient is wrong"
        )


def _finds(test, mistake):
    """Whether a test finds a mistake; an error of another kind is noticed too."""
    try:
        test(with_mistake(mistake.change))
    except Exception:
        return True
    return False


def _where(mistake):
    """Say in which experiment a mistake shows, and how much it is there."""
    words, name, found, right = telling(with_mistake(mistake.change), RIGHT)
    off = np.max(np.abs(found - right))
    return f"- {mistake.what}. It shows in dL/d{name}, by {off:.2g}, with: {words}"
