"""Equations f(u, p) = 0 with a cost g(u), which `check_root_adjoint` lets a student differentiate.

    f(u, p) = A u + tanh(B u + C p) - c,        g(u) = w^T u + u^T u / 2

A is the unit matrix plus a matrix of norm 0.4, and B has the norm 0.4. So df/du, which is not
symmetric, has singular values between 0.2 and 1.8: there is one root. Newton's method finds it, and
so does u <- u - f(u, p).
"""

from typing import Any, NamedTuple

import numpy as np

from ...autodiff import grad
from ...autodiff.numpy_calls import plain
from ...sensitivity.algebraic import root
from ...types import Array
from ..differences import central_difference

NORM = 0.4
# The differences were within 1e-11 of the library's gradients, relative to 1 + |gradient|, at this
# step, on 160 problems.
H, RTOL_OF_DIFFERENCES = 1e-3, 1e-9


class RootProblem(NamedTuple):
    """The arrays of a problem, with n unknowns and m parameters."""

    A: Array
    B: Array
    C: Array
    c: Array
    w: Array
    u0: Array
    p: Array

    def f(self, u: Any, p: Any) -> Any:
        """Return the residuals, shape (n,)."""
        return self.A @ u + np.tanh(self.B @ u + self.C @ p) - self.c

    def g(self, u: Any) -> Any:
        """Return the cost, a number."""
        return self.w @ u + u @ u / 2

    def solution(self, p: Array | None = None) -> Array:
        """Return u."""
        return root(self.f, self.u0, self.p if p is None else p, tol=1e-13)

    def with_idle_parameters(self, more: int) -> "RootProblem":
        """Return the same problem with more parameters, on which nothing depends."""
        C = np.concatenate([self.C, np.zeros((len(self.c), more))], axis=1)
        return self._replace(C=C, p=np.concatenate([self.p, np.ones(more)]))

    def with_idle_unknowns(self, more: int) -> "RootProblem":
        """Return the same problem with more unknowns, each of which is 1 in an equation of its own.

        Methods find these in one iteration, so they take no more iterations than before.
        """
        n, m = self.C.shape
        A, B, C = np.eye(n + more), np.zeros((n + more, n + more)), np.zeros((n + more, m))
        A[:n, :n], B[:n, :n], C[:n] = self.A, self.B, self.C
        c, w, u0 = [np.concatenate([x, np.ones(more)]) for x in (self.c, self.w, self.u0)]
        return self._replace(A=A, B=B, C=C, c=c, w=w, u0=u0)

    def __str__(self):
        arrays = [f"    {name} = np.array({x.tolist()})" for name, x in self._asdict().items()]
        functions = [
            "    f = lambda u, p: A @ u + np.tanh(B @ u + C @ p) - c",
            "    g = lambda u: w @ u + u @ u / 2",
        ]
        return "\n".join([*arrays, *functions])


def drawn_problem(n: int, m: int, seed: int) -> RootProblem:
    """Draw a problem with n unknowns and m parameters; its numbers have two decimals."""
    rng = np.random.default_rng(seed)

    def of_norm(norm, *shape):
        x = rng.normal(size=shape)
        return norm * x / np.linalg.norm(x, 2)

    A, B, C = np.eye(n) + of_norm(NORM, n, n), of_norm(NORM, n, n), of_norm(1.0, n, m)
    c, w, u0, p = [rng.uniform(0.3, 1.5, k) * rng.choice([-1, 1], k) for k in (n, n, n, m)]
    return RootProblem(*[np.round(x, 2) for x in (A, B, C, c, w, u0, p)])


def expected_gradient(problem: RootProblem) -> Array:
    """Return dg/dp by finite differences, after the library's has been found the same."""
    cost = lambda p: problem.g(problem.solution(p))
    units = np.eye(len(problem.p))
    differences = np.array([central_difference(cost, (problem.p,), (v,), h=H) for v in units])
    library = grad(lambda p: problem.g(root(problem.f, problem.u0, p, tol=1e-13)))(problem.p)
    if not np.allclose(differences, library, rtol=RTOL_OF_DIFFERENCES, atol=RTOL_OF_DIFFERENCES):
        raise RuntimeError(
            "check_root_adjoint: the library's own gradient is not that of finite differences:\n"
            f"{library}, {differences}\n{problem}"
        )
    return differences


class Seen:
    """A problem's f and g, which remember how often they were called, and where g was last."""

    def __init__(self, problem: RootProblem):
        self.problem, self.calls = problem, {"f": 0, "g": 0}
        self.last: Array | None = None

    def f(self, u, p):
        """Return the residuals."""
        self.calls["f"] += 1
        return self.problem.f(u, p)

    def g(self, u):
        """Return the cost."""
        self.calls["g"] += 1
        value = plain(u)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            self.last = value
        return self.problem.g(u)
