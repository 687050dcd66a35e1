"""`odeint`: the solution of an initial value problem as a differentiable function of everything
that it depends on.
"""

import numpy as np

from .. import tree
from ..autodiff.numpy_calls import is_traced, plain, unbox
from ..solvers.first_call import explained
from ..solvers.options import Options, check_constant
from ..solvers.state import check_function, check_leaf, check_times, flat_tolerance
from ..solvers.tableaus import find
from . import adjoint, discrete, forward, interpolated
from .problem import check_parameters

GRADIENTS = {
    "adjoint": adjoint.odesolve,
    "discrete": discrete.odesolve,
    "interpolated": interpolated.odesolve,
    "forward": forward.odesolve,
}


@explained
def odeint(
    f,
    y0,
    t,
    *args,
    method="dopri5",
    rtol=1e-6,
    atol=1e-9,
    step_size=None,
    first_step=None,
    max_step=None,
    max_steps=100_000,
    gradient="adjoint",
    adjoint_method=None,
    adjoint_rtol=None,
    adjoint_atol=None,
    checkpoints=None,
):
    """Solve dy/dt = f(t, y, *args), y(t[0]) = y0, differentiably.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)`` returns dy/dt, of the structure and shapes of y0. t is a float, unless
        df/dt is needed: for derivatives in t with ``gradient="discrete"``, and of derivatives in t
        with any. What f depends upon and is to have a gradient belongs in ``args``; a closure over
        a value that is being differentiated is an error. f may fill an array of its own at each
        call.
    y0 : array or container of arrays
    t : array, shape (T,)
        Strictly increasing or decreasing times, at which the solution is returned; the first is
        that of y0.
    *args : arrays or containers of arrays
        The parameters of f. Leaves that are not floating arrays pass through untouched.
    method, rtol, atol, step_size, first_step, max_step, max_steps
        As in `tinyode.solve`. ``max_step`` holds for the backward solve as well, ``first_step``
        does not.
    gradient : str
        How derivatives are taken. ``"adjoint"``: Algorithm 2 of the sources, the adjoint equation
        solved backwards together with y. Its memory does not depend on the number of steps, its
        error is of the order of the tolerances (of the step, at fixed steps). ``"discrete"``: the
        exact derivative of the numbers computed; its memory is a state for each step.
        ``"interpolated"``: the adjoint over the stored solution, for problems that are unstable
        backwards in time. ``"forward"``: by sensitivities, for few parameters.
    adjoint_method, adjoint_rtol, adjoint_atol
        Of the backward solve; by default those of the forward one, ``step_size`` included. An
        adaptive ``adjoint_method`` chooses its own steps. The absolute tolerance is meant for a
        loss gradient of size one: the equation is linear, and solved so scaled.
    checkpoints : int, optional
        For ``"discrete"``: keep so many states at most, and compute the others again. (Derivatives
        of the gradient keep all.)

    Returns
    -------
    array, shape (T, *y0.shape), or a container of such
        Differentiable in y0, in every argument and in every time of t, to any order.

    Raises
    ------
    SolverError
        If the solve, forward or backward, cannot go on; it says where and what to try.
    RuntimeWarning
        If the state, solved backwards by the adjoint, comes out elsewhere than it was, by more than
        the tolerances explain. If f, called again with the same arguments, returns other numbers:
        it draws at random, or counts.
    TypeError, ValueError
        If an argument cannot be; they name it.

    Notes
    -----
    Chen, Rubanova, Bettencourt and Duvenaud, "Neural ordinary differential equations"
    (2018), algorithm 2 and appendices B, C.

    *What a backward pass can miss.* An adaptive solver sees f at its stages alone, and a short
    pulse between them not at all. Where the forward solve has seen a pulse, its gradient is not
    lost:

    * ``"discrete"`` goes back over the very steps that were taken.
    * ``"interpolated"`` takes no step that is longer than the forward steps it crosses.
    * ``"adjoint"`` and ``"forward"`` solve for y once more, and warn where it does not come to the
      states that it had.

    Where the forward solve may miss one itself, give ``max_step``.

    *A switch that depends on the state.* Where f jumps as y crosses a surface (``-y if y > 0.5 else
    -2 * y``), the time of the jump depends on y0 and args. No way here takes the derivative of that
    time, so the gradients are those of a switch at a fixed time. Solve up to the surface with
    `odeint_event` and go on from there with `odeint`: the two pieces have the right gradient
    (chapter 10 of the course).

    Examples
    --------
    The gradient of the end of a decay y' = -k y with respect to its rate, -t exp(-k t):

    >>> grad(lambda k: odeint(lambda t, y, k: -k * y, 1.0, np.array([0.0, 2.0]), k)[-1])(0.5)
    np.float64(-0.735758...)
    """
    check_function(f)
    z0, structure = tree.flatten(y0)
    z0 = [unbox(z) if is_traced(z) else check_leaf(z) for z in z0]
    options, of_gradient = check_options(
        z0,
        structure,
        method,
        rtol,
        atol,
        step_size,
        first_step,
        max_step,
        max_steps,
        gradient,
        adjoint_method,
        adjoint_rtol,
        adjoint_atol,
        checkpoints,
    )
    check_times(plain(t))
    t = unbox(t)
    t = t if t.dtype.kind == "f" else t.astype(float)
    theta, args_structure = tree.flatten(args)
    theta = check_parameters(theta)
    zs = GRADIENTS[gradient](
        Field(f, structure, args_structure), z0, t, theta, options, of_gradient
    )
    return tree.unflatten(structure, tree.cutter(z0)(zs))


