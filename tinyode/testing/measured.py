"""The numbers of a one-step method, read off what its step asks of f.

f is called s times. Its j-th answer is made to be the j-th unit vector, and y another one. So each
state with which f is called, and the new state, show what they are made of:

    k_i = f(o_i t + c_i h, u_i y + h sum_j a_ij k_j),   the new state is   u y + h sum_j b_j k_j

In a Runge-Kutta method o_i, u_i and u are 1, and these numbers do not depend on t and h. A mistake
may leave out t, y or h, or take h twice: each term of the sums above is measured as a number times
a power of h.

`corrections` makes the usual mistakes backwards: it proposes methods that are of the right order
and differ from the measured one in few lines.
"""

import itertools
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..solvers.tableaus import TABLEAUS
from ..types import Array
from .trees import failing

CLOSE = 1e-7  # coefficients that are typed with eight decimals are right
MANY = 200  # a step that calls f more often, in an iteration for example, is not taken apart
TINY = 1e-13  # what is smaller is the rounding of a sum that is zero
SMALL, LARGE = 100, 10_000  # denominators: a number is a fraction up to the one, or a decimal
# number if six digits give it, or a fraction up to the other
STAGES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2, 3, 4)  # how much too far one may be
T, H, Y, K = 0, 1, 2, 3  # the columns: t, the time's h, y, and from here on k_1, k_2, ...


class Method(NamedTuple):
    """What a step is made of: a line for each evaluation of f, and one for the new state.

    Attributes
    ----------
    value, power : arrays, shape (s + 1, 3 + s)
        Each term is value h^power. Columns `T`, `H`: the time; `Y` and those from `K`: the state.
    """

    value: Array
    power: Array

    @property
    def a(self) -> Array:
        """The numbers a_ij, shape (s, s)."""
        return self.value[:-1, K:]

    @property
    def b(self) -> Array:
        """The weights, shape (s,)."""
        return self.value[-1, K:]

    @property
    def c(self) -> Array:
        """The nodes, shape (s,)."""
        return self.value[:-1, H]

    @property
    def plain(self) -> bool:
        """Whether it is a Runge-Kutta method: t, y and h stand where they belong."""
        right = runge_kutta(self.a, self.b, self.c)
        used = self.value != 0
        return bool(
            np.allclose(self.value, right.value, rtol=0, atol=CLOSE)
            and np.array_equal(self.power[used], right.power[used])
        )


def runge_kutta(a: Array, b: Array, c: Array) -> Method:
    """Return a Runge-Kutta method as a `Method`."""
    s = len(b)
    value = np.zeros((s + 1, K + s))
    value[:-1, T], value[:, Y] = 1, 1
    value[:-1, H], value[:-1, K:], value[-1, K:] = c, a, b
    return Method(value, np.broadcast_to([0, 1, 0, *[1] * s], value.shape))


class TooManyCalls(Exception):
    """f is called more often than on other fields."""


def measured(step: Callable[..., Any], s: int, h: float) -> Method | None:
    """Return the method of a step that calls f s times, or None if it is not of this kind.

    It is measured with the lengths h and h / 2.
    """
    if s > MANY:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            here = _asked(step, s, 0.0, h)
            shorter = _asked(step, s, 0.0, h / 2)
            later = _asked(step, s, 1.0, h)
    except Exception:  # an iteration, for example, that does not converge for such an f
        return None
    if not len(here) == len(shorter) == len(later) == s + 1:
        return None
    of_t, close = later[:, H] - here[:, H], CLOSE * abs(h)
    later[:, H] -= of_t
    if not np.allclose(later, here, rtol=0, atol=close):
        return None
    here[:, T] = shorter[:, T] = of_t
    used = np.abs(here) > close
    ratio = np.divide(here, shorter, out=np.ones_like(here), where=used & (shorter != 0))
    power = np.round(np.log2(np.maximum(ratio, CLOSE))).astype(int)
    power = np.where(used, power, runge_kutta(here[:-1, K:], here[-1, K:], here[:-1, H]).power)
    return Method(np.where(used, here / h**power, 0.0), power)


def _asked(step, s, t, h):
    """Return the times in column `H` and the states in the columns from `Y`; units are known."""
    units = np.eye(s + 1)
    rows: list[list[float]] = []

    def f(time, y):
        if len(rows) == s:
            raise TooManyCalls
        rows.append([0.0, float(time), *np.asarray(y)])
        return units[len(rows)].copy()

    end = step(f, t, units[0].copy(), h)
    return np.array([*rows, [0.0, 0.0, *np.asarray(end)]])


def replayed(method: Method, f: Callable[..., Any], t: float, y: Any, h: float) -> Any:
    """Return the state after one step of a method."""
    slopes: list[Any] = []
    for row in method.value * h**method.power:
        state = row[Y] * y + sum([x * k for x, k in zip(row[K:], slopes)], 0 * y)
        if len(slopes) < len(row) - K:
            slopes.append(f(row[T] * t + row[H], state))
    return state


