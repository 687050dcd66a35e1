"""The steps that a solve took, kept for a backward pass that goes through them again.

The state at the beginning of each step is kept. Or no more than K states are kept, the
checkpoints, and the others are computed again.
"""

import math

import numpy as np

from ..solvers.failures import NewtonFailed
from ..solvers.implicit import ImplicitStepper
from ..solvers.options import Stats
from ..solvers.runge_kutta import Stepper
from ..solvers.tableaus import find

# The equations of a long implicit step may have several solutions; the gradient at another one was
# off by 1 % to 70 %. The same solution, found again, differs by rounding alone, even in float32.
OTHER = 1e-3


class Taken:
    """The steps of a solve.

    Parameters
    ----------
    options : Options
    checkpoints : int or None
        How many states may be kept; None for all.

    Attributes
    ----------
    steps : list of Step
        Without their stages and ends; y is None where it is not kept.
    """

    def __init__(self, options, checkpoints):
        self.options, self.checkpoints = options, checkpoints
        self.tableau = find(options.method)
        self.steps = []
        self.marks = []  # of the states that implicit steps came to

    def follow(self, problem):
        """Yield the steps of a solve, and keep them."""
        self.steps.clear()
        self.marks.clear()
        for step in problem.walk:
            kept = self.checkpoints is None or not self.steps
            self.steps.append(step._replace(y=step.y if kept else None, y1=None, K=None))
            if self.tableau.implicit:
                self.marks.append(mark(step.y1))
            yield step

    def backwards(self, again):
        """Yield (m, y): the number of a step and its state, from the last step to the first.

        ``again`` is the function that the method of this name returns.
        """
        if self.checkpoints is None:
            return reversed([(m, step.y) for m, step in enumerate(self.steps)])
        first, last = self.steps[0].y, len(self.steps)
        return revolve(0, last, first, self.checkpoints, lambda m, y: again(m, y)[0])

    def readings(self, times):
        """Return for each step which of the times lie inside it, and which one is its end.

        That is a list of positions, and a position or None. The ends of adaptive steps are
        constants, but for the last one. So a time that meets such an end counts as inside.
        """
        found, i = [], 1
        for m, step in enumerate(self.steps):
            inside, at_end, sign = [], None, math.copysign(1.0, step.h)
            while i < len(times) and (times[i] - step.t1) * sign <= 0:
                if times[i] == step.t1 and (self.options.fixed or m == len(self.steps) - 1):
                    at_end = i
                else:
                    inside.append(i)
                i += 1
            found.append((inside, at_end))
        return found

    def clock(self, times):
        """Return the function from the times t to the starts and the sizes of the steps.

        Both have the shape (N,) for N steps. M steps of fixed size in an interval have the size
        (t_{i+1} - t_i) / M. Of adaptive steps the first start and the last end are times of t, and
        all that is between is constant.
        """
        if not self.options.fixed:
            between = np.array([step.t1 for step in self.steps[:-1]])

            def adaptive(t):
                starts = np.concatenate([t[:1], between])
                return starts, np.concatenate([between, t[-1:]]) - starts

            return adaptive
        interval, position, i, j = [], [], 0, 0
        for step in self.steps:
            interval.append(i)
            position.append(j)
            i, j = (i + 1, 0) if step.t1 == times[i + 1] else (i, j + 1)
        interval, position = np.array(interval), np.array(position)
        counts = np.bincount(interval)[interval]

        def fixed(t):
            sizes = (t[interval + 1] - t[interval]) / counts
            return t[interval] + position * sizes, sizes

        return fixed

    def again(self, problem):
        """Return a function ``again(m, y)`` that takes the m-th step from y again, in numbers.

        It returns the new state, and the stages in an array with a row for each. It raises
        `NewtonFailed` where an implicit step does not come to the state that it came to before.
        """
        arguments = problem.f, problem.tableau, problem.y, len(problem.y), Stats()
        if self.tableau.implicit:
            stepper = ImplicitStepper(*arguments, problem.jacobian, self.options)
        else:
            stepper = Stepper(*arguments)

        def again(m, y):
            t, t1, h, *_ = self.steps[m]
            if self.tableau.implicit:
                stepper.newton.J = None
            with np.errstate(over="ignore", invalid="ignore"):  # as in the forward solve
                stepper.start(t, y)
                y1 = stepper.step(t, t1, y, h)
            if y1 is None:
                raise NewtonFailed(
                    "in the backward pass Newton's method did not solve the equations of a step"
                    " that it has solved before; try smaller steps, or gradient='adjoint' or"
                    " 'interpolated'",
                    t,
                    h,
                )
            if self.marks and not abs(mark(y1) - self.marks[m]) <= OTHER * mark(np.abs(y1)):
                raise NewtonFailed(
                    "in the backward pass Newton's method came to another solution of the"
                    " equations of a step than before, and the gradient would be that of another"
                    " state; so long a step has several: try smaller steps, or gradient='adjoint'"
                    " or 'interpolated'",
                    t,
                    h,
                )
            return y1, stepper.K.copy()

        return again


def mark(y):
    """Return a number that identifies a state: a sum with weights, since y may keep its sum."""
    return float(np.linspace(1, 2, len(y)) @ y)


def revolve(first, last, y, checkpoints, advance):
    """Yield (m, y_m) from m = last - 1 down to first, where y_{m+1} = advance(m, y_m).

    No more than ``checkpoints`` states are kept. With c of them, b(c, r) = (c + r)! / (c! r!) steps
    can be reversed so that none is taken more than r times. For l steps with b(c, r - 1) < l <=
    b(c, r) the least that can be done is to take r l - b(c + 1, r - 1) steps (Griewank and Walther,
    "Algorithm 799: revolve", 2000).
    """

    def after(first, last):
        state = y
        for m in range(first, last):
            state = advance(m, state)
        return state

    while last - first > 1:
        r = 1
        while math.comb(checkpoints + r, r) < last - first:
            r += 1
        middle = first + max(
            1,
            last - first - math.comb(checkpoints - 1 + r, r),
            math.comb(checkpoints + r - 2, checkpoints),
        )
        yield from revolve(middle, last, after(first, middle), checkpoints - 1, advance)
        last = middle
    yield first, y
