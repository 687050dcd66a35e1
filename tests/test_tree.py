"""Containers: round trips, order, and what is refused."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyode import grad, tree
from tinyode.testing import check_vjp

Point = namedtuple("Point", "x y")
leaves = st.sampled_from(
    [1.0, np.ones(2), np.arange(6.0).reshape(2, 3), np.float32(2.0), np.zeros((0, 2))]
)
containers = st.recursive(
    leaves,
    lambda c: st.one_of(
        st.lists(c, max_size=3),
        st.lists(c, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abc"), c, max_size=3),
        st.builds(Point, c, c),
        st.dictionaries(st.sampled_from("abc"), c, max_size=3).map(OrderedDict),
    ),
    max_leaves=8,
)


@given(containers)
def test_round_trips(x):
    flat, structure = tree.flatten(x)
    back = tree.unflatten(structure, flat)
    assert type(back) is type(x) and tree.flatten(back)[1] == structure
    assert hash(structure) is not None
    assert all(a is b for a, b in zip(flat, tree.flatten(back)[0]))
    vector, unravel = tree.ravel(x)
    again = unravel(vector)
    assert tree.flatten(again)[1] == structure and vector.ndim == 1
    for a, b in zip(flat, tree.flatten(again)[0]):
        assert np.shape(a) == b.shape and np.result_type(a) == b.dtype and np.array_equal(a, b)


def test_dicts_are_walked_in_sorted_order():
    assert tree.flatten({"b": 1, "a": 2})[0] == [2, 1]
    assert tree.flatten({"b": 1, "a": 2})[1] == tree.flatten({"a": 5, "b": 6})[1]
    assert list(tree.map(lambda x: x, {"b": 1, "a": 2})) == ["b", "a"]  # put together as they were
    assert tree.map(lambda x: 2 * x, defaultdict(float, a=1.0)) == defaultdict(float, a=2.0)


def test_map_over_several():
    assert tree.map(lambda a, b: a + b, {"a": (1, [2])}, {"a": (10, [20])}) == {"a": (11, [22])}
    assert tree.map(lambda x: x, Point(1, 2)) == Point(1, 2)


def test_ravel_is_differentiable():
    x = {"a": np.ones(2), "b": [np.ones((2, 2)), 3.0]}
    check_vjp(lambda x: tree.ravel(x)[0] ** 2, x, order=2)
    check_vjp(lambda v: tree.ravel(x)[1](v * v)["b"][0], np.arange(7.0), order=2)
    unravel = tree.ravel({"a": np.ones(2, np.float32)})[1]
    assert grad(lambda v: np.sum(unravel(v)["a"]))(np.ones(2)).dtype == np.float64


@pytest.mark.parametrize("two", [2, np.int64(2), np.array([2]), np.float64(2.0), True], ids=repr)
def test_an_optimiser_that_starts_at_whole_numbers_leaves_them(two):
    """The gradient for a whole number of the first guess is not zero, as `grad` has it as well."""
    guess = {"b": two, "g": 0.5}
    loss = lambda q: np.sum(q["b"] * q["b"]) * q["g"]
    vector, unravel = tree.ravel(guess)
    gradient = tree.ravel(grad(loss)(guess))[0]
    assert vector.dtype == float and np.array_equal(vector, np.hstack([two, 0.5]))
    assert np.array_equal(grad(lambda v: loss(unravel(v)))(vector), gradient) and gradient[0] != 0
    assert loss(unravel(vector + 0.25)) == loss({"b": two + 0.25, "g": 0.75})


def test_unravel_takes_a_list_of_numbers():
    unravel = tree.ravel({"b": 2.0, "g": np.ones(2)})[1]
    assert unravel([1.0, 2.0, 3.0])["g"].tolist() == [2.0, 3.0]
    slope = grad(lambda x: np.sum(unravel([x, x * x, 3.0])["g"]))(1.5)
    assert slope == 3.0


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"these cannot be sorted: \[1, 'a'\]"):
        tree.flatten({1: 0, "a": 0})
    structure = tree.flatten({"a": (1, [2])})[1]
    with pytest.raises(
        ValueError, match=r"1 leaves are too few for the structure \{'a': \(array, \[array\]\)\}"
    ):
        tree.unflatten(structure, [1])
    with pytest.raises(ValueError, match="3 leaves are too many"):
        tree.unflatten(structure, [1, 2, 3])
    with pytest.raises(
        ValueError, match=r"container 2 has the structure \[array\], the first one \(array,\)"
    ):
        tree.map(lambda a, b: a, (1,), [1])
    with pytest.raises(
        ValueError, match=r"a vector of shape \(2,\) was expected, got shape \(3,\)"
    ):
        tree.ravel(np.ones(2))[1](np.ones(3))


def test_what_is_saved_is_loaded(tmp_path):
    """Structure, order of keys, dtypes, values to the last bit; Python's numbers stay Python's."""
    path = tmp_path / "parameters.npz"
    saved = {
        "b": [np.arange(6, dtype=np.float32).reshape(2, 3), (1, 0.1, None, True, "W")],
        "a": {},
        "c": np.float64(np.pi),
        "empty": np.zeros((0, 3)),
        "nan": float("nan"),
        "names": np.array(["x", "yz"]),
        "0": (),
        "structure": np.array(3),
    }
    tree.save(path, saved)
    loaded = tree.load(path)
    assert repr(loaded) == repr(saved) and list(loaded) == list(saved)
    assert [type(x) for x in loaded["b"][1]] == [int, float, type(None), bool, str]
    assert type(loaded["c"]) is np.float64
    assert loaded["b"][0].dtype == np.float32 and loaded["structure"].shape == ()
    assert [file.name for file in tmp_path.iterdir()] == ["parameters.npz"]


def test_what_cannot_be_saved_is_named_and_the_old_file_stays(tmp_path):
    path = tmp_path / "parameters.npz"
    tree.save(path, 1.0)
    for thing, message in (
        (np.array([object()]), "ndarray cannot be saved"),
        (len, "builtin_function_or_method cannot be saved"),
        (np.ma.array([1.0]), "MaskedArray cannot be saved"),
        ({1: 2.0}, r"the keys of a dict must be strings; got \[1\]"),
        (1j, "complex cannot be saved"),
    ):
        with pytest.raises(TypeError, match=message):
            tree.save(path, [np.ones(2), thing])
    assert tree.load(path) == 1.0
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError):
        tree.save(tmp_path / "folder.npz", 1.0)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.npz", "parameters.npz"]


def test_damaged_files_are_refused(tmp_path):
    path, other = tmp_path / "parameters.npz", tmp_path / "other.npz"
    tree.save(path, {"W": np.arange(1000.0)})
    whole = path.read_bytes()
    of_another_kind = bytearray(whole)
    of_another_kind[whole.index(b"PK\x01\x02") + 10] = 99  # a compression that there is not
    for damaged in (
        b"",
        b"text",
        bytes(of_another_kind),
        whole[:-1000],
        whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"parameters.npz' is damaged, or was not written by save"
        ):
            tree.load(path)
    np.savez(other, W=np.ones(2))
    with pytest.raises(ValueError, match="damaged, or was not written by save"):
        tree.load(other)
    np.savez(other, structure=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="damaged, or was not written by save"):
        tree.load(other)
    np.savez(other, structure=np.array('{"list": [{"array": 7}]}'))
    with pytest.raises(ValueError, match="damaged, or was not written by save"):
        tree.load(other)
    np.save(tmp_path / "one.npy", np.ones(2))
    with pytest.raises(ValueError, match="damaged, or was not written by save"):
        tree.load(tmp_path / "one.npy")
    with pytest.raises(FileNotFoundError):
        tree.load(tmp_path / "nowhere.npz")


class Trap:
    """What a pickle can do: call any function when it is read."""

    def __reduce__(self):
        return executed.append, (True,)


executed = []


@pytest.mark.parametrize(
    "structure",
    [
        '{"list": [{"array": 0}]}',
        '{"array": 0}',
        '{"set": 0}',
        '{"value": [1, {"a": 2}]}',
        '{"array": "structure"}',
        '{"list": {}}',
        '{"dict": []}',
        '{"scalar": 1}',
        '{"value": 1, "list": []}',
        '{"array": true}',
    ],
)
def test_nothing_is_executed_and_nothing_read_that_save_does_not_write(tmp_path, structure):
    path = tmp_path / "trap.npz"
    np.savez(
        path,
        structure=np.array(structure),
        **{"0": np.array([Trap()], dtype=object), "1": np.ones(3)},
    )
    with pytest.raises(ValueError, match="damaged, or was not written by save"):
        tree.load(path)
    assert not executed


def test_errors_of_the_system_are_not_called_damage(tmp_path):
    with pytest.raises(IsADirectoryError):
        tree.load(tmp_path)
    with pytest.raises(TypeError, match="saved"):
        tree.save(tmp_path / "x.npz", OrderedDict(a=1.0))
    tree.save(str(tmp_path / "x.npz").encode(), 2.0)
    assert tree.load(tmp_path / "x.npz") == 2.0
