"""`odeint`: the solution of an initial value problem, differentiable in all that it depends on."""

from typing import TYPE_CHECKING, overload

from .. import tree
from ..autodiff.numpy_calls import plain, unbox
from ..solvers.first_call import explained
from ..solvers.options import Options
from ..solvers.state import check_function, check_times
from ..types import Array, ArrayLike, Field, OdeintOptions, Tree
from . import adjoint, discrete, forward, interpolated
from .settings import Adjoint, Way, check_settings
from .shared import VectorField, check_parameters, check_start, flat

if TYPE_CHECKING:
    from typing import Unpack  # of Python 3.11

GRADIENTS = {
    "adjoint": Way(adjoint.odesolve, solves_back=True),
    "discrete": Way(discrete.odesolve, has_checkpoints=True),
    "interpolated": Way(interpolated.odesolve, solves_back=True),
    "forward": Way(forward.odesolve),
}


if TYPE_CHECKING:

    @overload
    def odeint(
        f: Field, y0: Array | float, t: ArrayLike, *args: Tree, **options: Unpack[OdeintOptions]
    ) -> Array: ...
    @overload
    def odeint(
        f: Field, y0: Tree, t: ArrayLike, *args: Tree, **options: Unpack[OdeintOptions]
    ) -> Tree: ...


@explained
def odeint(
    f: Field,
    y0: Tree,
    t: ArrayLike,
    *args: Tree,
    method: str = "dopri5",
    rtol: Tree = 1e-6,
    atol: Tree = 1e-9,
    step_size: float | None = None,
    first_step: float | None = None,
    max_step: float | None = None,
    max_steps: int = 100_000,
    gradient: str = "adjoint",
    adjoint_method: str | None = None,
    adjoint_rtol: Tree | None = None,
    adjoint_atol: Tree | None = None,
    checkpoints: int | None = None,
) -> Tree:
    """Solve dy/dt = f(t, y, *args), y(t[0]) = y0, differentiably.

    Parameters
    ----------
    f : function
        ``f(t, y, *args)`` returns dy/dt, of the structure and shapes of y0. What f depends on and
        is to have a gradient belongs in ``args``; a closure over a value that is being
        differentiated is an error. t is a float, unless df/dt is needed: for derivatives in t with
        ``gradient="discrete"``, and for second derivatives in t. f may fill an array of its own at
        each call.
    y0 : array or container of arrays
    t : array, shape (T,)
        The times at which the solution is returned, strictly increasing or decreasing. The first is
        the time of y0.
    *args : arrays or containers of arrays
        The parameters of f. Leaves that are not floating arrays pass through untouched.
    method, rtol, atol, step_size, first_step, max_step, max_steps
        As in `tinyode.solve`. ``max_step`` holds for the backward solve as well, ``first_step``
        does not.
    gradient : str
        How derivatives are taken:

        * ``"adjoint"``: Algorithm 2 of the sources, the adjoint equation solved backwards together
          with y. Its memory does not depend on the number of steps. Its error is of the order of
          the tolerances (of the step, at fixed steps).
        * ``"discrete"``: the exact derivative of the numbers computed. Its memory is a state for
          each step.
        * ``"interpolated"``: the adjoint over the stored solution, for problems that are unstable
          backwards in time. It is as right as the dense output; with ``radau_iia5`` take
          ``"discrete"``.
        * ``"forward"``: by sensitivities, for few parameters.
    adjoint_method, adjoint_rtol, adjoint_atol
        For the backward solve; by default as in the forward one, ``step_size`` included. An
        adaptive ``adjoint_method`` chooses its own steps. The absolute tolerance is meant for a
        loss gradient of size one, since dL/dy is scaled to that size before.
    checkpoints : int, optional
        For ``"discrete"``: keep no more than so many states, and compute the others again.
        (Derivatives of the gradient keep all.)

    Returns
    -------
    array, shape (T, *y0.shape), or a container of such
        Differentiable in y0, in every argument and in every time of t, to any order.

    Raises
    ------
    SolverError
        If the solve, forward or backward, cannot go on; it says where and what to try. In Algorithm
        2 also if y, solved backwards, is lost: if it becomes so much larger than it ever was that
        the gradient would be that of another solution.
    RuntimeWarning
        If y, solved for again in the backward pass, differs from what it was by more than the
        tolerances explain; for Algorithm 2 it says which gradients are off by a thousandth of
        themselves or more, and by how much, as estimated. If f, called again with the same
        arguments, returns other numbers: it draws at random, or counts.
    TypeError, ValueError
        If an argument cannot be; they name it.

    Notes
    -----
    Chen, Rubanova, Bettencourt and Duvenaud, "Neural ordinary differential equations" (2018),
    algorithm 2 and appendices B, C.

    *What a backward pass can miss.* An adaptive solver evaluates f at its stages alone, and may
    step over a short pulse. Where the forward solve has seen a pulse, its gradient is not lost:
    ``"discrete"`` goes back over the very steps that were taken, ``"interpolated"`` takes no step
    that is longer than the forward steps it crosses, ``"adjoint"`` and ``"forward"`` solve for y
    again, and warn where it is not what it was. Where the forward solve may miss a pulse itself,
    give ``max_step``.

    *Times between steps.* At t[i] between the ends of adaptive steps y is read off the method's
    polynomial. There ``"discrete"`` returns for dL/dt[i] the derivative of the polynomial, which is
    exact for the numbers computed (finite differences of `odeint` agree with it) and has a larger
    error than the tolerances as a derivative of the solution: up to 140 times at 1e-9. The other
    ways return dL/dy(t[i]) f(t[i], y(t[i])), which has not. Use one of them, or this formula, where
    you optimise times.

    *A switch that depends on the state.* Where f jumps as y crosses a surface (``-y if y > 0.5 else
    -2 * y``), the time of the jump depends on y0 and args. No way here takes the derivative of that
    time, so the gradients are those of a switch at a fixed time. Solve up to the surface with
    `odeint_event` and go on from there with `odeint`: the two pieces have the right gradient
    (chapter 10 of the course).

    Examples
    --------
    The gradient of the end of a decay y' = -k y with respect to its rate, -t exp(-k t):

    >>> f = compiled(lambda t, y, k: -k * y)
    >>> grad(lambda k: odeint(f, 1.0, np.array([0.0, 2.0]), k)[-1])(0.5)
    np.float64(-0.735758...)

    The function would do as it is. `tinyode.compiled` records it once, and makes the gradient five
    to eight times faster where f computes with numbers and small arrays. Make it outside the loss.
    """
    check_function(f)
    leaves, structure = check_start(y0)
    options = Options(method, rtol, atol, step_size, first_step, max_steps, max_step)
    of_adjoint = Adjoint(adjoint_method, adjoint_rtol, adjoint_atol)
    settings = check_settings(
        plain(leaves), structure, options, GRADIENTS, gradient, of_adjoint, checkpoints
    )
    check_times(plain(t))
    times = unbox(t)
    times = times if times.dtype.kind == "f" else times.astype(float)
    theta, args_structure = check_parameters(args)
    field = VectorField(f, leaves, structure, args_structure)
    zs = GRADIENTS[gradient].odesolve(field, flat(leaves), times, theta, settings)
    return tree.unflatten(structure, field.cut(zs))
