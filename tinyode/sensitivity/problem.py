"""What every way to differentiate a solution begins with: the solve itself, on lists of arrays, and
the pieces that all of them share.
"""

import warnings
import weakref
from typing import NamedTuple

import numpy as np

from .. import tree
from ..autodiff.dispatch import has_traced, is_traced, plain, unbox
from ..autodiff.operators import NUMBERS
from ..autodiff.trace import Node
from ..solvers.dense import observe
from ..solvers.jacobian import flat_jacobian
from ..solvers.options import Stats
from ..solvers.solve import steps
from ..solvers.state import check_state, check_times, flat_field
from ..solvers.tableau import Tableau
from ..solvers.tableaus import find

_steady: weakref.WeakSet = (
    weakref.WeakSet()
)  # code of fields that have returned the same numbers twice


class Problem(NamedTuple):
    """An initial value problem in plain numbers, ready to be walked through once: ``walk`` yields
    its steps.

    ``f(t, y, k)`` is the field of flat vectors, which writes into k; y the initial state, shape
    (n,); times a list of floats.
    """

    f: object
    y: np.ndarray
    times: list
    tableau: Tableau
    stats: Stats
    walk: object
    jacobian: object

    def observed(self, walk):
        """Return the states at the times, shape (T, n), from the steps of ``walk``."""
        return observe(walk, self.f, self.y, self.times, self.tableau, self.stats)


def problem(f, z0, t, theta, options, coupled=None):
    """Return the `Problem` of dz/dt = f(t, z, theta), z a list of arrays, of which f depends on the
    first ``coupled`` alone if given.
    """
    leaves, structure = check_state(list(z0))
    times, tableau, stats = check_times(t), find(options.method), Stats()
    y = np.concatenate([leaf.reshape(-1) for leaf in leaves])
    head, structure_of_head = tree.flatten(leaves[:coupled])
    if coupled is None:
        flat = flat_field(f, leaves, structure, (theta,))
    else:
        cut_head = tree.cutter(head)

        def flat(t, y, k):  # of our own augmented dynamics, which need no check
            np.concatenate([d.reshape(-1) for d in f(t, cut_head(y), theta)], out=k)

    jacobian = flat_jacobian(
        lambda t, z, theta: f(t, z, theta)[:coupled], head, structure_of_head, (theta,)
    )
    walk = steps(flat, y, times, options, stats, sum([leaf.size for leaf in head]), jacobian)
    return Problem(flat, y, times, tableau, stats, walk, jacobian)


def check_parameters(leaves):
    """Return the leaves of args, arrays of traced numbers as traced arrays; refuse masked ones."""
    for leaf in leaves:
        tree.refuse_masked("a parameter in *args", leaf)
    return [unbox(leaf) if is_traced(leaf) else leaf for leaf in leaves]


def moment(t, i):
    """Return the i-th time, as a float where it is one."""
    return t[i].item() if type(t) is np.ndarray else t[i]


def replaced(items, positions, values):
    """Return the items with those at these positions exchanged for the values."""
    if len(positions) == len(items):
        return values
    items = list(items)
    for n, value in zip(positions, values):
        items[n] = value
    return items


def flat(parts):
    """Return arrays end to end, as one flat vector."""
    return (
        np.reshape(parts[0], (-1,))
        if len(parts) == 1
        else np.concatenate([np.reshape(part, (-1,)) for part in parts])
    )


def by_value(f):
    """Return f, each call of which leaves copies of its constant arrays on the tapes.

    A tape has references. Where f fills an array of its own at each call, and the pullbacks of many
    calls run after the last, all of them would see what the last call has filled in.
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
        return _copy(value) if starts else value

    called.__wrapped__ = f
    if hasattr(f, "vjp"):
        called.vjp = f.vjp
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


def warn_unless_repeatable(f, *args):
    """Warn where f returns other numbers when it is called again with the same arguments.

    A field that draws at random or counts does so. Each backward pass calls f anew, and would
    differentiate another function than the one that was solved. Code that has passed this test is
    not tested again, so a training loop pays for it once.
    """
    users = getattr(f, "f", f)
    code = getattr(getattr(users, "__wrapped__", users), "__code__", None)
    if code in _steady or has_traced(
        args
    ):  # a derivative of the gradient has a backward pass of its own
        return
    first, second = [np.concatenate([np.ravel(part) for part in f(*args)]) for _ in range(2)]
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


def check_cotangent(g):
    """Raise ValueError where the gradient of the loss is not finite: nothing that is made of it
    would be.
    """
    if not np.isfinite(plain(g)).all():
        raise ValueError(
            "odeint: the gradient of the loss with respect to the solution is not finite; look for"
            " a division by zero, a root or a logarithm of zero between the solution and the loss"
        )
