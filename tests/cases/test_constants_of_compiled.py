"""A program has the constants among its arguments written into it, and must not run for others.

What an argument is made of, a default, a closure, a `functools.partial`, may change between two
calls of the same object. The compiled function returns what f returns, or refuses the argument.
"""

import enum
import functools
import math
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import compiled, custom_vjp, grad, nn, odeint, root, vjp

X = np.array([1.0, 2.0, 3.0])


class Scale:
    """A function with a state."""

    def __init__(self, k):
        self.k = k

    def __call__(self, x):
        return self.k * x

    def method(self, x):
        return self.k * x

    @classmethod
    def of_class(cls, x):
        return cls.factor * x

    factor = 2.0


class AllEqual(Scale):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


def object_with_state():
    scale = Scale(2.0)
    return scale, lambda k: setattr(scale, "k", k)


def method_of_an_object():
    scale = Scale(2.0)
    return scale.method, lambda k: setattr(scale, "k", k)


def equal_to_all():
    scale = AllEqual(2.0)
    return scale, lambda k: setattr(scale, "k", k)


def cell():
    factor = 2.0

    def change(k):
        nonlocal factor
        factor = k

    return lambda x: factor * x, change


def list_in_a_cell():
    factors = {"a": [2.0]}
    return lambda x: factors["a"][0] * x, lambda k: factors["a"].__setitem__(0, k)


def array_in_a_cell():
    W = np.full(3, 1.0)
    return lambda x: 2 * W * x, lambda k: W.fill(k)


def object_in_a_cell():
    scale = Scale(2.0)
    return lambda x: scale.k * x, lambda k: setattr(scale, "k", k)


def default():
    def function(x, factor=2.0):
        return factor * x

    return function, lambda k: setattr(function, "__defaults__", (k,))


def list_as_default():
    def function(x, *, factors=[2.0]):  # noqa: B006
        return factors[0] * x

    return function, lambda k: function.__kwdefaults__["factors"].__setitem__(0, k)


def attribute():
    def function(x):
        return function.k * x

    function.k = 2.0
    return function, lambda k: setattr(function, "k", k)


def code():
    codes = {1.0: (lambda x: 1.0 * x).__code__, 5.0: (lambda x: 5.0 * x).__code__}
    function = lambda x: 2.0 * x
    return function, lambda k: setattr(function, "__code__", codes[k])


def keyword_of_a_partial():
    partial = functools.partial(lambda x, k: k * x, k=2.0)
    return partial, lambda k: partial.keywords.__setitem__("k", k)


def array_of_a_partial():
    W = np.full(3, 1.0)
    return functools.partial(lambda W, x: 2 * W * x, W), lambda k: W.fill(k)


def function_of_a_partial():
    partial = functools.partial(lambda x: 2.0 * x)
    return partial, lambda k: partial.__setstate__(
        (functools.partial(lambda k, x: k * x, k), (), {}, {})
    )


def vectorized():
    made = np.vectorize(lambda v: 2.0 * v)
    return (lambda x: made.pyfunc(x)), lambda k: setattr(made, "pyfunc", lambda v: k * v)


def with_derivative(f):
    """Give a linear function its derivative by hand."""
    made = custom_vjp(lambda x: f(x))
    made.defvjp(lambda x: (f(x), None), lambda _, g: (f(g),))
    return made


def derivative_by_hand():
    function = with_derivative(lambda x: 2.0 * x)
    return function, lambda k: vars(function).update(vars(with_derivative(lambda x: k * x)))


HOLDERS = [
    object_with_state,
    method_of_an_object,
    equal_to_all,
    cell,
    list_in_a_cell,
    array_in_a_cell,
    object_in_a_cell,
    default,
    list_as_default,
    attribute,
    code,
    keyword_of_a_partial,
    array_of_a_partial,
    function_of_a_partial,
    vectorized,
    derivative_by_hand,
]

AROUND = {
    "partial": lambda f: functools.partial(lambda f, x: f(x), f),
    "keyword of a partial": lambda f: functools.partial(lambda x, f: f(x), f=f),
    "cell": lambda f: lambda x: f(x),
    "default": lambda f: lambda x, f=f: f(x),
    "list": lambda f: lambda x, fs=[f, abs]: fs[0](x),
    "method": lambda f: types.MethodType(lambda f, x: f(x), f),
    "wrapped": lambda f: functools.wraps(f)(lambda *args: f(*args)),
    "compiled": compiled,
    "custom_vjp": with_derivative,
}


