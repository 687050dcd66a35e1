"""Black boxes: functions like `tinyode.odeint`, each with one mistake, which no name tells."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..adjoints import with_mistake
from .experiments import CATALOGUE, RIGHT, apart, experiment, gradients, telling

NAMES = ("z0", "A", "b", "t")
SEED = 1962  # the year of the book of Pontryagin and others
LEVELS = (  # the mistakes that are put into boxes, by what an experiment needs to show them
    (
        "the adjoint equation has the wrong sign",
        "dL/dA and dL/db have the wrong sign",
        "a stands still in the integrals for dL/dA and dL/db",
        "the last observation counts twice",
        "dL/dt0 has the wrong sign",
    ),
    (
        "df/dz is not transposed",
        "time stands still in the backward solve",
        "the observations between the first and the last are lost",
        "the observation at t0 is lost",
        "dL/dz(ti) is subtracted from a",
        "only the last interval is counted",
        "dL/dti is a . f(ti, z(ti)), with all of a",
    ),
    (
        "z stands still in the backward solve",
        "every backward solve starts with z at the last time",
        "dL/dz(t(i-1)) is added before the solve from ti to t(i-1)",
        "dL/dz(ti) takes the place of a",
        "dL/dt0 takes a after dL/dz(t0) is added",
        "dL/dt0 lacks the integral of a . df/dt",
        "the backward solve goes to earlier times also where the times decrease",
    ),
)


def everything():
    """Return an experiment with all switches on."""
    return experiment(components=2, times=4, driven=True, observed=range(4))


def _shuffled() -> Iterator[int]:
    """Yield the numbers of the mistakes in the boxes, level after level, shuffled in each."""
    rng = np.random.default_rng(SEED)
    numbers = {mistake.what: number for number, mistake in CATALOGUE.items()}
    for whats in LEVELS:
        yield from [numbers[whats[i]] for i in rng.permutation(len(whats))]


_INSIDE = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _shuffled()))


class Box:
    """A function ``odeint(f, y0, t, *args)`` with right values, and a mistake in its gradients."""

    def __init__(self, letter: str):
        self.letter = letter

    def __call__(self, f: Callable[..., Any], y0: Any, t: Any, *args: Any) -> Any:
        """Return the values y(t_i), which can be differentiated."""
        return with_mistake(CATALOGUE[_INSIDE[self.letter]].change)(f, y0, t, *args)

    def __repr__(self) -> str:
        return f"<black box {self.letter}>"


BOXES = {letter: Box(letter) for letter in _INSIDE}


def check_diagnosis(answers: dict[str, Any]) -> None:
    """Check what somebody has found out about black boxes.

    Parameters
    ----------
    answers : dict
        For each letter, which gradients are wrong with everything switched on, a string of names
        such as ``"A b"``, and the number of the mistake in `CATALOGUE`.

    Raises
    ------
    AssertionError
        For the first answer that is not right. It does not say what is right, but which experiment
        shows that the answer is not.
    """
    for letter, answer in answers.items():
        if letter not in BOXES:
            raise AssertionError(f"there is no box {letter!r}; the boxes are {', '.join(BOXES)}")
        names, number = _parts(letter, answer)
        _check_names(letter, names)
        _check_number(letter, number)


def _parts(letter, answer):
    """Return the names and the number of an answer."""
    try:
        names, number = answer
        if isinstance(names, str) and set(names.split()) <= set(NAMES) and number in CATALOGUE:
            return names.split(), number
    except (TypeError, ValueError):
        pass
    raise AssertionError(
        f'box {letter}: the answer is {answer!r}; it should be like ("A b", 9): the names of the'
        f" gradients that are wrong, out of {', '.join(NAMES)}, and the number of a mistake, 1 to"
        f" {len(CATALOGUE)}"
    )


def _check_names(letter, names):
    """Raise AssertionError if these are not the gradients that are wrong."""
    e = everything()
    found, right = gradients(BOXES[letter], e), gradients(RIGHT, e)
    wrong = apart(found, right)
    for name in NAMES:
        if (name in wrong) != (name in names):
            said = "right" if name in wrong else "wrong"
            off = np.max(np.abs(found[name] - right[name]))
            raise AssertionError(
                f"box {letter}: you say that dL/d{name} is {said}. With everything switched on, its"
                f" largest difference from finite differences is {off:.2g}"
            )


def _check_number(letter, number):
    """Raise AssertionError if a box does not have this mistake."""
    if number == _INSIDE[letter]:
        return
    mistake = CATALOGUE[number]
    words, name, made, found = telling(with_mistake(mistake.change), BOXES[letter])
    raise AssertionError(
        f"box {letter}: it is not mistake {number}, {mistake.what!r}. An experiment tells it:"
        f" {words}. There mistake {number} gives dL/d{name} = {_shown(made)}, and box {letter}"
        f" gives {_shown(found)}"
    )


def _shown(x):
    return np.array2string(np.asarray(x), precision=4, separator=", ").replace("\n", "")
