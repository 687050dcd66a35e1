"""The methods' numbers: order conditions from the tableau alone, so no wrong digit can hide."""

from fractions import Fraction

import numpy as np
import pytest

from tinyode.solvers.tableau import tableau
from tinyode.solvers.tableaus import TABLEAUS, find

METHODS = list(TABLEAUS.values())
IMPLICIT = {
    "implicit_euler",
    "implicit_midpoint",
    "trapezoid",
    "sdirk2",
    "gauss_legendre4",
    "gauss_legendre6",
    "radau_iia3",
    "radau_iia5",
    "trbdf2",
    "kvaerno3",
    "kvaerno5",
}
COLLOCATION = [
    TABLEAUS[name]
    for name in (
        "implicit_euler",
        "implicit_midpoint",
        "trapezoid",
        "gauss_legendre4",
        "gauss_legendre6",
        "radau_iia3",
        "radau_iia5",
    )
]


def order_conditions(a, weights, c, order):
    """Yield (found, required) for every rooted tree up to this order.

    See HNW I, table II.2.1 and section II.2. The weights are b or b(theta).
    """
    ac, acc = a @ c, a @ (c * c)
    yield weights.sum(), 1
    if order >= 2:
        yield weights @ c, 1 / 2
    if order >= 3:
        yield from [(weights @ c**2, 1 / 3), (weights @ ac, 1 / 6)]
    if order >= 4:
        yield from [
            (weights @ c**3, 1 / 4),
            (weights @ (c * ac), 1 / 8),
            (weights @ acc, 1 / 12),
            (weights @ (a @ ac), 1 / 24),
        ]
    if order >= 5:
        yield from [
            (weights @ c**4, 1 / 5),
            (weights @ (c**2 * ac), 1 / 10),
            (weights @ (c * acc), 1 / 15),
            (weights @ (c * (a @ ac)), 1 / 30),
            (weights @ ac**2, 1 / 20),
            (weights @ (a @ c**3), 1 / 20),
            (weights @ (a @ (c * ac)), 1 / 40),
            (weights @ (a @ acc), 1 / 60),
            (weights @ (a @ (a @ ac)), 1 / 120),
        ]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_order_conditions(method):
    np.testing.assert_allclose(method.a.sum(axis=1), method.c, atol=1e-14)
    assert method.implicit == (method.name in IMPLICIT)
    for found, required in order_conditions(method.a, method.b, method.c, method.order):
        assert abs(found - required) < 1e-14
    for k in range(
        1, method.order + 1
    ):  # B(p), which is all that is checked here of orders above 5; the rest by slopes
        assert abs(method.b @ method.c ** (k - 1) - 1 / k) < 1e-14
    if method.order < 5:  # and it has no higher order than it says
        assert any(
            abs(found - required) > 1e-3
            for found, required in order_conditions(method.a, method.b, method.c, method.order + 1)
        )


@pytest.mark.parametrize("method", [m for m in METHODS if m.e is not None], ids=lambda m: m.name)
def test_the_error_estimate_is_of_the_order_it_says(method):
    b_hat = method.b - method.e
    if (
        method.e3 is not None
    ):  # dop853 has two estimates, of orders 5 and 3, and h^6 h^6 / h^4 is h^8
        for estimate, order in ((method.e, 5), (method.e3, 3)):
            for found, required in order_conditions(method.a, method.b - estimate, method.c, order):
                assert abs(found - required) < 1e-14
            assert abs((method.b - estimate) @ method.c**order - 1 / (order + 1)) > 1e-4
        return
    for found, required in order_conditions(method.a, b_hat, method.c, method.error_order):
        assert abs(found - required) < 1e-14
    assert any(
        abs(found - required) > 1e-5
        for weights in (method.b, b_hat)  # Fehlberg advances by the lower of the two
        for found, required in order_conditions(method.a, weights, method.c, method.error_order + 1)
    )


@pytest.mark.parametrize("method", COLLOCATION, ids=lambda m: m.name)
def test_collocation(method):
    """C(s), sum_j a_ij c_j^(k-1) = c_i^k / k, and the same of the dense output.

    The tables that the books print, too.
    """
    s = method.stages - (method.filter is not None)  # the first stage is for the estimate
    k = np.arange(1, s + 1)
    powers = method.c[:, None] ** (k - 1)
    np.testing.assert_allclose(method.a @ powers, method.c[:, None] ** k / k, atol=1e-15)
    k = np.arange(1, method.stages + 1)
    powers = method.c[:, None] ** (k - 1)
    for theta in np.linspace(0, 1, 7):
        np.testing.assert_allclose(method.interpolant @ theta**k @ powers, theta**k / k, atol=1e-15)
    np.testing.assert_allclose(method.interpolant.sum(axis=1), method.b, atol=1e-15)