DOORS = [
    lambda g, function: g(X, function),
    lambda g, function: g(X, f=function),
    lambda g, function: vjp(lambda x: g(x, function), X)[0],
    lambda g, function: vjp(lambda x: g(x, f=function), X)[1](np.ones(3))[0] * X,
]


def test_a_change_is_seen_or_the_argument_is_refused():
    """The compiled function has programs for many other arguments already."""
    g = compiled(lambda x, f: f(x))

    @given(st.sampled_from(HOLDERS), st.lists(st.sampled_from(sorted(AROUND)), max_size=3))
    def of_drawn(holder, around):
        function, change = holder()
        for name in around:
            function = AROUND[name](function)
        for call in DOORS:
            change(1.0)
            try:
                np.testing.assert_array_equal(call(g, function), function(X))
                change(5.0)
                np.testing.assert_array_equal(call(g, function), 5.0 * X)
            except TypeError as error:
                said = str(error)
                assert "compiled: an argument is " in said and "a program would not see" in said
                assert not around or "which holds" in said

    of_drawn()


REFUSED = [
    object_with_state,
    method_of_an_object,
    equal_to_all,
    array_in_a_cell,
    object_in_a_cell,
    array_of_a_partial,
    vectorized,
]


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_is_looked_into_and_what_is_refused(holder):
    function, change = holder()
    change(1.0)
    g = compiled(lambda x, pair: pair[0]["f"](x))
    if holder in REFUSED:
        with pytest.raises(
            TypeError, match=r"an argument is .*whose change a program would not see"
        ):
            g(X, ({"f": function}, 1.0))
    else:
        g(X, ({"f": function}, 1.0))
        change(5.0)
        np.testing.assert_array_equal(g(X, ({"f": function}, 1.0)), 5.0 * X)


def test_a_field_and_an_equation_with_such_an_argument():
    for holder in (keyword_of_a_partial, cell):
        function, change = holder()
        f = lambda t, y, function: -function(y)
        ends = []
        for field in (f, compiled(f)):
            for k in (1.0, 5.0):
                change(k)
                loss = lambda y, f=field, p=function: np.sum(odeint(f, y, [0.0, 1.0], p)[-1])
                ends.append(grad(loss)(X))
        np.testing.assert_array_equal(ends[:2], ends[2:])
    scale = Scale(2.0)
    for solver in (
        lambda: odeint(compiled(lambda t, y, f: f(y)), X, [0.0, 1.0], scale),
        lambda: root(compiled(lambda u, f: f(u) - 1.0), X, scale),
    ):
        with pytest.raises(TypeError, match="of type Scale, whose change"):
            solver()


class Plain(enum.Enum):
    A = 1
    B = "b"


class Whole(enum.IntFlag):
    A = 1
    B = 2


class Mutable(enum.Enum):
    A = [2.0]  # noqa: RUF012


class Text(str):
    """It may have attributes, like every class of a user."""

    __slots__ = ("k",)


class Number(int):
    pass


class Real(float):
    pass


class OfNumPy(np.float64):
    pass


class Complex(complex):
    pass


STATEFUL = [
    Text("a"),
    Number(1),
    Real(1.0),
    OfNumPy(1.0),
    Complex(1j),
    Scale,
    Scale.of_class,
    np.random.default_rng(0).normal,
    np.random.normal,
    X.sum,
    np.poly1d([1.0, 2.0]),
    functools.lru_cache(math.sin),
    range(3),
    types,
    np.dtype([("a", float)]),
    np.dtype(float, metadata={"k": 1}),
    np.zeros(1, [("a", float)])[0],
    iter([1]),
    functools.partial(Scale(2.0)),
    functools.partial(abs, Text("a")),
    functools.partial(abs, {"a": [{1}]}),
]


@pytest.mark.parametrize("argument", STATEFUL, ids=lambda x: type(x).__name__)
def test_what_may_have_a_state_is_refused(argument):
    for container in (argument, (argument,), {"a": [argument]}):
        with pytest.raises(
            TypeError, match=r"compiled: an argument is .*whose change a program would not see"
        ):
            compiled(lambda x, argument: x)(X, container)
        with pytest.raises(TypeError, match="compiled: an argument is"):
            grad(lambda x: np.sum(compiled(lambda x, argument: x)(x, container)))(X)


def recursive():
    def factorial(n):
        return 1 if n == 0 else n * factorial(n - 1)

    return factorial


