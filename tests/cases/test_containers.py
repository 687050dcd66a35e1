"""Containers of every kind and depth: put together again as they were, or refused by name."""

import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import compiled, grad, jvp, odeint, program, solve, tree

# levels; from Python 3.12 on a comprehension is no call, and containers may be twice as deep
TOO_MANY = (900, 30_000) if sys.version_info < (3, 12) else (2000, 30_000)
DEEP = "containers are nested too deep for Python's stack, or one contains itself"


class Attributes(dict):
    """What many write to have parameters.W."""

    __getattr__ = dict.__getitem__
    if sys.version_info < (3, 11):  # copy.copy asks an object for it, and gets a KeyError
        __getstate__ = lambda self: vars(self) or None


class Named(dict):
    """A dict whose constructor takes something else."""

    def __init__(self, name):
        super().__init__()
        self.name = name


class Labelled(list):
    def __init__(self, items, label):
        super().__init__(items)
        self.label = label


class Plain(tuple):
    __slots__ = ()


class Pair(tuple):
    """A tuple whose constructor takes its elements one by one."""

    __slots__ = ()

    def __new__(cls, a, b):
        return super().__new__(cls, (a, b))


class Point(NamedTuple):
    x: object
    y: object = 0.0


class Doubled(namedtuple("Doubled", "x y")):
    """Computes in its constructor, which must not happen again."""

    __slots__ = ()

    def __new__(cls, x):
        return super().__new__(cls, x, 2 * x)


class Tagged(tuple):
    def __new__(cls, items, tag):
        new = super().__new__(cls, items)
        new.tag = tag
        return new


class Uncopied(list):
    def __new__(cls, n):
        return super().__new__(cls)


def of_one(kind):
    """Return a function that makes a container of this kind of one thing."""

    def make(x):
        if kind in (Attributes, OrderedDict):
            return kind({"a": x})
        if kind is defaultdict:
            return defaultdict(list, a=x)
        if kind is Named:
            new = Named("rates")
            new["a"] = x
            return new
        return {
            Labelled: lambda: Labelled([x], "layers"),
            Plain: lambda: Plain([x]),
            Pair: lambda: Pair(x, 1.5),
            Point: lambda: Point(x),
        }[kind]()

    return make


KINDS = (Attributes, OrderedDict, defaultdict, Named, Labelled, Plain, Pair, Point)
leaves = st.sampled_from([1.0, np.ones(2), np.float32(2.0)])
containers = st.recursive(
    leaves,
    lambda c: st.one_of(
        *[c.map(of_one(kind)) for kind in KINDS], st.lists(c, max_size=2), c.map(lambda x: {"a": x})
    ),
    max_leaves=5,
)


def same(a, b):
    """Whether two containers are the same in kind, elements, order and what they have besides."""
    if type(a) is not type(b) or (type(a) in (Named, Labelled) and vars(a) != vars(b)):
        return False
    if isinstance(a, dict):
        return (
            list(a) == list(b)
            and all(same(a[key], b[key]) for key in a)
            and (type(a) is not defaultdict or a.default_factory is b.default_factory)
        )
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a is b


@given(containers)
def test_they_are_put_together_as_they_were(x):
    flat, structure = tree.flatten(x)
    assert same(tree.unflatten(structure, flat), x) and same(tree.map(lambda leaf: leaf, x), x)
    assert tree.flatten(tree.ravel(x)[1](tree.ravel(x)[0]))[1] == structure == tree.flatten(x)[1]
    gradient = grad(lambda x: sum([np.sum(leaf) for leaf in tree.flatten(x)[0]], 0.0))(x)
    assert tree.flatten(gradient)[1] == structure


