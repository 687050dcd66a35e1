"""Networks and models: what does not fit is refused by name, and never broadcast."""

import inspect
import re

import numpy as np
import pytest

from tinyode import compiled, datasets, grad, models, nn, odeint, optim, program, tree, vjp

RNG = np.random.default_rng(0)
NOT_NAMED = re.compile(
    r"gufunc|core dimension|operand \d|broadcast together|axis -?\d+ is out of bounds"
)


def says(error, *words):
    """Whether a message names what it must, and is not NumPy's."""
    message = str(error.value)
    assert not NOT_NAMED.search(message) and all(word in message for word in words), message


# ---- networks: name, apply, its parameters, its other arguments, which of them is x and how wide

MLP, LINEAR, RNN, GRU = nn.mlp(3, 5, 2), nn.linear(3, 2), nn.rnn_cell(3, 4), nn.gru_cell(3, 4)
WRONG_X = [
    np.ones(()),
    1.0,
    np.ones(2),
    np.ones(4),
    np.ones((7, 2)),
    np.ones((7, 4)),
    np.ones((3, 1)),
    np.ones((2, 3, 4)),
    np.ones((0, 2)),
    [1.0, 2.0],
    np.ones((7, 1)),
    np.ones(0),
]
WAYS = {
    "called": lambda f, *a: f(*a),
    "grad": lambda f, *a: vjp(f, *a),
    "compiled": lambda f, *a: compiled(f)(*a),
    "program": lambda f, *a: program(f, *a),
    "grad of compiled": lambda f, *a: vjp(compiled(f), *a),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("x", WRONG_X, ids=lambda x: str(np.shape(x)))
@pytest.mark.parametrize("name, network", [("mlp", MLP), ("linear", LINEAR)])
def test_a_sample_of_another_width(name, network, x, way):
    init, apply = network
    if isinstance(x, list) and way in ("compiled", "program"):
        x = np.array(x)  # of a list of recorded numbers no array is made, of whatever width
    with pytest.raises(ValueError) as error:
        WAYS[way](apply, init(RNG), x)
    says(error, f"{name}: the input has the shape {np.shape(x)}; it must be (..., 3)")


@pytest.mark.parametrize("name, network", [("rnn_cell", RNN), ("gru_cell", GRU)])
@pytest.mark.parametrize(
    "h, x",
    [
        (4, 2),
        (3, 3),
        (3, 4),
        (5, 2),
        ((6, 4), 3),
        (4, (6, 3)),
        ((6, 4), (5, 3)),
        ((1, 4), (6, 3)),
        ((6, 4), (1, 3)),
        ((), 3),
        (4, ()),
        ((6, 1), (6, 6)),
        ((2, 6, 4), (6, 3)),
    ],
)
def test_a_step_of_another_width(name, network, h, x):
    """Also where both are as wide as they should be together, and exchanged."""
    init, apply = network
    p, h, x = init(RNG), np.ones(h), np.ones(x)
    for way in ("called", "grad", "compiled"):
        with pytest.raises(ValueError) as error:
            WAYS[way](apply, p, h, x)
        says(
            error,
            f"{name}: apply(parameters, h, x) got h of shape {h.shape} and x of shape {x.shape}",
            "(..., 4) and (..., 3)",
        )


def of_others():
    """Parameters that are not those of mlp(3, 5, 2)."""
    p = MLP[0](RNG)
    yield "wider", nn.mlp(4, 5, 2)[0](RNG), "(..., 4)"
    yield "mixed", [p[0], nn.linear(6, 2)[0](RNG)], "as many rows"
    yield "a bias of another layer", [p[0], {**p[1], "b": p[0]["b"]}], "(n, m) and (m,)"
    yield "a row for a bias", [p[0], {**p[1], "b": np.zeros((2, 2))}], "(n, m) and (m,)"
    yield "linear", LINEAR[0](RNG), "a dict with 'W' and 'b' for each layer"
    yield "none", [], "a dict with 'W' and 'b' for each layer"
    yield "nothing", None, "a dict with 'W' and 'b' for each layer"
    yield "gru", GRU[0](RNG), "a dict with 'W' and 'b' for each layer"
    yield (
        "other names",
        [{"w": p[0]["W"], "b": p[0]["b"]}, p[1]],
        "a dict with 'W' and 'b' for each layer",
    )
    yield "flat", tree.ravel(p)[0], "a dict with 'W' and 'b' for each layer"
    yield "a vector", [p[0], {"W": np.ones((5, 2, 2)), "b": np.zeros(3)}], "(n, m) and (m,)"


@pytest.mark.parametrize(
    "kind, p, word", [*of_others()], ids=lambda x: x if isinstance(x, str) else ""
)
def test_parameters_of_another_network(kind, p, word):
    with pytest.raises(ValueError) as error:
        MLP[1](p, np.ones((7, 3)))
    says(error, "mlp: ", word)


def test_parameters_of_another_cell():
    for name, cell, other in (
        ("rnn_cell", RNN, nn.rnn_cell(2, 4)),
        ("gru_cell", GRU, nn.gru_cell(3, 5)),
        ("gru_cell", GRU, RNN),
    ):
        with pytest.raises((ValueError, KeyError)) as error:
            cell[1](other[0](RNG), np.ones((7, 4)), np.ones((7, 3)))
        says(error, name)


def test_a_network_takes_its_depth_from_the_parameters():
    p = nn.mlp(3, 4, 6, 5)[0](RNG)
    np.testing.assert_array_equal(
        MLP[1](p, np.ones((7, 3))), nn.mlp(3, 4, 6, 5)[1](p, np.ones((7, 3)))
    )


def test_what_a_users_activation_raises_comes_out_as_it_was():
    class Mine(ValueError):
        def __init__(self, a, b):
            super().__init__(a, b)

    def activation(x):
        raise Mine(1, 2)

    init, apply = nn.mlp(3, 4, 2, activation=activation)
    with pytest.raises(Mine) as error:
        apply(init(RNG), np.ones(3))
    assert error.value.args == (1, 2) and error.value.__cause__ is None


# ---- models

T, N, K = 9, 6, 5
TIMES = np.linspace(0.0, 1.0, T)
WHICH = np.sort(np.stack([RNG.choice(T, K, replace=False) for _ in range(N)]))
SERIES, NORMAL, GAPS = RNG.normal(size=(N, K, 2)), RNG.normal(size=(N, 3)), np.ones((N, K + 1))
POINTS = RNG.normal(size=(N, 2))
ODE, RES = models.ode_classifier(2, 4, 5, 3), models.resnet_classifier(2, 4, 5, 3)
PLANAR, FLOW = models.planar_flow(2, 3), models.continuous_flow(2, 4)
ROUGH = models.continuous_flow(2, 4, models.hutchinson_trace)
LATENT = models.latent_ode(2, latent=3, hidden=4, recognition=5)
FORECAST = models.rnn_forecaster(2, 4)
MODELS = {
    "ode_classifier": ODE,
    "resnet_classifier": RES,
    "planar_flow": PLANAR,
    "continuous_flow": FLOW,
    "latent_ode": LATENT,
    "rnn_forecaster": FORECAST,
}
P = {name: model[0](RNG) for name, model in MODELS.items()}
CALLS = {  # name: (the model, which argument is named, its right value, the call)
    "ode_classifier": ("ode_classifier", "x", POINTS, lambda p, x: ODE[1](p, x)),
    "resnet_classifier": ("resnet_classifier", "x", POINTS, lambda p, x: RES[1](p, x)),
    "planar": ("planar_flow", "x", POINTS, lambda p, x: PLANAR[1](p, x)),
    "flow": ("continuous_flow", "x", POINTS, lambda p, x: FLOW[1](p, x)),
    "hutchinson": ("continuous_flow", "x", POINTS, lambda p, x: ROUGH[1](p, x, np.ones((N, 2)))),
    "noise": ("continuous_flow", "noise", np.ones((N, 2)), lambda p, x: ROUGH[1](p, POINTS, x)),
    "move": ("continuous_flow", "z", POINTS, lambda p, x: FLOW[2](p, x, 0.0, 1.0)),
    "encode t": ("latent_ode", "t", TIMES, lambda p, x: LATENT[1](p, x, SERIES, WHICH)),
    "encode x": ("latent_ode", "x", SERIES, lambda p, x: LATENT[1](p, TIMES, x, WHICH)),
    "encode which": ("latent_ode", "which", WHICH, lambda p, x: LATENT[1](p, TIMES, SERIES, x)),
    "decode": ("latent_ode", "z0", NORMAL, lambda p, x: LATENT[2](p, x, TIMES)),
    "elbo x": ("latent_ode", "x", SERIES, lambda p, x: LATENT[3](p, TIMES, x, WHICH, NORMAL)),
    "elbo normal": (
        "latent_ode",
        "normal",
        NORMAL,
        lambda p, x: LATENT[3](p, TIMES, SERIES, WHICH, x),
    ),
    "predict x": ("rnn_forecaster", "x", SERIES, lambda p, x: FORECAST[1](p, x, GAPS)),
    "predict gaps": ("rnn_forecaster", "gaps", GAPS, lambda p, x: FORECAST[1](p, SERIES, x)),
}
SHAPES = {
    "a number": lambda x: x.reshape(-1)[0],
    "one axis too few": lambda x: x[0],
    "one axis too many": lambda x: x[None],
    "wider": lambda x: np.concatenate([x, x[..., :1]], axis=-1),
    "narrower": lambda x: x[..., :-1],
    "one column": lambda x: x[..., :1],
    "a list of others": lambda x: x[..., None].tolist(),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("call", CALLS)
def test_data_of_another_shape(call, kind):
    name, what, right, f = CALLS[call]
    x = SHAPES[kind](right)
    if call == "resnet_classifier" and kind in ("one axis too few", "one axis too many"):
        assert f(P[name], x).shape == (*np.shape(x)[:-1], 3)  # any axes before the features
    elif call == "encode t" and kind in ("wider", "narrower", "one column"):
        pass  # another number of times
    elif call == "predict gaps" and kind in ("wider", "narrower"):
        assert f(P[name], x).shape[1] == np.shape(x)[1]  # another number of predictions
    else:
        with pytest.raises((ValueError, TypeError)) as error:
            f(P[name], x)
        says(error, what, str(np.shape(x)))


@pytest.mark.parametrize("call", CALLS)
def test_lists_and_whole_numbers_are_data_too(call):
    name, what, right, f = CALLS[call]
    plain = right if what == "which" else np.round(3 * right)
    if what == "t":
        plain = np.arange(float(T))
    expected = f(P[name], plain)
    for x in (plain.tolist(), plain.astype(int)):
        for a, b in zip(tree.flatten(f(P[name], x))[0], tree.flatten(expected)[0]):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("call", CALLS)
def test_parameters_of_another_model(call):
    name, _, right, f = CALLS[call]
    mine = P[name]
    others = [p for other, p in P.items() if other != name]
    others += [None, [], {}, tree.ravel(mine)[0], GRU[0](RNG)]
    if isinstance(mine, dict):
        others += [{k: mine[k] for k in list(mine)[1:]}, {**mine, "more": 1.0}]
    for p in others:
        with pytest.raises(ValueError) as error:
            f(p, right)
        says(error, f"{name}: parameters", "init")


@pytest.mark.parametrize(
    "which, word",
    [
        (WHICH - 1, "must increase"),
        (WHICH + 1, "must increase"),
        (WHICH[:, ::-1], "must increase"),
        (WHICH[:, [0, 0, 1, 2, 3]], "must increase"),
        (WHICH.astype(float), "whole numbers"),
        (WHICH[:, :0], "one or more"),
    ],
)
def test_positions_that_are_not_times(which, word):
    which = np.where(WHICH == 4, -1, which) if which is WHICH else which
    shifted = {"must increase": (WHICH - WHICH.max() - 1, WHICH + T)}.get(word, ())
    for wrong in (
        (which, *shifted) if word != "must increase" or np.any(np.diff(which) < 1) else shifted
    ):
        with pytest.raises(ValueError) as error:
            LATENT[1](P["latent_ode"], TIMES, SERIES[:, : wrong.shape[1]], wrong)
        says(error, "latent_ode: encode: which", word)


def test_series_without_observations():
    with pytest.raises(ValueError, match="rnn_forecaster: x has no observations"):
        FORECAST[1](P["rnn_forecaster"], SERIES[:, :0], GAPS)
    with pytest.raises(ValueError, match="t has two times or more"):
        LATENT[1](P["latent_ode"], TIMES[:1], SERIES[:, :1], np.zeros((N, 1), int))


COUNTS = {
    "ode_classifier": (
        models.ode_classifier,
        {"features": 2, "width": 4, "hidden": 5, "classes": 3},
    ),
    "resnet_classifier": (
        models.resnet_classifier,
        {"features": 2, "width": 4, "hidden": 5, "classes": 3, "blocks": 2},
    ),
    "planar_flow": (models.planar_flow, {"d": 2, "layers": 3}),
    "continuous_flow": (models.continuous_flow, {"d": 2, "hidden": 3}),
    "latent_ode": (models.latent_ode, {"d": 2, "latent": 3, "hidden": 4, "recognition": 5}),
    "rnn_forecaster": (models.rnn_forecaster, {"d": 2, "hidden": 4}),
}


@pytest.mark.parametrize("value", [0, -1, 2.0, 2.5, "2", None, True, np.nan, [2], 1j], ids=repr)
@pytest.mark.parametrize("name", COUNTS)
def test_numbers_of_layers_and_widths(name, value):
    make, counts = COUNTS[name]
    for what in counts:
        with pytest.raises(
            ValueError, match=re.escape(f"{name}: {what}={value!r} must be a positive whole number")
        ):
            make(**{**counts, what: value})
    make(**{what: np.int64(n) for what, n in counts.items()})


def test_a_network_without_layers():
    for thetas in ([], (), iter([]), np.zeros((0, 3))):
        with pytest.raises(ValueError, match="resnet: thetas is empty"):
            models.resnet(lambda t, h, theta: h, np.ones(2), thetas)
    assert models.resnet(lambda t, h, theta: theta * h, 1.0, iter([1.0, 2.0])) == 6.0


@pytest.mark.parametrize("shape", [(), (1,), (2,), (1, 2), (3, 1), (1, 1), (5, 3, 2), (2, 3)])
def test_a_block_that_returns_another_shape(shape):
    """Most of these NumPy would broadcast."""
    with pytest.raises(
        ValueError,
        match=re.escape(f"resnet: f returned the shape {shape} in layer 1 for h of shape (3, 2)"),
    ):
        models.resnet(
            lambda t, h, theta: h if t == 0 else np.ones(shape), np.ones((3, 2)), [1.0, 2.0]
        )
    with pytest.raises(ValueError, match="resnet: f returned the shape"):
        grad(
            lambda h: np.sum(
                models.resnet(lambda t, h, theta: theta * np.ones(shape), h, [h[0, 0]])
            )
        )(np.ones((3, 2)))


@pytest.mark.parametrize("trace", [models.exact_trace, models.hutchinson_trace])
def test_a_trace_of_no_square_jacobian(trace):
    z = np.ones((4, 2))
    for f in (
        lambda z: z[:, :1],
        lambda z: z[0],
        lambda z: np.sum(z),
        lambda z: np.concatenate([z, z], axis=1),
        lambda z: z.T,
    ):
        with pytest.raises(ValueError, match=f"{trace.__name__}: f returned the shape"):
            trace(f, z, z)
    for wrong in (np.ones(2), 1.0, np.ones((4, 2, 1))):
        with pytest.raises(ValueError, match=f"{trace.__name__}: z has the shape"):
            trace(lambda z: z, wrong, wrong)


@pytest.mark.parametrize("n", [-1, 1.0, "1", None, True, [1], np.nan], ids=repr)
def test_a_number_of_zeros_that_is_none(n):
    with pytest.raises(
        ValueError, match=re.escape(f"augmented: n={n!r} must be a whole number, 0 or more")
    ):
        models.augmented(np.ones((2, 3)), n)


def test_what_is_augmented():
    with pytest.raises(ValueError, match=r"augmented: x has the shape \(\)"):
        models.augmented(1.0, 1)
    assert models.augmented([1.0, 2.0], 1).tolist() == [1, 2, 0]
    assert models.augmented(np.ones(2), np.int64(0)).tolist() == [1, 1]


WITH_OPTIONS = {
    "ode_classifier": lambda **options: models.ode_classifier(2, 4, 5, 3, **options),
    "ode_classifier, applied": lambda **options: ODE[1](P["ode_classifier"], POINTS, **options),
    "continuous_flow": lambda **options: models.continuous_flow(2, 4, **options),
    "latent_ode": lambda **options: models.latent_ode(2, **options),
}


@pytest.mark.parametrize(
    "option", ["metod", "Method", "tol", "f", "y0", "t", "args", "events", "step"]
)
@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_options_are_known_when_the_model_is_made(name, option):
    with pytest.raises(
        TypeError, match=f"{name.split(',')[0]}: {option}= is no option of odeint.* method, rtol"
    ):
        WITH_OPTIONS[name](**{option: "rk4"})


def test_every_option_of_odeint_is_one_of_the_models():
    options = [p for p in inspect.signature(odeint).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert len(options) > 8
    for option in options:
        for name, make in WITH_OPTIONS.items():
            if "applied" not in name:
                make(**{option.name: option.default})


@pytest.mark.parametrize("noise", [0, -0.1, np.nan, np.inf, "0.3", None, 1j, [0.3]], ids=repr)
def test_a_noise_that_is_no_deviation(noise):
    with pytest.raises(ValueError, match=re.escape(f"latent_ode: noise={noise!r}")):
        models.latent_ode(2, noise=noise)


def test_a_noise_that_is_traced():
    with pytest.raises(ValueError, match=r"latent_ode: noise=.* neither traced nor learned"):
        grad(lambda noise: (models.latent_ode(2, noise=noise), noise)[1])(0.3)


def test_functions_that_are_none():
    for call, message in (
        (
            lambda: models.continuous_flow(2, 4, "exact"),
            "continuous_flow: trace='exact' must be a function",
        ),
        (lambda: models.latent_ode(2, cell="gru"), "latent_ode: cell='gru' must be a function"),
        (
            lambda: models.rnn_forecaster(2, cell=None),
            "rnn_forecaster: cell=None must be a function",
        ),
    ):
        with pytest.raises(TypeError, match=message):
            call()


INITS = {
    "linear": LINEAR[0],
    "mlp": MLP[0],
    "rnn_cell": RNN[0],
    "gru_cell": GRU[0],
    "ode_classifier": ODE[0],
    "resnet_classifier": RES[0],
    "planar_flow": PLANAR[0],
    "continuous_flow": FLOW[0],
    "latent_ode": LATENT[0],
    "rnn_forecaster": FORECAST[0],
    "two_moons": lambda rng: datasets.two_moons(rng, 3),
    "spirals": lambda rng: datasets.spirals(rng, 3),
}


@pytest.mark.parametrize(
    "rng",
    [
        0,
        None,
        np.random.RandomState(0),
        np.random,
        np.random.default_rng,
        "seed",
        np.random.PCG64(0),
        1.5,
    ],
    ids=lambda rng: f"{rng!r:.20}",
)
@pytest.mark.parametrize("name", INITS)
def test_a_generator_that_is_none(name, rng):
    with pytest.raises(
        TypeError,
        match=rf"{name}: rng=.* numpy\.random\.Generator; write np\.random\.default_rng\(0\)",
    ):
        INITS[name](rng)


def test_every_generator_of_numpy_is_one():
    for bits in (np.random.PCG64, np.random.MT19937, np.random.Philox):
        for init in INITS.values():
            assert len(tree.flatten(init(np.random.Generator(bits(0))))[0]) > 0


@pytest.mark.parametrize(
    "scores, labels, word",
    [
        (1.0, 0, "classes"),
        (np.ones(0), 0, "classes"),
        ([], [], "classes"),
        (None, 0, "classes"),
        ("abc", 0, "classes"),
        (np.ones((2, 3)) * 1j, [0, 1], "complex"),
        (np.ones((2, 3)), [[0], [1]], "need labels of shape"),
        (np.ones((2, 3)), np.eye(3)[:2], "need labels of shape"),
        (np.ones((2, 3)), 0, "need labels of shape"),
        (np.ones(3), [0], "need labels of shape"),
        (np.ones((2, 3)), None, "need labels of shape"),
        (np.ones((1, 3)), [0, 1], "need labels"),
        (np.ones((2, 3)), [0.0, 1.0], "whole numbers"),
        (np.ones((2, 3)), ["a", "b"], "whole numbers"),
        (np.ones((2, 1)), [0, 1], "whole numbers from 0 to 0"),
    ],
)
def test_scores_and_labels_that_do_not_fit(scores, labels, word):
    with pytest.raises(ValueError) as error:
        nn.cross_entropy(scores, labels)
    says(error, "cross_entropy: ", word)


def test_one_number_has_no_classes():
    with pytest.raises(ValueError, match="log_softmax: x has the shape"):
        nn.log_softmax(2.0)
    with pytest.raises(ValueError, match="log_softmax: x has the shape"):
        grad(nn.log_softmax)(2.0)


def test_what_fits_is_trained():
    """One step of Adam on each model, whose gradient is a container like its parameters."""
    losses = {
        "ode_classifier": lambda p: np.mean(ODE[1](p, POINTS) ** 2),
        "resnet_classifier": lambda p: np.mean(RES[1](p, POINTS) ** 2),
        "planar_flow": lambda p: -np.mean(PLANAR[1](p, POINTS)),
        "continuous_flow": lambda p: -np.mean(FLOW[1](p, POINTS)),
        "latent_ode": lambda p: -LATENT[3](p, TIMES, SERIES, WHICH, NORMAL),
        "rnn_forecaster": lambda p: np.mean(FORECAST[1](p, SERIES, GAPS) ** 2),
    }
    init, update = optim.adam(1e-3)
    for name, loss in losses.items():
        p, _ = update(P[name], grad(loss)(P[name]), init(P[name]))
        assert loss(p) < loss(P[name]), name
