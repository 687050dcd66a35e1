"""`check_engine`: it passes right engines, and names what is wrong with others.

The engines are those of `engines`, written as students write them.
"""

import re
import sys

import numpy as np
import pytest
from engines import (
    Shares,
    Value,
    arriving,
    by_levels,
    by_recursion,
    by_recursion_once,
    engine,
    in_order,
    with_walk,
)

from tinyode import grad
from tinyode.testing import check_engine
from tinyode.testing.engine.mistakes import MISTAKES
from tinyode.testing.engine.programs import BETWEEN, INPUTS, OPERATIONS, drawn
from tinyode.testing.engine.reverse import by_visits, made


def by_library(f, *arrays):
    return grad(f, tuple(range(len(arrays))))(*arrays)


@pytest.mark.parametrize("gradient", [by_library, engine(), with_walk(in_order)])
def test_right_engines_pass(gradient):
    check_engine(gradient)


class Scalar:
    """An engine for numbers alone."""

    def __init__(self, data, parents=()):
        self.data, self.parents, self.grad = float(data), parents, 0

    def __add__(self, other):
        return Scalar(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Scalar(self.data * other.data, [(self, other.data), (other, self.data)])

    def tanh(self):
        y = np.tanh(self.data)
        return Scalar(y, [(self, 1 - y * y)])


def test_an_engine_for_numbers_alone_is_checked():
    def gradient(f, *arrays):
        inputs = [Scalar(x) for x in arrays]
        output, order = f(*inputs), []

        def visit(v):
            if v not in order:
                for parent, _ in v.parents:
                    visit(parent)
                order.append(v)

        visit(output)
        output.grad = 1
        for v in reversed(order):
            for parent, slope in v.parents:
                parent.grad += v.grad * slope
        return [v.grad for v in inputs]

    check_engine(gradient, ("+", "*", "tanh"))


@pytest.mark.parametrize("operations", [("+",), ("*", "tanh"), ("+", "@", "sum"), ("sum",)])
def test_an_engine_with_fewer_operations_is_checked_for_these(operations):
    check_engine(engine(), operations, max_examples=20)


WALK_ORDER = "hands on its cotangent before the cotangents of all its uses have arrived"
UNDO = r"sum g over the axes along which the operand was stretched, g\.sum\(axis=0\)"
MADE = [
    (engine("overwrites"), "keeps the cotangent of one use only; write cotangent"),
    (engine("forwards"), r"walk it from its end: for v in reversed\(order\)"),
    (engine("factors"), r"factors of the product rule are exchanged; .* left gets g \* right"),
    (engine("no g in *"), r"the rule of \* leaves out the cotangent g; .* left gets g \* right"),
    (engine("one operand of *"), r"the second operand of \* gets nothing; .* right gets g \* left"),
    (engine("minus"), r"the second operand of \+ gets -g; .* right gets g$"),
    (engine("no transposes"), "the rule of @ has no transposes; .* left gets g @ right.T"),
    (engine("no b.T"), "the transpose of right is missing; .* left gets g @ right.T and"),
    (engine("no a.T"), "the transpose of left is missing; .* right gets left.T @ g"),
    (
        engine("order of a"),
        "for left, g and the matrix are in the wrong order; .* left gets g @ right.T",
    ),
    (
        engine("order of b"),
        "for right, g and the matrix are in the wrong order; .* right gets left.T @ g",
    ),
    (engine("tanh of x"), r"is taken as 1 - v \* v, of the operand v; .* g \* \(1 - out \* out\)"),
    (engine("tanh twice"), r"1 - np.tanh\(out\)\*\*2, but out is np.tanh\(v\) already"),
    (engine("tanh without square"), "1 - out, without the square"),
    (engine("no g in tanh"), "the rule of tanh leaves out the cotangent g"),
    (engine("mean"), r"the rule of .sum\(\) divides by the number of elements"),
    (engine("seed 2"), "the walk begins with dL/dL = 2, so every gradient is 2 times what"),
    (engine("seed -1"), "the walk begins with dL/dL = -1"),
    (engine("seed 0"), "nothing arrives; does the walk begin with dL/dL = 1"),
    (engine("seed L"), "the walk begins with dL/dL = L; the derivative of L with respect to"),
    (engine("1 / cosh"), r"is taken as 1 / np.cosh\(v\), without the square; .* v gets"),
    (engine("loop"), r"both operands of \* get g \* left \(does a function made in a loop"),
    (engine("dictionary"), r"where both operands are the same value, as in x \* x, it gets one of"),
    (engine("value is mean"), r"the value of .sum\(\) is the mean of the elements: write np.sum"),
    (engine("ones"), "the walk begins with 1 for each value; dL/dL alone is 1"),
    (engine("values returned"), "the values of the arguments are returned, not their cotangents"),
    (engine("reversed"), "the gradients are returned in reverse order; the order is that of"),
    (engine("undone by one sum"), f"broadcasting is undone by a sum over all axes. .*{UNDO}"),
    (engine("not undone"), f"broadcasting is not undone. .*{UNDO}"),
    (engine("undone by a mean"), "broadcasting is undone by a mean; .* so it is a sum: g.sum"),
    (engine("undone for lacking axes only"), "not for its axes of length 1. .*keepdims=True"),
    (engine("first copy"), "broadcasting is undone by taking the first of the copies; each copy"),
    (engine("by value"), "two values with equal numbers share one cotangent, since the cotangents"),
    (with_walk(by_recursion), WALK_ORDER),
    (with_walk(by_recursion_once), WALK_ORDER),
    (with_walk(by_levels), WALK_ORDER),
    (with_walk(in_order, Shares), r"\+= writes into an array that another value holds, too"),
]


@pytest.mark.parametrize("gradient, words", MADE)
def test_what_is_wrong_is_named(gradient, words):
    with pytest.raises(AssertionError, match=f"(?m)What is wrong: .*{words}") as said:
        check_engine(gradient)
    assert "one of these" not in str(said.value)


def test_what_only_the_smallest_program_cannot_tell_from_a_known_mistake_is_not_sure():
    """The cotangent is the same for all copies there, so the last of them is their mean."""
    with pytest.raises(AssertionError, match=r"dL/d. is wrong") as said:
        check_engine(engine("last copy"))
    assert "What is wrong" not in str(said.value)
    both = "\n- broadcasting is undone by a mean;", "\n- broadcasting is undone by taking the first"
    assert "Perhaps:" in str(said.value) and all(words in str(said.value) for words in both)


def test_a_mistake_that_other_programs_refute_is_not_named():
    """All gradients are four times too large, but rarely, so the walk begins with 1."""

    def rarely(f, *arrays):
        return [x * (4 if f(*arrays) < -2 else 1) for x in by_library(f, *arrays)]

    with pytest.raises(AssertionError, match="No mistake that check_engine knows gives these"):
        check_engine(rarely)


def test_handing_on_the_whole_sum_at_each_arrival_is_named():
    with pytest.raises(AssertionError, match=WALK_ORDER):
        check_engine(arriving(whole=True), ("+", "*"))


def test_a_right_engine_that_walks_every_path_is_told_what_it_costs():
    with pytest.raises(AssertionError, match=r"right, but 6 lines `b = a \+ a` take .* doubles"):
        check_engine(arriving(whole=False), ("+", "*"))
    assert sys.getprofile() is None


def by_complex_steps(f, *arrays):
    gradients = [np.zeros(x.shape) for x in arrays]
    for i, gradient in enumerate(gradients):
        for j in np.ndindex(gradient.shape):
            moved = [x.astype(complex) for x in arrays]
            moved[i][j] += 1e-30j
            gradient[j] = np.imag(f(*moved)) / 1e-30
    return gradients


@pytest.mark.parametrize(
    "operations, words",
    [
        (
            OPERATIONS,
            "2 times for 2 elements of one array, and 22 times for 22, as for differences",
        ),
        (("sum",), "2 times for 2 elements of one array"),
        (("+",), "2 times for 2 arguments, and 22 times for 22"),
        (("*", "tanh"), "2 times for 2 arguments"),
        (("tanh",), "2 times for 2 arguments"),
    ],
)
def test_right_gradients_by_a_call_of_f_for_each_number_are_no_reverse_mode(operations, words):
    with pytest.raises(AssertionError, match=f"gradients are right, but f is called {words}"):
        check_engine(by_complex_steps, operations, max_examples=5)


def test_an_engine_may_call_f_a_few_times():
    def twice(f, *arrays):
        f(*arrays)
        return engine()(f, *arrays)

    for operations in (OPERATIONS, ("+", "tanh")):
        check_engine(twice, operations, max_examples=5)


def test_two_mistakes_are_found_one_after_the_other():
    """A mistake in another operation does not hide the words for the smallest program."""
    wrong_tanh = engine("tanh of x")

    def gradient(f, *arrays):
        found = wrong_tanh(f, *arrays)
        return [2 * x for x in found]

    class Overwrites(Value):
        def receive(self, g):
            self.grad = g

        def sum(self):
            mean = lambda g: g * np.ones_like(self.data) / self.data.size
            return self.made(self.data.sum(), (self,), mean)

    with pytest.raises(AssertionError, match="What is wrong: the walk begins with dL/dL = 2"):
        check_engine(gradient)
    with pytest.raises(AssertionError, match="What is wrong: a value that is used twice keeps"):
        check_engine(with_walk(in_order, Overwrites))


def test_a_mistake_that_is_not_known_shows_the_rules_of_the_program():
    class Cubed(Value):
        def tanh(self):
            y = np.tanh(self.data)
            return self.made(y, (self,), lambda g: g * (1 - y * y * y))

    words = (
        r"(?s)No mistake.* \(here L = .*- for out = np.tanh\(v\), v gets g \* \(1 - out \* out\)"
    )
    with pytest.raises(AssertionError, match=words):
        check_engine(with_walk(in_order, Cubed))


def without(*names):
    """Return the class of an engine that lacks operations."""
    standard = "__dict__", "__weakref__"
    has = {key: x for key, x in vars(Value).items() if key not in (*names, *standard)}
    return type("Var", (), has)


@pytest.mark.parametrize(
    "operation, method, shown, error",
    [
        ("+", "__add__", "`+`", "TypeError: unsupported operand type(s) for +: 'Var' and 'Var'"),
        ("*", "__mul__", "`*`", "TypeError: unsupported operand type(s) for *: 'Var' and 'Var'"),
        ("@", "__matmul__", "`@`", "TypeError: unsupported operand type(s) for @: 'Var'"),
        ("tanh", "tanh", "`tanh()`", "TypeError: loop of ufunc does not support argument 0"),
        ("sum", "sum", "`sum()`", "AttributeError: 'Var' object has no attribute 'sum'"),
    ],
)
def test_a_missing_operation_is_named(operation, method, shown, error):
    gradient = with_walk(in_order, without(method))
    start = rf"check_engine: your engine has no {re.escape(shown)}: the line `.*` raised "
    lost = ("sum", "@", "broadcasting") if operation == "sum" else (operation,)
    rest = tuple(o for o in OPERATIONS if o not in lost)
    end = f". Give Var a method `{method}`; or check it without, with operations={rest}\n"
    with pytest.raises(AssertionError, match=start + re.escape(error)) as said:
        check_engine(gradient)
    assert end in str(said.value)
    check_engine(gradient, rest, max_examples=20)


def test_an_operation_that_loses_the_history_is_named():
    class Plain(Value):
        def __mul__(self, other):
            return self.data * other.data

    class Nothing(Value):
        def tanh(self):
            super().tanh()

    for kind, words in (
        (
            Plain,
            r"the `\*` of your engine loses the history: .* returned a plain float64; `__mul__`",
        ),
        (
            Nothing,
            r"the `tanh\(\)` of your engine .* returned None; `tanh` must return a new Nothing",
        ),
    ):
        with pytest.raises(AssertionError, match=words):
            check_engine(with_walk(in_order, kind))


def test_an_engine_that_refuses_ufuncs_lacks_tanh():
    class Refusing(without("tanh")):
        __array_ufunc__ = None

    words = r"your engine has no `tanh\(\)`: the line .* Give Refusing a method `tanh`; or check"
    with pytest.raises(AssertionError, match=words):
        check_engine(with_walk(in_order, Refusing))


def test_an_error_inside_an_operation_comes_out_as_it_went_in():
    class Wrong(Value):
        def __add__(self, other):
            return self.nothing

    class TakesNothing(Value):
        def __mul__(self):
            return self

    class Fails(Exception):
        pass

    def fails(f, *arrays):
        raise Fails("my own")

    with pytest.raises(AttributeError, match="'Wrong' object has no attribute 'nothing'") as said:
        check_engine(with_walk(in_order, Wrong))
    notes = "".join(getattr(said.value, "__notes__", ["L = x + x"]))
    assert "L = x + x" in notes
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        check_engine(with_walk(in_order, TakesNothing))
    with pytest.raises(Fails, match="my own"):
        check_engine(fails)

    def asserts(f, *arrays):
        assert len(arrays) < 2, "one array only"
        return by_library(f, *arrays)

    with pytest.raises(AssertionError, match=r"^one array only"):
        check_engine(asserts)


def test_the_engine_of_chapter_3_lacks_broadcasting():
    """It adds to zeros of the shape of the value, in place here, where NumPy refuses."""

    def walk(output):
        in_order(output)

    class InZeros(Value):
        def made(self, data, children, *rules):
            out = type(self)(data, children)

            def hand_on():
                for child, rule in zip(children, rules):
                    child.receive(rule(out.grad))

            out.hand_on = hand_on
            return out

        def receive(self, g):
            self.grad = np.zeros(self.data.shape) if self.grad is None else self.grad
            self.grad += g

    words = r"`. = . [+*] .` has operands of the shapes .*ValueError: .*sum g over .*; or check it"
    with pytest.raises(AssertionError, match=words):
        check_engine(with_walk(walk, InZeros))
    check_engine(with_walk(walk, InZeros), OPERATIONS[:-1], max_examples=20)
    with pytest.raises(AssertionError, match="What is wrong: broadcasting is not undone"):
        check_engine(engine("not undone"))
    check_engine(engine("not undone"), OPERATIONS[:-1], max_examples=20)


def test_an_argument_that_is_not_used_has_a_gradient():
    def by_dictionary(f, *arrays):
        found = dict(enumerate(by_library(f, *arrays)))
        used = {i: x for i, x in found.items() if np.any(x)}
        return [used[i] for i in found]

    def with_none(f, *arrays):
        return [x if np.any(x) else None for x in by_library(f, *arrays)]

    words = r"L does not depend on ., and there your engine raised KeyError: .*zeros"
    with pytest.raises(AssertionError, match=words):
        check_engine(by_dictionary)
    with pytest.raises(AssertionError, match=r"the gradient for (.) is None. L does not depend on"):
        check_engine(with_none)
    with pytest.raises(AssertionError, match=r"the gradient for . is None, so nothing has arrived"):
        check_engine(lambda f, *arrays: [None for x in arrays])


def test_what_is_kept_from_one_call_to_the_next_is_found():
    kept = {}

    def accumulates(f, *arrays):
        for i, g in enumerate(by_library(f, *arrays)):
            old = kept.get((i, np.shape(g)), 0)
            kept[i, np.shape(g)] = old + g
        return [kept[i, np.shape(x)] for i, x in enumerate(arrays)]

    calls = []

    def once(f, *arrays):
        calls.append(f)
        return [(len(calls) == 3) + x for x in by_library(f, *arrays)]

    for gradient in (accumulates, once):
        with pytest.raises(AssertionError, match="other gradients when it is differentiated again"):
            check_engine(gradient)


@pytest.mark.parametrize(
    "change, words",
    [
        (
            lambda found: None,
            r"gradient returned None \(is the return missing\?\); it must return a list",
        ),
        (lambda found: found[0], "gradient returned an? .*; it must return a list or a tuple"),
        (lambda found: iter(found), "gradient returned an object of type list_iterator; it must"),
        (lambda found: found[1:], r"gradient returned 0 gradients for 1 arguments; it must return"),
        (lambda found: [*found, 1.0], r"gradient returned 2 gradients for 1 arguments"),
        (lambda found: [x * np.nan for x in found], "the gradient for x is not finite: nan"),
        (
            lambda found: [Value(x) for x in found],
            "the gradient for x is an object of type Value; it must be an array of shape",
        ),
        (
            lambda found: [np.array(Value(x)) for x in found],
            "of shape .. and dtype object; it must",
        ),
        (
            lambda found: [x.astype(int) for x in found],
            "and dtype int64; it must be an array of shape",
        ),
        (
            lambda found: [x.astype("f4") for x in found],
            "dtype float32; it must be .* dtype float64",
        ),
        (lambda found: [x[None] for x in found], r"whose shape \(1,\) is not that of the argument"),
    ],
)
def test_what_is_no_gradient_is_refused(change, words):
    with pytest.raises(AssertionError, match=f"check_engine: .*{words}"):
        check_engine(lambda f, *arrays: change([np.asarray(x) for x in by_library(f, *arrays)]))


def test_an_argument_that_is_written_into_is_named():
    def writes(f, *arrays):
        found = by_library(f, *arrays)
        for x in arrays[-1:]:
            x += 1
        return found

    with pytest.raises(AssertionError, match="gradient has written into its argument x; what it"):
        check_engine(writes)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((3,), "gradient must be a function gradient.f, .arrays.; got 3"),
        ((by_library, OPERATIONS, 0), "max_examples=0 must be a whole number, 1 or more"),
        ((by_library, OPERATIONS, 1.5), r"max_examples=1\.5 must"),
        ((by_library, ("-", "sum")), r"operations=\('-', 'sum'\) must be some of \('\+', '\*',"),
        ((by_library, ()), r"operations=\(\) must be some of"),
        ((by_library, "tanh"), "must be some of"),
        ((by_library, 3), "operations=\\(3,\\) must be some of"),
        ((by_library, ("+", "@")), "have no 'sum', so all values are numbers; leave out '@'"),
    ],
)
def test_arguments_that_check_nothing_are_refused(arguments, words):
    with pytest.raises((TypeError, ValueError), match=f"check_engine: .*{words}"):
        check_engine(*arguments)


