"""Stiff problems: time at equal error against SciPy's Radau and BDF, and where our time goes.

``python tests/benchmarks/stiff_solvers.py [problem ...] [--methods name ...]`` needs SciPy. Each
solver solves each problem at tolerances from 1e-2 to 1e-9. That gives the least time in which it
reaches an error, and so the ratio of ours to the faster one of SciPy's at the errors 1e-3 to 1e-7.
All are given f alone, written with NumPy as people write it, and no Jacobian.

HW is Hairer and Wanner II, section IV.10; Bari is the test set for IVP solvers of the university of
Bari (Mazzia and Magherini, release 2.4, 2008).
"""

import argparse
import cProfile
import pstats
import sys
import time
from pathlib import Path

import numpy as np
from timing import PEERS

sys.path.insert(0, str(Path(__file__).parents[1] / "solvers"))
from stiff import hires, oregonator, van_der_pol

import tinyode
from tinyode.solvers import SolverError


def pollution(t, y):
    """Return the rates of 20 substances in polluted air, 25 reactions (Bari, POLLU)."""
    r1, r2, r3 = 0.35 * y[0], 26.6 * y[1] * y[3], 1.23e4 * y[4] * y[1]
    r4, r5, r6 = 8.6e-4 * y[6], 8.2e-4 * y[6], 1.5e4 * y[6] * y[5]
    r7, r8, r9 = 1.3e-4 * y[8], 2.4e4 * y[8] * y[5], 1.65e4 * y[10] * y[1]
    r10, r11, r12 = 9e3 * y[10] * y[0], 0.022 * y[12], 1.2e4 * y[9] * y[1]
    r13, r14, r15 = 1.88 * y[13], 1.63e4 * y[0] * y[5], 4.8e6 * y[2]
    r16, r17, r18 = 3.5e-4 * y[3], 0.0175 * y[3], 1e8 * y[15]
    r19, r20, r21 = 4.44e11 * y[15], 1.24e3 * y[16] * y[5], 2.1 * y[18]
    r22, r23, r24 = 5.78 * y[18], 0.0474 * y[0] * y[3], 1.78e3 * y[18] * y[0]
    r25 = 3.12 * y[19]
    return np.array(
        [
            r2 + r3 + r9 + r11 + r12 + r22 + r25 - r1 - r10 - r14 - r23 - r24,
            r1 + r21 - r2 - r3 - r9 - r12,
            r1 + r17 + r19 + r22 - r15,
            r15 - r2 - r16 - r17 - r23,
            2 * r4 + r6 + r7 + r13 + r20 - r3,
            r3 + 2 * r18 - r6 - r8 - r14 - r20,
            r13 - r4 - r5 - r6,
            r4 + r5 + r6 + r7,
            -r7 - r8,
            r7 + r9 - r12,
            r8 + r11 - r9 - r10,
            r9,
            r10 - r11,
            r12 - r13,
            r14,
            r16 - r18 - r19,
            -r20,
            r20,
            r23 + r25 - r21 - r22 - r24,
            r24 - r25,
        ]
    )


def brusselator(t, y):
    """Return the rates of two substances that react and diffuse, at 40 points (HW, BRUSS)."""
    u, v = y.reshape(2, 40)
    diffusion = 41**2 / 50
    left, right = np.array([1.0]), np.array([1.0])
    all_u, all_v = np.concatenate([left, u, right]), np.concatenate([3 * left, v, 3 * right])
    reaction = u * u * v
    du = 1 + reaction - 4 * u + diffusion * (all_u[2:] - 2 * u + all_u[:-2])
    dv = 3 * u - reaction + diffusion * (all_v[2:] - 2 * v + all_v[:-2])
    return np.concatenate([du, dv])


POINTS = 20
ZETA = np.arange(1, POINTS + 1) / POINTS
ALPHA, BETA = 2 * (ZETA - 1) ** 3 / 16, (ZETA - 1) ** 4 / 16


def medical_akzo(t, y):
    """Return the rates of antibodies that enter a tissue, at 20 points (Bari, MEDAKZO)."""
    u, v = y.reshape(2, POINTS)
    below = np.concatenate([np.array([2.0 if t <= 5 else 0.0]), u[:-1]])
    above = np.concatenate([u[1:], u[-1:]])
    reaction = 100 * u * v
    drift = ALPHA * (above - below) * (POINTS / 2)
    return np.concatenate(
        [drift + BETA * (below - 2 * u + above) * POINTS**2 - reaction, -reaction]
    )


def e5(t, y):
    """Return the rates of a pyrolysis, whose quantities are 1e-3 to 1e-25 (HW, E5)."""
    a, b, c = 7.89e-10 * y[0], 1.1e7 * y[0] * y[2], 1.13e9 * y[1] * y[2]
    d = 1.13e3 * y[3]
    return np.array([-a - b, a - c, a - b - c + d, b - d])


POLLUTED = np.zeros(20)
POLLUTED[[1, 3, 6, 7, 8, 16]] = 0.2, 0.04, 0.1, 0.3, 0.01, 0.007
GRID = np.arange(1, 41) / 41