def test_a_dict_that_makes_its_elements_goes_on_to_make_them():
    x = tree.map(lambda leaf: 2 * leaf, defaultdict(lambda: 7.0, a=1.0))
    assert x == {"a": 2.0} and x["new"] == 7.0
    assert tree.map(lambda n: n, Counter("aab"))["c"] == 0
    rates = defaultdict(lambda: 3.0, k=2.0)
    f = lambda rates, y: rates["k"] * rates["other"] * y
    assert grad(f)(rates, 5.0)["k"] == 15.0 and grad(compiled(f))(rates, 5.0)["k"] == 15.0
    by_default = lambda t, y, rates: -rates["k"] * y * (rates["other"] / 3)
    found = odeint(by_default, 1.0, [0.0, 1.0], rates)[-1]
    np.testing.assert_allclose(found, np.exp(-2), rtol=1e-5)
    assert list(rates) == ["k"]


def of_a_name(name, a):
    new = Named(name)
    new["a"] = a
    return new


@pytest.mark.parametrize("way", ["called", "grad", "odeint"])
def test_a_compiled_function_sees_what_they_have(way):
    """Another factory, or another attribute, is another program for the same elements."""
    by_factory = compiled(lambda x, t: x["a"] * x["b"] * t)
    by_name = compiled(lambda x, t: x["a"] * (2.0 if x.name == "twice" else 1.0) * t)
    calls = {
        "called": lambda f, x: f(x, 1.0),
        "grad": lambda f, x: grad(f)(x, 1.0)["a"] * x["a"],
        "odeint": lambda f, x: odeint(compiled(lambda t, y, x: f(x, 1.0)), 0.0, [0.0, 1.0], x)[-1],
    }
    for _ in range(2):
        for factor in (2.0, 5.0, 2.0):
            x = defaultdict(lambda: factor, a=3.0)
            assert calls[way](by_factory, x) == pytest.approx(3 * factor) and list(x) == ["a"]
        for name, factor in (("twice", 2.0), ("once", 1.0), ("twice", 2.0)):
            assert calls[way](by_name, of_a_name(name, 3.0)) == pytest.approx(3 * factor)


def test_a_compiled_function_refuses_what_may_change_unseen():
    x = of_a_name(np.ones(2), 1.0)
    with pytest.raises(TypeError, match="whose change a program would not see"):
        compiled(lambda x: x["a"] * 2)(x)
    for kind in (Attributes, OrderedDict, Plain, Pair, Point):
        x = of_one(kind)(1.0)
        f = compiled(lambda x: tree.flatten(x)[0][0] * 2)
        assert f(x) == f(of_one(kind)(1.0)) == 2.0 and len(f.programs) == 1


def test_what_they_have_is_theirs_and_not_shared_between_two():
    x = Named("rates")
    x["a"] = 1.0
    first, second = (tree.map(lambda leaf: leaf + 1, x) for _ in range(2))
    assert first is not second and first == second == {"a": 2.0} and first.name == "rates"
    first["b"] = 0.0
    assert set(second) == set(x) == set(tree.map(lambda leaf: leaf, x)) == {"a"}
    layers = Labelled([1.0], "layers")
    first, second = (tree.map(lambda leaf: leaf, layers) for _ in range(2))
    first.append(2.0)
    assert second == layers == [1.0] and second.label == "layers"
    assert tree.map(lambda x: x + 1, Doubled(3.0)) == (4.0, 7.0)


@pytest.mark.parametrize(
    "x, message",
    [
        (Tagged([1.0], "t"), r"Tagged is a tuple with attributes \(tag\).* write tuple\(x\)"),
        (Uncopied([]), r"Uncopied is a list that copy.copy cannot copy.* write list\(x\)"),
    ],
)
def test_what_cannot_be_put_together_is_refused_by_name(x, message):
    for call in (
        tree.flatten,
        tree.ravel,
        lambda x: grad(lambda x: 1.0)([x]),
        lambda x: odeint(lambda t, y: y, x, [0.0, 1.0]),
        lambda x: tree.map(lambda a: a, {"a": x}),
    ):
        with pytest.raises(TypeError, match=message):
            call(x)


