"""Butcher tableaus: a Runge-Kutta method is data.

A method with s stages takes one step of size h from (t, y) by

    k_i = f(t + c_i h, y + h sum_j a_ij k_j),     i = 1 ... s
    y(t + h) ~ y + h sum_i b_i k_i

so the numbers a (a strictly lower triangular matrix for an explicit method), b and c say all there is to say (Hairer, Norsett and
Wanner, "Solving Ordinary Differential Equations I", 2nd edition, 1993, section II.1; below: HNW). An embedded method gives a second
set of weights on the same stages, of another order, and the difference of the two estimates the error:

    error = h sum_i e_i k_i,     e = b - b_hat

A new explicit method is a new entry here and nothing else.
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
    interpolant : array, shape (s, d), or None
        Coefficients of the dense output: y(t + theta h) ~ y + h sum_i b_i(theta) k_i, with b_i(theta) = sum_j interpolant[i, j-1] theta^j.
        None: cubic Hermite interpolation between y and f at both ends of the step.
    reference : str
    """

    name: str
    order: int
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    e: np.ndarray | None
    error_order: int | None
    interpolant: np.ndarray | None
    reference: str

    @property
    def stages(self):
        """The number of stages, s."""
        return len(self.b)

    @property
    def first_same_as_last(self):
        """Whether the last stage is f at the end of the step, and so the first of the next step."""
        return self.stages > 1 and self.c[-1] == 1.0 and np.array_equal(self.a[-1], self.b)


def numbers(line):
    """Read a row of fractions exactly: ``"1/2 -3"`` is [Fraction(1, 2), Fraction(-3)]."""
    return [Fraction(word) for word in line.split()]


def tableau(name, order, a, b, reference, c=None, b_hat=None, e=None, error_order=None, interpolant=None):
    """Write down an explicit method by the rows of its matrix, from the second one on.

    The nodes follow from the row sums, c_i = sum_j a_ij (HNW, equation II.1.9), taken exactly; ``c`` gives them where the rows are
    rounded decimals. The error estimate is given by its weights ``e``, or by the other method's, ``b_hat``.
    """
    b = numbers(b)
    rows = [[], *map(numbers, a)]
    c = [sum(row, Fraction(0)) for row in rows] if c is None else numbers(c)
    square = [row + [Fraction(0)] * (len(b) - len(row)) for row in rows]
    if b_hat is not None:
        e = [x - y for x, y in zip(b, numbers(b_hat))]
    elif e is not None:
        e = numbers(e)
    arrays = [None if x is None else np.array(x, dtype=float) for x in (square, b, c, e, interpolant)]
    for array in arrays:
        if array is not None:
            array.flags.writeable = False
    square, b, c, e, interpolant = arrays
    return Tableau(name, order, square, b, c, e, error_order, interpolant, reference)


def dopri5_interpolant(b):
    """Expand Hairer's continuous extension of dopri5 (HNW, section II.6, and the code DOPRI5) in powers of theta.

    y + theta [h sum b_i k_i + (1 - theta) [u + theta [v + (1 - theta) w]]], with u = h k_1 - h sum b_i k_i,
    v = h sum b_i k_i - h k_7 - u and w = h sum d_i k_i, for which f is not evaluated again.
    """
    d = numbers("-12715105075/11282082432 0 87487479700/32700410799 -10690763975/1880347072 701980252875/199316789632 "
                "-1453857185/822651844 69997945/29380423")
    rows = []
    for i, (b_i, d_i) in enumerate(zip(numbers(b), d)):
        u = (i == 0) - b_i
        v = b_i - (i == 6) - u
        # theta b + (theta - theta^2) u + (theta^2 - theta^3) v + (theta^2 - 2 theta^3 + theta^4) d
        rows.append([b_i + u, -u + v + d_i, -v - 2 * d_i, d_i])
    return rows


def tsit5_interpolant():
    """Expand Tsitouras's (2011) continuous extension, which he gives in factors, in powers of theta."""
    factors = [
        ["0 -1.0530884977290216", "-1.3299890189751412 1", "0.7139816917074209 -1.4364028541716351 1"],
        ["0 0 0.1017", "1.2949852507374631 -2.1966568338249754 1"],
        ["0 0 2.490627285651252793", "1.57803468208092486 -2.38535645472061657 1"],
        ["0 0 -16.54810288924490272", "-1.21712927295533244 1", "-0.61620406037800089 1"],
        ["0 0 47.37952196281928122", "-1.203071208372362603 1", "-0.658047292653547382 1"],
        ["0 0 -34.87065786149660974", "-1.2 1", "-2/3 1"],
        ["0 0 2.5", "-1 1", "-0.6 1"]]
    rows = [functools.reduce(np.convolve, [np.array(numbers(factor)) for factor in row]) for row in factors]
    return [row[1:] for row in rows]


