"""Butcher tableaus: a Runge-Kutta method is data.

A method with s stages takes one step of size h from (t, y) by

    k_i = f(t + c_i h, y + h sum_j a_ij k_j),     i = 1 ... s
    y(t + h) ~ y + h sum_i b_i k_i

so the numbers a, b and c say all there is to say (Hairer, Norsett and Wanner, "Solving Ordinary
Differential Equations I", 2nd edition, 1993, section II.1; below: HNW). Where a is strictly lower
triangular each stage follows from those before it, and the method is explicit; otherwise stages are
solved for, singly where a is lower triangular, and all together where it is full (Hairer and Wanner
II, 2nd edition, 1996, chapter IV; below: HW). An embedded method gives a second set of weights on
the same stages, of another order, and the difference of the two estimates the error:

    error = h sum_i e_i k_i,     e = b - b_hat

Here is what a tableau is, and how one is written down; the methods themselves are in `tableaus`.
"""

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Tableau:
    """The numbers of one Runge-Kutta method.

    Attributes
    ----------
    name : str
    order : int
        p: the error of one step is O(h^(p+1)), of the solution O(h^p).
    a, b, c : arrays of shapes (s, s), (s,), (s,)
    e : array, shape (s,), or None
        Weights of the error estimate; None for a method without one, which runs at fixed steps.
    error_order : int or None
        The order of the error estimate's lower method, which decides how it scales with the step.
    interpolant : array, shape (s + x, d)
        Coefficients of the dense output: y(t + theta h) ~ y + h sum_i b_i(theta) k_i, with
        b_i(theta) = sum_j interpolant[i, j-1] theta^j.
    extra_a, extra_c : arrays, shapes (x, s + x), (x,)
        Rows of a, and nodes, for x more explicit stages, which the dense output alone needs.
    reference : str
    e3 : array, shape (s,), or None
        Weights of a second estimate, of lower order, which corrects the first: error^2 /
        sqrt(error^2 + 0.01 error3^2) (HNW, II.10.17).
    """

    name: str
    order: int
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    e: np.ndarray | None
    error_order: int | None
    interpolant: np.ndarray
    extra_a: np.ndarray
    extra_c: np.ndarray
    reference: str
    e3: np.ndarray | None = None

    @property
    def stages(self):
        """The number of stages, s."""
        return len(self.b)

    @functools.cached_property
    def first_same_as_last(self):
        """Whether the last stage is f at the end of the step, and so what the next step begins
        with.
        """
        return self.c[-1] == 1.0 and np.array_equal(self.a[-1], self.b)

    @functools.cached_property
    def implicit(self):
        """Whether stages depend on themselves or on later ones."""
        return bool(np.triu(self.a).any())


_exactly = functools.cache(Fraction)  # many entries come again


def numbers(line):
    """Read a row of fractions exactly: ``"1/2 -3"`` is [Fraction(1, 2), Fraction(-3)]; a row of
    floats is as exact as they are.
    """
    return [_exactly(word) for word in (line.split() if isinstance(line, str) else line)]


def tableau(
    name,
    order,
    a,
    b,
    reference,
    c=None,
    b_hat=None,
    e=None,
    error_order=None,
    interpolant=None,
    e3=None,
    extra=(),
    diagonal=None,
):
    """Write down a method by the rows of its matrix below the diagonal, from the second one on, and
    its ``diagonal`` if it is implicit.

    The nodes follow from the row sums, c_i = sum_j a_ij (HNW, equation II.1.9), taken exactly;
    ``c`` gives them where the rows are rounded decimals. The error estimate is given by its weights
    ``e``, or by the other method's, ``b_hat``. A method without an interpolant of its own gets
    Hermite's cubic, with the values and slopes of the step at both ends, of which it may have to
    evaluate the last.
    """
    b = numbers(b)
    rows = [[], *map(numbers, a)]
    if diagonal is not None:
        rows = [[*row, entry] for row, entry in zip(rows, numbers(diagonal))]
    c = [sum(row, Fraction(0)) for row in rows] if c is None else numbers(c)
    square = [row + [Fraction(0)] * (len(b) - len(row)) for row in rows]
    if b_hat is not None:
        e = [x - y for x, y in zip(b, numbers(b_hat))]
    elif e is not None:
        e = numbers(e)
    e3 = e3 and numbers(e3)
    extra = list(map(numbers, extra))
    if interpolant is None:
        if any(square[0]):
            raise ValueError(
                f"{name}: its first stage is not f at the beginning of the step, as Hermite's cubic"
                " needs; give one"
            )
        if c[-1] != 1 or square[-1] != b:
            extra = [b]
        interpolant = hermite(b + [Fraction(0)] * len(extra))
    extra_a = [row + [Fraction(0)] * (len(b) + len(extra) - len(row)) for row in extra]
    return frozen(
        name,
        order,
        square,
        b,
        c,
        e,
        error_order,
        interpolant,
        extra_a,
        [sum(row) for row in extra],
        reference,
        e3,
    )


