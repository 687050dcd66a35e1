"""`check_by_hand`: is this vector-Jacobian product, derived with pen and paper, right?

What it returns is compared with the engine's at several points (`points`). If something is wrong
and the code is straight-line, it is taken apart (`lines`), each small change of a line is made
(`edits`, `contributions`), and the one that makes the result right is told (`suspect`).
"""

import contextlib
import inspect
import io
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from ... import tree
from ...types import Tree
from .lacking import lack, last_right, must_be
from .lines import copied, taken_apart, text_and_function
from .points import points_near
from .suspect import case_of, corrections
from .words import form_in_words, leaf_in_words, names_of_leaves, order_in_words


def check_by_hand(function: Callable | str, f: Callable, *example: Tree) -> None:
    """Hold a vector-Jacobian product that you have derived by hand against the engine's.

        def layer_by_hand(z, W, a):
            f = np.tanh(z @ W)
            a_u = a * (1 - f * f)
            return f, (a_u @ W.T, z.T @ a_u)

        check_by_hand(layer_by_hand, lambda z, W: np.tanh(z @ W), z, W)

    Names, the order of the lines, the number of operations in a line and equal algebra make no
    difference, since numbers are compared.

    Parameters
    ----------
    function : function, or str with the source of one
        Of the arguments of f and, last, the cotangent a of its value. It returns the value, and a
        tuple with one cotangent a^T df/dx for each argument x, of the structure and shape of x. A
        source finds NumPy as ``np``.
    f : function
    *example : arrays, or containers of arrays
        Arguments of f. What is compared are three random points near them.

    Raises
    ------
    AssertionError
        If the value or a cotangent is wrong, missing, in another order or of another shape, or if
        an argument has been written into. Where the code has no branch and no loop, the message
        names the lines that are wrong, counted from the line of ``def``, and what they should be,
        if a small change of a line makes the result right.
    ValueError
        If f is not finite near the example, or no argument has floating-point numbers.
    TypeError
        If one of the two is no function, or f cannot be differentiated.

    Notes
    -----
    A leaf of the arguments that has no floating-point numbers is a constant. Its cotangent is None
    or zero. Every other cotangent must be derived, also one that is zero.
    """
    if not callable(f):
        raise TypeError(f"check_by_hand: f must be a function; got {f!r:.60}")
    if not callable(function) and not isinstance(function, str):
        raise TypeError(
            f"check_by_hand: give a function, or the source of one; got {function!r:.60}"
        )
    _, call = text_and_function(function)
    *names, seed = _names(call, example)
    points = points_near(f, example)
    for point in points:
        words, error = _wrong_at(point, call, names, seed)
        if words is not None or error is not None:
            raise AssertionError(_message(words, error, function, points, names)) from error


def _names(call, example):
    """Return the student's names for the arguments of f and the cotangent of the value."""
    signature = inspect.signature(call)
    try:
        signature.bind(*example, None)
    except TypeError:
        raise AssertionError(
            f"the function takes {signature}; it must take the {len(example)} arguments of f and,"
            " last, the cotangent of the value"
        ) from None
    names = [x.name for x in signature.parameters.values()]
    if len(names) != len(example) + 1:  # as of *args
        names = [f"argument {i + 1}" for i in range(len(example) + 1)]
    return names


def _wrong_at(point, call, names, seed):
    """Return what is wrong at a point: words that are enough, or a result or an error to explain.

    The words are "" where the result has the right form.
    """
    given = copied({"args": point.args, "seed": point.seed})
    args = [*given["args"], given["seed"]]
    try:
        result = call(*args)
    except Exception as error:
        return "", error
    for name, x, before in zip([*names, seed], args, [*point.args, point.seed]):
        if not all(map(np.array_equal, tree.flatten(x)[0], tree.flatten(before)[0])):
            return f"the function has written into its argument {name}; work on a copy", None
    words = form_in_words(result, point, names)
    if words is not None:
        return words, None
    value, cotangents = result
    if all(point.right((value, tuple(cotangents)))):
        return None, None
    return order_in_words(result, point, names) or "", None


def _message(words, error, function, points, names):
    """Say what is wrong, which line makes it so, and what the line should be."""
    if words:
        return words
    text, call = text_and_function(function)
    with quiet():
        code = taken_apart(function)
        lines, is_clear = _lines_in_words(code, points, names) if code else ([], False)
        if error is not None:
            details = "" if is_clear else f": {error}"
            said = [f"the function fails with {type(error).__name__}{details}"]
        else:
            said = _results_in_words(call, points, names, is_clear)
    if code is None and inspect.isfunction(call) and text is None:
        lines = ["(give the source of the function as a str to be told which line it is)"]
    return "\n".join([*said, *lines])


def _results_in_words(call, points, names, is_clear):
    """Say which results are wrong, and how; without the numbers where it is clear what to do."""
    found, expected, right = [], [], []
    for point in points:
        value, cotangents = call(*copied({"args": point.args})["args"], point.seed)
        result = value, tuple(cotangents)
        found.append(tree.flatten(result)[0])
        expected.append(tree.flatten((point.value, point.cotangents))[0])
        right.append(point.right(result))
    words = []
    by_leaf = [zip(*rows) for rows in (found, expected, right)]
    for name, x, y, is_right in zip(names_of_leaves(points[0], names), *by_leaf):
        if not all(is_right):
            words.append(leaf_in_words(name, x, y, is_clear))
    return words


def _lines_in_words(code, points, names):
    """Return what can be said of the lines, and whether that is all that is wrong."""
    found, case = corrections(case_of(code, points), ["slip"])
    if all(case.right):
        return [*map(str, found)], True
    lacks = lack(case)
    if lacks:
        more, _ = corrections(case, only=lacks.i)
        return [*map(str, found), str(lacks), *[f"    it is {x.new}" for x in more]], True
    more, case = corrections(case)
    said = [*map(str, found + more)]
    if all(case.right):
        return said, True
    wrong = must_be(case)
    if wrong:
        line, name, has, right = wrong
        what = leaf_in_words(f"it must be the cotangent of {name}, but", has, right)
        return [*said, f"line {line.number}: {line.text}\n    {what}"], True
    if said:
        leaves = zip(names_of_leaves(points[0], names), case.right)
        still = [name for name, is_right in leaves if not is_right]
        return [*said, f"after that, still wrong: {', '.join(still)}"], False
    seed = code.parameters[-1]
    if not any([seed in line.reads() for line in code.lines]):
        return [f"{seed} is used nowhere: the cotangent of the value is a factor of each"], False
    line = last_right(case)
    return [f"right up to line {line.number}: {line.text}"] if line else [], False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Print nothing and warn of nothing: most changes of a line make no sense."""
    with (
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
