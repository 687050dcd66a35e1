"""`check_by_hand` passes what is right, and says of what is wrong in which line and what it is."""

import ast
import functools
import itertools
import re

import numpy as np
import pytest
from derivations import DERIVATIONS, layer, mlp, mutations, norm, pendulum
from hypothesis import given
from hypothesis import strategies as st

from tinyode import program
from tinyode.testing import check_by_hand

N = np.random.default_rng(1).normal
z, W = N(size=(3, 2)), N(size=(2, 4))
BY_NAME = {f.__name__: (f, example, source) for f, example, source in DERIVATIONS}


def message(function, f, *example):
    """Return what is said of a mistake."""
    with pytest.raises(AssertionError) as error:
        check_by_hand(function, f, *example)
    return str(error.value)


def changed(f, *exchanges):
    """Return the message for the derivation of f with some of its text exchanged."""
    f, example, source = BY_NAME[f.__name__]
    for old, new in itertools.zip_longest(exchanges[::2], exchanges[1::2]):
        assert source.count(old) == 1
        source = source.replace(old, new)
    return message(source, f, *example)


@pytest.mark.parametrize("f, example, source", DERIVATIONS, ids=list(BY_NAME))
def test_what_is_right_passes(f, example, source):
    check_by_hand(source, f, *example)
    check_by_hand(program(f, *example, vjp=True).source, f, *example)


STEPS = [  # of two arrays of one shape
    lambda x, y: x * y,
    lambda x, y: x - np.sin(y),
    lambda x, y: x / (2 + y * y),
    lambda x, y: np.tanh(x) @ y.T @ x,
    lambda x, y: x + np.sum(y, axis=0),
    lambda x, y: x * np.mean(np.exp(0.1 * y)),
    lambda x, y: np.sqrt(1 + x**2) - y,
    lambda x, y: np.log(np.sum(np.exp(x), axis=1, keepdims=True)) * y,
]


@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=5), st.integers(0, 99))
def test_the_program_of_the_engine_passes(steps, seed):
    """Of a function of as many operations as are drawn, each of the last value and one before."""

    def f(x, y):
        values = [x, y]
        for i, step in enumerate(steps):
            values.append(step(values[-1], values[(seed + i) % len(values)]))
        return 0.1 * values[-1] + 0 * values[0]

    example = np.random.default_rng(seed).normal(size=(2, 3, 2))
    check_by_hand(program(f, *example, vjp=True).source, f, *example)


def test_equal_algebra_passes():
    def other(z, W, a):
        u = np.einsum("ij,jk->ik", z, W)
        slope = 1 / np.cosh(u) ** 2
        for_W = np.zeros_like(W)
        for i in range(len(z)):  # a loop is run like anything else
            for_W += np.outer(z[i], a[i] * slope[i])
        return (np.exp(2 * u) - 1) / (np.exp(2 * u) + 1), [(W @ (slope * a).T).T, for_W]

    check_by_hand(other, layer, z, W)


def test_the_line_of_most_mistakes_is_named_and_corrected():
    """Of nine in ten, and of each mistake it is seen that there is one.

    One in thirty is made: all of them take minutes.
    """
    made, named, corrected = 0, 0, 0
    for f, example, source in DERIVATIONS:
        source = ast.unparse(ast.parse(source))
        for _, number, wrong in itertools.islice(mutations(source), 7, None, 30):
            said, made = message(wrong, f, *example), made + 1
            named += re.findall(r"^line (\d+): ", said, re.M)[:1] == [str(number)]
            corrected += _is_corrected(wrong, number, said, f, example)
    assert made > 40 and named >= 0.9 * made and corrected >= 0.9 * made, (made, named, corrected)


def _is_corrected(wrong, number, said, f, example):
    """Whether the function is right once a line has been changed as the message says."""
    rows = wrong.splitlines()
    for old, new in re.findall(r"you have (.*); it is (.*)\n", said):
        for place in re.finditer(re.escape(old), rows[number - 1]):
            row = rows[number - 1][: place.start()] + new + rows[number - 1][place.end() :]
            try:
                check_by_hand("\n".join([*rows[: number - 1], row, *rows[number:]]), f, *example)
            except (AssertionError, SyntaxError):
                continue
            return True
    return False


