"""Formulas of other teaching material: as printed they fail, and corrected they hold.

The sources are named at the end of tutorials/SOURCES.md.
"""

import math

import numpy as np

from tinyode import grad, jacobian, root, solve
from tinyode.testing import central_difference


def driven_pendulum(t, z, theta):
    """A field that depends on everything."""
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


Z0, THETA, EXACT = np.array([1.2, 0.0]), np.array([2.0, 0.7]), {"rtol": 1e-11, "atol": 1e-12}


def along_the_adjoint(times, w):
    """Return z(t_i), dL/dz0, and three integrals from t_0 to t_N, for L = sum_i <w_i, z(t_i)>.

    They are those of a df/dz, a df/dtheta and a df/dt; the last one over each interval.
    """
    z = solve(driven_pendulum, Z0, times, THETA, method="dop853", **EXACT).y
    a, of_z, of_theta, of_t = w[-1], np.zeros(2), np.zeros(2), []

    def back(t, s):
        of_each = [jacobian(driven_pendulum, i)(t, s[0], THETA) for i in range(3)]
        in_t, in_z, in_theta = [s[1] @ J for J in of_each]
        return driven_pendulum(t, s[0], THETA), -in_z, -in_z, -in_theta, -in_t

    for i in range(len(times) - 1, 0, -1):
        s0 = (z[i], a, of_z, of_theta, np.array(0.0))
        s = solve(back, s0, [times[i], times[i - 1]], method="dop853", **EXACT).y
        a, of_z, of_theta = s[1][-1] + w[i - 1], s[2][-1], s[3][-1]
        of_t.insert(0, s[4][-1])
    return z, a, of_z, of_theta, np.array(of_t)


def by_differences(times, w):
    """Return dL/dz0, dL/dtheta and dL/dt of the same loss, by finite differences."""
    loss = lambda z0, theta, t: np.sum(
        w * solve(driven_pendulum, z0, t, theta, method="dop853", **EXACT).y
    )
    primals, found = (Z0, THETA, times), []
    for i, x in enumerate(primals):
        units = [
            tuple(e if k == i else 0 * y for k, y in enumerate(primals)) for e in np.eye(x.size)
        ]
        found.append(np.array([central_difference(loss, primals, v, h=1e-2) for v in units]))
    return found


def test_elsewhere_the_four_gradients_of_a_notebook():
    """Equations (10) to (13) of Surtsukov, as printed and corrected, with one interval."""
    times, w = np.array([0.0, 2.0]), np.array([[0.0, 0.0], [1.0, 0.8]])
    z, _, of_z, of_theta, of_t = along_the_adjoint(times, w)
    back_z, back_theta, back_t = -of_z, -of_theta, -of_t[0]  # the integrals from t1 to t0
    a1, f1 = w[-1], driven_pendulum(times[1], z[1], THETA)
    in_t = jacobian(driven_pendulum, 0)(times[1], z[1], THETA)
    dL_dz0, dL_dtheta, dL_dt = by_differences(times, w)
    for found, printed, corrected in (
        (dL_dz0, back_z, a1 - back_z),
        (dL_dtheta, back_theta, -back_theta),
        (dL_dt[0], back_t, -a1 @ f1 - back_t),
        (dL_dt[1], -a1 @ in_t, a1 @ f1),
    ):
        np.testing.assert_allclose(corrected, found, atol=1e-6)
        assert np.abs(printed - found).max() > 0.1


