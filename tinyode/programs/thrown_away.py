"""A warning about compiled functions that are made, used a few times and thrown away.

    def loss(theta):
        return np.sum(odeint(compiled(f), y0, t, theta))

Each call of this loss makes a compiled function, which records f anew. That takes more time than
the program saves. So all compiled functions whose f has the same code are counted. If many of them
have been thrown away, and recording took a good part of the time, a warning says so, once.
"""

import dataclasses
import functools
import inspect
import linecache
import warnings
import weakref
from time import perf_counter
from typing import Any

THROWN_AWAY = 50  # so many are too many: to record them takes 0.1 s or more
# Such a share of the time is too much. Recording took a tenth of it or more where each call of a
# loss made a compiled function, and a hundredth where each of many fits of 20 steps did.
TOO_MUCH = 0.05


@dataclasses.dataclass
class Count:
    """The compiled functions of one code that had the same first program."""

    source: list[str]  # of the program
    since: float  # the time when counting began
    made: int = 0
    seconds: float = 0.0  # that it took to record them
    alive: weakref.WeakSet[Any] = dataclasses.field(default_factory=weakref.WeakSet)
    reported: bool = False


counts: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # by the code of f


def count(made: Any, value: Any, began: float) -> None:
    """Count a compiled function, by its first program and the time when its recording began.

    Warn if too many like it have been thrown away.
    """
    code = code_of(made.f)
    if code is None:
        return
    source = linecache.getlines(value.__code__.co_filename)
    if code not in counts or counts[code].source != source:
        counts[code] = Count(source, began)
    found, now = counts[code], perf_counter()
    found.made += 1
    found.alive.add(made)
    found.seconds += now - began
    if found.reported or found.made - len(found.alive) < THROWN_AWAY:
        return
    share = found.seconds / (now - found.since)
    found.made, found.since, found.seconds = len(found.alive), now, 0.0
    if share >= TOO_MUCH:
        found.reported = True
        message = (
            f"compiled: {code.co_name} has been recorded {THROWN_AWAY} times, always the "
            "same, by compiled functions that were thrown away. The recordings "
            f"took {share:.0%} of the time since then; make compiled(f) once, outside the "
            "loss, and pass what changes as arguments"
        )
        warnings.warn_explicit(message, RuntimeWarning, code.co_filename, code.co_firstlineno)


def spend(made: Any, began: float) -> None:
    """Add the time of a later recording of a function that has been counted."""
    code = code_of(made.f)
    if code in counts:
        counts[code].seconds += perf_counter() - began


def code_of(f):
    """Return the code that a user has written for f; None if it is not to be found."""
    while isinstance(f, functools.partial):
        f = f.func
    f = inspect.unwrap(f)
    return getattr(f if hasattr(f, "__code__") else type(f).__call__, "__code__", None)
