"""`check_by_hand`: is this vector-Jacobian product, derived with pen and paper, right?

What it returns is compared with the engine's at several points (`points`, `words`). If something
is wrong and the code is straight-line, it is taken apart (`lines`), each small change of a line is
made (`edits`), and the one that makes the result right is told (`suspect`). If none does, a line is
looked for that lacks a contribution of the engine's (`contributions`, `lacking`).
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
from .words import ROUNDED, form_in_words, leaf_in_words, names_of_leaves, order_in_words


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

    To find the line, the function is run some thousand times; a small example is enough.
    """
    if not callable(f):
        raise TypeError(f"check_by_hand: f must be a function; got {f!r:.60}")
    if not callable(function) and not isinstance(function, str):
        raise TypeError(
            f"check_by_hand: give a function, or the source of one; got {function!r:.60}"
        )
    text, call = text_and_function(function)
    names, points = _names(call, f, example), points_near(f, example)
    try:
        results = [_result(call, point, names) for point in points]
    except AssertionError:
        raise
    except Exception as error:
        lines, is_clear = _lines_in_words(text, call, points, names[:-1])
        details = "" if is_clear else f": {error}"
        said = f"the function fails with {type(error).__name__}{details}"
        raise AssertionError("\n".join([said, *lines])) from error
    if all([point.is_right(result) for point, result in zip(points, results)]):
        return
    words = order_in_words(points, results, names[:-1])
    words = words or _rounding_in_words(text, call, points, results, names[:-1])
    if words is None:
        lines, is_clear = _lines_in_words(text, call, points, names[:-1])
        words = _wrong_in_words(points, results, names[:-1], lines, is_clear)
    raise AssertionError(words)


def _names(call, f, example):
    """Return names for the arguments of f and the cotangent of its value.

    They are the student's, or those of f where the student's function takes *args.
    """
    signature = inspect.signature(call)
    try:
        signature.bind(*example, None)
    except TypeError:
        raise AssertionError(
            f"the function takes {signature}; it must take {len(example) + 1} arguments: those of"
            " f and, last, the cotangent of the value"
        ) from None
    names = _given_names(call, len(example) + 1)
    if names is None:
        of_f = _given_names(f, len(example)) or [f"argument {i + 1}" for i in range(len(example))]
        names = [*of_f, "cotangent"]
    return names


def _given_names(function, n):
    """Return the names of n arguments of a function, or None where it does not name each."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of some functions that are written in C
        return None
    named = [x.name for x in parameters if x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD)]
    has_star = any([x.kind == x.VAR_POSITIONAL for x in parameters])
    return None if has_star or len(named) < n else named[:n]


def _result(call, point, names):
    """Return what the function returns at a point, or raise AssertionError if it has no form."""
    before = [*point.args, point.seed]
    args = [tree.map(copied, x) for x in before]
    result = call(*args)
    for name, x, y in zip(names, args, before):
        if not all(map(np.array_equal, tree.flatten(x)[0], tree.flatten(y)[0])):
            raise AssertionError(f"the function has written into its argument {name}; copy it")
    words = form_in_words(result, point, names[:-1])
    if words:
        raise AssertionError(words)
    value, cotangents = result
    return value, tuple(cotangents)


def _wrong_in_words(points, results, names, lines, is_clear):
    """Say which results are wrong, and what is known of the lines."""
    said = _leaves_in_words(points, results, names, is_clear)
    of_value = [words for name, words in said if name.startswith("the value")]
    return "\n".join([*(of_value or [words for _, words in said]), *lines])


def _leaves_in_words(points, results, names, is_clear=False):
    """Return the names of the leaves that are wrong, and what is wrong with each."""
    found = zip(*[tree.flatten(result)[0] for result in results])
    expected = zip(*[tree.flatten((point.value, point.cotangents))[0] for point in points])
    right = zip(*[point.right(result) for point, result in zip(points, results)])
    return [
        (name, leaf_in_words(name, x, y, is_clear))
        for name, x, y, is_right in zip(names_of_leaves(points[0], names), found, expected, right)
        if not all(map(np.all, is_right))
    ]


def _rounding_in_words(text, call, points, results, names):
    """Say that all that is wrong is the rounding of a shorter type, and the line that begins it."""
    said = [words for _, words in _leaves_in_words(points, results, names)]
    if not all([ROUNDED in words for words in said]):
        return None
    code = taken_apart(text, call) if text else None
    if code is not None and len(code.parameters) == len(names) + 1:
        with quiet():
            states = code.states([*points[0].args, points[0].seed])
        for line, state in zip(code.lines, states[1:]):
            types = {getattr(state.get(name), "dtype", None) for name in line.sets()}
            if types & {np.dtype(kind) for kind in (np.float16, np.float32)}:
                return "\n".join([*said, f"it begins in line {line.number}: {line.text}"])
    return "\n".join(said)


def _lines_in_words(text, call, points, names):
    """Return what can be said of the lines, and whether that explains all that is wrong."""
    if text is None:
        return ["(give the source of the function as a str to be told which line it is)"], False
    if _given_names(call, len(names) + 1) is None:
        return [
            "(no line can be named, since the function takes *args: give it a name for each"
            " argument; a decorator must be made with functools.wraps)"
        ], False
    with quiet():
        code = taken_apart(text, call)
        if code is None or len(code.parameters) != len(names) + 1:  # some have defaults
            return [], False
        found, case = corrections(case_of(code, points), ["slip"])
        lacks = lack(case)
        if lacks:
            more, _ = corrections(case, only=lacks.i)
            return [*map(str, found), str(lacks), *[f"    it is {x.new}" for x in more]], True
        more, case = corrections(case)
        in_order = sorted(found + more, key=lambda x: x.line.number)
        said, wrong = [*map(str, in_order)], must_be(case)
        seed = code.parameters[-1]
        if not any([seed in line.reads() for line in code.lines]):
            said.append(f"{seed} is used nowhere; it is a factor of every product")
        if wrong:
            line, name, has, right = wrong
            what = leaf_in_words(f"it must be the cotangent of {name}, but", has, right)
            said.append(f"line {line.number}: {line.text}\n    {what}")
        if wrong or case.is_right():
            return said, True
        return [*said, *_what_is_left(case, names, bool(said))], False


def _what_is_left(case, names, is_corrected):
    """Say what is known where no change of a line makes all right."""
    leaves = zip(names_of_leaves(case.points[0], names), case.right)
    still = ", ".join([name for name, is_right in leaves if not np.all(is_right)])
    if is_corrected:
        return [f"after that, still wrong: {still}"]
    line = last_right(case)
    return [f"right up to line {line.number}: {line.text}"] if line else []


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