def test_collocation_against_the_tables_in_the_books():
    """HNW, tables II.7.3 and II.7.4; HW, tables IV.5.5 and IV.5.6."""
    r3, r6, r15 = np.sqrt([3, 6, 15])
    tables = {
        "gauss_legendre4": [[1 / 4, 1 / 4 - r3 / 6], [1 / 4 + r3 / 6, 1 / 4]],
        "gauss_legendre6": [
            [5 / 36, 2 / 9 - r15 / 15, 5 / 36 - r15 / 30],
            [5 / 36 + r15 / 24, 2 / 9, 5 / 36 - r15 / 24],
            [5 / 36 + r15 / 30, 2 / 9 + r15 / 15, 5 / 36],
        ],
        "radau_iia3": [[5 / 12, -1 / 12], [3 / 4, 1 / 4]],
        "radau_iia5": [
            [(88 - 7 * r6) / 360, (296 - 169 * r6) / 1800, (-2 + 3 * r6) / 225],
            [(296 + 169 * r6) / 1800, (88 + 7 * r6) / 360, (-2 - 3 * r6) / 225],
            [(16 - r6) / 36, (16 + r6) / 36, 1 / 9],
        ],
    }
    for name, a in tables.items():
        first = find(name).stages - len(a)
        np.testing.assert_allclose(find(name).a[first:, first:], a, atol=1e-15)


@pytest.mark.parametrize(
    "name, at_infinity",
    [
        ("implicit_euler", 0),
        ("implicit_midpoint", -1),
        ("trapezoid", -1),
        ("sdirk2", 0),
        ("gauss_legendre4", 1),
        ("gauss_legendre6", -1),
        ("radau_iia3", 0),
        ("radau_iia5", 0),
        ("trbdf2", 0),
        ("kvaerno3", 0),
        ("kvaerno5", 0),
    ],
)
def test_implicit_methods_are_A_stable(name, at_infinity):
    """R(z) = 1 + z b^T (I - z A)^-1 1 is at most 1 on the imaginary axis and left of it.

    It is 0 at infinity if the method is L-stable.
    """
    method = find(name)
    R = lambda z: (
        1
        + z
        * method.b
        @ np.linalg.solve(np.eye(method.stages) - z * method.a, np.ones(method.stages))
    )
    for size in 10.0 ** np.linspace(-3, 3, 61):
        for angle in np.linspace(np.pi / 2, 3 * np.pi / 2, 13):
            assert abs(R(size * np.exp(1j * angle))) < 1 + 1e-9
    np.testing.assert_allclose(R(-1e9), at_infinity, atol=1e-6)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_hermites_cubic_where_a_method_has_nothing_better(method):
    """Values and slopes at both ends are exactly those of the step.

    They are y, y1 and k_1 = f(t, y), the last stage or one more f(t1, y1).
    """
    better = ("sdirk2", "dopri5", "tsit5", "dop853", "kvaerno5")
    if method in COLLOCATION or method.name in better:
        return
    s, x = method.stages, len(method.extra_a)
    assert x == (0 if method.first_same_as_last else 1) and method.interpolant.shape == (s + x, 3)
    b, first, last = np.append(method.b, [0] * x), np.eye(s + x)[0], np.eye(s + x)[-1]
    np.testing.assert_allclose(method.interpolant @ [1, 1, 1], b, atol=1e-15)
    np.testing.assert_allclose(method.interpolant @ [1, 0, 0], first, atol=1e-15)
    np.testing.assert_allclose(method.interpolant @ [1, 2, 3], last, atol=1e-15)
    if x:
        np.testing.assert_array_equal(method.extra_a, [b])
        assert method.extra_c == [1.0]


