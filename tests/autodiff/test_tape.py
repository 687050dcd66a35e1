"""The small engine by itself: records written by hand, without a function that is traced."""

import ast
import inspect
import sys

import numpy as np
import pytest

import tinyode.autodiff.tape
from tinyode.autodiff.node import Node
from tinyode.autodiff.rules.table import joint, per_operand
from tinyode.autodiff.tape import Tape, sweep

TIMES = per_operand(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
SCALED = per_operand(lambda g, y, a, b, *, by=1.0: g * b * by, lambda g, y, a, b, *, by=1.0: g * a)
BOTH = joint(lambda g, y, wanted, *args: [g * args[1 - operand] for operand in wanted])


def test_the_engine_imports_numpy_alone():
    imported = [
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(inspect.getsource(tinyode.autodiff.tape)))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    assert set(imported) - sys.stdlib_module_names == {"numpy"}
    assert inspect.getsource(tinyode.autodiff.tape).count("\n") < 180


def test_sweep_by_hand():
    tape = Tape(n_inputs=1)
    x = Node(np.float64(3.0), tape, 0)
    y = x * x + 2.0 * x
    assert isinstance(y, Node) and y.value == 15.0
    assert sweep(tape.close(), [(y.index, np.float64(1.0))], 1) == [8.0]


@pytest.mark.parametrize("rule", [TIMES, SCALED, BOTH])
def test_a_product_by_every_kind_of_rule(rule):
    """a b and then (a b) a, with broadcasting: d/da = 2 a b, d/db = a^2 summed."""
    a, b = np.array([1.0, 2.0, 3.0]), np.array([[4.0], [5.0]])
    tape = Tape(n_inputs=3)
    first = tape.record(rule, (0, 1), (0, 1), a * b, (a, b))
    second = tape.record(rule, (0, 1), (first, 0), a * b * a, (a * b, a))
    assert (first, second) == (3, 4)
    of_a, of_b, of_other = sweep(tape.close(), [(second, np.ones((2, 3)))], 3)
    np.testing.assert_array_equal(of_a, np.sum(2 * a * b, axis=0))
    np.testing.assert_array_equal(of_b, np.full((2, 1), np.sum(a * a)))
    assert of_other is None


@pytest.mark.parametrize("rule", [TIMES, SCALED, BOTH])
@pytest.mark.parametrize("operand", [0, 1])
def test_only_the_wanted_operand_gets_a_cotangent(rule, operand):
    values = np.float64(2.0), np.float64(5.0)
    tape = Tape(n_inputs=1)
    tape.record(rule, (operand,), (0,), np.float64(10.0), values)
    assert sweep(tape.close(), [(1, np.float64(1.0))], 1) == [values[1 - operand]]


def test_seeds_of_one_value_add_up():
    tape = Tape(n_inputs=1)
    assert sweep(tape.close(), [(0, np.float64(1.0)), (0, np.float64(2.0))], 1) == [3.0]


def test_a_joint_rule_that_loses_a_cotangent_is_an_error():
    tape = Tape(n_inputs=2)
    losing = joint(lambda g, y, wanted, *args: [g])
    tape.record(losing, (0, 1), (0, 1), np.float64(1.0), (np.float64(1.0), np.float64(1.0)))
    with pytest.raises(ValueError, match="a rule returned 1 cotangents, not 2"):
        sweep(tape.close(), [(2, np.float64(1.0))], 2)


def test_levels_grow_and_a_closed_tape_takes_no_record():
    outer, inner = Tape(0), Tape(0)
    assert inner.level > outer.level
    assert inner.close() == [] and len(inner.records) == 0
    with pytest.raises(RuntimeError, match="a traced value has leaked"):
        inner.record(TIMES, (), (), 1.0, ())