def test_elsewhere_the_gradients_for_times_of_a_notebook():
    """What Surtsukov's program returns for the times: right for t0 if there is no loss there."""
    times = np.array([0.0, 0.7, 1.5, 2.0])
    for at_t0 in (0.0, 0.8):
        w = np.array([[at_t0, 0.3 * at_t0], [0.5, 1.0], [-0.4, 0.7], [1.0, -0.5]])
        z, _, _, _, of_t = along_the_adjoint(times, w)
        slopes = [driven_pendulum(t, x, THETA) for t, x in zip(times, z)]
        of_w = np.array([x @ slope for x, slope in zip(w, slopes)])
        returned, carried = np.zeros(4), 0.0
        for i in (3, 2, 1):
            returned[i] = carried - of_w[i]
            carried = returned[i] + of_t[i - 1]
        returned[0] = carried - w[0] @ slopes[1]
        corrected = of_w.copy()
        corrected[0] = carried
        dL_dt = by_differences(times, w)[2]
        np.testing.assert_allclose(corrected, dL_dt, atol=1e-6)
        wrong = np.abs(returned - dL_dt) > 0.1
        assert wrong.tolist() == [at_t0 > 0, True, True, True]


def test_elsewhere_the_pendulum_of_a_course():
    """UvA: with +sin the energy of the pendulum is not kept; the code has -sin."""
    energy = lambda y: y[:, 1] ** 2 / 2 - np.cos(y[:, 0])
    for sign, kept in ((-1, True), (1, False)):
        f = lambda t, y, sign=sign: np.array([y[1], sign * np.sin(y[0])])
        of_path = energy(solve(f, np.array([1.0, 1.0]), np.linspace(0, 10, 50), rtol=1e-9).y)
        assert (np.ptp(of_path) < 1e-6) == kept


def test_elsewhere_the_second_slope_of_a_course():
    """UvA: the second slope of a method of Runge and Kutta, expanded in h.

    As printed it fails for k2 = f, as the text has it before, and for k2 = h f, as the code has it.
    """
    f, t, y, alpha, beta = lambda t, y: np.sin(t) * y**2, 0.4, 1.3, 0.5, 0.5
    f_t, f_y = grad(f, 0)(t, y), grad(f, 1)(t, y)
    errors = {"k2 = f": [], "k2 = h f": [], "corrected": []}
    for h in (0.02, 0.01):
        k1 = f(t, y)
        k2 = f(t + alpha * h, y + beta * h * k1)
        printed = h * (k1 + alpha * h * f_t + beta * k1 * f_y)
        errors["k2 = f"].append(abs(k2 - printed))
        errors["k2 = h f"].append(abs(h * k2 - printed))
        errors["corrected"].append(abs(k2 - (k1 + alpha * h * f_t + beta * h * k1 * f_y)))
    orders = [np.log2(coarse / fine) for coarse, fine in errors.values()]
    np.testing.assert_allclose(orders, [0, 1, 2], atol=0.1)  # and O(h^3) is claimed


def test_elsewhere_an_augmented_field_of_its_own_slope():
    """UvA: x' = f(x') with f = B x allows no motion, x' = f(x) does what was meant."""
    B = np.array([[0.0, 1.0, 0.5], [-1.0, 0.0, 0.2], [0.3, -0.4, -0.1]])
    start = np.array([1.0, -0.5, 0.0])  # two components, and a zero more
    slope = root(lambda s: s - B @ s, np.ones(3))
    np.testing.assert_allclose(slope, 0, atol=1e-9)
    end = solve(lambda t, x: B @ x, start, [0.0, 1.0]).y[-1]
    assert np.abs(end - start).max() > 0.5 and abs(end[2]) > 0.1


