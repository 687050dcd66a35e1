"""A backward pass calls f again, and so f must return the same numbers again."""

import warnings
import weakref

import numpy as np

from ..autodiff.numpy_calls import has_traced

# the code of functions that have returned the same numbers twice
_steady: weakref.WeakSet = weakref.WeakSet()


def warn_unless_repeatable(f, evaluate, *args):
    """Warn where the user's f returns other numbers when it is called again.

    A field that draws at random or counts does so. The backward pass would differentiate another
    function than the one that was solved. Code that has passed this test is not tested again, so a
    training loop pays for it once.

    Parameters
    ----------
    f : function
        As the user has written it.
    evaluate : function
        ``evaluate(*args)`` calls f and returns an array. Where an argument is traced, a derivative
        of the gradient is being taken, which has a backward pass of its own: f is tested there.
    """
    code = getattr(getattr(f, "__wrapped__", f), "__code__", None)
    if code in _steady or has_traced(args):
        return
    first = np.array(evaluate(*args))  # a copy: f may fill an array of its own at each call
    second = evaluate(*args)
    rtol = np.finfo(first.dtype).eps ** 0.5 if first.dtype.kind == "f" else 0.0
    if not np.allclose(first, second, rtol=rtol, atol=0, equal_nan=True):
        warnings.warn(
            "odeint: f returned other numbers when it was called again with the same arguments, so"
            " the gradient is not that of the numbers computed. Does it draw at random, or count?"
            " Draw outside f, and pass what was drawn through *args",
            RuntimeWarning,
            stacklevel=2,
        )
    elif code is not None:
        _steady.add(code)