def test_the_engine_of_the_recogniser_is_right_as_it_stands():
    """And each of its mistakes changes a gradient, so that it can be recognised."""
    rng = np.random.default_rng(1)
    choose = lambda options: options[int(rng.integers(len(options)))]
    programs = [drawn(choose, OPERATIONS, 2) for _ in range(400)]  # equal values are rare
    found = [by_library(program, *program.inputs()) for program in programs]
    for walk in (None, by_visits):
        for program, right in zip(programs, found):
            gradients = made(program, program.inputs(), walk=walk)
            for x, y in zip(gradients, right):
                np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)
    for words, change in MISTAKES:
        assert any(differs(p, right, change) for p, right in zip(programs, found)), words


def differs(program, right, change):
    try:
        with np.errstate(all="ignore"):
            wrong = made(program, program.inputs(), **change)
    except (ValueError, IndexError):
        return True
    return any(x.shape != np.shape(y) or not np.allclose(x, y) for x, y in zip(wrong, right))


def test_what_is_drawn_can_be_copied_and_run():
    rng = np.random.default_rng(0)
    for _ in range(30):
        program = drawn(lambda options: options[int(rng.integers(len(options)))], OPERATIONS, 3)
        space = {"np": np}
        exec("\n".join(line.strip() for line in str(program).splitlines()), space)
        assert space["L"] == program(*program.inputs()) and np.ndim(space["L"]) == 0
        names = {*INPUTS, *BETWEEN, "L"}
        assert set(program.unused()) <= names
        needed = program.needed()
        assert not needed.unused() and needed.needed() == needed
