"""Which line of a user's code an error is about; and the refusals that NumPy hides behind a sentence of its own.

Where an array of plain numbers asks a traced array for its number, as ``dy[0] = y[1]`` and ``np.asarray(y, float)`` do, the traced
array refuses, and NumPy raises "setting an array element with a sequence." in place of what was said. `vjp` calls f, so there it is
said again: last, where people read, with the line of f.
"""

import linecache
import os
import traceback

import numpy as np

from .operators import Refusal

OWN = tuple([os.path.dirname(os.path.abspath(path)) + os.sep for path in (os.path.dirname(__file__), np.__file__)])
BY_NUMPY = ("puts a traced value into an array of plain numbers, and its gradient would be lost (NumPy: {}). Do not fill an "
            "array, make one of the values: np.array([y[1], -y[0]]) instead of dy = np.zeros(2); dy[0] = y[1], or np.stack([...]), "
            "np.concatenate([...]); and leave out dtype=float, np.asarray(x, float) and np.float64(x)")


def is_ours(frame):
    """Whether a frame is of tinyode or NumPy, and not of code that calls them."""
    return os.path.abspath(frame.f_code.co_filename).startswith(OWN)


def origin(error):
    """Return the frame that has raised an error."""
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]


def place(name, line):
    """Write a line of a file for a message."""
    code = linecache.getline(name, line).strip()
    return f"{os.path.basename(name)}, line {line}" + (f", `{code}`" if code else "")


def line_of(error):
    """Return the last line of a user's code that an error has come through, as `place` writes it."""
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__) if not is_ours(frame)]
    return place(*lines[-1]) if lines else "a function of NumPy"


def say_line(error, more=""):
    """Raise the error of a traced array that was asked for its plain number as one that names the line of f; return for all others.

    Such an error is a `Refusal`, for which there may be ``more`` to say, or one of NumPy's, raised while it held a Refusal. The
    traceback of that ends where it begins, in the engine: had code of f caught it, to raise an error of its own, f would be in it.
    """
    hidden = error.__cause__ or error.__context__
    if isinstance(error, Refusal):
        raise TypeError(f"{line_of(error)}: {error}{more}") from error
    within_numpy = isinstance(hidden, Refusal) and len(list(traceback.walk_tb(hidden.__traceback__))) == 1
    if within_numpy and origin(error).f_code is not say_line.__code__:
        raise ValueError(f"{line_of(error)}: {BY_NUMPY.format(str(error).rstrip('.'))}") from hidden
