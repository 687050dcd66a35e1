"""Programs: to the last bit what the tape computes, over the whole table of rules, run here and pasted elsewhere; and what is refused."""

import random
import threading
import time
import tracemalloc

import numpy as np
import pytest
import test_rules as rules
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds, spaced, uniform

import tinyode
from tinyode import compiled, grad, hessian, jvp, nn, odeint, program, root, tree, vjp
from tinyode.testing import broadcasting_pairs, matrices, reductions, shapes


def assert_same(found, expected):
    """Same structure, shapes, dtypes, and numbers to the last bit."""
    (found, structure), (expected, wanted) = tree.flatten(found), tree.flatten(expected)
    assert structure == wanted
    for x, y in zip(found, expected):
        assert np.shape(x) == np.shape(y) and np.result_type(x) == np.result_type(y)
        np.testing.assert_array_equal(x, y)


def unnamed(x):
    """Return tuples for named tuples, as a source does that has no more than NumPy."""
    return type(x)(map(unnamed, x)) if type(x) in (list, tuple) else tuple(map(unnamed, x)) if isinstance(x, tuple) else x


def check_program(f, *primals):
    """Value and cotangents of the tape, of the program, of its source where there is nothing but NumPy, of the compiled function."""
    def called(*args):
        return unnamed(f(*args))

    value, pullback = vjp(called, *primals)
    rng = np.random.default_rng(0)
    g = tree.map(lambda y: rng.normal(size=np.shape(y)).astype(y.dtype)[()], value)
    cotangents = pullback(g)
    both = program(called, *primals, vjp=True)
    assert_same(both(*primals, g), (value, cotangents))
    pasted = {}
    exec(both.source, pasted)
    assert_same(pasted["called"](*primals, g), (value, cotangents))
    assert_same(program(called, *primals)(*primals), value)
    value, pullback = vjp(compiled(called), *primals)
    assert_same((value, pullback(g)), (value, cotangents))


few = settings(max_examples=4)


@pytest.mark.parametrize("function", [f for f in rules.UNARY if f is not np.frexp], ids=rules.name)
@given(shapes(), seeds)
@few
def test_unary(function, shape, seed):
    check_program(function, uniform(np.random.default_rng(seed), shape, *rules.UNARY[function])[()])


@pytest.mark.parametrize("function", [*rules.BINARY, *rules.CHOOSING], ids=rules.name)
@given(broadcasting_pairs(), seeds)
@few
def test_binary(function, pair, seed):
    rng = np.random.default_rng(seed)
    intervals = rules.BINARY.get(function)
    check_program(function, *([uniform(rng, s, *i)[()] for s, i in zip(pair, intervals)] if intervals else [x[()] for x in spaced(rng, *pair)]))


@pytest.mark.parametrize("function", rules.REDUCTIONS, ids=rules.name)
@given(reductions(), seeds)
@few
def test_reductions(function, reduction, seed):
    shape, axis, keepdims = reduction
    check_program(lambda x: function(x, axis=axis, keepdims=keepdims), *spaced(np.random.default_rng(seed), shape))


@pytest.mark.parametrize("function", rules.METHODS_OF_UFUNCS, ids=rules.name)
@given(shapes(1), seeds)
@few
def test_methods_of_ufuncs(function, shape, seed):
    check_program(lambda x: function(x, axis=-1), *spaced(np.random.default_rng(seed), shape))


CHOSEN_BY_VALUES = {rules.operator.getitem, np.extract}  # x[x > 0]: how many there are depends on the values


@pytest.mark.parametrize("function", [f for f in rules.ARRAYS if f not in CHOSEN_BY_VALUES], ids=rules.name)
@given(shapes(1), st.integers(0, 2), seeds)
@few
def test_arrays(function, shape, i, seed):
    check_program(lambda x: rules.ARRAYS[function](x, i % len(shape)), *spaced(np.random.default_rng(seed), shape))


@pytest.mark.parametrize("function", rules.MATRICES, ids=rules.name)
@given(st.integers(1, 3).flatmap(lambda n: st.sampled_from([(), (2,)]).flatmap(lambda batch: matrices(n, batch))))
@few
def test_matrices(function, a):
    check_program(rules.MATRICES[function], a)
