"""What a backward pass needs of f, since it calls f again.

f must return the same numbers again (`warn_unless_repeatable`). And f may fill an array of its own
at each call: then what a pullback needs has to be copied before the next call (`by_value`).
"""

import warnings
import weakref

import numpy as np

from .. import tree
from ..autodiff.dispatch import has_traced
from ..autodiff.operators import NUMBERS
from ..autodiff.trace import Node

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
    first, second = evaluate(*args), evaluate(*args)
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


def by_value(f):
    """Return f, each call of which leaves copies of its constant arrays on the tapes.

    A tape holds references to arrays. Where f fills an array of its own at each call, and many
    calls are pulled back after the last one, all of them would see what the last call has written.
    """

    def called(*args):
        leaves, traces = tree.flatten(args)[0], set()
        while leaves := [x for x in leaves if type(x) is Node]:  # of all levels
            traces |= {x.handle for x in leaves}
            leaves = [x.value for x in leaves]
        starts = [(trace.tape, len(trace.tape)) for trace in traces]
        value = f(*args)
        for tape, start in starts:
            for i, (vjps, parents, y, operands, kwargs) in enumerate(tape[start:], start):
                if len(parents) < len(operands):
                    kept = [*map(_copy, operands)]
                    for argnum, _ in parents:  # nothing writes into what is traced
                        kept[argnum] = operands[argnum]
                    tape[i] = vjps, parents, y, kept, kwargs
        return _copy(value)

    return called


def _copy(x):
    kind = type(x)
    if kind is Node or kind in NUMBERS:
        return x
    if kind is np.ndarray:
        return x.copy()
    if kind is list:
        return [*map(_copy, x)]
    return tree.map(_copy, x) if kind in (tuple, dict) else x
