"""Draw the work-precision diagrams of all methods.

``python tests/benchmarks/work_precision.py`` makes ``figures/solvers_*.png``. Work is counted, not
timed, so the figures are the same on every machine: evaluations of f, and for implicit methods n
more for each Jacobian of n equations. The problems and their reference values are those of the
tests. SciPy's Radau and BDF are drawn beside ours, from ``scipy_work.json``; ``--scipy`` computes
that file anew, with the SciPy that is installed.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "solvers"))
from detest import PROBLEMS as DETEST
from stiff import PROBLEMS as STIFF

from tinyode import plotting, solve
from tinyode.solvers import SolverError
from tinyode.solvers.tableaus import TABLEAUS

MARKERS = "os^Dv<>pPX*hd"
MOST_STEPS = 30_000
OF_SCIPY = Path(__file__).with_name("scipy_work.json")


def work(solution, n):
    return solution.stats.nfev + n * solution.stats.jacobians


def curve(problem, method, settings):
    """Return work and error at the end, for each of the settings that the method gets through."""
    f, y0, end, T, scale = problem
    points = []
    for setting in settings:
        try:
            with np.errstate(all="ignore"):
                solution = solve(
                    f, np.array(y0), [0, T], method=method, max_steps=MOST_STEPS, **setting
                )
        except SolverError:
            continue
        points.append((work(solution, len(y0)), np.max(np.abs(solution.y[-1] - end) / scale)))
    return np.array(points).reshape(-1, 2)


def curve_of_scipy(problem, method, settings):
    """Return the same of a method of SciPy's, as lists."""
    from scipy.integrate import solve_ivp

    f, y0, end, T, scale = problem
    points = []
    for setting in settings:
        found = solve_ivp(f, (0, T), y0, method=method, t_eval=[T], **setting)
        error = np.max(np.abs(found.y[:, -1] - end) / scale)
        points.append((found.nfev + len(y0) * found.njev, float(f"{error:.3g}")))
    return points


def compute_scipy():
    """Write SciPy's curves of the stiff problems, with its version."""
    import scipy

    curves = {
        title: {name: curve_of_scipy(problem, name, TOLERANCES) for name in ("Radau", "BDF")}
        for title, problem in STIFF_PANELS.items()
    }
    OF_SCIPY.write_text(
        json.dumps({"version": scipy.__version__, "curves": curves}, indent=1), encoding="utf-8"
    )


def draw(axes, title, problem, methods, settings, others=None):
    axes.set_title(title)
    for n, method in enumerate(methods):
        points = curve(problem, method, settings)
        points = points[(points[:, 1] < 3) & (points[:, 1] > 0)]
        line = "--" if TABLEAUS[method].implicit else "-"
        axes.loglog(
            points[:, 1],
            points[:, 0],
            line,
            marker=MARKERS[n % len(MARKERS)],
            color=plotting.COLOURS[n % 6],
            markersize=5,
            linewidth=1.6,
            label=method if len(points) else f"{method}: over {MOST_STEPS:,} steps",
        )
    for style, (name, points) in zip((":", "-."), (others or {}).items()):
        points = np.array([(work, error) for work, error in points if error < 3])
        axes.loglog(points[:, 1], points[:, 0], style, color="0.45", linewidth=2.2, label=name)
    axes.invert_xaxis()
    axes.set_xlabel("error at the end")
    axes.set_ylabel("evaluations")
    axes.legend(fontsize=10, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.13))


def nonstiff(name, T=20.0):
    f, y0, end = DETEST[name]
    return f, y0, np.array(end), T, 1.0


def stiff(name, index):
    f, y0, times, states = STIFF[name]
    return f, y0, np.array(states[index]), times[index + 1], np.abs(states[index])


def main():
    """Draw both figures."""
    fixed = [name for name, tableau in TABLEAUS.items() if tableau.e is None]
    explicit = [
        name for name, tableau in TABLEAUS.items() if tableau.e is not None and not tableau.implicit
    ]
    implicit = [
        name for name, tableau in TABLEAUS.items() if tableau.e is not None and tableau.implicit
    ]
    steps = [{"step_size": 20.0 / n} for n in 2 ** np.arange(5, 14)]
    tolerances = [{"rtol": tol, "atol": tol} for tol in 10.0 ** -np.arange(2, 13)]
    figure, panels = plotting.panels(2, width=13, height=7)
    draw(panels[0], "fixed steps: a linear pursuit (DETEST E5)", nonstiff("E5", 20.0), fixed, steps)
    draw(
        panels[1],
        "adaptive steps: an orbit (DETEST D3)",
        nonstiff("D3"),
        explicit + implicit,
        tolerances,
    )
    plotting.save(
        figure,
        "solvers_work_precision",
        alt="Evaluations of f against the error at the end, on logarithmic axes, in two"
        " panels: methods with fixed steps on a linear pursuit, and adaptive methods"
        " on an orbit. Methods of equal order run side by side, and the higher the"
        " order, the fewer evaluations a small error takes.",
    )
    scipy = json.loads(OF_SCIPY.read_text(encoding="utf-8"))
    figure, panels = plotting.panels(2, width=13, height=7)
    for axes, (title, problem) in zip(panels, STIFF_PANELS.items()):
        others = scipy["curves"][title].items()
        others = {f"SciPy {scipy['version']}, {name}": points for name, points in others}
        draw(axes, title, problem, [*implicit, "dopri5", "bosh3"], TOLERANCES, others)
    plotting.save(
        figure,
        "solvers_stiff_work_precision",
        alt="Evaluations of f against the error at the end, on logarithmic axes, for two"
        " stiff problems: van der Pol's oscillator and HIRES. radau_iia5 needs about"
        " as many as SciPy's Radau and BDF or fewer, methods of lower order need more,"
        " and explicit methods take tens of thousands or give up.",
    )


STIFF_PANELS = {
    "stiff: van der Pol, mu = 1000, to t = 500": stiff("van_der_pol", 0),
    "stiff: HIRES, 8 equations": stiff("hires", 0),
}
TOLERANCES = [{"rtol": tol, "atol": 1e-6 * tol} for tol in 10.0 ** -np.arange(2, 10)]

if __name__ == "__main__":
    if "--scipy" in sys.argv:
        compute_scipy()
    main()
