"""What all ways to differentiate a solution share.

`VectorField` is the user's f on flat vectors, with its vector-Jacobian product. `solution` solves
for z in plain numbers. `differentiable` joins such a solve to a backward pass, which returns the
gradients of what is `Wanted`. The letters are those of ``sensitivity/__init__.py``.
"""

import copy
import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .. import tree
from ..autodiff.by_value import by_value
from ..autodiff.custom import with_rule
from ..autodiff.numpy_calls import is_traced, plain, unbox
from ..autodiff.specialized import Around, offers, specialized
from ..autodiff.transforms import vjp, vjp_of_list
from ..containers import belongings, orders
from ..solvers.dense import Step, observe
from ..solvers.failures import SolverError
from ..solvers.jacobian import flat_jacobian
from ..solvers.options import Stats
from ..solvers.solve import steps
from ..solvers.state import check_leaf, check_state, check_times, flat_field
from ..solvers.tableau import Tableau
from ..solvers.tableaus import find
from .repeatable import warn_unless_repeatable

# A program around f has so many times the calls of f at most: recording them takes 30 ms. (A field
# of 60 layers, with six stages in one program, took 130 ms longer for its first gradient, and saved
# 1 ms in each other one.)
LONGEST = 200


class VectorField:
    """The user's f as dz/dt = f(t, z, theta), with z a flat vector and theta a list of arrays.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)``, as the user has written it.
    leaves : list of arrays
        The parts of y, for their shapes and dtypes.
    structure, args_structure
        Those of y and of args, as `tree.flatten` returns them.
    coupled : int, optional
        f depends on the first so many components of z, and is called with these alone. The others
        are integrals along the solution. By default f depends on all.
    """

    def __init__(self, f, leaves, structure, args_structure, coupled=None):
        self.f = self.recorded = f
        self.structure, self.args_structure = structure, args_structure
        self.n_parts, self.cut, self.coupled = len(leaves), tree.cutter(leaves), coupled
        self.shapes = tuple([(leaf.shape, leaf.dtype) for leaf in leaves])

    @classmethod
    def of_vectors(cls, f, z0, theta, coupled=None):
        """Return the field of a function ``f(t, z, *theta)`` that takes and returns vectors."""
        return cls(f, [z0], tree.LEAF, (tuple, None, (tree.LEAF,) * len(theta)), coupled)

    def by_value(self):
        """Return this field for many calls of which the pullbacks come later; see `by_value`."""
        field = copy.copy(self)
        field.recorded = by_value(self.f)
        return field

    def __call__(self, t, z, theta):
        """Return dz/dt, shape (n,); differentiable."""
        return flat([unbox(part) for part in self._called([t, *self.cut(z), *theta])])

    def _called(self, leaves):
        """Call f with the leaves of (t, y, *args); return those of dy/dt."""
        t, first = leaves[0], 1 + self.n_parts
        y = tree.unflatten(self.structure, leaves[1:first])
        dy = self.recorded(t, y, *tree.unflatten(self.args_structure, leaves[first:]))
        if self.structure is tree.LEAF:
            return [unbox(dy) if isinstance(dy, (list, tuple)) else dy]
        parts, structure = tree.flatten(dy)
        if structure != self.structure:
            raise ValueError(
                f"f returned the structure {tree.describe(structure)}; the state, and so its"
                f" derivative, has the structure {tree.describe(self.structure)}"
            )
        return parts

    def vjp(self, t, z, theta, learned, timed=False):
        """Prepare vector-Jacobian products of f, for many arguments like these.

        Parameters
        ----------
        t, z, theta
            An example. f may offer its own derivative for such arguments; it is asked once, here.
        learned : list of int
            For which of theta.
        timed : bool
            Whether for t, too.

        Returns
        -------
        function
            ``vjp(t, z, theta)`` returns the parts of dz/dt in a list, and ``pullback``. That
            returns, for a of shape (n,), the parts of a^T df/dz in a list, followed by a^T
            df/dtheta for each theta that is learned, and, if timed, by a^T df/dt.
        """
        cut, first = self.cut, 1 + self.n_parts
        positions = (*range(1, first), *[first + k for k in learned], *([0] if timed else []))
        time = np.array if timed else lambda t: t

        def by_tape(*leaves):
            def f(*moved):
                return self._called(replaced(leaves, positions, moved))

            return vjp_of_list(f, [leaves[i] for i in positions])

        @functools.cache
        def of_numbers():
            example = without_levels([time(t), *cut(z), *theta])
            arguments = tuple, None, (tree.LEAF, self.structure, *self.args_structure[2])
            own = specialized(self.f, example, arguments, positions)
            return own.vjp if own and own.structure == self.structure else by_tape

        def vjp(t, z, theta):
            # where anything is traced z is, since the tape has all of z as inputs
            vjp_of_leaves = of_numbers() if type(z) is np.ndarray else by_tape
            dz_dt, pull = vjp_of_leaves(time(t), *cut(z), *theta)
            return dz_dt, lambda a: pull(cut(a))

        return vjp

    def around(self, function, example, copies, *key):
        """Return ``function(t, s, *theta)``, which calls this field or its `vjp`, as fast as f is.

        f may have a faster way to such a function, and keep it from solve to solve.

        Parameters
        ----------
        function : function
        example : tuple
            t, z and theta, as f gets them.
        copies : int
            How often the function calls the field or pulls back. A program has all of it, copy
            after copy: a very long one takes more time to record than it saves.
        *key
            What the function depends on besides the field and its arguments: see
            `specialized.Around`.
        """
        structures = self.structure, self.args_structure
        if not offers(self.f) or any([belongings(structure) for structure in structures]):
            return function
        t, z, theta = example
        leaves = without_levels([t, *self.cut(z), *theta])
        arguments = tuple, None, (tree.LEAF, self.structure, *self.args_structure[2])
        own = specialized(self.f, leaves, arguments)
        if own is None or own.calls * copies > LONGEST:
            return function
        names = repr([*map(orders, structures)])  # f may loop over the items of a dict; 1 == True
        return Around(self.f, function, (key, structures, names, self.shapes))

    def joined(self, cotangents):
        """Return what a pullback has returned, with the parts of a^T df/dz as one vector."""
        return [flat(cotangents[: self.n_parts]), *cotangents[self.n_parts :]]


