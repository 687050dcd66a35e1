"""Which line of a user's code an error is about, and the refusals that NumPy hides.

An array of plain numbers asks a traced array for its number in ``dy[0] = y[1]`` and in
``np.asarray(y, float)``. The traced array refuses with an error that says what to write. NumPy
catches it, and raises "setting an array element with a sequence." in its place. People read the
last error of a traceback. So `say_line` raises a new error, which comes last: it gives the line of
f and says what to write.
"""

import linecache
import opcode
import os
import traceback

import numpy as np

from .node import Refusal

HERE = os.path.dirname(__file__)
OWN = tuple([os.path.dirname(os.path.abspath(path)) + os.sep for path in (HERE, np.__file__)])
INSTALLED = tuple([os.path.dirname(path) + os.sep for path in (os.__file__, OWN[1][:-1])])
RAISE = bytes([opcode.opmap["RAISE_VARARGS"]])
BY_NUMPY = (
    "puts a traced value into an array of plain numbers, and its gradient would be lost "
    "(NumPy: {}). Do not fill an array (dy = np.zeros(2); dy[0] = y[1]). Build it from its values: "
    "np.stack([y[1], -y[0]]), or np.array([y[1], -y[0]]) where all are traced. Do not use "
    "dtype=float, np.asarray(x, float) or np.float64(x)"
)
LIBRARY = (
    ", which calls {}, line {} (a library computes with plain numbers; tinyode.custom_vjp gives its"
    " function a derivative)"
)
OF_OBJECTS = "dtype('O')", "not supported for the input types", "which has no callable"  # NumPy's
STACK = (
    "NumPy refuses what it is given ({}). Where that is np.array([...]) of traced values, an array "
    "of objects, write np.stack([...]), which takes constants too"
)


def is_ours(frame):
    """Whether a frame is of tinyode or NumPy, and not of code that calls them."""
    return os.path.abspath(frame.f_code.co_filename).startswith(OWN)


def origin(error):
    """Return the frame that has raised an error."""
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]


def is_raised_by_hand(error):
    """Whether a ``raise`` statement outside tinyode and NumPy has raised an error."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    code, at = trace.tb_frame.f_code.co_code, trace.tb_lasti
    return not is_ours(trace.tb_frame) and code[at : at + 1] == RAISE


def line_of_file(name, line):
    """Write a line of a file, or of a notebook's cell, for a message."""
    code, notebook = linecache.getline(name, line).strip(), f"{os.sep}ipykernel_" in name
    file = "a cell of the notebook" if notebook else os.path.basename(name)
    return f"{file}, line {line}" + (f", `{code}`" if code else "")


def line_of(error):
    """Return the last line of a user's code that an error has passed, as `line_of_file` writes it.

    Where that calls a library, the library is named too.
    """
    frames = traceback.walk_tb(error.__traceback__)
    lines = [(frame.f_code.co_filename, line) for frame, line in frames if not is_ours(frame)]
    own = [line for line in lines if not line[0].startswith(INSTALLED)] or lines
    if not own:
        return "a function of NumPy"
    name, line = lines[-1]
    name = name.rpartition("site-packages" + os.sep)[2]
    return line_of_file(*own[-1]) + (LIBRARY.format(name, line) if lines[-1] != own[-1] else "")


def say_line(error, more=""):
    """Raise an error that names the line of f, if f used a traced array in a way that cannot be.

    Three kinds of error are such: a `Refusal`, to which ``more`` is added; an error that NumPy has
    raised in its place; and what NumPy says of arrays of objects. For any other this returns. A
    Refusal that NumPy has caught has one frame in its traceback, the one that raised it. If code of
    f has caught it, a frame of f is there too, and the error is f's own.
    """
    hidden = error.__cause__ or error.__context__
    if isinstance(error, Refusal):
        raise TypeError(f"{line_of(error)}: {error}{more}") from error
    if is_raised_by_hand(error) or origin(error).f_code is say_line.__code__:
        return  # f's own, or said in an inner derivative
    said = str(error).rstrip(".")
    if isinstance(hidden, Refusal) and len(list(traceback.walk_tb(hidden.__traceback__))) == 1:
        raise ValueError(f"{line_of(error)}: {BY_NUMPY.format(said)}") from hidden
    if isinstance(error, TypeError) and any([words in said for words in OF_OBJECTS]):
        raise TypeError(f"{line_of(error)}: {STACK.format(said)}") from error