class Field:
    """The user's f as a function of lists of arrays: ``field(t, z, theta)`` returns dz/dt, a list
    like z.
    """

    def __init__(self, f, structure, args_structure):
        self.f, self.structure, self.args_structure = f, structure, args_structure

    def __call__(self, t, z, theta):
        """Call f, and take apart what it returns."""
        dz = self.f(
            t, tree.unflatten(self.structure, z), *tree.unflatten(self.args_structure, theta)
        )
        if self.structure is tree.LEAF:
            return [unbox(dz) if isinstance(dz, (list, tuple)) else dz]
        leaves, dz_structure = tree.flatten(dz)
        if dz_structure != self.structure:
            raise ValueError(
                f"f returned the structure {tree.describe(dz_structure)}; the state, and so its"
                f" derivative, has the structure {tree.describe(self.structure)}"
            )
        return leaves

    def vjp(self, k, learned, by_tape):
        """Return what `vjp_of_field` does: by the program of a compiled f, where there is one for
        the arguments.
        """
        vjp_of_leaves = getattr(self.f, "vjp_of_leaves", None)
        if vjp_of_leaves is None:
            return by_tape
        whole = (
            tuple,
            None,
            (tree.LEAF, self.structure, *self.args_structure[2]),
        )  # of (t, y, *args)
        wanted = *range(1, k + 1), *[1 + k + n for n in learned]

        def by_program(t, z, theta):
            made = vjp_of_leaves([t, *z, *theta], whole, wanted)
            return (
                made[1:] if made and made[0].structure == self.structure else by_tape(t, z, theta)
            )

        return by_program


def check_options(
    z0,
    structure,
    method,
    rtol,
    atol,
    step_size,
    first_step,
    max_step,
    max_steps,
    gradient,
    adjoint_method,
    adjoint_rtol,
    adjoint_atol,
    checkpoints,
):
    """Return the `Options` of the solve, and what the gradient takes: those of the backward solve,
    or the number of checkpoints.
    """
    rtol, atol = (
        flat_tolerance(rtol, z0, structure, "rtol"),
        flat_tolerance(atol, z0, structure, "atol"),
    )
    options = Options(method, rtol, atol, step_size, first_step, max_steps, max_step).check()
    if not isinstance(gradient, str) or gradient not in GRADIENTS:
        raise ValueError(
            f"gradient={gradient!r} is not known; the ways to take derivatives are"
            f" {', '.join(map(repr, GRADIENTS))}"
        )
    check_constant("checkpoints", checkpoints)
    if checkpoints is not None and gradient != "discrete":
        raise ValueError(
            f"checkpoints={checkpoints!r} has no meaning for gradient={gradient!r}; it is for"
            " gradient='discrete'"
        )
    if checkpoints is not None and (
        isinstance(checkpoints, bool)
        or not isinstance(checkpoints, (int, np.integer))
        or checkpoints < 1
    ):
        raise ValueError(
            f"checkpoints={checkpoints!r} must be a whole number of states to keep, 1 or more"
        )
    solves_back = gradient in ("adjoint", "interpolated")
    for name, value in (
        ("adjoint_method", adjoint_method),
        ("adjoint_rtol", adjoint_rtol),
        ("adjoint_atol", adjoint_atol),
    ):
        if value is not None and not solves_back:
            raise ValueError(
                f"{name}={value!r} has no meaning for gradient={gradient!r}, which solves nothing"
                " backwards; leave it out"
            )
    adjoint_options = Options(
        method if adjoint_method is None else adjoint_method,
        (
            rtol
            if adjoint_rtol is None
            else flat_tolerance(adjoint_rtol, z0, structure, "adjoint_rtol")
        ),
        (
            atol
            if adjoint_atol is None
            else flat_tolerance(adjoint_atol, z0, structure, "adjoint_atol")
        ),
        step_size,
        None,
        max_steps,
        max_step,
    )
    if adjoint_method is not None and find(adjoint_method, "adjoint_method").e is not None:
        adjoint_options = adjoint_options._replace(step_size=None)
    adjoint_options = adjoint_options.check("adjoint_")
    if adjoint_options.fixed and not options.fixed:
        raise ValueError(
            f"adjoint_method={adjoint_method!r} takes steps of fixed size, and the forward solve"
            " has none to go by; choose an adaptive one, such as 'dopri5', or give step_size"
        )
    if adjoint_options.fixed and not (adjoint_rtol is None and adjoint_atol is None):
        raise ValueError(
            f"adjoint_rtol={adjoint_rtol!r}, adjoint_atol={adjoint_atol!r}: the backward solve"
            " takes steps of fixed size, which no tolerance governs; choose an adaptive"
            " adjoint_method, such as 'dopri5'"
        )
    return options, adjoint_options if solves_back else checkpoints
