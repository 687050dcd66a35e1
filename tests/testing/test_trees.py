"""Rooted trees: how many there are, and the conditions that the library's methods are held to."""

import numpy as np
import pytest

from tinyode.solvers.tableaus import TABLEAUS
from tinyode.testing.trees import LEAF, TIME, condition, density, drawn, failing, nodes_of, trees


def test_there_are_as_many_trees_as_butcher_counts():
    """The numbers of HNW, table II.2.2."""
    assert [len(trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]
    for n in range(1, 9):
        assert len(set(trees(n))) == len(trees(n))
        assert {nodes_of(tree) for tree in trees(n)} == {n}


def test_two_kinds_of_leaves_give_every_tree_and_mix():
    assert set(trees(2, (LEAF, TIME))) == {(TIME,), (LEAF,)}
    assert len(trees(3, (LEAF, TIME))) == 5
    assert {density(tree) for tree in trees(3, (LEAF, TIME))} == {3, 6}


def test_conditions_are_those_of_the_book():
    """All of HNW, table II.2.1, up to order 4, and two of order 5."""
    said = [condition(tree, False) for n in range(1, 5) for tree in trees(n)]
    assert said == [
        "sum b_i = 1",
        "sum b_i c_i = 1/2",
        "sum b_i c_i^2 = 1/3",
        "sum b_i a_ij c_j = 1/6",
        "sum b_i c_i^3 = 1/4",
        "sum b_i c_i a_ij c_j = 1/8",
        "sum b_i a_ij a_jk c_k = 1/24",
        "sum b_i a_ij c_j^2 = 1/12",
    ]
    of_five = {drawn(tree): condition(tree, False) for tree in trees(5)}
    assert of_five["[[.],[.]]"] == "sum b_i a_ij c_j a_ik c_k = 1/20"
    assert of_five["[[[.],.]]"] == "sum b_i a_ij c_j a_jk c_k = 1/40"
    with_times = {drawn(tree): condition(tree, True) for tree in trees(3, (LEAF, TIME))}
    assert with_times == {
        "[t,t]": "sum b_i c_i^2 = 1/3",
        "[.,t]": "sum b_i c_i a_ij = 1/3",
        "[.,.]": "sum b_i a_ij a_ik = 1/3",
        "[[t]]": "sum b_i a_ij c_j = 1/6",
        "[[.]]": "sum b_i a_ij a_jk = 1/6",
    }


@pytest.mark.parametrize("method", TABLEAUS.values(), ids=lambda m: m.name)
def test_the_methods_of_the_library_have_their_order_and_no_higher_one(method):
    assert failing(method.a, method.b, method.c, method.order, 1e-12) is None
    tree, found = failing(method.a, method.b, method.c, method.order + 1, 1e-7)
    assert nodes_of(tree) == method.order + 1
    assert abs(found - 1 / density(tree)) > 1e-7


def test_times_that_do_not_fit_to_the_states_are_conditions_of_their_own():
    rk4 = TABLEAUS["rk4"]
    c = rk4.c.copy()
    c[1] = 0.25
    tree, found = failing(rk4.a, rk4.b, c, 4, 1e-7)
    assert tree == (TIME,)
    assert np.isclose(found, rk4.b @ c)