@pytest.mark.parametrize(
    "f, old, new, words",
    [
        (
            layer,
            "a_u @ W.T",
            "a_u @ W",
            ["line 6: you have a_u @ W; it is a_u @ W.T\n    return f,"],
        ),
        (layer, "z.T @ a_u", "z @ a_u", ["line 6: you have z @ a_u; it is z.T @ a_u"]),
        (layer, "z.T @ a_u", "a_u @ z.T", ["line 6: you have a_u @ z.T; it is z.T @ a_u"]),
        (layer, "z @ W", "W @ z", ["line 2: you have W @ z; it is z @ W"]),
        (layer, "z @ W", "z * W", ["line 2: you have z * W; it is z @ W"]),
        (layer, "f * f", "u * u", ["line 4: you have 1 - u * u; it is 1 - f * f"]),
        (layer, "a * slope", "a", ["line 5: you have a; it is a * slope"]),
        (layer, "a * slope", "slope", ["line 5: you have slope; it is slope * a"]),
        (layer, "z.T @ a_u", "z.T @ a", ["line 6: you have z.T @ a; it is z.T @ a_u"]),
        (layer, "return f", "return u", ["the value is wrong", "\nline 6: you have u; it is f"]),
        (mlp, "a_h * (1 - h**2)", "a_h", ["line 7: you have a_h; it is a_h * (1 - h * h)"]),
        (mlp, "(1 - h**2)", "h", ["line 7: you have a_h * h; it is a_h * (1 - h * h)"]),
        (
            mlp,
            "np.sum(a_u, axis=0)",
            "a_u",
            [
                "the cotangent of b1 has the shape (3, 4); it must have (4,); it is right after"
                " np.sum(..., axis=0), since f broadcasts\n"
                "line 8: you have a_u; it is np.sum(a_u, axis=0)\n    a_b1 = a_u"
            ],
        ),
        (pendulum, "np.cos(z[0])", "np.sin(z[0])", ["line 8: ", "it is np.cos(z[0]) * a_s"]),
        (pendulum, "-s * a[1]", "s * a[1]", ["line 10: you have s * a[1]; it is -s * a[1]"]),
        (pendulum, "a_c = theta[1]", "a_c = theta[0]", ["line 6: ", "it is theta[1] * a[1]"]),
        (
            pendulum,
            " - 0.3 * a[1]",
            "",
            [
                "line 9: a_z1 = a[0]\n    z[1] is used in line 4 (twice); the contribution of"
                " line 4 is missing\n    it is a[0] - 0.3 * a[1]"
            ],
        ),
        (norm, "-a_d)", "a_d)", ["the cotangent of y is wrong, it has the wrong sign\nline 6: "]),
        (
            norm,
            "a / (2 * r)",
            "a",
            ["line 4: a_s = a\n    it must be the cotangent of np.sum(d ** 2) (line 3), but"],
        ),
    ],
)
def test_a_mistake_is_named(f, old, new, words):
    said = changed(f, old, new)
    assert all(word in said for word in words), said


def test_two_mistakes_are_both_named():
    assert re.search(
        r"line 4: you have 1 - u \* u; it is 1 - f \* f\n.*\n"
        "line 6: you have a_u @ W; it is a_u @ W.T\n",
        changed(layer, "f * f", "u * u", "W.T", "W"),
    )


def test_mistakes_in_elements_of_one_array_are_all_named():
    said = changed(
        pendulum,
        "a_z0 = np.cos(z[0]) * a_s",
        "a_z0 = -np.cos(z[0]) * a_s",
        "a_z1 = a[0] - 0.3 * a[1]",
        "a_z1 = a[0]",
        "a_t = -2 *",
        "a_t =",
    )
    assert re.findall(r"^line (\d+): you have (.*); it is (.*)$", said, re.M) == [
        ("7", "np.sin(2 * t) * a_c", "-2 * np.sin(2 * t) * a_c"),
        ("8", "-np.cos(z[0]) * a_s", "np.cos(z[0]) * a_s"),
        ("9", "a[0]", "a[0] - 0.3 * a[1]"),
    ]