def test_what_cannot_change_is_recorded_once():
    def power(x, n=2, *, more=(1.0, [2.0])):
        return x**n * more[1][0]

    closed = (lambda n, name: lambda x: x * n + (name == "a"))(3, "a")
    init, apply = nn.mlp(3, 2, 3, activation=nn.softplus)
    parameters = init(np.random.default_rng(0))
    functions = [
        np.sin,
        np.sum,
        np.add.reduce,
        np.linalg.norm,
        abs,
        nn.relu,
        nn.softplus,
        power,
        closed,
        functools.partial(np.multiply, 3.0),
        functools.partial(power, n=3),
        lambda x: x * recursive()(3),
        functools.partial(lambda factorial, x: x * factorial(3), recursive()),
    ]
    uses = [(lambda x, f: f(x), f) for f in functions] + [
        (lambda x, f: f(parameters, x), apply),
        *[
            (lambda x, kind: x.astype(kind), kind)
            for kind in (float, np.float32, np.dtype("f4"), "f4")
        ],
        *[
            (lambda x, c: x * np.angle(c), c)
            for c in (complex(-1.0, 0.0), complex(-1.0, -0.0), np.complex64(1j))
        ],
        *[
            (lambda x, c: x * (c is None), c)
            for c in (
                None,
                complex("nan"),
                np.datetime64("NaT", "s"),
                np.timedelta64(1, "s"),
                np.str_("a"),
                b"a",
                True,
                np.True_,
            )
        ],
        *[
            (lambda x, c: x * float(str(c.value).startswith("1")), c)
            for c in (Plain.A, Plain.B, Whole.A | Whole.B)
        ],
    ]
    for f, constant in uses:
        count = []
        g = compiled(lambda x, c: count.append(0) or f(x, c))
        for _ in range(3):
            found, expected = g(X, constant), f(X, constant)
            np.testing.assert_array_equal(found, expected)
            assert np.result_type(found) == np.result_type(expected)
        assert len(count) == 2


PAIRS = [  # equal to Python, and yet another
    (1, True),
    (1, np.int64(1)),
    (np.int32(1), np.int64(1)),
    ("a", np.str_("a")),
    (np.int64(1), np.True_),
    (complex(1.0, 0.0), complex(1.0, -0.0)),
    (np.complex128(-0.0), np.complex128(0.0)),
    (Whole.A, 1),
    (functools.partial(max, 1), functools.partial(max, True)),
    (lambda x=0.0: x, lambda x=-0.0: x),
    (functools.partial(max, 0.0), functools.partial(max, -0.0)),
    ((1, 2), (True, 2)),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_constants_that_are_only_equal(pair):
    numbers = {}
    f = lambda x, c: (
        x * numbers.setdefault(repr((type(c), c, getattr(c, "__defaults__", None))), len(numbers))
    )
    g = compiled(f)
    for c in (*pair, *pair):
        np.testing.assert_array_equal(g(X, c), f(X, c))
    assert len(numbers) == 2


def test_numbers_of_python_and_of_numpy():
    x = X.astype(np.float32)
    g = compiled(lambda x, c: c * x)
    for c in (
        1,
        1.0,
        np.float64(1.0),
        np.float32(1.0),
        True,
        np.int64(1),
        np.float16(1.0),
        np.longdouble(1.0),
    ):
        assert g(x, c).dtype == (c * x).dtype


def test_keys_of_a_dict_that_are_only_equal():
    f = lambda x, p: x * math.copysign(2.0, next(iter(p)))
    g = compiled(f)
    for key in (0.0, -0.0, 0.0):
        np.testing.assert_array_equal(g(X, {key: 1.0}), f(X, {key: 1.0}))
    f = lambda x, p: x * (2.0 if type(next(iter(p))) is int else 3.0)
    g = compiled(f)
    for key in (1, True, 1.0, 1):
        np.testing.assert_array_equal(g(X, {key: 1.0}), f(X, {key: 1.0}))


def test_the_contents_of_an_enumeration():
    f = lambda x, member: x * member.value[0]
    g = compiled(f)
    for k in (2.0, 5.0):
        Mutable.A.value[0] = k
        np.testing.assert_array_equal(g(X, Mutable.A), k * X)
    Plain.A.k = X
    try:
        with pytest.raises(TypeError, match=r"an argument is <Plain\.A: 1>, which holds array"):
            compiled(lambda x, member: x)(X, Plain.A)
    finally:
        del Plain.A.k


def test_a_traced_value_in_an_argument_is_not_lost():
    g = compiled(lambda x, f: f(x))
    with pytest.raises(TypeError, match=r"functools.partial.*, which holds Node"):
        grad(lambda k: np.sum(g(X, functools.partial(np.multiply, k))))(2.0)
    with pytest.raises(TypeError, match="which holds Node"):
        grad(lambda k: np.sum(g(X, lambda x: k * x)))(2.0)