TSIT5_B = "0.09646076681806523 0.01 0.4798896504144996 1.379008574103742 -3.290069515436081 2.324710524099774 0"
DOPRI5_B = "35/384 0 500/1113 125/192 -2187/6784 11/84 0"

TABLEAUS = {method.name: method for method in [
    tableau(
        "euler", 1, a=[], b="1",
        reference="Euler, Institutiones calculi integralis (1768); HNW, section I.7"),
    tableau(
        "midpoint", 2, a=["1/2"], b="0 1",
        reference="Runge (1895); HNW, equation II.1.4"),
    tableau(
        "heun", 2, a=["1"], b="1/2 1/2",
        reference="Heun (1900), the explicit trapezoidal rule; HNW, section II.1"),
    tableau(
        "ralston", 2, a=["2/3"], b="1/4 3/4",
        reference="Ralston (1962), the least bound of the error of all methods of two stages and order 2"),
    tableau(
        "rk4", 4, a=["1/2", "0 1/2", "0 0 1"], b="1/6 1/3 1/3 1/6",
        reference="Kutta (1901), 'the' Runge-Kutta method; HNW, table II.1.2"),
    tableau(
        "rk4_38", 4, a=["1/3", "-1/3 1", "1 -1 1"], b="1/8 3/8 3/8 1/8",
        reference="Kutta (1901), the 3/8 rule; HNW, table II.1.2"),
    tableau(
        "heun_euler", 2, a=["1"], b="1/2 1/2", b_hat="1 0", error_order=1,
        reference="Heun's method with Euler's in it"),
    tableau(
        "bosh3", 3, a=["1/2", "0 3/4", "2/9 1/3 4/9"], b="2/9 1/3 4/9 0", b_hat="7/24 1/4 1/3 1/8", error_order=2,
        reference="Bogacki and Shampine (1989); its dense output is Hermite's cubic"),
    tableau(
        "fehlberg45", 4,
        a=["1/4", "3/32 9/32", "1932/2197 -7200/2197 7296/2197", "439/216 -8 3680/513 -845/4104",
           "-8/27 2 -3544/2565 1859/4104 -11/40"],
        b="25/216 0 1408/2565 2197/4104 -1/5 0",
        b_hat="16/135 0 6656/12825 28561/56430 -9/50 2/55", error_order=4,
        reference="Fehlberg (1969), which advances by the method of order 4; HNW, table II.5.1"),
    tableau(
        "dopri5", 5,
        a=["1/5",
           "3/40 9/40",
           "44/45 -56/15 32/9",
           "19372/6561 -25360/2187 64448/6561 -212/729",
           "9017/3168 -355/33 46732/5247 49/176 -5103/18656",
           DOPRI5_B],
        b=DOPRI5_B,
        b_hat="5179/57600 0 7571/16695 393/640 -92097/339200 187/2100 1/40", error_order=4,
        interpolant=dopri5_interpolant(DOPRI5_B),
        reference="Dormand and Prince (1980); HNW, table II.5.2"),
    tableau(
        "tsit5", 5, c="0 0.161 0.327 0.9 0.9800255409045097 1 1",
        a=["0.161",
           "-0.008480655492356989 0.335480655492357",
           "2.8971530571054935 -6.359448489975075 4.3622954328695815",
           "5.325864828439257 -11.748883564062828 7.4955393428898365 -0.09249506636175525",
           "5.86145544294642 -12.92096931784711 8.159367898576159 -0.071584973281401 -0.028269050394068383",
           TSIT5_B],
        b=TSIT5_B,
        e="-0.00178001105222577714 -0.0008164344596567469 0.007880878010261995 -0.1447110071732629 0.5823571654525552 "
          "-0.45808210592918697 1/66",
        error_order=4, interpolant=tsit5_interpolant(),
        reference="Tsitouras (2011), Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption"),
]}


def find(method, name="method"):
    """Return the tableau of this name.

    Raises
    ------
    ValueError
        If there is none, with the nearest names.
    """
    if isinstance(method, str) and method in TABLEAUS:
        return TABLEAUS[method]
    import difflib  # seldom needed

    near = difflib.get_close_matches(str(method), TABLEAUS, n=3, cutoff=0.4)
    raise ValueError(f"{name}={method!r} is not known; " + (f"did you mean {' or '.join(map(repr, near))}? " if near else "")
                     + f"The methods are {', '.join(TABLEAUS)}")