def test_of_a_wrong_value_only_the_value_is_said_to_be_wrong():
    said = changed(layer, "np.tanh(u)", "u / 2 - W.sum()")
    assert said.startswith("the value is wrong by up to ") and "cotangent" not in said


def test_a_cotangent_of_the_value_that_is_not_used_is_noticed():
    said = changed(layer, "a_u = a * slope", "a_u = np.exp(slope) + u")
    assert "a is used nowhere; it is a factor of every product" in said
    assert "it must be the cotangent of u (line 2), but is wrong by up to" in said


def test_where_no_change_helps_the_last_right_line_is_named():
    said = changed(mlp, "a_u = a_h * (1 - h**2)", "a_u = np.ones(7)")
    assert "the function fails with ValueError: " in said
    assert "right up to line 6: a_h = a @ W2.T" in said


def test_what_is_returned_may_have_a_name_and_the_source_may_go_on():
    _, example, source = BY_NAME["layer"]
    source = source.replace("return f, (a_u @ W.T, z.T @ a_u)", "cotangents = a_u @ W, z.T @ a_u")
    said = message(source + "    return f, cotangents\n\nx = 3\n", layer, *example)
    assert "line 6: you have a_u @ W; it is a_u @ W.T\n    cotangents = a_u @ W, z.T" in said


def test_a_helper_that_could_run_for_ever_is_not_given_other_numbers():
    def root(x):
        y = 1.0
        while abs(y * y - x) > 1e-13:  # for ever where x is negative
            y = (y + x / y) / 2
        return y

    def by_hand(x, a):
        y = root(x)
        return y, (a / y,)

    said = message(by_hand, np.sqrt, 2.0)
    assert "it is 2 times what it should be: expected" in said and "line" not in said


def test_a_second_path_that_is_missing_is_named():
    def by_hand(z, W, a):
        u = np.tanh(z @ W)
        f = np.tanh(u @ W)
        a_v = a * (1 - f * f)
        a_u = a_v @ W.T * (1 - u * u)
        return f, (a_u @ W.T, z.T @ a_u)

    def overwritten(z, W, a):
        u = z @ W
        a_u = 2 * u * a
        a_u = np.cos(u) * a
        return u * u + np.sin(u), (a_u @ W.T, z.T @ a_u)

    square = N(size=(2, 2))
    assert (
        "line 6: return f, (a_u @ W.T, z.T @ a_u)\n    W is used in line 2 and line 3; the"
        " contribution of line 3 is missing"
    ) in message(by_hand, lambda z, W: np.tanh(np.tanh(z @ W) @ W), z, square)
    assert "line 4: a_u = np.cos(u) * a\n" in message(
        overwritten, lambda z, W: (z @ W) ** 2 + np.sin(z @ W), z, W
    )


def by_hand(x, a):
    return np.sin(x), (a * np.cos(x),)


def writes(x, a):
    a *= np.cos(x)
    return np.sin(x), (a,)


@pytest.mark.parametrize(
    "function, words",
    [
        (lambda x, a: None, r"returns None; it must return a pair: return value, \(a_x,\)"),
        (lambda x, a: (np.sin(x), a, a), "returns a tuple of 3; it must return a pair"),
        (lambda x, a: (np.sin(x), a * np.cos(x)), r"cotangents are an array; .*\(a_x,\)"),
        (lambda x, a: (np.sin(x), (a, a)), "number of cotangents is 2; there must be 1"),
        (lambda x, a: (np.sin(x), (None,)), "the cotangent of x is None; derive it, or return"),
        (lambda x, a: ([np.sin(x)], (a,)), "the value is a list, that of f an array"),
        (lambda x, a: (np.sin(x), ("a",)), "the cotangent of x is 'a'; it must be an array"),
        (lambda x, a: (np.sin(x), (0 * x,)), "the cotangent of x is wrong, it is zero"),
        (lambda x: (np.sin(x), (x,)), r"takes \(x\); it must take 2 arguments: those of f and"),
        (lambda *x: (np.sin(x[0]), (0,)), r"of x has the shape \(\); it must have \(3,\)"),
        (lambda x, *a: (np.sin(x), (0,)), r"of x has the shape \(\); it must have \(3,\)"),
        (writes, "has written into its argument a; copy it"),
        (lambda x, a: 1 / 0, "the function fails with ZeroDivisionError: division by zero"),
    ],
)
def test_the_form_of_what_is_returned_is_checked(function, words):
    x, sine = N(size=3), lambda x: np.sin(x)  # NumPy 2.0 does not tell the arguments of np.sin
    check_by_hand(by_hand, sine, x)
    assert re.search(words, message(function, sine, x))