# f, y0, the end, atol / rtol, the least size that an error is relative to
PROBLEMS = {
    "HIRES": (hires, [1.0, 0, 0, 0, 0, 0, 0, 0.0057], 321.8122, 1e-4, 0.0),
    "POLLU": (pollution, POLLUTED, 60.0, 1e-6, 1e-8),
    "Oregonator": (oregonator, [1.0, 2.0, 3.0], 360.0, 1e-6, 0.0),
    "Brusselator": (
        brusselator,
        np.concatenate([1 + np.sin(2 * np.pi * GRID), np.full(40, 3.0)]),
        10.0,
        1.0,
        0.0,
    ),
    "van der Pol": (van_der_pol, [2.0, 0.0], 2000.0, 1e-3, 0.0),
    "Medical Akzo": (medical_akzo, np.repeat([0.0, 1.0], POINTS), 20.0, 1e-3, 1e-3),
    "E5": (e5, [1.76e-3, 0.0, 0.0, 0.0], 1e5, 1e-15, 0.0),
}
ERRORS = 10.0 ** -np.arange(3, 8)
TOLERANCES = 10.0 ** -np.arange(2, 9.5, 0.5)


def by_tinyode(method):
    def run(f, y0, end, **tolerances):
        return tinyode.solve(f, y0, [0.0, end], method=method, **tolerances).y[-1]

    return run


def by_scipy(method):
    from scipy.integrate import solve_ivp

    def run(f, y0, end, **tolerances):
        found = solve_ivp(f, (0.0, end), y0, method=method, t_eval=[end], **tolerances)
        if not found.success:
            raise SolverError(found.message, 0.0, 0.0)
        return found.y[:, -1]

    return run


def points(run, problem, exact, repeats=3):
    """Return (error, time) for each tolerance that the solver gets through."""
    f, y0, end, absolute, floor = problem
    found = []
    for tol in TOLERANCES:
        best = np.inf
        try:
            for _ in range(repeats):
                start = time.perf_counter()
                with np.errstate(all="ignore"):
                    y = run(f, y0, end, rtol=tol, atol=absolute * tol)
                best = min(best, time.perf_counter() - start)
        except SolverError:
            continue
        error = np.max(np.abs(y - exact) / np.maximum(np.abs(exact), floor))
        found.append((error, best))
    return np.array(found).reshape(-1, 2)


def times_at(found):
    """Return the time for each of ERRORS: between points by the logarithms, NaN beyond them."""
    found = found[np.argsort(found[:, 1])]
    least = np.minimum.accumulate(found[:, 0])
    kept = np.concatenate([[True], least[1:] < least[:-1]])
    errors, seconds = np.log(found[kept, 0]), np.log(found[kept, 1])
    return np.exp(
        np.interp(np.log(ERRORS), errors[::-1], seconds[::-1], left=np.nan, right=seconds[0])
    )


def shares(problem, method):
    """Return of a solve at 1e-4 which part of its time Jacobians are, and of its steps failures."""
    f, y0, end, absolute, _ = problem
    profile, options = cProfile.Profile(), {"rtol": 1e-4, "atol": absolute * 1e-4}
    solution = profile.runcall(tinyode.solve, f, y0, [0.0, end], method=method, **options)
    entries, count = pstats.Stats(profile), solution.stats
    of_jacobians = sum(
        row[3]
        for (file, _, name), row in entries.stats.items()
        if Path(file).name == "jacobian.py" and name in ("by_engine", "by_differences")
    )
    steps = count.accepted + count.rejected + count.newton_failures
    return of_jacobians / entries.total_tt, count.newton_failures / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="*", default=["radau_iia5", "kvaerno5"])
    chosen = parser.parse_args()
    if not PEERS["scipy"]:
        print("stiff problems: scipy is missing")
        return
    print("time relative to the faster of SciPy's Radau and BDF, at the errors 1e-3 ... 1e-7;")
    print("at rtol 1e-4: which part of our time Jacobians are, of our steps Newton's failures")
    every = {method: [] for method in chosen.methods}
    for name in chosen.problems:
        f, y0, end, absolute, floor = PROBLEMS[name]
        problem = f, np.array(y0), end, absolute, floor
        with np.errstate(all="ignore"):
            exact = by_scipy("Radau")(f, y0, end, rtol=1e-12, atol=1e-12 * absolute)
        solvers = {m: by_tinyode(m) for m in chosen.methods}
        solvers |= {m: by_scipy(m) for m in ("Radau", "BDF")}
        seconds = {m: times_at(points(run, problem, exact)) for m, run in solvers.items()}
        fastest = np.fmin(seconds["Radau"], seconds["BDF"])
        print(f"  {name:12} SciPy " + " ".join(f"{1e3 * t:6.1f}" for t in fastest) + " ms")
        for method in chosen.methods:
            ratios = seconds[method] / fastest
            every[method] += ratios.tolist()
            print(
                f"    {method:12} "
                + " ".join(f"{ratio:5.2f}" for ratio in ratios)
                + "   {:4.0%}, {:4.0%}".format(*shares(problem, method))
            )
    for method, ratios in every.items():
        print(f"{method}: worst {np.nanmax(ratios):.2f}, median {np.nanmedian(ratios):.2f}")


if __name__ == "__main__":
    main()
