"""How well Algorithm 2 knows that its gradient is off: warnings on drawn neural fields.

    python tests/benchmarks/drift.py [seed ...]

Fields W2 tanh(W1 y + b1) + b2 of 2 to 6 components, of all strengths and durations; the loss is a
sum of squares or a random linear function of the end. A gradient is off where it differs by more
than a thousandth of itself, in the 2-norm, from the exact one of a solve at 1e-11. A warning should
say so then, and only then.
"""

import sys
import warnings

import numpy as np

from tinyode import compiled, odeint, tree, value_and_grad
from tinyode.solvers import SolverError

FIELDS, OFF = 200, 1e-3
NAMES = "dL/dy0", "dL/dtheta"


def drawn(rng):
    """Return f, y0, t, the parameters and the loss of a drawn problem."""
    n, hidden = rng.integers(2, 7), rng.integers(4, 17)
    strength, duration = rng.uniform(0.5, 4), rng.uniform(1, 10)
    shapes = (hidden, n), (hidden,), (n, hidden), (n,)
    parameters = [rng.normal(size=shape) for shape in shapes]
    parameters[0] *= strength / np.sqrt(n)
    parameters[2] *= strength / np.sqrt(hidden)
    weights = rng.normal(size=n)

    @compiled
    def f(t, y, W1, b1, W2, b2):
        return W2 @ np.tanh(W1 @ y + b1) + b2

    squares, linear = lambda y: np.sum(y * y), lambda y: np.sum(weights * y)
    loss = squares if rng.integers(2) else linear
    return f, rng.normal(size=n), np.array([0.0, duration]), parameters, loss


def gradients(problem, **options):
    """Return dL/dy0 and dL/dtheta as vectors, and the warnings; None where the solve gives up."""
    f, y0, t, parameters, loss = problem

    def loss_of(y0, parameters):
        return loss(odeint(f, y0, t, *parameters, **options)[-1])

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            of_y0, of_parameters = value_and_grad(loss_of, (0, 1))(y0, parameters)[1]
        except SolverError as error:
            return None, [str(error)]
    vectors = of_y0, tree.ravel(of_parameters)[0]
    return vectors, [str(warning.message) for warning in said]


def measured(problem):
    """Return which gradients are off, which ones are named, whether anything is said, or all lost.

    A warning that names none speaks of both.
    """
    exact, _ = gradients(problem, gradient="discrete", method="dop853", rtol=1e-11, atol=1e-13)
    found, said = gradients(problem)
    if found is None:
        return (True, True), (True, True), True, True
    pairs = zip(found, exact)
    off = [bool(np.linalg.norm(g - e) > OFF * np.linalg.norm(e)) for g, e in pairs]
    words = " ".join(said)
    named = [name in words for name in NAMES]
    return off, named if any(named) else [bool(said)] * 2, bool(said), False


def main(seed):
    """Draw fields, and print how many gradients are off, missed, and warned of for nothing."""
    rng = np.random.default_rng(seed)
    cases = [measured(drawn(rng)) for _ in range(FIELDS)]
    off, named = [np.array(column) for column in zip(*[case[:2] for case in cases])]
    said = np.array([case[2] for case in cases])
    gave_up = sum(case[3] for case in cases)
    print(f"{FIELDS} drawn fields, seed {seed}; in {gave_up} of them the backward solve gives up")
    columns = [("any", off.any(axis=1), said)]
    columns += [(name, off[:, k], named[:, k]) for k, name in enumerate(NAMES)]
    for name, is_off, is_said in columns:
        missed, false = np.sum(is_off & ~is_said), np.sum(is_said & ~is_off)
        print(f"{name:10} off {np.sum(is_off):3}   missed {missed:3}   false alarms {false:3}")


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        main(seed)
