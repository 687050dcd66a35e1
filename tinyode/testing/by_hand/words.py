"""What is wrong with a result, in words."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import tree
from ..differences import inner
from .points import Point, agree

ROUNDED = "which is the rounding of a shorter type"
SOME, LEAST = 100, 0.01  # roundings of a type that may add up, and where digits are really wrong


def form_in_words(result: Any, point: Point, names: list[str]) -> str | None:
    """Say what is wrong with the form of what is returned; None if nothing is.

    ``names`` are those of the arguments of f.
    """
    n, as_it_is = len(names), f"return value, ({', '.join([f'a_{name}' for name in names])},)"
    if n > 1:
        as_it_is = as_it_is.replace(",)", ")")
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        what = f"a tuple of {len(result)}" if isinstance(result, (tuple, list)) else _kind(result)
        return f"the function returns {what}; it must return a pair: {as_it_is}"
    value, cotangents = result
    if tree.flatten(value)[1] != tree.flatten(point.value)[1]:
        return f"the value is {_kind(value)}, that of f {_kind(point.value)}; it must be alike"
    if not isinstance(cotangents, (tuple, list)):
        return f"the cotangents are {_kind(cotangents)}; they must be a tuple: {as_it_is}"
    if len(cotangents) != n:
        return (
            f"the number of cotangents is {len(cotangents)}; there must be {n}, one for each"
            f" argument: {', '.join(names)}"
        )
    for name, c, x in zip(names, cotangents, point.cotangents):
        found, expected = tree.flatten(c)[1], tree.flatten(x)[1]
        if c is None and x is not None:
            return (
                f"the cotangent of {name} is None; derive it, or return zeros if f does not depend"
                f" on {name}"
            )
        if found != expected:
            return (
                f"the cotangent of {name} is {tree.describe(found)}; it must have the structure of"
                f" {name}, {tree.describe(expected)}"
            )
    return None


def _kind(x):
    if isinstance(x, np.ndarray):
        return "an array"
    return "None" if x is None else f"a {type(x).__name__}"


def order_in_words(points: list[Point], results: list, names: list[str]) -> str | None:
    """Say that the right cotangents are in a wrong order; None if that is not what is wrong."""
    point, (_, cotangents) = points[0], results[0]

    def same(x, y):
        (found, of_found), (expected, of_expected) = tree.flatten(x), tree.flatten(y)
        return of_found == of_expected and all(map(agree, found, expected))

    in_order = range(len(names))
    fits = [[j for j in in_order if same(x, point.cotangents[j])] for x in cotangents]
    order = [of_one[0] for of_one in fits if of_one]
    if sorted(order) != [*in_order] or order == [*in_order]:
        return None
    return (
        "the cotangents are right, but in another order: you return those of"
        f" {', '.join([names[j] for j in order])}; the order is that of the arguments,"
        f" {', '.join(names)}"
    )


def names_of_leaves(point: Point, names: list[str]) -> list[str]:
    """Return a name for each leaf of the value and of the cotangents."""
    leaves = [*_paths("the value", point.value)]
    for name, cotangent in zip(names, point.cotangents):
        leaves += [f"the cotangent of {path}" for path in _paths(name, cotangent)]
    return leaves


def _paths(path, x):
    if isinstance(x, dict):
        for key in sorted(x):
            yield from _paths(f"{path}[{key!r}]", x[key])
    elif isinstance(x, (tuple, list)):
        for i, item in enumerate(x):
            yield from _paths(f"{path}[{i}]", item)
    else:
        yield path


def leaf_in_words(name: str, found: Sequence, expected: Sequence, short: bool = False) -> str:
    """Say how a value or a cotangent is wrong.

    Parameters
    ----------
    name : str
    found, expected : sequences
        At each point.
    short : bool
        Whether to leave out the numbers.
    """
    x, y = next((x, y) for x, y in zip(found, expected) if not agree(x, y))
    if y is None:
        return f"{name} must be None or zero: it has no floating-point numbers (write 2.0 for 2)"
    if np.asarray(x).dtype.kind not in "fiub":
        return f"{name} is {x!r:.60}; it must be an array of real numbers"
    if np.shape(x) != np.shape(y):
        words = f"{name} has the shape {np.shape(x)}; it must have {np.shape(y)}"
        return words + _sum_in_words(np.asarray(x), y)
    rounded = _rounding_in_words(found, expected)
    if rounded:
        return f"{name} is {rounded}"
    words = f"{name} is wrong{_relation(found, expected)}"
    if short:
        return words
    text = lambda x: np.array2string(np.asarray(x), precision=4, threshold=20)
    return f"{words}: expected\n{text(y)}\n  got\n{text(x)}"


def _rounding_in_words(found, expected):
    """Say that numbers are right but for the rounding of a shorter type; None if they are not."""
    kind, wanted = (np.result_type(*arrays) for arrays in (found, expected))
    is_shorter = kind.kind == "f" and np.finfo(kind).eps > np.finfo(wanted).eps
    rounding = SOME * np.finfo(kind if is_shorter else np.float32).eps
    scales = [np.max(np.abs(y), initial=0.0) for y in expected]
    errors = [np.max(np.abs(x - y), initial=0.0) for x, y in zip(found, expected)]
    if not all([error <= min(rounding, LEAST) * scale for error, scale in zip(errors, scales)]):
        return None
    share = max([error / scale for error, scale in zip(errors, scales) if scale])
    where = f"It has the type {kind}" if is_shorter else "Is float32 used on the way?"
    return (
        f"off by {share:.0e} of its largest number, {ROUNDED}. {where} (f has {wanted}); compute"
        f" with {wanted}"
    )


def _sum_in_words(found, expected):
    """Say that a sum over axes makes it right: where x was broadcast, a cotangent is summed."""
    for k in range(1, found.ndim + 1):
        for axes in itertools.combinations(range(found.ndim), k):
            for keep in (False, True):
                if agree(np.sum(found, axis=axes, keepdims=keep), expected):
                    axis = axes[0] if len(axes) == 1 else axes
                    kept = ", keepdims=True" if keep else ""
                    return f"; it is right after np.sum(..., axis={axis}{kept}), since f broadcasts"
    return ""


def _relation(found, expected):
    """Say what the arrays are to the expected ones, if it is something simple."""
    if all([np.ndim(x) == 2 and agree(np.transpose(x), y) for x, y in zip(found, expected)]):
        return ", it is transposed"
    x, y = (np.concatenate([np.ravel(x) for x in arrays]) for arrays in (found, expected))
    if not np.any(x):
        return ", it is zero"
    size = inner(y, y)
    factor = inner(x, y) / size if size else 0.0
    if not size or not agree(x, factor * y):
        return f" by up to {np.max(np.abs(x - y)):.3g}"
    if abs(factor + 1) < 1e-6:
        return ", it has the wrong sign"
    return f", it is {factor:.6g} times what it should be"