def test_cotangents_in_another_order():
    assert changed(layer, "a_u @ W.T, z.T @ a_u", "z.T @ a_u, a_u @ W.T") == (
        "the cotangents are right, but in another order: you return those of W, z; the order is"
        " that of the arguments, z, W"
    )


def test_containers_have_cotangents_of_their_structure():
    def dense(z, theta):
        return {"out": np.tanh(z @ theta["W"] + theta["b"][0])}

    def by_hand(z, theta, a):
        f = np.tanh(z @ theta["W"] + theta["b"][0])
        a_u = a["out"] * (1 - f * f)
        return {"out": f}, (a_u @ theta["W"].T, {"W": z.T @ a_u, "b": [a_u.sum(axis=0)]})

    def no_sum(z, theta, a):
        f = np.tanh(z @ theta["W"] + theta["b"][0])
        a_u = a["out"] * (1 - f * f)
        return {"out": f}, (a_u @ theta["W"].T, {"W": z.T @ a_u, "b": [a_u]})

    theta = {"W": W, "b": [N(size=4)]}
    check_by_hand(by_hand, dense, z, theta)
    said = message(no_sum, dense, z, theta)
    assert "the cotangent of theta['b'][0] has the shape (3, 4); it must have (4,)" in said
    assert "line 4: you have a_u; it is np.sum(a_u, axis=0)" in said
    said = message(lambda *x: (by_hand(*x)[0], (0 * z, (W, W))), dense, z, theta)
    assert "is (array, array); it must have the structure of theta, {'W': array," in said


def test_what_is_no_floating_point_number_has_no_cotangent():
    power = lambda x, n: x**n
    x = np.array([1.0, 2.0])
    for zero in (None, 0, 0.0):
        check_by_hand(lambda x, n, a: (x**n, (a * n * x ** (n - 1), zero)), power, x, 3)
    said = message(lambda x, n, a: (x**n, (a * n * x ** (n - 1), 1.0)), power, x, 3)
    assert "the cotangent of n must be None or zero: it has no floating-point numbers" in said
    check_by_hand(lambda x, y, a: (2 * x, (2 * a, 0 * y)), lambda x, y: 2 * x, x, x)
    assert "the cotangent of y is None" in message(
        lambda x, y, a: (2 * x, (2 * a, None)), lambda x, y: 2 * x, x, x
    )


def test_code_that_is_not_straight_gets_the_numbers_and_no_line():
    def branched(x, a):
        slope = 2 if x > 0 else -2
        if x > 0:
            return abs(x), (slope * a,)
        return abs(x), (-slope * a,)

    namespace: dict = {"np": np}
    exec("def made(x, a):\n    return np.sin(x), (a * np.sin(x),)", namespace)
    said = message(branched, abs, 1.0)
    assert "it is 2 times what it should be: expected\n" in said and "line" not in said
    assert "give the source of the function as a str" in message(namespace["made"], np.sin, 1.0)


def test_a_function_that_names_no_arguments_is_told_why_no_line_is_named():
    def without_wraps(f):
        return lambda *args: f(*args)

    def wrong(z, W, a):
        f = np.tanh(z @ W)
        a_u = a * (1 + f * f)
        return f, (a_u @ W.T, z.T @ a_u)

    for function in (without_wraps(wrong), lambda z, *rest: wrong(z, *rest)):
        said = message(function, lambda z, W: np.tanh(z @ W), z, W)
        assert "the cotangent of z is wrong" in said and "the cotangent of W is wrong" in said
        assert "(no line can be named, since the function takes *args: give it a name" in said
    writes = message(lambda *x: x[-1].fill(0), np.sin, z)
    assert "written into its argument cotangent" in writes
    nameless = message(lambda *x: (x[0], (0 * x[0],)), lambda *x: x[0], z)
    assert "the cotangent of argument 1 is wrong" in nameless
    assert "line 3: you have" in message(functools.wraps(wrong)(without_wraps(wrong)), layer, z, W)