def nested(depth, wrap):
    x = 1.5
    for _ in range(depth):
        x = wrap(x)
    return x


def itself(wrap):
    """Return a container that contains itself."""
    inner = []
    inner.append(wrap(inner))
    return inner


WRAPS = {
    "list": lambda x: [x],
    "tuple": lambda x: (x,),
    "dict": lambda x: {"a": x},
    "mixed": lambda x: [0.5, {"b": (x, 2.0)}],
    "kinds": lambda x: Point(OrderedDict(a=x)),
}
WALKS = {
    "flatten": tree.flatten,
    "ravel": tree.ravel,
    "map": lambda x: tree.map(lambda leaf: leaf, x),
    "second": lambda x: tree.map(lambda a, b: a, [1.0], x),
    "grad": grad(lambda x: 1.0),
    "value": grad(lambda y, x: x),
    "jvp": lambda x: jvp(lambda x: x, (x,), (x,)),
    "compiled": lambda x: compiled(lambda x: x)(x),
    "program": lambda x: program(lambda x: x, x),
    "args": lambda x: odeint(lambda t, y, x: -y, 1.0, [0.0, 1.0], x),
    "state": lambda x: odeint(lambda t, y: y, x, [0.0, 1.0]),
    "solve": lambda x: solve(lambda t, y: y, x, [0.0, 1.0]),
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_containers_a_hundred_deep_are_right(wrap, tmp_path):
    x = nested(100 if wrap in ("list", "tuple", "dict") else 50, WRAPS[wrap])
    assert np.array_equal(tree.ravel(tree.map(lambda leaf: 2 * leaf, x))[0], 2 * tree.ravel(x)[0])
    gradient = grad(lambda x: np.sum(tree.ravel(x)[0] ** 2))(x)
    assert np.array_equal(tree.ravel(gradient)[0], 2 * tree.ravel(x)[0])
    if wrap != "kinds":
        tree.save(tmp_path / "x.npz", x)
        assert tree.load(tmp_path / "x.npz") == x


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("wrap", WRAPS)
def test_deeper_than_the_stack_is_an_error_by_name(wrap, walk):
    call = {"value": lambda x: grad(lambda y: [x, y])(1.0)}.get(walk, WALKS[walk])
    for x in (*[nested(n, WRAPS[wrap]) for n in TOO_MANY], itself(WRAPS[wrap])):
        with pytest.raises(ValueError, match=DEEP):
            call(x)


def test_no_python_takes_more_levels_than_another_can_compare():
    with pytest.raises(ValueError, match=DEEP):
        tree.flatten(nested(tree.DEEPEST + 1, WRAPS["list"]))


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("depth", [150, 250, 400, 800])
def test_some_hundreds_are_right_or_an_error_by_name(wrap, walk, depth):
    try:
        WALKS[walk](nested(depth, WRAPS[wrap]))
    except (ValueError, TypeError) as error:
        assert DEEP in str(error) or walk in ("second", "value")  # whose structures differ


@pytest.mark.parametrize("wrap", ["list", "tuple", "dict", "mixed"])
def test_deeper_than_the_stack_is_not_saved(tmp_path, wrap):
    for x in (*[nested(n, WRAPS[wrap]) for n in TOO_MANY], itself(WRAPS[wrap])):
        with pytest.raises(ValueError, match=DEEP):
            tree.save(tmp_path / "x.npz", x)
    assert not list(tmp_path.iterdir())


def test_depth_is_said_of_a_file_too(tmp_path):
    """Saved with an empty stack and loaded from a deep one, it is not damaged."""
    path = tmp_path / "x.npz"
    tree.save(path, nested(200, WRAPS["list"]))

    def below(n):
        return tree.load(path) if n == 0 else below(n - 1)

    with pytest.raises(ValueError, match=DEEP):
        below(700 if sys.version_info < (3, 12) else 850)
    assert tree.load(path) == nested(200, WRAPS["list"])
