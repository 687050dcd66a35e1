"""`plotting.draw`: what stands on it is what the engine computes, and nothing covers anything."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from matplotlib.path import Path  # noqa: E402

from tinyode import compiled, custom_vjp, grad, nn, tree, vjp  # noqa: E402
from tinyode.plotting import draw  # noqa: E402
from tinyode.plotting.boxes import boxes_of, short  # noqa: E402

RNG = np.random.default_rng(0)
A = np.array([[1.0, 2.0], [3.0, 4.0]])
INIT, APPLY = nn.mlp(3, 4, 1)


def rk4(y, h, k):
    f = lambda y: -k * y
    k1 = f(y)
    k2 = f(y + h / 2 * k1)
    k3 = f(y + h / 2 * k2)
    k4 = f(y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def chain(n):
    def f(x):
        for i in range(n):
            x = np.sin(x) if i % 2 else x * 0.9
        return x

    return f


def pendulum(t, z, theta):
    return np.array([z[1], -theta[0] * np.sin(z[0]) - 0.3 * z[1] + theta[1] * np.cos(2 * t)])


def lynx(t, y, p):
    return np.array([p["a"] * y[0] - p["b"] * y[0] * y[1], p["d"] * y[0] * y[1] - p["c"] * y[1]])


FUNCTIONS = {  # and an example of their arguments
    "one operation": (np.tanh, 0.5),
    "none": (lambda x: x, 0.5),
    "chapter 3": (lambda a, b: (a * b + np.tanh(a)) ** 2, 0.5, 2.0),
    "constants": (lambda x: A @ x + np.array([1.0, 2.0]), np.array([1.0, -1.0])),
    "used twice": (lambda x: (x * x) * (x * x) * x, 1.5),
    "outputs": (lambda x, y: {"s": x + y, "p": (x * y, x)}, 1.0, 2.0),
    "network": (APPLY, INIT(RNG), RNG.normal(size=(5, 3))),
    "pendulum": (pendulum, 1.1, np.array([1.2, 0.0]), np.array([2.0, 0.7])),
    "containers": (lynx, 0.0, np.array([1.0, 2.0]), {"a": 1.0, "b": 2.0, "c": 0.5, "d": 0.3}),
    "a step of rk4": (rk4, 1.0, 0.1, 0.5),
    "thirty in a row": (chain(30), 1.0),
    "long names": (
        lambda growth_of_prey, x: chain(14)(x * growth_of_prey) + growth_of_prey * x,
        1.0,
        0.5,
    ),
    "a derivative": (lambda x: grad(lambda y: np.sin(y) * x)(x), 0.7),
}


@pytest.fixture(params=FUNCTIONS)
def drawn(request):
    f, *example = FUNCTIONS[request.param]
    figure = draw(f, *example, vjp=True)
    figure.canvas.draw()
    yield figure, boxes_of(f, tuple(example), True), f, example
    matplotlib.pyplot.close(figure)


def by_gid(figure, start):
    """Return the artists of a kind, by the rest of their gid."""
    found = figure.findobj(lambda artist: (artist.get_gid() or "").startswith(start + " "))
    return [(artist.get_gid().split(" ", 1)[1], artist) for artist in found]


def test_values_and_cotangents_are_those_of_the_engine(drawn):
    figure, boxes, f, example = drawn
    value, pullback = vjp(f, *example)
    cotangents = pullback(tree.map(np.ones_like, value))
    expected = dict(zip([box.name for box in boxes], tree.flatten(cotangents)[0]))
    texts = {name: text.get_text() for name, text in by_gid(figure, "cotangent")}
    for name, cotangent in expected.items():
        assert texts[name] == f"← {short(cotangent)}"
    texts = {name: text.get_text() for name, text in by_gid(figure, "value")}
    leaves = tree.flatten(value)[0]
    outputs = [box for box in boxes if box.output]
    if len(leaves) == 1:
        np.testing.assert_array_equal(outputs[0].value, leaves[0])
        assert texts[outputs[0].name].endswith(short(leaves[0]))
    assert texts.keys() == {box.name for box in boxes}
    for box in boxes:
        assert box.cotangent.shape == box.value.shape


def test_each_use_of_a_value_has_an_arrow_there_and_one_back(drawn):
    """The arrows that lead into a box are as many as its operands; they lead on from the others."""
    figure, boxes, *_ = drawn
    uses = sorted((boxes[i].name, box.name) for box in boxes for i in box.parents)
    there = [tuple(name.split()) for name, _ in by_gid(figure, "forward")]
    back = [tuple(name.split()[::-1]) for name, _ in by_gid(figure, "back")]
    assert sorted(pair for pair in there if pair[1] != "on") == uses
    assert sorted(there) == sorted(back)


def test_nothing_covers_anything(drawn):
    """Boxes are apart, texts inside their boxes or apart, and no arrow runs through a box."""
    figure, *_ = drawn
    extents = {name: patch.get_window_extent() for name, patch in by_gid(figure, "box")}
    page = figure.bbox.padded(1)
    names = list(extents)
    for k, name in enumerate(names):
        assert page.containsx(extents[name].x0) and page.containsx(extents[name].x1)
        assert page.containsy(extents[name].y0) and page.containsy(extents[name].y1)
        for other in names[:k]:
            assert not extents[name].overlaps(extents[other]), (name, other)
    for kind in ("formula", "value", "cotangent"):
        for name, text in by_gid(figure, kind):
            inside, around = text.get_window_extent(), extents[name]
            assert around.x0 < inside.x0 and inside.x1 < around.x1, text.get_text()
            assert around.y0 < inside.y0 and inside.y1 < around.y1, text.get_text()
    others = [text for text in figure.axes[0].texts if text.get_gid() is None]
    for k, text in enumerate(others):
        extent = text.get_window_extent()
        assert not any(extent.overlaps(box.padded(-2)) for box in extents.values()), text
        assert not any(extent.overlaps(other.get_window_extent()) for other in others[:k])
    for kind in ("forward", "back"):
        for name, arrow in by_gid(figure, kind):
            path = arrow.get_path().transformed(arrow.get_transform())
            lines = [Path(line).interpolated(20) for line in path.to_polygons(closed_only=False)]
            points = np.concatenate([line.vertices for line in lines])
            for box, extent in extents.items():
                assert not extent.padded(-3).count_contains(points), (name, box)
            for text in others:
                assert not text.get_window_extent().count_contains(points), (name, text)


def test_names_formulas_and_outputs():
    f = lambda p, x: (
        [p["w"] @ x, x.T[0, 1:], np.where(x > 0, x, 0.0)],
        np.sum(x * A, axis=0, keepdims=True),
        -p["b"][0] / 2,
    )
    boxes = boxes_of(f, ({"w": A, "b": (1.0,)}, np.eye(2)), False)
    formulas = {box.name: box.formula for box in boxes if box.formula}
    assert [box.name for box in boxes if not box.formula] == ["p_b_0", "p_w", "x"]
    assert list(formulas.values()) == [
        "p_w @ x",
        "x.T",
        "v2[0, 1:]",
        "where([[1, 0], [0, 1]], x, 0)",
        "x * A",
        "sum(v5, axis=0)",
        "-p_b_0",
        "v7 / 2",
    ]
    outputs = {box.name: box.output for box in boxes if box.output}
    assert outputs == {
        "v1": "output[0][0]",
        "v3": "output[0][1]",
        "v4": "output[0][2]",
        "v6": "output[1]",
        "v8": "output[2]",
    }
    assert all(box.cotangent is None for box in boxes)


def test_functions_with_rules_of_their_own_are_named():
    @custom_vjp
    def softplus(x):
        return np.log1p(np.exp(x))

    softplus.defvjp(lambda x: (softplus(x), x), lambda x, g: (g / (1 + np.exp(-x)),))
    f = lambda x: (
        softplus(x),
        np.concatenate([x, x]),
        np.einsum("i,i->", x, x),
        np.array([x[0], 1.0]),
        np.linspace(x[0], 1.0, 3),
    )
    formulas = [box.formula for box in boxes_of(f, (np.array([1.0, 2.0]),), False)]
    for expected in (
        "softplus(x)",
        "concatenate(x, x, axis=0)",
        "einsum(x, x, subscripts='i,i->')",
        "[v4, 1]",
    ):
        assert expected in formulas
    assert any(formula.startswith("linspace(") for formula in formulas)
    whole = boxes_of(compiled(lambda a, b: np.sin(a) * b), (1.0, 2.0), False)
    assert [box.formula for box in whole] == ["", "", "function(a, b)"]


def test_more_than_thirty_operations_are_refused_by_their_number():
    with pytest.raises(ValueError, match=r"this function does 31 operations, .* more than 30 can"):
        draw(chain(31), 1.0)


def test_what_vjp_refuses_is_refused():
    with pytest.raises(TypeError, match="gradient would be lost"):
        draw(lambda x: float(x) * x, 1.0)


def test_without_cotangents_there_is_nothing_that_comes_back():
    figure = draw(lambda a: a * 2, 1.0)
    assert by_gid(figure, "forward") and not by_gid(figure, "back")
    assert not by_gid(figure, "cotangent")
    assert not any("←" in text.get_text() for text in figure.axes[0].texts)
    matplotlib.pyplot.close(figure)


@pytest.mark.parametrize(
    "x, expected",
    [
        (0.46211715726, "0.4621"),
        (-0.0, "0"),
        (12345.678, "1.235e+04"),
        (np.array([1.0, -2.5]), "[1, -2.5]"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "[[1, 2], [3, 4]]"),
        (np.arange(6.0).reshape(2, 3), "[0, …]"),
        (np.zeros((0, 3)), "[]"),
        (np.nan, "nan"),
    ],
)
def test_short_values(x, expected):
    assert short(x) == expected