def test_lines_with_defaults_and_names_of_their_own():
    def by_default(x, a, factor=2.0, shift=0.0):
        y = np.sin(x)
        return y, (factor * a * np.cos(x + shift),)

    def given_by_default(x, a=None):
        y = np.sin(x)
        return y, (2 * a * np.cos(x),)

    def in_a_comprehension(x, a):
        y = sum([2 * k for k in (x, x)])
        return y, (sum([k * a for k in (1, 2)]),)

    def by_walrus(x, a):
        return (y := np.sin(x)), ((slope := np.sqrt(1 - y * y)) * slope * a,)

    x = np.array([0.3, 0.6])
    assert "line 3: you have factor * a" in message(by_default, np.sin, x)
    assert "2 times what it should be" in message(given_by_default, np.sin, x)
    assert "the cotangent of x is wrong" in message(in_a_comprehension, lambda x: 4 * x, x)
    assert "the cotangent of x is wrong" in message(by_walrus, np.sin, x)


def test_the_rounding_of_a_shorter_type_is_named():
    def inside(z, W, a, kind=np.float32):
        f = np.tanh((z @ W).astype(kind))
        a_u = a * (1 - f * f)
        return f, (a_u @ W.T, z.T @ a_u)

    def of_all(z, W, a):
        f, cotangents = inside(z, W, a)
        return f.astype(float), tuple(x.astype(np.float16) for x in cotangents)

    said = message(inside, layer, z, W)
    assert re.search(
        r"the value is off by \de-0[78] of its largest number, which is the rounding of a shorter"
        r" type\. It has the type float32 \(f has float64\); compute with float64",
        said,
    )
    assert "1 times" not in said and "expected" not in said and "you have" not in said
    assert said.endswith("it begins in line 2: f = np.tanh((z @ W).astype(kind))")
    said = message(of_all, layer, z, W)
    assert re.search(
        r"the value is off by .* type\. Is float32 used on the way\? \(f has float64", said
    )
    said = message(lambda z, W, a: (layer(z, W), of_all(z, W, a)[1]), layer, z, W)
    assert re.search(
        r"of z is off by \de-04 of its .* It has the type float16 \(f has float64\)", said
    )
    slightly = lambda z, W, a: (layer(z, W), tuple(1.001 * x for x in inside(z, W, a, float)[1]))
    assert "of z is wrong, it is 1.001 times what it should be" in message(slightly, layer, z, W)


def test_lines_that_write_into_arrays_and_lines_of_helpers():
    def helper(x):
        return np.cos(x)

    def by_hand(z, a):
        """Return the product."""
        f = np.array([z[1], -np.sin(z[0])])
        a_z = np.zeros(2)  # a comment

        a_z[1] = a[0]
        a_z[0] += helper(z[0]) * a[1]
        print(a_z)
        return f, (a_z,)

    said = message(by_hand, lambda z: np.array([z[1], -np.sin(z[0])]), N(size=2))
    assert "line 7: you have a_z[0] += helper(z[0]) * a[1]; it is a_z[0] -= helper(" in said
    assert "a_z[0] += helper(z[0]) * a[1]" in said


def test_nothing_is_printed_or_warned_while_it_looks(capsys):
    def by_hand(x, a):
        print("at a point")
        return np.log(x), (a * x,)

    message(by_hand, np.log, 2.0)
    assert capsys.readouterr().out == 3 * "at a point\n"


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(TypeError, match="check_by_hand: give a function, or the source of one"):
        check_by_hand(3, np.sin, 1.0)
    with pytest.raises(TypeError, match="check_by_hand: f must be a function; got 3"):
        check_by_hand(by_hand, 3, 1.0)
    with pytest.raises(ValueError, match="check_by_hand: there is no function in the source"):
        check_by_hand("x = 3", np.sin, 1.0)
    with pytest.raises(ValueError, match="check_by_hand: nothing to differentiate"):
        check_by_hand(by_hand, np.sin, 1)
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="is not finite near"):
        check_by_hand(by_hand, np.log, -1.0)