@pytest.mark.parametrize(
    "method", [find(name) for name in ("dopri5", "tsit5", "dop853")], ids=lambda m: m.name
)
def test_the_interpolant_meets_the_order_conditions_everywhere(method):
    """b(theta) must satisfy each condition of order k with its right side times theta^k.

    It must be b at the end, and C1 at both ends.
    """
    powers, more = (
        np.arange(1, method.interpolant.shape[1] + 1),
        len(method.interpolant) - method.stages,
    )
    a = np.pad(method.a, ((0, more), (0, more)))
    a[method.stages :] = method.extra_a
    b, c = np.pad(method.b, (0, more)), a.sum(axis=1)
    for theta in np.linspace(0, 1, 7):
        weights = method.interpolant @ theta**powers
        orders = [1, 2, 3, 3, 4, 4, 4, 4]
        for order, (found, required) in zip(orders, order_conditions(a, weights, c, 4)):
            assert abs(found - required * theta**order) < 1e-12
        for k in range(1, powers[-1] + 1 if more else 5):
            assert abs(weights @ c ** (k - 1) - theta**k / k) < 1e-12
    np.testing.assert_allclose(method.interpolant.sum(axis=1), b, atol=1e-12)
    first, last = np.eye(len(b))[0], np.eye(len(b))[method.stages - 1]
    np.testing.assert_allclose(method.interpolant[:, 0], first, atol=1e-12)
    np.testing.assert_allclose(method.interpolant @ powers, last, atol=1e-12)


def test_the_interpolant_of_kvaerno5_meets_order_4_and_stiff_cubics():
    """b(theta) satisfies each condition up to order 4, with its right side times theta^order.

    A component that is very stiff follows phi(t), whatever A makes of it: Y_i = phi(t + c_i h). Its
    polynomial is phi where that is a cubic. And the weights are no larger than those of a step.
    """
    method = find("kvaerno5")
    for theta in np.linspace(0, 1, 7):
        weights = method.interpolant @ theta ** np.arange(1, 5)
        orders = [1, 2, 3, 3, 4, 4, 4, 4]
        for order, (found, required) in zip(
            orders, order_conditions(method.a, weights, method.c, 4)
        ):
            assert abs(found - required * theta**order) < 1e-13
        assert np.abs(weights).max() <= np.abs(method.b).max() + 1e-13
        for phi in (np.poly1d([1.0, 0, 0, 0]), np.poly1d([2.0, -3, 1, 5])):
            first = phi.deriv()(0)  # the other slopes are those that make the stage values right
            after = phi(method.c[1:]) - phi(0) - method.a[1:, 0] * first
            slopes = np.append(first, np.linalg.solve(method.a[1:, 1:], after))
            assert abs(phi(0) + weights @ slopes - phi(theta)) < 1e-12
    np.testing.assert_allclose(method.interpolant.sum(axis=1), method.b, atol=1e-14)


def test_the_interpolant_of_dopri5_against_the_form_in_the_code():
    """b_1(theta) as HNW write it out, equation II.6.12 in the first edition's form.

    At theta = 1/2 it is exact in fractions.
    """
    b1 = sum(
        Fraction(x).limit_denominator(10**13) * Fraction(1, 2) ** j
        for j, x in enumerate(find("dopri5").interpolant[0], 1)
    )
    theta = Fraction(1, 2)
    d1 = Fraction(-12715105075, 11282082432)
    b, u = Fraction(35, 384), 1 - Fraction(35, 384)
    by_hand = theta * (b + (1 - theta) * (u + theta * (b - u + (1 - theta) * d1)))
    assert abs(float(b1 - by_hand)) < 1e-14


def test_the_estimate_of_radau_against_the_form_in_the_book():
    """HW, equation IV.8.18: gamma_0 h f(x_0, y_0) + e_1 z_1 + e_2 z_2 + e_3 z_3, with z = h A k."""
    method, r6 = find("radau_iia5"), np.sqrt(6)
    gamma = 1 / ((6 + 81 ** (1 / 3) - 9 ** (1 / 3)) / 30) ** -1
    of_z = gamma / 3 * np.array([-13 - 7 * r6, -13 + 7 * r6, -1])
    np.testing.assert_allclose(method.filter, gamma, rtol=1e-14)
    np.testing.assert_allclose(-method.e, [gamma, *(of_z @ method.a[1:, 1:])], atol=1e-14)


def test_unknown_methods_are_refused_with_the_nearest_names():
    with pytest.raises(ValueError, match="method='dopri' is not known; did you mean 'dopri5'"):
        find("dopri")
    with pytest.raises(
        ValueError,
        match=(
            r"The methods are euler, midpoint, heun, ralston, rk4, rk4_38, heun_euler, bosh3,"
            r" fehlberg45, "
        ),
    ):
        find(None)


def test_a_method_that_hermites_cubic_does_not_fit_is_refused():
    with pytest.raises(
        ValueError,
        match="its first stage is not f at the beginning of the step, as Hermite's cubic needs",
    ):
        tableau("sdirk", 1, a=["1/2"], b="1/2 1/2", diagonal="1/2 1/2", reference="none")