def test_elsewhere_the_jump_of_a_lecture():
    """18.337: the jump of the adjoint at data, and the integral that goes with it in reverse."""
    times, data = np.array([0.0, 0.7, 1.5]), np.array([[0.0, 0.0], [0.4, -0.8], [-0.6, 0.3]])
    z = solve(driven_pendulum, Z0, times, THETA, method="dop853", **EXACT).y
    loss = lambda theta: np.sum(
        (data - solve(driven_pendulum, Z0, times, theta, method="dop853", **EXACT).y)[1:] ** 2
    )
    found = [float(central_difference(loss, (THETA,), (e,), h=1e-2)) for e in np.eye(2)]
    printed, corrected = 2 * (data - z), 2 * (z - data)
    printed[0] = corrected[0] = 0.0
    of_printed, of_corrected = (along_the_adjoint(times, w)[3] for w in (printed, corrected))
    np.testing.assert_allclose(of_corrected, found, atol=1e-6)
    np.testing.assert_allclose(of_printed, np.negative(found), atol=1e-6)
    lam = lambda t: np.exp(-t)  # any function: solved in reverse, the integral has a minus
    appended = solve(lambda t, x: lam(t), np.array(0.0), [1.5, 0.0], **EXACT).y[-1]
    np.testing.assert_allclose(appended, -(1 - np.exp(-1.5)), atol=1e-9)
    negated = solve(lambda t, x: -lam(t), np.array(0.0), [1.5, 0.0], **EXACT).y[-1]
    np.testing.assert_allclose(negated, 1 - np.exp(-1.5), atol=1e-9)


def test_elsewhere_the_solutions_of_a_curriculum():
    """DFL, parts 1 and 2: Picard's iterates, a Taylor series, a characteristic polynomial."""
    p, q, t, terms = 0.7, 1.5, 0.8, np.arange(1, 3)
    factorials = [math.factorial(k) for k in range(5)]
    series = (1 + q / p) * np.sum((p * t) ** terms / factorials[1:3])
    second = 1 + (p + q) * t + p * (p + q) * t**2 / 2  # 1, put twice through Picard's integral
    np.testing.assert_allclose(1 + series, second, rtol=1e-12)
    assert abs(q / p + series - second) > 1

    def remainder(h, divisors):  # of e^x at 0, where each derivative is 1
        return abs(np.exp(h) - sum(h**k / divisor for k, divisor in enumerate(divisors)))

    for divisors, order in ((factorials, 5), ([1, 1, 1, 1, 1], 2)):
        ratio = remainder(0.02, divisors) / remainder(0.01, divisors)
        np.testing.assert_allclose(np.log2(ratio), order, atol=0.1)

    y = [2.0, 2.0, 2.0]  # constant, with f = 0: the method must go on with it
    for rho, consistent in (([1, 0, -2, 1], True), ([1, 0, -2, -1], False)):
        following = -(rho[1] * y[2] + rho[2] * y[1] + rho[3] * y[0])
        assert (following == 2.0) == consistent == np.isclose(np.polyval(rho, 1.0), 0)
        assert np.abs(np.roots(rho)).max() > 1.6  # not zero-stable


def test_elsewhere_the_derivative_of_a_matrix_exponential():
    """DFL, part 5: the short formula holds if A and dA/dp commute; a d/dt is missing."""
    A, T = np.array([[0.0, 1.0], [-2.0, -0.3]]), 1.3
    flow = lambda A, t: solve(lambda _, Y: A @ Y, np.eye(2), [0.0, t], **EXACT).y[-1]
    nodes, weights = np.polynomial.legendre.leggauss(12)
    times, weights = T * (nodes + 1) / 2, T * weights / 2
    for dA, commute in ((np.array([[0.0, 1.0], [0.0, 0.0]]), False), (A + np.eye(2), True)):
        found = central_difference(lambda p, dA=dA: flow(A + p * dA, T), (0.0,), (1.0,), h=1e-2)
        pieces = [w * flow(A, T - t) @ dA @ flow(A, t) for w, t in zip(weights, times)]
        np.testing.assert_allclose(sum(pieces), found, atol=1e-7)
        assert (np.abs(T * dA @ flow(A, T) - found).max() < 1e-6) == commute

    p, t = 0.7, 1.1  # u' = -p u, u(0) = 1
    u, u_p = np.exp(-p * t), -t * np.exp(-p * t)
    right_hand_side = -u - p * u_p
    np.testing.assert_allclose(grad(lambda t: -t * np.exp(-p * t))(t), right_hand_side)
    assert abs(u_p - right_hand_side) > 0.1
