"""SciPy's own tests of `solve_ivp`, with tinyode's `solve` in its place.

`python tests/benchmarks/scipy_tests.py` prints which of them pass. Those are set aside, with the
reason, that ask for what only SciPy has, or that do not call `solve_ivp` at all.
"""

import contextlib
import io
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from timing import PEERS

from tinyode import solve

EXPLICIT = {"RK23": "bosh3", "RK45": "dopri5", "DOP853": "dop853"}
STIFF = "radau_iia5"
TESTS = "scipy.integrate._ivp.tests.test_ivp"


def solve_ivp(
    fun,
    t_span,
    y0,
    method="RK45",
    t_eval=None,
    dense_output=False,
    events=None,
    vectorized=False,
    args=(),
    jac=None,
    jac_sparsity=None,
    max_step=np.inf,
    rtol=1e-3,
    atol=1e-6,
    first_step=None,
):
    """Call `tinyode.solve`, with the arguments and results of SciPy's `solve_ivp`.

    ``vectorized`` and ``jac_sparsity`` allow SciPy to call f less often; here they say nothing. Nor
    does ``dense_output``: it is always there.
    """
    set_aside_what_only_scipy_has(t_span, y0, rtol)
    method = EXPLICIT.get(getattr(method, "__name__", method), STIFF)
    solution = solve(
        lambda t, y, *args: np.reshape(np.array(fun(t, y, *args)), -1),
        np.array(y0, float),
        t_span,
        *args,
        method=method,
        rtol=np.array(rtol) if np.ndim(rtol) else rtol,
        atol=atol,
        first_step=first_step,
        max_step=max_step if np.isfinite(max_step) else None,
        jacobian=matrix_of(jac) if method == STIFF else None,
        event=events,
    )
    stats, is_matrix = solution.stats, jac is not None and not callable(jac)
    return SimpleNamespace(
        nfev=stats.nfev,
        njev=0 if is_matrix else stats.jacobians,
        nlu=stats.factorisations,
        **times_and_states(solution, t_eval),
        **events_of(solution, events, t_span),
    )


def set_aside_what_only_scipy_has(t_span, y0, rtol):
    """Skip the test that is running where its problem is none of ours."""
    for found, what in (
        (np.iscomplexobj(y0), "complex states"),
        (np.size(y0) == 0, "states without elements"),
        (t_span[0] == t_span[1], "intervals of length zero"),
        (np.isinf(t_span[1]), "intervals without an end"),
        (np.min(rtol) < 100 * np.finfo(float).eps, "a warning of an rtol below rounding"),
    ):
        if found:
            pytest.skip(f"only SciPy has {what}")


def matrix_of(jac):
    """Return the ``jacobian`` of `solve` for SciPy's: a function or a matrix, dense or sparse."""
    if jac is None:
        return None

    def jacobian(*arguments):
        J = jac(*arguments) if callable(jac) else jac
        return np.atleast_2d(J.toarray() if hasattr(J, "toarray") else J)

    return jacobian


def times_and_states(solution, t_eval):
    """Return t, y and sol: at the ends of steps, or at those times of t_eval that were reached."""
    steps = solution._dense.steps
    start, end = steps[0].t, steps[-1].t1
    t = [start, *(step.t1 for step in steps)] if t_eval is None else t_eval
    t = np.array([time for time in t if abs(time - start) <= abs(end - start)])
    sol = lambda t: solution(t).T
    return {"t": t, "y": sol(t), "sol": sol} if len(t) else {"t": [], "y": [], "sol": sol}


def events_of(solution, events, t_span):
    """Return the events, each with its own list, and how the solve ended."""
    status, message = 0, "The solver successfully reached the end of the integration interval."
    if solution.t[-1] != t_span[1]:
        status, message = 1, "A termination event occurred."
    ended = {"success": True, "status": status, "message": message}
    if events is None:
        return {**ended, "t_events": None, "y_events": None}
    found, number = solution.event, 1 if callable(events) else len(events)
    own = [np.flatnonzero(found.index == i) for i in range(number)]
    states = [found.y[i] if len(i) else np.array([]) for i in own]
    return {**ended, "t_events": [found.t[i] for i in own], "y_events": states}


class Results:
    """What pytest says of each test: passed, set aside or failed, and why."""

    def __init__(self):
        self.said, self.called = {"passed": {}, "set aside": {}, "failed": {}}, False

    def solve_ivp(self, *args, **kwargs):
        """Call our `solve_ivp`, and notice that it was called."""
        self.called = True
        return solve_ivp(*args, **kwargs)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item):
        """Put our function where the test finds SciPy's."""
        item.module.solve_ivp, self.called = self.solve_ivp, False

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """Keep what came of a test."""
        yield
        if call.when != "call":
            return
        kind, why = "passed", ""
        if call.excinfo is not None:
            lines = [entry for entry in call.excinfo.traceback if entry.path == item.path]
            kind, why = "failed", " ".join(str(lines[-1].statement).split())
            if call.excinfo.errisinstance(pytest.skip.Exception):
                kind, why = "set aside", str(call.excinfo.value)
            elif "Regex pattern did not match" in str(call.excinfo.value):
                kind, why = "set aside", "SciPy says the same error in other words"
        elif not self.called:
            kind, why = "set aside", "does not call solve_ivp"
        self.said[kind][item.name] = why


if __name__ == "__main__":
    if not PEERS["scipy"]:
        sys.exit("SciPy's own tests: scipy is missing")
    results = Results()
    with contextlib.redirect_stdout(io.StringIO()):
        # without the options of our own tests
        pytest.main(["-c", os.devnull, "--pyargs", TESTS, "-p", "no:cacheprovider"], [results])
    for kind, tests in results.said.items():
        print(f"{kind}: {len(tests)}")
        for name, why in tests.items():
            print(f"  {name}" + (f": {why}" if why else ""))