class Problem(NamedTuple):
    """An initial value problem in plain numbers; ``walk`` yields its steps, once.

    ``f(t, y, k)`` writes the derivative at a flat state y into k. ``y`` is the initial state, shape
    (n,), ``times`` a list of floats, ``jacobian(t, y, h)`` is df/dy.
    """

    f: Callable
    y: np.ndarray
    times: list
    tableau: Tableau
    stats: Stats
    jacobian: Callable
    walk: Iterator[Step]

    def observed(self, walk):
        """Return the states at the times, shape (T, n), from the steps of ``walk``."""
        return observe(walk, self.f, self.y, self.times, self.tableau, self.stats)


def problem(f, z0, t, theta, options):
    """Return the `Problem` dz/dt = f(t, z, theta), z(t0) = z0, of a `VectorField`."""
    leaves, _ = check_state(f.cut(z0))
    y, times, stats = np.concatenate([leaf.reshape(-1) for leaf in leaves]), check_times(t), Stats()
    args = tree.unflatten(f.args_structure, theta)
    write = flat_field(f.f, leaves, f.structure, args, times[0])
    if f.coupled is None:
        jacobian = flat_jacobian(write, f.f, leaves, f.structure, args, options)
    else:
        coupled, head = lambda t, y, *args: f.f(t, y, *args)[: f.coupled], [y[: f.coupled]]
        jacobian = flat_jacobian(write, coupled, head, tree.LEAF, args, options, total=len(y))
    walk = steps(write, y, times, options, stats, f.coupled, jacobian)
    return Problem(write, y, times, find(options.method), stats, jacobian, walk)


def solution(f, z0, t, theta, options):
    """Return z at the times of t, shape (T, n), in plain numbers."""
    made = problem(f, z0, t, theta, options)
    return made.observed(made.walk)


class Wanted(NamedTuple):
    """What has a gradient: the times, the initial state, and which of theta, by their positions."""

    time: bool
    state: bool
    theta: list

    def zeros(self, theta):
        """Return where the gradients of theta start from."""
        return [np.zeros(theta[k].shape, theta[k].dtype) for k in self.theta]

    def chosen(self, of_time, of_state, of_theta):
        """Return what is wanted, in a list in the order of (t, z0, *theta)."""
        leading = [(self.time, of_time), (self.state, of_state)]
        return [item for wanted, item in leading if wanted] + of_theta