def frozen(name, order, a, b, c, e, error_order, interpolant, extra_a, extra_c, reference, e3=None):
    """Return a `Tableau` of arrays that cannot be written."""
    extra_a = np.reshape(np.array(extra_a, float), (-1, len(interpolant)))
    arrays = [
        None if x is None else np.array(x, float)
        for x in (a, b, c, e, interpolant, extra_a, extra_c, e3)
    ]
    for array in arrays:
        if array is not None:
            array.flags.writeable = False
    a, b, c, e, interpolant, extra_a, extra_c, e3 = arrays
    return Tableau(
        name, order, a, b, c, e, error_order, interpolant, extra_a, extra_c, reference, e3
    )


def hermite(b):
    """Expand the cubic with values y, y + h sum b_i k_i and slopes k_1, k_s at the ends (HNW,
    equation II.6.7) in powers of theta.
    """
    ends = [[Fraction(i == 0), Fraction(i == len(b) - 1)] for i in range(len(b))]
    return [
        [first, 3 * x - 2 * first - last, first + last - 2 * x] for x, (first, last) in zip(b, ends)
    ]


def hairer_interpolant(b, *d):
    """Expand the continuous extensions of Hairer's codes DOPRI5 and DOP853 (HNW, sections II.6 and
    II.10) in powers of theta.

    y + theta [F0 + (1 - theta) [F1 + theta [F2 + (1 - theta) [F3 + ...]]]], where F0 = h sum b_i
    k_i is the step, F1 = h k_1 - F0, F2 = 2 F0 - h k_1 - h k_s with k_s = f at the end, and F3, ...
    = h sum d_i k_i.
    """
    b, *d = [np.array(numbers(row), float) for row in (b, *d)]
    b, first, last = [
        np.pad(x, (0, len(d[0]) - len(b))) for x in (b, np.eye(len(b))[0], np.eye(len(b))[-1])
    ]
    power, total = np.array([0.0, 1.0]), 0.0  # theta
    for number, part in enumerate([b, first - b, 2 * b - first - last, *d]):
        total = total + np.outer(part, np.pad(power[1:], (0, len(d) + 4 - len(power))))
        power = np.convolve(power, [1, -1] if number % 2 == 0 else [0, 1])
    return total


def tsit5_interpolant():
    """Expand Tsitouras's (2011) continuous extension, which he gives in factors, in powers of
    theta.
    """
    factors = [
        [
            "0 -1.0530884977290216",
            "-1.3299890189751412 1",
            "0.7139816917074209 -1.4364028541716351 1",
        ],
        ["0 0 0.1017", "1.2949852507374631 -2.1966568338249754 1"],
        ["0 0 2.490627285651252793", "1.57803468208092486 -2.38535645472061657 1"],
        ["0 0 -16.54810288924490272", "-1.21712927295533244 1", "-0.61620406037800089 1"],
        ["0 0 47.37952196281928122", "-1.203071208372362603 1", "-0.658047292653547382 1"],
        ["0 0 -34.87065786149660974", "-1.2 1", "-2/3 1"],
        ["0 0 2.5", "-1 1", "-0.6 1"],
    ]
    rows = [
        functools.reduce(np.convolve, [np.array(numbers(factor), float) for factor in row])
        for row in factors
    ]
    return [row[1:] for row in rows]


def collocation(name, order, c, reference):
    """Write down the method whose polynomial of degree s satisfies the differential equation at the
    nodes c (HNW, section II.7).

    a_ij = int_0^(c_i) l_j, b_j = int_0^1 l_j, with l_j the Lagrange polynomials of the nodes. The
    polynomial itself, with weights b_j(theta) = int_0^theta l_j, is the dense output.
    """
    s = len(c)
    l = np.linalg.inv(np.vander(c, increasing=True))  # column j: the coefficients of l_j
    integral = l.T / np.arange(1, s + 1)  # of theta^1, theta^2, ... in b_j(theta)
    a, b = [
        [
            [
                sum(coefficient * end**k for k, coefficient in enumerate(row, 1))
                for row in integral.tolist()
            ]
            for end in ends
        ]
        for ends in (c, [1.0])
    ]
    return frozen(name, order, a, b[0], c, None, None, integral, [], [], reference)
