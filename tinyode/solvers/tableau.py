"""Butcher tableaus: a Runge-Kutta method is data.

A method with s stages takes one step of size h from (t, y) by

    k_i = f(t + c_i h, y + h sum_j a_ij k_j),     i = 1 ... s
    y(t + h) ~ y + h sum_i b_i k_i

so the numbers a, b and c say all about it (Hairer, Norsett and Wanner, "Solving Ordinary
Differential Equations I", 2nd edition, 1993, section II.1; below: HNW). If a is strictly lower
triangular, each stage follows from those before it, and the method is explicit. Otherwise it is
implicit: stages are the unknowns of equations, one stage at a time if a is lower triangular, all
together if a is full (Hairer and Wanner II, 2nd edition, 1996, chapter IV; below: HW).

An embedded method has a second set of weights b_hat on the same stages, of another order. The
difference of the two results estimates the error:

    error = h sum_i e_i k_i,     e = b - b_hat

This file says what a tableau is, and how one is written down; the methods are in `tableaus`.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Tableau:
    """The numbers of one Runge-Kutta method, in arrays that cannot be written.

    Attributes
    ----------
    name : str
    order : int
        p: the error of one step is O(h^(p+1)), of the solution O(h^p).
    a, b, c : arrays of shapes (s, s), (s,), (s,)
    interpolant : array, shape (s + x, d)
        Coefficients of the dense output: y(t + theta h) ~ y + h sum_i b_i(theta) k_i, with
        b_i(theta) = sum_j interpolant[i, j-1] theta^j.
    extra_a, extra_c : arrays, shapes (x, s + x), (x,)
        Rows of a, and nodes, for x more explicit stages, which the dense output alone needs.
    reference : str
    e : array, shape (s,), or None
        Weights of the error estimate; None for a method without one, which runs at fixed steps.
    error_order : int or None
        The order of the error estimate's lower method, which decides how it scales with the step.
    e3 : array, shape (s,), or None
        Weights of a second estimate, of lower order, which corrects the first: error^2 /
        sqrt(error^2 + 0.01 error3^2) (HNW, II.10.17).
    filter : float or None
        gamma, where the estimate is (I - h gamma J)^-1 h sum e_i k_i, with J = df/dy. This keeps
        stiff components, which the method damps, from counting (HW, equation IV.8.19).
    """

    name: str
    order: int
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    interpolant: np.ndarray
    extra_a: np.ndarray
    extra_c: np.ndarray
    reference: str
    e: np.ndarray | None = None
    error_order: int | None = None
    e3: np.ndarray | None = None
    filter: float | None = None

    def __post_init__(self):
        for name in ("a", "b", "c", "interpolant", "e", "e3", "extra_a", "extra_c"):
            value = getattr(self, name)
            if value is not None:
                array = np.array(value, float)
                if name == "extra_a":
                    array = array.reshape(-1, len(self.interpolant))
                array.flags.writeable = False
                object.__setattr__(self, name, array)

    @property
    def stages(self):
        """The number of stages, s."""
        return len(self.b)

    @functools.cached_property
    def first_same_as_last(self):
        """Whether the last stage is f at the end of the step: the first stage of the next step."""
        return self.c[-1] == 1.0 and np.array_equal(self.a[-1], self.b)

    @functools.cached_property
    def implicit(self):
        """Whether stages depend on themselves or on later ones."""
        return bool(np.triu(self.a).any())

    @functools.cached_property
    def weights(self):
        """The rows of a, then b, e and e3 (zeros where there is none), shape (s + 3, s)."""
        none = np.zeros(self.stages)
        return np.vstack([self.a, self.b, *[none if x is None else x for x in (self.e, self.e3)]])


_exactly = functools.cache(Fraction)  # many entries come again


def exact(line):
    """Read a row of fractions exactly: ``"1/2 -3"`` is [Fraction(1, 2), Fraction(-3)].

    A row of floats is as exact as they are.
    """
    return [_exactly(word) for word in (line.split() if isinstance(line, str) else line)]


def padded(rows, length):
    """Return rows of numbers with zeros after them, up to a length."""
    return [row + [Fraction(0)] * (length - len(row)) for row in rows]


def tableau(
    name,
    order,
    a,
    b,
    c=None,
    b_hat=None,
    e=None,
    e3=None,
    interpolant=None,
    extra=(),
    diagonal=None,
    **others,
):
    """Write down a method; a row of numbers is a list, or a text of fractions with spaces between.

    Parameters
    ----------
    name, order
        See `Tableau`.
    a : list of rows
        The matrix below its diagonal, from the second row on.
    b : row
    c : row, optional
        By default c_i = sum_j a_ij (HNW, equation II.1.9), exactly. To be given where the rows are
        rounded decimals.
    b_hat, e, e3 : rows, optional
        The error estimate, by the other method's weights or by its own; and the second estimate.
    interpolant : array, or function that returns it, optional
        By default Hermite's cubic, with the values and slopes of the step at both ends. For the
        last slope f may have to be evaluated once more.
    extra : list of rows
        ``extra_a`` of `Tableau`.
    diagonal : row, optional
        The diagonal of an implicit method's matrix.
    **others
        ``error_order`` and ``reference``.
    """
    rows, b = [[], *map(exact, a)], exact(b)
    if diagonal is not None:
        rows = [[*row, entry] for row, entry in zip(rows, exact(diagonal))]
    c = [sum(row, Fraction(0)) for row in rows] if c is None else exact(c)
    rows, extra = padded(rows, len(b)), [*map(exact, extra)]
    if b_hat is not None:
        e = [x - y for x, y in zip(b, exact(b_hat))]
    else:
        e = e and exact(e)
    interpolant = interpolant() if callable(interpolant) else interpolant
    if interpolant is None:
        if any(rows[0]):
            raise ValueError(
                f"{name}: its first stage is not f at the beginning of the step, as Hermite's cubic"
                " needs; give one"
            )
        if c[-1] != 1 or rows[-1] != b:
            extra = [b]
        interpolant = hermite(*padded([b], len(b) + len(extra)))
    extra_a, extra_c = padded(extra, len(b) + len(extra)), [sum(row) for row in extra]
    others |= {"e": e, "e3": e3 and exact(e3)}
    return Tableau(name, order, rows, b, c, interpolant, extra_a, extra_c, **others)


def hermite(b):
    """Expand Hermite's cubic in powers of theta (HNW, equation II.6.7).

    It has the values y and y + h sum b_i k_i, and the slopes k_1 and k_s, at the ends.
    """
    rows = []
    for i, b_i in enumerate(b):
        first, last = Fraction(i == 0), Fraction(i == len(b) - 1)
        rows.append([first, 3 * b_i - 2 * first - last, first + last - 2 * b_i])
    return rows


def hairer_interpolant(b, *d):
    """Expand the dense output of Hairer's codes in powers of theta (HNW, sections II.6 and II.10).

    It is y + theta [F0 + (1 - theta) [F1 + theta [F2 + (1 - theta) [F3 + ...]]]], where F0 = h sum
    b_i k_i is the step, F1 = h k_1 - F0, F2 = 2 F0 - h k_1 - h k_s with k_s = f at the end, and F3,
    ... = h sum d_i k_i.
    """
    b, *d = [np.array(exact(row), float) for row in (b, *d)]
    unit = np.eye(len(b))
    b, first, last = [np.pad(x, (0, len(d[0]) - len(b))) for x in (b, unit[0], unit[-1])]
    power, total = np.array([0.0, 1.0]), 0.0  # theta
    for n, part in enumerate([b, first - b, 2 * b - first - last, *d]):
        total = total + np.outer(part, np.pad(power[1:], (0, len(d) + 4 - len(power))))
        power = np.convolve(power, [0, 1] if n % 2 else [1, -1])
    return total


def stage_interpolant(rows, diagonal, kept):
    """Combine the slope k_1 and stage values Y_i of an implicit method into a quartic.

    y(t + theta h) ~ y + w_1 h k_1 + sum_i w_i (Y_i - y), with w(theta) from six conditions:

        w_1 + sum_i w_i c_i = theta            sum_i w_i c_i^2       = theta^2
        sum_i w_i c_i^3     = theta^3          sum_i w_i 3 (A c^2)_i = theta^3
        sum_i w_i 4 (A c^3)_i = theta^4        sum_i w_i 12 (A A c^2)_i = theta^4

    All but the third are the order conditions up to 4 (HNW, section II.6) of a method with A c =
    c^2 / 2. The third is for very stiff components: their Y_i are what the solution is at t + c_i h
    (HW, section IV.15), so a solution that is a cubic is met. The slopes at both ends, from which
    Hermite's cubic is made, are less right there.

    Parameters
    ----------
    rows, diagonal
        As those of `tableau`. The first stage is explicit.
    kept : list of int
        The six stages that take part, counted from 0. The first stands for its slope, k_1.
    """
    a = np.diag(np.array(exact(diagonal), float))
    for i, row in enumerate(rows, 1):
        a[i, :i] = exact(row)
    c = a.sum(axis=1)
    conditions = np.array([c, c**2, c**3, 3 * a @ c**2, 4 * a @ c**3, 12 * a @ a @ c**2])
    conditions[0, 0] = a[0, 0] = 1.0  # h k_1 in place of Y_1 - y, which is 0
    w = np.linalg.solve(conditions[:, kept], np.eye(4)[[0, 1, 2, 2, 3, 3]])
    return a[kept].T @ w


def factored_interpolant(*rows):
    """Expand weights b_i(theta), each given by its factors, in powers of theta."""
    factors = [[np.array(exact(factor), float) for factor in row] for row in rows]
    return [functools.reduce(np.convolve, row)[1:] for row in factors]


def collocation(name, order, c, reference, estimate=False):
    """Write down the method that makes a polynomial satisfy the equation at the nodes c.

    The polynomial has degree s (HNW, section II.7): a_ij = int_0^(c_i) l_j, b_j = int_0^1 l_j, with
    l_j the Lagrange polynomials of the nodes. The polynomial itself, with weights b_j(theta) =
    int_0^theta l_j, is the dense output. With ``estimate`` it gets one from `with_first_slope`.
    """
    s = len(c)
    l = np.linalg.inv(np.vander(c, increasing=True))  # column j: the coefficients of l_j
    integral = l.T / np.arange(1, s + 1)  # row j: those of theta^1, theta^2, ... in b_j(theta)

    def weights(theta):
        return [sum(q * theta**n for n, q in enumerate(row, 1)) for row in integral.tolist()]

    a = [*map(weights, c)]
    method = Tableau(name, order, a, weights(1.0), c, integral, [], [], reference)
    return with_first_slope(method) if estimate else method


def with_first_slope(method):
    """Give a method of Radau IIA an error estimate: HW, equations IV.8.16 to IV.8.20.

    No weights on its s stages give a second result of order s. So k_0 = f(t, y) becomes one more
    stage, on which the method itself does not depend. Its weight is gamma, the real eigenvalue of
    A. The other weights then follow from the conditions of order s, sum_i b_hat_i c_i^(n - 1) = 1 /
    n. The difference of the results is multiplied by (I - h gamma J)^-1, a matrix that Newton's
    method has already.
    """
    s, (gamma,) = method.stages, [x.real for x in np.linalg.eigvals(method.a) if x.imag == 0]
    conditions = np.vander(method.c, increasing=True).T
    right = 1 / np.arange(1.0, s + 1) - gamma * (np.arange(s) == 0)
    e = method.b - np.linalg.solve(conditions, right)
    return replace(
        method,
        a=np.pad(method.a, ((1, 0), (1, 0))),
        b=np.append(0.0, method.b),
        c=np.append(0.0, method.c),
        interpolant=collocation("", 0, [0.0, *method.c], "").interpolant,
        e=np.append(-gamma, e),
        error_order=s,
        filter=gamma,
    )


class Methods(Mapping[str, Tableau]):
    """The methods by name. A tableau is made when it is first asked for.

    To make all of them would take a quarter of the time that it takes to import `tinyode.odeint`.
    """

    def __init__(self, entries):
        self._makers, self._made = dict(entries), {}

    def __getitem__(self, name):
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name):
        return name in self._makers

    def __iter__(self):
        return iter(self._makers)

    def __len__(self):
        return len(self._makers)


def later(make):
    """Return a function with the arguments of ``make`` that returns the name and the call."""
    return lambda name, *args, **others: (name, functools.partial(make, name, *args, **others))