def differentiable(forward, backward, f, z0, t, theta):
    """Return z at the times of t, shape (T, n), with a derivative of our own, of any order.

    Parameters
    ----------
    forward : function
        ``forward(t, z0, theta)`` solves for z in plain numbers.
    backward : function
        ``backward(dL_dz, zs, wanted, t, z0, theta)`` returns dL/dt (None unless it is wanted),
        dL/dz0, and a list of dL/dtheta for each theta that is wanted. It is NumPy code, which is
        differentiated where a derivative of the gradient is taken.
    f : VectorField
    """

    def rule(dL_dz, zs, positions, t, z0, *theta):
        if not np.isfinite(plain(dL_dz)).all():
            raise ValueError(NOT_FINITE)
        warn_unless_repeatable(f.f, f, moment(t, 0), zs[0], theta)
        wanted = Wanted(0 in positions, 1 in positions, [i - 2 for i in positions if i > 1])
        dL_dt, dL_dz0, dL_dtheta = backward(dL_dz, zs, wanted, t, z0, theta)
        return wanted.chosen(dL_dt, dL_dz0, dL_dtheta)

    return with_rule(lambda t, z0, *theta: forward(t, z0, theta), rule, (t, z0, *theta))


NOT_FINITE = (
    "odeint: the gradient of the loss with respect to the solution is not finite; look for a"
    " division by zero, a root or a logarithm of zero between the solution and the loss"
)


def gradient_by_engine(solve, dL_dz, wanted, t, z0, theta):
    """Return what a backward pass returns, for ``solve(t, z0, theta)``: NumPy code for z."""
    leaves = t, z0, *theta
    positions = wanted.chosen(0, 1, [2 + k for k in wanted.theta])

    def of_wanted(*moved):  # what is not wanted stays plain: t reaches f as a float
        t, z0, *theta = replaced(leaves, positions, moved)
        return solve(t, z0, theta)

    _, pullback = vjp(of_wanted, *[leaves[i] for i in positions])
    gradients = dict(zip(positions, pullback(dL_dz)))
    return gradients.get(0), gradients.get(1), [gradients[2 + k] for k in wanted.theta]


GROWS_BACKWARDS = (
    ". It can fail where the forward one does not, as what decays forwards grows backwards;"
    " gradient='discrete' is not solved backwards"
)


def solved_backwards(backward):
    """Decorate a backward pass that solves the adjoint equation.

    The equation is linear in dL/dz. So dL/dz is scaled to size one before, and the gradients are
    scaled back: an absolute tolerance has no meaning for a quantity that is a million times smaller
    if the loss is a mean instead of a sum. A `SolverError` says that the backward solve has failed.
    """

    @functools.wraps(backward)
    def scaled(dL_dz, *arguments):
        largest = float(np.max(np.abs(plain(dL_dz))))
        # a power of two, so that dividing by it rounds nothing
        scale = 2.0 ** (math.frexp(largest)[1] - 1) if largest else 1.0
        back = lambda gradient: gradient * np.array(scale, gradient.dtype)
        try:
            dL_dt, dL_dz0, dL_dtheta = backward(dL_dz / np.array(scale, dL_dz.dtype), *arguments)
        except SolverError as error:
            hint = "" if "gradient='discrete'" in str(error) else GROWS_BACKWARDS
            error.args = (f"in the backward solve of the adjoint: {error}{hint}",)
            raise
        return None if dL_dt is None else back(dL_dt), back(dL_dz0), [*map(back, dL_dtheta)]

    return scaled


def check_start(y0):
    """Return the parts of y0, traced or plain floating arrays, and its structure."""
    leaves, structure = tree.flatten(y0)
    return [unbox(leaf) if is_traced(leaf) else check_leaf(leaf) for leaf in leaves], structure


def check_parameters(args):
    """Return theta, the leaves of args, and their structure; refuse masked arrays."""
    leaves, structure = tree.flatten(args)
    for leaf in leaves:
        tree.refuse_masked("a parameter in *args", leaf)
    return [unbox(leaf) if is_traced(leaf) else leaf for leaf in leaves], structure


def without_levels(leaves):
    """Return the values below the traced ones; whatever else f takes stays as it is."""
    return [plain(leaf) if is_traced(leaf) else leaf for leaf in leaves]


def moment(t, i):
    """Return the i-th of the times, as f gets it: a float, unless it is traced."""
    return t[i].item() if type(t) is np.ndarray else t[i]


def replaced(items, positions, values):
    """Return the items in a list, with values in place of those at these positions."""
    items = list(items)
    for n, value in zip(positions, values):
        items[n] = value
    return items


def flat(parts):
    """Return arrays end to end, as one vector."""
    # to reshape what is a vector would be one more record on a tape
    vectors = [part if part.ndim == 1 else part.reshape(-1) for part in parts]
    if len(vectors) == 1:
        return vectors[0]
    return np.concatenate(vectors) if vectors else np.zeros(0)


def all_zero(arrays):
    """Whether all elements are zero, and constants."""
    return not any([is_traced(x) or np.any(x) for x in arrays])