def merged(method: Method) -> Method:
    """Return a method without evaluations of f that repeat an earlier one."""
    value, power = method
    for i in range(len(value) - 2, 0, -1):
        for j in range(i):
            if np.array_equal(value[i], value[j]) and np.array_equal(power[i], power[j]):
                value = value.copy()
                value[:, K + j] += value[:, K + i]
                value = np.delete(np.delete(value, i, 0), K + i, 1)
                power = np.delete(np.delete(power, i, 0), K + i, 1)
                break
    return Method(value, power)


def corrections(method: Method, order: int) -> list[Method]:
    """Return methods of an order that differ from this one in as few lines as possible.

    At most three. If the mistakes that are often made lead to none, the list is empty.
    """
    right = [
        near
        for near in _nearby(method, order)
        if failing(near.a, near.b, near.c, order, CLOSE) is None
    ]
    least = min([len(changed(method, near)) for near in right], default=0)
    found: list[Method] = []
    for near in right:
        known = any(np.allclose(near.value, x.value, rtol=0, atol=CLOSE) for x in found)
        if not known and len(changed(method, near)) == least:
            found.append(near)
    return found[:3]


def _nearby(method: Method, order: int) -> Iterator[Method]:
    """Yield Runge-Kutta methods that may have been meant."""
    a, b, c = method.a, method.b, method.c
    yield runge_kutta(a, b, c)
    sums = a.sum(axis=1)
    yield runge_kutta(a, b, sums)
    off = [i for i in range(1, len(b)) if abs(sums[i] - c[i]) > CLOSE]
    for some in [off, *[[i] for i in off]]:
        changed_a, changed_c = a.copy(), c.copy()
        for i in some:
            changed_c[i] = sums[i]
            if abs(sums[i]) > CLOSE:
                changed_a[i] *= c[i] / sums[i]
            else:  # y where the stage belongs
                changed_a[i, i - 1] = c[i]
        yield runge_kutta(changed_a, b, c)
        yield runge_kutta(a, b, changed_c)
    for row, j in itertools.product(off, range(len(b))):
        if j < row:
            changed_a = a.copy()
            changed_a[row, j] += c[row] - sums[row]
            yield runge_kutta(changed_a, b, c)
    yield from (runge_kutta(a, weights, c) for weights in _other_weights(b))
    for i, j, k in itertools.product(range(len(b)), repeat=3):
        if k < j < i and a[i, j] != a[i, k]:  # the slopes are exchanged
            changed_a = a.copy()
            changed_a[i, [j, k]] = a[i, [k, j]]
            yield runge_kutta(changed_a, b, c)
    for i, factor in itertools.product(range(1, len(b)), STAGES):
        scale = np.where(np.arange(len(b)) == i, factor, 1.0)
        yield runge_kutta(a * scale[:, None], b, c * scale)
    for tableau in TABLEAUS.values():
        if tableau.order >= order and tableau.stages == len(b) and not tableau.implicit:
            near = runge_kutta(tableau.a, tableau.b, tableau.c)
            if len(changed(method, near)) <= 2:
                yield near


def _other_weights(b):
    """Yield weights that add up to 1: all scaled, or one changed; and two exchanged."""
    if abs(b.sum()) > CLOSE:
        yield b / b.sum()
    for i, unit in enumerate(np.eye(len(b))):
        yield b + (1 - b.sum()) * unit
        for j in range(i):
            weights = b.copy()
            weights[[i, j]] = b[[j, i]]
            yield weights


def changed(method: Method, other: Method) -> list[int]:
    """Return the lines in which two methods differ."""
    return [i for i, (x, y) in enumerate(zip(lines(method), lines(other))) if x != y]


def lines(method: Method) -> list[str]:
    """Return a method as code, a line for each evaluation of f and one for the new state."""
    s = len(method.b)
    names = ["t", "", "y", *[f"k{j + 1}" for j in range(s)]]
    texts = []
    for row, powers in zip(method.value, method.power):
        terms = [_term(*term) for term in zip(row, powers, names)]
        texts.append((_sum(terms[:Y]), _sum(terms[Y:])))
    calls = [f"k{i + 1} = f({time}, {state})" for i, (time, state) in enumerate(texts[:-1])]
    return [*calls, f"return {texts[-1][1]}"]


def _sum(terms):
    text = " + ".join([term for term in terms if term]) or "0"
    return text.replace("+ -", "- ")


def _term(value, power, name):
    """Return value h^power name as code: ``2*h/3*k1``; nothing where the value is 0."""
    if abs(value) < TINY:
        return ""
    top, bottom = _ratio(value)
    factors = ["h" if power == 1 else f"h**{power}"] if power else []
    if top in ("1", "-1") and (factors or (bottom == 1 and name)):
        sign, numerator = top[:-1], "*".join(factors)
    else:
        sign, numerator = "", "*".join([top, *factors])
    number = f"{numerator}/{bottom}" if bottom != 1 else numerator
    return sign + "*".join([part for part in (number, name) if part])


def _ratio(value):
    """Return a number as a numerator, a text, and a denominator, an int."""
    for largest in (SMALL, LARGE):
        fraction = Fraction(float(value)).limit_denominator(largest)
        if abs(fraction - value) < TINY * max(1, abs(value)):
            return str(fraction.numerator), fraction.denominator
        if abs(float(f"{value:.6g}") - value) < TINY:
            break
    return f"{value:.6g}", 1
