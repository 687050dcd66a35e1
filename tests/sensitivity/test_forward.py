"""Forward sensitivities: one solve gives all rows of a Jacobian."""

import numpy as np
import pytest

from tinyode import compiled, grad, jacobian, odeint, vjp


def epidemic(t, y, rates):
    new = rates[0] * y[0] * y[1]
    return np.stack([-new, new - rates[1] * y[1]])


Y0, T, RATES = np.array([0.99, 0.01]), np.linspace(0.0, 10.0, 15), np.array([1.6, 0.5])


@pytest.mark.parametrize("options", [{}, {"method": "kvaerno3"}, {"method": "rk4"}])
def test_all_rows_of_a_jacobian_come_from_one_solve(options):
    calls = []

    def f(t, y, rates):
        calls.append(t)
        return epidemic(t, y, rates)

    solution = lambda *p, **o: odeint(f, *p, gradient="forward", **options)
    grad(lambda *p: np.sum(solution(*p)))(Y0, T, RATES)
    calls.clear()
    grad(lambda *p: np.sum(solution(*p)), (0, 1, 2))(Y0, T, RATES)
    once = len(calls)
    calls.clear()
    rows = jacobian(solution, (0, 1, 2))(Y0, T, RATES)
    assert len(calls) == once
    for i, j in ((0, 0), (3, 1), (14, 0)):
        one = grad(lambda *p, i=i, j=j: solution(*p)[i, j], (0, 1, 2))(Y0, T, RATES)
        for row, expected in zip(rows, one):
            np.testing.assert_array_equal(row[i, j], expected)


@pytest.mark.parametrize("f", [epidemic, compiled(epidemic)])
def test_what_is_kept_belongs_to_what_is_wanted_and_to_one_solve(f):
    """The derivative of a gradient, and that gradient again, at the same and at other points."""

    def solution(y0, rates):
        return odeint(f, y0, T, rates, gradient="forward", rtol=1e-8)[-1, 1]

    exact = lambda y0, rates: odeint(f, y0, T, rates, gradient="discrete", rtol=1e-8)[-1, 1]
    for function in (solution, exact):
        _, pullback = vjp(lambda y0, rates: grad(function, (0, 1))(y0, rates), Y0, RATES)
        seeds = (np.array([1.0, 0.0]), np.array([0.0, 2.0]))
        twice = [pullback(seeds), pullback(seeds)]
        np.testing.assert_array_equal(twice[0][1], twice[1][1])
        if function is solution:
            found = twice[0]
    for a, b in zip(found, twice[0]):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    for rates in (RATES, 0.9 * RATES):
        np.testing.assert_allclose(
            grad(solution, 1)(Y0, rates), grad(exact, 1)(Y0, rates), rtol=1e-5
        )
